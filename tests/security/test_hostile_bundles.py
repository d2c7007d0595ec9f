"""What a hostile bundle tries when `onggi-runtime` makes a container of it, and from inside then.

The configuration, the root directory and the caller's own state are what the attacker writes; a
victim file of the host, beside the bundle, shows whether it got out.
"""

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from onggi.linux import cgroup
from onggi.runtime.seccomp import profile
from support.box import until
from support.oci_runtimes import Json, OciRuntime, mapped
from support.programs import compiled
from support.requirements import requires
from support.swapping import SWAPPER
from support.threats import BUNDLE, withstands

pytestmark = requires("root", "busybox", "compiler")


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Give a file of the host, next to a directory of the host's with nothing in it."""
    file = tmp_path / "victim"
    file.write_text("untouched\n")
    (tmp_path / "outside").mkdir()
    return file


def unharmed(victim: Path) -> bool:
    """Tell whether the host's file and directory are as they were."""
    mode = stat.S_IMODE(victim.stat().st_mode)
    nothing = not os.listdir(victim.parent / "outside")
    return victim.read_text() == "untouched\n" and mode == 0o644 and nothing


def attack(
    ours: OciRuntime,
    *args: str,
    change: Callable[[Json], object] = lambda _config: None,
    root: Callable[[Path], object] = lambda _path: None,
    **popen: Any,
) -> subprocess.CompletedProcess[str]:
    """Run a bundle whose configuration and root directory were tampered with."""
    name = ours.identifier()
    bundle = ours.bundle(name, *args, change=change)
    root(bundle / "rootfs")
    return ours.attempt("run", "--bundle", bundle, name, **popen)


@withstands(
    "own program",
    "the program is /proc/self/exe",
    "a script's interpreter is /proc/self/exe",
    by=BUNDLE,
)
@pytest.mark.parametrize("program", ["/proc/self/exe", "/again"])
def test_the_interpreter_is_not_executed_again(ours: OciRuntime, program: str) -> None:
    def root(path: Path) -> None:
        (path / "again").write_text("#!/proc/self/exe\nimport os\n")
        (path / "again").chmod(0o755)

    done = attack(ours, program, root=root)
    assert done.returncode != 0
    assert "python" not in (done.stdout + done.stderr).lower()


@withstands(
    "descriptors",
    "a working directory of /proc/self/fd/N, by `run` and by `exec`",
    "a program named /proc/self/fd/N/…",
    "descriptors of the caller's passed on",
    by=BUNDLE,
)
@pytest.mark.parametrize("number", range(3, 15))
def test_no_number_of_a_descriptor_leads_out(ours: OciRuntime, number: int) -> None:
    """With one of the host's root left open by the caller, too: CVE-2024-21626."""
    fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    os.dup2(fd, 20, inheritable=True)
    os.close(fd)
    way = f"/proc/self/fd/{20 if number == 14 else number}"
    try:
        done = attack(
            ours, "ls", change=lambda config: config["process"].update(cwd=way), pass_fds=[20]
        )
        assert done.returncode != 0, done.stdout
        done = attack(ours, f"{way}/bin/busybox", "true", pass_fds=[20])
        assert done.returncode != 0
        done = attack(ours, "ls", "/proc/self/fd", pass_fds=[20])
        assert done.stdout.split() == ["0", "1", "2", "3"]
    finally:
        os.close(20)


PLACES = ["/dev", "/dev/pts", "/proc", "/etc/new/deep", "/link", "/link/below", "/tmp/../link/x"]


@withstands(
    "targets",
    "a target that is a link in the image or a volume",
    "/proc or /sys is a link in the image",
    by=BUNDLE,
)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["tmpfs", "file", "directory"])
def test_a_target_that_is_a_link_stays_inside(
    ours: OciRuntime, victim: Path, place: str, kind: str
) -> None:
    outside = victim.parent / "outside"
    source = victim if kind == "file" else Path("/usr/share")

    def change(config: Json) -> None:
        entry = {"destination": place, "source": str(source), "options": ["bind"]}
        if kind == "tmpfs":
            entry = {
                "destination": place,
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["size=1m"],
            }
        config["mounts"] = [entry, *config["mounts"]]

    def root(path: Path) -> None:
        (path / "link").symlink_to(f"../../../../../../../..{outside}")
        for name in ("dev", "proc"):
            (path / name).symlink_to(outside)
        (path / "etc/new").symlink_to(outside)

    attack(ours, "sh", "-c", "echo x > /link/x; echo x > /etc/new/x", change=change, root=root)
    assert unharmed(victim)


@withstands(
    "targets", "a target swapped for a link by another container that shares a volume", by=BUNDLE
)
@pytest.mark.time_limit(180)
def test_a_race_for_a_target_stays_inside(ours: OciRuntime, victim: Path, tmp_path: Path) -> None:
    """CVE-2021-30465: the racer shares a directory with the container that is made."""
    shared = tmp_path / "shared"
    shared.mkdir()

    def sharing(*below: str) -> Callable[[Json], None]:
        def change(config: Json) -> None:
            entry = {"destination": "/v", "source": str(shared), "options": ["rbind", "rw"]}
            config["mounts"].append(entry)
            for name in below:
                more = {"destination": f"/v/{name}", "type": "tmpfs", "source": "tmpfs"}
                config["mounts"].append(more)
            config["linux"]["maskedPaths"] += [f"/v/{name}" for name in below]

        return change

    racer = ours.identifier()
    outside = victim.parent / "outside"
    bundle = ours.bundle(racer, "/swap", str(outside), change=sharing())
    shutil.copy(compiled(SWAPPER, tmp_path), bundle / "rootfs/swap")
    ours("run", "--detach", "--bundle", bundle, racer)
    until(lambda: (shared / "d").exists())
    for _ in range(25):
        attack(ours, "true", change=sharing("d/made", "l/also"))
    (shared / "stop").touch()
    assert unharmed(victim)


@withstands(
    "masks",
    "/dev/null is another file when a path is masked",
    "/dev/console and the terminal's master, in a volume where a link leads",
    by=BUNDLE,
)
@pytest.mark.parametrize("null", ["file", "link", "fifo", "zero", "missing"])
def test_what_hides_is_never_the_bundle_s_choice(ours: OciRuntime, null: str) -> None:
    """CVE-2025-31133: the configuration mounts no new /dev, so that the root's own is used."""

    def change(config: Json) -> None:
        config["mounts"] = [
            one for one in config["mounts"] if not one["destination"].startswith("/dev")
        ]
        config["linux"]["maskedPaths"] = ["/secret", "/proc/kcore"]

    def root(path: Path) -> None:
        (path / "secret").write_text("secret")
        (path / "dev").mkdir()
        device = path / "dev/null"
        if null == "file":
            device.write_text("planted")
        elif null == "link":
            device.symlink_to("/proc/sysrq-trigger")
        elif null == "fifo":
            os.mkfifo(device)
        elif null == "zero":
            os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 5))

    done = attack(ours, "cat", "/secret", change=change, root=root)
    assert done.returncode != 0
    assert "secret" not in done.stdout
    assert "planted" not in done.stdout


@withstands(
    "masks", "/dev/console and the terminal's master, in a volume where a link leads", by=BUNDLE
)
@pytest.mark.parametrize("name", ["console", "pts", "ptmx"])
def test_a_terminal_is_mounted_through_no_link(ours: OciRuntime, victim: Path, name: str) -> None:
    """CVE-2025-52565: the /dev of the root, where the terminal's places are links to the host's."""

    def change(config: Json) -> None:
        config["process"]["terminal"] = True
        config["mounts"] = [one for one in config["mounts"] if one["destination"] != "/dev"]

    def root(path: Path) -> None:
        (path / "dev").mkdir()
        (path / "dev" / name).symlink_to(victim if name != "pts" else victim.parent / "outside")

    attack(
        ours, "sh", "-c", "echo x > /dev/console; chmod 777 /dev/console", change=change, root=root
    )
    assert unharmed(victim)


@withstands(
    "procfs",
    "a file mounted over the one that is written",
    "a /proc that is no procfs, or a part of one",
    "a way that leads out of procfs",
    by=BUNDLE,
)
@pytest.mark.parametrize(
    "where", ["/proc", "/proc/sys", "/proc/self", "/proc/sys/net", "/proc/sys/kernel"]
)
@pytest.mark.parametrize("kind", ["tmpfs", "directory", "part"])
def test_writes_to_procfs_are_not_led_astray(
    ours: OciRuntime, victim: Path, where: str, kind: str
) -> None:
    """CVE-2025-52881, CVE-2019-16884: files of the attacker's stand where labels and sysctls go."""
    fake = victim.parent / "fake"
    for name in ("sys/net/ipv4", "net/ipv4", "ipv4", "self/attr/apparmor", "attr/apparmor"):
        (fake / name).mkdir(parents=True, exist_ok=True)
    for name in ("sys/net/ipv4/ip_forward", "net/ipv4/ip_forward", "ipv4/ip_forward"):
        (fake / name).symlink_to(victim)
    for name in ("self/attr/exec", "attr/exec", "self/attr/apparmor/exec", "attr/apparmor/exec"):
        (fake / name).symlink_to(victim)

    def change(config: Json) -> None:
        config["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
        config["process"]["apparmorProfile"] = "unconfined"
        entry: Json = {"destination": where, "source": str(fake), "options": ["rbind"]}
        if kind == "tmpfs":
            entry = {"destination": where, "type": "tmpfs", "source": "tmpfs"}
        elif kind == "part":
            entry["source"] = "/proc/tty"
        config["mounts"].append(entry)

    attack(ours, "true", change=change)
    assert unharmed(victim)


SYSCTLS = [
    "kernel.core_pattern",
    "kernel/core_pattern",
    "kernel.shm_rmid_forced+kernel.core_pattern",
    "net/../kernel/core_pattern",
    "net.ipv4/../../kernel/core_pattern",
    "net.ipv4.conf.../../../../kernel/core_pattern",
    "fs.mqueue/../../kernel/core_pattern",
    "/kernel/core_pattern",
    "../sysrq-trigger",
    "net/../../self/attr/current",
    "kernel.modprobe",
    "vm.overcommit_memory",
    "",
    "net.ipv4.ip_forward\nkernel.core_pattern",
]


@withstands("procfs", "a setting of the kernel's own, as a parameter of the container's", by=BUNDLE)
@pytest.mark.parametrize("name", SYSCTLS)
def test_a_parameter_of_the_whole_kernel_is_not_set(ours: OciRuntime, name: str) -> None:
    """CVE-2022-0811 set kernel.core_pattern so, by a value that held a second parameter."""
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    value = {name: before.strip()}  # the same: were it written, the machine is no worse off
    done = attack(ours, "true", change=lambda config: config["linux"].update(sysctl=value))
    assert done.returncode == 1, done
    assert len(done.stderr.splitlines()) == 1
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


@withstands(
    "caller",
    "capabilities that the caller holds as inheritable or ambient",
    "umask, directory and ignored signals of the caller's passed on",
    "a set-user-ID program",
    by=BUNDLE,
)
def test_nothing_of_the_caller_is_passed_on(ours: OciRuntime) -> None:
    name = ours.identifier()
    script = "umask; grep -E 'SigIgn|Cap|NoNew' /proc/self/status; pwd"
    bundle = ours.bundle(name, "sh", "-c", script)
    (bundle / "rootfs/bin/grep").symlink_to("busybox")
    more = "--inh-caps=+sys_admin --ambient-caps=+sys_admin"
    hostile = f"umask 777; trap '' TERM HUP; exec setpriv {more} \"$@\""
    line = ["sh", "-c", hostile, "sh", *ours.line("run", "--bundle", bundle, name)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, cwd="/proc", check=True)
    umask, *told, directory = done.stdout.split()
    seen = dict(zip(told[::2], told[1::2], strict=True))
    assert (umask, directory, seen["NoNewPrivs:"]) == ("0022", "/", "1")
    assert seen["CapInh:"] == seen["CapAmb:"] == "0" * 16
    assert seen["CapPrm:"] == seen["CapEff:"] == seen["CapBnd:"] == f"{0x20000420:016x}"
    assert int(seen["SigIgn:"], 16) & ~(3 << 31) == 0


@withstands(
    "caller", "an ambient or inheritable capability that a bundle or `exec` asks for", by=BUNDLE
)
def test_exec_makes_no_capability_inheritable(ours: OciRuntime) -> None:
    """CVE-2022-29162: what is executed by exec --cap could gain it by file capabilities."""
    name = ours.identifier()
    ours("run", "--detach", "--bundle", ours.bundle(name, "sleep", "100"), name)
    script = ["cat", "/proc/self/status"]
    shown = ours("exec", "--cap", "CAP_NET_RAW", "--user", "1000", name, *script).stdout
    lines = dict(line.split(":\t", 1) for line in shown.splitlines() if line.startswith("Cap"))
    assert lines["CapInh"] == lines["CapAmb"] == "0" * 16


@withstands("caller", "a user or group whose number means `as before`, which is root", by=BUNDLE)
@pytest.mark.parametrize("member", ["uid", "gid", "additionalGids"])
def test_no_number_of_a_user_means_root(ours: OciRuntime, member: str) -> None:
    """CVE-2024-40635: to setresuid(2) the last number of 32 bits is "leave it"."""
    number = 2**32 - 1
    user = {member: [number] if member == "additionalGids" else number}
    done = attack(ours, "id", change=lambda config: config["process"]["user"].update(user))
    assert (done.returncode, done.stdout) == (1, ""), done
    assert f"user.{member}" in done.stderr


@withstands("caller", "a user or group whose number means `as before`, which is root", by=BUNDLE)
@pytest.mark.parametrize(
    "user", ["4294967295", "00000000000004294967295", "0:4294967295", "9" * 99]
)
def test_exec_takes_no_number_that_means_root(ours: OciRuntime, user: str) -> None:
    name = ours.identifier()
    ours("run", "--detach", "--bundle", ours.bundle(name, "sleep", "100"), name)
    done = ours.attempt("exec", "--user", user, name, "id")
    assert (done.returncode, done.stdout) == (255, ""), done
    assert "is not a number" in done.stderr


@withstands("settings", "variables that reach programs of the host's, hooks among them", by=BUNDLE)
@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer", "poststop"])
def test_hooks_of_the_host_do_not_have_the_image_s_variables(
    ours: OciRuntime, tmp_path: Path, kind: str
) -> None:
    """CVE-2025-23266: LD_PRELOAD of an image had a hook load a library that lay in the image."""
    told = tmp_path / "told"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"env > {told}"]}

    def change(config: Json) -> None:
        config["process"]["env"] += ["LD_PRELOAD=/proc/self/cwd/evil.so", "OF_THE_IMAGE=1"]
        config["hooks"] = {kind: [hook]}

    done = attack(ours, "true", change=change)
    assert done.returncode == 0, done
    seen = told.read_text()
    assert "LD_PRELOAD" not in seen
    assert "OF_THE_IMAGE" not in seen


@withstands("settings", "a working directory that leads out through a link", by=BUNDLE)
def test_a_working_directory_is_made_inside(ours: OciRuntime, victim: Path) -> None:
    """CVE-2026-55686: what is missing of it was made where a link of the image's led."""
    outside = victim.parent / "outside"
    done = attack(
        ours,
        *("sh", "-c", "pwd"),
        change=lambda config: config["process"].update(cwd="/link/more/deep"),
        root=lambda path: (path / "link").symlink_to(outside),
    )
    assert (done.returncode, done.stdout) == (0, f"{outside}/more/deep\n")
    assert unharmed(victim)


def with_cgroups(config: Json) -> None:
    """Mount cgroup files, writable as the bundle wants them, and give it root's usual rights."""
    kept = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_MKNOD", "CAP_SETUID"]
    config["process"]["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted"), kept)
    entry = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}
    config["mounts"].append({**entry, "options": ["ro", "nosuid", "noexec", "nodev"]})
    config["linux"]["seccomp"] = profile.default_profile(kept, os.uname().machine)


@withstands("cgroups", "`release_agent` is written", "cgroup files are written", by=BUNDLE)
def test_cgroup_files_are_read_only(ours: OciRuntime) -> None:
    script = (
        "find /sys/fs/cgroup -type f | while read p; do (: > $p) 2>/dev/null && echo $p; done;"
        "find /sys/fs/cgroup -type f | wc -l"
    )

    def root(path: Path) -> None:
        for name in ("find", "wc"):
            (path / "bin" / name).symlink_to("busybox")

    done = attack(ours, "sh", "-c", script, change=with_cgroups, root=root)
    found = done.stdout.split()
    assert len(found) == 1, done
    assert int(found[0]) > 10, "there is nothing to be written"


@withstands(
    "cgroups", "a place among the host's cgroups that is not the container's own", by=BUNDLE
)
@pytest.mark.parametrize("path", ["/", "../..", "/../../x", "/onggi/../..", "a/../../..", "/a\nb"])
def test_no_cgroup_of_the_host_is_taken(ours: OciRuntime, path: str) -> None:
    """Were it, its processes would get the container's limits, and end with it."""
    before = Path("/proc/self/cgroup").read_text()
    name = ours.identifier()

    def change(config: Json) -> None:
        config["linux"]["cgroupsPath"] = path
        config["linux"]["resources"]["pids"] = {"limit": 2}

    bundle = ours.bundle(name, "sleep", "100", change=change)
    done = ours.attempt("create", "--bundle", bundle, name)
    assert done.returncode == 1, done
    assert not (ours.root / name).exists()
    assert Path("/proc/self/cgroup").read_text() == before


@pytest.fixture
def service() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Give a cgroup of the host's with a process that lies in one below it."""
    name = f"onggi-test-host-{os.getpid()}"
    groups = [f"{hierarchy.mountpoint}/{name}" for hierarchy in cgroup.hierarchies()]
    process = subprocess.Popen(["sleep", "1000"])
    try:
        for group in groups:
            for path in (Path(group), Path(group, "service")):
                path.mkdir()
                for file in ("cpuset.cpus", "cpuset.mems"):
                    if (path / file).exists() and not (path / "cgroup.controllers").exists():
                        (path / file).write_text((path.parent / file).read_text())
            Path(group, "service/cgroup.procs").write_text(str(process.pid))
        yield name, process
    finally:
        process.kill()
        process.wait()
        for group in groups:
            cgroup.clear(group)


@withstands(
    "cgroups", "a place among the host's cgroups that is not the container's own", by=BUNDLE
)
def test_no_cgroup_above_others_is_taken(
    ours: OciRuntime, service: tuple[str, subprocess.Popen[bytes]]
) -> None:
    """As of a slice, all of whose processes are in cgroups below it."""
    name, process = service

    def change(config: Json) -> None:
        config["linux"]["cgroupsPath"] = f"/{name}"

    done = attack(ours, "true", change=change)
    assert done.returncode == 1
    assert "cgroup is not empty: 1 process(es) found" in done.stderr
    assert process.poll() is None


@withstands("exhaustion", "processes and memory, as far as asked for", by=BUNDLE)
def test_processes_are_bounded_as_the_bundle_says(ours: OciRuntime) -> None:
    def change(config: Json) -> None:
        config["linux"]["resources"]["pids"] = {"limit": 4}

    script = "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait"
    done = attack(ours, "sh", "-c", script, change=change)
    assert "fork" in done.stderr, done


@withstands("users", "a device made by root of a user namespace", by=BUNDLE)
@withstands(
    "users",
    "files and processes that count as another container's, or as a user's of the host",
    by=BUNDLE,
)
def test_root_of_a_user_namespace_is_nobody_outside(ours: OciRuntime, victim: Path) -> None:
    shared = victim.parent / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    victim.parent.chmod(0o755)

    def change(config: Json) -> None:
        mapped(config)
        config["mounts"].append({"destination": "/v", "source": str(shared), "options": ["rbind"]})
        everything = ["CAP_MKNOD", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_SYS_ADMIN"]
        config["process"]["capabilities"] = dict.fromkeys(
            ("bounding", "effective", "permitted"), everything
        )
        config["linux"]["resources"]["devices"] = [{"allow": True, "access": "rwm"}]

    script = (
        "touch /v/made; mknod /v/disk b 8 0 && echo MADE; mknod /tmp/mem c 1 1 && echo MADE; true"
    )

    name = ours.identifier()
    bundle = ours.bundle(name, "sh", "-c", script, change=change)
    (bundle / "rootfs/bin/mknod").symlink_to("busybox")
    subprocess.run(["chown", "-R", "100000:100000", bundle / "rootfs"], check=True)
    for place in (bundle, bundle.parent):
        place.chmod(0o755)
    done = ours.attempt("run", "--bundle", bundle, name)
    assert (done.returncode, done.stdout) == (0, ""), done
    assert (shared / "made").stat().st_uid == 100_000


@withstands(
    "neighbours", "the store and the run directory opened by other users of the host", by=BUNDLE
)
def test_others_of_the_host_reach_no_state(ours: OciRuntime) -> None:
    """A socket that starts a container, and what its configuration holds, are root's alone."""
    name = ours.identifier()
    ours.create(name, ours.bundle(name, "sleep", "100"))
    kept = ours.root / name
    assert kept.exists()
    ours.root.parent.chmod(0o755)
    for file in ("", *os.listdir(kept)):
        path = kept / file
        line = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        done = subprocess.run(
            [*line, "cat" if file else "ls", path], capture_output=True, timeout=10, check=False
        )
        assert done.returncode != 0, path


@withstands("neighbours", "processes of the host's and of other containers signalled", by=BUNDLE)
def test_others_are_not_signalled(ours: OciRuntime) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        done = attack(ours, "sh", "-c", f"kill -9 {bystander.pid}; kill -9 -1; ls /proc")
        assert str(bystander.pid) not in done.stdout.split()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@withstands("neighbours", "a root that is the host's, or leads there", by=BUNDLE)
@pytest.mark.parametrize(
    "path", ["/", "../../../../../../..", "link", "file", "missing", "/proc/1/root"]
)
def test_the_root_is_a_directory_of_its_own(ours: OciRuntime, path: str) -> None:
    """Whoever makes a bundle could have it show, and change, whatever the host has."""
    name = ours.identifier()
    bundle = ours.bundle(name, "true")
    (bundle / "link").symlink_to("/")
    (bundle / "file").write_text("")
    config = json.loads((bundle / "config.json").read_text())
    config["root"]["path"] = path
    (bundle / "config.json").write_text(json.dumps(config))
    done = ours.attempt("create", "--bundle", bundle, name)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert not ours.remains(name)
