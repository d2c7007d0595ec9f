"""`Engine.containers.run` in a resident process beside `crun run` of an equal bundle.

The bundle's configuration is the very one that Onggi writes for its container, with the seccomp
profile as words, since crun compiles it at each start. What differs is in Onggi's disfavour: it
mounts the layers, where crun is given a directory, and keeps a record, a log and a monitor.
"""

import os
from collections.abc import Callable
from typing import Any

import harness
import peers
import stage
from onggi import Engine
from onggi.engine.options import ContainerOptions, Streams
from onggi.runtime.seccomp.profile import default_profile

PROMISES = [harness.Promise(15), harness.Promise(1.2, of="crun run")]


# crun 1.8 knows neither the time namespace nor the current version of the specification.
UNKNOWN_TO_PEERS = {"time"}
OLD_VERSION = {"ociVersion": "1.0.2"}


def main() -> None:
    """Measure and print."""
    with stage.prepared() as setting, setting.engine() as engine:
        contenders: dict[str, harness.Contender] = {"Engine": _run_in(engine)}
        kept = engine.containers.create(_options(remove=False))
        bundle = setting.peers.bundle(setting.rootfs, _equal_config(kept.record["config"]))
        for program in filter(peers.is_installed, ("crun", "runc")):
            line = (program, "run", "--bundle", str(bundle), f"onggi-bench-{program}")
            contenders[f"{program} run"] = setting.peers.run(*line)
        results = harness.compare(contenders)
    harness.report("the same through Engine, in a resident process", results, PROMISES)


def _options(*, remove: bool) -> ContainerOptions:
    return ContainerOptions(image=stage.IMAGE, command=["true"], network="none", remove=remove)


def _run_in(engine: Engine) -> Callable[[], None]:
    def run() -> None:
        ended = engine.containers.run(_options(remove=True), streams=Streams()).wait()
        assert ended.code == 0, f"run ended with {ended!r}"

    return run


def _equal_config(config: dict[str, Any]) -> dict[str, Any]:
    """Turn a container's configuration into one that a peer takes."""
    linux = config["linux"]
    namespaces = [one for one in linux["namespaces"] if one["type"] not in UNKNOWN_TO_PEERS]
    held = config["process"]["capabilities"]["bounding"]
    seccomp = default_profile(held, os.uname().machine)
    kept = {key: value for key, value in linux.items() if key != "timeOffsets"}
    linux = kept | {"namespaces": namespaces, "seccomp": seccomp}
    return config | OLD_VERSION | {"linux": linux}


if __name__ == "__main__":
    main()
