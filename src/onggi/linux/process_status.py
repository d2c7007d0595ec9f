"""Reading /proc/PID/status: who a process is, and what it may do.

Source: proc_pid_status(5).
"""

from __future__ import annotations

SETS = {
    "inheritable": "CapInh",
    "permitted": "CapPrm",
    "effective": "CapEff",
    "bounding": "CapBnd",
    "ambient": "CapAmb",
}


class ProcessStatus:
    """What the kernel tells of a process; IDs are those of the reader's user namespace.

    `capabilities` holds the five sets by name, as `onggi.linux.capability` knows sets. `filters`
    counts seccomp filters; kernels before 5.9 do not count them (-1).
    """

    __slots__ = (
        "capabilities",
        "filters",
        "gid",
        "groups",
        "name",
        "no_new_privs",
        "seccomp",
        "uid",
    )

    def __init__(self, text: str) -> None:
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        self.name = fields["Name"].strip()  # with a new line and a backslash as escapes
        self.capabilities = {name: int(fields[key], 16) for name, key in SETS.items()}
        # Real, effective, saved set and file system's: the last decides about files.
        self.uid = int(fields["Uid"].split()[3])
        self.gid = int(fields["Gid"].split()[3])
        self.groups = tuple(map(int, fields["Groups"].split()))
        self.no_new_privs = fields["NoNewPrivs"].strip() == "1"
        self.seccomp = int(fields.get("Seccomp", "0"))  # 0: none, 1: strict, 2: filters
        self.filters = int(fields.get("Seccomp_filters", "-1"))


def read(pid: int) -> ProcessStatus:
    """Read what the kernel tells of a process. Raises: OSError: ENOENT or ESRCH, it has ended."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        return ProcessStatus(file.read())
