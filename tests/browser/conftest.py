"""Fixtures: one server and one Chromium for all tests that leave them in order, and fresh ones for the others.

`make check-slow` installs what these tests need. The server's harness is that of tests/e2e."""

import sqlite3
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from chromium import Page, launch
from fake_clock import FakeClock
from harness import PASSWORD, Server, poll
from hostile import VALUES

USERS = ("alice", "bob")
OPERATOR = "olga"
COLUMNS = 300  # of the report Columns


def prepare(server):
    """Its users, the definitions of this folder, and their data."""
    for name in USERS:
        server.add_user(name)
    server.user("add", OPERATOR, "--operator", stdin=PASSWORD + "\n")
    for path in (HERE / "reports").iterdir():
        (server.reports / path.name).write_bytes(path.read_bytes())
    columns = ", ".join(f'{number} AS "c{number}"' for number in range(COLUMNS))
    (server.reports / "Columns.sql").write_text(f"-- report: Columns\n-- source: data\n\n-- results\nSELECT {columns};\n")
    with sqlite3.connect(server.folder / "data.db") as db:
        db.execute("CREATE TABLE hostile (id INTEGER PRIMARY KEY, value TEXT NOT NULL)")
        db.executemany("INSERT INTO hostile (value) VALUES (?)", [(value,) for value in VALUES])
    db.close()
    return server


def close(server):
    if server.process is not None:
        assert server.stop() == 0
    server.check_log()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """With two workers; PostgreSQL would be the same to the page."""
    made = prepare(Server.made(tmp_path_factory.mktemp("server"), http_threads=8)).start()
    yield made
    close(made)


@pytest.fixture
def own_server(tmp_path):
    """One that the test may stop, with a clock of its own: (server, clock)."""
    clock = FakeClock(tmp_path / "clock")
    made = Server.made(tmp_path / "server", http_threads=8)
    made.environment["REPORTD_SEAMS_CLOCK"] = str(clock.path)
    prepare(made).start()
    yield made, clock
    close(made)


def empty_handed(client):
    """The client, which has no reports before and afterwards, whatever another test left."""
    client.delete_all()
    yield client
    client.delete_all()


@pytest.fixture
def alice(server):
    yield from empty_handed(server.client_of("alice"))


@pytest.fixture
def bob(server):
    yield from empty_handed(server.client_of("bob"))


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    driver = launch(tmp_path_factory.mktemp("browser"))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, server):
    """Nobody is logged in, and nothing is kept. Afterwards nothing has been refused by the CSP or has failed in a script."""
    yield from clean(browser, server)


@pytest.fixture
def harmless(page):
    """Afterwards no text has become a script, markup or a dialog."""
    yield page
    assert page.script("return window.hostile === undefined")
    assert page.script("return document.querySelectorAll('main script, main iframe, main img, main style, main object, main embed, main form[action], main base').length") == 0


@pytest.fixture
def own_page(browser, own_server):
    """The same with a server of the test's own."""
    yield from clean(browser, own_server[0])


@pytest.fixture
def downloads(browser):
    """Call it for the files that have come, once there are that many; the next test begins with none."""
    folder = browser.folder / "downloads"

    def files(count):
        poll(lambda: len(list(folder.iterdir())) == count and not [*folder.glob("*.crdownload"), *folder.glob(".*")], what="the download")
        return list(folder.iterdir())

    yield files
    for path in folder.iterdir():
        path.unlink()


def clean(browser, server):
    made = Page(browser, server)
    made.complaints()
    yield made
    complaints = made.complaints()
    while len(browser.window_handles) > 1:
        browser.switch_to.window(browser.window_handles[-1])
        browser.close()
    browser.switch_to.window(browser.window_handles[0])
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    browser.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": server.url, "storageTypes": "local_storage"})
    browser.get("about:blank")
    browser.get_log("performance")
    assert complaints == []
