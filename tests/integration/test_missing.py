"""What is said where the host lacks something: one line that names it, Docker's exit code, no rest.

Here a filter makes single system calls disappear, and another user comes along; kernels that lack
whole features are booted in tests/vm.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.linux.syscall_table import TABLES
from support.box import Box
from support.command import Words
from support.places import store_parent
from support.repository import SOURCE
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "busybox", "seccomp")

WITHOUT_CALL = Path(__file__).parents[1] / "support" / "without_call.py"


def without(box: Box, call: str, *words: Words) -> subprocess.CompletedProcess[str]:
    """Run the command where a system call does not exist."""
    number = TABLES[os.uname().machine][call]
    first = [sys.executable, "-IS", WITHOUT_CALL, SOURCE.parent, str(number)]
    command = [*map(str, first), *box.line(*words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("mount_setattr", "no mount_setattr (Linux 5.12): containers can't start"),
        ("fsopen", "no mount API by descriptors (Linux 5.2): containers can't start"),
        ("seccomp", "no seccomp filters: system calls of containers can't be limited"),
        ("clone3", "this kernel has no clone3(2)"),
        ("close_range", "this kernel has no close_range(2)"),
        ("pidfd_open", "no pidfd (Linux 5.3): containers can't be waited for"),
    ],
)
def test_a_system_call_that_is_missing_is_named(box: Box, call: str, said: str) -> None:
    done = without(box, call, "run", "--rm", "busybox", "true")
    assert done.returncode == 125
    assert done.stderr.startswith(f"onggi: cannot start the container: {said} (")
    assert done.stderr.count("\n") == 1
    assert box("ps", "-aq").stdout == ""


@pytest.mark.parametrize("call", ["openat2", "memfd_create"])
def test_what_is_missed_before_the_start_is_named_too(box: Box, call: str) -> None:
    done = without(box, call, "run", "--rm", "busybox", "true")
    assert (done.returncode, done.stderr) == (125, f"onggi: this kernel has no {call}(2)\n")
    assert box("ps", "-aq").stdout == ""


@pytest.fixture
def place_for_all() -> Iterator[Path]:
    """Give a copy of the package that everybody may read, wherever the checkout lies."""
    with tempfile.TemporaryDirectory(prefix="onggi-test-", dir=store_parent()) as place:
        os.chmod(place, 0o755)
        shutil.copytree(SOURCE, Path(place, "onggi"))
        yield Path(place)


def as_nobody(box: Box, place: Path, *words: Words) -> subprocess.CompletedProcess[str]:
    """Run the command as a user without rights."""
    code = (
        f"import sys; sys.path.insert(0, {str(place)!r}); "
        "from onggi.cli.main import main; sys.exit(main())"
    )
    line = [os.path.realpath(sys.executable), "-ISc", code, *box.line(*words)[1:]]
    return subprocess.run(
        line,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        user=65534,
        group=65534,
        extra_groups=[],
    )


@pytest.mark.parametrize("words", [("run", "--rm", "busybox", "true"), ("ps",), ("images",)])
def test_a_store_of_roots_is_nobody_elses(
    box: Box, place_for_all: Path, words: tuple[str, ...]
) -> None:
    done = as_nobody(box, place_for_all, *words)
    assert done.returncode == (125 if words[0] == "run" else 1)
    assert "belongs to another user (each user has a store of their own)" in done.stderr
    assert done.stderr.count("\n") == 1
