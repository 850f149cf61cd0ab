"""update."""

from sanbashi.cli import values
from sanbashi.cli.client import named
from sanbashi.cli.command import Call, Command
from sanbashi.cli.failure import Failure, join_failures
from sanbashi.cli.output import err, out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NUMBERS = {
    "blkio-weight": "BlkioWeight",
    "cpu-period": "CpuPeriod",
    "cpu-quota": "CpuQuota",
    "cpu-rt-period": "CpuRealtimePeriod",
    "cpu-rt-runtime": "CpuRealtimeRuntime",
    "cpu-shares": "CpuShares",
    "cpus": "NanoCpus",
    "memory": "Memory",
    "memory-reservation": "MemoryReservation",
    "memory-swap": "MemorySwap",
}
TEXTS = {"cpuset-cpus": "CpusetCpus", "cpuset-mems": "CpusetMems"}


def update(call: Call) -> None:
    """Gives containers new limits and another restart policy."""
    from sanbashi.cli.create_request import restart_policy

    given = call.given
    if not given.values:
        raise Failure("you must provide one or more flags when using this command")
    try:
        policy = restart_policy(given.text("restart")) if given.changed("restart") else {}
    except ValueError as problem:
        raise Failure(str(problem)) from None
    body: dict[str, Any] = {key: given.number(flag) for flag, key in NUMBERS.items()} | {key: given.text(flag) for flag, key in TEXTS.items()}
    body |= {"PidsLimit": given.number("pids-limit") if given.changed("pids-limit") else None, "RestartPolicy": policy}
    failures: list[Failure] = []
    warned: list[str] = []
    for name in call.args:
        try:
            answer = call.daemon.post(f"/containers/{named('container', name)}/update", body)
        except Failure as problem:
            failures.append(problem)
        else:
            out(name + "\n")
            warned += answer.get("Warnings") or []
    err("".join(f"{each}\n" for each in warned))
    join_failures(failures)


COMMANDS = {
    "update": Command(
        "[OPTIONS] CONTAINER [CONTAINER...]",
        update,
        flags="""
--blkio-weight uint16  Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)
--cpu-period int  Limit CPU CFS (Completely Fair Scheduler) period
--cpu-quota int  Limit CPU CFS (Completely Fair Scheduler) quota
--cpu-rt-period int  Limit the CPU real-time period in microseconds
--cpu-rt-runtime int  Limit the CPU real-time runtime in microseconds
-c, --cpu-shares int  CPU shares (relative weight)
--cpus decimal  Number of CPUs
--cpuset-cpus string  CPUs in which to allow execution (0-3, 0,1)
--cpuset-mems string  MEMs in which to allow execution (0-3, 0,1)
-m, --memory bytes  Memory limit
--memory-reservation bytes  Memory soft limit
--memory-swap bytes  Swap limit equal to memory plus swap: -1 to enable unlimited swap
--pids-limit int  Tune container pids limit (set -1 for unlimited)
--restart string  Restart policy to apply when a container exits
""",
        least=1,
        readers={"cpus": values.cpus, "memory-swap": values.swap},
        aliases="container update, update",
    )
}
