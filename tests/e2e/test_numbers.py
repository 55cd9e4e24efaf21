"""decimal(N) and scaled(N) against exact arithmetic, value by value, on both engines."""

import json
import random
import sqlite3
from decimal import ROUND_HALF_UP, Context, Decimal

import pytest

from harness import Server

VALUES = 100_000
EXACT = Context(prec=400, rounding=ROUND_HALF_UP)
SCALES = (0, 2, 6)


def printed(value, scale):
    """The text of `value` with `scale` digits behind the point; a double counts as its shortest text."""
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    return f"{exact.quantize(Decimal(1).scaleb(-scale), context=EXACT):f}"


def some_double(rng):
    """Amounts, ties, neighbours of ties, and any bits that are a finite number of a sane size."""
    amount = rng.randrange(-10**9, 10**9)
    return rng.choice([
        lambda: amount / 100,
        lambda: amount / 1000 + 0.0005,
        lambda: (2 * amount + 1) / 2.0 / 100,
        lambda: sum(rng.randrange(1000) / 100 for _ in range(7)),
        lambda: rng.uniform(-1, 1) * 10.0 ** rng.randrange(-20, 20),
    ])()


def some_digits(rng):
    whole = str(rng.randrange(10 ** rng.randrange(1, 25)))
    fraction = "".join(rng.choices("0123456789", k=rng.randrange(1, 12)))
    return rng.choice(["", "-"]) + rng.choice([whole, f"{whole}.{fraction}", f"{whole}.{fraction[:2]}5"])


def definition(url, columns):
    names = "".join(f"-- column: d{scale} decimal({scale})\n" for scale in SCALES)
    return (f"-- report: Numbers\n-- source: data\n{names}-- column: s scaled(4)\n-- results\n"
            f"SELECT {columns} FROM number ORDER BY id\n")


def check(server, rows, scaled):
    """`rows` hold values as the database was given them, `scaled` the integers beside them."""
    client = server.client("alice")
    text = client.result(client.complete("Numbers")).text
    results = json.loads(text, parse_float=str, parse_int=str)["data"]["results"]
    assert len(results) == len(rows)
    for value, whole, row in zip(rows, scaled, results):
        for scale in SCALES:
            assert row[f"d{scale}"] == printed(value, scale), (value, scale)
        assert row["s"] == f"{Decimal(whole).scaleb(-4, context=EXACT):.4f}", whole


def some_rows(rng, *makers):
    return [makers[i % len(makers)](rng) for i in range(VALUES)]


def some_integer(rng):
    return rng.randrange(-2**63, 2**63) >> rng.randrange(64)


@pytest.fixture
def numbers_server(tmp_path):
    """A server with the report Numbers over what the test gives as its source."""
    made = []

    def make(source, columns):
        server = Server.made(tmp_path / "server", source=source)
        (server.reports / "Numbers.sql").write_text(definition(source, columns))
        server.add_user("alice")
        made.append(server)
        return server.start()

    yield make
    for server in made:
        assert server.stop() == 0
        server.check_log()


def test_every_number_of_sqlite_prints_exactly_whatever_its_storage_type(numbers_server, tmp_path):
    rng = random.Random(7)
    rows = some_rows(rng, some_double, some_digits, some_integer)
    scaled = [some_integer(rng) for _ in rows]
    with sqlite3.connect(tmp_path / "numbers.db") as db:
        db.execute("CREATE TABLE number (id INTEGER PRIMARY KEY, v, whole INTEGER)")  # v: any storage type
        db.executemany("INSERT INTO number (v, whole) VALUES (?, ?)", zip(rows, scaled))
    db.close()
    server = numbers_server(f"sqlite:{tmp_path}/numbers.db",
                            ", ".join(f'v AS "d{scale}"' for scale in SCALES) + ', whole AS "s"')
    check(server, rows, scaled)


@pytest.mark.parametrize("kind, maker", [("numeric", some_digits), ("double precision", some_double)])
def test_every_number_of_postgresql_prints_exactly(numbers_server, postgres, kind, maker):
    rng = random.Random(8)
    rows = [value if Decimal(value) else maker(random.Random(9)) for value in some_rows(rng, maker)]  # numeric has no -0
    scaled = [some_integer(rng) for _ in rows]
    database = postgres.create_database("numbers" + kind[:3])
    lines = "\n".join(f"{i}\t{value!r}\t{whole}" if isinstance(value, float) else f"{i}\t{value}\t{whole}"
                      for i, (value, whole) in enumerate(zip(rows, scaled)))
    postgres.sql(f"CREATE TABLE number (id bigint, v {kind}, whole bigint);\n"
                 f"COPY number FROM STDIN;\n{lines}\n\\.\n", database)
    # sum() of bigint is numeric: an integer that has another type.
    server = numbers_server(postgres.url(database),
                            ", ".join(f'v AS "d{scale}"' for scale in SCALES)
                            + ', sum(whole) OVER (PARTITION BY id) AS "s"')
    check(server, rows, scaled)
