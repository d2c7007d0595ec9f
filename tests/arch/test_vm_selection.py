"""What `make test-vm` is to try is there: a set would notice the absence only after an hour."""

import pytest

from support.repository import ROOT
from support.vm.selection import SUPPORTED

SETS = [(suite, name) for suite, sets in SUPPORTED.items() for name in sets]


@pytest.mark.parametrize(("suite", "name"), SETS)
def test_what_is_to_be_tried_on_a_kernel_is_there(suite: str, name: str) -> None:
    chosen = SUPPORTED[suite][name]
    assert chosen
    assert [one for one in chosen if not (ROOT / one).exists()] == []


@pytest.mark.parametrize("suite", SUPPORTED)
def test_nothing_is_tried_twice_on_a_kernel(suite: str) -> None:
    chosen = [one for words in SUPPORTED[suite].values() for one in words]
    assert sorted(set(chosen)) == sorted(chosen)
