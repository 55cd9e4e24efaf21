"""SIGHUP: what the log says of what was added, changed and removed, in the definitions and in the configuration."""

import re

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


def test_a_reload_logs_which_keys_and_sources_take_a_restart_but_no_value(make_server):
    server = make_server(workers=1, connections=4000)
    server.configure(workers=2, retention="1h", connections=4000, worker_memory="8G")
    conf = server.folder / "reportd.conf"
    text = conf.read_text()
    conf.write_text(text.replace("data.db", "other.db") + 'source added { url = "postgresql://u:hunter2@127.0.0.1/d" }\n')
    later = 'takes_effect="after a restart"'
    want = ["config.changed name=retention", "config.changed name=worker_memory", "config.changed name=workers", "config.source_added name=added", "config.source_changed name=data"]
    for _ in range(2):  # it is what differs from the start
        assert sorted(reloaded(server)) == [f"{line} {later}" for line in want]
    conf.write_text(text.replace("workers = \"2\"", "workers = \"1\"").replace("source data", "source date"))
    changed = reloaded(server)
    assert f"config.source_removed name=data {later}" in changed and f"config.changed name=workers {later}" not in changed
    conf.write_text("workers = none\n")
    assert [line for line in reloaded(server) if "config.unusable" in line and "workers" in line]
    assert "hunter2" not in server.log_text() and server.client("alice").complete("Quick", ProductID="1")


def test_a_start_logs_the_variables_that_stand_for_no_key(make_server):
    server = make_server()
    assert server.stop() == 0
    server.environment |= {"REPORTD_WORKRS": "hunter2", "REPORTD_XYZZY": "hunter2", "REPORTD_PORT_80_TCP": "hunter2"}
    server.start()
    server.await_log("config.unknown_variable variable=REPORTD_WORKRS did_you_mean=REPORTD_WORKERS")
    server.await_log("config.unknown_variable variable=REPORTD_XYZZY")
    assert server.log_text().count("config.unknown_variable") == 2 and "hunter2" not in server.log_text()
