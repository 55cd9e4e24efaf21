"""A crash, or a call that fails, at every step of a report's life: ARCHITECTURE.md § Invariants.

One life of a server passes every step: what a crash has left, login, submit, run, error, a worker's
death, result, delete in each state, purge, the end. Lived without a fault it notes which places it
passes; then it is lived again for each place with the fault there, until it ends or dies. After the
next start, without faults, everything that was answered must be true."""

import json
import os
import shutil
import signal
import sqlite3
import struct
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from conftest import close
from harness import PASSWORD, Client, Server, failed, poll, refused
from seams import DEATH, passings, plan

pytestmark = pytest.mark.slow
LIVES_AT_ONCE = 3
HOUR_MS = 3600 * 1000
ROWS = 3  # of product 1
KINDS = {  # what is ordered, and how it is to end
    "good": ("Quick", {"ProductID": "1"}, "complete"),
    "bad": ("Quick", {"ProductID": "99"}, "error"),
    "endless": ("Endless", {}, None),
    "one of many": ("Nested", {}, "complete"),
}


class Death(Exception):
    """The server has died of its seam."""


class Life:
    """What one client asks for, what is answered, and so what it may rely on."""

    def __init__(self, server, left, faulty=False):
        self.server = server
        self.keeps_rows = "16K" in (server.folder / "reportd.conf").read_text()
        self.faulty = faulty  # calls fail: 503 is an answer, an error is an end
        self.client = None
        self.keys = {}  # Idempotency-Key: kind, of every submit
        self.unanswered = set()  # of them
        self.accepted = {left["running"]: "good"}  # reference: kind
        self.asked_to_delete = set()
        self.many = set()  # of them, with one request
        self.deleted = {left["deleting"]}
        self.expired = left["expired"]
        self.logged_out = None  # an access token

    # -- the steps --

    def live(self):
        self.start()
        self.login()
        good, bad, one = self.order("good"), self.order("bad"), self.order("one of many")
        if self.end(good) == "complete":
            self.check_result(good)
        assert self.end(bad) == "error"
        self.end(one)
        self.refresh()
        self.logout()
        self.login()
        endless = self.order("endless")
        self.wait_for_processing(endless)
        self.delete(self.order("good"))  # queued: there is one worker
        self.delete_many({one, self.order("one of many")})
        self.lose_worker()
        self.wait_for_processing(endless)
        for reference in (endless, good, bad):
            self.delete(reference)
        self.wait_for_processing(self.order("endless"))
        self.stop()

    def live_with_dying_workers(self):
        """Shorter: a place that is passed by the first report of a worker kills them all."""
        self.start()
        self.login()
        (running,) = self.accepted
        if self.end(running) == "complete":
            self.end(self.order("good"))
        self.delete(running)
        self.stop()

    def start(self):
        try:
            self.server.start()
        except AssertionError:
            if ("start.failed" in self.server.log_text()) != self.faulty:
                raise
            raise Death from None

    def stop(self):
        status = self.server.stop()
        assert status in (0, DEATH), status
        if status == DEATH:
            raise Death

    def check_alive(self):
        if self.server.process.poll() is not None:
            self.server.check_log()
            assert self.server.process.returncode == DEATH, self.server.process.returncode
            self.server.process.stdout.close()
            self.server.process = None
            raise Death

    def call(self, method, path, headers=None, **arguments):
        """An answer; 503 is none, and only right where calls fail."""

        def ask():
            try:
                answer = self.client.call(method, path, headers, **arguments)
            except requests.RequestException:
                poll(lambda: self.check_alive(), what="the end of the server that does not answer")
                raise
            if answer.status_code == 503:
                assert self.faulty and int(answer.headers["Retry-After"]) > 0, answer.text
                return None
            return answer

        return poll(ask, what=f"{method} {path}")

    def login(self):
        self.client = Client(self.server.url)
        body = {"username": "alice", "password": PASSWORD}
        answer = self.call("POST", "/User/Login", json=body).json()
        self.client.token, self.client.refresh_token = answer["accessToken"], answer["refreshToken"]

    def refresh(self):
        answer = self.call("POST", "/User/RefreshToken", json={"refreshToken": self.client.refresh_token})
        self.client.token = answer.json()["accessToken"]

    def logout(self):
        answer = self.call("POST", "/User/Logout")
        assert answer.status_code == 200, answer.text
        self.logged_out = self.client.token

    def submit(self, key):
        name, parameters, _ = KINDS[self.keys[key]]
        body = {"reportName": name, "parameters": parameters}
        answer = self.call("POST", "/Report", {"Idempotency-Key": key}, json=body).json()
        assert answer["result"] is True, answer
        self.accepted[answer["data"]] = self.keys[key]
        self.unanswered.discard(key)
        return answer["data"]

    def order(self, kind):
        key = f"key-{len(self.keys)}"
        self.keys[key] = kind
        self.unanswered.add(key)
        return self.submit(key)

    def status(self, reference, wait=0):
        return self.call("GET", "/Report/Status", {"Prefer": f"wait={wait}"},
                         params={"reference": reference})

    def end(self, reference):
        """Wait for it; a report may fail for a fault, in words that help who asked for it."""
        answer = poll(lambda: (a := self.status(reference, 5)).json()["data"] != "incomplete" and a)
        status, message = answer.json()["data"], answer.json()["message"]
        if status == "error" and self.accepted[reference] != "bad":
            assert self.faulty, message
            assert "later" in message or "Ask the operator" in message, message
            assert "/" not in message and ".part" not in message, message
        return status

    def wait_for_processing(self, reference):
        states = ("processing", "error") if self.faulty else ("processing",)
        poll(lambda: self.status(reference).headers.get("X-Report-State") in states,
             what="processing")

    def check_result(self, reference):
        data = self.call("GET", "/Report", params={"reference": reference}).json()["data"]
        assert len(data["results"]) == data["summary"]["count"] == ROWS
        for form, lines in (("csv", ROWS + 1), ("ndjson", ROWS)):
            answer = self.call("GET", "/Report", params={"reference": reference, "format": form})
            assert answer.status_code == 200 and answer.content.count(b"\n") == lines
        rows = self.call("GET", "/Report/Rows", params={"reference": reference}).json()["data"]
        assert rows["rows"] == data["results"]

    def delete(self, reference):
        self.asked_to_delete.add(reference)
        answer = self.call("DELETE", "/Report", params={"reference": reference})
        if not answer.json()["result"]:
            assert self.faulty  # it answered 503 before, but the reference was dead already
            refused(answer, "Unknown reference")
        self.deleted.add(reference)

    def delete_many(self, references):
        self.many = references
        self.asked_to_delete |= references
        answer = self.call("DELETE", "/Report/List", params={"ReportName": KINDS["one of many"][0]})
        deleted = sum(answer.json()["data"]["deleted"].values())
        assert deleted == len(references) or self.faulty, answer.text  # or before it answered 503
        self.deleted |= references

    def lose_worker(self):
        before = self.server.workers()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        poll(lambda: self.check_alive() or set(self.server.workers()) - set(before),
             what="another worker")

    # -- after it --

    def check_promises(self):
        """After the next start, without faults."""
        self.server.start()
        self.login()
        if self.logged_out:
            failed(Client(self.server.url, self.logged_out).list(), 401)
        poll(lambda: self.expired not in self.client.references(), what="the purge")
        alive, answered = set(self.client.references()), set(self.accepted)
        assert answered - self.asked_to_delete <= alive
        assert self.many <= alive or not self.many & alive
        # What was not answered is there or it is not; sent again, it is the same one.
        assert alive - answered <= {self.submit(key) for key in list(self.unanswered)}
        for reference in self.deleted | {self.expired}:
            for ask in (self.client.status, self.client.result, self.client.delete):
                refused(ask(reference), "Unknown reference")
        found = sorted(self.client.references(), key=lambda r: KINDS[self.accepted[r]][2] is not None)
        complete = [reference for reference in found if self.check_end(reference) == "complete"]
        kept = [] if self.keeps_rows else complete
        # The purge that hides a report goes on to remove its file.
        poll(lambda: sorted(name.partition(".")[0] for name in self.server.files()) == sorted(kept),
             what="files of complete reports only")
        assert self.server.stop() == 0
        check_store(self.server)
        self.server.check_log()
        for line in trail_of(self.server.folder).read_text().splitlines():
            assert json.loads(line)["event"]

    def check_end(self, reference):
        kind = self.accepted[reference]
        expected = KINDS[kind][2]
        if expected is None:
            return self.delete(reference)
        status = self.end(reference)
        assert status == expected or (status == "error" and self.faulty), (reference, kind, status)
        if status == "complete" and kind == "good":
            self.check_result(reference)
        return status


def check_store(server):
    """Nothing is half done, and no slot is held any more."""
    audit = server.run("fsck", "-c", "reportd.conf")
    assert audit.returncode == 0, audit.stdout + audit.stderr
    with sqlite3.connect(f"file:{server.folder}/store.db?mode=ro", uri=True) as db:
        assert db.execute("SELECT count(*) FROM report WHERE slot").fetchone() == (0,)
        assert db.execute("SELECT name FROM user").fetchall() == [("alice",)]
    db.close()


@pytest.fixture(scope="module", params=["0", "16K"], ids=["compressed-files", "rows"])
def row_results(request):
    """Where the results are, which are small."""
    return request.param


@pytest.fixture(scope="module")
def template(tmp_path_factory, row_results):
    """A folder as a crash has left it, and the references in it: a result that has expired, a
    deletion that is not finished, a report that was being generated, a user that is being removed."""
    server = Server.made(tmp_path_factory.mktemp("faults") / "template", workers=1, drain_grace="0",
                         row_results=row_results, result_compression="zstd" if row_results == "0" else "off")
    clock = with_trail(server).folder / "clock"
    server.add_user("alice")
    clock.write_bytes(struct.pack("=q", -25 * HOUR_MS))  # retention is 24 h
    plan(server, "deletion.delete.marked=crash", clock=clock)
    client = server.start().client("alice")
    left = {name: client.complete("Quick", ProductID="1") for name in ("expired", "deleting")}
    (worker,) = server.workers()
    os.kill(worker, signal.SIGSTOP)
    left["running"] = client.order("Quick", ProductID="1")
    client.wait_for(left["running"], "processing")
    with pytest.raises(requests.ConnectionError):
        client.delete(left["deleting"])
    os.kill(worker, signal.SIGKILL)
    server.kill()
    server.add_user("leaver")
    crash = {"REPORTD_SEAMS": "user.remove.marked=crash"}
    assert server.run("user", "remove", "-c", "reportd.conf", "leaver", environment=crash).returncode == DEATH
    return server.folder, left


def matters(place, row_results):
    """The store's steps are the same wherever results are, except those that know of them. A wait writes nothing, and
    one for a report that has ended by then does not begin."""
    if place == "http.wait.begun":
        return False
    return row_results == "0" or not place.startswith("store.") or \
        place.startswith(("store.finish.", "store.tombstone"))


@pytest.fixture(scope="module")
def places(template, tmp_path_factory, row_results):
    """How often one life passes each place, in the server and in a worker."""
    folder = tmp_path_factory.mktemp("faults") / "traced"
    trace = folder / "trace"
    server = start_over(template, folder)
    plan(server, trace=trace)
    life = Life(server, template[1])
    life.live()
    passed = [(pid, place) for pid, place in passings(trace) if matters(place, row_results)]
    plan(server)
    life.check_promises()
    serve = passed[0][0]  # it recovers before it has workers
    counts = [Counter(place for pid, place in passed if (pid == serve) is is_serve) for is_serve in (True, False)]
    # How many lines are written at once is not the same in each life.
    return [Counter({place: 1 if place.startswith("trail.") else n for place, n in count.items()}) for count in counts]


def trail_of(folder):
    """It may not lie in a folder of data."""
    return folder.with_suffix(".trail")


def with_trail(server):
    server.environment["REPORTD_AUDIT_LOG"] = str(trail_of(server.folder))
    return server


def start_over(template, folder):
    shutil.copytree(template[0], folder)
    return with_trail(Server(folder))


def live_with(template, folder, fault, live, faulty):
    """A life with the fault, and what must hold after it; was the place passed at all?"""
    server = start_over(template, folder)
    life = Life(server, template[1], faulty)
    plan(server, fault, trace=folder / "trace")
    try:
        live(life)
    except Death:
        pass
    finally:
        if server.process is not None:
            server.kill()
    plan(server)
    life.check_promises()
    return any(place == fault.partition("=")[0] for _, place in passings(folder / "trace"))


def walk(template, tmp_path, faults, live=Life.live, faulty=False):
    """One life with each fault; all that went wrong is told at once."""
    assert faults
    broken = []

    def one(numbered):
        number, fault = numbered
        folder = tmp_path / str(number)
        try:
            assert live_with(template, folder, fault, live, faulty), "not passed"
        except Exception as error:
            broken.append(f"{fault} in {folder}: {error!r}\n{traceback.format_exc(limit=-4)}")
        else:
            shutil.rmtree(folder)

    with ThreadPoolExecutor(LIVES_AT_ONCE) as pool:
        list(pool.map(one, enumerate(faults)))
    assert not broken, "\n".join(broken)


def at_first_and_last(places, action, part):
    """A place is mostly passed first while the server starts and last while it serves."""
    return [f"{place}={action}@{n}" for place, count in sorted(places.items())
            for n in ((1, count) if count > 1 else (1,)) if place.split(".")[0] == part]


@pytest.mark.parametrize("part", ["store", "spool", "job", "deletion", "ledger", "http", "trail"])
def test_a_crash_of_the_server_at_any_step_loses_nothing(template, places, tmp_path, part):
    walk(template, tmp_path, at_first_and_last(places[0], "crash", part))


@pytest.mark.parametrize("part", ["worker", "result_writer"])
def test_a_crash_of_a_worker_at_any_step_loses_nothing(template, places, tmp_path, part):
    walk(template, tmp_path, at_first_and_last(places[1], "crash", part), faulty=True,
         live=Life.live_with_dying_workers)


@pytest.mark.parametrize("process", [0, 1], ids=["server", "worker"])
def test_a_call_that_fails_ends_a_report_at_worst(template, places, tmp_path, process):
    calls = {place: n for place, n in places[process].items() if place.count(".") == 1}
    walk(template, tmp_path, [f"{place}={('EIO', 'ENOSPC')[n % 2]}@{n}" for place in sorted(calls)
                              for n in range(1, calls[place] + 1)], faulty=True)


def test_the_walk_knows_every_part(places):
    assert {place.split(".")[0] for place in places[0]} == \
        {"store", "spool", "job", "deletion", "ledger", "http", "password", "wire", "trail"}
    assert {place.split(".")[0] for place in places[1]} == {"worker", "result_writer"}


@pytest.fixture
def suffering(tmp_path):
    """A server with one worker and a client, that suffers the seams: suffering("spool.rename=EIO")."""
    servers = []

    def make(*seams):
        server = Server.made(tmp_path / f"server{len(servers)}", workers=1, drain_grace="200ms")
        servers.append(server)
        server.add_user("alice")
        plan(server, *seams)
        return server, server.start().client("alice")

    yield make
    for server in servers:
        close(server)


def test_a_file_that_cannot_be_removed_is_removed_later(suffering):
    server, client = suffering("spool.unlink=EIO", "spool.unlink=EIO@2")
    reference = client.complete("Quick", ProductID="1")
    failed(client.delete(reference), 503, "Spool unavailable")
    refused(client.status(reference), "Unknown reference")
    poll(lambda: server.files_of(reference) == [], what="the second try")
    refused(client.delete(reference), "Unknown reference")


@pytest.mark.parametrize("call", ["result_writer.write=ENOSPC", "result_writer.fsync=EIO", "spool.create=ENOSPC",
                                  "spool.rename=EIO", "spool.folder_fsync=EIO",
                                  "wire.memfd=ENOMEM", "wire.texts=ENOMEM"])
def test_a_report_that_cannot_be_stored_says_so_and_leaves_nothing(suffering, call):
    server, client = suffering(call)
    reference = client.order("Quick", ProductID="1")
    answer = client.finish(reference).json()
    assert answer["data"] == "error" and "later" in answer["message"], answer
    assert server.files() == []
    assert client.complete("Quick", ProductID="1")


def test_a_write_that_is_interrupted_is_made_again(suffering):
    _, client = suffering("result_writer.write=EINTR", "result_writer.write=EINTR@2")
    reference = client.complete("Quick", ProductID="1")
    assert len(client.result(reference).json()["data"]["results"]) == ROWS


OUTAGE = [f"store.commit=ENOSPC@{n}" for n in range(10, 30)]


def test_a_store_that_fails_is_told_to_the_client_and_recovers(suffering):
    server, client = suffering(*OUTAGE)
    accepted = [client.order("Endless")]
    while (answer := client.submit("Quick", {"ProductID": "1"})).status_code == 200:
        accepted.insert(0, answer.json()["data"])
    failed(answer, 503, "Store unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert client.references() == accepted  # reading goes on; what was refused is not there
    failed(client.delete(accepted[-1]), 503)
    assert client.state(accepted[-1]) == "processing"
    poll(lambda: client.delete(accepted[-1]).status_code == 200, what="the end of the outage")
    assert client.complete("Quick", ProductID="1")


@pytest.mark.parametrize("report", ["Pause", "Quick"])
def test_a_client_that_waits_is_told_of_nothing_that_is_not_on_the_disk(suffering, tmp_path, report):
    failing = tmp_path / "failing"
    server, client = suffering(f"store.sync=EIO@1+?{failing}")
    waits = {"Prefer": "wait=30"}
    assert client.submit("Quick", {"ProductID": "1"}, waits).headers["X-Report-State"] == "complete"
    failing.touch()
    answer = client.submit(report, {"ProductID": "1"} if report == "Quick" else None, waits)
    failed(answer, 503, "not known", "/Report/List")
    failing.unlink()
    poll(lambda: client.complete("Quick", ProductID="1"), what="the end of the outage")
    assert client.submit("Endless", headers={"Prefer": "wait=1"}).headers["X-Report-State"] == "processing"
    assert server.stop() == 0


def test_a_report_that_ends_while_the_store_fails_is_written_down_later(suffering):
    server, client = suffering(*OUTAGE)
    reference = client.order("Pause")
    while client.submit("Quick", {"ProductID": "99"}).status_code == 200:
        pass
    assert client.finish(reference).json()["data"] == "complete"
    server.await_log("store.unavailable")


def test_the_server_stops_while_the_store_fails(suffering):
    server, client = suffering("store.commit=EIO@10+")
    reference = client.order("Pause")
    while client.submit("Quick", {"ProductID": "99"}).status_code == 200:
        pass
    poll(lambda: "store.unavailable" in server.log_text(), what="an end that cannot be written")
    assert server.stop() == 0
    plan(server)
    client.url = server.start().url
    assert client.finish(reference).json()["data"] == "complete"
