"""The log says whose report a line is of, and who has deleted it from where; what a user or an operator wants is no warning."""

import pytest

from report_states import processing
from stores import STORES
from test_receipts import reports_in_every_state

pytestmark = pytest.mark.stores(*STORES)


def lines_of(server, reference):
    return [line.split(" ", 1)[1] for line in server.log_text().splitlines()
            if " report." in line and f"reference={reference} " in line]


def deleted(server, reference, words):
    server.await_log(f"report.deleted reference={reference} user=alice {words}")


def assert_all_name_alice(server, references):
    for reference in references:
        lines = lines_of(server, reference)
        assert len(lines) >= 3 and all(" user=alice " in line for line in lines), lines


def states_of(server, reference):
    return [line.split(" state=")[1] for line in lines_of(server, reference) if "report.state" in line]


def test_each_line_of_a_report_names_its_user_and_a_deletion_who_has_asked_from_where(server, alice, olga):
    for client, name, path in ((alice, "alice", "/Report"), (olga, "olga", "/Admin/Report")):
        reports = reports_in_every_state(alice)
        for reference in reversed(reports.values()):
            assert client.call("DELETE", path, params={"reference": reference}).json()["result"] is True
            deleted(server, reference, f"by={name} address=127.0.0.1 us=")
        alice.delete_all()
        assert_all_name_alice(server, reports.values())
        # In any order: several connections to PostgreSQL tell of changes.
        assert sorted(states_of(server, reports["complete"])) == ["complete", "deleting", "processing", "queued"]


def test_deletions_of_a_list_name_them_too(server, alice, olga):
    for client, name, path in ((alice, "alice", "/Report/List"), (olga, "olga", "/Admin/Reports")):
        references = [alice.complete("Quick", ProductID="1") for _ in range(3)]
        assert client.call("DELETE", path, params={"State": "complete"}).json()["result"] is True
        for reference in references:
            deleted(server, reference, f"by={name} address=127.0.0.1 us=")
        assert_all_name_alice(server, references)


def test_a_purge_names_the_user_and_nobody_who_has_asked(make_server):
    server = make_server(retention="1s")
    reference = server.client("alice").complete("Quick", ProductID="1")
    deleted(server, reference, "us=")
    assert_all_name_alice(server, [reference])


def test_a_running_report_of_a_user_who_is_disabled_is_no_warning(server):
    server.add_user("dora")
    reference = processing(server.client("dora"))
    server.user("disable", "dora")
    server.await_log(f" info report.given_up reference={reference} user=dora attempt=1 ")
    assert {line.split()[0] for line in lines_of(server, reference)} == {"info"}
