"""GET / and /console/NAME: how the console is served."""

import gzip

import pytest
import requests

from conftest import ALICE
from harness import PROBLEM, ROOT, Client, failed

GUARDS = {
    "Content-Security-Policy":
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png"}
FILES = sorted((ROOT / "web").iterdir())
CHART = "/console/chart.min.js"


def ask(server, path, method="GET", coding="identity", **headers):
    """As a browser does, with neither a token nor a version."""
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, server.url + path,
                               headers={"Accept-Encoding": coding, **{key.replace("_", "-"): value for key, value in headers.items()}})


def assert_guarded(answer):
    assert {name: answer.headers.get(name) for name in GUARDS} == GUARDS


def test_the_page_is_served_without_a_token(server):
    page = ask(server, "/", Accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert page.status_code == 200 and page.content == (ROOT / "web/index.html").read_bytes()
    assert page.headers["Content-Type"] == TYPES[".html"]
    assert_guarded(page)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_of_the_folder_is_served(server, path):
    answer = ask(server, "/console/" + path.name)
    assert answer.status_code == 200 and answer.content == path.read_bytes()
    assert answer.headers["Content-Type"] == TYPES[path.suffix]
    assert answer.headers["Cache-Control"] == "no-cache" and "Content-Encoding" not in answer.headers
    assert_guarded(answer)


def test_chart_js_is_in_the_program(server):
    answer = ask(server, CHART)
    assert answer.status_code == 200 and b"Chart.js v" in answer.content[:200]
    assert answer.headers["Content-Type"] == TYPES[".js"]
    assert_guarded(answer)


@pytest.mark.parametrize("path", ["/console/app.js", CHART])
def test_a_file_comes_compressed_if_the_browser_takes_it(server, path):
    plain = ask(server, path)
    with requests.Session() as session:
        session.trust_env = False
        with session.get(server.url + path, headers={"Accept-Encoding": "gzip, deflate, br"}, stream=True) as packed:
            assert packed.headers["Content-Encoding"] == "gzip" and packed.headers["Vary"] == "Accept-Encoding"
            assert gzip.decompress(packed.raw.read()) == plain.content
    assert packed.headers["ETag"] != plain.headers["ETag"] and int(packed.headers["Content-Length"]) < len(plain.content)
    assert_guarded(packed)
    assert "Content-Encoding" not in ask(server, path, coding="gzip;q=0").headers


def test_the_page_itself_is_not_compressed(server):
    assert "Content-Encoding" not in ask(server, "/", coding="gzip").headers


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_what_the_browser_has_is_not_sent_again(server, coding):
    first = ask(server, CHART, coding=coding)
    again = ask(server, CHART, coding=coding, If_None_Match=first.headers["ETag"])
    assert again.status_code == 304 and not again.content
    for name in ("ETag", "Cache-Control", "Vary"):
        assert again.headers[name] == first.headers[name]
    assert_guarded(again)
    other = {"identity": "gzip", "gzip": "identity"}[coding]
    assert ask(server, CHART, coding=other, If_None_Match=first.headers["ETag"]).status_code == 200
    assert ask(server, "/", coding=coding, If_None_Match=first.headers["ETag"]).status_code == 200


@pytest.mark.parametrize("path", ["/", CHART])
def test_head_has_the_headers_of_get(server, path):
    head, get = ask(server, path, "HEAD"), ask(server, path)
    assert head.status_code == 200 and not head.content
    for name in ("Content-Length", "Content-Type", "ETag", *GUARDS):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize("name", ["nix.js", "index.html/", "..%2findex.html", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "app.js.gz",
                                  "x" * 300])
def test_an_unknown_file_is_a_404(server, name):
    answer = ask(server, "/console/" + name)
    failed(answer, 404, "GET /")
    assert_guarded(answer)
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_folder_itself_is_no_file(server):
    for path in ("/console", "/console/"):
        answer = ask(server, path)
        failed(answer, 404)
        assert_guarded(answer)


@pytest.mark.parametrize("method, path, status", [("OPTIONS", "/", 204), ("GET", "/?a=%00", 400), ("GET", "//", 200)])
def test_other_answers_are_guarded_too(server, method, path, status):
    answer = ask(server, path, method)
    assert answer.status_code == status
    for name, value in GUARDS.items():
        assert answer.headers[name] == value


def test_only_get_and_head_are_taken(server):
    for path in ("/", CHART):
        answer = ask(server, path, "POST")
        failed(answer, 405)
        assert_guarded(answer)
        assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_nothing_is_there_when_it_is_off(make_server):
    server = make_server(console="off")
    unknown = failed(ask(server, "/nix"), 404)
    for path in ("/", "//", "/%2f", CHART, "/Console/index.html", "/console/nix.js"):
        for method in ("GET", "POST"):
            answer = ask(server, path, method)
            assert failed(answer, 404) == unknown
            assert not {"Content-Security-Policy", "ETag", "Allow"} & set(answer.headers)
        assert ask(server, path, Accept=PROBLEM).json()["title"] == "No such path"
    assert Client(server.url).get("/openapi.json").status_code == 200
    assert server.client(ALICE).list().status_code == 200
