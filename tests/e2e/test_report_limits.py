"""What a report may use: time, processor time, temporary files, memory. The server waits for no worker."""

import os
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import poll
from seams import plan

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS i FROM n"
# One call of a function that would take days, and looks at nothing.
SORT = ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10000)"
        " SELECT i AS i, hex(randomblob(200)) AS x FROM n ORDER BY 2")  # spills 4 MB
BIG_VALUE = 120_000_000  # bytes, with which SQLite and libpq allocate in one piece
REFUSED_PIECE = "WARNING: AddressSanitizer failed to allocate"
STUCK = "SELECT instr(hex(zeroblob(30000000)), hex(zeroblob(10000000)) || '1') AS x"
TOO_LONG = "The report took longer than its limit of {} and was stopped. "
LARGE = 900_000  # bytes of a definition; a socket's buffer has less


def define(server, name, sql, timeout="1h"):
    (server.reports / f"{name}.sql").write_text(
        f"-- report: {name}\n-- description: d\n-- source: data\n-- timeout: {timeout}\n-- results\n{sql};\n")


def make(make_server, *seams, timeout="1h", **config):
    server = make_server(**{"cancel_grace": "100ms", **config})
    assert server.stop() == 0
    define(server, "Stuck", STUCK, timeout)
    define(server, "LongRun", ENDLESS, timeout)
    define(server, "Sort", SORT)
    define(server, "BigValue", f"SELECT length(hex(zeroblob({BIG_VALUE // 2}))) AS n")
    define(server, "Large", f"/* {'x' * LARGE} */ SELECT 1 AS a")
    plan(server, *seams)
    server.start()
    return server, server.client("alice")


def ticks_of(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def busy_one(workers, before):
    """Whichever has used processor time since: its query is under way."""
    return poll(lambda: next((pid for pid in workers if ticks_of(pid) > before[pid] + 2), None), what="a busy worker")


def is_stopped(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    poll(lambda: is_stopped(pid), what="the stop of the worker")
    yield
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass


def events(server, name):
    return [line for line in server.log_text().splitlines() if f" {name} " in line]


def assert_ended_once(server, client, reference, words):
    """In error, after one attempt, with nothing left of it and a server that goes on."""
    answer = client.finish(reference).json()
    assert answer["data"] == "error" and words in answer["message"], answer
    assert [line for line in events(server, "report.worker_died") if "attempt=1" not in line] == []
    assert server.files_of(reference) == []
    assert client.complete("Nested")


def test_a_step_that_sqlite_cannot_interrupt_is_killed_at_its_timeout_and_grace(make_server):
    server, client = make(make_server, timeout="300ms", workers=1)
    (worker,) = server.workers()
    reference = client.order("Stuck")
    assert_ended_once(server, client, reference, TOO_LONG.format("300ms"))
    assert server.metric("workers_killed_total") == 1 and worker not in server.workers()


def test_the_report_of_a_worker_that_is_stopped_ends_in_error(make_server):
    server, client = make(make_server, timeout="3s", workers=1)
    (worker,) = server.workers()
    reference = client.order("LongRun")
    client.wait_for(reference, "processing")
    with stopped(worker):
        assert_ended_once(server, client, reference, TOO_LONG.format("3s"))


def test_a_report_that_its_worker_cannot_even_receive_ends_in_error(make_server):
    server, client = make(make_server, workers=1, report_timeout="300ms")
    (worker,) = server.workers()
    define(server, "Large", f"/* {'x' * LARGE} */ SELECT 1 AS a", timeout="300ms")
    server.reload()
    with stopped(worker):
        assert_ended_once(server, client, client.order("Large"), TOO_LONG.format("300ms"))


def test_a_stopped_worker_delays_no_other_report_and_no_deletion(make_server):
    """The DELETE is answered while the other worker is stopped with half a definition in its socket."""
    server, client = make(make_server, workers=2, cancel_grace="20s")
    workers = server.workers()
    before = {pid: ticks_of(pid) for pid in workers}
    running = client.order("LongRun")
    busy = busy_one(workers, before)
    (idle,) = set(workers) - {busy}
    with stopped(idle):
        large = client.order("Large")
        client.wait_for(large, "processing")
        assert client.delete(running).json()["result"] is True
        assert client.complete("Nested")
        assert is_stopped(idle) and client.state(large) == "processing"
    assert client.finish(large).json()["data"] == "complete"
    assert server.metric("workers_killed_total") == 0


@pytest.mark.parametrize("deleted", [False, True])
def test_a_worker_that_cannot_be_killed_holds_up_neither_its_report_nor_a_deletion(make_server, deleted):
    """A read of a file server that does not answer cannot be interrupted, not even by SIGKILL."""
    server, client = make(make_server, "job.kill=EIO@1+", workers=2, timeout="1h" if deleted else "300ms")
    workers = server.workers()
    before = {pid: ticks_of(pid) for pid in workers}
    reference = client.order("Stuck")
    if deleted:
        busy_one(workers, before)
        assert client.delete(reference).json()["result"] is True
        assert client.complete("Nested")
    else:
        assert_ended_once(server, client, reference, TOO_LONG.format("300ms"))
    assert len(events(server, "worker.unkillable")) == 1
    assert len(server.workers()) == 2 and server.metric("workers") == 1


def test_a_report_that_uses_up_its_processor_time_ends_in_error_at_once(make_server):
    """What the kernel's limit (RLIMIT_CPU) sends is known, so that it is not tried three times."""
    server, client = make(make_server, workers=1)
    (worker,) = server.workers()
    reference = client.order("LongRun")
    poll(lambda: client.status(reference).headers.get("X-Report-Rows", "0") != "0", what="rows")  # this worker has it
    os.kill(worker, signal.SIGXCPU)
    assert_ended_once(server, client, reference, "used more processor time than its limit of 1h allows")


def test_a_sort_that_spills_more_than_temp_limit_ends_in_error_and_says_so(make_server):
    server, client = make(make_server, workers=1, temp_limit="2M")
    assert_ended_once(server, client, client.order("Sort"), "more than the 2M that it may keep in temporary files")
    assert not events(server, "worker.died") and list((server.spool / "temp").iterdir()) == []


@pytest.mark.parametrize("error", ["ENOSPC", "EDQUOT"])
def test_a_disk_that_is_full_while_a_sort_spills_ends_the_report_in_its_own_words(make_server, error):
    server, client = make(make_server, f"source.temp_write={error}@3+", workers=1)
    assert_ended_once(server, client, client.order("Sort"),
                      "The server's disk for temporary files is full. Try again later.")
    assert not events(server, "worker.died")


@contextmanager
def short_of_memory(server):
    """No piece may be larger than 100 MB: the limit of the address space and ASan exclude each other."""
    assert server.stop() == 0
    server.environment["ASAN_OPTIONS"] = (f"{os.environ.get('ASAN_OPTIONS', '')}"
                                          ":allocator_may_return_null=1:max_allocation_size_mb=100")
    server.start()
    yield
    assert server.stop() == 0
    assert REFUSED_PIECE in server.log_text()
    lines = server.log_text().splitlines(keepends=True)
    server.log.write_text("".join(line for line in lines if REFUSED_PIECE not in line))


def test_a_report_that_needs_too_much_memory_ends_in_error_at_once_and_says_so(make_server):
    server, client = make(make_server, workers=1)
    with short_of_memory(server):
        client.url = server.url
        assert_ended_once(server, client, client.order("BigValue"), "needs more memory than")
        assert not events(server, "worker.died")


def test_a_row_of_postgresql_that_needs_too_much_memory_ends_the_report_in_the_same_words(make_server, postgres):
    postgres.create_database("memory_limits")
    server = make_server(source=postgres.url("memory_limits"), workers=1)
    define(server, "BigValue", f"SELECT repeat('x', {BIG_VALUE}) AS a")
    define(server, "Nested", "SELECT 1 AS a")
    with short_of_memory(server):
        client = server.client("alice")
        assert_ended_once(server, client, client.order("BigValue"), "needs more memory than")
        assert not events(server, "worker.died")


@pytest.mark.parametrize("size", ["16M", "32M", "63M"])
def test_a_worker_memory_that_can_run_no_report_is_refused(make_server, size):
    server = make_server()
    assert server.stop() == 0
    server.configure(worker_memory=size)
    done = server.run("serve", "-c", "reportd.conf")
    assert done.returncode != 0
    assert f"worker_memory = {size} is too little to run a report: it takes 64M or more, or 0 for no limit" in done.stderr
    server.configure()
    server.start()


def test_the_query_of_a_killed_worker_ends_in_postgresql(make_server, postgres):
    name = "time_limits"
    postgres.create_database(name)
    server = make_server(source=postgres.url(name), workers=1, cancel_grace="100ms")
    # statement_timeout is out of the way: it is the end of the connection that ends the query.
    define(server, "Sleepy", "SELECT set_config('statement_timeout', '0', true) AS a, pg_sleep(3600) AS b", "3s")
    define(server, "Nested", "SELECT 1 AS a")
    server.reload()
    client = server.client("alice")
    (worker,) = server.workers()
    backends = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"
    reference = client.order("Sleepy")
    poll(lambda: postgres.sql(backends) == ["1"], what="the query")
    with stopped(worker):
        assert client.finish(reference).json()["message"].startswith(TOO_LONG.format("3s"))
        poll(lambda: postgres.sql(backends) == ["0"], what="the end of the query")
    assert client.complete("Nested")
