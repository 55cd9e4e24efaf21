"""Plots as SVG, without a library: panels side by side, log-log, a line named at its right end."""

import math
from xml.sax.saxutils import escape

COLOURS = ("#0b5fa5", "#c2410c", "#15803d", "#7e22ce", "#854d0e")
PLOT_W, PLOT_H, LEFT, TOP, BOTTOM, NAMES_W = 330, 300, 74, 62, 52, 176
ALONE_W = 30  # instead of the names' width, for one series
LINE = 17  # pixels between two names
STYLE = ("text{font:13px 'DejaVu Sans',Arial,sans-serif;fill:#1c1c1c}.title{font-size:15px;font-weight:bold}"
         ".tick{font-size:12px}.grid{stroke:#d9d9d9;stroke-width:1}.frame{stroke:#555;fill:none}"
         ".line{fill:none;stroke-width:2.2;stroke-linejoin:round}")


def number(value):
    """At most three digits: 0.05, 1, 20, 1.5 k."""
    for limit, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= limit * 0.9999:
            return f"{value / limit:.3g}{letter}"
    return f"{value:.3g}"


def decades(values):
    """Powers of ten that hold all values, at least two decades, so that what is nearly flat looks so."""
    first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    while last - first < 2:
        first, last = (first - 1, last) if (last - first) % 2 else (first, last + 1)
    return [10.0 ** i for i in range(first, last + 1)]


class Axis:
    def __init__(self, ticks, start, end):
        self.ticks, self.start = ticks, start
        self.scale = (end - start) / (math.log10(ticks[-1]) - math.log10(ticks[0]))

    def at(self, value):
        return self.start + (math.log10(value) - math.log10(self.ticks[0])) * self.scale


def spread_names(wanted, low, high):
    """Heights as near to the wanted ones as they can be without two names overlapping."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed, floor = [0.0] * len(wanted), low
    for i in order:
        placed[i] = floor = max(wanted[i], floor)
        floor += LINE
    ceiling = high
    for i in reversed(order):
        placed[i] = ceiling = min(placed[i], ceiling)
        ceiling -= LINE
    return placed


def panel(left, title, x_name, series):
    """`series`: (name, [(x, y)…]) of one unit, which the title names."""
    xs = [x for _, points in series for x, _ in points]
    x_axis = Axis(decades(xs), left + LEFT, left + LEFT + PLOT_W)
    y_axis = Axis(decades([y for _, points in series for _, y in points]), TOP + PLOT_H, TOP)
    out = [f'<text class="title" x="{left + LEFT}" y="{TOP - 16}">{escape(title)}</text>']
    for tick in x_axis.ticks:
        x = x_axis.at(tick)
        out.append(f'<path class="grid" d="M{x:.1f} {TOP}V{TOP + PLOT_H}"/><text class="tick" x="{x:.1f}" '
                   f'y="{TOP + PLOT_H + 19}" text-anchor="middle">{number(tick)}</text>')
    for tick in y_axis.ticks:
        y = y_axis.at(tick)
        out.append(f'<path class="grid" d="M{left + LEFT} {y:.1f}h{PLOT_W}"/><text class="tick" x="{left + LEFT - 8}" '
                   f'y="{y + 4:.1f}" text-anchor="end">{number(tick)}</text>')
    out.append(f'<rect class="frame" x="{left + LEFT}" y="{TOP}" width="{PLOT_W}" height="{PLOT_H}"/>')
    out.append(f'<text x="{left + LEFT + PLOT_W / 2}" y="{TOP + PLOT_H + 42}" text-anchor="middle">{escape(x_name)}</text>')
    heights = spread_names([y_axis.at(points[-1][1]) + 4 for _, points in series], TOP + 10, TOP + PLOT_H)
    for (name, points), height, colour in zip(series, heights, COLOURS):
        where = [(x_axis.at(x), y_axis.at(y)) for x, y in points]
        out.append(f'<path class="line" stroke="{colour}" d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in where)}"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.4" fill="{colour}"/>' for x, y in where]
        if len(series) > 1:  # of one alone the title tells
            out.append(f'<text x="{left + LEFT + PLOT_W + 10}" y="{height:.1f}" style="fill:{colour}">{escape(name)}</text>')
    return out


def draw(title, x_name, panels):
    """The whole SVG: `panels` are (title, series)."""
    widths = [LEFT + PLOT_W + (NAMES_W if len(series) > 1 else ALONE_W) for _, series in panels]
    width, height = sum(widths), TOP + PLOT_H + BOTTOM
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
           f'role="img" aria-label="{escape(title)}">', f"<style>{STYLE}</style>",
           f'<rect width="{width}" height="{height}" fill="#fff"/>',
           f'<text x="{width / 2}" y="22" text-anchor="middle" style="font-size:17px;font-weight:bold">{escape(title)}</text>']
    for i, (name, series) in enumerate(panels):
        out += panel(sum(widths[:i]), name, x_name, series)
    return "\n".join([*out, "</svg>\n"])


def draw_curves(curve, title, panels):
    """A figure of last.json; `panels` are (title, unit): a panel has all series of its unit."""
    return draw(title, curve["x"], [
        (name, [(series["name"], series["points"]) for series in curve["series"] if series["unit"] == unit])
        for name, unit in panels])
