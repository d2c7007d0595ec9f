"""Moments and sizes, with the values of go-units' own tests."""

import pytest

from onggi.cli.output import human


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1kB"),
        (1024, "1.02kB"),
        (1_000_000, "1MB"),
        (74_812_345, "74.8MB"),
        (4_261_502, "4.26MB"),
        (3.42 * 10**9, "3.42GB"),
        (10**21, "1e+03EB"),
    ],
)
def test_size(count: float, text: str) -> None:
    assert human.size(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0B"), (1023, "1023B"), (1024, "1KiB"), (134_217_728, "128MiB"), (1.5 * 2**30, "1.5GiB")],
)
def test_binary_size(count: float, text: str) -> None:
    assert human.binary_size(count) == text


def test_ago() -> None:
    assert human.ago(1000, 1180) == "3 minutes ago"
    assert human.ago(0, 1180) == "N/A"


def test_times(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        assert human.local_time(1769848200) == "2026-01-31 09:30:00 +0100 CET"
        assert human.iso_time(1769848200) == "2026-01-31T09:30:00+01:00"
    finally:
        monkeypatch.undo()
        time.tzset()
