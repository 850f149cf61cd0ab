"""A container as a row of `ps`: its columns, its ports as people read them."""

from time import time

from sanbashi.cli.gotemplate.values import Methods, Nil
from sanbashi.cli.units import ellipsis, human_duration, human_size, short_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HEADINGS = {
    "ID": "CONTAINER ID",
    "Names": "NAMES",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "Ports": "PORTS",
    "State": "STATE",
    "Status": "STATUS",
    "Size": "SIZE",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Networks": "NETWORKS",
    "Platform": "PLATFORM",
}
TABLE = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
RAW = """container_id: {{.ID}}
image: {{.Image}}
command: {{.Command}}
created_at: {{.CreatedAt}}
state: {{- pad .State 1 0}}
status: {{- pad .Status 1 0}}
names: {{.Names}}
labels: {{- pad .Labels 1 0}}
ports: {{- pad .Ports 1 0}}
"""


def container_format(form: str, quiet: bool, size: bool) -> str:
    """The format to render: the default table, raw, or the user's own."""
    if form in ("", "table"):
        return "{{.ID}}" if quiet else TABLE + ("\t{{.Size}}" if size else "")
    if form == "raw":
        return "container_id: {{.ID}}" if quiet else RAW + ("size: {{.Size}}\n" if size else "")
    return "{{.ID}}" if quiet else form


class ContainerRow(Methods):
    """A row of `ps`."""

    type = "*formatter.ContainerContext"
    columns = tuple(HEADINGS)

    def __init__(self, container: "dict[str, Any]", trunc: bool) -> None:
        self.container = container
        self.trunc = trunc
        self.size_used = False

    def column(self, name: str) -> "Any":
        container = self.container
        if name in ("State", "Status"):
            return str(container.get(name, ""))
        reader = _COLUMNS[name]
        if name == "Size":
            self.size_used = True
        return reader(container, self.trunc)

    def label(self, name: str) -> str:
        return str((self.container.get("Labels") or {}).get(name, ""))


def identity(container: "dict[str, Any]", trunc: bool) -> str:
    """ID."""
    return short_id(container["Id"]) if trunc else str(container["Id"])


def names(container: "dict[str, Any]", trunc: bool) -> str:
    """Names: shortened, links are left out."""
    found = [name[1:] for name in container["Names"] or []]
    own = [name for name in found if "/" not in name]
    return own[0] if trunc and own else ",".join(found)


def image(container: "dict[str, Any]", trunc: bool) -> str:
    """Image: shortened, without registry and digest where they go without saying."""
    text = str(container["Image"])
    if not text:
        return "<no image>"
    if trunc:
        if short_id(str(container.get("ImageID", ""))) == short_id(text):
            return short_id(text)
        if text not in _shown:  # a thousand containers have a handful of images
            _shown[text] = familiar(text)
        return _shown[text]
    return text


_shown: dict[str, str] = {}


def familiar(text: str) -> str:
    """An image's name as people write it, without its digest; the text where it is no name."""
    from sanbashi.cli.imagename import parsed

    name = parsed(text)
    return text if name is None else name.familiar_path() + (f":{name.tag}" if name.tag else "")


def command(container: "dict[str, Any]", trunc: bool) -> str:
    """Command in quotes."""
    from sanbashi.cli.gotemplate.text import quote

    text = str(container["Command"])
    return quote(ellipsis(text, 20) if trunc else text)


def created_at(container: "dict[str, Any]", trunc: bool) -> str:
    """The time of creation in the zone of this machine."""
    from sanbashi.cli.times import show_unix

    return show_unix(int(container["Created"]))


def size(container: "dict[str, Any]", trunc: bool) -> str:
    """What the container wrote, and with its image."""
    written = human_size(container.get("SizeRw") or 0, 3)
    whole = container.get("SizeRootFs") or 0
    return f"{written} (virtual {human_size(whole, 3)})" if whole > 0 else written


def labels(container: "dict[str, Any]", trunc: bool) -> str:
    """Labels by key."""
    return ",".join(sorted(f"{key}={value}" for key, value in (container.get("Labels") or {}).items()))


def mounts(container: "dict[str, Any]", trunc: bool) -> str:
    """Names of volumes, sources of binds."""
    found = [str(mount.get("Name") or mount.get("Source") or "") for mount in container.get("Mounts") or []]
    return ",".join(ellipsis(name, 15) if trunc else name for name in found)


def platform(container: "dict[str, Any]", trunc: bool) -> "Any":
    """The platform of the image's manifest, where the daemon says."""
    found = (container.get("ImageManifestDescriptor") or {}).get("platform")
    if not found:
        return Nil("*formatter.Platform")
    return "/".join(str(found[part]) for part in ("os", "architecture", "variant") if found.get(part))


_COLUMNS: "dict[str, Any]" = {
    "ID": identity,
    "Names": names,
    "Image": image,
    "Command": command,
    "CreatedAt": created_at,
    "RunningFor": lambda container, trunc: human_duration(time() - container["Created"]) + " ago",
    "Ports": lambda container, trunc: show_ports(container.get("Ports") or []),
    "Size": size,
    "Labels": labels,
    "Mounts": mounts,
    "LocalVolumes": lambda container, trunc: str(sum(mount.get("Driver") == "local" for mount in container.get("Mounts") or [])),
    "Networks": lambda container, trunc: ",".join((container.get("NetworkSettings") or {}).get("Networks") or {}),
    "Platform": platform,
}


def host_port(address: str, port: object) -> str:
    """address:port, an IPv6 address in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def show_ports(ports: "list[dict[str, Any]]") -> str:
    """Ports in groups: neighbours with the same number on the host as one range, others after them."""
    order = sorted(ports, key=lambda port: (port["PrivatePort"], port.get("IP") or "", port.get("PublicPort") or 0, port["Type"]))
    groups: dict[str, tuple[int, int]] = {}
    done: list[str] = []
    mapped: list[str] = []
    for port in order:
        private, protocol, address = port["PrivatePort"], port["Type"], port.get("IP") or ""
        if address and port.get("PublicPort") != private:
            mapped.append(f"{host_port(address, port.get('PublicPort') or 0)}->{private}/{protocol}")
            continue
        key = f"{address}/{protocol}" if address else protocol
        first, last = groups.get(key, (private, private))
        if key in groups and private != last + 1:
            done.append(show_group(key, first, last))
            first = private
        groups[key] = (first, private)
    return ", ".join(done + [show_group(key, first, last) for key, (first, last) in groups.items()] + mapped)


def show_group(key: str, first: int, last: int) -> str:
    """`0.0.0.0:80-82->80-82/tcp`."""
    address, slash, protocol = key.partition("/")
    span = str(first) if first == last else f"{first}-{last}"
    return f"{host_port(address, span)}->{span}/{protocol}" if slash else f"{span}/{address}"
