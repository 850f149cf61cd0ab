"""The files that a container sees through bind mounts: hostname, hosts, resolv.conf.

They are written in place (the mount holds the inode) and left alone once a user has edited them: a sidecar keeps the hash of what we wrote.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ..containers.model import Container
from ..errors import Unavailable
from ..network.hostfiles import hosts_of, resolv_conf_of
from .core import Core


def host_resolv_conf() -> str:
    """The text that containers' files are made from: systemd-resolved's own file where the host's names only its stub."""
    try:
        text = Path("/etc/resolv.conf").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    servers = [words[1] for words in map(str.split, text.splitlines()) if len(words) > 1 and words[0] == "nameserver"]
    real = Path("/run/systemd/resolve/resolv.conf")
    return real.read_text(encoding="utf-8", errors="replace") if servers == ["127.0.0.53"] and real.exists() else text


def write_files(core: Core, container: Container) -> None:
    """Write the files that follow from the present state; blocking, for a worker thread. Unavailable where they cannot be written."""
    folder = core.container_dir(container.id)
    try:
        write_all(core, container, folder)
    except OSError as error:
        raise Unavailable(f"cannot write the files of {container.name}: {error}", hint=f"see that {folder} has room and can be written") from error


def write_all(core: Core, container: Container, folder: Path) -> None:
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
    for name, text in (
        ("hosts", texts.get("hosts") or hosts_of(state, sandbox, named=names_of(core, sandbox.host_links))),
        ("resolv.conf", texts.get("resolv.conf") or resolv_conf_of(state, sandbox, host_resolv)),
        ("hostname", texts["hostname"]),
    ):
        write_unless_edited(folder / name, text, folder / "written.json")


def names_of(core: Core, links: tuple[tuple[str, str], ...]) -> dict[str, tuple[str, str]]:
    """Of each linked container: (hostname, name)."""
    containers = core.state.containers
    return {id_: (containers[id_].config.hostname, containers[id_].name) for _, id_ in links if id_ in containers}


def write_unless_edited(path: Path, text: str, sidecar: Path) -> None:
    """Write a file in place, unless it is no longer what we last wrote.

    What it will be is noted before it is written, so that a daemon that dies in between does not take its own text for somebody's edit.
    """
    ours: dict[str, list[str]] = json.loads(sidecar.read_text()) if sidecar.exists() else {}
    data = text.encode()
    present = path.read_bytes() if path.exists() else None
    if present == data:
        return
    if present is not None and path.name in ours and fingerprint(present) not in ours[path.name]:
        return
    between = data + (present or b"")[len(data) :]
    ours[path.name] = [fingerprint(content) for content in (present, data, between) if content is not None]
    following = sidecar.with_suffix(".new")
    following.write_text(json.dumps(ours))
    following.rename(sidecar)
    if present is None:
        path.touch(mode=0o644)
    with path.open("r+b", buffering=0) as file:
        file.write(data)
        file.truncate()
    path.chmod(0o644)


def fingerprint(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
