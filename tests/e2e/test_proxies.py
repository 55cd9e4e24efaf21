"""Whom a request comes from: trusted proxies, and the paths that a proxy's rules guard."""

import pytest
import requests

import raw_http
from harness import PASSWORD, PATIENCE, Client, Server, failed
from raw_http import connect, talk


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    """A server that trusts 127.0.0.2 and 127.0.0.3, and has users who may come from 192.0.2.0/24 and from loopback."""
    server = Server.made(tmp_path_factory.mktemp("behind"), trusted_proxies="127.0.0.2 127.0.0.3")
    for name, allow in (("far", "192.0.2.0/24"), ("near", "127.0.0.0/8")):
        server.user("add", name, "--grant", "*", "--allow", allow, stdin=PASSWORD + "\n")
    yield server.start()
    assert server.stop() == 0
    server.check_log()


def ask(server, source, method, path, headers=()):
    return talk(connect(server, source), method, path, headers)


def log_in(server, source, user, headers, query=""):
    return raw_http.log_in(connect(server, source), user, headers, query)


PROXY, STRANGER = "127.0.0.2", "127.0.0.9"


@pytest.mark.parametrize("header, value, status", [
    ("X-Forwarded-For", "192.0.2.7", 200),
    ("x-forwarded-for", "203.0.113.1, 192.0.2.7, 127.0.0.3", 200),
    ("X-Forwarded-For", "192.0.2.7, 203.0.113.1", 401),
    ("Forwarded", 'for=203.0.113.1, for="192.0.2.7:80";proto=https', 200),
    ("Forwarded", "for=192.0.2.7, for=203.0.113.1", 401),
    ("X-Forwarded-For", "unknown", 400),
    ("Forwarded", "proto=https", 400),
    ("Forwarded", 'for=192.0.2.7;by=", for=203.0.113.1', 400),  # the client's open quote hides what the proxy adds
    ("Forwarded", 'for=192.0.2.7;by=", for="[2001:db8::1]"', 400),
    ("Forwarded", 'for=203.0.113.1;by="a, b", for=192.0.2.7', 200),
])
def test_a_trusted_proxy_names_the_client(behind, header, value, status):
    assert log_in(behind, PROXY, "far", [(header, value)])[0] == status


def test_two_lines_of_a_header_are_one_list(behind):
    lines = [("X-Forwarded-For", "203.0.113.1"), ("X-Forwarded-For", "192.0.2.7")]
    assert log_in(behind, PROXY, "far", lines)[0] == 200
    assert log_in(behind, PROXY, "far", lines[::-1])[0] == 401


def test_a_header_that_the_proxy_does_not_set_is_refused_beside_the_one_it_sets(behind):
    both = [("X-Forwarded-For", "203.0.113.1"), ("Forwarded", "for=192.0.2.7")]
    assert log_in(behind, PROXY, "far", both)[0] == 400
    assert "remove" in ask(behind, PROXY, "GET", "/Report/Types", both)[2]


@pytest.mark.parametrize("header, value", [("X-Forwarded-For", "192.0.2.7"), ("Forwarded", "for=192.0.2.7"),
                                           ("X-Forwarded-For", "nonsense")])
def test_what_a_stranger_says_of_others_is_ignored(behind, header, value):
    assert log_in(behind, STRANGER, "far", [(header, value)])[0] == 401
    assert log_in(behind, STRANGER, "near", [(header, value)])[0] == 200


def test_a_proxy_that_names_nobody_asks_for_itself(behind):
    assert log_in(behind, PROXY, "near", [])[0] == 200
    assert log_in(behind, PROXY, "near", [("X-Forwarded-For", "")])[0] == 200


@pytest.mark.parametrize("source, headers, secure", [
    (PROXY, [("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-Proto", "https")], True),
    (PROXY, [("Forwarded", "for=127.0.0.1;proto=https")], True),
    (PROXY, [("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-Proto", "http")], False),
    (STRANGER, [("X-Forwarded-Proto", "https")], False),
])
def test_the_cookie_is_secure_if_a_trusted_proxy_says_that_the_client_came_by_https(behind, source, headers, secure):
    status, head = log_in(behind, source, "near", headers, "?cookie=1")
    assert status == 200
    (cookie,) = [line for line in head.splitlines() if line.lower().startswith("set-cookie")]
    assert ("; Secure" in cookie) == secure


def test_metrics_answer_this_machine_alone(behind):
    assert ask(behind, STRANGER, "GET", "/metrics")[0] == 200
    assert ask(behind, PROXY, "GET", "/metrics", [("X-Forwarded-For", "127.0.0.1")])[0] == 200
    for source, headers in [(PROXY, [("X-Forwarded-For", "192.0.2.7")]), (PROXY, [("Via", "1.1 proxy")]),
                            (STRANGER, [("X-Forwarded-For", "127.0.0.1")]), (STRANGER, [("Forwarded", "for=_x")]),
                            (STRANGER, [("Via", "1.1 proxy")]), (STRANGER, [("X-Real-IP", "127.0.0.1")])]:
        status, head, _ = ask(behind, source, "GET", "/metrics", headers)
        assert status == 401, (source, headers, head)
    client = Client(behind.url)
    client.login("near")
    far = {"X-Forwarded-For": "192.0.2.7"}
    failed(client.get("/metrics", far), 403, "own machine")
    assert requests.get(behind.url + "/metrics", timeout=PATIENCE).status_code == 200


@pytest.mark.parametrize("path", ["/METRICS", "/Metrics", "/metrics/", "/metrics%2f", "/%6detrics", "/metric%73",
                                  "/./metrics", "//metrics", "/.Well-Known/jwks.json", "/.well-known/jwks.json/",
                                  "/%2ewell-known/jwks.json", "/admin/overview", "/Admin/Overview/"])
def test_a_path_that_a_proxy_guards_matches_byte_for_byte(behind, path):
    hidden = path.startswith("/Admin/")  # from everyone who is no operator, whether it is there or not
    for query in ("", "?x=1"):
        assert ask(behind, STRANGER, "GET", path + query)[0] == (401 if hidden else 404)


def test_a_query_may_have_escapes_all_the_same(behind):
    assert ask(behind, STRANGER, "GET", "/metrics?x=%2f")[0] == 200


@pytest.mark.parametrize("value, word", [("10.0.0.1/8", "write 10.0.0.0/8"), ("10.0.0.0/33", "not a network"),
                                         ("10.0.0.0/8, ::1", "not a network"), ("proxy.example", "not a network")])
def test_a_network_that_is_none_is_refused_at_the_start(tmp_path, value, word):
    done = Server.made(tmp_path / "wrong", trusted_proxies=value).run("serve", "-c", "reportd.conf")
    assert done.returncode == 1 and word in done.stderr and "trusted_proxies" in done.stderr
