"""`info` by version."""

from __future__ import annotations

from sanbashi.api.info_view import info_json

NOW = {
    "FirewallBackend": {"Driver": "nftables"},
    "Runtimes": {"crun": {"path": "crun", "status": {"a": "b"}}},
    "RegistryConfig": {"Mirrors": []},
    "RuncCommit": {"ID": "abc"},
    "NRI": {},
    "BridgeNfIptables": True,
}


def test_the_newest_is_as_it_is() -> None:
    assert info_json(NOW, (1, 56)) == {name: value for name, value in NOW.items() if name != "BridgeNfIptables"}


def test_older_ones_have_what_has_gone_and_nothing_of_what_came() -> None:
    assert "NRI" not in info_json(NOW, (1, 52))
    old = info_json(NOW, (1, 43))
    assert "FirewallBackend" not in old and "FirewallBackend" in info_json(NOW, (1, 49))
    assert old["RuncCommit"] == {"ID": "abc", "Expected": "abc"} and info_json(NOW, (1, 49))["RuncCommit"] == {"ID": "abc"}
    assert (old["BridgeNfIptables"], "BridgeNfIptables" in info_json(NOW, (1, 50))) == (True, False)
    assert "AllowNondistributableArtifactsCIDRs" in info_json(NOW, (1, 46))["RegistryConfig"]
    assert old["Runtimes"] == {"crun": {"path": "crun"}}
    assert info_json(NOW, (1, 44))["Runtimes"] == NOW["Runtimes"]
