"""A plain reading of classic BPF, as seccomp uses it: what a filter answers to a call.

Written from the kernel's documentation, apart from the compiler that it judges.
"""

import struct

MASK = 0xFFFFFFFF

_INSTRUCTION = struct.Struct("=HBBI")
_DATA = struct.Struct("=iIQ6Q")

LD_W_ABS, ALU_AND_K, RET_K = 0x20, 0x54, 0x06
JA, JEQ_K, JGT_K, JGE_K, JSET_K = 0x05, 0x15, 0x25, 0x35, 0x45


class Filter:
    """A filter that can be asked."""

    def __init__(self, program: bytes) -> None:
        assert 0 < len(program) <= 4096 * 8
        self._instructions: list[tuple[int, int, int, int]] = list(
            _INSTRUCTION.iter_unpack(program)
        )

    def __len__(self) -> int:
        return len(self._instructions)

    def answer(self, architecture: int, number: int, *arguments: int) -> int:
        """Return what the filter says to a call."""
        signed = number - (number >> 31 << 32)
        padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
        words: tuple[int, ...] = struct.unpack("=16I", _DATA.pack(signed, architecture, 0, *padded))
        accumulator, at = 0, 0
        while True:
            code, jt, jf, k = self._instructions[at]
            at += 1
            if code == RET_K:
                return k
            if code == LD_W_ABS:
                accumulator = words[k // 4]
            elif code == ALU_AND_K:
                accumulator &= k
            elif code == JA:
                at += k
            else:
                at += jt if _holds(code, accumulator, k) else jf


def _holds(code: int, accumulator: int, k: int) -> bool:
    if code == JEQ_K:
        return accumulator == k
    if code == JGT_K:
        return accumulator > k
    if code == JGE_K:
        return accumulator >= k
    assert code == JSET_K, f"unknown instruction {code:#x}"
    return bool(accumulator & k)
