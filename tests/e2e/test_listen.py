"""Where the server listens: several addresses, Unix sockets, and the place for metrics."""

import re
import socket
import stat

import pytest
import requests

from harness import PASSWORD, PATIENCE, Server
from raw_http import connect_unix, log_in, talk


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A server with two ports, two Unix sockets, of which it trusts the peers, and a port for metrics."""
    server = Server.made(tmp_path_factory.mktemp("many"), trusted_proxies="unix:", metrics_listen="127.0.0.1:0")
    conf = server.folder / "reportd.conf"
    conf.write_text(conf.read_text() + 'listen = "[::1]:0 unix:one.sock"\nlisten = "unix:two.sock"\n')
    server.user("add", "far", "--grant", "*", "--allow", "192.0.2.0/24", stdin=PASSWORD + "\n")
    server.user("add", "near", "--grant", "*", "--allow", "127.0.0.1", stdin=PASSWORD + "\n")
    yield server.start()
    assert server.stop() == 0
    server.check_log()
    assert not (server.folder / "one.sock").exists() and not (server.folder / "two.sock").exists()


def urls(server, key):
    server.await_log("start.ready")
    return re.findall(rf"listen.open key={key} url=(\S+)", server.log_text())


def test_every_address_is_served_and_named_in_the_log(many):
    first, second, *paths = urls(many, "listen")
    assert first == many.url and second.startswith("http://[::1]:")
    assert paths == [f"unix:{many.folder}/one.sock", f"unix:{many.folder}/two.sock"]
    for url in (first, second):
        assert requests.get(url + "/Common/HealthCheck", timeout=PATIENCE).status_code == 200
    for path in paths:
        assert talk(connect_unix(path.removeprefix("unix:")), "GET", "/Common/HealthCheck")[0] == 200


def test_a_socket_is_for_the_user_and_the_group_of_the_server(many):
    assert stat.S_IMODE((many.folder / "one.sock").stat().st_mode) == 0o660


def test_a_client_of_a_unix_socket_is_local_or_whom_its_trusted_peer_names(many):
    path = many.folder / "one.sock"
    assert log_in(connect_unix(path), "near")[0] == 200
    assert log_in(connect_unix(path), "far")[0] == 401
    assert log_in(connect_unix(path), "far", [("X-Forwarded-For", "192.0.2.7, unix:")])[0] == 200
    assert log_in(connect_unix(path), "near", [("X-Forwarded-For", "192.0.2.7")])[0] == 401


def test_metrics_listen_has_the_metrics_and_nothing_else_has_them(many):
    (metrics,) = urls(many, "metrics_listen")
    assert "reportd_uptime_seconds" in requests.get(metrics + "/metrics", timeout=PATIENCE).text
    assert requests.get(metrics + "/metrics", headers={"Via": "1.1 x"}, timeout=PATIENCE).status_code == 200
    for path in ("/", "/Common/HealthCheck", "/openapi.json", "/Report/List", "/METRICS", "/metrics/"):
        assert requests.get(metrics + path, timeout=PATIENCE).status_code == 404, path
    assert requests.post(metrics + "/User/Login", json={}, timeout=PATIENCE).status_code == 404
    assert requests.get(many.url + "/metrics", timeout=PATIENCE).status_code == 404
    assert talk(connect_unix(many.folder / "one.sock"), "GET", "/metrics")[0] == 404


def test_a_socket_that_a_crash_left_is_replaced_and_one_that_is_served_is_not(tmp_path):
    server = Server.made(tmp_path / "stale", listen="127.0.0.1:0 unix:s")
    second = Server.made(tmp_path / "second", listen=f"unix:{server.folder}/s")
    path = server.folder / "s"
    server.start()
    server.kill()
    assert path.is_socket()
    server.start()
    assert talk(connect_unix(path), "GET", "/Common/HealthCheck")[0] == 200
    done = second.run("serve", "-c", "reportd.conf")
    assert done.returncode == 1 and "in use" in done.stderr and str(path) in done.stderr
    assert talk(connect_unix(path), "GET", "/Common/HealthCheck")[0] == 200
    path.unlink()
    with socket.socket(socket.AF_UNIX) as another:
        another.bind(str(path))
        assert server.stop() == 0
        assert path.is_socket()  # it is not the server's own
    server.check_log()


def test_what_is_no_socket_is_not_replaced(tmp_path):
    server = Server.made(tmp_path / "file", listen="unix:s")
    (server.folder / "s").write_text("precious")
    done = server.run("serve", "-c", "reportd.conf")
    assert done.returncode == 1 and "in use" in done.stderr
    assert (server.folder / "s").read_text() == "precious"


@pytest.mark.parametrize("key, value, word", [
    ("listen", "", "ADDRESS:PORT"), ("listen", "127.0.0.1:0 8080", "ADDRESS:PORT"), ("listen", "unix:", "unix:PATH"),
    ("metrics_listen", "127.0.0.1", "metrics_listen"), ("listen", "unix:" + "x" * 120, "at most 107 bytes"),
    ("listen", " ".join(["127.0.0.1:0"] * 17), "at most 16"), ("metrics_listen", "unix:missing/s", "No such file")])
def test_an_address_that_cannot_be_served_is_an_error_that_says_so(tmp_path, key, value, word):
    server = Server.made(tmp_path / "wrong", **{"workers": 1, key: value})
    done = server.run("serve", "-c", "reportd.conf")
    assert done.returncode == 1 and word in done.stderr, done.stderr
