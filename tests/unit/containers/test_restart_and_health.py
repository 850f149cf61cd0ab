"""Restart policies and health checks: when, and what it means."""

from __future__ import annotations

import pytest

from sanbashi.containers.health import after_probe, first_health, next_probe, probe_command, timed_out
from sanbashi.containers.model import Config, Health, HealthConfig, HealthLog, RestartPolicy
from sanbashi.containers.restart import decide_restart, starts_with_daemon

S = 1_000_000_000


def test_delays_double_from_100_ms_to_a_minute_and_begin_anew_after_ten_seconds_of_running() -> None:
    policy, delay, delays = RestartPolicy(name="always"), 0.0, []
    for count in range(12):
        delay = decide_restart(policy, exit_code=1, restart_count=count, ran_for=0.5, last_delay=delay).delay
        delays.append(delay)
    assert delays == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60, 60])
    assert decide_restart(policy, exit_code=1, restart_count=12, ran_for=10, last_delay=60).delay == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("name", "retries", "exit_code", "count", "stopped", "restarts"),
    [
        ("no", 0, 1, 0, False, False),
        ("", 0, 1, 0, False, False),
        ("always", 0, 0, 99, False, True),
        ("always", 0, 0, 0, True, False),
        ("unless-stopped", 0, 0, 0, False, True),
        ("unless-stopped", 0, 0, 0, True, False),
        ("on-failure", 0, 0, 0, False, False),
        ("on-failure", 0, 1, 99, False, True),
        ("on-failure", 3, 1, 2, False, True),
        ("on-failure", 3, 1, 3, False, False),
    ],
)
def test_policies(name: str, retries: int, exit_code: int, count: int, stopped: bool, restarts: bool) -> None:
    policy = RestartPolicy(name=name, maximum_retry_count=retries)
    decision = decide_restart(policy, exit_code=exit_code, restart_count=count, ran_for=1, stopped_by_user=stopped)
    assert decision.restart is restarts
    assert decision.because


@pytest.mark.parametrize(
    ("policy", "stopped", "exit_code", "count", "starts"),
    [
        (RestartPolicy(name="always"), True, 0, 0, True),
        (RestartPolicy(name="unless-stopped"), False, 0, 0, True),
        (RestartPolicy(name="unless-stopped"), True, 0, 0, False),
        (RestartPolicy(name="on-failure"), False, 255, 0, True),
        (RestartPolicy(name="on-failure"), False, 0, 0, False),
        (RestartPolicy(name="on-failure"), True, 137, 0, False),
        (RestartPolicy(name="on-failure", maximum_retry_count=2), False, 3, 1, True),
        (RestartPolicy(name="on-failure", maximum_retry_count=2), False, 3, 2, False),
        (RestartPolicy(name="no"), False, 1, 0, False),
    ],
)
def test_what_starts_with_the_daemon(policy: RestartPolicy, stopped: bool, exit_code: int, count: int, starts: bool) -> None:
    assert starts_with_daemon(policy, stopped_by_user=stopped, exit_code=exit_code, restart_count=count) is starts


def test_what_a_health_check_runs() -> None:
    assert probe_command(Config(healthcheck=HealthConfig(test=("CMD", "a", "b")))) == ("a", "b")
    assert probe_command(Config(healthcheck=HealthConfig(test=("CMD-SHELL", "a | b")))) == ("/bin/sh", "-c", "a | b")
    assert probe_command(Config(healthcheck=HealthConfig(test=("CMD-SHELL", "a")), shell=("/bin/bash", "-ec"))) == ("/bin/bash", "-ec", "a")
    assert probe_command(Config(healthcheck=HealthConfig(test=("NONE",)))) is None
    assert first_health(Config()) is None


def test_three_failures_make_unhealthy_and_one_success_healthy() -> None:
    check, health = HealthConfig(test=("CMD", "x")), Health()
    statuses = []
    for code in (1, 1, 1, 0, 1, 1, 1):
        health = after_probe(check, health, HealthLog(start="", end="", exit_code=code, output="x" * 5000), ran_for=60)
        statuses.append(health.status)
    assert statuses == ["starting", "starting", "unhealthy", "healthy", "healthy", "healthy", "unhealthy"]
    assert (len(health.log), health.log[0].output) == (5, "x" * 4096 + "...")


def test_failures_in_the_start_period_do_not_count() -> None:
    check = HealthConfig(test=("CMD", "x"), start_period=10 * S, start_interval=S, interval=7 * S, timeout=2 * S)
    failed = HealthLog(start="", end="", exit_code=1)
    health = after_probe(check, Health(), failed, ran_for=3)
    assert (health.status, health.failing_streak, len(health.log)) == ("starting", 0, 1)
    assert after_probe(check, health, failed, ran_for=11).failing_streak == 1
    assert (next_probe(check, health, 3), next_probe(check, health, 11)) == (1, 7)
    assert timed_out(check) == (-1, "Health check exceeded timeout (2s)")
