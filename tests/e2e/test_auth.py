"""Login, tokens, lockout: doc/api.md § Every request, § User."""

import base64
import hashlib
import hmac
import json
import stat
import time
from unittest.mock import ANY

import pytest

from conftest import ALICE
from harness import PASSWORD, Client, failed, opens, poll
from seams import plan
from stores import STORES


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def forged(server, token, header=None, key=None, **claims):
    """The token with other claims, signed with the server's own key unless another is given."""
    head, payload, _ = token.split(".")
    if header is not None:
        head = b64(json.dumps(header, separators=(",", ":")).encode())
    payload = b64(json.dumps({**json.loads(unb64(payload)), **claims}).encode())
    key = key if key is not None else (server.folder / "token.key").read_bytes()
    return f"{head}.{payload}." + b64(hmac.digest(key, f"{head}.{payload}".encode(), "sha256"))


def login(server, name, password, address=None, **headers):
    return Client(server.url, address=address).call("POST", "/User/Login", headers,
                                                    json={"username": name, "password": password})


def test_login_answers_two_bare_tokens(server):
    answer = login(server, "alice", PASSWORD)
    assert answer.status_code == 200
    assert set(answer.json()) == {"accessToken", "refreshToken"}
    assert answer.headers["Content-Type"].startswith("application/json")


def test_an_access_token_is_a_jwt_of_20_minutes(server):
    token = login(server, "alice", PASSWORD).json()["accessToken"]
    head, payload, _ = map(lambda part: part, token.split("."))
    claims = json.loads(unb64(payload))
    assert json.loads(unb64(head)) == {"alg": "HS256", "kid": ANY, "typ": "JWT"}
    assert claims["exp"] - claims["iat"] == 20 * 60
    assert abs(claims["iat"] - time.time()) < 60


def test_user_names_match_in_any_case(server):
    assert login(server, "ALICE", PASSWORD).status_code == 200


def test_login_needs_the_version_header(server):
    failed(login(server, "alice", PASSWORD, Version=None), 400, "Version: 2.0")
    failed(login(server, "alice", PASSWORD, Version="1.0"), 400, "Version: 2.0")


@pytest.mark.parametrize("body", [
    {}, {"username": "alice"}, {"password": "x"}, {"username": 1, "password": "x"},
    {"username": "alice", "password": "x" * 256}, {"username": "a" * 256, "password": "x"},
])
def test_a_malformed_login_is_a_400(server, body):
    failed(Client(server.url).call("POST", "/User/Login", json=body), 400)


def test_the_keys_of_a_login_match_in_any_case(server):
    body = {"UserName": "alice", "PASSWORD": PASSWORD}
    assert Client(server.url).call("POST", "/user/login", json=body).status_code == 200


def test_a_wrong_password_and_an_unknown_user_are_answered_alike(server, dora):
    wrong = login(server, dora, "wrong")
    unknown = login(server, "nobody", "wrong")
    assert failed(wrong, 401) == failed(unknown, 401)
    assert wrong.headers["WWW-Authenticate"] == unknown.headers["WWW-Authenticate"]


def test_three_failures_lock_the_account(server, dora):
    for _ in range(3):
        failed(login(server, dora, "wrong"), 401)
    failed(login(server, dora, PASSWORD), 401)


def test_two_failures_do_not_lock_the_account(server, dora):
    for _ in range(2):
        failed(login(server, dora, "wrong"), 401)
    assert login(server, dora, PASSWORD).status_code == 200
    for _ in range(2):  # the success cleared the count
        failed(login(server, dora, "wrong"), 401)
    assert login(server, dora, PASSWORD).status_code == 200


OWNER, STRANGER = "127.0.0.2", "127.0.0.3"


@pytest.mark.stores(*STORES)
def test_a_stranger_does_not_lock_out_who_has_logged_in_from_elsewhere(server, dora):
    assert login(server, dora, PASSWORD, OWNER).status_code == 200
    for _ in range(3):
        failed(login(server, dora, "wrong", STRANGER), 401)
    failed(login(server, dora, PASSWORD, STRANGER), 401)
    failed(login(server, dora, PASSWORD), 401)  # from a third address, too
    assert login(server, dora, PASSWORD, OWNER).status_code == 200


@pytest.mark.stores(*STORES)
def test_failures_where_somebody_has_logged_in_lock_only_that_address(server, dora):
    assert login(server, dora, PASSWORD, OWNER).status_code == 200
    for _ in range(3):
        failed(login(server, dora, "wrong", OWNER), 401)
    failed(login(server, dora, PASSWORD, OWNER), 401)
    assert login(server, dora, PASSWORD, STRANGER).status_code == 200
    server.user("enable", dora)
    assert login(server, dora, PASSWORD, OWNER).status_code == 200


@pytest.mark.stores(*STORES)
def test_other_addresses_of_an_owners_ipv6_network_are_the_owners(make_server):
    """Privacy extensions change the last 64 bits every day."""
    server = make_server(trusted_proxies="127.0.0.1")

    def try_from(client, password=PASSWORD):
        return login(server, "alice", password, **{"X-Forwarded-For": client}).status_code

    assert try_from("2001:db8:0:1::a") == 200
    assert [try_from("2001:db8:0:2::a", "wrong") for _ in range(3)] == [401] * 3
    assert try_from("2001:db8:0:2::b") == 401
    assert try_from("2001:db8:0:1:ffff::b") == 200
    assert [try_from(f"2001:db8:0:1::{i}", "wrong") for i in range(3)] == [401] * 3
    assert try_from("2001:db8:0:1::a") == 401


def test_enabling_lifts_a_lock(server, dora):
    for _ in range(3):
        login(server, dora, "wrong")
    server.user("enable", dora)
    assert login(server, dora, PASSWORD).status_code == 200


def test_a_disabled_account_is_locked_out_at_once(server, dora):
    token = login(server, dora, PASSWORD).json()["accessToken"]
    assert opens(server, token)
    server.user("disable", dora)
    failed(login(server, dora, PASSWORD), 401)
    assert not opens(server, token)
    server.user("enable", dora)
    assert login(server, dora, PASSWORD).status_code == 200


def test_a_new_password_ends_all_sessions(server, dora):
    token = login(server, dora, PASSWORD).json()["accessToken"]
    server.user("passwd", dora, stdin="another password\n")
    assert not opens(server, token)
    failed(login(server, dora, PASSWORD), 401)
    assert login(server, dora, "another password").status_code == 200


def test_the_allow_list_keeps_other_addresses_out(server, dora):
    server.user("allow", dora, "192.0.2.0/24")
    failed(login(server, dora, PASSWORD), 401)
    server.user("allow", dora, "192.0.2.0/24", "127.0.0.0/8")
    assert login(server, dora, PASSWORD).status_code == 200


def test_the_token_is_taken_raw_and_as_bearer(server, alice):
    assert opens(server, alice.token)
    assert opens(server, "Bearer " + alice.token)
    assert opens(server, "bearer " + alice.token)


def test_without_a_token_the_answer_says_how_to_get_one(server):
    answer = Client(server.url).list()
    failed(answer, 401, "/User/Login")
    assert "Bearer" in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "Bearer ", "Basic YWxpY2U6eA==", "." * 5000])
def test_what_is_no_token_is_refused(server, token):
    assert not opens(server, token)


def test_a_token_that_was_changed_is_refused(server, alice):
    head, payload, mac = alice.token.split(".")
    claims = json.loads(unb64(payload))
    other = b64(json.dumps({**claims, "exp": claims["exp"] + 3600}).encode())
    assert not opens(server, f"{head}.{other}.{mac}")
    assert not opens(server, f"{head}.{payload}.{mac[::-1]}")
    assert not opens(server, f"{head}.{payload}.")
    assert not opens(server, forged(server, alice.token, key=b"\0" * 32))


def test_other_algorithms_are_refused(server, alice):
    head = b64(b'{"alg":"none","typ":"JWT"}')
    assert not opens(server, f"{head}.{alice.token.split('.')[1]}.")
    assert not opens(server, forged(server, alice.token, header={"alg": "HS512", "typ": "JWT"}))


def test_an_expired_token_is_refused(server, alice):
    past = int(time.time()) - 1
    assert opens(server, forged(server, alice.token))  # the forgery itself works
    failed(Client(server.url, forged(server, alice.token, exp=past)).list(), 401, "expired")


def test_the_key_file_is_readable_by_its_owner_only(server):
    assert stat.S_IMODE((server.folder / "token.key").stat().st_mode) == 0o600


def refresh(server, access, token):
    return Client(server.url, access).call("POST", "/User/RefreshToken",
                                           json={"refreshToken": token})


def test_a_refresh_revokes_the_old_pair(server, dora):
    old = login(server, dora, PASSWORD).json()
    answer = refresh(server, old["accessToken"], old["refreshToken"])
    assert answer.status_code == 200 and set(answer.json()) == {"accessToken", "refreshToken"}
    server.store.age_tokens()
    assert not opens(server, old["accessToken"])
    assert opens(server, answer.json()["accessToken"])


def test_an_expired_access_token_can_be_refreshed(server, dora):
    old = login(server, dora, PASSWORD).json()
    expired = forged(server, old["accessToken"], exp=int(time.time()) - 1)
    assert refresh(server, expired, old["refreshToken"]).status_code == 200


def test_a_refresh_token_used_twice_revokes_the_whole_chain(server, dora):
    old = login(server, dora, PASSWORD).json()
    new = refresh(server, old["accessToken"], old["refreshToken"]).json()
    assert refresh(server, old["accessToken"], old["refreshToken"]).json()["refreshToken"] == new["refreshToken"]
    server.store.age_tokens()
    failed(refresh(server, old["accessToken"], old["refreshToken"]), 401)
    assert not opens(server, new["accessToken"])
    failed(refresh(server, new["accessToken"], new["refreshToken"]), 401)


def test_a_refresh_needs_both_tokens_of_one_session(server, dora):
    first = login(server, dora, PASSWORD).json()
    second = login(server, dora, PASSWORD).json()
    failed(refresh(server, first["accessToken"], second["refreshToken"]), 401)
    failed(refresh(server, None, first["refreshToken"]), 401)
    failed(refresh(server, first["accessToken"], "unknown"), 401)
    failed(Client(server.url, first["accessToken"]).call("POST", "/User/RefreshToken", json={}), 400)


def test_sessions_are_independent(server, dora):
    first = login(server, dora, PASSWORD).json()
    second = login(server, dora, PASSWORD).json()
    refresh(server, first["accessToken"], first["refreshToken"])
    assert opens(server, second["accessToken"])


def test_no_password_and_no_token_is_kept_in_the_clear(server, alice):
    pair = login(server, "alice", PASSWORD).json()
    stored = b"".join(path.read_bytes() for path in server.folder.glob("store.db*"))
    text = server.log_text()
    for secret in (PASSWORD, pair["refreshToken"], pair["accessToken"]):
        assert secret.encode() not in stored
        assert secret not in text
    assert hashlib.sha256(pair["refreshToken"].encode()).digest() in stored


def test_a_failure_of_the_server_is_no_failed_login(make_server):
    """Three wrong passwords lock an account; the want of memory to check right ones does not."""
    server = make_server()
    server.stop()
    plan(server, "password.verify=ENOMEM@1+")
    server.start()
    for name in [ALICE] * 4 + ["nobody"]:
        answer = Client(server.url).call("POST", "/User/Login",
                                         json={"username": name, "password": PASSWORD})
        failed(answer, 503, "Out of memory")
        assert int(answer.headers["Retry-After"]) > 0 and "WWW-Authenticate" not in answer.headers
    server.stop()
    plan(server)
    server.start()
    assert server.client(ALICE).list().status_code == 200


def refusals(server, name):
    return [line.split(" reason=")[1] for line in server.log_text().splitlines()
            if " login.refused " in line and f" user={name} " in line and " address=127.0.0.1 " in line]


def test_the_log_says_who_came_from_where_and_why_a_login_was_refused(server, dora):
    client = Client(server.url)
    client.login(dora)
    reference = client.complete("Quick", ProductID="1")
    server.await_log(f" user={dora} address=127.0.0.1")  # login.done
    server.await_log(f"report.submitted reference={reference} report=Quick user={dora} address=127.0.0.1 ")
    login(server, dora, "wrong")
    server.user("allow", dora, "192.0.2.1")
    login(server, dora, PASSWORD)
    server.user("allow", dora)
    server.user("disable", dora)
    login(server, dora, PASSWORD)
    server.user("enable", dora)
    for _ in range(3):
        login(server, dora, "wrong")
    login(server, dora, PASSWORD)
    unknown = dora[:8] + "\u202e\x1b[2J and more that may be a password"
    login(server, unknown, "wrong")
    (line,) = poll(lambda: [line for line in server.log_text().splitlines() if '"unknown user"' in line and dora[:8] in line], what="its line")
    assert refusals(server, dora) == ['"wrong password"', "address", "disabled", *['"wrong password"'] * 3, "locked"]
    assert f' user="{dora[:8]}\\u202e\\u001b[2J' in line and "password" not in line and line.isascii()
    assert "wrong " not in server.log_text().replace("wrong password", "")
