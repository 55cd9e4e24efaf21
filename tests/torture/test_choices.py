"""A seed makes the same choices again, and what they name exists."""

import random
import re
from pathlib import Path

import pytest

from cluster_faults import NODE_CRASHING, NODE_FAULTS, SHARED_FAULTS
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


def test_the_short_run_of_a_cluster_has_every_fault_of_one():
    """In the first choices that its seed makes; as many fit into its time."""
    check = (Path(__file__).resolve().parents[2] / "tools/check").read_text(encoding="utf-8")
    seed = re.search(r"--nodes 3 --seed (\w+)", check).group(1)
    shared = random.Random(f"{seed}/shared")
    assert {Choice(shared, SHARED_FAULTS).fault for _ in range(11)} == set(SHARED_FAULTS)
    for index in range(3):
        own = random.Random(f"{seed}/faults/{index}")
        faults = {Choice(own, NODE_FAULTS, NODE_CRASHING).fault for _ in range(14)}
        assert faults >= {"hang server", "cut network", "kill server", "kill worker"}


@pytest.mark.parametrize("place", [*FAILING, *sorted({place.rsplit(".", 1)[1] for place in NODE_CRASHING})])
def test_what_a_seam_names_is_in_the_program(place):
    assert f'"{place}"' in SOURCES
