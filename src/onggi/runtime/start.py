"""Start a container: the host's steps, the fork, and the handshake with the first process.

    host's side                                 first process
    ───────────                                 ─────────────
    makes the cgroups, sets their numbers
    forks ─────────────────────────────────────▶ is born in PID and time namespaces of its own, and
                                                 in the v2 cgroup; enters those of v1
    sets its limits                              waits
    "go" ──────────────────────────────────────▶ unshares the rest, mounts, pivots, drops
    ◀────────────────────────── "terminal" + fd  (where one was asked for)
    ◀────────────────────────── "hooks"          (where there are some) before it pivots, and waits
    runs them, "go on" ────────────────────────▶
    ◀────────────────────────── "failed" …       any step that fails, and its end
    ◀────────────────────────── "ready"          just before it becomes the program
    ◀────────────────────────── report, 4 bytes  the program could not be executed
    ◀────────────────────────── end of file      the program runs

One that is only created (steps/waiting.py) says "created" instead and waits; whoever starts it then
is at the other end, and the handshake goes on from there.

Whoever calls `start` is single-threaded and becomes the parent of the container's process, or makes
its own parent that.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` costs 6 ms, and this is all of it
import errno
import os
import sys

from onggi.linux import cgroup, channel, clone, command_line, namespace, process, user_namespace
from onggi.runtime import failure, halted
from onggi.runtime.steps import namespaces
from onggi.runtime.steps.base import Context
from onggi.runtime.stub import stub

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn

    from onggi.runtime.plan.container import Plan
    from onggi.runtime.steps.base import Step

    Follow = Callable[[Plan, Context], None]

SIGKILL = 9
_ATTEMPTS = 4
_VANISHED = (errno.ENOENT, errno.ENODEV)  # ENODEV: removed while its file was open
TITLE = b"onggi-runtime init"
UMASK = 0o022  # what a container is like must not depend on who starts it


class Started:
    """A container's process that runs, and the host's end of its terminal (-1: none)."""

    __slots__ = ("pid", "terminal_fd")

    def __init__(self, pid: int, terminal_fd: int) -> None:
        self.pid = pid
        self.terminal_fd = terminal_fd


def start(plan: Plan, standard_fds: tuple[int, int, int], *, sibling: bool = False) -> Started:
    """Apply `plan` and return once its program runs.

    Args: standard_fds: what becomes standard input, output and error of the program; stays the
        caller's. With a terminal they are not used. sibling: whether the first process becomes a
        child of the caller's parent, who must then wait for it, and not of the caller.
    Raises: StartFailed: with stage, call, argument and errno; nothing is left behind.
    """
    context = Context()
    prepare(plan.host, context)
    try:
        return _leader(plan)(plan, standard_fds, context, clone.CLONE_PARENT * sibling)
    except BaseException:
        undo(plan.host)
        raise


def _leader(plan: Plan) -> Callable[..., Started]:
    """Return what starts the process: another way is needed where others could see it.

    An ordinary user's is in a user namespace, in which nobody has a right over what we are.
    """
    joins = (step for step in plan.born_into if isinstance(step, namespaces.JoinNamespace))
    if plan.alone or not any(step.kind == "pid" for step in joins):
        return _start_process
    from onggi.runtime import joined

    return joined.lead


def prepare(steps: list[Step], context: Context) -> None:
    """Apply the host's steps, all or none.

    Between two of them another store's reset may take away the directory that containers' cgroups
    share, as long as it is empty; then everything is made again.
    """
    for attempts_left in reversed(range(_ATTEMPTS)):
        done: list[Step] = []
        try:
            for step in steps:
                failure.apply_steps("host", [step], context)
                done.append(step)
        except BaseException as error:
            undo(done)
            vanished = isinstance(error, failure.StartFailed) and error.number in _VANISHED
            if not (vanished and attempts_left):
                raise
        else:
            return


def undo(steps: list[Step]) -> None:
    """Take back what host steps made, last first."""
    for step in reversed(steps):
        take_back = getattr(step, "undo", None)
        if take_back is not None:
            take_back()


def _start_process(
    plan: Plan, standard_fds: tuple[int, int, int], context: Context, flags: int
) -> Started:
    ours, theirs = channel.pair()

    def lead(pid: int) -> Started:
        try:
            return _lead(plan, pid, ours, context)
        except BaseException:
            end(pid)
            raise

    return led(ours, theirs, lambda: _fork(plan, standard_fds, theirs, ours, flags), lead)


def led(ours: int, theirs: int, fork: Callable[[], int], lead: Callable[[int], Started]) -> Started:
    """Fork who has `theirs`, lead it by `ours`; both are closed here, whatever happens."""
    try:
        try:
            pid = fork()
        finally:
            os.close(theirs)
        return lead(pid)
    finally:
        os.close(ours)


def _fork(
    plan: Plan, standard_fds: tuple[int, int, int], theirs: int, ours: int, flags: int
) -> int:
    """Fork the first process into the namespaces that it must be born in; return its PID here."""
    context = Context()
    context.report_fd = theirs
    context.stub_fd = stub.sealed()
    way_back: list[int] = []
    follow = follower(plan)
    try:
        if not plan.alone:  # an ordinary user can't, but where he has become root: _fork_through
            leave(plan.born_into, plan.children, way_back)
        users = [step for step in plan.born_into if _is_of_users(step)]
        if users and not plan.alone:
            open_for_others(plan, context)
        if users:
            joins = plan.born_into if plan.alone else users
            pid = _fork_through(joins, plan, context, flags | _born_with(plan))
        else:
            pid = _fork_unseen(plan, context, flags | _born_with(plan))
        if pid == 0:
            os.close(ours)
            become(plan, standard_fds, context, follow)
        come_back(way_back)
        return pid
    finally:
        for fd in filter(lambda fd: fd >= 0, (*way_back, *context.trees.values(), context.stub_fd)):
            os.close(fd)


def open_for_others(plan: Plan, context: Context) -> None:
    """Open what root of the user namespace to be joined could not, into `context`.

    So what helps with it is born on the host's side as well, and not among those who are joined.
    """
    from onggi.runtime.steps import mounts  # who starts what is created already takes no such step

    for step in plan.container:
        if isinstance(step, mounts.BindMount) and step.needs_host:
            try:
                context.trees[step.target] = step.open_tree()
            except OSError as error:
                raise failure.from_error("host", step, error) from error


def _fork_unseen(plan: Plan, context: Context, flags: int) -> int:
    """Fork the first process so that whoever it is born among cannot trace it at any moment."""
    before, pid = process.dumpable(), -1
    process.set_dumpable(False)  # which a child inherits
    try:
        pid = fork_into(plan.cgroups, context, flags)
    finally:
        if pid and before:
            process.set_dumpable(True)
    return pid


def leave(steps: list[Step], children: tuple[str, ...], way_back: list[int]) -> None:
    """Have our next child be born elsewhere; `way_back` gets descriptors of where we were."""

    def remember(kind: str) -> None:
        way_back.append(os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC))

    if "time" in children:  # kernels before 6.3 don't take it as a flag of clone3
        if user_namespace.is_first():  # others can't go back; their next children are hooks
            remember("time")
        namespace.unshare(namespace.CLONE_NEWTIME)
    for step in steps:
        if _is_of_users(step):
            continue  # there is no way back from it: see _fork_through
        if isinstance(step, namespaces.JoinNamespace):
            remember(step.kind)
        failure.apply_steps("host", [step], Context())


def come_back(way_back: list[int]) -> None:
    """Have our next child be the host's again."""
    for fd in way_back:
        namespace.setns(fd)


def _is_of_users(step: Step) -> bool:
    return isinstance(step, namespaces.JoinNamespace) and step.kind == "user"


def _fork_through(joins: list[Step], plan: Plan, context: Context, flags: int) -> int:
    """Fork the first process by a child that has joined a user namespace, and ends.

    Who joins one gives up every right outside, for good; so a child does, and its child is ours.
    """
    ours, theirs = channel.pair()
    between = os.fork()
    if between == 0:
        os.close(ours)
        if _be_between(joins, plan, context, flags, theirs) == 0:
            return 0
        os._exit(0)
    os.close(theirs)
    try:
        message = channel.receive(ours)[0]
    finally:
        os.close(ours)
        status = os.waitpid(between, 0)[1]
    if message.isdigit():
        return int(message)
    raise failure.decode(message) or failure.died(status)


def _be_between(joins: list[Step], plan: Plan, context: Context, flags: int, theirs: int) -> int:
    """Join, and fork a sibling; return 0 in that alone."""
    pid = -1
    try:
        for step in joins:
            if isinstance(step, namespaces.JoinNamespace):
                process.set_dumpable(False)  # who is there may have every right over it
            failure.apply_steps("host", [step], context)
        pid = fork_into(plan.cgroups, context, flags | clone.CLONE_PARENT)
        if pid:
            channel.send(theirs, b"%d" % pid)
        os.close(theirs)
    except failure.StartFailed as failed:
        channel.send(theirs, failed.encode())
    except OSError as error:
        channel.send(theirs, failure.from_error("host", joins[0], error).encode())
    return pid


def _born_with(plan: Plan) -> int:
    kinds = tuple(kind for kind in plan.children if kind != "time" or plan.alone)
    return namespaces.flags(kinds if plan.user_map is None else ("user", *kinds))


def fork_into(directories: Iterable[str], context: Context, flags: int = 0) -> int:
    """Fork, with the child born in the version 2 cgroup among `directories`, if there is one.

    It still has to take the steps that place it in its cgroups; see `steps.cgroups.JoinCgroup`.
    """
    born_in = next(filter(cgroup.is_version_2, directories), "")
    if not born_in:
        return _fork_untold(flags)
    fd = os.open(born_in, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        context.born_in = born_in
        return _fork_untold(flags, fd)
    finally:
        os.close(fd)


def _fork_untold(flags: int, cgroup_fd: int = -1) -> int:
    """Fork a child whose command line tells nothing of ours, from its first moment.

    Whoever is in its PID namespace may read it, and one that is created may wait for days.
    """
    ours, pid = command_line.show(TITLE), -1
    try:
        pid = clone.fork(flags, cgroup_fd=cgroup_fd)
    finally:
        if pid:
            command_line.show(ours)
    return pid


def _lead(plan: Plan, pid: int, ours: int, context: Context) -> Started:
    """Set the child's limits, let it go, and hear what becomes of it."""
    let_go(plan, pid, ours, context)
    return hear(ours, pid, plan.program[-1], lambda message: meet(plan, ours, context, message))


def let_go(plan: Plan, pid: int, ours: int, context: Context) -> None:
    """Do what only the host's side may for the child, set its limits, and let it go."""
    if plan.user_map is not None:
        from onggi.runtime import mapped

        mapped.lead(plan, plan.user_map, pid, ours)
    context.pid = pid
    failure.apply_steps("host", plan.bounds, context)
    channel.send(ours, b"go")


def meet(plan: Plan, ours: int, context: Context, message: bytes) -> bool:
    """Do what the first process waits for, if that is what its message says."""
    asked = {b"hooks": plan.hooks, b"devices": plan.devices}.get(message)
    if asked is not None:
        failure.apply_steps("host", asked, context)
        channel.send(ours, b"go on")
        return True
    return plan.listener is not None and plan.listener.answer(message, ours, context.pid)


def hear(
    ours: int, pid: int, execute: Step, meet: Callable[[bytes], bool] | None = None
) -> Started:
    """Listen to process `pid` until it has become its program, or is created and waits.

    Args: meet: called with a message, tells whether it was one that asked the host for something.
    Raises: StartFailed: what it told, or what its stub reported of the step `execute`; or it was
        stopped, and has been killed.
    """
    terminal_fd = -1
    ready = False
    while True:
        message, fds = halted.listen(ours, lambda: channel.receive(ours), lambda: [pid])
        if message == b"terminal" and not ready and terminal_fd < 0 and len(fds) == 1:
            terminal_fd = fds[0]
            continue
        for fd in fds:
            os.close(fd)
        if meet is not None and not ready and meet(message):
            continue
        if message == b"created" and not ready:
            return Started(pid, terminal_fd)
        if message == b"ready" and not ready:
            ready = True
        elif not message and ready:
            return Started(pid, terminal_fd)
        elif ready and len(message) != stub.REPORT_BYTES and failure.decode(message) is None:
            # What is left to be said is that the program is not there or cannot be executed.
            raise failure.died(0)
        else:
            raise _failure(execute, message, pid)


def _failure(execute: Step, message: bytes, pid: int) -> Exception:
    told = failure.decode(message)
    if told is not None:
        return told
    if len(message) == stub.REPORT_BYTES:
        return failure.from_error("program", execute, stub.failure(message))
    return failure.died(wait_status(pid))


def wait_status(pid: int) -> int | None:
    """Wait for a process that has ended and tell how; None if it is not ours to wait for."""
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return None  # it is a child of our parent


def end(pid: int) -> None:
    """Kill a child that was not to be, and wait for it; one that is gone already is fine."""
    try:
        os.kill(pid, SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass  # it was waited for where its failure was read, or is for our parent to wait for


def follower(plan: Plan) -> Follow | None:
    """Return what the first process does in a user namespace; imported now, not in the child."""
    if plan.user_map is None:
        return None
    from onggi.runtime import mapped

    return mapped.follow


def become(
    plan: Plan,
    standard_fds: tuple[int, int, int],
    context: Context,
    follow: Follow | None,
) -> NoReturn:
    """Become the container's first process, in the child of a fork; never returns."""

    def steps() -> None:
        os.umask(UMASK)
        process.set_pdeathsig(SIGKILL)
        if plan.alone and follow is not None:
            # Who maps it must see it as his own, and so must it see its files in /proc. It is alone
            # in a user namespace by now, and has joined no other namespace yet.
            process.set_dumpable(True)
        failure.apply_steps("host", plan.join, context)
        if follow is not None:
            follow(plan, context)
        process.set_dumpable(False)
        await_go(context)
        if not plan.terminal:
            take_streams(standard_fds)
        failure.apply_steps("container", plan.container, context)

    confined(steps, plan.program, context)


def await_go(context: Context) -> None:
    """Wait until the host's side has done its part."""
    if channel.receive(context.report_fd)[0] != b"go":
        os._exit(1)  # whoever started this is gone, and with it the reason to go on


def confined(enter: Callable[[], None], program: list[Step], context: Context) -> NoReturn:
    """Call `enter`, apply the steps of `program`, and so become it; report what fails, and end.

    Until it is the user's program this process cannot be traced or read by anybody inside. If
    `enter` ties it to its parent (pdeathsig), that ends here.
    """

    def steps() -> None:
        shield()
        enter()
        *before, execute = program
        failure.apply_steps("container", before, context)
        process.set_pdeathsig(0)
        # Not by `channel`, whose calls the program's filter would have to allow.
        os.write(context.report_fd, b"ready")
        failure.apply_steps("program", [execute], context)

    reporting(steps, context)


def shield() -> None:
    """Let nobody trace this process or lead it astray; nothing of how it was started stays."""
    process.set_dumpable(False)
    forbid_imports()
    restore_signals()


def reporting(steps: Callable[[], None], context: Context) -> NoReturn:
    """Call `steps` and end this process; what fails is reported to who waits at the other end."""
    try:
        steps()
    except failure.StartFailed as failed:
        channel.send(context.report_fd, failed.encode())
    except BaseException as error:  # noqa: BLE001  # whatever it is, the other end must hear of it
        channel.send(context.report_fd, failure.from_error("container", None, error).encode())
    finally:
        os._exit(1)


def forbid_imports() -> None:
    """Let no module be loaded from a file any more.

    Once this process has entered the container, the interpreter's search path leads to files of the
    image's, and a module of that name would run with the rights of the host (as it happened to
    docker with libraries of the C library, CVE-2019-14271). What is built in stays importable.
    """
    names = ("BuiltinImporter", "FrozenImporter")
    sys.meta_path[:] = [one for one in sys.meta_path if getattr(one, "__name__", "") in names]


def take_streams(standard_fds: tuple[int, int, int]) -> None:
    """Make `standard_fds` standard input, output and error."""
    for number, fd in enumerate(standard_fds):
        os.dup2(fd, number, inheritable=True)


def restore_signals() -> None:
    """Give signals back the meaning that a new program expects; ignored ones survive exec(2)."""
    for number in range(1, _signal.NSIG):
        # By Python SIGPIPE and SIGXFSZ, by a shell those that its background should not hear.
        if _signal.getsignal(number) is _signal.SIG_IGN:
            _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def read_filter(path: str) -> bytes:
    """Return the compiled seccomp filter in the file `path`; none for an empty path."""
    if not path:
        return b""
    with open(path, "rb") as file:
        return file.read()
