"""Settings that cannot be meant are refused with a sentence, before anything is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from sanbashi.daemon.checking import check_settings
from sanbashi.daemon.config import parse
from sanbashi.errors import Invalid


def check(*words: str) -> None:
    check_settings(parse(words, lambda path: Path(path).read_text()))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--log-level=loud"], "invalid logging level: loud"),
        (["--data-root=relative"], "--data-root relative is no absolute path"),
        (["--bip=10.1.0.0/16"], "give the bridge's own address, 10.1.0.1/16 say"),
        (["--bip=10.1.255.255/16"], "is the broadcast address"),
        (["--bip=10.1.0.1/16", "--fixed-cidr=10.9.0.0/24"], "--fixed-cidr 10.9.0.0/24 is no part of 10.1.0.0/16"),
        (["--bip=10.1.0.1/16", "--fixed-cidr=10.0.0.0/8"], "is no part of 10.1.0.0/16"),
        (["--fixed-cidr-v6=10.0.0.0/8"], "is no IPv6 network"),
        (["--ipv6", "--bip6=fd00::/64"], "give the bridge's own address"),
        (["--ipv6", "--bip6=fd00::1/64", "--fixed-cidr-v6=fd01::/80"], "--fixed-cidr-v6 fd01::/80 is no part of fd00::/64"),
        (["--ipv6", "--bip6=fd00::1/64", "--default-gateway-v6=fd01::1"], "--default-gateway-v6 fd01::1 is no address of fd00::/64"),
        (["--bip6=fd00::1/64"], "give --ipv6 too"),
        (["--mtu=20"], "invalid default MTU: 20"),
        (["--mtu=-1"], "invalid default MTU: -1"),
        (["--ipv6", "--mtu=1000"], "--mtu 1000 has no room for IPv6, which needs 1280"),
        (["--bip=10.1.0.1/16", "--default-gateway=10.3.3.3"], "--default-gateway 10.3.3.3 is no address of 10.1.0.0/16"),
        (["--registry-mirror=notaurl"], 'invalid mirror: no scheme specified for "notaurl"'),
        (["--insecure-registry=foo bar"], "insecure registry foo bar is not valid"),
    ],
)
def test_what_cannot_be_meant(words: list[str], sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        check(*words)
    assert sentence in refused.value.message


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--log-level=warn"],
        ["--bip=10.1.0.1/16", "--fixed-cidr=10.1.4.0/24", "--default-gateway=10.1.9.9"],
        ["--fixed-cidr=10.9.0.0/24"],
        ["--bip=10.1.0.0/31"],
        ["--mtu=1000"],
        ["--ipv6", "--mtu=1280"],
        ["--ipv6", "--fixed-cidr-v6=fd00:1::/64"],
        ["--ipv6", "--bip6=fd00:1::1/64", "--fixed-cidr-v6=fd00:1::/80", "--default-gateway-v6=fd00:1::9"],
        ["--registry-mirror=http://127.0.0.1:5000/", "--insecure-registry=10.0.0.0/8", "--insecure-registry=host:5000"],
    ],
)
def test_what_can(words: list[str]) -> None:
    check(*words)


def test_limits_that_are_none() -> None:
    for words, sentence in ((["--default-ulimit=bogus=1"], "invalid ulimit type: bogus"), (["--default-ulimit=nofile=9:3"], "9 > 3")):
        with pytest.raises(Invalid) as refused:
            check(*words)
        assert sentence in refused.value.message
    check("--default-ulimit=nofile=3:9", "--default-ulimit=core=0")
