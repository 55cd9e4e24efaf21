"""SQLite databases as they are in practice: replaced, in WAL mode, of another user, with all that a schema may have."""

import contextlib
import os
import pwd
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import REPORTD, Server, poll
from test_cancel import ticks_of

NOBODY = pwd.getpwnam("nobody")


def make(path, script):
    """A database file, closed."""
    db = sqlite3.connect(path)
    db.executescript(script)
    db.close()
    return path


def definition(server, name, sql, header=""):
    text = f"-- report: {name}\n-- source: data\n{header}-- results\n{sql}\n"
    (server.reports / f"{name}.sql").write_text(text)


def values(client, name, **parameters):
    """The first column of every row."""
    rows = client.result(client.complete(name, **parameters)).json()["data"]["results"]
    return [next(iter(row.values())) for row in rows]


@pytest.fixture
def source(make_server):
    """A server with one worker over a database that the test makes: source(script)."""
    def start(script, **reports):
        server = make_server(workers=1, source="sqlite:source.db")
        make(server.folder / "source.db", script)
        for name, sql in reports.items():
            definition(server, name, sql)
        server.reload()
        return server, server.client("alice")
    return start


def by_rename(new, old):
    os.rename(new, old)


def by_removal(new, old):
    old.unlink()
    shutil.copy(new, old)


def by_copy(new, old):
    shutil.copyfile(new, old)


def by_copy_with_times(new, old):
    """As `cp -p`: size and time of change are those of the old one."""
    before = old.stat()
    shutil.copyfile(new, old)
    os.utime(old, ns=(before.st_atime_ns, before.st_mtime_ns))


def by_symlink(new, old):
    """The path becomes a link, as one that is switched to the release of the day."""
    link = old.with_name("link")
    link.symlink_to(new)
    os.rename(link, old)


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("replace", [by_rename, by_removal, by_copy, by_copy_with_times, by_symlink])
def test_a_database_that_is_replaced_is_read_anew(source, replace, mode):
    script = f"PRAGMA journal_mode = {mode}; CREATE TABLE t (v); INSERT INTO t VALUES ('%s');"
    server, alice = source(script % "old", R="SELECT v FROM t")
    assert values(alice, "R") == ["old"]
    make(server.folder / "new.db", script % "new")
    replace(server.folder / "new.db", server.folder / "source.db")
    assert values(alice, "R") == ["new"]
    make(server.folder / "third.db", script % "third")
    by_rename(server.folder / "third.db", server.folder / "source.db")
    assert values(alice, "R") == ["third"]


def test_two_workers_agree_on_a_database_that_was_replaced(make_server):
    server = make_server(workers=2, source="sqlite:source.db")
    make(server.folder / "source.db", "CREATE TABLE t (v); INSERT INTO t VALUES ('old');")
    definition(server, "R", "SELECT v FROM t")
    server.reload()
    alice = server.client("alice")
    for generation in ("old", "new", "newer"):
        make(server.folder / "n.db", f"CREATE TABLE t (v); INSERT INTO t VALUES ('{generation}');")
        by_rename(server.folder / "n.db", server.folder / "source.db")
        ordered = [alice.order("R") for _ in range(8)]
        for reference in ordered:
            alice.finish(reference)
            assert alice.result(reference).json()["data"]["results"] == [{"v": generation}]


def test_the_columns_of_a_report_follow_the_schema(source):
    server, alice = source("CREATE TABLE t (v); INSERT INTO t VALUES (1);", R="SELECT * FROM t")

    def rows():
        return alice.result(alice.complete("R")).json()["data"]["results"]

    assert rows() == rows() == [{"v": 1}]
    make(server.folder / "source.db", "ALTER TABLE t ADD COLUMN w DEFAULT 2;")
    assert rows() == rows() == [{"v": 1, "w": 2}]
    make(server.folder / "source.db", "ALTER TABLE t DROP COLUMN v;")
    assert rows() == [{"w": 2}]
    definition(server, "R", "SELECT w + 1 AS w FROM t")
    server.reload()
    assert rows() == [{"w": 3}]


def test_no_idle_connection_keeps_the_log_of_a_database_that_was_replaced(source):
    """Its -wal would be applied to the new file by whatever program opens that next."""
    wal = "PRAGMA journal_mode = wal; CREATE TABLE t (v);"
    server, alice = source(wal, R="SELECT v FROM t")
    assert values(alice, "R") == []
    make(server.folder / "source.db", "INSERT INTO t VALUES ('old row')")
    make(server.folder / "n.db", wal + "INSERT INTO t VALUES ('new 1'), ('new 2');")
    by_rename(server.folder / "n.db", server.folder / "source.db")
    shell = subprocess.run(["sqlite3", server.folder / "source.db", "SELECT group_concat(v) FROM t"],
                           text=True, capture_output=True, check=True)
    assert shell.stdout.strip() == "new 1,new 2"
    assert values(alice, "R") == ["new 1", "new 2"]


SCHEMA = """
    CREATE TABLE plain (x); INSERT INTO plain VALUES (1);
    CREATE TABLE document (body, kind AS (json_extract(body, '$.kind')));
    INSERT INTO document VALUES ('{"kind": "a"}');
    CREATE INDEX by_size ON document (json_array_length(body));
    CREATE VIRTUAL TABLE place USING rtree(id, a, b); INSERT INTO place VALUES (1, 0, 1);
    CREATE VIRTUAL TABLE words USING fts5(x); INSERT INTO words VALUES ('quick fox');
    CREATE VIRTUAL TABLE older USING fts4(x); INSERT INTO older VALUES ('slow fox');
    CREATE VIEW of_words AS SELECT x FROM words WHERE words MATCH 'fox';
    CREATE VIEW of_older AS SELECT x FROM older WHERE older MATCH 'fox';
    CREATE VIEW of_place AS SELECT id FROM place WHERE a <= 0.5;
    CREATE VIEW missing AS SELECT "N/A" AS s;
"""


@pytest.mark.parametrize("sql, expected", [
    ("SELECT x FROM plain", [1]),
    ("SELECT kind FROM document", ["a"]),
    ("SELECT count(*) AS n FROM document WHERE json_array_length(body) = 0", [1]),
    ("SELECT id FROM place", [1]),
    ("SELECT id FROM of_place", [1]),
    ("SELECT x FROM of_words", ["quick fox"]),
    ("SELECT x FROM of_older", ["slow fox"]),
    ("SELECT s FROM missing", ["N/A"]),
    ('SELECT "missing"."s" AS "a`b" FROM missing', ["N/A"]),
])
def test_what_the_shell_reads_a_report_reads(source, sql, expected):
    server, alice = source(SCHEMA, R=sql)
    assert values(alice, "R") == expected
    checked = server.run("check", "-c", "reportd.conf", "reports/R.sql")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("sql", [
    'SELECT "typo" AS v FROM plain',
    'SELECT s, "typo" AS v FROM missing',  # though the view itself has such a text
    "INSERT INTO place VALUES (2, 0, 1) RETURNING id",
    "INSERT INTO place_rowid VALUES (2, 1) RETURNING rowid",
    "DELETE FROM words_data RETURNING id",
    "SELECT load_extension('x') AS v",
    "SELECT fts3_tokenizer('simple') AS v",
])
def test_what_a_report_may_not_do_is_refused_with_any_schema(source, sql):
    server, alice = source(SCHEMA, R=sql)
    before = (server.folder / "source.db").read_bytes()
    assert alice.finish(alice.order("R")).json()["data"] == "error"
    assert (server.folder / "source.db").read_bytes() == before


# --- a reader that is not the owner ------------------------------------------------------------------


class Foreign(Server):
    """A server that runs as nobody, over databases of root in a folder that it may only read."""

    def hand_over(self):
        """Everything to nobody, except for the data; the program too, which may lie where nobody may not look."""
        self.program = ["setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups",
                        shutil.copy(REPORTD, self.folder / "program")]
        for path in [self.folder, *self.folder.rglob("*")]:
            os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
        self.data = self.folder / "data"
        self.data.mkdir()
        self.data.chmod(0o755)


@contextlib.contextmanager
def handed_over(kind, source, **definitions):
    """A server of this kind with the user alice, whose folder others may look into, as pytest's own they may not."""
    folder = Path(tempfile.mkdtemp(prefix="reportd-foreign-", dir="/tmp"))
    folder.chmod(0o755)
    server = kind.made(folder / "server", workers=1, source=source)
    definition(server, "R", "SELECT v FROM t ORDER BY v")
    for name, (sql, header) in definitions.items():
        definition(server, name, sql, header)
    server.hand_over()
    server.add_user("alice")
    server.start()
    yield server
    assert server.stop() == 0
    server.check_log()
    shutil.rmtree(folder)


LONG = ("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :Steps)"
        " SELECT (SELECT count(*) FROM n) + (SELECT count(*) FROM t) AS v", "-- parameter: Steps integer required\n")


@pytest.fixture
def foreign():
    with handed_over(Foreign, "sqlite:data/source.db", Long=LONG) as server:
        yield server


WAL = "PRAGMA journal_mode = wal; CREATE TABLE t (v); INSERT INTO t VALUES ('one');"


def names(server):
    return sorted(path.name for path in server.data.iterdir())


def test_a_reader_who_is_not_the_owner_leaves_nothing_behind(foreign):
    make(foreign.data / "source.db", WAL)
    assert names(foreign) == ["source.db"]
    assert values(foreign.client("alice"), "R") == ["one"]
    assert names(foreign) == ["source.db"]
    make(foreign.data / "source.db", "INSERT INTO t VALUES ('two')")  # the owner is not locked out
    assert values(foreign.client("alice"), "R") == ["one", "two"]


def test_a_reader_who_is_not_the_owner_sees_what_only_the_log_has(foreign):
    make(foreign.data / "source.db", WAL)
    owner = sqlite3.connect(foreign.data / "source.db")
    owner.execute("PRAGMA wal_autocheckpoint = 0")
    owner.execute("INSERT INTO t VALUES ('two')")
    owner.commit()
    assert values(foreign.client("alice"), "R") == ["one", "two"]
    owner.execute("INSERT INTO t VALUES ('three')")
    owner.commit()
    assert values(foreign.client("alice"), "R") == ["one", "three", "two"]
    owner.close()
    assert names(foreign) == ["source.db"]


def test_the_log_beside_the_file_that_a_link_names_is_read(foreign):
    """The link is what the source names; its target has the log."""
    (foreign.data / "v1").mkdir()
    (foreign.data / "source.db").symlink_to("v1/shop.db")
    make(foreign.data / "v1/shop.db", WAL)
    owner = sqlite3.connect(foreign.data / "v1/shop.db")
    owner.execute("PRAGMA wal_autocheckpoint = 0")
    owner.execute("INSERT INTO t VALUES ('two')")
    owner.commit()
    assert values(foreign.client("alice"), "R") == ["one", "two"]
    owner.close()


def test_a_database_left_in_the_middle_of_a_change_says_what_to_do(source):
    server, alice = source("CREATE TABLE t (v); INSERT INTO t VALUES (1);", R="SELECT v FROM t")
    writer = subprocess.run(["python3", "-c", "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1]); "
                             "db.execute('PRAGMA cache_size = 1'); db.execute('BEGIN IMMEDIATE'); "
                             "db.executemany('INSERT INTO t VALUES (?)', [('x' * 1000,)] * 1000); os.kill(os.getpid(), 9)",
                             server.folder / "source.db"], check=False)
    assert writer.returncode == -9 and (server.folder / "source.db-journal").exists()
    assert "left in the middle of a change" in alice.finish(alice.order("R")).json()["message"]
    make(server.folder / "source.db", "SELECT count(*) FROM t")  # as the words ask for
    assert values(alice, "R") == [1]


def test_a_report_whose_database_changes_while_nothing_keeps_it_still_is_run_again(foreign):
    make(foreign.data / "source.db", WAL)
    alice = foreign.client("alice")
    (worker,) = foreign.workers()
    before = ticks_of(worker)
    reference = alice.order("Long", Steps="2000000")
    poll(lambda: ticks_of(worker) > before + 10, what="the query, after the database was opened")
    make(foreign.data / "source.db", "INSERT INTO t VALUES ('two')")
    assert alice.finish(reference).json()["data"] == "complete"
    assert alice.result(reference).json()["data"]["results"] == [{"v": 2000002}]


def test_a_database_that_never_stays_still_ends_the_report_with_the_reason(foreign):
    make(foreign.data / "source.db", WAL)
    alice = foreign.client("alice")
    reference = alice.order("Long", Steps="3000000")

    def ended():
        os.utime(foreign.data / "source.db")  # as a write does; one through SQLite would have a -wal meanwhile
        return alice.state(reference) not in ("queued", "processing")

    poll(ended, what="the end of the report")
    answer = alice.status(reference).json()
    assert answer["data"] == "error" and "written to while the report read it" in answer["message"]
    foreign.await_log("WAL mode")


ODD_TABLES = """
    PRAGMA encoding = 'UTF-16le';
    CREATE TABLE bare (a INTEGER PRIMARY KEY, b TEXT) WITHOUT ROWID; INSERT INTO bare VALUES (1, 'é€😀');
    CREATE TABLE made (a, b AS (a * 2) STORED, c AS (a || 'x')); INSERT INTO made (a) VALUES (4);
    CREATE TABLE strict (a INT, b REAL, c BLOB, d ANY) STRICT; INSERT INTO strict VALUES (1, 2, x'00ff', '7');
    CREATE TABLE number (i, v); INSERT INTO number VALUES
        (1, 9223372036854775807), (2, 9223372036854775808), (3, -9223372036854775809), (4, 0.1 + 0.2), (5, x''), (6, 'a' || char(0) || 'b');
    CREATE TABLE day (d date, t datetime, s timestamp); INSERT INTO day VALUES ('2024-01-12', 2460321.5, 1705017600);
    CREATE TABLE "select" ("from", "a.b", "x[]"); INSERT INTO "select" VALUES (1, 2, 3);
"""


def test_tables_and_values_of_every_kind_print_as_they_are(source):
    queries = {
        "Bare": ("SELECT * FROM bare", '{"a":1,"b":"é€😀"}'),
        "Made": ("SELECT * FROM made", '{"a":4,"b":8,"c":"4x"}'),
        "Strict": ("SELECT * FROM strict", '{"a":1,"b":2.0,"c":"AP8=","d":"7"}'),
        "Number": ("SELECT v FROM number ORDER BY i", '{"v":9223372036854775807},{"v":9.223372036854776e+18},{"v":-9.223372036854776e+18},'
                   '{"v":0.30000000000000004},{"v":""},{"v":"a\\u0000b"}'),
        "Day": ("SELECT * FROM day", '{"d":"2024-01-12","t":2460321.5,"s":1705017600}'),
        "Keyword": ('SELECT * FROM "select"', '{"from":1,"a.b":2,"x[]":3}'),
    }
    _, alice = source(ODD_TABLES, **{name: sql for name, (sql, _) in queries.items()})
    for name, (_, expected) in queries.items():
        text = alice.result(alice.complete(name)).text
        assert f'"results":[{expected}]' in text, name


@pytest.mark.parametrize("value, words", [
    ("CAST(x'ff41' AS TEXT)", "holds text that is not UTF-8"), ("1e400", "is not a finite number"), ("-1e400", "is not a finite number"),
])
def test_a_value_that_no_json_has_is_an_error_that_names_its_column(source, value, words):
    _, alice = source("CREATE TABLE t (v)", R=f"SELECT {value} AS \"odd\"")
    message = alice.finish(alice.order("R")).json()["message"]
    assert message.startswith("The column 'odd' ") and words in message


def test_a_file_that_is_no_database_is_told_and_the_next_one_is_read(source):
    big = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) INSERT INTO t SELECT i FROM n;"
    server, alice = source("CREATE TABLE t (v);" + big, R="SELECT count(v) AS n FROM t")
    path = server.folder / "source.db"
    good = path.read_bytes()
    for name, make_file, message, detail in (
        ("empty", lambda: path.write_bytes(b""), "query failed", "no such table: t"),
        ("text", lambda: path.write_text("hello " * 1000), "cannot be read", "file is not a database"),
        ("encrypted", lambda: path.write_bytes(os.urandom(8192)), "cannot be read", "file is not a database"),
        ("header", lambda: path.write_bytes(good[:50]), "cannot be read", "sqlite: "),
        ("half", lambda: path.write_bytes(good[:len(good) // 2]), "cannot be read", "malformed"),
        ("corrupt", lambda: path.write_bytes(good[:100] + b"\xff" * 200 + good[300:]), "cannot be read", "malformed"),
        ("folder", path.mkdir, "cannot be opened", "is not a regular file"),
        ("device", lambda: path.symlink_to("/dev/zero"), "cannot be opened", "is not a regular file"),
        ("loop", lambda: path.symlink_to("source.db"), "cannot be opened", "Too many levels of symbolic links"),
        ("missing", lambda: None, "cannot be opened", "No such file or directory"),
    ):
        path.unlink()
        make_file()
        reference = alice.order("R")
        assert message in alice.finish(reference).json()["message"], name
        poll(lambda: any(reference in line and detail in line for line in server.log_text().splitlines()), what=f"the reason for {name}")
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
        path.write_bytes(good)
        assert values(alice, "R") == [9000], name
