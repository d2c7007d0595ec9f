"""This release's kernel with systemd as the first process, which has control groups of its own."""

import pytest

from support.requirements import requires
from support.vm.kernels import fetch, own_suite
from support.vm.machine import run_tests

pytestmark = requires("root", "virtual-machines", "busybox", "systemd")


@pytest.mark.time_limit(900)
def test_scopes() -> None:
    run_tests(
        fetch(own_suite()),
        ["tests/vm/inside/systemd.py"],
        seconds=800,
        must_have="root,busybox,cgroup2,runc",
        boot=("job.init=systemd",),
    )
