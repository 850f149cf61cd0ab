"""Debian's firewalld in a machine of the harness: unpacked there and run on a bus of its own, never installed and never started on the host.

Why not by set-up: that would put a firewall with its units on the machine of whoever runs `make setup`, for the sake of one test. The archives are
fetched once into .cache/firewalld, a megabyte; what of their dependencies the host has is used from there. No maintainer's script runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.harness import PROJECT, Done, Machine

CACHE = PROJECT / ".cache" / "firewalld"
PACKAGES = ("firewalld", "python3-firewall", "python3-nftables", "dbus-daemon")
ROOT = "/run/firewalld-root"  # in the machine, whose /run is its own
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>
"""


def archives() -> list[Path]:
    """The packages themselves, and what they need that the host lacks, fetched where they are not here yet; none where they cannot be had."""
    archive = CACHE / "archives"
    (archive / "partial").mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (CACHE / "complete").exists():
            words = [
                "apt-get",
                "-qq",
                "--yes",
                "install",
                "--reinstall",
                "--download-only",
                "--no-install-recommends",
                "-o",
                f"Dir::Cache::archives={archive}",
            ]
            done = subprocess.run([*words, *PACKAGES], capture_output=True, text=True)
            if done.returncode:
                print(done.stderr, file=sys.stderr)
                return []
            (CACHE / "complete").touch()
    return sorted(archive.glob("*.deb"))


@dataclass
class Firewalld:
    """A firewalld that runs in a machine; the words of firewall-cmd go to `tell`."""

    machine: Machine
    environment: dict[str, str]

    def tell(self, *words: str, check: bool = True) -> Done:
        return self.machine.run(["firewall-cmd", *words], environment=self.environment, check=check)

    def shell(self, line: str) -> Done:
        return self.machine.run(line, environment=self.environment)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The daemon for as long as the block lasts; it answers when it begins, and is ended in order."""
        roots = [f"--system-config={ROOT}/etc/firewalld", f"--default-config={ROOT}/usr/lib/firewalld"]
        log = self.machine.scratch / "firewalld.log"
        with log.open("ab") as said:
            process = self.machine.popen(
                [
                    "bash",
                    "-c",
                    'echo $$ > /run/firewalld-pid; exec "$@"',
                    "start",
                    "firewalld",
                    "--nofork",
                    "--nopid",
                    "--log-target=console",
                    *roots,
                ],
                environment=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
            try:
                deadline = time.monotonic() + 60
                while self.tell("--state", check=False).exit:
                    assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                yield
            finally:
                self.machine.run("kill -TERM $(cat /run/firewalld-pid)", check=False)
                process.wait(30)


@contextlib.contextmanager
def firewalld(where: Machine) -> Iterator[Firewalld]:
    """Everything that firewalld needs, in this machine: its files, and a system bus of its own."""
    where.run(f"mkdir -p {ROOT} /run/dbus")
    for archive in archives():
        where.run(["dpkg-deb", "--extract", archive, ROOT])
    where.path("/run/bus.conf").write_text(BUS)
    libraries = f"{ROOT}/usr/lib/{sysconfig.get_config_var('MULTIARCH')}"
    environment = {
        "PATH": f"{ROOT}/usr/sbin:{ROOT}/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": f"{ROOT}/usr/lib/python3/dist-packages",
        "LD_LIBRARY_PATH": libraries,
        "GI_TYPELIB_PATH": f"{libraries}/girepository-1.0:{ROOT}/usr/lib/girepository-1.0",
    }
    pid = where.run("dbus-daemon --config-file=/run/bus.conf --fork --print-pid", environment=environment).stdout.strip()
    try:
        yield Firewalld(where, environment)
    finally:
        where.run(["kill", "-TERM", pid])
