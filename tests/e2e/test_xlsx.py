"""GET /Report as XLSX, read back with openpyxl."""

import io
import json
import re
from datetime import datetime, timedelta
from decimal import Decimal

import openpyxl
from openpyxl.utils.escape import unescape
import pytest

from harness import refused
from test_definition_language import Engines
from test_forms import NESTED, TEXTS, elements, get, nested_sql, read_csv, text_rows, whole

DAY_ZERO = datetime(1899, 12, 30)
CONTROLS = [chr(c) for c in range(1, 32)] + ["\x7f", "\x85", "\ufffe", "\uffff", "_x0041_", "_x0041", "_x0041_x0042_", "a_x000D_", " both ", "\n", "12", "TRUE", "2024-01-12"]


def workbook(client, reference, **query):
    """The sheets: name → rows of cells."""
    answer = get(client, reference, "xlsx", **query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    book = openpyxl.load_workbook(io.BytesIO(answer.content))
    return {sheet.title: [list(row) for row in sheet.iter_rows()] for sheet in book}


def text_of(cell):
    """What Excel shows of a text cell."""
    assert cell.data_type in ("s", "inlineStr"), cell.data_type
    return unescape(cell.value or "")


def digits(value):
    """The significant digits of a number."""
    return len(str(int("".join(map(str, value.as_tuple().digits)))).rstrip("0"))


def moment(text):
    """The day or time of a text that is one which a cell can hold, and to what part of a second openpyxl reads it."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d:\d\d(\.\d+)?Z?)?", text):
        return None
    return datetime.fromisoformat(text.rstrip("Z").replace("T", " "))


def same(cell, value):
    """Is the cell what the value of the JSON has to be?"""
    if value is None:
        return cell.value is None and cell.data_type == "n"
    if isinstance(value, bool):
        return cell.data_type == "b" and cell.value is value
    if isinstance(value, Decimal):
        if digits(value) > 15:
            return text_of(cell) == str(value)
        return cell.data_type == "n" and Decimal(repr(cell.value)) == value
    if isinstance(value, (list, dict)):
        return json.loads(text_of(cell), parse_float=Decimal, parse_int=Decimal) == value
    if cell.data_type == "d":
        return abs(cell.value - moment(value)) <= timedelta(milliseconds=0.5) and moment(value) >= datetime(1900, 3, 1)
    return text_of(cell) == value


@pytest.fixture
def report(new_server):
    """report(sections, header="") defines, runs and returns the client and the reference."""
    server = new_server()
    server.start()

    def run(sections, header="", **parameters):
        (server.reports / "Told.sql").write_text(f"-- report: Told\n-- source: data\n{header}{sections}\n")
        server.reload()
        client = server.client_of("alice")
        return client, client.complete("Told", **parameters)

    return run


def cells_of(report, columns, header=""):
    """The first row of a result whose columns are SQL: name → cell."""
    client, reference = report("-- results\nSELECT " + ", ".join(f'{sql} AS "{name}"' for name, sql in columns.items()), header)
    sheet = workbook(client, reference)["results"]
    assert [cell.value for cell in sheet[0]] == list(columns)
    return {name: cell for name, cell in zip(columns, sheet[1])}, json.loads(elements(client, reference)[0], parse_float=Decimal, parse_int=Decimal)


def test_a_number_is_a_number_to_fifteen_digits(report):
    columns = {"one": "1", "fifteen": "123456789012345", "sixteen": "1234567890123456", "big": "9223372036854775807", "round": "1234567890000000000", "half": "0.5",
               "tenth": "0.1", "third": "1.0 / 3", "sum": "0.1 + 0.2", "huge": "1e306", "tiny": "1e-300", "cents": "125000000", "naught": "-0.001", "many": "123456789012345678"}
    header = "-- column: cents scaled(2)\n-- column: naught decimal(2)\n-- column: many scaled(4)\n"
    cells, values = cells_of(report, columns, header)
    for name, value in values.items():
        assert same(cells[name], value), (name, cells[name].value, value)
    assert {name for name, cell in cells.items() if cell.data_type != "n"} == {"sixteen", "big", "third", "sum", "many"}
    assert cells["one"].number_format == "0" and cells["cents"].number_format == "0.00" and cells["tenth"].number_format == "General"


def test_days_and_times_are_dates(report):
    columns = {"day": "'2024-02-29'", "first": "'1900-03-01'", "last": "'9999-12-31'", "early": "'1900-02-28'", "roman": "'0001-01-01'", "time": "'2024-02-29T13:14:15Z'",
               "local": "'2024-02-29 13:14:15'", "milli": "'2024-02-29T23:59:59.999Z'", "micro": "'2024-02-29T13:14:15.123456Z'", "fine": "'9999-12-31T13:14:15.123456Z'",
               "plain": "'2024-02-30'"}
    cells, values = cells_of(report, columns)
    for name, value in values.items():
        assert same(cells[name], value), (name, cells[name].value, value)
    assert {name for name, cell in cells.items() if cell.data_type != "d"} == {"early", "roman", "fine", "plain"}
    formats = {name: cell.number_format.replace("\\", "") for name, cell in cells.items() if cell.is_date}
    assert formats["day"] == "yyyy-mm-dd" and formats["time"] == "yyyy-mm-dd hh:mm:ss" and formats["micro"] == "yyyy-mm-dd hh:mm:ss.000"


def test_a_text_a_null_and_an_empty_text_differ(report):
    cells, _ = cells_of(report, {"none": "NULL", "empty": "''", "yes": "1", "no": "0", "tree": "'{\"a\": [1.50, \"<&>\"]}'", "word": "'\"x\"'", "nothing": "NULL"},
                        "-- column: yes boolean\n-- column: no boolean\n-- column: tree json\n-- column: word json\n")
    assert cells["none"].value is None and cells["none"].data_type == "n" and cells["nothing"].data_type == "n"
    assert cells["empty"].data_type in ("s", "inlineStr") and text_of(cells["empty"]) == ""
    assert cells["yes"].value is True and cells["no"].value is False
    assert text_of(cells["tree"]) == '{"a": [1.50, "<&>"]}' and text_of(cells["word"]) == '"x"'


def test_texts_come_back_as_they_were(report):
    texts = TEXTS + CONTROLS
    rows = ", ".join("(" + str(i) + ", '" + text.replace("'", "''") + "')" for i, text in enumerate(texts))
    client, reference = report(f"-- results\nWITH t(n, v) AS (VALUES {rows}) SELECT n, v FROM t ORDER BY n")
    sheet = workbook(client, reference)["results"]
    assert [text_of(row[1]) for row in sheet[1:]] == texts


def test_every_nesting_is_that_of_csv(new_server):
    server = new_server()
    for name, columns in NESTED.items():
        header = "".join(f"-- column: {column} scaled(2)\n" for column in columns if column.split(".")[-1] in ("amount", "balance", "value"))
        (server.reports / f"{name}.sql").write_text(f"-- report: {name}\n-- source: data\n{header}{nested_sql(columns)}")
    client = server.start().client("alice")
    for name in NESTED:
        reference = client.complete(name)
        lines = read_csv(whole(client, reference, "csv"))
        rows = workbook(client, reference)["results"]
        assert len(rows) == len(lines) > 1 and [cell.value for cell in rows[0]] == lines[0]
        for row, line in zip(rows[1:], lines[1:]):
            for cell, field in zip(row, line):
                assert cell.value is None if field == "" else Decimal(repr(cell.value)) == Decimal(field) if cell.data_type == "n" else cell.value == field


def test_each_set_has_a_sheet_then_summary_and_about(report):
    sets = ["about", "history", "aNameOfMoreThanThirtyOneCharacters", "aNameOfMoreThanThirtyOneCharactersToo", "empty"]
    sections = "-- results\nSELECT 1 AS id, :Name AS name WHERE 'a' NOT IN (:Days) AND (:Price > 1 OR :Gone IS NULL);\n" + "".join(
        f"-- set: {name}\nSELECT 2 AS \"two\", 'x' AS \"things[].name\"{' WHERE 0' if name == 'empty' else ''};\n" for name in sets)
    sections += "-- summary\nSELECT 3 AS three, 'a' AS \"list[].of\" UNION ALL SELECT 3, 'b'\n"
    header = "-- column: id \"The \"\"id\"\" <&>\" AUD\n-- parameter: Name string\n-- parameter: Days list(date)\n-- parameter: Price decimal\n-- parameter: Gone integer\n"
    client, reference = report(sections + "\n", header, Name="<O'Neill> & \"Co\"", Days="2024-01-01,2024-01-02", Price="12.50")
    book = workbook(client, reference, labels="1")
    names = ["results", "about", "history 2", "aNameOfMoreThanThirtyOneCharact", "aNameOfMoreThanThirtyOneChara 2", "empty", "summary", "about 2"]
    assert list(book) == names
    plain = {name: [[cell.value for cell in row] for row in rows] for name, rows in book.items()}
    assert plain["results"] == [["The \"id\" <&>", "name"], [1, "<O'Neill> & \"Co\""]]
    assert plain["about"] == [["two", "things.name"], [2, "x"]]
    assert plain["empty"] == [["two", "things.name"]]
    assert plain["summary"] == [["three", "list.of"], [3, "a"], [3, "b"]]
    about = plain["about 2"]
    assert about[0] == ["reportName", "Told"] and about[1][0] == "generatedDate"
    assert about[1][1].isoformat() + "Z" == client.result(reference).json()["data"]["generatedDate"]
    given = client.result(reference).json()["data"]["parameters"]
    expected = [[name, one] for name, value in given.items() for one in (value if isinstance(value, list) else [value])]
    assert [[name, value] for name, value in about[2:]] == expected


def test_a_result_without_rows_has_its_header_row(alice):
    reference = alice.complete("Quick", ProductID="3")
    book = workbook(alice, reference)
    assert list(book) == ["results", "summary", "about"] and [[cell.value for cell in row] for row in book["results"]] == [["itemID", "owner", "amount", "day"]]
    answer = get(alice, reference, "xlsx")
    sheet = openpyxl.load_workbook(io.BytesIO(answer.content))["results"]
    assert sheet.freeze_panes == "A2" and sheet["A1"].font.b and sheet.auto_filter.ref == "A1:D1"
    assert re.fullmatch(r'attachment; filename="Quick-\d{4}-\d\d-\d\d\.xlsx"', answer.headers["Content-Disposition"])
    assert get(alice, reference, "xlsx").content == answer.content


def test_a_text_that_no_cell_holds_is_refused_by_its_column(report):
    for text, fits in (("printf('%.32767c', 'x')", True), ("printf('%.32768c', 'x')", False), ("'x' || replace(printf('%.16383c', 'x'), 'x', '😀')", True),
                       ("replace(printf('%.16384c', 'x'), 'x', '😀')", False)):
        client, reference = report(f"-- results\nSELECT 'a' AS id, {text} AS \"accounts[].note\"")
        if fits:
            assert text_of(workbook(client, reference)["results"][1][1]) == json.loads(elements(client, reference)[0])["accounts"][0]["note"]
        else:
            refused(get(client, reference, "xlsx"), "'accounts.note'", "32768", "32767", "CSV")
            assert whole(client, reference, "csv").count("\n") == 2


def test_a_blob_that_no_cell_holds_in_base64_is_refused_by_its_column(report):
    """24,573 bytes are 32,764 characters; one byte more makes 32,768, though it is less than those."""
    client, reference = report("-- results\nSELECT zeroblob(24573) AS scan UNION ALL SELECT zeroblob(24573)")
    assert [len(text_of(row[0])) for row in workbook(client, reference)["results"][1:]] == [32764, 32764]
    client, reference = report("-- results\nSELECT zeroblob(24573) AS scan UNION ALL SELECT zeroblob(24574)")
    refused(get(client, reference, "xlsx"), "'scan' has a text of 32768 characters")


@pytest.mark.parametrize("number, fits", [("printf('%.32764c', '7')", True), ("printf('%.32765c', '7')", False), ("'1e999'", True),
                                          ("'0.' || printf('%.40000c', '7')", True), ("'1e14'", True)])
def test_a_number_that_no_cell_holds_is_refused_by_its_column(report, number, fits):
    client, reference = report(f'-- column: accounts[].balance decimal(2)\n-- results\nSELECT 1 AS id, {number} AS "accounts[].balance"')
    if fits:
        value = workbook(client, reference)["results"][1][1].value
        assert Decimal(str(value)) == json.loads(elements(client, reference)[0], parse_float=Decimal)["accounts"][0]["balance"]
    else:
        refused(get(client, reference, "xlsx"), "'accounts.balance' has a number of", "32767", "CSV")
        assert whole(client, reference, "csv").count("\n") == 2


def test_both_engines_give_the_cells_of_their_json(tmp_path, postgres):
    common = f"WITH t(n, v) AS (VALUES {text_rows()}) SELECT n, v, CAST(NULL AS varchar) AS none FROM t ORDER BY n"
    typed = ("SELECT 9223372036854775807 AS big, CAST(12345678901234567890.123456789 AS numeric) AS exact, CAST(0.1 AS float8) AS real, 1e300::float8 AS huge, DATE '2024-02-29' AS day,"
             " TIMESTAMP '2024-02-29 13:14:15.5' AS local, TIMESTAMPTZ '2024-02-29 13:14:15.123456+11' AS moment, TIME '13:14' AS time, true AS yes, ARRAY[1, 2] AS list,"
             " CAST('{\"a\": [1.50, \"x,\\\"y\"], \"b\": null}' AS jsonb) AS j, CAST('\"te,xt\"' AS jsonb) AS jtext, CAST('-1.0' AS jsonb) AS jnumber, CAST(NULL AS date) AS none,"
             " 1.50::numeric(10, 2) AS money, 'BC'::bytea AS bytes")
    engines = Engines(tmp_path, postgres, "xlsx")
    try:
        for server, sql in ((engines.servers[0], common), (engines.servers[1], common), (engines.servers[1], typed)):
            (server.reports / "Told.sql").write_text(f"-- report: Told\n-- source: data\n-- results\n{sql}\n")
            server.reload()
            client = server.client_of("alice")
            reference = client.complete("Told")
            rows = workbook(client, reference)["results"]
            found = [json.loads(text, parse_float=Decimal, parse_int=Decimal) for text in elements(client, reference)]
            assert len(rows) == len(found) + 1
            for row, element in zip(rows[1:], found):
                for cell, (name, value) in zip(row, element.items(), strict=True):
                    if name in ("jtext", "jnumber"):
                        assert json.loads(text_of(cell), parse_float=Decimal) == value
                    else:
                        assert same(cell, value), (name, cell.value, value)
    finally:
        engines.close()
