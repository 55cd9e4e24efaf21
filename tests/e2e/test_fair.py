"""Whose report starts next: doc/decisions/0020."""

import pytest

from harness import poll
from stores import STORES

pytestmark = pytest.mark.stores(*STORES)


def test_a_report_does_not_wait_for_all_that_another_user_has_queued(alice, bob):
    references = [alice.order("Endless") for _ in range(10)]
    poll(lambda: [alice.state(reference) for reference in references[:2]] == ["processing"] * 2)
    short = bob.order("Quick", ProductID="1")
    alice.delete(references[0])
    poll(lambda: bob.state(short) == "complete")
    assert sum(alice.state(reference) == "queued" for reference in references[1:]) >= 7
