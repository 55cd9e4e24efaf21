"""Whole lives of one-row reports (submit, wait, get, delete) beside other report servers, and what one costs PostgreSQL."""

import os
import time
from pathlib import Path

from servers import NodePeer, Reportd, SharedReportd, private_postgres
from stage import Row, Skip, alternate, wrk

CLIENTS = 8
SHARED_GOALS = {1: 1.7, 8: 2.0, 64: 2.0}  # clients: lives beside the Node service on the same PostgreSQL
CPU_GOALS_MS, WAL_GOAL, COMMIT_GOALS = {8: 0.35, 64: 0.25}, 1600, (5, 2)
STATISTICS_LAG = 11  # seconds until an idle backend of PostgreSQL has told its counters


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
    with Reportd("lives", core=None, workers=2, http_threads=2) as server:
        file = server.write_requests("clients", [("", token) for token in server.tokens[:CLIENTS]])
        for name, make_peer, goal in (("jsreport, async (no database, no fsync)", JsReport, 20),
                                      ("Node http + pg-boss + PostgreSQL", PgBoss, 5)):
            try:
                ours, theirs = beside(bench, server, file, make_peer)
                yield Row(f"whole lives, {CLIENTS} clients", name, "lives/s", ours, theirs, goal)
            except Skip as why:
                bench.skip(f"whole lives beside {name}", why)


# --- the store and the results in PostgreSQL --------------------------------------------------------


class Spent:
    """What a PostgreSQL has spent so far: seconds of its processes' CPU, bytes of WAL, commits, and syncs of the WAL."""

    COUNTERS = """SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1), pg_current_wal_insert_lsn() - '0/0',
                  (SELECT sum(xact_commit) FROM pg_stat_database), (SELECT wal_sync FROM pg_stat_wal)"""

    def __init__(self, postgres):
        time.sleep(STATISTICS_LAG)
        main, *numbers = postgres.sql(self.COUNTERS)[0].split("|")
        self.wal, self.commits, self.syncs = map(int, numbers)
        self.cpu = sum(self.cpu_of(pid, main) for pid in filter(str.isdigit, os.listdir("/proc")))

    @staticmethod
    def cpu_of(pid, main):
        """Of a process of the server; the main one has that of those which have ended, too."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0
        if main not in (pid, fields[1]):
            return 0
        return sum(map(int, fields[11:15] if pid == main else fields[11:13])) / os.sysconf("SC_CLK_TCK")


def spent_per_life(bench, server, file, clients):
    """Milliseconds of CPU, bytes of WAL, commits and syncs; with the pause at the end, in which nothing lives."""
    before = Spent(server.postgres)
    count = run_lives(server.url, "reportd", file, 5 * bench.seconds, clients)["requests"]  # each is a whole life
    after = Spent(server.postgres)
    return (1000 * (after.cpu - before.cpu) / count, (after.wal - before.wal) / count, (after.commits - before.commits) / count,
            (after.syncs - before.syncs) / count)


def shared_lives(bench):
    postgres = private_postgres()
    try:
        with SharedReportd("shared-lives", postgres, in_rows=True, workers=2, http_threads=2) as server:
            file = server.write_requests("clients", [("", token) for token in server.tokens[:max(SHARED_GOALS)]])
            for clients, goal in SHARED_GOALS.items():
                try:
                    ours, theirs = beside(bench, server, file, lambda: PgBoss(postgres), clients)
                    yield Row(f"whole lives, store and results in PostgreSQL, {clients} clients", "Node http + pg-boss, the same PostgreSQL",
                              "lives/s", ours, theirs, goal)
                except Skip as why:
                    bench.skip("whole lives in PostgreSQL beside pg-boss", why)
            for clients, goal in CPU_GOALS_MS.items():
                cpu, wal, commits, syncs = zip(*[spent_per_life(bench, server, file, clients) for _ in range(bench.rounds)])
                yield Row(f"CPU of PostgreSQL per life, {clients} clients", "1 ms", "ms", cpu, [1.0] * len(cpu), goal, at_most=True)
                if clients == CLIENTS:
                    yield Row("WAL per life", "1 KB", "bytes", wal, [1000.0] * len(wal), WAL_GOAL / 1000, at_most=True)
                    yield Row("commits per life", "one", "", commits, [1.0] * len(commits), COMMIT_GOALS[0], at_most=True)
                    yield Row("synced commits per life", "one", "", syncs, [1.0] * len(syncs), COMMIT_GOALS[1], at_most=True)
    finally:
        postgres.close()
