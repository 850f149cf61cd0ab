"""The tables at the end: every figure, every line that is wanted, and what has changed since an earlier run."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from .goals import Found, Goal


def figure(value: float) -> str:
    """Three digits that count."""
    if value == 0:
        return "0"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}"


def cell(figures: Sequence[float]) -> str:
    """median (lowest-highest)."""
    if not figures:
        return ""
    middle = figure(statistics.median(figures))
    return middle if len(figures) == 1 else f"{middle} ({figure(min(figures))}-{figure(max(figures))})"


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table; its first line is the head."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    printed = ["| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in lines]
    printed.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(printed)


def figures_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Every row and everybody who took part in it."""
    lines = [["work", "who", "median (lowest-highest)", "rounds"]]
    for row in rows:
        title = f"{row['title']}, {row['unit']}{' (more is better)' if row['more'] else ''}"
        for name, figures in row["figures"].items():
            lines.append([title, name, cell(figures), str(len(figures))])
            title = ""
    return markdown(lines)


def goals_table(goals: Sequence[Goal], found: Found) -> str:
    """The lines that are wanted, and whether they are reached."""
    lines = [["work", "wanted", "this run (lowest-highest)", "reached"]]
    for goal in goals:
        value, lowest, highest = goal.reached(found)
        unit = f" {goal.unit}" if goal.unit else ""
        sign = ">=" if goal.least else "<="
        lines.append([goal.words, f"{sign} {goal.bound:g}{unit}", f"{figure(value)}{unit} ({figure(lowest)}-{figure(highest)})", goal.verdict(value)])
    return markdown(lines)


def changes_table(goals: Sequence[Goal], before: Found, now: Found) -> str:
    """What has changed since an earlier run: first the ratios, which a slower machine does not change, then our own figures."""
    lines = [["what", "then", "now", "change"]]
    for goal in goals:
        if all(title in run and name in run[title] for run in (before, now) for title, name in goal.cells()):
            then, value = goal.reached(before)[0], goal.reached(now)[0]
            lines.append([goal.words, figure(then), figure(value), change(then, value)])
    for title, by_name in now.items():
        for name, figures in by_name.items():
            if name.startswith("ours") and name in before.get(title, {}):
                then, value = statistics.median(before[title][name]), statistics.median(figures)
                lines.append([f"{title}: {name}", figure(then), figure(value), change(then, value)])
    gone = [f"{title}: {name}" for title, by_name in before.items() for name in by_name if name not in now.get(title, {})]
    return markdown(lines) + (f"\n\nNot in this run: {'; '.join(gone)}" if gone else "")


def change(then: float, now: float) -> str:
    return f"{(now / then - 1) * 100:+.0f} %" if then else "-"


def found_in(rows: Sequence[Mapping[str, Any]]) -> Found:
    """The rows of a file as goals want them."""
    return {row["title"]: row["figures"] for row in rows}
