"""The files that a container sees through bind mounts: hostname, hosts, resolv.conf.

They are written in place (the mount holds the inode). A sidecar keeps the hash of what we wrote, so that a user's edit is known: an edited
resolv.conf is left alone for good; an edited hosts keeps the user's lines while ours follow the networks. Each start writes hosts and hostname
anew, as Docker does: what they said of the addresses of the last run would be wrong.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from ..containers.model import Container
from ..errors import SanbashiError, Unavailable
from ..host.peeking import contents
from ..network.hostfiles import hosts_of, resolv_conf_of
from .core import Core

log = logging.getLogger("sanbashi.network")

MODE = 0o644
PAGE = 4096  # bytes
LARGEST = 1 << 20  # bytes: more than any of ours has, though a container that writes to its own may make it as large as the disk
NAMES = ("hostname", "hosts", "resolv.conf")
NOTED = "written.json"  # what we wrote, beside them
ANEW = frozenset({"hosts", "hostname"})
Ours = dict[str, list[str]]  # of each file the fingerprints, and its lines


def host_resolv_conf() -> str:
    """The text that containers' files are made from: systemd-resolved's own file where the host's names only its stub."""
    text = (content_of("/etc/resolv.conf") or b"").decode(errors="replace")
    servers = [words[1] for words in map(str.split, text.splitlines()) if len(words) > 1 and words[0] == "nameserver"]
    real = Path("/run/systemd/resolve/resolv.conf")
    return real.read_text(encoding="utf-8", errors="replace") if servers == ["127.0.0.53"] and real.exists() else text


def write_files(core: Core, container: Container, *, starts: bool = False) -> None:
    """Write the files that follow from the present state; blocking, for a worker thread. Unavailable where they cannot be written."""
    folder = core.container_dir(container.id)
    with writing(container, folder):
        write_all(core, container, folder, starts=starts)


def place_files(core: Core, container: Container) -> None:
    """Have the files there for a runtime to bind, as they are or empty: what they say is written, in place, while it works. As `write_files`.

    One that was there and is gone is written at once, for an empty one would be taken for somebody's edit.
    """
    folder = core.container_dir(container.id)
    with writing(container, folder):
        missing = [path for name in NAMES if not (path := folder / name).exists()] if container.sandbox_id else []
        if missing and (folder / NOTED).exists():
            write_all(core, container, folder, starts=True)
        elif missing:
            folder.mkdir(parents=True, exist_ok=True)
            for path in missing:
                path.touch(MODE)


@contextlib.contextmanager
def writing(container: Container, folder: Path) -> Iterator[None]:
    """What goes wrong while its files are written, in our words."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"cannot write the files of {container.name}: {error}", hint=f"see that {folder} has room and can be written") from error


async def refresh_files(core: Core, sandbox_id: str) -> None:
    """As `refresh`, on a worker thread."""
    await core.on_host(refresh, core, sandbox_id)


def refresh(core: Core, sandbox_id: str) -> None:
    """Write a running container's hosts and resolv.conf anew, in place; that they cannot be written undoes nothing. Blocking."""
    sandbox = core.state.network.sandboxes.get(sandbox_id)
    if sandbox is not None and sandbox.container_id in core.state.containers:
        container = core.state.containers[sandbox.container_id]
        try:
            write_files(core, container)
        except SanbashiError as error:
            log.error("the files of %s: %s", container.name, error.message)


def write_all(core: Core, container: Container, folder: Path, *, starts: bool) -> None:
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
    state = core.state.network
    sandbox = state.sandboxes.get(container.sandbox_id)
    if sandbox is None:
        return
    host_resolv = host_resolv_conf()
    texts = {"hostname": f"{container.config.hostname}\n"}
    if sandbox.mode == "host":
        texts["resolv.conf"] = host_resolv if not sandbox.dns and not sandbox.dns_search and not sandbox.dns_options else ""
        texts["hosts"] = Path("/etc/hosts").read_text(encoding="utf-8") if not sandbox.extra_hosts else ""
    texts["hosts"] = texts.get("hosts") or hosts_of(
        state, sandbox, named=names_of(core, sandbox.host_links), ipv6=sandbox.ipv6 and core.network_facts.ip6_available
    )
    texts["resolv.conf"] = texts.get("resolv.conf") or resolv_conf_of(state, sandbox, host_resolv)
    sidecar = folder / NOTED
    edited = write_those_unless_edited({folder / name: text for name, text in texts.items()}, sidecar, anew=ANEW if starts else frozenset())
    if folder / "hosts" in edited:
        follow(folder / "hosts", texts["hosts"], sidecar)


def names_of(core: Core, links: tuple[tuple[str, str], ...]) -> dict[str, tuple[str, str]]:
    """Of each linked container: (hostname, name)."""
    containers = core.state.containers
    return {id_: (containers[id_].config.hostname, containers[id_].name) for _, id_ in links if id_ in containers}


def write_those_unless_edited(texts: Mapping[Path, str], sidecar: Path, *, anew: frozenset[str]) -> frozenset[Path]:
    """Write files in place, but for those that are no longer what we last wrote and not to be made `anew`; which those are.

    What they will be is noted before they are written, so that a daemon that dies in between does not take its own text for somebody's edit.
    """
    noted = content_of(sidecar)
    ours = msgspec.json.decode(noted, type=Ours) if noted is not None else {}
    following: dict[Path, bytes] = {}
    edited: set[Path] = set()
    for path, text in texts.items():
        data, present, name = text.encode(), content_of(path), path.name
        if present == data:
            continue
        if present is not None and name in ours and fingerprint(present) not in ours[name] and name not in anew:
            edited.add(path)
            continue
        between = data + (present or b"")[len(data) :]
        ours[name] = [fingerprint(content) for content in (present, data, between) if content is not None]
        ours[f"{name} lines"] = text.splitlines()
        following[path] = data
    if following:
        note(sidecar, ours, noted)
    for path, data in following.items():
        overwrite(path, data)
    return frozenset(edited)


def follow(path: Path, text: str, sidecar: Path) -> None:
    """In a file that a user has edited, replace the lines that were ours by those of `text`; the user's stay where they are."""
    noted = sidecar.read_bytes()
    ours = msgspec.json.decode(noted, type=Ours)
    before, after = ours.get(f"{path.name} lines", []), text.splitlines()
    if before == after:
        return
    content = content_of(path) or b""
    if len(content) >= LARGEST:  # no user's edit: left alone
        return
    present = content.decode(errors="surrogateescape").splitlines()
    kept = [line for line in present if line in after or line not in before]
    lines = [*kept, *(line for line in after if line not in before and line not in kept)]
    ours[f"{path.name} lines"] = after
    note(sidecar, ours, noted)
    overwrite(path, "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape"))


def note(sidecar: Path, ours: Ours, noted: bytes | None) -> None:
    """Keep what we wrote, whole or not at all; `noted` is what the sidecar says."""
    data = msgspec.json.encode(ours)
    if noted is not None and len(data) <= PAGE and len(noted) <= PAGE:
        # One write within a page is done or not, whenever we are killed; blanks take the place of what was longer. A file renamed over another is
        # on its way to the disk at once, which costs ten times as much, and as long as the disk is busy.
        write_over(sidecar, data.ljust(len(noted)))
        return
    following = sidecar.with_suffix(".new")
    overwrite(following, data)
    following.rename(sidecar)


def write_over(path: Path, data: bytes) -> None:
    """The first bytes of a file that is there, in one write."""
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, data)
    finally:
        os.close(file)


def content_of(path: str | Path) -> bytes | None:
    """What a file says, of one that is too long to be ours only the beginning; None where there is none."""
    try:
        return contents(path, LARGEST)
    except FileNotFoundError:
        return None


def overwrite(path: Path, data: bytes) -> None:
    """Everybody may read it. A file that is there keeps its inode."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, MODE)
    try:
        written = 0
        while written < len(data):  # a disk that fills up takes a part of it
            written += os.write(file, data[written:])
        os.ftruncate(file, len(data))
        if stat.S_IMODE(os.fstat(file).st_mode) != MODE:
            os.fchmod(file, MODE)
    finally:
        os.close(file)


def fingerprint(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
