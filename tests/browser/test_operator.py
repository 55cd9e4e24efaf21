"""The screen Operator: what the server does now, and the reports of all users."""

import pytest

from chromium import PHONE
from conftest import OPERATOR
from harness import PASSWORD
from test_accessible import assert_accessible
from test_console_mine import keys
from test_security import FIT

ADDRESS = "#/operator"


@pytest.fixture
def olga(server):
    """An operator's client; before and afterwards nothing is paused, and there are no reports, whatever another test left."""
    def clear():
        for source in (None, "data"):
            client.call("POST", "/Admin/Queue", json={"paused": False, "source": source})
        for state in ("queued", "processing", "complete", "error"):
            assert client.call("DELETE", "/Admin/Reports", params={"State": state}).status_code == 200
    client = server.client_of(OPERATOR)
    clear()
    yield client
    clear()


def rows(page):
    """{(state, name, user)} of the rows."""
    return page.script("""return [...document.querySelectorAll('tr[data-row]')].map(row =>
        [row.querySelector('.state').textContent, row.querySelector('[data-open]').textContent, row.querySelector('.cell-user').textContent])""")


def has(page, *wanted):
    page.until(lambda: sorted(rows(page)) == sorted(map(list, wanted)), f"{wanted}, not {rows(page)}")


def line(page, group):
    return " ".join(page.text(f"section[aria-label='{group}'] li").split())


def asked(page):
    """The paths below /Admin/ that the page has asked for since the last call."""
    return [params["request"]["url"].removeprefix(page.server.url) for method, params in page.traffic()
            if method == "Network.requestWillBeSent" and "/Admin/" in params["request"]["url"]]


def test_the_page_shows_what_runs_and_follows_it(page, alice, bob, olga):
    done = bob.complete("Quick", ProductID="1")
    page.log_in(OPERATOR, ADDRESS)
    has(page, ("Complete", "Quick", "bob"))
    running = [alice.order("Endless") for _ in range(2)]
    waiting = alice.order("Endless")
    has(page, ("Complete", "Quick", "bob"), ("Running", "Endless", "alice"), ("Running", "Endless", "alice"), ("Queued", "Endless", "alice"))
    page.until(lambda: line(page, "Users") == "alice 2 running, 1 queued", "the user")
    page.until(lambda: line(page, "Sources").startswith("data 2 running"), "the source")
    assert line(page, "Nodes").endswith("2 running") and "free" in line(page, "Disks")
    page.says("2/2", ".figures")
    page.says("oldest 0:0", ".figures")
    for reference in [*running, waiting]:
        alice.delete(reference)
    bob.delete(done)
    page.says("There are no reports.", "main")
    page.until(lambda: not page.one(".overview").find_elements("css selector", "section[aria-label=Users] li"), "no user")


def test_other_users_are_told_that_the_page_is_for_operators(page, server):
    page.log_in("bob", ADDRESS)
    page.until(lambda: page.h1 == "For operators only", "the message")
    assert "Operator" not in page.text("#header nav") and not page.all("tr[data-row], .figures")
    assert_accessible(page)


def test_an_operator_who_is_one_no_more_sees_nothing_more(own_page, own_server):
    server, _ = own_server
    client = server.client("alice")
    client.complete("Quick", ProductID="1")
    own_page.log_in(OPERATOR, ADDRESS)
    has(own_page, ("Complete", "Quick", "alice"))
    server.user("operator", OPERATOR, "off")
    own_page.until(lambda: own_page.h1 == "For operators only", "the message")
    assert "alice" not in own_page.script("return document.querySelector('main').textContent")


def test_the_filter_is_in_the_address(page, alice, bob, olga):
    alice.finish(alice.order("Quick", ProductID="99"))
    alice.complete("Nested")
    bob.complete("Quick", ProductID="1")
    page.log_in(OPERATOR, ADDRESS)
    has(page, ("Failed", "Quick", "alice"), ("Complete", "Nested", "alice"), ("Complete", "Quick", "bob"))
    page.fill("User", "ALICE\n")
    has(page, ("Failed", "Quick", "alice"), ("Complete", "Nested", "alice"))
    page.fill("Report type", "Quick")
    has(page, ("Failed", "Quick", "alice"))
    page.driver.refresh()
    has(page, ("Failed", "Quick", "alice"))
    page.press("Complete", ".chip")
    page.says("No report matches.", "main")
    page.go(f"{ADDRESS}?source=nowhere")
    page.says("There is no source 'nowhere'", ".failure")
    assert rows(page) == []
    page.go(f"{ADDRESS}?source=data&state=error")
    has(page, ("Failed", "Quick", "alice"))


def test_a_user_of_the_overview_chooses_the_reports(page, alice, bob, olga):
    alice.wait_for(alice.order("Endless"), "processing")
    bob.complete("Quick", ProductID="1")
    page.log_in(OPERATOR, ADDRESS)
    page.press("alice", "section[aria-label=Users] a")
    has(page, ("Running", "Endless", "alice"))
    assert page.driver.current_url.endswith(f"{ADDRESS}?user=alice") and page.focused.text == "Reports of all users"


def test_all_that_is_known_of_a_report_is_shown_but_not_its_result(page, alice, olga):
    reference = alice.finish(alice.order("Quick", ProductID="99", Note="<i>ö</i>")) and alice.references()[0]
    page.log_in(OPERATOR, ADDRESS)
    has(page, ("Failed", "Quick", "alice"))
    keys(page, "j", "\n")
    for words in (reference, "Product 99 does not exist.", "<i>ö</i>", "alice"):
        page.says(words, "dialog")
    assert_accessible(page)
    alice.delete(reference)
    page.until(lambda: not page.all("dialog") and not rows(page), "the end of the dialog with the report")


def test_a_running_report_is_cancelled_after_a_question(page, alice, olga):
    reference = alice.order("Endless")
    alice.wait_for(reference, "processing")
    page.log_in(OPERATOR, ADDRESS)
    has(page, ("Running", "Endless", "alice"))
    keys(page, "j", "x")
    page.says("Cancel and delete Endless of alice, running,", "dialog")
    assert_accessible(page)
    page.press("Keep")
    assert alice.state(reference) == "processing"
    keys(page, "x")
    page.press("Cancel it", "dialog button")
    page.says("There are no reports.", "main")
    assert alice.references() == []
    page.go("#/receipts")
    page.says(reference, "main")
    page.go("#/mine")
    page.says("No reports.", "main")


def test_selected_reports_are_deleted_after_their_number_was_shown(page, alice, bob, olga):
    for client in (alice, bob):
        client.complete("Quick", ProductID="1")
    alice.order("Endless")
    bob.complete("Nested")
    page.log_in(OPERATOR, ADDRESS)
    page.until(lambda: len(rows(page)) == 4, "four reports")
    for box in page.all("tr[data-row] input")[1:]:
        box.click()
    page.press("Delete 3 selected")
    page.says("Delete 3 reports? 1 of them is active and will be cancelled.", "dialog")
    page.press("Delete 3", "dialog button")
    page.says("3 reports deleted.", "dialog")
    page.press("Close")
    has(page, ("Complete", "Nested", "bob"))
    assert alice.references() == [] and len(bob.references()) == 1


def test_all_that_match_are_deleted_after_their_number_was_shown(page, alice, bob, olga):
    for _ in range(2):
        alice.complete("Quick", ProductID="1")
    bob.complete("Quick", ProductID="1")
    page.log_in(OPERATOR, ADDRESS)
    page.until(lambda: len(rows(page)) == 3, "three reports")
    assert not [found for found in page.all("button") if found.is_displayed() and "Delete all" in found.text]
    page.fill("User", "alice\n")
    page.until(lambda: len(rows(page)) == 2, "two reports")
    page.press("Delete all that match…")
    page.says("Delete 2 reports?", "dialog")
    page.press("Delete 2", "dialog button")
    page.says("2 reports deleted.", "dialog")
    page.says("Deleted by", "dialog")
    page.press("Close")
    page.says("No report matches.", "main")
    assert alice.references() == [] and len(bob.references()) == 1


def test_the_queue_and_a_source_are_paused_and_resumed(page, alice, olga):
    page.log_in(OPERATOR, ADDRESS)
    page.press("Pause the queue")
    page.says("The queue is paused.", ".banner")
    waiting = alice.order("Quick", ProductID="1")
    has(page, ("Queued", "Quick", "alice"))
    assert_accessible(page)
    page.press("Pause the source data")
    page.says("Paused", "section[aria-label=Sources]")
    page.press("Resume the queue")
    page.until(lambda: not page.all(".banner:not([hidden])"), "the end of the pause")
    assert alice.state(waiting) == "queued"
    page.press("Resume the source data")
    alice.wait_for(waiting, "complete")
    has(page, ("Complete", "Quick", "alice"))


def test_a_hidden_page_asks_nothing_and_a_shown_one_asks_at_once(page, alice, olga):
    page.log_in(OPERATOR, ADDRESS)
    page.says("There are no reports.", "main")
    page.script("Object.defineProperty(document, 'hidden', { configurable: true, value: true }); document.dispatchEvent(new Event('visibilitychange'))")
    # Its timers go on: a question that was due would be asked within this time.
    page.driver.execute_async_script("setTimeout(arguments[0], 2500)")
    asked(page)
    page.driver.execute_async_script("setTimeout(arguments[0], 4500)")
    assert asked(page) == []
    alice.complete("Quick", ProductID="1")
    page.script("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    has(page, ("Complete", "Quick", "alice"))
    page.go("#/mine")
    page.says("No reports.", "main")
    asked(page)
    page.driver.execute_async_script("setTimeout(arguments[0], 4500)")
    assert asked(page) == []


def test_a_restart_in_between_is_survived(own_page, own_server):
    server, _ = own_server
    server.client("alice").complete("Quick", ProductID="1")
    server.environment["REPORTD_LISTEN"] = server.url.removeprefix("http://")
    own_page.log_in(OPERATOR, ADDRESS)
    has(own_page, ("Complete", "Quick", "alice"))
    assert server.stop() == 0
    own_page.says("cannot be reached", ".failure")
    server.start()
    own_page.until(lambda: not [found for found in own_page.all(".failure") if found.is_displayed()], "the server")
    has(own_page, ("Complete", "Quick", "alice"))


def test_nothing_of_a_deleted_report_is_left_in_the_page(page, alice, olga):
    def says(css, words):
        page.until(lambda: words in page.script("return document.querySelector(arguments[0])?.textContent ?? ''", css), words)
    marker = "marker-of-a-parameter-77"
    alice.finish(alice.order("Quick", ProductID="99", Note=marker))
    page.log_in(OPERATOR, ADDRESS)
    says("tr[data-row]", marker)
    keys(page, "j", "\n")
    says("dialog", marker)
    page.script("document.querySelector('dialog .danger').click()")
    says("dialog h2", "There is no undo.")
    page.script("document.querySelector('dialog .danger').click()")
    page.until(lambda: page.script("return document.querySelector('tr[data-row]') === null"), "the deletion")
    assert alice.references() == []
    assert marker not in page.script("return document.documentElement.outerHTML")


def test_every_text_is_harmless_in_the_list(harmless, server, alice, olga):
    page = harmless
    name = "<img src=x onerror=window.hostile=1>"
    server.user("add", name, "--grant", "*", stdin=PASSWORD + "\n")
    other = server.client(name)
    other.finish(other.order("Hostile", Text="<svg onload=window.hostile=1>"))
    for value in FIT:
        alice.finish(alice.order("Hostile", Text=value))
    page.log_in(OPERATOR, ADDRESS)
    while True:
        page.until(lambda: page.script("return document.querySelector('.mine.all').getAttribute('aria-busy') === 'false'"), "the list")
        if not [found for found in page.all(".more button") if found.is_displayed()]:
            break
        before = len(rows(page))
        page.script("document.querySelector('.more button').click()")
        page.until(lambda: len(rows(page)) > before, "more")
    assert len(rows(page)) == len(FIT) + 1 and ["Failed", "Hostile", name] in rows(page)
    notes = page.script("return [...document.querySelectorAll('.note')].map(note => note.title)")
    for value, note in zip(reversed(FIT), notes):
        assert value in note or len(value) > 1000, value
    for opener in page.all("tr[data-row] [data-open]")[::23]:
        page.script("arguments[0].click()", opener)
        page.one("dialog[open]")
        page.press("Close", "dialog button")
    page.go(f"{ADDRESS}?user={name.replace(' ', '%20')}&report=%3Csvg%20onload=window.hostile=1%3E&source=%22%3E{name.replace(' ', '%20')}")
    page.says("There is no source '\"><img", ".failure")


def test_the_page_is_accessible_and_fits_a_phone(page, alice, bob, olga):
    alice.complete("Quick", ProductID="1")
    alice.finish(alice.order("Quick", ProductID="99"))
    alice.wait_for(alice.order("Endless"), "processing")
    with page.size(*PHONE):
        page.log_in(OPERATOR, ADDRESS)
        page.until(lambda: len(rows(page)) == 3, "three reports")
        assert page.script("return document.documentElement.scrollWidth") <= PHONE[0]
        small = page.script("""return [...document.querySelectorAll('button:not(.link), a.button, input:not([type=checkbox]), select, summary')]
            .filter(node => node.checkVisibility({visibilityProperty: true})).map(node => [node.textContent || node.id, node.getBoundingClientRect()])
            .filter(([, box]) => box.width > 0 && box.height < 43.5).map(([text]) => text)""")
        assert small == []
        assert_accessible(page)
    assert_accessible(page)


def test_a_phone_has_room_to_tell_that_the_server_is_away(own_page, own_server):
    with own_page.size(*PHONE):
        own_page.log_in(OPERATOR, ADDRESS)
        own_page.says("There are no reports.", "main")
        assert own_server[0].stop() == 0
        own_page.says("Reconnecting…", "#header")
        assert own_page.script("return document.documentElement.scrollWidth") <= PHONE[0]


def test_the_page_is_used_by_keyboard_only(page, alice, bob, olga):
    alice.complete("Quick", ProductID="1")
    bob.complete("Nested")
    page.log_in(OPERATOR)
    page.named("Operator").send_keys("\n")
    page.until(lambda: page.h1 == "Operator" and page.focused.tag_name == "h1", "the focus on the heading")
    keys(page, "/", "bob", "\n")
    has(page, ("Complete", "Nested", "bob"))
    page.focused.send_keys("\ue00c")  # Escape
    keys(page, "j", "x")
    page.one("dialog[open]")
    keys(page, "\t", "\n")
    page.says("No report matches.", "main")
    page.until(lambda: page.focused.tag_name == "h1", "the focus on the heading")
