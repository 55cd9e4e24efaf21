"""The purge: a report is kept for `retention` after it has finished, and then goes as by DELETE."""

import os
import uuid
from email.utils import parsedate_to_datetime

import pytest

from fake_clock import DAY, HOUR, SECOND, time_of
from harness import poll, refused
from report_states import complete, error
from seams import Gate, plan
from stores import STORES

pytestmark = pytest.mark.stores(*STORES)
MANY = 1000


def listed(client, reference):
    return next(report for report in client.list().json()["data"]["reports"]
                if report["reference"] == reference)


def expiry(client, reference):
    return time_of(listed(client, reference)["expiresAt"])


def jump_to(clock, client, when):
    """The tokens of a day ago have expired."""
    clock.jump_to(when - 60 * SECOND)
    client.login("alice")
    clock.jump_to(when)


def assert_gone(client, reference):
    for ask in (client.status, client.result, client.delete):
        refused(ask(reference), "Unknown reference")
    refused(client.status(reference, {"Prefer": "wait=5"}), "Unknown reference")
    assert client.result(reference, method="HEAD").headers.get("Content-Digest") is None
    assert reference not in client.references()


@pytest.mark.parametrize("make", [complete, error])
def test_a_report_is_there_for_a_day_and_not_longer(clock, make_server, make):
    server = make_server()
    client = server.client("alice")
    reference = make(client)
    expires = expiry(client, reference)
    looks = {
        "status": lambda: client.state(reference) == make.__name__,
        "list": lambda: listed(client, reference)["state"] == make.__name__,
        "result": lambda: client.result(reference).json()["result"] is (make is complete),
    }
    jump_to(clock, client, expires - SECOND)
    for name, look in looks.items():
        clock.jump_to(expires - SECOND)  # 23:59:59 for each of them
        assert look(), name
    clock.jump_to(expires + SECOND)
    poll(lambda: client.references() == [], what="the purge")
    assert_gone(client, reference)
    poll(lambda: server.files() == [], what="an empty spool")


@pytest.mark.parametrize("make", [complete, error])
def test_a_finished_report_expires_a_day_after_it_finished(alice, make):
    report = listed(alice, make(alice))
    assert time_of(report["expiresAt"]) - time_of(report["finishedAt"]) == DAY


def test_a_result_tells_when_it_expires(alice):
    reference = complete(alice)
    for method in ("GET", "HEAD"):
        header = alice.result(reference, method=method).headers["Expires"]
        assert parsedate_to_datetime(header).timestamp() * 1000 == expiry(alice, reference)


def test_what_has_not_finished_does_not_expire(clock, make_server):
    server = make_server(workers=1)
    client = server.client("alice")
    running = client.order("Endless")
    client.wait_for(running, "processing")
    queued = client.order("Nested")
    for reference in (running, queued):
        assert listed(client, reference)["expiresAt"] is None
    jump_to(clock, client, time_of(listed(client, running)["submittedAt"]) + 3 * DAY)
    later = client.order("Nested")
    assert sorted(client.references()) == sorted([running, queued, later])


def test_the_retention_is_configured(clock, make_server):
    server = make_server(retention="2h")
    client = server.client("alice")
    report = listed(client, complete(client))
    assert time_of(report["expiresAt"]) - time_of(report["finishedAt"]) == 2 * HOUR
    jump_to(clock, client, time_of(report["expiresAt"]) + SECOND)
    poll(lambda: client.references() == [], what="the purge")


def define_retention(server, retention):
    for name in ("Quick", "Nested"):
        text = (server.reports / f"{name}.sql").read_text()
        (server.reports / f"Kept{name}.sql").write_text(
            f"-- retention: {retention}\n" + text.replace(f"-- report: {name}", f"-- report: Kept{name}"))


def kept(client, name="KeptQuick", product="1"):
    reference = client.order(name, **({"ProductID": product} if name == "KeptQuick" else {}))
    client.finish(reference)
    report = listed(client, reference)
    return reference, time_of(report["expiresAt"]) - time_of(report["finishedAt"])


@pytest.mark.parametrize("product, state", [("1", "complete"), ("99", "error")])
def test_a_definition_shortens_the_retention(clock, make_server, product, state):
    server = make_server()
    define_retention(server, "1h")
    server.reload()
    client = server.client("alice")
    longer = complete(client)
    reference, time = kept(client, product=product)
    assert time == HOUR and client.state(reference) == state
    expires = expiry(client, reference)
    if state == "complete":
        header = client.result(reference, method="HEAD").headers["Expires"]
        assert parsedate_to_datetime(header).timestamp() * 1000 == expires
    jump_to(clock, client, expires - SECOND)
    assert client.state(reference) == state
    jump_to(clock, client, expires + SECOND)
    poll(lambda: client.references() == [longer], what="the purge of the shorter one alone")
    assert_gone(client, reference)
    poll(lambda: server.files_of(reference) == [], what="the end of its file")


def test_a_definition_that_changes_holds_for_what_starts_later(clock, make_server):
    """And what was started before is purged when it expires, though no definition says so any more."""
    server = make_server()
    define_retention(server, "1h")
    server.reload()
    client = server.client("alice")
    old, time = kept(client)
    assert time == HOUR
    define_retention(server, "2h")
    server.reload()
    new, time = kept(client)
    assert time == 2 * HOUR
    jump_to(clock, client, expiry(client, old) + SECOND)
    poll(lambda: client.references() == [new], what="the purge of the older one")


def test_a_definition_does_not_lengthen_the_retention(clock, make_server):
    server = make_server(retention="2h")
    define_retention(server, "3h")
    server.reload()
    server.await_log("definition.retention")
    server.await_log("KeptQuick.sql")
    client = server.client("alice")
    reference, time = kept(client)
    assert time == 2 * HOUR
    jump_to(clock, client, expiry(client, reference) + SECOND)
    poll(lambda: client.references() == [], what="the purge")


def test_the_retention_begins_when_the_end_is_written_down(clock, make_server):
    """However long the disk or the store was unavailable before."""
    server = make_server(workers=1)
    server.stop()
    gate = Gate(server, "job.end.filed")
    plan(server, gate.seam, trace=gate.trace, clock=server.environment["REPORTD_SEAMS_CLOCK"])
    client = server.start().client("alice")
    reference = client.order("Quick", ProductID="1")
    gate.wait()
    clock.jump(2 * DAY)
    client.login("alice")
    gate.open()
    assert client.finish(reference).json()["data"] == "complete"
    report = listed(client, reference)
    assert time_of(report["expiresAt"]) - time_of(report["submittedAt"]) >= 3 * DAY


def test_when_a_report_expires_is_fixed_when_it_finishes(clock, make_server):
    """Another retention is for what finishes under it."""
    server = make_server(retention="24h")
    client = server.client("alice")
    old = complete(client)
    expires = expiry(client, old)
    server.stop()
    server.configure(retention="1h")
    server.start()
    client.url = server.url
    new = complete(client)
    assert expiry(client, old) == expires
    jump_to(clock, client, expiry(client, new) + SECOND)
    poll(lambda: client.references() == [old], what="the purge of the new one alone")
    assert client.state(old) == "complete"


def multiply(server, reference, count):
    """Add `count` copies of a complete report to the store and the spool of a stopped server."""
    (name,) = server.files_of(reference)
    copies = [str(uuid.uuid4()) for _ in range(count)]
    for copy in copies if (server.spool / name).exists() else ():
        os.link(server.spool / name, server.spool / name.replace(reference, copy))
    server.store.copy_report(reference, copies)


def completed(server):
    return server.metric('reports{state="complete"}')


def test_a_thousand_purged_reports_hold_up_no_request(clock, make_server):
    """The purge is held in its second batch: requests are answered meanwhile, and then it goes on."""
    server = make_server()
    client = server.client("alice")
    reference = complete(client)
    expires = expiry(client, reference)
    server.stop()
    multiply(server, reference, MANY - 1)
    gate = server.folder / "gate"
    os.mkfifo(gate)
    server.environment["REPORTD_SEAMS"] = f"deletion.purge.found=wait:{gate}@300"
    server.start()
    client.url = server.url
    assert completed(server) == MANY and len(server.files()) == MANY
    jump_to(clock, client, expires + SECOND)
    poll(lambda: completed(server) == MANY - 299, what="the first batches of the purge")
    fresh = [complete(client) for _ in range(10)]
    for good in fresh:
        assert client.result(good).json()["result"] is True
    client.delete(fresh.pop())
    with open(gate, "wb"):
        poll(lambda: sorted(client.references()) == sorted(fresh), what="the end of the purge")
    poll(lambda: len(server.files()) == len(fresh), what="a spool without the purged")
    assert completed(server) == len(fresh)


def test_a_report_may_be_deleted_at_the_moment_it_is_purged(clock, make_server):
    server = make_server()
    client = server.client("alice")
    references = [complete(client) for _ in range(10)]
    jump_to(clock, client, max(expiry(client, reference) for reference in references) + SECOND)
    for reference in references:
        answer = client.delete(reference)
        if not answer.json()["result"]:
            refused(answer, "Unknown reference")
    assert client.references() == []
    poll(lambda: server.files() == [], what="an empty spool")
