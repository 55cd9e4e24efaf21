"""The main job by pointer: find a report, fill in its form, watch it run, look at its result. By keys: test_accessible.py."""


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
