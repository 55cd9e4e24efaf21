"""The other side: kills, stops and starves a server and its workers at random moments."""

import contextlib
import errno
import os
import random
import shutil
import signal
import threading
import time

from history import now_us
from load import pick

PAUSE = (0.05, 0.9)  # seconds between two faults

# What is done how often.
FAULTS = {
    "kill server": 28, "kill worker": 32, "stop worker": 12, "stop server": 6, "fill disk": 6,
    "end server": 4, "reload": 3, "restore": 4,
}
KILLS = ("kill server", "kill worker", "crash at a seam")

# What a server may get at a restart, see src/base/seam.h: calls of which the N-th fails …
FAILING = {
    "result_writer.write": ("ENOSPC", "EIO"), "result_writer.fsync": ("EIO",), "spool.create": ("ENOSPC",),
    "spool.rename": ("EIO", "ENOSPC"), "spool.folder_fsync": ("EIO",), "spool.unlink": ("EIO",),
    "store.commit": ("EIO", "ENOSPC"), "store.sync": ("EIO",),
}
# … and steps at the N-th passing of which it, or a worker, crashes.
CRASHING = [f"store.{verb}.{step}" for verb in ("submit", "claim", "finish", "requeue", "tombstone", "delete_row",
                                                    "tombstone_many", "delete_rows")
            for step in ("posted", "taken", "written", "committed", "answered")]
CRASHING += [f"deletion.{why}.{step}" for why in ("delete", "purge")
             for step in ("marked", "stopped", "unlinked", "dropped")]
CRASHING += [f"job.{step}" for step in (
    "start.claimed", "start.created", "start.sent", "stop.asked", "end.answered", "end.worker_died",
    "end.filed", "end.written")]
CRASHING += [f"worker.run.{step}" for step in (
    "received", "prepared", "rendered", "synced", "ended", "answered")]
CRASHING += [
    "store.recover.written", "store.recover.committed", "spool.sweep.found", "spool.sweep.unlinked",
    "spool.publish.renamed", "spool.publish.synced", "spool.remove.truncated", "spool.remove.unlinked",
    "deletion.many.recorded", "deletion.many.marked", "deletion.many.dropped",
    "http.delete_many.matched", "http.delete_many.removed", "http.delete.removed", "http.result.found", "store.list.counted", "deletion.purge.found"]


def one_of(things, fraction):
    return things[int(fraction * len(things))]


@contextlib.contextmanager
def full_disk(folder, choice):
    """To the last byte, or nearly."""
    ballast, free = folder / "ballast", os.statvfs(folder)
    size = free.f_bavail * free.f_frsize - int(choice.size < 0.5) * int(1e6 * choice.size)
    with open(ballast, "wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, max(size, 1))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        yield
    ballast.unlink()


class Choice:
    """The random choices of one fault; always as many, see load.Draw."""

    def __init__(self, rng, weights=None, crashing=None):
        self.pause = rng.uniform(*PAUSE)
        self.fault = pick(weights or FAULTS, rng.random())
        self.victim, self.length, self.size = rng.random(), rng.random(), rng.random()
        self.seams = self._seams(crashing or CRASHING, *(rng.random() for _ in range(5)))

    @staticmethod
    def _seams(crashing, kind, place, action, at, more):
        number = 1 + int(40 * at ** 2)
        if kind < 0.25:
            name = one_of(list(FAILING), place)
            return f"{name}={one_of(FAILING[name], action)}@{number}{'+' if more < 0.1 else ''}"
        if kind < 0.55:
            return f"{one_of(crashing, place)}=crash@{number}"
        return ""


class Faults(threading.Thread):
    """Does one fault after the other to a node, and starts it again whenever it has ended. Whoever
    else starts or ends it takes `lock`."""

    weights, crashing = FAULTS, CRASHING

    def __init__(self, seed, site, node, history, stop):
        super().__init__(daemon=True)
        self.rng = random.Random(f"{seed}/faults" + ("" if node.index is None else f"/{node.index}"))
        self.site, self.node, self.history, self.stop = site, node, history, stop
        self.lock = threading.RLock()
        self.counts = {}
        self.broken = None
        self.deeds = {
            "kill server": self.kill_server, "kill worker": self.kill_worker,
            "stop worker": self.stop_worker, "stop server": self.stop_server,
            "fill disk": self.fill_disk, "end server": self.end_server, "reload": self.reload,
            "restore": self.restore,
        }

    def run(self):
        try:
            while not self.stop.is_set():
                choice = Choice(self.rng, self.weights, self.crashing)
                self.wait(choice.pause * len(self.site.nodes))
                with self.lock:
                    if not self.stop.is_set():
                        self.deeds[choice.fault](choice)
        except Exception as error:  # the driver raises it
            self.broken = error
            self.stop.set()

    def note(self, fault, sent, **facts):
        self.counts[fault] = self.counts.get(fault, 0) + 1
        self.record(fault, sent, **facts)

    def record(self, fault, sent, **facts):
        self.history.add({"fault": fault, "sent": sent, "received": now_us(), **facts,
                          **self.node.facts()})

    def wait(self, seconds):
        """The pause before the fault; a server that ended meanwhile is started again."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.stop.is_set():
            self.look()
            self.stop.wait(0.02)
        self.look()

    def look(self):
        with self.lock:
            if self.node.has_ended():
                self.after_end()

    def after_end(self):
        """It did not end as it should: by its seam, or by a bug."""
        status = self.node.process.returncode
        if "crash" in self.node.seams and status == -signal.SIGKILL:
            self.note("crash at a seam", now_us(), seams=self.node.seams)
        else:
            self.history.mark("died", status=status, seams=self.node.seams, **self.node.facts())
        self.restart("")

    def restart(self, seams):
        """Start it, without the seams if it cannot with them."""
        self.record("seams", self.node.started_us, seams=self.node.seams)
        began = now_us()
        if not self.node.start(seams):
            if "crash" in seams:
                self.note("crash at a seam", began, seams=seams)
            elif not seams:
                self.history.mark("no start", log=self.tail())
            if not self.node.start():
                self.history.mark("no start", log=self.tail())
                raise RuntimeError(f"the server does not start: {self.tail()}")
        self.record("start", began, seams=seams)

    def tail(self):
        return self.node.log.read_text(errors="replace")[-1500:]

    # ---- the deeds ----

    def kill_server(self, choice):
        began = now_us()
        self.node.kill()
        self.note("kill server", began)
        self.restart(choice.seams)

    def end_server(self, choice):
        began = now_us()
        status = self.node.stop()
        self.note("end server", began)
        if status != 0:
            self.after_end()
        else:
            self.restart(choice.seams)

    def signal(self, pid, number):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    def worker(self, choice):
        workers = self.node.workers()
        return one_of(workers, choice.victim) if workers else None

    def kill_worker(self, choice):
        pid, began = self.worker(choice), now_us()
        if pid is not None:
            self.signal(pid, signal.SIGKILL)
            self.note("kill worker", began)

    def hold(self, pid, seconds):
        self.signal(pid, signal.SIGSTOP)
        self.stop.wait(seconds)
        self.signal(pid, signal.SIGCONT)

    def stop_worker(self, choice):
        pid, began = self.worker(choice), now_us()
        if pid is not None:
            self.hold(pid, 0.02 + choice.length)
            self.note("stop worker", began)

    def stop_server(self, choice):
        began = now_us()
        self.hold(self.node.process.pid, 0.02 + 0.5 * choice.length)
        self.note("stop server", began)

    def fill_disk(self, choice):
        """For a while, in which the server may be killed as well."""
        if not self.site.disk:
            return
        began, kills = now_us(), choice.victim < 0.3
        with full_disk(self.site.disk, choice):
            self.stop.wait(0.05 + choice.length)
            if kills:
                self.node.kill()
        self.note("fill disk", began)
        if kills:
            self.note("kill server", began)
            self.restart("")

    def restore(self, choice):
        """A backup, which is restored beside the server some deletions later; it may die meanwhile."""
        folder = self.site.folder / f"restore{self.counts.get('restore', 0)}"
        backup, began = folder / "backup", now_us()
        folder.mkdir()
        words = self.site.back_up(backup)
        copied = [began, now_us()]
        self.stop.wait(2 * choice.length)
        if choice.victim < 0.3:
            self.kill_server(choice)
        at, rows = now_us(), []
        if not words:
            words, rows = self.site.restore(backup, folder / "restored")
        if words:
            self.history.mark("no restore", words=words)
        else:
            self.history.add({"restored": rows, "backup": copied, "sent": at, "received": now_us()})
            shutil.rmtree(folder)
        self.note("restore", began)

    def reload(self, choice):
        began = now_us()
        self.signal(self.node.process.pid, signal.SIGHUP)
        self.note("reload", began)
