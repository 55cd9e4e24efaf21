"""At most ten active reports a user, whatever happens at the same time: doc/api.md § Report."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import GUID, Client, failed, poll
from stores import STORES

pytestmark = pytest.mark.stores(*STORES)
LIMIT = 10


def test_the_eleventh_is_told_which_ten_there_are(alice):
    references = [alice.order("Endless") for _ in range(LIMIT)]
    poll(lambda: [alice.state(reference) for reference in references[:2]] == ["processing"] * 2)
    answer = alice.submit("Endless")
    assert answer.status_code == 429
    body = answer.json()
    assert body["result"] is False
    assert str(LIMIT) in body["message"] and "deleting a queued" in body["message"]
    active = body["data"]["active"]
    assert sorted(report["reference"] for report in active) == sorted(references)
    for report in active:
        assert GUID.fullmatch(report["reference"]) and report["reportName"] == "Endless"
        assert report["state"] == ("processing" if report["reference"] in references[:2] else "queued")


def test_a_refused_report_leaves_nothing_behind(alice):
    for _ in range(LIMIT):
        alice.order("Endless")
    failed(alice.submit("Endless", headers={"Idempotency-Key": "eleventh"}), 429)
    assert alice.list().json()["data"]["totalCount"] == LIMIT
    alice.delete(alice.references()[0])
    answer = alice.submit("Endless", headers={"Idempotency-Key": "eleventh"})
    assert answer.json()["result"] is True and "Idempotent-Replayed" not in answer.headers


def test_a_replay_needs_no_slot(alice):
    first = alice.submit("Endless", headers={"Idempotency-Key": "first"})
    for _ in range(LIMIT - 1):
        alice.order("Endless")
    again = alice.submit("Endless", headers={"Idempotency-Key": "first"})
    assert again.json() == first.json()


def test_finished_reports_take_no_slot(alice):
    for _ in range(LIMIT + 2):
        alice.complete("Nested")
    assert alice.submit("Nested").json()["result"] is True


def test_one_users_reports_do_not_count_for_another(alice, bob):
    for _ in range(LIMIT):
        alice.order("Endless")
    assert bob.submit("Nested").json()["result"] is True


def test_exactly_ten_of_many_simultaneous_posts_are_accepted(server, alice):
    local = threading.local()

    def submit(_):
        if not hasattr(local, "client"):
            local.client = Client(server.url, alice.token)
        return local.client.submit("Endless").status_code

    with ThreadPoolExecutor(20) as pool:
        codes = list(pool.map(submit, range(200)))
    assert codes.count(200) == LIMIT
    assert codes.count(429) == 200 - LIMIT
    assert alice.list().json()["data"]["totalCount"] == LIMIT


def test_slots_given_back_at_the_same_time_are_each_taken_once(server, alice):
    references = [alice.order("Endless") for _ in range(LIMIT)]

    def swap(reference):
        client = Client(server.url, alice.token)
        client.delete(reference)
        return [client.submit("Endless").status_code for _ in range(3)]

    with ThreadPoolExecutor(LIMIT) as pool:
        codes = sum(pool.map(swap, references), [])
    assert codes.count(200) == LIMIT
    assert alice.list().json()["data"]["totalCount"] == LIMIT


def test_the_limit_can_be_configured(make_server):
    client = make_server(active_limit=2).client("alice")
    client.order("Endless")
    client.order("Endless")
    answer = client.submit("Endless")
    assert answer.status_code == 429 and " 2 " in answer.json()["message"]
