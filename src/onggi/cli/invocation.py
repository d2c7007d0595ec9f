"""One call of the command line: where its state lies, and what every command needs of it."""

from __future__ import annotations

import errno
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self

    from onggi import Engine
    from onggi.engine.containers import Container

STDOUT, STDERR = 1, 2


class Invocation:
    """What was said before the command, and the engine, opened at first use.

    A context manager, which closes the engine if one was opened.
    """

    __slots__ = ("_ahead_fd", "_engine", "debug", "root", "spelled")

    def __init__(self, *, root: str | None, debug: bool, spelled: str = "onggi") -> None:
        self.root = root
        self.debug = debug
        self.spelled = spelled
        self._engine: Engine | None = None
        self._ahead_fd = -1

    @property
    def engine(self) -> Engine:
        """The engine on `--root`; commands that refuse their words early never open it."""
        if self._engine is None:
            import onggi

            # A command has one thread, so it may fork by itself.
            self._engine = onggi.Engine(self.root, direct=True, ahead_fd=self._ahead_fd)
        return self._engine

    def look_ahead(self) -> None:
        """Say before anything else that a container will be started; it then starts sooner."""
        from onggi.engine.ahead import fork_ahead

        self.root, self._ahead_fd = fork_ahead(self.root)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._engine is not None:
            self._engine.close()

    def complain(self, error: BaseException) -> None:
        """Say on standard error, in one line, what went wrong.

        Raises: BrokenPipeError: the reader of our output has left, which is what went wrong.
        """
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError:
            pass  # said at the end, when all output is written out
        try:
            self._say(error)
        except OSError:
            silence(STDERR)  # our terminal is gone; the exit code has to do

    def _say(self, error: BaseException) -> None:
        if self.debug:
            import traceback

            traceback.print_exception(error)
        print(f"onggi: {sentence(error)}", file=sys.stderr, flush=True)

    def each(self, names: Iterable[str], act: Callable[[str], object]) -> int:
        """Do `act` to every name, whatever happens to the others.

        Returns 0, or 1 when something was refused; each refusal has been complained of.
        """
        from onggi.errors import OnggiError

        code = 0
        for name in names:
            try:
                act(name)
            except (OnggiError, OSError) as error:
                self.complain(error)
                code = 1
        return code

    def each_container(self, names: Iterable[str], act: Callable[[Container], object]) -> int:
        """Do `act` to the containers of these names, and print each name when that is done.

        Returns as `each`.
        """

        def act_and_tell(name: str) -> None:
            act(self.engine.containers.get(name))
            print(name, flush=True)

        return self.each(names, act_and_tell)


def silence(fd: int) -> None:
    """Let what is still to be written go nowhere: failing again, it would spoil the exit code."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, fd)
    os.close(nowhere)


def sentence(error: BaseException) -> str:
    """An error as one line for people."""
    if isinstance(error, OSError) and error.strerror:
        if error.errno == errno.ENOSYS and hasattr(error, "syscall"):
            return f"this kernel has no {error.syscall}(2)"
        where = f": {_printable(error.filename)}" if error.filename is not None else ""
        return f"{error.strerror.lower()}{where}"
    return " ".join(str(error).split("\n")) or type(error).__name__


def _printable(name: object) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)
