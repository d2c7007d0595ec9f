"""Pseudo-terminals and terminal settings, by ioctl.

The standard library's `pty` and `tty` open by path and import much; a container's terminal must
come from the container's own devpts, reached by descriptor, and its other end must be opened
without a path the container could have changed (TIOCGPTPEER).

The numbers are asm-generic's, which x86 and ARM use. Source: ioctl_tty(2), pts(4).
"""

from __future__ import annotations

import os
import struct

from onggi.linux import device
from onggi.linux._abi import bind, buffer, c_int, c_ulong, c_void_p, check
from onggi.linux.fd import Fd
from onggi.linux.path import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, openat2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

_TCGETS = 0x5401
_TCSETS = 0x5402
_TIOCSCTTY = 0x540E
_TIOCGWINSZ = 0x5413
_TIOCSWINSZ = 0x5414
_TIOCGPTN = 0x80045430
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441

# struct termios (the kernel's): c_iflag, c_oflag, c_cflag, c_lflag, c_line, c_cc[19].
TERMIOS = struct.Struct("=4IB19B")
# struct winsize { unsigned short ws_row, ws_col, ws_xpixel, ws_ypixel; }.
WINSIZE = struct.Struct("=4H")

# What cfmakeraw(3) clears and sets.
_IFLAG_RAW = 0o1 | 0o2 | 0o10 | 0o40 | 0o100 | 0o200 | 0o400 | 0o2000
_OPOST = 0o1
_LFLAG_RAW = 0o1 | 0o2 | 0o10 | 0o100 | 0o100000  # ISIG ICANON ECHO ECHONL IEXTEN
_CSIZE_AND_PARENB = 0o60 | 0o400
_CS8 = 0o60
_VTIME = 5
_VMIN = 6

_ioctl = bind("ioctl", c_int, c_ulong, c_void_p)
_ioctl_number = bind("ioctl", c_int, c_ulong, c_ulong)


def open_pty(devpts: SupportsIndex | None = None) -> tuple[int, int]:
    """Make a pseudo-terminal in a devpts filesystem.

    Args: devpts: the root of a devpts, as a directory descriptor; None for the caller's
        /dev/ptmx.
    Returns: (master, slave), close-on-exec descriptors the caller owns; neither becomes the
        caller's controlling terminal.
    Raises: OSError: ENODEV, "ptmx" there is not the device 5:2; ENOSPC, no terminal is left.
    Source: pts(4); ioctl_tty(2), TIOCGPTPEER (since Linux 4.13).
    """
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    if devpts is None:
        number = os.open("/dev/ptmx", flags)
    else:
        resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV
        number = openat2(devpts, "ptmx", flags, 0, resolve)
    with Fd(number) as master:
        device.verify_device(master, *device.PTMX)
        slave = open_slave(master)
        return master.take(), slave


def open_slave(master: SupportsIndex) -> int:
    """Unlock a pseudo-terminal and open its other end, without any path.

    Returns: a close-on-exec descriptor the caller owns.
    Source: ioctl_tty(2), TIOCSPTLCK and TIOCGPTPEER.
    Since: Linux 4.13, commit 54ebbfb16034 ("tty: add TIOCGPTPEER ioctl").
    """
    check(_ioctl(master, _TIOCSPTLCK, buffer(struct.pack("=i", 0))), "ioctl")
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    return check(_ioctl_number(master, _TIOCGPTPEER, flags), "ioctl")


def pty_number(master: SupportsIndex) -> int:
    """Tell N of the /dev/pts/N that belongs to `master`. Source: ioctl_tty(2), TIOCGPTN."""
    memory = buffer(4)
    check(_ioctl(master, _TIOCGPTN, memory), "ioctl")
    number: int = struct.unpack("=I", memory.raw)[0]
    return number


def set_controlling(fd: SupportsIndex) -> None:
    """Make terminal `fd` the controlling one of the caller, who must lead a session without one.

    Source: ioctl_tty(2), TIOCSCTTY.
    """
    check(_ioctl_number(fd, _TIOCSCTTY, 0), "ioctl")


def set_size(fd: SupportsIndex, rows: int, columns: int) -> None:
    """Set the window's size; a change sends SIGWINCH to the foreground process group.

    Source: ioctl_tty(2), TIOCSWINSZ.
    """
    check(_ioctl(fd, _TIOCSWINSZ, buffer(WINSIZE.pack(rows, columns, 0, 0))), "ioctl")


def get_size(fd: SupportsIndex) -> tuple[int, int]:
    """Read the window's size as (rows, columns).

    Raises: OSError: ENOTTY, no terminal.
    Source: ioctl_tty(2), TIOCGWINSZ.
    """
    memory = buffer(WINSIZE.size)
    check(_ioctl(fd, _TIOCGWINSZ, memory), "ioctl")
    rows, columns, _, _ = WINSIZE.unpack(memory.raw)
    return rows, columns


def make_raw(fd: SupportsIndex) -> bytes:
    """Pass every byte through as it is: no echo, no lines, no signals, eight bits.

    Returns: the settings before, for `restore`.
    Source: termios(3), "Raw mode"; ioctl_tty(2), TCGETS and TCSETS.
    """
    memory = buffer(TERMIOS.size)
    check(_ioctl(fd, _TCGETS, memory), "ioctl")
    saved: bytes = memory.raw
    restore(fd, raw_settings(saved))
    return saved


def raw_settings(settings: bytes) -> bytes:
    """Change terminal settings as cfmakeraw(3) does."""
    iflag, oflag, cflag, lflag, line, *characters = TERMIOS.unpack(settings)
    characters[_VMIN], characters[_VTIME] = 1, 0
    return TERMIOS.pack(
        iflag & ~_IFLAG_RAW,
        oflag & ~_OPOST,
        cflag & ~_CSIZE_AND_PARENB | _CS8,
        lflag & ~_LFLAG_RAW,
        line,
        *characters,
    )


def restore(fd: SupportsIndex, saved: bytes) -> None:
    """Put settings from `make_raw` back, at once. Source: ioctl_tty(2), TCSETS."""
    check(_ioctl(fd, _TCSETS, buffer(saved)), "ioctl")
