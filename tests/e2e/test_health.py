"""GET /Common/HealthCheck is 503, within a second, whenever a POST is refused, and when no worker can be started."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from conftest import ALICE, close
from disks import Disk, MiB, own_mounts
from harness import PATIENCE, REPORTD, SPOOL_MARK, Server, failed, poll

ANSWERS_WITHIN = 5  # seconds: what a client has to allow for on a busy machine; the server's own bound is 0.9


@pytest.fixture(scope="module")
def mounts():
    if os.geteuid() != 0:
        pytest.skip("mounting file systems takes root")
    own_mounts()


def check(server):
    answer = requests.get(server.url + "/Common/HealthCheck", timeout=ANSWERS_WITHIN)
    body = answer.json()
    if answer.status_code == 200:
        assert body["result"] is True and body["data"]["status"] == "ok"
    else:
        failed(answer, 503)
        assert body["data"] == {"status": "failing"} and int(answer.headers["Retry-After"]) > 0
        assert str(server.folder) not in answer.text
    return answer.status_code


def is_healthy(server):
    return check(server) == 200


def fails(server, client, *reason):
    """The check, a POST, and the log with the reason."""
    assert check(server) == 503
    failed(client.submit("Quick", {"ProductID": "1"}), 503)

    def is_logged(word):
        return any("http.error" in line and word in line for line in server.log_text().splitlines())

    for word in reason:
        poll(lambda: is_logged(word), what=f"{word} in the log")


def works(server, client):
    poll(lambda: is_healthy(server), what="health")
    client.complete("Quick", ProductID="1")


@pytest.fixture
def own(make_server):
    server = make_server(workers=1)
    return server, server.client(ALICE)


def test_many_checks_at_once_share_a_probe(own):
    server, _ = own
    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(lambda _: check(server), range(200))) == {200}


@pytest.mark.parametrize("folder", ["spool", "spool/temp"])
def test_a_folder_that_is_missing(own, folder):
    server, client = own
    path = server.folder / folder
    path.rename(server.folder / "away")
    fails(server, client, folder, "missing")
    path.mkdir()  # another one is not it
    fails(server, client, folder)
    path.rmdir()
    (server.folder / "away").rename(path)
    works(server, client)


@pytest.mark.parametrize("how", ["removed", "another"])
def test_a_spool_that_is_not_said_to_be_ours(own, how):
    server, client = own
    mark = server.spool / SPOOL_MARK
    ours = mark.read_text()
    mark.unlink()
    if how == "another":
        mark.write_text("0190a5b2-7c1e-7000-8000-3f2a1b4c5d6e\n")
    fails(server, client, SPOOL_MARK)
    mark.write_text(ours)
    works(server, client)


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_ledger_that_is_not_there(own, how):
    """A POST is accepted all the same; a DELETE would not be recorded."""
    server, client = own
    path, away = server.folder / "deletions.ledger", server.folder / "away"
    path.rename(away)
    if how == "replaced":
        path.write_bytes(away.read_bytes())
    answer = requests.get(server.url + "/Common/HealthCheck", timeout=ANSWERS_WITHIN)
    failed(answer, 503, "Deletions cannot be recorded")
    failed(client.delete(client.complete("Quick", ProductID="1")), 503, "not yet recorded")
    poll(lambda: "deletions.ledger" in server.log_text(), what="the reason")
    away.rename(path)
    works(server, client)


@pytest.mark.parametrize("number", [1, 2])
def test_a_reserve_that_is_removed_is_made_again_at_once(own, number):
    server, client = own
    path = server.folder / f"store.db-reserve{number}"
    path.unlink()
    client.order("Quick", ProductID="1")
    assert path.stat().st_size == 512 * 1024


@pytest.mark.parametrize("name", ["store.db", "store.db-wal", "store.db-shm"])
@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_file_of_the_store_that_is_not_there(own, name, how):
    """Everything is refused until it is back: what is acknowledged would be found by nobody."""
    server, client = own
    done = client.complete("Quick", ProductID="1")
    assert client.state(done) == "complete"  # and is remembered
    path, away = server.folder / name, server.folder / "away"
    path.rename(away)
    if how == "replaced":
        path.write_bytes(away.read_bytes())
    fails(server, client, name, "restart")
    poll(lambda: client.status(done).status_code == 503, what="the end of what is remembered")
    failed(client.delete(done), 503)
    failed(client.list(), 503)
    away.rename(path)
    works(server, client)
    assert client.state(done) == "complete"


def test_a_store_that_was_replaced_is_whole_after_a_restart(own):
    server, client = own
    server.stop()
    other = (server.folder / "store.db").read_bytes()
    client.url = server.start().url
    client.complete("Quick", ProductID="1")
    for end in ("-wal", "-shm", ""):
        (server.folder / f"store.db{end}").unlink(missing_ok=True)
    (server.folder / "store.db").write_bytes(other)
    (server.folder / "store.db").chmod(0o600)
    fails(server, client, "store.db")
    server.stop()
    server.start()
    client = server.client(ALICE)
    assert client.references() == []
    works(server, client)


def test_no_worker_can_be_started(make_server, tmp_path, monkeypatch):
    """A POST is accepted all the same: its report waits for a worker."""
    program = tmp_path / "reportd"
    shutil.copy(REPORTD, program)
    monkeypatch.setattr("harness.REPORTD", program)
    server = make_server(workers=1)
    client = server.client(ALICE)
    program.chmod(0o600)
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)
    poll(lambda: check(server) == 503, what="the check")
    answer = requests.get(server.url + "/Common/HealthCheck", timeout=ANSWERS_WITHIN)
    failed(answer, 503, "No worker process")
    poll(lambda: "worker.spawn" in server.log_text(), what="the reason")
    reference = client.order("Quick", ProductID="1")
    program.chmod(0o700)
    assert client.finish(reference).json()["data"] == "complete"
    works(server, client)


@pytest.mark.parametrize("what", ["full", "inodes", "read-only", "gone"])
def test_a_file_system_that_fails(mounts, tmp_path, what):
    disk = Disk(tmp_path / "disk", size=6 * MiB, options=",nr_inodes=40" if what == "inodes" else "")
    server = Server.made(tmp_path / "server", workers=1, spool=disk.folder)
    server.add_user(ALICE)
    client = server.start().client(ALICE)
    works(server, client)
    if what == "full":
        disk.fill()
    elif what == "inodes":
        disk.fill_inodes()
    elif what == "read-only":
        disk.make_read_only()
    else:
        disk.unmount()
    fails(server, client, str(disk.folder))
    if what == "read-only":
        disk.mount("-o", "remount,rw")
    elif what != "gone":
        disk.room()
    if what != "gone":
        works(server, client)
    close(server)
    if what != "gone":
        disk.unmount()


def test_a_full_disk_of_the_store(mounts, tmp_path):
    disk = Disk(tmp_path / "disk", size=6 * MiB)
    server = Server.made(tmp_path / "server", store=disk.folder / "store.db", workers=1)
    server.add_user(ALICE)
    server.start()
    server.stop()  # an empty log
    disk.fill()
    server.start()
    client = server.client(ALICE)
    disk.fill()
    poll(lambda: check(server) == 503, what="the check")
    failed(client.submit("Quick", {"ProductID": "1"}), 503, "Disk full")
    disk.room()
    works(server, client)
    close(server)
    disk.unmount()


@pytest.fixture
def one_node(make_cluster, own_postgres):
    """The node, and the processes of its PostgreSQL, which are continued at the end."""
    cluster = make_cluster(nodes=1, server=own_postgres)
    processes = Processes(own_postgres)
    yield cluster.nodes[0], processes
    processes.resume()


class Processes:
    """Of a PostgreSQL, by what they do."""

    def __init__(self, postgres):
        self.postgres = postgres
        self.postmaster = int((postgres.folder / "data/postmaster.pid").read_text().splitlines()[0])
        self.stopped = []

    def of(self, condition):
        return [int(pid) for pid in self.postgres.sql(
            f"SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND {condition}")]

    def pause(self, *pids):
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
            self.stopped.append(pid)

    def resume(self):
        for pid in self.stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.stopped = []


READS, WRITES = "query LIKE '%FROM session s JOIN account%'", "query = 'COMMIT'"


@pytest.mark.parametrize("what, count", [(READS, 3), (WRITES, 2)], ids=["reads", "writes"])
def test_sessions_that_hang_and_cannot_be_replaced(one_node, what, count):
    """All that read, or all that write, heartbeats too: the first POST of a session needs both."""
    node, processes = one_node
    client, stranger = node.client(ALICE), node.client(ALICE)
    works(node, client)

    def of_the_kind():
        check(node)  # uses each
        pids = processes.of(f"application_name = 'reportd' AND {what}")
        return pids if len(pids) == count else None

    processes.pause(processes.postmaster, *poll(of_the_kind, what="the sessions"))
    assert check(node) == 503
    failed(stranger.submit("Quick", {"ProductID": "1"}), 503)
    assert check(node) == 503
    processes.resume()
    works(node, client)


def test_a_process_of_postgresql_that_hangs_refuses_no_post(one_node):
    """Each that there is, one after the other: a session that hangs is replaced."""
    node, processes = one_node
    client = node.client(ALICE)
    works(node, client)
    for pid in processes.of("true"):
        processes.pause(pid)
        for _ in range(4):  # on each connection
            reference = client.order("Quick", ProductID="1")
        poll(lambda: is_healthy(node), what="health")
        assert client.finish(reference).json()["data"] == "complete"
        client.delete_all()
        processes.resume()
        assert client.references() == []  # nothing of its batch comes back
    processes.pause(processes.postmaster)
    for _ in range(4):
        client.complete("Quick", ProductID="1")
    assert check(node) == 200
    processes.resume()


def test_all_sessions_that_hang_at_once_are_replaced(one_node):
    node, processes = one_node
    client = node.client(ALICE)
    works(node, client)
    processes.pause(*processes.of("application_name LIKE 'reportd%'"))
    client.order("Quick", ProductID="1")
    works(node, client)


def test_a_network_that_swallows_everything(make_cluster):
    cluster = make_cluster(nodes=1, tcp=True)
    node, = cluster.nodes
    client = node.client(ALICE)
    works(node, client)
    cluster.proxies[0].cut()
    assert check(node) == 503
    failed(client.submit("Quick", {"ProductID": "1"}), 503)
    assert check(node) == 503
    cluster.proxies[0].repair()
    works(node, client)


@pytest.mark.parametrize("table", ["report", "account", "session", "erase_key"])
def test_a_table_that_is_locked(make_cluster, postgres, table):
    cluster = make_cluster(nodes=1)
    node, = cluster.nodes
    client = node.client(ALICE)
    works(node, client)
    lock = subprocess.Popen(postgres.psql(cluster.database), stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)
    lock.stdin.write(f"BEGIN; LOCK TABLE reportd.{table}; SELECT 'locked';\n")
    lock.stdin.flush()
    assert lock.stdout.readline() == "locked\n"
    assert check(node) == 503
    answer = client.submit("Quick", {"ProductID": "1"})
    failed(answer, 503)
    assert check(node) == 503
    lock.stdin.close()
    lock.wait(PATIENCE)
    works(node, client)


def test_a_store_that_another_process_writes_to(own):
    server, client = own
    with contextlib.closing(sqlite3.connect(server.folder / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert check(server) == 503
        failed(client.submit("Quick", {"ProductID": "1"}), 503)
        assert check(server) == 503
        other.execute("ROLLBACK")
    works(server, client)


def test_a_database_that_is_away(make_cluster, own_postgres):
    cluster = make_cluster(nodes=1, server=own_postgres)
    node, = cluster.nodes
    client = node.client(ALICE)
    own_postgres.stop()
    assert check(node) == 503
    failed(client.submit("Quick", {"ProductID": "1"}), 503)
    own_postgres.start()
    works(node, client)
