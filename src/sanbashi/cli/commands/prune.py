"""container, image, network, volume, builder and system prune."""

from sanbashi.cli.client import filters_text
from sanbashi.cli.command import Call, Command
from sanbashi.cli.failure import Failure
from sanbashi.cli.output import out
from sanbashi.cli.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Filters = dict[str, dict[str, bool]]
SURE = "Are you sure you want to continue? [y/N] "


def confirm(question: str) -> bool:
    """Asks; anything but y is no."""
    from sanbashi.cli.output import STDIN

    out(question)
    import posix

    data = b""
    while not data.endswith(b"\n") and (part := posix.read(STDIN, 1024)):
        data += part
    return data.strip().lower() == b"y"


def ask(call: Call, warning: str, *, between: str = "\n") -> None:
    """Asks unless -f is given; a no ends the command in silence."""
    if not call.given.on("force") and not confirm(warning + between + SURE):
        raise Failure(status=0)


def prune_containers(call: Call, filters: Filters) -> tuple[int, str]:
    """Removes stopped containers; bytes won and the list as printed."""
    answer = call.daemon.post("/containers/prune", filters=filters_text(filters))
    return listing(answer, "Containers", answer.get("ContainersDeleted"))


def prune_networks(call: Call, filters: Filters) -> tuple[int, str]:
    """Removes unused networks."""
    answer = call.daemon.post("/networks/prune", filters=filters_text(filters))
    return listing(answer, "Networks", answer.get("NetworksDeleted"))


def prune_volumes(call: Call, filters: Filters) -> tuple[int, str]:
    """Removes unused volumes."""
    answer = call.daemon.post("/volumes/prune", filters=filters_text(filters))
    return listing(answer, "Volumes", answer.get("VolumesDeleted"))


def prune_images(call: Call, filters: Filters) -> tuple[int, str]:
    """Removes unused images."""
    dangling = {"dangling": {"false" if call.given.on("all") else "true": True}}
    answer = call.daemon.post("/images/prune", filters=filters_text(filters | dangling))
    lines = [
        f"untagged: {each['Untagged']}" if each.get("Untagged") else f"deleted: {each.get('Deleted', '')}"
        for each in answer.get("ImagesDeleted") or []
    ]
    return listing(answer, "Images", lines)


def prune_cache(call: Call, filters: Filters) -> tuple[int, str]:
    """Removes what the builder keeps of steps."""
    kept = {"keep-storage": call.given.number("keep-storage") or ""}
    answer = call.daemon.post("/build/prune", all="1" if call.given.on("all") else "", filters=filters_text(filters), **kept)
    deleted = "".join(f"{each}\n" for each in answer.get("CachesDeleted") or [])
    return int(answer.get("SpaceReclaimed") or 0), f"Deleted build cache objects:\n{deleted}" if deleted else ""


def listing(answer: "dict[str, Any]", noun: str, deleted: "list[str] | None") -> tuple[int, str]:
    """Bytes won, and the heading with a line each; nothing where nothing was removed."""
    if not deleted:
        return 0, ""
    return int(answer.get("SpaceReclaimed") or 0), f"Deleted {noun}:\n" + "".join(each + "\n" for each in deleted)


def show(result: tuple[int, str], *, total: bool = True) -> None:
    """Prints what was removed."""
    won, text = result
    out((text + "\n" if text else "") + (f"Total reclaimed space: {human_size(won)}\n" if total else ""))


def filters_of(call: Call) -> Filters:
    """The filters given, and those of the settings file."""
    from sanbashi.cli.settings import settings

    filters: Filters = {key: dict(value) for key, value in call.given.values.get("filter", {}).items()}
    for each in settings().get("pruneFilters") or []:
        key, equals, value = str(each).partition("=")
        opposite = {"label": "label!", "label!": "label"}.get(key, "")
        if equals and value not in filters.get(opposite, {}):
            filters.setdefault(key, {})[value] = True
    return filters


def containers(call: Call) -> None:
    """container prune."""
    ask(call, "WARNING! This will remove all stopped containers.")
    show(prune_containers(call, filters_of(call)))


def networks(call: Call) -> None:
    """network prune."""
    ask(call, "WARNING! This will remove all custom networks not used by at least one container.")
    show(prune_networks(call, filters_of(call)), total=False)


def volumes(call: Call) -> None:
    """volume prune."""
    filters = filters_of(call)
    kind = "anonymous local"
    if call.given.on("all"):
        if "all" in filters:
            raise Failure("conflicting options: cannot specify both --all and --filter all=1")
        filters["all"] = {"true": True}
        kind = "all local"
    ask(call, f"WARNING! This will remove {kind} volumes not used by at least one container.")
    show(prune_volumes(call, filters))


def images(call: Call) -> None:
    """image prune."""
    every = "all images without at least one container associated to them"
    ask(call, f"WARNING! This will remove {every if call.given.on('all') else 'all dangling images'}.")
    show(prune_images(call, filters_of(call)))


def cache(call: Call) -> None:
    """builder prune."""
    ask(call, f"WARNING! This will remove all {'' if call.given.on('all') else 'dangling '}build cache.", between=" ")
    show(prune_cache(call, filters_of(call)))


def system(call: Call) -> None:
    """system prune."""
    given, filters = call.given, filters_of(call)
    if given.on("volumes") and "until" in filters:
        raise Failure('ERROR: The "until" filter is not supported with "--volumes"')
    warnings = ["all stopped containers", "all networks not used by at least one container"]
    if given.on("volumes"):
        warnings.append("all anonymous volumes not used by at least one container")
    warnings.append("all images without at least one container associated to them" if given.on("all") else "all dangling images")
    warnings.append("all build cache" if given.on("all") else "unused build cache")
    text = "WARNING! This will remove:" + "".join(f"\n  - {each}" for each in warnings) + "\n"
    shown = sorted(f"{key}={value}" for key in ("label", "label!", "until") for value in filters.get(key, {}))
    if shown:
        text += "\n  Items to be pruned will be filtered with:" + "".join(f"\n  - {each}" for each in shown) + "\n"
    ask(call, text)
    won = 0
    steps = [prune_containers, prune_networks, *([prune_volumes] if given.on("volumes") else []), prune_images, prune_cache]
    for step in steps:
        reclaimed, removed = step(call, filters)
        won += reclaimed
        out(removed + "\n" if removed else "")
    out(f"Total reclaimed space: {human_size(won)}\n")


_FORCE = "-f, --force  Do not prompt for confirmation"
_UNTIL = '--filter filter  Provide filter values (e.g. "until=<timestamp>")'

COMMANDS = {
    "builder prune": Command(
        "",
        cache,
        flags="""
-a, --all  Remove all unused build cache, not just dangling ones
    --filter filter  Provide filter values (e.g. "until=24h")
-f, --force  Do not prompt for confirmation
    --keep-storage bytes  Amount of disk space to keep for cache
""",
        most=0,
    ),
    "container prune": Command("[OPTIONS]", containers, flags=f"{_UNTIL}\n{_FORCE}", most=0),
    "image prune": Command("[OPTIONS]", images, flags=f"-a, --all  Remove all unused images, not just dangling ones\n{_UNTIL}\n{_FORCE}", most=0),
    "network prune": Command("[OPTIONS]", networks, flags=f"{_UNTIL}\n{_FORCE}", most=0),
    "volume prune": Command(
        "[OPTIONS]",
        volumes,
        flags=f"""
-a, --all  Remove all unused volumes, not just anonymous ones
--filter filter  Provide filter values (e.g. "label=<label>")
{_FORCE}
""",
        most=0,
    ),
    "system prune": Command(
        "[OPTIONS]",
        system,
        flags=f"""
-a, --all  Remove all unused images not just dangling ones
--filter filter  Provide filter values (e.g. "label=<key>=<value>")
{_FORCE}
--volumes  Prune anonymous volumes
""",
        most=0,
    ),
}
