"""Leased addresses: a start waits for the first, and what the keeper tells afterwards goes through the same loop as any change."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Coroutine, Iterable, Iterator
from dataclasses import field
from typing import Any

from ..containers.model import Container
from ..errors import Failed, SanbashiError
from ..host.crash import crash_point
from ..network import commands
from ..network.lease import Lease, LeaseReport
from ..network.leasing import leaseless, patience, uplink, with_lease, without_lease
from ..network.model import Endpoint, Network, NetworkFacts, NetworkState
from ..records import dataclass
from .core import Core
from .files import refresh_files
from .loop import Loop, touched

log = logging.getLogger("sanbashi.leases")


@dataclass
class Leasing:
    """What the keeper has told of leases, and who waits for one. Everything here runs on the loop's thread."""

    core: Core
    loop: Loop
    latest: dict[str, LeaseReport] = field(default_factory=dict)  # by endpoint
    waiting: dict[str, asyncio.Future[Lease]] = field(default_factory=dict)  # by endpoint
    attending: dict[str, int] = field(default_factory=dict)  # container -> requests that wait for it
    abandoned: set[str] = field(default_factory=set)  # containers whose start nobody waits for any more
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    ready: bool = False  # the saved state has been taken up

    # -- the first lease

    async def acquire(self, container: Container, avoid: frozenset[tuple[str, int]] = frozenset()) -> Collection[str]:
        """Wait for the leases of a sandbox whose links are up, and give its endpoints what was leased.

        The sandboxes whose files have to be written anew: none where nothing is leased. Failed where no server gives in time what can be taken, or
        where nobody waits any more.
        """
        core, sandbox_id = self.core, container.sandbox_id
        wanting = list(leaseless(core.state.network, sandbox_id))
        if not wanting:
            return ()
        try:
            leases = await all_answers([self.answer(container, endpoint) for endpoint in wanting])
        finally:
            self.abandoned.discard(container.id)
        crash_point("leased")
        new = core.state.network
        for endpoint, lease in zip(wanting, leases, strict=True):
            new = with_lease(new, endpoint.id, lease)
        new = commands.publish(new, sandbox_id, core.network_facts, avoid=avoid, prefer=container.last_ports)
        part = touched(new, sandbox_id)
        await self.loop.change(new, part)
        for endpoint in wanting:
            log.info("%s has %s", container.name, told(core.state.network.endpoints[endpoint.id].lease))
        return part.sandboxes

    async def answer(self, container: Container, endpoint: Endpoint) -> Lease:
        """The lease of an endpoint, as soon as it is held; Failed."""
        network = self.core.state.network.networks[endpoint.network_id]
        if container.id in self.abandoned:
            raise given_up(container)
        future: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        self.waiting[endpoint.id] = future
        known = self.latest.get(endpoint.id)
        if known is not None and known.lease is not None:
            future.set_result(known.lease)
        try:
            # What one server refuses another may give, and an address that somebody has is not the only one.
            return await asyncio.wait_for(future, patience(network))
        except TimeoutError:
            raise nothing_usable(network, endpoint, self.latest.get(endpoint.id)) from None
        finally:
            del self.waiting[endpoint.id]

    def give_up(self, container_id: str) -> None:
        """Nobody waits for this container's start any more: end it where it waits for a server."""
        self.abandoned.add(container_id)
        state = self.core.state
        container = state.containers.get(container_id)
        for endpoint_id in state.network.sandbox_endpoints.get(container.sandbox_id, ()) if container is not None else ():
            future = self.waiting.get(endpoint_id)
            if future is not None and container is not None and not future.done():
                future.set_exception(given_up(container))

    @contextlib.contextmanager
    def attended(self, container_id: str) -> Iterator[None]:
        """As long as the block lasts somebody waits for this container; when the last such block is cancelled nobody does."""
        self.abandoned.discard(container_id)
        self.attending[container_id] = self.attending.get(container_id, 0) + 1
        try:
            yield
        except asyncio.CancelledError:
            if self.attending[container_id] == 1:
                self.give_up(container_id)
            raise
        finally:
            self.attending[container_id] -= 1
            if not self.attending[container_id]:
                del self.attending[container_id]

    # -- what becomes of it

    def heard(self, report: LeaseReport) -> None:
        """The keeper has told of a lease."""
        known = report.endpoint in self.core.state.network.endpoints
        if self.ready and not known:
            return
        self.latest[report.endpoint] = report
        future = self.waiting.get(report.endpoint)
        if future is not None:
            if report.lease is not None and not future.done():
                future.set_result(report.lease)
        elif self.ready:
            self.spawn(self.follow(report.endpoint))

    def catch_up(self) -> None:
        """After the start: what the keeper told while no daemon listened."""
        self.ready = True
        endpoints = self.core.state.network.endpoints
        self.latest = {id_: report for id_, report in self.latest.items() if id_ in endpoints}
        for endpoint_id in self.latest:
            self.spawn(self.follow(endpoint_id))

    def forget(self, endpoint_ids: Iterable[str]) -> None:
        """These endpoints are gone."""
        for endpoint_id in endpoint_ids:
            self.latest.pop(endpoint_id, None)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def follow(self, endpoint_id: str) -> None:
        """Have an endpoint follow what the keeper told of its lease last; what cannot be done is logged and left for the next word."""
        core = self.core
        endpoint = core.state.network.endpoints.get(endpoint_id)
        if endpoint is None:
            return
        async with core.locked(endpoint.container_id):
            endpoint, report = core.state.network.endpoints.get(endpoint_id), self.latest.get(endpoint_id)
            if endpoint is None or report is None or endpoint_id in self.waiting:
                return
            network = core.state.network.networks[endpoint.network_id]
            try:
                await self.followed(network, endpoint, report)
            except SanbashiError as error:
                log.error("%s on network %s: %s", endpoint.container_name, network.name, error.message)

    async def followed(self, network: Network, endpoint: Endpoint, report: LeaseReport) -> None:
        state, before = self.core.state.network, endpoint.lease
        if report.word == "bound" and report.lease is not None and report.lease != before:
            new = commands.publish(with_lease(state, endpoint.id, report.lease), endpoint.sandbox_id, self.core.network_facts)
        elif report.word in ("lost", "refused") and endpoint.ipv4 is not None:
            new = moved(without_lease(state, endpoint.id), endpoint.sandbox_id, self.core.network_facts)
        else:
            return
        part = touched(new, endpoint.sandbox_id)
        await self.loop.change(new, part)
        lease = new.endpoints[endpoint.id].lease
        if lease is not None and before is not None and lease.address == before.address:
            log.debug("%s keeps %s", endpoint.container_name, told(lease))
        else:
            was = f" (before: {before.address})" if before is not None else ""
            reason = report.reason or (f"the server gives {report.offered} and not {endpoint.asked4}" if report.offered else "")
            because = f": {reason}" if reason else ""
            log.warning("%s on network %s has %s now%s%s", endpoint.container_name, network.name, told(lease), was, because)
            about = {"address": str(lease.address) if lease is not None else "", "reason": reason}
            self.core.tell_network("lease", network, container=endpoint.container_id, **about)
        for other in part.sandboxes:
            await refresh_files(self.core, other)


async def all_answers(questions: Iterable[Coroutine[Any, Any, Lease]]) -> list[Lease]:
    """What all of them give; the first failure ends the waiting for the others."""
    tasks = [asyncio.ensure_future(question) for question in questions]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def moved(state: NetworkState, sandbox_id: str, facts: NetworkFacts) -> NetworkState:
    """The state with a sandbox's ports where its gateway is now; where it has none they stay held until there is an address again."""
    if not any(commands.gateway_endpoints(state, sandbox_id)):
        return state
    return commands.publish(state, sandbox_id, facts)


def told(lease: Lease | None) -> str:
    """A lease in a few words, for the log."""
    if lease is None:
        return "no address"
    return f"{lease.address} from {lease.server}" + (f" for {lease.ends:.0f} s" if lease.ends else "")


def given_up(container: Container) -> Failed:
    return Failed(f"the start of {container.name} was given up while it waited for a DHCP server")


def nothing_usable(network: Network, endpoint: Endpoint, report: LeaseReport | None) -> Failed:
    """In all the time there was no lease: what came in its place."""
    if report is None or not report.offered:
        return silence(network)
    if report.reason:
        return Failed(
            f"the DHCP server on {uplink(network)} gives {report.offered}, but {report.reason}",
            hint="an address that was set by hand may be in the server's range; give that machine another, or take it out of the range",
        )
    return Failed(
        f"the DHCP server on {uplink(network)} gives {report.offered} and not {endpoint.asked4}, the address that was asked for",
        hint="another machine may have it, or the server keeps it for one; leave --ip out to take what it gives",
    )


def silence(network: Network) -> Failed:
    """No server: what the user can look at."""
    link = uplink(network)
    hint = f"see that {link} is up and has a carrier (ip link show {link}) and that a DHCP server serves what it leads to"
    if not network.bridge:
        hint += "; a switch or hypervisor may let one MAC address a port through"
    else:
        hint += f"; see that the link to it is a port of {link} (bridge link), and that spanning tree does not keep new ports silent for longer"
    return Failed(f"no DHCP server answered on {link} within {patience(network)} s", hint=f"{hint}; more time: --ipam-opt timeout=60")
