"""Values of every SQL type and nesting, in every form of a result, beside what psql's COPY … CSV and sqlite3 -csv print."""

import json
import re
import subprocess
from decimal import Decimal

import pytest

from test_definition_language import Engines
from test_forms import NESTED, csv_field, elements, flatten, nested_sql, read_csv, whole
from test_xlsx import same, workbook

TYPES = ("CREATE TYPE mood AS ENUM ('sad', 'very happy'); CREATE DOMAIN positive AS integer CHECK (VALUE > 0);"
         "CREATE DOMAIN code AS varchar(8); CREATE TYPE pair AS (n integer, t text)")

# SQL of a value, which CSV has as psql prints it; or with it what CSV has instead, as the JSON does.
POSTGRES = [
    ("true", "true"), ("false", "false"),
    "CAST(1 AS smallint)", "-2147483648", "CAST(9223372036854775807 AS bigint)", "CAST(4294967295 AS oid)",
    "CAST(0.10 AS numeric)", "CAST(-0.00 AS numeric(8,2))", "CAST('12345678901234567890.1234567890' AS numeric)", "CAST(1e40 AS numeric)",
    "CAST(1e-20 AS numeric)", "CAST(repeat('9', 400) AS numeric)",
    "CAST(0.1 AS real)", "CAST(0.1 AS float8)", "CAST(1e300 AS float8)", "CAST(-1e-7 AS float8)", "CAST(1.5 AS float8)", "CAST(1e20 AS float8)",
    ("CAST(100000 AS float8)", "100000.0"), "CAST('-0' AS float8)", "CAST(0.1 AS float8) + 0.2",
    "CAST('a,b' AS text)", "CAST('say \"hi\"' AS varchar)", "CAST('ab' AS char(4))", "CAST('x' AS \"char\")", "CAST('n' AS name)", "CAST(E'a\\nb' AS text)",
    "CAST('' AS text)", "CAST(NULL AS text)", "CAST(NULL AS integer)", "CAST(NULL AS date)", "CAST(NULL AS jsonb)", "CAST(NULL AS integer[])",
    ("CAST('\\x00ff22' AS bytea)", "AP8i"), ("CAST('' AS bytea)", ""),
    "DATE '2024-02-29'", "DATE '0001-01-01'", "DATE 'infinity'", "DATE '0044-03-15 BC'",
    "TIME '03:04:05'", "TIME '03:04:05.25'", "CAST('03:04:05.5+02' AS timetz)",
    ("TIMESTAMP '2024-02-29 03:04:05'", "2024-02-29T03:04:05"), ("TIMESTAMP '2024-02-29 03:04:05.123456'", "2024-02-29T03:04:05.123456"),
    "TIMESTAMP 'infinity'",
    ("TIMESTAMPTZ '2024-02-29 03:04:05+02'", "2024-02-29T01:04:05Z"), ("TIMESTAMPTZ '2024-02-29 03:04:05.5+02'", "2024-02-29T01:04:05.5Z"),
    ("INTERVAL '1 year 2 months 3 days 04:05:06.7'", "P1Y2M3DT4H5M6.7S"), ("INTERVAL '-1 day'", "P-1D"), ("INTERVAL '0'", "PT0S"),
    "CAST('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' AS uuid)",
    "CAST('{\"b\": [1.50, \"x,\\\"y\"],\n \"a\": null}' AS json)", "CAST('{\"b\": [1.50, \"x,\\\"y\"], \"a\": null}' AS jsonb)",
    "CAST('\"te,xt\"' AS jsonb)", "CAST('true' AS jsonb)", "CAST('1e2' AS jsonb)", ("CAST('null' AS jsonb)", ""),
    ("CAST('{1,NULL,3}' AS integer[])", "[1,null,3]"), ("CAST('{{1,2},{3,4}}' AS integer[])", "[[1,2],[3,4]]"), ("CAST('{}' AS integer[])", "[]"),
    ("CAST('{a,\"b,c\",\"say \\\"hi\\\"\",NULL,\"NULL\",\"\",\"back\\\\slash\"}' AS text[])", r'["a","b,c","say \"hi\"",null,"NULL","","back\\slash"]'),
    ("CAST('{t,f}' AS boolean[])", "[true,false]"), ("CAST('{0.10,1}' AS numeric[])", "[0.10,1]"), ("CAST('{2024-02-29}' AS date[])", '["2024-02-29"]'),
    ("CAST('{\"2024-02-29 03:04:05\"}' AS timestamp[])", '["2024-02-29T03:04:05"]'),
    "CAST('10.0.0.1/8' AS inet)", "CAST('10.0.0.0/8' AS cidr)", "CAST('08:00:2b:01:02:03' AS macaddr)", "CAST(1234.5 AS money)", "CAST(-1234.5 AS money)",
    "CAST('very happy' AS mood)", "CAST(7 AS positive)", "CAST('a,b' AS code)", "CAST(ROW(1, 'a,\"b') AS pair)", "ROW(1, NULL, 'x y')",
    "int4range(1, 5)", "numrange(0.10, NULL)", "CAST('empty' AS int4range)", "tsrange('2024-02-29', NULL)",
    "CAST(B'0101' AS bit(4))", "CAST(B'01' AS varbit)", "to_tsvector('simple', 'b a')", "point(1.5, -2)", "CAST('<a b=\"c\">x</a>' AS xml)",
]
# The same of SQLite, which has five types; `b` is declared a boolean.
SQLITE = [
    "1", "-9223372036854775808", "9223372036854775807", "0.1", "1.5", "100.0", ("1e300", "1e+300"), ("1e20", "1e+20"), ("-1e-7", "-1e-07"), "'a,b'", "'say \"hi\"'", "''", "NULL", "char(10)",
    "'2024-02-29'", "'2024-02-29 03:04:05'", "'[1, 2]'", "date('2024-02-29')", "CAST(1 AS boolean)", ("x'00ff22'", "AP8i"), ("x''", ""),
]
INFINITE = [(1, "CAST('NaN' AS numeric)"), (1, "CAST('Infinity' AS numeric)"), (1, "CAST('NaN' AS float8)"), (1, "CAST('-Infinity' AS real)"),
            (1, "CAST('{0.10,NaN}' AS numeric[])"), (0, "9e999"), (0, "-9e999")]


@pytest.fixture(scope="module")
def engines(postgres, tmp_path_factory):
    made = Engines(tmp_path_factory.mktemp("types"), postgres, "types")
    postgres.sql(TYPES, "types")
    yield made
    made.close()


def run(engines, which, sections, header="-- timezone: UTC\n"):
    server = engines.servers[which]
    (server.reports / "Told.sql").write_text(f"-- report: Told\n-- source: data\n{header}-- results\n{sections}\n")
    server.reload()
    client = server.client_of("alice")
    return client, client.complete("Told")


def psql(engines, sql):
    command = ["-c", "SET TimeZone = 'UTC'", "-c", f"COPY ({sql}) TO STDOUT WITH (FORMAT csv, HEADER)"]
    return subprocess.run(["psql", "-Xq", "-d", engines.postgres.url(engines.database), *command], capture_output=True, check=True).stdout.decode()


def sqlite3(_engines, sql):
    return subprocess.run(["sqlite3", "-csv", "-header", ":memory:", sql], capture_output=True, check=True).stdout.decode("utf-8", "replace")


def split(values):
    """SELECT of the values, and {column: what CSV has of it instead of what the shell prints}."""
    pairs = [value if isinstance(value, tuple) else (value, None) for value in values]
    return "SELECT " + ", ".join(f'{sql} AS "c{i}"' for i, (sql, _) in enumerate(pairs)), {i: own for i, (_, own) in enumerate(pairs) if own is not None}


@pytest.mark.parametrize("which, values, shell", [(0, SQLITE, sqlite3), (1, POSTGRES, psql)], ids=["sqlite", "postgresql"])
def test_csv_has_what_the_shell_prints_except_what_the_manual_lists(engines, which, values, shell):
    sql, own = split(values)
    client, reference = run(engines, which, sql)
    names, ours = read_csv(whole(client, reference, "csv"))
    their_names, theirs = read_csv(shell(engines, sql))
    assert names == their_names
    for i, (cell, their_cell) in enumerate(zip(ours, theirs, strict=True)):
        assert cell == own.get(i, their_cell), values[i]
        assert i not in own or cell != their_cell or cell == "", f"{values[i]} does not differ"


def test_null_is_empty_and_an_empty_text_is_quoted_as_psql_has_them(engines):
    sql = "SELECT CAST('' AS text) AS a, CAST(NULL AS text) AS b, 1 AS c"
    for which in (0, 1):
        assert whole(*run(engines, which, sql), "csv") == psql(engines, sql).replace("\n", "\r\n") == 'a,b,c\r\n"",,1\r\n'


@pytest.mark.parametrize("which, sql", INFINITE)
def test_what_json_cannot_have_ends_the_report_and_names_the_column(engines, which, sql):
    server = engines.servers[which]
    (server.reports / "Told.sql").write_text(f'-- report: Told\n-- source: data\n-- results\nSELECT {sql} AS "amount"\n')
    server.reload()
    client = server.client_of("alice")
    assert "'amount' is not a finite number" in client.finish(client.order("Told")).json()["message"]


def check_forms(client, reference, columns, texts=()):
    """NDJSON, Rows, CSV and XLSX have what the JSON has; those have its text of the columns `texts`."""
    found = elements(client, reference)
    assert whole(client, reference, "ndjson").split("\n") == [*(line.replace("\n", " ") for line in found), ""]
    window = client.get("/Report/Rows", params={"reference": reference, "count": "1000"}).content.decode()
    assert window.endswith('"rows":[' + ",".join(found) + "]}}")
    rows = [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in found]
    lines, cells, fields = flatten(rows, columns, lambda value: value), workbook(client, reference)["results"], read_csv(whole(client, reference, "csv"))
    assert [cell.value for cell in cells[0]] == fields[0] == lines[0]
    for line in zip(lines[1:], cells[1:], fields[1:], strict=True):
        for name, *values in zip(columns, *line, strict=True):
            check_value(*values, name in texts)
    return lines


def check_value(value, cell, field, is_json):
    if is_json and value is not None:
        assert cell.value == field and json.loads(field, parse_float=Decimal, parse_int=Decimal) == value
        return
    assert same(cell, value), (cell.value, value)
    if isinstance(value, (list, dict)):
        assert json.loads(field, parse_float=Decimal, parse_int=Decimal) == value
    elif isinstance(value, Decimal):
        assert Decimal(field).as_tuple() == value.as_tuple()
    else:
        assert field == csv_field(value)


@pytest.mark.parametrize("which, values", [(0, SQLITE), (1, POSTGRES)], ids=["sqlite", "postgresql"])
@pytest.mark.parametrize("prefix", ["", "a[].", "a[].b[]."], ids=["flat", "in an array", "in an array of an array"])
def test_every_type_is_the_same_in_all_forms_at_every_level(engines, which, values, prefix):
    sql, _ = split(values)
    columns = [f"{prefix}c{i}" for i in range(len(values))]
    outer = {"": "", "a[].": "1 AS \"id\", ", "a[].b[].": '1 AS "id", 2 AS "a[].id", '}[prefix]
    sql = re.sub(r'AS "(c\d+)"', rf'AS "{prefix}\1"', sql).replace("SELECT ", "SELECT " + outer, 1)
    columns = {"": [], "a[].": ["id"], "a[].b[].": ["id", "a[].id"]}[prefix] + columns
    texts = [name for name, value in zip(columns[-len(values):], values, strict=True) if "AS json" in str(value)]
    check_forms(*run(engines, which, sql), columns, texts)


@pytest.mark.parametrize("name", NESTED)
def test_every_nesting_is_the_same_in_all_forms_on_both_engines(engines, name):
    header = "".join(f"-- column: {column} scaled(2)\n" for column in NESTED[name] if column.split(".")[-1] in ("amount", "balance", "value"))
    lines = [check_forms(*run(engines, which, nested_sql(NESTED[name]).removeprefix("-- results\n"), header), NESTED[name]) for which in (0, 1)]
    assert lines[0] == lines[1] and len(lines[0]) > 2

