"""Reading ahead: the same chunks, the same failures, and no thread left."""

import threading
from collections.abc import Generator
from contextlib import closing

import pytest

from onggi.store.readahead import read_ahead


def chunks(count: int, ended: list[bool], failure: Exception | None = None) -> Generator[bytes]:
    try:
        for number in range(count):
            yield b"%d" % number
        if failure:
            raise failure
    finally:
        ended.append(True)


@pytest.mark.parametrize("count", [0, 1, 8, 9, 1000])
def test_everything_comes_in_order(count: int) -> None:
    ended: list[bool] = []
    assert list(read_ahead(chunks(count, ended))) == [b"%d" % each for each in range(count)]
    assert ended == [True]
    assert threading.active_count() == 1


def test_a_failure_comes_where_it_happened() -> None:
    got: list[bytes] = []
    with pytest.raises(ZeroDivisionError):
        got.extend(read_ahead(chunks(3, [], ZeroDivisionError())))
    assert threading.active_count() == 1


@pytest.mark.parametrize("count", [1, 5, 8, 9, 10, 20])
def test_leaving_early(count: int) -> None:
    ended: list[bool] = []
    with closing(read_ahead(chunks(count, ended))) as data:
        assert next(data) == b"0"
    assert ended == [True]
    assert threading.active_count() == 1
