"""Which files of a build's context .dockerignore leaves out: Docker's patterns, the last one that takes a path decides."""

import re


class Ignored:
    """The patterns of a .dockerignore file; `!` in front brings back."""

    def __init__(self, text: str) -> None:
        self.rules: list[tuple[re.Pattern[str], bool]] = []
        for line in text.removeprefix("\ufeff").splitlines():
            if line.startswith("#") or not (pattern := line.strip()):
                continue
            back = pattern.startswith("!")
            pattern = clean(pattern.removeprefix("!").strip())
            if pattern not in ("", "."):
                self.rules.append((re.compile(expression(pattern), re.DOTALL), back))

    def takes(self, path: str) -> bool:
        """Whether a path (relative, parted by slashes) is left out: it, or a directory that it lies in, is named."""
        parents = [path]
        while "/" in parents[-1]:
            parents.append(parents[-1].rpartition("/")[0])
        left_out = False
        for pattern, back in self.rules:
            if left_out == back and any(pattern.fullmatch(each) for each in parents):
                left_out = not back
        return left_out

    def may_bring_back(self) -> bool:
        """Whether something below a directory that is left out may be wanted all the same."""
        return any(back for _, back in self.rules)


def clean(pattern: str) -> str:
    """Go's filepath.Clean for a relative pattern, a leading slash taken away."""
    parts: list[str] = []
    for part in pattern.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", ".", ".."):
            parts.append(part)
    return "/".join(parts)


def expression(pattern: str) -> str:
    """A pattern as a regular expression: `*` and `?` stay within a name, `**` spans any number of directories."""
    text, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*" and pattern[at : at + 1] == "*":
            at += 1
            if pattern[at : at + 1] == "/":
                at += 1
                text += "(?:.*/)?"
            else:
                text += ".*"
        elif char == "*":
            text += "[^/]*"
        elif char == "?":
            text += "[^/]"
        elif char == "[" and (end := pattern.find("]", at + 1)) > 0:
            text += "[" + pattern[at:end].replace("\\", "\\\\") + "]"
            at = end + 1
        elif char == "\\" and at < len(pattern):
            text += re.escape(pattern[at])
            at += 1
        else:
            text += re.escape(char)
    return text
