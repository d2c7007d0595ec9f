"""Where things lie in the checkout that the tests run from."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "onggi"
COMMAND = ROOT / ".venv" / "bin" / "onggi"


def python_files(*folders: str) -> list[Path]:
    """List the Python files below some folders of the checkout, in order."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    """Name the module that a file below src/ is imported as."""
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
