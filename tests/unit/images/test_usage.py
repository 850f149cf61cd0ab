"""Layers that images share."""

from sanbashi.images.model import Image
from sanbashi.images.usage import shared_sizes


def test_only_equal_chains_are_shared() -> None:
    images = [
        Image(id="a", diff_ids=("1", "2"), sizes=(10, 20)),
        Image(id="b", diff_ids=("1", "3"), sizes=(10, 30)),
        Image(id="c", diff_ids=("3", "1"), sizes=(30, 10)),
    ]
    assert shared_sizes(images) == {"a": 10, "b": 10, "c": 0}
