"""-v, --mount, --tmpfs, --volumes-from and the image's volumes."""

from __future__ import annotations

import pytest

from sanbashi.containers.model import Config, Container, HostConfig, Mount, MountPoint
from sanbashi.containers.mounts import bind, mount_points, tmpfs_options
from sanbashi.containers.options import BindOptions, ImageOptions, TmpfsOptions, VolumeOptions
from sanbashi.containers.request import nobody
from sanbashi.errors import Invalid, NotFound


def points(config: Config | None = None, **host: object) -> tuple[MountPoint, ...]:
    return mount_points(config or Config(), HostConfig(**host), nobody)  # type: ignore[arg-type]


def test_binds_and_volumes() -> None:
    found = bind("/srv//www/:/var/www/:ro")
    assert (found.type, found.source, found.destination, found.rw, found.propagation, found.mode) == (
        "bind",
        "/srv/www",
        "/var/www",
        False,
        "rprivate",
        "ro",
    )
    named = bind("cache:/cache")
    assert (named.type, named.name, named.source, named.rw, named.copy_up) == ("volume", "cache", "", True, True)
    assert not bind("cache:/cache:nocopy").copy_up
    assert bind("/a:/b:rshared,ro").propagation == "rshared"
    alone = bind("/alone")
    assert (alone.type, alone.name, alone.destination, alone.copy_up) == ("volume", "", "/alone", True)


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ("a", "invalid volume specification: 'a'"),
        (":/x", "invalid volume specification: ':/x'"),
        ("/a:b", "invalid volume specification: '/a:b': invalid mount path: 'b' mount path must be absolute"),
        ("/a:/", "invalid volume specification: '/a:/': invalid specification: destination can't be '/'"),
        ("/a:/b:nonsense", "invalid mode: nonsense"),
        ("/a:/b:ro,rw", "invalid mode: ro,rw"),
        ("../x:/b", 'create ../x: "../x" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed.'),
        ("x:/b", "volume name is too short, names should be at least two alphanumeric characters"),
    ],
)
def test_what_v_may_not_say(raw: str, sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        points(binds=(raw,))
    assert refused.value.message.startswith(sentence)


def test_a_place_is_mounted_once() -> None:
    with pytest.raises(Invalid, match="Duplicate mount point: /a"):
        points(binds=("/x:/a", "/y:/a/"))
    with pytest.raises(Invalid, match="Duplicate mount point: /a"):
        points(binds=("/x:/a",), tmpfs={"/a": ""})


def test_the_images_volumes_give_way_to_the_users_mounts() -> None:
    config = Config(volumes={"/data": {}, "/cache": {}, "/run": {}})
    found = points(config, binds=("/srv:/data",), tmpfs={"/run": ""})
    assert [(p.type, p.destination, p.name) for p in found] == [("volume", "/cache", ""), ("bind", "/data", "")]


def test_outer_mounts_come_first() -> None:
    assert [p.destination for p in points(binds=("/x:/a/b/c", "/y:/z", "/w:/a/b"))] == ["/z", "/a/b", "/a/b/c"]


@pytest.mark.parametrize(
    ("mount", "sentence"),
    [
        (Mount(type="bind", target="/a"), 'invalid mount config for type "bind": field Source must not be empty'),
        (Mount(type="bind", source="/a"), 'invalid mount config for type "bind": field Target must not be empty'),
        (Mount(type="bind", source="a", target="/a"), "mount path must be absolute"),
        (Mount(type="tmpfs", source="/a", target="/a"), 'invalid mount config for type "tmpfs": field Source must not be specified'),
        (Mount(type="nonsense", target="/a"), 'invalid mount config for type "nonsense": mount type unknown'),
        (Mount(type="bind", source="/a", target="/a", tmpfs_options=TmpfsOptions(mode=1)), "field TmpfsOptions must not be specified"),
        (Mount(type="bind", source="/a", target="/a", bind_options=BindOptions(propagation="x")), "invalid propagation mode: x"),
        (
            Mount(type="bind", source="/a", target="/a", bind_options=BindOptions(read_only_force_recursive=True)),
            "mount options conflict: !ReadOnly && BindOptions.ReadOnlyForceRecursive",
        ),
        (Mount(type="bind", source="/a", target="/a", volume_options=VolumeOptions()), "field VolumeOptions must not be specified"),
        (Mount(type="volume", target="/a", volume_options=VolumeOptions(subpath="a")), "must not set Subpath when using anonymous volumes"),
        (Mount(type="image", target="/a"), 'invalid mount config for type "image": field Source must not be empty'),
        (Mount(type="image", source="x", target="/a", bind_options=BindOptions()), "field BindOptions must not be specified"),
        (Mount(type="image", source="x", target="/a", image_options=ImageOptions(subpath="/b")), "subpath must be a relative path within the volume"),
        (Mount(type="cluster", source="x", target="/a"), 'invalid mount config for type "cluster": mount type unknown'),
        (Mount(type="tmpfs", target="/a", tmpfs_options=TmpfsOptions(options=(("bogus",),))), "invalid option: bogus"),
        (Mount(type="tmpfs", target="/a", tmpfs_options=TmpfsOptions(options=(("a", "b", "c"),))), "invalid option array length"),
    ],
)
def test_what_mount_may_not_say(mount: Mount, sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        points(mounts=(mount,))
    assert sentence in refused.value.message


def test_tmpfs_options_undo_the_defaults() -> None:
    assert tmpfs_options("") == ("noexec", "nosuid", "nodev")
    assert tmpfs_options("exec,size=1m") == ("nosuid", "nodev", "exec", "size=1m")


def test_who_is_to_make_a_volume() -> None:
    """--volume-driver is for -v and the image's volumes, not for --mount."""
    host = HostConfig(binds=("named:/a", "/b"), mounts=(Mount(type="volume", source="own", target="/c"),), volume_driver="other")
    found = mount_points(Config(volumes={"/d": {}}), host, nobody)
    assert [(point.destination, point.driver) for point in found] == [("/a", "other"), ("/b", "other"), ("/c", "local"), ("/d", "other")]


def test_volumes_from_another_container() -> None:
    other = Container(
        id="x",
        name="other",
        created="",
        config=Config(),
        host_config=HostConfig(),
        image_id="",
        mounts=(MountPoint(type="volume", name="data", destination="/data", copy_up=True), MountPoint(type="tmpfs", destination="/t")),
    )
    found = mount_points(Config(), HostConfig(volumes_from=("other:ro",)), lambda ref: other)
    assert [(p.name, p.rw, p.copy_up) for p in found] == [("data", False, False)]
    with pytest.raises(NotFound, match="No such container: other"):
        points(volumes_from=("other",))
