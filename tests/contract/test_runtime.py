"""What the engine may rely on of a runtime under conmon; crun and runc pass the same suite, in a mount namespace of their own."""

from __future__ import annotations

import asyncio
import base64
import ctypes
import json
import os
import secrets
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from dataclasses import replace as with_fields
from pathlib import Path
from typing import Any

import pytest

from sanbashi.containers.facts import ContainerFacts
from sanbashi.containers.failure import CannotRun, RuntimeFailed
from sanbashi.containers.model import Config, Container, ExecConfig, HostConfig, Ulimit
from sanbashi.containers.request import container_of
from sanbashi.containers.spec import CLOSED, OPEN, Placement, exec_process, spec
from sanbashi.errors import Conflict
from sanbashi.host import attachment as attachment_module
from sanbashi.host import groups
from sanbashi.host import monitor as monitor_module
from sanbashi.host.attachment import Attachment
from sanbashi.host.conmon import end_conmon
from sanbashi.host.exec import execute
from sanbashi.host.launcher import Launcher
from sanbashi.host.monitor import Created, Exit, Monitor
from sanbashi.host.mounts import MS_BIND, MS_PRIVATE, MS_REC, libc, mount, share, unmount
from sanbashi.host.poised import Poised
from sanbashi.host.rootfs import every_device, find_user
from sanbashi.host.runtime import COMPILED, Runtime, Runtimes
from sanbashi.host.standing import status_of
from sanbashi.host.surroundings import probe_surroundings

pytestmark = pytest.mark.root
CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
PARENT = f"/sanbashi-test-{os.getpid()}"
SOON = 60.0  # seconds after which something that should happen has not
APPLETS = (
    "sh",
    "cat",
    "echo",
    "sleep",
    "true",
    "id",
    "ls",
    "seq",
    "stty",
    "mount",
    "unshare",
    "touch",
    "tail",
    "ps",
    "head",
    "kill",
    "hostname",
    "ip",
)


@pytest.fixture(scope="module")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = shutil.which("busybox")
    if program is None:
        pytest.skip("needs busybox-static: make setup")
    root = tmp_path_factory.mktemp("rootfs")
    root.chmod(0o755)
    (root.parent).chmod(0o711)
    for directory in ("bin", "etc", "proc", "sys", "dev", "tmp"):
        (root / directory).mkdir()
    shutil.copy(program, root / "bin" / "busybox")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\nwww:x:33:34::/var/www:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\nwww:x:34:\nadm:x:4:www\n")
    return root


@pytest.fixture(params=["crun", "runc"])
def world(request: pytest.FixtureRequest, tmp_path: Path, busybox: Path) -> Iterator[Callable[[Callable[[World], Awaitable[None]]], None]]:
    """Runs a test's coroutine in a thread with mounts of its own; afterwards nothing of it may be left."""
    if shutil.which(request.param) is None:
        pytest.skip(f"needs {request.param}: make setup")

    def run(work: Callable[[World], Awaitable[None]]) -> None:
        failed: list[BaseException] = []

        def inside() -> None:
            try:
                assert libc.unshare(CLONE_NEWNS) == 0, os.strerror(ctypes.get_errno())
                mount("none", Path("/"), flags=MS_PRIVATE | MS_REC)
                share(tmp_path)
                asyncio.run(asyncio.wait_for(within(request.param, tmp_path, busybox, work), 240))
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]

    yield run
    deadline = time.monotonic() + SOON
    while (left := leftovers(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.01)  # a conmon ends some milliseconds after it has told the end
    top = Path("/sys/fs/cgroup")
    parents = [path for root in (top, *top.iterdir()) if (path := root / PARENT[1:]).is_dir()]  # of v2, and of each hierarchy of v1
    groups = [path for parent in parents for path in parent.iterdir() if path.is_dir()]
    for path in [*groups, *parents]:
        with suppress(OSError):
            path.rmdir()
    assert not left, f"processes are left: {left}"
    assert not groups, f"control groups are left: {groups}"


def leftovers(root: Path) -> list[str]:
    return [text for path in Path("/proc").glob("[0-9]*") if str(root) in (text := command_line(path))]


def command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


@dataclass
class World:
    """One runtime, a monitor, and containers of busybox."""

    runtime: Runtime
    monitor: Monitor
    facts: ContainerFacts
    root: Path
    rootfs: Path

    def make(self, *command: str, network: str | None = None, **options: Any) -> Container:
        config = {key: options.pop(key) for key in list(options) if key in Config.__struct_fields__}
        host = HostConfig(network_mode="bridge" if network else "host", cgroup_parent=PARENT, **options)
        container, _ = container_of(
            Config(cmd=command, **config), host, (), None, id=secrets.token_hex(32), name="test", created="", facts=self.facts
        )
        place = Placement(
            rootfs=str(self.rootfs),
            network=network,
            user=find_user(self.rootfs, container.config.user),
            devices=every_device() if host.privileged else (),
        )
        self.monitor.make_bundle(container.id)
        self.monitor.write_spec(container.id, spec(container, place, self.facts), self.runtime)
        return container

    async def create(self, container: Container, *, sources: Sequence[str] = ()) -> Created:
        config = container.config
        async with self.monitor.launched(
            container.id,
            self.runtime,
            terminal=config.tty,
            stdin=config.open_stdin,
            stdin_once=config.stdin_once,
            log_path=self.root / f"{container.id}.log",
            sources=sources,
        ) as launch:
            return await self.monitor.create(launch, container.path)

    async def ended(self) -> Exit:
        return await asyncio.wait_for(anext(self.monitor.exits()), SOON)

    async def finish(self, container: Container) -> None:
        await self.runtime.delete(container.id, force=True)
        self.monitor.forget(container.id)

    @asynccontextmanager
    async def running(self, *command: str, **options: Any) -> AsyncIterator[Container]:
        container = self.make(*command, **options)
        await self.create(container)
        try:
            await self.monitor.start(container.id, self.runtime)
            yield container
        finally:
            await self.finish(container)

    async def output(self, *command: str, **options: Any) -> tuple[str, Exit]:
        """Run to the end."""
        container = self.make(*command, **options)
        client = self.monitor.attach(container.id)
        await self.create(container)
        await self.monitor.start(container.id, self.runtime)
        said = await everything(client)
        ended = await self.ended()
        await self.finish(container)
        return said.decode(), ended

    async def execute(self, container: Container, *command: str, stdin: bool = False, **options: Any) -> Any:
        config = ExecConfig(cmd=command, **options)
        return await execute(
            self.runtime,
            container.id,
            exec_process(container, config, find_user(self.rootfs, config.user), self.facts),
            self.root / "execs",
            stdin=stdin,
            detach=config.detach,
        )


async def within(name: str, root: Path, rootfs: Path, work: Callable[[World], Awaitable[None]]) -> None:
    runtimes = Runtimes(root / "runtimes")
    monitor = Monitor(root, runtimes)
    monitor.open()
    try:
        await work(World(runtimes.choose(name), monitor, probe_surroundings(runtimes), root, rootfs))
    finally:
        for container_id in monitor.known():
            await runtimes.choose(name).delete(container_id, force=True)
        monitor.close()
        runtimes.close()


async def everything(client: Attachment) -> bytes:
    async def collect() -> bytes:
        said = b""
        while (packet := await client.read()) is not None:
            said += packet[1]
        return said

    return await asyncio.wait_for(collect(), SOON)


async def until(client: Attachment, text: bytes) -> bytes:
    said = b""
    while text not in said:
        packet = await asyncio.wait_for(client.read(), SOON)
        assert packet is not None, f"it ended with {said!r}"
        said += packet[1]
    return said


Run = Callable[[Callable[[World], Awaitable[None]]], None]


def test_output_input_and_the_exit_code_are_whole(world: Run) -> None:
    async def work(w: World) -> None:
        container = w.make("sh", "-c", "echo out; echo err >&2; cat; seq 1 20000; exit 7", open_stdin=True, stdin_once=True)
        client = w.monitor.attach(container.id, stdin=True)
        onlooker = w.monitor.attach(container.id)
        await w.create(container)
        await w.monitor.start(container.id, w.runtime)
        first = await asyncio.wait_for(onlooker.read(), SOON)
        onlooker.close()  # must not take the container's stdin away
        await client.write(b"x" * 100_000 + b"\n")
        await client.close_stdin()
        streams: dict[int, bytes] = {1: b"", 2: b""}
        while (packet := await asyncio.wait_for(client.read(), SOON)) is not None:
            streams[packet[0]] += packet[1]
        assert first == (1, b"out\n")
        assert streams[2] == b"err\n"
        assert streams[1] == b"out\n" + b"x" * 100_000 + b"\n" + b"".join(b"%d\n" % i for i in range(1, 20001))
        ended = await w.ended()
        assert (ended.container_id, ended.exit_code, ended.oom) == (container.id, 7, False)
        await w.finish(container)

    world(work)


def test_a_terminal_echoes_and_has_a_size(world: Run) -> None:
    async def work(w: World) -> None:
        container = w.make("sh", "-c", "stty size; read x; stty size; echo got $x", tty=True, open_stdin=True, console_size=(31, 101))
        client = w.monitor.attach(container.id, stdin=True)
        await w.create(container)
        await w.monitor.start(container.id, w.runtime)
        assert b"31 101" in await until(client, b"\n")
        w.monitor.resize(container.id, 11, 22)
        await client.close_stdin()  # a terminal stays open
        while b"11 22" not in (said := await size_now(w, container)):
            assert said
        await client.write(b"hello\n")
        said = await everything(client)
        assert b"hello\r\n" in said and b"11 22" in said and b"got hello" in said
        assert (await w.ended()).exit_code == 0
        with pytest.raises(Conflict):
            w.monitor.resize("no such", 1, 1)
        await w.finish(container)

    async def size_now(w: World, container: Container) -> bytes:
        running = await w.execute(container, "sh", "-c", "stty size < /proc/1/fd/0")
        return await everything(running.attachment)

    world(work)


@pytest.mark.parametrize(
    ("command", "cause", "code"),
    [
        ("nosuchcmd", 'exec: "nosuchcmd": executable file not found in $PATH: unknown', 127),
        ("/no/such", 'exec: "/no/such": stat /no/such: no such file or directory: unknown', 127),
        ("/etc/passwd", 'exec: "/etc/passwd": permission denied: unknown', 126),
    ],
)
def test_a_command_that_cannot_run(world: Run, command: str, cause: str, code: int) -> None:
    async def work(w: World) -> None:
        container = w.make(command)
        client = w.monitor.attach(container.id)
        with pytest.raises(CannotRun) as failed:
            await w.create(container)
        assert (failed.value.message.endswith(f"error during container init: {cause}"), failed.value.exit_code) == (True, code)
        assert failed.value.message.startswith(
            "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: "
        )
        await w.finish(container)
        assert await everything(client) == b""
        async with w.running("sleep", "60") as other:
            for tty in (False, True):
                with pytest.raises(CannotRun) as failed:
                    await w.execute(other, command, tty=tty)
                assert failed.value.message == f"OCI runtime exec failed: exec failed: unable to start container process: {cause}"
                assert failed.value.exit_code == code

    world(work)


@pytest.mark.parametrize(
    ("place", "why"), [("/etc/passwd", "not a directory"), ("/etc/passwd/x", "not a directory"), ("/no", "no such file or directory")]
)
def test_an_exec_in_a_place_that_is_no_directory(world: Run, place: str, why: str) -> None:
    async def work(w: World) -> None:
        async with w.running("sleep", "60") as other:
            with pytest.raises(CannotRun) as failed:
                await w.execute(other, "sh", working_dir=place)
            assert f'unable to start container process: chdir to cwd ("{place}") set in config.json failed: {why}: unknown' in failed.value.message
            assert failed.value.exit_code == 127
            with pytest.raises(RuntimeFailed, match="exec failed: Cwd must be an absolute path: unknown"):
                await w.execute(other, "sh", working_dir="etc")

    world(work)


LINGERING = """#!{python}
import os, sys, time
os.read(int(os.environ["_OCI_STARTPIPE"]), 1)
child = os.fork()
if child:
    open(sys.argv[sys.argv.index("-P") + 1], "w").write(str(child))
    os._exit(0)
os.write(int(os.environ["_OCI_SYNCPIPE"]), b'{{"data": -1, "message": "no"}}\\n')
time.sleep(1000)
"""


def test_a_monitor_that_has_told_a_failure_does_not_stay(world: Run) -> None:
    """Nothing is left for it to do, whatever keeps it."""

    async def work(w: World) -> None:
        program = w.root / "lingering"
        program.write_text(LINGERING.format(python=sys.executable))
        program.chmod(0o755)
        async with w.running("sleep", "60") as other:
            plain, w.runtime = w.runtime, with_fields(w.runtime, conmon=program)
            container = w.make("true")
            with pytest.raises(RuntimeFailed):
                await w.create(container)
            w.monitor.forget(container.id)
            with pytest.raises(RuntimeFailed):
                await w.execute(other, "true", detach=True)
            deadline = time.monotonic() + SOON
            while (left := [text for text in leftovers(w.root) if str(program) in text]) and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            assert not left
            while list((w.root / "execs").iterdir()) and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            assert list((w.root / "execs").iterdir()) == []
            w.runtime = plain

    world(work)


def pipes() -> set[str]:
    """The pipes that we hold."""
    found = set()
    for end in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # of the listing itself
            found.add(str(end.readlink()))
    return {what for what in found if what.startswith("pipe:")}


def test_a_start_that_is_cut_leaves_no_monitor(world: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """At any moment: while conmon is being started, while it is waited for, while it is taken back."""

    class Slow(monitor_module.Waiting):
        def __init__(self, *args: Any) -> None:
            begun.set()
            assert go_on.wait(SOON)
            super().__init__(*args)

        def abandon(self) -> None:
            super().abandon()
            over.set()

    begun, go_on, over = threading.Event(), threading.Event(), threading.Event()
    monkeypatch.setattr(monitor_module, "Waiting", Slow)

    async def work(w: World) -> None:
        for cuts in (1, 2, 3):
            for event in (begun, go_on, over):
                event.clear()
            before = pipes()
            container = w.make("true")
            start = asyncio.ensure_future(w.create(container))
            assert await asyncio.to_thread(begun.wait, SOON)
            for _ in range(cuts):
                start.cancel()
                await asyncio.sleep(0)
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await start
            assert await asyncio.to_thread(over.wait, SOON)
            assert not leftovers(w.root)
            assert pipes() <= before
            w.monitor.forget(container.id)

    world(work)


def test_execs(world: Run) -> None:
    async def work(w: World) -> None:
        async with w.running("sleep", "60") as container:
            piped = await w.execute(container, "sh", "-c", "read x; echo got $x; echo err >&2; seq 1 30000; id; exit 9", stdin=True, user="www")
            await piped.attachment.write(b"foo\n")
            said = await everything(piped.attachment)
            assert said.startswith(b"got foo\n") and b"30000\n" in said and b"uid=33(www) gid=34(www) groups=4(adm),34(www)" in said
            assert await asyncio.wait_for(piped.ended, SOON) == 9
            fed = await w.execute(container, "cat", stdin=True)
            await fed.attachment.write(b"to the end")
            await fed.attachment.close_stdin()
            assert await everything(fed.attachment) == b"to the end"
            terminal = await w.execute(container, "sh", "-c", "trap 'stty size; exit 3' WINCH; echo ready; while :; do sleep 0.01; done", tty=True)
            await until(terminal.attachment, b"ready")
            terminal.resize(12, 34)
            assert b"12 34" in await everything(terminal.attachment)
            assert await asyncio.wait_for(terminal.ended, SOON) == 3
            # Its output is over with it, though what it has left behind has it open to the end of the test.
            holder = await w.execute(container, "sh", "-c", "sleep 10000 & echo hi; exit 4")
            assert await everything(holder.attachment) == b"hi\n"
            assert await asyncio.wait_for(holder.ended, SOON) == 4
            detached = await w.execute(container, "sh", "-c", "exit 5", detach=True)
            assert await asyncio.wait_for(detached.ended, SOON) == 5
        assert list((w.root / "execs").iterdir()) == []

    world(work)


def test_a_conmon_that_waits_for_its_exec(world: Run) -> None:
    """It runs what it is told, and ends with nothing done where it is let go of, or where who made it is gone."""

    async def work(w: World) -> None:
        folder = w.root / "execs"

        def poise() -> Poised:
            return Poised(w.runtime, container.id, folder)

        async with w.running("sleep", "60") as container:
            word = exec_process(container, ExecConfig(cmd=("echo", "hi")), find_user(w.rootfs, ""), w.facts)
            waiting = w.runtime.launcher.begin(poise)
            running = await execute(w.runtime, container.id, word, folder, poised=waiting)
            assert await everything(running.attachment) == b"hi\n"
            assert await asyncio.wait_for(running.ended, SOON) == 0
            let_go = await w.runtime.launcher.call(poise)
            await w.runtime.launcher.call(let_go.abandon)
            assert not let_go.own.exists()
            forgotten = await w.runtime.launcher.call(poise)
            os.close(forgotten.sync)
            os.close(forgotten.start)
            deadline = time.monotonic() + SOON
            while (left := [text for text in leftovers(w.root) if str(folder) in text]) and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            assert not left
            assert len(await w.runtime.pids(container.id)) == 1
            shutil.rmtree(forgotten.own)
            gone = await w.runtime.launcher.call(poise)
            end_conmon(gone.own, container.id)
            failing: Future[Poised] = Future()
            failing.set_result(gone)
            with pytest.raises((CannotRun, RuntimeFailed)):
                await execute(w.runtime, container.id, word, folder, poised=failing)
            while list(folder.iterdir()) and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            assert list(folder.iterdir()) == []

    world(work)


def test_a_container_is_confined_as_dockers_are(world: Run) -> None:
    async def work(w: World) -> None:
        probe = "cat /proc/self/status; mount -t tmpfs x /tmp; unshare -m true; touch /proc/sys/kernel/x /sys/x; head -c1 /proc/keys"
        said, _ = await w.output("sh", "-c", f"{{ {probe}; }} 2>&1")
        assert "CapEff:\t00000000a80425fb" in said and "CapInh:\t0000000000000000" in said and "Seccomp:\t2" in said
        assert "unshare(0x20000): Operation not permitted" in said and "mount: permission denied" in said
        said, ended = await w.output(
            "sh", "-c", "mount -t tmpfs x /tmp && grep -E 'Seccomp:|NoNewPrivs:' /proc/self/status; ls /dev/null", privileged=True
        )
        assert ended.exit_code == 0
        said, _ = await w.output(
            "sh", "-c", "cat /proc/self/status; touch /x", cap_drop=("ALL",), security_opt=("no-new-privileges",), readonly_rootfs=True
        )
        assert "CapBnd:\t0000000000000000" in said and "NoNewPrivs:\t1" in said and "touch: /x: Read-only file system" in said
        said, _ = await w.output("id", user="www", group_add=())
        assert said == "uid=33(www) gid=34(www) groups=4(adm),34(www)\n"

    world(work)


def test_limits_hold_and_out_of_memory_is_told(world: Run) -> None:
    async def work(w: World) -> None:
        if "memory" not in w.facts.controllers:
            pytest.skip("this host has no memory controller")
        # Less than this holds no runc, which is in the group itself until it becomes the container.
        _, ended = await w.output("tail", "/dev/zero", memory=32 << 20, memory_swap=32 << 20)
        assert (ended.exit_code, ended.oom) == (137, True)
        said, _ = await w.output("sh", "-c", "ulimit -n; ulimit -Hn", ulimits=(Ulimit(name="nofile", soft=100, hard=200),))
        assert said == "100\n200\n"
        if w.facts.nofile_hard < 1 << 20 and "CAP_SYS_RESOURCE" not in w.facts.capabilities:
            container = w.make("true", ulimits=(Ulimit(name="nofile", soft=1 << 20, hard=1 << 20),))
            with pytest.raises(RuntimeFailed) as failed:
                await w.create(container)
            assert "CAP_SYS_RESOURCE" in failed.value.hint
            await w.finish(container)

    world(work)


def test_a_container_has_the_processors_of_its_parent_or_those_it_is_given(world: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the runtime gives them by itself, and as it finds them in groups that begin with their parent's."""
    top = Path("/sys/fs/cgroup/cpuset")
    if not top.is_dir():
        pytest.skip("no hierarchy of version 1 with processors here")
    monkeypatch.setattr(groups, "CGROUP_PARENT", PARENT)
    every, first = ((top / "cpuset.cpus").read_text(), (top / "cpuset.mems").read_text()), "0\n"

    async def work(w: World) -> None:
        async def given(**options: Any) -> tuple[str, ...]:
            async with w.running("sleep", "600", **options) as container:
                group = top / PARENT[1:] / container.id
                return tuple((group / f"cpuset.{what}").read_text() for what in ("cpus", "mems"))

        for prepare in (lambda: None, groups.share_processors):
            prepare()
            assert await given() == every
            assert await given(cpuset_cpus="0") == (first, every[1])
        assert (top / PARENT[1:] / "cgroup.clone_children").read_text() == "1\n"

    world(work)


def test_init_reaps_and_the_domain_name_is_set(world: Run) -> None:
    async def work(w: World) -> None:
        if not w.facts.init:
            pytest.skip("needs tini: make setup")
        said, _ = await w.output(
            "sh", "-c", "head -c 17 /proc/1/cmdline; cat /proc/sys/kernel/domainname; hostname", init=True, domainname="example.org", hostname="h"
        )
        assert said == "/sbin/docker-initexample.org\nh\n"

    world(work)


def test_containers_outlive_the_daemon_and_are_found_again(world: Run) -> None:
    async def work(w: World) -> None:
        staying, ending = w.make("sh", "-c", "read x; echo $x; exit 6", open_stdin=True), w.make("sh", "-c", "read x < /tmp/go; exit 3")
        os.mkfifo(w.rootfs / "tmp" / "go")
        waiting = w.make("true")
        for container in (staying, ending, waiting):
            await w.create(container)
        for container in (staying, ending):
            await w.monitor.start(container.id, w.runtime)
        w.monitor.close()  # the daemon dies
        (w.rootfs / "tmp" / "go").write_text("go\n")
        again = Monitor(w.root, w.monitor.runtimes)
        while not (w.root / "exits" / ending.id).exists():
            await asyncio.sleep(0.01)
        again.open()
        w.monitor = again
        assert set(again.known()) == {staying.id, ending.id, waiting.id}
        found = await again.find(ending.id, w.runtime)
        assert found.exit is not None and (found.alive, found.exit.exit_code) == (False, 3)
        assert (await again.find(waiting.id, w.runtime)).status == "created"
        found = await again.find(staying.id, w.runtime)
        assert (found.alive, found.status, found.pid > 0) == (True, "running", True)
        client = again.attach(staying.id, stdin=True)
        await client.write(b"still here\n")
        assert await everything(client) == b"still here\n"
        ended = await w.ended()
        assert (ended.container_id, ended.exit_code) == (staying.id, 6)
        for container in (staying, ending, waiting):
            await w.finish(container)
        assert again.known() == ()
        assert not (await again.find(staying.id, w.runtime)).alive
        (w.rootfs / "tmp" / "go").unlink()

    world(work)


def test_a_killed_monitor_is_a_killed_container(world: Run) -> None:
    async def work(w: World) -> None:
        container = w.make("sleep", "60")
        created = await w.create(container)
        await w.monitor.start(container.id, w.runtime)
        os.kill(created.monitor_pid, signal.SIGKILL)
        assert (await w.ended()).exit_code == 137
        assert await w.runtime.state_of(container.id) == ""
        await w.finish(container)

    world(work)


def test_freezing_signals_and_processes(world: Run) -> None:
    async def work(w: World) -> None:
        async with w.running("sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.01; done") as container:
            assert len(await w.runtime.pids(container.id)) >= 1
            await w.runtime.pause(container.id)
            assert await w.runtime.state_of(container.id) == "paused"
            # Without the runtime: a daemon that comes back to hundreds of containers starts no program for each.
            mute = with_fields(w.runtime, program=Path("/bin/false"))
            assert (await w.monitor.find(container.id, mute)).status == "paused"
            await w.runtime.resume(container.id)
            assert await w.runtime.state_of(container.id) == "running"
            found = await w.monitor.find(container.id, mute)
            assert status_of(container.id, found.pid, found.monitor_pid) == "running"
            assert status_of(container.id, found.pid, os.getpid()) == "", "a number that another process has got"
            assert status_of(container.id, os.getpid(), os.getppid()) == "", "a process of another group"
            await w.runtime.kill(container.id, signal.SIGTERM)
            assert (await w.ended()).exit_code == 5
            with pytest.raises(Conflict):
                await w.runtime.kill(container.id, signal.SIGKILL)

    world(work)


def test_mounts_made_later_are_seen_by_the_runtime_and_pinned_by_nothing(world: Run) -> None:
    async def work(w: World) -> None:
        namespace, layers = w.root / "netns", w.root / "layers"
        namespace.touch()
        pin_network(namespace)
        for name in ("lower", "upper", "work", "merged"):
            (layers / name).mkdir(parents=True)
        shutil.copytree(w.rootfs, layers / "lower", symlinks=True, dirs_exist_ok=True)
        merged = layers / "merged"
        mount("overlay", merged, "overlay", options=f"lowerdir={layers}/lower,upperdir={layers}/upper,workdir={layers}/work")
        inside = World(w.runtime, w.monitor, w.facts, w.root, merged)
        said, ended = await inside.output(
            "sh", "-c", "ip -o link; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; touch /new", network=str(namespace)
        )
        assert ended.exit_code == 0
        assert "lo:" in said and "eth0" not in said and said.endswith("\n0\n")
        assert (layers / "upper" / "new").exists()
        assert unmount(merged) and unmount(namespace)

        def mounted() -> str:
            return Path("/proc/thread-self/mountinfo").read_text()

        assert str(merged) not in await w.runtime.launcher.call(mounted)

    world(work)


def test_a_runtime_is_not_told_what_a_namespace_of_ours_was_made_with(tmp_path: Path) -> None:
    runtimes = Runtimes(tmp_path / "runtimes", pins=tmp_path / "pins")
    try:
        for here, wished, told in (
            (f"/proc/{os.getpid()}/root{tmp_path}/pins/a", {**OPEN, "net.core.somaxconn": "5"}, {"net.core.somaxconn": "5"}),
            (f"/proc/{os.getpid()}/root{tmp_path}/pins/a", CLOSED, CLOSED),
            (f"{tmp_path}/others", OPEN, OPEN),
        ):
            linux = {"namespaces": [{"type": "mount"}, {"type": "network", "path": here}], "sysctl": wished}
            assert runtimes.hastened({"linux": linux}, runtimes.choose())["linux"] == {**linux, "sysctl": told}
    finally:
        runtimes.close()


def test_what_comes_and_goes_below_a_private_root_is_seen_by_the_next_start(world: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")  # not below what is shared
    disk, deep = outside / "disk", outside / "disk" / "in it"

    async def work(w: World) -> None:
        async def written() -> str:
            """What a container sees of the disk, into which it writes."""
            container = w.make("sh", "-c", 'cat "/p/disk/f" "/p/disk/in it/f" 2>/dev/null; echo more > "/p/disk/w"', binds=(f"{outside}:/p",))
            client = w.monitor.attach(container.id)
            await w.create(container, sources=[str(outside)])
            await w.monitor.start(container.id, w.runtime)
            said = await everything(client)
            await w.ended()
            await w.finish(container)
            return said.decode()

        disk.mkdir()
        assert await written() == ""
        (disk / "w").unlink()
        mount("later", disk, "tmpfs")
        deep.mkdir()
        (disk / "f").write_text("disk\n")
        assert await written() == "disk\n" and (disk / "w").exists()
        mount("deeper", deep, "tmpfs")
        (deep / "f").write_text("deep\n")
        assert await written() == "disk\ndeep\n"
        number = separated_number(w)
        assert await written() == "disk\ndeep\n"
        assert separated_number(w) == number, "made anew though nothing differs"
        assert unmount(deep) and unmount(disk) and not list(disk.iterdir())
        assert await written() == "" and (disk / "w").exists()

    world(work)


def separated_number(w: World) -> int:
    separated = w.runtime.launcher.separated
    return separated.number if separated is not None else 0


def pin_network(path: Path) -> None:
    def pin() -> None:
        assert libc.unshare(CLONE_NEWNET) == 0
        mount("/proc/thread-self/ns/net", path, flags=MS_BIND)

    thread = threading.Thread(target=pin)
    thread.start()
    thread.join()


def test_a_slow_client_is_cut_and_the_container_goes_on(world: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachment_module, "PATIENCE", 0.05)
    monkeypatch.setattr(attachment_module, "BUFFER", 1 << 14)

    async def work(w: World) -> None:
        container = w.make("seq", "1", "200000")
        slow, quick = w.monitor.attach(container.id), w.monitor.attach(container.id)
        await w.create(container)
        await w.monitor.start(container.id, w.runtime)
        assert (await everything(quick)).endswith(b"\n200000\n")
        assert slow.cut and not quick.cut
        assert (await w.ended()).exit_code == 0
        await w.finish(container)

    world(work)


def test_a_container_can_be_started_again(world: Run) -> None:
    async def work(w: World) -> None:
        container = w.make("sh", "-c", "exit 1")
        for _ in range(3):
            w.monitor.make_bundle(container.id)
            w.monitor.write_spec(container.id, spec(container, Placement(rootfs=str(w.rootfs), network=None), with_fields(w.facts)), w.runtime)
            client = w.monitor.attach(container.id)
            await w.create(container)
            await w.monitor.start(container.id, w.runtime)
            assert await everything(client) == b""
            assert (await w.ended()).exit_code == 1
            await w.runtime.delete(container.id)
        await w.finish(container)

    world(work)


def test_a_monitor_that_is_late_does_not_end_the_next_run(world: Run) -> None:
    """As where a port turns out to be taken when the container is created, and it is started with another at once."""

    async def work(w: World) -> None:
        container = w.make("sh", "-c", "read x; exit 3", open_stdin=True)
        late = os.pidfd_open((await w.create(container)).monitor_pid)
        try:
            signal.pidfd_send_signal(late, signal.SIGSTOP)
            await w.runtime.delete(container.id, force=True)
            w.monitor.unfollow(container.id)
            await asyncio.to_thread(w.monitor.end, container.id)
            w.monitor.forget(container.id)
            w.monitor.make_bundle(container.id)
            w.monitor.write_spec(container.id, spec(container, Placement(rootfs=str(w.rootfs), network=None), with_fields(w.facts)), w.runtime)
            client = w.monitor.attach(container.id, stdin=True)
            await w.create(container)
            await w.monitor.start(container.id, w.runtime)
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(late, signal.SIGCONT)
            assert (await asyncio.to_thread(select.select, [late], [], [], SOON))[0]
        finally:
            os.close(late)
        await client.write(b"go on\n")
        assert (await w.ended()).exit_code == 3
        client.close()
        await w.finish(container)

    world(work)


def test_a_created_container_is_let_go_without_a_program(world: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(w: World) -> None:
        container = w.make("sh", "-c", "echo here; read x", open_stdin=True)
        client = w.monitor.attach(container.id, stdin=True)
        created = await w.create(container)
        assert await w.runtime.state_of(container.id) == "created"
        if w.runtime.sealed is not None:  # it has not made a copy of its own
            assert w.runtime.sealed.path().samefile(f"/proc/{created.pid}/exe")
        with monkeypatch.context() as without:
            without.setattr(Launcher, "run", None)
            await w.monitor.start(container.id, w.runtime)
        assert await until(client, b"here\n")
        assert await w.runtime.state_of(container.id) == "running"
        with pytest.raises(RuntimeFailed):
            await w.monitor.start(container.id, w.runtime)
        client.close()
        await w.finish(container)

    world(work)


def test_a_start_that_was_cut_behind_its_byte_is_none(world: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the next daemon takes the container away, as one whose start nobody was told of."""

    async def work(w: World) -> None:
        if w.runtime.name != "crun":
            pytest.skip("runc's process is the one who writes")
        container = w.make("sh", "-c", "echo here; read x", open_stdin=True)
        client = w.monitor.attach(container.id, stdin=True)
        await w.create(container)
        with monkeypatch.context() as cut:
            cut.setattr(Path, "unlink", lambda *_, **__: None)
            await w.monitor.start(container.id, w.runtime)
        assert await until(client, b"here\n")
        (w.monitor.bundle(container.id) / "started").unlink()
        found = await w.monitor.find(container.id, w.runtime)
        assert (found.alive, found.status) == (True, "created")
        client.close()
        await w.finish(container)

    world(work)


def test_what_has_ended_before_its_start_is_told_in_the_runtimes_words(world: Run) -> None:
    async def work(w: World) -> None:
        container = w.make("true")
        os.kill((await w.create(container)).pid, signal.SIGKILL)
        assert (await w.ended()).exit_code == 137
        with pytest.raises(RuntimeFailed) as failed:
            await w.monitor.start(container.id, w.runtime)
        assert failed.value.message.startswith("failed to start task for container: OCI runtime start failed: ")
        assert "stopped" in failed.value.message or "not running" in failed.value.message
        await w.finish(container)

    world(work)


def test_a_launch_that_is_given_up_leaves_nothing(world: Run) -> None:
    async def work(w: World) -> None:
        container = w.make("true")
        with pytest.raises(ZeroDivisionError):
            async with w.monitor.launched(container.id, w.runtime, terminal=False, stdin=False, log_path=None) as launch:
                waiting = await asyncio.wrap_future(launch.starting)
                raise ZeroDivisionError
        assert waiting.ended
        assert not leftovers(w.root)
        assert {path.name for path in w.monitor.bundle(container.id).iterdir()} == {"config.json", "conmon.err"}
        assert await w.runtime.state_of(container.id) == ""
        w.monitor.forget(container.id)

    world(work)


PROFILES = {
    "default": "",
    "by name": json.dumps(
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "nosuchcall"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}]}
    ),
    "by arguments": json.dumps(
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
            "syscalls": [
                {
                    "name": "socket",
                    "action": "SCMP_ACT_ERRNO",
                    "args": [{"index": 0, "value": 16, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 17, "op": "SCMP_CMP_EQ"}],
                },
                {
                    "name": "personality",
                    "action": "SCMP_ACT_KILL_PROCESS",
                    "args": [{"index": 0, "value": 8, "valueTwo": 8, "op": "SCMP_CMP_MASKED_EQ"}],
                },
            ],
        }
    ),
}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_compiled_profile_is_what_the_runtime_would_compile(world: Run, profile: str) -> None:
    async def work(w: World) -> None:
        if w.runtime.name != "crun":
            pytest.skip("only crun takes a compiled profile")
        options = {"security_opt": (f"seccomp={PROFILES[profile]}",)} if PROFILES[profile] else {}
        container = w.make("sleep", "60", **options)
        config = w.monitor.bundle(container.id) / "config.json"
        ready = json.loads(config.read_text())
        assert ready["linux"]["seccomp"]["syscalls"], "the profile itself stays for whoever reads it"
        compiled = base64.b64decode(ready["annotations"].pop(COMPILED))
        config.write_text(json.dumps(ready))  # now the runtime compiles it itself
        await w.create(container)
        assert (w.runtime.state / container.id / "seccomp.bpf").read_bytes() == compiled
        await w.finish(container)
        taken = w.make("sleep", "60", **options)
        await w.create(taken)
        assert (w.runtime.state / taken.id / "seccomp.bpf").read_bytes() == compiled
        await w.finish(taken)

    world(work)


def test_an_unusual_profile_is_left_to_the_runtime(world: Run) -> None:
    async def work(w: World) -> None:
        container = w.make("true", security_opt=('seccomp={"defaultAction": "SCMP_ACT_NOSUCH"}',))
        assert COMPILED not in json.loads((w.monitor.bundle(container.id) / "config.json").read_text())["annotations"]
        with pytest.raises(RuntimeFailed, match="SCMP_ACT_NOSUCH"):
            await w.create(container)
        await w.finish(container)

    world(work)
