"""Durations in words, with the values of go-units' own tests."""

import pytest

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
