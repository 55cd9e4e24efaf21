"""API keys, which programs send in place of an access token: reportd key, doc/api.md § API keys."""

import http.client
import json
import os
import re
import subprocess
import threading
import uuid
from urllib.parse import urlsplit

import pytest

from conftest import ALICE, CAROL, OPERATOR
from events import Events
from fake_clock import MINUTE, time_of
from harness import PASSWORD, PATIENCE, ROOT, Client, failed, opens, poll
from stores import STORES
from test_backup import backup, lose_everything
from test_links import ask, is_dead, link_of
from test_trail import await_line, lines_of

pytestmark = pytest.mark.stores(*STORES)

COUNTS = [25, pytest.param(25000, marks=pytest.mark.slow)]  # of requests after the removal, by each of 4 connections
WITHOUT_SESSION = [("POST", "/User/RefreshToken", {"refreshToken": "x"}), ("POST", "/User/Logout", {}), ("GET", "/User/Sessions", None),
                   ("DELETE", "/User/Session?id=" + str(uuid.uuid4()), None),
                   ("POST", "/User/Password", {"oldPassword": PASSWORD, "newPassword": "another password"}),
                   ("POST", "/User/Login", {"username": ALICE, "password": PASSWORD})]


def run(server, verb, *words):
    return server.run("key", verb, "-c", "reportd.conf", *words)


def key(server, verb, *words):
    done = run(server, verb, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Key:
    """A new one of a server's or a node's user; a client of it."""

    def __init__(self, server, user=ALICE, *words):
        self.server, self.name = server, f"k{uuid.uuid4().hex}"
        self.text = key(server, "add", self.name, "--user", user, *words).strip()
        assert re.fullmatch(r"rdk_[A-Za-z0-9_-]{43}", self.text)

    def client(self, server=None, **arguments):
        return Client((server or self.server).url, self.text, **arguments)

    def listed(self):
        return next((item for item in json.loads(key(self.server, "list", "--json")) if item["name"] == self.name), None)

    def remove(self):
        key(self.server, "remove", self.name)


@pytest.fixture
def key_of(server):
    """Makes them; they are removed at the end."""
    made = []

    def make(*words, user=ALICE):
        made.append(Key(server, user, *words))
        return made[-1]

    yield make
    left = [each.name for each in made if each.listed()]
    if left:
        key(server, "remove", *left)


def test_a_request_with_a_key_is_its_users(key_of, alice):
    made = key_of()
    client = made.client()
    reference = client.complete("Quick", ProductID="1")
    assert client.result(reference).content == alice.result(reference).content
    assert client.get("/User/Me").json()["data"] == alice.get("/User/Me").json()["data"]
    assert reference in alice.references() and client.references() == alice.references()
    assert Client(client.url, f"Bearer {made.text}").delete(reference).json()["result"] is True


def test_a_key_that_is_removed_is_refused_from_the_next_request_on(key_of, server):
    made, other = key_of(), key_of()
    client = made.client()
    assert opens(server, made.text)
    made.remove()
    answer = client.list()
    failed(answer, 401, "API key", "removed")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert opens(server, other.text) and made.listed() is None


class Flood:
    """Requests with one key or token, at as many nodes, until each has sent `count` after its end."""

    def __init__(self, nodes, text, count, paths=("/User/Me",)):
        self.text, self.count, self.paths, self.removed, self.late, self.answers = text, count, paths, False, 0, 0
        self.threads = [threading.Thread(target=self.send, args=(urlsplit(node.url),)) for node in nodes]
        for thread in self.threads:
            thread.start()

    def send(self, where):
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=PATIENCE)
        left = self.count
        while left > 0:
            is_after = self.removed
            connection.request("GET", self.paths[self.answers % len(self.paths)], headers={"Version": "2.0", "Authorization": self.text})
            with connection.getresponse() as answer:
                answer.read()
            self.answers += 1
            if is_after:
                self.late += answer.status != 401
                left -= 1
        connection.close()

    def end(self, how):
        poll(lambda: self.answers > 100, what="requests")
        how()
        self.removed = True
        for thread in self.threads:
            thread.join()
        assert self.late == 0


@pytest.mark.stores("sqlite")
@pytest.mark.parametrize("count", COUNTS)
def test_no_answer_of_an_embedded_store_is_late(make_server, count):
    server = make_server()
    made = Key(server)
    Flood([server] * 4, made.text, count).end(made.remove)


class Wait:
    """A request that waits for a report that does not end soon."""

    def __init__(self, client, reference):
        self.answers = []
        self.thread = threading.Thread(target=lambda: self.answers.append(client.status(reference, {"Prefer": "wait=45"})))
        self.thread.start()

    def ends_in_401(self):
        self.thread.join(PATIENCE)
        failed(self.answers[0], 401)


def order_slow(client):
    reference = client.order("Endless")
    client.wait_for(reference, "processing")
    return reference


@pytest.mark.stores("postgres-rows")
@pytest.mark.parametrize("count", COUNTS)
def test_that_holds_on_every_node(make_cluster, count):
    first, second = make_cluster(nodes=2).nodes
    made = Key(first)
    Flood([first, first, second, second], made.text, count).end(made.remove)
    made = Key(first)
    reference = made.client(second).complete("Quick", ProductID="1")
    assert opens(first, made.text)
    link = link_of(made.client(second), reference)
    waiting = Wait(made.client(first), order_slow(made.client(second)))
    with Events(made.client(second)) as events:
        poll(lambda: events.seen)
        made.remove()
        for node in (first, second):
            failed(made.client(node).list(), 401)
            failed(Client(node.url).get(link.removeprefix(second.url)), 404)
        waiting.ends_in_401()
        poll(lambda: events.ended, what="the end of the stream")
    first.client(ALICE).delete_all()


def test_what_was_opened_with_a_key_ends_with_it(key_of, alice):
    made = key_of()
    client = made.client()
    link = link_of(client, client.complete("Quick", ProductID="1"))
    assert is_dead(link) is None
    waiting = Wait(client, order_slow(client))
    with Events(client) as events:
        poll(lambda: events.seen)
        made.remove()
        poll(lambda: events.ended, what="the end of the stream")
    waiting.ends_in_401()
    assert is_dead(link)
    assert alice.references()  # they are the user's


def test_a_key_has_no_session_and_no_password(key_of, server):
    made = key_of()
    for method, path, body in WITHOUT_SESSION:
        failed(made.client().call(method, path, json=body), 403, "API key", "POST /User/Login")
    assert opens(server, made.text)


def test_a_key_does_not_log_in_as_a_name_or_password_and_is_not_logged(key_of, server):
    made = key_of()
    for member in ("username", "password"):
        answer = Client(server.url).call("POST", "/User/Login", json={"username": ALICE, "password": PASSWORD, member: made.text})
        failed(answer, 403, "does not log in", "Authorization")
    made.client().list()
    failed(made.client().get(f"/{made.text}"), 404)
    server.await_log(f"key={made.name}")
    assert made.text not in server.log_text() and made.text[4:20] not in server.log_text()


def test_a_key_may_run_what_both_it_and_its_user_may(key_of, server, dora):
    made, free = key_of("--grant", "Quick", "Endless", user=dora), key_of(user=dora)
    client = made.client()
    failed(client.submit("Labelled"), 403)
    assert {kind["name"] for kind in client.get("/Report/Types").json()["data"]} == {"Quick", "Endless"}
    assert free.client().complete("Labelled")
    server.user("revoke", dora, "*")
    server.user("grant", dora, "Quick", "Labelled")
    assert [kind["name"] for kind in client.get("/Report/Types").json()["data"]] == ["Quick"]
    assert client.complete("Quick", ProductID="1") and free.client().complete("Labelled")
    failed(free.client().submit("Endless"), 403)
    free.client().delete_all()


def test_a_key_of_a_disabled_user_is_refused_until_it_is_enabled(key_of, server, dora):
    made = key_of(user=dora)
    server.user("disable", dora)
    failed(made.client().list(), 401)
    assert made.listed()["state"] == "disabled"
    server.user("enable", dora)
    assert opens(server, made.text)


def test_a_key_comes_from_its_own_addresses_and_its_users(key_of, server, dora):
    made = key_of("--allow", "127.0.0.2/31", user=dora)
    assert made.client(address="127.0.0.2").list().status_code == 200
    failed(made.client().list(), 401)
    server.await_log("key.refused")
    server.user("allow", dora, "127.0.0.3")
    failed(made.client(address="127.0.0.2").list(), 401)
    assert made.client(address="127.0.0.3").list().status_code == 200


def test_an_operators_key_is_one_only_if_it_was_made_for_that(key_of, olga, server):
    plain, made = key_of(user=OPERATOR), key_of("--operator", user=OPERATOR)
    failed(plain.client().get("/Admin/Overview"), 403)
    assert plain.client().get("/User/Me").json()["data"]["operator"] is False
    assert made.client().get("/Admin/Overview").status_code == 200
    server.user("operator", OPERATOR, "off")
    failed(made.client().get("/Admin/Overview"), 403)
    server.user("operator", OPERATOR, "on")


def test_a_key_expires(clock, make_server):
    server = make_server()
    made = Key(server, ALICE, "--expires", "2h")
    client = made.client()
    reference = client.complete("Quick", ProductID="1")
    expires = time_of(made.listed()["expiresAt"])
    clock.jump_to(expires - MINUTE)
    link = ask(client, reference).json()["data"]
    assert opens(server, made.text) and is_dead(client.url + link["url"]) is None
    with Events(client) as events:
        poll(lambda: events.answer.status == 200)
        clock.jump_to(expires)
        poll(lambda: events.ended)
    failed(client.list(), 401, "expired")
    assert is_dead(client.url + link["url"]) and made.listed()["state"] == "expired"


def test_its_last_use_is_shown(key_of):
    made = key_of()
    assert made.listed()["lastUsedAt"] is None
    made.client().list()
    poll(lambda: made.listed()["lastUsedAt"])


def test_only_a_hash_is_stored(key_of, server):
    made = key_of()
    made.client().list()
    assert server.holding(made.name.encode())
    assert not server.holding(made.text.encode(), made.text[4:].encode())


def test_the_trail_has_its_name_and_what_was_done_with_it(make_server, tmp_path):
    trail = tmp_path / "audit.log"
    server = make_server(audit_log=trail)
    made = Key(server, ALICE, "--grant", "Quick")
    made.client().complete("Quick", ProductID="1")
    made.remove()
    assert await_line(trail, event="submit", user=ALICE, key=made.name, outcome="done")
    assert [(line["change"], line["subject"], line.get("report")) for line in lines_of(trail) if line["event"] == "key"] == \
        [("add", ALICE, None), ("grant", ALICE, "Quick"), ("remove", ALICE, None)]
    assert all(line["key"] == made.name and line["system_user"] for line in lines_of(trail) if line["event"] == "key")
    assert made.text not in trail.read_text()


def test_a_removed_user_leaves_no_key(server):
    name = f"dora{uuid.uuid4().hex}"
    server.add_user(name)
    made = Key(server, name)
    made.client().complete("Quick", ProductID="1")
    server.user("remove", name)
    failed(made.client().list(), 401)
    poll(lambda: not server.holding(made.name.encode()), what=lambda: f"the end of {made.name}")


@pytest.mark.stores("sqlite")
def test_a_key_that_a_restore_brings_back_is_suspended_until_it_is_enabled(make_server):
    server = make_server()
    gone, kept = Key(server), Key(server)
    backup(server)
    gone.remove()
    lose_everything(server)
    done = server.run("restore", "-c", "reportd.conf", "backup")
    assert done.returncode == 0 and "API keys that are suspended" in done.stderr, done.stderr
    server.start()
    for made in (gone, kept):
        failed(made.client().list(), 401)
        assert made.listed()["state"] == "suspended"
    key(server, "enable", kept.name)
    assert opens(server, kept.text) and not opens(server, gone.text)


WRONG = [(["add", "ci"], "--user USER"), (["add", "--user", ALICE], "say: add NAME"), (["add", "ci", "--user", "nobody"], "no user 'nobody'"),
         (["add", "a b", "--user", ALICE], "letters, digits"), (["add", "x" * 65, "--user", ALICE], "1 to 64"),
         (["add", "--user", ALICE, "--", "-x"], "begins with a letter"), (["add", "", "--user", ALICE], "1 to 64"),
         (["add", "ci", "--user", ALICE, "--expires", "90"], "a duration such as 90d"), (["add", "ci", "--user", ALICE, "--expires", "0s"], "a duration"),
         (["add", "ci", "--user", ALICE, "--expires", "999999d"], "a duration"), (["add", "ci", "--user", ALICE, "--allow", "10.0.0.1/8"], "10.0.0.0/8"),
         (["add", "ci", "--user", ALICE, "--operator"], "is not an operator"), (["add", "ci", "--user", ALICE, "--json"], "only list takes --json"),
         (["remove", "nothing"], "no key 'nothing'"), (["remove"], "say: remove NAME"), (["remove", "rdk_" + "x" * 43], "a key, not the name"),
         (["add", "rdk_x", "--user", ALICE], "a key, not the name"), (["list", "more"], "'more' is too much"), (["list", "--user", "nobody"], "no user"),
         (["enable", "nothing"], "no key"), (["remove", "ci", "--user", ALICE], "only add and list"), (["lst"], "list"), ([], "name an action")]


@pytest.mark.stores("sqlite")
def test_wrong_words_are_explained(server):
    for words, problem in WRONG:
        done = server.run("key", *words[:1], "-c", "reportd.conf", *words[1:])
        assert done.returncode in (1, 2) and problem in done.stderr and not done.stdout, (words, done)


def test_a_name_is_of_one_key_and_several_are_removed_or_none(key_of, server):
    first, second = key_of(), key_of()
    done = run(server, "add", first.name, "--user", CAROL)
    assert done.returncode == 1 and "is a key" in done.stderr
    assert run(server, "remove", first.name, "nothing").returncode == 1
    assert opens(server, first.text)
    key(server, "remove", first.name, second.name, first.name)
    assert not opens(server, first.text) and not opens(server, second.text)


def test_what_is_no_key_is_refused_as_an_unknown_one_is(key_of, server):
    made = key_of()
    messages = {failed(Client(server.url, text).list(), 401) for text in
                ("rdk_", "rdk_x", made.text[:-1], made.text + "A", made.text[:-1] + "!", "rdk_" + "A" * 43, "rdk_" + "A" * 4000, "Bearer rdk_" + "A" * 43)}
    assert len(messages) == 1
    assert opens(server, made.text)


def test_the_page_of_the_api_works_as_it_stands(key_of, server, tmp_path):
    (text,) = re.findall(r"^### API keys\n.*?^```sh\n(.*?)^```$", (ROOT / "doc/api.md").read_text(), re.M | re.S)
    (tmp_path / "nightly.key").write_text(key_of().text + "\n")
    done = subprocess.run(["bash", "-ec", text], cwd=tmp_path, env={**os.environ, "URL": server.url, "no_proxy": "*"}, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["result"] is True
