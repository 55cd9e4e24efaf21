"""Full file systems under store and spool: a report at most is lost, and with it what filled them."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from conftest import ALICE, close
from disks import Disk, MiB, own_mounts
from harness import ENDS_WITHIN, PASSWORD, SPOOL_MARK, Client, Server, failed, poll, refused
from seams import DEATH, passings, plan
from test_delete_many import BATCH, copies_of, done, held

LARGE = {"Rows": "1000000"}  # of Big: more than any of these disks has room for
ROWS_OF_RESULT = 3


@pytest.fixture(scope="module")
def mounts():
    if os.geteuid() != 0:
        pytest.skip("mounting file systems takes root")
    own_mounts()


@pytest.fixture(params=[("tmpfs", 6 * MiB, "off", "0"), ("tmpfs", 6 * MiB, "on", "0"),
                        ("tmpfs", 6 * MiB, "off", "16K"), ("ext4", 11 * MiB, "off", "0"),
                        ("ext4", 24 * MiB, "on", "16K")],
                ids=["tmpfs", "encrypted", "rows", "ext4", "ext4-encrypted-rows"])
def disk_spec(request):
    return request.param


@pytest.fixture
def on_disk(mounts, tmp_path):
    """A server whose store and spool are in one small file system: on_disk(disk_spec)."""
    made = []

    def make(spec, options="", **config):
        kind, size, encryption, row_results = spec
        disk = Disk(tmp_path / f"disk{len(made)}", kind, size, options)
        places = {"store": disk.folder / "store.db", "spool": disk.folder / "spool",
                  "deletion_ledger": disk.folder / "deletions"}
        server = Server.made(tmp_path / f"server{len(made)}", spool_encryption=encryption,
                             row_results=row_results, **places | config)
        server.spool = disk.folder / "spool"
        server.store.path = disk.folder / "store.db"
        made.append((server, disk))
        server.add_user(ALICE)
        return server.start(), disk

    yield make
    for server, disk in made:
        close(server)
        disk.unmount()


def log_in(server):
    """An answer to a login."""
    return Client(server.url).call("POST", "/User/Login",
                                   json={"username": ALICE, "password": PASSWORD})


def submits_again(client):
    """Wait until a report is accepted; returns its reference."""

    def accepted():
        answer = client.submit("Quick", {"ProductID": "1"})
        if answer.status_code != 200:
            failed(answer, 503)
            return None
        return answer.json()["data"]

    return poll(accepted, what="room for a report")


def works(client):
    reference = submits_again(client)
    assert client.finish(reference).json()["data"] == "complete"
    assert len(client.result(reference).json()["data"]["results"]) == ROWS_OF_RESULT
    assert client.delete(reference).json()["result"] is True


def check_whole(server):
    server.stop()
    audit = server.run("audit", "-c", "reportd.conf")
    assert audit.returncode == 0, audit.stdout + audit.stderr


def test_a_result_that_fills_the_disk_costs_itself_only(on_disk, disk_spec):
    server, disk = on_disk(disk_spec)
    client = server.client(ALICE)
    kept = client.complete("Quick", ProductID="1")
    free = disk.free()
    large = client.order("Big", **LARGE)
    answer = client.finish(large).json()
    assert answer["data"] == "error" and "disk is full" in answer["message"], answer
    assert server.files_of(large) == []
    assert disk.free() > free - MiB  # the log and its index may have grown
    assert len(client.result(kept).json()["data"]["results"]) == ROWS_OF_RESULT
    assert client.delete(large).json()["result"] is True
    assert log_in(server).status_code == 200
    works(client)
    check_whole(server)


def test_many_results_that_fill_the_disk_all_end(on_disk, disk_spec):
    server, _ = on_disk(disk_spec, workers=3)
    client = server.client(ALICE)
    references = [submits_again(client) if number % 3 == 2 else client.order("Big", **LARGE)
                  for number in range(6)]
    assert {client.finish(reference).json()["data"] for reference in references} <= \
        {"complete", "error"}
    for reference in references:
        assert client.delete(reference).json()["result"] is True
    works(client)
    check_whole(server)


def fill_with_reports(server, disk):
    """A disk that another program has filled, with reports in every state."""
    client = server.client(ALICE)
    reports = {"complete": client.complete("Quick", ProductID="1"),
               "error": client.order("Quick", ProductID="99")}
    client.finish(reports["error"])
    reports["processing"] = client.order("Endless")
    client.wait_for(reports["processing"], "processing")
    reports["queued"] = client.order("Quick", ProductID="1")  # there is one worker
    disk.fill()
    return client, reports


def check_full(server, disk, client, reports):
    """What must work on a disk without a free block."""
    disk.fill()
    failed(client.submit("Quick", {"ProductID": "1"}), 503, "Disk full")
    for state, reference in reports.items():
        assert client.delete(reference).json()["result"] is True, state
        refused(client.status(reference), "Unknown reference")
        assert server.files_of(reference) == []
    assert log_in(server).status_code == 200


def test_a_disk_that_another_program_fills_lets_reports_go(on_disk, disk_spec):
    server, disk = on_disk(disk_spec, workers=1)
    client, reports = fill_with_reports(server, disk)
    check_full(server, disk, client, reports)
    disk.room()
    works(client)
    check_whole(server)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_server_starts_on_a_full_disk(on_disk, disk_spec, how):
    server, disk = on_disk(disk_spec, workers=1)
    client, reports = fill_with_reports(server, disk)
    getattr(server, how)()
    disk.fill()
    client.url = server.start().url
    assert client.state(reports["complete"]) == "complete"
    check_full(server, disk, client, reports)
    server.stop()
    client.url = server.start().url
    for reference in reports.values():
        refused(client.status(reference), "Unknown reference")
    disk.room()
    works(client)
    check_whole(server)


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("spec", [("tmpfs", 32 * MiB, "off", "0"), ("tmpfs", 32 * MiB, "on", "0"),
                                  ("tmpfs", 32 * MiB, "off", "16K"),
                                  ("ext4", 48 * MiB, "on", "16K")],
                         ids=["files", "encrypted", "rows", "ext4-encrypted-rows"])
def test_all_reports_go_in_one_request_on_a_full_disk(on_disk, spec, restarted):
    """Results that are rows are overwritten in the log first: a batch of them has no room there."""
    server, disk = on_disk(spec, workers=1)
    client = server.client(ALICE)
    reports = [client.complete("Big", Rows="200")]  # of 7 KB
    reports += copies_of(server, reports[0], BATCH + 100)
    client = server.client(ALICE)
    if restarted:
        server.kill()
    disk.fill()
    if restarted:
        client = server.start().client(ALICE)
        disk.fill()
    failed(client.submit("Quick", {"ProductID": "1"}), 503, "Disk full")
    done(client.call("DELETE", "/Report/List", params={"State": "complete"}), complete=len(reports))
    assert client.references() == []
    assert not list(server.spool.glob("*.json"))
    disk.room()
    works(client)
    check_whole(server)


def test_a_queued_report_waits_for_room(on_disk, disk_spec):
    server, disk = on_disk(disk_spec, workers=1)
    client, reports = fill_with_reports(server, disk)
    server.stop()
    disk.fill()  # what the log had
    client.url = server.start().url
    failed(client.submit("Quick", {"ProductID": "1"}), 503, "Disk full")
    assert client.state(reports["processing"]) == client.state(reports["queued"]) == "queued"
    disk.room()
    assert client.delete(reports["processing"]).json()["result"] is True
    assert client.finish(reports["queued"]).json()["data"] == "complete"


def test_a_report_ends_on_a_full_disk(on_disk, disk_spec):
    server, disk = on_disk(disk_spec, workers=1)
    client = server.client(ALICE)
    reference = client.order("Pause", Times="3")
    client.wait_for(reference, "processing")
    disk.fill()
    answer = client.finish(reference).json()
    assert answer["data"] == "complete" or "disk is full" in answer["message"], answer
    assert client.delete(reference).json()["result"] is True
    disk.room()
    works(client)


def test_without_a_free_inode_reports_are_refused_and_go(on_disk):
    server, disk = on_disk(("tmpfs", 6 * MiB, "off", "0"), ",nr_inodes=40", workers=1)
    client = server.client(ALICE)
    done = client.complete("Quick", ProductID="1")
    disk.fill_inodes()
    server.stop()
    disk.fill_inodes()
    client.url = server.start().url
    failed(client.submit("Quick", {"ProductID": "1"}), 503, "Disk full")
    assert client.delete(done).json()["result"] is True
    assert log_in(server).status_code == 200
    disk.room()
    works(client)


def test_a_batch_marked_before_the_disk_was_full_goes(on_disk):
    """It is more than a full disk has room for: its rows go in parts."""
    server, disk = on_disk(("tmpfs", 32 * MiB, "off", "16K"), workers=1)
    first = server.client(ALICE).complete("Big", Rows="200")
    count = 1 + len(copies_of(server, first, BATCH // 2))
    gate = held(server, "deletion.many.recorded")
    client = server.client(ALICE)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(client.call, "DELETE", "/Report/List", params={"State": "complete"})
        gate.wait()
        poll(lambda: (disk.folder / "store.db-wal").stat().st_size == 0, what="an empty log")
        disk.fill()
        gate.open()
        done(answer.result(), complete=count)
    assert "deletion.many.split" in [place for _, place in passings(gate.trace)]
    assert server.store.sql("SELECT count(*) FROM report") == ["0"]
    disk.room()
    works(client)
    check_whole(server)


def start_refused_for(server, key, path):
    done = server.run("serve", "-c", "reportd.conf")
    assert done.returncode == 1, done.stderr
    assert f"start.full key={key} path={path} " in done.stderr and " needed_kib=1024 " in done.stderr, done.stderr
    return done.stderr


@pytest.mark.parametrize("encryption", ["off", "on"])
def test_a_start_whose_reserve_another_program_has_taken_says_how_much_room_it_needs(on_disk, encryption):
    server, disk = on_disk(("tmpfs", 6 * MiB, encryption, "16K"), workers=1)
    kept = server.client(ALICE).complete("Quick", ProductID="1")
    server.stop()
    for reserve in disk.folder.glob("store.db-reserve*"):
        reserve.unlink()
    disk.fill()
    start_refused_for(server, "store", disk.folder / "store.db")
    assert "its disk is full" in server.run("user", "list", "-c", "reportd.conf").stderr
    disk.room()
    disk.fill(leave=MiB)
    client = server.start().client(ALICE)
    assert client.delete(kept).json()["result"] is True
    disk.room()
    works(client)
    check_whole(server)


@pytest.mark.parametrize("key", ["store", "deletion_ledger", "key_file", "receipt_key_file"])
def test_a_first_start_on_a_full_disk_names_the_disk(mounts, tmp_path, key):
    disk = Disk(tmp_path / "disk")
    server = Server.made(tmp_path / "server", **{key: disk.folder / "file"})
    disk.fill()
    start_refused_for(server, key, disk.folder / "file")
    disk.room()
    server.start()
    close(server)
    disk.unmount()


def test_a_start_names_each_full_disk_once(mounts, tmp_path):
    one, two = Disk(tmp_path / "one"), Disk(tmp_path / "two")
    server = Server.made(tmp_path / "server", deletion_ledger=one.folder / "ledger", key_file=two.folder / "key",
                         receipt_key_file=one.folder / "receipts")
    one.fill()
    two.fill()
    said = start_refused_for(server, "deletion_ledger", one.folder / "ledger")
    assert said.count("start.full") == 2 and f"start.full key=key_file path={two.folder}/key " in said
    one.unmount()
    two.unmount()


def from_before_the_mark(server, disk, what):
    """A spool that does not say whose it is, on a disk that has no room to say so."""
    server.stop()
    mark = server.spool / SPOOL_MARK
    owner = mark.read_text()
    mark.unlink()
    disk.fill()
    if what == "inodes":
        disk.fill_inodes()
    return mark, owner


@pytest.mark.parametrize("what", ["blocks", "inodes"])
@pytest.mark.parametrize("row_results", ["0", "16K"], ids=["files", "rows"])
def test_a_spool_is_marked_as_soon_as_there_is_room(on_disk, tmp_path, what, row_results):
    # The start frees a block of the store's for a moment, which the mark could get.
    elsewhere = {"store": tmp_path / "store.db", "deletion_ledger": tmp_path / "deletions"}
    server, disk = on_disk(("tmpfs", 6 * MiB, "off", row_results), ",nr_inodes=40", workers=1,
                           **elsewhere if what == "blocks" else {})
    client = server.client(ALICE)
    reports = [client.complete("Quick", ProductID="1") for _ in range(2)]
    mark, owner = from_before_the_mark(server, disk, what)
    for reference in reports:  # each start finds it so
        client = server.start().client(ALICE)
        server.await_log("start.unmarked")
        failed(client.submit("Quick", {"ProductID": "1"}), 503, "Disk full")
        assert client.delete(reference).json()["result"] is True
        assert not mark.exists()
        if reference == reports[0]:
            server.kill()
            disk.fill()
    disk.room()
    poll(lambda: requests.get(server.url + "/Common/HealthCheck", timeout=ENDS_WITHIN).ok,
         what="health")
    assert mark.read_text() == owner
    works(client)
    mark.unlink()
    failed(client.submit("Quick", {"ProductID": "1"}), 503)
    mark.write_text(owner)
    check_whole(server)


def test_a_result_is_not_published_into_a_spool_without_its_mark(on_disk):
    server, disk = on_disk(("tmpfs", 6 * MiB, "off", "0"), ",nr_inodes=40", workers=1)
    mark, owner = from_before_the_mark(server, disk, "inodes")
    client = server.start().client(ALICE)
    assert not mark.exists()
    disk.room()
    works(client)
    assert mark.read_text() == owner


def test_no_room_for_the_mark_does_not_make_a_spool_of_another_store_ours(on_disk, tmp_path):
    other, disk = on_disk(("tmpfs", 6 * MiB, "off", "0"), ",nr_inodes=40", workers=1)
    server = Server.made(tmp_path / "another", workers=1, spool=other.spool)
    theirs = other.client(ALICE).complete("Quick", ProductID="1")
    from_before_the_mark(other, disk, "blocks")
    refused = server.run("serve", "-c", "reportd.conf")
    assert refused.returncode == 1 and "right spool" in refused.stderr, refused.stderr
    assert other.start().client(ALICE).result(theirs).json()["result"] is True


def test_what_a_crash_leaves_beside_the_mark_goes_at_the_start(on_disk):
    server, _ = on_disk(("tmpfs", 6 * MiB, "off", "0"), workers=1)
    server.stop()
    left = server.spool / f"{SPOOL_MARK}.new"
    left.touch()
    server.start()
    assert not left.exists()


def test_a_full_disk_of_temporary_files_fails_the_report_that_spills(mounts, tmp_path):
    """And another of the log, which is written by nobody but the shell that started the server."""
    temp, log = Disk(tmp_path / "temp", size=MiB), Disk(tmp_path / "log", size=MiB)
    server = Server.made(tmp_path / "server", workers=1)
    server.spool.mkdir()
    (server.spool / "temp").symlink_to(temp.folder)
    server.log = log.folder / "log"
    (server.reports / "Sort.sql").write_text(
        "-- report: Sort\n-- source: data\n-- results\n"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)\n"
        "SELECT i, randomblob(100) AS b FROM n ORDER BY hex(b) LIMIT 300000;\n"
        .replace("randomblob(100) AS b", "hex(randomblob(50)) AS b").replace("hex(b)", "b"))
    server.add_user(ALICE)
    client = server.start().client(ALICE)
    log.fill()
    answer = client.finish(client.order("Sort")).json()
    assert answer["data"] == "error", answer
    works(client)
    log.room()
    close(server)
    for disk in (temp, log):
        disk.unmount()


@pytest.mark.parametrize("place", ["store.reserve.taken=crash", "store.reserve.made=crash@2"])
def test_a_crash_while_the_reserve_is_used_loses_nothing(on_disk, place):
    """It is made at the start, and again after it was taken."""
    server, disk = on_disk(("tmpfs", 6 * MiB, "off", "0"), workers=1)
    client = server.client(ALICE)
    references = [client.complete("Quick", ProductID="1") for _ in range(4)]
    server.stop()
    plan(server, place)
    client.url = server.start().url
    disk.fill()
    with pytest.raises(requests.ConnectionError):
        for reference in references:
            assert client.delete(reference).json()["result"] is True
            references = references[1:] + [reference]
    assert server.await_end(ENDS_WITHIN) == DEATH
    plan(server)
    client.url = server.start().url
    alive = set(client.references())
    assert alive <= set(references)
    for reference in alive:
        assert client.delete(reference).json()["result"] is True
    disk.room()
    works(client)
    check_whole(server)
