"""The keys that detach: `ctrl-p,ctrl-q` as bytes, and finding them in what is typed."""

_CTRL = {f"ctrl-{char}": code for code, char in enumerate("@abcdefghijklmnopqrstuvwxyz[\\]^_")} | {"DEL": 127}
DEFAULT = b"\x10\x11"


def read_keys(text: str) -> bytes:
    """`a`, `ctrl-x` and DEL, divided by commas; ValueError for any other."""
    codes = bytearray()
    for key in text.split(","):
        if len(key) == 1 and key.isascii():
            codes.append(ord(key))
        elif key in _CTRL:
            codes.append(_CTRL[key])
        else:
            raise ValueError(f"Unknown character: '{key}'")
    return bytes(codes)


class DetachKeys:
    """Watches what is typed; a beginning of the sequence is held back until it is sure that it is none."""

    __slots__ = ("held", "keys")

    def __init__(self, keys: bytes) -> None:
        self.keys = keys
        self.held = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What may go on, and whether the whole sequence was typed."""
        if not self.keys:
            return data, False
        out = bytearray()
        for byte in data:
            if byte == self.keys[self.held]:
                self.held += 1
                if self.held == len(self.keys):
                    self.held = 0
                    return bytes(out), True
                continue
            if self.held:
                out += self.keys[: self.held]
                self.held = 0
                if byte == self.keys[0]:
                    self.held = 1
                    continue
            out.append(byte)
        return bytes(out), False
