"""POST /Report/Link: a link that needs no headers, for this result only, for 5 minutes."""

import base64
import contextlib
import re
import urllib.parse

import pytest
import requests

from conftest import ALICE
from fake_clock import MINUTE, SECOND, time_of
from harness import PATIENCE, PROBLEM, Client, failed, refused
from stores import STORES
from test_transfers import BIG, SlowClient, assert_ended

pytestmark = pytest.mark.stores(*STORES)

FORMS = ("json", "ndjson", "csv", "xlsx")
OPTIONS = [{}, {"format": "json"}, {"format": "ndjson"}, {"format": "csv"}, {"format": "xlsx"}, {"format": "CSV", "labels": True},
           {"format": "csv", "delimiter": ";", "bom": 1}, {"format": "csv", "delimiter": "tab", "formulas": "text", "bom": False},
           {"format": "xlsx", "labels": "1"}]


def ask(client, reference, headers=None, **body):
    return client.call("POST", "/Report/Link", headers, json={"reference": reference, **body})


def link_of(client, reference, **body):
    """Where the link is; the answer must be one."""
    answer = ask(client, reference, **body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["result"] is True and set(answer.json()["data"]) == {"url", "expiresAt"}
    return client.url + answer.json()["data"]["url"]


def follow(url, method="GET", stream=False, **headers):
    headers = {"Accept_Encoding": "identity", **headers}
    return requests.request(method, url, headers={name.replace("_", "-"): value for name, value in headers.items()}, timeout=PATIENCE, stream=stream)


def is_dead(url):
    """Its one answer; else it downloads."""
    answer = follow(url)
    if answer.status_code == 200:
        return None
    return failed(answer, 404, "There is no such link")


@contextlib.contextmanager
def user(server, name):
    """A client of a user of the test's own, on whom all is allowed."""
    server.add_user(name)
    yield server.client(name)
    server.user("disable", name)


@pytest.mark.parametrize("body", OPTIONS, ids=str)
def test_a_link_has_the_result_in_its_form_without_headers(alice, body):
    reference = alice.complete("Labelled")
    query = {name: {True: "1", False: "0"}.get(value, value) for name, value in body.items()}
    want = alice.get("/Report", params={"reference": reference, "download": "1", **query})
    got = follow(link_of(alice, reference, **body))
    assert (got.status_code, got.content) == (200, want.content)
    for name in ("Content-Type", "ETag", "Expires", "Content-Digest", "Accept-Ranges", "Content-Length", "Content-Disposition", "Cache-Control"):
        assert got.headers.get(name) == want.headers.get(name), name
    assert got.headers["Content-Disposition"].startswith('attachment; filename="Labelled-20')
    assert got.headers["Referrer-Policy"] == "no-referrer" and "no-store" in got.headers["Cache-Control"]


def test_ranges_and_conditions_hold(alice):
    reference = alice.complete("Quick", ProductID="1")
    whole, link = alice.result(reference), link_of(alice, reference)
    part = follow(link, Range="bytes=2-9")
    assert (part.status_code, part.content) == (206, whole.content[2:10])
    assert follow(link, Range="bytes=2-9", If_Range='"another"').content == whole.content
    assert follow(link, If_None_Match=whole.headers["ETag"]).status_code == 304
    failed(follow(link, Range="bytes=999999-"), 416)
    head = follow(link, "HEAD")
    assert (head.status_code, head.content, head.headers["Content-Length"]) == (200, b"", str(len(whole.content)))
    assert follow(link, Accept="image/png", Accept_Encoding="identity").content == whole.content  # as a browser may send


@pytest.mark.parametrize("form", ["json", "csv"])
@pytest.mark.parametrize("coding", ["gzip", "identity", "identity;q=0, gzip"])
def test_a_link_is_compressed_as_any_download(alice, form, coding):
    reference = alice.complete("Big", Rows="2000")
    headers = {"Accept-Encoding": coding}
    want = alice.get("/Report", headers, params={"reference": reference, "format": form})
    got = follow(link_of(alice, reference, format=form), Accept_Encoding=coding)
    assert got.content == want.content
    for name in ("Content-Encoding", "ETag", "Cache-Control"):
        assert got.headers.get(name) == want.headers.get(name), name
    assert got.headers["Vary"] == "Accept-Encoding"


def test_a_link_lives_five_minutes(clock, make_server):
    server = make_server()
    client = server.client(ALICE)
    reference = client.complete("Quick", ProductID="1")
    answer = ask(client, reference).json()["data"]
    clock.jump_to(time_of(answer["expiresAt"]) - 5 * MINUTE)
    again = ask(client, reference).json()["data"]
    assert 0 <= time_of(again["expiresAt"]) - time_of(answer["expiresAt"]) <= MINUTE
    clock.jump_to(time_of(answer["expiresAt"]) - MINUTE)
    assert is_dead(client.url + answer["url"]) is None
    clock.jump_to(time_of(answer["expiresAt"]) + SECOND)
    assert is_dead(client.url + answer["url"])
    assert client.status(reference).json()["data"] == "complete"


def test_a_link_does_not_outlive_the_retention(make_server):
    client = make_server(retention="60s").client(ALICE)
    reference = client.complete("Quick", ProductID="1")
    (report,) = client.list().json()["data"]["reports"]
    assert ask(client, reference).json()["data"]["expiresAt"] == report["expiresAt"]


def test_a_link_dies_with_its_report_and_no_other(alice):
    first, second = alice.complete("Quick", ProductID="1"), alice.complete("Quick", ProductID="2")
    dead, alive = link_of(alice, first, format="csv"), link_of(alice, second, format="csv")
    alice.delete(first)
    assert is_dead(dead) and is_dead(alive) is None


def test_a_download_by_a_link_ends_with_its_report(make_server):
    client = make_server().client(ALICE)
    reference = client.complete("Big", Rows=BIG)
    whole = client.result(reference).content
    path = link_of(client, reference).removeprefix(client.url)
    slow = SlowClient(client, reference, path=path)
    client.delete(reference)
    assert_ended(slow, whole)


@pytest.mark.parametrize("end", ["disable", "passwd"])
def test_a_link_dies_with_its_session(server, end):
    with user(server, f"dora{end}{server.store.kind}") as client:
        reference = client.complete("Quick", ProductID="1")
        other, name = link_of(client, reference), f"dora{end}{server.store.kind}"
        assert is_dead(other) is None
        server.user(end, name, stdin="another password\n")
        assert is_dead(other)
        server.user("enable", name)
        assert is_dead(other)


def test_a_link_serves_what_its_owner_may_fetch(server):
    name = f"fay{server.store.kind}"
    with user(server, name) as client:
        reference = client.complete("Quick", ProductID="1")
        link = link_of(client, reference)
        server.user("revoke", name, "*")
        failed(client.submit("Quick", {"ProductID": "1"}), 403)
        assert client.result(reference).content == follow(link).content  # what is done stays its owner's
        assert is_dead(link_of(client, reference, format="csv")) is None
        server.user("disable", name)
        failed(client.result(reference), 401)
        assert is_dead(link)


def test_a_refresh_keeps_a_link_and_a_thief_ends_it(server):
    with user(server, f"erna{server.store.kind}") as client:
        reference = client.complete("Quick", ProductID="1")
        link, token, refresh_token = link_of(client, reference), client.token, client.refresh_token
        other = server.client(f"erna{server.store.kind}")
        others = link_of(other, reference)
        answer = client.call("POST", "/User/RefreshToken", json={"refreshToken": refresh_token})
        assert answer.status_code == 200 and is_dead(link) is None
        server.store.age_tokens()
        failed(Client(client.url, token).call("POST", "/User/RefreshToken", json={"refreshToken": refresh_token}), 401)
        assert is_dead(link) and is_dead(others) is None
        other.delete(reference)


def changed(text, at):
    """The base64url text with one bit of one character the other way."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:at] + letters[letters.index(text[at]) ^ 1] + text[at + 1:]


def test_wrong_old_and_dead_links_are_the_same_404(server, alice, bob):
    kept, gone = alice.complete("Quick", ProductID="1"), alice.complete("Quick", ProductID="2")
    good, dead = link_of(alice, kept), link_of(alice, gone)
    base, _, token = good.partition("token=")
    alice.delete(gone)
    wrong = [dead, base, base + "token=", base + "token", good[:-1], good + "A", base + "token=" + token[::-1], base + "token=" + alice.token,
             base + "token=" + "A" * len(token), base + "token=" + urllib.parse.quote("\u00e9" * 40), base + "token=" + "x" * 5000,
             server.url + "/Report/Link", *(base + "token=" + changed(token, at) for at in range(len(token)))]
    assert len({is_dead(url) for url in wrong} | {failed(bob.get(url.removeprefix(server.url)), 404) for url in wrong[:2]}) == 1
    assert is_dead(good) is None
    problem = follow(dead, Accept=PROBLEM)
    assert problem.status_code == 404 and problem.json()["title"] == "Unknown link"
    failed(follow(good + "&format=csv"), 400, "'format'")
    failed(follow(good + "&token=x"), 400, "token occurs twice")


def test_a_link_opens_nothing_but_its_result(server, alice):
    reference = alice.complete("Quick", ProductID="1")
    link = link_of(alice, reference)
    token = link.partition("token=")[2]
    for sent in (token, "Bearer " + token):
        stranger = Client(server.url, sent)
        for path in ("/Report", "/Report/Status", "/Report/Rows", "/Report/List", "/Report/Types"):
            failed(stranger.get(path, params={"reference": reference, "token": token}), 401)
            failed(stranger.get(path, {"Authorization": None}, params={"reference": reference, "token": token}), 401)
        failed(stranger.delete(reference), 401)
        failed(ask(stranger, reference), 401)
    for method in ("DELETE", "PUT", "PATCH"):
        assert follow(link, method).status_code == 405
    failed(requests.post(link, json={"reference": reference}, headers={"Version": "2.0"}, timeout=PATIENCE), 401)
    assert alice.status(reference).json()["data"] == "complete"


def test_a_token_hides_what_it_is_for(alice):
    reference = alice.complete("Quick", ProductID="1")
    first, second = (link_of(alice, reference).partition("token=")[2] for _ in range(2))
    assert first != second
    assert bytes.fromhex(reference.replace("-", "")) not in base64.urlsafe_b64decode(first + "==")


def test_what_has_no_result_gets_no_link(alice, bob):
    refused(ask(alice, "0190a5b2-7c1e-7000-8000-3f2a1b4c5d6e"), "Unknown reference '0190a5b2-7c1e-7000-8000-3f2a1b4c5d6e'")
    refused(ask(alice, "nonsense"), "Unknown reference 'nonsense'")
    reference = alice.order("Endless")
    refused(ask(alice, reference), "not complete yet")
    refused(ask(bob, reference), "Unknown reference")
    failed_one = alice.order("Quick", ProductID="999")
    alice.finish(failed_one)
    refused(ask(alice, failed_one), "it ended in error")
    problem = ask(alice, reference, {"Accept": PROBLEM})
    assert problem.status_code == 409


@pytest.mark.stores("sqlite")
@pytest.mark.parametrize("status, body, words", [
    (406, {"format": "pdf"}, "There is no format 'pdf'"), (406, {"format": 7}, "There is no format ''"),
    (400, {"format": "csv", "delimiter": "x"}, "delimiter must be"), (400, {"format": "csv", "bom": 2}, "bom must be 1 or 0"),
    (400, {"format": "csv", "formulas": True}, "formulas must be text"), (400, {"labels": True}, "labels is for csv or xlsx"),
    (400, {"reference": 5}, "Give 'reference'"), (400, {"reference": None}, "Give 'reference'"),
])
def test_a_bad_wish_is_explained(alice, status, body, words):
    reference = alice.complete("Quick", ProductID="1")
    failed(alice.call("POST", "/Report/Link", json={"reference": reference, **body}), status, words)


def test_no_link_is_stored_or_logged(make_server):
    server = make_server(log_level="info")  # the lowest level logs most
    client = server.client(ALICE)
    reference = client.complete("Quick", ProductID="1")
    links = [link_of(client, reference, format=form) for form in FORMS]
    dead = links[0][:-4] + "AAAA"
    for link in [*links, dead]:
        follow(link, X_Request_Id="of-a-link")
        follow(link, "HEAD")
        follow(link, "DELETE", X_Request_Id="refused")
        follow(link + "&x=1")
    client.delete(reference)
    assert is_dead(links[0])
    follow(links[0], X_Request_Id="the-last-one")
    server.await_log("request=the-last-one")
    log = server.log_text()
    assert re.search(r"request=of-a-link method=GET path=/Report/Link .*status=200", log)
    metrics = requests.get(server.url + "/metrics", timeout=PATIENCE).text
    for link in [*links, dead]:
        token = link.partition("token=")[2]
        for part in (token, token[:20], token[-20:], "token="):
            assert part not in log and part not in metrics
        assert not server.holding(token.encode(), base64.urlsafe_b64decode(token + "=="))


@pytest.mark.stores("sqlite")
def test_a_link_of_one_node_is_followed_on_another_until_its_session_ends(make_cluster):
    cluster = make_cluster(nodes=2)
    first, second = cluster.clients(ALICE)
    reference = first.complete("Quick", ProductID="1")
    path = link_of(first, reference, format="csv").removeprefix(first.url)
    assert follow(second.url + path).content == follow(first.url + path).content != b""
    token, refresh_token = first.token, first.refresh_token
    for client, status in ((first, 200), (second, 401)):
        cluster.age_tokens()
        answer = Client(client.url, token).call("POST", "/User/RefreshToken", json={"refreshToken": refresh_token})
        assert answer.status_code == status
    assert is_dead(second.url + path) and is_dead(first.url + path)
    second.login(ALICE)
    others = link_of(second, reference).removeprefix(second.url)
    assert is_dead(first.url + others) is None
    second.delete(reference)
    assert is_dead(first.url + others) == is_dead(second.url + others)


@pytest.mark.stores("sqlite")
def test_a_link_needs_the_key_that_made_it(make_server):
    server = make_server()
    client = server.client(ALICE)
    reference = client.complete("Quick", ProductID="1")
    path = link_of(client, reference).removeprefix(server.url)
    server.stop()
    server.start()
    assert is_dead(server.url + path) is None  # it outlives the process
    server.stop()
    (server.folder / "token.key").unlink()
    server.start()
    assert is_dead(server.url + path)
