"""Detach keys: the sequence that lets a terminal go, ctrl-p ctrl-q where the user chose no other."""

from __future__ import annotations

from ..errors import Invalid
from ..records import dataclass

DEFAULT_KEYS = bytes((16, 17))  # ctrl-p, ctrl-q
CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse_keys(text: str) -> bytes:
    """ "ctrl-p,ctrl-q" -> the bytes that are typed; the default where `text` is empty. Invalid in Docker's words."""
    if not text:
        return DEFAULT_KEYS
    keys = bytearray()
    for word in text.split(","):
        control = word.removeprefix("ctrl-") if word.startswith("ctrl-") else ""
        if len(word) == 1 and ord(word) < 128:
            keys.append(ord(word))
        elif word == "DEL":
            keys.append(127)
        elif len(control) == 1 and "a" <= control <= "z":
            keys.append(ord(control) - ord("a") + 1)
        elif control in CONTROL:
            keys.append(CONTROL[control])
        else:
            raise Invalid(f"invalid detach keys ({text}) provided: Unknown character: '{word}'")
    return bytes(keys)


@dataclass
class DetachScanner:
    """Looks for the keys in what is typed. What may be their beginning is held back until it is known not to be."""

    keys: bytes = DEFAULT_KEYS
    held: int = 0  # how many keys have been seen in a row

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """(what goes to the process, whether the keys are complete); nothing after the keys goes anywhere."""
        if not self.held and self.keys[0] not in data:
            return data, False
        through = bytearray()
        for byte in data:
            seen = self.keys[: self.held] + bytes((byte,))
            if seen == self.keys:
                self.held = 0
                return bytes(through), True
            # The longest end of what was seen that may still begin the keys is held back, the rest goes on.
            start = next(k for k in range(len(seen) + 1) if self.keys.startswith(seen[k:]))
            through += seen[:start]
            self.held = len(seen) - start
        return bytes(through), False
