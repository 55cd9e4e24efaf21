"""Nothing left behind: after a DELETE no byte of the report is in any file of the data folder."""

import re
import sqlite3
import threading
import time
import uuid
from contextlib import closing

import pytest

from harness import Client, Server, poll

GONE_WITHIN = 5  # seconds from the answer to the DELETE
MARKED = """-- report: Marked
-- description: Rows with a note in each; a note that ends in -bad is refused.
-- source: data
-- parameter: Note string required
-- parameter: Rows integer default 2000

-- check: The note :Note is bad.
SELECT 1 WHERE :Note NOT LIKE '%-bad';

-- results
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :Rows)
SELECT i AS "i", :Note || '/' || hex(zeroblob(400)) AS "note" FROM n;

-- summary
SELECT :Note AS "note";
"""
TANGLED = """-- report: Tangled
-- description: What the database says of the note quotes it.
-- source: data
-- parameter: Note string required

-- results
SELECT json_extract('{}', :Note) AS "value";
"""
# What the log may say of a reference: what happened to it.
AUDIT_LINE = re.compile(r" (report\.(state|failed|deleted|orphaned)|http\.answer) ")


def made_server(folder, **config):
    server = Server.made(folder, **config)
    (server.reports / "Marked.sql").write_text(MARKED)
    (server.reports / "Tangled.sql").write_text(TANGLED)
    server.add_user("alice")
    server.add_user("bob")
    return server.start()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    server = made_server(tmp_path_factory.mktemp("erasure"), row_results="16K")
    yield server
    assert server.stop() == 0
    server.check_log()


@pytest.fixture
def client(shared):
    client = shared.client("alice")
    yield client
    client.delete_all()


@pytest.fixture
def own_server(tmp_path):
    made = []

    def make(**config):
        made.append(made_server(tmp_path / "own", **config))
        return made[0], made[0].client("alice")

    yield make
    for server in made:
        assert server.stop() == 0
        server.check_log()


def new_marker(word="marker"):
    return f"{word}-{uuid.uuid4().hex}"


def traces(*texts):
    """What to look for: texts, and of references their bytes too."""
    found = [text.encode() for text in texts]
    found += [uuid.UUID(text).bytes for text in texts if re.fullmatch(r"[0-9a-f-]{36}", text)]
    return found


def files_with(server, *wanted):
    """The files of the data folder, but for the log, that hold any of these bytes."""
    found = set()
    for path in server.folder.rglob("*"):
        if path == server.log or not path.is_file():
            continue
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        if any(bytes_ in data for bytes_ in wanted):
            found.add(str(path.relative_to(server.folder)))
        if any(bytes_ in str(path).encode() for bytes_ in wanted):
            found.add(path.name)
    return found


def assert_gone(server, marker, reference, *more, since=None):
    deadline = (since or time.monotonic()) + GONE_WITHIN
    wanted = traces(marker, reference, *more)
    while left := files_with(server, *wanted):
        assert time.monotonic() < deadline, f"after {GONE_WITHIN} s there is something in {left}"
        time.sleep(0.1)
    assert_log(server, marker, reference)


def assert_log(server, marker, reference):
    for line in server.log_text().splitlines():
        assert marker not in line
        assert reference not in line or AUDIT_LINE.search(line), line


def queued(client, marker):
    for _ in range(2):
        client.wait_for(client.order("Endless"), "processing")
    return client.order("Marked", Note=marker)


def processing(client, marker):
    reference = client.order("Marked", Note=marker, Rows="100000000")
    client.wait_for(reference, "processing")
    return reference


def complete(client, marker):
    return client.complete("Marked", Note=marker)


def small(client, marker):
    return client.complete("Marked", Note=marker, Rows="12")  # some 10 KB, in the row


def error(client, marker):
    reference = client.order("Marked", Note=marker + "-bad")
    assert marker in client.finish(reference).json()["message"]
    return reference


STATES = {queued: "queued", processing: "processing", complete: "complete", small: "complete", error: "error"}


@pytest.mark.parametrize("make", STATES)
def test_nothing_is_left_of_a_deleted_report(shared, client, make):
    marker = new_marker()
    reference = make(client, marker)
    assert client.state(reference) == STATES[make]
    where = poll(lambda: files_with(shared, marker.encode()), what="a trace before the deletion")
    assert any(name.startswith("store.db") for name in where)
    if make in (processing, complete):  # the result, too
        poll(lambda: any(name.startswith("spool/") for name in files_with(shared, marker.encode())))
    if make is small:  # and nowhere else
        assert all(name.startswith("store.db") for name in where)
    assert client.delete(reference).json()["result"] is True
    assert_gone(shared, marker, reference)


def test_nothing_is_left_of_an_idempotency_key(shared, client):
    marker, key = new_marker(), new_marker("key")
    reference = client.submit("Marked", {"Note": marker}, {"Idempotency-Key": key}).json()["data"]
    client.finish(reference)
    assert files_with(shared, key.encode())
    client.delete(reference)
    assert_gone(shared, marker, reference, key)


def test_nothing_is_left_of_a_purged_report(own_server):
    server, client = own_server(retention="1s")
    good, bad = new_marker(), new_marker()
    references = [complete(client, good), error(client, bad)]
    poll(lambda: client.references() == [], what="the purge")
    since = time.monotonic()
    assert_gone(server, good, references[0], since=since)
    assert_gone(server, bad, references[1], since=since)


def test_nothing_is_left_of_a_report_that_was_deleted_before_a_crash(own_server):
    """The log of the store survives the crash; the next start empties it."""
    server, client = own_server()
    marker = new_marker()
    reference = complete(client, marker)
    with closing(sqlite3.connect(server.folder / "store.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM report").fetchall()  # the log can't be emptied
        client.delete(reference)
        server.kill()
        assert files_with(server, marker.encode())
    server.start()
    assert_gone(server, marker, reference)


def test_a_reader_that_holds_the_log_only_delays_it(own_server):
    server, client = own_server()
    marker = new_marker()
    reference = complete(client, marker)
    with closing(sqlite3.connect(server.folder / "store.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM report").fetchall()
        client.delete(reference)
        time.sleep(1.5)  # one try in vain, at least
        assert files_with(server, marker.encode())
        assert client.complete("Quick", ProductID="1")  # the service goes on
    assert_gone(server, marker, reference)


def keep_busy(server, stop, number):
    """Submit, list, get and delete other reports, until told to stop."""
    client = Client(server.url)
    client.login("bob")
    while not stop.is_set():
        reference = client.order("Marked", Note=f"other-{number}", Rows="50")
        client.finish(reference)
        client.list(PageSize=1000)
        client.result(reference)
        client.delete(reference)


def test_nothing_is_left_while_others_keep_the_server_busy(shared, client):
    stop = threading.Event()
    others = [threading.Thread(target=keep_busy, args=(shared, stop, i)) for i in range(3)]
    for other in others:
        other.start()
    try:
        for make in (complete, small, error, processing):
            marker = new_marker()
            reference = make(client, marker)
            client.delete(reference)
            assert_gone(shared, marker, reference)
    finally:
        stop.set()
        for other in others:
            other.join()


def test_many_deleted_among_many_leave_nothing(shared, client):
    """Pages of the store are split and merged by then; see src/store/sqlite_scrub.c."""
    markers = [new_marker() + "x" * (i * 7 % 90) for i in range(60)]
    references = [client.complete("Marked", Note=marker, Rows="1") for marker in markers]
    for reference in references[::2]:
        client.delete(reference)
    for marker, reference in zip(markers[::2], references[::2]):
        assert_gone(shared, marker, reference)
    assert files_with(shared, markers[1].encode())


def test_no_value_is_logged_whatever_the_database_says(shared, client):
    marker = new_marker()
    reference = client.order("Tangled", Note="$[" + marker)
    assert client.finish(reference).json()["data"] == "error"
    assert "report.failed" in shared.log_text()
    client.delete(reference)
    assert_gone(shared, marker, reference)


def test_an_encrypted_result_never_shows(own_server):
    server, client = own_server(spool_encryption="on")
    marker = new_marker()
    reference = complete(client, marker)
    assert not any(name.startswith("spool/") for name in files_with(server, marker.encode()))
    assert marker in client.result(reference).text
    client.delete(reference)
    assert_gone(server, marker, reference)
