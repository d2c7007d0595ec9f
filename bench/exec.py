"""`onggi exec` beside `podman exec`, as commands; then through `Engine` in this process."""

from collections.abc import Callable

import harness
import peers
import stage
from onggi import Engine
from onggi.engine.options import ExecOptions

NAME = "idle"
IDLE = ("--detach", "--network", "none", "--name", NAME)


def main() -> None:
    """Measure and print."""
    with stage.prepared() as setting:
        setting.onggi("run", *IDLE, stage.IMAGE, "sleep", "3600")()
        contenders = {"onggi exec": setting.onggi("exec", NAME, "true")}
        with_podman = peers.is_installed("podman")
        if with_podman:
            setting.peers.import_image(setting.archive, stage.IMAGE)
            line = ("run", *IDLE, *peers.LIMITS, stage.IMAGE, "sleep", "3600")
            setting.peers.podman(*line)()
            contenders["podman exec"] = setting.peers.podman("exec", NAME, "true")
        results = harness.compare(contenders)
        if with_podman:
            setting.peers.podman("rm", "--force", "--time", "0", NAME)()
        with setting.engine() as engine:
            resident = harness.compare({"Engine": _exec_in(engine)})
    harness.report("exec CONTAINER true", results, [harness.Promise(45)])
    harness.report("the same through Engine", resident, [harness.Promise(8)])


def _exec_in(engine: Engine) -> Callable[[], None]:
    container = engine.containers.get(NAME)

    def run() -> None:
        ended = container.exec(ExecOptions(command=["true"])).wait()
        assert ended.code == 0, f"exec ended with {ended!r}"

    return run


if __name__ == "__main__":
    main()
