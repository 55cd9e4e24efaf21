"""The checker can fail: a history that breaks a promise is caught, and by the rule that is meant."""

import pytest

from checker import PURGE_WITHIN, RULES, STOPS_WITHIN, check
from model import LATE_COMMIT, SECOND, SLOT_WITHIN

LIMIT = 2
RETENTION_MS = 5000
A, B, C, D = (f"reference-{letter}" for letter in "abcd")
DATE = "Tue, 24 Nov 2026 00:00:%02d GMT"
TIME = "2026-11-24T00:00:%02dZ"
MIDNIGHT_US = 1795478400 * SECOND  # of that day; the clock of the histories begins there


class Story:
    """A history told event by event: each takes 10 ms, and the next begins 10 ms later, unless it
    is told otherwise."""

    def __init__(self):
        self.events = [{"run": {"limit": LIMIT, "retention_ms": RETENTION_MS},
                        "utc_offset_us": MIDNIGHT_US}]
        self.now = 0

    def add(self, event, at=None, until=None):
        self.now += 10_000
        sent = self.now if at is None else int(at * SECOND)
        self.now = max(self.now, sent) + 10_000
        received = self.now if until is None else int(until * SECOND)
        self.now = max(self.now, received)
        self.events.append(event | {"sent": sent, "received": received})
        return self

    def op(self, op, reference, answer, user="ann", at=None, until=None, **facts):
        return self.add({"op": op, "user": user, "reference": reference, "answer": answer, **facts},
                        at, until)

    def submit(self, reference, answer="accepted", user="ann", at=None, until=None, **facts):
        facts = {"report": "Rows", "tag": f"tag of {reference}", "rows": "3", **facts}
        facts |= {"reference": reference} if reference else {}
        return self.add({"op": "submit", "user": user, "answer": answer, **facts}, at, until)

    def status(self, reference, answer, **facts):
        return self.op("status", reference, answer, **facts)

    def get(self, reference, etag="e", size=100, **facts):
        return self.op("get", reference, "complete", etag=etag, bytes=size, tag=f"tag of {reference}",
                       **facts)

    def delete(self, reference, answer="deleted", **facts):
        return self.op("delete", reference, answer, **facts)

    def delete_many(self, answer="done", user="ann", at=None, until=None, complete=0, **facts):
        facts |= {"deleted": {"complete": complete}} if answer == "done" else {}
        return self.add({"op": "delete many", "user": user, "answer": answer, **facts}, at, until)

    def list(self, *rows, total=None, user="ann", at=None, until=None, message="Nothing is called x.",
             **facts):
        """Rows of (reference, state)."""
        reports = [[reference, "Rows", state, 3, 100, None, message if state == "error" else None]
                   for reference, state in rows]
        return self.add({"op": "list", "user": user, "answer": "listed", "size": 1000, "reports": reports,
                         "total": len(rows) if total is None else total, **facts}, at, until)

    def told(self, reference, *states, user="ann", stream=1, began=0, **facts):
        for state in states:
            self.add({"event": state, "user": user, "reference": reference, "stream": stream, **facts})
            self.events[-1]["sent"] = int(began * SECOND)
        return self

    def fault(self, fault, at=None, until=None, **facts):
        return self.add({"fault": fault, **facts}, at, until)

    def mark(self, mark, **facts):
        return self.add({"mark": mark, **facts})

    def rules(self):
        """Which rules are broken, once the story has come to its end."""
        if not any(event.get("mark") == "settled" for event in self.events):
            self.mark("settled")
        numbered = [event | {"n": number} for number, event in enumerate(self.events, 1)]
        return {violation.rule for violation in check(numbered).violations}


@pytest.fixture
def story():
    return Story()


def ended(story, reference=A, **facts):
    return story.submit(reference, **facts).status(reference, "complete")


def test_a_whole_life_breaks_no_rule(story):
    story.submit(A, state="queued", key="k").status(A, "queued", position=1).list((A, "processing"))
    story.submit(A, "replayed", key="k", state="processing").status(A, "complete").get(A)
    story.list((A, "complete")).delete(A).status(A, "unknown").delete(A, "unknown").list()
    assert story.rules() == set()


def test_what_was_answered_at_the_same_time_contradicts_nothing(story):
    story.submit(A, at=1, until=2).status(A, "complete", at=3, until=5).status(A, "queued", at=2.5, until=4)
    story.delete(A, at=6, until=8).status(A, "complete", at=5, until=7).status(A, "unknown", at=6, until=7)
    assert story.rules() == set()


@pytest.mark.parametrize("then", ["queued", "processing", "complete", "error"])
def test_a_deleted_report_that_is_seen_again(story, then):
    ended(story).delete(A).status(A, then)
    assert "the state went back" in story.rules()


@pytest.mark.parametrize("facts", [{"op": "form", "form": "csv"}, {"op": "follow", "form": "csv"}, {"op": "window"}])
def test_a_deleted_report_that_is_read_in_another_way(story, facts):
    ended(story).op(reference=A, answer="complete", **facts)
    assert story.rules() == set()
    story.delete(A).op(reference=A, answer="complete", **facts)
    assert story.rules() == {"the state went back"}


def test_a_dead_link_says_nothing_of_its_report(story):
    ended(story).op("follow", A, "no link").status(A, "complete").delete(A).op("follow", A, "no link")
    assert story.rules() == set()


def test_a_form_that_is_not_what_it_has_to_be(story):
    ended(story).op("form", A, "complete", form="csv", wrong="csv of 1 bytes, not 2")
    assert story.rules() == {"wrong content"}


def test_a_deleted_report_that_a_list_shows(story):
    ended(story).delete(A).list((A, "complete"))
    assert "the state went back" in story.rules()


def test_a_deleted_report_that_the_limit_names(story):
    story.submit(A).submit(B).delete(A).submit(None, "limit", active=[[A, "queued"], [B, "queued"]])
    assert "the state went back" in story.rules()


def test_a_deleted_report_that_its_key_replays(story):
    ended(story, key="k").delete(A).submit(A, "replayed", key="k")
    assert "the state went back" in story.rules()


def test_a_report_that_comes_back_after_it_was_unknown(story):
    ended(story).delete(A, "none").status(A, "unknown").status(A, "complete")
    assert "the state went back" in story.rules()


def test_a_report_that_comes_back_after_a_list_without_it(story):
    ended(story).delete(A, "none").list().status(A, "complete")
    assert "the state went back" in story.rules()


def test_a_delete_without_answer_may_have_happened_or_not(story):
    ended(story).delete(A, "none").status(A, "complete").delete(A, "none").status(A, "unknown")
    assert story.rules() == set()


def test_a_report_that_is_active_again(story):
    ended(story).status(A, "processing").status(A, "complete")
    assert story.rules() == {"the state went back"}


def test_a_report_that_a_list_of_its_state_does_not_show(story):
    ended(story).list(state="complete").status(A, "complete").delete(A)
    assert "the state went back" in story.rules()


def test_a_report_deleted_twice(story):
    ended(story).delete(A, at=1, until=2).delete(A, at=1, until=2)
    assert story.rules() == {"deleted twice"}


def test_two_outcomes(story):
    ended(story).list((A, "error"))
    assert "two outcomes" in story.rules()


def test_a_failing_report_that_is_complete(story):
    ended(story, report="Failing")
    assert story.rules() == {"two outcomes"}


@pytest.mark.parametrize("other", [{"etag": "other"}, {"size": 101}])
def test_a_result_that_changes(story, other):
    ended(story).get(A).get(A, **other)
    assert story.rules() == {"the result changed"}


def test_a_result_of_another_order(story):
    ended(story).op("get", A, "complete", etag="e", bytes=100, tag="another's")
    assert story.rules() == {"the result changed"}


def test_content_that_is_wrong(story):
    ended(story).get(A, wrong="differs at 17")
    assert story.rules() == {"wrong content"}


def test_an_error_without_cause(story):
    story.submit(A).status(A, "error", message="The server's disk is full. Try again later.")
    assert story.rules() == {"failed without cause"}


def test_an_error_with_its_cause(story):
    story.submit(A).status(A, "error", message="The server's disk is full.", at=2, until=3)
    story.fault("fill disk", at=1, until=9)  # it is written down once it is over
    story.submit(B, report="Failing").status(B, "error", message="Nothing is called b.")
    assert story.rules() == set()


@pytest.mark.parametrize("message", [None, ""])
def test_an_error_without_words(story, message):
    story.submit(A).list((A, "error"), message=message)
    assert story.rules() == {"an error without words"}


def test_a_status_of_an_error_without_words(story):
    story.submit(A).status(A, "error", message="")
    assert story.rules() == {"an error without words"}


def test_a_report_that_nobody_deleted(story):
    ended(story, at=1).status(A, "unknown", at=3)
    assert story.rules() == {"lost"}


def test_a_report_that_a_list_lacks_though_nobody_deleted_it(story):
    story.submit(A).list()
    assert story.rules() == {"lost"}


def test_a_delete_by_another_does_not_explain_it(story):
    ended(story).delete(A, "unknown", user="bob").status(A, "unknown")
    assert story.rules() == {"lost"}


def test_what_a_deletion_of_many_matched_is_dead(story):
    ended(story).submit(B, report="Failing").status(B, "error", message="Nothing is called b.")
    story.delete_many(state="complete", complete=1).status(A, "unknown")
    story.status(B, "error", message="Nothing is called b.")
    assert story.rules() == set()


@pytest.mark.parametrize("facts", [{"state": "complete"}, {"report": "Rows"},
                                   {"state": "complete", "report": "Rows"}])
def test_a_report_that_outlives_a_deletion_of_many(story, facts):
    ended(story).delete_many(complete=1, **facts).status(A, "complete")
    assert story.rules() == {"the state went back"}


@pytest.mark.parametrize("facts", [{"state": "error"}, {"report": "Failing"}, {"user": "bob", "state": "complete"},
                                   {"state": "complete", "report": "Failing"}])
def test_a_deletion_of_many_that_does_not_match_explains_nothing(story, facts):
    ended(story).delete_many(**facts).status(A, "unknown")
    assert story.rules() == {"lost"}


def test_a_deletion_of_many_may_match_what_is_active(story):
    story.submit(A).status(A, "queued").submit(B).delete_many(state="queued").status(A, "unknown")
    story.status(B, "complete")
    assert story.rules() == set()


@pytest.mark.parametrize("answer", ["none", "failed"])
def test_a_deletion_of_many_that_broke_off_in_the_middle(story, answer):
    ended(story).submit(B).status(B, "complete").fault("fill disk")
    story.delete_many(answer, state="complete", words="503 {}").status(A, "unknown").status(B, "complete")
    assert story.rules() == {"half deleted"}


def test_a_deletion_of_many_that_broke_off_before_or_after_all(story):
    ended(story).submit(B).status(B, "complete").delete_many("none", state="complete")
    story.status(A, "complete").status(B, "complete").delete_many("none", state="complete")
    story.status(A, "unknown").status(B, "unknown")
    assert story.rules() == set()


def test_a_deletion_of_many_that_miscounts(story):
    ended(story).submit(B).status(B, "complete").delete_many(state="complete", complete=1)
    assert story.rules() == {"half deleted"}


def test_a_slot_that_a_deletion_of_many_did_not_give_back(story):
    story.submit(A).submit(B).delete_many(report="Rows", complete=2)
    story.submit(None, "limit", active=[]).list()
    assert story.rules() == {"refused with slots free"}


def restored(story, *rows, at=None):
    """Backed up now and restored from that, `at` or at once."""
    backup = [story.now + 1, story.now + 2]
    return story.add({"restored": [[reference, "ann", state] for reference, state in rows], "backup": backup}, at)


def test_a_restore(story):
    ended(story).submit(B).submit(C)
    restored(story, (A, "complete"), (B, "queued"), (C, "processing"))
    story.status(A, "complete").status(B, "complete").status(C, "complete").delete(A)
    assert story.rules() == set()


def test_a_report_that_a_restore_resurrects(story):
    ended(story).delete(A)
    restored(story, (A, "complete"))
    assert story.rules() == {"restored otherwise"}


def test_a_report_of_many_that_a_restore_resurrects(story):
    ended(story).delete_many(state="complete", complete=1)
    restored(story, (A, "complete"))
    assert story.rules() == {"restored otherwise"}


@pytest.mark.parametrize("rows", [(), [(A, "queued")]])
def test_a_report_that_a_restore_loses_or_puts_back(story, rows):
    ended(story)
    restored(story, *rows)
    story.status(A, "complete")
    assert story.rules() == {"restored otherwise"}


def test_a_report_that_may_be_gone_is_not_missed_by_a_restore(story):
    ended(story).delete(A, "none")
    restored(story)
    story.status(A, "unknown").submit(B).status(B, "complete")
    restored(story, at=9)
    assert story.rules() == set()


def test_a_report_that_expires(story):
    ended(story).get(A, expires=DATE % 6).status(A, "unknown", at=6.5)
    assert story.rules() == set()


def test_a_report_that_is_gone_before_it_expires(story):
    ended(story).get(A, expires=DATE % 9).status(A, "unknown", at=8)
    assert story.rules() == {"lost"}


def test_a_report_that_is_not_purged(story):
    ended(story).get(A, expires=DATE % 5).status(A, "complete", at=7 + PURGE_WITHIN / SECOND)
    assert story.rules() == {"not purged"}


def test_two_reports_for_one_key(story):
    story.submit(A, key="k").submit(B, key="k").status(A, "complete").status(B, "complete")
    assert story.rules() == {"two reports for one key"}


def test_two_reports_for_one_order_of_which_one_had_no_answer(story):
    story.submit(None, "none", key="k", tag="once").submit(A, key="k", tag="once").status(A, "complete")
    story.list((A, "complete"), (B, "complete"))
    story.op("get", B, "complete", etag="f", bytes=100, tag="once").status(A, "complete")
    assert "two reports for one key" in story.rules()


def test_a_report_accepted_twice(story):
    ended(story, key="k").submit(A, key="k", state="complete")
    assert story.rules() == {"two reports for one key"}


def test_a_key_is_free_after_a_delete(story):
    ended(story, key="k").delete(A).submit(B, key="k").status(B, "complete")
    assert story.rules() == set()


def test_a_replay_of_nothing(story):
    story.submit(A, "replayed", key="k").status(A, "complete")
    assert story.rules() == {"a false replay"}


def test_a_key_that_is_said_to_be_reused_but_is_not(story):
    ended(story, key="k").submit(None, "key-reused", key="k", tag=f"tag of {A}")
    assert story.rules() == {"a false replay"}


def test_one_more_than_the_limit(story):
    story.submit(A).submit(B).submit(C)
    for reference in (A, B, C):
        story.status(reference, "queued").status(reference, "complete")
    assert story.rules() == {"more active than allowed"}


def test_a_list_of_more_than_the_limit(story):
    story.submit(A, at=1, until=9).submit(B, at=1, until=9).submit(C, at=1, until=9)
    story.list((A, "queued"), (B, "queued"), (C, "queued"))
    for reference in (A, B, C):
        story.status(reference, "complete")
    assert story.rules() == {"an answer contradicts itself"}


def test_a_refusal_with_a_slot_free(story):
    story.submit(A).submit(B).status(A, "complete").submit(None, "limit", active=[[B, "queued"]])
    story.status(B, "complete")
    assert story.rules() == {"refused with slots free"}


def test_a_slot_that_a_delete_did_not_give_back(story):
    story.submit(A).submit(B).delete(A).submit(None, "limit", active=[[B, "queued"]]).status(B, "complete")
    assert story.rules() == {"refused with slots free"}


def test_a_slot_that_may_be_taken(story):
    """By a submit without answer, or by a deletion that is not over."""
    story.submit(A).submit(None, "none").submit(None, "limit", active=[[A, "queued"]])
    story.list((A, "queued")).submit(B).delete(B, "none").status(B, "unknown")
    story.submit(None, "limit", active=[[A, "queued"]]).status(A, "queued", at=5 + SLOT_WITHIN / SECOND)
    assert story.rules() - {"did not end"} == set()
    story.submit(None, "limit", active=[[A, "queued"]]).status(A, "complete")
    assert story.rules() - {"did not end"} == {"refused with slots free"}


def others_start(story, *others, waits=True, running=0, **fault):
    """Bob's reports start one after the other, each while the one before runs, as Ann's is seen to wait."""
    story.submit("of ann" if running else A)
    if running:
        story.status("of ann", "processing").submit(A)
    for other in others:
        story.submit(other, user="bob").status(other, "queued", user="bob")
    if fault:
        story.fault(**fault)
    for other in others:
        story.status(other, "processing", user="bob").status(A, "queued" if waits else "processing")
    for other in others:
        story.status(other, "processing", user="bob")
        story.status(other, "complete", user="bob")
    if running:
        story.status("of ann", "processing").status("of ann", "complete")
    return story.status(A, "complete")


def test_a_user_with_more_running_starts_first(story):
    assert others_start(story, B, C).rules() == {"unfair"}


def test_each_other_user_may_start_one(story):
    assert others_start(story, B).rules() == set()


def test_the_order_of_users_with_as_many_running_is_not_known(story):
    assert others_start(story, B, C, running=1).rules() == set()


def test_who_starts_first_after_a_fault_is_not_known(story):
    assert others_start(story, B, C, fault="kill worker").rules() == set()


def test_a_user_who_does_not_wait_any_more_has_nothing_to_expect(story):
    assert others_start(story, B, C, waits=False).rules() == set()


def one_after_the_other(story, *turns):
    """Each of (user, reference) is queued while the others start and end in this order."""
    for user, reference in turns:
        story.submit(reference, user=user)
    for at, (user, reference) in enumerate(turns):
        for later, its in turns[at:]:
            story.status(its, "queued", user=later)
        story.status(reference, "processing", user=user).status(reference, "complete", user=user)
    return story


def test_a_user_whose_last_start_is_later_starts_first(story):
    """With one worker nobody has anything running."""
    assert one_after_the_other(story, ("ann", A), ("bob", B), ("bob", C), ("ann", D)).rules() == {"unfair"}


def test_users_in_turn(story):
    assert one_after_the_other(story, ("ann", A), ("bob", B), ("ann", C), ("bob", D)).rules() == set()


def test_two_starts_that_may_have_been_in_any_order(story):
    """The later one of them was Ann's turn."""
    story.submit(A).submit(B, user="bob").submit(C, user="bob").status(A, "queued")
    story.list((B, "queued"), (C, "queued"), user="bob")
    story.list((B, "complete"), (C, "complete"), user="bob").status(A, "queued").status(A, "complete")
    assert story.rules() == {"unfair"}


def test_a_request_may_lock_what_waits(story):
    """A claim skips what another batch has locked."""
    story.submit(A).submit(B, user="bob").submit(C, user="bob").status(A, "queued")
    story.list((B, "queued"), (C, "queued"), user="bob").delete_many(state="error", report="Rows")
    story.list((B, "complete"), (C, "complete"), user="bob").status(A, "queued").status(A, "complete")
    assert story.rules() == set()


def paused(story, *, ends):
    story.submit(A).op("pause", None, "done", user="olga").status(A, "queued")
    if ends:
        story.op("resume", None, "done", user="olga")
    story.status(A, "processing")
    if not ends:
        story.op("resume", None, "done", user="olga")
    return story.status(A, "complete").rules()


def test_a_start_while_all_is_paused(story):
    assert paused(story, ends=False) == {"started while paused"}


def test_a_start_after_a_pause(story):
    assert paused(story, ends=True) == set()


def test_a_list_that_miscounts(story):
    ended(story).list((A, "complete"), total=2)
    assert story.rules() == {"an answer contradicts itself"}


def test_a_list_of_a_state_with_another(story):
    ended(story).list((A, "complete"), state="error")
    assert "an answer contradicts itself" in story.rules()


def test_a_place_in_the_queue_that_does_not_exist(story):
    story.submit(A).status(A, "queued", position=0).status(A, "complete")
    assert story.rules() == {"an answer contradicts itself"}


def test_another_user_learns_of_a_report(story):
    ended(story).status(A, "complete", user="bob")
    assert story.rules() == {"another's report"}


def test_another_user_deletes_a_report(story):
    ended(story).delete(A, user="bob")
    assert story.rules() == {"another's report"}


def test_another_users_list_has_a_report(story):
    ended(story).list((A, "complete"), user="bob")
    assert story.rules() == {"another's report"}


def test_a_report_that_nobody_ordered(story):
    story.status(D, "complete")
    assert story.rules() == {"never accepted"}


def test_a_request_that_hangs(story):
    ended(story).status(A, "none", why="timeout")
    assert story.rules() == {"not answered"}


def test_an_internal_error(story):
    ended(story).fault("fill disk").status(A, "failed", words="500 {}")
    assert story.rules() == {"not answered"}


def test_unavailable_without_a_cause(story):
    ended(story).fault("seams", seams="").status(A, "failed", words="503 {}")
    assert story.rules() == {"not answered"}


def test_unavailable_for_a_cause(story):
    ended(story).fault("seams", seams="store.commit=EIO").status(A, "failed", words="503 {}")
    assert story.rules() == set()


def test_a_refused_order_that_was_stored(story):
    story.fault("fill disk").submit(None, "failed", tag="once", words="503 {}")
    story.list((A, "complete")).op("get", A, "complete", etag="e", bytes=100, tag="once")
    assert story.rules() == {"stored though refused"}


def test_a_report_that_does_not_end(story):
    story.submit(A).mark("settled").status(A, "processing")
    assert story.rules() == {"did not end"}


def test_a_report_of_which_nobody_asked_what_became(story):
    story.submit(A)
    assert story.rules() == {"did not end"}


@pytest.mark.parametrize("then", ["queued", "processing", "complete", "error"])
def test_a_report_that_is_dead_on_one_node_only(story, then):
    ended(story, node=0).delete(A, node=0).status(A, then, node=1)
    assert "the state went back" in story.rules()


def test_a_result_that_nodes_serve_differently(story):
    ended(story).get(A, node=0).get(A, node=1, etag="other")
    assert story.rules() == {"the result changed"}


def test_a_report_that_another_node_has_not_got(story):
    ended(story, node=0).get(A, node=0).status(A, "unknown", node=1)
    assert "lost" in story.rules()


def test_one_more_than_the_limit_on_another_node(story):
    story.submit(A, node=0).submit(B, node=1).submit(C, node=2)
    for reference in (A, B, C):
        story.status(reference, "queued").status(reference, "complete")
    assert story.rules() == {"more active than allowed"}


def test_a_key_that_makes_a_report_on_each_node(story):
    story.submit(A, key="k", node=0).submit(B, key="k", node=1).status(A, "complete").status(B, "complete")
    assert story.rules() == {"two reports for one key"}


def test_a_fault_of_one_node_explains_no_answer_of_another(story):
    story.fault("cut network", node=0).submit(None, "failed", node=0, words="503 {}")
    assert story.rules() == set()
    story.submit(None, "failed", node=1, words="503 {}")
    assert story.rules() == {"not answered"}


def test_a_node_that_is_held_while_its_sessions_are_ended(story):
    story.fault("hang server", node=0, at=1, until=5).fault("terminate all", at=1.5, until=2)
    story.submit(None, "failed", node=0, words="503 {}", at=5.5)
    assert story.rules() == set()
    story.fault("hang server", node=0, at=19).submit(None, "failed", node=0, words="503 {}")
    assert story.rules() == {"not answered"}


def test_a_node_that_is_held_while_postgresql_is_away(story):
    story.fault("hang server", node=0, at=4, until=8).fault("crash postgresql", at=1, until=5)
    story.submit(None, "failed", node=0, words="503 {}", at=8.1)
    assert story.rules() == set()
    story.submit(None, "failed", node=1, words="503 {}", at=8.1)
    assert story.rules() == {"not answered"}


def test_a_node_that_is_held_for_longer_than_its_lease(story):
    words = "503 This node has lost touch with the others: try again in a moment."
    story.fault("hang server", node=0, at=1, until=5).op("get", None, "failed", node=0, words=words)
    assert story.rules() == set()
    story.op("get", None, "failed", node=1, words=words)
    assert story.rules() == {"not answered"}


def test_a_node_that_comes_late_to_make_its_sessions_anew(story):
    words = "503 This node has lost touch with the others: try again in a moment."
    story.fault("terminate all", at=1, until=2).op("get", None, "failed", node=0, words=words, at=6)
    assert story.rules() == set()
    story.op("get", None, "failed", node=0, words=words, at=8)
    assert story.rules() == {"not answered"}


def test_a_doubt_without_a_cause(story):
    story.fault("crash postgresql").submit(None, "none", why="in doubt", node=0)
    assert story.rules() == set()
    story.submit(None, "none", why="in doubt", node=0, at=20)
    assert story.rules() == {"not answered"}


def test_a_deletion_in_doubt_when_its_session_has_ended(story):
    story.fault("terminate some").delete(A, "none", why="in doubt", node=0)
    assert story.rules() == set()
    story.submit(None, "none", why="in doubt", node=0)
    assert story.rules() == {"not answered"}


def test_an_order_in_doubt_may_have_been_stored(story):
    story.fault("crash postgresql").submit(None, "none", why="in doubt", tag="once")
    story.list((A, "complete")).op("get", A, "complete", etag="e", bytes=100, tag="once")
    assert story.rules() == set()


def test_an_order_that_waits_in_a_cut_network(story):
    """It may hold a slot, though a list that came after it does not show it."""
    story.events[0]["run"]["nodes"] = 3
    story.submit(A).submit(None, "none", node=1, at=1, until=2).list((A, "queued"), at=3)
    story.fault("cut network", node=1, at=1, until=4).submit(None, "limit", active=[[A, "queued"]])
    story.list((A, "queued"), at=5 + LATE_COMMIT / SECOND)
    assert story.rules() - {"did not end"} == set()
    story.submit(None, "limit", active=[[A, "queued"]]).status(A, "complete")
    assert story.rules() - {"did not end"} == {"refused with slots free"}


def test_events_of_a_whole_life(story):
    story.submit(A).told(A, "queued", "processing", "queued", "processing", "complete").delete(A).told(A, "deleted")
    story.told(A, "deleted", stream=2)
    assert story.rules() == set()


@pytest.mark.parametrize("states", [("complete", "processing"), ("deleted", "complete"), ("deleted", "deleted"),
                                    ("complete", "error"), ("complete", "complete")])
def test_events_out_of_order(story, states):
    story.submit(A).told(A, *states).delete(A, "none")
    assert "events out of order" in story.rules()


def test_events_that_contradict_the_status(story):
    ended(story, at=1).told(A, "processing", began=1.5)
    assert "the state went back" in story.rules()


def test_a_report_that_is_seen_after_the_event_of_its_deletion(story):
    story.submit(A).told(A, "deleted").status(A, "queued").delete(A, "none", at=0)
    assert "the state went back" in story.rules()


def test_events_of_another_user(story):
    ended(story).told(A, "queued", user="bob")
    assert story.rules() == {"another's report"}


def test_a_query_that_runs_though_its_report_was_deleted(story):
    story.submit(A).add({"running": [A]}).delete(A).add({"running": [A]})
    assert story.rules() == {"runs though deleted"}


def test_a_query_whose_worker_was_killed_ends_soon(story):
    story.submit(A).fault("kill worker", at=1).delete(A, at=1.1).add({"running": [A]}, at=2)
    assert story.rules() == set()
    story.add({"running": [A]}, at=2 + STOPS_WITHIN / SECOND)
    assert story.rules() == {"runs though deleted"}


def test_a_query_of_a_node_that_hung(story):
    """It runs on until the node wakes up."""
    story.submit(A).fault("hang server", at=1, until=5).delete(A, at=2, until=4)
    story.add({"running": [A]}, at=6)
    assert story.rules() == set()
    story.add({"running": [A]}, at=6 + STOPS_WITHIN / SECOND)
    assert story.rules() == {"runs though deleted"}


def test_what_the_driver_finds(story):
    ended(story).mark("settled").mark("files are left without a row", files=["x"])
    assert story.rules() == {"found at the end"}


def test_an_answer_that_no_request_may_have(story):
    ended(story).status(A, "odd", words="418 teapot")
    assert story.rules() == {"odd answer"}


def test_every_rule_is_tested_here():
    with open(__file__, encoding="utf-8") as file:
        text = file.read()
    assert [rule for rule in RULES if f'"{rule}"' not in text] == []
