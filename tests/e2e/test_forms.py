"""GET /Report in other forms: NDJSON and CSV, made from the stored result as they are sent."""

import csv
import io
import json
import re
import socket
import subprocess
from decimal import Decimal

import pytest

from harness import Client, damage, failed, poll, refused
from stores import STORES
from test_definition_language import Engines
from test_transfers import DAY_MS, free_bytes, small_disk

pytestmark = pytest.mark.stores(*STORES)

# Texts in which a wrong rule for quoting or escaping shows.
TEXTS = ["plain", "", " ", "a,b", "a;b|c", 'say "hi"', '"', '""', "'", "a\nb", "a\r\nb", "\r", "tab\there", "back\\slash", "\\n", "\\u0041",
         "\x01\x1f\x7f", "=1+1", "+1", "-1", "@x", "é", "Żaneta", "😀", "\ufeffa", "\u2028", "null", "[1,2]", "{}", "x" * 5000]
ALL = "WITH t(n, v) AS (VALUES {}) SELECT n AS \"n\", v AS \"v\" FROM t ORDER BY n"


def text_rows():
    return ", ".join(f"({i}, '" + text.replace("'", "''") + "')" for i, text in enumerate(TEXTS))


def get(client, reference, form, headers=None, **query):
    return client.get("/Report", headers, params={"reference": reference, "format": form, **query})


def whole(client, reference, form, **query):
    """The body, which must be one."""
    answer = get(client, reference, form, **query)
    assert answer.status_code == 200, answer.text
    return answer.content.decode()


def read_csv(text, delimiter=","):
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


def elements(client, reference):
    """The text of each element of results, exactly as GET /Report prints it, with the data around it."""
    text = client.result(reference).content.decode()
    at = text.index('"results":[') + len('"results":[')
    decoder, found = json.JSONDecoder(), []
    while text[at] != "]":
        at += text[at] == ","
        _, end = decoder.raw_decode(text, at)
        found.append(text[at:end])
        at = end
    return found


def csv_field(value):
    return "" if value is None else value if isinstance(value, str) else str(value) if isinstance(value, Decimal) else json.dumps(value)


def flatten(rows, columns, field=csv_field):
    """What CSV has of the elements: a line for each of the deepest, and one for those that have none."""
    arrays = columns[-1].split("[].")[:-1]

    def take(element, level):
        own = [name.split("[].")[-1].split(".") for name in columns if name.count("[].") == level]
        fields = [field(element[path[0]] if len(path) == 1 else element[path[0]][path[1]]) for path in own]
        if level == len(arrays):
            yield fields
            return
        below = sum(name.count("[].") > level for name in columns)
        if not element[arrays[level]]:
            yield fields + [field(None)] * below
        for child in element[arrays[level]]:
            for rest in take(child, level + 1):
                yield fields + rest

    return [[name.replace("[]", "") for name in columns]] + [line for row in rows for line in take(row, 0)]


NESTED = {
    "flat": ["id", "name", "amount"],
    "objects": ["id", "owner.name", "owner.city", "amount"],
    "one": ["id", "accounts[].number", "accounts[].balance"],
    "two": ["id", "accounts[].number", "accounts[].moves[].at", "accounts[].moves[].sum.value"],
    "bare": ["accounts[].moves[].at"],
}


def nested_sql(columns):
    """Forty rows, some of them without an array, some with an empty one in theirs."""
    values = []
    for name in columns:
        level, leaf = name.count("[]."), name.split(".")[-1]
        value = "i / 8" if leaf == "id" else f"'{leaf} ' || (i / {8 >> (2 * level)})" if leaf in ("name", "city", "number") else "i * 100"
        gone = {0: "0", 1: "(i / 8) % 3 = 1", 2: "(i / 8) % 3 = 1 OR (i / 2) % 4 = 3"}[level]
        values.append(f'CASE WHEN {gone} THEN NULL ELSE {value} END AS "{name}"')
    return ("-- results\nWITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 39)\nSELECT "
            + ", ".join(values).replace("CASE WHEN 0 THEN NULL ELSE ", "CASE WHEN 1 = 0 THEN NULL ELSE ") + " FROM n ORDER BY i\n")


def nested_server(new_server):
    """A client of a server that has a report for each of NESTED, and Texts."""
    server = new_server(row_results="16K")
    for name, columns in NESTED.items():
        header = "".join(f"-- column: {column} scaled(2)\n" for column in columns if column.split(".")[-1] in ("amount", "balance", "value"))
        (server.reports / f"{name}.sql").write_text(f"-- report: {name}\n-- source: data\n{header}{nested_sql(columns)}")
    sections = "-- results\n" + ALL.format(text_rows()) + ";\n-- set: more\nSELECT 1 AS \"one\";\n-- summary\nSELECT 2 AS \"two\"\n"
    (server.reports / "Texts.sql").write_text("-- report: Texts\n-- source: data\n-- column: v \"The \"\"value\"\"\"\n" + sections)
    server.start()
    return server.client("alice")


@pytest.fixture
def forms(new_server):
    return nested_server(new_server)


def test_every_nesting_is_the_lines_that_the_json_says(forms):
    for name, columns in NESTED.items():
        reference = forms.complete(name)
        found = elements(forms, reference)
        assert len(found) > 1 or name == "bare"
        assert whole(forms, reference, "ndjson") == "".join(line + "\n" for line in found)
        rows = [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in found]
        assert read_csv(whole(forms, reference, "csv")) == flatten(rows, columns), name


def test_texts_come_back_as_they_were(forms):
    reference = forms.complete("Texts")
    expected = [["n", "v"]] + [[str(i), text] for i, text in enumerate(TEXTS)]
    text = whole(forms, reference, "csv")
    assert read_csv(text) == expected
    assert text.startswith("n,v\r\n") and '\r\n1,""\r\n' in text
    for delimiter, given in ((";", ";"), ("|", "|"), ("\t", "tab"), ("\t", "\t"), (",", ",")):
        assert read_csv(whole(forms, reference, "csv", delimiter=given), delimiter) == expected
    assert whole(forms, reference, "csv", bom="1") == "\ufeff" + text
    assert read_csv(whole(forms, reference, "csv", labels="1"))[0] == ["n", 'The "value"']
    safe = read_csv(whole(forms, reference, "csv", formulas="text"))[1:]
    assert [row[1] for row in safe] == ["'" + text if text[:1] in ("=", "+", "-", "@") else text for text in TEXTS]
    lines = whole(forms, reference, "ndjson").split("\n")
    assert lines == elements(forms, reference) + [""]


# Many blocks of rows whose texts look like the place where one ends and the next begins.
BORDERS = """-- results
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999)
SELECT i / {each} AS "id", '},{"id":' || i || substr('{}[]\\"},{"', 1 + i % 10) AS "{array}text", '},{' AS "{array}t" FROM n ORDER BY i
"""


@pytest.mark.stores("sqlite")
@pytest.mark.parametrize("config", [{}, {"spool_encryption": "on"}, {"result_compression": "zstd"}], ids=str)
def test_no_text_is_taken_for_the_end_of_a_line(new_server, config):
    server = new_server(**config)
    for name, array, each in (("flat", "", 1), ("nested", "a[].", 7), ("alike", "a[].id.", 7)):
        sql = BORDERS.replace("{array}", array).replace("{each}", str(each))
        (server.reports / f"{name}.sql").write_text(f"-- report: {name}\n-- source: data\n{sql}")
    server.start()
    client = server.client("alice")
    for name in ("flat", "nested", "alike"):
        reference = client.complete(name)
        lines = elements(client, reference)
        assert len(lines) == (20_000 if name == "flat" else 2858)
        assert whole(client, reference, "ndjson") == "".join(line + "\n" for line in lines), name


def test_a_result_without_rows_is_a_header_row_and_no_line(alice):
    reference = alice.complete("Quick", ProductID="3")
    assert whole(alice, reference, "csv") == "itemID,owner,amount,day\r\n"
    assert whole(alice, reference, "ndjson") == ""


@pytest.mark.stores("sqlite")
def test_values_are_those_of_the_databases_shells(postgres, tmp_path):
    """Every type of both engines: as sqlite3 -csv and psql's COPY print them, where JSON prints them alike."""
    common = f"SELECT n, v, CAST(NULL AS varchar) AS nothing FROM (VALUES {text_rows()}) AS t(n, v) ORDER BY n"
    typed = ("SELECT 9223372036854775807 AS big, CAST(12345678901234567890.123456789 AS numeric) AS exact, CAST(0.1 AS float8) AS real, DATE '2024-02-29' AS day,"
             " CAST('{\"a\": [1.50, \"x,\\\"y\"], \"b\": null}' AS jsonb) AS j, CAST('{\"a\":\n 1}' AS json) AS verbatim,"
             " CAST('\"te,xt\"' AS jsonb) AS jtext, CAST('-1.0' AS jsonb) AS jnumber, CAST(NULL AS date) AS none")
    engines = Engines(tmp_path, postgres, "forms")
    try:
        def rows_of(server, sql):
            (server.reports / "Told.sql").write_text(f"-- report: Told\n-- source: data\n-- results\n{sql}\n")
            server.reload()
            client = server.client_of("alice")
            return read_csv(whole(client, client.complete("Told"), "csv"))

        def psql(sql):
            command = f"COPY ({sql}) TO STDOUT WITH (FORMAT csv, HEADER)"
            done = subprocess.run(["psql", "-Xq", "-d", postgres.url(engines.database), "-c", command], capture_output=True, check=True)
            return read_csv(done.stdout.decode())

        sqlite, server = engines.servers
        assert rows_of(server, common) == psql(common)
        assert rows_of(server, typed) == psql(typed)
        flat = f"WITH t(n, v) AS (VALUES {text_rows()}) SELECT n, v, 9223372036854775807 AS big, 0.1 AS real, NULL AS none FROM t"
        shell = subprocess.run(["sqlite3", "-csv", "-header", ":memory:", flat], capture_output=True, check=True).stdout.decode()
        assert rows_of(sqlite, flat) == read_csv(shell)
    finally:
        engines.close()


# ---- choosing ----

@pytest.mark.parametrize("accept, kind", [
    ("text/csv", "text/csv; charset=utf-8"), ("application/x-ndjson", "application/x-ndjson"), ("*/*", "application/json"),
    ("application/json", "application/json"), ("application/*", "application/json"), ("text/*", "text/csv; charset=utf-8"),
    ("text/csv, */*", "text/csv; charset=utf-8"), ("text/csv;q=0.5, application/json", "application/json"),
    ("text/csv, application/json;q=0.9", "text/csv; charset=utf-8"), ("text/csv;q=0, */*", "application/json"),
    ("application/json, text/csv", "application/json"), ("text/html, */*;q=0.1", "application/json"),
    ("application/json;q=0, */*;q=0.5", "application/x-ndjson"), ("application/problem+json", "application/json"),
    ("text/csv, application/problem+json", "text/csv; charset=utf-8")])
def test_accept_chooses_the_form(alice, accept, kind):
    reference = alice.complete("Quick", ProductID="1")
    answer = alice.result(reference, {"Accept": accept})
    assert answer.status_code == 200 and answer.headers["Content-Type"] == kind
    assert answer.headers["Vary"] == "Accept, Accept-Encoding"


@pytest.mark.stores("sqlite")
def test_a_form_that_is_not_there_is_406(alice):
    reference = alice.complete("Quick", ProductID="1")
    for form in ("pdf", ""):
        failed(get(alice, reference, form), 406, "json, ndjson, csv")
    for accept in ("text/html", "application/json;q=0, text/html", "image/*"):
        failed(alice.result(reference, {"Accept": accept}), 406, "application/json", "text/csv")
    answer = get(alice, reference, "pdf", {"Accept": "application/problem+json"})
    assert answer.status_code == 406 and answer.json()["status"] == 406
    assert get(alice, reference, "csv", {"Accept": "text/html"}).status_code == 200  # format= wins
    assert get(alice, reference, "CSV", {"Accept": "application/json"}).headers["Content-Type"].startswith("text/csv")


@pytest.mark.stores("sqlite")
@pytest.mark.parametrize("query, words", [
    ({"labels": "yes"}, "labels must be 1 or 0"), ({"bom": ""}, "bom must be 1 or 0"), ({"delimiter": "x"}, "delimiter must be"),
    ({"delimiter": ""}, "delimiter must be"), ({"formulas": "1"}, "formulas must be text"), ({"download": "2"}, "download must be 1 or 0"),
    ({"format": "ndjson", "delimiter": ";"}, "delimiter is for csv"), ({"format": "json", "labels": "1"}, "labels is for csv or xlsx"),
    ({"format": ["csv", "csv"]}, "occurs twice"), ({"bom": ["1", "1"]}, "occurs twice")])
def test_a_bad_option_is_400(alice, query, words):
    reference = alice.complete("Quick", ProductID="1")
    failed(alice.get("/Report", params={"reference": reference, "format": "csv", **query}), 400, words)


@pytest.mark.stores("sqlite")
def test_there_is_no_form_of_what_is_not_complete(alice):
    refused(get(alice, "0190a5b2-7c1e-7000-8000-3f2a1b4c5d6e", "csv"), "Unknown reference")
    reference = alice.order("Endless")
    alice.wait_for(reference, "processing")
    refused(get(alice, reference, "csv"), "not complete")


# ---- headers ----

def test_the_headers_of_a_converted_result(alice):
    reference = alice.complete("Quick", ProductID="1")
    plain, made = alice.result(reference), get(alice, reference, "csv", {"Range": "bytes=0-1"})
    day = plain.json()["data"]["generatedDate"][:10]
    assert made.status_code == 200
    assert made.headers["Accept-Ranges"] == "none" and made.headers["Cache-Control"] == "no-store, no-transform"
    assert made.headers["Content-Disposition"] == f'attachment; filename="Quick-{day}.csv"'
    for name in ("Last-Modified", "Expires"):
        assert made.headers[name] == plain.headers[name]
    for name in ("Content-Digest", "Repr-Digest", "Content-Length", "Content-Range"):
        assert name not in made.headers
    head = alice.call("HEAD", "/Report", params={"reference": reference, "format": "csv"})
    assert head.status_code == 200 and head.content == b""
    for name in ("ETag", "Content-Type", "Accept-Ranges", "Content-Disposition", "Vary"):
        assert head.headers[name] == made.headers[name]


def test_a_download_of_the_json_is_named_too(alice):
    reference = alice.complete("Quick", ProductID="1")
    answer = get(alice, reference, "json", download="1")
    day = answer.json()["data"]["generatedDate"][:10]
    assert answer.headers["Content-Disposition"] == f'attachment; filename="Quick-{day}.json"'
    assert answer.headers["Accept-Ranges"] == "bytes" and "Content-Digest" in answer.headers
    part = get(alice, reference, "json", {"Range": "bytes=5-9"}, download="1")
    assert part.status_code == 206 and part.content == answer.content[5:10]
    assert part.headers["Content-Disposition"] == answer.headers["Content-Disposition"]
    assert "Content-Disposition" not in alice.result(reference).headers


def test_each_form_has_a_weak_tag_of_its_own(alice):
    reference = alice.complete("Quick", ProductID="1")
    queries = [{}, {"bom": "1"}, {"labels": "1"}, {"formulas": "text"}, {"delimiter": ";"}, {"delimiter": "tab"}, {"delimiter": "|"},
               {"bom": "1", "labels": "1"}]
    tags = [get(alice, reference, "csv", **query).headers["ETag"] for query in queries]
    tags += [get(alice, reference, "ndjson").headers["ETag"]]
    assert len(set(tags)) == len(tags) and all(re.fullmatch(r'W/"[0-9a-f]{64}-[-a-z0-9]+"', tag) for tag in tags)
    assert alice.result(reference).headers["ETag"] not in (tag[2:] for tag in tags)
    for query, tag in zip(queries, tags):
        kept = get(alice, reference, "csv", {"If-None-Match": tag}, **query)
        assert kept.status_code == 304 and kept.headers["ETag"] == tag and kept.headers["Vary"] == "Accept, Accept-Encoding"
        assert get(alice, reference, "csv", {"If-None-Match": tag[2:]}, **query).status_code == 304
        assert get(alice, reference, "ndjson", {"If-None-Match": tag}).status_code == 200


@pytest.mark.stores("sqlite")
def test_nothing_follows_the_headers_of_a_head(server, alice):
    reference = alice.complete("Quick", ProductID="1")
    request = (f"HEAD /Report?reference={reference}&format=csv HTTP/1.1\r\nHost: x\r\nVersion: 2.0\r\n"
               f"Authorization: {alice.token}\r\nConnection: close\r\n\r\n")
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\n") and answer.count(b"\r\n\r\n") == 1


@pytest.mark.stores("sqlite")
def test_a_client_of_http_1_0_gets_it_without_chunks(alice):
    reference = alice.complete("Big", Rows="20000")
    host, port = alice.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(f"GET /Report?reference={reference}&format=csv HTTP/1.0\r\nVersion: 2.0\r\n"
                           f"Authorization: {alice.token}\r\n\r\n".encode())
        got = b""
        while chunk := connection.recv(65536):
            got += chunk
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"ransfer-Encoding" not in head
    assert body.decode() == whole(alice, reference, "csv")


# ---- ends ----

class SlowForm:
    """Has asked for a form of a result, and reads it slowly."""

    def __init__(self, client, reference, form, header="", version="1.1"):
        host, port = client.url.removeprefix("http://").split(":")
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(60)
        self.socket.connect((host, int(port)))
        self.socket.sendall(f"GET /Report?reference={reference}&format={form} HTTP/{version}\r\nHost: x\r\nVersion: 2.0\r\n"
                            f"{header}Authorization: {client.token}\r\n\r\n".encode())
        self.got = b""

    @classmethod
    def begin(cls, client, reference, form, header=""):
        """One that has come, and reads nothing more for now. None: there was no place for it."""
        slow = cls(client, reference, form, header)
        slow.got = slow.socket.recv(12)
        if slow.got == b"HTTP/1.1 200":
            return slow
        slow.socket.close()
        assert slow.got == b"HTTP/1.1 503", slow.got
        return None

    def more(self):
        chunk = self.socket.recv(65536)
        assert chunk, "it has come to its end"
        self.got += chunk

    def rest(self):
        """What still comes until the connection breaks; False with it: it was closed in order."""
        try:
            while chunk := self.socket.recv(65536):
                self.got += chunk
            return self.got, False
        except ConnectionResetError:
            return self.got, True


def ends_with_a_delete(server, client, reference, slow):
    """A download; nothing of the report is left by then."""
    assert Client(client.url, client.token).delete(reference).json()["result"] is True
    assert server.files_of(reference) == []
    got, broken = slow.rest()
    assert broken and not got.endswith(b"0\r\n\r\n")
    assert "http.result" not in server.log_text()


def ends_with_the_purge(server, disk, clock, report, start):
    """A download that start(client, reference) begins; the disk has its room back by then."""
    client = server.client("alice")
    before = free_bytes(disk)
    reference = client.complete(report[0], **report[1])
    slow = start(client, reference)
    clock.jump(DAY_MS + 1000)
    server.await_log(f"report.deleted reference={reference}")
    assert free_bytes(disk) == before
    assert slow.rest()[1]


def fill_conversions(client, reference, slow):
    """No conversion is free, though the server gives up a client that reads nothing for a minute."""
    while one := SlowForm.begin(client, reference, "ndjson"):
        slow.append(one)
    return True


def refusal_when_full(client, reference, slow):
    def not_converted():
        answer = get(client, reference, "csv")
        return [answer] if answer.status_code != 200 else None  # an error counts as false

    (answer,) = poll(lambda: fill_conversions(client, reference, slow) and not_converted(), what="a 503")
    return answer


@pytest.mark.parametrize("form", ["csv", "ndjson", "xlsx"])
def test_a_delete_ends_a_conversion_at_once(make_server, form):
    server = make_server(spool_encryption="on" if form == "csv" else "off")
    client = server.client("alice")
    reference = client.complete("Big", Rows="300000")
    ends_with_a_delete(server, client, reference, SlowForm.begin(client, reference, form))


@pytest.mark.stores("sqlite")
@pytest.mark.parametrize("form", ["csv", "ndjson", "xlsx"])
def test_the_purge_ends_a_conversion_and_frees_the_disk(make_server, clock, tmp_path, form):
    with small_disk(tmp_path / "disk") as disk:
        server = make_server(spool=disk / "spool")
        ends_with_the_purge(server, disk, clock, ("Big", {"Rows": "300000"}), lambda client, reference: SlowForm.begin(client, reference, form))


def test_a_stop_does_not_wait_for_a_slow_conversion(make_server):
    server = make_server()
    client = server.client("alice")
    slow = SlowForm.begin(client, client.complete("Big", Rows="300000"), "csv")
    assert server.stop() == 0
    got, broken = slow.rest()
    assert broken and not got.endswith(b"0\r\n\r\n")


def test_clients_that_hang_up_leave_nothing_behind(make_server):
    """At most 16 results are converted for a user at the same time, so one that is left over shows."""
    server = make_server()
    client = server.client("alice")
    reference = client.complete("Big", Rows="300000")
    for _ in range(70):
        slow = poll(lambda: SlowForm.begin(client, reference, "csv"), what="a place for another one")
        slow.socket.close()
    assert len(whole(client, reference, "csv").splitlines()) == 300001
    slow = []
    refused_one = refusal_when_full(client, reference, slow)
    failed(refused_one, 503, "Too many results")
    assert int(refused_one.headers["Retry-After"]) > 0
    assert client.result(reference).status_code == 200  # as it is stored
    slow.pop().socket.close()
    poll(lambda: get(client, reference, "csv").status_code == 200, what="a place that has become free")
    for one in slow:
        one.socket.close()


@pytest.mark.stores("sqlite")
def test_one_user_cannot_take_all_conversions_and_they_no_window(new_server):
    server = new_server()
    others = ["bob", "carol", "dave", "erin"]
    for name in others:
        server.add_user(name)
    server.start()
    clients = [server.client(name) for name in ["alice", *others]]
    references = [client.complete("Big", Rows="300000") for client in clients]
    slow = []
    for client, reference, words in zip(clients, references, ["for you: at most 16"] * 4 + ["are being converted. Try"]):
        failed(refusal_when_full(client, reference, slow), 503, words)
        assert client.get("/Report/Rows", params={"reference": reference}).status_code == 200
    for one in slow:
        one.socket.close()


@pytest.mark.stores("sqlite")
def test_a_damaged_result_breaks_the_connection_off(make_server):
    server = make_server()
    client = server.client("alice")
    reference = client.complete("Big", Rows="300000")
    path = server.result_file(reference)
    content = path.read_bytes()
    damage(path, len(content) // 2, b"\0" * 64)
    for form in ("csv", "ndjson"):
        with pytest.raises(Exception, match="IncompleteRead|broken|ended prematurely"):
            get(client, reference, form)
        assert SlowForm(client, reference, form, version="1.0").rest()[1]  # an orderly end is all that says it is whole
    server.await_log("not what was written")
    path.write_bytes(content[:-1] + b"x")  # its footer: known before the first byte
    assert get(client, reference, "csv").status_code == 500
    server.await_log("http.error")


@pytest.mark.stores("sqlite")
def test_a_result_of_an_older_version_says_to_submit_again(make_server):
    server = make_server()
    client = server.client("alice")
    reference = client.complete("Quick", ProductID="1")
    path = server.result_file(reference)
    assert server.stop() == 0
    (size,) = server.store.sql("SELECT bytes FROM report")
    path.write_bytes(path.read_bytes()[: int(size)])
    server.store.sql("UPDATE report SET footer = 0")
    server.start()
    client = server.client("alice")
    assert client.result(reference).status_code == 200
    refused(get(client, reference, "csv"), "submit the report again")
