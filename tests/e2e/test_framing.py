"""Where a request ends: framing_cases.py, sent directly and through nginx. No byte of a body ever runs as a request."""

import json
import os
import re
import shutil
import socket
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from framing_cases import CASES, CLOSED, GOOD, get
from harness import PASSWORD, PATIENCE, Server, poll

AT_ONCE = 32  # cases
HONEST, ROUNDS = 4, 25  # clients beside them, requests of each
HTTP_0_9 = "first line: no version"  # which nginx takes it for, and answers without a head
MADE_BY = re.compile(rb"^X-Request-Id: ([^\r]*)\r$", re.M | re.I)


@pytest.fixture(scope="module")
def framed(tmp_path_factory):
    server = Server.made(tmp_path_factory.mktemp("framed"))
    server.add_user("alice")
    server.start()
    server.token = server.client("alice", PASSWORD).token
    yield server
    assert server.stop() == 0
    server.check_log()


NGINX = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ }}
http {{
    access_log off;
    client_header_timeout 1s;
    client_body_timeout 1s;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream reportd {{
        server {address};
        keepalive 2;
    }}
    server {{
        listen unix:{folder}/nginx.sock;
        location / {{
            proxy_pass http://reportd;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
        }}
    }}
}}
"""


def listens(path):
    """A socket exists before anyone listens on it."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


@pytest.fixture(scope="module")
def nginx(framed, tmp_path_factory):
    """The path of its socket: it has two connections to the server, which it uses again and again."""
    folder = tmp_path_factory.mktemp("nginx")
    program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    assert program, "there is no nginx here; run: tools/deps"
    conf = folder / "nginx.conf"
    conf.write_text(NGINX.format(folder=folder, address=framed.url.removeprefix("http://"),
                                 user="user root;" if os.getuid() == 0 else ""))
    process = subprocess.Popen([program, "-p", folder, "-e", folder / "nginx.log", "-c", conf], stderr=subprocess.DEVNULL)
    try:
        poll(lambda: listens(folder / "nginx.sock"), what="nginx")
        yield str(folder / "nginx.sock")
    finally:
        process.terminate()
        process.wait()


def connect(at):
    """To a server, or to the socket of nginx."""
    if isinstance(at, Server):
        host, port = at.url.removeprefix("http://").split(":")
        return socket.create_connection((host, int(port)), PATIENCE)
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE)
    client.connect(at)
    return client


def next_request(mark):
    return get(b"X-Request-Id: " + mark, b"Connection: close")


def exchange(at, data, pieces=False):
    """All that comes until the connection is closed."""
    answer = b""
    with closing(connect(at)) as client:
        try:
            for piece in (data[i:i + 1] for i in range(len(data))) if pieces else [data]:
                client.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it is refused already
        try:
            while more := client.recv(65536):
                answer += more
        except ConnectionResetError:
            pass  # it is closed, with bytes that nobody has read
    return answer


def answers(data):
    """Pairs of a status and the X-Request-Id, of answers that are whole."""
    found = []
    while data.startswith(b"HTTP/1.1 "):
        head, _, rest = data.partition(b"\r\n\r\n")
        head += b"\r\n"
        size = re.search(rb"^Content-Length: (\d+)\r$", head, re.M | re.I)
        name = MADE_BY.search(head)
        found.append((int(head[9:12]), name and name.group(1)))
        data = rest[int(size.group(1)) if size else 0:]
    assert not data.startswith(b"HTTP"), data[:200]
    return found


def fill(raw, number, server):
    """The ids have the same length, which lengths in it count."""
    return raw.replace(b"SMUGGLED", b"smug%04d" % number).replace(b"TOKEN", server.token.encode())


def ids_run(server, at, mark):
    """The ids of all requests that have run: what is sent last shows when the log has them."""
    last = f"last-{mark}"
    assert answers(exchange(at, next_request(last.encode())))[0][0] == 200
    server.await_log(f"request={last} ")
    return re.findall(r" http\.answer request=(\S+)", server.log_text())


def try_case(framed, number, pieces=False):
    name, outcome, raw = CASES[number]
    mark = b"next-%d" % number
    found = answers(exchange(framed, fill(raw, number, framed) + next_request(mark), pieces))
    statuses = [status for status, _ in found]
    ids = [name for _, name in found if name is not None]
    wanted = {GOOD: [200, 200], CLOSED: []}.get(outcome, [outcome])
    if statuses != wanted or (mark in ids) != (outcome == GOOD):
        return ids, f"{name}: wanted {wanted}, got {found}"
    return ids, None


def check(framed, mark, numbers, **how):
    """Every answer is the right one, and what has run is what has been answered."""
    before = len(ids_run(framed, framed, f"before-{mark}"))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda number: try_case(framed, number, **how), numbers))
    assert not (wrong := [wrong for _, wrong in found if wrong]), "\n".join(wrong)
    run = Counter(ids_run(framed, framed, mark)[before:-1])
    assert run == Counter(name.decode() for ids, _ in found for name in ids)
    assert not any(name.startswith("smug") for name in run)


def test_there_are_as_many_cases_as_promised():
    assert len(CASES) >= 150 and len({name for name, _, _ in CASES}) == len(CASES)


def test_a_request_ends_where_http_says_and_after_a_rejection_nothing_runs(framed):
    check(framed, "direct", range(len(CASES)))


@pytest.mark.parametrize("kind", ["Host: two", "Content-Length: a body", "Transfer-Encoding: chunks with trailers",
                                  "Transfer-Encoding: and a length", "field: a folded one", "target: a URL with a query",
                                  "value: an Accept on two lines"])
def test_bytes_that_come_one_by_one_make_the_same_request(framed, kind):
    """And each on a connection on which other requests came before, so that its head is not where the first one was."""
    (number,) = (i for i, case in enumerate(CASES) if case[0] == kind)
    ids, wrong = try_case(framed, number, pieces=True)
    assert wrong is None
    name, outcome, raw = CASES[number]
    for count in (1, 7, 40):
        found = answers(exchange(framed, get() * count + fill(raw, number, framed) + next_request(b"end")))
        assert [status for status, _ in found] == [200] * count + ([200, 200] if outcome == GOOD else [outcome])


def statuses(server, *fields, target=b"/Common/HealthCheck", method=b"GET"):
    return [status for status, _ in answers(exchange(server, get(*fields, b"Connection: close", target=target, method=method)))]


ROOM = 12 * 1024  # bytes for a request and the headers of its answer


@pytest.mark.parametrize("status, begin", [(431, b"GET /Common/HealthCheck HTTP/1.1\r\nX-Long: "), (414, b"GET /Common/HealthCheck?x="), (414, b"GET /")])
def test_what_is_too_long_is_told_however_little_room_is_left(framed, status, begin):
    end = b"\r\nHost: x\r\n\r\n" if status == 431 else b" HTTP/1.1\r\nHost: x\r\n\r\n"
    for size in (ROOM - 1400, ROOM - 700, *range(ROOM - 320, ROOM + 320, 20)):
        head, _, body = exchange(framed, begin + b"x" * (size - len(begin) - len(end)) + end).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status) and b"\r\nConnection: close" in head, size
        assert len(body) == int(re.search(rb"Content-Length: (\d+)", head).group(1))
        if b"Content-Type: text/html" in head or b"<html>" in body:  # the library answers by itself
            assert size > ROOM - 180
            continue
        assert json.loads(body)["result"] is False and "too long" in json.loads(body)["message"]


def test_a_list_on_several_lines_is_one_list(framed):
    etag = get_etag(framed)
    for others in ([b'"a"'], [b'"a", "b"', b'"c"']):
        lines = [b"If-None-Match: " + value for value in [*others, etag]]
        assert statuses(framed, *lines, target=b"/") == [304]
        assert statuses(framed, *lines[:-1], target=b"/") == [200]
    assert b"Content-Encoding: gzip" in exchange(framed, get(b"Accept-Encoding: br", b"Accept-Encoding: gzip", b"Connection: close", target=b"/console/app.js"))


def get_etag(server):
    return re.search(rb"^ETag: (.*)\r$", exchange(server, get(b"Connection: close", target=b"/")), re.M).group(1)


def test_the_host_of_a_url_counts_and_not_the_header(framed):
    """An Origin has to be that of the server where the cookie counts."""
    def status(target, host):
        return statuses(framed, b"Host: " + host, b"Origin: http://reports.example", b"Version: 2.0", b"Cookie: rd_refresh=x",
                        b"Content-Length: 0", target=target, method=b"POST")

    assert status(b"http://reports.example/User/RefreshToken", b"evil.example") == [401]
    assert status(b"http://evil.example/User/RefreshToken", b"reports.example") == [403]
    assert status(b"/User/RefreshToken", b"reports.example") == [401]
    assert status(b"/User/RefreshToken", b"evil.example") == [403]


class Honest:
    """Clients beside those of the corpus, through the same two connections: each gets the answers to its own requests."""

    def __init__(self, at):
        self.at = at

    def run(self, client):
        with closing(connect(self.at)) as one:
            for i in range(ROUNDS):
                mark = b"honest-%d-%d" % (client, i)
                one.sendall(get(b"X-Request-Id: " + mark))
                answer = b""
                while not answer.endswith(b"}}"):
                    more = one.recv(65536)
                    assert more, answer
                    answer += more
                assert answers(answer) == [(200, mark)]
        return True


def through_nginx(framed, at, number):
    """The ids of its answers, and what is wrong with them: a 5xx that is not by a rule, or the next answer not the last."""
    name, outcome, raw = CASES[number]
    mark = b"next-%d" % number
    found = answers(exchange(at, fill(raw, number, framed) + next_request(mark)))
    ids = [made for _, made in found if made is not None]
    allowed = {501} if name.startswith("Transfer-Encoding") else {505} if name.startswith("first line: HTTP/") else set()
    if mark in ids[:-1] or any(status >= 500 and status not in allowed for status, _ in found):
        return ids, f"{name}: {found}"
    return ids, None


def test_through_nginx_no_request_is_smuggled_and_answers_stay_in_step(framed, nginx):
    """What runs is what nginx has sent for a client that got an answer to it. (nginx may read a request that reportd rejects: it
    then runs what comes behind it, as the next one of that client.)"""
    before = len(ids_run(framed, nginx, "before-nginx"))
    honest = Honest(nginx)
    with ThreadPoolExecutor(HONEST) as beside, ThreadPoolExecutor(AT_ONCE) as pool:
        rounds = beside.map(honest.run, range(HONEST))
        numbers = [number for number, case in enumerate(CASES) if case[0] != HTTP_0_9]
        found = list(pool.map(lambda number: through_nginx(framed, nginx, number), numbers))
        assert all(rounds)
    assert not (wrong := [wrong for _, wrong in found if wrong]), "\n".join(wrong)
    run = Counter(name for name in ids_run(framed, nginx, "nginx")[before:-1] if not name.startswith("honest-"))
    answered = Counter(name.decode() for ids, _ in found for name in ids)
    assert run - answered == answered - run == Counter()
