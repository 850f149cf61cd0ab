"""Health checks: what is run, when next, and what its outcome means; by Docker's rules."""

from __future__ import annotations

from msgspec.structs import replace

from .model import Config, Health, HealthConfig, HealthLog

SECOND = 1_000_000_000
INTERVAL, TIMEOUT, START_INTERVAL, RETRIES = 30 * SECOND, 30 * SECOND, 5 * SECOND, 3
KEPT = 5  # probes that inspect shows
LONGEST = 4096  # bytes of a probe's output that are kept
SHELL = ("/bin/sh", "-c")


def probe_command(config: Config) -> tuple[str, ...] | None:
    """What to run in the container; None where it has no health check."""
    test = config.healthcheck.test if config.healthcheck is not None else ()
    if not test or test[0] == "NONE":
        return None
    if test[0] == "CMD-SHELL":
        return (*(config.shell or SHELL), *test[1:])
    return test[1:] if test[0] == "CMD" else test


def first_health(config: Config, before: Health | None = None) -> Health | None:
    """Where a container stands at its start; the probes of its last run stay to be seen."""
    return Health(status="starting", log=before.log if before else ()) if probe_command(config) is not None else None


def interrupted(health: Health | None) -> Health | None:
    """Where a container stands that is watched no longer, because it stopped or is paused; unhealthy, as in Docker."""
    return replace(health, status="unhealthy") if health is not None else None


def timeout(check: HealthConfig) -> float:
    """Seconds that a probe may take."""
    return (check.timeout or TIMEOUT) / SECOND


def next_probe(check: HealthConfig, health: Health, ran_for: float) -> float:
    """Seconds until the next probe; quicker while the container is starting and has a start period."""
    if health.status == "starting" and check.start_period and ran_for * SECOND < check.start_period:
        return (check.start_interval or START_INTERVAL) / SECOND
    return (check.interval or INTERVAL) / SECOND


def timed_out(check: HealthConfig, output: str = "") -> tuple[int, str]:
    """Exit code and output of a probe that took too long; `output` is what it had said by then."""
    seconds = timeout(check)
    return -1, f"Health check exceeded timeout ({seconds:g}s)" + (f": {output}" if output else "")


def after_probe(check: HealthConfig, health: Health, probe: HealthLog, ran_for: float) -> Health:
    """Where the container stands after a probe; a failure in the start period does not count until a probe has succeeded."""
    if len(probe.output) > LONGEST:
        probe = replace(probe, output=probe.output[:LONGEST] + "...")
    log = (*health.log, probe)[-KEPT:]
    if probe.exit_code == 0:
        return Health(status="healthy", failing_streak=0, log=log)
    if health.status == "starting" and ran_for * SECOND < check.start_period:
        return replace(health, log=log)
    streak = health.failing_streak + 1
    status = "unhealthy" if streak >= (check.retries or RETRIES) else health.status
    return Health(status=status, failing_streak=streak, log=log)
