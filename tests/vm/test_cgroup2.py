"""This release's kernel with cgroup v2 alone, briefly: `make test-vm` tries more, and others."""

import pytest

from support.requirements import requires
from support.vm.kernels import fetch, own_suite
from support.vm.machine import run_tests

pytestmark = requires("root", "virtual-machines", "busybox")

SAME = "tests/integration/test_explain.py::test_the_script_makes_the_same_container"

CHANGED = "tests/conformance/test_runtime_resources.py::test_device_rules_of_a_running_container"


@pytest.mark.time_limit(900)
def test_limits_and_devices_hold() -> None:
    selection = ["tests/vm/inside/only_v2.py", f"{SAME}[half a processor and 64 MiB]", CHANGED]
    run_tests(fetch(own_suite()), selection, seconds=800)


@pytest.mark.time_limit(900)
def test_delegated_limits_hold() -> None:
    run_tests(fetch(own_suite()), ["tests/vm/inside/rootless.py"], seconds=800)
