"""A plain reading of a seccomp profile in Docker's format: what it wants answered to one call.

It goes through the rules for each question and shares nothing with the compiler but the tables of
numbers. It knows one answer per call, as in Docker's default, and fails on profiles that have more.
"""

from typing import Any

from onggi.linux.syscall_table import TABLES

ANSWERS = {"SCMP_ACT_ALLOW": 0x7FFF0000, "SCMP_ACT_ERRNO": 0x00050000}
NEWER = 0x00050026  # ENOSYS, as runc answers
ARCHITECTURES = {
    "x86_64": 0xC000003E,
    "x32": 0xC000003E,
    "x86": 0x40000003,
    "aarch64": 0xC00000B7,
    "arm": 0x40000028,
}
DOCKER_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}
_SOCKETCALL = """
    socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom
    shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg
"""
SOCKETCALL = _SOCKETCALL.split()
IPC = {
    **dict(enumerate(("semop", "semget", "semctl", "semtimedop"), 1)),
    **dict(enumerate(("msgsnd", "msgrcv", "msgget", "msgctl"), 11)),
    **dict(enumerate(("shmat", "shmdt", "shmget", "shmctl"), 21)),
}
BY_NUMBER: dict[str, dict[int, list[str]]] = {
    abi: {
        number: [name for name, same in numbers.items() if same == number]
        for number in numbers.values()
    }
    for abi, numbers in TABLES.items()
}


class Reading:
    """The profile, for one container."""

    def __init__(
        self, document: dict[str, Any], machine: str, capabilities: tuple[str, ...], kernel: float
    ) -> None:
        rules = [
            rule
            for rule in document["syscalls"]
            if all(
                _included(rule.get("includes", {}), kind, having)
                and not _excluded(rule.get("excludes", {}), kind, having)
                for kind, having in (("caps", capabilities), ("arches", [DOCKER_NAMES[machine]]))
            )
            and float(rule.get("includes", {}).get("minKernel", "0")) <= kernel
        ]
        self._by_name: dict[str, list[dict[str, Any]]] = {}
        for rule in rules:
            for name in rule["names"]:
                self._by_name.setdefault(name, []).append(rule)
        self._last = {abi: max(self._named(abi), default=0) for abi in TABLES}
        self._default: int = ANSWERS[document["defaultAction"]] | document["defaultErrnoRet"]

    def _named(self, abi: str) -> set[int]:
        """Return the numbers in an ABI that rules are about, but for i386's hidden calls."""
        names = set(self._by_name)
        if abi == "x86":
            names -= {*SOCKETCALL, *IPC.values()}
        return {number for name, number in TABLES[abi].items() if name in names}

    def answer(self, abi: str, number: int, *arguments: int) -> int:
        """Return what should be answered."""
        padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
        wide = abi in DOCKER_NAMES
        seen = [value if wide else value % 2**32 for value in padded]
        meant = _meant(abi, number, seen[0])
        answers: set[int] = {
            ANSWERS[rule["action"]] | rule.get("errnoRet", 0)
            for name, is_hidden in meant
            for rule in self._by_name.get(name, [])
            if is_hidden or _holds(rule.get("args", []), seen)
        }
        assert len(answers) <= 1, "the profile contradicts itself"
        if answers:
            return answers.pop()
        return NEWER if number > self._last[abi] else self._default


def _included(conditions: dict[str, list[str]], kind: str, having: Any) -> bool:
    """Tell whether all capabilities, or any architecture, of a list are there."""
    listed = conditions.get(kind) or []
    if kind == "arches":
        return not listed or having[0] in listed
    return all(item in having for item in listed)


def _excluded(conditions: dict[str, list[str]], kind: str, having: Any) -> bool:
    return any(item in having for item in conditions.get(kind) or [])


def _meant(abi: str, number: int, selector: int) -> list[tuple[str, bool]]:
    """Return what is called by a number, and whether its arguments are hidden in memory."""
    meant = [(name, False) for name in BY_NUMBER[abi].get(number, [])]
    if abi == "x86" and number == TABLES["x86"]["socketcall"]:
        meant += [(name, True) for at, name in enumerate(SOCKETCALL, 1) if at == selector]
    if abi == "x86" and number == TABLES["x86"]["ipc"]:
        meant += [(name, True) for at, name in IPC.items() if at == selector]
    return meant


def _holds(args: list[dict[str, Any]], seen: list[int]) -> bool:
    return all(_compares(arg, seen[arg["index"]]) for arg in args)


def _compares(arg: dict[str, Any], value: int) -> bool:
    wanted: int = arg["value"]
    if arg["op"] == "SCMP_CMP_MASKED_EQ":
        return bool(value & wanted == arg.get("valueTwo", 0))
    return {
        "SCMP_CMP_EQ": value == wanted,
        "SCMP_CMP_LT": value < wanted,
        "SCMP_CMP_GT": value > wanted,
    }[arg["op"]]
