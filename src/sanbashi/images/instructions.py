"""An instruction of a Dockerfile: its flags, the stages and images that they name, its words."""

from __future__ import annotations

import dataclasses
import json
import re

from ..records import dataclass

FROM_FLAG = re.compile(r"(--from=)(\S+)")
MOUNT_FROM = re.compile(r"(--mount=\S*?\bfrom=)([^,\s]+)")
# What each instruction takes before its arguments; of those that are not there, none.
FLAGS = {
    "FROM": {"platform"},
    "RUN": {"mount", "network", "security", "device"},
    "COPY": {"chown", "chmod", "from", "link", "exclude", "parents"},
    "ADD": {"chown", "chmod", "link", "keep-git-dir", "checksum", "unpack", "exclude"},
    "HEALTHCHECK": {"interval", "timeout", "start-period", "start-interval", "retries"},
}
# `link` says how a layer is made, not what is in it: there is nothing to do for it.
DONE = {"mount", "chown", "chmod", "from", "link"}
MOUNTS = {"bind", "cache", "tmpfs"}


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its name in capitals, its text with continuations joined, the lines (from 0) that it stands on, its last one excluded."""

    name: str
    text: str
    first: int
    last: int

    @property
    def rest(self) -> str:
        """What follows the name."""
        return self.text.partition(" ")[2].strip()

    @property
    def undone(self) -> str:
        """The first of its flags that only BuildKit does, "" where there is none: buildah would pass over some of them in silence."""
        if self.name not in ("RUN", "COPY", "ADD"):
            return ""
        for name, _, value in (word.removeprefix("--").partition("=") for word in leading_flags(self.rest)):
            kind = next((part.partition("=")[2] for part in value.split(",") if part.startswith("type=")), "bind")
            if name not in DONE or (name == "mount" and kind not in MOUNTS):
                return name
        return ""


def sources(instruction: Instruction) -> list[str]:
    """What COPY --from and RUN --mount=from= name: stages or images."""
    pattern = {"COPY": FROM_FLAG, "ADD": FROM_FLAG, "RUN": MOUNT_FROM}.get(instruction.name)
    if pattern is None:
        return []
    return [match[2] for word in leading_flags(instruction.rest) for match in pattern.finditer(word)]


def without_link(instruction: Instruction) -> Instruction:
    """A COPY or ADD without --link."""
    if instruction.name not in ("COPY", "ADD"):
        return instruction
    rest = instruction.rest
    for flag in leading_flags(rest):
        if flag.partition("=")[0] == "--link":
            rest = rest.replace(flag, "", 1).strip()
    return instruction if rest == instruction.rest else dataclasses.replace(instruction, text=f"{instruction.name} {rest}")


def replaced(instruction: Instruction, name: str, image_id: str) -> Instruction:
    """An instruction with the image that its flags name replaced."""
    pattern = MOUNT_FROM if instruction.name == "RUN" else FROM_FLAG
    flags = leading_flags(instruction.rest)
    rest = instruction.rest
    for flag in flags:
        rest = rest.replace(flag, pattern.sub(lambda m: m[1] + (image_id if m[2] == name else m[2]), flag), 1)
    return dataclasses.replace(instruction, text=f"{instruction.name} {rest}")


def leading_flags(text: str) -> list[str]:
    """The words at the beginning that are flags."""
    found = []
    for word in text.split():
        if not word.startswith("--") or word == "--":
            break
        found.append(word)
    return found


def words_of(text: str) -> tuple[str, ...]:
    """The exec form's words; () where the text is in shell form."""
    try:
        found = json.loads(text)
    except ValueError:
        return ()
    return tuple(found) if isinstance(found, list) and all(isinstance(w, str) for w in found) else ()
