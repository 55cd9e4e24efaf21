"""The screen Result: rows by scrolling, exact numbers, chart, summary, downloads, deletion."""

import re

import pytest
from selenium.webdriver.common.keys import Keys

from conftest import COLUMNS
from harness import refused

MANY = 600_000


@pytest.fixture(scope="module")
def many(server):
    """A report with 600,000 rows, of bob; no test deletes it."""
    client = server.client_of("bob")
    reference = client.complete("Big", Rows=str(MANY))
    yield reference
    client.delete(reference)


@pytest.fixture
def shown(page, alice):
    """Call it to show a new result of a report: its reference."""
    def show(name, **parameters):
        reference = alice.complete(name, **parameters)
        page.log_in()
        page.open_result(reference)
        return reference
    return show


def scroll_to(page, top):
    page.script("const box = document.querySelector('.scroller'); box.scrollTop = arguments[0] === null ? box.scrollHeight : arguments[0]", top)


def test_numbers_are_shown_digit_by_digit(page, shown):
    shown("Exact")
    rows = page.rows()
    assert rows[1] == ["1", "9007199254740993", "0.10", "12345678901234567890.123456789", "1", "2", "", "", '{"x":[1.10,12345678901234567890,"a"]}', "2024-02-29"]
    assert rows[2][1:3] == ["-9223372036854775808", "12345678901234567890.00"]
    number = page.one("tbody td.number")
    assert number.value_of_css_property("text-align") == "right"


def test_the_head_says_rows_size_and_expiry(page, shown):
    shown("Big", Rows="12345")
    assert page.h1 == "Big"
    assert re.fullmatch(r"12,345 rows · \d+ kB · expires in 23 h 59 m", page.one(".facts").text), page.one(".facts").text


def test_all_of_600000_rows_are_scrolled_over(page, many):
    page.log_in("bob")
    page.open_result(many)
    assert page.rows()[1] == ["1", "row number 1"]
    grid = page.one("[role=grid]")
    assert grid.get_attribute("aria-rowcount") == str(MANY + 1)
    scroll_to(page, None)
    page.until(lambda: MANY in page.rows(), "the last row")
    rows = page.rows()
    assert len(rows) <= 40 and rows[MANY] == [str(MANY), f"row number {MANY}"]
    assert page.script("return document.querySelector('.scroller').getBoundingClientRect().bottom >= document.querySelector('tbody tr:last-child').getBoundingClientRect().bottom")
    scroll_to(page, 4e6)
    page.until(lambda: 200_000 < min(page.rows()) < 400_000, "the middle")
    assert all(row == [str(number), f"row number {number}"] for number, row in page.rows().items())
    scroll_to(page, 0)
    page.until(lambda: 1 in page.rows(), "the first row")


def test_what_is_scrolled_before_its_event_comes_is_not_undone(page, many):
    page.log_in("bob")
    page.open_result(many)
    scroll_to(page, 4e6)
    page.until(lambda: min(page.rows()) > 200_000, "the middle")
    page.script("""
        const box = document.querySelector('.scroller');
        box.addEventListener('scroll', () => {
            window.addEventListener('scroll', (event) => event.stopImmediatePropagation(), true);
            box.scrollTop = 0;
        }, { once: true });
        box.scrollTop = 2e6;""")
    page.until(lambda: 1 in page.rows(), "the first row")


def test_a_wheel_moves_by_rows_in_the_middle_of_a_long_result(page, many):
    page.log_in("bob")
    page.open_result(many, **{"from": 300_000})
    first = min(page.rows())
    assert first == 300_001
    page.script("document.querySelector('.scroller').scrollBy(0, 320)")
    page.until(lambda: min(page.rows()) == first + 10, "ten rows on")
    page.until(lambda: "from=300010" in page.driver.current_url, "the address")


def test_a_row_number_is_typed(page, many):
    page.log_in("bob")
    page.open_result(many)
    page.rows()
    page.fill("Row", "123,456" + Keys.ENTER)
    page.until(lambda: min(page.rows()) == 123_456, "the row")
    assert page.focused.text == "123,456"
    for typed in ("600001", "1.5"):
        page.fill("Row", typed + Keys.ENTER)
        assert page.script("return document.getElementById('row-number').validationMessage") == "A row number from 1 to 600,000"
        assert min(page.rows()) == 123_456
    page.fill("Row", "7" + Keys.ENTER)
    page.until(lambda: min(page.rows()) == 7, "the row")


def test_the_address_says_where_one_is(page, many):
    page.log_in("bob")
    page.open_result(many, **{"from": 4_000, "columns": "text"})
    assert page.rows()[4_001] == ["row number 4001"]
    page.driver.refresh()
    page.until(lambda: page.rows()[4_001] == ["row number 4001"], "the same after a reload")


def test_columns_are_chosen(page, shown):
    shown("Big", Rows="3")
    page.press("Columns")
    page.field("i").click()
    page.until(lambda: page.rows()[1] == ["row number 1"], "one column")
    assert "columns=text" in page.until(lambda: "columns" in page.driver.current_url and page.driver.current_url, "the address")
    page.field("text").click()  # one column is always shown
    assert page.field("text").is_selected() and page.rows()[1] == ["row number 1"]
    page.field("i").click()
    page.until(lambda: page.rows()[1] == ["1", "row number 1"], "both columns")
    page.focused.send_keys(Keys.ESCAPE)
    assert page.focused.tag_name == "summary"


def test_of_300_columns_two_are_chosen_without_leaving_298(page, shown):
    shown("Columns")
    assert len(page.rows()[1]) == COLUMNS
    page.press("Columns")
    page.field("All columns").click()
    page.until(lambda: page.rows()[1] == ["0"], "one column, the least")
    page.field("c7").click()
    page.until(lambda: page.rows()[1] == ["0", "7"], "two columns")
    page.field("All columns").click()
    page.until(lambda: len(page.rows()[1]) == COLUMNS, "all columns")
    page.until(lambda: "columns" not in page.driver.current_url, "the address")
    page.field("c7").click()
    assert not page.field("All columns").is_selected()


def test_300_columns_are_laid_out_together(page, alice):
    def layouts():
        found = page.driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        return next(each["value"] for each in found if each["name"] == "LayoutCount")
    reference = alice.complete("Columns")
    page.log_in()
    page.driver.execute_cdp_cmd("Performance.enable", {})
    before = layouts()
    page.open_result(reference)
    page.rows()
    assert layouts() - before < COLUMNS / 3


def test_the_table_is_walked_by_keys(page, many):
    page.log_in("bob")
    page.open_result(many)
    page.rows()

    def press(*keys):
        page.focused.send_keys(*keys)

    def cell():
        return page.until(lambda: page.focused.text not in ("…", "") and page.focused.text, "a cell")
    page.one("tbody th").click()
    press(Keys.ARROW_DOWN, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert cell() == "row number 2"
    press(Keys.CONTROL, Keys.END)
    page.until(lambda: cell() == f"row number {MANY}", "the last row")
    press(Keys.HOME)
    assert cell() == "600,000"
    press(Keys.ARROW_UP, Keys.END)
    assert cell() == "row number 599999"
    press(Keys.PAGE_UP)
    row = page.focused.find_element("xpath", "..").get_attribute("aria-rowindex")
    assert 599_900 < int(row) < 599_999
    press(Keys.CONTROL, Keys.HOME)
    page.until(lambda: cell() == "row number 1", "the first row")


def test_an_array_opens_as_a_table(page, shown):
    shown("Nested")
    assert page.rows()[1] == ["Ada", "Bonds", "1", "2 lines"]
    page.one("td.opens").click()
    dialog = page.one("dialog")
    assert dialog.find_element("css selector", "h2").text == "items of row 1"
    assert [row.text for row in page.all("dialog tr")] == ["itemID amount", "1 1250000.00", "2 0.01"]
    dialog.send_keys(Keys.ESCAPE)
    page.until(lambda: not page.all("dialog"), "the end of the dialog")
    assert page.focused.text == "2 lines"


def test_a_result_without_rows(page, shown):
    shown("Quick", ProductID="3")
    page.says("The result has no rows.")
    page.press("Chart")
    page.says("There is nothing to draw: the result has no rows.", ".view")
    page.press("Summary")
    page.says("count 0")


def test_rows_that_are_too_large_for_an_answer(page, shown):
    shown("Wide")
    rows = page.rows()
    assert len(rows) == 10 and rows[6] == ["This row is larger than 4 MiB. The downloads have it."]
    assert all(rows[n][0] == str(n - 1) for n in (1, 2, 3, 4, 5, 7, 8, 9, 10))


def test_the_summary_and_the_sets_are_tables(page, shown):
    shown("Exact")
    page.press("Summary")
    page.says("9007199254740995")
    text = page.text(".view")
    assert "more big 9007199254740993" in text.replace("\n", " ")
    assert [row.text for row in page.all("[aria-label=byType] tr")] == ["name count", "A 0.5", "B 1.5"]


def test_the_summary_of_a_long_result_is_found(page, many):
    page.log_in("bob")
    page.open_result(many, view="summary")
    page.says(f"rows {MANY}", ".view")


def test_the_chart_says_which_rows_it_has(page, shown):
    shown("Exact")
    page.press("Chart")
    page.says("All 2 rows", ".view")
    assert page.one("canvas").accessible_name == "Chart: Amount (AUD) over day"
    page.press("The same as a table")
    assert [row.text for row in page.all(".view tr")][:2] == ["day Amount (AUD) Rows", "2024-02-29 0.10 1"]


def test_a_chart_of_thousands_of_rows_has_them_all(page, shown):
    reference = shown("Big", Rows="3000")
    page.open_result(reference, view="chart")
    page.says("All 3,000 rows", ".view")


def test_a_chart_of_many_rows_is_a_sample_and_says_so(page, many):
    page.log_in("bob")
    page.open_result(many, view="chart")
    page.says("A sample: 1,000 of 600,000 rows, taken evenly over the whole result", ".view")


@pytest.mark.parametrize("form", ["csv", "xlsx", "json", "ndjson"])
def test_a_download_is_what_the_api_sends(page, shown, alice, downloads, form):
    reference = shown("Labelled")
    page.press(f"Download as {form.upper()}")
    page.says("The download has begun.", "#notices")
    assert page.focused.accessible_name == f"Download as {form.upper()}"
    (path,) = downloads(1)
    assert path.suffix == f".{form}"
    assert path.read_bytes() == alice.get("/Report", params={"reference": reference, "format": form}).content


def test_a_csv_with_labels(page, shown, alice, downloads):
    reference = shown("Labelled")
    page.field("Labels as headers").click()
    page.press("Download as CSV")
    (path,) = downloads(1)
    assert path.read_bytes() == alice.get("/Report", params={"reference": reference, "format": "csv", "labels": "1"}).content
    assert b"Closing balance" in path.read_bytes()


def test_a_workbook_that_cannot_be_is_told(page, shown, downloads):
    shown("Wide")
    page.press("Download as XLSX")
    page.says("32767", "#notices")
    assert downloads(0) == []


def test_deletion_shows_and_keeps_the_receipt(page, shown, alice, server, downloads):
    reference = shown("Quick", ProductID="1")
    page.press("Delete")
    page.press("Keep")
    assert alice.status(reference).json()["data"] == "complete"
    page.press("Delete")
    page.press("Delete", "dialog button")
    page.until(lambda: page.h1 == "Deleted", "the deletion")
    refused(alice.status(reference), "Unknown reference")
    receipt = page.one(".jws").text
    page.press("Save the receipt")
    (path,) = downloads(1)
    assert path.read_text() == receipt
    (server.folder / "jwks.json").write_bytes(alice.get("/.well-known/jwks.json").content)
    checked = server.run("receipt", "--jwks", "jwks.json", str(path))
    assert checked.returncode == 0 and reference in checked.stdout, checked.stderr
    assert page.script("return localStorage.getItem('reportd-receipts')") == receipt
    assert "Ada" not in page.script("return document.documentElement.outerHTML")
    path.unlink()
    page.press("User menu of alice")
    page.press("Receipts")
    page.press("Save")
    assert page.h1 == "Receipts" and downloads(1)[0].read_text() == receipt


def test_deleting_warns_of_a_download_that_it_would_break_off(page, shown, downloads):
    shown("Quick", ProductID="1")
    page.press("Delete")
    assert "download" not in page.one("dialog").text
    page.press("Keep")
    page.press("Download as XLSX")
    downloads(1)
    page.press("Delete")
    page.says("A download in progress will fail.", "dialog")
    page.press("Keep")


def test_no_two_buttons_touch_after_a_deletion(page, shown):
    shown("Quick", ProductID="1")
    page.press("Delete")
    page.press("Delete", "dialog button")
    page.until(lambda: page.h1 == "Deleted", "the deletion")
    above, below = (page.named(name).rect for name in ("Save the receipt", "My reports"))
    assert below["y"] >= above["y"] + above["height"] + 8


@pytest.mark.parametrize("view", ["table", "chart", "summary"])
def test_a_deletion_elsewhere_is_told(page, shown, alice, view):
    reference = shown("Quick", ProductID="1")
    page.press(view.capitalize())
    page.says({"table": "Ada", "chart": "All 3 rows", "summary": "count"}[view], ".view")
    alice.delete(reference)
    page.until(lambda: page.h1 == "This report is gone", "the message")
    assert "Ada" not in page.script("return document.documentElement.outerHTML")
    page.driver.refresh()
    page.until(lambda: page.h1 == "This report is gone", "the message")


@pytest.mark.parametrize("opened", ["td.opens", ".danger"])
@pytest.mark.parametrize("end", ["deletion", "back"])
def test_a_dialog_ends_with_its_result(page, shown, alice, opened, end):
    reference = shown("Nested")
    page.rows()
    page.one(opened).click()
    page.one("dialog[open]")
    if end == "deletion":
        alice.delete(reference)
    else:
        page.driver.back()
    page.until(lambda: page.script("return document.querySelector('h1').textContent") == {"deletion": "This report is gone", "back": "Reports"}[end], end)
    page.until(lambda: not page.all("dialog"), "the end of the dialog")


@pytest.fixture
def no_storage(browser):
    """The browser keeps nothing for pages."""
    source = "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } })"
    added = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source})
    yield
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_a_browser_that_keeps_nothing_shows_the_receipt(no_storage, page, shown):
    shown("Nested")
    page.press("Theme: as the system")
    page.named("Theme: light")
    page.press("Delete")
    page.press("Delete", "dialog button")
    page.until(lambda: page.h1 == "Deleted", "the deletion")
    page.says("could not keep it", ".receipt")
    assert page.one(".jws").text and not page.all("[role=grid]")


def test_a_report_that_is_not_complete_is_followed(page, alice):
    reference = alice.order("Endless")
    page.log_in()
    page.go(f"#/result/{reference}")
    page.until(lambda: f"#/run/{reference}" in page.driver.current_url, "the screen Run")
