"""The cookie of a login, logout, and a pair of tokens that is presented again: doc/api.md § User."""

import base64
import contextlib
import json
import re
import socket
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from conftest import ALICE
from events import Events
from fake_clock import SECOND
from harness import PASSWORD, Client, failed, opens, poll
from stores import STORES
from test_keys import COUNTS, Flood

pytestmark = pytest.mark.stores(*STORES)

JSON = {"Content-Type": "application/json"}
COOKIE = re.compile(r"rd_refresh=([0-9a-f-]{36}\.[\w-]{43}); Path=/User; Max-Age=2592000; HttpOnly; SameSite=Strict(; Secure)?")
NO_COOKIE = re.compile(r"rd_refresh=; Path=/User; Max-Age=0; HttpOnly; SameSite=Strict(; Secure)?")


def post(server, path, cookie=None, origin="own", data=None, **headers):
    """As a page does it; `cookie` is a value or the whole header, `origin` None leaves the header out."""
    if cookie is not None:
        headers["Cookie"] = cookie if "=" in cookie else f"rd_refresh={cookie}"
    if origin is not None:
        headers["Origin"] = server.url if origin == "own" else origin
    with requests.Session() as session:
        session.trust_env = False
        return session.post(server.url + path, data=data, headers={"Version": "2.0", **headers})


def login(server, name=ALICE, origin="own", query="?cookie=1"):
    return Client(server.url).call("POST", "/User/Login" + query, {"Origin": server.url if origin == "own" else origin},
                                   json={"username": name, "password": PASSWORD})


def token_and_cookie(answer):
    """Of a login or a refresh."""
    assert answer.status_code == 200 and set(answer.json()) == {"accessToken"}, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.json()["accessToken"], COOKIE.fullmatch(answer.headers["Set-Cookie"])[1]


def renew(server, cookie, **arguments):
    return post(server, "/User/RefreshToken", cookie, **arguments)


def refused(answer, status, *words):
    failed(answer, status, *words)
    assert "Set-Cookie" not in answer.headers and answer.headers["Cache-Control"] == "no-store"


# --- the cookie -----------------------------------------------------------------------------------


def test_a_login_with_a_cookie_keeps_the_refresh_token_out_of_the_body(server):
    token, cookie = token_and_cookie(login(server))
    assert opens(server, token)
    assert cookie.split(".")[1] not in login(server).text
    plain = login(server, query="")
    assert set(plain.json()) == {"accessToken", "refreshToken"} and "Set-Cookie" not in plain.headers
    assert plain.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("data, headers", [(None, {}), ("{}", JSON), ('{"other": 1}', JSON)], ids=["none", "empty", "other"])
def test_the_cookie_is_exchanged_without_an_access_token(server, data, headers):
    token, cookie = token_and_cookie(login(server))
    new_token, new_cookie = token_and_cookie(renew(server, cookie, data=data, **headers))
    assert new_cookie != cookie and opens(server, new_token)
    token_and_cookie(renew(server, "other=1; rd_refresh=" + new_cookie + "; more=2"))


def test_tokens_and_cookies_are_stored_as_hashes_only(server):
    token, cookie = token_and_cookie(login(server))
    token, cookie = token_and_cookie(renew(server, cookie))
    session, secret = cookie.split(".")
    assert server.holding(secret.encode(), cookie.encode(), token.encode()) == set()
    assert secret not in server.log_text() and token not in server.log_text()


def test_a_cookie_counts_only_with_the_servers_own_origin(server):
    _, cookie = token_and_cookie(login(server))
    host = server.url.removeprefix("http://")
    name, port = host.split(":")
    for origin in (None, "null", "", "http://", host, f"http://{name}", f"http://{name}:{int(port) + 1}", f"http://evil.example:{port}",
                   f"http://{host}.evil.example", f"http://evil.example@{host}", f"ftp://{host}", f"http://{host}/", f"http://{host} http://{host}",
                   f"http://{host}:80", f"{server.url}, {server.url}"):
        refused(renew(server, cookie, origin=origin), 403, "Origin", "Host")
        refused(post(server, "/User/Logout", cookie, origin=origin), 403, "Origin")
    refused(renew(server, cookie, Host="evil.example"), 403)
    refused(renew(server, cookie, origin="http://evil.example", Host=host), 403)
    token_and_cookie(renew(server, cookie, origin=server.url.upper().replace("HTTP", "http")))


def test_two_origins_or_hosts_are_none(server):
    _, cookie = token_and_cookie(login(server))
    for line, name in (("Origin: http://evil.example", "Origin"), ("Host: evil.example", "Host")):
        text = raw(server, "/User/RefreshToken", f"Cookie: rd_refresh={cookie}", f"Origin: {server.url}", line)
        assert text.startswith("HTTP/1.1 400 ") and f"{name} occurs twice" in text


def raw(server, path, *lines):
    """The answer to a request with these headers, which may occur twice."""
    host = server.url.removeprefix("http://")
    name, port = host.split(":")
    request = [f"POST {path} HTTP/1.1", f"Host: {host}", "Version: 2.0", "Content-Length: 0", "Connection: close", *lines, "", ""]
    with socket.create_connection((name, int(port)), timeout=60) as connection:
        connection.sendall("\r\n".join(request).encode())
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def test_behind_a_proxy_the_host_that_it_passes_on_counts(server):
    """It speaks https to the browser: the cookie is then never sent without."""
    def ask(path, cookie=None, data=None, host="reports.example", origin="https://reports.example", **headers):
        return post(server, path, cookie, origin=origin, data=data, Host=host, **headers)

    body = f'{{"username": "{ALICE}", "password": "{PASSWORD}"}}'
    answer = ask("/User/Login?cookie=1", data=body, **JSON)
    _, cookie = token_and_cookie(answer)
    assert answer.headers["Set-Cookie"].endswith("; Secure")
    answer = ask("/User/RefreshToken", cookie, host="reports.example:443")
    _, cookie = token_and_cookie(answer)
    assert answer.headers["Set-Cookie"].endswith("; Secure")
    _, cookie = token_and_cookie(ask("/User/RefreshToken", cookie, host="Reports.Example", origin="https://reports.example:443"))
    refused(ask("/User/RefreshToken", cookie, host="reports.example:80"), 403)
    refused(ask("/User/RefreshToken", cookie, host="127.0.0.1:8080"), 403)
    answer = ask("/User/Logout", cookie)
    assert answer.status_code == 200 and NO_COOKIE.fullmatch(answer.headers["Set-Cookie"])[1]


def test_no_other_site_can_log_its_visitors_in(server):
    for origin in ("null", "http://evil.example"):
        refused(login(server, origin=origin), 403, "Origin")
    answer = login(server, origin=None)  # a client that is no browser
    token_and_cookie(answer)
    assert not answer.headers["Set-Cookie"].endswith("Secure")
    assert login(server, origin="http://evil.example", query="").status_code == 200  # it gets no cookie


@pytest.mark.parametrize("query", ["?cookie=", "?cookie=true", "?cookie=2", "?cookie=1&cookie=1", "?cookie=1&Cookie=0"])
def test_a_wish_for_a_cookie_is_1_or_nothing(server, query):
    refused(login(server, query=query), 400, "cookie")


def test_a_wrong_password_sets_no_cookie(server):
    refused(Client(server.url).call("POST", "/User/Login?cookie=1", {"Origin": server.url},
                                    json={"username": "nobody", "password": "wrong"}), 401)


def test_what_is_no_cookie_of_this_server_is_a_401(server):
    session, secret = token_and_cookie(login(server))[1].split(".")
    for cookie in ("x", "rd_refresh=", f"{session}.", session, secret, f"{session}.{secret}x", f"{session}x{secret}", f"{session}.{'A' * 43}",
                   f"{uuid.uuid4()}.{secret}", "A" * 4000):
        refused(renew(server, cookie), 401, "/User/Login")
        failed(post(server, "/User/Logout", cookie), 401)
    assert renew(server, "A" * 20000).status_code == 431
    token_and_cookie(renew(server, f"{session}.{secret}"))


def test_two_cookies_are_one_too_many(server):
    """One of them may be of a neighbour's host, which may set cookies for this one."""
    _, cookie = token_and_cookie(login(server))
    for other in ("x", cookie):
        for pair in ((cookie, other), (other, cookie)):
            header = "; ".join(f"rd_refresh={value}" for value in pair)
            refused(renew(server, header), 400, "twice")
            refused(post(server, "/User/Logout", header), 400, "twice")
    token_and_cookie(renew(server, cookie))


def test_a_refresh_token_of_one_kind_is_none_of_the_other(server):
    """What only a cookie may be, no script can have; and nobody has half of the other kind's two tokens."""
    token, cookie = token_and_cookie(login(server))
    body = f'{{"refreshToken": "{cookie}"}}'
    refused(renew(server, None, origin=None, data=body, Authorization=token, **JSON), 401)
    token_and_cookie(renew(server, cookie))
    refused(renew(server, None, origin=None, data=body, Authorization=token, **JSON), 401)
    plain = login(server, query="").json()
    session = re.search(r'"sid":"([^"]+)"', unpadded(plain["accessToken"]))[1]
    refused(renew(server, f"{session}.{plain['refreshToken']}"), 401)
    assert opens(server, plain["accessToken"])


def unpadded(token):
    payload = token.split(".")[1]
    return base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()


def test_a_refresh_token_in_the_body_goes_before_the_cookie(server):
    """Its client may keep cookies without knowing: then it needs its access token, and no Origin."""
    _, cookie = token_and_cookie(login(server))
    plain = login(server, query="").json()
    body = f'{{"refreshToken": "{plain["refreshToken"]}"}}'
    failed(renew(server, cookie, origin=None, data=body, **JSON), 401)
    answer = renew(server, cookie, origin=None, data=body, Authorization=plain["accessToken"], **JSON)
    assert set(answer.json()) == {"accessToken", "refreshToken"} and "Set-Cookie" not in answer.headers
    token_and_cookie(renew(server, cookie))


def test_a_body_is_checked_with_the_cookie_too(server):
    _, cookie = token_and_cookie(login(server))
    for path in ("/User/RefreshToken", "/User/Logout"):
        refused(post(server, path, cookie, data="{}", **{"Content-Type": "text/plain"}), 415)
        refused(post(server, path, cookie, data="[]", **JSON), 400, "object")
        refused(post(server, path, cookie, Version="1.0"), 400, "Version: 2.0")
        refused(post(server, path), 401, "/User/Login")
    refused(renew(server, cookie, data='{"refreshToken": 1}', Authorization=login(server).json()["accessToken"], **JSON), 400, "refreshToken")
    token_and_cookie(renew(server, cookie))


# --- a pair that is presented again ---------------------------------------------------------------


def test_tabs_that_refresh_with_one_cookie_at_once_all_go_on(server):
    _, cookie = token_and_cookie(login(server))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: token_and_cookie(renew(server, cookie)), range(8)))
    assert len({cookie for _, cookie in answers}) == 1
    assert all(opens(server, token) for token, _ in answers)
    token_and_cookie(renew(server, answers[0][1]))


def test_threads_that_refresh_with_one_pair_at_once_all_go_on(server):
    pair = login(server, query="").json()

    def exchange(_):
        return Client(server.url, pair["accessToken"]).call("POST", "/User/RefreshToken", json={"refreshToken": pair["refreshToken"]})

    with ThreadPoolExecutor(8) as pool:
        answers = [answer.json() for answer in pool.map(exchange, range(8))]
    assert len({answer["refreshToken"] for answer in answers}) == 1 != pair["refreshToken"]
    assert all(opens(server, answer["accessToken"]) for answer in answers)
    assert opens(server, pair["accessToken"])


def test_the_leeway_is_over_after_30_s(clock, make_server):
    server = make_server()
    token, cookie = token_and_cookie(login(server))
    new_token, new_cookie = token_and_cookie(renew(server, cookie))
    clock.jump(10 * SECOND)
    assert token_and_cookie(renew(server, cookie))[1] == new_cookie
    assert opens(server, token) and opens(server, token)  # which nobody may remember
    clock.jump(20 * SECOND)
    assert not opens(server, token) and opens(server, new_token)
    refused(renew(server, cookie), 401)  # a thief, or who was robbed
    assert not opens(server, new_token)
    refused(renew(server, new_cookie), 401)


# --- logout ---------------------------------------------------------------------------------------


def test_a_logout_ends_the_session_and_no_other(server, dora):
    token, cookie = token_and_cookie(login(server, dora))
    old_token, old_cookie = token, cookie
    token, cookie = token_and_cookie(renew(server, cookie))
    other, _ = token_and_cookie(login(server, dora))
    assert opens(server, token)
    answer = post(server, "/User/Logout", cookie, Authorization=token)
    assert answer.status_code == 200 and answer.json() == {"result": True, "message": "You are logged out.", "data": {}}
    assert NO_COOKIE.fullmatch(answer.headers["Set-Cookie"]) and answer.headers["Cache-Control"] == "no-store"
    assert not opens(server, token) and not opens(server, old_token) and opens(server, other)
    for dead in (cookie, old_cookie):  # within the leeway, too
        refused(renew(server, dead), 401)
    failed(post(server, "/User/Logout", Authorization=token), 401)


def test_the_cookie_alone_logs_out(server, dora):
    token, cookie = token_and_cookie(login(server, dora))
    answer = post(server, "/User/Logout", cookie, data="{}", **JSON)
    assert answer.status_code == 200 and NO_COOKIE.fullmatch(answer.headers["Set-Cookie"])
    assert not opens(server, token)
    answer = post(server, "/User/Logout", cookie)
    failed(answer, 401)
    assert NO_COOKIE.fullmatch(answer.headers["Set-Cookie"])  # of what is over nothing need be kept


def test_a_logout_leaves_another_sessions_cookie(server, dora):
    """In another tab somebody has logged in since."""
    token, _ = token_and_cookie(login(server, dora))
    other, cookie = token_and_cookie(login(server))
    answer = post(server, "/User/Logout", cookie, Authorization=token)
    assert answer.status_code == 200 and "Set-Cookie" not in answer.headers
    assert not opens(server, token) and opens(server, other)


def test_a_logout_needs_a_good_token(server, dora):
    token, cookie = token_and_cookie(login(server, dora))
    for given in ("x", token[:-2], ""):
        refused(post(server, "/User/Logout", cookie, Authorization=given), 401)
    assert opens(server, token)
    assert post(server, "/User/Logout", origin=None, Authorization=f"Bearer {token}").status_code == 200  # no page
    assert not opens(server, token)


def test_a_logout_ends_streams_and_links(server, dora):
    client = Client(server.url, login(server, dora, query="").json()["accessToken"])
    reference = client.complete("Quick", ProductID="1")
    url = client.call("POST", "/Report/Link", json={"reference": reference, "format": "csv"}).json()["data"]["url"]
    with requests.Session() as session:
        session.trust_env = False
        assert session.get(server.url + url).status_code == 200
        with contextlib.closing(session.get(server.url + "/Report/Events", stream=True,
                                            headers={"Version": "2.0", "Authorization": client.token})) as stream:
            assert stream.status_code == 200
            assert client.call("POST", "/User/Logout").status_code == 200
            for _ in stream.iter_content(1024):  # until the server ends it
                pass
        assert session.get(server.url + url).status_code == 404


def test_no_crash_brings_a_session_back(make_server):
    server = make_server()
    token, cookie = token_and_cookie(login(server))
    kept, _ = token_and_cookie(login(server))
    assert post(server, "/User/Logout", cookie).status_code == 200
    server.kill()
    server.start()
    assert not opens(server, token) and opens(server, kept)
    refused(renew(server, cookie), 401)


@pytest.mark.stores("sqlite")
def test_a_logout_and_the_leeway_hold_on_every_node(make_cluster):
    first, second = make_cluster(nodes=2).nodes
    token, cookie = token_and_cookie(login(first))
    new_token, new_cookie = token_and_cookie(renew(first, cookie))
    again, same = token_and_cookie(renew(second, cookie))
    assert same == new_cookie and opens(second, token) and opens(first, again) and opens(second, new_token)
    reference = Client(second.url, again).complete("Quick", ProductID="1")
    link = Client(second.url, again).call("POST", "/Report/Link", json={"reference": reference}).json()["data"]["url"]
    assert post(first, "/User/Logout", cookie).status_code == 200
    for node in (first, second):
        assert not any(opens(node, dead) for dead in (token, new_token, again))
        refused(renew(node, new_cookie), 401)
        failed(Client(node.url).get(link), 404)
    Client(second.url, token_and_cookie(login(second))[0]).delete(reference)


@pytest.mark.stores("postgres-rows")
@pytest.mark.parametrize("count", COUNTS)
def test_no_answer_after_a_logout_is_late_on_any_node(make_cluster, count):
    """Whichever operation checks the session."""
    first, second = make_cluster(nodes=2).nodes
    client = first.client(ALICE)
    reference = client.complete("Quick", ProductID="1")
    paths = [f"{path}?reference={one}" for path in ("/Report/Status", "/Report", "/Report/Rows") for one in (reference, uuid.uuid4())]
    Flood([first, first, second, second], client.token, count, ["/User/Me", "/Report/List", *paths]).end(
        lambda: Client(second.url, client.token).call("POST", "/User/Logout").raise_for_status())
    first.client(ALICE).delete(reference)


# --- the sessions of a user, and the password -------------------------------------------------------


def life_of(token):
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims["exp"] - claims["iat"]


def logged_in(server, name, password=PASSWORD, address=None):
    client = Client(server.url, address=address)
    client.login(name, password)
    return client


def sessions(client):
    answer = client.get("/User/Sessions").json()
    assert answer["result"] and answer["recordCount"] == len(answer["data"])
    return answer["data"]


def test_of_many_sessions_the_latest_thousand_are_listed(server, dora):
    client = server.client(dora)
    (user,) = server.store.sql("SELECT user_id FROM session ORDER BY created_ms DESC LIMIT 1")
    numbers, some_id, some_hash = ("generate_series(1, 1500) AS n(i)", "gen_random_uuid()", "decode(repeat('00', 32), 'hex')")
    if server.store.kind == "sqlite":
        numbers, some_id, some_hash = ("(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1500) SELECT i FROM n)", "randomblob(16)", "zeroblob(32)")
    server.store.sql("INSERT INTO session (id, user_id, access, refresh_hash, created_ms, renewed_ms, address, expires_ms) "
                     f"SELECT {some_id}, {user}, {some_id}, {some_hash}, i, i, '', 90000000000000 FROM {numbers}")
    listed = sessions(client)
    assert len(listed) == 1000 and listed[0]["current"] is True
    assert [one["current"] for one in listed].count(True) == 1
    server.store.sql(f"DELETE FROM session WHERE user_id = {user} AND created_ms <= 1500")



def change_password(client, old, new):
    return client.call("POST", "/User/Password", json={"oldPassword": old, "newPassword": new})


def test_sessions_are_listed_and_one_is_ended(server, dora):
    first, second = logged_in(server, dora, address="127.0.0.9"), logged_in(server, dora)
    listed = sessions(second)
    assert [session["current"] for session in listed] == [True, False] and listed[1]["address"] == "127.0.0.9"
    assert all(session["createdAt"] == session["renewedAt"] < session["expiresAt"] for session in listed)
    ended = second.call("DELETE", f"/User/Session?id={listed[1]['id'].upper()}")
    assert ended.json()["result"] and not opens(server, first.token) and opens(server, second.token)
    again = second.call("DELETE", f"/User/Session?id={listed[1]['id']}")
    assert again.status_code == 200 and again.json()["result"] is False
    assert sessions(second) == listed[:1]


def test_nobody_ends_another_users_session(server, dora, alice):
    own = sessions(logged_in(server, dora))[0]["id"]
    answer = alice.call("DELETE", f"/User/Session?id={own}", {"Accept": "application/problem+json"})
    assert answer.status_code == 404 and answer.json()["title"] == "Unknown session"
    failed(alice.call("DELETE", "/User/Session"), 400, "id")
    assert alice.call("DELETE", "/User/Session?id=x").json()["result"] is False
    assert [session["id"] for session in sessions(logged_in(server, dora))][1:] == [own]


def test_a_new_password_ends_all_sessions(server, dora):
    first, second = logged_in(server, dora), logged_in(server, dora)
    assert change_password(first, PASSWORD, "a new one, ü").json()["result"]
    assert not opens(server, first.token) and not opens(server, second.token)
    failed(login(server, dora, query=""), 401)
    assert len(sessions(logged_in(server, dora, "a new one, ü"))) == 1


def test_a_wrong_old_password_counts_as_a_failed_login(server, dora):
    client = logged_in(server, dora, address="127.0.0.9")
    for new, words in (("short", "8 characters"), (dora.upper(), "name")):
        failed(change_password(client, PASSWORD, new), 400, words)
    for _ in range(3):
        failed(change_password(client, "wrong", "a new one, ü"), 403, "oldPassword")
    failed(change_password(client, PASSWORD, "a new one, ü"), 403, "locked")
    failed(Client(server.url, address="127.0.0.9").call("POST", "/User/Login", json={"username": dora, "password": PASSWORD}), 401)
    assert opens(server, client.token) and len(sessions(logged_in(server, dora))) == 2
    assert server.log_text().count("password.refused") >= 4


def test_no_session_lives_longer_than_session_life(clock, make_server):
    server = make_server(session_life="1h")
    token, cookie = token_and_cookie(login(server))
    assert life_of(token) == 20 * 60
    clock.jump(50 * 60 * SECOND)
    token, cookie = token_and_cookie(renew(server, cookie))
    assert life_of(token) <= 10 * 60
    clock.jump(11 * 60 * SECOND)  # nodes allow each other's clocks a minute
    refused(renew(server, cookie), 401)
    assert not opens(server, token)


@pytest.mark.stores("sqlite")
def test_a_session_and_a_password_end_on_every_node(make_cluster):
    first, second = make_cluster(nodes=2).nodes
    kept, ended = logged_in(first, "alice"), logged_in(second, "alice")
    assert opens(first, ended.token) and opens(second, kept.token)
    (other,) = [session["id"] for session in sessions(kept) if not session["current"]]
    assert kept.call("DELETE", f"/User/Session?id={other}").json()["result"]
    assert not opens(second, ended.token) and not opens(first, ended.token)
    with Events(Client(second.url, kept.token)) as stream:
        assert change_password(kept, PASSWORD, "a new one").json()["result"]
        assert not opens(second, kept.token) and not opens(first, kept.token)
        poll(lambda: stream.ended, what="the end of the stream")
    failed(login(second, "alice", query=""), 401)
    assert opens(first, logged_in(second, "alice", "a new one").token)


# --- who is logged in -----------------------------------------------------------------------------


def test_me_says_who_is_an_operator_from_the_next_request_on(server, dora):
    client = Client(server.url, token_and_cookie(login(server, dora))[0])
    for word, is_one in (("on", True), ("off", False)):
        server.user("operator", dora, word)
        assert client.get("/User/Me").json()["data"]["operator"] is is_one


def test_me_says_who_is_logged_in_and_what_is_active(server, dora):
    client = Client(server.url, token_and_cookie(login(server, dora.upper()))[0])
    done = client.complete("Quick", ProductID="1")
    assert client.get("/User/Me").json() == {"result": True, "message": "", "data": {
        "name": dora, "operator": False, "limits": {"active": 10}, "active": []}}
    running = [client.order("Endless") for _ in range(2)]
    for reference in running:
        client.wait_for(reference, "processing")
    queued = client.order("Endless")
    active = client.get("/User/Me").json()["data"]["active"]
    assert active == [{"reference": queued, "reportName": "Endless", "state": "queued"},
                      *({"reference": reference, "reportName": "Endless", "state": "processing"} for reference in reversed(running))]
    for reference in (queued, *running, done):
        client.delete(reference)
    poll(lambda: client.get("/User/Me").json()["data"]["active"] == [], what="no active report")


def test_me_needs_a_token_and_the_version(server, alice):
    failed(Client(server.url).get("/User/Me"), 401)
    failed(alice.get("/User/Me", {"Version": None}), 400)
    failed(alice.call("POST", "/User/Me"), 405)
    head = alice.call("HEAD", "/User/Me")
    assert head.status_code == 200 and not head.content
