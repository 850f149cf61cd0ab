"""`make bench`: us beside docker.io and podman, row by row, alternating; medians, spread and ratios, as tables and as JSON.

A row that a peer cannot do is an error, not a gap. `--quick` does every row small, to see that the harness works: its figures say little.
`--scale` is the ring of a thousand containers, ours alone.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .goals import Goal, ratios
from .page import write_page
from .plots import drawn
from .table import cell, changes_table, figures_table, found_in, goals_table
from .work import FULL, QUICK, Row, Size, Work, run
from .works import ALL
from .works.crowd import SCALE, scale_goals
from .world import Hung, World, machine_words, tool_versions, version, world

RESULTS = Path(__file__).with_name("results")


@dataclass
class Results:
    """What a run has found: rows as they go into the file, the engines' versions by name, and which peer hung where."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    hung: dict[str, str] = field(default_factory=dict)

    def add(self, work: Work, here: World, size: Size, quick: bool) -> None:
        """Do a work, and keep its rows when all of them are there."""
        began = time.monotonic()
        known = {row.title: row for row in work.rows(size)}
        for title, figures in run(work, here, size, quick=quick).items():
            row = known.get(title) or Row(title)
            self.rows.append({"title": title, "unit": row.unit, "more": row.more, "plot": row.plot, "x": row.x, "figures": figures})
            print(f"{title}: " + ", ".join(f"{name} {cell(f)}" for name, f in figures.items()), file=sys.stderr)
        print(f"--- {work.name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def measured(works: Sequence[Work], size: Size, quick: bool) -> Results:
    """Every row of these works. Where a peer hangs, its work is done anew among new engines, once, and the table says so; ours must not."""
    results = Results()
    rest = list(works)
    while rest:
        with world() as here:
            try:
                while rest:
                    results.add(rest[0], here, size, quick)
                    del rest[0]
                results.versions |= {name: version(peer) for name, peer in here.known.items()}
            except Hung as hung:
                if hung.peer.name.startswith("ours") or rest[0].name in results.hung:
                    raise
                results.hung[rest[0].name] = str(hung)
                print(f"--- {rest[0].name}, anew: {hung}", file=sys.stderr, flush=True)
                if hung.peer.daemon is not None:
                    hung.peer.daemon.kill()
    return results


def complete(goals: Sequence[Goal], rows: Sequence[dict[str, Any]]) -> list[Goal]:
    """The goals whose figures are all here."""
    found = found_in(rows)
    return [goal for goal in goals if all(name in found.get(title, {}) for title, name in goal.cells())]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="bench", description="Us beside docker.io and podman, in one run.")
    parser.add_argument("--quick", action="store_true", help="every row, small")
    parser.add_argument("--scale", action="store_true", help="a thousand containers, ours alone")
    parser.add_argument("--only", action="append", default=[], help="only works whose name has this in it")
    parser.add_argument("--json", default="", help="where the figures go (default: bench/results/TIME.json)")
    parser.add_argument("--against", default="", help="an earlier run's figures: print what has changed")
    parser.add_argument("--page", default="", help="the page that the tables and pictures go into, its own text kept")
    options = parser.parse_args(arguments)
    if os.geteuid() != 0:
        parser.error("namespaces need root")
    earlier = json.loads(Path(options.against).read_text()) if options.against else None
    size = QUICK if options.quick else FULL
    works = [work for work in (SCALE if options.scale else ALL) if not options.only or any(part in work.name for part in options.only)]
    if not works:
        parser.error(f"no work is called so; there are: {', '.join(work.name for work in (*ALL, *SCALE))}")
    began = time.monotonic()
    results = measured(works, size, options.quick)
    rows, said = results.rows, [*results.versions.values(), *tool_versions()]
    wanted = scale_goals(size) if options.scale else ratios(size)
    goals = complete(wanted, rows)
    if not options.only and len(goals) < len(wanted):
        raise RuntimeError(f"lines without figures: {', '.join(goal.words for goal in wanted if goal not in goals)}")
    when = datetime.datetime.now(datetime.UTC)
    took = f"{(time.monotonic() - began) / 60:.0f} minutes"
    foot = f"{when:%Y-%m-%d}, {took}; {machine_words()}; {', '.join(said)}. Medians, lowest and highest in brackets."
    anew = [f"Done anew: {name}, for {why}." for name, why in results.hung.items()]
    text = "\n\n".join([foot, *anew, goals_table(goals, found_in(rows)), figures_table(rows)])
    print(text)
    file = Path(options.json) if options.json else RESULTS / f"{when:%Y%m%dT%H%M%S}{'-scale' * options.scale}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    given = {
        "machine": machine_words(),
        "versions": said,
        "hung": results.hung,
        "time": when.isoformat(),
        "quick": options.quick,
        "scale": options.scale,
        "rows": rows,
    }
    file.write_text(json.dumps(given, indent=1))
    print(f"\nThe figures are in {file}; a later run is held against them by --against {file}")
    if options.page:
        write_page(Path(options.page), "scale" if options.scale else "bench", text, drawn(rows))
    if earlier is not None:
        print(f"\nSince {earlier['time'][:16]} ({earlier['machine']}):\n\n{changes_table(goals, found_in(earlier['rows']), found_in(rows))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
