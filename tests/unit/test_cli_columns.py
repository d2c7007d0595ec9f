"""Columns as Go's tabwriter makes them for Docker."""

from onggi.cli.output.columns import aligned, short_id, shortened


def test_columns_are_at_least_ten_wide_and_three_apart() -> None:
    rows = [["CONTAINER ID", "IMAGE", "NAMES"], ["0123456789ab", "busybox", "web"]]
    assert aligned(rows) == [
        "CONTAINER ID   IMAGE     NAMES",
        "0123456789ab   busybox   web",
    ]


def test_the_last_column_is_not_padded() -> None:
    assert aligned([["A", "B"], ["a" * 12, "b" * 30]]) == [
        "A".ljust(15) + "B",
        "a" * 12 + "   " + "b" * 30,
    ]


def test_rows_of_different_length() -> None:
    assert aligned([["A"], ["a", "b", "c"]]) == ["A", "a         b         c"]


def test_nothing() -> None:
    assert aligned([]) == []
    assert aligned([[]]) == [""]


def test_shortened() -> None:
    assert shortened("sleep 1000", 10) == "sleep 1000"
    assert shortened("sleep 10000", 10) == "sleep 100…"


def test_short_id() -> None:
    assert short_id("sha256:0123456789abcdef") == "0123456789ab"
