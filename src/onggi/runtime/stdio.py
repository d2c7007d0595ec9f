"""The ends of a container's standard streams, on the host and inside.

They are named pipes in the container's run directory, not anonymous ones, and the container holds
its own ends open for both reading and writing: when a monitor is killed nothing breaks, writes wait
in the pipe, and the next monitor opens the same names.

With a terminal there are no pipes: the terminal carries all three streams.
"""

from __future__ import annotations

import os

NAMES = ("stdin", "stdout", "stderr")


class HostEnds:
    """What the monitor holds: where it writes input to (-1: nowhere) and reads output from."""

    __slots__ = ("stderr_fd", "stdin_fd", "stdout_fd", "terminal")

    def __init__(
        self, *, stdin_fd: int = -1, stdout_fd: int = -1, stderr_fd: int = -1, terminal: bool
    ) -> None:
        self.stdin_fd = stdin_fd
        self.stdout_fd = stdout_fd
        self.stderr_fd = stderr_fd
        self.terminal = terminal

    def forget(self, fd: int) -> None:
        """Take note that `fd` is closed."""
        for name in ("stdin_fd", "stdout_fd", "stderr_fd"):
            if getattr(self, name) == fd:
                setattr(self, name, -1)


def make(directory: str, owner: tuple[int, int], *, interactive: bool) -> None:
    """Make the named pipes in `directory`.

    They belong to `owner`, user and group, so that the program may open /dev/stdout again.
    """
    for name in NAMES if interactive else NAMES[1:]:
        os.mkfifo(f"{directory}/{name}", 0o600)
        os.chown(f"{directory}/{name}", *owner)


def open_inside(directory: str, *, interactive: bool) -> tuple[int, int, int]:
    """Open what becomes the program's standard input, output and error; the caller owns them."""
    both = os.O_RDWR | os.O_CLOEXEC
    if interactive:
        # Not for writing too: the program must see the end of its input when the host's end goes.
        stdin = os.open(f"{directory}/stdin", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(stdin, True)
    else:
        stdin = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    return stdin, os.open(f"{directory}/stdout", both), os.open(f"{directory}/stderr", both)


def open_outside(directory: str, *, interactive: bool) -> tuple[int, ...]:
    """Open the monitor's ends, for `taken`; opening never waits for the other end."""
    quick = os.O_NONBLOCK | os.O_CLOEXEC
    outputs = [os.open(f"{directory}/{name}", os.O_RDONLY | quick) for name in NAMES[1:]]
    if not interactive:
        return tuple(outputs)
    return (*outputs, os.open(f"{directory}/stdin", os.O_WRONLY | quick))


def adopted(directory: str, *, terminal: bool) -> HostEnds:
    """Return what is left to a monitor that comes later: output, and no input any more.

    A terminal has ended with the monitor that held it.
    """
    if terminal:
        return HostEnds(terminal=True)
    return taken(open_outside(directory, interactive=False), terminal=False)


def taken(fds: tuple[int, ...], *, terminal: bool) -> HostEnds:
    """Return the monitor's ends, whose ownership it takes: the terminal, or what was opened."""
    if terminal:
        (master_fd,) = fds
        os.set_blocking(master_fd, False)
        return HostEnds(stdin_fd=master_fd, stdout_fd=master_fd, terminal=True)
    stdout_fd, stderr_fd, *rest = fds
    stdin_fd = rest[0] if rest else -1
    return HostEnds(stdin_fd=stdin_fd, stdout_fd=stdout_fd, stderr_fd=stderr_fd, terminal=False)
