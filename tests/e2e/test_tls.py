"""TLS in the server: what is spoken, the certificate and its replacement, and the life of a report over it."""

import contextlib
import hashlib
import json
import signal
import socket
import ssl

import pytest
import requests

from certificates import Authority
from events import Events
from harness import PASSWORD, PATIENCE, SOON, Client, Server, Threads, poll
from raw_http import connect, connect_unix, log_in, port_of, talk
from test_reportctl import Ctl

ROWS = 20000


def made(folder, **config):
    """A server with a certificate, and its authority."""
    authority = Authority(folder.with_name(folder.name + "-authority"))
    server = Server.made(folder, **{"tls_certificate": "tls.pem", "tls_key": "tls.key", **config})
    authority.issue("one", folder / "tls.pem", folder / "tls.key")
    server.trust = str(authority.file)
    server.add_user("alice")
    return server, authority


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """One that listens on a port with TLS and on a Unix socket without."""
    folder = tmp_path_factory.mktemp("tls") / "server"
    server, _ = made(folder, listen="127.0.0.1:0 unix:plain.sock")
    yield server.start()
    assert server.stop() == 0
    server.check_log()


@pytest.fixture
def own(tmp_path):
    """A server of the test's own, and its authority, not started: own(listen=…)."""
    servers = []

    def make(**config):
        server, authority = made(tmp_path / f"server{len(servers)}", **config)
        servers.append(server)
        return server, authority

    yield make
    for server in servers:
        if server.process is not None:
            assert server.stop() == 0
        server.check_log()


def context_of(server, **options):
    context = ssl.create_default_context(cafile=server.trust)
    for name, value in options.items():
        setattr(context, name, value)
    return context


def open_tls(server, context=None):
    context = context or context_of(server)
    return context.wrap_socket(connect(server), server_hostname="127.0.0.1")


def test_reportctl_lives_over_tls_with_the_authority_that_it_is_given(secure, tmp_path):
    ctl = Ctl(tmp_path, secure.url, "alice")
    status, _, err = ctl.login()
    assert status != 0 and "certificate" in err
    status, _, err = ctl("login", "--server", secure.url, "-u", "alice", "--cacert", secure.trust, line=PASSWORD)
    assert status == 0 and "not encrypted" not in err
    watch = ctl.start("watch")
    try:
        ctl.good("run", "Big", f"Rows={ROWS}", "-o", "big.json")
        reference = ctl.good("submit", "Quick", "ProductID=1", "--wait")
        ctl.good("get", reference, "-o", "quick.json")
        ctl.good("delete", reference)
        assert len(json.loads((tmp_path / "big.json").read_text())["data"]["results"]) == ROWS
        assert json.loads((tmp_path / "quick.json").read_text())["data"]["reportName"] == "Quick"
        while "deleted" not in (line := watch.stdout.readline()) or reference not in line:
            assert line, watch.stderr.read()
    finally:
        watch.send_signal(signal.SIGINT)
        assert watch.wait(PATIENCE) == 130


class Sealed:
    """A client that says it will send no more in TLS (close_notify), and not in TCP."""

    def __init__(self, server, version):
        context = context_of(server, minimum_version=version, maximum_version=version)
        self.socket = connect(server)
        self.socket.settimeout(SOON)
        self.come, self.go = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.come, self.go, server_hostname="127.0.0.1")
        self.until(self.tls.do_handshake)

    def until(self, step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.socket.sendall(self.go.read())
                more = self.socket.recv(65536)
                if not more:
                    return b""
                self.come.write(more)

    def send(self, data):
        self.tls.write(data)
        self.socket.sendall(self.go.read())

    def receive(self):
        return self.until(lambda: self.tls.read(65536))

    def close_notify(self):
        with contextlib.suppress(ssl.SSLError):  # it has to read, or reads more of a stream
            self.tls.unwrap()
        self.socket.sendall(self.go.read())


def request(client, path, *headers):
    lines = [f"GET {path} HTTP/1.1", "Host: x", "Version: 2.0", f"Authorization: {client.token}", *headers, "", ""]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize("status, request_", [(431, b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 12000), (414, b"GET /?" + b"x" * 12000 + b" HTTP/1.1")])
def test_what_is_too_long_is_told_over_tls(secure, status, request_):
    with open_tls(secure) as client:
        client.sendall(request_ + b"\r\n\r\n")
        assert client.recv(65536).startswith(f"HTTP/1.1 {status} ".encode())


def is_over(connection):
    try:
        return connection.recv(65536) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_close_notify_ends_a_wait_and_a_stream(secure, version):
    alice = secure.client("alice")
    reference = alice.order("Endless")
    waiting, stream = Sealed(secure, version), Sealed(secure, version)
    with waiting.socket, stream.socket:
        waiting.send(request(alice, f"/Report/Status?reference={reference}", f"Prefer: wait={2 * SOON}"))
        waiting.close_notify()
        assert waiting.socket.recv(1) == b"\x17"  # the answer is on its way, as application data
        stream.send(request(alice, "/Report/Events"))
        assert stream.receive().startswith(b"HTTP/1.1 200 ")
        stream.close_notify()
        poll(lambda: is_over(stream.socket), SOON, "the end of the stream")
    alice.delete_all()


def test_a_report_lives_over_tls_as_over_a_plain_socket(secure):
    assert secure.url.startswith("https://127.0.0.1:")
    alice = secure.client("alice")
    with Events(alice) as events:
        answer = alice.submit("Big", {"Rows": str(ROWS)}, {"Prefer": "wait=30"})
        reference = answer.json()["data"]
        assert alice.finish(reference).json()["data"] == "complete"
        events.wait_for(reference, "complete")
        whole = alice.result(reference)
        assert whole.status_code == 200 and len(whole.content) == int(whole.headers["Content-Length"])
        part = alice.result(reference, {"Range": "bytes=1000-200999"})
        assert part.status_code == 206 and part.content == whole.content[1000:201000]
        for form in ("json", "ndjson", "csv"):
            query = f"/Report?reference={reference}&format={form}"
            local = talk(connect_unix(secure.folder / "plain.sock"), "GET", query,
                         [("Authorization", alice.token), ("Accept-Encoding", "identity")])[2]
            remote = alice.get(query)
            assert remote.status_code == 200
            if form != "json":
                assert remote.headers["Transfer-Encoding"] == "chunked"
                local = join_chunks(local)
            assert hashlib.sha256(remote.content).digest() == hashlib.sha256(local.encode()).digest(), form
        assert alice.get(f"/Report?reference={reference}&format=xlsx").content[:2] == b"PK"
        zipped = alice.get(f"/Report?reference={reference}&format=csv", {"Accept-Encoding": "gzip"})
        assert zipped.headers["Content-Encoding"] == "gzip" and zipped.text.count("\n") == ROWS + 1
        assert alice.delete(reference).json()["result"] is True
        events.wait_for(reference, "deleted")


def join_chunks(text):
    """The content of chunks (RFC 9112, 7.1); the text is ASCII."""
    content = []
    while True:
        size, _, text = text.partition("\r\n")
        if int(size, 16) == 0:
            return "".join(content)
        content.append(text[:int(size, 16)])
        text = text[int(size, 16) + 2:]


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_slow_client_over_tls_gets_all_of_it_and_none_of_a_deleted_one(secure, form):
    """The sender meets a full socket in the middle of a record, and goes on later."""
    alice = secure.client("alice")
    reference = alice.complete("Big", Rows="60000")
    query = f"/Report?reference={reference}&format={form}"
    expected = alice.get(query).content
    with begin(secure, alice, query) as slow:
        got = slow.recv(1000)
        poll(lambda: unread(slow) > 100000, what="bytes that wait for the client")
        while more := slow.recv(65536):
            got += more
    body = got.partition(b"\r\n\r\n")[2]
    assert (join_chunks(body.decode()).encode() if form == "csv" else body) == expected
    with begin(secure, alice, query) as slow:
        got = slow.recv(1000)
        poll(lambda: unread(slow) > 100000, what="bytes that wait for the client")
        assert Client(alice.url, alice.token, trust=secure.trust).delete(reference).json()["result"] is True
        with contextlib.suppress(OSError):
            while more := slow.recv(65536):
                got += more
        assert len(got) < len(expected)


def begin(server, client, query):
    """A connection on which the answer is on its way; its buffer is small."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.settimeout(PATIENCE)
    plain.connect(("127.0.0.1", port_of(server.url)))
    secured = context_of(server).wrap_socket(plain, server_hostname="127.0.0.1")
    secured.sendall(f"GET {query} HTTP/1.1\r\nHost: localhost\r\nVersion: 2.0\r\nAuthorization: {client.token}\r\n"
                    "Accept-Encoding: identity\r\nConnection: close\r\n\r\n".encode())
    return secured


def unread(secured):
    """Bytes that the server's kernel has for this client: what it has not acknowledged, by /proc/net/tcp."""
    local, remote = secured.getpeername()[1], secured.getsockname()[1]
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table:
            fields = line.split()
            if fields[1].endswith(f":{local:04X}") and fields[2].endswith(f":{remote:04X}"):
                return int(fields[4].split(":")[0], 16)
    return 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_of_today_is_spoken_and_http_1_1_agreed_on(secure, version):
    context = context_of(secure, minimum_version=version, maximum_version=version)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with open_tls(secure, context) as client:
        assert client.version() == version.name.replace("_", ".")
        assert client.selected_alpn_protocol() == "http/1.1"
        assert talk(client, "GET", "/Common/HealthCheck")[0] == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version, ciphers", [
    ("TLSv1", None), ("TLSv1_1", None), ("TLSv1_2", "AES128-GCM-SHA256"), ("TLSv1_2", "ECDHE-ECDSA-AES128-SHA256"),
    ("TLSv1_2", "ECDHE-ECDSA-AES128-SHA"), ("TLSv1_2", "aNULL"), ("TLSv1_2", "ECDHE-ECDSA-AES128-CCM8")])
def test_old_versions_and_weak_ciphers_are_refused(secure, version, ciphers):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(secure.trust)
    context.set_ciphers((ciphers or "ALL") + ":@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with pytest.raises((ssl.SSLError, OSError)):
        open_tls(secure, context)


def test_plain_http_on_a_port_with_tls_is_told_to_use_https(secure):
    status, head, text = talk(connect(secure), "GET", "/Common/HealthCheck")
    assert status == 400 and "Connection: close" in head and "https://" in text
    assert requests.get(secure.url.replace("https", "http"), timeout=PATIENCE).status_code == 400
    with connect(secure) as garbage:
        garbage.sendall(b"\0\1\2\3" * 100)
        with contextlib.suppress(OSError):
            while garbage.recv(4096):
                pass
    assert secure.client("alice").get("/Report/Types").status_code == 200


def test_the_cookie_is_secure_over_tls_and_not_without(secure):
    status, head = log_in(open_tls(secure), "alice", query="?cookie=1")
    assert status == 200 and "; Secure" in head
    status, head = log_in(connect_unix(secure.folder / "plain.sock"), "alice", query="?cookie=1")
    assert status == 200 and "; Secure" not in head


def test_a_full_server_answers_with_an_alert(own):
    server, _ = own(connections=10)
    server.start()
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connect(server, f"127.0.0.{2 + i}")) for i in range(10)]
        with pytest.raises(ssl.SSLError, match="(?i)internal.error"):
            open_tls(server)
        held[0].close()
        poll(lambda: is_served(server), what="a place")


def is_served(server):
    try:
        return talk(open_tls(server), "GET", "/Common/HealthCheck")[0] == 200
    except OSError:
        return False


def serial_of(server):
    with open_tls(server) as client:
        return int(client.getpeercert()["serialNumber"], 16)


def reload(server):
    """SIGHUP, and wait until the certificate has been read; returns that line of the log."""
    before = len(reloads(server))
    server.process.send_signal(signal.SIGHUP)
    poll(lambda: len(reloads(server)) > before, what="the reload")
    return reloads(server)[-1]


def reloads(server):
    return [line for line in server.log_text().splitlines(True) if "tls.reload" in line and line.endswith("\n")]


class Load(Threads):
    """Threads that ask again and again, each time on a connection of their own, until it ends."""

    def __init__(self, server, threads=3):
        super().__init__(threads)
        self.server, self.failures, self.answers = server, [], 0

    def run(self, _):
        context = context_of(self.server)
        while not self.over:
            try:
                status = talk(open_tls(self.server, context), "GET", "/openapi.json")[0]
                self.answers += 1
                if status != 200:
                    self.failures.append(status)
            except OSError as error:
                self.failures.append(error)

    def go_on(self):
        """Until each thread has asked at least once more."""
        enough = self.answers + 2 * len(self.threads)
        poll(lambda: self.answers >= enough or self.failures, what="answers")


def test_a_certificate_is_replaced_under_load_and_no_request_fails(own):
    server, authority = own()
    server.start()
    certificate, key = server.folder / "tls.pem", server.folder / "tls.key"
    with open_tls(server) as kept, Load(server) as load:
        for round_, kind in enumerate(["rsa", "ec", "rsa", "ec", "ec"]):
            serial = authority.issue(f"round {round_}", certificate, key, kind=kind)
            load.go_on()
            assert "replaced=1" in reload(server)
            assert serial_of(server) == serial
            load.go_on()
        assert "replaced=0" in reload(server)
        assert talk(kept, "GET", "/Common/HealthCheck")[0] == 200
    assert load.failures == [] and load.answers > 50


def test_a_bad_new_certificate_keeps_the_old_one_and_says_why(own):
    server, authority = own()
    server.start()
    certificate, key = server.folder / "tls.pem", server.folder / "tls.key"
    serial, good = serial_of(server), (certificate.read_bytes(), key.read_bytes())
    bad = [(lambda: certificate.write_text("nonsense"), "no certificate in PEM"),
           (lambda: key.write_text("nonsense"), "no private key"),
           (lambda: authority.issue("x", certificate, server.folder / "other.key"), "is not that of the certificate"),
           (lambda: authority.issue("x", certificate, key, days=-1), "has expired"),
           (lambda: key.chmod(0o604), "chmod o="), (certificate.unlink, "No such file")]
    for spoil, word in bad:
        spoil()
        line = reload(server)
        assert line.split()[1] == "error" and word in line, line
        assert serial_of(server) == serial
        certificate.write_bytes(good[0])
        key.write_bytes(good[1])
        key.chmod(0o600)
    assert "replaced=0" in reload(server)


def test_certificate_and_key_may_be_in_one_file_that_others_may_not_read(own):
    server, authority = own(tls_key="")
    both = server.folder / "tls.pem"
    authority.issue("both", both, both)
    server.start()
    assert server.client("alice").get("/Report/Types").status_code == 200
    assert server.stop() == 0
    both.chmod(0o644)
    done = server.run("serve", "-c", "reportd.conf")
    assert done.returncode == 1 and "chmod o=" in done.stderr


@pytest.mark.parametrize("config, word", [
    ({"tls_certificate": ""}, "tls_key is set without tls_certificate"),
    ({"tls_certificate": "missing.pem"}, "missing.pem"), ({"tls_key": "tls.pem"}, "chmod o=")])
def test_a_start_without_a_usable_certificate_is_an_error_that_says_so(own, config, word):
    server, _ = own()
    server.configure(tls_certificate=config.get("tls_certificate", "tls.pem"), tls_key=config.get("tls_key", "tls.key"))
    (server.folder / "tls.pem").chmod(0o644)
    done = server.run("serve", "-c", "reportd.conf")
    assert done.returncode == 1 and word in done.stderr, done.stderr
    for verb in ["serve", "--check"], ["check"]:
        done = server.run(*verb, "-c", "reportd.conf")
        assert done.returncode == 1 and word in done.stdout + done.stderr, done


def test_an_expired_certificate_is_served_with_a_warning(own):
    server, authority = own()
    authority.issue("old", server.folder / "tls.pem", server.folder / "tls.key", days=-1)
    server.start()
    server.await_log("the certificate has expired")
    with pytest.raises(ssl.SSLCertVerificationError):
        open_tls(server)
