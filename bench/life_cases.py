"""Whole lives of one-row reports (submit, wait, get, delete) beside other report servers."""

from servers import NodePeer, Reportd, private_postgres
from stage import Row, Skip, alternate, wrk

CLIENTS = 8


def run_lives(url, api, file, seconds, clients=CLIENTS):
    """Nothing is pinned: a peer may have as many processes as it likes on both cores, as reportd may."""
    return wrk(url, "life.lua", api, file, seconds=seconds, connections=clients, threads=clients, core=None)


def lives_a_second(*arguments, **more):
    return run_lives(*arguments, **more)["rate"]


class JsReport:
    api = "jsreport"

    def __init__(self):
        self.peer = NodePeer("jsreport.js", "@jsreport/jsreport-reports")
        self.url = self.peer.url

    def warmed(self):
        pass

    def close(self):
        self.peer.__exit__()


class PgBoss:
    """With a PostgreSQL of its own, or in a database of that which is given."""

    api = "reportd"

    def __init__(self, postgres=None):
        self.owned, self.postgres = postgres is None, postgres or private_postgres()
        try:
            self.postgres.create_database("boss")
            # node's pg wants a host in the authority, though it takes the socket's folder from ?host=
            url = self.postgres.url("boss").replace("@/", "@socket/")
            self.peer = NodePeer("pgboss.js", "pg-boss", url)
        except BaseException:
            self.close_postgres()
            raise
        self.url = self.peer.url

    def close_postgres(self):
        if self.owned:
            self.postgres.close()
        else:
            self.postgres.drop_database("boss")

    def warmed(self):
        """pg-boss's tables begin empty, and plans made for empty tables stay bad until somebody counts the rows."""
        self.postgres.sql("ANALYZE", "boss")

    def close(self):
        self.peer.__exit__()
        self.close_postgres()


def beside(bench, server, file, make_peer, clients=CLIENTS):
    peer = make_peer()
    try:
        lives_a_second(peer.url, peer.api, file, 2 * bench.seconds)  # until its code is compiled
        peer.warmed()
        return alternate(bench.pairs, lambda: lives_a_second(server.url, "reportd", file, bench.seconds, clients=clients),
                         lambda: lives_a_second(peer.url, peer.api, file, bench.seconds, clients=clients))
    finally:
        peer.close()


def lives(bench):
    with Reportd("lives", core=None, workers=CLIENTS, http_threads=2) as server:
        file = server.write_requests("clients", [("", token) for token in server.tokens[:CLIENTS]])
        for name, make_peer, goal in (("jsreport, async (no database, no fsync)", JsReport, 15),
                                      ("Node http + pg-boss + PostgreSQL", PgBoss, 5)):
            try:
                ours, theirs = beside(bench, server, file, make_peer)
                yield Row(f"whole lives, {CLIENTS} clients", name, "lives/s", ours, theirs, goal)
            except Skip as why:
                bench.skip(f"whole lives beside {name}", why)
