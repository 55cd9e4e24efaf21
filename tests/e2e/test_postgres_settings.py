"""What a role, its database and the URL set in PostgreSQL holds, and no setting makes a report wrong."""

import subprocess

import pytest

from harness import poll
from test_postgres_source import DATABASE, READER, VALUES, PgServer, own_shop

shop = own_shop  # its roles are this file's, and it is stopped now and then

AWAY = "The connection to the report's database was lost. Try again later."


@pytest.fixture
def as_role(shop, tmp_path):
    """A server that connects as a new role of which these statements are true: as_role("SET work_mem = '7MB'")."""
    made = []

    def make(*settings, workers=1, reports=None, database=DATABASE, **options):
        role = f"role{len(shop.sql('SELECT rolname FROM pg_roles'))}"
        shop.sql(f"CREATE ROLE {role} LOGIN; GRANT {READER} TO {role};" +
                 "".join(f"ALTER ROLE {role} {setting};" for setting in settings))
        server = PgServer.on(shop, tmp_path / f"as{len(made)}", shop.url(database, role, **options), workers=workers)
        server.role = role
        made.append(server)
        for name, text in (reports or {}).items():
            (server.reports / f"{name}.sql").write_text(f"-- report: {name}\n-- source: data\n{text}\n")
        server.reload()
        return server

    yield make
    for server in made:
        assert server.stop() == 0
        server.check_log()


def shown(setting):
    return f"-- results\nSELECT current_setting('{setting}') AS \"value\""


def value(server, name):
    return server.results(name)[0]["value"]


def test_no_setting_of_a_role_changes_how_values_are_written_or_statements_read(as_role):
    server = as_role(
        "SET extra_float_digits = -15", "SET bytea_output = 'escape'", "SET IntervalStyle = 'sql_standard'",
        "SET DateStyle = 'German, DMY'", "SET TimeZone = 'Asia/Kathmandu'", "SET client_encoding = 'LATIN1'",
        "SET standard_conforming_strings = off", "SET xmlbinary = 'hex'", "SET lc_monetary = 'C'",
        "SET client_min_messages = 'debug5'", "SET quote_all_identifiers = on", "SET lc_messages = 'C'",
        reports={"Strings": "-- parameter: Said string\n-- results\nSELECT 'a\\' AS \"a\", :Said AS \"said\", ':Said\\' AS \"b\""})
    expected = ",".join(f'"c{i}":{text}' for i, (_, text) in enumerate(VALUES))
    for _ in range(2):
        assert f'"results":[{{{expected}}}]' in server.raw("Values")
        assert server.results("Strings", Said="Zoë €") == [{"a": "a\\", "said": "Zoë €", "b": ":Said\\"}]


@pytest.mark.parametrize("encoding, query, given, expected", [
    ("LATIN1", r"SELECT E'\xe9' AS v, length(:P) AS n, ARRAY[:P] AS a", "é", {"v": "é", "n": 1, "a": ["é"]}),
    ("WIN1252", r"SELECT E'\x80' AS v, :P AS p", "€", {"v": "€", "p": "€"}),
    ("SQL_ASCII", "SELECT :P AS p", "😀", {"p": "😀"}),
    ("LATIN1", "SELECT :P AS p", "😀", "The report's database cannot read the value of parameter 'P'. Correct it."),
    ("SQL_ASCII", r"SELECT E'\xe9' AS v, :P AS p", "x", "The report's database has text that is not in its encoding, or not in UTF-8."),
])
def test_the_encoding_of_a_database_is_its_own_business(shop, as_role, encoding, query, given, expected):
    name = f"of_{encoding.lower()}"
    if name not in shop.sql("SELECT datname FROM pg_database"):
        shop.sql(f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    server = as_role(database=name, reports={"Text": f"-- parameter: P string\n-- results\n{query}"})
    if isinstance(expected, str):
        assert server.refusal("Text", P=given) == expected
    else:
        assert server.results("Text", P=given) == [expected]


@pytest.mark.parametrize("setting, name, expected", [
    ("SET work_mem = '7MB'", "work_mem", "7MB"),
    ("SET search_path = sales, public", "search_path", "sales, public"),
    ("SET TimeZone = 'Australia/Sydney'", "TimeZone", "Australia/Sydney"),
    ("SET enable_seqscan = off", "enable_seqscan", "off"),
    ("SET lock_timeout = '3s'", "lock_timeout", "3s"),
    ("SET temp_file_limit = '1GB'", "temp_file_limit", "1GB"),
    # what a report promises holds, whatever the role prefers
    ("SET default_transaction_isolation = 'serializable'", "transaction_isolation", "repeatable read"),
    ("SET default_transaction_read_only = off", "transaction_read_only", "on"),
    ("SET default_transaction_read_only = on", "transaction_read_only", "on"),
    ("SET default_transaction_deferrable = on", "transaction_isolation", "repeatable read"),
    # the lower one of two limits
    ("SET statement_timeout = '90s'", "statement_timeout", "90s"),
    ("SET statement_timeout = '2h'", "statement_timeout", "601s"),
    ("SET statement_timeout = '24d'", "statement_timeout", "601s"),
    ("SET statement_timeout = 0", "statement_timeout", "601s"),
])
def test_the_settings_of_a_role_hold_for_every_report(as_role, setting, name, expected):
    server = as_role(setting, reports={"Shown": shown(name)})
    for _ in range(2):
        assert value(server, "Shown") == expected


def test_a_lower_limit_of_the_role_stops_the_query(as_role):
    server = as_role("SET statement_timeout = '1s'", reports={"Short": '-- results\nSELECT 1 AS "value"'})
    assert server.refusal("Sleep") == "The report's query was stopped in its database, by a time limit or by hand."
    server.detail("canceling statement due to statement timeout (57014)")
    assert value(server, "Short") == 1


def test_a_check_whose_rows_are_stopped_says_so(as_role):
    """Nobody wants them, and yet the transaction ends with them."""
    server = as_role("SET statement_timeout = '1s'", reports={"Many": """-- check: Never.
SELECT i FROM generate_series(1, 1000000000) AS i
-- results
SELECT 1 AS "value"
"""})
    assert server.refusal("Many") == "The report's query was stopped in its database, by a time limit or by hand."


def test_settings_of_the_database_and_of_the_url_hold_too(as_role, shop):
    reports = {"Path": shown("search_path"), "Memory": shown("work_mem")}
    server = as_role(f"IN DATABASE {DATABASE} SET work_mem = '9MB'", reports=reports,
                     options="-csearch_path=sales,public -cwork_mem=8MB")
    assert value(server, "Path") == "sales,public" and value(server, "Memory") == "8MB"
    server = as_role(f"IN DATABASE {DATABASE} SET work_mem = '9MB'", reports=reports)
    assert [value(server, "Memory") for _ in range(2)] == ["9MB", "9MB"]


def test_the_role_that_a_role_sets_is_the_one_of_every_report(as_role, shop):
    """Else row-level security of the second report would be another."""
    shop.sql("CREATE ROLE clerk")
    server = as_role("SET role = 'clerk'", reports={"Who": '-- results\nSELECT current_user AS "value"'})
    shop.sql(f"GRANT clerk TO {server.role}")
    assert [value(server, "Who") for _ in range(3)] == ["clerk"] * 3


def test_row_security_off_refuses_instead_of_showing_less(as_role, shop):
    shop.sql("CREATE TABLE mine AS SELECT 'alice' AS owner; GRANT SELECT ON mine TO public;"
             "ALTER TABLE mine ENABLE ROW LEVEL SECURITY;"
             "CREATE POLICY own ON mine USING (owner = current_setting('reportd.user', true))", DATABASE)
    reports = {"Mine": '-- results\nSELECT owner AS "value" FROM mine'}
    assert value(as_role(reports=reports), "Mine") == "alice"
    server = as_role("SET row_security = off", reports=reports)
    assert "may not do" in server.refusal("Mine")
    server.detail("query would be affected by row-level security policy")


def test_functions_and_operators_of_the_search_path_are_none_of_ours(as_role, shop):
    """A schema before pg_catalog, with everything in it that a careless program would run."""
    shop.sql("""
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO public;
CREATE FUNCTION evil.caught() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught'; END $$;
CREATE FUNCTION evil.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS 'SELECT evil.caught()';
CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE sql AS 'SELECT evil.caught()';
CREATE FUNCTION evil.current_setting(text, boolean) RETURNS text LANGUAGE sql AS 'SELECT evil.caught()';
CREATE FUNCTION evil.version() RETURNS text LANGUAGE sql AS 'SELECT evil.caught()';
CREATE FUNCTION evil.strpos(text, text) RETURNS integer LANGUAGE sql AS 'SELECT evil.caught()::integer';
CREATE FUNCTION evil.pg_advisory_unlock_all() RETURNS void LANGUAGE sql AS 'SELECT evil.caught()::text::void' ;
CREATE FUNCTION evil.of_ints(integer, integer) RETURNS boolean LANGUAGE sql AS 'SELECT evil.caught() IS NULL';
CREATE FUNCTION evil.of_oids(oid, oid) RETURNS boolean LANGUAGE sql AS 'SELECT evil.caught() IS NULL';
CREATE FUNCTION evil.of_texts(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT evil.caught() IS NULL';
CREATE FUNCTION evil.of_times(interval, interval) RETURNS boolean LANGUAGE sql AS 'SELECT evil.caught() IS NULL';
CREATE OPERATOR evil.< (LEFTARG = integer, RIGHTARG = integer, FUNCTION = evil.of_ints);
CREATE OPERATOR evil.< (LEFTARG = interval, RIGHTARG = interval, FUNCTION = evil.of_times);
CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.of_oids);
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.of_texts);
CREATE OPERATOR evil.~~ (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.of_texts);
CREATE VIEW evil.pg_type AS SELECT evil.caught() AS oid;
CREATE DOMAIN evil.interval AS text CHECK (evil.caught() IS NULL);
""".replace("RETURNS void LANGUAGE sql AS 'SELECT evil.caught()::text::void' ", "RETURNS text LANGUAGE sql AS 'SELECT evil.caught()'"),
             DATABASE)
    server = as_role("SET search_path = evil, pg_catalog, public", "SET statement_timeout = '100s'",
                     reports={"Array": '-- results\nSELECT ARRAY[1, 2]::pg_catalog.int4[] AS "value"'})
    assert value(server, "Array") == [1, 2]
    assert value(server, "Array") == [1, 2]


# --- sessions that end, and a server that does --------------------------------------------------------


def test_a_session_that_is_ended_while_it_is_idle_goes_unnoticed(as_role, shop):
    server = as_role(workers=2)
    for _ in range(3):
        assert server.results("Checked", ItemID="1") == [{"itemID": 1}]
        shop.sql(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = '{server.role}'")
        assert server.results("Checked", ItemID="1") == [{"itemID": 1}]


def test_a_session_that_the_server_ends_for_being_idle_goes_unnoticed(as_role, shop):
    server = as_role("SET idle_session_timeout = '1s'")  # longer than a report takes from one statement to the next
    for _ in range(2):
        assert server.results("Checked", ItemID="1") == [{"itemID": 1}]
        poll(lambda: shop.sql(f"SELECT pid FROM pg_stat_activity WHERE usename = '{server.role}'") == [],
             what="the end of the session")


@pytest.mark.parametrize("name", ["Sleep", "Endless"])
def test_a_session_that_is_ended_while_it_runs_is_told(as_role, shop, name):
    """Also in the middle of the rows."""
    server = as_role()
    reference = server.alice.order(name)
    server.wait_until_active(reference)
    shop.sql(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = '{server.role}'")
    assert server.alice.finish(reference).json()["message"] == AWAY
    assert server.files_of(reference) == []
    assert server.results("Checked", ItemID="1") == [{"itemID": 1}]


@pytest.mark.parametrize("name, how", [("Sleep", "SIGINT"), ("Sleep", "SIGKILL"), ("Endless", "SIGQUIT")])
def test_a_restart_of_postgresql_during_a_report_is_told(as_role, shop, name, how):
    server = as_role()
    reference = server.alice.order(name)
    server.wait_until_active(reference)
    shop.restart(how)
    assert server.alice.finish(reference).json()["message"] == AWAY
    assert server.files_of(reference) == []
    assert server.results("Checked", ItemID="1") == [{"itemID": 1}]


def test_a_server_that_does_not_take_more_sessions_says_so(as_role, shop):
    server = as_role("CONNECTION LIMIT 1", workers=1)
    with subprocess.Popen(shop.psql(DATABASE, server.role), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as other:
        other.stdin.write("SELECT 'there';\n")
        other.stdin.flush()
        assert "there" in other.stdout.readline()
        assert "Try again later" in server.refusal("Checked", ItemID="1")
        server.detail("too many connections for role")
        other.communicate("")
    assert server.results("Checked", ItemID="1") == [{"itemID": 1}]
