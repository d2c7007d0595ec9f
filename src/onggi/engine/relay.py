"""What connects a caller to a program inside: pipes or a terminal that belong to neither.

The caller's own descriptors never reach the container: whoever has one could open it again through
/proc with other rights, change the file's mode, or read what is typed later.
"""

from __future__ import annotations

import os

from onggi.runtime.flows import Input, Output, Sink, turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from onggi.engine.options import Streams


class Relay:
    """The pipes or the terminal of one program. `inside` are its standard streams.

    Where the caller passes nothing, and everywhere if the program is to get a terminal, `inside`
    has the null device.
    """

    __slots__ = ("_fds", "_inner", "_inputs", "_outputs", "_sinks", "inside")

    def __init__(self, streams: Streams, owner: tuple[int, int], null_fd: int) -> None:
        self._fds: list[int] = []
        self._inner: list[int] = []  # our copies of the program's ends
        self._inputs: list[Input] = []
        self._outputs: list[Output] = []
        self._sinks: list[Sink] = []
        try:
            self.inside = (
                self._input(streams.stdin_fd, owner, null_fd),
                self._output(streams.stdout_fd, owner, null_fd),
                self._output(streams.stderr_fd, owner, null_fd),
            )
        except BaseException:
            self.close_inside()
            self.close()
            raise

    def _input(self, source: int, owner: tuple[int, int], null_fd: int) -> int:
        if source < 0:
            return null_fd
        reader, writer = os.pipe2(os.O_CLOEXEC)
        self._inner.append(reader)
        self._keep(writer)
        # The pipe belongs to the program's user, who may then open it again by name.
        os.fchown(reader, *owner)
        self._inputs.append(_pipe_input(source, writer, self._close_one))
        return reader

    def _output(self, target: int, owner: tuple[int, int], null_fd: int) -> int:
        if target < 0:
            return null_fd
        reader, writer = os.pipe2(os.O_CLOEXEC)
        self._inner.append(writer)
        self._keep(reader)
        os.fchown(reader, *owner)
        self._read_from(reader, target)
        return writer

    def _keep(self, fd: int) -> None:
        self._fds.append(fd)
        os.set_blocking(fd, False)

    def _read_from(self, fd: int, target: int) -> None:
        sink = Sink(target)
        self._sinks.append(sink)
        self._outputs.append(Output(fd, sink))

    def _close_one(self, fd: int) -> None:
        self._fds.remove(fd)
        os.close(fd)

    def take_terminal(self, fd: int, streams: Streams) -> None:
        """Pass bytes through a terminal, whose ownership this takes.

        The end of the caller's input ends nothing: a terminal has none, but a key that says so.
        """
        self._keep(fd)
        self._inputs.append(
            Input(streams.stdin_fd, fd, lambda data: os.write(fd, data), lambda: None)
        )
        self._read_from(fd, streams.stdout_fd)

    def close_inside(self) -> None:
        """Close our copies of the program's ends, once it has its own."""
        while self._inner:
            os.close(self._inner.pop())

    def run(self, ended_fd: int) -> None:
        """Pass bytes on until `ended_fd` is ready, and then what is still on its way out.

        Raises: BrokenPipeError: whoever read the output has left.
        """
        while not turn([*self._inputs, *self._outputs], ended_fd):
            continue
        while left := [flow for flow in self._outputs if flow.drain()]:
            turn(left)

    def close(self) -> None:
        """Close our ends; closing twice is fine."""
        for sink in self._sinks:
            sink.close()
        while self._fds:
            os.close(self._fds.pop())
        self._inputs.clear()
        self._outputs.clear()


def _pipe_input(source_fd: int, writer: int, close: Callable[[int], None]) -> Input:
    return Input(source_fd, writer, lambda data: os.write(writer, data), lambda: close(writer))
