"""Our constants, held against the C headers of the host; and what the kernel can do."""

import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from onggi.linux import (
    bpf,
    capability,
    filesystem,
    inotify,
    interface,
    mount,
    namespace,
    path,
    probe,
    process,
    scheduling,
    seccomp,
    signals,
    terminal,
)
from support.requirements import requires

HEADERS = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/fs.h>
#include <linux/if.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/personality.h>
#include <linux/prctl.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <asm/ioctls.h>
#include <linux/sockios.h>
#include <linux/filter.h>
#include <signal.h>
#include <stdio.h>
"""

MODULES = (
    bpf,
    capability,
    filesystem,
    inotify,
    interface,
    mount,
    namespace,
    path,
    process,
    seccomp,
    signals,
    terminal,
)

# Numbers of enumerations, which no #ifdef can ask for.
ENUMERATED = {
    "BPF_PROG_LOAD",
    "BPF_PROG_ATTACH",
    "BPF_PROG_DETACH",
    "BPF_PROG_GET_FD_BY_ID",
    "BPF_PROG_QUERY",
    "BPF_PROG_TYPE_CGROUP_DEVICE",
    "BPF_CGROUP_DEVICE",
    "FSCONFIG_SET_FLAG",
    "FSCONFIG_SET_STRING",
    "FSCONFIG_SET_BINARY",
    "FSCONFIG_SET_PATH",
    "FSCONFIG_SET_PATH_EMPTY",
    "FSCONFIG_SET_FD",
    "FSCONFIG_CMD_CREATE",
    "FSCONFIG_CMD_RECONFIGURE",
    "PER_LINUX",
    "PER_LINUX32",
    *scheduling.PERSONALITY_FLAGS,
}

# SIGRTMIN is the C library's word for a number that depends on what it keeps for itself.
OURS_ALONE = {"PERSONALITY_QUERY", "LAST_FD"}


def constants() -> dict[str, int]:
    """Collect the numbers that our modules take from C."""
    found: dict[str, int] = {}
    for module in MODULES:
        found |= of_module(module)
    for table in (
        capability.NUMBERS,
        process.RLIMITS,
        signals.NUMBERS,
        scheduling.PERSONALITY_FLAGS,
    ):
        found |= table
    return found


def of_module(module: ModuleType) -> dict[str, int]:
    return {
        name.removeprefix("_"): value
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, int) and name not in OURS_ALONE
    }


@requires("compiler")
def test_constants_are_those_of_the_headers(tmp_path: Path) -> None:
    ours = constants()
    lines = [HEADERS, "int main(void) {"]
    for name in ours:
        shown = f'printf("{name} %lld\\n", (long long)(unsigned long long)({name}));'
        lines.append(shown if name in ENUMERATED else f"#ifdef {name}\n{shown}\n#endif")
    (tmp_path / "facts.c").write_text("\n".join([*lines, "return 0; }"]))
    compiler = ["cc", "-w", "-o", str(tmp_path / "facts"), str(tmp_path / "facts.c")]
    subprocess.run(compiler, check=True, timeout=60)
    output = subprocess.run(
        [tmp_path / "facts"], check=True, capture_output=True, text=True, timeout=10
    ).stdout
    theirs = {name: int(value) for name, value in map(str.split, output.splitlines())}
    assert len(theirs) > 200
    wrong = {name: (ours[name], value) for name, value in theirs.items() if same(ours[name], value)}
    assert not wrong


def same(ours: int, theirs: int) -> bool:
    """Compare as 32-bit numbers where C made a signed one of ours."""
    return ours not in (theirs, theirs & 0xFFFFFFFF, theirs & 0xFFFFFFFFFFFFFFFF)


PROBES = sorted(name for name in vars(probe) if name.startswith("probe_"))


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_answers_twice_alike_and_leaves_nothing(name: str) -> None:
    answer = getattr(probe, name)()
    assert answer is getattr(probe, name)()
    assert isinstance(answer, bool)
    assert getattr(probe, name).__doc__


@requires("root")
def test_this_kernel_has_what_it_is_known_to_have() -> None:
    assert probe.probe_openat2()
    assert probe.probe_mount_setattr()
    assert probe.probe_close_range()
    assert probe.probe_seccomp()
