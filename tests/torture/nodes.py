"""What is under torture: one server with a store of its own, or several on one PostgreSQL."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import uuid
from pathlib import Path

from history import now_us
from leftovers import PLACES, Traces, in_folder, with_marker
from load import STATES
from node import HERE, Node, harness, mount_disk, processes_of
from postgres import Postgres

LEASE = 2  # seconds
PRODUCTS = "CREATE TABLE product (product_id bigint PRIMARY KEY, name text NOT NULL)"


class Site:
    """The nodes, and what they leave behind. `disk` is where a small file system is mounted."""

    def __init__(self, folder, reportd):
        harness.REPORTD = Path(reportd).resolve()
        self.folder = Path(folder)
        self.mark = f"{os.getpid()}-{self.folder.name}"  # in the environment of every process
        self.nodes = []
        self.disk = None

    def add_user(self, name):
        self.nodes[0].server.add_user(name)

    def add_operator(self, name):
        self.nodes[0].server.user("add", name, "--operator", stdin=harness.PASSWORD + "\n")

    def ports(self):
        return [node.port for node in self.nodes]

    def left_processes(self):
        """What still runs of the run once all should have ended; they get a moment for that."""
        try:
            harness.poll(lambda: not processes_of(self.mark), 10)
        except AssertionError:
            return processes_of(self.mark)
        return []

    def audit(self):
        """What `reportd fsck` complains of."""
        done = subprocess.run([harness.REPORTD, "fsck", "-c", "reportd.conf"], cwd=self.nodes[0].data,
                              capture_output=True, text=True, check=False)
        return done.stdout + done.stderr if done.returncode else ""

    def folders(self):
        """Where the nodes keep what they have in files."""
        return [node.data for node in self.nodes]

    def leftovers(self, references):
        """Of deleted reports, as (place, name, what), once the nodes have ended."""
        traces = Traces(references)
        found = [each for folder in self.folders() for each in in_folder(folder, traces)]
        return found + [("LOG", *each) for each in with_marker(*(node.log for node in self.nodes))]

    def complaints(self):
        """Of the sanitizers."""
        found = [harness.SANITIZER.search(node.log.read_text(errors="replace")) for node in self.nodes]
        return [complaint.group() for complaint in found if complaint]

    def save(self):
        """What is on the small file system would be gone with it."""
        if self.disk:
            shutil.copytree(self.disk, self.folder / "disk-at-the-end",
                            ignore=shutil.ignore_patterns("ballast"))

    def close(self):
        for pid in processes_of(self.mark):
            os.kill(pid, signal.SIGKILL)
        for node in self.nodes:
            if node.process is not None:
                node.process.wait()
        if self.disk:
            subprocess.run(["umount", "-l", self.disk], check=False)


def worse_than_expired(words):
    """What `reportd fsck` says, if it finds something else than what no server has purged yet."""
    return words if set(re.findall(r"^ +[1-9]\d* (\S+)", words, re.MULTILINE)) != {"expired"} else ""


class Alone(Site):
    def __init__(self, folder, reportd):
        super().__init__(folder, reportd)
        self.nodes = [Node(folder, self.mark)]
        if mount_disk(self.nodes[0].data):
            self.disk = self.nodes[0].data

    def make(self, dice, **config):
        """By the seed; returns what it has chosen, in words."""
        row_results = dice.choice(("0", "16K"))
        self.nodes[0].make(row_results=row_results, **config)
        return f"row_results {row_results}, {'small disk' if self.disk else 'no disk of its own to fill'}"

    def files(self):
        return [path.name for path in (self.nodes[0].data / "spool").rglob("*") if path.is_file() and path.name != "store.id"]

    def run(self, *words, **environment):
        """A verb of reportd beside the server; what it complains of."""
        done = subprocess.run([harness.REPORTD, *words], cwd=self.nodes[0].data, env={**os.environ, **environment},
                              capture_output=True, text=True, check=False)
        return done.stdout + done.stderr if done.returncode else ""

    def back_up(self, folder):
        """Words if it fails."""
        return self.run("backup", "-c", "reportd.conf", folder)

    def restore(self, backup, folder):
        """The backup with the deletions of the ledger as it is now, in a folder beside the server's; words
        if it fails, and the reports that are there then: reference, user, state."""
        folder.mkdir()
        shutil.copyfile(self.nodes[0].data / "deletions.ledger", folder / "ledger")
        places = {"REPORTD_STORE": str(folder / "store.db"), "REPORTD_SPOOL": str(folder / "spool"),
                  "REPORTD_TEMP": str(folder / "temp"), "REPORTD_DELETION_LEDGER": str(folder / "ledger")}
        words = self.run("restore", "-c", "reportd.conf", backup, **places) or \
            worse_than_expired(self.run("fsck", "-c", "reportd.conf", **places))
        if words:
            return words, []
        with sqlite3.connect(folder / "store.db") as store:
            rows = store.execute("SELECT report.id, user.name, state FROM report JOIN user ON user.id = user_id "
                                 "WHERE state < ?", (len(STATES),)).fetchall()
        store.close()
        return "", [[str(uuid.UUID(bytes=row[0])), row[1], STATES[row[2]]] for row in rows]

    def rows(self):
        """How many rows each table of reports has."""
        with sqlite3.connect(self.nodes[0].data / "store.db") as store:
            count = store.execute("SELECT count(*) FROM report").fetchone()[0]
        store.close()
        return {"report": count}


class Wire:
    """The network between a node and PostgreSQL: the tests' Proxy, in a process of its own."""

    def __init__(self, port):
        self.process = subprocess.Popen([sys.executable, HERE / "wire.py", str(port)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())

    def tell(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        self.process.stdout.readline()

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Cluster(Site):
    """`starting`: who holds it may count on PostgreSQL to run, or may stop it."""

    def __init__(self, folder, reportd, count):
        super().__init__(folder, reportd)
        self.postgres = Postgres(log_lock_waits="on")
        self.database = self.postgres.create_database("store")
        self.starting = threading.Lock()
        self.nodes = [Node(folder, self.mark, index) for index in range(count)]
        self.wires = [Wire(self.postgres.port) for _ in self.nodes]
        self.spool = None

    def make(self, dice, **config):
        spool, source = dice.choice(("postgresql", "folder")), dice.choice(("sqlite", "postgresql"))
        if spool == "folder":
            shared = self.folder / "shared"
            shared.mkdir()
            self.disk = shared if mount_disk(shared) else None
            spool = self.spool = shared / "spool"
        if source == "postgresql":
            config["source"] = self.postgres.url(self.postgres.create_database("data", PRODUCTS))
        for node, wire in zip(self.nodes, self.wires):
            url = self.postgres.url(self.database, tcp=True)
            node.make(store=url.replace(f":{self.postgres.port}/", f":{wire.port}/"), spool=spool,
                      key_file=self.folder / "token.key", receipt_key_file=self.folder / "receipt.key",
                      erase_key_file=self.folder / "erase.key",
                      lease=f"{LEASE}s", **config)
        return f"{len(self.nodes)} nodes, spool {'postgresql' if self.spool is None else 'shared folder'}, " \
               f"source {source}"

    def sql(self, text):
        return self.postgres.sql("SET search_path = reportd; " + text, self.database)

    def files(self):
        folders = [node.data / "temp" for node in self.nodes] + ([self.spool] if self.spool else [])
        return [path.name for folder in folders for path in folder.rglob("*") if path.is_file() and path.name != "store.id"]

    def folders(self):
        return super().folders() + ([self.spool.parent] if self.spool else [])

    def leftovers(self, references):
        """What is in the database is sealed, in its log and its WAL, too."""
        return super().leftovers(references) + [("DATABASE", *each) for each in with_marker(self.postgres.folder)]

    def rows(self):
        places = (place for place in PLACES if place.keeps_a_report and place.name != "DATABASE")
        tables = {table for place in places if "postgres-rows" in place.stores for table in place.tables} - {"index"}
        return {table: int(self.sql(f"SELECT count(*) FROM {table}")[0]) for table in sorted(tables | {"node"})}

    def save(self):
        super().save()
        (self.folder / "postgresql.log").write_text(self.postgres.log_text())
        for table in ("report", "node"):
            try:
                rows = self.sql(f"SELECT row_to_json(t) FROM {table} t")
            except AssertionError as error:  # it may have ended in between
                rows = [str(error)]
            (self.folder / f"{table}-at-the-end").write_text("\n".join(rows) + "\n")

    def close(self):
        super().close()
        for wire in self.wires:
            wire.close()
        self.postgres.close()


class Watcher(threading.Thread):
    """Writes down which reports PostgreSQL runs queries of: the name of a session tells."""

    SQL = ("SELECT DISTINCT substring(application_name FROM 9) FROM pg_stat_activity "
           "WHERE application_name LIKE 'reportd %-%' AND state <> 'idle'")
    PAUSE = 0.1

    def __init__(self, site, history, stop):
        super().__init__(daemon=True)
        self.site, self.history, self.stop = site, history, stop
        self.broken = None

    def run(self):
        try:
            while not self.stop.wait(self.PAUSE):
                self.look()
        except Exception as error:  # the driver raises it
            self.broken = error
            self.stop.set()

    def look(self):
        began = now_us()
        try:
            running = self.site.postgres.sql(self.SQL)
        except AssertionError:  # PostgreSQL is being restarted
            return
        if running:
            self.history.add({"running": running, "sent": began, "received": now_us()})
