"""How long a file and a function may be, and what a package and a name may not."""

import ast
from pathlib import Path

import pytest

from support.repository import ROOT, SOURCE, python_files

FUNCTION_LINES = 60
FILE_LINES = 600

# A list that may only shrink. A fact table is as long as its facts.
LONG_FILES: dict[str, str] = {}

FILES = python_files("src", "tests", "bench")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_fits_in_the_head(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    if name_of(path) in LONG_FILES:
        assert lines > FILE_LINES, f"{path} needs its exemption no more"
    else:
        assert lines <= FILE_LINES, f"{path} has {lines} lines"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_function_fits_on_the_screen(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            # The signature does not count: a list of options with their defaults is no logic.
            lines = (node.end_lineno or 0) - node.body[0].lineno + 1
            assert lines <= FUNCTION_LINES, f"{path}:{node.lineno}: {node.name}: {lines} lines"


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("__init__.py")), ids=name_of)
def test_a_package_is_its_modules(path: Path) -> None:
    if path.parent != SOURCE:
        assert path.read_text() == "", f"{path} costs everybody who imports a module beside it"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_module_is_named_by_its_noun(path: Path) -> None:
    vague = {"common", "helper", "helpers", "misc", "util", "utils"}
    assert not vague & {path.stem, *path.relative_to(ROOT).parent.parts}


def test_exempted_files_exist() -> None:
    assert all((ROOT / name).exists() for name in LONG_FILES)
