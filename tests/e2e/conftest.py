"""Fixtures: a server for all tests that leave it in order, and fresh ones for the others."""

import pytest

from fake_clock import FakeClock
from cluster import Cluster
from harness import Server
from postgres import Postgres

ALICE, BOB, CAROL = "alice", "bob", "carol"


def close(server):
    if server.process is not None:
        assert server.stop() == 0
    server.check_log()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """Two workers. alice and bob may run every report, carol only Quick."""
    shared = Server.made(tmp_path_factory.mktemp("server"))
    shared.add_user(ALICE)
    shared.add_user(BOB)
    shared.add_user(CAROL, grants=["Quick"])
    shared.start()
    yield shared
    close(shared)


@pytest.fixture(scope="session")
def logged_in(server):
    return {name: server.client(name) for name in (ALICE, BOB, CAROL)}


@pytest.fixture
def alice(logged_in):
    yield logged_in[ALICE]
    logged_in[ALICE].delete_all()


@pytest.fixture
def bob(logged_in):
    yield logged_in[BOB]
    logged_in[BOB].delete_all()


@pytest.fixture
def carol(logged_in):
    yield logged_in[CAROL]
    logged_in[CAROL].delete_all()


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL for all tests; each makes databases of its own in it, and roles of its own names."""
    shared = Postgres()
    yield shared
    shared.close()


@pytest.fixture
def own_postgres():
    """One that the test may stop."""
    own = Postgres()
    yield own
    own.close()


@pytest.fixture
def make_cluster(tmp_path, postgres):
    """Nodes on one PostgreSQL, started, with the user alice: make_cluster(nodes=2)."""
    made = []

    def make(server=postgres, **config):
        cluster = Cluster(tmp_path / f"cluster{len(made)}", server, **config)
        made.append(cluster)
        cluster.add_user(ALICE)
        return cluster.start()

    yield make
    for cluster in made:
        for node in cluster.nodes:
            close(node)
        for proxy in cluster.proxies:
            proxy.close()


@pytest.fixture
def clock(tmp_path, monkeypatch):
    """The clock of the servers that the test makes; ask for it before make_server makes one."""
    path = tmp_path / "clock"
    monkeypatch.setenv("REPORTD_SEAMS_CLOCK", str(path))
    return FakeClock(path)


@pytest.fixture
def make_server(tmp_path):
    """A server of the test's own, started, with the user alice: make_server(workers=1)."""
    made = []

    def make(**config):
        server = Server.made(tmp_path / f"server{len(made)}", **config)
        made.append(server)
        server.add_user(ALICE)
        return server.start()

    yield make
    for server in made:
        close(server)
