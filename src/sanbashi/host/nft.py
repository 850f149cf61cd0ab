"""nftables through libnftables in this process: transactions of elements, the fixed tables, what is there."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from ..errors import StepFailed
from ..network.picture import Element
from ..network.ruleset import TABLE, statements, transaction, written
from .counts import Counts
from .elements import Transactions
from .libnftables import LIBRARY_LOCK, keep_low, library, new_context, port_of

FAMILIES = ("inet", "bridge")
FIXED = Path(__file__).with_name("table.nft")
ACCEPTED_MARK = "# --bridge-accept-fwmark: its rule stands here"
INTERRUPTED, ATTEMPTS = 4, 100  # EINTR: somebody's transaction came into a look
NUMBERS_OF_ERRORS = {
    "No such file or directory": 2, "File exists": 17, "Device or resource busy": 16, "Operation not permitted": 1,
    "Interrupted system call": INTERRUPTED,
}  # fmt: skip
TERSE = 1 << 11  # NFT_CTX_OUTPUT_TERSE: without the elements
DYNAMIC = frozenset({"admitted4", "admitted6"})  # filled by packets, not by us
# libnftables writes a look-up into 8 KB of its stack without looking where they end (1.0.6): some 200 keys, and the process is gone.
LOOKED_UP = 64

# Stateless: no connection tracking, and 127.0.0.11:53 need not be bound, so that a server of the container's own may hold port 53.
DNS_EMPTY = "table ip sanbashi { chain dns { type filter hook output priority raw; policy accept; }\n}\nflush chain ip sanbashi dns\n"
DNS = """table ip sanbashi {{
    chain dns {{ type filter hook output priority raw; policy accept;
        ip daddr 127.0.0.11 udp dport 53 notrack udp dport set {port}
        ip daddr 127.0.0.11 tcp dport 53 notrack tcp dport set {port}
        ip saddr 127.0.0.11 udp sport {port} notrack udp sport set 53
        ip saddr 127.0.0.11 tcp sport {port} notrack tcp sport set 53
    }}
}}
"""


class NftError(Exception):
    """What libnftables refused; `errno` is the kernel's where it can be told from the words."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words.strip()
        self.errno = next((number for text, number in NUMBERS_OF_ERRORS.items() if text in words), 0)


def fixed_tables(accepted_mark: tuple[int, int] | None = None) -> str:
    """The text of our tables, without elements. `accepted_mark`: (mark, mask) of packets that --bridge-accept-fwmark lets in."""
    text = FIXED.read_text()
    if accepted_mark is None:
        return text
    mark, mask = accepted_mark
    rule = f'meta mark and {mask:#010x} == {mark & mask:#010x} accept comment "--bridge-accept-fwmark"'
    assert text.count(ACCEPTED_MARK) == 1, "table.nft has one place for the rule"
    return text.replace(ACCEPTED_MARK, f"{rule}\n        {ACCEPTED_MARK}")


class Nft:
    """A libnftables context; it belongs to the namespace of the thread that made it. Use it with `with`, or close it."""

    def __init__(self, counts: Counts, tables: str = "") -> None:
        self.counts = counts
        self.tables = tables or fixed_tables()
        self._port = 0
        self._direct: Transactions | None = None  # opened for the first transaction
        self.turn = threading.RLock()  # held from when a whole table's elements are gathered until they are loaded
        library()
        with LIBRARY_LOCK:
            self.context, self.socket = new_context()
            library().nft_ctx_buffer_output(self.context)
            library().nft_ctx_buffer_error(self.context)

    def __enter__(self) -> Nft:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the context back."""
        with LIBRARY_LOCK:
            library().nft_ctx_free(self.context)
            keep_low()
        if self._direct is not None:
            self._direct.close()

    @property
    def ports(self) -> frozenset[int]:
        """The netlink ports of our sockets, which they keep from their first use on; asked for at each change of rules."""
        self._port = self._port or port_of(self.socket)
        return frozenset({self._port, self._direct.port if self._direct is not None else 0} - {0})

    def run(self, text: str, *, flags: int = 0) -> str:
        """Carry out commands as one transaction and return what they print; NftError where anything is refused, then nothing is done."""
        for _ in range(ATTEMPTS):
            try:
                return self.run_once(text, flags)
            except NftError as error:
                # A transaction came in while the kernel told what is there. The library asks again for what it reads by itself, not for a `get`.
                if error.errno != INTERRUPTED:
                    raise
        return self.run_once(text, flags)

    def run_once(self, text: str, flags: int) -> str:
        """The same, without asking again."""
        lib = library()
        with LIBRARY_LOCK:
            lib.nft_ctx_output_set_flags(self.context, flags)
            failed = lib.nft_run_cmd_from_buffer(self.context, text.encode())
            output, problem = lib.nft_ctx_get_output_buffer(self.context), lib.nft_ctx_get_error_buffer(self.context)
        if failed:
            raise NftError(problem.decode(errors="replace"))
        return str(output.decode(errors="replace"))

    # -- the fixed tables

    def load_tables(self, elements: Iterable[Element] = ()) -> None:
        """Put the fixed tables in place of what bears their names, with these elements, in one transaction: no moment without rules."""
        text = "".join(f"table {family} {TABLE}\ndelete table {family} {TABLE}\n" for family in FAMILIES)
        self.run(text + self.tables + statements("add", elements))
        self.counts.add(nft_transactions=1)

    def reload(self, elements: Callable[[], Iterable[Element]]) -> tuple[Element, ...]:
        """The same with what should be there once no other change is under way; what that was. NftError."""
        with self.turn:
            found = tuple(elements())
            self.load_tables(found)
            return found

    def forget_admitted(self) -> None:
        """Have clients of gated ports meet the host's input policy again; NftError."""
        self.run("".join(f"flush set inet {TABLE} {name}\n" for name in sorted(DYNAMIC)))

    def delete_tables(self) -> None:
        """Take our tables away; absent is success."""
        self.run("".join(f"table {family} {TABLE}\ndelete table {family} {TABLE}\n" for family in FAMILIES))

    def definition(self) -> str:
        """Our tables as the kernel has them, without elements; "" where one is missing."""
        try:
            return "".join(self.run(f"list table {family} {TABLE}", flags=TERSE) for family in FAMILIES)
        except NftError as error:
            if error.errno == 2:
                return ""
            raise

    # -- elements

    def change(self, remove: Collection[Element], add: Collection[Element]) -> None:
        """Delete and add elements of both tables in one transaction.

        One absent element in a delete, or one of other data in an add, fails all of it; then what is there is looked at, and the rest is done.
        """
        with self.turn:
            try:
                self.transact(remove, add)
            except NftError as error:
                if error.errno not in (2, 17):
                    raise failed(remove, add, error) from error
                if not self.definition():
                    # Somebody flushed the tables just now. With these elements they stand again, and who watches puts the others in.
                    self.load_tables()
                remove, add = each(remove), each(add)
                there = {e.key: e for e in self.present([*remove, *add])}
                late = [e for e in add if there.get(e.key) != e]
                gone = {e.key: there[e.key] for e in [*remove, *late] if e.key in there}
                try:
                    self.transact(gone.values(), late)
                except NftError as again:
                    raise failed(gone.values(), late, again) from again

    def transact(self, remove: Collection[Element], add: Collection[Element]) -> None:
        if remove or add:
            if self._direct is None:
                self._direct = Transactions(self.tables)
            if not self._direct.carry_out(remove, add):
                self.run(transaction(remove, add))
            self.counts.add(nft_transactions=1, nft_elements=sum(e.count for elements in (remove, add) for e in elements))

    def present(self, wanted: Iterable[Element]) -> Iterator[Element]:
        """Those elements of `wanted` whose keys are there, with the data that is there; the cost is theirs alone."""
        by_set: dict[tuple[str, str], list[Element]] = {}
        for element in wanted:
            by_set.setdefault((element.family, element.set), []).append(element)
        for elements in by_set.values():
            single = list({e.key: e for e in elements}.values())
            for place in range(0, len(single), LOOKED_UP):
                yield from self.present_in_set(single[place : place + LOOKED_UP])

    def present_in_set(self, elements: list[Element]) -> Iterator[Element]:
        """At most LOOKED_UP of one set in one look-up, and where one is absent each half by itself."""
        first = elements[0]
        keys = ", ".join(written(e, with_data=False) for e in elements)
        try:
            text = self.run(f"get element {first.family} {TABLE} {first.set} {{ {keys} }}")
        except NftError as error:
            if error.errno != 2:
                raise StepFailed(f"look for {first.family} {first.set}", errno=error.errno, stderr=error.words) from error
            if len(elements) > 1:
                middle = len(elements) // 2
                yield from self.present_in_set(elements[:middle])
                yield from self.present_in_set(elements[middle:])
            return
        yield from parse(text)

    def of_sets(self, names: Iterable[str]) -> tuple[Element, ...]:
        """What is in these sets of the inet table; NftError."""
        return tuple(element for name in names for element in parse(self.run(f"list set inet {TABLE} {name}")))

    def all(self) -> Iterator[Element]:
        """Every element of our tables."""
        for family in FAMILIES:
            try:
                yield from parse(self.run(f"list table {family} {TABLE}"))
            except NftError as error:
                if error.errno != 2:
                    raise


def each(elements: Iterable[Element]) -> list[Element]:
    """Every element by itself."""
    return [single for element in elements for single in element.each()]


def failed(remove: Collection[Element], add: Collection[Element], error: NftError) -> StepFailed:
    """The failure of a transaction, named by the element that the library points at, or by all."""
    words = error.words
    remove, add = each(remove), each(add)
    pointed = [e for e in [*remove, *add] if written(e, with_data=False) in words]
    named = pointed[0] if len(pointed) == 1 else None
    step = f"rules: {named}" if named else f"rules: {len(remove)} removed, {len(add)} added"
    return StepFailed(step, errno=error.errno, stderr=words.splitlines()[0] if words else "nftables refused")


SET = re.compile(r"^\t(?:set|map) (\S+) \{$")


def parse(listing: str) -> Iterator[Element]:
    """The elements in a listing of tables or of single sets."""
    family = name = ""
    body: list[str] = []
    for line in listing.splitlines():
        if line.startswith("table "):
            family = line.split()[1]
        elif match := SET.match(line):
            name = match[1]
        elif body or line.startswith("\t\telements = {"):
            body.append(line.strip().removeprefix("elements = {"))
            if line.endswith("}"):
                if name not in DYNAMIC:
                    for word in " ".join(body).removesuffix("}").split(", "):
                        yield element(family, name, word.strip())
                body = []


def element(family: str, name: str, word: str) -> Element:
    """One element as the library prints it."""
    key, _, data = word.partition(" : ")
    fields = tuple(canonical(f) for f in key.split(" . "))
    return Element(family, name, fields, tuple(data.split(" . ")) if data else ())


def canonical(field: str) -> str:
    """A field as an Element has it: names without quotes, a 128-bit number with all of its digits."""
    if field.startswith('"'):
        return field.strip('"')
    if field.startswith("0x"):
        return f"0x{int(field, 16):032x}"
    return field


def load_dns(nft: Nft, port: int) -> None:
    """Rewrite 127.0.0.11:53 to a high port in the namespace of this context."""
    nft.run(DNS_EMPTY + DNS.format(port=port))


def unload_dns(nft: Nft) -> None:
    """Take that away again; absent is success."""
    nft.run("table ip sanbashi\ndelete table ip sanbashi\n")
