"""What rmi takes away, and what it refuses."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sanbashi.containers.model import Config, Container, ContainerState, HostConfig, MountPoint
from sanbashi.errors import Conflict
from sanbashi.images.layers import chain_ids
from sanbashi.images.model import Image
from sanbashi.images.removal import remove

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64
D = "d" * 64
A, B, C = (f"sha256:{letter * 64}" for letter in "abc")


def image(id_: str = ONE, *tags: str, digests: tuple[str, ...] = (), layers: tuple[str, ...] = (A, B), parent: str = "") -> Image:
    return Image(id=id_, repo_tags=tags, repo_digests=digests, diff_ids=layers, parent=parent)


def container(image_id: str = ONE, *, running: bool = False) -> Container:
    state = ContainerState(status="running" if running else "exited")
    return Container(id="c" * 64, name="web", created="", config=Config(), host_config=HostConfig(), image_id=image_id, layers=(A, B), state=state)


def lines(images: list[Image], name: str, *containers: Container, force: bool = False) -> list[str]:
    removal = remove({i.id: i for i in images}, containers, images[0], name, given=name.removesuffix(":latest"), force=force)
    return [f"{kind}: {text}" for kind, text in removal.lines]


def refusal(images: list[Image], name: str, *containers: Container, force: bool = False) -> str:
    with pytest.raises(Conflict) as caught:
        lines(images, name, *containers, force=force)
    return caught.value.message


def chain(*layers: str) -> list[str]:
    return [f"Deleted: {c}" for c in reversed(chain_ids(layers))]


def test_the_last_name_takes_the_image_its_digests_and_its_layers_along() -> None:
    one = image(ONE, "web:1", digests=(f"web@sha256:{D}",))
    assert lines([one], "web:1") == ["Untagged: web:1", f"Untagged: web@sha256:{D}", f"Deleted: {ONE}", *chain(A, B)]


def test_shared_layers_stay() -> None:
    shown = lines([image(ONE, "web:1"), image(TWO, "other:1", layers=(A, C))], "web:1")
    assert shown == ["Untagged: web:1", f"Deleted: {ONE}", f"Deleted: {chain_ids((A, B))[1]}"]


def test_another_name_keeps_the_image() -> None:
    assert lines([image(ONE, "web:1", "web:2")], "web:1") == ["Untagged: web:1"]
    assert lines([image(ONE, "web:1", "other:1", digests=(f"web@sha256:{D}",))], "web:1") == ["Untagged: web:1", f"Untagged: web@sha256:{D}"]


def test_by_id_all_names_of_one_repository_go() -> None:
    one = image(ONE, "web:1", digests=(f"web@sha256:{D}",))
    assert lines([one], "")[:3] == ["Untagged: web:1", f"Untagged: web@sha256:{D}", f"Deleted: {ONE}"]


def test_by_id_several_names_must_be_forced() -> None:
    one = image(ONE, "web:1", "other:1")
    assert refusal([one], "") == "conflict: unable to delete 111111111111 (must be forced) - image is referenced in multiple repositories"
    assert lines([one], "", force=True)[:3] == ["Untagged: web:1", "Untagged: other:1", f"Deleted: {ONE}"]


def test_a_name_whose_image_a_container_uses() -> None:
    one = image(ONE, "web:latest")
    said = 'conflict: unable to remove repository reference "web" (must force) - container cccccccccccc is using its referenced image 111111111111'
    assert refusal([one], "web:latest", container()) == said
    assert lines([one], "web:latest", container(), force=True) == ["Untagged: web:latest", f"Deleted: {ONE}"]
    assert lines([one], "web:latest", container(running=True), force=True) == ["Untagged: web:latest"]


def test_an_id_whose_image_a_container_uses() -> None:
    one = image(ONE, "web:1")
    said = "conflict: unable to delete 111111111111 (must be forced) - image is being used by stopped container cccccccccccc"
    assert refusal([one], "", container()) == said
    running = "conflict: unable to delete 111111111111 (cannot be forced) - image is being used by running container cccccccccccc"
    assert refusal([one], "", container(running=True)) == running
    assert refusal([one], "", container(running=True), force=True) == running


def test_children_keep_their_parent() -> None:
    family = [image(ONE, layers=(A,)), image(TWO, "web:1", layers=(A, B), parent=ONE)]
    assert refusal(family, "") == "conflict: unable to delete 111111111111 (cannot be forced) - image has dependent child images"


def test_an_unnamed_parent_goes_with_its_last_child() -> None:
    shown = lines([image(TWO, "web:1", layers=(A, B), parent=ONE), image(ONE, layers=(A,))], "web:1")
    assert shown == ["Untagged: web:1", f"Deleted: {TWO}", f"Deleted: {chain_ids((A, B))[1]}", f"Deleted: {ONE}", f"Deleted: {A}"]


def test_layers_of_containers_are_used() -> None:
    shown = lines([image(ONE, "web:1", layers=(A, B, C))], "web:1", container(), force=True)
    assert shown == ["Untagged: web:1", f"Deleted: {ONE}", f"Deleted: {chain_ids((A, B, C))[2]}"]


def test_an_image_that_is_mounted_is_in_use() -> None:
    """The container is another image's; what it mounts stays, and with force the layers do."""
    one, two = image(ONE, "web:1", layers=(A, B)), image(TWO, "tools:1", layers=(A, C))
    point = MountPoint(type="image", destination="/tools", image_id=TWO, layers=(A, C))
    user = replace(container(ONE), mounts=(point,))
    assert "container cccccccccccc is using its referenced image 222222222222" in refusal([two, one], "tools:1", user)
    assert lines([two, one], "tools:1", user, force=True) == ["Untagged: tools:1", f"Deleted: {TWO}"]
    running = replace(user, state=ContainerState(status="running"))
    assert "image is being used by running container" in refusal([two, one], "", running, force=True)
