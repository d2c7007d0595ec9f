"""How variables of several sources come together."""

from onggi.engine.environment import assignments, merged


def test_the_last_source_counts_and_the_first_place_is_kept() -> None:
    values = merged(["A=1", "B=2"], ["A=3", "C=x=y", "D="])
    assert assignments(values) == ["A=3", "B=2", "C=x=y", "D="]


def test_a_name_alone_unsets() -> None:
    assert merged(["A=1", "B=2"], ["A", "C"]) == {"B": "2"}
    assert merged(["A=1"], ["A", "A=2"]) == {"A": "2"}
