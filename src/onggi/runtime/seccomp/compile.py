"""The OCI's `linux.seccomp` as a filter for all ABIs of a machine.

As runc does, a filter whose default refuses answers ENOSYS, not its default, to calls newer than
any that the profile names. A C library takes ENOSYS as "too old a kernel" and does without; it
takes EPERM for an answer, and gives up.

Calls through an ABI that the profile does not list kill the thread, as libseccomp decides. x32 has
the machine's own architecture number and is told apart by a bit of the call's number; -1, which
tracers set to skip a call, has that bit too and is not taken for x32.

Source: runtime-spec, config-linux.md, "Seccomp"; runc 1.3, libcontainer/seccomp/patchbpf/
enosys_linux.go and libcontainer/specconv/spec_linux.go, SetupSeccomp.
"""

from __future__ import annotations

from onggi.errors import InvalidInput, Unsupported
from onggi.linux import seccomp as facts
from onggi.runtime.seccomp import program
from onggi.runtime.seccomp.rules import Abi, answer, last_number, verdicts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.runtime.seccomp.rules import Verdict

ABIS = {
    "x86_64": (
        Abi("x86_64", "SCMP_ARCH_X86_64", facts.AUDIT_ARCH_X86_64, wide=True),
        Abi("x86", "SCMP_ARCH_X86", facts.AUDIT_ARCH_I386, wide=False),
        Abi("x32", "SCMP_ARCH_X32", facts.AUDIT_ARCH_X86_64, wide=False),
    ),
    "aarch64": (
        Abi("aarch64", "SCMP_ARCH_AARCH64", facts.AUDIT_ARCH_AARCH64, wide=True),
        Abi("arm", "SCMP_ARCH_ARM", facts.AUDIT_ARCH_ARM, wide=False),
    ),
}

# All that the OCI's schema names; a machine never meets another machine's.
_SCHEMA = """
    X86 X86_64 X32 ARM AARCH64 LOONGARCH64 M68K MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32
    PPC PPC64 PPC64LE S390 S390X PARISC PARISC64 RISCV64 SH SHEB
"""
ARCHITECTURES = frozenset(f"SCMP_ARCH_{name}" for name in _SCHEMA.split())

ENOSYS = 38
BAD_ARCHITECTURE = facts.SECCOMP_RET_KILL_THREAD

# Answers that let a call through, perhaps to a tracer: such a filter needs no ENOSYS.
_PERMISSIVE = frozenset((facts.SECCOMP_RET_ALLOW, facts.SECCOMP_RET_LOG, facts.SECCOMP_RET_TRACE))


def compile_filter(seccomp: dict[str, Any], machine: str = "x86_64") -> bytes:
    """Return `linux.seccomp` as an array of struct sock_filter, for every ABI it lists.

    Raises: InvalidInput: an unknown action, operator or architecture, a rule that can't be kept,
        or more than the kernel takes; Unsupported: an unknown machine.
    """
    if machine not in ABIS:
        raise Unsupported(f"no seccomp filter for machine {machine!r}", hint=", ".join(ABIS))
    _require_sense(seccomp)
    code = [program.load(facts.OFFSET_ARCH), *_dispatch(seccomp, _listed(seccomp, machine))]
    if len(code) > facts.MAX_INSTRUCTIONS:
        limit = f"the kernel takes {facts.MAX_INSTRUCTIONS}"
        raise InvalidInput(f"the seccomp profile needs {len(code)} instructions", hint=limit)
    return program.encode(code)


def _require_sense(seccomp: dict[str, Any]) -> None:
    """Refuse what could never work: to hand over the listener, `write` must pass unjudged."""
    if seccomp["defaultAction"] == "SCMP_ACT_NOTIFY":
        raise InvalidInput("SCMP_ACT_NOTIFY can't be the default seccomp action")
    for rule in seccomp.get("syscalls") or []:
        if rule["action"] == "SCMP_ACT_NOTIFY" and "write" in rule["names"]:
            raise InvalidInput("SCMP_ACT_NOTIFY can't be used for write")


def _listed(seccomp: dict[str, Any], machine: str) -> list[Abi]:
    """Return the ABIs to judge: the machine's own, always, and those listed."""
    listed = seccomp.get("architectures") or []
    for name in listed:
        if name not in ARCHITECTURES:
            raise InvalidInput(f"unknown seccomp architecture {name!r}")
    native, *others = ABIS[machine]
    return [native, *(abi for abi in others if abi.oci_name in listed)]


def _dispatch(seccomp: dict[str, Any], abis: list[Abi]) -> program.Code:
    """Judge by architecture, which is loaded."""
    code = [program.give(BAD_ARCHITECTURE)]
    for abi in reversed(abis):
        if abi.name == "x32":
            continue
        judged = _judge(seccomp, abi)
        if abi.name == "x86_64":
            judged = program.either(
                program.JGE, facts.X32_SYSCALL_BIT, _judge_x32(seccomp, abis), judged
            )
        section = [program.load(facts.OFFSET_NR), *judged]
        code = program.either(program.JEQ, abi.audit_arch, section, code)
    return code


def _judge_x32(seccomp: dict[str, Any], abis: list[Abi]) -> program.Code:
    """Judge the numbers of x32, listed or not."""
    for abi in abis:
        if abi.name == "x32":
            return _judge(seccomp, abi)
    unlisted = [program.give(BAD_ARCHITECTURE)]
    return program.either(program.JEQ, 0xFFFFFFFF, [program.give(_default(seccomp))], unlisted)


def _judge(seccomp: dict[str, Any], abi: Abi) -> program.Code:
    """Judge the loaded number as one of `abi`."""
    rules, default = seccomp.get("syscalls") or [], _default(seccomp)
    otherwise: Verdict = (((), default),)
    code = program.by_number(verdicts(rules, abi, default), otherwise, wide=abi.wide)
    last = last_number(rules, abi)
    if last is None or default & ~facts.SECCOMP_RET_DATA in _PERMISSIVE:
        return code
    newer = [program.give(facts.SECCOMP_RET_ERRNO | ENOSYS)]
    return program.either(program.JGT, last, newer, code)


def _default(seccomp: dict[str, Any]) -> int:
    return answer(seccomp["defaultAction"], seccomp.get("defaultErrnoRet"))
