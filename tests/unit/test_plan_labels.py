"""Where a confinement by AppArmor or SELinux stands among the steps; what it makes of mounts."""

from typing import Any

import pytest

from onggi.runtime.command import staging
from onggi.runtime.plan import labels, mounts
from onggi.runtime.plan.process import plan_identity
from onggi.runtime.steps import process
from onggi.runtime.steps.base import Step
from onggi.runtime.steps.labels import ConfineProgram, LabelKeys, LabelMount
from onggi.runtime.steps.mounts import MountFilesystem
from onggi.runtime.steps.waiting import AwaitStart

LABEL = "system_u:system_r:container_t:s0:c1,c2"
FILE_LABEL = "system_u:object_r:container_file_t:s0:c1,c2"


def identity(**members: Any) -> list[Step]:
    spec = {"args": ["true"], **members}
    return plan_identity(spec, program=b"8 bytes.", program_flags=0, keyring="jar", init=False)


def kinds(steps: list[Step]) -> list[type[Step]]:
    wanted = (ConfineProgram, process.LoadFilter, AwaitStart, process.Execute)
    return [type(step) for step in steps if isinstance(step, wanted)]


@pytest.mark.parametrize("restricted", [True, False])
def test_the_wish_comes_before_the_filter(restricted: bool) -> None:
    steps = identity(selinuxLabel=LABEL, noNewPrivileges=restricted)
    assert kinds(steps) == [ConfineProgram, process.LoadFilter, process.Execute]
    assert ConfineProgram(LABEL, apparmor=False) in steps


@pytest.mark.parametrize("restricted", [True, False])
def test_nothing_of_it_is_held_while_a_process_waits(restricted: bool) -> None:
    stage = staging.Stage(passed_fds=0, keyring=True, listener_fd=9)
    steps = identity(apparmorProfile="mine", noNewPrivileges=restricted)
    staged = staging.program_steps(steps, stage, terminal=False)
    assert kinds(staged) == [AwaitStart, ConfineProgram, process.LoadFilter, process.Execute]


def test_the_keyring_is_made_with_the_label() -> None:
    steps = identity(selinuxLabel=LABEL)
    assert steps[:1] == [LabelKeys(LABEL)]
    assert isinstance(steps[1], process.NewKeyring)
    assert not [step for step in identity(apparmorProfile="mine") if isinstance(step, LabelKeys)]


def test_without_a_label_there_is_no_step() -> None:
    assert labels.plan_confinement({"apparmorProfile": "", "selinuxLabel": ""}) == []
    assert ConfineProgram not in kinds(identity())


def mounted(*entries: dict[str, Any]) -> list[Step]:
    config = {"mounts": list(entries), "linux": {"mountLabel": FILE_LABEL}}
    return mounts.plan_mounts(config, ())


def test_new_file_systems_have_the_mount_label() -> None:
    (step,) = mounted({"destination": "/tmp", "type": "tmpfs", "options": ["nosuid"]})
    assert isinstance(step, MountFilesystem)
    assert step.options == ("nosuid", f"context={FILE_LABEL}")


def test_queues_are_labelled_afterwards() -> None:
    steps = mounted({"destination": "/dev/mqueue", "type": "mqueue"})
    assert steps[1:] == [LabelMount("/dev/mqueue", FILE_LABEL)]


@pytest.mark.parametrize("kind", ["proc", "sysfs"])
def test_what_the_kernel_shows_is_not(kind: str) -> None:
    (step,) = mounted({"destination": "/x", "type": kind})
    assert isinstance(step, MountFilesystem)
    assert step.options == ()


def test_what_is_bound_keeps_its_own() -> None:
    plain = mounted({"destination": "/x", "source": "/y", "type": "bind"})
    assert FILE_LABEL not in repr(plain)
