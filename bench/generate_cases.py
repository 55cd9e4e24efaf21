"""Generating: 2,000,000 rows to a file on the disk, beside the bare loop and others who write JSON."""

import os
import subprocess
import time

from servers import ROWS, ROWS_SQL, Reportd, node_22, private_postgres
from stage import DATA, HERE, NPM, Row, Skip, alternate, need, run

ITEMS = DATA / "items.db"
# reportd prints cents as exact decimals by declaration; the others get the same text by dividing.
PEER_SQL = "SELECT id, name, day, note, price / 100.0 AS price, amount / 100.0 AS amount FROM item"
WAIT = 60  # seconds


def generate(server, name, parameters=None):
    """Seconds from POST to complete."""
    began = time.perf_counter()
    which = server.order(name, parameters, wait=WAIT)
    took = time.perf_counter() - began
    server.delete(which)
    return took


def bare(bench):
    return float(run(bench.program("loop_step"), ITEMS, ROWS_SQL).split()[0])


def time_writing(name, command, stdout=True):
    """Seconds of a program that writes a file, fsynced as ours is."""
    out = DATA / name
    began = time.perf_counter()
    with open(out, "w", encoding="utf-8") as file:
        subprocess.run(command, stdout=file if stdout else subprocess.DEVNULL, check=True)
        os.fdatasync(file.fileno())
    took = time.perf_counter() - began
    out.unlink()
    return took


def shell_json():
    return time_writing("shell.json", [need("sqlite3", "sqlite3"), "-readonly", "-json", str(ITEMS), PEER_SQL])


def node_json():
    need(NPM / "better-sqlite3/build/Release/better_sqlite3.node", "better-sqlite3")
    command = [node_22(), HERE / "peers/generate.js", NPM, ITEMS, PEER_SQL, DATA / "node.json"]
    return time_writing("node.json", [str(word) for word in command], stdout=False)


def rows_a_second(seconds):
    return [ROWS / s for s in seconds]


def row(case, beside, ours, theirs, goal):
    return Row(case, beside, "rows/s", rows_a_second(ours), rows_a_second(theirs), goal)


def generate_case(bench):
    with Reportd("generate", core=None) as server:
        peers = [("bare sqlite3_step loop", lambda: bare(bench), bench.pairs, 0.6),
                 ("sqlite3 -json", shell_json, bench.slow_pairs, 4),
                 ("Node, better-sqlite3, JSON.stringify", node_json, bench.slow_pairs, 4)]
        for name, peer, pairs, goal in peers:
            try:
                ours, theirs = alternate(pairs, lambda: generate(server, "Flat"), peer)
                yield row("generate 2,000,000 rows", name, ours, theirs, goal)
            except Skip as why:
                bench.skip(f"generate beside {name}", why)


def nested(bench):
    with Reportd("nested", core=None) as server:
        ours, flat = alternate(bench.pairs, lambda: generate(server, "Nested"), lambda: generate(server, "Flat"))
    yield row("generate nested (20 accounts each)", "the same rows flat", ours, flat, 0.8)


def fill_postgres(postgres):
    """The same rows, with the types a database person would give them there."""
    database = postgres.create_database("items", """
        CREATE TABLE item (id integer PRIMARY KEY, name text NOT NULL, day date NOT NULL, note text NOT NULL,
                           price numeric(12,2) NOT NULL, amount numeric(12,2) NOT NULL)""")
    with subprocess.Popen([need("sqlite3", "sqlite3"), "-readonly", "-csv", str(ITEMS), PEER_SQL],
                          stdout=subprocess.PIPE) as source:
        subprocess.run([*postgres.psql(database), "-c", "COPY item FROM STDIN CSV"], stdin=source.stdout, check=True)
    postgres.sql("VACUUM ANALYZE item", database)
    postgres.sql("CHECKPOINT", database)
    return database


def time_copy(postgres):
    """Seconds in which PostgreSQL can give the rows away at all: in binary, to nowhere."""
    began = time.perf_counter()
    subprocess.run([*postgres.psql("items"), "-c", f"COPY ({ROWS_SQL}) TO STDOUT (FORMAT binary)"],
                   stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def from_postgres(bench):
    postgres = private_postgres()
    try:
        with Reportd("postgres", core=None, postgres_url=postgres.url(fill_postgres(postgres))) as server:
            copy = [*postgres.psql("items"), "-c", f"COPY (SELECT row_to_json(r) FROM ({ROWS_SQL}) AS r) TO STDOUT"]
            ours, theirs, limit = alternate(bench.slow_pairs, lambda: generate(server, "FromPostgres"),
                                            lambda: time_writing("copy.json", copy), lambda: time_copy(postgres))
    finally:
        postgres.close()
    yield row("generate 2,000,000 rows from PostgreSQL", "psql COPY of row_to_json", ours, theirs, 3)
    yield row("generate 2,000,000 rows from PostgreSQL", "psql COPY, binary, to /dev/null", ours, limit, None)
