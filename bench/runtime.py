"""`onggi-runtime create`, `start` and `delete` beside runc's and crun's on the same bundle.

The bundle is what an engine asks for: every namespace but the user's, masked paths, limits, and the
default seccomp profile as words. The program waits, so that `delete --force` has something to end.
What separates us from crun is laid out below the table: how long each of our commands takes, how
much of it an interpreter takes that does nothing, and one that only imports.
"""

import os
import tempfile
from pathlib import Path

import harness
import peers
import stage
from onggi.runtime import spec
from onggi.runtime.seccomp.profile import default_profile

RUNTIME = harness.CHECKOUT / ".venv" / "bin" / "onggi-runtime"
PROMISES = [harness.Promise(0.9, of="runc")]
CAPABILITIES = ["CAP_CHOWN", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_NET_BIND_SERVICE"]


def main() -> None:
    """Measure and print."""
    with stage.prepared() as setting, tempfile.TemporaryDirectory() as place:
        bundle = setting.peers.bundle(setting.rootfs, configuration())
        programs = {"onggi-runtime": str(RUNTIME), "runc": "runc", "crun": "crun"}
        lives = {
            name: Life(program, bundle, Path(place) / name, setting.peers)
            for name, program in programs.items()
            if name == "onggi-runtime" or peers.is_installed(program)
        }
        results = harness.compare({name: life.whole for name, life in lives.items()})
        harness.report("create, start and delete a container", results, PROMISES)
        for name, life in lives.items():
            stages = harness.compare({word: life.stage(word) for word in Life.WORDS})
            harness.report(f"the same by command: {name}", ordered(stages), [])
    tell_interpreter()


class Life:
    """A runtime's commands on one bundle, which is created anew in each round."""

    WORDS = ("create", "start", "state", "kill", "delete")

    def __init__(self, program: str, bundle: Path, root: Path, where: peers.Peers) -> None:
        self._line = [program, "--root", str(root)]
        self._bundle = str(bundle)
        self._where = where
        self._name = f"onggi-bench-{os.getpid()}"

    def whole(self) -> None:
        """Create, start and delete."""
        for word in ("create", "start", "delete"):
            self._do(word)

    def stage(self, word: str) -> harness.Contender:
        """Return one command, for rounds in which each has its turn in the order of a life."""
        return lambda: self._do(word)

    def _do(self, word: str) -> None:
        words = {
            "create": ["create", "--bundle", self._bundle, self._name],
            "kill": ["kill", self._name, "URG"],
            "delete": ["delete", "--force", self._name],
        }.get(word, [word, self._name])
        self._where.run_detached(*self._line, *words)


def ordered(samples: list[harness.Samples]) -> list[harness.Samples]:
    """Return samples with the longest first."""
    return sorted(samples, key=lambda one: -one.median)


def configuration() -> dict[str, object]:
    """Return what an engine asks for."""
    kinds = tuple(kind for kind in spec.NAMESPACES if kind != "time")  # crun 1.8 does not know it
    process = spec.process(
        args=["/bin/busybox", "sleep", "600"],
        env=[f"PATH={spec.PATH}"],
        cwd="/",
        user={"uid": 0, "gid": 0},
        capabilities=CAPABILITIES,
    )
    linux = spec.linux(namespaces=kinds, privileged=False)
    linux["cgroupsPath"] = f"/onggi/bench-{os.getpid()}"
    linux["resources"] |= {"memory": {"limit": 1 << 28}, "pids": {"limit": 100}}
    linux["seccomp"] = default_profile(CAPABILITIES, os.uname().machine)
    return {
        "ociVersion": "1.0.2",
        "process": process,
        "hostname": "jar",
        "mounts": spec.mounts(own_network=True),
        "linux": linux,
    }


def tell_interpreter() -> None:
    """Print what of our commands is the interpreter, and what importing."""
    python = RUNTIME.read_text().splitlines()[0].removeprefix("#!").split()
    source = f"import sys; sys.path.insert(0, {str(harness.CHECKOUT / 'src')!r}); "
    prepare = source + "from onggi.startup import prepare; prepare(); "
    imports = prepare + "import onggi.runtime.command.main, onggi.runtime.command."
    results = harness.compare(
        {
            "imports of create": harness.command([*python, "-c", imports + "create"]),
            "imports of state": harness.command([*python, "-c", imports + "status"]),
            "interpreter alone": harness.command([*python, "-c", ""]),
        }
    )
    harness.report("of which", results, [])


if __name__ == "__main__":
    main()
