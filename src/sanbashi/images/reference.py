"""Names of images: parsed once, normalised as Docker does ("ubuntu" is docker.io/library/ubuntu), shown in their familiar short form."""

from __future__ import annotations

import re
from dataclasses import replace

from ..errors import Invalid
from ..records import dataclass

DEFAULT_DOMAIN = "docker.io"
LEGACY_DOMAIN = "index.docker.io"
OFFICIAL = "library/"
MAX_NAME = 255  # distribution/reference: NameTotalLengthMax

COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
DOMAIN = re.compile(
    r"(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
)
PATH = re.compile(rf"{COMPONENT}(?:/{COMPONENT})*")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
IDENTIFIER = re.compile(r"[a-f0-9]{64}")
SHA256 = re.compile(r"sha256:[a-f0-9]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository, and in it a tag, a digest, both or neither ("" where absent)."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """docker.io/library/ubuntu"""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """What people type: ubuntu, team/web, registry.example:5000/web"""
        return self.path.removeprefix(OFFICIAL) if self.domain == DEFAULT_DOMAIN else self.name

    @property
    def suffix(self) -> str:
        return f"{self.tag and ':' + self.tag}{self.digest and '@' + self.digest}"

    @property
    def familiar(self) -> str:
        """The short name with its tag or digest: httpd:2.4"""
        return self.familiar_name + self.suffix

    @property
    def key(self) -> str:
        """Under which the store knows it: by its digest where it has one, by its tag (`latest` unless given) otherwise."""
        return f"{self.familiar_name}@{self.digest}" if self.digest else f"{self.familiar_name}:{self.tag or 'latest'}"

    def tagged(self) -> Reference:
        """With the tag `latest` where neither tag nor digest was given."""
        return self if self.suffix else replace(self, tag="latest")

    def __str__(self) -> str:
        return self.name + self.suffix


def parse_reference(text: str) -> Reference:
    """A reference as people write it; Invalid in Docker's words."""
    if IDENTIFIER.fullmatch(text):
        raise Invalid(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    domain, rest = split_domain(text)
    rest, at, digest = rest.partition("@")
    slash = rest.rfind("/")
    colon = rest.find(":", slash + 1)
    path, tag = (rest[:colon], rest[colon + 1 :]) if colon >= 0 else (rest, "")
    if path and path != path.lower() and PATH.fullmatch(path.lower()):
        raise Invalid(f"invalid reference format: repository name ({path}) must be lowercase")
    well_formed = DOMAIN.fullmatch(domain) and PATH.fullmatch(path) and (colon < 0 or TAG.fullmatch(tag)) and (not at or DIGEST.fullmatch(digest))
    if not well_formed:
        raise Invalid("invalid reference format")
    if digest and not SHA256.fullmatch(digest):
        raise Invalid("invalid checksum digest length" if digest.startswith("sha256:") else "unsupported digest algorithm")
    if len(domain) + 1 + len(path) > MAX_NAME:
        raise Invalid(f"repository name must not be more than {MAX_NAME} characters")
    return Reference(domain, path, tag, digest)


def split_domain(text: str) -> tuple[str, str]:
    """The registry's host and the rest; the first part is a host only where it looks like one (a dot, a port, localhost, a capital)."""
    first, slash, rest = text.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost" or first.lower() != first):
        domain, rest = DEFAULT_DOMAIN, text
    else:
        domain = DEFAULT_DOMAIN if first == LEGACY_DOMAIN else first
    if domain == DEFAULT_DOMAIN and "/" not in rest:
        rest = OFFICIAL + rest
    return domain, rest


def parse_stored(name: str) -> Reference:
    """A name of the store ("httpd:2.4", "httpd@sha256:...") as a reference."""
    return parse_reference(name)


def image_id(text: str) -> str:
    """The full image id that the text is ("sha256:..." or 64 hex digits), "" where it is none."""
    if SHA256.fullmatch(text):
        return text
    return f"sha256:{text}" if IDENTIFIER.fullmatch(text) else ""


def missing(text: str) -> str:
    """What Docker calls an image that is not there: the id, or the familiar name with its tag."""
    return image_id(text) or parse_reference(text).tagged().familiar


def matches(pattern: str, reference: Reference) -> bool:
    """Whether the `reference` filter's pattern takes this name: Go's path.Match on the familiar name with and without its tag."""
    regex = re.compile(glob(pattern))
    return any(regex.fullmatch(text) for text in (reference.familiar, reference.familiar_name))


def glob(pattern: str) -> str:
    """Go's path.Match pattern as a regular expression: `*` and `?` stop at a slash; Invalid where it is malformed."""
    out, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        match char:
            case "*":
                out += "[^/]*"
            case "?":
                out += "[^/]"
            case "[":
                end = pattern.find("]", at + 1)
                if end < 0:
                    raise Invalid("syntax error in pattern")
                out += "[" + pattern[at:end].replace("\\", "\\\\") + "]"
                at = end + 1
            case "\\" if at < len(pattern):
                out += re.escape(pattern[at])
                at += 1
            case _:
                out += re.escape(char)
    return out
