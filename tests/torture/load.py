"""The clients: threads that do random requests and record what they were answered."""

import json
import random
import threading
import uuid
from collections import deque
from hashlib import sha256
from itertools import chain
from urllib.parse import urlencode

from client import Connection, NotSent
from content import ROWS_MAX, ROW_TEXTS, request_of

BACK_OFF = 0.03  # seconds, while nobody listens
TRIES = 4  # of an order with a key, if it is not known what became of it
REMEMBERED = 30  # of a user's references, dead ones and keys
SMALL_ETAG = 200  # remembered Status tags

# What is done how often.
OPERATIONS = {
    "submit": 22, "twins": 3, "status": 22, "wait": 8, "poll": 5, "get": 14, "head": 2, "range": 6, "form": 7, "window": 5,
    "link": 5,
    "delete": 12, "delete many": 1, "list": 6, "page": 2, "filter": 2,
}
# Which reports are ordered how often.
REPORTS = {"Rows": 55, "Slow": 18, "Huge": 6, "Failing": 8, "TooLong": 5, "Endless": 3}

MARKER = "tortured-"  # in the parameters, messages, results and keys of all reports, and in nothing else
IN_DOUBT = "it is not known whether the request was carried out"  # words of an answer 503
FORMS = ("csv", "ndjson", "xlsx", "json")
CODINGS = ("zstd", "gzip", "identity")
WINDOW = 500  # rows, at most
STATES = ("queued", "processing", "complete", "error")
ACTIVE_STATES = STATES[:2]
DATA_STATES = {"complete": "complete", "error": "error"}


def pick(weights, fraction):
    """The key at this fraction of the whole weight."""
    at = fraction * sum(weights.values())
    for key, weight in weights.items():
        at -= weight
        if at < 0:
            return key
    return key


class Draw:
    """The random choices of one operation. Always as many, so that the stream of a thread depends
    on its seed alone; what a fraction hits among the references known by then is up to timing."""

    def __init__(self, rng):
        self.operation = pick(OPERATIONS, rng.random())
        self.report = pick(REPORTS, rng.random())
        self.size, self.target, self.whose = rng.random(), rng.random(), rng.random()
        self.key, self.reuse, self.wait, self.other = (rng.random() for _ in range(4))
        self.tag = f"{MARKER}{rng.getrandbits(64):016x}"
        self.guid = str(uuid.UUID(int=rng.getrandbits(128)))
        self.node = rng.random()
        self.request = None  # what was chosen to be ordered, so that trying again orders the same


class Book:
    """What a user's threads know: references with what was ordered, dead ones, keys in use."""

    def __init__(self, user, login):
        self.user, self.login = user, login
        self.lock = threading.Lock()
        self.live = deque(maxlen=REMEMBERED)
        self.dead = deque(maxlen=REMEMBERED)
        self.keys = deque(maxlen=8)
        self.requests = {}
        self.links = {}  # reference: where a link to its result is, and in which form
        self.ever = set()
        self.key_count = 0

    def learn(self, reference, request=None):
        with self.lock:
            self.ever.add(reference)
            if reference not in self.live and reference not in self.dead:
                self.live.append(reference)
            if request is not None:
                self.requests[reference] = request

    def bury(self, reference):
        with self.lock:
            if reference in self.live:
                self.live.remove(reference)
                self.dead.append(reference)

    def one_of(self, which, fraction):
        with self.lock:
            known = self.live if which == "live" else self.dead
            return known[int(fraction * len(known))] if known else None

    def request(self, draw):
        """A report to order, with its key or None: new, or one that was sent with this key before."""
        with self.lock:
            again = self.keys[-1 - int(draw.target ** 2 * len(self.keys))] if self.keys else None
            name, parameters = new_request(draw)
            if draw.key >= 0.4:
                return None, name, parameters
            if draw.reuse < 0.5 and again is not None:
                return again if draw.reuse < 0.42 else (again[0], name, parameters)
            self.key_count += 1
            keyed = f"{self.user}-{self.key_count}-{draw.tag}", name, parameters
            self.keys.append(keyed)
            return keyed


def new_request(draw):
    name, parameters = draw.report, {"Tag": draw.tag}
    if name == "Rows":
        parameters["Rows"] = str(int(60 * draw.size ** 2))
    elif name == "Huge":
        name = "Rows"
        parameters["Rows"] = str(int(ROWS_MAX * (0.2 + 0.8 * draw.size)))
    elif name == "Slow":
        parameters["Rows"] = str(1 + int(600 * draw.size ** 2))
    elif name == "TooLong":
        parameters["Rows"] = str(1 + int(50 * draw.size))
    return name, parameters


def state_of(answer):
    """What a Status, Get or replay says of the report, or None."""
    state = answer.headers.get("X-Report-State")
    if state is None and (answer.status == 404 or "Unknown reference" in answer.json.get("message", "")):
        return "unknown"
    return state


def matching(draw):
    """Which reports to delete at once: mostly of a state, else of a name, or both."""
    query = {}
    if draw.whose < 0.8:
        query["State"] = STATES[int(draw.other * len(STATES))]
    if draw.whose >= 0.6:
        query["ReportName"] = "Rows" if draw.report == "Huge" else draw.report
    return query


def words_of(said, answer):
    """The message of a report in error: "" if the answer lacks it, None if nothing has to tell it."""
    tells = said == "error" and answer.body and answer.why is None
    return answer.json.get("message") or "" if tells else None


def compact_list(body):
    """A list as the history keeps it."""
    data = body["data"]
    return {"total": data["totalCount"], "reports": [
        [r["reference"], r["reportName"], r["state"], r["rows"], r["bytes"], r["expiresAt"],
         r["message"]] for r in data["reports"]]}


class Caller:
    """Does one request at a time for a user, and records it."""

    def __init__(self, book, ports, history, contents):
        self.book, self.history, self.contents = book, history, contents
        self.connections = [(Connection(port), Connection(port)) for port in ports]
        self.node = 0  # whom it asks
        self.counts = {}
        self.tags = {}  # the last ETag of a Status

    @property
    def connection(self):
        return self.connections[self.node][0]

    @property
    def twin(self):
        """Another connection, to the next node."""
        return self.connections[(self.node + 1) % len(self.connections)][1]

    def turn(self, fraction):
        """As a balancer: ask this node from now on."""
        self.node = int(fraction * len(self.connections))

    def move_on(self):
        self.node = (self.node + 1) % len(self.connections)

    def is_clustered(self):
        return len(self.connections) > 1

    def close(self):
        for connection in chain(*self.connections):
            connection.close()

    def record(self, operation, answer, said, node=None, **facts):
        """`said` is the answer's meaning, see checker.py; None: it has none of those expected."""
        event = {"op": operation, "user": self.book.user, "sent": answer.sent,
                 "received": answer.received}
        if self.is_clustered():
            event["node"] = self.node if node is None else node
        if answer.why is not None and "etag" not in facts and "form" not in facts:  # a result may break off
            said = "none"
            event["why"] = answer.why
        elif answer.status == 503 and IN_DOUBT in answer.json.get("message", ""):
            said = "none"
            event["why"] = "in doubt"
        elif answer.status >= 500:
            said = "failed"
        if said is None:
            said = "odd"
        if said in ("odd", "failed"):
            event["words"] = answer.text()
        event["answer"] = said
        event |= {key: value for key, value in facts.items() if value is not None}
        self.history.add(event)
        self.counts[operation] = self.counts.get(operation, 0) + 1
        return said

    # ---- orders ----

    def submit(self, key, name, parameters, wait=0, twins=False):
        """What was answered, and the reference."""
        headers = self.book.login.headers() | {"Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        if wait:
            headers["Prefer"] = f"wait={wait}"
        body = json.dumps({"reportName": name, "parameters": parameters})
        self.connection.begin("POST", "/Report", headers, body)
        asked = [self.connection]
        if twins:
            try:
                self.twin.begin("POST", "/Report", headers, body)
                asked.append(self.twin)
            except NotSent:  # the first may have been accepted all the same
                pass
        answers = [connection.end() for connection in asked]
        nodes = [self.node, (self.node + 1) % len(self.connections)]
        return [self.submitted(answer, node, key, name, parameters)
                for answer, node in zip(answers, nodes)][0]

    def insist(self, key, name, parameters, wait=0, twins=False):
        """Order as a client behind a balancer does: what became of it, another node may know."""
        for _ in range(TRIES if self.is_clustered() and key is not None else 1):
            said, _ = self.submit(key, name, parameters, wait, twins)
            if said not in ("none", "failed"):
                return
            self.move_on()

    def submitted(self, answer, node, key, name, parameters):
        body = answer.json
        facts = {"key": key, "report": name, "tag": parameters["Tag"], "rows": parameters.get("Rows")}
        said = reference = None
        if answer.status == 200 and body.get("result") is True and answer.why is None:
            reference = body["data"]
            said = "replayed" if answer.headers.get("Idempotent-Replayed") else "accepted"
            self.book.learn(reference, (name, parameters))
        elif answer.status == 429:
            said = "limit"
            facts["active"] = [[r["reference"], r["state"]] for r in body["data"]["active"]]
            for active, _ in facts["active"]:
                self.book.learn(active)
        elif "Idempotency-Key" in body.get("message", "") and body.get("data") == {}:
            said = "key-reused"
        said = self.record("submit", answer, said, node, reference=reference,
                           state=answer.headers.get("X-Report-State"), **facts)
        return said, reference

    # ---- one report ----

    def ask(self, method, path, reference, headers=None):
        return self.connection.call(method, f"{path}?reference={reference}",
                                    self.book.login.headers() | (headers or {}))

    def learned(self, operation, answer, said, reference, **facts):
        if said == "unknown":
            self.book.bury(reference)
        self.record(operation, answer, said, reference=reference, **facts)
        return said

    def status(self, reference, wait=0, poll=False):
        """A poll is one with the tag of the last answer, which a 304 says is still true."""
        headers = {"Prefer": f"wait={wait}"} if wait else {}
        tag = self.tags.get(reference) if poll else None
        if tag is not None:
            headers["If-None-Match"] = tag
        answer = self.ask("GET", "/Report/Status", reference, headers)
        said, body = state_of(answer), answer.json
        if said in STATES and answer.status == 200 and \
                body.get("data") != DATA_STATES.get(said, "incomplete"):
            said = None  # it contradicts itself
        if answer.status == 304 and (tag is None or f'"{said}-' not in tag):
            said = None
        if "ETag" in answer.headers:
            if len(self.tags) > SMALL_ETAG:
                self.tags.clear()
            self.tags[reference] = answer.headers["ETag"]
        position = answer.headers.get("X-Report-Queue-Position")
        return self.learned("status", answer, said, reference,
                            position=int(position) if position else None,
                            message=words_of(said, answer))

    def get(self, reference, span=None, method="GET"):
        headers = {"Range": f"bytes={span[0]}-{span[1]}"} if span else {}
        if method == "HEAD":  # there the status has to tell
            headers["Accept"] = "application/problem+json, application/json;q=0.9"
        answer = self.ask(method, "/Report", reference, headers)
        facts = {}
        if answer.status in (200, 206) and "ETag" in answer.headers:
            said, facts = self.result(reference, answer, method)
        elif answer.status == 416:
            said = "complete"
        else:
            said = self.not_converted(answer)
        return self.learned({"HEAD": "head"}.get(method, "range" if span else "get"), answer, said,
                            reference, **facts)

    def result(self, reference, answer, method):
        """What a result tells: its size, its tag and whether its content is right."""
        facts = {"etag": answer.headers["ETag"], "expires": answer.headers.get("Expires")}
        length = int(answer.headers["Content-Length"])
        first, total = 0, length
        if answer.status == 206:
            span, total = answer.headers["Content-Range"].removeprefix("bytes ").split("/")
            first, total = int(span.split("-")[0]), int(total)
        facts["bytes"] = total
        if method == "HEAD":
            return "complete", facts
        if answer.why is None and len(answer.body) != length:
            facts["wrong"] = f"{len(answer.body)} bytes of {length}"
        request = self.book.requests.get(reference)
        if request is None and answer.status == 200 and answer.why is None:
            request = request_of(answer.body)
        if request is not None and request[0] not in ROW_TEXTS:
            facts["wrong"] = f"a result of {request[0]}"
        elif request is not None:
            facts |= self.compare(request, answer, first, total)
        if answer.status == 200 and answer.why is None and \
                f'"{sha256(answer.body).hexdigest()}"' != facts["etag"]:
            facts["wrong"] = "its ETag is not its SHA-256"
        return "complete", facts

    def form(self, reference, form, coding):
        """The result in another form and coding, or the beginning of it."""
        answer = self.connection.call("GET", f"/Report?reference={reference}&format={form}",
                                      self.book.login.headers() | {"Accept-Encoding": coding})
        said, facts = self.converted(answer, reference, form)
        return self.learned("form", answer, said, reference, **facts)

    def converted(self, answer, reference, form):
        if answer.status != 200 or "ETag" not in answer.headers:
            return self.not_converted(answer), {}
        facts, request = {"form": form}, self.book.requests.get(reference)
        if request is not None:
            coding = answer.headers.get("Content-Encoding", "identity")
            facts["wrong"] = self.contents.coded_form_is_wrong(coding, form, self.book.user, *request, answer.body, answer.why is None)
        return "complete", facts

    def link(self, reference, form):
        """Make a link, which is followed from then on, too, when the report is dead."""
        headers = self.book.login.headers() | {"Content-Type": "application/json"}
        answer = self.connection.call("POST", "/Report/Link", headers, json.dumps({"reference": reference, "format": form}))
        said = self.not_converted(answer)
        if answer.status == 200 and answer.why is None and answer.json.get("result") is True:
            said = "complete"
            self.book.links[reference] = answer.json["data"]["url"], form
        return self.learned("link", answer, said, reference)

    def follow(self, reference):
        """The link to its result, if there is one. That it is dead says nothing of the report: it may be too old."""
        path, form = self.book.links.get(reference, (None, None))
        if path is None:
            return
        answer = self.connection.call("GET", path, {})
        said, facts = ("no link", {}) if answer.status == 404 else self.converted(answer, reference, form)
        self.learned("follow", answer, said, reference, **facts)

    def window(self, reference, first, count):
        answer = self.connection.call("GET", f"/Report/Rows?reference={reference}&from={first}&count={count}",
                                      self.book.login.headers())
        said, facts = self.not_converted(answer), {}
        if answer.status == 200 and answer.why is None and answer.json.get("result") is True:
            said = "complete"
            request = self.book.requests.get(reference)
            if request is not None:
                facts["wrong"] = self.contents.window_is_wrong(*request, first, count, answer.body)
        return self.learned("window", answer, said, reference, **facts)

    @staticmethod
    def not_converted(answer):
        said = state_of(answer)
        return None if said == "complete" else said  # there should have been a result

    def compare(self, request, answer, first, total):
        user, (name, parameters) = self.book.user, request
        wanted = self.contents.length(user, name, parameters)
        at = self.contents.differs(user, name, parameters, answer.body, first)
        facts = {"tag": parameters["Tag"]}
        if at is not None or total != wanted:
            facts["wrong"] = f"{total} bytes, not {wanted}; differs at {at}: " \
                             f"{bytes(answer.body[max(0, (at or 0) - first - 20):][:60])}"
        return facts

    def delete(self, reference):
        answer = self.ask("DELETE", "/Report", reference)
        said = state_of(answer)
        if answer.status == 200 and answer.json.get("result") is True:
            said = "deleted"
            self.book.bury(reference)
        return self.learned("delete", answer, said, reference)

    def delete_many(self, query):
        """What was answered; the dead ones are learned of as they are asked for."""
        answer = self.connection.call("DELETE", f"/Report/List?{urlencode(query)}",
                                      self.book.login.headers())
        said, facts = None, {}
        if answer.status == 200 and answer.json.get("result") is True and answer.why is None:
            data = answer.json["data"]
            said, facts = "done", {"deleted": data["deleted"]}
            if data["remaining"] != 0 or (data["receipt"] is None) != (sum(facts["deleted"].values()) == 0):
                said = None  # it contradicts itself
        return self.record("delete many", answer, said, state=query.get("State"),
                           report=query.get("ReportName"), **facts)

    def pause(self, paused):
        """All, over all nodes; only an operator may."""
        headers = self.book.login.headers() | {"Content-Type": "application/json"}
        answer = self.connection.call("POST", "/Admin/Queue", headers, json.dumps({"paused": paused}))
        said = "done" if answer.json.get("data", {}).get("paused") is paused else None
        return self.record("pause" if paused else "resume", answer, said)

    def ask_all(self, reference):
        """Every node, one after the other."""
        for node in range(len(self.connections)):
            self.node = node
            try:
                self.status(reference)
            except NotSent:
                pass

    # ---- all of them ----

    def list_everywhere(self):
        for node in range(len(self.connections)):
            self.node = node
            try:
                self.list()
            except NotSent:
                pass

    def list(self, state=None, page=None, size=1000):
        path = f"/Report/List?PageSize={size}"
        path += f"&State={state}" if state else ""
        path += f"&PageNumber={page}" if page else ""
        answer = self.connection.call("GET", path, self.book.login.headers())
        said, facts = None, {}
        if answer.status == 200 and answer.json.get("result") is True and answer.why is None:
            said, facts = "listed", compact_list(answer.json)
            for report in facts["reports"]:
                self.book.learn(report[0])
        self.record("list", answer, said, state=state, page=page, size=size, **facts)
        return facts.get("reports") if said == "listed" else None

    def is_active(self):
        """Is anything queued or processing, or is that not known?"""
        self.move_on()
        reports = self.list()
        return reports is None or any(row[2] in ACTIVE_STATES for row in reports)


class Client(threading.Thread):
    """A thread of random operations."""

    def __init__(self, seed, books, caller, stop):
        super().__init__(daemon=True)
        self.rng = random.Random(seed)
        self.books, self.caller, self.stop = books, caller, stop
        self.done = 0
        self.broken = None

    def run(self):
        try:
            while not self.stop.is_set():
                self.step(Draw(self.rng))
        except Exception as error:  # the driver raises it
            self.broken = error
            self.stop.set()
        finally:
            self.caller.close()

    def step(self, draw):
        """One operation, tried until somebody listens."""
        self.caller.turn(draw.node)
        while not self.stop.is_set():
            try:
                self.operate(draw)
                self.done += 1
                return
            except NotSent:
                self.caller.move_on()
                self.stop.wait(BACK_OFF)

    def target(self, draw):
        """A reference: mostly a living one of the user's own, or a dead, another's, or nobody's."""
        own = self.caller.book
        if draw.whose < 0.80:
            return own.one_of("live", 1 - (1 - draw.target) ** 2) or draw.guid
        if draw.whose < 0.94:
            return own.one_of("dead", draw.target) or draw.guid
        if draw.whose < 0.98:
            others = [book for book in self.books if book is not own]
            return others[int(draw.other * len(others))].one_of("live", draw.target) or draw.guid
        return draw.guid

    def operate(self, draw):
        caller, operation = self.caller, draw.operation
        if operation in ("submit", "twins"):
            draw.request = draw.request or caller.book.request(draw)
            key, name, parameters = draw.request
            caller.insist(key, name, parameters, 1 if draw.wait < 0.1 else 0, operation == "twins"
                          and key is not None)
        elif operation == "list":
            caller.list()
        elif operation == "page":
            caller.list(page=1 + int(draw.target * 3), size=1 + int(draw.size * 5))
        elif operation == "filter":
            caller.list(state=STATES[int(draw.other * len(STATES))])
        elif operation == "delete many":
            caller.delete_many(matching(draw))
            caller.list_everywhere()
        else:
            self.about_one(draw, self.target(draw))

    def about_one(self, draw, reference):
        caller, operation = self.caller, draw.operation
        if operation == "delete":
            if caller.delete(reference) == "deleted":
                caller.follow(reference)
                if caller.is_clustered():
                    caller.ask_all(reference)
        elif operation == "get":
            caller.get(reference)
        elif operation == "head":
            caller.get(reference, method="HEAD")
        elif operation == "range":
            first = int(400 * draw.size ** 2)
            caller.get(reference, span=(first, first + int(3000 * draw.wait)))
        elif operation == "form":
            caller.form(reference, FORMS[int(draw.other * len(FORMS))], CODINGS[int(draw.wait * len(CODINGS))])
        elif operation == "link":
            if reference not in caller.book.links:
                caller.link(reference, FORMS[int(draw.other * len(FORMS))])
            caller.follow(reference)
        elif operation == "window":
            caller.window(reference, int(200 * draw.size ** 3 * (1 + 500 * draw.wait)), 1 + int(WINDOW * draw.other))
        else:
            caller.status(reference, wait=1 + int(2 * draw.wait) if operation == "wait" else 0,
                          poll=operation == "poll")
