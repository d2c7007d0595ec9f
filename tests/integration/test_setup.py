"""`scripts/setup` on a copy of the checkout."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.patience import SLOWER
from support.repository import ROOT
from support.requirements import requires

pytestmark = requires("busybox", "mmdebstrap")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("src", "scripts"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def setup(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "scripts" / "setup"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60 * SLOWER,
    )


def test_leaves_the_command_and_its_bytecode(checkout: Path) -> None:
    done = setup(checkout, PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 0, done.stderr
    version = subprocess.run(
        [checkout / ".venv" / "bin" / "onggi", "--version"],
        cwd="/",
        env={},
        capture_output=True,
        text=True,
        check=True,
        timeout=10 * SLOWER,
    )
    assert version.stdout.startswith("Onggi version ")
    assert list((checkout / "src" / "onggi" / "cli" / "__pycache__").glob("main.*.pyc"))


def test_the_command_names_the_interpreter_itself(checkout: Path) -> None:
    assert setup(checkout).returncode == 0
    first = (checkout / ".venv" / "bin" / "onggi").read_text().splitlines()[0]
    interpreter = first.removeprefix("#!").removesuffix(" -IS")
    assert Path(interpreter) == Path(interpreter).resolve()
    assert Path(interpreter).read_bytes()[:4] == b"\x7fELF", "a shim costs at every start"


def test_a_second_time_is_quick_and_quiet(checkout: Path) -> None:
    assert setup(checkout).returncode == 0
    started = time.monotonic()
    done = setup(checkout)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - started < 3


def test_takes_the_interpreter_that_is_named(checkout: Path) -> None:
    assert setup(checkout, PYTHON=sys.executable).returncode == 0
    first = (checkout / ".venv" / "bin" / "onggi").read_text().splitlines()[0]
    assert f"python{sys.version_info[0]}" in first


def test_refuses_where_there_is_no_python(checkout: Path) -> None:
    done = setup(checkout, PYTHON="/nowhere/python3")
    assert done.returncode == 1
    assert "no Python 3.11 or newer" in done.stderr
