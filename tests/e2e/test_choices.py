"""The choices of a parameter, `-- values`: doc/definitions.md, doc/api.md § GET /Report/Types?values."""

import contextlib
import os
import select
import signal
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

import raw_http
from conftest import close
from fake_clock import SECOND

from harness import PATIENCE, Server, failed, poll, refused
from seams import plan

SCHEMA = """
    CREATE TABLE customer (customer_id integer PRIMARY KEY, name varchar(20), owner varchar(20), rate numeric(6, 2));
    INSERT INTO customer VALUES (7, 'Seven', 'alice', 2.5), (12, NULL, 'bob', 1), (3, 'Three "3"', 'alice', 0.05);
"""

CHOSEN = """-- report: Chosen
-- source: data
-- parameter: Customer integer
-- parameter: Own integer
-- parameter: Name string
-- parameter: Rate decimal
-- parameter: Some list(integer)
-- parameter: Free string
-- values: Customer
SELECT customer_id, name FROM customer ORDER BY name NULLS LAST;
-- values: Own
SELECT customer_id FROM customer WHERE owner = :session_user ORDER BY 1
-- values: Name
SELECT name FROM customer ORDER BY 1
-- values: Rate
SELECT rate, 'at ' || name FROM customer ORDER BY 1
-- values: Some
SELECT customer_id, name FROM customer ORDER BY 1
-- results
SELECT customer_id AS "id" FROM customer
WHERE (:Customer IS NULL OR customer_id = :Customer) AND (:Own IS NULL OR customer_id = :Own)
  AND (:Name IS NULL OR name = :Name) AND (:Rate IS NULL OR rate = :Rate)
  AND (:Some IS NULL OR customer_id IN (:Some)) AND (:Free IS NULL OR name = :Free)
ORDER BY 1
"""

FOREVER = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0",
    "postgres": "SELECT pg_sleep(3600)::text",
}


def choices(client, parameter, report="Chosen"):
    answer = client.get("/Report/Types", params={"values": f"{report}.{parameter}"})
    assert answer.status_code == 200 and answer.json()["result"] is True, answer.text
    assert answer.json()["recordCount"] == len(answer.json()["data"])
    return [(choice["value"], choice["label"]) for choice in answer.json()["data"]]


def ask(client, parameter, report="Chosen", headers=None):
    return client.get("/Report/Types", headers, params={"values": f"{report}.{parameter}"})


class Chooser:
    """A server over one engine, and its database's shell."""

    def __init__(self, folder, engine, postgres):
        self.engine = engine
        self.database = postgres and postgres.create_database("choices")
        self.postgres = postgres
        self.server = Server.made(folder, source=postgres.url(self.database) if postgres else "sqlite:shop.db",
                                  workers=1)
        self.sql(SCHEMA)
        (self.server.reports / "Chosen.sql").write_text(CHOSEN)
        for name in ("alice", "bob"):
            self.server.add_user(name)
        self.server.add_user("carol", grants=["Quick"])
        self.server.start()
        poll(lambda: len(self.server.workers()) == 1, what="the worker of reports")
        self.others = set(self.server.workers())
        self.alice, self.bob = self.server.client("alice"), self.server.client("bob")

    def kill_choices(self):
        """Kill the worker of choices, if there is one: the others have been there from the start."""
        for pid in set(self.server.workers()) - self.others:
            with contextlib.suppress(ProcessLookupError):  # it has gone by itself
                os.kill(pid, signal.SIGKILL)

    def sql(self, text):
        if self.postgres:
            self.postgres.sql(text, self.database)
            return
        db = sqlite3.connect(self.server.folder / "shop.db")
        with db:
            db.executescript(text)
        db.close()

    def define(self, name, values, parameters=("P",), rest=""):
        head = "".join(f"-- parameter: {one} string\n" for one in parameters)
        sections = "".join(f"-- values: {one}\n{values}\n" for one in parameters)
        used = ", ".join(f':{one} AS "{one}"' for one in parameters)
        (self.server.reports / f"{name}.sql").write_text(
            f"-- report: {name}\n-- source: data\n{head}{sections}-- results\nSELECT {used}{rest}\n")
        self.server.reload()

    def define_slow(self, name, parameters=("P",)):
        self.define(name, FOREVER[self.engine], parameters)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def chooser(request, tmp_path_factory):
    postgres = request.getfixturevalue("postgres") if request.param == "postgres" else None
    made = Chooser(tmp_path_factory.mktemp("choices") / "server", request.param, postgres)
    yield made
    close(made.server)


def test_a_form_gets_values_and_labels_in_the_order_of_the_query(chooser):
    assert choices(chooser.alice, "Customer") == [("7", "Seven"), ("3", 'Three "3"'), ("12", "12")]
    assert choices(chooser.alice, "Name") == [("Seven", "Seven"), ('Three "3"', 'Three "3"')]
    rates = choices(chooser.alice, "Rate")
    assert [(float(value), label) for value, label in rates] == [(0.05, 'at Three "3"'), (1, rates[1][0]),
                                                                 (2.5, "at Seven")]


def test_each_user_gets_those_of_the_user(chooser):
    for _ in range(2):  # asked, and kept
        assert choices(chooser.alice, "Own") == [("3", "3"), ("7", "7")]
        assert choices(chooser.bob, "Own") == [("12", "12")]


def test_the_types_say_what_to_ask_with(chooser):
    (chosen,) = [kind for kind in chooser.alice.get("/Report/Types").json()["data"] if kind["name"] == "Chosen"]
    asks = {parameter["name"]: parameter["values"] for parameter in chosen["parameters"]}
    assert asks["Customer"] == "Chosen.Customer" and asks["Free"] is None


@pytest.mark.parametrize("given", [
    {"Customer": "7"}, {"Own": "3"}, {"Name": 'Three "3"'}, {"Rate": "2.50"}, {"Some": "3,7,7"}, {"Some": ""}, {},
])
def test_a_report_runs_with_choices(chooser, given):
    reference = chooser.alice.complete("Chosen", **given)
    rows = chooser.alice.result(reference).json()["data"]["results"]
    assert bool(rows) == (given != {"Some": ""})


@pytest.mark.parametrize("given", [
    {"Customer": "88887777"}, {"Own": "12"}, {"Name": "seven"}, {"Rate": "2.51"}, {"Some": "3,88887777,7"},
])
def test_a_value_that_is_no_choice_ends_the_report_with_the_name_of_its_parameter(chooser, given):
    (name,) = given
    answer = chooser.alice.finish(chooser.alice.order("Chosen", **given)).json()
    assert answer["data"] == "error"
    assert answer["message"] == f"The parameter '{name}' has a value that is not among its choices."
    logged = f'values: {name}: a value that is not among them"'
    poll(lambda: logged in chooser.server.log_text(), what="the line of the log")
    assert "88887777" not in chooser.server.log_text()


@pytest.mark.parametrize("values", ["", "Chosen", "Chosen.", ".Customer"])
def test_a_question_without_both_names_is_malformed(chooser, values):
    failed(chooser.alice.get("/Report/Types", params={"values": values}), 400, "values=")


def test_a_question_that_is_asked_twice_is_malformed(chooser):
    twice = {"values": "Chosen.Customer", "VALUES": "Chosen.Customer"}
    failed(chooser.alice.get("/Report/Types", params=twice), 400, "values occurs twice")


def test_questions_that_have_no_answer(chooser):
    refused(ask(chooser.alice, "Customer", "Nothing"), "Unknown report 'Nothing'")
    refused(ask(chooser.alice, "Customer", "X" * 5000), "Unknown report")
    refused(ask(chooser.alice, "customer"), "no parameter 'customer'")
    refused(ask(chooser.alice, "Y" * 5000), "no parameter 'YYY")
    refused(ask(chooser.alice, "Free"), "'Free'", "no list of values")
    failed(ask(chooser.server.client("carol"), "Customer"), 403, "Chosen")


def test_answers_are_kept_until_the_definitions_are_read_again(chooser):
    chooser.sql("CREATE TABLE kind (name varchar(20)); INSERT INTO kind VALUES ('a')")
    chooser.define("Kept", "SELECT name FROM kind ORDER BY 1")
    assert choices(chooser.alice, "P", "Kept") == [("a", "a")]
    chooser.sql("INSERT INTO kind VALUES ('b')")
    assert choices(chooser.alice, "P", "Kept") == [("a", "a")]
    assert chooser.alice.complete("Kept", P="b")  # what runs asks the database
    chooser.server.reload()
    assert choices(chooser.alice, "P", "Kept") == [("a", "a"), ("b", "b")]


class Aging:
    """A server whose answers age by the test's clock, over a table of one row."""

    def __init__(self, folder, clock):
        self.clock = clock
        self.made = Chooser(folder, "sqlite", None)
        self.made.sql("CREATE TABLE mark (name); INSERT INTO mark VALUES ('old')")

    def mark(self, text):
        self.made.sql(f"UPDATE mark SET name = '{text}'")

    def ask(self, report, parameter="P"):
        """What the mark was when the answer was fetched; asking takes no time."""
        self.clock.stand()
        return choices(self.made.alice, parameter, report)[0][1]


@pytest.fixture
def aging(tmp_path, clock):
    made = Aging(tmp_path / "server", clock)
    yield made
    close(made.made.server)


def test_an_answer_is_kept_for_a_minute(aging):
    aging.made.define("Kept", "SELECT name FROM mark")
    assert aging.ask("Kept") == "old"
    aging.mark("new")
    aging.clock.jump(10 * SECOND)
    assert aging.ask("Kept") == "old"
    aging.clock.jump(60 * SECOND)
    poll(lambda: choices(aging.made.alice, "P", "Kept")[0][1] == "new", what="the end of the minute")


def test_of_too_many_answers_the_oldest_goes_first(aging):
    names = [f"P{i}" for i in range(64)]
    for report in range(5):
        aging.made.define(f"Many{report}", "SELECT name FROM mark", names)
    asks = [(f"Many{i // 64}", f"P{i % 64}") for i in range(257)]
    assert {aging.ask(*one) for one in asks[:256]} == {"old"}
    aging.mark("new")
    assert aging.ask(*asks[256]) == "new"  # one more than are kept
    assert aging.ask(*asks[1]) == "old"
    assert aging.ask(*asks[0]) == "new"
    assert aging.ask(*asks[1]) == "new"  # since now it was the oldest


def test_answers_that_take_too_much_room_go_too(aging):
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) "
    aging.made.define("Large", rows + "SELECT printf('%077d', i), name FROM n, mark", [f"P{i}" for i in range(9)])
    assert {aging.ask("Large", f"P{i}") for i in range(8)} == {"old"}
    aging.mark("new")
    assert aging.ask("Large", "P0") == "old"
    assert aging.ask("Large", "P8") == "new"  # 9 times 0.91 MiB is more than 8 MiB
    assert aging.ask("Large", "P1") == "old"
    assert aging.ask("Large", "P0") == "new"


def test_moments_are_choices(chooser):
    chooser.sql("CREATE TABLE tide (high timestamp); INSERT INTO tide VALUES ('2024-01-12 03:04:05')")
    high = "high" if chooser.engine == "sqlite" else "high AT TIME ZONE 'UTC'"
    (chooser.server.reports / "Tide.sql").write_text(
        "-- report: Tide\n-- source: data\n-- timezone: Australia/Sydney\n-- parameter: At timestamp\n"
        f"-- values: At\nSELECT {high}, 'high'  FROM tide\n-- results\nSELECT count(*) AS n FROM tide WHERE {high} = :At\n")
    chooser.server.reload()
    assert choices(chooser.alice, "At", "Tide") == [("2024-01-12T03:04:05Z", "high")]
    for given in ("2024-01-12T03:04:05Z", "2024-01-12 14:04:05"):
        reference = chooser.alice.complete("Tide", At=given)
        assert chooser.alice.result(reference).json()["data"]["results"] == [{"n": 1}]
    answer = chooser.alice.finish(chooser.alice.order("Tide", At="2024-01-12 03:04:05")).json()
    assert answer["message"] == "The parameter 'At' has a value that is not among its choices."


def test_a_query_that_fails_is_told_and_not_kept(chooser):
    chooser.define("Failing", "SELECT name FROM later")
    refused(ask(chooser.alice, "P", "Failing"), "The choices of 'P' are not available at the moment")
    answer = ask(chooser.alice, "P", "Failing", {"Accept": "application/problem+json"})
    assert (answer.status_code, answer.json()["title"]) == (503, "Choices not available")
    assert "later" not in answer.text
    poll(lambda: "later" in chooser.server.log_text(), what="the line of the log")
    chooser.sql("CREATE TABLE later (name varchar(20)); INSERT INTO later VALUES ('x')")
    assert choices(chooser.alice, "P", "Failing") == [("x", "x")]


@pytest.mark.parametrize("query, words", [
    ("SELECT 1, 2, 3", "gives 3 columns"),
    ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10001) SELECT i FROM n", "10000 rows"),
])
def test_what_is_no_list_of_choices_is_told(chooser, query, words):
    chooser.define("Odd", query)
    refused(ask(chooser.alice, "P", "Odd"), words)


def test_a_value_of_another_type_is_told(chooser):
    (chooser.server.reports / "Typo.sql").write_text(
        "-- report: Typo\n-- source: data\n-- parameter: P integer\n-- values: P\nSELECT name FROM customer\n"
        "-- results\nSELECT :P AS p\n")
    chooser.server.reload()
    refused(ask(chooser.alice, "P", "Typo"), "not of the parameter's type, integer")


def test_the_place_of_a_row_that_is_no_choice_decides_nothing(aging):
    for name, query in ("First", "SELECT x'00' UNION ALL SELECT 'a'"), ("Last", "SELECT 'a' UNION ALL SELECT x'00'"):
        aging.made.define(name, query)
        assert aging.made.alice.complete(name, P="a")
        answer = aging.made.alice.finish(aging.made.alice.order(name, P="b")).json()
        assert (answer["data"], answer["message"]) == (
            "error", "The query for the values of 'P' gives bytes; cast them to text.")
        refused(ask(aging.made.alice, "P", name), "gives bytes")


def test_an_answer_that_is_kept_is_only_for_those_who_may_run_the_report(aging):
    aging.made.define("Granted", "SELECT name FROM mark")
    aging.made.server.user("grant", "carol", "Granted")
    carol = aging.made.server.client("carol")
    assert choices(carol, "P", "Granted") == [("old", "old")]
    aging.made.server.user("revoke", "carol", "Granted")
    poll(lambda: ask(carol, "P", "Granted").status_code == 403, what="the end of the grant")


def test_a_question_whose_client_hangs_up_frees_its_place_at_once(chooser):
    chooser.define_slow("Gone", [f"P{i}" for i in range(10)])
    with contextlib.ExitStack() as stack:
        asked = [stack.enter_context(raw_http.connect(chooser.server)) for _ in range(10)]
        for i, one in enumerate(asked):
            one.sendall(f"GET /Report/Types?values=Gone.P{i} HTTP/1.1\r\nHost: x\r\nVersion: 2.0\r\n"
                        f"Authorization: {chooser.alice.token}\r\n\r\n".encode())
        early = select.select(asked, [], [], PATIENCE)[0]  # one runs, 8 wait, and this one is too many
        assert len(early) == 1 and b"Too many forms" in early[0].recv(4096)
        asked.remove(early[0])
        for one in asked:
            one.shutdown(socket.SHUT_WR)  # they may still read
        assert all(b"You have hung up." in one.recv(4096) for one in asked)
    assert choices(chooser.alice, "Rate")  # by the worker, once it has stopped the query


def test_forms_and_reports_do_not_wait_for_each_other(chooser):
    chooser.define("Endless", "SELECT 'x'", rest=f", ({FOREVER[chooser.engine]}) AS n")
    chooser.define_slow("Slow", [f"P{i}" for i in range(12)])
    running = chooser.alice.order("Endless", P="x")
    chooser.alice.wait_for(running, "processing")  # on the one worker
    assert choices(chooser.alice, "Customer")
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(ask, chooser.alice, f"P{i}", "Slow") for i in range(12)]
        poll(lambda: any(one.done() for one in asked), what="a question that is one too many")
        assert len(chooser.server.workers()) == 2
        chooser.alice.delete(running)
        assert chooser.alice.complete("Chosen")
        answers = [one.result() for one in asked]
    busy = [answer for answer in answers if answer.status_code == 503]
    assert len(busy) == 3 and all(int(answer.headers["Retry-After"]) > 0 for answer in busy)  # one runs, 8 wait
    for answer in answers:
        if answer not in busy:
            refused(answer, "took too long")
    assert choices(chooser.bob, "Name")  # the worker, or another one, goes on


def test_a_worker_that_dies_fails_its_question_only(chooser):
    chooser.define_slow("Doomed")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, chooser.alice, "P", "Doomed")
        poll(lambda: asked.done() or chooser.kill_choices(), what="the end of the question")
        refused(asked.result(), "ended unexpectedly")
    chooser.server.reload()
    assert choices(chooser.alice, "Customer")


@pytest.mark.parametrize("place", ["choices.memfd", "wire.memfd", "wire.texts"])
def test_a_call_that_fails_is_a_question_that_fails(tmp_path, place):
    made = Chooser(tmp_path / "server", "sqlite", None)
    try:
        assert made.server.stop() == 0
        plan(made.server, f"{place}=ENOMEM")
        client = made.server.start().client("alice")
        refused(ask(client, "Customer"), "Try again later")
        assert choices(client, "Customer")
    finally:
        close(made.server)


def test_a_stop_does_not_wait_for_a_form(tmp_path):
    made = Chooser(tmp_path / "server", "sqlite", None)
    try:
        made.define_slow("Slow")
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(ask, made.alice, "P", "Slow")
            poll(lambda: len(made.server.workers()) == 2, what="the question")
            assert made.server.stop() == 0
            failed(asked.result(), 503)
    finally:
        close(made.server)
