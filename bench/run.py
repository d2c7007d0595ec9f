"""`onggi run` beside `podman run`: a command in a new container, which is removed after it."""

import harness
import peers
import stage

PROMISES = [harness.Promise(60), harness.Promise(0.25, of="podman run")]


def main() -> None:
    """Measure and print."""
    with stage.prepared() as setting:
        run = ("run", "--rm", "--network", "none")
        contenders = {"onggi run": setting.onggi(*run, stage.IMAGE, "true")}
        if peers.is_installed("podman"):
            setting.peers.import_image(setting.archive, stage.IMAGE)
            line = (*run, *peers.LIMITS, stage.IMAGE, "true")
            contenders["podman run"] = setting.peers.podman(*line)
        results = harness.compare(contenders)
    harness.report("run --rm --network none busybox true", results, PROMISES)


if __name__ == "__main__":
    main()
