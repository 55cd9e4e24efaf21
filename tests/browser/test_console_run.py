"""The screens Reports and Run: from the list of types to the end of a report."""

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from test_page_session import HOLD


def shown_types(page):
    return [found.text for found in page.all(".type h2") if found.is_displayed()]


def row_of(page, name):
    return page.until(lambda: next((row for row in page.all(".type") if row.find_element("tag name", "h2").text == name), None), name)


def test_the_types_are_searched_and_the_search_is_in_the_address(page, alice):
    names = [kind["name"] for kind in alice.get("/Report/Types").json()["data"]]
    page.log_in()
    page.until(lambda: shown_types(page) == names, "all types")
    ActionChains(page.driver).send_keys("/", "items owner").perform()
    page.until(lambda: shown_types(page) == ["Nested"], "one type")
    page.focused.send_keys(Keys.ESCAPE)
    assert page.focused.tag_name == "h1"
    page.fill("Search reports", "items owner")
    page.driver.refresh()
    page.until(lambda: shown_types(page) == ["Nested"], "one type")
    page.fill("Search reports", "are you SURE")  # the description of a parameter
    page.until(lambda: shown_types(page) == ["Everything"], "one type")
    page.fill("Search reports", "nothing has these")
    page.says("No report has these words", "main")


def test_the_last_run_is_followed_and_goes_with_its_report(page, alice):
    page.log_in()
    page.until(lambda: "Not run lately" in row_of(page, "Quick").text, "no run")
    first = alice.complete("Quick", ProductID="1")
    page.until(lambda: "Complete" in row_of(page, "Quick").text and "3 rows" in row_of(page, "Quick").text, "the run")
    second = alice.order("Quick", ProductID="99")
    page.until(lambda: "Failed" in row_of(page, "Quick").text, "the next run")
    alice.delete(second)
    page.until(lambda: "Complete" in row_of(page, "Quick").text, "the first run again")
    alice.delete(first)
    page.until(lambda: "Not run lately" in row_of(page, "Quick").text, "no run")


def test_a_slow_network_is_seen(page, alice):
    page.log_in(hash_="#/mine")
    page.says("No reports.", "main")
    page.script(HOLD, "/Report/Types")
    page.press("Reports", "nav a")
    page.until(lambda: page.one("main").get_attribute("aria-busy") == "true" and page.one("main").value_of_css_property("opacity") == "0.6", "the sign that it loads")
    page.script("window.release()")
    page.until(lambda: page.h1 == "Reports" and page.one("main").get_attribute("aria-busy") is None, "the screen")


def test_a_re_run_has_the_same_parameters(page, alice):
    first = alice.order("Quick", ProductID="99", Note="ö, x")
    alice.finish(first)
    page.log_in()
    page.press("Re-run Quick")
    page.says("Product 99 does not exist.", "main")
    (second,) = set(alice.references()) - {first}
    given = [alice.list(Reference=reference).json()["data"]["reports"][0]["parameters"] for reference in (first, second)]
    assert given[0] == given[1] == {"ProductID": "99", "Note": "ö, x"}


def test_a_re_run_that_is_pressed_again_and_again_is_one(page, alice):
    alice.complete("Quick", ProductID="1")
    page.log_in()
    page.named("Re-run Quick")
    page.script("""const button = document.querySelector('[aria-label="Re-run Quick"]');
        const timer = setInterval(() => button.isConnected ? button.click() : clearInterval(timer), 0)""")
    page.until(lambda: "#/result/" in page.driver.current_url, "the result")
    assert len(alice.references()) == 2


def test_progress_is_live_until_the_cancel(page, alice):
    reference = alice.order("Ticker")
    page.log_in(hash_=f"#/run/{reference}")
    page.says("Running", ".step-now")
    rows = page.until(lambda: "rows" in page.text(".step-now") and page.text(".step-now"), "rows")
    page.until(lambda: page.text(".step-now").split(" rows")[0] != rows.split(" rows")[0], "more rows")
    page.until(lambda: "row" in page.script("return document.getElementById('status').textContent"), "the announcement")
    page.until(lambda: page.text(".active").split() == ["Active", "1", "of", "10"], "the number in the header")
    ActionChains(page.driver).send_keys("x").perform()
    page.says("This report has been deleted", "main")
    page.says("Ticker is cancelled and deleted. The receipt is kept; see Receipts", "#notices")
    assert page.h1 == "Cancelled"
    assert alice.references() == [] and page.focused.tag_name == "h1"
    page.until(lambda: page.text(".active").split()[1] == "0", "the number in the header")


def test_the_place_in_the_queue(page, alice):
    for _ in range(2):
        alice.wait_for(alice.order("Endless"), "processing")
    ahead, watched = alice.order("Endless"), alice.order("Endless")
    page.log_in(hash_=f"#/run/{watched}")
    page.says("no. 2", ".step-now")
    alice.delete(ahead)
    page.says("was no. 2, now 1", ".step-now")


def test_the_end_is_the_result(page, alice):
    page.log_in(hash_="#/new/Pause")
    page.press("Run")
    page.until(lambda: "#/result/" in page.driver.current_url, "the result")
    page.driver.back()
    page.until(lambda: page.h1 == "Pause" and "#/new/" in page.driver.current_url, "the form, not the run")


def test_a_failure_says_why_and_is_changed(page, alice):
    page.log_in(hash_="#/new/Quick")
    page.fill("ProductID", "99")
    page.field("Note").send_keys(Keys.CONTROL, "a")
    page.field("Note").send_keys("kept", Keys.ENTER)
    page.says("Product 99 does not exist.", ".step-wrong")
    page.driver.refresh()
    page.press("Change and run again")
    page.until(lambda: page.field("Note").get_attribute("value") == "kept", "what was typed")
    page.fill("ProductID", "1")
    page.press("Run")
    page.until(lambda: "#/result/" in page.driver.current_url, "the result")


def test_an_announcement_is_not_kept(page, alice):
    reference = alice.order("Quick", ProductID="99")
    alice.finish(reference)
    page.log_in()
    page.until(lambda: page.h1 == "Reports", "the reports")
    page.script("window.told = []; new MutationObserver(() => told.push(document.getElementById('status').textContent))"
                ".observe(document.getElementById('status'), { childList: true })")
    page.go(f"#/run/{reference}")
    page.until(lambda: page.script("return told") == ["Quick failed: Product 99 does not exist.", ""], "the announcement and its end")


def test_a_report_that_is_not_ones_own_is_unknown(page, bob):
    reference = bob.complete("Quick", ProductID="1")
    page.log_in(hash_=f"#/run/{reference}")
    page.says("There is no such report", "main")


@pytest.mark.parametrize("address", ["#/run/", "#/run", "#/result/", "#/result"])
def test_an_address_without_a_reference_is_that_of_no_report(page, alice, address):
    alice.complete("Quick", ProductID="1")
    page.log_in(hash_=address)
    page.until(lambda: page.h1 == "This report is gone", "the message")
    page.go("#/mine")
    page.until(lambda: page.all("tr[data-row]"), "the list")
    assert len(page.all("tr[data-row]")) == 1


def test_a_reference_in_capitals_is_that_of_the_same_report(page, alice):
    reference = alice.complete("Quick", ProductID="1")
    page.log_in(hash_=f"#/result/{reference.upper()}")
    page.rows()
    page.go("#/mine")
    page.until(lambda: page.all("tr[data-row]"), "the list")
    assert len(page.all("tr[data-row]")) == 1
    page.driver.back()
    page.rows()
    alice.delete(reference)
    page.until(lambda: page.h1 == "This report is gone", "the message")


@pytest.mark.parametrize("address", ["", "#", "#/"])
def test_the_address_of_no_screen_is_that_of_the_first(page, address):
    page.log_in(hash_=address)
    page.until(lambda: page.h1 == "Reports", "the reports")


def test_the_theme_is_remembered(page):
    page.log_in()
    page.theme("light")
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = page.script(ground)
    page.press("Theme: as the system")
    page.press("Theme: light")
    page.until(lambda: page.script(ground) != light, "the dark theme")
    page.driver.refresh()
    page.until(lambda: page.h1 == "Reports", "the reports")
    assert page.script(ground) != light and page.named("Theme: dark")
    assert page.script("return Object.keys(localStorage)") == ["reportd-theme"]
