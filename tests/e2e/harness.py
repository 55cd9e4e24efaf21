"""The real reportd, on a port of its own with a small database, and a client for it."""

import contextlib
import os
import re
import select
import shutil
import signal
import sqlite3
import stat
import subprocess
import threading
import time
from pathlib import Path

import requests

import described
from stores import SqliteStore

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
REPORTD = Path(os.environ.get("REPORTD_BIN", ROOT / "build/asan/reportd"))
REPORTCTL = Path(os.environ.get("REPORTCTL_BIN", ROOT / "build/asan/reportctl"))

PASSWORD = "correct horse battery staple"
SPOOL_MARK = "store.id"  # in the spool: whose it is
PROBLEM = "application/problem+json"
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
STARTS_WITHIN = 30  # seconds; under ASan on a busy machine
ENDS_WITHIN = 30
TOKEN_SECONDS = 1200  # an access token's life
PATIENCE = 60  # for anything else that has to happen at last
REPORT_ENDS_WITHIN = 240  # it needs the processor, which others may have
SOON = 30  # less than the longest `Prefer: wait`
IDLE_SECONDS = 60  # after them the server closes a connection, maybe just when a request is on its way
SANITIZER = re.compile(r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error):?.*")


def poll(condition, seconds=PATIENCE, what="it"):
    """Wait until condition() is true, and return what it returned; `what` may be a function."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what() if callable(what) else what} did not happen within {seconds} s")
        time.sleep(0.01)


def soon(call):
    """What call() returns; it could wait longer than this."""
    outcome = []
    caller = threading.Thread(target=lambda: outcome.append(call()), daemon=True)
    caller.start()
    caller.join(SOON)
    assert outcome, f"no answer within {SOON} s"
    return outcome[0]


def make_database(path):
    """Two products with items; money in cents."""
    with sqlite3.connect(path) as db:
        db.executescript("""
            CREATE TABLE product (product_id INTEGER PRIMARY KEY, name TEXT NOT NULL);
            INSERT INTO product VALUES (1, 'Bonds'), (2, 'Shares "A"'), (3, 'Empty');
            CREATE TABLE item (item_id INTEGER PRIMARY KEY, product_id INTEGER NOT NULL,
                               owner TEXT NOT NULL, cents INTEGER NOT NULL, day TEXT NOT NULL);
            INSERT INTO item VALUES (1, 1, 'Ada', 125000000, '2024-01-12'),
                                    (2, 1, 'Ada', 1, '2024-01-13'),
                                    (3, 1, 'Żaneta', -205, '2024-02-01'),
                                    (4, 2, 'Bob', 900719925474099367, '2024-03-01');
        """)
    db.close()


def processes_below(pid):
    """The living children of a process, by pid."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        state, parent = text.rpartition(")")[2].split()[:2]
        if int(parent) == pid and state != "Z":
            found.append(int(path.parent.name))
    return sorted(found)


class Threads:
    """So many that do the same again and again while a block of `with` lasts: run(number) looks at `over`."""

    def __init__(self, count):
        self.over = False
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        for thread in self.threads:
            thread.join()


class Server:
    """`reportd serve` in a folder. Made by the fixtures; started and stopped by hand if need be."""

    def __init__(self, folder, make_store=SqliteStore):
        self.folder = Path(folder)
        self.store = make_store(self.folder)
        self.reports = self.folder / "reports"
        self.spool = self.folder / "spool"
        self.log = self.folder / "stderr.log"
        self.environment = {**os.environ}
        self.program = [REPORTD]  # and what starts it, if something does
        self.pass_fds = ()
        self.process = None
        self.url = None
        self.trust = True  # see Client
        self.clients = {}

    @classmethod
    def made(cls, folder, make_store=SqliteStore, **config):
        """A server with the test's database, definitions and configuration; stores.py makes its store."""
        server = cls(folder, make_store)
        shutil.copytree(HERE / "reports", server.reports)
        server.reports.chmod(0o755)  # whatever the umask of the checkout
        make_database(server.folder / "data.db")
        server.configure(**config)
        return server

    @classmethod
    def of_folder(cls, folder, make_store=None):
        """A server with the configuration that is there, except for a free port and, if given, its store."""
        server = cls(folder, *([make_store] if make_store else []))
        server.environment |= {"REPORTD_LISTEN": "127.0.0.1:0", "REPORTD_WORKER_MEMORY": "0"}
        if make_store:
            server.environment |= {f"REPORTD_{key.upper()}": value for key, value in server.store.config.items()}
        return server

    def configure(self, source="sqlite:data.db", max_running=0, sections="", **config):
        """`sections` is text of the file's own."""
        values = {
            "listen": "127.0.0.1:0",
            **self.store.config,
            "reports": "reports",
            "workers": 2,
            "cancel_grace": "2s",
            "drain_grace": "1s",
            "row_results": 0,  # many tests look at a result's file
            "worker_memory": 0,  # an address space limit and ASan exclude each other
            **config,
        }
        lines = [f'{key} = "{value}"' for key, value in values.items()]
        limit = f" max_running = {max_running}" if max_running else ""
        lines.append(f'source data {{ url = "{source}"{limit} }}')
        if limit:
            lines.append('source other { url = "sqlite:data.db" }')  # which has none
        (self.folder / "reportd.conf").write_text("\n".join(lines) + "\n" + sections)
        (self.folder / "reportd.conf").chmod(0o600)  # a source's URL may have a password

    def run(self, *words, stdin="", environment=None):
        """A verb of reportd, run to its end."""
        return subprocess.run([*self.program, *words], cwd=self.folder, input=stdin, text=True,
                              env={**os.environ, **(environment or {})}, capture_output=True, timeout=PATIENCE)

    def user(self, verb, *words, stdin=""):
        done = self.run("user", verb, "-c", "reportd.conf", *words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def add_user(self, name, grants=("*",), password=PASSWORD):
        self.user("add", name, "--grant", *grants, stdin=password + "\n")

    def start(self):
        assert self.process is None
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*self.program, "serve", "-c", self.folder / "reportd.conf"],
                                            env=self.environment, stdout=subprocess.PIPE,
                                            stderr=log, pass_fds=self.pass_fds)
        ready, _, _ = select.select([self.process.stdout], [], [], STARTS_WITHIN)
        line = self.process.stdout.readline().decode() if ready else ""
        if not line.startswith("ready on http"):
            self.kill()
            raise AssertionError(f"reportd did not start: {line!r}\n{self.log_text()[-2000:]}")
        self.url = line.removeprefix("ready on ").strip()
        return self

    def stop(self):
        """SIGTERM, and wait for the orderly end; returns the exit status."""
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"reportd did not stop\n{self.log_text()[-2000:]}") from None
        finally:
            process.stdout.close()

    def await_end(self, seconds=PATIENCE):
        """Of what ends by itself, as at a seam; returns the exit status."""
        process, self.process = self.process, None
        with process.stdout:
            return process.wait(seconds)

    def kill(self):
        """kill -9, as a crash; the workers are left to find out by themselves."""
        process, self.process = self.process, None
        workers = processes_below(process.pid)
        process.kill()
        process.wait()
        process.stdout.close()
        poll(lambda: not any(is_running(pid) for pid in workers), what="the end of the workers")

    def reload(self, broken=0):
        """SIGHUP, and wait until the definitions have been read; some of them may be broken."""
        before = self.log_text().count("definitions.reload")
        self.process.send_signal(signal.SIGHUP)
        poll(lambda: self.log_text().count("definitions.reload") > before, what="the reload")
        last = [line for line in self.log_text().splitlines() if "definitions.reload" in line][-1]
        assert re.search(rf'broken"?[=:]{broken}\b', last), last

    def workers(self):
        return processes_below(self.process.pid)

    def await_log(self, words):
        """Until the log has them: its lines come a moment after what they are about."""
        poll(lambda: words in self.log_text(), what=lambda: f"{words!r} in the log\n{self.log_text()[-2000:]}")

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def check_log(self):
        complaint = SANITIZER.search(self.log_text())
        assert complaint is None, self.log_text()[max(0, complaint.start() - 200):][:6000]

    def files(self):
        """The names of results and of temporary files, wherever they are kept."""
        found = [path.name for folder in (self.spool, self.folder / "temp")
                 for path in folder.rglob("*") if path.is_file() and path.name != SPOOL_MARK]
        return sorted(found + self.store.results())

    def files_of(self, reference):
        return [name for name in self.files() if name.startswith(reference)]

    def result_file(self, reference):
        """The one that has the result, to be read or damaged."""
        (name,) = self.files_of(reference)
        return self.spool / name

    def stored(self):
        """Everything that is kept, except for the log, as pairs of a name and bytes."""
        for path in self.folder.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path != self.log and path.is_file():
                    yield str(path.relative_to(self.folder)), path.read_bytes()
        yield from self.store.tables()

    def holding(self, *wanted):
        """The names of the files and tables that have any of these bytes, or are called so."""
        return {name for name, data in self.stored()
                if any(bytes_ in data or bytes_ in name.encode() for bytes_ in wanted)}

    def nameless(self):
        """Files without a name, in memory or unlinked, that it and its workers have open or mapped: pairs as of stored()."""
        for pid in [self.process.pid, *processes_below(self.process.pid)]:
            for kind in ("fd", "map_files"):
                with contextlib.suppress(OSError):
                    for path in Path(f"/proc/{pid}/{kind}").iterdir():
                        with contextlib.suppress(OSError):
                            if stat.S_ISREG(path.stat().st_mode) and path.stat().st_nlink == 0:
                                yield os.readlink(path), path.read_bytes()

    def holding_without_a_name(self, *wanted):
        return {name for name, data in self.nameless() if any(bytes_ in data for bytes_ in wanted)}

    def metric(self, name):
        text = requests.get(self.url + "/metrics", timeout=PATIENCE, verify=self.trust).text
        return float(re.search(rf"^reportd_{re.escape(name)} (-?[\d.]+)$", text, re.M).group(1))

    def client(self, name, password=PASSWORD):
        client = Client(self.url, trust=self.trust)
        client.login(name, password)
        return client

    def client_of(self, name):
        """One that tests share, logged in as long as they run."""
        client, until = self.clients.get(name, (None, 0))
        if until < time.monotonic():
            client = self.client(name)
            self.clients[name] = client, time.monotonic() + TOKEN_SECONDS / 2
        return client


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Client:
    """What a client of the API does. Header arguments are written with _ for -."""

    def __init__(self, url, token=None, address=None, trust=True):
        self.url = url
        self.token = token
        self.refresh_token = None
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = trust  # the file of a certificate's authority
        self.session.headers["Accept-Encoding"] = "identity"  # results as they are stored
        if address is not None:  # of this machine: any of 127.0.0.0/8
            self.session.get_adapter(url).init_poolmanager(1, 1, source_address=(address, 0))
        self.called = 0  # monotonic

    def call(self, method, path, headers=None, **arguments):
        """One request with the usual headers; a header given as None is left out."""
        sent = {"Version": "2.0", "Authorization": self.token, **(headers or {})}
        if time.monotonic() - self.called > IDLE_SECONDS / 2:
            self.session.close()  # the next one is another connection
        self.called = time.monotonic()
        answer = self.session.request(method, self.url + path, timeout=PATIENCE + 60,
                                      headers={k: v for k, v in sent.items() if v is not None},
                                      **arguments)
        described.check(answer)
        return answer

    def get(self, path, headers=None, **arguments):
        return self.call("GET", path, headers, **arguments)

    def login(self, name, password=PASSWORD):
        answer = self.call("POST", "/User/Login", json={"username": name, "password": password})
        assert answer.status_code == 200, answer.text
        self.token = answer.json()["accessToken"]
        self.refresh_token = answer.json()["refreshToken"]

    def submit(self, name, parameters=None, headers=None):
        body = {"reportName": name}
        if parameters is not None:
            body["parameters"] = parameters
        return self.call("POST", "/Report", headers, json=body)

    def order(self, name, **parameters):
        """Submit a report that must be accepted; returns its reference."""
        answer = self.submit(name, parameters)
        assert answer.status_code == 200 and answer.json()["result"] is True, answer.text
        return answer.json()["data"]

    def status(self, reference, headers=None):
        return self.get("/Report/Status", headers, params={"reference": reference})

    def state(self, reference):
        return self.status(reference).headers.get("X-Report-State")

    def wait_for(self, reference, state):
        poll(lambda: self.state(reference) == state, what=f"{state} of {reference}")

    def finish(self, reference):
        """Wait until the report has ended; returns the last status answer."""

        def ended():
            answer = self.status(reference, {"Prefer": "wait=30"})
            return answer if answer.json()["data"] != "incomplete" else None

        return poll(ended, REPORT_ENDS_WITHIN, what=f"the end of {reference}")

    def complete(self, name, **parameters):
        """Order a report and wait for its result; returns the reference."""
        reference = self.order(name, **parameters)
        answer = self.finish(reference)
        assert answer.json()["data"] == "complete", answer.text
        return reference

    def result(self, reference, headers=None, method="GET", **arguments):
        return self.call(method, "/Report", headers, params={"reference": reference}, **arguments)

    def delete(self, reference, headers=None):
        return self.call("DELETE", "/Report", headers, params={"reference": reference})

    def list(self, **query):
        return self.get("/Report/List", params=query)

    def references(self):
        return [report["reference"] for report in self.list(PageSize=1000).json()["data"]["reports"]]

    def delete_all(self):
        for reference in self.references():
            self.delete(reference)


def opens(server, token):
    """Is it a token that counts?"""
    return Client(server.url, token).list().status_code == 200


def damage(path, at, data=None):
    """Overwrite bytes from place `at` on, or change one bit there."""
    content = bytearray(path.read_bytes())
    data = bytes([content[at] ^ 1]) if data is None else data
    content[at:at + len(data)] = data
    path.write_bytes(content)


def refused(answer, *words):
    """Assert that a business error was answered whose message has the words."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["result"] is False and body["data"] == {}, body
    assert set(body) == {"result", "message", "data"}
    for word in words:
        assert word in body["message"], body["message"]
    return body["message"]


def failed(answer, status, *words):
    """Assert that an error with its HTTP status and the envelope was answered."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["Content-Type"].startswith("application/json")
    body = answer.json()
    assert body["result"] is False and set(body) == {"result", "message", "data"}, body
    for word in words:
        assert word in body["message"], body["message"]
    return body["message"]
