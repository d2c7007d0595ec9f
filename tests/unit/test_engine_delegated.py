"""The part of the cgroup tree that an ordinary user was given."""

import os

from onggi.engine.rootless import delegated


def test_of_a_process_that_has_just_ended_none_is_found() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    assert delegated.around(pid, "onggi/it") == []
