"""Containers of an ordinary user, attacked from inside by their own root, who holds every right.

That is more than any engine gives: all capabilities, no filter, new user namespaces. What is left
to stop him is that he is root of a user namespace, whose rights outside are the user's.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onggi.linux import cgroup
from onggi.linux.capability import NUMBERS
from onggi.runtime.command import template
from support.looking import RACER
from support.oci_runtimes import Json
from support.ordinary import UID, Ordinary, ordinary_user
from support.ordinary_runtimes import MANY, UserRuntime, mapping
from support.programs import compiled
from support.requirements import requires
from support.threats import BUNDLE, INSIDE, withstands

pytestmark = requires("root", "shared-python", "busybox", "user-namespaces")

ALL = list(NUMBERS)


@pytest.fixture
def user() -> Iterator[Ordinary]:
    with ordinary_user() as user:
        yield user


@pytest.fixture
def runtime(user: Ordinary) -> Iterator[UserRuntime]:
    made = UserRuntime("onggi", user)
    yield made
    made.clean()


def almighty(config: Json) -> None:
    """Give root every right that there is inside."""
    sets = ("bounding", "effective", "permitted", "inheritable")
    config["process"]["capabilities"] = dict.fromkeys(sets, ALL)
    config["process"]["noNewPrivileges"] = False


def inside(runtime: UserRuntime, script: str, *mounts: Json, **linux: Any) -> str:
    """Return what a script of almighty root's says, whatever of it fails."""

    def change(config: Json) -> None:
        almighty(config)
        config["mounts"] += mounts
        config["linux"].update(linux)

    done = runtime.run("sh", "-c", f"exec 2>&1\n{script}\necho end", change=change)
    assert done.stdout.endswith("end\n"), (done.stdout, done.stderr)
    return done.stdout


def bound(source: str | Path, target: str) -> Json:
    """Return a mount of the host's, nodev: where that is so, as in /dev/shm, it stays so."""
    options = ["rbind", "rw", "nodev"]
    return {"destination": target, "type": "bind", "source": str(source), "options": options}


@requires("newuidmap")
@withstands(
    "ordinary users",
    "files of the host that the user may not open, bound into a container",
    by=BUNDLE,
)
@pytest.mark.parametrize("more", [False, True], ids=["alone", "with more IDs"])
def test_root_inside_opens_what_the_user_may(
    runtime: UserRuntime, tmp_path: Path, *, more: bool
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("SECRET")
    secret.chmod(0o600)
    tmp_path.chmod(0o700)
    shared = runtime.user.place / "shared"
    shared.mkdir(mode=0o755)
    (shared / "secret").write_text("SECRET")
    (shared / "secret").chmod(0o640)
    script = (
        "cat /shadow /shared/secret; echo x >> /shared/secret; echo x > /shared/new\n"
        "chmod 777 /shared /shared/secret; chown 0 /shared/secret; rm -f /shared/secret"
    )

    def change(config: Json) -> None:
        almighty(config)
        config["mounts"] += [bound("/etc/shadow", "/shadow"), bound(shared, "/shared")]
        if more:
            mapping(config, MANY)

    done = runtime.run("sh", "-c", script, change=change)
    assert done.stdout == ""
    assert done.stderr.count("denied") + done.stderr.count("not permitted") >= 5, done.stderr
    assert (shared / "secret").read_text() == "SECRET"
    assert (shared / "secret").stat().st_mode & 0o777 == 0o640
    assert [one.name for one in shared.iterdir()] == ["secret"]
    refused = runtime.run("true", change=lambda c: c["mounts"].append(bound(secret, "/secret")))
    assert refused.returncode == 1


@withstands(
    "ordinary users", "devices of the host opened, made, or mounted as file systems", by=INSIDE
)
def test_devices_stay_the_hosts(runtime: UserRuntime) -> None:
    nodes = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}]
    script = (
        "busybox mknod /tmp/mem c 1 1 && echo MADE; busybox mknod /dev/disk b 254 0 && echo MADE\n"
        "busybox head -c 1 /dev/kmsg && echo READ; echo x > /dev/kmsg && echo WROTE\n"
        "chmod 600 /dev/null && echo CHANGED; chown 0 /dev/null && echo CHANGED\n"
        "for kind in ext4 xfs devtmpfs debugfs securityfs bpf; do\n"
        "    busybox mount -t $kind /dev/vda /tmp && [ $kind != bpf ] && echo MOUNTED $kind\n"
        "done"
    )
    output = inside(runtime, script, devices=nodes)
    for word in ("MADE", "READ", "WROTE", "CHANGED", "MOUNTED"):
        assert word not in output, output


UNCOVERS = r"""
busybox umount /proc/kcore && echo OWN
for path in /given/locked /given; do
    busybox umount $path && echo OFF $path
    busybox mount -o remount,bind,rw $path && echo WRITABLE $path
done
busybox unshare -Urm sh -c '
    busybox umount /proc/keys && echo OFF /proc/keys
    for path in /given/locked /proc/sys; do
        busybox umount $path && echo OFF $path
        busybox mount -o remount,bind,rw $path && echo WRITABLE $path
    done
    busybox mount -t proc proc /tmp && echo PROC
'
echo x > /given/file && echo WROTE
"""


@withstands(
    "ordinary users",
    "what is masked or read-only taken off, from a further user namespace as well",
    by=INSIDE,
)
def test_what_lies_over_the_hosts_files_stays(runtime: UserRuntime) -> None:
    """Mounts of the host's came as one and locked; those of the container lock what is nested."""
    place = runtime.user.place / "given"
    (place / "locked").mkdir(parents=True)
    (place / "locked" / "below").write_text("HIDDEN")
    script = (
        'mount --bind -o ro "$1" "$1"; mount -o remount,bind,ro "$1"\n'
        'mount -t tmpfs -o ro none "$1/locked"; shift; exec "$@"'
    )
    runtime.before = ["unshare", "--mount", "sh", "-c", script, "sh", str(place)]
    given = {"type": "bind", "source": str(place), "destination": "/given", "options": ["rbind"]}
    output = inside(runtime, UNCOVERS, given)
    for word in ("OFF /given/locked", "OFF /proc", "WRITABLE", "PROC", "WROTE"):
        assert word not in output, output


@withstands("ordinary users", "cgroup files and settings of the host written to", by=INSIDE)
def test_settings_of_the_host_stay(runtime: UserRuntime) -> None:
    sysfs = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]}
    script = (
        "for file in $(busybox find /sys/fs/cgroup -name cgroup.procs -o -name release_agent"
        " -o -name notify_on_release | busybox head -50) /sys/kernel/uevent_helper"
        " /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/sys/vm/overcommit_memory; do\n"
        "    [ ! -e $file ] || { echo 0 > $file; } && echo TRIED\n"
        "    ( : >> $file ) && echo WRITABLE $file\n"
        "done\n"
        "busybox mount -t cgroup -o memory none /tmp && echo MOUNTED\n"
        "busybox mount -t cgroup2 none /tmp && echo MOUNTED"
    )
    output = inside(runtime, script, sysfs, readonlyPaths=[])
    assert "WRITABLE" not in output, output
    assert "MOUNTED" not in output, output


@pytest.fixture
def own_cgroup() -> Iterator[Path]:
    """Give a cgroup of the host's that the user may write to, as systemd gives them one."""
    place = Path(cgroup.hierarchies()[0].mountpoint, f"onggi-test-{os.getpid()}")
    place.mkdir()
    for path in (place, place / "cgroup.procs"):
        os.chown(path, UID, UID)
    yield place
    cgroup.remove(str(place))


@withstands("ordinary users", "cgroup files and settings of the host written to", by=BUNDLE)
@pytest.mark.parametrize("place", ["/sys", "/sys/fs/cgroup"])
def test_cgroups_of_the_user_are_not_the_containers(
    runtime: UserRuntime, own_cgroup: Path, place: str
) -> None:
    """CVE-2023-25809: without a cgroup namespace, and by what `spec --rootless` writes."""
    file = own_cgroup / "cgroup.procs"
    tries = f"( : >> {file} ) && echo WRITABLE\nbusybox mkdir {own_cgroup}/new && echo MADE"
    assert runtime.user.run("sh", "-c", f": >> {file}").returncode == 0, "nothing to be written"
    (given,) = (
        one for one in template.document(rootless=True)["mounts"] if one["destination"] == "/sys"
    )
    if place != "/sys":
        given = {"destination": place, "type": "cgroup", "source": "cgroup", "options": ["ro"]}
    output = inside(runtime, f"ls {file} && echo SEEN\n{tries}", given)
    assert "SEEN" in output, output
    assert "WRITABLE" not in output, output
    assert "MADE" not in output, output


@requires("compiler")
@withstands(
    "ordinary users",
    "what enters by `exec` looked at by root of the user namespace, who may trace",
    by=INSIDE,
)
@pytest.mark.time_limit(180)
def test_what_enters_cannot_be_looked_at(runtime: UserRuntime, tmp_path: Path) -> None:
    program = compiled(RACER, tmp_path)
    name = runtime.identifier()
    bundle = runtime.bundle(name, "/race", change=almighty)
    (bundle / "rootfs/race").write_bytes(program.read_bytes())
    (bundle / "rootfs/race").chmod(0o755)
    said = runtime.user.place / "said"
    with said.open("w") as output:
        runtime("run", "--detach", "--bundle", bundle, name, stdout=output)
    for _ in range(40):
        runtime("exec", name, "true")
    runtime("exec", name, "touch", "/stop")
    runtime.wait_until(name, "stopped")
    *found, counts = said.read_text().strip().splitlines()
    assert not found, found[:5]
    assert int(counts.split()[1]) >= 5, "the race was never on"


@withstands(
    "ordinary users",
    "a program or device of the image's with more rights than the user has",
    by=BUNDLE,
)
def test_a_set_user_id_file_gives_the_users_rights_alone(runtime: UserRuntime) -> None:
    """What root inside leaves with such a bit belongs to the user outside, as it did before."""
    name = runtime.identifier()
    script = "cp /bin/busybox /left && chown 0:0 /left && chmod 6755 /left"
    bundle = runtime.bundle(name, "busybox", "sh", "-c", script, change=almighty)
    runtime("run", "--bundle", bundle, name)
    left = (bundle / "rootfs/left").stat()
    assert left.st_uid == runtime.user.home.stat().st_uid
    assert left.st_gid == runtime.user.home.stat().st_gid
