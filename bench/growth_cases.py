"""Cost as work grows: rows of a report, stored reports, clients, workers, connections. These make the curves."""

import resource
import socket
import threading
import time

from generate_cases import ITEMS, generate
from http_cases import DISTINCT, delete_round, receive, submit_round
from life_cases import lives_a_second
from servers import MANY_SQL, Reportd
from stage import Row, alternate, median, process_memory, run, wrk

MB = 1_000_000
WORKER_COUNTS, CLIENT_COUNTS = (1, 2, 4, 8), (1, 4, 16, 64)
IDLE, DOWNLOADS, LARGE = 5_000, 100, 1 << 30
PURGED, TO_EXPIRE, POLLERS = 100_000, 5, 4  # reports; bytes of each result, by which they are known; connections


class Curves:
    """One figure of the growth: what is on its x axis, and series of points, measured in rounds."""

    def __init__(self, x):
        self.x, self.values, self.units = x, {}, {}

    def add(self, series, unit, x, value):
        self.units[series] = unit
        self.values.setdefault(series, {}).setdefault(x, []).append(value)

    def at(self, series, x):
        return self.values[series][x]

    def as_json(self):
        return {"x": self.x, "series": [
            {"name": name, "unit": self.units[name], "points": [[x, median(found)] for x, found in sorted(points.items())]}
            for name, points in self.values.items()]}


# --- rows ---------------------------------------------------------------------------------------


def rows(bench):
    """Seconds and the worker's greatest memory; each report has a worker of its own, which has seen no other."""
    sizes = [10 ** i for i in range(3, 7 if bench.quick else 8)]
    curves = Curves("rows of a report")
    with Reportd("rows", core=None) as server:
        for _ in range(bench.rounds):
            for size in sizes:
                server.restart()
                server.order("Tiny", wait=60)  # until its worker has opened everything
                curves.add("reportd, POST to complete", "s", size, generate(server, "Many", {"Rows": str(size)}))
                curves.add("greatest memory of the worker", "MB", size, process_memory(server.workers()[0], "VmHWM") / MB)
                bare = run(bench.program("loop_step"), ITEMS, MANY_SQL.replace(":Rows", str(size)))
                curves.add("bare sqlite3_step loop", "s", size, float(bare.split()[0]))
    bench.curves["rows"] = curves.as_json()
    yield Row(f"memory of a worker, {sizes[-1]:,} rows", "itself at 10,000 rows", "MB",
              curves.at("greatest memory of the worker", sizes[-1]), curves.at("greatest memory of the worker", 10_000), 1.1, at_most=True)


# --- stored reports -----------------------------------------------------------------------------


def stored(bench):
    """A server for each size, all at once, measured in turn; microseconds a request at 64 connections."""
    sizes = [10 ** i for i in range(3, 6 if bench.quick else 7)]
    curves = Curves("stored reports")
    servers = {size: Reportd(f"stored{size}") for size in sizes}
    try:
        for size, server in servers.items():
            pairs = server.store_reports(size, most=DISTINCT)
            server.write_requests("status", pairs)
            server.write_requests("list", pairs, "/Report/List?PageSize=1")
            server.freeze_workers()
        for _ in range(bench.rounds):
            for size, server in servers.items():
                stored_round(bench, curves, size, server)
        for size, server in servers.items():
            curves.add("memory of the server afterwards", "MB", size, process_memory(server.process.pid, "VmRSS") / MB)
    finally:
        for server in servers.values():
            server.__exit__()
    bench.curves["stored"] = curves.as_json()
    yield Row(f"list, a page of one, {sizes[-1]:,} stored", f"itself at {sizes[0]:,}", "µs", curves.at("list, a page of one", sizes[-1]),
              curves.at("list, a page of one", sizes[0]), 1.5, at_most=True)


def stored_round(bench, curves, size, server):
    for name in ("status", "list"):
        rate = wrk(server.url, "poll.lua", server.folder / name, seconds=1)["rate"]
        curves.add({"status": "status poll", "list": "list, a page of one"}[name], "µs a request", size, 1e6 / rate)
    curves.add("durable submit", "µs a request", size, 1e6 / submit_round(server, 1))
    curves.add("DELETE", "µs a request", size, 1e6 / delete_round(server, bench.scaled(2000), 1))


# --- a purge ------------------------------------------------------------------------------------


def poll_in_purge(server, requests, count):
    """The median of polls right after a start that finds so many reports expired, each with a file."""
    server.store_reports(count, TO_EXPIRE, files=True)
    server.stop()
    db = server.db()
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE report SET expires_ms = 1 WHERE bytes = ?", (TO_EXPIRE,))
    server.close(db)
    server.start()
    p50 = wrk(server.url, "poll.lua", requests, seconds=1, connections=POLLERS, core=None)["p50_us"] / 1000
    left = server.count(TO_EXPIRE)
    if left == 0:
        raise RuntimeError("the purge was over before the polls were")
    while server.count(TO_EXPIRE) > 0:
        time.sleep(0.1)
    return p50


def purge(bench):
    """The reports that are polled stay."""
    with Reportd("purge", core=None, http_threads=2) as server:
        requests = server.write_requests("polls", server.store_reports(1000))
        ours, theirs = alternate(bench.pairs, lambda: poll_in_purge(server, requests, PURGED),
                                 lambda: wrk(server.url, "poll.lua", requests, seconds=1, connections=POLLERS, core=None)["p50_us"] / 1000)
    yield Row(f"p50 of polls during a purge of {PURGED:,}", "without it", "ms", ours, theirs, 2, at_most=True)


# --- clients, workers ---------------------------------------------------------------------------


def clients(bench):
    """Requests a second of 1 to 64 keep-alive connections, the server on one core, wrk on the other."""
    curves = Curves("clients")
    with Reportd("clients") as server, Reportd("lives", core=None, workers=2, http_threads=2) as alive:
        status = server.write_requests("status", server.store_reports(1000))
        server.freeze_workers()
        tokens = alive.write_requests("tokens", [("", token) for token in alive.tokens[:CLIENT_COUNTS[-1]]])
        for _ in range(bench.rounds):
            for count in CLIENT_COUNTS:
                rate = wrk(server.url, "poll.lua", status, seconds=1, connections=count)["rate"]
                curves.add("status poll", "req/s", count, rate)
                curves.add("durable submit", "reports/s", count, submit_round(server, 1, connections=count))
                curves.add("whole lives, 2 workers", "lives/s", count,
                           lives_a_second(alive.url, "reportd", tokens, 1, clients=count))
    bench.curves["clients"] = curves.as_json()
    yield from ()


def together(server, count, size):
    """Rows a second of `count` reports that are ordered at once."""
    threads = [threading.Thread(target=generate, args=(server, "Many", {"Rows": str(size)})) for _ in range(count)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count * size / (time.perf_counter() - began)


def workers(bench):
    """The same work with 1 to 8 workers: 16 reports of 100,000 rows at once, and the lives of trivial reports."""
    curves = Curves("workers")
    servers = {count: Reportd(f"workers{count}", core=None, workers=count, http_threads=2) for count in WORKER_COUNTS}
    try:
        for _ in range(bench.rounds):
            for count, server in servers.items():
                tokens = server.write_requests("tokens", [("", token) for token in server.tokens[:16]])
                curves.add("16 reports of 100,000 rows", "rows/s", count, together(server, 16, bench.scaled(100_000)))
                curves.add("whole lives, 16 clients", "lives/s", count,
                           lives_a_second(server.url, "reportd", tokens, 1, clients=16))
    finally:
        for server in servers.values():
            server.__exit__()
    bench.curves["workers"] = curves.as_json()
    yield from ()


# --- the server's memory ------------------------------------------------------------------------


def ask(server, pair, path):
    client = socket.create_connection(("127.0.0.1", server.port))
    client.sendall(f"GET {path.format(pair[0])} HTTP/1.1\r\nHost: bench\r\nVersion: 2.0\r\n"
                   f"Authorization: {pair[1]}\r\n\r\n".encode())
    return client


def idle_connection(server, pair):
    """One that has been served once and is kept alive."""
    client = ask(server, pair, "/Report/Status?reference={}")
    receive(client)
    return client


def stuck_download(server, pair):
    """One whose client has read a little and then nothing more."""
    client = ask(server, pair, "/Report?reference={}")
    client.recv(65536)
    return client


def memory(bench):
    """Of the server: what a million stored reports, 5,000 idle connections and 100 downloads in flight add."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, IDLE + 1000)), hard))
    with Reportd("memory") as server:
        def now():
            return process_memory(server.process.pid, "VmRSS")

        few = server.write_requests("few", server.store_reports(1000))
        wrk(server.url, "poll.lua", few, seconds=1)
        idle = now()
        count = bench.scaled(1_000_000)
        pairs = server.store_reports(count, most=DISTINCT)
        wrk(server.url, "poll.lua", server.write_requests("many", pairs), seconds=bench.seconds)
        with_reports = now()
        connections = [idle_connection(server, pairs[i % len(pairs)]) for i in range(IDLE)]
        with_connections = now()
        large, = server.store_reports(1, LARGE)
        with open(server.spool / f"{large[0]}.1.json", "wb") as file:
            file.truncate(LARGE)
        connections += [stuck_download(server, large) for _ in range(DOWNLOADS)]
        with_downloads = now()
        for client in connections:
            client.close()
    yield Row(f"memory of the server, {count:,} stored", "itself at 1,000", "MB", [with_reports / MB], [idle / MB],
              note=f"{(with_reports - idle) / count:.1f} bytes a report")
    yield Row(f"… and {IDLE:,} idle connections", "the line above", "MB", [with_connections / MB], [with_reports / MB],
              note=f"{(with_connections - with_reports) / IDLE:,.0f} bytes a connection")
    yield Row(f"… and {DOWNLOADS} downloads in flight", "the line above", "MB", [with_downloads / MB],
              [with_connections / MB], note=f"{(with_downloads - with_connections) / DOWNLOADS:,.0f} bytes a download")
