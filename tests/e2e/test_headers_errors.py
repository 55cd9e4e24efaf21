"""Every status of the error table, and the headers all answers share: doc/api.md § Every answer."""

import json
import re
import sqlite3

import pytest
import requests

import described
from harness import GUID, PROBLEM, Client, failed, refused

UNKNOWN = "0190a5b2-7c1e-7000-8000-3f2a1b4c5d6e"


def raw(client, data, **headers):
    return client.call("POST", "/Report", {"Content-Type": "application/json", **headers}, data=data)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'"x"', b"{} {}", b"\xff", b'{"a":1,}',
                                  b'{"reportName": "Quick", "reportName": "Quick"}',
                                  b'{"reportName": "Quick", "REPORTNAME": "Quick"}',
                                  b'{"reportName": "\xc3\x28"}', b"[" * 5000])
def test_400_for_a_body_that_is_not_a_json_object(alice, data):
    failed(raw(alice, data), 400, "body")


@pytest.mark.parametrize("version", [None, "1.0", "2", "2.0.0", "two"])
def test_400_without_the_version_header(alice, version):
    failed(alice.get("/Report/List", {"Version": version}), 400, "Version: 2.0")


@pytest.mark.parametrize("method, path", [
    ("DELETE", "/Report?reference=%s%%00junk"), ("DELETE", "/Report%%00x?reference=%s"),
    ("DELETE", "/Report?reference=%s&a%%00b"), ("DELETE", "/Report?reference%%00x=%s"),
    ("GET", "/Report?reference=%s%%00"), ("GET", "/Report/Status?reference=%s%%00"),
    ("DELETE", "/Report/List?ReportName=Quick%%00%s"), ("GET", "/Report/List?ReportName=Quick%%00%s"),
    ("DELETE", "/Report/List?State=complete&dryRun%%00=1&%s"),
    ("GET", "/Report/Types?values=Chosen.Region%%00%s"), ("GET", "/Common/HealthCheck%%00%s")])
def test_400_for_a_nul_in_the_path_or_the_query(alice, method, path):
    """It does not cut off what it follows: nothing is done to the report that is named before it."""
    reference = alice.complete("Quick", ProductID="1")
    failed(alice.call(method, path % reference), 400, "%00")
    assert alice.result(reference).status_code == 200
    assert alice.delete(reference).json()["result"] is True


def test_a_percent_sign_before_zeros_is_no_nul(alice):
    refused(alice.get("/Report?reference=%2500"), "'%00'")


@pytest.mark.parametrize("lead", ["", "x", "xx", "xxx"])
def test_a_message_is_not_cut_inside_a_letter(server, alice, lead):
    """Nor is a line of the log."""
    text = lead + "\N{OCTOPUS}" * 300  # four bytes each
    answers = [alice.result(text), alice.list(**{text: "1"}), alice.submit(text), alice.get("/Report?format=" + text),
               alice.submit("Quick", {text: "1"}), alice.submit("Quick", {"ProductID": text}), alice.get("/" + text),
               raw(alice, json.dumps({text: 1, text.upper(): 2}).encode()), raw(alice, b'{"a": ' + text.encode())]
    for answer in answers:
        message = answer.content.decode()  # strictly
        assert "\N{REPLACEMENT CHARACTER}" not in message and "\\ufffd" not in message, message
    asked = [answer.headers["X-Request-Id"] for answer in answers]
    server.await_log(asked[-1])
    logged = "\n".join(line for line in server.log_text().splitlines() if any(name in line for name in asked))
    assert "\N{OCTOPUS}" in logged and "\N{REPLACEMENT CHARACTER}" not in logged and "\\ufffd" not in logged


def test_401_without_a_token(alice):
    answer = alice.get("/Report/List", {"Authorization": None})
    failed(answer, 401)
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="reportd"'
    answer = alice.get("/Report/List", {"Authorization": "x"})
    failed(answer, 401)
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="reportd", error="invalid_token"'


def test_403_for_a_report_that_is_not_granted(carol):
    failed(carol.submit("Big"), 403, "Big", "/Report/Types")


def test_404_for_a_path_that_is_not_there(alice):
    failed(alice.get("/Nothing"), 404, "/openapi.json")
    failed(alice.get("/Report/Status/more"), 404)


@pytest.mark.parametrize("method, path, allowed", [
    ("PUT", "/Report", {"GET", "HEAD", "POST", "DELETE", "OPTIONS"}),
    ("POST", "/Report/Status", {"GET", "HEAD", "OPTIONS"}),
    ("GET", "/User/Login", {"POST", "OPTIONS"}),
])
def test_405_says_what_is_allowed(alice, method, path, allowed):
    answer = alice.call(method, path)
    failed(answer, 405)
    assert set(answer.headers["Allow"].split(", ")) == allowed


def test_options_says_what_is_allowed(alice):
    answer = alice.call("OPTIONS", "/Report/Status")
    assert (answer.status_code, answer.headers["Allow"], answer.content) == (204, "GET, HEAD, OPTIONS", b"")


@pytest.mark.parametrize("method, path, status, headers, words", [
    ("GET", "/Report", 200, {"ETag": '"a"', "Vary": "Accept"}, "does not say that it varies by {'Accept-Encoding'}"),
    ("GET", "/Report/List", 200, {"Vary": "Accept"}, "varies by {'Accept'}"),
    ("PUT", "/Report", 405, {"X-New": "a"}, "x-new"),
    ("PUT", "/Report", 200, {}, "200 is not in"),
    ("OPTIONS", "/Report", 204, {"ETag": "a"}, "etag"),
])
def test_the_harness_finds_what_the_openapi_document_does_not_say(method, path, status, headers, words):
    answer = requests.Response()
    answer.request = requests.Request(method, "http://127.0.0.1" + path).prepare()
    answer.status_code = status
    answer.headers.update(headers)
    with pytest.raises(AssertionError, match=words):
        described.check(answer)


def test_406_when_no_answer_is_acceptable(alice):
    failed(alice.get("/Report/List", {"Accept": "text/html"}), 406, "application/json")
    failed(alice.get("/Report/List", {"Accept": "application/json;q=0, text/*"}), 406)


@pytest.mark.parametrize("accept", ["*/*", "application/*", "text/html, application/json;q=0.1", None])
def test_json_is_acceptable(alice, accept):
    assert alice.get("/Report/List", {"Accept": accept}).status_code == 200


def test_413_for_a_body_that_is_too_large(alice):
    body = json.dumps({"reportName": "Quick", "parameters": {"Note": "x" * 300000}}).encode()
    failed(raw(alice, body), 413, "262144")


def test_413_for_a_chunked_body_that_is_too_large(alice):
    failed(raw(alice, (b" " * 10000 for _ in range(40))), 413)


def test_415_for_another_content_type(alice):
    failed(alice.call("POST", "/Report", {"Content-Type": "text/plain"}, data=b"{}"), 415,
           "application/json")
    failed(raw(alice, b"{}", **{"Content-Type": None}), 415)


def test_content_type_may_have_parameters(alice):
    body = b'{"reportName": "Quick", "parameters": {"ProductID": "1"}}'
    answer = raw(alice, body, **{"Content-Type": "Application/JSON; charset=utf-8"})
    assert answer.json()["result"] is True


def test_416_for_a_range_behind_the_end(alice):
    reference = alice.complete("Quick", ProductID="1")
    answer = alice.result(reference, {"Range": "bytes=1000000-"})
    failed(answer, 416)
    size = int(alice.result(reference, method="HEAD").headers["Content-Length"])
    assert answer.headers["Content-Range"] == f"bytes */{size}"


def test_429_says_when_to_come_back(bob):
    for _ in range(10):
        bob.order("Endless")
    answer = bob.submit("Endless")
    failed(answer, 429, "10", "delet")
    assert int(answer.headers["Retry-After"]) > 0


def test_500_when_a_result_is_lost_and_no_path_is_told(server, alice):
    reference = alice.complete("Quick", ProductID="1")
    for name in server.files_of(reference):
        (server.spool / name).unlink()
    message = failed(alice.result(reference), 500)
    assert str(server.folder) not in message and "spool" not in message
    assert alice.delete(reference).json()["result"] is True


def test_503_while_the_store_cannot_be_written(server, alice):
    lock = sqlite3.connect(server.folder / "store.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    try:
        answer = alice.submit("Quick", {"ProductID": "1"})
    finally:
        lock.execute("ROLLBACK")
        lock.close()
    message = failed(answer, 503)
    assert "sqlite" not in message.lower() and "store.db" not in message
    assert int(answer.headers["Retry-After"]) > 0
    assert alice.list().json()["data"]["totalCount"] == 0
    assert alice.submit("Quick", {"ProductID": "1"}).json()["result"] is True


def test_paths_query_names_and_body_keys_match_in_any_case(alice):
    answer = alice.call("POST", "/report",
                        json={"REPORTNAME": "Quick", "Parameters": {"ProductID": "1"}})
    reference = answer.json()["data"]
    assert alice.get("/REPORT/status", params={"REFERENCE": reference}).json()["data"] in (
        "complete", "incomplete")
    assert alice.get("/report/list", params={"pagesize": 1}).json()["data"]["pageSize"] == 1


def test_values_are_case_sensitive(alice):
    refused(alice.submit("quick", {"ProductID": "1"}), "quick")
    refused(alice.submit("Quick", {"productid": "1"}), "ProductID")


def test_a_reference_is_taken_in_any_case(alice):
    reference = alice.complete("Quick", ProductID="1")
    assert alice.status(reference.upper()).json()["data"] == "complete"


def test_a_business_error_is_a_200_with_an_empty_object(alice):
    refused(alice.submit("Nothing"), "Nothing")


@pytest.mark.parametrize("ask, status, title", [
    (lambda c: c.submit("Nothing", headers={"Accept": PROBLEM}), 404, "Unknown report"),
    (lambda c: c.status(UNKNOWN, {"Accept": PROBLEM}), 404, "Unknown reference"),
    (lambda c: c.result(UNKNOWN, {"Accept": PROBLEM}), 404, "Unknown reference"),
    (lambda c: c.delete(UNKNOWN, {"Accept": PROBLEM}), 404, "Unknown reference"),
    (lambda c: c.submit("Quick", headers={"Accept": PROBLEM}), 422, "Invalid parameter"),
    (lambda c: c.result(c.order("Endless"), {"Accept": PROBLEM}), 409, "Report not complete"),
    (lambda c: c.get("/Nothing", {"Accept": PROBLEM}), 404, "No such path"),
    (lambda c: c.get("/Report/List", {"Accept": PROBLEM, "Version": None}), 400, "Malformed request"),
])
def test_problem_details_carry_the_rest_status(alice, ask, status, title):
    answer = ask(alice)
    problem = answer.json()
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == PROBLEM
    assert problem["status"] == status and problem["title"] == title and problem["detail"]


def test_problem_json_as_a_second_choice_keeps_the_good_answers_json(alice):
    answer = alice.get("/Report/List", {"Accept": f"application/json, {PROBLEM}"})
    assert answer.status_code == 200 and answer.json()["result"] is True


@pytest.mark.parametrize("path", ["/Common/HealthCheck", "/openapi.json", "/metrics",
                                  "/Report/List", "/Report/Types"])
def test_head_is_answered_where_get_is(alice, path):
    get, head = alice.get(path), alice.call("HEAD", path)
    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers["Content-Type"] == get.headers["Content-Type"]


def test_the_request_id_is_echoed(alice):
    assert alice.get("/Report/List", {"X-Request-Id": "my-id.42"}).headers["X-Request-Id"] == "my-id.42"


@pytest.mark.parametrize("given", [None, "x" * 129, "with blank"])
def test_a_request_id_is_made_if_none_is_usable(alice, given):
    assert GUID.fullmatch(alice.get("/Report/List", {"X-Request-Id": given}).headers["X-Request-Id"])


def test_the_request_id_is_logged(server, alice):
    alice.get("/Report/List", {"X-Request-Id": "find-me-in-the-log"})
    server.await_log("find-me-in-the-log")


def test_errors_have_a_request_id_too(alice):
    assert GUID.fullmatch(alice.get("/Nothing").headers["X-Request-Id"])


def test_the_public_paths_need_neither_token_nor_version(server):
    plain = requests.Session()
    plain.trust_env = False
    health = plain.get(server.url + "/Common/HealthCheck")
    assert health.status_code == 200 and health.json()["result"] is True
    assert plain.get(server.url + "/openapi.json").json()["openapi"].startswith("3.")
    assert re.search(r"^reportd_workers 2$", plain.get(server.url + "/metrics").text, re.M)


def test_the_openapi_document_has_every_path(server):
    paths = Client(server.url).get("/openapi.json").json()["paths"]
    assert {"/User/Login", "/User/RefreshToken", "/Report", "/Report/Status", "/Report/Link", "/Report/List",
            "/Report/Types", "/Common/HealthCheck"} <= set(paths)


def test_the_harness_takes_what_a_proxy_says_of_a_dead_server_for_no_answer_of_it():
    """tools/demo-cluster kills a node, and its clients come again."""
    answer = requests.Response()
    answer.request = requests.Request("POST", "http://127.0.0.1/Report").prepare()
    for answer.status_code in (502, 504):
        described.check(answer)
    answer.status_code = 418
    with pytest.raises(AssertionError, match="418 is not in /openapi.json"):
        described.check(answer)
