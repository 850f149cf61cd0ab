"""The frames that announce an address, byte by byte."""

from __future__ import annotations

from ipaddress import ip_address

from sanbashi.host.announcing import checksum, frame

MAC = bytes.fromhex("020000000001")


def test_arp() -> None:
    data = frame(MAC, ip_address("10.0.0.2"))
    assert data.hex() == "ffffffffffff0200000000010806" + "0001080006040001" + "0200000000010a000002" + "0000000000000a000002"


def test_neighbour_advertisement() -> None:
    address = ip_address("fd00::2")
    data = frame(MAC, address)
    assert data[:14].hex() == "33330000000102000000000186dd"
    header, body = data[14:54], data[54:]
    assert header[6:8] == b"\x3a\xff" and header[8:24] == address.packed and header[24:40] == ip_address("ff02::1").packed
    assert int.from_bytes(header[4:6], "big") == len(body) == 32
    assert body[:2] == b"\x88\0" and body[4:8].hex() == "20000000" and body[8:24] == address.packed and body[24:] == b"\2\1" + MAC
    pseudo = header[8:40] + len(body).to_bytes(4, "big") + b"\0\0\0\x3a"
    assert checksum(pseudo + body) == 0
