"""What the server remembers of tokens and of complete reports is never older than its store."""

import sqlite3
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from fake_clock import SECOND
from harness import PASSWORD, Client, failed, refused

POLLERS = 6
DELETED = 40


def another_connection(client):
    return Client(client.url, client.token)


def remembered(client, count=1):
    """Complete reports that have been asked for, so that the next answer is from memory."""
    references = [client.complete("Quick", ProductID="1") for _ in range(count)]
    for reference in references * 2:
        assert client.state(reference) == "complete"
    return references


def assert_ended(client):
    """The token is refused, on its connection and on a new one."""
    failed(client.list(), 401)
    failed(another_connection(client).list(), 401)


# --- reports --------------------------------------------------------------------------------------


def test_a_deletion_is_seen_at_once_on_every_connection(alice):
    (reference,) = remembered(alice)
    other = another_connection(alice)
    assert other.state(reference) == "complete"
    alice.delete(reference)
    for client in (alice, other, another_connection(alice)):
        refused(client.status(reference), "Unknown reference")


def test_no_poll_that_begins_after_the_answer_to_a_delete_sees_the_report(alice):
    references = remembered(alice, DELETED)
    answered, stop, late = set(), threading.Event(), []

    def poll_all():
        client = another_connection(alice)
        while not stop.is_set():
            for reference in references:
                was_answered = reference in answered
                state = client.state(reference)
                if state is not None and was_answered:
                    late.append((reference, state))

    with ThreadPoolExecutor(POLLERS) as pool:
        polls = [pool.submit(poll_all) for _ in range(POLLERS)]
        try:
            for reference in references:
                assert alice.delete(reference).json()["result"] is True
                answered.add(reference)
            for reference in references:
                refused(another_connection(alice).status(reference), "Unknown reference")
        finally:
            stop.set()
        for done in polls:
            done.result()
    assert late == []


def test_a_remembered_report_is_not_another_user_s(alice, bob):
    (reference,) = remembered(alice)
    refused(bob.status(reference), "Unknown reference")
    assert alice.state(reference) == "complete"


def test_a_remembered_answer_is_the_same_answer(alice):
    reference = alice.complete("Quick", ProductID="1")
    first, second = alice.status(reference), alice.status(reference)
    volatile = ("Date", "X-Request-Id")
    assert first.content == second.content
    assert {k: v for k, v in first.headers.items() if k not in volatile} == \
        {k: v for k, v in second.headers.items() if k not in volatile}
    assert alice.status(reference, {"If-None-Match": first.headers["ETag"]}).status_code == 304
    waited = alice.status(reference, {"Prefer": "wait=5"})
    assert waited.headers["Preference-Applied"] == "wait=5" and waited.content == first.content


def test_what_another_process_removes_is_gone_at_once(make_server):
    server = make_server()
    client = server.client("alice")
    reference, kept = remembered(client, 2)
    db = sqlite3.connect(server.folder / "store.db", timeout=30)
    with db:
        db.execute("UPDATE report SET state = 4 WHERE id = ?", (uuid.UUID(reference).bytes,))
    refused(client.status(reference), "Unknown reference")
    assert client.state(kept) == "complete"
    with db:
        db.execute("UPDATE report SET state = 2 WHERE id = ?", (uuid.UUID(reference).bytes,))
    db.close()
    assert client.state(reference) == "complete"


# --- tokens ---------------------------------------------------------------------------------------


def test_a_refresh_ends_the_remembered_token_at_once(server, alice):
    client = server.client("alice")
    other = another_connection(client)
    assert client.list().status_code == other.list().status_code == 200
    answer = client.call("POST", "/User/RefreshToken", json={"refreshToken": client.refresh_token})
    assert answer.status_code == 200
    assert client.list().status_code == other.list().status_code == 200  # for 30 s, but nobody remembers it
    server.store.age_tokens()
    assert_ended(client)
    failed(other.list(), 401)
    assert Client(server.url, answer.json()["accessToken"]).list().status_code == 200


def test_a_stolen_refresh_token_ends_the_remembered_session_at_once(server, alice):
    client = server.client("alice")
    old = client.refresh_token
    answer = client.call("POST", "/User/RefreshToken", json={"refreshToken": old})
    thief = Client(server.url, answer.json()["accessToken"])
    assert thief.list().status_code == thief.list().status_code == 200
    server.store.age_tokens()
    failed(thief.call("POST", "/User/RefreshToken", json={"refreshToken": old}), 401)
    assert_ended(thief)


@pytest.mark.parametrize("verb", ["passwd", "disable"])
def test_a_change_by_reportd_user_ends_the_remembered_sessions_at_once(make_server, verb):
    server = make_server()
    client = server.client("alice")
    (reference,) = remembered(client)
    server.user(verb, "alice", stdin=PASSWORD + "\n" if verb == "passwd" else "")
    failed(client.status(reference), 401)
    assert_ended(client)


def test_a_revoked_grant_holds_at_once(make_server):
    server = make_server()
    client = server.client("alice")
    remembered(client)
    server.user("revoke", "alice", "*")
    failed(client.submit("Quick", {"ProductID": "1"}), 403)
    server.user("grant", "alice", "Quick")
    client.complete("Quick", ProductID="1")


def test_a_remembered_token_expires(clock, make_server):
    server = make_server()
    client = server.client("alice")
    (reference,) = remembered(client)
    clock.jump(19 * 60 * SECOND)
    assert client.state(reference) == "complete"
    clock.jump(2 * 60 * SECOND)
    failed(client.status(reference), 401)
    assert_ended(client)


def test_a_remembered_token_is_remembered_whole(alice):
    """Not its beginning, not its signature."""
    assert alice.list().status_code == 200
    head, payload, signature = alice.token.split(".")
    for forged in (f"{head}.{payload}.{signature[:-2]}", f"{head}.{payload[:-2]}.{signature}",
                   f"{head}.{payload}.", alice.token + "A"):
        failed(Client(alice.url, forged).list(), 401)


def test_two_requests_never_have_the_same_id(alice):
    ids = [alice.list().headers["X-Request-Id"] for _ in range(300)]
    assert len(set(ids)) == 300 and all(str(uuid.UUID(id)) == id for id in ids)
