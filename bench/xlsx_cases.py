"""XLSX of 500,000 rows × 6 columns from a stored result, beside programs that write it from the query."""

import sys
from importlib.util import find_spec

from form_cases import download
from generate_cases import ITEMS, WAIT, time_writing
from servers import ROWS_SQL, Reportd, node_22
from stage import DATA, HERE, NPM, Row, Skip, alternate, need

ROWS = 500_000
# The others get the decimals that reportd prints from cents by dividing.
SQL = ROWS_SQL.replace("price, amount", "price / 100.0 AS price, amount / 100.0 AS amount") + f" LIMIT {ROWS}"


def peer(*command):
    """Seconds of a program that writes the file itself."""
    return time_writing("peer.xlsx", [str(word) for word in (*command, ITEMS, SQL, DATA / "peer.xlsx")], stdout=False)


def openpyxl():
    if find_spec("openpyxl") is None:
        raise Skip("openpyxl is not installed (make deps-test)")
    return peer(sys.executable, HERE / "peers/openpyxl_rows.py")


def exceljs():
    need(NPM / "exceljs/package.json", "exceljs")
    need(NPM / "better-sqlite3/build/Release/better_sqlite3.node", "better-sqlite3")
    return peer(node_22(), HERE / "peers/exceljs.js", NPM)


def xlsx(bench):
    with Reportd("xlsx", core=None) as server:
        reference = server.order("Many", {"Rows": str(ROWS)}, wait=WAIT)
        for name, peer, goal in (("openpyxl, write-only", openpyxl, 20), ("exceljs, streaming", exceljs, 5)):
            try:
                ours, theirs = alternate(bench.slow_pairs, lambda: download(server, reference, "xlsx"), peer)
                yield Row("XLSX of 500,000 rows", name, "rows/s", [ROWS / s for s in ours], [ROWS / s for s in theirs], goal)
            except Skip as why:
                bench.skip(f"XLSX beside {name}", why)
