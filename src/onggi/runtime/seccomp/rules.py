"""What a profile's rules mean for each system call of each ABI, as runc and libseccomp read them.

Facts before policy:

- A name means the number it has in an ABI; one that the ABI lacks, or nobody knows, is ignored.
- On i386 the calls of sockets and System V IPC have two doors, their own and `socketcall` or `ipc`.
  A rule for such a call covers both. Behind the second the first argument is the call's selector
  and the real ones lie in memory, where no filter looks: comparisons of the first are given up.
- 32-bit ABIs, x32 among them, have 32-bit arguments: only the lower halves are compared.
- A rule without comparisons beats any with some. Otherwise the first that holds counts. (libseccomp
  orders its tree by argument and value instead; they differ only where rules of one call overlap
  and want different answers, which no order makes sensible.)
- Within a rule all comparisons must hold, unless two are about the same argument: then each is a
  rule of its own.
- A rule whose answer is the default one is ignored.

Source: runc 1.3, libcontainer/seccomp/seccomp_linux.go, matchCall; libseccomp 2.5.4, src/db.c,
db_rule_add, and src/arch-x86.c, x86_rule_add.
"""

from __future__ import annotations

from onggi.errors import InvalidInput
from onggi.linux import seccomp as facts
from onggi.linux.syscall_table import TABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    # (index, comparison, value, mask). The mask is all ones except for MASKED_EQ.
    Condition: TypeAlias = tuple[int, str, int, int]
    # What to do if all of the conditions hold.
    Alternative: TypeAlias = tuple[tuple[Condition, ...], int]
    # Alternatives in order; the last one has no conditions.
    Verdict: TypeAlias = tuple[Alternative, ...]

EPERM = 1

# Action -> the answer of a filter, and whether an errno (or a message to a tracer) goes with it.
ACTIONS = {
    "SCMP_ACT_KILL": (facts.SECCOMP_RET_KILL_THREAD, False),
    "SCMP_ACT_KILL_THREAD": (facts.SECCOMP_RET_KILL_THREAD, False),
    "SCMP_ACT_KILL_PROCESS": (facts.SECCOMP_RET_KILL_PROCESS, False),
    "SCMP_ACT_TRAP": (facts.SECCOMP_RET_TRAP, False),
    "SCMP_ACT_ERRNO": (facts.SECCOMP_RET_ERRNO, True),
    "SCMP_ACT_TRACE": (facts.SECCOMP_RET_TRACE, True),
    "SCMP_ACT_LOG": (facts.SECCOMP_RET_LOG, False),
    "SCMP_ACT_ALLOW": (facts.SECCOMP_RET_ALLOW, False),
    "SCMP_ACT_NOTIFY": (facts.SECCOMP_RET_USER_NOTIF, False),
}

COMPARISONS = ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")

# Call -> its selector behind socketcall(2) and ipc(2). Source: <linux/net.h>, <linux/ipc.h>.
SOCKETCALL = {
    "socket": 1,
    "bind": 2,
    "connect": 3,
    "listen": 4,
    "accept": 5,
    "getsockname": 6,
    "getpeername": 7,
    "socketpair": 8,
    "send": 9,
    "recv": 10,
    "sendto": 11,
    "recvfrom": 12,
    "shutdown": 13,
    "setsockopt": 14,
    "getsockopt": 15,
    "sendmsg": 16,
    "recvmsg": 17,
    "accept4": 18,
    "recvmmsg": 19,
    "sendmmsg": 20,
}
IPC = {
    "semop": 1,
    "semget": 2,
    "semctl": 3,
    "semtimedop": 4,
    "msgsnd": 11,
    "msgrcv": 12,
    "msgget": 13,
    "msgctl": 14,
    "shmat": 21,
    "shmdt": 22,
    "shmget": 23,
    "shmctl": 24,
}


class Abi:
    """One way into the kernel: its numbers, and what a filter sees of it."""

    __slots__ = ("audit_arch", "name", "numbers", "oci_name", "wide")

    def __init__(self, name: str, oci_name: str, audit_arch: int, *, wide: bool) -> None:
        self.name = name
        self.oci_name = oci_name
        self.audit_arch = audit_arch
        self.wide = wide  # whether arguments have 64 bits
        self.numbers = TABLES[name]


def answer(action: str, errno_ret: int | None) -> int:
    """Return what a filter answers for an action of the OCI's.

    Raises: InvalidInput: an unknown action, or an errno for an action that has none.
    """
    if action not in ACTIONS:
        raise InvalidInput(f"unknown seccomp action {action!r}", hint=", ".join(ACTIONS))
    value, takes_errno = ACTIONS[action]
    if not takes_errno:
        if errno_ret is not None:
            raise InvalidInput(f"seccomp action {action} can't return an errno")
        return value
    return value | (EPERM if errno_ret is None else errno_ret & facts.SECCOMP_RET_DATA)


def verdicts(syscalls: list[dict[str, Any]], abi: Abi, default: int) -> dict[int, Verdict]:
    """Return number -> verdict for the calls of `abi` that the rules are about."""
    found: dict[int, list[Alternative]] = {}
    for rule in syscalls:
        wanted = answer(rule["action"], rule.get("errnoRet"))
        if wanted == default:
            continue
        for conditions in _alternatives(rule.get("args") or []):
            for name in rule["names"]:
                for number, narrowed in _doors(name, conditions, abi):
                    kept = tuple(_fitting(narrowed, abi))
                    found.setdefault(number, []).append((kept, wanted))
    return {number: _settled(rules, default) for number, rules in found.items()}


def last_number(syscalls: list[dict[str, Any]], abi: Abi) -> int | None:
    """Return the highest number of `abi` that any rule is about; None if there is none.

    Calls with two doors don't count, because libseccomp knows them by negative numbers.
    """
    hidden = (SOCKETCALL.keys() | IPC.keys()) if abi.name == "x86" else frozenset()
    numbers = [
        abi.numbers[name]
        for rule in syscalls
        for name in rule["names"]
        if name in abi.numbers and name not in hidden
    ]
    return max(numbers, default=None)


def _alternatives(args: list[dict[str, Any]]) -> list[tuple[Condition, ...]]:
    """Return what must hold together, several times if one argument is compared twice."""
    conditions = tuple(map(_condition, args))
    if len({index for index, *_ in conditions}) < len(conditions):
        return [(condition,) for condition in conditions]
    return [conditions]


def _condition(arg: dict[str, Any]) -> Condition:
    operator = str(arg.get("op", ""))
    comparison = operator.removeprefix("SCMP_CMP_")
    if comparison not in COMPARISONS or comparison == operator:
        known = ", ".join(f"SCMP_CMP_{name}" for name in COMPARISONS)
        raise InvalidInput(f"unknown seccomp operator {operator!r}", hint=known)
    if not 0 <= arg["index"] <= 5:
        raise InvalidInput(f"system calls have no argument {arg['index']}", hint="0 to 5")
    if comparison == "MASKED_EQ":
        return arg["index"], comparison, arg.get("valueTwo") or 0, arg["value"]
    return arg["index"], comparison, arg["value"], 2**64 - 1


def _doors(
    name: str, conditions: tuple[Condition, ...], abi: Abi
) -> list[tuple[int, tuple[Condition, ...]]]:
    """Return the numbers by which `name` can be called, each with what to compare there."""
    doors = [(abi.numbers[name], conditions)] if name in abi.numbers else []
    if abi.name == "x86":
        for door, selectors in (("socketcall", SOCKETCALL), ("ipc", IPC)):
            if name in selectors:
                selected = (0, "EQ", selectors[name], 2**64 - 1)
                rest = (condition for condition in conditions if condition[0] != 0)
                doors.append((abi.numbers[door], (selected, *rest)))
    return doors


def _fitting(conditions: tuple[Condition, ...], abi: Abi) -> list[Condition]:
    """Return the conditions in the ABI's width, without those that always hold."""
    width = 2**64 - 1 if abi.wide else 2**32 - 1
    fitting = []
    for index, comparison, value, mask in sorted(conditions):
        mask &= width
        if mask:
            fitting.append((index, comparison, value & mask, mask))
    return fitting


def _settled(rules: list[Alternative], default: int) -> Verdict:
    """Return the rules of one call as a verdict."""
    for rule in rules:
        if not rule[0]:
            return (rule,)
    return (*dict.fromkeys(rules), ((), default))
