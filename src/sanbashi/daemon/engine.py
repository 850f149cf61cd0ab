"""The engine as its faces see it: every verb of the API, joined from the parts that do the work."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from . import info
from .answers import Answers
from .archiving import Archiving
from .builder import Builder
from .committing import Committing
from .core import Core
from .creating import Creating
from .execs import Execs
from .filesystems import Filesystems
from .health import HealthChecks
from .images import Images
from .info import Programs
from .lifecycle import Lifecycle
from .linking import Linking
from .networking import Networking
from .others import look_for_new_networks
from .process import Process
from .pruning import Pruning
from .reconcile import Reconcile
from .rewiring import Rewiring
from .streams import Streams
from .updating import Updating
from .usages import Usages
from .volumes import Volumes

if TYPE_CHECKING:
    from .registries import Registries
    from .why import Why

COUNTED = ("netlink_messages", "nft_elements", "nft_transactions", "files_read")


class Engine:
    """All verbs; the parts are public for those who need more than a verb."""

    def __init__(self, core: Core, process: Process, images: Images) -> None:
        self.core = core
        self.process = process
        self.images = images
        self.answers = Answers()
        self.networking = Networking(core)
        self.volumes = Volumes(core)
        self.execs = Execs(core, process)
        self.archiving = Archiving(images)
        self.builder = Builder(core, self.networking, images, lambda: self.registries)
        self.health = HealthChecks(core, self.execs)
        self.lifecycle = Lifecycle(core, self.networking, process, self.health, images.content)
        self.creating = Creating(core, self.networking, self.volumes, images, process.facts)
        self.streams = Streams(core, process)
        self.usages = Usages(core)
        self.filesystems = Filesystems(core, process.volume_mounts)
        self.committing = Committing(core, images, self.lifecycle)
        self.updating = Updating(core, process)
        self.pruning = Pruning(core, self.networking, self.volumes, self.lifecycle)
        self.rewiring = Rewiring(core, self.networking)
        self.linking = Linking(core, self.networking)
        self.reconcile = Reconcile(core, self.networking, self.lifecycle, process)
        # containers
        self.find_container = core.find_container
        self.create_container = self.creating.create
        self.start = self.lifecycle.start
        self.stop = self.lifecycle.stop
        self.restart = self.lifecycle.restart
        self.kill = self.lifecycle.kill
        self.pause = self.lifecycle.pause
        self.unpause = self.lifecycle.unpause
        self.rename = self.lifecycle.rename
        self.remove = self.lifecycle.remove
        self.remove_link = self.linking.remove
        self.wait = self.lifecycle.wait
        self.attach = self.streams.attach
        self.logs = self.streams.logs
        self.resize = self.streams.resize
        self.top = self.streams.top
        # exec
        self.create_exec = self.execs.create
        self.start_exec = self.execs.start
        self.resize_exec = self.execs.resize
        self.inspect_exec = self.execs.inspect
        # networks and volumes
        self.create_network = self.networking.create
        self.remove_network = self.networking.remove
        self.connect = self.networking.connect
        self.disconnect = self.networking.disconnect
        self.update_network = self.rewiring.network
        self.change_ports = self.rewiring.ports
        self.create_volume = self.volumes.create
        self.remove_volume = self.volumes.remove
        self.prune_networks = self.pruning.networks
        self.prune_containers = self.pruning.containers
        self.prune_volumes = self.pruning.volumes
        self.disk_usage = self.pruning.disk_usage
        self.build_cache = self.builder.cache

    @property
    def state(self) -> Any:
        """The present snapshot."""
        return self.core.state

    @property
    def config(self) -> Any:
        """What the daemon was told."""
        return self.core.config

    @property
    def facts(self) -> Any:
        """What was found out about the host."""
        return self.core.facts

    @property
    def events(self) -> Any:
        """The feed of events."""
        return self.core.events

    async def info(self) -> dict[str, Any]:
        """`GET /info`."""
        await self.look_around()
        bridges = {n.bridge for n in self.core.state.network.networks.values() if not n.adopted}
        closed = await self.core.on_host(self.core.kernel.not_forwarding, bridges)
        return info.info(self.core, self.reconcile.drift, await self.programs(), self.process.facts, closed)

    async def look_around(self) -> None:
        """At what nothing may have told of: who asks how things stand is told the truth."""
        self.reconcile.drift.settings.follow()
        self.networking.bridge_filter.look(both=True)
        await look_for_new_networks(self.core)

    async def programs(self) -> Programs:
        """The programs that the daemon starts."""
        return await self.core.on_host(lambda: info.programs(self.process.runtimes, self.process.facts))

    def version(self) -> dict[str, Any]:
        """`GET /version`."""
        return info.version(self.core)

    @functools.cached_property
    def registries(self) -> Registries:
        """Who pulls, pushes, logs in and searches; read in when first asked: every start of the daemon would wait 40 ms for its client."""
        from .registries import Registries

        return Registries(
            self.images,
            mirrors=self.core.config.registry_mirrors,
            insecure=self.core.config.insecure_registries,
            max_downloads=self.core.config.max_concurrent_downloads,
        )

    @functools.cached_property
    def why(self) -> Why:
        """Who answers why one does not reach another; read in when first asked, for few ask and every start of the daemon would wait 40 ms for it."""
        from .why import Why

        return Why(self.core, self.networking)

    async def firewall(self) -> dict[str, Any]:
        """What stands in our tables, set by set, what others do to what we forward, and what was mended."""
        await self.look_around()
        counted = await self.core.on_host(self.core.kernel.standing)
        drift = self.reconcile.drift
        return {
            "Tables": counted,
            "Foreign": [
                {"Chain": d.chain, "Owner": d.owner, "Because": d.because, "Accepted": d.passed, "Command": d.command}
                for d in self.facts.foreign_drops
            ],
            "HostInput": self.config.host_input,
            "ForeignAccept": self.config.foreign_accept,
            "Repairs": drift.repairs,
            "LatestRepairs": [{"Time": r.time, "Cause": r.cause, "Done": r.done} for r in drift.latest],
        }

    def counters(self) -> dict[str, int]:
        """What the work has cost since the start; the test of flatness reads it."""
        kernel = self.core.kernel
        return {n: getattr(kernel.counts, n) for n in COUNTED} | {
            "sql_statements": self.core.store.statements,
            "netlink_messages_later": kernel.sweeper.later.netlink_messages,
        }
