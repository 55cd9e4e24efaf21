"""What is left of deleted reports: every file is read for a marker that all reports had, and for their references."""

import contextlib
import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))
import places
from load import MARKER

PLACES = places.read()
FRAME = re.compile(rb"\x28\xb5\x2f\xfd[\x24\x64\xa4\xe4]")  # a result that is stored compressed shows neither marker nor reference
OUR_OWN = ("reports/*", "data.db*", "reportd.conf", "ballast")  # what the run itself puts into a node's folder


class Traces:
    """Finds thousands of references in one pass: they were made at about the same time, so that they begin alike."""

    def __init__(self, references):
        self.known = set(places.traces(*references))
        heads = {trace[:3 if len(trace) == 16 else 6] for trace in self.known}
        self.pattern = re.compile(b"|".join(map(re.escape, [MARKER.encode(), *sorted(heads)])))

    def in_bytes(self, data):
        """The marker, a reference or a compressed result that they have, or None."""
        if FRAME.search(data):
            return "a compressed result"
        for match in self.pattern.finditer(data):
            at = match.start()
            if match.group() == MARKER.encode():
                return MARKER
            for size in (16, 36):
                if data[at:at + size] in self.known:
                    return "a reference"
        return None


def in_folder(folder, traces):
    """(place, file, what) of what is left in a node's folder, and of files that no place explains."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        if any(fnmatchcase(name, own) for own in OUR_OWN):
            continue
        place = next((place.name for place in PLACES if place.names_file(name)), None)
        what = traces.in_bytes(path.read_bytes()) or traces.in_bytes(name.encode())
        if what or place is None:
            yield place or "in no place", name, what or "not known"


def with_marker(*roots):
    """(file, marker) of what should never have had it: logs, and the files of a database that runs."""
    for root in roots:
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and MARKER.encode() in path.read_bytes():
                    yield path.name, MARKER
