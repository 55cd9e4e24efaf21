"""A private PostgreSQL for the tests: in a temporary folder, on a unix socket and 127.0.0.1, gone when they are.

Run as a program this file is the keeper of one: it makes the database, starts the server and obeys the lines of its
standard input, one of `start`, `stop SIGNAL`. When that ends, because the tests have ended however they did, it stops
the server and removes the folder. If the keeper itself is killed, the kernel stops the server.
"""

import contextlib
import glob
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

SUPERUSER = "postgres"
STARTS_WITHIN = 60  # seconds; on a busy machine
ROOM = 8 << 30
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "log_line_prefix": "%m [%p] %a ",
    "timezone": "Australia/Sydney",  # none of reportd's business
    # What the tests write may be lost with the machine; a test of durability turns these on.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


def program(name):
    """A program of the newest PostgreSQL there is; Debian keeps the server's out of PATH."""
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), key=lambda path: int(path.split("/")[4]))
    path = found[-1] if found else shutil.which(name)
    assert path, f"there is no {name} here; run: make deps-test"
    return path


def short_folder(syncs):
    """Of short name, since a socket's path must be; in memory where there is room: each database made is a thousand files.
    A server that fsyncs is on a disk, or else its commits would cost less than they do."""
    try:
        return "/dev/shm" if not syncs and shutil.disk_usage("/dev/shm").free >= ROOM else "/tmp"
    except OSError:
        return "/tmp"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# --- the keeper -------------------------------------------------------------------------------------


class Keeper:
    def __init__(self, settings):
        self.folder = Path(tempfile.mkdtemp(prefix="reportd-pg-", dir=short_folder(settings.get("fsync") == "on")))
        self.data = self.folder / "data"
        self.password = secrets.token_hex(8)
        self.settings = settings
        self.server = None
        self.as_user = []
        if os.geteuid() == 0:  # which PostgreSQL refuses to run as
            user = self.user()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self.as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]

    @staticmethod
    def user():
        for name in ("postgres", "nobody"):
            try:
                return pwd.getpwnam(name)
            except KeyError:
                continue
        raise AssertionError("there is neither a user postgres nor nobody")

    def make(self):
        """The database. Its local socket trusts everybody, since the folder is its owner's alone."""
        self.folder.chmod(0o700)
        password = self.folder / "password"
        password.write_text(self.password)
        if self.as_user:
            shutil.chown(password, self.folder.stat().st_uid)
        subprocess.run([*self.as_user, program("initdb"), "-D", self.data, "-U", SUPERUSER, "-E", "UTF8",
                        "--locale=C", "--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256",
                        f"--pwfile={password}"], check=True, stdout=subprocess.DEVNULL, cwd="/")
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write(f"unix_socket_directories = '{self.folder}'\nport = {free_port()}\n")
            conf.writelines(f"{key} = '{value}'\n" for key, value in self.settings.items())

    def is_ready(self):
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(self.server.pid) and lines[7].strip() == "ready"

    def spawn(self):
        with open(self.folder / "log", "ab") as log:
            self.server = subprocess.Popen(
                [*(self.as_user or ["setpriv"]), "--pdeathsig=QUIT", program("postgres"), "-D", self.data],
                cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start(self):
        """It may end at once, as long as processes of one that was killed are still there."""
        deadline = time.monotonic() + STARTS_WITHIN
        self.spawn()
        while not self.is_ready():
            if time.monotonic() > deadline:
                raise AssertionError("PostgreSQL did not start:\n" + (self.folder / "log").read_text()[-2000:])
            time.sleep(0.01)
            if self.server.poll() is not None:
                self.spawn()

    def stop(self, name="SIGINT"):
        self.server.send_signal(signal.Signals[name])
        self.server.wait()

    def obey(self, words):
        {"start": self.start, "stop": self.stop}[words[0]](*words[1:])
        self.say({})

    @staticmethod
    def say(what):
        print(json.dumps(what), flush=True)

    def serve(self):
        try:
            self.make()
            self.start()
            port = int((self.data / "postmaster.pid").read_text().splitlines()[3])
            self.say({"folder": str(self.folder), "port": port, "password": self.password})
            for line in sys.stdin:
                self.obey(line.split())
        finally:
            if self.server is not None and self.server.poll() is None:
                self.stop("SIGQUIT")
            shutil.rmtree(self.folder, ignore_errors=True)


# --- what the tests see -----------------------------------------------------------------------------


class Postgres:
    """A running server. Roles the tests make have its password, if they shall come in over TCP."""

    def __init__(self, **settings):
        # a session of its own: Ctrl-C at the terminal is for the tests
        self.keeper = subprocess.Popen([sys.executable, __file__, json.dumps({**SETTINGS, **settings})], text=True,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        told = self.heard()
        self.folder, self.port, self.password = Path(told["folder"]), told["port"], told["password"]

    def heard(self):
        line = self.keeper.stdout.readline()
        assert line, "the keeper of PostgreSQL has ended"
        return json.loads(line)

    def tell(self, line):
        self.keeper.stdin.write(line + "\n")
        self.keeper.stdin.flush()
        self.heard()

    def start(self):
        self.tell("start")

    def stop(self, how="SIGINT"):
        """SIGTERM waits for the clients, SIGINT ends them, SIGQUIT and SIGKILL are crashes."""
        self.tell(f"stop {how}")

    def restart(self, how="SIGINT"):
        self.stop(how)
        self.start()

    def close(self):
        self.keeper.stdin.close()
        self.keeper.wait(STARTS_WITHIN)
        self.keeper.stdout.close()

    def url(self, database="postgres", user=SUPERUSER, tcp=False, **options):
        """A libpq URI, over the unix socket or, with the password, over TCP."""
        query = "&".join(f"{key}={quote(str(value))}" for key, value in options.items())
        if tcp:
            return f"postgresql://{user}:{self.password}@127.0.0.1:{self.port}/{database}?{query}"
        return f"postgresql://{user}@/{database}?host={quote(str(self.folder))}&port={self.port}&{query}"

    def psql(self, database="postgres", user=SUPERUSER):
        """The words of a psql that prints bare values and stops at the first error."""
        return [program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.url(database, user)]

    def sql(self, text, database="postgres", user=SUPERUSER):
        """Run statements, whatever time the database gives them; returns the rows as lines, columns separated by |."""
        environment = {**os.environ, "PGCLIENTENCODING": "UTF8", "PGOPTIONS": "-c statement_timeout=0"}
        done = subprocess.run(self.psql(database, user), input=text, text=True, capture_output=True,
                              env=environment, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    @contextlib.contextmanager
    def transaction(self, text, database="postgres"):
        """One that has run this, holds what it has locked, and ends: its psql."""
        with subprocess.Popen(self.psql(database), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as psql:
            psql.stdin.write(f"BEGIN; {text}; SELECT 'held';\n")
            psql.stdin.flush()
            while "held" not in psql.stdout.readline():
                continue
            yield psql

    def create_database(self, name, script=""):
        self.sql(f'CREATE DATABASE "{name}"')
        if script:
            self.sql(script, name)
        return name

    def drop_database(self, name):
        self.sql(f'DROP DATABASE "{name}" WITH (FORCE)')

    def log_text(self):
        return (self.folder / "log").read_text(errors="replace")


if __name__ == "__main__":
    Keeper(json.loads(sys.argv[1])).serve()
