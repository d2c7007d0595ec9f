"""Errors and strings as the kernel has them; apart from `_abi` for those who need no ctypes."""

from __future__ import annotations

import os


def failure(call: str, path: str | bytes | None, code: int | None) -> OSError:
    """Describe the failure of `call` with errno `code`.

    Plain OSError, so that Python chooses FileNotFoundError and its like by errno (a subclass of
    our own would not dispatch). The call's name is in a note and in the attribute `syscall`.
    """
    number = code or 0
    error = OSError(number, os.strerror(number), path)
    error.syscall = call  # type: ignore[attr-defined]  # OSError has no place for it of its own
    error.add_note(f"in {call}(2)")
    return error


def text_bytes(text: str | bytes) -> bytes:
    """Encode `text` as the kernel sees it, and refuse NUL, where C would end it silently.

    Raises: ValueError: there is a NUL byte in it.
    """
    encoded = os.fsencode(text)
    if b"\0" in encoded:
        raise ValueError(f"embedded null byte in {text!r}")
    return encoded


path_bytes = text_bytes
