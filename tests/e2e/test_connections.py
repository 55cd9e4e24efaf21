"""RLIMIT_NOFILE: connections never take the descriptors of files, workers and databases."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from harness import IDLE_SECONDS, PATIENCE, REPORTD, Server, poll
from test_forms import SlowForm

LIMIT = 1024
IDLE = 1100  # connections: more than descriptors
LINE = re.compile(r" warn start\.connections connections=(\d+) configured=(\d+) descriptors=(\d+)$", re.M)


def limit(number):
    """Words to start a program with; it may raise its own soft limit."""
    return ["prlimit", f"--nofile={number // 2}:{number}"]


def connect(server):
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)))


@pytest.fixture
def limited(tmp_path):
    server = Server.made(tmp_path / "server", workers=2, connections_per_address=0)
    server.add_user("alice")
    server.program = [*limit(LIMIT), *server.program]
    yield server.start()
    assert server.stop() == 0
    server.check_log()


def test_idle_connections_up_to_the_limit_cost_no_report(limited):
    taken, configured, allowed = map(int, LINE.search(limited.log_text()).groups())
    assert (configured, allowed) == (5000, LIMIT) and 100 < taken < LIMIT // 2
    client = limited.client("alice")  # its connection is served already
    whole = client.result(client.complete("Big", Rows="1000")).content
    with contextlib.ExitStack() as stack:
        for _ in range(IDLE):
            stack.enter_context(connect(limited))
        poll(lambda: open_files(limited) > taken, what="the connections that may be open")
        client.login("alice")
        references = [client.order("Big", Rows="1000") for _ in range(8)]
        for reference in references:
            assert client.finish(reference).json()["data"] == "complete"
            assert len(client.result(reference).content) == len(whole)
        assert open_files(limited) < LIMIT
    poll(lambda: open_files(limited) < taken, what="the end of the idle connections")
    assert limited.client("alice").list().status_code == 200


def open_files(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def test_every_connection_may_have_a_result_open(limited):
    taken = int(LINE.search(limited.log_text()).group(1))
    client = limited.client("alice")
    reference = client.complete("Big", Rows="300000")
    with contextlib.ExitStack() as stack:
        for _ in range(taken - 1):
            one = stack.enter_context(connect(limited))
            one.sendall(f"GET /Report?reference={reference} HTTP/1.1\r\nHost: x\r\nVersion: 2.0\r\n"
                        f"Authorization: {client.token}\r\n\r\n".encode())
            assert one.recv(12) == b"HTTP/1.1 200"
        assert client.complete("Big", Rows="1000")
        assert open_files(limited) < LIMIT


def test_a_limit_that_is_too_low_is_refused_with_the_figures(tmp_path):
    server = Server.made(tmp_path / "server")
    done = subprocess.run([*limit(100), REPORTD, "serve", "-c", "reportd.conf"], cwd=server.folder,
                          capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert "RLIMIT_NOFILE allows 100 descriptors" in done.stderr and "LimitNOFILE" in done.stderr


def answer_to(server, request=b""):
    """All that a new connection is sent until it is closed."""
    with connect(server) as one:
        one.settimeout(PATIENCE)
        one.sendall(request)
        return b"".join(iter(lambda: one.recv(4096), b""))


def idle_until_refused(server, stack):
    """Idle connections, more than there may be: those beyond are refused at once."""
    for _ in range(IDLE):
        stack.enter_context(connect(server))


REQUEST = b"GET /Common/HealthCheck HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def is_refusal(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    return (head.startswith(b"HTTP/1.1 503 ") and b"Retry-After: " in head
            and f"Content-Length: {len(body)}".encode() in head and json.loads(body)["result"] is False)


def test_a_connection_beyond_the_limit_is_told_to_come_back(limited):
    with contextlib.ExitStack() as stack:
        idle_until_refused(limited, stack)
        assert is_refusal(answer_to(limited, REQUEST))
        assert is_refusal(answer_to(limited))
    poll(lambda: answer_to(limited, REQUEST).startswith(b"HTTP/1.1 200 "), what="room for a connection")


def state_of_listener(server):
    """Of the thread that accepts: S asleep, R running."""
    for task in Path(f"/proc/{server.process.pid}/task").iterdir():
        if (task / "comm").read_text().strip() == "listener":
            return (task / "stat").read_text().rpartition(")")[2].split()[0]
    raise AssertionError("there is no listener")


def test_without_descriptors_new_connections_are_refused_and_nothing_spins(limited):
    """The limit is lowered while it runs, so that accept() fails, again and again."""
    client = limited.client("alice")
    taken = open_files(limited)
    subprocess.run(["prlimit", f"--pid={limited.process.pid}", f"--nofile={taken}:{LIMIT}"], check=True)
    assert is_refusal(answer_to(limited, REQUEST))
    assert is_refusal(answer_to(limited, REQUEST))
    limited.await_log("http.no_descriptors")
    assert client.list().status_code == 200
    poll(lambda: state_of_listener(limited) == "S", what="the end of its work")
    subprocess.run(["prlimit", f"--pid={limited.process.pid}", f"--nofile={LIMIT}:{LIMIT}"], check=True)
    poll(lambda: answer_to(limited, REQUEST).startswith(b"HTTP/1.1 200 "), what="an answer")


def silence(client):
    """For how many seconds nothing has come on this socket: tcpi_last_data_recv."""
    return struct.unpack_from("I", client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 52)[0] / 1000


def is_open(server, reference):
    """Does the server have the result open?"""
    for link in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if reference in os.readlink(link):
                return True
    return False


def test_an_idle_connection_is_closed_after_a_minute_but_no_request_that_has_arrived_is_lost(limited):
    """The server is held, as on a machine that gives it no time, until both have been idle for longer; so has a client of a conversion; another one took a little meanwhile."""
    client = limited.client("alice")
    reference = client.complete("Big", Rows="300000")
    steady = SlowForm.begin(client, client.complete("Big", Rows="300000"), "csv")
    slow = SlowForm.begin(client, reference, "csv")
    poll(lambda: silence(slow.socket) > 1 and silence(steady.socket) > 1, what="a server that has sent what the kernel takes")
    host = limited.url.removeprefix("http://")
    silent, late = (http.client.HTTPConnection(host, timeout=PATIENCE) for _ in range(2))
    with contextlib.closing(silent), contextlib.closing(late):
        for one in (silent, late):
            one.request("GET", "/Common/HealthCheck")
            assert one.getresponse().read()
        limited.process.send_signal(signal.SIGSTOP)
        try:
            while len(steady.got) < 20_000:  # too little for its socket to become writable
                steady.more()
            late.request("GET", "/openapi.json")  # whose status no held-up probe changes
            poll(lambda: silence(late.sock) > IDLE_SECONDS + 1, 2 * IDLE_SECONDS, "the end of the minute")
        finally:
            limited.process.send_signal(signal.SIGCONT)
        assert late.getresponse().status == 200
        assert silent.sock.recv(1) == b""
    poll(lambda: not is_open(limited, reference), 2 * IDLE_SECONDS, "the end of a conversion that nobody takes")
    got, broken = slow.rest()
    assert broken and not got.endswith(b"0\r\n\r\n")
    steady.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    steady.socket.sendall(b"GET /Common/HealthCheck HTTP/1.0\r\n\r\n")  # after which the server closes it
    got, broken = steady.rest()
    assert not broken and b"0\r\n\r\nHTTP/1" in got


@pytest.fixture
def named(tmp_path):
    """A server that listens at a name of these addresses, in /etc/hosts of its own."""
    def start(*addresses, port=0):
        hosts = tmp_path / "hosts"
        hosts.write_text("".join(f"{address} many.test\n" for address in addresses))
        server.program = ["unshare", "--mount", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh", *server.program]
        server.environment["REPORTD_LISTEN"] = f"many.test:{port}"
        return server.start()

    server = Server.made(tmp_path / "server")
    yield start
    if server.process:
        assert server.stop() == 0


def status_at(address, port):
    with contextlib.closing(http.client.HTTPConnection(address, port, timeout=PATIENCE)) as connection:
        connection.request("GET", "/Common/HealthCheck")
        return connection.getresponse().status


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as made:
            made.bind(("::1", 0))
        return True
    except OSError:
        return False


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has an /etc/hosts of its own")


@needs_root
def test_every_address_of_a_name_is_served_with_one_port(named):
    addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.2"] + ["::1"] * has_ipv6()
    server = named(*addresses)
    port = int(server.url.rsplit(":", 1)[1])
    assert [status_at(address, port) for address in addresses] == [200] * len(addresses)


@needs_root
def test_an_address_that_the_machine_does_not_have_is_skipped(named):
    server = named("127.0.0.1", "192.0.2.1")
    assert status_at("127.0.0.1", int(server.url.rsplit(":", 1)[1])) == 200
    server.await_log("warn listen.skipped url=http://192.0.2.1:")


@needs_root
def test_an_address_that_is_taken_is_named(named):
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AssertionError, match=f'listen = ."many.test:{port}.": http://127.0.0.2:{port}: Address already in use; .*: ss -ltnp .sport = :{port}.'):
            named("127.0.0.1", "127.0.0.2", port=port)
