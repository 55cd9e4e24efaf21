"""The files that hold the server's secrets: made whole or not at all, for their owner only."""

import pytest

from harness import Server
from seams import plan

KEY_FILES = ["receipt.key", "token.key"]


@pytest.fixture
def made(tmp_path):
    return Server.made(tmp_path / "made")


def keys_in(folder):
    return sorted(path.name for path in folder.iterdir() if ".key" in path.name)


def test_key_files_are_made_for_their_owner_only(made):
    made.start()
    assert made.stop() == 0
    assert keys_in(made.folder) == sorted(KEY_FILES)
    assert {(made.folder / name).stat().st_mode & 0o7777 for name in KEY_FILES} == {0o600}


@pytest.mark.parametrize("nth", range(1, len(KEY_FILES) + 1))
def test_a_crash_while_a_key_file_is_made_leaves_none(made, nth):
    plan(made, f"key_file.make.written=crash@{nth}")
    with pytest.raises(AssertionError, match="did not start"):
        made.start()
    assert len(keys_in(made.folder)) == nth - 1
    plan(made)
    made.start()
    assert made.stop() == 0
    assert keys_in(made.folder) == sorted(KEY_FILES)


@pytest.mark.parametrize("nth", range(1, len(KEY_FILES) + 1))
def test_a_full_disk_while_a_key_file_is_made_leaves_none(made, nth):
    made.environment["REPORTD_SEAMS"] = f"key_file.write=ENOSPC@{nth}"
    with pytest.raises(AssertionError, match="No space left on device"):
        made.start()
    assert len(keys_in(made.folder)) == nth - 1
