"""What the cases stand on: programs, folders, data, servers pinned to a core, measuring in turn."""

import base64
import hashlib
import hmac
import json
import os
import re
import select
import shutil
import signal
import sqlite3
import statistics
import subprocess
import time
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
OUT = ROOT / "build/bench"
NPM = OUT / "npm/node_modules"
SERVER_CORE, LOAD_CORE = "0", "1"
ROWS = 2_000_000  # of the generating cases
ROWS_SQL = "SELECT id, name, day, note, price, amount FROM item"
USERS = 1000
CONNECTIONS = 64
STAMP_MS = 4_000_000_000_000  # of expiry: far away


class Skip(Exception):
    """A peer that is not here; the words name it."""


def need(path, name):
    found = path if isinstance(path, Path) and path.exists() else shutil.which(str(path))
    if not found:
        raise Skip(f"{name} is not installed (make bench-deps)")
    return str(found)


def run(*command, core=None, **more):
    pinned = ["taskset", "-c", core] if core else []
    done = subprocess.run([*pinned, *map(str, command)], text=True, capture_output=True, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def alternate(pairs, *measures):
    """A B A B …: lists of what each measure returned, so that what disturbs one disturbs the other."""
    results = [[] for _ in measures]
    for _ in range(pairs):
        for result, measure in zip(results, measures):
            result.append(measure())
    return results


def median(values):
    return statistics.median(values)


def spread(values):
    """Half the range between the quartiles, as a part of the median."""
    if len(values) < 3:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / 2 / median(values) if median(values) else 0.0


# --- data ---------------------------------------------------------------------------------------


def make_items(path, rows):
    """The reported database: `rows` items of 6 columns, money in cents, 20 items a group."""
    if path.exists():
        return path
    with sqlite3.connect(path) as db:
        db.executescript(f"""
            PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
            CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL, day TEXT NOT NULL,
                               note TEXT NOT NULL, price INTEGER NOT NULL, amount INTEGER NOT NULL);
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
            INSERT INTO item SELECT i, 'Holder ' || (i / 20), date('2020-01-01', '+' || (i % 1500) || ' days'),
                'Settled transaction of unit class ' || (i % 97), i * 7919 % 100000000, i * 104729 % 1000000000 FROM n;
        """)
    db.close()
    return path


def definition(name, source, results, summary=None, header=()):
    lines = [f"-- report: {name}", f"-- source: {source}", *header, "-- results", results + ";"]
    if summary:
        lines += ["-- summary", summary + ";"]
    return "\n".join(lines) + "\n"


MONEY = ("-- column: price decimal(2)", "-- column: amount decimal(2)")
DEFINITIONS = {
    "Tiny": definition("Tiny", "items", 'SELECT 1 AS "one"'),
    "Flat": definition("Flat", "items", ROWS_SQL, header=MONEY),
    "Nested": definition(
        "Nested", "items",
        'SELECT name, id AS "accounts[].id", day AS "accounts[].day", note AS "accounts[].note", '
        'price AS "accounts[].price", amount AS "accounts[].amount" FROM item',
        header=("-- column: accounts[].price decimal(2)", "-- column: accounts[].amount decimal(2)")),
    "Many": definition(
        "Many", "items",
        "SELECT i.id, i.name, i.day, i.note, i.price, i.amount FROM item AS i, "
        "(WITH RECURSIVE n (k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < 5) SELECT k FROM n) LIMIT :Rows",
        header=("-- parameter: Rows integer required", *MONEY)),
    "Endless": definition(
        "Endless", "items",
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0"),
}


def new_id():
    """A version 7 GUID (RFC 9562)."""
    value = (int(time.time() * 1000) << 80) | int.from_bytes(os.urandom(10), "big")
    return ((value & ~(0xF << 76 | 3 << 62)) | 7 << 76 | 2 << 62).to_bytes(16, "big")


def reference(guid):
    return str(uuid.UUID(bytes=guid))


# --- reportd ------------------------------------------------------------------------------------


class Reportd:
    """`reportd serve` in a folder of its own; pinned to one core unless `core` is None."""

    def __init__(self, name, core=SERVER_CORE, **config):
        self.folder = OUT / "data" / name
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "reports").mkdir(parents=True)
        for report, text in DEFINITIONS.items():
            (self.folder / "reports" / f"{report}.sql").write_text(text)
        values = {"listen": "127.0.0.1:0", "workers": 1, "http_threads": 1, "active_limit": 100, "log_level": "info",
                  "connections": 6000, **config}
        text = "".join(f'{key} = "{value}"\n' for key, value in values.items())
        items = make_items(OUT / "data/items.db", ROWS)
        (self.folder / "reportd.conf").write_text(text + f'source items {{ url = "sqlite:{items}" }}\n')
        self.core, self.process, self.threads = core, None, []
        self.start()
        self.add_users()

    @property
    def store(self):
        return self.folder / "reportd.db"

    @property
    def spool(self):
        return self.folder / "spool"

    def start(self):
        pinned = ["taskset", "-c", self.core] if self.core else []
        program = os.environ.get("REPORTD_BIN", ROOT / "build/release/reportd")
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([*pinned, str(program), "serve", "-c", str(self.folder / "reportd.conf")],
                                            stdout=subprocess.PIPE, stderr=log)
        ready, _, _ = select.select([self.process.stdout], [], [], 60)
        line = self.process.stdout.readline().decode() if ready else ""
        if not line.startswith("ready on "):
            raise RuntimeError(f"reportd did not start: {(self.folder / 'log').read_text()[-2000:]}")
        self.url = line.split()[-1]
        self.port = int(self.url.rsplit(":", 1)[1])
        return self

    def stop(self):
        if self.process:
            for worker in self.workers():
                os.kill(worker, signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def workers(self):
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        found = set()
        for children in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            found |= {int(pid) for pid in children.read_text().split()}
        return sorted(found) if text.exists() else []

    def db(self):
        db = sqlite3.connect(self.store, timeout=30, isolation_level=None)
        db.execute("PRAGMA synchronous = OFF")
        return db

    def add_users(self):
        """Users who are logged in; a password check each would take longer than the bench."""
        key = (self.folder / "token.key").read_bytes()
        now = int(time.time())
        self.tokens = []
        db = self.db()
        db.execute("BEGIN IMMEDIATE")
        for number in range(1, USERS + 1):
            session, access = new_id(), new_id()
            db.execute("INSERT INTO user (id, name, password_hash, grants) VALUES (?, ?, '', '*')", (number, f"u{number}"))
            db.execute("INSERT INTO session VALUES (?, ?, ?, ?, ?)",
                       (session, number, access, os.urandom(32), STAMP_MS))
            self.tokens.append(self.token(key, f"u{number}", session, access, now))
        db.execute("COMMIT")
        db.close()

    @staticmethod
    def token(key, name, session, access, now):
        def encode(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=")
        claims = {"sub": name, "sid": reference(session), "jti": reference(access), "iat": now, "exp": now + 1200}
        head = b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + encode(json.dumps(claims, separators=(",", ":")).encode())
        return (head + b"." + encode(hmac.new(key, head, hashlib.sha256).digest())).decode()

    def store_reports(self, count, files=False):
        """`count` complete reports more, put into the store at once; returns [(reference, token)].
        Each has an answer of 7 bytes if `files`. They are spread over the users."""
        db = self.db()
        db.execute("BEGIN IMMEDIATE")
        triggers = db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")
        made = [new_id() for _ in range(count)]
        db.executemany(
            "INSERT INTO report (id, user_id, state, slot, attempt, rows, bytes, submitted_ms, started_ms, finished_ms,"
            " expires_ms, digest, name, parameters) VALUES (?, ?, 2, 0, 1, 1, ?, 1700000000000, 1700000000000,"
            f" 1700000000000, {STAMP_MS}, zeroblob(32), 'Tiny', '{{}}')",
            ((guid, 1 + i % USERS, 7 if files else 8) for i, guid in enumerate(made)))
        db.execute("UPDATE report_count SET n = n + ? WHERE state = 2", (count,))
        for _, sql in triggers:
            db.execute(sql)
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        for guid in made if files else ():
            (self.spool / f"{reference(guid)}.1.json").write_bytes(b'{"a":1}')
        return [(reference(guid), self.tokens[i % USERS]) for i, guid in enumerate(made)]

    def write_requests(self, name, pairs, path="/Report/Status?reference={}"):
        file = self.folder / name
        file.write_text("".join(f"{path.format(guid)} {token}\n" for guid, token in pairs))
        return file

    def freeze_workers(self):
        """Give the worker a report that never ends and stop its process: what is submitted stays queued."""
        curl = ["curl", "-sS", "-H", "Version: 2.0", "-H", f"Authorization: {self.tokens[0]}"]
        guid = json.loads(run(*curl, "-H", "Content-Type: application/json", "-d",
                              '{"reportName": "Endless"}', f"{self.url}/Report"))["data"]
        while "generated" not in run(*curl, f"{self.url}/Report/Status?reference={guid}"):
            time.sleep(0.02)
        for worker in self.workers():
            os.kill(worker, signal.SIGSTOP)

    def forget_queue(self):
        """Take what the last round submitted out of the store."""
        db = self.db()
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE report SET state = 4 WHERE state = 0 AND state NOT IN (2, 3)")
        db.execute("DELETE FROM report WHERE state = 4 AND state NOT IN (2, 3)")
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()


# --- load ---------------------------------------------------------------------------------------


def wrk(url, script, *arguments, seconds=2.0, connections=CONNECTIONS, threads=1, core=LOAD_CORE):
    """Requests a second, and what else wrk saw."""
    text = run(need("wrk", "wrk"), f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "-s", HERE / "lua" / script, url,
               "--", *arguments, core=core)
    found = re.search(r"requests (\d+) us (\d+) errors (\d+) p50 (\d+) p99 (\d+)", text)
    if not found:
        raise RuntimeError(f"wrk said: {text[-800:]}")
    requests, us, errors, p50, p99 = map(int, found.groups())
    return {"rate": requests / us * 1e6, "errors": errors, "p50_us": p50, "p99_us": p99, "requests": requests}


class Nginx:
    """nginx on one core, one worker: a constant answer at /, files of `root` below /files/."""

    def __init__(self, body="", headers=(), root="/nonexistent"):
        program = need("nginx", "nginx")
        self.folder = OUT / "data/nginx"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.port = free_port()
        lines = "".join(f'add_header {name} "{value}";' for name, value in headers)
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


def free_port():
    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, seconds=30):
    import socket
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}")


# --- results ------------------------------------------------------------------------------------


class Row:
    """One line of the table. `ours` and `theirs` are lists of the same length, measured in turn; the ratio is the
    median of theirs of each pair, so that it is a pair's noise and not the hour's that it shows."""

    def __init__(self, case, beside, unit, ours, theirs, goal, lower_is_better=False, at_most=False, note=""):
        self.case, self.beside, self.unit, self.goal, self.at_most, self.note = case, beside, unit, goal, at_most, note
        self.ours, self.theirs = ours, theirs
        ratios = [b / a if lower_is_better else a / b for a, b in zip(ours, theirs)]
        self.ratio, self.ratio_spread = median(ratios), spread(ratios)

    @property
    def met(self):
        return None if self.goal is None else self.ratio <= self.goal if self.at_most else self.ratio >= self.goal

    def as_json(self):
        return {"case": self.case, "beside": self.beside, "unit": self.unit, "ours": self.ours, "theirs": self.theirs,
                "median": median(self.ours), "spread": spread(self.ours), "beside_median": median(self.theirs),
                "ratio": self.ratio, "ratio_spread": self.ratio_spread, "goal": self.goal, "at_most": self.at_most,
                "met": self.met, "note": self.note}
