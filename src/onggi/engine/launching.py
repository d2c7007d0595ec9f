"""The launcher's other end, in a program that may have threads."""

from __future__ import annotations

import os

from onggi import startup
from onggi.linux import channel, process
from onggi.oci import jsontext
from onggi.runtime import frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.runtime.enter import Entry
    from onggi.runtime.order import Order


class Launcher:
    """A launcher process of this engine's own. Any thread may ask it; it ends with `close`."""

    __slots__ = ("_process", "_requests")

    def __init__(self) -> None:
        import subprocess

        request_fd, theirs = channel.pair()
        self._requests = Requests(request_fd)
        try:
            self._process = subprocess.Popen(
                [*startup.program("onggi.runtime.launcher"), str(theirs)],
                pass_fds=(theirs,),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        finally:
            os.close(theirs)

    def launch(self, order: Order, lock_fd: int) -> int:
        """Ask for a monitor; return our end of its channel, which the caller owns."""
        return self._requests.launch(order, lock_fd)

    def enter(self, entry: Entry, standard_fds: tuple[int, int, int]) -> int:
        """Ask for a program in a container; return our end of a channel, which the caller owns."""
        return self._requests.enter(entry, standard_fds)

    def close(self) -> None:
        """Let it go; containers that it started go on."""
        self._requests.close()
        self._process.wait()


class Requests:
    """Our end of the channel on which a launcher is asked."""

    __slots__ = ("_request_fd",)

    def __init__(self, request_fd: int) -> None:
        self._request_fd = request_fd

    def launch(self, order: Order, lock_fd: int) -> int:
        """Ask for a monitor; return our end of its channel, which the caller owns."""
        return self._ask(frames.LAUNCH, order.to_json(), (lock_fd,), ())

    def enter(self, entry: Entry, standard_fds: tuple[int, int, int]) -> int:
        """Ask for a program in a container; return our end of a channel, which the caller owns."""
        return self._ask(frames.ENTER, entry.to_json(), (), standard_fds)

    def _ask(
        self,
        kind: bytes,
        members: dict[str, Any],
        before: tuple[int, ...],
        after: tuple[int, ...],
    ) -> int:
        ours, theirs = channel.pair()
        payload = process.memory_file("onggi-order", jsontext.dumps(members).encode())
        try:
            channel.send(self._request_fd, kind, (theirs, *before, payload, *after))
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
            os.close(payload)
        return ours

    def close(self) -> None:
        """Ask for nothing more."""
        os.close(self._request_fd)
