"""DELETE of a running report stops the work: whatever the query does, nothing of it goes on afterwards."""

import os
import re
import sqlite3
from pathlib import Path

import pytest
import requests

from harness import PATIENCE, Server, poll

COUNT_UP = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n{})\n"
ENDLESS = COUNT_UP.format("")
HUNDRED_THOUSAND = COUNT_UP.format(" WHERE i < 100000")

# Looks at the stop at least between two rows or two calls of a function.
STOPPABLE = {
    "CrossJoin": HUNDRED_THOUSAND + "SELECT a.i AS a, b.i AS b FROM n AS a, n AS b WHERE a.i + b.i < 0",
    "CrossJoinRows": HUNDRED_THOUSAND + "SELECT a.i AS a, b.i AS b FROM n AS a, n AS b",
    "CrossJoinAggregate": HUNDRED_THOUSAND +
                          "SELECT a.i % 1000 AS a, count(*) AS b, sum(b.i) AS c FROM n AS a, n AS b GROUP BY 1",
    "RecursionNoEnd": ENDLESS + "SELECT max(i) AS a FROM n",
    "SortSpills": ENDLESS + "SELECT i AS a, hex(randomblob(200)) AS b FROM n ORDER BY 2",
    "DistinctSpills": ENDLESS + "SELECT count(*) AS a FROM (SELECT DISTINCT hex(randomblob(100)) FROM n)",
    "HexReplace": ENDLESS +
                  "SELECT sum(length(replace(hex(zeroblob(1000000 + i % 2)), '0', '12'))) AS a FROM n",
    "Printf": ENDLESS + "SELECT sum(length(printf('%.*c', 20000000 + i % 2, 'x'))) AS a FROM n",
}
PATIENT = "60s"  # a stop that works is no kill, however busy the machine is
SPILLING = ["SortSpills", "DistinctSpills"]

# One call of a function that would take days, and looks at nothing.
UNSTOPPABLE = "SELECT instr(hex(zeroblob(30000000)), hex(zeroblob(15000000)) || '1') AS a"


def add_definition(server, name, sql):
    (server.reports / f"{name}.sql").write_text(
        f"-- report: {name}\n-- description: Never ends.\n-- source: data\n\n-- results\n{sql};\n")


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """A server with one worker and the worst queries, and its client."""
    server = Server.made(tmp_path_factory.mktemp("cancel"), workers=1, cancel_grace=PATIENT)
    for name, sql in STOPPABLE.items():
        add_definition(server, name, sql)
    server.add_user("alice")
    server.start()
    yield server, server.client("alice")
    assert server.stop() == 0
    server.check_log()


def start(server, client, name):
    """Order the report; returns when a thread of the worker is at it."""
    reference = client.order(name)
    client.wait_for(reference, "processing")
    (worker,) = server.workers()
    poll(lambda: threads_of(worker) == 2, what="the thread that runs the query")
    return reference, worker


def start_busy(server, client, name):
    """The same, and its query has used processor time."""
    (worker,) = server.workers()
    before = ticks_of(worker)
    started = start(server, client, name)
    poll(lambda: ticks_of(worker) > before + 1, what="a busy worker")
    return started


def ticks_of(pid):
    """The processor time it has used, in hundredths of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def threads_of(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def spill_files(server, pid):
    """The temporary files that the process holds; SQLite unlinks them as soon as it has opened them."""
    found = []
    for fd in os.scandir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(fd.path))
        except OSError:
            pass  # closed meanwhile
    return [path for path in found if path.startswith(str(server.spool / "temp"))]


def killed(server):
    return server.metric("workers_killed_total")


def histogram(server, name):
    """The cumulative counts by bound, the sum and the count."""
    text = requests.get(server.url + "/metrics", timeout=PATIENCE).text
    buckets = re.findall(rf'^reportd_{name}_bucket{{le="([^"]+)"}} (\d+)$', text, re.M)
    total = float(re.search(rf"^reportd_{name}_sum (\S+)$", text, re.M).group(1))
    return {bound: int(count) for bound, count in buckets}, total, server.metric(f"{name}_count")


def assert_stopped(server, reference, worker):
    """Its worker is idle and holds nothing of the query any more."""
    assert server.metric("workers_busy") == 0
    assert server.workers() == [worker]
    poll(lambda: threads_of(worker) == 1, what="the end of the thread that ran the query")
    assert spill_files(server, worker) == []
    assert server.files_of(reference) == [] and list((server.spool / "temp").iterdir()) == []


@pytest.mark.parametrize("name", STOPPABLE)
def test_a_deleted_query_stops_and_its_worker_lives_on(one, name):
    server, client = one
    before = killed(server)
    reference, worker = start_busy(server, client, name)
    assert client.delete(reference).json()["result"] is True
    assert_stopped(server, reference, worker)
    assert killed(server) == before
    assert client.complete("Nested")


@pytest.mark.parametrize("name", SPILLING)
def test_what_a_query_has_spilled_to_the_disk_is_gone(one, name):
    server, client = one
    reference, worker = start(server, client, name)
    poll(lambda: spill_files(server, worker), what="a spilled file")
    assert client.delete(reference).json()["result"] is True
    assert_stopped(server, reference, worker)


def test_a_query_that_cannot_be_stopped_is_killed_and_its_worker_replaced(new_server):
    server = new_server(workers=1)
    add_definition(server, "Unstoppable", UNSTOPPABLE)
    server.start()
    client = server.client("alice")
    before = killed(server)
    reference, worker = start_busy(server, client, "Unstoppable")
    assert client.delete(reference).json()["result"] is True
    assert worker not in server.workers()
    assert killed(server) == before + 1
    assert server.metric("workers_busy") == 0
    assert server.files_of(reference) == []
    assert client.complete("Nested")


@pytest.fixture
def locked(make_server):
    """A server, its client, and a lock that another process (this one) holds on the reported database."""
    server = make_server(workers=1, cancel_grace=PATIENT)
    with sqlite3.connect(server.folder / "data.db", isolation_level=None) as rival:
        yield server, server.client("alice"), lambda: rival.execute("BEGIN EXCLUSIVE")
    rival.close()


def test_a_wait_for_a_locked_database_is_stopped_before_it_is_open(locked):
    server, client, lock = locked
    lock()
    reference, _ = start(server, client, "Nested")
    assert client.delete(reference).json()["result"] is True
    # A process opens a file once, so this one ends by itself, and there is another.
    (worker,) = poll(lambda: server.metric("workers") == 1 and server.workers(), what="a new worker")
    assert_stopped(server, reference, worker)
    assert killed(server) == 0


def test_a_wait_for_a_locked_database_is_stopped_when_it_is_open(locked):
    server, client, lock = locked
    client.complete("Nested")
    lock()
    reference, worker = start(server, client, "Nested")
    assert client.delete(reference).json()["result"] is True
    assert_stopped(server, reference, worker)
    assert killed(server) == 0


def test_a_drain_puts_a_report_that_waits_for_a_lock_back_into_the_queue(locked):
    server, client, lock = locked
    lock()
    reference, _ = start(server, client, "Nested")
    assert server.stop() == 0
    server.await_log(f"reference={reference} user=alice state=queued")


def test_cancels_and_deletes_are_measured(one):
    server, client = one
    cancels, deletes = histogram(server, "cancel_seconds"), histogram(server, "delete_seconds")
    running, _ = start(server, client, "CrossJoin")
    queued = client.order("Nested")
    client.delete(queued)
    client.delete(running)
    client.delete(client.complete("Nested"))
    counts, total, count = histogram(server, "cancel_seconds")
    assert count == cancels[2] + 1 and total > cancels[1]
    assert histogram(server, "delete_seconds")[2] == deletes[2] + 3
    bounds = ["0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1", "2", "5", "10", "30", "60", "300", "900", "3600",
              "+Inf"]
    assert list(counts) == bounds
    assert list(counts.values()) == sorted(counts.values()) and counts["+Inf"] == count
