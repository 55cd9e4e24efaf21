"""What one address may have, and deadlines of heads, on each kind of socket: TLS on one that the service manager holds, Unix, metrics."""

import contextlib
import select
import socket
import ssl
import subprocess

import pytest

from harness import PATIENCE, SOON, poll
from raw_http import connect, connect_unix, port_of, talk
from test_service import held_port, hold
from test_tls import context_of, made

CONNECTIONS = 40
SHARE = CONNECTIONS // 2  # of one address
KINDS = ("tls", "unix", "metrics")
HEAD = b"GET /metrics HTTP/1.1\r\nHost: x\r\nVersion: 2.0\r\n"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    held, address = held_port()
    server, _ = made(tmp_path_factory.mktemp("listen") / "server", listen=f"{address} unix:plain.sock", metrics_listen="127.0.0.1:0",
                     connections=CONNECTIONS, request_timeout="2s", workers=1)
    hold(server, held)
    with held:
        yield server.start()
        assert server.stop() == 0
    server.check_log()


@pytest.fixture
def stack():
    with contextlib.ExitStack() as stack:
        yield stack


class Tls:
    """The client's end of a connection whose bytes are sent by hand."""

    def __init__(self, server, client):
        self.client, self.coming, self.going = client, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context_of(server).wrap_bio(self.coming, self.going, server_hostname="127.0.0.1")

    def hello(self):
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.going.read()

    def shake_hands(self):
        self.client.sendall(self.hello())
        while self.tls.version() is None or not self.is_done():
            self.coming.write(self.client.recv(65536))
            self.client.sendall(self.hello())

    def is_done(self):
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def record(self, data):
        self.tls.write(data)
        return self.going.read()


def open_one(server, kind):
    if kind == "unix":
        return connect_unix(server.folder / "plain.sock")
    if kind == "tls":
        return connect(server)
    (line,) = [line for line in server.log_text().splitlines() if "key=metrics_listen" in line]
    return socket.create_connection(("127.0.0.1", port_of(line.split("url=")[1].split()[0])), PATIENCE)


def begun(server, kind, stack):
    """A connection that has sent a part of what begins it."""
    client = stack.enter_context(open_one(server, kind))
    hello = Tls(server, client).hello() if kind == "tls" else HEAD
    with contextlib.suppress(OSError):  # it may be refused by now
        client.sendall(hello[:len(hello) // 2])
    return client


def is_told(client):
    return bool(select.select([client], [], [], 0)[0])


def has_ended(client):
    try:
        return is_told(client) and client.recv(65536) == b""
    except ConnectionResetError:
        return True


def assert_an_honest_client_is_served(server):
    context = context_of(server)
    with context.wrap_socket(connect(server, "127.0.0.2"), server_hostname="127.0.0.1") as client:
        assert talk(client, "GET", "/Common/HealthCheck")[0] == 200


@pytest.mark.parametrize("kind", KINDS)
def test_an_address_has_its_share_and_what_it_began_is_closed_in_time(guarded, stack, kind):
    flood = [begun(guarded, kind, stack) for _ in range(CONNECTIONS)]
    poll(lambda: sum(map(is_told, flood)) >= CONNECTIONS - SHARE, what="those beyond the share being refused")
    assert_an_honest_client_is_served(guarded)
    left = set(flood)
    poll(lambda: not left.difference_update(filter(has_ended, left.copy())) and not left, SOON, "the end of all")


def test_a_record_of_tls_that_comes_slowly_is_a_slow_head(guarded, stack):
    client = stack.enter_context(connect(guarded))
    tls = Tls(guarded, client)
    tls.shake_hands()
    client.sendall(tls.record(HEAD))
    rest = iter(tls.record(b"X: " + b"x" * 9000))

    def ended():
        with contextlib.suppress(OSError):
            client.sendall(bytes([next(rest)]))
        return has_ended(client)

    poll(ended, SOON, "the end")


def test_a_client_cannot_have_the_keys_renegotiated(guarded):
    """It is for the asking in TLS 1.2, and work for the server."""
    command = ["openssl", "s_client", "-tls1_2", "-CAfile", guarded.trust, "-connect", f"127.0.0.1:{port_of(guarded.url)}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as client:
        client.stdin.write("R\n")
        client.stdin.flush()
        assert client.stdout.read().endswith("\nRENEGOTIATING\nclosed\n")  # by the server: it has more to read
    assert_an_honest_client_is_served(guarded)
