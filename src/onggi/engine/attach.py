"""Staying with a program that was started: its input, its output, and how it ended.

One thread, one poll: bytes go between the caller's descriptors and the program's monitor. Whoever
wants them elsewhere passes a pipe.
"""

from __future__ import annotations

import os
import select

from onggi.engine import places
from onggi.engine.options import Detached, Exit, Streams
from onggi.errors import Internal
from onggi.runtime import frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from onggi.engine.container import Container
    from onggi.runtime.flows import Sink
    from onggi.runtime.session import Session as Channel


_ATTEMPTS = 5  # at a monitor that is always killed


class Session:
    """A container that runs, and the streams that it is attached to, if any."""

    __slots__ = ("_channel", "_sizes", "_streams", "container")

    def __init__(self, container: Container, channel: Channel, streams: Streams | None) -> None:
        self.container = container
        self._channel = channel
        self._streams = streams or Streams()
        self._sizes = _Sizes(channel)

    def end_input(self) -> None:
        """Say that there is no input, or no more: a program that reads it must not wait."""
        self._channel.end_input()

    def wait(self) -> Exit:
        """Pass bytes on until the program has ended and everything of it is cleaned up.

        Raises: BrokenPipeError: whoever read the output has left; Detached: the keys of
            Streams.detach_keys were typed. The container goes on.
        """
        from onggi.runtime.flows import Input, Sink, turn

        channel = self._channel
        if channel.fd < 0:
            return self.container.wait()  # we were detached
        os.set_blocking(channel.fd, False)
        said = Input(self._streams.stdin_fd, channel.fd, self._write(), self._end)
        heard = _Heard(channel, Sink(self._streams.stdout_fd), Sink(self._streams.stderr_fd))
        try:
            while not heard.is_over:
                turn([heard, said, self._sizes])
        finally:
            heard.close()
        return self._ended()

    def _write(self) -> Callable[[bytes], int]:
        keys, send = self._streams.detach_keys, self._channel.send_input
        if not keys:
            return send
        from onggi.engine.detaching import Typed

        return Typed(keys, send, self._detach_by_keys).write

    def _detach_by_keys(self) -> NoReturn:
        self.detach()
        raise Detached

    def _end(self) -> None:
        """Pass the end of our input on, if it is the end of the program's as well."""
        options = self.container.record["options"]
        if not options["detach"]:
            self._channel.end_input()

    def _ended(self) -> Exit:
        self._channel.close()
        if self._channel.final is None:
            raise self._abandoned()
        return Exit.of(self._channel.final)

    def _abandoned(self) -> Exception:
        """Give a container whose monitor was killed another one, or clean up after it."""
        self.container.recover()
        goes_on = f"the container goes on: onggi wait {self.container.id[:12]}"
        return Internal(
            "the monitor of the container was killed",
            hint=goes_on if self.container.state.is_alive() else "",
        )

    def resize(self, rows: int, columns: int) -> None:
        """Tell the program's terminal its size; never waits, so that a signal handler may do it."""
        self._sizes.tell(rows, columns)

    def signal(self, number: int) -> None:
        """Send the program a signal."""
        self.container.kill(number)

    def detach(self) -> None:
        """Let the program go on by itself; doing it again is fine."""
        self._channel.close()

    def __del__(self) -> None:
        self.detach()


def enter(container: Container) -> Channel:
    """Attach to the monitor of a container that runs, giving it another if it was killed.

    Raises: Conflict: the container has just ended.
    """
    from onggi.runtime import door
    from onggi.runtime import session as sessions

    directory = places.run_directory(container.store, container.id)
    for _ in range(_ATTEMPTS):
        try:
            return sessions.Session(door.enter(directory))
        except (FileNotFoundError, ConnectionRefusedError):
            container.recover()
        if not container.state.is_alive():
            break
    raise container.not_running()


class _Heard:
    """What the monitor says, on its way to the caller; in order, also between the two sinks."""

    __slots__ = ("_channel", "_latest", "_stderr", "_stdout", "is_over")

    def __init__(self, channel: Channel, stdout: Sink, stderr: Sink) -> None:
        self._channel = channel
        self._stdout, self._stderr = stdout, stderr
        self._latest = stdout
        self.is_over = False

    def wants(self) -> tuple[int, int]:
        """Wait for the sink that has something left, else for the monitor."""
        if self._latest.left:
            return self._latest.fd, select.POLLOUT
        return self._channel.fd, select.POLLIN

    def advance(self) -> None:
        """Pass on what is left, or what comes next."""
        if self._latest.left:
            self._latest.flush()
            return
        try:
            received = self._channel.receive()
        except BlockingIOError:
            return
        if received is None:
            self.is_over = True
            return
        kind, data = received
        self._latest = self._stderr if kind == frames.ERROR else self._stdout
        self._latest.put(data)

    def close(self) -> None:
        """Let go of the sinks."""
        self._stdout.close()
        self._stderr.close()


class _Sizes:
    """The terminal's size, on its way to the monitor: the last one counts."""

    __slots__ = ("_channel", "_unsent")

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._unsent: tuple[int, int] | None = None

    def tell(self, rows: int, columns: int) -> None:
        """Send a size, now or once the monitor takes it."""
        self._unsent = rows, columns
        self.advance()

    def wants(self) -> tuple[int, int] | None:
        """Wait for the monitor while there is a size to be sent."""
        return (self._channel.fd, select.POLLOUT) if self._unsent else None

    def advance(self) -> None:
        """Send the size, unless a signal handler that came in between has done it."""
        size, self._unsent = self._unsent, None
        try:
            if size is not None:
                self._channel.resize(*size)
        except BlockingIOError:
            self._keep(size)
        except BrokenPipeError:
            pass  # the program has ended, and the channel tells how

    def _keep(self, size: tuple[int, int] | None) -> None:
        if self._unsent is None:
            self._unsent = size


def console_size(streams: Streams | None) -> dict[str, int]:
    """Return runtime-spec `consoleSize` for a program that gets a terminal; {}: none is known.

    A program that looks at once must find it, so telling it once it runs would be too late.
    """
    from onggi.linux import terminal

    streams = streams or Streams()
    for fd in (streams.stdin_fd, streams.stdout_fd, streams.stderr_fd):
        if fd >= 0 and os.isatty(fd):
            rows, columns = terminal.get_size(fd)
            return {"height": rows, "width": columns}
    return {}
