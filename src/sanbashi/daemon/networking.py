"""The loop for networks: command -> new state -> reserve -> wanted -> plan -> apply -> confirm -> announce."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from itertools import compress

import msgspec

from ..containers.model import Container
from ..errors import Conflict, Failed, Forbidden, Invalid, NotFound, SanbashiError
from ..host.crash import crash_point
from ..network import commands
from ..network.links import linking_to, resolve_links
from ..network.model import Endpoint, EndpointWish, Network, NetworkRequest, NetworkState, Sandbox
from ..network.names import host_interface, mac_address
from ..network.parents import has_parent, kinds_to_probe, sharing
from ..network.picture import Namespace, Picture
from ..network.plan import Add, Remove, Step, plan
from ..network.ports import exposed_ports, parse_bindings
from ..network.wanted import wanted
from .core import Core, new_id, now, whole
from .facts import look_again
from .files import write_files
from .leasing import Leasing
from .remembered import forgetting, last_lease, preferring, remembering
from .saved import Key

log = logging.getLogger("sanbashi.network")


@dataclass
class Slice:
    """The part of the network's state that one change touches."""

    networks: Collection[str] = ()
    sandboxes: Collection[str] = ()

    def keys(self, *states: NetworkState) -> list[Key]:
        """The rows that can have changed."""
        found: list[Key] = [("network", n) for n in self.networks] + [("sandbox", s) for s in self.sandboxes]
        for state in states:
            found += [("endpoint", e) for s in self.sandboxes for e in state.sandbox_endpoints.get(s, ())]
        return found


def check_there(container: Container) -> None:
    """Failed, in Docker's words, where a container is being removed."""
    if container.state.dead or container.state.status in ("removing", "dead"):
        raise Failed(f"Container {container.id} is marked for removal and cannot be connected or disconnected to the network")


@dataclass
class Networking:
    """Networks and the sandboxes of containers."""

    core: Core
    leasing: Leasing = field(init=False)

    def __post_init__(self) -> None:
        self.leasing = Leasing(self.core, self)

    # -- the loop

    def picture(self, state: NetworkState, part: Slice) -> Picture:
        """What the kernel should hold for a slice of a state."""
        networks = [n for n in part.networks if n in state.networks]
        sandboxes = [s for s in part.sandboxes if s in state.sandboxes]
        return wanted(state, self.core.network_facts, networks=networks, sandboxes=sandboxes)

    def steps(self, old: NetworkState, new: NetworkState, part: Slice) -> tuple[Step, ...]:
        """From what we last wrote to what is wanted now."""
        return plan(self.picture(old, part), self.picture(new, part))

    async def apply(self, steps: Iterable[Step]) -> None:
        """Carry steps out on a worker thread."""
        steps = tuple(steps)
        if steps:
            if log.isEnabledFor(logging.DEBUG):
                for step in steps:
                    log.debug("%s", step)
            await self.core.on_host(self.core.kernel.apply, steps)

    async def mend(self, part: Slice, *states: NetworkState) -> None:
        """Make the kernel what the saved state says for a slice, whatever is there now; the way back after a failure."""
        scope = self.picture(self.core.state.network, part)
        for state in states:
            scope |= self.picture(state, part)
        have = await self.core.on_host(self.core.kernel.observe, scope)
        await self.apply(plan(have, self.picture(self.core.state.network, part)))

    async def change(self, new: NetworkState, part: Slice, container: Container | None = None) -> None:
        """Reserve, apply, and on failure go back: one change of the network from the present state to `new`."""
        core, old = self.core, self.core.state
        keys = part.keys(old.network, new)
        state = replace(old, network=new)
        if container is not None:
            state = state.with_container(container)
            keys.append(("container", container.id))
        crash_point("before reserve")
        await core.commit(state, keys)
        crash_point("reserved")
        try:
            await self.apply(self.steps(old.network, new, part))
        except SanbashiError as error:
            back = core.with_old(old, keys)
            if back is None:
                log.warning("%s; others hold by now what was given up, so the change stands", error.message)
                await self.mend(part, old.network, new)
            else:
                try:
                    await core.commit(back, keys)
                finally:
                    # Where the store refuses even that, the change stands, and then all of it.
                    await self.mend(part, old.network, new)
                raise
        crash_point("applied")

    # -- networks

    @whole
    async def create(self, request: NetworkRequest) -> tuple[str, str]:
        """`network create`: (id, warning)."""
        id_ = new_id()
        # Routes and links may have come since: a chosen subnet must not touch them. The cost is a network's, not a container's.
        await self.core.on_host(look_again, self.core)
        facts = self.core.network_facts
        if kinds := kinds_to_probe(commands.from_configuration(self.core.state.network, request)):
            facts = replace(facts, missing_links=await self.core.on_host(self.core.kernel.lacks, kinds))
        async with self.core.locked(id_):
            before = self.core.state.network
            new, network, warnings = commands.create_network(before, request, facts, id=id_, created=now())
            for reason in commands.subnet_reasons(before, request, facts):
                log.info("network %s: %s", network.name, reason)
            await self.change(new, Slice(networks=[id_]))
        for warning in warnings:
            log.warning("network %s: %s", network.name, warning)
        self.tell("create", network)
        return network.id, "\n".join(warnings)

    @whole
    async def remove(self, ref: str) -> None:
        """`network rm`."""
        network = commands.find_network(self.core.state.network, ref)
        async with self.core.locked(network.id):
            network = self.find(network.id)
            # A parent link is made once for all networks on it, and stays for the last of them.
            beside = [other.id for other in sharing(self.core.state.network, network)] if has_parent(network) else []
            await self.change(commands.remove_network(self.core.state.network, network.id), Slice(networks=[network.id, *beside]))
        if not network.config_only:  # as Docker has it: of a configuration only the making is told
            self.tell("destroy", network)

    def find(self, ref: str) -> Network:
        """By id, name or prefix."""
        return commands.find_network(self.core.state.network, ref)

    async def settled(self, *refs: str) -> None:
        """Wait until networks that somebody wants to join are no longer being made or removed."""
        for ref in refs:
            network = self.find_or_none(ref, required=False)
            if network is not None and network.id in self.core.locks:
                async with self.core.locked(network.id):
                    continue

    def tell(self, action: str, network: Network, **attributes: str) -> None:
        self.core.events.tell("network", action, network.id, {"name": network.name, "type": network.driver, **attributes})

    # -- a container's sandbox

    def wishes(self, container: Container) -> tuple[tuple[str, EndpointWish], ...]:
        """What a container wants to join, in order; the host and none networks among them."""
        return container.networks

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
        )
        state = commands.open_sandbox(state, sandbox)
        for name, wish in container.networks:
            network = commands.find_network(state, wish.network_id or name)
            state, _ = self.join(state, sandbox_id, container, network, wish)
        return commands.publish(state, sandbox_id, core.network_facts, avoid=avoid, prefer=container.last_ports), sandbox_id

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

    def container_id_of(self, ref: str) -> str:
        """The id of the container that a link names."""
        try:
            return self.core.find_container(ref).id
        except NotFound as error:
            raise Invalid(f"could not get container for {ref}: {error.message}") from error

    def container_id_or_name(self, ref: str) -> str:
        """The id of the container that a link on a network names; the name where nobody has it yet: the link holds as soon as somebody has."""
        try:
            return self.core.find_container(ref).id
        except NotFound:
            return ref

    def host_links(self, container: Container) -> tuple[tuple[str, str], ...]:
        """--link on the default bridge, resolved to container ids."""
        host = container.host_config
        if not host.links or not any(name == "bridge" for name, _ in container.networks):
            return ()
        return resolve_links(host.links, self.container_id_of)

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

    def touched(self, state: NetworkState, sandbox_id: str) -> Slice:
        """A sandbox and those that link to its container."""
        sandbox = state.sandboxes.get(sandbox_id)
        linking = linking_to(state, sandbox) if sandbox else ()
        others = {state.endpoints[i].sandbox_id if i in state.endpoints else i for i in linking}
        return Slice(sandboxes=(sandbox_id, *sorted(others - {sandbox_id})))

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

    def steps_up(self, old: NetworkState, part: Slice) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
        """The steps that bring a sandbox up: first its namespace, then the rest, which the runtime's create may overlap."""
        steps = self.steps(old, self.core.state.network, part)
        first = [isinstance(s, Add | Remove) and isinstance(s.item, Namespace) for s in steps]
        return tuple(compress(steps, first)), tuple(s for s, namespace in zip(steps, first, strict=True) if not namespace)

    async def close(self, container: Container, after: Container, *, unsure: bool = False) -> None:
        """Take a container's sandbox away and save the container as `after`; everything removable goes, gone already is success.

        `unsure`: not all of it may have been made.
        """
        core, old = self.core, self.core.state
        if container.sandbox_id not in old.network.sandboxes:
            await core.commit(old.with_container(after), [("container", after.id)], fact=True)
            return
        if container.state.running:
            after = remembering(old.network, container.sandbox_id, after)
        part = self.touched(old.network, container.sandbox_id)
        self.leasing.forget(old.network.sandbox_endpoints.get(container.sandbox_id, ()))
        keys = [*part.keys(old.network), ("container", container.id)]
        new = commands.close_sandbox(old.network, container.sandbox_id)
        have, want = self.picture(old.network, part), self.picture(new, part)
        # The kernel first, the state after: an address is free only when nothing answers to it any more.
        try:
            seen = await core.on_host(core.kernel.observe, have | want) if unsure else have
            await self.apply(plan(seen, want))
        except SanbashiError as error:
            log.warning("taking down the network of %s: %s; looking at what is there", container.name, error)
            seen = await core.on_host(core.kernel.observe, have | want)
            await self.apply(plan(seen, self.picture(commands.close_sandbox(core.state.network, container.sandbox_id), part)))
        crash_point("network down")
        if core.state.network is not old.network:
            new = commands.close_sandbox(core.state.network, container.sandbox_id)
        await core.commit(replace(core.state, network=new).with_container(after), keys, fact=True)
        for other in part.sandboxes:
            await self.refresh_files(other)

    async def refresh_files(self, sandbox_id: str) -> None:
        """Write a running container's hosts and resolv.conf anew, in place; that they cannot be written undoes nothing."""
        sandbox = self.core.state.network.sandboxes.get(sandbox_id)
        if sandbox is not None and sandbox.container_id in self.core.state.containers:
            container = self.core.state.containers[sandbox.container_id]
            try:
                await self.core.on_host(write_files, self.core, container)
            except SanbashiError as error:
                log.error("the files of %s: %s", container.name, error.message)

    # -- connect and disconnect

    async def connect(self, network_ref: str, container_ref: str, wish: EndpointWish) -> None:
        """`network connect`, on a running or a stopped container."""
        with self.leasing.attended(self.core.find_container(container_ref).id):
            await self.connect_whole(network_ref, container_ref, wish)

    @whole
    async def connect_whole(self, network_ref: str, container_ref: str, wish: EndpointWish) -> None:
        core = self.core
        container = core.find_container(container_ref)
        async with core.locked(container.id):
            container = core.find_container(container.id)
            check_there(container)
            running = container.state.running
            await self.settled(network_ref)
            network = self.find_or_none(network_ref, required=running)
            name = network.name if network else network_ref
            self.check_connect(container, name, network)
            if network is not None:
                commands.check_wish(core.state.network, network, wish)
            joined = dict(container.networks)
            if name in joined and not running:
                return
            wish = replace(wish, network=name, network_id=network.id if network else "")
            after = msgspec.structs.replace(container, networks=(*((n, w) for n, w in container.networks if n != name), (name, wish)))
            if not running or not container.sandbox_id or network is None:
                await core.put(after)
            else:
                new, endpoint = self.join(core.state.network, container.sandbox_id, container, network, wish)
                new = commands.publish(new, container.sandbox_id, core.network_facts)
                await self.change(new, self.touched(new, container.sandbox_id), after)
                await self.leased_or_left(container, after, endpoint)
                await self.refresh_files(after.sandbox_id)
                endpoint = core.state.network.endpoints[endpoint.id]
                log.info("connected %s to %s as %s", container.name, name, endpoint.ipv4 or endpoint.ipv6 or "no address")
                # A stopped container only wishes; it is told of when it starts.
                self.tell("connect", network, container=container.id)

    async def leased_or_left(self, before: Container, after: Container, endpoint: Endpoint) -> None:
        """Get a new endpoint its lease, where it needs one; without one the container leaves again and is as it was."""
        try:
            stale = await self.leasing.acquire(after)
        except SanbashiError:
            self.leasing.forget([endpoint.id])
            state = self.core.state.network
            back = commands.publish(commands.leave(state, endpoint.id), after.sandbox_id, self.core.network_facts)
            await self.change(back, self.touched(state, after.sandbox_id), before)
            raise
        for sandbox in stale:
            await self.refresh_files(sandbox)

    def find_or_none(self, ref: str, *, required: bool) -> Network | None:
        try:
            return self.find(ref)
        except NotFound:
            if required:
                raise
            return None

    def check_connect(self, container: Container, name: str, network: Network | None) -> None:
        """Docker's refusals."""
        mode = container.host_config.network_mode
        if network is not None and network.driver == "host" and mode != "host":
            raise Invalid("cannot connect container to host network - container must be created in host network mode")
        if mode.startswith("container:") or mode == "host":
            raise Invalid("container sharing network namespace with another container or host cannot be connected to any other network")
        others = {n for n, _ in container.networks if n != name}
        if ("none" in others and name != "none") or (name == "none" and others):
            raise Invalid("container cannot be connected to multiple networks with one of the networks in private (none) mode")

    @whole
    async def disconnect(self, network_ref: str, container_ref: str, force: bool) -> None:
        """`network disconnect`."""
        core = self.core
        try:
            container = core.find_container(container_ref)
        except NotFound:
            if not force:
                raise
            await self.disconnect_endpoint(self.find(network_ref), container_ref)
            return
        async with core.locked(container.id):
            container = core.find_container(container.id)
            check_there(container)
            running = container.state.running
            # What a container that does not run wishes may be gone by now, and the wish must be taken from it all the same.
            network = self.find_or_none(network_ref, required=running and not force)
            name = network.name if network is not None else network_ref
            if network is not None and network.driver == "host" and running:
                raise Invalid("cannot disconnect container from host network - container was created in host network mode")
            if name not in dict(container.networks):
                raise Failed(f"container {container.id} is not connected to {'' if running else 'the '}network {name}")
            after = msgspec.structs.replace(container, networks=tuple((n, w) for n, w in container.networks if n != name))
            if network is not None:
                after = forgetting(after, network.id)
            members = core.state.network.network_endpoints.get(network.id) if network is not None else None
            endpoint_id = members.get(container.id) if members is not None else None
            if network is None or endpoint_id is None:
                await core.put(after)
            else:
                part = self.touched(core.state.network, container.sandbox_id)
                self.leasing.forget([endpoint_id])
                new = commands.leave(core.state.network, endpoint_id)
                new = commands.publish(new, container.sandbox_id, core.network_facts)
                await self.change(new, part, after)
                await self.refresh_files(after.sandbox_id)
                self.tell("disconnect", network, container=container.id)

    async def disconnect_endpoint(self, network: Network, name: str) -> None:
        """`disconnect -f` of a container that is gone: its endpoint is found by name."""
        state = self.core.state.network
        for endpoint_id in (state.network_endpoints.get(network.id) or {}).values():
            endpoint = state.endpoints[endpoint_id]
            if endpoint.container_name == name:
                await self.change(commands.leave(state, endpoint_id), Slice(sandboxes=[endpoint.sandbox_id]))
                return
        raise NotFound(f"endpoint {name} not found")

    @whole
    async def prune(self, select: Iterable[Network]) -> list[str]:
        """Remove the given networks that nothing uses; their names."""
        removed = []
        for network in select:
            try:
                await self.remove(network.id)
            except (NotFound, Forbidden):  # removed or taken by somebody meanwhile
                continue
            removed.append(network.name)
        return removed
