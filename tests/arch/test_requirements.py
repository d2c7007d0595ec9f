"""What tests say that they need can be looked for, also where they run elsewhere."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.repository import ROOT, python_files
from support.requirements import is_met

FILES = [path for path in python_files("tests") if "requires(" in path.read_text()]


def required(path: Path) -> Iterator[str]:
    """Yield the names that a file's calls of `requires` give."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "requires":
            yield from (str(arg.value) for arg in node.args if isinstance(arg, ast.Constant))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_requirement_is_known(path: Path) -> None:
    for name in required(path):
        is_met(name)  # raises LookupError for a name that stands for nothing


BY_USERS = [
    path
    for path in FILES
    if re.search(r"^ +with ordinary_user\(", path.read_text(), re.MULTILINE)
    and not path.is_relative_to(ROOT / "tests" / "vm")  # which has the distribution's
]


@pytest.mark.parametrize("path", BY_USERS, ids=lambda path: path.stem)
def test_an_ordinary_user_needs_a_python_to_run(path: Path) -> None:
    assert "shared-python" in required(path)
