"""Moments as `logs` takes and prints them."""

import time

import pytest

from onggi.cli.moments import moment, stamp
from onggi.cli.options import UsageError

SECOND = 10**9
NOW = 1_769_848_200 * SECOND  # 2026-01-31T08:30:00Z


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        ("42m", NOW // SECOND - 42 * 60),
        ("1h30m", NOW // SECOND - 5400),
        ("1.5h", NOW // SECOND - 5400),
        ("10s", NOW // SECOND - 10),
        ("1769848200", NOW // SECOND),
        ("2026-01-31T08:30:00Z", NOW // SECOND),
        ("2026-01-31T09:30:00+01:00", NOW // SECOND),
    ],
)
def test_moments(raw: str, seconds: int) -> None:
    assert moment("--since", raw, NOW) == seconds * SECOND


def test_parts_of_a_second() -> None:
    assert moment("--since", "1.000000001", NOW) == SECOND + 1
    assert moment("--since", "1.5", NOW) == SECOND + SECOND // 2
    assert moment("--since", "250ms", NOW) == NOW - SECOND // 4
    assert moment("--since", "2026-01-31T08:30:00.25Z", NOW) == NOW + SECOND // 4


def test_times_without_a_zone_are_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XST-2")
    time.tzset()
    try:
        assert moment("--since", "2026-01-31T10:30:00", NOW) == NOW
        assert moment("--since", "2026-01-31", NOW) == NOW - (10 * 60 + 30) * 60 * SECOND
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("raw", ["yesterday", "10", "10x", "m", "1.2.3", "2026-13-01", "-5m", "٣m"])
def test_refusals(raw: str) -> None:
    if raw == "10":
        assert moment("--since", raw, NOW) == 10 * SECOND
        return
    with pytest.raises(UsageError, match=f'invalid argument "{raw}" for "--until" flag: expected'):
        moment("--until", raw, NOW)


def test_stamp() -> None:
    assert stamp(NOW + 7) == "2026-01-31T08:30:00.000000007Z"
