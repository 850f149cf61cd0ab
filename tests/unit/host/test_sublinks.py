"""Links on links as messages: the bytes that the kernel reads, for kinds that this machine's kernel may lack."""

from __future__ import annotations

import struct

import pytest

from sanbashi.host import rtnetlink, sublinks
from sanbashi.host.netlink import attributes
from sanbashi.host.rtnetlink import LINK, Link
from sanbashi.network.picture import Parent, Sublink


def parts(body: bytes) -> tuple[dict[int, bytes], str, dict[int, bytes]]:
    """The attributes of a link request, its kind, and what is of the kind alone."""
    found = attributes(body, LINK.size)
    info = attributes(found[rtnetlink.LINK_INFO])
    return found, info[rtnetlink.INFO_KIND].rstrip(b"\0").decode(), attributes(info.get(rtnetlink.INFO_DATA, b""))


def sublink(kind: str, mode: str, flag: str = "", mac: str = "") -> Sublink:
    return Sublink(kind=kind, parent="eth0", namespace="s", name="eth0", alias="sanbashi:n:e", mode=mode, flag=flag, mac=mac, mtu=1400)


@pytest.mark.parametrize("mode, number", [("private", 1), ("vepa", 2), ("bridge", 4), ("passthru", 8)])
def test_macvlan(mode: str, number: int) -> None:
    message = sublinks.new_sublink(sublink("macvlan", mode, mac="02:00:00:00:00:01"), 7, 9)
    found, kind, data = parts(message.body)
    assert (message.kind, kind, data) == (16, "macvlan", {1: struct.pack("=I", number)})
    assert found[5] == struct.pack("=I", 7) and found[28] == struct.pack("=I", 9) and found[4] == struct.pack("=I", 1400)
    assert (1 in found) is (mode != "passthru")
    mark = attributes(sublinks.marked(sublink("macvlan", mode, mac="02:00:00:00:00:01")).body, LINK.size)
    assert mark[20] == b"sanbashi:n:e" and (1 in mark) is (mode == "passthru")


@pytest.mark.parametrize("mode, number", [("l2", 0), ("l3", 1), ("l3s", 2)])
@pytest.mark.parametrize("flag, bits", [("bridge", 0), ("private", 1), ("vepa", 2)])
def test_ipvlan(mode: str, number: int, flag: str, bits: int) -> None:
    found, kind, data = parts(sublinks.new_sublink(sublink("ipvlan", mode, flag), 7, 9).body)
    assert (kind, data, 1 in found) == ("ipvlan", {1: struct.pack("=H", number), 2: struct.pack("=H", bits)}, False)


def test_vlan_and_dummy() -> None:
    found, kind, data = parts(sublinks.new_parent(Parent("eth0.10", "sanbashi:vlan:eth0.10", "eth0", 10), 7).body)
    assert (kind, data, found[5], found[3]) == ("vlan", {1: struct.pack("=H", 10)}, struct.pack("=I", 7), b"eth0.10\0")
    found, kind, data = parts(sublinks.new_parent(Parent("dm-0123456789ab", "sanbashi:n"), 0).body)
    assert (kind, data, 5 in found) == ("dummy", {}, False)


def link(kind: str, data: dict[int, bytes]) -> Link:
    return Link(
        index=3,
        name="eth0",
        kind=kind,
        alias="sanbashi:n:e",
        mac="02:00:00:00:00:01",
        mtu=1400,
        up=True,
        running=True,
        master=0,
        peer=7,
        hairpin=False,
        data=data,
    )


@pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
def test_what_the_kernel_has_reads_as_what_was_asked_for(mode: str) -> None:
    wish = sublink("ipvlan", mode, "vepa")
    _, _, data = parts(sublinks.new_sublink(wish, 7, 9).body)
    assert sublinks.sublink_item(link("ipvlan", data), "s", "eth0", wish) == wish
    wish = sublink("macvlan", "vepa", mac="02:00:00:00:00:01")
    _, _, data = parts(sublinks.new_sublink(wish, 7, 9).body)
    assert sublinks.sublink_item(link("macvlan", data), "s", "eth0", wish) == wish
    assert sublinks.parent_item(link("vlan", {1: struct.pack("=H", 10)}), "up0") == Parent("eth0", "sanbashi:n:e", "up0", 10)
    assert sublinks.parent_item(link("dummy", {}), "") == Parent("eth0", "sanbashi:n:e")
