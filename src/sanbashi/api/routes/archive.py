"""/containers/{id}/archive, changes, export."""

from __future__ import annotations

import base64
import stat
from typing import TYPE_CHECKING

import msgspec

from ...daemon.filesystems import PathStat
from ..messages import TAR, Answer, Request, Response, Streamed, json_response
from ..times import rfc3339

if TYPE_CHECKING:
    from ...daemon.engine import Engine

STAT = "X-Docker-Container-Path-Stat"
# Go's fs.FileMode of what the kernel says: kind and set-id bits have bits of their own.
KINDS = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
}
SPECIAL = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}


def go_mode(mode: int) -> int:
    """A mode of stat(2) as Go numbers it."""
    return (mode & 0o777) | KINDS.get(stat.S_IFMT(mode), 0) | sum(bit for special, bit in SPECIAL.items() if mode & special)


def stat_header(found: PathStat) -> tuple[str, str]:
    """The header that tells what a path is."""
    document = {
        "name": found.name,
        "size": found.size,
        "mode": go_mode(found.mode),
        "mtime": rfc3339(found.mtime),
        "linkTarget": found.target,
    }
    return STAT, base64.b64encode(msgspec.json.encode(document)).decode()


async def look(engine: Engine, request: Request) -> Answer:
    """HEAD."""
    return Response(200, headers=(stat_header(await engine.filesystems.stat(request["id"], request.text("path"))),))


async def get(engine: Engine, request: Request) -> Answer:
    """`cp` from a container."""
    found, pieces = await engine.filesystems.archive(request["id"], request.text("path"))
    return Streamed(pieces, TAR, headers=(stat_header(found),))


async def put(engine: Engine, request: Request) -> Answer:
    """`cp` to a container."""
    await engine.filesystems.put(
        request["id"],
        request.text("path"),
        request.body,
        keep_kinds=request.flag("noOverwriteDirNonDir"),
        own=request.flag("copyUIDGID"),
    )
    return Response()


async def changes(engine: Engine, request: Request) -> Answer:
    """`diff`."""
    found = await engine.filesystems.changes(request["id"])
    return json_response([{"Path": change.path, "Kind": int(change.kind)} for change in found] or None)


async def export(engine: Engine, request: Request) -> Answer:
    """`export`."""
    return Streamed(await engine.filesystems.export(request["id"]), "application/octet-stream", at_once=False)
