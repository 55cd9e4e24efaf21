"""An upgrade of a cluster: nodes restart in turn under reportctl's users, the schema grows under running nodes."""

import itertools
import socket
import subprocess
import threading

import pytest

from cluster import Proxy
from conftest import ALICE
from harness import PATIENCE, REPORTD, poll
from test_nodes_trouble import Load, check_loads, go_on
from test_reportctl import Ctl

USERS = 3


class Balancer(Proxy):
    """What stands before the nodes: each connection goes to the next node that takes it."""

    def __init__(self, nodes):
        self.turns = itertools.cycle(nodes)
        self.count = len(nodes)
        super().__init__(None)

    def connect(self):
        for node in itertools.islice(self.turns, self.count):
            try:
                return socket.create_connection(("127.0.0.1", int(node.url.rpartition(":")[2])))
            except OSError:
                continue
        raise ConnectionRefusedError("no node takes a connection")


class Reader(threading.Thread):
    """Runs reports through reportctl, one after the other; each run must come to a good end."""

    def __init__(self, ctl):
        super().__init__()
        self.ctl = ctl
        self.runs, self.failures, self.results = 0, [], set()
        self.stopping = threading.Event()
        self.start()

    def run(self):
        while not self.stopping.is_set():
            status, out, err = self.ctl("run", "Quick", "ProductID=1")
            self.runs += 1
            self.results.add(out.partition('"results"')[2])
            if status != 0:
                self.failures.append((status, err))


def test_a_rolling_restart_is_hidden_by_the_retries_of_reportctl(make_cluster, tmp_path):
    cluster = make_cluster(drain_grace="1s")
    balancer = Balancer(cluster.nodes)
    readers = []
    try:
        for number in range(USERS):
            home = tmp_path / f"home{number}"
            home.mkdir()
            ctl = Ctl(home, f"http://127.0.0.1:{balancer.port}", ALICE)
            assert ctl.login()[0] == 0
            readers.append(Reader(ctl))
        for node in cluster.nodes * 2:
            assert node.stop() == 0
            node.start()
        poll(lambda: all(reader.runs > 1 for reader in readers), what="two runs of each")
    finally:
        for reader in readers:
            reader.stopping.set()
        for reader in readers:
            reader.join(PATIENCE)
        balancer.close()
    assert [failure for reader in readers for failure in reader.failures] == []
    assert len(set.union(*(reader.results for reader in readers))) == 1
    assert cluster.sql("SELECT count(*) FROM report") == ["0"]  # each run has deleted its own


NEXT_VERSION = """BEGIN;
SELECT pg_advisory_xact_lock(1380996164, -1);
SET LOCAL search_path = reportd;
ALTER TABLE report ADD COLUMN priority bigint NOT NULL DEFAULT 0;
CREATE INDEX report_priority ON report (priority, seq) WHERE state = 0;
CREATE TABLE of_the_next_version (id uuid PRIMARY KEY);
INSERT INTO schema_version SELECT max(version) + 1 FROM schema_version;
COMMIT;"""


def test_running_nodes_go_on_when_the_next_version_has_added_to_the_schema(make_cluster):
    cluster = make_cluster(nodes=2)
    loads = [Load(client, f"load {i}") for i, client in enumerate(cluster.clients(ALICE))]
    go_on(loads, 10)
    cluster.postgres.sql(NEXT_VERSION, cluster.database)
    go_on(loads, 20)
    for load in loads:
        load.stop()
    assert [load.unavailable for load in loads] == [[], []]
    check_loads(cluster, loads)


@pytest.mark.parametrize("verb", [["serve"], ["user", "list"], ["fsck"]])
def test_a_program_older_than_the_schema_says_so(make_cluster, verb):
    cluster = make_cluster(nodes=1)
    cluster.nodes[0].stop()
    cluster.postgres.sql(NEXT_VERSION, cluster.database)
    done = subprocess.run([REPORTD, *verb, "-c", "reportd.conf"], cwd=cluster.nodes[0].folder, capture_output=True,
                          text=True, timeout=PATIENCE, check=False)
    assert done.returncode != 0
    assert "newer than this program" in done.stderr
