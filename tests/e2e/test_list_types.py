"""GET /Report/List and /Report/Types: doc/api.md § Report."""

import datetime
import json
import re

import pytest

from harness import failed, refused
from stores import STORES

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def listed(client, **query):
    answer = client.list(**query)
    assert answer.status_code == 200 and answer.json()["result"] is True, answer.text
    assert answer.json()["recordCount"] == len(answer.json()["data"]["reports"])
    return answer.json()["data"]


def test_an_empty_list(alice):
    assert listed(alice) == {"pageNumber": 1, "pageSize": 100, "totalCount": 0, "reports": []}


def test_a_complete_report_in_the_list(alice):
    reference = alice.complete("Quick", ProductID="1")
    size = int(alice.result(reference, method="HEAD").headers["Content-Length"])
    (report,) = listed(alice)["reports"]
    times = [report.pop(name) for name in ("submittedAt", "startedAt", "finishedAt", "expiresAt")]
    assert all(TIME.fullmatch(time) for time in times) and times == sorted(times)
    assert report == {"reference": reference, "reportName": "Quick", "state": "complete", "rows": 3,
                      "bytes": size, "message": None, "parameters": {"ProductID": "1", "Note": "none"}}


@pytest.mark.stores(*STORES)
def test_each_report_with_its_parameters_unless_they_are_long(alice):
    """The JSON of the longest that is listed has 4,096 bytes."""
    given = [{"ProductID": "1", "Note": note} for note in ("ö" * 2000 + "x" * 69, "ö" * 2000 + "x" * 70, 'a "b"')]
    references = [alice.complete("Quick", **parameters) for parameters in given]
    assert len(json.dumps(given[0], ensure_ascii=False, separators=(",", ":")).encode()) == 4096
    reports = {report["reference"]: report["parameters"] for report in listed(alice)["reports"]}
    assert reports == {references[0]: given[0], references[1]: None, references[2]: given[2]}
    (report,) = listed(alice, Reference=references[1])["reports"]
    assert report["parameters"] == given[1]


@pytest.mark.stores(*STORES)
def test_one_report_with_its_parameters(alice, bob):
    wrong = alice.order("Quick", ProductID="99", Note='ö "x"')
    alice.finish(wrong)
    alice.complete("Nested")
    page = listed(alice, Reference=wrong.upper())
    (report,) = page["reports"]
    assert page["totalCount"] == 1 and report["state"] == "error" and report["reference"] == wrong
    assert report["parameters"] == {"ProductID": "99", "Note": 'ö "x"'}
    failed(alice.list(Reference=wrong, State="error"), 400, "Reference")
    alice.delete(wrong)
    for answer in (alice.list(Reference=wrong), bob.list(Reference=alice.references()[0]), alice.list(Reference="x")):
        assert "Unknown reference" in refused(answer)


def test_what_has_not_come_yet_is_null(alice, bob):
    for _ in range(2):
        bob.wait_for(bob.order("Endless"), "processing")
    alice.order("Nested")
    (report,) = listed(alice)["reports"]
    assert report["state"] == "queued"
    assert report["startedAt"] is report["finishedAt"] is report["expiresAt"] is None


def test_a_failed_report_says_why(alice):
    alice.finish(alice.order("Quick", ProductID="99"))
    (report,) = listed(alice)["reports"]
    assert report["state"] == "error" and report["message"] == "Product 99 does not exist."


def test_the_newest_comes_first_page_by_page(alice):
    references = [alice.complete("Nested") for _ in range(5)]
    pages = [[report["reference"] for report in listed(alice, PageNumber=n, PageSize=2)["reports"]]
             for n in (1, 2, 3, 4)]
    newest = references[::-1]
    assert pages == [newest[0:2], newest[2:4], newest[4:5], []]
    assert listed(alice, PageNumber=4, PageSize=2)["totalCount"] == 5


def test_a_list_by_state(alice):
    good = alice.complete("Nested")
    running = alice.order("Endless")
    bad = alice.order("Quick", ProductID="99")
    alice.finish(bad)
    alice.wait_for(running, "processing")
    for state, reference in (("complete", good), ("error", bad), ("processing", running)):
        page = listed(alice, State=state)
        assert page["totalCount"] == 1
        assert [report["reference"] for report in page["reports"]] == [reference]
    assert listed(alice, State="queued")["reports"] == []


@pytest.mark.stores(*STORES)
def test_a_list_by_name(alice):
    quick = [alice.complete("Quick", ProductID="1") for _ in range(3)]
    nested = alice.complete("Nested")
    bad = alice.order("Quick", ProductID="99")
    alice.finish(bad)
    running = alice.order("Endless")
    alice.wait_for(running, "processing")
    for name, references in (("Quick", [bad, *quick[::-1]]), ("Nested", [nested]), ("Endless", [running]), ("quick", [])):
        page = listed(alice, ReportName=name)
        assert [report["reference"] for report in page["reports"]] == references
        assert page["totalCount"] == len(references)
    page = listed(alice, ReportName="Quick", State="complete", PageSize=2, PageNumber=2)
    assert [report["reference"] for report in page["reports"]] == quick[:1] and page["totalCount"] == 3
    assert listed(alice, ReportName="Endless", State="complete")["totalCount"] == 0
    assert listed(alice, reportname="Nested")["totalCount"] == 1


def test_everybody_sees_only_their_own(alice, bob):
    alice.complete("Nested")
    assert listed(bob)["totalCount"] == 0


@pytest.mark.parametrize("query, words", [
    ({"PageNumber": "0"}, ["PageNumber", "1"]),
    ({"PageNumber": "-1"}, ["PageNumber"]),
    ({"PageNumber": "x"}, ["PageNumber"]),
    ({"PageNumber": ""}, ["PageNumber"]),
    ({"PageNumber": "9" * 30}, ["PageNumber"]),
    ({"PageSize": "0"}, ["PageSize", "1000"]),
    ({"PageSize": "1001"}, ["PageSize", "1000"]),
    ({"PageSize": "10.0"}, ["PageSize"]),
    ({"State": "deleting"}, ["State", "queued"]),
    ({"State": "Complete"}, ["State", "complete"]),
    ({"State": ""}, ["State"]),
    ({"ReportName": ""}, ["ReportName is empty"]),
    ({"Stat": "error"}, ["no query parameter 'Stat'", "PageNumber, PageSize, State, ReportName and Reference"]),
    ({"Before": "2026-01-01"}, ["no query parameter 'Before'"]),
    ({"State": ["complete", "error"]}, ["State occurs twice"]),
    ({"ReportName": "Quick", "reportname": "Nested"}, ["ReportName occurs twice"]),
])
def test_a_bad_query_is_a_400_that_says_the_range(alice, query, words):
    failed(alice.list(**query), 400, *words)


def test_the_limits_of_a_page(alice):
    assert listed(alice, PageSize=1000, PageNumber=1000000000)["reports"] == []
    assert listed(alice, PageSize=1)["pageSize"] == 1


def types(client):
    answer = client.get("/Report/Types")
    assert answer.status_code == 200 and answer.json()["result"] is True, answer.text
    assert answer.json()["recordCount"] == len(answer.json()["data"])
    return answer.json()["data"]


def test_the_types_a_user_may_run(alice, carol):
    everything = [kind["name"] for kind in types(alice)]
    assert {"Quick", "Nested", "Typed", "Big"} <= set(everything)
    assert everything == sorted(everything)
    assert [kind["name"] for kind in types(carol)] == ["Quick"]


def test_a_type_describes_its_parameters(alice):
    day = datetime.datetime.now(datetime.timezone.utc).date()
    (typed,) = [kind for kind in types(alice) if kind["name"] == "Typed"]
    if datetime.datetime.now(datetime.timezone.utc).date() != day:
        day = datetime.date.fromisoformat(typed["parameters"][3]["default"])  # midnight came between
    assert typed["description"] == "One parameter of every type; the values come back."

    def param(name, kind, default=None, allowed=None, description=""):
        return {"name": name, "type": kind, "required": False, "default": default,
                "allowedValues": allowed, "min": None, "max": None, "matching": None, "values": None,
                "description": description}

    assert typed["parameters"] == [
        param("Text", "string", description="Any text"),
        param("Number", "integer", "42", description="Any integer"),
        param("Price", "decimal", "12.50"),
        param("Day", "date", str(day), description="The day to report on"),
        param("Flag", "boolean", "false"),
        param("Colour", "enum", allowed=["Red", "Green", "Blue"], description="What to paint it"),
    ]


def test_a_required_parameter_says_so(carol):
    (quick,) = types(carol)
    assert [p["required"] for p in quick["parameters"]] == [True, False]
    assert set(quick) == {"name", "description", "parameters", "columns"}


def test_a_new_grant_counts_at_once(server, carol):
    server.user("grant", "carol", "Nested")
    try:
        assert [kind["name"] for kind in types(carol)] == ["Nested", "Quick"]
        assert carol.submit("Nested").json()["result"] is True
    finally:
        server.user("revoke", "carol", "Nested")
    failed(carol.submit("Nested"), 403)


def test_a_type_tells_its_declared_columns(alice):
    (typed,) = [kind for kind in types(alice) if kind["name"] == "Labelled"]
    assert typed["columns"] == [
        {"name": "accounts[].balance", "type": "decimal", "label": "Closing balance", "unit": "AUD"},
        {"name": "accounts[].units", "type": "decimal", "label": None, "unit": None},
        {"name": "day", "type": None, "label": 'The "day"', "unit": None},
        {"name": "more", "type": "json", "label": None, "unit": None},
    ]
    (quick,) = [kind for kind in types(alice) if kind["name"] == "Hasty"]
    assert quick["columns"] == []


def test_a_column_with_only_a_label_prints_as_the_database_gives_it(alice):
    results = alice.result(alice.complete("Labelled")).text
    assert '"results":[{"day":7,"more":[1.50],"accounts":[{"balance":2.00,"units":0.03}]}]' in results
