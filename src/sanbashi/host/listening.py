"""The resolver's sockets, opened where a container will ask them."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

from .namespaces import inside

ADDRESS = "127.0.0.11"  # of the resolver, in every namespace
ATTEMPTS = 16  # to find a port that is free for UDP and TCP alike


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
