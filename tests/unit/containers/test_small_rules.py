"""Users, capabilities, seccomp, environment, signals, names, moves."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanbashi.containers import lifecycle, seccomp
from sanbashi.containers.capabilities import DEFAULT, EVERY, granted, normalised
from sanbashi.containers.checks import cpu_list
from sanbashi.containers.environment import environment, overlaid
from sanbashi.containers.logging import check_log, log_attributes, log_limits, not_honoured, size_in_bytes
from sanbashi.containers.model import Config, Container, ContainerState, HostConfig, LogConfig
from sanbashi.containers.names import check_name, random_name
from sanbashi.containers.signals import signal_number
from sanbashi.containers.users import User, resolve_user
from sanbashi.errors import Conflict, Invalid, NotModified

ALL = frozenset(EVERY)
PASSWD = "root:x:0:0:root:/root:/bin/sh\nwww:x:33:34:w:/var/www:/bin/sh\n7:x:70:71::/seven:/bin/sh\nbroken\n"
GROUP = "root:x:0:\nwww:x:34:\nadm:x:4:www,root\nusers:x:100:\n"


@pytest.mark.parametrize(
    ("who", "add", "user"),
    [
        ("", (), User(0, 0, (0, 4), "/root", "root")),
        ("www", (), User(33, 34, (34, 4), "/var/www", "www")),
        ("33", (), User(33, 34, (34, 4), "/var/www", "www")),
        ("www:users", (), User(33, 100, (100,), "/var/www", "www")),
        ("1000", (), User(1000, 0, (0,), "/", "")),
        ("1000:2000", ("adm", "9"), User(1000, 2000, (2000, 4, 9), "/", "")),
        ("7", (), User(70, 71, (71,), "/seven", "7")),
    ],
)
def test_who_a_user_is(who: str, add: tuple[str, ...], user: User) -> None:
    assert resolve_user(who, PASSWD, GROUP, add=add) == user


def test_unknown_users_and_groups_are_refused_in_dockers_words() -> None:
    with pytest.raises(Invalid, match="unable to find user nobody: no matching entries in passwd file"):
        resolve_user("nobody", PASSWD, GROUP)
    with pytest.raises(Invalid, match="unable to find group nothing: no matching entries in group file"):
        resolve_user("www:nothing", PASSWD, GROUP)
    with pytest.raises(Invalid, match="uids and gids must be in range 0-2147483647"):
        resolve_user("2147483648", PASSWD, GROUP)


def test_capabilities() -> None:
    assert set(granted(None, None, privileged=False, available=ALL)) == set(DEFAULT)
    assert granted(("ALL",), None, privileged=False, available=ALL) == EVERY
    assert set(granted(("ALL",), ("sys_admin",), privileged=False, available=ALL)) == ALL - {"CAP_SYS_ADMIN"}
    assert granted(("net_admin",), ("ALL",), privileged=False, available=ALL) == ("CAP_NET_ADMIN",)
    assert granted(None, None, privileged=True, available=ALL - {"CAP_BPF"}) == tuple(n for n in EVERY if n != "CAP_BPF")
    assert normalised(("kill", "CAP_CHOWN"), "CapAdd") == ("CAP_CHOWN", "CAP_KILL")
    assert normalised(("kill", "all"), "CapAdd") == ("ALL",)


@given(st.sets(st.sampled_from(EVERY)), st.sets(st.sampled_from(EVERY)), st.sets(st.sampled_from(EVERY)))
def test_nobody_gets_what_the_daemon_lacks_and_what_is_dropped_and_not_added_is_gone(add: set[str], drop: set[str], missing: set[str]) -> None:
    available = ALL - missing
    if add & missing:
        with pytest.raises(Invalid):
            granted(add, drop, privileged=False, available=available)
        return
    given_to = set(granted(add, drop, privileged=False, available=available))
    assert given_to <= available
    assert not given_to & (drop - add)
    assert add <= given_to


def test_seccomp_depends_on_capabilities_kernel_and_machine() -> None:
    def names(capabilities: tuple[str, ...], machine: str = "x86_64", kernel: tuple[int, int] = (6, 1)) -> set[str]:
        return set(seccomp.default(capabilities, machine, kernel)["syscalls"][0]["names"])

    assert not names(()) & {"mount", "chroot", "clone", "reboot", "io_uring_setup", "userfaultfd", "bpf"}
    assert "chroot" in names(DEFAULT)
    assert {"mount", "setns", "clone", "clone3"} <= names(("CAP_SYS_ADMIN",))
    assert "ptrace" in names(()) and "ptrace" not in names((), kernel=(4, 4))
    assert "arch_prctl" in names(()) and "arch_prctl" not in names((), machine="aarch64")
    rules = seccomp.default((), "x86_64", (6, 1))["syscalls"]
    assert {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38} in rules
    assert not any(r["names"] == ["clone3"] for r in seccomp.default(("CAP_SYS_ADMIN",), "x86_64", (6, 1))["syscalls"])


def test_a_users_seccomp_profile_is_settled_for_the_container() -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}, {"architecture": "SCMP_ARCH_AARCH64"}],
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": []},
            {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["chroot"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_CHROOT"]}},
            {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
            {"name": "arm", "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
        ],
    }
    found = seccomp.custom(json.dumps(profile), ("CAP_SYS_CHROOT",), "x86_64", (5, 0))
    assert found["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert [rule["names"] for rule in found["syscalls"]] == [["read"], ["ptrace"]]
    bare = seccomp.custom('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": null, "archMap": null}', (), "x86_64", (5, 0))
    assert bare == {"defaultAction": "SCMP_ACT_ALLOW", "architectures": [], "syscalls": []}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"defaultAction": ["SCMP_ACT_ALLOW"]}',
        '{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": "1"}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [1]}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [1], "action": "SCMP_ACT_ERRNO"}]}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"]}]}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [{"index": "0"}]}]}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "archMap": ["SCMP_ARCH_X86_64"]}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "comment": ' + "[" * 100000,
    ],
)
def test_a_seccomp_profile_that_is_none_is_told_as_docker_does(text: str) -> None:
    with pytest.raises(Invalid, match="Decoding seccomp profile failed"):
        seccomp.custom(text, (), "x86_64", (5, 0))


def test_environment_in_dockers_order() -> None:
    found = environment(("PATH=/x", "A=1", "B=2", "HOSTNAME"), hostname="h", terminal=True, home="/root")
    assert found == ["PATH=/x", "TERM=xterm", "A=1", "B=2", "HOME=/root"]
    assert overlaid(("A=1",), ("A=2", "A=3")) == ("A=3",)


def test_signals() -> None:
    assert [signal_number(word) for word in ("KILL", "sigterm", "9", "RTMIN", "SIGRTMIN+3", "RTMAX-1")] == [9, 15, 9, 34, 37, 63]
    for word in ("", "0", "65", "NOSUCH", "RTMIN+99", "SIG_IGN", "_DFL"):
        with pytest.raises(Invalid, match="invalid signal"):
            signal_number(word)


def test_names() -> None:
    check_name("a.b-c_1")
    for name in ("a", "-a", "a b", "", "é1"):
        with pytest.raises(Invalid, match=r"only \[a-zA-Z0-9\]\[a-zA-Z0-9_.-\] are allowed"):
            check_name(name)
    seen: set[str] = set()
    random = Random(1)
    for _ in range(500):
        name = random_name(seen.__contains__, random)
        check_name(name)
        assert name not in seen
        seen.add(name)


def container(status: str) -> Container:
    return Container(
        id="c" * 64,
        name="web",
        created="",
        config=Config(),
        host_config=HostConfig(),
        image_id="",
        state=ContainerState(status=status),  # type: ignore[arg-type]
    )


def test_moves() -> None:
    lifecycle.check_start(container("exited"))
    with pytest.raises(NotModified):
        lifecycle.check_start(container("running"))
    with pytest.raises(Conflict, match="cannot start a paused container, try unpause instead"):
        lifecycle.check_start(container("paused"))
    with pytest.raises(Conflict, match=f"^container {'c' * 64} is not running"):
        lifecycle.check_running(container("exited"))
    with pytest.raises(Conflict) as refused:
        lifecycle.check_remove(container("running"), "web", force=False)
    assert refused.value.message == 'cannot remove container "web": container is running: stop the container before removing or force remove'
    lifecycle.check_remove(container("running"), "web", force=True)
    with pytest.raises(Conflict, match="is not paused"):
        lifecycle.check_freeze(container("running"), frozen=False)
    assert lifecycle.check_rename(container("exited"), "/new", {}) == "new"
    with pytest.raises(Conflict, match=r'^Error when allocating new name: Conflict\. The container name "/new" is already in use by container "x"'):
        lifecycle.check_rename(container("exited"), "new", {"new": "x"})


def test_small_parsers() -> None:
    assert cpu_list("0-2,4") == {0, 1, 2, 4}
    assert cpu_list("2-1") is None and cpu_list("") is None and cpu_list("a") is None
    assert [size_in_bytes(text) for text in ("10m", "1k", "7", "1.5g", "2MB")] == [10 << 20, 1024, 7, 3 << 29, 2 << 20]


def logged(**options: str) -> Container:
    log = LogConfig(config={name.replace("_", "-"): value for name, value in options.items()})
    check_log(log)
    config = Config(image="busybox", labels={"app": "web & more", "tier": "front"}, env=("A=1", "B=2", "BARE"))
    host = HostConfig(log_config=log)
    return Container(
        id="0123456789abcdef",
        name="web",
        created="",
        config=config,
        host_config=host,
        image_id="sha256:98",
        path="sh",
        args=("-c",),
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, ""),
        ({"labels": "app,nosuch", "env": "B,BARE"}, "B=2,app=web+%26+more"),
        ({"labels_regex": "^t", "env_regex": "[AB]"}, "A=1,B=2,tier=front"),
        ({"tag": "{{.Name}}/{{ .ID }}"}, "tag=web%2F0123456789ab"),
        ({"tag": "plain"}, "tag=plain"),
        ({"tag": "{{.ImageName}} {{.Command}}"}, "tag=busybox+sh+-c"),
    ],
)
def test_what_is_told_with_each_line_of_a_log(options: dict[str, str], told: str) -> None:
    assert log_attributes(logged(**options)) == told


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"labels_regex": "("}, "error parsing labels-regex: "),
        ({"tag": "{{if .ID}}x{{end}}"}, "invalid log opt tag: "),
        ({"tag": "{{.Nosuch}}"}, "invalid log opt tag: "),
        ({"compress": "maybe"}, "error parsing compress: 'maybe' is neither true nor false"),
        ({"compress": "true"}, "compress cannot be true when max-file is less than 2 or max-size is not set"),
        ({"mode": "x"}, "logger: logging mode not supported: x"),
    ],
)
def test_what_a_log_cannot_be_told(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        logged(**options)
    assert refused.value.message.startswith(sentence)


def test_options_of_logs_that_change_nothing() -> None:
    """What asks for what is done anyhow needs no warning."""
    assert not_honoured(LogConfig(config={"compress": "false", "mode": "blocking", "labels": "a"})) == []
    assert not_honoured(LogConfig(config={"compress": "true", "mode": "non-blocking", "max-buffer-size": "1m"})) == ["max-buffer-size", "mode"]


@pytest.mark.parametrize(
    ("driver", "options", "packed"),
    [
        ("json-file", {"max-size": "1k", "max-file": "2"}, False),
        ("json-file", {"max-size": "1k", "max-file": "2", "compress": "true"}, True),
        ("local", {}, True),
        ("local", {"compress": "false"}, False),
    ],
)
def test_which_logs_are_packed(driver: str, options: dict[str, str], packed: bool) -> None:
    assert log_limits(LogConfig(type=driver, config=options)).packed == packed
