#!/usr/bin/env python3
"""Tortures a real server, or several on one PostgreSQL: random requests, kills, stops, full disks;
then checks what was answered.

usage: torture.py [--length 30m|90s|5000] [--seed TEXT] [--reportd FILE] …      see README.md
"""

import argparse
import random
import re
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from pathlib import Path

import checker
from client import Login
from cluster_faults import NodeFaults, SharedFaults
from content import Contents
from faults import KILLS, Faults
from history import History, now_us, read
from listener import Listener
from load import ACTIVE_STATES, MARKER, Book, Caller, Client
from model import CAUSE_LASTS
from node import harness
from nodes import Alone, Cluster, Watcher

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 10  # active reports a user
OPERATOR = "olga"
BURST = 4  # reports of each user at a time …
BURST_ROWS = 10, 30  # … and their length
RETENTIONS = (3, 6, 15)  # seconds; a seed has one of them


def read_length(text):
    """(seconds, None) or (None, operations)."""
    found = re.fullmatch(r"(\d+)([smh]?)", text)
    if found is None:
        raise argparse.ArgumentTypeError("a time as 90s, 30m or 1h, or a number of operations")
    number, unit = int(found.group(1)), found.group(2)
    return (number * {"s": 1, "m": 60, "h": 3600}[unit], None) if unit else (None, number)


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split(";")[0])
    parser.add_argument("--length", type=read_length, default="5m",
                        help="90s, 30m, or a number of operations (default: 5m)")
    parser.add_argument("--seed", default="", help="of the random choices (default: a new one)")
    parser.add_argument("--reportd", type=Path, default=ROOT / "build/asan/reportd")
    parser.add_argument("--nodes", type=int, default=1, help="more than one share a PostgreSQL (default: 1)")
    parser.add_argument("--users", type=int, default=4)
    parser.add_argument("--threads", type=int, default=3, help="clients of each user")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--settle", type=int, default=60,
                        help="seconds after the last fault until all has ended (default: 60)")
    parser.add_argument("--faults", type=lambda text: text.split(","),
                        help="no others than these, as the summary names them, with commas between")
    parser.add_argument("--show", type=int, default=3, help="violations of a rule to print (default: 3)")
    parser.add_argument("--calm", action="store_true", help="without faults")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a clean run too")
    arguments = parser.parse_args()
    arguments.seed = arguments.seed or secrets.token_hex(4)
    return arguments


class Run:
    def __init__(self, arguments):
        self.arguments, self.seed = arguments, arguments.seed
        self.folder = Path(tempfile.mkdtemp(prefix="reportd-torture-"))
        self.alone = arguments.nodes == 1
        self.site = Alone(self.folder, arguments.reportd) if self.alone else \
            Cluster(self.folder, arguments.reportd, arguments.nodes)
        self.stop = threading.Event()
        self.books, self.callers, self.clients = [], [], []

    def prepare(self):
        dice = random.Random(self.seed)
        retention, encryption, compression = dice.choice(RETENTIONS), dice.choice(("off", "on")), dice.choice(("off", "zstd"))
        words = self.site.make(dice, workers=self.arguments.workers, retention=f"{retention}s",
                               cancel_grace="300ms", drain_grace="300ms", active_limit=LIMIT,
                               spool_encryption=encryption, result_compression=compression)
        print(f"torture: seed {self.seed}, retention {retention} s, encryption {encryption}, "
              f"compression {compression}, {words}", flush=True)
        self.history = History(self.folder / "history.jsonl", seed=self.seed, limit=LIMIT,
                               retention_ms=retention * 1000, nodes=self.arguments.nodes)
        contents = Contents()
        for name in (f"user{number}" for number in range(self.arguments.users)):
            self.site.add_user(name)
            self.books.append(Book(name, Login(self.site.ports(), name, harness.PASSWORD)))
        self.site.add_operator(OPERATOR)
        self.operator = Caller(Book(OPERATOR, Login(self.site.ports(), OPERATOR, harness.PASSWORD)), self.site.ports(),
                               self.history, contents)
        for book in self.books:
            callers = [Caller(book, self.site.ports(), self.history, contents)
                       for _ in range(self.arguments.threads + 1)]
            self.callers.append(callers[0])
            self.clients += [Client(f"{self.seed}/{book.user}/{number}", self.books, caller, self.stop)
                             for number, caller in enumerate(callers[1:])]
        self.listeners = [Listener(f"{self.seed}/{book.user}", book, self.site.ports(), self.history, self.stop)
                          for book in self.books]
        kind = Faults if self.alone else NodeFaults
        self.faults = [kind(self.seed, self.site, node, self.history, self.stop)
                       for node in self.site.nodes]
        self.shared = [] if self.alone else [
            SharedFaults(self.seed, self.site, self.faults, self.history, self.stop)]
        self.watchers = [] if self.alone else [Watcher(self.site, self.history, self.stop)]

    # ---- under fire ----

    def torture(self):
        seconds, operations = self.arguments.length
        began = time.monotonic()
        for faults in self.faults:
            assert faults.node.start(), faults.tail()
        for thread in self.threads():
            thread.start()
        said = began
        while not self.stop.is_set():
            now = time.monotonic()
            if seconds is not None and now - began >= seconds or \
                    operations is not None and self.operations() >= operations:
                break
            if now - said > 30:
                said = now
                print(f"  {now - began:.0f} s: {self.operations()} operations, "
                      f"{self.kills()} kills", flush=True)
            self.stop.wait(0.05)
        self.stop.set()
        for thread in self.threads():
            thread.join()
        for thread in self.threads():
            if thread.broken is not None:
                raise thread.broken

    def threads(self):
        return [*self.clients, *self.listeners, *self.watchers, *filter(self.is_wanted, [*self.faults, *self.shared])]

    def is_wanted(self, faults):
        """False if it has nothing left to do."""
        only = self.arguments.faults
        if only is not None:
            faults.weights = {fault: weight for fault, weight in faults.weights.items() if fault in only}
        return not self.arguments.calm and faults.weights != {}

    def operations(self):
        return sum(client.done for client in self.clients)

    def counts(self):
        """Of all faults, by kind."""
        return sum((Counter(faults.counts) for faults in [*self.faults, *self.shared]), Counter())

    def kills(self):
        return sum(self.counts()[kind] for kind in KILLS)

    # ---- afterwards ----

    def settle(self):
        """No fault any more: everything ends, is deleted, and gives its slot back."""
        for faults in self.faults:
            if not faults.node.has_ended():
                faults.node.kill()
        for faults in self.faults:
            faults.restart("")
        self.calm_since = now_us()
        for caller in self.callers:
            caller.close()
        deadline = time.monotonic() + self.arguments.settle
        for caller in self.callers:
            self.wait_for_ends(caller, deadline)
        self.history.mark("settled")
        for caller in self.callers:
            self.get_all(caller)
        self.compete(deadline)
        for caller in self.callers:
            self.get_all(caller)
            self.check_dead(caller)
            self.take_all_slots(caller)

    def wait_for_ends(self, caller, deadline):
        while time.monotonic() < deadline:
            reports = caller.list()
            active = [row[0] for row in reports or () if row[2] in ACTIVE_STATES]
            if reports is not None and not active:
                return
            if active:
                caller.status(active[-1], wait=2)
            caller.move_on()

    def compete(self, deadline):
        """One user's burst after the other comes into a queue that is paused; then all wait for a few workers, and the
        lists that are asked for all the while tell whose turn it was."""
        dice, callers = random.Random(f"{self.seed}/bursts"), [*self.callers]
        threading.Event().wait(max(0, self.calm_since + CAUSE_LASTS - now_us()) / 1e6)
        dice.shuffle(callers)
        self.operator.pause(True)
        for caller in callers:
            for number in range(BURST):
                caller.turn(dice.random())
                caller.submit(None, "Slow", {"Tag": f"{MARKER}burst-{caller.book.user}-{number}",
                                             "Rows": str(dice.randint(*BURST_ROWS))})
        are_active = [caller.is_active() for caller in callers]
        self.operator.pause(False)
        while any(are_active) and time.monotonic() < deadline:
            are_active = [caller.is_active() for caller in callers]

    def get_all(self, caller):
        """Each that is left, in several ways, of every node; then it is deleted."""
        for row in caller.list() or ():
            for _ in self.site.nodes:
                caller.move_on()
                if row[2] == "complete":
                    caller.get(row[0])
                    caller.form(row[0], "csv", "identity")
                    caller.form(row[0], "json", "zstd")
                    caller.window(row[0], 0, 1)
            caller.delete(row[0])
            caller.move_on()

    def check_dead(self, caller):
        """Each that ever was is asked for, and nothing is left in any list."""
        for reference in sorted(caller.book.ever):
            caller.ask_all(reference)
        for _ in self.site.nodes:
            caller.move_on()
            if caller.list() != []:
                self.history.mark("reports are left after all were deleted")

    def take_all_slots(self, caller):
        """Exactly LIMIT are free."""
        taken = []
        for number in range(LIMIT + 1):
            _, reference = caller.submit(None, "Forever", {"Tag": f"{MARKER}slot-{caller.book.user}-{number}"})
            taken.append(reference)
            caller.move_on()
        if None in taken[:LIMIT] or taken[LIMIT] is not None:
            self.history.mark(f"{LIMIT - taken[:LIMIT].count(None)} slots are free, not {LIMIT}, or more",
                              user=caller.book.user)
        for reference in filter(None, taken):
            caller.delete(reference)
            caller.move_on()

    def finish(self):
        """The end, and what must not be left by then."""
        began = now_us()
        for node in self.site.nodes:
            status = node.stop()
            if status != 0:
                self.history.mark("bad end", status=status, **node.facts())
        for pid in self.site.left_processes():
            self.history.mark("a process is left", pid=pid)
        words = self.site.audit()
        if words:
            self.history.mark("the audit finds something", words=words)
        files = self.site.files()
        if files:
            self.history.mark("files are left without a row", files=files[:20])
        for table, rows in self.site.rows().items():
            if rows:
                self.history.mark("rows are left", table=table, rows=rows)
        left = self.site.leftovers({reference for caller in self.callers for reference in caller.book.ever})
        if left:
            self.history.mark("something of a deleted report is left", where=left[:20])
        for complaint in self.site.complaints():
            self.history.mark("a sanitizer complains", words=complaint)
        self.history.add({"fault": "end", "sent": began, "received": now_us()})

    def do(self):
        """All of it; what breaks the run off, as a server that does not start, is found like the rest."""
        try:
            self.torture()
            self.settle()
            self.finish()
        except Exception:
            self.history.mark("the run broke off", words=traceback.format_exc())
        self.history.close()

    def close(self, keep):
        self.stop.set()
        self.site.close()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def count(things):
    return ", ".join(f"{number} {name}" for name, number in sorted(Counter(things).items()))


def summarize(run, model):
    shown = Counter()
    for violation in model.violations:
        shown[violation.rule] += 1
        if shown[violation.rule] <= run.arguments.show:
            print(violation)
    print("operations:", count(event["op"] for event in model.events))
    print("answers:   ", count(f"{event['op']} {event['answer']}" for event in model.events))
    print("faults:    ", count(run.counts()))
    print("fairness:  ", f"{model.checked} starts while another user's turn was known")
    if model.violations:
        print("violations:", count(violation.rule for violation in model.violations))
    print(f"seed {run.seed}: {len(model.events)} operations, {run.kills()} kills, "
          f"{len(model.violations)} violations")


def main():
    arguments = read_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("torture: ended by SIGTERM"))
    run, clean = Run(arguments), False
    try:
        run.prepare()
        run.do()
        model = checker.check(read(run.history.path))
        clean = not model.violations
        summarize(run, model)
    finally:
        if not clean:
            run.site.save()
            print(f"history and logs: {run.folder}")
        run.close(keep=arguments.keep or not clean)
    sys.exit(0 if clean else 1)


if __name__ == "__main__":
    main()
