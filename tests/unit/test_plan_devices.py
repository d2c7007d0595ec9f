"""When /dev is filled: only where it is the container's own."""

from typing import Any

import pytest

from onggi.runtime import spec
from onggi.runtime.plan.mounts import plan_devices


def config(*mounts: dict[str, Any]) -> dict[str, Any]:
    device = {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}
    return {"mounts": list(mounts), "linux": {"devices": [device]}}


def test_filled_where_it_is_new() -> None:
    steps = [
        step.describe()
        for step in plan_devices(config(*spec.mounts(own_network=True)), mapped=False)
    ]
    assert "make the device /dev/null (c 1:3)" in steps
    assert "make the device /dev/fuse (c 10:229)" in steps
    assert "link /dev/ptmx to pts/ptmx" in steps


@pytest.mark.parametrize(
    "mount",
    [
        {"destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind"]},
        {"destination": "/dev", "type": "none", "source": "/dev", "options": ["bind", "ro"]},
        {"destination": "/dev", "source": "/dev", "options": ["rbind"]},
        {"destination": "/data", "type": "tmpfs", "source": "tmpfs"},
    ],
)
@pytest.mark.parametrize("mapped", [False, True])
def test_nothing_is_made_in_what_is_the_hosts(mount: dict[str, Any], mapped: bool) -> None:
    assert plan_devices(config(mount), mapped=mapped) == []
