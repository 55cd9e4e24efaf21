"""The store and the results in PostgreSQL: whole lives, what they cost it, ten minutes of them, three nodes, a trivial report."""

import os
import subprocess
import threading
import time
from pathlib import Path

from http_cases import waits_beside
from life_cases import CLIENTS, PgBoss, beside, lives_a_second, run_lives
from servers import AnotherNode, SharedReportd, private_postgres
from stage import Row, Skip, alternate, median

GOALS = {1: 1.7, 8: 2.0, 64: 2.0}  # clients: lives beside the Node service on the same PostgreSQL
CPU_GOALS_MS, WAL_GOAL, COMMIT_GOALS = {8: 0.35, 64: 0.25}, 1600, (5, 2)
IN_FLIGHT = 16  # workers: as many reports as pg-boss's runners take at a time
STATISTICS_LAG = 11  # seconds until an idle backend of PostgreSQL has told its counters
MINUTES, A_MINUTE = 10, 60
NODES, ON_ALL = 3, 12  # clients


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
        with SharedReportd("shared-lives", postgres, in_rows=True, workers=IN_FLIGHT, http_threads=2) as server:
            file = server.write_requests("clients", [("", token) for token in server.tokens[:max(GOALS)]])
            for clients, goal in GOALS.items():
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


# --- ten minutes, three nodes, encrypted results ---------------------------------------------------


def lasting(bench):
    """Rows that die must not slow down the lives after them."""
    postgres = private_postgres()
    try:
        with SharedReportd("lasting", postgres, in_rows=True, workers=2, http_threads=2) as server:
            file = server.write_requests("clients", [("", token) for token in server.tokens[:CLIENTS]])
            lives_a_second(server.url, "reportd", file, 2 * bench.seconds)
            seconds = bench.scaled(A_MINUTE, least=3)
            minutes = [lives_a_second(server.url, "reportd", file, seconds) for _ in range(MINUTES)]
        yield Row(f"whole lives in PostgreSQL, the last of {MINUTES} minutes, {CLIENTS} clients", "the first", "lives/s",
                  minutes[-1:], minutes[:1], 0.97, note="each: " + ", ".join(f"{rate:.0f}" for rate in minutes))
    finally:
        postgres.close()


def lives_on(urls, file, seconds):
    """Lives a second of ON_ALL clients, spread over the nodes."""
    rates = []
    clients = ON_ALL // len(urls)
    threads = [threading.Thread(target=lambda url=url: rates.append(lives_a_second(url, "reportd", file, seconds, clients=clients)))
               for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(rates) < len(urls):
        raise RuntimeError("a node did not live")
    return sum(rates)


def nodes(bench):
    """Each side has a database of its own in the same PostgreSQL; the other side's nodes are idle meanwhile."""
    postgres = private_postgres()
    try:
        with SharedReportd("one-node", postgres, in_rows=True, workers=2, http_threads=2) as one, \
                SharedReportd("three-nodes", postgres, in_rows=True, workers=2, http_threads=2) as three, \
                AnotherNode(three) as second, AnotherNode(three, "third") as third:
            sides = [(server.write_requests("clients", [("", token) for token in server.tokens[:ON_ALL]]), urls)
                     for server, urls in ((three, [three.url, second.url, third.url]), (one, [one.url]))]
            for file, urls in sides:
                lives_on(urls, file, bench.seconds)
            ours, theirs = alternate(bench.pairs, *[lambda file=file, urls=urls: lives_on(urls, file, bench.seconds) for file, urls in sides])
        yield Row(f"whole lives in PostgreSQL, {ON_ALL} clients on {NODES} nodes", "on one node", "lives/s", ours, theirs, 1.0)
    finally:
        postgres.close()


def sealed(bench):
    """Parameters are always sealed there; results only if they are encrypted."""
    postgres = private_postgres()
    try:
        with SharedReportd("sealed", postgres, in_rows=True, workers=2, http_threads=2, spool_encryption="on") as secret, \
                SharedReportd("plain", postgres, in_rows=True, workers=2, http_threads=2) as plain:
            measures = []
            for server in (secret, plain):
                file = server.write_requests("clients", [("", token) for token in server.tokens[:CLIENTS]])
                lives_a_second(server.url, "reportd", file, bench.seconds)
                measures.append(lambda url=server.url, file=file: lives_a_second(url, "reportd", file, bench.seconds))
            ours, theirs = alternate(bench.pairs, *measures)
        yield Row(f"whole lives in PostgreSQL, encrypted results, {CLIENTS} clients", "plain results", "lives/s", ours, theirs, 0.9)
    finally:
        postgres.close()


# --- a trivial report ------------------------------------------------------------------------------


class Commits:
    """A session of psql whose table gets a row in each commit."""

    def __init__(self, postgres):
        postgres.create_database("bare")
        postgres.sql("CREATE TABLE item (id bigint PRIMARY KEY, note text NOT NULL)", "bare")
        self.count = 0
        self.psql = subprocess.Popen(postgres.psql("bare"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def two(self):
        """Milliseconds for two inserts, each committed before the next one is sent."""
        began = time.perf_counter()
        for _ in range(2):
            self.count += 1
            self.psql.stdin.write(f"INSERT INTO item VALUES ({self.count}, 'a note') RETURNING id;\n")
            self.psql.stdin.flush()
            self.psql.stdout.readline()
        return (time.perf_counter() - began) * 1000

    def close(self):
        self.psql.stdin.close()
        self.psql.wait()
        self.psql.stdout.close()


def shared_trivial(bench):
    """Its time has a goal by itself: what is beside it shows the machine."""
    postgres = private_postgres()
    try:
        with SharedReportd("trivial", postgres, in_rows=True, workers=2, http_threads=2) as server:
            commits = Commits(postgres)
            try:
                waits, tails, sums = waits_beside(bench, server, commits.two)
            finally:
                commits.close()
        yield Row("trivial report in PostgreSQL, POST to complete, p50", "1 ms", "ms", waits, [1.0] * len(waits), 1.0, at_most=True,
                  note=f"p99 {median(tails):.2f} ms")
        yield Row("trivial report in PostgreSQL, POST to complete, p50", "HTTP no-op + 2 single-row commits", "ms", waits, sums)
    finally:
        postgres.close()
