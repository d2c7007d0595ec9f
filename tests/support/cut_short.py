"""A command line that is killed just before the Nth thing it asks of the kernel.

    python -IS cut_short.py SOURCE LEVEL NUMBER TALLY MARK WORD...

runs `onggi WORD...`; LEVEL says which of its processes is to die: 0 is the command, 1 what it
forks (a monitor), 2 what that forks (a starter), 3 what that forks (a container's first process).
NUMBER counts, from one and in that process, the calls that may have an effect outside of it: those
of the C modules below, those of files, and the system calls of `onggi.linux`. With NUMBER 0 nobody
dies. TALLY is a file of eight bytes, in which the processes of that level count; of several, the
one that made most calls is left there. The IDs of what is made begin with MARK, so that it can be
told from others' on the machine.

A kill at a random moment finds the wide windows; this finds every one.
"""

import mmap
import os
import struct
import sys
from types import FrameType

_MODULES = {"posix", "fcntl", "select", "_socket"}
_FILES = {"_io", "_socket", "select"}
_CALLS = f"{os.sep}onggi{os.sep}linux{os.sep}_abi.py"  # through it goes what Python has no call for
_CALLED = {"call", "check", "uninterrupted"}
# These change nothing anywhere: killed before one of them is killed before what comes next.
_HARMLESS = {
    *(
        "CMSG_LEN",
        "CMSG_SPACE",
        "WIFEXITED",
        "WIFSIGNALED",
        "__enter__",
        "_path_normpath",
        "access",
    ),
    *("cpu_count", "detach", "fileno", "flush", "fspath", "fstat", "get_blocking", "getcwd"),
    *("get_inheritable", "get_terminal_size", "geteuid", "getpid", "getuid", "getxattr", "isatty"),
    *("listdir", "listxattr", "lseek", "lstat", "makedev", "modify", "open_code", "poll", "read"),
    *("readable", "readall", "readinto", "readline", "readlink", "reconfigure", "register"),
    *("scandir", "sched_getaffinity", "seek", "seekable", "stat", "statvfs", "tell", "uname"),
    *("unregister", "urandom", "waitstatus_to_exitcode", "writable"),
}
_SIGKILL = 9
_COUNT = struct.Struct("=Q")
_ID_BYTES = 32


class Counter:
    """Counts the calls of one process, and ends it at the one that was chosen."""

    def __init__(self, level: int, number: int, tally: str) -> None:
        self.level = level
        self.number = number
        self.pid = os.getpid()
        self.seen = 0
        with open(tally, "r+b") as file:
            self.shown = mmap.mmap(file.fileno(), _COUNT.size)  # shared with all that are forked

    def hear(self, frame: FrameType, event: str, argument: object) -> None:
        """Take note of an event (sys.setprofile)."""
        if os.getpid() != self.pid:  # a child; not every way to make one has hooks
            self.pid = os.getpid()
            self.level -= 1
            self.seen = 0
        if self.level or not _counts(frame, event, argument):
            return
        self.seen += 1
        if self.seen == self.number:
            os.kill(os.getpid(), _SIGKILL)
        if self.seen > _COUNT.unpack_from(self.shown)[0]:
            _COUNT.pack_into(self.shown, 0, self.seen)


def _counts(frame: FrameType, event: str, argument: object) -> bool:
    if event == "call":
        return frame.f_code.co_name in _CALLED and frame.f_code.co_filename.endswith(_CALLS)
    if event != "c_call":
        return False
    if getattr(argument, "__name__", "") in _HARMLESS:
        return False
    owner = type(getattr(argument, "__self__", None)).__module__
    if type(getattr(argument, "__self__", None)).__name__ == "BufferedReader":
        return False
    return getattr(argument, "__module__", None) in _MODULES or owner in _FILES


def _mark_identifiers(mark: bytes) -> None:
    random = os.urandom

    def marked(size: int) -> bytes:
        drawn = random(size)
        return mark + drawn[len(mark) :] if size == _ID_BYTES else drawn

    os.urandom = marked


def main() -> None:
    """Run the command line, counted."""
    source, level, number, tally, mark, *words = sys.argv[1:]
    sys.path.insert(0, source)
    sys.argv = ["onggi", *words]
    _mark_identifiers(bytes.fromhex(mark))
    from onggi.cli.main import main as run

    counter = Counter(int(level), int(number), tally)
    sys.setprofile(counter.hear)
    code = run()
    sys.setprofile(None)
    os._exit(code)


main()
