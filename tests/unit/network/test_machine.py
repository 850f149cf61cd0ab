"""After any sequence of commands: no address and no port held twice, indexes as computed afresh, and the kernel follows by plans alone."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.fakes import FakeKernel

from sanbashi.errors import SanbashiError
from sanbashi.network import commands
from sanbashi.network.indexes import reindex
from sanbashi.network.model import NetworkState, PortSpec
from sanbashi.network.picture import Picture
from sanbashi.network.plan import plan
from sanbashi.network.updating import NetworkChange, update_network, with_ports
from sanbashi.network.wanted import everything, wanted

from .world import FACTS, create, fresh, join, number, open_container, sandbox_of

SMALL = replace(FACTS, ephemeral=(50000, 50003))
NETWORKS = ("n1", "n2", "n3")
CONTAINERS = ("c1", "c2", "c3")
SUBNETS = ("", "", "10.1.0.0/30", "10.1.0.0/29", "10.2.0.0/31", "10.3.0.0/24")
PLACES = {
    "container_port": st.sampled_from((80, 81)),
    "protocol": st.sampled_from(("tcp", "udp")),
    "host_ip": st.sampled_from((None, ip_address("127.0.0.1"), ip_address("::1"))),
}
SPECS = st.lists(
    st.builds(PortSpec, **PLACES, host_port=st.sampled_from((0, 0, 8080, 8081)))
    | st.builds(PortSpec, **PLACES, host_port=st.sampled_from((8079, 8080)), count=st.sampled_from((2, 3))),
    max_size=3,
)
OPTIONS: st.SearchStrategy[dict[str, str]] = st.sampled_from(
    (
        {},
        {"com.docker.network.bridge.enable_icc": "false"},
        {"com.docker.network.bridge.gateway_mode_ipv4": "routed"},
        {"com.docker.network.bridge.host_binding_ipv4": "127.0.0.1"},
    )
)

NETWORK = st.fixed_dictionaries({"subnet": st.sampled_from(SUBNETS), "enable_ipv6": st.booleans(), "internal": st.booleans(), "options": OPTIONS})

CHANGES: st.SearchStrategy[dict[str, str | None]] = st.dictionaries(
    st.sampled_from(
        (
            "com.docker.network.bridge.enable_icc",
            "com.docker.network.bridge.enable_ip_masquerade",
            "io.sanbashi.host_input",
            "io.sanbashi.anti_spoofing",
        )
    ),
    st.sampled_from(("true", "false", None)),
    max_size=2,
).flatmap(
    lambda flags: st.sampled_from(
        (
            flags,
            {**flags, "com.docker.network.bridge.gateway_mode_ipv4": "nat-unprotected"},
            {**flags, "com.docker.network.bridge.gateway_mode_ipv4": None, "com.docker.network.host_ipv4": "192.0.2.10"},
            {**flags, "com.docker.network.bridge.trusted_host_interfaces": "eth1", "com.docker.network.driver.mtu": "1400"},
        )
    )
)


class Networks(RuleBasedStateMachine):
    """Commands on a handful of networks and containers; every change goes to a fake kernel as the plan of the slice that it touches."""

    @initialize(data=st.data(), first=NETWORK, second=NETWORK)
    def begin(self, data: st.DataObject, first: dict[str, object], second: dict[str, object]) -> None:
        self.state = NetworkState()
        self.kernel = FakeKernel()
        self.change(fresh(SMALL), networks=list(fresh(SMALL).networks), sandboxes=[])
        self.create("n1", first)
        self.create("n2", second)
        for _ in CONTAINERS:
            self.start(data)

    def stopped(self) -> list[str]:
        return [c for c in CONTAINERS if sandbox_of(c) not in self.state.sandboxes]

    def joined(self) -> list[tuple[str, str]]:
        """(container, endpoint id) of every endpoint."""
        return [(c, e) for c in CONTAINERS for e in self.state.sandbox_endpoints.get(sandbox_of(c), ())]

    def joinable(self) -> list[tuple[str, str]]:
        """(running container, name of a network that it is not in)."""
        named = self.state.network_names
        running = [c for c in CONTAINERS if c not in self.stopped()]
        return [
            (c, n) for c in running for n in (*NETWORKS, "bridge") if n in named and number(c) not in self.state.network_endpoints.get(named[n], {})
        ]

    def change(self, new: NetworkState, *, networks: list[str], sandboxes: list[str]) -> None:
        """What the daemon does: from what was last written to what is wanted, for the slice."""
        have, want = (wanted(s, SMALL, networks=networks, sandboxes=sandboxes) for s in (self.state, new))
        self.kernel.apply(plan(have, want))
        self.state = new

    def touched(self, state: NetworkState, container: str) -> list[str]:
        """The container's sandbox and those whose links point at it."""
        linking = state.linked.get(number(container), ())
        return [sandbox_of(container), *{state.endpoints[i].sandbox_id if i in state.endpoints else i for i in linking}]

    @rule(name=st.sampled_from(NETWORKS), fields=NETWORK)
    def create_or_remove(self, name: str, fields: dict[str, object]) -> None:
        if name in self.state.network_names:
            self.remove(name)
        else:
            self.create(name, fields)

    def create(self, name: str, fields: dict[str, object]) -> None:
        try:
            new, network = create(
                self.state, name, *filter(None, (str(fields["subnet"]),)), facts=SMALL, **{k: v for k, v in fields.items() if k != "subnet"}
            )
        except SanbashiError:
            return
        self.change(new, networks=[network.id], sandboxes=[])

    def remove(self, name: str) -> None:
        try:
            network = commands.find_network(self.state, name)
            new = commands.remove_network(self.state, network.id)
        except SanbashiError:
            return
        self.change(new, networks=[network.id], sandboxes=[])

    @precondition(lambda self: self.stopped())
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        container = data.draw(st.sampled_from(self.stopped()))
        specs, link = data.draw(SPECS), data.draw(st.sampled_from((None, *CONTAINERS)))
        names = [n for n in (*NETWORKS, "bridge") if n in self.state.network_names]
        chosen = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
        links = (("other", number(link)),) if link else ()
        try:
            new = open_container(self.state, container, *specs, exposed=((80, "tcp"),), host_links=links if "bridge" in chosen else ())
            for network in chosen:
                new, _ = join(new, container, network, facts=SMALL, links=links if network != "bridge" else ())
            new = commands.publish(new, sandbox_of(container), SMALL)
        except SanbashiError:
            return
        self.change(new, networks=[], sandboxes=self.touched(new, container))

    @precondition(lambda self: self.joinable())
    @rule(data=st.data(), priority=st.integers(-1, 2))
    def connect(self, data: st.DataObject, priority: int) -> None:
        container, network = data.draw(st.sampled_from(self.joinable()))
        try:
            new, _ = join(self.state, container, network, facts=SMALL, gateway_priority=priority)
            new = commands.publish(new, sandbox_of(container), SMALL)
        except SanbashiError:
            return
        self.change(new, networks=[], sandboxes=self.touched(new, container))

    @precondition(lambda self: self.joined())
    @rule(data=st.data(), publish=st.booleans())
    def disconnect(self, data: st.DataObject, publish: bool) -> None:
        container, endpoint_id = data.draw(st.sampled_from(self.joined()))
        new = commands.leave(self.state, endpoint_id)
        try:
            new = commands.publish(new, sandbox_of(container), SMALL) if publish else new
        except SanbashiError:
            return
        self.change(new, networks=[], sandboxes=self.touched(self.state, container))

    @precondition(lambda self: self.state.sandboxes)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        container = data.draw(st.sampled_from([c for c in CONTAINERS if c not in self.stopped()]))
        self.change(commands.close_sandbox(self.state, sandbox_of(container)), networks=[], sandboxes=self.touched(self.state, container))

    @precondition(lambda self: self.state.endpoints)
    @rule(container=st.sampled_from(CONTAINERS), name=st.sampled_from(("x1", "x2")))
    def rename(self, container: str, name: str) -> None:
        new = commands.rename_container(self.state, number(container), name)
        self.change(new, networks=[], sandboxes=self.touched(new, container))

    @precondition(lambda self: self.state.networks)
    @rule(name=st.sampled_from(NETWORKS), options=CHANGES)
    def update(self, name: str, options: dict[str, str | None]) -> None:
        """A network's options change with everything on it."""
        if name not in self.state.network_names:
            return
        network_id = self.state.network_names[name]
        members = self.state.network_endpoints.get(network_id, {})
        sandboxes = [self.state.endpoints[e].sandbox_id for e in members.values()]
        try:
            new, _, _ = update_network(self.state, network_id, NetworkChange(options=options), SMALL)
        except SanbashiError:
            return
        self.change(new, networks=[network_id], sandboxes=sandboxes)

    @precondition(lambda self: self.state.sandboxes)
    @rule(data=st.data(), specs=SPECS)
    def republish(self, data: st.DataObject, specs: list[PortSpec]) -> None:
        """A running container's ports change."""
        container = data.draw(st.sampled_from([c for c in CONTAINERS if c not in self.stopped()]))
        try:
            new = with_ports(self.state, sandbox_of(container), tuple(specs), ((80, "tcp"),), SMALL)
        except SanbashiError:
            return
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
        held = [(p.protocol, p.host_port, p.host_ip) for e in self.state.endpoints.values() for r in e.ports if r.host_port for p in r.each()]
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
        assert self.kernel.picture == want.each()
        assert plan(want, want) == ()
        assert plan(want, Picture.of(list(want))) == plan(want, want.each()) == plan(want.each(), want) == ()


TestNetworks = Networks.TestCase
TestNetworks.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
