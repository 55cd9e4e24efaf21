"""The model that a history is read into: what its answers tell of each report, and when it may have been true.

The model of one report: active (queued or processing, back and forth) → complete or error, one of
them and for ever → dead. What an answer tells was true at some moment between sending the request
and receiving the answer; so of two answers only those are compared of which one was received before
the other was asked for. A request without an answer may have been carried out or not.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

SECOND = 1_000_000
SLOT_WITHIN = 20 * SECOND  # a deletion without answer gives its slot back
LATE_COMMIT = 8 * SECOND  # PostgreSQL may carry out what it has got so long after the node died
CAUSE_LASTS = 2 * SECOND  # what a fault causes may show so much later
LEASE_LOST_LASTS = 5 * SECOND  # … until a node that has lost its lease has made its sessions anew
INFINITY = float("inf")
ACTIVE, ENDED, DEAD = 0, 1, 2
RANKS = {"queued": ACTIVE, "processing": ACTIVE, "complete": ENDED, "error": ENDED, "unknown": DEAD}

WRITES = ("submit", "delete", "delete many")
AWAY = ("restart postgresql", "crash postgresql")
ENDED_SESSIONS = ("terminate queries", "terminate some", "terminate all")
# Faults in which a node does not come to make a session anew that has been ended. After either it starts no
# transfer before it has renewed its lease; the answer to a HEAD has no words that say so.
HELD = ("stop server", "hang server")
NO_LEASE = "lost touch with the others"
# Faults that take time in which nothing goes on.
DELAYS = ("fill disk", "stop server", "hang server", "kill server", "end server", "start",
          "cut network") + AWAY


class Violation:
    def __init__(self, rule, words, *events):
        self.rule, self.words = rule, words
        self.events = sorted({event["n"]: event for event in events if event}.values(),
                             key=lambda event: event["n"])

    def __str__(self):
        lines = [f"{self.rule}: {self.words}"]
        for event in self.events:
            shown = {k: v for k, v in event.items() if k not in ("n", "reports", "restored")}
            lines.append(f"    line {event['n']}: {shown}")
        return "\n".join(lines)


class Sight:
    """What one answer tells of a report: its rank, at some moment from `sent` to `received`."""

    __slots__ = ("sent", "received", "state", "rank", "event")

    def __init__(self, event, state, sent=None):
        self.sent = event["sent"] if sent is None else sent
        self.received = event["received"]
        self.state, self.rank, self.event = state, RANKS[state], event


class Report:
    def __init__(self, reference, user, first):
        self.reference, self.user, self.first = reference, user, first
        self.orders = []  # the answers to submits that named it; none: found in a list
        self.name = self.tag = self.rows = None
        self.sights = []
        self.alive = []  # events that tell that it lived, without its state
        self.deletes = []  # that were not answered unknown, and those of many that it may have matched
        self.swept = []  # deletions of many that it matched for certain, and that were carried out
        self.results = []
        self.errors = []  # pairs of words and event
        self.expires = None  # UTC, the least that was told, to the second

    def sees(self, state):
        return [sight for sight in self.sights if sight.state == state]

    def is_deleted_by(self):
        """The deletions of which an answer says that they are done."""
        return [event for event in self.deletes if event["answer"] == "deleted"] + self.swept

    def matches(self, event, since):
        """Does a deletion of many mean it? True, False, or None: it may. `since`: when each state had been
        seen first."""
        if self.first["sent"] >= event["received"] or since.get("unknown", INFINITY) < event["sent"] or \
                event.get("report") not in (None, self.name or event.get("report")):
            return False
        state = event.get("state")
        if state is None:
            is_certain = event.get("report") is None or self.name is not None
        elif RANKS[state] == ACTIVE:
            is_certain = False
            if min(since.get("complete", INFINITY), since.get("error", INFINITY)) < event["sent"]:
                return False
        else:
            is_certain = since.get(state, INFINITY) < event["sent"]
            if {"complete": "error", "error": "complete"}[state] in since:
                return False
        return is_certain and self.born_by() < event["sent"] or None

    def born_by(self):
        """When it had been accepted for certain."""
        return min([e["received"] for e in self.orders] + [s.received for s in self.sights])

    def released(self):
        """When it gave its slot back at the latest, or None if it may hold it still."""
        times = [s.received for s in self.sights if s.rank == ENDED]
        answered = [e["received"] for e in self.is_deleted_by()]
        dead = [s.received for s in self.sights if s.rank == DEAD]
        if answered:
            times.append(min(answered))
        elif dead and self.deletes:  # the slot is free once its query has been stopped
            times.append(max(min(dead), *(e["received"] for e in self.deletes)) + SLOT_WITHIN)
        elif dead:
            times.append(min(dead))
        return min(times, default=None)


class Model:
    """The history, sorted by what it is about."""

    def __init__(self, events):
        self.run, self.offset = {}, 0
        self.events, self.marks, self.faults = [], [], []
        self.reports = {}
        self.submits = defaultdict(list)  # by user
        self.writes = defaultdict(list)  # submits and deletions, by user
        self.pauses = []  # of the queue, and their ends
        self.lists = defaultdict(list)
        self.deletions = []  # of many, each with the reports that it matched for certain
        self.told = []  # by event streams
        self.running = []  # what PostgreSQL was seen to run
        self.restored = []
        self.delays, self.longest = None, 0  # spans of faults that take time, sorted
        self.violations = []
        self.checked = 0  # starts of which somebody else's turn was known
        strangers = []
        for event in events:
            self._sort(event, strangers)
        for event in strangers:
            self._about_stranger(event)
        for user in self.lists:
            self._see_absences(user)
        self._see_deletions()

    def violate(self, rule, words, *events):
        self.violations.append(Violation(rule, words, *events))

    # ---- reading ----

    def _sort(self, event, strangers):
        if "run" in event:
            self.run, self.offset = event["run"], event["utc_offset_us"]
        elif "mark" in event:
            self.marks.append(event)
        elif "fault" in event:
            self.faults.append(event)
        elif "event" in event:
            self._told(event)
        elif "running" in event:
            self.running.append(event)
        elif "restored" in event:
            self.restored.append(event)
        else:
            self.events.append(event)
            if event["op"] in WRITES:
                self.writes[event["user"]].append(event)
            if event["answer"] == "odd":
                self.violate("odd answer", "not one that this request may have", event)
            elif event["op"] in ("pause", "resume"):
                self.pauses.append(event)
            elif event["op"] == "submit":
                self._submit(event)
            elif event["op"] == "list":
                self._list(event)
            elif event["op"] == "delete many":
                self.deletions.append((event, []))
            elif event["reference"] in self.reports:
                self._about(event)
            else:
                strangers.append(event)  # of a report that is learned of later, or of none

    def _report(self, reference, event):
        report = self.reports.get(reference)
        if report is None:
            report = self.reports[reference] = Report(reference, event["user"], event)
        elif report.user != event["user"]:
            self.violate("another's report", f"{reference} is {report.user}'s", event)
        return report

    def _told(self, event):
        """What an event says was true since the stream began; that a report is gone, when it is received."""
        self.told.append(event)
        report = self._report(event["reference"], event)
        if report.user == event["user"] and event["event"] == "deleted":
            report.sights.append(Sight(event, "unknown", sent=event["received"]))
        elif report.user == event["user"]:
            report.sights.append(Sight(event, event["event"]))

    def _submit(self, event):
        self.submits[event["user"]].append(event)
        if event["answer"] in ("accepted", "replayed"):
            report = self._report(event["reference"], event)
            report.orders.append(event)
            report.name, report.tag, report.rows = event["report"], event["tag"], event.get("rows")
            if event.get("state"):
                report.sights.append(Sight(event, event["state"]))
            else:
                report.alive.append(event)
        for reference, state in event.get("active", ()):
            self._report(reference, event).sights.append(Sight(event, state))

    def _list(self, event):
        if event["answer"] != "listed":
            return
        self.lists[event["user"]].append(event)
        for reference, name, state, rows, size, expires, message in event["reports"]:
            report = self._report(reference, event)
            report.name = report.name or name
            report.sights.append(Sight(event, state))
            if state == "complete":
                report.results.append({"bytes": size, "rows": rows, "event": event})
            if state == "error":
                report.errors.append((message, event))
            self._expires(report, expires, "%Y-%m-%dT%H:%M:%SZ")

    def _expires(self, report, text, form):
        if text is None:
            return
        when = datetime.strptime(text, form).replace(tzinfo=timezone.utc) if form \
            else parsedate_to_datetime(text)
        expires = int(when.timestamp()) * SECOND
        report.expires = min(report.expires or expires, expires)

    def _about(self, event):
        report, said = self.reports[event["reference"]], event["answer"]
        if report.user != event["user"]:
            if said not in ("unknown", "none", "failed"):
                self.violate("another's report", f"{event['user']} learns of {report.user}'s", event)
            return
        if event["op"] == "delete" and said != "unknown":
            report.deletes.append(event)
        if said == "deleted":  # it lived when this was sent, and is dead when it is received
            report.alive.append(event)
            report.sights.append(Sight(event, "unknown", sent=event["received"]))
        elif said in RANKS:
            report.sights.append(Sight(event, said))
        if "etag" in event:
            report.results.append({k: event.get(k) for k in ("etag", "bytes", "tag")} | {"event": event})
            self._expires(report, event.get("expires"), None)
        if event.get("wrong"):
            self.violate("wrong content", event["wrong"], event)
        if "message" in event:
            report.errors.append((event["message"], event))

    def _about_stranger(self, event):
        if event["reference"] in self.reports:
            self._about(event)
        elif event["answer"] not in ("unknown", "none", "failed"):
            self.violate("never accepted", "an answer about a report that nobody ordered", event)

    def caused(self, event, *faults, ever=False, lasts=CAUSE_LASTS):
        """Was there such a fault at the time, of all nodes or of the one that answered, or ever
        before? Of "seams" one with a seam."""
        for fault in self.faults:
            if fault["fault"] in faults and (fault["fault"] != "seams" or fault["seams"]) and \
                    fault["sent"] <= event["received"] and \
                    (ever or fault["received"] + lasts >= event["sent"] and
                     fault.get("node") in (None, event.get("node"))):
                return True
        return False

    def robbed(self, event):
        """Was the node that answered held while sessions were ended, or PostgreSQL was away, or has either cost it its lease?"""
        if (NO_LEASE in event["words"] or event["op"] == "head") and \
                self.caused(event, *HELD, *ENDED_SESSIONS, lasts=LEASE_LOST_LASTS):
            return True
        return any(fault["fault"] in HELD and fault.get("node") == event.get("node") and
                   fault["sent"] <= event["received"] and
                   event["sent"] <= fault["received"] + CAUSE_LASTS and
                   self.caused(fault, *ENDED_SESSIONS, *AWAY) for fault in self.faults)

    def delayed(self, since, until):
        """How much of the time between the two faults have taken."""
        if self.delays is None:
            self.delays = sorted((f["sent"], f["received"]) for f in self.faults
                                 if f["fault"] in DELAYS or f["fault"] == "seams" and f["seams"])
            self.longest = max((end - begin for begin, end in self.delays), default=0)
        first = bisect_left(self.delays, (since - self.longest,))
        last = bisect_right(self.delays, (until, INFINITY))
        return sum(max(0, min(end, until) - max(begin, since)) for begin, end in self.delays[first:last])

    def over_by(self, event):
        """When a request without an answer has been carried out, or will never be."""
        if self.run.get("nodes", 1) == 1:
            return event["received"]
        cuts = [f["received"] for f in self.faults if f["fault"] == "cut network" and
                f["node"] == event["node"] and f["sent"] <= event["received"]]
        return max([event["received"], *cuts]) + LATE_COMMIT

    def unseen_orders(self, user):
        """Submits without an answer may hold a slot, until a list must have shown what came of them."""
        whole = sorted((e for e in self.lists[user] if e.get("state") is None and
                        e["total"] <= len(e["reports"]) and e.get("page", 1) == 1),
                       key=lambda e: e["sent"])
        sent = [e["sent"] for e in whole]
        for event in self.submits[user]:
            if event["answer"] == "none":
                at = bisect_right(sent, self.over_by(event))
                yield event["sent"], whole[at]["received"] if at < len(whole) else None

    def _see_absences(self, user):
        """A whole list of all states tells of each report that is not in it that it is dead; one of
        a state, of those that had been seen in it."""
        own = sorted((r for r in self.reports.values() if r.user == user), key=Report.born_by)
        waiting, known = list(reversed(own)), {}
        for event in sorted(self.lists[user], key=lambda e: e["sent"]):
            while waiting and waiting[-1].born_by() < event["sent"]:
                report = waiting.pop()
                known[report.reference] = report
            if event["total"] > len(event["reports"]) or event.get("page", 1) != 1:
                continue
            present, state = {row[0] for row in event["reports"]}, event.get("state")
            for reference in [r for r in known if r not in present]:
                self._absent(known, reference, state, event)

    @staticmethod
    def _absent(known, reference, state, event):
        report = known[reference]
        if state is None:
            report.sights.append(Sight(event, "unknown"))
            del known[reference]
        elif RANKS[state] == ENDED and any(s.state == state and s.received < event["sent"]
                                           for s in report.sights):
            report.sights.append(Sight(event, "unknown"))

    def _see_deletions(self):
        """What is certain to have matched a deletion of many is dead once that is answered."""
        since = {reference: {} for reference in self.reports}  # when each state had been seen first
        living = defaultdict(list)  # of each user
        for reference, report in self.reports.items():
            living[report.user].append(report)
            for sight in report.sights:
                seen = since[reference]
                seen[sight.state] = min(sight.received, seen.get(sight.state, INFINITY))
        for event, certain in sorted(self.deletions, key=lambda pair: pair[0]["sent"]):
            own = [r for r in living[event["user"]]
                   if since[r.reference].get("unknown", INFINITY) >= event["sent"]]
            living[event["user"]] = own
            for report in own:
                self._see_deletion(event, certain, report, since[report.reference])

    @staticmethod
    def _see_deletion(event, certain, report, since):
        matches = report.matches(event, since)
        if matches is not False:
            report.deletes.append(event)
        if matches:
            certain.append(report)
        if matches and event["answer"] == "done":
            report.swept.append(event)
            report.sights.append(Sight(event, "unknown", sent=event["received"]))
            since["unknown"] = min(event["received"], since.get("unknown", INFINITY))

    def utc(self, at):
        return at + self.offset
