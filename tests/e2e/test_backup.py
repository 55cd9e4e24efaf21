"""`reportd backup` and `reportd restore`: whole while the server works, and what was deleted stays deleted."""

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess

import pytest

from fake_clock import DAY
from harness import REPORTD, SPOOL_MARK, Client, Server, Threads, poll, refused
from seams import Gate, passings, plan
from stores import UNDO_SQLITE_11

MADE = re.compile(rb'"generatedDate":"[^"]*"')
KINDS = {"files": {}, "compressed": {"result_compression": "zstd"}, "sealed": {"spool_encryption": "on"}, "rows": {"row_results": "16K"},
         "sealed-rows": {"row_results": "16K", "spool_encryption": "on"}}


@pytest.fixture(params=KINDS)
def server(request, make_server):
    return make_server(**KINDS[request.param])


def backup(server, name="backup", *words):
    done = server.run("backup", "-c", "reportd.conf", *words, name)
    assert done.returncode == 0, done.stderr
    return server.folder / name


def restore(server, *words):
    return server.run("restore", "-c", "reportd.conf", *words)


def restored(server, *words):
    done = restore(server, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def cut_footers(folder, db):
    """Results as they were before they had any."""
    db.execute("UPDATE small_result SET data = substr(data, 1, (SELECT bytes FROM report WHERE seq = small_result.seq))")
    for guid, size in db.execute("SELECT lower(hex(id)), bytes FROM report WHERE state = 2"):
        for path in folder.glob(f"spool/{guid[:8]}-{guid[8:12]}-{guid[12:16]}-{guid[16:20]}-{guid[20:]}.*.json"):
            os.truncate(path, size)
    db.commit()


def new_ledger(server):
    done = server.run("fsck", "-c", "reportd.conf", "--new-ledger")
    assert done.returncode == 0, done.stdout + done.stderr


def lose_everything(server):
    """As a disk does that dies; the ledger is on another."""
    if server.process is not None:
        server.kill()
    shutil.rmtree(server.spool)
    for path in server.folder.glob("store.db*"):
        path.unlink()


def check_order(server):
    done = server.run("fsck", "-c", "reportd.conf")
    assert done.returncode == 0, done.stdout + done.stderr


def results(client):
    """Of every complete report: the bytes."""
    return {reference: client.result(reference).content for reference in client.references()
            if client.state(reference) == "complete"}


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_what_was_backed_up_comes_back_and_what_was_deleted_does_not(server):
    client = server.client("alice")
    for _ in range(3):
        client.complete("Nested")
    big = client.complete("Big", Rows="3000")
    error = client.order("Quick", ProductID="99")
    client.finish(error)
    before = results(client)
    first, second = [reference for reference in before if reference != big][:2]
    client.delete(first)
    del before[first]
    folder = backup(server)
    assert folder.stat().st_mode & 0o777 == 0o700
    later = client.complete("Nested")
    client.delete(second)
    del before[second]
    client.delete(error)
    lose_everything(server)
    restored(server, "backup")
    check_order(server)
    client.url = server.start().url
    assert client.list().status_code == 401  # the session is dead
    assert client.call("POST", "/User/RefreshToken", json={"refreshToken": client.refresh_token}).status_code == 401
    client.login("alice")
    assert results(client) == before and big in before
    for reference in (first, second, error, later):
        refused(client.status(reference), "Unknown reference")
        refused(client.delete(reference), "Unknown reference")


def test_a_restore_says_what_it_did(make_server):
    server = make_server()
    client = server.client("alice")
    references = [client.complete("Quick", ProductID="1") for _ in range(3)]
    backup(server)
    client.delete(references[0])
    lose_everything(server)
    assert restored(server, "backup") == "2 reports restored, 1 deletion applied again, 1 session ended\n"


def test_the_manifest_tells_version_time_and_counts(make_server):
    server = make_server()
    client = server.client("alice")
    client.complete("Quick", ProductID="1")
    folder = backup(server)
    manifest = json.loads((folder / "manifest.json").read_text())
    version = subprocess.run([REPORTD, "--version"], capture_output=True, text=True).stdout.split()[1]
    assert manifest["version"] == version and manifest["reports"] == manifest["results"] == 1
    assert manifest["bytes"] == sum(path.stat().st_size for path in (folder / "spool").glob("*.json"))


def test_a_backup_has_no_key_no_ledger_and_nothing_of_what_was_deleted(make_server):
    server = make_server(row_results="16K")
    client = server.client("alice")
    keys = [f"marker-{i}" for i in range(40)]
    references = [client.submit("Quick", {"ProductID": "1"}, {"Idempotency-Key": key}).json()["data"]
                  for key in keys if not client.delete_all()]
    folder = backup(server)
    names = {path.name for path in folder.rglob("*")}
    assert names >= {"store.db", "spool", "manifest.json"} and not names & {"token.key", "deletions.ledger"}
    data = (folder / "store.db").read_bytes()
    assert not (folder / "store.db-wal").exists()
    for reference, key in zip(references[:-1], keys):
        assert key.encode() + b"\0" not in data
        assert bytes.fromhex(reference.replace("-", "")) not in data


def undated(content):
    """A report that was running when the backup was made runs again, later."""
    return MADE.sub(b"", content)


class Load(Threads):
    """Threads that submit reports, read them, and delete all but a few."""

    def __init__(self, server, client):
        super().__init__(3)
        self.server, self.client = server, client
        self.contents, self.deleted, self.kept = {}, set(), set()

    def run(self, number):
        client, last = Client(self.server.url, self.client.token), None
        while not self.over:
            reference = client.complete("Big", Rows=str(200 + number))
            self.contents[reference] = client.result(reference).content
            if len(self.contents) % 5 == 0:
                self.kept.add(reference)
                continue
            if last is not None:
                client.delete(last)
                self.deleted.add(last)
            last = reference

    def __enter__(self):
        super().__enter__()
        poll(lambda: len(self.kept) > 3, what="the load")
        return self


@pytest.mark.parametrize("kind", ["files", "rows"])
def test_a_backup_under_load_is_whole(make_server, kind):
    """Reports are submitted, finish, are read and deleted; every report in it has its bytes."""
    server = make_server(**KINDS[kind])
    client = server.client("alice")
    kept_before = []
    with Load(server, client) as load:
        for number in range(3):
            kept_before.append(set(load.kept))
            backup(server, f"backup{number}")
    lose_everything(server)
    for number in range(3):
        restored(server, f"backup{number}", "--force")
        check_order(server)
        client.url = server.start().url
        client.login("alice")
        for reference in client.references():
            client.finish(reference)
        found = results(client)
        assert kept_before[number] <= set(found)
        assert not set(found) & load.deleted
        for reference, content in found.items():
            assert undated(content) == undated(load.contents[reference])
        server.stop()


@pytest.mark.parametrize("step", ["backup.store.copied", "backup.result.due"])
def test_a_report_that_is_deleted_while_the_backup_runs_is_not_half_in_it(make_server, step):
    server = make_server(workers=1)
    client = server.client("alice")
    kept, gone = client.complete("Quick", ProductID="1"), client.complete("Nested")
    gate = Gate(server, step)
    plan(server, gate.seam, trace=gate.trace)
    with subprocess.Popen([REPORTD, "backup", "-c", "reportd.conf", "backup"], cwd=server.folder,
                          env=server.environment, stderr=subprocess.PIPE, text=True) as process:
        gate.wait()
        client.delete(gone)
        late = client.complete("Quick", ProductID="1")
        gate.open()
        assert process.wait() == 0, process.stderr.read()
    plan(server)
    assert [path.name for path in (server.folder / "backup" / "spool").glob("*.json")] == [f"{kept}.1.json"]
    # Even without the ledger it is not there, since its result was not.
    lose_everything(server)
    (server.folder / "deletions.ledger").unlink()
    restored(server, "backup", "--resurrect")
    check_order(server)
    client = server.start().client("alice")
    assert client.references() == [kept]
    refused(client.status(late), "Unknown reference")


def test_a_running_report_runs_again(make_server):
    server = make_server(workers=1)
    client = server.client("alice")
    running = client.order("Pause")
    client.wait_for(running, "processing")
    backup(server)
    lose_everything(server)
    restored(server, "backup")
    client = server.start().client("alice")
    assert client.finish(running).json()["data"] == "complete"


def test_a_purged_report_does_not_come_back(make_server, clock):
    server = make_server(retention="1d")
    client = server.client("alice")
    reference = client.complete("Quick", ProductID="1")
    backup(server)
    clock.jump(2 * DAY)
    client = server.client("alice")
    poll(lambda: client.references() == [], what="the purge")
    lose_everything(server)
    clock.jump(-2 * DAY)
    assert "1 deletion applied again" in restored(server, "backup")
    client = server.start().client("alice")
    refused(client.status(reference), "Unknown reference")


# --- what is refused --------------------------------------------------------------------------------


def deleted_since_the_backup(make_server, **config):
    server = make_server(**config)
    client = server.client("alice")
    reference = client.complete("Quick", ProductID="1")
    backup(server)
    client.delete(reference)
    lose_everything(server)
    return server, reference


def test_without_the_ledger_a_restore_is_refused(make_server):
    server, reference = deleted_since_the_backup(make_server)
    (server.folder / "deletions.ledger").rename(server.folder / "away")
    before = tree(server.folder)
    done = restore(server, "backup")
    assert done.returncode == 1 and "--resurrect" in done.stderr and "no deletion ledger" in done.stderr
    assert tree(server.folder) == before
    assert "1 deletion applied again" in restored(server, "backup", "--ledger", "away")
    (server.folder / "away").rename(server.folder / "deletions.ledger")
    client = server.start().client("alice")
    refused(client.status(reference), "Unknown reference")


def test_with_resurrect_it_comes_back(make_server):
    server, reference = deleted_since_the_backup(make_server)
    (server.folder / "deletions.ledger").unlink()
    done = restore(server, "backup", "--resurrect")
    assert done.returncode == 0 and "comes back" in done.stderr
    assert server.start().client("alice").state(reference) == "complete"


def test_a_ledger_that_was_made_anew_does_not_reach_back(make_server):
    server = make_server()
    client = server.client("alice")
    client.delete(client.complete("Quick", ProductID="1"))
    backup(server)
    server.stop()
    (server.folder / "deletions.ledger").unlink()
    new_ledger(server)
    server.start()
    lose_everything(server)
    done = restore(server, "backup")
    assert done.returncode == 1 and "is not among those at hand" in done.stderr, done.stderr
    assert not (server.folder / "store.db").exists()
    restored(server, "backup", "--resurrect")


def test_a_ledger_that_has_forgotten_does_not_reach_back(make_server, clock):
    server = make_server(backup_horizon="10d", retention="300d")
    client = server.client("alice")
    references = [client.complete("Quick", ProductID="1") for _ in range(2)]
    backup(server)
    client.delete(references[0])
    clock.jump(20 * DAY)
    poll(lambda: (server.folder / "deletions.ledger").stat().st_size == 96, what="the horizon")
    lose_everything(server)
    done = restore(server, "backup")
    assert done.returncode == 1 and "only knows" in done.stderr, done.stderr


def refuses(server, words, *arguments):
    done = restore(server, *arguments)
    assert done.returncode == 1 and words in done.stderr and "--resurrect" in done.stderr, done.stderr


def test_the_ledger_of_another_store_is_refused_however_old_it_is(make_server):
    other = make_server()
    server, reference = deleted_since_the_backup(make_server)
    other.stop()
    refuses(server, "of another store", "backup", "--ledger", other.folder / "deletions.ledger")
    restored(server, "backup")
    refused(server.start().client("alice").status(reference), "Unknown reference")


def test_the_manifest_names_the_ledgers_that_a_restore_needs(make_server):
    server = make_server()
    client = server.client("alice")
    client.delete(client.complete("Quick", ProductID="1"))
    poll(lambda: server.store.sql("SELECT records FROM ledger") == ["1"], what="the note")
    manifest = json.loads((backup(server) / "manifest.json").read_text())
    (ledger,) = manifest["ledgers"]
    assert ledger["place"] == str(server.folder / "deletions.ledger") and ledger["records"] == 1
    assert manifest["store"] == (server.spool / SPOOL_MARK).read_text().strip()


@pytest.mark.parametrize("damage", [lambda data: data[:-32], lambda data: data[:-16], lambda data: data[:-1] + b"x",
                                    lambda data: data[:-32] + bytes(32), lambda data: data[:-64] + data[-32:]],
                         ids=["cut", "torn", "altered", "zeros", "moved"])
def test_a_ledger_that_has_lost_its_end_is_refused(make_server, damage):
    """What stands there, or stood, may be a deletion; the store that is there says how many there were."""
    server = make_server()
    client = server.client("alice")
    references = [client.complete("Quick", ProductID="1") for _ in range(3)]
    backup(server)
    for reference in references[:2]:
        client.delete(reference)
    server.stop()
    path = server.folder / "deletions.ledger"
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    done = restore(server, "--force", "backup")
    assert done.returncode == 1 and "--resurrect" in done.stderr, done.stderr
    assert "lost its end" in done.stderr or "cannot be read" in done.stderr
    path.write_bytes(whole)
    restored(server, "--force", "backup")
    assert server.start().client("alice").references() == [references[2]]


def test_a_ledger_that_is_shorter_than_at_the_backup_is_refused(make_server):
    server = make_server()
    client = server.client("alice")
    for _ in range(2):
        client.delete(client.complete("Quick", ProductID="1"))
    poll(lambda: server.store.sql("SELECT records FROM ledger") == ["2"], what="the note")
    backup(server)
    lose_everything(server)
    path = server.folder / "deletions.ledger"
    path.write_bytes(path.read_bytes()[:-32])
    refuses(server, "lost its end", "backup")


def test_of_several_ledgers_all_are_needed(make_server):
    """The first was moved without its file, so that the server made another one."""
    server = make_server()
    client = server.client("alice")
    first, second, kept = (client.complete("Quick", ProductID="1") for _ in range(3))
    backup(server)
    client.delete(first)
    server.stop()
    server.configure(deletion_ledger="elsewhere")
    new_ledger(server)
    client.url = server.start().url
    client.delete(second)
    server.stop()
    refuses(server, "elsewhere", "--force", "backup", "--ledger", "deletions.ledger")
    refuses(server, "deletions.ledger", "--force", "backup")
    restored(server, "--force", "backup", "--ledger", "deletions.ledger", "--ledger", "elsewhere")
    assert server.start().client("alice").references() == [kept]


def test_a_ledger_between_two_others_is_needed_by_the_backups_before_it_only(make_server):
    """The store keeps which ledgers it has had."""
    server = make_server()
    client = server.client("alice")
    references = [client.complete("Quick", ProductID="1") for _ in range(4)]
    backup(server)
    for name, reference in zip(("one", "two", "three"), references):
        server.stop()
        server.configure(deletion_ledger=name)
        new_ledger(server)
        client.url = server.start().url
        client.delete(reference)
    (ledger,) = json.loads((backup(server, "late") / "manifest.json").read_text())["ledgers"]
    assert ledger["place"].endswith("/three")
    server.stop()
    words = [word for name in ("deletions.ledger", "one", "three") for word in ("--ledger", name)]
    refuses(server, "/two' is not among", "--force", "backup", *words)
    restored(server, "--force", "late")
    assert server.start().client("alice").references() == [references[3]]


def name_no_ledgers(folder, lacking=("store", "ledgers")):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in manifest.items() if key not in lacking}))


def with_two_ledgers(make_server):
    """A backup of three reports that names no ledger; after it each of two ledgers had one deletion. What is kept."""
    server = make_server()
    client = server.client("alice")
    first, second, kept = (client.complete("Quick", ProductID="1") for _ in range(3))
    name_no_ledgers(backup(server))
    client.delete(first)
    server.stop()
    server.configure(deletion_ledger="elsewhere")
    new_ledger(server)
    client.url = server.start().url
    client.delete(second)
    return server, kept


def test_a_backup_that_names_no_ledgers_needs_all_that_are_given_to_reach_back(make_server, tmp_path):
    """One of a version before."""
    server, kept = with_two_ledgers(make_server)
    lose_everything(server)
    both = ["backup", "--ledger", "deletions.ledger", "--ledger", "elsewhere"]
    refuses(server, "elsewhere' only knows what was deleted since", *both)
    done = restore(server, "backup", "--ledger", "deletions.ledger")
    assert done.returncode == 1 and "elsewhere', the configuration's, is of the same store" in done.stderr, done.stderr
    done = restore(server, *both, "--resurrect")
    assert done.returncode == 0 and "does not say which deletion ledgers it needs" in done.stderr
    assert "2 deletions applied again" in done.stdout
    assert server.start().client("alice").references() == [kept]


def test_a_backup_that_names_no_ledgers_is_restored_over_a_store_that_knows_which_it_has_had(make_server):
    server, kept = with_two_ledgers(make_server)
    server.stop()
    both = ["--force", "backup", "--ledger", "deletions.ledger", "--ledger", "elsewhere"]
    refuses(server, "/deletions.ledger' is not among", "--force", "backup")
    assert restored(server, *both).startswith("1 report restored, 2 deletions applied again")
    assert server.start().client("alice").references() == [kept]


@pytest.mark.parametrize("lacking", [("store", "ledgers"), ("ledgers",)], ids=["unnamed", "named"])
def test_a_backup_that_names_no_ledgers_is_checked_against_the_store_that_stands(make_server, lacking):
    server = make_server()
    client = server.client("alice")
    references = [client.complete("Quick", ProductID="1") for _ in range(3)]
    name_no_ledgers(backup(server), lacking)
    for reference in references[:2]:
        client.delete(reference)
    server.stop()
    ledger = server.folder / "deletions.ledger"
    whole = ledger.read_bytes()
    ledger.write_bytes(whole[:-32])
    refuses(server, "lost its end", "--force", "backup")
    ledger.write_bytes(whole)
    restored(server, "--force", "backup")
    assert server.start().client("alice").references() == [references[2]]


def test_what_the_store_knows_of_ledgers_outlives_a_restore_over_it(make_server):
    server = make_server()
    client = server.client("alice")
    kept, deleted = (client.complete("Quick", ProductID="1") for _ in range(2))
    backup(server, "first")
    backup(server, "second")
    server.stop()
    server.configure(deletion_ledger="elsewhere")
    new_ledger(server)
    client.url = server.start().url
    client.delete(deleted)
    server.stop()
    (server.folder / "elsewhere").rename(server.folder / "away")
    restored(server, "--force", "first", "--resurrect", "--ledger", "deletions.ledger")
    refuses(server, "/elsewhere' is not among", "--force", "second", "--ledger", "deletions.ledger")
    restored(server, "--force", "second", "--ledger", "deletions.ledger", "--ledger", "away")
    (server.folder / "away").rename(server.folder / "elsewhere")
    assert server.start().client("alice").references() == [kept]


@pytest.mark.parametrize("over", [False, True], ids=["anew", "over"])
@pytest.mark.parametrize("kind", ["files", "rows"])
def test_a_backup_from_before_stores_had_an_id_gets_it_from_the_ledger(make_server, kind, over):
    server = make_server(**KINDS[kind])
    client = server.client("alice")
    deleted, kept = (client.complete("Quick", ProductID="1") for _ in range(2))
    folder = backup(server)
    name_no_ledgers(folder)
    with contextlib.closing(sqlite3.connect(folder / "store.db")) as db:
        cut_footers(folder, db)
        db.executescript(UNDO_SQLITE_11 +
                         "DROP TABLE identity; DROP TABLE ledger; DROP TABLE login_address; ALTER TABLE report DROP COLUMN footer;"
                         "ALTER TABLE used_refresh DROP COLUMN access; ALTER TABLE used_refresh DROP COLUMN used_ms;"
                         "PRAGMA user_version = 4")
    client.delete(deleted)
    if over:
        server.stop()
        restored(server, "--force", "backup")
    else:
        lose_everything(server)
        restored(server, "backup")
    client = server.start().client("alice")
    assert client.references() == [kept] and client.result(kept).status_code == 200
    check_order(server)


def test_a_backup_from_before_the_first_start_needs_a_ledger_that_reaches_back(make_server):
    """The store was brought up to date by another command than serve: its list of ledgers is empty."""
    server = make_server()
    client = server.client("alice")
    reference = client.complete("Quick", ProductID="1")
    server.stop()
    server.store.sql("DELETE FROM ledger")
    assert json.loads((backup(server) / "manifest.json").read_text())["ledgers"] == []
    client.url = server.start().url
    client.delete(reference)
    server.stop()
    (server.folder / "deletions.ledger").rename(server.folder / "first")
    new_ledger(server)
    lose_everything(server)
    refuses(server, "only knows what was deleted since", "backup")
    words = ["backup", "--ledger", "first", "--ledger", "deletions.ledger"]
    refuses(server, "only knows what was deleted since", *words)
    assert "1 deletion applied again" in restored(server, "--resurrect", *words)


def test_beside_a_server_nothing_is_restored(make_server):
    server = make_server()
    client = server.client("alice")
    reference = client.complete("Quick", ProductID="1")
    backup(server)
    for words in (["backup"], ["backup", "--force"], ["--ledger", "deletions.ledger"],
                  ["backup", "--force", "--resurrect", "--ledger", "missing"]):
        done = restore(server, *words)
        assert done.returncode == 1 and "stop it first" in done.stderr, done.stderr
    assert client.state(reference) == "complete"


def test_a_store_that_is_there_is_not_overwritten_unless_asked(make_server):
    server = make_server()
    client = server.client("alice")
    old = client.complete("Quick", ProductID="1")
    backup(server)
    new = client.complete("Quick", ProductID="1")
    server.kill()  # its log is beside the store
    before = (server.folder / "store.db").read_bytes()
    done = restore(server, "backup")
    assert done.returncode == 1 and "--force" in done.stderr
    assert (server.folder / "store.db").read_bytes() == before
    restored(server, "backup", "--force")
    client = server.start().client("alice")
    assert client.references() == [old]
    refused(client.status(new), "Unknown reference")
    assert server.files() == [f"{old}.1.json"]


def test_a_log_of_a_store_that_is_gone_is_not_taken_for_the_new_ones(make_server):
    server = make_server()
    client = server.client("alice")
    client.complete("Quick", ProductID="1")
    backup(server)
    server.kill()
    assert (server.folder / "store.db-wal").exists()
    (server.folder / "store.db").unlink()
    done = restore(server, "backup")
    assert done.returncode == 1 and "store.db-wal" in done.stderr
    (server.folder / "store.db-wal").unlink()
    restored(server, "backup")


def test_a_folder_that_has_something_in_it_is_not_written_to(make_server):
    server = make_server()
    (server.folder / "full").mkdir()
    (server.folder / "full" / "mine").write_text("mine")
    done = server.run("backup", "-c", "reportd.conf", "full")
    assert done.returncode == 1 and "not empty" in done.stderr
    assert tree(server.folder / "full") == ["mine"]
    (server.folder / "empty").mkdir()
    backup(server, "empty")


@pytest.mark.parametrize("words", [[], ["a", "b"], ["--nonsense", "a"]])
@pytest.mark.parametrize("verb", ["backup", "restore"])
def test_wrong_usage_is_2(make_server, verb, words):
    server = make_server()
    done = server.run(verb, *words)
    assert done.returncode == 2 and "--help" in done.stderr


def test_neither_makes_a_store(tmp_path):
    server = Server(tmp_path)
    server.configure()
    (tmp_path / "ledger").write_bytes(b"")
    for words in (["backup", "-c", "reportd.conf", "dir"], ["restore", "-c", "reportd.conf", "dir"],
                  ["restore", "-c", "reportd.conf", "--ledger", "ledger"]):
        assert server.run(*words).returncode == 1
    assert tree(tmp_path) == ["ledger", "reportd.conf"]


def test_a_backup_that_is_not_whole_is_refused(make_server):
    server = make_server()
    server.client("alice").complete("Quick", ProductID="1")
    folder = backup(server)
    (folder / "manifest.json").unlink()
    lose_everything(server)
    done = restore(server, "backup")
    assert done.returncode == 1 and "not a complete backup" in done.stderr
    assert not (server.folder / "store.db").exists()


def test_a_result_that_the_backup_lost_costs_its_report_only(make_server):
    server = make_server()
    client = server.client("alice")
    lost, kept = client.complete("Quick", ProductID="1"), client.complete("Nested")
    folder = backup(server)
    (folder / "spool" / f"{lost}.1.json").write_text("{")
    lose_everything(server)
    done = restore(server, "backup")
    assert done.returncode == 1 and "1 complete reports are left out" in done.stderr
    check_order(server)
    assert server.start().client("alice").references() == [kept]


def test_a_spool_of_another_store_is_neither_backed_up_nor_restored_to(make_server):
    other, server = make_server(), make_server()
    reference = other.client("alice").complete("Quick", ProductID="1")
    server.client("alice").complete("Quick", ProductID="1")
    backup(server)
    server.stop()
    server.configure(spool=other.spool)
    done = server.run("backup", "-c", "reportd.conf", "second")
    assert done.returncode == 1 and "of another store" in done.stderr, done.stderr
    other.stop()
    for words in (["backup"], ["backup", "--force"]):
        if words == ["backup"]:
            (server.folder / "store.db").rename(server.folder / "away")
        done = restore(server, *words)
        assert done.returncode == 1 and "of another store" in done.stderr, done.stderr
        if words == ["backup"]:
            (server.folder / "away").rename(server.folder / "store.db")
    done = restore(server, "--ledger", "deletions.ledger")
    assert done.returncode == 1 and "of another store" in done.stderr, done.stderr
    assert other.start().client("alice").result(reference).json()["result"] is True


def test_a_backup_is_restored_over_another_store_and_its_spool(make_server):
    old, server = make_server(), make_server()
    reference = old.client("alice").complete("Quick", ProductID="1")
    backup(old)
    server.client("alice").complete("Quick", ProductID="1")
    server.stop()
    old.stop()
    restored(server, "--force", "--ledger", old.folder / "deletions.ledger", old.folder / "backup")
    check_order(server)
    (old.folder / "deletions.ledger").replace(server.folder / "deletions.ledger")  # the other's store is gone
    assert server.start().client("alice").references() == [reference]
    assert (server.spool / SPOOL_MARK).read_text() == (old.spool / SPOOL_MARK).read_text()


# --- crashes and full disks -------------------------------------------------------------------------

BACKUP_STEPS = ["store.backup.begun", "backup.store.copied", "backup.result.due", "backup.results.copied",
                "backup.manifest.written", "backup.folder.renamed"]
RESTORE_STEPS = ["restore.store.copied", "restore.sessions.ended", "restore.deletions.applied",
                 "restore.result.due", "restore.results.copied", "restore.store.named"]


def steps_of(server, verb):
    """The steps that are its own, in order; a step that is passed again stands where it was first."""
    trace = server.folder / f"{verb}.trace"
    plan(server, trace=trace)
    done = subprocess.run([REPORTD, verb, "-c", "reportd.conf", "backup"], cwd=server.folder, env=server.environment)
    assert done.returncode == 0
    plan(server)
    return list(dict.fromkeys(place for _, place in passings(trace)
                              if place.startswith((f"{verb}.", f"store.{verb}.")) and place.count(".") == 2))


def test_the_tests_know_every_step(make_server):
    server = make_server()
    server.client("alice").complete("Quick", ProductID="1")
    assert steps_of(server, "backup") == BACKUP_STEPS
    lose_everything(server)
    assert steps_of(server, "restore") == RESTORE_STEPS


@pytest.mark.parametrize("step", BACKUP_STEPS)
def test_a_backup_that_is_killed_is_whole_or_not_there(make_server, step):
    server = make_server()
    client = server.client("alice")
    reference = client.complete("Quick", ProductID="1")
    plan(server, f"{step}=crash")
    done = subprocess.run([REPORTD, "backup", "-c", "reportd.conf", "backup"], cwd=server.folder,
                          env=server.environment, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    plan(server)
    if step != BACKUP_STEPS[-1]:
        assert not (server.folder / "backup").exists()
        backup(server)
    assert not (server.folder / "backup.partial").exists()
    lose_everything(server)
    restored(server, "backup")
    assert server.start().client("alice").references() == [reference]


@pytest.mark.parametrize("fault", ["store.backup=EIO", "spool.copy=ENOSPC", "spool.syncfs=EIO"])
def test_a_backup_that_fails_leaves_nothing(make_server, fault):
    server = make_server()
    client = server.client("alice")
    client.complete("Quick", ProductID="1")
    before = tree(server.folder)
    plan(server, fault)
    done = subprocess.run([REPORTD, "backup", "-c", "reportd.conf", "backup"], cwd=server.folder,
                          env=server.environment, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("reportd backup: "), done.stderr
    assert tree(server.folder) == before


@pytest.mark.parametrize("kind, step", [(kind, step) for kind in ("files", "rows") for step in RESTORE_STEPS
                                        if (kind, step) != ("rows", "restore.result.due")])
def test_a_restore_that_is_killed_can_be_repeated(make_server, step, kind):
    server = make_server(**KINDS[kind])
    client = server.client("alice")
    gone, kept = client.complete("Quick", ProductID="1"), client.complete("Nested")
    content = client.result(kept).content
    backup(server)
    client.delete(gone)
    lose_everything(server)
    done = subprocess.run([REPORTD, "restore", "-c", "reportd.conf", "backup"], cwd=server.folder,
                          env={**os.environ, "REPORTD_SEAMS": f"{step}=crash"}, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    if step != RESTORE_STEPS[-1]:
        assert not (server.folder / "store.db").exists()
        restored(server, "backup")
    client.url = server.start().url
    assert client.list().status_code == 401
    client.login("alice")
    assert results(client) == {kept: content}
    assert not [name for name in tree(server.folder) if "restore" in name and step != RESTORE_STEPS[-1]]


def test_a_restore_over_a_store_leaves_none_of_its_results(make_server):
    server = make_server()
    client = server.client("alice")
    kept = client.complete("Quick", ProductID="1")
    backup(server)
    newer = client.complete("Nested")
    server.stop()
    restored(server, "backup", "--force")
    check_order(server)
    assert server.files_of(kept) and not server.files_of(newer)


def test_what_a_killed_restore_has_left_goes_at_the_next_start(make_server):
    """It would keep what is deleted after that."""
    server = make_server()
    client = server.client("alice")
    reference = client.complete("Quick", ProductID="1")
    backup(server)
    server.stop()
    done = subprocess.run([REPORTD, "restore", "--force", "-c", "reportd.conf", "backup"], cwd=server.folder,
                          env={**os.environ, "REPORTD_SEAMS": "restore.deletions.applied=crash"}, capture_output=True)
    assert done.returncode == -signal.SIGKILL and list(server.folder.glob("store.db.restore*"))
    client.url = server.start().url
    assert client.delete(reference).json()["result"] is True
    assert not list(server.folder.glob("store.db.restore*"))


def test_a_restore_that_fails_leaves_no_store(make_server):
    server, _ = deleted_since_the_backup(make_server)
    done = subprocess.run([REPORTD, "restore", "-c", "reportd.conf", "backup"], cwd=server.folder, text=True,
                          env={**os.environ, "REPORTD_SEAMS": "restore.copy=ENOSPC"}, capture_output=True)
    assert done.returncode == 1 and "No space left" in done.stderr
    assert not list(server.folder.glob("store.db*"))


# --- stores that stand already ----------------------------------------------------------------------


def test_ledgers_are_applied_to_a_copy_of_the_files(make_server):
    server = make_server()
    client = server.client("alice")
    gone, kept = client.complete("Quick", ProductID="1"), client.complete("Nested")
    server.stop()
    shutil.copytree(server.spool, server.folder / "copied")
    shutil.copy(server.folder / "store.db", server.folder / "copied.db")
    client.url = server.start().url
    client.delete(gone)
    lose_everything(server)
    (server.folder / "copied").rename(server.spool)
    (server.folder / "copied.db").rename(server.folder / "store.db")
    assert restored(server, "--ledger", "deletions.ledger") == "1 deletion applied again, 1 session ended\n"
    assert restored(server, "--ledger", "deletions.ledger") == "0 deletions applied again, 0 sessions ended\n"
    assert server.files() == [f"{kept}.1.json"]
    client.url = server.start().url
    assert client.list().status_code == 401
    client.login("alice")
    assert client.references() == [kept]
