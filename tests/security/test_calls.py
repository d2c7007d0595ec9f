"""System calls, devices and kernel files that root in a default container is kept from."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.box import Box
from support.programs import compiled, said
from support.requirements import requires
from support.threats import withstands

pytestmark = requires("root", "overlayfs", "busybox", "compiler")

# Each line tells of one call: what it failed with, or that it succeeded.
CALLS = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void told(const char *name, long result) {
    if (result == 0 && !strncmp(name, "child_", 6)) _exit(0);
    printf("%s %s\n", name, result < 0 ? strerror(errno) : "SUCCEEDED");
}
static void opened(const char *name, const char *path, mode_t kind, dev_t device, int flags) {
    if (mknod(path, kind | 0600, device) == 0) told(name, open(path, flags));
    else told(name, -1);
}
#ifdef __x86_64__
static long old(long number, long a, long b, long c, long d, long e) {
    long result;
    register long r8 __asm__("r8") = 0;
    __asm__ volatile("int $0x80" : "=a"(result), "+r"(r8)
        : "0"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
        : "memory", "r9", "r10", "r11");
    if (result < 0 && result > -4096) { errno = -result; return -1; }
    return result;
}
#endif
static char attributes[128], low[4096] __attribute__((aligned(4096)));
static const char slash_m[] = "/m", tmpfs[] = "tmpfs", empty[] = "", user[] = "user", x[] = "x";

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    mkdir("/m", 0755);
    told("mount", mount("tmpfs", "/m", "tmpfs", 0, ""));
    told("cgroup", mount("cgroup", "/m", "cgroup", 0, "memory"));
    told("cgroup2", mount("cgroup2", "/m", "cgroup2", 0, ""));
    told("remount", mount("", "/sys/fs/cgroup", "", MS_REMOUNT | MS_BIND, ""));
    told("remount_proc", mount("", "/proc/sys", "", MS_REMOUNT | MS_BIND, ""));
    told("umount", umount2("/proc/sys", MNT_DETACH));
    told("umount_mask", umount2("/proc/kcore", MNT_DETACH));
    told("open_tree", syscall(428, AT_FDCWD, "/", 1));
    told("fsopen", syscall(430, "cgroup2", 0));
    told("mount_setattr", syscall(442, AT_FDCWD, "/proc/sys", 0, attributes, 32));
    told("pivot_root", syscall(SYS_pivot_root, "/m", "/m"));
    told("setns", syscall(SYS_setns, open("/proc/self/ns/mnt", O_RDONLY), 0));
    told("open_by_handle", syscall(SYS_open_by_handle_at, AT_FDCWD, attributes, O_RDONLY));
    told("unshare", unshare(CLONE_NEWUSER));
    told("unshare_mount", unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP));
    told("child_clone", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    { uint64_t how[11] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};
      told("child_clone3", syscall(435, how, sizeof how)); }
    told("bpf", syscall(SYS_bpf, 5, attributes, sizeof attributes));
    told("perf", syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0));
    told("userfaultfd", syscall(SYS_userfaultfd, 0));
    told("keyctl", syscall(SYS_keyctl, 0, -3, 0, 0, 0));
    told("keyctl_join", syscall(SYS_keyctl, 1, 0, 0, 0, 0));
    told("add_key", syscall(SYS_add_key, "user", "x", "y", 1, -3));
    told("request_key", syscall(SYS_request_key, "user", "x", 0, -3));
    told("io_uring", syscall(425, 1, low));
    told("io_uring_enter", syscall(426, 0, 0, 0, 0, 0, 0));
    told("io_uring_register", syscall(427, 0, 0, 0, 0));
    told("kexec", syscall(SYS_kexec_load, 0, 0, 0, 0));
    told("init_module", syscall(SYS_init_module, attributes, 1, ""));
    told("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0, 0));
    told("swapon", syscall(SYS_swapon, "/x", 0));
    told("sethostname", sethostname("x", 1));
    { struct timeval when = {1, 0}; told("settimeofday", settimeofday(&when, 0)); }
    told("acct", syscall(SYS_acct, "/x"));
    told("syslog", syscall(SYS_syslog, 3, low, sizeof low));
    told("vsock", socket(40, SOCK_STREAM, 0));
    told("alg", socket(38, SOCK_SEQPACKET, 0));
    opened("disk", "/disk", S_IFBLK, makedev(DISK_MAJOR, DISK_MINOR), O_RDONLY);
    opened("mem", "/mem", S_IFCHR, makedev(1, 1), O_RDONLY);
    opened("kmsg", "/kmsg", S_IFCHR, makedev(1, 11), O_RDONLY | O_NONBLOCK);
    opened("console", "/hostconsole", S_IFCHR, makedev(5, 1), O_WRONLY | O_NONBLOCK);
    opened("terminal", "/tty1", S_IFCHR, makedev(4, 1), O_WRONLY | O_NONBLOCK);
    opened("pts", "/pts0", S_IFCHR, makedev(136, 0), O_WRONLY | O_NONBLOCK);
    opened("loop", "/loopcontrol", S_IFCHR, makedev(10, 237), O_RDWR);
    opened("fuse", "/fuse", S_IFCHR, makedev(10, 229), O_RDWR);
    opened("kvm", "/kvm", S_IFCHR, makedev(10, 232), O_RDWR);
#ifdef __x86_64__
    /* Numbers of arch/x86/entry/syscalls/syscall_32.tbl; addresses of this program fit. */
    told("i386_mount", old(21, (long)tmpfs, (long)slash_m, (long)tmpfs, 0, (long)empty));
    told("i386_unshare", old(310, CLONE_NEWUSER, 0, 0, 0, 0));
    told("i386_keyctl", old(288, 0, -3, 0, 0, 0));
    told("i386_add_key", old(286, (long)user, (long)x, (long)x, 1, -3));
    told("i386_bpf", old(357, 5, (long)attributes, 128, 0, 0));
    told("i386_io_uring", old(425, 1, (long)low, 0, 0, 0));
    told("i386_userfaultfd", old(374, 0, 0, 0, 0, 0));
    told("i386_settimeofday", old(79, (long)"\1\0\0\0\0\0\0\0", 0, 0, 0, 0));
    told("i386_reboot", old(88, 0xfee1dead, 672274793, 0, 0, 0));
    told("i386_pivot_root", old(217, (long)slash_m, (long)slash_m, 0, 0, 0));
    long bit = 0x40000000;
    told("x32_mount", syscall(bit | 165, tmpfs, slash_m, tmpfs, 0, empty));
    told("x32_unshare", syscall(bit | 272, CLONE_NEWUSER));
    told("x32_keyctl", syscall(bit | 250, 0, -3, 0, 0, 0));
    told("x32_bpf", syscall(bit | 321, 5, attributes, 128));
    told("x32_io_uring", syscall(bit | 425, 1, low));
    told("x32_ptrace", syscall(bit | 521, PTRACE_ATTACH, 1, 0, 0));
#endif
    return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = Path("/proc/partitions").read_text().splitlines()[2:]
    disk = next(line.split() for line in lines if line)
    numbers = (f"-DDISK_MAJOR={disk[0]}", f"-DDISK_MINOR={disk[1]}")
    return compiled(CALLS, tmp_path_factory.mktemp("calls"), *numbers)


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
)
@withstands(
    "cgroups",
    "a cgroup file system is mounted",
    "the mount is made writable again",
    "a user namespace is made, to be allowed to mount there",
)
@withstands(
    "devices",
    "a raw disk made by mknod and opened",
    "/dev/mem made by mknod and opened",
    "the host's console made by mknod and opened",
    "a terminal of the host's made by mknod and opened",
)
@pytest.mark.parametrize("verb", ["run", "exec"])
def test_no_forbidden_call_succeeds(box: Box, program: Path, verb: str) -> None:
    mounted = ("-v", f"{program}:/attack:ro")
    if verb == "run":
        done = box.attempt("run", "--rm", *mounted, "busybox", "/attack")
    else:
        done = box.attempt("exec", box.up(*mounted), "/attack")
    results = said(done.stdout)
    assert done.returncode == 0, done
    assert len(results) == (62 if os.uname().machine == "x86_64" else 46), done.stdout
    assert not [name for name, result in results.items() if result == "SUCCEEDED"], done.stdout


@withstands("calls", "io_uring", "userfaultfd, bpf, perf", "keyctl, add_key")
@pytest.mark.parametrize("user", ["0", "1000"])
def test_the_filter_alone_refuses_what_needs_no_capability(
    box: Box, program: Path, user: str
) -> None:
    """These are open to everybody but for the filter, so only that can have refused them."""
    options = ["--user", user, "-v", f"{program}:/attack:ro"]
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


@withstands("devices", *WRITES)
@pytest.mark.parametrize("network", ["none", "host"])
def test_kernel_files_cannot_be_written(box: Box, network: str) -> None:
    paths = " ".join(path for each in WRITES.values() for path in each)
    script = f"for p in {paths}; do (: > $p) 2>/dev/null && echo $p; done; true"
    assert box.sh(script, "--network", network) == ""


@withstands("cgroups", "`release_agent` is written", "cgroup files are written")
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


@withstands("devices", "/proc/kcore, /proc/keys, /sys/firmware and the like read")
def test_kernel_files_tell_nothing(box: Box) -> None:
    script = f'for p in {" ".join(READS)}; do [ -n "$(ls -A $p/ 2>/dev/null; cat $p)" ] && echo $p;'
    assert box.sh(f"({script} done; true) 2>/dev/null") == ""
    present = [path for path in READS if os.path.exists(path)]
    assert "/proc/keys" in present or "/proc/kcore" in present, "there is nothing to be hidden"


TRACE = r"""
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
int main(void) {
    long result = ptrace(PTRACE_ATTACH, 1, 0, 0);
    printf("ptrace %s\n", result < 0 ? strerror(errno) : "SUCCEEDED");
    return 0;
}
"""


@withstands("calls", "ptrace of process 1 by another user")
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


@withstands("caller", "keys of the caller's session keyring")
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


@withstands("caller", "a set-user-ID program", "a program with file capabilities")
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
