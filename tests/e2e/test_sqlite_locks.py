"""An SQLite database in rollback mode that is written to while reports read it: who waits for whom."""

import contextlib
import sqlite3
import threading

import pytest

from harness import poll

ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS v FROM n, t"


@pytest.fixture
def server(make_server):
    server = make_server(workers=2, source="sqlite:source.db")
    with contextlib.closing(sqlite3.connect(server.folder / "source.db")) as db:
        db.executescript("CREATE TABLE t (v); INSERT INTO t VALUES (1);")
    for name, sql in (("R", "SELECT sum(v) AS v FROM t"), ("Endless", ENDLESS)):
        (server.reports / f"{name}.sql").write_text(f"-- report: {name}\n-- source: data\n-- results\n{sql}\n")
    server.reload()
    return server


@pytest.fixture
def alice(server):
    return server.client("alice")


def connect(server, timeout=0.0):
    return contextlib.closing(sqlite3.connect(server.folder / "source.db", timeout=timeout, isolation_level=None))


def locked(server, sql):
    """Does this meet a lock at once?"""
    with connect(server) as db:
        try:
            db.execute(sql)
        except sqlite3.OperationalError as error:
            assert "locked" in str(error)
            return True
        return False


def result(alice, reference):
    assert alice.finish(reference).json()["data"] == "complete"
    return alice.result(reference).json()["data"]["results"][0]["v"]


def test_a_writer_waits_for_the_reports_that_read_and_later_ones_wait_for_it(server, alice):
    reading = alice.order("Endless")
    poll(lambda: locked(server, "BEGIN EXCLUSIVE"), what="the lock of the report")

    def write():
        with connect(server, timeout=120) as db:
            db.execute("INSERT INTO t VALUES (10)")

    writer = threading.Thread(target=write)
    writer.start()
    poll(lambda: locked(server, "SELECT v FROM t"), what="the writer's wait, which lets no new reader in")
    later = alice.order("R")
    alice.wait_for(later, "processing")
    assert writer.is_alive()
    alice.delete(reading)
    writer.join(60)
    assert not writer.is_alive()
    assert result(alice, later) == 11


def test_no_lock_is_left_between_reports(server, alice):
    for _ in range(4):
        assert result(alice, alice.order("R")) == 1
        assert not locked(server, "BEGIN EXCLUSIVE; ")


def test_a_report_waits_for_a_writer_and_can_be_deleted_meanwhile(server, alice):
    with connect(server) as db:
        db.execute("BEGIN EXCLUSIVE")
        db.execute("INSERT INTO t VALUES (10)")
        references = [alice.order("R"), alice.order("R")]
        for reference in references:
            alice.wait_for(reference, "processing")
        poll(lambda: server.metric("workers_busy") == 2, what="both at the lock")
        assert alice.delete(references[0]).json()["result"] is True
        poll(lambda: server.metric("workers_busy") == 1, what="the end of the deleted one, with the lock still there")
        assert server.metric("workers_killed_total") == 0
        assert alice.status(references[1]).json()["data"] == "incomplete"
        db.execute("COMMIT")
    assert result(alice, references[1]) == 11


def test_a_writer_that_never_ends_is_told(server, alice):
    """After the 30 s that the manual names."""
    with connect(server) as db:
        db.execute("BEGIN EXCLUSIVE")
        answer = alice.finish(alice.order("R")).json()
        assert answer["message"] == "The report's database is busy. Try again later."
        db.execute("ROLLBACK")
    assert result(alice, alice.order("R")) == 1
