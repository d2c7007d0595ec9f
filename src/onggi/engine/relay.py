"""Passing bytes between a caller and a program inside, through pipes that belong to neither.

The caller's own descriptors never reach the container: whoever has one could open it again through
/proc with other rights, change the file's mode, or read what is typed later.
"""

from __future__ import annotations

import os
import select

from onggi.engine.attach import read_some, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.engine.options import Streams

_CHUNK = 65536
_MOST_DRAINED = 17  # chunks: what pipes may hold once the program has ended


class Relay:
    """The pipes of one program. `inside` are its standard streams; the rest is the caller's side.

    Where the caller passes nothing, `inside` has the null device.
    """

    __slots__ = ("_input_fd", "_outputs", "_pending", "_source_fd", "inside")

    def __init__(self, streams: Streams, owner: tuple[int, int], null_fd: int) -> None:
        self._source_fd = streams.stdin_fd
        self._input_fd = -1
        self._pending = b""
        self._outputs: dict[int, int] = {}
        stdin = null_fd
        if streams.stdin_fd >= 0:
            stdin, self._input_fd = _pipe(owner)
            os.set_blocking(self._input_fd, False)
        outputs = [
            self._output(fd, owner, null_fd) for fd in (streams.stdout_fd, streams.stderr_fd)
        ]
        self.inside = (stdin, outputs[0], outputs[1])

    def _output(self, target: int, owner: tuple[int, int], null_fd: int) -> int:
        if target < 0:
            return null_fd
        reader, writer = _pipe(owner)
        os.set_blocking(reader, False)
        self._outputs[reader] = target
        return writer

    def close_inside(self, null_fd: int) -> None:
        """Close our copies of the program's ends, once it has its own."""
        for fd in self.inside:
            if fd != null_fd:
                os.close(fd)

    def run(self, ended_fd: int) -> None:
        """Pass bytes on until `ended_fd` is ready, and then what is still in the pipes."""
        while True:
            ready = [fd for fd, _ in self._poller(ended_fd).poll()]
            for fd in ready:
                if fd == self._source_fd:
                    self._take_input()
                elif fd == self._input_fd:
                    self._give_input()
                elif fd in self._outputs:
                    self._pass_output(fd)
            if ended_fd in ready:
                break
        for fd in list(self._outputs):
            for _ in range(_MOST_DRAINED):
                if fd not in self._outputs or not self._pass_output(fd):
                    break
        self.close()

    def _poller(self, ended_fd: int) -> select.poll:
        poller = select.poll()
        poller.register(ended_fd, select.POLLIN)
        for fd in self._outputs:
            poller.register(fd, select.POLLIN)
        if self._pending:
            poller.register(self._input_fd, select.POLLOUT)
        elif self._source_fd >= 0 and self._input_fd >= 0:
            poller.register(self._source_fd, select.POLLIN)
        return poller

    def _take_input(self) -> None:
        self._pending = read_some(self._source_fd, _CHUNK)
        if self._pending:
            self._give_input()
        else:
            self._end_input()

    def _give_input(self) -> None:
        try:
            self._pending = self._pending[os.write(self._input_fd, self._pending) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._end_input()  # nobody will ever read it

    def _end_input(self) -> None:
        self._pending = b""
        if self._input_fd >= 0:
            os.close(self._input_fd)
        self._input_fd = self._source_fd = -1

    def _pass_output(self, fd: int) -> bool:
        """Pass on what there is; tell whether there was any."""
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            del self._outputs[fd]
            os.close(fd)
            return False
        write_all(self._outputs[fd], data)
        return True

    def close(self) -> None:
        """Close our ends; closing twice is fine."""
        self._end_input()
        while self._outputs:
            os.close(self._outputs.popitem()[0])


def _pipe(owner: tuple[int, int]) -> tuple[int, int]:
    """Return a pipe that belongs to the program's user, who may then open it again by name."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    os.fchown(reader, *owner)
    return reader, writer
