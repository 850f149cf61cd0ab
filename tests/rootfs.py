"""The layers that the test images are made of: root file systems of the distribution's packages, packed as tar; needs root, debootstrap and apt."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "images"
VERSION = "1"  # changes when what is built changes
PAGE = "<html><body><h1>It works!</h1></body></html>\n"

# A layer is "base" (debootstrap), "busybox", "apt" (one file), or the packages installed on top of base.
PACKAGES = {"apache": ("apache2",), "tools": ("iproute2", "iputils-ping", "curl", "dnsutils")}
# As in Docker's own images no translations are fetched; what a package merely recommends would be most of what an installation costs.
APT = 'Acquire::Languages "none";\nAPT::Install-Recommends "false";\n'
# What a package manager leaves behind and no image wants; the resolver's file is the engine's.
FILES_LEFT_OUT = ("var/cache/apt/", "var/lib/apt/lists/", "var/log/", "etc/resolv.conf", "etc/hostname", "etc/.pwd.lock")
TREES_LEFT_OUT = ("usr/share/doc/", "usr/share/man/", "usr/share/locale/", "proc/", "sys/")


@dataclass(frozen=True)
class Blob:
    """A file named by its digest, in CACHE/blobs."""

    digest: str
    size: int
    media_type: str
    diff_id: str = ""

    @property
    def path(self) -> Path:
        return CACHE / "blobs" / self.digest.removeprefix("sha256:")

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


HELD = 0


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One builder at a time on this machine; re-entrant in a process."""
    global HELD
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        if not HELD:
            fcntl.flock(lock, fcntl.LOCK_EX)
        HELD += 1
        try:
            yield
        finally:
            HELD -= 1


def layer(name: str) -> Blob:
    """A layer of the cache, built first where it is missing; all that need a root file system are built together in a mount namespace."""
    note = CACHE / f"layer-{name}-{VERSION}.json"
    if not note.exists():
        (CACHE / "blobs").mkdir(parents=True, exist_ok=True)
        if name in ("busybox", "apt"):
            note.write_text(json.dumps(vars(busybox_layer() if name == "busybox" else apt_layer())))
        else:
            print("building the test images' base and its layers (once, about a minute)", file=sys.stderr)
            subprocess.run(
                ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", "tests.rootfs"],
                check=True,
                cwd=CACHE.parent.parent,
            )
    return Blob(**json.loads(note.read_text()))


def build_layers() -> None:
    """Build base and the layers on top of it in a tmpfs; runs in a mount namespace of its own, which takes everything away at its end."""
    scratch = CACHE / "scratch"
    scratch.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", scratch], check=True)
    debs = CACHE / "debs"
    (debs / "partial").mkdir(parents=True, exist_ok=True)
    base = scratch / "base"
    sources = apt_sources()
    site, suite, _ = sources[0]
    run("debootstrap", "--variant=minbase", f"--cache-dir={debs}", suite, base, site)
    (base / "etc/apt/sources.list").write_text("".join(f"deb {site} {suite} {parts}\n" for site, suite, parts in sources))
    (base / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")  # nothing may be started in a chroot
    (base / "usr/sbin/policy-rc.d").chmod(0o755)
    excluded = "".join(f"path-exclude=/{t}*\n" for t in TREES_LEFT_OUT if t.startswith("usr/"))
    (base / "etc/dpkg/dpkg.cfg.d/image").write_text(f"{excluded}force-unsafe-io\n")
    run("mount", "-t", "proc", "proc", base / "proc")
    run("chroot", base, "apt-get", "-qq", "update")
    run("umount", base / "proc")
    keep("base", write_layer(base))
    for name, packages in PACKAGES.items():
        upper, work, root = (scratch / f"{name}-{part}" for part in ("upper", "work", "root"))
        for directory in (upper, work, root):
            directory.mkdir()
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={base},upperdir={upper},workdir={work}", root)
        run("mount", "--bind", debs, root / "var/cache/apt/archives")
        run("mount", "-t", "proc", "proc", root / "proc")
        run("chroot", root, "apt-get", "-qq", "install", "--yes", "--no-install-recommends", *packages)
        if name == "apache":
            (root / "var/www/html/index.html").write_text(PAGE)
        run("umount", root / "proc")
        run("umount", root / "var/cache/apt/archives")
        run("umount", root)
        keep(name, write_layer(upper))


def run(*command: str | Path) -> None:
    """A command whose output is shown only when it fails."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}")


def keep(name: str, blob: Blob) -> None:
    """Remember which blob a layer is."""
    (CACHE / f"layer-{name}-{VERSION}.json").write_text(json.dumps(vars(blob)))


def apt_sources() -> list[tuple[str, str, str]]:
    """The host's own distribution as (mirror, suite, components), the plain suite first."""
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    codename = release["VERSION_CODENAME"].strip('"')
    shown = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)", "Identifier: Packages"], capture_output=True, text=True
    )
    found: dict[tuple[str, str], list[str]] = {}
    for line in shown.stdout.splitlines():
        site, suite, component = line.split()
        if suite == codename or suite.startswith(f"{codename}-"):
            found.setdefault((site.removeprefix("mirror+"), suite), []).append(component)
    if not any(suite == codename for _, suite in found):
        ubuntu = "ubuntu" in release["ID"]
        found[("http://archive.ubuntu.com/ubuntu" if ubuntu else "http://deb.debian.org/debian", codename)] = ["main"]
    rows = [(site, suite, " ".join(dict.fromkeys(parts))) for (site, suite), parts in found.items()]
    return sorted(rows, key=lambda row: len(row[1]))


def busybox_layer() -> Blob:
    """The root file system of busybox: one static program, its applets as hard links, the few files that a shell expects."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        for directory in ("bin", "dev", "etc", "home", "root", "proc", "sys", "tmp", "usr/bin", "usr/sbin", "var/spool/mail", "var/www"):
            (root / directory).mkdir(parents=True)
        (root / "tmp").chmod(0o1777)
        (root / "root").chmod(0o700)
        program = root / "bin/busybox"
        shutil.copy(static_busybox(Path(scratch)), program)
        for applet in subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split():
            if applet != "busybox":
                os.link(program, root / "bin" / applet)
        people = ("root:x:0:0:root:/root:/bin/sh", "daemon:x:1:1:daemon:/usr/sbin:/bin/false", "nobody:x:65534:65534:nobody:/home:/bin/false")
        (root / "etc/passwd").write_text("\n".join((*people, "")))
        (root / "etc/group").write_text("root:x:0:\ndaemon:x:1:\nwheel:x:10:root\nnobody:x:65534:\n")
        (root / "etc/shadow").write_text("root:*::0:::::\ndaemon:*::0:::::\nnobody:*::0:::::\n")
        (root / "etc/shadow").chmod(0o640)
        return write_layer(root)


def apt_layer() -> Blob:
    """What apt is told in an image in which it will be used."""
    with tempfile.TemporaryDirectory() as scratch:
        told = Path(scratch) / "etc/apt/apt.conf.d/image"
        told.parent.mkdir(parents=True)
        told.write_text(APT)
        return write_layer(Path(scratch))


def static_busybox(scratch: Path) -> Path:
    """A statically linked busybox: the installed one, or the distribution's package."""
    installed = Path("/bin/busybox")
    if installed.exists() and b"/lib64/ld-linux" not in installed.read_bytes()[:8192]:
        return installed
    subprocess.run(["apt-get", "-qq", "download", "busybox-static"], cwd=scratch, check=True)
    subprocess.run(["dpkg", "-x", *scratch.glob("*.deb"), scratch / "deb"], check=True)
    return next(p for p in (scratch / "deb").rglob("busybox") if p.is_file() and p.parent.name == "bin")


class Tee(io.RawIOBase):
    """Writes through gzip, hashing what goes in."""

    def __init__(self, target: gzip.GzipFile) -> None:
        self.target = target
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return self.target.write(data)


def write_layer(root: Path) -> Blob:
    """Pack a directory as a layer blob; overlay's whiteouts (0:0) and opaque directories become .wh. files, capabilities are kept."""
    partial = CACHE / "blobs" / f"partial-{os.getpid()}"
    with partial.open("wb") as out, gzip.GzipFile(fileobj=out, mode="wb", compresslevel=3, mtime=0) as packed:
        tee = Tee(packed)
        with tarfile.open(fileobj=tee, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20) as tar:
            for path in sorted(root.rglob("*")):
                name = str(path.relative_to(root))
                mode = path.lstat().st_mode
                if not (name.startswith(TREES_LEFT_OUT) or stat.S_ISSOCK(mode) or (name.startswith(FILES_LEFT_OUT) and not stat.S_ISDIR(mode))):
                    add(tar, path, name)
    digest = hashlib.file_digest(partial.open("rb"), "sha256").hexdigest()
    blob = Blob(f"sha256:{digest}", partial.stat().st_size, "application/vnd.oci.image.layer.v1.tar+gzip", f"sha256:{tee.digest.hexdigest()}")
    partial.rename(blob.path)
    return blob


def add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """One entry of a layer."""
    entry = tar.gettarinfo(path, name)
    entry.uname = entry.gname = ""
    entry.mtime = int(entry.mtime)
    attributes = {a: os.getxattr(path, a, follow_symlinks=False) for a in os.listxattr(path, follow_symlinks=False)}
    if entry.ischr() and (entry.devmajor, entry.devminor) == (0, 0):
        entry = tarfile.TarInfo(str(Path(name).parent / f".wh.{Path(name).name}"))
    for attribute, value in attributes.items():
        if attribute == "trusted.overlay.opaque":
            tar.addfile(tarfile.TarInfo(f"{name}/.wh..wh..opq"))
        elif not attribute.startswith("trusted."):
            entry.pax_headers = {**entry.pax_headers, f"SCHILY.xattr.{attribute}": value.decode("utf-8", "surrogateescape")}
    if entry.isreg():
        with path.open("rb") as content:
            tar.addfile(entry, content)
    else:
        tar.addfile(entry)


if __name__ == "__main__":
    build_layers()
