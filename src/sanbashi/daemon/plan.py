"""`python -m sanbashi.daemon.plan DATA_ROOT [options of sanbashid]`: what should be there for a saved state, and the steps that are missing.

Nothing is touched: no file is written, no keeper started, nothing in the kernel changed. Without root one cannot see what is there, and the
plan begins from nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from ..errors import SanbashiError
from ..host.facts import HostFacts, probe
from ..host.keeper import KeeperClient
from ..host.keeperline import runs
from ..host.kernel import Kernel
from ..network.indexes import reindex
from ..network.picture import Item, Picture
from ..network.plan import Add, plan
from ..network.wanted import everything
from .config import DaemonConfig, parse
from .facts import network_facts
from .saved import Store

USAGE = "Usage:  python -m sanbashi.daemon.plan DATA_ROOT [options of sanbashid]"


class NoKeeper:
    """What a keeper that does not run keeps: nothing. It is not asked to change anything."""

    def items(self) -> Picture:
        return Picture()

    def change(self, remove: Sequence[Item], add: Sequence[Item], *, namespaces: object = None) -> tuple[Item, ...]:
        raise NotImplementedError("a plan changes nothing")

    def changing(
        self, remove: Sequence[Item], add: Sequence[Item], *, namespaces: object = None
    ) -> AbstractContextManager[Callable[[], tuple[Item, ...]]]:
        raise NotImplementedError("a plan changes nothing")


def lines(want: Picture, have: Picture | None) -> Iterator[str]:
    """The wanted picture and the plan, a line each; `have` None: nobody could look."""
    made = [step.item for step in plan(Picture(), want) if isinstance(step, Add)]
    yield f"wanted: {counted(len(made), 'item')}"
    yield from (f"  {item}" for item in made)
    steps = plan(have if have is not None else Picture(), want)
    yield f"plan: {counted(len(steps), 'step')}, from {'what is there' if have is not None else 'nothing, for only root can see what is there'}"
    yield from (f"  {step}" for step in steps)


def counted(number: int, word: str) -> str:
    """1 step, 2 steps."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def observed(config: DaemonConfig, facts: HostFacts, want: Picture) -> Picture:
    """What is there of ours."""
    keeper = KeeperClient(config.exec_root) if runs(config.exec_root) else NoKeeper()
    kernel = Kernel(config.exec_root, keeper, facts)
    try:
        return kernel.observe(None, like=want)
    finally:
        kernel.close()
        if isinstance(keeper, KeeperClient):
            keeper.close()


def main(arguments: Sequence[str]) -> int:
    """Print both; the exit status."""
    if not arguments or arguments[0].startswith("-"):
        print(USAGE, file=sys.stderr)
        return 2
    try:
        config = parse(["--data-root", arguments[0], *arguments[1:]], lambda path: Path(path).read_text(encoding="utf-8"))
        facts = probe()
        state = reindex(Store(config.data_root / "state.db").peek().network)
        want = everything(state, network_facts(config, facts))
        for line in lines(want, observed(config, facts, want) if os.geteuid() == 0 else None):
            print(line)
    except SanbashiError as error:
        print(f"{error.message}\n{error.hint}".strip(), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
