"""The populated world of the traffic tests, once with and once without br_netfilter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.kernel.town import Town, new_town


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "br_netfilter"])
def town(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    root: Path = tmp_path_factory.mktemp("exec")
    with new_town(root, br_netfilter=request.param) as built:
        yield built
