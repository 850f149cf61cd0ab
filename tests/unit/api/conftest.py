"""A fake engine over plain values, and a client that speaks to the real server through a unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h11
import immutables
import pytest

from sanbashi.api.server import Server, unix_socket
from sanbashi.containers.model import Config, Container, ContainerState, ExecConfig, HostConfig
from sanbashi.daemon.answers import Answers
from sanbashi.daemon.config import DaemonConfig
from sanbashi.daemon.events import Events
from sanbashi.daemon.exits import Ended
from sanbashi.daemon.info import Programs
from sanbashi.daemon.state import State
from sanbashi.errors import Conflict, NotFound, NotModified, SanbashiError
from sanbashi.host.programs import Program
from sanbashi.images.buildcache import Cached, Record
from sanbashi.images.model import Image, ImageConfig
from sanbashi.network.model import Endpoint, EndpointWish, Network, NetworkState, PortBinding, Sandbox, Subnet
from sanbashi.volumes.model import Volume

CREATED = "2026-11-23T17:46:00.285844195Z"
STARTED = "2026-11-23T17:46:00.316336764Z"
WEB, DB = "a" * 64, "b" * 64
IMAGE = "sha256:" + "c" * 64
BRIDGE, APP = "d" * 64, "e" * 64


def sample_state() -> State:
    """web runs on the default bridge and on app, with a port published; db was never started."""
    bridge = Network(
        id=BRIDGE,
        name="bridge",
        driver="bridge",
        created=CREATED,
        subnets=(Subnet(subnet=ip_network("172.17.0.0/16"), gateway=ip_address("172.17.0.1")),),
    )
    app = Network(
        id=APP,
        name="app",
        driver="bridge",
        created=CREATED,
        ipam_options={},
        labels={"tier": "web"},
        subnets=(Subnet(subnet=ip_network("172.18.0.0/16"), gateway=ip_address("172.18.0.1"), auxiliary={"a": ip_address("172.18.0.9")}),),
    )
    on_bridge = Endpoint(
        id="1" * 64,
        network_id=BRIDGE,
        sandbox_id="5" * 64,
        container_id=WEB,
        container_name="web",
        mac="3e:7c:95:f9:c3:03",
        ipv4=ip_interface("172.17.0.2/16"),
        gateway4=ip_address("172.17.0.1"),
        ports=(PortBinding("tcp", ip_address("0.0.0.0"), 8080, 80), PortBinding("tcp", ip_address("::"), 8080, 80)),
    )
    on_app = replace(
        on_bridge,
        id="2" * 64,
        network_id=APP,
        mac="3e:7c:95:f9:c3:04",
        ipv4=ip_interface("172.18.0.2/16"),
        gateway4=ip_address("172.18.0.1"),
        ports=(),
    )
    sandbox = Sandbox(id="5" * 64, container_id=WEB, exposed=((80, "tcp"), (443, "tcp")))
    web = Container(
        id=WEB,
        name="web",
        created=CREATED,
        config=Config(image="httpd:2.4", hostname=WEB[:12], cmd=("httpd", "-D", "FOREGROUND"), labels={"b": "2", "a": "1"}, open_stdin=True),
        host_config=HostConfig(network_mode="bridge"),
        image_id=IMAGE,
        path="httpd",
        args=("-D", "FORE GROUND"),
        networks=(
            ("bridge", EndpointWish(network="bridge", network_id=BRIDGE)),
            ("app", EndpointWish(network="app", network_id=APP, aliases=("www",))),
        ),
        state=ContainerState(status="running", pid=42, started_at=STARTED),
        sandbox_id="5" * 64,
    )
    db = Container(
        id=DB,
        name="db",
        created="2026-11-23T17:40:00.5Z",
        config=Config(image="busybox", hostname=DB[:12], tty=True, open_stdin=True),
        host_config=HostConfig(network_mode="app"),
        image_id=IMAGE,
        path="sh",
        networks=(("app", EndpointWish(network="app")),),
    )
    image = Image(id=IMAGE, created=CREATED, config=ImageConfig(cmd=("sh",)), diff_ids=("sha256:1",), sizes=(1000,), repo_tags=("httpd:2.4",))
    network = NetworkState(
        networks=immutables.Map({BRIDGE: bridge, APP: app}),
        sandboxes=immutables.Map({sandbox.id: sandbox}),
        endpoints=immutables.Map({on_bridge.id: on_bridge, on_app.id: on_app}),
        network_names=immutables.Map({"bridge": BRIDGE, "app": APP}),
        network_endpoints=immutables.Map({BRIDGE: immutables.Map({WEB: on_bridge.id}), APP: immutables.Map({WEB: on_app.id})}),
        sandbox_endpoints=immutables.Map({sandbox.id: (on_bridge.id, on_app.id)}),
    )
    volume = Volume(name="data", created=CREATED, mountpoint="/v/data/_data")
    return State(network=network).with_container(web).with_container(db).with_image(image).with_volume(volume)


@dataclass
class FakeAttachment:
    """Gives the output that it was made with, then waits for `finish`; keeps what was written."""

    output: list[tuple[int, bytes]]
    echo: bool = False
    written: bytes = b""
    closed: bool = False
    stdin_closed: asyncio.Event = field(default_factory=asyncio.Event)
    queue: asyncio.Queue[tuple[int, bytes] | None] = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        for piece in self.output:
            self.queue.put_nowait(piece)

    def finish(self) -> None:
        self.queue.put_nowait(None)

    async def read(self) -> tuple[int, bytes] | None:
        return await self.queue.get()

    async def write(self, data: bytes) -> None:
        self.written += data
        if self.echo:
            self.queue.put_nowait((1, data))

    async def close_stdin(self) -> None:
        self.stdin_closed.set()
        if self.echo:
            self.finish()

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeExec:
    """An exec as the engine shows it."""

    id: str
    container_id: str
    config: ExecConfig
    exit_code: int | None = None
    pid: int = 7
    is_running: bool = True


class FakeEngine:
    """Records what it was asked; answers from `state`. An entry in `fails` makes that verb raise."""

    def __init__(self) -> None:
        self.state = sample_state()
        self.config = DaemonConfig(data_root=Path("/data"), exec_root=Path("/exec"))
        self.events = Events()
        self.calls: list[tuple[Any, ...]] = []
        self.fails: dict[str, BaseException] = {}
        self.attachment = FakeAttachment([])
        self.exit: asyncio.Future[Ended] | None = None
        self.cancelled = asyncio.Event()
        self.entered = asyncio.Event()
        self.execs = SimpleNamespace(known={}, wait=self.wait_exec)
        self.networking = SimpleNamespace(find=self.find_network)
        self.volumes = SimpleNamespace(find=self.find_volume)
        self.core = SimpleNamespace(snapshots=SimpleNamespace(size=lambda id_: 12), on_host=self.on_host, tell_container=self.tell)
        self.images = self.registries = self.archiving = FakeImages(self)
        self.answers = Answers()
        self.loaded = b""

    def __getattr__(self, verb: str) -> Callable[..., Awaitable[Any]]:
        async def record(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((verb, *args, *sorted(kwargs.items())))
            if verb in self.fails:
                raise self.fails[verb]
            answers: dict[str, Any] = {
                "create_container": ("f" * 64, ["a warning"]),
                "create_network": ("f" * 64, ""),
                "create_exec": "9" * 64,
                "create_volume": Volume(name="v", created=CREATED, mountpoint="/v"),
                "top": (["PID"], [["1"]]),
                "prune_networks": ["old"],
                "prune_containers": (["x"], 5),
                "prune_volumes": ([], 0),
                "disk_usage": {"containers": {WEB: 3}, "volumes": {"data": 4}, "layers": 1000},
                "build_cache": [
                    Record(Cached("c" * 64, "l", 1_000_000_001), "b" * 64, 7, "RUN x"),
                    Record(Cached("d" * 64, "", 0), "", 2, used=True),
                ],
            }
            return answers.get(verb)

        if verb.startswith("_"):
            raise AttributeError(verb)
        return record

    async def on_host(self, work: Callable[..., Any], *args: Any) -> Any:
        return work(*args)

    def tell(self, action: str, container: Container) -> None:
        self.calls.append(("tell", action, container.name))

    def find_container(self, ref: str) -> Container:
        id_ = self.state.container_names.get(ref, ref)
        if id_ not in self.state.containers:
            raise NotFound(f"No such container: {ref}")
        return self.state.containers[id_]

    def find_network(self, ref: str) -> Network:
        for network in self.state.network.networks.values():
            if ref in (network.id, network.name):
                return network
        raise NotFound(f"network {ref} not found")

    def find_volume(self, name: str) -> Volume:
        if name not in self.state.volumes:
            raise NotFound(f"get {name}: no such volume")
        return self.state.volumes[name]

    async def start(self, ref: str) -> None:
        if self.find_container(ref).state.running:
            raise NotModified("already running")
        self.calls.append(("start", ref))

    async def pause(self, ref: str) -> None:
        self.entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    def wait(self, ref: str, condition: str) -> asyncio.Future[Ended]:
        self.find_container(ref)
        self.exit = asyncio.get_running_loop().create_future()
        return self.exit

    async def attach(self, ref: str, **wanted: bool) -> FakeAttachment:
        self.calls.append(("attach", ref, *sorted(wanted.items())))
        return self.attachment

    async def logs(self, ref: str, **wanted: Any) -> AsyncIterator[tuple[str, int, bytes]]:
        self.calls.append(("logs", ref, *sorted(wanted.items())))
        if "logs" in self.fails:
            raise self.fails["logs"]
        yield "2026-11-23T17:46:01Z", 1, b"out\n"
        yield "2026-11-23T17:46:02Z", 2, b"err\n"
        if wanted["follow"]:
            await asyncio.Event().wait()

    def inspect_exec(self, id_: str) -> FakeExec:
        if id_ not in self.execs.known:
            raise NotFound(f"No such exec instance: {id_}")
        found: FakeExec = self.execs.known[id_]
        return found

    async def start_exec(self, id_: str, **wanted: Any) -> FakeAttachment | None:
        self.calls.append(("start_exec", id_, *sorted(wanted.items())))
        if "start_exec" in self.fails:
            raise self.fails["start_exec"]
        return None if wanted["detach"] else self.attachment

    async def wait_exec(self, id_: str) -> int:
        return 0

    async def info(self) -> dict[str, Any]:
        return {"ID": "x", "Containers": 2, "ServerVersion": "0.1.0"}

    async def programs(self) -> Programs:
        return Programs({}, Program("conmon", "2.1.6", "abc"), None)

    def version(self) -> dict[str, Any]:
        return {"Version": "0.1.0", "Os": "linux", "Arch": "amd64", "Components": [{"Name": "Engine", "Version": "0.1.0", "Details": {}}]}


class FakeImages:
    """The images of the fake engine."""

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.failure: SanbashiError | None = None
        self.late: SanbashiError | None = None

    def find(self, ref: str) -> Image | None:
        state = self.engine.state
        return state.images.get(state.image_names.get(ref, ref))

    def resolve(self, ref: str) -> Image:
        if (image := self.find(ref)) is None:
            raise NotFound(f"No such image: {ref}:latest")
        return image

    def list(self, filters: Any, *, all: bool) -> list[Image]:
        return list(self.engine.state.images.values())

    async def pull(self, reference: str, *, progress: Callable[[dict[str, Any]], None], **wanted: Any) -> None:
        self.engine.calls.append(("pull", reference, *sorted(wanted.items())))
        if self.failure:
            raise self.failure
        progress({"status": "Pulling from library/httpd", "id": "2.4"})
        await asyncio.sleep(0)
        if self.late:
            raise self.late
        progress({"status": "Status: Downloaded newer image for httpd:2.4"})

    async def load(
        self, stream: AsyncIterator[bytes], *, quiet: bool, progress: Callable[[dict[str, Any]], None], platforms: tuple[Any, ...]
    ) -> None:
        size = 0
        async for part in stream:
            size += len(part)
        progress({"stream": f"{size} bytes\n"})

    async def tag(self, source: str, target: str) -> None:
        self.engine.calls.append(("tag", source, target))

    async def remove(self, reference: str, *, force: bool, noprune: bool) -> list[dict[str, str]]:
        raise Conflict("conflict: unable to delete")

    async def saved(self) -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 100_000

    def save(self, names: list[str]) -> AsyncIterator[bytes]:
        self.engine.calls.append(("save", *names))
        return self.saved()


@dataclass
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """A client of the server at a unix socket."""

    path: Path
    engine: FakeEngine
    server: Server

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(str(self.path))

    async def ask(self, method: str, target: str, document: Any = None, *, body: bytes = b"", headers: dict[str, str] | None = None) -> Reply:
        """One request on a connection of its own."""
        reader, writer = await self.open()
        try:
            return await self.ask_on(reader, writer, method, target, document, body=body, headers=headers)
        finally:
            writer.close()

    async def ask_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        method: str,
        target: str,
        document: Any = None,
        *,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> Reply:
        http = h11.Connection(h11.CLIENT)
        fields = {"Host": "docker", **(headers or {})}
        if document is not None:
            body = json.dumps(document).encode()
            fields["Content-Type"] = "application/json"
        if body:
            fields["Content-Length"] = str(len(body))
        data = http.send(h11.Request(method=method, target=target, headers=list(fields.items()))) or b""
        if body:
            data += http.send(h11.Data(data=body)) or b""
        data += http.send(h11.EndOfMessage()) or b""
        writer.write(data)
        status, found, parts = 0, {}, []
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await asyncio.wait_for(reader.read(65536), 60))
            elif isinstance(event, h11.Response):
                status, found = event.status_code, {k.decode(): v.decode() for k, v in event.headers}
            elif isinstance(event, h11.Data):
                parts.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                return Reply(status, found, b"".join(parts))

    async def raw(self, text: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send bytes as they are."""
        reader, writer = await self.open()
        writer.write(text.encode())
        return reader, writer


Scenario = Callable[[Client], Coroutine[Any, Any, None]]


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Scenario], None]:
    """Runs a scenario against the real server over a fake engine; nothing may be left of it."""

    async def serve(scenario: Scenario) -> None:
        server = Server(FakeEngine(), "Sanbashi/test (linux)")  # type: ignore[arg-type]
        path = tmp_path / "s.sock"
        await server.listen(unix_socket(path, "0"))
        try:
            async with asyncio.timeout(60):
                await scenario(Client(path, server.engine, server))  # type: ignore[arg-type]
        finally:
            await server.close()
        assert not server.connections
        left = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20):
                await asyncio.gather(*left, return_exceptions=True)
        assert not [t for t in left if not t.done()]

    return lambda scenario: asyncio.run(serve(scenario))
