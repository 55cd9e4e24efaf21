"""reportctl with an API key in a file, a token from a command, or one in its environment."""

import json
import signal

import pytest

from conftest import ALICE
from harness import PATIENCE, is_running, poll
from test_keys import Key
from test_reportctl import Ctl


@pytest.fixture
def ctl(server, alice, tmp_path):
    """Not logged in."""
    return Ctl(tmp_path, server.url, ALICE)


def key_file(ctl, made):
    path = ctl.home / "nightly.key"
    path.write_text(made.text + "\n")
    path.chmod(0o600)
    return path


def login(ctl, server, *words):
    status, out, err = ctl("login", "--server", server.url, *words)
    assert status == 0 and not out, err
    return err


def test_a_key_in_a_file_is_read_by_each_command(ctl, server):
    made, next_one = Key(server), Key(server)
    key_file(ctl, made)
    assert f"as {ALICE}, with the key of nightly.key" in login(ctl, server, "--key-file", "nightly.key")
    (saved,) = ctl.home.rglob("credentials.json")
    assert json.loads(saved.read_text()) == {"server": server.url, "user": ALICE, "keyFile": str(ctl.home / "nightly.key")}
    reference = ctl.good("submit", "Quick", "ProductID=1", "--wait")
    assert ctl.good("delete", reference) == "deleted"
    key_file(ctl, next_one)
    made.remove()
    assert ctl("list")[0] == 0
    next_one.remove()
    status, _, err = ctl("list")
    assert status == 4 and "removed" in err
    assert ctl("logout")[0] == 0 and not saved.exists()


def test_a_file_without_a_key_or_for_others_is_refused(ctl, server):
    made = Key(server)
    path = key_file(ctl, made)
    for change, status, problem in [(lambda: path.chmod(0o644), 6, "chmod 600"), (lambda: path.write_text("password\n"), 2, "reportd key add prints"),
                                    (lambda: path.write_text(""), 2, "no API key"), (path.unlink, 6, "nightly.key")]:
        change()
        done = ctl("login", "--server", server.url, "--key-file", "nightly.key")
        assert done[0] == status and problem in done[2], done
        if path.exists():
            path.chmod(0o600)
    assert not list(ctl.home.rglob("credentials.json"))
    made.remove()


def test_a_command_is_run_again_when_its_token_is_refused(ctl, server):
    def issue():
        client = server.client(ALICE)
        (ctl.home / "token").write_text(client.token)
        return client

    first = issue()
    login(ctl, server, "--token-command", "echo x >> runs; cat token")
    assert ctl("list")[0] == 0
    assert (ctl.home / "runs").read_text() == "x\n"
    first.call("POST", "/User/Logout")
    second = issue()
    assert ctl("list")[0] == 0 and ctl("list")[0] == 0
    assert (ctl.home / "runs").read_text() == "x\nx\n"
    second.call("POST", "/User/Logout")
    assert ctl("list")[0] == 4
    issue()
    login(ctl, server, "--token-command", "cat token; echo; yes")  # the first line counts
    assert ctl("list")[0] == 0
    for command, problem in [("exit 3", "exit status 3"), ("kill -9 $$", "signal 9"), ("true", "not a token"), ("echo a b", "not a token"),
                             ("yes ''", "not a token"), ("yes a b", "not a token"), ("yes | tr -d '\\n'", "not a token"),
                             ("cat token; exit 7", "exit status 7")]:
        done = ctl("login", "--server", server.url, "--token-command", command)
        assert done[0] == 4 and problem in done[2], done


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_that_the_command_does_not_get_ends_it_too(ctl, server, number, status):
    begun = ctl.home / "begun"
    process = ctl.start("login", "--server", server.url, "--token-command", "echo $$ > began; mv began begun; exec sleep 1000")
    poll(begun.exists, what="the command")
    process.send_signal(number)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == status
    poll(lambda: not is_running(int(begun.read_text())), what="the end of the command")


def test_the_environments_token_is_sent_to_the_named_server_only(ctl, server):
    made = Key(server)
    ctl.env["REPORTCTL_TOKEN"] = made.text
    assert ctl("list", "--server", server.url)[0] == 0
    status, _, err = ctl("list")
    assert status == 2 and "--server URL" in err
    ctl.env["REPORTCTL_TOKEN"] = made.text + "\nX: y"
    assert ctl("list", "--server", server.url)[0] == 2
    ctl.env["REPORTCTL_TOKEN"] = made.text
    status, _, err = ctl.login()
    assert status == 0 and "REPORTCTL_TOKEN is set" in err
    made.remove()
    assert ctl("list", "--server", server.url)[0] == 4
    assert ctl("logout")[0] == 0
    ctl.env["REPORTCTL_TOKEN"] = ""
    assert "not logged in" in ctl("list")[2]


def test_a_secret_is_no_argument(ctl, server):
    key, token = "rdk_" + "x" * 43, server.client(ALICE).token
    for words in [("login", "--key-file", key), ("submit", "Quick", f"Note={key}"), ("login", "--token-command", f"echo {token}"), ("status", token)]:
        status, _, err = ctl(*words)
        assert status == 2 and "no argument" in err and "--key-file" in err and key not in err and token not in err


def test_who_types_a_key_as_a_password_is_told_what_to_do(ctl, server):
    made = Key(server)
    status, _, err = ctl.login(made.text)
    assert status == 4 and "--key-file FILE" in err and made.text not in err
    made.remove()


def test_one_way_at_a_time(ctl, server):
    for words in [("-u", ALICE, "--key-file", "x"), ("--key-file", "x", "--token-command", "x")]:
        status, _, err = ctl("login", "--server", server.url, *words)
        assert status == 2 and "give one of" in err
