"""What a process shows of its command line, read as others read it."""

import os
import subprocess
import sys
from pathlib import Path

from onggi.linux import command_line, process
from support.child import run_in_child
from support.repository import ROOT
from support.requirements import requires

pytestmark = requires("root")


def shown() -> bytes:
    return Path("/proc/self/cmdline").read_bytes()


def test_it_reads_as_it_was_told_to() -> None:
    def body() -> None:
        before = shown()
        assert command_line.show(b"onggi-runtime init") == before
        assert shown().rstrip(b"\0") == b"onggi-runtime init"
        assert command_line.show(before).rstrip(b"\0") == b"onggi-runtime init"
        assert shown() == before

    run_in_child(body)


def test_it_needs_no_right() -> None:
    def body() -> None:
        process.set_dumpable(False)
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        command_line.show(b"nobody's")
        assert shown().rstrip(b"\0") == b"nobody's"

    run_in_child(body)


def test_what_is_too_long_is_cut_and_the_environment_stays_untold() -> None:
    def body() -> None:
        room = len(shown())
        command_line.show(b"x" * (room + 100))
        assert shown() == b"x" * (room - 1) + b"\0"
        command_line.show(b"")
        assert shown() == bytes(room)

    run_in_child(body)


def test_a_parent_is_left_as_it_was() -> None:
    script = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from onggi.linux import command_line\n"
        "if os.fork() == 0: command_line.show(b'child'); os._exit(0)\n"
        "os.wait(); print(open('/proc/self/cmdline').read().endswith('secret\\0'))"
    )
    line = [sys.executable, "-c", script, str(ROOT / "src"), "secret"]
    told = subprocess.run(line, capture_output=True, text=True, check=True)
    assert told.stdout == "True\n"
