"""`reportd check -c --strict` has no complaint about sound definitions: tests/sound/, on the engines they are for."""

import re
import sqlite3
import subprocess

import pytest

from harness import REPORTD, ROOT

SOUND = ROOT / "tests/sound"
HEADER = "-- report: R{number}\n-- source: shop\n"
FILES = {"sqlite": ("portable", "sqlite"), "postgres": ("portable", "postgres")}
ANSWERS_WITHIN = 60  # seconds; under ASan on a busy machine


def read_cases(engine):
    """title → definition; without its own lines of the header, and without `-- results` where it begins with SQL."""
    cases = {}
    for name in FILES[engine]:
        for part in re.split(r"^== ", (SOUND / f"{name}.txt").read_text(), flags=re.M)[1:]:
            title, _, text = part.partition("\n")
            assert title not in cases, title
            cases[title] = text if re.search("^-- results$", text, flags=re.M) else "-- results\n" + text
    return cases


@pytest.fixture
def url(engine, postgres, tmp_path):
    script = (SOUND / "schema.sql").read_text() + (SOUND / f"{engine}.sql").read_text()
    if engine == "postgres":
        return postgres.url(postgres.create_database("sound", script))
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.executescript(script)
    database.close()
    return "sqlite:shop.db"


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_sound_definitions_are_not_complained_about(engine, url, tmp_path):
    cases = read_cases(engine)
    (tmp_path / "reportd.conf").write_text(f'source shop {{ url = "{url}" }}\n')
    (tmp_path / "reports").mkdir()
    for number, text in enumerate(cases.values(), start=1):
        (tmp_path / f"reports/{number}.sql").write_text(HEADER.format(number=number) + text)
    run = subprocess.run([REPORTD, "check", "--strict", "-c", "reportd.conf", "reports"], cwd=tmp_path, text=True,
                         capture_output=True, timeout=ANSWERS_WITHIN)
    lines = run.stdout.splitlines()
    titles = dict(enumerate(cases, start=1))
    complaints = [f"{titles[int(found[1])]}: {line}" for line in lines[:-1]
                  if (found := re.match(r"reports/(\d+)\.sql:", line)) or pytest.fail(line)]
    assert complaints == [] and run.stderr == ""
    assert lines[-1] == f"{len(cases)} definitions, 0 problems" and run.returncode == 0


def test_there_are_many():
    assert len({**read_cases("sqlite"), **read_cases("postgres")}) >= 150
