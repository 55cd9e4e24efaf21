"""DELETE."""

import pytest
from stores import STORES

pytestmark = pytest.mark.stores(*STORES)


def test_it(alice):
    alice.delete("x")


@pytest.mark.stores("sqlite")
def test_files_only(alice):
    alice.delete("x")
