"""What conversions of a large result cost the server and those beside them: memory, polls, windows, the first byte."""

import http.client
import subprocess
import time

from growth_cases import MB, ask
from servers import Reportd
from stage import Row, alternate, process_memory, wrk

AT_ONCE, LARGE, SMALL, WAIT = 16, 10_000_000, 10_000, 600
FORMS = ("csv", "ndjson", "xlsx")
WINDOW, WINDOWS = 500, 40  # rows; windows whose times make one measurement
POLLERS = 4  # connections: fewer than what would take the processor by themselves
POLL_PAIRS = 11  # five spread by ±45 %


class Downloads:
    """AT_ONCE conversions by clients that throw the bytes away; ended after so many seconds if they take longer."""

    def __init__(self, bench, server, reference, form):
        path = f"/Report?reference={reference}&format={form}"
        self.process = subprocess.Popen(["nice", str(bench.program("drain")), str(server.port), path, str(AT_ONCE), server.tokens[0]],
                                        stdout=subprocess.DEVNULL)

    def wait(self, seconds):
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.end()

    def end(self):
        self.process.kill()
        self.process.wait()


def greatest_memory(bench, server, reference, form):
    """Of a server that has just been started, until the downloads are done, or for a while."""
    server.restart()
    downloads = Downloads(bench, server, reference, form)
    downloads.wait(5 if bench.quick else 30)
    return process_memory(server.process.pid, "VmHWM") / MB


def window_ms(server, reference, first):
    """Of a GET /Report/Rows, the mean of some on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    headers = {"Version": "2.0", "Authorization": server.tokens[0]}
    path = f"/Report/Rows?reference={reference}&count={WINDOW}&from="
    began = time.perf_counter()
    for number in range(WINDOWS):
        connection.request("GET", f"{path}{first - number}", headers=headers)
        answer = connection.getresponse()
        if answer.status != 200 or not answer.read().endswith(b"]}}"):
            raise RuntimeError(f"rows from {first - number}: {answer.status}")
    connection.close()
    return (time.perf_counter() - began) / WINDOWS * 1000


def first_byte(server, reference, form):
    """Seconds until the client has the first of the content."""
    began = time.perf_counter()
    client = ask(server, (reference, server.tokens[0]), "/Report?reference={}&format=" + form)
    got = b""
    while not got.partition(b"\r\n\r\n")[2]:
        got += client.recv(4096)
    client.close()
    return time.perf_counter() - began


def poll_p99(bench, server, requests):
    return wrk(server.url, "poll.lua", requests, seconds=bench.seconds, connections=POLLERS, core=None)["p99_us"] / 1000


def poll_beside(bench, server, requests, reference):
    downloads = Downloads(bench, server, reference, "csv")
    try:
        return poll_p99(bench, server, requests)
    finally:
        downloads.end()


def conversions(bench):
    large = 1_000_000 if bench.quick else LARGE
    with Reportd("conversions", core=None, http_threads=2) as server:
        many, few = (server.order("Many", {"Rows": str(rows)}, wait=WAIT) for rows in (large, SMALL))
        for form in FORMS:
            ours, theirs = alternate(bench.slow_pairs, lambda: greatest_memory(bench, server, many, form),
                                     lambda: greatest_memory(bench, server, few, form))
            yield Row(f"memory, {AT_ONCE} × {form.upper()} of {large:,} rows", f"{SMALL:,} rows", "MB", ours, theirs, 1.1, at_most=True)
        requests = server.write_requests("polls", [(few, server.tokens[0])])
        ours, theirs = alternate(bench.pairs if bench.quick else POLL_PAIRS, lambda: poll_beside(bench, server, requests, many), lambda: poll_p99(bench, server, requests))
        yield Row(f"p99 of polls beside {AT_ONCE} conversions", "without them", "ms", ours, theirs, 2, at_most=True)
        last = large - 1000
        ours, theirs = alternate(bench.pairs, lambda: window_ms(server, many, last), lambda: window_ms(server, many, WINDOWS))
        yield Row(f"{WINDOW} rows at row {last:,} of {large:,}", "at row 0", "ms", ours, theirs, 1.2, at_most=True)
        for form in FORMS:
            times = [first_byte(server, many, form) for _ in range(bench.pairs)]
            yield Row(f"first byte of {form.upper()} of {large:,} rows", "a second", "s", times, [1.0] * len(times), 1, at_most=True)
