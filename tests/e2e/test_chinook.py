"""The reports of examples/chinook, against the sqlite3 shell's own answers."""

import json
import os
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from harness import ROOT, Server

CHINOOK = Path(os.environ.get("CHINOOK_SQLITE", ROOT / "../shared/data/Chinook_Sqlite.sqlite"))
pytestmark = pytest.mark.skipif(not CHINOOK.is_file(), reason="there is no Chinook_Sqlite.sqlite; "
                                "name one in CHINOOK_SQLITE")


class Chinook(Server):
    """examples/chinook copied, with the database put into it, as its README says."""

    def __init__(self, folder):
        super().__init__(folder)
        shutil.copytree(ROOT / "examples/chinook", folder)
        (folder / "reports").chmod(0o755)  # whatever the umask of the checkout
        shutil.copy(CHINOOK, folder / "Chinook_Sqlite.sqlite")

    def run_report(self, name, **parameters):
        client = self.client("alice")
        reference = client.complete(name, **parameters)
        answer = client.result(reference)
        client.delete(reference)
        return json.loads(answer.text, parse_float=Decimal)["data"]


@pytest.fixture(scope="module")
def chinook(tmp_path_factory):
    server = Chinook.of_folder(tmp_path_factory.mktemp("chinook") / "copy")
    server.add_user("alice")
    server.start()
    yield server
    assert server.stop() == 0
    server.check_log()


def shell(sql):
    """What the sqlite3 shell answers. It rounds and prints the money itself, as text."""
    done = subprocess.run(["sqlite3", "-readonly", "-json", CHINOOK, sql], text=True,
                          capture_output=True, check=True)
    return json.loads(done.stdout or "[]")


def money(text):
    return Decimal(text)


def test_every_line_of_every_invoice_comes_as_the_shell_shows_it(chinook):
    data = chinook.run_report("InvoiceLines")
    lines = shell("SELECT InvoiceLineId, InvoiceId, TrackId, printf('%.2f', UnitPrice) AS price, Quantity"
                  " FROM InvoiceLine ORDER BY 1")
    assert [(row["invoiceLineID"], row["invoiceID"], row["trackID"], row["unitPrice"], row["quantity"])
            for row in data["results"]] == [
        (line["InvoiceLineId"], line["InvoiceId"], line["TrackId"], money(line["price"]), line["Quantity"])
        for line in lines]
    tracks = {row["TrackId"]: row for row in shell("SELECT TrackId, Name, Composer FROM Track")}
    dates = {row["InvoiceId"]: row["day"]
             for row in shell("SELECT InvoiceId, substr(InvoiceDate, 1, 10) AS day FROM Invoice")}
    for row in data["results"]:
        assert row["track"] == tracks[row["trackID"]]["Name"]
        assert row["composer"] == tracks[row["trackID"]]["Composer"]
        assert row["invoiceDate"] == dates[row["invoiceID"]]
    assert data["summary"] == {
        "lines": len(lines),
        "totalAmount": sum(money(line["price"]) * line["Quantity"] for line in lines),
    }


@pytest.mark.parametrize("country", [None, "Norway", "USA"])
def test_invoices_stand_in_the_array_of_their_customer(chinook, country):
    where = f"WHERE c.Country = '{country}'" if country else ""
    expected = {}
    for row in shell("SELECT c.*, i.InvoiceId, substr(i.InvoiceDate, 1, 10) AS day,"
                     " printf('%.2f', i.Total) AS total FROM Customer c JOIN Invoice i USING (CustomerId)"
                     f" {where} ORDER BY c.CustomerId, i.InvoiceDate, i.InvoiceId"):
        customer = expected.setdefault(row["CustomerId"], {
            "customerID": row["CustomerId"],
            "name": f"{row['FirstName']} {row['LastName']}",
            "address": {"city": row["City"], "country": row["Country"]},
            "total": Decimal(0),
            "invoices": [],
        })
        customer["total"] += money(row["total"])
        customer["invoices"].append({"invoiceID": row["InvoiceId"], "date": row["day"],
                                     "total": money(row["total"])})
    data = chinook.run_report("CustomerInvoices", **({"Country": country} if country else {}))
    assert expected and data["results"] == list(expected.values())
    assert data["summary"] == {
        "customers": len(expected),
        "invoices": sum(len(customer["invoices"]) for customer in expected.values()),
        "grandTotal": sum(customer["total"] for customer in expected.values()),
    }


@pytest.mark.parametrize("by, column", [
    ("Genre", "g.Name"), ("Artist", "r.Name"), ("Country", "i.BillingCountry"), ("MediaType", "m.Name"),
])
def test_sales_between_two_dates_are_those_of_the_shell(chinook, by, column):
    days = [row["day"] for row in shell("SELECT substr(InvoiceDate, 1, 10) AS day FROM Invoice ORDER BY 1")]
    first, last = days[100], days[250]
    lines = shell(f"SELECT {column} AS name, l.Quantity, l.InvoiceId, printf('%.2f', l.UnitPrice) AS price"
                  " FROM InvoiceLine l JOIN Invoice i USING (InvoiceId) JOIN Track t USING (TrackId)"
                  " JOIN MediaType m USING (MediaTypeId) JOIN Genre g USING (GenreId)"
                  " JOIN Album a USING (AlbumId) JOIN Artist r USING (ArtistId)"
                  f" WHERE i.InvoiceDate >= '{first} 00:00:00' AND i.InvoiceDate <= '{last} 23:59:59'")
    expected = {}
    for line in lines:
        tracks, amount = expected.get(line["name"], (0, Decimal(0)))
        expected[line["name"]] = (tracks + line["Quantity"], amount + money(line["price"]) * line["Quantity"])
    data = chinook.run_report("Sales", By=by, FromDate=first, ToDate=last)
    assert {row["name"]: (row["tracks"], row["amount"]) for row in data["results"]} == expected
    amounts = [row["amount"] for row in data["results"]]
    assert amounts == sorted(amounts, reverse=True)
    assert data["summary"] == {
        "invoices": len({line["InvoiceId"] for line in lines}),
        "tracks": sum(line["Quantity"] for line in lines),
        "totalAmount": sum(amounts),
    }


def test_what_an_enum_does_not_allow_is_refused_at_once(chinook):
    answer = chinook.client("alice").submit("Sales", {"By": "Colour", "FromDate": "2020-01-01"}).json()
    assert answer["result"] is False and "By" in answer["message"] and "Genre" in answer["message"]
