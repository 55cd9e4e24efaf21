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
    """Holds the first to pass a place, from the server's next start on, until it is opened."""

    def __init__(self, server, place):
        self.place = place
        self.fifo = server.folder / f"{place}.gate"
        self.trace = server.folder / "trace"
        self.closed = True
        os.mkfifo(self.fifo)

    @property
    def seam(self):
        return f"{self.place}=wait:{self.fifo}"

    def is_reached(self):
        return any(place == self.place for _, place in passings(self.trace))

    def wait(self):
        """Until somebody is held."""
        poll(self.is_reached, what=f"somebody at {self.place}")

    def open(self):
        if self.closed and self.is_reached():
            poll(self._let_go, what=f"the reader of {self.fifo}")
        self.closed = False

    def _let_go(self):
        try:
            os.close(os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK))
            return True
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return False
