"""BPF: assembling classic programs (for seccomp) and loading extended ones (for cgroup devices).

Facts before policy:

- A classic conditional jump reaches 255 instructions at most, an unconditional one 2^32. The
  assembler puts an unconditional jump in between where a target is too far.
- Jumps go forwards only, so every program ends.
- On cgroup v2 access to devices is decided by programs attached to the cgroup; those of all its
  ancestors run too and each must agree. An attached program stays when its descriptor is closed and
  goes with its cgroup.

Source: Documentation/networking/filter.rst; bpf(2); Documentation/bpf/prog_cgroup_sockopt.rst for
how programs of one cgroup are joined.
"""

from __future__ import annotations

import os
import struct

from onggi.linux._abi import address_of, bind_syscall, buffer, c_int, c_uint, c_void_p, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, SupportsIndex

# Instruction classes, sizes, modes and operations: <linux/bpf_common.h>.
BPF_LD = 0x00
BPF_LDX = 0x01
BPF_ST = 0x02
BPF_STX = 0x03
BPF_ALU = 0x04
BPF_JMP = 0x05
BPF_RET = 0x06
BPF_MISC = 0x07

BPF_W = 0x00
BPF_IMM = 0x00
BPF_ABS = 0x20
BPF_MEM = 0x60

BPF_ADD = 0x00
BPF_SUB = 0x10
BPF_OR = 0x40
BPF_AND = 0x50
BPF_LSH = 0x60
BPF_RSH = 0x70
BPF_XOR = 0xA0

BPF_JA = 0x00
BPF_JEQ = 0x10
BPF_JGT = 0x20
BPF_JGE = 0x30
BPF_JSET = 0x40

BPF_K = 0x00
BPF_X = 0x08

MAX_JUMP = 255

# struct sock_filter { __u16 code; __u8 jt, jf; __u32 k; }.
SOCK_FILTER = struct.Struct("=HBBI")


def instruction(code: int, jt: int = 0, jf: int = 0, k: int = 0) -> bytes:
    """Encode one classic instruction.

    Args: jt, jf: instructions to skip if the condition holds, or does not; 0..255.
    Raises: struct.error: a value that does not fit its field.
    """
    return SOCK_FILTER.pack(code, jt, jf, k)


class _Statement:
    """One statement of the assembler, with where it may jump: a label, or a statement's index."""

    __slots__ = ("code", "far_false", "far_true", "k", "on_false", "on_true")

    def __init__(
        self, code: int, k: int, on_true: str | int = "", on_false: str | int = ""
    ) -> None:
        self.code = code
        self.k = k
        self.on_true = on_true
        self.on_false = on_false
        self.far_true = False
        self.far_false = False

    @property
    def size(self) -> int:
        """How many instructions it takes: one, and one for each jump over a long way."""
        return 1 + self.far_true + self.far_false

    @property
    def branches(self) -> bool:
        """Whether it is a conditional jump."""
        return self.code & 0x07 == BPF_JMP and self.code != BPF_JMP | BPF_JA


class Assembler:
    """Collects a classic BPF program whose jumps name labels, and lays it out.

    Each label is placed once, behind the jumps to it.
    """

    __slots__ = ("_labels", "_starts", "_statements")

    def __init__(self) -> None:
        self._statements: list[_Statement] = []
        self._labels: dict[str, int] = {}
        self._starts: list[int] = []

    def load(self, offset: int) -> None:
        """Load the 32-bit word at `offset` of the data into the accumulator."""
        self.emit(BPF_LD | BPF_W | BPF_ABS, offset)

    def emit(self, code: int, k: int = 0) -> None:
        """Add an instruction that does not jump."""
        self._statements.append(_Statement(code, k))

    def jump(self, label: str) -> None:
        """Go on at `label`."""
        self._statements.append(_Statement(BPF_JMP | BPF_JA, 0, label))

    def jump_if(self, operation: int, k: int, on_true: str = "", on_false: str = "") -> None:
        """Compare the accumulator with `k` and go on at one label or the other.

        Args: operation: BPF_JEQ, BPF_JGT, BPF_JGE (all unsigned) or BPF_JSET; on_true, on_false:
            labels, "" for the next statement.
        """
        code, following = BPF_JMP | operation | BPF_K, len(self._statements) + 1
        self._statements.append(_Statement(code, k, on_true or following, on_false or following))

    def answer(self, value: int) -> None:
        """End the program with `value`."""
        self.emit(BPF_RET | BPF_K, value)

    def label(self, name: str) -> None:
        """Place label `name` before the next statement.

        Raises: ValueError: it has been placed before, or is empty.
        """
        if not name or name in self._labels:
            raise ValueError(f"label {name!r} can't be placed here")
        self._labels[name] = len(self._statements)

    def assemble(self) -> bytes:
        """Lay out the program.

        Raises: KeyError: a jump to a label that was never placed; ValueError: a jump backwards.
        """
        self._lay_out()
        while sum(self._lengthen(one, at) for one, at in self._placed()):
            self._lay_out()
        return b"".join(self._encode(one, at) for one, at in self._placed())

    def _placed(self) -> list[tuple[_Statement, int]]:
        return list(zip(self._statements, self._starts, strict=False))

    def _lay_out(self) -> None:
        """Set where each statement begins, and where the program ends."""
        self._starts = [0]
        for statement in self._statements:
            self._starts.append(self._starts[-1] + statement.size)

    def _lengthen(self, statement: _Statement, start: int) -> bool:
        """Mark the branches that do not reach; making room for one may put others out of reach."""
        before = statement.size
        if statement.branches:
            statement.far_true |= self._skip(statement.on_true, start) > MAX_JUMP
            statement.far_false |= self._skip(statement.on_false, start) > MAX_JUMP
        return statement.size > before

    def _skip(self, target: str | int, start: int) -> int:
        """Count the instructions between the one at `start` and `target`."""
        index = target if isinstance(target, int) else self._labels[target]
        skip = self._starts[index] - start - 1
        if skip < 0:
            raise ValueError(f"the jump to {target!r} goes backwards")
        return skip

    def _encode(self, statement: _Statement, start: int) -> bytes:
        """Encode the statement at `start`, with the long jumps that follow it."""
        if statement.branches:
            jt, first = self._branch(statement.on_true, statement.far_true, start, 0)
            jf, second = self._branch(statement.on_false, statement.far_false, start, bool(first))
            return instruction(statement.code, jt, jf, statement.k) + first + second
        jumps = statement.code == BPF_JMP | BPF_JA
        k = self._skip(statement.on_true, start) if jumps else statement.k
        return instruction(statement.code, k=k)

    def _branch(self, target: str | int, far: bool, start: int, place: int) -> tuple[int, bytes]:
        """Encode one way out of a branch: what it skips, and the long jump it needs at `place`."""
        if not far:
            return self._skip(target, start), b""
        skip = self._skip(target, start + 1 + place)
        return place, instruction(BPF_JMP | BPF_JA, k=skip)


_BPF_PROG_LOAD = 5
_BPF_PROG_ATTACH = 8
_BPF_PROG_DETACH = 9
_BPF_PROG_GET_FD_BY_ID = 13
_BPF_OBJ_GET_INFO_BY_FD = 15
_BPF_PROG_QUERY = 16

_BPF_PROG_TYPE_CGROUP_DEVICE = 15
_BPF_CGROUP_DEVICE = 6  # of enum bpf_attach_type

BPF_F_ALLOW_OVERRIDE = 1
BPF_F_ALLOW_MULTI = 2
BPF_F_REPLACE = 4  # since Linux 5.6

DEVICE_PROGRAM = b"onggi_devices"  # what ours are called, to be told from others

_LICENSE = b"Apache-2.0"  # the program calls no helper that asks for another
_LOG_BYTES = 64 * 1024
_EXTENDED_SIZE = 8  # of one instruction
_MOST_PROGRAMS = 64  # BPF_CGROUP_MAX_PROGS

# Beginnings of union bpf_attr, as far as each command needs it; the kernel takes the rest for 0.
# PROG_LOAD: prog_type, insn_cnt, insns, license, log_level, log_size, log_buf, kern_version,
# prog_flags, prog_name[16].
PROG_LOAD_ATTR = struct.Struct("=IIQQIIQII16s")
# PROG_ATTACH, PROG_DETACH: target_fd, attach_bpf_fd, attach_type, attach_flags, replace_bpf_fd.
PROG_ATTACH_ATTR = struct.Struct("=IIIII")
# PROG_QUERY: target_fd, attach_type, query_flags, attach_flags, prog_ids, prog_cnt, padding.
PROG_QUERY_ATTR = struct.Struct("=IIIIQII")
# PROG_GET_FD_BY_ID: prog_id, next_id, open_flags.
PROG_ID_ATTR = struct.Struct("=III")
# OBJ_GET_INFO_BY_FD: bpf_fd, info_len, info.
OBJECT_INFO_ATTR = struct.Struct("=IIQ")
# The beginning of struct bpf_prog_info: what is skipped, up to name[16].
PROG_INFO = struct.Struct("=64x16s")

_bpf = bind_syscall("bpf", c_int, c_void_p, c_uint)


def _command(number: int, attributes: bytes) -> tuple[int, bytes]:
    """Run a bpf(2) command; return (result, the attributes as the kernel left them)."""
    memory = buffer(attributes)
    return check(_bpf(number, memory, len(attributes)), "bpf"), memory.raw


def load_cgroup_device_program(insns: bytes) -> int:
    """Load an extended BPF program that decides on access to devices.

    Returns: a close-on-exec descriptor the caller owns; the program lives as long as it, or as
        the cgroups it is attached to.
    Raises: OSError: EINVAL or EACCES, the kernel's verifier refuses the program (what it says is in
        a note); EPERM, no CAP_BPF or CAP_SYS_ADMIN; ENOSYS, a kernel without bpf(2).
    Source: bpf(2), BPF_PROG_LOAD.
    Since: Linux 4.15, commit ebc614f68736 ("bpf, cgroup: implement eBPF-based device controller
        for cgroup v2").
    """
    try:
        return _load(insns, None)
    except OSError as error:
        if explanation := _verifier_log(insns):
            error.add_note(explanation)
        raise


def _load(insns: bytes, log: Any) -> int:
    program, terms = buffer(insns), buffer(_LICENSE + b"\0")
    attributes = PROG_LOAD_ATTR.pack(
        _BPF_PROG_TYPE_CGROUP_DEVICE,
        len(insns) // _EXTENDED_SIZE,
        address_of(program),
        address_of(terms),
        0 if log is None else 1,
        0 if log is None else len(log),
        0 if log is None else address_of(log),
        0,
        0,
        DEVICE_PROGRAM,
    )
    return _command(_BPF_PROG_LOAD, attributes)[0]


def _verifier_log(insns: bytes) -> str:
    """Load a refused program once more, to hear why; "" if the verifier was never asked."""
    log = buffer(_LOG_BYTES)
    try:
        os.close(_load(insns, log))
    except OSError:
        text: bytes = log.value
        return text.decode(errors="replace").strip()
    return ""


def attach_cgroup_device(cgroup_fd: SupportsIndex, prog_fd: SupportsIndex) -> None:
    """Put a program on a v2 cgroup, beside those that are there: access needs the yes of each.

    Raises: OSError: EPERM, the cgroup or an ancestor holds a program that allows no others
        beside it; EINVAL, the same program is attached already; E2BIG, 64 programs are.
    Source: bpf(2), BPF_PROG_ATTACH, BPF_F_ALLOW_MULTI (since Linux 4.15).
    """
    _attach(cgroup_fd, prog_fd, BPF_F_ALLOW_MULTI, 0)


def replace_cgroup_device(
    cgroup_fd: SupportsIndex, new_prog_fd: SupportsIndex, old_prog_fd: SupportsIndex
) -> None:
    """Put one program in another's place, with no moment in which neither is in force.

    Raises: OSError: ENOENT, the old program is not attached to this cgroup.
    Source: bpf(2), BPF_F_REPLACE.
    Since: Linux 5.6, commit 7dd68b3279f1 ("bpf: Support replacing cgroup-bpf program in MULTI
        mode").
    """
    _attach(cgroup_fd, new_prog_fd, BPF_F_ALLOW_MULTI | BPF_F_REPLACE, old_prog_fd)


def _attach(
    cgroup_fd: SupportsIndex, prog_fd: SupportsIndex, flags: int, replaced_fd: SupportsIndex
) -> None:
    fds = cgroup_fd.__index__(), prog_fd.__index__()
    attributes = PROG_ATTACH_ATTR.pack(*fds, _BPF_CGROUP_DEVICE, flags, replaced_fd.__index__())
    _command(_BPF_PROG_ATTACH, attributes)


def detach_cgroup_device(cgroup_fd: SupportsIndex, prog_fd: SupportsIndex) -> None:
    """Take a program off a cgroup.

    Raises: OSError: ENOENT, it is not attached there.
    Source: bpf(2), BPF_PROG_DETACH.
    """
    fds = cgroup_fd.__index__(), prog_fd.__index__()
    _command(_BPF_PROG_DETACH, PROG_ATTACH_ATTR.pack(*fds, _BPF_CGROUP_DEVICE, 0, 0))


def attached_cgroup_device(cgroup_fd: SupportsIndex) -> list[int]:
    """List the ids of the programs attached to this cgroup itself, in the order they run.

    Source: bpf(2), BPF_PROG_QUERY. Since: Linux 4.15.
    """
    ids = buffer(4 * _MOST_PROGRAMS)
    target = cgroup_fd.__index__()
    attributes = PROG_QUERY_ATTR.pack(
        target, _BPF_CGROUP_DEVICE, 0, 0, address_of(ids), _MOST_PROGRAMS, 0
    )
    _, answer = _command(_BPF_PROG_QUERY, attributes)
    count = PROG_QUERY_ATTR.unpack(answer)[5]
    return list(struct.unpack(f"={count}I", ids.raw[: 4 * count]))


def open_program(program_id: int) -> int:
    """Open a loaded program by its id, so that it can be detached or replaced.

    Returns: a close-on-exec descriptor the caller owns.
    Raises: OSError: ENOENT, there is none; EPERM, no CAP_SYS_ADMIN.
    Source: bpf(2), BPF_PROG_GET_FD_BY_ID. Since: Linux 4.13.
    """
    return _command(_BPF_PROG_GET_FD_BY_ID, PROG_ID_ATTR.pack(program_id, 0, 0))[0]


def program_name(prog_fd: SupportsIndex) -> bytes:
    """Return the name that a program was loaded with, of 15 bytes at most; b"" if it has none.

    Source: bpf(2), BPF_OBJ_GET_INFO_BY_FD; struct bpf_prog_info. Since: Linux 4.15.
    """
    info = buffer(PROG_INFO.size)
    target = prog_fd.__index__()
    attributes = OBJECT_INFO_ATTR.pack(target, PROG_INFO.size, address_of(info))
    _command(_BPF_OBJ_GET_INFO_BY_FD, attributes)
    name: bytes = PROG_INFO.unpack(info.raw)[0]
    return name.rstrip(b"\0")
