"""Forms of a stored result: CSV and NDJSON of 2,000,000 rows to a file, beside the shells that write CSV, and `cat`."""

import os
import subprocess
import time

from generate_cases import ITEMS, PEER_SQL, WAIT, fill_postgres, row, time_writing
from servers import ROWS_SQL, Reportd, private_postgres
from stage import DATA, Row, Skip, alternate, need, run


def download(server, reference, form):
    """Seconds from the request to the file on the disk."""
    out = DATA / f"form.{form}"
    began = time.perf_counter()
    subprocess.run([need("curl", "curl"), "-sf", "-o", out, "-H", "Version: 2.0", "-H", f"Authorization: {server.tokens[0]}",
                    f"{server.url}/Report?reference={reference}&format={form}"], check=True)
    with open(out, "rb") as file:
        os.fdatasync(file.fileno())
    took = time.perf_counter() - began
    out.unlink()
    return took


def drain(bench, server, reference, form):
    """The same by a client that costs as little as cat: curl's own writing, 16 KiB at a time, takes longer than the conversion."""
    out = DATA / f"drained.{form}"
    seconds = float(run(bench.program("drain"), server.port, f"/Report?reference={reference}&format={form}", 1, server.tokens[0], out).split()[0])
    out.unlink()
    return seconds


def shell_csv():
    return time_writing("shell.csv", [need("sqlite3", "sqlite3"), "-readonly", "-csv", "-header", str(ITEMS), PEER_SQL])


def forms(bench):
    with Reportd("forms", core=None) as server:
        reference = server.order("Flat", wait=WAIT)
        ours, theirs = alternate(bench.slow_pairs, lambda: download(server, reference, "csv"), shell_csv)
        yield row("CSV of 2,000,000 rows", "sqlite3 -csv of the query", ours, theirs, 3)
        try:
            postgres = private_postgres()
            try:
                copy = [*postgres.psql(fill_postgres(postgres)), "-c", f"COPY ({ROWS_SQL}) TO STDOUT (FORMAT csv, HEADER)"]
                ours, theirs = alternate(bench.slow_pairs, lambda: download(server, reference, "csv"),
                                         lambda: time_writing("copy.csv", copy))
                yield row("CSV of 2,000,000 rows", "psql COPY CSV of the query", ours, theirs, 2)
            finally:
                postgres.close()
        except Skip as why:
            bench.skip("CSV beside psql", why)
        (stored,) = server.spool.glob("*.json")
        ours, theirs = alternate(bench.pairs, lambda: drain(bench, server, reference, "ndjson"),
                                 lambda: time_writing("cat.json", ["cat", str(stored)]))
        size = stored.stat().st_size / 1e6
        yield Row("NDJSON of 2,000,000 rows", "cat of the stored object", "MB/s", [size / s for s in ours],
                  [size / s for s in theirs], 0.5)
