"""The five curl examples of the original API's documentation, but for host and token."""

import json
import re
import shlex
import shutil
import subprocess
import time

import pytest

from harness import PATIENCE, REPORTD, Server

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")

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

DELETE = """curl -X DELETE '{base}/Report?reference={reference}' \\
  -H 'Authorization: {token}' \\
  -H 'Version: 2.0'"""

DELETE_BY_DATA = """curl -X DELETE -G '{base}/Report' \\
  -d 'reference={reference}' \\
  -H 'Authorization: {token}' \\
  -H 'Version: 2.0'"""


def curl(example, **values):
    words = shlex.split(example.format(**values).replace("\\\n", " "))
    done = subprocess.run([*words, "--silent", "--show-error", "--noproxy", "*"], text=True,
                          capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A small demo registry, served; and the password it printed."""
    folder = tmp_path_factory.mktemp("demo") / "registry"
    done = subprocess.run([REPORTD, "demo", folder, "--entities", "50"], text=True,
                          capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    server = Server.of_folder(folder)
    server.start()
    yield server, done.stdout
    assert server.stop() == 0
    server.check_log()


@pytest.fixture(scope="module")
def session(demo):
    """What every example is filled in with: host and token."""
    server, printed = demo
    password = re.search(r"^ *password +(\S+)", printed, re.M).group(1)
    tokens = curl(LOGIN, base=server.url, password=password)
    assert set(tokens) == {"accessToken", "refreshToken"}
    return {"base": server.url, "token": tokens["accessToken"]}


def ordered(session):
    answer = curl(SUBMIT, **session)
    assert answer["result"] is True
    assert answer["message"] == "Report request has been submitted."
    reference = answer["data"]
    deadline = time.monotonic() + PATIENCE
    while (answer := curl(STATUS, **session, reference=reference))["data"] == "incomplete":
        assert answer["result"] is False and time.monotonic() < deadline
    assert answer == {"result": True, "message": "Report has been successfully completed!",
                      "data": "complete"}
    return reference


def test_the_examples_in_their_order(session):
    reference = ordered(session)
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
    answer = curl(DELETE, **session, reference=reference)
    assert answer == {"result": True, "message": "Report request has been deleted.", "data": {}}
    assert curl(STATUS, **session, reference=reference)["result"] is False


def test_delete_with_the_reference_as_data(session):
    reference = ordered(session)
    answer = curl(DELETE_BY_DATA, **session, reference=reference)
    assert answer == {"result": True, "message": "Report request has been deleted.", "data": {}}
    assert curl(GET, **session, reference=reference)["result"] is False
