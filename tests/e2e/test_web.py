"""The files of the console, as they are written: data is text only, nothing is inline, and all of it is small."""

import re
from pathlib import Path

import pytest

from harness import ROOT

WEB = ROOT / "web"
CHART = Path("/usr/share/javascript/chart.js/chart.min.js")
SCRIPTS = sorted(WEB.glob("*.js"))
# What makes markup, script or style of a text.
DANGEROUS = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|DOMParser|setHTML|parseHTML|document\.write|srcdoc|\beval\b|"
                       r"new Function|setTimeout\(\s*[\"'`]|setInterval\(\s*[\"'`]|setAttribute\(\s*[\"'`](?:on|style)|[\s{(,][\"']?style[\"']?:\s*[\"'`]|"
                       r"cssText|javascript:|https?://(?!www\.w3\.org/2000/svg)")
ALL_MOST, FIRST_VIEW_MOST = 400_000, 100_000  # bytes, as they are written: of all with Chart.js, and of the first view


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_makes_markup_of_data(path):
    assert DANGEROUS.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("text", ["node.innerHTML = text", "node.setAttribute('onclick', text)", 'el("p", { style: "color: red" })', "setTimeout('x()', 1)",
                                  "document.write(text)", "import('https://example.com/x.js')"])
def test_what_would_be_found(text):
    assert DANGEROUS.search(text)


def test_the_page_has_nothing_inline_and_nothing_of_elsewhere():
    page = (WEB / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\bstyle=|\son\w+=|javascript:|data:|https?:", page)
    for reference in re.findall(r"(?:src|href)=\"([^\"#][^\"]*)\"", page):
        assert reference.startswith("/console/") and (WEB / reference.removeprefix("/console/")).exists(), reference


def imported(names):
    """These scripts and those that they import, before anything is asked for."""
    found = set()
    while names:
        name = names.pop()
        found.add(name)
        names |= set(re.findall(r"\bfrom \"\./([\w.]+)\"", (WEB / name).read_text(encoding="utf-8"))) - found
    return found


def test_the_console_is_small():
    sizes = {path.name: path.stat().st_size for path in WEB.iterdir()}
    assert sum(sizes.values()) + CHART.stat().st_size <= ALL_MOST
    first = {"index.html", "style.css", "icon.svg"} | imported({"app.js", "login.js", "reports.js"})
    assert sum(sizes[name] for name in first) <= FIRST_VIEW_MOST, first
