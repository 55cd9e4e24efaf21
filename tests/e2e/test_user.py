"""reportd user: the users, while the server runs and before it ever has."""

import json
import os
import pty
import termios

import pytest

from harness import PASSWORD, REPORTD, Client, Server


@pytest.fixture
def place(tmp_path):
    """A configuration whose server has never run."""
    return Server.made(tmp_path / "place")


def user(place, *words, stdin="", status=0):
    """Run `reportd user` with an exit status; what it said, on standard error unless it is 0."""
    done = place.run("user", *words, stdin=stdin)
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def users(place):
    return {entry["name"]: entry for entry in json.loads(user(place, "list", "--json"))}


def test_a_user_is_added_before_the_server_has_run(place):
    user(place, "add", "dora", "--grant", "Quick", "Slow", "--allow", "10.0.0.0/8", "::1",
         stdin=PASSWORD + "\n")
    assert users(place) == {"dora": {"name": "dora", "disabled": False, "lockedUntil": None,
                                     "allow": ["10.0.0.0/8", "::1"], "grants": ["Quick", "Slow"], "operator": False,
                                     "activeLimit": None, "runningLimit": None, "issuer": None, "subject": None, "groups": []}}


def test_a_user_has_limits_of_its_own_until_they_are_given_up(place):
    user(place, "add", "dora", stdin=PASSWORD + "\n")
    user(place, "limit", "dora", "--active", "3", "--running", "1")
    assert (users(place)["dora"]["activeLimit"], users(place)["dora"]["runningLimit"]) == (3, 1)
    user(place, "limit", "DORA", "--active", "default")
    assert (users(place)["dora"]["activeLimit"], users(place)["dora"]["runningLimit"]) == (None, 1)
    assert "1 to 1000" in user(place, "limit", "dora", "--running", "0", status=1)
    assert "--active" in user(place, "limit", "dora", status=2)


def test_a_user_is_made_an_operator_at_once_or_later_and_none_any_more(place):
    user(place, "add", "dora", "--operator", stdin=PASSWORD + "\n")
    user(place, "add", "erna", stdin=PASSWORD + "\n")
    assert users(place)["dora"]["operator"] and not users(place)["erna"]["operator"]
    user(place, "operator", "dora", "off")
    user(place, "operator", "ERNA", "on")
    assert not users(place)["dora"]["operator"] and users(place)["erna"]["operator"]
    user(place, "grant", "erna", "Quick")
    assert [line.split()[:2] for line in user(place, "list").splitlines()] == [
        ["NAME", "ROLE"], ["dora", "user"], ["erna", "operator"]]
    assert "neither on nor off" in user(place, "operator", "erna", "maybe", status=1)


HEAD = "name,password,grants,allow,operator,active\n"


def write(place, text, mode=0o600):
    path = place.folder / "users.csv"
    path.write_text(text)
    path.chmod(mode)
    return path.name


def test_the_users_of_a_csv_file_are_added(place):
    text = HEAD + f'dora,{PASSWORD},Quick;Slow,10.0.0.0/8;::1,no,3\r\n\n"o""Neill, Ann","a ""b"" c, d",*,,yes,\n'
    assert user(place, "import", write(place, text)) == "2 users added\n"
    entries = users(place)
    assert entries["dora"]["grants"] == ["Quick", "Slow"] and entries["dora"]["allow"] == ["10.0.0.0/8", "::1"]
    assert not entries["dora"]["operator"] and entries["dora"]["activeLimit"] == 3
    assert entries['o"Neill, Ann']["operator"] and entries['o"Neill, Ann']["grants"] == ["*"]
    assert user(place, "import", "-", stdin=f"\ufeffPassword,NAME\n{PASSWORD},erna\n") == "1 users added\n"
    place.start()
    for name, password in (("dora", None), ('o"Neill, Ann', 'a "b" c, d'), ("erna", PASSWORD)):
        if password:
            Client(place.url).login(name, password)
    assert place.stop() == 0


@pytest.mark.parametrize("line, said", [
    ("anna,short,,,,", "users.csv:3: the password has less than 8"), ("Dora,eight888,,,,", "occurs twice"),
    ("ERNA,eight888,,,,", "There is a user 'ERNA' already"), ("anna,eight888,,10.0.0.1/8,,", "write 10.0.0.0/8"),
    ("anna,eight888,,,maybe,", "operator is yes or no"), ("anna,eight888,,,,0", "not a limit"), ("anna,,,,,", "a name and a password"),
    ("anna,eight888", "as many fields"), ("anna,eight888,,,,,", "as many fields"), ('anna,"eight888', "RFC 4180"),
    ("anna,eight888,a;;b,,,", "a report's name"), ("anna ,eight888,,,,", "ends with a space"),
])
def test_one_wrong_line_keeps_all_users_of_a_file_from_being_added(place, line, said):
    user(place, "add", "erna", stdin=PASSWORD + "\n")
    message = user(place, "import", write(place, HEAD + f"dora,{PASSWORD},,,,\n{line}\n"), status=1)
    assert said in message and "users.csv:3: " in message and message.endswith("nothing was added\n"), message
    assert set(users(place)) == {"erna"}


def test_a_file_that_is_not_of_users_or_is_open_to_others_is_not_imported(place):
    assert "chmod 600" in user(place, "import", write(place, HEAD, mode=0o640), status=1)
    assert "users.csv:1: 'nmae' is not a column" in user(place, "import", write(place, "nmae,password\n"), status=1)
    assert "name and password are needed" in user(place, "import", write(place, "name,grants\n"), status=1)
    assert "cannot read none.csv" in user(place, "import", "none.csv", status=1)
    assert "has more than" in user(place, "import", "/dev/zero", status=1)


def test_spaces_around_grants_and_addresses_do_not_count_and_an_unknown_report_is_named(place):
    line = f'dora,{PASSWORD}, Quick ; Slw,10.0.0.0/8; ::1,,\n'
    done = place.run("user", "import", write(place, HEAD + line + line.replace("dora", "erna")))
    assert done.returncode == 0 and done.stderr.count("there is no report 'Slw'") == 1 and "Quick" not in done.stderr, done.stderr
    assert users(place)["dora"]["grants"] == ["Quick", "Slw"] and users(place)["dora"]["allow"] == ["10.0.0.0/8", "::1"]


def test_a_full_disk_says_which_users_are_still_to_be_imported(place):
    lines = [f"{name},{PASSWORD},,,,\n" for name in ("dora", "erna", "fred")]
    seams = {"REPORTD_SEAMS": "store.commit=ENOSPC@3+"}  # the first one is that of a new store
    message = place.run("user", "import", write(place, HEAD + "".join(lines)), environment=seams).stderr
    added = len(users(place))
    assert 0 < added < len(lines) and f"users.csv:{added + 2}: " in message and f"the {added} users before that line were added" in message, message
    assert user(place, "import", write(place, HEAD + "".join(lines[added:]))) == f"{len(lines) - added} users added\n"
    assert set(users(place)) == {"dora", "erna", "fred"}


def test_what_a_file_says_gives_the_terminal_no_orders(place):
    for text in ("na\x1b[2Jme,password\n", f"name,password,operator\ndora,{PASSWORD},\x1b[31mmaybe\n"):
        message = user(place, "import", write(place, text), status=1)
        assert "\x1b" not in message and ("na [2Jme" in message or " [31mmaybe" in message), message


def test_grants_and_allow_lists_are_changed(place):
    user(place, "add", "dora", stdin=PASSWORD + "\n")
    user(place, "grant", "DORA", "Quick", "Slow", "Quick")
    user(place, "revoke", "dora", "Quick")
    user(place, "allow", "dora", "192.0.2.7")
    assert users(place)["dora"]["grants"] == ["Slow"]
    assert users(place)["dora"]["allow"] == ["192.0.2.7"]
    user(place, "grant", "dora", "*")
    user(place, "revoke", "dora", "*")
    user(place, "allow", "dora")
    assert users(place)["dora"]["grants"] == [] and users(place)["dora"]["allow"] == []


@pytest.mark.parametrize("words, said", [
    (["grant", "dora", "Quick"], "There is no user 'dora'"),
    (["passwd", "dora"], "There is no user 'dora'"),
    (["disable", "dora"], "There is no user 'dora'"),
    (["add", "d\na"], "control characters"),
    (["add", "dora", "--allow", "10.0.0.0/33"], "'10.0.0.0/33' is not an address"),
    (["add", "dora", "--allow", "10.0.0.1/8"], "write 10.0.0.0/8"),
    (["allow", "erna", "::1", "::ffff:10.0.0.1/104"], "write 10.0.0.0/8"),
])
def test_what_cannot_be_done_is_explained(place, words, said):
    user(place, "add", "erna", stdin=PASSWORD + "\n")
    assert said in user(place, *words, stdin=PASSWORD + "\n", status=1)


@pytest.mark.parametrize("words", [
    [], ["befriend", "dora"], ["add"], ["grant", "dora"], ["passwd", "dora", "secret"],
    ["list", "--grant", "Quick"], ["operator", "dora"], ["list", "--operator"], ["disable", "dora", "--json"], ["--nope"],
])
def test_wrong_usage_ends_with_2_and_names_the_help(place, words):
    assert user(place, *words, status=2).endswith("; try: reportd user --help\n")


def test_a_grant_of_what_is_not_there_is_warned_of(place):
    done = place.run("user", "add", "dora", "--grant", "*", "Quick", "Quik", stdin=PASSWORD + "\n")
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1 and "no report 'Quik' in " in done.stderr and "mean Quick?" in done.stderr
    assert "no report 'Nix' in " in place.run("user", "grant", "dora", "Slow", "Nix").stderr
    assert users(place)["dora"]["grants"] == ["*", "Quick", "Quik", "Slow", "Nix"]


@pytest.mark.parametrize("stdin, said", [
    ("", "no password"), ("\n", "no password"), ("x" * 256 + "\n", "longer than 255 bytes"),
    ("seven777"[:7] + "\n", "less than 8 characters"), ("öäüßöäü\n", "less than 8 characters"),
    ("doraDORA\n", "the user's name"), ("dora\0dora\n", "NUL"),
])
def test_a_password_that_cannot_be_is_refused(place, stdin, said):
    assert said in user(place, "add", "DoraDora", stdin=stdin, status=1)
    assert users(place) == {}
    user(place, "add", "DoraDora", stdin="eight888\n")
    assert said in user(place, "passwd", "doradora", stdin=stdin, status=1)


def test_the_help_names_every_action(place):
    said = user(place, "--help")
    for action in ("add", "passwd", "disable", "enable", "remove", "grant", "revoke", "allow", "operator", "limit", "import", "list"):
        assert f"\n  {action} " in said


def type_passwords(place, *typed):
    """Run `passwd alice` on a terminal; its exit status, and whether it ever echoed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(place.folder)
        os.execv(REPORTD, ["reportd", "user", "passwd", "alice"])
    said, echoed = b"", False
    for text in typed:
        while not said.endswith(b": "):
            said += os.read(terminal, 100)
        echoed = echoed or bool(termios.tcgetattr(terminal)[3] & termios.ECHO)
        said = b""
        os.write(terminal, text)
    try:
        while os.read(terminal, 1000):
            pass
    except OSError:  # how a terminal ends
        pass
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), echoed


def test_a_terminal_is_asked_twice_without_echo(place):
    user(place, "add", "alice", stdin=PASSWORD + "\n")
    assert type_passwords(place, b"another one\n", b"another one\n") == (0, False)
    assert type_passwords(place, b"another one\n", b"another two\n") == (1, False)
    assert type_passwords(place, b"\x03") == (1, False)
    assert type_passwords(place, b"short\n") == (1, False)  # and is not asked for again


@pytest.mark.parametrize("words", [["list"], ["disable", "alice"], ["grant", "alice", "Quick"], ["allow", "alice"],
                                   ["passwd", "alice"]])
def test_only_add_makes_a_store(place, words):
    assert "no store" in user(place, *words, stdin="x\n", status=1)
    assert not list(place.folder.glob("store.db*"))
