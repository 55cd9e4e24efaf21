"""What the page does with texts that would harm it, where it may be shown, and what it leaves behind."""

import http.server
import re
import threading
import urllib.parse
import zlib

import pytest
import requests

from chromium import Page, launch
from conftest import OPERATOR
from harness import poll
from hostile import VALUES

CSP = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
       "frame-ancestors 'none'; base-uri 'none'; form-action 'self'")


def test_every_text_is_shown_as_it_is_in_cells(harmless, alice):
    page = harmless
    reference = alice.complete("Hostile")
    page.log_in()
    page.open_result(reference)
    shown = {}
    while len(shown) < len(VALUES):
        page.fill("Row", f"{len(shown) + 1}\n")
        rows = page.until(lambda: len(shown) + 1 in (rows := page.rows()) and rows, "the rows")
        shown.update(rows)
    for number, value in enumerate(VALUES, 1):
        assert shown[number][1] == (value if len(value) <= 500 else value[:500] + "…"), number
    assert "<img src=x onerror=window.hostile=1> (<i>)" in page.text("[role=grid] thead")


def test_every_text_is_shown_as_it_is_in_sets_and_the_summary(harmless, alice):
    page = harmless
    reference = alice.complete("Hostile")
    page.log_in()
    page.open_result(reference, view="summary")
    page.says("more", ".view h2")
    for label in ("values", "more"):
        while more := [found for found in page.all(f"[aria-label={label}] button") if found.is_displayed()]:
            more[0].click()
        cells = page.script("return [...document.querySelectorAll(`[aria-label=${arguments[0]}] td`)].map(cell => cell.textContent)", label)
        assert cells == VALUES, label


FIT = [value for value in VALUES if 0 < len(value.encode()) <= 4000]  # what a parameter may be


def test_every_text_is_harmless_in_the_form_and_its_address(harmless):
    page = harmless
    page.log_in()
    for value in FIT:
        page.go("#/new/Hostile?" + urllib.parse.urlencode({"Text": value}))
        line = re.sub(r"[\r\n]", "", value)  # as a field of one line has it
        page.until(lambda: line in page.script("return [...document.querySelectorAll('main input')].map(input => input.value)"), value)


def test_every_text_is_harmless_in_a_message(harmless, alice):
    page = harmless
    page.log_in()
    for value in FIT:
        reference = alice.order("Hostile", Text=value)
        message = alice.finish(reference).json()["message"]
        assert value in message or len(value) > 1000
        page.go(f"#/run/{reference}")
        page.until(lambda: message in page.script("return document.querySelector('main').textContent"), value)
        alice.delete(reference)


def test_the_csp_is_exactly_this(server):
    for path in ("/", "/console/app.js", "/console/nothing.js"):
        assert requests.get(server.url + path, timeout=60).headers["Content-Security-Policy"] == CSP


def test_the_csp_is_in_force(page):
    """And the test's ways of seeing a violation work."""
    page.open()
    page.one("h1")
    page.script("""const script = document.createElement('script'); script.textContent = 'window.hostile = 1'; document.body.append(script);
                   document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.hostile = 1"><p style="color: red">x</p>');""")
    page.until(lambda: sum("Content Security Policy" in text for text in page.complaints()) or page.script("return window.hostile"), "violations")
    assert page.script("return window.hostile === undefined")
    page.complaints()


@pytest.fixture
def other_origin(server):
    """The address of a page of another origin that has the console in a frame."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = f"<title>evil</title><iframe src='{server.url}/'></iframe>".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    evil = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=evil.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{evil.server_port}/"
    evil.shutdown()
    evil.server_close()


def test_a_frame_of_another_origin_stays_empty(page, other_origin):
    page.log_in()
    page.driver.get(other_origin)
    page.until(lambda: any("frame-ancestors" in text or "X-Frame-Options" in text for text in page.complaints()), "the refusal")
    page.driver.switch_to.frame(0)
    assert page.script("return location.href").startswith("chrome-error:") and page.all("#main") == []
    page.driver.switch_to.default_content()


def holders(folder, *wanted):
    """The files below it that have one of these texts, as they are or compressed."""
    def forms(data):
        yield data
        at = -1
        while (at := data.find(b"\x1f\x8b\x08", at + 1)) >= 0:
            try:
                yield zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data[at:])
            except zlib.error:
                continue
    return {path.name for path in folder.rglob("*") if path.is_file() and any(text in form for form in forms(path.read_bytes()) for text in wanted)}


def test_nothing_of_a_deleted_result_is_in_the_browsers_folder(server, alice, tmp_path):
    marker = "row number 77"
    reference = alice.complete("Big", Rows="100")
    driver = launch(tmp_path)
    try:
        page = Page(driver, server)
        page.log_in()
        page.open_result(reference)
        page.fill("Row", "77\n")
        page.until(lambda: 77 in page.rows(), "the row")
        for view, words in (("Chart", "All 100 rows"), ("Summary", "rows 100")):
            page.press(view)
            page.says(words, ".view")
        page.press("Delete")
        page.press("Delete", "dialog button")
        page.until(lambda: page.h1 == "Deleted", "the deletion")
    finally:
        driver.quit()
    assert holders(tmp_path, marker.encode(), marker.encode("utf-16-le")) == set()
    # The page's own files, which may be kept, are found by the same search.
    asset = b"the rows of a result, fetched in windows"
    assert poll(lambda: holders(tmp_path, asset), what="the cached page")


def test_nothing_of_a_report_that_an_operator_deletes_is_in_the_browsers_folder(server, alice, tmp_path):
    marker = "marker-of-a-parameter-78"
    alice.finish(alice.order("Quick", ProductID="99", Note=marker))
    driver = launch(tmp_path)
    try:
        page = Page(driver, server)
        page.log_in(OPERATOR, "#/operator")
        page.says(marker, "tr[data-row]")
        page.press("Quick", "tr[data-row] button")
        page.says(marker, "dialog")
        page.press("Delete it", "dialog button")
        page.press("Delete", "dialog button")
        page.until(lambda: alice.references() == [] and not page.all("tr[data-row]"), "the deletion")
    finally:
        driver.quit()
    assert holders(tmp_path, marker.encode(), marker.encode("utf-16-le")) == set()
    assert poll(lambda: holders(tmp_path, b"the reports of all users: chosen, selected"), what="the cached page")
