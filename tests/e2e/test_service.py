"""What reportd and the service manager that started it say to each other: sd_notify, sockets that it holds, the journal."""

import os
import re
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from conftest import ALICE
from harness import PATIENCE, SOON, failed, poll
from raw_http import connect_unix


class Manager:
    """The end of NOTIFY_SOCKET where systemd is."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        self.socket.bind(str(path))
        self.path = path

    def hears(self, wanted):
        """What is said until a line of it is `wanted`, that line's notice last."""
        heard = []
        while True:
            heard.append(self.socket.recv(4096).decode())
            if wanted in heard[-1].splitlines():
                return heard


@pytest.fixture
def manager(tmp_path):
    made = Manager(tmp_path / "notify")
    yield made
    made.socket.close()


def test_the_manager_is_told_of_each_step(new_server, manager):
    server = new_server()
    server.environment |= {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "100000"}
    server.start()
    assert f"STATUS=Serving on {server.url}" in manager.hears("READY=1")[-1]
    manager.hears("WATCHDOG=1")
    manager.hears("WATCHDOG=1")
    server.process.send_signal(signal.SIGHUP)
    assert re.search(r"^MONOTONIC_USEC=\d+$", manager.hears("RELOADING=1")[-1], re.M)
    manager.hears("READY=1")
    for worker in server.workers():
        assert b"NOTIFY_SOCKET" not in Path(f"/proc/{worker}/environ").read_bytes()
    assert server.stop() == 0
    manager.hears("STOPPING=1")


def test_a_start_that_fails_tells_the_manager_why_and_is_never_ready(new_server, manager):
    server = new_server(listen="192.0.2.1:80")
    server.environment |= {"NOTIFY_SOCKET": str(manager.path)}
    with pytest.raises(AssertionError):
        server.start()
    heard = manager.socket.recv(4096).decode()
    assert heard.startswith("STATUS=listen") and "READY" not in heard


def test_an_abstract_socket_of_the_manager_works_too(new_server):
    name = f"reportd-test-{os.getpid()}"
    manager = Manager("\0" + name)
    server = new_server()
    server.environment["NOTIFY_SOCKET"] = "@" + name
    server.start()
    manager.hears("READY=1")
    manager.socket.close()


def hold(server, *sockets):
    """Have the server find these sockets as systemd passes them."""
    server.pass_fds = tuple(each.fileno() for each in sockets)
    moves = " ".join(f"{3 + i}<&{200 + i}" for i in range(len(sockets)))
    first = " ".join(f"{200 + i}<&{each.fileno()}" for i, each in enumerate(sockets))
    server.program = ["bash", "-c", f'exec {first}; exec {moves}; LISTEN_FDS={len(sockets)} LISTEN_PID=$$ exec "$0" "$@"',
                      *server.program]


def held_port():
    made = socket.create_server(("127.0.0.1", 0))
    return made, f"127.0.0.1:{made.getsockname()[1]}"


def visit_once(address):
    """The first line of the answer, or what went wrong."""
    try:
        with socket.create_connection(address, PATIENCE) as client:
            client.sendall(b"GET /Common/HealthCheck HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = b""
            while got := client.recv(65536):
                answer += got
            return answer.split(b"\r\n")[0].decode()
    except OSError as trouble:
        return repr(trouble)


class Visitors(threading.Thread):
    """Makes one connection after the other and asks once on each: what came of it."""

    def __init__(self, address):
        super().__init__()
        self.address, self.answers, self.over = address, [], threading.Event()
        self.start()

    def run(self):
        while not self.over.is_set():
            self.answers.append(visit_once(self.address))

    def goes_on(self, count=20):
        enough = len(self.answers) + count
        poll(lambda: len(self.answers) >= enough, what="more visits")


def test_a_restart_refuses_no_connection_if_the_manager_holds_the_socket(new_server):
    made, address = held_port()
    server = new_server(listen=address)
    hold(server, made)
    visitors = [Visitors(made.getsockname()) for _ in range(4)]  # before the first start, too
    try:
        for _ in range(5):
            server.start()
            assert server.url == f"http://{address}"
            for visitor in visitors:
                visitor.goes_on()
            assert server.stop() == 0
        server.start()
        for visitor in visitors:
            visitor.goes_on()
    finally:
        for visitor in visitors:
            visitor.over.set()
        for visitor in visitors:
            visitor.join()
        made.close()
    answers = [answer for visitor in visitors for answer in visitor.answers]
    assert set(answers) <= {"HTTP/1.1 200 OK", "HTTP/1.1 503 Service Unavailable"}, set(answers)
    assert answers.count("HTTP/1.1 200 OK") > 200


def test_who_connects_while_the_server_drains_is_left_to_the_next_one(new_server):
    made, address = held_port()
    server = new_server(listen=address, drain_grace="10m")
    hold(server, made)
    server.start()
    client = server.client(ALICE)
    client.wait_for(client.order("Endless"), "processing")
    server.process.send_signal(signal.SIGTERM)
    with made, ThreadPoolExecutor() as pool:
        for _ in range(1000):  # until one is not accepted any more
            visit = pool.submit(visit_once, made.getsockname())
            if not wait([visit], SOON / 10).done:
                break
            assert visit.result() in ("HTTP/1.1 200 OK", "HTTP/1.1 503 Service Unavailable")
        assert server.stop() == 0  # the second signal ends the drain
        server.start()
        assert visit.result() == "HTTP/1.1 200 OK"
        server.client(ALICE).delete_all()


def test_a_unix_socket_of_the_manager_stays_when_the_server_ends(new_server, tmp_path):
    path = tmp_path / "held"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
        made.listen()
        server = new_server(listen=f"127.0.0.1:0 unix:{path}")
        hold(server, made)
        server.start()
        with connect_unix(path) as client:
            client.sendall(b"GET /Common/HealthCheck HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.recv(64).startswith(b"HTTP/1.1 200")
        assert server.stop() == 0
        assert path.is_socket()
        connect_unix(path).close()


def test_a_socket_that_no_key_names_is_a_start_that_fails(new_server):
    made, address = held_port()
    server = new_server()
    hold(server, made)
    with made, pytest.raises(AssertionError):
        server.start()
    assert f"holds a socket at http://{address}" in server.log_text()


def test_sockets_for_another_process_are_not_touched(new_server):
    server = new_server()
    server.environment |= {"LISTEN_FDS": "1", "LISTEN_PID": "1"}
    server.start()
    failed(server.client(ALICE).get("/Nothing"), 404)


def test_lines_for_the_journal_begin_with_their_priority(new_server):
    server = new_server(log_format="text")
    server.log.touch()
    st = server.log.stat()
    server.environment["JOURNAL_STREAM"] = f"{st.st_dev}:{st.st_ino}"
    (server.reports / "Bad.sql").write_text("-- report: Bad\n")
    server.start()
    client = server.client(ALICE)
    client.finish(client.order("Quick", ProductID="99"))
    assert server.stop() == 0
    levels = {"error": "3", "warn": "4", "info": "6", "debug": "7"}
    lines = server.log_text().splitlines()
    for line in lines:
        match = re.match(r"<(\d)>\S+ (\w+) ", line)
        assert match and match[1] == levels[match[2]], line
    assert {re.match(r"<(\d)>", line)[1] for line in lines} >= {"3", "4", "6"}


def test_what_is_not_the_journal_has_no_priorities(new_server):
    server = new_server()
    server.environment["JOURNAL_STREAM"] = "1:1"
    server.start()
    assert server.stop() == 0
    assert "<6>" not in server.log_text()
