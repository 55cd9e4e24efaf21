"""The servers the cases start: reportd with its data, nginx, a private PostgreSQL, the peers in Node."""

import base64
import hashlib
import hmac
import json
import os
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import Request, urlopen

from stage import DATA, HERE, NPM, OUT, ROOT, SERVER_CORE, Skip, free_port, need, wait_for_port

ROWS = 2_000_000  # of the generating cases
ROWS_SQL = "SELECT id, name, day, note, price, amount FROM item"
USERS = 1000
STAMP_MS = 4_000_000_000_000  # of expiry: far away
STORED_MS = 1_700_000_000_000  # when the reports that are put into the store were made
LONGEST_WAIT = 60  # seconds of a `Prefer: wait`
ENDS_WITHIN = 20  # seconds, from SIGTERM


# --- data ---------------------------------------------------------------------------------------


def make_items(path, rows=ROWS):
    """The reported database: `rows` items of 6 columns, money in cents, 20 items a name."""
    if path.exists():
        return path
    half_made = path.with_suffix(".part")
    half_made.unlink(missing_ok=True)
    with sqlite3.connect(half_made) as db:
        db.executescript(f"""
            PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
            CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL, day TEXT NOT NULL,
                               note TEXT NOT NULL, price INTEGER NOT NULL, amount INTEGER NOT NULL);
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
            INSERT INTO item SELECT i, 'Holder ' || (i / 20), date('2020-01-01', '+' || (i % 1500) || ' days'),
                'Settled transaction of unit class ' || (i % 97), i * 7919 % 100000000, i * 104729 % 1000000000 FROM n;
        """)
    db.close()
    half_made.rename(path)
    os.sync()
    return path


def definition(name, source, results, header=()):
    return "\n".join([f"-- report: {name}", f"-- source: {source}", *header, "-- results", results + ";\n"])


# LIMIT ends it at any number up to five times the items.
MANY_SQL = ("SELECT i.id, i.name, i.day, i.note, i.price, i.amount FROM item AS i, (WITH RECURSIVE n (k) AS "
            "(SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < 5) SELECT k FROM n) LIMIT :Rows")
MONEY = ("-- column: price scaled(2)", "-- column: amount scaled(2)")
DEFINITIONS = {
    "Tiny": definition("Tiny", "items", 'SELECT 1 AS "one"'),
    "Flat": definition("Flat", "items", ROWS_SQL, MONEY),
    "Nested": definition(
        "Nested", "items",
        'SELECT name, id AS "accounts[].id", day AS "accounts[].day", note AS "accounts[].note", '
        'price AS "accounts[].price", amount AS "accounts[].amount" FROM item',
        ("-- column: accounts[].price scaled(2)", "-- column: accounts[].amount scaled(2)")),
    "Many": definition("Many", "items", MANY_SQL, ("-- parameter: Rows integer required", *MONEY)),
    "Endless": definition(
        "Endless", "items",
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0"),
}
# Only for a reportd that has the source.
POSTGRES_DEFINITION = {"FromPostgres": definition("FromPostgres", "pg", ROWS_SQL)}


def new_id():
    """A version 7 GUID (RFC 9562)."""
    value = (int(time.time() * 1000) << 80) | int.from_bytes(os.urandom(10), "big")
    return ((value & ~(0xF << 76 | 3 << 62)) | 7 << 76 | 2 << 62).to_bytes(16, "big")


def reference(guid):
    text = guid.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def access_token(key, name, session, access, now):
    def encode(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")
    claims = {"sub": name, "sid": reference(session), "jti": reference(access), "iat": now, "exp": now + 1200}
    head = b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + encode(json.dumps(claims, separators=(",", ":")).encode())
    return (head + b"." + encode(hmac.new(key, head, hashlib.sha256).digest())).decode()


class Started:
    """A process, and a pipe from it, that end with the block."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


# --- reportd ------------------------------------------------------------------------------------


class Reportd:
    """`reportd serve` in a folder of its own; pinned to one core unless `core` is None. It logs from `warn` on: no line
    a request, as nginx beside it has its access_log off."""

    def __init__(self, name, core=SERVER_CORE, postgres_url=None, sections="", **config):
        self.folder = DATA / name
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "reports").mkdir(parents=True)
        for report, text in {**DEFINITIONS, **(POSTGRES_DEFINITION if postgres_url else {})}.items():
            (self.folder / "reports" / f"{report}.sql").write_text(text)
        values = {"listen": "127.0.0.1:0", "workers": 1, "http_threads": 1, "active_limit": 100, "log_level": "warn",
                  "connections": 6000, "connections_per_address": 0, "drain_grace": "100ms", **config}
        sources = {"items": f"sqlite:{make_items(DATA / 'items.db')}", **({"pg": postgres_url} if postgres_url else {})}
        (self.folder / "reportd.conf").write_text(
            "".join(f'{key} = "{value}"\n' for key, value in values.items()) +
            "".join(f'source {source} {{ url = "{url}" }}\n' for source, url in sources.items()) + sections)
        (self.folder / "reportd.conf").chmod(0o600)  # whatever the umask; a URL may have a password
        (self.folder / "reports").chmod(0o755)
        self.core, self.process, self.tokens = core, None, []
        self.start()
        self.add_users()

    @property
    def store(self):
        return self.folder / "reportd.db"

    @property
    def spool(self):
        return self.folder / "spool"

    def launch(self, **environment):
        """A process of this configuration, and its URL."""
        pinned = ["taskset", "-c", self.core] if self.core else []
        program = os.environ.get("REPORTD_BIN", ROOT / "build/release/reportd")
        with open(self.folder / "log", "ab") as log:
            process = subprocess.Popen([*pinned, str(program), "serve", "-c", str(self.folder / "reportd.conf")],
                                       stdout=subprocess.PIPE, stderr=log, env={**os.environ, **environment})
        ready, _, _ = select.select([process.stdout], [], [], 60)
        line = process.stdout.readline().decode() if ready else ""
        if not line.startswith("ready on "):
            raise RuntimeError(f"reportd did not start: {(self.folder / 'log').read_text()[-2000:]}")
        return process, line.split()[-1]

    def start(self):
        self.process, self.url = self.launch()
        self.port = int(self.url.rsplit(":", 1)[1])

    def stop(self):
        if self.process is None:
            return
        for worker in self.workers():
            os.kill(worker, signal.SIGCONT)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process = None

    def restart(self):
        self.stop()
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def workers(self):
        found = set()
        for children in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            found |= {int(pid) for pid in children.read_text().split()}
        return sorted(found)

    def db(self):
        db = sqlite3.connect(self.store, timeout=30, isolation_level=None)
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -500000")
        return db

    def close(self, db):
        """What the bench has put into the store is on the disk before something is timed."""
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        os.sync()

    @staticmethod
    def has_tallies(db):
        """Or else the store is of a reportd whose triggers keep the counts: one may be measured beside the other."""
        return db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'tally'").fetchone() is not None

    def count_complete(self, db, change):
        table, key = ("tally", "node") if self.has_tallies(db) else ("report_count", "state")
        db.execute(f"INSERT INTO {table} ({key}, n) VALUES (2, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n", (change,))

    def add_users(self):
        """Users who are logged in; a password check each would take longer than the bench."""
        key = (self.folder / "token.key").read_bytes()
        now = int(time.time())
        db = self.db()
        db.execute("BEGIN IMMEDIATE")
        for number in range(1, USERS + 1):
            session, access = new_id(), new_id()
            db.execute("INSERT INTO user (id, name, password_hash, grants) VALUES (?, ?, '', '*')", (number, f"u{number}"))
            db.execute("INSERT INTO session (id, user_id, access, refresh_hash, expires_ms) VALUES (?, ?, ?, ?, ?)",
                       (session, number, access, os.urandom(32), STAMP_MS))
            self.tokens.append(access_token(key, f"u{number}", session, access, now))
        self.close(db)

    def provider_tokens(self, provider):
        """Of the same users, as an identity provider signs them: each is a session already, so that nobody is enrolled."""
        tokens = [provider.token(f"u{number}") for number in range(1, USERS + 1)]
        db = self.db()
        db.execute("BEGIN IMMEDIATE")
        for number, token in enumerate(tokens, 1):
            session = hashlib.sha256(token.encode()).digest()[:16]
            db.execute("INSERT INTO session (id, user_id, access, refresh_hash, expires_ms) VALUES (?, ?, ?, ?, ?)",
                       (session, number, session, os.urandom(32), STAMP_MS))
        self.close(db)
        return dict(zip(self.tokens, tokens))

    def store_reports(self, count, size=8, files=False, most=100_000, users=USERS):
        """`count` complete reports more, put into the store at once and spread over the first `users`; returns [(reference,
        token)] of at most `most`, evenly from all. Their results have `size` bytes, and are there if `files`."""
        db = self.db()
        db.execute("BEGIN IMMEDIATE")
        made = [new_id() for _ in range(count)]
        db.executemany(
            "INSERT INTO report (id, user_id, state, slot, attempt, rows, bytes, submitted_ms, started_ms, finished_ms,"
            f" expires_ms, digest, name, parameters) VALUES (?, ?, 2, 0, 1, 1, {size}, {STORED_MS},"
            f" {STORED_MS}, {STORED_MS}, {STAMP_MS}, zeroblob(32), 'Tiny', '{{}}')",
            ((guid, 1 + i % users) for i, guid in enumerate(made)))
        db.execute("INSERT INTO tally VALUES (2, ?1) ON CONFLICT DO UPDATE SET n = n + ?1", (count,))
        for guid in made if files else ():
            (self.spool / f"{reference(guid)}.1.json").write_bytes(b" " * size)
        self.close(db)
        return [(reference(made[i]), self.tokens[i % users]) for i in range(0, count, max(1, count // most))]

    def forget_reports(self, size):
        """Take out what store_reports() put in with files of this size, if there is any left."""
        db = self.db()
        db.execute("BEGIN IMMEDIATE")
        gone = db.execute("DELETE FROM report WHERE bytes = ?", (size,)).rowcount
        if self.has_tallies(db):
            self.count_complete(db, -gone)
        self.close(db)
        for left in self.spool.glob("*.json"):
            left.unlink()

    def count(self, size):
        """Reports whose results have this size."""
        db = self.db()
        found = db.execute("SELECT count(*) FROM report WHERE bytes = ?", (size,)).fetchone()[0]
        db.close()
        return found

    def forget_queue(self):
        """Take what the last round submitted out of the store, and tell the server whose it was."""
        db = self.db()
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT OR IGNORE INTO changed_user (user_id) SELECT user_id FROM report WHERE state = 0")
        db.execute("UPDATE report SET state = 4 WHERE state = 0 AND state NOT IN (2, 3)")
        db.execute("DELETE FROM report WHERE state = 4 AND state NOT IN (2, 3)")
        db.execute("DELETE FROM tally WHERE node NOT IN (1, 2, 3)")
        self.close(db)

    def write_requests(self, name, pairs, path="/Report/Status?reference={}"):
        file = self.folder / name
        file.write_text("".join(f"{path.format(guid)} {token}\n" for guid, token in pairs))
        return file

    def ask(self, method, path, body=None, **headers):
        """The headers and the text of the answer, to the first user."""
        headers = {"Version": "2.0", "Authorization": self.tokens[0], "Content-Type": "application/json", **headers}
        data = json.dumps(body).encode() if body else None
        with urlopen(Request(self.url + path, data, headers, method=method), timeout=100) as answer:
            return answer.headers, answer.read().decode()

    def order(self, name, parameters=None, wait=0):
        """The reference; with `wait` the report must be complete within that many seconds."""
        deadline = time.monotonic() + wait
        prefer = {"Prefer": f"wait={min(wait, LONGEST_WAIT)}"} if wait else {}
        headers, text = self.ask("POST", "/Report", {"reportName": name, "parameters": parameters or {}}, **prefer)
        which = json.loads(text)["data"]
        while wait and headers["X-Report-State"] in ("queued", "processing") and time.monotonic() < deadline:
            headers, text = self.ask("GET", f"/Report/Status?reference={which}", **prefer)
        if wait and headers["X-Report-State"] != "complete":
            raise RuntimeError(f"{name} is not complete after {wait} s: {text}\n{(self.folder / 'log').read_text()}")
        return which

    def delete(self, which):
        self.ask("DELETE", f"/Report?reference={which}")

    def freeze_workers(self):
        """Give the worker a report that never ends and stop its process: what is submitted stays queued."""
        which = self.order("Endless")
        while "generated" not in self.ask("GET", f"/Report/Status?reference={which}")[1]:
            time.sleep(0.02)
        for worker in self.workers():
            os.kill(worker, signal.SIGSTOP)


class SharedReportd(Reportd):
    """The same with a database of its own in PostgreSQL, and results in a folder or in rows."""

    def __init__(self, name, postgres, in_rows, **config):
        self.postgres, self.database, self.in_rows = postgres, name.replace("-", "_"), in_rows
        postgres.create_database(self.database)
        try:
            super().__init__(name, core=None, store=postgres.url(self.database), **({"spool": "postgresql"} if in_rows else {}), **config)
        except BaseException:
            postgres.drop_database(self.database)
            raise

    def __exit__(self, *what):
        super().__exit__(*what)
        self.postgres.drop_database(self.database)

    def run(self, *statements):
        """What is stored by them is on the disk before something is timed, and the planner knows of it."""
        self.postgres.sql("SET search_path = reportd;" + ";".join(statements) + "; ANALYZE; CHECKPOINT", self.database)
        os.sync()

    def add_users(self):
        key, now = (self.folder / "token.key").read_bytes(), int(time.time())
        accounts, sessions = [], []
        for number in range(1, USERS + 1):
            session, access = new_id(), new_id()
            accounts.append(f"({number}, 'u{number}', '', '*')")
            sessions.append(f"('{reference(session)}', {number}, '{reference(access)}', '', {STAMP_MS})")
            self.tokens.append(access_token(key, f"u{number}", session, access, now))
        self.run(f"INSERT INTO account (id, name, password_hash, grants) OVERRIDING SYSTEM VALUE VALUES {','.join(accounts)}",
                 f"INSERT INTO session VALUES {','.join(sessions)}")

    def store_reports(self, count, size=8, files=False, most=100_000, users=USERS):
        """What is sealed is nothing here: a deletion does not open it."""
        made = [reference(new_id()) for _ in range(count)]
        rows = ",".join(f"('{text}'::uuid, {1 + i % users})" for i, text in enumerate(made))
        statements = [
            f"CREATE TEMPORARY TABLE made (id, user_id) AS VALUES {rows}",
            "INSERT INTO report (id, user_id, state, slot, attempt, rows, bytes, submitted_ms, started_ms, finished_ms,"
            " expires_ms, name, key_number, wrapped_key, result_sealed, sealed_parameters, sealed_digest)"
            f" SELECT id, user_id, 2, false, 1, 1, {size}, {STORED_MS}, {STORED_MS}, {STORED_MS}, {STAMP_MS}, 'Tiny',"
            " (SELECT max(number) FROM erase_key), decode(repeat('5a', 72), 'hex'), true, decode(repeat('5a', 42), 'hex'),"
            " decode(repeat('5a', 72), 'hex') FROM made"]
        if files and self.in_rows:
            statements.append("INSERT INTO result_chunk SELECT id, 1, 0, decode(repeat('20', %d), 'hex') FROM made" % size)
        for text in made if files and not self.in_rows else ():
            (self.spool / f"{text}.1.json").write_bytes(b" " * size)
        self.run(*statements)
        return [(made[i], self.tokens[i % users]) for i in range(0, count, max(1, count // most))]


class AnotherNode(Started):
    """Of the store of `first`, from the same folder, with what a node has for itself."""

    def __init__(self, first, name="second"):
        shutil.copy(first.folder / "erase.key", first.folder / f"{name}.erase.key")
        self.process, self.url = first.launch(REPORTD_TEMP=f"{name}.temp", REPORTD_DELETION_LEDGER=f"{name}.deletions.ledger",
                                              REPORTD_ERASE_KEY_FILE=f"{name}.erase.key")
        self.port = int(self.url.rsplit(":", 1)[1])


# --- the others ---------------------------------------------------------------------------------


class Nginx:
    """nginx on one core, one worker: a constant answer at /, files of `root` below /files/."""

    def __init__(self, body="", headers=(), root="/nonexistent"):
        program = need("nginx", "nginx")
        self.folder = DATA / "nginx"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.port = free_port()
        lines = "".join('add_header {} "{}";'.format(name, value.replace('"', '\\"')) for name, value in headers
                        if name != "Content-Type")
        self.folder.joinpath("nginx.conf").write_text(f"""
            daemon off; worker_processes 1; pid {self.folder}/pid; error_log {self.folder}/error.log; user root;
            events {{ worker_connections 8192; }}
            http {{ access_log off; keepalive_requests 100000000; sendfile on; tcp_nopush on; default_type application/json;
                client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/proxy;
                fastcgi_temp_path {self.folder}/f; uwsgi_temp_path {self.folder}/u; scgi_temp_path {self.folder}/s;
                server {{ listen 127.0.0.1:{self.port};
                    location /files/ {{ alias {root}/; }}
                    location / {{ {lines} return 200 '{body}'; }} }} }}""")
        self.process = subprocess.Popen(["taskset", "-c", SERVER_CORE, program, "-c", str(self.folder / "nginx.conf")],
                                        stderr=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{self.port}"
        wait_for_port(self.port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Constant(Started):
    """libmicrohttpd on one core, one thread: the same constant answer."""

    def __init__(self, body, headers):
        words = [word for header in headers for word in header]
        self.process = subprocess.Popen(["taskset", "-c", SERVER_CORE, str(OUT / "constant"), body, *words],
                                        stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"


def make_provider():
    """An identity provider whose keys are in a file."""
    sys.path.insert(0, str(ROOT / "tests/e2e"))
    from provider import Provider
    folder = DATA / "provider"
    folder.mkdir(parents=True, exist_ok=True)
    return Provider(folder)


def private_postgres():
    """A PostgreSQL of the bench's own, with the settings it comes with: it fsyncs. To be closed."""
    sys.path.insert(0, str(ROOT / "tests/e2e"))
    from postgres import Postgres, program
    try:
        program("postgres")
    except AssertionError:
        raise Skip("PostgreSQL is not installed (make bench-deps)") from None
    return Postgres(fsync="on", synchronous_commit="on", full_page_writes="on", shared_buffers="128MB")


def node_22():
    found = sorted(NPM.glob("node-linux-*/bin/node"))
    return need(found[-1] if found else NPM / "node", "Node 22")


class NodePeer(Started):
    """A server from bench/peers/, by the Node that npm brought: its last argument is its port."""

    def __init__(self, script, package, *arguments):
        need(NPM / package / "package.json", package)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen([node_22(), str(HERE / "peers" / script), str(NPM), *arguments, str(self.port)],
                                        stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            self.process.kill()
            raise RuntimeError(f"{script} did not start")
