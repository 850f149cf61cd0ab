"""Seccomp profiles compiled once to the program that the kernel loads.

A runtime compiles a container's profile at every start: with libseccomp 2.5, which copies all its rules for each rule that is added, that takes
10 to 20 ms for the default profile, more than all else that crun does. crun takes a ready program in an annotation (crun(1),
run.oci.seccomp_bpf_data); it is made here by the same library from the same rules, so it is the same program byte for byte.
"""

from __future__ import annotations

import base64
import ctypes
import errno
import functools
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

LIBRARY = "libseccomp.so.2"
KEPT = 16  # programs, about 16 KB each: a host's containers differ in few sets of capabilities

# linux/seccomp.h; the ones with an errno take it in their lower half
ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
WITH_ERRNO = {"SCMP_ACT_ERRNO": 0x00050000, "SCMP_ACT_TRACE": 0x7FF00000}
# seccomp.h
COMPARISONS = {f"SCMP_CMP_{name}": number for number, name in enumerate(("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"), 1)}
UNKNOWN_CALL = -1  # __NR_SCMP_ERROR


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp of seccomp.h."""

    _fields_ = (("argument", ctypes.c_uint), ("operator", ctypes.c_int), ("first", ctypes.c_uint64), ("second", ctypes.c_uint64))


class Unusual(Exception):
    """Something in a profile that is left to the runtime, which has the words for it."""


class Filters:
    """Compiled profiles, by their text. Any thread may ask; a profile is compiled once."""

    def __init__(self) -> None:
        self._programs: OrderedDict[str, str | None] = OrderedDict()
        self._lock = threading.Lock()

    def program(self, profile: Mapping[str, Any]) -> str | None:
        """The program of a profile (linux.seccomp of the OCI specification) in base64; None where the runtime had better compile it itself."""
        text = json.dumps(profile)
        with self._lock:
            if text not in self._programs:
                self._programs[text] = compiled(profile)
                if len(self._programs) > KEPT:
                    self._programs.popitem(last=False)
            else:
                self._programs.move_to_end(text)
            return self._programs[text]


@functools.cache
def library() -> ctypes.CDLL | None:
    """libseccomp, which both runtimes are linked with; None where it is not here all the same."""
    try:
        found = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    context, number = ctypes.c_void_p, ctypes.c_uint32
    found.seccomp_init.restype, found.seccomp_init.argtypes = context, [number]
    found.seccomp_release.restype, found.seccomp_release.argtypes = None, [context]
    found.seccomp_arch_resolve_name.restype, found.seccomp_arch_resolve_name.argtypes = number, [ctypes.c_char_p]
    found.seccomp_arch_add.argtypes = [context, number]
    found.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    found.seccomp_rule_add_array.argtypes = [context, number, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Comparison)]
    found.seccomp_export_bpf.argtypes = [context, ctypes.c_int]
    return found


def compiled(profile: Mapping[str, Any]) -> str | None:
    """The program in base64; None where the library is missing or the profile unusual."""
    seccomp = library()
    if seccomp is None or profile.get("listenerPath"):
        return None
    try:
        default = action(profile["defaultAction"], profile.get("defaultErrnoRet"))
        context = seccomp.seccomp_init(default)
        if not context:
            return None
        try:
            fill(seccomp, context, profile, default)
            return base64.b64encode(exported(seccomp, context)).decode()
        finally:
            seccomp.seccomp_release(context)
    except (Unusual, KeyError):
        return None


def fill(seccomp: ctypes.CDLL, context: int, profile: Mapping[str, Any], default: int) -> None:
    """The architectures and rules of a profile, in its order; Unusual."""
    for name in profile.get("architectures") or ():
        token = seccomp.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
        # The native one is there from the beginning.
        if not token or seccomp.seccomp_arch_add(context, token) not in (0, -errno.EEXIST):
            raise Unusual
    for rule in profile.get("syscalls") or ():
        wanted = action(rule["action"], rule.get("errnoRet"))
        if wanted == default:
            continue  # the library refuses a rule that says what holds without it
        alternatives = comparisons(rule.get("args") or ())
        for name in rule["names"]:
            call = seccomp.seccomp_syscall_resolve_name(name.encode())
            if call == UNKNOWN_CALL:
                continue
            for conditions in alternatives:
                if seccomp.seccomp_rule_add_array(context, wanted, call, len(conditions), (Comparison * len(conditions))(*conditions)):
                    raise Unusual


def action(name: str, code: int | None) -> int:
    """An action's number; Unusual for one that is not known, and for an errno where it takes none."""
    if name in WITH_ERRNO:
        return WITH_ERRNO[name] | (errno.EPERM if code is None else code)
    if name not in ACTIONS or code is not None:
        raise Unusual
    return ACTIONS[name]


def comparisons(arguments: Any) -> list[list[Comparison]]:
    """The conditions of a rule: all at once, or, where two look at the same argument, each by itself. Unusual."""
    found = []
    for a in arguments:
        if a["op"] not in COMPARISONS or not 0 <= a["index"] < 6:
            raise Unusual
        found.append(Comparison(a["index"], COMPARISONS[a["op"]], a["value"], a.get("valueTwo", 0)))
    if len(found) > 6:
        raise Unusual
    same = len({c.argument for c in found}) < len(found)
    return [[c] for c in found] if same else [found]


def exported(seccomp: ctypes.CDLL, context: int) -> bytes:
    """The program's bytes. Unusual."""
    descriptor = os.memfd_create("filter", os.MFD_CLOEXEC)
    try:
        if seccomp.seccomp_export_bpf(context, descriptor):
            raise Unusual
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    finally:
        os.close(descriptor)
