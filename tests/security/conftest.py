"""Tests of this folder get the runtime command as well."""

from pathlib import Path

import pytest

from support.calls import calls_in
from support.runtime_fixtures import ours

__all__ = ["calls_program", "ours"]


@pytest.fixture(scope="session")
def calls_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the program that tries call after call."""
    return calls_in(tmp_path_factory.mktemp("calls"))
