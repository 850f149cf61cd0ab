"""Roots, network namespaces and boots: a daemon takes nobody else's things for its own, and trusts nothing of another boot."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.audit import settled
from tests.harness import Done, Engine, Kind, Machine, engine
from tests.remains import containers_of, remove_groups

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]


@pytest.fixture
def first(where: Machine, images: str, engine_kind: Kind) -> Iterator[Engine]:
    """An engine with a container that goes on without it."""
    if engine_kind != "sanbashi":
        pytest.skip("ours to start twice")
    with engine(where, name="first", options=[f"--registry-mirror={images}"]) as made:
        made.pull("busybox")
        made.cli("run", "-d", "--name", "web", "-p", "8080:80", "busybox", "sleep", "1000")
        yield made
        if made.process is None:
            made.start()


def links(where: Machine) -> set[tuple[int, str, str]]:
    """Number, name and label of every link; a link's state of operation follows its own clock."""
    return {(link["ifindex"], link["ifname"], link.get("ifalias", "")) for link in json.loads(where.run(["ip", "-j", "link"]).stdout)}


def refused(daemon: Engine) -> str:
    """What a daemon says that does not start."""
    with pytest.raises(RuntimeError, match="ended with status 1 before it was ready"):
        daemon.start()
    daemon.end()
    return daemon.tail(3)


def test_containers_of_a_daemon_with_other_roots(where: Machine, first: Engine) -> None:
    before = pid(first, "web")
    first.kill()
    there_were = links(where)
    other = Engine(where, name="other", options=["--bridge=other0", "--bip=10.77.0.1/24"])
    said = refused(other)
    roots = f"--exec-root /run/first --data-root {first.root}/data"
    assert f"1 container of a sanbashid with {roots} runs in this network namespace without it" in said and "ip netns add other" in said
    assert links(where) == there_were, "nothing was touched"
    first.start()
    assert pid(first, "web") == before and settled(first) == []
    first.cli("rm", "-f", "web")
    first.end()
    # Nothing of the first goes on: now the other one is welcome.
    other.start()
    other.end()


def test_the_exec_root_of_a_daemon_with_another_data_root(where: Machine, first: Engine) -> None:
    before = pid(first, "web")
    first.kill()
    other = Engine(where, name="elsewhere")
    other.exec_root, other.log = first.exec_root, other.root / "log"
    assert f"--data-root {first.root}/data" in refused(other)
    first.start()
    assert pid(first, "web") == before


def test_one_data_root_in_two_network_namespaces(where: Machine, first: Engine) -> None:
    second = Engine(where, name="second")
    second.root = first.root
    command = ["unshare", "--net", *second.command()]
    done = where.run(command, check=False, timeout=60)
    assert done.exit == 1 and f"another sanbashid uses the data root {first.root}/data" in done.text


def test_a_pid_that_somebody_else_has_got_holds_up_nobody(where: Machine, first: Engine) -> None:
    """The number that a killed daemon left in its file is a command of ours by now."""
    first.kill()
    with where.popen(["bash", "-c", "echo $$; exec -a sanbashi sleep 100"], stdout=-1, text=True) as somebody:
        number = somebody.stdout.readline().strip()
        where.path(first.exec_root / "pid").write_text(number)
        try:
            first.start()
        finally:
            where.run(["kill", number])


# Holds an abstract name until its stdin ends, as a user or as root; how many may wait to be accepted, -1 for one at which nobody listens.
HOLD = """
import os, socket, sys
name, user, waiting = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.setresuid(user, user, user)
with socket.socket(socket.AF_UNIX) as held, socket.socket(socket.AF_UNIX) as asking:
    held.bind("\\0" + name)
    if waiting >= 0:
        held.listen(waiting)
        if waiting == 0:
            asking.connect("\\0" + name)
    print(os.getpid(), flush=True)
    sys.stdin.read()
"""
ROOT, NOBODY = 0, 65534


@contextmanager
def holding(where: Machine, user: int, *, name: str = "sanbashi.network", waiting: int = 1) -> Iterator[int]:
    """The number of a process that holds the name for as long as this lasts."""
    words = [sys.executable, "-c", HOLD, name, str(user), str(waiting)]
    with where.popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        number = process.stdout.readline()
        try:
            yield int(number)
        finally:
            process.stdin.close()
            process.wait(30)


def test_a_user_who_takes_the_name_holds_up_nobody(where: Machine, first: Engine) -> None:
    """And two daemons are refused all the same, while the name is taken and after that."""
    other = Engine(where, name="other", options=["--bridge=other0", "--bip=10.77.0.1/24"])
    first.kill()
    with holding(where, NOBODY, waiting=-1):
        first.start()
    first.kill()
    forged = "x\nA B C zz E F G @sanbashi.network"  # /proc prints it as it is
    with holding(where, NOBODY, waiting=0), holding(where, NOBODY, name="sanbashi.network.2"), holding(where, NOBODY, name=forged):
        first.start()
        number = int(where.path(first.exec_root / "pid").read_text())
        assert f"another sanbashid (process {number}) runs in this network namespace" in refused(other)
    assert f"another sanbashid (process {number}) runs in this network namespace" in refused(other)
    first.kill()
    first.start()
    assert settled(first) == []


@pytest.mark.parametrize("waiting", [0, 1])
def test_a_daemon_of_an_older_version_is_known(where: Machine, first: Engine, waiting: int) -> None:
    """It holds the name itself; those who asked it who it is are not accepted, and leave no room for more."""
    first.kill()
    with holding(where, ROOT, waiting=waiting) as number:
        assert f"another sanbashid (process {number}) runs in this network namespace" in refused(first)
    first.start()


def pid(on: Engine, name: str) -> int:
    return int(on.call("GET", f"/containers/{name}/json")[1]["State"]["Pid"])


def inspected(on: Engine, name: str) -> Any:
    status, seen = on.call("GET", f"/containers/{name}/json")
    return seen if status == 200 else None


REBOOT = r"""
set -e
for link in $(ip -o link | awk -F '[ :@]+' '/alias sanbashi:/ { print $2 }'); do
    ip link delete "$link"
done
nft flush ruleset
for mount in $(awk '{ print $5 }' /proc/self/mountinfo | grep -e '/merged' -e "^$1/netns/" | sort -ru); do umount -l "$mount"; done
umount -l "$1/netns"
"""


def test_after_a_reboot_nothing_of_the_old_boot_is_trusted(where: Machine, first: Engine) -> None:
    """The exec root is on a disk and outlives the boot: its process numbers mean somebody else, its records and sockets nobody."""
    first.cli("network", "create", "app")
    policies = {"always": "always", "unless": "unless-stopped", "failed": "on-failure", "plain": "no"}
    for name, policy in policies.items():
        first.cli("run", "-d", "--name", name, "--restart", policy, "--network", "app", "-P", "--expose", "80", "busybox", "sleep", "1000")
    first.cli("run", "-d", "--rm", "--name", "once", "busybox", "sleep", "1000")
    first.cli("run", "-d", "--name", "stopped", "--restart", "unless-stopped", "busybox", "sleep", "1000")
    first.cli("kill", "stopped")
    before = {name: inspected(first, name) for name in policies}

    first.kill()
    mine = [str(number) for number, line in where.processes().items() if "conmon" in line or "keeper" in line or "sleep 1000" in line]
    where.run(["kill", "-KILL", *mine])
    where.run(["bash", "-c", REBOOT, "reboot", str(first.exec_root)])
    remove_groups(containers_of(where.scratch))  # nobody has any after a reboot
    with where.popen(["bash", "-c", "echo $$; exec sleep 5000"], stdout=-1, text=True) as innocent:
        number = innocent.stdout.readline().strip()
        for bundle in where.path(first.exec_root / "containers").iterdir():
            (bundle / "pid").write_text(number)
            (bundle / "conmon.pid").write_text(number)
        plain = before["plain"]["Id"]
        where.path(first.exec_root / "exits" / plain).write_text("0")
        (where.scratch / "boot").write_text(f"{uuid.uuid4()}\n")
        where.run(["mount", "--bind", str(where.scratch / "boot"), "/proc/sys/kernel/random/boot_id"])
        try:
            first.start()
            wait_for_policies(first, "always", "unless", "failed")
            assert int(number) in where.processes(), "somebody else was ended"
            assert settled(first) == []
            for name in ("always", "unless", "failed"):
                now = inspected(first, name)
                assert now["State"]["Running"] and now["State"]["StartedAt"] > before[name]["State"]["StartedAt"]
                assert addresses(now) == addresses(before[name]), "the address that it had"
            assert (inspected(first, "plain")["State"]["Status"], inspected(first, "plain")["State"]["ExitCode"]) == ("exited", 255)
            assert inspected(first, "stopped")["State"]["ExitCode"] == 137 and not inspected(first, "stopped")["State"]["Running"]
            assert inspected(first, "once") is None and inspected(first, "web")["State"]["ExitCode"] == 255
            assert "the machine was started anew" in first.tail(200)
            assert first.cli("exec", "always", "ping", "-c1", "-W5", "unless").exit == 0
            first.kill()
            first.start()  # in the same boot: nothing is forgotten
            assert inspected(first, "always")["State"]["Running"] and settled(first) == []
        finally:
            where.run(["kill", number], check=False)
            where.run(["umount", "/proc/sys/kernel/random/boot_id"])


def addresses(seen: Any) -> list[str]:
    return [endpoint["IPAddress"] for endpoint in seen["NetworkSettings"]["Networks"].values()]


def wait_for_policies(on: Engine, *names: str) -> None:
    """Restart policies act after the daemon is ready: until these run."""
    for name in names:
        on.shell(f"for i in $(seq 1000); do [ $(docker inspect -f {{{{.State.Running}}}} {name}) = true ] && exit; sleep 0.05; done; exit 1")


def test_who_has_no_right_to_the_socket_gets_at_nothing(where: Machine, first: Engine) -> None:
    """A file of root's with the setuid bit in a volume or in a layer would make root of everybody who reaches it."""
    first.cli("run", "--rm", "-v", "tools:/tools", "busybox", "sh", "-c", "cp /bin/busybox /tools/id && chmod 4755 /tools/id")
    data = Path(first.root) / "data"
    tool = data / "volumes/tools/_data/id"
    (layer,) = (p / "diff/bin/busybox" for p in (data / "layers").iterdir() if len(p.name) == 64)
    root = where.run(["docker", "inspect", "-f", "{{.State.Pid}}", "web"], environment=first.variables()).stdout.strip()
    for _ in range(2):
        for path in (tool, layer, data / "layers", data / "volumes", data / "state.db", data / "containers", f"/proc/{root}/root/bin"):
            assert where.run(["test", "-e", str(path)]).exit == 0
            assert as_nobody(where, "ls", str(path)).exit != 0, path
        assert as_nobody(where, str(tool), "-u").exit != 0
        for socket in ("sanbashi.sock", "keeper.sock"):
            done = as_nobody(where, "curl", "-sS", "--unix-socket", f"/run/first/{socket}", "http://engine/_ping")
            assert "Could not connect" in done.stderr or "Couldn't connect" in done.stderr, done
        # A data root of a version that left it open is closed at the next start.
        data.chmod(0o755)
        first.end()
        first.start()
    first.cli("volume", "rm", "tools")


def as_nobody(where: Machine, *words: str) -> Done:
    """A command of a user who is nobody. setpriv itself still has root's capabilities when it starts what it is told, so that is a shell."""
    own = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c", 'exec "$@"', "sh"]
    return where.run([*own, *words], check=False)
