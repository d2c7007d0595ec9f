"""Device rules as a BPF program, which is how cgroup v2 takes them.

The kernel runs the program at each open(2) and mknod(2) of a device file by a process in the
cgroup, with a struct bpf_cgroup_dev_ctx in R1: three 32-bit words, `access << 16 | type`, major
and minor. Returning 0 is EPERM. Programs of all ancestors run; each must agree.

The program walks the rules from the last to the first. R3 holds the accesses that no rule has
decided yet: a rule that denies one of them ends the walk, a rule that allows some crosses them
out, and once none is left the device may be used.

Source: kernel include/uapi/linux/bpf.h, `bpf_cgroup_dev_ctx` and `BPF_DEVCG_*`;
Documentation/bpf/standardization/instruction-set.rst.
"""

from __future__ import annotations

import struct

from onggi.resources.devices import parse_rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from onggi.resources.devices import Rule

# BPF_DEVCG_DEV_* and BPF_DEVCG_ACC_*.
KINDS = {"b": 1, "c": 2}
ACCESSES = {"m": 1, "r": 2, "w": 4}

# Instructions: class, operation and source in one byte.
LOAD_WORD = 0x61  # BPF_LDX | BPF_MEM | BPF_W
MOVE, MOVE_FROM = 0xB4, 0xBC  # BPF_ALU | BPF_MOV, with BPF_K and BPF_X
AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
SHIFT_RIGHT = 0x74  # BPF_ALU | BPF_RSH | BPF_K
JUMP_IF_EQUAL, JUMP_IF_DIFFERENT = 0x15, 0x55  # BPF_JMP | BPF_JEQ and BPF_JNE, with BPF_K
EXIT = 0x95  # BPF_JMP | BPF_EXIT

_R0, _CONTEXT, _KIND, _UNDECIDED, _MAJOR, _MINOR = range(6)


def device_program(rules: Sequence[dict[str, Any]]) -> bytes:
    """Assemble the program for OCI device rules; nothing for no rules, which denies nothing.

    Returns: instructions of 8 bytes, for BPF_PROG_TYPE_CGROUP_DEVICE.
    Raises: InvalidInput: a rule that no device could meet.
    """
    if not rules:
        return b""
    parts = [_load()]
    parts += [_rule(rule) for rule in reversed(parse_rules(rules))]
    return b"".join([*parts, _answer(0)])


def _instruction(
    code: int, target: int, number: int = 0, *, source: int = 0, jump: int = 0
) -> bytes:
    return struct.pack("<BBhi", code, source << 4 | target, jump, number)


def _load() -> bytes:
    """Take the context apart."""
    return b"".join(
        (
            _instruction(LOAD_WORD, _KIND, source=_CONTEXT, jump=0),
            _instruction(MOVE_FROM, _UNDECIDED, source=_KIND),
            _instruction(AND, _KIND, 0xFFFF),
            _instruction(SHIFT_RIGHT, _UNDECIDED, 16),
            _instruction(LOAD_WORD, _MAJOR, source=_CONTEXT, jump=4),
            _instruction(LOAD_WORD, _MINOR, source=_CONTEXT, jump=8),
        )
    )


def _answer(allowed: int) -> bytes:
    return _instruction(MOVE, _R0, allowed) + _instruction(EXIT, 0)


def _rule(rule: Rule) -> bytes:
    """Assemble one rule: unless the device is another, decide what it decides."""
    decision = _allow(rule) if rule.allow else _deny(rule)
    compared = ((_KIND, KINDS[rule.kind]), (_MAJOR, rule.major), (_MINOR, rule.minor))
    code = decision
    for register, number in reversed(compared):
        if number is not None:
            skip = len(code) // 8
            code = _instruction(JUMP_IF_DIFFERENT, register, number, jump=skip) + code
    return code


def _mask(rule: Rule) -> int:
    return sum(ACCESSES[each] for each in rule.access)


def _allow(rule: Rule) -> bytes:
    """Cross out what the rule allows; when nothing is left undecided, allow."""
    return (
        _instruction(AND, _UNDECIDED, 0x7 & ~_mask(rule))
        + _instruction(JUMP_IF_DIFFERENT, _UNDECIDED, 0, jump=2)
        + _answer(1)
    )


def _deny(rule: Rule) -> bytes:
    """Deny if the rule speaks of anything undecided."""
    return (
        _instruction(MOVE_FROM, _R0, source=_UNDECIDED)
        + _instruction(AND, _R0, _mask(rule))
        + _instruction(JUMP_IF_EQUAL, _R0, 0, jump=2)
        + _answer(0)
    )
