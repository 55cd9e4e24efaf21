"""Debian's Chromium, driven by chromedriver: one page, what it shows, what it said and sent."""

import contextlib
import json
import re

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from harness import PASSWORD, PATIENCE

CHROMEDRIVER = "/usr/bin/chromedriver"
DESKTOP, PHONE = (1280, 900), (390, 844)
# What the server answers on purpose is in the browser's log, too.
ANSWERED = re.compile(r"Failed to load resource|net::ERR_")


def launch(folder, *switches):
    """A browser with its profile, cache and downloads below `folder`."""
    options = webdriver.ChromeOptions()
    for switch in ("headless=new", "no-sandbox", "disable-gpu", "no-proxy-server", "no-first-run", "disable-background-networking",
                   "disable-component-update", "disable-sync", "disable-dev-shm-usage", "disable-ipc-flooding-protection", "lang=en-US",
                   f"user-data-dir={folder / 'profile'}",
                   f"disk-cache-dir={folder / 'cache'}", f"window-size={DESKTOP[0]},{DESKTOP[1]}", *switches):
        options.add_argument(f"--{switch}")
    (folder / "downloads").mkdir(parents=True, exist_ok=True)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder / "downloads"), "credentials_enable_service": False})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(service=Service(CHROMEDRIVER), options=options)
    driver.folder = folder
    driver.set_page_load_timeout(PATIENCE)
    driver.set_script_timeout(PATIENCE)
    return driver


class Page:
    """The console in a browser. A name in text is what a reader sees or a screen reader says."""

    def __init__(self, driver, server):
        self.driver, self.server = driver, server

    # --- waiting and finding

    def until(self, condition, what="it", seconds=PATIENCE):
        """What condition() returns once it is true; elements that have been replaced meanwhile are looked for again."""
        wait = WebDriverWait(self.driver, seconds, poll_frequency=0.05, ignored_exceptions=[StaleElementReferenceException])
        try:
            return wait.until(lambda _: condition())
        except TimeoutException:
            raise AssertionError(f"{what} did not happen; the page says:\n{self.text()[:2000]}") from None

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def one(self, css):
        """The first that is displayed, waited for."""
        return self.until(lambda: next((found for found in self.all(css) if found.is_displayed()), None), css)

    def text(self, css="body"):
        return " ".join(found.text for found in self.all(css))

    def says(self, words, css="body"):
        self.until(lambda: words in self.text(css), f"{words!r} in {css}")

    def named(self, name, css="button, a, summary, input, select, textarea"):
        """The control with this name."""
        return self.until(lambda: next((found for found in self.all(css) if found.is_displayed() and found.accessible_name == name), None),
                          f"a control named {name!r}")

    def press(self, name, css="button, a, summary"):
        self.named(name, css).click()

    def field(self, label):
        return self.named(label, "input, select, textarea")

    def fill(self, label, value):
        field = self.field(label)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(value)

    def script(self, text, *arguments):
        return self.driver.execute_script(text, *arguments)

    @property
    def focused(self):
        return self.driver.switch_to.active_element

    # --- ways

    def open(self, hash_=""):
        self.driver.get(f"{self.server.url}/{hash_}")

    def go(self, hash_):
        """As a link does, without a reload."""
        self.script("location.hash = arguments[0]", hash_)

    def log_in(self, name="alice", hash_=""):
        self.open(hash_)
        self.fill("User name", name)
        self.fill("Password", PASSWORD)
        self.press("Log in")
        self.until(lambda: not self.all("form.login"), "the login")

    def open_result(self, reference, **query):
        self.go(f"#/result/{reference}" + ("?" + "&".join(f"{key}={value}" for key, value in query.items()) if query else ""))
        self.until(lambda: self.all(".result, .gone"), "the result")

    @property
    def h1(self):
        return self.one("h1").text

    # --- the table of a result

    def rows(self):
        """The rows in the page: {number from 1: [texts]}, once there are some and all of them are loaded."""
        found = self.until(lambda: self.script("""const grid = document.querySelector('[role=grid]');
            if (!grid || grid.getAttribute('aria-busy') !== 'false') return null;
            return [...grid.tBodies[0].rows].map(row => [row.ariaRowIndex - 1, ...[...row.cells].slice(1).map(cell => cell.textContent)]);"""), "rows")
        return {row[0]: row[1:] for row in found}

    # --- what it said and sent

    def complaints(self):
        """What the browser has logged since the last call, except for answers of the server."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING") and not ANSWERED.search(entry["message"])]

    def traffic(self):
        """What the network did since the last call: [(event of Chromium's protocol, its parameters)]."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [(message["method"], message["params"]) for message in messages if message["method"].startswith("Network.")]

    @contextlib.contextmanager
    def size(self, width, height):
        """As on a screen of this size."""
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
        try:
            yield
        finally:
            self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def theme(self, name):
        """As the system has it: "light" or "dark"."""
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": name}]})
