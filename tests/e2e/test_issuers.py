"""Tokens of identity providers, their users and groups: doc/api.md § Tokens of an identity provider."""

import contextlib
import hashlib
import datetime
import json
import re
import signal
import threading
import uuid

import pytest

from conftest import ALICE, SharedServers
from events import Events
from fake_clock import SECOND
from forged_tokens import forged_tokens
from harness import PASSWORD, PATIENCE, Client, Server, failed, opens, poll
from provider import ALGORITHMS, Provider, new_key
from seams import Gate, plan
from stores import STORES

everywhere = pytest.mark.stores(*STORES)


@pytest.fixture(scope="module")
def providers(tmp_path_factory):
    """One for each algorithm."""
    folder = tmp_path_factory.mktemp("providers")
    names = dict(zip(("corp", "other", "third", "fourth"), ("ES256", "RS256", "PS256", "EdDSA")))
    assert set(names.values()) == set(ALGORITHMS)
    return {name: Provider(folder, name, algorithm) for name, algorithm in names.items()}


@pytest.fixture(scope="module")
def module_servers(tmp_path_factory, shared_postgres, providers):
    """By the kind of store: a server that takes the tokens of both providers."""

    def prepare(server):
        server.configure(audit_log=str(trail_of(server)), sections="".join(provider.section() for provider in providers.values()))
        server.add_user(ALICE)

    servers = SharedServers(tmp_path_factory.mktemp("issuers"), shared_postgres, prepare)
    yield servers
    servers.close()


@pytest.fixture
def corp(providers):
    return providers["corp"]


def group(server, *words):
    done = server.run("group", words[0], "-c", "reportd.conf", *words[1:])
    assert done.returncode == 0, done.stderr
    return done.stdout


def users(server):
    return {user["name"]: user for user in json.loads(server.user("list", "--json"))}


def bearer(server, token):
    return Client(server.url, f"Bearer {token}")


def types(client):
    return [one["name"] for one in client.get("/Report/Types").json()["data"]]


def trail_of(server):
    return server.folder.with_suffix(".trail")  # its folder has data


def trail(server):
    return [json.loads(line) for line in trail_of(server).read_text().splitlines()]


# --- who it is ------------------------------------------------------------------------------------


@everywhere
def test_the_first_request_with_a_token_makes_its_user(shared, corp):
    client = bearer(shared, corp.token("bea", groups=["nobody"]))
    assert client.get("/User/Me").json()["data"]["name"] == "corp:bea"
    assert users(shared)["corp:bea"] | {"issuer": corp.url, "subject": "bea", "grants": [], "groups": ["corp:nobody"]} == users(shared)["corp:bea"]
    assert bearer(shared, corp.token("bea")).get("/User/Me").json()["data"]["name"] == "corp:bea"
    poll(lambda: [line["outcome"] for line in trail(shared) if line["event"] == "login" and line["user"] == "corp:bea"] == ["done", "done"], what="lines in the trail")
    assert [line["change"] for line in trail(shared) if line.get("subject") == "corp:bea"] == ["enrol"]


@everywhere
def test_users_of_two_providers_and_a_local_one_share_nothing(shared, providers):
    group(shared, "add", "corp:share", "--grant", "Quick")
    ours = bearer(shared, providers["corp"].token("alice", groups=["share"]))
    theirs = bearer(shared, providers["other"].token("alice", groups=["share"]))
    local = shared.client(ALICE)
    reference = ours.order("Quick", ProductID="1")
    assert ours.references() == [reference]
    for client in (theirs, local):
        assert client.references() == []
        assert "Unknown" in client.status(reference).json()["message"]
    assert types(ours) == ["Quick"] and types(theirs) == []
    assert {"corp:alice", "other:alice", ALICE} <= set(users(shared))
    ours.delete(reference)


@everywhere
def test_names_that_differ_in_case_or_are_taken_are_told_apart(shared, corp):
    assert bearer(shared, corp.token("Zoe")).get("/User/Me").json()["data"]["name"] == "corp:Zoe"
    other = bearer(shared, corp.token("zoe")).get("/User/Me").json()["data"]["name"]
    assert re.fullmatch("corp:zoe#[0-9a-f]{16}", other)
    assert re.fullmatch("corp:l{100,}#[0-9a-f]{16}", bearer(shared, corp.token("l" * 255)).get("/User/Me").json()["data"]["name"])
    done = shared.run("user", "add", "Corp:eve", "-c", "reportd.conf", stdin=PASSWORD + "\n")
    assert done.returncode == 1 and "issuer corp" in done.stderr


@everywhere
def test_nobody_takes_the_name_that_another_user_will_need(shared, corp):
    """With the hash of another subject, which anybody can compute."""
    suffix = "#" + hashlib.sha256(f"{corp.url}\numa".encode()).hexdigest()[:16]
    names = [bearer(shared, corp.token(subject)).get("/User/Me").json()["data"]["name"] for subject in ("UMA", "uma" + suffix, "uma" + suffix.upper(), "uma")]
    assert names[0] == "corp:UMA" and names[3] == "corp:uma" + suffix
    assert all(re.fullmatch("corp:uma(#[0-9a-f]{16}){2}", name, re.I) for name in names[1:3])


@everywhere
def test_such_a_user_has_no_password(shared, corp):
    client = bearer(shared, corp.token("pia"))
    assert client.list().status_code == 200
    failed(Client(shared.url).call("POST", "/User/Login", json={"username": "corp:pia", "password": ""}), 401)
    failed(Client(shared.url).call("POST", "/User/Login", json={"username": "corp:pia", "password": PASSWORD}), 401)
    failed(client.call("POST", "/User/Password", json={"oldPassword": "", "newPassword": PASSWORD}), 403, "identity provider")
    failed(client.call("POST", "/User/Logout", json={}), 403, "identity provider")
    failed(client.call("POST", "/User/RefreshToken", json={"refreshToken": "x"}), 403, "identity provider")
    (session,) = client.get("/User/Sessions").json()["data"]
    assert session["current"] is True
    failed(client.call("DELETE", "/User/Session", params={"id": session["id"]}), 403, "identity provider")
    done = shared.run("user", "passwd", "corp:pia", "-c", "reportd.conf", stdin=PASSWORD + "\n")
    assert done.returncode == 1 and "identity provider" in done.stderr


@everywhere
def test_a_disabled_user_is_refused_at_once_with_any_token(shared, corp):
    token = corp.token("dan")
    assert opens(shared, token)
    shared.user("disable", "corp:dan")
    assert not opens(shared, token) and not opens(shared, corp.token("dan", jti="another"))
    shared.user("enable", "corp:dan")
    assert opens(shared, token)
    shared.user("allow", "corp:dan", "192.0.2.1")
    assert not opens(shared, token) and not opens(shared, corp.token("dan", jti="third"))
    failed(Client(shared.url, token).status(str(uuid.uuid4())), 401, "this address")
    refusal = re.compile(r"token\.refused request=\S+ user=corp:dan address=127\.0\.0\.1")
    poll(lambda: len(refusal.findall(shared.log_text())) == 3, what="a line for each")
    shared.user("allow", "corp:dan")
    assert opens(shared, token)


@everywhere
def test_a_removed_user_starts_with_nothing(shared, corp):
    shared.user("list")
    token = corp.token("rob")
    client = bearer(shared, token)
    client.list()
    shared.user("grant", "corp:rob", "Quick")
    reference = client.complete("Quick", ProductID="1")
    shared.user("remove", "corp:rob")
    assert "corp:rob" not in users(shared)
    assert client.references() == [] and types(client) == []
    assert "Unknown" in client.status(reference).json()["message"]


# --- groups ---------------------------------------------------------------------------------------


@everywhere
def test_a_user_may_run_what_its_groups_may(shared, corp):
    client = bearer(shared, corp.token("gus", groups=["clerks", "Clerks", "x\ncorp:chiefs", 1, None]))
    assert types(client) == []
    group(shared, "add", "corp:clerks", "--grant", "Quick")
    group(shared, "add", "corp:chiefs", "--grant", "*", "--operator")
    assert types(client) == ["Quick"]
    group(shared, "grant", "corp:clerks", "Short")
    assert types(client) == ["Quick", "Short"]
    shared.user("grant", "corp:gus", "Nested")
    assert types(client) == ["Nested", "Quick", "Short"]
    failed(client.get("/Admin/Overview"), 403)
    group(shared, "operator", "corp:clerks", "on")
    assert client.get("/Admin/Overview").status_code == 200
    assert client.get("/User/Me").json()["data"]["operator"] is True
    (listed,) = [one for one in json.loads(group(shared, "list", "--json")) if one["name"] == "corp:clerks"]
    assert listed == {"name": "corp:clerks", "operator": True, "members": 1, "grants": ["Quick", "Short"]}
    group(shared, "operator", "corp:clerks", "off")
    group(shared, "revoke", "corp:clerks", "Quick")
    assert types(client) == ["Nested", "Short"]
    failed(client.get("/Admin/Overview"), 403)
    group(shared, "remove", "corp:clerks")
    assert types(client) == ["Nested"]
    group(shared, "remove", "corp:chiefs")


@everywhere
def test_what_a_group_may_not_run_any_more_ends(shared, corp):
    group(shared, "add", "corp:enders", "--grant", "Endless", "Quick")
    client = bearer(shared, corp.token("eda", groups="enders"))
    reference = client.order("Endless")
    client.wait_for(reference, "processing")
    group(shared, "revoke", "corp:enders", "Endless")
    assert "no longer" in client.finish(reference).json()["message"]
    assert "may not" in client.submit("Endless").json()["message"] or client.submit("Endless").status_code == 403
    client.delete_all()


@everywhere
def test_what_a_newer_token_takes_from_a_user_ends(shared, corp):
    """Running and queued; what the user may still run goes on."""
    group(shared, "add", "corp:leavers", "--grant", "Endless")
    group(shared, "add", "corp:stayers", "--grant", "Endless2")
    shared.user("list")
    token = corp.token("lew", groups=["leavers", "stayers"])
    client = bearer(shared, token)
    running, queued = client.order("Endless"), client.order("Endless")
    client.wait_for(running, "processing")
    assert opens(shared, corp.token("lew", groups=["leavers", "stayers"], jti="same groups"))
    assert client.state(running) == "processing"
    assert opens(shared, corp.token("lew", groups=["leavers"], iat=corp.claims()["iat"] - 100))  # an older one
    assert client.state(running) == "processing"
    assert opens(shared, corp.token("lew", groups=["stayers"], jti="fewer"))
    for reference in (running, queued):
        assert "no longer" in client.finish(reference).json()["message"]
    failed(client.submit("Endless"), 403)  # with the older token, too
    client.delete_all()
    group(shared, "remove", "corp:leavers")
    group(shared, "remove", "corp:stayers")


def test_what_a_token_takes_on_one_node_another_one_does_not_start_meanwhile(make_cluster, tmp_path):
    """As long as the change is not committed, the other node sees the old groups."""
    provider = Provider(tmp_path)
    cluster = make_cluster(nodes=2, sections=provider.section())
    first, second = cluster.nodes
    group(first, "add", "corp:leavers", "--grant", "Endless")
    client = bearer(second, provider.token("lew", groups=["leavers"], iat=provider.claims()["iat"] - 10))
    assert client.list().status_code == 200
    answers = []

    def waits(kind):
        return cluster.sql(f"SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = '{kind}'")

    def is_started():
        return answers and client.state(answers[0].json()["data"]) == "processing"

    calls = [threading.Thread(target=opens, args=(first, provider.token("lew", groups=["stayers"]))),
             threading.Thread(target=lambda: answers.append(client.submit("Endless")))]
    with cluster.postgres.transaction("LOCK TABLE reportd.session IN EXCLUSIVE MODE", cluster.database):
        calls[0].start()
        poll(lambda: waits("relation"), what="the change")
        calls[1].start()
        poll(lambda: waits("advisory") or is_started(), what="the other node")
    for call in calls:
        call.join(PATIENCE)
    if answers[0].status_code == 200:  # the wait for the lock was over before
        assert "no longer" in client.finish(answers[0].json()["data"]).json()["message"]
    else:
        failed(answers[0], 403)


def test_what_a_group_loses_on_one_node_another_one_does_not_start_meanwhile(make_cluster, tmp_path):
    """A submit that is not committed has been checked against the group as it was, and its claim too."""
    provider = Provider(tmp_path)
    cluster = make_cluster(nodes=2, sections=provider.section())
    first, second = cluster.nodes
    group(first, "add", "corp:makers", "--grant", "Endless", "Quick")
    client = bearer(second, provider.token("mia", groups=["makers"]))
    client.complete("Quick", ProductID="1")  # from now on the user has a turn
    answers = []
    calls = [threading.Thread(target=lambda: answers.append(client.submit("Endless"))),
             threading.Thread(target=group, args=(first, "revoke", "corp:makers", "Endless"))]

    def blocked():
        return len(cluster.sql("SELECT 1 FROM pg_locks WHERE NOT granted"))

    with cluster.postgres.transaction("SELECT FROM reportd.turn FOR UPDATE", cluster.database):
        calls[0].start()
        poll(lambda: blocked() or answers, what="the claim")
        calls[1].start()
        poll(lambda: blocked() > 1 or not calls[1].is_alive(), what="the change")  # a claim of the other node may wait, too
    for call in calls:
        call.join(PATIENCE)
    if answers[0].status_code == 200:
        assert "no longer" in client.finish(answers[0].json()["data"]).json()["message"]
    else:  # the claim has waited too long, and was tried again, or given up
        assert answers[0].status_code in (403, 503), answers[0].text


@everywhere
def test_a_key_of_such_a_user_expires_within_90_days(shared, corp):
    """For nothing says when the user leaves a group, once only the key is used."""
    bearer(shared, corp.token("kim")).list()
    for expires in ((), ("--expires", "91d"), ("--expires", "2161h")):
        done = shared.run("key", "add", "-c", "reportd.conf", "kim", "--user", "corp:kim", *expires)
        assert done.returncode == 1 and "at most 90d" in done.stderr and done.stdout == ""
    done = shared.run("key", "add", "-c", "reportd.conf", "kim", "--user", "corp:kim", "--expires", "90d")
    assert done.returncode == 0 and opens(shared, done.stdout.strip())
    shared.run("key", "remove", "-c", "reportd.conf", "kim")


@everywhere
def test_the_token_that_was_issued_last_says_the_groups(shared, corp):
    group(shared, "add", "corp:late", "--grant", "Quick")
    now = corp.claims()["iat"]
    old, new = corp.token("lea", iat=now - 100, groups=["late"]), corp.token("lea", iat=now - 50, groups=[])
    before = corp.token("lea", iat=now - 200, groups=["late"])
    assert types(bearer(shared, old)) == ["Quick"]
    assert types(bearer(shared, new)) == []
    assert types(bearer(shared, before)) == [] and types(bearer(shared, old)) == []
    undated = corp.token("lea", iat=None, groups=["late"])  # it may have been kept for as long
    assert types(bearer(shared, undated)) == []
    assert types(bearer(shared, corp.token("lea", groups=["late"]))) == ["Quick"]
    assert types(bearer(shared, corp.token("lea", groups=[]))) == []


@everywhere
def test_of_tokens_without_iat_the_one_that_came_last_says_the_groups(shared, corp):
    group(shared, "add", "corp:undated", "--grant", "Quick")
    assert types(bearer(shared, corp.token("lou", iat=None, groups=["undated"]))) == ["Quick"]
    assert types(bearer(shared, corp.token("lou", iat=None, groups=[]))) == []


@pytest.mark.parametrize("words, problem", [
    (("add", "staff"), "ISSUER:GROUP"), (("add", "nobody:staff"), "ISSUER:GROUP"), (("grant", "corp:nobody", "Quick"), "no group"),
    (("remove", "corp:nobody"), "no group"), (("operator", "corp:x", "maybe"), "neither on nor off"), (("add", "corp:\x07"), "control"),
    (("add", "corp:"), "names no group"), (("add", "corp:a\u2028b"), "control")])
def test_what_is_no_group_is_refused(shared, words, problem):
    done = shared.run("group", words[0], "-c", "reportd.conf", *words[1:])
    assert done.returncode == 1 and problem in done.stderr


# --- what holds -----------------------------------------------------------------------------------


each_provider = pytest.mark.parametrize("name", ("corp", "other", "third", "fourth"))


@pytest.fixture(scope="module")
def strangers():
    """Keys of other people."""
    return {name: new_key(name) for name in ALGORITHMS}


@each_provider
def test_no_forged_token_is_accepted(shared, providers, strangers, name):
    provider = providers[name]
    tokens = list(forged_tokens(provider, strangers))
    assert len(tokens) > 200
    assert opens(shared, provider.token())
    before = set(users(shared))
    client = Client(shared.url)
    statuses = {}
    for what, token in tokens:
        client.token = token.encode("latin-1", "replace")
        statuses[what] = client.get("/User/Me").status_code
    assert {what: status for what, status in statuses.items() if status != 401} == {}
    assert opens(shared, provider.token())
    assert set(users(shared)) == before


@each_provider
def test_what_a_provider_may_write_is_accepted(shared, providers, name):
    provider, server = providers[name], shared
    now = provider.claims()["iat"]
    tokens = [provider.token(), provider.token(aud=["x", "reportd"]), provider.token(exp=now - 30), provider.token(nbf=now + 30, iat=now + 30),
              provider.token(exp=now + 10.5), provider.token(iat=None), provider.odd(drop=("typ",)), provider.odd({"typ": "at+jwt"}),
              provider.odd({"typ": "application/at+jwt"}), provider.odd({"x5t": "x", "jku": "https://evil.example.com"}),
              provider.token(padding="x" * 5000)]
    assert [bearer(server, token).list().status_code for token in tokens] == [200] * len(tokens)


def test_keys_are_read_again_at_sighup_and_those_that_are_gone_open_nothing(make_server, tmp_path):
    provider = Provider(tmp_path)
    server = make_server(sections=provider.section())
    old, new = provider.token(), new_key(kid="two")
    assert opens(server, old)
    provider.write("{}")
    server.reload()
    server.await_log("issuer.unusable")
    assert opens(server, old)
    provider.publish(new)
    provider.file.chmod(0o666)
    server.reload()
    server.await_log("(mode 0666): chmod go-w")
    assert opens(server, old) and not opens(server, provider.token(key=new))
    provider.file.chmod(0o644)
    server.reload()
    assert not opens(server, old)
    assert opens(server, provider.token(key=new))
    provider.publish()
    server.reload()
    assert not opens(server, provider.token(key=new))


@everywhere
def test_streams_of_a_key_that_is_gone_end_and_the_others_go_on(make_server, tmp_path):
    """However long its tokens were to be valid, for who signs them chooses that."""
    provider = Provider(tmp_path)
    server = make_server(sections=provider.section())
    stolen, new = provider.key, new_key(kid="two")
    provider.publish(stolen, new)
    server.reload()
    group(server, "add", "corp:some", "--grant", "Quick")
    thief = bearer(server, provider.token("ann", key=stolen, exp=9 * 10**15))
    owner, local = bearer(server, provider.token("ann", key=new, groups=["some"])), server.client(ALICE)
    with Events(thief) as lost, Events(owner) as kept, Events(local) as ours:
        seen = owner.complete("Quick", ProductID="1")
        for stream in (lost, kept):
            stream.wait_for(seen, "complete")
        provider.publish(new)
        server.reload()
        for stream in (lost, kept):
            poll(lambda one=stream: one.ended, what="the end of the stream")
        assert Events(thief).answer.status == 401
        missed = owner.complete("Quick", ProductID="1")
        with Events(owner, kept.last_id) as again:
            again.wait_for(missed, "complete")
            assert again.of(seen) == [] and again.states(missed)[0] == "queued"
        ours.wait_for(local.complete("Quick", ProductID="1"), "complete")
        assert not ours.ended and lost.of(missed) == []


@everywhere
def test_a_token_that_never_expires_is_in_the_store_for_a_day(shared, corp):
    token = corp.token("forever", exp=9 * 10**15)
    (session,) = bearer(shared, token).get("/User/Sessions").json()["data"]
    day = datetime.timedelta(days=1)
    assert datetime.datetime.fromisoformat(session["expiresAt"].rstrip("Z")) <= datetime.datetime.utcnow() + day


def test_an_unknown_key_is_looked_for_in_the_file_every_30_seconds(clock, make_server, tmp_path):
    provider = Provider(tmp_path)
    server = make_server(sections=provider.section())
    new = new_key(kid="two")
    provider.publish(provider.key, new)
    assert not opens(server, provider.token(key=new))
    clock.jump(31 * SECOND)
    assert opens(server, provider.token(key=new)) and opens(server, provider.token())


@pytest.fixture
def held(clock, new_server, tmp_path):
    """A server, its provider, and the gate where the thread waits that has read the file for an unknown key."""
    provider = Provider(tmp_path)
    server = new_server(sections=provider.section(), http_threads=8)
    gate = Gate(server, "issuer.keys.read")
    plan(server, gate.seam, trace=gate.trace, clock=clock.path)
    server.start()
    clock.jump(31 * SECOND)
    yield server, provider, gate
    gate.open()


@contextlib.contextmanager
def asking(server, *tokens):
    """Requests at the same time; yields whether each opened, once they have been answered."""
    opened = {}
    threads = [threading.Thread(target=lambda token=token: opened.update({token: opens(server, token)})) for token in tokens]
    for thread in threads:
        thread.start()
    yield opened
    for thread in threads:
        thread.join(PATIENCE)


def test_a_new_key_in_the_file_opens_while_another_request_has_it_read(held):
    server, provider, gate = held
    new = new_key(kid="two")
    provider.publish(provider.key, new)
    with asking(server, provider.token(key=new, n=1)) as first:
        gate.wait()
        with asking(server, provider.token(key=new, n=2)) as second:
            group(server, "list")  # meanwhile it could be refused
            gate.open()
    assert [*first.values(), *second.values()] == [True, True]


def test_a_key_that_is_gone_is_not_brought_back_by_who_has_read_it_before(held):
    server, provider, gate = held
    old, new = provider.token(), new_key(kid="two")
    assert opens(server, old)
    with asking(server, provider.token(key=new_key(kid="unknown"))):
        gate.wait()
        provider.publish(new)
        server.process.send_signal(signal.SIGHUP)
        group(server, "list")  # meanwhile the new keys could be read
        gate.open()
    server.await_log("definitions.reload")
    assert opens(server, provider.token(key=new)) and not opens(server, old)


ODD_SETS = {
    "no JSON": "{", "no set": "[]", "no keys": '{}', "keys twice": '{"keys": [], "keys": []}', "keys that are none": '{"keys": [1, null, [], {}]}',
    "too many": json.dumps({"keys": [{}] * 65}), "too long": '{"keys": [' + " " * 300000 + "]}",
}


@pytest.mark.parametrize("text", ODD_SETS.values(), ids=ODD_SETS)
def test_a_file_without_a_key_of_use_is_refused_at_the_start(tmp_path, text):
    provider = Provider(tmp_path)
    server = Server.made(tmp_path / "server", sections=provider.section())
    provider.write(text)
    done = server.run("serve", "--check", "-c", "reportd.conf")
    assert done.returncode == 1 and "keys of the issuer corp" in done.stderr


@pytest.mark.parametrize("section, problem", [
    ({"audience": ""}, "takes url"), ({"keys": "/nowhere"}, "can't be read"), ({"user_claim": ""}, "takes url"), ({"unknown": "x"}, "unknown")])
def test_a_section_that_says_too_little_is_refused(tmp_path, section, problem):
    server = Server.made(tmp_path / "server", sections=Provider(tmp_path).section(**section))
    done = server.run("serve", "--check", "-c", "reportd.conf")
    assert done.returncode == 1 and problem in done.stderr, done.stderr


def test_two_sections_of_one_provider_are_refused(tmp_path):
    provider = Provider(tmp_path)
    server = Server.made(tmp_path / "server", sections=provider.section() + provider.section().replace("issuer corp", "issuer two"))
    done = server.run("serve", "--check", "-c", "reportd.conf")
    assert done.returncode == 1 and "same name or url" in done.stderr


