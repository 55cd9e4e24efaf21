"""DELETE and the purge end every transfer of the result, and its disk blocks are free at once, however
slowly a client reads."""

import contextlib
import os
import re
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import Client, failed, poll, refused, soon
from seams import Gate, plan
from stores import STORES

BIG = "300000"  # rows: some 13 MB, more than the kernel keeps for a client
WINDOW = 4096  # of the slow client's socket
DAY_MS = 24 * 3600 * 1000
FIN_WAIT1 = 4  # in /proc/net/tcp: closed here, and not all is acknowledged


@contextlib.contextmanager
def small_disk(path, size="96m"):
    """A file system of its own, so that nobody else takes or frees blocks there."""
    path.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def free_bytes(path):
    found = os.statvfs(path)
    return found.f_bfree * found.f_frsize


class SlowClient:
    """Has begun to read a result, and reads nothing more for now."""

    def __init__(self, client, reference, requests=1, version="HTTP/1.1", header="", path=None):
        host, port = client.url.removeprefix("http://").split(":")
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)
        self.socket.settimeout(60)
        self.socket.connect((host, int(port)))
        self.ask(client, reference, requests, version, header, path)

    def ask(self, client, reference, requests=1, version="HTTP/1.1", header="", path=None):
        """For the result, or for what is at `path`."""
        self.socket.sendall(f"GET {path or f'/Report?reference={reference}'} {version}\r\nHost: x\r\nVersion: 2.0\r\n"
                            f"{header}Authorization: {client.token}\r\n\r\n".encode() * requests)
        self.got = b""
        while b"\r\n\r\n" not in self.got:
            self.got += self.socket.recv(1)
        head, _, self.got = self.got.partition(b"\r\n\r\n")
        assert b" 200 " in head.splitlines()[0], head
        self.size = int(re.search(rb"Content-Length: (\d+)", head).group(1))
        self.got += self.socket.recv(1)

    def rest(self):
        """What still comes, up to the end of the connection, which must be a break."""
        with pytest.raises(ConnectionResetError):
            while chunk := self.socket.recv(65536):
                self.got += chunk
            raise AssertionError("the connection was closed in order")
        return self.got


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk") as path:
        yield path


def assert_ended(slow, whole):
    got = slow.rest()
    assert len(got) < len(whole) and whole.startswith(got)


@pytest.mark.parametrize("encryption", ["off", "on"])
def test_a_slow_client_is_disconnected_and_the_disk_free_when_delete_answers(make_server, disk,
                                                                             encryption):
    server = make_server(spool=disk / "spool", spool_encryption=encryption)
    client = server.client("alice")
    before = free_bytes(disk)
    reference = client.complete("Big", Rows=BIG)
    whole = client.result(reference).content
    assert free_bytes(disk) <= before - len(whole)
    slow = SlowClient(client, reference)
    assert slow.size == len(whole)
    assert Client(client.url, client.token).delete(reference).json()["result"] is True
    assert free_bytes(disk) == before
    assert_ended(slow, whole)


@pytest.mark.parametrize("encryption", ["off", "on"])
def test_the_purge_ends_a_transfer_and_frees_the_disk(make_server, clock, disk, encryption):
    server = make_server(spool=disk / "spool", spool_encryption=encryption)
    client = server.client("alice")
    before = free_bytes(disk)
    reference = client.complete("Big", Rows=BIG)
    whole = client.result(reference).content
    slow = SlowClient(client, reference)
    clock.jump(DAY_MS + 1000)
    poll(lambda: f"report.deleted reference={reference}" in server.log_text(), what="the purge")
    assert free_bytes(disk) == before
    assert_ended(slow, whole)


@pytest.mark.parametrize("encryption", ["off", "on"])
def test_what_the_kernel_has_of_a_small_result_is_dropped(make_server, encryption):
    """The server has handed all of it to the kernel long ago, and is idle."""
    server = make_server(row_results="64K", spool_encryption=encryption)
    client = server.client("alice")
    reference = client.complete("Big", Rows="1400")
    whole = client.result(reference).content
    assert 40000 < len(whole) < 65536 and server.files_of(reference) == []
    slow = SlowClient(client, reference)
    port = slow.socket.getsockname()[1]
    poll(lambda: unreceived(server, port) > 0, what="the answer in the kernel")
    assert Client(client.url, client.token).delete(reference).json()["result"] is True
    assert_ended(slow, whole)


@pytest.mark.parametrize("version, header", [("HTTP/1.1", "Connection: close\r\n"), ("HTTP/1.0", "")])
def test_what_the_kernel_has_for_a_connection_that_is_closed_is_dropped(make_server, version, header):
    """The server closes it when it has handed all to the kernel; the client has yet to read."""
    server = make_server()
    client = server.client("alice")
    reference = client.complete("Big", Rows="20000")
    whole = client.result(reference).content
    before = sockets(server)
    slow = SlowClient(client, reference, version=version, header=header)
    port = slow.socket.getsockname()[1]
    poll(lambda: state_of(server, port) == FIN_WAIT1, what="the close by the server")
    assert client.delete(reference).json()["result"] is True
    assert_ended(slow, whole)
    poll(lambda: sockets(server) == before, what="the release of its descriptor")


def test_a_connection_that_is_closed_is_read_to_its_end(make_server):
    server = make_server()
    client = server.client("alice")
    reference = client.complete("Big", Rows="20000")
    whole = client.result(reference).content
    before = sockets(server)
    slow = SlowClient(client, reference, header="Connection: close\r\n")
    poll(lambda: state_of(server, slow.socket.getsockname()[1]) == FIN_WAIT1, what="the close by the server")
    while chunk := slow.socket.recv(65536):
        slow.got += chunk
    assert slow.got == whole
    poll(lambda: sockets(server) == before, what="the release of its descriptor")


def test_a_stop_leaves_nothing_of_a_result_to_the_kernel(make_server):
    """A DELETE at the next start, or on another node, could not take it back."""
    server = make_server()
    client = server.client("alice")
    reference = client.complete("Big", Rows="20000")
    whole = client.result(reference).content
    slow = SlowClient(client, reference, header="Connection: close\r\n")
    poll(lambda: state_of(server, slow.socket.getsockname()[1]) == FIN_WAIT1, what="the close by the server")
    assert server.stop() == 0
    assert_ended(slow, whole)


def connection(server, port):
    """The state of the server's end with the client at that port, and what its kernel keeps for it."""
    own = int(server.url.rpartition(":")[2])
    for line in open("/proc/net/tcp").read().splitlines()[1:]:
        fields = line.split()
        local, remote = (int(field.rpartition(":")[2], 16) for field in fields[1:3])
        if (local, remote) == (own, port):
            return int(fields[3], 16), int(fields[4].partition(":")[0], 16)
    return None, None


def sockets(server):
    """How many the server has open."""
    count = 0
    for entry in os.scandir(f"/proc/{server.process.pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            count += os.readlink(entry.path).startswith("socket:")
    return count


def state_of(server, port):
    return connection(server, port)[0]


def unreceived(server, port):
    """What the server's kernel keeps for the client at that port; None: they are not connected."""
    return connection(server, port)[1]


def test_ranges_and_pipelined_requests_are_ended_too(make_server):
    server = make_server()
    client = server.client("alice")
    reference = client.complete("Big", Rows=BIG)
    slow = [SlowClient(client, reference, requests=3),
            SlowClient(client, f"{reference}&x=1")]
    whole = Client(client.url, client.token).result(reference).content
    assert client.delete(reference).json()["result"] is True
    for one in slow:
        assert_ended(one, whole)


def test_connections_that_have_received_a_result_stay(make_server):
    """Of the deleted report, and of others that are being sent."""
    server = make_server()
    client = server.client("alice")
    deleted, kept = client.complete("Quick", ProductID="1"), client.complete("Big", Rows=BIG)
    whole = client.result(kept).content
    idle = Client(client.url, client.token)
    idle.result(deleted)
    pooled = idle.session.get_adapter(idle.url).poolmanager.connection_from_url(idle.url)
    connection = pooled.pool.queue[-1]
    port = connection.sock.getsockname()[1]
    poll(lambda: unreceived(server, port) == 0, what="the acknowledgement")
    slow = SlowClient(client, kept)
    assert client.delete(deleted).json()["result"] is True
    assert unreceived(server, port) == 0
    refused(idle.result(deleted), "Unknown reference")
    assert connection.sock.getsockname()[1] == port
    while len(slow.got) < len(whole):
        slow.got += slow.socket.recv(1 << 20)
    assert slow.got == whole


def test_what_comes_later_on_the_same_connection_outlives_the_deletion(make_server):
    """The client has all of the deleted result, and another one is on its way to it."""
    server = make_server()
    client = server.client("alice")
    deleted, kept = (client.complete("Big", Rows="20000") for _ in range(2))
    slow = SlowClient(client, deleted)
    whole = client.result(kept).content
    while len(slow.got) < slow.size:
        slow.got += slow.socket.recv(65536)
    slow.ask(client, kept)
    assert client.delete(deleted).json()["result"] is True
    while len(slow.got) < slow.size:
        slow.got += slow.socket.recv(65536)
    assert slow.got == whole


def ask(slow, client, method, path, header=""):
    """Another request on its connection, whose answer comes behind what it has not read."""
    slow.socket.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nVersion: 2.0\r\n{header}"
                        f"Authorization: {client.token}\r\n\r\n".encode())


@pytest.mark.stores(*STORES)
def test_a_delete_behind_the_result_on_the_same_connection_does_not_wait_for_itself(make_server):
    server = make_server()
    client = server.client("alice")
    reference = client.complete("Big", Rows="20000")
    whole = client.result(reference).content
    slow = SlowClient(client, reference)
    ask(slow, client, "DELETE", f"/Report?reference={reference}")
    poll(lambda: f"report.deleted reference={reference}" in server.log_text(), what="the deletion")
    assert_ended(slow, whole)
    assert server.store.row(reference, "state") is None
    assert server.stop() == 0


@pytest.mark.stores(*STORES)
def test_a_later_request_that_waits_on_the_same_connection_does_not_delay_a_deletion(make_server):
    server = make_server()
    client = server.client("alice")
    reference, endless = client.complete("Big", Rows="20000"), client.order("Endless")
    whole = client.result(reference).content
    slow = SlowClient(client, reference)
    ask(slow, client, "GET", f"/Report/Status?reference={endless}", "Prefer: wait=45\r\n")
    answer = soon(lambda: Client(client.url, client.token).delete(reference))
    assert answer.json()["result"] is True
    assert_ended(slow, whole)
    assert client.delete(endless).json()["result"] is True


@pytest.fixture(params=["folder", "postgresql"])
def nodes(request, make_cluster, disk):
    """Two nodes on one PostgreSQL, their results in a folder or in it, and a client of each."""
    place = disk / "spool" if request.param == "folder" else "postgresql"
    cluster = make_cluster(nodes=2, spool=place, lease="2s")
    return cluster, [node.client("alice") for node in cluster.nodes]


def test_a_delete_on_one_node_ends_the_transfers_of_the_others(nodes, disk):
    cluster, (here, there) = nodes
    before = free_bytes(disk)
    reference = here.complete("Big", Rows=BIG)
    whole = here.result(reference).content
    slow = [SlowClient(client, reference) for client in (here, there, there)]
    assert here.delete(reference).json()["result"] is True
    assert cluster.sql("SELECT count(*) FROM transfer") == ["0"]
    assert free_bytes(disk) == before
    for one in slow:
        assert_ended(one, whole)


def test_nothing_says_any_more_what_a_node_sent_that_is_dead(nodes):
    """Not until the next sweep, which is a minute later."""
    cluster, (here, there) = nodes
    reference = here.complete("Big", Rows=BIG)
    here.session.close()
    slow = SlowClient(there, reference)
    poll(lambda: cluster.sql("SELECT report_id FROM transfer") == [reference], what="the transfer's entry")
    cluster.nodes[1].kill()
    poll(lambda: cluster.sql("SELECT count(*) FROM node") == ["1"], what="the end of the node's lease")
    assert cluster.sql("SELECT count(*) FROM transfer") == ["0"]
    slow.socket.close()


def test_a_deletion_whose_news_got_lost_ends_the_transfers_all_the_same(nodes):
    cluster, (here, there) = nodes
    reference = here.complete("Big", Rows=BIG)
    whole = here.result(reference).content
    slow = SlowClient(there, reference)
    cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN reportd'")
    assert here.delete(reference).json()["result"] is True
    assert_ended(slow, whole)


def test_the_end_of_a_transfer_that_a_crash_of_postgresql_took_back_holds_up_no_deletion(nodes):
    cluster, (here, there) = nodes
    reference = here.complete("Quick", ProductID="1")
    assert there.result(reference).status_code == 200
    there.session.close()
    poll(lambda: cluster.sql("SELECT count(*) FROM transfer") == ["0"], what="the end of the transfer")
    cluster.sql(f"INSERT INTO transfer SELECT gen_random_uuid(), '{reference}', id FROM node")
    assert soon(lambda: here.delete(reference)).json()["result"] is True
    assert cluster.sql("SELECT count(*) FROM transfer") == ["0"]


def test_a_transfer_that_a_crash_of_postgresql_took_back_is_ended_by_a_deletion(nodes):
    """A node that may have missed news says once more what it sends."""
    cluster, (here, there) = nodes
    reference = here.complete("Big", Rows=BIG)
    whole = here.result(reference).content
    here.session.close()
    slow = SlowClient(there, reference)
    cluster.sql("DELETE FROM transfer")
    cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN reportd'")
    poll(lambda: cluster.sql("SELECT report_id FROM transfer") == [reference], what="the transfer's entry")
    assert here.delete(reference).json()["result"] is True
    assert cluster.sql("SELECT count(*) FROM transfer") == ["0"]
    assert_ended(slow, whole)


def test_a_node_that_missed_a_deletion_ends_its_transfers_when_it_listens_again(nodes):
    cluster, (here, there) = nodes
    reference = here.complete("Big", Rows=BIG)
    whole = here.result(reference).content
    slow = SlowClient(there, reference)
    cluster.sql("DELETE FROM transfer")
    cluster.sql(f"DELETE FROM report WHERE id = '{reference}'")
    cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN reportd'")
    assert_ended(slow, whole)
    poll(lambda: cluster.sql("SELECT count(*) FROM transfer") == ["0"], what="the end of the transfer")


def test_a_delete_waits_for_a_hung_node_no_longer_than_for_its_lease(nodes):
    cluster, (here, there) = nodes
    reference = here.complete("Big", Rows=BIG)
    whole = here.result(reference).content
    slow = SlowClient(there, reference)
    both = set(cluster.sql("SELECT id FROM node"))
    hung = cluster.nodes[1].process
    hung.send_signal(signal.SIGSTOP)
    try:
        assert here.delete(reference).json()["result"] is True
        assert len(both & set(cluster.sql("SELECT id FROM node"))) == 1
    finally:
        hung.send_signal(signal.SIGCONT)
    with contextlib.suppress(ConnectionResetError):  # or it finds no more chunks, and closes
        while chunk := slow.socket.recv(65536):
            slow.got += chunk
    assert len(slow.got) < len(whole) and whole.startswith(slow.got)
    poll(lambda: there.list().status_code == 200, what="the node under another name")


@pytest.fixture
def cut_off(make_cluster):
    """Two nodes whose results are in PostgreSQL, a client of each, a slow one of the second, whose network
    to PostgreSQL is cut then, and the result that the slow one reads."""
    cluster = make_cluster(nodes=2, spool="postgresql", tcp=True, lease="2s")
    here, there = (node.client("alice") for node in cluster.nodes)
    reference = here.complete("Big", Rows=BIG)
    whole = here.result(reference).content
    slow = SlowClient(there, reference)
    assert slow.size == len(whole)
    cluster.proxies[1].cut()
    yield cluster, here, there, reference, slow, whole
    cluster.proxies[1].repair()
    poll(lambda: there.list().status_code == 200, what="the node under another name")


def test_a_download_breaks_off_if_the_network_to_the_database_is_cut(cut_off):
    """The rest cannot be had; what came is short of its Content-Length, and the connection is reset."""
    cluster, here, there, reference, slow, whole = cut_off
    assert_ended(slow, whole)
    assert here.result(reference).content == whole
    cluster.proxies[1].repair()
    poll(lambda: there.result(reference).status_code == 200, what="the result again")
    assert there.result(reference).content == whole


@pytest.mark.parametrize(("path", "headers"), [
    ("/Report", {}), ("/Report", {"Accept": "text/csv"}), ("/Report", {"Accept-Encoding": "gzip"}), ("/Report/Rows", {})])
def test_a_result_is_neither_unknown_nor_lost_because_its_node_was_cut_off(make_cluster, path, headers):
    """The look-up has found it, and before its first byte is sent the lease of the node has run out."""
    cluster = make_cluster(nodes=2, spool="postgresql", tcp=True, lease="2s")
    here, node, proxy = cluster.nodes[0].client("alice"), cluster.nodes[1], cluster.proxies[1]
    reference = here.complete("Quick", ProductID="1")
    assert node.stop() == 0
    gate = Gate(node, "http.result.found")
    plan(node, gate.seam, trace=gate.trace)
    there = node.start().client("alice")
    with ThreadPoolExecutor(1) as pool:
        download = pool.submit(there.get, path, params={"reference": reference}, headers=headers)
        try:
            gate.wait()
            proxy.cut()
            poll(lambda: cluster.sql("SELECT count(*) FROM node") == ["1"], what="the end of the lease")
        finally:
            proxy.repair()
            gate.open()
        failed(download.result(), 503, "lost touch")
    poll(lambda: Client(there.url, there.token).result(reference).status_code == 200, what="the result")


def test_a_delete_on_another_node_ends_the_download_of_one_that_is_cut_off(cut_off):
    cluster, here, there, reference, slow, whole = cut_off
    assert here.delete(reference).json()["result"] is True
    assert cluster.sql("SELECT count(*) FROM result_chunk") == ["0"]
    assert_ended(slow, whole)
    cluster.proxies[1].repair()
    poll(lambda: there.result(reference).status_code == 200, what="an answer again")
    refused(there.result(reference), "Unknown reference")
