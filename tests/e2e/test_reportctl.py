"""reportctl against the real server."""

import fcntl
import json
import os
import pty
import re
import select

import signal
import stat
import struct
import subprocess
import termios

import pytest
import requests

from harness import GUID, PASSWORD, PATIENCE, REPORTCTL, Client, poll

UNKNOWN = "0190a5b2-7c1e-7000-8000-3f2a1b4c5d6e"


class Ctl:
    """reportctl of one user, in a home of its own."""

    def __init__(self, home, url, user):
        self.home = home
        self.env = {"HOME": str(home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TERM": "xterm"}
        self.login = lambda password=PASSWORD: self("login", "--server", url, "-u", user, line=password)

    def start(self, *words, **options):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen([REPORTCTL, *words], cwd=self.home, env=self.env, text=True, **pipes)

    def __call__(self, *words, line=""):
        """Run it to its end: (exit status, standard output, standard error)."""
        process = self.start(*words)
        out, err = process.communicate(line + "\n", timeout=PATIENCE)
        return process.returncode, out, err

    def good(self, *words):
        status, out, err = self(*words)
        assert status == 0, err
        return out.strip()


@pytest.fixture
def ctl(server, alice, tmp_path):
    """alice, logged in; her reports are deleted afterwards."""
    ctl = Ctl(tmp_path, server.url, "alice")
    assert ctl.login()[0] == 0
    return ctl


def on_terminal(ctl, *words, answers=(), columns=0):
    """Run it with all three descriptors on a terminal: (exit status, what stood there)."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = ctl.start(*words, stdin=its, stdout=its, stderr=its, start_new_session=True)
    os.close(its)
    seen, answers = "", list(answers)
    while select.select([ours], [], [], PATIENCE)[0]:
        try:
            data = os.read(ours, 65536)
        except OSError:
            break
        if not data:
            break
        seen += data.decode()
        if answers and answers[0][0] in seen:
            os.write(ours, (answers.pop(0)[1] + "\n").encode())
    os.close(ours)
    return process.wait(PATIENCE), seen


def test_a_report_from_submit_to_delete(ctl):
    reference = ctl.good("submit", "Quick", "ProductID=1", "Note=a=b")
    assert GUID.fullmatch(reference)
    assert ctl.good("wait", reference) == "complete"
    assert ctl.good("status", reference.upper()) == "complete"
    result = json.loads(ctl.good("get", reference))
    assert result["data"]["summary"]["note"] == "a=b"
    assert ctl.good("delete", reference) == "deleted"
    assert ctl("status", reference)[0] == 7


def test_a_deletion_saves_its_receipt(ctl, server, alice):
    reference = alice.complete("Quick", ProductID="1")
    assert ctl.good("delete", reference, "--receipt", "gone.jws") == "deleted"
    receipt = (ctl.home / "gone.jws").read_text().strip()
    checked = server.run("receipt", "-c", "reportd.conf", receipt)
    assert checked.returncode == 0 and json.loads(checked.stdout)["reference"] == reference
    other = ctl.good("delete", alice.complete("Quick", ProductID="1"), "--receipt", "-")
    assert server.run("receipt", "-c", "reportd.conf", stdin=other).returncode == 0


def test_without_room_for_the_receipt_nothing_is_deleted(ctl, alice):
    reference = alice.complete("Quick", ProductID="1")
    status, _, err = ctl("delete", reference, "--receipt", "no/such/folder/gone.jws")
    assert status == 6 and "nothing was deleted" in err
    assert alice.state(reference) == "complete"
    assert ctl("delete", UNKNOWN, "--receipt", "gone.jws")[0] == 7
    assert not (ctl.home / "gone.jws").exists()


def test_all_that_match_are_deleted_once_it_is_confirmed(ctl, server, alice):
    for _ in range(3):
        alice.complete("Quick", ProductID="1")
    kept = alice.complete("Nested")
    match = ("--state", "complete", "--name", "Quick", "--before", "9999-12-31")
    assert ctl.good("delete", *match, "--dry-run") == "3 would be deleted"
    status, _, err = ctl("delete", *match)  # no terminal to ask on
    assert status == 2 and "3 reports would be deleted" in err and "--yes" in err
    status, seen = on_terminal(ctl, "delete", *match, answers=[("[y/N]", "n")])
    assert status == 130 and "Delete 3 reports?" in seen
    assert len(alice.references()) == 4
    status, seen = on_terminal(ctl, "delete", *match, "--receipt", "gone.jws", answers=[("[y/N]", "y")])
    assert status == 0 and "3 deleted" in seen
    receipt = (ctl.home / "gone.jws").read_text().strip()
    checked = server.run("receipt", "-c", "reportd.conf", receipt)
    assert json.loads(checked.stdout)["deleted"]["complete"] == 3
    assert alice.references() == [kept]
    assert ctl.good("delete", "--name", "Nested", "--yes") == "1 deleted"
    assert alice.references() == []


@pytest.mark.parametrize("words, status", [
    (["delete"], 2), (["delete", UNKNOWN, "--state", "complete"], 2), (["delete", "--yes"], 2),
    (["delete", UNKNOWN, "--dry-run"], 2), (["delete", "--state", "done", "--yes"], 1),
])
def test_a_deletion_of_nothing_in_particular_is_refused(ctl, alice, words, status):
    reference = alice.complete("Quick", ProductID="1")
    assert ctl(*words)[0] == status
    assert alice.state(reference) == "complete"


def test_get_writes_the_file_the_server_has(ctl, alice):
    reference = alice.complete("Big", Rows="20000")
    ctl.good("get", reference, "-o", "big.json")
    assert (ctl.home / "big.json").read_bytes() == alice.result(reference).content
    assert sorted(path.name for path in ctl.home.iterdir()) == [".config", "big.json"]


@pytest.mark.parametrize("form", ["json", "ndjson", "csv", "xlsx"])
def test_get_in_each_format_writes_what_the_server_makes(ctl, alice, form):
    reference = alice.complete("Labelled")
    ctl.good("get", reference, "--format", form, "-o", "result")
    expected = alice.get("/Report", params={"reference": reference, "format": form}).content
    assert (ctl.home / "result").read_bytes() == expected


def test_columns_are_named_by_their_labels_if_asked(ctl, alice):
    out = ctl.good("run", "Labelled", "--format", "csv", "--labels")
    assert "Closing balance" in out.splitlines()[0]
    assert alice.references() == []


def test_what_comes_compressed_from_another_machine_is_the_same(server, ctl, alice):
    elsewhere = server.url.replace("127.0.0.1", "0.0.0.0")  # which counts as one
    assert ctl("login", "--server", elsewhere, "-u", "alice", line=PASSWORD)[0] == 0
    reference = alice.complete("Big", Rows="50000")
    for form in ("json", "ndjson", "csv", "xlsx"):
        ctl.good("get", reference, "--format", form, "-o", "result")
        assert (ctl.home / "result").read_bytes() == alice.get("/Report", params={"reference": reference, "format": form}).content


@pytest.mark.parametrize("words", [["get", UNKNOWN], ["run", "Quick", "ProductID=1"]])
def test_an_unknown_format_is_refused_before_anything_is_asked(ctl, alice, words):
    status, out, err = ctl(*words, "--format", "pdf")
    assert (status, out) == (2, "") and "'pdf' is not a format; write json, ndjson, csv or xlsx" in err
    assert alice.references() == []


def test_what_is_no_plain_file_is_written_to_and_stays(ctl, alice):
    fifo = ctl.home / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE, text=True) as reader:
        ctl.good("run", "Quick", "ProductID=1", "-o", "fifo")
        assert json.loads(reader.communicate(timeout=PATIENCE)[0])["data"]["results"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert alice.references() == []


def test_a_file_that_is_replaced_keeps_its_mode_and_a_link_to_it_stays_one(ctl):
    target, link = ctl.home / "target.json", ctl.home / "link.json"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to("target.json")
    for name in ("link.json", "target.json"):
        ctl.good("run", "Quick", "ProductID=1", "-o", name)
        assert link.is_symlink() and json.loads(target.read_text())["data"]["results"]
        assert stat.S_IMODE(target.stat().st_mode) == 0o640
        target.write_text("old")


def test_run_leaves_the_file_and_no_report(ctl, alice):
    ctl.good("run", "Quick", "ProductID=2", "-o", "quick.json")
    assert json.loads((ctl.home / "quick.json").read_text())["data"]["summary"]["count"] == 1
    assert alice.references() == []


def test_run_says_why_a_report_failed_and_leaves_none(ctl, alice):
    status, out, err = ctl("run", "Quick", "ProductID=99")
    assert (status, out) == (1, "")
    assert "Product 99 does not exist." in err
    assert alice.references() == []


def test_interrupting_run_deletes_the_report(ctl, alice):
    process = ctl.start("run", "Endless")
    poll(alice.references)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert alice.references() == []


def test_interrupting_wait_leaves_the_report_alone(ctl, alice):
    reference = alice.order("Endless")
    alice.wait_for(reference, "processing")
    process = ctl.start("wait", reference)
    assert process.stderr.readline() == "processing, 0 rows\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert alice.references() == [reference]


def test_submit_and_wait_in_one(ctl):
    assert GUID.fullmatch(ctl.good("submit", "--wait", "Quick", "ProductID=1"))
    status, out, err = ctl("submit", "--wait", "Hasty")
    assert status == 1 and GUID.fullmatch(out.strip()) and "failed" in err


def test_the_same_key_makes_one_report(ctl, alice):
    first = ctl.good("submit", "Quick", "ProductID=1", "--key", "monday")
    assert ctl.good("submit", "Quick", "ProductID=1", "--key", "monday") == first
    assert alice.references() == [first]
    assert ctl("submit", "Quick", "ProductID=2", "--key", "monday")[0] == 1


def test_types_shows_the_parameters(ctl):
    types = ctl.good("types")
    assert "Quick\n    The items of a product.\n" in types
    assert "    ProductID (integer, required)  The product to report on\n" in types
    assert "    Colour (enum): Red | Green | Blue  What to paint it" in types
    assert "    Price (decimal, default 12.50)\n" in types


EVERYTHING = """-- report: Everything
-- description: Ten words of which one is Ünïcödé stand here, and further ones on the next line.
-- source: data
-- parameter: Low integer min 1
-- parameter: High integer default 7 max 9
-- parameter: Both date required min 2024-01-01 max 2024-12-31 "The day"
-- parameter: Code string matching "[A-Z]{2}"
-- parameter: Item integer
-- column: amount decimal(2) "Amount paid" AUD
-- column: plain decimal(2)
-- values: Item
SELECT 3, 'the third' UNION ALL SELECT 4, NULL ORDER BY 1
-- results
SELECT 1 AS "amount", 2 AS "plain", :Low AS "a", :High AS "b", :Both AS "c", :Code AS "d", :Item AS "e"
"""


def test_types_tells_all_that_a_caller_needs_in_80_columns(make_server, tmp_path):
    server = make_server(workers=1)
    (server.reports / "Everything.sql").write_text(EVERYTHING)
    server.reload()
    ctl = Ctl(tmp_path, server.url, "alice")
    assert ctl.login()[0] == 0
    types = ctl.good("types")
    assert """Everything
    Ten words of which one is Ünïcödé stand here, and further ones on the next
        line.
    Low (integer, at least 1)
    High (integer, at most 9, default 7)
    Both (date, required, from 2024-01-01 to 2024-12-31)  The day
    Code (string, matching [A-Z]{2})
    Item (integer): reportctl types Everything.Item
    columns: amount "Amount paid" in AUD
""" in types + "\n"
    assert ctl.good("types", "Everything.Item") == "3  the third\n4"
    assert json.loads(ctl.good("types", "Everything.Item", "--json"))["data"][1] == {"value": "4", "label": "4"}
    assert ctl("types", "Everything.Low")[0] == 1
    assert ctl("types", "Everything")[0] == 2


TOLD = r"""-- report: Told
-- source: data
-- column: exact decimal(2) "Amount"
-- column: more json
-- column: flag boolean
-- results
SELECT n AS "n", exact AS "exact", text AS "who.text", word AS "who.word", more AS "more", flag AS "flag", item AS "items[].id"
FROM (SELECT 1 AS n, '12345678901234567890.10' AS exact, 'a' || char(10) || char(27) || '[31mb' AS text, 'Ünï' AS word, '{"k": [1.50, "x"]}' AS more, 1 AS flag, 7 AS item
      UNION ALL SELECT 1, '12345678901234567890.10', 'a' || char(10) || char(27) || '[31mb', 'Ünï', '{"k": [1.50, "x"]}', 1, 8
      UNION ALL SELECT 22, '-0.5', '日本', '', NULL, 0, 9 UNION ALL SELECT 333, NULL, NULL, NULL, '"text"', NULL, NULL) ORDER BY n, item
"""
TABLE = """\
  n                    exact  who.text  who.word  more                flag   items
  1  12345678901234567890.10  a  [31mb  Ünï       {"k": [1.50, "x"]}  true   [2 rows]
 22                    -0.50  日本                NULL                false  [1 row]
333                     NULL  NULL      NULL      "text"              NULL   [0 rows]
"""


@pytest.fixture
def told(make_server, tmp_path):
    """A user, and the reference of a report with every kind of value."""
    server = make_server(workers=1)
    (server.reports / "Told.sql").write_text(TOLD)
    server.reload()
    ctl = Ctl(tmp_path, server.url, "alice")
    assert ctl.login()[0] == 0
    ctl.client = server.client("alice")
    return ctl, ctl.client.complete("Told")


def test_rows_are_a_table_that_alters_no_number(told):
    ctl, reference = told
    assert ctl("rows", reference)[1:] == (TABLE, "3 of 3 rows\n")
    assert ctl.good("rows", reference, "--labels").splitlines()[0].split() == ["n", "Amount", *TABLE.splitlines()[0].split()[2:]]
    assert ctl("rows", reference, "--from", "1", "--count", "1")[1:] == (  # as wide as these are
        " n  exact  who.text  who.word  more  flag   items\n22  -0.50  日本                NULL  false  [1 row]\n", "1 of 3 rows\n")
    assert ctl("rows", reference, "--from", "3")[1:] == ("n  exact  who.text  who.word  more  flag  items\n", "0 of 3 rows\n")
    assert ctl("rows", reference, "--from", str(2**63 - 1))[2] == "0 of 3 rows\n"
    want = ctl.client.get("/Report/Rows", params={"reference": reference}).json()
    assert json.loads(ctl.good("rows", reference, "--json")) == want


def test_rows_on_a_terminal_fit_its_lines(told):
    ctl, reference = told
    status, seen = on_terminal(ctl, "rows", reference, columns=40)
    lines = seen.split("\r\n")
    assert status == 0 and lines[0] == TABLE.splitlines()[0][:39] + "…" and lines[2].startswith(" 22                    -0.50  日本")
    assert max(map(len, lines)) == 40 and lines[4:] == ["3 of 3 rows", ""]
    assert on_terminal(ctl, "rows", reference, columns=200)[1].replace("\r", "") == TABLE + "3 of 3 rows\n"


def test_more_rows_than_an_answer_has_come_in_several(ctl, alice):
    reference = alice.complete("Big", Rows="20000")
    whole = alice.result(reference).json()["data"]["results"]
    _, out, err = ctl("rows", reference, "--from", "17300", "--count", "5000")
    assert [int(line.split()[0]) for line in out.splitlines()[1:]] == [row["i"] for row in whole[17300:]]
    assert err == "2700 of 20000 rows\n"
    assert ctl("rows", reference, "--count", "1001")[1].count("\n") == 1002
    assert ctl("rows", reference)[1].count("\n") == 501
    refusal = ctl("rows", alice.order("Endless"))
    assert refusal[0] == 1 and "not complete yet" in refusal[2]


def test_a_link_is_a_url_that_needs_no_token(ctl, alice):
    reference = alice.complete("Labelled")
    for words, query in (([], {}), (["--format", "csv", "--labels"], {"format": "csv", "labels": "1"})):
        status, out, err = ctl("link", reference, *words)
        assert status == 0 and re.fullmatch(r"The link works until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\.\n", err)
        assert requests.get(out.strip(), timeout=PATIENCE).content == alice.get("/Report", params={"reference": reference, **query}).content
    assert json.loads(ctl.good("link", reference, "--json"))["data"]["url"].startswith("/Report/Link?token=")
    assert ctl("link", alice.order("Endless"))[0] == 1


def test_a_result_on_a_terminal_ends_its_line(ctl, alice):
    status, seen = on_terminal(ctl, "run", "Quick", "ProductID=1")
    assert status == 0 and seen.endswith("}\r\n"), seen
    reference = alice.complete("Quick", ProductID="1")
    assert ctl("get", reference)[1] == alice.result(reference).text  # and elsewhere nothing is added


def test_list_shows_states_and_pages(ctl, alice):
    done, endless = alice.complete("Quick", ProductID="1"), alice.order("Endless")
    lines = ctl.good("list").split("\n")
    assert lines[0].split() == ["REFERENCE", "STATE", "ROWS", "SIZE", "SUBMITTED", "REPORT"]
    assert [line.split()[0] for line in lines[1:]] == [endless, done]
    assert ctl.good("list", "--page-size", "1", "--page", "2").split("\n")[1].startswith(done)
    assert re.search(rf"{done} +complete +3 .* Quick ProductID=1 Note=none$", ctl.good("list", "--state", "complete"), re.M)
    failed = alice.order("Quick", ProductID="99", Note="a b")
    alice.finish(failed)
    assert re.search(rf"{failed} +error .* Quick ProductID=99 Note='a b': Product 99 does not exist\.$",
                     ctl.good("list", "--state", "error"), re.M)
    assert done in ctl.good("list", "--name", "Quick") and done not in ctl.good("list", "--name", "Nothing")
    assert ctl("list", "--state", "nonsense")[0] == 2
    assert ctl("list", "--page", "0")[0] == 2


def test_json_prints_what_the_server_answered(ctl, alice):
    reference = json.loads(ctl.good("--json", "submit", "Quick", "ProductID=1"))["data"]
    assert json.loads(ctl.good("wait", reference, "--json"))["data"] == "complete"
    assert json.loads(ctl.good("status", reference, "--json")) == alice.status(reference).json()
    assert json.loads(ctl.good("list", "--json")) == alice.list().json()
    assert json.loads(ctl.good("types", "--json")) == alice.get("/Report/Types").json()
    assert json.loads(ctl.good("delete", reference, "--json"))["result"] is True
    status, out, _ = ctl("status", reference, "--json")
    assert status == 7 and json.loads(out)["status"] == 404


@pytest.mark.parametrize("words, status, said", [
    (["status", UNKNOWN], 7, "Unknown reference"),
    (["get", UNKNOWN], 7, "Unknown reference"),
    (["wait", UNKNOWN], 7, "Unknown reference"),
    (["delete", UNKNOWN], 7, "Unknown reference"),
    (["rows", UNKNOWN], 7, "Unknown reference"),
    (["rows", "nonsense"], 2, "is not a reference"),
    (["rows", UNKNOWN, "--from", "-1"], 2, "'-1' is not a number from 0 on"),
    (["rows", UNKNOWN, "--count", "0"], 2, "'0' is not a number from 1 on"),
    (["rows", UNKNOWN, "--format", "csv"], 2, "no option --format"),
    (["link", UNKNOWN], 7, "Unknown reference"),
    (["link", "nonsense"], 2, "is not a reference"),
    (["link", UNKNOWN, "--format", "pdf"], 2, "'pdf' is not a format"),
    (["submit", "Nothing"], 7, "Nothing"),
    (["submit", "Quick"], 1, "ProductID"),
    (["submit", "Quick", "ProductID=x"], 1, "integer"),
    (["submit", "Quick", "ProductID"], 2, "Key=Value"),
    (["submit", "Quick", "ProductID=1", "ProductID=2"], 2, "twice"),
    (["submit"], 2, "NAME"),
    (["status", "nonsense"], 2, "is not a reference"),
    (["status", UNKNOWN, UNKNOWN], 2, "nothing to do"),
    (["status", "-o", "x", UNKNOWN], 2, "no option --output"),
    (["nonsense"], 2, "no command"),
    ([], 2, "which command"),
])
def test_refusals(ctl, words, status, said):
    got, out, err = ctl(*words)
    assert (got, out) == (status, "")
    assert said in err


def test_a_device_that_is_full_is_named(ctl, alice):
    status, _, err = ctl("get", alice.complete("Quick", ProductID="1"), "-o", "/dev/full")
    assert status == 6 and "cannot write /dev/full: No space left on device" in err


def test_a_wrong_server_is_told_before_the_password_is_asked_for(ctl):
    status, seen = on_terminal(ctl, "login", "--server", "ftp://example.org", "-u", "alice")
    assert status == 2 and "not a server URL" in seen and "password" not in seen


def test_get_of_a_report_that_runs_is_refused(ctl, alice):
    status, out, err = ctl("get", alice.order("Endless"), "-o", "out")
    assert status == 1 and out == "" and err
    assert not list(ctl.home.glob("out*"))


def test_the_limit_lists_the_reports_in_the_way(ctl, alice):
    references = [alice.order("Endless") for _ in range(10)]
    status, _, err = ctl("submit", "Endless")
    assert status == 5
    assert all(reference in err for reference in references)
    alice.delete_all()


def test_who_is_not_logged_in_is_told_how(server, tmp_path):
    ctl = Ctl(tmp_path, server.url, "alice")
    assert ctl("types")[0] == 4
    assert "reportctl login --server URL -u USER" in ctl("types")[2]
    status, _, err = ctl.login("wrong")
    assert status == 4 and err
    assert not (tmp_path / ".config").exists()


def test_after_logout_nobody_is_logged_in(ctl, server):
    (saved,) = ctl.home.rglob("credentials.json")
    token = json.loads(saved.read_text())["accessToken"]
    assert Client(server.url, token).list().status_code == 200
    ctl.good("logout")
    assert Client(server.url, token).list().status_code == 401
    assert ctl("types")[0] == 4
    ctl.good("logout")


def test_a_logout_forgets_the_tokens_of_a_session_that_is_over(ctl, server):
    (saved,) = ctl.home.rglob("credentials.json")
    assert Client(server.url, json.loads(saved.read_text())["accessToken"]).call("POST", "/User/Logout").status_code == 200
    ctl.good("logout")
    assert not saved.exists()


def test_a_server_that_is_not_there(ctl, server):
    status, _, err = Ctl(ctl.home, "http://127.0.0.1:1", "alice").login()
    assert status == 3 and "cannot reach http://127.0.0.1:1" in err
    assert ctl("types")[0] == 0


def test_login_asks_on_a_terminal_and_shows_no_password(server, tmp_path):
    ctl = Ctl(tmp_path, server.url, "alice")
    status, seen = on_terminal(ctl, "login", answers=[
        ("server: ", server.url), ("user: ", "alice"), ("password: ", PASSWORD)])
    assert status == 0, seen
    assert "logged in" in seen and PASSWORD not in seen
    assert ctl("types")[0] == 0


def test_progress_is_a_live_line_on_a_terminal(ctl, alice):
    reference = alice.complete("Big", Rows="20000")
    status, seen = on_terminal(ctl, "get", reference, "-o", "big.json")
    assert status == 0
    assert "100 %" in seen and seen.endswith("\r\033[K")


def test_every_command_explains_itself(ctl):
    commands = re.findall(r"^  ([a-z]+) +[A-Z]", ctl.good("--help"), re.M)
    assert len(commands) == 14
    for command in commands:
        assert f"usage: reportctl {command}" in ctl.good(command, "--help")
    assert ctl.good("--version").startswith("reportctl ")


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_watch_shows_the_reports_as_they_change(ctl, alice, words):
    running = alice.order("Ticker")
    alice.wait_for(running, "processing")
    process = ctl.start("watch", *words)
    try:
        assert running in process.stdout.readline()
        reference, seen = alice.order("Quick", ProductID="1"), []
        for last in ("complete", "deleted"):
            while not any(last in line for line in seen):
                line = process.stdout.readline()
                assert line, process.stderr.read()
                if reference in line:
                    seen.append(json.loads(line)["state"] if words else line)
            alice.delete(reference)  # what has not been shown by now would be dropped
        if words:
            assert list(dict.fromkeys(seen)) == ["queued", "processing", "complete", "deleted"]
        else:
            assert "queued" in seen[0] and "Quick" in seen[0] and "rows  Quick" in seen[-2]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
