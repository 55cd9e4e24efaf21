"""The torture can fail: a bug that is planted in the tree (bugs/*.patch) is caught, by the rule meant."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LENGTH, SETTLE = "8s", "12"
CAUGHT_BY = {  # what the report on a bug has to name
    "alive-after-delete": "is seen after it was dead",
    "eleven-active": "more active than allowed",
    "lost-at-a-crash": "does not end",
    "published-by-a-loser": "is seen after it was dead",
}
OPTIONS = {  # of the bugs that one server alone does not have
    "published-by-a-loser": ["--nodes", "3", "--threads", "8", "--length", "20s",
                             "--faults", "hang server,stop server"],
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


@pytest.mark.parametrize("bug", CAUGHT_BY)
def test_a_planted_bug_is_caught(tree, bug):
    patch = HERE / "bugs" / f"{bug}.patch"
    done = run("patch", "-p1", "-i", str(patch), cwd=tree)
    assert done.returncode == 0, done.stdout
    try:
        build(tree)
        found = run(sys.executable, str(tree / "tests/torture/torture.py"), "--length", LENGTH,
                    "--settle", SETTLE, "--seed", bug, *OPTIONS.get(bug, []),
                    "--reportd", str(tree / "build/plain/reportd"), cwd=tree)
        assert found.returncode == 1 and CAUGHT_BY[bug] in found.stdout, found.stdout + found.stderr
    finally:
        assert run("patch", "-R", "-p1", "-i", str(patch), cwd=tree).returncode == 0
