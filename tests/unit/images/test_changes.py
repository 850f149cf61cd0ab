"""Instructions of import and commit."""

from __future__ import annotations

import pytest

from sanbashi.errors import Invalid
from sanbashi.images.changes import apply_changes
from sanbashi.images.model import ImageConfig


def test_every_instruction() -> None:
    changed = apply_changes(
        ImageConfig(env=("PATH=/bin", "A=0")),
        [
            'CMD ["sh", "-c", "true"]',
            "entrypoint /run me",
            "ENV A=1 B='two words'",
            "ENV C three words",
            "EXPOSE 80 53/udp",
            "LABEL x=y",
            "USER daemon",
            "WORKDIR /srv",
            "WORKDIR www",
            'VOLUME ["/data"]',
            "STOPSIGNAL SIGINT\nONBUILD RUN x",
            "HEALTHCHECK CMD curl localhost",
        ],
    )
    assert changed == ImageConfig(
        cmd=("sh", "-c", "true"),
        entrypoint=("/bin/sh", "-c", "/run me"),
        env=("PATH=/bin", "A=1", "B=two words", "C=three words"),
        exposed_ports={"80/tcp": {}, "53/udp": {}},
        labels={"x": "y"},
        user="daemon",
        working_dir="/srv/www",
        volumes={"/data": {}},
        stop_signal="SIGINT",
        on_build=("RUN x",),
        healthcheck={"Test": ["CMD-SHELL", "curl localhost"]},
    )


@pytest.mark.parametrize("change", ["FOO bar", "RUN x", "ENV A", "EXPOSE eighty", "LABEL a=b c", "HEALTHCHECK maybe", "ENV A='"])
def test_refused(change: str) -> None:
    with pytest.raises(Invalid):
        apply_changes(ImageConfig(), [change])
