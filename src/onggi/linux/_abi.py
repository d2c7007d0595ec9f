"""The one door to the C library: binding, passing strings and buffers, and reporting failure.

Facts that shape this file, each of them tried:

- `libc.name` shares one function object between all users, `libc["name"]` gives a fresh one. Every
  binding is therefore made once, by item access, and kept by the module that owns it.
- Without `argtypes` ctypes passes integers as C int and cuts the rest off silently.
- A function that returns int leaves the upper half of the register to chance: read as a long, its
  -1 may be 4294967295, a success. `syscall` alone returns long here.
- ctypes hands a bytes object over as a pointer, so a NUL inside ends the string silently.
- errno is kept for us only if the library was opened so (`use_errno`), and until the next call.

No other module of Onggi imports ctypes.
"""

from __future__ import annotations

import ctypes
import errno
from ctypes import c_char_p, c_int, c_long, c_size_t, c_uint, c_uint64, c_ulong, c_void_p

from onggi.linux import numbers
from onggi.linux._failure import failure, path_bytes, text_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = [
    "address_of",
    "bind",
    "bind_syscall",
    "buffer",
    "c_char_p",
    "c_int",
    "c_long",
    "c_size_t",
    "c_uint",
    "c_uint64",
    "c_ulong",
    "c_void_p",
    "check",
    "failure",
    "forking_syscall",
    "path_bytes",
    "read_memory",
    "string_array",
    "text_bytes",
    "uninterrupted",
    "write_memory",
]

_FORK_HOOKS = ("BeforeFork", "AfterFork_Child", "AfterFork_Parent")

_libc = ctypes.CDLL(None, use_errno=True)


def bind(name: str, *argtypes: Any, returns: Any = c_int) -> Callable[..., int]:
    """Bind a function of the C library, as a pointer of the caller's own.

    The result is called with exactly `argtypes`; it sets errno, which `check` must read before
    anything else is called. `returns` is the C type that the library declares.
    """
    function = _libc[name]
    function.argtypes = argtypes
    function.restype = returns
    return function


def bind_syscall(name: str, *argtypes: Any) -> Callable[..., int]:
    """Bind a system call by its number, for calls that C libraries may lack.

    On a machine whose number we do not know, the first call (not the import) raises OSError
    with ENOSYS: a guessed number would be some other system call.

    Source: syscall(2).
    """
    syscall = bind("syscall", c_long, *argtypes, returns=c_long)

    def call(*arguments: Any) -> int:
        return syscall(numbers.number(name), *arguments)

    return call


def forking_syscall(*argtypes: Any) -> Callable[..., int]:
    """Bind syscall(2) for a call that returns twice, as fork(2) does.

    Python must know of the child: its hooks around os.fork are called here as well. And the
    interpreter's lock is kept meanwhile (PyDLL), for in the child nobody would give it back.

    Source: Python's C API, PyOS_BeforeFork and its like, which Modules/posixmodule.c calls so.
    """
    syscall = ctypes.PyDLL(None, use_errno=True)["syscall"]
    syscall.argtypes, syscall.restype = argtypes, c_long
    hooks = [ctypes.pythonapi[f"PyOS_{name}"] for name in _FORK_HOOKS]
    for hook in hooks:
        hook.argtypes, hook.restype = (), None
    before, in_child, in_parent = hooks

    def call(*arguments: Any) -> int:
        before()
        result: int = syscall(*arguments)
        if result == 0:
            in_child()
            return 0
        code = ctypes.get_errno()
        in_parent()
        ctypes.set_errno(code)
        return result

    return call


def check(result: int, call: str, path: str | bytes | None = None) -> int:
    """Return `result`, or raise what errno says if it is negative."""
    if result < 0:
        raise failure(call, path, ctypes.get_errno())
    return result


def uninterrupted(
    function: Callable[..., int], call: str, path: str | bytes | None, *arguments: Any
) -> int:
    """Call and check, beginning again when a signal interrupted the call (EINTR).

    Right for calls that open or wait; never for close, which has already closed by then.
    """
    while (result := function(*arguments)) < 0:
        if (code := ctypes.get_errno()) != errno.EINTR:
            raise failure(call, path, code)
    return result


def buffer(size_or_bytes: int | bytes) -> Any:
    """Make memory the kernel may write to; read it with `.raw`.

    Bytes given are copied as they are, without a NUL after them.
    """
    if isinstance(size_or_bytes, bytes):
        return ctypes.create_string_buffer(size_or_bytes, len(size_or_bytes))
    return ctypes.create_string_buffer(size_or_bytes)


def address_of(memory: Any) -> int:
    """Tell where a `buffer` lies, for structures that hold pointers; keep it alive meanwhile."""
    return ctypes.addressof(memory)


def string_array(strings: Sequence[str | bytes]) -> Any:
    """Make a NULL-terminated array of C strings, as exec takes them."""
    encoded = [text_bytes(string) for string in strings]
    return (c_char_p * (len(encoded) + 1))(*encoded, None)


def read_memory(address: int, size: int) -> bytes:
    """Return bytes of our own memory; it must be ours to read."""
    data: bytes = ctypes.string_at(address, size)
    return data


def write_memory(address: int, data: bytes) -> None:
    """Write over our own memory; nobody may rely on what is there."""
    ctypes.memmove(address, data, len(data))
