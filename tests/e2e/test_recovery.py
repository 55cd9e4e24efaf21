"""Crashes, drains and reloads: architecture.md § Invariants, definitions § reload."""

import os
import re
import signal
import subprocess

import pytest

from harness import PATIENCE, REPORTD, poll, refused

BROKEN = "-- report: Quick\n-- description: No statement.\n-- source: data\n"


def restart(server, client):
    server.kill()
    server.start()
    client.url = server.url


@pytest.fixture
def one(make_server):
    """A server with one worker, and its client."""
    server = make_server(workers=1)
    return server, server.client("alice")


def serve_again(server, **values):
    """Another server with the first one's configuration except for `values`: its exit status and words."""
    lines = [line for line in (server.folder / "reportd.conf").read_text().splitlines()
             if line.partition(" ")[0] not in values]
    conf = server.folder / "again.conf"  # paths are relative to it
    conf.write_text("\n".join([*lines, *(f'{key} = "{value}"' for key, value in values.items())]) + "\n")
    done = subprocess.run([REPORTD, "serve", "-c", conf], capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    return done.returncode, done.stderr


def kill_workers(server):
    """kill -9 all of them; returns when others have taken their place."""
    before = server.workers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    poll(lambda: len(set(server.workers()) - set(before)) == len(before), what="the new workers")


def test_a_second_server_on_the_same_store_or_spool_is_refused(one, tmp_path):
    server, client = one
    running = client.order("Endless")
    client.wait_for(running, "processing")
    store, spool = server.folder / "store.db", server.folder / "spool"
    for values in ({"store": store, "spool": tmp_path / "elsewhere"}, {"store": tmp_path / "own.db", "spool": spool}):
        status, words = serve_again(server, **values)
        assert status == 1
        assert "another reportd serve" in words
    assert client.status(running).headers["X-Report-State"] == "processing"
    client.delete(running)


def test_an_accepted_report_survives_a_crash_while_queued(one):
    server, client = one
    running = client.order("Endless")
    client.wait_for(running, "processing")
    waiting = client.order("Quick", ProductID="1")
    restart(server, client)
    client.delete(running)
    assert client.finish(waiting).json()["data"] == "complete"
    assert len(client.result(waiting).json()["data"]["results"]) == 3


def test_an_accepted_report_survives_a_crash_while_processing(one):
    server, client = one
    reference = client.order("Pause", Times="5")
    client.wait_for(reference, "processing")
    restart(server, client)
    assert client.finish(reference).json()["data"] == "complete"
    assert client.result(reference).json()["data"]["results"] == [{"count": 5000000}]
    assert server.files_of(reference) == [name for name in server.files() if name.endswith(".json")]


def test_every_report_accepted_before_a_crash_is_there_after_it(one):
    server, client = one
    references = [client.order("Nested") for _ in range(10)]
    restart(server, client)
    assert sorted(client.references()) == sorted(references)
    for reference in references:
        assert client.finish(reference).json()["data"] == "complete"


def test_a_result_survives_a_crash(one):
    server, client = one
    reference = client.complete("Quick", ProductID="1")
    before = client.result(reference).content
    restart(server, client)
    assert client.result(reference).content == before


def test_sessions_survive_a_crash(one):
    server, client = one
    restart(server, client)
    assert client.list().status_code == 200


def test_files_without_a_row_are_swept_at_start(one):
    server, client = one
    reference = client.complete("Nested")
    stray = server.spool / "0190a5b2-7c1e-7000-8000-3f2a1b4c5d6e.1.json"
    part = server.spool / "0190a5b2-7c1e-7000-8000-3f2a1b4c5d6e.2.part"
    server.kill()
    stray.write_text("{}")
    part.write_text("{")
    server.start()
    client.url = server.url
    assert server.files() == server.files_of(reference) != []


def test_a_report_whose_worker_dies_is_tried_again(one):
    server, client = one
    reference = client.order("Pause", Times="5")
    client.wait_for(reference, "processing")
    kill_workers(server)
    assert client.finish(reference).json()["data"] == "complete"


def test_the_third_death_of_a_worker_ends_the_report(one):
    server, client = one
    reference = client.order("Endless")
    for _ in range(3):
        poll(lambda: client.state(reference) == "processing" and server.metric("workers_busy") == 1)
        kill_workers(server)
    answer = client.finish(reference)
    assert answer.json()["data"] == "error" and answer.json()["message"]
    assert client.complete("Quick", ProductID="1")  # the service goes on


def test_an_idle_worker_that_dies_is_replaced(one):
    server, client = one
    kill_workers(server)
    assert client.complete("Quick", ProductID="1")


def test_sigterm_lets_a_running_report_finish(make_server):
    server = make_server(workers=1, drain_grace="20s")
    client = server.client("alice")
    reference = client.order("Pause", Times="3")
    client.wait_for(reference, "processing")
    assert server.stop() == 0
    server.start()
    client.url = server.url
    assert client.state(reference) == "complete"


def test_sigterm_puts_back_what_does_not_finish_in_time(make_server):
    server = make_server(workers=1, drain_grace="100ms")
    client = server.client("alice")
    running = client.order("Endless")
    client.wait_for(running, "processing")
    waiting = client.order("Quick", ProductID="1")
    assert server.stop() == 0
    server.start()
    client.url = server.url
    client.wait_for(running, "processing")
    assert client.state(waiting) == "queued"
    client.delete(running)
    assert client.finish(waiting).json()["data"] == "complete"


def test_a_drained_report_has_not_failed(make_server):
    """A drain is no death of a worker: it may happen more often than a worker may die."""
    server = make_server(workers=1, drain_grace="0")
    client = server.client("alice")
    reference = client.order("Endless")
    for _ in range(4):
        client.wait_for(reference, "processing")
        server.stop()
        server.start()
        client.url = server.url
    client.wait_for(reference, "processing")


def test_sigint_stops_as_well(one):
    server, _ = one
    server.process.send_signal(signal.SIGINT)
    assert server.await_end(30) == 0


def test_sighup_reads_the_definitions_again(one):
    server, client = one
    (server.reports / "Fresh.sql").write_text(
        "-- report: Fresh\n-- description: New.\n-- source: data\n\n-- results\nSELECT 1 AS \"one\";\n")
    refused(client.submit("Fresh"), "Fresh")
    server.reload()
    assert client.result(client.complete("Fresh")).json()["data"]["results"] == [{"one": 1}]
    (server.reports / "Fresh.sql").unlink()
    server.reload()
    refused(client.submit("Fresh"), "Fresh")


def test_sighup_keeps_the_old_definition_of_a_broken_file(one):
    server, client = one
    (server.reports / "Quick.sql").write_text(BROKEN)
    server.reload(broken=1)
    server.await_log("Quick.sql:")
    assert client.complete("Quick", ProductID="1")


def test_a_running_report_finishes_on_the_definition_it_started_with(one):
    server, client = one
    reference = client.order("Pause", Times="5")
    client.wait_for(reference, "processing")
    path = server.reports / "Pause.sql"
    path.write_text(path.read_text().replace('"count"', '"renamed"'))
    server.reload()
    assert client.finish(reference).json()["data"] == "complete"
    assert client.result(reference).json()["data"]["results"] == [{"count": 5000000}]
    again = client.complete("Pause")
    assert client.result(again).json()["data"]["results"] == [{"renamed": 1000000}]


def test_a_query_that_cannot_be_stopped_costs_its_worker(make_server):
    """A worker that hangs is killed after cancel_grace; the delete is answered all the same."""
    server = make_server(workers=1, cancel_grace="100ms")
    client = server.client("alice")
    reference = client.order("Endless")
    client.wait_for(reference, "processing")
    (worker,) = server.workers()
    os.kill(worker, signal.SIGSTOP)
    assert client.delete(reference).json()["result"] is True
    assert worker not in server.workers()
    assert client.complete("Quick", ProductID="1")


def test_a_second_server_on_the_same_folder_is_refused(one):
    server, _ = one
    done = server.run("serve", "-c", "reportd.conf")
    assert done.returncode == 1 and "another" in done.stderr



@pytest.mark.parametrize(("config", "line"), [({"log_level": "warn"}, None),
                                              ({"log_format": "json", "log_level": "debug"}, r'^\{"time":.*"event":"worker\.sandbox"')])
def test_a_worker_logs_as_its_server_does(make_server, config, line):
    server = make_server(**config)
    server.client("alice").complete("Quick", ProductID="1")
    lines = [text for text in server.log_text().splitlines() if "worker.sandbox" in text]
    assert bool(lines) == bool(line)
    assert all(re.search(line, text) for text in lines)
