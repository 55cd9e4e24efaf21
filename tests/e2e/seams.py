"""Crashes, failures and waits at the named places of the program: src/base/seam.h."""

import errno
import os
import signal

from harness import poll

DEATH = -signal.SIGKILL  # the exit status of a server that a seam has killed


def plan(server, *seams, trace=None, clock=None):
    """What the server suffers from its next start on: plan(server, "spool.rename=EIO@2")."""
    settings = {"": " ".join(seams), "_TRACE": trace, "_CLOCK": clock}
    for suffix, value in settings.items():
        server.environment.pop(f"REPORTD_SEAMS{suffix}", None)
        if value:
            server.environment[f"REPORTD_SEAMS{suffix}"] = str(value)


def passings(trace):
    """The places that were passed, in order, as pairs of process id and place."""
    if not trace.exists():
        return []
    lines = (line.split() for line in trace.read_text().splitlines())
    return [(int(pid), place) for pid, place in lines]


class Gate:
    """Holds who passes a place, from the server's next start on, until it is opened."""

    def __init__(self, server, place, at=1):
        self.place = place
        self.at = at  # the first passing, or a later one
        self.fifo = server.folder / f"{place}.gate"
        self.trace = server.folder / "trace"
        self.is_open = False
        os.mkfifo(self.fifo)

    @property
    def seam(self):
        return f"{self.place}=wait:{self.fifo}@{self.at}"

    def is_reached(self):
        return sum(place == self.place for _, place in passings(self.trace)) >= self.at

    def wait(self):
        """Until somebody is held."""
        poll(self.is_reached, what=f"somebody at {self.place}")

    def open(self):
        """Let go; at the end of a test, whether or not somebody has come."""
        if not self.is_open and self.is_reached():
            poll(self._let_go, what=f"the one held at {self.place}")
        self.is_open = True

    def _let_go(self):
        try:
            os.close(os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK))
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return False
        return True
