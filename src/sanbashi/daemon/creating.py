"""`create`: a request and an image become a container, with its layer and its volumes."""

from __future__ import annotations

import posixpath
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import replace

import msgspec

from ..containers.facts import ContainerFacts
from ..containers.model import Config, Container, HostConfig, MountPoint, Ulimit
from ..containers.names import check_name, random_name
from ..containers.request import container_of
from ..errors import Conflict, Invalid, NotFound, SanbashiError
from ..host.copying import check_binds
from ..host.deleting import delete
from ..images.manifest import checked_platform, parse_platform, platform_of, suits
from ..images.model import Image
from ..network import commands
from ..network.model import EndpointWish
from ..network.options import unknown_endpoint_options
from ..network.ports import parse_bindings
from ..network.unpublished import discarded
from ..records import dataclass
from ..volumes.options import local_mount
from .config import DaemonConfig
from .core import Core, both, new_id, now, whole
from .images import Images
from .networking import Networking
from .stages import stage, stages
from .targets import link_targets
from .volumes import Volumes

Wishes = tuple[tuple[str, EndpointWish], ...]


@dataclass
class Creating:
    """Makes containers."""

    core: Core
    networking: Networking
    volumes: Volumes
    images: Images
    facts: ContainerFacts

    @whole
    async def create(self, config: Config, host: HostConfig, wishes: Wishes, *, name: str = "", platform: str = "") -> tuple[str, list[str]]:
        """`POST /containers/create`: (id, warnings)."""
        id_ = new_id()
        with stages("create", id_):
            return id_, await self.make(id_, config, host, wishes, name, platform)

    async def make(self, id_: str, config: Config, host: HostConfig, wishes: Wishes, name: str, platform: str) -> list[str]:
        """Make the container of that id; warnings."""
        core = self.core
        image = self.images.resolve(config.image)
        foreign = self.check_platform(image, config.image, platform)
        host = with_defaults(host, core.config)
        name = self.checked_name(name)
        container, warnings = container_of(
            config,
            host,
            self.wished(host, config, wishes),
            image,
            id=id_,
            name=name,
            created=now(),
            facts=self.facts,
            find=core.find_container,
            default_runtime=core.default_runtime,
            default_log_driver=core.config.log_driver,
        )
        self.check_wishes(container)
        container = self.with_images(msgspec.structs.replace(container, linked=link_targets(core, container)))
        # Nothing was awaited since the images were found: from here on none of them goes.
        content = self.images.content
        try:
            with content.standing(container):
                await self.assemble(container)
        except SanbashiError:
            await core.on_host(content.drop, content.bereft(container))
            raise
        core.tell_container("create", container)
        return [*foreign, *warnings, *self.unreached(container)]

    def unreached(self, container: Container) -> Iterator[str]:
        """A warning for each wish of the network that comes to nothing, as far as its networks are there yet."""
        host = container.host_config
        for name, wish in container.networks:
            yield from (f"{sentence} (network {name})" for sentence in unknown_endpoint_options(wish.driver_options))
        if any(self.networking.sandboxes.has_no(name) for name, _ in container.networks):
            yield "There is no default network (--bridge=none): the container has no network but its own loopback"
        try:
            networks = [self.networking.find(name) for name, _ in container.networks]
        except NotFound:
            return
        if host.network_mode != "host":  # of which Docker has a warning of its own
            specs = parse_bindings(host.port_bindings or {}, publish_all=host.publish_all_ports, exposed=container.config.exposed_ports or {})
            yield from discarded(networks, specs)

    async def assemble(self, container: Container) -> None:
        """Make what a container consists of, and put it into the state; where that fails nothing of it is left."""
        core = self.core
        if container.mounts:
            await core.on_host(check_binds, container.mounts)
        container = await self.with_mounts(container)
        try:
            with stage("snapshot"):
                await core.on_host(self.make_folders, container)
            self.checked_name(container.name)
            with stage("save"):
                await core.put(container)
        except SanbashiError:
            await self.unmake(container)
            raise

    def make_folders(self, container: Container) -> None:
        """The layer that it writes to, with its working directory, as one may copy into that before it starts; where its files are kept. Blocking."""
        self.core.snapshots.create(container.id, container.layers)
        if container.config.working_dir:
            self.core.snapshots.have_directory(container.id, container.config.working_dir)
        self.core.container_dir(container.id).mkdir(parents=True, exist_ok=True)

    def check_platform(self, image: Image, name: str, wanted: str) -> list[str]:
        """NotFound where the image is not of the platform that was asked for; a warning where nobody asked and the host is of another."""
        host = self.images.host
        if wanted:
            checked_platform(image, parse_platform(wanted, host), name)
        elif image.architecture and not suits(image, host):
            return [
                f"The requested image's platform ({platform_of(image)}) does not match the detected host platform ({host}) "
                "and no specific platform was requested"
            ]
        return []

    async def unmake(self, container: Container) -> None:
        """Take away what was made for a container that does not come to be; all that can be, and then the first failure."""
        core = self.core
        snapshot = core.on_host(core.snapshots.remove, container.id)
        await both(snapshot, core.on_host(delete, core.container_dir(container.id)), self.forsake(container.anonymous_volumes))

    async def forsake(self, volumes: Iterable[str]) -> None:
        """Remove anonymous volumes of which no container will know."""
        await both(*(self.volumes.remove(name, force=True) for name in volumes))

    def checked_name(self, name: str) -> str:
        """The name asked for, checked, or a random one; Conflict where another container has it."""
        taken = self.core.state.container_names
        if not name:
            return random_name(taken.__contains__, secrets.SystemRandom())
        name = name.removeprefix("/")
        check_name(name)
        if name in taken:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{taken[name]}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )
        return name

    def wished(self, host: HostConfig, config: Config, wishes: Wishes) -> Wishes:
        """The networks to join, in order: the network mode's own first, then the others of the request."""
        mode = host.network_mode or "default"
        if mode == "default":
            mode = "bridge"
        if mode.startswith("container:") or config.network_disabled:
            return ()
        named = dict(wishes)
        if "default" in named:
            named[mode] = named.pop("default")
        main = named.pop(mode, None)
        if main is None:
            # The mode may be an id or a prefix where the settings are keyed by the network's name, or the reverse.
            try:
                network = self.networking.find(mode)
            except NotFound:
                main = EndpointWish(network=mode)
            else:
                key = next((k for k in named if k in (network.name, network.id)), "")
                main, mode = (named.pop(key) if key else EndpointWish(network=network.name)), network.name
        if config.mac_address and not main.mac:
            main = replace(main, mac=config.mac_address)
        if host.links and not main.links and mode not in ("bridge", "host", "none"):
            main = replace(main, links=host.links)
        return ((mode, main), *named.items())

    def check_wishes(self, container: Container) -> None:
        """What can be refused now; a network that is not there is refused only at start, as Docker does."""
        state = self.core.state.network
        for name, wish in container.networks:
            try:
                network = commands.find_network(state, name)
            except NotFound:
                continue
            try:
                commands.check_wish(state, network, wish)
            except Invalid as error:
                raise Invalid(f"invalid config for network {name}: {error.message}", hint=error.hint) from error

    async def with_mounts(self, container: Container) -> Container:
        """The container with its volumes made: named ones where absent, anonymous ones for the image's and -v /path."""
        mounts: list[MountPoint] = []
        anonymous: list[str] = []
        for mount in container.mounts:
            if mount.type != "volume":
                mounts.append(mount)
                continue
            options, labels = volume_wishes(container, mount.destination)
            try:
                volume = await self.volumes.create(mount.name, mount.driver, options, labels, anonymous=not mount.name)
            except SanbashiError:
                await self.forsake(anonymous)
                raise
            if not mount.name:
                anonymous.append(volume.name)
            held = local_mount(volume.options)
            words = tuple(w for w in (held.flags if held else ()) if w in ("ro", "nosuid", "nodev", "noexec"))
            mounts.append(
                msgspec.structs.replace(mount, name=volume.name, source=volume.mountpoint, driver="local", options=(*mount.options, *words))
            )
        return msgspec.structs.replace(container, mounts=tuple(mounts), anonymous_volumes=tuple(anonymous))

    def with_images(self, container: Container) -> Container:
        """The container with the images found that are mounted in it; before its volumes are made: one that was made for nothing stays."""
        mounts = (self.with_image(container.id, n, mount) if mount.type == "image" else mount for n, mount in enumerate(container.mounts))
        return msgspec.structs.replace(container, mounts=tuple(mounts))

    def with_image(self, container_id: str, number: int, mount: MountPoint) -> MountPoint:
        """The mount of an image, found now unless it is another container's (--volumes-from); NotFound in Docker's words."""
        place = str(self.core.snapshots.image_place(container_id, number))
        if mount.image_id:
            return msgspec.structs.replace(mount, source=place)
        image = self.images.resolve(mount.name)
        return msgspec.structs.replace(mount, source=place, image_id=image.id, layers=image.diff_ids)


def volume_wishes(container: Container, destination: str) -> tuple[dict[str, str], dict[str, str]]:
    """(options, labels) that a --mount gives the volume that is to be made for it."""
    for mount in container.host_config.mounts or ():
        if posixpath.normpath(mount.target) == destination and mount.volume_options:
            driver = mount.volume_options.driver_config
            return dict((driver.options if driver else None) or {}), dict(mount.volume_options.labels or {})
    return {}, {}


def with_defaults(host: HostConfig, config: DaemonConfig) -> HostConfig:
    """What the daemon's settings say where the request says nothing: --init, --default-ulimit."""
    asked = {limit.name for limit in host.ulimits or ()}
    limits = tuple(Ulimit(name=name, soft=soft, hard=hard) for name, soft, hard in config.default_ulimits if name not in asked)
    init = True if host.init is None and config.init else host.init
    return msgspec.structs.replace(host, init=init, ulimits=(*(host.ulimits or ()), *limits) if limits else host.ulimits)
