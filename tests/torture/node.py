"""A server under torture: one folder, one port, started and killed over and over."""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import harness  # noqa: E402

from history import now_us  # noqa: E402

MARK = "REPORTD_TORTURE"  # in the environment of every process of a run
DISK_BYTES = 96 << 20
STARTS_WITHIN = 30
ENDS_WITHIN = 30


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def mount_disk(folder):
    """A small file system of our own over the folder, if we may have one."""
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "reportd-torture",
                           folder], capture_output=True)
    return done.returncode == 0


def processes_of(mark):
    """Every living process of the run, by its environment."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        pid = int(environ.parent.name)
        try:
            if f"{MARK}={mark}".encode() in environ.read_bytes().split(b"\0") and \
                    pid != os.getpid() and harness.is_running(pid):
                found.append(pid)
        except OSError:
            continue
    return found


class Node:
    """`server` is the harness's; the ways to start and stop are harsher. `index` tells the nodes of
    a cluster apart, and is None where there is only one."""

    def __init__(self, folder, mark, index=None):
        name = "data" if index is None else f"node{index}"
        self.data = Path(folder) / name
        self.data.mkdir(parents=True)
        self.log = Path(folder) / ("server.log" if index is None else f"{name}.log")
        self.port = free_port()
        self.mark, self.index = mark, index
        self.process = None
        self.started_us = 0
        self.seams = ""
        self.server = harness.Server(self.data)

    def make(self, **config):
        shutil.copytree(HERE / "reports", self.data / "reports")
        (self.data / "reports").chmod(0o755)  # whatever the umask of the checkout
        harness.make_database(self.data / "data.db")
        self.server.configure(listen=f"127.0.0.1:{self.port}", **config)

    def facts(self):
        """What a fault tells of where it struck."""
        return {} if self.index is None else {"node": self.index}

    def start(self, seams=""):
        """True once it is ready; False if it ended before."""
        environment = {**os.environ, MARK: self.mark}
        if seams:
            environment["REPORTD_SEAMS"] = seams
        with open(self.log, "ab") as log:
            log.write(f"--- start, seams: {seams}\n".encode())
            log.flush()
            process = subprocess.Popen(
                [harness.REPORTD, "serve", "-c", self.data / "reportd.conf"], env=environment,
                stdout=subprocess.PIPE, stderr=log)
        ready, _, _ = select.select([process.stdout], [], [], STARTS_WITHIN)
        line = process.stdout.readline() if ready else b""
        process.stdout.close()
        if not line.startswith(b"ready on "):
            process.kill()
            process.wait()
            return False
        self.process, self.seams, self.started_us = process, seams, now_us()
        return True

    def has_ended(self):
        return self.process.poll() is not None

    def workers(self):
        return harness.processes_below(self.process.pid)

    def kill(self):
        """kill -9; its workers find out by themselves, while the next server starts already."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; the exit status, or None if it had to be killed."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
            return None
