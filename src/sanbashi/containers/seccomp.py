"""Docker's default seccomp profile by meaning, and users' profiles in Docker's format, as the OCI specification wants them.

The default allows what it lists and answers EPERM to the rest. The lists are arranged here by what the calls are for; which of them Docker
allows is a matter of its documentation ("Seccomp security profiles for Docker"), of experiment, and of Debian's seccomp.json
(containers/common, Apache-2.0), which was read beside them; see docs/decisions/0014.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import msgspec

from ..errors import Invalid

ALLOW, ERRNO = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
EPERM, ENOSYS = 1, 38
AF_VSOCK = 40
NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET (sched.h)
PERSONALITIES = (0x0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)  # Linux, Linux32, without randomised addresses (UNAME26 alike), "tell me"

# machine as uname says it -> (libseccomp's name, what else such a kernel runs, names in Docker's profiles)
ARCHITECTURES: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "x86_64": ("SCMP_ARCH_X86_64", ("SCMP_ARCH_X86", "SCMP_ARCH_X32"), ("amd64", "x32")),
    "i686": ("SCMP_ARCH_X86", (), ("x86",)),
    "aarch64": ("SCMP_ARCH_AARCH64", ("SCMP_ARCH_ARM",), ("arm64",)),
    "armv7l": ("SCMP_ARCH_ARM", (), ("arm",)),
    "ppc64le": ("SCMP_ARCH_PPC64LE", (), ("ppc64le",)),
    "riscv64": ("SCMP_ARCH_RISCV64", (), ("riscv64",)),
    "s390x": ("SCMP_ARCH_S390X", ("SCMP_ARCH_S390",), ("s390x", "s390")),
}

FILES = """
    open openat openat2 creat close close_range read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 lseek _llseek readahead
    stat stat64 fstat fstat64 lstat lstat64 newfstatat fstatat64 statx statfs statfs64 fstatfs fstatfs64 access faccessat faccessat2
    chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 lchown lchown32 fchownat utime utimes futimesat utimensat utimensat_time64
    link linkat symlink symlinkat readlink readlinkat rename renameat renameat2 unlink unlinkat mkdir mkdirat rmdir mknod mknodat
    getdents getdents64 readdir getcwd chdir fchdir umask truncate truncate64 ftruncate ftruncate64 fallocate fadvise64 fadvise64_64
    sync syncfs fsync fdatasync sync_file_range copy_file_range sendfile sendfile64 splice tee vmsplice dup dup2 dup3 fcntl fcntl64 flock ioctl
    pipe pipe2 name_to_handle_at cachestat fanotify_mark inotify_init inotify_init1 inotify_add_watch inotify_rm_watch
    getxattr lgetxattr fgetxattr setxattr lsetxattr fsetxattr listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr
    getxattrat setxattrat listxattrat removexattrat listmount statmount
    landlock_add_rule landlock_create_ruleset landlock_restrict_self lsm_get_self_attr lsm_list_modules lsm_set_self_attr
"""
PROCESSES = """
    fork vfork execve execveat exit exit_group wait4 waitid waitpid kill tkill tgkill pause prctl seccomp rseq membarrier
    getpid getppid gettid getpgid getpgrp setpgid getsid setsid getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32
    setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32 setfsuid setfsuid32 setfsgid setfsgid32
    getresuid getresuid32 getresgid getresgid32 setresuid setresuid32 setresgid setresgid32 getgroups getgroups32 setgroups setgroups32
    capget capset getrlimit setrlimit ugetrlimit prlimit64 getrusage times getpriority setpriority ioprio_get ioprio_set getcpu
    sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam sched_setparam sched_getscheduler sched_setscheduler
    sched_get_priority_max sched_get_priority_min sched_rr_get_interval sched_rr_get_interval_time64 sched_yield
    pidfd_open pidfd_send_signal process_mrelease uname sysinfo getrandom set_tid_address set_thread_area get_thread_area
    restart_syscall get_robust_list set_robust_list futex futex_time64 futex_requeue futex_wait futex_waitv futex_wake
"""
SIGNALS = """
    signal sigaction sigaltstack sigpending sigprocmask sigreturn sigsuspend signalfd signalfd4 rt_sigaction rt_sigpending rt_sigprocmask
    rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
"""
MEMORY = """
    brk mmap mmap2 munmap mremap mprotect madvise mincore msync mlock mlock2 mlockall munlock munlockall remap_file_pages
    memfd_create memfd_secret pkey_alloc pkey_free pkey_mprotect map_shadow_stack mseal
    shmat shmctl shmdt shmget msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 ipc
    mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink
"""
WAITING = """
    select _newselect pselect6 pselect6_time64 poll ppoll ppoll_time64 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait
    epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 io_setup io_submit io_getevents io_pgetevents io_pgetevents_time64 io_cancel io_destroy
    nanosleep clock_nanosleep clock_nanosleep_time64 alarm getitimer setitimer time gettimeofday clock_gettime clock_gettime64
    clock_getres clock_getres_time64 clock_adjtime clock_adjtime64 adjtimex timer_create timer_delete timer_getoverrun timer_gettime
    timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64
"""
SOCKETS = """
    socketcall socketpair bind listen accept accept4 connect shutdown getsockname getpeername getsockopt setsockopt
    send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64
"""
ALWAYS = tuple(" ".join((FILES, PROCESSES, SIGNALS, MEMORY, WAITING, SOCKETS)).split())
SINCE_4_8 = ("ptrace", "process_vm_readv", "process_vm_writev")  # before, ptrace could get round seccomp
BY_ARCHITECTURE: Mapping[str, tuple[str, ...]] = {
    "x86_64": ("arch_prctl", "modify_ldt"),
    "i686": ("modify_ldt",),
    "aarch64": ("arm_fadvise64_64", "arm_sync_file_range", "sync_file_range2", "breakpoint", "cacheflush", "set_tls"),
    "armv7l": ("arm_fadvise64_64", "arm_sync_file_range", "sync_file_range2", "breakpoint", "cacheflush", "set_tls"),
    "ppc64le": ("sync_file_range2", "swapcontext"),
    "riscv64": ("riscv_flush_icache",),
    "s390x": ("s390_pci_mmio_read", "s390_pci_mmio_write", "s390_runtime_instr"),
}
ADMINISTRATION = """
    bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree open_tree_attr
    perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare
"""
BY_CAPABILITY: Mapping[str, tuple[str, ...]] = {
    "CAP_DAC_READ_SEARCH": ("open_by_handle_at",),
    "CAP_SYS_ADMIN": tuple(ADMINISTRATION.split()),
    "CAP_SYS_BOOT": ("reboot",),
    "CAP_SYS_CHROOT": ("chroot",),
    "CAP_SYS_MODULE": ("delete_module", "init_module", "finit_module"),
    "CAP_SYS_PACCT": ("acct",),
    "CAP_SYS_PTRACE": ("kcmp", "pidfd_getfd", "process_madvise", *SINCE_4_8),
    "CAP_SYS_RAWIO": ("ioperm", "iopl"),
    "CAP_SYS_TIME": ("settimeofday", "stime", "clock_settime", "clock_settime64"),
    "CAP_SYS_TTY_CONFIG": ("vhangup",),
    "CAP_SYS_NICE": ("get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"),
    "CAP_SYSLOG": ("syslog",),
    "CAP_BPF": ("bpf",),
    "CAP_PERFMON": ("perf_event_open",),
}


def default(capabilities: tuple[str, ...], machine: str, kernel: tuple[int, int]) -> dict[str, Any]:
    """The profile of a container that asked for none, as linux.seccomp of the OCI specification."""
    names = [*ALWAYS, *BY_ARCHITECTURE.get(machine, ()), *(SINCE_4_8 if kernel >= (4, 8) else ())]
    for capability in capabilities:
        names += BY_CAPABILITY.get(capability, ())
    rules: list[dict[str, Any]] = [rule(sorted(set(names)))]
    rules += [rule(["personality"], argument(0, value)) for value in PERSONALITIES]
    rules.append(rule(["socket"], argument(0, AF_VSOCK, "SCMP_CMP_NE")))
    if "CAP_SYS_ADMIN" not in capabilities:
        flags = 1 if machine == "s390x" else 0  # s390 passes the stack first
        rules.append(rule(["clone"], argument(flags, NEW_NAMESPACES, "SCMP_CMP_MASKED_EQ")))
        # Its flags are behind a pointer; ENOSYS makes the C library fall back to clone.
        rules.append({"names": ["clone3"], "action": ERRNO, "errnoRet": ENOSYS})
    return {"defaultAction": ERRNO, "defaultErrnoRet": EPERM, "architectures": architectures(machine), "syscalls": rules}


def rule(names: list[str], *arguments: dict[str, Any]) -> dict[str, Any]:
    """Allow these calls, with these arguments where given."""
    return {"names": names, "action": ALLOW, **({"args": list(arguments)} if arguments else {})}


def argument(index: int, value: int, comparison: str = "SCMP_CMP_EQ") -> dict[str, Any]:
    """One condition on an argument; masked comparisons are with 0."""
    if comparison == "SCMP_CMP_MASKED_EQ":
        return {"index": index, "value": value, "valueTwo": 0, "op": comparison}
    return {"index": index, "value": value, "op": comparison}


def architectures(machine: str) -> list[str]:
    """What a kernel of this machine runs, in libseccomp's names; none where it is not known."""
    native = ARCHITECTURES.get(machine)
    return [native[0], *native[1]] if native is not None else []


class Condition(TypedDict):
    """One on an argument of a call."""

    index: int
    value: int
    valueTwo: NotRequired[int]
    op: str


class Circumstances(TypedDict, total=False):
    """Those in which a rule holds, or does not."""

    caps: list[str] | None
    arches: list[str] | None
    minKernel: str | None


class Rule(TypedDict):
    name: NotRequired[str | None]
    names: NotRequired[list[str] | None]
    action: str
    errnoRet: NotRequired[int | None]
    args: NotRequired[list[Condition] | None]
    includes: NotRequired[Circumstances | None]
    excludes: NotRequired[Circumstances | None]


class Architecture(TypedDict, total=False):
    architecture: str | None
    subArchitectures: list[str] | None


class Profile(TypedDict):
    """A profile in Docker's format."""

    defaultAction: str
    defaultErrnoRet: NotRequired[int | None]
    architectures: NotRequired[list[str] | None]
    archMap: NotRequired[list[Architecture] | None]
    flags: NotRequired[list[str] | None]
    listenerPath: NotRequired[str | None]
    listenerMetadata: NotRequired[str | None]
    syscalls: NotRequired[list[Rule] | None]


def custom(text: str, capabilities: tuple[str, ...], machine: str, kernel: tuple[int, int]) -> dict[str, Any]:
    """A user's profile (JSON, Docker's format) with its conditions settled for this container; Invalid in Docker's words."""
    try:
        profile: Mapping[str, Any] = msgspec.json.decode(text, type=Profile)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid(f"Decoding seccomp profile failed: {error}") from error
    if profile.get("architectures") and profile.get("archMap"):
        raise Invalid("both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'")
    result = {
        key: profile[key] for key in ("defaultAction", "defaultErrnoRet", "flags", "listenerPath", "listenerMetadata") if profile.get(key) is not None
    }
    own = ARCHITECTURES.get(machine, ("", (), ()))
    result["architectures"] = list(profile.get("architectures") or ())
    for entry in profile.get("archMap") or ():
        if entry.get("architecture") == own[0]:
            result["architectures"] += [own[0], *(entry.get("subArchitectures") or ())]
    rules = []
    for entry in profile.get("syscalls") or ():
        if entry.get("name") and entry.get("names"):
            raise Invalid("both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'")
        if applies(entry, capabilities, own[2], kernel):
            names = entry.get("names") or filter(None, [entry.get("name")])
            more = {key: entry[key] for key in ("errnoRet", "args") if entry.get(key)}
            rules.append({"names": list(names), "action": entry["action"], **more})
    result["syscalls"] = rules
    return result


def applies(entry: Mapping[str, Any], capabilities: tuple[str, ...], arches: tuple[str, ...], kernel: tuple[int, int]) -> bool:
    """Whether a rule's `includes` all hold and none of its `excludes` does."""
    includes, excludes = entry.get("includes") or {}, entry.get("excludes") or {}
    if any(capability in capabilities for capability in excludes.get("caps") or ()):
        return False
    if set(excludes.get("arches") or ()) & set(arches):
        return False
    if excludes.get("minKernel") and kernel >= version(excludes["minKernel"]):
        return False
    if any(capability not in capabilities for capability in includes.get("caps") or ()):
        return False
    if includes.get("arches") and not set(includes["arches"]) & set(arches):
        return False
    return not (includes.get("minKernel") and kernel < version(includes["minKernel"]))


def version(text: str) -> tuple[int, int]:
    """ "4.8" -> (4, 8)."""
    major, _, minor = text.partition(".")
    if not (major.isdigit() and minor.isdigit()):
        raise Invalid(f'invalid kernel version: "{text}"')
    return int(major), int(minor)
