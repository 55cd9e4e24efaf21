"""The cases over HTTP against limits: status poll, submit, DELETE, download, a trivial report."""

import json
import os
import shutil
import socket
import time

from stage import (CONNECTIONS, LOAD_CORE, OUT, SERVER_CORE, Nginx, Reportd, Row, alternate, median, run, wrk)

FEW, MANY = 1_000, 1_000_000


def raw(url_port, text):
    """The whole answer to one request, as bytes."""
    with socket.create_connection(("127.0.0.1", url_port)) as client:
        client.sendall(text.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(65536)
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = head.split(b"\r\n\r\n", 1)[1]
        while len(body) < length:
            body += client.recv(65536)
        return head.split(b"\r\n\r\n", 1)[0], body


def constant_like(server, pair):
    """nginx answering what reportd answers, header by header."""
    head, body = raw(server.port, f"GET /Report/Status?reference={pair[0]} HTTP/1.1\nHost: bench\nVersion: 2.0\n"
                                  f"Authorization: {pair[1]}")
    own = {"date", "content-length", "content-type", "connection", "server"}
    lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
    headers = [(name, value.replace('"', '\\"')) for name, value in lines if name.lower() not in own]
    return Nginx(body.decode(), headers)


def status(bench):
    """Both stores are served at once, one server each, and measured in turn with nginx."""
    with Reportd("few") as few, Reportd("many") as many:
        few_pairs, many_pairs = few.store_reports(FEW), many.store_reports(bench.scaled(MANY))
        step = max(1, len(many_pairs) // 100_000)
        few_file = few.write_requests("requests", few_pairs)
        many_file = many.write_requests("requests", many_pairs[::step])
        with constant_like(few, few_pairs[0]) as nginx:
            def poll(url, file):
                result = wrk(url, "poll.lua", file, seconds=bench.seconds)
                assert result["errors"] == 0, result
                return result["rate"]
            ours, beside, larger = alternate(bench.pairs, lambda: poll(few.url, few_file),
                                             lambda: poll(nginx.url, few_file), lambda: poll(many.url, many_file))
    yield Row("status poll, 1,000 stored", "nginx, a constant of the same size", "req/s", ours, beside, 0.8)
    yield Row("status poll, 1,000,000 stored", "itself at 1,000", "req/s", larger, ours, 0.95)
    bench.curve("status", [(FEW, median(ours)), (len(many_pairs), median(larger))])


def submit_round(server, bench, connections=CONNECTIONS):
    file = server.write_requests("orders", [("", token) for token in server.tokens], "/Report{}")
    result = wrk(server.url, "order.lua", "POST", file, seconds=bench.seconds, connections=connections)
    server.forget_queue()
    assert result["errors"] == 0, result
    return result["rate"]


def bare_insert(bench):
    store = OUT / "data/bare.db"
    for leftover in store.parent.glob("bare.db*"):
        leftover.unlink()
    run("sqlite3", store, "PRAGMA journal_mode = WAL; CREATE TABLE report (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE,"
        " user_id INTEGER NOT NULL, state INTEGER NOT NULL, slot INTEGER NOT NULL, submitted_ms INTEGER NOT NULL,"
        " name TEXT NOT NULL, parameters TEXT NOT NULL) STRICT")
    return float(run(bench.program("loop_commit"), "insert", store, bench.seconds, core=SERVER_CORE))


def submit(bench):
    with Reportd("few") as few, Reportd("many") as many:
        few.store_reports(FEW)
        many.store_reports(bench.scaled(MANY))
        few.freeze_workers()
        many.freeze_workers()
        ours, beside, larger = alternate(bench.pairs, lambda: submit_round(few, bench), lambda: bare_insert(bench),
                                         lambda: submit_round(many, bench))
    yield Row("durable submit, 64 connections", "bare SQLite, 64 rows a commit, FULL", "reports/s", ours, beside, 0.5)
    yield Row("durable submit, 1,000,000 stored", "itself at 1,000", "reports/s", larger, ours, 0.8)


def delete(bench):
    count = bench.scaled(8000, least=3000)
    with Reportd("delete") as server:
        def ours():
            file = server.write_requests("deletes", server.store_reports(count, files=True), "/Report?reference={}")
            result = wrk(server.url, "order.lua", "DELETE", file, seconds=3)
            db = server.db()
            db.execute("DELETE FROM report WHERE bytes = 7")
            db.close()
            for left in server.spool.glob("*.json"):
                left.unlink()
            return result["rate"]

        def bare():
            server.store_reports(count, files=True)
            copy = OUT / "data/bare-delete.db"
            for leftover in copy.parent.glob("bare-delete.db*"):
                leftover.unlink()
            shutil.copy(server.store, copy)
            rate = float(run(bench.program("loop_commit"), "delete", copy, server.spool, count, core=SERVER_CORE))
            db = server.db()
            db.execute("DELETE FROM report WHERE bytes = 7")
            db.close()
            return rate
        mine, theirs = alternate(bench.pairs, ours, bare)
    yield Row("DELETE of complete reports", "bare SQLite, the same rows, and unlink", "reports/s", mine, theirs, 0.4)


def download(bench):
    size = bench.scaled(1 << 30, least=1 << 28)
    with Reportd("download") as server:
        (guid, token), = server.store_reports(1)
        path = server.spool / f"{guid}.1.json"
        with open(path, "wb") as file:
            block = b'{"a": "' + b"x" * 1016 + b'"}'
            for _ in range(size >> 20):
                file.write((block * 1024)[:1 << 20])
        with Nginx(root=server.spool) as nginx:
            def drain(port, where, connections):
                seconds, got = run(bench.program("drain"), port, where, connections, token, core=LOAD_CORE).split()
                assert int(got) >= size * connections, got
                return int(got) / float(seconds) / 1e6
            for connections in (1, 16):
                each = connections if not bench.quick else min(connections, 4)
                ours, beside = alternate(bench.pairs, lambda: drain(server.port, f"/Report?reference={guid}", each),
                                         lambda: drain(nginx.port, f"/files/{path.name}", each))
                yield Row(f"download {size >> 20} MB, {each} connection{'s' * (each > 1)}", "nginx with sendfile", "MB/s",
                          ours, beside, 0.95)


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
        """Milliseconds until the whole (small) answer is there, and the answer."""
        began = time.perf_counter()
        self.client.sendall(request)
        answer = self.client.recv(65536)
        return (time.perf_counter() - began) * 1000, answer


def two_syncs(fd):
    began = time.perf_counter()
    for _ in range(2):
        os.pwrite(fd, b"x" * 4096, os.lseek(fd, 0, os.SEEK_END))
        os.fdatasync(fd)
    return (time.perf_counter() - began) * 1000


def trivial(bench):
    with Reportd("trivial", core=None, workers=2, http_threads=2) as server:
        wire = Wire(server.port, server.tokens[0])
        order = wire.request("POST /Report", "Content-Type: application/json\r\nPrefer: wait=30\r\n",
                             '{"reportName": "Tiny", "parameters": {}}')
        nothing = wire.request("OPTIONS /Report")
        fd = os.open(OUT / "data/synced", os.O_CREAT | os.O_RDWR | os.O_TRUNC)
        waits, tails, sums = [], [], []
        for _ in range(bench.pairs):
            took, limits = [], []
            for _ in range(100):
                ms, answer = wire.time(order)
                assert b"X-Report-State: complete" in answer, answer
                took.append(ms)
                limits.append(wire.time(nothing)[0] + two_syncs(fd))
            waits.append(median(took))
            tails.append(sorted(took)[98])
            sums.append(median(limits))
        os.close(fd)
    yield Row("trivial report, POST to complete, p50", "HTTP no-op + 2 fsyncs", "ms", waits, sums, 2, at_most=True,
              note=f"p99 {median(tails):.2f} ms")
