"""A command line that is killed just before the Nth thing it asks of the kernel.

    python -IS cut_short.py SOURCE LEVEL NUMBER TALLY WORD...

runs `onggi WORD...`; LEVEL says which of its processes is to die: 0 is the command, 1 what it
forks (a monitor), 2 what that forks (a container's first process). NUMBER counts, from one and in
that process, the calls that may have an effect outside of it: those of the C modules below, those
of files, and those of `onggi.linux`. With NUMBER 0 nobody dies, and each process of that level
writes how many it made to the file TALLY.

A kill at a random moment finds the wide windows; this finds every one.
"""

import os
import sys
from types import FrameType

_MODULES = {"posix", "fcntl", "select", "_socket"}
_FILES = {"_io", "_socket", "select"}
_LINUX = f"{os.sep}onggi{os.sep}linux{os.sep}"
_SIGKILL = 9


class Counter:
    """Counts the calls of one process, and ends it at the one that was chosen."""

    def __init__(self, level: int, number: int, tally: str) -> None:
        self.level = level
        self.number = number
        self.tally = tally
        self.seen = 0

    def child(self) -> None:
        """Go on in a child of fork."""
        self.level -= 1
        self.seen = 0

    def hear(self, frame: FrameType, event: str, argument: object) -> None:
        """Take note of an event (sys.setprofile)."""
        if self.level or not _counts(frame, event, argument):
            return
        self.seen += 1
        if self.seen == self.number:
            os.kill(os.getpid(), _SIGKILL)
        if not self.number and getattr(argument, "__name__", "") in ("_exit", "execv"):
            self.write()

    def write(self) -> None:
        """Write down how many there were; of several processes the last to do so counts."""
        if self.level == 0:
            with open(self.tally, "w", encoding="ascii") as file:
                file.write(str(self.seen))


def _counts(frame: FrameType, event: str, argument: object) -> bool:
    if event == "call":
        return _LINUX in frame.f_code.co_filename
    if event != "c_call":
        return False
    owner = type(getattr(argument, "__self__", None)).__module__
    return getattr(argument, "__module__", None) in _MODULES or owner in _FILES


def main() -> None:
    """Run the command line, counted."""
    source, level, number, tally, *words = sys.argv[1:]
    sys.path.insert(0, source)
    sys.argv = ["onggi", *words]
    from onggi.cli.main import main as run

    counter = Counter(int(level), int(number), tally)
    os.register_at_fork(after_in_child=counter.child)
    sys.setprofile(counter.hear)
    code = run()
    sys.setprofile(None)
    if not counter.number:
        counter.write()
    os._exit(code)


main()
