"""The files that hold the server's secrets: made whole or not at all, for their owner only."""

import os
import pwd
import subprocess

import pytest

from conftest import close
from harness import REPORTD, Server
from seams import DEATH, plan
from stores import STORES, store_of

KEY_FILES = ["receipt.key", "token.key"]
KEYS = ["token.key", "receipt.key", "erase.key"]  # in the order in which a start makes them
NAMELESS = "key_file.nameless=EOPNOTSUPP@1+"
CASES = [(kind, name) for kind in STORES for name in KEYS if name != "erase.key" or kind != "sqlite"]


@pytest.fixture
def made(tmp_path):
    return Server.made(tmp_path / "made")


def keys_in(folder):
    return sorted(path.name for path in folder.iterdir() if ".key" in path.name)


def test_key_files_are_made_for_their_owner_only(made):
    made.start()
    assert made.stop() == 0
    assert keys_in(made.folder) == sorted(KEY_FILES)
    assert {(made.folder / name).stat().st_mode & 0o7777 for name in KEY_FILES} == {0o600}


@pytest.mark.parametrize("config, environment, where", [
    ({}, {}, "state/receipt.key"),
    ({"receipt_key_file": "receipt.key"}, {}, "receipt.key"),
    ({}, {"REPORTD_RECEIPT_KEY_FILE": "keys/other.key"}, "keys/other.key"),
])
def test_the_key_of_receipts_is_made_beside_key_file_unless_it_is_said_where(made, config, environment, where):
    for folder in ("state", "keys"):
        (made.folder / folder).mkdir()
    made.configure(key_file="state/token.key", **config)
    made.environment |= environment
    made.start()
    assert made.stop() == 0
    assert [str(path.relative_to(made.folder)) for path in made.folder.rglob("*.key") if path.name != "token.key"] == [where]


@pytest.mark.parametrize("nth", range(1, len(KEY_FILES) + 1))
def test_a_crash_while_a_key_file_is_made_leaves_none(made, nth):
    plan(made, f"key_file.make.written=crash@{nth}")
    with pytest.raises(AssertionError, match="did not start"):
        made.start()
    assert len(keys_in(made.folder)) == nth - 1
    plan(made)
    made.start()
    assert made.stop() == 0
    assert keys_in(made.folder) == sorted(KEY_FILES)


@pytest.mark.parametrize("nth", range(1, len(KEY_FILES) + 1))
def test_a_full_disk_while_a_key_file_is_made_leaves_none(made, nth):
    made.environment["REPORTD_SEAMS"] = f"key_file.write=ENOSPC@{nth}"
    with pytest.raises(AssertionError, match="No space left on device"):
        made.start()
    assert len(keys_in(made.folder)) == nth - 1


# --- where the file system has no files without a name ------------------------------------------------------


@pytest.fixture
def unused(tmp_path, store_kind, shared_postgres):
    """A server on a store that no command has used."""
    server = Server.made(tmp_path / "unused", store_of(store_kind, shared_postgres))
    yield server
    close(server)


def crash(server, *words):
    done = subprocess.run([REPORTD, *words], cwd=server.folder, env=server.environment, capture_output=True)
    assert done.returncode == DEATH, done.stderr
    plan(server)


def left_over(server):
    return sorted(path.name for path in server.folder.iterdir() if ".key." in path.name)


def assert_in_order(server, kind):
    assert left_over(server) == []
    for name in KEYS if kind != "sqlite" else KEYS[:2]:
        found = (server.folder / name).stat()
        assert (found.st_mode & 0o777, found.st_nlink) == (0o600, 1)


@pytest.mark.parametrize("step", ["written", "linked"])
@pytest.mark.parametrize("store_kind, name", CASES, indirect=["store_kind"])
def test_what_a_crash_leaves_of_a_key_goes_at_the_next_start(unused, store_kind, name, step):
    server = unused
    plan(server, NAMELESS, f"key_file.make.{step}=crash@{KEYS.index(name) + 1}")
    crash(server, "serve", "-c", "reportd.conf")
    assert left_over(server) == [name + ".new"] and (server.folder / name).exists() == (step == "linked")
    server.start()
    assert_in_order(server, store_kind)


@pytest.mark.parametrize("store_kind", STORES, indirect=True)
def test_keys_are_made_where_no_file_is_without_a_name(unused, store_kind):
    plan(unused, NAMELESS)
    unused.start()
    assert_in_order(unused, store_kind)


def test_what_a_crash_leaves_of_a_rotation_goes_at_the_next(make_server):
    server = make_server()
    key = server.folder / "receipt.key"
    before = key.read_bytes()
    plan(server, "key_file.make.written=crash")
    crash(server, "signing-key", "rotate", "receipt", "-c", "reportd.conf")
    assert left_over(server) == ["receipt.key.new"] and key.read_bytes() == before
    assert server.run("signing-key", "rotate", "receipt", "-c", "reportd.conf").returncode == 0
    assert left_over(server) == [] and key.read_bytes() != before
    server.stop()
    server.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files to another user takes root")
def test_a_rotation_by_root_leaves_the_key_to_the_servers_user(make_server):
    key = make_server().folder / "receipt.key"
    nobody = pwd.getpwnam("nobody")
    os.chown(key, nobody.pw_uid, nobody.pw_gid)
    before = key.read_bytes()
    done = subprocess.run([REPORTD, "signing-key", "rotate", "receipt", "-c", "reportd.conf"], cwd=key.parent, capture_output=True,
                          text=True)
    assert done.returncode == 0 and key.read_bytes() != before, done.stderr
    status = key.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (nobody.pw_uid, nobody.pw_gid, 0o600)


def test_a_name_that_is_taken_is_told(make_server):
    server = make_server()
    server.stop()
    (server.folder / "token.key").unlink()
    (server.folder / "token.key.new").mkdir()
    plan(server, NAMELESS)
    done = subprocess.run([REPORTD, "serve", "-c", "reportd.conf"], cwd=server.folder, env=server.environment,
                          capture_output=True, text=True)
    assert done.returncode == 1 and "make the key file" in done.stderr and "token.key" in done.stderr
    (server.folder / "token.key.new").rmdir()
    plan(server)
    server.start()
