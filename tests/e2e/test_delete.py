"""DELETE /Report, in each of the four states: doc/api.md § Report."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from fake_clock import MINUTE
from harness import PATIENCE, PROBLEM, Client, failed, poll, refused
from report_states import STATES, complete, error, processing
from stores import STORES

pytestmark = pytest.mark.stores(*STORES)
UNKNOWN = "0190a5b2-7c1e-7000-8000-3f2a1b4c5d6e"


def assert_dead(client, reference, etag='"x"'):
    """On every endpoint that takes a reference, however it is asked."""
    for spelling in (reference, reference.upper()):
        for ask in (client.status, client.result, client.delete):
            refused(ask(spelling), "Unknown reference")
        refused(client.get("/Report/Rows", params={"reference": spelling}), "Unknown reference")
        refused(client.list(Reference=spelling), "Unknown reference")
        for form in ("ndjson", "csv", "xlsx"):
            refused(client.get("/Report", params={"reference": spelling, "format": form}), "Unknown reference")
            refused(client.call("POST", "/Report/Link", json={"reference": spelling, "format": form}), "Unknown reference")
    for headers in ({"If-None-Match": etag}, {"If-None-Match": "*"}, {"Prefer": "wait=5"},
                    {"If-None-Match": etag, "Prefer": "wait=5"}):
        answer = client.status(reference, headers)
        refused(answer, "Unknown reference")
        assert not {"ETag", "Retry-After"} & set(answer.headers)
        assert not [name for name in answer.headers if name.startswith("X-Report-")]
    for headers in ({"Range": "bytes=0-9"}, {"Range": "bytes=0-9", "If-Range": etag}, {"If-None-Match": etag},
                    {"If-None-Match": "*"}, {"If-Match": etag}, {"If-Match": "*"},
                    {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}):
        refused(client.result(reference, headers), "Unknown reference")
        head = client.result(reference, headers, method="HEAD")
        assert head.status_code == 200 and not head.content
        assert not {"ETag", "Content-Digest", "Content-Range", "Expires"} & set(head.headers)
    for ask in (client.status, client.result, client.delete):
        answer = ask(reference, {"Accept": PROBLEM})
        assert answer.status_code == answer.json()["status"] == 404
        assert "Unknown reference" in answer.text and answer.headers["Content-Type"].startswith(PROBLEM)
    assert reference not in client.list(PageSize=1000).text


def test_every_endpoint_that_takes_a_reference_is_asked_after_the_deletion(server):
    """A new one belongs into assert_dead()."""
    paths = requests.get(server.url + "/openapi.json", timeout=PATIENCE).json()["paths"]
    taking = {(method, path) for path, methods in paths.items() for method, operation in methods.items()
              if "/Reference'" in str(operation["parameters"]) + str(operation.get("requestBody"))}
    taking.remove(("delete", "/Admin/Report"))  # test_admin.py asks it
    assert taking == {("post", "/Report/Link"), ("get", "/Report"), ("delete", "/Report"), ("get", "/Report/Status"), ("get", "/Report/Rows"), ("get", "/Report/List")}


@pytest.mark.parametrize("make", STATES)
def test_a_deleted_report_is_gone_when_the_answer_comes(server, alice, make):
    reference = make(alice)
    assert alice.state(reference) == make.__name__
    etag = alice.result(reference).headers.get("ETag", '"none"')
    answer = alice.delete(reference)
    assert answer.status_code == 200
    assert answer.json() == {"result": True, "message": "Report request has been deleted.", "data": {}}
    assert server.files_of(reference) == []
    assert_dead(alice, reference, etag)


@pytest.mark.parametrize("make", STATES)
def test_a_delete_that_depends_on_another_result_deletes_nothing(server, alice, make):
    """RFC 9110, 13.2.2. A report without a result matches nothing, not even `*`."""
    reference, past = make(alice), "Thu, 01 Jan 1970 00:00:00 GMT"
    head = alice.result(reference, method="HEAD").headers
    complete = make.__name__ == "complete"
    own = {"If-Match": head["ETag"]} if complete else {"If-Match": "*"}
    wrong = [{"If-Match": '"x"'}, {"If-Unmodified-Since": past}, {"If-Match": "W/" + head.get("ETag", '"x"')},
             {"If-Match": '"x"', "If-Unmodified-Since": head["Date"]}]
    if complete:
        wrong += [{"If-None-Match": "*"}, {**own, "If-None-Match": head["ETag"]}]
    else:
        wrong += [own, {"If-Unmodified-Since": head["Date"]}]
    for headers in wrong:
        failed(alice.delete(reference, headers), 412, "nothing was done")
        assert alice.state(reference) == make.__name__
    answer = alice.delete(reference, {**own, "If-Unmodified-Since": past} if complete else {"If-None-Match": "*"})
    assert answer.json()["result"] is True and "X-Deletion-Receipt" in answer.headers
    for headers in wrong:
        refused(alice.delete(reference, headers), "Unknown reference")


def test_a_delete_that_depends_on_a_date(alice):
    reference = complete(alice)
    modified = alice.result(reference, method="HEAD").headers["Last-Modified"]
    assert alice.delete(reference, {"If-Unmodified-Since": modified}).json()["result"] is True


def test_another_users_delete_is_told_the_same_whatever_it_depends_on(alice, bob):
    reference = complete(alice)
    for headers in ({"If-Match": '"x"'}, {"If-Match": "*"}, {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}):
        refused(bob.delete(reference, headers), "Unknown reference")
    assert alice.state(reference) == "complete"


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
    poll(lambda: server.metric("workers_busy") == 1, what="the worker that its node knows of, a moment after the store")
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
    assert f"reference={waiting} user=alice state=processing" not in server.log_text()


def test_nothing_is_left_of_the_partial_result_of_an_error(server, alice):
    """It had ten rows when it came to one too many."""
    before = server.files()
    reference = alice.order("Short")
    assert alice.finish(reference).json()["data"] == "error"
    assert server.files() == before
    assert alice.delete(reference).json()["result"] is True
    assert not server.holding(reference.encode())


def test_the_slot_of_an_error_is_free_and_its_corrected_retry_accepted_beside_nine_active(alice):
    key = {"Idempotency-Key": "the same request, corrected"}
    wrong = alice.submit("Quick", {"ProductID": "99"}, key).json()["data"]
    assert alice.finish(wrong).json()["data"] == "error"
    for _ in range(9):
        alice.order("Endless")
    assert alice.delete(wrong).json()["result"] is True
    assert_dead(alice, wrong)
    retry = alice.submit("Quick", {"ProductID": "1"}, key)
    assert retry.json()["result"] is True and "Idempotent-Replayed" not in retry.headers
    failed(alice.submit("Nested"), 429)
    for other in alice.references():
        if other != retry.json()["data"]:
            alice.delete(other)
    assert alice.finish(retry.json()["data"]).json()["data"] == "complete"


@pytest.mark.parametrize("make", STATES)
@pytest.mark.parametrize("headers, status", [
    ({"Authorization": None}, 401), ({"Authorization": ""}, 401), ({"Authorization": "x"}, 401),
    ({"Version": None}, 400), ({"Version": "1.0"}, 400), ({"Version": "2"}, 400), ({"Version": ""}, 400),
])
def test_a_delete_without_its_headers_leaves_the_report_alive(alice, make, headers, status):
    reference = make(alice)
    failed(alice.delete(reference, headers), status)
    assert alice.state(reference) == make.__name__
    assert alice.result(reference).json()["result"] is (make is complete)


@pytest.mark.parametrize("query", ["reference={0}&reference={1}", "reference={0}&reference={0}",
                                   "Reference={0}&reference={0}", "reference={0}&REFERENCE={1}",
                                   "reference={0}&other=1&rEFERENCE={0}", "reference={0}&reference=",
                                   "reference=&reference={0}", "reference={0}&reference"])
def test_a_reference_given_twice_deletes_nothing(alice, query):
    references = [alice.complete("Nested"), alice.complete("Nested")]
    failed(alice.call("DELETE", "/Report?" + query.format(*references)), 400, "reference")
    assert sorted(alice.references()) == sorted(references)
    for reference in references:
        assert alice.result(reference).json()["result"] is True


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


def test_a_finished_report_is_purged_after_its_retention(clock, make_server):
    server = make_server(retention="10m")
    client = server.client("alice")
    good = client.complete("Quick", ProductID="1")
    bad = error(client)
    clock.jump(11 * MINUTE)
    poll(lambda: client.references() == [], what="the purge")
    assert_dead(client, good)
    assert_dead(client, bad)
    poll(lambda: server.files() == [], what="an empty spool")


def test_what_expired_while_the_server_was_down_is_purged_at_start(clock, make_server):
    server = make_server(retention="10m")
    client = server.client("alice")
    reference = client.complete("Quick", ProductID="1")
    server.kill()
    clock.jump(11 * MINUTE)
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
