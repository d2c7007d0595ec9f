"""Steps that hand interfaces of the host over to a container's network namespace."""

from __future__ import annotations

import errno
import os

from onggi.linux import namespace, procfs, rtnetlink
from onggi.runtime.steps.base import Context, Step, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Result = TypeVar("Result")


class MoveNetworkDevice(Step):
    """Move an interface into the network namespace of a process, with its addresses, and up.

    Taken by the host, on the process of Context.pid. Of the addresses those stay that were set for
    good and reach beyond the link. With its namespace a device of the hardware goes back to the
    host's, and a virtual one ends.
    """

    __slots__ = ("inside", "name")

    def __init__(self, name: str, inside: str) -> None:
        self.name = name
        self.inside = inside  # what it is called there; with %d, the kernel chooses a number

    def apply(self, context: Context) -> None:
        target_fd = _network_namespace(context.pid)
        try:
            with rtnetlink.Routing() as here:
                index = rtnetlink.index_of(self.name)
                kept = [one for one in here.addresses(index) if _stays(one)]
                before = _within(target_fd, rtnetlink.interfaces)
                if self.inside in before:
                    code = errno.EEXIST
                    raise OSError(code, "the container has an interface of that name", self.inside)
                here.move(index, target_fd, self.inside)
            _within(target_fd, lambda: _set_up(before, kept))
        finally:
            os.close(target_fd)

    def describe(self) -> str:
        renamed = f" as {self.inside}" if self.inside != self.name else ""
        return f"move the network interface {self.name} into the container{renamed}"

    def shell(self) -> list[str]:
        return self.shell_on("$$")

    def shell_on(self, process: str) -> list[str]:
        name, inside = quote(self.name), quote(self.inside)
        return [f"ip link set dev {name} netns {process} name {inside}"]


def _stays(address: rtnetlink.Address) -> bool:
    permanent = bool(address.flags & rtnetlink.IFA_F_PERMANENT)
    return permanent and address.scope == rtnetlink.RT_SCOPE_UNIVERSE


def _network_namespace(pid: int) -> int:
    proc_fd = procfs.open_proc()
    try:
        return os.open(f"{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc_fd)
    finally:
        os.close(proc_fd)


def _within(namespace_fd: int, do: Callable[[], Result]) -> Result:
    """Call `do` in a network namespace; the caller, which has one thread, comes back."""
    home_fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        namespace.setns(namespace_fd, namespace.CLONE_NEWNET)
        try:
            return do()
        finally:
            namespace.setns(home_fd, namespace.CLONE_NEWNET)
    finally:
        os.close(home_fd)


def _set_up(before: dict[str, int], addresses: list[rtnetlink.Address]) -> None:
    """Give the interface that was not there before its addresses, and bring it up."""
    fresh = set(rtnetlink.interfaces().items()) - set(before.items())
    if len(fresh) != 1:
        raise OSError(errno.EAGAIN, "other interfaces came or went meanwhile")
    ((_, index),) = fresh
    with rtnetlink.Routing() as there:
        for address in addresses:
            there.add_address(index, address)
        there.set_up(index)
