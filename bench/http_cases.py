"""The cases over HTTP against limits: status poll, submit, DELETE, download, a trivial report."""

import os
import shutil
import socket
import sqlite3
import time
import uuid

from servers import Constant, Nginx, Reportd, SharedReportd, make_provider, private_postgres
from stage import CONNECTIONS, DATA, LOAD_CORE, SERVER_CORE, Row, alternate, median, run, wrk

FEW, MANY = 1_000, 1_000_000
TOGETHER = 10_000  # reports that one request deletes
TO_DELETE = 7  # bytes of a result: loop_commit knows by it what to delete
DISTINCT = 100_000  # at most so many references are polled in turn …
WARM_S = 5  # … all of them once before the clock starts


def receive(client):
    """One whole answer: head and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65536)
    head, body = data.split(b"\r\n\r\n", 1)
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += client.recv(65536)
    return head, body


def answer_to(server, pair):
    """The body of a status poll, and the headers that an HTTP library does not add by itself."""
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(f"GET /Report/Status?reference={pair[0]} HTTP/1.1\r\nHost: bench\r\nVersion: 2.0\r\n"
                       f"Authorization: {pair[1]}\r\n\r\n".encode())
        head, body = receive(client)
    own = {"date", "content-length", "connection", "server"}
    headers = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
    return body.decode(), [(name, value) for name, value in headers if name.lower() not in own]


def status(bench):
    """Both stores are served at once, one server each, and measured in turn with constants of the same bytes."""
    def poll(url, file, *refused):
        return wrk(url, "poll.lua", file, *refused, seconds=bench.seconds)["rate"]

    provider = make_provider()
    with Reportd("few", sections=provider.section()) as few, Reportd("many") as many:
        few_pairs = few.store_reports(FEW)
        few_file = few.write_requests("requests", few_pairs)
        theirs = few.provider_tokens(provider)
        theirs_file = few.write_requests("requests of a provider", [(guid, theirs[token]) for guid, token in few_pairs])
        strangers = few_pairs[1:] + few_pairs[:1]
        foreign_file = few.write_requests("foreign", [(guid, token) for (guid, _), (_, token) in zip(few_pairs, strangers)])
        unknown_file = few.write_requests("unknown", [(uuid.uuid4(), token) for _, token in few_pairs])
        many_file = many.write_requests("requests", many.store_reports(bench.scaled(MANY), most=DISTINCT))
        body, headers = answer_to(few, few_pairs[0])
        with Nginx(body, headers) as nginx, Constant(body, headers) as library:
            for url, file in ((few.url, few_file), (few.url, theirs_file), (many.url, many_file)):  # who polls has asked before
                wrk(url, "poll.lua", file, seconds=WARM_S)
            ours, by_provider, beside, bare, larger = alternate(
                bench.pairs, lambda: poll(few.url, few_file), lambda: poll(few.url, theirs_file), lambda: poll(nginx.url, few_file),
                lambda: poll(library.url, few_file), lambda: poll(many.url, many_file))
            foreign, unknown = alternate(bench.pairs, lambda: poll(few.url, foreign_file, "refused"),
                                         lambda: poll(few.url, unknown_file, "refused"))
    yield Row("status poll, 1,000 stored", "nginx, a constant of the same size", "req/s", ours, beside, 0.8)
    yield Row("status poll, 1,000 stored", "libmicrohttpd alone, the same constant", "req/s", ours, bare)
    yield Row("status poll, a provider's token", "itself with its own token", "req/s", by_provider, ours, 0.95)
    yield Row(f"status poll, {bench.scaled(MANY):,} stored", "itself at 1,000", "req/s", larger, ours, 0.97)
    yield Row("status poll of another user's reference", "that of an unknown one", "req/s", foreign, unknown)


def submit_round(server, seconds, connections=CONNECTIONS):
    """Reports a second; the workers are frozen, so that nothing but submitting is measured."""
    file = server.write_requests("orders", [("", token) for token in server.tokens], "/Report{}")
    result = wrk(server.url, "order.lua", "POST", file, seconds=seconds, connections=connections)
    server.forget_queue()
    return result["rate"]


def bare_insert(bench):
    store = DATA / "bare.db"
    for leftover in store.parent.glob("bare.db*"):
        leftover.unlink()
    db = sqlite3.connect(store)
    db.executescript("""PRAGMA journal_mode = WAL;
        CREATE TABLE report (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, user_id INTEGER NOT NULL,
            state INTEGER NOT NULL, slot INTEGER NOT NULL, submitted_ms INTEGER NOT NULL, name TEXT NOT NULL,
            parameters TEXT NOT NULL) STRICT""")
    db.close()
    return float(run(bench.program("loop_commit"), "insert", store, bench.seconds, core=SERVER_CORE))


def submit(bench):
    """One core can do at most what is left of it when nginx has answered the POST and a bare store has committed the row."""
    with Reportd("few") as few, Reportd("many") as many, Nginx('{"result": true}') as nginx:
        few.store_reports(FEW)
        many.store_reports(bench.scaled(MANY))
        few.freeze_workers()
        many.freeze_workers()
        orders = few.write_requests("orders", [("", token) for token in few.tokens], "/Report{}")
        ours, bare, posts, larger = alternate(
            bench.pairs, lambda: submit_round(few, bench.seconds), lambda: bare_insert(bench),
            lambda: wrk(nginx.url, "order.lua", "POST", orders, seconds=bench.seconds)["rate"], lambda: submit_round(many, bench.seconds))
    one_core = [1 / (1 / post + 1 / row) for post, row in zip(posts, bare)]
    yield Row("durable submit, 64 connections", "one core: nginx answering a POST + bare SQLite, 64 rows a commit", "reports/s", ours, one_core, 0.7)
    yield Row(f"durable submit, {bench.scaled(MANY):,} stored", "itself at 1,000", "reports/s", larger, ours, 0.8)


def delete_round(server, count, seconds):
    file = server.write_requests("deletes", server.store_reports(count, TO_DELETE, files=True), "/Report?reference={}")
    result = wrk(server.url, "order.lua", "DELETE", file, seconds=seconds)
    if result["requests"] < count:
        server.forget_reports(TO_DELETE)
    return result["rate"]


def bare_delete(bench, server, count):
    server.store_reports(count, TO_DELETE, files=True)
    copy = DATA / "bare-delete.db"
    for leftover in copy.parent.glob("bare-delete.db*"):
        leftover.unlink()
    shutil.copy(server.store, copy)
    os.sync()
    rate = float(run(bench.program("loop_commit"), "delete", copy, server.spool, count, core=SERVER_CORE))
    server.forget_reports(TO_DELETE)
    return rate


def delete(bench):
    count = bench.scaled(6000, least=3000)
    with Reportd("delete") as server:
        ours, beside = alternate(bench.pairs, lambda: delete_round(server, count, 2),
                                 lambda: bare_delete(bench, server, count))
    yield Row("DELETE of complete reports", "bare SQLite, the same rows, and unlink", "reports/s", ours, beside, 0.4)


def one_by_one(server, count, files):
    """Reports a second, by one client that waits for each answer."""
    pairs = server.store_reports(count, TO_DELETE, files=files, users=1)
    wire = Wire(server.port, pairs[0][1])
    began = time.perf_counter()
    for which, _ in pairs:
        _, answer = wire.time(wire.request(f"DELETE /Report?reference={which}"))
        if b"has been deleted" not in answer:
            raise RuntimeError(f"DELETE was answered {answer[:200]}")
    return count / (time.perf_counter() - began)


def all_at_once(server, count, files):
    """The same, by one request for all."""
    pairs = server.store_reports(count, TO_DELETE, files=files, users=1)
    wire = Wire(server.port, pairs[0][1])
    ms, answer = wire.time(wire.request("DELETE /Report/List?State=complete"))
    if f'"complete": {count},'.encode() not in answer:
        raise RuntimeError(f"DELETE of {count} was answered {answer[:400]}")
    return count / ms * 1000


def at_once_beside_one_by_one(bench, server, files):
    """10,000 by one request, a tenth of that one by one: its rate does not depend on how many there are."""
    few = bench.scaled(1000, least=200)
    return alternate(bench.pairs, lambda: all_at_once(server, TOGETHER, files), lambda: one_by_one(server, few, files))


def delete_many(bench):
    postgres = private_postgres()
    try:
        for what, files, make in (
                ("no files", False, lambda: Reportd("delete-many", core=None)),
                ("each with a file", True, lambda: Reportd("delete-many", core=None)),
                ("PostgreSQL, files", True, lambda: SharedReportd("delete-many", postgres, in_rows=False)),
                ("PostgreSQL, rows", True, lambda: SharedReportd("delete-many", postgres, in_rows=True))):
            with make() as server:
                ours, beside = at_once_beside_one_by_one(bench, server, files)
            yield Row(f"DELETE of {TOGETHER:,} at once, {what}", "one by one, one connection", "reports/s", ours, beside, 20)
    finally:
        postgres.close()


def drain(bench, port, where, token, connections):
    """MB/s to a client that throws them away, and bytes."""
    seconds, got = run(bench.program("drain"), port, where, connections, token, core=LOAD_CORE).split()
    return int(got) / float(seconds) / 1e6, int(got)


def download(bench):
    size = bench.scaled(1 << 30, least=1 << 28)
    with Reportd("download") as server:
        (which, token), = server.store_reports(1, size)
        path = server.spool / f"{which}.1.json"
        with open(path, "wb") as file:
            for _ in range(size >> 20):
                file.write((b'{"a": "' + b"x" * 1015 + b'"}') * 1024)

        def rate(port, where, connections):
            speed, got = drain(bench, port, where, token, connections)
            if got < size * connections:
                raise RuntimeError(f"{where}: {got} bytes, {size * connections} were to come")
            return speed

        with Nginx(root=server.spool) as nginx:
            for connections in (1, 4 if bench.quick else 16):
                ours, beside = alternate(
                    bench.pairs, lambda count=connections: rate(server.port, f"/Report?reference={which}", count),
                    lambda count=connections: rate(nginx.port, f"/files/{path.name}", count))
                yield Row(f"download {size >> 20:,} MB, {connections} connection{'s' * (connections > 1)}",
                          "nginx with sendfile", "MB/s", ours, beside, 0.95)


class Wire:
    """One keep-alive connection; a request is ready bytes."""

    def __init__(self, port, token):
        self.client = socket.create_connection(("127.0.0.1", port))
        self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.common = f"Host: bench\r\nVersion: 2.0\r\nAuthorization: {token}\r\n"

    def request(self, line, headers="", body=""):
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        return f"{line} HTTP/1.1\r\n{self.common}{headers}{length}\r\n{body}".encode()

    def time(self, request):
        """Milliseconds until the (small) answer is there, and the answer."""
        began = time.perf_counter()
        self.client.sendall(request)
        answer = self.client.recv(65536)
        return (time.perf_counter() - began) * 1000, answer


def two_syncs(fd):
    """Milliseconds for appending 4 KiB to a file and fdatasync, twice: what no durable answer can go without."""
    began = time.perf_counter()
    for _ in range(2):
        os.pwrite(fd, b"x" * 4096, os.lseek(fd, 0, os.SEEK_END))
        os.fdatasync(fd)
    return (time.perf_counter() - began) * 1000


def waits_beside(bench, server, limit_ms):
    """Milliseconds of a trivial report with its POST: the median and 99th of each hundred; and of what it is beside, in turn."""
    wire = Wire(server.port, server.tokens[0])
    order = wire.request("POST /Report", "Content-Type: application/json\r\nPrefer: wait=30\r\n",
                         '{"reportName": "Tiny", "parameters": {}}')
    nothing = wire.request("OPTIONS /Report")
    waits, tails, sums = [], [], []
    for _ in range(bench.pairs):
        took, limits = [], []
        for _ in range(100):
            ms, answer = wire.time(order)
            if b"X-Report-State: complete" not in answer:
                raise RuntimeError(f"the trivial report is not complete: {answer}")
            took.append(ms)
            limits.append(wire.time(nothing)[0] + limit_ms())
        waits.append(median(took))
        tails.append(sorted(took)[98])
        sums.append(median(limits))
    wire.client.close()
    return waits, tails, sums


def trivial(bench):
    with Reportd("trivial", core=None, workers=2, http_threads=2) as server:
        fd = os.open(DATA / "synced", os.O_CREAT | os.O_RDWR | os.O_TRUNC)
        waits, tails, sums = waits_beside(bench, server, lambda: two_syncs(fd))
        os.close(fd)
    yield Row("trivial report, POST to complete, p50", "HTTP no-op + 2 fsyncs", "ms", waits, sums, 1.5, at_most=True,
              note=f"p99 {median(tails):.2f} ms")
