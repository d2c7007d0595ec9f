"""The keys that leave a terminal and let its program go on.

They are looked for in what is typed. Their beginning is held back until it is clear whether the
rest follows, as Docker does it; then the program gets it after all.

Source: docker container attach, "Override the detach sequence"; moby/term proxy.go, escapeProxy.
"""

from __future__ import annotations

from onggi.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_CONTROL = "@abcdefghijklmnopqrstuvwxyz[\\]^_"  # in the order of the codes that they stand for
_AT_ONCE = 4096  # bytes looked at: no more than a channel takes in one message


def parse(text: str) -> bytes:
    """Return the bytes of keys such as `ctrl-p,ctrl-q` or `ctrl-a,x`.

    Raises: InvalidInput: there are no such keys.
    """
    return bytes(_key(word, text) for word in text.split(","))


def _key(word: str, text: str) -> int:
    if len(word) == 1 and word.isascii():
        return ord(word)
    control = word.removeprefix("ctrl-")
    if control != word and len(control) == 1 and control in _CONTROL:
        return _CONTROL.index(control)
    raise InvalidInput(
        f"invalid detach keys ({text}) provided", hint="as in ctrl-p,ctrl-q or ctrl-a,d"
    )


class Typed:
    """What is typed, on its way to the program.

    `send` takes bytes, all or none: it raises BlockingIOError, and is called again with the same.
    """

    __slots__ = ("_detach", "_keys", "_matched", "_send")

    def __init__(
        self, keys: bytes, send: Callable[[bytes], int], detach: Callable[[], NoReturn]
    ) -> None:
        self._keys = keys
        self._matched = 0
        self._send = send
        self._detach = detach

    def write(self, data: bytes) -> int:
        """Pass on what is no part of the keys; return how many bytes of `data` were looked at."""
        piece = data[:_AT_ONCE]
        passed, matched = self._sifted(piece)
        if passed:
            self._send(passed)
        if matched == len(self._keys):
            self._detach()
        self._matched = matched
        return len(piece)

    def _sifted(self, piece: bytes) -> tuple[bytes, int]:
        """Return what goes on to the program, and how many of the keys were typed at the end."""
        passed, matched = bytearray(), self._matched
        for byte in piece:
            if byte != self._keys[matched]:
                passed += self._keys[:matched]
                matched = 0
            if byte == self._keys[matched]:
                matched += 1
            else:
                passed.append(byte)
            if matched == len(self._keys):
                break
        return bytes(passed), matched
