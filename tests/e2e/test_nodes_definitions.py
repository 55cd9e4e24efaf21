"""Nodes that differ: a report runs on a node that has its definition, as it was accepted; else it waits, then ends."""

import pytest

from cluster import LEASE_SECONDS
from conftest import ALICE
from harness import PATIENCE, poll, refused

STRAY = LEASE_SECONDS * 7 + PATIENCE  # seconds until nobody waits for a node any more; on a busy machine
MANY = 40


def definition(name="New", rows="SELECT 1 AS \"version\"", source="data", head=""):
    return f"-- report: {name}\n-- description: It is new.\n-- source: {source}\n{head}\n-- results\n{rows};\n"


def give(node, text, name="New", broken=0):
    (node.reports / f"{name}.sql").write_text(text)
    node.reload(broken)


def take(node, name="New"):
    (node.reports / f"{name}.sql").unlink()
    node.reload()


def runners(cluster, references):
    """Who ran them, from the nodes' logs."""
    return [node for node in cluster.nodes
            if any(f"reference={reference} user=alice state=processing" in node.log_text() for reference in references)]


def rows(client, reference):
    return client.result(reference).json()["data"]["results"]


@pytest.fixture
def cluster(make_cluster):
    return make_cluster(active_limit=100)


@pytest.fixture
def clients(cluster):
    return cluster.clients(ALICE)


def test_during_a_roll_out_reports_run_where_their_definition_is(cluster, clients):
    first = cluster.nodes[0]
    give(first, definition())
    for client in clients[1:]:
        refused(client.submit("New"), "Unknown report")
    references = [clients[0].order("New") for _ in range(MANY)]
    old = [clients[1].order("Quick", ProductID="1") for _ in range(MANY)]
    for reference in references + old:
        assert clients[1].finish(reference).json()["data"] == "complete"
    assert runners(cluster, references) == [first]
    assert len(runners(cluster, old)) > 1, "what all nodes can run does not wait behind what they cannot"


def test_a_reload_changes_what_a_node_takes(cluster, clients):
    first, second, third = cluster.nodes
    give(first, definition())
    give(second, definition())
    busy = [clients[0].order("Endless") for _ in range(3)]
    for reference in busy:
        clients[0].wait_for(reference, "processing")
    waiting = clients[0].order("New")
    take(first)
    give(third, definition())
    take(second)
    for reference in busy:
        assert clients[0].delete(reference).json()["result"] is True
    assert clients[1].finish(waiting).json()["data"] == "complete"
    assert runners(cluster, [waiting]) == [third]


def test_a_report_is_run_by_the_version_that_took_it(cluster, clients):
    """The old one does not know the parameter, and would give other rows."""
    new = definition(rows='SELECT 2 AS "version", :Much AS "much"', head="-- parameter: Much integer required\n")
    for node in cluster.nodes:
        give(node, definition())
    give(cluster.nodes[0], new)
    references = [clients[0].order("New", Much="7") for _ in range(MANY // 2)]
    old = [clients[1].order("New") for _ in range(MANY // 2)]
    for reference in references + old:
        assert clients[1].finish(reference).json()["data"] == "complete", clients[1].status(reference).text
    assert all(rows(clients[2], reference) == [{"version": 2, "much": 7}] for reference in references)
    assert all(rows(clients[2], reference) == [{"version": 1}] for reference in old)


def test_a_version_that_no_node_has_any_more_gives_way_to_the_one_there_is(cluster, clients):
    for node in cluster.nodes:
        give(node, definition())
    busy = [clients[0].order("Endless") for _ in range(3)]
    for reference in busy:
        clients[0].wait_for(reference, "processing")
    waiting = clients[0].order("New")
    for node in cluster.nodes:
        give(node, definition(rows='SELECT 2 AS "version"'))
    for reference in busy:
        clients[0].delete(reference)
    poll(lambda: clients[0].state(waiting) == "complete", STRAY, what="another version")
    assert rows(clients[0], waiting) == [{"version": 2}]


def test_a_report_whose_definition_no_node_has_waits_for_one_and_then_ends_in_error(cluster, clients):
    give(cluster.nodes[0], definition())
    busy = [clients[0].order("Endless") for _ in range(3)]
    for reference in busy:
        clients[0].wait_for(reference, "processing")
    waiting = clients[0].order("New")
    take(cluster.nodes[0])
    for reference in busy:
        clients[0].delete(reference)
    assert clients[1].finish(clients[1].order("Quick", ProductID="1")).json()["data"] == "complete"
    assert clients[1].state(waiting) == "queued"
    poll(lambda: clients[1].state(waiting) == "error", STRAY, what="the end")
    refused(clients[1].result(waiting), "not on offer")
    assert clients[2].delete(waiting).json()["result"] is True
    poll(lambda: cluster.sql("SELECT count(*) FROM missing") == ["0"], what="the note to go")


def test_a_report_waits_for_the_only_node_that_has_its_definition(cluster, clients):
    first = cluster.nodes[0]
    give(first, definition())
    busy = [clients[0].order("Endless") for _ in range(3)]
    for reference in busy:
        clients[0].wait_for(reference, "processing")
    waiting = clients[0].order("New")
    first.kill()
    for reference in busy:
        clients[1].delete(reference)
    first.start()
    assert clients[1].finish(waiting).json()["data"] == "complete"
    assert runners(cluster, [waiting]) == [first]


def test_a_definition_that_is_broken_on_a_node_is_not_there(cluster, clients):
    give(cluster.nodes[0], definition())
    for node in cluster.nodes[1:]:
        give(node, definition(rows=""), broken=1)
    refused(clients[1].submit("New"), "Unknown report")
    references = [clients[0].order("New") for _ in range(MANY // 2)]
    for reference in references:
        assert clients[1].finish(reference).json()["data"] == "complete"
    assert runners(cluster, references) == [cluster.nodes[0]]


def test_a_node_without_the_source_of_a_definition_leaves_it_to_the_others(cluster, clients):
    first = cluster.nodes[0]
    first.stop()
    with open(first.folder / "reportd.conf", "a") as conf:
        conf.write('source more { url = "sqlite:data.db" }\n')
    (first.reports / "New.sql").write_text(definition(source="more"))
    first.start()
    client = first.client(ALICE)
    for node in cluster.nodes[1:]:
        give(node, definition(source="more"), broken=1)
    references = [client.order("New") for _ in range(MANY // 2)]
    for reference in references:
        assert clients[1].finish(reference).json()["data"] == "complete"
    assert runners(cluster, references) == [first]


def test_on_an_embedded_store_a_report_whose_definition_has_gone_ends_at_once(make_server):
    server = make_server(workers=1)
    client = server.client(ALICE)
    give(server, definition())
    busy = client.order("Endless")
    client.wait_for(busy, "processing")
    waiting = client.order("New")
    take(server)
    client.delete(busy)
    assert client.finish(waiting).json()["data"] == "error"
    refused(client.result(waiting), "not on offer")


def test_a_short_retention_holds_though_the_node_that_ran_it_is_dead(cluster, clients):
    """The others look now and then for what a dead node has left to be purged."""
    for node in cluster.nodes:
        give(node, definition(head="-- retention: 5s"))
    reference = clients[0].complete("New")
    (runner,) = runners(cluster, [reference])
    dead = runner.url
    runner.kill()
    survivor = next(client for client in clients if client.url != dead)
    poll(lambda: reference not in survivor.references(), what="the purge by a survivor")
    poll(lambda: not cluster.row(reference, "state"), what="the end of its row")
