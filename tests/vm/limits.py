"""Limits on control groups v2: what is asked for stands in the kernel's files, bites, and is counted."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from tests.vm.facts import eventually, fact, inspect, pid_of, sh


def group(container: str) -> Path:
    """The container's control group; where it has a namespace of its own, still the host's path."""
    return Path("/sys/fs/cgroup") / Path(f"/proc/{pid_of(container)}/cgroup").read_text().strip().removeprefix("0::/")


def written(container: str, name: str) -> str:
    return (group(container) / name).read_text().strip()


def check_limits(runtime: str) -> None:
    """run, update, stats, top, pause and the OOM killer under one runtime."""
    print(f"limits, {runtime}")
    name = f"lim-{runtime}"
    options = "-m 64m --memory-reservation 32m --cpus 0.5 --cpu-shares 512 --pids-limit 20"
    sh(f"sanbashi run -d --runtime {runtime} --name {name} {options} bb sleep 1000000")
    for file, value in {"memory.max": "67108864", "memory.low": "33554432", "cpu.max": "50000 100000", "pids.max": "20"}.items():
        fact(f"{file} is {value}", written(name, file) == value, written(name, file))
    weight = int(written(name, "cpu.weight"))
    fact("cpu.weight is lower than the default", 1 <= weight < 100, weight)
    said = sh(f"sanbashi exec {name} sh -c 'for i in $(seq 40); do sleep 30 & done; wait'", check=False)
    fact("the 21st process is refused", "can't fork" in said or "Resource temporarily" in said, said[-300:])
    sh(f"sanbashi update -m 96m --memory-swap 96m --cpus 0.25 --pids-limit 40 {name}")
    for file, value in {"memory.max": "100663296", "memory.swap.max": "0", "cpu.max": "25000 100000", "pids.max": "40"}.items():
        fact(f"after update {file} is {value}", written(name, file) == value, written(name, file))
    shown = json.loads(sh(f"sanbashi stats --no-stream --format json {name}").splitlines()[-1])
    fact("stats knows the limit, the use and the processes", "96MiB" in shown["MemUsage"] and int(shown["PIDs"]) >= 1, shown)
    fact("top shows the process", "sleep 1000000" in sh(f"sanbashi top {name}"))
    sh(f"sanbashi pause {name}")
    fact("paused, cgroup.freeze says so", written(name, "cgroup.freeze") == "1" and inspect(name)["State"]["Status"] == "paused")
    sh(f"sanbashi unpause {name}")
    fact("and goes on", written(name, "cgroup.freeze") == "0" and inspect(name)["State"]["Status"] == "running")
    where = group(name)
    sh(f"sanbashi rm -f {name}")
    fact("its control group is gone", eventually(lambda: not where.exists(), 10), where)
    status = sh(f"sanbashi run --runtime {runtime} --name {name} -m 24m bb sh -c 'x=a; while :; do x=$x$x; done' >/dev/null; echo $?", check=False)
    state = inspect(name)["State"]
    fact(
        "who takes more memory than allowed is killed, and State says OOMKilled",
        status.endswith("137") and state["OOMKilled"] is True,
        (status, state),
    )
    sh(f"sanbashi rm {name}")
    seen = sh(f"sanbashi run --rm --runtime {runtime} bb cat /proc/self/cgroup")
    fact("in the container its control group is the root", seen == "0::/", seen)
    seen = sh(f"sanbashi run --rm --runtime {runtime} --cgroupns host bb cat /proc/self/cgroup")
    fact("with --cgroupns host it is the host's", len(seen) > len("0::/"), seen)
    read_only = sh(f"sanbashi run --rm --runtime {runtime} bb sh -c 'mkdir /sys/fs/cgroup/x'", check=False)
    fact("the control groups cannot be written to from inside", "ead-only" in read_only, read_only)


def check_info() -> None:
    said = json.loads(sh("sanbashi info --format json"))
    fact("info: control groups v2, driver cgroupfs", (said["CgroupVersion"], said["CgroupDriver"]) == ("2", "cgroupfs"), said["CgroupDriver"])
    fact("info has no warning about limits", not [w for w in said.get("Warnings") or [] if "limit" in w], said.get("Warnings"))
    fact("info names this machine", said["Name"] == socket.gethostname(), said["Name"])
