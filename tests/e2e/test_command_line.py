"""The command lines of reportd and reportctl: their options, help, manuals, and what is wrong with them."""

import re
import shutil
import subprocess

import pytest

from harness import PATIENCE, REPORTCTL, REPORTD, ROOT

VERBS = ["serve", "user", "check", "try", "fsck", "receipt", "backup", "restore", "migrate", "demo"]
COMMANDS = ["login", "logout", "types", "submit", "status", "wait", "get", "delete", "list", "run"]
BOTH = [(REPORTD, "reportd", verb) for verb in VERBS] + [(REPORTCTL, "reportctl", command) for command in COMMANDS]
OPTION = re.compile(r"--[a-z][a-z-]+")
COLUMNS = 80


def run(*words, **options):
    return subprocess.run(words, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE,
                          **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options})


def manual(page):
    """The words of a manual page without its markup."""
    return re.sub(r"[ \n]+", " ", re.sub(r"\\(?:&|-)|^\.[A-Z][a-z] ", "",
                                        re.sub(r"Fl -", "--", (ROOT / "man" / page).read_text()), flags=re.M))


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize("program, name, verb", BOTH)
def test_a_wrong_option_is_told_in_one_way(program, name, verb, tmp_path):
    hint = f"; try: {name} {verb} --help\n"
    for words, said in [(["--hlep"], "there is no option --hlep (did you mean --help?)"), (["--help=me"], "--help takes no value"),
                        (["--zzzzz"], "there is no option --zzzzz"), (["-Z"], "there is no option -Z")]:
        done = run(program, verb, *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(f"{name} ?(?:{verb})?: " + re.escape(said + hint), done.stderr), done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("program, words", [
    (REPORTD, ["serve", "-c"]), (REPORTD, ["try", "--user"]), (REPORTD, ["user", "add", "a", "--grant"]),
    (REPORTD, ["restore", "--ledger"]), (REPORTD, ["demo", "--seed"]), (REPORTD, ["receipt", "--jwks"]),
    (REPORTCTL, ["get", "-o"]), (REPORTCTL, ["submit", "R", "--key"]),
])
def test_a_missing_value_is_told(program, words):
    done = run(program, *words)
    assert done.returncode == 2 and f": {words[-1]} needs a value; try: " in done.stderr
    for empty in ([*words, ""], [*words[:-1], words[-1] + "="] if words[-1].startswith("--") else [*words, ""]):
        done = run(program, *empty)
        assert done.returncode == 2 and " needs a value; try: " in done.stderr


@pytest.mark.parametrize("program, word, said", [
    (REPORTD, "bakup", "there is no verb 'bakup' (did you mean backup?); try: reportd --help"),
    (REPORTD, "--nope", "there is no option --nope; try: reportd --help"),
    (REPORTD, "worker", "it is started by reportd serve, not by hand; try: reportd worker --help"),
    (REPORTD, "fetch", "it is started by reportd serve, not by hand; try: reportd fetch --help"),
    (REPORTCTL, "lst", "there is no command 'lst' (did you mean list?); try: reportctl --help"),
])
def test_an_unknown_verb_is_told(program, word, said):
    done = run(program, word)
    assert done.returncode == 2 and done.stderr.endswith(f": {said}\n")


@pytest.mark.parametrize("program, name, verb", [*BOTH, (REPORTD, "reportd", "worker"), (REPORTD, "reportd", "fetch"), (REPORTD, "reportd", None),
                                                 (REPORTCTL, "reportctl", None)])
def test_the_help_fits_a_terminal_and_its_options_are_in_the_manual(program, name, verb):
    for option in ["--help", "-h"]:
        done = run(program, *([verb] if verb else []), option)
        assert (done.returncode, done.stderr) == (0, "")
        assert not [line for line in done.stdout.splitlines() if len(line) > COLUMNS]
        assert "usage: " + " ".join(filter(None, [name, verb])) in done.stdout
    words = manual(f"{name}.1")
    assert not {option for option in OPTION.findall(done.stdout) if option not in words}
    assert verb is None or f"{verb} " in words


@pytest.mark.parametrize("program, words", [(REPORTD, ["--version"]), (REPORTD, ["--help"]), (REPORTD, ["check", "--help"]),
                                            (REPORTCTL, ["--version"]), (REPORTCTL, ["--help"])])
def test_what_cannot_be_printed_is_a_failure(program, words):
    with open("/dev/full", "w") as full:
        done = run(program, *words, stdout=full)
    assert done.returncode == (1 if program == REPORTD else 6)
    assert "cannot write standard output" in done.stderr


@pytest.mark.parametrize("config, environment, said", [
    ('source shop {\n url = "sqlite:a.db"\n}\n\nsource shop { url = "sqlite:b.db" }\n', {},
     "c:5: there is a source shop already, which ends in line 3: rename one"),
    ("\nworkrs = 3\n", {}, "c:2: there is no key 'workrs' (did you mean workers?); reportd serve --help lists the keys"),
    ('\nsource a {\n url = "mysql://u:secret@h/d"\n}', {},
     "c:3: source a: there is no database of kind 'mysql': it takes the url of an SQLite or PostgreSQL database: url = \"sqlite:PATH\" or "
     '"postgresql://USER@HOST/DATABASE"'),
    ('source a { url = "SQLITE:a.db" }', {}, "c:1: source a: there is no database of kind 'SQLITE': it takes the url of an "),
    ('source a { url = "postgresql:a" }', {}, "c:1: source a takes the url of an SQLite or PostgreSQL database"),
    ('source a { url = "secret.db" }', {}, "c:1: source a takes the url of an SQLite or PostgreSQL database"),
    ("source a { }", {}, "c: source a takes the url of an SQLite or PostgreSQL database"),
    ('store = "mysql://u:secret@h/d"', {}, "c:1: store: there is none of kind 'mysql'"),
    ('listen = "127.0.0.1:99999"', {}, "c:1: listen = '127.0.0.1:99999': it takes ADDRESS:PORT"),
    ('listen = "localhost"', {}, "c:1: listen = 'localhost': it takes ADDRESS:PORT"),
    ("", {"REPORTD_LISTEN": "::1:80"}, "REPORTD_LISTEN: listen = '::1:80': it takes ADDRESS:PORT"),
])
def test_a_wrong_configuration_is_told_by_its_check(tmp_path, monkeypatch, config, environment, said):
    (tmp_path / "c").write_text(config)
    (tmp_path / "reports").mkdir()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = run(REPORTD, "check", "-c", "c")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"reportd check: {said}") and "secret" not in done.stderr, done.stderr


def test_a_folder_is_no_configuration(tmp_path):
    for verb in (["check"], ["fsck"], ["serve"], ["user", "list"], ["try", "R"]):
        done = run(REPORTD, *verb, "-c", tmp_path)
        assert (done.returncode, done.stderr) == \
            (1, f"reportd {verb[0]}: can't read the configuration '{tmp_path}': Is a directory\n")


@pytest.mark.parametrize("verb", [["check"], ["user", "list"], ["fsck"], ["try", "R"]])
def test_a_variable_that_stands_for_no_key_is_warned_of(tmp_path, monkeypatch, verb):
    (tmp_path / "c").write_text("")
    (tmp_path / "reports").mkdir()
    for name in ("REPORTD_LISTN", "REPORTD_XYZZY", "REPORTD_STORE", "REPORTD_PORT", "REPORTD_SERVICE_HOST", "REPORTD_PORT_80_TCP"):
        monkeypatch.setenv(name, "secret")  # the last three are Kubernetes's
    said = run(REPORTD, *verb, "-c", "c").stderr.splitlines()
    warnings = [line.removeprefix(f"reportd {verb[0]}: warning: the environment variable ") for line in said if "warning" in line]
    assert sorted(warnings) == ["REPORTD_LISTN stands for no key (did you mean REPORTD_LISTEN?)", "REPORTD_XYZZY stands for no key"]
    assert said[:2] == [line for line in said if "warning" in line] and "secret" not in "".join(warnings)


ESCAPES = "no\x1b[2J\x9b31m\u202efile"
REPORT = "01a2b3c4-0000-7000-8000-000000000001"


@pytest.mark.parametrize("words", [["serve"], ["serve", "--check"], ["check"], ["try", "R"], ["fsck"], ["backup", "to"], ["restore", "from"], ["migrate", ESCAPES],
                                   ["user", "list"], ["key", "list"], ["group", "list"], ["signing-key", "list"], ["trail", "find", REPORT],
                                   ["receipt", ESCAPES], ["user", ESCAPES], ["check", "--" + ESCAPES], [ESCAPES]], ids=lambda words: words[0][:12])
def test_what_is_wrong_is_told_without_what_a_terminal_obeys(words):
    """Names of files may be others' inventions: a shell's `*` has all of them."""
    configured = words + (["-c", ESCAPES] if words[0] not in ("receipt", ESCAPES) and words[-1] != "--" + ESCAPES else [])
    said = run(REPORTD, *configured)
    assert said.returncode != 0 and said.stderr
    assert not [letter for letter in said.stdout + said.stderr if letter in "\x1b\x9b\u202e"], said.stderr


@pytest.mark.parametrize("target, installs", [("build", None), ("programs", None), ("unit-programs", None), ("install", None),
                                              ("demo", ""), ("run", ""), ("check", " test"), ("lint", " test"), ("demo-cluster", " test")])
def test_building_installs_nothing_and_what_a_person_types_first_does(target, installs):
    commands = run("make", "-n", target, cwd=ROOT).stdout.splitlines()
    assert [line for line in commands if "tools/deps" in line] == ([] if installs is None else [f"tools/deps --if-missing{installs}"])


@pytest.mark.parametrize("target, module, installed_by", [("libraries", "libconfuse", "make deps'"),
                                                          ("test-libraries", "cmocka", "make deps-test'")])
def test_a_build_names_the_libraries_that_are_not_there(tmp_path, monkeypatch, target, module, installed_by):
    assert run("make", target, cwd=ROOT).returncode == 0
    for name in run("pkg-config", "--list-package-names").stdout.split():  # all others are
        if name != module:
            (tmp_path / f"{name}.pc").write_text(f"Name: {name}\nDescription: it is there\nVersion: 1\n")
    monkeypatch.setenv("PKG_CONFIG_LIBDIR", str(tmp_path))
    done = run("make", target, cwd=ROOT)
    assert done.returncode != 0 and f"pkg-config does not find: {module};" in done.stderr and installed_by in done.stderr


@pytest.mark.parametrize("words, status", [([], 1), (["--if-missing"], 0), (["--if-missing", "test"], 0)])
def test_without_apt_what_is_not_installed_is_named_and_a_build_may_go_on(tmp_path, words, status):
    for name in ("bash", "grep", "id"):
        (tmp_path / name).symlink_to(shutil.which(name))
    done = run(ROOT / "tools/deps", *words, env={"PATH": str(tmp_path)})
    assert done.returncode == status and "no apt-get here" in done.stderr and "libconfuse-dev" in done.stderr
    assert ("libcmocka-dev" in done.stderr) == ("test" in words)
