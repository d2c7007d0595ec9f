"""Asking systemd for something, by the program that comes with it: busctl(1).

Source: org.freedesktop.systemd1(5); busctl(1), "PARAMETER FORMATTING".
"""

from __future__ import annotations

import os
import time

from onggi.errors import Unavailable, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_PROGRAM = "busctl"
_SERVICE = "org.freedesktop.systemd1"
_MANAGER = ("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
_UNIT = "org.freedesktop.systemd1.Unit"
_RUNNING = "/run/systemd/system"  # sd_booted(3)
_PATIENCE_SECONDS = 30
_FIRST_WAIT_SECONDS = 0.005
_MOST_WAIT_SECONDS = 0.2
_CHUNK = 65536


def require_systemd() -> None:
    """Refuse where systemd does not run. Raises: Unsupported."""
    if not os.path.isdir(_RUNNING):
        raise Unsupported("systemd not running on this host, cannot use systemd cgroups manager")
    if os.geteuid() != 0:
        raise Unsupported("only root can have systemd make control groups", hint="cgroupfs")


def start_scope(unit: str, properties: Iterable[tuple[str, ...]]) -> None:
    """Have systemd make a transient scope, and return once it is there.

    Raises: Unavailable: it refuses, or the scope does not come to be in time.
    """
    listed = list(properties)
    words = [str(len(listed)), *(word for each in listed for word in each)]
    call = ("StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail", *words, "0")
    try:
        _manager(*call)
    except Unavailable:
        # What is left of a scope that failed has its name until somebody says so.
        _reset(unit)
        _manager(*call)
    _wait(unit, ("active",))


def set_properties(unit: str, properties: Iterable[tuple[str, ...]]) -> None:
    """Change properties of a unit, until the next boot. Raises: Unavailable."""
    listed = list(properties)
    words = [str(len(listed)), *(word for each in listed for word in each)]
    _manager("SetUnitProperties", "sba(sv)", unit, "true", *words)


def stop(unit: str) -> None:
    """Have systemd end a unit with all its processes; one that is gone already is fine."""
    if not _state(unit):
        return
    try:
        _manager("StopUnit", "ss", unit, "replace")
    except Unavailable:
        if _state(unit):
            raise
        return
    _wait(unit, ("inactive", "failed", ""))
    _reset(unit)


def _reset(unit: str) -> None:
    """Have a failed unit forgotten; that there is none is fine."""
    try:
        _manager("ResetFailedUnit", "s", unit)
    except Unavailable:
        return


def _wait(unit: str, states: tuple[str, ...]) -> None:
    """Wait for a unit to be in one of some states; "" is not to be there any more."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    wait = _FIRST_WAIT_SECONDS
    while (now := _state(unit)) not in states:
        if now == "failed" or time.monotonic() >= deadline:
            raise Unavailable(f"systemd unit {unit} is {now or 'gone'}, not {states[0]}")
        time.sleep(wait)
        wait = min(2 * wait, _MOST_WAIT_SECONDS)


def _state(unit: str) -> str:
    """Return a unit's ActiveState; "" if systemd knows of none, or of none that ever was."""
    try:
        path = _quoted(_manager("GetUnit", "s", unit))
    except Unavailable:
        return ""
    try:
        return _quoted(_call("get-property", _SERVICE, path, _UNIT, "ActiveState"))
    except Unavailable:
        return ""


def _quoted(answer: str) -> str:
    """Return the string that an answer such as `s "active"` holds."""
    return answer.partition('"')[2].rpartition('"')[0]


def _manager(*words: str) -> str:
    return _call("call", _SERVICE, *_MANAGER, *words)


def _call(*words: str) -> str:
    """Run busctl; return what it says. Raises: Unavailable: with its reason."""
    line = (_PROGRAM, "--system", f"--timeout={_PATIENCE_SECONDS}", "--", *words)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        moves = [(os.POSIX_SPAWN_DUP2, writer, fd) for fd in (1, 2)]
        try:
            pid = os.posix_spawnp(_PROGRAM, line, dict(os.environ), file_actions=moves)
        except FileNotFoundError:
            raise Unsupported("busctl(1) is missing, which comes with systemd") from None
        os.close(writer)
        writer = -1
        said = _read(reader)
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise Unavailable(f"systemd: {said.strip().removeprefix('Call failed: ')}")
    return said


def _read(fd: int) -> str:
    pieces = []
    while piece := os.read(fd, _CHUNK):
        pieces.append(piece)
    return b"".join(pieces).decode(errors="replace")
