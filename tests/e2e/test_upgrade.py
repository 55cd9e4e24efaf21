"""A store, a spool and results of the versions before, in tests/data, are read by this one: version_before.py makes them.

Their server was killed in the middle of a DELETE while a report ran and another was queued. The clock is that of then."""

import json
import re
import subprocess

import pytest

from fake_clock import MINUTE
from harness import Client, Server, failed, poll, refused
from stores import store_of
from test_links import ask as ask_link, follow, link_of
from version_before import DATA

# What was loaded from a dump is to be the database itself, not a copy of it.
NO_COPY = """UPDATE reportd.identity SET home = (SELECT system_identifier || '/' || oid FROM pg_control_system(), pg_database
             WHERE datname = current_database())"""

ARCHIVES = sorted(path.name for path in DATA.glob("*.tar.xz"))
JSON_ALONE = ("sqlite-7.tar.xz", "postgres-files-10.tar.xz", "postgres-rows-10.tar.xz")  # nothing is stored after it
SLOW = JSON_ALONE[1]  # in `make check-slow`


class Before:
    """What was left, unpacked, and a server of this version on it."""

    def __init__(self, folder, archive, clock, postgres):
        subprocess.run(["tar", "-xJpf", DATA / archive, "--no-same-owner", "-C", folder], check=True)
        self.expected = json.loads((folder / "expected.json").read_text())
        self.results = folder / "results"
        self.reports = self.expected["reports"]
        self.kind = archive.rpartition("-")[0]
        self.server = Server.of_folder(folder / "server", store_of(self.kind, postgres))
        if self.kind != "sqlite":
            store = self.server.store
            store.postgres.sql((folder / "dump.sql").read_text(), store.database)
            store.postgres.sql(NO_COPY, store.database)
        clock.jump_to(self.expected["made"] + MINUTE)
        self.server.environment["REPORTD_SEAMS_CLOCK"] = str(clock.path)

    def client(self, name):
        return self.server.client(name, self.expected["password"])


def cases(archives):
    return [pytest.param(name, marks=pytest.mark.slow) if name == SLOW else name for name in archives]


@pytest.fixture(params=cases(ARCHIVES))
def before(request, tmp_path, clock, shared_postgres):
    made = Before(tmp_path, request.param, clock, shared_postgres)
    yield made
    if made.server.process is not None:
        assert made.server.stop() == 0
    made.server.check_log()
    made.server.store.close()


def test_there_is_an_archive_of_each_kind_of_store():
    assert {name.rpartition("-")[0] for name in ARCHIVES} >= {"sqlite", "postgres-files", "postgres-rows"}


def check_reports(before, client):
    listed = {report["reference"]: report for report in client.list().json()["data"]["reports"]}
    assert set(before.reports) == set(listed)
    for reference, report in before.reports.items():
        assert client.status(reference).json() == report["status"], report["what"]
        assert {**listed[reference], **report["listed"]} == listed[reference], report["what"]
        result = client.result(reference)
        if report["status"]["data"] == "error":  # the words around its own may have changed
            assert not result.json()["result"] and report["status"]["message"] in result.json()["message"]
            continue
        assert result.content == (before.results / reference).read_bytes(), report["what"]
        assert {name: result.headers[name] for name in report["headers"]} == report["headers"], report["what"]


def check_work(before, client):
    """What ran and what was queued come to an end."""
    for name in ("processing", "queued"):
        reference = before.expected[name]
        assert client.finish(reference).json()["data"] == "complete"
        assert client.result(reference).json()["data"]["summary"]["note"] == \
            {"processing": "was running", "queued": "was queued"}[name]


def test_every_report_is_as_the_version_before_has_left_it(before):
    before.server.start()
    alice, bob = before.client("alice"), before.client("bob")
    check_reports(before, alice)
    check_work(before, bob)
    for reference in [*before.expected["deleted"], before.expected["half"]]:
        for client in (alice, bob):
            refused(client.status(reference), "Unknown reference")
    half = before.expected["half"]
    poll(lambda: before.server.store.row(half, "state") is None, what="the rest of the DELETE")
    done = subprocess.run([*before.server.program, "fsck", "-c", "reportd.conf"], cwd=before.server.folder,
                          env=before.server.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def parameters_of(result):
    """As they were ordered: texts."""
    given = {name: value for name, value in result["parameters"].items() if value is not None}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}


def but_for_the_time(content):
    return re.sub(rb'"generatedDate":"[^"]*"', b"", content)


def test_the_same_report_has_the_same_json(before):
    """Byte by byte, except for the time. So clients do not notice what is stored after the JSON."""
    before.server.start()
    alice = before.client("alice")
    results = [(before.results / reference).read_bytes() for reference, report in before.reports.items() if report["status"]["data"] == "complete"]
    assert len(results) >= 5
    for content in results:
        result = json.loads(content)["data"]
        again = alice.result(alice.complete(result["reportName"], **parameters_of(result)))
        assert but_for_the_time(again.content) == but_for_the_time(content), result["reportName"]
        assert int(again.headers["Content-Length"]) == len(content)


@pytest.mark.parametrize("before", cases(JSON_ALONE), indirect=True)
def test_a_result_without_a_footer_is_json_in_every_way_that_json_is_sent(before):
    before.server.start()
    alice = before.client("alice")
    for reference, report in before.reports.items():
        if report["status"]["data"] != "complete":
            continue
        content = (before.results / reference).read_bytes()
        assert alice.result(reference, {"Range": "bytes=5-9"}).content == content[5:10]
        assert alice.result(reference, {"Accept-Encoding": "gzip"}).content == content
        assert follow(link_of(alice, reference)).content == content
        assert alice.result(reference, {"If-None-Match": report["headers"]["ETag"]}).status_code == 304
        for form in ("ndjson", "csv", "xlsx"):
            refused(alice.get("/Report", params={"reference": reference, "format": form}), "older version", form)
            refused(ask_link(alice, reference, format=form), "older version")
        refused(alice.get("/Report/Rows", params={"reference": reference}), "older version")


def test_users_and_sessions_are_as_the_version_before_has_left_them(before):
    server = before.server.start()
    carol = before.client("carol")
    assert carol.submit("Quick", {"ProductID": "1"}).json()["result"] is True
    failed(carol.submit("Nested"), 403)
    answer = Client(server.url).call("POST", "/User/Login", json={"username": "dave", "password": before.expected["password"]})
    failed(answer, 401)
    alice = Client(server.url, before.expected["access"])
    assert set(before.reports) == set(alice.references())
    answer = alice.call("POST", "/User/RefreshToken", json={"refreshToken": before.expected["refresh"]})
    assert answer.status_code == 200, answer.text
    assert set(before.reports) == set(Client(server.url, answer.json()["accessToken"]).references())


def test_a_key_of_the_version_before_is_remembered(before):
    before.server.start()
    client = before.client("alice")
    body = {"reportName": "Typed", "parameters": {"Text": "x", "Day": "2024-02-29", "Colour": "Red"}}
    answer = client.call("POST", "/Report", {"Idempotency-Key": before.expected["key"]}, json=body)
    (reference,) = [each for each, report in before.reports.items() if report["what"] == "with a key"]
    assert answer.json()["data"] == reference and answer.headers["Idempotent-Replayed"] == "true"


def test_nothing_is_left_of_a_deleted_report_of_the_version_before(before):
    server = before.server.start()
    for client in (before.client("alice"), before.client("bob")):
        for reference in client.references():
            client.finish(reference)
            assert client.delete(reference).json()["result"] is True
        assert client.references() == []
    assert server.files() == []
    assert server.store.sql("SELECT count(*) FROM report") == ["0"]
    if server.store.is_readable:
        poll(lambda: not server.holding(b"row number 77", "Ünïcode".encode(), b"was queued"), what="an erased store")
