"""Names of images: whole (docker.io/library/ubuntu:latest) and as people write them (ubuntu)."""

from sanbashi.cli.failure import Failure

_HEX = frozenset("0123456789abcdef")


class ImageName:
    """registry/path[:tag][@digest]; Failure with docker's words for what is none."""

    __slots__ = ("digest", "path", "registry", "tag")

    def __init__(self, text: str) -> None:
        if len(text) == 64 and set(text) <= _HEX:
            raise Failure(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
        rest, at, self.digest = text.partition("@")
        head, slash, tail = rest.partition("/")
        if slash and (any(mark in head for mark in ".:") or head == "localhost" or head.lower() != head):
            self.registry, path = head, tail
        else:
            self.registry, path = "docker.io", rest
        if self.registry == "index.docker.io":
            self.registry = "docker.io"
        self.path, colon, self.tag = path.partition(":")
        if self.registry == "docker.io" and "/" not in self.path:
            self.path = f"library/{self.path}"
        if self.path.lower() != self.path:
            raise Failure(f"invalid reference format: repository name ({self.path}) must be lowercase")
        good = all(map(is_component, self.path.split("/"))) and (not colon or is_tag(self.tag)) and (not at or is_digest(self.digest))
        if not good or not text:
            raise Failure("invalid reference format")

    def bare(self) -> bool:
        """Whether neither tag nor digest is named."""
        return not self.tag and not self.digest

    def familiar_path(self) -> str:
        """The name as people write it, without tag and digest."""
        if self.registry != "docker.io":
            return f"{self.registry}/{self.path}"
        return self.path.removeprefix("library/") if self.path.count("/") == 1 else self.path

    def suffix(self, default: str = "") -> str:
        """`:tag@digest`; the default tag where neither is named."""
        tag = self.tag or ("" if self.digest else default)
        return (f":{tag}" if tag else "") + (f"@{self.digest}" if self.digest else "")

    def familiar(self, default: str = "latest") -> str:
        """The name as people write it."""
        return self.familiar_path() + self.suffix(default)

    def whole(self) -> str:
        """The name with everything."""
        return f"{self.registry}/{self.path}{self.suffix('latest')}"


def is_component(text: str) -> bool:
    """A part of a path: letters and digits, with single separators (., _, __, any dashes) between them."""
    plain = text.replace("-", "").replace(".", "").replace("_", "")
    edges = text[:1].isalnum() and text[-1:].isalnum()
    return edges and plain.isascii() and plain.isalnum() and ".." not in text and "___" not in text and "._" not in text and "_." not in text


def is_tag(text: str) -> bool:
    """A tag."""
    plain = text.replace("_", "a").replace(".", "a").replace("-", "a")
    return len(text) <= 128 and plain.isascii() and plain.isalnum() and text[0] not in ".-"


def is_digest(text: str) -> bool:
    """algorithm:hexadecimal."""
    algorithm, colon, value = text.partition(":")
    lengths = {"sha256": 64, "sha384": 96, "sha512": 128}
    return bool(colon) and len(value) == lengths.get(algorithm, -1) and set(value) <= _HEX


def parsed(text: str) -> ImageName | None:
    """The name; None where the text is none (an id, `<none>`)."""
    try:
        return ImageName(text)
    except Failure:
        return None
