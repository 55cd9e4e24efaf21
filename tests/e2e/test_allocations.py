"""How often serve and its worker allocate memory for one report: what grows unseen shows here.

Counted by tests/e2e/allocations.c. A third is the store's SQLite, which takes memory for each cursor and record,
since Debian's has none of its own for small pieces (OMIT_LOOKASIDE). A worker keeps the statements that it has
compiled, so that a report's first run is not counted. Other threads may allocate meanwhile, so the least of some
tries counts."""

import mmap
import os
import struct
import subprocess

import pytest

from harness import ROOT

TRIES = 6
DELETE_MAX = 70
POST_MAX = 250
PARAMETERS = {
    "OneQuery": {"ProductID": "1"},
    "Quick": {"ProductID": "1"},  # a check, results, a summary
    "Nested": {},  # objects in objects, a join
    "Typed": {"Text": "a", "Number": "7", "Price": "12.75", "Day": "2024-01-02", "Flag": "true", "Colour": "Red"},
}

ONE_QUERY = """-- report: OneQuery
-- description: The items of a product.
-- source: data
-- parameter: ProductID integer required "The product"

-- results
SELECT item_id AS "itemID", owner AS "owner" FROM item WHERE product_id = :ProductID ORDER BY item_id;
"""
# Does not end, and takes no memory while it runs.
BUSY = "-- report: Busy\n-- description: All with all.\n-- source: data\n\n-- results\nSELECT count(*) AS \"count\" FROM " + \
    ", ".join(f"item i{number}" for number in range(30)) + ";\n"


class Allocations:
    def __init__(self, path):
        path.write_bytes(bytes(mmap.PAGESIZE))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), mmap.PAGESIZE)

    def count(self):
        return struct.unpack("Q", self.memory[:8])[0]

    def of(self, walk):
        before = self.count()
        walk()
        return self.count() - before


@pytest.fixture
def counted(new_server, tmp_path):
    """A server with one worker, and the count of what both allocate."""
    library = ROOT / "build/asan/allocations.so"
    subprocess.run(["make", "--no-print-directory", "MODE=asan", library.relative_to(ROOT)], cwd=ROOT, check=True, timeout=60)
    allocations = Allocations(tmp_path / "allocations")
    server = new_server(workers=1, row_results=65536)
    (server.reports / "OneQuery.sql").write_text(ONE_QUERY)
    (server.reports / "Busy.sql").write_text(BUSY)
    options = os.environ.get("ASAN_OPTIONS", "detect_leaks=1")
    server.environment |= {"LD_PRELOAD": str(library), "REPORTD_SEAMS_ALLOCATIONS": str(tmp_path / "allocations"),
                           "ASAN_OPTIONS": options + ":verify_asan_link_order=0"}
    return server.start(), allocations


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_post_and_the_result_take_few_allocations(counted, name):
    server, allocations = counted
    alice = server.client("alice")

    def walk():
        reference = alice.order(name, **PARAMETERS[name])
        server.await_log(f"reference={reference} user=alice state=complete")

    assert min(allocations.of(walk) for _ in range(TRIES)) <= POST_MAX


def test_a_delete_of_a_running_report_takes_few_allocations(counted):
    server, allocations = counted
    alice = server.client("alice")

    def walk(reference):
        answer = alice.call("DELETE", "/Report", params={"reference": reference})
        assert answer.json()["result"] is True

    def of_one():
        reference = alice.order("Busy")
        alice.wait_for(reference, "processing")
        return allocations.of(lambda: walk(reference))

    assert min(of_one() for _ in range(TRIES)) <= DELETE_MAX
