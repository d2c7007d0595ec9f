"""`onggi cp` of ten thousand small files beside `podman cp`: into a running container, and back."""

import shutil
from collections.abc import Callable
from pathlib import Path

import harness
import peers
import stage

NAME = "idle"
IDLE = ("--detach", "--network", "none", "--name", NAME)
FILES, PER_DIRECTORY = 10_000, 100
ROUNDS = min(harness.ROUNDS, 5)  # of seconds each
Command = Callable[..., harness.Contender]


def main() -> None:
    """Measure and print."""
    with stage.prepared() as setting:
        tree = _tree(setting.work / "tree")
        setting.onggi("run", *IDLE, stage.IMAGE, "sleep", "3600")()
        commands: dict[str, Command] = {"onggi cp": setting.onggi}
        if peers.is_installed("podman"):
            setting.peers.import_image(setting.archive, stage.IMAGE)
            line = ("run", *IDLE, *peers.LIMITS, stage.IMAGE, "sleep", "3600")
            setting.peers.podman(*line)()
            commands["podman cp"] = setting.peers.podman
        inward = {name: _copy_in(command, tree) for name, command in commands.items()}
        results = [harness.compare(inward, rounds=ROUNDS)]
        outward = {name: _copy_out(command, setting.work) for name, command in commands.items()}
        results.append(harness.compare(outward, rounds=ROUNDS))
        if len(commands) > 1:
            setting.peers.podman("rm", "--force", "--time", "0", NAME)()
    third = harness.Promise(0.334, of="podman cp")
    for title, one in zip(("in", "out"), results, strict=True):
        harness.report(f"cp of {FILES} small files, {title}", one, [third])


def _tree(top: Path) -> Path:
    for number in range(FILES):
        place = top / f"{number // PER_DIRECTORY:03}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"file-{number}").write_text(f"the contents of file {number}\n" * 10)
    return top


def _copy_in(command: Command, tree: Path) -> harness.Contender:
    """Copy to the same place again and again, as one who edits does."""
    return command("cp", f"{tree}/.", f"{NAME}:/tmp")


def _copy_out(command: Command, work: Path) -> harness.Contender:
    target = work / "out"
    copy = command("cp", f"{NAME}:/tmp/.", str(target))

    def run() -> None:
        shutil.rmtree(target, ignore_errors=True)
        copy()

    return run


if __name__ == "__main__":
    main()
