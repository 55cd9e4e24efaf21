"""Values of every type of parameter, at their edges: bound alike on both engines, and compared as what they are."""

import datetime
import json
import random
import sqlite3
from decimal import ROUND_HALF_UP, Context, Decimal

import pytest

from harness import ROOT
from test_definition_language import Engines

WORDS = [
    " ", "a", "A", " a ", "'", "''", '"', '""', "\\", "\\'", "a\nb", "a\r\nb", "\t", "\x01\x1f", "\x7f", "\u0080", "é", "e\u0301",
    "ß", "İ", "ﬃ", "😀", "👨\u200d👩\u200d👧", "שלום", "\u202eabc", "\ufeffa", "\u2028", "\ufffd", "\U0010ffff", "%", "_", "$1", ":P1", "?",
    "NULL", "null", "{1,2}", "{}", "[1]", "--", "/*", "E'\\x41'", "1", "1.0", "true", "a,b", ",", "x" * 4096, "é" * 2048,
]
DECIMALS = [
    "0", "-0", "0.0", "-0.00", "1", "1.0", "-1", "0.1", "-0.1", "12.50", "2.675", "1.005", "-0.004", "0.000000000000000001", "123456789.123456",
    "999999999999999", "-999999999999999", "0." + "0" * 300 + "1", "9223372036854775807", "-9223372036854775808", "1" + "0" * 38, "-1" + "0" * 38,
    "1" + "0" * 200, "0.5", "1.5", "2.5", "-2.5",
]
INTEGERS = ["0", "-0", "007", "1", "-1", "2147483647", "2147483648", "-2147483649", "9223372036854775807", "-9223372036854775808"]
DATES = ["0001-01-01", "0004-02-29", "1582-10-10", "1969-12-31", "1970-01-01", "2000-02-29", "2024-02-29", "2038-01-20", "9999-12-31"]
MOMENTS = [
    "0001-01-01T00:00:00Z", "0001-01-01T23:59:00+23:59", "1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z", "2016-12-31T23:59:60Z",
    "2017-01-01T00:00:00Z", "2024-01-12T03:04:05Z", "2024-01-12T14:04:05+11:00", "2024-01-12T03:04:05.5Z", "2024-01-12t03:04:05.500z",
    "2024-01-12 03:04:05.000001Z", "2024-01-11T21:34:05-05:30", "2024-01-12 03:04Z", "2038-01-19T03:14:08Z", "9999-12-31T23:59:59.999999Z",
]


@pytest.fixture(scope="module")
def engines(postgres, tmp_path_factory):
    made = Engines(tmp_path_factory.mktemp("agree"), postgres, "agree")
    yield made
    made.close()


def run_each(engines, kind, values, expressions, header=""):
    """The rows of a report that has each value as a parameter of its own; `expressions` are of :P."""
    names = [f"P{i}" for i in range(len(values))]
    header += "".join(f"-- parameter: {name} {kind}\n" for name in names)
    selects = (f"SELECT {i} AS i, " + ", ".join(f'{text} AS "{key}"' for key, text in expressions.items()).replace(":P", f":{name}")
               for i, name in enumerate(names))
    text = engines.run("-- results\n" + " UNION ALL ".join(selects) + " ORDER BY 1", header, **dict(zip(names, values)))
    return json.loads("{" + text, parse_float=str, parse_int=str)["results"]


def load(engines, table, column, sqlite_type, postgres_type, rows):
    """The same rows in a table on both engines; `rows` are texts."""
    sqlite, postgres = engines.servers
    with sqlite3.connect(sqlite.folder / "sales.db") as db:
        db.execute(f"CREATE TABLE {table} ({column} {sqlite_type})")
        db.executemany(f"INSERT INTO {table} VALUES (?)", [(row,) for row in rows])
    db.close()
    quoted = ", ".join("('" + row.replace("'", "''") + "')" for row in rows)
    engines.postgres.sql(f"CREATE TABLE {table} ({column} {postgres_type}); INSERT INTO {table} VALUES {quoted}", engines.database)


def test_texts(engines):
    load(engines, "word", "w", "TEXT", "text", WORDS)
    found = "(SELECT count(*) FROM word WHERE w = :P)"
    rows = []
    for at in range(0, len(WORDS), 15):  # a request has at most 64 KiB
        rows += run_each(engines, "string", WORDS[at:at + 15], {"v": "CAST(:P AS varchar)", "n": "length(:P)", "found": found})
    assert [row["v"] for row in rows] == WORDS
    assert [row["n"] for row in rows] == [str(len(word)) for word in WORDS]
    assert {row["found"] for row in rows} == {"1"}
    (row,) = run_each(engines, "string", [""], {"v": "CAST(:P AS varchar)", "n": "length(:P)", "found": found})
    assert (row["v"], row["n"], row["found"]) == ("", "0", "0")


def test_a_text_with_a_nul_is_refused(engines):
    engines.define('-- results\nSELECT :P AS "v"', "-- parameter: P string\n")
    for server in engines.servers:
        answer = server.client_of("alice").submit("Told", {"P": "a\0b"})
        assert answer.json()["result"] is False and "the character U+0000 is not allowed" in answer.json()["message"]


def test_lists_of_texts(engines):
    load(engines, "listed", "w", "TEXT", "text", WORDS)
    sections = '-- results\nSELECT count(*) AS "n" FROM listed WHERE w {} (:L)'
    few = [word for word in WORDS if len(word) < 100]
    for operator, expected in (("IN", len(few)), ("NOT IN", len(WORDS) - len(few))):
        text = engines.run(sections.format(operator), "-- parameter: L list(string)\n", L=json.dumps(few))
        assert f'"n":{expected}' in text
    text = engines.run(sections.format("IN"), "-- parameter: L list(string)\n", L=json.dumps(["", "x" * 4096, "\U0010ffff"]))
    assert '"n":2' in text


def test_decimals(engines):
    exact = Context(prec=500, rounding=ROUND_HALF_UP)
    expressions = {"v": ":P", "whole": ":P", "less": ":P < 1", "same": ":P = 1", "zero": ":P = 0"}
    header = "-- column: v decimal(2)\n-- column: whole decimal(0)\n" + "".join(
        f"-- column: {name} boolean\n" for name in ("less", "same", "zero"))
    for row, text in zip(run_each(engines, "decimal", DECIMALS, expressions, header), DECIMALS):
        value = Decimal(text)
        for name, scale in (("v", "0.01"), ("whole", "1")):
            printed = f"{value.quantize(Decimal(scale), context=exact):f}"
            if value == 0:
                printed = printed.replace("-", "")  # a parameter has no -0
            if abs(value) < 2**53 or text.strip("-10") == "":  # else SQLite's REAL or numeric says it in full
                assert row[name] == printed, text
        assert (row["less"], row["same"], row["zero"]) == (value < 1, value == 1, value == 0), text


@pytest.mark.parametrize("name, condition, true", [
    ("less", "v < :P", lambda v, p: v < p), ("same", "v = :P", lambda v, p: v == p), ("more", "v > :P * 2", lambda v, p: v > p * 2),
])
def test_amounts_compare_with_decimals_as_numbers(engines, name, condition, true):
    rng = random.Random(11)
    amounts = [Decimal(rng.randrange(-10**6, 10**6)) / 4 for _ in range(500)]  # exact in a REAL, too
    load(engines, f"amount_{name}", "v", "REAL", "numeric(12, 2)", [str(amount) for amount in amounts])
    values = rng.sample(amounts, 30) + [Decimal(0), Decimal("0.005"), Decimal(10**30)]
    rows = run_each(engines, "decimal", [f"{value:f}" for value in values],
                    {"n": f"(SELECT count(*) FROM amount_{name} WHERE {condition})"})
    assert [row["n"] for row in rows] == [str(sum(true(amount, value) for amount in amounts)) for value in values]


def test_integers(engines):
    rows = run_each(engines, "integer", INTEGERS, {"v": ":P", "more": ":P > 2147483647"}, "-- column: more boolean\n")
    assert [(row["v"], row["more"]) for row in rows] == [(str(int(text)), int(text) > 2147483647) for text in INTEGERS]


def test_days(engines):
    load(engines, "day", "d", "date", "date", DATES)
    for operator in ("=", "<", ">="):
        rows = run_each(engines, "date", DATES, {"v": "CAST(:P AS varchar)", "n": f"(SELECT count(*) FROM day WHERE d {operator} :P)"})
        assert [row["v"] for row in rows] == DATES
        assert [row["n"] for row in rows] == [
            str(sum({"=": a == b, "<": a < b, ">=": a >= b}[operator] for a in DATES)) for b in DATES]


def moment(text):
    """Microseconds since year 1, of an RFC 3339 text."""
    text = text.upper().replace("T", " ").replace("Z", "+00:00")
    leap = ":60" in text
    at = datetime.datetime.fromisoformat(text.replace(":60", ":59"))
    return (at.replace(tzinfo=None) - datetime.datetime.min - at.utcoffset()) // datetime.timedelta(microseconds=1) + leap * 10**6


def utc(text):
    at = datetime.datetime.min + datetime.timedelta(microseconds=moment(text))
    shown = f"{at.isoformat(sep=' ', timespec='seconds')}"
    digits = f"{at.microsecond:06d}"
    return shown + (f".{digits[:3] if digits.endswith('000') else digits}" if at.microsecond else "")


def test_moments(engines):
    load(engines, "moment", "at", "TEXT", "timestamptz", [utc(text) for text in MOMENTS])
    engines.postgres.sql("UPDATE moment SET at = (at AT TIME ZONE current_setting('TimeZone')) AT TIME ZONE 'UTC'", engines.database)
    for operator in ("=", "<", ">="):
        rows = run_each(engines, "timestamp", MOMENTS, {"n": f"(SELECT count(*) FROM moment WHERE at {operator} :P)"})
        compare = {"=": int.__eq__, "<": int.__lt__, ">=": int.__ge__}[operator]
        assert [row["n"] for row in rows] == [str(sum(compare(moment(a), moment(b)) for a in MOMENTS)) for b in MOMENTS]
    text = engines.run('-- results\nSELECT count(*) AS "n" FROM moment WHERE at IN (:L)', "-- parameter: L list(timestamp)\n",
                       L=",".join(MOMENTS))
    assert f'"n":{len(MOMENTS)}' in text


def test_truths(engines):
    given = ["true", "false", "TRUE", "False"]
    rows = run_each(engines, "boolean", given, {"v": ":P", "no": "NOT :P", "n": "(SELECT count(*) FROM sale WHERE :P)"},
                    "-- column: v boolean\n-- column: no boolean\n")
    assert [(row["v"], row["no"], row["n"]) for row in rows] == [
        (True, False, "4"), (False, True, "0"), (True, False, "4"), (False, True, "0")]


@pytest.mark.parametrize("kind, values, column", [
    ("integer", [str(i * 7 - 3000) for i in range(1000)], "cents"),
    ("decimal", ["1050", "25.00", "700.0", "-5.5"] + [f"{i}.25" for i in range(996)], "cents"),
    ("integer", ["25", "25", "025", "-5"], "cents"),
    ("integer", [], "cents"),
    ("string", ["AU", "AU", "au", "FJ "], "country"),
    ("enum(AU|NZ|FJ)", ["AU", "FJ"], "country"),
])
def test_lists(engines, kind, values, column):
    sales = {"cents": [1050, 25, 700, -5], "country": ["AU", "AU", "NZ", "FJ"]}[column]
    wanted = [Decimal(value) for value in values] if column == "cents" else values
    header = f"-- parameter: L list({kind})\n"
    for operator in ("IN", "NOT IN"):
        text = engines.run(f'-- results\nSELECT count(*) AS "n" FROM sale WHERE {column} {operator} (:L)', header,
                           L=json.dumps(values) if values else "")
        assert f'"n":{sum((sale in wanted) == (operator == "IN") for sale in sales)}' in text, operator


# --- doc/definitions.md, "One definition for both engines" ---------------------------------------------

SHOWN = ["0001-01-01 00:00:00", "1969-12-31 23:59:59.999", "2024-01-12 03:04:05", "2024-03-31 23:10:00.5", "9999-12-31 23:59:59"]


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
def test_the_manual_prints_a_column_of_moments_alike(engines, kind):
    page = (ROOT / "doc/definitions.md").read_text()
    example = next(text for text in page.split("```sql\n") if text.startswith("-- timezone: UTC")).split("```")[0]
    sqlite, _ = engines.servers
    with sqlite3.connect(sqlite.folder / "sales.db") as db:
        db.executescript("DROP TABLE IF EXISTS event; CREATE TABLE event (id INTEGER PRIMARY KEY, moment TEXT)")
        db.executemany("INSERT INTO event (moment) VALUES (?)", [(text,) for text in SHOWN])
        db.execute("INSERT INTO event (moment) VALUES (NULL)")
    db.close()
    rows = ", ".join(f"('{text}')" for text in SHOWN) + ", (NULL)"
    engines.postgres.sql(f"SET TimeZone = 'UTC'; DROP TABLE IF EXISTS event; CREATE TABLE event (id serial, moment {kind}); "
                         f"INSERT INTO event (moment) VALUES {rows}", engines.database)
    header, results = example.split("\n\n", 1)
    found = json.loads("{" + engines.run(results, header + "\n"))["results"]
    seconds = [text[:19] for text in SHOWN]
    assert found == [{"moment": text, "rfc3339": text.replace(" ", "T") + "Z", "day": text[:10]} for text in seconds] + [
        {"moment": None, "rfc3339": None, "day": None}]


@pytest.mark.parametrize("sql, values", [
    ('SELECT w AS "v" FROM ordered ORDER BY w COLLATE "binary"', ["A", "Z", "a", "b", "\u00e9"]),
    ('SELECT x AS "v" FROM known ORDER BY x NULLS LAST', [1, 2, None]),
    ('SELECT x AS "v" FROM known ORDER BY x DESC NULLS FIRST', [None, 2, 1]),
    ("SELECT w AS \"v\" FROM ordered WHERE lower(w) LIKE 'a%' ORDER BY w COLLATE \"binary\"", ["A", "a"]),
    ('SELECT 6 / nullif(x - 1, 0) AS "v" FROM known ORDER BY x NULLS LAST', [None, 6, None]),
    ('SELECT CAST(round(x + 0.9) AS integer) AS "v" FROM known ORDER BY x NULLS LAST', [2, 3, None]),
])
def test_what_the_manual_writes_for_both_means_the_same(engines, sql, values):
    sqlite, _ = engines.servers
    script = ("CREATE TABLE ordered (w text{}); INSERT INTO ordered VALUES ('b'), ('a'), ('Z'), ('\u00e9'), ('A');"
              "CREATE TABLE known (x integer); INSERT INTO known VALUES (2), (NULL), (1);")
    with sqlite3.connect(sqlite.folder / "sales.db") as db:
        db.executescript("DROP TABLE IF EXISTS ordered; DROP TABLE IF EXISTS known;" + script.format(""))
    db.close()
    natural = "CREATE COLLATION IF NOT EXISTS people (provider = icu, locale = 'en');"
    engines.postgres.sql("CREATE COLLATION IF NOT EXISTS \"binary\" FROM \"C\"; DROP TABLE IF EXISTS ordered, known;" + natural
                         + script.format(" COLLATE people"), engines.database)
    found = json.loads("{" + engines.run("-- results\n" + sql))["results"]
    assert [row["v"] for row in found] == values
