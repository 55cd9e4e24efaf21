"""`reportd signing-key`: keys are replaced under a running server, and nobody is logged out."""

import base64
import json
import os
import stat
import subprocess

import pytest

from conftest import ALICE
from harness import REPORTD, Client, failed, opens, poll
from seams import DEATH, plan
from stores import STORES
from test_receipts import checked, deleted, published
from test_session import renew, token_and_cookie
from test_session import login as login_with_cookie

pytestmark = pytest.mark.stores(*STORES)


def verb(server, *words):
    return subprocess.run([REPORTD, "signing-key", *words], cwd=server.folder, text=True,
                          env=server.environment, capture_output=True, timeout=60)


def rotate(server, which="token"):
    done = verb(server, "rotate", which)
    assert done.returncode == 0, done.stderr


def ids(server, which="token"):
    """Of the keys, the one that signs first."""
    lines = [line.split("\t") for line in verb(server, "list").stdout.splitlines()]
    found = [(key, use) for kind, key, use in lines if kind == which]
    assert [use for _, use in found] == ["signs"] + ["replaced"] * (len(found) - 1)
    return [key for key, _ in found]


def kid(token):
    return json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))["kid"]


def refreshed(server, client):
    """The answer to the client's pair."""
    return Client(server.url, client.token).call("POST", "/User/RefreshToken", json={"refreshToken": client.refresh_token})


def logged_in(server):
    client = Client(server.url)
    client.login(ALICE)
    return client


def test_a_rotation_logs_nobody_out_however_quickly_another_follows(make_server):
    server = make_server(workers=1)
    clients = [logged_in(server)]
    _, cookie = token_and_cookie(login_with_cookie(server))
    reference = clients[0].complete("Quick", ProductID="1")
    link = clients[0].call("POST", "/Report/Link", json={"reference": reference, "format": "json"}).json()["data"]["url"]
    for _ in range(2):
        rotate(server)
        clients.append(logged_in(server))  # the server still signs with what it has
        server.reload()
        clients.append(logged_in(server))
    renewed = refreshed(server, clients[0]).json()  # it is asked again below
    rotate(server)
    rotate(server)
    server.reload()
    server.await_log(f"key.changed key=key_file signs={ids(server)[0]}")
    assert len(ids(server)) == 5 and kid(clients[0].token) == ids(server)[4] and kid(clients[-1].token) == ids(server)[2]
    assert stat.S_IMODE((server.folder / "token.key").stat().st_mode) == 0o600
    again = refreshed(server, clients[0]).json()
    assert again["refreshToken"] == renewed["refreshToken"] and kid(again["accessToken"]) != kid(renewed["accessToken"])
    for client in clients[1:]:
        assert opens(server, client.token)
        pair = refreshed(server, client)
        assert pair.status_code == 200 and kid(pair.json()["accessToken"]) == ids(server)[0]
    assert renew(server, cookie).status_code == 200
    assert Client(server.url).get(link).content == Client(server.url, pair.json()["accessToken"]).result(reference).content
    server.stop()
    server.start()
    assert opens(server, pair.json()["accessToken"])


def test_a_retired_key_opens_nothing_and_ends_the_sessions(make_server):
    server = make_server()
    old = logged_in(server)
    _, cookie = token_and_cookie(login_with_cookie(server))
    assert verb(server, "retire", "token", "--", ids(server)[0]).returncode == 1  # it signs
    rotate(server)
    done = verb(server, "retire", "token", "--", ids(server)[1])
    assert done.returncode == 0 and "2 sessions have ended" in done.stdout, done.stderr
    poll(lambda: not opens(server, old.token), what="the end of the session")  # without a SIGHUP
    server.reload()
    failed(refreshed(server, old), 401)
    failed(renew(server, cookie), 401)
    assert opens(server, logged_in(server).token)


@pytest.mark.parametrize("change", [{"kid": "../../../dev/null"}, {"kid": "' OR '1'='1"}, {"kid": ""}, {"alg": "none"},
                                    {"jku": "http://127.0.0.1:1/"}])
def test_no_header_but_its_keys_own_is_believed(server, change):
    head, payload, signature = server.client(ALICE).token.split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "==")) | change
    forged = base64.urlsafe_b64encode(json.dumps(header, separators=(",", ":")).encode()).decode().rstrip("=")
    for token in (f"{forged}.{payload}.{signature}", f"{forged}.{payload}."):
        answer = Client(server.url, token).list()
        failed(answer, 401)
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_receipts_stay_verifiable_after_rotations_until_their_key_is_retired(make_server):
    server = make_server()
    alice = server.client(ALICE)
    receipts = []
    for _ in range(2):
        receipts.append(deleted(alice, alice.order("Quick", ProductID="1")))
        rotate(server, "receipt")
        server.reload()
    keys = published(server.url)
    assert len({kid(receipt) for receipt in receipts}) == 2 and '"d"' not in keys
    assert [key["kid"] for key in json.loads(keys)["keys"]] == ids(server, "receipt")
    for receipt in receipts:
        assert checked(receipt, keys)["sub"] == ALICE
        assert server.run("receipt", "-c", "reportd.conf", receipt).returncode == 0
    assert verb(server, "retire", "receipt", "--", kid(receipts[0])).returncode == 0
    server.reload()
    assert kid(receipts[0]) not in published(server.url) and kid(receipts[1]) in published(server.url)
    assert "not among the known" in server.run("receipt", "-c", "reportd.conf", receipts[0]).stderr
    server.stop()
    server.start()


@pytest.mark.stores("sqlite")
@pytest.mark.parametrize("step", ["key_file.make.written", "key_file.replace.renamed"])
@pytest.mark.parametrize("which", ["token", "receipt"])
def test_a_crash_at_any_step_of_a_rotation_leaves_keys_that_work(make_server, which, step):
    server = make_server()
    old = logged_in(server)
    receipt = deleted(old, old.order("Quick", ProductID="1"))
    plan(server, f"{step}=crash")
    assert verb(server, "rotate", which).returncode == DEATH
    plan(server)
    server.reload()
    assert len(ids(server, which)) == (1 if step.endswith("written") else 2)
    assert opens(server, old.token) and refreshed(server, old).status_code == 200
    assert checked(receipt, published(server.url))["sub"] == ALICE
    rotate(server, which)
    assert not list(server.folder.glob("*.new"))


@pytest.mark.stores("sqlite")
def test_rotations_at_the_same_time_lose_no_key(make_server):
    server = make_server()
    running = [subprocess.Popen([REPORTD, "signing-key", "rotate", "token"], cwd=server.folder, stdout=subprocess.DEVNULL)
               for _ in range(6)]
    assert [process.wait(60) for process in running] == [0] * 6
    assert len(set(ids(server))) == 7


@pytest.mark.stores("sqlite")
def test_a_key_file_that_is_a_link_stays_one(make_server, tmp_path):
    server = make_server()
    for name in ("token", "receipt"):
        path, shared = server.folder / f"{name}.key", tmp_path / f"{name}.shared"
        path.rename(shared)
        path.symlink_to(shared)
        before = shared.read_bytes()
        rotate(server, name)
        assert path.is_symlink() and shared.read_bytes() != before and len(ids(server, name)) == 2


@pytest.mark.stores("sqlite")
def test_a_pipe_in_the_place_of_a_key_file_keeps_nobody_waiting(make_server):
    server = make_server()
    client, key = logged_in(server), server.folder / "token.key"
    key.unlink()
    os.mkfifo(key, 0o600)
    assert not opens(server, client.token[:-4] + "AAAA") and opens(server, client.token)
    server.reload()
    server.await_log("is not a file")
    for words in (["list"], ["rotate", "token"]):
        assert "is not a file" in verb(server, *words).stderr


@pytest.mark.stores("sqlite")
def test_a_key_file_that_has_gone_or_is_broken_leaves_the_keys_that_there_are(make_server):
    server = make_server()
    client = logged_in(server)
    key = server.folder / "token.key"
    whole = key.read_bytes()
    key.write_bytes(whole[1:])
    server.reload()
    server.await_log("key.unusable key=key_file")
    key.unlink()
    server.reload()
    assert not key.exists() and opens(server, client.token) and opens(server, logged_in(server).token)
    key.write_bytes(whole)
    key.chmod(0o600)
    server.reload()
    assert opens(server, client.token)


@pytest.mark.stores("sqlite")
def test_what_the_verb_does_not_know_is_wrong_usage(make_server):
    server = make_server()
    for words in ([], ["renew"], ["rotate"], ["rotate", "both"], ["retire", "token"], ["rotate", "token", "more"]):
        assert verb(server, *words).returncode == 2, words
    assert verb(server, "retire", "receipt", "nonsense").returncode == 1


@pytest.mark.stores("postgres-rows")
def test_nodes_that_share_the_file_know_a_new_key_before_they_are_told(make_cluster):
    cluster = make_cluster(nodes=2)
    first, second = cluster.nodes
    old = logged_in(second)
    rotate(first)
    first.reload()
    new = logged_in(first)
    assert kid(new.token) != kid(old.token)
    again = refreshed(first, old).json()
    assert refreshed(second, old).json()["refreshToken"] == again["refreshToken"]  # made with a key it has not read yet
    assert opens(second, new.token) and opens(first, old.token)
    assert kid(logged_in(second).token) == kid(new.token)
    rotate(second, "receipt")
    second.reload()
    receipt = deleted(new, new.order("Quick", ProductID="1"))
    first.reload()
    assert checked(receipt, published(second.url)) and kid(receipt) in published(first.url)
