"""The main job: find a report, fill in its form, watch it run, look at its result; and what can go wrong on the way."""

import re

from harness import refused


def test_a_report_is_run_from_its_form(page, alice):
    page.log_in()
    page.until(lambda: page.h1 == "Reports", "the reports")
    page.fill("Search reports", "quick")
    page.press("Run Quick")
    page.until(lambda: page.h1 == "Quick", "the form")
    page.fill("ProductID", "1")
    page.press("Run")
    page.until(lambda: "#/result/" in page.driver.current_url, "the result")
    assert page.rows() == {1: ["1", "Ada", "1250000.00", "2024-01-12"], 2: ["2", "Ada", "0.01", "2024-01-13"], 3: ["3", "Żaneta", "-2.05", "2024-02-01"]}
    assert len(alice.references()) == 1


def test_a_wrong_value_is_told_at_its_field_in_the_servers_words(page, alice):
    message = refused(alice.submit("Quick", {"ProductID": "many"}))
    page.log_in(hash_="#/new/Quick")
    page.fill("ProductID", "many")
    page.press("Run")
    page.says(message, "form")
    field = page.focused
    assert field.accessible_name == "ProductID" and field.get_attribute("aria-invalid") == "true"
    page.fill("ProductID", "1")
    page.press("Run")
    page.until(lambda: "#/result/" in page.driver.current_url, "the result")


def test_a_failed_report_says_why_and_is_changed_and_run_again(page, alice):
    page.log_in(hash_="#/new/Quick?ProductID=99")
    page.press("Run")
    page.says("Product 99 does not exist.", "main")
    page.press("Change and run again")
    page.until(lambda: page.field("ProductID").get_attribute("value") == "99", "the form as it was")


def test_the_progress_of_a_long_report_is_live_and_it_is_cancelled(page, alice):
    page.log_in(hash_="#/new/Ticker")
    page.press("Run")
    page.says("Running", "main")

    def rows():
        found = re.search(r"([\d,]+) rows", page.text("main"))
        return int(found.group(1).replace(",", "")) if found else 0
    first = page.until(rows, "rows")
    page.until(lambda: rows() > first, "more rows")
    (reference,) = alice.references()
    page.press("Cancel")
    page.says("cancelled", "body")
    refused(alice.status(reference), "Unknown reference")
    page.until(lambda: "0 of 10" in page.text("#header"), "none is active")


def test_the_eleventh_active_report_offers_to_cancel_another(page, alice):
    references = [alice.order("Ticker") for _ in range(10)]
    page.log_in(hash_="#/new/Quick?ProductID=1")
    page.press("Run")
    page.until(lambda: len([found for found in page.all(".limit li") if found.is_displayed()]) == 10, "the active reports")
    page.press("Cancel Ticker")
    page.until(lambda: len(alice.references()) == 9, "a cancelled report")
    for reference in references:
        alice.delete(reference)
    page.press("Run now")
    page.until(lambda: "#/result/" in page.driver.current_url, "the result")


def test_mine_is_live_and_deletes_what_matches(page, alice):
    page.log_in(hash_="#/mine")
    one, two = alice.complete("Quick", ProductID="1"), alice.complete("Nested")
    page.until(lambda: {"Quick", "Nested"} <= set(page.text("main").split()), "both reports")
    alice.delete(one)
    page.until(lambda: "Quick" not in page.text("main"), "one is gone")
    assert alice.references() == [two]
