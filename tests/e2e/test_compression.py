"""result_compression: results that are stored compressed; to clients they are the same."""

import base64
import contextlib
import hashlib
import subprocess

import pytest
import requests

from harness import damage, poll, refused
from seams import passings, plan
from stores import STORES

FRAME = 128 * 1024
ROWS = "20000"  # some 740 KB: six frames
EVERY_STORE = pytest.mark.stores(*STORES)


@pytest.fixture(params=["off", "on"], ids=["readable", "encrypted"])
def server(request, make_server):
    """It compresses, and may encrypt what it has compressed."""
    return make_server(result_compression="zstd", spool_encryption=request.param)


@pytest.fixture
def readable(make_server):
    """Its results are files that anybody reads."""
    return make_server(result_compression="zstd", row_results="0")


def decompress(data):
    return subprocess.run(["zstd", "-dcq"], input=data, capture_output=True, check=True).stdout


def get(client, reference, form):
    answer = client.get("/Report", params={"reference": reference, "format": form})
    assert answer.status_code == 200, answer.text
    return answer.content


@EVERY_STORE
def test_the_result_is_the_same_whole_and_in_part(server):
    client = server.client("alice")
    reference = client.complete("Big", Rows=ROWS)
    answer = client.result(reference)
    whole, digest = answer.content, hashlib.sha256(answer.content)
    assert answer.json()["data"]["results"][-1] == {"i": int(ROWS), "text": f"row number {ROWS}"}
    assert answer.headers["ETag"] == f'"{digest.hexdigest()}"'
    assert "Content-Digest" in answer.headers and "Content-Encoding" not in answer.headers
    head = client.result(reference, method="HEAD")
    assert int(head.headers["Content-Length"]) == len(whole) > 5 * FRAME
    kept = client.result(reference, {"If-None-Match": answer.headers["ETag"]})
    assert kept.status_code == 304 and kept.headers["Content-Length"] == str(len(whole))
    (listed,) = client.list().json()["data"]["reports"]
    assert listed["bytes"] == len(whole)
    for first, last in [(0, 0), (5, FRAME + 5), (FRAME - 1, FRAME), (5 * FRAME, 5 * FRAME + 9), (2 * FRAME + 7, len(whole) - 1)]:
        part = client.result(reference, {"Range": f"bytes={first}-{last}"})
        assert part.status_code == 206 and part.content == whole[first:last + 1]
        assert part.headers["Content-Range"] == f"bytes {first}-{last}/{len(whole)}"
    assert client.result(reference, {"Range": "bytes=-10"}).content == whole[-10:]
    assert client.result(reference, {"Range": f"bytes={len(whole)}-"}).status_code == 416


@EVERY_STORE
def test_who_takes_zstd_gets_it_as_it_is_stored(server):
    client = server.client("alice")
    reference = client.complete("Big", Rows=ROWS)
    plain = client.result(reference, {"Accept-Encoding": "identity"})

    def ask(**headers):
        answer = client.result(reference, {"Accept-Encoding": "gzip, zstd", **headers}, stream=True)
        return answer, answer.raw.read(decode_content=False)

    answer, whole = ask()
    assert answer.headers["Content-Encoding"] == "zstd" and decompress(whole) == plain.content
    assert int(answer.headers["Content-Length"]) == len(whole) < len(plain.content) / 4
    digest = base64.b64encode(hashlib.sha256(whole).digest()).decode()
    assert answer.headers["Content-Digest"] == answer.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    tag = answer.headers["ETag"]
    assert tag.startswith('"') and tag != plain.headers["ETag"] and answer.headers["Accept-Ranges"] == "bytes"
    assert "Accept-Encoding" in answer.headers["Vary"]
    for first, last in [(0, 9), (len(whole) // 2, len(whole) - 1)]:
        part, body = ask(Range=f"bytes={first}-{last}", **{"If-Range": tag})
        assert part.status_code == 206 and body == whole[first:last + 1]
        assert part.headers["Content-Range"] == f"bytes {first}-{last}/{len(whole)}" and part.headers["Content-Encoding"] == "zstd"
    assert ask(Range="bytes=0-9", **{"If-Range": plain.headers["ETag"]})[1] == whole
    assert ask(Range=f"bytes={len(whole)}-")[0].status_code == 416
    kept, nothing = ask(**{"If-None-Match": tag})
    assert kept.status_code == 304 and nothing == b"" and "Repr-Digest" not in kept.headers
    assert kept.headers["Content-Length"] == str(len(whole))
    assert client.result(reference, {"If-Match": tag}, method="HEAD").status_code == 200  # of the JSON, too
    assert client.result(reference, {"Accept-Encoding": "zstd"}, method="HEAD").headers["Content-Length"] == str(len(whole))
    part = client.result(reference, {"Accept-Encoding": "identity", "Range": "bytes=5-9"})
    assert part.content == plain.content[5:10]
    answer = client.result(reference, {"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip" and answer.content == plain.content  # made on the way


@EVERY_STORE
def test_its_forms_and_its_rows_are_the_same(server):
    client = server.client("alice")
    reference = client.complete("Big", Rows=ROWS)
    lines = [f'{i},row number {i}' for i in range(1, int(ROWS) + 1)]
    assert get(client, reference, "csv").decode().split("\r\n") == ["i,text", *lines, ""]
    ndjson = get(client, reference, "ndjson").decode().splitlines()
    assert len(ndjson) == int(ROWS) and ndjson[-1] == f'{{"i":{ROWS},"text":"row number {ROWS}"}}'
    assert get(client, reference, "xlsx")[:2] == b"PK"
    rows = client.get("/Report/Rows", params={"reference": reference, "from": 19_998, "count": 5}).json()
    assert rows["data"]["totalRows"] == int(ROWS)
    assert rows["data"]["rows"] == [{"i": i, "text": f"row number {i}"} for i in (19_999, 20_000)]


@EVERY_STORE
def test_nothing_is_left_of_it_once_it_is_deleted(server):
    client = server.client("alice")
    reference, small = client.complete("Big", Rows=ROWS), client.complete("Quick", ProductID="1")
    path = server.spool / f"{reference}.1.json"  # unless it is in rows
    pieces = [path.read_bytes()[1000:1100]] if path.exists() else [reference.encode()]
    assert server.holding(*pieces)
    for which in (reference, small):
        assert client.delete(which).json()["result"] is True
        refused(client.result(which), "Unknown reference")
    assert server.files() == [] and not server.holding(*pieces)
    assert server.run("fsck", "-c", "reportd.conf").returncode == 0
    assert server.store.sql("SELECT count(*) FROM report") == ["0"]


def test_what_is_stored_is_a_file_that_any_program_decompresses(readable):
    client = readable.client("alice")
    for name, parameters in (("Big", {"Rows": ROWS}), ("Quick", {"ProductID": "1"})):
        reference = client.complete(name, **parameters)
        assert decompress(readable.result_file(reference).read_bytes()) == client.result(reference).content
    assert readable.result_file(client.complete("Big", Rows=ROWS)).stat().st_size < 5 * FRAME / 4


def test_a_small_result_is_compressed_in_its_row(make_server):
    server = make_server(result_compression="zstd", row_results="16K")
    client = server.client("alice")
    reference = client.complete("Big", Rows="1000")
    answer = client.result(reference)
    assert len(answer.content) > 2 * 16384 and server.files() == []
    (stored,) = server.store.sql("SELECT hex(data) FROM small_result")
    assert decompress(bytes.fromhex(stored)) == answer.content
    client.delete(reference)
    poll(lambda: not server.holding(bytes.fromhex(stored)[100:200]), what="its bytes to go")


def test_results_of_both_settings_are_read_with_either(readable):
    client = readable.client("alice")
    packed = client.complete("Big", Rows=ROWS)
    before = {packed: client.result(packed).content}
    for setting in ("off", "zstd"):
        readable.kill()
        readable.configure(result_compression=setting, row_results="0")
        client.url = readable.start().url
        reference = client.complete("Big", Rows=ROWS)
        before[reference] = client.result(reference).content
        is_plain = readable.result_file(reference).read_bytes().startswith(before[reference][:100])
        assert is_plain == (setting == "off")
        assert {which: client.result(which).content for which in before} == before
        for which in before:
            assert get(client, which, "csv") == get(client, packed, "csv")
    assert readable.run("fsck", "-c", "reportd.conf").returncode == 0


def test_damage_in_its_first_frame_is_an_error(readable):
    client = readable.client("alice")
    reference = client.complete("Big", Rows=ROWS)
    damage(readable.result_file(reference), 5000)
    answer = client.result(reference)
    assert answer.status_code == 500 and "ETag" not in answer.headers
    assert client.get("/Report", params={"reference": reference, "format": "csv"}).status_code == 500
    assert client.result(reference, {"Range": f"bytes={3 * FRAME}-{3 * FRAME + 9}"}).status_code == 206
    assert client.delete(reference).json()["result"] is True


@pytest.mark.parametrize("form, rows", [("json", ROWS), ("csv", "100000")])
def test_damage_in_a_later_frame_breaks_the_answer_off(readable, form, rows):
    client = readable.client("alice")
    reference = client.complete("Big", Rows=rows)
    whole = get(client, reference, form)
    path = readable.result_file(reference)
    damage(path, path.stat().st_size * 3 // 4)
    answer = client.get("/Report", params={"reference": reference, "format": form}, stream=True)
    got = b""
    with contextlib.suppress(requests.RequestException):
        for part in answer.iter_content(4096):
            got += part
    assert len(got) < len(whole) and whole.startswith(got)
    readable.await_log("a compressed result is not what was written")


def test_a_file_that_was_cut_is_found(readable):
    client = readable.client("alice")
    reference = client.complete("Big", Rows=ROWS)
    path = readable.result_file(reference)
    path.write_bytes(path.read_bytes()[:-1])
    assert client.result(reference).status_code == 500
    done = readable.run("fsck", "-c", "reportd.conf")
    assert done.returncode != 0 and reference in done.stdout


@EVERY_STORE
def test_workers_that_die_between_its_frames_leave_nothing(new_server):
    server = new_server(workers=1, result_compression="zstd")
    trace = server.folder / "trace"
    plan(server, "worker.run.packed=crash@3", trace=trace)
    client = server.start().client("alice")
    reference = client.order("Big", Rows=ROWS)
    assert client.finish(reference).json()["data"] == "error"
    assert sum(place == "worker.run.packed" for _, place in passings(trace)) == 3 * 3  # of as many workers
    assert server.files() == []


@pytest.mark.parametrize("encryption", ["off", "on"])
@pytest.mark.parametrize("compression", ["off", "zstd"])
def test_a_power_cut_finds_no_complete_report_without_its_result(new_server, compression, encryption):
    """All is written, then synced, then renamed, then the folder is synced, and only then does the store say complete."""
    server = new_server(workers=1, row_results="0", result_compression=compression, spool_encryption=encryption)
    trace = server.folder / "trace"
    plan(server, trace=trace)
    client = server.start().client("alice")
    client.complete("Big", Rows=ROWS)
    passed = [place for _, place in passings(trace)]
    last_write = len(passed) - 1 - passed[::-1].index("result_writer.write")
    steps = [last_write, *(passed.index(place) for place in ("result_writer.fsync", "spool.rename", "spool.folder_fsync", "store.finish.posted"))]
    assert steps == sorted(steps) and passed.count("result_writer.fsync") == 1, passed
