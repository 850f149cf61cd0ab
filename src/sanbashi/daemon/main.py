"""`sanbashid`: wire everything, by name, and serve until a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import Conflict, Invalid, SanbashiError
from .checking import check_settings
from .config import DaemonConfig, parse

log = logging.getLogger("sanbashi")

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
        from .config import SETTINGS

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
    hold_pidfile(config.pidfile)
    alone: socket.socket | None = None
    try:
        alone = hold_namespace()
        engine = await build(config)
        server = await serve(engine, config)
        # What was made at start lives as long as the daemon: the collector need not look at it at every start of a container.
        gc.collect()
        gc.freeze()
        tell_systemd(manager, "READY=1")
        log.info("API listen on %s", ", ".join(config.hosts))
        await ended.wait()
        tell_systemd(manager, "STOPPING=1")
        log.info("going down; containers %s", "go on running" if config.live_restore else "are stopped")
        engine.lifecycle.closing = True
        engine.events.close()
        await server.close()
        await engine.reconcile.shut_down()
    finally:
        if alone is not None:
            alone.close()
        release_pidfile(config.pidfile)
    return 0


def hold_namespace() -> socket.socket:
    """A name that one process of a network namespace can have; Conflict where another daemon has it.

    Two daemons would take each other's links, addresses and rules for leftovers of their own and remove them. An abstract name belongs to
    the network namespace as they do, and goes with the process, however that ends.
    """
    name = "\0sanbashi.network"
    held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        held.bind(name)
    except OSError as error:
        held.close()
        raise Conflict(
            f"another sanbashid {holder(name)}runs in this network namespace: two would remove each other's links and rules",
            hint="end it, or start this one in a namespace of its own: ip netns add other; ip netns exec other sanbashid ...",
        ) from error
    held.listen(1)
    return held


def holder(name: str) -> str:
    """Who listens at an abstract name, in words that can stand in a sentence; "" where nobody can tell."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        try:
            asking.settimeout(1)
            asking.connect(name)
            pid, _, _ = struct.unpack("3i", asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
        except OSError:
            return ""
    return f"(process {pid}) " if pid else ""


def hold_pidfile(path: Path) -> None:
    """Write our pid; Invalid where another daemon of this root runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        text = path.read_text().strip()
        if text.isdigit() and int(text) != os.getpid() and is_daemon(int(text)):
            raise Invalid(
                f"process with PID {text} is still running",
                hint=f"another sanbashid uses {path}; end it, or start this one with its own --exec-root and --data-root",
            )
    path.write_text(str(os.getpid()))


def is_daemon(pid: int) -> bool:
    """Whether a process is one of ours: a pid may have gone to somebody else since."""
    try:
        return b"sanbashi" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def release_pidfile(path: Path) -> None:
    """Remove the pid file if it is ours."""
    if path.exists() and path.read_text().strip() == str(os.getpid()):
        path.unlink()


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
