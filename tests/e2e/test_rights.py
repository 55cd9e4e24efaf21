"""What reportd serve refuses: files that others may write, or secrets that they may read."""

import os
import re
import signal
import stat
import subprocess

import pytest

from conftest import close
from harness import Server

PASSWORDS = ["postgresql://u:secret@127.0.0.1/d", "postgresql://u@127.0.0.1/d?password=secret"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A server that is not started, with a store."""
    server = Server.made(tmp_path_factory.mktemp("rights"))
    server.add_user("alice")
    yield server
    close(server)


@pytest.fixture
def opened(made):
    """Change the mode of a file of it, as long as the test runs: opened("store.db", 0o644)."""
    before = {}

    def change(name, mode):
        path = made.folder / name
        before[path] = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode)

    yield change
    for path, mode in before.items():
        path.chmod(mode)
    made.configure()


def refused(server):
    """What it says, which ends with the command to type."""
    done = server.run("serve", "-c", "reportd.conf")
    (said,) = re.findall(r'error start\.failed error="(.*)" detail=""\n', done.stderr)
    assert done.returncode == 1 and done.stderr.count(": chmod ") == 1
    return said


@pytest.mark.parametrize(("name", "mode", "words"), [
    ("reportd.conf", 0o620, "can be written"), ("reportd.conf", 0o602, "can be written"),
    ("reports", 0o775, "can be written"), ("reports", 0o757, "can be written"),
    ("reports/Quick.sql", 0o664, "can be written"), ("reports/Quick.sql", 0o646, "can be written"),
    ("store.db", 0o620, "can be written"), ("store.db", 0o602, "can be written"), ("store.db", 0o604, "can be read"),
])
def test_a_file_that_others_may_write_or_a_store_that_they_may_read_is_refused(made, opened, name, mode, words):
    opened(name, mode)
    said = refused(made)
    assert f"{name}' {words} by others (mode {mode:04o})" in said
    subprocess.run(said.rpartition(": ")[2], shell=True, cwd=made.folder, check=True)  # what it says to type
    assert made.start().stop() == 0


def test_a_definition_that_others_may_write_is_not_read_again(made, opened):
    made.start()
    client = made.client("alice")
    quick, pause = (made.reports / f"{name}.sql" for name in ("Quick", "Pause"))
    before = {path: path.read_text() for path in (quick, pause)}
    for path, text in before.items():
        path.write_text(text.replace("-- description: ", "-- description: New: "))
    opened("reports/Quick.sql", 0o664)
    made.reload(broken=1)
    types = {each["name"]: each["description"] for each in client.get("/Report/Types").json()["data"]}
    assert types["Pause"].startswith("New: ") and not types["Quick"].startswith("New: ")
    made.await_log("Quick.sql' can be written by others (mode 0664)")
    for path, text in before.items():
        path.write_text(text)
    assert made.stop() == 0


def test_the_command_to_type_is_quoted_for_the_shell(tmp_path):
    server = Server.made(tmp_path / "it's")
    server.reports.chmod(0o775)
    server.configure(reports=server.reports)
    said = refused(server).replace("\\\\", "\\")  # as the log escapes it
    subprocess.run(said.rpartition(": ")[2], shell=True, cwd=server.folder, check=True)
    assert stat.S_IMODE(server.reports.stat().st_mode) == 0o755
    close(server)


@pytest.mark.parametrize(("name", "mode"), [("store.db", 0o604), ("reports/Quick.sql", 0o664), ("reports", 0o775)])
def test_check_tells_what_serve_would_refuse(made, opened, name, mode):
    assert "can be" not in made.run("check", "-c", "reportd.conf").stdout
    opened(name, mode)
    done = made.run("check", "-c", "reportd.conf")
    assert done.returncode == 1 and f"(mode {mode:04o}): chmod" in done.stdout
    done = made.run("serve", "--check", "-c", "reportd.conf")
    assert done.returncode == 1 and f"(mode {mode:04o}): chmod" in done.stdout + done.stderr


def test_check_tells_of_a_certificate_that_serve_would_refuse(made, opened):
    opened("reportd.conf", 0o600)
    made.configure(tls_certificate="none.pem", tls_key="none.pem")
    done = made.run("check", "-c", "reportd.conf")
    assert done.returncode == 1 and "none.pem" in done.stdout


@pytest.mark.parametrize("url", PASSWORDS)
def test_a_configuration_with_a_password_that_others_may_read_is_refused(made, opened, url):
    opened("reportd.conf", 0o600)
    made.configure(source=url)
    (made.folder / "reportd.conf").chmod(0o640)  # a group may be the server's
    assert made.start().stop() == 0
    (made.folder / "reportd.conf").chmod(0o644)
    assert "reportd.conf' can be read by others (mode 0644): chmod g-w,o-rw " in refused(made)


def test_a_configuration_without_a_password_may_be_read_by_everybody(made, opened):
    made.configure(source="postgresql://u@127.0.0.1:5432/d?passfile=x")
    opened("reportd.conf", 0o644)
    assert made.start().stop() == 0


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_what_the_programs_make_is_their_users_alone(tmp_path, umask):
    server = Server.made(tmp_path / "made")
    before = os.umask(umask)
    try:
        server.add_user("alice")
        server.start()
        assert server.client("alice").complete("Quick", ProductID="1")
        made = [path for path in server.folder.rglob("*") if "reports" not in path.parts]
        open_ones = [path for path in made if path.stat().st_mode & 0o077 and path.name not in ("data.db", "stderr.log")]
        assert server.stop() == 0 and open_ones == []
    finally:
        os.umask(before)


def test_a_reload_of_what_others_may_write_keeps_what_was_there(made, opened):
    made.start()
    try:
        (made.reports / "New.sql").write_text("-- report: New\n-- source: data\n-- results\nSELECT 1 AS a\n")
        opened("reports", 0o777)
        made.process.send_signal(signal.SIGHUP)
        made.await_log("can be written by others")
        types = {row["name"] for row in made.client("alice").get("/Report/Types").json()["data"]}
        assert "Quick" in types and "New" not in types
        made.reports.chmod(0o755)
        made.reload()
    finally:
        (made.reports / "New.sql").unlink()
        assert made.stop() == 0
