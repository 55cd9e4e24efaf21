"""Each incident of doc/operations.md is played on a real server; its log lines are found, its commands are run as they stand."""

import os
import re
import signal
import subprocess

import pytest

from conftest import ALICE, close
from disks import Disk, own_mounts
from fake_clock import HOUR, FakeClock
from harness import PASSWORD, PATIENCE, REPORTCTL, REPORTD, ROOT, Client, Server, failed, poll

PAGE = (ROOT / "doc/operations.md").read_text()
BLOCK = re.compile(r"^```\n(.*?)^```$", re.M | re.S)


def incidents():
    """{heading: (log lines, commands)}"""
    chapter = PAGE.partition("\n## Ten incidents\n")[2].partition("\n## ")[0]
    sections = re.split(r"^### (.+)\n", chapter, flags=re.M)[1:]
    return {heading: [block.splitlines() for block in BLOCK.findall(text)] for heading, text in zip(sections[::2], sections[1::2])}


def pattern(line):
    """Of a line of the page: … stands for anything."""
    return re.compile(".*".join(re.escape(part) for part in line.split("…")))


INCIDENTS = incidents()


class Operator:
    """Somebody at the server's machine who has this page."""

    def __init__(self, server):
        self.server = server
        programs = server.folder / "bin"
        programs.mkdir()
        for program in (REPORTD, REPORTCTL):
            (programs / program.name).symlink_to(program)
        self.environment = {**server.environment, "PATH": f"{programs}:{os.environ['PATH']}", "REPORTD_WORKER_MEMORY": "0",
                            "HOME": str(server.folder), "XDG_CONFIG_HOME": str(server.folder / "config")}

    def run(self, command):
        return subprocess.run(["bash", "-c", command], cwd=self.server.folder, env=self.environment, text=True, check=False,
                              capture_output=True, timeout=PATIENCE, input=PASSWORD + "\n")

    def finds(self, incident):
        """Each log line of the page."""
        for line in INCIDENTS[incident][0]:
            poll(lambda: pattern(line).search(self.server.log_text()),
                 what=lambda: f"{line!r} in the log\n{self.server.log_text()[-3000:]}")

    def types(self, incident, names=None, only=None, fails=False):
        """The page's commands, or the first ones `only`, with the test's names in them; returns what they print."""
        said = ""
        for command in INCIDENTS[incident][1][:only]:
            for name, own in (names or {}).items():
                command = command.replace(name, own)
            if command == "systemctl reload reportd":
                self.server.reload()
                continue
            done = self.run(command.replace("journalctl -u reportd", "cat stderr.log"))
            assert (done.returncode != 0) == fails, (command, done.stdout, done.stderr)
            said += done.stdout + done.stderr
        return said


@pytest.fixture
def operator(make_server):
    return Operator(make_server(workers=1))


def log_in(server, password=PASSWORD):
    return Client(server.url).call("POST", "/User/Login", json={"username": ALICE, "password": password})


def ended(client, name, **parameters):
    return client.finish(client.order(name, **parameters)).json()


def test_every_incident_of_the_page_is_played():
    played = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    names = [heading.lower().replace(" ", "_") for heading in INCIDENTS]
    assert len(names) == 10 and set(names) <= played
    assert all(len(blocks) == 2 for blocks in INCIDENTS.values())


def test_a_user_gives_a_wrong_password(operator):
    failed(log_in(operator.server, "a wrong password"), 401)
    operator.finds("A user gives a wrong password")
    operator.types("A user gives a wrong password")
    assert log_in(operator.server).status_code == 200


def test_a_user_is_locked_out(operator):
    for _ in range(3):
        failed(log_in(operator.server, "a wrong password"), 401)
    failed(log_in(operator.server), 401)
    operator.finds("A user is locked out")
    assert "locked" in operator.types("A user is locked out")
    assert log_in(operator.server).status_code == 200


def test_a_report_is_slow(operator):
    server = operator.server
    client = server.client(ALICE)
    assert ended(client, "Hasty")["data"] == "error"
    operator.finds("A report is slow")
    reference = client.order("Endless")
    client.wait_for(reference, "processing")
    server.user("operator", ALICE, "on")
    assert operator.run(f"reportctl login --server {server.url} -u {ALICE}").returncode == 0
    said = operator.types("A report is slow", {"REFERENCE": reference, "Slow": "Quick", "CustomerID": "ProductID"})
    assert reference in said
    assert client.references() != [] and reference not in client.references()


def test_every_alert_is_on_the_page():
    rules = re.findall(r"- alert: (\w+)", (ROOT / "etc/prometheus/reportd-alerts.yml").read_text())
    assert rules == re.findall(r"^\| `(\w+)` \|", PAGE.partition("## Alerts")[2], re.M)


def test_the_disk_is_full(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting file systems takes root")
    own_mounts()
    disk = Disk(tmp_path / "disk")
    server = Server.made(tmp_path / "server", store=disk.folder / "store.db", spool=disk.folder / "spool")
    try:
        server.add_user(ALICE)
        client = server.start().client(ALICE)
        disk.fill()
        failed(client.submit("Quick", {"ProductID": "1"}), 503)
        operator = Operator(server)
        operator.finds("The disk is full")
        operator.types("The disk is full")
        disk.room()
        poll(lambda: client.submit("Quick", {"ProductID": "1"}).status_code == 200, what="room for a report")
    finally:
        close(server)
        disk.unmount()


def test_a_worker_is_killed(operator):
    client = operator.server.client(ALICE)
    reference = client.order("Endless")
    client.wait_for(reference, "processing")
    (worker,) = operator.server.workers()
    os.kill(worker, signal.SIGKILL)
    operator.finds("A worker is killed")
    assert reference in operator.types("A worker is killed")
    client.delete(reference)


def test_the_reported_database_is_down(own_postgres, new_server):
    server = new_server(source=own_postgres.url("postgres", tcp=True))
    client = server.start().client(ALICE)
    own_postgres.stop()
    assert ended(client, "Quick", ProductID="1")["data"] == "error"
    operator = Operator(server)
    operator.finds("The reported database is down")
    assert "connect" in operator.types("The reported database is down", fails=True)


def test_the_configuration_has_a_typing_error(operator):
    server = operator.server
    path = server.folder / "reportd.conf"
    good = path.read_text()
    path.write_text(good.replace("workers", "wrokers"))
    server.process.send_signal(signal.SIGHUP)
    server.await_log("config.unusable")
    started = operator.run("reportd serve -c reportd.conf")
    assert started.returncode != 0
    server.log.write_text(server.log_text() + started.stderr)
    operator.finds("The configuration has a typing error")
    assert "workers" in operator.types("The configuration has a typing error", only=1, fails=True)
    path.write_text(good)
    operator.types("The configuration has a typing error")
    assert ended(server.client(ALICE), "Quick", ProductID="1")["data"] == "complete"


def test_a_definition_is_broken(operator):
    path = operator.server.reports / "Big.sql"
    good = path.read_text()
    path.write_text("-- report: Big\n")
    operator.server.reload(broken=1)
    operator.finds("A definition is broken")
    assert "Big.sql" in operator.types("A definition is broken", only=1, fails=True)
    client = operator.server.client(ALICE)
    assert ended(client, "Quick", ProductID="1")["data"] == "complete"
    path.write_text(good)
    operator.types("A definition is broken")
    assert ended(client, "Big", Rows="1")["data"] == "complete"


def test_a_clock_is_wrong(make_cluster, tmp_path):
    cluster = make_cluster(nodes=1)
    (node,) = cluster.nodes
    node.stop()
    clock = FakeClock(tmp_path / "skew")
    clock.jump(HOUR)
    node.environment["REPORTD_SEAMS_SKEW"] = str(clock.path)
    node.start()
    operator = Operator(node)
    operator.finds("A clock is wrong")
    operator.types("A clock is wrong")


def test_a_node_is_lost(make_cluster):
    cluster = make_cluster(nodes=2)
    client = cluster.clients(ALICE)[0]
    reference = client.order("Endless")
    lost = cluster.node_of(reference)
    (other,) = cluster.others(lost)
    lost.kill()
    operator = Operator(other)
    operator.finds("A node is lost")
    operator.types("A node is lost")
    Client(other.url, client.token).delete(reference)
