#!/usr/bin/env python3
"""bench/cancel.py -- how long a DELETE takes to stop a running query.

usage: bench/cancel.py [COUNT]     (default 200; REPORTD_BIN names the program)

Deletes COUNT running reports, one after the other, and prints p50, p99 and the longest: as a client sees them,
from sending DELETE to its answer (query stopped, files and row gone), and as the server's histograms have them.
A DELETE waits for one fsync of the store, so that of the disk under TMPDIR is printed too.
"""

import os
import random
import re
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("REPORTD_BIN", str(ROOT / "build/release/reportd"))
sys.path.insert(0, str(ROOT / "tests/e2e"))

from harness import Server  # noqa: E402  (it reads REPORTD_BIN)

QUERIES = {
    "Endless": "a recursive CTE without end",
    "Ticker": "rows without end",
    "Cross": "a cross join of 10 billion rows",
    "Sort": "a sort that spills to disk",
}
DEFINITIONS = {
    "Cross": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)\n"
             "SELECT a.i AS \"i\" FROM n AS a, n AS b WHERE a.i + b.i < 0;\n",
    "Sort": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)\n"
            "SELECT i AS \"i\", hex(randomblob(100)) AS \"text\" FROM n ORDER BY 2;\n",
}
SETTLE_S = 0.05  # at most, from the start of a report to its DELETE: another point of the query each time


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(len(values) * q))]


def line(name, values):
    return (f"{name:<44} p50 {quantile(values, .5):7.2f} ms   p99 {quantile(values, .99):7.2f} ms   "
            f"max {max(values):7.2f} ms")


def histogram(server, client, name):
    text = client.get("/metrics").text
    buckets = re.findall(rf'^reportd_{name}_bucket\{{le="([^"]+)"\}} (\d+)$', text, re.M)
    return [(bound, int(count)) for bound, count in buckets]


def show_histogram(name, buckets):
    print(f"\n{name} (the server's own)")
    before = 0
    for bound, upto in buckets:
        if upto > before:
            print(f"  up to {bound:>6} s  {upto - before:5d}")
        before = upto


def time_fsyncs(folder, count=100):
    times = []
    with open(Path(folder) / "fsync", "wb", buffering=0) as file:
        for _ in range(count):
            file.write(b"x" * 8192)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return times


def time_one(client, name):
    reference = client.order(name)
    client.wait_for(reference, "processing")
    time.sleep(random.uniform(0, SETTLE_S))
    began = time.perf_counter()
    answer = client.delete(reference)
    took = (time.perf_counter() - began) * 1000
    assert answer.json()["result"] is True, answer.text
    return took


def main(arguments):
    if len(arguments) > 1 or (arguments and not arguments[0].isdigit()):
        print(__doc__, file=sys.stderr)
        return 2
    count = int(arguments[0]) if arguments else 200
    with tempfile.TemporaryDirectory() as folder:
        server = Server.made(Path(folder) / "server")
        for name, sql in DEFINITIONS.items():
            (server.reports / f"{name}.sql").write_text(
                f"-- report: {name}\n-- description: {QUERIES[name]}.\n-- source: data\n\n-- results\n{sql}")
        server.add_user("alice")
        server.start()
        try:
            client = server.client("alice")
            times = {name: [time_one(client, name) for _ in range(count // len(QUERIES))] for name in QUERIES}
            for name, what in QUERIES.items():
                print(line(f"{len(times[name])} × {what}", times[name]))
            print(line("all", [took for taken in times.values() for took in taken]))
            print(line("one fsync of 8 KiB, for comparison", time_fsyncs(folder)))
            for name in ("cancel_seconds", "delete_seconds"):
                show_histogram(f"reportd_{name}", histogram(server, client, name))
            print(f"\nworkers killed: {server.metric('workers_killed_total')}")
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
