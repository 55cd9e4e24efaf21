"""reportctl against a server that means ill: what it says is shown, but no terminal, header or counter obeys it."""

import os
import signal
import threading

import pytest

import test_reportctl_faults
from harness import poll
from test_reportctl_faults import REFERENCE, RESULT, done, hang_up, result

ctl, server = test_reportctl_faults.ctl, test_reportctl_faults.server  # the fixtures
EVIL = "a\x1b]0;title\x07\x1b[2J\x7f\x9b31m\u202eb"
HUGE = 2**63 - 1


def failed(h):
    h.answer(500, {"title": "no", "status": 500, "detail": EVIL})


def headed(name, status="incomplete", value="a\x1b[2J\x07b"):
    return lambda h: h.answer(200, {"result": False, "message": EVIL, "data": status}, {"Retry-After": "0", name: value})


def too_many(h):
    active = [{"reference": EVIL, "state": EVIL, "reportName": EVIL}]
    h.answer(429, {"title": "limit", "status": 429, "detail": EVIL, "data": {"active": active}})


def receipt(h):
    h.answer(200, {"result": True, "message": "", "data": {}}, {"X-Deletion-Receipt": "a\x1b[2Jb"})


PARAMETER = {"name": EVIL, "type": EVIL, "allowedValues": [EVIL, EVIL], "default": EVIL, "description": EVIL}
SAID = [
    (["submit", "R"], [too_many]),
    (["wait", REFERENCE], [headed("X-Report-State"), headed("X-Report-State", "error")]),
    (["status", REFERENCE], [headed("X-Report-State")]),
    (["types"], [done([{"name": EVIL, "description": EVIL, "parameters": [PARAMETER], "columns": [{"name": EVIL, "label": EVIL}]}])]),
    (["types", "R.P"], [done([{"value": EVIL, "label": EVIL}])]),
    (["link", REFERENCE], [done({"url": EVIL, "expiresAt": EVIL})]),
    (["list"], [done({"reports": [{"reference": EVIL, "state": EVIL, "submittedAt": EVIL, "reportName": EVIL, "message": EVIL,
                                   "parameters": {EVIL: EVIL}}], "totalCount": 1})]),
    (["run", "R"], [done(REFERENCE), headed("X-Report-State", "error"), failed]),
    (["delete", REFERENCE, "--receipt", "-"], [receipt]),
    (["rows", REFERENCE], [lambda h: h.answer(200, {"result": True, "message": "", "recordCount": 1, "data": {
        "from": 0, "totalRows": 1, "columns": [{"name": EVIL, "type": "string"}], "rows": [{EVIL: EVIL}]}})]),
    (["get", REFERENCE], [lambda h: h.answer(302, b"", {"Location": "http://x/\x1b[2J"})]),
    (["admin", "overview"], [done({"queue": {"oldestQueuedAt": EVIL}, "nodes": [{"host": EVIL, "id": EVIL}], "sources": [{"name": EVIL, "kind": EVIL}],
                                   "users": [{"name": EVIL}], "disks": [{"what": EVIL}]})]),
    (["logout"], [failed]),
]


def is_obeyed(letter):
    return letter != "\n" and (letter < " " or "\x7f" <= letter < "\xa0" or letter in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@pytest.mark.parametrize("words, script", SAID, ids=lambda value: " ".join(value[:2]) if isinstance(value[0], str) else "")
def test_nothing_that_a_server_says_is_obeyed_by_a_terminal(ctl, server, words, script):
    server.script = list(script)
    run = ctl(*words)
    assert run.out + run.err
    assert not [letter for letter in run.out + run.err if is_obeyed(letter)], (run.out, run.err)


def test_nor_what_it_says_of_the_owner_of_a_key(ctl, server):
    server.access = "rdk_" + "x" * 43
    server.script = [done({"name": EVIL})]
    file = ctl.folder / "key"
    file.write_text(server.access + "\n")
    file.chmod(0o600)
    run = ctl("login", "--server", server.url, "--key-file", str(file))
    assert run.returncode == 0 and "are sent as a" in run.err and not [letter for letter in run.err if is_obeyed(letter)]


def stream(*lines):
    def answer(h):
        h.send_response(200)
        h.send_header("Content-Type", "text/event-stream")
        h.send_header("Connection", "close")
        h.end_headers()
        h.wfile.write("".join(line + "\n" for line in lines).encode())
        h.close_connection = True
    return answer


@pytest.mark.parametrize("words", [["watch"], ["watch", "--json"]], ids=" ".join)
def test_nor_its_events(ctl, server, words):
    """What is no JSON is no event; an id goes into a header, and brings no other one along."""
    good = 'data: {"state": "queued", "reference": "r"}'
    server.script = [stream("id: 2", good, "", "id: 1\rX-Evil: yes", "data: \x1b[2Jnone", ""), hang_up]
    process = ctl(*words, start=True)
    poll(lambda: len(server.asked) > 1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert "queued" in out and not [letter for letter in out + err if is_obeyed(letter)]
    assert server.asked[1][2]["Last-Event-ID"] == "2"


@pytest.mark.parametrize("token", ["a\r\nX-Evil: yes", "a\r\n\r\nGET http://other/ HTTP/1.1", "a b", "", "x" * 8193], ids=lambda token: repr(token[:20]))
def test_a_token_that_would_be_more_than_one_is_none(ctl, server, token):
    """A proxy between the two would take it for a request of its own."""
    before = ctl.credentials.read_text()
    server.access = token
    run = ctl("login", "--server", server.url, "-u", "u", password="secret\n")
    assert run.returncode == 3 and "does not answer with tokens" in run.err
    assert ctl.credentials.read_text() == before


@pytest.mark.parametrize("again", [str(HUGE), "-1", "99999999999999999999"])
def test_a_pause_that_a_server_asks_for_has_limits(ctl, server, again):
    server.script = [headed("Retry-After", value=again)]
    process = ctl("wait", REFERENCE, start=True)
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert len(server.asked) == 1


COUNTS = {"pageNumber": -HUGE - 1, "pageSize": HUGE, "totalCount": HUGE, "reports": []}


@pytest.mark.parametrize("words, answer, status", [
    (["list"], {"data": COUNTS}, 0), (["admin", "list"], {"data": COUNTS}, 0),
    (["delete", "--name", "R", "--dry-run"], {"data": {"deleted": {"complete": HUGE, "error": HUGE}}}, 0),
    (["rows", REFERENCE], {"recordCount": HUGE, "data": {"totalRows": HUGE, "columns": [], "rows": []}}, 3),
    (["rows", REFERENCE, "--from", "5"], {"recordCount": 3, "data": {"totalRows": 7, "columns": [], "rows": []}}, 3),
    (["rows", REFERENCE], {"recordCount": 1, "data": {"totalRows": -HUGE, "columns": [], "rows": []}}, 3),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_numbers_at_their_limits_are_only_numbers(ctl, server, words, answer, status):
    server.script = [lambda h: h.answer(200, {"result": True, "message": "", **answer})]
    run = ctl(*words)
    assert run.returncode == status and "runtime error" not in run.err, run.err


def test_two_downloads_into_one_file_do_not_mix(ctl, server):
    begun, gate = threading.Event(), threading.Event()

    def slow(h):
        h.send_response(200)
        h.send_header("Content-Type", "application/json")
        h.send_header("Content-Length", str(len(RESULT)))
        h.end_headers()
        h.wfile.write(RESULT[:1000])
        begun.set()
        gate.wait(60)
        h.wfile.write(RESULT[1000:])

    server.script = [slow, result]
    first = ctl("get", REFERENCE, "-o", "out", start=True)
    begun.wait(60)
    second = ctl("get", REFERENCE, "-o", "out")
    gate.set()
    first.communicate(timeout=60)
    assert second.returncode == 6 and "another download is writing out.part" in second.err
    assert first.returncode == 0 and (ctl.folder / "out").read_bytes() == RESULT
    assert ctl("get", REFERENCE, "-o", "out").returncode == 0


def test_what_a_killed_download_left_is_written_over(ctl, server):
    server.script = [result]
    (ctl.folder / "out.part").write_text("x" * 2 * len(RESULT))
    assert ctl("get", REFERENCE, "-o", "out").returncode == 0
    assert (ctl.folder / "out").read_bytes() == RESULT


@pytest.mark.parametrize("planted", ["fifo", "link", "folder", "another's"])
def test_no_result_goes_into_what_somebody_else_has_put_in_its_way(ctl, server, planted):
    server.script = [result]
    part = ctl.folder / "out.part"
    if planted == "fifo":
        os.mkfifo(part)
    elif planted == "link":
        part.symlink_to("elsewhere")
    elif planted == "folder":
        part.mkdir()
    else:
        if os.geteuid() != 0:
            pytest.skip("only root can give files away")
        part.touch()
        os.chown(part, 65534, 65534)
    run = ctl("get", REFERENCE, "-o", "out")
    assert run.returncode == 6 and "out.part" in run.err
    assert not (ctl.folder / "out").exists() and not (ctl.folder / "elsewhere").exists()
    if planted == "another's":
        assert part.read_bytes() == b""
