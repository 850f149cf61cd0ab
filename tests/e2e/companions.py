"""Programs that stand beside an engine while it is hurt; each answers every line on its stdin with one line, until stdin ends.

python -m tests.e2e.companions talk ADDRESS PORT    opens one connection to an echo server; the line goes there and back
python -m tests.e2e.companions knock ADDRESS PORT   the same by a new connection for each line
python -m tests.e2e.companions bind                 "PORT" -> "free" or "held": whether that TCP port could be bound
python -m tests.e2e.companions ask NAME             asks 127.0.0.11 every 20 ms; -> "ASKED VAIN GAPS LONGEST": how many questions, how many of them in
                                                    vain, how many runs of such, and the most seconds from such a question to the next answer
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable


def answer_lines(answer: Callable[[str], str]) -> None:
    """Print what `answer` makes of each line."""
    for line in sys.stdin:
        print(answer(line.strip()), flush=True)


def talk(address: str, port: int) -> None:
    with socket.create_connection((address, port), 60) as connection, connection.makefile("rw") as stream:
        print("connected", flush=True)

        def through(word: str) -> str:
            connection.settimeout(60)
            stream.write(word + "\n")
            stream.flush()
            return stream.readline().strip()

        answer_lines(through)


def knock(address: str, port: int) -> None:
    def through(word: str) -> str:
        try:
            with socket.create_connection((address, port), 60) as connection, connection.makefile("rw") as stream:
                stream.write(word + "\n")
                stream.flush()
                return stream.readline().strip()
        except OSError as error:
            return str(error)

    answer_lines(through)


def bind() -> None:
    def state(word: str) -> str:
        with socket.socket() as trying:
            try:
                trying.bind(("0.0.0.0", int(word)))
            except OSError:
                return "held"
            return "free"

    answer_lines(state)


class Asking:
    """What became of the questions so far."""

    def __init__(self, name: str) -> None:
        labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
        self.question = struct.pack("!HHHHH", 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"
        self.asked = self.vain = self.gaps = 0
        self.longest = 0.0
        self.away = 0.0  # when the first question of the present gap was asked

    def ask(self) -> None:
        began = time.monotonic()
        self.asked += 1
        first = self.answered()
        if first != 1:
            self.vain += 1
            self.gaps += not self.away
            self.away = self.away or began
        if first and self.away:
            self.longest = max(self.longest, time.monotonic() - self.away)
            self.away = 0.0

    def answered(self) -> int:
        """Which of the copies of a question, sent every 20 ms, was answered first: 1 where all is well, 0 where none was within a second."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.settimeout(0.02)
            channel.connect(("127.0.0.11", 53))
            # Each copy has a number of its own, so that an answer that is only slow is told from one that never comes.
            for number in range(1, 51):
                with contextlib.suppress(OSError):  # no answer yet, or a refusal
                    channel.send(struct.pack("!H", number) + self.question)
                    reply = channel.recv(512)
                    if reply[3] & 15 == 0 and reply[6:8] != b"\0\0":
                        return int.from_bytes(reply[:2], "big")
        return 0


def ask(name: str) -> None:
    asking = Asking(name)
    print("asking", flush=True)
    while True:
        while not select.select([0], [], [], 0.02)[0]:
            asking.ask()
        if not os.read(0, 4096):
            return
        print(asking.asked, asking.vain, asking.gaps, f"{asking.longest:.3f}", flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["talk", address, port]:
            talk(address, int(port))
        case ["knock", address, port]:
            knock(address, int(port))
        case ["bind"]:
            bind()
        case ["ask", name]:
            ask(name)
