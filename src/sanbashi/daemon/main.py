"""`sanbashid`: wire everything, by name, and serve until a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import Invalid, SanbashiError
from ..host.descriptors import raise_limit
from .alone import alone
from .checking import check_settings
from .config import DaemonConfig, parse

log = logging.getLogger("sanbashi")

YOUNG = 10_000  # new objects until the collector looks at them: what a start with 500 ports makes, most of it gone by then
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR, "fatal": logging.CRITICAL}

USAGE = """Usage:  sanbashid [OPTIONS]

A container engine whose heart is the network. The options are dockerd's:

{options}

The same keys can stand in a JSON file given by --config-file.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the daemon; the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "--help" in words or "-h" in words:
        from .options import SETTINGS

        print(USAGE.format(options="\n".join(f"      --{s.flag}" for s in SETTINGS)))
        return 0
    if "--version" in words or "-v" in words:
        from .info import VERSION

        print(f"Sanbashi version {VERSION}")
        return 0
    try:
        config = parse(words, lambda path: Path(path).read_text(encoding="utf-8"))
        check_settings(config)
        logging.basicConfig(
            level=LEVELS["debug" if config.debug else config.log_level], format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
        )
        if os.geteuid() != 0:
            raise Invalid("sanbashid needs to be started by root", hint="sudo sanbashid")
        return asyncio.run(run(config))
    except SanbashiError as error:
        print(f"sanbashid: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return 1


async def run(config: DaemonConfig) -> int:
    """Bring the daemon up, serve, and go down as the settings say."""
    from ..api.server import check_hosts, serve
    from .building import build

    check_hosts(config)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    # Taken out of the environment: the runtimes would take it for theirs.
    manager = os.environ.pop("NOTIFY_SOCKET", "")
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    raise_limit()
    # Nearly all that is made until then stays: the collector would look at it again and again, and find nothing.
    gc.disable()
    with alone(config):
        engine = await build(config)
        server = await serve(engine, config)
        # What was made at start lives as long as the daemon: the collector need not look at it at every start of a container. The few cycles
        # among it that nobody needs (a hundred objects) stay with it; to look for them takes 0.1 s.
        gc.freeze()
        gc.set_threshold(YOUNG)
        gc.enable()
        tell_systemd(manager, "READY=1")
        log.info("API listen on %s", ", ".join(config.hosts))
        await ended.wait()
        tell_systemd(manager, "STOPPING=1")
        log.info("going down; containers %s", "go on running" if config.live_restore else "are stopped")
        engine.lifecycle.restarts.closing = True
        engine.events.close()
        await server.close()
        engine.execs.close()
        await engine.reconcile.shut_down()
    return 0


def tell_systemd(address: str, state: str) -> None:
    """One line to the service manager, where there is one."""
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        try:
            channel.connect("\0" + address[1:] if address.startswith("@") else address)
            channel.send(state.encode())
        except OSError as error:
            log.warning("the service manager at %s does not hear %s: %s", address, state, error.strerror)


if __name__ == "__main__":
    sys.exit(main())
