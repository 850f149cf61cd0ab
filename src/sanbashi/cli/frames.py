"""The daemon's framed streams: stdout and stderr over one connection, eight bytes before each part."""

from sanbashi.cli.failure import Failure


class Frames:
    """Takes bytes as they come and gives whole parts of a stream: 0 and 1 are stdout, 2 stderr, 3 an error of the daemon's."""

    __slots__ = ("buffer",)

    def __init__(self) -> None:
        self.buffer = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The parts that are whole."""
        data = self.buffer + data
        out: list[tuple[int, bytes]] = []
        at = 0
        while len(data) - at >= 8:
            stream, size = data[at], int.from_bytes(data[at + 4 : at + 8], "big")
            if len(data) - at - 8 < size:
                break
            part = data[at + 8 : at + 8 + size]
            if stream == 3:
                raise Failure("error from daemon in stream: " + part.decode("utf-8", "replace"))
            if stream > 3:
                raise Failure(f"unrecognized stream: {stream}")
            out.append((stream, part))
            at += 8 + size
        self.buffer = data[at:]
        return out
