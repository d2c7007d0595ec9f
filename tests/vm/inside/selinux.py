"""SELinux's labels on a kernel that enforces a policy: run by tests/vm in a machine that does.

The policy is as small as the kernel takes one, and all that it does not speak of is allowed. What
is expected of ours is expected of runc too.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.oci_runtimes import OURS, Json, OciRuntime
from support.programs import compiled
from support.requirements import requires

pytestmark = requires("root", "busybox", "selinux", "runc", "compiler")

SELINUX = Path("/sys/fs/selinux")
RUN = "entrypoint execute execute_no_trans read write append open getattr setattr map ioctl lock"
# One type of programs that may do everything, and one whose programs make no files.
POLICY = f"""
(handleunknown allow)
(policycap nnp_nosuid_transition)
(policycap open_perms)
(mls true)
(sid kernel) (sid security) (sid unlabeled)
(sidorder (kernel security unlabeled))
(class process (transition dyntransition))
(class file ({RUN} create unlink))
(class dir (relabelfrom relabelto))
(classorder (process file dir))
(sensitivity s0) (sensitivityorder (s0))
(category c0) (category c1) (category c2) (categoryorder (c0 c1 c2))
(sensitivitycategory s0 (range c0 c2))
(level low (s0)) (level high (s0 (range c0 c2))) (levelrange every (low high))
(user system_u) (role system_r) (role object_r)
(userrole system_u system_r) (userrole system_u object_r)
(userlevel system_u low) (userrange system_u every)
(type kernel_t) (type unlabeled_t) (type free_t) (type strict_t) (type file_t)
(typeattribute programs) (typeattributeset programs (kernel_t free_t strict_t))
(typeattribute everything)
(typeattributeset everything (kernel_t unlabeled_t free_t strict_t file_t))
(roletype system_r programs) (roletype object_r everything)
(context of_kernel (system_u system_r kernel_t (low high)))
(context of_unlabeled (system_u object_r unlabeled_t (low high)))
(sidcontext kernel of_kernel) (sidcontext security of_kernel) (sidcontext unlabeled of_unlabeled)
(fsuse trans mqueue of_unlabeled)
(allow programs programs (process (transition dyntransition)))
(allow kernel_t everything (file (all)))
(allow kernel_t everything (dir (all)))
(allow free_t everything (file (all)))
(allow strict_t everything (file ({RUN})))
"""
FREE = "system_u:system_r:free_t:s0:c1,c2"
STRICT = "system_u:system_r:strict_t:s0:c1,c2"
FILES = "system_u:object_r:file_t:s0:c1,c2"
SHOW = ("cat", "/proc/self/attr/current")
KEYRING = r"""
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
    char label[256] = "";
    if (syscall(SYS_keyctl, 17 /* KEYCTL_GET_SECURITY */, -3 /* of the session */, label, 255) < 0)
        perror("keyctl");
    return puts(label) < 0;
}
"""


@pytest.fixture(scope="module", autouse=True)
def policy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    assert OURS.exists()
    place = tmp_path_factory.mktemp("policy")
    (place / "policy.cil").write_text(POLICY)
    compiler = ["secilc", "-o", "policy", "-f", "contexts", "policy.cil"]
    subprocess.run(compiler, cwd=place, check=True, timeout=120)
    subprocess.run(["mount", "-t", "selinuxfs", "selinuxfs", SELINUX], check=True, timeout=60)
    (SELINUX / "load").write_bytes((place / "policy").read_bytes())
    (SELINUX / "enforce").write_text("1")
    yield
    (SELINUX / "enforce").write_text("0")
    subprocess.run(["umount", SELINUX], check=True, timeout=60)


def labelled(label: str, **process: object) -> Callable[[Json], None]:
    def change(config: Json) -> None:
        config["process"] |= {"selinuxLabel": label, **process}

    return change


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip("\0\n")


@pytest.mark.parametrize("restricted", [True, False], ids=["no new privileges", "free"])
@pytest.mark.parametrize("label", [FREE, STRICT])
def test_a_container_has_its_label(runtime: OciRuntime, label: str, restricted: bool) -> None:
    assert said(runtime.run(*SHOW, change=labelled(label, noNewPrivileges=restricted))) == label


def test_what_the_policy_forbids_is_forbidden(runtime: OciRuntime) -> None:
    script = "echo text >/tmp/file && echo made || echo refused"
    assert said(runtime.run("sh", "-c", script, change=labelled(FREE))) == "made"
    assert said(runtime.run("sh", "-c", script, change=labelled(STRICT))) == "refused"


def test_created_and_entered(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(name, "sleep", "1000", change=labelled(STRICT))
    runtime.create(name, bundle)
    runtime("start", name)
    runtime.wait_until(name, "running", seconds=60)
    kept = Path("/proc", str(runtime.state(name)["pid"]), "attr", "current")
    assert kept.read_text().rstrip("\0\n") == STRICT
    assert said(runtime("exec", name, *SHOW)) == STRICT
    assert said(runtime("exec", "--process-label", FREE, name, *SHOW)) == FREE
    process = bundle / "process.json"
    config = json.loads((bundle / "config.json").read_text())
    process.write_text(json.dumps({**config["process"], "args": SHOW, "selinuxLabel": FREE}))
    assert said(runtime("exec", "--process", process, name)) == FREE


def test_the_keyring_has_the_label(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(name, "/bin/keyring", change=labelled(FREE))
    compiled(KEYRING, bundle / "rootfs" / "bin").rename(bundle / "rootfs" / "bin" / "keyring")
    assert said(runtime("run", "--bundle", bundle, name)) == FREE


def test_mounts_have_the_label_of_mounts(runtime: OciRuntime) -> None:
    def change(config: Json) -> None:
        config["linux"]["mountLabel"] = FILES
        queue = {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue"}
        config["mounts"].append({**queue, "options": ["nosuid", "noexec", "nodev"]})

    name = runtime.identifier()
    runtime.create(name, runtime.bundle(name, "sleep", "1000", change=change))
    inside = Path("/proc", str(runtime.state(name)["pid"]), "root")
    for place in ("dev", "dev/pts", "dev/mqueue"):
        assert label_of(inside / place) == FILES, place


def label_of(path: Path) -> str:
    return os.getxattr(path, "security.selinux").decode().rstrip("\0")


def test_a_label_that_the_policy_does_not_know(runtime: OciRuntime) -> None:
    done = runtime.run(*SHOW, change=labelled("system_u:system_r:nothing_t:s0"))
    assert done.returncode == 1
    assert "nvalid argument" in done.stderr
    assert not runtime.remains(runtime.made[-1])
