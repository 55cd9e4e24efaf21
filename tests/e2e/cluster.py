"""Several nodes of reportd on one PostgreSQL, with one spool and one key."""

import contextlib
import itertools
import select
import shutil
import socket
import threading
import time

from harness import Client, Server, poll

LEASE = "2s"  # short, so that the tests need not wait; long enough for a busy machine
LEASE_SECONDS = 2
_numbers = itertools.count()


class Proxy:
    """Carries bytes to a port of 127.0.0.1, until it is cut: then it holds them, and closes nothing."""

    def __init__(self, target):
        self.target = target
        self.whole = threading.Event()
        self.whole.set()
        self.ends = []
        self.cut_at = None  # bytes that are held, and all that follows
        self.held_since = None  # when a connection came while it was cut
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=(near,), daemon=True).start()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.target))

    def carry(self, near):
        if not self.whole.is_set():
            self.held_since = self.held_since or time.monotonic()
        self.whole.wait()
        with near, self.connect() as far:
            self.ends += [near, far]
            other = {near: far, far: near}
            while True:
                ready, _, _ = select.select([near, far], [], [])
                self.whole.wait()
                for end in ready:
                    try:
                        data = end.recv(65536)
                        if not data:
                            return
                        if self.cut_at is not None and self.cut_at in data:
                            self.cut_at = None
                            self.cut()
                            self.whole.wait()
                        other[end].sendall(data)
                    except OSError:
                        return

    def cut(self):
        self.whole.clear()

    def has_held(self, seconds):
        """A new connection, for so long?"""
        return self.held_since is not None and time.monotonic() - self.held_since >= seconds

    def drop(self):
        """End every connection, as a proxy that is restarted."""
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def repair(self):
        self.whole.set()

    def close(self):
        self.repair()
        self.listener.close()


class Cluster:
    """Nodes that are alike; made by the fixture `make_cluster`, stopped by it."""

    def __init__(self, folder, postgres, nodes=3, tcp=False, **config):
        """With `tcp` each node has a proxy before the database, which can be cut."""
        self.postgres = postgres
        self.database = postgres.create_database(f"cluster{next(_numbers)}")
        self.folder = folder
        self.nodes = []
        config = {
            "store": postgres.url(self.database),
            "spool": folder / "spool",
            "key_file": folder / "token.key",
            "receipt_key_file": folder / "receipt.key",
            "lease": LEASE,
            "workers": 1,
            **config,
        }
        self.proxies = []
        for i in range(nodes):
            if tcp:
                self.proxies.append(Proxy(postgres.port))
                url = postgres.url(self.database, tcp=True)
                config["store"] = url.replace(f":{postgres.port}/", f":{self.proxies[-1].port}/")
            node = Server.made(folder / f"node{i}", **config)
            node.spool = folder / "spool"
            self.nodes.append(node)

    def start(self):
        for node in self.nodes:
            self.give_erase_key(node)
            node.start()
        return self

    def give_erase_key(self, node):
        """A node that joins gets a copy of the first one's."""
        first, own = (each.folder / "erase.key" for each in (self.nodes[0], node))
        if first.exists() and not own.exists():
            shutil.copy(first, own)

    def add_user(self, name, **arguments):
        self.nodes[0].add_user(name, **arguments)

    def clients(self, name):
        """One for each node, with one session: what one node has issued the others take."""
        first = self.nodes[0].client(name)
        return [first] + [Client(node.url, first.token) for node in self.nodes[1:]]

    def age_tokens(self):
        """As stores.py has it."""
        self.sql("UPDATE used_refresh SET used_ms = 1")

    def sql(self, text):
        return self.postgres.sql("SET search_path = reportd; " + text, self.database)

    def row(self, reference, what):
        rows = self.sql(f"SELECT {what} FROM report WHERE id = '{reference}'")
        return rows[0] if rows else None

    def node_of(self, reference):
        """The node that runs a report, waiting until there is one."""
        name = poll(lambda: self.row(reference, "node"), what="a node for the report")
        pid = int(self.sql(f"SELECT host FROM node WHERE id = '{name}'")[0].rpartition(":")[2])
        return next(node for node in self.nodes if node.process is not None and node.process.pid == pid)

    def others(self, node):
        return [other for other in self.nodes if other is not node]
