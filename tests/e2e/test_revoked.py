"""Who is disabled, or loses a grant, has no queued or running report any more, and no wait for one."""

import contextlib
import json
import os
import signal
import subprocess
import threading

import pytest

from cluster import LEASE_SECONDS
from events import Events
from harness import PASSWORD, PATIENCE, failed, poll, soon
from report_states import queued
from seams import DEATH, Gate, passings, plan
from stores import STORES

pytestmark = pytest.mark.stores(*STORES)

MESSAGE = "You may no longer run this report."
TAKE_AWAY = {"disable": ["alice"], "revoke": ["alice", "*"]}
GIVE_BACK = {"disable": ("enable", ["alice"]), "revoke": ("grant", ["alice", "*"])}
both = pytest.mark.parametrize("verb", TAKE_AWAY)


def take_away(server, verb):
    server.user(verb, *TAKE_AWAY[verb])


def give_back(server, verb):
    """A client who may do again what `verb` has taken away."""
    action, words = GIVE_BACK[verb]
    server.user(action, *words)
    return server.client("alice")


def ended(client, reference):
    answer = client.status(reference).json()
    assert answer["data"] == "error" and answer["message"].startswith(MESSAGE), answer
    return answer["message"]


def idle(server):
    poll(lambda: server.metric("workers_busy") == 0, what="idle workers")
    assert server.metric("workers_killed_total") == 0


@both
def test_queued_and_running_reports_end_and_the_queries_stop(make_server, verb):
    server = make_server()
    client = server.client("alice")
    waiting = queued(client)
    take_away(server, verb)
    idle(server)
    client = give_back(server, verb)
    reports = client.list().json()["data"]["reports"]
    assert [(report["state"], report["rows"]) for report in reports] == [("error", 0)] * 3
    message = ended(client, waiting)
    assert "select" not in message.lower() and str(server.folder) not in message
    for report in reports:
        assert report["message"] == message
        poll(lambda reference=report["reference"]: server.files_of(reference) == [], what="an empty spool")
    client.complete("Quick", ProductID="1")


def waits_begun(trace, many):
    poll(lambda: sum(place == "http.wait.begun" for _, place in passings(trace)) >= many, what="waiting requests")


@both
def test_waits_are_answered_at_once(new_server, verb):
    server = new_server()
    trace = server.folder / "trace"
    plan(server, trace=trace)
    server.start()
    client = server.client("alice")
    references = [client.order("Endless") for _ in range(3)]
    answers = []
    waits = [threading.Thread(target=lambda r=reference: answers.append(server.client("alice").status(
        r, {"Prefer": "wait=45"}))) for reference in references]
    for wait in waits:
        wait.start()
    waits_begun(trace, 3)
    take_away(server, verb)
    for wait in waits:
        soon(wait.join)
    if verb == "disable":  # their sessions are over, too
        assert [answer.status_code for answer in answers] == [401] * 3
    else:
        assert [answer.json()["message"][:len(MESSAGE)] for answer in answers] == [MESSAGE] * 3


def test_streams_tell_it_and_go_on_unless_the_session_is_over(make_server):
    server = make_server()
    client = server.client("alice")
    with Events(client) as events:
        waiting = queued(client)
        take_away(server, "revoke")
        events.wait_for(waiting, "error")
        assert events.states(waiting) == ["queued", "error"]
        give_back(server, "revoke")
        events.wait_for(client.complete("Quick", ProductID="1"), "complete")
        take_away(server, "disable")
        poll(lambda: events.ended, what="the end of the stream")


def test_only_what_the_grant_was_for_ends(make_server):
    server = make_server()
    for name in ("both", "other"):
        server.add_user(name, grants=["Endless", "Pause", "Quick"])
    client, other = server.client("both"), server.client("other")
    mine, theirs = client.order("Endless"), other.order("Endless")
    for who, reference in ((client, mine), (other, theirs)):
        who.wait_for(reference, "processing")
    kept, lost = client.order("Quick", ProductID="1"), client.order("Endless")
    server.user("revoke", "both", "Endless")
    assert client.finish(kept).json()["data"] == "complete"
    ended(client, mine)
    ended(client, lost)
    assert other.state(theirs) == "processing"
    failed(client.submit("Endless"), 403)
    other.delete(theirs)


@both
def test_a_slot_is_free_at_once(make_server, verb):
    server = make_server(active_limit=3)
    client = server.client("alice")
    queued(client)
    assert client.submit("Quick", {"ProductID": "1"}).status_code == 429
    take_away(server, verb)
    client = give_back(server, verb)
    client.complete("Quick", ProductID="1")


@both
def test_it_is_deleted_as_any_in_error(make_server, verb):
    server = make_server()
    client = server.client("alice")
    queued(client)
    references = client.references()
    take_away(server, verb)
    client = give_back(server, verb)
    for reference in references:
        answer = client.delete(reference)
        assert answer.json()["result"] is True and server.files_of(reference) == []
    assert client.references() == [] and server.metric("workers_busy") == 0


@both
def test_a_server_that_was_down_starts_none_of_them(make_server, verb):
    server = make_server()
    client = server.client("alice")
    waiting = queued(client)
    server.kill()
    take_away(server, verb)
    server.start()
    client = give_back(server, verb)
    ended(client, waiting)
    assert {report["state"] for report in client.list().json()["data"]["reports"]} == {"error"}
    assert server.metric("workers_busy") == 0 and server.files() == []


def test_a_report_that_its_user_may_not_run_is_not_started(make_server):
    """Of a user whom a program of an older version has disabled."""
    server = make_server()
    server.add_user("bob")
    other, client = server.client("bob"), server.client("alice")
    running = queued(other)
    waiting = client.order("Endless")
    table = "user" if server.store.kind == "sqlite" else "account"
    server.store.sql(f"UPDATE {table} SET grants = 'Quick' WHERE name = 'alice'")
    other.delete_all()
    client.finish(waiting)
    ended(client, waiting)
    assert running not in other.references()
    assert server.files_of(waiting) == []


@both
def test_a_claim_under_way_is_caught_up_with(new_server, verb):
    server = new_server(workers=1)
    begun, fifo = server.folder / "begun", server.folder / "claim.gate"
    os.mkfifo(fifo)
    plan(server, f"store.claim.committed=wait:{fifo}?{begun}")
    server.start()
    client = server.client("alice")
    begun.touch()
    orders = []
    caller = threading.Thread(target=lambda: orders.append(client.order("Endless")))  # its submit takes the claim along
    caller.start()

    def let_go():
        with contextlib.suppress(OSError):  # nobody waits there
            os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))

    def is_claimed():
        claimed = server.store.sql("SELECT state FROM report") == ["1"]
        if not claimed:
            let_go()  # a claim that has found nothing
        return claimed

    poll(is_claimed, what="a claim")
    take_away(server, verb)
    let_go()
    caller.join(PATIENCE)
    (reference,) = orders
    idle(server)
    client = give_back(server, verb)
    ended(client, reference)
    client.complete("Quick", ProductID="1")


@both
def test_a_request_under_way_is_refused(new_server, verb):
    server = new_server(workers=1)
    gate = Gate(server, "store.submit.posted")
    plan(server, gate.seam, trace=gate.trace)
    server.start()
    client = server.client("alice")
    answers = []
    caller = threading.Thread(target=lambda: answers.append(client.submit("Quick", {"ProductID": "1"})))
    caller.start()
    gate.wait()
    take_away(server, verb)
    gate.open()
    caller.join(PATIENCE)
    failed(answers[0], *((401,) if verb == "disable" else (403, "You may no")))
    assert give_back(server, verb).references() == []


ENDS = {"logout": lambda server, client: client.call("POST", "/User/Logout"),
        "disable": lambda server, client: server.user("disable", "ella"),
        "passwd": lambda server, client: server.user("passwd", "ella", stdin=PASSWORD + "\n")}


def test_an_ended_session_is_a_401_whatever_its_user_may_run(server):
    """On a connection that has just been used, on every path, with and without a body."""
    server.add_user("ella")
    reference = server.client("ella").complete("Quick", ProductID="1")
    for end in ENDS.values():
        server.user("enable", "ella")
        server.user("grant", "ella", "*")
        client = server.client("ella")
        assert client.status(reference).status_code == 200
        server.user("revoke", "ella", "*")
        end(server, client)
        for headers in ({}, {"Prefer": "wait=5"}, {"Idempotency-Key": "one"}):
            failed(client.submit("Quick", {"ProductID": "1"}, headers), 401)
        for method, path in (("GET", "/Report"), ("GET", "/Report/Status"), ("GET", "/Report/Rows"), ("DELETE", "/Report")):
            failed(client.call(method, path, params={"reference": reference}), 401)
        failed(client.call("POST", "/Report/Link", json={"reference": reference}), 401)
        failed(client.call("DELETE", "/Report/List", params={"State": "complete"}), 401)
        for path in ("/Report/List", "/Report/Types", "/Report/Events", "/User/Me", "/User/Sessions", "/Admin/Overview", "/Admin/Nothing"):
            failed(client.get(path), 401)
    server.user("remove", "ella")


def test_a_grant_that_was_read_before_a_revocation_does_not_undo_it(new_server):
    server = new_server()
    server.add_user("dora", grants=["Quick", "Slow"])
    begun, fifo = server.folder / "begun", server.folder / "grant.gate"
    os.mkfifo(fifo)
    words = [*server.program, "user", "grant", "-c", "reportd.conf", "dora", "Nested"]
    seams = {"REPORTD_SEAMS": f"store.user_change.posted=wait:{fifo}", "REPORTD_SEAMS_TRACE": str(begun)}
    with subprocess.Popen(words, cwd=server.folder, env={**os.environ, **seams}) as grant:
        poll(lambda: any(place == "store.user_change.posted" for _, place in passings(begun)), what="the grants that are read")
        server.user("revoke", "dora", "Quick")
        os.close(os.open(fifo, os.O_WRONLY))
        assert grant.wait(PATIENCE) == 0
    (dora,) = [user for user in json.loads(server.user("list", "--json")) if user["name"] == "dora"]
    assert dora["grants"] == ["Slow", "Nested"]


def killed_at(server, place, verb, *words):
    """`reportd user` dies there, or at no place: where it passes."""
    trace = server.folder / "verb.trace"
    trace.unlink(missing_ok=True)
    done = server.run("user", verb, "-c", "reportd.conf", *words,
                      environment={"REPORTD_SEAMS": f"{place}=crash" if place else "", "REPORTD_SEAMS_TRACE": str(trace)})
    assert done.returncode == (DEATH if place else 0), done.stderr
    return [place for _, place in passings(trace) if place.startswith("store.user_change.")]


@pytest.mark.stores("sqlite", "postgres-rows")
def test_a_verb_that_is_killed_has_done_all_or_nothing(new_server):
    """Before the commit, and then before others are told; the verb, run again, does it."""
    server = new_server(workers=1)
    server.start()
    client = server.client("alice")
    busy = client.order("Endless")
    client.wait_for(busy, "processing")
    server.add_user("dora")

    def may_run(dora):
        return dora.submit("Quick", {"ProductID": "1"}).status_code == 200

    places = dict.fromkeys(killed_at(server, None, "grant", "dora", "*"))
    happened = []
    for place in list(places)[-3:]:  # before them nothing has begun
        dora = server.client("dora")
        waiting = dora.order("Quick", ProductID="1")
        killed_at(server, place, "revoke", "dora", "*")
        happened.append(not may_run(dora))
        assert dora.status(waiting).json()["data"] == ("error" if happened[-1] else "incomplete"), place
        killed_at(server, place, "grant", "dora", "*")
        if not may_run(dora):
            server.user("grant", "dora", "*")
        waiting = dora.order("Quick", ProductID="1")
        killed_at(server, place, "disable", "dora")
        if dora.list().status_code == 200:
            assert not happened[-1] and dora.status(waiting).json()["data"] == "incomplete", place
            server.user("disable", "dora")
        failed(dora.status(waiting), 401)
        server.user("enable", "dora")
        assert {report["state"] for report in server.client("dora").list().json()["data"]["reports"]} == {"error"}, place
    assert set(happened) == {False, True}
    client.delete(busy)


def test_the_retention_of_its_type_holds(make_server):
    server = make_server()
    for name, seconds in (("Endless", 86400), ("Short", 1800)):
        text = (server.reports / "Endless.sql").read_text().replace("report: Endless", f"report: {name}")
        if seconds != 86400:
            text = text.replace("-- source: data", "-- source: data\n-- retention: 30m")
        (server.reports / f"{name}.sql").write_text(text)
    server.reload()
    client = server.client("alice")
    references = {name: client.order(name) for name in ("Endless", "Short")}
    take_away(server, "revoke")
    for name, seconds in (("Endless", 86400), ("Short", 1800)):
        assert server.store.row(references[name], "(expires_ms - finished_ms) / 1000") == str(seconds)


def test_another_node_stops_it_and_answers(make_cluster, monkeypatch, tmp_path):
    monkeypatch.setenv("REPORTD_SEAMS_TRACE", str(tmp_path / "trace"))
    cluster = make_cluster(nodes=2)
    clients = cluster.clients("alice")
    reference = clients[0].order("Endless")
    runner = cluster.node_of(reference)
    other = cluster.others(runner)[0]
    poll(lambda: runner.metric("workers_busy") == 1, what="the worker")
    answers = []
    waits = [threading.Thread(target=lambda c=client: answers.append(c.status(reference, {"Prefer": "wait=45"})))
             for client in clients]
    for wait in waits:
        wait.start()
    waits_begun(tmp_path / "trace", 2)
    other.user("revoke", "alice", "*")
    for wait in waits:
        soon(wait.join)
    assert [answer.json()["data"] for answer in answers] == ["error"] * 2
    idle(runner)
    poll(lambda: cluster.row(reference, "node IS NULL") == "t", what="the node to let go")
    assert runner.files_of(reference) == []


def test_a_node_that_did_not_hear_of_it_finds_out(make_cluster):
    """Whoever has disabled the user has died before telling."""
    cluster = make_cluster(nodes=2)
    client = cluster.nodes[0].client("alice")
    reference = client.order("Endless")
    runner = cluster.node_of(reference)
    other = cluster.others(runner)[0]
    poll(lambda: runner.metric("workers_busy") == 1, what="the worker")
    done = other.run("user", "disable", "-c", "reportd.conf", "alice",
                     environment={"REPORTD_SEAMS": "store.user_change.committed=crash"})
    assert done.returncode < 0
    poll(lambda: runner.metric("workers_busy") == 0, LEASE_SECONDS * 2 + PATIENCE, "an idle worker")
    other.user("enable", "alice")
    ended(other.client("alice"), reference)


def test_a_deletion_waits_for_the_node_that_still_runs_it(make_cluster):
    cluster = make_cluster(nodes=2)
    client = cluster.nodes[0].client("alice")
    reference = client.order("Endless")
    runner = cluster.node_of(reference)
    other = cluster.others(runner)[0]
    poll(lambda: runner.metric("workers_busy") == 1, what="the worker")
    runner.process.send_signal(signal.SIGSTOP)  # it learns of neither before the deletion waits for it
    other.run("user", "revoke", "-c", "reportd.conf", "alice", "*",
              environment={"REPORTD_SEAMS": "store.user_change.committed=crash"})
    assert cluster.row(reference, "state") == "3"
    answers = []
    deletion = threading.Thread(target=lambda: answers.append(other.client("alice").delete(reference)))
    deletion.start()
    poll(lambda: cluster.row(reference, "state") != "3", what="the deletion")
    assert answers == []
    runner.process.send_signal(signal.SIGCONT)
    soon(deletion.join)
    assert answers[0].json()["result"] is True
    assert runner.metric("workers_busy") == 0 and runner.files_of(reference) == []
    assert cluster.row(reference, "state") is None
