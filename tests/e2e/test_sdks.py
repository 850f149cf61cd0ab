"""Others that speak the API: testcontainers and aiodocker for Python, dockerode for Node: the ordinary use of each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.harness import PROJECT, Done, Engine

pytestmark = pytest.mark.root

NODE = PROJECT / ".cache" / "node"
DOCKERODE = "4"


def python(engine: Engine, program: str) -> Done:
    """Run a program with our interpreter inside the machine, where published ports are reached."""
    return engine.machine.run([sys.executable, "-c", program], environment={**engine.variables(), "HOME": str(engine.machine.scratch)})


def test_testcontainers(clean: Engine) -> None:
    """A web server for the length of a test: its port, its address, its log, a command in it, a file; two on a network of their own."""
    pytest.importorskip("testcontainers", reason="testcontainers is not installed: make setup")
    done = python(
        clean,
        """
import os, urllib.request, warnings
os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"  # its own image is on Docker Hub alone
warnings.simplefilter("ignore")
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.waiting_utils import wait_for_logs

serve = "sh -c 'echo It works! > /var/www/index.html; exec httpd -f -h /var/www'"
with DockerContainer("busybox").with_command(serve).with_exposed_ports(80) as web:
    url = f"http://{web.get_container_host_ip()}:{web.get_exposed_port(80)}/"
    for _ in range(300):
        try:
            page = urllib.request.urlopen(url).read()
            break
        except OSError:
            import time; time.sleep(0.1)
    assert b"It works!" in page
    code, out = web.exec(["cat", "/etc/hostname"])
    assert code == 0 and len(out.strip()) == 12, out

with Network() as network:
    box = DockerContainer("busybox").with_command("sh -c 'echo ready; sleep 1000'").with_env("A", "b")
    box = box.with_network(network).with_network_aliases("box")
    with box as one, DockerContainer("busybox").with_command("sleep 1000").with_network(network) as two:
        wait_for_logs(one, "ready", timeout=60)
        assert one.exec(["sh", "-c", "echo $A"]).output == b"b\\n"
        code, out = two.exec(["nslookup", "-type=a", "box"])
        assert code == 0, out
print("good")
""",
    )
    assert done.stdout.endswith("good\n"), done.text


def test_aiodocker(clean: Engine) -> None:
    """Containers, a log that is followed, exec, events, archives, images, networks and volumes, all on one loop."""
    aiodocker = pytest.importorskip("aiodocker", reason="aiodocker is not installed: make setup")

    async def use() -> None:
        async with aiodocker.Docker(url=f"unix://{clean.socket}") as docker:
            assert (await docker.version())["ApiVersion"]
            heard = docker.events.subscribe()
            await until_it_hears(docker, heard)
            config = {"Image": "busybox", "Cmd": ["sh", "-c", "for i in 1 2 3; do echo line $i; done; sleep 1000"]}
            container = await docker.containers.create_or_replace(name="aio", config=config)
            await container.start()
            lines = []
            async for line in container.log(stdout=True, follow=True):
                lines.append(line)
                if len(lines) == 3:
                    break
            assert "".join(lines) == "line 1\nline 2\nline 3\n"
            run = await container.exec(["sh", "-c", "echo out; exit 3"])
            async with run.start() as stream:
                message = await stream.read_out()
                assert message.data == b"out\n"
                assert await stream.read_out() is None
            assert (await run.inspect())["ExitCode"] == 3
            assert (await container.stats(stream=False))[0]["pids_stats"]["current"] >= 1
            await container.put_archive("/tmp", archive("note", b"kept"))
            kept = (await container.get_archive("/tmp/note")).extractfile("note")
            assert kept is not None and kept.read() == b"kept"
            network = await docker.networks.create({"Name": "aionet"})
            await network.connect({"Container": container.id})
            assert "aionet" in (await container.show())["NetworkSettings"]["Networks"]
            await network.disconnect({"Container": container.id})
            await network.delete()
            volume = await docker.volumes.create({"Name": "aiovol"})
            await volume.delete()
            assert any("busybox:latest" in i["RepoTags"] for i in await docker.images.list())
            await container.kill()
            assert (await container.wait())["StatusCode"] == 137
            await container.delete(force=True)
            actions = set()
            while ("container", "destroy") not in actions:
                event = await asyncio.wait_for(heard.get(), 60)
                actions.add((event["Type"], event["Action"]))
            assert {("container", action) for action in ("create", "start", "die")} <= actions

    asyncio.run(use())


async def until_it_hears(docker: Any, heard: Any) -> None:
    """It subscribes in a task of its own, and says nothing when it has: until an event has come."""
    for number in range(100):
        await (await docker.volumes.create({"Name": f"mark{number}"})).delete()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(heard.get(), 0.5)
            return
    raise AssertionError("no event came")


def archive(name: str, content: bytes) -> bytes:
    """A tar with one file."""
    import io
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture(scope="module")
def dockerode() -> Path:
    """A folder with dockerode in node_modules, installed by npm."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed: make setup")
    if not (NODE / "node_modules" / "dockerode").exists():
        NODE.mkdir(parents=True, exist_ok=True)
        (NODE / "package.json").write_text(json.dumps({"name": "tests", "private": True}))
        words = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", f"dockerode@{DOCKERODE}"]
        done = subprocess.run(words, cwd=NODE, capture_output=True, text=True, timeout=120)
        if done.returncode:
            pytest.skip(f"dockerode cannot be installed, the npm registry was not reached: {done.stderr.strip()[-300:]}")
    return NODE


def test_dockerode(clean: Engine, dockerode: Path) -> None:
    """pull, run, create, attach, exec, logs, stats, networks and volumes, as its README shows them."""
    program = """
const Docker = require("dockerode");
const {PassThrough} = require("stream");
const assert = require("assert");
const docker = new Docker({socketPath: process.argv[1]});
const text = async (stream) => { let all = ""; for await (const piece of stream) all += piece; return all; };
(async () => {
  assert.equal((await docker.ping()).toString(), "OK");
  await new Promise(async (resolve, reject) => docker.modem.followProgress(await docker.pull("busybox:latest"), e => e ? reject(e) : resolve()));
  const out = new PassThrough();
  const [result, gone] = await docker.run("busybox", ["sh", "-c", "echo hello; exit 4"], out, {Tty: false, HostConfig: {AutoRemove: false}});
  assert.equal(result.StatusCode, 4);
  await gone.remove();
  const box = await docker.createContainer({Image: "busybox", name: "node", Cmd: ["cat"], OpenStdin: true, StdinOnce: true, Labels: {a: "b"}});
  const talk = await box.attach({stream: true, stdin: true, stdout: true, stderr: true, hijack: true});
  await box.start();
  const heard = new PassThrough();
  box.modem.demuxStream(talk, heard, heard);
  talk.on("end", () => heard.end());
  talk.write("through cat\\n");
  const ran = await box.exec({Cmd: ["sh", "-c", "echo in; echo err >&2"], AttachStdout: true, AttachStderr: true});
  const [o, e] = [new PassThrough(), new PassThrough()];
  const stream = await ran.start({});
  docker.modem.demuxStream(stream, o, e);
  stream.on("end", () => { o.end(); e.end(); });
  assert.deepEqual([await text(o), await text(e)], ["in\\n", "err\\n"]);
  assert.equal((await ran.inspect()).ExitCode, 0);
  assert.equal((await docker.listContainers({filters: {label: ["a=b"]}})).length, 1);
  assert.ok((await box.stats({stream: false})).memory_stats.usage > 0);
  const net = await docker.createNetwork({Name: "nodenet"});
  await net.connect({Container: box.id});
  await net.disconnect({Container: box.id});
  await net.remove();
  await docker.createVolume({Name: "nodevol"});
  await docker.getVolume("nodevol").remove();
  talk.end();
  assert.equal((await box.wait()).StatusCode, 0);
  assert.equal(await text(heard), "through cat\\n");
  assert.ok((await box.logs({stdout: true})).toString().includes("through cat"));
  await box.remove();
  await assert.rejects(docker.getContainer("node").inspect(), e => e.statusCode === 404 && e.json.message === "No such container: node");
  console.log("good");
})().catch(e => { console.error(e); process.exit(1); });
"""
    done = clean.machine.run(
        ["node", "-e", program, clean.url.removeprefix("unix://")], environment={"NODE_PATH": str(dockerode / "node_modules")}, check=False
    )
    assert (done.exit, done.stdout) == (0, "good\n"), done.text
