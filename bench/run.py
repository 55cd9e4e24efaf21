#!/usr/bin/env python3
"""bench/run.py -- every case of the bench beside its limit or peer: a table, JSON and two plots.

usage: bench/run.py [--quick] [CASE…]     (all cases; REPORTD_BIN names another program than the release build)

--quick takes three short pairs and smaller stores: to see that it runs, not to quote.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import generate_cases
import http_cases
from stage import OUT, ROOT, Skip, median

CASES = {
    "status": http_cases.status,
    "submit": http_cases.submit,
    "delete": http_cases.delete,
    "generate": generate_cases.generate_case,
    "nested": generate_cases.nested,
    "download": http_cases.download,
    "trivial": http_cases.trivial,
}
PROGRAMS = {"loop_step": ["-lsqlite3"], "loop_commit": ["-lsqlite3"], "drain": []}


class Bench:
    """How long to measure, and what came of it."""

    def __init__(self, quick):
        self.quick = quick
        self.pairs, self.slow_pairs = (3, 1) if quick else (5, 5)
        self.seconds = 1 if quick else 2
        self.rows, self.skipped, self.curves = [], [], {}

    def scaled(self, count, least=1000):
        return max(least, count // 20) if self.quick else count

    def program(self, name):
        return OUT / name

    def skip(self, what, why):
        self.skipped.append(f"{what}: {why}")
        print(f"  skipped: {what}: {why}", flush=True)

    def curve(self, name, points):
        self.curves.setdefault(name, []).extend(points)

    def case(self, name):
        began = time.monotonic()
        print(f"{name} …", flush=True)
        try:
            for row in CASES[name](self):
                self.rows.append(row)
                print("  " + line(row), flush=True)
        except Skip as why:
            self.skip(name, why)
        print(f"  ({time.monotonic() - began:.0f} s)", flush=True)


def figure(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def verdict(row):
    return {True: "met", False: "NOT MET", None: ""}[row.met]


def goal(row):
    return "" if row.goal is None else f"{'≤' if row.at_most else '≥'} {row.goal:g}"


def line(row):
    return (f"{row.case:<38} {figure(median(row.ours)):>11} {row.unit:<9} beside {row.beside:<38} "
            f"{figure(median(row.theirs)):>11}  ratio {row.ratio:5.2f} ±{row.ratio_spread * 100:3.0f} %  goal {goal(row):<7}"
            f"{verdict(row)} {row.note}")


def build():
    if "REPORTD_BIN" not in os.environ:
        subprocess.run(["make", "--no-print-directory", "MODE=release", "build/release/reportd"], cwd=ROOT, check=True)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "data").mkdir(exist_ok=True)
    for name, libraries in PROGRAMS.items():
        subprocess.run(["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-o", OUT / name, ROOT / "bench" / f"{name}.c",
                        *libraries], check=True)


def machine():
    cpu = [text.split(":")[1].strip() for text in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in text]
    return f"{os.cpu_count()} × {cpu[0] if cpu else platform.machine()}, {platform.system()} {platform.release()}"


def save(bench):
    result = {"when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": machine(), "quick": bench.quick,
              "rows": [row.as_json() for row in bench.rows], "skipped": bench.skipped, "curves": bench.curves}
    path = OUT / "last.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return path


def main(words):
    quick = "--quick" in words
    names = [word for word in words if word != "--quick"] or list(CASES)
    unknown = [name for name in names if name not in CASES]
    if unknown:
        print(f"bench: there is no case '{unknown[0]}'; there are: {', '.join(CASES)}", file=sys.stderr)
        return 2
    build()
    bench = Bench(quick)
    for name in names:
        bench.case(name)
    print("\n" + "\n".join(line(row) for row in bench.rows))
    for text in bench.skipped:
        print(f"skipped: {text}")
    print(f"\n{save(bench).relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
