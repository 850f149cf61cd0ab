"""`docker build` of the classic kind, by the docker CLI, ours, the SDK and docker-compose; push and login by the CLIs."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import docker
import docker.errors
import pytest
from tests.harness import Engine, sanbashi_cli

pytestmark = [pytest.mark.root, pytest.mark.skipif(shutil.which("buildah") is None, reason="buildah is not installed: make setup")]

DOCKERFILE = """\
ARG TAG=latest
FROM busybox:$TAG AS one
ARG WORD=none
ENV FOO=bar
RUN echo "hello $WORD"; echo "$WORD" > /word
FROM busybox
COPY --from=one /word /
COPY *.txt /texts/
HEALTHCHECK CMD true
CMD ["sh", "-c", "cat /word; ls /texts"]
"""
HTPASSWD = "web:$2b$05$bIc2zk/qQqq0XPoBiHeJfOkkhrJkUlilu0svgTunH4s1pe/JSaEhe"  # htpasswd -nbB web secret


@pytest.fixture
def context(clean: Engine) -> Iterator[Path]:
    folder = clean.machine.scratch / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "a.txt").write_text("a")
    (folder / "b.txt").write_text("b")
    (folder / ".dockerignore").write_text("b.txt\nDockerfile\n")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def sdk(clean: Engine) -> Iterator[Any]:
    client = docker.DockerClient(base_url=f"unix://{clean.socket}")
    yield client
    client.close()


def build(engine: Engine, program: str, *words: str, given: str = "", check: bool = True) -> Any:
    return engine.machine.run([program, "build", *words], given=given, check=check, environment={**engine.variables(), "DOCKER_BUILDKIT": "0"})


@pytest.mark.parametrize("program", ["docker", sanbashi_cli()])
def test_steps_cache_and_result(clean: Engine, context: Path, program: str) -> None:
    clean.call("POST", "/build/prune")
    flags = ("-t", "made:one", "--build-arg", "WORD=there", "--label", "k=v", str(context))
    said = build(clean, program, "--no-cache", *flags).stdout
    assert "Step 1/11 : ARG TAG=latest\nStep 2/11 : FROM busybox:$TAG AS one\n ---> " in said
    assert "\nhello there\n" in said
    assert all(len(line) == len(" ---> ") + 12 for line in said.splitlines() if re.fullmatch(r" ---> [0-9a-f]+", line)), said
    assert "Step 11/11 : LABEL k=v\n" in said
    assert said.rstrip().endswith("Successfully tagged made:one")
    again = build(clean, program, *flags).stdout
    assert again.count(" ---> Using cache\n") == 8, again
    assert again.splitlines()[-2] == said.splitlines()[-2]
    assert clean.cli("run", "--rm", "made:one").stdout == "there\na.txt\n"
    about = clean.call("GET", "/images/made:one/json")[1]
    assert about["Config"]["Labels"] == {"k": "v"}
    assert about["Config"]["Healthcheck"] == {"Test": ["CMD-SHELL", "true"]}
    assert clean.cli("history", "--format", "{{.CreatedBy}}", "made:one").stdout.startswith("/bin/sh -c #(nop) LABEL")
    target = build(clean, program, "-q", "--target", "one", str(context)).stdout.strip()
    assert clean.cli("run", "--rm", target, "sh", "-c", "cat /word; echo $FOO").stdout == "none\nbar\n"


def cached(engine: Engine, text: str) -> int:
    """How many steps of a build are in the cache."""
    return int(build(engine, "docker", "-", given=text).stdout.count(" ---> Using cache\n"))


def test_part_of_the_cache_is_pruned(clean: Engine) -> None:
    clean.call("POST", "/build/prune")
    older, newer = "FROM busybox\nRUN echo 1 >/1\nENV A=1", "FROM busybox\nRUN head -c 3000000 /dev/zero >/2\nENV A=2"
    assert (cached(clean, older), cached(clean, newer)) == (0, 0)
    nothing: dict[str, Any] = {"CachesDeleted": None, "SpaceReclaimed": 0}
    spaces = [f"{name}=1000000000" for name in ("reserved-space", "max-used-space", "keep-storage")]
    for query in ('filters={"until":["24h"]}', 'filters={"label":["a=b"]}', *spaces):
        assert clean.call("POST", f"/build/prune?{quote(query, safe='=')}") == (200, nothing), query
    for program in ("docker", sanbashi_cli()):
        said = clean.machine.run([program, "builder", "prune", "-f", "--keep-storage", "1GB"], environment=clean.variables()).stdout
        assert "Total" in said and "0B" in said, program
    assert (cached(clean, older), cached(clean, newer)) == (2, 2)
    files = [path.lstat() for path in (clean.root / "data" / "build" / "store").rglob("*") if not path.is_dir()]
    size = sum({file.st_ino: file.st_size for file in files}.values())
    status, said = clean.call("POST", f"/build/prune?reserved-space={size - 1}")
    assert status == 200 and len(said["CachesDeleted"]) == 2 and said["SpaceReclaimed"] > 0
    assert cached(clean, newer) == 2
    assert cached(clean, older) == 0
    status, said = clean.call("POST", f"/build/prune?all=1&filters={quote(json.dumps({'until': ['0s']}))}")
    assert status == 200 and len(said["CachesDeleted"]) == 5
    assert cached(clean, newer) == 0
    status, said = clean.call("POST", f"/build/prune?filters={quote(json.dumps({'type': ['regular']}))}")
    assert (status, said["message"]) == (400, "invalid filter 'type'")


def test_containers_of_steps_are_said_not_to_stay(clean: Engine) -> None:
    words = ["--no-cache", "-"]
    warning = "[Warning] rm=false is not honoured: the containers of a build's steps are always removed\n"
    assert warning in build(clean, "docker", "--rm=false", *words, given="FROM busybox\nRUN true").stdout
    assert warning not in build(clean, "docker", *words, given="FROM busybox\nRUN true").stdout
    assert clean.cli("ps", "-aq").stdout == ""


@pytest.mark.parametrize("program", ["docker", sanbashi_cli()])
def test_failures(clean: Engine, program: str) -> None:
    for text, exit_, sentence in (
        ("FROM busybox\nRUN exit 7", 7, "The command '/bin/sh -c exit 7' returned a non-zero code: 7"),
        ("FROM busybox\nCOPY no /", 1, "COPY failed: file not found in build context or excluded by .dockerignore: stat no: file does not exist"),
        ("FROM busybox\nFOO", 1, "dockerfile parse error on line 2: unknown instruction: FOO"),
        ("RUN x", 1, "dockerfile parse error on line 1: no build stage in current context"),
    ):
        done = build(clean, program, "-", given=text, check=False)
        assert done.exit == exit_, done.text
        assert sentence in done.stderr


def test_networks(clean: Engine) -> None:
    clean.cli("network", "create", "build-net")
    clean.cli("run", "-d", "--name", "peer", "--network", "build-net", "busybox", "top")
    said = build(clean, "docker", "--no-cache", "--network", "build-net", "-", given="FROM busybox\nRUN ping -c1 peer; cat /etc/resolv.conf").stdout
    assert "1 packets received" in said and "nameserver 127.0.0.11" in said
    said = build(clean, "docker", "--no-cache", "--network", "none", "-", given="FROM busybox\nRUN ls /sys/class/net").stdout
    assert "\nlo\n" in said and "eth0" not in said
    said = build(clean, "docker", "--no-cache", "--network", "container:peer", "-", given="FROM busybox\nRUN ip -4 addr show eth0").stdout
    assert clean.address("peer", "build-net") in said
    text = "FROM busybox\nRUN ip -4 addr show eth0; cat /etc/hosts"
    said = build(clean, "docker", "--no-cache", "--add-host", "some.host:192.0.2.7", "-", given=text).stdout
    assert "inet 172.17.0." in said and "192.0.2.7\tsome.host\n" in said
    missing = build(clean, "docker", "--no-cache", "--network", "nowhere", "-", given=text, check=False)
    assert missing.exit == 1 and "network nowhere not found" in missing.stderr


def test_sdk(sdk: Any) -> None:
    image, log = sdk.images.build(fileobj=io.BytesIO(b"FROM busybox\nCMD echo hello world\n"), tag="some-tag")
    assert sdk.containers.run(image, remove=True) == b"hello world\n"
    assert any(m.get("aux", {}).get("ID") == image.id for m in log)
    with pytest.raises(docker.errors.BuildError) as failed:
        sdk.images.build(fileobj=io.BytesIO(b"FROM busybox\nRUN echo seen; exit 3\n"))
    assert failed.value.msg == "The command '/bin/sh -c echo seen; exit 3' returned a non-zero code: 3"
    assert {"stream": "seen\n"} in list(failed.value.build_log)
    told = list(sdk.api.build(fileobj=io.BytesIO(b"FROM busybox\nRUN sh -c \">&2 echo 'in red'\"\n"), nocache=True, decode=True))
    assert {"stream": "\x1b[91min red\n\x1b[0m"} in told
    script = b"FROM busybox\nENV FOO=bar\nRUN touch baz\nRUN touch bax\n"
    list(sdk.api.build(fileobj=io.BytesIO(script), tag="build1"))
    for source, count in (("build1", 3), ("nosuchtag", 0)):
        told = list(sdk.api.build(fileobj=io.BytesIO(script), tag="build2", cache_from=[source], decode=True))
        assert sum("Using cache" in m.get("stream", "") for m in told) == count
    with pytest.raises(docker.errors.APIError, match="unknown operating system or architecture"):
        list(sdk.api.build(fileobj=io.BytesIO(b"FROM busybox"), platform="foobar"))
    with pytest.raises(docker.errors.APIError, match="build contexts from an address are not supported"):
        list(sdk.api.build(path="https://example.com/a.git"))
    limits = {"memory": 200 << 20, "cpushares": 512}
    script = b"FROM busybox\nRUN df /dev/shm\n"
    told = list(sdk.api.build(fileobj=io.BytesIO(script), shmsize=8 << 20, container_limits=limits, nocache=True, decode=True))
    assert any(" 8192 " in m.get("stream", "") for m in told)
    removed = sdk.api.prune_builds()
    assert removed["CachesDeleted"] and removed["SpaceReclaimed"] > 0


def test_compose_builds(clean: Engine, context: Path) -> None:
    if shutil.which("docker-compose") is None:
        pytest.skip("docker-compose is not installed: make setup")
    (context / "docker-compose.yml").write_text(
        'version: "3.4"\nservices:\n  web:\n    build: {context: ., args: {WORD: composed}, labels: {x: "y"}, network: host}\n'
    )
    for native in ("0", "1"):
        environment = {**clean.variables(), "COMPOSE_DOCKER_CLI_BUILD": native, "DOCKER_BUILDKIT": "0"}
        clean.machine.run(f"cd {context} && docker-compose -p built build --no-cache", environment=environment)
        done = clean.machine.run(f"cd {context} && docker-compose -p built run --rm web", environment=environment)
        assert done.stdout.replace("\r", "").startswith("composed\na.txt\n"), done.text
    clean.machine.run(f"cd {context} && docker-compose -p built down --rmi all", environment=clean.variables())


def test_a_client_that_leaves_ends_its_build(clean: Engine) -> None:
    clean.shell(
        "set -m; printf 'FROM busybox\\nRUN echo up; sleep 1000\\n' | DOCKER_BUILDKIT=0 docker build --no-cache - > $TMPDIR/said 2>&1 & "
        "until grep -q '^up' $TMPDIR/said; do sleep 0.05; done; kill -INT %1; "
        'until ! pgrep -x buildah > /dev/null; do sleep 0.05; done; until [ -z "$(ip -br link | grep veth)" ]; do sleep 0.05; done',
        timeout=120,
    )


def test_push_and_login(clean: Engine) -> None:
    machine = clean.machine
    (machine.scratch / "htpasswd").write_text(HTPASSWD)
    config = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"inmemory": {}},
        "http": {"addr": "127.0.0.1:5055"},
        "auth": {"htpasswd": {"realm": "tests", "path": str(machine.scratch / "htpasswd")}},
    }
    (machine.scratch / "registry.json").write_text(json.dumps(config))
    own = {"DOCKER_CONFIG": str(machine.scratch / "settings"), **clean.variables()}
    server = machine.popen(["bash", "-c", f"echo $$ > {machine.scratch}/registry.pid; exec docker-registry serve {machine.scratch}/registry.json"])
    try:
        machine.run("until curl -s 127.0.0.1:5055 >/dev/null; do sleep 0.05; done", timeout=120)
        clean.cli("tag", "busybox", "127.0.0.1:5055/team/box:1")
        refused = machine.run("docker push 127.0.0.1:5055/team/box:1", check=False, environment=own)
        assert refused.exit == 1 and "no basic auth credentials" in refused.stderr
        for program in ("docker", sanbashi_cli()):
            wrong = machine.run(f"echo no | {program} login -u web --password-stdin 127.0.0.1:5055", check=False, environment=own)
            assert wrong.exit == 1 and "401 Unauthorized" in wrong.stderr
            done = machine.run(f"echo secret | {program} login -u web --password-stdin 127.0.0.1:5055", environment=own)
            assert "Login Succeeded" in done.stdout
            pushed = machine.run(f"{program} push 127.0.0.1:5055/team/box:1", environment=own).stdout
            assert "1: digest: sha256:" in pushed
            machine.run(f"{program} rmi 127.0.0.1:5055/team/box:1 && {program} pull 127.0.0.1:5055/team/box:1", environment=own)
            machine.run(f"{program} logout 127.0.0.1:5055", environment=own)
            assert machine.run(f"{program} pull 127.0.0.1:5055/team/box:1", check=False, environment=own).exit == 1
    finally:
        machine.run(f"kill $(cat {machine.scratch}/registry.pid)", check=False)
        server.wait(20)


def test_buildkit_is_refused_in_one_sentence(clean: Engine) -> None:
    for path in ("/grpc", "/session", "/build?version=2"):
        status, said = clean.call("POST", path)
        assert (status, said["message"].split(":")[0]) == (501, "BuildKit is not supported")
        assert "DOCKER_BUILDKIT=0" in said["message"]


def test_platforms(clean: Engine) -> None:
    clean.cli("create", "--name", "donor", "busybox")
    clean.shell("docker export donor | docker import --platform linux/arm64 - arm:1")

    def made(*words: str, given: str) -> tuple[str, str]:
        """What was said, and what the image is for."""
        said = build(clean, "docker", "-t", "made", *words, "-", given=given).stdout
        return said, clean.call("GET", "/images/made/json")[1]["Architecture"]

    own = clean.call("GET", "/version")[1]["Arch"]
    # As its base, whatever was asked for; and whoever asked for something else is told so.
    said, platform = made("--platform", "linux/arm64", given="FROM busybox\nRUN true")
    assert platform == own and "does not match.\nThis is most likely caused by a bug in the build system" in said
    assert "build args" not in said and "build-args" not in said
    assert made(given="FROM arm:1\nRUN true")[1] == "arm64"
    said, platform = made("--platform", "linux/arm64", given="FROM arm:1\nARG TARGETARCH\nRUN echo for $TARGETARCH")
    assert platform == "arm64" and "\nfor arm64\n" in said and "WARNING" not in said
    said, platform = made(
        "--platform", "linux/arm64", given="FROM --platform=$BUILDPLATFORM busybox AS b\nRUN true\nFROM arm:1\nCOPY --from=b /etc /e"
    )
    assert platform == "arm64" and "WARNING" not in said
    # One that is there for another platform is not the one that was asked for.
    other = build(clean, "docker", "--platform", f"linux/{own}", "-", given="FROM arm:1\nRUN true", check=False)
    assert other.exit == 1 and "Successfully" not in other.stdout
    unused = build(clean, "docker", "--build-arg", "A=1", "--build-arg", "HTTP_PROXY=x", "-", given="FROM busybox\nRUN true").stdout
    assert "[Warning] One or more build-args [A] were not consumed\n" in unused


def test_what_only_buildkit_does_is_refused(clean: Engine) -> None:
    sentence = (
        "the --mount option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how to build images with BuildKit enabled"
    )
    for program in ("docker", sanbashi_cli()):
        done = build(clean, program, "-", given="FROM busybox\nRUN --mount=type=secret,id=x cat /run/secrets/x", check=False)
        assert done.exit == 1 and sentence in done.stderr and "Step 2/2 : RUN --mount" in done.stdout, program
    done = build(clean, "docker", "-", given="FROM busybox\nRUN --mount=type=tmpfs,target=/t grep ' /t ' /proc/mounts")
    assert "tmpfs /t tmpfs" in done.stdout


def test_the_cache_is_shown_and_pruned_with_the_rest(clean: Engine) -> None:
    clean.call("POST", "/build/prune")
    build(clean, "docker", "-t", "made", "-", given="FROM busybox\nRUN head -c 3000000 /dev/zero >/2\nENV A=2")
    records = {r["ID"]: r for r in clean.call("GET", "/system/df?type=build-cache")[1]["BuildCache"]}
    assert len(records) == 3 and not any(r["InUse"] or r["Shared"] for r in records.values())
    made = next(r for r in records.values() if "head -c" in r["Description"])
    assert 3_000_000 < made["Size"] < 3_100_000
    assert records[made["Parents"][0]]["Parents"] is None
    totals = clean.call("GET", "/v1.52/system/df?type=build-cache&verbose=1")[1]["BuildCacheUsage"]
    assert (totals["TotalCount"], totals["TotalSize"]) == (3, sum(r["Size"] for r in records.values()))
    for words in (["system", "df"], ["system", "df", "--format", "raw"], ["system", "df", "-v", "--format", "{{range .BuildCache}}{{.ID}}{{end}}"]):
        docker_said, ours = (clean.cli(*words, program=program).stdout for program in ("docker", sanbashi_cli()))
        assert ours == docker_said, words
    removed = clean.cli("system", "prune", "-f", program=sanbashi_cli()).stdout
    assert "Deleted build cache objects:\n" in removed and all(id_ in removed for id_ in records)
    assert clean.call("GET", "/system/df")[1]["BuildCache"] == []
