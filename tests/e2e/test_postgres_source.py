"""PostgreSQL as the reported database: doc/definitions.md § PostgreSQL."""

import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from harness import Server, poll, processes_below
from postgres import Postgres

READER = "reader"  # what the reports connect as: it may read, and row-level security holds for it
DATABASE = "shop"
ROWS = 2_000_000

SCRIPT = f"""
CREATE ROLE {READER} LOGIN PASSWORD '%s';
CREATE TYPE colour AS ENUM ('Red', 'Green');
CREATE TYPE pair AS (a integer, b text);
CREATE DOMAIN cents AS bigint;
CREATE DOMAIN fee AS cents CHECK (VALUE >= 0);
CREATE TYPE floats AS RANGE (subtype = float8);
CREATE EXTENSION hstore;
CREATE EXTENSION citext;
CREATE TABLE item (item_id integer PRIMARY KEY, owner text NOT NULL, paint colour, price numeric(12, 2), day date);
INSERT INTO item VALUES (1, 'alice', 'Red', 1250000.00, '2024-01-12'), (2, 'alice', 'Green', 0.05, '2024-01-13'),
                        (3, 'bob', 'Red', -2.50, NULL);
CREATE TABLE secret (n integer);
CREATE SEQUENCE numbers;
CREATE FUNCTION sneak() RETURNS integer LANGUAGE sql AS 'INSERT INTO item VALUES (99, current_user) RETURNING item_id';
GRANT SELECT ON item TO {READER};
GRANT INSERT, UPDATE, DELETE ON item TO {READER};
GRANT USAGE ON SEQUENCE numbers TO {READER};
GRANT CREATE ON SCHEMA public TO {READER};
"""

# What a value becomes in JSON, byte for byte.
VALUES = [
    ("(-7)::smallint", "-7"),
    ("2147483647::integer", "2147483647"),
    ("(-9223372036854775808)::bigint", "-9223372036854775808"),
    ("5::cents", "5"),
    ("0.1::real", "0.1"),
    ("1.5::double precision", "1.5"),
    ("1e300::double precision", "1e+300"),
    ("12345678901234567890.120::numeric", "12345678901234567890.120"),
    ("(-0.05)::numeric(5,2)", "-0.05"),
    ("0::numeric", "0"),
    ("true", "true"),
    ("NULL::boolean", "null"),
    ("'Zoë \"x\" \\ y'::text", '"Zoë \\"x\\" \\\\ y"'),
    ("''::varchar(5)", '""'),
    ("'ab'::char(4)", '"ab  "'),
    ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"'),
    ("'Red'::colour", '"Red"'),
    ("date '2024-02-29'", '"2024-02-29"'),
    ("'infinity'::date", '"infinity"'),
    ("'0044-03-15 BC'::date", '"0044-03-15 BC"'),
    ("timestamp '2024-01-12 03:04:05'", '"2024-01-12T03:04:05"'),
    ("timestamp '2024-01-12 03:04:05.123456'", '"2024-01-12T03:04:05.123456"'),
    ("'-infinity'::timestamp", '"-infinity"'),
    ("timestamptz '2024-01-12 03:04:05.5+10'", '"2024-01-11T17:04:05.5Z"'),
    ("timestamptz '0044-03-15 12:00:00+00 BC'", '"0044-03-15T12:00:00Z BC"'),
    ("'infinity'::timestamptz", '"infinity"'),
    ("tstzrange('2024-01-12 03:04:05+10', '2024-07-12 03:04:05+10')",
     '"[\\"2024-01-11T17:04:05Z\\",\\"2024-07-11T17:04:05Z\\")"'),
    ("ARRAY[tstzrange('2024-01-12 03:04:05+10', NULL)]", '["[\\"2024-01-11T17:04:05Z\\",)"]'),
    ("time '03:04:05.25'", '"03:04:05.25"'),
    ("timetz '03:04:05+10'", '"03:04:05+10"'),
    ("interval '1 year 2 months 3 days 04:05:06.5'", '"P1Y2M3DT4H5M6.5S"'),
    ("'{\"b\" : 1.10, \"a\": [null, 1e2]}'::json", '{"b" : 1.10, "a": [null, 1e2]}'),
    ("'{\"b\" : 1.10, \"a\": [null]}'::jsonb", '{"a": [null], "b": 1.10}'),
    ("ARRAY[1, NULL, -3]", "[1,null,-3]"),
    ("ARRAY[[1, 2], [3, 4]]", "[[1,2],[3,4]]"),
    ("'[0:1]={5,6}'::integer[]", "[5,6]"),
    ("'{}'::text[]", "[]"),
    ("ARRAY['a', 'b,c', '\"', '\\', '', 'NULL', NULL, '{}', 'ü']",
     '["a","b,c","\\"","\\\\","","NULL",null,"{}","ü"]'),
    ("ARRAY[1.10, 2]::numeric[]", "[1.10,2]"),
    ("ARRAY[1.5, 1e300]::double precision[]", "[1.5,1e+300]"),
    ("ARRAY[true, false]", "[true,false]"),
    ("ARRAY[date '2024-01-12']", '["2024-01-12"]'),
    ("ARRAY[timestamptz '2024-01-12 03:04:05+00']", '["2024-01-12T03:04:05Z"]'),
    ("ARRAY['Red', 'Green']::colour[]", '["Red","Green"]'),
    ("ARRAY[5]::cents[]", "[5]"),
    ("ARRAY['{\"a\": 1}'::jsonb]", '[{"a": 1}]'),
    ("ARRAY['\\x00ff'::bytea]", '["AP8="]'),
    ("ARRAY[box '((1,1),(0,0))', NULL]", '["(1,1),(0,0)",null]'),
    ("'\\x00ff10'::bytea", '"AP8Q"'),
    ("''::bytea", '""'),
    ("ROW(1, 'x')::pair", '"(1,x)"'),
    ("int4range(1, 5)", '"[1,5)"'),
    ("inet '10.0.0.1/8'", '"10.0.0.1/8"'),
    ("7::fee", "7"),
    ("ARRAY[7, NULL]::fee[]", "[7,null]"),
    ("'[1.5,2]'::floats", '"[1.5,2]"'),
    ("'{[1,3),[5,7)}'::int4multirange", '"{[1,3),[5,7)}"'),
    ("money '-1234.50'", '"-$1,234.50"'),
    ("B'0101'", '"0101"'),
    ("'a=>\"b c\"'::hstore", '"\\"a\\"=>\\"b c\\""'),
    ("'Zoë'::citext", '"Zoë"'),
    ("ARRAY['x']::citext[]", '["x"]'),
    ("'<a b=\"1\"/>'::xml", '"<a b=\\"1\\"/>"'),
    ("ARRAY[int4range(1, 3)]", '["[1,3)"]'),
    ("10::numeric ^ 38", "100000000000000000000000000000000000000.0000000000000000"),
    ("'1 2'::int2vector", '"1 2"'),
    ("4294967295::oid", "4294967295"),
]

# Statements that end in error; the words are in the message for the user, or else in the log.
REFUSED = {
    "NumericNaN": ("SELECT 'NaN'::numeric AS \"odd\"", "The column 'odd' is not a finite number", ""),
    "NumericInfinity": ("SELECT 'Infinity'::numeric AS \"odd\"", "The column 'odd' is not a finite number", ""),
    "RealNaN": ("SELECT 'NaN'::real AS \"odd\"", "The column 'odd' is not a finite number", ""),
    "ArrayNaN": ("SELECT ARRAY['NaN'::float8] AS \"odd\"", "The column 'odd' is not a finite number", ""),
    "Insert": ("INSERT INTO item VALUES (9, 'x') RETURNING item_id", "may not do", "(25006)"),
    "Update": ("UPDATE item SET owner = 'x' RETURNING item_id", "may not do", "(25006)"),
    "InsertInWith": ("WITH w AS (DELETE FROM item RETURNING item_id) SELECT * FROM w", "may not do", "(25006)"),
    "Function": ("SELECT sneak()", "may not do", "(25006)"),
    "Sequence": ("SELECT nextval('numbers')", "may not do", "(25006)"),
    "MadeWritable": ("SELECT set_config('transaction_read_only', 'off', true), sneak()", "failed", "(25001)"),
    "Secret": ("SELECT n FROM secret", "may not do", "(42501)"),
    "Create": ("CREATE TABLE t AS SELECT 1 AS a", "failed", "the statement is not a SELECT"),
    "Commit": ("COMMIT", "failed", "the statement is not a SELECT"),
    "Set": ("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", "failed", "the statement is not a SELECT"),
    "CopyOut": ("COPY item TO STDOUT", "failed", "the statement is not a SELECT"),
    "Zero": ("SELECT 1 / (item_id - 1) AS x FROM item", "The report's query failed", "(22012)"),
}

DEFINITIONS = {
    "Values": "-- results\nSELECT " + ",\n".join(f'{sql} AS "c{i}"' for i, (sql, _) in enumerate(VALUES)),
    "Parameters": """
-- parameter: Text string
-- parameter: Number integer
-- parameter: Price decimal
-- parameter: Day date
-- parameter: Flag boolean
-- parameter: Colour enum(Red|Green)
-- results
SELECT pg_typeof(:Text)::text AS "types.text", pg_typeof(:Number)::text AS "types.number",
       pg_typeof(:Price)::text AS "types.price", pg_typeof(:Day)::text AS "types.day",
       pg_typeof(:Flag)::text AS "types.flag", pg_typeof(:Colour)::text AS "types.colour",
       pg_typeof(:session_user)::text AS "types.user",
       :Text AS "text", :Number AS "number", :Price AS "price", :Day AS "day", :Flag AS "flag",
       :Colour::colour AS "colour", :session_user AS "user", ARRAY[:Number, 1] AS "array",
       ':Text' AS "quoted", $$:Text$$ AS "dollars", $a$ $$:Text $a$ AS "tagged", E'\\':Text' AS "escaped",
       1 /* :Text */ AS ":Text" -- :Text
WHERE :Text IS NULL OR :Text = :Text
""",
    "Cast": "-- parameter: Text string\n-- results\nSELECT :Text::integer AS i",
    "Casts": "-- parameter: First string\n-- parameter: Second string\n"
             "-- results\nSELECT :First::integer AS a, :Second::integer AS b",
    "Mine": '-- results\nSELECT item_id AS "itemID", current_setting(\'reportd.user\') AS "user" FROM item ORDER BY 1',
    "Sleep": "-- results\nSELECT pg_sleep(600)::text AS a",
    "Hasty": "-- timeout: 300ms\n-- results\nSELECT pg_sleep(600)::text AS a",
    "Overdue": "-- timeout: 1s\n-- results\nSELECT pg_sleep(600)::text AS a",
    "Locked": "-- results\nSELECT count(*) AS n FROM item",
    "Big": "-- parameter: Rows integer default 1000\n-- results\n"
           "SELECT i AS \"i\", 'row number ' || i AS \"text\" FROM generate_series(1, :Rows) AS i",
    "Endless": "-- results\nSELECT i FROM generate_series(1, 100000000000) AS i",
    "Manners": """
-- results
SELECT current_setting('application_name') AS "application", current_setting('statement_timeout') AS "timeout",
       current_setting('transaction_isolation') AS "isolation", current_setting('transaction_read_only') AS "readOnly",
       current_setting('search_path') AS "path", pg_backend_pid() AS "pid",
       current_setting('work_mem') AS "leak", current_setting('reportd.leak', true) AS "custom"
""",
    "Leak": """
-- results
SELECT set_config('work_mem', '77MB', false) AS "a", set_config('reportd.leak', 'x', false) AS "b",
       pg_advisory_lock(42)::text AS "c"
""",
    # Its first statement sees the item, then waits until the test has changed it; then the second one looks.
    "Snapshot": """
-- results
SELECT price AS "price", pg_advisory_lock(7)::text AS "lock" FROM item WHERE item_id = 2
-- summary
SELECT price AS "price" FROM item WHERE item_id = 2
""",
    "Checked": """
-- parameter: ItemID integer required
-- check: Item :ItemID does not exist.
SELECT 1 FROM item WHERE item_id = :ItemID
-- check: Never.
SELECT i FROM generate_series(1, 100000) AS i
-- results
SELECT item_id AS "itemID" FROM item WHERE item_id = :ItemID
""",
}
for _name, (_sql, _, _) in REFUSED.items():
    DEFINITIONS[_name] = "-- results\n" + _sql


def define(server, definitions):
    for path in server.reports.iterdir():
        path.unlink()
    for name, text in definitions.items():
        (server.reports / f"{name}.sql").write_text(f"-- report: {name}\n-- source: data\n{text.strip()}\n")


class PgServer(Server):
    """A server of these definitions on a database in PostgreSQL, and a client that is logged in."""

    @classmethod
    def on(cls, postgres, folder, url, asan="", **config):
        server = cls.made(folder, source=url, **config)
        server.environment["ASAN_OPTIONS"] = f"{os.environ.get('ASAN_OPTIONS', '')}:{asan}"
        define(server, DEFINITIONS)
        server.postgres = postgres
        server.add_user("alice")
        server.start()
        server.alice = server.client("alice")
        return server

    def activity(self, reference, columns="state"):
        """What the database says of the report's connection: [] when it has none."""
        return self.postgres.sql(f"SELECT {columns} FROM pg_stat_activity"
                                 f" WHERE application_name = 'reportd {reference}'")

    def wait_until_active(self, reference):
        poll(lambda: self.activity(reference) == ["active"], what="the query in the database")

    def raw(self, name, **parameters):
        """The text of results and summary."""
        reference = self.alice.complete(name, **parameters)
        text = self.alice.result(reference).text
        self.alice.delete(reference)
        return text[text.index('"results":'):]

    def results(self, name, **parameters):
        return json.loads("{" + self.raw(name, **parameters)[:-1])["results"]

    def refusal(self, name, **parameters):
        """The message of a report that ends in error."""
        reference = self.alice.order(name, **parameters)
        answer = self.alice.finish(reference).json()
        assert answer["data"] == "error", answer
        self.alice.delete(reference)
        return answer["message"]

    def detail(self, words):
        poll(lambda: words in self.log_text(), what=f"'{words}' in the log")


@pytest.fixture(scope="module")
def own_shop():
    """A PostgreSQL for the tests of one file, with the database of this one."""
    own = Postgres()
    own.create_database(DATABASE, SCRIPT % own.password)
    yield own
    own.close()


@pytest.fixture(scope="module")
def shop(postgres):
    """A database of items."""
    postgres.create_database(DATABASE, SCRIPT % postgres.password)
    return postgres


@pytest.fixture(scope="module")
def pg(shop, tmp_path_factory):
    # The database is to end what a worker that hangs has left, before the server kills the worker.
    server = PgServer.on(shop, tmp_path_factory.mktemp("pg") / "server", shop.url(DATABASE, READER),
                         cancel_grace="30s")
    yield server
    assert server.stop() == 0
    server.check_log()


def test_every_type_becomes_what_the_documentation_says(pg):
    text = pg.raw("Values")
    expected = ",".join(f'"c{i}":{json_text}' for i, (_, json_text) in enumerate(VALUES))
    assert text == f'"results":[{{{expected}}}],"summary":{{}}}}}}'
    json.loads("{" + text[:-1])


def test_parameters_are_bound_by_type_and_only_where_they_stand(pg):
    row = pg.results("Parameters", Text="it's :Number $1", Number="-5", Price="12.50", Day="2024-01-12",
                     Flag="true", Colour="Green")[0]
    assert row["types"] == {"text": "text", "number": "bigint", "price": "numeric", "day": "date",
                            "flag": "boolean", "colour": "text", "user": "text"}
    assert row["text"] == "it's :Number $1" and row["number"] == -5 and row["price"] == 12.5
    assert (row["day"], row["flag"], row["colour"], row["user"]) == ("2024-01-12", True, "Green", "alice")
    assert row["array"] == [-5, 1]
    assert [row[key] for key in ("quoted", "dollars", "tagged", "escaped", ":Text")] == [
        ":Text", ":Text", " $$:Text ", "':Text", 1]


def test_parameters_that_are_not_given_are_null(pg):
    row = pg.results("Parameters")[0]
    assert [row[key] for key in ("text", "number", "price", "day", "flag", "colour")] == [None] * 6


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_report_may_not_do_or_say_ends_in_error(pg, name):
    _, message, detail = REFUSED[name]
    assert message in pg.refusal(name)
    if detail:
        pg.detail(detail)
    assert pg.postgres.sql("SELECT count(*) FROM item", DATABASE) == ["3"]


def test_an_error_of_the_database_puts_no_value_into_the_log(pg):
    pg.refusal("Cast", Text='a "open-sesame" b')
    pg.detail("(22P02)")
    assert "open-sesame" not in pg.log_text()


def test_the_caller_learns_which_parameter_the_database_cannot_read(pg):
    words = "The report's database cannot read the value of parameter '%s'. Correct it."
    assert pg.refusal("Cast", Text='a "open-sesame" b') == words % "Text"
    assert pg.refusal("Casts", First="1", Second="two") == words % "Second"
    assert pg.refusal("Casts", First="x", Second="x") == "The report's query failed."  # which of them?
    assert pg.refusal("Casts", First="", Second="2") == "The report's query failed."  # quoted is "", as it may be otherwise


def test_a_check_that_fails_speaks_and_one_of_many_rows_does_not_hinder(pg):
    assert pg.results("Checked", ItemID="2") == [{"itemID": 2}]
    assert pg.refusal("Checked", ItemID="77") == "Item 77 does not exist."


def test_the_session_is_what_was_promised_and_nothing_of_it_remains(pg):
    before = pg.results("Manners")[0]
    reference = pg.alice.complete("Leak")
    pg.alice.delete(reference)
    reference = pg.alice.complete("Manners")
    after = pg.alice.result(reference).json()["data"]["results"][0]
    assert after["application"] == f"reportd {reference}"
    assert (after["timeout"], after["isolation"], after["readOnly"]) == ("601s", "repeatable read", "on")
    assert (after["path"], after["leak"]) == ('"$user", public', before["leak"])
    assert not after["custom"]  # PostgreSQL keeps the name, without a value
    assert pg.postgres.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == ["0"]


def test_connections_are_kept_for_the_next_report_but_say_nothing_of_the_last(pg):
    pids = {pg.results("Manners")[0]["pid"] for _ in range(6)}
    assert len(pids) <= 2  # two workers
    assert set(pg.postgres.sql("SELECT application_name, state FROM pg_stat_activity"
                               f" WHERE pid IN ({','.join(map(str, pids))})")) == {"reportd|idle"}


def test_rows_of_other_users_are_not_seen_under_the_policy_of_the_documentation(pg, shop):
    page = (Path(__file__).resolve().parents[2] / "doc/definitions.md").read_text()
    policy = re.search(r"```sql\n(ALTER TABLE item ENABLE ROW LEVEL SECURITY;.*?)```", page, re.S).group(1)
    pg.add_user("bob")
    try:
        shop.sql(policy, DATABASE)
        assert pg.results("Mine") == [{"itemID": 1, "user": "alice"}, {"itemID": 2, "user": "alice"}]
        bob = pg.client("bob")
        answer = bob.result(bob.complete("Mine")).json()
        assert answer["data"]["results"] == [{"itemID": 3, "user": "bob"}]
        bob.delete_all()
    finally:
        shop.sql("ALTER TABLE item DISABLE ROW LEVEL SECURITY", DATABASE)


def test_all_statements_see_one_snapshot(pg, shop):
    holder = subprocess.Popen(shop.psql(DATABASE), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        holder.stdin.write("SELECT pg_advisory_lock(7);\nSELECT 'held';\n")
        holder.stdin.flush()
        assert "held" in holder.stdout.readline() + holder.stdout.readline()
        reference = pg.alice.order("Snapshot")
        poll(lambda: pg.activity(reference, "wait_event_type") == ["Lock"], what="the wait for the lock")
        shop.sql("UPDATE item SET price = 99.99 WHERE item_id = 2", DATABASE)
    finally:
        holder.communicate("")  # its session ends, and so does its lock
    pg.alice.finish(reference)
    data = pg.alice.result(reference).json()["data"]
    shop.sql("UPDATE item SET price = 0.05 WHERE item_id = 2", DATABASE)
    assert data["results"][0]["price"] == 0.05 and data["summary"]["price"] == 0.05


MIGRATIONS = {
    "ALTER": "ALTER TABLE moved ALTER COLUMN v TYPE bigint USING v + 100;",
    "TRUNCATE": "TRUNCATE moved; INSERT INTO moved VALUES (101), (102);",
    "DROP": "DROP TABLE moved; CREATE TABLE moved AS SELECT v FROM (VALUES (101), (102)) AS t (v);"
            f"GRANT SELECT ON moved TO {READER};",
}


@pytest.mark.parametrize("name", MIGRATIONS)
def test_a_table_that_is_written_anew_under_a_report_does_not_look_empty(pg, shop, name):
    """The report's snapshot is older than its lock on the table: it is run again."""
    shop.sql("DROP TABLE IF EXISTS moved; CREATE TABLE moved AS SELECT v FROM (VALUES (1), (2)) AS t (v);"
             f"GRANT SELECT ON moved TO {READER}", DATABASE)
    (pg.reports / "Moved.sql").write_text("-- report: Moved\n-- source: data\n-- results\nSELECT v FROM moved ORDER BY v\n")
    pg.reload()
    holder = subprocess.Popen(shop.psql(DATABASE), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        holder.stdin.write(f"BEGIN; {MIGRATIONS[name]} SELECT 'held';\n")
        holder.stdin.flush()
        assert "held" in holder.stdout.readline()
        reference = pg.alice.order("Moved")
        poll(lambda: pg.activity(reference, "wait_event_type") == ["Lock"], what="the wait for the lock")
    finally:
        holder.communicate("COMMIT;")
    assert pg.alice.finish(reference).json()["data"] == "complete"
    assert [row["v"] for row in pg.alice.result(reference).json()["data"]["results"]] == [101, 102]
    pg.alice.delete(reference)


# --- stopping ---------------------------------------------------------------------------------------


def assert_gone(pg, reference):
    assert pg.activity(reference) == []
    assert pg.alice.status(reference).json()["data"] == {}


@pytest.mark.parametrize("name", ["Sleep", "Endless"])
def test_delete_ends_the_query_in_the_database_before_it_is_answered(pg, name):
    reference = pg.alice.order(name)
    pg.wait_until_active(reference)
    workers = pg.workers()
    assert pg.alice.delete(reference).json()["result"] is True
    assert_gone(pg, reference)
    assert pg.workers() == workers  # within the grace: none was killed


def test_a_report_that_waits_for_a_lock_stops_too(pg, shop):
    holder = subprocess.Popen(shop.psql(DATABASE), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        holder.stdin.write("BEGIN; LOCK TABLE item; SELECT 'held';\n")
        holder.stdin.flush()
        assert "held" in holder.stdout.readline()
        reference = pg.alice.order("Locked")
        poll(lambda: pg.activity(reference, "wait_event_type") == ["Lock"], what="the wait for the lock")
        assert pg.alice.delete(reference).json()["result"] is True
        assert_gone(pg, reference)
    finally:
        holder.communicate("ROLLBACK;")


def test_a_connection_that_was_cancelled_is_not_used_again(pg, shop):
    reference = pg.alice.order("Sleep")
    pg.wait_until_active(reference)
    pid = pg.activity(reference, "pid")[0]
    pg.alice.delete(reference)
    poll(lambda: shop.sql(f"SELECT pid FROM pg_stat_activity WHERE pid = {pid}") == [], what="its end")


def test_a_report_that_takes_too_long_is_stopped_in_the_database(pg):
    reference = pg.alice.order("Hasty")
    answer = pg.alice.finish(reference).json()
    assert answer["message"].startswith("The report took longer than its limit of 300ms and was stopped. ")
    assert pg.activity(reference) == []
    pg.alice.delete(reference)


def test_the_database_ends_the_query_of_a_worker_that_hangs(pg):
    """By statement_timeout. One that does not hang takes the answer and closes, before anybody can look."""
    reference = pg.alice.order("Overdue")
    pg.wait_until_active(reference)
    pid = pg.activity(reference, "pid")[0]
    workers = pg.workers()
    try:
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        poll(lambda: pg.postgres.sql(f"SELECT state FROM pg_stat_activity WHERE pid = {pid}") ==
             ["idle in transaction (aborted)"], what="the end of the query")
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
    assert pg.alice.finish(reference).json()["data"] == "error"
    pg.alice.delete(reference)


def test_the_query_of_a_worker_that_was_killed_ends(pg):
    """By client_connection_check_interval: the server looks whether somebody is still there."""
    reference = pg.alice.order("Sleep")
    pg.wait_until_active(reference)
    pid = pg.activity(reference, "pid")[0]
    for worker in pg.workers():
        subprocess.run(["kill", "-KILL", str(worker)], check=True)
    poll(lambda: pid not in pg.activity(reference, "pid"), what="the end of the query")
    pg.alice.delete(reference)
    assert_gone(pg, reference)


def test_a_query_that_the_administrator_stops_says_so(pg, shop):
    reference = pg.alice.order("Sleep")
    pg.wait_until_active(reference)
    shop.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
             f" WHERE application_name = 'reportd {reference}'")
    assert "stopped in its database" in pg.alice.finish(reference).json()["message"]
    pg.alice.delete(reference)


def test_a_connection_that_is_lost_is_told_and_the_next_report_works(pg, shop):
    reference = pg.alice.order("Sleep")
    pg.wait_until_active(reference)
    shop.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
             f" WHERE application_name = 'reportd {reference}'")
    message = pg.alice.finish(reference).json()["message"]
    assert message == "The connection to the report's database was lost. Try again later."
    pg.alice.delete(reference)
    assert pg.results("Checked", ItemID="1") == [{"itemID": 1}]


# --- servers of their own ---------------------------------------------------------------------------


@pytest.fixture
def make_pg(shop, tmp_path):
    """A server of the test's own: make_pg(url, workers=1)."""
    made = []

    def make(url, **config):
        made.append(PgServer.on(shop, tmp_path / f"pg{len(made)}", url, **config))
        return made[-1]

    yield make
    for server in made:
        assert server.stop() == 0
        server.check_log()


def test_the_time_zone_and_the_order_of_dates_are_those_of_the_role(make_pg, shop):
    shop.sql(f"CREATE ROLE sydney LOGIN; GRANT {READER} TO sydney; ALTER ROLE sydney SET TimeZone = 'Australia/Sydney';"
             " ALTER ROLE sydney SET DateStyle = 'SQL, DMY'; ALTER ROLE sydney SET IntervalStyle = 'postgres_verbose'")
    server = make_pg(shop.url(DATABASE, "sydney"))
    (server.reports / "Zone.sql").write_text("""-- report: Zone
-- source: data
-- results
SELECT (timestamptz '2024-01-11 20:00+00')::date AS "day", timestamptz '2024-07-12 03:04:05' AS "moment",
       ARRAY[timestamptz '2024-01-12 03:04:05'] AS "moments", '03/04/2024'::date AS "date",
       interval '90 minutes' AS "interval"
""")
    server.reload()
    assert server.results("Zone") == [{"day": "2024-01-12", "moment": "2024-07-11T17:04:05Z",
                                       "moments": ["2024-01-11T16:04:05Z"], "date": "2024-04-03",
                                       "interval": "PT1H30M"}]


def test_no_notice_of_the_database_reaches_the_log(make_pg, shop):
    shop.sql("CREATE FUNCTION tell(said text) RETURNS text LANGUAGE plpgsql AS"
             " $$ BEGIN RAISE NOTICE 'the value is %', said; RAISE WARNING 'it is %', said; RETURN said; END $$", DATABASE)
    server = make_pg(shop.url(DATABASE, READER), log_format="json")
    (server.reports / "Tell.sql").write_text(
        '-- report: Tell\n-- source: data\n-- parameter: Said string required\n-- results\nSELECT tell(:Said) AS "said"\n')
    server.reload()
    said = 'open-sesame\n{"time": "2024-01-01T00:00:00Z", "level": "info", "event": "forged"}'
    assert server.results("Tell", Said=said) == [{"said": said}]
    assert "open-sesame" not in server.log_text() and "forged" not in server.log_text()


def test_a_restart_of_postgresql_between_reports_goes_unnoticed(make_pg):
    own = Postgres()
    try:
        own.create_database(DATABASE, SCRIPT % own.password)
        server = make_pg(own.url(DATABASE, READER, tcp=True), workers=1)
        for how in ("SIGINT", "SIGKILL"):
            assert server.results("Checked", ItemID="1") == [{"itemID": 1}]
            own.restart(how)
        assert server.results("Checked", ItemID="1") == [{"itemID": 1}]
        own.stop()
        assert server.refusal("Checked", ItemID="1") == \
            "The report's database cannot be reached. Try again later."
        server.detail("Connection refused")
        own.start()
        assert server.results("Checked", ItemID="1") == [{"itemID": 1}]
    finally:
        own.close()


def test_tcp_names_and_passwords_work_in_the_workers_sandbox(make_pg, shop):
    server = make_pg(shop.url(DATABASE, READER, tcp=True).replace("127.0.0.1", "localhost")
                     .replace("postgresql://", "postgres://"))
    assert server.results("Checked", ItemID="1") == [{"itemID": 1}]
    reference = server.alice.order("Sleep")
    server.wait_until_active(reference)
    server.alice.delete(reference)
    assert_gone(server, reference)
    for pid in processes_below(server.process.pid):
        assert "\nSeccomp:\t2\n" in Path(f"/proc/{pid}/status").read_text()  # it has a filter of system calls


def test_the_password_is_in_no_message_and_no_log(make_pg, shop):
    server = make_pg(shop.url(DATABASE, "nobody", tcp=True).replace(shop.password, "open-sesame"))
    assert server.refusal("Checked", ItemID="1") == "The report's database cannot be reached. Try again later."
    server.detail("password authentication failed")
    assert "open-sesame" not in server.log_text()


def rss_kib(pids):
    return [int(re.search(r"^VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M).group(1)) for pid in pids]


def test_memory_does_not_grow_with_the_rows(make_pg, shop):
    # else ASan keeps the last 256 MiB that were freed
    server = make_pg(shop.url(DATABASE, READER), workers=1, asan="quarantine_size_mb=1")
    server.alice.delete(server.alice.complete("Big", Rows="1000"))
    before = rss_kib(server.workers())
    reference = server.alice.complete("Big", Rows=str(ROWS))
    assert server.alice.list().json()["data"]["reports"][0]["rows"] == ROWS
    after = rss_kib(server.workers())
    server.alice.delete(reference)
    assert len(before) == len(after) == 1 and after[0] - before[0] < 24 * 1024, (before, after)


def test_check_compiles_every_statement_and_names_the_line(shop, tmp_path):
    server = PgServer.made(tmp_path / "server", source=shop.url(DATABASE, READER))
    define(server, {"Good": DEFINITIONS["Parameters"] + "-- summary\nSELECT 1 AS one"})
    done = server.run("check", "-c", "reportd.conf")
    assert done.returncode == 0, done.stdout + done.stderr
    define(server, {
        "Misspelt": "-- results\nSELECT item_id,\n'ü' AS x, ownr FROM item\n-- summary\nSELECT\n1 FROM nowhere",
        "Undeclared": '-- column: amuont decimal(2)\n-- results\nSELECT price AS "amount" FROM item',
        "Mistyped": "-- parameter: Paint string\n-- results\nSELECT item_id FROM item\nWHERE paint = :Paint",
        "Writes": "-- results\nDELETE FROM item",
        "Two": "-- results\nSELECT 1 AS a; SELECT 2 AS a",
    })
    done = server.run("check", "-c", "reportd.conf")
    assert done.returncode == 1
    for words in ['Misspelt.sql:5: postgresql: column "ownr" does not exist (42703)',
                  'Misspelt.sql:8: postgresql: relation "nowhere" does not exist (42P01)',
                  "Undeclared.sql:3: no statement returns a column 'amuont'",
                  "Mistyped.sql:6: postgresql: operator does not exist: colour = text (42883)",
                  "Writes.sql:4: the statement is not a SELECT",
                  "Two.sql:4: "]:
        assert words in done.stdout, done.stdout


@pytest.mark.parametrize("url, words", [
    ("postgresql://127.0.0.1:1/x", "Connection refused"),
    ("postgresql://h:secret@[::1/x", "write postgresql://USER@HOST:PORT/DATABASE"),
    ("postgresql://u:se%zzcret@h/x", "withheld"),
    ("postgresql://u:not@secret@h/x", "withheld"),
    ("postgresql://u:not/secret@h/x", "withheld"),
    ("postgresql://u:not?secret@h/x", "withheld"),
    ("postgresql://u:not#secret@h/x", "withheld"),
    ("postgresql://u:secret", "withheld"),
    ("postgresql://u:secret/x", "withheld"),
    ("postgresql://h/x?password=secret%zz", "withheld"),
    ("postgresql://127.0.0.1:1,127.0.0.1:1/x", "Connection refused"),
    ("postgresql://u:s%65cret@127.0.0.1:1/x", "Connection refused"),
    ("postgresql://h/x?colour=red", 'invalid URI query parameter: "colour"'),
    ("mysql://u:secret@h/x", "there is no database of kind 'mysql'"),
    ("sqlite:", "source data takes the url of an SQLite or PostgreSQL database"),
])
def test_check_says_what_is_wrong_with_the_url_but_not_the_password(tmp_path, url, words):
    server = PgServer.made(tmp_path / "server", source=url)
    define(server, {"One": "-- results\nSELECT 1 AS a"})
    done = server.run("check", "-c", "reportd.conf")
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert words in said and "secret" not in said, said


class Silent:
    """A port where somebody listens and never answers."""

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        return self.socket.getsockname()[1]

    def __exit__(self, *_):
        self.socket.close()


def test_a_report_that_is_still_connecting_can_be_deleted(make_pg):
    with Silent() as port:
        server = make_pg(f"postgresql://127.0.0.1:{port}/x")
        reference = server.alice.order("Sleep")
        server.alice.wait_for(reference, "processing")
        workers = server.workers()
        assert server.alice.delete(reference).json()["result"] is True
        assert server.workers() == workers  # none had to be killed


def test_a_database_that_does_not_answer_ends_the_report(make_pg):
    with Silent() as port:
        server = make_pg(f"postgresql://127.0.0.1:{port}/x?connect_timeout=1")
        assert server.refusal("Sleep") == "The report's database cannot be reached. Try again later."
        server.detail("did not answer within connect_timeout")
