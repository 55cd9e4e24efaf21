"""What a claim costs with little and with much in the queue, and what it costs several nodes that they take turns."""

import shutil
import statistics
import subprocess

from servers import private_postgres
from stage import DATA, ROOT, Row, alternate, run

FEW, MANY = 10, 1_000_000
USERS, WIDE = 10_000, 100_000
NODES = (2, 4)


class Queue:
    """A store of its own in which so many reports of so many users are queued."""

    def __init__(self, program, url, count, users=FEW):
        self.program, self.url, self.key = program, url, DATA / "claim/erase.key"
        run(program, "fill", url, self.key, users, count)

    def node(self, name, seconds):
        return subprocess.Popen([self.program, "time", self.url, self.key, name, str(seconds)], stdout=subprocess.PIPE, text=True)

    def claims(self, seconds, nodes=1):
        """The median of the time of one, in us, and how many a second all nodes make."""
        running = [self.node(f"node{number}", seconds) for number in range(nodes)]
        figures = [node.communicate()[0].split() for node in running]
        if any(node.returncode for node in running):
            raise RuntimeError("claims: failed")
        return statistics.median(float(us) for us, _ in figures), sum(float(rate) for _, rate in figures)


def length_of_queue(bench, name, few, many, wide):
    """Each is asked once before, so that the store is in memory."""
    for queue in (few, many, wide):
        queue.claims(1)
    base, longer, wider = alternate(bench.pairs, *(lambda queue=queue: queue.claims(bench.seconds)[0]
                                                   for queue in (few, many, wide)))
    beside = f"itself with {FEW} queued, {FEW} users"
    yield Row(f"claim, {name}, {bench.scaled(MANY):,} queued, {FEW} users", beside, "us", longer, base, 1.1, at_most=True)
    yield Row(f"claim, {name}, {bench.scaled(WIDE, USERS):,} queued, {USERS:,} users", beside, "us", wider, base)


def claim(bench):
    subprocess.run(["make", "-j2", "--no-print-directory", "MODE=release", "build/release/bench/claims"], cwd=ROOT, check=True)
    program = ROOT / "build/release/bench/claims"
    sizes = {"few": (FEW, FEW), "many": (bench.scaled(MANY), FEW), "wide": (bench.scaled(WIDE, USERS), USERS)}
    shutil.rmtree(DATA / "claim", ignore_errors=True)
    (DATA / "claim").mkdir(parents=True)
    queues = [Queue(program, f"sqlite:{DATA}/claim/{name}.db", *size) for name, size in sizes.items()]
    yield from length_of_queue(bench, "SQLite", *queues)
    postgres = private_postgres()
    try:
        queues = []
        for name, size in sizes.items():
            postgres.create_database(name)
            queues.append(Queue(program, postgres.url(name), *size))
            postgres.sql("VACUUM ANALYZE", name)
        yield from length_of_queue(bench, "PostgreSQL", *queues)
        for nodes in NODES:
            ours, theirs = alternate(bench.pairs, lambda nodes=nodes: queues[-1].claims(bench.seconds, nodes)[1],
                                     lambda: queues[-1].claims(bench.seconds)[1])
            yield Row(f"claims and their undoing, {nodes} nodes", "one node", "1/s", ours, theirs)
    finally:
        postgres.close()
        shutil.rmtree(DATA / "claim")
