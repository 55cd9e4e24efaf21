"""The recorder: every request with its answer, and every fault, as a line of JSON each.

Times are microseconds of the monotonic clock; "received" of a request without answer is when the
client gave up. The first line tells the UTC clock's distance from it, seed and limits.
"""

import json
import threading
import time


def now_us():
    return time.monotonic_ns() // 1000


def utc_offset_us():
    """What to add to now_us() for UTC."""
    return time.time_ns() // 1000 - now_us()


class History:
    def __init__(self, path, **header):
        self.path = path
        self.file = open(path, "w", encoding="utf-8")
        self.lock = threading.Lock()
        self.count = 0
        self.add({"run": header, "utc_offset_us": utc_offset_us()})

    def add(self, event):
        line = json.dumps(event, separators=(",", ":")) + "\n"
        with self.lock:
            self.file.write(line)
            self.count += 1

    def mark(self, name, **facts):
        """Something the driver did or found, now."""
        at = now_us()
        self.add({"mark": name, "sent": at, "received": at, **facts})

    def close(self):
        self.file.close()


def read(path):
    """The events of a history, numbered by their lines."""
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            event = json.loads(line)
            event["n"] = number
            yield event
