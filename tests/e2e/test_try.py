"""`reportd try`: a report without a server, run as a worker does, of which nothing stays."""

import contextlib
import csv
import io
import json
import os
import signal
import sqlite3
import subprocess

import pytest

from harness import PATIENCE, Server, poll, processes_below

EXIT_SIGNAL = 128
SCRIPT = """
CREATE ROLE trier LOGIN PASSWORD '%s';
CREATE TABLE item (item_id integer PRIMARY KEY, owner text NOT NULL);
INSERT INTO item VALUES (1, 'ann'), (2, 'bob');
CREATE FUNCTION tell(said text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RAISE NOTICE 'it is %%', said; RETURN said; END $$;
GRANT SELECT ON item TO trier;
"""
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS \"n\" FROM n"


class Bench:
    """A folder with a configuration, and no server."""

    def __init__(self, folder, **config):
        self.server = Server.made(folder, **config)
        self.temp = self.server.folder / "temp"
        self.temp.mkdir()
        self.environment = {**os.environ, "TMPDIR": "temp"}

    def define(self, name, sql, header=""):
        (self.server.reports / f"{name}.sql").write_text(f"-- report: {name}\n-- source: data\n{header}{sql}\n")

    def files(self):
        return sorted(str(path.relative_to(self.server.folder)) for path in self.server.folder.rglob("*"))

    def start(self, *words):
        return subprocess.Popen([*self.server.program, "try", *words], cwd=self.server.folder, env=self.environment,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *words, status=0):
        """Standard output as it is, and standard error."""
        process = self.start(*words)
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == status, err.decode()
        return out.decode(), err.decode()


@pytest.fixture()
def bench(tmp_path):
    return Bench(tmp_path / "bench")


@pytest.fixture(scope="module")
def pg(postgres, tmp_path_factory):
    postgres.create_database("trials", SCRIPT % postgres.password)
    made = Bench(tmp_path_factory.mktemp("try") / "bench", source=postgres.url("trials", "trier"))
    made.postgres = postgres
    return made


def test_the_json_is_that_of_the_server(bench):
    out, err = bench.run("Nested")
    server = bench.server
    server.add_user("alice")
    server.start()
    alice = server.client("alice")
    served = alice.result(alice.complete("Nested")).text
    assert server.stop() == 0
    cut = served.index('"parameters":')  # behind the time of its generation
    assert out[out.index('"parameters":'):] == served[cut:] + "\n"
    assert err.startswith("4 rows, ")


def test_nothing_is_stored(bench):
    before = bench.files()
    bench.run("Nested")
    bench.define("Sorted", "-- results\n" + ENDLESS + " ORDER BY 1", "-- timeout: 100ms\n")
    bench.run("Sorted", status=1)
    bench.run("Typed", "Number=x", status=1)
    (bench.server.reports / "Sorted.sql").unlink()
    assert bench.files() == before


def test_csv_has_a_row_for_each_element(bench):
    out, err = bench.run("--csv", "Nested")
    assert err.startswith("4 rows, ")
    rows = list(csv.reader(io.StringIO(out, newline="")))
    assert rows == [["owner", "product.name", "product.id", "items.itemID", "items.amount"],
                    ["Ada", "Bonds", "1", "1", "1250000.00"], ["Ada", "Bonds", "1", "2", "0.01"],
                    ["Bob", 'Shares "A"', "2", "4", "9007199254740993.67"], ["Żaneta", "Bonds", "1", "3", "-2.05"]]


def test_csv_of_two_levels_of_empty_arrays_and_of_what_needs_quotes(bench):
    bench.define("Deep", """-- results
SELECT 1 AS "a", 'x' AS "b[].c", NULL AS "b[].d[].e"
UNION ALL SELECT 2, 'y, "z"', 'p' UNION ALL SELECT 2, 'y, "z"', 'q' || char(10) UNION ALL SELECT 3, NULL, NULL ORDER BY 1, 2, 3""")
    out, _ = bench.run("--csv", "Deep")
    assert out == ('a,b.c,b.d.e\r\n1,x,\r\n2,"y, ""z""",p\r\n2,"y, ""z""","q\n"\r\n3,,\r\n')


DOCUMENTS = [  # what a column of JSON has, as it stands in a cell
    '{"a": 1.50, "b": [1, null]}', '[{"x": 1}, {"x": 2}]', "[]", "{}", '"text, \\"quoted\\" \\n"', "1.50", "true", "null", "[null]",
]


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_a_column_of_json_is_one_cell_with_its_text(request, tmp_path, engine):
    """Whatever is in it: it makes neither rows nor columns."""
    bench = request.getfixturevalue("pg") if engine == "postgres" else Bench(tmp_path / "json")
    values = ", ".join(f"({i}, '{text}')" for i, text in enumerate(DOCUMENTS)) + ", (98, NULL)"
    nested = f"""-- results
SELECT i AS "id", doc AS "doc", 1 AS "items[].no", doc AS "items[].doc", '' AS "items[].empty"
FROM (SELECT column1 AS i, {"column2::json" if engine == "postgres" else "column2"} AS doc FROM (VALUES {values}) AS v) AS t ORDER BY i"""
    bench.define("Json", nested, "-- column: doc json\n-- column: items[].doc json\n")
    out, _ = bench.run("--csv", "Json")
    head, *rows = list(csv.reader(io.StringIO(out, newline="")))
    assert head == ["id", "doc", "items.no", "items.doc", "items.empty"]
    cells = [text if text != "null" else "" for text in DOCUMENTS] + [""]
    assert [row[1:] for row in rows] == [[text, "1", text, ""] for text in cells]
    assert out.count(',""\r\n') == len(rows)  # a text without a character, not NULL
    table = bench.run("--table", "Json")[0].splitlines()
    assert [word for word in table[1].split()] == head and len(table) == 3 + len(rows) + 2


def test_a_report_without_rows_has_the_names_of_its_columns(bench):
    bench.define("None", '-- results\nSELECT 1 AS "a", 2 AS "b[].c" WHERE 1 = 0\n-- set: more\nSELECT 3 AS "d" WHERE 1 = 0')
    assert bench.run("--csv", "None")[0] == "a,b.c\r\n"
    assert bench.run("--table", "None")[0] == "results:\na  b.c\n-  ---\n\nmore:\nd\n-\n\nsummary: {}\n"


def test_a_table_shows_the_first_rows_sets_and_the_summary(bench):
    bench.define("Many", """-- results
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30) SELECT i AS "i", 'é' || i AS "text" FROM n
-- set: more
SELECT 'b' || char(27) AS "a"
-- summary
SELECT 30 AS "rows" """)
    out, err = bench.run("--table", "Many")
    lines = out.splitlines()
    assert lines[:4] == ["results:", "i   text", "--  ----", "1   é1"]
    assert lines[22:25] == ["20  é20", "… the first 20 rows", ""]
    assert lines[25:] == ["more:", "a", "--", "b ", "", 'summary: {"rows":30}']
    assert err.startswith("30 rows, ")
    assert bench.run("--csv", "Many")[1].startswith("CSV has the rows of results only; the summary and sets are left")


def test_parameters_are_those_of_the_server(bench):
    out, _ = bench.run("--user", "ann", "-c", "reportd.conf", "Typed", "Text=a=b", "Colour=Red")
    assert json.loads(out)["data"]["results"][0]["text"] == "a=b"
    assert "'Number'" in bench.run("Typed", "Number=x", status=1)[1]
    assert "write NAME=VALUE" in bench.run("Typed", "Number", status=1)[1]
    assert bench.run("Nix", status=1)[1].endswith("/reports\n")
    (bench.server.reports / "Nix.sql").write_text("-- report: Nix\n-- source: shop\n-- results\nSELECT :x AS x\n")
    err = bench.run("Nix", status=1)[1]
    (bench.server.reports / "Nix.sql").unlink()
    assert ":x" in err and "/reports, unless it is in a file with problems: correct these first" in err
    assert "(did you mean Typed?)" in bench.run("Tpyed", status=1)[1]
    assert "the parameter Number is given twice" in bench.run("Typed", "Number=1", "Number=2", status=1)[1]
    assert "which report?" in bench.run(status=2)[1]
    assert "exclude each other" in bench.run("--csv", "--table", "Typed", status=2)[1]
    bench.define("Who", '-- results\nSELECT :session_user AS "who"')
    assert '"who":"ann"' in bench.run("--user", "ann", "Who")[0]


def test_local_time_is_in_the_zone_of_the_configuration(tmp_path):
    bench = Bench(tmp_path / "bench", timezone="Australia/Sydney")
    bench.define("Local", 'SELECT :At AS "at"', "-- parameter: At timestamp required\n-- results\n")
    for word in ("Local", "./reports/Local.sql"):
        out, _ = bench.run(word, "At=2024-01-12 14:04")
        assert json.loads(out)["data"]["results"] == [{"at": "2024-01-12 03:04:00"}]
        _, err = bench.run(word, "At=2024-04-07 02:30", status=1)
        assert "twice" in err, err


def test_a_file_that_is_not_in_the_folder_and_all_that_is_wrong_with_it(bench):
    draft = bench.server.folder / "draft.sql"
    draft.write_text("-- report: Draft\n-- source: data\n-- results\nSELECT 5 AS n")
    assert '"results":[{"n":5}]' in bench.run("draft.sql")[0]
    draft.write_text("-- report: Draft 1\n-- source: data\n-- timeout: 5\n-- results\nSELECT 5 AS n")
    _, err = bench.run("./draft.sql", status=1)
    assert "./draft.sql:1: 'Draft 1'" in err and "./draft.sql:3: '5' is not a valid timeout" in err
    draft.write_text("-- report: Draft\n-- source: elsewhere\n-- results\nSELECT 5 AS n")
    assert "draft.sql:2: there is no source 'elsewhere'" in bench.run("draft.sql", status=1)[1]


def test_what_a_worker_may_not_do_it_may_not_do_either(bench):
    bench.define("Check", "-- check: No item :ID.\nSELECT 1 FROM item WHERE item_id = :ID\n-- results\nSELECT 1 AS n",
                 "-- parameter: ID integer required\n")
    out, err = bench.run("Check", "ID=99", status=1)
    assert out == "" and "No item 99." in err and "Check.sql:5: check: No item :ID." in err
    bench.define("Writes", "-- results\nDELETE FROM item RETURNING item_id")
    assert "may not do" in bench.run("Writes", status=1)[1]
    bench.define("Rows", "-- results\nSELECT item_id FROM item", "-- row limit: 2\n")
    assert "more rows than its limit of 2" in bench.run("Rows", status=1)[1]
    bench.define("Late", "-- results\n" + ENDLESS, "-- timeout: 200ms\n")
    assert "longer than its limit of 200ms" in bench.run("Late", status=1)[1]


def test_ctrl_c_stops_it(bench):
    bench.define("Endless", "-- results\n" + ENDLESS)
    process = bench.start("Endless")
    poll(lambda: processes_below(process.pid), what="the process that runs it")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (EXIT_SIGNAL + signal.SIGINT, b"", b"reportd try: the report was stopped\n")


def test_it_waits_for_a_lock_and_ctrl_c_ends_the_wait(bench):
    bench.define("One", "-- results\nSELECT count(*) AS n FROM item")
    with contextlib.closing(sqlite3.connect(bench.server.folder / "data.db", isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        stopped, waiting = bench.start("One"), bench.start("One")
        for process in (stopped, waiting):
            poll(lambda pid=process.pid: processes_below(pid), what="the process that runs it")
        stopped.send_signal(signal.SIGINT)
        out, err = stopped.communicate(timeout=PATIENCE)
        assert (stopped.returncode, out, err) == (EXIT_SIGNAL + signal.SIGINT, b"", b"reportd try: the report was stopped\n")
        assert waiting.poll() is None
        db.execute("COMMIT")
    out, err = waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 0 and b'"results":[{"n":' in out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_the_query_ends_in_the_database(pg, number):
    pg.define("Sleep", "-- results\nSELECT pg_sleep(600)::text AS a")

    def sleeping():
        return pg.postgres.sql("SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND state = 'active'"
                               " AND pid <> pg_backend_pid()")
    process = pg.start("Sleep")
    poll(sleeping, what="the query")
    process.send_signal(number)
    process.communicate(timeout=PATIENCE)
    poll(lambda: not sleeping(), what="the end of the query")
    assert process.returncode == (-number if number == signal.SIGKILL else EXIT_SIGNAL + number)


def test_the_author_sees_all_that_the_database_says(pg):
    pg.define("Cast", "-- results\nSELECT :Text::integer AS i", "-- parameter: Text string\n")
    _, err = pg.run("Cast", "Text=open sesame", status=1)
    assert "cannot read the value of parameter 'Text'" in err
    assert 'Cast.sql:5: postgresql: invalid input syntax for type integer: "open sesame" (22P02)' in err
    pg.define("Notice", "-- results\nSELECT tell(owner) AS owner FROM item ORDER BY item_id")
    out, err = pg.run("Notice")
    assert '"results":[{"owner":"ann"},{"owner":"bob"}]' in out
    assert "NOTICE: it is ann (00000)\nNOTICE: it is bob (00000)\n" in err
