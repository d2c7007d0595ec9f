"""An OCI runtime as an ordinary user calls it, with bundles that are that user's."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from support.oci_runtimes import OURS, Json, OciRuntime
from support.ordinary import CHECKOUT, FIRST_ID, IDS, UID, Ordinary
from support.repository import ROOT

ALONE = [{"containerID": 0, "hostID": UID, "size": 1}]
MANY = [*ALONE, {"containerID": 1, "hostID": FIRST_ID, "size": IDS}]


def mapping(config: Json, lines: list[Json]) -> None:
    """Give a container these IDs of the host's."""
    config["linux"]["uidMappings"] = config["linux"]["gidMappings"] = lines


def rootless(config: Json) -> None:
    """Have a container ask for no more than an ordinary user has."""
    linux = config["linux"]
    del linux["cgroupsPath"], linux["resources"]
    kept = [one for one in linux["namespaces"] if one["type"] not in ("network", "cgroup")]
    linux["namespaces"] = [*kept, {"type": "user"}]
    mapping(config, ALONE)


def install(user: Ordinary) -> Path:
    """Put our command where the user finds it."""
    path = user.home / "bin/onggi-runtime"
    path.write_text(OURS.read_text().replace(str(ROOT), CHECKOUT))
    path.chmod(0o755)
    return path


class UserRuntime(OciRuntime):
    """A runtime's command, run by the user. `before` is run by root around it, if it is set."""

    def __init__(self, name: str, user: Ordinary) -> None:
        super().__init__(name, user.home)
        self.user = user
        self.before: list[str] = []
        user.env["XDG_RUNTIME_DIR"] = str(user.home / "run")
        self.own("mkdir", user.home / "run")
        install(user)
        self.root = user.home / "run" / ("onggi-runtime" if name == "onggi" else "runc")

    def own(self, *words: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run a program as the user, which must succeed."""
        done = self.user.run(*words)
        assert done.returncode == 0, done.stderr
        return done

    def line(self, *words: str | Path) -> list[str]:
        """Return the command line for some words."""
        program = self.user.home / "bin/onggi-runtime" if self.name == "onggi" else "runc"
        return [*self.before, *self.user.as_user(program, *words)]

    def bundle(
        self, identifier: str, *args: str, change: Callable[[Json], object] = lambda _config: None
    ) -> Path:
        """Lay a bundle out as OciRuntime does, for the user and by his rights."""

        def both(config: Json) -> None:
            rootless(config)
            change(config)

        path = super().bundle(identifier, *args, change=both)
        subprocess.run(["chown", "-R", f"{UID}:{UID}", path], check=True)
        return path

    def clean(self) -> None:
        """Remove every container that a test made."""
        self.before = []
        for identifier in self.made:
            self.attempt("delete", "--force", identifier)
