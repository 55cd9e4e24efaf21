"""GET /Report/Status, asked and waited for: doc/api.md § Report."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import SOON, Client, failed, poll, refused, soon
from stores import STORES

pytestmark = pytest.mark.stores(*STORES)
UNKNOWN = "0190a5b2-7c1e-7000-8000-3f2a1b4c5d6e"


def body(answer):
    return answer.json()["result"], answer.json()["message"], answer.json()["data"]


@pytest.fixture
def busy(bob):
    """Both workers are held by bob, so that what comes now stays queued."""
    references = [bob.order("Endless"), bob.order("Endless")]
    for reference in references:
        bob.wait_for(reference, "processing")
    return references


def test_queued(alice, busy):
    answer = alice.status(alice.order("Nested"))
    assert body(answer) == (False, "Report is queued.", "incomplete")
    assert answer.headers["X-Report-State"] == "queued"
    assert answer.headers["X-Report-Queue-Position"] == "1"
    assert answer.headers["X-Report-Rows"] == "0"
    assert int(answer.headers["Retry-After"]) > 0


def test_the_position_in_the_queue_counts_down(alice, busy):
    first, second, third = (alice.order("Nested") for _ in range(3))
    assert alice.status(third).headers["X-Report-Queue-Position"] == "3"
    alice.delete(second)
    assert alice.status(third).headers["X-Report-Queue-Position"] == "2"
    assert alice.status(first).headers["X-Report-Queue-Position"] == "1"


def test_processing(alice):
    reference = alice.order("Ticker")
    alice.wait_for(reference, "processing")
    answer = alice.status(reference)
    assert body(answer) == (False, "Report is being generated.", "incomplete")
    assert "X-Report-Queue-Position" not in answer.headers
    assert int(answer.headers["Retry-After"]) > 0


def test_the_rows_so_far_grow_while_processing(alice):
    reference = alice.order("Ticker")

    def rows():
        return int(alice.status(reference).headers["X-Report-Rows"])

    first = poll(rows, what="a row")
    poll(lambda: rows() > first, what="another row")


def test_complete(alice):
    answer = alice.status(alice.complete("Quick", ProductID="1"))
    assert body(answer) == (True, "Report has been successfully completed!", "complete")
    assert answer.headers["X-Report-State"] == "complete"
    assert "Retry-After" not in answer.headers


def test_error_says_why(alice):
    answer = alice.finish(alice.order("Quick", ProductID="99"))
    assert body(answer) == (False, "Product 99 does not exist.", "error")
    assert answer.headers["X-Report-State"] == "error"
    assert "Retry-After" not in answer.headers


def test_a_timeout_says_so(alice):
    assert "200ms" in alice.finish(alice.order("Hasty")).json()["message"]


def test_a_row_limit_says_so(alice):
    assert "10" in alice.finish(alice.order("Short")).json()["message"]


def test_the_reference_must_be_given_once(alice):
    failed(alice.get("/Report/Status"), 400, "reference")
    failed(alice.get("/Report/Status?reference"), 400, "reference")
    failed(alice.get("/Report/Status?reference="), 400, "reference")
    failed(alice.get(f"/Report/Status?reference={UNKNOWN}&Reference={UNKNOWN}"), 400, "reference")


@pytest.mark.parametrize("reference", [UNKNOWN, "x", "1", "%00", "ż", "{" + UNKNOWN + "}", UNKNOWN + "0",
                                       UNKNOWN.replace("-", "")])
def test_an_unknown_reference_is_a_business_error(alice, reference):
    refused(alice.status(reference), "Unknown reference")


def test_anothers_and_a_deleted_reference_are_answered_as_an_unknown_one(alice, bob):
    others, deleted = bob.complete("Nested"), alice.complete("Nested")
    alice.delete(deleted)
    messages = {refused(alice.status(reference)).replace(reference, "X")
                for reference in (UNKNOWN, others, deleted)}
    assert len(messages) == 1


def test_an_unchanged_status_is_a_304(alice, busy):
    reference = alice.order("Nested")
    first = alice.status(reference)
    etag = first.headers["ETag"]
    again = alice.status(reference, {"If-None-Match": etag})
    assert again.status_code == 304 and again.content == b""
    assert again.headers["ETag"] == etag
    assert again.headers["Content-Length"] == first.headers["Content-Length"]  # what the 200 would have
    assert again.headers["X-Report-State"] == "queued"


def test_who_is_far_from_a_worker_asks_less_often(alice, bob, busy):
    """The server has two workers."""
    references = [alice.order("Quick", ProductID="1") for _ in range(3)]
    asked = [alice.status(reference).headers["Retry-After"] for reference in references]
    assert asked == ["1", "1", "5"]
    assert bob.status(busy[0]).headers["Retry-After"] == "1"


def test_a_429_tells_whether_a_slot_is_about_to_be_free(alice, bob, busy):
    for _ in range(10):
        alice.order("Quick", ProductID="1")
    answer = alice.submit("Quick", {"ProductID": "1"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "5")
    for _ in range(8):
        bob.order("Endless")  # beside the two that run
    answer = bob.submit("Endless")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")


def test_a_changed_status_is_a_200(alice, busy):
    reference = alice.order("Nested")
    etag = alice.status(reference).headers["ETag"]
    other = alice.order("Nested")
    assert alice.status(other).headers["ETag"] != etag
    alice.delete(other)
    for held in busy:
        Client(alice.url, alice.token).delete(held)  # not alice's: nothing happens
    assert alice.status(reference, {"If-None-Match": etag}).status_code == 304


def test_the_end_of_a_report_changes_the_etag(alice):
    reference = alice.order("Pause")
    etag = alice.status(reference).headers["ETag"]
    answer = alice.status(reference, {"If-None-Match": etag, "Prefer": "wait=30"})
    assert answer.status_code == 200 and answer.json()["data"] == "complete"


def test_prefer_wait_answers_at_the_end_of_the_report(alice):
    reference = alice.order("Pause")
    answer = soon(lambda: alice.status(reference, {"Prefer": "wait=45"}))
    assert answer.json()["data"] == "complete"
    assert answer.headers["Preference-Applied"] == "wait=45"


def test_prefer_wait_answers_after_its_time(alice):
    reference = alice.order("Endless")
    answer = alice.status(reference, {"Prefer": "wait=1"})
    assert answer.json()["data"] == "incomplete"
    assert answer.headers["Preference-Applied"] == "wait=1"


def test_the_start_of_a_report_does_not_end_the_wait(alice, bob, busy):
    """Queued to processing is a move, but not the end."""
    reference = alice.order("Quick", ProductID="1")
    answers = []
    waiting = threading.Thread(
        target=lambda: answers.append(alice.status(reference, {"Prefer": "wait=30"})))
    waiting.start()
    bob.delete(busy[0])
    waiting.join()
    assert answers[0].json()["data"] == "complete"


def test_a_wait_for_what_has_ended_is_answered_at_once(alice):
    reference = alice.complete("Quick", ProductID="1")
    answer = soon(lambda: alice.status(reference, {"Prefer": "wait=60"}))
    assert answer.json()["data"] == "complete"


def test_a_preference_may_be_quoted_and_have_parameters(alice):
    reference = alice.complete("Quick", ProductID="1")
    for prefer, applied in (('wait="30"', "30"), ('respond-async, wait=10; foo="a,b"', "10"), ("wait=60", "45"),
                            ('foo="a, wait=5", wait=7', "7"), ("wait=45", "45")):
        assert alice.status(reference, {"Prefer": prefer}).headers["Preference-Applied"] == f"wait={applied}"


@pytest.mark.parametrize("prefer", ['foo="a, wait=5"', "wait=-1", "wait=soon", "wait", "respond-async", ""])
def test_a_preference_that_is_none_is_ignored(alice, prefer):
    answer = alice.status(alice.order("Endless"), {"Prefer": prefer})
    assert answer.json()["data"] == "incomplete"
    assert "Preference-Applied" not in answer.headers


def test_a_delete_ends_the_wait(server, alice):
    reference = alice.order("Endless")
    alice.wait_for(reference, "processing")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(Client(server.url, alice.token).status, reference, {"Prefer": "wait=60"})
        alice.delete(reference)
        refused(waiting.result(SOON), "Unknown reference")


def test_many_can_wait_for_one_report(server, alice):
    reference = alice.order("Pause")
    answers = []

    def wait():
        answers.append(Client(server.url, alice.token).finish(reference))

    threads = [threading.Thread(target=wait) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.json()["data"] for answer in answers] == ["complete"] * 20


def test_a_wait_does_not_keep_the_server_from_stopping(make_server):
    server = make_server(workers=1)
    client = server.client("alice")
    reference = client.order("Endless")
    client.wait_for(reference, "processing")
    answers = []
    waiting = threading.Thread(
        target=lambda: answers.append(client.status(reference, {"Prefer": "wait=60"})))
    waiting.start()
    other = server.client("alice")
    poll(lambda: other.state(reference) == "processing")
    assert server.stop() == 0  # within less than the wait
    waiting.join()
    # Asked in time: what was known; too late: that the server is going.
    assert answers[0].status_code in (200, 503)
