"""Checkpoints on this release's kernel, which this release's criu knows; briefly.

The machine's own kernel may be another one. `make test-vm` tries all of them, on others too.
"""

import pytest

from support.requirements import requires
from support.vm.kernels import fetch, own_suite
from support.vm.machine import MUST_HAVE, run_tests

pytestmark = requires("root", "virtual-machines", "busybox")

SOME = "it_goes_on or connections or a_terminal or privileges or pre_dump or users_of"


@pytest.mark.time_limit(900)
def test_containers_go_on() -> None:
    selection = ["tests/conformance/test_runtime_checkpoint.py", "-k", f"({SOME}) and not runc"]
    must_have = f"{MUST_HAVE},criu,criu-connections,capability-sys-resource"
    run_tests(fetch(own_suite()), selection, seconds=800, must_have=must_have)
