"""etc/reportd.service: what doc/definitions.md promises of sources holds under its restrictions."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys

import pytest

from harness import HERE, REPORTD, ROOT, Server, poll
from test_sqlite_source import NOBODY, WAL, handed_over, make, names, values

UNIT = ROOT / "etc/reportd.service"
SANDBOX = HERE / "unit_sandbox.py"

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0,
    reason="only root may make what systemd makes")


class Confined(Server):
    """A server as the unit has it: its folder is the state directory, and nothing else may it write, except its audit trail."""

    def hand_over(self):
        folder = self.folder.parent
        self.data = folder / "data"
        self.data.mkdir()
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.environment["REPORTD_AUDIT_LOG"] = str(self.logs / "audit.log")
        program = shutil.copy(REPORTD, folder / "program")
        for path in [self.folder, self.logs, *self.folder.rglob("*")]:
            os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
        sandbox, unit = shutil.copy(SANDBOX, folder), shutil.copy(UNIT, folder)
        self.program = [sys.executable, sandbox, unit, self.folder, self.logs, str(NOBODY.pw_uid), str(NOBODY.pw_gid), program]


SORTED = ("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)"
          " SELECT count(*) AS v FROM (SELECT DISTINCT printf('%099d', i * 7) AS x FROM n ORDER BY x DESC)", "")


@pytest.fixture
def confined(monkeypatch):
    # The unit lets no program look into another, as the search for leaks does.
    monkeypatch.setenv("ASAN_OPTIONS", os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")
    with handed_over(Confined, "sqlite:../data/source.db", Sorted=SORTED) as server:
        yield server


def test_the_unit_has_no_fault_that_systemd_knows(tmp_path):
    unit = tmp_path / "reportd.service"
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/reportd", str(REPORTD)))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "reportd.service" not in done.stderr, done.stderr


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("owner", ["root", "nobody"])
def test_a_database_that_may_only_be_read_is_read(confined, mode, owner):
    """Who owns it makes no difference, since its folder is read-only for the unit."""
    path = make(confined.data / "source.db", WAL.replace("wal", mode))
    for each in (confined.data, path):
        shutil.chown(each, owner)
    alice = confined.client("alice")
    assert values(alice, "R") == ["one"]
    assert names(confined) == ["source.db"]
    make(path, "INSERT INTO t VALUES ('two')")  # the owner is not locked out
    assert values(alice, "R") == ["one", "two"]
    with contextlib.closing(sqlite3.connect(path)) as other:  # who has it open
        other.execute("INSERT INTO t VALUES ('zwei')")
        other.commit()
        assert values(alice, "R") == ["one", "two", "zwei"]
    assert values(alice, "R") == ["one", "two", "zwei"]


def test_sorts_spill_and_a_deletion_leaves_nothing(confined):
    make(confined.data / "source.db", WAL)
    alice = confined.client("alice")
    reference = alice.complete("Sorted")
    assert alice.result(reference).json()["data"]["results"] == [{"v": 200000}]
    alice.delete(reference)
    assert confined.files_of(reference) == []
    poll(lambda: '"event":"delete"' in (confined.logs / "audit.log").read_text(), what="its line in the audit trail")


def test_a_postgresql_source_is_read(confined, postgres):
    database = postgres.create_database("unit", "CREATE TABLE t (v text); INSERT INTO t VALUES ('one')")
    assert confined.stop() == 0
    confined.configure(source=postgres.url(database, tcp=True))
    confined.start()
    assert values(confined.client("alice"), "R") == ["one"]
