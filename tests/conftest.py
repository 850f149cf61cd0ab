"""What every test may ask for: a machine, an engine in it, and the promise that nothing stays behind."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator

import hypothesis
import pytest
from tests.harness import Engine, Kind, Machine, engine, machine, registry

# In CI the same examples each time: a landing must not hang on a new one. New ones are looked for everywhere else. Shared machines have no deadlines,
# and how long the first examples take to be made says nothing there.
UNTIMED = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=UNTIMED)
hypothesis.settings.register_profile("here", deadline=None, suppress_health_check=UNTIMED)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")

NEEDED = ("unshare", "nsenter", "ip", "nft", "tini", "slirp4netns", "docker-registry")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked root are skipped, and say why, where there is no root or a program is missing."""
    missing = [program for program in NEEDED if shutil.which(program) is None]
    reason = "needs root" if os.geteuid() else f"needs {', '.join(missing)}: make setup" if missing else ""
    if reason:
        for item in items:
            if item.get_closest_marker("root"):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def engine_kind() -> Kind:
    """Whose engine the tests run against: ours, or Debian's dockerd where ENGINE=docker, to see what a test says of it."""
    return "docker" if os.environ.get("ENGINE") == "docker" else "sanbashi"


@pytest.fixture(scope="module")
def where() -> Iterator[Machine]:
    """A machine for the tests of one file."""
    with machine() as made:
        yield made


@pytest.fixture(scope="module")
def images(where: Machine) -> Iterator[str]:
    """The URL of a registry in that machine with busybox, httpd:2.4 and ubuntu in it."""
    with registry(where) as url:
        yield url


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest, where: Machine, images: str, engine_kind: Kind) -> Iterator[Engine]:
    """An engine for the tests of one file, with busybox pulled and what the file names in IMAGES: the others take seconds to unpack and to remove."""
    with engine(where, engine_kind, options=[f"--registry-mirror={images}"]) as made:
        made.pull("busybox:latest", *getattr(request.module, "IMAGES", ()))
        yield made


@pytest.fixture
def clean(running: Engine) -> Iterator[Engine]:
    """That engine, and after the test the proof that every link, table, mount, process and descriptor that the test's containers had is gone."""
    before, descriptors = running.machine.traces(), running.descriptors()
    yield running
    running.clear()
    # Links go when the engine's broom has swept, and a closed connection may still be on its way out.
    deadline = time.monotonic() + 30
    while ((left := running.machine.left(before)) or running.descriptors() > descriptors + 4) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left, f"left behind: {left}"
    assert running.descriptors() <= descriptors + 4, f"{running.descriptors()} descriptors, {descriptors} before"
