"""The places of src/core/places.h: one report of each kind is in them, and once it is deleted in none."""

import contextlib
import itertools
from fnmatch import fnmatchcase

import pytest

import places
from harness import poll
from places import AUDIT_LINE, traces
from stores import STORES
from test_erasure import SharedServers, error, new_marker, prepare, queued, small
from test_transfers import SlowClient

WALKED = "test_places.py::test_a_place_keeps_a_report_until_its_deletion"
PLACES = places.read()
OUR_OWN = ("reports/*", "data.db*", "reportd.conf", "stderr.log")  # what the tests put into a server's folder
HELD = """-- report: Held
-- description: Some rows, and then none, until it is stopped.
-- source: data
-- parameter: Note string required

-- results
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000),
               forever(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM forever)
SELECT :Note || '/' || hex(zeroblob(400)) AS "note" FROM n UNION ALL SELECT count(*) FROM forever;
"""
pytestmark = pytest.mark.stores(*STORES)


def prepare_all(server):
    (server.reports / "Held.sql").write_text(HELD)
    prepare(server)


def held(client, marker):
    reference = client.order("Held", Note=marker)
    client.wait_for(reference, "processing")
    return reference


def in_columns(server):
    """The columns that are not NULL everywhere, as (table, column); nobody else has reports there."""
    for table, columns in server.store.columns().items():
        if any(table in place.tables for place in PLACES if place.keeps_a_report) and table != "index":
            counts = server.store.sql(f"SELECT {', '.join(f'count({column})' for column in columns)} FROM {table}")[0]
            yield from ((table, column) for column, count in zip(columns, counts.split("|")) if count != "0")


def in_files(server, *texts):
    """The files, with or without a name, that have it in them or are called so."""
    wanted = traces(*texts)
    for name, data in itertools.chain(server.stored(), server.nameless()):
        name = name.removeprefix(f"{server.folder}/").removeprefix("/").removesuffix(" (deleted)")
        if any(each in data or each in name.encode() for each in wanted):
            yield name


def in_the_log(server, marker, references):
    """The marker, or a reference except in a line that may have it."""
    for line in server.log_text().splitlines():
        if marker in line or any(reference in line for reference in references) and not AUDIT_LINE.search(line):
            yield line


class Walk:
    """What was found in each place before the deletion, and after it."""

    def __init__(self, server, client):
        self.server, self.marker = server, new_marker()
        marker = self.marker
        key = {"Idempotency-Key": f"key-{marker}"}
        self.references = [client.submit("Marked", {"Note": marker, "Rows": "8000"}, key).json()["data"]]
        client.finish(self.references[0])
        slow = SlowClient(client, self.references[0])
        self.references += [small(client, marker), error(client, marker), held(client, marker), queued(client, marker)]
        self.before, self.after = {}, {}
        if server.store.kind == "sqlite":
            server.store.sql("PRAGMA wal_checkpoint")  # what the log has is in the store's file, too
        with contextlib.suppress(AssertionError):  # the place's own test says what is missing
            poll(lambda: self.look(self.before) >= self.wanted())
        self.columns, self.files = server.store.columns(), [name for name, _ in server.stored() if not name.startswith("table ")]
        for reference in [*client.references()]:
            assert client.delete(reference).json()["result"] is True
        slow.socket.close()
        with contextlib.suppress(AssertionError):
            poll(self.is_clean)

    def wanted(self):
        kind = self.server.store.kind
        return {place.name for place in PLACES if kind in place.stores and WALKED in place.tests} - {"LEDGER", "LOG"}

    def look(self, found):
        """Add what is found to `found`; returns the places in which something was."""
        columns, files = set(in_columns(self.server)), set(in_files(self.server, self.marker, *self.references))
        for place in filter(lambda place: place.keeps_a_report, PLACES):
            things = found.setdefault(place.name, set())
            things.update(columns & {(table, column) for table, names in place.tables.items() for column in names})
            things.update(filter(place.names_file, files))
        found["LOG"].update(in_the_log(self.server, self.marker, self.references))
        return {name for name, things in found.items() if things}

    def is_clean(self):
        self.after = {}
        return not self.look(self.after) - {"DATABASE"}


@pytest.fixture(scope="module")
def walks(tmp_path_factory, shared_postgres):
    servers = SharedServers(tmp_path_factory.mktemp("places"), shared_postgres, prepare_all, row_results="16K", workers=3)
    walks = {}

    def walk(kind):
        if kind not in walks:
            walks[kind] = Walk(servers[kind], servers[kind].client("alice"))
        return walks[kind]

    yield walk
    servers.close()


@pytest.mark.parametrize("store_kind,name", [(kind, place.name) for kind in STORES for place in PLACES
                                             if kind in place.stores and WALKED in place.tests], indirect=["store_kind"])
def test_a_place_keeps_a_report_until_its_deletion(walks, store_kind, name):
    walk = walks(store_kind)
    assert walk.before[name] or name not in walk.wanted(), "nothing was ever seen there"
    assert walk.after[name] == set()


def test_every_column_of_a_store_is_in_the_table(walks, store_kind):
    known = {(table, column) for place in PLACES for table, columns in place.tables.items() for column in columns}
    found = {(table, column) for table, columns in walks(store_kind).columns.items() for column in columns}
    assert found - known == set()


def test_every_file_of_a_server_is_in_the_table(walks, store_kind):
    unknown = [name for name in walks(store_kind).files if not any(place.names_file(name) for place in PLACES)]
    assert [name for name in unknown if not any(fnmatchcase(name, own) for own in OUR_OWN)] == []
