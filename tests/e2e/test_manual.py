"""Every example of the READMEs, doc/tutorial.md and doc/definitions.md is run: definitions by a server, shell lines literally."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from harness import PASSWORD, PATIENCE, REPORTCTL, REPORTD, ROOT, Server
from postgres import SUPERUSER
from test_postgres_portable import CHINOOK_POSTGRES, CHINOOK_SQLITE

BLOCK = re.compile(r"(?:^(?P<before>[^\n]+)\n\n?)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
FILE = re.compile(r"`([\w./]+\.(?:conf|sql))`(?::| — [^`]*:)$")

# What the examples of doc/definitions.md are about, on both engines.
TABLES = """
CREATE TABLE product (product_id integer PRIMARY KEY, name text NOT NULL);
INSERT INTO product VALUES (1, 'Bonds'), (123, 'Shares');
CREATE TABLE account (account_id integer PRIMARY KEY, product_id integer, biz_entity_id integer, cents integer, opened date);
INSERT INTO account VALUES (1, 1, 10, 3050, '2024-01-12'), (2, 1, 10, 5, '2024-01-13');
CREATE TABLE customer (id integer PRIMARY KEY, name text NOT NULL, country text NOT NULL, customer_id integer, owner text);
INSERT INTO customer VALUES (7, 'Ada', 'AU', 7, 'alice'), (8, 'Bob', 'NZ', 8, 'bob');
CREATE TABLE orders (id integer PRIMARY KEY, order_id integer, customer_id integer, ordered_on date, ordered timestamp,
                     total_cents integer);
INSERT INTO orders VALUES (101, 101, 7, '2024-03-01', '2024-03-01 09:30:00', 3050);
CREATE TABLE line (order_id integer, line_no integer);
INSERT INTO line VALUES (101, 1), (101, 2);
CREATE TABLE box (order_id integer, line_no integer, serial text);
INSERT INTO box VALUES (101, 1, 'x'), (101, 1, 'y');
CREATE TABLE event (id integer, moment timestamptz);
INSERT INTO event VALUES (1, '2024-03-01 09:30:00');
CREATE TABLE item (item_id integer, owner text, paint text);
CREATE TABLE invoice (number integer, cents integer, tenant text);
INSERT INTO invoice VALUES (1, 3050, 'acme');
"""
CLAIM = ":session_claim_tenant"  # for sessions that have it
# Of parameters that are required and have no default.
VALUES = {"ProductID": "1", "CustomerID": "7", "FromDate": "2024-01-01", "ToDate": "2024-12-31",
          **{key: "2024-01-01T00:00:00Z" for key in ("Begin", "From")}, **{key: "2024-12-31T00:00:00Z" for key in ("End", "To")}}


def blocks(page):
    """(the paragraph's last line before it, kind, text) of each fenced block."""
    found = [(match["before"] or "", match["kind"], match["text"]) for match in BLOCK.finditer((ROOT / page).read_text())]
    assert len(found) == (ROOT / page).read_text().count("\n```") // 2, page
    return found


class Reader:
    """Somebody who does what a page says, in a folder of their own."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.server, self.said, self.place = None, "", os.memfd_create("pwd")
        programs = folder.parent / "bin"
        programs.mkdir()
        for program in (REPORTD, REPORTCTL):
            (programs / program.name).symlink_to(program)
        self.environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "REPORTD_WORKER_MEMORY": "0",
                            "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / ".config")}

    def write(self, path, text):
        path = self.folder / path
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def serve(self):
        self.server = Server.of_folder(self.folder)
        self.server.start()

    def shell(self, text):
        """Its lines as they stand, except for the port of the server; where it goes, the next ones start."""
        if text.startswith("kill -HUP"):
            self.server.reload()
            return
        if self.server:
            text = text.replace("http://127.0.0.1:8080", self.server.url)
        first, serve, rest = text.partition("reportd serve -c reportd.conf\n")
        assert not rest, "nothing comes after it in one terminal"
        self.run(first)
        if serve:
            self.serve()

    def run(self, text):
        done = subprocess.run(["bash", "-ec", text + "\npwd >&3"], cwd=self.folder, env=self.environment, text=True, timeout=PATIENCE,
                              input=PASSWORD + "\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              preexec_fn=lambda: os.dup2(self.place, 3), pass_fds=(3,))
        assert done.returncode == 0, text + done.stdout
        os.lseek(self.place, 0, os.SEEK_SET)
        self.folder = Path(os.read(self.place, 4096).decode().split("\n")[0])
        os.ftruncate(self.place, 0)
        os.lseek(self.place, 0, os.SEEK_SET)
        self.said = done.stdout

    def follow(self, page):
        for before, kind, text in blocks(page):
            named = FILE.search(before)
            if named:
                self.write(named.group(1), text)
            elif kind == "text":
                assert self.said.strip().splitlines()[-text.count("\n"):] == text.splitlines(), page
            elif text.startswith("make"):
                self.make(*text.split("\n", 1))
            elif kind in ("sh", ""):
                self.shell(text)
            else:
                raise AssertionError(f"{page}: what is this? {text}")

    def make(self, line, rest):
        """What it would do: a test makes no demo, does not check and installs nothing."""
        for words in line.replace("sudo ", "").split(" && "):
            subprocess.run([*words.split(), "-n"], cwd=ROOT, check=True, capture_output=True)
        self.run(rest)

    def stop(self):
        if self.server:
            assert self.server.stop() == 0
            self.server.check_log()
        self.server = None

    def close(self):
        os.close(self.place)
        self.stop()


@pytest.fixture
def reader(tmp_path):
    reader = Reader(tmp_path / "home")
    yield reader
    reader.close()


def test_the_tutorial_works_as_it_stands(reader):
    reader.follow("doc/tutorial.md")


def test_the_readme_works_as_it_stands(reader):
    (reader.folder / "shop").mkdir()
    subprocess.run(["sqlite3", reader.folder / "shop/shop.db"], input=TABLES, text=True, check=True)
    reader.follow("README.md")


@pytest.mark.parametrize("example", ["chinook", "tpch"])
def test_the_readme_of_an_example_works_as_it_stands(reader, postgres, example):
    """On SQLite by a server, then on PostgreSQL by check and try."""
    names = {"PATH/TO/Chinook_Sqlite.sqlite": CHINOOK_SQLITE, "PATH/TO/Chinook_PostgreSql.sql": CHINOOK_POSTGRES}
    if example == "chinook" and not all(path.is_file() for path in names.values()):
        pytest.skip("there is no Chinook; name its files in CHINOOK_SQLITE, CHINOOK_POSTGRES")
    (reader.folder / "examples").symlink_to(ROOT / "examples")
    reader.environment |= {"PGHOST": str(postgres.folder), "PGPORT": str(postgres.port), "PGUSER": SUPERUSER}
    try:
        for _, _, text in blocks(f"examples/{example}/README.md"):
            for name, path in names.items():
                text = text.replace(name, str(path))
            if text.startswith("source "):
                url = re.search(r'"(.*)"', text).group(1)
                host = f"postgresql://reader@%2F{str(postgres.folder)[1:].replace('/', '%2F')}:{postgres.port}/"
                conf = (reader.folder / "reportd.conf").read_text()
                text = text.replace(url, url.replace("postgresql://reader@localhost/", host))
                reader.write("reportd.conf", re.sub(r"^source .*\n}\n", lambda _, text=text: text, conf, flags=re.S | re.M))
            else:
                reader.shell(text)
        reader.run("reportd check --strict -c reportd.conf reports")
        report = {"chinook": "InvoiceLines", "tpch": "PricingSummary"}[example]
        reader.run(f"reportd try -c reportd.conf {report} 2> try.log")
        assert '"results":[{' in reader.said
    finally:
        reader.stop()
        postgres.sql(f"DROP DATABASE IF EXISTS {example} WITH (FORCE)")
        postgres.sql("DROP ROLE IF EXISTS reader")


def as_definition(text, number, source):
    """An example as a whole file: what it leaves out is put before it."""
    if "-- report:" not in text:
        header = f"-- report: Example{number}\n-- source: {source}\n"
        if "-- values:" in text:
            text += "\n-- results\nSELECT name FROM customer WHERE id = :CustomerID\n"
        text = header + (text if "-- results" in text else "-- results\n" + text)
    return re.sub(r"^-- source: \w+", f"-- source: {source}", text, flags=re.M)


def of_where(text):
    """Definitions for an example of WHERE alone, after a comment that says for which engine: (engine, text)."""
    types = {"FromDate": "date", "ToDate": "date", "Begin": "timestamp", "End": "timestamp"}
    for part in text.strip().split("\n\n"):
        engine = {"PostgreSQL": "postgres", "SQLite": "sqlite", "either": ""}[re.match(r"-- (\w+)", part).group(1)]
        header = "".join(f"-- parameter: {name} {types[name]} required\n" for name in re.findall(r":(\w+)", part))
        yield engine, f"{header}-- results\nSELECT id FROM event {part[part.index('WHERE'):]}"


def examples(engine):
    found = []
    for _, kind, text in blocks("doc/definitions.md"):
        if kind == "sql" and "\nWHERE" in text and "SELECT" not in text:
            found += [each for only, each in of_where(text) if only in ("", engine)]
        elif kind == "sql" and not text.startswith(("ALTER", "CREATE")):
            found.append(text)
    return found


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_every_definition_of_the_manual_is_good_and_gives_rows(tmp_path, postgres, engine):
    if engine == "postgres":
        database = postgres.create_database("manual", TABLES)
        source = postgres.url(database)
    else:
        subprocess.run(["sqlite3", tmp_path / "manual.db"], input=TABLES, text=True, check=True)
        source = f"sqlite:{tmp_path}/manual.db"
    server = Server.made(tmp_path / "server", source=source)
    for path in server.reports.iterdir():
        path.unlink()
    names = []
    for number, text in enumerate(examples(engine)):
        text = as_definition(text, number, "data")
        names.append(re.search(r"-- report: (\w+)", text).group(1))
        (server.reports / f"{names[-1]}.sql").write_text(text)
    with_claim = [name for name in names if CLAIM in (server.reports / f"{name}.sql").read_text()]
    checked = server.run("check", "-c", "reportd.conf", "reports")
    assert checked.returncode == 0 and checked.stdout.count("warning:") == len(with_claim) > 0, checked.stdout
    for name in with_claim:
        assert '"results":[{' in server.run("try", "-c", "reportd.conf", "--claim", "tenant=acme", name).stdout
    server.add_user("alice")
    server.start()
    try:
        alice = server.client("alice")
        for name in sorted({*names} - {*with_claim}):
            text = (server.reports / f"{name}.sql").read_text()
            given = {key: VALUES[key] for key in re.findall(r"^-- parameter: (\w+) .*\brequired\b", text, re.M)}
            assert alice.result(alice.complete(name, **given)).json()["data"]["results"], name
    finally:
        assert server.stop() == 0
    server.check_log()


def test_the_other_lines_of_the_manual_work(reader, postgres):
    """Shell lines on a folder of reports; statements for PostgreSQL in PostgreSQL."""
    reader.write("reportd.conf", 'source registry { url = "sqlite:manual.db" }\n')
    subprocess.run(["sqlite3", reader.folder / "manual.db"], input=TABLES, text=True, check=True)
    reader.write("reports/One.sql", as_definition(examples("sqlite")[0], 0, "registry"))
    reader.write("draft.sql", as_definition("SELECT count(*) AS accounts FROM account", 1, "registry"))
    database = postgres.create_database("lines", TABLES)
    for _, kind, text in blocks("doc/definitions.md"):
        if text.startswith(("CREATE ROLE", "ALTER TABLE")):
            role = "" if text.startswith("CREATE ROLE") else "CREATE ROLE reader;"
            postgres.sql(f"BEGIN; {role} {text}; ROLLBACK", database)
        elif kind != "sql":
            reader.shell(text)


def test_every_function_that_the_architecture_names_is_in_the_sources():
    sources = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.[ch]"))
    names = set(re.findall(r"`(\w+)\(\)`", (ROOT / "ARCHITECTURE.md").read_text()))
    assert len(names) > 40
    assert [name for name in sorted(names) if not re.search(rf"^[a-z][\w *]*[ *]{name}\(", sources, re.M)] == []
