"""The archive from which a kernel's first files come.

Source: kernel Documentation/driver-api/early-userspace/buffer-format.rst ("newc").
"""

import shutil
import stat
from pathlib import Path

from support.vm.kernels import Kernel

INIT = Path(__file__).with_name("init")


def initramfs(kernel: Kernel, without: tuple[str, ...]) -> bytes:
    """Return an archive of a busybox, a first process, and modules but for some."""
    busybox = shutil.which("busybox")
    assert busybox is not None
    archive = _directory("bin") + _directory("modules")
    archive += _file("bin/busybox", Path(busybox).read_bytes(), 0o755)
    archive += _file("init", INIT.read_bytes(), 0o755)
    modules = [module for module in kernel.modules if module.stem not in without]
    for number, module in enumerate(modules, 10):  # of two digits, so that a glob sorts them
        archive += _file(f"modules/{number}-{module.name}", module.read_bytes(), 0o644)
    return archive + _entry("TRAILER!!!", b"", 0)


def _directory(name: str) -> bytes:
    return _entry(name, b"", stat.S_IFDIR | 0o755)


def _file(name: str, content: bytes, mode: int) -> bytes:
    return _entry(name, content, stat.S_IFREG | mode)


def _entry(name: str, content: bytes, mode: int) -> bytes:
    """Return one file: a header of numbers, its name and its content, each to four bytes."""
    # inode, mode, uid, gid, nlink, mtime, size, device (2), rdev (2), length of the name, check
    numbers = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    header = b"070701" + "".join(f"{number:08x}" for number in numbers).encode()
    return _padded(header + name.encode() + b"\0") + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
