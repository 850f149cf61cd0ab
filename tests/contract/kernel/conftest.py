"""The fake kernel and the real one, each of which must pass the suite here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.kernel.world import KernelAt, Place, RememberingKeeper


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.root)])
def kernel(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A kernel with nothing of ours in it."""
    if request.param == "fake":
        fakes = pytest.importorskip("tests.fakes")
        yield fakes.FakeKernel()
        return
    place = Place(own_mounts=True)
    real = KernelAt(place, tmp_path / "exec", RememberingKeeper())
    try:
        real.prepare()
        yield real
    finally:
        real.remove_everything()
        real.close()
        left = place.sh("ip -br link show type veth; ip -br link show type bridge; nft list tables")
        place.end()
    assert left == ""
