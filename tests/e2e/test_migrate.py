"""`reportd migrate`: an embedded store moves to PostgreSQL, whole, wherever it is killed, and nothing stays behind."""

import json
import shutil
import sqlite3
import uuid

import pytest

from conftest import ALICE
from disks import Disk, own_mounts
from harness import Client, Server, opens, refused
from places import traces
from seams import DEATH, passings, plan
from stores import UNDO_SQLITE_11, PostgresStore, SqliteStore
from test_keys import Key

TARGETS = {"the same folder": {}, "another folder": {"spool": "results"}, "rows": {"spool": "postgresql"}}
# In the order in which they are passed, and those that a target has not.
STEPS = ["key_file.make.written", "erase.keys.taken", "spool.open.made", "store.recover.posted", "store.recover.taken", "store.recover.written",
         "store.recover.committed", "spool.mark.written", "spool.mark.named", "migrate.source.marked",
         "migrate.rows.written", "migrate.rows.copied", "store.find.posted", "store.find.taken", "store.find.committed",
         "spool.publish.copied", "spool.publish.committed", "spool.publish.renamed", "spool.publish.synced", "migrate.result.published",
         "spool.fetch.begun", "migrate.all.verified", "migrate.target.finished", "spool.sweep.found", "spool.remove.truncated",
         "spool.sweep.unlinked", "migrate.files.erased", "migrate.store.replaced"]
BESIDE = {"store.recover.answered", "store.find.answered"}  # passed by another thread, while the migration goes on
IN_ROWS = {"spool.publish.copied", "spool.publish.committed", "spool.fetch.begun"}
IN_FILES = {"spool.publish.renamed", "spool.publish.synced"}
MARKED = {"spool.mark.written", "spool.mark.named"}
ERASED = {"spool.sweep.found", "spool.remove.truncated", "spool.sweep.unlinked"}
WITHOUT = {"the same folder": IN_ROWS | MARKED | ERASED, "another folder": IN_ROWS, "rows": IN_FILES | MARKED}
BIG = {"Rows": "3000"}
ENCRYPTED = {"spool_encryption": "on", "result_compression": "zstd"}


class Moving:
    """An embedded store, and a database that it may move to."""

    def __init__(self, folder, postgres, target="rows", server=None):
        self.server = server or Server.made(folder, row_results="16K")
        self.postgres, self.target = postgres, TARGETS[target]
        if not server:
            self.server.add_user(ALICE)
            self.server.add_user("bob")

    def aim(self):
        """The configuration of the old store is old.conf from here on."""
        shutil.copy(self.server.folder / "reportd.conf", self.server.folder / "old.conf")
        self.server.store = PostgresStore(self.server.folder, self.postgres, in_rows="spool" in self.target)
        self.server.spool = self.server.folder / self.target.get("spool", "spool")
        self.server.configure(**self.target)
        return self

    def run(self, *words, seams="", trace=""):
        return self.server.run("migrate", *words, "old.conf",
                               environment={"REPORTD_SEAMS": seams, "REPORTD_SEAMS_TRACE": str(trace)})

    def run_well(self, *words):
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def old(self, text):
        return SqliteStore(self.server.folder).sql(text)

    def close(self):
        if self.server.process is not None:
            assert self.server.stop() == 0
        self.server.check_log()
        self.server.store.close()


@pytest.fixture
def make_moving(tmp_path, postgres):
    made = []

    def make(target="rows"):
        moving = Moving(tmp_path / f"moving{len(made)}", postgres, target)
        made.append(moving)
        return moving

    yield make
    for moving in made:
        moving.close()


class Lived:
    """What a server of the old store has left when it was killed: reports in every state."""

    def __init__(self, moving, **config):
        server = moving.server
        server.configure(row_results="16K", cancel_grace="100ms", **config)
        plan(server, "deletion.delete.marked=crash@2")
        server.start()
        self.client, self.bob = server.client(ALICE), server.client("bob")
        self.gone = self.client.complete("Quick", ProductID="1")
        assert self.client.delete(self.gone).json()["result"]
        complete = [self.client.complete("Quick", ProductID="1"), self.client.complete("Nested"), self.client.complete("Big", **BIG),
                    self.bob.complete("Big", **BIG)]
        key = {"Idempotency-Key": "once"}
        self.key, self.keyed = key, self.bob.submit("Quick", {"ProductID": "1"}, headers=key).json()["data"]
        self.error = self.client.order("Quick", ProductID="99")
        assert self.client.finish(self.error).json()["data"] == "error"
        self.bob.finish(self.keyed)
        self.deleting = self.client.complete("Quick", ProductID="1")
        self.processing = [self.client.order("Endless"), self.bob.order("Endless")]
        for client, reference in zip((self.client, self.bob), self.processing):
            client.wait_for(reference, "processing")
        self.queued = self.client.order("Quick", ProductID="1")
        self.results = {reference: self.owner(reference, complete).result(reference).content for reference in complete}
        self.statuses = {reference: self.owner(reference, complete).status(reference).json() for reference in [*complete, self.error]}
        self.lists = [client.references() for client in (self.client, self.bob)]
        with pytest.raises(Exception):
            self.client.delete(self.deleting)
        server.process.wait()
        server.kill()
        plan(server)

    def owner(self, reference, complete):
        return self.bob if complete and reference == complete[-1] else self.client

    def check(self, server):
        """All is as it was, with the tokens of then."""
        last = list(self.results)
        self.client.url = self.bob.url = server.url
        for reference, content in self.results.items():
            client = self.owner(reference, last)
            assert client.status(reference).json() == self.statuses[reference]
            assert client.result(reference).content == content
        assert self.client.status(self.error).json() == self.statuses[self.error]
        assert self.bob.submit("Quick", {"ProductID": "1"}, headers=self.key).json()["data"] == self.keyed
        for client, reference in zip((self.client, self.bob), self.processing):
            assert client.state(reference) in ("queued", "processing")
            assert client.delete(reference).json()["result"]
        assert self.client.finish(self.queued).json()["data"] == "complete"
        for reference in (self.gone, self.deleting):
            refused(self.client.status(reference), "Unknown reference")
        for client, references in zip((self.client, self.bob), self.lists):
            assert client.references() == [one for one in references if one not in (*self.processing, self.deleting)]


def check_nothing_is_left(moving, lived):
    """Of the old store and its spool; and what is deleted now is nowhere."""
    assert moving.old("SELECT count(*) FROM sqlite_schema") == ["0"]
    folder = moving.server.folder
    assert sorted(path.name for path in folder.glob("store.db*")) == ["store.db"]
    if moving.target:
        assert [path.name for path in (folder / "spool").rglob("*") if path.is_file()] == ["store.id"]
    reference = next(iter(lived.results))
    assert lived.client.delete(reference).json()["result"]
    assert moving.server.holding(*traces(reference)) <= {"stderr.log"}


@pytest.mark.parametrize("target, before", [("the same folder", {}), ("another folder", ENCRYPTED), ("rows", {}), ("rows", ENCRYPTED)])
def test_every_report_of_every_user_moves(make_moving, target, before):
    moving = make_moving(target)
    lived = Lived(moving, **before)
    moving.aim()
    done = moving.run_well()
    assert done.startswith("2 users, 2 sessions, 10 reports moved; "), done
    server = moving.server.start()
    lived.check(server)
    assert server.stop() == 0
    fsck = server.run("fsck", "-c", "reportd.conf")
    assert fsck.returncode == 0, fsck.stdout
    server.start()
    lived.client.url = server.url
    check_nothing_is_left(moving, lived)


# ---- a crash anywhere ----


@pytest.fixture(scope="module")
def few(tmp_path_factory, shared_postgres):
    """An old store with a small result in its row and one in a file, whose server has ended; it is copied."""
    moving = Moving(tmp_path_factory.mktemp("few") / "server", shared_postgres())
    client = moving.server.start().client(ALICE)
    kept = {reference: client.result(reference).content
            for reference in (client.complete("Quick", ProductID="1"), client.complete("Big", **BIG))}
    key = Key(moving.server, ALICE, "--expires", "1d").text
    assert moving.server.stop() == 0
    return moving.server.folder, client.token, kept, key


@pytest.fixture
def make_few(few, tmp_path, postgres):
    made = []

    def make(target="rows"):
        folder = tmp_path / f"few{len(made)}"
        shutil.copytree(few[0], folder)
        moving = Moving(folder, postgres, target, server=Server(folder))
        moving.token, moving.kept, moving.key = few[1:]
        made.append(moving)
        return moving.aim()

    yield make
    for moving in made:
        moving.close()


def check_few(moving, has_key=True):
    """All has moved, with the token of then and the key, or not."""
    client = Client(moving.server.start().url, token=moving.token)
    assert opens(moving.server, moving.key) == has_key
    assert {reference: client.result(reference).content for reference in client.references()} == moving.kept
    assert moving.server.stop() == 0


def refuses_to_serve(moving, *words):
    for configuration, word in zip(("old.conf", "reportd.conf"), words):
        done = moving.server.run("serve", "-c", configuration)
        assert done.returncode == 1 and word in done.stderr, done.stderr


@pytest.mark.parametrize("target", TARGETS)
def test_killed_at_every_step_it_is_finished_by_the_next(make_few, target, tmp_path):
    moving, trace = make_few(target), tmp_path / "trace"
    before = set(moving.server.spool.glob("*.json"))
    for step in STEPS:
        if step in WITHOUT[target]:
            continue
        if step == "migrate.result.published" and target == "rows":  # two are copied at a time, and both may be there already
            moving.server.store.sql("DELETE FROM result_chunk")
        done = moving.run(seams=f"{step}=crash", trace=trace)
        assert done.returncode == DEATH, (step, done.stdout, done.stderr)
        if step in IN_FILES:  # it is there for the next, which does not know whether it is synced
            done = moving.run(seams="spool.syncfs=EIO")
            assert done.returncode == 1 and "sync" in done.stderr, (step, done.stdout, done.stderr)
            for path in set(moving.server.spool.glob("*.json")) - before:
                path.unlink()
        if step in ("migrate.rows.copied", "migrate.all.verified"):
            refuses_to_serve(moving, "is being moved to PostgreSQL", "is being moved into this database")
    assert {place for _, place in passings(trace) if place.count(".") == 2} == (set(STEPS) | BESIDE) - WITHOUT[target]
    assert moving.run_well() == "the store was moved before\n"
    refuses_to_serve(moving, "was moved to PostgreSQL")
    assert moving.server.run("serve", "--check", "-c", "old.conf").returncode == 1
    check_few(moving)


@pytest.mark.parametrize("target", TARGETS)
def test_an_unfinished_migration_can_be_undone(make_few, target):
    moving = make_few(target)
    for step in ("migrate.source.marked", "migrate.all.verified"):
        assert moving.run(seams=f"{step}=crash").returncode == DEATH
        assert moving.run("--undo", seams="migrate.target.dropped=crash").returncode == DEATH
        assert moving.run_well("--undo").startswith("undone")
        assert moving.server.store.sql("SELECT count(*) FROM account") == ["0"]
        assert not list((moving.server.folder / "results").glob("*.json"))
    moving.server.configure(row_results="16K", store="store.db", spool="spool")
    check_few(moving)
    shutil.rmtree(moving.server.folder / "temp", ignore_errors=True)
    moving.aim().run_well()
    check_few(moving)


def test_a_finished_one_cannot(make_few):
    moving = make_few()
    assert moving.run(seams="migrate.target.finished=crash").returncode == DEATH
    fails(moving, "without --undo", undo=True)
    moving.run_well()


# ---- what is refused, and what fails ----


def fails(moving, *words, seams="", undo=False):
    done = moving.run(*(["--undo"] if undo else []), seams=seams)
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith("reportd migrate: ") and all(word in done.stderr for word in words), done.stderr


def is_unmarked(moving):
    return int(moving.old("PRAGMA user_version")[0]) < 1000


# In the order in which they are passed.
CALLS = ["key_file.write", "spool.parent_fsync", "store.commit", "spool.mark", "store.mark", "spool.create", "migrate.write", "spool.rename", "spool.folder_fsync",
         "spool.syncfs"]
WITHOUT_CALLS = {"the same folder": {"spool.mark"}, "another folder": set(), "rows": {"spool.mark", "spool.rename", "spool.folder_fsync", "spool.syncfs"}}
IGNORED_CALLS = {"key_file.nameless", "store.sync"}  # another kind of file is taken; the log is moved into the database


@pytest.mark.parametrize("target", TARGETS)
def test_whichever_call_fails_the_next_goes_on(make_few, target, tmp_path):
    moving, trace = make_few(target), tmp_path / "trace"
    calls = [call for call in CALLS if call not in WITHOUT_CALLS[target]]
    for number, call in enumerate(calls):
        done = moving.run(seams=f"{call}={('EIO', 'ENOSPC')[number % 2]}", trace=trace)
        assert done.returncode == 1 and done.stderr.startswith("reportd migrate: "), (call, done.returncode, done.stdout, done.stderr)
    moving.run_well()
    assert {place for _, place in passings(trace) if place.count(".") == 1} == {*calls, *IGNORED_CALLS}
    check_few(moving)


def test_on_a_full_disk_it_waits_for_room(make_few):
    own_mounts()
    moving = make_few("another folder")
    disk = Disk(moving.server.folder / "results")
    disk.fill()
    fails(moving, "No space left on device")
    (disk.folder / "filler").unlink()
    moving.run_well()
    check_few(moving)
    disk.unmount()


def test_beside_a_server_it_is_refused(make_few):
    moving = make_few()
    shutil.copy(moving.server.folder / "old.conf", moving.server.folder / "reportd.conf")
    moving.server.start()
    moving.aim()
    fails(moving, "in use by another reportd serve")
    assert moving.server.stop() == 0
    moving.server.configure(**moving.target, deletion_ledger="new.ledger")
    moving.server.start()
    fails(moving, "another reportd is using the folder")
    moving.server.configure(**moving.target, temp="temp2")
    fails(moving, "there is a store in this database already")
    assert is_unmarked(moving)


def test_a_database_with_a_store_is_not_moved_to(make_few):
    moving = make_few()
    moving.server.add_user("carol")
    fails(moving, "there is a store in this database already")
    moving.server.store.sql("DELETE FROM account")
    moving.run_well()


def test_that_of_another_store_is_finished_first(make_few):
    first, second = make_few(), make_few()
    assert first.run(seams="migrate.rows.copied=crash").returncode == DEATH
    SqliteStore(second.server.folder).sql("UPDATE identity SET id = randomblob(16)")
    second.server.configure(**{**second.target, "store": first.server.store.config["store"]})
    shutil.copy(first.server.folder / "erase.key", second.server.folder)
    fails(second, "another store is being moved into this database")


def test_a_wrong_password_leaves_all_as_it_was(make_few):
    moving = make_few()
    url = moving.postgres.url(moving.server.store.database, tcp=True).replace(moving.postgres.password, "wrong")
    moving.server.configure(**{**moving.target, "store": url})
    fails(moving, "password authentication failed")
    assert is_unmarked(moving)


def test_other_keys_are_refused(make_few):
    moving = make_few()
    moving.server.configure(**moving.target, key_file="other.key")
    fails(moving, "key_file", "token.key", "other.key")


def test_a_lost_result_is_found_before_anything_moves(make_few):
    moving = make_few()
    (path,) = (moving.server.folder / "spool").glob("*.json")
    path.unlink()
    fails(moving, path.name.split(".")[0], "fsck")
    assert is_unmarked(moving)


def test_a_row_that_was_changed_meanwhile_is_found(make_few):
    moving = make_few()
    assert moving.run(seams="migrate.rows.copied=crash").returncode == DEATH
    for change, back, words in [
            ("UPDATE account SET grants = 'Quick' WHERE name = 'bob'", "UPDATE account SET grants = '*'", ("account", "grants")),
            ("UPDATE api_key SET expires_ms = 0", "", ("api_key", "expires_ms")),
            ("DELETE FROM session", "", ("session", "not there"))]:
        moving.server.store.sql(change)
        fails(moving, *words)
        if back:
            moving.server.store.sql(back)


def test_a_result_that_is_not_what_was_written_is_found(make_few):
    moving = make_few("another folder")
    assert moving.run(seams="migrate.all.verified=crash").returncode == DEATH
    path = next((moving.server.folder / "results").glob("*.json"))
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"?")
    fails(moving, path.name.split(".")[0], "is not what was written")


def test_a_store_of_an_older_version_moves(make_few):
    moving = make_few()
    with sqlite3.connect(moving.server.folder / "store.db") as db:
        db.executescript(UNDO_SQLITE_11 + "PRAGMA user_version = 10;")
    moving.run_well()
    check_few(moving, has_key=False)  # it had none then


def test_groups_and_users_of_identity_providers_move(make_few):
    moving = make_few()
    moving.old("INSERT INTO user_group (name, grants, operator) VALUES ('corp:staff', 'Quick', 1)")
    moving.old("INSERT INTO user (name, password_hash, issuer, subject, member_of, member_s)"
               " VALUES ('corp:eve', '', 'https://login.example.com/', 'eve', 'corp:staff', 7)")
    moving.run_well()
    assert moving.server.store.sql("SELECT name, grants, operator FROM user_group") == ["corp:staff|Quick|t"]
    assert moving.server.store.sql("SELECT issuer, subject, member_of, member_s FROM account WHERE name = 'corp:eve'") == \
        ["https://login.example.com/|eve|corp:staff|7"]


def test_both_configurations_are_of_the_right_kind(make_few):
    moving = make_few()
    for words, problem in [(["reportd.conf"], "in PostgreSQL already"), (["-c", "old.conf", "old.conf"], "is not in PostgreSQL")]:
        done = moving.server.run("migrate", *words)
        assert done.returncode == 1 and problem in done.stderr


def test_the_trail_says_who_has_moved_the_store(make_few, tmp_path):
    moving, trail = make_few(), tmp_path / "log" / "trail"
    settings = {"audit_log": trail, "audit_required": "on"}
    moving.server.configure(**moving.target, **settings)
    done = moving.run()
    assert done.returncode == 1 and "audit_required is on" in done.stderr and is_unmarked(moving)
    trail.parent.mkdir()
    fails(moving, seams="migrate.write=ENOSPC")
    moving.run_well("--undo")
    moving.run_well()
    assert moving.run_well() == "the store was moved before\n"
    lines = [json.loads(line) for line in trail.read_text().splitlines()]
    assert [(line["change"], line["outcome"]) for line in lines] == [
        ("migrate", "begun"), ("migrate", "failed"), ("undo", "begun"), ("undo", "done"), ("migrate", "begun"), ("migrate", "done")]
    assert all(line["event"] == "store" and line["system_user"] for line in lines)


def test_a_store_behind_a_link_is_erased_where_it_is(make_few, tmp_path):
    moving, real = make_few(), tmp_path / "real.db"
    path = moving.server.folder / "store.db"
    path.rename(real)
    path.symlink_to(real)
    assert moving.run(seams="migrate.files.erased=crash").returncode == DEATH
    moving.run_well()
    assert path.is_symlink() and moving.old("SELECT count(*) FROM sqlite_schema") == ["0"]
    assert sorted(each.name for each in tmp_path.glob("real*")) == ["real.db"]
    refuses_to_serve(moving, "was moved to PostgreSQL")
    check_few(moving)


def test_many_reports_move(make_few):
    moving = make_few()
    small = next(iter(moving.kept))
    SqliteStore(moving.server.folder).copy_report(small, [str(uuid.uuid4()) for _ in range(500)])
    assert "502 reports moved; 502 results" in moving.run_well()
    assert moving.server.store.sql("SELECT count(DISTINCT report_id) FROM result_chunk") == ["502"]
