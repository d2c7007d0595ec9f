"""What `onggi security` says of a container, against what a program inside finds out by trying."""

from pathlib import Path

import pytest

from onggi.engine.security.findings import Report
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
