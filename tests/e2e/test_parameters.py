"""Lists, timestamps, zones, defaults and limits of parameters, over both engines: the same bytes."""

import json
import random
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from fake_clock import FakeClock, time_of
from harness import Client, Server, failed, soon

HEAD = "-- report: {name}\n-- source: data\n{header}-- results\n{sql}\n"

TABLE = """
CREATE TABLE visit (id {integer}, moment {moment});
INSERT INTO visit VALUES (1, '2024-01-11 13:00:00{zero}'), (2, '2024-01-12 12:59:59{zero}'),
 (3, '2024-01-12 13:00:00{zero}'), (4, '2024-01-12 13:00:00.500{zero}'), (5, '2024-01-12 23:59:59.999999{zero}'),
 (6, NULL), (7, '2024-07-01 00:00:00{zero}');
CREATE TABLE item (id {integer}, code text, price {decimal}, day {date}, yes {boolean}, big {integer});
INSERT INTO item VALUES
 (1, 'plain', 2, '2024-01-12', {true}, 9223372036854775807),
 (2, 'a,b', 2.50, '2024-02-29', {false}, -9223372036854775807),
 (3, 'say "hi"', 9.80, '2024-03-01', {true}, 0),
 (4, '{{x}}', -1, NULL, NULL, NULL),
 (5, 'back\\slash', 0, '2024-01-12', {false}, 1),
 (6, '', 1000, '2024-01-13', {true}, 2),
 (7, 'O''Neill', NULL, '2024-01-14', {true}, 3),
 (8, NULL, 0.1, '2024-01-15', {true}, 4),
 (9, 'NULL', 123456789012345678901, '2024-01-15', {true}, 5);
"""
TYPES = {
    "sqlite": {"integer": "INTEGER", "decimal": "NUMERIC", "date": "TEXT", "boolean": "INTEGER", "true": 1, "false": 0,
               "moment": "TEXT", "zero": ""},
    "postgres": {"integer": "bigint", "decimal": "numeric", "date": "date", "boolean": "boolean", "true": "true",
                 "false": "false", "moment": "timestamptz", "zero": "+00"},
}


class Engines:
    """One server per engine over the same rows; what they answer has to be the same."""

    def __init__(self, folder, postgres, name):
        with sqlite3.connect(folder / "items.db") as db:
            db.executescript(TABLE.format(**TYPES["sqlite"]))
        db.close()
        database = postgres.create_database(name)
        postgres.sql(TABLE.format(**TYPES["postgres"]), database)
        self.count = 0
        self.servers = []
        for name, source in (("sqlite", f"sqlite:{folder}/items.db"), ("postgres", postgres.url(database))):
            server = Server.made(folder / name, source=source)
            server.add_user("alice")
            self.servers.append(server.start())

    def define(self, header, sql, only=None):
        """A report of this header and statement on both, or only one; its name."""
        self.count += 1
        name = f"Report{self.count}"
        for server in [only] if only else self.servers:
            (server.reports / f"{name}.sql").write_text(HEAD.format(name=name, header=header, sql=sql))
            server.reload()
        return name

    def clients(self):
        return [server.client_of("alice") for server in self.servers]

    def ids(self, name, **parameters):
        """The column `id` of the report's rows, and the parameters as they are shown: the same on both."""
        answers = []
        for client in self.clients():
            reference = client.complete(name, **parameters)
            data = client.result(reference).json()["data"]
            answers.append(([row["id"] for row in data["results"]], data["parameters"]))
            client.delete(reference)
        assert answers[0] == answers[1]
        return answers[0]

    def refused(self, name, parameters, *words):
        for client in self.clients():
            failed(client.submit(name, parameters), 200, *words)

    def close(self):
        for server in self.servers:
            assert server.stop() == 0
            server.check_log()


@pytest.fixture(scope="module")
def engines(postgres, tmp_path_factory):
    made = Engines(tmp_path_factory.mktemp("parameters"), postgres, "items")
    yield made
    made.close()


ALL = [1, 2, 3, 4, 5, 6, 7, 8, 9]


def listed(engines, of, column):
    header = f"-- parameter: L list({of})\n"
    return (engines.define(header, f"SELECT id FROM item WHERE {column} IN (:L) ORDER BY id"),
            engines.define(header, f"SELECT id FROM item WHERE {column} NOT IN (:L) ORDER BY id"),
            engines.define(header, f"SELECT id FROM item WHERE :L IS NULL OR {column} IN (:L) ORDER BY id"))


@pytest.mark.parametrize("of, column, given, found, null", [
    ("integer", "id", "1, 3,007", [1, 3, 7], []),
    ("integer", "id", "[1,3,7]", [1, 3, 7], []),
    ("integer", "id", "99", [], []),
    ("integer", "big", "9223372036854775807,-9223372036854775807", [1, 2], [4]),
    ("string", "code", "plain,O'Neill,{x}", [1, 4, 7], [8]),
    ("string", "code", r'["a,b", "say \"hi\"", "back\\slash", "", "{x}"]', [2, 3, 4, 5, 6], [8]),
    ("string", "code", "NULL", [9], [8]),
    ("string", "code", r'["\u0070lain"]', [1], [8]),
    ("decimal", "price", "2.00,2.5,-1,123456789012345678901,0.10", [1, 2, 4, 8, 9], [7]),
    ("decimal", "price", '["9.8", 1000.0]', [3, 6], [7]),
    ("date", "day", "2024-01-12,2024-02-29", [1, 2, 5], [4]),
    ("boolean", "yes", "false", [2, 5], [4]),
    ("boolean", "yes", "[true, false]", [1, 2, 3, 5, 6, 7, 8, 9], [4]),
    ("enum(plain|O'Neill)", "code", "O'Neill", [7], [8]),
])
def test_a_list_selects_what_it_names(engines, of, column, given, found, null):
    within, without, perhaps = listed(engines, of, column)
    assert engines.ids(within, L=given)[0] == found
    assert engines.ids(without, L=given)[0] == [i for i in ALL if i not in found + null]
    assert engines.ids(perhaps, L=given)[0] == found


@pytest.mark.parametrize("of, column", [("integer", "big"), ("string", "code"), ("decimal", "price"), ("date", "day")])
def test_an_empty_list_is_not_one_that_was_not_given(engines, of, column):
    within, without, perhaps = listed(engines, of, column)
    for empty in ("", " ", "[]", " [ ] "):
        assert engines.ids(within, L=empty) == ([], {"L": ""})
        assert engines.ids(without, L=empty)[0] == ALL  # of NULL too
        assert engines.ids(perhaps, L=empty)[0] == []
    assert engines.ids(within) == ([], {})
    assert engines.ids(without)[0] == []  # NULL: as NOT IN (NULL)
    assert engines.ids(perhaps)[0] == ALL


def test_a_list_stands_wherever_in_can(engines):
    name = engines.define("-- parameter: L list(integer)\n-- parameter: M list(string) default ''\n", """
        SELECT id FROM item
        WHERE (id + 1 IN /* a comment */ (:L)) = (1 = 1)
          AND NOT id || '' in(:M) AND CASE WHEN :L IS NOT NULL THEN id not
              -- another
              IN ( :L ) END
          AND EXISTS (SELECT 1 FROM item AS i WHERE i.id IN (:L) AND i.id = item.id + 1)
        ORDER BY id""")
    assert engines.ids(name, L="3,5,8") == ([2, 4, 7], {"L": "3,5,8", "M": ""})
    assert engines.ids(name, L="3,5,8", M="2,7") == ([4], {"L": "3,5,8", "M": "2,7"})


def test_a_list_is_shown_in_one_form(engines):
    name = engines.define("-- parameter: L list(string) default 'a, b'\n-- parameter: N list(integer) required\n",
                          "SELECT id FROM item WHERE code IN (:L) OR id IN (:N) ORDER BY id")
    assert engines.ids(name, N=" 007 ,8") == ([7, 8], {"L": "a,b", "N": "7,8"})
    assert engines.ids(name, N="[]", L='[ "x" , "a,b" ]') == ([2], {"L": '["x","a,b"]', "N": ""})
    assert engines.ids(name, N="", L='["plain"]') == ([1], {"L": "plain", "N": ""})
    for client in engines.clients():
        typed = next(t for t in client.get("/Report/Types").json()["data"] if t["name"] == name)
        assert [(p["type"], p["required"], p["default"]) for p in typed["parameters"]] == [
            ("list(string)", False, "a,b"), ("list(integer)", True, None)]


@pytest.mark.parametrize("of, given, words", [
    ("integer", "1,x", ["'L'", "a list with commas, each value an integer such as 42", "'x'"]),
    ("integer", "1,,2", ["'L'", "a value between its commas is empty"]),
    ("integer", "1,", ["'L'", "a value between its commas is empty"]),
    ("integer", "[1,null]", ["'L'", "JSON array"]),
    ("integer", "[1,2", ["'L'", "JSON array"]),
    ("integer", "[[1]]", ["'L'", "JSON array"]),
    ("integer", "[1] 2", ["'L'", "JSON array"]),
    ("integer", '["1]', ["'L'", "JSON array"]),
    ("integer", "[1,]", ["'L'", "JSON array"]),
    ("decimal", "[1e3]", ["'L'", "'1e3'"]),
    ("string", '["\\u0000"]', ["'L'", "JSON array"]),
    ("string", '["\\ud800"]', ["'L'", "JSON array"]),
    ("date", "2024-02-30", ["'L'", "YYYY-MM-DD", "'2024-02-30'"]),
    ("enum(A|B)", "A,C", ["'L'", "(A, B)", "'C'"]),
    ("integer", ",".join(["1"] * 10_001), ["'L'", "at most 10000 values"]),
    ("string", "x" * 4097, ["'L'", "at most 4096 bytes per value"]),
    ("string", ",".join(["x" * 40] * 5_000), ["196608 bytes"]),
    ("string", ",".join(["x" * 19 + '"'] * 9_000), ["196608 bytes"]),
], ids=lambda value: repr(value)[:30])
def test_what_is_no_list_is_refused(engines, of, given, words):
    name = engines.define(f"-- parameter: L list({of})\n", "SELECT id FROM item WHERE :L IS NULL")
    engines.refused(name, {"L": given}, *words)
    engines.refused(name, {"L": ["1"]}, "'L' must be a JSON string (a list with commas")


def test_ten_thousand_values_are_a_list(engines):
    name = engines.define("-- parameter: L list(integer)\n", "SELECT id FROM item WHERE big IN (:L) ORDER BY id")
    many = list(range(2, 10_002))
    random.Random(5).shuffle(many)
    assert engines.ids(name, L=",".join(map(str, many)))[0] == [6, 7, 8, 9]
    long = engines.define("-- parameter: L list(string)\n", "SELECT id FROM item WHERE code NOT IN (:L) ORDER BY id")
    values = [f"{i:05}-{'x' * 10}" for i in range(9_999)] + ["plain"]
    assert engines.ids(long, L=",".join(values))[0] == [2, 3, 4, 5, 6, 7, 9]
    assert engines.ids(long, L=json.dumps(values[1:]))[0] == [2, 3, 4, 5, 6, 7, 9]


def test_the_lists_of_a_request_have_their_limit_together(engines):
    name = engines.define("-- parameter: L list(string)\n-- parameter: M list(string)\n",
                          "SELECT id FROM item WHERE code IN (:L) AND code IN (:M) ORDER BY id")
    half = ",".join(["plain"] + ["x" * 40] * 2_300)  # some 94 KB
    assert engines.ids(name, L=half, M=half)[0] == [1]
    engines.refused(name, {"L": half, "M": half + ("," + "x" * 40) * 800}, "196608 bytes")


def test_any_texts_survive_the_way_to_the_database(engines):
    """What is selected by a list of random texts is what was in the list: nothing is cut, split or unescaped."""
    rng = random.Random(11)
    alphabet = "a,\"'\\{}[] \n\té☃𝄞%_;:$NULL"
    texts = {"".join(rng.choices(alphabet, k=rng.randrange(0, 8))) for _ in range(400)}
    name = engines.define("-- parameter: L list(string)\n-- parameter: T string\n",
                          "SELECT 1 AS id WHERE :T IN (:L)")
    for text in rng.sample(sorted(texts), 12):
        others = sorted(texts - {text})
        assert engines.ids(name, T=text, L=json.dumps([*others, text]))[0] == [1]
        assert engines.ids(name, T=text, L=json.dumps(others, ensure_ascii=False))[0] == []


SYDNEY = "-- timezone: Australia/Sydney\n"


@pytest.mark.parametrize("given, shown, found", [
    ("2024-01-12T13:00:00Z", "2024-01-12T13:00:00Z", [3, 4, 5, 7]),
    ("2024-01-13 00:00", "2024-01-12T13:00:00Z", [3, 4, 5, 7]),
    ("2024-01-13T00:00:00.5", "2024-01-12T13:00:00.5Z", [4, 5, 7]),
    ("2024-01-12T14:00:00.500001+01:00", "2024-01-12T13:00:00.500001Z", [5, 7]),
    ("2024-01-12t23:59:59.999999z", "2024-01-12T23:59:59.999999Z", [5, 7]),
    ("2024-07-01 10:00", "2024-07-01T00:00:00Z", [7]),
    ("2024-07-01 10:00:00.000001", "2024-07-01T00:00:00.000001Z", []),
])
def test_a_timestamp_is_a_moment_on_both_engines(engines, given, shown, found):
    name = engines.define(SYDNEY + "-- parameter: From timestamp required\n",
                          "SELECT id FROM visit WHERE moment >= :From ORDER BY id")
    assert engines.ids(name, From=given) == (found, {"From": shown})


@pytest.mark.parametrize("given, text", [
    ("2024-01-12T14:00:00+01:00", "2024-01-12 13:00:00"), ("2024-01-13 00:00", "2024-01-12 13:00:00"),
    ("2024-01-12T13:00:00.5Z", "2024-01-12 13:00:00.500"), ("2024-01-12T13:00:00.250000Z", "2024-01-12 13:00:00.250"),
    ("2024-01-12T13:00:00.000001Z", "2024-01-12 13:00:00.000001"),
])
def test_a_timestamp_is_bound_as_text_of_utc_or_as_timestamptz(engines, given, text):
    sqlite, postgres = engines.servers
    header = SYDNEY + "-- parameter: At timestamp required\n"
    for server, sql, bound in (
            (sqlite, "SELECT typeof(:At) || ' ' || :At AS bound", f"text {text}"),
            (postgres, "SELECT pg_typeof(:At)::text AS bound", "timestamp with time zone")):
        client = server.client_of("alice")
        reference = client.complete(engines.define(header, sql, only=server), At=given)
        assert client.result(reference).json()["data"]["results"] == [{"bound": bound}]
        client.delete(reference)


def test_a_list_stands_in_every_section_that_has_a_condition(engines):
    name = engines.define("-- parameter: L list(integer) required\n", """WITH own AS (SELECT id FROM item WHERE id IN (:L))
        SELECT id FROM own ORDER BY id;
        -- set: others
        SELECT id FROM item WHERE id NOT IN (:L) ORDER BY id;
        -- summary
        SELECT count(*) AS n FROM item WHERE id IN (:L)""")
    checked = HEAD.format(name=name, header="-- parameter: L list(integer) required\n"
                          "-- with\nchosen AS (SELECT id FROM item WHERE id IN (:L))\n"
                          "-- check: None of :L is there.\nSELECT 1 FROM item WHERE id IN (:L) LIMIT 1;\n",
                          sql="SELECT id FROM chosen ORDER BY id;\n-- set: others\nSELECT id FROM item WHERE id NOT IN (:L) ORDER BY id;\n"
                              "-- summary\nSELECT count(*) AS n FROM chosen")
    for server in engines.servers:
        client = server.client_of("alice")
        for _ in range(2):
            data = client.result(client.complete(name, L="2,9,77")).json()["data"]
            assert [row["id"] for row in data["results"]] == [2, 9] and data["summary"] == {"n": 2}
            assert [row["id"] for row in data["others"]] == [1, 3, 4, 5, 6, 7, 8]
            (server.reports / f"{name}.sql").write_text(checked)
            server.reload()
        answer = client.finish(client.order(name, L="77,78")).json()
        assert (answer["data"], answer["message"]) == ("error", "None of 77,78 is there.")


def test_timestamps_may_be_a_list_and_a_default(engines):
    name = engines.define(
        SYDNEY + "-- parameter: L list(timestamp) default '2024-01-13 00:00, 2024-07-01T00:00Z'\n",
        "SELECT id FROM visit WHERE moment IN (:L) ORDER BY id")
    assert engines.ids(name) == ([3, 7], {"L": "2024-01-12T13:00:00Z,2024-07-01T00:00:00Z"})
    assert engines.ids(name, L='["2024-01-12T13:00:00.500Z"]') == ([4], {"L": "2024-01-12T13:00:00.5Z"})
    for client in engines.clients():
        typed = next(t for t in client.get("/Report/Types").json()["data"] if t["name"] == name)
        assert typed["parameters"][0]["default"] == "2024-01-12T13:00:00Z,2024-07-01T00:00:00Z"


def test_a_local_time_that_does_not_exist_or_exists_twice_is_refused(engines):
    name = engines.define(SYDNEY + "-- parameter: From timestamp\n", "SELECT id FROM visit WHERE moment >= :From")
    engines.refused(name, {"From": "2024-10-06 02:30"}, "'From'", "2024-10-06 02:30 does not exist in Australia/Sydney")
    engines.refused(name, {"From": "2024-04-07 02:30"}, "'From'", "2024-04-07 02:30 exists twice in Australia/Sydney",
                    "offset")
    engines.refused(name, {"From": "2024-01-12"}, "'From'", "local time such as 2024-01-12 14:04", "'2024-01-12'")


def test_a_range_of_days_includes_the_last_one(tmp_path, postgres):
    """As the manual has it, on each engine in its way, and on both with timestamps."""
    header = ("-- timezone: Australia/Sydney\n-- parameter: FromDate {kind} required\n"
              "-- parameter: ToDate {kind} required\n")
    made = Engines(tmp_path, postgres, "ranges")
    sqlite, pg = made.clients()
    found = []
    seconds = "CAST(strftime('%s', moment) AS integer)"
    for client, column, since, until in (
            (sqlite, "moment", ":FromDate", "date(:ToDate, '+1 day')"), (pg, "moment", ":FromDate", ":ToDate + 1"),
            (pg, "moment", ":FromDate", ":ToDate"),
            (sqlite, "moment", "datetime(:FromDate, 'utc')", "datetime(:ToDate, '+1 day', 'utc')"),
            (sqlite, seconds, "unixepoch(:FromDate, 'utc')", "unixepoch(:ToDate, '+1 day', 'utc')"),
            (sqlite, "date(moment, 'localtime')", ":FromDate", "date(:ToDate, '+1 day')"),
            (sqlite, f"date({seconds}, 'unixepoch', 'localtime')", ":FromDate", "date(:ToDate, '+1 day')")):
        name = made.define(header.format(kind="date"),
                           f"SELECT id FROM visit WHERE {column} >= {since} AND {column} < {until} ORDER BY id",
                           only=made.servers[0 if client is sqlite else 1])
        data = client.result(client.complete(name, FromDate="2024-01-12", ToDate="2024-01-12")).json()["data"]
        found.append([row["id"] for row in data["results"]])
    # SQLite's days are those of the column, UTC, unless the report asks for those of its zone.
    assert found == [[2, 3, 4, 5], [1, 2], []] + [[1, 2]] * 4
    name = made.define(header.format(kind="timestamp"),
                       "SELECT id FROM visit WHERE moment >= :FromDate AND moment < :ToDate ORDER BY id")
    assert made.ids(name, FromDate="2024-01-12 00:00", ToDate="2024-01-13 00:00")[0] == [1, 2]
    made.close()


def test_local_time_in_sqlite_is_that_of_the_report(tmp_path):
    """Of each report, on one connection, whatever the zone of the machine."""
    moment = "'2024-10-05 16:30:00'"
    zones = {"Zone": ("", "2024-10-06 03:30:00", "2024-10-05 06:30:00"),
             "Own": ("-- timezone: America/New_York\n", "2024-10-05 12:30:00", "2024-10-05 20:30:00")}
    for folder, config in (("sydney", {"timezone": "Australia/Sydney"}), ("none", {})):
        server = Server.made(tmp_path / folder, workers=1, **config)
        server.environment["TZ"] = "Asia/Kathmandu"
        for name, (header, _, _) in zones.items():
            (server.reports / f"{name}.sql").write_text(
                f"-- report: {name}\n-- source: data\n{header}-- results\n"
                f"SELECT datetime({moment}, 'localtime') AS local, datetime({moment}, 'utc') AS utc\n")
        server.add_user("alice")
        client = server.start().client("alice")
        for name in ("Zone", "Own", "Zone"):
            (row,) = client.result(client.complete(name)).json()["data"]["results"]
            local, utc = zones[name][1:] if config or name == "Own" else (moment[1:-1], moment[1:-1])
            assert row == {"local": local, "utc": utc}, (folder, name)
        assert server.stop() == 0
        server.check_log()


class TestZoneOfTheConfiguration:
    """`timezone` in reportd.conf, and what stands before it."""

    @pytest.fixture(scope="class")
    def sydney(self, tmp_path_factory, postgres):
        folder = tmp_path_factory.mktemp("zone")
        clock = FakeClock(folder / "clock")
        database = postgres.create_database("zoned")
        postgres.sql("CREATE ROLE kathmandu LOGIN; ALTER ROLE kathmandu SET TimeZone = 'Asia/Kathmandu'")
        servers = {}
        for name, config in (("sydney", {"timezone": "Australia/Sydney"}), ("none", {})):
            server = Server.made(folder / name, source=postgres.url(database, "kathmandu"), **config)
            server.environment["REPORTD_SEAMS_CLOCK"] = str(clock.path)
            server.add_user("alice")
            for report, header in (("Zone", ""), ("Own", "-- timezone: America/New_York\n")):
                (server.reports / f"{report}.sql").write_text(
                    f"-- report: {report}\n-- source: data\n{header}-- parameter: Day date default today\n"
                    "-- parameter: At timestamp default '2024-01-12 12:00'\n"
                    "-- results\nSELECT current_setting('TimeZone') AS zone, :Day AS day, :At AS moment\n")
            servers[name] = server.start()
        yield clock, servers["sydney"], servers["none"]
        for server in servers.values():
            assert server.stop() == 0
            server.check_log()

    @staticmethod
    def row(server, name):
        client = server.client_of("alice")
        (row,) = client.result(client.complete(name)).json()["data"]["results"]
        return row

    def test_it_is_that_of_today_of_local_times_and_of_the_session(self, sydney):
        clock, server, none = sydney
        clock.jump_to(time_of("2024-02-29T13:30:00Z"))
        assert self.row(server, "Zone") == {
            "zone": "Australia/Sydney", "day": "2024-03-01", "moment": "2024-01-12T01:00:00Z"}
        assert self.row(server, "Own") == {
            "zone": "America/New_York", "day": "2024-02-29", "moment": "2024-01-12T17:00:00Z"}
        assert self.row(none, "Zone") == {
            "zone": "Asia/Kathmandu", "day": "2024-02-29", "moment": "2024-01-12T12:00:00Z"}
        assert self.row(none, "Own")["zone"] == "America/New_York"
        # and the next report of the same connection has its own again
        assert self.row(none, "Zone")["zone"] == "Asia/Kathmandu"

    def test_a_default_is_shown_as_the_day_it_is(self, sydney):
        clock, server, none = sydney
        clock.jump_to(time_of("2024-02-29T13:30:00Z"))
        for shown, day in ((server, "2024-03-01"), (none, "2024-02-29")):
            typed = next(t for t in shown.client_of("alice").get("/Report/Types").json()["data"] if t["name"] == "Zone")
            assert typed["parameters"][0]["default"] == day
            client = shown.client_of("alice")
            assert client.result(client.complete("Zone")).json()["data"]["parameters"]["Day"] == day


def test_a_zone_that_does_not_exist_is_refused_at_the_start_and_in_a_definition(tmp_path):
    server = Server.made(tmp_path / "server", timezone="Australia/Sidney")
    done = server.run("serve", "-c", "reportd.conf")
    assert done.returncode != 0
    assert "reportd.conf:" in done.stderr and "timezone: 'Australia/Sidney' is not a time zone" in done.stderr
    (server.reports / "Bad.sql").write_text(
        "-- report: Bad\n-- source: data\n-- timezone: Mars/Olympus\n-- results\nSELECT 1 AS a\n")
    done = server.run("check", "reports/Bad.sql")
    assert done.returncode == 1
    assert done.stdout.startswith("reports/Bad.sql:3: 'Mars/Olympus' is not a time zone of this machine's tz database")


def test_a_default_that_does_not_exist_in_the_configured_zone_is_told(tmp_path):
    server = Server.made(tmp_path / "server", timezone="Australia/Sydney")
    (server.reports / "Twice.sql").write_text(
        "-- report: Twice\n-- source: data\n-- parameter: At timestamp default '2024-04-07 02:30'\n"
        "-- results\nSELECT :At AS a\n")
    assert server.run("check", "reports/Twice.sql").returncode == 0  # in UTC it is good
    for path in ("reports/Twice.sql", "reports"):
        done = server.run("check", "-c", "reportd.conf", path)
        assert done.returncode == 1
        assert "Twice.sql:3: the default is rejected: Parameter 'At': the local time 2024-04-07 02:30 exists twice" \
            in done.stdout


@pytest.mark.parametrize("declared, good, bad, words", [
    ("list(integer) min 1 max 9", "1,9", "1,10", ["each value an integer such as 42, from 1 to 9", "'10' is not one"]),
    ("list(string) matching \"[a-z]+\"", "plain", "plain,X", ["a text, matching [a-z]+", "'X' is not one"]),
])
def test_each_value_of_a_list_keeps_the_limits(engines, declared, good, bad, words):
    column = "id" if "integer" in declared else "code"
    name = engines.define(f"-- parameter: L {declared}\n", f"SELECT id FROM item WHERE {column} IN (:L) ORDER BY id")
    assert engines.ids(name, L=good)[0]
    engines.refused(name, {"L": bad}, "'L'", *words)


def test_limits_are_told_by_the_types(engines):
    name = engines.define("-- parameter: N integer default 5 min 1 max 500\n"
                          "-- parameter: C string matching \"[A-Z]{3}\" \"A code\"\n",
                          "SELECT id FROM item WHERE id = :N OR code = :C ORDER BY id")
    assert engines.ids(name) == ([5], {"N": "5"})
    for client in engines.clients():
        typed = next(t for t in client.get("/Report/Types").json()["data"] if t["name"] == name)
        assert [(p["min"], p["max"], p["matching"]) for p in typed["parameters"]] == [
            ("1", "500", None), (None, None, "[A-Z]{3}")]


def test_no_value_of_matching_keeps_other_requests_waiting(tmp_path):
    """Text that an expression matches by trying, for as long as it likes, and one HTTP thread."""
    server = Server.made(tmp_path / "server", http_threads=1)
    hostile = ["(a+)+", "(a|aa)*", "(.*a.{100}|.*b.{150})*c", "([ab]*a[ab]{90})*c"]
    declared = "".join(f"-- parameter: P{i} string default '' matching \"()|{text}\"\n" for i, text in enumerate(hostile))
    used = ", ".join(f":P{i}" for i in range(len(hostile)))
    (server.reports / "Hostile.sql").write_text(
        f"-- report: Hostile\n-- source: data\n{declared}-- results\nSELECT {used}\n")
    server.add_user("alice")
    server.start()
    alice = server.client("alice")
    reference = alice.order("Hostile")
    texts = ["a" * 4000 + "!"] + ["".join(random.Random(seed).choices("ab", k=4000)) for seed in range(7)]
    with ThreadPoolExecutor(4) as callers:
        asked = [callers.submit(Client(server.url, alice.token).submit, "Hostile", {f"P{n % len(hostile)}": text})
                 for n, text in enumerate(texts * 2)]
        polls = 0
        while polls < 10 or not all(each.done() for each in asked):
            assert soon(lambda: alice.status(reference)).status_code == 200
            polls += 1
    for each in asked:
        assert each.result().json()["result"] is False, each.result().text
    assert server.stop() == 0
