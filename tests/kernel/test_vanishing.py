"""Links that are deleted: out of sight when the call returns, though the kernel goes on with them."""

from __future__ import annotations

import errno
import json
import socket
import time
from collections.abc import Iterator

import pytest
from tests.kernel.world import Place

from sanbashi.host import sweeping
from sanbashi.host.counts import Counts
from sanbashi.host.sweeping import Sweeper

pytestmark = pytest.mark.root


@pytest.fixture
def host() -> Iterator[Place]:
    place = Place()
    yield place
    place.end()


def indexes(host: Place) -> dict[str, int]:
    return {link["ifname"]: link["ifindex"] for link in json.loads(host.sh("ip -j link"))}


def test_a_name_an_address_and_a_route_are_free_at_once(host: Place) -> None:
    sweeper = Sweeper(Counts())
    for _ in range(20):
        host.sh("ip link add br1 type bridge && ip address add 10.9.0.1/24 dev br1 && ip link set br1 up")
        host.sh("ip link add v1 type veth peer name v2 && ip link set v1 master br1 up")
        there = indexes(host)
        assert host.do(sweeper.vanish, [there["v1"], there["br1"]]) == [None, None]
        assert host.sh("cat /proc/net/dev | grep -c -e br1 -e v1", check=False).strip() == "0"  # which asks without the kernel's lock
        assert host.sh("ip -o link | grep -vc ' lo:'", check=False).strip() == "0"
        assert host.sh("ip route") == "" and "10.9.0.1" not in host.sh("ip route show table local")
    sweeper.finish()
    assert sweeper.vanishing == 0


def test_what_the_kernel_refuses_is_told(host: Place) -> None:
    sweeper = Sweeper(Counts())
    host.sh("ip link add br1 type bridge")
    there = indexes(host)
    refused, fine, none = host.do(sweeper.vanish, [there["lo"], there["br1"], 4242])
    assert refused is not None and "Operation not supported" in str(refused)
    assert fine is None
    assert none is not None and "No such device" in str(none)
    assert set(indexes(host)) == {"lo"}


class SlowToGo(socket.socket):
    """One whose thread gets its turn again only a while after it was closed."""

    def close(self) -> None:
        super().close()
        time.sleep(0.2)


def test_that_nothing_could_be_asked_is_told(host: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socketpair

    def pair() -> tuple[socket.socket, socket.socket]:
        ours, its = real()
        return ours, SlowToGo(its.family, its.type, its.proto, its.detach())

    def no_netlink(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(sweeping.socket, "socketpair", pair)  # type: ignore[attr-defined]
    monkeypatch.setattr(sweeping, "Netlink", no_netlink)
    sweeper = Sweeper(Counts())
    with pytest.raises(OSError, match="Too many open files"):
        host.do(sweeper.vanish, [indexes(host)["lo"]])
    sweeper.finish()


def test_the_rest_is_waited_for_at_the_end(host: Place) -> None:
    sweeper = Sweeper(Counts())
    host.sh("for n in 1 2 3 4; do ip link add v$n type veth peer name w$n; done")
    began = time.monotonic()
    for name, index in indexes(host).items():
        if name[0] == "v":
            host.do(sweeper.vanish, [index])
    sweeper.finish()
    assert sweeper.vanishing == 0, time.monotonic() - began
