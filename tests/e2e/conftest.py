"""Fixtures: a server for all tests that leave it in order, and fresh ones for the others.

Each on the store that the test's mark names, SQLite if there is none: stores.py tells how."""

import ctypes
import os
import signal
import uuid

import pytest

from fake_clock import FakeClock
from cluster import Cluster
from harness import PASSWORD, Server
from postgres import Postgres
from stores import SLOW_STORE, store_of

ALICE, BOB, CAROL = "alice", "bob", "carol"
OPERATOR = "olga"


def pytest_configure(config):
    os.umask(0o022)  # reportd refuses what group or others may write
    for number in (signal.SIGINT, signal.SIGQUIT):  # a shell may start what runs in the background with these ignored
        if signal.getsignal(number) == signal.SIG_IGN:
            ctypes.CDLL(None).signal(number, 0)  # SIG_DFL; a worker of xdist need not be in the main thread, as Python's own wants it
    config.addinivalue_line("markers", "slow: for `make check-slow`, which installs what these tests need")
    config.addinivalue_line("markers", "stores(*kinds): run once on each of these stores: stores.py")


def pytest_generate_tests(metafunc):
    """The mark `stores`, unless the test itself says which of its cases are for which store. Those of SLOW_STORE are slow."""
    mark = metafunc.definition.get_closest_marker("stores")
    own = [own for own in metafunc.definition.iter_markers("parametrize") if "store_kind" in own.args[0]]
    if mark and not own and "store_kind" in metafunc.fixturenames:
        slow = pytest.mark.slow
        kinds = [pytest.param(kind, marks=slow) if kind == SLOW_STORE and len(mark.args) > 1 else kind for kind in mark.args]
        metafunc.parametrize("store_kind", kinds, indirect=True)


def close(server):
    if server.process is not None:
        status = server.stop()
        assert status == 0, server.log_text()[-4000:]
    server.check_log()
    server.store.close()


class SharedServers(dict):
    """By the kind of store: a server that `prepare` gave its users and definitions, started when first used."""

    def __init__(self, folder, postgres, prepare, **config):
        self.folder, self.postgres, self.prepare, self.config = folder, postgres, prepare, config

    def make(self, kind):
        return Server.made(self.folder / kind, store_of(kind, self.postgres), **self.config)

    def __missing__(self, kind):
        server = self.make(kind)
        self.prepare(server)
        self[kind] = server.start()
        return server

    def close(self):
        for server in self.values():
            close(server)


def add_users(server):
    """alice and bob may run every report, carol only Quick."""
    for name, grants in ((ALICE, "*"), (BOB, "*"), (CAROL, "Quick")):
        server.add_user(name, grants=[grants])


@pytest.fixture(scope="session")
def shared_postgres():
    """Call it for the PostgreSQL of all tests, which is started when it is first needed."""
    made = []

    def get():
        if not made:
            made.append(Postgres())
        return made[0]

    yield get
    for server in made:
        server.close()


@pytest.fixture(scope="session")
def postgres(shared_postgres):
    """A PostgreSQL for all tests; each makes databases of its own in it, and roles of its own names."""
    return shared_postgres()


@pytest.fixture(scope="session")
def shared_servers(tmp_path_factory, shared_postgres):
    shared = SharedServers(tmp_path_factory.mktemp("servers"), shared_postgres, add_users)
    yield shared
    shared.close()


@pytest.fixture
def store_kind(request):
    """The name of the store: the mark `stores`, stores.py."""
    return getattr(request, "param", "sqlite")


@pytest.fixture
def server(shared_servers, store_kind):
    """The server on this store for all tests that leave it in order; it has two workers."""
    return shared_servers[store_kind]


@pytest.fixture(scope="module")
def module_servers(request, tmp_path_factory, shared_postgres):
    """Those of one file of tests, whose prepare() gives them users and definitions."""
    servers = SharedServers(tmp_path_factory.mktemp("module"), shared_postgres, request.module.prepare, row_results="16K")
    yield servers
    servers.close()


@pytest.fixture
def shared(module_servers, store_kind):
    return module_servers[store_kind]


def user_fixture(name):
    @pytest.fixture
    def user(server):
        client = server.client_of(name)
        yield client
        client.delete_all()

    return user


alice, bob, carol = user_fixture(ALICE), user_fixture(BOB), user_fixture(CAROL)


@pytest.fixture
def olga(server):
    """An operator who may run nothing."""
    if not any(line.startswith(OPERATOR) for line in server.user("list").splitlines()):
        server.user("add", OPERATOR, "--operator", stdin=PASSWORD + "\n")
    return server.client(OPERATOR)


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
        if cluster.postgres is postgres:
            postgres.drop_database(cluster.database)


@pytest.fixture
def clock(tmp_path, monkeypatch):
    """The clock of the servers that the test makes; ask for it before make_server makes one."""
    path = tmp_path / "clock"
    monkeypatch.setenv("REPORTD_SEAMS_CLOCK", str(path))
    return FakeClock(path)


@pytest.fixture
def new_server(tmp_path, store_kind, shared_postgres):
    """A server of the test's own with the user alice, not started: new_server(workers=1)."""
    made = []

    def make(**config):
        server = Server.made(tmp_path / f"server{len(made)}", store_of(store_kind, shared_postgres), **config)
        made.append(server)
        server.add_user(ALICE)
        return server

    yield make
    for server in made:
        close(server)


@pytest.fixture
def make_server(new_server):
    """The same, started."""
    return lambda **config: new_server(**config).start()


@pytest.fixture
def dora(server):
    """A user whom a test may lock, disable or log out."""
    name = f"dora{uuid.uuid4().hex}"
    server.add_user(name)
    return name
