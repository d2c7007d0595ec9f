"""Decompressing zstd: with Python's own module since 3.14, with the program zstd(1) before.

Source: PEP 784; zstd(1).
"""

from __future__ import annotations

from onggi.errors import Corrupt, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import IO, Any

_OUTPUT = 1 << 20


def decompressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what is in a zstd stream of any number of frames.

    Raises: Corrupt; Unsupported: neither the module nor the program is here.
    """
    from importlib import import_module

    try:
        module: Any = import_module("compression.zstd")
    except ImportError:
        return _by_program(chunks)
    return _by_module(chunks, module.ZstdDecompressor, module.ZstdError)


def _by_module(
    chunks: Iterable[bytes], decompressor: Callable[[], Any], failure: type[Exception]
) -> Iterator[bytes]:
    frame = decompressor()
    begun = False
    for chunk in chunks:
        data = chunk
        while data:
            if frame.eof:
                frame = decompressor()
            begun = True
            try:
                yield from _one_input(frame, data)
            except failure as error:
                raise Corrupt(f"damaged zstd stream: {error}") from error
            data = frame.unused_data if frame.eof else b""
    if begun and not frame.eof:
        raise Corrupt("damaged zstd stream: it ends too early")


def _one_input(frame: Any, data: bytes) -> Iterator[bytes]:
    """Yield what comes out for one input, a bounded piece at a time."""
    yield frame.decompress(data, _OUTPUT)
    while not frame.eof and not frame.needs_input:
        yield frame.decompress(b"", _OUTPUT)


def _by_program(chunks: Iterable[bytes]) -> Iterator[bytes]:
    import subprocess

    command = ["zstd", "--decompress", "--stdout", "--quiet", "--no-progress"]
    try:
        program = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except FileNotFoundError:
        raise Unsupported(
            "a layer is compressed with zstd, which this Python cannot decompress",
            hint="install the program zstd, or use Python 3.14",
        ) from None
    with program:
        try:
            yield from _piped(program, chunks)
        finally:
            program.kill()  # if the reader has lost interest; without effect after its end


def _piped(program: Any, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Feed the program from a thread, so that neither waits for the other for ever."""
    import threading

    failures: list[BaseException] = []
    feeder = threading.Thread(
        target=_feed, args=(program.stdin, chunks, failures), name="feed zstd", daemon=True
    )
    feeder.start()
    while piece := program.stdout.read(_OUTPUT):
        yield piece
    complaint = program.stderr.read(500).decode("utf-8", "replace").strip()
    status = program.wait()
    feeder.join()
    if failures:
        raise failures[0]
    if status:
        raise Corrupt(f"damaged zstd stream: {complaint or f'zstd ended with {status}'}")


def _feed(pipe: IO[bytes], chunks: Iterable[bytes], failures: list[BaseException]) -> None:
    try:
        with pipe:
            for chunk in chunks:
                pipe.write(chunk)
    except BrokenPipeError:
        return  # the program has given up, and says why
    except BaseException as error:  # noqa: BLE001  # raised again by the thread that reads
        failures.append(error)
