#!/usr/bin/env python3
"""bench/cluster.py -- nodes on one PostgreSQL that fsyncs: submits a second, deletion from another node, takeover.

usage: REPORTD_BIN=build/release/reportd bench/cluster.py [--nodes N] [--seconds S] [--clients N]
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/e2e"))

from cluster import Cluster  # noqa: E402
from harness import Client, poll  # noqa: E402
from postgres import Postgres  # noqa: E402

LASTING = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


def told(what, times):
    times = sorted(1000 * seconds for seconds in times)
    print(f"{what}: median {statistics.median(times):.1f} ms, 99 % {times[int(len(times) * 0.99)]:.1f} ms, "
          f"{len(times)} times", flush=True)


def submit_for(client, seconds, times):
    """Submit and delete, so that the user's slots do not run out."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        reference = client.order("Quick", ProductID="1")
        times.append(time.monotonic() - began)
        client.delete(reference)


def submits(cluster, users, seconds):
    times = []
    threads = []
    for i, user in enumerate(users):
        node = cluster.nodes[i % len(cluster.nodes)]
        threads.append(threading.Thread(target=submit_for, args=(node.client(user), seconds, times)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"submits (each then deleted), {len(cluster.nodes)} nodes, {len(users)} clients: "
          f"{len(times) / seconds:.0f} a second")
    told("  one submit", times)


def deletions(cluster, count):
    clients = cluster.clients("user0")
    times = []
    for _ in range(count):
        reference = clients[0].order("Endless")
        runner = cluster.nodes.index(cluster.node_of(reference))
        elsewhere = clients[(runner + 1) % len(clients)]
        time.sleep(0.05)
        began = time.monotonic()
        elsewhere.delete(reference)
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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--clients", type=int, default=24)
    given = parser.parse_args()
    postgres = Postgres(**LASTING)
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder), postgres, nodes=given.nodes, lease="10s", workers=2, log_level="error")
        users = [f"user{i}" for i in range(given.clients)]
        try:
            for user in users:
                cluster.add_user(user)
            cluster.start()
            Client(cluster.nodes[0].url)
            deletions(cluster, 40)
            waits(cluster, 15)
            submits(cluster, users, given.seconds)
            poll(lambda: cluster.sql("SELECT count(*) FROM report WHERE state = 1") == ["0"])
        finally:
            for node in cluster.nodes:
                if node.process is not None:
                    node.kill()
            postgres.close()


if __name__ == "__main__":
    main()
