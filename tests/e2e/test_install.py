"""make install and make uninstall, the sample configuration, and what shells complete."""

import re
import subprocess

import pytest

from harness import PATIENCE, REPORTCTL, REPORTD, ROOT, Server

BASH = r"""
. "$1/etc/completions/reportd.bash"
COMP_WORDS=("${@:2}")
COMP_CWORD=$(($# - 2))
_reportd
printf '%s\n' "${COMPREPLY[@]}"
"""
ZSH = r"""
compadd() { shift; print -l -- ${(M)@:#$PREFIX*} }
_files() { }
complete_it() { root=$1 words=("${@[2,-1]}"); CURRENT=$#words PREFIX=$words[-1]; source $root/etc/completions/_reportd }
complete_it "$@"
"""


def make(target, folder):
    return subprocess.run(["make", "-C", ROOT, f"MODE={REPORTD.parent.name}", f"DESTDIR={folder}", "PREFIX=/opt/here", target],
                          capture_output=True, text=True, timeout=PATIENCE, check=True)


def files_below(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


@pytest.mark.skipif(REPORTD.parent.parent != ROOT / "build", reason="another build is installed elsewhere")
def test_uninstall_removes_what_install_has_put_there_and_nothing_else(tmp_path):
    make("install", tmp_path)
    installed = files_below(tmp_path)
    assert {"opt/here/bin/reportd", "opt/here/bin/reportctl", "opt/here/share/man/man5/reportd.conf.5",
            "opt/here/lib/systemd/system/reportd.service", "opt/here/lib/sysusers.d/reportd.conf",
            "opt/here/share/bash-completion/completions/reportctl", "opt/here/share/doc/reportd/reportd.conf"} <= installed
    assert "ExecStart=/opt/here/bin/reportd serve" in (tmp_path / "opt/here/lib/systemd/system/reportd.service").read_text()
    others = tmp_path / "opt/here/share/doc/reportd/notes", tmp_path / "opt/here/bin/another"
    for path in others:
        path.write_text("")
    make("uninstall", tmp_path)
    assert files_below(tmp_path) == {str(path.relative_to(tmp_path)) for path in others}


def test_the_sample_configuration_starts_once_its_folders_are_there(tmp_path):
    text = (ROOT / "etc/reportd.conf").read_text()
    for folder in ("/var/lib/reportd", "/etc/reportd"):
        text = text.replace(f'"{folder}/', f'"{tmp_path}/')
    (tmp_path / "reports").mkdir()
    (tmp_path / "reportd.conf").write_text(text)
    server = Server.of_folder(tmp_path)
    server.add_user("alice")
    server.start()
    try:
        assert server.client("alice").list().status_code == 200
    finally:
        assert server.stop() == 0


def completed(shell, *words):
    script = {"bash": ["bash", "-c", BASH], "zsh": ["zsh", "-f", "-c", ZSH]}[shell]
    done = subprocess.run([*script, shell, ROOT, *words], capture_output=True, text=True, timeout=PATIENCE, check=True)
    return done.stdout.split()


def table(path, name):
    """The rows of an X table, as text."""
    body = re.search(rf"#define {name}\(X\)(.*?)(?:\n\n|\Z)", (ROOT / path).read_text(), re.S)[1]
    return re.split(r"\n    X\(", body)[1:]


SHELLS = ["bash", pytest.param("zsh", marks=pytest.mark.slow)]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_verb_command_and_action_is_completed(shell):
    verbs = [row.split('"')[1] for row in table("src/cli/verbs.h", "VERBS")]
    assert "serve" in verbs and completed(shell, REPORTD, "") == verbs
    commands = [row.split('"')[1] for row in table("src/ctl/ctl.h", "CTL_COMMANDS")]
    assert "login" in commands and completed(shell, REPORTCTL, "") == commands
    for verb in ("user", "key"):
        (actions,) = [row.split('"')[3].split()[0] for row in table("src/cli/verbs.h", "VERBS") if row.startswith(verb + ",")]
        assert sorted(completed(shell, REPORTD, verb, "")) == sorted(actions.split("|"))
    assert completed(shell, REPORTD, "user", "dis") == ["disable"]
    admin = next(row for row in table("src/ctl/ctl.h", "CTL_COMMANDS") if row.startswith('"admin"')).split('"')[3]
    assert completed(shell, REPORTCTL, "admin", "") == admin.split()[0].split("|")


@pytest.mark.parametrize("shell", SHELLS)
def test_every_option_is_completed(shell):
    for row in table("src/cli/verbs.h", "VERBS"):
        verb, arguments = re.findall(r'"([^"]*)"', row)[:2]
        options = re.findall(r"--[a-z-]+", arguments)
        assert {*options, "--help"} <= {*completed(shell, REPORTD, verb, "-"), *(["--help"] if verb in ("worker", "fetch") else [])}, verb
    flags = {letter: f"--{name}" for letter, name in re.findall(r"'(\w)', \"([a-z-]+)\"", "".join(table("src/ctl/ctl.h", "CTL_OPTIONS")))}
    for row in table("src/ctl/ctl.h", "CTL_COMMANDS"):
        name, _, letters = re.findall(r'"([^"]*)"', row)[:3]
        assert {flags[letter] for letter in letters} <= set(completed(shell, REPORTCTL, name, "-")), name


@pytest.mark.parametrize("shell", SHELLS)
def test_where_a_file_may_follow_nothing_is_offered_in_its_place(shell):
    assert completed(shell, REPORTD, "check", "") == []
    assert completed(shell, REPORTCTL, "get", "x", "") == []
