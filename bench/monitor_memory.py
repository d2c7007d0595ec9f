"""The proportional set size of what looks after an idle container.

Pages that several processes share are counted in equal parts, so the figure is what one more
container costs: therefore each kind has COUNT of them, and the middle one is told. Beside them
stands an interpreter that does nothing, since nothing written in Python can have less.

Source: proc_pid_smaps(5), "Pss".
"""

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import harness
import stage
from onggi.engine.options import ContainerOptions

COUNT = int(os.environ.get("COUNT", "50"))
SETTLED_SECONDS = 3.0
IDLE = ["sleep", "3600"]


def main() -> None:
    """Measure and print."""
    with stage.prepared() as setting, setting.engine() as engine, bare_interpreters() as bare:

        def by_command(name: str) -> None:
            line = ("run", "--detach", "--network", "none", "--name", name, stage.IMAGE, *IDLE)
            setting.onggi(*line)()

        def by_launcher(name: str) -> None:
            options = ContainerOptions(image=stage.IMAGE, command=IDLE, name=name, detach=True)
            engine.containers.run(options)

        commanded = [*monitors(setting, "commanded", by_command)]
        launched = [*monitors(setting, "launched", by_launcher)]
        time.sleep(SETTLED_SECONDS)  # an idle container is one that nothing happens to
        sizes = [median_megabytes(pids) for pids in (commanded, launched, bare)]
    print(f"monitor of an idle container, MB of proportional set size, median of {COUNT}")
    print(f"  {'started by a command':<24}{sizes[0]:10.2f}")
    print(harness.Promise(4.5).judge(sizes[0], {}, "MB"))
    print(f"  {'forked by a launcher':<24}{sizes[1]:10.2f}")
    print(harness.Promise(1).judge(sizes[1], {}, "MB"))
    print(f"  {'(a bare interpreter)':<24}{sizes[2]:10.2f}")
    print(flush=True)


def monitors(setting: stage.Stage, kind: str, start: Callable[[str], None]) -> Iterator[int]:
    """Start COUNT containers and yield the process that looks after each."""
    for number in range(COUNT):
        start(f"{kind}-{number}")
        yield monitor_of(setting, f"{kind}-{number}")


@contextlib.contextmanager
def bare_interpreters() -> Iterator[list[int]]:
    """Run COUNT interpreters, of the kind that commands use, which wait for their input to end."""
    interpreter = harness.COMMAND.read_text().split(None, 1)[0].removeprefix("#!")
    line = [interpreter if os.path.exists(interpreter) else sys.executable, "-IS", "-c"]
    line.append("import os, time; os.read(0, 1)")
    running = [subprocess.Popen(line, stdin=subprocess.PIPE) for _ in range(COUNT)]
    try:
        yield [one.pid for one in running]
    finally:
        for one in running:
            one.communicate()


def median_megabytes(pids: list[int]) -> float:
    """Return the middle one of their proportional set sizes."""
    return statistics.median(map(proportional_megabytes, pids))


def monitor_of(setting: stage.Stage, name: str) -> int:
    """Find the process that waits for a container's first one: its parent."""
    state = setting.inspect(name)["State"]
    assert isinstance(state, dict)
    fields = Path(f"/proc/{state['Pid']}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1])


def proportional_megabytes(pid: int) -> float:
    """Read a process's proportional set size."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise LookupError(f"process {pid} has no Pss")


if __name__ == "__main__":
    main()
