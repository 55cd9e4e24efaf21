"""Idempotency-Key of POST /Report: one request, one report, however often it is sent."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from fake_clock import DAY, SECOND, time_of
from harness import Client, failed, poll, refused
from stores import STORES

pytestmark = pytest.mark.stores(*STORES)
QUICK = {"ProductID": "1"}
TWINS = 50


def keyed(client, key, name="Quick", parameters=QUICK, **headers):
    return client.submit(name, parameters, {"Idempotency-Key": key, **headers})


def send(client, key, text):
    """A body as it stands."""
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    return client.call("POST", "/Report", headers, data=text.encode())


def is_replay(answer):
    return answer.headers.get("Idempotent-Replayed") == "true"


def assert_replayed(again, first):
    assert is_replay(again)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["Location"] == first.headers["Location"]


def all_at_once(server, client, count, ask):
    """Answers of `count` clients that ask(client, number) at the same moment."""
    start = threading.Barrier(count)

    def one(number):
        twin = Client(server.url, client.token)
        start.wait()
        return ask(twin, number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


# --- the same request ---------------------------------------------------------------------------------


def test_the_same_key_and_body_answer_the_first_response_again(alice):
    first = keyed(alice, "same")
    assert first.json()["result"] is True and "Idempotent-Replayed" not in first.headers
    for _ in range(3):
        assert_replayed(keyed(alice, "same"), first)
    assert alice.references() == [first.json()["data"]]


@pytest.mark.parametrize("text", [
    '{"parameters": {"Note": "x", "ProductID": "1"}, "reportName": "Quick"}',
    '{"reportName":"Quick","parameters":{"ProductID":"1","Note":"x"}}',
    '\r\n{ "reportName"\t: "Quick",\n  "parameters" : {"Note":"x",  "ProductID":"1"} }\n',
    r'{"reportName": "Qu\u0069ck", "parameters": {"ProductID": "\u0031", "Note": "x"}}',
    '{"REPORTNAME": "Quick", "Parameters": {"ProductID": "1", "Note": "x"}}',
])
def test_order_space_and_escapes_do_not_make_another_body(alice, text):
    first = keyed(alice, "spelling", parameters={"ProductID": "1", "Note": "x"})
    assert_replayed(send(alice, "spelling", text), first)


@pytest.mark.parametrize("text", ['{"reportName": "Typed"}', '{"reportName": "Typed", "parameters": null}'])
def test_no_parameters_are_the_same_as_empty_ones(alice, text):
    first = keyed(alice, "empty", "Typed", {})
    assert_replayed(send(alice, "empty", text), first)


def test_a_replay_tells_the_state_of_now(alice):
    first = keyed(alice, "state")
    alice.finish(first.json()["data"])
    assert keyed(alice, "state").headers["X-Report-State"] == "complete"


def test_a_replay_can_wait_for_the_first_report(alice):
    first = keyed(alice, "slow", "Pause", {"Times": "2"})
    again = keyed(alice, "slow", "Pause", {"Times": "2"}, Prefer="wait=30")
    assert_replayed(again, first)
    assert again.headers["X-Report-State"] == "complete"


def test_a_report_that_failed_is_answered_again_not_run_again(alice):
    first = keyed(alice, "failing", parameters={"ProductID": "99"})
    alice.finish(first.json()["data"])
    again = keyed(alice, "failing", parameters={"ProductID": "99"})
    assert_replayed(again, first)
    assert again.headers["X-Report-State"] == "error"


def test_what_was_accepted_is_answered_again_though_its_definition_is_gone(make_server):
    server = make_server()
    client = server.client("alice")
    first = keyed(client, "withdrawn")
    (server.reports / "Quick.sql").unlink()
    server.reload()
    assert_replayed(keyed(client, "withdrawn"), first)
    refused(keyed(client, "fresh"), "Quick")


# --- another request ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name, parameters", [
    ("Typed", {"Number": "2"}),  # another value
    ("Typed", {"Number": "1", "Text": "x"}),  # one more
    ("Typed", {}),  # one less
    ("Nested", {"Number": "1"}),  # another report, that takes no such parameter
    ("Typed", {"Number": "one"}),  # a value that would be refused
    ("NoSuchReport", {"Number": "1"}),
])
def test_the_same_key_with_another_body_is_a_422(alice, name, parameters):
    first = keyed(alice, "other", "Typed", {"Number": "1"})
    failed(keyed(alice, "other", name, parameters), 422, "Idempotency-Key")
    assert alice.references() == [first.json()["data"]]
    assert_replayed(keyed(alice, "other", "Typed", {"Number": "1"}), first)


def test_the_422_is_one_as_problem_details_too(alice):
    keyed(alice, "problem")
    answer = keyed(alice, "problem", "Nested", {}, Accept="application/problem+json")
    assert answer.status_code == answer.json()["status"] == 422


def test_keys_are_each_users_own(alice, bob):
    first = keyed(alice, "shared")
    other = keyed(bob, "shared", "Nested", {})
    assert other.json()["result"] is True and not is_replay(other)
    assert other.json()["data"] != first.json()["data"]


def test_keys_differ_by_case(alice):
    assert keyed(alice, "k").json()["data"] != keyed(alice, "K").json()["data"]


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there", "ż".encode(), b"\x7f"])
def test_a_malformed_key_is_a_400(alice, key):
    failed(keyed(alice, key), 400, "Idempotency-Key", "control" if key == b"\x7f" else "255")
    assert alice.references() == []


@pytest.mark.parametrize("key", ["k", "k" * 255, "".join(map(chr, range(0x21, 0x7f))), "two words"])
def test_every_other_key_is_accepted(alice, key):
    first = keyed(alice, key)
    assert_replayed(keyed(alice, key), first)


def test_a_refused_request_does_not_use_up_its_key(alice):
    refused(keyed(alice, "second-try", parameters={}))
    refused(keyed(alice, "second-try", "NoSuchReport"))
    answer = keyed(alice, "second-try")
    assert answer.json()["result"] is True and not is_replay(answer)


# --- at the same time ---------------------------------------------------------------------------------


def test_simultaneous_twins_make_one_report(server, alice):
    answers = all_at_once(server, alice, TWINS, lambda twin, _: keyed(twin, "twins"))
    assert {answer.json()["data"] for answer in answers} == set(alice.references())
    assert len(alice.references()) == 1
    assert sum(not is_replay(answer) for answer in answers) == 1


def test_of_simultaneous_bodies_with_one_key_one_wins(server, alice):
    answers = all_at_once(server, alice, TWINS,
                          lambda twin, number: keyed(twin, "rivals", "Typed", {"Number": str(number % 2)}))
    good = [answer for answer in answers if answer.status_code == 200]
    assert len(good) == TWINS // 2
    assert {answer.json()["data"] for answer in good} == set(alice.references())
    assert len(alice.references()) == 1
    for answer in answers:
        if answer not in good:
            failed(answer, 422, "Idempotency-Key")


# --- crashes ------------------------------------------------------------------------------------------


def restart(server, client):
    server.start()
    client.url = server.url


def test_a_key_survives_a_crash(make_server):
    server = make_server()
    client = server.client("alice")
    first = keyed(client, "durable")
    server.kill()
    restart(server, client)
    assert_replayed(keyed(client, "durable"), first)
    failed(keyed(client, "durable", "Nested", {}), 422)


@pytest.mark.parametrize("place, accepted", [("store.submit.taken", False), ("store.submit.committed", True)])
def test_a_request_that_a_crash_left_unanswered_can_be_sent_again(make_server, place, accepted):
    server = make_server()
    client = server.client("alice")
    server.stop()
    server.environment["REPORTD_SEAMS"] = f"{place}=crash"
    restart(server, client)
    with pytest.raises(requests.ConnectionError):
        keyed(client, "unanswered")
    server.await_end()
    del server.environment["REPORTD_SEAMS"]
    restart(server, client)
    again = keyed(client, "unanswered")
    assert again.json()["result"] is True and is_replay(again) == accepted
    assert client.references() == [again.json()["data"]]


# --- the end of a key ---------------------------------------------------------------------------------


KEY = "a-key-to-look-for"


def assert_free(server, client, key, reference):
    """Nothing of the key is left, and it makes another report."""
    poll(lambda: not server.holding(key.encode()), what="the end of the key's last byte")
    answer = keyed(client, key, "Nested", {})
    assert answer.json()["result"] is True and not is_replay(answer)
    assert answer.json()["data"] != reference


def test_a_key_goes_with_its_deleted_report(make_server):
    server = make_server()
    client = server.client("alice")
    reference = keyed(client, KEY).json()["data"]
    assert bool(server.holding(KEY.encode())) == server.store.is_readable
    client.delete(reference)
    assert_free(server, client, KEY, reference)


def test_a_key_goes_with_its_purged_report(clock, make_server):
    server = make_server(retention="1h")
    client = server.client("alice")
    reference = keyed(client, KEY).json()["data"]
    client.finish(reference)
    clock.jump(DAY // 24 + SECOND)
    client.login("alice")
    poll(lambda: client.references() == [], what="the purge")
    assert_free(server, client, KEY, reference)


def test_a_key_lasts_a_day_though_its_report_lasts_longer(clock, make_server):
    server = make_server(retention="3d")
    client = server.client("alice")
    first = keyed(client, "day")
    submitted = time_of(client.list().json()["data"]["reports"][0]["submittedAt"])
    client.finish(first.json()["data"])
    clock.jump_to(submitted + DAY - 60 * SECOND)
    client.login("alice")
    clock.jump_to(submitted + DAY - SECOND)
    assert_replayed(keyed(client, "day"), first)
    clock.jump_to(submitted + DAY + SECOND)
    later = keyed(client, "day", "Nested", {})
    assert later.json()["result"] is True and not is_replay(later)
    assert sorted(client.references()) == sorted([first.json()["data"], later.json()["data"]])
    assert_replayed(keyed(client, "day", "Nested", {}), later)
