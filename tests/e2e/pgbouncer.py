"""A pgbouncer before a private PostgreSQL, gone when the tests are."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from harness import poll
from postgres import Keeper, free_port


class Pgbouncer:
    """It pools `session`s, `transaction`s or `statement`s; everybody may come in."""

    def __init__(self, postgres, mode, **settings):
        self.folder = Path(tempfile.mkdtemp(prefix="reportd-pool-", dir="/tmp"))
        self.port = free_port()
        values = {"listen_addr": "127.0.0.1", "listen_port": self.port, "pool_mode": mode, "auth_type": "any",
                  "unix_socket_dir": "", "logfile": self.folder / "log", "server_login_retry": 1, **settings}
        (self.folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={postgres.folder} port={postgres.port} user=reader\n[pgbouncer]\n" +
            "".join(f"{key} = {value}\n" for key, value in values.items()))
        as_user = []
        if os.geteuid() == 0:  # which pgbouncer refuses to run as; the folder of the socket is its user's
            user = Keeper.user()
            for path in (self.folder, self.folder / "pgbouncer.ini"):
                os.chown(path, user.pw_uid, user.pw_gid)
            as_user = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self.process = subprocess.Popen(["setpriv", *as_user, "--pdeathsig=KILL", shutil.which("pgbouncer", path=
                                         os.environ["PATH"] + ":/usr/sbin"), "-q", self.folder / "pgbouncer.ini"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        poll(self.listens, what="pgbouncer")

    def listens(self):
        assert self.process.poll() is None, self.log_text()
        return "process up" in self.log_text()

    def log_text(self):
        log = self.folder / "log"
        return log.read_text() if log.exists() else ""

    def url(self, database):
        return f"postgresql://reader@127.0.0.1:{self.port}/{database}"

    def close(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)
