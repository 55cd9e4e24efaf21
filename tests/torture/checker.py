#!/usr/bin/env python3
"""Reads a history against the model of what reportd promises; prints each violation.

usage: checker.py HISTORY

The model of one report: active (queued or processing, back and forth) → complete or error, one of
them and for ever → dead. What an answer tells was true at some moment between sending the request
and receiving the answer; so of two answers only those are compared of which one was received before
the other was asked for. A request without an answer may have been carried out or not.

In a cluster any node may answer: the rules know no nodes. Only what a fault of one node explains is
explained for the answers of that node alone.
"""

import re
import sys
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from email.utils import parsedate_to_datetime
from datetime import datetime, timezone

from content import ERRORS
from history import read

SECOND = 1_000_000
CLOCK_SLACK = SECOND // 20  # the two clocks are read one after the other
ENDS_BEFORE_SEEN = SECOND  # the end counts from the worker's last word, before it is written down
PURGE_WITHIN = 10 * SECOND  # of its expiry, if nothing keeps the server from it
SLOT_WITHIN = 20 * SECOND  # a deletion without answer gives its slot back
STOPS_WITHIN = 3 * SECOND  # a query in PostgreSQL whose worker has died
LATE_COMMIT = 8 * SECOND  # PostgreSQL may carry out what it has got so long after the node died
CAUSE_LASTS = 2 * SECOND  # what a fault causes may show so much later
INFINITY = float("inf")
ACTIVE, ENDED, DEAD = 0, 1, 2
RANKS = {"queued": ACTIVE, "processing": ACTIVE, "complete": ENDED, "error": ENDED, "unknown": DEAD}

AWAY = ("restart postgresql", "crash postgresql")
ENDED_SESSIONS = ("terminate queries", "terminate some", "terminate all")
# With which a good report may end in error, and the fault that has to be in the history.
EXCUSES = (
    (re.compile(r"ended unexpectedly 3 times"), ("kill worker", "seams")),
    (re.compile(r"disk is full|could not write|could not store|could not make room|disk I/O error"),
     ("fill disk", "seams")),
    (re.compile(r"^The (connection to the )?report's (database|query) "), AWAY + ENDED_SESSIONS),
)
# Faults that make the server answer 503.
TROUBLE = ("fill disk", "seams", "end server", "cut network") + AWAY
# Faults in which a node does not come to make a session anew that has been ended. After either it starts no
# transfer before it has renewed its lease; the answer to a HEAD has no words that say so.
HELD = ("stop server", "hang server")
NO_LEASE = "lost touch with the others"
# Faults that take time in which nothing goes on.
DELAYS = ("fill disk", "stop server", "hang server", "kill server", "end server", "start",
          "cut network") + AWAY
# Faults after which a node does not stop its queries itself.
ORPHANS = ("kill server", "kill worker", "stop worker", "stop server", "hang server", "cut network",
           "crash at a seam", "end server")


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


class Model:
    """The history, sorted by what it is about."""

    def __init__(self, events):
        self.run, self.offset = {}, 0
        self.events, self.marks, self.faults = [], [], []
        self.reports = {}
        self.submits = defaultdict(list)  # by user
        self.lists = defaultdict(list)
        self.deletions = []  # of many, each with the reports that it matched for certain
        self.told = []  # by event streams
        self.running = []  # what PostgreSQL was seen to run
        self.restored = []
        self.delays, self.longest = None, 0  # spans of faults that take time, sorted
        self.violations = []
        self.counts = Counter()
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
            self.counts[event["op"]] += 1
            if event["answer"] == "odd":
                self.violate("odd answer", "not one that this request may have", event)
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

    def caused(self, event, *faults, ever=False):
        """Was there such a fault at the time, of all nodes or of the one that answered, or ever
        before? Of "seams" one with a seam."""
        for fault in self.faults:
            if fault["fault"] in faults and (fault["fault"] != "seams" or fault["seams"]) and \
                    fault["sent"] <= event["received"] and \
                    (ever or fault["received"] + CAUSE_LASTS >= event["sent"] and
                     fault.get("node") in (None, event.get("node"))):
                return True
        return False

    def robbed(self, event):
        """Was the node that answered held while sessions were ended, or has either cost it its lease?"""
        if (NO_LEASE in event["words"] or event["op"] == "head") and self.caused(event, *HELD, *ENDED_SESSIONS):
            return True
        return any(fault["fault"] in HELD and fault.get("node") == event.get("node") and
                   fault["sent"] <= event["received"] and
                   event["sent"] <= fault["received"] + CAUSE_LASTS and
                   self.caused(fault, *ENDED_SESSIONS) for fault in self.faults)

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


# --- rules ------------------------------------------------------------------------------------------


def never_back(model):
    """active → ended → dead, never back, and no answer contradicts one that came before it."""
    for report in model.reports.values():
        asked = sorted([(s.sent, s.rank, s.event) for s in report.sights] +
                       [(e["sent"], ENDED, e) for e in report.alive], key=lambda a: a[0])
        told = sorted(report.sights, key=lambda s: s.received)
        highest, at = None, 0
        for sent, rank, event in asked:
            while at < len(told) and told[at].received < sent:
                if highest is None or told[at].rank > highest.rank:
                    highest = told[at]
                at += 1
            if highest is not None and rank < highest.rank:
                words = "is seen after it was dead" if highest.rank == DEAD else "is active after it ended"
                yield f"{report.reference} {words}", highest.event, event
                break


def one_outcome(model):
    for report in model.reports.values():
        complete, error = report.sees("complete"), report.sees("error")
        if complete and error:
            yield f"{report.reference} is complete and error", complete[0].event, error[0].event
        if complete and report.name in ERRORS:
            yield f"{report.reference} cannot be complete", complete[0].event


def errors_have_words(model):
    """Every answer that tells of an error, and has a body, tells its message."""
    for report in model.reports.values():
        for event in [event for message, event in report.errors if not message][:1]:
            yield f"{report.name} {report.reference} has no message", event


def errors_have_causes(model):
    """A report may fail as its kind does, or by a fault."""
    for report in model.reports.values():
        own = ERRORS.get(report.name)
        for message, event in report.errors:
            if not message:
                continue
            if (own is None or not own.search(message)) and \
                    not any(words.search(message) and model.caused(event, *faults, ever=True)
                            for words, faults in EXCUSES):
                yield f"{report.name} {report.reference}: {message}", event
                break


def one_result(model):
    """Bytes, rows and tag of a result are the same in every answer, and those it has to have."""
    for report in model.reports.values():
        for key in ("etag", "bytes", "rows", "tag"):
            told = {r[key]: r["event"] for r in report.results if r.get(key) is not None}
            ordered = {"rows": report.rows, "tag": report.tag}.get(key)
            if ordered is not None and told:
                told.setdefault(int(ordered) if key == "rows" else ordered, report.orders[0])
            if len(told) > 1:
                yield f"{report.reference} has more than one {key}: {list(told)}", *told.values()


def deleted_once(model):
    for report in model.reports.values():
        answered = [event for event in report.deletes if event["answer"] == "deleted"]
        if len(answered) > 1:
            yield f"{report.reference} was deleted {len(answered)} times", *answered


def is_before_expiry(model, report, at):
    """Is it certain that it could not have expired by then?"""
    if report.expires is not None:
        return model.utc(at) + CLOCK_SLACK < report.expires
    active = [s.sent for s in report.sights if s.rank == ACTIVE]
    began = max(active + [e["sent"] for e in report.orders[:1]], default=0)
    least = began + model.run["retention_ms"] * 1000
    return at + ENDS_BEFORE_SEEN + model.delayed(began, at) < least


def ends_for_a_reason(model):
    """A report dies of a DELETE, or of its age: retention after it ended, not sooner."""
    for report in model.reports.values():
        dead = min((s for s in report.sights if s.rank == DEAD), key=lambda s: s.received, default=None)
        if dead is None or any(e["sent"] <= dead.received for e in report.deletes):
            continue
        if is_before_expiry(model, report, dead.received):
            words = "is lost, nobody deleted it" if report.expires is None else "is gone before it expires"
            yield f"{report.reference} {words}", report.first, dead.event


def deletes_all_or_none(model):
    """A deletion of many that broke off within its first batch has deleted all or none; one that is
    done counts each."""
    for event, certain in model.deletions:
        alone = [report for report in certain if report.deletes == [event]]
        over = model.over_by(event)
        dead = [s for r in alone for s in r.sights if s.rank == DEAD and is_before_expiry(model, r, s.received)]
        alive = [s for r in alone for s in r.sights if s.rank < DEAD and s.sent > over]
        if event["answer"] != "done" and dead and alive:
            yield "half of what it matched is dead", event, dead[0].event, alive[0].event
        counted = [r for r in alone if is_before_expiry(model, r, event["received"])]
        if event["answer"] == "done" and sum(event["deleted"].values()) < len(counted):
            yield f"it deleted {len(counted)} reports", event


def restored_as_it_was(model):
    """A restored store has no report whose deletion was answered before, and each that lived all the
    while, ended if it had ended."""
    for event in model.restored:
        states = {reference: state for reference, _, state in event["restored"]}
        for report in model.reports.values():
            state = states.get(report.reference)
            deleted = [e for e in report.is_deleted_by() if e["received"] < event["sent"]]
            if state is not None and deleted:
                yield f"{report.reference} is resurrected", deleted[0], event
            ended = [s for s in report.sights if s.rank == ENDED and s.received < event["backup"][0]]
            as_it_was = state == ended[0].state if ended else state is not None
            if not as_it_was and lives_through(model, report, event):
                yield f"{report.reference} is {state or 'not there'} once it is restored", report.first, event


def lives_through(model, report, event):
    """From before the backup until after the restore."""
    return report.born_by() < event["backup"][0] and \
        all(e["sent"] > event["received"] for e in report.deletes) and \
        is_before_expiry(model, report, event["received"])


def gone_in_time(model):
    """Not seen much later than its expiry, except for the time that faults took."""
    for report in model.reports.values():
        last = max((s for s in report.sights if s.rank < DEAD), key=lambda s: s.sent, default=None)
        if report.expires is None or last is None:
            continue
        expires = report.expires + SECOND - model.offset  # it was told to the second
        late = last.sent - expires - PURGE_WITHIN
        if late > 0:
            late -= model.delayed(expires, last.sent)
        if late > 0:
            yield f"{report.reference} is seen {late / SECOND:.1f} s too late", last.event


def one_report_a_key(model):
    """Two reports of one key, or of one order, never live at the same time."""
    by_key = defaultdict(dict)
    for report in model.reports.values():
        keys = {event["tag"] for event in report.orders}
        keys |= {event["key"] for event in report.orders if event.get("key") is not None}
        keys |= {result["tag"] for result in report.results if result.get("tag") is not None}
        for key in keys:
            by_key[report.user, key][report.reference] = report
    for report in model.reports.values():
        first = [event for event in report.orders if event["answer"] == "accepted"]
        if len(first) > 1:
            yield f"{report.reference} was accepted twice", *first
    for (_, key), reports in by_key.items():
        yield from rivals(key, sorted(reports.values(), key=Report.born_by))


def rivals(key, reports):
    for before, after in zip(reports, reports[1:]):
        lived = [s.sent for s in before.sights if s.rank < DEAD] + [e["sent"] for e in before.alive]
        if max(lived, default=0) > after.born_by() and before.born_by() < after.first["sent"]:
            last = max((s for s in before.sights if s.rank < DEAD), key=lambda s: s.sent, default=None)
            yield (f"{key} has {before.reference} and {after.reference}", before.first, after.first,
                   last.event if last else before.alive[-1])


def replayed_what_was_ordered(model):
    """A first answer may be a replay only of a submit that was sent before; a key is said to be
    reused only if it was sent with something else."""
    for submits in model.submits.values():
        by_key = defaultdict(list)
        for event in submits:
            if event.get("key") is not None:
                by_key[event["key"]].append(event)
        for events in by_key.values():
            for event in events:
                same = event["answer"] == "replayed"
                if event["answer"] not in ("replayed", "key-reused"):
                    continue
                if not any(e is not event and e["sent"] < event["received"] and
                           (e["tag"] == event["tag"]) == same and e["answer"] != "limit"
                           for e in events):
                    yield f"{event['answer']} of nothing", event


def never_too_many(model):
    """When a POST is accepted, at most limit − 1 others are certainly active all the while."""
    limit = model.run["limit"]
    spans = defaultdict(list)
    for report in model.reports.values():
        active = [s for s in report.sights if s.rank == ACTIVE]
        if active:
            spans[report.user].append((report.born_by(), max(s.sent for s in active), report))
    for user, submits in model.submits.items():
        own, begun, at = sorted(spans[user], key=lambda s: s[0]), [], 0
        for event in sorted(submits, key=lambda e: e["sent"]):
            if event["answer"] != "accepted":
                continue
            while at < len(own) and own[at][0] < event["sent"]:
                begun.append(own[at])
                at += 1
            begun = [span for span in begun if span[1] > event["sent"]]
            others = [s for s in begun if s[1] > event["received"] and
                      s[2].reference != event["reference"]]
            if len(others) >= limit:
                yield f"{user} has {len(others)} others active", event, *(s[2].first for s in others)


def released(report):
    """When it gave its slot back at the latest, or None if it may hold it still."""
    times = [s.received for s in report.sights if s.rank == ENDED]
    answered = [e["received"] for e in report.is_deleted_by()]
    dead = [s.received for s in report.sights if s.rank == DEAD]
    if answered:
        times.append(min(answered))
    elif dead and report.deletes:  # the slot is free once its query has been stopped
        times.append(max(min(dead), *(e["received"] for e in report.deletes)) + SLOT_WITHIN)
    elif dead:
        times.append(min(dead))
    return min(times, default=None)


def unseen_orders(model, user):
    """Submits without an answer may hold a slot, until a list must have shown what came of them."""
    whole = sorted((e for e in model.lists[user] if e.get("state") is None and
                    e["total"] <= len(e["reports"]) and e.get("page", 1) == 1),
                   key=lambda e: e["sent"])
    sent = [e["sent"] for e in whole]
    for event in model.submits[user]:
        if event["answer"] == "none":
            at = bisect_right(sent, model.over_by(event))
            yield event["sent"], whole[at]["received"] if at < len(whole) else None


def never_too_few(model):
    """A POST is refused only if limit slots may be taken."""
    for user, submits in model.submits.items():
        spans = [(r.first["sent"], released(r)) for r in model.reports.values() if r.user == user]
        spans += unseen_orders(model, user)
        begins = sorted(begin for begin, _ in spans)
        ends = sorted(end for _, end in spans if end is not None)
        for event in submits:
            if event["answer"] != "limit":
                continue
            taken = bisect_left(begins, event["received"]) - bisect_right(ends, event["sent"])
            if taken < model.run["limit"]:
                yield f"{user} can have {taken} slots taken only", event


def whole_lists(model):
    """A list is one moment: as many as it says, each once, of the state asked for; so is a Status."""
    for event in model.events:
        if event.get("position", 1) < 1:
            yield "queued at no place", event
    for events in model.lists.values():
        for event in events:
            rows = [row[0] for row in event["reports"]]
            wanted = min(event["size"], max(0, event["total"] - (event.get("page", 1) - 1) * event["size"]))
            if len(rows) != wanted:
                yield f"{len(rows)} reports of {event['total']}, not {wanted}", event
            if len(set(rows)) != len(rows):
                yield "a report twice", event
            if event.get("state") and any(row[2] != event["state"] for row in event["reports"]):
                yield "a report of another state", event
            active = sum(RANKS[row[2]] == ACTIVE for row in event["reports"])
            if active > model.run["limit"]:
                yield f"{active} active reports", event


def answered(model):
    """No request hangs; 500 never, and 503 only for a cause."""
    for event in model.events:
        if event.get("why") == "timeout":
            yield "no answer in time", event
        elif event.get("why") == "in doubt" and not model.caused(event, *AWAY, "cut network"):
            yield "in doubt without a cause", event
        elif event["answer"] == "failed" and not event["words"].startswith("503"):
            yield "an internal error", event
        elif event["answer"] == "failed" and not model.caused(event, *TROUBLE) and \
                not model.robbed(event):
            yield "unavailable without a cause", event


def refused_is_not_stored(model):
    """An order that was refused, or answered 503, has no report."""
    refused = {e["tag"]: e for submits in model.submits.values() for e in submits
               if e["answer"] in ("limit", "failed", "key-reused")}
    for submits in model.submits.values():
        for event in submits:
            if event["answer"] in ("accepted", "replayed", "none"):
                refused.pop(event["tag"], None)
    for report in model.reports.values():
        for result in report.results:
            if result.get("tag") in refused:
                yield f"{report.reference} was refused", refused[result["tag"]], result["event"]


def stops_when_deleted(model):
    """Nothing of a report runs once its deletion is answered, unless nobody was there to stop it; and
    then not for long."""
    for event in model.running:
        for reference in event["running"]:
            report = model.reports.get(reference)
            answered = report.is_deleted_by() if report else []
            if answered and event["sent"] > answered[0]["received"] and \
                    event["sent"] > stopped_by(model, answered[0]):
                yield f"{reference} runs though it was deleted", answered[0], event
                break


def stopped_by(model, deletion):
    """The time by which the query of a deleted report has ended."""
    times = [deletion["received"]]
    for fault in model.faults:
        if fault["fault"] in ORPHANS and fault["sent"] <= deletion["received"] and \
                fault["received"] + STOPS_WITHIN >= deletion["sent"]:
            times.append(max(fault["received"], deletion["received"]) + STOPS_WITHIN)
    return max(times)


def all_ends(model):
    """Once the faults are over, every accepted report ends, and the driver finds all in order."""
    settled = next((m for m in model.marks if m["mark"] == "settled"), None)
    if settled is None:
        yield "the run did not come to its end", *model.marks[-1:]
        return
    for report in model.reports.values():
        late = [s for s in report.sights if s.rank == ACTIVE and s.sent > settled["sent"]]
        if late and report.first["sent"] < settled["sent"]:
            yield f"{report.reference} does not end", report.first, late[-1].event
        if not any(s.rank > ACTIVE for s in report.sights):
            yield f"nobody knows how {report.reference} ended", report.first


def found_by_the_driver(model):
    """Marks of things that must not be: a crash of its own, an audit that finds something …"""
    for mark in model.marks:
        if mark["mark"] not in ("settled", "begun"):
            yield mark["mark"], mark


def told_in_order(model):
    """In a stream nothing goes back, and nothing of a report follows its end but that it is deleted."""
    last = {}
    for event in model.told:
        key = event["user"], event["stream"], event["reference"]
        before, last[key] = last.get(key), event
        if before is None:
            continue
        was, now = (RANKS.get(e["event"], DEAD) for e in (before, event))
        if now < was or now == was != ACTIVE:
            yield f"{event['event']} follows {before['event']}", before, event


RULES = {
    "events out of order": told_in_order,
    "the state went back": never_back,
    "two outcomes": one_outcome,
    "an error without words": errors_have_words,
    "failed without cause": errors_have_causes,
    "the result changed": one_result,
    "deleted twice": deleted_once,
    "half deleted": deletes_all_or_none,
    "lost": ends_for_a_reason,
    "restored otherwise": restored_as_it_was,
    "not purged": gone_in_time,
    "two reports for one key": one_report_a_key,
    "a false replay": replayed_what_was_ordered,
    "more active than allowed": never_too_many,
    "refused with slots free": never_too_few,
    "an answer contradicts itself": whole_lists,
    "not answered": answered,
    "stored though refused": refused_is_not_stored,
    "runs though deleted": stops_when_deleted,
    "did not end": all_ends,
    "found at the end": found_by_the_driver,
}


def check(events):
    """The model of the history, with every violation in model.violations."""
    model = Model(events)
    for name, rule in RULES.items():
        for words, *where in rule(model):
            model.violate(name, words, *where)
    return model


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    model = check(read(sys.argv[1]))
    for violation in model.violations:
        print(violation)
    print(f"{len(model.events)} operations, {len(model.reports)} reports, "
          f"{len(model.violations)} violations")
    sys.exit(1 if model.violations else 0)


if __name__ == "__main__":
    main()
