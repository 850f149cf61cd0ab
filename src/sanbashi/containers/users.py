"""Who a container's process is: Docker's --user and --group-add against the image's own /etc/passwd and /etc/group (as text)."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import Invalid
from ..records import dataclass

LARGEST = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class User:
    """Numeric ids, the supplementary groups and the home directory."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"
    name: str = ""


ROOT = User()


def resolve_user(user: str, passwd: str = "", group: str = "", *, add: Sequence[str] = ()) -> User:
    """`user` is "", "name", "uid", "name:group", "uid:gid"; `add` names or numbers of further groups. Invalid in Docker's words.

    As Docker does: groups of /etc/group that list the user count only where no group was named; a number need not be in the files.
    """
    who, _, which = user.partition(":")
    lines = [line.split(":") for line in passwd.splitlines() if line.count(":") >= 5]
    groups = [line.split(":") for line in group.splitlines() if line.count(":") >= 2]
    row = next((r for r in lines if r[0] == who), None) if who else None
    if row is None and (not who or who.isdigit()):
        row = next((r for r in lines if r[2].isdigit() and int(r[2]) == int(who or 0)), None)
    if row is not None and row[2].isdigit():
        uid, gid, home, name = int(row[2]), int(row[3] or 0), row[5] or "/", row[0]
    elif not who or who.isdigit():
        uid, gid, home, name = number(who or "0"), 0, "/", ""
    else:
        raise Invalid(f"unable to find user {who}: no matching entries in passwd file")
    extra: list[int] = []
    if which:
        gid = group_number(which, groups)
    elif name:
        extra = [int(g[2]) for g in groups if len(g) > 3 and name in g[3].split(",") and g[2].isdigit()]
    extra += [group_number(word, groups) for word in add]
    return User(uid, gid, tuple(dict.fromkeys([gid, *extra])), home, name)


def group_number(word: str, groups: Sequence[Sequence[str]]) -> int:
    """The number of a group that is named or numbered."""
    found = next((g for g in groups if g[0] == word and g[2].isdigit()), None)
    if found is not None:
        return int(found[2])
    if word.isdigit():
        return number(word)
    raise Invalid(f"unable to find group {word}: no matching entries in group file")


def number(word: str) -> int:
    """An id that Linux has."""
    if int(word) > LARGEST:
        raise Invalid("uids and gids must be in range 0-2147483647")
    return int(word)
