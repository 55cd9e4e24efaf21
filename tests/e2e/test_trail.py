"""The audit trail: who did what, when and from where, and what happens while it cannot be written."""

import fcntl
import json
import os
import re
import signal
import socket
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from disks import Disk, MiB, own_mounts
from harness import PASSWORD, Client, Server, failed, poll
from stores import STORES
from test_erasure import MARKED, new_marker


@pytest.fixture
def trail(tmp_path):
    """The file, in a folder of its own."""
    folder = tmp_path / "log"
    folder.mkdir()
    return folder / "trail.log"


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def await_line(path, **wanted):
    """The first line with these members, which comes a moment after the answer."""
    return poll(lambda: next((line for line in lines_of(path) if wanted.items() <= line.items()), None), what=lambda: wanted)


def find(server, reference, *words):
    found = server.run("trail", "find", "-c", "reportd.conf", reference, *words)
    return [json.loads(line) for line in found.stdout.splitlines()]


def forms(line):
    return line["event"], line.get("user"), line.get("report"), line["outcome"]


@pytest.mark.stores(*STORES)
def test_each_act_has_a_line_that_says_who_did_what_when_and_from_where(new_server, trail):
    server = new_server(audit_log=trail)
    server.user("add", "olga", "--operator", stdin=PASSWORD + "\n")
    server.start()
    alice, olga = server.client("alice"), server.client("olga")
    reference = alice.submit("Quick", {"ProductID": "1"}, {"X-Request-Id": "request-1"}).json()["data"]
    alice.finish(reference)
    alice.result(reference)
    alice.delete(reference)
    other = alice.complete("Quick", ProductID="1")
    assert olga.call("DELETE", f"/Admin/Report?reference={other}").json()["result"] is True
    await_line(trail, event="delete", user="olga", subject="alice", outcome="done")
    assert [forms(line) for line in find(server, reference)] == [
        ("submit", "alice", "Quick", "done"), ("download", "alice", "Quick", "done"), ("delete", "alice", "Quick", "done")]
    assert [forms(line) for line in find(server, other)] == [
        ("submit", "alice", "Quick", "done"), ("delete", "olga", "Quick", "done")]
    line = find(server, reference)[0]
    assert (line["request"], line["address"]) == ("request-1", "127.0.0.1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line["time"]) and re.fullmatch("[0-9a-f]{32}", line["reference"])
    assert reference not in trail.read_text() and uuid.UUID(reference).hex not in trail.read_text()
    assert find(server, str(uuid.uuid4())) == []


@pytest.mark.stores(*STORES)
def test_nothing_of_a_deleted_report_is_in_the_trail_except_the_hash(new_server, trail):
    server = new_server(audit_log=trail, retention="1s")
    (server.reports / "Marked.sql").write_text(MARKED)
    server.start()
    client, marker = server.client("alice"), new_marker()
    reference = client.submit("Marked", {"Note": marker, "Rows": "10"}, {"Idempotency-Key": f"key-{marker}"}).json()["data"]
    client.finish(reference)
    await_line(trail, event="purge")
    text = trail.read_text()
    assert marker not in text and reference not in text
    assert [(line["event"], line["report"], line.get("subject")) for line in find(server, reference)] == [
        ("submit", "Marked", None), ("purge", "Marked", "alice")]
    assert set().union(*(line.keys() for line in find(server, reference))) <= {
        "time", "event", "user", "subject", "address", "request", "report", "reference", "outcome"}


def test_refused_logins_and_submits_have_their_reason(new_server, trail):
    server = new_server(audit_log=trail)
    server.user("add", "carol", "--grant", "Quick", stdin=PASSWORD + "\n")
    server.start()
    client = server.client("carol")
    assert Client(server.url).call("POST", "/User/Login", json={"username": "carol", "password": "wrong-one"}).status_code == 401
    Client(server.url).call("POST", "/User/Login", json={"username": "a password that was typed there", "password": "x"})
    client.submit("Nested", {})
    assert await_line(trail, event="login", user="carol", outcome="wrong password")["address"] == "127.0.0.1"
    assert await_line(trail, event="login", outcome="unknown user")["user"] == "a password that "
    assert "reference" not in await_line(trail, event="submit", user="carol", outcome="Not permitted")
    assert await_line(trail, event="login", user="carol", outcome="done")


def test_what_clients_call_themselves_cannot_forge_a_line_or_deceive_a_terminal(make_server, trail):
    server = make_server(audit_log=trail)
    names = ["a\nb", 'a"},{"event":"x', "\u202egnihton", "\x7f\x9b31m", "\u2066x"]
    for name in names:
        Client(server.url).call("POST", "/User/Login", json={"username": name, "password": "x"})
    server.client("alice").submit("Quick\n", {}, {"X-Request-Id": 'x","event":"y'})
    await_line(trail, event="submit", request='x","event":"y')
    lines = trail.read_bytes()
    assert [line["user"] for line in lines_of(trail) if line["outcome"] == "unknown user"] == names
    assert re.fullmatch(rb"[\n -~]*", lines) and {line["event"] for line in lines_of(trail)} == {"user", "login", "submit"}


def test_many_that_are_deleted_at_once_have_a_line_each(make_server, trail):
    server = make_server(audit_log=trail)
    client = server.client("alice")
    references = [client.complete("Quick", ProductID="1") for _ in range(3)]
    answer = client.call("DELETE", "/Report/List?State=complete&dryRun=1").json()
    assert answer["data"]["deleted"]["complete"] == 3
    client.call("DELETE", "/Report/List?State=complete")
    poll(lambda: [line["event"] for line in lines_of(trail)].count("delete") == 3)
    assert all(forms(find(server, reference)[-1]) == ("delete", "alice", "Quick", "done") for reference in references)


def test_what_is_downloaded_in_any_form_or_by_a_link_is_in_it_and_what_gives_nothing_is_not(make_server, trail):
    server = make_server(audit_log=trail)
    client = server.client("alice")
    reference = client.order("Endless")
    client.result(reference)
    client.delete(reference)
    reference = client.complete("Quick", ProductID="1")
    url = client.call("POST", "/Report/Link", json={"reference": reference, "format": "csv"}).json()["data"]["url"]
    tag = client.result(reference).headers["ETag"]
    assert client.result(reference, {"If-None-Match": tag}).status_code == 304
    client.result(reference, method="HEAD")
    assert Client(server.url).call("GET", url).status_code == 200
    client.call("GET", f"/Report/Rows?reference={reference}")
    await_line(trail, event="download", request=client.result(reference).headers["X-Request-Id"])
    events = [forms(line) for line in find(server, reference)]
    assert events == [("submit", "alice", "Quick", "done")] + [("download", "alice", "Quick", "done")] * 4


def test_what_the_command_line_changes_has_who_is_logged_in_to_the_machine(new_server, trail):
    server = new_server(audit_log=trail)
    server.user("grant", "alice", "Quick", "Nested")
    server.user("operator", "alice", "on")
    server.run("user", "disable", "-c", "reportd.conf", "nobody")
    (server.folder / "users.csv").write_text(f"name,password,grants\nfritz,{PASSWORD},Quick\n")
    (server.folder / "users.csv").chmod(0o600)
    server.user("import", "users.csv")
    changes = [(line["change"], line["subject"], line.get("report")) for line in lines_of(trail)]
    assert changes == [("add", "alice", None), ("grant", "alice", "*"), ("grant", "alice", "Quick"), ("grant", "alice", "Nested"),
                       ("operator on", "alice", None), ("add", "fritz", None), ("grant", "fritz", "Quick")]
    assert all(line["system_user"] and line["event"] == "user" for line in lines_of(trail))


def test_the_queue_a_signing_key_and_a_reload_are_in_it(new_server, trail):
    server = new_server(audit_log=trail)
    server.user("operator", "alice", "on")
    server.start()
    client = server.client("alice")
    client.call("POST", "/Admin/Queue", json={"paused": True, "source": "data"})
    client.call("POST", "/Admin/Queue", json={"paused": False, "source": "data"})
    client.call("POST", "/Admin/Queue", json={"paused": True, "node": socket.gethostname()})
    server.reload()
    assert server.run("signing-key", "rotate", "receipt", "-c", "reportd.conf").returncode == 0
    assert await_line(trail, event="signing_key", change="rotate")["subject"] == "receipt"
    assert await_line(trail, event="queue", change="pause")["subject"] == "data"
    assert await_line(trail, event="queue", change="resume", user="alice")
    assert await_line(trail, event="queue", change="drain")["subject"] == socket.gethostname()
    assert await_line(trail, event="reload")["outcome"] == "done"


def test_a_renamed_file_is_written_until_sighup_and_both_are_searched(make_server, trail):
    server = make_server(audit_log=trail)
    client = server.client("alice")
    first = client.complete("Quick", ProductID="1")
    poll(lambda: find(server, first))
    older = trail.rename(trail.with_name("trail.log.1"))
    second = client.complete("Quick", ProductID="1")
    poll(lambda: find(server, second, older))
    server.reload()
    poll(trail.exists)
    client.delete(first)
    await_line(trail, event="delete")
    assert [line["event"] for line in find(server, first)] == ["submit", "delete"]
    assert [line["event"] for line in find(server, first, trail)] == ["delete"]
    older.rename(trail.with_name("trail.log.1.gz"))
    assert "compressed" in server.run("trail", "find", "-c", "reportd.conf", first).stderr


def is_purge_by_hand(line):
    return forms(line) == ("purge", None, "Quick", "done") and line["subject"] == "alice" and bool(line["system_user"])


@pytest.mark.stores(*STORES)
def test_what_a_command_deletes_without_a_server_has_a_line_for_each_report(new_server, trail):
    server = new_server(audit_log=trail).start()
    client = server.client("alice")
    kept, gone, expired, marked = (client.complete("Quick", ProductID="1") for _ in range(4))
    client.delete(gone)
    server.stop()
    store = server.store
    store.copy_report(kept, [gone])  # as a backup would have it
    assert "1 deletion applied" in server.run("restore", "-c", "reportd.conf", "--ledger", "deletions.ledger").stdout
    store.sql(f"UPDATE report SET expires_ms = 1 WHERE id = {store.literal(expired)}")
    store.sql(f"UPDATE report SET state = 4, expires_ms = NULL WHERE id = {store.literal(marked)}")
    server.run("fsck", "-c", "reportd.conf", "--repair")
    assert "with 1 report" in server.user("remove", "alice")
    for reference in (gone, expired, kept):
        assert is_purge_by_hand(find(server, reference)[-1]), find(server, reference)
    line = find(server, marked)[-1]  # of which a crash has left nothing but the reference
    assert (line["event"], line["subject"], "report" in line) == ("purge", "alice", False)
    assert [line["event"] for line in lines_of(trail)].count("purge") == 4


def test_a_deletion_that_a_restore_applies_again_has_a_line(make_server, trail):
    server = make_server(audit_log=trail)
    client = server.client("alice")
    reference = client.complete("Quick", ProductID="1")
    assert server.run("backup", "-c", "reportd.conf", "backup").returncode == 0
    client.delete(reference)
    server.stop()
    assert server.run("restore", "-c", "reportd.conf", "--force", "backup").returncode == 0
    assert [line["event"] for line in find(server, reference)] == ["submit", "delete", "purge"]
    assert is_purge_by_hand(find(server, reference)[-1])


@pytest.mark.parametrize("words", [["fsck", "--repair"], ["restore", "--ledger", "deletions.ledger"], ["user", "remove", "alice"]], ids=" ".join)
def test_a_command_that_cannot_record_what_it_deletes_deletes_nothing(new_server, trail, words):
    server = new_server(audit_log=trail, audit_required="on").start()
    server.client("alice").complete("Quick", ProductID="1")
    server.stop()
    server.store.sql("UPDATE report SET expires_ms = 1")
    trail.unlink()
    trail.parent.rmdir()
    done = server.run(*words[:1], "-c", "reportd.conf", *words[1:])
    assert done.returncode == 1 and "audit_required is on: nothing was done" in done.stderr
    assert server.store.sql("SELECT count(*) FROM report") == ["1"]


@pytest.fixture
def required(new_server, trail):
    """A server that refuses what it cannot record, and its client."""
    server = new_server(audit_log=trail, audit_required="on").start()
    return server, server.client("alice")


def is_refused(server, client, reference):
    """All that would have a line; not what would have none."""
    failed(client.submit("Quick", {"ProductID": "1"}), 503, "audit trail", "nothing was done")
    failed(client.delete(reference), 503, "audit trail")
    failed(client.result(reference), 503, "audit trail")
    answer = Client(server.url).call("POST", "/User/Login", json={"username": "alice", "password": PASSWORD})
    failed(answer, 503, "audit trail")
    assert int(answer.headers["Retry-After"]) > 0
    assert Client(server.url).call("GET", "/Common/HealthCheck").status_code == 503
    assert client.status(reference).json()["data"] == "complete"


def test_a_removed_folder_refuses_until_it_is_back(required, trail):
    server, client = required
    reference = client.complete("Quick", ProductID="1")
    poll(lambda: find(server, reference))
    trail.unlink()
    trail.parent.rmdir()
    server.await_log("trail.failed")
    is_refused(server, client, reference)
    refused = server.run("user", "disable", "-c", "reportd.conf", "alice")
    assert refused.returncode == 1 and "audit_required is on" in refused.stderr
    trail.parent.mkdir()
    poll(lambda: client.delete(reference).status_code == 200)
    assert await_line(trail, event="delete", user="alice")
    server.await_log("trail.failed over_after_ms")


def test_a_full_disk_refuses_until_there_is_room_and_leaves_no_torn_line(new_server, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting file systems takes root")
    own_mounts()
    disk = Disk(tmp_path / "log", size=MiB)
    trail = disk.folder / "trail.log"
    server = new_server(audit_log=trail, audit_required="on").start()
    client = server.client("alice")
    reference = client.complete("Quick", ProductID="1")
    poll(lambda: find(server, reference))
    disk.fill()
    poll(lambda: client.delete(str(uuid.uuid4())).status_code == 503, what="the end of the room that is kept")
    recorded = len(lines_of(trail))
    is_refused(server, client, reference)
    assert len(lines_of(trail)) == recorded
    disk.room()
    poll(lambda: client.delete(reference).status_code == 200)
    assert [line["event"] for line in poll(lambda: len(find(server, reference)) == 2 and find(server, reference))] == ["submit", "delete"]
    server.stop()
    disk.unmount()


def test_lines_wait_while_the_trail_is_not_required(make_server, trail):
    server = make_server(audit_log=trail)
    client = server.client("alice")
    await_line(trail, event="login")
    trail.unlink()
    trail.parent.rmdir()
    reference = client.complete("Quick", ProductID="1")
    server.await_log("trail.failed")
    trail.parent.mkdir()
    assert await_line(trail, event="submit")["report"] == "Quick"
    assert client.delete(reference).json()["result"] is True


def test_a_file_that_others_may_write_is_refused_at_the_start_and_at_sighup(new_server, trail):
    server = new_server(audit_log=trail, audit_required="on")
    trail.chmod(0o620)
    with pytest.raises(AssertionError, match="can be written by others .mode 0620.: chmod go-w"):
        server.start()
    done = server.run("user", "enable", "-c", "reportd.conf", "alice")
    assert done.returncode == 1 and "can be written by others" in done.stderr
    assert "can be written by others" in server.run("serve", "-c", "reportd.conf", "--check").stderr
    trail.chmod(0o640)
    server.start()
    client = server.client("alice")
    await_line(trail, event="login")
    trail.chmod(0o602)
    server.process.send_signal(signal.SIGHUP)
    server.await_log("trail.failed")
    failed(client.submit("Quick", {"ProductID": "1"}), 503, "audit trail")


@pytest.mark.parametrize("config,words", [({"audit_log": "trail.log"}, "among the data"), ({"audit_required": "on"}, "audit_log is not set"),
                                          ({"audit_log": "spool/trail.log"}, "among the data"), ({"audit_log": "/"}, "directory")],
                         ids=["store", "none", "spool", "folder"])
def test_a_trail_among_the_data_or_that_is_none_is_refused(tmp_path, config, words):
    server = Server.made(tmp_path / "server", **config)
    server.spool.mkdir()
    done = server.run("serve", "-c", "reportd.conf", "--check")
    assert done.returncode == 1 and words in done.stderr.replace("Is a d", "d")


def test_the_command_line_and_the_server_append_whole_lines_at_the_same_time(make_server, trail):
    server = make_server(audit_log=trail)
    client = server.client("alice")
    with ThreadPoolExecutor(2) as pool:
        changes = [pool.submit(server.user, "limit", "alice", "--active", str(number + 20)) for number in range(10)]
        references = [client.order("Quick", ProductID="1") for _ in range(10)]
        for change in changes:
            change.result()
    poll(lambda: sum(line["event"] == "submit" for line in lines_of(trail)) == len(references))
    assert sum(line.get("change") == "limit" for line in lines_of(trail)) == 10


def test_a_line_that_a_crash_has_torn_is_ended_before_the_next(new_server, trail):
    server = new_server(audit_log=trail)
    with trail.open("a") as file:
        file.write('{"time":"20')
    server.user("enable", "alice")
    assert trail.read_text().splitlines()[-2] == '{"time":"20'
    assert json.loads(trail.read_text().splitlines()[-1])["change"] == "enable"


def test_another_process_that_holds_the_file_keeps_no_request_waiting(make_server, trail):
    server = make_server(audit_log=trail)
    client = server.client("alice")
    await_line(trail, event="login")
    with trail.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        reference = client.complete("Quick", ProductID="1")
        server.await_log("trail.failed")
        assert client.delete(reference).json()["result"] is True
    await_line(trail, event="delete")


def test_a_reference_has_the_same_hash_on_every_node_and_nodes_may_share_a_file(make_cluster, trail, tmp_path):
    cluster = make_cluster(nodes=2, audit_log=trail, audit_key_file=tmp_path / "audit.key")
    client, other = cluster.clients("alice")
    reference = client.complete("Quick", ProductID="1")
    other.delete(reference)
    poll(lambda: [line["event"] for line in find(cluster.nodes[0], reference)] == ["submit", "delete"])


def test_a_node_with_another_key_is_refused(make_cluster, trail):
    with pytest.raises(AssertionError, match="audit.key"):
        make_cluster(nodes=2, audit_log=trail)
