"""The keeper's own socket: daemons come, say hello, ask and change."""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Callable
from typing import Any

from sanbashi.network.lease import LeaseReport, report_plain
from sanbashi.network.picture import singly

from .asking import Asking
from .keeping import Addition, Keeping, close
from .loop import READ, WRITE, Loop
from .protocol import MAX_DESCRIPTORS, VERSIONS, Frame, NotUnderstood, item_of, pack, plain, plain_all, unpack

CHUNK = 1 << 18
LINGER = 5.0  # seconds without an item and without a client until the keeper ends


class Control:
    """Accepts clients and counts them; `id` tells this keeper from every other."""

    def __init__(self, loop: Loop, keeping: Keeping, asking: Asking, listener: socket.socket, end: Callable[[str], None]) -> None:
        self.loop, self.keeping, self.asking, self.end = loop, keeping, asking, end
        self.id = os.urandom(8).hex()
        self._listener = listener
        self._clients: set[Client] = set()
        self._idle = loop.later(LINGER, self._look)
        keeping.leases.tell = self._tell
        listener.setblocking(False)
        loop.watch(listener.fileno(), READ, self._accept)

    def _accept(self, events: int) -> None:
        try:
            accepted, _ = self._listener.accept()
        except OSError:
            return
        accepted.setblocking(False)
        self._clients.add(Client(self, accepted))

    def _tell(self, report: LeaseReport) -> None:
        """Tell those who asked to be told."""
        for client in list(self._clients):
            if client.subscribed:
                client.push({"leases": [report_plain(report)]})

    def left(self, client: Client) -> None:
        self._clients.discard(client)
        self._idle.cancel()
        self._idle = self.loop.later(LINGER, self._look)

    def _look(self) -> None:
        if not self._clients and not self.keeping.items:
            self.end("nothing needs it")

    def close(self) -> None:
        for client in list(self._clients):
            client.close()
        self.loop.forget(self._listener.fileno())
        self._listener.close()


class Client:
    """One connection of a daemon."""

    def __init__(self, control: Control, connected: socket.socket) -> None:
        self._control, self._socket = control, connected
        self._in, self._out = bytearray(), bytearray()
        self._descriptors: list[int] = []
        self._greeted = False
        self.subscribed = False
        self._closed = False
        control.loop.watch(connected.fileno(), READ, self._ready)

    def _ready(self, events: int) -> None:
        try:
            if events & WRITE and self._out:
                del self._out[: self._socket.send(self._out)]
            else:
                self._read()
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._take()

    def _read(self) -> None:
        room = socket.CMSG_SPACE(MAX_DESCRIPTORS * 4)
        data, ancillary, flags, _ = self._socket.recvmsg(CHUNK, room, socket.MSG_CMSG_CLOEXEC)
        for level, kind, value in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                received = array.array("i")
                received.frombytes(value[: len(value) - len(value) % received.itemsize])
                self._descriptors += received
        if not data or flags & socket.MSG_CTRUNC:  # a descriptor lost on the way would shift all that follow
            self.close()
        self._in += data

    def _take(self) -> None:
        try:
            while not self._closed and not self._out and (frame := unpack(self._in)) is not None:
                self._send(self._answer(frame))
        except NotUnderstood as error:
            self._send({"refused": f"the keeper does not understand {error}"})
            self.close()
        if not self._closed:
            self._control.loop.want(self._socket.fileno(), WRITE if self._out else READ)

    def _send(self, frame: Frame) -> None:
        self._out += pack(frame)
        try:
            del self._out[: self._socket.send(self._out)]
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def push(self, frame: Frame) -> None:
        """Say something unasked."""
        self._send(frame)
        if not self._closed:
            self._control.loop.want(self._socket.fileno(), WRITE if self._out else READ)

    def _answer(self, frame: Frame) -> Frame:
        """The reply to a request; NotUnderstood."""
        keeping = self._control.keeping
        if "hello" in frame:
            return self._hello(frame)
        if not self._greeted:
            raise NotUnderstood("a request before the hello")
        if "change" in frame:
            return self._change(frame)
        if "items" in frame:
            return {"revision": keeping.revision, "items": plain_all(keeping.items.values())}
        if "status" in frame:
            asking = self._control.asking
            return {"revision": keeping.revision, "items": len(keeping.items), "asking": len(asking), "kept": len(asking.cache)}
        if "subscribe" in frame:
            self.subscribed = True
            return {"leases": [report_plain(report) for report in keeping.leases.reports()]}
        if "end" in frame:
            self._control.loop.later(0, lambda: self._control.end("it was asked to"))
            return {"ending": True}
        raise NotUnderstood(f"the request {', '.join(frame)!r}")

    def _hello(self, frame: Frame) -> Frame:
        spoken = frame["hello"] if isinstance(frame["hello"], list) else []
        common = [version for version in VERSIONS if version in spoken]
        if not common:
            return {
                "refused": f"the keeper that runs (process {os.getpid()}) speaks protocol {listing(VERSIONS)}, and who asks speaks {listing(spoken)}"
            }
        self._greeted = True
        keeping = self._control.keeping
        return {"hello": max(common), "keeper": self._control.id, "revision": keeping.revision, "pid": os.getpid()}

    def _change(self, frame: Frame) -> Frame:
        keeping = self._control.keeping
        try:
            remove = [item_of(words) for words in frame["remove"]]
            add = [item_of(words) for words in frame["add"]]
            counts = [int(count) for count in frame["sockets"]]
            whole = bool(frame["whole"])
        except (KeyError, TypeError, ValueError) as error:
            raise NotUnderstood(f"a change without {error}") from None
        if len(counts) != len(add) or sum(counts) > len(self._descriptors):
            raise NotUnderstood("a change whose descriptors did not come")
        mine, self._descriptors = self._descriptors[: sum(counts)], self._descriptors[sum(counts) :]
        if frame["change"] != keeping.revision:
            close(mine)
            return {"stale": keeping.revision}
        additions = []
        for item, count in zip(add, counts, strict=True):
            if count:
                additions.append(Addition(item, tuple(mine[:count])))
                mine = mine[count:]
            else:
                additions += map(Addition, singly((item,)))
        failed = keeping.change(list(singly(remove)), additions, whole=whole)
        reply: Frame = {"revision": keeping.revision, "failed": failed}
        if lost := keeping.take_lost():
            reply["lost"] = [[plain(item), code] for item, code in lost]
        return reply

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._control.loop.forget(self._socket.fileno())
            self._socket.close()
            close(self._descriptors)
            self._control.left(self)


def listing(versions: Any) -> str:
    return " or ".join(str(version) for version in versions) or "none"
