"""What ends a server and what does not: signals, a second signal while it drains, and a reader of its
log that stops."""

import os
import re
import resource
import signal
import subprocess
import threading

import pytest
import requests

from harness import ENDS_WITHIN, PATIENCE, failed, poll
from seams import Gate, plan

# What is meant to end or stop a server or to continue it, or says that it has a fault.
MEANT = {"SIGTERM", "SIGINT", "SIGKILL", "SIGSTOP", "SIGTSTP", "SIGCONT",
         "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGSEGV", "SIGSYS"}
HARMLESS = sorted(signal.valid_signals() - {getattr(signal, name) for name in MEANT})
MiB = 1024 * 1024
PIPE = 65536  # bytes that the kernel keeps for a reader
QUEUE = 2 * 256 * 1024  # … and the server
LINE = 300  # at least, of an answer with a request id as long as it may be
LONG_ID = {"X-Request-Id": "x" * 128}


def stopped(server):
    """Wait for the end that was asked for; the exit status."""
    process, server.process = server.process, None
    try:
        return process.wait(ENDS_WITHIN)
    finally:
        process.stdout.close()


@pytest.fixture
def draining(make_server):
    """A server that drains because of an endless report, and the report."""
    server = make_server(workers=1, drain_grace="1h")
    client = server.client("alice")
    reference = client.order("Endless")
    client.wait_for(reference, "processing")
    server.process.send_signal(signal.SIGTERM)
    poll(lambda: "stop.begun" in server.log_text(), what="the stop")
    poll(lambda: requests.get(server.url + "/Common/HealthCheck").status_code == 503, what="a 503")
    yield server, reference
    if server.process is not None:
        server.process.send_signal(signal.SIGTERM)
        assert stopped(server) == 0


@pytest.mark.parametrize("number", HARMLESS)
def test_a_signal_that_says_nothing_ends_neither_server_nor_worker(server, alice, number):
    workers = server.workers()
    os.kill(server.process.pid, number)
    for pid in workers if number != signal.SIGXCPU else []:  # which ends a report that takes too much
        os.kill(pid, number)
    alice.complete("Quick", ProductID="1")
    alice.complete("Quick", ProductID="2")
    assert server.process.poll() is None and server.workers() == workers


def test_a_signal_to_read_the_definitions_does_not_end_a_server_that_is_not_ready(make_server):
    """It is sent while the server reads a configuration that does not come."""
    server = make_server()
    server.stop()
    path = server.folder / "reportd.conf"
    words = path.read_text()
    path.unlink()
    os.mkfifo(path)
    with open(server.log, "ab") as log:
        server.process = subprocess.Popen([*server.program, "serve", "-c", path], env=server.environment,
                                          cwd=server.folder, stdout=subprocess.PIPE, stderr=log)
    with open(path, "w") as fifo:  # which waits until the server has opened it
        for name in ("SIGHUP", "SIGUSR1", "SIGQUIT", "SIGALRM"):
            server.process.send_signal(getattr(signal, name))
        fifo.write(words)
    assert server.process.stdout.readline().startswith(b"ready on ")
    assert server.stop() == 0


def limit_files(size, *pids):
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_limit_on_the_size_of_files_is_an_error_like_others(make_server):
    """Of the store, of the log, of a result: what cannot be written is answered so, and nothing ends."""
    server = make_server(workers=1)
    client = server.client("alice")
    client.complete("Quick", ProductID="1")
    pids = [server.process.pid, *server.workers()]
    limit_files(4096, *pids)
    failed(client.submit("Quick", {"ProductID": "1"}), 503)
    assert requests.get(server.url + "/Common/HealthCheck", timeout=PATIENCE).status_code == 503
    limit_files(resource.RLIM_INFINITY, pids[0])
    limit_files(MiB, pids[1])
    answer = client.finish(client.order("Big", Rows="300000"))
    assert answer.json()["data"] == "error", answer.text
    limit_files(resource.RLIM_INFINITY, *pids)
    client.complete("Big", Rows="300000")
    assert [server.process.pid, *server.workers()] == pids and server.process.poll() is None


def test_while_it_drains_everything_that_comes_is_told_to_come_back(draining):
    server, _ = draining
    for method, path in [("GET", "/Common/HealthCheck"), ("POST", "/User/Login"), ("POST", "/Report"),
                         ("GET", "/Report/Status"), ("DELETE", "/Report"), ("GET", "/metrics")]:
        answer = requests.request(method, server.url + path)
        assert answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0, path
        assert answer.json()["result"] is False and "shutting down" in answer.json()["message"]
        assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_second_signal_ends_the_drain_at_once_and_loses_nothing(draining, name):
    server, reference = draining
    server.process.send_signal(getattr(signal, name))
    assert stopped(server) == 0
    assert "stop.hurried" in server.log_text() and "stop.done" in server.log_text()
    server.configure(workers=1)
    client = server.start().client("alice")
    client.wait_for(reference, "processing")
    assert f"reference={reference} user=alice state=error" not in server.log_text()


def test_a_second_signal_does_not_wait_for_a_slow_client(make_server):
    server = make_server()
    client = server.client("alice")
    reference = client.complete("Big", Rows="300000")
    with client.result(reference, stream=True) as download:
        next(download.iter_content(1000))
        server.process.send_signal(signal.SIGTERM)
        poll(lambda: "stop.begun" in server.log_text(), what="the stop")
        server.process.send_signal(signal.SIGTERM)
        assert stopped(server) == 0


def test_a_second_signal_ends_a_server_in_which_a_request_hangs(make_server):
    """As on a disk that does not answer. What it left is what kill -9 leaves."""
    server = make_server()
    server.stop()
    gate = Gate(server, "store.submit.posted")
    plan(server, gate.seam, trace=gate.trace)
    server.start()
    client = server.client("alice")

    def submit():
        with pytest.raises(requests.ConnectionError):
            client.submit("Quick", {"ProductID": "1"})

    sender = threading.Thread(target=submit)
    sender.start()
    gate.wait()
    server.process.send_signal(signal.SIGTERM)
    poll(lambda: server.log_text().count("stop.begun") == 2, what="the stop")  # the first was before
    server.process.send_signal(signal.SIGTERM)
    assert stopped(server) == 1
    sender.join()
    assert "stop.hurried" in server.log_text() and "stop.forced" in server.log_text()
    plan(server)
    assert server.start().client("alice").references() == []


@pytest.fixture
def mute(make_server):
    """A server whose log is a pipe, and the end of it that nobody reads."""
    server = make_server()
    server.stop()
    real = server.log
    server.log = server.folder / "log.fifo"
    os.mkfifo(server.log)
    end = os.open(server.log, os.O_RDONLY | os.O_NONBLOCK)
    server.start()
    os.set_blocking(end, True)
    server.log = real
    yield server, end
    os.close(end)


class Reader(threading.Thread):
    """Reads a log up to the end of its writers."""

    def __init__(self, end):
        super().__init__()
        self.end = end
        self.got = b""
        self.start()

    def run(self):
        while piece := os.read(self.end, PIPE):
            self.got += piece

    def text(self):
        self.join()
        return self.got.decode()


def fill(server, size):
    """Requests that are logged in more than so many bytes; all are answered."""
    session = requests.Session()
    session.trust_env = False
    for _ in range(size // LINE):
        assert session.get(server.url + "/openapi.json", headers=LONG_ID).status_code == 200


def test_a_reader_of_the_log_that_stops_stops_neither_requests_nor_sigterm(mute):
    server, end = mute
    client = server.client("alice")
    fill(server, PIPE + QUEUE + PIPE)
    client.delete(client.complete("Quick", ProductID="1"))
    assert server.stop() == 0
    assert len(Reader(end).text()) <= PIPE


def test_what_was_dropped_is_counted_in_its_place_when_the_log_is_read_again(mute):
    server, end = mute
    fill(server, PIPE + QUEUE + PIPE)
    reader = Reader(end)
    poll(lambda: b" log.dropped " in reader.got, what="the count")
    client = server.client("alice")
    reference = client.complete("Quick", ProductID="1")
    assert server.stop() == 0
    lines = reader.text().splitlines()
    dropped = [int(number) for number in re.findall(r" warn log\.dropped lines=(\d+)$", reader.text(),
                                                    re.M)]
    asked = (PIPE + QUEUE + PIPE) // LINE
    assert dropped and sum(dropped) + sum("path=/openapi.json" in line for line in lines) >= asked
    place = next(i for i, line in enumerate(lines) if " log.dropped " in line)
    states = [i for i, line in enumerate(lines) if f"reference={reference} user=alice state=" in line]
    assert len(states) == 3 and place < states[0] < states[1] < states[2]
    assert " stop.done " in lines[-1]


def test_the_last_lines_are_written_when_the_log_is_read(mute):
    server, end = mute
    reader = Reader(end)
    fill(server, 5 * PIPE)
    assert server.stop() == 0
    lines = reader.text().splitlines()
    assert " stop.done " in lines[-1] and " log.dropped " not in reader.text()
    assert sum("path=/openapi.json" in line for line in lines) == 5 * PIPE // LINE
