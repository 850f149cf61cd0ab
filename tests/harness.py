"""A machine within the machine: engines run in private namespaces, with a neighbouring host, a way out where one is wanted, and nothing left behind.

    machine   network, mount, pid and uts namespace; eth0 198.51.100.2/24, 2001:db8:51::2/64; /run, /etc/resolv.conf and $HOME are its own
       |      a veth pair
    outside   198.51.100.1, 2001:db8:51::1: the neighbouring host, the gateway, and (way_out) the router: it translates what leaves to the
              address of a tap device that slirp4netns serves, a user-space relay: this machine's own rules, links and routes stay as they are

The pid namespace makes two promises cheap: whatever still runs in it after the engine has ended is a leak that can be listed, and when this
program dies, however it dies, the kernel ends every process of the namespace, and with them the mounts, links and rules.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, cast

from tests.images import RECIPES, build
from tests.remains import containers_of, remove_groups, scratch_directory

PROJECT = Path(__file__).resolve().parent.parent
Kind = Literal["sanbashi", "docker"]

SET_UP = r"""
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/cgroup /run/lock /run/user
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --rbind /run/cgroup /sys/fs/cgroup
umount -l /run/cgroup
file=$(realpath -m /etc/resolv.conf)
[ -e "$file" ] || { mkdir -p "$(dirname "$file")"; : > "$file"; }
mount --bind "$1/resolv.conf" "$file"
[ ! -e /etc/docker ] || mount -t tmpfs tmpfs /etc/docker
hostname machine
ip link set lo up
sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
[ ! -e /proc/sys/net/bridge ] || sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0
"""
LINK = r"""
set -e
ip link add eth0 type veth peer name host0 netns "$1"
ip addr add 198.51.100.2/24 dev eth0
ip -6 addr add 2001:db8:51::2/64 dev eth0 nodad
ip link set eth0 up
nsenter --target "$1" --net sh -ec '
    ip link set lo up
    ip addr add 198.51.100.1/24 dev host0
    ip -6 addr add 2001:db8:51::1/64 dev host0 nodad
    ip link set host0 up
    sysctl -qw net.ipv4.ip_forward=1'
ip route add default via 198.51.100.1
ip -6 route add default via 2001:db8:51::1
"""
TRANSLATE = """
table inet way_out {
    chain postrouting {
        type nat hook postrouting priority srcnat
        oifname "tap0" masquerade
    }
}
"""
HEX64 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Done:
    """What a command gave."""

    exit: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout + self.stderr


class Failure(AssertionError):
    """A command that had to succeed did not."""


@dataclass(frozen=True)
class Space:
    """Namespaces to run commands in: those of `pid`, as nsenter's options name them."""

    pid: int
    options: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, words: Sequence[str | Path] | str, *, cwd: Path = PROJECT) -> list[str]:
        """The command line that runs `words` (a string goes to bash) in these namespaces."""
        inner = ["bash", "-c", words] if isinstance(words, str) else [str(w) for w in words]
        return ["nsenter", "--target", str(self.pid), *self.options, f"--wd={cwd}", "--", *inner]

    def variables(self, more: Mapping[str, str]) -> dict[str, str]:
        return {**os.environ, **self.environment, **more}

    def run(
        self, words: Sequence[str | Path] | str, *, check: bool = True, timeout: float = 120, given: str = "", environment: Mapping[str, str] = {}
    ) -> Done:
        """Run a command to its end; Failure where it had to succeed and did not."""
        made = subprocess.run(
            self.command(words),
            input=given,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=self.variables(environment),
        )
        done = Done(made.returncode, made.stdout, made.stderr)
        if check and done.exit:
            raise Failure(f"{words}: exit status {done.exit}\n{done.text}")
        return done

    def popen(self, words: Sequence[str | Path] | str, *, environment: Mapping[str, str] = {}, **options: Any) -> subprocess.Popen[Any]:
        """Start a command; end it through its pipes, or inside: a signal to nsenter does not reach what it started."""
        return subprocess.Popen(self.command(words), env=self.variables(environment), **options)


@contextlib.contextmanager
def ready(process: subprocess.Popen[str]) -> Iterator[None]:
    """A program that says `ready` first, for as long as the block lasts: it ends with its input where it has one, else it is killed."""
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        if process.stdin is None:
            process.kill()
        process.communicate(timeout=120)


class Machine(Space):
    """See the module's docstring; a context manager gives one and takes it away: `with machine() as m`."""

    scratch: Path
    outside: Space

    def __init__(self, pid: int, scratch: Path, outside: Space, environment: Mapping[str, str]) -> None:
        super().__init__(pid, ("--mount", "--net", "--pid", "--uts"), environment)
        object.__setattr__(self, "scratch", scratch)
        object.__setattr__(self, "outside", outside)

    def path(self, inside: str | Path) -> Path:
        """A path of the machine as it is seen from here; unix sockets can be reached through it."""
        return Path(f"/proc/{self.pid}/root") / str(inside).lstrip("/")

    def processes(self) -> dict[int, str]:
        """Inner pid -> command line, init and the commands of this harness left out."""
        found = {}
        for entry in self.path("/proc").iterdir():
            if not entry.name.isdigit() or entry.name == "1":
                continue
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                state = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                if state[0] != "Z" and (line != "cat" or state[1] != "1"):
                    found[int(entry.name)] = line
        return found

    def traces(self) -> dict[str, set[str]]:
        """What an engine could leave: links, tables, mounts, processes, pinned namespaces."""
        links = {link["ifname"] for link in json.loads(self.run(["ip", "-j", "link"]).stdout)}
        listed = json.loads(self.run(["nft", "-j", "list", "tables"]).stdout)["nftables"]
        tables = {f"{o['table']['family']} {o['table']['name']}" for o in listed if "table" in o}
        mounts = {line.split()[4] for line in self.path("/proc/1/mountinfo").read_text().splitlines()}
        return {"links": links, "tables": tables, "mounts": mounts, "processes": {re.sub(r"\d+", "N", p) for p in self.processes().values()}}

    def left(self, before: Mapping[str, set[str]], allowed: Sequence[str] = ()) -> dict[str, set[str]]:
        """What is there now and was not `before`, by kind; `allowed` are patterns of what may stay."""
        now = self.traces()
        fresh = {kind: {t for t in now[kind] - before[kind] if not any(re.search(a, t) for a in allowed)} for kind in now}
        return {kind: rest for kind, rest in fresh.items() if rest}

    def stays(self, before: Mapping[str, set[str]], patience: float = 30.0) -> dict[str, set[str]]:
        """What is left when the engine has swept, which it does after it has answered: as soon as nothing is, or after that many seconds."""
        deadline = time.monotonic() + patience
        while (rest := self.left(before)) and time.monotonic() < deadline:
            time.sleep(0.1)
        return rest


@contextlib.contextmanager
def machine(*, way_out: bool = False, resolv_conf: str = "", set_up: str = "") -> Iterator[Machine]:
    """A machine for as long as the block lasts. `resolv_conf` is its /etc/resolv.conf; `set_up` a script that it runs first."""
    if os.geteuid() != 0:
        raise PermissionError("namespaces, links and mounts need root: run this as root")
    if not resolv_conf:
        resolv_conf = "nameserver 10.0.2.3\n" if way_out else "nameserver 192.0.2.53\n"
    with contextlib.ExitStack() as stack:
        # SANBASHI_SCRATCH chooses another file system for what the engines of a machine keep.
        scratch = stack.enter_context(scratch_directory(Path(os.environ.get("SANBASHI_SCRATCH") or PROJECT / ".cache" / "run")))
        (scratch / "resolv.conf").write_text(resolv_conf)
        for own in ("tmp", "home"):
            (scratch / own).mkdir()
        outside_pid = hold(stack, ["unshare", "--net"], [])
        outside = Space(outside_pid, ("--net",))
        init = hold(
            stack,
            ["unshare", "--net", "--mount", "--propagation", "private", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"],
            ["tini", "-s", "--"],
        )
        made = Machine(init, scratch, outside, {"TMPDIR": str(scratch / "tmp"), "HOME": str(scratch / "home")})
        stack.callback(forget_cgroups, made)
        made.run(["bash", "-c", SET_UP, "set-up", str(scratch)])
        # From here, where both namespaces' holders have a pid.
        Space(init, ("--net",)).run(["bash", "-c", LINK, "link", str(outside_pid)])
        if way_out:
            relay(stack, outside)
        if set_up:
            made.run(set_up)
        yield made


def hold(stack: contextlib.ExitStack, unshare: Sequence[str], init: Sequence[str]) -> int:
    """The pid of a process that holds new namespaces until we close its stdin, or die."""
    # A session of its own: ^C on the terminal is ours to handle, in order.
    holder = subprocess.Popen(
        [*unshare, *init, "sh", "-c", "echo; exec cat >/dev/null"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert holder.stdin is not None and holder.stdout is not None
    stack.callback(holder.wait, 120)
    stack.callback(holder.stdout.close)
    stack.callback(holder.stdin.close)
    if holder.stdout.readline() != b"\n":
        raise RuntimeError(f"{unshare} did not start; is util-linux here, and tini?")
    if "--fork" not in unshare:
        return holder.pid
    return int(Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()[0])


def relay(stack: contextlib.ExitStack, outside: Space) -> None:
    """Give `outside` a tap device served by slirp4netns, and translate what leaves by it."""
    ready, tell = os.pipe()
    until, leave = os.pipe()
    process = subprocess.Popen(
        ["slirp4netns", "--configure", "--mtu=1500", "--disable-host-loopback", f"--ready-fd={tell}", f"--exit-fd={until}", str(outside.pid), "tap0"],
        pass_fds=(tell, until),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(tell)
    os.close(until)
    stack.callback(process.wait, 120)
    stack.callback(os.close, leave)
    with os.fdopen(ready, "rb") as said:
        if said.read(1) != b"1":
            raise RuntimeError("slirp4netns did not start")
    outside.run(["nft", "-f", "-"], given=TRANSLATE)


def forget_cgroups(made: Machine) -> None:
    """End the machine's processes and remove the control groups that its containers had, which no namespace takes along."""
    groups: set[str] = set()
    own = set(Path("/proc/self/cgroup").read_text().splitlines())
    for pid in made.processes():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            lines = set(made.path(f"/proc/{pid}/cgroup").read_text().splitlines()) - own
            groups |= {line.split(":", 2)[2] for line in lines}
    ids = {found for group in groups for found in HEX64.findall(group)} | containers_of(made.scratch)
    ended = os.pidfd_open(made.pid)
    # All but init, which ends when its cat does: unshare grumbles where init itself is killed.
    made.run(["kill", "-KILL", "-1"], check=False)
    select.select([ended], [], [], 60)
    os.close(ended)
    remove_groups(ids)


class Engine:
    """A daemon in a machine, ours or Debian's dockerd, under the same flags. Waits for its READY=1, never sleeps."""

    def __init__(
        self, where: Machine, kind: Kind = "sanbashi", *, name: str = "", options: Sequence[str] = (), environment: Mapping[str, str] = {}
    ) -> None:
        self.machine, self.kind, self.options, self.environment = where, kind, tuple(options), dict(environment)
        self.name = name or kind
        self.root = where.scratch / self.name
        self.exec_root = Path("/run") / self.name
        path = self.exec_root / f"{kind}.sock"  # where the documents have it, unless the engine has another name
        self.url = f"unix://{path}"
        self.socket = where.path(path)
        self.log = self.root / "log"
        self.process: subprocess.Popen[Any] | None = None
        self.root.mkdir(exist_ok=True)
        where.path(self.exec_root).mkdir(exist_ok=True)

    def command(self) -> list[str]:
        """The daemon's command line."""
        program = str(PROJECT / ".venv/bin/sanbashid") if self.kind == "sanbashi" else "dockerd"
        roots = [f"--host={self.url}", f"--data-root={self.root}/data", f"--exec-root={self.exec_root}", f"--pidfile={self.exec_root}/pid"]
        return [program, *roots, *self.options]

    def start(self, *, timeout: float = 120, environment: Mapping[str, str] = {}) -> Engine:
        """Start the daemon and wait until it says that it is ready; RuntimeError with the end of its log where it does not."""
        notify = self.machine.path("/run/notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel, self.log.open("ab") as log:
            notify.unlink(missing_ok=True)
            channel.bind(str(notify))
            self.process = self.machine.popen(
                ["bash", "-c", f'echo $$ > {self.exec_root}/started; exec "$@"', "start", *self.command()],
                environment={**self.environment, **environment, "NOTIFY_SOCKET": "/run/notify"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            ended = os.pidfd_open(self.process.pid)
            deadline = time.monotonic() + timeout
            try:
                while True:
                    heard: Sequence[Any] = select.select([channel, ended], [], [], max(0, deadline - time.monotonic()))[0]
                    if channel in heard:
                        if b"READY=1" in channel.recv(4096):
                            return self
                    elif ended in heard:
                        raise RuntimeError(f"{self.kind} ended with status {self.process.wait()} before it was ready:\n{self.tail()}")
                    else:
                        raise RuntimeError(f"{self.kind} was not ready after {timeout} s:\n{self.tail()}")
            finally:
                os.close(ended)
                notify.unlink(missing_ok=True)

    @property
    def pid(self) -> int:
        """The daemon's pid inside the machine."""
        return int(self.machine.path(self.exec_root / "started").read_text())

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def end(self, number: signal.Signals = signal.SIGTERM, *, timeout: float = 120) -> int:
        """Send the daemon a signal and wait for its end; its exit status, 0 where it had ended."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.machine.run(["kill", f"-{number.name.removeprefix('SIG')}", str(self.pid)], check=False)
        status = self.process.wait(timeout)
        self.process = None
        return status

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def variables(self) -> dict[str, str]:
        return {"DOCKER_HOST": self.url, "SANBASHI_HOST": self.url}

    def cli(self, *words: str, program: str = "docker", check: bool = True, timeout: float = 120, given: str = "") -> Done:
        """Run `docker WORDS` (or another program of CLIS) against this engine, inside the machine."""
        return self.machine.run([program, *words], check=check, timeout=timeout, given=given, environment=self.variables())

    def shell(self, line: str, *, check: bool = True, timeout: float = 120) -> Done:
        """Run a line of bash inside the machine, with DOCKER_HOST set."""
        return self.machine.run(line, check=check, timeout=timeout, environment=self.variables())

    def call(self, method: str, path: str, body: Any = None, *, timeout: float = 120) -> tuple[int, Any]:
        """One request of the API from here: (status, parsed JSON or text). A body of bytes is an archive."""
        connection = Unix(str(self.socket), timeout)
        with contextlib.closing(connection):
            content = body if body is None or isinstance(body, bytes) else json.dumps(body)
            kind = "application/x-tar" if isinstance(body, bytes) else "application/json"
            connection.request(method, path, content, {"Content-Type": kind} if content else {})
            answer = connection.getresponse()
            text = answer.read().decode()
        with contextlib.suppress(ValueError):
            return answer.status, json.loads(text)
        return answer.status, text

    def pull(self, *references: str) -> None:
        """Pull images through the API; Failure with the engine's words where one does not come."""
        for reference in references:
            name, _, tag = reference.partition(":")
            status, said = self.call("POST", f"/images/create?fromImage={name}&tag={tag or 'latest'}")
            if status != 200 or "errorDetail" in str(said):
                raise Failure(f"{reference}: {said}")

    def descriptors(self) -> int:
        """How many descriptors the daemon holds."""
        return sum(1 for _ in self.machine.path(f"/proc/{self.pid}/fd").iterdir())

    def address(self, container: str, network: str = "bridge") -> str:
        """A container's IPv4 address."""
        _, body = self.call("GET", f"/containers/{container}/json")
        return str(body["NetworkSettings"]["Networks"][network]["IPAddress"])

    def clear(self) -> None:
        """Remove every container and every network of the user's."""
        for container in self.call("GET", "/containers/json?all=1")[1]:
            self.call("DELETE", f"/containers/{container['Id']}?force=1&v=1")
        for network in self.call("GET", "/networks")[1]:
            if network["Name"] not in ("bridge", "host", "none"):
                self.call("DELETE", f"/networks/{network['Id']}")


class Unix(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.file = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.file)


@contextlib.contextmanager
def engine(where: Machine, kind: Kind = "sanbashi", **options: Any) -> Iterator[Engine]:
    """A started engine for as long as the block lasts; its containers are removed and it is ended in order."""
    made = Engine(where, kind, **options)
    try:
        made.start()
        yield made
        if made.process is not None and made.process.poll() is None:
            made.clear()
    except BaseException:
        print(f"--- the end of {kind}'s log\n{made.tail()}", file=sys.stderr)
        raise
    finally:
        made.end()


@contextlib.contextmanager
def registry(where: Machine, flavour: str = "recordings") -> Iterator[str]:
    """The test images served inside the machine, as tests.images serves them; gives the registry's URL."""
    # Built out here: the packages that they are made of come from a mirror, which the machine does not reach.
    for key in RECIPES:
        build(key)
    process = where.popen(
        ["bash", "-c", f'echo $$ > {where.scratch}/registry; exec "$@"', "serve", sys.executable, "-m", "tests.images", "serve", flavour],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    said = cast(IO[str], process.stdout)
    try:
        url = said.readline().strip()
        if not url:
            raise RuntimeError("the registry did not start")
        yield url
    finally:
        where.run(["kill", "-INT", (where.scratch / "registry").read_text().strip()], check=False)
        process.wait(120)
        said.close()


def docker_clis() -> dict[str, str]:
    """Every docker CLI on this machine: path -> version ("28.2.2")."""
    found: dict[str, str] = {}
    seen = set()
    for directory in os.get_exec_path():
        program = Path(directory) / "docker"
        if os.access(program, os.X_OK) and program.resolve() not in seen:
            seen.add(program.resolve())
            said = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
            if match := re.search(r"version ([\d.]+)", said):
                found[str(program)] = match[1]
    return found


def sanbashi_cli() -> str:
    """Our own CLI."""
    return str(PROJECT / ".venv/bin/sanbashi")
