"""Stored results in which a byte was changed: no form and no window gives a value that was not written, and the rest is
answered."""

import contextlib
import hashlib
import json

import pytest
import requests

from harness import damage
from test_forms import get
from test_rows import ask

FORMS = ("ndjson", "csv", "xlsx")
BLOCK = 128 * 1024  # bytes that one checksum is of
ROWS = 30_000
SEALED_OR_PACKED = [{"spool_encryption": "on"}, {"result_compression": "zstd"}, {"spool_encryption": "on", "result_compression": "zstd"}]


class Footer:
    """Where the parts of a plain or compressed file are."""

    def __init__(self, data, bytes_):
        self.trailer = data.rindex(b"rdfoot1\n")
        size = int.from_bytes(data[self.trailer + 8:self.trailer + 16], "little")
        self.description = self.trailer - size
        self.words = json.loads(data[self.description:self.trailer])
        self.sums = self.description - 8 * (-(-bytes_ // BLOCK) + -(-8 * self.words["indexCount"] // BLOCK))
        self.index = self.sums - 8 * self.words["indexCount"]
        assert self.words["sumsAt"] - self.words["indexAt"] == self.sums - self.index


def came(client, reference, form):
    """What came of it, and whether it ended as if it were whole."""
    got = b""
    with contextlib.suppress(requests.RequestException):
        answer = client.get("/Report", params={"reference": reference, "format": form}, stream=True)
        if answer.status_code == 500:
            return b"", False
        for part in answer.iter_content(4096):
            got += part
        return got, True
    return got, False


def big(server):
    """A client, and its result of many blocks: the reference, the JSON, the file."""
    client = server.client("alice")
    reference = client.complete("Big", Rows=str(ROWS))
    return client, reference, client.result(reference).content, server.result_file(reference)


def assert_windows(client, reference, rows, damaged):
    """Each window has the rows that were written, or is an error, if it begins in a damaged block."""
    text = client.result(reference).content
    for first in range(0, ROWS, 1000):
        answer = ask(client, reference, **{"from": first, "count": 10})
        place = text.index(b'{"i":%d,' % rows[first]["i"])
        if place // BLOCK in damaged:
            assert answer.status_code == 500, first
        else:
            assert answer.json()["data"]["rows"] == rows[first:first + 10], first


@pytest.mark.stores("sqlite", "postgres-files")
def test_a_changed_value_is_in_no_form_and_in_no_window(make_server):
    """It is still a number, so only the checksum of its block tells."""
    server = make_server()
    client, reference, text, path = big(server)
    before = {form: came(client, reference, form) for form in FORMS}
    rows = json.loads(text)["data"]["results"]
    place = text.index(b'"i":15000,') + len(b'"i":1500')
    damage(path, place, b"7")
    for form in FORMS:
        got, whole = came(client, reference, form)
        assert before[form][1] and not whole
        if form != "xlsx":  # compressed, with the time
            assert before[form][0].startswith(got) and b"15000" not in got
    server.await_log("not what was written")
    assert ask(client, reference, **{"from": 14_990}).status_code == 500
    assert_windows(client, reference, rows, {place // BLOCK})


def change_row(server, reference):
    """One bit of a small result, in the store's row or chunk."""
    if server.store.kind == "sqlite":
        server.store.sql("UPDATE small_result SET data = CAST(replace(CAST(data AS text), '\"i\":15,', '\"i\":17,') AS blob)")
    else:
        server.store.sql("UPDATE result_chunk SET data = set_byte(data, 500, get_byte(data, 500) # 1)")


@pytest.mark.stores("sqlite", "postgres-rows")
def test_a_changed_value_in_a_row_of_the_store_is_in_no_form_and_in_no_window(make_server):
    server = make_server(row_results="16K")
    client = server.client("alice")
    reference = client.complete("Big", Rows="30")
    assert server.files() == ([] if server.store.kind == "sqlite" else [f"{reference}.1.json"])
    change_row(server, reference)
    for form in FORMS:
        assert get(client, reference, form).status_code == 500
    assert ask(client, reference).status_code == 500


@pytest.mark.stores("sqlite")
@pytest.mark.parametrize("config", SEALED_OR_PACKED, ids=str)
def test_a_changed_byte_shows_where_each_chunk_or_frame_is_checked(make_server, config):
    server = make_server(**config)
    client = server.client("alice")
    reference = client.complete("Big", Rows=str(ROWS))
    rows = client.result(reference).json()["data"]["results"]
    path = server.result_file(reference)
    damage(path, path.stat().st_size // 2)
    for form in FORMS:
        assert not came(client, reference, form)[1]
    answers = [ask(client, reference, **{"from": first, "count": 10}) for first in range(0, ROWS, 1000)]
    assert 500 in {answer.status_code for answer in answers}
    for first, answer in zip(range(0, ROWS, 1000), answers):
        assert answer.status_code == 500 or answer.json()["data"]["rows"] == rows[first:first + 10]


@pytest.mark.stores("sqlite")
@pytest.mark.parametrize("compression", ["off", "zstd"])
def test_a_changed_index_leads_to_no_other_rows(make_server, compression):
    server = make_server(result_compression=compression)
    client, reference, text, path = big(server)
    data = path.read_bytes()
    index = Footer(data, len(text)).index
    damage(path, index + 8 * 100, data[index + 8 * 101:index + 8 * 102])  # where other rows begin
    assert ask(client, reference, **{"from": 6400}).status_code == 500
    assert ask(client, reference).json()["data"]["rows"] == json.loads(text)["data"]["results"][:500]
    assert came(client, reference, "csv")[1]  # which needs no index


@pytest.mark.stores("sqlite")
@pytest.mark.parametrize("compression", ["off", "zstd"])
def test_a_changed_checksum_is_that_of_no_block(make_server, compression):
    server = make_server(result_compression=compression)
    client, reference, text, path = big(server)
    rows, data = json.loads(text)["data"]["results"], path.read_bytes()
    footer = Footer(data, len(text))
    damage(path, footer.sums + 8 * 2)
    assert not any(came(client, reference, form)[1] for form in FORMS)
    assert_windows(client, reference, rows, {2})
    path.write_bytes(data)
    damage(path, footer.description - 8)  # of the index
    assert ask(client, reference, **{"from": 6400}).status_code == 500
    assert came(client, reference, "csv")[1] and ask(client, reference).status_code == 200


@pytest.mark.stores("sqlite")
def test_checksums_that_were_cut_off_are_those_of_nothing(make_server):
    server = make_server()
    client, reference, text, path = big(server)
    data = path.read_bytes()
    at = Footer(data, len(text)).sums
    for left in (data[:at] + data[at + 8:], data[:at + 8]):
        path.write_bytes(left)
        assert get(client, reference, "csv").status_code == ask(client, reference).status_code == 500


@pytest.mark.stores("sqlite")
def test_a_result_without_checksums_is_read_as_before(make_server):
    server = make_server()
    client, reference, text, path = big(server)
    before = get(client, reference, "csv").content, ask(client, reference, **{"from": 20_000}).content
    data = path.read_bytes()
    footer = Footer(data, len(text))
    del footer.words["sumsAt"]
    words = json.dumps(footer.words).encode()
    trailer = b"rdfoot1\n" + len(words).to_bytes(8, "little") + hashlib.blake2b(words, digest_size=16).digest()
    assert server.stop() == 0
    path.write_bytes(data[:footer.sums] + words + trailer)
    server.store.sql(f"UPDATE report SET footer = {path.stat().st_size - len(text)}")
    client.url = server.start().url
    assert (get(client, reference, "csv").content, ask(client, reference, **{"from": 20_000}).content) == before
