"""tools/lint_places.py -- a rule of tools/lint: src/core/places.h has every place that can keep something of a report."""
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/e2e"))
import places as report_places  # noqa: E402


FUNCTION = re.compile(r"^\w[^\n;]*?\b(\w+)\([^;{}]*\)\n\{", re.M)
MAKES_FILE = re.compile(r"\bO_CREAT\b|\bO_TMPFILE\b|\b(?:memfd_create|mkstemp|mkostemp)\(")


def makers(source):
    """(line, FILE:FUNCTION) of each function that makes a file."""
    for match in MAKES_FILE.finditer(source.code):
        names = FUNCTION.findall(source.code, 0, match.start())
        yield source.line_at(match.start()), f"{Path(source.name).stem}:{names[-1] if names else ''}"


def places(sources):
    """src/core/places.h has every column and every maker of files, and what it names is there."""
    page, todo = "src/core/places.h", "enter it in src/core/places.h, with what erases it"
    code = [source for source in sources if re.match(r"src/.*\.[ch]$", source.name)]
    table = next((report_places.read(source.text) for source in code if source.name == page), [])
    columns_known = {(name, column) for place in table for name, columns in place.tables.items() for column in columns}
    makers_known = {maker for place in table for maker in place.made_by}
    for source in code if table else ():
        if source.name.endswith("_schema.c"):
            for name, columns in report_places.columns_of_schema(source.text).items():
                for column in columns:
                    if (name, column) not in columns_known:
                        line = next(n for n, text in enumerate(source.text.split("\n"), 1) if re.search(rf"\b{column}\b", text))
                        yield source.name, line, f"{name} {column} is no place of a report", todo
        if source.folder not in ("base", "ctl", "demo"):
            yield from ((source.name, line, f"{maker}() makes a file that is no place of a report", todo)
                        for line, maker in makers(source) if maker not in makers_known)
    functions = {name for source in code if source.name.endswith(".c") for name in FUNCTION.findall(source.code)}
    steps = {step for source in code for step in re.findall(r'(?:SEAM_STEP|pass_step)\(.*"(\w+)"\)', source.text)}
    for place in table:
        missing = [name for name in place.erased_by if name not in functions]
        missing += [name for name in place.seams if name.split(".")[-1] not in steps]
        missing += [name for name in place.made_by if name.split(":")[1] not in functions]
        yield from ((page, 1, f"{place.name} names {name}, which is not there", "name it as it is called now") for name in missing)
        if place.keeps_a_report and not (place.tests and place.seams):
            yield page, 1, f"{place.name} has no test or no step", "name one that looks there, and one to crash at"
