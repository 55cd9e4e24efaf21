"""PostgreSQL behind a pooler: what works, and what is refused with clear words; doc/definitions.md § PostgreSQL."""

import signal
import subprocess

import pytest

from harness import poll
from pgbouncer import Pgbouncer
from postgres import program
from test_postgres_source import DATABASE, VALUES, PgServer, define, own_shop

shop = own_shop  # it is stopped now and then

AWAY = "The connection to the report's database was lost. Try again later."
UNREACHED = "The report's database cannot be reached. Try again later."


@pytest.fixture
def pooled(shop, tmp_path):
    """A server whose workers go through a pooler: pooled("transaction", workers=1, pool_size=1)."""
    made = []

    def make(mode, query="", workers=2, pool_size=2, **config):
        pooler = Pgbouncer(shop, mode, default_pool_size=pool_size)
        server = PgServer.on(shop, tmp_path / f"pooled{len(made)}", pooler.url(DATABASE) + query,
                             workers=workers, **config)
        server.pooler = pooler
        made.append(server)
        return server

    yield make
    for server in made:
        assert server.stop() == 0
        server.check_log()
        server.pooler.close()


both = pytest.mark.parametrize("mode", ["session", "transaction"])


def another_client(server, sql):
    """What the next client of the pooler gets."""
    done = subprocess.run([program("psql"), "-XAtq", "-d", server.pooler.url(DATABASE)], input=sql, text=True,
                          capture_output=True, check=True)
    return done.stdout.split()


class Holder:
    """A client of the pooler in a transaction of its own: with a pool of one nobody else comes in."""

    def __init__(self, server):
        self.process = subprocess.Popen([program("psql"), "-XAtq", "-d", server.pooler.url(DATABASE)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdin.write("BEGIN; SELECT 'held';\n")
        self.process.stdin.flush()
        assert "held" in self.process.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate("ROLLBACK;\n")


def wait_until_reached(server):
    """The pooler itself may answer the next who ask with its own loss."""
    poll(lambda: server.alice.finish(server.alice.order("Checked", ItemID="1")).json()["data"] == "complete",
         what="a report that is complete")


@both
def test_reports_say_the_same_through_a_pooler(pooled, mode):
    server = pooled(mode, workers=3, pool_size=2 if mode == "transaction" else 4)  # and check
    expected = ",".join(f'"c{i}":{text}' for i, (_, text) in enumerate(VALUES))
    ordered = [server.alice.order("Values") for _ in range(9)]
    for reference in ordered:
        server.alice.finish(reference)
        assert f'"results":[{{{expected}}}]' in server.alice.result(reference).text
    assert server.results("Parameters", Text="it's", Number="-5")[0]["number"] == -5
    assert server.refusal("Zero") == "The report's query failed."
    assert server.refusal("Checked", ItemID="77") == "Item 77 does not exist."
    assert server.results("Checked", ItemID="2") == [{"itemID": 2}]
    checked = server.run("check", "-c", "reportd.conf", "reports/Values.sql")
    assert checked.returncode == 0, checked.stdout


def test_a_report_leaves_nothing_to_the_next_client_of_a_pooled_connection(pooled):
    server = pooled("transaction", workers=1, pool_size=1)
    assert len(server.results("Leak")) == 1
    assert another_client(server, "SELECT current_setting('work_mem'), pg_backend_pid() > 0;"
                          " SELECT count(*) FROM pg_prepared_statements;"
                          " SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == ["4MB|t", "0", "0"]


@both
def test_delete_ends_the_query_behind_a_pooler(pooled, mode):
    server = pooled(mode)
    workers = server.workers()
    for _ in range(3):
        reference = server.alice.order("Sleep")
        server.wait_until_active(reference)
        assert server.alice.delete(reference).json()["result"] is True
        assert server.activity(reference) == []
    assert server.refusal("Hasty").startswith("The report took longer than its limit of 300ms")
    assert server.results("Checked", ItemID="1") == [{"itemID": 1}]
    assert server.workers() == workers  # none had to be killed


@both
def test_a_report_that_waits_for_the_pooler_can_be_deleted_and_runs_when_it_is_its_turn(pooled, mode):
    server = pooled(mode, workers=1, pool_size=1)
    workers = server.workers()
    with Holder(server):
        reference = server.alice.order("Checked", ItemID="1")
        server.alice.wait_for(reference, "processing")
        assert server.alice.delete(reference).json()["result"] is True
        waiting = server.alice.order("Checked", ItemID="2")
        server.alice.wait_for(waiting, "processing")
    assert server.alice.finish(waiting).json()["data"] == "complete"
    assert server.workers() == workers


@both
def test_a_restart_of_the_database_behind_a_pooler(pooled, shop, mode):
    server = pooled(mode, workers=1)
    assert server.results("Checked", ItemID="1") == [{"itemID": 1}]
    reference = server.alice.order("Sleep")
    server.wait_until_active(reference)
    shop.restart()
    assert server.alice.finish(reference).json()["message"] == AWAY
    wait_until_reached(server)


@both
def test_a_restart_of_the_pooler(pooled, shop, mode):
    server = pooled(mode, workers=1)
    assert server.results("Checked", ItemID="1") == [{"itemID": 1}]
    reference = server.alice.order("Sleep")
    server.wait_until_active(reference)
    old = server.pooler
    old.process.kill()
    old.process.wait()
    assert server.alice.finish(reference).json()["message"] == AWAY
    poll(lambda: server.activity(reference) == [], what="the end of the query")
    assert server.refusal("Checked", ItemID="1") == UNREACHED
    server.pooler = Pgbouncer(shop, mode, listen_port=old.port)
    old.close()
    assert server.results("Checked", ItemID="1") == [{"itemID": 1}]


def test_a_pooler_that_hangs_hinders_no_deletion(pooled, shop):
    server = pooled("transaction", cancel_grace="1s")
    reference = server.alice.order("Sleep")
    server.wait_until_active(reference)
    server.pooler.process.send_signal(signal.SIGSTOP)
    assert server.alice.delete(reference).json()["result"] is True
    assert server.alice.status(reference).json()["data"] == {}
    server.pooler.process.send_signal(signal.SIGCONT)
    poll(lambda: server.activity(reference) == [], what="the end of the query")
    # This pgbouncer may end itself over a cancel whose sender has gone.
    server.pooler.close()
    server.pooler = Pgbouncer(shop, "transaction", listen_port=server.pooler.port)
    wait_until_reached(server)


def test_a_pooler_of_statements_is_refused_with_its_own_words(pooled):
    server = pooled("statement")
    define(server, {"One": "-- results\nSELECT 1 AS a"})
    server.reload()
    assert server.refusal("One") == AWAY
    server.detail("transaction blocks not allowed in statement pooling mode")
    checked = server.run("check", "-c", "reportd.conf")
    assert checked.returncode == 1 and "statement pooling mode" in checked.stdout


def test_settings_in_the_url_that_a_pooler_does_not_take_are_told(pooled):
    server = pooled("transaction", query="?options=-csearch_path%3Dshop")
    assert server.refusal("Checked", ItemID="1") == UNREACHED
    server.detail("unsupported startup parameter")
