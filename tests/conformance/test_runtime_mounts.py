"""The file tree that a configuration asks for: mounts, their flags and owners, and the root."""

import os
import subprocess
from pathlib import Path

import pytest

from support.oci_runtimes import Json, OciRuntime, inside, mapped, without
from support.requirements import requires

pytestmark = requires("root", "busybox")


def test_a_read_only_root(runtime: OciRuntime) -> None:
    def change(config: Json) -> None:
        config["root"]["readonly"] = True

    done = runtime.run("touch", "/new", change=change)
    assert done.returncode != 0
    assert "Read-only file system" in done.stderr


def test_masked_and_read_only_paths(runtime: OciRuntime) -> None:
    linux = {"maskedPaths": ["/proc/kcore", "/proc/fs", "/nothing"], "readonlyPaths": ["/proc/sys"]}
    script = (
        "cat /proc/kcore | busybox wc -c; ls /proc/fs; "
        "(echo x > /proc/sys/kernel/hostname) 2>&1 | busybox grep -c Read-only"
    )
    assert inside(runtime, "sh", "-c", script, linux=linux).split() == ["0", "1"]


def mount_line(said: str, target: str) -> list[str]:
    """Return the fields of mountinfo's last line for a target."""
    return [line.split() for line in said.splitlines() if line.split()[4] == target][-1]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["bind", "ro", "nosuid", "nodev", "noexec"], {"ro", "nosuid", "nodev", "noexec"}),
        (["bind", "noatime"], {"noatime"}),
        (["rbind", "rw", "nodiratime"], {"rw", "nodiratime"}),
    ],
    ids=",".join,
)
def test_bind_mounts(
    runtime: OciRuntime, root_dir: Path, options: list[str], wanted: set[str]
) -> None:
    source = root_dir / "given"
    source.mkdir()
    (source / "file").touch()

    def change(config: Json) -> None:
        config["mounts"].append(
            {"destination": "/a/b", "type": "bind", "source": str(source), "options": options}
        )

    done = runtime.run("sh", "-c", "ls /a/b; cat /proc/self/mountinfo", change=change)
    assert done.stdout.splitlines()[0] == "file"
    assert wanted <= set(mount_line(done.stdout.partition("\n")[2], "/a/b")[5].split(","))


@pytest.mark.parametrize("mode", ["private", "slave", "shared", "rprivate", "rslave"])
def test_propagation_of_a_mount(runtime: OciRuntime, root_dir: Path, mode: str) -> None:
    source = root_dir / "given"
    source.mkdir()

    def change(config: Json) -> None:
        entry = {"destination": "/a", "type": "bind", "source": str(source)}
        config["mounts"].append({**entry, "options": ["bind", mode]})

    done = runtime.run("cat", "/proc/self/mountinfo", change=change)
    assert done.returncode == 0, done.stderr
    fields = mount_line(done.stdout, "/a")
    optional = fields[6 : fields.index("-")]
    assert any(one.startswith("shared:") for one in optional) == ("shared" in mode)


def test_recursive_read_only(runtime: OciRuntime, root_dir: Path) -> None:
    def change(config: Json) -> None:
        entry = {"destination": "/a", "type": "bind", "source": str(root_dir)}
        config["mounts"].append({**entry, "options": ["rbind", "rro"]})

    done = runtime.run("touch", "/a/x", change=change)
    assert "Read-only file system" in done.stderr


def test_a_tmpfs_with_options(runtime: OciRuntime) -> None:
    def change(config: Json) -> None:
        entry = {"destination": "/t", "type": "tmpfs", "source": "mine"}
        config["mounts"].append({**entry, "options": ["size=100k", "mode=711", "nosuid"]})

    done = runtime.run("sh", "-c", "stat -c %a /t; cat /proc/self/mountinfo", change=change)
    assert done.stdout.splitlines()[0] == "711"
    fields = mount_line(done.stdout.partition("\n")[2], "/t")
    assert "nosuid" in fields[5]
    assert fields[-2] == "mine"
    assert "size=100k" in fields[-1]


def test_cgroups_are_shown(runtime: OciRuntime) -> None:
    mount = {
        "destination": "/sys/fs/cgroup",
        "type": "cgroup",
        "source": "cgroup",
        "options": ["ro", "nosuid", "noexec", "nodev"],
    }

    def change(config: Json) -> None:
        config["mounts"] += [{"destination": "/sys", "type": "sysfs", "source": "sysfs"}, mount]
        config["linux"]["resources"]["pids"] = {"limit": 61}

    def change_and_share(config: Json) -> None:
        change(config)
        without(config, "cgroup")

    for edit in (change, change_and_share):
        # Of v1; of v2; and of v2 without a cgroup namespace, which shows the host's tree.
        places = "pids/pids.max pids.max onggi/onggi-test-*/pids.max"
        find = f"cd /sys/fs/cgroup; for f in {places}; do [ ! -e $f ] || break; done"
        script = f"{find}; cat $f; ! echo 5 > $f"
        done = runtime.run("sh", "-c", script, change=edit)
        assert done.returncode == 0, done.stderr
        assert done.stdout == "61\n"


def test_without_pivot_root(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    script = "ls /; cat /proc/self/mountinfo"
    bundle = runtime.bundle(name, "sh", "-c", script)
    said = runtime("run", "--no-pivot", "--bundle", bundle, name).stdout
    assert {"bin", "etc", "proc"} <= set(said.split())
    assert "home" not in said.split()
    table = "\n".join(line for line in said.splitlines() if " - " in line)
    assert mount_line(table, "/proc")[-3] == "proc"


@pytest.mark.parametrize("users", [False, True], ids=["plain", "mapped"])
def test_a_mount_that_shows_other_owners(ours: OciRuntime, tmp_path: Path, users: bool) -> None:
    source = tmp_path / "given"
    source.mkdir()
    (source / "file").touch()
    os.chown(source / "file", 1234, 1235)
    mapping = [{"containerID": 1234, "hostID": 10 + 100_000 * users, "size": 10}]

    def change(config: Json) -> None:
        if users:
            mapped(config)
        entry = {"destination": "/a", "type": "bind", "source": str(source), "options": ["bind"]}
        config["mounts"].append({**entry, "uidMappings": mapping, "gidMappings": mapping})

    name = ours.identifier()
    bundle = ours.bundle(name, "stat", "-c", "%u %g", "/a/file", change=change)
    if users:
        subprocess.run(["chown", "-R", "100000:100000", bundle / "rootfs"], check=True)
    done = ours("run", "--bundle", bundle, name)
    assert done.stdout.split() == ["10", "11"]


def test_half_a_mapping_is_refused(ours: OciRuntime) -> None:
    mapping = [{"containerID": 0, "hostID": 1, "size": 1}]

    def change(config: Json) -> None:
        entry = {"destination": "/a", "type": "bind", "source": "/tmp", "options": ["bind"]}
        config["mounts"].append({**entry, "uidMappings": mapping})

    done = ours.run("true", change=change)
    assert (done.returncode, "not both" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    "mode", ["private", "slave", "shared", "unbindable", "rprivate", "rslave", "rshared"]
)
def test_propagation_of_the_root(ours: OciRuntime, mode: str) -> None:
    """In a mount namespace of the test's own: what is shared would reach the machine's.

    runc before 1.3 sets that of the host's mounts in the container's namespace instead.
    """
    name = ours.identifier()

    def change(config: Json) -> None:
        config["linux"]["rootfsPropagation"] = mode

    bundle = ours.bundle(name, "cat", "/proc/self/mountinfo", change=change)
    line = ours.line("run", "--bundle", bundle, name)
    how = "shared" if mode == "slave" else "private"
    apart = ["unshare", "--mount", "--propagation", how, *line]
    done = subprocess.run(apart, text=True, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    fields = mount_line(done.stdout, "/")
    optional = fields[6 : fields.index("-")]
    assert any(one.startswith("shared:") for one in optional) == ("shared" in mode)
    assert ("unbindable" in optional) == ("unbindable" in mode)


def test_a_propagation_that_is_none(runtime: OciRuntime) -> None:
    done = runtime.run(
        "true", change=lambda config: config["linux"].update(rootfsPropagation="nope")
    )
    assert done.returncode == 1
