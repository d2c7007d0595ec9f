"""Docker's default profile, compiled: each call of each ABI is answered as the profile says.

The profile is read from the published file where that is at hand, and from our own copy of its
facts otherwise; the machine that runs the filter and the reading that it is compared with are
written apart from the compiler. Where libseccomp is installed, its filter is a third opinion.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import json
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from onggi.linux.capability import NUMBERS
from onggi.linux.syscall_table import ABIS, TABLES
from onggi.runtime.capabilities import DEFAULT
from onggi.runtime.seccomp import default
from onggi.runtime.seccomp.compile import compile_filter
from onggi.runtime.seccomp.profile import default_profile
from support.classic_bpf import Filter
from support.seccomp_reading import ARCHITECTURES, NEWER, Reading
from support.specifications import find_specification

X32 = 1 << 30
FLAGS = [1 << bit for bit in range(64)]
FAMILIES = [*range(48), 2**32 + 2, 2**32 + 38, 2**63, 2**64 - 1]
PERSONAS = [0, 1, 7, 8, 9, 0x20000, 0x20001, 0x20008, 2**32 - 2, 2**32 - 1, 2**32, 2**64 - 1]
ARGUMENTS: dict[str, list[tuple[int, ...]]] = {
    "clone": [*((flag | 17, 0) for flag in FLAGS), *((17, flag) for flag in FLAGS)],
    "clone3": [(0, 88)],
    "socket": [(family, 1, 0) for family in FAMILIES],
    "personality": [(persona,) for persona in PERSONAS],
    "socketcall": [(selector, 0) for selector in range(24)],
    "ipc": [(selector, 0) for selector in range(32)],
}


@functools.cache
def document() -> dict[str, Any]:
    path = find_specification("seccomp/default.json")
    loaded: dict[str, Any] = json.loads(path.read_text()) if path else default.document()
    return loaded


def calls(abi: str, numbers: range) -> Iterator[tuple[int, ...]]:
    """Yield every number of an ABI, and more arguments for the calls that are judged by them."""
    bit = X32 if abi == "x32" else 0
    for number in numbers:
        yield (number | bit,)
    for name, samples in ARGUMENTS.items():
        if name in TABLES[abi]:
            for arguments in samples:
                yield (TABLES[abi][name], *arguments)
    if abi == "arm":
        for number in range(0xEFFFE, 0xF0010):
            yield (number,)


@pytest.mark.parametrize("machine", ABIS)
@pytest.mark.parametrize(
    "capabilities", [(), DEFAULT, tuple(NUMBERS)], ids=["none", "default", "all"]
)
def test_every_call_is_answered_as_the_profile_says(
    machine: str, capabilities: tuple[str, ...]
) -> None:
    judge = Filter(compile_filter(default_profile(capabilities, machine, (6, 1)), machine))
    reading = Reading(document(), machine, capabilities, 6.1)
    for abi in ABIS[machine]:
        for number, *arguments in calls(abi, range(1024)):
            got = judge.answer(ARCHITECTURES[abi], number, *arguments)
            assert got == reading.answer(abi, number, *arguments), (abi, number, arguments)


@pytest.mark.parametrize("capability", NUMBERS)
def test_each_capability_opens_what_the_profile_says(capability: str) -> None:
    profile = default_profile([capability], "x86_64", (6, 1))
    judge = Filter(compile_filter(profile))
    reading = Reading(document(), "x86_64", (capability,), 6.1)
    for _, names in default.WITH_CAPABILITY:
        for name in names.split():
            for abi in ABIS["x86_64"]:
                if name in TABLES[abi]:
                    number = TABLES[abi][name]
                    expected = reading.answer(abi, number)
                    assert judge.answer(ARCHITECTURES[abi], number) == expected, (abi, name)


def test_old_kernels_refuse_to_trace() -> None:
    judge = Filter(compile_filter(default_profile(DEFAULT, "x86_64", (4, 7))))
    reading = Reading(document(), "x86_64", DEFAULT, 4.7)
    number = TABLES["x86_64"]["ptrace"]
    assert judge.answer(ARCHITECTURES["x86_64"], number) == reading.answer("x86_64", number)
    assert reading.answer("x86_64", number) == 0x00050001


@pytest.mark.parametrize("number", [2**30 - 1, 2**31 - 1, 2**31, 2**32 - 1])
def test_numbers_that_no_call_will_ever_have_are_unknown(number: int) -> None:
    judge = Filter(compile_filter(default_profile(DEFAULT)))
    for abi in ("x86_64", "x86"):
        assert judge.answer(ARCHITECTURES[abi], number) == NEWER


def test_other_machines_calls_kill() -> None:
    judge = Filter(compile_filter(default_profile(DEFAULT)))
    assert judge.answer(ARCHITECTURES["aarch64"], 0) == 0


def test_filter_is_no_longer_than_it_need_be() -> None:
    assert len(Filter(compile_filter(default_profile(DEFAULT)))) < 1000


# A third opinion.


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = [  # type: ignore[mutable-override]  # a list is what ctypes documents
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    ]


OPERATORS = ("", "NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")
TOKENS = {**ARCHITECTURES, "x32": 0x4000003E}


@functools.cache
def library() -> ctypes.CDLL:
    """Return libseccomp, or skip the test."""
    try:
        loaded = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        pytest.skip("libseccomp is not installed")
    loaded.seccomp_init.restype = ctypes.c_void_p
    loaded.seccomp_init.argtypes = (ctypes.c_uint32,)
    loaded.seccomp_release.argtypes = (ctypes.c_void_p,)
    loaded.seccomp_arch_add.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    loaded.seccomp_arch_remove.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    loaded.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
    loaded.seccomp_syscall_resolve_name_arch.argtypes = (ctypes.c_uint32, ctypes.c_char_p)
    loaded.seccomp_rule_add_array.argtypes = (
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(Comparison),
    )
    return loaded


def compiled_by_library(profile: dict[str, Any], machine: str) -> Filter:
    """Return libseccomp's filter, made as runc makes it (without its answer to newer calls)."""
    lib = library()
    context = lib.seccomp_init(0x00050001)
    try:
        for abi in ABIS[machine]:
            lib.seccomp_arch_add(context, TOKENS[abi])
        for abi in set(TOKENS) - set(ABIS[machine]):
            lib.seccomp_arch_remove(context, TOKENS[abi])
        for rule in profile["syscalls"]:
            for name in rule["names"]:
                add_rule(context, rule, name)
        with tempfile.TemporaryFile() as file:
            assert lib.seccomp_export_bpf(context, file.fileno()) == 0
            return Filter(os.pread(file.fileno(), 1 << 20, 0))
    finally:
        lib.seccomp_release(context)


def add_rule(context: int, rule: dict[str, Any], name: str) -> None:
    lib = library()
    action = {"SCMP_ACT_ALLOW": 0x7FFF0000, "SCMP_ACT_ERRNO": 0x00050000}[rule["action"]]
    number = lib.seccomp_syscall_resolve_name_arch(TOKENS["x86_64"], name.encode())
    if number == -1:
        return
    args = [
        Comparison(
            arg["index"],
            OPERATORS.index(arg["op"].removeprefix("SCMP_CMP_")),
            arg["value"],
            arg.get("valueTwo", 0),
        )
        for arg in rule.get("args", [])
    ]
    array = (Comparison * len(args))(*args)
    action |= rule.get("errnoRet", 0)
    assert lib.seccomp_rule_add_array(context, action, number, len(args), array) == 0, name


def known_to_library(profile: dict[str, Any]) -> dict[str, Any]:
    """Return the profile without the names that the installed libseccomp is too old for."""

    def is_known(name: str) -> bool:
        resolve = library().seccomp_syscall_resolve_name_arch
        return bool(resolve(TOKENS["x86_64"], name.encode()) != -1)

    rules = [
        {**rule, "names": [name for name in rule["names"] if is_known(name)]}
        for rule in profile["syscalls"]
    ]
    return {**profile, "syscalls": rules}


def unknown_to_library(abi: str) -> set[int]:
    """Return the numbers of the calls that an ABI has got since the installed libseccomp."""
    resolve = library().seccomp_syscall_resolve_name_arch
    return {n for name, n in TABLES[abi].items() if resolve(TOKENS[abi], name.encode()) < 0}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="libseccomp resolves for its machine")
@pytest.mark.parametrize("capabilities", [(), DEFAULT, tuple(NUMBERS)])
def test_libseccomp_agrees(capabilities: tuple[str, ...]) -> None:
    profile = known_to_library(default_profile(capabilities))
    ours = Filter(compile_filter(profile))
    theirs = compiled_by_library(profile, "x86_64")
    for abi in ABIS["x86_64"]:
        unknown = unknown_to_library(abi)
        for number, *arguments in calls(abi, range(600)):
            if number in unknown:
                continue
            expected = theirs.answer(ARCHITECTURES[abi], number, *arguments)
            got = ours.answer(ARCHITECTURES[abi], number, *arguments)
            if got != NEWER or expected != 0x00050001:
                assert got == expected, (abi, number, arguments)
