"""System calls, devices and kernel files that root in a default container is kept from."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.attackers import TRACE
from support.box import Box
from support.programs import compiled, said
from support.requirements import requires
from support.threats import INSIDE, withstands

pytestmark = requires("root", "overlayfs", "busybox", "compiler")


@withstands(
    "calls",
    "io_uring",
    "userfaultfd, bpf, perf",
    "keyctl, add_key",
    "new user namespaces, by unshare, clone and clone3",
    "mount, pivot_root, setns, open_by_handle_at",
    "reboot, kexec, swapon, modules, clock, host name",
    "the same through 32-bit calls",
    "the same through x32 calls",
    "sockets of families that reach the hypervisor or the kernel's crypto",
    by=INSIDE,
)
@withstands(
    "cgroups",
    "a cgroup file system is mounted",
    "the mount is made writable again",
    "a user namespace is made, to be allowed to mount there",
    by=INSIDE,
)
@withstands(
    "devices",
    "a raw disk made by mknod and opened",
    "/dev/mem made by mknod and opened",
    "the host's console made by mknod and opened",
    "a terminal of the host's made by mknod and opened",
    by=INSIDE,
)
@pytest.mark.parametrize("verb", ["run", "exec"])
def test_no_forbidden_call_succeeds(box: Box, calls_program: Path, verb: str) -> None:
    mounted = ("-v", f"{calls_program}:/attack:ro")
    if verb == "run":
        done = box.attempt("run", "--rm", *mounted, "busybox", "/attack")
    else:
        done = box.attempt("exec", box.up(*mounted), "/attack")
    results = said(done.stdout)
    assert done.returncode == 0, done
    assert len(results) == (62 if os.uname().machine == "x86_64" else 46), done.stdout
    assert not [name for name, result in results.items() if result == "SUCCEEDED"], done.stdout


@withstands("calls", "io_uring", "userfaultfd, bpf, perf", "keyctl, add_key", by=INSIDE)
@pytest.mark.parametrize("user", ["0", "1000"])
def test_the_filter_alone_refuses_what_needs_no_capability(
    box: Box, calls_program: Path, user: str
) -> None:
    """These are open to everybody but for the filter, so only that can have refused them."""
    options = ["--user", user, "-v", f"{calls_program}:/attack:ro"]
    shown = said(box.attempt("run", "--rm", *options, "busybox", "/attack").stdout)
    refused = "Operation not permitted"
    for name in ("keyctl_join", "add_key", "userfaultfd", "io_uring", "i386_add_key", "unshare"):
        assert shown.get(name, refused) == refused, (name, shown[name])
    assert shown["child_clone3"] == "Function not implemented"


WRITES = {
    "kernel settings in /proc/sys, core_pattern among them": [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sys/fs/binfmt_misc/register",
        "/proc/sys/net/ipv4/ip_forward",
    ],
    "/proc/sysrq-trigger and /proc/irq": [
        "/proc/sysrq-trigger",
        "/proc/irq/default_smp_affinity",
        "/proc/bus/pci/00/00.0",
    ],
    "/sys and its helpers": [
        "/sys/kernel/uevent_helper",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/power/state",
        "/sys/module/printk/parameters/time",
        "/sys/devices/system/cpu/cpu0/online",
        "/sys/class/net/lo/ifalias",
    ],
}


@withstands("devices", *WRITES, by=INSIDE)
@pytest.mark.parametrize("network", ["none", "host"])
def test_kernel_files_cannot_be_written(box: Box, network: str) -> None:
    paths = " ".join(path for each in WRITES.values() for path in each)
    script = f"for p in {paths}; do (: > $p) 2>/dev/null && echo $p; done; true"
    assert box.sh(script, "--network", network) == ""


@withstands("cgroups", "`release_agent` is written", "cgroup files are written", by=INSIDE)
@pytest.mark.parametrize("network", ["none", "host"])
def test_cgroup_files_cannot_be_written(box: Box, network: str) -> None:
    script = (
        "find /sys/fs/cgroup -type f | while read p; do (: > $p) 2>/dev/null && echo $p; done;"
        "find /sys/fs/cgroup -type d | while read p; do mkdir $p/new 2>/dev/null && echo $p; done;"
        "find /sys/fs/cgroup -type f | wc -l"
    )
    found = box.sh(script, "--network", network).splitlines()
    assert len(found) == 1, found
    assert int(found[0]) > 10, "there is nothing to be written"


READS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)


@withstands("devices", "/proc/kcore, /proc/keys, /sys/firmware and the like read", by=INSIDE)
def test_kernel_files_tell_nothing(box: Box) -> None:
    script = f'for p in {" ".join(READS)}; do [ -n "$(ls -A $p/ 2>/dev/null; cat $p)" ] && echo $p;'
    assert box.sh(f"({script} done; true) 2>/dev/null") == ""
    present = [path for path in READS if os.path.exists(path)]
    assert "/proc/keys" in present or "/proc/kcore" in present, "there is nothing to be hidden"


@withstands("calls", "ptrace of process 1 by another user", by=INSIDE)
def test_another_user_cannot_trace_process_1(box: Box, tmp_path: Path) -> None:
    container = box.up("-v", f"{compiled(TRACE, tmp_path)}:/trace:ro")
    shown = box("exec", "--user", "1000", container, "/trace").stdout
    assert said(shown) == {"ptrace": "Operation not permitted"}


SEARCH = r"""
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
    long found = syscall(SYS_keyctl, 10, -3, "user", "onggi-test-secret", 0);
    printf("search %s\n", found < 0 ? strerror(errno) : "SUCCEEDED");
    return 0;
}
"""

# Adds a key to a session keyring of its own, and goes on as the command.
WITH_KEY = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
call = libc.syscall
call.restype = ctypes.c_long
assert call(250, 1, None) > 0
assert call(248, b"user", b"onggi-test-secret", b"x", ctypes.c_size_t(1), ctypes.c_long(-3)) > 0
os.execv(sys.argv[1], sys.argv[1:])
"""


@withstands("caller", "keys of the caller's session keyring", by=INSIDE)
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of calls are x86_64's")
@pytest.mark.parametrize("verb", ["run", "exec"])
def test_keys_of_the_caller_are_not_found(box: Box, tmp_path: Path, verb: str) -> None:
    options = ["--security-opt", "seccomp=unconfined"]  # the filter would refuse to search
    options += ["-v", f"{compiled(SEARCH, tmp_path)}:/search:ro"]
    words = ["run", "--rm", *options, "busybox"]
    if verb == "exec":
        words = ["exec", box.up(*options)]
    control = [sys.executable, "-c", WITH_KEY, str(tmp_path / "program")]
    done = subprocess.run(control, capture_output=True, text=True, timeout=60, check=True)
    assert said(done.stdout) == {"search": "SUCCEEDED"}, "there is no key to be found"
    line = [sys.executable, "-c", WITH_KEY, *box.line(*words, "/search")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    assert said(done.stdout) == {"search": "Required key not available"}


def capability_of_a_file(path: Path, number: int) -> None:
    """Grant what executes a file a capability, effective at once (capabilities(7))."""
    words = [0x02000001, 1 << number, 0, 0, 0]
    os.setxattr(path, "security.capability", b"".join(word.to_bytes(4, "little") for word in words))


@withstands("caller", "a set-user-ID program", "a program with file capabilities", by=INSIDE)
def test_a_program_gains_nothing_by_what_its_file_says(box: Box, tmp_path: Path) -> None:
    source = r"""
    #include <stdio.h>
    #include <string.h>
    #include <unistd.h>
    int main(void) {
        char line[256];
        FILE *status = fopen("/proc/self/status", "r");
        while (fgets(line, sizeof line, status))
            if (!strncmp(line, "CapEff", 6)) printf("%d %s", geteuid(), line);
        return 0;
    }"""
    program = compiled(source, tmp_path)
    os.chown(program, 0, 0)
    program.chmod(0o4755)
    capability_of_a_file(program, 10)
    words = ["run", "--rm", "-u", "1000", "-v", f"{program}:/gain:ro"]
    assert box(*words, "busybox", "/gain").stdout == f"1000 CapEff:\t{0:016x}\n"
    willing = ["--security-opt", "no-new-privileges=false"]
    assert box(*words, *willing, "busybox", "/gain").stdout.startswith("0 "), "nothing to gain"


GUARDED = ("/dev/mqueue", "/dev/shm", "/proc", "/sys", "/sys/fs/cgroup")


@withstands(
    "devices", "a device or program made where the kernel's file systems are written to", by=INSIDE
)
@pytest.mark.parametrize("network", ["none", "host"])
def test_nothing_is_opened_or_executed_where_the_kernel_is_written_to(
    box: Box, network: str
) -> None:
    script = (
        "cp /bin/busybox /dev/shm/true && mknod /dev/shm/zero c 1 5 || exit 1;"
        "/dev/shm/true && echo RAN; head -c 1 /dev/shm/zero && echo READ; cat /proc/self/mountinfo"
    )
    willing = ["--security-opt", "no-new-privileges=false", "--network", network]
    shown = box.sh(script, *willing)
    assert "RAN" not in shown
    assert "READ" not in shown
    flags = {line.split()[4]: set(line.split()[5].split(",")) for line in shown.splitlines()}
    for place, words in flags.items():
        if place.startswith("/sys/fs/cgroup") or place in GUARDED:
            assert {"nosuid", "nodev", "noexec"} <= words, place
    assert set(GUARDED) <= set(flags)
    assert "nosuid" in flags["/dev"]
    assert {"nosuid", "noexec"} <= flags["/dev/pts"]
