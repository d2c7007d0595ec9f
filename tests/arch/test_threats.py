"""What docs/security.md claims to be tried is tried."""

import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType

import pytest

from support.repository import ROOT
from support.threats import BAD_LUCK, BUNDLE, FROM_INSIDE, INSIDE, rows, withstands

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


def test_what_comes_from_inside_is_tried_from_inside_and_by_a_bundle(threats: ModuleType) -> None:
    proofs = threats.tried()
    for row in FROM_INSIDE:
        ways = {one.way for attack in row.attacks for one in proofs[row.key, attack]}
        assert INSIDE in ways, f"nothing tries {row.key} from inside of a container"
        assert (BUNDLE in ways) != bool(row.no_bundle), f"{row.key}: a bundle, or why none can"


def test_bad_luck_is_tried(threats: ModuleType) -> None:
    proofs = threats.tried()
    assert all(proofs[row.key, attack] for row in BAD_LUCK for attack in row.attacks)


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
    with pytest.raises(LookupError):
        withstands("cgroups", "cgroup files are written", by="no such way")
