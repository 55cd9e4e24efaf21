"""GET /Report/Rows: some elements of a result, exactly as GET /Report prints them."""

import pytest

from harness import failed, refused
from stores import STORES
from test_forms import NESTED, elements, nested_server

pytestmark = pytest.mark.stores(*STORES)

NAMES = ("from", "totalRows", "columns", "rows")


@pytest.fixture
def nested(new_server):
    return nested_server(new_server)


def ask(client, reference, **query):
    return client.get("/Report/Rows", params={"reference": reference, **query})


def rows_of(answer):
    """The text of the rows in it, as it stands there."""
    assert answer.status_code == 200, answer.text
    body, text = answer.json(), answer.content.decode()
    assert body["result"] is True and body["recordCount"] == len(body["data"]["rows"])
    assert tuple(body["data"]) == NAMES
    return text[text.index('"rows":[') + len('"rows":['):-len("]}}")]


def test_every_window_of_every_nesting_is_what_the_result_has(nested):
    for name in NESTED:
        reference = nested.complete(name)
        found = elements(nested, reference)
        for first in range(len(found) + 2):
            for count in (1, 3, 1000):
                answer = ask(nested, reference, **{"from": first, "count": count})
                assert rows_of(answer) == ",".join(found[first:first + count]), (name, first, count)
                assert answer.json()["data"]["totalRows"] == len(found)


@pytest.mark.parametrize("encryption", ["off", "on"])
def test_windows_anywhere_in_a_long_result(make_server, encryption):
    server = make_server(spool_encryption=encryption)
    client = server.client("alice")
    reference = client.complete("Big", Rows="20000")
    whole = client.result(reference).json()["data"]["results"]
    for first in (0, 1, 63, 64, 65, 127, 128, 9_999, 19_199, 19_200, 19_999):
        data = ask(client, reference, **{"from": first}).json()["data"]
        assert data["rows"] == whole[first:first + 500], first
        assert (data["from"], data["totalRows"]) == (first, 20000)
    assert ask(client, reference, **{"from": 20000}).json()["data"]["rows"] == []
    assert ask(client, reference, **{"from": 2**63 - 1}).json()["recordCount"] == 0


def test_columns_have_type_label_and_unit(alice):
    columns = ask(alice, alice.complete("Labelled")).json()["data"]["columns"]
    assert columns == [
        {"name": "day", "type": "integer", "label": 'The "day"', "unit": None},
        {"name": "more", "type": "json", "label": None, "unit": None},
        {"name": "accounts", "type": "array", "label": None, "unit": None, "columns": [
            {"name": "accounts.balance", "type": "decimal", "label": "Closing balance", "unit": "AUD"},
            {"name": "accounts.units", "type": "decimal", "label": None, "unit": None}]}]


@pytest.mark.stores("sqlite")
@pytest.mark.parametrize("query, words", [
    ({"from": "-1"}, "from must be a whole number from 0"), ({"from": "x"}, "from must be"), ({"count": "0"}, "count must be a whole number from 1 to 1000"),
    ({"count": "1001"}, "count must be"), ({"limit": "1"}, "limit"), ({"from": ["1", "2"]}, "from"),
])
def test_a_bad_window_is_400(alice, query, words):
    failed(ask(alice, alice.complete("Quick", ProductID="1"), **query), 400, words)


def test_there_are_no_rows_of_what_is_not_complete_or_not_ones_own(alice, bob):
    reference = alice.order("Endless")
    refused(ask(alice, reference), "not complete yet")
    refused(ask(bob, reference), "Unknown reference")
    alice.delete(reference)
    refused(ask(alice, reference), "Unknown reference")


@pytest.mark.stores("sqlite")
def test_a_window_has_at_most_four_mebibytes(make_server):
    server = make_server()
    (server.reports / "Wide.sql").write_text(
        "-- report: Wide\n-- source: data\n-- results\nWITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9)\n"
        "SELECT i AS \"i\", replace(hex(zeroblob(CASE i WHEN 5 THEN 3000000 ELSE 400000 END)), '00', 'xy') AS \"text\" FROM n\n")
    server.reload()
    client = server.client("alice")
    reference = client.complete("Wide")
    whole = client.result(reference).json()["data"]["results"]
    first = ask(client, reference)
    assert first.json()["data"]["rows"] == whole[:5] and len(first.content) <= (4 << 20) + 1000
    refused(ask(client, reference, **{"from": 5}), "Row 5 is larger than 4 MiB")
    assert ask(client, reference, **{"from": 6}).json()["data"]["rows"] == whole[6:]
