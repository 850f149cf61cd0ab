"""Restart policies: whether a container that ended is started again, and after how long."""

from __future__ import annotations

from ..errors import Invalid
from ..records import dataclass
from .model import RestartPolicy

FIRST, LARGEST = 0.1, 60.0  # seconds
SETTLED = 10.0  # seconds of running after which the delays begin anew


@dataclass(frozen=True, slots=True)
class RestartDecision:
    """`delay` in seconds before the next start; `because` for the log."""

    restart: bool
    delay: float = 0.0
    because: str = ""


def decide_restart(
    policy: RestartPolicy, *, exit_code: int, restart_count: int, ran_for: float, last_delay: float = 0.0, stopped_by_user: bool = False
) -> RestartDecision:
    """After an exit. `restart_count` restarts were made since the user's start; `last_delay` 0 where there was none."""
    if policy.name in ("", "no"):
        return RestartDecision(False, because="no restart policy")
    if stopped_by_user:
        return RestartDecision(False, because="stopped by the user")
    if policy.name == "on-failure":
        if exit_code == 0:
            return RestartDecision(False, because="on-failure, and it ended with 0")
        if policy.maximum_retry_count and restart_count >= policy.maximum_retry_count:
            return RestartDecision(False, because=f"on-failure, and {restart_count} restarts were made")
    delay = FIRST if ran_for >= SETTLED or last_delay <= 0 else min(last_delay * 2, LARGEST)
    return RestartDecision(True, delay, f"{policy.name}, exit code {exit_code}")


def starts_with_daemon(policy: RestartPolicy, *, stopped_by_user: bool, exit_code: int = 0, restart_count: int = 0) -> bool:
    """Whether a container that is not running is started when the daemon starts, after a reboot for one.

    Docker: `always` starts in any case, `unless-stopped` unless the user stopped it, `on-failure` where it had not ended well and its
    retries are not used up.
    """
    if policy.name == "always":
        return True
    if policy.name == "unless-stopped":
        return not stopped_by_user
    used_up = 0 < policy.maximum_retry_count <= restart_count
    return policy.name == "on-failure" and exit_code != 0 and not stopped_by_user and not used_up


def check_policy(policy: RestartPolicy, *, auto_remove: bool) -> None:
    """Invalid in Docker's words."""
    retries = policy.maximum_retry_count
    if policy.name in ("no", "always", "unless-stopped"):
        if retries != 0:
            negative = " and cannot be negative" if retries < 0 else ""
            raise Invalid(f"invalid restart policy: maximum retry count can only be used with 'on-failure'{negative}")
    elif policy.name == "on-failure":
        if retries < 0:
            raise Invalid("invalid restart policy: maximum retry count cannot be negative")
    elif policy.name:
        raise Invalid(f"invalid restart policy: unknown policy '{policy.name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'")
    if auto_remove and policy.name not in ("", "no"):
        raise Invalid("can't create 'AutoRemove' container with restart policy")
