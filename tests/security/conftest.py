"""Tests of this folder get the runtime command as well."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.calls import calls_in
from support.oci_runtimes import OciRuntime


@pytest.fixture
def ours(root_dir: Path) -> Iterator[OciRuntime]:
    """Give `onggi-runtime` on a directory of its own; its containers are removed afterwards."""
    made = OciRuntime("onggi", root_dir)
    yield made
    made.clean()


@pytest.fixture(scope="session")
def calls_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the program that tries call after call."""
    return calls_in(tmp_path_factory.mktemp("calls"))
