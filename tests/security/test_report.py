"""What `onggi security` says of a container, against what a program inside finds out by trying."""

import errno
import os
from pathlib import Path

import pytest

from onggi.engine.security.findings import Report
from onggi.linux.syscall_table import TABLES
from support.box import Box
from support.programs import compiled
from support.requirements import requires

pytestmark = [
    requires("root", "overlayfs", "busybox", "compiler"),
    pytest.mark.time_limit(300),
]

# Opens for writing every file of the kernel's that is offered for it, and prints those it got.
# Processes' directories are their own affair; nothing is written.
OPENER = r"""
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
static size_t top;
static int visit(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    if (kind == FTW_D && walk->level == 1 && isdigit(path[top + 1])) return FTW_SKIP_SUBTREE;
    if (kind != FTW_F || !S_ISREG(status->st_mode) || !(status->st_mode & 0222))
        return FTW_CONTINUE;
    int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0) puts(path);
    close(fd);
    return FTW_CONTINUE;
}
int main(int argc, char **argv) {
    for (int at = 1; at < argc; at++) {
        top = strlen(argv[at]);
        nftw(argv[at], visit, 20, FTW_PHYS | FTW_ACTIONRETVAL);
    }
    return 0;
}
"""

# Makes each call by number, with arguments that no call takes, and prints what it failed with.
CALLER = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
    for (int at = 1; at < argc; at++) {
        long result = syscall(atol(argv[at]), -1, -1, -1, -1, -1, -1);
        printf("%s %d\n", argv[at], result == -1 ? errno : 0);
    }
    return 0;
}
"""
# Calls that end at once with an error of their own, when they are let through.
HARMLESS = ("read", "ptrace", "process_vm_readv", "keyctl", "add_key", "request_key", "unshare")

OPEN_PATHS = ("--security-opt", "systempaths=unconfined")
ASKED = {
    "by default": (),
    "privileged": ("--privileged",),
    "with the kernel's paths open": OPEN_PATHS,
    "as a user": ("-u", "1000", *OPEN_PATHS),
    "as a user of root's group": ("-u", "1000:0", *OPEN_PATHS),
    "without rights over files": ("--cap-drop", "DAC_OVERRIDE", *OPEN_PATHS),
    "on the host's network": ("--network", "host", *OPEN_PATHS),
    "with the host's files": ("-v", "/proc:/p", "-v", "/sys:/s"),
    "with the host's files to read": ("-v", "/proc:/p:ro", "-v", "/sys:/s:ro"),
    "with users of its own": ("--userns", "auto", *OPEN_PATHS),
    "with users and a network": ("--userns", "auto", "--cap-add", "NET_ADMIN", *OPEN_PATHS),
    "with users and the host's files": ("--userns", "auto", "-v", "/proc:/p", "-v", "/sys:/s"),
}


def reported(box: Box, container: str) -> Report:
    with box.engine() as engine:
        return engine.containers.get(container).security()


def facts(report: Report, key: str) -> dict[str, object]:
    (found,) = [section.facts for section in report.sections if section.key == key]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("asked", ASKED)
def test_the_files_that_it_names_are_those_that_open(box: Box, tmp_path: Path, asked: str) -> None:
    program = compiled(OPENER, tmp_path)
    container = box.up(*ASKED[asked], "-v", f"{program}:/opener:ro")
    places = [place for place in ("/proc", "/sys", "/p", "/s") if is_there(asked, place)]
    opened = set(box("exec", container, "/opener", *places).stdout.splitlines())
    report = reported(box, container)
    assert report.pid == box.pid(container)
    named = facts(report, "kernel-files")["Writable"]
    assert isinstance(named, list)
    told = set(named)
    shown = {path for path in opened if not is_below_groups(path, told)}
    assert (sorted(shown - told), sorted(told - shown)) == ([], [])


def is_below_groups(path: str, told: set[str]) -> bool:
    """Tell whether it is a file of a control group below those that the report goes into."""
    directories = {one.rpartition("/")[0] for one in told}
    return "/fs/cgroup/" in path and path.rpartition("/")[0] not in directories


def is_there(asked: str, place: str) -> bool:
    return place in ("/proc", "/sys") or f":{place}" in " ".join(ASKED[asked])


@pytest.mark.parametrize("options", [(), ("--security-opt", "seccomp=unconfined")])
def test_the_calls_that_it_says_are_refused_are_refused(
    box: Box, tmp_path: Path, options: tuple[str, ...]
) -> None:
    program = compiled(CALLER, tmp_path)
    container = box.up(*options, "-v", f"{program}:/caller:ro")
    calls = facts(reported(box, container), "calls")
    numbers = TABLES[os.uname().machine]
    assert isinstance(calls["Refused"], list)
    assert isinstance(calls["Allowed"], list)
    harmless = [name for name in HARMLESS if name in calls["Allowed"]]
    assert bool(calls["Refused"]) == (options == ())
    assert {"read", "ptrace"} <= set(harmless)
    tried = [*calls["Refused"], *harmless]
    done = box("exec", container, "/caller", *(str(numbers[name]) for name in tried))
    answers = [int(line.split()[1]) for line in done.stdout.splitlines()]
    by_filter = (errno.EPERM, errno.ENOSYS)
    wrong = [
        (name, code)
        for name, code in zip(tried, answers, strict=True)
        if (code in by_filter) is not (name in calls["Refused"])
    ]
    assert wrong == []


def test_the_devices_that_it_says_open_do(box: Box) -> None:
    options = ("--cap-add", "SYSLOG")  # else the kernel's messages may be closed to all
    container = box.up(*options, "--device", "/dev/kmsg:/dev/mine:r", "-v", "/dev:/d")
    nodes = facts(reported(box, container), "devices")["Nodes"]
    assert isinstance(nodes, list)
    allowed = {node["Path"]: node["Allowed"] for node in nodes}
    assert (allowed["/dev/mine"], allowed["/d/kmsg"]) == ("rm", "rm")
    assert set("rw") <= set(allowed["/d/null"])
    for path in ("/dev/mine", "/d/kmsg", "/d/null", "/dev/null", "/dev/tty"):
        for letter, redirection in (("r", "<"), ("w", ">")):
            done = box.attempt("exec", container, "sh", "-c", f": {redirection} {path}")
            opens = done.returncode == 0 or "No such device or address" in done.stderr
            assert opens is (letter in allowed[path]), (path, letter, done.stderr)


def test_what_it_says_of_programs_with_rights_is_so(box: Box, tmp_path: Path) -> None:
    source = '#include <stdio.h>\n#include <unistd.h>\nint main() { printf("%d", geteuid()); }'
    program = compiled(source, tmp_path)
    for option, gains in (("no-new-privileges", False), ("no-new-privileges=false", True)):
        script = "cp /euid /bin/as-root; chmod 4755 /bin/as-root; exec sleep 600"
        words = ("--security-opt", option, "-v", f"{program}:/euid:ro")
        container = box.up(*words, command=("sh", "-c", script))
        box.inside(container, "until [ -u /bin/as-root ]; do sleep 0.01; done")
        told = {one.name: one.severity for one in reported(box, container).findings}
        assert (told["set-id-files"] == "ok") is not gains
        assert box("exec", "-u", "1000", container, "/bin/as-root").stdout == (
            "0" if gains else "1000"
        )
