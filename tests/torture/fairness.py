"""Whose report starts next, and that none starts while all is paused: read from a history.

A report starts between the last answer that saw it queued (when that was asked for) and the first that saw it started
(when that was received). Its start was another user's turn if that user had something queued all the while and fewer running, or
as many and a last start that is longer ago. What is not certain is taken to speak for the start: of the user who starts,
the fewest that can have run and the earliest last start count; of the one who waits, the most and the latest. While a fault
may show, nothing is checked: a report may run and be queued again without anybody having seen that.
"""

from bisect import bisect_left, bisect_right
from itertools import accumulate

from model import CAUSE_LASTS, DEAD, ENDED, INFINITY

NEVER = -INFINITY


class Spans:
    """How many of these spans of time meet another one, or cover it."""

    def __init__(self, spans):
        spans = [span for span in spans if span[0] <= span[1]]
        self.begins = sorted(begin for begin, _ in spans)
        self.ends = sorted(end for _, end in spans)

    def meeting(self, begin, end):
        return bisect_right(self.begins, end) - bisect_left(self.ends, begin)

    def covering(self, begin, end):
        """At least: those that lie within it make it too few."""
        return max(0, bisect_left(self.begins, begin) - bisect_right(self.ends, end))


class Latest:
    """The latest value of all keys that come before one."""

    def __init__(self, pairs):
        pairs = sorted(pairs)
        self.keys = [key for key, _ in pairs]
        self.values = list(accumulate((value for _, value in pairs), max))

    def before(self, key):
        at = bisect_left(self.keys, key)
        return self.values[at - 1] if at else NEVER


class Life:
    """When a report was queued, may have started, and may or must have run."""

    def __init__(self, report, faults):
        self.report = report
        queued, processing = (report.sees(state) for state in ("queued", "processing"))
        ended = [sight for sight in report.sights if sight.rank == ENDED]
        dead = [sight.received for sight in report.sights if sight.rank == DEAD]
        self.started = min([*processing, *ended], key=lambda sight: sight.received, default=None)
        self.latest = min([self.started.received] if self.started else dead, default=INFINITY)
        self.queued = max((sight for sight in queued if sight.sent < self.latest), key=lambda sight: sight.sent, default=None)
        self.earliest = self.queued.sent if self.queued else report.first["sent"]
        self.at_rest = min([sight.received for sight in ended] + [at + CAUSE_LASTS for at in dead], default=INFINITY)
        self.waits = report.born_by(), max((sight.sent for sight in queued), default=NEVER)
        self.runs = self.latest, max((sight.sent for sight in processing), default=NEVER)
        if faults.meeting(report.first["sent"], max(self.latest, self.runs[1])):  # it may have started more than once
            self.runs = INFINITY, NEVER
            self.latest = self.at_rest

    def began(self):
        """Between which moments it was seen to start, or None."""
        return (self.earliest, self.started.received) if self.started and self.queued else None


class User:
    """What one user had running and queued."""

    def __init__(self, model, user, lives):
        unseen = [(sent, until or INFINITY) for sent, until in model.unseen_orders(user)]
        self.starts = sorted((life for life in lives if life.began()), key=lambda life: life.began()[1])
        self.may_run = Spans([(life.earliest, life.at_rest) for life in lives] + unseen)
        self.runs = Spans(life.runs for life in lives)
        self.latest_start = Latest([(life.earliest, life.latest) for life in lives] + unseen)
        self.earliest_start = Latest((life.began()[1], life.began()[0]) for life in self.starts)
        self.waiting = Latest((life.waits[0], life.waits[1]) for life in lives)
        self.writes = Spans((event["sent"], model.over_by(event) if event["answer"] in ("none", "failed") else event["received"])
                            for event in model.writes[user])

    def waits(self, begin, end):
        """Was something queued all the while, and touched by no request, which may lock it?"""
        return self.waiting.before(begin) > end and not self.writes.meeting(begin, end)

    def chances(self):
        """Each start: the report, between which moments, and how long ago at most the start before it was. Of two that
        may have been in either order, the later one is checked."""
        before = None
        for life in self.starts:
            begin, end = life.began()
            yield life, begin, end, self.earliest_start.before(begin)
            if before is not None and before.began()[1] > begin:
                first = min(begin, before.began()[0])
                yield life, first, end, first
            before = life


def faults_of(model):
    """When one may show."""
    return Spans((fault["sent"], fault["received"] + CAUSE_LASTS) for fault in model.faults
                 if fault["fault"] != "seams" or fault["seams"])


def users_of(model, faults):
    lives = {}
    for report in model.reports.values():
        lives.setdefault(report.user, []).append(Life(report, faults))
    return {user: User(model, user, own) for user, own in lives.items()}


def fair_starts(model):
    """The next report is that of the user with the fewest running; among equals, of the user whose last start is
    longest ago."""
    faults = faults_of(model)
    users, checked = users_of(model, faults), set()
    for name, user in users.items():
        others = [(other, waiter) for other, waiter in users.items() if other != name]
        for life, begin, end, last in user.chances():
            waiters = [] if faults.meeting(begin, end) else [pair for pair in others if pair[1].waits(begin, end)]
            if waiters:
                checked.add(life.report.reference)
            running = user.runs.covering(begin, end)
            for other, waiter in waiters:
                others_running = waiter.may_run.meeting(begin, end)
                if running > others_running or \
                        running == others_running and last > waiter.latest_start.before(end):
                    yield (f"{life.report.reference} of {name} starts before {other}'s: {running} running, and {others_running}",
                           life.queued.event, life.started.event)
    model.checked = len(checked)


def starts_while_paused(model):
    """Nothing starts from the answer to a pause until it is ended."""
    faults = faults_of(model)
    ends = sorted(event["sent"] for event in model.pauses if event["op"] == "resume")
    for pause in model.pauses:
        at = bisect_left(ends, pause["sent"])
        end = ends[at] if at < len(ends) else INFINITY
        if pause["op"] == "resume" or pause["answer"] != "done" or faults.meeting(pause["sent"], end):
            continue
        for report in model.reports.values():
            life = Life(report, faults)
            if life.began() and life.earliest > pause["received"] and life.started.received < end:
                yield f"{report.reference} starts while all is paused", pause, life.queued.event, life.started.event
