"""`reportd demo`: the figures of its reports, against a replay of the raw ledger in Python."""

import contextlib
import itertools
import json
import os
import pty
import re
import select
import shutil
import signal
import sqlite3
import subprocess
from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal

import pytest

from harness import REPORTCTL, REPORTD, ROOT, Server

ENTITIES, SEED = 300, 7
PRODUCT, EMPTY_PRODUCT = 123, 125
LAST_DAY = "2025-06-30"
GENERATED_WITHIN = 120  # seconds; under ASan on a busy machine


def make_demo(folder, *words):
    return subprocess.run([REPORTD, "demo", folder, *words], text=True, capture_output=True,
                          timeout=GENERATED_WITHIN)


def password_in(text):
    return re.search(r"^  password  (\S+) ", text, re.M).group(1)


class Demo(Server):
    """A server of what `reportd demo` made, and the database beside it."""

    def __init__(self, folder):
        super().__init__(folder)
        done = make_demo(folder, "--entities", str(ENTITIES), "--seed", str(SEED))
        assert done.returncode == 0, done.stderr
        self.password = password_in(done.stdout)
        self.db = sqlite3.connect(f"file:{folder}/registry.db?mode=ro", uri=True)
        self.db.row_factory = sqlite3.Row

    def rows(self, sql, *values):
        return self.db.execute(sql, values).fetchall()

    def run_report(self, name, **parameters):
        client = self.client("demo", self.password)
        reference = client.complete(name, **parameters)
        answer = client.result(reference)
        client.delete(reference)
        return json.loads(answer.text, parse_float=Decimal)["data"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    server = Demo.of_folder(tmp_path_factory.mktemp("demo") / "made")
    server.start()
    yield server
    assert server.stop() == 0
    server.check_log()
    server.db.close()


def scaled(value, places):
    return Decimal(value).scaleb(-places)


def cents(value):
    return value.quantize(Decimal("0.01"), ROUND_HALF_UP)


def total(values):
    return sum(values, Decimal("0.00"))


def replay(demo, product, until):
    """Units and last date of every account, from what the transactions state."""
    holdings = {}
    for row in demo.rows("SELECT * FROM biz_transaction ORDER BY transaction_date, biz_transaction_id"):
        if row["product_id"] != product or row["status"] == "RolledBack" or row["transaction_date"] > until:
            continue
        units, _ = holdings.get(row["account_id"], (Decimal(0), None))
        stated = scaled(row["quantity"], 2)
        units = stated if row["transaction_type"] == "SetQuantity" else units + stated
        holdings[row["account_id"]] = units, row["transaction_date"]
    return holdings


def price_at(demo, investment, until):
    prices = [row for row in demo.rows("SELECT * FROM price WHERE investment_id = ?", investment)
              if row["price_date"] <= until]
    return scaled(max(prices, key=lambda row: row["price_date"])["price"], 4)


def expected_balances(demo, since, until, closing):
    accounts = {row["account_id"]: row for row in demo.rows("SELECT * FROM account")}
    entities = {row["biz_entity_id"]: row for row in demo.rows("SELECT * FROM biz_entity")}
    by_entity = defaultdict(list)
    for account_id, (units, last) in sorted(replay(demo, PRODUCT, until).items()):
        account = accounts[account_id]
        if units != 0 or closing:
            by_entity[account["biz_entity_id"]].append({
                "accountID": account_id,
                "externalAccountId": account["external_account_id"],
                "accountNumber": account["account_number"],
                "balance": cents(units * price_at(demo, account["investment_id"], until)),
                "units": units,
                "lastTransactionDate": last,
            })
    return [{
        "entityID": entity_id,
        "externalBizEntityId": entities[entity_id]["external_biz_entity_id"],
        "entityName": entities[entity_id]["name"],
        "totalBalance": total(account["balance"] for account in held),
        "currency": "AUD",
        "lastTransactionDate": max(account["lastTransactionDate"] for account in held),
        "accounts": held,
    } for entity_id, held in sorted(by_entity.items())
        if since is None or max(account["lastTransactionDate"] for account in held) >= since]


@pytest.mark.parametrize("parameters", [
    {},
    {"ToDate": "2024-01-31"},
    {"ToDate": "2024-03-31"},  # a Sunday: the price is Friday's
    {"FromDate": "2025-06-25"},
    {"FromDate": "2023-12-20", "ToDate": "2024-01-07", "IncludeClosingBalances": "true"},
    {"IncludeClosingBalances": "true"},
])
def test_balances_are_those_of_a_replay_of_the_ledger(demo, parameters):
    data = demo.run_report("EntityBalanceReport", ProductID=str(PRODUCT), **parameters)
    expected = expected_balances(demo, parameters.get("FromDate"), parameters.get("ToDate", LAST_DAY),
                                 parameters.get("IncludeClosingBalances") == "true")
    assert len(expected) > 10
    assert data["results"] == expected


@pytest.mark.parametrize("parameters", [{}, {"ToDate": "2024-01-31"}, {"FromDate": "2025-06-25"}])
def test_accounts_add_up_to_entities_and_entities_to_the_summary(demo, parameters):
    data = demo.run_report("EntityBalanceReport", ProductID=str(PRODUCT), **parameters)
    results, summary = data["results"], data["summary"]
    accounts = [account for entity in results for account in entity["accounts"]]
    for entity in results:
        assert entity["totalBalance"] == total(account["balance"] for account in entity["accounts"])
    balance = total(entity["totalBalance"] for entity in results)
    assert summary == {
        "totalEntities": len(results),
        "totalAccounts": len(accounts),
        "grandTotalBalance": balance,
        "grandTotalUnits": total(account["units"] for account in accounts),
        "averageBalance": cents(balance / len(results)),
    }


def test_closing_balances_are_left_out_unless_asked_for(demo):
    without = demo.run_report("EntityBalanceReport", ProductID=str(PRODUCT))["results"]
    including = demo.run_report("EntityBalanceReport", ProductID=str(PRODUCT),
                                IncludeClosingBalances="true")["results"]
    closed = {row["account_id"] for row in demo.rows(
        "SELECT account_id FROM account WHERE product_id = ? AND closed_date IS NOT NULL", PRODUCT)}
    ids = [{account["accountID"] for entity in results for account in entity["accounts"]}
           for results in (without, including)]
    assert closed and ids[1] - ids[0] == closed


def test_money_and_units_keep_their_two_decimals(demo):
    data = demo.run_report("EntityBalanceReport", ProductID=str(PRODUCT))
    for entity in data["results"]:
        for value in [entity["totalBalance"],
                      *(account[key] for account in entity["accounts"] for key in ("balance", "units"))]:
            assert isinstance(value, Decimal) and value.as_tuple().exponent == -2


@pytest.mark.parametrize("parameters", [
    {"ProductID": str(EMPTY_PRODUCT)},
    {"ProductID": str(PRODUCT), "ToDate": "2023-07-02"},
])
def test_a_report_of_nothing_is_empty_and_its_totals_are_0(demo, parameters):
    data = demo.run_report("EntityBalanceReport", **parameters)
    assert data["results"] == []
    assert data["summary"] == {"totalEntities": 0, "totalAccounts": 0, "grandTotalBalance": 0,
                               "grandTotalUnits": 0, "averageBalance": 0}


def expected_transactions(demo, keep):
    entities = {row["biz_entity_id"]: row["name"] for row in demo.rows("SELECT * FROM biz_entity")}
    accounts = {row["account_id"]: row for row in demo.rows("SELECT * FROM account")}
    codes = {row["investment_id"]: row["security_code"] for row in demo.rows("SELECT * FROM investment")}
    expected = []
    for row in demo.rows("SELECT * FROM biz_transaction WHERE product_id = ?", PRODUCT):
        account, price = accounts[row["account_id"]], row["price_per_unit"]
        expected.append({
            "bizTransactionID": row["biz_transaction_id"],
            "externalBizTransactionId": row["external_biz_transaction_id"],
            "transactionDate": row["transaction_date"],
            "transactionType": row["transaction_type"],
            "status": row["status"],
            "entityID": account["biz_entity_id"],
            "entityName": entities[account["biz_entity_id"]],
            "accountID": row["account_id"],
            "externalAccountId": account["external_account_id"],
            "accountNumber": account["account_number"],
            "investmentID": account["investment_id"],
            "securityCode": codes[account["investment_id"]],
            "amount": scaled(row["amount"], 2),
            "quantity": scaled(row["quantity"], 2),
            "pricePerUnit": None if price is None else scaled(price, 4),
            "comment": row["comment"],
        })
    return sorted((row for row in expected if keep(row)),
                  key=lambda row: (row["transactionDate"], row["bizTransactionID"]))


@pytest.mark.parametrize("parameters, keep", [
    ({}, lambda row: True),
    ({"TransactionType": "SetQuantity"}, lambda row: row["transactionType"] == "SetQuantity"),
    ({"Status": "RolledBack"}, lambda row: row["status"] == "RolledBack"),
    ({"EntityID": "10001"}, lambda row: row["entityID"] == 10001),
    ({"AccountID": "500001", "FromDate": "2024-01-01"},
     lambda row: row["accountID"] == 500001 and row["transactionDate"] >= "2024-01-01"),
    ({"FromDate": "2024-02-01", "ToDate": "2024-02-29", "Status": "Updated", "TransactionType": "Deposit"},
     lambda row: "2024-02-01" <= row["transactionDate"] <= "2024-02-29" and row["status"] == "Updated"
     and row["transactionType"] == "Deposit"),
])
def test_transactions_are_those_of_the_ledger_in_order_and_the_totals_are_their_sums(demo, parameters, keep):
    data = demo.run_report("TransactionSummary", ProductID=str(PRODUCT), **parameters)
    rows, summary = data["results"], data["summary"]
    assert rows and rows == expected_transactions(demo, keep)
    by_type = defaultdict(list)
    for row in rows:
        by_type[row["transactionType"]].append(row)
    assert summary == {
        "totalTransactions": len(rows),
        "totalAmount": total(row["amount"] for row in rows),
        "totalQuantity": total(row["quantity"] for row in rows),
        "firstTransactionDate": min(row["transactionDate"] for row in rows),
        "lastTransactionDate": max(row["transactionDate"] for row in rows),
        "byType": [{
            "transactionType": name,
            "count": len(of_type),
            "amount": total(row["amount"] for row in of_type),
            "quantity": total(row["quantity"] for row in of_type),
        } for name, of_type in sorted(by_type.items())],
    }


def test_no_transactions_make_an_empty_summary(demo):
    data = demo.run_report("TransactionSummary", ProductID=str(EMPTY_PRODUCT))
    assert data["results"] == []
    assert data["summary"] == {"totalTransactions": 0, "totalAmount": 0, "totalQuantity": 0,
                               "firstTransactionDate": None, "lastTransactionDate": None, "byType": []}


def test_the_transactions_replayed_come_to_the_units_of_the_balances(demo):
    units = defaultdict(Decimal)
    for row in demo.run_report("TransactionSummary", ProductID=str(PRODUCT))["results"]:
        if row["status"] == "RolledBack":
            continue
        held = Decimal(0) if row["transactionType"] == "SetQuantity" else units[row["accountID"]]
        units[row["accountID"]] = held + row["quantity"]
    summary = demo.run_report("EntityBalanceReport", ProductID=str(PRODUCT))["summary"]
    assert total(units.values()) == summary["grandTotalUnits"]


def test_no_account_ever_holds_less_than_nothing(demo):
    lowest = demo.rows("""
        SELECT min(units) AS units FROM (
            SELECT sum(units_delta) OVER (PARTITION BY account_id ORDER BY biz_transaction_id) AS units
            FROM biz_transaction WHERE status <> 'RolledBack')""")[0]["units"]
    assert lowest >= 0


@pytest.fixture(scope="module")
def distributions(demo):
    return demo.run_report("DistributionReconciliation", ProductID=str(PRODUCT))


def test_the_components_of_a_distribution_total_100_percent_and_its_amount(distributions):
    assert len(distributions["results"]) == 24  # three investments, eight quarters
    for row in distributions["results"]:
        assert total(part["percent"] for part in row["components"]) == 100
        assert total(part["amount"] for part in row["components"]) == row["calculatedAmount"]


def test_a_distribution_is_calculated_on_the_units_of_the_ledger_at_its_record_date(demo, distributions):
    investments = {row["account_id"]: row["investment_id"] for row in demo.rows("SELECT * FROM account")}
    for row in distributions["results"]:
        held = [units for account, (units, _) in replay(demo, PRODUCT, row["recordDate"]).items()
                if investments[account] == row["investmentID"]]
        assert row["unitsAtRecordDate"] == total(held)
        assert row["calculatedAmount"] == total(
            cents(units * row["distributionAmountPerUnit"]) for units in held)


def test_what_was_paid_withheld_and_reinvested_is_what_was_calculated(demo, distributions):
    for row in distributions["results"]:
        spent = row["paidAmount"] + row["withheldAmount"] + row["reinvestedAmount"]
        assert spent == (row["calculatedAmount"] if row["status"] == "Paid" else 0)
        allotted = demo.rows(
            "SELECT coalesce(sum(t.amount), 0) AS cents FROM biz_transaction AS t JOIN account USING (account_id)"
            " WHERE investment_id = ? AND transaction_type = 'Allotment' AND transaction_date = ?",
            row["investmentID"], row["paymentDate"])
        assert row["reinvestedAmount"] == scaled(allotted[0]["cents"], 2)
    assert {row["status"] for row in distributions["results"]} == {"Paid", "Announced"}


def test_the_variance_is_declared_less_calculated_and_mostly_0(distributions):
    rows, summary = distributions["results"], distributions["summary"]
    for row in rows:
        assert row["variance"] == row["declaredAmount"] - row["calculatedAmount"]
    unreconciled = sum(row["variance"] != 0 for row in rows)
    assert 0 < unreconciled < len(rows) / 2
    assert summary == {
        "totalDistributions": len(rows),
        "totalCalculated": total(row["calculatedAmount"] for row in rows),
        "totalDeclared": total(row["declaredAmount"] for row in rows),
        "totalPaid": total(row["paidAmount"] for row in rows),
        "totalWithheld": total(row["withheldAmount"] for row in rows),
        "totalReinvested": total(row["reinvestedAmount"] for row in rows),
        "totalVariance": total(row["variance"] for row in rows),
        "unreconciled": unreconciled,
    }


@pytest.mark.parametrize("parameters, keep", [
    ({"InvestmentID": "1232"}, lambda row: row["investmentID"] == 1232),
    ({"FromDate": "2024-03-29", "ToDate": "2024-06-28"},
     lambda row: "2024-03-29" <= row["recordDate"] <= "2024-06-28"),
])
def test_distributions_are_chosen_by_investment_and_record_date(demo, distributions, parameters, keep):
    chosen = demo.run_report("DistributionReconciliation", ProductID=str(PRODUCT), **parameters)
    assert chosen["results"] == [row for row in distributions["results"] if keep(row)]
    assert chosen["summary"]["totalDistributions"] == len(chosen["results"]) > 0


@pytest.mark.parametrize("name, parameters, message", [
    ("EntityBalanceReport", {"ProductID": "999"}, "The parameter 'ProductID' has a value that is not among its choices."),
    ("TransactionSummary", {"ProductID": "123", "EntityID": "5"}, "Entity 5 does not exist."),
    ("DistributionReconciliation", {"ProductID": "123", "InvestmentID": "1211"},
     "Product 123 has no investment 1211."),
    ("EntityBalanceReport", {"ProductID": "123", "FromDate": "2024-02-01", "ToDate": "2024-01-01"},
     "FromDate 2024-02-01 is after ToDate 2024-01-01."),
])
def test_what_the_registry_does_not_know_ends_the_report_in_error(demo, name, parameters, message):
    client = demo.client("demo", demo.password)
    answer = client.finish(client.order(name, **parameters)).json()
    assert (answer["result"], answer["message"], answer["data"]) == (False, message, "error")
    client.delete_all()


def test_the_registry_keeps_its_own_rules(demo):
    assert demo.rows("PRAGMA foreign_key_check") == []
    assert [row[0] for row in demo.rows("PRAGMA integrity_check")] == ["ok"]
    assert demo.rows("SELECT count(*) FROM biz_entity")[0][0] == ENTITIES
    assert demo.rows("SELECT count(*) FROM account")[0][0] == ENTITIES * 3 // 2
    assert demo.rows("SELECT count(*) FROM biz_transaction")[0][0] == ENTITIES * 100


def dump(folder):
    with sqlite3.connect(folder / "registry.db") as db:
        text = "\n".join(db.iterdump())
    db.close()
    return text


def test_the_same_seed_makes_the_same_registry_and_another_seed_another(tmp_path):
    for folder, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert make_demo(tmp_path / folder, "--entities", "20", "--seed", seed).returncode == 0
    assert dump(tmp_path / "a") == dump(tmp_path / "b")
    assert dump(tmp_path / "a") != dump(tmp_path / "c")


def test_a_folder_that_is_not_empty_is_left_alone_unless_forced(tmp_path):
    (tmp_path / "precious").write_text("mine")
    refused = make_demo(tmp_path, "--entities", "1")
    assert refused.returncode == 1 and "--force" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
    assert make_demo(tmp_path, "--entities", "1", "--force").returncode == 0
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "registry.db").exists()


def test_the_password_is_printed_and_kept_nowhere_and_made_anew_when_forced(tmp_path):
    folder = tmp_path / "demo"
    first = password_in(make_demo(folder, "--entities", "1").stdout)
    again = password_in(make_demo(folder, "--entities", "1", "--force").stdout)
    assert first != again
    for path in folder.rglob("*"):
        assert path.is_dir() or again.encode() not in path.read_bytes()


@pytest.mark.parametrize("words, complaint", [
    ([], "name one folder"),
    (["a", "b"], "name one folder"),
    (["a", "--entities", "0"], "--entities takes a number from 1 to 1000000, not '0'"),
    (["a", "--entities", "ten"], "not 'ten'"),
    (["a", "--seed", "-1"], "--seed takes a number"),
    (["a", "--wrong"], "--wrong"),
])
def test_a_wrong_command_line_is_told_and_makes_nothing(tmp_path, words, complaint):
    done = subprocess.run([REPORTD, "demo", *words], text=True, capture_output=True, cwd=tmp_path,
                          timeout=GENERATED_WITHIN)
    assert done.returncode == 2 and complaint in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_programs_carry_their_reports_wherever_they_are(tmp_path):
    shutil.copy(REPORTD.with_name("reportd-demo"), tmp_path)
    binary = shutil.copy(REPORTD, tmp_path / "elsewhere")
    done = subprocess.run([binary, "demo", "made", "--entities", "1"], text=True, capture_output=True,
                          cwd=tmp_path, timeout=GENERATED_WITHIN)
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "made/reports").iterdir())
    assert names == ["DistributionReconciliation.sql", "EntityBalanceReport.sql", "TransactionSummary.sql"]
    checked = subprocess.run([binary, "check", "made/reports"], text=True, capture_output=True,
                             cwd=tmp_path, timeout=GENERATED_WITHIN)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def paste(lines, folder):
    """Into a shell on a terminal, all at once."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvpe("bash", ["bash", "--norc", "-i"], {**os.environ, "HISTFILE": "/dev/null", "no_proxy": "127.0.0.1"})
    os.write(terminal, (lines + "exit\n").encode())
    seen = b""
    with contextlib.suppress(OSError):  # how a terminal ends
        while select.select([terminal], [], [], GENERATED_WITHIN)[0] and (data := os.read(terminal, 1000)):
            seen += data
    os.close(terminal)
    os.waitpid(pid, 0)
    return seen.decode()


def test_the_lines_that_make_run_prints_can_be_pasted_as_a_block(tmp_path):
    environment = {**os.environ, "REPORTD_BIN": str(REPORTD), "REPORTCTL_BIN": str(REPORTCTL), "DEMO_ENTITIES": "20",
                   "DEMO_DATA": str(tmp_path / "data"), "REPORTD_LISTEN": "127.0.0.1:0", "REPORTD_WORKER_MEMORY": "0"}
    run = subprocess.Popen([ROOT / "tools/demo-run", "--keep-serving"], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        printed = iter(run.stdout.readline, "")
        lines = "".join(itertools.takewhile(str.strip, itertools.dropwhile(lambda line: not line.startswith("TOKEN="), printed)))
        assert lines, "it has ended"
        seen = paste(lines, tmp_path)
        result = json.loads((tmp_path / "report.json").read_text())
        assert result["data"]["reportName"] == "EntityBalanceReport" and result["data"]["results"], seen
        assert "Report request has been deleted." in seen
    finally:
        run.send_signal(signal.SIGINT)
        rest = run.communicate(timeout=GENERATED_WITHIN)[0]
    assert run.returncode == 0 and "The server has stopped." in rest
