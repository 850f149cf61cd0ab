"""After any sequence of changes the directory is what the items that are left would make."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from sanbashi.network.picture import Names, Zone
from sanbashi.resolver.names import Directory

zones = st.builds(Zone, st.sampled_from("nm"), st.sampled_from(["app", "App", "db"]))
addresses = st.sampled_from([ip_address("10.0.0.1"), ip_address("10.0.0.2"), ip_address("fd00::1")])
named = st.builds(
    Names,
    st.sampled_from("nm"),
    st.sampled_from("xyz"),
    st.lists(st.sampled_from(["a", "A", "b", "c.d"]), max_size=3).map(tuple),
    st.lists(addresses, max_size=2, unique=True).map(tuple),
)


@given(st.lists(st.tuples(st.booleans(), zones | named), max_size=30))
def test_changes_equal_a_rebuild(changes: list[tuple[bool, Zone | Names]]) -> None:
    directory = Directory()
    left: dict[tuple[object, ...], Zone | Names] = {}
    for add, item in changes:
        if (before := left.pop(item.key, None)) is not None:
            directory.remove(before)
        if add:
            directory.add(item)
            left[item.key] = item
    rebuilt = Directory()
    for item in left.values():
        rebuilt.add(item)
    assert directory._tables == rebuilt._tables
