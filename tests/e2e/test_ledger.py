"""The deletion ledger: written before a DELETE is answered, and what becomes of it when it cannot be."""

import contextlib
import hashlib
import os
import signal
import sqlite3
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from fake_clock import DAY, MINUTE
from harness import PATIENCE, REPORTD, failed, poll, refused
from report_states import complete, error, processing, queued
from seams import DEATH, Gate, passings, plan
from stores import STORES

HEAD, RECORD = 96, 32
OLD_HEAD = 64  # of format 1


def ledger_of(server):
    return server.folder / "deletions.ledger"


def records(server):
    data = ledger_of(server).read_bytes()
    assert data.startswith(b"reportd ledger2\0") and (len(data) - HEAD) % RECORD == 0
    return [data[at:at + RECORD] for at in range(HEAD, len(data), RECORD)]


def times(server):
    """UTC milliseconds of the records."""
    return [struct.unpack("<q", record[16:24])[0] for record in records(server)]


@pytest.fixture
def suffering(make_server):
    """A server with one worker and a client, that suffers seams: suffering("ledger.write=EIO")."""
    def make(*seams, **config):
        server = make_server(workers=1, **config)
        server.stop()
        plan(server, *seams, trace=server.folder / "trace")
        return server, server.start().client("alice")

    return make


@pytest.mark.parametrize("row_results", ["0", "16K"], ids=["files", "rows"])
@pytest.mark.parametrize("make", [queued, processing, complete, error])
def test_a_deletion_is_recorded_before_it_is_answered(make_server, make, row_results):
    server = make_server(row_results=row_results)
    client = server.client("alice")
    reference = make(client)
    assert records(server) == []
    assert client.delete(reference).json()["result"] is True
    assert len(records(server)) == 1
    assert ledger_of(server).stat().st_mode & 0o777 == 0o600


def test_a_purge_is_recorded(clock, make_server):
    server = make_server(retention="10m")
    client = server.client("alice")
    complete(client)
    clock.jump(11 * MINUTE)
    poll(lambda: client.references() == [], what="the purge")
    poll(lambda: len(records(server)) == 1, what="its record")


def test_the_ledger_does_not_have_the_reference(make_server):
    server = make_server()
    client = server.client("alice")
    reference = complete(client)
    client.delete(reference)
    data = ledger_of(server).read_bytes()
    assert reference.encode() not in data
    assert bytes.fromhex(reference.replace("-", "")) not in data


def test_the_key_of_every_ledger_is_its_own(make_server):
    one, other = make_server(), make_server()
    assert ledger_of(one).read_bytes()[16:48] != ledger_of(other).read_bytes()[16:48]


def test_deletions_that_wait_share_an_fsync(suffering):
    server, client = suffering()
    references = [complete(client) for _ in range(20)]
    gate = Gate(server, "ledger.append.written")
    server.stop()
    plan(server, gate.seam, trace=server.folder / "trace")
    client.url = server.start().url
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(client.delete, reference) for reference in references]
        gate.wait()
        poll(lambda: sum(place == "deletion.delete.unlinked" for _, place in passings(gate.trace)) == 20,
             what="all deletions at the ledger")
        gate.open()
        assert all(answer.result().json()["result"] for answer in answers)
    assert len(records(server)) == 20
    # one if all came before the ledger's thread looked, else one for the first of them and one for the rest
    assert sum(place == "ledger.fdatasync" for _, place in passings(gate.trace)) <= 2


@pytest.mark.parametrize("call", ["ledger.write=ENOSPC", "ledger.fdatasync=EIO"])
@pytest.mark.parametrize("row_results", ["0", "16K"], ids=["files", "rows"])
def test_a_deletion_that_cannot_be_recorded_is_no_success_but_dead(suffering, call, row_results):
    server, client = suffering(call, row_results=row_results)
    reference = complete(client)
    message = failed(client.delete(reference), 503, "not yet recorded")
    assert "/" not in message
    refused(client.status(reference), "Unknown reference")
    refused(client.result(reference), "Unknown reference")
    assert server.files_of(reference) == []
    poll(lambda: len(records(server)) == 1, what="the second try")
    refused(client.delete(reference), "Unknown reference")
    assert client.delete(complete(client)).json()["result"] is True
    poll(lambda: len(records(server)) == 2, what="both records")  # what was polled for above may be the first try, before it fails


@pytest.mark.stores(*STORES)
@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
def test_the_deletion_of_a_running_report_that_cannot_be_recorded_is_finished_later(suffering, many):
    """By the server that ran it; where it is one of many, the others would take it for busy."""
    server, client = suffering("ledger.write=EIO", lease="5s")
    reference = processing(client)
    answer = client.call("DELETE", "/Report/List", params={"State": "processing"}) if many else client.delete(reference)
    failed(answer, 503, "deletion ledger")
    refused(client.status(reference), "Unknown reference")
    poll(lambda: server.store.row(reference, "state") is None, what="the end of the deletion")
    assert len(records(server)) == 1


@pytest.mark.stores(*STORES)
def test_a_crash_before_the_record_leaves_it_to_the_next_start(suffering, store_kind):
    place = "marked" if store_kind == "postgres-rows" else "unlinked"  # a file
    server, client = suffering(f"deletion.delete.{place}=crash")
    reference = complete(client)
    with pytest.raises(OSError):
        client.delete(reference)
    assert server.process.wait() == DEATH
    server.kill()
    assert records(server) == []
    plan(server)
    client.url = server.start().url
    refused(client.status(reference), "Unknown reference")
    poll(lambda: len(records(server)) == 1, what="the record")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB, and how to fill it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256K,mode=0700", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder):
    with open(folder / "filler", "wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(bytes(4096)) == 4096:
            pass
    assert os.statvfs(folder).f_bavail == 0


def test_deletions_go_on_while_the_disk_of_the_ledger_is_full(make_server, small_disk):
    server = make_server(deletion_ledger=small_disk / "deletions.ledger")
    client = server.client("alice")
    references = [complete(client) for _ in range(150)]  # more than a block has room for
    fill(small_disk)
    for reference in references:
        assert client.delete(reference).json()["result"] is True
    assert (small_disk / "deletions.ledger").stat().st_size == HEAD + 150 * RECORD


@pytest.mark.parametrize("torn", [b"\0" * 4096, b"x" * 31, b"x" * 32 + b"\0" * 7])
def test_a_torn_end_is_cut(make_server, torn):
    server = make_server()
    client = server.client("alice")
    client.delete(complete(client))
    before = records(server)
    server.kill()
    with open(ledger_of(server), "ab") as ledger:
        ledger.write(torn)
    server.start()
    assert records(server) == before
    server.await_log(f"ledger.cut path={ledger_of(server)} bytes={len(torn)}")
    client.url = server.url
    client.delete(complete(client))
    assert records(server)[:-1] == before


def test_a_record_that_the_medium_has_lost_costs_no_other(make_server):
    server = make_server()
    client = server.client("alice")
    for _ in range(3):
        client.delete(complete(client))
    before = records(server)
    server.stop()
    with open(ledger_of(server), "r+b") as ledger:
        ledger.seek(HEAD + RECORD)
        ledger.write(b"x" * RECORD)
    server.start()
    assert records(server)[2] == before[2]
    server.await_log("ledger.damaged")


@pytest.mark.parametrize("remove", [lambda path: path.unlink(), lambda path: path.rename(f"{path}.moved"),
                                    lambda path: path.with_suffix(".other").replace(path)],
                         ids=["removed", "moved", "replaced"])
def test_a_ledger_that_is_taken_away_is_noticed(make_server, remove):
    server = make_server(workers=1)
    client = server.client("alice")
    reference = complete(client)
    ledger_of(server).with_suffix(".other").write_bytes(ledger_of(server).read_bytes())
    remove(ledger_of(server))
    failed(client.delete(reference), 503, "not yet recorded")
    refused(client.status(reference), "Unknown reference")
    server.await_log("replaced while the server runs")
    server.stop()
    if not ledger_of(server).exists():
        start_refused(server, "there is no deletion ledger", "0 records", "--new-ledger")
        server.run("fsck", "-c", "reportd.conf", "--new-ledger")  # and it finds what is stuck
    server.start()
    poll(lambda: len(records(server)) == 1, what="the record after the restart")


@pytest.mark.parametrize("size", [0, HEAD + RECORD])
def test_a_ledger_that_is_cut_off_under_the_server_is_noticed(make_server, size):
    """As logrotate's copytruncate does it. What was cut off is written back, as long as nothing hides it."""
    server = make_server(workers=1)
    client = server.client("alice")
    for _ in range(3):
        client.delete(complete(client))
    whole = ledger_of(server).read_bytes()
    os.truncate(ledger_of(server), size)
    failed(requests.get(server.url + "/Common/HealthCheck", timeout=PATIENCE), 503, "Deletions cannot be recorded")
    reference = complete(client)
    failed(client.delete(reference), 503, "not yet recorded")
    refused(client.status(reference), "Unknown reference")
    server.await_log("cut off")
    assert ledger_of(server).stat().st_size == size
    ledger_of(server).write_bytes(whole)
    poll(lambda: len(records(server)) == 4, what="the record")
    assert ledger_of(server).read_bytes()[:len(whole)] == whole


def start_refused(server, *words):
    done = server.run("serve", "-c", "reportd.conf")
    assert done.returncode == 1, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def test_a_start_without_a_usable_ledger_is_refused(make_server, tmp_path):
    server = make_server()
    server.stop()
    path = ledger_of(server)
    path.rename(tmp_path / "away")
    path.write_text("something else")
    start_refused(server, "is not a deletion ledger", str(path))
    path.unlink()
    path.mkdir()
    start_refused(server, "deletion ledger", str(path))
    path.rmdir()
    (tmp_path / "away").rename(path)
    server.start()


def test_two_nodes_cannot_have_one_ledger(make_server):
    first, second = make_server(), make_server()
    second.stop()
    second.configure(deletion_ledger=ledger_of(first))
    start_refused(second, "each node needs a deletion_ledger of its own")


def test_the_ledger_is_beside_the_store_or_where_one_says(make_server, tmp_path):
    (tmp_path / "disk").mkdir()
    server = make_server(store=tmp_path / "disk" / "store.db")
    server.stop()
    (tmp_path / "disk" / "deletions.ledger").rename(server.folder / "elsewhere")
    server.configure(store=tmp_path / "disk" / "store.db", deletion_ledger="elsewhere")
    server.start()
    assert [path.name for path in (tmp_path / "disk").glob("*.ledger")] == []


def test_a_link_to_another_disk_stays_a_link(make_server, clock, tmp_path):
    server = make_server(backup_horizon="1d")
    server.stop()
    ledger_of(server).rename(tmp_path / "target")
    ledger_of(server).symlink_to(tmp_path / "target")
    client = server.start().client("alice")
    client.delete(complete(client))
    clock.jump(3 * DAY)
    poll(lambda: records(server) == [], what="the horizon")
    assert ledger_of(server).is_symlink()


def test_records_beyond_the_horizon_go(make_server, clock):
    server = make_server(backup_horizon="10d", retention="300d")
    client = server.client("alice")
    references = [complete(client) for _ in range(2)]
    client.delete(references[0])
    (first,) = times(server)
    clock.jump(6 * DAY)
    client = server.client("alice")
    client.delete(references[1])
    assert len(records(server)) == 2
    clock.jump(5 * DAY)
    poll(lambda: len(records(server)) == 1, what="the horizon")
    assert times(server)[0] > first
    client = server.client("alice")
    client.delete(complete(client))
    assert len(records(server)) == 2


@pytest.mark.parametrize("step", ["copied", "renamed"])
def test_a_crash_while_the_ledger_is_rewritten_loses_nothing(make_server, clock, step):
    server = make_server(backup_horizon="10d", retention="300d")
    client = server.client("alice")
    references = [complete(client) for _ in range(2)]
    client.delete(references[0])
    clock.jump(6 * DAY)
    client = server.client("alice")
    client.delete(references[1])
    kept = records(server)[1]
    server.stop()
    plan(server, f"ledger.expire.{step}=crash", clock=server.environment["REPORTD_SEAMS_CLOCK"])
    clock.jump(5 * DAY)
    try:
        server.start()  # its thread may be as fast as the start
        assert server.process.wait(PATIENCE) == DEATH
        server.kill()
    except AssertionError:
        assert server.process is None
    plan(server, clock=server.environment["REPORTD_SEAMS_CLOCK"])
    server.start()
    poll(lambda: records(server) == [kept], what="the horizon")
    assert not ledger_of(server).with_name("deletions.ledger.new").exists()


@pytest.mark.parametrize("step", ["opened", "linked"])
def test_a_crash_while_the_ledger_is_made_leaves_a_start(make_server, step):
    server = make_server()
    server.stop()
    ledger_of(server).unlink()
    server.store.sql("DELETE FROM ledger")  # as before the first start
    plan(server, f"ledger.make.{step}=crash")
    done = subprocess.run([REPORTD, "serve", "-c", "reportd.conf"], cwd=server.folder,
                          env=server.environment, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    plan(server)
    server.start()
    assert records(server) == []
    assert not ledger_of(server).with_name("deletions.ledger.new").exists()


def test_what_a_crash_has_left_beside_the_ledger_does_not_keep_old_records_in_it(make_server, clock):
    """It may be another name of the ledger itself."""
    server = make_server(backup_horizon="10d")
    client = server.client("alice")
    client.delete(complete(client))
    server.kill()
    os.link(ledger_of(server), ledger_of(server).with_name("deletions.ledger.new"))
    server.start()
    assert len(records(server)) == 1 and ledger_of(server).stat().st_nlink == 1
    clock.jump(11 * DAY)
    poll(lambda: records(server) == [], what="the horizon")


def test_each_node_writes_its_own(make_cluster):
    cluster = make_cluster(nodes=2)
    first, second = cluster.clients("alice")
    references = [complete(first), complete(second)]
    assert first.delete(references[0]).json()["result"] is True
    assert second.delete(references[1]).json()["result"] is True
    assert [len(records(node)) for node in cluster.nodes] == [1, 1]


@pytest.fixture
def watched(make_cluster, clock):
    """Two nodes, of which the second looks all the time for what is left to be deleted; a client of the first, with a report."""
    def make(seam):
        cluster = make_cluster(nodes=2, row_results="0")
        (first, second), (client, _) = cluster.nodes, cluster.clients("alice")
        reference = complete(client)
        for node in cluster.nodes:
            node.stop()
        gate = None if seam.endswith("=crash") else Gate(first, seam)
        plan(first, gate.seam if gate else seam, trace=first.folder / "trace")
        plan(second, trace=second.folder / "trace", clock=clock.path)
        second.start()
        client.url = first.start().url
        return cluster, client, reference, gate

    return make


def test_a_node_leaves_a_deletion_to_the_living_node_that_began_it(watched):
    """It would be recorded twice."""
    cluster, client, reference, gate = watched("deletion.delete.unlinked")

    def looks():
        """So far, of the second; for it the deletion has begun just now, however slow the machine is."""
        cluster.sql("UPDATE report SET finished_ms = (1000 * extract(epoch FROM clock_timestamp()))::bigint")
        return sum(place == "store.deleting.answered" for _, place in passings(cluster.nodes[1].folder / "trace"))

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.delete, reference)
        gate.wait()
        before = looks()
        poll(lambda: looks() >= before + 5, what="the next looks")
        early = [len(records(node)) for node in cluster.nodes]
        gate.open()
        assert answer.result().json()["result"] is True
    assert early == [0, 0]
    assert [len(records(node)) for node in cluster.nodes] == [1, 0]


@pytest.mark.parametrize("place", ["marked", "unlinked", "recorded"])
def test_a_deletion_whose_node_was_killed_is_finished_by_another(watched, place):
    cluster, client, reference, _ = watched(f"deletion.delete.{place}=crash")
    with pytest.raises(OSError):
        client.delete(reference)
    assert cluster.nodes[0].process.wait() == DEATH
    cluster.nodes[0].kill()
    poll(lambda: cluster.row(reference, "state") is None, what="the end of the deletion")
    assert [len(records(node)) for node in cluster.nodes] == [int(place == "recorded"), 1]


def siphash(key, data):
    """SipHash-2-4 (https://www.aumasson.jp/siphash/siphash.pdf) under 16 bytes of key, as 8 bytes."""
    mask = (1 << 64) - 1
    k0, k1 = struct.unpack("<QQ", key[:16])
    v = [k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573]

    def rotate(x, bits):
        return (x << bits | x >> (64 - bits)) & mask

    def rounds(count):
        for _ in range(count):
            for a, b, first, second in ((0, 1, 13, 32), (2, 3, 16, 0)):
                v[a] = (v[a] + v[b]) & mask
                v[b] = rotate(v[b], first) ^ v[a]
                v[a] = rotate(v[a], second) if second else v[a]
            for a, b, first, second in ((0, 3, 21, 0), (2, 1, 17, 32)):
                v[a] = (v[a] + v[b]) & mask
                v[b] = rotate(v[b], first) ^ v[a]
                v[a] = rotate(v[a], second) if second else v[a]

    padded = data + bytes(-(len(data) + 1) % 8) + bytes([len(data) & 255])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xff
    rounds(4)
    return struct.pack("<Q", v[0] ^ v[1] ^ v[2] ^ v[3])


def test_the_file_is_as_its_description_says(make_server):
    """So that another program can read it; and siphash() above is right."""
    server = make_server()
    client = server.client("alice")
    reference = complete(client)
    client.delete(reference)
    data = ledger_of(server).read_bytes()
    key, record = data[16:48], data[HEAD:]
    assert record[:16] == hashlib.blake2b(bytes.fromhex(reference.replace("-", "")), key=key, digest_size=16).digest()
    assert data[HEAD - 8:HEAD] == siphash(key, data[:HEAD - 8])
    assert record[24:] == siphash(key, struct.pack("<Q", 0) + record[:24])


def of_format_1(data):
    """The same ledger as an older version wrote it."""
    key, head = data[16:48], b"reportd ledger1\0" + data[16:56]
    old = [data[at:at + 24] + siphash(key, data[at:at + 24]) for at in range(HEAD, len(data), RECORD)]
    return head + siphash(key, head) + b"".join(old)


def test_a_ledger_of_format_1_that_the_store_does_not_know_is_not_made_its_own(make_server):
    server, other = make_server(), make_server()
    client = other.client("alice")
    client.delete(complete(client))
    server.stop()
    other.stop()
    own, foreign = ledger_of(server).read_bytes(), of_format_1(ledger_of(other).read_bytes())
    ledger_of(server).write_bytes(foreign)
    start_refused(server, "is not the one that the store knows")
    assert ledger_of(server).read_bytes() == foreign
    ledger_of(server).write_bytes(of_format_1(own))
    server.start()
    assert ledger_of(server).read_bytes() == own


def test_a_ledger_of_format_1_is_rewritten_with_all_that_it_knows(make_server):
    server = make_server()
    client = server.client("alice")
    for _ in range(2):
        client.delete(complete(client))
    server.stop()
    data = ledger_of(server).read_bytes()
    server.store.sql("DELETE FROM ledger")
    ledger_of(server).write_bytes(of_format_1(data))
    assert ledger_of(server).stat().st_size == OLD_HEAD + 2 * RECORD
    client.url = server.start().url
    client.delete(complete(client))
    now = ledger_of(server).read_bytes()
    assert now[:HEAD + 2 * RECORD] == data[:HEAD + 2 * RECORD] and len(now) == HEAD + 3 * RECORD


def test_a_ledger_that_has_lost_its_end_is_not_gone_on_with(make_server, tmp_path):
    server = make_server()
    client = server.client("alice")
    for _ in range(3):
        client.delete(complete(client))
    server.stop()
    whole = ledger_of(server).read_bytes()
    ledger_of(server).write_bytes(whole[:-RECORD])
    start_refused(server, "has lost its end", "2 records", "3")
    ledger_of(server).write_bytes(whole[:-RECORD] + bytes(RECORD))  # as a disk does that lost it
    start_refused(server, "has lost its end")
    ledger_of(server).rename(tmp_path / "away")
    start_refused(server, "there is no deletion ledger", "3 records")
    ledger_of(server).write_bytes(whole)
    server.start()


def test_a_ledger_that_is_cut_between_a_restore_and_the_start_is_noticed(make_server):
    server = make_server()
    client = server.client("alice")
    assert server.run("backup", "-c", "reportd.conf", "backup").returncode == 0
    for _ in range(2):
        client.delete(complete(client))
    server.stop()
    done = server.run("restore", "-c", "reportd.conf", "--force", "backup")
    assert done.returncode == 0, done.stderr
    os.truncate(ledger_of(server), HEAD + RECORD)
    start_refused(server, "has lost its end", "1 records", "2")


def give_up(server):
    done = server.run("fsck", "-c", "reportd.conf", "--new-ledger")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_ledger_that_is_not_there_is_not_made_anew_until_it_is_given_up(make_server, tmp_path):
    """Its disk is not mounted, perhaps."""
    server = make_server()
    client = server.client("alice")
    client.delete(complete(client))
    assert server.run("fsck", "-c", "reportd.conf", "--new-ledger").returncode == 1  # beside a server
    server.stop()
    first = ledger_of(server).rename(tmp_path / "first")
    start_refused(server, "there is no deletion ledger", str(ledger_of(server)), "1 records", "mount", "--new-ledger")
    assert not ledger_of(server).exists()
    give_up(server)
    client.url = server.start().url
    client.delete(complete(client))
    server.stop()
    second = ledger_of(server).rename(tmp_path / "second")
    first.rename(ledger_of(server))
    before = ledger_of(server).read_bytes()
    start_refused(server, "is not the one that the store knows", "put that one back")
    assert ledger_of(server).read_bytes() == before
    second.rename(ledger_of(server))
    server.start()


def test_a_ledger_that_was_given_up_is_forgotten_after_the_horizon(make_server, clock):
    """A backup that is made from then on does not need it, and the server need not start anew for that."""
    server = make_server(backup_horizon="10d")
    server.stop()
    ledger_of(server).unlink()
    give_up(server)
    server.start()
    assert server.store.sql("SELECT count(*) FROM ledger") == ["2"]
    clock.jump(11 * DAY)
    poll(lambda: server.store.sql("SELECT count(*) FROM ledger WHERE given_up_ms = 0") ==
         server.store.sql("SELECT count(*) FROM ledger") == ["1"], what="the horizon")


@pytest.mark.parametrize("replaced", [False, True], ids=["missing", "replaced"])
def test_an_empty_ledger_that_the_store_knows_is_not_replaced_either(make_server, tmp_path, replaced):
    """A backup names it."""
    server = make_server()
    server.stop()
    own = ledger_of(server).rename(tmp_path / "own")
    if replaced:
        give_up(server)  # makes another
        server.store.sql("UPDATE ledger SET given_up_ms = (given_up_ms = 0)")
        start_refused(server, "is not the one that the store knows", str(ledger_of(server)), "0 records", "--new-ledger")
    else:
        start_refused(server, "there is no deletion ledger", "0 records", "mount", "--new-ledger")
        assert not ledger_of(server).exists()
    own.replace(ledger_of(server))
    server.start()


def test_a_node_does_not_make_its_ledger_anew(make_cluster):
    cluster = make_cluster(nodes=2)
    for client in cluster.clients("alice"):
        client.delete(complete(client))
    for node in cluster.nodes:
        node.stop()
    first = cluster.nodes[0]
    ledger_of(first).unlink()
    start_refused(first, "there is no deletion ledger", "1 records", "--new-ledger")
    give_up(first)
    for node in cluster.nodes:
        node.start()
    assert cluster.sql("SELECT count(*) FROM ledger WHERE given_up_ms = 0") == ["2"]
    assert cluster.sql("SELECT count(*) FROM ledger WHERE given_up_ms > 0") == ["1"]


def test_nodes_on_machines_of_one_name_keep_each_others_ledger(make_cluster):
    """The first's place is now that of the second, as it is in containers."""
    cluster = make_cluster(nodes=2)
    clients = cluster.clients("alice")
    clients[0].delete(complete(clients[0]))
    poll(lambda: "1" in cluster.sql("SELECT records FROM ledger"), what="the note of the first")
    cluster.nodes[0].stop()
    cluster.sql("UPDATE ledger SET place = (SELECT place FROM ledger WHERE records = 0) WHERE records = 1")
    for _ in range(2):
        clients[1].delete(complete(clients[1]))
    poll(lambda: "2" in cluster.sql("SELECT records FROM ledger"), what="the note of the second")
    assert sorted(cluster.sql("SELECT records FROM ledger")) == ["1", "2"]
    cluster.nodes[1].stop()
    for node in cluster.nodes:
        node.start()


@pytest.mark.parametrize("row_results", ["0", "16K"], ids=["files", "rows"])
def test_an_older_copy_is_noticed_even_if_it_lacks_the_last_deletion_before_a_crash_only(make_server, row_results):
    server = make_server(row_results=row_results)
    client = server.client("alice")
    for _ in range(3):
        older = ledger_of(server).read_bytes()
        client.delete(complete(client))
    server.kill()
    ledger_of(server).write_bytes(older)
    start_refused(server, "has lost its end", "2 records", "3")


def test_a_node_notices_an_older_copy_too(make_cluster):
    cluster = make_cluster(nodes=2)
    (node, other), (client, _) = cluster.nodes, cluster.clients("alice")
    client.delete(complete(client))
    older = ledger_of(node).read_bytes()
    client.delete(complete(client))
    node.kill()
    ledger_of(node).write_bytes(older)
    start_refused(node, "has lost its end", "1 records", "2")
    other.stop()
    other.start()


def test_an_older_copy_that_lacks_many_that_were_deleted_at_once_is_noticed(make_server):
    server = make_server()
    client = server.client("alice")
    for _ in range(3):
        complete(client)
    older = ledger_of(server).read_bytes()
    answer = client.call("DELETE", "/Report/List", params={"State": "complete"}).json()
    assert answer["data"]["deleted"]["complete"] == 3
    server.kill()
    ledger_of(server).write_bytes(older)
    start_refused(server, "has lost its end", "0 records", "3")


@pytest.mark.parametrize("place", ["ledger.append.written", "ledger.append.synced", "store.delete_row.taken",
                                   "store.delete_row.written", "store.delete_row.committed"])
def test_a_deletion_of_which_the_store_has_not_heard_is_recorded_in_an_older_copy_again(suffering, place):
    """Its row is there as long as it is not counted."""
    server, client = suffering(f"{place}=crash")
    reference, older = complete(client), ledger_of(server).read_bytes()
    with pytest.raises(OSError):
        client.delete(reference)
    assert server.process.wait() == DEATH
    server.kill()
    plan(server)
    whole = ledger_of(server).read_bytes()
    ledger_of(server).write_bytes(older)
    if place == "store.delete_row.committed":
        start_refused(server, "has lost its end", "0 records", "1")
        ledger_of(server).write_bytes(whole)
    client.url = server.start().url
    refused(client.status(reference), "Unknown reference")
    poll(lambda: server.store.sql("SELECT count(*) FROM report") == ["0"], what="the end of its row")
    hashed = hashlib.blake2b(bytes.fromhex(reference.replace("-", "")), key=whole[16:48], digest_size=16).digest()
    assert hashed in {record[:16] for record in records(server)}


@pytest.mark.parametrize("row_results", ["0", "16K"], ids=["files", "rows"])
def test_a_row_does_not_go_before_the_store_knows_how_many_records_there_are(suffering, row_results):
    server, client = suffering(row_results=row_results)
    first, second = complete(client), complete(client)
    assert client.delete(first).json()["result"] is True
    with contextlib.closing(sqlite3.connect(server.folder / "store.db")) as db:
        db.execute("CREATE TRIGGER deaf BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'deaf'); END")
        failed(client.delete(second), 503)
        refused(client.status(second), "Unknown reference")
        assert db.execute("SELECT count(*) FROM report").fetchall() == [(1,)]
        db.execute("DROP TRIGGER deaf")
    poll(lambda: server.store.sql("SELECT count(*) FROM report") == ["0"], what="the second try")
    assert server.store.sql("SELECT records FROM ledger") == [str(len(records(server)))]


def test_the_ledger_of_another_store_is_not_written_to(make_server):
    first, second = make_server(), make_server()
    first.stop()
    second.stop()
    before = ledger_of(first).read_bytes()
    second.configure(deletion_ledger=ledger_of(first))
    start_refused(second, "of another store")
    assert ledger_of(first).read_bytes() == before
