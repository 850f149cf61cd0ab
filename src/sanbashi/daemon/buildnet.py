"""The network of a build's RUN instructions: a sandbox of our own, as a container would have it, for as long as the build lasts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from ..containers.model import Config, Container, HostConfig
from ..errors import NotFound, SanbashiError
from ..network import commands
from ..network.hostfiles import parse_resolv_conf, resolv_conf_of
from ..network.model import EndpointWish
from ..network.plan import plan
from ..records import dataclass
from .core import Core, new_id, now
from .files import host_resolv_conf
from .loop import Slice, touched
from .networking import Networking

log = logging.getLogger("sanbashi.build")


@dataclass(frozen=True, slots=True)
class Joined:
    """What the builder is told of the network, and the id under which RUN instructions are shown to run."""

    flags: tuple[str, ...]
    id: str


@dataclass
class BuildNetworks:
    """Makes the networks of builds."""

    core: Core
    networking: Networking

    @contextlib.asynccontextmanager
    async def joined(self, mode: str, extra_hosts: Sequence[str]) -> AsyncIterator[Joined]:
        """The network `mode` ("" or default: the default bridge; host, none, container:X, or a network's name) for as long as the block lasts."""
        id_ = new_id()
        hosts = tuple(f"--add-host={name}:{address}" for name, address in self.networking.sandboxes.extra_hosts(extra_hosts))
        name = "bridge" if mode in ("", "default") else mode
        if self.networking.sandboxes.has_no(name):
            name = "none"
        if name in ("host", "none"):
            yield Joined((f"--network={name}", *hosts), id_)
            return
        host = HostConfig(network_mode=name, extra_hosts=tuple(extra_hosts))
        if mode.startswith("container:"):
            other = self.networking.sandboxes.shared_with(Container(id=id_, name="", created="", config=Config(), host_config=host, image_id=""))
            flags = (f"--network=ns:{self.networking.sandboxes.namespace_path(other)}", *self.resolver(other.sandbox_id))
            yield Joined((*flags, *hosts) if other.host_config.network_mode != "host" else ("--network=host", *hosts), id_)
            return
        try:
            name = commands.find_network(self.core.state.network, name).name
        except NotFound as error:
            raise NotFound(error.message, hint="the network of the build has to be there before it: docker network create") from error
        container = Container(
            id=id_,
            name=f"build-{id_[:12]}",
            created=now(),
            config=Config(hostname=id_[:12]),
            host_config=host,
            image_id="",
            networks=((name, EndpointWish(network=name)),),
        )
        new, sandbox_id = self.networking.sandboxes.reserve(container)
        opening = asyncio.ensure_future(self.networking.loop.change(new, touched(new, sandbox_id)))
        try:
            try:
                await asyncio.shield(opening)
            finally:
                await asyncio.wait([opening])  # what has begun is finished before it is taken back
            path = self.core.kernel.namespace(sandbox_id)
            yield Joined((f"--network=ns:{path}", *self.resolver(sandbox_id), *hosts), id_)
        finally:
            await asyncio.shield(self.close(sandbox_id))

    def resolver(self, sandbox_id: str) -> tuple[str, ...]:
        """The flags that give a RUN the resolv.conf that a container of this sandbox has."""
        network = self.core.state.network
        sandbox = network.sandboxes.get(sandbox_id)
        if sandbox is None:
            return ()
        conf = parse_resolv_conf(resolv_conf_of(network, sandbox, host_resolv_conf()))
        words = [("dns", server) for server in conf.servers] + [("dns-search", s) for s in conf.search] + [("dns-option", o) for o in conf.options]
        return tuple(f"--{flag}={word}" for flag, word in words)

    async def close(self, sandbox_id: str) -> None:
        """Take the sandbox away: the kernel's part first, then the state; gone already is well."""
        core, old = self.core, self.core.state.network
        if sandbox_id not in old.sandboxes:
            return
        part = Slice(sandboxes=[sandbox_id])
        have, want = self.networking.loop.picture(old, part), self.networking.loop.picture(commands.close_sandbox(old, sandbox_id), part)
        try:
            await self.networking.loop.apply(plan(have, want))
        except SanbashiError as error:
            log.warning("taking down the network of a build: %s; looking at what is there", error)
            await self.networking.loop.apply(plan(await core.on_host(core.kernel.observe, have | want), want))
        keys = part.keys(old)
        await core.commit(replace(core.state, network=commands.close_sandbox(core.state.network, sandbox_id)), keys)
