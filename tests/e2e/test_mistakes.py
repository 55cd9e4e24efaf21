"""`reportd check -c` answers typical mistakes with lines that say what to write: tests/mistakes/, on both engines."""

import re
import sqlite3
import subprocess

import pytest

from harness import PATIENCE, REPORTD, ROOT

MISTAKES = ROOT / "tests/mistakes"
READER = "mistaken"
ANSWERS_WITHIN = 60  # seconds; under ASan on a busy machine


def read_cases():
    """(file, title) → (definition, {engine: expected lines})."""
    cases = {}
    for path in sorted(MISTAKES.glob("*.txt")):
        for part in re.split(r"^== ", path.read_text(), flags=re.M)[1:]:
            title, _, text = part.partition("\n")
            definition, *expected = re.split(r"^-> ", text, flags=re.M)
            lines = {"sqlite": [], "postgres": []}
            for line in expected:
                engine, _, words = line.strip().partition(" ")
                for name in lines:
                    if engine not in lines or engine == name:
                        lines[name].append(words if engine in lines else line.strip())
            cases[path.stem, title] = (definition, lines)
    return cases


CASES = read_cases()


class Answers:
    """One run of `reportd check` over all of them."""

    def __init__(self, folder, url):
        self.folder = folder
        (folder / "reportd.conf").write_text(f'source shop {{ url = "{url}" }}\n')
        self.names = {}
        for number, (case, (definition, _)) in enumerate(CASES.items()):
            self.names[case] = f"{number}.sql"
            (folder / self.names[case]).write_text(definition)
        self.run = subprocess.run([REPORTD, "check", "-c", "reportd.conf", *self.names.values()], cwd=folder, text=True,
                                  capture_output=True, timeout=ANSWERS_WITHIN)
        assert self.run.returncode == 1 and self.run.stderr == "", self.run.stderr

    def of(self, case):
        name = self.names[case] + ":"
        return [line.removeprefix(name) for line in self.run.stdout.splitlines() if line.startswith(name)]


@pytest.fixture(scope="module")
def answers(postgres, tmp_path_factory):
    script = (MISTAKES / "shop.sql").read_text()
    folders = {engine: tmp_path_factory.mktemp(engine) for engine in ("sqlite", "postgres")}
    with sqlite3.connect(folders["sqlite"] / "shop.db") as database:
        database.executescript(script)
    database.close()
    postgres.create_database("mistakes", script + f"CREATE ROLE {READER} LOGIN PASSWORD '{postgres.password}';"
                                                  "CREATE TYPE mood AS ENUM ('sad', 'ok');"
                                                  f"GRANT SELECT ON customer, orders, line TO {READER};")
    return {"sqlite": Answers(folders["sqlite"], "sqlite:shop.db"),
            "postgres": Answers(folders["postgres"], postgres.url("mistakes", READER))}


def test_there_are_many():
    assert len(CASES) >= 70


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_a_mistake_is_answered_with_what_to_write(answers, engine, case):
    assert answers[engine].of(case) == CASES[case][1][engine]


def test_what_is_quoted_is_short_and_cannot_steer_a_terminal(tmp_path):
    """Of a file that somebody else has written: the reason stands behind even the longest name."""
    (tmp_path / "reportd.conf").write_text('source shop { url = "sqlite:shop.db" }\n')
    sqlite3.connect(tmp_path / "shop.db").executescript("CREATE TABLE t (v)")
    (tmp_path / "x\x1b[2J.sql").write_text(
        "-- report: R\n-- source: shop\n-- tiemout: \x1b]0;x\x07\u009b2J\n-- results\nSELECT 1 AS a\n")
    (tmp_path / "long.sql").write_text(
        f'-- report: L\n-- source: shop\n-- results\nSELECT 1 AS "{"x" * 900000}"\n')
    for words in (["check", "-c", "reportd.conf", "."], ["try", "./x\x1b[2J.sql"], ["try", "./long.sql"]):
        done = subprocess.run([REPORTD, *words], cwd=tmp_path, text=True, capture_output=True, timeout=PATIENCE)
        said = done.stdout + done.stderr
        assert done.returncode == 1 and not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", said), said
        assert "long" not in words[-1] or "has a name that is too long; give it a shorter one" in said, said
        assert all(len(line) < 300 for line in said.splitlines()), said
