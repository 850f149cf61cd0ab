"""Frames of RFC 6455 as a server sees them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanbashi.api.messages import Request
from sanbashi.api.websocket import BINARY, PING, TEXT, Broken, Frames, frame, handshake
from sanbashi.errors import Invalid


def masked(opcode: int, data: bytes, key: bytes = b"\x01\x02\x03\x04") -> bytes:
    """A client's frame."""
    plain = frame(opcode, data)
    head = bytearray(plain[: len(plain) - len(data)])
    head[1] |= 0x80
    return bytes(head) + key + bytes(b ^ key[i % 4] for i, b in enumerate(data))


MESSAGES = st.lists(st.tuples(st.sampled_from([TEXT, BINARY]), st.binary(max_size=70_000)), max_size=4)


@given(MESSAGES, st.integers(1, 5000), st.binary(min_size=4, max_size=4))
def test_frames_come_out_as_they_went_in(messages: list[tuple[int, bytes]], piece: int, key: bytes) -> None:
    stream = b"".join(masked(opcode, data, key) for opcode, data in messages)
    frames = Frames()
    found = [each for start in range(0, len(stream), piece) for each in frames.feed(stream[start : start + piece])]
    assert found == messages and not frames.waiting


@pytest.mark.parametrize(
    "data",
    [frame(BINARY, b"unmasked"), b"\xf2\x80", masked(PING, b"x" * 126), b"\x82\xff" + (1 << 40).to_bytes(8)],
    ids=["unmasked", "bits", "ping", "huge"],
)
def test_what_is_no_clients_frame_is_refused(data: bytes) -> None:
    with pytest.raises(Broken):
        list(Frames().feed(data))


def test_the_handshake_of_the_rfc() -> None:
    headers = {"upgrade": "websocket", "connection": "keep-alive, Upgrade", "sec-websocket-version": "13"}
    headers["sec-websocket-key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in handshake(Request("GET", "/", headers=headers))
    for name, value in (("upgrade", "tcp"), ("connection", ""), ("sec-websocket-key", "x"), ("sec-websocket-version", "8")):
        with pytest.raises(Invalid):
            handshake(Request("GET", "/", headers={**headers, name: value}))
