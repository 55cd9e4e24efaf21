"""spool = "postgresql": results in the store's database, served by every node, gone with their row."""

import contextlib
import hashlib
import threading

import pytest
import requests

from conftest import ALICE
from harness import poll, refused
from seams import DEATH, Gate, passings, plan

CHUNK = 4 * (64 * 1024 + 17) + 24  # of a row in the table
ROWS = "60000"  # some 2.5 MB: ten chunks
LONG = "300000"  # more than a socket holds


@pytest.fixture
def two(make_cluster):
    """Two nodes, and a client of each."""
    cluster = make_cluster(nodes=2, spool="postgresql")
    return cluster, *cluster.clients(ALICE)


def chunks(cluster, reference=None):
    where = f"WHERE report_id = '{reference}'" if reference else ""
    return int(cluster.sql(f"SELECT count(*) FROM result_chunk {where}")[0])


def temporary(node):
    return [path for path in (node.folder / "temp").rglob("*") if path.is_file()]


def read_on(answer):
    """What still comes, until the end or until the connection is broken off."""
    got = bytearray()
    with contextlib.suppress(requests.RequestException):  # some versions of requests only end
        for part in answer.iter_content(4096):
            got += part
    return bytes(got)


def test_every_node_serves_what_one_has_made(two):
    cluster, first, second = two
    reference = first.complete("Big", Rows=ROWS)
    own, other = first.result(reference), second.result(reference)
    assert own.status_code == other.status_code == 200 and own.content == other.content
    digest = hashlib.sha256(other.content)
    assert other.headers["ETag"] == own.headers["ETag"] == f'"{digest.hexdigest()}"'
    assert int(other.headers["Content-Length"]) == len(other.content)
    assert chunks(cluster, reference) == -(-len(other.content) // CHUNK) > 5
    assert not (cluster.folder / "spool").exists()
    assert [temporary(node) for node in cluster.nodes] == [[], []]


def test_any_range_is_that_part_of_the_result(two):
    _, first, second = two
    reference = first.complete("Big", Rows=ROWS)
    whole = first.result(reference).content
    for start, last in [(0, 0), (CHUNK - 1, CHUNK), (5, 3 * CHUNK), (2 * CHUNK + 7, len(whole) - 1)]:
        part = second.result(reference, {"Range": f"bytes={start}-{last}"})
        assert part.status_code == 206 and part.content == whole[start:last + 1]
        assert part.headers["Content-Range"] == f"bytes {start}-{last}/{len(whole)}"
    assert second.result(reference, {"Range": "bytes=-10"}).content == whole[-10:]
    assert second.result(reference, {"Range": f"bytes={len(whole)}-"}).status_code == 416


def test_head_and_conditions_are_those_of_the_result(two):
    _, first, second = two
    reference = first.complete("Quick", ProductID="1")
    answer = first.result(reference)
    head = second.result(reference, method="HEAD")
    assert head.status_code == 200 and head.content == b""
    assert head.headers["Content-Length"] == str(len(answer.content))
    assert second.result(reference, {"If-None-Match": head.headers["ETag"]}).status_code == 304
    stale = {"Range": "bytes=0-1", "If-Range": '"another"'}
    assert second.result(reference, stale).content == answer.content


def test_what_is_stored_of_an_encrypted_result_is_encrypted(make_cluster):
    cluster = make_cluster(nodes=2, spool="postgresql", spool_encryption="on")
    first, second = cluster.clients(ALICE)
    reference = first.complete("Big", Rows=ROWS)
    whole = first.result(reference).content
    assert hashlib.sha256(whole).hexdigest() == second.result(reference).headers["ETag"].strip('"')
    part = second.result(reference, {"Range": f"bytes={3 * CHUNK}-{3 * CHUNK + 99999}"})
    assert part.content == whole[3 * CHUNK:3 * CHUNK + 100000]
    plain = cluster.sql("SELECT count(*) FROM result_chunk WHERE position('\"rows\"'::bytea IN data) > 0 "
                        "OR position('summary'::bytea IN data) > 0")
    assert plain == ["0"] and chunks(cluster) > 5
    cluster.sql("UPDATE result_chunk SET data = set_byte(data, 5000, get_byte(data, 5000) # 1) WHERE number = 4")
    got = read_on(second.result(reference, stream=True))
    assert len(got) < len(whole) and whole.startswith(got)
    cluster.sql("UPDATE result_chunk SET data = set_byte(data, 50, get_byte(data, 50) # 1) WHERE number = 0")
    assert first.result(reference).status_code == 500


def test_deletion_takes_the_chunks_on_any_node(two):
    cluster, first, second = two
    reference = first.complete("Big", Rows=ROWS)
    kept = first.complete("Quick", ProductID="1")
    assert second.delete(reference).json()["result"] is True
    assert chunks(cluster, reference) == 0 and chunks(cluster, kept) == 1
    refused(first.result(reference), "no such report")


def test_a_report_that_fails_or_is_cancelled_leaves_no_chunk_and_no_file(two):
    cluster, first, second = two
    failed = first.order("Quick", ProductID="99")
    assert first.finish(failed).json()["data"] == "error"
    endless = first.order("Endless")
    first.wait_for(endless, "processing")
    assert second.delete(endless).json()["result"] is True
    assert chunks(cluster) == 0
    assert [temporary(node) for node in cluster.nodes] == [[], []]


def test_a_download_of_what_is_deleted_breaks_off_and_never_lies(two):
    _, first, second = two
    reference = first.complete("Big", Rows=LONG)
    whole_size = int(second.result(reference, method="HEAD").headers["Content-Length"])
    download = second.result(reference, stream=True)
    digest = download.headers["ETag"].strip('"')
    begun = next(download.iter_content(1000))
    assert first.delete(reference).json()["result"] is True
    got = begun + read_on(download)
    assert len(got) < whole_size or hashlib.sha256(got).hexdigest() == digest


def test_many_slow_downloads_share_a_few_connections(two):
    cluster, first, second = two
    reference = first.complete("Big", Rows=ROWS)
    whole = first.result(reference).content
    clients = [type(second)(second.url, second.token) for _ in range(24)]
    downloads = [client.result(reference, stream=True) for client in clients]
    for download in reversed(downloads):
        assert download.content == whole
    used = cluster.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'reportd spool' "
                       "AND datname = current_database()")
    assert int(used[0]) <= 2 * 8


def test_a_lost_connection_is_replaced_in_the_middle_of_a_download(two):
    cluster, first, second = two
    reference = first.complete("Big", Rows=LONG)
    download = second.result(reference, stream=True)
    begun = next(download.iter_content(1000))
    cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'reportd spool' "
                "AND datname = current_database()")
    got = begun + read_on(download)
    assert hashlib.sha256(got).hexdigest() == download.headers["ETag"].strip('"')


def test_a_download_without_its_database_breaks_off_and_works_again_later(make_cluster, own_postgres):
    cluster = make_cluster(own_postgres, nodes=1, spool="postgresql")
    (client,) = cluster.clients(ALICE)
    reference = client.complete("Big", Rows=LONG)
    download = client.result(reference, stream=True)
    size = int(download.headers["Content-Length"])
    begun = next(download.iter_content(1000))
    own_postgres.stop()
    got = begun + read_on(download)
    assert len(got) < size
    own_postgres.start()
    poll(lambda: client.status(reference).status_code == 200, what="the store again")
    whole = client.result(reference)
    assert whole.content.startswith(got)
    assert hashlib.sha256(whole.content).hexdigest() == whole.headers["ETag"].strip('"')


def test_a_restart_of_the_database_fails_no_result_that_is_being_published(make_cluster, own_postgres):
    cluster = make_cluster(own_postgres, nodes=1, spool="postgresql", lease="30s")
    (node,), (client,) = cluster.nodes, cluster.clients(ALICE)
    node.stop()
    gate = Gate(node, "spool.publish.copied", at=3)
    plan(node, gate.seam, trace=gate.trace)
    node.start()
    client.url = node.url
    reference = client.order("Big", Rows=ROWS)
    gate.wait()
    own_postgres.stop()
    starting = threading.Thread(target=own_postgres.start)
    starting.start()
    gate.open()
    starting.join()
    poll(lambda: client.state(reference) == "complete", what="the report")
    result = client.result(reference)
    assert hashlib.sha256(result.content).hexdigest() == result.headers["ETag"].strip('"')
    assert chunks(cluster, reference) == -(-len(result.content) // CHUNK)


def test_what_was_published_for_nothing_goes_with_the_next_attempt(two):
    cluster, first, second = two
    node = cluster.nodes[0]
    cluster.nodes[1].stop()
    node.stop()
    plan(node, "spool.publish.committed=crash")
    node.start()
    first.url = node.url
    reference = first.order("Quick", ProductID="1")
    assert node.await_end() == DEATH
    assert chunks(cluster, reference) == 1
    cluster.nodes[1].start()
    second.url = cluster.nodes[1].url
    poll(lambda: second.state(reference) == "complete", what="the report")
    assert cluster.sql("SELECT attempt FROM result_chunk") == ["2"]
    assert second.result(reference).json()["result"] is True


def test_a_start_takes_the_chunks_that_no_report_needs(two):
    cluster, first, _ = two
    node = cluster.nodes[1]
    node.stop()
    reference = first.complete("Quick", ProductID="1")
    failed = first.order("Quick", ProductID="99")
    first.finish(failed)
    cluster.sql(f"UPDATE report SET attempt = 3 WHERE id = '{reference}';"
                f"UPDATE result_chunk SET attempt = 3;"
                f"INSERT INTO result_chunk VALUES ('{reference}', 2, 0, 'x'), ('{reference}', 2, 1, 'x'),"
                f"('{failed}', 1, 0, 'x')")
    node.start()
    assert cluster.sql("SELECT report_id, attempt FROM result_chunk") == [f"{reference}|3"]


def test_an_audit_knows_chunks(make_cluster):
    cluster = make_cluster(nodes=1, spool="postgresql", cancel_grace="100ms")
    (node,), (client,) = cluster.nodes, cluster.clients(ALICE)
    cut, lost, odd = (client.complete("Big", Rows=ROWS) for _ in range(3))
    done = node.run("fsck", "-c", "reportd.conf")
    assert done.returncode == 0, done.stdout + done.stderr
    cluster.sql(f"DELETE FROM result_chunk WHERE report_id = '{cut}' AND number = 1 OR report_id = '{lost}';"
                f"INSERT INTO result_chunk VALUES ('{odd}', 7, 0, 'x')")
    found = node.run("fsck", "-c", "reportd.conf").stdout.splitlines()
    assert [line.split()[:2] for line in found[:3]] == \
        [["orphan-file", odd], ["lost-result", lost], ["wrong-size", cut]], found
    assert client.result(lost).status_code == 500
    done = node.run("fsck", "-c", "reportd.conf", "--repair")
    assert done.returncode == 1 and "1 nodes use this store" in done.stderr


def test_the_store_must_be_postgresql_too(make_server):
    server = make_server()
    server.stop()
    server.configure(spool="postgresql")
    done = server.run("serve", "-c", "reportd.conf")
    assert done.returncode == 1 and "the store is not PostgreSQL: set store = " in done.stderr


def test_a_node_stops_while_somebody_downloads_slowly(two):
    cluster, first, second = two
    reference = first.complete("Big", Rows=LONG)
    download = second.result(reference, stream=True)
    next(download.iter_content(1000))
    assert cluster.nodes[1].stop() == 0
    download.close()


def with_slow_chunks(cluster, reference, attempt):
    """Each of its chunks takes a while to go, as those of many gigabytes do, and a statement has 8 s."""
    cluster.sql("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
                "'BEGIN PERFORM pg_sleep(0.05); RETURN OLD; END';"
                "CREATE TRIGGER slow BEFORE DELETE ON result_chunk FOR EACH ROW EXECUTE FUNCTION slow();"
                "INSERT INTO result_chunk "
                f"SELECT '{reference}', {attempt}, number, 'x' FROM generate_series(1, 249) AS number")


def test_leftovers_too_large_for_one_statement_go_at_the_start(two):
    cluster, first, _ = two
    cluster.nodes[1].stop()
    reference = first.order("Quick", ProductID="99")
    first.finish(reference)
    with_slow_chunks(cluster, reference, 1)
    cluster.sql(f"INSERT INTO result_chunk VALUES ('{reference}', 1, 0, 'x')")
    cluster.nodes[1].start()
    assert cluster.sql("SELECT count(*) FROM result_chunk") == ["0"]


def test_a_result_too_large_for_one_statement_is_deleted_all_the_same(two):
    cluster, first, second = two
    reference = first.complete("Quick", ProductID="1")
    with_slow_chunks(cluster, reference, 1)
    assert second.delete(reference).json()["result"] is True
    assert cluster.sql("SELECT count(*) FROM report") == ["0"]
    assert cluster.sql("SELECT count(*) FROM result_chunk") == ["0"]


def test_a_small_result_is_written_with_the_end_of_its_report(make_cluster):
    """So nothing is left of it if that is not committed."""
    cluster = make_cluster(nodes=1, spool="postgresql", row_results="16K", workers=1)
    (node,), (client,) = cluster.nodes, cluster.clients(ALICE)
    node.stop()
    plan(node, "store.finish.committed=crash", trace=node.folder / "trace")
    node.start()
    client.url = node.url
    reference = client.order("Quick", ProductID="1")
    assert node.await_end() == DEATH
    assert not any(place.startswith("spool.publish.") for _, place in passings(node.folder / "trace"))
    assert cluster.sql("SELECT state, c.attempt, c.number FROM report JOIN result_chunk c ON report_id = id") == ["2|1|0"]
    plan(node, "store.finish.taken=crash")
    node.start()
    client.url = node.url
    assert client.result(reference).json()["data"]["summary"]["count"] == 3
    lost = client.order("Quick", ProductID="1")
    assert node.await_end() == DEATH
    assert chunks(cluster, lost) == 0
    plan(node)
    node.start()
    client.url = node.url
    client.finish(lost)
    assert cluster.sql(f"SELECT attempt, number FROM result_chunk WHERE report_id = '{lost}'") == ["2|0"]
    large = client.complete("Big", Rows=ROWS)
    assert chunks(cluster, large) > 5
    for each in (reference, lost, large):
        client.delete(each)
    assert chunks(cluster) == 0


def test_a_life_never_reads_a_whole_table(make_cluster):
    """Though plans are made while the tables are nearly empty."""
    cluster = make_cluster(nodes=1, spool="postgresql", row_results="16K")
    (client,) = cluster.clients(ALICE)
    scans = "SELECT sum({}) FROM pg_stat_user_tables WHERE relname IN ('report', 'waiting', 'turn')"
    before = int(cluster.sql(scans.format("seq_scan"))[0])
    for _ in range(5):
        client.delete(client.complete("Quick", ProductID="1"))
    poll(lambda: int(cluster.sql(scans.format("coalesce(idx_scan, 0)"))[0]) >= 5, what="the statistics")
    assert int(cluster.sql(scans.format("seq_scan"))[0]) == before


# What a client has that waits for its report, gets it and deletes it: what each of these operations does is one statement or few,
# and nothing is looked up for a session.
LIFE = ["claim", "delete_row", "find", "finish", "sent", "submit", "tombstone"]


def test_a_life_takes_few_operations(make_cluster):
    """And its claim is in the transaction of its submit, if a worker is idle."""
    cluster = make_cluster(nodes=1, spool="postgresql", row_results="16K", workers=2)
    (node,), (client,) = cluster.nodes, cluster.clients(ALICE)
    node.stop()
    trace = node.folder / "trace"
    plan(node, trace=trace)
    node.start()
    client.url = node.url

    def life():
        """The steps of the store from the submit on."""
        begun = len(passings(trace))
        answer = client.submit("Quick", {"ProductID": "1"}, {"Prefer": "wait=30"})
        assert answer.headers["X-Report-State"] == "complete"
        reference = answer.json()["data"]
        assert client.result(reference).status_code == 200 and client.delete(reference).status_code == 200
        poll(lambda: any(place == "store.sent.answered" for _, place in passings(trace)[begun:]), what="the end of the transfer")
        return [place for _, place in passings(trace)[begun:] if place.startswith("store.")]

    def is_short(steps):
        verbs = sorted(step.split(".")[1] for step in steps if step.endswith(".taken"))
        return verbs == LIFE and steps[steps.index("store.submit.taken") + 1] == "store.claim.taken"

    life()  # the session is looked up once
    poll(lambda: is_short(life()), what="a short life")  # between heartbeats, sweeps and audits
