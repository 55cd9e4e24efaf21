"""The reports of examples/tpch on both engines, against what the shells sqlite3 and psql answer to the same SQL."""

import json
import re
import subprocess
from datetime import datetime, timezone
from decimal import ROUND_HALF_UP, Decimal

import pytest

from harness import ROOT
from postgres import program
from test_postgres_portable import Pair

TPCH = ROOT / "examples/tpch"

# Reports with their parameters, as a caller writes them.
CASES = [
    ("PricingSummary", {}),
    ("PricingSummary", {"ToDate": "1993-03-31"}),
    ("OrderPriority", {}),
    ("OrderPriority", {"FromDate": "1998-08-01", "ToDate": "1998-08-02"}),
    ("TopCustomers", {}),
    ("TopCustomers", {"Top": "3", "Segments": "BUILDING,MACHINERY"}),
    ("TopCustomers", {"Segments": ""}),
    ("RevenueForecast", {}),
    ("RevenueForecast", {"MinDiscount": "0.02", "MaxDiscount": "0.10", "FromDate": "1995-06-01", "ToDate": "1995-06-17",
                         "BelowQuantity": "51"}),
    ("LocalSuppliers", {}),
    ("LocalSuppliers", {"Regions": "ASIA,EUROPE", "FromDate": "1992-01-01", "ToDate": "1998-12-31"}),
    ("ShippingModes", {}),
    ("ShippingModes", {"Modes": "REG AIR,TRUCK,FOB", "Year": "1997"}),
    ("ReturnedItems", {}),
    ("ReturnedItems", {"Year": "1994", "Quarter": "1", "MinBalance": "5000"}),
    ("CustomerOrders", {"Customer": "76"}),
    ("CustomerOrders", {"Customer": "76", "From": "1993-04-27T13:42:57+10:00", "To": "1998-01-01 00:00", "Most": "3"}),
]


@pytest.fixture(scope="module")
def pair(postgres, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tpch") / "copy"
    subprocess.run(["cp", "-r", TPCH, folder], check=True)
    sql = subprocess.run([folder / "generate"], check=True, capture_output=True, text=True).stdout
    subprocess.run(["sqlite3", "-bail", folder / "tpch.db"], input=sql, text=True, check=True)
    database = postgres.create_database("tpch")
    postgres.sql(sql, database)
    pair = Pair(folder, "sqlite:tpch.db", postgres.url(database))
    pair.shells = {"sqlite": lambda sql: sqlite_rows(folder / "tpch.db", sql),
                   "postgres": lambda sql: postgres_rows(postgres.url(database), sql)}
    yield pair
    pair.close()


def sqlite_rows(path, sql):
    done = subprocess.run(["sqlite3", "-bail", "-readonly", "-json", path], input=sql, text=True, capture_output=True, check=True)
    return json.loads(done.stdout or "[]", parse_float=Decimal)


def postgres_rows(url, sql):
    done = subprocess.run([program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url], text=True, capture_output=True,
                          check=True, input=f"SELECT row_to_json(q) FROM ({sql.rstrip().rstrip(';')}) AS q;")
    return [json.loads(line, parse_float=Decimal) for line in done.stdout.splitlines()]


class Definition:
    """What a person would paste into a shell: the statements of a definition, with their values."""

    def __init__(self, name, given):
        text = (TPCH / f"reports/{name}.sql").read_text()
        header, *sections = re.split(r"^-- (with|values: \w+|check: .*|results|set: \w+|summary)\n", text, flags=re.M)
        self.columns = dict(re.findall(r"^-- column: (\S+) decimal\((\d+)\)", header, re.M))
        self.types = dict(re.findall(r"^-- parameter: (\w+) (\S+)", header, re.M))
        defaults = re.findall(r"^-- parameter: (\w+) \S+ default ('[^']*'|\S+)", header, re.M)
        self.given = {**{key: value.strip("'") for key, value in defaults}, **given}
        self.sections = dict(zip(sections[::2], sections[1::2]))

    def literal(self, match):
        name, engine = match.group(1), self.engine
        value, kind = self.given.get(name), self.types[name]
        if kind.startswith("list"):
            if value is None:
                return "(NULL)"
            return "(" + ", ".join(f"'{each}'" for each in value.split(",") if each or engine == "sqlite") + ")"
        if value is None:
            return "NULL"
        if kind == "timestamp":  # the report's zone is UTC
            moment = datetime.fromisoformat(value)
            value = (moment if moment.tzinfo is None else moment.astimezone(timezone.utc)).strftime("%Y-%m-%d %H:%M:%S")
            return f"timestamp '{value}'" if engine == "postgres" else f"'{value}'"
        if kind == "date":
            return f"date '{value}'" if engine == "postgres" else f"'{value}'"
        return f"'{value}'" if kind.startswith("enum") else value

    def sql(self, engine, section):
        self.engine = engine
        text = self.sections[section].strip().rstrip(";")
        if "with" in self.sections and not section.startswith("check"):
            text = "WITH " + self.sections["with"] + text
        # :Name IS NULL and (:Name) of a list, then all else; :: is a cast
        text = re.sub(r":(\w+) IS NULL", lambda m: "1=1" if self.given.get(m.group(1)) is None else "1=0", text)
        text = re.sub(r"IN \(:(\w+)\)", lambda m: "IN " + (self.literal(m) if self.given.get(m.group(1)) != "" else
                                                           "(SELECT r_name FROM region WHERE 1=0)"), text)
        return re.sub(r"(?<!:):(\w+)", self.literal, text) + ";"

    def value(self, name, value):
        """Rounded as the definition declares."""
        if name not in self.columns or value is None:
            return value
        return Decimal(value).quantize(Decimal(1).scaleb(-int(self.columns[name])), ROUND_HALF_UP)

    def nested(self, rows):
        """Flat rows → objects with arrays in them."""
        objects = []
        for row in rows:
            level, prefix = objects, ""
            plain = {}
            for name, value in row.items():
                head, _, key = name.rpartition("[].")
                if head != prefix:
                    level = self.place(level, plain, head.rpartition("[].")[2])
                    prefix, plain = head, {}
                plain[key] = self.value(name, value)
            self.place(level, plain, None)
        return objects

    @staticmethod
    def place(level, plain, array):
        """Put the object behind the others unless it equals the last one; returns its array."""
        last = level[-1] if level else None
        if last is None or {key: value for key, value in last.items() if not isinstance(value, list)} != plain:
            last = {**plain, **({array: []} if array else {})}
            level.append(last)
        return last.setdefault(array, []) if array else None

    def expected(self, engine, shell):
        data = {}
        for section in self.sections:
            rows = shell(self.sql(engine, section)) if not section.startswith(("with", "values", "check")) else []
            if section == "results" or section.startswith("set: "):
                data[section.removeprefix("set: ")] = self.nested(rows)
            elif section == "summary":
                data["summary"] = self.nested(rows)[0]
        return {"results": data.pop("results"), "summary": data.pop("summary", {}), **data}


@pytest.mark.parametrize("name, parameters", CASES)
def test_reports_are_what_the_shells_answer_and_the_same_on_both(pair, name, parameters):
    text = pair.same(name, parameters)
    data = json.loads("{" + text[:-1], parse_float=Decimal)
    assert data["results"] or parameters.get("Segments") == "", "there is something to compare"
    for engine, shell in pair.shells.items():
        definition = Definition(name, parameters)
        assert data == definition.expected(engine, shell), engine


def test_a_form_gets_the_customers_that_the_shells_know(pair):
    for server, shell in zip(pair.servers, pair.shells.values()):
        given = server.client("alice").get("/Report/Types", params={"values": "CustomerOrders.Customer"}).json()["data"]
        rows = shell(Definition("CustomerOrders", {}).sections["values: Customer"])
        assert given == [{"value": str(row["c_custkey"]), "label": row["c_name"]} for row in rows] and given


def test_money_is_printed_with_all_its_digits(pair):
    text = pair.same("PricingSummary", {})
    assert re.search(r'"sumPrice":\d+\.\d{2},"sumDiscounted":\d+\.\d{4},"sumCharged":\d+\.\d{6},', text)


def test_the_rows_follow_the_rules_of_the_specification(pair):
    """Clause 4.2.3: what holds between the columns."""
    count = lambda sql: [next(iter(row.values())) for row in pair.shells["sqlite"](sql)]  # noqa: E731
    assert count("SELECT count(*) AS n FROM orders") == [3000]
    assert count("SELECT count(*) AS n FROM orders WHERE o_custkey % 3 = 0 OR (o_orderkey - 1) % 32 >= 8") == [0]
    assert count("SELECT count(*) AS n FROM lineitem WHERE l_receiptdate <= l_shipdate OR l_discount > 0.1") == [0]
    assert count("SELECT count(*) AS n FROM lineitem LEFT JOIN partsupp ON ps_partkey = l_partkey AND ps_suppkey = l_suppkey"
                 " WHERE ps_partkey IS NULL") == [0]
    assert count("SELECT count(*) AS n FROM orders AS o WHERE abs(o_totalprice - (SELECT sum(l_extendedprice * (1 + l_tax) *"
                 " (1 - l_discount)) FROM lineitem WHERE l_orderkey = o_orderkey)) > 0.01") == [0]
    assert count("SELECT DISTINCT r_name AS n FROM region JOIN nation ON n_regionkey = r_regionkey ORDER BY 1") == [
        "AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST"]
