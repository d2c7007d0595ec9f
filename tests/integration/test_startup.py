"""What a command loads before it does anything: lists beat timings, they don't flake.

`startup/COMMAND.txt` names the modules of ours that a command may load, one a line; `STANDARD`
those of Python's library. Whoever adds to either makes everybody wait a little longer, each time.
"""

import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from support.command import Onggi
from support.oci_runtimes import OURS, OciRuntime
from support.repository import COMMAND
from support.requirements import requires

LISTS = Path(__file__).with_name("startup")

# ctypes and what it needs; C modules, which cost next to nothing.
STANDARD = {
    *("__future__", "ctypes", "ctypes._endian", "errno", "struct", "types"),
    *("_ctypes", "_json", "_sha2", "_sha256", "_signal", "_socket", "_struct"),
    *("fcntl", "gc", "marshal", "select"),
}
# os and what stands below it, which `site` loads in other interpreters anyway.
OF_OS = {"_collections_abc", "_stat", "genericpath", "ntpath", "os", "posixpath", "stat"}


def interpreter() -> list[str]:
    """Return the words of the command's own first line."""
    return COMMAND.read_text().splitlines()[0].removeprefix("#!").split()


def loaded(words: Sequence[str | Path]) -> set[str]:
    """Run Python on some words and return every module that it and its children import."""
    line = [*interpreter(), "-X", "importtime", *words]
    with tempfile.TemporaryFile("w+") as errors:  # which a container may hold open
        done = subprocess.run(
            line, stdout=subprocess.DEVNULL, stderr=errors, check=False, timeout=60
        )
        errors.seek(0)
        said = errors.read()
    assert done.returncode == 0, said
    return set(re.findall(r"^import time:.*\| +(\S+)$", said, re.MULTILINE))


def check(name: str, words: list[str | Path], command: Path = COMMAND) -> None:
    modules = loaded([command, *words]) - loaded(["-c", ""])
    ours = {module for module in modules if module.partition(".")[0] == "onggi"}
    standard = modules - ours - OF_OS - STANDARD
    assert not standard, f"{command.name} {name} loads {sorted(standard)}"
    listed = set((LISTS / f"{name}.txt").read_text().split())
    assert ours <= listed, f"{command.name} {name} loads {sorted(ours - listed)}"
    assert listed <= ours, f"{name}.txt lists what is not loaded: {sorted(listed - ours)}"


def test_version() -> None:
    check("version", ["--version"])


@requires("root")
def test_ps(onggi: Onggi) -> None:
    check("ps", ["--root", onggi.root, "ps"])


@requires("root", "overlayfs", "busybox")
def test_run(onggi: Onggi) -> None:
    onggi("bootstrap", "busybox")
    words = ["--rm", "--network", "none", "busybox", "true"]
    onggi("run", *words)  # the first container with these rights compiles their filter
    check("run", ["--root", onggi.root, "run", *words])


@requires("root", "overlayfs", "busybox")
def test_exec(onggi: Onggi) -> None:
    onggi("bootstrap", "busybox")
    onggi("run", "--detach", "--name", "idle", "busybox", "sleep", "600")
    check("exec", ["--root", onggi.root, "exec", "idle", "true"])


@requires("root", "busybox")
def test_the_runtime(root_dir: Path) -> None:
    runtime = OciRuntime("onggi", root_dir)
    name = runtime.identifier()
    bundle = runtime.bundle(name, "sleep", "600")
    before: list[str | Path] = ["--root", runtime.root]
    try:
        check("runtime-create", [*before, "create", "--bundle", bundle, name], OURS)
        check("runtime-start", [*before, "start", name], OURS)
        check("runtime-state", [*before, "state", name], OURS)
        check("runtime-kill", [*before, "kill", name, "KILL"], OURS)
        runtime.wait_until(name, "stopped")
        check("runtime-delete", [*before, "delete", name], OURS)
    finally:
        runtime.clean()
