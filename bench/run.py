#!/usr/bin/python3
"""bench/run.py -- every case of the bench beside its limit or peer: a table, JSON and two plots.

usage: bench/run.py [--quick] [CASE…]   measure these cases, or all
       bench/run.py --publish           put what the last runs measured into doc/performance.md and doc/*.svg

A case that is measured replaces its part of build/bench/last.json. --quick takes fewer and shorter pairs and smaller
stores, into build/bench/quick.json: to see that it runs, not to quote. REPORTD_BIN names another program than the
release build. bench/README.md says what each case does.
"""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import claim_cases
import compressed_cases
import conversion_cases
import events_cases
import form_cases
import generate_cases
import growth_cases
import http_cases
import life_cases
import link_cases
import page_cases
import shared_cases
import xlsx_cases
from publish import curves_of, draw_plots, growth, line, publish
from stage import DATA, HERE, OUT, ROOT, Skip

CASES = {
    "status": http_cases.status,
    "submit": http_cases.submit,
    "delete": http_cases.delete,
    "delete-many": http_cases.delete_many,
    "claim": claim_cases.claim,
    "generate": generate_cases.generate_case,
    "nested": generate_cases.nested,
    "compressed": compressed_cases.compressed,
    "postgres": generate_cases.from_postgres,
    "download": http_cases.download,
    "forms": form_cases.forms,
    "xlsx": xlsx_cases.xlsx,
    "conversions": conversion_cases.conversions,
    "link": link_cases.link,
    "page": page_cases.page,
    "events": events_cases.events,
    "features": events_cases.features,
    "trivial": http_cases.trivial,
    "lives": life_cases.lives,
    "shared-lives": shared_cases.shared_lives,
    "shared-trivial": shared_cases.shared_trivial,
    "lasting": shared_cases.lasting,
    "nodes": shared_cases.nodes,
    "sealed": shared_cases.sealed,
    "memory": growth_cases.memory,
    "rows": growth_cases.rows,
    "stored": growth_cases.stored,
    "purge": growth_cases.purge,
    "clients": growth_cases.clients,
    "workers": growth_cases.workers,
}
PROGRAMS = {"loop_step": ["-lsqlite3"], "loop_commit": ["-lsqlite3"], "drain": [], "constant": ["-lmicrohttpd"]}
EXIT_FAILED, EXIT_USAGE = 1, 2


class Bench:
    """How long to measure, and what came of one case."""

    def __init__(self, quick):
        self.quick = quick
        self.pairs, self.slow_pairs, self.rounds = (3, 1, 1) if quick else (5, 5, 3)
        self.seconds = 1 if quick else 2
        self.skipped, self.curves = [], {}

    def scaled(self, count, least=1000):
        return max(least, count // 20) if self.quick else count

    @staticmethod
    def program(name):
        return OUT / name

    def skip(self, what, why):
        self.skipped.append(f"{what}: {why}")
        print(f"  skipped: {what}: {why}", flush=True)


def measure(name, quick):
    """Run a case; what it is in last.json."""
    bench, rows = Bench(quick), []
    began = time.monotonic()
    print(f"{name} …", flush=True)
    try:
        for row in CASES[name](bench):
            rows.append(row.as_json())
            print("  " + line(rows[-1]), flush=True)
    except Skip as why:
        bench.skip(name, why)
    seconds = time.monotonic() - began
    print(f"  ({seconds:.0f} s)", flush=True)
    return {"when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "commit": commit(), "seconds": round(seconds, 1),
            "rows": rows, "skipped": bench.skipped, "curves": bench.curves}


def build():
    if "REPORTD_BIN" not in os.environ:
        subprocess.run(["make", "-j2", "--no-print-directory", "MODE=release", "build/release/reportd"], cwd=ROOT, check=True)
    DATA.mkdir(parents=True, exist_ok=True)
    for name, libraries in PROGRAMS.items():
        subprocess.run(["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-o", OUT / name, HERE / f"{name}.c", *libraries],
                       check=True)


def commit():
    """Short; with a + if the sources have been changed since."""
    def git(*words):
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--short", "src") else "")


def machine():
    cpu = [text.split(":")[1].strip() for text in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in text]
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{os.cpu_count()} × {cpu[0] if cpu else platform.machine()}, {platform.system()} {kernel}"


def load(file):
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"cases": {}}


def save(file, cases):
    """Add to what was measured before, in the order of CASES."""
    known = {**load(file)["cases"], **cases}
    result = {"machine": machine(), "cases": {name: known[name] for name in CASES if name in known}}
    file.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return result


def show(measured):
    """All lines once more, together."""
    cases = measured["cases"].values()
    print()
    for case in cases:
        for row in case["rows"]:
            print(line(row))
    if curves_of(measured):
        print("\n" + "\n".join(growth(measured)))
    print("".join(f"\nskipped: {text}" for case in cases for text in case["skipped"]))


def publish_last():
    result = load(OUT / "last.json")
    missing = [name for name in CASES if name not in result["cases"]]
    if missing:
        print(f"bench: nothing to publish yet: {', '.join(missing)} not measured; run: make bench", file=sys.stderr)
        return EXIT_FAILED
    publish(result)
    print("bench: doc/performance.md and its plots are those of build/bench/last.json")
    return 0


def main(words):
    if "-h" in words or "--help" in words:
        print(__doc__.strip())
        return 0
    quick = "--quick" in words
    names = [word for word in words if word != "--quick"]
    if names == ["--publish"] and not quick:
        return publish_last()
    unknown = [name for name in names if name not in CASES]
    if unknown:
        print(f"bench: there is no case '{unknown[0]}'; there are: {', '.join(CASES)}", file=sys.stderr)
        return EXIT_USAGE
    if len(os.sched_getaffinity(0)) < 2:
        print("bench: it takes two cores, one for the server and one for the load", file=sys.stderr)
        return EXIT_FAILED
    build()
    file = OUT / ("quick.json" if quick else "last.json")
    cases, failed = {}, False
    for name in names or CASES:
        try:
            cases[name] = measure(name, quick)
        except (RuntimeError, OSError, subprocess.SubprocessError) as why:
            print(f"bench: {name} failed: {why}", file=sys.stderr)
            failed = True
    result = save(file, cases)
    show({"cases": cases})
    for path in (file, *draw_plots(result)):
        print(path.relative_to(ROOT))
    return EXIT_FAILED if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
