"""GET /Report in zstd and gzip: which one, the same bytes, and how it ends."""

import gzip
import re
import subprocess
import zlib

import pytest

from harness import damage, failed, poll
from stores import STORES
from test_forms import SlowForm, ends_with_a_delete, ends_with_the_purge, fill_conversions, nested_server
from test_links import follow, link_of
from test_transfers import small_disk

pytestmark = pytest.mark.stores(*STORES)

CODINGS = ("zstd", "gzip")
FORMS = ("json", "ndjson", "csv")

# What hardly gets smaller: more than the kernel keeps for a client, compressed too.
NOISE = """-- report: Noise
-- source: data
-- parameter: Rows integer default 150000

-- results
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :Rows)
SELECT i AS "i", hex(randomblob(64)) AS "text" FROM n;
"""


@pytest.fixture
def noisy(new_server):
    """A server with the report Noise, started: noisy(workers=1)."""

    def make(**config):
        server = new_server(**config)
        (server.reports / "Noise.sql").write_text(NOISE)
        return server.start()

    return make


def ask(client, reference, accept, form="json", method="GET", **headers):
    """The answer and its body as it came."""
    answer = client.call(method, "/Report", {"Accept-Encoding": accept, **headers}, stream=True,
                         params={"reference": reference, "format": form})
    return answer, answer.raw.read(decode_content=False)


def decode(coding, body):
    """Of a whole body; its checksum must be right."""
    if coding == "zstd":
        return subprocess.run(["zstd", "-dcq"], input=body, capture_output=True, check=True).stdout
    return gzip.decompress(body) if coding == "gzip" else body


def coded(client, reference, form, coding):
    answer, body = ask(client, reference, coding, form)
    assert answer.status_code == 200 and answer.headers["Content-Encoding"] == coding, answer.headers
    return decode(coding, body), body


@pytest.mark.parametrize("encryption", ["on", "off"])
def test_every_form_has_the_same_bytes_in_every_coding(make_server, encryption):
    """Of no, one and many blocks; in a file, the row or chunks, and encrypted."""
    server = make_server(spool_encryption=encryption, row_results="16K")
    client = server.client("alice")
    for rows in ("100", "6000", "100000"):
        reference = client.complete("Big", Rows=rows)
        for form in FORMS:
            plain, body = ask(client, reference, "identity", form)
            assert "Content-Encoding" not in plain.headers
            for coding in CODINGS:
                same, short = coded(client, reference, form, coding)
                assert same == body
                assert len(short) < len(body) / 2


def test_texts_and_nestings_come_back_as_they_were(new_server):
    client = nested_server(new_server)
    for name in ("Texts", "two"):
        reference = client.complete(name)
        for form in FORMS:
            for coding in CODINGS:
                answer, body = ask(client, reference, f"{coding}, identity;q=0", form)
                assert decode(answer.headers["Content-Encoding"], body) == ask(client, reference, "identity", form)[1]


@pytest.mark.stores("sqlite")
def test_a_block_of_which_nothing_is_ready_yet_is_not_the_end(new_server):
    server = new_server()
    (server.reports / "Alike.sql").write_text(
        "-- report: Alike\n-- source: data\n-- results\nWITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)\n"
        "SELECT replace(hex(zeroblob(200000)), '00', 'a') AS \"text\" FROM n;\n")
    client = server.start().client("alice")
    reference = client.complete("Alike")
    for form in FORMS:
        plain = ask(client, reference, "identity", form)[1]
        assert len(plain) > 40 * 200000
        for coding in CODINGS:
            same, short = coded(client, reference, form, coding)
            assert same == plain and len(short) < 40000
    # Of the first block all is, though it is but a few bytes.
    answer = client.result(reference, {"Accept-Encoding": "gzip"}, stream=True)
    first = next(answer.raw.read_chunked(decode_content=False))
    answer.close()
    assert len(zlib.decompressobj(zlib.MAX_WBITS + 16).decompress(first)) == 128 << 10


# ---- which one ----

@pytest.fixture
def thousand(alice):
    """A report of some 40 KB."""
    return alice.complete("Big", Rows="1000")


@pytest.mark.parametrize("accept, coding", [
    (None, None), ("", None), ("identity", None), ("br", None), ("br, deflate", None), ("zstd", "zstd"), ("gzip", "gzip"), ("x-gzip", "gzip"),
    ("gzip, zstd", "zstd"), ("gzip, deflate, br, zstd", "zstd"), ("gzip, deflate", "gzip"), ("zstd;q=0.5, gzip", "gzip"),
    ("zstd;q=0.5, gzip;q=0.4", "zstd"), ("zstd;q=0, gzip", "gzip"), ("zstd;q=0, *", "gzip"), ("*", "zstd"), ("gzip, *", "gzip"),
    ("*;q=0, gzip", "gzip"), ("*;q=0.1, identity", None), ("identity;q=0.5, gzip;q=0.5", "gzip"), ("identity, gzip;q=0.9", None),
    ("identity;q=0.1, gzip;q=0.001", None), ("gzip;q=0.001", "gzip"), ("gzip;q=0", None), ("gzip;q=0.000, zstd;q=0", None),
    ("GZIP", "gzip"), ("ZStd ; Q=1.000", "zstd"), ("gzipped, zstdx", None), ("identity;q=0, *", "zstd"), ("br;q=1, gzip;q=0.2", "gzip"),
    ("zstd;q=0.2,gzip;q=0.3,identity;q=0.1", "gzip")])
@pytest.mark.parametrize("form", ["json", "csv"])
@pytest.mark.stores("sqlite")
def test_the_coding_is_the_best_that_is_accepted(alice, thousand, accept, coding, form):
    answer, body = ask(alice, thousand, accept, form)
    assert answer.status_code == 200
    assert answer.headers.get("Content-Encoding") == coding
    assert answer.headers["Vary"] == "Accept, Accept-Encoding"
    assert decode(coding, body) == ask(alice, thousand, "identity", form)[1]


@pytest.mark.stores("sqlite")
def test_several_lines_of_accept_encoding_are_one_list(alice, thousand):
    with SlowForm(alice, thousand, "csv", "Accept-Encoding: zstd;q=0\r\nAccept-Encoding: gzip\r\nConnection: close\r\n").socket as answer:
        assert b"Content-Encoding: gzip\r\n" in b"".join(iter(lambda: answer.recv(65536), b""))


@pytest.mark.stores("sqlite")
def test_what_is_sent_in_one_packet_is_sent_plain_unless_that_is_refused(alice):
    reference = alice.complete("Quick", ProductID="1")
    plain, body = ask(alice, reference, "zstd, gzip")
    assert len(body) < 1024 and "Content-Encoding" not in plain.headers
    assert plain.headers["Content-Length"] == str(len(body)) and "Content-Digest" in plain.headers
    for coding in CODINGS:
        answer, short = ask(alice, reference, f"{coding}, identity;q=0")
        assert answer.headers["Content-Encoding"] == coding and decode(coding, short) == body


@pytest.mark.stores("sqlite")
def test_what_is_not_acceptable_is_406(alice, thousand):
    for accept in ("identity;q=0", "*;q=0", "br, identity;q=0", "identity;q=0, gzip;q=0, zstd;q=0"):
        for form in FORMS:
            answer = alice.get("/Report", {"Accept-Encoding": accept}, params={"reference": thousand, "format": form})
            failed(answer, 406, "Accept-Encoding", "zstd", "gzip")
            assert answer.headers["Vary"] == "Accept, Accept-Encoding"
    workbook = {"reference": thousand, "format": "xlsx"}
    failed(alice.get("/Report", {"Accept-Encoding": "gzip, identity;q=0"}, params=workbook), 406, "workbook", "identity")
    assert "Content-Encoding" not in alice.get("/Report", {"Accept-Encoding": "gzip, zstd"}, params=workbook).headers


@pytest.mark.stores("sqlite")
def test_what_a_link_leads_to_is_compressed_too(alice, thousand):
    for form in FORMS:
        plain = ask(alice, thousand, "identity", form)[1]
        for coding in CODINGS:
            got = follow(link_of(alice, thousand, format=form), stream=True, Accept_Encoding=coding)
            assert got.headers["Content-Encoding"] == coding and got.headers["Vary"] == "Accept-Encoding"
            assert decode(coding, got.raw.read(decode_content=False)) == plain


# ---- headers ----

def test_the_headers_of_a_compressed_result(alice, thousand):
    plain = alice.result(thousand)
    tags = {plain.headers["ETag"]}
    for coding in CODINGS:
        for form in FORMS:
            answer, _ = ask(alice, thousand, coding, form)
            assert answer.headers["Accept-Ranges"] == "none" and answer.headers["Cache-Control"] == "no-store, no-transform"
            assert answer.headers["Last-Modified"] == plain.headers["Last-Modified"] and answer.headers["Expires"] == plain.headers["Expires"]
            assert not {"Content-Length", "Content-Digest", "Repr-Digest", "Content-Range"} & set(answer.headers)
            assert re.fullmatch(rf'W/"[0-9a-f]{{64}}-{form}-{coding}"', answer.headers["ETag"])
            tags.add(answer.headers["ETag"])
            head, nothing = ask(alice, thousand, coding, form, method="HEAD")
            assert head.status_code == 200 and nothing == b""
            for name in ("ETag", "Content-Encoding", "Content-Type", "Accept-Ranges", "Cache-Control", "Vary"):
                assert head.headers[name] == answer.headers[name]
            assert "Content-Length" not in head.headers
    assert len(tags) == 1 + len(CODINGS) * len(FORMS)
    download = alice.get("/Report", {"Accept-Encoding": "gzip"}, params={"reference": thousand, "download": "1"})
    day = download.json()["data"]["generatedDate"][:10]
    assert download.headers["Content-Encoding"] == "gzip"
    assert download.headers["Content-Disposition"] == f'attachment; filename="Big-{day}.json"'


def test_a_client_that_has_it_in_this_coding_gets_a_304(alice, thousand):
    tags = {accept: ask(alice, thousand, accept)[0].headers["ETag"] for accept in ("identity", *CODINGS)}
    for accept in tags:
        for held, tag in tags.items():
            answer, body = ask(alice, thousand, accept, **{"If-None-Match": tag})
            assert answer.status_code == (304 if held == accept else 200)
            assert answer.headers["ETag"] == tags[accept] and answer.headers["Vary"] == "Accept, Accept-Encoding"
            assert answer.status_code == 200 or (body == b"" and "Content-Encoding" not in answer.headers)
        assert ask(alice, thousand, accept, method="HEAD", **{"If-None-Match": tags[accept]})[0].status_code == 304
        assert ask(alice, thousand, accept, **{"If-None-Match": "*"})[0].status_code == 304


def test_a_range_is_one_of_what_is_stored(alice, thousand):
    whole, tag = alice.result(thousand).content, alice.result(thousand).headers["ETag"]
    for coding in CODINGS:
        answer, part = ask(alice, thousand, coding, Range="bytes=100-299")
        assert answer.status_code == 206 and part == whole[100:300]
        assert "Content-Encoding" not in answer.headers and answer.headers["ETag"] == tag
        assert ask(alice, thousand, coding, Range="bytes=100-299", **{"If-Range": tag})[0].status_code == 206
        weak = ask(alice, thousand, coding)[0].headers["ETag"]
        answer, body = ask(alice, thousand, coding, Range="bytes=100-299", **{"If-Range": weak})
        assert answer.status_code == 200 and body == whole and answer.headers["ETag"] == tag
        answer, body = ask(alice, thousand, f"{coding}, identity;q=0", Range="bytes=100-299")
        assert answer.status_code == 200 and decode(coding, body) == whole
        assert answer.headers["Content-Encoding"] == coding


@pytest.mark.stores("sqlite")
def test_a_client_of_http_1_0_gets_it_without_chunks(alice, thousand):
    done = subprocess.run(["curl", "-s0i", "--raw", "-H", "Version: 2.0", "-H", f"Authorization: {alice.token}", "-H", "Accept-Encoding: gzip",
                           f"{alice.url}/Report?reference={thousand}"], capture_output=True, check=True).stdout
    head, _, body = done.partition(b"\r\n\r\n")
    assert b"Content-Encoding: gzip" in head and b"ransfer-Encoding" not in head
    assert gzip.decompress(body) == alice.result(thousand).content


# ---- ends ----

def begin(client, reference, coding, form="json"):
    """A slow download that has begun, compressed."""
    slow = SlowForm.begin(client, reference, form, f"Accept-Encoding: {coding}\r\n")
    while b"\r\n\r\n" not in slow.got:
        slow.got += slow.socket.recv(64)
    assert f"Content-Encoding: {coding}".encode() in slow.got
    return slow


@pytest.mark.parametrize("coding, form, encryption", [("zstd", "json", "off"), ("gzip", "csv", "on")])
def test_a_delete_ends_a_compressed_download_at_once(noisy, coding, form, encryption):
    server = noisy(spool_encryption=encryption)
    client = server.client("alice")
    reference = client.complete("Noise")
    ends_with_a_delete(server, client, reference, begin(client, reference, coding, form))


@pytest.mark.stores("sqlite")
@pytest.mark.parametrize("coding", CODINGS)
def test_the_purge_ends_a_compressed_download_and_frees_the_disk(noisy, clock, tmp_path, coding):
    with small_disk(tmp_path / "disk") as disk:
        ends_with_the_purge(noisy(spool=disk / "spool"), disk, clock, ("Noise", {}), lambda *which: begin(*which, coding))


@pytest.mark.stores("sqlite")
def test_a_stop_does_not_wait_for_a_slow_compressed_download(noisy):
    server = noisy()
    client = server.client("alice")
    slow = begin(client, client.complete("Noise"), "zstd")
    assert server.stop() == 0
    got, broken = slow.rest()
    assert broken and not got.endswith(b"0\r\n\r\n")


@pytest.mark.stores("sqlite")
def test_json_is_sent_plain_while_no_conversion_is_free(noisy):
    server = noisy()
    client = server.client("alice")
    reference = client.complete("Noise")
    slow = []

    def plain():
        answer, body = ask(client, reference, "zstd")
        return None if "Content-Encoding" in answer.headers else (answer, body)

    def refused_one(accept, form):
        answer = client.get("/Report", {"Accept-Encoding": accept}, params={"reference": reference, "format": form}, stream=True)
        return [answer] if answer.status_code != 200 else answer.close()  # an error counts as false

    answer, body = poll(lambda: fill_conversions(client, reference, slow) and plain(), what="an answer that is not compressed")
    assert answer.status_code == 200 and answer.headers["ETag"].startswith('"')
    assert "Content-Digest" in answer.headers and answer.headers["Content-Length"] == str(len(body))
    failed(*poll(lambda: fill_conversions(client, reference, slow) and refused_one("zstd, identity;q=0", "json"), what="a 503"), 503, "Too many results")
    failed(*poll(lambda: fill_conversions(client, reference, slow) and refused_one("zstd", "csv"), what="a 503"), 503, "Too many results")
    slow.pop().socket.close()
    poll(lambda: plain() is None, what="a place that has become free")
    for one in slow:
        one.socket.close()


@pytest.mark.stores("sqlite")
def test_a_damaged_result_breaks_the_connection_off(noisy):
    """Also where the client could not find it out: JSON that is still JSON."""
    server = noisy()
    client = server.client("alice")
    reference = client.complete("Noise")
    path = server.result_file(reference)
    content = path.read_bytes()
    middle = len(content) // 2
    for coding in CODINGS:
        damage(path, middle)
        with pytest.raises(Exception, match="IncompleteRead|broken|ended prematurely"):
            ask(client, reference, coding)
        path.write_bytes(content[:middle])
        assert ask(client, reference, coding)[0].status_code == 500
        path.write_bytes(content)
        assert coded(client, reference, "json", coding)[0] == client.result(reference).content
    server.await_log("not what was written")


@pytest.mark.stores("sqlite")
def test_a_small_damaged_result_is_an_error(make_server):
    server = make_server()
    client = server.client("alice")
    reference = client.complete("Big", Rows="100")
    path = server.result_file(reference)
    path.write_bytes(path.read_bytes().replace(b"row number 7\"", b"row number 8\""))
    failed(client.result(reference, {"Accept-Encoding": "zstd"}), 500)
    server.await_log("http.error")


@pytest.mark.stores("sqlite")
def test_a_result_of_an_older_version_is_compressed_too(make_server):
    server = make_server()
    client = server.client("alice")
    reference = client.complete("Big", Rows="100")
    path = server.result_file(reference)
    assert server.stop() == 0
    (size,) = server.store.sql("SELECT bytes FROM report")
    path.write_bytes(path.read_bytes()[: int(size)])
    server.store.sql("UPDATE report SET footer = 0")
    server.start()
    client = server.client("alice")
    for coding in CODINGS:
        assert coded(client, reference, "json", coding)[0] == client.result(reference).content
