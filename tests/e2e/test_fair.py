"""Whose report starts next, and how many run at the same time: doc/decisions/0020."""

import contextlib
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import ALICE, BOB, OPERATOR
from harness import PASSWORD, Client, poll
from seams import passings, plan
from stores import STORES

stores = pytest.mark.stores(*STORES)

ASIDE = '-- report: Aside\n-- description: It runs on the source without a limit.\n-- source: other\n\n-- results\nSELECT 1 AS "one";\n'


def limited(server, start=True):
    """Bob is there, too, and a report on the other source."""
    server.add_user(BOB)
    (server.reports / "Aside.sql").write_text(ASIDE)
    return server.start() if start else server


def others_go_on(client, report, **parameters):
    """Twice, so that the worker has asked for another one after the first."""
    for _ in range(2):
        client.delete(client.complete(report, **parameters))


def worker_of(server, reference):
    """The one that has the report's unfinished file open."""
    for pid in server.workers():
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if reference in os.readlink(descriptor):
                    return pid
    return None


def counted(server):
    """A client of the server, and how many claims that has made."""
    trace = server.folder / "trace"
    plan(server, trace=trace)
    client = Client(server.start().url)
    client.login(ALICE)
    return client, lambda: sum(place == "store.claim.taken" for _, place in passings(trace))


def test_idle_workers_ask_for_what_was_queued_only(new_server):
    """A claim for each report, and perhaps one that finds nothing; not one for each worker that is idle."""
    client, claims = counted(new_server(workers=16))

    def live(_):
        mine = Client(client.url, client.token)
        for _ in range(20):
            mine.delete(mine.complete("Quick", ProductID="1"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(live, range(4)))
    assert 80 <= claims() <= 16 + 2 * 80


def test_idle_workers_ask_once_for_what_the_end_of_a_report_lets_start(new_server):
    """One of 16 workers may run a report; each end lets one more start."""
    client, claims = counted(new_server(workers=16, running_limit=1))
    for _ in range(4):
        references = [client.order("Quick", ProductID="1") for _ in range(10)]
        for reference in references:
            poll(lambda wanted=reference: client.state(wanted) == "complete")
        client.delete_all()
    assert 40 <= claims() <= 16 + 4 * 40  # with those along with submits, and those that find it held back


@stores
def test_a_report_does_not_wait_for_all_that_another_user_has_queued(alice, bob):
    references = [alice.order("Endless") for _ in range(10)]
    poll(lambda: [alice.state(reference) for reference in references[:2]] == ["processing"] * 2)
    short = bob.order("Quick", ProductID="1")
    alice.delete(references[0])
    poll(lambda: bob.state(short) == "complete")
    assert sum(alice.state(reference) == "queued" for reference in references[1:]) >= 7


@stores
def test_a_source_runs_as_many_reports_as_max_running_and_other_sources_go_on(new_server):
    server = limited(new_server(max_running=1))
    alice, bob = server.client(ALICE), server.client(BOB)
    first = alice.order("Endless")
    alice.wait_for(first, "processing")
    second = alice.order("Endless")
    others_go_on(bob, "Aside")
    assert alice.state(second) == "queued"
    alice.delete(first)
    alice.wait_for(second, "processing")
    alice.delete_all()


@stores
def test_a_user_runs_as_many_reports_as_running_limit_and_other_users_go_on(new_server):
    server = limited(new_server(running_limit=1, max_running=9))
    alice, bob = server.client(ALICE), server.client(BOB)
    first, second, third = (alice.order("Endless") for _ in range(3))
    alice.wait_for(first, "processing")
    others_go_on(bob, "Quick", ProductID="1")
    assert [alice.state(second), alice.state(third)] == ["queued"] * 2
    server.user("limit", ALICE, "--running", "2")
    alice.wait_for(second, "processing")
    server.user("limit", ALICE, "--running", "default")
    alice.delete(first)
    others_go_on(bob, "Quick", ProductID="1")
    assert [alice.state(second), alice.state(third)] == ["processing", "queued"]
    alice.delete_all()


@stores
def test_a_report_that_its_user_may_not_run_any_more_counts_until_its_query_has_stopped(new_server):
    server = limited(new_server(max_running=1, cancel_grace="60s"))
    alice, bob = server.client(ALICE), server.client(BOB)
    running = alice.order("Endless")
    worker = poll(lambda: worker_of(server, running), what="its worker")
    os.kill(worker, signal.SIGSTOP)
    try:
        server.user("disable", ALICE)
        waiting = bob.order("Quick", ProductID="1")
        others_go_on(bob, "Aside")
        assert bob.state(waiting) == "queued"
    finally:
        os.kill(worker, signal.SIGCONT)
    bob.wait_for(waiting, "complete")
    assert server.metric("workers_killed_total") == 0


ROUNDS = 2


def delete_at_once(clients, references):
    threads = [threading.Thread(target=client.delete, args=(reference,)) for client, reference in zip(clients, references)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


HOLD = """CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0
AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(77); RETURN NEW; END';
CREATE TRIGGER hold BEFORE UPDATE ON report FOR EACH ROW WHEN (OLD.state = 0 AND NEW.state = 1) EXECUTE FUNCTION hold()"""
WAITS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
RUNNING = "SELECT id FROM report WHERE node IS NOT NULL"


def claims_held(cluster):
    """Each claim waits once it has chosen a report, until this is left."""
    return cluster.postgres.transaction("SELECT pg_advisory_xact_lock(77)", cluster.database)


def wait_for_waiting(holder, count):
    def waiting():
        holder.stdin.write(WAITS + ";\n")
        holder.stdin.flush()
        return int(holder.stdout.readline())
    poll(lambda: waiting() >= count, what=f"{count} that wait")


@pytest.mark.parametrize("limit", ["max_running", "running_limit"])
def test_two_nodes_run_as_many_together_as_the_limit_says(make_cluster, limit):
    """Both claim while one report may start, and in the end two, each as the other one's claim is under way."""
    cluster = make_cluster(nodes=2, workers=3, active_limit=100, max_running=2 if limit == "max_running" else 9,
                           **({"running_limit": 2} if limit == "running_limit" else {}))
    for node in cluster.nodes:
        limited(node, start=False) if node is cluster.nodes[0] else (node.reports / "Aside.sql").write_text(ASIDE)
        node.reload()
    alices, bob = cluster.clients(ALICE), cluster.nodes[0].client(BOB)
    cluster.sql(HOLD)
    alices[0].wait_for(alices[0].order("Endless"), "processing")
    cluster.sql("INSERT INTO paused VALUES ('')")
    for number in range(1 + 2 * ROUNDS):
        alices[number % 2].order("Endless")
    with claims_held(cluster) as holder:
        cluster.sql("DELETE FROM paused")
        wait_for_waiting(holder, 2)
    for _ in range(ROUNDS):
        poll(lambda: len(cluster.sql(RUNNING)) >= 2, what="two that run")
        others_go_on(bob, "Aside")
        running = cluster.sql(RUNNING)
        assert len(running) == 2, running
        delete_at_once(alices, running)
    alices[0].delete_all()


def test_a_pause_is_answered_once_no_claim_is_under_way_on_any_node(make_cluster):
    """The node that is asked has no worker that could claim."""
    cluster = make_cluster(nodes=2, workers=1)
    cluster.nodes[0].user("add", OPERATOR, "--operator", stdin=PASSWORD + "\n")
    alice, answers = cluster.nodes[0].client(ALICE), []
    running = [alice.order("Endless") for _ in cluster.nodes]
    claiming, asked = map(cluster.node_of, running)
    assert claiming is not asked
    olga = asked.client(OPERATOR)
    alice.order("Endless")
    cluster.sql(HOLD)
    with claims_held(cluster) as holder:
        ends = threading.Thread(target=claiming.client(ALICE).delete, args=(running[0],))
        ends.start()
        wait_for_waiting(holder, 1)
        pause = threading.Thread(target=lambda: answers.append(olga.call("POST", "/Admin/Queue", json={"paused": True})))
        pause.start()
        wait_for_waiting(holder, 2)
        assert answers == []
    ends.join()
    pause.join()
    assert answers[0].json()["data"]["paused"] is True
    alice.delete_all()
