"""The console in Chromium: until a view is there, what scrolling keeps, and frames while 200 reports change."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from servers import Reportd
from stage import OUT, ROOT, Row, alternate, need

sys.path[:0] = [str(ROOT / "tests/browser"), str(ROOT / "tests/e2e")]

USER = "ann"
VIEW_MS, HEAP_MB = 300, 20
ROWS, WAIT = 10_000_000, 600  # seconds until they are there
LIVE, FRAMES_MS = 200, 5_000
# Notes when there is first a frame with what the selector finds.
WATCH = """window.shownAt = null;
new MutationObserver((_, observer) => { if (document.querySelector(arguments_0)) { observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => { window.shownAt = performance.now(); })); } }).observe(document, {childList: true, subtree: true});"""
FRAMES = """const done = arguments[1], until = performance.now() + arguments[0]; let frames = 0;
const next = now => { frames++; now < until ? requestAnimationFrame(next) : done(frames); }; requestAnimationFrame(next);"""


def shown_at(page, css):
    """Makes each document note it; returns what takes the note away."""
    source = WATCH.replace("arguments_0", repr(css))
    which = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source})["identifier"]
    return lambda: page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", {"identifier": which})


def first_view_ms(page):
    """From the navigation to the login, with an empty cache; the page asks for a session before it shows the login."""
    page.driver.get("about:blank")
    page.driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    page.open()
    return page.until(lambda: page.script("return window.shownAt"), "the login")


def preview_ms(page, reference):
    """From a click in another screen to the first rows, which no cache has."""
    page.go("#/reports")
    page.until(lambda: page.all("[data-row]"), "the reports")
    return page.driver.execute_async_script("""const done = arguments[1], began = performance.now();
        new MutationObserver((_, observer) => { if (document.querySelector('[role=grid] td:not(.pending)')) { observer.disconnect();
            requestAnimationFrame(() => setTimeout(() => done(performance.now() - began))); } }).observe(document.body, {childList: true, subtree: true});
        location.hash = '#/result/' + arguments[0];""", reference)


def heap_mb(page):
    page.driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    return page.driver.execute_cdp_cmd("Runtime.getHeapUsage", {})["usedSize"] / 1e6


def scroll(page):
    """To the end in 100 jumps and back in as many, each until its rows are there."""
    for step in [*range(1, 101), *range(99, -1, -1)]:
        page.script("const box = document.querySelector('.scroller'); box.scrollTop = (box.scrollHeight - box.clientHeight) * arguments[0] / 100;", step)
        page.rows()


def frames(page, act=None):
    """How many are drawn while `act` is called again and again."""
    over = threading.Event()

    def repeat():
        while not over.is_set():
            act()
    thread = threading.Thread(target=repeat, daemon=True)
    if act:
        thread.start()
    try:
        return page.driver.execute_async_script(FRAMES, FRAMES_MS)
    finally:
        over.set()
        if act:
            thread.join()


def live_frames(page, server):
    """With 200 active reports in Mine: the first of the queue is deleted and another submitted, so that all others move up."""
    queue = [server.order("Tiny") for _ in range(LIVE)]

    def move():  # as often as an event comes for the place in the queue
        time.sleep(0.25)
        server.delete(queue.pop(0))
        queue.append(server.order("Tiny"))
    page.go("#/mine")
    page.until(lambda: "Active" in page.text("main"), "the reports")
    drawn = frames(page, move)
    for which in queue:
        server.delete(which)
    page.go("#/reports")
    return drawn


def page(bench):
    need("chromedriver", "Chromium's driver")
    from chromium import Page, launch
    from harness import PASSWORD
    with Reportd("page", core=None, active_limit=2 * LIVE) as server, tempfile.TemporaryDirectory(dir=OUT) as folder:
        subprocess.run([os.environ.get("REPORTD_BIN", ROOT / "build/release/reportd"), "user", "add", "-c", server.folder / "reportd.conf", USER, "--grant", "*"],
                       input=PASSWORD + "\n", text=True, check=True, capture_output=True)
        server.tokens.insert(0, json.loads(server.ask("POST", "/User/Login", {"username": USER, "password": PASSWORD})[1])["accessToken"])
        driver = launch(Path(folder))
        try:
            yield from measure(bench, Page(driver, server), server)
        finally:
            driver.quit()


def at_most(case, unit, values, limit, note=""):
    return Row(case, "the limit", unit, values, [limit] * len(values), 1, at_most=True, note=note)


def measure(bench, shown, server):
    forget = shown_at(shown, "form.login")
    yield at_most("First view of the console, with an empty cache", "ms", [first_view_ms(shown) for _ in range(bench.pairs)], VIEW_MS)
    forget()
    rows = bench.scaled(ROWS)
    long = server.order("Many", {"Rows": str(rows)}, wait=WAIT)
    shown.log_in(USER)
    yield at_most(f"First rows of a result of {rows:,}", "ms", [preview_ms(shown, long) for _ in range(bench.pairs)], VIEW_MS, "the first of them with an empty cache")
    before = heap_mb(shown)
    scroll(shown)
    yield at_most("The page's heap after scrolling to its end and back, beyond before", "MB", [max(0.1, heap_mb(shown) - before)], HEAP_MB)
    server.delete(long)
    server.freeze_workers()
    shown.go("#/reports")
    quiet, live = alternate(bench.slow_pairs, lambda: frames(shown), lambda: live_frames(shown, server))
    yield Row(f"Frames in {FRAMES_MS // 1000} s while {LIVE} reports in Mine change", "the page at rest", "frames", live, quiet, 0.98)
