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
            line = [line for line in server.log_text().splitlines() if reference in line and "line " in line][-1]
            client.delete(reference)
            yield answer["message"], int(re.search(r"line (\d+)", line).group(1))


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
