"""The leak check finds what it is for; without this, a silent check would pass for a clean one."""

import os
import subprocess

from support.leaks import Machine, wait_until_clean


def test_finds_a_descriptor_left_open() -> None:
    before = Machine()
    one, other = os.pipe()
    found = Machine().new_since(before)
    assert sum(line.startswith("descriptor: ") for line in found) == 2
    os.close(one)
    os.close(other)
    assert wait_until_clean(before, seconds=5) == []


def test_finds_a_process_left_behind() -> None:
    before = Machine()
    with subprocess.Popen(["sleep", "60"]) as child:
        assert any(f"process: {child.pid} sleep 60" in line for line in Machine().new_since(before))
        child.kill()
    assert wait_until_clean(before, seconds=5) == []


def test_finds_a_process_whose_parent_is_gone() -> None:
    before = Machine()
    line = subprocess.run(
        ["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!"],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    pid = int(line.stdout)
    try:
        assert any(f"process: {pid} " in found for found in Machine().new_since(before))
    finally:
        os.kill(pid, 9)
    assert wait_until_clean(before, seconds=5) == []
