"""The images that the tests and the demo run, built from the distribution's packages without any engine, and a registry that serves them.

    .venv/bin/python -m tests.images                build what is missing, print the archives
    .venv/bin/python -m tests.images serve          serve them until ^C, print the registry's URL

`busybox` is the host's busybox-static; `httpd` a Debian (or Ubuntu) with apache2; `ubuntu` the same system, in two flavours: `recordings` has
iproute2, ping, curl and dig, `chapter` has none of them. The last three share their lowest layer. An archive is both a docker-archive and an
OCI layout, so `docker load` and `podman load` take it. Everything is kept under .cache/images. Cold about a minute, warm some milliseconds.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import urllib3
from tests.rootfs import CACHE, Blob, alone, layer

RECIPES_VERSION = "2"  # changes when a recipe does; the layers have a version of their own
CREATED = "2024-01-01T00:00:00Z"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
Flavour = Literal["recordings", "chapter"]


@dataclass(frozen=True)
class Recipe:
    """An image: the layers that it is made of (lowest first), its configuration and the name that it is served by."""

    tag: str
    layers: tuple[str, ...]
    config: Mapping[str, Any]


# The layers are those of tests/rootfs.py. apachectl does not pass on SIGTERM: every stop would wait its ten seconds and then kill.
WEB = {"Env": [PATH], "Cmd": ["apachectl", "-D", "FOREGROUND"], "ExposedPorts": {"80/tcp": {}}, "StopSignal": "SIGKILL"}
SHELL = {"Env": [PATH], "Cmd": ["/bin/bash"]}
RECIPES = {
    "busybox": Recipe("library/busybox:latest", ("busybox",), {"Env": [PATH], "Cmd": ["sh"]}),
    "httpd": Recipe("library/httpd:2.4", ("base", "apache"), WEB),
    "ubuntu": Recipe("library/ubuntu:latest", ("base", "tools"), SHELL),
    "ubuntu-chapter": Recipe("library/ubuntu:latest", ("base", "apt"), SHELL),
}


def build(name: str) -> Path:
    """The archive of an image of RECIPES ("httpd:2.4" and "library/ubuntu" are understood), built first where it is missing."""
    key = name.removeprefix("library/").split(":")[0]
    archive = CACHE / f"{key}-{RECIPES_VERSION}.tar"
    if not archive.exists():
        with alone():
            if not archive.exists():
                layers = [layer(part) for part in RECIPES[key].layers]
                write_archive(key, layers, archive)
    return archive


def push_all(registry: str, *, flavour: Flavour = "recordings") -> None:
    """Push library/busybox:latest, library/httpd:2.4 and library/ubuntu:latest to a registry ("http://127.0.0.1:5000")."""
    for key in ("busybox", "httpd", "ubuntu" if flavour == "recordings" else "ubuntu-chapter"):
        push(registry, key, RECIPES[key].tag)


def push(registry: str, key: str, tag: str) -> None:
    """Push one image under a repository and tag of the caller's choice ("team/web:1")."""
    repository, _, version = tag.partition(":")
    with tarfile.open(build(key)) as archive, urllib3.PoolManager() as web:
        index = json.load(member(archive, "index.json"))
        manifest = member(archive, blob_name(index["manifests"][0]["digest"])).read()
        parsed = json.loads(manifest)
        for part in (parsed["config"], *parsed["layers"]):
            if web.request("HEAD", f"{registry}/v2/{repository}/blobs/{part['digest']}").status == 200:
                continue
            upload = web.request("POST", f"{registry}/v2/{repository}/blobs/uploads/")
            location = upload.headers["Location"]
            url = f"{location}{'&' if '?' in location else '?'}digest={part['digest']}"
            body = member(archive, blob_name(part["digest"]))
            answer = web.request("PUT", url, body=body, headers={"Content-Type": "application/octet-stream", "Content-Length": str(part["size"])})
            assert answer.status == 201, answer.data
        headers = {"Content-Type": parsed["mediaType"]}
        answer = web.request("PUT", f"{registry}/v2/{repository}/manifests/{version}", body=manifest, headers=headers)
        assert answer.status == 201, answer.data


@contextlib.contextmanager
def serve(*, flavour: Flavour = "recordings", port: int = 0, empty: bool = False, extra: Mapping[str, Any] = {}) -> Iterator[str]:
    """Run docker-registry on 127.0.0.1 with the images in it (none if `empty`); gives its URL. `extra` is merged into its configuration."""
    program = shutil.which("docker-registry")
    if program is None:
        raise FileNotFoundError("docker-registry is not installed: apt-get install docker-registry")
    port = port or free_port()
    # Beside the stored blobs, which are linked: /tmp may be another file system, as it is on Debian 13.
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="serving-", dir=CACHE) as scratch:
        root = Path(scratch)
        if not empty:
            shutil.copytree(stored(flavour), root / "data", copy_function=link_or_copy)
        config = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(root / "data")}, "delete": {"enabled": True}},
            "http": {"addr": f"127.0.0.1:{port}"},
            **extra,
        }
        (root / "config.yml").write_text(json.dumps(config))  # JSON is YAML
        with running([program, "serve", str(root / "config.yml")], port, root / "log"):
            yield f"{'https' if 'tls' in config['http'] else 'http'}://127.0.0.1:{port}"


@contextlib.contextmanager
def running(command: Sequence[str], port: int, log: Path) -> Iterator[None]:
    """A process that listens on a port of 127.0.0.1, for as long as the block lasts."""
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 60
            while True:
                with contextlib.suppress(ConnectionRefusedError, TimeoutError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} does not listen on port {port}: {log.read_text()}")
                time.sleep(0.01)
            yield
        finally:
            process.terminate()


def stored(flavour: Flavour) -> Path:
    """A registry's storage with the images in it, filled once."""
    storage = CACHE / f"registry-{flavour}-{RECIPES_VERSION}"
    for key in RECIPES:
        build(key)
    if not storage.exists():
        with alone():
            if not storage.exists():
                partial = storage.with_suffix(".new")
                shutil.rmtree(partial, ignore_errors=True)
                (partial / "docker").mkdir(parents=True)
                with serve(empty=True, extra={"storage": {"filesystem": {"rootdirectory": str(partial)}}}) as url:
                    push_all(url, flavour=flavour)
                partial.rename(storage)
    return storage


def link_or_copy(source: str, target: str) -> None:
    """Blobs never change, so a hard link will do; links and tags may be rewritten in place."""
    if source.endswith("/data"):
        os.link(source, target)
    else:
        shutil.copy(source, target)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_archive(key: str, layers: Sequence[Blob], archive: Path) -> None:
    """Write an image as an archive that is a docker-archive and an OCI layout at once."""
    recipe = RECIPES[key]
    repository, _, version = recipe.tag.removeprefix("library/").partition(":")
    architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
    config = small(
        "application/vnd.oci.image.config.v1+json",
        {
            "architecture": architecture,
            "os": "linux",
            "created": CREATED,
            "config": recipe.config,
            "rootfs": {"type": "layers", "diff_ids": [b.diff_id for b in layers]},
            "history": [{"created": CREATED, "created_by": f"packages of {part}"} for part in recipe.layers],
        },
    )
    manifest_type = "application/vnd.oci.image.manifest.v1+json"
    parts = {"config": config.descriptor, "layers": [b.descriptor for b in layers]}
    manifest = small(manifest_type, {"schemaVersion": 2, "mediaType": manifest_type, **parts})
    name = f"docker.io/library/{repository}:{version}"
    notes = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": version}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [{**manifest.descriptor, "annotations": notes}]}
    old = [{"Config": blob_name(config.digest), "RepoTags": [f"{repository}:{version}"], "Layers": [blob_name(b.digest) for b in layers]}]
    partial = archive.with_suffix(f".{os.getpid()}")
    with tarfile.open(partial, "w") as tar:
        for file, content in (("oci-layout", {"imageLayoutVersion": "1.0.0"}), ("index.json", index), ("manifest.json", old)):
            data = json.dumps(content).encode()
            entry = tarfile.TarInfo(file)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        for blob in (config, manifest, *layers):
            tar.add(blob.path, blob_name(blob.digest))
    partial.rename(archive)


def small(media_type: str, value: Mapping[str, Any]) -> Blob:
    """A JSON document as a blob."""
    data = json.dumps(value).encode()
    blob = Blob("sha256:" + hashlib.sha256(data).hexdigest(), len(data), media_type)
    blob.path.write_bytes(data)
    return blob


def blob_name(digest: str) -> str:
    """Where a blob lies in an OCI layout."""
    return "blobs/" + digest.replace(":", "/")


def member(archive: tarfile.TarFile, name: str) -> Any:
    """A file of an archive."""
    return archive.extractfile(name)


def main(arguments: Sequence[str]) -> int:
    """The command line; see the module's docstring."""
    if arguments and arguments[0] == "serve":
        signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background inherits it as ignored
        chosen: Flavour = "chapter" if "chapter" in arguments else "recordings"
        with serve(flavour=chosen, port=next((int(a) for a in arguments if a.isdigit()), 0)) as url, contextlib.suppress(KeyboardInterrupt):
            print(url, flush=True)
            while True:
                time.sleep(3600)
    else:
        for key in RECIPES:
            print(build(key))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
