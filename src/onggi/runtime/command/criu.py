"""Call criu, which freezes processes to files and makes them anew: one call, and what is told.

this process                              criu swrk
────────────                              ─────────
request ────────────────────────────────▶
◀──────────────────────── how far it is    and waits
go on ──────────────────────────────────▶
◀──────────────────────── the end: a PID, or what failed; the rest is in its log
"""

from __future__ import annotations

import os

from onggi.errors import Internal, Unavailable, Unsupported
from onggi.linux import channel, user_namespace
from onggi.runtime import failure, start
from onggi.runtime.command import criu_messages
from onggi.runtime.command.criu_messages import Answer
from onggi.runtime.steps.base import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from onggi.runtime.command.criu_messages import Value
    from onggi.runtime.steps.base import Step

    Meet = Callable[[Answer, list[int]], None]

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BEGUN = b"criu"
_LOG_LEVEL = 4  # all of it: who reads the log wants to know why


class Call:
    """What one call needs.

    options: of the request, beside those that every one has. image_path, work_path: directories,
    for the images and for the log. passed_fds: descriptors that it gets by the same numbers.
    streams: its standard streams. steps: what it does before it becomes criu. pid: criu's, while it
    runs.
    """

    __slots__ = ("image_path", "options", "passed_fds", "pid", "steps", "streams", "work_path")

    def __init__(self, image_path: str, work_path: str) -> None:
        self.image_path = image_path
        self.work_path = work_path
        self.options: list[tuple[str, Value]] = []
        self.passed_fds: list[int] = []
        self.streams: tuple[int, int, int] = (0, 1, 2)
        self.steps: list[Step] = []
        self.pid = -1

    def end(self) -> None:
        """Kill criu, which waits for ever for what it was restoring if others killed that."""
        os.kill(self.pid, start.SIGKILL)


def require(program: str) -> str:
    """Return the path of criu, by its name or path.

    Raises: Unsupported: it is not there, or we are not the host's root, which it takes.
    """
    if os.geteuid() or not user_namespace.is_first():
        raise Unsupported("checkpoint and restore take the host's root")
    for directory in os.environ.get("PATH", _PATH).split(":"):
        path = os.path.join(directory, program)  # which is `program` alone if that is absolute
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    raise Unsupported(f"{program} is not installed", hint="criu is a package of Debian's")


def run(program: str, kind: int, call: Call, meet: Meet) -> Answer:
    """Have `program` do what `kind` says; return its last answer once it has ended.

    Args: meet: called with each message of how far it is and the descriptors that came along,
        which it owns.
    Raises: Unavailable: it failed, with the log's path; whatever `meet` raises. It has ended then.
    """
    folders = [_open(call.image_path), _open(call.work_path)]
    ours, theirs = channel.pair()
    talk = -1
    try:
        call.passed_fds += folders
        call.pid = _spawn(program, call, folders, theirs)
        os.close(theirs)
        theirs = -1
        talk = _begun(ours)
        name = "restore.log" if kind == criu_messages.RESTORE else "dump.log"
        channel.send(talk, criu_messages.request(kind, [*_common(folders, name), *call.options]))
        return _hear(talk, meet, os.path.join(call.work_path, name))
    finally:
        # With the other end closed, criu gives up whatever it has not finished.
        for fd in (ours, theirs, talk, *folders):
            if fd >= 0:
                os.close(fd)
        if call.pid > 0:
            os.waitpid(call.pid, 0)


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _common(folders: list[int], log: str) -> list[tuple[str, Value]]:
    return [
        ("images_dir_fd", folders[0]),
        ("work_dir_fd", folders[1]),
        ("log_level", _LOG_LEVEL),
        ("log_file", log),
        ("notify_scripts", True),
    ]


def _spawn(program: str, call: Call, folders: list[int], theirs: int) -> int:
    pid = os.fork()
    if pid == 0:
        context = Context()
        context.report_fd = theirs
        start.reporting(lambda: _become(program, call, folders, context), context)
    return pid


def _become(program: str, call: Call, folders: list[int], context: Context) -> None:
    """Become criu, in the child of a fork.

    It takes the directories from whoever made its socket, and mounts below them, which it may in
    its own mount namespace alone: so they are opened, and the socket is made, once more here.
    """
    failure.apply_steps("host", call.steps, context)
    for fd, path in zip(folders, (call.image_path, call.work_path), strict=True):
        os.dup2(_open(path), fd)
    start.take_streams(call.streams)
    ours, theirs = channel.pair()
    channel.send(context.report_fd, _BEGUN, (theirs,))
    for fd in (*call.passed_fds, ours):
        os.set_inheritable(fd, True)
    os.close(theirs)
    os.execve(program, [program, "swrk", str(ours)], {"PATH": _PATH, **os.environ})


def _begun(ours: int) -> int:
    """Return the socket on which to talk to criu. Raises: StartFailed: it can't be executed."""
    message, fds = channel.receive(ours)
    told = failure.decode(message)
    if message == _BEGUN and len(fds) == 1:
        if told := failure.decode(channel.receive(ours)[0]):
            os.close(fds[0])
            raise told
        return fds[0]
    raise told or Internal("criu was not begun")


def _hear(ours: int, meet: Meet, log: str) -> Answer:
    while True:
        message, fds = channel.receive(ours)
        if not message:
            raise Unavailable("criu ended without an answer", hint=f"its log is {log}")
        try:
            answer = Answer(message)
        except ValueError as error:
            raise Internal(f"criu said what is not understood: {error}") from error
        if answer.kind != criu_messages.NOTIFY:
            return _judged(answer, log)
        meet(answer, fds)
        channel.send(ours, criu_messages.go_on())


def _judged(answer: Answer, log: str) -> Answer:
    if answer.success:
        return answer
    why = answer.reason or (os.strerror(answer.number) if answer.number else "")
    raise Unavailable(f"criu failed{': ' * bool(why)}{why}", hint=f"its log is {log}")
