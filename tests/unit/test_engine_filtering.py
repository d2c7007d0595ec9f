"""`--filter` of listings: what each key lets pass, and what is refused."""

from types import SimpleNamespace
from typing import Any

import pytest

from onggi.engine.filtering import (
    InvalidFilter,
    UnknownFilter,
    container_filter,
    image_filter,
    matching,
)
from onggi.oci.reference import Reference

ENGINE: Any = SimpleNamespace(
    store=SimpleNamespace(
        containers=SimpleNamespace(resolve=lambda name: name, load=lambda _name: {"created_ns": 5})
    )
)


def container(name: str = "web", **other: Any) -> Any:
    record = {
        "labels": {"tier": "front", "empty": ""},
        "options": {"network": "none"},
        "mounts": [{"Name": "data", "Source": "/v/data", "Destination": "/data"}],
        "created_ns": 10,
        "image_id": "sha256:" + "ab" * 32,
    }
    status, code = other.pop("status", "running"), other.pop("code", 0)
    state = SimpleNamespace(exit_code=code)
    return SimpleNamespace(
        id="4c01db0b339c" + "0" * 52, name=name, status=status, state=state, record=record | other
    )


def passes(one: Any, **filters: list[str]) -> bool:
    return container_filter(filters, ENGINE)(one)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("id", "4c01", True),
        ("id", "^4c01db0b339c0", True),
        ("id", "ffff", False),
        ("name", "we", True),
        ("name", "^web$", True),
        ("name", "^/web", True),
        ("name", "^eb", False),
        ("label", "tier", True),
        ("label", "tier=front", True),
        ("label", "tier=back", False),
        ("label", "empty=", True),
        ("label", "none", False),
        ("status", "running", True),
        ("status", "exited", False),
        ("exited", "0", False),
        ("network", "none", True),
        ("network", "host", False),
        ("volume", "data", True),
        ("volume", "/data", True),
        ("volume", "other", False),
        ("since", "older", True),
        ("before", "older", False),
    ],
)
def test_each_key(key: str, value: str, expected: bool) -> None:
    assert passes(container(), **{key: [value]}) is expected


def test_values_of_one_key_are_alternatives() -> None:
    assert passes(container(), status=["exited", "running"])
    assert passes(container("job"), name=["web", "job"])


def test_all_labels_hold() -> None:
    assert not passes(container(), label=["tier=front", "none"])


def test_several_keys_all_hold() -> None:
    assert not passes(container(), name=["web"], status=["exited"])


def test_an_exit_code_counts_once_it_has_ended() -> None:
    assert passes(container(status="exited", code=137), exited=["1", "137"])
    assert not passes(container(status="exited", code=2), exited=["137"])


@pytest.mark.parametrize(
    ("key", "value"), [("status", "sleeping"), ("exited", "badly"), ("name", "(")]
)
def test_values_that_make_no_sense(key: str, value: str) -> None:
    with pytest.raises(InvalidFilter, match=f"invalid filter '{key}="):
        container_filter({key: [value]}, ENGINE)


def test_unknown_keys_are_named_with_the_known() -> None:
    with pytest.raises(UnknownFilter, match=r"invalid filter 'colour' \(there are ancestor, "):
        container_filter({"colour": ["red"]}, ENGINE)
    with pytest.raises(UnknownFilter, match="invalid filter 'status'"):
        image_filter({"status": ["running"]}, ENGINE)


def image(**fields: Any) -> Any:
    return SimpleNamespace(**{"dangling": False, "labels": {}, "references": (), **fields})


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("1", True), ("False", False)])
def test_dangling(value: str, expected: bool) -> None:
    assert image_filter({"dangling": [value]}, ENGINE)(image(dangling=True)) is expected


def test_dangling_is_a_truth_value() -> None:
    with pytest.raises(InvalidFilter, match="true or false"):
        image_filter({"dangling": ["perhaps"]}, ENGINE)


def test_labels_of_images() -> None:
    found = image_filter({"label": ["a=b"]}, ENGINE)
    assert found(image(labels={"a": "b"}))
    assert not found(image(labels={"a": "c"}))


NAMES = [Reference.parse(name) for name in ("busybox", "a/b:1", "host.example:5000/a/b:2")]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("busybox", ["busybox:latest"]),
        ("busy*", ["busybox:latest"]),
        ("*:latest", ["busybox:latest"]),
        ("*", ["busybox:latest"]),
        ("*/*", ["a/b:1"]),
        ("*/*/*", ["host.example:5000/a/b:2"]),
        ("a/?:[12]", ["a/b:1"]),
        ("a/b", ["a/b:1"]),
        ("b", []),
        ("busy.ox", []),
    ],
)
def test_names_match_as_paths_do(pattern: str, found: list[str]) -> None:
    assert [one.familiar for one in matching(NAMES, [pattern])] == found


def test_a_pattern_that_is_none() -> None:
    with pytest.raises(InvalidFilter, match="no pattern"):
        matching(NAMES, ["[z-a]"])
