"""SIGHUP: what the log says of what was added, changed and removed, in the definitions and in the configuration."""

import json
import re
import socket
from urllib.parse import urlsplit

import pytest
import requests

from conftest import ALICE
from harness import PATIENCE, ROOT
from provider import Provider
from stores import STORES

LINES = re.compile(r"(?:definition|config)\.\w+ [^\n]*")


def reloaded(server, broken=0):
    """The lines of one reload, without the paths of files."""
    before = len(server.log_text())
    server.reload(broken)
    return [re.sub(r"file=\S*/", "file=", line) for line in LINES.findall(server.log_text()[before:])]


def test_a_reload_logs_what_was_added_changed_and_removed(make_server):
    server = make_server(workers=1)
    assert reloaded(server) == []
    quick = (server.reports / "Quick.sql").read_text()
    (server.reports / "Another.sql").write_text(quick.replace("report: Quick", "report: Another"))
    (server.reports / "Quick.sql").write_text(quick + "-- a comment\n")
    (server.reports / "Nested.sql").unlink()
    server.await_log("definitions.reload broken=0 added=0 changed=0 removed=0")
    assert reloaded(server) == ["definition.added report=Another file=Another.sql", "definition.removed report=Nested file=Nested.sql",
                                "definition.changed report=Quick file=Quick.sql"]
    server.await_log("definitions.reload broken=0 added=1 changed=1 removed=1")
    (server.reports / "Quick.sql").write_text("-- report:\n")
    assert not [line for line in reloaded(server, broken=1) if "broken" not in line]  # it keeps its definition


def test_a_reload_logs_which_sources_take_a_restart_but_no_value(make_server):
    server = make_server(workers=1, connections=4000)
    server.configure(workers=2, connections=4000)
    conf = server.folder / "reportd.conf"
    text = conf.read_text()
    conf.write_text(text.replace("data.db", "other.db") + 'source added { url = "postgresql://u:hunter2@127.0.0.1/d" }\n')
    later = 'takes_effect="after a restart"'
    want = ["config.changed name=workers", "config.source_added name=added", "config.source_changed name=data key=url"]
    for _ in range(2):  # it is what differs from the start
        assert sorted(reloaded(server)) == [f"{line} {later}" for line in want]
    conf.write_text(text.replace("workers = \"2\"", "workers = \"1\"").replace("source data", "source date"))
    changed = reloaded(server)
    assert f"config.source_removed name=data {later}" in changed and f"config.changed name=workers {later}" not in changed
    conf.write_text("workers = none\n")
    assert [line for line in reloaded(server) if "config.unusable" in line and "workers" in line]
    assert "hunter2" not in server.log_text() and server.client("alice").complete("Quick", ProductID="1")


def test_a_reload_logs_which_identity_providers_take_a_restart(make_server, tmp_path):
    provider = Provider(tmp_path)
    section = provider.section(session_claims="tenant")
    server = make_server(workers=1, sections=section)
    conf = server.folder / "reportd.conf"
    text = conf.read_text()
    for old, new in (("session_claims", "# session_claims"), ('"tenant"', '"tenant role"'), ("groups_claim", "# groups_claim"), ("}", '  user_claim = "name"\n}'),
                     (provider.url, provider.url + "new"), (provider.file.name, "other.jwks"), ('"reportd"', '"other"')):
        conf.write_text(text.replace(section, section.replace(old, new)))
        assert reloaded(server) == ['config.issuer_changed name=corp takes_effect="after a restart"'], new
    conf.write_text(text)
    assert reloaded(server) == []


OTHER = {
    "listen": "127.0.0.1:1", "metrics_listen": "127.0.0.1:1", "tls_certificate": "other.pem", "tls_key": "other.pem",
    "trusted_proxies": "127.0.0.0/8", "cors_origins": "https://app.example.com", "store": "other.db", "store_connections": "5",
    "lease": "9s", "spool": "other", "temp": "other", "reports": "other", "key_file": "other.key", "receipt_key_file": "other.key",
    "deletion_ledger": "other.ledger", "backup_horizon": "29d", "erase_key_file": "other.key", "erase_after": "2h",
    "audit_log": "logs/other", "audit_required": "on", "audit_key_file": "other.key", "workers": "3", "http_threads": "3",
    "connections": "300", "connections_per_address": "100", "request_timeout": "100ms", "session_life": "30d", "active_limit": "7", "running_limit": "3",
    "retention": "2h", "report_timeout": "100ms", "timezone": "Australia/Sydney", "row_limit": "1000", "size_limit": "1M",
    "row_results": "1K", "cancel_grace": "3s", "drain_grace": "0s", "worker_memory": "9G", "temp_limit": "1G",
    "spool_encryption": "on", "result_compression": "zstd", "console": "off", "log_level": "debug", "log_format": "json",
}


def documented():
    """What doc/config.md says of a change of each key."""
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\| ([^|]+) \|", (ROOT / "doc/config.md").read_text(), re.M)
    return {key: "now" if how == "applied at SIGHUP" else '"after a restart"' for key, how in rows}


def test_a_reload_does_with_every_key_what_its_row_says(make_server):
    server = make_server()
    effects = documented()
    assert set(OTHER) == set(effects) == set(re.findall(r"^(\w+) =", (ROOT / "tests/fuzz/corpus/config/every-key").read_text(), re.M))
    address = urlsplit(server.url)
    server.configure(**OTHER)
    assert sorted(reloaded(server)) == sorted(f"config.changed name={key} takes_effect={how}" for key, how in effects.items())
    assert json.loads(server.log_text().splitlines()[-1])["event"] == "definitions.reload"
    client = server.client(ALICE)
    answer = client.get("/User/Me", {"Origin": OTHER["cors_origins"]})
    assert answer.json()["data"]["limits"]["active"] == 7
    assert answer.headers["Access-Control-Allow-Origin"] == OTHER["cors_origins"]
    assert requests.get(server.url + "/", timeout=PATIENCE).status_code == 404
    client.wait_for(client.order("Endless"), "error")
    with socket.create_connection((address.hostname, address.port), PATIENCE) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nA")
        assert slow.recv(1) == b""
    before = len(server.log_text())
    server.reload()
    names = re.findall(r'"event":"config.changed","name":"(\w+)"', server.log_text()[before:])
    assert set(names) == {key for key, how in effects.items() if how != "now"}
    assert server.stop() == 0


@pytest.mark.stores(*STORES)
def test_a_limit_of_a_source_is_applied_by_a_reload(make_server):
    server = make_server(workers=2)
    conf = server.folder / "reportd.conf"
    unlimited = conf.read_text()
    conf.write_text(unlimited.replace(" }", " max_running = 1 }"))
    assert reloaded(server) == ["config.source_changed name=data key=max_running takes_effect=now"]
    client = server.client(ALICE)
    first = client.order("Endless")
    client.wait_for(first, "processing")
    second = client.order("Quick", ProductID="1")
    conf.write_text(unlimited)
    assert client.status(second).json()["data"] == "incomplete"
    assert reloaded(server) == ["config.source_changed name=data key=max_running takes_effect=now"]
    client.finish(second)
    client.delete_all()


def test_a_start_logs_the_variables_that_stand_for_no_key(make_server):
    server = make_server()
    assert server.stop() == 0
    server.environment |= {"REPORTD_WORKRS": "hunter2", "REPORTD_XYZZY": "hunter2", "REPORTD_PORT_80_TCP": "hunter2"}
    server.start()
    server.await_log("config.unknown_variable variable=REPORTD_WORKRS did_you_mean=REPORTD_WORKERS")
    server.await_log("config.unknown_variable variable=REPORTD_XYZZY")
    assert server.log_text().count("config.unknown_variable") == 2 and "hunter2" not in server.log_text()
