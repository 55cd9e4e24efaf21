"""Started with standard streams closed, nothing is written into what takes their numbers."""

import itertools
import os
import re
import sqlite3
import subprocess
from pathlib import Path

import pytest

from conftest import ALICE
from harness import ENDS_WITHIN, PASSWORD, PATIENCE, REPORTCTL, REPORTD, Server, poll, processes_below

SUBSETS = [subset for n in (1, 2, 3) for subset in itertools.combinations((0, 1, 2), n)]
NULL = Path("/dev/null")


def start_without(closed, words, folder, **arguments):
    """A process that has all standard streams except `closed`."""
    shell = "exec " + " ".join(f"{fd}<&-" for fd in closed) + ' "$@"'
    return subprocess.Popen(["/bin/sh", "-c", shell, "sh", *map(str, words)], cwd=folder,
                            **arguments)


def run_without(closed, words, folder, stdin=""):
    process = start_without(closed, words, folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
    out, err = process.communicate(stdin, timeout=PATIENCE)
    return process.returncode, out, err


def listens_on(pid):
    """The port of 127.0.0.1 that the process listens on, once it does."""
    inodes = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes |= set(re.findall(r"socket:\[(\d+)\]", os.readlink(fd)))
        except OSError:
            continue
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and words[9] in inodes:
            return int(words[1].partition(":")[2], 16)
    return None


def standard(pid):
    return {fd: Path(os.readlink(f"/proc/{pid}/fd/{fd}")) for fd in (0, 1, 2)}


@pytest.fixture(params=SUBSETS, ids=lambda closed: "".join(map(str, closed)))
def closed(request):
    return request.param


@pytest.fixture
def serve(closed):
    """`reportd serve` in a folder without some of its standard streams: serve(server)."""
    started = []

    def start(server):
        with open(server.log, "ab") as log:
            process = start_without(closed, [REPORTD, "serve", "-c", "reportd.conf"], server.folder,
                                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        started.append(process)
        poll(lambda: process.poll() is not None or listens_on(process.pid), what="the server")
        assert process.poll() is None, server.log_text()
        server.url = f"http://127.0.0.1:{listens_on(process.pid)}"
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
            assert process.wait(ENDS_WITHIN) == 0


def live(server, process, closed):
    """Reports complete, lines are logged, and what was closed is nobody's."""
    client = server.client(ALICE)
    client.complete("Quick", ProductID="1")
    assert client.get("/nothing").status_code == 404
    client.delete(client.order("Endless"))
    workers = processes_below(process.pid)
    assert workers
    for pid in (process.pid, *workers):
        assert all(standard(pid)[fd] == NULL for fd in closed), standard(pid)
    return client


def test_a_server_without_standard_streams_leaves_its_store_whole(tmp_path, serve, closed):
    server = Server.made(tmp_path / "server", log_level="debug")
    server.add_user(ALICE)
    process = serve(server)
    client = live(server, process, closed)
    assert len(client.references()) == 1
    process.kill()
    process.wait()
    with sqlite3.connect(f"file:{server.folder}/store.db?mode=ro", uri=True) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT name FROM user").fetchall() == [(ALICE,)]
    db.close()
    again = serve(server)
    assert server.client(ALICE).references()
    assert again.poll() is None


def test_a_node_without_standard_streams_writes_nothing_into_its_connections(
        tmp_path, postgres, serve, closed):
    name = postgres.create_database("closed" + "".join(map(str, closed)))
    server = Server.made(tmp_path / "server", store=postgres.url(name), log_level="debug")
    server.add_user(ALICE)
    live(server, serve(server), closed)
    assert postgres.sql("SELECT name FROM reportd.account", name) == [ALICE]
    assert "invalid frontend message" not in postgres.log_text()


def test_a_verb_without_standard_streams_leaves_the_store_whole(tmp_path, closed):
    server = Server.made(tmp_path / "server")
    status, _, err = run_without(closed, [REPORTD, "user", "add", "-c", "reportd.conf", ALICE],
                                 server.folder, PASSWORD + "\n")
    assert status == (1 if 0 in closed else 0), err
    if 0 in closed:
        assert 2 in closed or "standard input" in err, err
        server.add_user(ALICE)
    for words in (["user", "list"], ["fsck"], ["check", "reports"], ["user", "nothing"]):
        run_without(closed, [REPORTD, *words, "-c", "reportd.conf"], server.folder)
    assert ALICE in server.user("list")


def test_output_that_goes_nowhere_is_an_error(server, tmp_path):
    """A closed standard output still takes nothing, as before its number was taken."""
    status, _, err = run_without((1,), [REPORTCTL, "--help"], tmp_path)
    assert status != 0 and "standard output" in err


def test_without_dev_null_a_program_ends(tmp_path):
    for program in (REPORTD, REPORTCTL):
        status, _, err = run_without((0,), ["unshare", "--mount", "sh", "-c",
                                            'mount -t tmpfs none /dev && exec "$0" --version <&-',
                                            program], tmp_path)
        assert status == 1 and "/dev/null" in err, (status, err)


def test_the_configuration_may_come_through_a_pipe(make_server):
    """As a shell's <(…) does; its paths are relative to the working folder."""
    server = make_server()
    read, write = os.pipe()
    os.write(write, (server.folder / "reportd.conf").read_bytes())
    os.close(write)
    done = subprocess.run([REPORTD, "fsck", "-c", f"/dev/fd/{read}"], cwd=server.folder, pass_fds=[read],
                          capture_output=True, text=True, timeout=PATIENCE)
    os.close(read)
    assert done.returncode == 0 and "a server is running" in done.stdout, done.stderr
