"""spool_encryption: results that only their row's key can read; to clients they are the same."""

import contextlib
import hashlib
import sqlite3

import pytest
import requests

from harness import damage, refused

CHUNK = 64 * 1024
ROWS = "60000"  # some 2.5 MB: ten segments


@pytest.fixture
def sealed(make_server):
    """A server that encrypts, and its client."""
    server = make_server(spool_encryption="on")
    return server, server.client("alice")


def column(server, reference, name):
    with sqlite3.connect(f"file:{server.folder / 'store.db'}?mode=ro", uri=True) as db:
        row = db.execute(f"SELECT {name} FROM report WHERE id = ?",
                         [bytes.fromhex(reference.replace("-", ""))]).fetchone()
    db.close()
    return row and row[0]


def key_of(server, reference):
    return column(server, reference, "seal_key")


def test_the_result_is_the_same_and_the_file_is_not(sealed):
    server, client = sealed
    note = "a word to look for"
    reference = client.complete("Quick", ProductID="1", Note=note)
    answer = client.result(reference)
    assert answer.json()["data"]["summary"]["note"] == note
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    stored = server.result_file(reference).read_bytes()
    assert note.encode() not in stored and b"itemID" not in stored
    assert len(stored) == len(answer.content) + column(server, reference, "footer") + 17 + 24


def test_every_report_has_a_key_of_its_own_in_its_row(sealed):
    server, client = sealed
    first, second = (client.complete("Quick", ProductID="1") for _ in range(2))
    keys = {key_of(server, reference) for reference in (first, second)}
    assert len(keys) == 2 and all(len(key) == 32 for key in keys)
    client.delete(first)
    assert key_of(server, first) is None
    assert server.files_of(first) == []


def test_sizes_tags_and_digests_are_of_the_result(sealed):
    _, client = sealed
    reference = client.complete("Big", Rows=ROWS)
    answer = client.result(reference)
    digest = hashlib.sha256(answer.content)
    assert answer.headers["ETag"] == f'"{digest.hexdigest()}"'
    head = client.result(reference, method="HEAD")
    assert int(head.headers["Content-Length"]) == len(answer.content)
    assert head.headers["ETag"] == answer.headers["ETag"]
    assert client.result(reference, {"If-None-Match": answer.headers["ETag"]}).status_code == 304
    (listed,) = client.list().json()["data"]["reports"]
    assert listed["bytes"] == len(answer.content)


def test_any_range_is_that_part_of_the_result(sealed):
    _, client = sealed
    reference = client.complete("Big", Rows=ROWS)
    whole = client.result(reference).content
    segment = 4 * CHUNK
    for first, last in [(0, 0), (5, CHUNK + 5), (segment - 1, segment), (2 * segment + 7, len(whole) - 1)]:
        part = client.result(reference, {"Range": f"bytes={first}-{last}"})
        assert part.status_code == 206
        assert part.headers["Content-Range"] == f"bytes {first}-{last}/{len(whole)}"
        assert part.content == whole[first:last + 1]
    assert client.result(reference, {"Range": "bytes=-10"}).content == whole[-10:]
    assert client.result(reference, {"Range": f"bytes={len(whole)}-"}).status_code == 416


@pytest.mark.parametrize("at", [0, 24, 100])
def test_a_changed_file_is_an_error_and_no_result(sealed, at):
    server, client = sealed
    reference = client.complete("Quick", ProductID="1")
    damage(server.result_file(reference), at)
    answer = client.result(reference)
    assert answer.status_code == 500 and "itemID" not in answer.text
    assert "ETag" not in answer.headers
    assert client.delete(reference).json()["result"] is True


def test_a_file_that_is_cut_is_an_error(sealed):
    server, client = sealed
    reference = client.complete("Quick", ProductID="1")
    stored = server.result_file(reference).read_bytes()
    server.result_file(reference).write_bytes(stored[:-1])
    assert client.result(reference).status_code == 500


def test_a_change_late_in_the_file_breaks_the_answer_off(sealed):
    server, client = sealed
    reference = client.complete("Big", Rows=ROWS)
    whole = client.result(reference).content
    damage(server.result_file(reference), 20 * CHUNK)
    answer = client.result(reference, stream=True)
    got = b""
    with contextlib.suppress(requests.RequestException):  # some versions of requests only end
        for part in answer.iter_content(4096):
            got += part
    assert len(got) < len(whole) == int(answer.headers["Content-Length"]) and whole.startswith(got)
    assert server.metric("workers") == 2  # and the service goes on


def test_the_file_of_one_report_is_no_result_of_another(sealed):
    server, client = sealed
    first, second = (client.complete("Quick", ProductID="1") for _ in range(2))
    server.result_file(second).write_bytes(server.result_file(first).read_bytes())
    assert client.result(second).status_code == 500


def test_a_result_survives_a_crash_and_the_change_of_the_setting(sealed):
    server, client = sealed
    reference = client.complete("Quick", ProductID="1")
    before = client.result(reference).content
    server.kill()
    server.configure(spool_encryption="off")
    server.start()
    client.url = server.url
    assert client.result(reference).content == before
    plain = client.complete("Quick", ProductID="1")
    assert b"itemID" in server.result_file(plain).read_bytes()
    assert key_of(server, plain) is None


def test_an_audit_knows_the_size_of_an_encrypted_file(sealed):
    server, client = sealed
    client.complete("Quick", ProductID="1")
    client.complete("Big", Rows=ROWS)
    done = server.run("fsck", "-c", "reportd.conf")
    assert done.returncode == 0, done.stdout


def test_errors_need_no_key(sealed):
    server, client = sealed
    reference = client.order("Quick", ProductID="99")
    assert client.finish(reference).json()["data"] == "error"
    assert key_of(server, reference) is None
    refused(client.result(reference), "error")
