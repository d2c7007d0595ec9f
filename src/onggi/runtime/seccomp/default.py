"""Docker's default seccomp profile: what programs in a container may ask of the kernel.

Whatever is not allowed here fails with EPERM. Why some rules are as they are:

- `socket` is refused for the families 38 (AF_ALG, the kernel's cryptography) and 40 (AF_VSOCK,
  which reaches the hypervisor past every network namespace).
- `personality` may only ask (0xffffffff) or choose one of the four harmless personalities.
- `clone` may not make namespaces (2114060288 is all CLONE_NEW* flags but CLONE_NEWTIME).
  `clone3` hides its flags behind a pointer, where no filter can see them; it says ENOSYS, upon
  which C libraries fall back to `clone`.
- `socketcall` and `ipc` are allowed whole, so a 32-bit program gets the families that `socket`
  refuses; that gap is Docker's, and closing it would break 32-bit programs.

The names are those of all architectures together; one that an architecture lacks has no effect.

Source: moby/profiles, seccomp/default.json at cd3bed8 (2026-06-30), Apache-2.0. A test compares
this with that file where it is at hand.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ALLOW = "SCMP_ACT_ALLOW"
ERRNO = "SCMP_ACT_ERRNO"
EPERM = 1
ENOSYS = 38

# Architecture -> the other ABIs that its kernel serves.
ARCHITECTURES = {
    "X86_64": "X86 X32",
    "AARCH64": "ARM",
    "MIPS64": "MIPS MIPS64N32",
    "MIPS64N32": "MIPS MIPS64",
    "MIPSEL64": "MIPSEL MIPSEL64N32",
    "MIPSEL64N32": "MIPSEL MIPSEL64",
    "S390X": "S390",
    "RISCV64": "",
    "LOONGARCH64": "",
}

ALWAYS = """
    accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown
    chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
    clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect
    copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old
    epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit
    exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod
    fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr
    flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate
    ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat
    getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32
    getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority
    getrandom getresgid getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage
    getsid getsockname getsockopt get_thread_area gettid gettimeofday getuid getuid32 getxattr
    getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl
    io_destroy io_getevents io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set io_setup
    io_submit ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown
    lchown32 lgetxattr link linkat listen listmount listxattr listxattrat llistxattr _llseek
    lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create
    memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect
    mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend
    mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock
    munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2
    pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll
    ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6
    pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv
    recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename
    renameat renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending
    rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
    rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam
    sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval
    sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop
    semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32
    setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority
    setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32
    setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid setuid32
    setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4
    sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount
    statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create
    timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
    timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times
    tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat
    utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev
"""

# Capability that the container must have -> what it then may call.
WITH_CAPABILITY = (
    ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    (
        "CAP_SYS_ADMIN",
        (
            "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie "
            "lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount "
            "open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns "
            "syslog umount umount2 unshare"
        ),
    ),
    ("CAP_SYS_BOOT", "reboot"),
    ("CAP_SYS_CHROOT", "chroot"),
    ("CAP_SYS_MODULE", "delete_module init_module finit_module"),
    ("CAP_SYS_PACCT", "acct"),
    (
        "CAP_SYS_PTRACE",
        "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    ),
    ("CAP_SYS_RAWIO", "iopl ioperm"),
    ("CAP_SYS_TIME", "settimeofday stime clock_settime clock_settime64"),
    ("CAP_SYS_TTY_CONFIG", "vhangup"),
    ("CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("CAP_SYSLOG", "syslog"),
    ("CAP_BPF", "bpf"),
    ("CAP_PERFMON", "perf_event_open"),
)

# Architectures (as libseccomp names them) -> what only exists there.
ON_ARCHITECTURE = (
    ("ppc64le", "sync_file_range2 swapcontext"),
    (
        "arm arm64",
        "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
    ),
    ("amd64 x32", "arch_prctl"),
    ("amd64 x32 x86", "modify_ldt"),
    ("s390 s390x", "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr"),
    ("riscv64", "riscv_flush_icache"),
)

# Before Linux 4.8 a traced process could change a call after the filter had judged it.
SINCE_KERNEL = (("4.8", "process_vm_readv process_vm_writev ptrace"),)

# Call -> index of its argument, comparison, value. Any one that holds is enough.
BY_ARGUMENT = (
    ("socket", (0, "LT", 38)),
    ("socket", (0, "EQ", 39)),
    ("socket", (0, "GT", 40)),
    ("personality", (0, "EQ", 0x0)),  # PER_LINUX
    ("personality", (0, "EQ", 0x8)),  # PER_LINUX32
    ("personality", (0, "EQ", 0x20000)),  # UNAME26
    ("personality", (0, "EQ", 0x20008)),
    ("personality", (0, "EQ", 0xFFFFFFFF)),
)

NAMESPACE_FLAGS = 0x7E020000  # CLONE_NEWNS NEWCGROUP NEWUTS NEWIPC NEWUSER NEWPID NEWNET
NAMESPACE_MAKER = ["CAP_SYS_ADMIN"]  # who may call clone and clone3 as they are
FLAGS_SECOND = ["s390", "s390x"]  # where clone takes its flags as the second argument


def document() -> dict[str, Any]:
    """Return the profile as Docker writes it: rules with conditions, for every architecture."""
    return {
        "defaultAction": ERRNO,
        "defaultErrnoRet": EPERM,
        "archMap": [
            {"architecture": f"SCMP_ARCH_{name}", "subArchitectures": _qualified(others)}
            for name, others in ARCHITECTURES.items()
        ],
        "syscalls": [_allow(ALWAYS), *_conditional_rules(), *_clone_rules()],
    }


def _qualified(names: str) -> list[str]:
    return [f"SCMP_ARCH_{name}" for name in names.split()]


def _allow(names: str, **conditions: Any) -> dict[str, Any]:
    return {"names": names.split(), "action": ALLOW, **conditions}


def _conditional_rules() -> list[dict[str, Any]]:
    return [
        *(_allow(names, includes={"minKernel": since}) for since, names in SINCE_KERNEL),
        *(_allow(name, args=[_argument(*test)]) for name, test in BY_ARGUMENT),
        *(_allow(names, includes={"arches": arches.split()}) for arches, names in ON_ARCHITECTURE),
        *(_allow(names, includes={"caps": [cap]}) for cap, names in WITH_CAPABILITY),
    ]


def _clone_rules() -> list[dict[str, Any]]:
    """Return what a process may do that may not make namespaces."""
    first, second = (_argument(index, "MASKED_EQ", NAMESPACE_FLAGS) for index in (0, 1))
    unprivileged = {"caps": NAMESPACE_MAKER}
    return [
        _allow("clone", args=[first], excludes={**unprivileged, "arches": FLAGS_SECOND}),
        _allow("clone", args=[second], includes={"arches": FLAGS_SECOND}, excludes=unprivileged),
        {"names": ["clone3"], "action": ERRNO, "errnoRet": ENOSYS, "excludes": unprivileged},
    ]


def _argument(index: int, comparison: str, value: int) -> dict[str, Any]:
    return {"index": index, "value": value, "op": f"SCMP_CMP_{comparison}"}
