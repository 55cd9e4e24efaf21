"""The torture can fail: a bug that is planted in the tree (bugs/*.patch) is caught, by the rule meant."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LENGTH, SETTLE = "8s", "12"
ROUNDS = 20  # until it is caught, each with choices of its own
CAUGHT_BY = {  # what the report on a bug has to name
    "alive-after-delete": "is seen after it was dead",
    "answered-before-the-disk": "is lost, nobody deleted it",
    "eleven-active": "more active than allowed",
    "kept-beside-the-spool": "something of a deleted report is left",
    "kept-in-the-store": "something of a deleted report is left",
    "lost-at-a-crash": "does not end",
    "oldest-first": "starts before",
    "oldest-first-in-postgresql": "starts before",
    "published-by-a-loser": "is seen after it was dead",
    "resurrected-by-a-restore": "is resurrected",
}
OPTIONS = {  # of the bugs that only show in several nodes, by one fault, or at the end
    "answered-before-the-disk": ["--nodes", "3", "--length", "15s", "--faults", "crash postgresql"],
    "oldest-first": ["--length", "1s", "--calm"],
    "oldest-first-in-postgresql": ["--length", "1s", "--calm", "--nodes", "3"],
    "published-by-a-loser": ["--nodes", "3", "--threads", "8", "--length", "20s",
                             "--faults", "hang server,stop server"],
    "resurrected-by-a-restore": ["--faults", "restore"],
}


def run(*command, cwd):
    """TMPDIR: the history that a caught bug leaves goes with the tree."""
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False,
                          env=os.environ | {"TMPDIR": str(Path(cwd).parent)})


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the tree, built once without sanitizers, so that a patch costs a file or two."""
    folder = tmp_path_factory.mktemp("planted")
    tree = folder / "tree"
    shutil.copytree(ROOT, tree, symlinks=True,
                    ignore=shutil.ignore_patterns("build", ".git", "node_modules", "__pycache__"))
    build(tree)
    yield tree
    shutil.rmtree(folder, ignore_errors=True)


def build(tree):
    done = run("make", f"-j{os.cpu_count()}", "MODE=plain", "programs", cwd=tree)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_bug_has_its_rule():
    assert {path.stem for path in (HERE / "bugs").glob("*.patch")} == set(CAUGHT_BY)


def is_caught(tree, bug, seed):
    """By the rule meant, in a run that came to its end."""
    found = run(sys.executable, str(tree / "tests/torture/torture.py"), "--length", LENGTH,
                "--settle", SETTLE, "--seed", seed, "--show", "1000", *OPTIONS.get(bug, []),
                "--reportd", str(tree / "build/plain/reportd"), cwd=tree)
    assert re.search(r" \d+ violations$", found.stdout, re.MULTILINE), found.stdout + found.stderr
    return CAUGHT_BY[bug] in found.stdout


@pytest.mark.parametrize("bug", CAUGHT_BY)
def test_a_planted_bug_is_caught(tree, bug):
    patch = HERE / "bugs" / f"{bug}.patch"
    done = run("patch", "-p1", "-i", str(patch), cwd=tree)
    assert done.returncode == 0, done.stdout
    try:
        build(tree)
        assert any(is_caught(tree, bug, f"{bug}-{number}") for number in range(ROUNDS))
    finally:
        assert run("patch", "-R", "-p1", "-i", str(patch), cwd=tree).returncode == 0
