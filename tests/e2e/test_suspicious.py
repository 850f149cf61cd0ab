"""What a suspicious user tried, and found wrong once: each stays right."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.harness import Engine, Kind, Machine, ready

pytestmark = pytest.mark.root

LISTEN = """
import socket, sys
held = [socket.socket() for _ in sys.argv[1:]]
for one, port in zip(held, sys.argv[1:]):
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("0.0.0.0", int(port)))
    one.listen()
print("ready", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def listening(where: Machine, *ports: int) -> Iterator[None]:
    """A process of the machine's own that listens on these ports."""
    words = [sys.executable, "-c", LISTEN, *map(str, ports)]
    with ready(where.popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)):
        yield


def wait_for_listener(where: Engine, container: str) -> None:
    """Until the program of a container listens on TCP port 80: it is started before that. The resolver listens there too, on another port."""
    where.cli("exec", container, "sh", "-c", "until grep -qE '^ *[0-9]+: [0-9A-F]+:0050 .* 0A ' /proc/net/tcp /proc/net/tcp6; do sleep 0.05; done")


def test_another_port_is_tried_where_one_of_a_range_is_taken(clean: Engine) -> None:
    with listening(clean.machine, 8500):
        clean.cli("run", "-d", "--name", "ranged", "-p", "8500-8502:80", "busybox", "sleep", "1000")
        assert clean.cli("port", "ranged").stdout.splitlines()[0] == "80/tcp -> 0.0.0.0:8501"
        refused = clean.cli("run", "--rm", "-p", "8500:80", "busybox", "true", check=False)
    assert refused.exit == 125 and "failed to bind host port 0.0.0.0:8500/tcp: address already in use" in refused.stderr


def test_another_port_is_tried_where_an_ephemeral_one_is_taken(clean: Engine) -> None:
    clean.cli("run", "-d", "--name", "first", "-p", "80", "busybox", "sleep", "1000")
    chosen = int(clean.cli("port", "first", "80").stdout.split()[0].rpartition(":")[2])
    with listening(clean.machine, chosen + 1):
        clean.cli("run", "-d", "--name", "second", "-p", "80", "busybox", "sleep", "1000")
        assert clean.cli("port", "second", "80").stdout.split()[0] == f"0.0.0.0:{chosen + 2}"


@pytest.mark.parametrize("user", ["nosuch", "0:nosuch"])
def test_an_exec_as_nobody_that_exists_fails(clean: Engine, user: str) -> None:
    clean.cli("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    done = clean.cli("exec", "-u", user, "box", "id", check=False)
    assert done.exit == 126 and "no matching entries in" in done.text


def test_an_edited_hosts_file_does_not_keep_an_old_address(clean: Engine) -> None:
    clean.cli("network", "create", "app")
    clean.cli("run", "-d", "--name", "edits", "--network", "app", "busybox", "sleep", "1000")
    clean.cli("exec", "edits", "sh", "-c", "echo 10.1.1.1 mine >> /etc/hosts")
    clean.cli("network", "connect", "bridge", "edits")
    there = clean.cli("exec", "edits", "cat", "/etc/hosts").stdout
    assert "10.1.1.1 mine" in there and clean.address("edits") in there
    clean.cli("network", "disconnect", "bridge", "edits")
    clean.cli("stop", "-t", "0", "edits")
    clean.cli("run", "-d", "--name", "thief", "--network", "app", "busybox", "sleep", "1000")
    clean.cli("start", "edits")
    address = clean.address("edits", "app")
    assert address != clean.address("thief", "app")
    assert clean.cli("exec", "edits", "hostname", "-i").stdout.split() == [address]


def test_two_daemons_of_one_network_namespace_would_undo_each_other(clean: Engine, engine_kind: Kind) -> None:
    if engine_kind != "sanbashi":
        pytest.skip("dockerd lets them")
    other = Engine(clean.machine, name="other", options=["--bridge=other0", "--bip=10.77.0.1/24"])
    with pytest.raises(RuntimeError, match="runs in this network namespace: two would remove each other's links and rules"):
        other.start()
    assert other.end() in (0, 1)
    assert f"process {clean.pid}" in other.tail(2)


def test_containers_that_ignore_the_signal_are_ended_after_their_own_time(where: Machine, running: Engine, engine_kind: Kind) -> None:
    if engine_kind != "sanbashi":
        pytest.skip("ours to restart")
    # The witness hears of the end of the deaf one, which holds a pipe open, and ends by itself then, unless its own time was up before. That is long:
    # on a machine that is busy the end of the other, its second and all, takes as long as it takes.
    witness = """mkfifo /shared/pipe; exec 3<>/shared/pipe 4</shared/pipe 3<&-; trap 'cat <&4; exit 7' TERM; touch /shared/ready; sleep 1000 & wait"""
    deaf = "until [ -e /shared/ready ]; do sleep 0.05; done; exec sleep 1000 3>/shared/pipe"
    running.cli("run", "-d", "--name", "witness", "--stop-timeout", "45", "-v", "shared:/shared", "busybox", "sh", "-c", witness)
    running.cli("run", "-d", "--name", "deaf", "--stop-timeout", "1", "-v", "shared:/shared", "busybox", "sh", "-c", deaf)
    running.shell("for i in $(seq 1000); do docker top deaf | grep -q 'sleep 1000$' && exit; sleep 0.05; done; exit 1")
    running.end()
    before = running.options
    running.options = (*before, "--live-restore=false")
    try:
        running.start()
        running.end()
        assert not any("sleep 1000" in line for line in where.processes().values())
    finally:
        running.options = before
        running.start()
    codes = running.cli("inspect", "-f", "{{.Name}} {{.State.ExitCode}}", "deaf", "witness").stdout
    assert codes == "/deaf 137\n/witness 7\n", "the deaf one's time was up before the witness's"
    running.clear()
    running.cli("volume", "rm", "shared")


def test_a_name_that_is_gone_is_no_image_of_a_container(clean: Engine) -> None:
    clean.cli("tag", "busybox", "audit/box:1")
    clean.cli("run", "-d", "--name", "box", "audit/box:1", "sleep", "1000")
    clean.cli("run", "-d", "--name", "full", "docker.io/library/busybox", "sleep", "1000")
    id_ = clean.cli("images", "-q", "busybox").stdout
    clean.cli("rmi", "audit/box:1")
    assert clean.cli("ps", "--filter", "name=box", "--format", "{{.Image}}").stdout == id_
    assert "busybox" in clean.cli("ps", "--filter", "name=full", "--format", "{{.Image}}").stdout


def test_a_container_that_spoils_its_own_namespace_keeps_nobody_from_starting(clean: Engine) -> None:
    clean.cli("network", "create", "spoilt")
    clean.cli("run", "-d", "--name", "rogue", "--network", "spoilt", "--cap-add", "NET_ADMIN", "busybox", "sleep", "1000")
    clean.cli("run", "-d", "--name", "good", "--network", "spoilt", "-p", "8600:80", "busybox", "httpd", "-f")
    clean.cli("exec", "rogue", "ip", "addr", "flush", "dev", "lo")
    clean.cli("exec", "rogue", "ip", "link", "set", "lo", "down")
    keeper = next(pid for pid, line in clean.machine.processes().items() if "/keeper/" in line)
    clean.kill()
    clean.machine.run(["kill", "-9", str(keeper)])
    clean.start()
    assert clean.cli("exec", "good", "nslookup", "good").exit == 0
    wait_for_listener(clean, "good")
    assert clean.machine.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:8600/"]).stdout == "404"
    assert "going on one by one" in clean.tail(60)
    clean.cli("rm", "-f", "rogue", "good")


def test_a_keeper_that_somebody_stopped_is_named_or_ended(where: Machine, running: Engine, engine_kind: Kind) -> None:
    """With containers that go on it is named, for it serves them; with none it is ended, and the next start is as any other."""
    if engine_kind != "sanbashi":
        pytest.skip("dockerd has no keeper")
    running.cli("network", "create", "kept")
    running.cli(
        "run", "-d", "--name", "served", "--stop-timeout", "1", "--network", "kept", "--restart", "always", "-p", "8650:80", "busybox", "httpd", "-f"
    )
    keeper = next(pid for pid, line in where.processes().items() if "/keeper/" in line)
    where.run(["kill", "-STOP", str(keeper)])
    running.end()
    with pytest.raises(RuntimeError, match=rf"the keeper \(process {keeper}\) does not answer: it is stopped"):
        running.start()
    assert f"hint: kill -CONT {keeper} wakes it; or kill -9 {keeper}, and the daemon starts its own in its place" in running.tail()
    where.run(["kill", "-CONT", str(keeper)])
    before = running.options
    running.options = (*before, "--live-restore=false")
    try:
        running.start()
        where.run(["kill", "-STOP", str(keeper)])
        assert running.end() == 0
        # A monitor ends by itself some milliseconds after it has told the end of its container.
        where.run(["sh", "-c", 'for pid in $(pidof conmon); do tail --pid "$pid" -s 0.05 -f /dev/null; done'], timeout=120)
        assert not any(word in line for line in where.processes().values() for word in ("/keeper/", "conmon", "httpd"))
    finally:
        running.options = before
        running.start()
    assert running.cli("port", "served").stdout.splitlines()[0] == "80/tcp -> 0.0.0.0:8650"
    running.clear()


def test_a_restart_right_after_a_visit_by_the_loopback_of_ipv6(clean: Engine, engine_kind: Kind) -> None:
    """The forwarder closes what the server closed, so TIME_WAIT is on our side, at the very port that the restart needs."""
    if engine_kind != "sanbashi":
        pytest.skip("dockerd listens through a proxy")
    clean.cli("run", "-d", "--name", "visited", "-p", "8651:80", "busybox", "httpd", "-f")
    for _ in range(2):
        wait_for_listener(clean, "visited")
        said = clean.machine.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Connection: close", "http://[::1]:8651/"])
        assert said.stdout == "404"
        assert "8651" in clean.machine.run("ss -6tan state time-wait").stdout
        clean.cli("restart", "-t", "0", "visited")
    clean.cli("rm", "-f", "visited")


@pytest.mark.parametrize("bound", ["netns", "."])
def test_a_container_that_is_shown_the_pinned_namespaces_sees_them(clean: Engine, bound: str) -> None:
    if clean.kind != "sanbashi":
        pytest.skip("a folder of ours")
    clean.cli("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    shown = clean.exec_root / bound
    clean.cli("run", "-d", "--name", "looks", "-v", f"{shown}:/shown", "busybox", "sleep", "1000")
    clean.cli("run", "-d", "--name", "later", "busybox", "sleep", "1000")
    pins = "/shown" if bound == "netns" else "/shown/netns"
    for name in ("box", "looks"):
        key = clean.cli("inspect", "-f", "{{.NetworkSettings.SandboxKey}}", name).stdout.strip()
        inode = clean.machine.run(["stat", "-c", "%i", key]).stdout.strip()
        assert clean.cli("exec", "looks", "stat", "-c", "%i", f"{pins}/{key.rpartition('/')[2]}").stdout.strip() == inode
