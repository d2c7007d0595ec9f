"""Several processes doing the same at the same moment."""

import os
import traceback
from collections.abc import Callable


def in_parallel(count: int, body: Callable[[int], object]) -> None:
    """Run `body(0)` to `body(count - 1)` in forked children that start together; fail if one does.

    The test process must have no threads.
    """
    gate, opener = os.pipe()
    reports, writer = os.pipe()
    children = [_fork(body, number, gate, opener, writer) for number in range(count)]
    for descriptor in (gate, writer, opener):
        os.close(descriptor)
    with open(reports) as report:
        text = report.read()
    statuses = [os.waitpid(child, 0)[1] for child in children]
    assert not text, text
    assert not any(statuses), statuses


def _fork(body: Callable[[int], object], number: int, gate: int, opener: int, writer: int) -> int:
    child = os.fork()
    if child:
        return child
    try:
        os.close(opener)
        os.read(gate, 1)  # nothing comes, but the end, when the last to hold `opener` lets go
        body(number)
    except BaseException:  # noqa: BLE001  # whatever it is, the parent reports it
        os.write(writer, traceback.format_exc().encode())
        os._exit(1)
    os._exit(0)
