"""Nodes whose PostgreSQL restarts, ends their sessions or cannot be reached: nothing is lost or done twice."""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import ALICE, BOB
from harness import REPORT_ENDS_WITHIN, failed, poll, soon
from postgres import Postgres, program
from seams import Gate, passings, plan

CONNECTS_WITHIN = 4  # seconds; a node gives a try to connect up before that
ANSWERED_WITHIN = 120  # seconds, with restarts of PostgreSQL between


def passed(node, place):
    return sum(name == place for _, name in passings(node.folder / "trace"))


class Load(threading.Thread):
    """Submits reports one after the other, each under a key of its own; repeats what is answered 503."""

    def __init__(self, client, name):
        super().__init__()
        self.client, self.name = client, name
        self.stopping = threading.Event()
        self.references = []
        self.unavailable = []  # what the answers 503 said
        self.trouble = None
        self.start()

    def run(self):
        try:
            while not self.stopping.is_set():
                self.one(f"{self.name} {len(self.references)}")
        except Exception as trouble:  # for the test's thread
            self.trouble = trouble

    def one(self, key):
        self.references.append(poll(lambda: self.accepted(key), ANSWERED_WITHIN, what=key))

    def accepted(self, key):
        """The reference, or None if the report has to be sent again."""
        answer = self.client.submit("Quick", {"ProductID": "1"}, {"Idempotency-Key": key})
        if answer.status_code == 200:
            return answer.json()["data"]
        if answer.status_code == 503:
            assert answer.headers["Retry-After"]
            self.unavailable.append(answer.text)
        else:
            assert answer.status_code == 429, answer.text
        return None

    def stop(self):
        self.stopping.set()
        self.join()
        if self.trouble:
            raise self.trouble


def check_loads(cluster, loads):
    """Every accepted report is there once, and is finished."""
    references = [reference for load in loads for reference in load.references]
    assert len(references) > 20 and len(set(references)) == len(references)
    poll(lambda: cluster.sql("SELECT count(*) FROM report WHERE state <> 2") == ["0"],
         what="the end of all reports")
    assert cluster.sql("SELECT count(*), max(attempt) FROM report") == [f"{len(references)}|1"]
    assert cluster.sql("SELECT count(*) FROM report WHERE slot OR node IS NOT NULL") == ["0"]


def go_on(loads, count=1):
    """Wait until each has had this many more reports accepted."""
    enough = [len(load.references) + count for load in loads]

    def have():
        assert all(load.is_alive() for load in loads), [load.trouble for load in loads]
        return all(len(load.references) >= n for load, n in zip(loads, enough))

    poll(have, ANSWERED_WITHIN, what=f"{count} more reports of each")


def terminate(cluster):
    return cluster.postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                f"WHERE application_name = 'reportd' AND datname = '{cluster.database}'")


def test_sessions_that_are_ended_leave_no_trace_in_the_answers(make_cluster):
    cluster = make_cluster(nodes=2)
    loads = [Load(client, f"load {i}") for i, client in enumerate(cluster.clients(ALICE))]
    for _ in range(20):
        go_on(loads)
        assert len(terminate(cluster)) > 0
    for load in loads:
        load.stop()
    assert [load.unavailable for load in loads] == [[], []]
    check_loads(cluster, loads)


LISTS_WAITING = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'
    AND wait_event_type = 'Lock' AND query LIKE 'WITH page AS %%'
    AND clock_timestamp() - query_start > interval '1200 ms'"""


def test_a_session_that_is_ended_after_a_while_is_made_anew_as_well(make_cluster):
    """Longer than a database that goes away is waited for: this one has not gone away."""
    cluster = make_cluster(nodes=1)
    client, = cluster.clients(ALICE)
    reference = client.complete("Quick", ProductID="1")
    lock = subprocess.Popen(cluster.postgres.psql(cluster.database), stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)
    lock.stdin.write("BEGIN; LOCK TABLE reportd.report; SELECT 'locked';\n")
    lock.stdin.flush()
    assert lock.stdout.readline() == "locked\n"
    with ThreadPoolExecutor(1) as pool:
        listing = pool.submit(client.references)
        poll(lambda: cluster.sql(LISTS_WAITING % cluster.database), what="a list that waits")
        lock.communicate("ROLLBACK;")
        assert listing.result() == [reference]


def test_a_node_that_hangs_while_it_connects_tries_again(make_cluster):
    """The time that it had for connecting is over when it wakes up; the database was there all the while."""
    cluster = make_cluster(nodes=1, tcp=True, lease="30s")
    client, = cluster.clients(ALICE)
    (node,), (proxy,) = cluster.nodes, cluster.proxies
    assert client.references() == []
    proxy.cut()
    proxy.drop()
    with ThreadPoolExecutor(1) as pool:
        listing = pool.submit(client.list)
        poll(lambda: proxy.has_held(0), what="a try to connect")
        node.process.send_signal(signal.SIGSTOP)
        poll(lambda: proxy.has_held(CONNECTS_WITHIN), what="the end of the time for it")
        proxy.repair()
        node.process.send_signal(signal.SIGCONT)
        assert listing.result().status_code == 200


@pytest.mark.parametrize("how", ["SIGINT", "SIGQUIT"])
def test_a_restart_of_postgresql_loses_nothing_and_doubles_nothing(make_cluster, own_postgres, how):
    cluster = make_cluster(server=own_postgres, nodes=2, lease="20s")
    loads = [Load(client, f"load {i}") for i, client in enumerate(cluster.clients(ALICE))]
    for _ in range(2):
        go_on(loads, 5)
        own_postgres.restart(how)
    go_on(loads, 5)
    for load in loads:
        load.stop()
    check_loads(cluster, loads)


def test_without_postgresql_the_answer_is_503_and_running_reports_go_on(make_cluster, own_postgres):
    cluster = make_cluster(server=own_postgres, nodes=2, lease="30s")
    client = cluster.clients(ALICE)[0]
    reference = client.order("Pause", Times="3")
    cluster.node_of(reference)
    own_postgres.stop()
    for call in (lambda: client.submit("Quick", {"ProductID": "1"}), client.list,
                 lambda: client.delete(reference), lambda: client.result(reference)):
        answer = soon(call)
        failed(answer, 503)
        assert answer.headers["Retry-After"]
    own_postgres.start()
    poll(lambda: client.list().status_code == 200, what="an answer after the restart")
    assert client.finish(reference).json()["data"] == "complete"
    assert cluster.row(reference, "attempt") == "1"


AT_ITS_COMMIT = """CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0
    AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(77); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON report DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold()"""
OF_WRITER = AT_ITS_COMMIT.replace("hold", "hold_writer").replace("AFTER INSERT ON report", "AFTER UPDATE ON writer")
OF_A_MARK = AT_ITS_COMMIT.replace("AFTER INSERT ON report", "AFTER UPDATE ON report").replace("EXECUTE", "WHEN (NEW.state = 4) EXECUTE")
HELD = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 77"


@contextlib.contextmanager
def in_doubt(cluster, trigger, call, *arguments):
    """The node has sent the commit, hears nothing of it, and loses its connection; yields the future answer."""
    cluster.sql(trigger)
    with ThreadPoolExecutor(1) as pool:
        with cluster.postgres.transaction("SELECT pg_advisory_xact_lock(77)", cluster.database):
            answer = pool.submit(call, *arguments)
            poll(lambda: cluster.sql(f"{HELD} AND NOT granted"), what="the commit")
            cluster.proxies[0].cut()
        poll(lambda: not cluster.sql(HELD), what="the end of it")
        yield answer
        cluster.proxies[0].drop()
        cluster.proxies[0].repair()
        answer.result()


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "a key"}, {"Prefer": "wait=20"}], ids=["alone", "with a key", "that waits"])
def test_a_submit_in_doubt_does_not_bring_back_what_was_deleted_meanwhile(make_cluster, headers):
    """Its node hears nothing of the commit; somebody sees the report at the other node, and deletes it."""
    cluster = make_cluster(nodes=2, workers=1, lease="2s", tcp=True)
    here, there = cluster.clients(ALICE)
    with in_doubt(cluster, AT_ITS_COMMIT, here.submit, "Endless", {}, headers) as submitted:
        reference = there.references()[0]
        assert there.delete(reference).json()["result"] is True
    assert "not known" in submitted.result().text and submitted.result().status_code == 503
    assert there.references() == [] and cluster.row(reference, "state") is None
    assert here.complete("Quick", ProductID="1")


def test_a_submit_in_doubt_that_is_there_is_accepted(make_cluster):
    cluster = make_cluster(nodes=2, workers=1, lease="2s", tcp=True)
    here, there = cluster.clients(ALICE)
    with in_doubt(cluster, AT_ITS_COMMIT, here.submit, "Endless") as submitted:
        reference = there.references()[0]
    assert submitted.result().json()["data"] == reference and there.references() == [reference]


def test_a_submit_in_doubt_that_was_refused_is_not_accepted(make_cluster):
    cluster = make_cluster(nodes=2, workers=1, lease="2s", tcp=True)
    here, there = cluster.clients(ALICE)
    references = {here.order("Endless") for _ in range(10)}
    with in_doubt(cluster, OF_WRITER, here.submit, "Endless") as submitted:
        pass
    assert submitted.result().status_code == 503
    assert set(there.references()) == references


def test_a_key_that_a_submit_in_doubt_had_may_be_used_again(make_cluster):
    cluster = make_cluster(nodes=2, workers=1, lease="2s", tcp=True)
    here, there = cluster.clients(ALICE)
    key = {"Idempotency-Key": "a key"}
    with in_doubt(cluster, AT_ITS_COMMIT, here.submit, "Endless", {}, key) as submitted:
        assert there.delete(there.references()[0]).json()["result"] is True
        second = there.submit("Quick", {"ProductID": "1"}, key).json()["data"]
    assert submitted.result().status_code == 503  # and not 422: it was accepted
    assert there.references() == [second]


@pytest.mark.parametrize("lost", ["the number", "the second try"])
def test_what_is_lost_while_a_doubt_is_settled_brings_nothing_back(make_cluster, lost):
    """The commit of the fence, whose answer said that the submit was committed; or the session that knows it."""
    cluster = make_cluster(nodes=2, workers=1, lease="2s", tcp=True)
    here, there = cluster.clients(ALICE)
    proxy = cluster.proxies[0]
    user = "SELECT pg_advisory_xact_lock(1380996164, (id % 2147483647)::int) FROM reportd.account WHERE name = 'alice'"
    waits = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with in_doubt(cluster, AT_ITS_COMMIT, here.submit, "Endless") as submitted:
        reference = there.references()[0]
        assert there.delete(reference).json()["result"] is True
        if lost == "the number":
            cluster.sql(OF_WRITER)
        with cluster.postgres.transaction("SELECT pg_advisory_xact_lock(77)" if lost == "the number" else user, cluster.database):
            proxy.drop()
            proxy.repair()
            pid = poll(lambda: cluster.sql(waits), what="the fence, or the second try")[0]
            proxy.cut()
            if lost == "the second try":
                proxy.drop()
                cluster.sql(f"SELECT pg_terminate_backend({pid}, 5000)")
                proxy.repair()
                poll(lambda: [p for p in cluster.sql(waits) if p != pid], what="the third try")
        poll(lambda: not cluster.sql(HELD), what="the end of it")
    assert submitted.result().status_code == 503
    assert there.references() == [] and cluster.row(reference, "state") is None


@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
def test_a_deletion_in_doubt_that_another_node_finishes_is_not_said_to_be_of_nothing(make_cluster, many):
    cluster = make_cluster(nodes=1, workers=1, tcp=True)
    client = cluster.clients(ALICE)[0]
    reference = client.complete("Quick", ProductID="1")
    call = (client.call, "DELETE", "/Report/List?State=complete") if many else (client.delete, reference)
    with in_doubt(cluster, OF_A_MARK, *call) as deleted:
        cluster.sql(f"DELETE FROM report WHERE id = '{reference}' AND state = 4")  # as the purger of another node
    assert deleted.result().status_code == 503 and "not known" in deleted.result().text
    assert client.delete(reference).json()["result"] is False


def test_a_session_that_hangs_at_its_commit_holds_up_no_later_submit(make_cluster):
    cluster = make_cluster(nodes=1, workers=1)
    alice, = cluster.clients(ALICE)
    alice.order("Endless")
    poll(lambda: cluster.sql("SELECT count(*) FROM report WHERE state = 1") == ["1"], what="a busy worker, so that no claim comes along")
    cluster.sql(AT_ITS_COMMIT)
    with ThreadPoolExecutor(1) as pool:
        with cluster.postgres.transaction("SELECT pg_advisory_xact_lock(77)", cluster.database):
            submitted = pool.submit(alice.submit, "Quick", {"ProductID": "1"})
            pid = int(poll(lambda: cluster.sql(f"{HELD} AND NOT granted"), what="the commit")[0])
            os.kill(pid, signal.SIGSTOP)
        try:
            answer = submitted.result()
            assert answer.status_code == 503 and "not known" in answer.text
            cluster.add_user(BOB)
            assert cluster.clients(BOB)[0].submit("Quick", {"ProductID": "1"}).status_code == 200
        finally:
            os.kill(pid, signal.SIGCONT)


def test_a_database_that_is_put_back_under_running_nodes_is_not_used(make_cluster, tmp_path):
    cluster = make_cluster(nodes=2, workers=1, spool="postgresql")
    clients = cluster.clients(ALICE)
    reference = clients[0].complete("Quick", ProductID="1")
    url = cluster.postgres.url(cluster.database)
    subprocess.run([program("pg_dump"), "-Fc", "-f", tmp_path / "dump", "-d", url], check=True)
    assert clients[0].delete(reference).json()["result"] is True
    cluster.postgres.drop_database(cluster.database)
    cluster.postgres.create_database(cluster.database)
    # at once: the nodes connect meanwhile, and would lock what is there
    subprocess.run([program("pg_restore"), "--single-transaction", "-d", url, tmp_path / "dump"], check=True)
    for client, node in zip(clients, cluster.nodes):
        assert client.status(reference).status_code == 503
        node.await_log("this is another database than at the start")
        assert client.result(reference).status_code == 503


def test_what_arrives_late_from_a_process_that_has_ended_is_refused(make_cluster):
    """Nothing is left that could fence it, and who looked whether to take it back has found nothing."""
    cluster = make_cluster(nodes=2, tcp=True)
    gone, other = cluster.nodes
    gone.stop()
    cluster.proxies[0].cut_at = b"Latecomer"
    done = gone.run("key", "add", "-c", "reportd.conf", "Latecomer", "--user", ALICE, "--expires", "1d")
    assert done.returncode == 1 and "not known" in done.stderr, done.stderr
    assert "There is no key" in other.run("key", "remove", "-c", "reportd.conf", "Latecomer").stderr
    cluster.proxies[0].repair()
    poll(lambda: "this_batch_was_given_up" in cluster.postgres.log_text(), what="the batch that was late")
    assert cluster.sql("SELECT name FROM api_key") == []


@pytest.fixture
def slow_to_write():
    """A PostgreSQL that puts nothing on the disk but what was waited for."""
    own = Postgres(wal_writer_delay="10s")
    yield own
    own.close()


def test_a_claim_survives_a_crash_of_postgresql(slow_to_write, make_cluster):
    """Else two nodes would run the same attempt, and the result could be of both."""
    cluster = make_cluster(server=slow_to_write, nodes=2, lease="30s")
    client = cluster.clients(ALICE)[0]
    reference = client.order("Pause", Times="3")
    claimed = poll(lambda: cluster.row(reference, "node || attempt"), what="the claim")
    slow_to_write.restart("SIGQUIT")
    assert cluster.row(reference, "node || attempt") == claimed
    poll(lambda: client.list().status_code == 200, what="an answer after the restart")
    assert client.finish(reference).json()["data"] == "complete"
    assert cluster.row(reference, "attempt") == "1"


def test_a_report_that_a_client_waited_for_survives_a_crash_of_postgresql(slow_to_write, make_cluster):
    """It has not ended, so nothing else has made it durable than the answer."""
    client = make_cluster(server=slow_to_write, nodes=1, lease="30s").clients(ALICE)[0]
    answer = client.submit("Endless", headers={"Prefer": "wait=1"})
    assert answer.headers["X-Report-State"] == "processing"
    slow_to_write.restart("SIGQUIT")
    poll(lambda: client.list().status_code == 200, what="an answer after the restart")
    assert client.state(answer.json()["data"]) == "processing"


def submit_beside(client, node, meanwhile):
    """The answer to a POST that waits, and the references that there are then."""
    node.stop()
    for left in ("trace", "http.wait.begun.gate"):
        (node.folder / left).unlink(missing_ok=True)
    gate = Gate(node, "http.wait.begun")
    plan(node, gate.seam, trace=gate.trace)
    client.url = node.start().url
    first = client.order("Quick", ProductID="1")
    poll(lambda: client.state(first) == "complete", what="a worker, to which the submit can give its report")
    client.delete(first)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.submit, "Endless", headers={"Prefer": "wait=3"})
        gate.wait()
        meanwhile()
        gate.open()
        answer = waiting.result()
    poll(lambda: client.list().status_code == 200, what="an answer after the restart")
    return answer, client.references()


def stop_the_wal_writer(server):
    """It is woken by each page of the WAL, whatever its delay is."""
    os.kill(int(server.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")[0]), signal.SIGSTOP)


def test_a_client_that_waits_is_not_told_of_a_report_that_postgresql_has_lost(slow_to_write, make_cluster):
    """The report and its claim are gone together, and its query is stopped. They are there if a commit of another was
    waited for meanwhile."""
    cluster = make_cluster(server=slow_to_write, nodes=1, lease="3s", workers=1)
    client, node = cluster.clients(ALICE)[0], cluster.nodes[0]
    for _ in range(5):
        stop_the_wal_writer(slow_to_write)
        answer, references = submit_beside(client, node, lambda: slow_to_write.restart("SIGQUIT"))
        if not references:
            break
        assert answer.status_code != 200 or references == [answer.json()["data"]]
        client.delete(references[0])
    failed(answer, 503, "not known", "/Report/List")
    assert references == []
    assert client.complete("Quick", ProductID="1")  # by the one worker


def test_a_client_that_waits_is_answered_although_its_report_was_deleted_elsewhere(make_cluster):
    """Its node has not been notified yet when it asks for the report. Nothing is lost, so nothing is in doubt."""
    cluster = make_cluster(nodes=1)
    client = cluster.clients(ALICE)[0]
    answer, references = submit_beside(client, cluster.nodes[0], lambda: cluster.sql("DELETE FROM report"))
    assert answer.status_code == 200 and answer.json()["data"] not in references


def test_a_result_survives_a_crash_of_postgresql_before_its_end_is_written_down(slow_to_write, make_cluster):
    cluster = make_cluster(server=slow_to_write, nodes=1, spool="postgresql", lease="30s")
    client, node = cluster.clients(ALICE)[0], cluster.nodes[0]
    node.stop()
    gate = Gate(node, "job.end.filed")
    plan(node, gate.seam, trace=gate.trace)
    client.url = node.start().url
    reference = client.order("Quick", ProductID="1")
    gate.wait()
    slow_to_write.restart("SIGQUIT")
    gate.open()
    poll(lambda: client.state(reference) == "complete", what="the report")
    result = client.result(reference)
    assert hashlib.sha256(result.content).hexdigest() == result.headers["ETag"].strip('"')


def test_a_report_that_its_node_does_not_know_of_is_queued_again(make_cluster):
    """As one whose claim was at its commit when the connection broke, so that the second try claimed another one."""
    cluster = make_cluster(nodes=1)
    client = cluster.clients(ALICE)[0]
    endless = client.order("Endless")
    cluster.node_of(endless)
    reference = client.order("Quick", ProductID="1")
    cluster.sql(f"UPDATE report SET state = 1, attempt = 1, token = gen_random_uuid(), node = (SELECT id FROM node) "
                f"WHERE id = '{reference}'")
    poll(lambda: cluster.row(reference, "state") == "0", what="the queue")
    client.delete(endless)
    assert client.finish(reference).json()["data"] == "complete"
    assert cluster.row(reference, "attempt") == "2"


@contextlib.contextmanager
def tried_twice(cluster, reference):
    """What the body has the node write of the report is sent; the connection breaks before its commit, which the
    second try of it waits for."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with cluster.postgres.transaction(f"SELECT FROM reportd.report WHERE id = '{reference}' FOR UPDATE", cluster.database):
        yield
        poll(lambda: cluster.sql(waiting) == ["1"], what="the first try")
        cluster.proxies[0].drop()
        poll(lambda: cluster.sql(waiting) == ["2"], what="the second try")


def test_an_end_that_is_at_its_commit_when_the_connection_breaks_keeps_its_result(make_cluster):
    """The second try finds it written down by the first, and not by another attempt."""
    cluster = make_cluster(nodes=1, tcp=True, lease="30s")
    client, node = cluster.clients(ALICE)[0], cluster.nodes[0]
    node.stop()
    gate = Gate(node, "job.end.filed")
    plan(node, gate.seam, trace=gate.trace)
    client.url = node.start().url
    reference = client.order("Quick", ProductID="1")
    gate.wait()
    with tried_twice(cluster, reference):
        gate.open()
    node.await_log(f"report.state reference={reference} user=alice state=complete")
    assert client.result(reference).status_code == 200


def test_a_deletion_that_is_at_its_commit_when_the_connection_breaks_is_answered(make_cluster):
    cluster = make_cluster(nodes=1, tcp=True, lease="30s")
    client = cluster.clients(ALICE)[0]
    reference = client.complete("Quick", ProductID="1")
    with ThreadPoolExecutor(1) as pool:
        with tried_twice(cluster, reference):
            deletion = pool.submit(client.delete, reference)
        assert deletion.result().json()["result"] is True


def test_what_waits_for_a_lock_holds_up_no_heartbeat(make_cluster):
    """Or the others would take over what runs here, since a deletion waits for an administrator's lock."""
    cluster = make_cluster(nodes=1, lease="1s")
    client = cluster.clients(ALICE)[0]
    reference = client.complete("Quick", ProductID="1")
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with ThreadPoolExecutor(1) as pool:
        with cluster.postgres.transaction(f"SELECT FROM reportd.report WHERE id = '{reference}' FOR UPDATE", cluster.database):
            deletion = pool.submit(client.delete, reference)
            poll(lambda: cluster.sql(waiting) == ["1"], what="a deletion that waits")
            before = cluster.sql("SELECT alive_until FROM node")
            poll(lambda: cluster.sql("SELECT alive_until FROM node") > before, what="a heartbeat")
        assert deletion.result().json()["result"] is True


def test_a_deletion_looks_again_for_what_is_not_notified(make_cluster):
    """As a transfer whose end was being written when the deletion began. The next heartbeat is minutes away."""
    cluster = make_cluster(nodes=1, lease="10m")
    node, = cluster.nodes
    node.stop()
    plan(node, trace=node.folder / "trace")
    node.start()

    client = node.client(ALICE)
    reference = client.complete("Quick", ProductID="1")
    cluster.sql(f"INSERT INTO transfer SELECT gen_random_uuid(), '{reference}', id FROM node")
    with ThreadPoolExecutor(1) as pool:
        deletion = pool.submit(client.delete, reference)
        poll(lambda: passed(node, "store.held.answered") > 0, what="a look")
        beats = passed(node, "store.heartbeat.posted")
        cluster.sql("DELETE FROM transfer")
        assert deletion.result().json()["result"] is True
        assert passed(node, "store.heartbeat.posted") == beats


def test_an_accepted_report_is_answered_though_postgresql_stops_during_the_wait(make_cluster, own_postgres):
    cluster = make_cluster(server=own_postgres, nodes=1, lease="30s")
    client = cluster.clients(ALICE)[0]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.submit, "Endless", {}, {"Prefer": "wait=2", "Idempotency-Key": "one"})
        poll(lambda: cluster.sql("SELECT count(*) FROM report WHERE state = 1") == ["1"], what="the report")
        own_postgres.stop()
        answer = waiting.result()
    own_postgres.start()
    assert answer.status_code == 200 and answer.json()["result"] is True, answer.text
    poll(lambda: client.list().status_code == 200, what="an answer after the restart")
    assert client.delete(answer.json()["data"]).json()["result"] is True


def test_a_node_that_is_cut_off_loses_its_reports_and_comes_back_as_another(make_cluster):
    cluster = make_cluster(nodes=2, tcp=True)
    clients = cluster.clients(ALICE)
    reference = clients[0].order("Pause", Times="15")
    victim = cluster.node_of(reference)
    at = cluster.nodes.index(victim)
    cluster.proxies[at].cut()
    other = clients[1 - at]
    assert other.finish(reference).json()["data"] == "complete"
    assert int(cluster.row(reference, "attempt")) > 1  # on a busy machine the other node may lose its lease, too
    poll(lambda: victim.metric("store_up") == 0, what="the news that the store is away")
    poll(lambda: victim.metric("workers_busy") == 0, what="the end of its work")
    poll(lambda: "the lease has run out" in victim.log_text(), what="the end of its lease")
    cluster.proxies[at].repair()
    assert poll(lambda: "node.given_up" in victim.log_text(), what="the news of its death")
    poll(lambda: clients[at].list().status_code == 200, what="an answer of the node that is back")
    assert clients[at].finish(reference).json()["data"] == "complete"
    assert cluster.row(reference, "attempt || '|' || state") == "2|2"
    poll(lambda: [name.split(".")[1] for name in victim.files_of(reference)] == ["2"], what="the end of the other's file")
    clients[at].complete("Quick", ProductID="1")


class Late:
    """Two nodes with a worker each. The first has claimed a report, and waits for the answer until `claim` is opened;
    its supervisor hangs from the next heartbeat after hang() on, until `beat` is opened."""

    def __init__(self, make_cluster):
        self.cluster = make_cluster(nodes=2, tcp=True)
        self.node, self.other = self.cluster.nodes
        self.proxy = self.cluster.proxies[0]
        self.node.stop()
        self.client = self.other.client(ALICE)
        self.busy = self.client.order("Endless")
        self.client.wait_for(self.busy, "processing")
        self.reference = self.client.order("Quick", ProductID="1")
        self.claim, self.beat = Gate(self.node, "store.claim.committed"), Gate(self.node, "node.beat.due")
        plan(self.node, self.claim.seam, f"{self.beat.seam}?{self.node.folder / 'hangs'}", trace=self.claim.trace)
        self.node.start()
        self.claim.wait()
        assert self.cluster.row(self.reference, "state || '|' || attempt") == "1|1"

    def hang(self):
        (self.node.folder / "hangs").touch()

    def is_settled(self):
        """Has the claim's answer been handled?"""
        return passed(self.node, "job.start.sent") or f"report.given_up reference={self.reference}" in self.node.log_text()


def is_cut_off(late):
    late.proxy.cut()


def answer_while_cut_off(late):
    late.claim.open()


def answer_under_another_name(late):
    late.proxy.repair()
    poll(lambda: late.cluster.sql("SELECT count(*) FROM node") == ["2"], what="its new name")
    beats = passed(late.node, "node.beat.due")
    poll(lambda: passed(late.node, "node.beat.due") > beats + 1, what="a heartbeat that was answered")
    late.claim.open()


def answer_when_it_wakes_up(late):
    late.claim.open()
    poll(lambda: passed(late.node, "store.claim.answered"), what="an answer that waits")
    late.beat.open()


@pytest.mark.parametrize("lose, answer", [(is_cut_off, answer_while_cut_off), (is_cut_off, answer_under_another_name),
                                          (Late.hang, answer_when_it_wakes_up)],
                         ids=["cut_off", "under_another_name", "hung"])
def test_a_claim_that_is_answered_when_the_lease_is_over_starts_nothing(make_cluster, lose, answer):
    """Another node has taken the report over meanwhile, and its user was told that it is deleted."""
    late = Late(make_cluster)
    lose(late)
    poll(lambda: late.cluster.row(late.reference, "state || '|' || attempt") == "0|1", what="the takeover")
    assert late.client.delete(late.reference).json()["result"] is True
    answer(late)
    poll(late.is_settled, what="the end of the claim")
    assert not passed(late.node, "job.start.sent")
    late.proxy.repair()
    assert late.client.complete("Quick", ProductID="1")  # by this node: the other one is busy
    late.client.delete(late.busy)


def test_a_claim_that_is_answered_when_the_lease_is_over_is_given_back(make_cluster):
    """No other node has taken the report over. This one is the same as before once it reaches the store again."""
    late = Late(make_cluster)
    late.client.delete(late.busy)
    late.other.stop()
    late.proxy.cut()
    poll(lambda: late.cluster.sql("SELECT alive_until < clock_timestamp() FROM node") == ["t"], what="the end of its lease")
    late.claim.open()
    poll(late.is_settled, what="the end of the claim")
    assert not passed(late.node, "job.start.sent")
    late.proxy.repair()
    poll(lambda: late.cluster.row(late.reference, "state || '|' || attempt") == "2|2", what="the report")
    assert "node.given_up" not in late.node.log_text()


def test_a_report_that_needs_another_process_when_the_lease_is_over_is_not_sent_to_it(make_cluster):
    """Its worker had another database open. The node hung until the report was taken over and deleted."""
    cluster = make_cluster(nodes=2)
    node, other = cluster.nodes
    node.stop()
    shutil.copy(node.folder / "data.db", node.folder / "more.db")
    with open(node.folder / "reportd.conf", "a", encoding="utf-8") as conf:
        conf.write('source more { url = "sqlite:more.db" }\n')
    (node.reports / "More.sql").write_text("-- report: More\n-- source: more\n\n-- results\nSELECT 1 AS one;\n")
    ended, beat = Gate(node, "worker.run.ended", at=2), Gate(node, "node.beat.due")
    plan(node, ended.seam, f"{beat.seam}?{node.folder / 'hangs'}", trace=beat.trace)
    client = other.client(ALICE)
    busy = client.order("Endless")
    client.wait_for(busy, "processing")
    node.start()
    client.complete("Quick", ProductID="1")
    reference = node.client(ALICE).order("More")
    ended.wait()
    (node.folder / "hangs").touch()
    poll(lambda: cluster.row(reference, "state || '|' || attempt") == "0|1", what="the takeover")
    assert client.delete(reference).json()["result"] is True
    sent, written, workers = passed(node, "job.start.sent"), passed(node, "job.end.written"), node.workers()
    ended.open()
    poll(lambda: set(workers) - set(node.workers()), what="the end of its worker")
    beat.open()
    poll(lambda: passed(node, "job.end.written") > written or passed(node, "job.start.sent") > sent, what="the end of its job")
    assert passed(node, "job.start.sent") == sent
    client.delete(busy)


def test_a_deletion_waits_for_another_node_no_longer_than_the_store_answers(make_cluster):
    """Nor does a stop, which waits for deletions. The other node's query cannot be stopped for a minute."""
    cluster = make_cluster(nodes=2, tcp=True, cancel_grace="1m")
    for node in cluster.nodes:
        node.stop()
        plan(node, trace=node.folder / "trace")
        node.start()
    clients = cluster.clients(ALICE)
    reference = clients[0].order("Endless")
    runner = cluster.node_of(reference)
    here = 1 - cluster.nodes.index(runner)
    stuck = runner.workers()
    for pid in stuck:
        os.kill(pid, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(clients[here].delete, reference)
            poll(lambda: passed(cluster.nodes[here], "deletion.delete.marked"), what="its tombstone")
            cluster.proxies[here].cut()
            failed(answer.result(), 503, "another node may still run it")
    finally:
        cluster.proxies[here].repair()
        for pid in stuck:
            os.kill(pid, signal.SIGCONT)
    poll(lambda: cluster.row(reference, "state") is None, what="the end of the deletion")


def test_news_that_got_lost_is_looked_for(make_cluster):
    """The listening sessions are ended again and again while others wait for reports."""
    cluster = make_cluster(nodes=2)
    clients = cluster.clients(ALICE)
    for _ in range(5):
        reference = clients[0].order("Pause")
        waiter = threading.Thread(target=lambda r=reference: clients[1].finish(r))
        waiter.start()
        terminate(cluster)
        waiter.join(REPORT_ENDS_WITHIN)
        assert not waiter.is_alive()
        poll(lambda r=reference: clients[1].status(r).json()["data"] == "complete", what="an answer on a new session")


def test_a_database_that_is_away_fills_no_log(make_cluster, own_postgres):
    """A line at once, then ever fewer, each with how many tries it stands for; and one when it is back."""
    cluster = make_cluster(nodes=1, server=own_postgres, workers=1, lease="10m")
    node, = cluster.nodes
    reference = node.client(ALICE).order("Endless")
    node.client(ALICE).wait_for(reference, "processing")
    worker, = node.workers()
    own_postgres.stop()
    os.kill(worker, signal.SIGKILL)  # the report is to be queued again

    def tries(event):
        lines = re.findall(rf" error {event} error=.* left_out=(\d+)$", node.log_text(), re.M)
        return len(lines), len(lines) + sum(map(int, lines))

    poll(lambda: tries("store.unavailable")[1] > 12, what="a dozen tries")
    lines, count = tries("store.unavailable")
    assert count > 2 * lines, node.log_text()
    assert "over_after_ms" not in node.log_text()
    own_postgres.start()
    poll(lambda: re.search(r" info store\.unavailable over_after_ms=\d+ left_out=\d+$", node.log_text(), re.M),
         what="a line that it is over")
    assert node.client(ALICE).delete(reference).json()["result"] is True
