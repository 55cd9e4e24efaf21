"""Nothing left behind: after a DELETE no byte of the report is in any file of the data folder."""

import sqlite3
import threading
import uuid
from contextlib import closing, contextmanager

import pytest

from conftest import SharedServers, add_users
from fake_clock import MINUTE
from harness import Client, poll
from places import AUDIT_LINE, traces
from seams import passings, plan
from stores import SHARED_STORES, STORES
from test_transfers import SlowClient

pytestmark = pytest.mark.stores(*STORES)
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


def prepare(server):
    """Its definitions, and the users alice and bob."""
    (server.reports / "Marked.sql").write_text(MARKED)
    (server.reports / "Tangled.sql").write_text(TANGLED)
    add_users(server)


@pytest.fixture
def client(shared):
    client = shared.client_of("alice")
    yield client
    client.delete_all()


@pytest.fixture
def own_server(tmp_path, store_kind, shared_postgres):
    made = []

    def make(**config):
        servers = SharedServers(tmp_path, shared_postgres, prepare, **config)
        made.append(servers)
        return servers[store_kind], servers[store_kind].client("alice")

    yield make
    for servers in made:
        servers.close()


def new_marker(word="marker"):
    return f"{word}-{uuid.uuid4().hex}"


def assert_gone(server, marker, reference, *more):
    wanted = traces(marker, reference, *more)
    poll(lambda: not server.holding(*wanted), what=lambda: f"the end of what is in {server.holding(*wanted)}")
    poll(lambda: not server.holding_without_a_name(*wanted),
         what=lambda: f"the end of what is in {server.holding_without_a_name(*wanted)}")
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


def assert_kept(server, text, reference):
    """It can be found before the deletion: the embedded store has it readable, PostgreSQL sealed."""
    assert any(name.startswith(("store.db", "table report")) for name in server.holding(*traces(reference)))
    readable = server.holding(text.encode())
    assert any(name == "store.db" or name.startswith("store.db-") for name in readable) == server.store.is_readable
    assert not [name for name in readable if name.startswith("table")]


def is_result(name):
    """Whether the file or table has results, under way or complete."""
    return name.startswith(("spool/", "temp/", "table result_chunk"))


@pytest.mark.parametrize("make", STATES)
def test_nothing_is_left_of_a_deleted_report(shared, client, make):
    marker = new_marker()
    reference = make(client, marker)
    assert client.state(reference) == STATES[make]
    assert_kept(shared, marker, reference)
    if make in (processing, complete) and shared.spool.exists():  # the result, too
        poll(lambda: any(is_result(name) for name in shared.holding(marker.encode())), what="the result")
    assert client.delete(reference).json()["result"] is True
    assert_gone(shared, marker, reference)


def listed(client, reference):
    """Every answer that may have its parameters."""
    return "".join(client.list(**query).text for query in ({}, {"ReportName": "Marked"}, {"Reference": reference}))


@pytest.mark.parametrize("make", STATES)
def test_nothing_is_left_of_parameters_that_were_listed(shared, client, make):
    """Listed with and without the others, up to the longest that a list has, and answered again to their idempotency key."""
    marker = new_marker()
    reference = make(client, marker)
    long, key = new_marker() + "é" * 1900, new_marker("key")
    beside = client.submit("Marked", {"Note": long}, {"Idempotency-Key": key}).json()["data"]
    for text in (marker, long):
        assert text in listed(client, reference) and text not in listed(shared.client_of("bob"), reference)
    assert client.submit("Marked", {"Note": long}, {"Idempotency-Key": key}).json()["data"] == beside
    for gone, text in ((beside, long), (reference, marker)):
        assert client.delete(gone).json()["result"] is True
        assert_gone(shared, text, gone, key)
        assert text not in listed(client, gone)


def test_parameters_that_were_listed_on_every_node_are_on_none_after_a_delete(make_cluster):
    cluster = make_cluster(nodes=2)
    first, second = cluster.clients("alice")
    marker = new_marker()
    for submitter in (first, second):
        reference = submitter.order("Quick", ProductID="1", Note=marker)
        first.finish(reference)
        for client in (first, second):
            assert marker in listed(client, reference)
        second.delete(reference)
        for client, node in ((first, cluster.nodes[0]), (second, cluster.nodes[1])):
            assert marker not in listed(client, reference)
            assert not node.holding(marker.encode()) and not node.holding_without_a_name(marker.encode())
            assert_log(node, marker, reference)
    assert cluster.sql("SELECT id FROM report") == []


def test_nothing_is_left_in_memory_that_looks_like_a_file(shared, client):
    """The worker is given the parameters in one."""
    marker = new_marker()
    reference = processing(client, marker)
    poll(lambda: any("reportd-texts" in name for name in shared.holding_without_a_name(marker.encode())),
         what="the parameters of the worker")
    client.delete(reference)
    assert_gone(shared, marker, reference)


def test_nothing_is_left_of_reports_that_are_deleted_at_once(own_server):
    server, client = own_server(row_results="16K", workers=2)
    markers = {make: new_marker() for make in (complete, small, error, queued)}
    references = [make(client, marker) for make, marker in markers.items()]
    answer = client.call("DELETE", "/Report/List", params={"Before": "2100-01-01T00:00:00Z"})
    assert answer.json()["data"]["remaining"] == 0, answer.text
    for marker, reference in zip(markers.values(), references):
        assert_gone(server, marker, reference)


def test_nothing_is_left_of_a_report_that_is_being_downloaded(own_server):
    server, client = own_server()
    marker = new_marker()
    reference = client.complete("Marked", Note=marker, Rows="20000")
    slow = SlowClient(client, reference)
    client.delete(reference)
    assert_gone(server, marker, reference)
    slow.rest()


def test_nothing_is_left_of_an_idempotency_key(shared, client):
    marker, key = new_marker(), new_marker("key")
    reference = client.submit("Marked", {"Note": marker}, {"Idempotency-Key": key}).json()["data"]
    client.finish(reference)
    assert_kept(shared, key, reference)
    client.delete(reference)
    assert_gone(shared, marker, reference, key)


def test_nothing_is_left_of_a_purged_report(clock, own_server):
    server, client = own_server(retention="10m")
    good, bad = new_marker(), new_marker()
    references = [complete(client, good), error(client, bad)]
    clock.jump(11 * MINUTE)
    poll(lambda: client.references() == [], what="the purge")
    assert_gone(server, good, references[0])
    assert_gone(server, bad, references[1])


def test_nothing_is_left_of_a_report_that_was_deleted_before_a_crash(own_server):
    server, client = own_server()
    marker = new_marker()
    reference = complete(client, marker)
    client.delete(reference)
    server.kill()
    server.start()
    assert_gone(server, marker, reference)


# --- the write-ahead log of SQLite, which has the pages as they were before the deletion ------------------


@contextmanager
def reader_of_the_log(server):
    """As long as it reads the log can't be emptied."""
    with closing(sqlite3.connect(server.folder / "store.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM report").fetchall()
        yield


@pytest.mark.stores("sqlite")
def test_the_log_of_the_store_that_survives_a_crash_is_emptied_by_the_next_start(own_server):
    server, client = own_server()
    marker = new_marker()
    reference = complete(client, marker)
    with reader_of_the_log(server):
        client.delete(reference)
        server.kill()
        assert server.holding(marker.encode())
    server.start()
    assert_gone(server, marker, reference)


@pytest.mark.stores("sqlite")
def test_a_reader_that_holds_the_log_only_delays_it(own_server):
    server, client = own_server()
    server.stop()
    trace = server.folder / "trace"
    plan(server, trace=trace)
    client.url = server.start().url
    marker = new_marker()
    reference = complete(client, marker)
    with reader_of_the_log(server):
        client.delete(reference)
        poll(lambda: "store.log.kept" in (place for _, place in passings(trace)), what="a try in vain")
        assert server.holding(marker.encode())
        assert client.complete("Quick", ProductID="1")  # the service goes on
    assert_gone(server, marker, reference)


@pytest.mark.stores("sqlite")
def test_a_small_result_is_in_its_row_and_nowhere_else(shared, client):
    marker = new_marker()
    reference = small(client, marker)
    assert all(name.startswith("store.db") for name in shared.holding(marker.encode()))
    client.delete(reference)
    assert_gone(shared, marker, reference)


# --- what PostgreSQL has of a running report beside its row ------------------------------------------------

HOLD = """CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(77); RETURN NULL; END';
CREATE TRIGGER hold AFTER INSERT OR UPDATE ON progress FOR EACH ROW EXECUTE FUNCTION hold()"""
WAITS = """SELECT locktype FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE datname = current_database() AND NOT granted"""


@pytest.mark.stores(*SHARED_STORES)
def test_progress_that_is_written_during_a_deletion_does_not_outlive_it(own_server):
    """Its transaction has written it and is not committed yet, when the deletion comes."""
    server, client = own_server()
    server.store.sql(HOLD)
    with server.store.postgres.transaction("SELECT pg_advisory_xact_lock(77)", server.store.database):
        reference = processing(client, new_marker())
        poll(lambda: "advisory" in server.store.sql(WAITS), what="the progress")
        deletion = threading.Thread(target=lambda: client.delete(reference))
        deletion.start()
        poll(lambda: not deletion.is_alive() or "transactionid" in server.store.sql(WAITS), what="the deletion, or that it waits")
    deletion.join()
    poll(lambda: "advisory" not in server.store.sql(WAITS), what="the end of the progress")
    assert server.store.sql("SELECT id FROM progress") == []


# --- beside others ----------------------------------------------------------------------------------------


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
    assert_kept(shared, markers[1], references[1])


def test_no_value_is_logged_whatever_the_database_says(shared, client):
    marker = new_marker()
    reference = client.order("Tangled", Note="$[" + marker)
    assert client.finish(reference).json()["data"] == "error"
    shared.await_log("report.failed")
    client.delete(reference)
    assert_gone(shared, marker, reference)


def test_an_encrypted_result_never_shows(own_server):
    server, client = own_server(spool_encryption="on")
    marker = new_marker()
    reference = complete(client, marker)
    assert not any(is_result(name) for name in server.holding(marker.encode()))
    assert marker in client.result(reference).text
    client.delete(reference)
    assert_gone(server, marker, reference)
