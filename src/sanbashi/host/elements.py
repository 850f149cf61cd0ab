"""Transactions of elements in the kernel's own messages.

libnftables reads all tables, chains, sets and objects before it carries out a line, to look its words up in: of 1 ms for one container four fifths.
What the elements of our sets look like is known beforehand, from the text of the tables.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType

from ..network.picture import Element
from ..network.ruleset import TABLE
from .netlink import CREATE, HEADER, NETFILTER, NLMSG_ERROR, Message, attribute, nested, text

# linux/netfilter/nfnetlink.h, nf_tables.h
BATCH_BEGIN, BATCH_END, SUBSYSTEM = 0x10, 0x11, 10
NEW_ELEMENTS, DELETE_ELEMENTS = SUBSYSTEM << 8 | 12, SUBSYSTEM << 8 | 14
LIST_TABLE, LIST_SET, LIST_ELEMENTS, LIST_ELEMENT = 1, 2, 3, 1
KEY, DATA, VALUE, VERDICT, VERDICT_CODE, VERDICT_CHAIN = 1, 2, 1, 2, 1, 2
FAMILIES = {"inet": 1, "bridge": 7}  # NFPROTO_*
CODES = {"drop": 0, "accept": 1, "jump": -3, "goto": -4}
PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
MOST = 128  # elements of one set in a message, whose attributes hold 64 KB; where there are more the library's reading is no great part
FORMS: Mapping[str, Callable[[str], bytes]] = {
    "ipv4_addr": lambda word: socket.inet_pton(socket.AF_INET, word),
    "ipv6_addr": lambda word: socket.inet_pton(socket.AF_INET6, word),
    "inet_proto": lambda word: bytes([PROTOCOLS[word]]),
    "inet_service": lambda word: struct.pack("!H", int(word)),
    "ifname": lambda word: word.encode().ljust(16, b"\0"),
    "ether_addr": lambda word: bytes.fromhex(word.replace(":", "")),
    "@th,64,128": lambda word: int(word, 16).to_bytes(16, "big"),
}
SPELLED = {"iifname": "ifname", "ether saddr": "ether_addr"}  # in a typeof
SET = re.compile(r"^    (?:set|map) (\w+) +\{ type(?:of)? ([^:;]+?)(?: : ([^;]+))?;", re.MULTILINE)

Types = tuple[tuple[str, ...], tuple[str, ...]]  # of the key's fields and of the data's


def types_of(tables: str) -> dict[tuple[str, str], Types]:
    """What the sets of a text of tables hold, by family and name."""
    found: dict[tuple[str, str], Types] = {}
    for table in re.split(r"^table ", tables, flags=re.MULTILINE)[1:]:
        family = table.split(None, 1)[0]
        for name, key, data in SET.findall(table):
            found[family, name] = fields(key), fields(data) if data else ()
    return found


def fields(words: str) -> tuple[str, ...]:
    return tuple(SPELLED.get(word, word) for word in words.split(" . "))


def value(types: tuple[str, ...], words: tuple[str, ...]) -> bytes:
    """A key or data; in a concatenation each field begins at a multiple of four bytes. ValueError, KeyError, OSError for what is no such thing."""
    if types == ("verdict",):
        verdict, _, chain = words[0].partition(" ")
        code = attribute(VERDICT_CODE, struct.pack("!i", CODES[verdict]))
        return nested(VERDICT, code, text(VERDICT_CHAIN, chain)) if chain else nested(VERDICT, code)
    parts = [FORMS[form](word) for form, word in zip(types, words, strict=True)]
    whole = parts[0] if len(parts) == 1 else b"".join(part + bytes(-len(part) % 4) for part in parts)
    return attribute(VALUE, whole)


class Transactions:
    """A socket for transactions of the elements of these tables, in the namespace of the calling thread; close it, or use it with `with`."""

    def __init__(self, tables: str) -> None:
        self.types = types_of(tables)
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, NETFILTER)
        self.socket.bind((0, 0))
        self.port: int = self.socket.getsockname()[0]

    def __enter__(self) -> Transactions:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def carry_out(self, remove: Iterable[Element], add: Iterable[Element]) -> bool:
        """Delete and add elements, all or none. False where nothing was done, refused or not for here: the library has the words."""
        try:
            messages = [*self.messages(DELETE_ELEMENTS, 0, remove, with_data=False), *self.messages(NEW_ELEMENTS, CREATE, add, with_data=True)]
        except (KeyError, ValueError, OSError):  # a set or a spelling that is not ours
            return False
        if any(body is None for _, _, body in messages):
            return False
        resource = struct.pack("!BBH", 0, 0, SUBSYSTEM)
        parts = [(BATCH_BEGIN, 0, resource), *messages, (BATCH_END, 0, resource)]
        acknowledged = len(parts) - 2  # the last of the elements: older kernels acknowledge no batch
        data = b"".join(
            Message(kind, flags, body or b"").encode(number, acknowledged=number == acknowledged) for number, (kind, flags, body) in enumerate(parts)
        )
        try:
            self.socket.send(data)
            told = list(self.told())
        except OSError:  # more than its buffers hold
            return False
        return bool(told) and not any(told)

    def messages(self, kind: int, flags: int, elements: Iterable[Element], *, with_data: bool) -> Iterator[tuple[int, int, bytes | None]]:
        """A message for each set, in the order of the first element of each; without a body where it would be too long."""
        by_set: dict[tuple[str, str], list[Element]] = {}
        for element in elements:
            by_set.setdefault((element.family, element.set), []).append(element)
        for (family, name), of_set in by_set.items():
            if sum(element.count for element in of_set) > MOST:
                yield kind, flags, None
                continue
            key, data = self.types[family, name]
            entries = []
            for element in (single for some in of_set for single in ((some,) if some.count == 1 else some.each())):
                entry = nested(KEY, value(key, element.fields))
                if with_data and data:
                    entry += nested(DATA, value(data, element.data))
                entries.append(nested(LIST_ELEMENT, entry))
            head = struct.pack("!BBH", FAMILIES[family], 0, 0) + text(LIST_TABLE, TABLE) + text(LIST_SET, name)
            yield kind, flags, head + nested(LIST_ELEMENTS, *entries)

    def told(self) -> Iterator[int]:
        """Every errno that the kernel has answered with, 0 for a message that is acknowledged; it does so before the sending returns."""
        while True:
            try:
                data, offset = self.socket.recv(1 << 17), 0
            except BlockingIOError:
                return
            while offset + HEADER.size <= len(data):
                length, kind, _, _, _ = HEADER.unpack_from(data, offset)
                if kind == NLMSG_ERROR:
                    yield -int(struct.unpack_from("=i", data, offset + HEADER.size)[0])
                offset += (length + 3) & ~3
