"""Everything the daemon is made of, made and joined by name."""

from __future__ import annotations

import asyncio
import logging
import os

from ..errors import Conflict, Invalid, SanbashiError
from ..host.boot import forget_other_boot
from ..host.facts import probe
from ..host.keeper import KeeperClient
from ..host.kernel import Kernel
from ..host.monitor import Monitor
from ..host.mounts import separate, share
from ..host.runtime import Runtimes
from ..host.snapshots import SNAPSHOTS, Snapshots
from ..host.surroundings import probe_surroundings
from ..network.lease import LeaseReport
from .alone import CLOSED
from .config import DaemonConfig
from .core import Core
from .engine import Engine
from .facts import network_facts
from .images import Images
from .linking import LEGACY_WORDS
from .process import Process
from .saved import Store

log = logging.getLogger("sanbashi")


async def build(config: DaemonConfig) -> Engine:
    """The engine, its saved state loaded and the host brought to it."""
    for setting in config.ignored:
        log.info("the setting %s has no meaning here and is ignored", setting)
    if not config.ip_forward:
        log.warning("the setting ip-forward=false is not honoured: without forwarding no network of containers works")
    for folder, mode in (
        (config.data_root, CLOSED),
        (config.exec_root, 0o711),
        (config.data_root / "containers", CLOSED),
        (config.exec_root / "execs", 0o700),
    ):
        folder.mkdir(parents=True, exist_ok=True, mode=mode)
    share(config.data_root)
    separate(config.data_root / SNAPSHOTS)
    facts = probe()
    if forget_other_boot(config.exec_root, facts.boot_id):
        log.info("the machine was started anew: what %s said of processes is forgotten", config.exec_root)
    # Any other existing bridge is chosen on purpose, and adopted.
    if config.bridge == DaemonConfig().bridge and (sentence := facts.held_bridge(config.bridge)):
        raise Conflict(sentence)
    store = Store(config.data_root / "state.db")
    state = store.load()
    store.start()
    loop = asyncio.get_running_loop()
    engine: list[Engine] = []

    def keeper_lost() -> None:
        for one in engine:
            loop.call_soon_threadsafe(one.reconcile.keeper_lost)

    def lease_told(report: LeaseReport) -> None:
        for one in engine:
            loop.call_soon_threadsafe(one.networking.leasing.heard, report)

    keeper = KeeperClient(config.exec_root, on_lost=keeper_lost, on_lease=lease_told)
    kernel = Kernel(config.exec_root, keeper, facts, accepted_mark=config.bridge_accept_fwmark)
    # Before the runtimes' own mount namespace is made: what is mounted shared by then propagates into it, or can be left out.
    for sentence in await loop.run_in_executor(None, kernel.prepare):
        log.info("%s", sentence)
    runtimes = Runtimes(config.exec_root / "runtimes", roots=config.data_root / SNAPSHOTS, pins=kernel.namespaces.folder)
    if config.default_runtime and config.default_runtime not in runtimes.by_name:
        here = ", ".join(sorted(runtimes.by_name))
        raise Invalid(f"specified default runtime '{config.default_runtime}' does not exist", hint=f"this host has {here}")
    core = Core(
        config=config,
        facts=facts,
        network_facts=network_facts(config, facts),
        store=store,
        kernel=kernel,
        keeper=keeper,
        snapshots=Snapshots(config.data_root),
        state=state,
        boot_id=facts.boot_id,
        runtimes={name: runtime.program for name, runtime in runtimes.by_name.items()},
        default_runtime=config.default_runtime or runtimes.default,
    )
    monitor = Monitor(config.exec_root, runtimes)
    process = Process(core, monitor, runtimes, probe_surroundings(runtimes), link_words=os.environ.get(LEGACY_WORDS) == "1")
    images = Images(config.data_root, state=lambda: core.state, commit=core.commit_changes, events=core.events)
    built = Engine(core, process, images)
    engine.append(built)
    process.open(built.lifecycle.exited)
    try:
        await core.on_host(keeper.ensure)
        try:
            await built.reconcile.start_up()
        finally:
            process.listen_on()
        await built.reconcile.drift.open()
        await images.sweep()
        await core.on_host(core.snapshots.sweep, set(core.state.containers))
    except SanbashiError:
        await built.reconcile.shut_down()
        raise
    return built
