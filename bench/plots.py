"""Curves as SVG, written here: a few lines and words need no library."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 64, 150, 40, 48
# Told apart by those who see colours otherwise, and on a dark page: Okabe and Ito's.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


@dataclass(frozen=True)
class Plot:
    """A picture: the rows whose `plot` is `key` are its points."""

    key: str
    title: str
    across: str
    up: str


PLOTS = (
    Plot("containers", "Start of a container against containers running", "containers running", "ms"),
    Plot("ports", "Start of a container against its published ports", "published ports", "ms"),
    Plot("ports-removed", "Removal of a container against its published ports", "published ports", "ms"),
    Plot("networks", "Start of a container against networks", "networks", "ms"),
    Plot("memory", "Memory of the engine against containers running (PSS)", "containers running", "MB"),
    Plot("crowd", "Start of a container with ten ports against containers running", "containers running", "ms"),
    Plot("crowd-memory", "Memory of the engine against containers running (PSS)", "containers running", "MB"),
)


def drawn(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """key -> SVG of every plot that these rows have points of."""
    pictures = {}
    for plot in PLOTS:
        curves: dict[str, list[tuple[float, float]]] = {}
        for row in rows:
            if row["plot"] == plot.key:
                for name, figures in row["figures"].items():
                    curves.setdefault(name, []).append((row["x"], statistics.median(figures)))
        if curves:
            pictures[plot.key] = draw(plot, {name: sorted(points) for name, points in curves.items()})
    return pictures


def ticks(most: float, wanted: int = 5) -> list[float]:
    """Round numbers from 0 to above `most`."""
    raw = (most or 1) / wanted
    unit = 10 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw)
    return [step * number for number in range(math.ceil((most or 1) / step) + 1)]


def draw(plot: Plot, curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """One picture; both axes begin at 0, so that what is flat looks flat."""
    across = ticks(max(x for points in curves.values() for x, _ in points))
    up = ticks(max(y for points in curves.values() for _, y in points))

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + x / across[-1] * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y / up[-1] * (HEIGHT - TOP - BOTTOM)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" font-size="14" fill="#111111">{escape(plot.title)}</text>',
    ]
    for value in up:
        x, y = place(0, value)
        lines.append(f'<path d="M{x:.1f} {y:.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        lines.append(f'<text x="{x - 6:.1f}" y="{y + 4:.1f}" text-anchor="end" fill="#444444">{value:g}</text>')
    for value in across:
        x, y = place(value, 0)
        lines.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle" fill="#444444">{value:g}</text>')
    lines.append(
        f'<text x="{LEFT + (WIDTH - LEFT - RIGHT) / 2:.1f}" y="{HEIGHT - 8}" text-anchor="middle" fill="#444444">{escape(plot.across)}</text>'
    )
    lines.append(f'<text x="{LEFT - 6}" y="{TOP - 6}" text-anchor="end" fill="#444444">{escape(plot.up)}</text>')
    ends = label_places([(place(*points[-1])[1], name) for name, points in curves.items()])
    for colour, (name, points) in zip(COLOURS, curves.items(), strict=False):
        where = [place(x, y) for x, y in points]
        lines.append(f'<path d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in where)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        lines += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in where]
        lines.append(f'<text x="{WIDTH - RIGHT + 8}" y="{ends[name] + 4:.1f}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*lines, "</svg>", ""])


def label_places(wanted: Sequence[tuple[float, str]], apart: float = 15) -> dict[str, float]:
    """Where each curve's name stands: beside its end, and not on another's."""
    places: dict[str, float] = {}
    lowest = HEIGHT - BOTTOM + apart
    for y, name in sorted(wanted, reverse=True):
        lowest = places[name] = min(y, lowest - apart)
    return places
