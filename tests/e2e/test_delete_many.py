"""DELETE /Report/List: what matches goes wholly, all of it before the answer, and nothing else does."""

import hashlib
import shutil
import socket
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from fake_clock import HOUR
from harness import Client, failed, poll, refused
from seams import DEATH, Gate, plan
from stores import SHARED_STORES, STORES
from test_receipts import HEADER, checked, published, reports_in_every_state

pytestmark = pytest.mark.stores(*STORES)

STATES = ("queued", "processing", "complete", "error")
FUTURE = "9999-12-31"
BATCH = 1024  # STORE_MANY_MAX
MOST = 10_000  # STORE_MATCH_MAX


def ask(client, **query):
    return client.call("DELETE", "/Report/List", params=query)


def done(answer, beyond=0, **counts):
    """Assert that so many reports of each state were deleted; returns the data."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["result"] is True, body
    assert body["data"]["deleted"] == {state: counts.get(state, 0) for state in STATES}, body
    assert body["data"]["remaining"] == beyond, body
    assert HEADER not in answer.headers
    return body["data"]


def gone(server, client, references):
    for reference in references:
        refused(client.status(reference), "Unknown reference")
        refused(client.result(reference), "Unknown reference")
        refused(client.delete(reference), "Unknown reference")
        assert server.files_of(reference) == []
    assert not set(references) & set(client.references())


def copies_of(server, reference, count):
    """So many complete reports more, put into the store of a server that is stopped for it."""
    copies = [str(uuid.uuid4()) for _ in range(count)]
    assert server.stop() == 0
    server.store.copy_report(reference, copies)
    result = server.spool / f"{reference}.1.json"
    for copy in copies if result.exists() else ():
        shutil.copy(result, server.spool / f"{copy}.1.json")
    server.start()
    return copies


def test_reports_in_every_state_are_gone_when_the_answer_comes(server, alice, bob):
    others = bob.complete("Quick", ProductID="1")
    reports = reports_in_every_state(alice)
    running = [r["reference"] for r in alice.list(State="processing").json()["data"]["reports"]]
    done(ask(alice, Before=FUTURE), queued=1, processing=2, complete=1, error=1)
    gone(server, alice, [*reports.values(), *running])
    assert alice.references() == [] and bob.references() == [others]
    assert bob.result(others).status_code == 200
    for _ in range(10):  # the slots are free
        alice.order("Endless")


@pytest.mark.parametrize("state", STATES)
def test_only_reports_in_the_state_asked_for_go(server, alice, state):
    reports = reports_in_every_state(alice)
    before = set(alice.references())
    matching = {r["reference"] for r in alice.list(State=state).json()["data"]["reports"]}
    done(ask(alice, State=state), **{state: len(matching)})
    gone(server, alice, matching)
    assert reports[state] in matching
    assert set(alice.references()) == before - matching


def test_filters_are_combined(server, alice):
    quick, nested = alice.complete("Quick", ProductID="1"), alice.complete("Nested")
    done(ask(alice, ReportName="Quick", State="error"))
    done(ask(alice, ReportName="quick"))  # names are case-sensitive
    done(ask(alice, ReportName="Nothing"))
    done(ask(alice, reportname="Quick", state="complete", before=FUTURE), complete=1)
    gone(server, alice, [quick])
    assert alice.references() == [nested]


def test_before_compares_when_a_report_was_submitted(clock, make_server):
    server = make_server()
    alice = server.client("alice")
    old = alice.complete("Quick", ProductID="1")
    clock.jump(HOUR)
    alice.login("alice")
    new = alice.complete("Quick", ProductID="1")
    when = {r["reference"]: r["submittedAt"] for r in alice.list().json()["data"]["reports"]}
    done(ask(alice, Before=when[old]))  # submitted at that second, not before it
    done(ask(alice, Before=when[new]), complete=1)
    gone(server, alice, [old])
    assert alice.references() == [new]


def test_the_receipt_is_over_the_sorted_references(server, alice):
    references = [alice.complete("Quick", ProductID="1") for _ in range(3)]
    data = done(ask(alice, State="complete"), complete=3)
    claims = checked(data["receipt"], published(server.url))
    lines = "".join(f"{reference}\n" for reference in sorted(references))
    assert claims["referencesSha256"] == hashlib.sha256(lines.encode()).hexdigest()
    assert claims["deleted"] == data["deleted"] and claims["sub"] == "alice"
    assert claims["node"] and "reference" not in claims and "state" not in claims


def test_nothing_that_matches_is_no_error_and_has_no_receipt(alice):
    assert done(ask(alice, State="error"))["receipt"] is None


def test_a_dry_run_only_counts(alice):
    reports = reports_in_every_state(alice)
    data = done(ask(alice, Before=FUTURE, dryRun="1"), queued=1, processing=2, complete=1, error=1)
    assert data == {"deleted": data["deleted"], "remaining": 0, "dryRun": True}
    assert len(alice.references()) == 5
    for state, reference in reports.items():
        assert alice.state(reference) == state
    done(ask(alice, State="error", dryRun="0"), error=1)


@pytest.mark.parametrize("query, words", [
    ({}, "Select the reports"),
    ({"dryRun": "1"}, "Select the reports"),
    ({"State": "complete", "Stat": "error"}, "no query parameter 'Stat'"),
    ({"State": "complete", "reference": "x"}, "no query parameter 'reference'"),
    ({"State": "complete", "PageSize": "1"}, "no query parameter 'PageSize'"),
    ({"State": ["complete", "error"]}, "State occurs twice"),
    ({"State": "complete", "state": "error"}, "State occurs twice"),
    ({"State": "deleting"}, "queued, processing, complete or error"),
    ({"State": "Complete"}, "queued, processing, complete or error"),
    ({"State": ""}, "queued, processing, complete or error"),
    ({"ReportName": ""}, "ReportName is empty"),
    ({"Before": ""}, "UTC time"),
    ({"Before": "yesterday"}, "UTC time"),
    ({"Before": "2026-02-30"}, "UTC time"),
    ({"Before": "2026-01-01T24:00:00Z"}, "UTC time"),
    ({"Before": "2026-01-01T00:00:00"}, "UTC time"),
    ({"Before": "2026-01-01T00:00:00+01:00"}, "UTC time"),
    ({"Before": "1970-01-01"}, "UTC time"),
    ({"State": "complete", "dryRun": "yes"}, "dryRun must be 1 or 0"),
    ({"State": "complete", "dryRun": ""}, "dryRun must be 1 or 0"),
])
@pytest.mark.stores("sqlite")
def test_what_is_not_understood_deletes_nothing(alice, query, words):
    reference = alice.complete("Quick", ProductID="1")
    failed(ask(alice, **query), 400, words, *(["Nothing was deleted"]))
    assert alice.state(reference) == "complete"


@pytest.mark.stores("sqlite")
def test_it_needs_a_token_and_the_version(server, alice):
    reference = alice.complete("Quick", ProductID="1")
    failed(ask(Client(server.url), State="complete"), 401)
    failed(alice.call("DELETE", "/Report/List", {"Version": None}, params={"State": "complete"}), 400)
    assert alice.state(reference) == "complete"


def test_more_than_a_batch_and_more_than_a_request_takes(make_server):
    server = make_server(retention="7d")
    alice = server.client("alice")
    first = alice.complete("Quick", ProductID="1")
    copies = copies_of(server, first, MOST + BATCH + 6)
    alice.url = server.url
    data = done(ask(alice, State="complete"), beyond=BATCH + 7, complete=MOST)
    lines = "".join(f"{reference}\n" for reference in sorted([first, *copies[:MOST - 1]]))
    claims = checked(data["receipt"], published(server.url))
    assert claims["referencesSha256"] == hashlib.sha256(lines.encode()).hexdigest()
    done(ask(alice, State="complete", dryRun="1"), complete=BATCH + 7)
    done(ask(alice, State="complete"), complete=BATCH + 7)
    assert alice.references() == [] and server.files() == []


# -- races --


def held(server, place, at=1):
    """The server starts again and holds who passes the place."""
    assert server.stop() == 0
    gate = Gate(server, place, at)
    plan(server, gate.seam, trace=gate.trace)
    server.start()
    return gate


def test_a_report_submitted_after_the_request_began_is_untouched(make_server):
    server = make_server()
    gate = held(server, "http.delete_many.matched")
    alice = server.client("alice")
    old = alice.complete("Quick", ProductID="1")
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(ask, alice, Before=FUTURE)
        gate.wait()
        other = server.client("alice")
        new = other.complete("Quick", ProductID="1")
        gate.open()
        done(answer.result(), complete=1)
    gone(server, other, [old])
    assert other.references() == [new]


def test_a_report_that_leaves_the_state_meanwhile_stays(make_server):
    server = make_server(workers=1)
    gate = held(server, "http.delete_many.matched")
    alice = server.client("alice")
    running, waiting = alice.order("Endless"), alice.order("Endless")
    alice.wait_for(running, "processing")
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(ask, alice, State="queued")
        gate.wait()
        other = server.client("alice")
        assert other.delete(running).json()["result"] is True
        other.wait_for(waiting, "processing")
        gate.open()
        done(answer.result())
    assert other.state(waiting) == "processing"
    other.delete_all()


def test_what_two_requests_match_is_deleted_and_counted_once(make_server):
    server = make_server()
    alice = server.client("alice")
    copies_of(server, alice.complete("Quick", ProductID="1"), 2 * BATCH)
    barrier = threading.Barrier(4)

    def go(_):
        client = Client(server.url, alice.token)
        barrier.wait()
        return ask(client, State="complete").json()["data"]["deleted"]["complete"]

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(go, range(4))) == 2 * BATCH + 1
    alice.url = server.url
    assert alice.references() == [] and server.files() == []


def test_a_report_that_finishes_meanwhile_is_gone_all_the_same(make_server):
    server = make_server(workers=1)
    gate = held(server, "deletion.many.marked")
    alice = server.client("alice")
    reference = alice.order("Pause")
    alice.wait_for(reference, "processing")
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(ask, alice, Before=FUTURE)
        gate.wait()
        refused(Client(server.url, alice.token).status(reference), "Unknown reference")
        gate.open()
        done(answer.result(), processing=1)
    gone(server, alice, [reference])


def test_a_client_that_hangs_up_does_not_stop_the_deletion(make_server):
    server = make_server()
    alice = server.client("alice")
    copies_of(server, alice.complete("Quick", ProductID="1"), 2 * BATCH)
    gate = held(server, "deletion.many.marked")
    alice.url = server.url
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as client:
        client.sendall("DELETE /Report/List?State=complete HTTP/1.1\r\nHost: localhost\r\nVersion: 2.0\r\n"
                       f"Authorization: {alice.token}\r\n\r\n".encode())
        gate.wait()
    gate.open()
    poll(lambda: alice.references() == [] and server.files() == [], what="the deletion of all")


def test_a_stop_leaves_nothing_half_deleted(make_server):
    server = make_server()
    alice = server.client("alice")
    copies_of(server, alice.complete("Quick", ProductID="1"), 2 * BATCH)
    gate = held(server, "deletion.many.marked")
    alice.url = server.url
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(ask, alice, State="complete")
        gate.wait()
        stop = pool.submit(server.stop)
        poll(lambda: "stop.begun" in server.log_text().rpartition("start.ready")[2], what="the stop")
        gate.open()
        assert stop.result() == 0
        done(answer.result(), complete=2 * BATCH + 1)  # the drain has waited for it
    plan(server)
    server.start()
    alice.url = server.url
    assert alice.references() == [] and server.files() == []


def whole(server, client, references):
    """The ones that are alive, each with its result; of the others nothing is left."""
    alive = client.references()
    for reference in alive:
        assert client.state(reference) == "complete"
        assert client.result(reference).json()["data"]["results"]
    poll(lambda: {name.split(".")[0] for name in server.files()} <= set(alive), what="the end of the files")
    gone(server, client, [reference for reference in references if reference not in alive])
    return alive


PLACES = [f"store.tombstone_many.{step}" for step in ("posted", "taken", "written", "committed", "answered")] + \
    [f"deletion.many.{step}" for step in ("marked", "unlinked", "recorded", "dropped")] + \
    [f"store.delete_rows.{step}" for step in ("posted", "taken", "written", "committed", "answered")] + \
    ["http.delete_many.matched", "http.delete_many.removed", "spool.remove.unlinked"]


NOT_PASSED = {*((kind, f"store.{verb}.written") for kind in SHARED_STORES for verb in ("tombstone_many", "delete_rows")),
              ("postgres-rows", "spool.remove.unlinked")}


@pytest.mark.parametrize("place", PLACES)
def test_a_crash_at_any_step_leaves_each_report_whole_or_gone(make_server, store_kind, place):
    server = make_server(workers=2)
    alice = server.client("alice")
    references = [alice.complete("Quick", ProductID="1") for _ in range(3)]
    assert server.stop() == 0
    plan(server, f"{place}=crash")
    server.start()
    client = Client(server.url, alice.token)
    try:
        answer = ask(client, State="complete")
    except Exception:  # pylint: disable=broad-except
        answer = None
    if (store_kind, place) in NOT_PASSED:
        done(answer, complete=3)
        return
    assert server.await_end() == DEATH
    plan(server)
    server.start()
    client.url = server.url
    poll(lambda: len(client.references()) in (0, 3), what="the end of what was begun")
    alive = whole(server, client, references)
    assert alive in ([], references[::-1])
    done(ask(client, State="complete"), complete=len(alive))


def said(client, reference):
    """Whether it is there, as list, status and result say."""
    dead = "Unknown reference"
    return (reference in client.references(), dead not in client.status(reference).json()["message"],
            dead not in client.result(reference).json()["message"])


@pytest.mark.parametrize("place", PLACES)
def test_at_any_step_all_answers_agree_on_what_is_gone(make_server, store_kind, place):
    """Also on a report whose result was lost before, and one that is remembered."""
    if (store_kind, place) in NOT_PASSED:
        return
    server = make_server(workers=2)
    gate = held(server, place)
    alice = server.client("alice")
    references = [alice.complete("Quick", ProductID="1") for _ in range(3)]
    if store_kind == "postgres-files":
        (server.spool / server.files_of(references[0])[0]).unlink()
    assert [alice.state(reference) for reference in references] == ["complete"] * 3
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(ask, alice, State="complete")
        gate.wait()
        other = Client(server.url, alice.token)
        answers = {said(other, reference) for reference in references}
        gate.open()
        done(answer.result(), complete=3)
    assert answers in ({(True,) * 3}, {(False,) * 3})
    gone(server, alice, references)


@pytest.mark.parametrize("commits", range(3))
def test_a_disk_that_fails_is_told_and_what_was_deleted_is_counted(make_server, commits):
    server = make_server()
    alice = server.client("alice")
    copies_of(server, alice.complete("Quick", ProductID="1"), BATCH)
    assert server.stop() == 0
    failing = server.folder / "failing"
    plan(server, f"store.commit=EIO@{commits + 1}+?{failing}")
    server.start()
    failing.touch()
    client = Client(server.url, alice.token)
    answer = ask(client, State="complete")
    if answer.status_code == 503:
        body = answer.json()
        assert body["result"] is False and "remaining" not in body["data"], body
    assert server.stop() == 0
    plan(server)
    server.start()
    client.url = server.url
    left = client.list(PageSize="1").json()["data"]["totalCount"]
    assert left in (0, 1, BATCH + 1)
    done(ask(client, State="complete"), complete=left)
