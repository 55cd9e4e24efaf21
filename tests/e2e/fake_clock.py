"""The UTC clock that a server of the test's own sees: src/base/seam.h, REPORTD_SEAMS_CLOCK."""

import datetime
import mmap
import struct
import time

SECOND = 1000  # milliseconds, as all times here
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def time_of(text):
    """Of a timestamp of the API."""
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


class FakeClock:
    """Runs as the real one does, but jumps at will; for every server that is started with it."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(struct.pack("=q", 0))
        with open(path, "r+b") as file:
            self.shift = mmap.mmap(file.fileno(), 8)
        self.stood = time.monotonic()

    def jump_to(self, when):
        """Now it is `when`, in milliseconds since 1970."""
        self.shift[:] = struct.pack("=q", int(when - time.time() * 1000))

    def jump(self, by):
        (before,) = struct.unpack("=q", self.shift[:])
        self.shift[:] = struct.pack("=q", before + int(by))

    def stand(self):
        """Take back the real time that has passed since the last call, or since the clock was made."""
        before, self.stood = self.stood, time.monotonic()
        self.jump((before - self.stood) * SECOND)
