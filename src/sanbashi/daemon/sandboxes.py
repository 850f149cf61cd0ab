"""A container's sandbox: joined to its networks and with its ports chosen when it starts, taken away when it ends."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

from ..containers.model import Container
from ..errors import Conflict, Failed, Invalid, NotFound
from ..host.crash import crash_point
from ..network import commands
from ..network.links import resolve_links
from ..network.model import PREDEFINED, Endpoint, EndpointWish, Network, NetworkState, Sandbox
from ..network.names import host_interface, mac_address
from ..network.picture import Namespace
from ..network.plan import Add, Step, plan
from ..network.ports import exposed_ports, parse_bindings
from ..network.wanted import namespaces
from ..records import dataclass
from .core import Core, new_id
from .files import refresh_files
from .leasing import Leasing
from .loop import Loop, Slice, touched
from .remembered import last_lease, preferring, remembering
from .targets import link_targets

log = logging.getLogger("sanbashi.network")

HOST = "cannot connect container to host network - container must be created in host network mode"
SHARING = "container sharing network namespace with another container or host cannot be connected to any other network"
PRIVATE = "container cannot be connected to multiple networks with one of the networks in private (none) mode"

Planned: TypeAlias = Callable[[], tuple[Step, ...]]


@dataclass
class Sandboxes:
    """Opens and closes them."""

    core: Core
    loop: Loop
    leasing: Leasing

    def reserve(self, container: Container, avoid: frozenset[tuple[str, int]] = frozenset()) -> tuple[NetworkState, str]:
        """The state with a sandbox for this container, joined to its networks and with its ports chosen: (state, sandbox id)."""
        core, host = self.core, container.host_config
        state = core.state.network
        sandbox_id = new_id()
        mode = host.network_mode if host.network_mode in ("host", "none") else "private"
        sandbox = Sandbox(
            id=sandbox_id,
            container_id=container.id,
            mode=mode,
            hostname=container.config.hostname,
            domainname=container.config.domainname,
            extra_hosts=tuple(self.extra_hosts(host.extra_hosts or ())),
            dns=host.dns or (core.config.dns if mode != "host" else ()),
            dns_search=host.dns_search or core.config.dns_search,
            dns_options=host.dns_options or core.config.dns_opts,
            resolver_port=secrets.choice(range(32768, 61000)),
            ports=parse_bindings(host.port_bindings or {}, publish_all=host.publish_all_ports, exposed=container.config.exposed_ports or {})
            if mode == "private"
            else (),
            exposed=exposed_ports(container.config.exposed_ports or {}),
            host_links=self.host_links(container),
            ipv6=not any((host.sysctls or {}).get(f"net.ipv6.conf.{of}.disable_ipv6", "0") != "0" for of in ("all", "lo")),
        )
        state = commands.open_sandbox(state, sandbox)
        # The default network is another one when it was taken away by the settings and is back again.
        joined = [
            (commands.find_network(state, name if name in PREDEFINED else wish.network_id or name), wish)
            for name, wish in container.networks
            if not self.has_no(name)
        ]
        check_together(host.network_mode, [network for network, _ in joined])
        for network, wish in joined:
            state, _ = self.join(state, sandbox_id, container, network, wish)
        return commands.publish(state, sandbox_id, core.network_facts, avoid=avoid, prefer=container.last_ports), sandbox_id

    def has_no(self, name: str) -> bool:
        """Whether a network is the default one and the daemon was told to have none: who wishes for it runs with the loopback alone, as in Docker."""
        return name == "bridge" and self.core.config.bridge == commands.NO_BRIDGE and name not in self.core.state.network.network_names

    def join(self, state: NetworkState, sandbox_id: str, container: Container, network: Network, wish: EndpointWish) -> tuple[NetworkState, Endpoint]:
        """A container's sandbox joined to one network."""
        links = resolve_links(wish.links, self.container_id_or_name) if wish.links else ()
        return commands.join(
            state,
            sandbox_id,
            network.id,
            preferring(state, container, network, wish),
            self.core.network_facts,
            endpoint_id=new_id(),
            container_name=container.name,
            short_id=container.id[:12],
            hostname=container.config.hostname,
            mac=mac_address(secrets.token_bytes(6)),
            host_interface=host_interface(secrets.token_hex(4)),
            links=links,
            remembered=last_lease(state, container, network),
        )

    def container_id_or_name(self, ref: str) -> str:
        """The id of the container that a link on a network names; the name where nobody has it yet: the link holds as soon as somebody has."""
        try:
            return self.core.find_container(ref).id
        except NotFound:
            return ref

    def host_links(self, container: Container) -> tuple[tuple[str, str], ...]:
        """--link on the default bridge, resolved to container ids."""
        return link_targets(self.core, container) if any(name == "bridge" for name, _ in container.networks) else ()

    def extra_hosts(self, words: Iterable[str]) -> Iterable[tuple[str, str]]:
        """--add-host words, host-gateway resolved to the daemon's setting or the default bridge's address."""
        for word in words:
            name, _, address = word.partition(":")
            if address == "host-gateway":
                default = commands.find_network(self.core.state.network, "bridge") if "bridge" in self.core.state.network.network_names else None
                gateways = self.core.config.host_gateway_ips or tuple(str(s.gateway) for s in (default.subnets if default else ()) if s.gateway)
                if not gateways:
                    raise Failed("unable to derive the IP value for host-gateway", hint="set host-gateway-ips in the daemon's settings")
                yield from ((name, gateway) for gateway in gateways)
            else:
                yield name, address.strip("[]")

    def namespace_path(self, container: Container) -> str:
        """The network namespace a container's process enters: "" for the host's."""
        mode = container.host_config.network_mode
        if mode == "host":
            return ""
        if mode.startswith("container:"):
            return self.namespace_path(self.shared_with(container))
        return str(self.core.kernel.namespace(container.sandbox_id))

    def shared_with(self, container: Container) -> Container:
        """The container whose namespace a container:X mode joins; its failures in Docker's words."""
        ref = container.host_config.network_mode.partition(":")[2]
        try:
            other = self.core.find_container(ref)
        except NotFound as error:
            raise Failed(f"joining network namespace of container: {error.message}") from error
        if not other.state.running:
            raise Conflict(f"cannot join network namespace of a non running container: container {ref} is {other.state.status}")
        if other.state.status == "restarting":
            raise Conflict(f"cannot join network namespace of container: Container {ref} is restarting, wait until the container is running")
        return other

    def steps_up(self, old: NetworkState, sandbox_id: str, part: Slice) -> tuple[tuple[Step, ...], Planned]:
        """The steps that bring a sandbox up: first its namespace, then the rest, which the runtime's create may overlap, and their planning too."""
        new = self.core.state.network
        first = tuple(Add(namespace) for namespace in namespaces(new.sandboxes[sandbox_id]))

        def rest() -> tuple[Step, ...]:
            return tuple(s for s in self.loop.steps(old, new, part) if not (isinstance(s, Add) and isinstance(s.item, Namespace)))

        return first, rest

    async def settled(self, *refs: str) -> None:
        """Wait until networks that somebody wants to join are no longer being made or removed."""
        for ref in refs:
            network = find_or_none(self.core, ref, required=False)
            if network is not None and network.id in self.core.locks:
                async with self.core.locked(network.id):
                    continue

    async def close(self, container: Container, after: Container, *, unsure: bool = False, ended: Awaitable[None] | None = None) -> None:
        """Take a container's sandbox away and save the container as `after`; everything removable goes, gone already is success.

        `unsure`: not all of it may have been made. `ended`: what else must be over before it is saved.
        """
        core, old = self.core, self.core.state
        if container.sandbox_id not in old.network.sandboxes:
            if ended is not None:
                await ended
            await core.commit(core.state.with_container(after), [("container", after.id)], fact=True)
            return
        if container.state.running:
            after = remembering(old.network, container.sandbox_id, after)
        part = touched(old.network, container.sandbox_id)
        self.leasing.forget(old.network.sandbox_endpoints.get(container.sandbox_id, ()))
        keys = [*part.keys(old.network), ("container", container.id)]
        new = commands.close_sandbox(old.network, container.sandbox_id)
        have, want = self.loop.picture(old.network, part), self.loop.picture(new, part)
        # The kernel first, the state after: an address is free only when nothing answers to it any more.
        try:
            seen = await core.on_host(core.kernel.observe, have | want) if unsure else have
            await self.loop.apply(plan(seen, want))
        except Exception as error:  # whatever it was: once more, from what is there
            log.warning("taking down the network of %s: %s; looking at what is there", container.name, error)
            seen = await core.on_host(core.kernel.observe, have | want)
            await self.loop.apply(plan(seen, self.loop.picture(commands.close_sandbox(core.state.network, container.sandbox_id), part)))
        crash_point("network down")
        if ended is not None:
            await ended
        if core.state.network is not old.network:
            new = commands.close_sandbox(core.state.network, container.sandbox_id)
        await core.commit(replace(core.state, network=new).with_container(after), keys, fact=True)
        for other in part.sandboxes:
            await refresh_files(self.core, other)


def check_together(mode: str, networks: Sequence[Network]) -> None:
    """Invalid, in Docker's words, where the host's network or none is one of several, as a request of the API may have it; refused at the start."""
    if len(networks) < 2:
        return
    if mode == "host":
        raise Invalid(SHARING)
    if any(network.driver == "host" for network in networks):
        raise Invalid(HOST)
    if any(network.name == "none" for network in networks):
        raise Invalid(PRIVATE)


def find_or_none(core: Core, ref: str, *, required: bool) -> Network | None:
    """A network by id, name or prefix; None, unless it is `required`, where there is none."""
    try:
        return commands.find_network(core.state.network, ref)
    except NotFound:
        if required:
            raise
        return None
