"""tools/lint_guarantees.py -- rules of tools/lint for doc/guarantees.md: every promise names tests that exist."""
import re


def promises(sources):
    """Each promise of doc/guarantees.md names tests, and these exist."""
    texts = {source.name: source.text for source in sources}
    for source in sources:
        if source.name != "doc/guarantees.md":
            continue
        unproved = None  # the line of a promise without a test so far
        for number, line in enumerate([*source.text.split("\n"), "#"], 1):
            if line.startswith(("- **", "#")):
                if unproved is not None:
                    yield source.name, unproved, "a promise without a test", "name the test that proves it"
                unproved = number if line.startswith("- **") else None
            if line.startswith("## What is not promised"):
                break
            for path, name in re.findall(r"`(tests/[\w./]+)::(\w+)`", line):
                unproved = None
                if not re.search(rf"^(def|static void) {name}\(", texts.get(path, ""), re.M):
                    yield source.name, number, f"there is no {name} in {path}", "name the test as it is called now"


def stores_of(text, name):
    """The stores that a test of an end-to-end module runs on: its mark, else its module's (tests/e2e/stores.py)."""
    own = re.search(rf"((?:^@.*\n)*)^def {name}\(", text, re.M)
    if own is None:
        return set()
    marks = re.findall(r"mark\.stores\((.*?)\)", own.group(1)) or re.findall(r"^pytestmark = pytest\.mark\.stores\((.*?)\)", text, re.M)
    shared = {"postgres-files", "postgres-rows"}
    named = {"*STORES": {"sqlite", *shared}, "*SHARED_STORES": shared}
    return set().union(*(named.get(word, {word.strip('"')}) for mark in marks for word in mark.split(", ")))


def seed(sources):
    """doc/guarantees.md has every line of tests/seed.txt in its first table, proved on every store."""
    texts = {source.name: source.text for source in sources}
    page = "doc/guarantees.md"
    lines = texts.get(page, "").split("\n")
    rows = {line[2:].split(" | ")[0]: number for number, line in enumerate(lines, 1) if line.startswith("| ")}
    for sentence in texts.get("tests/seed.txt", "").splitlines():
        if sentence not in rows:
            yield page, 1, f"the sentence '{sentence}' is missing", "add it to the first table, with its tests"
            continue
        tests = re.findall(r"`(tests/e2e/\w+\.py)::(\w+)`", lines[rows[sentence] - 1])
        proved = set().union(*(stores_of(texts.get(path, ""), name) for path, name in tests))
        for store in ("sqlite", "postgres-files", "postgres-rows"):
            if store not in proved:
                yield page, rows[sentence], f"no test of this sentence runs on {store}", "name one that does"
