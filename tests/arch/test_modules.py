"""What of the standard library the kernel layer and the runtime may import.

Both run where every import is waited for, and the runtime between fork and exec.
"""

import ast
import sys
from pathlib import Path

import pytest

from support.repository import SOURCE, module_name, python_files

# At the top of a module, where everybody pays. The cost of each is in CONTRIBUTING.md.
# Those of the second line are written in C and cost next to nothing: the halves of `signal` and
# `socket` that do the work, without the enumerations around them.
HOT = {"errno", "json", "os", "stat", "struct", "sys", "time"} | {
    "_signal",
    "_socket",
    "fcntl",
    "select",
}

# Inside a function, where only those pay who need it.
COLD = HOT | {"array", "binascii", "gc", "resource", "signal", "socket", "termios"}

# Beside those, what writes a report may use what it needs: nobody's container waits for it.
REPORTS = {
    SOURCE / "runtime" / "script.py": {"gzip"},
    SOURCE / "runtime" / "command" / "matching.py": {"re"},
}

# ctypes is one file's business.
DOOR = SOURCE / "linux" / "_abi.py"

FILES = python_files("src/onggi/linux", "src/onggi/runtime")


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_only_allowed_modules(path: Path) -> None:
    tree = ast.parse(path.read_text())
    allowed_everywhere = {"ctypes"} if path == DOOR else set()
    top = standard_imports(run_at_import(tree))
    assert top <= HOT | allowed_everywhere, f"at the top of {path}: {top - HOT}"
    inside = standard_imports(list(ast.walk(tree))) - typing_only(tree)
    allowed = COLD | allowed_everywhere | REPORTS.get(path, set())
    assert inside <= allowed, f"in {path}: {inside - allowed}"


@pytest.mark.parametrize("path", python_files("src"), ids=module_name)
def test_only_one_file_uses_ctypes(path: Path) -> None:
    if path != DOOR:
        assert "ctypes" not in standard_imports(list(ast.walk(ast.parse(path.read_text()))))


def test_the_lists_name_real_modules() -> None:
    assert set(sys.stdlib_module_names) >= COLD


def run_at_import(tree: ast.Module) -> list[ast.AST]:
    """List the statements that run when a module is imported, but for `if TYPE_CHECKING`."""
    return [node for node in tree.body if not is_typing_block(node)]


def typing_only(tree: ast.Module) -> set[str]:
    """Name the modules that only type checkers see imported."""
    blocks = [node for node in tree.body if is_typing_block(node)]
    return standard_imports([inner for block in blocks for inner in ast.walk(block)])


def is_typing_block(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def standard_imports(nodes: list[ast.AST]) -> set[str]:
    """Name the modules that are not ours among those that some statements import."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found - {"onggi", "__future__"}
