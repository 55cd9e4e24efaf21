"""Keys of identity providers that are fetched: doc/config.md § Identity providers."""

import collections
import contextlib
import functools
import json
import os
import queue
import re
import subprocess
import threading
from pathlib import Path

import pytest

from certificates import Authority
from conftest import ALICE
from fake_clock import MINUTE, SECOND
from forged_tokens import headers_and_algorithms, kids
from harness import PASSWORD, PATIENCE, ROOT, Client, Server, Threads, failed, opens, poll, processes_below
from key_server import UrlProvider
from provider import Provider, new_key
from raw_http import connect
from stores import STORES

AGAIN = 31 * SECOND  # a token may have the keys fetched again


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def make_provider(tmp_path, authority):
    made = []

    def make(name="corp", trust=authority, **options):
        made.append(UrlProvider(tmp_path / name, trust, name, **options))
        return made[-1]

    yield make
    for provider in made:
        provider.close()


@pytest.fixture
def provider(make_provider):
    return make_provider()


def together(*calls):
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def processes_that_fetch(server):
    return [pid for pid in processes_below(server.process.pid) if b"fetch" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@contextlib.contextmanager
def asked(server, token):
    """A request that waits: yields the queue that gets its answer."""
    answers = queue.Queue()
    thread = threading.Thread(target=lambda: answers.put(Client(server.url, token).get("/User/Me")))
    thread.start()
    yield answers
    thread.join()


@contextlib.contextmanager
def hanging(provider):
    """It takes requests and does not answer, until the event that is yielded is set."""
    go = threading.Event()

    def answer(request):
        go.wait(PATIENCE)
        provider.serve(request)

    provider.answer(answer)
    try:
        yield go
    finally:
        go.set()
        provider.answer(provider.serve)


def test_keys_come_over_https_and_a_new_one_when_a_token_names_it(clock, make_server, provider):
    server = make_server(sections=provider.section())
    assert opens(server, provider.token()) and opens(server, provider.token(n=2))
    assert provider.fetches == 1
    new = new_key(kid="two")
    provider.publish(provider.key, new)
    assert not opens(server, provider.token(key=new)) and provider.fetches == 1
    clock.jump(AGAIN)
    assert opens(server, provider.token(key=new)) and provider.fetches == 2
    provider.publish(new)
    server.reload()  # as often as the operator asks
    poll(lambda: not opens(server, provider.token()), what="the end of the old key")
    assert opens(server, provider.token(key=new)) and provider.fetches == 3


def test_a_key_that_is_gone_opens_nothing_after_five_minutes(clock, make_server, provider):
    server = make_server(sections=provider.section())
    token = provider.token()
    assert opens(server, token)
    provider.publish(new_key(kid="two"))
    assert opens(server, token) and provider.fetches == 1
    clock.jump(5 * MINUTE)
    poll(lambda: not opens(server, token), what="the end of the old key")
    assert provider.fetches == 2


def test_http_is_for_this_machine_only(make_server, make_provider, tmp_path):
    provider = make_provider(trust=None)
    server = make_server(sections=provider.section())
    assert opens(server, provider.token())


@pytest.mark.parametrize("values, problem", [
    ({"keys": "http://login.example.com/jwks"}, "http only on this machine"),
    ({"keys": "http://127.0.0.1.example.com/jwks"}, "http only on this machine"),
    ({"keys": "http://127.0.0.1@example.com/jwks"}, "without a user"),
    ({"keys": "https://me:secret@example.com/jwks"}, "without a user"),
    ({"keys": "https:///jwks"}, "an https URL"),
    ({"keys_ca": "nothing.pem"}, "can't be read"),
    ({"keys": "corp.jwks"}, "keys_ca is for an https URL")])
def test_a_url_that_proves_nothing_is_refused(tmp_path, provider, values, problem):
    server = Server.made(tmp_path / "server", sections=provider.section(**values))
    done = server.run("serve", "--check", "-c", "reportd.conf")
    assert done.returncode == 1 and problem in done.stderr, done.stderr
    assert "secret" not in done.stderr


def test_authorities_that_others_may_write_are_refused(tmp_path, make_provider):
    other = Authority(tmp_path / "other")
    other.file.chmod(0o666)
    provider = make_provider(trust=other)
    server = Server.made(tmp_path / "server", sections=provider.section())
    done = server.run("serve", "--check", "-c", "reportd.conf")
    assert done.returncode == 1 and "chmod go-w" in done.stderr


def test_the_three_ways_in_work_as_they_stand(make_server, provider):
    """The lines of doc/api.md; the provider's address, and the password, are the test's."""
    server = make_server(sections=provider.section())
    (lines,) = re.findall(r"^## Three ways in\n.*?^```sh\n(.*?)^```", (ROOT / "doc/api.md").read_text(), re.S | re.M)
    made = server.run("key", "add", "nightly", "--user", ALICE, "-c", "reportd.conf")
    (server.folder / "nightly.key").write_text(made.stdout)
    lines = lines.replace("…", PASSWORD).replace("https://login.example.com", provider.keys_url.removesuffix("/jwks"))
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", lines], cwd=server.folder, capture_output=True, text=True, timeout=PATIENCE,
                          env={**os.environ, "URL": server.url.rstrip("/"), "CURL_CA_BUNDLE": str(provider.authority.file)})
    assert done.returncode == 0, done.stderr
    assert re.findall(r'"name": *"(.*?)"', done.stdout) == [ALICE, ALICE, "corp:machine"], done.stdout


# --- new keys -------------------------------------------------------------------------------------

BATCH = 50


def send_batch(stream, token):
    """Requests that follow each other without waiting; returns the statuses of their answers."""
    stream.write(f"GET /User/Me HTTP/1.1\r\nHost: localhost\r\nVersion: 2.0\r\nAuthorization: {token}\r\n\r\n".encode() * BATCH)
    stream.flush()
    for _ in range(BATCH):
        line, size = stream.readline(), 0
        while (header := stream.readline()) != b"\r\n":
            if header.lower().startswith(b"content-length:"):
                size = int(header.split(b":")[1])
        stream.read(size)
        yield int(line.split()[1])


class Senders(Threads):
    """Four clients; each asks for another token after every batch, and does not look into it."""

    def __init__(self, server, provider):
        super().__init__(4)
        self.server, self.provider, self.key = server, provider, provider.key
        self.done = [0] * len(self.threads)
        self.statuses = collections.Counter()

    def run(self, number):
        counts = collections.Counter()
        with connect(self.server) as connection, connection.makefile("rwb") as stream:
            while not self.over:
                counts.update(send_batch(stream, self.provider.token(key=self.key, by=number, n=self.done[number])))
                self.done[number] += 1
        self.statuses += counts

    def go_on(self, requests):
        """Until there have been so many, and each has used what was there before this call."""
        before = list(self.done)
        poll(lambda: sum(self.done) * BATCH >= requests and all(now > was + 1 for now, was in zip(self.done, before)), what="requests")


@pytest.mark.stores(*STORES)
def test_new_keys_refuse_none_of_10000_requests(clock, make_server, provider, store_kind):
    """The provider signs with a key as soon as it has published it."""
    requests, rotations = (10_000, 5) if store_kind == "sqlite" else (500, 2)
    server = make_server(sections=provider.section(), log_level="warn")
    keys = [provider.key]
    with Senders(server, provider) as senders:
        for number in range(1, rotations + 1):
            senders.go_on(number * requests / (rotations + 1))
            keys.append(new_key(kid=f"key {number}"))
            provider.publish(*keys[-2:])
            clock.jump(AGAIN)
            senders.key = keys[-1]
        senders.go_on(requests)
    assert senders.statuses == {200: sum(senders.done) * BATCH}
    assert provider.fetches == 1 + rotations


# --- providers that are down, slow or hostile -----------------------------------------------------


def test_a_provider_that_hangs_delays_nobody_else(make_server, provider, tmp_path):
    other = Provider(tmp_path, "other")
    with hanging(provider) as go:
        server = make_server(sections=provider.section() + other.section())
        with asked(server, provider.token()) as answers:
            poll(lambda: provider.fetches == 1, what="the fetch")
            for _ in range(20):  # more than there are HTTP threads
                assert opens(server, other.token())
            assert server.client(ALICE).list().status_code == 200
            assert answers.empty()
            go.set()
        assert answers.get().status_code == 200
    assert provider.fetches == 1


def test_what_waits_for_a_provider_that_hangs_is_told_to_come_back(clock, make_server, provider):
    server = make_server(sections=provider.section())
    assert opens(server, provider.token())
    new = new_key(kid="two")
    with hanging(provider):
        clock.jump(AGAIN)
        with asked(server, provider.token(key=new)) as answers:
            poll(lambda: provider.fetches == 2, what="the fetch")
            clock.jump(7 * SECOND)
        answer = answers.get()
        failed(answer, 503, "cannot be fetched")
        assert answer.headers["Retry-After"] == "30"
        server.await_log("it took more than 5 s")
        assert opens(server, provider.token(n=2))
    assert processes_that_fetch(server) == []


def test_what_waits_for_a_fetch_gets_the_keys_of_a_reload_meanwhile(make_server, provider):
    go, new, before = threading.Event(), new_key(kid="two"), provider.text

    def answer(request):
        if provider.fetches > 1:
            return provider.serve(request)
        go.wait(PATIENCE)
        provider.send(request, 200, before)

    provider.answer(answer)
    server = make_server(sections=provider.section())
    with asked(server, provider.token(key=new)) as answers:
        poll(lambda: provider.fetches == 1, what="the fetch")
        provider.publish(provider.key, new)
        server.reload()
        go.set()
    assert answers.get().status_code == 200 and provider.fetches == 2


def test_a_stop_ends_a_fetch_and_what_waits_for_it(make_server, provider):
    with hanging(provider):
        server = make_server(sections=provider.section())
        with asked(server, provider.token()) as answers:
            poll(lambda: provider.fetches == 1, what="the fetch")
            assert server.stop() == 0
        failed(answers.get(), 503, "try again")
    assert "issuer.unusable" not in server.log_text()
    server.start()
    assert opens(server, provider.token())


def test_a_start_needs_no_provider(clock, make_server, provider):
    provider.answer(lambda request: provider.send(request, 500, b""))
    server = make_server(sections=provider.section())
    failed(Client(server.url, provider.token()).get("/User/Me"), 503, "cannot be fetched")
    assert not opens(server, provider.token(exp=1))
    provider.answer(provider.serve)
    failed(Client(server.url, provider.token()).get("/User/Me"), 503, "cannot be fetched")
    clock.jump(AGAIN)
    assert opens(server, provider.token())
    server.await_log("over_after_ms")


def endless(provider, request):
    request.send_response(200)
    request.end_headers()
    request.wfile.write(b'{"keys": [')
    while True:
        request.wfile.write(b" " * 65536)


def answers(status, content=b"", **headers):
    return lambda provider, request: provider.send(request, status, content, **headers)


SECRET = "do-not-log-me"
TROUBLE = {
    "a redirect": (answers(302, Location="/other"), "it answers 302 instead of 200"),
    "an error": (answers(500, SECRET.encode()), "it answers 500 instead of 200"),
    "no content": (answers(204), "it answers 204 instead of 200"),
    "100 MB": (answers(200, b" " * 1000, **{"Content-Length": str(100 << 20)}), "it has more than 262144 bytes"),
    "no end": (endless, "it has more than 262144 bytes"),
    "too few bytes": (answers(200, b'{"keys": []}', **{"Content-Length": "100"}), "transfer closed with"),
    "another text": (answers(200, SECRET.encode()), "it is not JSON (line 1, column"),
    "a long header": (answers(200, b"{}", X="x" * 200_000), ""),
    "a compressed text": (answers(200, bytes.fromhex("1f8b0800"), **{"Content-Encoding": "gzip"}), "it is not JSON"),
    "symmetric keys": (answers(200, json.dumps({"keys": [{"kty": "oct", "kid": "one", "k": SECRET}]}).encode()), "none of its keys is of use"),
    "private keys": (lambda provider, request: provider.send(request, 200, provider.key.export_private().join(['{"keys": [', "]}"]).encode()), "none of its keys is of use"),
}


def test_the_last_good_keys_stay_whatever_a_provider_answers(clock, make_server, make_provider):
    providers = {what: make_provider(what.replace(" ", "-")) for what in TROUBLE}
    server = make_server(sections="".join(provider.section() for provider in providers.values()))
    new = new_key(kid="two")
    for what, provider in providers.items():
        assert opens(server, provider.token()), what
        provider.answer(functools.partial(TROUBLE[what][0], provider))
    clock.jump(AGAIN)
    for what, provider in providers.items():
        failed(Client(server.url, provider.token(key=new)).get("/User/Me"), 503, "cannot be fetched")
        assert opens(server, provider.token(n=2)), what
        server.await_log(f"issuer {provider.name}, '{provider.keys_url}', are of no use: {TROUBLE[what][1]}")
        assert provider.listener.fetches == ["/jwks"] * 2
        provider.publish(new)
        provider.answer(provider.serve)
    assert SECRET not in server.log_text()
    clock.jump(AGAIN)
    for what, provider in providers.items():
        assert opens(server, provider.token(key=new)) and not opens(server, provider.token(n=2)), what


def test_certificates_that_prove_nothing_are_refused(tmp_path, make_server, make_provider, authority):
    wrong = Authority(tmp_path / "wrong")
    providers = {"wrong": make_provider("wrong"), "expired": make_provider("expired", days=-1), "name": make_provider("name", address="127.0.0.2"), "system": make_provider("system")}
    sections = {"wrong": {"keys_ca": wrong.file}, "system": {"keys_ca": ""}}
    dns = Provider(tmp_path, "dns")
    server = make_server(sections="".join(provider.section(**sections.get(name, {})) for name, provider in providers.items())
                         + dns.section(keys="https://nowhere.invalid/jwks"))
    for provider in [*providers.values(), dns]:
        failed(Client(server.url, provider.token()).get("/User/Me"), 503, "cannot be fetched")
    for problem in ("unable to get local issuer", "certificate has expired", "no alternative certificate subject name", "Could not resolve host"):
        server.await_log(problem)
    assert all(provider.fetches == 0 for provider in providers.values())


def test_many_unknown_keys_have_the_set_fetched_once(clock, make_server, provider):
    server = make_server(sections=provider.section())
    assert opens(server, provider.token())
    clock.jump(AGAIN)
    strangers = [new_key(kid=f"stranger {number}") for number in range(3)]
    tokens = queue.Queue()
    for number in range(200):
        tokens.put(provider.odd({"kid": f"kid {number}"}, key=strangers[number % 3]))
    statuses = []

    def send():
        client = Client(server.url)
        with contextlib.suppress(queue.Empty):
            while True:
                client.token = tokens.get_nowait()
                statuses.append(client.get("/User/Me").status_code)

    together(*[send] * 8)
    assert statuses == [401] * 200
    assert provider.fetches == 2
    assert opens(server, provider.token(n=2))


def test_keys_of_one_kid_open_nothing(make_server, provider):
    """Whoever could add a key must not take over another one's name."""
    own = new_key(kid="one")
    provider.write(provider.set_of(provider.key, own).decode())
    server = make_server(sections=provider.section())
    assert not opens(server, provider.token()) and not opens(server, provider.token(key=own))


def test_no_forged_token_opens_with_fetched_keys(make_server, provider):
    provider.publish(provider.key, new_key("RS256", "two"))
    server = make_server(sections=provider.section())
    assert opens(server, provider.token())
    provider.file.write_bytes(provider.text)  # what HMACs are tried with
    statuses = {}
    client = Client(server.url)
    strangers = {name: new_key(name) for name in ("RS256", "ES256")}
    for what, token in [*headers_and_algorithms(provider, strangers), *kids(provider)]:
        client.token = token.encode("latin-1", "replace")
        statuses[what] = client.get("/User/Me").status_code
    assert len(statuses) > 50 and {what: status for what, status in statuses.items() if status != 401} == {}
    assert provider.fetches == 1
