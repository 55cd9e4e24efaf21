"""REPORT_PLACES of src/core/places.h, for all that walks it: the tests of erasure, the torture, the linter.

    places.read()                       the places, and what is none, as a Place each
    places.traces("text", reference)    the bytes to look for in them
    places.columns_of_schema(text)      {table: columns} of the migrations in a *_schema.c
    place.names_file("store.db-wal")    whether a file of a server's folder is in this place
"""

import re
import uuid
from fnmatch import fnmatchcase
from pathlib import Path

# What the log may say of a reference: what happened to it.
AUDIT_LINE = re.compile(r" (report\.(submitted|state|failed|deleted|worker_died|given_up)|http\.answer) ")
HEADER = Path(__file__).resolve().parents[2] / "src/core/places.h"
# What the tests' servers, and those of the torture, have for the keys of the configuration.
KEYS = {"store": "store.db", "spool": "spool", "temp": "temp", "deletion_ledger": "deletions.ledger",
        "erase_key_file": "erase.key", "key_file": "token.key", "receipt_key_file": "receipt.key",
        "audit_log": "trail.log", "audit_key_file": "audit.key"}
FIELDS = ("name", "stores", "where", "made_by", "what", "erased_by", "lasts", "fsck", "seams", "tests")
NO_PLACE_FIELDS = ("name", "where", "made_by", "what")


class Place:
    """One line of a table."""

    def __init__(self, row):
        fields = dict(zip(FIELDS if len(row) == len(FIELDS) else NO_PLACE_FIELDS, row, strict=True))
        self.name, self.where, self.what = fields["name"], fields["where"], fields["what"]
        self.stores, self.made_by, self.erased_by, self.seams, self.tests = (
            fields.get(field, "").split() for field in ("stores", "made_by", "erased_by", "seams", "tests"))
        self.keeps_a_report = "lasts" in fields
        self.tables = {table: columns.split() for table, columns in re.findall(r"(\w+)\(([^)]*)\)", self.where)}
        self.files = [word.format(**KEYS) for word in re.sub(r"\w+\([^)]*\)", "", self.where).split()]

    def names_file(self, name):
        """Of a file, or of one without a name: as the kernel tells what it is, from the server's folder on."""
        return any(fnmatchcase(name, pattern) for pattern in self.files)


def traces(*texts):
    """What to look for: texts, and of references their bytes too."""
    found = [text.encode() for text in texts]
    found += [uuid.UUID(text).bytes for text in texts if re.fullmatch(r"[0-9a-f-]{36}", text)]
    return found


def arguments(text, words):
    """What a macro is called with, from behind the parenthesis on: strings are joined, words what `words` has for them."""
    found = [""]
    for token in re.finditer(r'"((?:\\.|[^"\\])*)"|([),])|(\w+)', text):
        string, mark, word = token.groups()
        if mark == ")":
            return found
        if mark == ",":
            found.append("")
        else:
            found[-1] += string if word is None else words.get(word, word)
    return found


def read(text=None):
    """Every Place, also those that keep nothing of a report."""
    text = HEADER.read_text() if text is None else text
    text = re.sub(r'("(?:\\.|[^"\\])*")|/\*.*?\*/', r"\1", text.replace("\\\n", "\n"), flags=re.S)
    words = dict(re.findall(r'^#define (\w+) "(.*)"$', text, re.M))
    return [Place(arguments(text[match.end():], words)) for match in re.finditer(r"\bX\((?=\w+,)", text)]


def split(text):
    """At the commas that are in no parenthesis."""
    parts, depth = [""], 0
    for char in text:
        depth += {"(": 1, ")": -1}.get(char, 0)
        if depth < 0:
            break
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part.split() for part in parts if part.strip()]


def columns_of_schema(text):
    """{table: columns} once all migrations have run; "index" has the names of the indexes."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    tables = {"index": []}
    for migration in re.findall(r"\bmigration_\d+\[\] =(.*?);\n", text, re.S):
        for statement in "".join(re.findall(r'"((?:\\.|[^"\\])*)"', migration)).split(";"):
            change(tables, statement.strip())
    return tables


def change(tables, statement):
    found = re.match(r"(CREATE|DROP|ALTER) (?:UNIQUE |UNLOGGED )*(TABLE|INDEX) (?:IF NOT EXISTS )?(\w+) ?(.*)", statement, re.S)
    if found is None:
        return
    verb, kind, name, rest = found.groups()
    if kind == "INDEX":
        getattr(tables["index"], "append" if verb == "CREATE" else "remove")(name)
    elif verb == "CREATE":
        tables[name] = [words[0] for words in split(rest[1:]) if words[0] not in ("PRIMARY", "UNIQUE", "FOREIGN")]
    elif verb == "DROP":
        del tables[name]
    for words in split(rest) if verb == "ALTER" else ():
        column = words[2] if words[1] == "COLUMN" else words[1]
        if words[0] in ("ADD", "DROP"):
            getattr(tables[name], "append" if words[0] == "ADD" else "remove")(column)
