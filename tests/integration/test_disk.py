"""What takes how much of the disk, and removing what nobody uses."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.box import Box
from support.command import root_of_module
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "cgroup-memory", "cgroup-cpu", "cgroup-pids", "busybox")

KB = 1000
CACHED = """FROM busybox
RUN head -c 300000 /dev/zero > /z
RUN --mount=type=cache,target=/c head -c 70000 /dev/zero > /c/k
"""


@pytest.fixture
def jar() -> Iterator[Box]:
    command = Box(root_of_module("disk"))
    command("bootstrap", "busybox")
    yield command
    command.empty()
    command("system", "reset", "--force")


def written(jar: Box, name: str, count: int, *options: str, place: str = "/x") -> None:
    jar(
        "run",
        "--name",
        name,
        *options,
        "busybox",
        "sh",
        "-c",
        f"head -c {count} /dev/zero >{place}",
    )


def found(jar: Box) -> dict[str, Any]:
    with jar.engine() as engine:
        return engine.system.df()


def kinds(jar: Box) -> dict[str, list[str]]:
    style = "{{.Type}}|{{.TotalCount}}|{{.Active}}|{{.Size}}|{{.Reclaimable}}"
    lines = jar("system", "df", "--format", style).stdout.splitlines()
    return {kind: rest for kind, *rest in (line.split("|") for line in lines)}


def test_a_layer_of_two_images_is_counted_once(jar: Box) -> None:
    (base,) = found(jar)["Images"]
    written(jar, "a", 400 * KB)
    jar("commit", "a", "bigger")
    seen = found(jar)
    sizes = {one["RepoTags"][0]: (one["Size"], one["SharedSize"]) for one in seen["Images"]}
    assert sizes["bigger:latest"] == (base["Size"] + 400 * KB, base["Size"])
    assert seen["LayersSize"] == base["Size"] + 400 * KB
    assert sum(size for size, _ in sizes.values()) == 2 * base["Size"] + 400 * KB


def test_each_kind_has_its_line(jar: Box, tmp_path: Path) -> None:
    written(jar, "ended", 200 * KB, "-v", "data:/d")
    written(jar, "filled", 5 * KB, "-v", "data:/d", place="/d/y")
    jar.up("--name", "runs")
    jar("volume", "create", "spare")
    (tmp_path / "Dockerfile").write_text(CACHED)
    jar("build", "-q", "-t", "t", str(tmp_path))
    jar("rmi", "t")
    shown = kinds(jar)
    assert shown["Images"][:2] == ["1", "1"]
    assert shown["Containers"] == ["3", "1", "200kB", "200kB (100%)"]
    assert shown["Local Volumes"] == ["2", "1", "5kB", "0B (0%)"]
    assert shown["Build Cache"] == ["2", "0", "370kB", "370kB (100%)"]
    detailed = jar("system", "df", "-v").stdout
    for text in ("SHARED SIZE", "ended", "spare", "exec.cachemount   70kB"):
        assert text in detailed


def test_containers_that_do_not_run_are_pruned(jar: Box) -> None:
    jar("create", "--name", "made", "--label", "keep=1", "busybox")
    written(jar, "ended", 3 * KB)
    running = jar.up("--name", "runs")
    paused = jar.up("--name", "held")
    jar("pause", "held")
    refused = jar.attempt("container", "prune")
    assert refused.returncode == 125
    assert "add --force" in refused.stderr
    assert jar("container", "prune", "-f", "--filter", "until=1h").stdout.endswith("0B\n")
    kept = jar("container", "prune", "-f", "--filter", "label!=keep").stdout
    assert kept.splitlines()[0] == "Deleted Containers:"
    assert kept.endswith("Total reclaimed space: 3kB\n")
    assert jar("ps", "-aq").stdout.split() != []
    jar("container", "prune", "--force")
    left = jar("ps", "-aq", "--no-trunc").stdout.split()
    assert sorted(left) == sorted([running, paused])
    bad = jar.attempt("container", "prune", "-f", "--filter", "name=x")
    assert bad.returncode == 1
    jar("unpause", "held")


def test_all_that_nobody_uses_is_pruned(jar: Box, tmp_path: Path) -> None:
    jar.up("--name", "runs", "-v", "named:/d")
    written(jar, "ended", KB, "-v", "/anonymous")
    jar("commit", "ended", "other")
    jar("rm", "ended")
    (tmp_path / "Dockerfile").write_text(CACHED)
    jar("build", "-q", "-t", "t", str(tmp_path))
    jar("rmi", "t")
    said = jar("system", "prune", "-f").stdout
    assert "other" not in said
    assert kinds(jar)["Build Cache"][0] == "0"
    assert len(jar("volume", "ls", "-q").stdout.split()) == 2
    jar("system", "prune", "-f", "--volumes")
    assert jar("volume", "ls", "-q").stdout == "named\n"
    said = jar("system", "prune", "-a", "-f").stdout
    assert "untagged: other:latest" in said
    assert jar("images", "-q").stdout.split() == jar("images", "-q", "busybox").stdout.split()
    assert jar.see("runs", ".State.Running") == "true"


def test_the_api_shape(jar: Box) -> None:
    written(jar, "a", KB, "-v", "data:/d")
    seen = found(jar)
    assert set(seen) == {"LayersSize", "Images", "Containers", "Volumes", "BuildCache"}
    assert seen["Volumes"][0]["UsageData"] == {"Size": 0, "RefCount": 1}
    assert seen["Containers"][0]["SizeRw"] == KB
    json.dumps(seen)
