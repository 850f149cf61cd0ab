"""Debian's own firewalld and ufw in a machine of the harness: unpacked there and run there, never installed and never started on the host.

Why not by set-up: that would put two firewalls with their units on the machine of whoever runs `make setup`, for the sake of one test. The
archives are fetched once into .cache/firewalls, a megabyte; what of their dependencies the host has is used from there. No maintainer's script runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness import PROJECT, Done, Machine

CACHE = PROJECT / ".cache" / "firewalls"
PACKAGES = ("firewalld", "python3-firewall", "python3-nftables", "dbus-daemon", "ufw")
ROOT = "/run/firewalls"  # in the machine, whose /run is its own
LIBRARIES = f"{ROOT}/usr/lib/{sysconfig.get_config_var('MULTIARCH')}"
ENVIRONMENT = {
    "PATH": f"{ROOT}/bin:{ROOT}/usr/sbin:{ROOT}/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONPATH": f"{ROOT}/usr/lib/python3/dist-packages",
    "LD_LIBRARY_PATH": LIBRARIES,
    "GI_TYPELIB_PATH": f"{LIBRARIES}/girepository-1.0:{ROOT}/usr/lib/girepository-1.0",
}
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>
"""
# What ufw's package does when it is installed: the rules into /etc/ufw, those of IPv6 with chains of their own.
CONFIGURE_UFW = rf"""
cd {ROOT}
cp usr/share/ufw/ufw.conf usr/share/ufw/*.init usr/share/ufw/iptables/*.rules etc/ufw/
mkdir -p bin
printf '#!/bin/sh\nexec /usr/bin/python3 {ROOT}/usr/sbin/ufw --rootdir={ROOT} --datadir={ROOT} "$@"\n' > bin/ufw
chmod 755 bin/ufw
"""


def archives() -> list[Path]:
    """The packages themselves, and what they need that the host lacks, fetched where they are not here yet; none where they cannot be had."""
    archive = CACHE / "archives"
    (archive / "partial").mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (CACHE / "complete").exists():
            words = ["apt-get", "-qq", "--yes", "install", "--reinstall", "--download-only", "--no-install-recommends"]
            done = subprocess.run([*words, "-o", f"Dir::Cache::archives={archive}", *PACKAGES], capture_output=True, text=True)
            if done.returncode:
                print(done.stderr, file=sys.stderr)
                return []
            (CACHE / "complete").touch()
    return sorted(archive.glob("*.deb"))


@contextlib.contextmanager
def unpacked(where: Machine) -> Iterator[None]:
    """Both firewalls' files in this machine, and a system bus of its own."""
    where.run(f"mkdir -p {ROOT} /run/dbus")
    for archive in archives():
        where.run(["dpkg-deb", "--extract", archive, ROOT])
    where.run(CONFIGURE_UFW)
    where.path("/run/bus.conf").write_text(BUS)
    pid = where.run("dbus-daemon --config-file=/run/bus.conf --fork --print-pid", environment=ENVIRONMENT).stdout.strip()
    try:
        yield
    finally:
        where.run(["kill", "-TERM", pid])


@dataclass
class Firewall:
    """A firewall that runs in a machine, and what of it we look at."""

    machine: Machine
    chains: tuple[str, ...] = ()  # those that drop what is forwarded, in the order of the tables
    because: str = ""
    passes_published: bool = False  # whether published ports are let through without being asked for
    reloads: tuple[str, ...] = ()
    opens: tuple[str, str] = ("", "")  # what lets port 8080 in, and what takes that back
    environment: Mapping[str, str] = field(default_factory=lambda: ENVIRONMENT)

    def shell(self, line: str, *, check: bool = True) -> Done:
        return self.machine.run(line, environment=self.environment, check=check)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The firewall for as long as the block lasts; it is up when that begins, and ended in order."""
        raise NotImplementedError
        yield


class Firewalld(Firewall):
    """With its nftables backend."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(
            machine,
            chains=("inet firewalld filter_FORWARD",),
            because="its last rule is reject",
            passes_published=True,
            reloads=("firewall-cmd --reload", "firewall-cmd --complete-reload"),
            opens=("firewall-cmd --add-port=8080/tcp", "firewall-cmd --remove-port=8080/tcp"),
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
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
                deadline = time.monotonic() + 120
                while self.shell("firewall-cmd --state", check=False).exit:
                    assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                yield
            finally:
                self.machine.run("kill -TERM $(cat /run/firewalld-pid)", check=False)
                process.wait(30)


class Ufw(Firewall):
    """Through iptables-nft, as Debian and Ubuntu have it; it has no daemon."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(
            machine,
            chains=("ip filter FORWARD", "ip6 filter FORWARD"),
            because="its policy is drop",
            reloads=("ufw reload", "ufw disable; ufw --force enable"),
            opens=("ufw allow 8080/tcp", "ufw delete allow 8080/tcp"),
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        # Its first start ever goes by the rules of its package, which lack two for IPv6 that it then writes there itself.
        self.shell("ufw default deny routed; ufw --force enable; ufw reload")
        try:
            yield
        finally:
            self.shell("ufw disable; nft 'delete table ip filter; delete table ip6 filter'")
