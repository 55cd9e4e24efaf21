"""A node that is drained starts no report: what runs there ends, the others take the queue over."""

import signal
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import ALICE
from events import Events
from harness import PASSWORD, Client, failed, poll
from stores import STORES
from test_forms import SlowForm, whole
from test_links import follow, link_of
from test_nodes_definitions import definition, give, rows
from test_reportctl import Ctl

OPERATOR = "olga"
CLOSE = "Connection: close\r\n"


def operator(server):
    server.user("add", OPERATOR, "--operator", stdin=PASSWORD + "\n")
    return server.client(OPERATOR)


def nodes(client):
    return client.get("/Admin/Overview").json()["data"]["nodes"]


def set_draining(client, node, draining):
    answer = client.call("POST", "/Admin/Queue", json={"paused": draining, "node": node})
    assert answer.status_code == 200, answer.text


def test_a_drained_node_starts_nothing_and_the_others_take_over_the_queue(make_cluster):
    cluster = make_cluster(nodes=2, workers=2)
    olga, alice = operator(cluster.nodes[0]), cluster.nodes[0].client(ALICE)

    def running():
        return {node["id"]: node["running"] for node in nodes(olga)}

    there = alice.order("Endless")
    alice.wait_for(there, "processing")
    drained = next(node for node, count in running().items() if count == 1)
    other = next(node for node in running() if node != drained)
    set_draining(olga, drained, True)
    assert {node["id"]: node["draining"] for node in nodes(olga)} == {drained: True, other: False}
    for _ in range(2):
        alice.order("Endless")
    poll(lambda: running() == {drained: 1, other: 2}, what="the other node running both")
    waiting = alice.order("Quick", ProductID="1")  # a worker of the drained node has nothing to do
    assert alice.state(waiting) == "queued" and alice.state(there) == "processing"
    alice.delete(alice.references()[1])
    assert alice.finish(waiting).json()["data"] == "complete" and running() == {drained: 1, other: 1}
    set_draining(olga, other, True)
    waiting = alice.order("Quick", ProductID="1")
    assert alice.state(waiting) == "queued"
    set_draining(olga, drained, False)
    assert alice.finish(waiting).json()["data"] == "complete"
    assert {node["id"]: node["draining"] for node in nodes(olga)} == {drained: False, other: True}
    host = socket.gethostname()
    failed(olga.call("POST", "/Admin/Queue", json={"paused": True, "node": host}), 400, "exactly one node", host)
    alice.delete_all()


@pytest.mark.stores(*STORES)
def test_a_restart_ends_a_drain_and_so_does_the_operator(make_server, tmp_path):
    server = make_server()
    olga, alice = operator(server), server.client(ALICE)
    host = socket.gethostname()
    ctl = Ctl(tmp_path, server.url, OPERATOR)
    assert ctl.login()[0] == 0
    for word in ("drain", "undrain"):
        status, _, err = ctl("admin", word)
        assert status == 2 and "name a node" in err
    assert ctl.good("admin", "drain", host) == "draining" and ctl.good("admin", "drain", host) == "draining"
    assert ", draining" in ctl.good("admin", "overview")
    waiting = alice.order("Quick", ProductID="1")  # it accepts them as before
    assert Client(server.url).get("/Common/HealthCheck").status_code == 200
    assert alice.state(waiting) == "queued"
    assert ctl.good("admin", "undrain", host) == "in use again"
    alice.wait_for(waiting, "complete")
    set_draining(olga, nodes(olga)[0]["host"], True)
    waiting = alice.order("Quick", ProductID="1")
    server.stop()
    server.start()
    alice, olga = server.client(ALICE), server.client(OPERATOR)
    alice.wait_for(waiting, "complete")
    poll(lambda: [node["draining"] for node in nodes(olga)] == [False], what="the node alone, not draining")


def test_two_nodes_that_drain_each_other_at_once_both_drain_until_that_ends(make_cluster):
    cluster = make_cluster(nodes=2)
    operator(cluster.nodes[0])
    clients = [node.client(OPERATOR) for node in cluster.nodes]
    ids = [cluster.sql(f"SELECT id FROM node WHERE host LIKE '%:{node.process.pid}'")[0] for node in cluster.nodes]
    alice = cluster.nodes[0].client(ALICE)
    running = [alice.order("Endless") for _ in ids]
    for reference in running:
        alice.wait_for(reference, "processing")
    with ThreadPoolExecutor(2) as pool:
        for draining in (True, True, False):
            list(pool.map(set_draining, clients, reversed(ids), [draining] * 2))
            assert [node["draining"] for client in clients for node in nodes(client)] == [draining] * 4
            if draining:
                waiting = alice.order("Quick", ProductID="1")
                assert alice.state(waiting) == "queued"
                assert [alice.state(reference) for reference in running] == ["processing"] * 2
            else:
                for reference in running:
                    alice.delete(reference)
                assert alice.finish(waiting).json()["data"] == "complete"
    alice.delete_all()


@pytest.mark.stores(*STORES)
def test_links_conversions_and_streams_go_on_while_a_node_drains(make_server):
    server = make_server(workers=1)
    olga, alice = operator(server), server.client(ALICE)
    done = alice.complete("Big", Rows="30000")
    expected, link, slow = whole(alice, done, "csv"), link_of(alice, done, format="csv"), SlowForm.begin(alice, done, "csv", CLOSE)
    (node,) = nodes(olga)
    with Events(alice) as events:
        running = alice.order("Endless")
        alice.wait_for(running, "processing")
        for _ in range(2):
            set_draining(olga, node["host"], True)
        waiting = alice.order("Quick", ProductID="1")
        poll(lambda: events.of(waiting), what="an event of what waits")
        alice.delete(running)  # the last that runs: the drain has nothing to wait for
        poll(lambda: [one["running"] for one in nodes(olga)] == [0], what="the end of what runs")
        got, broken = slow.rest()
        assert not broken and got.endswith(b"0\r\n\r\n")
        assert follow(link).text == expected and follow(link_of(alice, done, format="csv")).text == expected
        set_draining(olga, node["host"], True)
        assert alice.state(waiting) == "queued" and not events.ended
    with SlowForm.begin(alice, done, "csv", CLOSE).socket, Events(alice) as events:
        assert server.stop() == 0  # they do not hold it up
        poll(lambda: events.ended, what="the end of the stream")
    server.start()
    assert server.client(ALICE).finish(waiting).json()["data"] == "complete"


def test_a_node_that_was_given_up_stays_drained(make_cluster):
    cluster = make_cluster(nodes=2)
    lost, other = cluster.nodes
    olga, alice = operator(other), other.client(ALICE)
    set_draining(olga, cluster.sql(f"SELECT id FROM node WHERE host LIKE '%:{lost.process.pid}'")[0], True)
    lost.process.send_signal(signal.SIGSTOP)
    poll(lambda: cluster.sql("SELECT count(*) FROM node") == ["1"], what="the end of its lease")
    lost.process.send_signal(signal.SIGCONT)
    poll(lambda: sorted(node["draining"] for node in nodes(olga)) == [False, True], what="the node, drained as before")
    running = [alice.order("Endless") for _ in range(2)]
    alice.wait_for(running[0], "processing")
    lost.await_log("node.given_up")
    assert alice.state(running[1]) == "queued"
    alice.delete_all()


def test_what_only_the_drained_node_has_the_version_of_runs_elsewhere(make_cluster):
    cluster = make_cluster(nodes=2)
    newer, drained = cluster.nodes
    olga, alice = operator(newer), newer.client(ALICE)
    for node in cluster.nodes:
        give(node, definition())
    busy = [alice.order("Endless") for _ in range(2)]
    for reference in busy:
        alice.wait_for(reference, "processing")
    waiting = alice.order("New")
    give(newer, definition(rows='SELECT 2 AS "version"'))
    set_draining(olga, cluster.sql(f"SELECT id FROM node WHERE host LIKE '%:{drained.process.pid}'")[0], True)
    alice.delete(next(reference for reference in busy if cluster.node_of(reference) is newer))
    assert alice.finish(waiting).json()["data"] == "complete"
    assert rows(alice, waiting) == [{"version": 2}]
    alice.delete_all()


def test_what_cannot_be_drained_is_explained(make_server):
    olga = operator(make_server())
    for body in ({"paused": True, "node": 1}, {"paused": True, "node": "nowhere"}, {"node": "nowhere"},
                 {"paused": True, "node": socket.gethostname(), "source": "data"}):
        failed(olga.call("POST", "/Admin/Queue", json=body), 400)
