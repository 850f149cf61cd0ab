"""Before and after a boot: what has a policy comes back, what belonged to the old boot is recognised, and nothing of it is left."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

from tests.vm.facts import Line, eventually, fact, inspect, pid_of, sh
from tests.vm.units import ECHO

KEPT = Path("/var/lib/sanbashi-vm-boot.json")


def rows_of(*kinds: str) -> list[tuple[str, str]]:
    """What is saved of these kinds: kind and id."""
    with contextlib.closing(sqlite3.connect("file:/var/lib/sanbashi/state.db?mode=ro", uri=True)) as database:
        return [row for row in database.execute("SELECT kind, id FROM objects") if row[0] in kinds]


def prepare_boot() -> None:
    """Containers of every policy, a network with names, a published port; what is remembered of them stands in a file."""
    print("before the boot")
    sh("sanbashi rm -f web other; sanbashi network rm app", check=False)
    sh("sanbashi network create --subnet 10.77.0.0/24 kept; sanbashi volume create things")
    sh(f"sanbashi run -d --name always --network kept --restart always -p 8100:7 -v things:/things bb {ECHO}")
    sh("sanbashi run -d --name unless --network kept --ip 10.77.0.50 --restart unless-stopped bb sleep 1000000")
    sh("sanbashi run -d --name stopped --network kept --restart unless-stopped bb sleep 1000000; sanbashi stop -t 1 stopped")
    sh("sanbashi run -d --name none --network kept bb sleep 1000000")
    sh("sanbashi run -d --name paused --network kept bb sleep 1000000; sanbashi pause paused")
    sh("sanbashi exec always sh -c 'echo kept > /things/file; echo layer > /here'")
    fact("the port answers", Line("127.0.0.1", 8100).lives())
    pids = {name: pid_of(name) for name in ("always", "unless", "none", "paused")}
    KEPT.write_text(json.dumps({"boot": Path("/proc/sys/kernel/random/boot_id").read_text(), "pids": pids}))
    sh("sync")


def check_boot() -> None:
    """After it."""
    print("after the boot")
    kept = json.loads(KEPT.read_text())
    fact("this is another boot", kept["boot"] != Path("/proc/sys/kernel/random/boot_id").read_text())
    fact("the service is active", eventually(lambda: sh("systemctl is-active sanbashi", check=False) == "active", 120))
    running = {"always": True, "unless": True, "stopped": False, "none": False, "paused": False}
    for name, is_so in running.items():
        fact(
            f"{name} is {'running' if is_so else 'not running'}",
            eventually(lambda n=name, s=is_so: inspect(n)["State"]["Running"] is s),
            inspect(name)["State"],
        )
    for name in ("none", "paused"):
        state = inspect(name)["State"]
        fact(f"{name}: exited and not paused, no pid", (state["Status"], state["Paused"], state["Pid"]) == ("exited", False, 0), state)
    fact("the address asked for is there again", inspect("unless")["NetworkSettings"]["Networks"]["kept"]["IPAddress"] == "10.77.0.50")
    fact("the port answers", eventually(lambda: Line("127.0.0.1", 8100).lives(), 30))
    fact("volume and layer are as they were", sh("sanbashi exec always cat /things/file /here") == "kept\nlayer")
    fact("names are answered", "10.77.0.50" in sh("sanbashi exec always nslookup unless", check=False))
    sh("sanbashi start none; sanbashi rm -f always unless stopped none paused; sanbashi network rm kept; sanbashi volume rm things")
    links = sh("ip -br link show type veth; ip -br link show type bridge")
    fact("after removal no link is left but docker0 or our default bridge", len(links.splitlines()) <= 1, links)
    fact("and no mount of a container", "overlay" not in sh("findmnt -n -t overlay", check=False), sh("findmnt -n -t overlay", check=False))
    pinned = sh("findmnt -n -t nsfs -o TARGET", check=False)
    fact("and no pinned namespace", not pinned, pinned)
    rules = sh("nft list table inet sanbashi; nft list table bridge sanbashi")
    fact("and no rule for its addresses and ports", not any(word in rules for word in ("10.77.0.", " 8100")), rules)
    fact("and no row of an address, a sandbox or a container", not (rows := rows_of("endpoint", "sandbox", "container")), rows)
    KEPT.unlink()
