"""DELETE /Report, in each of the four states: contract.md § Report."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import Client, failed, poll, refused
from stores import STORES

pytestmark = pytest.mark.stores(*STORES)
UNKNOWN = "0190a5b2-7c1e-7000-8000-3f2a1b4c5d6e"


def queued(client):
    """Endless reports fill the workers; the last one stays queued."""
    for _ in range(2):
        client.wait_for(client.order("Endless"), "processing")
    return client.order("Nested")


def processing(client):
    reference = client.order("Endless")
    client.wait_for(reference, "processing")
    return reference


def complete(client):
    return client.complete("Quick", ProductID="1")


def error(client):
    reference = client.order("Quick", ProductID="99")
    client.finish(reference)
    return reference


STATES = [queued, processing, complete, error]


def assert_dead(client, reference):
    """On every endpoint."""
    for ask in (client.status, client.result, client.delete):
        refused(ask(reference), "Unknown reference")
    refused(client.status(reference, {"Prefer": "wait=5"}), "Unknown reference")
    assert reference not in client.references()


@pytest.mark.parametrize("make", STATES)
def test_a_deleted_report_is_gone_when_the_answer_comes(server, alice, make):
    reference = make(alice)
    assert alice.state(reference) == make.__name__
    answer = alice.delete(reference)
    assert answer.status_code == 200
    assert answer.json() == {"result": True, "message": "Report request has been deleted.", "data": {}}
    assert server.files_of(reference) == []
    assert_dead(alice, reference)


@pytest.mark.parametrize("make", STATES)
def test_a_deleted_report_stays_dead_after_a_crash(make_server, make):
    server = make_server()
    client = server.client("alice")
    reference = make(client)
    assert client.delete(reference).json()["result"] is True
    server.kill()
    server.start()
    client.url = server.url
    assert_dead(client, reference)
    assert server.files_of(reference) == []


def test_nothing_of_it_is_left_in_the_store(make_server):
    server = make_server()
    client = server.client("alice")
    note = "a word to look for"
    reference = client.complete("Quick", ProductID="1", Note=note)
    traces = reference.encode(), bytes.fromhex(reference.replace("-", "")), note.encode()
    assert server.holding(*traces)
    client.delete(reference)
    server.stop()  # folds the write-ahead log of SQLite into the database
    assert server.holding(b"alice")
    assert not server.holding(*traces)


def test_the_slot_of_a_queued_report_is_free_at_once(alice):
    references = [alice.order("Endless") for _ in range(10)]
    failed(alice.submit("Endless"), 429)
    alice.delete(references[9])
    assert alice.submit("Endless").json()["result"] is True
    failed(alice.submit("Endless"), 429)


def test_the_slot_of_a_running_report_is_free_when_the_answer_comes(alice):
    references = [alice.order("Endless") for _ in range(10)]
    poll(lambda: alice.state(references[0]) == "processing")
    alice.delete(references[0])
    assert alice.submit("Endless").json()["result"] is True


@pytest.mark.parametrize("name", ["Endless", "Ticker"])
def test_the_query_of_a_running_report_is_stopped(server, alice, name):
    idle_files = server.files()
    died = server.metric("workers_died_total") + server.metric("workers_killed_total")
    reference = alice.order(name)
    alice.wait_for(reference, "processing")
    assert server.metric("workers_busy") == 1
    alice.delete(reference)
    poll(lambda: server.metric("workers_busy") == 0, what="an idle worker")
    assert server.metric("workers_died_total") + server.metric("workers_killed_total") == died
    assert server.files() == idle_files


def test_the_worker_goes_on_with_the_next_report(make_server):
    server = make_server(workers=1)
    client = server.client("alice")
    running = client.order("Endless")
    waiting = client.order("Quick", ProductID="1")
    client.wait_for(running, "processing")
    assert client.state(waiting) == "queued"
    client.delete(running)
    assert client.finish(waiting).json()["data"] == "complete"


def test_a_queued_report_never_starts(make_server):
    server = make_server(workers=1)
    client = server.client("alice")
    running = client.order("Endless")
    client.wait_for(running, "processing")
    waiting = client.order("Quick", ProductID="1")
    client.delete(waiting)
    client.delete(running)
    assert client.complete("Quick", ProductID="2")
    assert f"reference={waiting} state=processing" not in server.log_text()


@pytest.mark.parametrize("reference", [UNKNOWN, "x", "%00"])
def test_an_unknown_reference_cannot_be_deleted(alice, reference):
    refused(alice.delete(reference), "Unknown reference")


def test_a_reference_must_be_given(alice):
    failed(alice.call("DELETE", "/Report"), 400, "reference")


@pytest.mark.parametrize("make", [processing, complete])
def test_anothers_report_cannot_be_deleted(alice, bob, make):
    reference = make(alice)
    assert refused(bob.delete(reference)).replace(reference, "X") == \
        refused(bob.delete(UNKNOWN)).replace(UNKNOWN, "X")
    assert alice.state(reference) == make.__name__


@pytest.mark.parametrize("make", [processing, complete])
def test_of_simultaneous_deletes_one_wins(server, alice, make):
    reference = make(alice)
    start = threading.Barrier(6)

    def delete(_):
        client = Client(server.url, alice.token)
        start.wait()
        return client.delete(reference)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(delete, range(6)))
    assert sum(answer.json()["result"] for answer in answers) == 1
    for answer in answers:
        if not answer.json()["result"]:
            refused(answer, "Unknown reference")
    assert server.files_of(reference) == []


def test_a_finished_report_is_purged_after_its_retention(make_server):
    server = make_server(retention="1s")
    client = server.client("alice")
    good = client.complete("Quick", ProductID="1")
    bad = client.order("Quick", ProductID="99")
    poll(lambda: client.references() == [], what="the purge")
    assert_dead(client, good)
    assert_dead(client, bad)
    poll(lambda: server.files() == [], what="an empty spool")


def test_what_expired_while_the_server_was_down_is_purged_at_start(make_server):
    server = make_server(retention="2s")
    client = server.client("alice")
    reference = client.complete("Quick", ProductID="1")
    server.kill()
    server.start()
    client.url = server.url
    poll(lambda: client.references() == [], what="the purge")
    assert_dead(client, reference)


def test_reports_of_a_deleted_definition_can_be_deleted(make_server):
    server = make_server()
    client = server.client("alice")
    reference = client.complete("Quick", ProductID="1")
    (server.reports / "Quick.sql").unlink()
    server.reload()
    assert client.result(reference).json()["result"] is True
    assert client.delete(reference).json()["result"] is True
