"""reportctl against what a good server seldom does: expired tokens, broken connections, damage.

A small HTTP server plays the faults; everything else is tested against reportd in test_reportctl.py.
"""

import base64
import fcntl
import gzip
import hashlib
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness import REPORTCTL

REFERENCE = "0190a5b2-7c1e-7000-8000-3f2a1b4c5d6e"
RESULT = json.dumps({"result": True, "message": "", "data": {"results": list(range(50000))}}).encode()


def digest(data):
    return "sha-256=:" + base64.b64encode(hashlib.sha256(data).digest()).decode() + ":"


class Server(ThreadingHTTPServer):
    """Answers by the functions in `script`, the last one again and again; keeps what was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = []
        self.asked = []
        self.lock = threading.Lock()
        self.access = "access-0"
        self.refreshes = 0
        self.arrived = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, data=b"", headers=None, cut=None):
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data if cut is None else data[:cut])
        if cut is not None:
            self.close_connection = True

    def hang_up(self):
        self.close_connection = True

    def login(self, body):
        self.answer(200, {"accessToken": self.server.access, "refreshToken": "refresh-0"})

    def refresh(self, body):
        with self.server.lock:
            good = body["refreshToken"] == f"refresh-{self.server.refreshes}"
            if good:
                self.server.refreshes += 1
                self.server.access = f"access-{self.server.refreshes}"
        if not good:
            self.answer(401, {"result": False, "message": "used twice", "data": {}})
            return
        self.answer(200, {"accessToken": self.server.access,
                          "refreshToken": f"refresh-{self.server.refreshes}"})

    def any_method(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        if self.path == "/User/Login":
            return self.login(body)
        if self.path == "/User/RefreshToken":
            return self.refresh(body)
        with self.server.lock:
            self.server.asked.append((self.command, self.path, dict(self.headers), body))
            script = self.server.script
            step = script.pop(0) if len(script) > 1 else script[0]
        self.server.arrived.set()
        if self.headers["Authorization"] != self.server.access:
            return self.answer(401, {"result": False, "message": "expired", "data": {}})
        return step(self)

    do_GET = do_POST = do_DELETE = any_method


def done(data, **headers):
    return lambda h: h.answer(200, {"result": True, "message": "", "data": data}, headers)


def refused(status, words):
    return lambda h: h.answer(status, {"title": words, "status": status, "detail": words})


def busy(h):
    h.answer(503, {"result": False, "message": "not now", "data": {}}, {"Retry-After": "0"})


def hang_up(h):
    h.hang_up()


def result(h, cut=None, sha=digest(RESULT)):
    first = int(h.headers["Range"][6:-1]) if h.headers["Range"] else 0
    headers = {"ETag": '"e"', "Repr-Digest": sha}
    h.answer(206 if first else 200, RESULT[first:], headers, cut)


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def ctl(server, tmp_path):
    """Run reportctl, logged in at the server, in its own home; start=True does not wait for it."""
    binary = REPORTCTL
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}

    def run(*arguments, password=None, start=False, **more):
        process = subprocess.Popen([binary, *arguments], cwd=tmp_path, env={**env, **more},
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        if start:
            return process
        process.out, process.err = process.communicate(password, timeout=60)
        return process

    run.folder = tmp_path
    run.credentials = tmp_path / ".config/reportctl/credentials.json"
    assert run("login", "--server", server.url, "-u", "u", password="secret\n").returncode == 0
    return run


def test_credentials_are_private_and_hold_no_password(ctl):
    assert ctl.credentials.stat().st_mode & 0o777 == 0o600
    assert ctl.credentials.parent.stat().st_mode & 0o777 == 0o700
    assert "secret" not in ctl.credentials.read_text()


def test_credentials_open_to_others_are_not_used(ctl, server):
    server.script = [done([])]
    ctl.credentials.chmod(0o644)
    run = ctl("types")
    assert run.returncode == 6 and "chmod 600" in run.err
    assert server.asked == []


def test_an_expired_access_token_is_refreshed_once_and_saved(ctl, server):
    server.script = [done("complete")]
    server.access = "another"
    assert ctl("status", REFERENCE).returncode == 0
    assert server.refreshes == 1
    assert json.loads(ctl.credentials.read_text())["refreshToken"] == "refresh-1"
    assert ctl("status", REFERENCE).returncode == 0
    assert server.refreshes == 1


def test_two_processes_do_not_spend_one_refresh_token_twice(ctl, server):
    server.script = [done("complete")]
    server.access = "another"
    both = [ctl("status", REFERENCE, start=True) for _ in range(4)]
    assert [one.communicate(timeout=60) and one.returncode for one in both] == [0] * 4
    assert server.refreshes == 1


def test_a_dead_login_says_how_to_log_in(ctl, server):
    server.script = [done("complete")]
    server.access, server.refreshes = "another", 5
    run = ctl("status", REFERENCE)
    assert run.returncode == 4
    assert f"reportctl login --server {server.url} -u u" in run.err


def test_a_token_goes_to_no_other_server(ctl, server):
    server.script = [done([])]
    other = Server()
    run = ctl("types", "--server", other.url)
    other.server_close()
    assert run.returncode == 4 and "reportctl login --server" in run.err
    assert server.asked == []


def test_a_redirect_is_not_followed(ctl, server):
    server.script = [lambda h: h.answer(302, b"", {"Location": server.url + "/elsewhere"})]
    run = ctl("types")
    assert run.returncode == 3 and "/elsewhere" in run.err
    assert [path for _, path, _, _ in server.asked] == ["/Report/Types"]


EVERY_COMMAND = [["types"], ["types", "R.P"], ["list"], ["status", REFERENCE], ["wait", REFERENCE], ["get", REFERENCE],
                 ["delete", REFERENCE], ["delete", "--name", "R", "--dry-run"], ["submit", "R"], ["run", "R"]]


@pytest.mark.parametrize("command", EVERY_COMMAND, ids=" ".join)
@pytest.mark.parametrize("status, data, kind", [
    (200, b"<html>Hello</html>", "text/html"), (200, b"", "application/json"), (200, b"[]", "text/plain"),
    (404, b"<html>Nope</html>", "text/html"), (500, b"", "text/plain"), (302, b"", "text/html"),
])
def test_another_program_is_no_reportd(ctl, server, command, status, data, kind):
    server.script = [lambda h: h.answer(status, data, {"Content-Type": kind})]
    run = ctl(*command)
    assert (run.returncode, run.out) == (3, "")
    assert server.url in run.err and "is it a" in run.err or "is it one?" in run.err, run.err


@pytest.mark.parametrize("data", [None, 17, {"a": [1]}], ids=str)
def test_an_answer_of_another_shape_is_none(ctl, server, data):
    server.script = [done(data)]
    for command in EVERY_COMMAND:
        run = ctl(*command)
        if command[0] == "get" or command == ["delete", REFERENCE]:
            continue  # a result is not looked into, and a deletion has nothing to say
        assert run.returncode == 3 and server.url in run.err, (command, run.out, run.err)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"server": "http://127.0.0.1:1"}', '{"server": 1}'])
def test_damaged_credentials_are_told_and_replaced_by_a_login(ctl, server, content):
    server.script = [done([])]
    ctl.credentials.write_text(content)
    run = ctl("types")
    assert run.returncode == 6 and f"{ctl.credentials} is damaged; run: reportctl login" in run.err
    assert ctl("login", "--server", server.url, "-u", "u", password="secret\n").returncode == 0
    assert ctl("types").returncode == 0


def test_a_logout_that_the_server_does_not_hear_forgets_the_tokens_and_says_so(ctl, server):
    server.script = [refused(500, "broken")]
    run = ctl("logout")
    assert run.returncode != 0 and "the tokens are forgotten here" in run.err and "broken" in run.err
    assert not ctl.credentials.exists()


def test_a_logout_needs_no_tokens_that_can_be_read(ctl, server):
    ctl.credentials.write_text("{")
    assert ctl("logout").returncode == 0 and not ctl.credentials.exists()


def test_without_a_home_there_is_no_place_for_tokens(ctl, server):
    for command in (["types"], ["logout"], ["login", "--server", server.url, "-u", "u"]):
        run = ctl(*command, password="secret\n", HOME="")
        assert run.returncode == 6 and "neither XDG_CONFIG_HOME nor HOME" in run.err


@pytest.mark.parametrize("command", [["types"], ["status", REFERENCE], ["get", REFERENCE], ["submit", "R"], ["types", "--json"]])
def test_a_full_disk_behind_standard_output_is_a_failure(ctl, server, command):
    server.script = [{"types": done([{"name": "R"}]), "get": result, "submit": done(REFERENCE)}.get(command[0], done("complete"))]
    with open("/dev/full", "w") as full:
        run = subprocess.run([REPORTCTL, *command], env={"HOME": str(ctl.folder)}, text=True, stdout=full,
                             stderr=subprocess.PIPE, timeout=60)
    assert run.returncode == 6 and "cannot write standard output" in run.stderr


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_is_in_the_exit_status(ctl, server, number, status):
    server.script = [incomplete]
    process = ctl("wait", REFERENCE, start=True)
    process.stderr.readline()
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == status


def on_terminal(ctl, columns, *words, **more):
    """Standard error of it on a terminal of so many columns, up to the second live line."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([REPORTCTL, *words], stdin=its, stdout=subprocess.DEVNULL, stderr=its,
                               env={"HOME": str(ctl.folder), **more})
    os.close(its)
    seen = ""
    while seen.count("queue") < 2:
        seen += os.read(ours, 4096).decode()
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    os.close(ours)
    return seen


def test_a_live_line_fits_a_narrow_terminal(ctl, server):
    server.script = [incomplete]
    lines = on_terminal(ctl, 24, "wait", REFERENCE, TERM="xterm").split("\r\033[K")
    assert "queued, number 3 in the" in lines and max(map(len, lines)) < 24


def test_a_dumb_terminal_gets_plain_lines(ctl, server):
    server.script = [incomplete]
    assert "\033" not in on_terminal(ctl, 80, "wait", REFERENCE, TERM="dumb")


def test_a_submit_is_repeated_with_the_same_key(ctl, server):
    server.script = [busy, hang_up, done(REFERENCE)]
    run = ctl("submit", "R", "A=1", "B=x=y")
    assert (run.returncode, run.out) == (0, REFERENCE + "\n")
    keys = {headers["Idempotency-Key"] for _, _, headers, _ in server.asked}
    assert len(server.asked) == 3 and len(keys) == 1
    assert server.asked[0][3] == {"reportName": "R", "parameters": {"A": "1", "B": "x=y"}}


def test_after_three_tries_the_server_counts_as_unreachable(ctl, server):
    server.script = [busy]
    run = ctl("status", REFERENCE)
    assert run.returncode == 3 and "not now" in run.err
    assert len(server.asked) == 3


def test_a_delete_whose_answer_was_lost_is_done(ctl, server):
    server.script = [hang_up, refused(404, "unknown")]
    assert ctl("delete", REFERENCE).returncode == 0
    assert ctl("delete", REFERENCE).returncode == 7


def test_a_limit_shows_what_takes_the_places(ctl, server):
    active = [{"reference": REFERENCE, "reportName": "R", "state": "queued"}]
    server.script = [lambda h: h.answer(429, {"detail": "10 at most", "data": {"active": active}})]
    run = ctl("submit", "R")
    assert run.returncode == 5
    assert REFERENCE in run.err and "10 at most" in run.err


def test_a_broken_download_goes_on_where_it_stopped(ctl, server):
    server.script = [lambda h: result(h, cut=1000), lambda h: result(h, cut=5000), result]
    assert ctl("get", REFERENCE, "-o", "out").returncode == 0
    assert (ctl.folder / "out").read_bytes() == RESULT
    assert not (ctl.folder / "out.part").exists()
    assert [headers.get("Range") for _, _, headers, _ in server.asked] == [
        None, "bytes=1000-", "bytes=6000-"]
    assert server.asked[1][2]["If-Range"] == '"e"'


def test_a_compressed_download_goes_on_plain_where_it_stopped(ctl, server):
    """From another machine, as which 0.0.0.0 counts. What is here by then is decompressed."""
    short, date = gzip.compress(RESULT), "Tue, 02 Jan 2024 03:04:05 GMT"
    compressed = {"ETag": 'W/"e-gzip"', "Last-Modified": date, "Content-Encoding": "gzip"}
    assert ctl("login", "--server", server.url.replace("127.0.0.1", "0.0.0.0"), "-u", "u", password="secret\n").returncode == 0
    server.script = [lambda h: h.answer(200, short, compressed, cut=len(short) // 2), result]
    assert ctl("get", REFERENCE, "-o", "out").returncode == 0
    assert (ctl.folder / "out").read_bytes() == RESULT
    first, second = (headers for _, _, headers, _ in server.asked)
    assert "gzip" in first["Accept-Encoding"] and "Range" not in first
    assert "Accept-Encoding" not in second and second["If-Range"] == date
    assert 0 < int(second["Range"].removeprefix("bytes=").removesuffix("-")) < len(RESULT)
    server.asked.clear()
    server.script = [lambda h: h.answer(200, short, compressed, cut=len(short) // 2), lambda h: result(h, sha=digest(b"another"))]
    assert "damaged" in ctl("get", REFERENCE, "-o", "out").err
    stored = {**compressed, "ETag": '"e-gzip"', "Content-Digest": digest(short), "Repr-Digest": digest(short)}  # of what is stored coded
    server.script = [lambda h: h.answer(200, short, stored, cut=len(short) // 2), result]
    assert ctl("get", REFERENCE, "-o", "out").returncode == 0
    assert (ctl.folder / "out").read_bytes() == RESULT and server.asked[-1][2]["If-Range"] == date
    server.script = [lambda h: h.answer(200, short, stored)]
    assert ctl("get", REFERENCE, "-o", "whole").returncode == 0
    assert (ctl.folder / "whole").read_bytes() == RESULT


def test_from_this_machine_nothing_is_compressed(ctl, server):
    server.script = [result]
    assert ctl("get", REFERENCE, "-o", "out").returncode == 0
    assert "Accept-Encoding" not in server.asked[0][2]


def test_a_result_that_changed_meanwhile_is_fetched_from_the_start(ctl, server):
    whole = lambda h: h.answer(200, RESULT, {"ETag": '"f"', "Content-Digest": digest(RESULT)})
    server.script = [lambda h: result(h, cut=1000, sha=digest(b"other")), whole]
    assert ctl("get", REFERENCE, "-o", "out").returncode == 0
    assert (ctl.folder / "out").read_bytes() == RESULT


def test_a_damaged_result_is_not_kept(ctl, server):
    server.script = [lambda h: result(h, sha=digest(b"something else"))]
    (ctl.folder / "out").write_text("before")
    run = ctl("get", REFERENCE, "-o", "out")
    assert run.returncode == 6 and "damaged" in run.err
    assert (ctl.folder / "out").read_text() == "before"
    assert not (ctl.folder / "out.part").exists()


def test_a_result_that_cannot_be_written_is_kept_on_the_server(ctl, server):
    server.script = [done(REFERENCE), done("complete"), result, done({})]
    run = ctl("run", "R", "-o", "no/such/folder/out")
    assert run.returncode == 6
    assert f"reportctl get {REFERENCE}" in run.err
    assert "DELETE" not in [method for method, _, _, _ in server.asked]


def incomplete(h):
    h.answer(200, {"result": False, "message": "Report is queued.", "data": "incomplete"},
             {"X-Report-State": "queued", "Retry-After": "5", "X-Report-Queue-Position": "3"})


def test_an_interrupted_run_deletes_its_report(ctl, server):
    server.script = [done(REFERENCE), incomplete]
    process = ctl("run", "R", start=True)
    line = process.stderr.readline()
    assert line == "queued, number 3 in the queue\n"
    server.script = [done({})]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert server.asked[-1][:2] == ("DELETE", f"/Report?reference={REFERENCE}")


def test_a_run_interrupted_while_submitting_deletes_what_was_made(ctl, server):
    gate = threading.Event()

    def slow(h):
        gate.wait(30)
        h.hang_up()

    server.script = [slow, done(REFERENCE), done({})]
    process = ctl("run", "R", start=True)
    server.arrived.wait(30)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    gate.set()
    assert process.returncode == 130
    posts = [headers["Idempotency-Key"] for method, _, headers, _ in server.asked if method == "POST"]
    assert len(posts) == 2 and posts[0] == posts[1]
    assert server.asked[-1][:2] == ("DELETE", f"/Report?reference={REFERENCE}")
