"""The proportional set size of what looks after an idle container.

Pages that several processes share are counted in equal parts, so the figure is what one more
container costs. Source: proc_pid_smaps(5), "Pss".
"""

import time
from pathlib import Path

import harness
import stage
from onggi.engine.options import ContainerOptions

SETTLED_SECONDS = 3.0


def main() -> None:
    """Measure and print."""
    with stage.prepared() as setting:
        idle = ("--detach", "--network", "none", "--name", "commanded")
        setting.onggi("run", *idle, stage.IMAGE, "sleep", "3600")()
        with setting.engine() as engine:
            engine.containers.run(
                ContainerOptions(
                    image=stage.IMAGE, command=["sleep", "3600"], name="launched", detach=True
                )
            )
            time.sleep(SETTLED_SECONDS)  # an idle container is one that nothing happens to
            commanded = proportional_megabytes(monitor_of(setting, "commanded"))
            launched = proportional_megabytes(monitor_of(setting, "launched"))
    print("monitor of an idle container, MB of proportional set size")
    print(f"  {'started by a command':<24}{commanded:10.2f}")
    print(harness.Promise(4.5).judge(commanded, {}, "MB"))
    print(f"  {'forked by a launcher':<24}{launched:10.2f}")
    print(harness.Promise(1).judge(launched, {}, "MB"))
    print(flush=True)


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
