"""The image that is pulled: six layers of files that always are the same, and the registry that serves it in an engine's machine.

python -m bench.layers MEGABYTES     serve it until told to end; prints the registry's URL
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import random
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import urllib3
from tests.harness import Machine
from tests.images import serve
from tests.rootfs import CACHE, alone

LAYERS = 6
FILE = 64 * 1024  # bytes of a file; half of them compress away, as in programs
TYPES = {
    name: f"application/vnd.docker.{name}" for name in ("container.image.v1+json", "image.rootfs.diff.tar.gzip", "distribution.manifest.v2+json")
}
IMAGE = "bench/layers:latest"


def layer(number: int, megabytes: int) -> tuple[bytes, str]:
    """A layer of so many megabytes of files, always the same: (gzip, diff id)."""
    source = random.Random(number)
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for file in range(megabytes * 2**20 // FILE):
            entry = tarfile.TarInfo(f"layer{number}/{file // 100}/{file}")
            entry.size = FILE
            tar.addfile(entry, io.BytesIO(source.randbytes(FILE // 2) + bytes(FILE // 2)))
    content = plain.getvalue()
    return gzip.compress(content, 1, mtime=0), "sha256:" + hashlib.sha256(content).hexdigest()


def stored(megabytes: int) -> Path:
    """A registry's storage with the image in it, filled once."""
    storage = CACHE / f"registry-layers-{megabytes}"
    with alone():
        if not storage.exists():
            partial_storage = storage.with_suffix(".new")
            with serve(empty=True, extra={"storage": {"filesystem": {"rootdirectory": str(partial_storage)}}}) as url:
                push(url, megabytes)
            partial_storage.rename(storage)
    return storage


def push(url: str, megabytes: int) -> None:
    """Make the image and push it."""
    repository, _, tag = IMAGE.partition(":")
    with urllib3.PoolManager() as web:

        def blob(content: bytes, kind: str) -> dict[str, str | int]:
            digest = "sha256:" + hashlib.sha256(content).hexdigest()
            location = web.request("POST", f"{url}/v2/{repository}/blobs/uploads/").headers["Location"]
            answer = web.request("PUT", f"{location}{'&' if '?' in location else '?'}digest={digest}", body=content)
            assert answer.status == 201, answer.data
            return {"mediaType": TYPES[kind], "size": len(content), "digest": digest}

        layers = [layer(number, megabytes // LAYERS) for number in range(LAYERS)]
        machine = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
        history = [{"created": "2024-01-01T00:00:00Z", "created_by": f"layer {number}"} for number in range(LAYERS)]
        rootfs = {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]}
        config = {"architecture": machine, "os": "linux", "config": {"Cmd": ["/none"]}, "rootfs": rootfs, "history": history}
        manifest = {
            "schemaVersion": 2,
            "mediaType": TYPES["distribution.manifest.v2+json"],
            "config": blob(json.dumps(config).encode(), "container.image.v1+json"),
            "layers": [blob(packed, "image.rootfs.diff.tar.gzip") for packed, _ in layers],
        }
        headers = {"Content-Type": TYPES["distribution.manifest.v2+json"]}
        answer = web.request("PUT", f"{url}/v2/{repository}/manifests/{tag}", body=json.dumps(manifest), headers=headers)
        assert answer.status == 201, answer.data


@contextlib.contextmanager
def registry(where: Machine, megabytes: int) -> Iterator[str]:
    """A registry on the loopback of a machine; gives HOST:PORT."""
    note = where.scratch / "layers-registry"
    process = where.popen(
        ["bash", "-c", f'echo $$ > {note}; exec "$@"', "serve", sys.executable, "-m", "bench.layers", str(megabytes)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    said = cast(IO[str], process.stdout)
    try:
        url = said.readline().strip()
        if not url:
            raise RuntimeError("the registry did not start")
        yield url.removeprefix("http://")
    finally:
        where.run(["kill", "-INT", note.read_text().strip()], check=False)
        process.wait(30)
        said.close()


def main() -> None:
    """Serve until told to end, by SIGINT; what a shell starts in the background inherits that signal as ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    storage = stored(int(sys.argv[1]))
    with serve(empty=True, extra={"storage": {"filesystem": {"rootdirectory": str(storage)}}}) as url, contextlib.suppress(KeyboardInterrupt):
        print(url, flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
