"""runc and crun as one interface: which of them can be used here, and the verbs that need no monitor.

Creating goes through conmon (monitor.py), running something in a container through exec.py; both take a Runtime from here.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..containers.failure import RuntimeFailed, failure
from ..containers.spec import OPEN
from ..errors import Conflict, Invalid, NotFound, Unavailable
from ..records import dataclass
from .filters import Filters
from .gate import GATE, pull, push
from .launcher import Launcher
from .sealed import Sealed
from .separated import UNIFIED

KNOWN = ("crun", "runc")  # in the order of preference: crun starts a container in a third of runc's time
COPYING = frozenset({"crun"})  # those that copy themselves with every verb; runc's own way, a bind mount for its init, costs less than 9 MB of memory
PROGRAMS = "programs"  # beside the runtimes' records, where what is started of them is found
COMPILED = "run.oci.seccomp_bpf_data"  # crun(1)
CGROUP2_SUPER_MAGIC = "cgroup2"


@dataclass(frozen=True, slots=True)
class Runtime:
    """One runtime: its program and the copy of it that is started, the directory of its state, what starts it, and conmon.

    Every verb waits for the program's end.
    """

    name: str
    program: Path
    sealed: Sealed | None
    state: Path
    launcher: Launcher
    conmon: Path

    def command(self, *words: str, log: Path | None = None) -> list[str]:
        """The program with its global options and these words; the log in plain text, since crun writes in its format into the container too."""
        logging = ["--log", str(log)] if log is not None else []
        return [str(self.sealed.path() if self.sealed else self.program), "--root", str(self.state), *logging, *words]

    async def start(self, container_id: str, pid: int, command: str = "") -> None:
        """Let the created container, whose first process is `pid`, run; CannotRun or RuntimeFailed."""
        gate = self.state / container_id / GATE
        if push(gate) if self.name == "crun" else await self.launcher.call(lambda: pull(gate, pid)):
            return
        # Nobody waits there: it has ended, or this version has another way. The program knows, and has the words.
        done = await self.launcher.run(self.command("start", container_id))
        if done.returncode != 0:
            raise failure("start", self.name, message(done.stderr), command)

    async def kill(self, container_id: str, signal: int, *, every: bool = False) -> None:
        """Send a signal to the container's init, or to all its processes; Conflict where it does not run any more."""
        words = ["kill", *(["--all"] if every else []), container_id, str(int(signal))]
        done = await self.launcher.run(self.command(*words))
        if done.returncode != 0:
            said = message(done.stderr)
            # crun removes its status file before the folder: in between it cannot open the one and the other is still there.
            if not (self.state / container_id).exists() or any(words in said for words in GONE):
                raise Conflict(f"container {container_id} is not running")
            raise RuntimeFailed(f"{self.name}: {said}")

    async def delete(self, container_id: str, *, force: bool = False, begun: asyncio.Event | None = None) -> None:
        """Forget the container, killing it first where `force`; gone already is success. `begun` is set when the program runs."""
        done = await self.launcher.run(self.command("delete", *(["--force"] if force else []), container_id), begun=begun)
        if done.returncode != 0 and (self.state / container_id).exists():
            raise RuntimeFailed(f"{self.name}: {message(done.stderr)}")

    async def pause(self, container_id: str) -> None:
        """Freeze every process of the container."""
        await self._do("pause", container_id)

    async def resume(self, container_id: str) -> None:
        """Let them go on."""
        await self._do("resume", container_id)

    async def update(self, container_id: str, resources: dict[str, object]) -> None:
        """Set the container's resources; `resources` as in the OCI specification's linux.resources."""
        with MemoryFile(json.dumps(resources).encode()) as path:
            await self._do("update", "--resources", path, container_id)

    async def state_of(self, container_id: str) -> str:
        """created, running, paused or stopped; "" where the runtime does not know it."""
        done = await self.launcher.run(self.command("state", container_id))
        if done.returncode != 0:
            return ""
        return str(json.loads(done.stdout)["status"])

    async def pids(self, container_id: str) -> tuple[int, ...]:
        """The processes of the container, as the host numbers them."""
        done = await self.launcher.run(self.command("ps", "--format", "json", container_id))
        if done.returncode != 0:
            raise Conflict(f"container {container_id} is not running")
        found = json.loads(done.stdout or "[]") or []
        return tuple(int(pid) for pid in found)

    async def _do(self, verb: str, *words: str) -> None:
        done = await self.launcher.run(self.command(verb, *words))
        if done.returncode != 0:
            said = message(done.stderr)
            # It ended while the request was on its way.
            if any(gone in said for gone in GONE):
                raise Conflict(f"container {words[-1]} is not running")
            raise RuntimeFailed(f"{self.name} {verb}: {said}")


class MemoryFile:
    """Bytes as a file that a child of this process can open by its path; gone when closed."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._descriptor = -1

    def __enter__(self) -> str:
        self._descriptor = os.memfd_create("sanbashi", os.MFD_CLOEXEC)
        os.write(self._descriptor, self._content)
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


class Runtimes:
    """The runtimes of this host. `state` keeps each runtime's own records: EXEC_ROOT/runtimes.

    `roots` and `pins`: the folders of the containers' root file systems and of their network namespaces, mounts that runtimes are started without.
    """

    def __init__(self, state: Path, *, roots: Path | None = None, pins: Path | None = None, hybrid: bool | None = None) -> None:
        found = {name: Path(path) for name in KNOWN if (path := shutil.which(name, path=search_path()))}
        if not found:
            raise Unavailable("no container runtime was found", hint="install one: apt-get install crun")
        conmon = shutil.which("conmon", path=search_path())
        if conmon is None:
            raise Unavailable("conmon was not found", hint="install it: apt-get install conmon")
        self.conmon = Path(conmon)
        state.mkdir(parents=True, exist_ok=True, mode=0o711)
        unified = [UNIFIED] if "crun" in found and (hybrid_cgroups() if hybrid is None else hybrid) else []
        self._pinned = f"/proc/{os.getpid()}/root{pins}/" if pins else None  # how the daemon names a namespace to a runtime
        self._crowds = [folder.resolve() for folder in (roots, pins) if folder]
        self.launcher = Launcher(without=[*unified, *self._crowds])
        self._among = Launcher(without=unified, peer=True)
        for folder in (PROGRAMS, *found):
            (state / folder).mkdir(exist_ok=True, mode=0o711)
        self.by_name = {
            name: Runtime(
                name, program, Sealed(program, state / PROGRAMS / name) if name in COPYING else None, state / name, self.launcher, self.conmon
            )
            for name, program in found.items()
        }
        self.filters = Filters()
        self.default = next((name for name in KNOWN if name in self.by_name), next(iter(self.by_name)))

    def choose(self, name: str = "") -> Runtime:
        """The runtime of that name, or the default one; Docker's own name for its default, `runc`, is runc where it is installed."""
        chosen = self.by_name.get(name or self.default)
        if chosen is None:
            raise Invalid(f"unknown or invalid runtime name: {name}", hint=f"this host has {', '.join(sorted(self.by_name))}")
        return chosen

    def launcher_for(self, sources: Iterable[str], *, propagates: bool = False) -> Launcher:
        """What starts a container that is given these paths of the host: one that is shown the other containers' mounts is started among them.

        So is one whose mounts and the host's are to reach each other (`propagates`): only from there do its own reach the host.
        """
        # Not Path.resolve, which raises at links in a circle: what is to be said of those the runtime says.
        shown = any(meet(Path(os.path.realpath(source)), crowd) for source in sources for crowd in self._crowds)
        return self._among if shown or propagates else self.launcher

    def hastened(self, spec: Mapping[str, Any], runtime: Runtime) -> Mapping[str, Any]:
        """A specification that means the same and costs the runtime less: crun takes the seccomp profile compiled, settings of the network stand."""
        spec = self.without_standing(spec)
        profile = spec.get("linux", {}).get("seccomp")
        if runtime.name != "crun" or profile is None or (program := self.filters.program(profile)) is None:
            return spec
        return {**spec, "annotations": {**spec.get("annotations", {}), COMPILED: program}}

    def without_standing(self, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        """Without the settings that a namespace which we pinned was made with (changing.py).

        crun looks for each in the host's /proc, where `sys/net/ipv4` is an entry for each namespace that was ever asked for: 0.5 ms among a
        thousand (sysctl.py).
        """
        linux = spec.get("linux", {})
        if self._pinned is None or not any(own.get("path", "").startswith(self._pinned) for own in linux.get("namespaces", ())):
            return spec
        left = {name: value for name, value in linux.get("sysctl", {}).items() if OPEN.get(name) != value}
        return {**spec, "linux": {**linux, "sysctl": left}}

    def find(self, container_id: str) -> Runtime:
        """The runtime that keeps a record of this container."""
        for runtime in self.by_name.values():
            if (runtime.state / container_id).exists():
                return runtime
        raise NotFound(f"No such container: {container_id}")

    def close(self) -> None:
        """End the threads that start programs; containers go on."""
        self.launcher.close()
        self._among.close()
        for runtime in self.by_name.values():
            if runtime.sealed:
                runtime.sealed.close()


def meet(one: Path, other: Path) -> bool:
    """Whether one of two paths is the other or lies in it."""
    return one.is_relative_to(other) or other.is_relative_to(one)


def search_path() -> str:
    """Where programs are looked for: PATH and the directories that a service's PATH may lack."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"])


def hybrid_cgroups() -> bool:
    """Whether this host has v1 hierarchies and a v2 one without controllers beside them, which crun refuses."""
    lines = Path("/proc/thread-self/mountinfo").read_text().splitlines()
    return any(line.split(" - ")[1].startswith(CGROUP2_SUPER_MAGIC) and line.split(" ")[4] == str(UNIFIED) for line in lines)


# What the runtimes say of a container whose processes have ended, or that is being deleted.
GONE = ("not running", "No such process", "does not exist", "no such process", "already finished", "stopped", "/status`: No such file or directory")


def message(said: str) -> str:
    """The sentence in what a runtime printed: crun's `time: sentence`, runc's logrus line or JSON, or the text as it is."""
    lines = [line for line in said.strip().splitlines() if line.strip()]
    sentences = [sentence(line) for line in lines]
    return " ".join(s for s in sentences if s) or said.strip()


def sentence(line: str) -> str:
    """The sentence of one line; "" for a warning."""
    if line.startswith("{"):
        entry = json.loads(line)
        return str(entry.get("msg", "")) if entry.get("level", "error") in ("error", "fatal") else ""
    if "level=warning" in line:
        return ""
    if "msg=" in line:
        return line.split("msg=", 1)[1].strip().removeprefix('"').removesuffix('"').replace('\\"', '"')
    stamp, _, rest = line.partition(": ")
    return rest if stamp[:4].isdigit() and "T" in stamp else line


def environment(extra: Sequence[tuple[str, str]] = ()) -> dict[str, str]:
    """What conmon and the runtimes get of our environment: nothing but where programs are, and time in UTC."""
    return {"PATH": search_path(), "TZ": "UTC", **dict(extra)}
