"""The screen Mine: one's reports, live; filters, cancel, re-run, deletion of many."""

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys


def rows(page):
    """[(state, name)] of the rows, from the top."""
    return page.script("""return [...document.querySelectorAll('tr[data-row]')].map(row =>
        [row.querySelector('.state').textContent, row.querySelector('[data-open]').textContent])""")


def has(page, *wanted):
    page.until(lambda: rows(page) == [list(row) for row in wanted], f"{wanted}, not {rows(page)}")


def keys(page, *pressed):
    ActionChains(page.driver).send_keys(*pressed).perform()


def test_the_list_is_live(page, alice):
    page.log_in(hash_="#/mine")
    page.says("No reports.", "main")
    done = alice.complete("Quick", ProductID="1")
    has(page, ("Complete", "Quick"))
    page.until(lambda: page.text("td.cell-rows") == "3", "the rows")
    page.until(lambda: page.text("td.cell-expires").startswith("23 h 5"), "the countdown")
    running = alice.order("Ticker")
    has(page, ("Running", "Ticker"), ("Complete", "Quick"))
    alice.delete(done)
    has(page, ("Running", "Ticker"))
    alice.delete(running)
    page.says("No reports.", "main")


def test_filters_are_in_the_address(page, alice):
    alice.complete("Nested")
    alice.finish(alice.order("Quick", ProductID="99"))
    alice.complete("Quick", ProductID="1")
    page.log_in(hash_="#/mine")
    has(page, ("Complete", "Quick"), ("Failed", "Quick"), ("Complete", "Nested"))
    page.press("Complete 2", ".chip")
    has(page, ("Complete", "Quick"), ("Complete", "Nested"))
    page.fill("Search my reports", "nest")
    has(page, ("Complete", "Nested"))
    page.driver.refresh()
    has(page, ("Complete", "Nested"))
    page.fill("Search my reports", "99 does not")
    page.press("Failed 1", ".chip")
    has(page, ("Failed", "Quick"))


@pytest.mark.parametrize("address, label, words", [("#/mine", "Search my reports", "quick"), ("#/reports", "Search reports", "nested")])
def test_escape_leaves_a_search_as_it_is(page, alice, address, label, words):
    alice.complete("Quick", ProductID="1")
    page.log_in(hash_=address)
    page.fill(label, words)
    page.until(lambda: page.driver.current_url.endswith(f"q={words}"), "the search")
    page.field(label).send_keys(Keys.ESCAPE)
    assert page.focused.tag_name == "h1" and page.field(label).get_property("value") == words and page.driver.current_url.endswith(f"q={words}")


def test_a_row_says_what_the_report_was_run_with(page, alice):
    def note():
        return page.script("return document.querySelector('tr[data-row] .note')?.textContent")
    page.log_in(hash_="#/mine")
    page.says("No reports.", "main")
    alice.finish(alice.order("Quick", ProductID="99", Note="<i>ö</i>"))
    page.until(lambda: note() == "Product 99 does not exist. · ProductID 99 · Note <i>ö</i>", "message and parameters")
    alice.complete("Quick", ProductID="1", Note="x" * 400)
    page.until(lambda: note() == "ProductID 1 · Note ".ljust(300, "x") + "…", "a long value, cut")
    page.fill("Search my reports", "note <I>Ö")
    has(page, ("Failed", "Quick"))


def test_selected_reports_are_deleted_after_their_number_was_shown(page, alice):
    kept = alice.complete("Nested")
    for _ in range(3):
        alice.complete("Quick", ProductID="1")
    page.log_in(hash_="#/mine")
    page.until(lambda: len(rows(page)) == 4, "four reports")
    for box in page.all("tr[data-row] input")[:3]:
        box.click()
    page.press("Delete 3 selected")
    page.says("Delete 3 reports?", "dialog")
    page.press("Keep")
    assert len(alice.references()) == 4
    page.press("Delete 3 selected")
    page.press("Delete 3", "dialog button")
    page.says("3 reports deleted.", "dialog")
    page.press("Close")
    has(page, ("Complete", "Nested"))
    assert alice.references() == [kept]


def test_all_that_match_are_deleted_after_their_number_was_shown(page, alice):
    kept = alice.complete("Quick", ProductID="1")
    for _ in range(3):
        alice.order("Endless")
    page.log_in(hash_="#/mine?state=active")
    page.until(lambda: len(rows(page)) == 3, "three reports")
    page.press("Delete all that match…")
    page.says("Delete 3 reports? All of them are active and will be cancelled.", "dialog")
    page.press("Delete 3", "dialog button")
    page.says("3 reports deleted.", "dialog")
    page.press("Close")
    page.says("No report matches.", "main")
    assert alice.references() == [kept]
    page.press("All 1", ".chip")
    has(page, ("Complete", "Quick"))
    page.press("Delete all…")
    page.press("Delete 1", "dialog button")
    page.until(lambda: alice.references() == [], "the deletion")


@pytest.mark.parametrize("address", ["#/mine", "#/mine?state=complete", "#/mine?q=Quick"])
def test_more_that_match_by_the_answer_are_asked_for(page, alice, address):
    alice.complete("Quick", ProductID="1")
    page.log_in(hash_=address)
    page.until(lambda: len(rows(page)) == 1, "the report")
    page.press("Delete all…" if address == "#/mine" else "Delete all that match…")
    page.says("Delete 1 report?", "dialog")
    alice.complete("Quick", ProductID="1")
    page.press("Delete 1", "dialog button")
    said = page.until(lambda: next((words for words in ("Delete 2 reports?", "1 report deleted.") if words in page.text("dialog")), None), "either")
    assert len(alice.references()) == (2 if said == "Delete 2 reports?" else 1)  # submitted in the second of the count, or later


def test_keys_move_cancel_and_run_again(page, alice):
    alice.finish(alice.order("Quick", ProductID="99", Note="again"))
    alice.wait_for(alice.order("Ticker"), "processing")
    page.log_in(hash_="#/mine")
    has(page, ("Running", "Ticker"), ("Failed", "Quick"))
    keys(page, "j", "j")
    assert page.focused.text == "Quick"
    keys(page, "k", "x")
    has(page, ("Failed", "Quick"))
    page.until(lambda: page.focused.text == "Quick", "the focus on the next row")
    keys(page, "r")
    page.says("Product 99 does not exist.", ".step-wrong")
    again = alice.list(Reference=alice.references()[0]).json()["data"]["reports"][0]
    assert again["parameters"] == {"ProductID": "99", "Note": "again"} and len(alice.references()) == 2


def test_single_keys_can_be_switched_off(page, alice):
    page.log_in(hash_="#/mine")
    page.says("No reports.", "main")
    keys(page, "?")
    page.field("Use these single keys").click()
    page.press("Close")
    keys(page, "/")
    assert page.focused.get_attribute("type") != "search"
    page.press("User menu of alice")
    page.press("Keys and help")
    page.field("Use these single keys").click()
    page.press("Close")
    keys(page, "/")
    assert page.focused.get_attribute("type") == "search"
