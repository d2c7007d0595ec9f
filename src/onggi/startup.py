"""How programs of ours start, so that who waits for them waits little.

A program is a module with a `main`: the command, a launcher, a monitor of its own. Each runs in an
interpreter of its own, with `-I` and `-S`: nothing from the environment, the current directory or
site-packages is looked at, which is safer, and 33 ms faster.

What remains is mostly imports, a hundred and more. One costs a search along `sys.path`, an open, a
read and a check, before any of its code runs. So `bundle.write` puts the compiled code of all our
modules into one file, where an index tells where each lies; a module whose source has changed since
is left to Python. Measured: 12 ms of imports become 7.5.
"""

from __future__ import annotations

import marshal
import os
import sys
from _frozen_importlib import ModuleSpec  # what importlib gives out, which costs 3 ms
from _frozen_importlib_external import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType
    from typing import Any, TypeAlias

    # (path of the source, is it a package, its mtime in ns, its size in bytes, offset, length)
    Place: TypeAlias = tuple[str, bool, int, int, int, int]
    Identity: TypeAlias = tuple[int, int, int]  # inode, mtime in ns, size in bytes

PACKAGE = os.path.dirname(os.path.abspath(__file__))
BUNDLE = f"{PACKAGE}/__pycache__/onggi.{sys.implementation.cache_tag}.bundle"
MOST_INDEX_BYTES = 1 << 18

# A short life makes little garbage: looking for cycles after every 700 objects costs 2 ms of it.
_GARBAGE_THRESHOLD = 50_000


def prepare() -> None:
    """Make what follows in this process start faster; called first of all by every program."""
    import gc

    gc.set_threshold(_GARBAGE_THRESHOLD)
    index, identity = read_index()
    if index:
        sys.meta_path.insert(0, Finder(index, identity))


def program(module: str) -> list[str]:
    """Return the command that calls `main` of `module`, to which further words may be added."""
    code = (
        f"import sys; sys.path.insert(0, {os.path.dirname(PACKAGE)!r}); "
        "from onggi.startup import prepare; prepare(); "
        f"from {module} import main; main()"
    )
    return [sys.executable, "-IS", "-c", code]


def read_index() -> tuple[dict[str, Place], Identity]:
    """Return where each module lies in the bundle, and which file that is.

    The index is empty if there is none for this interpreter. The file lies beside the compiled
    modules that Python keeps, and is trusted as much.
    """
    try:
        with open(BUNDLE, "rb") as file:
            identity = _identity(file.fileno())
            head = file.read(MOST_INDEX_BYTES)
    except FileNotFoundError:
        return {}, (0, 0, 0)
    if not head.startswith(MAGIC_NUMBER):
        return {}, identity
    index: dict[str, Place] = marshal.loads(head[len(MAGIC_NUMBER) :])
    return index, identity


def _identity(fd: int) -> Identity:
    """Tell an open file from whatever takes its place."""
    status = os.fstat(fd)
    return status.st_ino, status.st_mtime_ns, status.st_size


class Finder:
    """Finds modules in the bundle, as an entry of `sys.meta_path`, and loads them.

    No descriptor is kept: who forks closes all that it does not know. So another bundle may lie
    there by the time that a module is wanted, as after an upgrade; then Python's own way is taken.

    Source: Python's reference, "The import system", "Finders and loaders".
    """

    __slots__ = ("_identity", "_index")

    def __init__(self, index: dict[str, Place], identity: Identity) -> None:
        self._index = index
        self._identity = identity

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        """Return the specification of a module whose source is as it was; None for any other."""
        place = self._index.get(name)
        if place is None:
            return None
        source, is_package, mtime_ns, size, _, _ = place
        try:
            status = os.stat(source)
        except OSError:
            return None
        if (status.st_mtime_ns, status.st_size) != (mtime_ns, size):
            return None
        loader: Any = self  # it is one, as the import system sees it
        spec = ModuleSpec(name, loader, origin=source, is_package=is_package)
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [os.path.dirname(source)]
        return spec

    def create_module(self, spec: object) -> None:
        """Have Python make the module as usual."""

    def exec_module(self, module: ModuleType) -> None:
        """Run a module's code, once, to fill it."""
        exec(self._code(module.__name__), module.__dict__)

    def _code(self, name: str) -> CodeType:
        """Return a module's code, from the bundle that the index is of, or from its source."""
        source, *_, offset, length = self._index[name]
        packed = self._read(offset, length)
        code: CodeType = marshal.loads(packed) if packed else _compiled(name, source)
        return code

    def _read(self, offset: int, length: int) -> bytes:
        """Read a part of the bundle that the index is of; nothing if that is not there any more."""
        try:
            fd = os.open(BUNDLE, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            return os.pread(fd, length, offset) if _identity(fd) == self._identity else b""
        finally:
            os.close(fd)


def _compiled(name: str, source: str) -> CodeType:
    from _frozen_importlib_external import SourceFileLoader

    loader: Any = SourceFileLoader(name, source)
    code: CodeType = loader.get_code(name)
    return code
