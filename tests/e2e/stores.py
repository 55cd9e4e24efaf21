"""The stores a server may have, and the questions a test may ask of them, whichever it is.

A test runs on SQLite unless it, or its module, is marked; each store in the mark is one run:

    pytestmark = pytest.mark.stores(*STORES)    # in the module: every test that has a server
    @pytest.mark.stores("sqlite")               # at a test: it is about SQLite's files only

The fixtures of conftest.py follow the mark: `server`, `alice`, `bob`, `carol` (one server for each
store, for all tests), `make_server` and `new_server` (the test's own, each with its own database).
`store_kind` is the name of the store. A test looks at what is stored through the server, and need
not know where it is:

    server.files()                    results and temporary files, in a folder or in rows
    server.holding(b"text")           the files and tables that have these bytes
    server.store.row(reference, "state, attempt")
    server.store.sql("SELECT …")      where both databases take the statement
"""

import contextlib
import functools
import itertools
import sqlite3
import uuid

SHARED_STORES = ("postgres-files", "postgres-rows")
STORES = ("sqlite", *SHARED_STORES)
SLOW_STORE = "postgres-files"  # of a test for several stores: in `make check-slow`, since `make check` is to end within 25 minutes
# What the newest versions of the schemas have added, undone, for tests that make an older store.
UNDO_SQLITE_11 = "".join(f"ALTER TABLE user DROP COLUMN {name}; " for name in ("operator", "active_limit", "running_limit", "turn")) + \
    "DROP TABLE paused; DROP TABLE changed_user; DROP TABLE api_key; " + "".join(f"ALTER TABLE session DROP COLUMN {name}; " for name in ("created_ms", "renewed_ms", "address")) + \
    "DROP INDEX user_removed; ALTER TABLE user DROP COLUMN removed; ALTER TABLE identity DROP COLUMN last_user; " \
    "DROP INDEX report_of_type; DROP INDEX user_subject; DROP TABLE user_group; " + "".join(f"ALTER TABLE user DROP COLUMN {name}; " for name in ("issuer", "subject", "member_of", "member_s"))
UNDO_POSTGRES_14 = "DROP TABLE paused, turn, waiting, api_key; DROP SEQUENCE start_number; DROP INDEX report_turn, report_of_type; " \
    "ALTER TABLE report DROP source; ALTER TABLE account DROP operator, DROP active_limit, DROP running_limit, DROP removed, DROP issuer, DROP subject, DROP member_of, DROP member_s; DROP TABLE user_group; " \
    "ALTER TABLE session DROP created_ms, DROP renewed_ms, DROP address; "
FIELD, END = "\x01", "\x02"  # between what psql prints of tables
_numbers = itertools.count()


def store_of(kind, postgres):
    """What makes a store of the kind for a server's folder; postgres() is the PostgreSQL to use."""
    if kind == "sqlite":
        return SqliteStore
    return functools.partial(PostgresStore, postgres=postgres(), in_rows=kind == "postgres-rows")


def line(row):
    """As psql prints it."""
    return "|".join("" if value is None else str(value) for value in row)


class SqliteStore:
    """The embedded store: store.db in the server's folder, with results in its folder spool."""

    kind = "sqlite"
    config = {"store": "store.db", "spool": "spool"}
    is_readable = True  # by who has its files; PostgreSQL is sent nothing readable of what a report says

    def __init__(self, folder):
        self.path = folder / "store.db"

    def sql(self, text):
        """Run one statement; returns the rows as lines, columns separated by |."""
        with contextlib.closing(sqlite3.connect(self.path, timeout=30)) as db, db:
            return [line(row) for row in db.execute(text)]

    @staticmethod
    def literal(reference):
        return f"x'{uuid.UUID(reference).hex}'"

    def row(self, reference, columns):
        """Of a report: its columns as one line, or None."""
        rows = self.sql(f"SELECT {columns} FROM report WHERE id = {self.literal(reference)}")
        return rows[0] if rows else None

    COLUMNS = ("SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' "
               "UNION ALL SELECT 'index', name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")

    def columns(self):
        """{table: [column]}; "index" has the indexes, except for those of constraints."""
        found = {}
        for row in self.sql(self.COLUMNS):
            table, column = row.split("|")
            found.setdefault(table, []).append(column)
        return found

    def age_tokens(self):
        """What was replaced until now was so long ago that it is dead."""
        self.sql("UPDATE used_refresh SET used_ms = 1")

    def copy_report(self, reference, copies):
        """Add copies of a complete report; the store's server is not running."""
        columns = ", ".join(self.sql("SELECT name FROM pragma_table_info('report') WHERE name NOT IN ('seq', 'id')"))
        with contextlib.closing(sqlite3.connect(self.path)) as db, db:
            db.executemany(f"INSERT INTO report (id, {columns}) SELECT ?, {columns} FROM report WHERE id = ?",
                           [(uuid.UUID(copy).bytes, uuid.UUID(reference).bytes) for copy in copies])
            db.executemany("INSERT INTO small_result SELECT (SELECT seq FROM report WHERE id = ?), data FROM "
                           "small_result WHERE seq = (SELECT seq FROM report WHERE id = ?)",
                           [(uuid.UUID(copy).bytes, uuid.UUID(reference).bytes) for copy in copies])
            db.execute("UPDATE tally SET n = n + ? WHERE node = 2", (len(copies),))

    def results(self):
        """The names of results that are in no file."""
        return []

    def tables(self):
        """Pairs of a name and bytes of what is not in the server's folder."""
        return []

    def close(self):
        """After the server's end."""


class PostgresStore(SqliteStore):
    """A database of its own in PostgreSQL, with results in a folder or in rows."""

    is_readable = False

    def __init__(self, folder, postgres, in_rows):
        self.postgres = postgres
        self.database = postgres.create_database(f"server{next(_numbers)}")
        self.in_rows = in_rows
        self.kind = "postgres-rows" if in_rows else "postgres-files"
        self.config = {"store": postgres.url(self.database), "spool": "postgresql" if in_rows else "spool"}

    def sql(self, text):
        return self.postgres.sql("SET search_path = reportd; " + text, self.database)

    @staticmethod
    def literal(reference):
        return f"'{reference}'"

    COLUMNS = ("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'reportd' "
               "UNION ALL SELECT 'index', indexname FROM pg_indexes WHERE schemaname = 'reportd' AND NOT EXISTS "
               "(SELECT FROM pg_constraint WHERE conname = indexname)")

    def copy_report(self, reference, copies):
        columns = ", ".join(self.sql("SELECT column_name FROM information_schema.columns WHERE table_schema = "
                                     "'reportd' AND table_name = 'report' AND column_name NOT IN ('seq', 'id')"))
        self.sql("CREATE TEMPORARY TABLE copy (id uuid); INSERT INTO copy VALUES " +
                 ", ".join(f"({self.literal(copy)})" for copy in copies) + "; "
                 f"INSERT INTO report (id, {columns}) SELECT copy.id, {columns} FROM report, copy "
                 f"WHERE report.id = {self.literal(reference)}; "
                 "INSERT INTO result_chunk SELECT copy.id, attempt, number, data FROM result_chunk, copy "
                 f"WHERE report_id = {self.literal(reference)}")

    def results(self):
        return self.sql("SELECT DISTINCT report_id || '.' || attempt || '.json' FROM result_chunk")

    @functools.cached_property
    def table_names(self):
        return self.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'reportd'")

    def tables(self):
        """Binary columns are in the escape format, in which text within them can be found."""
        each = (f"SELECT '{name}{FIELD}' || coalesce(string_agg(t::text, ' '), '') || '{END}' FROM {name} AS t"
                for name in self.table_names)
        lines = self.sql("SET bytea_output = escape; " + "; ".join(each))
        for table in "\n".join(lines).split(END)[:-1]:
            name, _, text = table.strip().partition(FIELD)
            yield f"table {name}", text.encode()

    def close(self):
        self.postgres.drop_database(self.database)
