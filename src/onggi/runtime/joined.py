"""Start a container in a PID namespace that others live in, who must not see how it is made.

The first process is for a while the host's interpreter, with the rights of the host's root. In a
PID namespace of its own nobody can name it. In one that it joins, a process with CAP_SYS_PTRACE
could trace it, or open what it is (CVE-2019-5736). So, as for `exec` (enter.py), an usher does all
the work and is never born there; what is, is the sealed program (stub.py), with no more rights than
the container has:

    host's side                 usher                            first process
    ───────────                 ─────                            ─────────────
    makes cgroups, forks ─────▶ has procfs begun (see below)
    "go" ─────────────────────▶ unshares, mounts, pivots, drops
    ◀────────────── "ready"     becomes the sealed program
                                forks a sibling, and ends ─────▶ born in the PID namespace
    ◀────────────────────────────────────────── "born"           waits
    "go" ──────────────────────────────────────────────────────▶ session, filter, program
    ◀────────────────────────────────────────── end of file      it runs, or waits to be started

A procfs shows the PID namespace of whoever begins it with fsopen(2), which takes CAP_SYS_ADMIN over
no more than the mount namespace of its own. So a child in new user and mount namespaces, with
nothing of the host's in sight, becomes the sealed program, has a child of its own born in the PID
namespace that begins it, and the usher, which has the right to mount it, fetches the descriptor.

Source: fs/proc/root.c, proc_init_fs_context; fs/fsopen.c, may_mount and mount_capable.
"""

from __future__ import annotations

import os

from onggi.errors import Unsupported
from onggi.linux import capability, channel, mount, namespace, process, procfs
from onggi.runtime import enter, failure, start
from onggi.runtime.steps import hooks, mounts, namespaces, notify
from onggi.runtime.steps.base import Context
from onggi.runtime.steps.waiting import AwaitStart
from onggi.runtime.stub import stub

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

    from onggi.runtime.plan.container import Plan
    from onggi.runtime.start import Started
    from onggi.runtime.steps.base import Step


def lead(plan: Plan, standard_fds: tuple[int, int, int], context: Context, flags: int) -> Started:
    """Start the container of `plan`, whose host steps are applied; otherwise as `start.start`."""
    _require_possible(plan)
    ours, theirs = channel.pair()
    channel.name_senders(ours)
    return start.led(
        ours,
        theirs,
        lambda: _fork(plan, standard_fds, theirs, ours, flags),
        lambda usher: _hear(plan, usher, ours, context),
    )


def _hear(plan: Plan, usher: int, ours: int, context: Context) -> Started:
    try:
        start.let_go(plan, usher, ours, context)
    except BaseException:
        start.end(usher)
        raise
    return enter.hear(
        ours, usher, plan.program[-1], lambda message: start.meet(plan, ours, context, message)
    )


def _require_possible(plan: Plan) -> None:
    """Refuse what only a process that is inside, and is ours, could do."""
    for step in plan.program:
        if isinstance(step, hooks.RunHook):
            raise Unsupported("startContainer hooks in the PID namespace of others")
        if isinstance(step, notify.LoadWatchedFilter):
            raise Unsupported("a seccomp listener in the PID namespace of others")


def _fork(
    plan: Plan, standard_fds: tuple[int, int, int], theirs: int, ours: int, flags: int
) -> int:
    """Fork the usher, which is born in none of the namespaces that are joined."""
    context = Context()
    context.report_fd = theirs
    context.stub_fd = stub.sealed()
    follow = start.follower(plan)
    joins = tuple(step for step in plan.born_into if isinstance(step, namespaces.JoinNamespace))
    way_back: list[int] = []
    try:
        start.leave([one for one in plan.born_into if one not in joins], plan.children, way_back)
        pid = start.fork_into(plan.cgroups, context, flags)
        if pid == 0:
            os.close(ours)
            _Usher(plan, context, joins, follow).run(standard_fds)
        start.come_back(way_back)
        return pid
    finally:
        for fd in (*way_back, context.stub_fd):
            os.close(fd)


class _Usher:
    """Who makes the container, and has its first process born."""

    def __init__(
        self,
        plan: Plan,
        context: Context,
        joins: tuple[namespaces.JoinNamespace, ...],
        follow: start.Follow | None,
    ) -> None:
        self._plan = plan
        self._context = context
        self._joins = joins
        self._follow = follow

    def run(self, standard_fds: tuple[int, int, int]) -> NoReturn:
        """Do it; never returns."""
        start.reporting(lambda: self._make(standard_fds), self._context)

    def _make(self, standard_fds: tuple[int, int, int]) -> None:
        plan, context = self._plan, self._context
        start.shield()
        os.umask(start.UMASK)
        process.set_pdeathsig(start.SIGKILL)
        failure.apply_steps("host", plan.join, context)
        pid_namespace = self._prepare()
        start.await_go(context)
        if not plan.terminal:
            start.take_streams(standard_fds)
        failure.apply_steps("container", plan.container, context)
        if pid_namespace >= 0:
            namespace.setns(pid_namespace, namespace.CLONE_NEWPID)
        *before, execute = plan.program
        steps = list(_waiting_last(before, context))
        failure.apply_steps("container", enter.inherited(steps, context), context)
        enter.bear(execute, context, terminal=plan.terminal)

    def _prepare(self) -> int:
        """Take what is in reach now only; return what to join at last, if anything is left.

        Who is in a user namespace has no right to join what the host's root may, so that comes
        first then; its processes are out of the reach of that namespace's by what they are.
        """
        (join,) = (step for step in self._joins if step.kind == "pid")
        context = self._context
        context.proc_fd = procfs.open_proc()
        for step in self._plan.container:
            if isinstance(step, mounts.MountFilesystem) and step.fstype == "proc":
                context.procfs_fds.append(_begin_procfs(join))
        if self._follow is None and len(self._joins) == 1:
            return os.open(join.path, os.O_RDONLY | os.O_CLOEXEC)
        if self._follow is None:
            start.open_for_others(self._plan, context)
        failure.apply_steps("host", self._joins, context)
        if self._follow is not None:
            namespace.unshare(namespace.CLONE_NEWUSER)
            self._follow(self._plan, context)
        return -1


def _waiting_last(steps: list[Step], context: Context) -> Iterator[Step]:
    """Yield all steps but the one that waits to be started: that is the sealed program's part."""
    for step in steps:
        if isinstance(step, AwaitStart):
            context.listener_fd = step.listener_fd
        else:
            yield step


def _begin_procfs(join: namespaces.JoinNamespace) -> int:
    """Return a procfs of the PID namespace, begun with fsopen(2), which the caller owns."""
    # Not the file that the first process becomes: who looks in there might hold this one open for
    # writing, in vain, for it is sealed, but nothing can be executed meanwhile (ETXTBSY).
    stub_fd = stub.sealed()
    ours, theirs = channel.pair()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        _be_beside(join, theirs, stub_fd)
    os.close(theirs)
    os.close(stub_fd)
    try:
        message = channel.receive(ours)[0]
        if len(message) != stub.NUMBER_BYTES:
            raise failure.decode(message) or failure.died(None)
        return _fetch(pid, int.from_bytes(message, "little", signed=True))
    finally:
        os.close(ours)
        start.wait_status(pid)


def _fetch(pid: int, number: int) -> int:
    if number < 0:
        raise OSError(-number, os.strerror(-number), "proc")
    held = process.pidfd_open(pid)
    try:
        return process.pidfd_getfd(held, number)
    finally:
        os.close(held)


def _be_beside(join: namespaces.JoinNamespace, report_fd: int, stub_fd: int) -> NoReturn:
    """Become the sealed program that has a procfs begun, with nothing of the host's in sight."""
    context = Context()
    context.report_fd = report_fd

    def steps() -> None:
        process.set_pdeathsig(start.SIGKILL)
        failure.apply_steps("host", [join], context)
        namespace.unshare(namespace.CLONE_NEWUSER | namespace.CLONE_NEWNS)
        _leave_the_tree()
        _keep_one_capability()
        process.close_others((report_fd, stub_fd), 0)
        stub.exec_stub("/", [b"procfs"], (), report_fd=report_fd, mode=stub.PROCFS, stub_fd=stub_fd)

    start.reporting(steps, context)


def _leave_the_tree() -> None:
    """Have an empty root instead of the host's."""
    mount.mount("", "/", "", mount.MS_REC | mount.MS_PRIVATE, "")
    mount.mount("tmpfs", "/proc", "tmpfs", 0, "size=0k,mode=500")
    os.chdir("/proc")
    mount.pivot_root(".", ".")
    mount.umount2(".", mount.MNT_DETACH)
    os.chdir("/")


def _keep_one_capability() -> None:
    """Keep what fsopen(2) asks for, and no more, across exec, which no user ID here would do."""
    one = capability.mask(("CAP_SYS_ADMIN",))
    capability.capset(one, one, one)
    capability.ambient_raise(capability.NUMBERS["CAP_SYS_ADMIN"])
