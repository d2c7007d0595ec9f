"""What docs/security.md claims to be tried is tried."""

import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType

import pytest

from support.repository import ROOT
from support.threats import rows, withstands

SCRIPT = ROOT / "scripts" / "threats"


@pytest.fixture(scope="module")
def threats() -> ModuleType:
    """Load the script that reads the tests' marks."""
    loader = SourceFileLoader("scripts_threats", str(SCRIPT))
    spec = spec_from_loader("scripts_threats", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_each_attack_of_each_row_is_tried(threats: ModuleType) -> None:
    untried = [f"{key}: {attack}" for (key, attack), by in threats.tried().items() if not by]
    assert not untried, "no test tries\n  " + "\n  ".join(untried)


def test_the_document_says_what_the_marks_say() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], check=False, timeout=60)
    assert done.returncode == 0, "docs/security.md is out of date: make threats"


def test_a_row_has_one_key_and_no_attack_twice() -> None:
    keys = [row.key for row in rows()]
    assert len(keys) == len(set(keys))
    for row in rows():
        assert len(row.attacks) == len(set(row.attacks))


def test_a_mark_of_no_row_is_refused() -> None:
    with pytest.raises(KeyError):
        withstands("no such row", "an attack")
    with pytest.raises(LookupError):
        withstands("cgroups", "no such attack")
    with pytest.raises(LookupError):
        withstands("cgroups")
