"""What a run is shown as: lines of the terminal, the tables of doc/performance.md, the two plots."""

import math
import re
import shutil

from plot import draw_curves
from stage import OUT, ROOT

PAGE = ROOT / "doc/performance.md"
PLOTS = {  # curve: file, title, panels
    "rows": ("performance-rows.svg", "Cost against the rows of a report",
             [("time, seconds", "s"), ("memory of the worker, MB", "MB")]),
    "stored": ("performance-stored.svg", "Cost against stored reports (64 connections, server on one core)",
               [("time, µs a request", "µs a request"), ("memory of the server, MB", "MB")]),
}


def figure(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value >= 0.1 else f"{value:.3g}"


def percent(part):
    return f"±{part * 100:.0f} %"


def verdict(row):
    return {True: "met", False: "NOT MET", None: "stated"}[row["met"]]


def goal(row):
    return "" if row["goal"] is None else f"{'≤' if row['at_most'] else '≥'} {row['goal']:g}"


def line(row):
    return (f"{row['case']:<38} {figure(row['median']):>10} {row['unit']:<9} beside {row['beside']:<39} "
            f"{figure(row['beside_median']):>10}  ratio {row['ratio']:6.2f} {percent(row['ratio_spread']):>6}  "
            f"goal {goal(row):<6} {verdict(row):<8}{row['note']}")


def rows_of(result):
    return [row for case in result["cases"].values() for row in case["rows"]]


def table(result):
    out = ["| case | reportd | beside | its figure | ratio | goal | |", "|---|--:|---|--:|--:|---|---|"]
    for row in rows_of(result):
        note = f"; {row['note']}" if row["note"] else ""
        out.append(f"| {row['case']}{note} | {figure(row['median'])} {row['unit']} {percent(row['spread'])} | {row['beside']} | "
                   f"{figure(row['beside_median'])} {percent(row['beside_spread'])} | "
                   f"{row['ratio']:.2f} {percent(row['ratio_spread'])} | {goal(row)} | {verdict(row)} |")
    out += [f"\nSkipped: {text}." for case in result["cases"].values() for text in case["skipped"]]
    return out


def exponent(points):
    """Of the last step: 0 is flat, 1 a straight line through the origin."""
    (x1, y1), (x2, y2) = points[-2:]
    return math.log(y2 / y1) / math.log(x2 / x1)


def growth(result):
    out = []
    for curve in curves_of(result).values():
        xs = sorted({x for series in curve["series"] for x, _ in series["points"]})
        out += ["", f"| {curve['x']} | {' | '.join(f'{x:,}' for x in xs)} | last step |",
                f"|---|{'--:|' * (len(xs) + 1)}"]
        for series in curve["series"]:
            points = dict(map(tuple, series["points"]))
            cells = " | ".join(figure(points[x]) if x in points else "" for x in xs)
            out.append(f"| {series['name']}, {series['unit']} | {cells} | n^{exponent(series['points']):.2f} |")
    return out[1:]


def curves_of(result):
    return {name: curve for case in result["cases"].values() for name, curve in case["curves"].items()}


def draw_plots(result):
    """Into build/bench; returns the files."""
    files = []
    for name, (file, title, panels) in PLOTS.items():
        if name in curves_of(result):
            (OUT / file).write_text(draw_curves(curves_of(result)[name], title, panels), encoding="utf-8")
            files.append(OUT / file)
    return files


def measured(result):
    cases = result["cases"].values()
    commits = list(dict.fromkeys(case["commit"] for case in cases))
    days = sorted({case["when"][:10] for case in cases})
    return [f"Measured {' to '.join(dict.fromkeys([days[0], days[-1]]))} at {', '.join(commits)} on {result['machine']}; "
            f"the whole run took {sum(case['seconds'] for case in cases) / 60:.0f} minutes."]


def replace_part(text, name, lines):
    """Between two marker lines."""
    pattern = re.compile(rf"(<!-- begin {name} [^\n]*-->\n).*?(<!-- end {name} -->)", re.S)
    if not pattern.search(text):
        raise SystemExit(f"bench: {PAGE.relative_to(ROOT)} has no lines '<!-- begin {name} … -->' and '<!-- end {name} -->'")
    return pattern.sub(lambda m: m.group(1) + "\n".join(lines) + "\n" + m.group(2), text)


def publish(result):
    """The tables into doc/performance.md, the plots beside it."""
    text = PAGE.read_text(encoding="utf-8")
    text = replace_part(text, "bench-table", [*measured(result), "", *table(result)])
    text = replace_part(text, "bench-growth", growth(result))
    PAGE.write_text(text, encoding="utf-8")
    for file in draw_plots(result):
        shutil.copy(file, PAGE.parent / file.name)
