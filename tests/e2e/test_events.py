"""GET /Report/Events: one's own reports as they change, doc/api.md § Events."""

import pytest
import requests

from events import Events
from harness import Client, failed, poll
from stores import STORES

pytestmark = pytest.mark.stores(*STORES)


def test_a_report_from_submit_to_deletion(alice):
    with Events(alice) as events:
        assert events.answer.headers["Content-Type"] == "text/event-stream"
        assert events.answer.headers["Cache-Control"] == "no-store, no-transform"
        reference = alice.complete("Quick", ProductID="1")
        events.wait_for(reference, "complete")
        size = len(alice.result(reference).content)
        assert alice.delete(reference).json()["result"]
        events.wait_for(reference, "deleted")
        assert events.states(reference) == ["queued", "processing", "complete", "deleted"]
        queued, *_, complete, deleted = events.of(reference)
        assert queued == {"reference": reference, "reportName": "Quick", "state": "queued", "rows": 0, "bytes": 0,
                          "position": queued["position"], "message": None}
        assert complete["rows"] > 0 and complete["bytes"] == size
        assert deleted == {"reference": reference, "state": "deleted"}


def test_an_error_says_why(alice):
    with Events(alice) as events:
        reference = alice.order("Quick", ProductID="99")
        events.wait_for(reference, "error")
        assert events.of(reference)[-1]["message"] == "Product 99 does not exist."


def test_it_begins_with_the_active_reports(alice):
    with Events(alice) as earlier:  # a change may be told a moment after it can be seen
        done = alice.complete("Quick", ProductID="1")
        earlier.wait_for(done, "complete")
    reference = alice.order("Ticker")
    alice.wait_for(reference, "processing")
    with Events(alice) as events:
        events.wait_for(reference, "processing")
        assert events.of(reference)[0]["reportName"] == "Ticker"
        assert events.of(done) == []


def test_progress_of_rows_and_of_the_place_in_the_queue(alice, bob):
    with Events(alice) as events:
        running = alice.order("Ticker")
        rows = lambda: [event["rows"] for event in events.of(running) if event["rows"]]
        poll(lambda: len(rows()) > 1, what="progress")
        assert rows() == sorted(rows())
        held = bob.order("Endless")
        bob.wait_for(held, "processing")
        first, second = alice.order("Quick", ProductID="1"), alice.order("Quick", ProductID="1")
        poll(lambda: events.of(second) and events.of(second)[-1]["position"] == 2, what="second in the queue")
        alice.delete(first)
        poll(lambda: events.of(second)[-1]["position"] == 1, what="next in the queue")


def test_nobody_sees_the_reports_of_others(alice, bob):
    with Events(alice) as hers, Events(bob) as his:
        of_bob = bob.complete("Quick", ProductID="1")
        of_alice = alice.complete("Quick", ProductID="1")
        bob.delete(of_bob)
        hers.wait_for(of_alice, "complete")
        his.wait_for(of_bob, "deleted")
        assert hers.of(of_bob) == [] and his.of(of_alice) == []


def test_a_deletion_of_many_tells_of_each(alice):
    references = [alice.complete("Quick", ProductID="1") for _ in range(3)]
    with Events(alice) as events:
        assert alice.call("DELETE", "/Report/List", params={"State": "complete"}).json()["result"]
        for reference in references:
            events.wait_for(reference, "deleted")


def test_nothing_follows_a_deletion(alice):
    with Events(alice) as events:
        references = [alice.order("Ticker") for _ in range(4)]
        for reference in references:
            alice.delete(reference)
        for reference in references:
            events.wait_for(reference, "deleted")
        last = alice.complete("Quick", ProductID="1")
        events.wait_for(last, "complete")
        for reference in references:
            states = events.states(reference)
            assert states.count("deleted") == 1 and states[-1] == "deleted", states


def test_who_comes_again_misses_nothing(alice):
    with Events(alice) as events:
        first = alice.complete("Quick", ProductID="1")
        events.wait_for(first, "complete")
        last_id = events.last_id
    second = alice.complete("Quick", ProductID="1")
    alice.delete(first)
    with Events(alice, last_id) as events:
        events.wait_for(second, "complete")
        events.wait_for(first, "deleted")
        assert events.states(second) == ["queued", "processing", "complete"]
        assert events.states(first) == ["deleted"]


@pytest.mark.parametrize("last_id", ["", "x", "7", "0190a5b2-7c1e-7000-8000-3f2a1b4c5d6e.3", "9" * 300, "%s.99999999999", "%s.-1",
                                     "%s."])
def test_an_id_that_is_not_remembered_is_answered_with_what_there_is(alice, last_id):
    reference = alice.order("Endless")
    alice.wait_for(reference, "processing")
    with Events(alice) as events:
        events.wait_for(reference, "processing")
        events.wait_for(alice.complete("Quick", ProductID="1"), "complete")
        epoch = events.last_id.partition(".")[0]
    with Events(alice, last_id.replace("%s", epoch)) as events:
        events.wait_for(reference, "processing")


def test_a_user_has_ten_streams(alice, bob):
    streams = [Events(alice) for _ in range(10)]
    try:
        failed(alice.get("/Report/Events"), 429, "10 event streams")
        with Events(bob) as of_bob:
            assert of_bob.answer.status == 200
        streams.pop().close()

        def again():
            with Events(alice) as events:
                return events.answer.status == 200

        poll(again, what="a free stream")
    finally:
        for stream in streams:
            stream.close()


def test_without_a_token_there_are_none(server):
    answer = requests.get(server.url + "/Report/Events", headers={"Version": "2.0"}, timeout=60)
    failed(answer, 401)


def test_head_and_accept(alice):
    answer = alice.call("HEAD", "/Report/Events")
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "text/event-stream"
    assert alice.get("/Report/Events", {"Accept": "text/html"}).status_code == 406


def test_a_stop_ends_the_streams(make_server):
    server = make_server()
    client = server.client("alice")
    with Events(client) as events:
        reference = client.complete("Quick", ProductID="1")
        events.wait_for(reference, "complete")
        assert server.stop() == 0
        poll(lambda: events.ended, what="the end")
        assert not events.broken


def log_out(node, store, client, name):
    assert Client(node.url, client.token).call("POST", "/User/Logout").status_code == 200


def refresh_with_a_used_token(node, store, client, name):
    token, refresh_token = client.token, client.refresh_token
    for status in (200, 401):
        answer = Client(node.url, token).call("POST", "/User/RefreshToken", json={"refreshToken": refresh_token})
        assert answer.status_code == status
        store.age_tokens()


def disable(node, store, client, name):
    node.user("disable", name)


def change_password(node, store, client, name):
    node.user("passwd", name, stdin="another password\n")


def assert_ends_at_once(here, there, store, end, name):
    """The streams of a session that ends on node `here`, on node `there`, and none but those."""
    here.add_user(name)
    client, second, bob = there.client(name), there.client(name), there.client("bob")
    with Events(client) as events, Events(second) as seconds, Events(bob) as bobs:
        assert events.answer.status == seconds.answer.status == bobs.answer.status == 200
        end(here, store, client, name)
        all_end = end in (disable, change_password)
        poll(lambda: events.ended and (seconds.ended or not all_end), what="the end")
        assert events.comments == 0  # the first comes after 15 s, before who is only asked now and then would know
        assert seconds.ended == all_end and not bobs.ended


ENDS = (log_out, refresh_with_a_used_token, disable, change_password)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_a_session_that_is_over_ends_its_streams_at_once(server, bob, end):
    assert_ends_at_once(server, server, server.store, end, f"zoe{ENDS.index(end)}{server.store.kind}")


@pytest.mark.stores("sqlite")
def test_and_those_on_another_node(make_cluster):
    cluster = make_cluster(nodes=2)
    cluster.add_user("bob")
    here, there = cluster.nodes
    for end in ENDS:
        assert_ends_at_once(here, there, cluster, end, f"zoe{ENDS.index(end)}")


def test_another_node_tells_it_too(make_cluster):
    cluster = make_cluster(nodes=2)
    here, there = (node.client("alice") for node in cluster.nodes)
    with Events(there) as events:
        reference = here.complete("Quick", ProductID="1")
        events.wait_for(reference, "complete")
        here.delete(reference)
        events.wait_for(reference, "deleted")
        assert events.states(reference) == ["queued", "processing", "complete", "deleted"]


def test_what_a_client_has_not_got_is_dropped_by_a_deletion(alice):
    with Events(alice) as events:
        events.wait_for(alice.complete("Quick", ProductID="1"), "complete")
        last_id = events.last_id
        reference = alice.complete("Quick", ProductID="1")
        events.wait_for(reference, "complete")
        alice.delete(reference)
        events.wait_for(reference, "deleted")
    with Events(alice, last_id) as events:
        events.wait_for(reference, "deleted")
        assert events.of(reference) == [{"reference": reference, "state": "deleted"}]
