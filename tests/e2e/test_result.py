"""GET /Report: doc/api.md § Report."""

import base64
import datetime
import email.utils
import hashlib
import json
from decimal import Decimal

import pytest

from harness import PROBLEM, failed, refused

UNKNOWN = "0190a5b2-7c1e-7000-8000-3f2a1b4c5d6e"


def exact(answer):
    """The body with every number as it is written."""
    return json.loads(answer.content, parse_float=Decimal)


@pytest.fixture
def quick(alice):
    return alice.complete("Quick", ProductID="1")


@pytest.fixture
def big(alice):
    """A result of some megabytes, and its reference."""
    reference = alice.complete("Big", Rows="100000")
    return reference, alice.result(reference).content


def test_a_result(alice, quick):
    answer = alice.result(quick)
    body = exact(answer)
    assert answer.headers["Content-Type"].startswith("application/json")
    assert set(body) == {"result", "message", "data"}
    assert body["result"] is True and body["message"] == ""
    data = body["data"]
    assert list(data) == ["reportName", "generatedDate", "parameters", "results", "summary"]
    assert data["reportName"] == "Quick"
    assert data["parameters"] == {"ProductID": "1", "Note": "none"}
    assert data["results"][0] == {"itemID": 1, "owner": "Ada", "amount": Decimal("1250000.00"),
                                  "day": "2024-01-12"}
    assert data["summary"] == {"count": 3, "total": Decimal("1249997.96"), "note": "none",
                               "user": "alice"}


def test_the_generated_date_is_a_utc_timestamp(alice, quick):
    text = alice.result(quick).json()["data"]["generatedDate"]
    made = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
    assert abs((datetime.datetime.now(datetime.timezone.utc) - made).total_seconds()) < 120


def test_money_is_printed_exactly(alice, quick):
    text = alice.result(quick).text.replace(" ", "")
    for amount in ("1250000.00", "0.01", "-2.05"):
        assert f'"amount":{amount},' in text
    huge = alice.result(alice.complete("Quick", ProductID="2")).text.replace(" ", "")
    assert '"amount":9007199254740993.67,' in huge  # no binary floating point can say that


def test_a_report_without_rows_has_an_empty_list(alice):
    data = alice.result(alice.complete("Quick", ProductID="3")).json()["data"]
    assert data["results"] == [] and data["summary"]["count"] == 0


def test_nested_results(alice):
    data = exact(alice.result(alice.complete("Nested")))["data"]
    assert data["results"] == [
        {"owner": "Ada", "product": {"name": "Bonds", "id": 1},
         "items": [{"itemID": 1, "amount": Decimal("1250000.00")},
                   {"itemID": 2, "amount": Decimal("0.01")}]},
        {"owner": "Bob", "product": {"name": 'Shares "A"', "id": 2},
         "items": [{"itemID": 4, "amount": Decimal("9007199254740993.67")}]},
        {"owner": "Żaneta", "product": {"name": "Bonds", "id": 1},
         "items": [{"itemID": 3, "amount": Decimal("-2.05")}]},
    ]


def test_a_big_result_is_whole(big):
    _, content = big
    rows = json.loads(content)["data"]["results"]
    assert len(rows) == 100000
    assert rows[0] == {"i": 1, "text": "row number 1"}
    assert rows[-1] == {"i": 100000, "text": "row number 100000"}


def test_the_digest_is_that_of_the_content(alice, big):
    reference, content = big
    answer = alice.result(reference)
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    assert answer.headers["Content-Digest"] == f"sha-256=:{digest}:"
    assert answer.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    assert answer.headers["ETag"] == '"' + hashlib.sha256(content).hexdigest() + '"'
    assert int(answer.headers["Content-Length"]) == len(content)


def test_head_has_the_headers_of_get(alice, quick):
    get, head = alice.result(quick), alice.result(quick, method="HEAD")
    assert head.status_code == 200 and head.content == b""
    for name in ("Content-Length", "Content-Type", "ETag", "Accept-Ranges", "Content-Digest",
                 "Repr-Digest", "Expires", "Last-Modified"):
        assert head.headers[name] == get.headers[name]
    assert get.headers["Accept-Ranges"] == "bytes"


def test_head_ignores_a_range(alice, quick):
    assert alice.result(quick, {"Range": "bytes=0-1"}, method="HEAD").status_code == 200


def test_it_expires_when_it_is_purged(alice, quick):
    answer = alice.result(quick)
    modified, expires = (email.utils.parsedate_to_datetime(answer.headers[name])
                         for name in ("Last-Modified", "Expires"))
    assert expires - modified == datetime.timedelta(hours=24)


def test_a_result_that_the_client_has_is_a_304(alice, quick):
    etag = alice.result(quick).headers["ETag"]
    length = alice.result(quick).headers["Content-Length"]
    for tags, method in ((etag, "GET"), ("*", "GET"), (f'"other", W/{etag}', "GET"), (etag, "HEAD")):
        answer = alice.result(quick, {"If-None-Match": tags}, method=method)
        assert answer.status_code == 304 and answer.content == b""
        assert answer.headers["ETag"] == etag
        assert answer.headers["Content-Length"] == length  # what the 200 would have
        assert "Content-Type" not in answer.headers
    assert alice.result(quick, {"If-None-Match": '"other"'}).status_code == 200


def test_a_form_that_the_client_has_is_a_304_without_a_length(alice, quick):
    etag = alice.result(quick, {"Accept": "text/csv"}).headers["ETag"]
    answer = alice.result(quick, {"Accept": "text/csv", "If-None-Match": etag})
    assert answer.status_code == 304 and answer.content == b"" and answer.headers["ETag"] == etag
    assert not {"Content-Length", "Transfer-Encoding", "Content-Type"} & set(answer.headers)
    assert alice.result(quick).status_code == 200  # on the same connection


def dates_of(headers, seconds):
    """A time so many seconds after Last-Modified, in the three forms of RFC 9110, 5.6.7."""
    moment = email.utils.parsedate_to_datetime(headers["Last-Modified"]) + datetime.timedelta(seconds=seconds)
    return [moment.strftime(form) for form in
            ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", f"%a %b {moment.day:2} %H:%M:%S %Y")]


def test_dates_are_read_in_every_form_and_compared(alice, quick):
    headers = alice.result(quick).headers
    for seconds, since, unmodified, in_range in ((-1, 200, 412, 200), (0, 304, 200, 206), (1, 304, 200, 200)):
        for date in dates_of(headers, seconds):
            assert alice.result(quick, {"If-Modified-Since": date}).status_code == since
            assert alice.result(quick, {"If-Unmodified-Since": date}).status_code == unmodified
            assert alice.result(quick, {"If-Range": date, "Range": "bytes=0-1"}).status_code == in_range
    for name in ("If-Modified-Since", "If-Unmodified-Since"):
        assert alice.result(quick, {name: "yesterday"}).status_code == 200


def test_if_match(alice, quick):
    """As on DELETE: test_delete.py."""
    etag = alice.result(quick).headers["ETag"]
    for headers in ({}, {"Accept": "text/csv"}, {"Range": "bytes=0-1"}):
        for tags in (etag, "*", f'"other", {etag}'):
            assert alice.result(quick, {**headers, "If-Match": tags}).status_code in (200, 206)
        for tags in ('"other"', "W/" + etag):
            failed(alice.result(quick, {**headers, "If-Match": tags}), 412, "If-Match")
    assert alice.result(quick, {"If-Match": '"other"'}, method="HEAD").status_code == 412
    answer = alice.result(quick, {"If-Match": '"other"', "Accept": PROBLEM})
    assert (answer.status_code, answer.json()["title"]) == (412, "Precondition failed")


def test_if_modified_since(alice, quick):
    modified = alice.result(quick).headers["Last-Modified"]
    assert alice.result(quick, {"If-Modified-Since": modified}).status_code == 304
    both = {"If-Modified-Since": modified, "If-None-Match": '"other"'}
    assert alice.result(quick, both).status_code == 200


@pytest.mark.parametrize("given, first, last", [
    ("bytes=0-0", 0, 0), ("bytes=10-19", 10, 19), ("bytes=1000000-", 1000000, None),
    ("bytes=-7", -7, None), ("bytes=5-99999999999", 5, None), ("bytes=-99999999999", 0, None),
])
def test_a_range(alice, big, given, first, last):
    reference, content = big
    size = len(content)
    first = first if first >= 0 else size + first
    last = last if last is not None else size - 1
    answer = alice.result(reference, {"Range": given})
    assert answer.status_code == 206
    assert answer.content == content[first:last + 1]
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
    assert int(answer.headers["Content-Length"]) == last + 1 - first
    assert "Content-Digest" not in answer.headers and "Repr-Digest" in answer.headers


@pytest.mark.parametrize("given", ["bytes=0-1,4-5", "bytes=5-2", "rows=0-1", "bytes=x", "bytes=-"])
def test_a_range_that_is_none_is_ignored(alice, quick, given):
    answer = alice.result(quick, {"Range": given})
    assert answer.status_code == 200 and answer.json()["result"] is True
    assert "Content-Range" not in answer.headers


def test_a_download_can_be_resumed_in_pieces(alice, big):
    reference, content = big
    piece, got = 700000, b""
    while len(got) < len(content):
        answer = alice.result(reference, {"Range": f"bytes={len(got)}-{len(got) + piece - 1}"})
        assert answer.status_code == 206
        got += answer.content
    assert got == content


def test_if_range(alice, quick):
    headers = alice.result(quick).headers
    for good in (headers["ETag"], headers["Last-Modified"]):
        assert alice.result(quick, {"Range": "bytes=0-1", "If-Range": good}).status_code == 206
    for other in ('"other"', "W/" + headers["ETag"], "Thu, 01 Jan 1970 00:00:00 GMT"):
        assert alice.result(quick, {"Range": "bytes=0-1", "If-Range": other}).status_code == 200


def test_a_range_that_cannot_be_is_a_416(alice, quick):
    size = len(alice.result(quick).content)
    for given in (f"bytes={size}-", "bytes=-0"):
        answer = alice.result(quick, {"Range": given})
        failed(answer, 416, str(size))
        assert answer.headers["Content-Range"] == f"bytes */{size}"
        assert "ETag" not in answer.headers


def test_a_queued_report_has_no_result(alice, bob):
    for reference in (bob.order("Endless"), bob.order("Endless")):
        bob.wait_for(reference, "processing")
    refused(alice.result(alice.order("Nested")), "queued")


def test_a_processing_report_has_no_result(alice):
    reference = alice.order("Ticker")
    alice.wait_for(reference, "processing")
    answer = alice.result(reference)
    refused(answer, "processing")
    assert answer.headers["X-Report-State"] == "processing"


def test_a_failed_report_says_why(alice):
    reference = alice.order("Quick", ProductID="99")
    alice.finish(reference)
    refused(alice.result(reference), "error", "Product 99 does not exist.")


def test_a_reference_must_be_given(alice):
    failed(alice.get("/Report"), 400, "reference")


def test_an_unknown_reference_is_a_business_error(alice):
    refused(alice.result(UNKNOWN), "Unknown reference")
    refused(alice.result("x"), "Unknown reference")


def test_anothers_result_is_unknown(alice, bob, quick):
    assert refused(bob.result(quick)).replace(quick, "X") == \
        refused(bob.result(UNKNOWN)).replace(UNKNOWN, "X")


def test_a_result_can_be_had_again_and_again(alice, quick):
    assert alice.result(quick).content == alice.result(quick).content
