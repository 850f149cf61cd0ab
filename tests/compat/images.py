"""The images that other projects' suites ask for, made of the test images' layer and pushed beside them into the registry of a machine.

.venv/bin/python -m tests.compat.images URL
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import tests.images
from tests.images import PATH, RECIPES_VERSION, Recipe, build, push, write_archive
from tests.rootfs import CACHE, Blob, alone, layer, write_layer

SAYS = "\\nHello from Docker!\\nThis message shows that your installation appears to be working correctly.\\n"
SHELL = {"Env": [PATH], "Cmd": ["/bin/sh"]}
EXTRA = {
    "alpine310": Recipe("library/alpine:3.10", ("busybox", "alpine310"), SHELL),
    "alpine": Recipe("library/alpine:latest", ("busybox", "alpine"), SHELL),
    "hello": Recipe("library/hello-world:latest", ("busybox",), {"Env": [PATH], "Cmd": ["/bin/printf", SAYS]}),
}
# What the suites look for in Alpine and busybox alone has not.
FILES: Mapping[str, str] = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\npostgres:x:70:70::/var/lib/postgresql:/bin/sh\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n",
    "etc/group": "root:x:0:root\ndaemon:x:2:root,bin,daemon\npostgres:x:70:\nnobody:x:65534:\n",
    "etc/alpine-release": "0\n",
    "var/opt/.keep": "",
    "var/lib/postgresql/.keep": "",
}


def extra_layer(release: str) -> Blob:
    """The layer over busybox's that makes it look like Alpine."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for name, text in {**FILES, "etc/alpine-release": f"{release}\n"}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return write_layer(root)


def make() -> None:
    """Make the archives that are missing; .cache/images keeps them."""
    tests.images.RECIPES.update(EXTRA)
    with alone():
        build("busybox")
        for key, recipe in EXTRA.items():
            archive = CACHE / f"{key}-{RECIPES_VERSION}.tar"
            if not archive.exists():
                write_archive(key, [layer("busybox"), *(extra_layer(part) for part in recipe.layers[1:])], archive)


def push_extra(registry: str) -> None:
    """Push them all."""
    make()
    for key, recipe in EXTRA.items():
        push(registry, key, recipe.tag)


if __name__ == "__main__":
    push_extra(sys.argv[1])
