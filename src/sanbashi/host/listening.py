"""What the keeper is given of a container's namespace: the resolver's sockets, opened where it will be asked, and the namespace itself."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from sanbashi.errors import Failed
from sanbashi.keeper.protocol import reason
from sanbashi.network.picture import Item, Leasing, Resolver

from .namespaces import inside

ADDRESS = "127.0.0.11"  # of the resolver, in every namespace
ATTEMPTS = 16  # to find a port that is free for UDP and TCP alike

PathOf = Callable[[str], Path]  # a sandbox's namespace


def handed(item: Item, known: Item | None, path_of: PathOf, opened: ExitStack) -> tuple[Item, list[int]]:
    """An item as it will stand, and the descriptors that the keeper needs for it, open until `opened` is left. Failed.

    `known` is what the keeper has of its key.
    """
    if isinstance(item, Leasing):
        path = path_of(item.sandbox)
        try:
            return item, [namespace_of(path, opened)]
        except OSError as error:
            raise Failed(f"{item}: {reason(error.errno or 0)}", hint=f"its namespace is {path}") from None
    if not isinstance(item, Resolver):
        return item, []
    path = path_of(item.sandbox)
    try:
        mine: list[int] = []
        if needs_sockets(item, known):
            udp, tcp = listen(path, item.port)
            opened.enter_context(udp)
            opened.enter_context(tcp)
            item = replace(item, port=udp.getsockname()[1])
            mine = [udp.fileno(), tcp.fileno()]
        elif isinstance(known, Resolver):
            item = replace(item, port=known.port)
        if item.upstreams and (mine or not (isinstance(known, Resolver) and known.upstreams)):
            mine.append(namespace_of(path, opened))
    except OSError as error:
        raise Failed(f"{item} on {ADDRESS}:{item.port}: {reason(error.errno or 0)}", hint=f"its namespace is {path}") from None
    return item, mine


def needs_sockets(item: Resolver, known: Item | None) -> bool:
    """Whether the keeper has none for a resolver, or on another port."""
    return not isinstance(known, Resolver) or item.port not in (0, known.port)


def namespace_of(path: Path, opened: ExitStack) -> int:
    """A descriptor of a namespace, open until `opened` is left. OSError."""
    namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    opened.callback(os.close, namespace)
    return namespace


def listen(namespace: Path, port: int) -> tuple[socket.socket, socket.socket]:
    """UDP and TCP sockets on one port of the resolver's address inside a namespace; any port where `port` is 0. OSError."""
    with inside(namespace):
        for attempt in range(ATTEMPTS):
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                udp.bind((ADDRESS, port))
                # After the keeper's death connections of clients may linger on the recorded port.
                tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tcp.bind((ADDRESS, udp.getsockname()[1]))
                tcp.listen(128)
                return udp, tcp
            except OSError as error:
                udp.close()
                tcp.close()
                if port or error.errno != errno.EADDRINUSE or attempt == ATTEMPTS - 1:
                    raise
    raise AssertionError("the last attempt returns or raises")
