"""Many questions and their replies with one system call each way (recvmmsg and sendmmsg), for a resolver that finds them waiting.

Addresses stay the kernel's own bytes, and ids go straight from a question's place into its reply's. IPv4 alone.
"""

from __future__ import annotations

import ctypes
import socket
import struct

MOST = 32  # questions at a time
ROOM = 4096  # bytes of a question; a longer one is cut, and malformed for us
REPLY_ROOM = 1024  # bytes of a reply after its id; longer ones go by themselves
IDS, NAME = 2, 16  # bytes of an id, of a sockaddr_in


class Part(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class Header(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("parts", ctypes.c_void_p),
        ("count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class Message(ctypes.Structure):
    """struct mmsghdr."""

    _fields_ = (("header", Header), ("length", ctypes.c_uint))


class Exchange:
    """Room for so many questions and replies; one at a time uses it, until its `send`."""

    def __init__(self) -> None:
        self._ids, self._names = bytearray(MOST * IDS), bytearray(MOST * NAME)
        questions, self._replies = bytearray(MOST * ROOM), bytearray(MOST * REPLY_ROOM)
        self._questions = memoryview(questions)
        received, sent = bytearray(MOST * ctypes.sizeof(Message)), bytearray(MOST * ctypes.sizeof(Message))
        parts, rests = bytearray(2 * MOST * ctypes.sizeof(Part)), bytearray(2 * MOST * ctypes.sizeof(Part))
        for index in range(MOST):
            lay_out(received, parts, index, self._names, self._ids, questions, ROOM)
            lay_out(sent, rests, index, self._names, self._ids, self._replies, REPLY_ROOM)
        self._kept = sent, parts  # whose addresses the kernel is given
        # Where the kernel tells the lengths of what it received, and is told those of what follows the ids: as indexes of such numbers.
        self._received, self._told = memoryview(received).cast("I"), memoryview(rests).cast("L")
        step, first = ctypes.sizeof(Message) // 4, Message.length.offset // 4
        self._places = [(index * ROOM, first + index * step) for index in range(MOST)]
        self._incoming = address_of(received)
        self._outgoing = [address_of(sent, index * ctypes.sizeof(Message)) for index in range(MOST)]
        library = ctypes.CDLL(None)
        self._receive, self._send = library.recvmmsg, library.sendmmsg
        self._receive.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
        self._send.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)

    def receive(self, descriptor: int) -> list[bytes]:
        """What follows the id of each question that waits; none where none does, or the socket has a failure to tell."""
        count = self._receive(descriptor, self._incoming, MOST, socket.MSG_DONTWAIT, None)
        lengths, questions = self._received, self._questions
        return [questions[at : at + lengths[place] - IDS].tobytes() if lengths[place] > IDS else b"" for at, place in self._places[: max(count, 0)]]

    def whole(self, index: int) -> bytes:
        """A question with its id, however short."""
        at, place = self._places[index]
        size = self._received[place]
        return (bytes(self._ids[index * IDS : (index + 1) * IDS]) + bytes(self._questions[at : at + max(size - IDS, 0)]))[:size]

    def client(self, index: int) -> tuple[str, int]:
        """Who asked it."""
        port, address = struct.unpack_from(">2xH4s", self._names, index * NAME)
        return socket.inet_ntoa(address), port

    def answer(self, index: int, rest: bytes) -> bool:
        """Have this follow the question's id in its reply; False where it is too long for that."""
        size = len(rest)
        if size > REPLY_ROOM:
            return False
        begin = index * REPLY_ROOM
        self._replies[begin : begin + size] = rest
        self._told[index * 4 + 3] = size
        return True

    def send(self, descriptor: int, begin: int, end: int) -> None:
        """Send the replies from `begin` to before `end`. One that finds no room or no way is left out: its client asks again."""
        while begin < end:
            begin += max(self._send(descriptor, self._outgoing[begin], end - begin, socket.MSG_DONTWAIT), 1)


def address_of(buffer: bytearray, offset: int = 0) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer, offset))


def lay_out(messages: bytearray, parts: bytearray, index: int, names: bytearray, ids: bytearray, bodies: bytearray, room: int) -> None:
    """A message of two parts, the id and the rest, from or to the address at the same index."""
    at = 2 * index * ctypes.sizeof(Part)
    of_id, of_body = (Part.from_buffer(parts, at + place) for place in (0, ctypes.sizeof(Part)))
    of_id.base, of_id.length = address_of(ids, index * IDS), IDS
    of_body.base, of_body.length = address_of(bodies, index * room), room
    header = Message.from_buffer(messages, index * ctypes.sizeof(Message)).header
    header.name, header.name_length = address_of(names, index * NAME), NAME
    header.parts, header.count = address_of(parts, at), 2
