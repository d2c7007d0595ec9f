"""Runtimes for the tests of a folder: its conftest names those that it wants."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.oci_runtimes import OURS, OciRuntime


@pytest.fixture(
    params=[pytest.param("onggi"), pytest.param("runc", marks=pytest.mark.requires("runc"))]
)
def runtime(request: pytest.FixtureRequest, root_dir: Path) -> Iterator[OciRuntime]:
    """Give a runtime on a directory of its own; its containers are removed afterwards."""
    if not OURS.exists():
        pytest.fail(f"{OURS} is missing: make setup", pytrace=False)
    made = OciRuntime(request.param, root_dir)
    yield made
    made.clean()


@pytest.fixture
def ours(root_dir: Path) -> Iterator[OciRuntime]:
    """Give our runtime alone, for what others do differently."""
    made = OciRuntime("onggi", root_dir)
    yield made
    made.clean()
