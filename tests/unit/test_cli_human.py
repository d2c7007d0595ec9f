"""Durations and sizes, with the values of go-units' own tests."""

import pytest

from onggi.cli.output import human
from onggi.engine.durations import duration

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.45, "Less than a second"),
        (1, "1 second"),
        (1.9, "1 second"),
        (45, "45 seconds"),
        (46.9, "46 seconds"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (3 * MINUTE, "3 minutes"),
        (35 * MINUTE, "35 minutes"),
        (59 * MINUTE + 59, "59 minutes"),
        (HOUR, "About an hour"),
        (HOUR + 29 * MINUTE, "About an hour"),
        (HOUR + 31 * MINUTE, "2 hours"),
        (45 * HOUR, "45 hours"),
        (48 * HOUR, "2 days"),
        (14 * DAY - 1, "2 weeks"),
        (7 * DAY, "7 days"),
        (16 * DAY, "2 weeks"),
        (50 * DAY, "7 weeks"),
        (60 * DAY, "2 months"),
        (3 * 30 * DAY, "3 months"),
        (24 * 30 * DAY, "24 months"),
        (24 * 30 * DAY + 2 * 7 * DAY, "2 years"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


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
