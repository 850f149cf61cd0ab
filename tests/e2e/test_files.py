"""cp, diff, export, commit: a container's files from outside, with docker's CLI, ours and the SDK."""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
from tests.harness import Done, Engine, sanbashi_cli

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

CLIS = {"docker": "docker", "sanbashi": sanbashi_cli()}
Run = Callable[..., Done]


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


@pytest.fixture
def folder(clean: Engine) -> Iterator[Path]:
    """A folder that the machine sees too."""
    path = clean.root / "files"
    path.mkdir()
    yield path
    clean.machine.run(["rm", "-rf", str(path)])


def tar_of(*entries: tuple[str, bytes | None, dict[str, Any]]) -> bytes:
    """(name, content or None for a directory, attributes)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content, attributes in entries:
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            info.mode = 0o755 if content is None else 0o644
            info.size = len(content or b"")
            for key, value in attributes.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content or b""))
    return out.getvalue()


def members(data: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getmembers()


def names(data: bytes) -> list[str]:
    return [member.name for member in members(data)]


@pytest.mark.parametrize("state", ["created", "running", "stopped"])
def test_copies_both_ways(run: Run, folder: Path, state: str) -> None:
    """Docker's rules: into a directory that is there, as a name that is not, contents alone, one file."""
    (folder / "tree/sub").mkdir(parents=True)
    (folder / "tree/one").write_text("1")
    (folder / "tree/sub/two").write_text("2")
    (folder / "tree/link").symlink_to("sub/two")
    run("create", "--name", "box", "-v", "kept:/data", "busybox", "sleep", "100")
    if state != "created":
        run("start", "box")
    if state == "stopped":
        run("stop", "-t", "0", "box")
    tree = f"{folder}/tree"
    run("cp", tree, "box:/etc")
    run("cp", tree, "box:/fresh")
    run("cp", f"{tree}/.", "box:/contents")
    run("cp", f"{tree}/one", "box:/data/file")
    run("cp", f"{tree}/sub/two", "box:/data/file")  # over what is there
    run("cp", "-L", f"{tree}/link", "box:/data")
    for place, inside in (("out", "/etc/tree"), ("fresh", "/fresh"), ("contents", "/contents/.")):
        run("cp", f"box:{inside}", f"{folder}/{place}")
        assert sorted(p.name for p in (folder / place).iterdir()) == ["link", "one", "sub"]
        assert (folder / place / "link").readlink() == Path("sub/two") and (folder / place / "link").read_text() == "2"
    run("cp", "box:/data", f"{folder}/volume")
    assert {p.name: p.read_text() for p in (folder / "volume").iterdir()} == {"file": "2", "link": "2"}
    run("cp", "-L", "box:/fresh/link", f"{folder}/followed")
    assert (folder / "followed").read_text() == "2" and not (folder / "followed").is_symlink()
    done = run("cp", "box:/nosuch", str(folder), check=False)
    assert (done.exit, done.stderr) == (1, "Error response from daemon: Could not find the file /nosuch in container box\n")
    assert "cannot copy directory" in run("cp", tree, "box:/etc/passwd", check=False).stderr
    assert run("cp", tree, "box:/no/such/place", check=False).exit == 1
    run("rm", "-f", "box")
    run("volume", "rm", "kept")


def test_the_working_directory_is_there_before_the_start(clean: Engine, folder: Path) -> None:
    """As Docker makes it at creation, so that one may copy into it; what is no directory is refused then."""
    (folder / "f").write_text("hello")
    clean.cli("create", "--name", "new", "-w", "/var/new/dir", "busybox", "cat", "f")
    assert clean.cli("diff", "new").stdout.splitlines() == ["C /var", "A /var/new", "A /var/new/dir"]
    clean.cli("cp", str(folder / "f"), "new:/var/new/dir/")
    assert clean.cli("start", "-a", "new").stdout == "hello"
    for place in ("/etc/passwd", "/bin/busybox/x"):
        status, said = clean.call("POST", "/containers/create?name=wrong", {"Image": "busybox", "WorkingDir": place})
        assert (status, said["message"]) == (500, f"Cannot mkdir: {place} is not a directory")
        assert clean.call("GET", "/containers/wrong/json")[0] == 404
    clean.cli("create", "--name", "there", "-w", "/bin", "busybox")
    assert clean.cli("diff", "there").stdout == ""


def test_tars_through_pipes(run: Run, clean: Engine) -> None:
    run("run", "-d", "--name", "pipes", "busybox", "sleep", "100")
    made = clean.shell(f"tar c -C /etc hosts passwd | {CLIS['sanbashi']} cp - pipes:/tmp && docker cp pipes:/tmp - | tar t")
    assert made.stdout.split() == ["tmp/", "tmp/hosts", "tmp/passwd"]
    assert "must be a directory" in run("cp", "-", "pipes:/etc/passwd", check=False).stderr


def test_stat_header_and_links(clean: Engine, sdk: Any) -> None:
    made = sdk.containers.run("busybox", "sh -c 'ln -s /etc /way; ln -s ../../../../etc/passwd /up; mkfifo /pipe; sleep 100'", detach=True)
    clean.cli("exec", made.id, "sh", "-c", "until [ -p /pipe ]; do :; done")
    _, found = made.get_archive("/way")
    assert (found["name"], found["linkTarget"], found["mode"]) == ("way", "/etc", 1 << 27 | 0o777)
    assert made.get_archive("/up")[1]["linkTarget"] == "/etc/passwd"
    bits, found = made.get_archive("/way/")
    assert found["mode"] == 1 << 31 | 0o755 and "way/passwd" in names(b"".join(bits))
    bits, found = made.get_archive("/pipe")
    assert found["mode"] & 1 << 25 and [m.isfifo() for m in members(b"".join(bits))] == [True]
    for path in ("/etc/passwd/", "/etc/passwd/x", "/nosuch"):
        with pytest.raises(docker.errors.NotFound):
            made.get_archive(path)
    assert clean.call("GET", f"/containers/{made.id}/archive")[0] == 400


def test_nothing_leads_out(clean: Engine, sdk: Any, folder: Path) -> None:
    """Links in the container and names in the archive lead nowhere but inside."""
    links = f"ln -s {folder} /escape; ln -s / /root-link; ln -s /proc/1/root /proc-link"
    made = sdk.containers.run("busybox", f"sh -c '{links}; sleep 100'", detach=True)
    clean.cli("exec", made.id, "sh", "-c", "until [ -L /proc-link ]; do :; done")
    secret = folder / "secret"
    secret.write_text("host")
    for path in (f"/escape/{secret.name}", f"/root-link/../../..{secret}", f"/proc-link{secret}"):
        with pytest.raises(docker.errors.NotFound):
            made.get_archive(path)
    for name in ("../out", "a/../../out"):
        with pytest.raises(docker.errors.APIError):
            made.put_archive("/tmp", tar_of((name, b"x", {})))
    link = {"type": tarfile.SYMTYPE, "linkname": str(folder)}
    with pytest.raises(docker.errors.APIError):  # the link leads to a place that the container has not, and is not followed out
        made.put_archive("/tmp", tar_of(("l", b"", link), ("l/file", b"x", {"type": tarfile.LNKTYPE, "linkname": "../../../etc/passwd"})))
    made.put_archive("/root-link/tmp", tar_of(("inside", b"x", {})))
    assert clean.cli("exec", made.id, "cat", "/tmp/inside").stdout == "x"
    assert sorted(p.name for p in folder.iterdir()) == ["secret"]


def test_owners_modes_and_kinds(clean: Engine, sdk: Any) -> None:
    made = sdk.containers.run("busybox", "sleep 100", user="1234:4321", detach=True)
    archive = tar_of(("d", None, {"uid": 5, "gid": 6, "mode": 0o700, "mtime": 1_000_000_000}), ("d/f", b"x", {"uid": 7, "gid": 8, "mode": 0o4750}))
    made.put_archive("/tmp", archive)
    seen = clean.cli("exec", "-u", "0", made.id, "stat", "-c", "%u %g %a", "/tmp/d", "/tmp/d/f").stdout.split("\n")
    assert seen[:2] == ["5 6 700", "7 8 4750"]
    status, _ = put(clean, made.id, "/tmp", archive, "&copyUIDGID=1")
    assert status == 200
    seen = clean.cli("exec", "-u", "0", made.id, "stat", "-c", "%u %g %a", "/tmp/d", "/tmp/d/f").stdout.split("\n")
    assert seen[:2] == ["1234 4321 700", "1234 4321 4750"]
    assert put(clean, made.id, "/tmp", tar_of(("d", b"file", {})), "&noOverwriteDirNonDir=1")[0] == 400
    assert put(clean, made.id, "/tmp", tar_of(("d", b"file", {})))[0] == 200
    assert put(clean, made.id, "/tmp", tar_of(("d", None, {})), "&noOverwriteDirNonDir=true")[0] == 400
    assert put(clean, made.id, "/etc/passwd", archive)[0] == 400
    assert put(clean, made.id, "/nosuch", archive)[0] == 404
    assert put(clean, made.id, "/tmp", b"no tar" * 200)[0] == 400
    # What the kernel refuses (on an overlay a device 0/0 would hide what is below) is told with its name.
    status, said = put(clean, made.id, "/tmp", tar_of(("dev", b"", {"type": tarfile.CHRTYPE})))
    assert (status, json.loads(said)["message"]) == (500, "Error processing tar file: /tmp/dev: operation not permitted")


def put(engine: Engine, container: str, path: str, data: bytes, more: str = "") -> tuple[int, Any]:
    from tests.harness import Unix

    connection = Unix(str(engine.socket), 60)
    with contextlib.closing(connection):
        connection.request("PUT", f"/containers/{container}/archive?path={path}{more}", data, {"Content-Type": "application/x-tar"})
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_read_only_places_are_refused(clean: Engine) -> None:
    clean.cli("run", "-d", "--name", "ro", "--read-only", "-v", "rov:/ro:ro", "-v", "rwv:/rw", "busybox", "sleep", "100")
    file = tar_of(("f", b"x", {}))
    assert put(clean, "ro", "/etc", file)[0] == 403
    status, said = put(clean, "ro", "/ro", file)
    assert (status, json.loads(said)["message"]) == (403, "mounted volume is marked read-only")
    assert put(clean, "ro", "/rw", file)[0] == 200
    clean.cli("rm", "-f", "ro")
    clean.cli("volume", "rm", "rov", "rwv")


def test_diff_and_export(run: Run, clean: Engine) -> None:
    run("run", "--name", "gone", "-v", "/v", "busybox", "sh", "-c", "echo a >/new; rm /etc/group; echo b >>/etc/passwd; echo c >/v/x")
    assert run("diff", "gone").stdout.splitlines() == ["C /etc", "D /etc/group", "C /etc/passwd", "A /new", "A /v"]
    for state in ("stopped", "running"):
        if state == "running":
            run("start", "gone")
        out = clean.root / "export.tar"
        run("export", "-o", str(out), "gone")
        found = names(out.read_bytes())
        out.unlink()
        assert {"new", "etc/passwd", "bin/busybox", "v"} <= set(found)
        assert not {"etc/group", "v/x", ".", "/"} & set(found)


def test_commit_makes_a_layer(run: Run, clean: Engine) -> None:
    script = "echo a >/new; rm /etc/group; rm -r /root; mkdir /root; echo r >/root/r; ln /new /hard; chown 3:4 /new; chmod 4755 /new"
    run("run", "--name", "base", "-e", "A=1", "--label", "l=1", "busybox", "sh", "-c", script)
    id_ = run("commit", "-a", "somebody", "-m", "words", "-c", 'CMD ["cat","/new"]', "-c", "ENV B=2", "base", "e2e/made:v1").stdout.strip()
    try:
        assert run("run", "--rm", "e2e/made:v1").stdout == "a\n"
        shown = run("run", "--rm", "e2e/made:v1", "sh", "-c", "ls -A /root; ls /etc/group; stat -c '%u %g %a %h' /new; echo $A$B", check=False)
        assert shown.stdout == "r\n3 4 4755 2\n12\n" and "No such file" in shown.stderr
        found = clean.call("GET", f"/images/{id_}/json")[1]
        base = clean.call("GET", "/images/busybox/json")[1]
        assert (found["Author"], found["Comment"], found["Config"]["Labels"]) == ("somebody", "words", {"l": "1"})
        assert found["RootFS"]["Layers"][:-1] == base["RootFS"]["Layers"]
        lines = clean.call("GET", f"/images/{id_}/history")[1]
        assert lines[0]["Comment"] == "words" and lines[0]["CreatedBy"] == f"sh -c {script}"
        saved = clean.shell(f"docker save {id_} | tar xO blobs/{found['RootFS']['Layers'][-1].replace(':', '/')} | tar t").stdout.split()
        assert {"etc/.wh.group", "root/.wh..wh..opq", "new", "hard"} <= set(saved)
        assert clean.call("POST", "/commit?container=base&changes=FROM%20x")[0] == 400
        assert clean.call("POST", "/commit?container=nosuch")[0] == 404
    finally:
        run("rmi", "e2e/made:v1")


def test_commit_of_a_running_container_stops_it_for_a_moment_only(clean: Engine, sdk: Any) -> None:
    made = sdk.containers.run("busybox", "sleep 100", detach=True)
    image = made.commit("e2e/running", "t", message="m", author="a", changes="LABEL x=y", conf={"Env": ["Z=9"]})
    made.reload()
    assert made.status == "running" and image.labels == {"x": "y"} and "Z=9" in image.attrs["Config"]["Env"]
    sdk.images.remove(image.id, force=True)


def test_a_large_file_is_streamed(clean: Engine, folder: Path) -> None:
    """200 MB both ways, and the daemon stays small."""
    with (folder / "large").open("wb") as file:
        file.truncate(200 << 20)
    clean.cli("run", "-d", "--name", "big", "busybox", "sleep", "100")
    clean.cli("cp", f"{folder}/large", "big:/large")
    clean.cli("cp", "big:/large", f"{folder}/back")
    assert (folder / "back").stat().st_size == 200 << 20
    peak = clean.machine.path(f"/proc/{clean.pid}/status").read_text()
    assert int(peak.split("VmHWM:")[1].split()[0]) < 400 << 10, "kB at the peak"


def test_a_client_that_leaves_lets_go(clean: Engine) -> None:
    """What was mounted for an archive that nobody reads is gone, and the container can be started."""
    clean.cli("create", "--name", "left", "-v", "/v", "busybox", "sleep", "100")
    clean.shell("curl -s --unix-socket ${DOCKER_HOST#unix://} http://d/containers/left/export | head -c 1000 >/dev/null", check=False)
    assert clean.cli("start", "left").stdout == "left\n"


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_disk_mounted_while_the_daemon_runs_is_the_one_written_to(clean: Engine, runtime: str) -> None:
    disk = clean.machine.scratch / "disk"
    clean.shell(f"mkdir -p {disk}")

    def write(source: str, name: str) -> str:
        words = ["run", "--rm", "--runtime", runtime, "-v", f"{source}:/p", "busybox", "sh", "-c", f"ls -A /p; echo > /p/{name}"]
        return clean.cli(*words).stdout

    try:
        assert write(str(disk), "below") == ""
        clean.shell(f"mount -t tmpfs later {disk}")
        assert write(str(disk), "above") == "" and clean.shell(f"ls {disk}").stdout == "above\n"
        assert write(f"{disk}/made/for/it", "new") == "" and clean.shell(f"ls {disk}/made/for/it").stdout == "new\n"
        clean.shell(f"umount {disk}")
        assert write(str(disk), "again") == "below\n" and clean.shell(f"ls {disk}").stdout == "again\nbelow\n"
    finally:
        clean.shell(f"umount {disk} 2>/dev/null; rm -rf {disk}")


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_mounts_propagate_as_the_bind_says(clean: Engine, runtime: str) -> None:
    disk, snapshots = clean.machine.scratch / "shared", "grep -c /snapshots/ /proc/self/mountinfo || true"
    clean.shell(f"mkdir -p {disk} && mount -t tmpfs shared {disk} && mount --make-shared {disk} && mkdir {disk}/h {disk}/c")
    roots = int(clean.shell(snapshots).stdout)
    try:
        for name, propagation in (("both", "rshared"), ("in", "rslave"), ("none", "rprivate")):
            clean.cli("run", "-d", "--name", name, "--privileged", "--runtime", runtime, "-v", f"{disk}:/p:{propagation}", "busybox", "sleep", "300")
        clean.shell(f"mount -t tmpfs host {disk}/h && touch {disk}/h/host")
        clean.cli("exec", "both", "sh", "-c", "mount -t tmpfs container /p/c && touch /p/c/container")
        clean.cli("exec", "in", "sh", "-c", "mkdir -p /p/c/x && mount -t tmpfs own /p/c/x && touch /p/c/x/own")
        seen = {name: clean.cli("exec", name, "sh", "-c", "ls /p/h /p/c").stdout.split() for name in ("both", "in", "none")}
        heads = ["/p/c:", "/p/h:"]
        assert {name: sorted(set(words) - set(heads)) for name, words in seen.items()} == {
            "both": ["container", "host", "x"],
            "in": ["container", "host", "x"],
            "none": [],
        }
        assert sorted(clean.shell(f"ls {disk}/h {disk}/c/container {disk}/c/x").stdout.split()) == sorted(
            [f"{disk}/c/container", f"{disk}/c/x:", f"{disk}/h:", "host"]
        )
        # Of their roots the host sees the root alone.
        assert int(clean.shell(snapshots).stdout) == roots + 3
        clean.cli("rm", "-f", "both", "in", "none")
        assert clean.shell(f"ls -d {disk}/h/host {disk}/c/container").exit == 0
    finally:
        clean.shell(f"umount -R {disk}; rm -rf {disk}", check=False)


@pytest.mark.parametrize(("propagation", "kind"), [("rshared", "shared mount"), ("rslave", "shared or slave mount")])
def test_a_bind_that_cannot_propagate_is_refused(clean: Engine, propagation: str, kind: str) -> None:
    disk = clean.machine.scratch / "private"
    clean.shell(f"mkdir -p {disk} && mount -t tmpfs private {disk} && mount --make-private {disk}")
    try:
        done = clean.cli("run", "--name", "no", "-v", f"{disk}/new:/p:{propagation}", "busybox", "true", check=False)
        assert done.exit == 125 and f"path {disk}/new is mounted on {disk} but it is not a {kind}" in done.stderr
        status, _ = clean.call("POST", "/containers/no/start")
        assert status == 500
    finally:
        clean.cli("rm", "-f", "no", check=False)
        clean.shell(f"umount {disk}; rmdir {disk}", check=False)


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_mount_that_was_made_shared_later_propagates(clean: Engine, runtime: str) -> None:
    disk, first = clean.machine.scratch / "later", clean.machine.scratch / "first"
    for place in (disk, first):
        clean.shell(f"mkdir -p {place} && mount -t tmpfs later {place} && mount --make-private {place} && mkdir {place}/h")
    try:
        clean.shell(f"mount --make-shared {first}")
        # From here on there is a namespace of the runtimes in which the other is private.
        clean.cli("run", "--rm", "--runtime", runtime, "-v", f"{first}:/p:rshared", "busybox", "true")
        clean.shell(f"mount --make-shared {disk}")
        clean.cli("run", "-d", "--name", "box", "--privileged", "--runtime", runtime, "-v", f"{disk}:/p:rshared", "busybox", "sleep", "300")
        clean.shell(f"mount -t tmpfs host {disk}/h && touch {disk}/h/host")
        assert clean.cli("exec", "box", "ls", "/p/h").stdout == "host\n"
        clean.cli("exec", "box", "sh", "-c", "mkdir /p/c && mount -t tmpfs container /p/c && touch /p/c/container")
        assert clean.shell(f"ls {disk}/c").stdout == "container\n"
    finally:
        clean.cli("rm", "-f", "box", check=False)
        clean.shell(f"umount -R {disk} {first}; rm -rf {disk} {first}", check=False)


def test_what_cannot_be_deleted_stays_dead_and_keeps_nobody_from_starting(clean: Engine) -> None:
    if clean.kind != "sanbashi":
        pytest.skip("dockerd has its layers elsewhere")
    layers = clean.root / "data/snapshots"
    clean.cli("run", "-d", "--name", "stuck", "busybox", "sh", "-c", "mkdir /d && echo > /d/f && echo > /d/ready && exec sleep 1000")
    clean.cli("exec", "stuck", "sh", "-c", "until [ -e /d/ready ]; do sleep 0.05; done")
    upper = layers / clean.cli("inspect", "-f", "{{.Id}}", "stuck").stdout.strip() / "upper/d/f"
    if clean.shell(f"chattr +i {upper}", check=False).exit:
        pytest.skip("this file system has no immutable files")
    try:
        clean.cli("create", "--name", "other", "busybox")
        for again in (False, True):
            refused = clean.cli("rm", "-f", "stuck", check=False)
            assert refused.exit == 1 and "unable to remove filesystem: unlinkat" in refused.stderr
            assert "/upper/d/f: operation not permitted" in refused.stderr
            assert clean.cli("ps", "-a", "--filter", "name=stuck", "--format", "{{.Status}} {{.State}}").stdout == "Dead dead\n"
            state = json.loads(clean.cli("inspect", "-f", "{{json .State}}", "stuck").stdout)
            assert (state["Status"], state["Dead"]) == ("dead", True) and "operation not permitted" in state["Error"]
            assert "container is marked for removal and cannot be started" in clean.cli("start", "stuck", check=False).stderr
            assert "container is marked for removal and cannot be started" in clean.cli("restart", "stuck", check=False).stderr
            if not again:
                clean.end()
                clean.start()
        assert "other" not in clean.cli("container", "prune", "-f").stdout and clean.cli("ps", "-a", "--format", "{{.Names}}").stdout == "stuck\n"
    finally:
        clean.shell(f"chattr -i {layers}/*/upper/d/f", check=False)
    clean.cli("rm", "stuck")
    assert clean.cli("ps", "-aq").stdout == "" and clean.shell(f"ls -A {layers}").stdout == ""


def test_an_anonymous_volume_that_cannot_be_deleted_keeps_no_container(clean: Engine) -> None:
    if clean.kind != "sanbashi":
        pytest.skip("docker names its folder otherwise")
    clean.cli("run", "-d", "--rm", "--name", "keeps", "-v", "/v", "busybox", "sh", "-c", "echo > /v/f; touch /v/ready; exec sleep 1000")
    clean.cli("exec", "keeps", "sh", "-c", "until [ -e /v/ready ]; do sleep 0.05; done")
    volume = clean.cli("inspect", "-f", "{{(index .Mounts 0).Name}}", "keeps").stdout.strip()
    file = clean.root / "data/volumes" / volume / "_data/f"
    if clean.shell(f"chattr +i {file}", check=False).exit:
        pytest.skip("this file system has no immutable files")
    try:
        clean.cli("rm", "-f", "keeps")
        assert clean.cli("ps", "-aq").stdout == "" and clean.cli("volume", "ls", "-q").stdout.split() == [volume]
        refused = clean.cli("volume", "rm", volume, check=False)
        assert refused.exit == 1 and f"unlinkat {file}: operation not permitted" in refused.stderr
    finally:
        clean.shell(f"chattr -i {file}", check=False)
    clean.cli("volume", "rm", volume)


def test_a_root_that_a_death_left_in_place_is_unmounted_at_the_next_start(clean: Engine) -> None:
    if clean.kind != "sanbashi":
        pytest.skip("dockerd starts its runtimes in its own namespace")
    clean.cli("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    monitor = next(pid for pid, line in clean.machine.processes().items() if "conmon" in line)
    place = clean.root / "data/snapshots" / clean.cli("create", "--name", "starts", "busybox", "true").stdout.strip() / "merged"
    mounts = f"grep -c {place} /proc/{monitor}/mountinfo || true"
    clean.shell(f"nsenter --target {monitor} --mount mount -t tmpfs left {place}")
    assert clean.shell(mounts).stdout == "1\n"
    clean.kill()
    clean.start()
    try:
        assert clean.shell(mounts).stdout == "0\n"
        assert clean.cli("exec", "box", "true").exit == 0 and clean.cli("start", "-a", "starts").exit == 0
    finally:
        clean.cli("rm", "-f", "box", "starts")


def test_a_bind_of_links_in_a_circle_is_refused_and_leaves_nothing(clean: Engine) -> None:
    link = clean.machine.scratch / "circle"
    clean.shell(f"ln -s circle {link}")
    try:
        made = clean.cli("run", "--rm", "-v", f"{link}:/p", "busybox", "true", check=False)
        assert made.exit != 0 and "internal error" not in made.stderr and "ymbolic link" in made.stderr
    finally:
        clean.shell(f"rm {link}")
