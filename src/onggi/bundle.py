"""Write the bundle that `startup` reads: the compiled code of all our modules in one file.

    magic number of this Python's bytecode
    marshal of {module name: Place}, at most MOST_INDEX_BYTES
    the modules' code, each as marshal writes it, at the offset that its place tells

Offsets count from the beginning of the file. Run as a program by `scripts/setup`.
"""

from __future__ import annotations

import marshal
import os
from _frozen_importlib_external import MAGIC_NUMBER
from pathlib import Path

from onggi.startup import BUNDLE, MOST_INDEX_BYTES, PACKAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.startup import Place


def write() -> None:
    """Write the bundle, whole or not at all; one that is there is replaced.

    Raises: OSError: it cannot be written; then Python's own way is left, which is slower.
    """
    index: dict[str, Place] = {}
    codes: list[bytes] = []
    offset = len(MAGIC_NUMBER) + MOST_INDEX_BYTES
    for source in sorted(Path(PACKAGE).rglob("*.py")):
        status = source.stat()
        code = marshal.dumps(compile(source.read_bytes(), str(source), "exec", dont_inherit=True))
        is_package = source.name == "__init__.py"
        known = (str(source), is_package, status.st_mtime_ns, status.st_size)
        index[_module_name(source)] = (*known, offset, len(code))
        codes.append(code)
        offset += len(code)
    head = marshal.dumps(index)
    if len(head) > MOST_INDEX_BYTES:
        raise ValueError(f"an index of {len(head)} bytes does not fit into {MOST_INDEX_BYTES}")
    _replace(b"".join([MAGIC_NUMBER, head.ljust(MOST_INDEX_BYTES, b"\0"), *codes]))


def _module_name(source: Path) -> str:
    parts = source.relative_to(Path(PACKAGE).parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _replace(content: bytes) -> None:
    half_made = f"{BUNDLE}.{os.getpid()}"
    os.makedirs(os.path.dirname(BUNDLE), exist_ok=True)
    with open(half_made, "wb") as file:
        file.write(content)
    os.replace(half_made, BUNDLE)


if __name__ == "__main__":
    write()
