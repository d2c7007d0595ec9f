"""What criu can do on this kernel."""

import ctypes
import mmap
import shutil
import socket
import struct
import subprocess


def knows_this_kernel() -> bool:
    """Tell whether criu is there and knows this kernel: each one knows those of its time."""
    if shutil.which("criu") is None:
        return False
    return subprocess.run(["criu", "check"], capture_output=True, check=False).returncode == 0


def keeps_privileges() -> bool:
    """Tell whether criu keeps no_new_privs, as it does since 3.18."""
    if not knows_this_kernel():
        return False
    said = subprocess.run(["criu", "--version"], capture_output=True, text=True, check=True).stdout
    major, minor = said.split()[1].split(".")[:2]
    return (int(major), int(minor)) >= (3, 18)


def keeps_connections() -> bool:
    """Tell whether a TCP socket has every option that criu keeps: some kernels refuse this one."""
    if not knows_this_kernel():
        return False
    with socket.socket() as made:
        try:
            made.getsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED)
        except OSError:
            return False
    return True


def tracks_memory() -> bool:
    """Tell whether the kernel knows which pages were written: CONFIG_MEM_SOFT_DIRTY.

    Source: Documentation/admin-guide/mm/soft-dirty.rst.
    """
    page = mmap.mmap(-1, mmap.PAGESIZE)
    try:
        page[0] = 1
        view = ctypes.c_char.from_buffer(page)
        address = ctypes.addressof(view)
        with open("/proc/self/pagemap", "rb") as file:
            file.seek(address // mmap.PAGESIZE * 8)
            (entry,) = struct.unpack("=Q", file.read(8))
        return bool(entry & 1 << 55)
    finally:
        del view
        page.close()


PARTS = {
    "criu": knows_this_kernel,
    "criu-privileges": keeps_privileges,
    "criu-connections": keeps_connections,
    "memory-tracking": tracks_memory,
}
