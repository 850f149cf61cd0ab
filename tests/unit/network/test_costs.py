"""What a change costs does not depend on how much there is: counted in calls, without a clock."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from sanbashi.network import commands
from sanbashi.network.model import NetworkState, PortSpec
from sanbashi.network.picture import Picture
from sanbashi.network.plan import plan
from sanbashi.network.wanted import wanted

from .world import FACTS, create, endpoint, fresh, join, number, open_container, run, sandbox_of


def crowd(containers: int, networks: int) -> NetworkState:
    state, _ = create(fresh(), "n", "10.0.0.0/16")
    for i in range(networks):
        state, _ = create(state, f"net{i}", f"11.{i // 256}.{i % 256}.0/24")
    for i in range(containers):
        state = run(state, f"c{i}", "n", PortSpec(80, "tcp"))
    return commands.close_sandbox(state, sandbox_of("c5"))  # a gap, so that lowest is not last


def calls(work: Callable[[], object]) -> int:
    """How many functions, Python's and C's, a piece of work calls, after a first run that fills caches."""
    count = 0

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    work()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def start(state: NetworkState) -> object:
    new = run(state, "new", "n", PortSpec(80, "tcp"), PortSpec(81, "tcp", None, 8080), PortSpec(82, "udp", None, 9000, 9010))
    return plan(Picture(), wanted(new, FACTS, sandboxes=[sandbox_of("new")]))


def stop(state: NetworkState) -> object:
    new = commands.close_sandbox(state, sandbox_of("c3"))
    return plan(wanted(state, FACTS, sandboxes=[sandbox_of("c3")]), wanted(new, FACTS, sandboxes=[sandbox_of("c3")]))


def connect_and_leave(state: NetworkState) -> object:
    new, _ = join(state, "c3", "bridge", gateway_priority=1)
    new = commands.publish(new, sandbox_of("c3"), FACTS)
    return commands.publish(commands.leave(new, endpoint(new, "c3", "bridge").id), sandbox_of("c3"), FACTS)


def rename(state: NetworkState) -> object:
    return commands.rename_container(state, number("c3"), "other")


def make_and_remove_a_network(state: NetworkState) -> object:
    new, network = create(state, "made", enable_ipv6=True)
    return commands.remove_network(new, network.id)


def conflict(state: NetworkState) -> object:
    try:
        return run(state, "new", "n", PortSpec(80, "tcp", None, 32768))
    except commands.Failed as error:
        return error.hint


FEW, MANY = crowd(10, 3), crowd(1000, 300)


@pytest.mark.parametrize("work", [start, stop, connect_and_leave, rename, make_and_remove_a_network, conflict])
def test_cost(work: Callable[[NetworkState], object]) -> None:
    # immutables.Map hashes and compares addresses in Python where its tree collides, so a few calls come and go.
    few, many = calls(lambda: work(FEW)), calls(lambda: work(MANY))
    assert many <= few * 1.1 + 60, f"{few} calls among 10 containers, {many} among 1,000"
    assert work(FEW) is not None


def test_a_sandbox_among_many_is_found_by_its_own_keys() -> None:
    state = open_container(MANY, "last")
    state, last = join(state, "last", "n")
    assert str(last.ipv4) == "10.0.0.7/16"
