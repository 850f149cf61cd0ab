"""OCI configurations, one file a set of options; what only repeats the first file is left out of the others."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sanbashi.containers import seccomp
from sanbashi.containers.capabilities import DEFAULT, EVERY
from sanbashi.containers.facts import ContainerFacts, Device
from sanbashi.containers.model import Config, HostConfig, Mount, Ulimit
from sanbashi.containers.options import TmpfsOptions
from sanbashi.containers.request import container_of
from sanbashi.containers.spec import Placement, spec
from sanbashi.containers.users import User

HERE = Path(__file__).parent / "specs"
ID = "ab" * 32
V2 = ContainerFacts(cpus=4, init="/usr/bin/tini")
V1 = ContainerFacts(cpus=4, cgroup="v1", controllers=frozenset({"cpu", "memory", "pids"}), kernel=(5, 10))
FILES = {name: f"/data/containers/x{name}" for name in ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")}
PLACE = Placement(rootfs="/data/x/merged", network="/run/netns/x", files=FILES, user=User(home="/root"))
SHELL = Config(cmd=("sh",))

CASES: dict[str, tuple[Config, HostConfig, Placement, ContainerFacts]] = {
    "plain": (SHELL, HostConfig(), PLACE, V2),
    "plain-v1": (SHELL, HostConfig(), PLACE, V1),
    "terminal": (Config(cmd=("bash",), tty=True, env=("LANG=C", "PATH=/bin")), HostConfig(console_size=(40, 120)), PLACE, V2),
    "privileged": (
        SHELL,
        HostConfig(privileged=True),
        Placement(rootfs="/data/x/merged", network="/run/netns/x", devices=(Device("/dev/kvm", "c", 10, 232),)),
        V2,
    ),
    "host-everything": (
        SHELL,
        HostConfig(network_mode="host", pid_mode="host", ipc_mode="host", uts_mode="host", cgroupns_mode="host", userns_mode="host"),
        Placement(rootfs="/data/x/merged", network=None),
        V2,
    ),
    "joined": (
        SHELL,
        HostConfig(network_mode="container:web", pid_mode="container:web", ipc_mode="container:web"),
        Placement(
            rootfs="/data/x/merged",
            network="/run/netns/web",
            own_network=False,
            pid="/proc/7/ns/pid",
            ipc="/proc/7/ns/ipc",
            shm="/data/web/shm",
            hostname="web",
        ),
        V2,
    ),
    "limits": (
        SHELL,
        HostConfig(
            memory=64 << 20,
            nano_cpus=1_500_000_000,
            pids_limit=100,
            cpuset_cpus="0-1",
            cpu_shares=512,
            blkio_weight=300,
            oom_score_adj=300,
            ulimits=(Ulimit(name="nofile", soft=1024, hard=-1),),
            device_cgroup_rules=("c 10:* rwm",),
        ),
        PLACE,
        V2,
    ),
    "confined": (
        Config(cmd=("sh",), user="www", working_dir="/srv"),
        HostConfig(
            cap_drop=("ALL",),
            cap_add=("net_bind_service",),
            security_opt=("no-new-privileges", "seccomp=unconfined"),
            readonly_rootfs=True,
            init=True,
            sysctls={"net.core.somaxconn": "512"},
            cgroup_parent="/kept/here",
        ),
        Placement(rootfs="/data/x/merged", network="/run/netns/x", files=FILES, user=User(33, 33, (33, 4), "/var/www", "www")),
        V2,
    ),
    "mounts": (
        Config(cmd=("sh",), volumes={"/var/lib/data": {}}),
        HostConfig(
            binds=("/srv/www:/var/www:ro", "/srv/conf:/etc/conf:ro", "/srv:/srv:rshared", "cache:/cache"),
            mounts=(Mount(type="tmpfs", target="/scratch", tmpfs_options=TmpfsOptions(size_bytes=1048576, mode=0o1777)),),
            tmpfs={"/run": "exec,size=1m"},
            shm_size=1 << 20,
        ),
        replace(PLACE, leaves=frozenset(("/srv/conf",))),
        V2,
    ),
    "bind-over-proc-of-ours": (SHELL, HostConfig(binds=("/srv/hosts:/etc/hosts", "/srv/shm:/dev/shm")), PLACE, V2),
}


def made(name: str) -> dict[str, Any]:
    config, host, placement, facts = CASES[name]
    container, _ = container_of(config, host, (), None, id=ID, name="web", created="", facts=facts)
    made_spec = spec(container, placement, facts)
    profile = made_spec["linux"].pop("seccomp", None)
    made_spec["linux"]["seccomp"] = (
        "none" if profile is None else f"{len(profile['syscalls'][0]['names'])} calls and {len(profile['syscalls']) - 1} rules"
    )
    return made_spec


def compare(path: Path, text: str) -> None:
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text(), f"{path.name} differs: make golden writes it anew"


@pytest.mark.parametrize("name", CASES)
def test_a_set_of_options_gives_its_golden_specification(name: str) -> None:
    found, plain = made(name), made("plain")
    if name != "plain":
        found = {key: difference(value, plain.get(key)) for key, value in found.items() if value != plain.get(key)}
    compare(HERE / f"{name}.json", json.dumps(found, indent=1) + "\n")


def difference(value: Any, plain: Any) -> Any:
    if isinstance(value, dict) and isinstance(plain, dict):
        return {key: value.get(key, "(left out)") for key in {**plain, **value} if value.get(key) != plain.get(key)}
    return value


@pytest.mark.parametrize(("name", "capabilities"), [("seccomp", DEFAULT), ("seccomp-all-capabilities", EVERY)])
def test_the_default_seccomp_profile(name: str, capabilities: tuple[str, ...]) -> None:
    profile = seccomp.default(capabilities, "x86_64", (6, 1))
    lines = [f"default {profile['defaultAction']} {profile['defaultErrnoRet']} {' '.join(profile['architectures'])}"]
    for rule in profile["syscalls"]:
        conditions = [f"{a['op'].removeprefix('SCMP_CMP_')} argument {a['index']} {a['value']:#x}" for a in rule.get("args", ())]
        lines.append(" ".join([rule["action"], str(rule.get("errnoRet", "")), *conditions]).strip())
        lines += [f"  {call}" for call in rule["names"]]
    compare(HERE / f"{name}.txt", "\n".join(lines) + "\n")


def test_options_that_must_not_matter_change_nothing() -> None:
    plain = made("plain")
    for host in (
        HostConfig(restart_policy=HostConfig().restart_policy, auto_remove=True),
        HostConfig(port_bindings={"80/tcp": None}, publish_all_ports=True, dns=("1.1.1.1",), extra_hosts=("a:1.2.3.4",)),
    ):
        container, _ = container_of(SHELL, host, (), None, id=ID, name="other", created="x", facts=V2)
        other = spec(container, PLACE, V2)
        other["linux"]["seccomp"] = plain["linux"]["seccomp"]
        assert other == plain
