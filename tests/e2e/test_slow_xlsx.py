"""XLSX as other programs read it, and more rows than a sheet has: `make check-slow`."""

import json
import subprocess
from decimal import Decimal
from pathlib import Path

import openpyxl
from openpyxl.utils.escape import unescape
import pytest

from test_forms import TEXTS, elements, get, read_csv, whole

pytestmark = pytest.mark.slow
MODULES = Path(__file__).parents[2] / "build/slow/npm/node_modules"
SHEET_ROWS = 1048576
# Rows of every type; numbers are such as LibreOffice prints alike.
COLUMNS = {"id": "n", "text": "v", "day": "date('1900-03-01', n || ' days')", "moment": "strftime('%Y-%m-%dT%H:%M:%SZ', '2024-02-29T13:14:15', n || ' hours')",
           "money": "n * 12345", "real": "n / 8.0", "yes": "n % 2", "long": "12345678901234567 + 10 * n", "tree": "json_array(n, v)", "gone": "NULL"}
HEADER = "-- column: money scaled(2)\n-- column: yes boolean\n-- column: tree json\n"


@pytest.fixture
def told(new_server):
    """A client and the reference of a result with all of TEXTS, a set, and a summary."""
    server = new_server()
    rows = ", ".join(f"({i}, '" + text.replace("'", "''") + "')" for i, text in enumerate(TEXTS))
    select = ", ".join(f'{sql} AS "{name}"' for name, sql in COLUMNS.items())
    (server.reports / "Told.sql").write_text(
        f"-- report: Told\n-- source: data\n{HEADER}-- results\nWITH t(n, v) AS (VALUES {rows}) SELECT {select} FROM t ORDER BY n;\n"
        "-- set: more\nSELECT 1 AS \"one\";\n-- set: History\nSELECT 3 AS \"three\";\n-- summary\nSELECT 2 AS \"two\"\n")
    client = server.start().client("alice")
    return client, client.complete("Told")


def save(client, reference, path):
    path.write_bytes(get(client, reference, "xlsx").content)
    return path


def libre_office(path):
    """The sheets as LibreOffice writes them in CSV, as they show: name → rows."""
    filters = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1"
    subprocess.run(["soffice", "--headless", f"-env:UserInstallation=file://{path.parent}/profile", "--convert-to", filters, "--outdir", path.parent, path],
                   check=True, capture_output=True, timeout=500)
    return {file.stem.removeprefix(f"{path.stem}-"): read_csv(file.read_text()) for file in path.parent.glob("*.csv")}


def exceljs(path):
    """The sheets as exceljs reads them: name → rows of values, of which dates are in ISO form."""
    script = """const [modules, file] = process.argv.slice(2);
        const book = new (require(modules + '/exceljs').Workbook)();
        book.xlsx.readFile(file).then(() => {
            const sheets = {};
            book.eachSheet(sheet => { sheets[sheet.name] = []; sheet.eachRow(row => sheets[sheet.name].push(row.values.slice(1))); });
            console.log(JSON.stringify(sheets));
        });"""
    (path.parent / "read.js").write_text(script)
    done = subprocess.run(["node", path.parent / "read.js", MODULES, path], check=True, capture_output=True, timeout=500)
    return json.loads(done.stdout)


def test_libre_office_shows_the_values(told, tmp_path):
    client, reference = told
    sheets = libre_office(save(client, reference, tmp_path / "told.xlsx"))
    assert set(sheets) == {"results", "more", "History 2", "summary", "about"}
    assert sheets["more"] == [["one"], ["1"]] and sheets["summary"] == [["two"], ["2"]]
    assert sheets["about"][0] == ["reportName", "Told"]
    expected = read_csv(whole(client, reference, "csv"))
    columns, shown = list(COLUMNS), sheets["results"]
    assert shown[0] == columns and len(shown) == len(expected)
    for row, line in zip(shown[1:], expected[1:]):
        want = dict(zip(columns, line))
        want["moment"] = want["moment"].rstrip("Z").replace("T", " ")
        want["yes"] = want["yes"].upper()
        want["text"], want["tree"] = (want[name].replace("\r\n", "\n").replace("\r", "\n") for name in ("text", "tree"))
        for name, cell in zip(columns, row):
            assert Decimal(cell) == Decimal(want[name]) if name in ("real", "money") else cell.replace("\r\n", "\n").replace("\r", "\n") == want[name], name


def test_exceljs_reads_the_values(told, tmp_path):
    client, reference = told
    sheets = exceljs(save(client, reference, tmp_path / "told.xlsx"))
    assert set(sheets) == {"results", "more", "History 2", "summary", "about"}
    found = [json.loads(text) for text in elements(client, reference)]
    assert sheets["results"][0] == list(COLUMNS) and len(sheets["results"]) == len(found) + 1
    for row, element in zip(sheets["results"][1:], found):
        for cell, (name, value) in zip(row, element.items()):
            if name in ("day", "moment"):
                assert cell == (value + "T00:00:00.000Z" if name == "day" else value.replace("Z", ".000Z"))
            elif name == "tree":
                assert json.loads(cell) == value
            elif name == "long":
                assert cell == str(value)
            elif name == "text":
                assert unescape(cell or "") == value  # neither empty texts nor escapes are read
            else:
                assert cell == value, name


@pytest.mark.parametrize("rows, sheets", [(SHEET_ROWS - 1, ["results", "about"]), (SHEET_ROWS, ["results", "results 2", "about"])])
def test_a_full_sheet_is_followed_by_another(new_server, tmp_path, rows, sheets):
    server = new_server()
    (server.reports / "Many.sql").write_text(
        "-- report: Many\n-- source: data\n-- parameter: Rows integer required\n-- results\n"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :Rows) SELECT i AS \"id\" FROM n\n")
    client = server.start().client("alice")
    path = save(client, client.complete("Many", Rows=str(rows)), tmp_path / "many.xlsx")
    book = openpyxl.load_workbook(path, read_only=True)
    assert book.sheetnames == sheets
    ids = []
    for name in sheets[:-1]:
        values = book[name].iter_rows(values_only=True)
        assert next(values) == ("id",)
        ids += [value for value, in values]
    assert ids == list(range(1, rows + 1))
    shown = libre_office(path)
    assert [row for name in sheets[:-1] for row in shown[name][1:]] == [[str(i)] for i in range(1, rows + 1)]
