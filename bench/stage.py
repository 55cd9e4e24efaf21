"""What the cases stand on: programs, measuring in turn, load from wrk, the rows of the table."""

import re
import shutil
import socket
import statistics
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
OUT = ROOT / "build/bench"
DATA = OUT / "data"
NPM = OUT / "npm/node_modules"
SERVER_CORE, LOAD_CORE = "0", "1"
CONNECTIONS = 64


class Skip(Exception):
    """A peer that is not here; the words name it."""


def need(program, name):
    found = program if isinstance(program, Path) and program.exists() else shutil.which(str(program))
    if not found:
        raise Skip(f"{name} is not installed (make bench-deps)")
    return str(found)


def run(*command, core=None, **more):
    pinned = ["taskset", "-c", core] if core else []
    done = subprocess.run([*pinned, *map(str, command)], text=True, capture_output=True, check=False, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: exit {done.returncode}\n{done.stdout[-1000:]}\n{done.stderr[-1000:]}")
    return done.stdout


def alternate(pairs, *measures):
    """A B A B …: lists of what each measure returned, so that what disturbs one disturbs the other."""
    results = [[] for _ in measures]
    for _ in range(pairs):
        for result, measure in zip(results, measures):
            result.append(measure())
    return results


def median(values):
    return statistics.median(values)


def spread(values):
    """Half the range between the quartiles, as a part of the median."""
    if len(values) < 3:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / 2 / median(values) if median(values) else 0.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}")


def process_memory(pid, field):
    """Bytes: VmRSS is what the process has in memory now, VmHWM the most it ever had."""
    return int(re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M).group(1)) * 1024


def wrk(url, script, *arguments, seconds=2, connections=CONNECTIONS, threads=1, core=LOAD_CORE):
    """Requests a second, and what else wrk saw; `seconds` is a whole number."""
    text = run(need("wrk", "wrk"), f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "-s", HERE / "lua" / script, url,
               "--", *arguments, core=core)
    found = re.search(r"requests (\d+) us (\d+) errors (\d+) p50 (\d+) p99 (\d+)", text)
    if not found:
        raise RuntimeError(f"wrk said: {text[-800:]}")
    requests, us, errors, p50, p99 = map(int, found.groups())
    if errors:
        raise RuntimeError(f"{script} {' '.join(map(str, arguments))}: {errors} answers were not as they must be")
    return {"rate": requests / us * 1e6, "p50_us": p50, "p99_us": p99, "requests": requests}


class Row:
    """One line of the table. `ours` and `theirs` are lists of the same length, measured in turn; the ratio is the
    median of the ratios of each pair, so that it is a pair's noise and not the hour's that it shows."""

    def __init__(self, case, beside, unit, ours, theirs, goal=None, at_most=False, note=""):
        self.case, self.beside, self.unit, self.goal, self.at_most, self.note = case, beside, unit, goal, at_most, note
        self.ours, self.theirs = list(ours), list(theirs)
        self.ratios = [a / b for a, b in zip(self.ours, self.theirs)]

    @property
    def ratio(self):
        return median(self.ratios)

    @property
    def met(self):
        if self.goal is None:
            return None
        return self.ratio <= self.goal if self.at_most else self.ratio >= self.goal

    def as_json(self):
        return {"case": self.case, "beside": self.beside, "unit": self.unit, "ours": self.ours, "theirs": self.theirs,
                "median": median(self.ours), "spread": spread(self.ours),
                "beside_median": median(self.theirs), "beside_spread": spread(self.theirs),
                "ratio": self.ratio, "ratio_spread": spread(self.ratios), "goal": self.goal, "at_most": self.at_most,
                "met": self.met, "note": self.note}
