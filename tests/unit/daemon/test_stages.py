"""The stages of a verb are told in one line, and only where somebody reads it."""

from __future__ import annotations

import asyncio
import logging
import re

import pytest

from sanbashi.daemon.stages import Stages, present, stage, stages

LINE = re.compile(r"stages start 3f2a91c04d11( [a-z]+=\d+\.\dms)+")


def test_words() -> None:
    taken = Stages()
    taken.add("reserve", 0.00082, runtime=False)
    taken.add("create", 0.0182, runtime=True)
    taken.add("save", 0.0005, runtime=False)
    taken.add("save", 0.0005, runtime=False)
    assert taken.words(0.0221) == "reserve=0.8ms create=18.2ms save=1.0ms engine=3.9ms total=22.1ms"


async def work() -> None:
    with stages("start", "3f2a91c04d11" + "0" * 52):
        with stage("reserve"):
            pass

        async def beside() -> None:
            with stage("network"):
                await asyncio.sleep(0)

        with stage("create", runtime=True):
            await asyncio.gather(beside(), beside())


def test_one_line_with_what_ran_beside(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="sanbashi.stages"):
        asyncio.run(work())
    (told,) = [record.getMessage() for record in caplog.records if record.name == "sanbashi.stages"]
    assert LINE.fullmatch(told), told
    assert re.findall("([a-z]+)=", told) == ["reserve", "network", "create", "engine", "total"]


def test_nothing_is_measured_where_nobody_reads(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="sanbashi.stages"), stages("start", "3f2a"):
        assert present.get() is None
        with stage("reserve"):
            pass
    assert not caplog.records


def test_a_failure_is_told_too(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="sanbashi.stages"), pytest.raises(ValueError), stages("exit", "3f2a"), stage("destroy"):
        raise ValueError
    assert "stages exit 3f2a destroy=" in caplog.text
    assert present.get() is None
