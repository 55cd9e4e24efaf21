"""/openapi.json as its validators see it, and a client in TypeScript that is generated from it: `make check-slow`."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import ALICE
from harness import PASSWORD

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
MODULES = ROOT / "build/slow/clients/node_modules"
TSC = ("tsc", "--strict", "--skipLibCheck", "--module", "nodenext", "--moduleResolution", "nodenext", "--target", "es2022",
       "--rewriteRelativeImportExtensions")


@pytest.fixture
def work(tmp_path, server):
    """A folder with tests/clients, what it needs, and the document as it is served."""
    shutil.copytree(ROOT / "tests/clients", tmp_path, dirs_exist_ok=True)
    (tmp_path / "node_modules").symlink_to(MODULES)
    (tmp_path / "openapi.json").write_bytes(server.client(ALICE).get("/openapi.json").content)
    return tmp_path


def run(work, *command, program=None):
    environment = {**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    words = [program] if program else [MODULES / ".bin" / command[0]]
    done = subprocess.run([*words, *command[0 if program else 1:]], cwd=work, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_swagger_parser_finds_the_document_valid(work):
    run(work, "swagger.js", "openapi.json", program="node")


def test_redocly_has_nothing_to_say(work):
    told = json.loads(run(work, "redocly", "lint", "--format=json", "openapi.json"))
    assert told["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}, told["problems"]


def test_spectral_has_nothing_to_say(work):
    run(work, "spectral", "lint", "--fail-severity=hint", "--ruleset", "spectral.yaml", "openapi.json")


def test_a_generated_client_compiles_strictly_and_runs_a_whole_life(work, server):
    run(work, "openapi-typescript", "openapi.json", "-o", "api.ts")
    run(work, *TSC, "--outDir", "out", "life.ts")
    assert run(work, "out/life.js", server.url, ALICE, PASSWORD, program="node").startswith("deleted ")
