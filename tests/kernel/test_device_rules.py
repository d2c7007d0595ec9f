"""Device rules that are changed while a process tries them, on v1 and on v2."""

import os
import stat
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.linux import bpf, cgroup
from onggi.linux.cgroup import Hierarchy
from onggi.linux.fd import Fd
from onggi.resources import device_program, devices
from onggi.runtime.plan.device_change import plan_device_change
from onggi.runtime.steps.base import Context, Step
from onggi.runtime.steps.cgroups import AttachDeviceProgram, WriteSetting
from support.patience import SLOWER
from support.requirements import requires

pytestmark = requires("root")

DENIED = (1, 11)  # /dev/kmsg, which everybody may open to write, as far as the kernel cares
ALLOWED = (1, 5)
COMMON = [*devices.DEFAULT_RULES]
FIRST = [*COMMON, {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rw"}]
SECOND = [*COMMON, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "r"}]
TURNS = 300


def is_v1(hierarchy: Hierarchy) -> bool:
    return hierarchy.version == 1 and "devices" in hierarchy.controllers


@pytest.fixture(
    params=[
        pytest.param(1, marks=pytest.mark.requires("cgroup-devices")),
        pytest.param(2, marks=pytest.mark.requires("cgroup2")),
    ]
)
def group(request: pytest.FixtureRequest) -> Iterator[tuple[Hierarchy, str]]:
    """Give a cgroup of the test's own that obeys the first list of rules."""
    wanted = request.param
    hierarchy = next(
        one for one in cgroup.hierarchies() if (one.version == 2 if wanted == 2 else is_v1(one))
    )
    path = f"{hierarchy.mountpoint}/onggi-test-{uuid.uuid4().hex[:12]}"
    cgroup.make(path)
    try:
        apply(_first(hierarchy, path))
        yield hierarchy, path
    finally:
        cgroup.clear(path)


def _first(hierarchy: Hierarchy, path: str) -> list[Step]:
    if hierarchy.version == 2:
        return [AttachDeviceProgram(path, device_program.device_program(FIRST))]
    return [WriteSetting(path, line) for line in devices.plan_v1(FIRST, hierarchy)]


def apply(steps: list[Step]) -> None:
    for step in steps:
        step.apply(Context())


def change(group: tuple[Hierarchy, str], before: list[dict[str, object]], after: object) -> None:
    apply(plan_device_change(before, after, [group], cgroup.read))  # type: ignore[arg-type]


def node(directory: Path, numbers: tuple[int, int]) -> str:
    path = directory / f"{numbers[0]}-{numbers[1]}"
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(*numbers))
    return str(path)


def opens(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY))
    except PermissionError:
        return False
    return True


def try_on(path: str, nodes: tuple[str, str], ready: int) -> None:
    """Enter a cgroup, and try two devices until something is wrong; never returns."""
    try:
        cgroup.write(f"{path}/cgroup.procs", os.getpid())
        os.write(ready, b"in")
        denied, allowed = nodes
        while True:
            if opens(denied):
                os._exit(3)
            if not opens(allowed):
                os._exit(4)
    finally:
        os._exit(5)


def test_at_no_moment_is_more_or_less_allowed(group: tuple[Hierarchy, str], tmp_path: Path) -> None:
    nodes = (node(tmp_path, DENIED), node(tmp_path, ALLOWED))
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try_on(group[1], nodes, writer)
    os.close(writer)
    try:
        assert os.read(reader, 2) == b"in"
        before, after = FIRST, SECOND
        deadline = time.monotonic() + 10 * SLOWER
        for _ in range(TURNS):
            change(group, before, after)
            before, after = after, before
            assert time.monotonic() < deadline
        gone = os.waitpid(child, os.WNOHANG)
        assert gone == (0, 0), f"exit status {os.waitstatus_to_exitcode(gone[1])}"
    finally:
        os.close(reader)
        cgroup.kill(group[1])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9


def test_the_change_takes_hold(group: tuple[Hierarchy, str], tmp_path: Path) -> None:
    path = node(tmp_path, DENIED)
    kernel_log = {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "w"}

    def inside() -> bool:
        child = os.fork()
        if child == 0:
            cgroup.write(f"{group[1]}/cgroup.procs", os.getpid())
            os._exit(not opens(path))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    assert not inside()
    change(group, FIRST, [*FIRST, kernel_log])
    assert inside()
    change(group, [*FIRST, kernel_log], FIRST)
    assert not inside()


@requires("cgroup2")
def test_one_program_stays_of_ours_and_others_keep_theirs() -> None:
    hierarchy = next(one for one in cgroup.hierarchies() if one.version == 2)
    path = f"{hierarchy.mountpoint}/onggi-test-{uuid.uuid4().hex[:12]}"
    cgroup.make(path)
    try:
        with Fd(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as directory:
            change((hierarchy, path), [], FIRST)
            (first,) = bpf.attached_cgroup_device(directory)
            change((hierarchy, path), FIRST, SECOND)
            (second,) = bpf.attached_cgroup_device(directory)
            assert first != second
            with Fd(bpf.open_program(second)) as program:
                assert bpf.program_name(program) == bpf.DEVICE_PROGRAM
    finally:
        cgroup.remove(path)
