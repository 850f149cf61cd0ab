"""`docker history`."""

from __future__ import annotations

from sanbashi.images.history import history
from sanbashi.images.model import History, Image


def test_empty_layers_have_no_size_and_the_newest_line_is_the_image() -> None:
    lines = history(
        Image(
            id="sha256:1",
            diff_ids=("a", "b"),
            sizes=(10, 20),
            repo_tags=("web:1",),
            history=(
                History(created="1970-01-01T00:00:05Z", created_by="one"),
                History(created_by="CMD", empty_layer=True),
                History(created_by="two", comment="c"),
            ),
        )
    )
    assert [(line.id, line.created_by, line.size, line.tags) for line in lines] == [
        ("sha256:1", "two", 20, ("web:1",)),
        ("<missing>", "CMD", 0, None),
        ("<missing>", "one", 10, None),
    ]
    assert lines[2].created == 5


def test_layers_that_the_history_does_not_tell_of() -> None:
    assert [line.size for line in history(Image(id="i", diff_ids=("a", "b"), sizes=(1, 2)))] == [2, 1]
    assert history(Image(id="i")) == ()
