"""The curl examples of the original API's documentation, with another host, reference and token, run by a shell."""

import json
import os
import re
import subprocess

import pytest

from conftest import close
from harness import PATIENCE, REPORTD, Server, poll
from stores import STORES, store_of

pytestmark = pytest.mark.stores(*STORES)

LOGIN = """curl -X POST '{base}/User/Login' \\
  -H 'Content-Type: application/json' \\
  -H 'Version: 2.0' \\
  -d '{{"username": "demo", "password": "{password}"}}'"""

SUBMIT = """curl -X POST '{base}/Report' \\
  -H 'Authorization: {token}' \\
  -H 'Content-Type: application/json' \\
  -H 'Version: 2.0' \\
  -d '{{
    "reportName": "EntityBalanceReport",
    "parameters": {{
      "ProductID": "123",
      "FromDate": "2024-01-01",
      "ToDate": "2024-12-31",
      "IncludeClosingBalances": "true"
    }}
  }}'"""

STATUS = """curl -X GET '{base}/Report/Status?reference={reference}' \\
  -H 'Authorization: {token}' \\
  -H 'Version: 2.0'"""

GET = """curl -X GET '{base}/Report?reference={reference}' \\
  -H 'Authorization: {token}' \\
  -H 'Version: 2.0'"""

# These two as the page on DELETE /Report has them.
DELETE = """curl -X DELETE "{base}/Report?reference={reference}" \\
  -H "Authorization: {token}" \\
  -H "Version: 2.0\""""

DELETE_BY_DATA = """curl -X DELETE "{base}/Report" \\
  -H "Authorization: {token}" \\
  -H "Version: 2.0" \\
  -G -d "reference={reference}\""""


@pytest.fixture(scope="module")
def curl(tmp_path_factory):
    """Runs an example in a shell; what a test needs besides is in the user's .curlrc."""
    home = tmp_path_factory.mktemp("curl")
    (home / ".curlrc").write_text('silent\nshow-error\nnoproxy = "*"\n')

    def run(example, **values):
        done = subprocess.run(["bash", "-c", example.format(**values)], text=True, capture_output=True,
                              timeout=PATIENCE, env={**os.environ, "CURL_HOME": str(home)})
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


class Demos(dict):
    """By the kind of store: a small demo registry, served, and what every example is filled in with."""

    def __init__(self, folder, postgres, curl):
        self.folder, self.postgres, self.curl = folder, postgres, curl

    def __missing__(self, kind):
        server = Server.of_folder(self.folder / kind, store_of(kind, self.postgres))
        done = subprocess.run([REPORTD, "demo", server.folder, "--entities", "50"], text=True,
                              capture_output=True, timeout=120, env=server.environment)
        assert done.returncode == 0, done.stderr
        server.start()
        password = re.search(r"^ *password +(\S+)", done.stdout, re.M).group(1)
        tokens = self.curl(LOGIN, base=server.url, password=password)
        assert set(tokens) == {"accessToken", "refreshToken"}
        self[kind] = server, {"base": server.url, "token": tokens["accessToken"]}
        return self[kind]


@pytest.fixture(scope="module")
def demos(tmp_path_factory, shared_postgres, curl):
    made = Demos(tmp_path_factory.mktemp("demo"), shared_postgres, curl)
    yield made
    for server, _ in made.values():
        close(server)


@pytest.fixture
def session(demos, store_kind):
    return demos[store_kind][1]


def ordered(curl, session):
    answer = curl(SUBMIT, **session)
    assert answer["result"] is True
    assert answer["message"] == "Report request has been submitted."
    reference = answer["data"]

    def ended():
        answer = curl(STATUS, **session, reference=reference)
        assert (answer["data"] == "incomplete") == (answer["result"] is False), answer
        return answer["result"] and answer

    assert poll(ended, what="the report") == {
        "result": True, "message": "Report has been successfully completed!", "data": "complete"}
    return reference


def assert_deleted(curl, session, reference, answer):
    assert answer == {"result": True, "message": "Report request has been deleted.", "data": {}}
    for example in (STATUS, GET, DELETE, DELETE_BY_DATA):
        answer = curl(example, **session, reference=reference)
        assert answer["result"] is False and "Unknown reference" in answer["message"]


def test_the_examples_in_their_order(curl, session):
    reference = ordered(curl, session)
    answer = curl(GET, **session, reference=reference)
    assert answer["result"] is True and answer["message"] == ""
    data = answer["data"]
    assert data["reportName"] == "EntityBalanceReport"
    assert data["parameters"] == {"ProductID": "123", "FromDate": "2024-01-01",
                                  "ToDate": "2024-12-31", "IncludeClosingBalances": "true"}
    assert set(data["summary"]) == {"totalEntities", "totalAccounts", "grandTotalBalance",
                                    "grandTotalUnits", "averageBalance"}
    entity = data["results"][0]
    assert set(entity) == {"entityID", "externalBizEntityId", "entityName", "totalBalance",
                           "currency", "lastTransactionDate", "accounts"}
    assert set(entity["accounts"][0]) == {"accountID", "externalAccountId", "accountNumber",
                                          "balance", "units", "lastTransactionDate"}
    assert_deleted(curl, session, reference, curl(DELETE, **session, reference=reference))


def test_delete_with_the_reference_as_data(curl, session):
    reference = ordered(curl, session)
    assert_deleted(curl, session, reference, curl(DELETE_BY_DATA, **session, reference=reference))
