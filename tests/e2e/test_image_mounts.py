"""--mount type=image: another image's files in a container, read-only, for as long as the container is there."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator

import pytest
from tests.harness import Done, Engine, Failure, sanbashi_cli

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

CLIS = {"docker": "docker", "sanbashi": sanbashi_cli()}
Run = Callable[..., Done]


@pytest.fixture(params=list(CLIS))
def run(request: pytest.FixtureRequest, clean: Engine) -> Run:
    def call(*words: str, check: bool = True) -> Done:
        return clean.cli(*words, program=CLIS[request.param], check=check)

    return call


@pytest.fixture
def tree(clean: Engine) -> Iterator[str]:
    """An image of one layer: files, and links that stay within it or lead out."""
    links = {"hack/good": "../subdir", "hack/bad": "../../../../../", "root": "/"}
    yield make_image(clean, "tree:1", {"foo": "bar\n", "subdir/hello": "world\n"}, links)
    clean.clear()
    clean.cli("rmi", "-f", "tree:1", check=False)


def make_image(engine: Engine, name: str, files: dict[str, str], links: dict[str, str]) -> str:
    """Import a tar; the image's id."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, text in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
        for path, target in links.items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    repository, _, tag = name.partition(":")
    status, answer = engine.call("POST", f"/images/create?fromSrc=-&repo={repository}&tag={tag}", packed.getvalue())
    assert status == 200, answer
    image: str = engine.call("GET", f"/images/{name}/json")[1]["Id"]
    return image


def mount(source: str, more: str = "") -> tuple[str, str]:
    return "--mount", f"type=image,source={source},target=/image{more}"


def test_shows_an_images_files_read_only(run: Run, clean: Engine, tree: str) -> None:
    assert run("run", "--rm", *mount("tree:1"), "busybox", "cat", "/image/foo").stdout == "bar\n"
    assert run("run", "--rm", *mount(tree), "busybox", "ls", "/image").stdout.split() == ["foo", "hack", "root", "subdir"]
    assert run("run", "--rm", *mount("tree:1", ",image-subpath=hack/good"), "busybox", "ls", "/image").stdout == "hello\n"
    assert run("run", "--rm", *mount("tree:1", ",image-subpath=subdir/hello"), "busybox", "cat", "/image").stdout == "world\n"
    # One with layers of its own below it, twice, and privileged: still nobody may write.
    words = ("--mount", "type=image,source=busybox,target=/etc/a", "--mount", "type=image,source=busybox,target=/etc/b")
    done = run("run", "--rm", "--privileged", *words, "busybox", "sh", "-c", "ls /etc/a/bin/busybox /etc/b/bin/busybox; touch /etc/a/x", check=False)
    assert done.stdout.split() == ["/etc/a/bin/busybox", "/etc/b/bin/busybox"]
    assert (done.exit, done.stderr.strip()) == (1, "touch: /etc/a/x: Read-only file system")


def test_refusals_are_dockers(run: Run, tree: str) -> None:
    def said(*words: str) -> str:
        return run("run", "--rm", *words, "busybox", "true", check=False).stderr

    assert "No such image: nosuch:latest" in said(*mount("nosuch"))
    assert "field Source must not be empty" in said("--mount", "type=image,target=/image")
    assert "subpath must be a relative path within the volume" in said(*mount("tree:1", ",image-subpath=../../etc/passwd"))
    assert "path concatenation escapes the base directory" in said(*mount("tree:1", ",image-subpath=hack/bad"))
    assert "path concatenation escapes the base directory" in said(*mount("tree:1", ",image-subpath=root/etc"))
    assert "cannot access path" in said(*mount("tree:1", ",image-subpath=not-there"))
    assert run("ps", "-aq").stdout == ""


def test_before_1_48_there_are_none(clean: Engine, tree: str) -> None:
    body = {"Image": "busybox", "HostConfig": {"Mounts": [{"Type": "image", "Source": "tree:1", "Target": "/image"}]}}
    status, answer = clean.call("POST", "/v1.47/containers/create", body)
    assert (status, answer["message"]) == (400, 'Mount type "Image" needs API v1.48 or newer')


def test_inspect_copy_and_borrow(run: Run, clean: Engine, tree: str) -> None:
    run("create", "--name", "one", *mount("tree:1", ",image-subpath=subdir"), "busybox", "sleep", "100")
    for _ in ("created", "running"):
        copied = run("cp", "one:/image/hello", "-").stdout
        assert "world" in copied and "foo" not in run("cp", "one:/image", "-").stdout
        refused = clean.call("PUT", "/containers/one/archive?path=/image", b"\0" * 1024)
        assert (refused[0], refused[1]["message"]) == (403, "mounted volume is marked read-only")
        run("start", "one")
    (point,) = json.loads(run("inspect", "one").stdout)[0]["Mounts"]
    assert {k: v for k, v in point.items() if k != "Source"} == {
        "Type": "image",
        "Name": "tree:1",
        "Destination": "/image",
        "Mode": "",
        "RW": False,
        "Propagation": "rprivate",
    }
    assert run("run", "--rm", "--volumes-from", "one", "busybox", "ls", "/image").stdout == "hello\n"


def test_holds_its_image(run: Run, clean: Engine, tree: str) -> None:
    run("run", "-d", "--name", "holder", *mount("tree:1"), "busybox", "sleep", "100")
    holder = json.loads(run("inspect", "holder").stdout)[0]["Id"][:12]
    image = tree.removeprefix("sha256:")[:12]
    words = f'conflict: unable to remove repository reference "tree:1" (must force) - container {holder} is using its referenced image {image}'
    assert words in run("rmi", "tree:1", check=False).stderr
    assert f"image is being used by running container {holder}" in run("rmi", "-f", image, check=False).stderr
    run("stop", "-t", "0", "holder")
    assert run("image", "prune", "-af").stdout.count(image) == 0
    run("rmi", "-f", "tree:1")
    # The layers stay for as long as the container may be started.
    run("start", "holder")
    assert run("exec", "holder", "cat", "/image/foo").stdout == "bar\n"
    run("rm", "-f", "holder")
    make_image(clean, "tree:1", {"foo": "bar\n"}, {})
    run("run", "--name", "ended", *mount("tree:1"), "busybox", "true")
    run("rm", "ended")
    run("rmi", "tree:1")


def test_outlives_the_daemon(clean: Engine, tree: str) -> None:
    clean.cli("run", "-d", "--name", "kept", "--restart", "always", *mount("tree:1", ",image-subpath=subdir"), "busybox", "sleep", "100")
    clean.kill()
    clean.start()
    assert clean.cli("exec", "kept", "cat", "/image/hello").stdout == "world\n"
    with pytest.raises(Failure, match="is using its referenced image"):
        clean.cli("rmi", "tree:1")
    clean.cli("restart", "-t", "0", "kept")
    assert clean.cli("exec", "kept", "cat", "/image/hello").stdout == "world\n"
    clean.cli("rm", "-f", "kept")
    clean.cli("rmi", "tree:1")
    mounts = clean.machine.run(["cat", "/proc/1/mountinfo"]).stdout
    assert "/images/" not in mounts
