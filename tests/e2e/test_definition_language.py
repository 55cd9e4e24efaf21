"""What a definition may say, on both engines: byte for byte the same results."""

import json
import re
import sqlite3
from pathlib import Path

import pytest

from harness import Server, poll

SCHEMA = """
    CREATE TABLE sale (sale_id integer PRIMARY KEY, country varchar(20) NOT NULL, cents integer NOT NULL);
    INSERT INTO sale VALUES (1, 'AU', 1050), (2, 'AU', 25), (3, 'NZ', 700), (4, 'FJ', -5);
"""


def peak(pid):
    """The most memory that a process had so far, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) << 10


class Engines:
    """Two servers with the same definitions over the same tables, on SQLite and on PostgreSQL."""

    def __init__(self, folder, postgres, database):
        self.postgres, self.database = postgres, postgres.create_database(database)
        postgres.sql(SCHEMA + ORDERS, self.database)
        self.servers = []
        for name, source in (("sqlite", "sqlite:sales.db"), ("postgres", postgres.url(self.database))):
            server = Server.made(folder / name, source=source, workers=1)
            server.environment["ASAN_OPTIONS"] = "quarantine_size_mb=1"  # not the last 256 MiB that were freed
            with sqlite3.connect(server.folder / "sales.db") as db:
                db.executescript(SCHEMA + ORDERS)
            db.close()
            server.add_user("alice")
            self.servers.append(server.start())

    def close(self):
        for server in self.servers:
            assert server.stop() == 0
            server.check_log()

    def define(self, sections, header=""):
        for server in self.servers:
            (server.reports / "Told.sql").write_text(f"-- report: Told\n-- source: data\n{header}{sections}\n")
            server.reload()

    def run(self, sections, header="", **parameters):
        """The text of the report's data from `results` on, which must be the same on both."""
        self.define(sections, header)
        texts = []
        for server in self.servers:
            client = server.client_of("alice")
            reference = client.complete("Told", **parameters)
            text = client.result(reference).text
            json.loads(text)
            texts.append(text[text.index('"results":') : -1])
            client.delete(reference)
        assert texts[0] == texts[1]
        return texts[0]

    def fails(self, sections, header="", **parameters):
        """Of each engine: the message for the user, and the line that the log names."""
        self.define(sections, header)
        for server in self.servers:
            client = server.client_of("alice")
            reference = client.order("Told", **parameters)
            answer = client.finish(reference).json()
            assert answer["data"] == "error", answer
            poll(lambda: f"report.failed reference={reference}" in server.log_text(), what="the line of the log")
            lines = re.findall(rf"{reference}.*line (\d+)", server.log_text())
            client.delete(reference)
            yield answer["message"], int(lines[-1]) if lines else None


@pytest.fixture(scope="module")
def engines(postgres, tmp_path_factory):
    made = Engines(tmp_path_factory.mktemp("language"), postgres, "language")
    yield made
    made.close()


# --- numbers --------------------------------------------------------------------------------------------

NUMBERS = [  # a value, as it prints with decimal(2)
    ("2", "2.00"), ("9.8", "9.80"), ("CAST(1.5 AS numeric)", "1.50"), ("CAST('2.5' AS varchar(5))", "2.50"),
    ("CAST(289746.10000000003 AS double precision)", "289746.10"), ("CAST(2 AS double precision)", "2.00"),
    ("CAST(2.675 AS double precision)", "2.68"), ("CAST(1.005 AS double precision)", "1.01"),
    ("CAST(-0.004 AS double precision)", "-0.00"), ("CAST(-2.675 AS double precision)", "-2.68"), ("NULL", "null"),
]
WHOLE = [  # in units of a hundredth
    ("CAST(3050 AS integer)", "30.50"), ("CAST(3050 AS bigint)", "30.50"), ("CAST(3050 AS numeric)", "30.50"), ("-5", "-0.05"),
    ("(SELECT sum(quantity) FROM line)", "0.12"), ("(SELECT sum(x) FROM (SELECT CAST(3050 AS bigint) AS x) AS t)", "30.50"),
]


@pytest.mark.parametrize("kind, values", [("decimal(2)", NUMBERS), ("scaled(2)", WHOLE)])
def test_a_number_prints_alike_in_results_sets_and_summary(engines, kind, values):
    declared = "".join(f"-- column: n{i} {kind}\n-- column: a[].n{i} {kind}\n" for i in range(len(values)))
    plain = "SELECT " + ", ".join(f'{sql} AS "n{i}"' for i, (sql, _) in enumerate(values))
    nested = plain.replace('AS "', 'AS "a[].')
    text = engines.run(f"-- results\n{plain};\n-- set: more\n{nested};\n-- summary\n{plain}", declared)
    printed = "{" + ",".join(f'"n{i}":{shown}' for i, (_, shown) in enumerate(values)) + "}"
    assert text == f'"results":[{printed}],"more":[{{"a":[{printed}]}}],"summary":{printed}}}'


@pytest.mark.parametrize("kind, sql, words", [
    ("decimal(2)", "CAST('2.5 m' AS varchar(9))", "The column 'odd' is declared decimal and holds text that is not a decimal"),
    ("scaled(2)", "CAST(3050 AS double precision)", "The column 'odd' is declared scaled and takes integers; the query gives a real"),
    ("scaled(2)", "CAST(30.5 AS double precision)", "The column 'odd' is declared scaled and takes integers; the query gives a real"),
])
def test_what_is_not_such_a_number_ends_the_report_and_names_the_column(engines, kind, sql, words):
    for message, _ in engines.fails(f'-- results\nSELECT {sql} AS "odd"', f"-- column: odd {kind}\n"):
        assert words in message


@pytest.mark.parametrize("given", ["2", "2.00", "9.8", "1000", "999.99", "-0.5", "0", "4294967296", "123456.789"])
def test_a_decimal_parameter_is_the_number_that_it_is_in_the_shell(engines, given):
    """Compared, calculated with and in HAVING: as the same digits written into the SQL."""
    sql = """-- results
SELECT CASE WHEN {min} < 1000 THEN 1 ELSE 0 END AS "below", {min} * 1 AS "same", {min} + 0.25 AS "more",
       (SELECT count(*) FROM sale WHERE cents / 100.0 >= {min}) AS "sales";
-- set: countries
SELECT country AS "country" FROM sale GROUP BY country HAVING sum(cents) > {min} ORDER BY country"""
    columns = "-- column: same decimal(3)\n-- column: more decimal(3)\n"
    written = engines.run(sql.format(min=given), columns)
    assert engines.run(sql.format(min=":Min"), "-- parameter: Min decimal required\n" + columns, Min=given) == written


# --- with -------------------------------------------------------------------------------------------

WITH = """-- with
sold AS (
    SELECT country, sum(cents) AS cents FROM sale WHERE cents > :Least GROUP BY country
)

-- check: Nothing was sold.
SELECT 1 FROM sale LIMIT 1;
"""
LEAST = "-- parameter: Least integer default 0\n"


def test_what_stands_in_with_is_written_once(engines):
    text = engines.run(WITH + """
-- results
SELECT country AS "country", cents AS "amount" FROM sold ORDER BY country;

-- summary
SELECT sum(cents) AS "total" FROM sold""", LEAST + "-- column: amount scaled(2)\n-- column: total scaled(2)\n")
    assert text == ('"results":[{"country":"AU","amount":10.75},{"country":"NZ","amount":7.00}],'
                    '"summary":{"total":17.75}}')


def test_a_statement_has_its_own_with_too_and_either_may_be_recursive(engines):
    text = engines.run(WITH.replace("sold AS", "RECURSIVE one AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM one "
                                                "WHERE n < 2), sold AS") + """
-- results
WITH best AS (SELECT max(cents) AS cents FROM sold)
SELECT n AS "n", country AS "country" FROM sold JOIN best ON best.cents = sold.cents CROSS JOIN one ORDER BY n;

-- summary
WITH RECURSIVE down AS (SELECT 3 AS n UNION ALL SELECT n - 1 FROM down WHERE n > 1)
SELECT count(*) AS "down", (SELECT count(*) FROM sold) AS "countries" FROM down""", LEAST)
    assert text == ('"results":[{"n":1,"country":"AU"},{"n":2,"country":"AU"}],'
                    '"summary":{"down":3,"countries":2}}')


def test_a_check_does_not_have_with(engines):
    for message, line in engines.fails("-- with\nw AS (SELECT 1 AS x)\n-- check: No.\nSELECT 1 FROM w\n"
                                       "-- results\nSELECT x AS \"x\" FROM w"):
        assert message == "The report's query failed." and line == 6


@pytest.mark.parametrize("sections, line", [
    ("-- with\na AS (SELECT 1 AS x),\nb AS (SELECT nothing FROM sale)\n-- results\nSELECT * FROM b", 5),
    ("-- with\na AS (SELECT 1 AS x)\n\n-- results\n-- Why.\nSELECT x,\n\n  nothing\nFROM a", 10),
    ("-- with\na AS (\nSELECT 1 AS x)\n-- results\nSELECT x AS \"x\" FROM a\n-- summary\nWITH\n\nb AS (SELECT 1 AS y)"
     "\nSELECT x, y,\nnothing FROM a, b", 13),
    ("-- with\nRECURSIVE\na AS (SELECT 1 AS x)\n-- results\n\nWITH RECURSIVE\nb AS (SELECT 1 AS y)\nSELECT\n"
     "nothing FROM a, b", 11),
])
def test_an_error_of_the_database_names_the_line_of_the_file(engines, sections, line):
    for message, found in engines.fails(sections):
        assert (message, found) == ("The report's query failed.", line)


# --- sets -------------------------------------------------------------------------------------------

# More rows than any engine gives within the patience of a test.
ENDLESS = """-- with
RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 2000000000)
-- results
"""


@pytest.mark.parametrize("column, header, words", [
    ("i", "-- row limit: 1000\n", "more rows than its limit of 1000"),
    ("i", "-- size limit: 1M\n", "larger than its limit of 1M"),
    ("CASE i WHEN 9 THEN 'nine' ELSE '1' END", "-- column: i decimal(0)\n", "holds text that is not a decimal number"),
])
def test_a_report_that_ends_in_error_does_not_wait_for_the_rows_that_are_left(engines, column, header, words):
    for message, _ in engines.fails(f'{ENDLESS}SELECT {column} AS "i" FROM n', header):
        assert words in message


SETS = """-- with
big AS (SELECT * FROM sale WHERE cents >= 25)
-- results
SELECT sale_id AS "id" FROM big ORDER BY sale_id;
-- set: byCountry
SELECT country AS "country", sum(cents) AS "amount", count(*) AS "sales[].count" FROM big
GROUP BY country ORDER BY country;
-- set: none
SELECT 1 AS "x" FROM big WHERE 1 = 0;
-- summary
SELECT count(*) AS "count" FROM big"""
AMOUNT = "-- column: amount scaled(2)\n"


def test_a_set_has_its_rows_behind_the_results(engines):
    assert engines.run(SETS, AMOUNT) == (
        '"results":[{"id":1},{"id":2},{"id":3}],'
        '"byCountry":[{"country":"AU","amount":10.75,"sales":[{"count":2}]},'
        '{"country":"NZ","amount":7.00,"sales":[{"count":1}]}],"none":[],"summary":{"count":3}}')


def test_the_rows_of_a_report_are_those_of_its_results(engines):
    engines.define(SETS, AMOUNT)
    for server in engines.servers:
        client = server.client_of("alice")
        reference = client.complete("Told")
        (listed,) = client.list().json()["data"]["reports"]
        assert listed["rows"] == 3
        assert listed["bytes"] == len(client.result(reference).content)
        client.delete(reference)


def test_the_rows_of_sets_count_for_the_limits(engines):
    for message, _ in engines.fails(SETS, AMOUNT + "-- row limit: 4\n"):
        assert "more rows than its limit of 4" in message
    # The header and the results, with what stands behind all sets, are less than 300 bytes.
    long = SETS.replace('1 AS "x" FROM big WHERE 1 = 0', f"""'{300 * "y"}' AS "x\"""")
    for message, _ in engines.fails(long, AMOUNT + "-- size limit: 500\n"):
        assert "larger than its limit of 500" in message
    engines.run(long, AMOUNT + "-- row limit: 6\n-- size limit: 1000\n")


def test_an_error_in_a_set_names_its_line(engines):
    for message, line in engines.fails(SETS.replace("WHERE 1 = 0", "\nWHERE nothing"), AMOUNT):
        assert message == "The report's query failed." and line == 13


def test_a_declaration_that_meets_no_column_of_any_section_is_refused(engines):
    for message, line in engines.fails(SETS, "-- column: cents scaled(2)\n" + AMOUNT):
        assert "declares the column 'cents'" in message and line == 3


# --- nesting ----------------------------------------------------------------------------------------

ORDERS = """
    CREATE TABLE customer (customer_id integer PRIMARY KEY, rate numeric NOT NULL);
    CREATE TABLE item_order (order_id integer PRIMARY KEY, customer_id integer NOT NULL);
    CREATE TABLE line (line_id integer PRIMARY KEY, order_id integer NOT NULL, sku varchar(10), quantity integer);
    INSERT INTO customer VALUES (1, 1.5), (2, 2.5), (3, 2.5);
    INSERT INTO item_order VALUES (10, 1), (11, 1), (12, 2);
    INSERT INTO line VALUES (1, 10, 'nut', 5), (2, 10, 'bolt', NULL), (3, 12, NULL, 7), (4, 12, NULL, NULL);
"""
TREE = """-- results
SELECT c.customer_id AS "id", o.order_id AS "orders[].id", l.sku AS "orders[].lines[].sku",
       l.quantity AS "orders[].lines[].detail.quantity"
FROM customer AS c LEFT JOIN item_order AS o ON o.customer_id = c.customer_id
LEFT JOIN line AS l ON l.order_id = o.order_id
ORDER BY c.customer_id, o.order_id, l.line_id"""


def test_an_array_may_stand_in_the_elements_of_another(engines):
    assert engines.run(TREE) == (
        '"results":[{"id":1,"orders":[{"id":10,"lines":[{"sku":"nut","detail":{"quantity":5}},'
        '{"sku":"bolt","detail":{"quantity":null}}]},{"id":11,"lines":[]}]},'
        '{"id":2,"orders":[{"id":12,"lines":[{"sku":null,"detail":{"quantity":7}}]}]},'
        '{"id":3,"orders":[]}],"summary":{}}')


def test_keys_of_parents_compare_as_values(engines):
    """A column that is 1 in one row and 1.0 in another: of no type in SQLite, and in PostgreSQL numeric."""
    text = engines.run("""-- results
SELECT key AS "key", id AS "rows[].id" FROM (
    SELECT CAST(1 AS numeric) AS key, 1 AS id UNION ALL SELECT 1.00, 2 UNION ALL SELECT 1.5, 3 UNION ALL SELECT 1.50, 4
) AS t ORDER BY id""", "-- column: key decimal(1)\n")
    assert text.startswith('"results":[{"key":1.0,"rows":[{"id":1},{"id":2}]},{"key":1.5,"rows":[{"id":3},{"id":4}]}]')


@pytest.mark.parametrize("keys", [
    ("'{\"b\": 2, \"a\": [1.0]}'::jsonb", "'{\"a\": [1.00], \"b\": 2.0}'::jsonb"),
    ("ARRAY[1.0, 2]", "ARRAY[1.00, 2.00]"),
])
def test_documents_and_arrays_as_keys_compare_as_postgres_compares_them(engines, keys):
    one, other = keys
    postgres = engines.servers[1]
    (postgres.reports / "Keys.sql").write_text(
        f"-- report: Keys\n-- source: data\n-- results\nSELECT k AS \"k\", i AS \"rows[].i\"\n"
        f"FROM (VALUES ({one}, 1), ({other}, 2)) AS t (k, i) WHERE {one} = {other} ORDER BY k, i\n")
    postgres.reload()
    client = postgres.client_of("alice")
    (parent,) = client.result(client.complete("Keys")).json()["data"]["results"]
    assert parent["rows"] == [{"i": 1}, {"i": 2}]


@pytest.mark.parametrize("names, words", [
    (("a[].x", "a[].b[].c[].y"), "nests arrays too deep"),
    (("a[].x", "b[].y"), "belongs to a second array"),
    (("a[].b[].x", "a[].y"), "must come before the columns of the array"),
])
def test_names_that_make_no_tree_are_refused(engines, names, words):
    columns = ", ".join(f'1 AS "{name}"' for name in names)
    for message, _ in engines.fails(f"-- results\nSELECT {columns}"):
        assert words in message and names[1] in message


def test_a_deep_report_needs_no_more_memory_than_a_short_one(engines):
    sections = """-- with
RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < :Most)
-- results
SELECT 1 AS "one", i % 2 AS "halves[].half", i AS "halves[].numbers[].number" FROM n ORDER BY i % 2, i"""
    engines.define(sections, "-- parameter: Most integer required\n")
    for server in engines.servers:
        client = server.client_of("alice")
        sizes = []
        for most in (1000, 600_000):
            reference = client.complete("Told", Most=str(most))
            numbers = client.result(reference).json()["data"]["results"][0]["halves"]
            assert [len(half["numbers"]) for half in numbers] == [most // 2, most // 2]
            sizes.append(max(peak(pid) for pid in server.workers()))
            client.delete(reference)
        assert sizes[1] - sizes[0] < 24 << 20


SUMMARY = """-- with
country AS (SELECT country AS name, count(*) AS n, sum(cents) AS cents FROM sale WHERE cents > :Least GROUP BY country)
-- results
SELECT 1 AS "one";
-- summary
SELECT t.n AS "total", c.name AS "countries[].name", c.cents AS "countries[].amount"
FROM (SELECT count(*) AS n FROM country) AS t LEFT JOIN country AS c ON {condition} ORDER BY c.name"""
IN_SUMMARY = LEAST + "-- column: countries[].amount scaled(2)\n"


def test_the_rows_of_a_summary_may_nest_into_its_one_object(engines):
    text = engines.run(SUMMARY.format(condition="1 = 1"), IN_SUMMARY)
    assert text == ('"results":[{"one":1}],"summary":{"total":2,"countries":[{"name":"AU","amount":10.75},'
                    '{"name":"NZ","amount":7.00}]}}')
    text = engines.run(SUMMARY.format(condition="1 = 1"), IN_SUMMARY, Least="9999")
    assert text == '"results":[{"one":1}],"summary":{"total":0,"countries":[]}}'


def test_a_summary_is_one_object_within_the_limits(engines):
    words = "The report's summary has more than one row; it must have one."
    for message, _ in engines.fails(SUMMARY.format(condition="1 = 1").replace("t.n AS", "c.cents AS"), IN_SUMMARY):
        assert message == words
    for message, _ in engines.fails(SUMMARY.format(condition="1 = 1") + " LIMIT 0", IN_SUMMARY):
        assert message == "The report's summary has no row; it must have one."
    endless = ENDLESS + 'SELECT 1 AS "one";\n-- summary\nSELECT 1 AS "one", i AS "numbers[].number" FROM n'
    for message, _ in engines.fails(endless, "-- size limit: 1M\n"):
        assert "larger than its limit of 1M" in message


def test_a_dot_nests_only_in_a_name_that_is_given_with_as(engines):
    text = engines.run("""-- with
w AS (SELECT 1 AS "in.with", 2 AS x)
-- results
SELECT v.*, "in.with", x AS "o.x", x + 1 AS "o.y", x AS "v\\.1" FROM (SELECT 5 "plain.dot") AS v, w""",
                       "-- column: v\\.1 decimal(1)\n-- column: plain.dot scaled(1)\n")
    assert text.startswith('"results":[{"plain.dot":0.5,"in":{"with":1},"o":{"x":2,"y":3},"v.1":2.0}]')
