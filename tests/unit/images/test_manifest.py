"""Manifests, lists and configurations."""

from __future__ import annotations

import json

import pytest

from sanbashi.errors import Failed, Invalid, NotFound
from sanbashi.images.manifest import (
    DOCKER_LIST,
    OCI_MANIFEST,
    Descriptor,
    Index,
    Manifest,
    Platform,
    choose,
    config_of,
    digest_of,
    image_of,
    parse_manifest,
    parse_platform,
)
from sanbashi.images.model import History, Image, ImageConfig

HOST = Platform("linux", "amd64")


def index(*platforms: Platform) -> Index:
    return Index(manifests=tuple(Descriptor(digest=str(p), platform=p) for p in platforms))


def test_a_manifest_and_a_list_are_told_apart_by_type_or_by_shape() -> None:
    manifest = {"schemaVersion": 2, "config": {"digest": "c"}, "layers": [{"digest": "l", "size": 3}]}
    assert isinstance(parse_manifest(json.dumps(manifest).encode(), OCI_MANIFEST), Manifest)
    assert isinstance(parse_manifest(json.dumps(manifest).encode()), Manifest)
    assert isinstance(parse_manifest(b'{"schemaVersion": 2, "manifests": [{"digest": "x", "annotations": null}]}'), Index)
    assert isinstance(parse_manifest(b'{"schemaVersion": 2, "manifests": []}', DOCKER_LIST), Index)
    assert parse_manifest(b'{"schemaVersion": 2, "config": {"digest": "c"}, "layers": null}') == Manifest(config=Descriptor(digest="c"))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b'{"config": 1}'])
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(Failed, match="manifest cannot be read"):
        parse_manifest(data)


def test_schema_1_is_refused_in_dockers_words() -> None:
    with pytest.raises(Failed, match="schema 1 support has been removed"):
        parse_manifest(b'{"schemaVersion": 1, "fsLayers": []}')


@pytest.mark.parametrize(
    ("offers", "wanted", "chosen"),
    [
        ([Platform("linux", "arm64", "v8"), HOST], HOST, "linux/amd64"),
        ([Platform("linux", "arm64", "v8")], Platform("linux", "arm64"), "linux/arm64/v8"),
        ([Platform("linux", "arm", "v5"), Platform("linux", "arm", "v7")], Platform("linux", "arm"), "linux/arm/v7"),
        ([Platform("linux", "arm", "v6"), Platform("linux", "arm", "v5")], Platform("linux", "arm", "v7"), "linux/arm/v6"),
        ([HOST, Platform("linux", "amd64", "v3")], Platform("linux", "amd64", "v3"), "linux/amd64/v3"),
        ([Platform("linux", "amd64", "v3"), HOST], HOST, "linux/amd64"),
        ([Platform("unknown", "unknown"), HOST], HOST, "linux/amd64"),
    ],
)
def test_choose(offers: list[Platform], wanted: Platform, chosen: str) -> None:
    assert choose(index(*offers), wanted).digest == chosen


def test_choose_without_a_match() -> None:
    with pytest.raises(NotFound, match=r"^no matching manifest for linux/arm/v5 in the manifest list entries$"):
        choose(index(HOST, Platform("linux", "arm", "v7")), Platform("linux", "arm", "v5"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", HOST), ("linux", HOST), ("linux/x86_64", HOST), ("arm64", Platform("linux", "arm64")), ("linux/arm/v7", Platform("linux", "arm", "v7"))],
)
def test_parse_platform(text: str, expected: Platform) -> None:
    assert parse_platform(text, HOST) == expected


@pytest.mark.parametrize("text", ["linux/", "a/b/c/d", "/"])
def test_parse_platform_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_platform(text, HOST)


def test_a_configuration_with_nulls_and_strangers_is_read() -> None:
    data = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": None,
            "config": {"Env": None, "Cmd": ["sh"], "Labels": None, "ExposedPorts": {"80/tcp": {}}, "Hostname": "", "Healthcheck": {"Test": ["NONE"]}},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:1"]},
            "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "x", "empty_layer": True}, {"comment": None}],
            "moby.buildkit.buildinfo.v1": {"a": None},
        }
    ).encode()
    image = image_of(data)
    assert image.id == digest_of(data)
    assert image.config == ImageConfig(cmd=("sh",), exposed_ports={"80/tcp": {}}, healthcheck={"Test": ["NONE"]})
    assert image.history == (History(created="2024-01-01T00:00:00Z", created_by="x", empty_layer=True), History())


@pytest.mark.parametrize("data", [b"", b"[]", b'{"rootfs": {"type": "floppies"}}', b'{"config": {"Cmd": "sh"}}'])
def test_what_is_no_configuration_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid, match="invalid image configuration"):
        image_of(data)


def test_a_configuration_written_reads_back_the_same() -> None:
    image = Image(id="", created="2024-01-01T00:00:00Z", comment="c", config=ImageConfig(cmd=("sh",), labels={"a": "b"}), diff_ids=("sha256:1",))
    data = config_of(image)
    assert image_of(data) == Image(id=digest_of(data), created=image.created, comment="c", config=image.config, diff_ids=image.diff_ids)
