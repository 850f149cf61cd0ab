"""What is wanted: the lines that the project holds itself to, each a figure or a ratio of two, with its bound."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .work import Size
from .works import growth, listing, names, networks, ports, pulls, stages, starts, traffic

Found = Mapping[str, Mapping[str, Sequence[float]]]  # title -> contestant -> figures
Cell = tuple[str, str]  # title, contestant


@dataclass(frozen=True)
class Goal:
    """`what` over `of` (alone where there is no `of`) is to be at most `bound`, or at least where `least`."""

    words: str
    what: Cell
    bound: float
    of: Cell | None = None
    least: bool = False
    unit: str = ""

    def cells(self) -> tuple[Cell, ...]:
        return (self.what,) if self.of is None else (self.what, self.of)

    def reached(self, found: Found) -> tuple[float, float, float]:
        """The ratio of the medians (or the median), and the lowest and highest of the rounds, round beside round."""
        what = found[self.what[0]][self.what[1]]
        if self.of is None:
            return statistics.median(what), min(what), max(what)
        of = found[self.of[0]][self.of[1]]
        middle = statistics.median(what) / statistics.median(of)
        rounds = [a / b for a, b in zip(what, of, strict=False)] if len(of) > 1 else [a / of[0] for a in what]
        return middle, min(rounds), max(rounds)

    def verdict(self, value: float) -> str:
        """`yes`, or by how much not, as a share of the bound."""
        if value >= self.bound if self.least else value <= self.bound:
            return "yes"
        if self.bound == 0:
            return f"no: {value:g}"
        share = abs(value / self.bound - 1) * 100
        return f"no: {share:.{0 if share >= 10 else 1}f} % {'below' if self.least else 'above'}"


def ratios(size: Size) -> tuple[Goal, ...]:
    """The lines that `make bench` shows, in their order."""
    by_api, by_cli = (row.title for row in starts.many_rows(size))
    one, most = size.ports[0], size.ports[-1]
    docker_cli, runc, docker_cli_runc = "ours, docker CLI", "ours, runc", "ours, docker CLI, runc"

    def against(title: str, ours: str, other: str, bound: float, words: str, least: bool = False) -> Goal:
        return Goal(f"{title}: {words}", (title, ours), bound, (title, other), least)

    return (
        against(starts.RUN_D, docker_cli, "podman", 0.40, "docker CLI, crun / podman"),
        against(starts.RUN_D, docker_cli_runc, "podman", 0.60, "docker CLI, runc / podman"),
        against(starts.RUN_D, "ours", "podman", 0.35, "our CLI, crun / podman"),
        against(starts.RUN_D, runc, "podman", 0.55, "our CLI, runc / podman"),
        against(starts.RUN_D, docker_cli, "docker", 0.25, "docker CLI, crun / Docker"),
        against(starts.RUN_D, docker_cli_runc, "docker", 0.35, "docker CLI, runc / Docker"),
        against(starts.RUN_D, "ours", "docker", 0.25, "our CLI, crun / Docker"),
        against(starts.RUN_D, runc, "docker", 0.35, "our CLI, runc / Docker"),
        against(starts.RUN_RM, docker_cli, "docker", 0.22, "docker CLI, crun / Docker"),
        against(starts.RUN_RM, docker_cli_runc, "docker", 0.33, "docker CLI, runc / Docker"),
        against(starts.RUN_RM, docker_cli, "podman", 0.22, "docker CLI, crun / podman"),
        against(starts.RUN_RM, docker_cli_runc, "podman", 0.33, "docker CLI, runc / podman"),
        against(starts.RUN_RM, "ours", "docker", 0.22, "our CLI, crun / Docker"),
        against(starts.RUN_RM, "ours", "podman", 0.22, "our CLI, crun / podman"),
        Goal(f"{stages.OWN}, crun", (stages.OWN, "ours"), 15, unit="ms"),
        Goal(f"{stages.OWN}, runc", (stages.OWN, runc), 15, unit="ms"),
        against(starts.EXEC, "ours", "docker", 0.6, "our CLI / Docker"),
        against(starts.EXEC, docker_cli, "docker", 0.6, "docker CLI / Docker"),
        Goal(f"start with {most} published ports / with {one}", (ports.start(most), "ours"), 1.5, (ports.start(one), "ours")),
        Goal(f"remove with {most} published ports / with {one}", (ports.remove(most), "ours"), 1.5, (ports.remove(one), "ours")),
        against(by_api, "ours", "docker", 3, "crun / Docker", least=True),
        against(by_api, runc, "docker", 2, "runc / Docker", least=True),
        against(by_cli, "ours", "docker", 3, "crun / Docker", least=True),
        against(by_cli, runc, "docker", 2, "runc / Docker", least=True),
        against(networks.CREATE, "ours", "docker", 0.35, "our CLI / Docker"),
        against(networks.CREATE, "ours", "podman", 0.9, "our CLI / podman"),
        against(networks.CONNECT, "ours", "docker", 0.3, "our CLI / Docker"),
        against(networks.DISCONNECT, "ours", "docker", 0.3, "our CLI / Docker"),
        *(against(title, docker_cli, "docker", 1.0, "docker CLI / Docker") for title in listing.questions(size)),
        *(against(title, "ours", "docker", 1.2, "our CLI / Docker") for title in listing.questions(size)),
        against(listing.IDLE, "ours", "docker", 1.2, "our CLI / Docker"),
        Goal(growth.IDLE, (growth.IDLE, "ours"), 80, unit="MB"),
        Goal(growth.EACH, (growth.EACH, "ours"), 3, unit="MB"),
        Goal(ports.of_processes(size), (ports.of_processes(size), "ours"), 1, unit="MB"),
        Goal(ports.KERNEL, (ports.KERNEL, "ours"), 10, unit="KB"),
        against(names.OWN, "ours", "docker", 1.4, "ours / Docker", least=True),
        against(names.LATENCY, "ours", "docker", 1.0, "ours / Docker"),
        against(names.FORWARDED, "ours", "docker", 10, "ours / Docker", least=True),
        *(
            Goal(traffic.share(place, manner), (traffic.share(place, manner), "ours"), 0.90 if place == "[::1]" else 0.95, least=True)
            for manner in traffic.MANNERS
            for place in traffic.PLACES
        ),
        *(
            against(traffic.share("[::1]", manner), "ours, br_netfilter on", "docker", 1.0, "br_netfilter on / Docker's proxy", least=True)
            for manner in traffic.MANNERS
        ),
        Goal(f"{traffic.STREAM} / a bare veth pair", (traffic.STREAM, "ours"), 0.90, (traffic.STREAM, "bare veth"), least=True),
        against(pulls.pull(size), "ours", "docker", 1.0, "ours / Docker"),
    )
