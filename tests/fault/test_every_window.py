"""Kill a process just before one of the things it asks of the kernel; find everything in order.

A kill at a random moment (test_sigkill.py) finds wide windows. Here the moment is counted, so that
each window can be hit: some of them, evenly spread, by default; every one with ONGGI_EVERY_WINDOW.
"""

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import Onggi
from support.order import Order
from support.repository import ROOT
from support.requirements import requires
from support.threats import withstands

pytestmark = [
    requires("root", "overlayfs", "cgroup-memory", "cgroup-pids", "busybox"),
    pytest.mark.time_limit(600),
]

EVERY = bool(os.environ.get("ONGGI_EVERY_WINDOW"))
SOME = 6
COMMAND, MONITOR, STARTER, FIRST_PROCESS = range(4)
COUNT = struct.Struct("=Q")
DOCKERFILE = "FROM busybox\nCOPY Dockerfile /\nRUN echo one > /one\nRUN echo two > /two\n"

RUN_RM = ["run", "--rm", "-v", "/unnamed", "busybox", "true"]
RUN_DETACHED = ["run", "--detach", "busybox", "sleep", "600"]
BUILD = ["build", "--quiet", "--no-cache", "--tag", "victim", "."]
REMOVE = ["rm", "--force", "--volumes", "victim"]
CASES = [
    pytest.param(RUN_RM, COMMAND, id="run --rm: the command"),
    pytest.param(RUN_RM, MONITOR, id="run --rm: the monitor"),
    pytest.param(RUN_RM, STARTER, id="run --rm: the starter"),
    pytest.param(RUN_RM, FIRST_PROCESS, id="run --rm: the first process"),
    pytest.param(RUN_DETACHED, COMMAND, id="run --detach: the command"),
    pytest.param(RUN_DETACHED, MONITOR, id="run --detach: the monitor"),
    pytest.param(RUN_DETACHED, STARTER, id="run --detach: the starter"),
    pytest.param(BUILD, COMMAND, id="build: the command"),
    pytest.param(BUILD, MONITOR, id="build: a monitor"),
    pytest.param(BUILD, STARTER, id="build: a starter"),
    pytest.param(REMOVE, COMMAND, id="rm --force --volumes: the command"),
]


class Cut:
    """Commands on one store, cut short."""

    def __init__(self, onggi: Onggi, folder: Path) -> None:
        self.onggi = onggi
        self.folder = folder
        self.mark = os.urandom(3).hex()
        self.order = Order(onggi.root, self.mark)
        self.tally = folder.parent / f"{folder.name}.tally"

    def __call__(self, words: list[str], level: int, number: int) -> int:
        """Run a command of which a process dies at its call `number`; return how many it made."""
        self.tally.write_bytes(COUNT.pack(0))
        script = str(ROOT / "tests" / "support" / "cut_short.py")
        where = [str(ROOT / "src"), str(level), str(number), str(self.tally), self.mark]
        root = ["--root", str(self.onggi.root)]
        quiet = subprocess.DEVNULL
        subprocess.run(
            [sys.executable, "-IS", script, *where, *root, *words],
            cwd=self.folder,
            stdin=quiet,
            stdout=quiet,
            stderr=quiet,
            timeout=60,
            check=False,
        )
        return int(COUNT.unpack(self.tally.read_bytes())[0])

    def prepare(self, words: list[str]) -> None:
        """Make what the command is about to remove."""
        if words is REMOVE and "victim" not in self.names():
            self.onggi("run", "-d", "--name", "victim", "-v", "/x", "busybox", "sleep", "600")

    def names(self) -> set[str]:
        return {record["name"] for record in self.order.records().values()}

    def clear(self) -> None:
        """Remove every container with its unnamed volumes."""
        left = self.onggi("ps", "--all", "--quiet").stdout.split()
        if left:
            self.onggi("rm", "--force", "--volumes", *left)


@pytest.fixture
def cut(onggi: Onggi, tmp_path: Path) -> Iterator[Cut]:
    onggi("bootstrap", "--quiet", "busybox")
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    made = Cut(onggi, folder)
    yield made
    made.clear()


def chosen(most: int) -> range:
    """Choose among the calls from 1 to `most`."""
    return range(1, most + 1, 1 if EVERY else max(1, most // SOME))


@withstands("killed", "SIGKILL just before any call of any process of a command")
@pytest.mark.parametrize(("words", "level"), CASES)
def test_whatever_call_is_the_last_the_next_command_finds_order(
    words: list[str], level: int, cut: Cut
) -> None:
    cut.prepare(words)
    most = cut(words, level, 0)
    assert most > SOME
    cut.clear()
    for number in chosen(most):
        cut.prepare(words)
        cut(words, level, number)
        cut.onggi("ps", "--all")
        try:
            cut.order.wait()
        except AssertionError as error:
            raise AssertionError(f"killed before call {number} of {most}: {error}") from None
        cut.clear()
    assert cut.onggi("run", "--rm", "busybox", "echo", "well").stdout == "well\n"


def test_a_reset_that_is_cut_short_can_be_done_again(cut: Cut) -> None:
    reset = ["system", "reset", "--force"]
    most = cut(reset, COMMAND, 0)
    for number in chosen(most):
        cut.onggi("bootstrap", "--quiet", "busybox")
        cut(RUN_DETACHED, COMMAND, 0)
        cut(reset, COMMAND, number)
        cut.onggi("system", "reset", "--force")
        assert not cut.onggi.root.exists() or not list(cut.onggi.root.iterdir())
        cut.order.wait_gone()
    cut.onggi("bootstrap", "--quiet", "busybox")
