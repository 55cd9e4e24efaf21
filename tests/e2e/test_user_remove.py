"""reportd user remove: the user, its sessions and its reports are gone when it returns, with a server or without one."""


import pytest

from cluster import LEASE
from conftest import close
from events import Events
from harness import PASSWORD, PATIENCE, Client, Server, poll
from places import traces
from seams import DEATH, plan
from stores import STORES, store_of
from test_erasure import complete, error, new_marker, prepare, processing, queued, small
from test_links import is_dead, link_of

pytestmark = pytest.mark.stores(*STORES)


@pytest.fixture
def own_server(tmp_path, store_kind, shared_postgres):
    """With its users and definitions; not started yet."""
    server = Server.made(tmp_path / "own", store_of(store_kind, shared_postgres), row_results="16K", lease=LEASE)
    prepare(server)
    yield server
    close(server)


class Leaver:
    """A user with a name that is nowhere else, and reports in these states."""

    def __init__(self, server, *makes):
        self.server, self.name = server, new_marker("leaver")
        server.add_user(self.name)
        self.client = server.client(self.name)
        self.markers = [new_marker() for _ in makes]
        self.references = [make(self.client, marker) for make, marker in zip(makes, self.markers)]

    def left(self):
        """Where something is: of the reports, or the name."""
        return self.server.holding(*traces(self.name, *self.markers, *self.references))

    def assert_gone(self):
        poll(lambda: not self.left(), what=lambda: f"the end of what is in {self.left()}")
        assert self.name not in self.server.user("list")

    def remove(self):
        return self.server.user("remove", self.name.upper())


def test_nothing_is_left_of_a_user_whose_reports_are_in_every_state(shared):
    bob = shared.client_of("bob")
    other = bob.complete("Quick", ProductID="1")
    leaver = Leaver(shared, complete, small, error, queued)
    link = link_of(leaver.client, leaver.references[0])
    assert leaver.left()
    with Events(leaver.client) as events:
        poll(lambda: events.seen)
        assert "with 6 reports" in leaver.remove()  # and those that hold the workers
        leaver.assert_gone()
        poll(lambda: events.ended, what="the end of the stream")
    assert is_dead(link)
    assert leaver.client.get("/User/Me").status_code == 401
    assert Client(shared.url).call("POST", "/User/Login", json={"username": leaver.name, "password": PASSWORD}).status_code == 401
    assert bob.state(other) == "complete" and bob.delete(other).json()["result"] is True
    shared.await_log("user.removed")


def test_without_a_server_the_command_deletes_by_itself(own_server):
    server = own_server.start()
    leaver = Leaver(server, complete, small, error, processing)
    server.stop()
    assert "with 4 reports" in leaver.remove()
    leaver.assert_gone()
    assert server.files() == []
    server.start()
    assert server.client("alice").complete("Quick", ProductID="1")


def test_a_server_that_is_killed_meanwhile_leaves_the_rest_to_the_command(own_server):
    server = own_server
    plan(server, "deletion.purge.recorded=crash")
    server.start()
    leaver = Leaver(server, complete, processing)
    assert leaver.remove()
    leaver.assert_gone()
    assert server.process.wait(PATIENCE) == DEATH
    server.kill()
    plan(server)
    server.start()


def test_a_command_that_is_killed_leaves_the_rest_to_the_next_start(own_server):
    server = own_server.start()
    leaver = Leaver(server, complete, processing)
    server.kill()
    done = server.run("user", "remove", "-c", "reportd.conf", leaver.name, environment={"REPORTD_SEAMS": "user.remove.marked=crash"})
    assert done.returncode == DEATH and leaver.left()
    for words in (["enable", leaver.name], ["limit", leaver.name, "--active", "3"]):
        assert "There is no user" in server.run("user", words[0], "-c", "reportd.conf", *words[1:]).stderr
    assert "being removed" in server.run("user", "add", "-c", "reportd.conf", leaver.name, stdin=PASSWORD + "\n").stderr
    assert "removing" in server.user("list")
    server.start()
    leaver.assert_gone()


def test_on_every_node_the_user_is_dead_when_the_command_returns(make_cluster):
    cluster = make_cluster(nodes=2)
    cluster.add_user("leaver")
    clients = cluster.clients("leaver")
    references = [clients[0].complete("Quick", ProductID="1"), *(clients[0].order("Endless") for _ in range(2)), clients[1].order("Quick", ProductID="1")]
    for reference in references[1:3]:  # a worker of each node is held
        clients[1].wait_for(reference, "processing")
    with Events(clients[0]) as first, Events(clients[1]) as second:
        poll(lambda: first.seen and second.seen)
        assert "with 4 reports" in cluster.nodes[1].user("remove", "leaver")
        for client in clients:
            assert client.get("/User/Me").status_code == 401
            assert all(client.status(reference).status_code == 401 for reference in references)
            assert Client(client.url).call("POST", "/User/Login", json={"username": "leaver", "password": PASSWORD}).status_code == 401
        assert cluster.sql("SELECT count(*) FROM report") == cluster.sql("SELECT count(*) FROM session") == ["0"]
        poll(lambda: first.ended and second.ended, what="the end of both streams")
    for node in cluster.nodes:
        assert node.client("alice").complete("Quick", ProductID="1")


def test_who_gets_the_name_again_is_another_user(shared):
    leaver = Leaver(shared)
    key = {"Idempotency-Key": new_marker("key")}
    with Events(leaver.client) as events:
        first = leaver.client.submit("Quick", {"ProductID": "1"}, key).json()["data"]
        events.wait_for(first, "complete")
        last_id = events.last_id
    refresh = leaver.client.refresh_token
    before = shared.store.sql("SELECT max(id) FROM " + ("user" if shared.store.kind == "sqlite" else "account"))[0]
    leaver.remove()
    shared.add_user(leaver.name)
    client = shared.client(leaver.name)
    assert int(shared.store.sql("SELECT max(id) FROM " + ("user" if shared.store.kind == "sqlite" else "account"))[0]) > int(before)
    assert leaver.client.get("/User/Me").status_code == 401
    answer = Client(shared.url, token=leaver.client.token).call("POST", "/User/RefreshToken", json={"refreshToken": refresh})
    assert answer.status_code == 401
    assert client.references() == [] and client.state(first) != "complete"
    with Events(client, last_id) as events:
        second = client.submit("Quick", {"ProductID": "2"}, key).json()["data"]
        events.wait_for(second, "complete")
        assert second != first and not events.of(first)
    shared.user("remove", leaver.name)


def test_a_name_that_nobody_has_is_not_removed(shared):
    done = shared.run("user", "remove", "-c", "reportd.conf", "nobody")
    assert done.returncode == 1 and "There is no user 'nobody'" in done.stderr
