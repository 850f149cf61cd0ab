"""Elements as nftables text: one statement a set, all of one change in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .picture import Element

TABLE = "sanbashi"
# Which fields of a key are interface names; they stand in quotes, so that none is ever read as a word of the language.
INTERFACES: dict[tuple[str, str], tuple[int, ...]] = {
    ("inet", "bridges"): (0,),
    ("inet", "icc"): (0, 1),
    ("inet", "leaving"): (0,),
    ("inet", "outward"): (0,),
    ("inet", "entering"): (0,),
    ("inet", "to_host"): (0,),
    ("inet", "masquerade4"): (0,),
    ("inet", "masquerade6"): (0,),
    ("inet", "source4"): (0,),
    ("inet", "source6"): (0,),
    ("inet", "gateways4"): (0,),
    ("inet", "gateways6"): (0,),
    ("inet", "trusted"): (0, 1),
    ("inet", "shortcut4"): (0,),
    ("inet", "shortcut6"): (0,),
    ("bridge", "guarded"): (0,),
    ("bridge", "owned4"): (0,),
    ("bridge", "owned6"): (0,),
    ("bridge", "target6"): (0,),
    ("bridge", "quiet"): (0,),
}


def transaction(remove: Iterable[Element] = (), add: Iterable[Element] = ()) -> str:
    """The text of one transaction: deletions, then additions; a map element is deleted by its key."""
    return statements("delete", remove) + statements("add", add)


def statements(verb: str, elements: Iterable[Element], table: str = TABLE) -> str:
    """A line for each set that is touched, in the order of the first element of each."""
    by_set: dict[tuple[str, str], list[str]] = {}
    for element in elements:
        lines = by_set.setdefault((element.family, element.set), [])
        lines += written_each(element, with_data=verb == "add")
    return "".join(f"{verb} element {family} {table} {name} {{ {', '.join(lines)} }}\n" for (family, name), lines in by_set.items())


def written_each(element: Element, *, with_data: bool) -> Iterator[str]:
    """An element for each port that this one stands for."""
    if element.count == 1:
        yield written(element, with_data=with_data)
        return
    key, first = " . ".join((*element.fields[:-1], "")), int(element.fields[-1])
    if not with_data or not element.data:
        yield from (f"{key}{first + n}" for n in range(element.count))
        return
    data, target = " . ".join((*element.data[:-1], "")), int(element.data[-1])
    yield from (f"{key}{first + n} : {data}{target + n}" for n in range(element.count))


def written(element: Element, *, with_data: bool) -> str:
    """One element between the braces."""
    names = INTERFACES.get((element.family, element.set), ())
    key = " . ".join(f'"{field}"' if place in names else field for place, field in enumerate(element.fields))
    return f"{key} : {' . '.join(element.data)}" if with_data and element.data else key
