"""A program that tries what root in a default container is kept from, call by call."""

from pathlib import Path

from support.programs import compiled

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


def calls_in(place: Path) -> Path:
    """Compile the program in a directory, for a disk that this machine has."""
    lines = Path("/proc/partitions").read_text().splitlines()[2:]
    disk = next(line.split() for line in lines if line)
    numbers = (f"-DDISK_MAJOR={disk[0]}", f"-DDISK_MINOR={disk[1]}")
    return compiled(CALLS, place, *numbers)
