#!/usr/bin/env python3
"""bench/nodes.py -- nodes on one PostgreSQL that fsyncs: what they take, and what a report, a node and a row cost.

usage: REPORTD_BIN=build/release/reportd bench/nodes.py [--nodes N] [--clients N] [--seconds S] [--stored N,N,…] [--listeners N,N,…]

The costs are PostgreSQL's: CPU of its processes, WAL, commits. They say how far one PostgreSQL goes (doc/cluster.md).
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/e2e"))

from cluster import Cluster  # noqa: E402
from harness import processes_below  # noqa: E402
from postgres import Postgres, program  # noqa: E402

LASTING = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "max_wal_size": "4GB",
           "shared_buffers": "1GB", "max_connections": "1200"}
TICKS = os.sysconf("SC_CLK_TCK")
BIG = 10000  # users that the stored reports are spread over


def told(what, times):
    times = sorted(1000 * seconds for seconds in times)
    print(f"{what}: median {statistics.median(times):.1f} ms, 99 % {times[int(len(times) * 0.99)]:.1f} ms, "
          f"{len(times)} times", flush=True)


# --- what PostgreSQL spends ---


def cpu_seconds(postgres):
    """Of all its processes, those that have ended too."""
    postmaster = int((postgres.folder / "data/postmaster.pid").read_text().split()[0])
    total = 0
    for pid in [postmaster, *processes_below(postmaster)]:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15] if pid == postmaster else fields[11:13]))
    return total / TICKS


class Spent:
    """CPU, WAL and commits of PostgreSQL since the last look."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.last = self.now()

    def now(self):
        sql = self.cluster.postgres.sql
        sql("SELECT pg_stat_force_next_flush()")
        wal, commits = sql("SELECT pg_current_wal_lsn() - '0/0', (SELECT sum(xact_commit) FROM pg_stat_database "
                           f"WHERE datname = '{self.cluster.database}')")[0].split("|")
        return cpu_seconds(self.cluster.postgres), int(wal), int(commits)

    def tell(self, what, count, unit):
        now = self.now()
        cpu, wal, commits = (after - before for after, before in zip(now, self.last))
        self.last = now
        print(f"{what}: {1000 * cpu / count:.2f} ms of CPU, {wal / count / 1024:.1f} KiB of WAL, "
              f"{commits / count:.2f} commits a {unit}", flush=True)


# --- load ---


def at_once(functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def each_client(cluster, users, function):
    at_once([lambda i=i, user=user: function(cluster.nodes[i % len(cluster.nodes)].client(user))
             for i, user in enumerate(users)])


def lives(cluster, users, seconds):
    """Submit, wait, get, delete."""
    times, done = [], []
    until = time.monotonic() + seconds

    def live(client):
        while time.monotonic() < until:
            began = time.monotonic()
            reference = client.order("Quick", ProductID="1")
            times.append(time.monotonic() - began)
            client.finish(reference)
            client.result(reference)
            client.delete(reference)
            done.append(reference)

    spent = Spent(cluster)
    each_client(cluster, users, live)
    print(f"whole lives, {len(cluster.nodes)} nodes, {len(users)} clients: {len(done) / seconds:.0f} a second")
    told("  its submit", times)
    spent.tell("  PostgreSQL spends", len(done), "life")


def polls(cluster, users, seconds):
    client = cluster.clients(users[0])[0]
    reference = client.complete("Quick", ProductID="1")
    count = []
    until = time.monotonic() + seconds

    def ask(other):
        mine = type(other)(other.url, client.token)
        while time.monotonic() < until:
            assert mine.status(reference).status_code == 200
            count.append(1)

    spent = Spent(cluster)
    each_client(cluster, users[:8], ask)
    spent.tell("a status poll: PostgreSQL spends", len(count), "poll")
    client.delete(reference)


def idle(cluster, seconds):
    spent = Spent(cluster)
    time.sleep(seconds)
    spent.tell("an idle node: PostgreSQL spends", len(cluster.nodes) * seconds, "second and node")


def deletions(cluster, count):
    clients = cluster.clients("user0")
    times = []
    for _ in range(count):
        reference = clients[0].order("Endless")
        runner = cluster.nodes.index(cluster.node_of(reference))
        time.sleep(0.05)
        began = time.monotonic()
        clients[(runner + 1) % len(clients)].delete(reference)
        times.append(time.monotonic() - began)
    told("DELETE on one node of a query that another runs, until it has stopped", times)


def waits(cluster, count):
    clients = cluster.clients("user0")
    times = []
    for _ in range(count):
        reference = clients[0].order("Pause")
        clients[1].finish(reference)
        seen = time.time()
        times.append(max(0, seen - int(cluster.row(reference, "finished_ms")) / 1000))
    told("a wait on one node ends after a report has finished on another", times)


# --- notifications ---


def notify(postgres, listeners, folder):
    """What one costs when so many listen, without any node: pgbench has the connections."""
    scripts = {"listen": "LISTEN reportd;\n\\sleep 100 s\n", "notify": f"NOTIFY reportd, '{'x' * 80}';\n"}
    for name, text in scripts.items():
        (Path(folder) / name).write_text(text)
    bench = [program("pgbench"), "-n", "-f"]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    count = 2000 if listeners <= 100 else 300
    ears = listeners and subprocess.Popen([*bench, f"{folder}/listen", "-c", str(listeners), "-t", "1", postgres.url()],
                                          **silent)
    while listeners > int(postgres.sql("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle' AND query LIKE 'LISTEN%'")[0]):
        time.sleep(0.1)
    before = cpu_seconds(postgres)
    subprocess.run([*bench, f"{folder}/notify", "-c", "1", "-t", str(count), postgres.url()], check=True, **silent)
    print(f"a NOTIFY with {listeners} listeners: {1000 * (cpu_seconds(postgres) - before) / count:.2f} ms of CPU", flush=True)
    if ears:
        ears.kill()
        ears.wait()


# --- stored reports ---


def store(cluster, count):
    """So many complete reports in all, with references in the order of time as the server's are."""
    have = int(cluster.sql("SELECT count(*) FROM report")[0])
    cluster.sql(f"""
        INSERT INTO report (id, user_id, state, slot, attempt, rows, bytes, submitted_ms, started_ms, finished_ms,
                            expires_ms, sealed_digest, name, sealed_parameters, wrapped_key)
        SELECT (lpad(to_hex(1700000000000 + i), 12, '0') || '7' || substr(md5(i::text), 1, 3) || '8' ||
                substr(md5(i::text), 4, 15))::uuid, 1000 + i % {BIG}, 2, false, 1, 100, 10000, 1700000000000 + i,
               1700000000000 + i, 1700000000000 + i, 4000000000000 + i, decode(repeat(md5(i::text), 5), 'hex'),
               'EntityBalanceReport', decode(repeat(md5(i::text), 6), 'hex'), decode(repeat(md5(i::text), 5), 'hex')
        FROM generate_series({have + 1}, {count}) AS i;""")
    cluster.sql("VACUUM ANALYZE report")
    table, indexes = map(int, cluster.sql("SELECT pg_table_size('report'), pg_indexes_size('report')")[0].split("|"))
    print(f"{count:,} stored reports: {table / count:.0f} bytes each in the table, {indexes / count:.0f} in its indexes",
          flush=True)


def numbers(text):
    return [int(number) for number in text.split(",")]


def read_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--stored", type=numbers, default=[1000, 1000000])
    parser.add_argument("--listeners", type=numbers, default=[0, 10, 100])
    return parser.parse_args()


def main():
    given = read_arguments()
    postgres = Postgres(**LASTING)
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder), postgres, nodes=given.nodes, lease="10s", workers=2, log_level="error",
                          spool="postgresql")
        users = [f"user{i}" for i in range(given.clients)]
        try:
            for user in users:
                cluster.add_user(user)
            cluster.start()
            deletions(cluster, 40)
            waits(cluster, 15)
            idle(cluster, 10)
            for count in given.listeners:
                notify(postgres, count, folder)
            for count in given.stored:
                store(cluster, count)
                lives(cluster, users, given.seconds)
                polls(cluster, users, given.seconds)
        finally:
            for node in cluster.nodes:
                if node.process is not None:
                    node.kill()
            postgres.close()


if __name__ == "__main__":
    main()
