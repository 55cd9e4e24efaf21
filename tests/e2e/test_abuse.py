"""Floods: idle connections, slow requests, hung-up waits, logins; an honest client beside each is served."""

import contextlib
import fcntl
import json
import select
import socket
import struct
import termios
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests.adapters

from harness import PASSWORD, SOON, Client, Server, failed, poll

CONNECTIONS = 200
SHARE = CONNECTIONS // 2  # of one address
WAITS = 32  # of one user
PROXY = "127.0.0.9"


class From(requests.adapters.HTTPAdapter):
    """Connections from another address of this machine."""

    def __init__(self, address):
        self.address = address
        super().__init__()

    def init_poolmanager(self, *arguments, **options):
        super().init_poolmanager(*arguments, source_address=(self.address, 0), **options)


def client_from(server, address):
    client = Client(server.url)
    client.session.mount("http://", From(address))
    return client


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    server = Server.made(tmp_path_factory.mktemp("abuse") / "server", workers=1, connections=CONNECTIONS, request_timeout="2s", trusted_proxies=PROXY)
    for name in ("alice", "bob"):
        server.add_user(name)
    yield server.start()
    assert server.stop() == 0
    server.check_log()


@pytest.fixture
def honest(guarded):
    """A client at another address, with one connection."""
    client = client_from(guarded, "127.0.0.2")
    client.login("alice")
    yield client
    client.delete_all()
    client.session.close()


@pytest.fixture
def stack():
    """Closes what a test opens."""
    with contextlib.ExitStack() as stack:
        yield stack


def connect(server, stack, request=b"", address="127.0.0.1"):
    host, port = server.url.removeprefix("http://").split(":")
    made = stack.enter_context(socket.create_connection((host, int(port)), source_address=(address, 0)))
    made.settimeout(SOON)
    made.sendall(request)
    return made


def head(line, client=None, **fields):
    """The beginning of a request, without the empty line."""
    fields = {"Host": "x", "Version": "2.0", **({"Authorization": client.token} if client else {}), **fields}
    return "\r\n".join([f"{line} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]).encode() + b"\r\n"


def has_answer(one):
    return bool(select.select([one], [], [], 0)[0])


def test_an_address_has_no_more_than_its_share_of_the_connections(guarded, honest, stack):
    flood = [connect(guarded, stack) for _ in range(CONNECTIONS + 10)]
    poll(lambda: sum(map(has_answer, flood)) >= CONNECTIONS + 10 - SHARE, what="those beyond the share being refused")
    refused = [one for one in flood if has_answer(one)]
    assert len(flood) - len(refused) == SHARE
    answer = refused[0].recv(4096)
    assert answer.startswith(b"HTTP/1.1 503 ") and b"Retry-After: " in answer and b"your address" in answer
    assert honest.list().status_code == 200
    assert client_from(guarded, "127.0.0.3").get("/Common/HealthCheck").status_code == 200
    guarded.await_log(f"warn http.address_full address=127.0.0.1 connections={SHARE}")


def test_a_trusted_proxy_has_as_many_as_it_needs(guarded, stack):
    for _ in range(SHARE + 10):
        connect(guarded, stack, address=PROXY)
    assert client_from(guarded, PROXY).get("/Common/HealthCheck").status_code == 200


def test_a_slow_head_and_a_half_sent_body_are_closed(guarded, honest, stack):
    slow = connect(guarded, stack, head("GET /Report/List", honest))
    half = connect(guarded, stack, head("POST /Report", honest, Content_Type="application/json", Content_Length=1000) + b"\r\n{")

    def closed():
        with contextlib.suppress(OSError):
            slow.sendall(b"X")  # one more byte of a header: it never stops for long
        return has_answer(slow) and has_answer(half)

    poll(closed, SOON, "the end of both")
    with contextlib.suppress(ConnectionResetError):
        assert slow.recv(4096) == b""
    assert half.recv(4096) == b""
    assert honest.list().status_code == 200


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    """A server that waits for a request longer than a test does."""
    server = Server.made(tmp_path_factory.mktemp("patient") / "server", workers=1, request_timeout="1h")
    server.add_user("alice")
    yield server.start()
    assert server.stop() == 0
    server.check_log()


WHOLE = head("GET /Common/HealthCheck") + b"\r\n"


@pytest.mark.parametrize("request_, answers", [
    (WHOLE, 1), (WHOLE * 3, 3), (b"GET /Com", 0), (WHOLE[:-2], 0), (WHOLE + WHOLE[:-2], 1),
    (head("POST /Report/Link", Content_Type="application/json", Content_Length=100) + b"\r\n{", 0),
], ids=["a request", "three", "half a line", "half a head", "one and a half", "half a body"])
def test_a_client_whose_end_comes_with_its_last_byte_is_let_go_at_once(patient, stack, request_, answers):
    """In one packet: the library reads the bytes, and waits for more."""
    one = connect(patient, stack)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # until the end
    one.sendall(request_)
    one.shutdown(socket.SHUT_WR)
    got = b""
    while more := one.recv(4096):
        got += more
    assert got.count(b"HTTP/1.1 200 ") == answers


BODY = 250_000  # bytes: less than the most that a body may have
LATER = {"Content_Type": "application/json", "Content_Length": BODY}


def memory(server):
    """KiB of the server that are in memory."""
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def unacknowledged(one):
    return struct.unpack("i", fcntl.ioctl(one, termios.TIOCOUTQ, b"\0" * 4))[0]


def test_a_body_without_a_token_is_not_kept(guarded, honest, stack):
    false = head("POST /Report", Authorization="x.y.z", **LATER) + b"\r\n" + b" " * (BODY - 1)
    count, before = SHARE - 20, memory(guarded)
    half_sent = [connect(guarded, stack, false) for _ in range(count)]
    poll(lambda: not any(map(unacknowledged, half_sent)), what="the bodies being read")
    assert honest.list().status_code == 200
    assert memory(guarded) - before < count * BODY // 1024 // 4
    half_sent[0].sendall(b" " + head("GET /Common/HealthCheck") + b"\r\n")
    got = b""
    while b"healthy" not in got:  # the answers to both, on one connection
        got += half_sent[0].recv(4096)
    assert got.startswith(b"HTTP/1.1 401 ") and got.count(b"HTTP/1.1 ") == 2


@pytest.mark.parametrize("status, fields", [(401, {"Authorization": "x.y.z"}), (415, {"Content_Type": "text/plain"}),
                                            (413, {"Content_Length": 300_000}), (400, {"Version": "1.0"})])
def test_a_client_that_asks_first_is_refused_before_the_body(guarded, honest, stack, status, fields):
    one = connect(guarded, stack, head("POST /Report", honest, **{**LATER, "Expect": "100-continue", **fields}) + b"\r\n")
    assert one.recv(4096).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_client_that_asks_first_is_told_to_go_on(guarded, honest, stack):
    body = json.dumps({"reportName": "Quick", "parameters": {"ProductID": "1"}}).encode()
    fields = {**LATER, "Content_Length": len(body), "Expect": "100-continue"}
    one = connect(guarded, stack, head("POST /Report", honest, **fields) + b"\r\n")
    assert one.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
    one.sendall(body)
    assert b"Report request has been submitted." in one.recv(4096)


def test_a_body_that_needs_no_token_is_short(guarded):
    long = {"username": "alice", "password": PASSWORD, "more": "x" * 8192}
    failed(client_from(guarded, "127.0.0.1").call("POST", "/User/Login", json=long), 413, "at most 8192 bytes")


def waits(client, reference):
    """Does the server let this user wait? For a second, then."""
    return "Preference-Applied" in client.status(reference, {"Prefer": "wait=1"}).headers


def test_a_wait_whose_client_hangs_up_frees_its_place_at_once(guarded, honest, stack):
    reference = honest.order("Endless")
    request = head(f"GET /Report/Status?reference={reference}", honest, Prefer="wait=45") + b"\r\n"
    waiting = [connect(guarded, stack, request) for _ in range(WAITS + 1)]
    early = poll(lambda: [one for one in waiting if has_answer(one)], SOON, "the answer to the one that is too many")
    assert len(early) == 1 and not waits(honest, reference)
    waiting.remove(early[0])
    other = guarded.client("bob")
    assert waits(other, other.order("Endless"))
    other.delete_all()
    waiting[0].shutdown(socket.SHUT_WR)  # this one may still read
    assert b"incomplete" in waiting[0].recv(4096)
    for one in waiting:
        one.close()
    poll(lambda: waits(honest, reference), SOON, "a place")
    assert honest.state(reference) in ("queued", "processing")


def login_request(name, password):
    body = json.dumps({"username": name, "password": password}).encode()
    return head("POST /User/Login", Content_Type="application/json", Content_Length=len(body)) + b"\r\n" + body


class LoginFlood:
    """Logins on each of these connections, one after the other, until it is told to stop."""

    def __init__(self, connections):
        self.connections, self.refused, self.stopping = connections, 0, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        requests_ = login_request("nobody", "wrong password") * 20
        for one in self.connections:
            one.sendall(requests_)
        while not self.stopping.is_set():
            for one in select.select(self.connections, [], [], 0.1)[0]:
                got = one.recv(1 << 16)
                self.refused += got.count(b"HTTP/1.1 503 ")
                one.sendall(requests_[:len(requests_) // 20] * got.count(b"HTTP/1.1 "))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()


def test_a_flood_of_logins_leaves_the_queue_to_others(guarded, stack):
    with LoginFlood([connect(guarded, stack) for _ in range(SHARE - 10)]) as flood:
        poll(lambda: flood.refused, what="a login beyond the share of its address")
        with ThreadPoolExecutor(15) as pool:
            statuses = list(pool.map(lambda _: client_from(guarded, "127.0.0.2").call(
                "POST", "/User/Login", json={"username": "alice", "password": PASSWORD}).status_code, range(15)))
    assert statuses == [200] * 15
