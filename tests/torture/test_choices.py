"""A seed makes the same choices again, and what they name exists."""

import random
from pathlib import Path

import pytest

from cluster_faults import NODE_CRASHING
from faults import FAILING, Choice
from load import Draw

SOURCES = "".join(path.read_text(encoding="utf-8")
                  for path in (Path(__file__).resolve().parents[2] / "src").rglob("*.c"))


@pytest.mark.parametrize("kind", [Draw, Choice])
def test_a_seed_makes_the_same_choices_again(kind):
    one, other = random.Random("seed"), random.Random("seed")
    assert [vars(kind(one)) for _ in range(100)] == [vars(kind(other)) for _ in range(100)]


@pytest.mark.parametrize("kind", [Draw, Choice])
def test_every_choice_draws_as_often(kind):
    """Otherwise what one choice is would shift all that come after it."""
    ends = set()
    for number in range(200):
        dice = random.Random(number)
        kind(dice)
        counted = random.Random(number)
        draws = 0
        while counted.getstate() != dice.getstate():
            counted.getrandbits(32)
            draws += 1
        ends.add(draws)
    assert len(ends) == 1


@pytest.mark.parametrize("place", [*FAILING, *sorted({place.rsplit(".", 1)[1] for place in NODE_CRASHING})])
def test_what_a_seam_names_is_in_the_program(place):
    assert f'"{place}"' in SOURCES
