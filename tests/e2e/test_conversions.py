"""Conversions of a result that end in the middle: by the client, by a deletion, by the purge, by a crash."""

import os
from pathlib import Path

import pytest

from fake_clock import DAY, SECOND
from harness import Client, poll, refused
from seams import Gate, plan
from stores import STORES
from test_forms import SlowForm, get, whole

FORMS = ("csv", "ndjson", "xlsx")
HANG_UPS = 1000
GROWTH_MAX = 48 << 20  # bytes; of so many conversions that each left a block it would be 250 MiB


def descriptors(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def memory(server):
    status = Path(f"/proc/{server.process.pid}/statm").read_text()
    return int(status.split()[1]) * os.sysconf("SC_PAGE_SIZE")


def begin(client, reference, form):
    return poll(lambda: SlowForm.begin(client, reference, form), what="a place for another one")


def hang_up(client, reference, form, times):
    for _ in range(times):
        begin(client, reference, form).socket.close()


def whole_of(client, reference, form):
    answer = get(client, reference, form)
    assert answer.status_code == 200
    return answer.content


@pytest.fixture
def held(new_server):
    """held(at) is a server that holds the thread that makes the block of this number, its gate, and a client."""
    gates = []

    def make(at):
        server = new_server(http_threads=8)
        gate = Gate(server, "http.form.made", at)
        gates.append(gate)
        plan(server, gate.seam, trace=gate.trace)
        return server, gate, server.start().client("alice")

    yield make
    for gate in gates:
        gate.open()


@pytest.mark.parametrize("form", FORMS)
def test_a_thousand_hang_ups_leave_no_descriptor_and_no_memory(new_server, form):
    server = new_server()
    server.environment["ASAN_OPTIONS"] = "quarantine_size_mb=1"  # not the last 256 MiB that were freed
    client = server.start().client("alice")
    reference = client.complete("Big", Rows="300000")
    hang_up(client, reference, form, 100)
    expected = len(whole_of(client, reference, form))
    before, had = descriptors(server), memory(server)
    hang_up(client, reference, form, HANG_UPS)
    poll(lambda: descriptors(server) <= before, what="the end of all descriptors")
    assert memory(server) - had < GROWTH_MAX
    assert len(whole_of(client, reference, form)) == expected


@pytest.mark.parametrize("form", FORMS)
def test_the_first_bytes_come_before_the_rest_is_made(held, form):
    _, gate, client = held(at=2)
    slow = begin(client, client.complete("Big", Rows="300000"), form)
    while len(slow.got) < 100_000:
        slow.more()
    gate.wait()  # the second block is not made until it is opened
    assert not slow.got.endswith(b"0\r\n\r\n")


def test_a_client_may_hang_up_while_a_block_is_made_ahead(held):
    server, gate, client = held(at=2)
    reference = client.complete("Big", Rows="300000")
    slow = begin(client, reference, "csv")
    gate.wait()
    had = descriptors(server)
    slow.socket.close()
    gate.open()
    poll(lambda: descriptors(server) <= had - 2, what="the end of the connection and of the conversion")
    assert len(whole(client, reference, "csv").splitlines()) == 300001


@pytest.mark.parametrize("at", [1, 2])
def test_a_delete_does_not_wait_for_a_block_that_is_being_made(held, at):
    """The client of the first one still waits for an answer."""
    server, gate, client = held(at)
    reference = client.complete("Big", Rows="300000")
    other = Client(client.url, client.token)
    request = SlowForm(client, reference, "csv")
    gate.wait()
    assert other.delete(reference).json()["result"] is True
    assert server.files_of(reference) == []
    refused(get(other, reference, "csv"), "Unknown reference")
    refused(other.get("/Report/Rows", params={"reference": reference}), "Unknown reference")
    gate.open()
    if at == 1:
        while b"Unknown reference" not in request.got:
            request.more()
    else:
        assert request.rest()[1]


@pytest.mark.stores(*STORES)
@pytest.mark.parametrize("form", FORMS)
def test_the_purge_ends_a_conversion(make_server, clock, form):
    server = make_server()
    client = server.client("alice")
    reference = client.complete("Big", Rows="300000")
    slow = begin(client, reference, form)
    clock.jump(DAY + SECOND)
    server.await_log(f"report.deleted reference={reference}")
    assert server.files_of(reference) == []
    assert slow.rest()[1]
    client = server.client("alice")  # a day later the token is none
    refused(get(client, reference, form), "Unknown reference")


@pytest.mark.stores(*STORES)
def test_a_kill_during_conversions_leaves_the_result_and_nothing_else(make_server):
    server = make_server()
    client = server.client("alice")
    reference = client.complete("Big", Rows="300000")
    expected, files = whole(client, reference, "csv"), server.files()
    slow = [begin(client, reference, form) for form in FORMS * 5]
    server.kill()
    assert all(not one.rest()[0].endswith(b"0\r\n\r\n") for one in slow)
    assert server.files() == files
    client = server.start().client("alice")
    assert whole(client, reference, "csv") == expected and server.files() == files
    assert client.delete(reference).json()["result"] is True
    assert server.files() == []
    assert server.stop() == 0
    audit = server.run("fsck", "-c", "reportd.conf")
    assert audit.returncode == 0, audit.stdout + audit.stderr
