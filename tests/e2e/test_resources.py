"""stats, update, top, volumes with options, logs that are rotated, attach through a websocket, system df, prune, and edge statuses."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import pytest
from tests.compat.samples import BLOCK
from tests.harness import Done, Engine, Unix, sanbashi_cli

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

CLIS = {"docker": "docker", "sanbashi": sanbashi_cli()}
Run = Callable[..., Done]
DEADLINE = 30.0


@pytest.fixture
def sdk(clean: Engine) -> Iterator[Any]:
    client = docker.DockerClient(base_url=f"unix://{clean.socket}")
    with contextlib.closing(client):
        yield client


@pytest.fixture(params=list(CLIS))
def run(request: pytest.FixtureRequest, clean: Engine) -> Run:
    def call(*words: str, check: bool = True, given: str = "") -> Done:
        return clean.cli(*words, program=CLIS[request.param], check=check, given=given)

    return call


def eventually(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not look():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


# -- what is used


def test_stats(run: Run, clean: Engine, sdk: Any) -> None:
    busy = "sh -c 'dd if=/dev/zero of=/dev/null bs=1M & sleep 100'"
    made = sdk.containers.run("busybox", busy, name="busy", mem_limit="64m", pids_limit=40, detach=True)
    clean.machine.run(["ping", "-c", "1", clean.address("busy")])
    fields = run("stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}} {{.NetIO}}", "busy").stdout.split()
    assert fields[0] == "busy" and float(fields[1].rstrip("%")) > 1 and fields[4] == "64MiB" and int(fields[5]) in (2, 3) and fields[6] != "0B"
    first, second = (json.loads(line) for line, _ in zip(made.stats(stream=True), range(2), strict=False))
    assert "system_cpu_usage" not in first["precpu_stats"] and second["precpu_stats"] == first["cpu_stats"] and second["preread"] == first["read"]
    assert second["cpu_stats"]["cpu_usage"]["total_usage"] > first["cpu_stats"]["cpu_usage"]["total_usage"]
    once = clean.call("GET", "/containers/busy/stats?stream=false&one-shot=true")[1]
    assert once["preread"].startswith("0001") and once["pids_stats"]["limit"] == 40 and set(once["networks"]) == {"eth0"}
    assert once["networks"]["eth0"]["rx_packets"] > 0
    made.stop(timeout=0)
    empty = clean.call("GET", "/containers/busy/stats?stream=false")[1]
    assert empty["memory_stats"] == {} and empty["pids_stats"] == {} and "networks" not in empty and empty["name"] == "/busy"
    assert clean.call("GET", "/containers/nosuch/stats")[0] == 404


def test_update(run: Run, clean: Engine) -> None:
    run("run", "-d", "--name", "limited", "busybox", "sleep", "100")
    assert run("update", "--memory", "64m", "--memory-swap", "128m", "--cpus", "0.5", "--pids-limit", "30", "limited").stdout == "limited\n"
    reading = clean.call("GET", "/containers/limited/stats?stream=false&one-shot=true")[1]
    assert (reading["memory_stats"]["limit"], reading["pids_stats"]["limit"]) == (64 << 20, 30)
    host = clean.call("GET", "/containers/limited/json")[1]["HostConfig"]
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"], host["PidsLimit"]) == (5 * 10**8, 64 << 20, 128 << 20, 30)
    run("update", "--restart", "on-failure:4", "limited")
    assert run("inspect", "-f", "{{.HostConfig.RestartPolicy}}", "limited").stdout == "{on-failure 4}\n"
    refused = run("update", "--cpu-period", "50000", "limited", check=False)
    assert refused.exit == 1 and "CPU Period cannot be updated as NanoCPUs has already been set" in refused.stderr
    run("stop", "-t", "0", "limited")
    run("update", "--memory", "32m", "--memory-swap", "64m", "limited")
    run("start", "limited")
    assert clean.call("GET", "/containers/limited/stats?stream=false&one-shot=true")[1]["memory_stats"]["limit"] == 32 << 20


def test_limits_of_devices_are_updated(clean: Engine) -> None:
    """From 1.55 on; whatever else an update says is told to be left alone. A container with such limits takes others, too."""
    rate = [{"Path": BLOCK, "Rate": 1 << 20}]
    clean.call("POST", "/containers/create?name=limited", {"Image": "busybox", "Cmd": ["sleep", "100"], "HostConfig": {"BlkioDeviceReadBps": rate}})
    clean.call("POST", "/containers/limited/start")
    assert clean.call("POST", "/v1.54/containers/limited/update", {"BlkioDeviceWriteBps": rate, "PidsLimit": 30}) == (200, {"Warnings": None})
    assert clean.call("POST", "/containers/limited/update", {"BlkioDeviceWriteIOps": rate}) == (200, {"Warnings": None})
    host = clean.call("GET", "/containers/limited/json")[1]["HostConfig"]
    assert (host["BlkioDeviceReadBps"], host["BlkioDeviceWriteBps"], host["BlkioDeviceWriteIOps"]) == (rate, None, rate)
    said = clean.call("POST", "/containers/limited/update", {"Privileged": True})[1]
    assert said == {"Warnings": ["Privileged cannot be updated; it is left as it is"]}


def test_top(run: Run, clean: Engine) -> None:
    run("run", "-d", "--name", "tops", "busybox", "sleep", "1234")
    assert "sleep 1234" in run("top", "tops").stdout
    lines = run("top", "tops", "-o", "pid,args").stdout.splitlines()
    assert lines[0].split() == ["PID", "COMMAND"] and len(lines) == 2 and lines[1].endswith("sleep 1234")
    assert clean.call("GET", "/containers/tops/top?ps_args=-o%20args")[0] == 500
    assert clean.call("GET", "/containers/tops/top?ps_args=--nosuch")[0] == 500


# -- volumes


def test_volumes_that_are_mounted(run: Run, clean: Engine) -> None:
    source = clean.root / "source"
    source.mkdir()
    (source / "file").write_text("kept")
    run("volume", "create", "--label", "a=b", "-o", "type=none", "-o", "o=bind,ro", "-o", f"device={source}", "bound")
    run("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=4m,mode=711", "light")
    script = "cat /b/file; touch /b/no; stat -f -c %T /t; stat -c %a /t; sleep 100"
    run("run", "-d", "--name", "one", "-v", "bound:/b", "-v", "light:/t", "busybox", "sh", "-c", script)
    eventually(lambda: "711" in run("logs", "one").stdout)
    done = run("logs", "one")
    assert done.stdout.split() == ["kepttmpfs", "711"] and "Read-only" in done.stderr
    run("run", "--rm", "-v", "light:/t", "busybox", "touch", "/t/shared")
    assert run("exec", "one", "ls", "/t").stdout == "shared\n"  # the other's end did not unmount it
    assert "volume is in use - [" in run("volume", "rm", "bound", check=False).stderr
    run("stop", "-t", "0", "one")
    assert clean.machine.run("grep -c _data /proc/self/mounts", check=False).stdout == "0\n"
    assert run("cp", "one:/b/file", "-").stdout.count("kept") == 1
    assert clean.machine.run("grep -c _data /proc/self/mounts", check=False).stdout == "0\n"
    run("rm", "one")
    run("volume", "rm", "bound", "light")
    assert (source / "file").read_text() == "kept"
    run("volume", "create", "-o", "type=nosuchfs", "-o", "device=x", "odd")
    refused = run("run", "--rm", "-v", "odd:/x", "busybox", "true", check=False)
    assert refused.exit == 125 and "failed to mount local volume: mount x:" in refused.stderr and "no such device" in refused.stderr
    assert not clean.call("GET", "/containers/json?all=1")[1]
    run("volume", "rm", "odd")
    (source / "file").unlink()
    source.rmdir()


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_file_is_mounted_read_only(clean: Engine, runtime: str) -> None:
    """Over a file of the image and where there is none, by -v and by --mount."""
    words = ("-v", "/etc/hostname:/new:ro", "--mount", "type=bind,source=/etc/hostname,target=/etc/passwd,readonly")
    read = "cmp /new /etc/passwd && ! echo x 2>/dev/null >/new && ! echo x 2>/dev/null >/etc/passwd && echo read"
    assert clean.cli("run", "--rm", "--runtime", runtime, *words, "busybox", "sh", "-c", read).stdout == "read\n"


def test_a_volume_made_by_a_mount(clean: Engine) -> None:
    mount = "type=volume,src=given,dst=/m,volume-label=k=v,volume-opt=type=tmpfs,volume-opt=device=tmpfs,volume-opt=o=size=1m"
    assert clean.cli("run", "--rm", "--mount", mount, "busybox", "stat", "-f", "-c", "%T", "/m").stdout == "tmpfs\n"
    found = clean.call("GET", "/volumes/given")[1]
    assert found["Labels"] == {"k": "v"} and found["Options"]["o"] == "size=1m"
    clean.cli("volume", "rm", "given")


def test_prune_and_what_is_used(run: Run, clean: Engine) -> None:
    script = "head -c 1000 /dev/zero | tee /d/f >/own"
    run("run", "--name", "old", "--label", "keep=no", "-v", "data:/d", "-v", "/anonymous", "busybox", "sh", "-c", script)
    run("create", "--name", "new", "--label", "keep=yes", "busybox")
    run("volume", "create", "--label", "keep=yes", "spare")
    usage = clean.call("GET", "/v1.51/system/df")[1]
    assert {v["Name"]: (v["UsageData"]["Size"], v["UsageData"]["RefCount"]) for v in usage["Volumes"] if len(v["Name"]) < 10} == {
        "data": (1000, 1),
        "spare": (0, 0),
    }
    assert {c["Names"][0]: c["SizeRw"] for c in usage["Containers"]} == {"/old": 1000, "/new": 0}
    sums = clean.call("GET", "/v1.56/system/df?type=volume")[1]
    assert sums["VolumeUsage"] == {"ActiveCount": 2, "TotalCount": 3, "Reclaimable": 0, "TotalSize": 1000} and "Images" not in sums
    assert clean.call("GET", "/system/df?type=nosuch")[0] == 400
    assert run("system", "df").stdout.splitlines()[2].split()[:3] == ["Containers", "2", "0"]
    run("container", "prune", "-f", "--filter", "label!=keep=yes")
    assert [c["Names"][0] for c in clean.call("GET", "/containers/json?all=1")[1]] == ["/new"]
    assert "data" not in run("volume", "prune", "-f").stdout  # anonymous ones alone
    assert run("volume", "prune", "-af", "--filter", "label!=keep").stdout.split()[2:3] == ["data"]
    assert run("volume", "ls", "-q").stdout == "spare\n"
    run("volume", "rm", "spare")
    for what in ("containers", "volumes", "networks", "images"):
        assert clean.call("POST", f"/{what}/prune?filters=%7B%22nosuch%22%3A%5B%22x%22%5D%7D")[0] == 400, what


# -- logs


# The log of each half is half as large again as it may grow: wherever the daemon's looks fall, each half is put aside once. It goes on when told.
TALK = "seq 1 20000; until [ -e /one ]; do sleep 0.1; done; seq 20001 40000; until [ -e /two ]; do sleep 0.1; done; echo end"
TALKED = "".join(f"{n}\n" for n in range(1, 40001)) + "end\n"
LIMITS = ("--log-opt", "max-size=700k", "--log-opt", "max-file=3")


def logs_of(folder: Path) -> list[str]:
    return sorted(p.name[64:] for p in folder.glob("*.log*"))


def talked(clean: Engine, name: str, suffix: str = "") -> Path:
    """The folder of a container's logs, when it has said all and both halves were put aside."""
    folder = clean.root / "data/containers" / str(clean.call("GET", f"/containers/{name}/json")[1]["Id"])
    for word, wanted in (("one", [".log", f".log.1{suffix}"]), ("two", [".log", f".log.1{suffix}", f".log.2{suffix}"])):
        eventually(lambda wanted=wanted: logs_of(folder) == wanted)  # type: ignore[misc]
        clean.cli("exec", name, "touch", f"/{word}")
    return folder


def test_logs_are_rotated_and_read_as_one(run: Run, clean: Engine) -> None:
    run("run", "-d", "--name", "talks", *LIMITS, "busybox", "sh", "-c", TALK)
    with ThreadPoolExecutor(1) as beside:
        following = beside.submit(run, "logs", "-f", "talks")
        folder = talked(clean, "talks")
        assert following.result().stdout == TALKED
    assert logs_of(folder) == [".log", ".log.1", ".log.2"]
    assert run("logs", "talks").stdout == TALKED and run("logs", "--tail", "25000", "talks").stdout == "".join(TALKED.splitlines(True)[-25000:])
    assert run("create", "--log-opt", "max-file=0", "busybox", check=False).stderr.startswith("Error response from daemon: max-file cannot be less")


def test_logs_that_were_put_aside_are_packed(clean: Engine) -> None:
    made = clean.cli("run", "-d", "--name", "packs", *LIMITS, "--log-opt", "compress=true", "busybox", "sh", "-c", TALK)
    assert made.stderr == ""
    folder = talked(clean, "packs", ".gz")
    assert clean.cli("logs", "-f", "packs").stdout == TALKED
    assert clean.cli("logs", "--tail", "25000", "packs").stdout == "".join(TALKED.splitlines(True)[-25000:])
    clean.cli("start", "packs")
    clean.cli("rm", "-f", "packs")
    assert not folder.exists()


# -- attach through a websocket, and statuses at the edges


def test_attach_through_a_websocket(clean: Engine) -> None:
    clean.cli("run", "-d", "-i", "--name", "ws", "busybox", "cat")
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(DEADLINE)
        stream.connect(str(clean.socket))
        key = base64.b64encode(os.urandom(16)).decode()
        head = "GET /v1.50/containers/ws/attach/ws?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        stream.sendall(f"{head}Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += stream.recv(1)
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        stream.sendall(b"\x82\x86\0\0\0\0hello\n")
        assert stream.recv(8, socket.MSG_WAITALL) == b"\x82\x06hello\n"
        stream.sendall(b"\x89\x80\0\0\0\0")
        assert stream.recv(2, socket.MSG_WAITALL) == b"\x8a\x00"
        clean.cli("kill", "ws")
        assert stream.recv(4, socket.MSG_WAITALL) == b"\x88\x02\x03\xe8" and stream.recv(1) == b""
    assert clean.call("GET", "/containers/ws/attach/ws")[0] == 400
    assert clean.call("POST", "/containers/ws/checkpoints", {"CheckpointID": "x"})[0] == 501


def test_edge_statuses(clean: Engine) -> None:
    clean.cli("create", "--name", "edge", "busybox", "sleep", "100")
    clean.cli("create", "--name", "other", "busybox")
    expected = [
        ("POST", "/containers/edge/kill", 409),
        ("POST", "/containers/edge/stop", 304),
        ("POST", "/containers/edge/pause", 409),
        ("POST", "/containers/edge/unpause", 409),
        ("GET", "/containers/edge/top", 409),
        ("POST", "/containers/edge/wait?condition=nosuch", 400),
        ("POST", "/containers/edge/restart?t=0", 204),
        ("POST", "/containers/edge/start", 304),
        ("POST", "/containers/edge/kill?signal=NOSUCH", 400),
        ("POST", "/containers/edge/kill?signal=0", 400),
        ("POST", "/containers/edge/rename?name=other", 409),
        ("POST", "/containers/edge/rename?name=edge", 400),
        ("POST", "/containers/edge/rename", 400),
        ("POST", "/containers/nosuch/rename?name=x1", 404),
        ("POST", "/containers/edge/resize?h=x&w=1", 400),
        ("DELETE", "/containers/edge", 409),
        ("POST", "/containers/edge/kill?signal=KILL", 204),
        ("POST", "/containers/edge/wait", 200),
        ("DELETE", "/containers/edge", 204),
        ("DELETE", "/containers/edge", 404),
    ]
    found = [(method, path, clean.call(method, path)[0]) for method, path, _ in expected]
    assert found == expected


def test_wait_conditions(clean: Engine, sdk: Any) -> None:
    made = sdk.containers.create("busybox", "sh -c 'exit 3'")
    assert made.wait(condition="not-running")["StatusCode"] == 0  # it never ran
    with contextlib.ExitStack() as stack:
        waiting = []
        for condition in ("next-exit", "removed"):
            connection = stack.enter_context(contextlib.closing(Unix(str(clean.socket), DEADLINE)))
            connection.request("POST", f"/containers/{made.id}/wait?condition={condition}")
            waiting.append(connection.getresponse())  # the head comes at once: from here on nothing is missed
        made.start()
        assert json.loads(waiting[0].read()) == {"StatusCode": 3}
        made.remove()
        assert json.loads(waiting[1].read()) == {"StatusCode": 3}
