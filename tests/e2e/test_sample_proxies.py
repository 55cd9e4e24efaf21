"""nginx and HAProxy in front of the server, as their files in etc/ have it, with other ports and paths only."""

import contextlib
import http.client
import re
import shutil
import signal
import socket
import ssl
import subprocess

import pytest

from certificates import Authority
from events import Events
from harness import PASSWORD, PATIENCE, ROOT, Client, Server, poll
from raw_http import log_in, port_of, talk

TRIES = 5  # for a port that nobody takes meanwhile
ROWS = 20000


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def replace(text, **words):
    """The sample with other words, each of which is there once."""
    for old, new in words.values():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


class Proxy:
    """One that runs. `url` and `trust` as a Server has them."""

    def __init__(self, folder, server, authority):
        self.folder, self.server, self.trust = folder, server, str(authority.file)
        folder.mkdir()
        authority.issue("proxy", folder / "one.pem", folder / "one.key")
        (folder / "both.pem").write_bytes((folder / "one.pem").read_bytes() + (folder / "one.key").read_bytes())
        for _ in range(TRIES):
            port = free_port()
            self.url = f"https://127.0.0.1:{port}"
            self.process = subprocess.Popen(self.command(port), cwd=folder, stdout=subprocess.DEVNULL,
                                            stderr=(folder / "stderr").open("wb"))
            if poll(lambda: self.process.poll() is not None or self.is_open(port), what="the proxy's port") and self.process.poll() is None:
                return
        raise AssertionError((folder / "stderr").read_text())

    @staticmethod
    def is_open(port):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True
        return False

    def command(self, port):
        raise NotImplementedError

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)

    def client(self, name="alice", address=None):
        client = Client(self.url, address=address, trust=self.trust)
        client.login(name)
        return client

    def connect(self, source="127.0.0.1"):
        plain = socket.create_connection(("127.0.0.1", port_of(self.url)), PATIENCE, (source, 0))
        context = ssl.create_default_context(cafile=self.trust)
        context.set_alpn_protocols(["http/1.1"])
        return context.wrap_socket(plain, server_hostname="127.0.0.1")


class Nginx(Proxy):
    def command(self, port):
        folder = self.folder
        (folder / "reportd.conf").write_text(replace(
            (ROOT / "etc/nginx-reportd.conf").read_text(),
            port=("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"), log=("/var/log/nginx/reportd.log", f"{folder}/access.log"),
            socket=("server unix:/run/reportd/reportd.sock", f"server unix:{self.server.folder}/reportd.sock"),
            certificate=("/etc/ssl/reportd/fullchain.pem", f"{folder}/one.pem"),
            key=("/etc/ssl/reportd/privkey.pem", f"{folder}/one.key")))
        temp = "".join(f"    {name}_temp_path {folder}/temp;\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;\n" if (folder.stat().st_uid == 0) else ""
        (folder / "nginx.conf").write_text(f"{user}pid {folder}/pid;\ndaemon off;\nevents {{}}\nhttp {{\n{temp}    include {folder}/reportd.conf;\n}}\n")
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        return [program, "-p", folder, "-e", folder / "stderr", "-c", folder / "nginx.conf"]


class Haproxy(Proxy):
    def command(self, port):
        folder = self.folder
        (folder / "reportd.cfg").write_text(replace(
            (ROOT / "etc/haproxy-reportd.cfg").read_text(),
            port=("bind :443", f"bind 127.0.0.1:{port}"), certificate=("/etc/haproxy/reportd.pem", f"{folder}/both.pem"),
            server=("server reportd 127.0.0.1:8080", f"server reportd 127.0.0.1:{port_of(self.server.url)}")))
        program = shutil.which("haproxy") or "/usr/sbin/haproxy"
        return [program, "-db", "-f", folder / "reportd.cfg"]


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    server = Server.made(tmp_path_factory.mktemp("samples") / "server", listen="127.0.0.1:0 unix:reportd.sock",
                         trusted_proxies="127.0.0.1 unix:")
    server.add_user("alice")
    for name, allow in (("far", "192.0.2.0/24"), ("near", "127.0.0.5")):
        server.user("add", name, "--grant", "*", "--allow", allow, stdin=PASSWORD + "\n")
    yield server.start()
    assert server.stop() == 0
    server.check_log()


@pytest.fixture(scope="module", params=[Nginx, Haproxy], ids=["nginx", "haproxy"])
def proxy(request, behind, tmp_path_factory):
    folder = tmp_path_factory.mktemp("proxy")
    proxy = request.param(folder / "proxy", behind, Authority(folder / "authority"))
    yield proxy
    proxy.close()


def test_a_report_lives_behind_it(proxy):
    alice = proxy.client()
    with Events(alice) as events:
        reference = alice.submit("Big", {"Rows": str(ROWS)}, {"Prefer": "wait=30"}).json()["data"]
        assert alice.finish(reference).json()["data"] == "complete"
        events.wait_for(reference, "complete")  # while the stream goes on
        whole = alice.result(reference).content
        assert len(whole) > 500000
        part = alice.result(reference, {"Range": "bytes=1000-200999"})
        assert part.status_code == 206 and part.content == whole[1000:201000]
        assert alice.get(f"/Report?reference={reference}&format=csv").text.count("\n") == ROWS + 1
        assert alice.delete(reference).json()["result"] is True
        events.wait_for(reference, "deleted")


@pytest.mark.parametrize("file, limits", [("nginx-reportd.conf", ["proxy_read_timeout"]),
                                          ("haproxy-reportd.cfg", ["timeout client", "timeout server"])])
def test_the_time_limits_of_a_sample_are_above_the_longest_wait(behind, file, limits):
    alice = behind.client("alice")
    applied = alice.status(alice.complete("Quick", ProductID="1"), {"Prefer": "wait=3600"}).headers["Preference-Applied"]
    longest = int(applied.removeprefix("wait="))
    for limit in limits:
        (seconds,) = re.findall(rf"^\s*{limit}\s+(\d+)s\b", (ROOT / "etc" / file).read_text(), re.M)
        assert int(seconds) > longest > 0


def test_the_console_logs_in_behind_it(proxy):
    """Its cookie is Secure, and its Origin is the server's own: the proxy passes Host on."""
    status, head = log_in(proxy.connect(), "alice", [("Origin", "https://localhost")], "?cookie=1")
    assert status == 200 and "; Secure" in head, head


def test_a_client_has_its_own_address_and_no_other(proxy):
    assert log_in(proxy.connect("127.0.0.5"), "near")[0] == 200
    assert log_in(proxy.connect("127.0.0.6"), "near")[0] == 401
    for name, value in [("X-Forwarded-For", "192.0.2.7"), ("Forwarded", "for=192.0.2.7"), ("X-Real-IP", "192.0.2.7")]:
        assert log_in(proxy.connect("127.0.0.6"), "far", [(name, value), (name, value)])[0] == 401
        assert log_in(proxy.connect("127.0.0.5"), "near", [(name, value)])[0] == 200


@pytest.mark.parametrize("path", ["/metrics", "/METRICS", "/Metrics", "/metrics/", "/metrics%2f", "/%6detrics", "//metrics", "/./metrics",
                                  "/metrics?x=1", "/x/../metrics"])
def test_metrics_have_no_spelling_behind_it(proxy, path):
    status, _, text = talk(proxy.connect(), "GET", path)
    assert status in (400, 404) and "reportd_" not in text


@pytest.mark.parametrize("name, request_", [
    ("NUL in a value", b"X: a\0b\r\n"), ("bare CR in a value", b"X: a\rb\r\n"), ("folding", b"X: a\r\n b\r\n"),
    ("blank before a colon", b"Content-Length : 0\r\n"), ("two lengths", b"Content-Length: 0\r\nContent-Length: 5\r\n"),
    ("two codings", b"Transfer-Encoding: gzip, chunked\r\n"), ("length and coding", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")])
def test_what_the_library_lets_through_does_not_get_through(proxy, name, request_):
    """No byte after such a head is a second request."""
    smuggled = b"0\r\n\r\nGET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    with proxy.connect() as client:
        client.sendall(b"POST /User/Login HTTP/1.1\r\nHost: x\r\nVersion: 2.0\r\n" + request_ + b"\r\n" + smuggled)
        client.settimeout(PATIENCE)
        answer = http.client.HTTPResponse(client)
        answer.begin()
        assert 400 <= answer.status < 600, name
        assert b"openapi" not in answer.read()


def test_a_body_that_is_too_large_is_refused(proxy):
    """As soon as its length is said."""
    assert talk(proxy.connect(), "POST", "/User/Login", [("Content-Type", "application/json"), ("Content-Length", "300000")])[0] == 413


def test_nothing_of_a_result_stays_in_its_folder(proxy):
    alice = proxy.client()
    reference = alice.complete("Big", Rows=str(ROWS))
    answer = alice.result(reference, stream=True)
    answer.raw.read(1000)
    assert Client(alice.url, alice.token, trust=proxy.trust).delete(reference).json()["result"] is True
    answer.close()
    assert not [path for path in proxy.folder.rglob("*") if path.is_file() and b"row number" in path.read_bytes()]
