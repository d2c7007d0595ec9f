"""Running a test's body where it can change nothing of the test process itself."""

import os
import traceback
from collections.abc import Callable

from onggi.linux import mount, namespace


def run_in_child(body: Callable[[], object], *namespaces: str) -> None:
    """Run `body` in a forked child, in new namespaces of the kinds named; fail if it fails.

    Mounts made there spread to nobody; with "pid" the body runs as process 1.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        os.close(reader)
        _end_with(writer, lambda: _isolated(body, namespaces))
    os.close(writer)
    with open(reader, encoding="utf-8") as report:
        text = report.read()
    _, status = os.waitpid(child, 0)
    assert not text, text
    assert status == 0, f"the child ended with status {os.waitstatus_to_exitcode(status)}"


def _isolated(body: Callable[[], object], namespaces: tuple[str, ...]) -> None:
    flags = 0
    for name in namespaces:
        flags |= namespace.NAMESPACES[name][0]
    namespace.unshare(flags)
    if "mount" in namespaces:
        mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
    if "pid" in namespaces:
        run_in_child(body)
    else:
        body()


def _end_with(writer: int, body: Callable[[], object]) -> None:
    """Run `body` and leave, without what the test process would still do at its end."""
    try:
        body()
    except BaseException:  # noqa: BLE001  # whatever it is, it belongs to the parent
        os.write(writer, traceback.format_exc().encode())
        os._exit(1)
    os._exit(0)
