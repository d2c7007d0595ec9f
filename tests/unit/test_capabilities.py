"""What a container holds, for all that can be asked."""

from __future__ import annotations

import pytest

from onggi.errors import InvalidInput
from onggi.linux import capability
from onggi.runtime.capabilities import DEFAULT, resolve

HELD = tuple(name for name in capability.NUMBERS if name != "CAP_WAKE_ALARM")


@pytest.fixture(autouse=True)
def _host_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process hold all capabilities but one, whoever runs the tests."""
    monkeypatch.setattr(capability, "bounding", lambda: capability.mask(HELD))


def test_default_is_dockers() -> None:
    assert resolve([], []) == DEFAULT
    assert capability.mask(DEFAULT) == 0xA80425FB  # what docker run shows as CapBnd


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        (["NET_ADMIN"], [], {*DEFAULT, "CAP_NET_ADMIN"}),
        (["cap_net_admin"], ["Chown"], {*DEFAULT, "CAP_NET_ADMIN"} - {"CAP_CHOWN"}),
        (["CHOWN"], ["CHOWN"], {*DEFAULT}),
        ([], ["ALL"], set()),
        (["CHOWN"], ["all"], {"CAP_CHOWN"}),
        (["ALL"], [], {*HELD}),
        (["ALL"], ["SYS_ADMIN"], {*HELD} - {"CAP_SYS_ADMIN"}),
        (["ALL"], ["ALL"], {*HELD}),
        ([], ["SYS_ADMIN"], {*DEFAULT}),
    ],
)
def test_adding_and_dropping(add: list[str], drop: list[str], expected: set[str]) -> None:
    assert set(resolve(add, drop)) == expected


def test_privileged_has_everything_whatever_is_dropped() -> None:
    assert resolve([], ["ALL"], privileged=True) == HELD


def test_order_is_the_kernels() -> None:
    assert resolve(["BPF", "CHOWN", "KILL"], ["ALL"]) == ("CAP_CHOWN", "CAP_KILL", "CAP_BPF")


@pytest.mark.parametrize("name", ["FLY", "CAP_", "", "CAP_ALL", "CAP CHOWN"])
def test_unknown_names_are_refused(name: str) -> None:
    for add, drop in (([name], []), ([], [name])):
        with pytest.raises(InvalidInput, match=f"unknown capability '{name}'"):
            resolve(add, drop)


def test_what_the_host_lacks_is_refused() -> None:
    with pytest.raises(InvalidInput, match="can't give the capability CAP_WAKE_ALARM"):
        resolve(["WAKE_ALARM"], [])
