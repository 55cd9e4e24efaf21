"""A client of GET /Report/Events for each user: it comes again whenever its stream ends, and records what it is told."""

import http.client
import json
import random
import threading

from client import NotSent
from history import now_us

PATIENCE = 1  # seconds; then it looks whether the run has ended


class Listener(threading.Thread):
    def __init__(self, seed, book, ports, history, stop):
        super().__init__(daemon=True)
        self.book, self.ports, self.history, self.stop_event = book, ports, history, stop
        self.dice = random.Random(seed)
        self.broken = None
        self.node = self.stream = 0
        self.last_id, self.began = None, now_us()

    def run(self):
        try:
            while not self.stop_event.is_set():
                self.listen()
                self.stop_event.wait(0.1)
        except Exception as error:  # the run ends with it
            self.broken = error
            self.stop_event.set()

    def listen(self):
        """One stream. What happened before it is told only to who says what it was told last."""
        if self.dice.random() < 0.3:
            self.node, self.last_id = self.dice.randrange(len(self.ports)), None
        self.stream += 1
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[self.node], timeout=PATIENCE)
        try:
            headers = self.book.login.headers() | {"Accept": "text/event-stream"}
            if self.last_id is None:
                self.began = now_us()
            else:
                headers["Last-Event-ID"] = self.last_id
            connection.request("GET", "/Report/Events", headers=headers)
            self.read(connection.getresponse())
        except (NotSent, OSError, http.client.HTTPException):
            self.last_id = self.last_id if self.dice.random() < 0.8 else None
        finally:
            connection.close()

    def read(self, response):
        if response.status != 200:
            return
        event = {}
        while not self.stop_event.is_set():
            try:
                line = response.readline().decode().rstrip("\n")
            except TimeoutError:
                if event:
                    raise
                return  # nothing came for a moment: the reader cannot go on after that
            if not line and not event:
                if response.isclosed():
                    return
            elif not line:
                self.take(event)
                event = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                event[name] = value

    def take(self, event):
        if "data" not in event:
            return
        data = json.loads(event["data"])
        self.last_id = event.get("id", self.last_id)
        self.book.learn(data["reference"])
        self.history.add({"event": data["state"], "user": self.book.user, "reference": data["reference"],
                          "stream": self.stream, "node": self.node, "sent": self.began, "received": now_us()})
