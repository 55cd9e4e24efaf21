"""A client of GET /Report/Events: it reads in a thread of its own and keeps what came."""

import contextlib
import http.client
import json
import socket
import ssl
import threading
from urllib.parse import urlsplit

from harness import PATIENCE, poll


class Events:
    """Use it with `with`; `ended` once the server has ended the stream, `broken` if in the middle."""

    def __init__(self, client, last_id=None):
        headers = {"Version": "2.0", "Authorization": client.token, "Accept": "text/event-stream"}
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        where = urlsplit(client.url)
        self.connection = http.client.HTTPConnection(where.hostname, where.port, timeout=PATIENCE)
        if where.scheme == "https":
            context = ssl.create_default_context(cafile=client.session.verify)
            self.connection = http.client.HTTPSConnection(where.hostname, where.port, timeout=PATIENCE, context=context)
        self.connection.request("GET", "/Report/Events", headers=headers)
        self.socket = self.connection.sock
        self.answer = self.connection.getresponse()
        self.seen, self.comments, self.last_id = [], 0, None
        self.ended = self.broken = False
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        event = {}
        with contextlib.suppress(OSError):
            try:
                while line := self.answer.readline():
                    self.take(line.decode().rstrip("\n"), event)
            except http.client.IncompleteRead:
                self.broken = True
        self.ended = True

    def take(self, line, event):
        if line.startswith(":"):
            self.comments += 1
        elif line:
            name, _, value = line.partition(": ")
            event[name] = value
        elif "data" in event:
            assert event["event"] == "report"
            self.last_id = event.get("id", self.last_id)
            self.seen.append(json.loads(event["data"]))
            event.clear()
        else:
            event.clear()

    def of(self, reference):
        return [event for event in self.seen if event["reference"] == reference]

    def states(self, reference):
        """Each state once, however often its progress was told."""
        states = [event["state"] for event in self.of(reference)]
        return [state for i, state in enumerate(states) if i == 0 or state != states[i - 1]]

    def wait_for(self, reference, state):
        poll(lambda: state in self.states(reference), what=lambda: f"{state} of {reference}: {self.seen}")

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(PATIENCE)
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
