"""Archives' lists of contents."""

from __future__ import annotations

import json

import pytest

from sanbashi.errors import Invalid
from sanbashi.images.layout import NAME, Entry, entries_of_index, entries_of_manifest, parse_names
from sanbashi.images.manifest import digest_of


def test_a_docker_archive() -> None:
    data = json.dumps([{"Config": "c.json", "RepoTags": None, "Layers": ["a/layer.tar"], "LayerSources": {}}]).encode()
    assert entries_of_manifest(data) == (Entry(config="c.json", layers=("a/layer.tar",)),)
    with pytest.raises(Invalid, match=r"manifest\.json"):
        entries_of_manifest(b"{}")


def test_an_oci_layout_joins_names_enters_lists_and_leaves_attestations_out() -> None:
    manifest = json.dumps({"schemaVersion": 2, "config": {"digest": "sha256:c"}, "layers": [{"digest": "sha256:l"}]}).encode()
    attested = {"vnd.docker.reference.type": "attestation-manifest"}
    inner = json.dumps(
        {"schemaVersion": 2, "manifests": [{"digest": digest_of(manifest)}, {"digest": "sha256:att", "annotations": attested}]}
    ).encode()
    files = {f"blobs/{digest_of(data).replace(':', '/')}": data for data in (manifest, inner)}
    top = {
        "schemaVersion": 2,
        "manifests": [
            {"digest": digest_of(inner), "annotations": {NAME: "docker.io/library/web:1"}},
            {"digest": digest_of(manifest), "annotations": {NAME: "docker.io/library/web:2", "org.opencontainers.image.ref.name": "2"}},
        ],
    }
    (entry,) = entries_of_index(json.dumps(top).encode(), files.__getitem__)
    assert (entry.config, entry.layers) == ("blobs/sha256/c", ("blobs/sha256/l",))
    assert set(parse_names(entry.names)) == {"web:1", "web:2"}


def test_names() -> None:
    assert parse_names(["docker.io/library/web:1", "web:1", f"web@sha256:{'a' * 64}"]) == ("web:1",)
    with pytest.raises(Invalid, match="invalid tag"):
        parse_names(["Web:1"])
