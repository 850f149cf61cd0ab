"""How the checks of a whole machine act and report: a command, a fact with a tick or a cross, a connection that must live."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

failed: list[str] = []


def only_in_a_throw_away_machine() -> None:
    """These checks install units, restart services and leave containers: the name that scripts/vm gives is the permission."""
    if socket.gethostname() != "sanbashi-vm" or not Path("/run/systemd/system").is_dir() or os.geteuid() != 0:
        sys.exit("this changes the machine: run it as root in one of scripts/vm")


def fact(what: str, true: bool, seen: object = "") -> None:
    """Print a fact with its tick or cross; crosses make the exit status."""
    print(f"  {'✓' if true else '✗'} {what}{'' if true else f': {seen}'}", flush=True)
    if not true:
        failed.append(what)


def sh(command: str, *, check: bool = True, given: bytes | None = None) -> str:
    """What a line of bash prints, its errors too."""
    done = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, input=given, timeout=600)
    text = done.stdout.decode(errors="replace").strip()
    if check and done.returncode:
        raise SystemExit(f"{command}: exit status {done.returncode}\n{text}")
    return text


def inspect(container: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sh(f"sanbashi inspect {container}"))[0]
    return found


def pid_of(container: str) -> int:
    return int(inspect(container)["State"]["Pid"])


def processes(word: str) -> set[int]:
    """The pids of the processes whose command line has a word."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if word in line.split("bash -c")[0]:
                found.add(int(entry.name))
    return found


def eventually(true: Callable[[], bool], within: float = 60) -> bool:
    end = time.monotonic() + within
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def import_busybox() -> None:
    """An image of Debian's busybox, made here: nothing is pulled."""
    sh(
        "d=$(mktemp -d); mkdir -p $d/bin $d/tmp $d/etc; cp /bin/busybox $d/bin/; "
        "for a in $(busybox --list | grep -vx busybox); do ln -sf busybox $d/bin/$a; done; "
        "tar -C $d -c . | sanbashi import --change 'CMD [\"sh\"]' - bb; rm -rf $d"
    )


class Line:
    """A TCP connection to an echo service, kept open."""

    def __init__(self, address: str, port: int) -> None:
        self.socket = socket.create_connection((address, port), 30)

    def lives(self, word: bytes = b"still there\n") -> bool:
        try:
            self.socket.settimeout(30)
            self.socket.sendall(word)
            return self.socket.recv(len(word)) == word
        except OSError:
            return False


def own_addresses() -> Iterable[str]:
    for link in json.loads(sh("ip -j -4 address show eth0")):
        for one in link["addr_info"]:
            yield one["local"]
