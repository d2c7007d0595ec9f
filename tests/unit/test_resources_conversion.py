"""The runtimes' formulas from v1 to v2, at the points that their sources name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onggi.resources.conversion import (
    SHARES_MOST,
    blkio_to_io_weight,
    shares_to_weight,
    swap_beyond_memory,
)


@pytest.mark.parametrize(
    ("shares", "weight"), [(0, 1), (2, 1), (1024, 100), (262144, 10000), (1 << 20, 10000)]
)
def test_shares_at_the_ends_and_the_default(shares: int, weight: int) -> None:
    assert shares_to_weight(shares) == weight


@given(st.integers(0, SHARES_MOST + 1000), st.integers(0, SHARES_MOST + 1000))
def test_more_shares_never_weigh_less(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert 1 <= shares_to_weight(low) <= shares_to_weight(high) <= 10000


def test_blkio_weight_at_the_ends() -> None:
    assert blkio_to_io_weight(10) == 1
    assert blkio_to_io_weight(1000) == 10000
    assert blkio_to_io_weight(500) == 4950


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_more_blkio_weight_never_weighs_less(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert 1 <= blkio_to_io_weight(low) <= blkio_to_io_weight(high) <= 10000


def test_swap_is_what_goes_beyond_memory() -> None:
    assert swap_beyond_memory(300, 100) == 200
    assert swap_beyond_memory(100, 100) == 0
    assert swap_beyond_memory(-1, 100) == -1
    assert swap_beyond_memory(100, -1) == 100
