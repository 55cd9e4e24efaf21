"""What another process of the server's user learns of it, and what its workers are given."""

import os
import subprocess
from pathlib import Path

import pytest

from harness import processes_below
from test_sqlite_source import NOBODY, Foreign, handed_over, make, values

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may start a server of another user")

SECRET = "not-for-workers"
OTHER_SOURCES = ("variable", "passfile")  # where libpq finds the password


class Watched(Foreign):
    """With secrets in its environment, and sources in PostgreSQL whose passwords are not in their URLs."""

    def hand_over(self):
        super().hand_over()
        place = f"127.0.0.1:{self.postgres.port}"
        passfile = self.folder / "passwords"
        self.put_passfile()
        with open(self.folder / "reportd.conf", "a") as file:
            file.write(f'source variable {{ url = "postgresql://postgres@{place}/postgres" }}\n'
                       f'source passfile {{ url = "postgresql://postgres@{place}/postgres?passfile={passfile}&password=" }}\n')
        for name in OTHER_SOURCES:
            (self.reports / f"{name}.sql").write_text(f"-- report: {name}\n-- source: {name}\n-- results\nSELECT '{name}' AS v\n")
        self.environment |= {"PGPASSWORD": self.postgres.password, "OTHER_SECRET": SECRET, "REPORTD_OTHER_THING": SECRET,
                             "PGCONNECT_TIMEOUT": "30"}

    def put_passfile(self):
        """A new file in the old one's place, as editors and configuration tools put it."""
        new = self.folder / "passwords.new"
        new.write_text(f"127.0.0.1:{self.postgres.port}:*:postgres:{self.postgres.password}\n")
        new.chmod(0o600)
        os.chown(new, NOBODY.pw_uid, NOBODY.pw_gid)
        new.replace(self.folder / "passwords")


@pytest.fixture(scope="module")
def watched(shared_postgres):
    Watched.postgres = shared_postgres()
    with handed_over(Watched, "sqlite:data/source.db") as server:
        make(server.data / "source.db", "CREATE TABLE t (v); INSERT INTO t VALUES ('one')")
        yield server


def as_nobody(*words):
    """The exit status of a program, run by the server's user."""
    user = ["setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups"]
    return subprocess.run([*user, *words], capture_output=True, check=False).returncode


def processes(server):
    workers = processes_below(server.process.pid)
    assert workers
    return [server.process.pid, *workers]


def test_no_process_of_the_same_user_looks_into_the_server_or_a_worker(watched):
    assert values(watched.client("alice"), "R") == ["one"]
    for pid in processes(watched):
        assert as_nobody("cat", f"/proc/{pid}/stat") == 0  # it is there
        for name in ("environ", "maps", "mem", "auxv"):
            assert as_nobody("dd", f"if=/proc/{pid}/{name}", "bs=1", "count=1") != 0, name
        assert as_nobody("ls", f"/proc/{pid}/fd") != 0
        assert os.listdir(f"/proc/{pid}/fd")  # root may


def test_workers_are_given_no_variable_but_what_their_databases_need(watched):
    alice = watched.client("alice")
    for name in ("R", *OTHER_SOURCES):
        assert values(alice, name)
        for pid in processes_below(watched.process.pid):
            variables = Path(f"/proc/{pid}/environ").read_bytes()
            assert SECRET.encode() not in variables and watched.postgres.password.encode() not in variables
            assert b"PGCONNECT_TIMEOUT=30" in variables
    own = Path(f"/proc/{watched.process.pid}/environ").read_bytes()
    assert watched.postgres.password.encode() not in own and b"REPORTD_OTHER_THING" not in own


@pytest.mark.parametrize("name", OTHER_SOURCES)
def test_a_confined_worker_finds_the_password_of_its_database(watched, name):
    assert values(watched.client("alice"), name) == [name]


def test_a_password_file_that_was_replaced_is_found_when_the_connection_is_made_again(watched):
    alice = watched.client("alice")
    assert values(alice, "passfile") == ["passfile"]
    watched.put_passfile()
    watched.postgres.sql("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name LIKE 'reportd%'")
    assert values(alice, "passfile") == ["passfile"]
