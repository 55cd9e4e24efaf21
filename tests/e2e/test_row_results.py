"""row_results: small results are kept in their reports' rows; to clients they are the same."""

import base64
import hashlib
import re
import sqlite3

import pytest

from fake_clock import MINUTE
from harness import Server, poll, refused
from seams import Gate, passings, plan

LIMIT = "16K"
MADE = re.compile(rb'"generatedDate":"[^"]*"')


@pytest.fixture(params=["off", "on"], ids=["plain", "sealed"])
def encryption(request):
    return request.param


@pytest.fixture
def small(make_server, encryption):
    """A server that keeps small results in rows, and its client."""
    server = make_server(row_results=LIMIT, spool_encryption=encryption)
    return server, server.client("alice")


@pytest.fixture
def suffering(make_server):
    """A server with one worker and a client, that suffers seams: suffering("job.read=EIO")."""
    def make(*seams):
        server = make_server(workers=1, row_results=LIMIT)
        server.stop()
        plan(server, *seams, trace=server.folder / "trace")
        return server, server.start().client("alice")

    return make


def query(server, sql, *values, write=False):
    """What the store's file says; of a stopped server it may also be changed."""
    mode = "rw" if write else "ro"
    with sqlite3.connect(f"file:{server.folder / 'store.db'}?mode={mode}", uri=True) as db:
        rows = db.execute(sql, values).fetchall()
    db.close()
    return rows


def kept(server, reference):
    """The bytes in the report's row, or None."""
    rows = query(server, "SELECT data FROM small_result JOIN report USING (seq) WHERE id = ?",
                 bytes.fromhex(reference.replace("-", "")))
    return rows[0][0] if rows else None


def footer(server, reference):
    """How many of them are behind the JSON."""
    return query(server, "SELECT footer FROM report WHERE id = ?", bytes.fromhex(reference.replace("-", "")))[0][0]


def kept_json(server, reference):
    return kept(server, reference)[:-footer(server, reference)]


def audit(server, *words):
    done = server.run("fsck", "-c", "reportd.conf", *words)
    return done.returncode, done.stdout


def again(server, client):
    """The next start."""
    client.url = server.start().url


def test_the_result_is_that_of_a_file(make_server):
    contents = []
    for limit in (0, LIMIT):
        server = make_server(row_results=limit)
        client = server.client("alice")
        reference = client.complete("Quick", ProductID="1", Note="żółw")
        contents.append(client.result(reference).content)
        assert (kept(server, reference) is None) == (limit == 0)
        assert len(server.files()) == (limit == 0)
    assert kept_json(server, reference) == contents[1]
    assert MADE.sub(b"", contents[0]) == MADE.sub(b"", contents[1])


def test_an_encrypted_result_is_encrypted_in_its_row(make_server):
    server = make_server(row_results=LIMIT, spool_encryption="on")
    client = server.client("alice")
    reference = client.complete("Quick", ProductID="1")
    size = len(client.result(reference).content)
    assert b"itemID" not in kept(server, reference)
    assert len(kept(server, reference)) == size + footer(server, reference) + 17 + 24


def test_validators_digests_and_head_are_of_the_result(small):
    _, client = small
    reference = client.complete("Quick", ProductID="1")
    answer, head = client.result(reference), client.result(reference, method="HEAD")
    digest = hashlib.sha256(answer.content)
    etag = f'"{digest.hexdigest()}"'
    assert answer.json()["data"]["summary"]["count"] == 3
    assert head.headers["ETag"] == answer.headers["ETag"] == etag
    assert answer.headers["Content-Digest"] == \
        f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    assert int(head.headers["Content-Length"]) == len(answer.content) and head.content == b""
    assert client.result(reference, {"If-None-Match": etag}).status_code == 304
    (listed,) = client.list().json()["data"]["reports"]
    assert listed["bytes"] == len(answer.content)


def test_any_range_is_that_part_of_the_result(small):
    _, client = small
    reference = client.complete("Quick", ProductID="1")
    whole = client.result(reference)
    size = len(whole.content)
    for given, first, last in [("bytes=0-0", 0, 0), ("bytes=10-19", 10, 19),
                               ("bytes=100-", 100, size - 1), ("bytes=-7", size - 7, size - 1)]:
        answer = client.result(reference, {"Range": given, "If-Range": whole.headers["ETag"]})
        assert answer.status_code == 206
        assert answer.content == whole.content[first:last + 1]
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
    other = client.result(reference, {"Range": "bytes=0-0", "If-Range": '"other"'})
    assert other.status_code == 200 and other.content == whole.content
    assert client.result(reference, {"Range": f"bytes={size}-"}).status_code == 416


@pytest.mark.parametrize("spare, where", [(0, "row"), (-1, "file")])
def test_what_is_larger_than_the_limit_is_a_file(small, encryption, spare, where):
    server, client = small
    size = len(kept(server, client.complete("Quick", ProductID="1")))
    server.stop()
    server.configure(row_results=size + spare, spool_encryption=encryption)
    again(server, client)
    reference = client.complete("Quick", ProductID="1")
    assert (kept(server, reference) is not None) == (where == "row")
    assert server.files() == ([f"{reference}.1.json"] if where == "file" else [])
    assert client.result(reference).json()["data"]["summary"]["count"] == 3
    assert audit(server)[0] == 0


def test_a_limit_beyond_64k_is_refused(tmp_path):
    server = Server.made(tmp_path / "server", row_results="65K")
    done = server.run("serve", "-c", "reportd.conf")
    assert done.returncode == 1 and "row_results" in done.stderr and "65536" in done.stderr


def test_a_delete_leaves_nothing_and_looks_for_no_file(suffering):
    server, client = suffering()
    reference = client.complete("Quick", ProductID="1")
    assert kept(server, reference) is not None
    assert client.delete(reference).json()["result"] is True
    assert query(server, "SELECT (SELECT count(*) FROM small_result) + (SELECT count(*) FROM report)") == [(0,)]
    assert server.files() == []
    refused(client.result(reference), "Unknown reference")
    passed = {place for _, place in passings(server.folder / "trace")}
    assert "store.tombstone.committed" in passed and "deletion.delete.dropped" in passed
    assert "deletion.delete.recorded" in passed and "deletion.delete.unlinked" not in passed


def test_no_file_is_published_and_none_is_there_when_it_is_complete(suffering):
    server, client = suffering()
    reference = client.complete("Quick", ProductID="1")
    assert server.files() == []
    passed = [place for _, place in passings(server.folder / "trace")]
    assert "spool.publish.renamed" not in passed and "result_writer.fsync" not in passed
    assert passed.index("spool.forget.unlinked") < passed.index("store.finish.taken")
    assert client.result(reference).json()["result"] is True


def test_a_result_survives_a_crash_and_the_change_of_the_setting(small):
    server, client = small
    reference = client.complete("Quick", ProductID="1")
    before = client.result(reference).content
    server.kill()
    server.configure(row_results=0)
    again(server, client)
    assert client.result(reference).content == before
    filed = client.complete("Quick", ProductID="1")
    assert kept(server, filed) is None and server.files() == [f"{filed}.1.json"]
    assert client.delete(reference).json()["result"] is True
    assert kept(server, reference) is None


def test_it_is_purged_when_it_expires(clock, make_server):
    server = make_server(row_results=LIMIT, retention="10m")
    client = server.client("alice")
    client.complete("Quick", ProductID="1")
    clock.jump(11 * MINUTE)
    poll(lambda: client.references() == [], what="the purge")
    assert query(server, "SELECT count(*) FROM small_result") == [(0,)]


def test_errors_keep_nothing(small):
    server, client = small
    reference = client.order("Quick", ProductID="99")
    assert client.finish(reference).json()["data"] == "error"
    assert kept(server, reference) is None
    refused(client.result(reference), "error")


def test_an_audit_knows_where_results_are(small):
    server, client = small
    client.complete("Quick", ProductID="1")
    client.complete("Big", Rows="5000")
    assert audit(server) == (0, audit(server)[1])
    server.kill()
    assert "2 reports, 1 files" in audit(server)[1]


@pytest.mark.parametrize("damage, kind", [
    ("DELETE FROM small_result", "lost-result"),
    ("UPDATE small_result SET data = substr(data, 2)", "wrong-size"),
    ("UPDATE small_result SET data = x''", "wrong-size"),
])
def test_a_result_that_is_not_in_its_row_is_found_and_repaired(small, damage, kind):
    server, client = small
    reference = client.complete("Quick", ProductID="1")
    server.kill()
    query(server, damage, write=True)
    status, text = audit(server)
    assert status == 1 and re.search(f"{kind} +{reference} +complete, but", text), text
    again(server, client)
    assert client.result(reference).status_code == 500
    server.kill()
    assert "1 deleted" in audit(server, "--repair")[1]
    assert audit(server)[0] == 0


def test_a_file_beside_a_result_in_its_row_is_an_orphan(small):
    server, client = small
    reference = client.complete("Quick", ProductID="1")
    server.kill()
    for end in ("json", "part"):
        (server.spool / f"{reference}.1.{end}").write_text("{}")
    assert "2 orphan-file" in audit(server)[1]
    again(server, client)
    assert server.files() == [] and client.result(reference).status_code == 200


@pytest.mark.parametrize("call", ["job.read=EIO", "spool.unlink=EIO spool.unlink=EIO@2"])
def test_a_small_result_that_cannot_be_taken_says_so_and_leaves_nothing(suffering, call):
    server, client = suffering(call)
    reference = client.order("Quick", ProductID="1")
    answer = client.finish(reference).json()
    assert answer["data"] == "error" and "later" in answer["message"], answer
    assert server.files() == [] and kept(server, reference) is None
    assert client.complete("Quick", ProductID="1")


def test_a_file_that_cannot_be_removed_at_once_is_removed_before_the_end(suffering):
    server, client = suffering("spool.unlink=EIO")
    reference = client.complete("Quick", ProductID="1")
    assert server.files() == [] and kept(server, reference) is not None


def test_an_end_that_the_store_does_not_take_is_written_down_later(suffering):
    server, client = suffering(*(f"store.commit=ENOSPC@{n}" for n in range(10, 20)))
    reference = client.order("Pause")
    while client.submit("Quick", {"ProductID": "99"}).status_code == 200:
        pass
    assert client.finish(reference).json()["data"] == "complete"
    server.await_log("store.unavailable")
    assert kept_json(server, reference) == client.result(reference).content


def test_a_file_that_is_shorter_than_its_worker_says_is_no_result(make_server):
    server = make_server(workers=1, row_results=LIMIT)
    server.stop()
    gate = Gate(server, "job.end.answered")
    plan(server, gate.seam, trace=gate.trace)
    client = server.start().client("alice")
    reference = client.order("Quick", ProductID="1")
    gate.wait()
    part = server.spool / f"{reference}.1.part"
    part.write_bytes(part.read_bytes()[:-1])
    gate.open()
    assert client.finish(reference).json()["data"] == "error"
    server.await_log("the result ends too early")
    assert server.files() == [] and kept(server, reference) is None


def test_an_end_that_a_crash_has_lost_is_made_again(make_server):
    server = make_server(workers=1, row_results=LIMIT)
    server.stop()
    gate = Gate(server, "store.finish.taken")
    plan(server, gate.seam, trace=gate.trace)
    client = server.start().client("alice")
    reference = client.order("Quick", ProductID="1")
    gate.wait()
    assert server.files() == []
    server.kill()  # with the end not committed
    gate.is_open = True
    plan(server)
    again(server, client)
    assert client.finish(reference).json()["data"] == "complete"
    assert query(server, "SELECT count(*) FROM small_result") == [(1,)]


def test_nodes_that_share_a_store_have_files(make_cluster):
    cluster = make_cluster(nodes=1, row_results=LIMIT)
    (node,) = cluster.nodes
    client = node.client("alice")
    reference = client.complete("Quick", ProductID="1")
    assert f"{reference}.1.json" in node.files()
    assert client.result(reference).json()["data"]["summary"]["count"] == 3
