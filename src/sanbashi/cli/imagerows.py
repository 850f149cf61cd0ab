"""Images and their layers as rows of `images` and `history`."""

from time import time

from sanbashi.cli.gotemplate.values import Methods
from sanbashi.cli.imagename import parsed
from sanbashi.cli.units import ellipsis, human_duration, human_size, short_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HEADINGS = {
    "ID": "IMAGE ID",
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
    "Containers": "CONTAINERS",
    "VirtualSize": "SIZE",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
}
HISTORY_HEADINGS = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}
_TABLE = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
_DIGEST_TABLE = "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
EPOCH = 946684800  # 2000: what is older is not shown as an age


def image_format(form: str, quiet: bool, digests: bool) -> str:
    """The format to render."""
    if form in ("", "table"):
        return "{{.ID}}" if quiet else _DIGEST_TABLE if digests else _TABLE
    if form == "raw":
        digest = "digest: {{.Digest}}\n" if digests else ""
        rest = "image_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n"
        return "image_id: {{.ID}}" if quiet else "repository: {{ .Repository }}\ntag: {{.Tag}}\n" + digest + rest
    if form.startswith("table") and digests and "{{.Digest}}" not in form:
        return form + "\t{{.Digest}}"
    return form


class ImageRow(Methods):
    """A row of `images`: one tag or digest of an image."""

    type = "*formatter.imageContext"
    columns = tuple(HEADINGS)

    def __init__(self, image: "dict[str, Any]", trunc: bool, repository: str, tag: str, digest: str) -> None:
        self.image = image
        self.trunc = trunc
        self.own = {"Repository": repository, "Tag": tag, "Digest": digest}

    def column(self, name: str) -> str:
        image = self.image
        if name in self.own:
            return self.own[name]
        if name == "ID":
            return short_id(image["Id"]) if self.trunc else str(image["Id"])
        if name == "CreatedSince":
            return human_duration(time() - image["Created"]) + " ago"
        if name == "CreatedAt":
            from sanbashi.cli.times import show_unix

            return show_unix(int(image["Created"]))
        if name == "Size":
            return human_size(image["Size"], 3)
        if name == "VirtualSize":
            return human_size(image["Size"])
        if name == "Containers":
            return "N/A" if image.get("Containers", -1) == -1 else str(image["Containers"])
        shared = image.get("SharedSize", -1)
        if shared == -1 or image["Size"] == -1:
            return "N/A"
        return human_size(shared if name == "SharedSize" else image["Size"] - shared)


def rows_of(image: "dict[str, Any]", trunc: bool, digests: bool, need_digest: bool) -> list[ImageRow]:
    """The rows of one image: a tag each (with each digest, where digests are shown), then digests without a tag."""
    tags, found = by_name(image.get("RepoTags") or [], "tag"), by_name(image.get("RepoDigests") or [], "digest")
    if not tags and not found:
        return [ImageRow(image, trunc, "<none>", "<none>", "<none>")]
    rows: list[ImageRow] = []
    for name, values in tags.items():
        own = found.pop(name, [])
        for tag in values:
            rows += [ImageRow(image, trunc, name, tag, digest) for digest in (own if need_digest and own else ["<none>"])]
    for name, values in found.items():
        rows += [ImageRow(image, trunc, name, "<none>", digest) for digest in (values if digests else [""])]
    return rows


def by_name(references: list[str], part: str) -> dict[str, list[str]]:
    """Tags or digests by the name people write."""
    found: dict[str, list[str]] = {}
    for reference in references:
        name = parsed(reference)
        value = getattr(name, part) if name is not None else ""
        if name is not None and value:
            found.setdefault(name.familiar_path(), []).append(value)
    return found


class HistoryRow(Methods):
    """A row of `history`."""

    type = "*image.historyContext"
    columns = tuple(HISTORY_HEADINGS)

    def __init__(self, layer: "dict[str, Any]", trunc: bool, human: bool) -> None:
        self.layer = layer
        self.trunc = trunc
        self.human = human

    def column(self, name: str) -> str:
        layer = self.layer
        if name == "ID":
            return short_id(layer["Id"]) if self.trunc else str(layer["Id"])
        if name == "CreatedSince" and self.human:
            return "N/A" if layer["Created"] <= EPOCH else human_duration(time() - layer["Created"]) + " ago"
        if name in ("CreatedSince", "CreatedAt"):
            from sanbashi.cli.times import unix_rfc3339

            return unix_rfc3339(int(layer["Created"]))
        if name == "CreatedBy":
            text = str(layer.get("CreatedBy") or "").replace("\t", " ")
            return ellipsis(text, 45) if self.trunc else text
        if name == "Size":
            return human_size(layer["Size"], 3) if self.human else str(layer["Size"])
        return str(layer.get("Comment") or "")
