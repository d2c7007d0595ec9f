"""The process that forks for threaded programs, asked what it cannot be asked."""

import os
import socket
import subprocess

from onggi import startup
from onggi.linux import channel


def test_a_request_that_was_cut_short_is_dropped_and_the_next_one_served() -> None:
    ours, theirs = channel.pair()
    command = [*startup.program("onggi.runtime.launcher"), str(theirs)]
    process = subprocess.Popen(command, pass_fds=(theirs,), stderr=subprocess.PIPE)
    os.close(theirs)
    answers, asked = channel.pair()
    with socket.socket(fileno=os.dup(ours)) as raw:
        too_long = b"L" * (channel.MOST_BYTES + 1)
        socket.send_fds(raw, [too_long], [asked])
    os.close(asked)
    assert channel.receive(answers) == (b"", [])  # whoever asked hears that nobody is there
    os.close(answers)
    assert process.poll() is None
    answers, asked = channel.pair()
    empty = os.memfd_create("entry")
    os.write(empty, b"{}")
    os.lseek(empty, 0, os.SEEK_SET)
    channel.send(ours, b"E", (asked, empty, 0, 1, 2))
    os.close(asked)
    os.close(empty)
    assert channel.receive(answers)[0].startswith(b"failed\0host\0")
    os.close(answers)
    os.close(ours)
    _, complaints = process.communicate(timeout=20)
    assert (process.returncode, complaints) == (0, b"")
