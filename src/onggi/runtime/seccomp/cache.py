"""The default filter, compiled once and then read from a file.

Building and compiling it takes 25 ms in a fresh interpreter, reading it 0.1. The file is the
program itself and may be loaded as it is. Its key is inside, as a tail of instructions that nothing
reaches (the kernel's checker wants valid ones, not useful ones), so that a file that was renamed,
cut short or left by another version is seen for what it is.

The directory must be one that only the caller may write to: whoever writes there decides what
containers may call.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# The first digits of a digest over what is compiled for chosen containers, so that it changes when
# the profile, the tables or the compiler do. A test computes it and says what it has to be.
VERSION = "4c67acde0938cf1b"

# What the filter is loaded with: SECCOMP_FILTER_FLAG_SPEC_ALLOW, as `filter_flags` says.
FLAGS = 4

_RETURN = b"\x06\0\0\0"  # BPF_RET | BPF_K, then the four bytes of the key
_INSTRUCTION_BYTES = 8


def filter_file(
    capabilities: Iterable[str], cache_directory: str, *, machine: str = "", release: str = ""
) -> str:
    """Return the path of the default filter for a container, whole when this returns.

    Any number of processes may ask at once. Nothing is lost with the directory but time.

    Args: capabilities: the container's bounding set; cache_directory: made if it is missing;
        machine, release: as uname(2) says, the host's by default.
    Raises: Unsupported: no filter for that machine.
    """
    host = os.uname()
    names = tuple(sorted(set(capabilities)))
    machine, release = machine or host.machine, release or host.release
    key = _key(names, machine, release)
    return kept_file(key, cache_directory, lambda: _compile(names, machine, release))


def kept_file(key: str, cache_directory: str, compile_now: Callable[[], bytes]) -> str:
    """Return the path of the filter that is kept under `key`, compiled now if it is not there."""
    path = f"{cache_directory}/seccomp-{key}"
    if not _is_whole(path, _stamp(key)):
        _write(path, compile_now() + _stamp(key))
    return path


def _key(names: tuple[str, ...], machine: str, release: str) -> str:
    """Name everything that the filter depends on; of the release, the profile asks two numbers."""
    from onggi.linux import capability

    kernel = ".".join(release.split(".")[:2])
    return f"{VERSION}-{machine}-{kernel}-{capability.mask(names):x}"


def _stamp(key: str) -> bytes:
    """Return the key as instructions, four bytes each."""
    text = key.encode()
    text += b"." * (-len(text) % 4)
    return b"".join([_RETURN + text[at : at + 4] for at in range(0, len(text), 4)])


def _is_whole(path: str, stamp: bytes) -> bool:
    """Tell whether a file of this key ends as it must."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        size = os.fstat(fd).st_size
        if size <= len(stamp) or size % _INSTRUCTION_BYTES:
            return False
        return os.pread(fd, len(stamp), size - len(stamp)) == stamp
    finally:
        os.close(fd)


def _compile(names: tuple[str, ...], machine: str, release: str) -> bytes:
    from onggi.runtime.seccomp.compile import compile_filter
    from onggi.runtime.seccomp.profile import default_profile, kernel_version

    return compile_filter(default_profile(names, machine, kernel_version(release)), machine)


def _write(path: str, content: bytes) -> None:
    """Make the file whole beside its place, then name it. It need not survive a power loss."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    temporary = f"{path}.{os.getpid()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(content)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
