"""Several nodes of reportd on one PostgreSQL, with one spool and one key."""

import itertools

from harness import Client, Server, poll

LEASE = "2s"  # short, so that the tests need not wait; long enough for a busy machine
LEASE_SECONDS = 2
_numbers = itertools.count()


class Cluster:
    """Nodes that are alike; made by the fixture `make_cluster`, stopped by it."""

    def __init__(self, folder, postgres, nodes=3, **config):
        self.postgres = postgres
        self.database = postgres.create_database(f"cluster{next(_numbers)}")
        self.folder = folder
        self.nodes = []
        config = {
            "store": postgres.url(self.database),
            "spool": folder / "spool",
            "key_file": folder / "token.key",
            "lease": LEASE,
            "workers": 1,
            **config,
        }
        for i in range(nodes):
            node = Server.made(folder / f"node{i}", **config)
            node.spool = folder / "spool"
            self.nodes.append(node)

    def start(self):
        for node in self.nodes:
            node.start()
        return self

    def add_user(self, name, **arguments):
        self.nodes[0].add_user(name, **arguments)

    def clients(self, name):
        """One for each node, with one session: what one node has issued the others take."""
        first = self.nodes[0].client(name)
        return [first] + [Client(node.url, first.token) for node in self.nodes[1:]]

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
