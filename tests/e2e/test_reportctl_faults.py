"""reportctl against what a good server seldom does: expired tokens, broken connections, damage.

A small HTTP server plays the faults; everything else is tested against reportd in test_reportctl.py.
"""

import base64
import datetime
import fcntl
import gzip
import hashlib
import ipaddress
import json
import os
import pty
import select
import signal
import ssl
import struct
import subprocess
import termios
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from harness import REPORTCTL, poll

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
        self.passwords = 0
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
        self.server.passwords += 1
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


class Terminal:
    """reportctl on a terminal of so many columns, which the test reads and types on."""

    def __init__(self, ctl, columns, *words, **more):
        self.ours, its = pty.openpty()
        self.resize(columns)
        self.process = subprocess.Popen(words, stdin=its, stdout=its, stderr=its, cwd=ctl.folder, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                                        env={"HOME": str(ctl.folder), "PATH": os.environ["PATH"], "TERM": "xterm", **more})
        os.close(its)
        self.seen = ""

    def resize(self, columns):
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read_until(self, words):
        """What stood there up to these words; None: all, up to the end."""
        while words is None or words not in self.seen:
            assert select.select([self.ours], [], [], 60)[0], (words, self.seen)
            try:
                data = os.read(self.ours, 4096)
            except OSError:  # how a terminal ends
                data = b""
            if not data:
                assert words is None, (words, self.seen)
                break
            self.seen += data.decode()
        at = len(self.seen) if words is None else self.seen.index(words) + len(words)
        said, self.seen = self.seen[:at], self.seen[at:]
        return said

    def type(self, text):
        os.write(self.ours, text.encode())

    def echoes(self):
        return bool(termios.tcgetattr(self.ours)[3] & termios.ECHO)

    def close(self):
        """Its exit status, and the rest of what stood there."""
        said = self.read_until(None)
        os.close(self.ours)
        return self.process.wait(60), said


@pytest.fixture
def terminal(ctl):
    """Start reportctl on a terminal: terminal(columns, *words)."""
    made = []

    def start(columns, *words, **more):
        made.append(Terminal(ctl, columns, REPORTCTL, *words, **more))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one.process.wait()


def live_lines(text):
    return text.split("\r\033[K")


def test_a_live_line_fits_a_narrow_terminal_that_becomes_narrower(terminal, server):
    server.script = [lambda h: incomplete(h, again="0")]
    screen = terminal(24, "wait", REFERENCE)
    lines = live_lines(screen.read_until("the"))
    assert lines[-1] == "queued, number 3 in the"
    screen.resize(10)
    screen.read_until("\033[Kqueued, n\r")  # cut before the last column
    screen.resize(200)
    assert max(map(len, live_lines(screen.read_until(" s")))) < 80
    screen.type("\003")
    assert screen.close()[0] == 130


@pytest.mark.parametrize("columns, longest", [(80, 79), (40, 39), (12, 11)])
def test_the_bar_of_a_download_fits_its_terminal(terminal, server, columns, longest):
    server.script = [result]
    status, seen = terminal(columns, "get", REFERENCE, "-o", "out").close()
    bars = [line for line in live_lines(seen) if "%" in line]
    assert status == 0 and bars and max(map(len, bars)) <= longest
    assert all(bar.endswith("]") == (columns >= 40) for bar in bars) and "100 %" in bars[-1]


@pytest.mark.parametrize("kind", ["dumb", ""])
def test_a_dumb_terminal_gets_plain_lines(terminal, server, kind):
    server.script = [incomplete]
    screen = terminal(40, "wait", REFERENCE, TERM=kind)
    screen.read_until("number 3 in the queue\r\n")
    screen.type("\003")
    status, seen = screen.close()
    assert status == 130 and "\033" not in seen and "reportctl: interrupted" in seen


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 130)])
def test_a_signal_at_the_password_ends_it_and_the_terminal_echoes_again(terminal, server, number, status):
    for typed in ("", "sec"):
        screen = terminal(80, "login", "--server", server.url, "-u", "u")
        screen.read_until("password: ")
        assert not screen.echoes()
        screen.type(typed)
        screen.process.send_signal(number)
        ours = os.dup(screen.ours)
        assert screen.close()[0] == status
        assert termios.tcgetattr(ours)[3] & termios.ECHO
        os.close(ours)


@pytest.mark.parametrize("words, question", [(["login"], "server"), (["delete", "--name", "R"], "[y/N]")])
def test_ctrl_c_ends_any_question(terminal, ctl, server, words, question):
    server.script = [done({"deleted": {"queued": 1}, "remaining": 0})]
    screen = terminal(80, *words)
    screen.read_until(question)
    screen.type("\003")
    assert screen.close()[0] == 130
    assert [path for method, path, _, _ in server.asked if "dryRun" not in path] == []


def test_a_login_that_is_stopped_and_continued_asks_again_without_echo(ctl, server):
    shell = Terminal(ctl, 80, "bash", "--norc", "--noediting", "-i", PS1="$ ")
    shell.read_until("$ ")
    shell.type(f"{REPORTCTL} login --server {server.url} -u again\n")
    shell.read_until("password: ")
    shell.type("\032")
    shell.read_until("Stopped")
    shell.read_until("$ ")
    assert shell.echoes()
    shell.type("fg\n")
    shell.read_until("password: ")
    assert not shell.echoes()
    shell.type("secret\n")
    assert "secret" not in shell.read_until("logged in")
    shell.read_until("$ ")
    assert shell.echoes()
    shell.type("exit\n")
    assert shell.close()[0] == 0


def without_reader(ctl, *words):
    """Run it with standard output into a pipe that nobody reads: exit status and standard error."""
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run([REPORTCTL, *words], env={"HOME": str(ctl.folder)}, stdin=subprocess.DEVNULL, stdout=writer,
                         stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writer)
    return run.returncode, run.stderr


@pytest.mark.parametrize("command", [["types"], ["status", REFERENCE], ["get", REFERENCE], ["types", "--json"], ["--help"],
                                     ["run", "R"]])
def test_what_nobody_reads_ends_silently(ctl, server, command):
    server.script = {"types": [done([{"name": "R"}])], "get": [result],
                     "run": [done(REFERENCE), done("complete"), result, done({})]}.get(command[0], [done("complete")])
    assert without_reader(ctl, *command) == (-signal.SIGPIPE, "")
    if command[0] == "run":  # it leaves no report behind
        assert server.asked[-1][:2] == ("DELETE", f"/Report?reference={REFERENCE}")


def test_what_nobody_reads_hides_no_other_failure(ctl, server):
    server.script = [refused(404, "unknown")]
    assert without_reader(ctl, "status", REFERENCE) == (7, "reportctl: unknown\n")


def test_a_watch_ends_with_its_reader(ctl, server):
    """At once, although no event comes any more."""
    ended = threading.Event()

    def stream(h):
        event = {"reference": REFERENCE, "reportName": "R", "state": "queued", "position": 1}
        h.send_response(200)
        h.send_header("Content-Type", "text/event-stream")
        h.end_headers()
        h.wfile.write(f"id: 1\ndata: {json.dumps(event)}\n\n".encode())
        h.rfile.read(1)  # until the client hangs up
        h.close_connection = True
        ended.set()

    server.script = [stream]
    process = ctl("watch", start=True)
    assert REFERENCE in process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == -signal.SIGPIPE and process.stderr.read() == ""
    assert ended.wait(60)


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


def incomplete(h, again="5"):
    h.answer(200, {"result": False, "message": "Report is queued.", "data": "incomplete"},
             {"X-Report-State": "queued", "Retry-After": again, "X-Report-Queue-Position": "3"})


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


def test_this_machine_is_never_reached_through_a_proxy(ctl, server):
    proxy = Server()
    proxy.script = [done([])]
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    through = {name: proxy.url for name in ("http_proxy", "https_proxy", "ALL_PROXY")}
    server.script = [done([])]
    for host in ("127.0.0.1", "localhost", "LocalHost", "127.1"):
        url = f"http://{host}:{server.server_port}"
        run = ctl("login", "--server", url, "-u", "u", password="secret\n", **through)
        assert run.returncode == 0 and "warning" not in run.err, run.err
        assert ctl("types", **through).returncode == 0
    assert proxy.passwords == 0 and proxy.asked == []
    for host in ("reports.example.org", "127.example.org", "localhost.example.org"):  # which are elsewhere
        run = ctl("login", "--server", f"http://{host}", "-u", "u", password="secret\n", **through)
        assert f"http://{host} is not encrypted; others may read the password" in run.err
    proxy.shutdown()
    thread.join()
    proxy.server_close()
    assert [path for _, path, _, _ in proxy.asked] == [f"http://{host}/User/Login" for host in
                                                     ("reports.example.org", "127.example.org", "localhost.example.org")]


def test_the_warning_comes_before_the_password_is_asked_for(terminal):
    screen = terminal(80, "login", "--server", "http://192.0.2.1", "-u", "u")
    assert "is not encrypted" in screen.read_until("password: ")
    screen.type("\003")
    assert screen.close()[0] == 130


def make_certificate(folder):
    """Of an authority of its own, for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    day = datetime.timedelta(days=1)
    now = datetime.datetime.utcnow()
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
    made = made.add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256())
    (folder / "ca.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context


def test_an_authority_of_ones_own_is_trusted_if_it_is_named(ctl, server):
    server.script = [done([])]
    server.socket = make_certificate(ctl.folder).wrap_socket(server.socket, server_side=True)
    login = ["login", "--server", server.url.replace("http:", "https:"), "-u", "u"]
    run = ctl(*login, password="secret\n")
    assert run.returncode == 3 and "is not trusted" in run.err and "--cacert FILE" in run.err
    assert server.passwords == 1  # of the fixture's login
    for variable in ("CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        assert ctl(*login, password="secret\n", **{variable: "ca.pem"}).returncode == 0
        assert ctl("types").returncode == 3
        assert ctl("types", **{variable: "ca.pem"}).returncode == 0
    run = ctl(*login, "--cacert", "ca.pem", password="secret\n", CURL_CA_BUNDLE="/dev/null")
    assert run.returncode == 0 and "warning" not in run.err
    assert ctl("types").returncode == 0  # the login has remembered it
    run = ctl("types", "--cacert", "none.pem")
    assert run.returncode == 6 and "cannot read the certificates in none.pem: No such file" in run.err


@pytest.mark.parametrize("script, status, said", [
    ([refused(404, "no such report")], 7, {"title": "no such report", "status": 404, "detail": "no such report"}),
    ([done(REFERENCE), lambda h: h.answer(200, {"result": False, "message": "No rows.", "data": "error"}), done({})], 1,
     {"result": False, "message": "No rows.", "data": "error"}),
    ([done(REFERENCE), done("complete"), refused(500, "broken"), refused(500, "more")], 1,
     {"title": "broken", "status": 500, "detail": "broken"}),
    ([lambda h: h.answer(200, b"<html>")], 3, None),
    ([done(REFERENCE), done("complete"), lambda h: result(h, sha=digest(b"another")), done({})], 6, None),
])
def test_run_with_json_says_why_it_failed_in_one_json_text(ctl, server, script, status, said):
    server.script = script
    run = ctl("run", "R", "--json", "-o", "out")
    assert run.returncode == status and run.err
    answer = json.loads(run.out)
    if said is None:
        assert (answer["result"], answer["data"]) == (False, {}) and f"reportctl: {answer['message']}\n" in run.err
    else:
        assert answer == said


def test_no_json_follows_a_result_that_broke_off(ctl, server):
    server.script = [done(REFERENCE), done("complete"), lambda h: result(h, sha=digest(b"another"))]
    run = ctl("run", "R", "--json")
    assert run.returncode == 6 and run.out.encode() == RESULT


def test_list_shows_parameters_as_submit_takes_them_and_why_a_report_failed(ctl, server):
    report = {"reference": REFERENCE, "reportName": "R", "state": "error", "rows": 0, "bytes": 0,
              "submittedAt": "2026-01-01T00:00:00Z", "message": "No \x1b[31mrows."}
    parameters = {"ProductID": "7", "Note": "it's a b", "Empty": ""}
    server.script = [done({"reports": [{**report, "parameters": parameters}, {**report, "message": ""}], "totalCount": 2})]
    lines = ctl("list").out.splitlines()
    assert lines[1].endswith("  R ProductID=7 Note='it'\\''s a b' Empty='': No  [31mrows.") and lines[2].endswith("  R")


def test_until_it_is_whole_what_replaces_a_file_is_for_its_owner_alone(ctl, server):
    modes = []

    def watched(h):
        h.send_response(200)
        h.send_header("Content-Type", "application/json")
        h.send_header("Content-Length", str(len(RESULT)))
        h.send_header("Content-Digest", digest(RESULT))
        h.end_headers()
        h.wfile.write(RESULT[:1])
        part = poll(lambda: [path for path in ctl.folder.glob("*.part") if path.stat().st_size == 1])
        modes.append(part[0].stat().st_mode & 0o777)
        h.wfile.write(RESULT[1:])

    server.script = [watched]
    (ctl.folder / "old").write_text("old")
    (ctl.folder / "old").chmod(0o664)
    assert ctl("get", REFERENCE, "-o", "old").returncode == 0
    assert modes == [0o600] and (ctl.folder / "old").stat().st_mode & 0o777 == 0o664


@pytest.mark.parametrize("name", ["old", "link"])
def test_a_download_that_breaks_for_good_leaves_the_old_file_whole(ctl, server, name):
    (ctl.folder / "old").write_text("old")
    (ctl.folder / "link").symlink_to("old")
    before = sorted(path.name for path in ctl.folder.iterdir())
    server.script = [lambda h: result(h, cut=1000), refused(404, "deleted meanwhile")]
    assert ctl("get", REFERENCE, "-o", name).returncode == 7
    assert (ctl.folder / "old").read_text() == "old" and (ctl.folder / "link").is_symlink()
    assert sorted(path.name for path in ctl.folder.iterdir()) == before


def test_a_link_to_nothing_makes_the_file_that_it_names_or_none(ctl, server):
    (ctl.folder / "link").symlink_to("new")
    server.script = [refused(404, "unknown")]
    assert ctl("get", REFERENCE, "-o", "link").returncode == 7
    assert not (ctl.folder / "new").exists() and (ctl.folder / "link").is_symlink()
    server.script = [result]
    assert ctl("get", REFERENCE, "-o", "link").returncode == 0
    assert (ctl.folder / "new").read_bytes() == RESULT and (ctl.folder / "link").is_symlink()


def test_dev_stdout_is_standard_output_wherever_that_goes(ctl, server):
    server.script = [result]
    log = ctl.folder / "log"
    log.write_text("before\n")
    with open(log, "a") as out:
        assert subprocess.run([REPORTCTL, "get", REFERENCE, "-o", "/dev/stdout"], env={"HOME": str(ctl.folder)}, stdout=out,
                              timeout=60, check=False).returncode == 0
    assert log.read_bytes() == b"before\n" + RESULT
    assert ctl("get", REFERENCE, "-o", "/dev/stdout").out.encode() == RESULT
    assert ctl("get", REFERENCE, "-o", "/dev/null").returncode == 0 and Path("/dev/null").is_char_device()


def test_ctrl_c_ends_the_wait_for_a_reader_of_a_fifo(ctl, server):
    server.script = [done(REFERENCE), done("complete"), done({})]
    os.mkfifo(ctl.folder / "fifo")
    process = ctl("run", "R", "-o", "fifo", start=True)
    poll(lambda: len(server.asked) == 2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130 and server.asked[-1][0] == "DELETE"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting file systems takes root")
def test_a_full_disk_leaves_the_old_file_whole_and_nothing_else(ctl, server):
    server.script = [result]
    script = 'mount -t tmpfs -o size=64k none disk && cd disk && printf old >out && "$0" get "$1" -o out; echo $?; ls; cat out'
    (ctl.folder / "disk").mkdir()
    run = subprocess.run(["unshare", "-m", "sh", "-c", script, REPORTCTL, REFERENCE], env={"HOME": str(ctl.folder), "PATH": os.environ["PATH"]},
                         cwd=ctl.folder, capture_output=True, text=True, timeout=60, check=False)
    assert run.stdout == "6\nout\nold" and "cannot write out.part: No space left on device" in run.stderr
