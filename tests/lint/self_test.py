#!/usr/bin/env python3
"""tests/lint/self_test.py -- every rule of tools/lint catches its samples, RULE or RULE-N beside this file, and no other rule's.

A sample is linted as if it were the project. '@N TEXT' in it is N lines of TEXT, @ROOT@ a path that no file may hold.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.machinery import SourceFileLoader
from pathlib import Path

SAMPLES = Path(__file__).resolve().parent
ROOT = SAMPLES.parents[1]
sys.dont_write_bytecode = True
lint = SourceFileLoader("lint", str(ROOT / "tools/lint")).load_module()


def expand(text):
    text = re.sub(r"^@(\d+) (.*)\n", lambda m: (m.group(2) + "\n") * int(m.group(1)), text, flags=re.M)
    return text.replace("@ROOT@", "/wo" + "rk/")


def rules_that_catch(folder):
    with tempfile.TemporaryDirectory() as copy:
        os.chdir(copy)
        for sample in filter(Path.is_file, folder.rglob("*")):
            target = sample.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(expand(sample.read_text()))
        paths = [path for path in sorted(Path().rglob("*")) if path.is_file()]
        for name in (".clang-format", ".clang-tidy"):
            shutil.copy(ROOT / name, copy)
        return {rule for _, _, rule, _, _ in lint.lint(paths, lint.NAMES)}


def compiles(text):
    """As a file of src: the compiler sees to what src/base/poison.h forbids."""
    command = ["cc", "-std=gnu11", f"-I{ROOT}/src", "-include", "base/poison.h", "-fsyntax-only", "-xc", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True).returncode == 0


def main():
    failed = 0
    if not compiles("int main(void) { return puts(\"\"); }") or compiles("int main(void) { return atoi(\"1\"); }"):
        print("tests/lint: src/base/poison.h does not forbid atoi() alone")
        failed += 1
    for name in [*sorted(lint.NAMES), "good"]:
        folders = [path for path in SAMPLES.iterdir() if re.fullmatch(name + r"(-\d)?", path.name)]
        wrong = [f"{folder.name}: {sorted(found)}" for folder in folders if (found := rules_that_catch(folder)) != {name} - {"good"}]
        for line in wrong if folders else [f"{name}: there is no sample"]:
            print("tests/lint/" + line)
            failed += 1
    print(f"lint: self-test {'failed' if failed else 'passed'}: {len(lint.NAMES)} rules")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
