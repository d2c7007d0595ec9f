"""The linters, as tests. Where a tool is missing they are skipped, but never in CI."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.repository import ROOT

SHELL_SCRIPTS = [
    ".ci/run",
    *(f"scripts/{name}" for name in ("bench", "clean", "quickstart", "setup")),
]

LINTERS = {
    "ruff-format": ["ruff", "format", "--check", "--no-cache", "."],
    "ruff-check": ["ruff", "check", "--no-cache", "."],
    "mypy": ["mypy"],
    "shellcheck": ["shellcheck", *SHELL_SCRIPTS],
}


@pytest.mark.time_limit(600)
@pytest.mark.parametrize("name", LINTERS)
def test_linter(name: str) -> None:
    program, *words = LINTERS[name]
    beside = Path(sys.executable).with_name(program)
    found = str(beside) if beside.exists() else shutil.which(program)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{program} is missing", pytrace=False)
        pytest.skip(f"needs {program}")
    done = subprocess.run(
        [found, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=590
    )
    if done.returncode:
        pytest.fail(done.stdout + done.stderr, pytrace=False)
