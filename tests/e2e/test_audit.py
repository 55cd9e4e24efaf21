"""`reportd audit`: what it finds, with and without a server, and what --repair does."""

import json
import os
import sqlite3
import subprocess

import pytest
import requests

from harness import PATIENCE, REPORTD, poll

STRAY = "0190a5b2-7c1e-7000-8000-3f2a1b4c5d6e"
KINDS = ["orphan-file", "lost-result", "wrong-size", "stuck", "expired"]


def audit(server, *words):
    """Run the audit; returns its exit status and what it printed."""
    done = server.run("audit", "-c", "reportd.conf", *words)
    assert done.stderr == "" or done.returncode != 0
    return done.returncode, done.stdout


def counts(server, *words):
    """The counts that are not zero."""
    status, text = audit(server, "--json", *words)
    found = json.loads(text)
    nonzero = {kind: found[kind] for kind in KINDS if found[kind] != 0}
    assert sum(nonzero.values()) == len(found["findings"])
    assert status == (1 if nonzero else 0)
    return nonzero


def change(server, sql, *values):
    """Change the store of a stopped server by hand."""
    with sqlite3.connect(server.folder / "store.db") as db:
        assert db.execute(sql, values).rowcount > 0
    db.close()


def raw(reference):
    return bytes.fromhex(reference.replace("-", ""))


@pytest.fixture
def stopped(make_server):
    """A server with one complete report, killed; and the report's reference."""
    server = make_server(workers=1)
    reference = server.client("alice").complete("Nested")
    server.kill()
    return server, reference


def result_of(server, reference):
    return server.spool / f"{reference}.1.json"


def lose_the_file(server, reference):
    result_of(server, reference).unlink()
    return {"lost-result": 1}


def cut_the_file(server, reference):
    os.truncate(result_of(server, reference), 10)
    return {"wrong-size": 1}


def leave_a_result(server, _):
    (server.spool / f"{STRAY}.1.json").write_text("{}")
    return {"orphan-file": 1}


def leave_a_part(server, reference):
    (server.spool / f"{reference}.2.part").write_text("{")
    return {"orphan-file": 1}


def leave_a_spilt_sort(server, _):
    (server.spool / "temp" / "etilqs_1").write_text("rows")
    return {"orphan-file": 1}


def leave_processing(server, reference):
    change(server, "UPDATE report SET state = 1, slot = 1, expires_ms = NULL WHERE id = ?", raw(reference))
    return {"stuck": 1}


def leave_deleting(server, reference):
    change(server, "UPDATE report SET state = 4, expires_ms = NULL WHERE id = ?", raw(reference))
    return {"stuck": 1, "orphan-file": 1}


def let_expire(server, reference):
    change(server, "UPDATE report SET expires_ms = 1 WHERE id = ?", raw(reference))
    return {"expired": 1}


DAMAGES = [lose_the_file, cut_the_file, leave_a_result, leave_a_part, leave_a_spilt_sort,
           leave_processing, leave_deleting, let_expire]


def test_a_store_in_order_has_no_findings(stopped):
    server, _ = stopped
    status, text = audit(server)
    assert status == 0
    assert "1 reports, 1 files, no server is running" in text
    assert counts(server) == {}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_repaired(stopped, damage):
    server, reference = stopped
    expected = damage(server, reference)
    assert counts(server) == expected
    assert counts(server, "--repair") == {}
    assert counts(server) == {}


def test_a_finding_is_a_line_with_its_reference(stopped):
    server, reference = stopped
    lose_the_file(server, reference)
    status, text = audit(server)
    assert status == 1
    assert f"lost-result  {reference}  complete, but" in text
    assert "1 lost-result" in text and "0 stuck" in text


def test_a_repair_says_what_it_did_and_leaves_the_rest_alone(make_server):
    server = make_server(workers=1)
    client = server.client("alice")
    good = client.complete("Quick", ProductID="1")
    lost = client.complete("Quick", ProductID="1")
    before = client.result(good).content
    running = client.order("Endless")
    client.wait_for(running, "processing")
    server.kill()
    lose_the_file(server, lost)
    status, text = audit(server, "--repair")
    assert status == 0
    assert "repaired: 1 put back into the queue, 1 deleted, 1 files removed" in text
    assert lost in text and running in text
    server.start()
    client.url = server.url
    assert sorted(client.references()) == sorted([good, running])
    assert client.result(good).content == before


def test_a_running_report_is_in_order_while_the_server_runs(make_server):
    server = make_server(workers=1)
    client = server.client("alice")
    client.complete("Quick", ProductID="1")
    running = client.order("Ticker")
    client.order("Nested")
    client.wait_for(running, "processing")
    status, text = audit(server)
    assert status == 0, text
    assert "a server is running" in text


def test_damage_is_found_while_the_server_runs(make_server):
    server = make_server(cancel_grace="100ms")
    client = server.client("alice")
    reference = client.complete("Nested")
    expected = lose_the_file(server, reference)
    leave_a_result(server, reference)
    assert counts(server) == {**expected, "orphan-file": 1}


def test_a_report_that_no_worker_has_is_stuck_while_the_server_runs(make_server):
    server = make_server(workers=1, cancel_grace="100ms")
    client = server.client("alice")
    running = client.order("Ticker")
    client.wait_for(running, "processing")
    (server.spool / f"{running}.1.part").unlink()
    assert counts(server) == {"stuck": 1}


def test_a_repair_is_refused_while_the_server_runs(make_server):
    server = make_server()
    done = server.run("audit", "-c", "reportd.conf", "--repair")
    assert done.returncode == 1 and "stop it first" in done.stderr


def test_the_counts_hold_while_reports_come_and_go(make_server):
    """Every step of a report's life is passed while audits run: none of them is a finding."""
    server = make_server(workers=2)
    client = server.client("alice")
    with subprocess.Popen([REPORTD, "audit", "-c", "reportd.conf"], cwd=server.folder,
                          stdout=subprocess.PIPE, text=True) as auditor:
        while auditor.poll() is None:
            client.delete(client.complete("Quick", ProductID="1"))
            client.delete(client.order("Nested"))
        assert auditor.returncode == 0, auditor.stdout.read()


def test_the_server_counts_as_well(make_server):
    server = make_server(cancel_grace="100ms")
    reference = server.client("alice").complete("Nested")
    server.stop()
    # The start sweeps files without a row, but it brings no result back.
    lose_the_file(server, reference)
    server.start()
    poll(lambda: server.metric("audits_total") > 0, what="the first audit")
    text = requests.get(server.url + "/metrics", timeout=PATIENCE).text
    assert 'reportd_audit_findings{kind="lost-result"} 1' in text
    assert 'reportd_audit_findings{kind="orphan-file"} 0' in text
    assert "audit.findings now=1" in server.log_text()


def test_a_server_does_not_start_during_an_audit(stopped):
    server, _ = stopped
    for i in range(1500):  # so many lines that the audit waits until its pipe is read
        (server.spool / f"{STRAY[:-3]}{i:03x}.1.json").write_text("{}")
    with subprocess.Popen([REPORTD, "audit", "-c", "reportd.conf"], cwd=server.folder,
                          stdout=subprocess.PIPE, text=True) as auditor:
        assert auditor.stdout.readline()
        done = server.run("serve", "-c", "reportd.conf")
        auditor.stdout.read()
    assert done.returncode == 1 and "audit" in done.stderr


@pytest.mark.parametrize("words", [["--nonsense"], ["more"]])
def test_wrong_usage_is_2(stopped, words):
    server, _ = stopped
    done = server.run("audit", *words)
    assert done.returncode == 2 and "--help" in done.stderr


def test_without_a_store_nothing_is_made(tmp_path):
    (tmp_path / "reportd.conf").write_text("")
    done = subprocess.run([REPORTD, "audit"], cwd=tmp_path, capture_output=True, text=True,
                          timeout=PATIENCE)
    assert done.returncode == 1 and "no store" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["reportd.conf"]
