"""What PostgreSQL keeps of a deleted report is of no use to anybody, wherever it keeps it: SECURITY.md."""

import itertools
import shutil
import subprocess
import threading
import uuid

import pytest

import erase_key
from conftest import close
from harness import PATIENCE, REPORTD, Client, Server, poll
from postgres import Keeper, Postgres, free_port, program
from stores import UNDO_POSTGRES_14
from test_erasure import MARKED, TANGLED, new_marker

QUOTED = """-- report: Quoted
-- description: Its error quotes the note.
-- source: data
-- parameter: Note string required

-- check: The note :Note is bad.
SELECT 1 WHERE false;

-- results
SELECT 1 AS "i";
"""
_databases = itertools.count()


@pytest.fixture(scope="module")
def archiving():
    """It logs every statement with all values, and archives its WAL."""
    own = Postgres(archive_mode="on", archive_command="mkdir -p ../archive && cp %p ../archive/%f",
                   log_statement="all", log_parameter_max_length="-1", log_min_duration_statement="0",
                   log_parameter_max_length_on_error="-1", max_wal_size="64MB")
    yield own
    own.close()


@pytest.fixture
def make(tmp_path):
    """A server on a database of that PostgreSQL: make(postgres, erase_after="1s")."""
    made = []

    def make_one(postgres, database=None, **config):
        database = database or postgres.create_database(f"sealed{next(_databases)}")
        server = Server.made(tmp_path / f"server{len(made)}", store=postgres.url(database),
                             **{"spool": "postgresql", "lease": "2s", **config})
        for name, text in (("Marked", MARKED), ("Tangled", TANGLED), ("Quoted", QUOTED)):
            (server.reports / f"{name}.sql").write_text(text)
        server.database = database
        server.key = server.folder / "erase.key"
        made.append(server)
        return server

    yield make_one
    for server in made:
        close(server)


def started(server):
    server.add_user("alice")
    return server.start().client("alice")


def keys(server):
    return erase_key.numbered_keys(server.key)


def await_rotation(server):
    """One that begins from now on has ended on this node."""
    newest = max(keys(server))
    poll(lambda: min(keys(server)) > newest, what="a rotation")


def marked_reports(client):
    """One of each kind, with a marker in all that it says: [reference], [marker]."""
    large, small, bad, key = (new_marker(word) for word in ("large", "small", "bad", "key"))
    references = [client.complete("Marked", Note=large, Rows="2000"), client.complete("Marked", Note=small, Rows="3")]
    reference = client.order("Quoted", Note=bad)
    assert bad in client.finish(reference).json()["message"]
    references.append(reference)
    answer = client.submit("Marked", {"Note": large, "Rows": "1"}, {"Idempotency-Key": key}).json()
    references.append(answer["data"])
    client.finish(answer["data"])
    assert client.submit("Marked", {"Note": large, "Rows": "1"}, {"Idempotency-Key": key}).json() == answer
    return references, [large, small, bad, key]


def settle(postgres):
    """All is in the files, and the WAL in the archive."""
    postgres.sql("CHECKPOINT")
    name = postgres.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")[0]
    postgres.sql("CREATE TABLE IF NOT EXISTS filler (i int); INSERT INTO filler VALUES (1)")  # else nothing to switch
    postgres.sql("SELECT pg_switch_wal()")
    poll(lambda: (postgres.folder / "archive" / name).exists(), what="the archive")


def files_with(folder, text):
    """The files that hold it, as text or as the bytes of a reference."""
    wanted = [text.encode()]
    try:
        wanted.append(uuid.UUID(text).bytes)
    except ValueError:
        pass
    found = []
    for path in folder.rglob("*"):
        try:
            if path.is_file() and any(each in path.read_bytes() for each in wanted):
                found.append(str(path.relative_to(folder)))
        except FileNotFoundError:
            continue
    return found


def base_backup(postgres, target):
    subprocess.run([program("pg_basebackup"), "-d", postgres.url(), "-D", target, "-X", "stream", "--checkpoint=fast"],
                   check=True, capture_output=True, timeout=PATIENCE * 4)
    return target


class Restored:
    """A PostgreSQL on a copy of a base backup."""

    def __init__(self, backup):
        self.keeper = Keeper({})
        self.folder = self.keeper.folder
        self.port = free_port()
        shutil.copytree(backup, self.keeper.data)
        with open(self.keeper.data / "postgresql.conf", "a") as conf:
            conf.write(f"unix_socket_directories = '{self.folder}'\nport = {self.port}\narchive_mode = off\n")
        if self.keeper.as_user:
            user = self.keeper.user()
            subprocess.run(["chown", "-R", f"{user.pw_uid}:{user.pw_gid}", self.folder], check=True)
        self.keeper.data.chmod(0o700)
        self.keeper.start()

    url, psql, sql = Postgres.url, Postgres.psql, Postgres.sql
    password = ""

    def close(self):
        self.keeper.stop("SIGQUIT")
        shutil.rmtree(self.folder)


@pytest.fixture
def restored():
    made = []

    def restore(backup):
        made.append(Restored(backup))
        return made[-1]

    yield restore
    for each in made:
        each.close()


def test_nothing_of_a_report_is_ever_readable_in_the_database(make, archiving):
    """Before the deletion, too: in the files, in the WAL, in the log with every statement and value."""
    server = make(archiving)
    client = started(server)
    references, markers = marked_reports(client)
    assert markers[0] in client.result(references[0]).text
    settle(archiving)
    for reference in references:  # what has to be found is found
        assert any(name.startswith("data/base/") for name in files_with(archiving.folder, reference))
        assert any(name.startswith("archive/") for name in files_with(archiving.folder, reference))
    assert "INSERT INTO report" in archiving.log_text()
    for marker in markers:
        assert files_with(archiving.folder, marker) == []


def opened(postgres, database, file):
    """What the keys of the file, and those they lead to, open in the database: [parameters]."""
    found = []
    known = erase_key.numbered_keys(file)
    for line in postgres.sql("SELECT number, encode(wrapped, 'hex') FROM reportd.erase_key ORDER BY number", database):
        number, wrapped = line.split("|")
        for before, key in list(known.items()):
            following = erase_key.unwrap_next(key, before, bytes.fromhex(wrapped)) if wrapped else None
            if following is not None:
                assert before + 1 == int(number)
                known[int(number)] = following
    for line in postgres.sql("SELECT id, encode(wrapped_key, 'hex'), encode(sealed_parameters, 'hex')"
                             " FROM reportd.report WHERE wrapped_key IS NOT NULL", database):
        reference, wrapped, parameters = line.split("|")
        for number, key in known.items():
            report_key = erase_key.unwrap(key, number, reference, bytes.fromhex(wrapped))
            if report_key is not None:
                found.append(erase_key.unseal(report_key, erase_key.PARAMETERS, bytes.fromhex(parameters)).decode())
    return found


def test_after_a_rotation_nothing_opens_a_deleted_report(make, archiving, restored, tmp_path):
    server = make(archiving, erase_after="20s")
    client = started(server)
    references, markers = marked_reports(client)
    backup = base_backup(archiving, tmp_path / "backup")
    old_key = shutil.copy(server.key, tmp_path / "old.key")
    for reference in references:
        assert client.delete(reference).json()["result"] is True
    await_rotation(server)
    settle(archiving)
    for marker in markers:
        assert files_with(archiving.folder, marker) == []
        assert files_with(backup, marker) == []
    past = restored(backup)
    assert sum(markers[0] in text for text in opened(past, server.database, old_key)) == 2  # the test can fail
    assert opened(past, server.database, server.key) == []

    other = make(past, server.database, receipt_key_file=server.folder / "receipt.key")  # the program itself, too
    shutil.copy(server.key, other.key)
    done = other.run("serve", "-c", "reportd.conf")
    assert done.returncode != 0
    assert "The database is older than the erase key" in done.stderr
    shutil.copy(old_key, other.key)
    ghost = other.start().client("alice")
    assert markers[0] in ghost.result(references[0]).text  # as SECURITY.md says of a backup with its key
    assert markers[2] in ghost.status(references[2]).json()["message"]


def test_the_key_of_a_deleted_report_is_not_kept_by_the_row_that_is_still_being_deleted(make, archiving):
    server = make(archiving, cancel_grace="60s")
    client = started(server)
    reference = client.order("Endless")
    client.wait_for(reference, "processing")
    server.kill()
    archiving.sql(f"UPDATE reportd.report SET node = 'gone' WHERE id = '{reference}'", server.database)
    server.start()
    client = server.client("alice")
    client.delete(reference)
    assert archiving.sql("SELECT count(*) FROM reportd.report WHERE wrapped_key IS NOT NULL", server.database) == ["0"]


def check_result(client, reference, marker):
    """Three rows, the parameters and a summary have it."""
    text = client.result(reference).text
    assert text.count(marker) == 5, (marker, text[:300])


class Busy(threading.Thread):
    """Submits, waits, gets, compares, deletes every other report; anything odd is in `failures`."""

    def __init__(self, client, name):
        super().__init__()
        self.client, self.name = client, name
        self.kept, self.lives, self.failures = {}, 0, []
        self.stopping = threading.Event()
        self.start()

    def run(self):
        try:
            while not self.stopping.is_set():
                marker = f"{self.name}-{self.lives}-end"
                reference = self.client.complete("Marked", Note=marker, Rows="3")
                check_result(self.client, reference, marker)
                if self.lives % 2:
                    assert self.client.delete(reference).json()["result"] is True
                else:
                    self.kept[reference] = marker
                self.lives += 1
        except Exception as trouble:  # noqa: BLE001
            self.failures.append(repr(trouble))

    def stop(self):
        self.stopping.set()
        self.join(PATIENCE)


def test_keys_rotate_under_load_and_nothing_is_lost(make_cluster, archiving):
    cluster = make_cluster(archiving, nodes=2, spool="postgresql", erase_after="1s", active_limit=100)
    for node in cluster.nodes:
        (node.reports / "Marked.sql").write_text(MARKED)
        node.reload()
    clients = cluster.clients("alice")
    busy = [Busy(client, f"busy{i}") for i, client in enumerate(clients)]
    try:
        for _ in range(5):
            for node in cluster.nodes:
                node.key = node.folder / "erase.key"
                await_rotation(node)
        poll(lambda: min(each.lives for each in busy) > 10 or any(each.failures for each in busy), what="some lives")
    finally:
        for each in busy:
            each.stop()
    assert [each.failures for each in busy] == [[], []]
    for each, other in zip(busy, reversed(clients)):  # each node opens what the other has sealed
        for reference, marker in each.kept.items():
            check_result(other, reference, marker)
            assert other.status(reference).json()["data"] == "complete"


def test_a_report_that_was_sealed_with_a_key_that_is_retired_meanwhile_is_sealed_again(make, archiving):
    """The submit holds no lock yet; when it comes to the database its key is two behind."""
    server = make(archiving, erase_after="1s")
    pipe = server.folder / "hold"
    subprocess.run(["mkfifo", pipe], check=True)
    server.environment["REPORTD_SEAMS"] = f"store.submit.sealed=wait:{pipe}"
    client = started(server)
    answers = []
    submitting = threading.Thread(target=lambda: answers.append(client.submit("Marked", {"Note": "late"}).json()))
    before = max(keys(server))
    submitting.start()
    poll(lambda: min(keys(server)) > before + 1, what="two rotations")
    pipe.open("w").close()
    submitting.join(PATIENCE)
    client.finish(answers[0]["data"])
    assert "late" in client.result(answers[0]["data"]).text


def test_a_submit_that_is_under_way_is_waited_for(make, archiving):
    """Its batch has the lock and its key, and then waits for something else."""
    server = make(archiving, erase_after="1s")
    client = started(server)
    user = archiving.sql("SELECT id FROM reportd.account", server.database)[0]
    answers = []
    submitting = threading.Thread(target=lambda: answers.append(client.submit("Marked", {"Note": "early"}).json()))
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with archiving.transaction(f"SELECT pg_advisory_xact_lock(1380996164, {user})", server.database):
        submitting.start()
        poll(lambda: archiving.sql(locks) == ["2"], what="the submit, and the rotation that waits for it")
    submitting.join(PATIENCE)
    await_rotation(server)
    client.finish(answers[0]["data"])
    assert "early" in client.result(answers[0]["data"]).text


STEPS = ["erase.rotate.published", "erase.rotate.rewrapped", "erase.rotate.retired", "erase.keys.taken",
         "erase.file.added", "erase.file.overwritten"]


@pytest.mark.parametrize("step", STEPS)
def test_a_rotation_that_crashes_at_any_step_is_finished_by_the_next_start(make, archiving, step):
    server = make(archiving, erase_after="1s")
    server.add_user("alice")
    server.start()
    reference = server.client("alice").complete("Marked", Note="kept")
    server.stop()
    # taken once at the start; then in the rotation, and the time after it
    server.environment["REPORTD_SEAMS"] = f"{step}=crash@{2 if step == 'erase.keys.taken' else 1}"
    server.start()
    poll(lambda: server.process.poll() is not None, what="the crash")
    server.kill()
    del server.environment["REPORTD_SEAMS"]
    server.start()
    await_rotation(server)
    assert "kept" in server.client("alice").result(reference).text


def test_a_report_that_no_key_opens_is_found_and_deleting_it_lets_the_keys_go_on(make, archiving):
    server = make(archiving, erase_after="1s")
    client = started(server)
    kept, damaged, repaired = (client.complete("Marked", Note="kept") for _ in range(3))
    assert server.run("fsck", "-c", "reportd.conf").returncode == 0
    archiving.sql("UPDATE reportd.report SET wrapped_key = decode(repeat('00', 72), 'hex')"
                  f" WHERE id IN ('{damaged}', '{repaired}')", server.database)
    poll(lambda: "2 reports cannot be opened with any key" in server.log_text(), what="the log")
    found = server.run("fsck", "-c", "reportd.conf").stdout
    assert "nodes may be running" in found
    assert [line.split()[:2] for line in found.splitlines()[:2]] == \
        [["locked", reference] for reference in sorted((damaged, repaired))], found
    assert client.delete(damaged).json()["result"] is True
    assert server.stop() == 0
    assert "locked" in server.run("fsck", "-c", "reportd.conf", "--repair").stdout
    server.start()
    await_rotation(server)
    client = server.client("alice")
    assert client.references() == [kept] and "kept" in client.result(kept).text


@pytest.mark.parametrize("failing", ["erase.write", "erase.lock"])
def test_a_file_that_cannot_be_written_is_told_and_loses_nothing(make, archiving, failing):
    server = make(archiving, erase_after="1s")
    server.add_user("alice")
    server.environment["REPORTD_SEAMS"] = f"{failing}=EIO@1+"
    client = server.start().client("alice")
    reference = client.complete("Marked", Note="kept")
    poll(lambda: "erase.failed" in server.log_text(), what="the log")
    server.kill()
    del server.environment["REPORTD_SEAMS"]
    server.start()
    await_rotation(server)
    assert "kept" in server.client("alice").result(reference).text


def refusal(node):
    done = subprocess.run([REPORTD, "serve", "-c", "reportd.conf"], cwd=node.folder, capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    assert done.returncode != 0
    return done.stderr


def test_a_node_with_another_erase_key_does_not_start_and_says_what_to_copy(make, archiving):
    first, second = make(archiving), make(archiving)
    started(first)
    second.configure(store=archiving.url(first.database), spool="postgresql", lease="2s")
    assert f"There is no erase key '{second.key}'" in refusal(second)
    started(third := make(archiving))  # has one of its own
    shutil.copy(third.key, second.key)
    assert f"copy erase.key from one of them to '{second.key}'" in refusal(second)
    data = bytearray(first.key.read_bytes())
    data[40:64] = third.key.read_bytes()[40:64]  # the secret is torn
    second.key.write_bytes(data)
    assert "is not an erase key, or is damaged" in refusal(second)
    shutil.copy(first.key, second.key)
    second.key.chmod(0o640)
    assert f"chmod 600 '{second.key}'" in refusal(second)
    second.key.chmod(0o600)
    receipt = second.folder / "receipt.key"
    assert f"copy receipt.key from one of them to '{receipt}'" in refusal(second)
    shutil.copy(first.folder / "receipt.key", receipt)
    second.start()
    assert Client(second.url, first.client("alice").token)


def test_a_node_that_was_down_through_rotations_catches_up(make, archiving):
    first, second = make(archiving, erase_after="1s"), make(archiving)
    client = started(first)
    second.configure(store=archiving.url(first.database), spool="postgresql", lease="2s", erase_after="1h",
                     key_file=first.folder / "token.key", receipt_key_file=first.folder / "receipt.key")
    shutil.copy(first.key, second.key)
    reference = client.complete("Marked", Note="meanwhile")
    for _ in range(3):
        await_rotation(first)
    second.start()
    assert min(keys(second)) > 1
    assert "meanwhile" in Client(second.url, client.token).result(reference).text


def test_the_erase_key_is_its_owners_alone_and_is_replaced_in_place(make, archiving):
    server = make(archiving, erase_after="1s")
    started(server)
    before = server.key.stat()
    assert before.st_mode & 0o777 == 0o600
    await_rotation(server)
    after = server.key.stat()
    assert (after.st_ino, after.st_mode, after.st_size) == (before.st_ino, before.st_mode, before.st_size)
    assert [path.name for path in server.folder.glob("erase.key*")] == ["erase.key"]


def test_a_key_from_the_future_is_due(make, archiving):
    """The clock of the database was set back."""
    server = make(archiving, erase_after="30s")
    started(server)
    archiving.sql("UPDATE reportd.erase_key SET made = now() + interval '1 year'", server.database)
    await_rotation(server)


BEFORE_IT_WAS_SEALED = "SET search_path = reportd; " + UNDO_POSTGRES_14 + """
ALTER TABLE report DROP key_number, DROP wrapped_key, DROP result_sealed, DROP sealed_parameters, DROP sealed_message,
    DROP sealed_digest, DROP footer, DROP key_mac, DROP request_mac, ADD parameters text NOT NULL, ADD message text, ADD digest bytea,
    ADD seal_key bytea, ADD key text, ADD key_hash bytea;
DROP TABLE erase_key, key_check, identity, ledger, login_address;
ALTER TABLE used_refresh DROP access, DROP used_ms;
DELETE FROM schema_version WHERE version > 4;
INSERT INTO report (id, user_id, state, slot, submitted_ms, started_ms, finished_ms, expires_ms, name, parameters,
                    message, key, key_hash, key_expires_ms, attempt)
    SELECT '01234567-89ab-7def-8123-456789abcdef', id, 3, false, 1, 1, 1, 4000000000000, 'Marked', '{"Note":"old-note"}',
           'old-message', 'old-key', decode(repeat('00', 32), 'hex'), 4000000000000, 1 FROM account;
INSERT INTO report (id, user_id, state, slot, submitted_ms, name, parameters)
    SELECT '01234567-89ab-7def-8123-456789abcde0', id, 0, true, 2, 'Marked', '{"Note":"old-queued","Rows":"2"}' FROM account;
INSERT INTO report (id, user_id, state, slot, submitted_ms, started_ms, finished_ms, expires_ms, name, parameters,
                    message, key, key_hash, key_expires_ms, attempt)
    SELECT gen_random_uuid(), id, 3, false, 1, 1, 1, 4000000000000, 'Marked', '{"Note":"old-note ' || n || '"}',
           'old-message ' || n, 'old-key ' || n, decode(repeat('00', 32), 'hex'), 4000000000000, 1
    FROM account, generate_series(1, 600) AS n;
INSERT INTO node (id, host, lease_ms, alive_until) VALUES ('old', 'old-host:1', 1000, now() + interval '1 hour');"""


def test_a_store_that_was_in_clear_is_sealed_at_the_first_start(make, archiving):
    server = make(archiving)
    server.add_user("alice")
    archiving.sql(BEFORE_IT_WAS_SEALED, server.database)
    server.key.unlink()
    words = refusal(server)
    assert "old-host:1" in words and "stop all of them" in words
    archiving.sql("DELETE FROM reportd.node", server.database)
    client = server.start().client("alice")
    failed, queued = (f"01234567-89ab-7def-8123-456789abcde{digit}" for digit in "f0")
    assert client.status(failed).json()["message"] == "old-message"
    assert client.finish(queued).json()["data"] == "complete"
    assert "old-queued" in client.result(queued).text
    listed = client.list(PageSize=1000, State="error").json()["data"]["reports"]
    assert sorted(report["message"] for report in listed) == sorted(
        ["old-message"] + [f"old-message {n}" for n in range(1, 601)])
    assert archiving.sql("SELECT count(key_mac) FROM reportd.report", server.database) == ["601"]
    again = client.submit("Marked", {"Note": "other"}, {"Idempotency-Key": "old-key"})
    assert again.json()["result"] is False  # the key is another request's
    rows = "\n".join(archiving.sql("SELECT report::text FROM reportd.report", server.database))
    for marker in ("old-note", "old-queued", "old-message", "old-key"):
        assert marker not in rows and marker.encode().hex() not in rows
