"""The session of the page: tokens that end, tabs, restarts, silence."""

import pytest
import requests

from fake_clock import DAY, MINUTE
from harness import PASSWORD, Client


def test_a_reload_stays_logged_in(page):
    page.log_in()
    page.driver.refresh()
    page.until(lambda: page.h1 == "Reports", "the reports")


def test_wrong_credentials_are_told_in_the_servers_words(page, server):
    page.open()
    page.fill("User name", "alice")
    page.fill("Password", "not the password")
    page.press("Log in")
    words = Client(server.url).call("POST", "/User/Login", json={"username": "nobody", "password": "not the password"}).json()["message"]
    page.says(words, "#login-error")


def test_logging_out_ends_the_session_on_the_server(page, browser):
    page.log_in()
    cookie = next(found for found in browser.execute_cdp_cmd("Network.getAllCookies", {})["cookies"] if found["name"] == "rd_refresh")
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and cookie["path"] == "/User"
    page.press("User menu of alice")
    page.press("Log out")
    page.until(lambda: page.h1 == "Log in", "the end")
    answer = requests.post(page.server.url + "/User/RefreshToken", json={}, cookies={"rd_refresh": cookie["value"]},
                           headers={"Version": "2.0", "Origin": page.server.url}, timeout=60)
    assert answer.status_code == 401
    page.open("#/reports")
    page.until(lambda: page.h1 == "Log in", "the login")


def test_the_cookie_is_for_this_page_only(page, browser):
    """Other pages of the same host, which is what SameSite lets through."""
    page.log_in()
    cookie = next(found for found in browser.execute_cdp_cmd("Network.getAllCookies", {})["cookies"] if found["name"] == "rd_refresh")

    def refresh(origin):
        return requests.post(page.server.url + "/User/RefreshToken", json={}, cookies={"rd_refresh": cookie["value"]},
                             headers={"Version": "2.0", **({"Origin": origin} if origin else {})}, timeout=60).status_code
    assert refresh("http://127.0.0.1:1") in (401, 403) and refresh("null") in (401, 403) and refresh(None) in (401, 403)
    assert refresh(page.server.url) == 200


def test_a_token_that_ends_is_renewed_unseen(own_page, own_server):
    server, clock = own_server
    reference = server.client("alice").complete("Big", Rows="100000")
    own_page.log_in()
    own_page.open_result(reference)
    own_page.rows()
    clock.jump(21 * MINUTE)
    own_page.fill("Row", "50000\n")
    own_page.until(lambda: 50_000 in own_page.rows(), "rows")
    assert not own_page.all("dialog")


def test_a_session_that_ends_is_asked_for_and_goes_on(own_page, own_server):
    server, _ = own_server
    reference = server.client("alice").complete("Big", Rows="100000")
    own_page.log_in()
    own_page.open_result(reference)
    own_page.rows()
    own_page.fill("Row", "50000")
    server.user("passwd", "alice", stdin=PASSWORD + "\n")
    own_page.script("document.querySelector('.row-form').requestSubmit()")  # also if the end of the events has told of it already
    own_page.says("Your session has ended", "dialog")
    own_page.fill("Password", PASSWORD)
    own_page.press("Log in")
    own_page.until(lambda: 50_000 in own_page.rows(), "rows")


def test_an_expired_result_is_told(own_page, own_server):
    server, clock = own_server
    reference = server.client("alice").complete("Big", Rows="100000")
    own_page.log_in()
    own_page.open_result(reference)
    own_page.rows()
    clock.jump(DAY + MINUTE)
    own_page.until(lambda: own_page.h1 == "This report is gone", "the message")


def test_a_restart_in_between_is_survived(own_page, own_server):
    server, _ = own_server
    client = server.client("alice")
    reference = client.complete("Big", Rows="100000")
    server.environment["REPORTD_LISTEN"] = server.url.removeprefix("http://")
    own_page.log_in()
    own_page.open_result(reference)
    own_page.rows()
    assert server.stop() == 0
    own_page.says("Reconnecting", "#header")
    own_page.fill("Row", "50000\n")
    own_page.says("cannot be reached", ".result")
    server.start()
    own_page.until(lambda: 50_000 in own_page.rows(), "rows")


def test_two_tabs_are_of_one_session(page, alice):
    page.log_in()
    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    page.open("#/mine")
    page.until(lambda: page.h1 == "Mine" or "reports" in page.h1, "logged in")
    reference = alice.complete("Quick", ProductID="1")
    page.says("Quick", "main")
    page.driver.switch_to.window(first)
    page.open_result(reference)
    assert len(page.rows()) == 3
    page.press("User menu of alice")
    page.press("Log out")
    page.driver.switch_to.window(page.driver.window_handles[1])
    page.until(lambda: page.h1 == "Log in", "the other tab's logout")


def log_in(page, name):
    """On the screen Login, without a reload."""
    page.fill("User name", name)
    page.fill("Password", PASSWORD)
    page.press("Log in")
    page.named(f"User menu of {name}")


# Requests of this path wait for window.release().
HOLD = """const real = window.fetch; window.held = 0;
    window.fetch = async (url, options) => { if (url === arguments[0]) { window.held++; await new Promise(done => { window.release = done; }); } return real(url, options); };"""
ANSWER_401_ONCE = """const real = window.fetch; let first = true;
    window.fetch = async (url, options) => { if (url === arguments[0] && first) { first = false; return new Response("{}", { status: 401 }); } return real(url, options); };"""
CUT = """const real = window.fetch; window.cut = true;
    window.fetch = (url, options) => url === "/Report/Events" && window.cut ? Promise.reject(new TypeError("cut")) : real(url, options);"""


def test_an_event_that_comes_before_the_times_of_its_report_sets_none(own_page, own_server):
    """Which would be those of the page, not those of the report."""
    server, clock = own_server
    client = server.client("alice")
    clock.jump(-2 * MINUTE)
    reference = client.order("Endless")
    client.wait_for(reference, "processing")
    clock.jump(2 * MINUTE)
    own_page.open(f"#/run/{reference}")
    own_page.named("User name")
    own_page.script(HOLD, f"/Report/List?Reference={reference}")
    log_in(own_page, "alice")
    own_page.until(lambda: own_page.script("return window.held"), "the request")
    own_page.says("1 of 10", ".active")  # by the event
    own_page.script("window.release()")
    own_page.until(lambda: own_page.text(".step-now .small") >= "2:00", "the time since its start")


@pytest.mark.parametrize("screen", ["result", "run", "mine"])
def test_a_deletion_before_the_page_hears_events_is_told(page, alice, screen):
    reference = alice.complete("Nested") if screen == "result" else alice.order("Quick", ProductID="99")
    alice.finish(reference)
    page.open("#/mine" if screen == "mine" else f"#/{screen}/{reference}")
    page.named("User name")
    page.script(CUT)
    log_in(page, "alice")
    page.until(lambda: page.all(".step-wrong, [role=grid] td, tr[data-row]"), "the report")
    alice.delete(reference)
    page.script("window.cut = false; window.dispatchEvent(new Event('online'))")
    page.says({"result": "This report is gone", "run": "This report has been deleted", "mine": "No reports."}[screen], "main")


def test_nothing_of_one_user_is_left_for_the_next(page, alice, bob):
    page.log_in(hash_="#/new/Everything?Note=SECRET")
    page.field("Sure").send_keys("Yes")
    page.script(HOLD, "/Report")
    page.press("Run")
    page.until(lambda: page.script("return window.held"), "the request")
    page.script("import('/console/dialogs.js').then(dialogs => dialogs.notify('SECRET', { error: true }))")
    page.says("SECRET", "#notices")
    page.press("User menu of alice")
    page.press("Log out")
    page.until(lambda: page.all("form.login") and page.h1 == "Log in", "the end")
    log_in(page, "bob")
    page.script("window.release?.()")
    page.until(lambda: page.h1 == "Reports", "the reports")
    assert page.script("return window.held") is None and "SECRET" not in page.driver.page_source + page.driver.current_url
    assert bob.references() == []


def test_a_request_never_goes_on_as_another_user(page, alice, bob, server):
    """Whose cookie came without a word, from another page of this host."""
    page.log_in(hash_="#/new/Everything")
    page.field("Sure").send_keys("Yes")
    answer = requests.post(server.url + "/User/Login?cookie=1", json={"username": "bob", "password": PASSWORD},
                           headers={"Version": "2.0", "Origin": server.url}, timeout=60)
    page.driver.execute_cdp_cmd("Network.setCookie", {"name": "rd_refresh", "value": answer.cookies["rd_refresh"], "url": server.url + "/User",
                                                      "path": "/User", "httpOnly": True, "sameSite": "Strict"})
    page.script(ANSWER_401_ONCE, "/Report")
    page.press("Run")
    page.named("User menu of bob")
    assert bob.references() == alice.references() == []


@pytest.mark.parametrize("screen", ["result", "mine"])
def test_an_idle_page_sends_nothing_but_its_event_stream(page, alice, screen):
    reference = alice.complete("Big", Rows="1000")
    page.log_in()
    page.go(f"#/result/{reference}" if screen == "result" else "#/mine")
    page.until(lambda: page.all("[role=grid] td, [data-row]"), "the screen")
    sent, stream, comments = [], None, 0
    while comments < 3:  # the first begins the stream, then one comes every 15 s
        for method, params in page.until(page.traffic, "a comment"):
            if method == "Network.requestWillBeSent":
                stream = params["requestId"] if params["request"]["url"].endswith("/Report/Events") else stream
                sent += [params["request"]["url"]] if comments > 1 else []
            elif method == "Network.dataReceived" and params["requestId"] == stream:
                comments += 1
    assert sent == []
