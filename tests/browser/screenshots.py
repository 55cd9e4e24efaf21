#!/usr/bin/env python3
"""Pictures of every screen in light, dark and on a phone: doc/console-SCREEN-light.png, …; `make screenshots`."""

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from chromium import PHONE, Page, launch
from harness import PASSWORD, REPORTD, ROOT, Server

DOC = ROOT / "doc"
DESKTOP = (1180, 800)
THEMES = ("light", "dark")
USER, OTHER, OPERATOR = "ann", "ben", "olga"
LONG = """-- report: EveryPair
-- description: Every transaction beside every account: a long one, to be cancelled.
-- source: registry

-- results
SELECT biz_transaction_id AS "transactionID", a.account_id AS "accountID" FROM biz_transaction AS t CROSS JOIN account AS a;
"""


def serve(folder):
    """The demo registry, with one more report and a user."""
    subprocess.run([REPORTD, "demo", folder, "--entities", "400"], check=True, capture_output=True)
    (folder / "reports/EveryPair.sql").write_text(LONG, encoding="utf-8")
    server = Server.of_folder(folder)
    server.add_user(USER)
    server.add_user(OTHER)
    server.user("add", OPERATOR, "--operator", stdin=PASSWORD + "\n")
    return server.start()


def screens(client):
    """Names, addresses, and what has to be there before the picture is taken."""
    client.finish(client.order("TransactionSummary", ProductID="999999"))
    client.complete("DistributionReconciliation", ProductID="123")
    balance = client.complete("EntityBalanceReport", ProductID="123", ToDate="2024-01-31")
    transactions = client.complete("TransactionSummary", ProductID="123")
    running = client.order("EveryPair")
    client.wait_for(running, "processing")
    yield "reports", "#/reports", "TransactionSummary"
    yield "form", "#/new/TransactionSummary?ProductID=123&TransactionType=Deposit", "reportctl"
    yield "run", f"#/run/{running}", "Running"
    yield "result", f"#/result/{transactions}", "Rows 1 to"
    yield "chart", f"#/result/{balance}?view=chart&y=totalBalance&x=entityName&kind=bar", "The same as a table"
    yield "summary", f"#/result/{transactions}?view=summary", "byType"
    yield "mine", "#/mine", "Failed"


def take_operator(page, server, client):
    """What an operator sees of two users."""
    other = server.client(OTHER)
    other.complete("TransactionSummary", ProductID="123")
    for one in (other, client, client):
        one.order("EveryPair")
    page.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    page.driver.get("about:blank")
    page.log_in(OPERATOR, "#/operator")
    page.says("ben", "tr[data-row]")
    take(page, "operator")
    other.delete_all()


def picture(page, name, look):
    page.until(lambda: page.script("return document.fonts.status === 'loaded' && !document.querySelector('[aria-busy=true], .loading')"), name)
    (DOC / f"console-{name}-{look}.png").write_bytes(page.driver.get_screenshot_as_png())


def take(page, name):
    for theme in THEMES:
        page.theme(theme)
        with page.size(*DESKTOP):
            picture(page, name, theme)
    page.theme("light")
    with page.size(*PHONE):
        picture(page, name, "phone")


def main():
    with tempfile.TemporaryDirectory() as folder:
        server = serve(Path(folder) / "demo")
        driver = launch(Path(folder) / "browser")
        try:
            page, client = Page(driver, server), server.client(USER)
            page.open()
            page.one("form.login")
            take(page, "login")
            page.log_in(USER)
            for name, address, words in screens(client):
                page.go(address)
                page.says(words, "main")
                take(page, name)
            take_operator(page, server, client)
            client.delete_all()
        finally:
            driver.quit()
            server.stop()


if __name__ == "__main__":
    main()
