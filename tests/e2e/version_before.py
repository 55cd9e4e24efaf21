"""What the version before has left behind: made by this file run as a program, read by test_upgrade.py.

tests/data has an archive for each kind of store, named after the schema in it. To add those of another version, build it
elsewhere, and run this file of that version, or of this one if nothing that it calls has changed:

    git worktree add /tmp/before COMMIT && make -C /tmp/before MODE=plain programs
    REPORTD_BIN=/tmp/before/build/plain/reportd python3 tests/e2e/version_before.py

Those of sqlite-7, postgres-files-10 and postgres-rows-10 are of the last version that stored a result as JSON alone, without a footer.

An archive has the server's folder as kill -9 has left it, an SQL dump of its database, if it had one, and what its clients
were told before that: `expected.json`, and the bytes of each result in `results`.
"""

import contextlib
import json
import subprocess
import tempfile
import time
from pathlib import Path

import requests

from harness import PASSWORD, REPORTD, ROOT, Server
from postgres import Postgres, program
from seams import DEATH, Gate, plan
from stores import STORES, store_of

DATA = ROOT / "tests/data"
ROWS = "3000"  # more than fits into a row
KEY = "once-only"
LEFT_OUT = ("stderr.log", "trace", "*.gate")
HEADERS = ("Content-Type", "Content-Length", "Content-Digest", "ETag", "Expires")


class Writer:
    """Brings reports of every kind and state about, and writes down what clients are told of them."""

    def __init__(self, folder, kind, postgres):
        self.server = Server.made(folder / "server", store_of(kind, postgres))
        self.results = folder / "results"
        self.results.mkdir()
        self.reports = {}

    def start(self, **config):
        self.server.configure(**config)
        self.server.start()
        return self.server.client("alice"), self.server.client("bob")

    def note(self, what, client, reference):
        """Of a report that has ended."""
        client.finish(reference)
        status, result = client.status(reference), client.result(reference)
        (self.results / reference).write_bytes(result.content)
        (listed,) = [report for report in client.list().json()["data"]["reports"] if report["reference"] == reference]
        self.reports[reference] = {"what": what, "user": "alice", "status": status.json(), "listed": listed,
                                   "headers": {name: result.headers[name] for name in HEADERS if name in result.headers}}

    def run(self):
        """Returns what is expected of it later."""
        for name, grants in (("alice", "*"), ("bob", "*"), ("carol", "Quick"), ("dave", "*")):
            self.server.add_user(name, grants=[grants])
        self.server.user("disable", "dave")
        deleted = self.in_rows_and_files()
        self.sealed_and_packed()
        return {**self.killed(), "deleted": deleted, "password": PASSWORD, "key": KEY, "reports": self.reports}

    def in_rows_and_files(self):
        alice, bob = self.start(row_results="16K")
        deleted = [alice.complete("Quick", ProductID="2"), bob.complete("Big", Rows=ROWS)]
        alice.delete(deleted[0])
        bob.delete(deleted[1])
        self.note("in its row", alice, alice.complete("Quick", ProductID="1", Note="Ünïcode, \"quoted\""))
        self.note("in its row", alice, alice.complete("Nested"))
        self.note("in a file", alice, alice.complete("Big", Rows=ROWS))
        self.note("in error", alice, alice.order("Quick", ProductID="99"))
        body = {"reportName": "Typed", "parameters": {"Text": "x", "Day": "2024-02-29", "Colour": "Red"}}
        keyed = alice.call("POST", "/Report", {"Idempotency-Key": KEY}, json=body).json()["data"]
        self.note("with a key", alice, keyed)
        assert self.server.stop() == 0
        return deleted

    def sealed_and_packed(self):
        alice, _ = self.start(row_results=0, spool_encryption="on")
        self.note("encrypted", alice, alice.complete("Quick", ProductID="2"))
        assert self.server.stop() == 0
        if b"result_compression" not in REPORTD.read_bytes():  # of a version that has no such key
            return
        alice, _ = self.start(row_results=0, spool_encryption="on", result_compression="zstd")
        self.note("encrypted and compressed", alice, alice.complete("Big", Rows=ROWS))
        assert self.server.stop() == 0

    def killed(self):
        """One report runs and one is queued when the server dies in the middle of a DELETE."""
        gate, now = Gate(self.server, "worker.run.received", at=2), self.server.folder / "now.gate"
        plan(self.server, gate.seam, f"deletion.delete.marked=crash?{now}", trace=gate.trace)
        alice, bob = self.start(row_results="16K", workers=1)
        half = alice.complete("Quick", ProductID="1")
        processing = bob.order("Quick", ProductID="1", Note="was running")
        bob.wait_for(processing, "processing")
        gate.wait()
        queued = bob.order("Quick", ProductID="1", Note="was queued")
        now.touch()
        with contextlib.suppress(requests.ConnectionError):
            alice.delete(half)
        assert self.server.process.wait() == DEATH
        gate.open()
        self.server.configure(row_results="16K", workers=1)
        return {"made": int(time.time() * 1000), "access": alice.token, "refresh": alice.refresh_token, "half": half,
                "processing": processing, "queued": queued}


def dump(store):
    """Without the lines that only the newest psql reads."""
    done = subprocess.run([program("pg_dump"), "--no-owner", "-d", store.postgres.url(store.database)],
                          capture_output=True, text=True, check=True)
    return "".join(line for line in done.stdout.splitlines(True) if not line.startswith(("\\restrict", "\\unrestrict")))


def schema_of(store):
    question = "PRAGMA user_version" if store.kind == "sqlite" else "SELECT max(version) FROM schema_version"
    return store.sql(question)[0]


def make(kind, postgres):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "server").mkdir()
        writer = Writer(folder, kind, postgres)
        expected = writer.run()
        (folder / "expected.json").write_text(json.dumps(expected, indent=1))
        store = writer.server.store
        if kind != "sqlite":
            (folder / "dump.sql").write_text(dump(store))
        target = DATA / f"{kind}-{schema_of(store)}.tar.xz"
        subprocess.run(["tar", "-cJf", target, "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "-C", folder,
                        *(f"--exclude={name}" for name in LEFT_OUT), "."], check=True)
        store.close()
        print(target.relative_to(ROOT), target.stat().st_size)


if __name__ == "__main__":
    server = Postgres()
    try:
        for each in STORES:
            make(each, lambda: server)
    finally:
        server.close()
