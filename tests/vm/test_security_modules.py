"""This release's kernel with AppArmor in force, and with SELinux."""

import pytest

from support.requirements import requires
from support.vm.kernels import fetch, own_suite
from support.vm.machine import run_tests

pytestmark = requires("root", "virtual-machines", "busybox", "runc")


@requires("apparmor")
@pytest.mark.time_limit(900)
def test_profiles_of_apparmor() -> None:
    run_tests(
        fetch(own_suite()),
        ["tests/vm/inside/apparmor.py"],
        seconds=800,
        must_have="root,busybox,cgroup2,apparmor,runc",
        boot=("apparmor=1", "security=apparmor"),
    )


@requires("selinux")
@pytest.mark.time_limit(900)
def test_labels_of_selinux() -> None:
    run_tests(
        fetch(own_suite()),
        ["tests/vm/inside/selinux.py"],
        seconds=800,
        must_have="root,busybox,cgroup2,selinux,runc",
        boot=("selinux=1", "security=selinux", "enforcing=0"),
    )
