"""What a definition may say, on both engines: byte for byte the same results."""

import json
import re
import sqlite3

import pytest

from harness import Server

SCHEMA = """
    CREATE TABLE sale (sale_id integer PRIMARY KEY, country varchar(20) NOT NULL, cents integer NOT NULL);
    INSERT INTO sale VALUES (1, 'AU', 1050), (2, 'AU', 25), (3, 'NZ', 700), (4, 'FJ', -5);
"""


class Engines:
    """Two servers with the same definitions over the same tables, on SQLite and on PostgreSQL."""

    def __init__(self, folder, postgres):
        database = postgres.create_database("language")
        postgres.sql(SCHEMA, database)
        self.servers = []
        for name, source in (("sqlite", "sqlite:sales.db"), ("postgres", postgres.url(database))):
            server = Server.made(folder / name, source=source)
            with sqlite3.connect(server.folder / "sales.db") as db:
                db.executescript(SCHEMA)
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
            lines = re.findall(rf"{reference}.*line (\d+)", server.log_text())
            client.delete(reference)
            yield answer["message"], int(lines[-1]) if lines else None


@pytest.fixture(scope="module")
def engines(postgres, tmp_path_factory):
    made = Engines(tmp_path_factory.mktemp("language"), postgres)
    yield made
    made.close()


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
