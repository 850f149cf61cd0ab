"""The golden changes on the real kernel: what is there afterwards is what was wanted, and nothing is left to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.golden.test_network import PLANS
from tests.kernel.world import KernelAt, Place, RememberingKeeper
from tests.unit.network.world import FACTS

from sanbashi.network.model import NetworkState
from sanbashi.network.picture import Picture
from sanbashi.network.plan import plan
from sanbashi.network.wanted import everything

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelAt]:
    place = Place(own_mounts=True)
    real = KernelAt(place, tmp_path_factory.mktemp("exec"), RememberingKeeper())
    try:
        real.prepare()
        yield real
    finally:
        real.remove_everything()
        real.close()
        place.end()


@pytest.mark.parametrize("change", PLANS)
def test_a_change_leads_where_it_says(kernel: KernelAt, change: Callable[[], tuple[NetworkState, NetworkState]]) -> None:
    old, new = change()
    have, want = everything(old, FACTS), everything(new, FACTS)
    kernel.apply(plan(kernel.observe(None, like=have), have))
    kernel.apply(plan(have, want))
    assert kernel.observe(want) == want
    assert [str(step) for step in plan(kernel.observe(None, like=want), want)] == []
    kernel.apply(plan(want, Picture()))
    assert kernel.observe(None, like=want | have).items == frozenset()
