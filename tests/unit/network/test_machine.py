"""After any sequence of commands: no address and no port held twice, indexes as computed afresh, and the kernel follows by plans alone."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sanbashi.errors import SanbashiError
from sanbashi.network import commands
from sanbashi.network.indexes import reindex
from sanbashi.network.model import NetworkState, PortSpec
from sanbashi.network.picture import Picture
from sanbashi.network.plan import plan
from sanbashi.network.wanted import everything, wanted
from tests.fakes import FakeKernel

from .world import FACTS, create, fresh, join, number, open_container, sandbox_of

SMALL = replace(FACTS, ephemeral=(50000, 50003))
NETWORKS = ("n1", "n2", "n3", "n4")
CONTAINERS = ("c1", "c2", "c3", "c4")
SUBNETS = ("", "10.1.0.0/30", "10.1.0.0/29", "10.2.0.0/31", "10.3.0.0/24")
SPECS = st.lists(
    st.builds(
        PortSpec,
        container_port=st.sampled_from((80, 81)),
        protocol=st.sampled_from(("tcp", "udp")),
        host_ip=st.sampled_from((None, ip_address("127.0.0.1"), ip_address("::1"))),
        host_port=st.sampled_from((0, 0, 8080, 8081)),
    ),
    max_size=3,
)
OPTIONS = st.sampled_from(
    (
        {},
        {"com.docker.network.bridge.enable_icc": "false"},
        {"com.docker.network.bridge.gateway_mode_ipv4": "routed"},
        {"com.docker.network.bridge.host_binding_ipv4": "127.0.0.1"},
    )
)


class Networks(RuleBasedStateMachine):
    """Commands on a handful of networks and containers; every change goes to a fake kernel as the plan of the slice that it touches."""

    @initialize()
    def begin(self) -> None:
        self.state = NetworkState()
        self.kernel = FakeKernel()
        self.change(fresh(SMALL), networks=list(fresh(SMALL).networks), sandboxes=[])

    def change(self, new: NetworkState, *, networks: list[str], sandboxes: list[str]) -> None:
        """What the daemon does: from what was last written to what is wanted, for the slice."""
        have, want = (wanted(s, SMALL, networks=networks, sandboxes=sandboxes) for s in (self.state, new))
        self.kernel.apply(plan(have, want))
        self.state = new

    def touched(self, state: NetworkState, container: str) -> list[str]:
        """The container's sandbox and those whose links point at it."""
        linking = state.linked.get(number(container), ())
        return [sandbox_of(container), *{state.endpoints[i].sandbox_id if i in state.endpoints else i for i in linking}]

    @rule(name=st.sampled_from(NETWORKS), subnet=st.sampled_from(SUBNETS), ipv6=st.booleans(), internal=st.booleans(), options=OPTIONS)
    def create(self, name: str, subnet: str, ipv6: bool, internal: bool, options: dict[str, str]) -> None:
        try:
            new, network = create(self.state, name, *filter(None, (subnet,)), enable_ipv6=ipv6, internal=internal, options=options, facts=SMALL)
        except SanbashiError:
            return
        self.change(new, networks=[network.id], sandboxes=[])

    @rule(name=st.sampled_from(NETWORKS))
    def remove(self, name: str) -> None:
        try:
            network = commands.find_network(self.state, name)
            new = commands.remove_network(self.state, network.id)
        except SanbashiError:
            return
        self.change(new, networks=[network.id], sandboxes=[])

    @rule(container=st.sampled_from(CONTAINERS), network=st.sampled_from((*NETWORKS, "bridge")), specs=SPECS, link=st.sampled_from((None, *CONTAINERS)))
    def start(self, container: str, network: str, specs: list[PortSpec], link: str | None) -> None:
        if sandbox_of(container) in self.state.sandboxes or network not in self.state.network_names:
            return
        links = (("other", number(link)),) if link else ()
        try:
            new = open_container(self.state, container, *specs, exposed=((80, "tcp"),), host_links=links if network == "bridge" else ())
            new, _ = join(new, container, network, facts=SMALL, links=links if network != "bridge" else ())
            new = commands.publish(new, sandbox_of(container), SMALL)
        except SanbashiError:
            return
        self.change(new, networks=[], sandboxes=self.touched(new, container))

    @rule(container=st.sampled_from(CONTAINERS), network=st.sampled_from(NETWORKS), priority=st.integers(0, 2))
    def connect(self, container: str, network: str, priority: int) -> None:
        if sandbox_of(container) not in self.state.sandboxes or network not in self.state.network_names:
            return
        try:
            new, _ = join(self.state, container, network, facts=SMALL, gateway_priority=priority)
            new = commands.publish(new, sandbox_of(container), SMALL)
        except SanbashiError:
            return
        self.change(new, networks=[], sandboxes=self.touched(new, container))

    @rule(container=st.sampled_from(CONTAINERS), network=st.sampled_from((*NETWORKS, "bridge")))
    def disconnect(self, container: str, network: str) -> None:
        held = self.state.network_endpoints.get(self.state.network_names.get(network, ""), {}).get(number(container))
        if held is None:
            return
        try:
            new = commands.publish(commands.leave(self.state, held), sandbox_of(container), SMALL)
        except SanbashiError:
            return
        self.change(new, networks=[], sandboxes=self.touched(self.state, container))

    @rule(container=st.sampled_from(CONTAINERS))
    def stop(self, container: str) -> None:
        self.change(commands.close_sandbox(self.state, sandbox_of(container)), networks=[], sandboxes=self.touched(self.state, container))

    @precondition(lambda self: self.state.endpoints)
    @rule(container=st.sampled_from(CONTAINERS), name=st.sampled_from(("x1", "x2")))
    def rename(self, container: str, name: str) -> None:
        new = commands.rename_container(self.state, number(container), name)
        self.change(new, networks=[], sandboxes=self.touched(new, container))

    @precondition(lambda self: self.kernel.items)
    @rule(data=st.data())
    def damage(self, data: st.DataObject) -> None:
        """Somebody takes something away; observing and planning mends it."""
        item = data.draw(st.sampled_from(sorted(self.kernel.items.values(), key=str)))
        self.kernel.items.pop(item.key)
        self.kernel.drop({("", getattr(item, "name", "")), (getattr(item, "namespace", ""), getattr(item, "peer", ""))})
        if hasattr(item, "sandbox"):
            self.kernel.drop(set(), {item.sandbox})
        self.kernel.apply(plan(self.kernel.picture, everything(self.state, SMALL)))

    @invariant()
    def addresses_are_held_once(self) -> None:
        held = [(e.network_id, i.ip) for e in self.state.endpoints.values() for i in (e.ipv4, e.ipv6) if i]
        held += [(n.id, s.gateway) for n in self.state.networks.values() for s in n.subnets if s.gateway]
        assert len(held) == len(set(held))

    @invariant()
    def ports_are_held_once(self) -> None:
        held = [(p.protocol, p.host_port, p.host_ip) for e in self.state.endpoints.values() for p in e.ports if p.host_port]
        assert len(held) == len(set(held))
        for protocol, port, address in held:
            others = [a for p, n, a in held if (p, n) == (protocol, port) and a.version == address.version and a != address]
            assert not any(a.is_unspecified or address.is_unspecified for a in others)

    @invariant()
    def indexes_are_as_computed_afresh(self) -> None:
        assert reindex(self.state) == self.state

    @invariant()
    def kernel_follows(self) -> None:
        want = everything(self.state, SMALL)
        assert self.kernel.picture == want
        assert plan(want, want) == ()
        assert plan(want, Picture.of(list(want))) == ()


TestNetworks = Networks.TestCase
TestNetworks.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
