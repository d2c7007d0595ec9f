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

    __slots__ = ("_fds", "_inputs", "_outputs", "_sinks", "inside")

    def __init__(self, streams: Streams, owner: tuple[int, int], null_fd: int) -> None:
        self._fds: list[int] = []
        self._inputs: list[Input] = []
        self._outputs: list[Output] = []
        self._sinks: list[Sink] = []
        stdin = null_fd
        if streams.stdin_fd >= 0:
            stdin, writer = _pipe(owner)
            self._keep(writer)
            self._inputs.append(_pipe_input(streams.stdin_fd, writer, self._close_one))
        outputs = [
            self._output(fd, owner, null_fd) for fd in (streams.stdout_fd, streams.stderr_fd)
        ]
        self.inside = (stdin, outputs[0], outputs[1])

    def _output(self, target: int, owner: tuple[int, int], null_fd: int) -> int:
        if target < 0:
            return null_fd
        reader, writer = _pipe(owner)
        self._keep(reader)
        self._read_from(reader, target)
        return writer

    def _keep(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fds.append(fd)

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

    def close_inside(self, null_fd: int) -> None:
        """Close our copies of the program's ends, once it has its own."""
        for fd in self.inside:
            if fd != null_fd:
                os.close(fd)

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


def _pipe(owner: tuple[int, int]) -> tuple[int, int]:
    """Return a pipe that belongs to the program's user, who may then open it again by name."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    os.fchown(reader, *owner)
    return reader, writer


def _pipe_input(source_fd: int, writer: int, close: Callable[[int], None]) -> Input:
    return Input(source_fd, writer, lambda data: os.write(writer, data), lambda: close(writer))
