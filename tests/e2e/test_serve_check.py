"""reportd serve --check: what a start would refuse, without one."""

import pytest

from conftest import ALICE
from stores import STORES

pytestmark = pytest.mark.stores("sqlite")


def check(server, *wanted):
    """Its complaint has the words; without words there is none."""
    done = server.run("serve", "--check", "-c", "reportd.conf")
    said = [line for line in done.stderr.splitlines() if line.startswith("reportd serve: ")]
    assert (done.returncode, len(said)) == (1 if wanted else 0, 1 if wanted else 0), done.stderr
    for words in wanted:
        assert words in said[0]
    return done.stderr


def files(server):
    """All that is there, except for what SQLite makes to read."""
    return sorted(path for path in server.folder.rglob("*") if path.name not in ("store.db-wal", "store.db-shm"))


@pytest.mark.stores(*STORES)
def test_a_configuration_that_starts_has_nothing_to_say_before_and_while_it_runs(new_server):
    server = new_server()
    before = files(server)
    check(server)
    assert files(server) == before
    server.start()
    check(server)
    server.client(ALICE).complete("Quick", ProductID="1")


def test_why_a_store_cannot_be_opened_is_said_once(new_server):
    server = new_server()
    server.configure(store="postgresql://nobody@127.0.0.1:1/none")
    for words in (["serve"], ["user", "list"]):
        said = server.run(*words, "-c", "reportd.conf").stderr
        assert said.count("Connection refused") == 1 and "Cannot open the store in PostgreSQL: " in said, said


@pytest.mark.parametrize(("config", "words"), [
    ({"listen": "no.such.host.invalid:80"}, "there is no address 'no.such.host.invalid'"),
    ({"metrics_listen": "no.such.host.invalid:80"}, "metrics_listen"),
    ({"reports": "missing"}, "missing"),
    ({"tls_certificate": "missing.pem"}, "missing.pem"),
    ({"workers": 0}, "workers"),
    ({"http_threads": 4, "key_file": "reportd.conf"}, "is not a file of 32 bytes"),
    ({"receipt_key_file": "data.db"}, "receipt key file"),
    ({"store": "data.db"}, "data.db"),
])
def test_what_a_start_refuses_is_named(new_server, config, words):
    server = new_server()
    server.configure(**config)
    (server.folder / "data.db").chmod(0o600)
    check(server, words)
    assert server.run("serve", "-c", "reportd.conf").returncode == 1  # so does a start


def test_files_that_others_may_write_are_named(new_server):
    server = new_server()
    server.reports.chmod(0o777)
    check(server, "chmod")
    server.reports.chmod(0o755)


def test_a_broken_definition_is_told_and_no_reason_not_to_start(new_server):
    server = new_server()
    (server.reports / "Bad.sql").write_text("-- report: Bad\n")
    assert "Bad.sql:" in check(server)
