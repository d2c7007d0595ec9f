"""Whether a program brings all it needs: facts of its ELF header.

Source: elf(5), "ELF header (Ehdr)", "Program header (Phdr)".
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

_MAGIC = b"\x7fELF\x02\x01"  # 64 bits, little-endian: both machines that there are here
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
_PT_INTERP = 3


def is_static(file: BinaryIO) -> bool:
    """Tell whether `file` is a program that no dynamic linker has to load."""
    header = file.read(_HEADER.size)
    if not header.startswith(_MAGIC) or len(header) < _HEADER.size:
        return False
    fields = _HEADER.unpack(header)
    offset, size, count = fields[5], fields[9], fields[10]
    for number in range(count):
        file.seek(offset + number * size)
        entry = file.read(_PROGRAM_HEADER.size)
        if len(entry) < _PROGRAM_HEADER.size or _PROGRAM_HEADER.unpack(entry)[0] == _PT_INTERP:
            return False
    return True
