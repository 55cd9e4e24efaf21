"""Many nodes, one store: the limit, takeover, fencing, deletion from afar, one session for all."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from cluster import LEASE_SECONDS
from conftest import ALICE
from harness import PATIENCE, Client, failed, poll, processes_below, refused

TAKEN_OVER = LEASE_SECONDS * 2 + PATIENCE  # seconds, on a busy machine


def at_once(calls):
    """Run the functions at the same time; returns their results in order, which come soon."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(PATIENCE) for future in [pool.submit(call) for call in calls]]


@pytest.fixture
def cluster(make_cluster):
    return make_cluster()


@pytest.fixture
def alices(cluster):
    return cluster.clients(ALICE)


def test_a_report_submitted_on_one_node_is_watched_read_and_deleted_on_others(alices):
    first, second, third = alices
    reference = first.order("Quick", ProductID="1")
    assert second.finish(reference).json()["data"] == "complete"
    results = [client.result(reference) for client in alices]
    assert len({answer.content for answer in results}) == 1
    assert len({answer.headers["ETag"] for answer in results}) == 1
    part = third.result(reference, {"Range": "bytes=2-9"})
    assert part.status_code == 206 and part.content == results[0].content[2:10]
    assert third.delete(reference).json()["result"] is True
    for client in alices:
        refused(client.status(reference), "no such report")


def test_the_limit_is_exact_across_nodes(make_cluster):
    cluster = make_cluster(workers=1)
    clients = cluster.clients(ALICE)
    answers = at_once([lambda client=client: client.submit("Endless") for client in clients * 8])
    accepted = [answer.json()["data"] for answer in answers if answer.status_code == 200]
    assert len(accepted) == 10
    for answer in answers:
        assert answer.status_code in (200, 429), answer.text
    at_once([lambda r=reference: clients[1].delete(r) for reference in accepted])
    assert cluster.sql("SELECT count(*) FROM report") == ["0"]


def test_a_wait_on_one_node_is_ended_by_another(cluster, alices):
    reference = alices[0].order("Pause")
    answers = at_once([lambda client=client: client.status(reference, {"Prefer": "wait=45"}) for client in alices])
    assert [answer.json()["data"] for answer in answers] == ["complete"] * 3


def test_a_deletion_on_another_node_stops_the_query(cluster, alices):
    reference = alices[0].order("Endless")
    runner = cluster.node_of(reference)
    elsewhere = alices[cluster.nodes.index(cluster.others(runner)[0])]
    poll(lambda: runner.metric("workers_busy") == 1, what="the worker that its node knows of, a moment after the store")
    assert elsewhere.delete(reference).json()["result"] is True
    assert runner.metric("workers_busy") == 0
    assert cluster.row(reference, "state") is None
    assert runner.files_of(reference) == []


def test_a_deletion_on_another_node_stops_a_query_in_postgresql(make_cluster, postgres):
    sleep = '-- report: Sleep\n-- description: Sleeps.\n-- source: data\n\n-- results\nSELECT pg_sleep(600) AS "slept";\n'
    data = postgres.create_database("sleepers")
    cluster = make_cluster(nodes=2, source=postgres.url(data))
    for node in cluster.nodes:
        (node.reports / "Sleep.sql").write_text(sleep)
        node.reload()
    clients = cluster.clients(ALICE)

    def sleeping():
        return cluster.postgres.sql("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' "
                                    f"AND datname = '{data}' AND query LIKE '%pg_sleep%'") == ["1"]

    reference = clients[0].order("Sleep")
    runner = cluster.nodes.index(cluster.node_of(reference))
    poll(sleeping, what="the query")
    assert clients[1 - runner].delete(reference).json()["result"] is True
    assert not sleeping()


def test_two_nodes_delete_one_report_once(cluster, alices):
    for _ in range(5):
        reference = alices[0].order("Endless")
        cluster.node_of(reference)
        answers = at_once([lambda client=client: client.delete(reference) for client in alices])
        assert [answer.json()["result"] for answer in answers].count(True) == 1
        assert cluster.row(reference, "state") is None


def test_the_reports_of_a_killed_node_are_finished_by_the_others(make_cluster):
    cluster = make_cluster(workers=2)
    clients = cluster.clients(ALICE)
    references = [clients[0].order("Pause", Times="3") for _ in range(6)]
    victim = cluster.node_of(references[0])
    left = clients[cluster.nodes.index(cluster.others(victim)[0])]
    victim.kill()
    for reference in references:
        assert left.finish(reference).json()["data"] == "complete"
        assert left.result(reference).status_code == 200
    failures = cluster.sql("SELECT sum(failures) FROM report")
    assert failures == ["0"], "a node's death is not the report's fault"


def test_a_node_that_is_back_within_its_lease_leaves_nothing_of_the_attempt_that_it_was_killed_in(make_cluster):
    cluster = make_cluster(workers=2)
    (client, *_) = cluster.clients(ALICE)
    reference = client.order("Pause", Times="3")
    victim = cluster.node_of(reference)
    left = poll(lambda: victim.files_of(reference), what="what the first attempt writes")
    victim.kill()
    victim.start()
    client = victim.client(ALICE)
    assert client.finish(reference).json()["data"] == "complete"
    assert cluster.row(reference, "attempt") == "2"
    poll(lambda: not set(left) & set(victim.files_of(reference)), what="the end of what the first attempt has left")
    assert len(victim.files_of(reference)) == 1 and victim.run("fsck").returncode == 0


def test_a_node_that_hung_longer_than_its_lease_can_publish_nothing(make_cluster):
    cluster = make_cluster()
    clients = cluster.clients(ALICE)
    reference = clients[0].order("Pause", Times="4")
    victim = cluster.node_of(reference)
    at = cluster.nodes.index(victim)
    others = [client for i, client in enumerate(clients) if i != at]
    workers = processes_below(victim.process.pid)
    victim.process.send_signal(signal.SIGSTOP)
    try:
        poll(lambda: cluster.row(reference, "attempt") == "2", TAKEN_OVER, "the takeover")
        assert others[0].finish(reference).json()["data"] == "complete"
        body = others[0].result(reference).content
        # Its worker has not been stopped and may have finished long ago.
        poll(lambda: all(not os.path.exists(f"/proc/{pid}") or "S" in stat_of(pid) for pid in workers))
    finally:
        victim.process.send_signal(signal.SIGCONT)
    poll(lambda: "node.given_up" in victim.log_text(), what="the news of its death")
    poll(lambda: victim.metric("workers_busy") == 0, what="the end of its work")
    assert cluster.row(reference, "attempt || '|' || state") == "2|2"
    assert clients[at].result(reference).content == body
    poll(lambda: [name.split(".")[1] for name in victim.files_of(reference)] == ["2"], what="the end of its file")
    # It goes on as a new node.
    for client in clients:
        client.complete("Quick", ProductID="1")


def stat_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rpartition(")")[2].split()[0]
    except OSError:
        return "S"


def once_back(ask, reference):
    """What a node answers that may notice only now that it has lost its lease, and says so until it has another."""
    def answered():
        answer = ask(reference)
        return answer if answer.status_code != 503 else None
    return poll(answered, what="a node that is back")


def test_a_report_deleted_while_its_node_hung_is_not_served_by_it(cluster, alices):
    reference = alices[0].order("Endless")
    victim = cluster.node_of(reference)
    at = cluster.nodes.index(victim)
    other = alices[(at + 1) % 3]
    victim.process.send_signal(signal.SIGSTOP)
    try:
        assert other.delete(reference).json()["result"] is True
        assert cluster.row(reference, "state") is None
    finally:
        victim.process.send_signal(signal.SIGCONT)
    refused(once_back(alices[at].status, reference), "no such report")
    refused(once_back(alices[at].result, reference), "no such report")
    poll(lambda: victim.metric("workers_busy") == 0, what="the end of its work")
    assert victim.files_of(reference) == []


def test_idempotency_twins_on_two_nodes_make_one_report(cluster, alices):
    for i in range(10):
        key = {"Idempotency-Key": f"key {i}"}
        answers = at_once([lambda client=client: client.submit("Quick", {"ProductID": "1"}, key)
                           for client in alices])
        assert len({answer.json()["data"] for answer in answers}) == 1
        replayed = [answer.headers.get("Idempotent-Replayed") for answer in answers]
        assert replayed.count("true") == 2
        alices[0].finish(answers[0].json()["data"])
    assert cluster.sql("SELECT count(*) FROM report") == ["10"]


def test_a_session_holds_on_every_node(cluster):
    first, second = cluster.nodes[0].client(ALICE), Client(cluster.nodes[1].url)
    second.token = first.token
    assert second.list().status_code == 200
    answer = second.call("POST", "/User/RefreshToken", json={"refreshToken": first.refresh_token})
    assert answer.status_code == 200
    cluster.age_tokens()
    failed(first.list(), 401)
    third = Client(cluster.nodes[2].url, answer.json()["accessToken"])
    assert third.list().status_code == 200
    # used a second time, on yet another node: the chain ends everywhere
    failed(first.call("POST", "/User/RefreshToken", json={"refreshToken": first.refresh_token}), 401)
    failed(third.list(), 401)


def test_failures_on_several_nodes_lock_one_account_except_where_its_owner_has_logged_in(cluster):
    Client(cluster.nodes[0].url, address="127.0.0.2").login(ALICE)
    wrong = {"username": ALICE, "password": "wrong"}
    for node in cluster.nodes:
        failed(Client(node.url).call("POST", "/User/Login", json=wrong), 401)
    right = {"username": ALICE, "password": "correct horse battery staple"}
    for node in cluster.nodes:
        failed(Client(node.url).call("POST", "/User/Login", json=right), 401)
        Client(node.url, address="127.0.0.2").login(ALICE)


def test_a_node_starts_while_others_run_and_leaves_their_reports_alone(make_cluster):
    cluster = make_cluster(workers=1)
    clients = cluster.clients(ALICE)
    reference = clients[0].order("Ticker")
    runner = cluster.node_of(reference)
    poll(lambda: clients[0].status(reference).headers["X-Report-Rows"] != "0", what="rows")
    other = cluster.others(runner)[0]
    other.stop()
    other.start()
    assert cluster.row(reference, "attempt") == "1"
    assert len(runner.files_of(reference)) == 1
    client = Client(other.url, clients[0].token)
    assert int(client.status(reference).headers["X-Report-Rows"]) > 0
    assert client.delete(reference).json()["result"] is True


def test_a_rolling_restart_loses_nothing(make_cluster):
    cluster = make_cluster(drain_grace="5s")
    clients = cluster.clients(ALICE)
    references = [clients[0].order("Pause") for _ in range(6)]
    for node in cluster.nodes:
        assert node.stop() == 0
        node.start()
    client = cluster.nodes[0].client(ALICE)
    for reference in references:
        assert client.finish(reference).json()["data"] == "complete"
    assert cluster.sql("SELECT max(failures) FROM report") == ["0"]
    assert len(cluster.sql("SELECT id FROM node")) == 3  # who left has said so
