"""What root inside a default container tries, and must fail at.

Each test names the advisory or the check-list that the attack is from.
"""

import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import Onggi, root_of_module
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "busybox", "compiler")

CALLS = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int told(const char *name, long result) {
    printf("%s %s\n", name, result < 0 ? strerror(errno) : "SUCCEEDED");
    return 0;
}

int main(void) {
    char attributes[128] = {0};
    mkdir("/m", 0755);
    told("mount", mount("tmpfs", "/m", "tmpfs", 0, ""));
    told("cgroup", mount("cgroup", "/m", "cgroup", 0, "memory"));
    told("cgroup2", mount("cgroup2", "/m", "cgroup2", 0, ""));
    told("remount", mount("", "/sys/fs/cgroup", "", MS_REMOUNT | MS_BIND, ""));
    told("unshare", unshare(CLONE_NEWUSER));
    told("bpf", syscall(SYS_bpf, 5, attributes, sizeof attributes));
    told("keyctl", syscall(SYS_keyctl, 0, -3, 0, 0, 0));
    told("add_key", syscall(SYS_add_key, "user", "x", "y", 1, -3));
    told("userfaultfd", syscall(SYS_userfaultfd, 0));
    told("io_uring", syscall(SYS_io_uring_setup, 1, attributes));
    told("kexec", syscall(SYS_kexec_load, 0, 0, 0, 0));
    told("open_by_handle", syscall(SYS_open_by_handle_at, AT_FDCWD, attributes, O_RDONLY));
    told("reboot", syscall(SYS_reboot, 0, 0, 0, 0));
    told("swapon", syscall(SYS_swapon, "/x", 0));
    told("sethostname", sethostname("x", 1));
    if (mknod("/disk", S_IFBLK | 0600, makedev(DISK_MAJOR, DISK_MINOR)) == 0)
        told("disk", open("/disk", O_RDONLY));
    if (mknod("/mem", S_IFCHR | 0600, makedev(1, 1)) == 0)
        told("mem", open("/mem", O_RDONLY));
    return 0;
}
"""


@pytest.fixture(scope="module")
def jar() -> Iterator[Onggi]:
    root = root_of_module("inside")
    command = Onggi(root)
    command("bootstrap", "busybox")
    yield command
    command("system", "reset", "--force")


def compiled(source: str, place: Path, *words: str) -> Path:
    program = place / "program"
    subprocess.run(
        ["gcc", "-static", "-O1", "-x", "c", "-", "-o", program, *words],
        input=source,
        text=True,
        check=True,
        capture_output=True,
    )
    return program


def sh(jar: Onggi, script: str, *options: str) -> str:
    done = jar.attempt("run", "--rm", *options, "busybox", "sh", "-c", script)
    return done.stdout + done.stderr


def test_no_forbidden_call_succeeds(jar: Onggi, tmp_path: Path) -> None:
    # THREATS: seccomp gaps, release_agent (CVE-2022-0492), raw disks, /dev/mem, keyrings.
    disk = next(
        line.split() for line in Path("/proc/partitions").read_text().splitlines()[2:] if line
    )
    numbers = (f"-DDISK_MAJOR={disk[0]}", f"-DDISK_MINOR={disk[1]}")
    program = compiled(CALLS, tmp_path, *numbers)
    output = sh(jar, "/attack", "-v", f"{program}:/attack:ro")
    lines = dict(line.split(" ", 1) for line in output.splitlines())
    assert len(lines) == 17, output
    assert not [name for name, result in lines.items() if result == "SUCCEEDED"], output


def test_the_interpreter_cannot_be_executed_again(jar: Onggi, tmp_path: Path) -> None:
    # CVE-2019-5736: what /proc/self/exe leads to at that moment is no file of the host.
    script = tmp_path / "again"
    script.write_text("#!/proc/self/exe\nimport os\n")
    script.chmod(0o755)
    for words in (["/again"], ["/proc/self/exe"]):
        done = jar.attempt("run", "--rm", "-v", f"{script}:/again:ro", "busybox", *words)
        assert done.returncode != 0
        assert "python" not in (done.stdout + done.stderr).lower()


def test_what_runs_shows_no_file_of_the_host(jar: Onggi) -> None:
    jar("run", "-d", "--init", "--name", "target", "busybox", "sleep", "600")
    try:
        script = "for p in /proc/[0-9]*; do readlink $p/exe; cat $p/maps; done"
        seen = jar("exec", "target", "sh", "-c", script).stdout
        assert "python" not in seen
        overwrite = jar.attempt("exec", "target", "sh", "-c", "echo x > /proc/1/exe")
        assert overwrite.returncode != 0
    finally:
        jar("rm", "-f", "target")


@pytest.mark.parametrize("number", range(3, 12))
def test_no_descriptor_leads_out(jar: Onggi, number: int) -> None:
    # CVE-2024-21626
    done = jar.attempt("run", "--rm", "-w", f"/proc/self/fd/{number}", "busybox", "pwd")
    assert done.returncode != 0
    assert str(jar.root) not in done.stdout


TARGETS = {"/etc/hosts": "/../../../etc/shadow", "/dev": "/../../dev", "/proc": "/tmp/elsewhere"}


@pytest.mark.parametrize("target", TARGETS)
def test_targets_that_are_links_stay_inside(jar: Onggi, tmp_path: Path, target: str) -> None:
    # CVE-2021-30465, CVE-2023-27561, CVE-2025-31133
    before = Path("/etc/shadow").read_bytes(), sorted(os.listdir("/dev"))
    (tmp_path / "Dockerfile").write_text(
        f"FROM busybox\nRUN mv {target} /was 2>/dev/null; true\nCOPY link {target}\n"
    )
    (tmp_path / "link").symlink_to(TARGETS[target])
    built = jar.attempt("build", "-q", "-t", "hostile", str(tmp_path))
    if built.returncode == 0:
        jar.attempt("run", "--rm", "hostile", "sh", "-c", "echo x > /etc/hosts; touch /dev/x")
        jar("rmi", "-f", "hostile")
    assert (Path("/etc/shadow").read_bytes(), sorted(os.listdir("/dev"))) == before


WRITES = [
    "/proc/sysrq-trigger",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/irq/default_smp_affinity",
    "/sys/kernel/uevent_helper",
    "/sys/fs/cgroup/memory/release_agent",
    "/sys/fs/cgroup/memory/cgroup.procs",
    "/sys/fs/cgroup/cgroup.procs",
    "/sys/fs/cgroup/devices/devices.allow",
]


@pytest.mark.parametrize("path", WRITES)
def test_kernel_files_cannot_be_written(jar: Onggi, path: str) -> None:
    assert "written" not in sh(jar, f"echo 0 > {path} && echo written")


def test_kernel_files_tell_nothing(jar: Onggi) -> None:
    masked = "/proc/kcore /proc/keys /proc/timer_list /proc/sched_debug /sys/firmware /proc/acpi"
    script = f'for p in {masked}; do [ ! -e $p ] || [ -z "$(ls -A $p/ 2>/dev/null; cat $p)" ] '
    assert sh(jar, script + "|| echo $p; done 2>/dev/null") == ""


def test_the_host_is_not_seen(jar: Onggi) -> None:
    assert sh(jar, "ls /proc | grep -c '^[0-9]'").strip() in ("3", "4")
    assert "refused" in sh(jar, "nc -w 1 127.0.0.1 22 </dev/null || echo refused")


def test_a_program_cannot_gain_by_its_mode(jar: Onggi, tmp_path: Path) -> None:
    program = compiled("#include <unistd.h>\nint main(void){return geteuid();}", tmp_path)
    os.chown(program, 0, 0)
    program.chmod(0o4755)
    words = ["-u", "1000", "-v", f"{program}:/suid:ro", "busybox", "/suid"]
    assert jar.attempt("run", "--rm", *words).returncode == 1000 % 256


LINKS = [
    {"proc": "dev/l", "dev/l": "/x"},
    {"proc": "sys/l", "sys/l": "/x"},
    {"proc": "/x"},
    {"sys": "dev/l", "dev/l": "/x"},
]


@pytest.mark.parametrize("links", LINKS)
def test_an_image_cannot_lead_procfs_away_from_its_masks(
    jar: Onggi, tmp_path: Path, links: dict[str, str]
) -> None:
    # A later mount would change where the link leads, and masks would find nothing to hide.
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        for name in ("bin", "dev", "sys", "x"):
            if name not in links:
                entry = tarfile.TarInfo(name)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
        for name, target in links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
        program = Path("/bin/busybox").read_bytes()
        entry = tarfile.TarInfo("bin/sh")
        entry.size, entry.mode = len(program), 0o755
        archive.addfile(entry, io.BytesIO(program))
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    jar("import", str(tmp_path / "evil.tar"), "evil")
    script = "echo pwned > /x/sys/kernel/core_pattern; echo pwned > /x/kernel/uevent_helper"
    done = jar.attempt("run", "--rm", "evil", "/bin/sh", "-c", script)
    assert done.returncode == 125
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before
    jar("rmi", "evil")


def test_the_host_s_null_device_is_out_of_reach(jar: Onggi) -> None:
    mode = os.stat("/dev/null").st_mode
    jar.attempt("run", "--rm", "busybox", "chmod", "600", "/dev/stdin")
    jar("run", "-d", "--name", "nulls", "busybox", "sleep", "600")
    jar.attempt("exec", "nulls", "chmod", "600", "/dev/stdin")
    jar("rm", "-f", "nulls")
    assert os.stat("/dev/null").st_mode == mode


def test_exec_hands_over_nothing_of_the_caller_s(jar: Onggi, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine\n")
    jar("run", "-d", "--name", "taker", "busybox", "sleep", "600")
    script = "echo theirs > /proc/self/fd/0; chmod 4777 /proc/self/fd/0; chmod 4777 /proc/self/fd/1"
    with mine.open("rb") as file, (tmp_path / "out").open("wb") as out:
        line = jar.line("exec", "-i", "taker", "sh", "-c", script)
        subprocess.run(line, stdin=file, stdout=out, timeout=60, check=False)
    jar("rm", "-f", "taker")
    assert mine.read_text() == "mine\n"
    assert not mine.stat().st_mode & stat.S_ISUID
    assert not (tmp_path / "out").stat().st_mode & stat.S_ISUID


def test_a_store_of_somebody_else_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    done = Onggi(tmp_path).attempt("ps")
    assert (done.returncode, "written by others" in done.stderr) == (1, True)
