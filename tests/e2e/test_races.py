"""DELETE against whatever else happens to a report, each interleaving held in place by a seam."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from fake_clock import MINUTE
from harness import Client, failed, poll, refused
from seams import Gate, passings, plan
from stores import SHARED_STORES, STORES

pytestmark = pytest.mark.stores(*STORES)
POSTS = 200
SLOTS = 10


def passed_on_each_store(*places):
    """Parametrizes a test with each store and the places that it passes."""

    def passes(store, place):
        if place.startswith("spool.publish."):
            return place.endswith((".copied", ".committed")) == (store == "postgres-rows")
        if place.endswith(".unlinked") and store == "postgres-rows":
            return False  # a single chunk goes with its row
        return store == "sqlite" or not place.endswith(".written") or place == "job.end.written"

    cases = [(store, place) for store in STORES for place in places if passes(store, place)]
    return pytest.mark.parametrize("store_kind, place", cases, indirect=["store_kind"])


@pytest.fixture
def pool():
    with ThreadPoolExecutor(POSTS + SLOTS) as threads:
        yield threads


@pytest.fixture
def gated(new_server, pool, clock):
    """A server with one worker and a client; whoever first comes to a place waits at its gate,
    which is open before the pool has to end."""
    gates = []

    def make(*places, at=1, **config):
        # A heartbeat that is written with what waits at a gate would hold up the next one.
        server = new_server(workers=1, http_threads=8, lease="10m", **config)
        own = [Gate(server, place, at) for place in places]
        gates.extend(own)
        plan(server, *(gate.seam for gate in own), trace=own[0].trace, clock=clock.path)
        client = server.start().client("alice")
        poll(lambda: posted(own[0], "claim") > 0, what="the claim that finds nothing")
        return server, client, *own

    yield make
    for gate in gates:
        gate.open()


def posted(gate, verb):
    """How many operations of the verb have been handed to the store."""
    return sum(place == f"store.{verb}.posted" for _, place in passings(gate.trace))


def deletion(pool, gate, client, reference):
    """A DELETE on a connection of its own, as far as the store's queue."""
    before = posted(gate, "tombstone")
    answer = pool.submit(Client(client.url, client.token).delete, reference)
    poll(lambda: posted(gate, "tombstone") > before, what="the deletion's mark")
    return answer


def assert_gone(server, client, reference):
    for ask in (client.status, client.result, client.delete):
        refused(ask(reference), "Unknown reference")
    assert reference not in client.references()
    assert server.files_of(reference) == []


def assert_in_order(server, client):
    """Whatever happened, the worker and all slots can be used again, and no file is left over."""
    left = client.complete("Nested")
    last = [client.order("Endless") for _ in range(SLOTS)]
    failed(client.submit("Endless"), 429)
    for reference in last:
        client.delete(reference)
    assert server.files() == server.files_of(left) != []


# -- against claim and completion --

CLAIM = ["store.claim.taken", "store.claim.written", "store.claim.committed",
         "store.claim.answered", "job.start.claimed", "job.start.created", "job.start.sent"]
RUN = ["worker.run.received", "worker.run.prepared", "worker.run.rendered", "worker.run.synced",
       "worker.run.ended", "worker.run.answered"]
COMPLETION = ["job.end.answered", "spool.publish.renamed", "spool.publish.synced", "spool.publish.copied",
              "spool.publish.committed", "job.end.filed", "store.finish.taken", "store.finish.written", "store.finish.committed",
              "store.finish.answered", "job.end.written"]


@passed_on_each_store(*CLAIM, *RUN, *COMPLETION)
def test_a_delete_while_the_report_is_claimed_runs_or_ends(gated, pool, place):
    # A claim at the start finds nothing, and the next one comes with its submit, to which nobody has an answer yet.
    by_itself = place.startswith("store.claim")
    server, client, gate = gated(place, at=3 if by_itself else 1)
    before = client.order("Endless") if by_itself else None
    if by_itself:
        client.wait_for(before, "processing")
    reference = client.order("Quick", ProductID="1")
    freed = deletion(pool, gate, client, before) if by_itself else None
    gate.wait()
    answer = deletion(pool, gate, client, reference)
    gate.open()
    assert answer.result().json()["result"] is True
    assert freed is None or freed.result().json()["result"] is True
    assert_gone(server, client, reference)
    assert_in_order(server, client)


@passed_on_each_store("job.end.answered", "spool.publish.renamed", "spool.publish.copied", "job.end.filed")
def test_a_report_that_is_deleted_while_it_completes_is_never_seen_complete(gated, pool, place):
    server, client, gate = gated(place)
    reference = client.order("Quick", ProductID="1")
    gate.wait()
    answer = deletion(pool, gate, client, reference)
    poll(lambda: client.references() == [], what="the mark")
    assert not answer.done()
    refused(client.status(reference), "Unknown reference")
    refused(client.result(reference), "Unknown reference")
    gate.open()
    assert answer.result().json()["result"] is True
    assert f"reference={reference} user=alice state=complete" not in server.log_text()


# -- against other deletions --


@passed_on_each_store("store.tombstone.taken", "store.tombstone.committed", "deletion.delete.marked", "deletion.delete.unlinked",
                      "store.delete_row.taken", "deletion.delete.dropped")
def test_of_two_deletes_the_second_finds_nothing(gated, pool, place):
    server, client, gate = gated(place)
    reference = client.complete("Quick", ProductID="1")
    answers = [deletion(pool, gate, client, reference)]
    gate.wait()
    answers.append(deletion(pool, gate, client, reference))
    gate.open()
    assert answers[0].result().json()["result"] is True
    refused(answers[1].result(), "Unknown reference")
    assert_gone(server, client, reference)
    assert_in_order(server, client)


def test_of_two_deletes_that_stop_a_query_the_second_finds_nothing(gated, pool):
    server, client, gate = gated("job.stop.asked")
    reference = client.order("Endless")
    client.wait_for(reference, "processing")
    first = deletion(pool, gate, client, reference)
    gate.wait()
    refused(client.delete(reference), "Unknown reference")
    assert not first.done()
    gate.open()
    assert first.result().json()["result"] is True
    assert_gone(server, client, reference)
    assert_in_order(server, client)


def test_a_delete_before_the_purge_is_answered_as_any_other(gated, clock):
    server, client, gate = gated("deletion.purge.found", retention="10m")
    reference = client.complete("Quick", ProductID="1")
    clock.jump(11 * MINUTE)
    gate.wait()
    assert client.delete(reference).json()["result"] is True
    gate.open()
    assert_gone(server, client, reference)


@passed_on_each_store("store.tombstone.taken", "deletion.purge.marked", "deletion.purge.unlinked", "store.delete_row.taken")
def test_a_delete_during_the_purge_finds_nothing(gated, pool, clock, place):
    server, client, gate = gated(place, retention="10m")
    reference = client.complete("Quick", ProductID="1")
    clock.jump(11 * MINUTE)
    gate.wait()
    answer = deletion(pool, gate, client, reference)
    gate.open()
    refused(answer.result(), "Unknown reference")
    poll(lambda: server.files_of(reference) == [], what="the purge")
    assert_gone(server, client, reference)


@pytest.mark.parametrize("purge_first", [True, False])
def test_of_delete_and_purge_in_one_transaction_one_wins(gated, pool, clock, purge_first):
    """A submit holds up the store until both wait for it."""
    server, client, gate = gated("store.submit.taken", at=2, retention="10m")
    reference = client.complete("Quick", ProductID="1")
    submit = pool.submit(Client(client.url, client.token).submit, "Nested")
    gate.wait()
    if purge_first:
        clock.jump(11 * MINUTE)
        poll(lambda: posted(gate, "tombstone") == 1, what="the purge")
    answer = deletion(pool, gate, client, reference)
    if not purge_first:
        clock.jump(11 * MINUTE)
    poll(lambda: posted(gate, "tombstone") == 2, what="both marks")
    gate.open()
    deleted = answer.result().json()["result"]
    assert not (deleted and purge_first)
    assert submit.result().json()["result"] is True
    poll(lambda: server.files_of(reference) == [], what="the removal")
    assert_gone(server, client, reference)
    poll(lambda: f"report.deleted reference={reference}" in server.log_text(), what="the log's line")
    assert server.log_text().count(f"report.deleted reference={reference}") == 1


@pytest.mark.stores(*SHARED_STORES)
@pytest.mark.parametrize("place, ask", [
    ("deletion.delete.marked", lambda client, reference: client.delete(reference)),
    ("deletion.delete.recorded", lambda client, reference: client.delete(reference)),
    ("deletion.many.marked", lambda client, _: client.call("DELETE", "/Report/List", params={"State": "complete"})),
    ("deletion.many.recorded", lambda client, _: client.call("DELETE", "/Report/List", params={"State": "complete"})),
])
def test_a_deletion_under_way_is_not_taken_for_one_that_a_dead_node_has_left(gated, pool, place, ask):
    """With a clock that may jump the server looks for those all the time; what is done twice is logged twice."""
    server, client, gate = gated(place)
    reference = client.complete("Quick", ProductID="1")
    answer = pool.submit(ask, Client(client.url, client.token), reference)
    gate.wait()
    looks = posted(gate, "deleting")
    poll(lambda: posted(gate, "deleting") > looks + 2, what="a whole look")
    gate.open()
    assert answer.result().json()["result"] is True
    assert_gone(server, client, reference)
    poll(lambda: f"report.deleted reference={reference}" in server.log_text(), what="the log's line")
    assert server.log_text().count(f"report.deleted reference={reference}") == 1


# -- against a download --


def test_a_download_that_has_begun_never_turns_into_another_result(server, alice):
    """What the slow reader gets is of its own result, and breaks off."""
    reference = alice.complete("Big", Rows="300000")
    whole = alice.result(reference).content
    download = alice.result(reference, stream=True)
    chunks = download.iter_content(65536)
    got = next(chunks)
    other = Client(alice.url, alice.token)
    assert other.delete(reference).json()["result"] is True
    for _ in range(3):  # others take the room
        other.complete("Big", Rows="300001")
    refused(other.result(reference), "Unknown reference")
    refused(other.result(reference, {"Range": "bytes=0-9"}), "Unknown reference")
    with pytest.raises(requests.RequestException):
        for chunk in chunks:
            got += chunk
    assert whole.startswith(got) and len(got) < len(whole)
    assert server.files_of(reference) == []


def test_a_result_that_is_deleted_while_it_is_being_opened_is_unknown(gated, pool):
    server, client, gate = gated("http.result.found")
    reference = client.complete("Quick", ProductID="1")
    download = pool.submit(Client(client.url, client.token).result, reference)
    gate.wait()
    deleted = pool.submit(Client(client.url, client.token).delete, reference)
    # On a connection of its own each time: the one there is may belong to the thread that waits.
    poll(lambda: "Unknown reference" in Client(client.url, client.token).status(reference).text, what="the tombstone")
    gate.open()  # nodes that share a store wait for the transfer's end before they answer
    assert deleted.result().json()["result"] is True
    refused(download.result(), "Unknown reference")
    assert_in_order(server, client)


@pytest.mark.stores("sqlite")  # nodes that share a store touch no file before the transfer has ended
@pytest.mark.parametrize("encryption", ["off", "on"])
def test_a_result_that_is_opened_after_its_file_was_cut_off_is_unknown(gated, pool, encryption):
    server, client, opening, cut_off = gated("http.result.found", "spool.remove.truncated",
                                             spool_encryption=encryption)
    reference = client.complete("Quick", ProductID="1")
    download = pool.submit(Client(client.url, client.token).result, reference)
    opening.wait()
    deleted = pool.submit(Client(client.url, client.token).delete, reference)
    cut_off.wait()
    opening.open()
    refused(download.result(), "Unknown reference")
    cut_off.open()
    assert deleted.result().json()["result"] is True
    assert_in_order(server, client)


# -- the queue's slots --


def most_active(log):
    """The most reports that were queued or processing at once; a deleted one that was processing
    counts until it is gone. The log's order is that of the commits."""
    states, most = {}, 0
    for reference, state in re.findall(r"report\.state reference=(\S+) user=\S+ state=(\w+)", log):
        if state == "deleting" and states.get(reference) == "processing":
            state = "stopping"
        states[reference] = state
        most = max(most, sum(s in ("queued", "processing", "stopping") for s in states.values()))
    return most


def test_slots_freed_in_one_transaction_with_200_submits_are_taken_once(gated, pool):
    """One submit holds up the store until all others wait behind the deletions."""
    server, client, gate = gated("store.submit.taken", at=SLOTS + 1)
    running = client.order("Endless")
    client.wait_for(running, "processing")
    waiting = [client.order("Endless") for _ in range(SLOTS - 1)]
    early = pool.submit(Client(client.url, client.token).submit, "Endless")
    gate.wait()
    deletions = [deletion(pool, gate, client, reference) for reference in waiting]
    late = [pool.submit(Client(client.url, client.token).submit, "Endless")
            for _ in range(POSTS - 1)]
    poll(lambda: posted(gate, "submit") == SLOTS + POSTS, what="all submits")
    gate.open()
    failed(early.result(), 429)
    assert all(answer.result().json()["result"] is True for answer in deletions)
    codes = sorted(answer.result().status_code for answer in late)
    assert codes == [200] * len(waiting) + [429] * (len(late) - len(waiting))
    assert len(client.references()) == SLOTS
    assert most_active(server.log_text()) == SLOTS
    client.delete_all()
    assert_in_order(server, client)


def test_200_submits_and_deletions_of_the_queue_never_hold_more_than_all_slots(gated, pool):
    server, client, gate = gated("store.claim.posted", at=2)
    order = pool.submit(client.order, "Endless")
    gate.wait()
    gate.open()
    client.wait_for(order.result(), "processing")
    done = threading.Event()

    def delete_what_waits():
        mine = Client(client.url, client.token)
        while not done.is_set():
            for report in mine.list(State="queued").json()["data"]["reports"]:
                mine.delete(report["reference"])

    deleter = pool.submit(delete_what_waits)
    answers = [pool.submit(Client(client.url, client.token).submit, "Endless")
               for _ in range(POSTS - 1)]
    codes = [answer.result().status_code for answer in answers]
    done.set()
    deleter.result()
    assert set(codes) <= {200, 429} and codes.count(200) >= SLOTS - 1
    assert most_active(server.log_text()) <= SLOTS
    client.delete_all()
    assert_in_order(server, client)


@pytest.mark.stores("sqlite")  # PostgreSQL answers both with one statement
def test_a_list_and_its_total_are_of_one_moment(gated, pool):
    _, client, gate = gated("store.list.counted")
    first = client.order("Endless")
    listed = pool.submit(Client(client.url, client.token).list)
    gate.wait()
    Client(client.url, client.token).order("Endless")  # a connection of the thread that is not held
    gate.open()
    data = listed.result().json()["data"]
    assert [report["reference"] for report in data["reports"]] == [first] and data["totalCount"] == 1
