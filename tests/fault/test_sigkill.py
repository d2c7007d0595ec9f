"""Kill Onggi's processes at random moments; the next command must find everything in order.

Fifty kills, of whichever process of a command's family the dice choose, at a moment somewhere in
the time that the command takes. Afterwards one ordinary command is run, and then nothing may be
left but what is told: no cgroup, process, run directory or half-made thing that no container owns.
"""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import Onggi
from support.order import groups
from support.patience import SLOWER
from support.requirements import requires
from support.threats import withstands

pytestmark = [
    requires("root", "overlayfs", "cgroup-memory", "cgroup-pids", "busybox"),
    pytest.mark.time_limit(300),
]

DICE = random.Random(11172026)
ROUNDS = {"run --rm": 14, "run": 10, "run --detach": 10, "exec": 6, "build": 10}
PATIENCE_SECONDS = 10 * SLOWER

DOCKERFILE = """\
FROM busybox
COPY marker /
RUN echo one > /one && sleep 0.05
RUN echo two > /two
"""


@pytest.fixture
def jar(onggi: Onggi, tmp_path: Path) -> Iterator[Onggi]:
    onggi("bootstrap", "busybox")
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    yield onggi
    for line in onggi("ps", "--all", "--quiet").stdout.split():
        onggi("rm", "--force", line)


def command_of(kind: str, context: Path, number: int) -> list[str]:
    program = ["busybox", "sh", "-c", "echo begun; sleep 0.05; echo done"]
    if kind == "exec":
        return ["exec", "target", "sh", "-c", "sleep 0.05"]
    if kind == "build":
        (context / "marker").write_text(str(number))  # so that nothing is cached
        return ["build", "--quiet", "--tag", "victim", str(context)]
    return [*kind.split(), *program]


def family(pid: int) -> list[int]:
    """List a process and all that it has started and that still hang on to it."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        below = [int(child) for child in children.read_text().split()]
    except OSError:
        return []
    return [pid, *(one for child in below for one in family(child))]


def kill_one(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Let the command go on for so long, then kill it or a process below it."""
    time.sleep(DICE.uniform(0, seconds))
    victims = family(process.pid)
    if victims:
        try:
            os.kill(DICE.choice(victims), signal.SIGKILL)
        except ProcessLookupError:
            return  # it was quicker


def finish(process: "subprocess.Popen[bytes]") -> None:
    """Wait for a command whose monitor may be gone; a container may outlive it for a moment."""
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def cgroups() -> set[str]:
    """List the cgroups below the directory where containers' lie, in every hierarchy.

    Nothing tells whose they are, so they count only where nobody else makes any; which are left
    beside others' work is what test_every_window.py looks at.
    """
    if not os.environ.get("ONGGI_TEST_ALONE"):
        return set()
    return {str(one) for one in groups()}


def leftovers(onggi: Onggi, others: set[str]) -> list[str]:
    """List what no running container owns; `others` are cgroups of other stores."""
    running = set(onggi("ps", "--quiet", "--no-trunc").stdout.split())
    known = set(onggi("ps", "--all", "--quiet", "--no-trunc").stdout.split())
    found = [one for one in cgroups() - others if Path(one).name not in running]
    runs = (onggi.root / "run").iterdir()
    found += [
        str(one) for one in runs if one.name not in ("root", "boot") and one.name not in running
    ]
    found += [str(one) for one in (onggi.root / "containers").iterdir() if one.name not in known]
    found += [str(one) for one in (onggi.root / "tmp").iterdir()]
    names = {os.readlink(one) for one in (onggi.root / "names").iterdir()}
    return found + sorted(names - known)


def expect_order(onggi: Onggi, others: set[str]) -> None:
    """Run the next command; a little later nothing may be left that nobody owns."""
    onggi("ps", "--all")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while left := leftovers(onggi, others):
        assert time.monotonic() < deadline, "left behind:\n  " + "\n  ".join(left)
        time.sleep(0.05)


@pytest.mark.parametrize("kind", ROUNDS)
@withstands("killed", "SIGKILL of the command and of the monitor", "SIGKILL of a build")
def test_the_next_command_finds_everything_in_order(kind: str, jar: Onggi, tmp_path: Path) -> None:
    others = cgroups()
    if kind == "exec":
        jar("run", "--detach", "--name", "target", "busybox", "sleep", "600")
    started = time.monotonic()
    jar(*command_of(kind, tmp_path, -1))
    seconds = time.monotonic() - started
    for number in range(ROUNDS[kind]):
        line = jar.line(*command_of(kind, tmp_path, number))
        process = subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        kill_one(process, seconds)
        finish(process)
        expect_order(jar, others)
    assert jar("run", "--rm", "busybox", "echo", "well").stdout == "well\n"
    jar("images")


@withstands("killed", "SIGKILL of the command and of the monitor")
def test_a_killed_monitor_loses_no_container(jar: Onggi) -> None:
    others = cgroups()
    script = "i=0; while [ $i -lt 40 ]; do echo $i; i=$((i+1)); sleep 0.05; done; exit 7"
    jar("run", "--detach", "--name", "lasting", "busybox", "sh", "-c", script)
    pid = int(jar("inspect", "--format", "{{.State.Pid}}", "lasting").stdout)
    status = Path(f"/proc/{pid}/status").read_text()
    monitor = int(status.split("PPid:")[1].split()[0])
    os.kill(monitor, signal.SIGKILL)
    time.sleep(0.3)
    assert jar("inspect", "--format", "{{.State.Status}}", "lasting").stdout == "running\n"
    assert jar("wait", "lasting").stdout == "7\n"
    assert jar("logs", "lasting").stdout == "".join(f"{number}\n" for number in range(40))
    expect_order(jar, others)
