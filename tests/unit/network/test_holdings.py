"""What can be held by one alone: commands never give it to two, and what is put back after a failure is looked at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sanbashi.network import commands
from sanbashi.network.holdings import contradiction
from sanbashi.network.model import NetworkState, PortSpec

from .world import create, endpoint, fresh, run


def busy() -> NetworkState:
    state, _ = create(fresh(), "app", "10.1.0.0/24")
    state, _ = create(state, "other", "10.2.0.0/24")
    state = run(state, "web", "app", PortSpec(80, host_port=8080))
    return run(state, "db", "other", PortSpec(80, host_port=8081))


def test_what_commands_make_contradicts_nothing() -> None:
    assert contradiction(busy()) == ""


@pytest.mark.parametrize("what", ["address", "port", "place"])
def test_endpoints(what: str) -> None:
    state = busy()
    web, db = endpoint(state, "web", "app"), endpoint(state, "db", "other")
    taken = {
        "address": replace(db, network_id=web.network_id, ipv4=web.ipv4, ipv6=web.ipv6),
        "port": replace(db, ports=web.ports),
        "place": replace(db, network_id=web.network_id, container_id=web.container_id),
    }[what]
    said = contradiction(replace(state, endpoints=state.endpoints.set(db.id, taken)))
    assert what in said and web.id in said and db.id in said


def test_a_name_and_a_subnet() -> None:
    state = busy()
    app, other = (commands.find_network(state, name) for name in ("app", "other"))
    assert "'app'" in contradiction(replace(state, networks=state.networks.set(other.id, replace(other, name="app"))))
    wider, _ = create(NetworkState(), "wide", "10.0.0.0/12")
    (wide,) = wider.networks.values()
    assert "10.1.0.0/24 overlaps 10.0.0.0/12" in contradiction(replace(state, networks=state.networks.set(wide.id, wide)))
    assert "not there" in contradiction(replace(state, networks=state.networks.delete(app.id)))


def test_a_state_can_be_printed_however_many_ports_it_holds() -> None:
    assert "8080" in repr(busy()) and repr(run(busy(), "high", "app", PortSpec(80, host_port=60000)))
