"""Nodes whose clock is wrong: what the store keeps goes by the database's, so nothing goes early and nothing stays."""

import base64
import json
import time
from email.utils import parsedate_to_datetime

import pytest

from conftest import ALICE
from fake_clock import DAY, HOUR, SECOND, FakeClock, time_of
from harness import Client, poll

AHEAD, BEHIND = 25 * HOUR, -25 * HOUR
MINUTE = 60 * SECOND
ABOUT = 5 * MINUTE  # on a busy machine


def is_about(when, expected):
    assert abs(when - expected) < ABOUT, (when, expected)


def now():
    return time.time() * 1000


def skew(node, by):
    """Restart it with a clock of its own, which is returned."""
    if node.process is not None:
        node.stop()
    path = node.folder / "skew"
    clock = FakeClock(path)
    clock.jump(by)
    node.environment["REPORTD_SEAMS_SKEW"] = str(path)
    node.start()
    return clock


@pytest.fixture
def cluster(make_cluster):
    """Its first node is ahead, the second is behind, the third is right."""
    cluster = make_cluster()
    cluster.clocks = [skew(node, by) for node, by in zip(cluster.nodes, (AHEAD, BEHIND))]
    return cluster


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.mark.parametrize("by", [AHEAD, BEHIND])
def test_a_node_whose_clock_is_wrong_purges_what_has_expired_and_nothing_else(make_cluster, by):
    cluster = make_cluster(nodes=2)
    right, wrong = cluster.nodes
    client = right.client(ALICE)
    key = {"Idempotency-Key": "kept"}
    kept = [client.submit("Quick", {"ProductID": "1"}, key).json()["data"], client.order("Quick", ProductID="2")]
    expired = client.order("Quick", ProductID="1")
    for reference in [*kept, expired]:
        client.finish(reference)
    right.stop()
    wrong.stop()
    ago = int(now()) - 10 * SECOND
    cluster.sql(f"UPDATE report SET expires_ms = {ago} WHERE id = '{expired}'")
    cluster.sql("INSERT INTO session (id, user_id, access, refresh_hash, expires_ms) "
                f"SELECT gen_random_uuid(), id, gen_random_uuid(), '', {ago} FROM account")
    skew(wrong, by)
    poll(lambda: cluster.row(expired, "state") is None, what="the purge")
    poll(lambda: cluster.sql(f"SELECT count(*) FROM session WHERE expires_ms = {ago}") == ["0"], what="the sweep")
    client = Client(wrong.url, client.token)  # its session is there
    for reference in kept:
        assert client.result(reference).status_code == 200
    assert client.submit("Quick", {"ProductID": "1"}, key).json()["data"] == kept[0]


def test_times_are_right_on_whatever_node(cluster):
    for client in cluster.clients(ALICE):
        for reader in cluster.clients(ALICE):
            reference = client.complete("Quick", ProductID="1")
            result = reader.result(reference)
            expires = parsedate_to_datetime(result.headers["Expires"]).timestamp() * 1000
            is_about(expires, now() + DAY)
            is_about(time_of(result.json()["data"]["generatedDate"]), now())
            report = next(one for one in reader.list().json()["data"]["reports"] if one["reference"] == reference)
            for name in ("submittedAt", "startedAt", "finishedAt"):
                is_about(time_of(report[name]), now())
            reader.delete(reference)


def test_a_token_of_any_node_holds_on_all(cluster):
    for issuer in cluster.nodes:
        client = issuer.client(ALICE)
        claim = claims(client.token)
        is_about(claim["iat"] * 1000, now())
        for node in cluster.nodes:
            assert Client(node.url, client.token).references() == []


def test_a_node_tells_that_its_clock_is_wrong_once_and_when_it_is_right_again(cluster):
    ahead, behind, right = cluster.nodes

    def told(node, *words):
        return [line for line in node.log_text().splitlines() if "node.clock" in line and all(w in line for w in words)]

    for node, by in ((ahead, AHEAD), (behind, BEHIND)):
        poll(lambda node=node: told(node, " warn "), what="the warning")
        (line,) = told(node)
        is_about(int(line.partition("ahead_ms=")[2].split()[0]), by)
        is_about(node.metric("clock_ahead_seconds") * SECOND, by)
    cluster.clocks[0].jump(-AHEAD)
    poll(lambda: told(ahead, " info "), what="the good news")
    assert len(told(ahead)) == 2
    cluster.clocks[0].jump(-HOUR)
    poll(lambda: len(told(ahead, " warn ")) == 2, what="another warning")
    assert told(right) == []
    assert abs(right.metric("clock_ahead_seconds") * SECOND) < ABOUT


def test_nodes_give_a_token_a_minute_of_leeway(clock, make_cluster):
    cluster = make_cluster(nodes=2)
    client, other = cluster.clients(ALICE)
    expires = claims(client.token)["exp"] * SECOND
    clock.jump_to(expires + 20 * SECOND)
    assert client.get("/Report/List").status_code == 200
    assert other.get("/Report/List").status_code == 200
    clock.jump_to(expires + 61 * SECOND)
    assert client.get("/Report/List").status_code == 401
    assert other.get("/Report/List").status_code == 401
