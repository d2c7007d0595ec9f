"""The end of a container: how its first process ended, written down, and what it had removed.

A monitor does this when the process ends; whoever finds that a monitor was killed does it again.
"""

from __future__ import annotations

import os
import time

from onggi.runtime import rundir, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.runtime.order import Watch
    from onggi.runtime.state import State

_REAP_SECONDS = 5.0  # how long a process's own parent may take to wait for it
_AT_THE_END = ("onggi.linux.cgroup", "onggi.resources.measure")  # are imported then


def wait_status(pid: int, pidfd: int) -> int | None:
    """Return how `pid` ended, as waitpid says it; it has ended already.

    Of somebody else's child (its first monitor was killed) the kernel tells only once its parent
    has waited for it, and kernels before 6.15 never: then None.
    """
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return _status_of_another(pidfd)


def _status_of_another(pidfd: int) -> int | None:
    from onggi.linux import pidfd as facts

    deadline = time.monotonic() + _REAP_SECONDS
    while True:
        try:
            return facts.exit_status(pidfd)
        except ProcessLookupError:
            if time.monotonic() > deadline:
                return None
            time.sleep(_REAP_SECONDS / 1000)
        except OSError:
            return None


def load() -> None:
    """Import all that the end of a container takes, before it comes."""
    from onggi.runtime import after

    for module in _AT_THE_END:
        __import__(module)
    after.load()


def conclude(watch: Watch, running: State, status: int | None) -> State:
    """Write down how the container ended; None is an end that nobody saw."""
    from onggi.resources import measure

    oom_killed = measure.oom_kills(watch.cgroups) > 0
    if status is None:
        final = state.lost(running)
    else:
        final = state.ended(running, status, oom_killed=oom_killed)
    state.write(watch.directory, final)
    return final


def clean_up(watch: Watch) -> None:
    """Remove what the container had beside its files: cgroups, pipes; do what comes after.

    Idempotent: whatever is gone already is fine, so that it can be done again after a crash.
    """
    from onggi.linux import cgroup

    for path in reversed(watch.cgroups):
        cgroup.clear(path)
    if watch.after:
        from onggi.runtime import after

        after.carry_out(*watch.after)
    rundir.remove(watch.run_directory)  # last: while it is there, something is left to be done
