"""Archives that go to a file or to standard output, and come from a file or standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from onggi.cli.options import Text, UsageError

OUTPUT = Text("output", "o", "FILE", "Write to FILE, not to standard output")


class Terminal(UsageError):
    """An archive would have gone to a terminal, or come from one."""

    exit_code = 1


class NoPlace(UsageError):
    """There is no directory to write the archive into."""

    exit_code = 1


@contextmanager
def written(path: str | None) -> Iterator[BinaryIO]:
    """Give a file to write an archive to; one at `path` appears only when it is whole.

    Raises: Terminal: nobody wants an archive on the screen. NoPlace
    """
    if path is None:
        if sys.stdout.isatty():
            raise Terminal(
                "cowardly refusing to write an archive to a terminal", hint="use -o, or redirect"
            )
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif os.path.exists(path) and not os.path.isfile(path):
        # A device or a pipe of the user's choice: nothing to put in its place.
        with open(path, "wb") as file:
            yield file
    else:
        yield from _whole(path)


def _whole(path: str) -> Iterator[BinaryIO]:
    directory = os.path.dirname(path) or "."
    if not os.path.isdir(directory):
        raise NoPlace(f"invalid output path: directory {directory!r} does not exist")
    partial = f"{path}.{os.getpid()}.partial"
    try:
        with open(partial, "xb") as file:
            yield file
        os.replace(partial, path)
    except BaseException:
        if os.path.exists(partial):
            os.unlink(partial)
        raise


@contextmanager
def read(path: str | None) -> Iterator[BinaryIO]:
    """Give the archive at `path`, or on standard input.

    Raises: Terminal: nobody types an archive.
    """
    if path is not None:
        with open(path, "rb") as file:
            yield file
        return
    if sys.stdin.isatty():
        raise Terminal("no archive on standard input", hint="use -i FILE, or redirect")
    yield sys.stdin.buffer
