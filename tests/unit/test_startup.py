"""Starting fast must not mean starting something else: the bundle, and when it is left alone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.repository import SOURCE

TELL = "import onggi.errors as module; print(type(module.__loader__).__name__, module.__file__)"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Copy the modules that starting takes, and bundle them."""
    copy = tmp_path / "onggi"
    copy.mkdir()
    for name in ("__init__.py", "startup.py", "bundle.py", "errors.py"):
        shutil.copy(SOURCE / name, copy / name)
    run(copy, "from onggi import bundle; bundle.write()")
    return copy


def run(package: Path, code: str) -> str:
    line = f"import sys; sys.path.insert(0, {str(package.parent)!r}); {code}"
    done = subprocess.run(
        [sys.executable, "-IS", "-c", line], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def prepared(package: Path, code: str) -> str:
    return run(package, f"from onggi.startup import prepare; prepare(); {code}")


def test_a_module_comes_from_the_bundle_and_knows_where_its_source_lies(package: Path) -> None:
    assert prepared(package, TELL) == f"Finder {package}/errors.py"


def test_a_module_that_changed_since_does_not(package: Path) -> None:
    (package / "errors.py").write_text("NEW = 1\n")
    code = "import onggi.errors; print(onggi.errors.NEW)"
    assert prepared(package, code) == "1"


def test_a_module_that_only_looks_newer_does_not(package: Path) -> None:
    os.utime(package / "errors.py", ns=(1, 1))
    assert prepared(package, TELL) == f"SourceFileLoader {package}/errors.py"


def test_a_module_that_is_gone_is_not_there(package: Path) -> None:
    (package / "errors.py").unlink()
    with pytest.raises(subprocess.CalledProcessError) as failed:
        prepared(package, TELL)
    assert "ModuleNotFoundError" in failed.value.stderr


@pytest.mark.parametrize("content", [b"", b"another Python's", None])
def test_without_a_bundle_of_this_python_it_is_as_before(
    content: bytes | None, package: Path
) -> None:
    (bundle,) = package.glob("__pycache__/*.bundle")
    bundle.unlink()
    if content is not None:
        bundle.write_bytes(content)
    assert prepared(package, TELL) == f"SourceFileLoader {package}/errors.py"


@pytest.mark.parametrize("then", ["bundle.write()", "os.unlink(startup.BUNDLE)"])
def test_a_bundle_replaced_meanwhile_misleads_nobody(package: Path, then: str) -> None:
    """As when a program that is still running imports something after an upgrade."""
    (package / "before_errors.py").write_text("NEW = 1\n")
    code = f"import os; from onggi import bundle, startup; {then}; {TELL}; print(module.NotFound)"
    told = prepared(package, code).splitlines()
    assert told[0].endswith(f" {package}/errors.py")
    assert told[1] == "<class 'onggi.errors.NotFound'>"


def test_tracebacks_show_the_source(package: Path) -> None:
    (package / "errors.py").write_text("def fail() -> None:\n    raise OSError('here')\n")
    run(package, "from onggi import bundle; bundle.write()")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        prepared(package, "import onggi.errors; onggi.errors.fail()")
    assert "raise OSError('here')" in failed.value.stderr
