#!/usr/bin/env python3
"""Reads a history against the model of what reportd promises; prints each violation.

usage: checker.py HISTORY

The rules are those of model.py's reports, and the table at the end. In a cluster any node may answer: the
rules know no nodes. Only what a fault of one node explains is explained for the answers of that node alone.
"""

import re
import sys
from bisect import bisect_left, bisect_right
from collections import defaultdict

from content import ERRORS
from fairness import fair_starts, starts_while_paused
from history import read
from model import ACTIVE, AWAY, DEAD, ENDED, ENDED_SESSIONS, RANKS, SECOND, Model, Report

CLOCK_SLACK = SECOND // 20  # the two clocks are read one after the other
ENDS_BEFORE_SEEN = SECOND  # the end counts from the worker's last word, before it is written down
PURGE_WITHIN = 10 * SECOND  # of its expiry, if nothing keeps the server from it
STOPS_WITHIN = 3 * SECOND  # a query in PostgreSQL whose worker has died
# With which a good report may end in error, and the fault that has to be in the history.
EXCUSES = (
    (re.compile(r"ended unexpectedly 3 times"), ("kill worker", "seams")),
    (re.compile(r"disk is full|could not write|could not store|could not make room|disk I/O error"),
     ("fill disk", "seams")),
    (re.compile(r"^The (connection to the )?report's (database|query) "), AWAY + ENDED_SESSIONS),
)
# Faults that make the server answer 503.
TROUBLE = ("fill disk", "seams", "end server", "cut network") + AWAY
# Faults after which a node does not stop its queries itself.
ORPHANS = ("kill server", "kill worker", "stop worker", "stop server", "hang server", "cut network",
           "crash at a seam", "end server")


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
        # Of a report whose submit was not answered, and which was in no list, the kind is unknown.
        kinds = [ERRORS[report.name]] if report.name in ERRORS else [] if report.name else ERRORS.values()
        for message, event in report.errors:
            if not message:
                continue
            if not any(own.search(message) for own in kinds) and \
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


def never_too_few(model):
    """A POST is refused only if limit slots may be taken."""
    for user, submits in model.submits.items():
        spans = [(r.first["sent"], r.released()) for r in model.reports.values() if r.user == user]
        spans += model.unseen_orders(user)
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


def doubted(model, event):
    """Another node may have finished a deletion whose session has ended."""
    return model.caused(event, *AWAY, "cut network") or \
        event["op"].startswith("delete") and model.caused(event, *ENDED_SESSIONS)


def answered(model):
    """No request hangs; 500 never, and 503 only for a cause."""
    for event in model.events:
        if event.get("why") == "timeout":
            yield "no answer in time", event
        elif event.get("why") == "in doubt" and not doubted(model, event):
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
    "unfair": fair_starts,
    "started while paused": starts_while_paused,
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
