"""After any sequence of changes the kernel's tables, written a plan at a time, equal those computed afresh in one go. nft says what is there."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import initialize, invariant
from tests.kernel.world import KernelAt, Place, RememberingKeeper
from tests.unit.network.test_machine import NETWORK, SMALL, Networks, st

from sanbashi.network.model import NetworkState
from sanbashi.network.picture import Element
from sanbashi.network.plan import plan
from sanbashi.network.wanted import everything, wanted

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]


class Machine:
    """A kernel in a place of its own."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.place = Place(own_mounts=True)
        self.kernel = KernelAt(self.place, Path(self.folder.name), RememberingKeeper())
        self.kernel.prepare()

    def tables(self) -> dict[str, list[tuple[str, dict[str, Any]]]]:
        """Every table there is, as nft prints it: chains with their rules in order, sets with their elements in none."""
        listed = json.loads(self.place.sh("nft -j list ruleset"))["nftables"]
        found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        for entry in listed:
            (kind, value), *_ = entry.items()
            if kind == "metainfo":
                continue
            if kind == "table":
                value.pop("flags", None)  # nft before 1.1 prints nonsense for those of the guard
            value.pop("handle", None)
            value["elem"] = sorted(json.dumps(element, sort_keys=True) for element in value.get("elem", ()))
            found.setdefault(f"{value['family']} {value['table'] if 'table' in value else value['name']}", []).append((kind, value))
        return found

    def end(self) -> None:
        self.kernel.remove_everything()
        self.kernel.close()
        self.place.end()
        self.folder.cleanup()


class OnTheKernel(Networks):
    """The commands of the unit tests, each change carried out by the real kernel as well."""

    damage = None  # type: ignore[assignment]  # of the fake; what strangers do to the real one is test_drift.py's

    @initialize(data=st.data(), first=NETWORK, second=NETWORK)
    def begin(self, data: st.DataObject, first: dict[str, object], second: dict[str, object]) -> None:
        self.machine, self.fresh = Machine(), Machine()
        super().begin(data, first, second)

    def change(self, new: NetworkState, *, networks: list[str], sandboxes: list[str]) -> None:
        have, want = (wanted(s, SMALL, networks=networks, sandboxes=sandboxes) for s in (self.state, new))
        self.machine.kernel.apply(plan(have, want))
        super().change(new, networks=networks, sandboxes=sandboxes)

    @invariant()
    def written_step_by_step_and_in_one_go(self) -> None:
        elements = [i for i in everything(self.state, SMALL) if isinstance(i, Element)]
        real = self.fresh.kernel.real
        self.fresh.place.do(real.restore, lambda: elements)
        assert self.machine.tables() == self.fresh.tables()
        there = [element for parts in self.machine.tables().values() for kind, value in parts if kind in ("set", "map") for element in value["elem"]]
        assert len(there) >= len(elements)

    def teardown(self) -> None:
        for one in (self.machine, self.fresh):
            one.end()


TestOnTheKernel = OnTheKernel.TestCase
# A sequence that fails is shown as it was found: to look for a shorter one takes minutes here.
TestOnTheKernel.settings = settings(max_examples=10, stateful_step_count=15, deadline=None, phases=[Phase.generate])
