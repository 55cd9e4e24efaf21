"""What axe-core finds on every screen in both themes, a phone's width, and the main job by keyboard only."""

from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from chromium import PHONE
from harness import PASSWORD

AXE = Path(__file__).parents[2] / "build/slow/npm/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def assert_accessible(page):
    """In both themes, as they are now."""
    for theme in ("light", "dark"):
        page.theme(theme)
        page.script(AXE.read_text(encoding="utf-8"))
        found = page.driver.execute_async_script(
            "const done = arguments[1]; axe.run(document, {runOnly: {type: 'tag', values: arguments[0]}}).then(done, error => done({violations: [String(error)]}))", RULES)
        assert [(each["id"], [node["html"][:200] + node["failureSummary"] for node in each["nodes"]]) for each in found["violations"]] == [], theme


def test_login(page):
    page.open()
    page.one("form.login")
    assert_accessible(page)


def test_reports(page, alice):
    alice.complete("Quick", ProductID="1")
    page.log_in()
    page.until(lambda: page.h1 == "Reports", "the screen")
    assert_accessible(page)
    page.focused.send_keys("?")
    page.one("dialog[open]")
    assert_accessible(page)


def test_form(page):
    page.log_in(hash_="#/new/Typed")
    page.field("Text")
    assert_accessible(page)
    page.fill("Number", "many")
    page.press("Run")
    page.until(lambda: "Parameter" in page.text("form") or page.all("[aria-invalid=true]"), "the error")
    assert_accessible(page)


@pytest.mark.parametrize("name, parameters, words", [("Ticker", {}, "Running"), ("Quick", {"ProductID": "99"}, "Failed")])
def test_run(page, alice, name, parameters, words):
    reference = alice.order(name, **parameters)
    page.log_in(hash_=f"#/run/{reference}")
    page.says(words, "main")
    assert_accessible(page)


@pytest.mark.parametrize("view", ["table", "chart", "summary"])
def test_result(page, alice, view):
    reference = alice.complete("Exact")
    page.log_in(hash_=f"#/result/{reference}?view={view}")
    page.says({"table": "Rows 1 to 2", "chart": "All 2 rows", "summary": "byType"}[view], ".view")
    assert_accessible(page)


def test_dialogs_and_what_is_left_of_a_result(page, alice):
    reference = alice.complete("Nested")
    page.log_in(hash_=f"#/result/{reference}")
    page.rows()
    page.one("td.opens").click()
    page.one("dialog[open]")
    assert_accessible(page)
    page.press("Close")
    page.press("Delete")
    page.one("dialog[open]")
    assert_accessible(page)
    page.press("Delete", "dialog button")
    page.until(lambda: page.h1 == "Deleted", "the deletion")
    assert_accessible(page)
    page.driver.refresh()
    page.until(lambda: page.h1 == "This report is gone", "the message")
    assert_accessible(page)
    page.go("#/receipts")
    page.one("details.kept summary, .kept details summary").click()
    page.one(".jws")
    assert_accessible(page)


def test_mine(page, alice):
    alice.complete("Quick", ProductID="1")
    alice.finish(alice.order("Quick", ProductID="99"))
    alice.order("Ticker")
    page.log_in(hash_="#/mine")
    page.until(lambda: len(page.all("[data-row]")) == 3, "three reports")
    assert_accessible(page)


@pytest.mark.parametrize("hash_", ["#/reports", "#/new/Typed", "#/mine", "#/result/{}", "#/result/{}?view=chart", "#/result/{}?view=summary"])
def test_a_phone_shows_every_screen_without_scrolling_sideways(page, alice, hash_):
    reference = alice.complete("Exact")
    with page.size(*PHONE):
        page.log_in(hash_=hash_.format(reference))
        page.until(lambda: page.all(".types, form.form, [data-row], .result .view"), "the screen")
        page.until(lambda: "Loading" not in page.text("main"), "all of it")
        assert page.script("return document.documentElement.scrollWidth") <= PHONE[0]
        small = page.script("""return [...document.querySelectorAll('button, a.button, input:not([type=checkbox]), select, summary')].filter(node => node.checkVisibility({visibilityProperty: true}))
            .map(node => [node.textContent, node.getBoundingClientRect()]).filter(([, box]) => box.width > 0 && box.height < 43.5).map(([text]) => text)""")
        assert small == []


@pytest.mark.parametrize("width", [320, 570, 640, 700, 800])
def test_a_row_fits_a_page_that_is_enlarged(page, alice, width):
    """1,280 pixels at 200 % are 640, at 400 % 320."""
    alice.finish(alice.order("Quick", ProductID="99"))
    with page.size(width, 450):
        page.log_in(hash_="#/mine")
        page.until(lambda: page.all("[data-row]"), "the report")
        end, shown, all_ = page.script("""const root = document.documentElement;
            return [document.querySelector('[data-row] button[data-key=x]').getBoundingClientRect().right, root.clientWidth, root.scrollWidth]""")
        assert end <= shown and all_ <= width


def test_what_is_chosen_is_seen_in_forced_colours(page, alice):
    """There, colours of the page do not count."""
    def grounds(css):
        return page.script("return [...document.querySelectorAll(arguments[0])].map(node => getComputedStyle(node).backgroundColor)", css)

    def assert_seen(css, mark):
        (chosen,), others = grounds(f"{css}[{mark}]"), grounds(f"{css}:not([{mark}])")
        assert others and chosen not in others
    reference = alice.complete("Exact")
    page.log_in(hash_=f"#/result/{reference}?view=chart")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "forced-colors", "value": "active"}]})
    page.says("All 2 rows", ".view")
    assert_seen(".tabs button", "aria-pressed=true")
    assert grounds(".chart-colours") != grounds("body")
    page.go("#/mine")
    page.until(lambda: page.all("[data-row]"), "the report")
    assert_seen(".chip", "aria-pressed=true")
    assert_seen("nav a", "aria-current=page")
    page.go("#/new/Everything")
    page.field("Product").click()
    page.until(lambda: page.all("[role=option]"), "the choices")
    assert_seen("[role=option]", "aria-selected=true")


def test_the_menu_of_columns_fits_a_phone(page, alice):
    reference = alice.complete("Exact")
    with page.size(*PHONE):
        page.log_in(hash_=f"#/result/{reference}")
        page.press("Columns")
        left, right = page.script("""const box = document.querySelector('.columns fieldset').getBoundingClientRect();
            return [box.left, box.right]""")
        assert 0 <= left < right <= PHONE[0] >= page.script("return document.documentElement.scrollWidth")


def test_no_two_texts_of_a_row_overlap_on_a_phone(page, alice):
    alice.complete("Exact")
    alice.finish(alice.order("Quick", ProductID="99"))
    alice.wait_for(alice.order("Ticker"), "processing")
    with page.size(*PHONE):
        page.log_in(hash_="#/mine")
        page.says("23 h", "[data-row]")
        page.until(lambda: len(page.all("[data-row]")) == 3, "three reports")
        overlapping = page.script("""return [...document.querySelectorAll('[data-row]')].flatMap(row => {
            const boxes = [...row.querySelectorAll('.cell-name a, .note, .state, .cell-rows, .cell-expires, button')].map(node => {
                const range = document.createRange(); range.selectNodeContents(node);
                return [node.textContent, (node.matches('.cell-expires') ? node : range).getBoundingClientRect()]; }).filter(([, box]) => box.width > 0);
            return boxes.flatMap(([text, a], i) => boxes.slice(i + 1).filter(([, b]) =>
                a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom).map(([other]) => [text, other])); })""")
        assert overlapping == []
        assert page.script("return getComputedStyle(document.querySelector('.is-active .cell-rows'), '::after').content") == '" rows"'


def test_the_main_job_by_keyboard_only(page, alice):
    def press(*keys):
        ActionChains(page.driver).send_keys(*keys).perform()

    def tab_to(name):
        seen = []
        for _ in range(60):
            if page.focused.accessible_name == name:
                return
            press(Keys.TAB)
            seen.append(page.focused.accessible_name)
        raise AssertionError(f"Tab does not reach {name}: {seen}")
    page.open()
    page.one("form.login")
    press("alice", Keys.TAB, PASSWORD, Keys.ENTER)
    page.until(lambda: page.h1 == "Reports" and page.focused.tag_name == "h1", "the focus on the heading")
    press("/")
    press("Quick", Keys.ESCAPE)
    page.until(lambda: len([row for row in page.all("[data-row]") if row.is_displayed()]) == 1, "one type")
    press("j", Keys.ENTER)
    page.until(lambda: page.h1 == "Quick" and "#/new/" in page.driver.current_url, "the form")
    tab_to("ProductID")
    press("1", Keys.ENTER)
    page.until(lambda: "#/result/" in page.driver.current_url and page.rows(), "the result")
    tab_to("Chart")
    press(Keys.ENTER)
    page.says("All 3 rows", ".view")
    press("x")
    page.one("dialog[open]")
    tab_to("Delete")
    press(Keys.ENTER)
    page.until(lambda: page.h1 == "Deleted" and page.focused.tag_name == "h1", "the deletion")
    assert alice.references() == []
