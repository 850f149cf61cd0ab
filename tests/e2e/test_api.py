"""The API over its socket with a real engine behind it: streams, terminals, half-closed input, the docker SDK and every docker CLI found."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import socket
import tarfile
import time
from collections.abc import Iterator

import docker
import docker.errors
import pytest
from tests.harness import Engine, docker_clis, sanbashi_cli

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

PROGRAMS = [*docker_clis(), sanbashi_cli()]
DEADLINE = 30.0  # seconds for what takes well below one


@contextlib.contextmanager
def hijacked(engine: Engine, path: str, body: object = None) -> Iterator[socket.socket]:
    """A connection that has been upgraded."""
    data = b"" if body is None else json.dumps(body).encode()
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(DEADLINE)
        stream.connect(str(engine.socket))
        head = f"POST {path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        stream.sendall(head.encode() + data)
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += stream.recv(1)
        assert answer.startswith(b"HTTP/1.1 101 UPGRADED"), answer
        yield stream


def until(stream: socket.socket, wanted: bytes) -> bytes:
    """What comes up to and with `wanted`."""
    found = b""
    while wanted not in found:
        piece = stream.recv(65536)
        assert piece, f"the stream ended after {found!r}"
        found += piece
    return found


def rest(stream: socket.socket) -> bytes:
    """What comes until the other side closes."""
    return b"".join(iter(lambda: stream.recv(65536), b""))


def create(engine: Engine, name: str, *command: str, **config: object) -> str:
    status, said = engine.call("POST", f"/containers/create?name={name}", {"Image": "busybox", "Cmd": command, **config})
    assert status == 201, said
    return str(said["Id"])


@pytest.fixture
def sdk(clean: Engine) -> Iterator[docker.DockerClient]:
    """The docker SDK on our socket."""
    client = docker.DockerClient(base_url=f"unix://{clean.socket}", version="auto", timeout=60)
    with contextlib.closing(client):
        yield client


@pytest.mark.parametrize("program", PROGRAMS)
def test_input_output_and_exit_codes(clean: Engine, program: str) -> None:
    """Input is read to its end, the two outputs stay apart, the exit code comes through: by run and by exec."""
    text = "".join(f"line {n}\n" for n in range(20_000))
    assert clean.cli("run", "--rm", "-i", "busybox", "cat", program=program, given=text).stdout == text
    both = clean.cli("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7", program=program, check=False)
    assert (both.exit, both.stdout, both.stderr) == (7, "out\n", "err\n")
    clean.cli("run", "-d", "--name", "web", "busybox", "sleep", "1000", program=program)
    assert clean.cli("exec", "-i", "web", "cat", program=program, given=text).stdout == text
    both = clean.cli("exec", "web", "sh", "-c", "echo out; echo err >&2; exit 8", program=program, check=False)
    assert (both.exit, both.stdout, both.stderr) == (8, "out\n", "err\n")
    for _ in range(20):  # the exit code stands as soon as the stream has ended
        assert clean.cli("exec", "web", "sh", "-c", "exit 9", program=program, check=False).exit == 9


def test_much_output_arrives_whole(clean: Engine) -> None:
    """15 MB through attach, and again from the log."""
    made = clean.shell("docker run --name much busybox sh -c 'seq 1 2000000' | md5sum; docker logs much | md5sum; seq 1 2000000 | md5sum")
    assert len(set(made.stdout.split("\n")[:3])) == 1


def test_a_terminal_attached_resized_and_left(clean: Engine) -> None:
    create(clean, "tty", "sh", Tty=True, OpenStdin=True)
    with hijacked(clean, "/v1.50/containers/tty/attach?stream=1&stdin=1&stdout=1&stderr=1&detachKeys=ctrl-x,x") as stream:
        assert clean.call("POST", "/containers/tty/start")[0] == 204
        until(stream, b"# ")
        assert clean.call("POST", "/containers/tty/resize?h=33&w=99")[0] == 200
        stream.sendall(b"stty size; echo $((6*7))\n")
        assert b"33 99\r\n42\r\n" in until(stream, b"42\r\n")
        stream.sendall(b"\x18")
        stream.sendall(b"x")
        rest(stream)
    assert clean.call("GET", "/containers/tty/json")[1]["State"]["Running"]
    with hijacked(clean, "/containers/tty/attach?stream=1&stdin=1&stdout=1") as stream:  # and back again
        stream.sendall(b"exit 5\n")
        rest(stream)
    assert clean.call("POST", "/containers/tty/wait")[1] == {"StatusCode": 5}
    assert clean.call("POST", "/containers/tty/resize?h=1&w=1")[0] == 409


def test_exec_with_a_terminal(clean: Engine) -> None:
    create(clean, "box", "sleep", "1000")
    clean.call("POST", "/containers/box/start")
    request = {"Cmd": ["sh"], "Tty": True, "AttachStdin": True, "AttachStdout": True, "AttachStderr": True}
    id_ = clean.call("POST", "/containers/box/exec", request)[1]["Id"]
    with hijacked(clean, f"/exec/{id_}/start", {"Tty": True, "ConsoleSize": [20, 70]}) as stream:
        until(stream, b"# ")
        assert clean.call("GET", f"/exec/{id_}/json")[1]["Running"]
        assert id_ in clean.call("GET", "/containers/box/json")[1]["ExecIDs"]
        assert clean.call("POST", f"/exec/{id_}/resize?h=21&w=71")[0] == 200
        stream.sendall(b"stty size; exit 6\n")
        assert b"21 71\r\n" in rest(stream)
    found = clean.call("GET", f"/exec/{id_}/json")[1]
    assert (found["Running"], found["ExitCode"]) == (False, 6)
    assert clean.call("GET", "/containers/box/json")[1]["ExecIDs"] is None
    id_ = clean.call("POST", "/containers/box/exec", {**request, "Tty": False, "Cmd": ["nosuchcommand"]})[1]["Id"]
    with hijacked(clean, f"/exec/{id_}/start", {}) as stream:
        assert b"executable file not found in $PATH" in rest(stream)
    assert clean.call("GET", f"/exec/{id_}/json")[1]["ExitCode"] == 127


def test_an_exec_that_is_never_started_or_otherwise_than_it_was_created(clean: Engine) -> None:
    """A conmon is made ready for each; none stays."""

    def monitors() -> list[str]:
        return [line for line in clean.machine.processes().values() if "--exec-process-spec" in line]

    create(clean, "box", "sleep", "1000")
    clean.call("POST", "/containers/box/start")
    request = {"Cmd": ["echo", "here"], "AttachStdout": True}
    ids = [clean.call("POST", "/containers/box/exec", request)[1]["Id"] for _ in range(12)]
    assert clean.call("POST", f"/exec/{ids[0]}/start", {"Detach": True})[0] == 200
    deadline = time.monotonic() + DEADLINE
    while monitors() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not monitors()
    with hijacked(clean, f"/exec/{ids[1]}/start", {"Tty": True}) as stream:
        assert rest(stream) == b"here\n"
    assert clean.call("GET", f"/exec/{ids[0]}/json")[1]["ExitCode"] == clean.call("GET", f"/exec/{ids[1]}/json")[1]["ExitCode"] == 0
    assert clean.call("POST", "/containers/box/exec", request)[0] == 201
    assert clean.call("DELETE", "/containers/box?force=1")[0] == 204
    while monitors() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not monitors()


def test_a_client_that_vanishes_takes_nothing_with_it(clean: Engine) -> None:
    """An attached client dies: the container goes on, and the daemon keeps no descriptor of it."""
    create(clean, "busy", "sh", "-c", "while sleep 0.01; do echo tick; done")
    clean.call("POST", "/containers/busy/start")
    before = clean.descriptors()
    for _ in range(20):
        with hijacked(clean, "/containers/busy/attach?stream=1&stdout=1") as stream:
            until(stream, b"tick")
    assert clean.call("GET", "/containers/busy/json")[1]["State"]["Running"]
    deadline = time.monotonic() + DEADLINE  # that a client is gone is heard of after it went
    while clean.descriptors() > before + 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert clean.descriptors() <= before + 4


def test_the_sdk_runs_containers(clean: Engine, sdk: docker.DockerClient) -> None:
    assert sdk.ping()
    assert sdk.version()["ApiVersion"] == "1.56"
    assert sdk.containers.run("busybox", ["echo", "hello"], remove=True) == b"hello\n"
    with pytest.raises(docker.errors.ContainerError) as failed:
        sdk.containers.run("busybox", ["sh", "-c", "echo no >&2; exit 3"], remove=True)
    assert (failed.value.exit_status, failed.value.stderr) == (3, b"no\n")
    with pytest.raises(docker.errors.ImageNotFound):
        sdk.images.get("nosuch")
    with pytest.raises(docker.errors.NotFound):
        sdk.containers.get("nosuch")
    events = sdk.events(decode=True, filters={"type": "container"})
    box = sdk.containers.run("busybox", ["sh", "-c", "echo one; echo two >&2; sleep 1000"], detach=True, labels={"a": "b"}, name="box")
    assert [e["Action"] for e in (next(events), next(events))] == ["create", "start"]
    events.close()
    stream = box.logs(stream=True, follow=True)
    assert {next(stream), next(stream)} == {b"one\n", b"two\n"}
    stream.close()
    assert box.logs(stdout=True, stderr=False) == b"one\n"
    code, (out, err) = box.exec_run(["sh", "-c", "echo o; echo e >&2; exit 4"], demux=True)
    assert (code, out, err) == (4, b"o\n", b"e\n")
    assert [c.name for c in sdk.containers.list(filters={"label": "a=b"})] == ["box"]
    box.rename("bax")
    box.pause()
    box.reload()
    assert (box.name, box.status) == ("bax", "paused")
    box.unpause()
    assert "sleep" in str(box.top()["Processes"])
    box.stop(timeout=0)
    assert box.wait()["StatusCode"] == 137
    box.remove()


def test_the_sdk_s_networks_and_volumes(clean: Engine, sdk: docker.DockerClient) -> None:
    network = sdk.networks.create("app", check_duplicate=True, labels={"x": "y"}, options={"com.docker.network.driver.mtu": "1400"})
    box = sdk.containers.run("busybox", ["sleep", "1000"], detach=True, volumes={"data": {"bind": "/data", "mode": "rw"}}, ports={"80/tcp": None})
    network.connect(box, aliases=["www"])
    network.reload()
    assert [c.id for c in network.containers] == [box.id]
    box.reload()
    assert box.attrs["NetworkSettings"]["Networks"]["app"]["Aliases"][0] == "www"
    assert int(box.ports["80/tcp"][0]["HostPort"]) >= 1024
    assert box.exec_run(["nslookup", "www"]).exit_code == 0
    with pytest.raises(docker.errors.APIError, match="has active endpoints"):
        network.remove()
    network.disconnect(box)
    network.remove()
    with pytest.raises(docker.errors.APIError, match="volume is in use"):
        sdk.volumes.get("data").remove()
    box.remove(force=True)
    sdk.volumes.get("data").remove()
    assert sdk.networks.prune()["NetworksDeleted"] is None
    assert sdk.df()["LayersSize"] > 0


def test_images_saved_loaded_and_imported(clean: Engine, sdk: docker.DockerClient) -> None:
    saved = b"".join(sdk.images.get("busybox").save(named=True))
    sdk.images.get("busybox").tag("copy", "v1")
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        assert "manifest.json" in archive.getnames()
    assert sdk.images.load(saved)[0].tags.count("busybox:latest") == 1
    assert clean.shell("docker save copy:v1 | docker load").stdout == "Loaded image: copy:v1\n"
    sdk.images.remove("copy:v1")
    clean.shell("docker run --name full busybox sh -c 'echo hello > /greeting'")
    assert "Imported" in str(
        clean.shell("mkdir -p t/bin && cp /bin/busybox t/bin/ && tar -C t -c . | docker import -m Imported - new:1 && docker history new:1; rm -r t")
    )
    assert clean.cli("run", "--rm", "new:1", "/bin/busybox", "echo", "works").stdout == "works\n"
    clean.cli("rmi", "new:1")


COMPOSE = """
version: "2.4"
services:
  web:
    image: busybox
    command: sleep 1000
    ports: ["8080:80"]
    networks: [front]
    depends_on: [db]
  db:
    image: busybox
    command: sleep 1000
    tty: true
    networks: {front: {aliases: [database]}}
    volumes: ["data:/data"]
volumes: {data: }
networks: {front: }
"""


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="there is no docker-compose")
def test_docker_compose(clean: Engine) -> None:
    """Up, made anew, stopped, started and down by docker-compose 1.29."""
    project = clean.root / "proj"
    project.mkdir()
    (project / "docker-compose.yml").write_text(COMPOSE)

    def compose(line: str) -> str:
        return clean.shell(f"cd {project} && docker-compose {line} </dev/null").text

    compose("up -d")
    assert "0.0.0.0:8080->80/tcp" in compose("ps")
    assert "database" in compose("exec -T web nslookup database")
    compose("up -d -t 0 --force-recreate")
    compose("stop -t 0")
    compose("start")
    assert compose("ps").count(" Up ") == 2
    assert "Removing network proj_front" in compose("down -v -t 0")
    assert not clean.call("GET", "/containers/json?all=1")[1]


def test_what_is_sent_wrong_is_answered_in_one_sentence(clean: Engine) -> None:
    """Wrong types at every place that the engine's own parsers read."""
    for body in (
        {"Image": "busybox", "ExposedPorts": {"x": {}}},
        {"Image": "busybox", "HostConfig": {"PortBindings": {"80/x": [{}]}}},
        {"Image": "busybox", "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "x"}]}}},
        {"Image": "busybox", "HostConfig": {"Binds": ["x"]}},
        {"Image": "busybox", "HostConfig": {"Mounts": [{"Type": "x", "Target": "y"}]}},
        {"Image": "busybox", "HostConfig": {"RestartPolicy": {"Name": "x"}}},
        {"Image": "busybox", "HostConfig": {"NetworkMode": "container:"}},
        {"Image": "busybox", "HostConfig": {"ExtraHosts": ["x"]}},
        {"Image": "busybox", "HostConfig": {"Sysctls": {"x": "y"}}},
        {"Image": "busybox", "HostConfig": {"CapAdd": ["x"]}},
        {"Image": "busybox", "HostConfig": {"Ulimits": [{"Name": "x"}]}},
        {"Image": "busybox", "HostConfig": {"ShmSize": -1}},
        {"Image": "busybox", "HostConfig": {"Memory": 1}},
        {"Image": "busybox", "HostConfig": {"Tmpfs": {"x": "y"}}},
        {"Image": "busybox", "HostConfig": {"Dns": ["x"]}},
        {"Image": "busybox", "StopSignal": "x"},
        {"Image": "busybox", "Hostname": "a" * 300},
        {"Image": "busybox", "Env": ["=x"]},
        {"Image": "busybox", "Volumes": {"x": {}}},
        {"Image": "busybox", "WorkingDir": "x"},
        {"Image": "busybox", "Healthcheck": {"Test": ["x"]}},
        {"Image": ":"},
        {"Image": "busybox:"},
        {"Image": "\0"},
        {},
    ):
        status, said = clean.call("POST", "/containers/create", body)
        assert status in (400, 404) or (status == 201 and "Id" in said), (body, status, said)
    for method, path, body in (
        ("POST", "/containers/create?name=../x", {"Image": "busybox"}),
        ("POST", "/networks/create", {"Name": "n", "Options": {"com.docker.network.driver.mtu": "x"}}),
        ("POST", "/networks/create", {"Name": "n", "IPAM": {"Config": [{"Subnet": "10.77.0.0/24", "Gateway": "1.2.3.4"}]}}),
        ("POST", "/volumes/create", {"Name": "../x"}),
        ("POST", "/images/create?fromImage=UPPER", None),
        ("POST", "/images/create?fromImage=busybox&tag=:", None),
        ("POST", "/images/busybox/tag?repo=UPPER", None),
        ("GET", "/images/%00/json", None),
        ("GET", "/containers/%00/json", None),
        ("GET", "/networks/%00", None),
        ("GET", "/volumes/%00", None),
        ("POST", "/containers/nosuch/exec", {"Cmd": ["x"]}),
    ):
        status, said = clean.call(method, path, body)
        assert 400 <= status < 500, (path, body, status, said)
        assert "internal error" not in str(said)
    # Docker tells what is wrong with an archive in the stream.
    assert clean.call("POST", "/images/load")[1]["error"] == "invalid archive: empty file"


def test_nothing_strange_was_logged(running: Engine) -> None:
    """No request of this file failed in a way that nobody foresaw."""
    assert "Traceback" not in running.log.read_text(), running.tail(60)
