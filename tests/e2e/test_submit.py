"""POST /Report: doc/api.md § Report."""

import datetime
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import GUID, Client, failed, refused

QUICK = {"ProductID": "1"}


def test_a_submission_answers_the_reference(alice):
    answer = alice.submit("Quick", QUICK)
    body = answer.json()
    assert answer.status_code == 200
    assert body["result"] is True and body["message"] == "Report request has been submitted."
    assert GUID.fullmatch(body["data"])
    assert answer.headers["Location"] == "/Report/Status?reference=" + body["data"]
    assert answer.headers["X-Report-State"] == "queued"


def test_the_location_can_be_followed(alice):
    answer = alice.submit("Quick", QUICK)
    assert alice.get(answer.headers["Location"]).json()["data"] in ("incomplete", "complete")


def test_parameters_are_optional(alice):
    assert alice.submit("Nested").json()["result"] is True
    assert alice.submit("Nested", {}).json()["result"] is True
    body = {"reportName": "Nested", "parameters": None}
    assert alice.call("POST", "/Report", json=body).json()["result"] is True


@pytest.mark.parametrize("body", [{}, {"reportName": None}, {"reportName": 1}, {"reportName": ["x"]}])
def test_a_report_name_must_be_given(alice, body):
    failed(alice.call("POST", "/Report", json=body), 400, "reportName")


@pytest.mark.parametrize("parameters", [[], "x", 1, True])
def test_parameters_must_be_an_object(alice, parameters):
    failed(alice.submit("Quick", parameters), 400, "parameters")


@pytest.mark.parametrize("name", ["", "Nothing", "quick", "../Quick", "Quick.sql", "x" * 2000, "Ź" * 200])
def test_an_unknown_report_is_refused(alice, name):
    refused(alice.submit(name), "Unknown report", "/Report/Types")


@pytest.mark.parametrize("report, parameters, words", [
    ("Quick", None, ["ProductID"]),
    ("Quick", {}, ["ProductID"]),
    ("Quick", {"ProductID": 1}, ["ProductID"]),
    ("Quick", {"ProductID": None}, ["ProductID"]),
    ("Quick", {"ProductID": ["1"]}, ["ProductID"]),
    ("Quick", {"ProductID": "one"}, ["ProductID", "integer", "one"]),
    ("Quick", {"ProductID": ""}, ["ProductID", "integer"]),
    ("Quick", {"ProductID": " 1"}, ["ProductID"]),
    ("Quick", {"ProductID": "9223372036854775808"}, ["ProductID"]),
    ("Quick", {"ProductID": "1", "Colour": "Red"}, ["Colour"]),
    ("Quick", {"ProductID": "1", "Note": "x" * 4097}, ["Note", "4096"]),
    ("Typed", {"Price": "1e3"}, ["Price", "decimal"]),
    ("Typed", {"Price": "NaN"}, ["Price"]),
    ("Typed", {"Day": "2023-02-29"}, ["Day", "YYYY-MM-DD"]),
    ("Typed", {"Day": "12/01/2024"}, ["Day", "YYYY-MM-DD"]),
    ("Typed", {"Flag": "yes"}, ["Flag", "true or false"]),
    ("Typed", {"Colour": "red"}, ["Colour", "Red", "Green", "Blue"]),
    ("Typed", {"session_user": "bob"}, ["session_user"]),
])
def test_a_bad_parameter_is_refused_by_name(alice, report, parameters, words):
    refused(alice.submit(report, parameters), *words)
    assert alice.references() == []


def test_values_come_back_as_they_were_given(alice):
    given = {"Text": "O'Brien \"; DROP TABLE item; -- \\ \n ż 💰", "Number": "-7", "Price": "0.10",
             "Day": "2024-02-29", "Flag": "true", "Colour": "Blue"}
    data = alice.result(alice.complete("Typed", **given)).json()["data"]
    assert data["parameters"] == given
    assert data["results"] == [{"text": given["Text"], "number": -7, "price": 0.1,
                                "day": "2024-02-29", "flag": True, "colour": "Blue"}]


def test_what_is_missing_takes_its_default_or_null(alice):
    before = datetime.datetime.now(datetime.timezone.utc).date()
    row = alice.result(alice.complete("Typed")).json()["data"]["results"][0]
    after = datetime.datetime.now(datetime.timezone.utc).date()
    assert row.pop("day") in (before.isoformat(), after.isoformat())
    assert row == {"text": None, "number": 42, "price": 12.5, "flag": False, "colour": None}


def test_an_empty_text_is_a_value_of_its_own(alice):
    row = alice.result(alice.complete("Typed", Text="")).json()["data"]["results"][0]
    assert row["text"] == ""


def test_prefer_wait_answers_when_the_report_has_finished(alice):
    answer = alice.submit("Quick", QUICK, {"Prefer": "wait=30"})
    assert answer.headers["X-Report-State"] == "complete"
    assert answer.headers["Preference-Applied"] == "wait=30"
    assert answer.json()["message"] == "Report request has been submitted."
    assert alice.result(answer.json()["data"]).json()["result"] is True


def test_no_wait_is_forgotten(server, alice):
    """The report may end before, while and after the server gets to wait for it."""
    def submit(_):
        client = Client(server.url, alice.token)
        return [client.submit("Nested", headers={"Prefer": "wait=15"}).headers["X-Report-State"]
                for _ in range(50)]

    with ThreadPoolExecutor(6) as pool:
        states = sum(pool.map(submit, range(6)), [])
    assert states == ["complete"] * 300


def test_prefer_wait_ends_with_its_time(alice):
    answer = alice.submit("Endless", headers={"Prefer": "wait=1"})
    assert answer.headers["X-Report-State"] == "processing"
    assert answer.json()["result"] is True


def test_prefer_wait_is_at_most_a_minute(alice):
    answer = alice.submit("Quick", QUICK, {"Prefer": "respond-async, wait=3600"})
    assert answer.headers["Preference-Applied"] == "wait=45"


def test_a_failing_report_ends_the_wait_too(alice):
    answer = alice.submit("Quick", {"ProductID": "99"}, {"Prefer": "wait=30"})
    assert answer.headers["X-Report-State"] == "error"
    assert answer.json()["result"] is True


def test_an_unknown_member_of_the_body_does_no_harm(alice):
    body = json.loads('{"reportName": "Quick", "parameters": {"ProductID": "1"}, "extra": [1, {}]}')
    assert alice.call("POST", "/Report", json=body).json()["result"] is True
