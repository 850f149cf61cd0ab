"""`make bench`: us beside docker.io and podman, row by row, alternating; medians, spread and ratios, as a table and as JSON.

A row that a peer cannot do is an error, not a gap. `--quick` does every row small, to see that the harness works: its figures say little.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .peers import Peer, machine_words, peers, version
from .rows import FULL, QUICK, ROWS, Row, Size, title

RESULTS = Path(__file__).with_name("results")


def measure(row: Row, found: Sequence[Peer], size: Size, quick: bool) -> dict[str, list[float]]:
    """Every figure of a row: the peers take turns, and each round begins with another one."""
    figures: dict[str, list[float]] = {peer.name: [] for peer in found}
    for number in range(row.rounds[quick]):
        turn = number % len(found)
        for peer in (*found[turn:], *found[:turn]):
            figures[peer.name].append(row.measure(peer, size))
    return figures


def cell(figures: Sequence[float]) -> str:
    """median (lowest-highest)."""
    middle = statistics.median(figures)
    digits = 0 if middle >= 100 else 1
    if len(figures) == 1:
        return f"{middle:.{digits}f}"
    return f"{middle:.{digits}f} ({min(figures):.{digits}f}-{max(figures):.{digits}f})"


def table(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """The closing table; a ratio below 1 is in our favour, except where more is better."""
    others = names[1:]
    lines = [["work", *(f"{name}" for name in names), *(f"/ {other}" for other in others)]]
    for row in rows:
        middle = {name: statistics.median(row["figures"][name]) for name in names}
        ratios = [f"{middle[names[0]] / middle[other]:.2f}" if middle[other] else "-" for other in others]
        lines.append(
            [f"{row['title']}, {row['unit']}{' (more is better)' if row['more'] else ''}", *(cell(row["figures"][n]) for n in names), *ratios]
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    printed = ["| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in lines]
    printed.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(printed)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="bench", description="Us beside docker.io and podman, in one run.")
    parser.add_argument("--quick", action="store_true", help="every row, small")
    parser.add_argument("--only", action="append", default=[], help="only rows whose name has this in it")
    parser.add_argument("--json", default="", help="where the figures go (default: bench/results/TIME.json)")
    options = parser.parse_args(arguments)
    if os.geteuid() != 0:
        parser.error("namespaces need root")
    size = QUICK if options.quick else FULL
    wanted = [row for row in ROWS if not options.only or any(part in title(row, size) for part in options.only)]
    rows: list[dict[str, Any]] = []
    with peers() as found:
        versions = [version(peer) for peer in found]
        for row in wanted:
            figures = measure(row, found, size, options.quick)
            rows.append({"title": title(row, size), "unit": row.unit, "more": row.more, "figures": figures})
            print(f"{title(row, size)}: " + ", ".join(f"{name} {cell(f)}" for name, f in figures.items()), file=sys.stderr, flush=True)
        names = [peer.name for peer in found]
    when = datetime.datetime.now(datetime.UTC)
    print(table(rows, names))
    print(f"\n{machine_words()}; {', '.join(versions)}; medians, lowest and highest in brackets, {when:%Y-%m-%d}")
    file = Path(options.json) if options.json else RESULTS / f"{when:%Y%m%dT%H%M%S}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        json.dumps({"machine": machine_words(), "versions": versions, "time": when.isoformat(), "quick": options.quick, "rows": rows}, indent=1)
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
