"""GET /Report/Events: from a commit to the client, and what 5,000 streams cost beside 5,000 idle connections."""

import http.client
import json
import os
import resource
import statistics
import subprocess
import time
from pathlib import Path

from growth_cases import MB, ask, idle_connection
from life_cases import CLIENTS, lives_a_second
from servers import AnotherNode, Reportd, SharedReportd, private_postgres
from stage import DATA, Row, Skip, alternate, process_memory, wrk

STREAMS, PER_USER, POLLERS = 5_000, 10, 4
SUBMITS = 200
SETTLE, COMMENT_EVERY = 2, 15  # seconds
TICKS = os.sysconf("SC_CLK_TCK")


class Stream:
    """Of a user; it reads when it is asked for the next event."""

    def __init__(self, port, token):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.connection.request("GET", "/Report/Events", headers={"Version": "2.0", "Authorization": token})
        self.answer = self.connection.getresponse()
        if self.answer.status != 200:
            raise RuntimeError(f"a stream: {self.answer.status} {self.answer.read()}")

    def until(self, state, which=None):
        """The reference of the next event of this state, of that report."""
        while line := self.answer.readline():
            event = json.loads(line[6:]) if line.startswith(b"data: ") else {}
            if event.get("state") == state and event["reference"] == (which or event["reference"]):
                return event["reference"]
        raise RuntimeError("the stream has ended")

    def close(self):
        self.connection.close()


def submit_to_event_ms(server, port, count):
    """The median, from the sending of a POST to its event at a client of the node at `port`: with the commit itself."""
    stream = Stream(port, server.tokens[0])
    stream.until("processing")  # what the frozen worker has
    poster, times = http.client.HTTPConnection("127.0.0.1", server.port), []
    headers = {"Version": "2.0", "Authorization": server.tokens[0], "Content-Type": "application/json"}
    for _ in range(count):
        began = time.perf_counter()
        poster.request("POST", "/Report", '{"reportName": "Tiny"}', headers)
        which = stream.until("queued")
        times.append(1000 * (time.perf_counter() - began))
        poster.getresponse().read()
        server.delete(which)
        stream.until("deleted", which)
    stream.close()
    poster.close()
    return statistics.median(times)


def cpu_seconds(pid):
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])) / TICKS


def cost_of(server, connections, seconds):
    """Bytes of memory, and milliseconds of CPU in a second, of a server with these connections and nothing to do."""
    memory, before = process_memory(server.process.pid, "VmRSS"), cpu_seconds(server.process.pid)
    time.sleep(seconds)
    cpu = cpu_seconds(server.process.pid) - before
    for connection in connections:
        connection.close()
    server.restart()
    return memory, 1000 * cpu / seconds


def idle_cost(server, pair, count, seconds):
    return cost_of(server, [idle_connection(server, pair) for _ in range(count)], seconds)


def open_streams(server, count):
    streams = [ask(server, ("", server.tokens[i // PER_USER]), "/Report/Events") for i in range(count)]
    for stream in streams:
        if not stream.recv(4096).startswith(b"HTTP/1.1 200 "):
            raise RuntimeError("a stream was refused")
    return streams


def stream_cost(server, count, seconds):
    return cost_of(server, open_streams(server, count), seconds)


def poll_p99(bench, server, requests):
    """In which every stream has a comment, when what was opened or closed before has settled."""
    time.sleep(SETTLE)
    return wrk(server.url, "poll.lua", requests, seconds=bench.seconds if bench.quick else COMMENT_EVERY, connections=POLLERS, core=None)["p99_us"] / 1000


def poll_beside(bench, server, requests, count):
    streams = open_streams(server, count)
    try:
        return poll_p99(bench, server, requests)
    finally:
        for stream in streams:
            stream.close()


def events(bench):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 3 * STREAMS)), hard))
    count, seconds = bench.scaled(STREAMS), 5 if bench.quick else 15
    with Reportd("events", core=None, http_threads=2) as server:
        server.freeze_workers()
        times = [submit_to_event_ms(server, server.port, SUBMITS // bench.pairs) for _ in range(bench.pairs)]
        yield Row("POST to its event, with the commit", "10 ms", "ms", times, [10.0] * len(times), 1, at_most=True)
    with Reportd("streams", core=None, http_threads=2) as server:
        pairs = server.store_reports(1000)
        requests = server.write_requests("polls", pairs)
        ours, theirs = alternate(bench.rounds, lambda: poll_beside(bench, server, requests, count), lambda: poll_p99(bench, server, requests))
        yield Row(f"p99 of polls beside {count:,} streams", "without them", "ms", ours, theirs, 2, at_most=True)
        server.restart()
        streams, idle = alternate(bench.rounds, lambda: stream_cost(server, count, seconds), lambda: idle_cost(server, pairs[0], count, seconds))
        yield Row(f"memory of the server, {count:,} streams", f"{count:,} idle connections", "MB", [memory / MB for memory, _ in streams],
                  [memory / MB for memory, _ in idle], 1.15, at_most=True, note=f"{(streams[0][0] - idle[0][0]) / count:,.0f} bytes more a connection")
        yield Row(f"CPU a second of {count:,} streams", f"{count:,} idle connections", "ms", [cpu for _, cpu in streams],
                  [max(cpu, 1000 / TICKS / seconds) for _, cpu in idle])
    try:
        postgres = private_postgres()
    except Skip as why:
        bench.skip("events from another node", why)
        return
    try:
        with SharedReportd("events", postgres, in_rows=False) as server, AnotherNode(server) as second:
            server.freeze_workers()
            times = [submit_to_event_ms(server, second.port, SUBMITS // bench.pairs) for _ in range(bench.pairs)]
            yield Row("POST to its event on another node", "50 ms", "ms", times, [50.0] * len(times), 1, at_most=True)
    finally:
        postgres.close()


# --- all of it at once ------------------------------------------------------------------------------


def watched(bench, server):
    """A stream of each client, all read to nowhere by one process, which costs these cores nothing: what is compared is the server."""
    return subprocess.Popen([str(bench.program("drain")), str(server.port), "/Report/Events", str(CLIENTS), ",".join(server.tokens[:CLIENTS])],
                            stdout=subprocess.DEVNULL)


def features(bench):
    """The audit trail, a stream of each client, and limits of running reports, beside a server without them."""
    trail = DATA / "trail"
    trail.mkdir(exist_ok=True)
    with Reportd("on", core=None, workers=2, http_threads=2, audit_log=trail / "audit.log", running_limit=CLIENTS) as on, \
            Reportd("off", core=None, workers=2, http_threads=2) as off:
        polls = {server: server.write_requests("polls", server.store_reports(1000)) for server in (on, off)}
        clients = {server: server.write_requests("clients", [("", token) for token in server.tokens[:CLIENTS]]) for server in (on, off)}
        streams = watched(bench, on)
        try:
            for name, unit, rate in (
                    ("status poll", "req/s", lambda server: wrk(server.url, "poll.lua", polls[server], seconds=bench.seconds, core=None)["rate"]),
                    (f"whole lives, {CLIENTS} clients", "lives/s", lambda server: lives_a_second(server.url, "reportd", clients[server], bench.seconds))):
                for server in (on, off):
                    rate(server)
                ours, theirs = alternate(bench.pairs, lambda rate=rate: rate(on), lambda rate=rate: rate(off))
                yield Row(f"{name}, with events, trail, limits", "without", unit, ours, theirs, 0.95)
            if streams.poll() is not None:
                raise RuntimeError("the streams have ended")
        finally:
            streams.kill()
            streams.wait()
