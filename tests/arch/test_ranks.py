"""Each package imports only what stands lower in the house."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.repository import SOURCE, module_name, python_files

RANKS: list[set[str]] = [
    {"errors", "startup", "version"},
    {"linux", "oci"},
    {"resources", "store"},
    {"image", "registry", "runtime", "network"},
    {"build"},
    {"engine"},
    {"api", "cli"},
]
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}

# Beyond its rank: the runtime serves alone, as an OCI runtime.
FORBIDDEN = {"runtime": {"store", "image", "engine"}}

# The faces go through the Engine. What else of ours they may name: values that it takes, returns
# and raises, and the kernel facts of the face's own process, its terminal and its signals.
FACES = {
    "cli": {
        "onggi.Engine",
        "onggi.build.errors",
        "onggi.build.options",
        "onggi.build.output",
        "onggi.build.progress",
        "onggi.cli",
        "onggi.engine.ahead",
        "onggi.engine.containers.Container",
        "onggi.engine.durations",
        "onggi.engine.options",
        "onggi.engine.security.findings",
        "onggi.errors",
        "onggi.linux.control_characters",
        "onggi.linux.signals",
        "onggi.linux.terminal",
        "onggi.version",
    }
}

FILES = [path for path in python_files("src") if path.parent != SOURCE]


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_only_what_ranks_lower(path: Path) -> None:
    importer = module_name(path).split(".")[1]
    for line, target in imports_of_ours(path):
        imported = target.split(".")[1]
        if imported in RANK and imported != importer:
            where = f"{path}:{line}: {importer} imports {target}"
            assert RANK[imported] < RANK[importer], f"{where}, which does not rank lower"
            assert imported not in FORBIDDEN.get(importer, ()), f"{where}, and must stand alone"


@pytest.mark.parametrize("face", FACES)
def test_a_face_goes_through_the_engine(face: str) -> None:
    for path in python_files(f"src/onggi/{face}"):
        for line, target in imports_of_ours(path):
            allowed = any(f"{target}.".startswith(f"{name}.") for name in FACES[face])
            assert allowed, f"{path}:{line}: {face} imports {target}"


def test_every_package_has_a_rank() -> None:
    packages = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
    assert packages - {"testing"} <= set(RANK)


def imports_of_ours(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) for each import of onggi in a file, wherever it stands.

    An import for type checkers alone counts too: it shows the same knowledge.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((node.lineno, name) for name in names if name.startswith("onggi."))
