"""Pages of other origins: whose may use the API, and what they may read."""

import pytest

from harness import PASSWORD, Server

APP, OTHER = "https://app.example.com", "http://localhost:3000"
EXPOSED = {"ETag", "Location", "Retry-After", "Content-Disposition", "Preference-Applied", "X-Request-Id",
           "X-Deletion-Receipt", "X-Report-State", "X-Report-Rows", "X-Report-Queue-Position"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    server = Server.made(tmp_path_factory.mktemp("cors") / "server", cors_origins=f"{APP} {OTHER}")
    server.add_user("alice")
    yield server.start()
    assert server.stop() == 0
    server.check_log()


def words(answer, name):
    return {word.strip() for word in answer.headers.get(name, "").split(",")} - {""}


def not_allowed(answer):
    return not [name for name in answer.headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize("origin", [APP, OTHER])
def test_a_listed_origin_may_read_answers_of_every_kind(shared, origin):
    alice = shared.client("alice")
    reference = alice.complete("Quick", ProductID="1")
    for answer in (alice.result(reference, {"Origin": origin}), alice.status(reference, {"Origin": origin}),
                   alice.get("/nowhere", {"Origin": origin}), alice.get("/Report/List", {"Origin": origin, "Authorization": None}),
                   alice.get("/Report/List", {"Origin": origin, "Version": None}), alice.delete(reference, {"Origin": origin})):
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert words(answer, "Access-Control-Expose-Headers") == EXPOSED
        assert "Origin" in words(answer, "Vary")
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_what_is_exposed_is_what_answers_have(shared):
    """Each header of a report's life that the API's own names have."""
    alice = shared.client("alice")
    seen = set()
    reference = alice.submit("Quick", {"ProductID": "1"}, {"Prefer": "wait=30"})
    seen |= set(reference.headers)
    reference = reference.json()["data"]
    alice.finish(reference)
    for answer in (alice.status(reference), alice.result(reference), alice.delete(reference)):
        seen |= set(answer.headers)
    assert {name for name in seen if name.startswith("X-")} - {"X-Content-Type-Options"} <= EXPOSED
    assert {"ETag", "Location", "X-Deletion-Receipt", "X-Report-State"} <= seen


@pytest.mark.parametrize("origin", ["https://evil.example", "null", APP + ":443", APP.upper(), APP + ".evil.example", APP + "/", "",
                                    f"{APP} {OTHER}", "https://app.example.co"])
def test_others_get_no_leave_but_answers_differ_by_origin_all_the_same(shared, origin):
    alice = shared.client("alice")
    for answer in (alice.get("/Report/List", {"Origin": origin}), alice.call("OPTIONS", "/Report", {"Origin": origin}),
                   alice.get("/Report/List")):
        assert not_allowed(answer)
        assert "Origin" in words(answer, "Vary")


def test_a_preflight_is_answered_without_a_token(shared):
    alice = shared.client("alice")
    asked = {"Origin": APP, "Authorization": None, "Version": None, "Access-Control-Request-Method": "DELETE",
             "Access-Control-Request-Headers": "authorization,version"}
    answer = alice.call("OPTIONS", "/Report", asked)
    assert answer.status_code == 204 and answer.content == b""
    assert {"GET", "POST", "DELETE"} <= words(answer, "Access-Control-Allow-Methods")
    assert {"Authorization", "Version", "Content-Type", "Prefer", "Idempotency-Key", "Range", "If-Match",
            "If-None-Match", "Last-Event-ID", "X-Request-Id"} <= words(answer, "Access-Control-Allow-Headers")
    assert answer.headers["Access-Control-Allow-Origin"] == APP and int(answer.headers["Access-Control-Max-Age"]) > 0
    assert alice.call("OPTIONS", "/nowhere", asked).status_code == 404


def test_a_listed_origin_may_use_no_cookie(shared):
    client = shared.client("alice")
    answer = client.call("POST", "/User/Login?cookie=1", {"Origin": APP, "Authorization": None},
                         json={"username": "alice", "password": PASSWORD})
    assert answer.status_code == 403 and "Set-Cookie" not in answer.headers


def test_nothing_is_said_of_origins_where_none_is_listed(server, alice):
    for method in ("GET", "OPTIONS"):
        answer = alice.call(method, "/Report/List", {"Origin": APP})
        assert not_allowed(answer) and "Origin" not in words(answer, "Vary")


@pytest.mark.parametrize("value", ["*", "app.example.com", "https://app.example.com/", "https://", "HTTPS://APP.example.com",
                                   "https://app.example.com:443", "http://a.example:80", "ftp://a.example", "null"])
def test_what_is_no_origin_is_an_error_that_says_so(tmp_path, value):
    done = Server.made(tmp_path / "wrong", cors_origins=value).run("serve", "-c", "reportd.conf")
    assert done.returncode == 1 and "cors_origins" in done.stderr and value in done.stderr
