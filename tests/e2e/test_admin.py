"""The operators' API: who may ask, what of all users is listed, and that what is deleted is gone."""

import socket

import pytest
import requests

from conftest import OPERATOR
from harness import PASSWORD, PATIENCE, failed, poll, refused
from stores import SHARED_STORES, STORES
from test_delete_many import STATES, done, gone
from test_receipts import HEADER, checked, published, reports_in_every_state
from test_reportctl import Ctl

pytestmark = pytest.mark.stores(*STORES)

PATHS = [("GET", "/Admin/Overview"), ("GET", "/Admin/Reports"), ("DELETE", "/Admin/Reports"), ("DELETE", "/Admin/Report"),
         ("POST", "/Admin/Overview"), ("PUT", "/Admin/Reports"), ("OPTIONS", "/Admin/Report"),
         ("GET", "/Admin/"), ("GET", "/Admin/Nothing"), ("POST", "/Admin/Nothing"), ("GET", "/Admin/reports"), ("GET", "/Admin/%52eports")]


def listed(client, **query):
    answer = client.get("/Admin/Reports", params=query)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["recordCount"] == len(body["data"]["reports"])
    return body["data"]


def raw(server, method, target, token=None):
    """Sent as it is written: no client library tidies the path."""
    host, port = server.url.removeprefix("http://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as peer:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Version: 2.0", "Connection: close", "Content-Length: 0"]
        peer.sendall(("\r\n".join(lines + ([f"Authorization: {token}"] if token else [])) + "\r\n\r\n").encode())
        return int(peer.makefile("rb").readline().split()[1])


@pytest.mark.parametrize("method, path", PATHS)
def test_every_path_is_401_without_a_token_and_403_for_other_users(server, alice, olga, method, path):
    assert raw(server, method, path) == 401
    assert raw(server, method, path, alice.token) == 403
    assert raw(server, method, path, olga.token) not in (401, 403)


@pytest.mark.parametrize("path", ["/Admin/", "/Admin/Nothing", "/Admin/reports", "/Admin/Reports/", "/Admin/%52eports"])
def test_operators_are_told_that_a_path_does_not_exist(server, olga, path):
    assert raw(server, "GET", path, olga.token) == 404


@pytest.mark.parametrize("path", ["/admin/Reports", "/ADMIN/Overview", "/%41dmin/Reports", "/Admin", "//Admin/Reports"])
def test_no_other_spelling_is_a_path_of_operators(server, alice, olga, path):
    for token in (None, alice.token, olga.token):
        assert raw(server, "GET", path, token) == 404


def test_operators_are_told_the_methods_of_a_path(server, olga):
    answer = olga.call("PUT", "/Admin/Reports")
    failed(answer, 405)
    assert answer.headers["Allow"] == "GET, HEAD, DELETE, OPTIONS"


def test_an_operator_is_none_from_the_next_request_on(make_server):
    server = make_server()
    server.user("add", OPERATOR, "--operator", stdin=PASSWORD + "\n")
    olga = server.client(OPERATOR)
    assert olga.get("/Admin/Overview").status_code == 200
    server.user("operator", OPERATOR, "off")
    failed(olga.get("/Admin/Overview"), 403)


def test_the_reports_of_all_users_are_listed_by_state_user_type_and_source(server, alice, bob, olga):
    one, two = alice.complete("Quick", ProductID="1"), bob.order("Endless")
    bob.wait_for(two, "processing")
    entries = {entry["reference"]: entry for entry in listed(olga)["reports"]}
    assert entries[one]["user"] == "alice" and entries[one]["parameters"]["ProductID"] == "1"
    assert entries[two]["user"] == "bob" and entries[two]["state"] == "processing"
    assert "user" not in alice.get("/Report/List").json()["data"]["reports"][0]
    for query, has in ({"State": "processing"}, {two}), ({"User": "ALICE"}, {one}), ({"ReportName": "Endless"}, {two}), \
            ({"Source": "data"}, {one, two}), ({"User": "bob", "State": "complete"}, set()), ({"User": "nobody"}, set()):
        data = listed(olga, **query)
        assert {entry["reference"] for entry in data["reports"]} & {one, two} == has, query
        assert data["totalCount"] >= len(has)
    assert len(listed(olga, PageSize=1)["reports"]) == 1
    failed(olga.get("/Admin/Reports", params={"Source": "nowhere"}), 400)
    failed(olga.get("/Admin/Reports", params={"Reference": one}), 400)
    bob.delete(two)
    alice.delete(one)


def copy_of_the_report(server, count):
    """So many copies of the only report, in the store of a server that is stopped."""
    sqlite = server.store.kind == "sqlite"
    columns = "SELECT name FROM pragma_table_info('report')" if sqlite else \
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'reportd' AND table_name = 'report'"
    same = ", ".join(name for name in server.store.sql(columns) if name not in ("seq", "id"))
    numbers = f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) "
    server.store.sql(f"{numbers}INSERT INTO report (id, {same}) SELECT {'randomblob(16)' if sqlite else 'gen_random_uuid()'}, {same} "
                     "FROM n, (SELECT * FROM report LIMIT 1) AS one")
    if sqlite:
        server.store.sql(f"UPDATE tally SET n = n + {count} WHERE node = (SELECT state FROM report LIMIT 1)")


@pytest.mark.stores("sqlite", "postgres-files")
def test_many_reports_of_all_users_are_counted_to_a_thousand_or_beyond_the_page(make_server, tmp_path):
    server = make_server()
    server.user("add", OPERATOR, "--operator", stdin=PASSWORD + "\n")
    server.client("alice").complete("Quick", ProductID="1")
    server.stop()
    copy_of_the_report(server, 1050)
    server.start()
    olga = server.client(OPERATOR)
    for query in {}, {"ReportName": "Quick"}, {"State": "complete"}, {"Source": "data"}, {"User": "alice"}:
        assert listed(olga, **query)["totalCount"] == 1000, query
        assert listed(olga, PageSize=1000, **query)["totalCount"] == 1001, query
        last = listed(olga, PageNumber=11, **query)
        assert (len(last["reports"]), last["totalCount"]) == (51, 1051), query
    ctl = Ctl(tmp_path, server.url, OPERATOR)
    assert ctl.login()[0] == 0
    assert "100 of 1000 or more reports" in ctl("admin", "list")[2]
    assert "51 of 1051 reports" in ctl("admin", "list", "--page", "11")[2]


def test_the_overview_shows_the_queue_the_nodes_the_workers_the_sources_and_the_users(make_server, tmp_path):
    server = make_server(workers=1)
    server.user("add", OPERATOR, "--operator", stdin=PASSWORD + "\n")
    server.add_user("dora")
    olga, dora = server.client(OPERATOR), server.client("dora")
    assert olga.get("/Admin/Overview").json()["data"]["queue"]["oldestQueuedAt"] is None
    running = dora.order("Endless")
    dora.wait_for(running, "processing")
    waiting = dora.order("Endless")
    data = poll(lambda: (lambda data: data["workers"]["busy"] == 1 and data)(olga.get("/Admin/Overview").json()["data"]))
    assert {state: data["queue"][state] for state in ("queued", "processing")} == {"queued": 1, "processing": 1}
    assert data["queue"]["oldestQueuedAt"] is not None
    assert [node["running"] for node in data["nodes"]] == [1]
    assert (data["nodes"][0]["id"] is None) == (server.store.kind not in SHARED_STORES)
    assert data["sources"] == [{"name": "data", "kind": "sqlite", "running": 1, "maxRunning": 0, "paused": False}]
    assert data["users"] == [{"name": "dora", "running": 1, "queued": 1}]
    ctl = Ctl(tmp_path, server.url, OPERATOR)
    assert ctl.login()[0] == 0
    assert "user dora: 1 running, 1 queued" in ctl.good("admin", "overview")
    assert all(0 <= disk["freeBytes"] <= disk["bytes"] for disk in data["disks"]) and data["disks"]
    dora.delete(waiting)
    dora.delete(running)


def test_a_report_of_any_user_is_deleted_in_every_state_and_its_receipt_names_both(server, alice, olga):
    reports = reports_in_every_state(alice)
    for state, reference in reversed(reports.items()):
        answer = olga.call("DELETE", "/Admin/Report", params={"reference": reference})
        assert answer.json()["result"] is True, answer.text
        claims = checked(answer.headers[HEADER], published(server.url))
        assert (claims["sub"], claims["operator"], claims["state"]) == ("alice", OPERATOR, state)
        refused(olga.call("DELETE", "/Admin/Report", params={"reference": reference}), "Unknown reference")
    gone(server, alice, reports.values())


def test_a_user_cannot_delete_the_report_of_another_and_an_operator_reads_no_result(server, alice, olga):
    reference = alice.complete("Quick", ProductID="1")
    refused(olga.delete(reference), "Unknown reference")
    refused(olga.result(reference), "Unknown reference")
    assert "operator" not in checked(alice.delete(reference).headers[HEADER], published(server.url))


def test_reports_of_all_users_that_match_are_deleted_with_one_receipt(server, alice, bob, olga):
    mine, other = alice.complete("Quick", ProductID="1"), bob.complete("Quick", ProductID="1")
    failed(olga.call("DELETE", "/Admin/Reports"), 400)
    failed(olga.call("DELETE", "/Admin/Reports", params={"Source": "nowhere"}), 400)
    failed(alice.call("DELETE", "/Report/List", params={"User": "bob"}), 400)
    before = olga.call("DELETE", "/Admin/Reports", params={"State": "complete", "Source": "data", "dryRun": "1"}).json()["data"]
    assert before["deleted"]["complete"] >= 2 and alice.status(mine).json()["data"] == "complete"
    data = done(olga.call("DELETE", "/Admin/Reports", params={"State": "complete", "User": "Alice"}), complete=1)
    claims = checked(data["receipt"], published(server.url))
    assert claims["operator"] == OPERATOR and claims["sub"] == "Alice"
    gone(server, alice, [mine])
    assert bob.status(other).json()["data"] == "complete"
    data = olga.call("DELETE", "/Admin/Reports", params={"Source": "data"}).json()["data"]
    assert data["deleted"]["complete"] >= 1 and set(data["deleted"]) == set(STATES)
    claims = checked(data["receipt"], published(server.url))
    assert claims["operator"] == OPERATOR and "sub" not in claims
    gone(server, bob, [other])


def test_metrics_answer_operators_who_come_from_elsewhere(make_server):
    server = make_server(trusted_proxies="127.0.0.1")
    server.add_user("dora")
    server.user("add", OPERATOR, "--operator", stdin=PASSWORD + "\n")
    for name, status in ((None, 401), ("dora", 403), (OPERATOR, 200)):
        headers = {"X-Forwarded-For": "192.0.2.7"} | ({"Authorization": server.client(name).token} if name else {})
        assert requests.get(server.url + "/metrics", headers=headers, timeout=PATIENCE).status_code == status


def test_reportctl_sees_and_deletes_for_all_users(server, alice, bob, olga, tmp_path):
    ctl = Ctl(tmp_path, server.url, OPERATOR)
    assert ctl.login()[0] == 0
    one, two = alice.complete("Quick", ProductID="1"), bob.complete("Quick", ProductID="1")
    overview = ctl.good("admin", "overview")
    assert "source data (sqlite): 0 running" in overview and "queue: 0 queued" in overview and "disk of the ledger" in overview
    lines = ctl.good("admin", "list", "--user", "alice").splitlines()
    assert lines[0].split()[-2:] == ["USER", "REPORT"] and one in lines[1] and " alice " in lines[1] and len(lines) == 2
    assert ctl("admin", "list", "--source", "nowhere")[0] == 1
    assert ctl.good("admin", "delete", one, "--receipt", "one.jws") == "deleted"
    assert checked((tmp_path / "one.jws").read_text().strip(), published(server.url))["operator"] == OPERATOR
    assert ctl("admin", "delete", one)[0] == 7
    assert ctl.good("admin", "delete", "--user", "BOB", "--yes") == "1 deleted"
    gone(server, alice, [one])
    gone(server, bob, [two])
    for words, said in ((["rule"], "no action 'rule'"), (["list", "x"], "nothing to do with 'x'"), (["delete"], "needs REF")):
        status, _, err = ctl("admin", *words)
        assert status == 2 and said in err, err
    plain = Ctl(tmp_path, server.url, "bob")
    assert plain.login()[0] == 0
    status, _, err = plain("admin", "overview")
    assert status == 4 and "operators only" in err


def test_while_the_queue_is_paused_nothing_starts_and_a_restart_does_not_resume_it(make_server, tmp_path):
    server = make_server()
    server.user("add", OPERATOR, "--operator", stdin=PASSWORD + "\n")
    alice = server.client("alice")
    ctl = Ctl(tmp_path, server.url, OPERATOR)
    assert ctl.login()[0] == 0
    running = alice.order("Endless")
    alice.wait_for(running, "processing")
    assert ctl.good("admin", "pause") == "paused" and ctl.good("admin", "pause") == "paused"
    waiting = alice.order("Quick", ProductID="1")
    assert server.client(OPERATOR).get("/Admin/Overview").json()["data"]["queue"]["paused"] is True
    assert alice.state(running) == "processing"
    server.stop()
    server.start()
    alice = server.client("alice")
    olga = server.client(OPERATOR)
    ctl = Ctl(tmp_path, server.url, OPERATOR)
    assert ctl.login()[0] == 0
    assert "queue (paused)" in ctl.good("admin", "overview")
    assert [alice.state(reference) for reference in (running, waiting)] == ["queued", "queued"]
    alice.delete(running)
    answer = olga.call("POST", "/Admin/Queue", json={"paused": False})
    assert answer.json()["data"] == {"paused": False, "pausedSources": []}
    alice.wait_for(waiting, "complete")


def test_what_cannot_be_paused_is_explained(server, alice, olga):
    for body in ({}, {"paused": "yes"}, {"paused": True, "source": 1}, {"paused": True, "source": "nowhere"}):
        failed(olga.call("POST", "/Admin/Queue", json=body), 400)
    failed(alice.call("POST", "/Admin/Queue", json={"paused": True}), 403)
    assert raw(server, "POST", "/Admin/Queue") == 401
    assert olga.get("/Admin/Overview").json()["data"]["queue"]["paused"] is False


def test_a_paused_source_starts_nothing_until_it_is_resumed(make_server):
    server = make_server()
    server.user("add", OPERATOR, "--operator", stdin=PASSWORD + "\n")
    alice, olga = server.client("alice"), server.client(OPERATOR)
    answer = olga.call("POST", "/Admin/Queue", json={"paused": True, "source": "data"})
    assert answer.json()["data"] == {"paused": False, "pausedSources": ["data"]}
    waiting = [alice.order("Quick", ProductID="1") for _ in range(3)]
    assert olga.get("/Admin/Overview").json()["data"]["sources"][0]["paused"] is True
    server.stop()
    server.start()
    alice, olga = server.client("alice"), server.client(OPERATOR)
    assert {alice.state(reference) for reference in waiting} == {"queued"}
    assert olga.call("POST", "/Admin/Queue", json={"paused": False, "source": "data"}).json()["data"]["pausedSources"] == []
    for reference in waiting:
        alice.wait_for(reference, "complete")
