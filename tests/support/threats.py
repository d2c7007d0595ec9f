"""What Onggi must withstand, row by row, and the mark of a test that tries to break it.

    @withstands("cgroups", "`release_agent` is written", "cgroup files are written", by=INSIDE)

names a row, which of its attacks the test tries, and by which way: from inside of a real container,
by a hostile bundle given to the runtime command, or neither: the defence by itself.
`scripts/threats` writes docs/security.md from the rows and from where the marks stand; a test holds
that each attack of each row is tried somewhere, and that the document is up to date.
"""

from collections.abc import Iterator

import pytest

INSIDE = "inside"  # a program in a real container, from its start or by exec
BUNDLE = "bundle"  # what `onggi-runtime` is given: configuration, root, descriptors; or runs
ALONE = ""  # the step, parser or record that defends, tried by itself
WAYS = (INSIDE, BUNDLE, ALONE)


class Row:
    """One line of a table: a kind of attack, and what holds it off.

    `key` is what marks name it by; `seen` are advisories against other engines; `attacks` are the
    single things that tests try. `kernels` says which defences exist on some kernels only, and what
    holds elsewhere. `no_bundle` is why a bundle cannot try it.
    """

    def __init__(
        self,
        key: str,
        held_by: str,
        *attacks: str,
        seen: str = "",
        kernels: str = "",
        no_bundle: str = "",
    ) -> None:
        self.key = key
        self.held_by = held_by
        self.attacks = attacks
        self.seen = seen
        self.kernels = kernels
        self.no_bundle = no_bundle


FROM_INSIDE = (
    Row(
        "own program",
        "what enters is a sealed copy in memory, not dumpable, never a file of the host",
        "the program is /proc/self/exe",
        "a script's interpreter is /proc/self/exe",
        "/proc/1/exe or its maps lead to a file of the host",
        "opened or written through /proc/PID/exe while `exec` enters",
        "memory, descriptors or directory of what enters looked at through /proc",
        "rights of the host's root held by what `exec` makes inside, while it enters",
        "looked at through /proc while it is made in the PID namespace of others",
        "the caller's command line read in the one of what waits to be started",
        "the sealed program that stands between is written to",
        "dumpable again after a change of user, where the host says so",
        seen="CVE-2019-5736, CVE-2016-9962",
    ),
    Row(
        "descriptors",
        "every other descriptor is closed before the program runs; the working directory is "
        "checked after entering it; standard streams are pipes or a null device of the container's",
        "a working directory of /proc/self/fd/N, by `run` and by `exec`",
        "an image whose WORKDIR is /proc/self/fd/N",
        "a program named /proc/self/fd/N/…",
        "descriptors of the caller's passed on",
        "files of the caller's written through standard streams",
        "the host's null device changed through standard streams",
        "the caller's terminal opened as /dev/tty, or typed into",
        "a forged report through the descriptor that failures are told by",
        seen="CVE-2024-21626",
    ),
    Row(
        "targets",
        "targets are opened inside the root by the kernel (`openat2`) and mounted by descriptor; "
        "kernel file systems are mounted on real directories only",
        "a target that is a link in the image or a volume",
        "a target swapped for a link by another container that shares a volume",
        "/proc or /sys is a link in the image",
        "a directory exchanged for a link during a lookup",
        "a node of /dev exchanged for a link while its mode is set",
        seen="CVE-2021-30465, CVE-2023-27561, CVE-2023-28642, CVE-2024-45310, CVE-2025-24965",
        kernels="`openat2` came with Linux 5.6, without which nothing is mounted at all",
    ),
    Row(
        "masks",
        "device numbers are verified on the open file; targets are mounted by descriptor",
        "/dev/null is another file when a path is masked",
        "/dev/null exchanged before `exec`",
        "/dev/console and the terminal's master, in a volume where a link leads",
        seen="CVE-2025-31133, CVE-2025-52565",
    ),
    Row(
        "procfs",
        "writes go through a descriptor that is proven to be procfs, over no mount or magic link",
        "a file mounted over the one that is written",
        "a /proc that is no procfs, or a part of one",
        "a way that leads out of procfs",
        "a setting of the kernel's own, as a parameter of the container's",
        seen="CVE-2025-52881, CVE-2019-16884, CVE-2022-0811",
    ),
    Row(
        "caller",
        "inheritable and ambient sets are emptied, the bounding set is dropped, no new privileges; "
        "umask, directory, signals and keyring are set, not inherited",
        "capabilities that the caller holds as inheritable or ambient",
        "a set-user-ID program",
        "a program with file capabilities",
        "umask, directory and ignored signals of the caller's passed on",
        "keys of the caller's session keyring",
        "an ambient or inheritable capability that a bundle or `exec` asks for",
        "a user or group whose number means `as before`, which is root",
        seen="CVE-2022-24769, CVE-2022-29162, CVE-2024-40635, CVE-2025-27612",
        kernels="without CONFIG_KEYS there is no keyring, and nothing of one to find",
    ),
    Row(
        "cgroups",
        "the files are read-only, mounting needs a capability that is not there",
        "`release_agent` is written",
        "cgroup files are written",
        "a cgroup file system is mounted",
        "the mount is made writable again",
        "a user namespace is made, to be allowed to mount there",
        "a place among the host's cgroups that is not the container's own",
        "flags of the host's cgroup mounts set anew by mounting another",
        seen="CVE-2022-0492",
        kernels="`release_agent` is a file of v1; on v2 the other attacks remain",
    ),
    Row(
        "devices",
        "device rules (v1 files, v2 BPF), masked and read-only paths, a session keyring",
        "a raw disk made by mknod and opened",
        "/dev/mem made by mknod and opened",
        "the host's console made by mknod and opened",
        "a terminal of the host's made by mknod and opened",
        "kernel settings in /proc/sys, core_pattern among them",
        "/proc/sysrq-trigger and /proc/irq",
        "/sys and its helpers",
        "/proc/kcore, /proc/keys, /sys/firmware and the like read",
        "a device or program made where the kernel's file systems are written to",
        kernels="on cgroup v1 the rules are files, on v2 a BPF program; each is tried where it is, "
        "and v2 alone in a virtual machine (tests/vm)",
    ),
    Row(
        "calls",
        "the filter equals Docker's on every ABI of the machine",
        "io_uring",
        "userfaultfd, bpf, perf",
        "keyctl, add_key",
        "new user namespaces, by unshare, clone and clone3",
        "mount, pivot_root, setns, open_by_handle_at",
        "reboot, kexec, swapon, modules, clock, host name",
        "the same through 32-bit calls",
        "the same through x32 calls",
        "sockets of families that reach the hypervisor or the kernel's crypto",
        "ptrace of process 1 by another user",
        seen="CVE-2022-0185",
        kernels="filters need CONFIG_SECCOMP_FILTER; calls of 32 bits and of x32 are x86_64's",
    ),
    Row(
        "exhaustion",
        "limits, with defaults for processes, shared memory, devices and logs; nobody is waited "
        "for who cannot go on",
        "processes, by default",
        "processes and memory, as far as asked for",
        "the log",
        "/dev and /dev/shm",
        "an exemption from the memory killer, inherited",
        "an endless writer that stays when its container ends",
        "a command kept waiting for ever",
    ),
    Row(
        "users",
        "with `--userns auto` a range of IDs of its own; what containers write lies below "
        "directories that only root may enter",
        "a set-user-ID file left where the host's users could run it",
        "files and processes that count as another container's, or as a user's of the host",
        "a device made by root of a user namespace",
        kernels="idmapped layers take Linux 5.19; without them `--userns auto` is refused",
    ),
    Row(
        "ordinary users",
        "root inside has the user's rights outside, and no more: a user namespace, mounts that are "
        "locked in it, a filter; what enters belongs to none that is inside",
        "files of the host that the user may not open, bound into a container",
        "devices of the host opened, made, or mounted as file systems",
        "what is masked or read-only taken off, from a further user namespace as well",
        "cgroup files and settings of the host written to",
        "what enters by `exec` looked at by root of the user namespace, who may trace",
        "a program or device of the image's with more rights than the user has",
        seen="CVE-2023-25809",
    ),
    Row(
        "holder",
        "it is known by PID, start time and boot, its namespace by number and IDs; containers have "
        "PID namespaces of their own, and only the user may enter the directory of its record",
        "signalled, traced, read or joined by another user of the host",
        "signalled or seen from inside of a container",
        "its PID, or its namespace's number, that something else has by now",
        "a record of it that others could write",
        no_bundle="the runtime command has none: each of its containers has a namespace of its own",
    ),
    Row(
        "neighbours",
        "namespaces of its own; nothing of the host's is mounted",
        "the host's loopback",
        "abstract sockets of the host's",
        "processes of the host's and of other containers signalled",
        "what is mounted below the host's /sys, with the host's network",
        "the store and the run directory opened by other users of the host",
        "a root that is the host's, or leads there",
        "a namespace that is the host's, or another container's",
        "records of containers that another user of the host wrote, or may write to",
        seen="CVE-2020-15257, CVE-2021-41091, CVE-2024-25621",
    ),
)

FROM_AN_IMAGE = (
    Row(
        "names",
        "every name is resolved inside the layer by the kernel; the rest is an error that leaves "
        "nothing",
        "`..` and absolute names",
        "writing through links",
        "hard links to files of the host",
        "device nodes that are whiteouts",
        "whiteouts that climb",
        "entries that replace each other",
        "names with NUL",
        "names that disturb a terminal",
        "extended attributes that are overlayfs's own",
        "any bytes at all",
        "a running container that exchanges its files while they are exported",
        "a running container that exchanges what is copied into it, or out of it",
        "a node or link exchanged before its owner and mode are set",
        "devices and fifos where a file is read, which to open is to use",
        "a library or module of the image's loaded by what enters it",
        "a passwd file that is a link, a fifo or endless",
        "members of an image archive that lead out of it",
        seen="CVE-2019-14271, CVE-2021-29136, CVE-2018-15664, CVE-2024-9676, CVE-2025-47290",
    ),
    Row(
        "bombs",
        "limits, enforced while reading",
        "gzip and zstd",
        "xz and bzip2, in ADD",
        "an xz stream that asks for gigabytes of memory",
        "huge extended headers",
        "extended headers without end",
        "entries without end",
        "sparse giants",
        "documents that are huge or nested without end",
        "indexes without end",
        "more layers than the kernel can stack",
    ),
    Row(
        "digests",
        "verified before anything is visible under a name",
        "a blob with another digest or size",
        "a layer with another diff ID",
        "a document that is index and manifest at once, or has a key twice",
        "an image for another platform than it says",
        "a load that fails half-way",
        "a digest that is a path",
        seen="CVE-2021-41190, CVE-2024-3727",
    ),
    Row(
        "settings",
        "they are data: names are the image's own, numbers have bounds, and nothing of the host's "
        "is looked up by them or run with them",
        "a user that is a number, and a name in its passwd that stands for root",
        "variables that name those of the caller",
        "variables that reach programs of the host's, hooks among them",
        "a working directory that leads out through a link",
        seen="CVE-2025-23266, CVE-2026-46680, CVE-2026-55686, CVE-2026-57231",
    ),
    Row(
        "builds",
        "resolved inside their roots; cleaning up never follows a link",
        "COPY and RUN --mount from the context, through links",
        "COPY --from and RUN --mount from a stage, through links",
        "destinations and mount targets that are links",
        "part of a cache that is a link",
        "a cache whose ID climbs, and options of a mount that are the kernel's",
        "files left behind in the context or another stage through a mount",
        "clean-up of mount points through links",
        "a file exchanged while it is copied",
        "a # syntax line, git and other URLs",
        "a Dockerfile or ignore file that is a fifo or a device",
        "contexts that are very deep, or hold fifos",
        seen="CVE-2024-1753, CVE-2024-9407, CVE-2024-9675, CVE-2024-11218, CVE-2024-23651, "
        "CVE-2024-23652, CVE-2024-23653, CVE-2025-4953",
    ),
    Row(
        "words",
        "all text that commands print has its control characters spelled; settings that hold some "
        "are refused when an image is read",
        "escape sequences in names, labels, history, file names and error texts",
        "settings of an image with control characters",
    ),
    Row(
        "secrets",
        "they lie in memory, below a directory of root's, and everything there happens by "
        "descriptor",
        "a build's secrets left in layers, records, cache keys or messages",
        "names that others prepared in /dev/shm",
    ),
)

BAD_LUCK = (
    Row(
        "killed",
        "writes are renamed into place; the next command cleans what was half made",
        "SIGKILL of the command and of the monitor",
        "SIGKILL of a build",
        "SIGKILL just before any call of any process of a command",
        "SIGKILL of the store at any moment",
        "a full disk",
        "a full table of descriptors",
        "a state that lies or makes no sense",
    ),
    Row(
        "process ids",
        "a process is known by PID, start time and boot",
        "a process id that another process has by now",
        "a process id that a reboot has given to another process",
    ),
    Row(
        "at once",
        "locks that the kernel releases with their owner; names that are not clear are refused",
        "many commands on one store at once",
        "several that put the same container right",
        "a short ID that fits two containers",
        "a store that others may write to",
    ),
)

TABLES = {
    "From inside a container": FROM_INSIDE,
    "From an image, a layer, an archive, a build context": FROM_AN_IMAGE,
    "Bad luck": BAD_LUCK,
}


def rows() -> Iterator[Row]:
    """Go through all rows of all tables."""
    for table in TABLES.values():
        yield from table


def withstands(key: str, *attacks: str, by: str = ALONE) -> pytest.MarkDecorator:
    """Mark a test as trying `attacks`, which row `key` names, and failing if one succeeds."""
    row = {row.key: row for row in rows()}[key]
    unknown = set(attacks) - set(row.attacks)
    if unknown or not attacks:
        raise LookupError(f"the row {key!r} has no attack {sorted(unknown)}")
    if by not in WAYS:
        raise LookupError(f"there is no way {by!r}")
    return pytest.mark.withstands(key, *attacks, by=by)
