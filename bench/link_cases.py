"""A result of 250 MB over a slow link: a client that takes 12.5 MB a second and decompresses, plain and compressed."""

import http.client
import subprocess
import time

from generate_cases import WAIT
from servers import Reportd
from stage import Row, need

RATE = 12.5e6  # bytes a second: 100 Mbit/s
PIECE = 64 << 10
BUFFER = 256 << 10  # of the client's socket: what has come before it is read counts as taken
DECODERS = {"zstd": ["zstd", "-dq"], "gzip": ["gzip", "-dq"], "identity": ["cat"]}


class Link:
    """What is received over it, in its time: a pause of the sender is not made up for."""

    def __init__(self, server, coding):
        self.server, self.coding, self.received, self.first = server, coding, 0, None

    def download(self, reference):
        """Seconds until the last byte is decompressed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=600)
        connection.connect()
        connection.sock.setsockopt(http.client.socket.SOL_SOCKET, http.client.socket.SO_RCVBUF, BUFFER)
        began = free_at = time.perf_counter()
        connection.request("GET", f"/Report?reference={reference}", headers={
            "Version": "2.0", "Authorization": self.server.tokens[0], "Accept-Encoding": self.coding})
        answer = connection.getresponse()
        if answer.status != 200 or answer.headers.get("Content-Encoding", "identity") != self.coding:
            raise RuntimeError(f"{self.coding}: {answer.status} {answer.headers.items()}")
        with subprocess.Popen([need(*DECODERS[self.coding][:1] * 2), *DECODERS[self.coding][1:]], stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL) as decoder:
            while piece := answer.read1(PIECE):
                self.first = self.first or time.perf_counter() - began
                decoder.stdin.write(piece)
                self.received += len(piece)
                free_at = max(free_at, time.perf_counter() - PIECE / RATE) + len(piece) / RATE
                time.sleep(max(0, free_at - time.perf_counter()))
        if decoder.returncode != 0:
            raise RuntimeError(f"what came as {self.coding} is damaged")
        connection.close()
        return time.perf_counter() - began


def link(bench):
    with Reportd("link", core=None) as server:
        reference = server.order("Flat", wait=WAIT)
        (stored,) = server.spool.glob("*.json")
        size = stored.stat().st_size / 1e6
        plain = [Link(server, "identity").download(reference) for _ in range(bench.slow_pairs)]
        for coding, goal in (("zstd", 8), ("gzip", None)):
            links = [Link(server, coding) for _ in plain]
            took = [each.download(reference) for each in links]
            yield Row(f"{size:.0f} MB of JSON over 100 Mbit/s, {coding}", "the same plain", "MB/s", [size / s for s in took],
                      [size / s for s in plain], goal, note=f"{links[0].received / 1e6:.1f} MB sent, the first after {links[0].first * 1e3:.0f} ms")
