"""Debian's kernels, oldest to newest, and machines that lack something: what `make test-vm` tries.

Not named as tests are, so that `make test` boots only what test_cgroup2.py boots.
"""

import pytest

from support.requirements import requires
from support.vm.kernels import fetch, own_suite
from support.vm.machine import run_tests
from support.vm.selection import SUPPORTED

pytestmark = [requires("root", "virtual-machines", "busybox"), pytest.mark.time_limit(11_000)]

LACKING = "tests/vm/inside/lacking.py::"
LONG = 3 * 3600  # on a busy machine one was too short for a large folder
BRIEFLY = 900  # about 40 on a machine that has nothing else to do
TOO_OLD = "bullseye"  # Linux 5.10
SETS = [
    pytest.param(suite, words, id=f"{suite}-{name}")
    for suite, sets in SUPPORTED.items()
    for name, words in sets.items()
]


@pytest.mark.parametrize(("suite", "words"), SETS)
def test_a_kernel_that_is_supported(suite: str, words: list[str]) -> None:
    run_tests(fetch(suite), words, seconds=LONG)


def test_a_kernel_that_is_too_old() -> None:
    run_tests(fetch(TOO_OLD), [LACKING + "test_mount_setattr"], seconds=BRIEFLY)


def test_a_kernel_whose_tmpfs_has_no_other_owners() -> None:
    run_tests(fetch("bookworm"), [LACKING + "test_idmapped_mounts_of_tmpfs"], seconds=BRIEFLY)


def test_no_overlayfs() -> None:
    lacking = [LACKING + "test_overlayfs"]
    run_tests(fetch(own_suite()), lacking, seconds=BRIEFLY, without=("overlay",))


@pytest.mark.parametrize(
    ("name", "boot"),
    [
        ("test_the_memory_controller", "cgroup_disable=memory"),
        ("test_the_pids_controller", "cgroup_disable=pids"),
        ("test_all_cgroups", "job.cgroup=none"),
        ("test_user_namespaces", "sysctl.user.max_user_namespaces=0"),
    ],
)
def test_a_kernel_that_was_told_to_do_without(name: str, boot: str) -> None:
    run_tests(fetch(own_suite()), [LACKING + name], seconds=BRIEFLY, boot=(boot,))
