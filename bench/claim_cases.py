"""What a claim costs with little and with much in the queue, and what it costs several nodes that they take turns."""

import contextlib
import shutil
import statistics
import subprocess

from servers import private_postgres
from stage import DATA, ROOT, Row, alternate, run

FEW, MANY = 10, 1_000_000
USERS, WIDE = 1_000, 100_000
NODES = (2, 4)
PAIRS, SECONDS = 41, 0.2  # many and short, so that what else runs disturbs few


class Node:
    """A process that has a store open and claims when it is told to."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def begin(self, seconds, pids):
        print(seconds, *pids, file=self.process.stdin, flush=True)

    def end(self):
        """Processor time of a claim in us, the time to its commit, claims a second."""
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("claims: failed")
        return tuple(map(float, line.split()))

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Queue:
    """A store of its own in which so many reports are queued, as many of each user."""

    def __init__(self, program, url, users, count):
        self.command, self.nodes, self.pids = (program, "time", url, DATA / "claim/erase.key"), [], []
        run(program, "fill", url, DATA / "claim/erase.key", users, count)

    def open(self, nodes=1):
        while len(self.nodes) < nodes:
            self.nodes.append(Node(*self.command, f"node{len(self.nodes)}"))

    def claims(self, nodes=1, seconds=SECONDS):
        """What a claim costs on the average, in processor time (us), and how many a second all nodes make."""
        for node in self.nodes[:nodes]:
            node.begin(seconds, self.pids)
        figures = [node.end() for node in self.nodes[:nodes]]
        return statistics.mean(cpu for cpu, _, _ in figures), sum(rate for _, _, rate in figures)

    def close(self):
        for node in self.nodes:
            node.close()


def length_of_queue(bench, name, few, many, wide):
    """Each is asked once before, so that the store is in memory."""
    for queue in (few, many, wide):
        queue.claims()
    base, longer, wider = alternate(PAIRS, *(lambda queue=queue: queue.claims()[0] for queue in (few, many, wide)))
    beside = f"itself with {FEW} queued, {FEW} users"
    yield Row(f"claim, {name}, {bench.scaled(MANY):,} queued, {FEW} users", beside, "us", longer, base, 1.1, at_most=True)
    yield Row(f"claim, {name}, {bench.scaled(WIDE, USERS):,} queued, {USERS:,} users", beside, "us", wider, base)


def lengthen(postgres, name, times):
    """To so many times as many: copies of the first reports, which no claim reaches. Submitting them takes minutes."""
    columns = ", ".join(postgres.sql("SELECT attname FROM pg_attribute WHERE attrelid = 'reportd.report'::regclass AND attnum > 0"
                                     " AND NOT attisdropped AND attname NOT IN ('seq', 'id')", name))
    postgres.sql(f"INSERT INTO reportd.report (id, {columns}) SELECT gen_random_uuid(), {columns}"
                 f" FROM generate_series(2, {times}), (SELECT * FROM reportd.report ORDER BY seq) AS first; VACUUM ANALYZE", name)


def sqlite(bench, program, sizes, stack):
    queues = [Queue(program, f"sqlite:{DATA}/claim/{name}.db", *size) for name, size in sizes.items()]
    for queue in queues:
        stack.callback(queue.close)
        queue.open()
    yield from length_of_queue(bench, "SQLite", *queues)


def postgresql(bench, program, sizes, stack):
    """The processor time is that of the nodes and of the server's processes for them, so nothing waits for its disk; the
    claims of several nodes do."""
    postgres = private_postgres()
    stack.callback(postgres.close)
    queues = []
    for name, (users, count) in sizes.items():
        postgres.create_database(name)
        postgres.sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
        queues.append(queue := Queue(program, postgres.url(name), users, users))
        stack.callback(queue.close)
        lengthen(postgres, name, count // users)
        queue.open()
        queue.pids = postgres.sql(f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}'")
    yield from length_of_queue(bench, "PostgreSQL", *queues)
    wide = queues[-1]
    wide.close()
    wide.nodes, wide.pids = [], []
    postgres.sql(f"ALTER DATABASE {name} RESET synchronous_commit")
    for nodes in NODES:
        wide.open(nodes)
        ours, theirs = alternate(bench.pairs, lambda nodes=nodes: wide.claims(nodes, 1)[1], lambda: wide.claims(1, 1)[1])
        yield Row(f"claims and their undoing, {nodes} nodes", "one node", "1/s", ours, theirs)


def claim(bench):
    subprocess.run(["make", "-j2", "--no-print-directory", "MODE=release", "build/release/bench/claims"], cwd=ROOT, check=True)
    program = ROOT / "build/release/bench/claims"
    sizes = {"few": (FEW, FEW), "many": (FEW, bench.scaled(MANY)), "wide": (USERS, bench.scaled(WIDE, USERS))}
    shutil.rmtree(DATA / "claim", ignore_errors=True)
    (DATA / "claim").mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, DATA / "claim")
        yield from sqlite(bench, program, sizes, stack)
        yield from postgresql(bench, program, sizes, stack)
