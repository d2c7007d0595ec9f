"""Render a plan as a shell script that makes the same container, without Onggi.

The steps say themselves what they are in shell. Around them stands a frame, for a script has
problems of its own: a shell cannot unshare, so unshare(1) starts a second shell inside; after the
pivot the host's programs are gone, so the last of them are run through the host's own loader, from
a directory that is still open; and no program of a shell loads a seccomp filter, so one is printed
into the script, of about a kilobyte.
"""

from __future__ import annotations

from onggi.runtime.steps import cgroups, namespaces, process
from onggi.runtime.steps.base import quote
from onggi.runtime.steps.mounts import PivotRoot
from onggi.runtime.stub import stub

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from onggi.runtime.plan.container import Plan
    from onggi.runtime.steps.base import Step

_WIDTH = 76  # of base64 lines

_HEAD = """\
#!/bin/sh
# Container {identifier}, made by hand.
#
# Run it as root. It needs util-linux (unshare, mount, setpriv), coreutils and a shell; it makes
# the container, waits until its program ends, and removes what it made.
set -eu
"""

_HOST = """\
# ---- The host's part ------------------------------------------------------------------------
# The host makes the control groups and sets their numbers before any process of the container
# exists. Were the container to do it, it could also undo it; and a limit that is set after the
# start has not held from the start.
"""

_PLACE = """\
# ---- The first process ----------------------------------------------------------------------
# A shell places itself in the cgroups before it executes anything else: what it becomes, and all
# that this starts, is counted from the first instruction on. Only then does it unshare, for a
# cgroup namespace shows as its root the cgroup in which it was made.
"""

_INSIDE = """\
# ---- Inside: this shell has namespaces of its own, and still the host's file tree -----------
set -eu
"""

_DOOR = """\
# After the pivot none of the host's programs can be found any more, and the container may have
# none. The host's root stays open as the working directory, and its loader runs the last three of
# them from there: umount, setpriv and env.
"""

_PROGRAM = """\
# ---- The program ----------------------------------------------------------------------------
# setpriv gives up what the program must not have; env takes its own directory and environment,
# and with that the last hold on the host is gone.
"""


def render(
    plan: Plan, root: str, *, directory: str = "", files: Mapping[str, str] | None = None
) -> str:
    """Return the script of `plan`; `root` is the directory on which its root is mounted.

    Args: directory: where the script makes the container's upper and work directories and
        `files` (name -> text), to remove them at its end; "" if all of that exists already.
    """
    sections = [
        _HEAD.format(identifier=plan.identifier),
        _helpers(plan),
        _HOST + _lines(plan.host),
        _files(directory, files or {}),
        f'root={quote(root)}\nmkdir -p "$root"\n',
        f"inside=$(cat <<'INSIDE'\n{_inside(plan)}INSIDE\n)\nexport root inside\n",
        _PLACE + _place(plan),
        _clean_up(plan, directory),
    ]
    return "\n".join(section for section in sections if section)


def _lines(steps: Iterable[Step]) -> str:
    """Return each step as a comment and its commands; one that others include is left out."""
    text = ""
    for step in steps:
        lines = step.shell()
        if lines:
            text += f"# {step.describe()}\n" + "".join(f"{line}\n" for line in lines)
    return text


def _helpers(plan: Plan) -> str:
    """Return the files that the script needs beside it: the filter and what loads it."""
    loader = """\
# The host's loader, its libraries, and the last three programs, as paths from its root (see below).
below_root() { printf .%s "$(realpath "$1")"; }
ld=$(below_root "$(ls /lib64/ld-linux-*.so.* /lib/ld-linux-*.so.* 2>/dev/null | head -n 1)")
umount=$(below_root "$(command -v umount)")
setpriv=$(below_root "$(command -v setpriv)")
env=$(below_root "$(command -v env)")
libs=$(ldd "/$setpriv" "/$umount" "/$env" |
    sed -n 's|.*=> \\(/.*\\)/[^/]* .*|.\\1|p' | sort -u | paste -sd : -)
export ld libs setpriv umount env
"""
    program = _filter(plan)
    if not program:
        return loader
    return f"""\
{loader}
# No common program loads a seccomp filter, so here is one: it reads the filter from a descriptor,
# loads it, and executes what it was told to. Its source: onggi/runtime/stub/x86_64.S.
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
base64 -d > "$tmp/enter" <<'END'
{_base64(stub.program())}END
chmod 755 "$tmp" "$tmp/enter"
base64 -d > "$tmp/filter" <<'END'
{_base64(program)}END
export tmp
"""


def _base64(data: bytes) -> str:
    from binascii import b2a_base64

    text = b2a_base64(data, newline=False).decode()
    return "".join(f"{text[at : at + _WIDTH]}\n" for at in range(0, len(text), _WIDTH))


def _filter(plan: Plan) -> bytes:
    for step in plan.program:
        if isinstance(step, process.LoadFilter):
            return step.program
    return b""


def _inside(plan: Plan) -> str:
    steps = [
        step
        for step in plan.container
        if not isinstance(step, namespaces.Unshare | namespaces.JoinNamespace | PivotRoot)
    ]
    umask = [step for step in plan.program if isinstance(step, process.SetUmask)]
    directory = [step for step in plan.program if isinstance(step, process.ChangeDirectory)]
    return (
        _INSIDE
        + _lines(steps)
        + _lines(umask)
        + "\n"
        + _DOOR
        + f"# {PivotRoot().describe()}\n"
        + "\n".join(PivotRoot().shell())
        + "\n\n"
        + _PROGRAM
        + _execute(plan, directory[0].path if directory else "/")
    )


def _execute(plan: Plan, directory: str) -> str:
    """Return the line that becomes the program: setpriv, the filter's loader, env, the program."""
    execute = plan.program[-1]
    assert isinstance(execute, process.Execute)
    options = [
        option
        for step in plan.program
        if isinstance(step, process.PrivilegeStep)
        for option in step.options()
    ]
    setpriv = ' "$ld" --library-path "$libs" "$setpriv" ' + " ".join(map(quote, options))
    environment = " ".join(map(quote, execute.env))
    env = f' "$ld" --library-path "$libs" "$env" -i -C {quote(directory)} {environment}'
    words = " ".join(map(quote, execute.argv))
    if not _filter(plan):
        return f"exec{setpriv} --{env} {words}\n"
    load = ' ".$tmp/enter" --'
    orders = 'export ONGGI_ENTER=",8,,$ld"\n'
    if "--no-new-privs" in options:
        return f"{orders}exec{setpriv} --{load}{env} {words}\n"
    return f"{orders}exec{load}{setpriv} --{env} {words}\n"


def _place(plan: Plan) -> str:
    kinds = [*plan.children]
    joins = ""
    for step in plan.container:
        if isinstance(step, namespaces.Unshare):
            kinds += step.kinds
        elif isinstance(step, namespaces.JoinNamespace):
            joins += " ".join(step.shell()) + " "
    options = namespaces.Unshare(tuple(kinds)).shell()[0]
    fork = " --fork" if "pid" in plan.children else ""
    filters = ' 8< "$tmp/filter"' if _filter(plan) else ""
    lines = "".join(f"{line}\n" for step in plan.place for line in step.shell())
    return (
        f"place=$(cat <<'PLACE'\nset -eu\n{lines}"
        f'exec {joins}{options}{fork} --propagation unchanged sh -c "$inside"\n'
        f'PLACE\n)\nstatus=0\nsh -c "$place"{filters} || status=$?\n'
    )


def _files(directory: str, files: Mapping[str, str]) -> str:
    if not directory:
        return ""
    place = quote(directory)
    text = "# ---- The writable layer, and files that tell the container who and where it is ----\n"
    text += f"mkdir -p {place}/upper {place}/work\n"
    for name, content in files.items():
        text += f"printf %s {quote(content)} > {place}/{name}\n"
    return text


def _clean_up(plan: Plan, directory: str) -> str:
    made = [step for step in plan.host if isinstance(step, cgroups.MakeCgroup) and not step.shared]
    lines = "".join(f"rmdir {quote(step.make.path)}\n" for step in reversed(made))
    lines += f"rm -rf {quote(directory)}\n" if directory else ""
    return f"# Everything else went with its namespaces.\n{lines}exit $status\n"
