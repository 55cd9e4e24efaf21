"""`reportd fsck`: what it finds, with and without a server, and what --repair does."""

import json
import os
import shutil
import sqlite3
import subprocess

import pytest
import requests

from harness import PATIENCE, REPORTD, SPOOL_MARK, failed, poll

STRAY = "0190a5b2-7c1e-7000-8000-3f2a1b4c5d6e"
KINDS = ["orphan-file", "lost-result", "wrong-size", "locked", "stuck", "expired"]


def fsck(server, *words):
    """Run it; returns its exit status and what it printed."""
    done = server.run("fsck", "-c", "reportd.conf", *words)
    assert done.stderr == "" or done.returncode != 0
    return done.returncode, done.stdout


def counts(server, *words):
    """The counts that are not zero."""
    status, text = fsck(server, "--json", *words)
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
    """A server with two complete reports, killed; and the reference of one."""
    server = make_server(workers=1)
    client = server.client("alice")
    client.complete("Quick", ProductID="1")
    reference = client.complete("Nested")
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


def leave_a_killed_restore(server, _):
    for end in ("", "-wal", "-shm"):
        (server.folder / f"store.db.restore{end}").write_text("everything")
    return {"orphan-file": 3}


DAMAGES = [lose_the_file, cut_the_file, leave_a_result, leave_a_part, leave_a_spilt_sort,
           leave_processing, leave_deleting, let_expire,
           leave_a_killed_restore]


def test_a_store_in_order_has_no_findings(stopped):
    server, _ = stopped
    status, text = fsck(server)
    assert status == 0
    assert "2 reports, 2 files, no server is running" in text
    assert counts(server) == {}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_repaired(stopped, damage):
    server, reference = stopped
    expected = damage(server, reference)
    assert counts(server) == expected
    assert counts(server, "--repair") == {}
    assert counts(server) == {}
    assert not list(server.folder.glob("store.db.restore*"))


def test_a_finding_is_a_line_with_its_reference(stopped):
    server, reference = stopped
    lose_the_file(server, reference)
    status, text = fsck(server)
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
    status, text = fsck(server, "--repair")
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
    status, text = fsck(server)
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
    part = server.spool / f"{running}.1.part"
    poll(part.exists, what="the file of the result")
    part.unlink()
    assert counts(server) == {"stuck": 1}


def test_a_repair_is_refused_while_the_server_runs(make_server):
    server = make_server()
    done = server.run("fsck", "-c", "reportd.conf", "--repair")
    assert done.returncode == 1 and "stop it first" in done.stderr


def test_the_counts_hold_while_reports_come_and_go(make_server):
    """Every step of a report's life is passed while audits run: none of them is a finding."""
    server = make_server(workers=2)
    client = server.client("alice")
    with subprocess.Popen([REPORTD, "fsck", "-c", "reportd.conf"], cwd=server.folder,
                          stdout=subprocess.PIPE, text=True) as auditor:
        while auditor.poll() is None:
            client.delete(client.complete("Quick", ProductID="1"))
            client.delete(client.order("Nested"))
        assert auditor.returncode == 0, auditor.stdout.read()


def test_the_server_counts_as_well(make_server):
    server = make_server(cancel_grace="100ms")
    client = server.client("alice")
    client.complete("Quick", ProductID="1")
    reference = client.complete("Nested")
    server.stop()
    # The start sweeps files without a row, but it brings no result back.
    lose_the_file(server, reference)
    server.start()
    poll(lambda: server.metric("audits_total") > 0, what="the first audit")
    text = requests.get(server.url + "/metrics", timeout=PATIENCE).text
    assert 'reportd_audit_findings{kind="lost-result"} 1' in text
    assert 'reportd_audit_findings{kind="orphan-file"} 0' in text
    server.await_log("audit.findings now=1")


def test_a_server_does_not_start_during_an_audit(stopped):
    server, _ = stopped
    for i in range(1500):  # so many lines that the audit waits until its pipe is read
        (server.spool / f"{STRAY[:-3]}{i:03x}.1.json").write_text("{}")
    with subprocess.Popen([REPORTD, "fsck", "-c", "reportd.conf"], cwd=server.folder,
                          stdout=subprocess.PIPE, text=True) as auditor:
        assert auditor.stdout.readline()
        done = server.run("serve", "-c", "reportd.conf")
        auditor.stdout.read()
    assert done.returncode == 1 and "fsck" in done.stderr


@pytest.mark.parametrize("words", [["--nonsense"], ["more"]])
def test_wrong_usage_is_2(stopped, words):
    server, _ = stopped
    done = server.run("fsck", *words)
    assert done.returncode == 2 and "--help" in done.stderr


def test_without_a_store_nothing_is_made(tmp_path):
    (tmp_path / "reportd.conf").write_text("")
    done = subprocess.run([REPORTD, "fsck"], cwd=tmp_path, capture_output=True, text=True,
                          timeout=PATIENCE)
    assert done.returncode == 1 and "no store" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["reportd.conf"]


def test_it_answers_to_its_old_name(stopped):
    server, _ = stopped
    old, new = server.run("audit", "-c", "reportd.conf"), server.run("fsck", "-c", "reportd.conf")
    assert (old.returncode, old.stdout) == (new.returncode, new.stdout) == (0, new.stdout)


def rename_the_spool(server):
    """In the file; the server that runs has the old one."""
    path = server.folder / "reportd.conf"
    path.write_text(path.read_text().replace('spool = "spool"', 'spool = "spool2"'))


def test_a_repair_is_refused_beside_a_server_whatever_the_spool_is_called(make_server):
    server = make_server(workers=1)
    client = server.client("alice")
    good, running = client.complete("Quick", ProductID="1"), client.order("Endless")
    client.wait_for(running, "processing")
    rename_the_spool(server)
    for folder_is_there in (False, True):
        done = server.run("fsck", "-c", "reportd.conf", "--repair")
        assert done.returncode == 1 and "stop it first" in done.stderr, done.stderr
        done = server.run("fsck", "-c", "reportd.conf", "--repair", "--force")
        assert done.returncode == 1 and "stop it first" in done.stderr
        assert (server.folder / "spool2").exists() == folder_is_there
        (server.folder / "spool2" / "temp").mkdir(parents=True, exist_ok=True)
    assert client.state(good) == "complete" and client.state(running) == "processing"
    assert len(client.result(good).json()["data"]["results"]) == 3


def tree(server):
    return sorted(str(path.relative_to(server.folder)) for path in server.folder.rglob("*"))


@pytest.mark.parametrize("words", [[], ["--repair"], ["--repair", "--force"]])
def test_a_folder_that_is_not_there_is_not_made(stopped, words):
    server, _ = stopped
    fsck(server)
    rename_the_spool(server)
    before = tree(server)
    done = server.run("fsck", "-c", "reportd.conf", *words)
    assert done.returncode == 1 and "no folder" in done.stderr and "spool2" in done.stderr, done.stderr
    assert tree(server) == before


@pytest.mark.parametrize("temp", [False, True], ids=["empty", "with-temp"])
def test_an_unmounted_spool_costs_no_report(stopped, temp):
    server, reference = stopped
    away = server.folder / "mounted"
    server.spool.rename(away)
    server.spool.mkdir()
    if temp:
        (server.spool / "temp").mkdir()
    done = server.run("fsck", "-c", "reportd.conf", "--repair")
    assert done.returncode == 1 and "mounted" in done.stderr, done.stderr
    shutil.rmtree(server.spool)
    away.rename(server.spool)
    assert counts(server) == {}
    client = server.start().client("alice")
    assert client.state(reference) == "complete"


def lose_all_results(server):
    for path in server.spool.glob("*.json"):
        path.unlink()


def test_results_that_are_all_lost_are_given_up(stopped):
    server, _ = stopped
    lose_all_results(server)
    assert counts(server) == {"lost-result": 2}
    assert counts(server, "--repair") == {}
    assert server.start().client("alice").references() == []


def test_results_that_are_all_lost_are_given_up_with_force_if_the_spool_does_not_say_whose_it_is(stopped):
    server, _ = stopped
    lose_all_results(server)
    (server.spool / SPOOL_MARK).unlink()
    assert "lost-result" in counts(server)
    done = server.run("fsck", "-c", "reportd.conf", "--repair")
    assert done.returncode == 1 and "--force" in done.stderr
    assert counts(server, "--repair", "--force") == {}
    assert server.start().client("alice").references() == []


def test_the_spool_of_another_store_is_left_alone(make_server):
    other, server = make_server(workers=1), make_server(workers=1)
    reference = other.client("alice").complete("Quick", ProductID="1")
    other.stop()
    server.stop()
    server.configure(spool=other.spool)
    done = server.run("fsck", "-c", "reportd.conf", "--repair")
    assert done.returncode == 1 and "of another store" in done.stderr, done.stderr
    done = server.run("fsck", "-c", "reportd.conf", "--repair", "--force")
    assert done.returncode == 1 and "of another store" in done.stderr, done.stderr
    (other.spool / SPOOL_MARK).unlink()
    done = server.run("fsck", "-c", "reportd.conf", "--repair")
    assert done.returncode == 1 and "of this store" in done.stderr, done.stderr
    assert other.start().client("alice").result(reference).json()["result"] is True


def test_what_a_repair_deletes_is_in_the_ledger(stopped):
    server, reference = stopped
    ledger = server.folder / "deletions.ledger"
    before = ledger.stat().st_size
    leave_deleting(server, reference)
    assert counts(server, "--repair") == {}
    assert ledger.stat().st_size == before + 32


def test_a_repair_without_the_ledger_is_refused(stopped):
    server, reference = stopped
    (server.folder / "deletions.ledger").unlink()
    leave_deleting(server, reference)
    done = server.run("fsck", "-c", "reportd.conf", "--repair")
    assert done.returncode == 1 and "ledger" in done.stderr
    assert not (server.folder / "deletions.ledger").exists()
    assert counts(server) == {"stuck": 1, "orphan-file": 1}


@pytest.mark.parametrize("spool", ["folder", "postgresql"])
def test_in_postgresql_a_repair_is_refused_while_a_lease_lives(make_cluster, spool):
    cluster = make_cluster(nodes=2, **({} if spool == "folder" else {"spool": spool}))
    first, second = cluster.nodes
    client = first.client("alice")
    kept, gone = (client.complete("Quick", ProductID="1") for _ in range(2))
    first.stop()
    done = first.run("fsck", "-c", "reportd.conf", "--repair")
    assert done.returncode == 1 and "1 nodes use this store" in done.stderr, done.stderr
    second.kill()
    cluster.sql("UPDATE node SET alive_until = now() + interval '1 hour'")
    done = first.run("fsck", "-c", "reportd.conf", "--repair")
    assert done.returncode == 1 and "runs out in" in done.stderr, done.stderr
    cluster.sql("UPDATE node SET alive_until = now()")
    cluster.sql(f"UPDATE report SET expires_ms = 1 WHERE id = '{gone}'")
    done = poll(lambda: (done := first.run("fsck", "-c", "reportd.conf", "--repair")).returncode == 0 and done,
                what="the end of the lease")
    assert "1 deleted" in done.stdout
    client.url = first.start().url
    assert client.references() == [kept]


@pytest.mark.parametrize("spool", ["folder", "postgresql"])
def test_what_a_dead_node_was_at_is_put_back_and_its_deletions_are_finished(make_cluster, spool):
    cluster = make_cluster(nodes=2, workers=2, **({} if spool == "folder" else {"spool": spool}))
    first, second = cluster.nodes
    first.stop()
    client = second.client("alice")
    running, gone = (client.order("Endless") for _ in range(2))
    for reference in (running, gone):
        client.wait_for(reference, "processing")
    second.kill()
    cluster.sql(f"UPDATE report SET state = 4 WHERE id = '{gone}'")
    done = poll(lambda: "nodes use" not in (done := first.run("fsck", "-c", "reportd.conf", "--repair")).stderr and done,
                what="the end of the lease")
    assert done.returncode == 0 and "repaired: 1 put back into the queue, 1 deleted" in done.stdout, done.stdout
    assert cluster.row(running, "state, node") == "0|" and cluster.row(gone, "id") is None
    assert first.files() == []


def unmount(server):
    server.spool.rename(server.folder / "away")


def unmount_all_but_the_folder(server):
    unmount(server)
    server.spool.mkdir()


def name_another(server):
    server.configure(spool="spool2")


@pytest.mark.parametrize("mislead", [unmount, unmount_all_but_the_folder, name_another])
def test_a_server_does_not_start_on_a_spool_that_has_none_of_its_results(stopped, mislead):
    server, reference = stopped
    mislead(server)
    done = server.run("serve", "-c", "reportd.conf")
    assert done.returncode == 1 and "mounted" in done.stderr, done.stderr
    if (server.folder / "away").exists():
        shutil.rmtree(server.spool)
        (server.folder / "away").rename(server.spool)
    server.configure()
    assert server.start().client("alice").result(reference).json()["result"] is True


FILES = pytest.mark.stores("sqlite", "postgres-files")


def refused_start(server, *words):
    done = server.run("serve", "-c", "reportd.conf")
    assert done.returncode == 1, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


@FILES
@pytest.mark.parametrize("marked", [True, False], ids=["marked", "from-before-the-mark"])
@pytest.mark.parametrize("own", [True, False], ids=["with-results", "without-results"])
def test_a_server_does_not_sweep_the_results_of_another_store(make_server, own, marked):
    other, server = make_server(workers=1), make_server(workers=1)
    theirs = other.client("alice").complete("Quick", ProductID="1")
    ours = server.client("alice").complete("Quick", ProductID="1") if own else None
    other.stop()
    server.stop()
    if not marked:
        (other.spool / SPOOL_MARK).unlink()
    server.configure(spool=other.spool)
    refused_start(server, "of another store" if marked else "right spool")
    server.configure()
    assert other.start().client("alice").result(theirs).json()["result"] is True
    client = server.start().client("alice")
    assert ours is None or client.result(ours).json()["result"] is True


@FILES
@pytest.mark.parametrize("state", ["complete", "processing", "none"])
def test_a_spool_from_before_the_mark_is_taken_by_its_store(make_server, state):
    server = make_server(workers=1)
    client = server.client("alice")
    reference = client.complete("Quick", ProductID="1") if state == "complete" else None
    if state == "processing":
        reference = client.order("Endless")
        client.wait_for(reference, "processing")
        server.kill()
    else:
        server.stop()
    mark = (server.spool / SPOOL_MARK).read_text()
    (server.spool / SPOOL_MARK).unlink()
    client = server.start().client("alice")
    assert (server.spool / SPOOL_MARK).read_text() == mark
    assert reference is None or client.state(reference) in ("complete", "queued", "processing")


@FILES
def test_a_server_starts_though_its_only_result_is_lost(make_server):
    """That it is the right spool is known; the report says that it is lost, and can be deleted."""
    server = make_server(workers=1)
    lost = server.client("alice").complete("Quick", ProductID="1")
    server.stop()
    lose_all_results(server)
    client = server.start().client("alice")
    failed(client.result(lost), 500, "lost on the server", "submit it again")
    assert client.delete(lost).json()["result"] is True
    client.complete("Quick", ProductID="1")


def test_nodes_share_a_spool_and_another_store_does_not(make_cluster):
    cluster = make_cluster(nodes=2)
    first, _ = cluster.clients("alice")
    reference = first.complete("Quick", ProductID="1")
    stranger = make_cluster(nodes=1)
    node, = stranger.nodes
    node.stop()
    path = node.folder / "reportd.conf"
    path.write_text(path.read_text().replace(str(stranger.folder / "spool"), str(cluster.folder / "spool")))
    refused_start(node, "of another store")
    assert first.result(reference).json()["result"] is True
