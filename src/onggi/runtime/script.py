"""Render a plan as a shell script that makes the same container, without Onggi.

The steps say themselves what they are in shell. Around them stands a frame, for a script has
problems of its own: a shell cannot unshare, so unshare(1) starts further shells; after the pivot
the host's programs are gone, so the last of them are copied beforehand; and no program of a shell
loads a seccomp filter, so one is printed into the script, of about a kilobyte, nor a BPF program,
for which some lines of Python stand there where cgroup v2 needs one.

The script writes down two more, `first` and `inside`, one for each shell that unshare(1) starts.
In all of them $id is the container's ID and $root its root directory, as the host sees it.
"""

from __future__ import annotations

import os

from onggi.linux import numbers
from onggi.runtime import script_text as text
from onggi.runtime import script_users
from onggi.runtime.steps import cgroups, devices, mounts, namespaces, process
from onggi.runtime.steps.base import quote
from onggi.runtime.stub import stub

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TypeVar

    from onggi.runtime.plan.container import Plan
    from onggi.runtime.steps.base import Step

    AnyStep = TypeVar("AnyStep", bound=Step)

_WIDTH = 96  # of comments and of base64 lines

# What each kind of step is about; a comment stands where the subject first changes.
_SUBJECTS: dict[type[Step], str] = {
    namespaces.SetPropagation: text.PROPAGATION,
    mounts.MountOverlay: text.OVERLAY,
    mounts.BindRoot: text.OVERLAY,
    mounts.MountFilesystem: text.KERNEL,
    mounts.BindMount: text.BINDS,
    devices.BindDevice: text.BINDS,
    devices.MakeDevice: text.DEVICES,
    mounts.MaskPath: text.HIDDEN,
    mounts.ReadonlyPath: text.HIDDEN,
    devices.OwnNull: text.NULL,
    mounts.MakeDirectory: text.DIRECTORY,
    mounts.RootPropagation: text.PRIVATE,
    mounts.RootReadonly: text.FROZEN,
}
# Steps that the frame takes, or that stand elsewhere in it.
_FRAMED = (namespaces.Unshare, namespaces.JoinNamespace, mounts.PivotRoot)
_PROGRAM = cgroups.AttachDeviceProgram


def render(
    plan: Plan,
    *,
    directory: str = "",
    files: Mapping[str, str] | None = None,
    directories: Iterable[str] = (),
    volumes: Iterable[str] = (),
) -> str:
    """Return the script of `plan`.

    Args: directory: where the script makes the container's upper and work directories and
        `files` (name -> text), to remove them at its end; "" if all of that exists already.
        directories: others that it makes, and leaves unless they lie in `directory`. volumes:
        those of the bound directories that get what the image has there, if they are empty.
    """
    sections = [
        _head(plan, directory),
        (text.CGROUPS if plan.cgroups else text.NO_CGROUPS) + _host(plan),
        _writable(directory, files or {}, directories),
        *_beginning(plan),
        text.INSIDE + _file("inside", _inside(plan, tuple(volumes))),
        (text.TOOLS + _helpers(plan)) + (f"\n{text.IDMAPPED}" if plan.user_map else ""),
        _go(plan),
    ]
    return "\n".join(section for section in sections if section)


def _head(plan: Plan, directory: str) -> str:
    missing = [text.NO_KEYRING]
    if plan.terminal:
        missing.append(text.NO_TERMINAL)
    if any(type(step).__name__ == "ConfineProgram" for step in plan.program):
        missing.append(text.NO_CONFINEMENT)
    bound = _only(plan.container, mounts.BindRoot)
    return text.HEAD.format(
        program=_one_line(_execute(plan).argv),
        needs="iproute2 and python3" if _needs_python(plan) else "iproute2",
        missing="#\n# What differs:\n" + "".join(_comment(f"- {line}", 2) for line in missing),
        identifier=quote(plan.identifier),
        place=text.PLACE_FOR_ALL if plan.user_map else text.PLACE,
        root=quote(bound[0].target) if bound else '"$tmp/root"',
        release=text.RELEASE if plan.user_map else "",
        **_killing(plan),
        remove=_removals(plan, directory),
        interrupt=":" if plan.terminal else "'exit 130'",
    )


def _killing(plan: Plan) -> dict[str, str]:
    """Return how the script tells whether the container runs, and how it ends all of it."""
    if not plan.cgroups:
        return {"running": "", "kill": text.KILL_CHILD}
    cgroup = _with_id(plan, quote(plan.cgroups[0]))
    return {"running": text.RUNNING.format(cgroup=cgroup), "kill": text.KILL.format(cgroup=cgroup)}


def _needs_python(plan: Plan) -> bool:
    """Tell whether the script does what no common tool does: see DEVICE_PROGRAM and IDMAPPED."""
    return plan.user_map is not None or bool(_only(plan.host, _PROGRAM))


def _one_line(words: Iterable[str]) -> str:
    """Return the words of a command, short enough and harmless in a comment."""
    line = " ".join(map(quote, words))
    line = "".join(character if character.isprintable() else " " for character in line)
    return line if len(line) <= _WIDTH - 10 else line[: _WIDTH - 12] + " …"


def _comment(words: str, indent: int = 0) -> str:
    """Return `words` as lines of a comment; further lines are indented."""
    lines = [""]
    for word in words.split():
        if len(lines[-1]) + len(word) + 3 > _WIDTH:
            lines.append(" " * indent)
        lines[-1] += f" {word}"
    return "".join(f"#{line}\n" for line in lines)


def _removals(plan: Plan, directory: str) -> str:
    lines = [f"rmdir {_with_id(plan, quote(path))}" for path in reversed(plan.cgroups)]
    if directory:
        above = quote(os.path.dirname(directory))
        lines.append(f"rm -rf {_with_id(plan, quote(directory))}")
        lines.append(f"rmdir --ignore-fail-on-non-empty {above}")
    return "\n".join(f"    {line}" for line in lines)


def _with_id(plan: Plan, line: str) -> str:
    """Return a line of shell with $id in place of the container's ID, where that says the same.

    Inside quotes it would not; and what lies in quotes is plain only while no quote is quoted.
    """
    if len(plan.identifier) < 32 or not plan.identifier.isalnum() or "'\"'\"'" in line:
        return line
    parts = line.split("'")
    for number, part in enumerate(parts):
        around = "'" if number % 2 else ""
        parts[number] = part.replace(plan.identifier, f"{around}$id{around}")
    return "'".join(parts).replace("$id''", "$id")


def _shell(plan: Plan, step: Step) -> str:
    lines = step.shell() if plan.user_map is None else script_users.shell(plan, step)
    return "".join(f"{_with_id(plan, line)}\n" for line in lines)


def _host(plan: Plan) -> str:
    """Return the host's steps, each reason once and with room before it."""
    lines = ""
    said = ""
    for step in plan.host:
        reason = _reason(step)
        if reason and reason != said:
            lines += "\n" + _comment(reason)
        elif said and not reason:
            lines += "\n"
        said = reason
        lines += _device_program(plan, step) if isinstance(step, _PROGRAM) else _shell(plan, step)
    return lines


def _device_program(plan: Plan, step: cgroups.AttachDeviceProgram) -> str:
    return text.DEVICE_PROGRAM.format(
        count=len(step.program) // 8,
        program=_packed(step.program),
        path=_with_id(plan, quote(step.path)),
        number=numbers.number("bpf"),
    )


def _reason(step: Step) -> str:
    if isinstance(step, cgroups.WriteSetting):
        return step.setting.reason
    if isinstance(step, cgroups.EnableControllers):
        return step.enable.reason
    if isinstance(step, cgroups.InheritCpuset):
        return step.inherit.reason
    return ""


def _writable(directory: str, files: Mapping[str, str], directories: Iterable[str]) -> str:
    lines = ""
    if directory:
        place = quote(directory)
        lines += f"dir={place}\n" + 'mkdir -p "$dir/upper" "$dir/work"\n'
    lines += "".join(f"mkdir -p {quote(path)}\n" for path in directories)
    if files:
        lines += "\n# The files that tell it who and where it is.\n"
    for name, content in files.items():
        lines += f'printf %s {quote(content)} > "$dir"/{quote(name)}\n'
    return text.WRITABLE + lines if lines else ""


def _file(name: str, content: str) -> str:
    """Return the commands that write down `content` as the script `name`, up to a free end word."""
    end = name.upper()
    while f"\n{end}\n" in f"\n{content}":
        end += "_"
    return f"cat > \"$tmp/{name}\" << '{end}'\n{content}{end}\n"


def _beginning(plan: Plan) -> list[str]:
    """Return what writes down the script of the first process, and of those before it."""
    if plan.user_map is None:
        return [text.FIRST + _file("first", _first(plan))]
    outside = script_users.outside(plan, plan.user_map, _start(plan))
    words = "".join(_words(outside))
    outside = outside.replace(text.SHOW, words + text.SHOW, 1)
    return [text.OUTSIDE + _file("outside", _with_ids(plan, outside)), _file("first", _first(plan))]


def _first(plan: Plan) -> str:
    """Return the first process's script: into the cgroups, and out of the host's namespaces."""
    joined = "set -eu\n" + "".join(_shell(plan, step) for step in plan.join)
    if plan.user_map is not None:
        joined = text.FIRST_USERS
    enter = [
        " ".join(step.shell())
        for step in _only([*plan.born_into, *plan.container], namespaces.JoinNamespace)
    ]
    leave = [" ".join(step.shell()) for step in _only(plan.container, namespaces.Unshare)]
    words = " ".join((*enter, *leave))
    return f'{joined}exec {words} --propagation unchanged \\\n    sh "$tmp/inside"\n'


def _inside(plan: Plan, volumes: tuple[str, ...]) -> str:
    """Return the script that goes on in the new namespaces and becomes the program."""
    steps = "".join(_subjects(plan, volumes))
    late = "" if plan.user_map else "".join(_shell(plan, step) for step in plan.bounds)
    late += "".join(_shell(plan, step) for step in _only(plan.program, process.SetUmask))
    heading = text.BOUNDS_USERS if plan.user_map else text.BOUNDS
    pivot = "".join(_shell(plan, step) for step in _only(plan.container, mounts.PivotRoot))
    parts = [
        "set -eu\n",
        text.WORDS + "".join(_words(steps)),
        steps + (f"\n{heading}{late}" if late or plan.user_map else ""),
        f"{text.DOOR}{pivot}",
        _program(plan),
    ]
    return "\n".join(parts)


def _subjects(plan: Plan, volumes: tuple[str, ...]) -> Iterable[str]:
    """Yield the steps of the container, each subject under a comment of its own."""
    said: list[str] = []
    subject = ""
    for step in plan.container:
        lines = "" if isinstance(step, _FRAMED) else _shell(plan, step)
        if not lines:
            continue
        if isinstance(step, mounts.BindMount) and step.source in volumes:
            source = script_users.place(plan, step) if plan.user_map else quote(step.source)
            fill = f"fill {source} {quote(step.target)}"
            lines = f"{_with_id(plan, fill)}\n{lines}"
        new = _SUBJECTS.get(type(step), subject)
        if plan.user_map and new == text.OVERLAY:
            new = text.ROOT_USERS
        if new != subject:
            yield ("\n" if subject else "") + ("" if new in said else new)
            said.append(new)
            subject = new
        yield lines


def _words(steps: str) -> Iterable[str]:
    """Yield the definitions of those words that `steps`, or the frame, use."""
    lines = steps.splitlines()
    for word, definition in text.MORE_WORDS.items():
        if word == "flags" or any(line.startswith(f"{word} ") for line in lines):
            yield definition


def _program(plan: Plan) -> str:
    """Return the commands that become the program, each program of the host starting the next."""
    options = [
        option for step in _only(plan.program, process.PrivilegeStep) for option in step.options()
    ]
    setpriv = _command("setpriv", options)
    loader = "$here/enter --" if _filter(plan) else ""
    late = "--no-new-privs" in options
    chain = [setpriv, loader] if late else [loader, setpriv]
    filtered = (text.FILTERED if late else text.FILTERED_FIRST) if loader else ""
    prepare = 'exec 9< $here/filter\nexport ONGGI_ENTER=",9,,,${run%% *}"\n' if loader else ""
    return (
        "".join(_paragraphs(text.PROGRAM.format(filter=filtered)))
        + (_init(plan) if _execute(plan).init else "")
        + prepare
        + "exec "
        + " \\\n    ".join((*filter(None, chain), _environment(plan), _own_words(plan)))
        + "\n"
    )


def _paragraphs(comment: str) -> Iterable[str]:
    """Yield a comment with its last paragraph filled anew, after a word was put into it."""
    *heading, body = comment.split("#\n")
    yield from (part + "#\n" for part in heading)
    yield _comment(body.replace("#", ""))


def _command(name: str, options: Iterable[str]) -> str:
    words = (one if one == process.CLEAR_GROUPS else quote(one) for one in options)
    return " \\\n    ".join((f"$run $here/{name}", *words)) + " --"


def _environment(plan: Plan) -> str:
    """Return env(1) with the directory, the signals and the environment of the program."""
    entered = _only(plan.program, process.ChangeDirectory)
    entries = [quote(entry) for entry in _execute(plan).env]
    if _execute(plan).init:
        entries.insert(0, 'ONGGI_ENTER="8,,,i,$program"')
    # A process in the background of a shell ignores these two, and so would all that it becomes.
    options = f"-i -C {quote(entered[0].path)} --default-signal=INT,QUIT"
    return " \\\n    ".join((f"$run $here/env {options}", *entries))


def _own_words(plan: Plan) -> str:
    words = " ".join(map(quote, _execute(plan).argv))
    return f"/proc/self/fd/8 -- {words}" if _execute(plan).init else words


def _init(plan: Plan) -> str:
    """Return the search for the program, where an init is between it and whoever would search."""
    execute = _execute(plan)
    name = quote(execute.argv[0])
    path = next((entry[5:] for entry in execute.env if entry.startswith("PATH=")), "")
    if "/" in execute.argv[0]:
        return text.INIT.format(name=name, search=f"program={name}")
    directories = " ".join(quote(each or ".") for each in path.split(":"))
    search = (
        f"program=\nfor at in {directories}; do\n"
        f'    [ ! -f "$at/"{name} ] || [ ! -x "$at/"{name} ] || {{ program=$at/{name}; break; }}\n'
        "done"
    )
    return text.INIT.format(name=name, search=search)


def _helpers(plan: Plan) -> str:
    program = _filter(plan)
    helpers = ""
    if program or _execute(plan).init:
        machine = os.uname().machine
        helpers += "\n" + text.ENTER.format(program=_packed(stub.program()), machine=machine)
    if program:
        helpers += "\n" + text.FILTER.format(filter=_packed(program), count=len(program) // 8)
    return helpers


def _packed(data: bytes) -> str:
    """Return `data` as base64(1) and gzip(1) take it; the same data gives the same lines."""
    import gzip
    from binascii import b2a_base64

    packed = b2a_base64(gzip.compress(data, mtime=0), newline=False).decode()
    return "".join(f"{packed[at : at + _WIDTH]}\n" for at in range(0, len(packed), _WIDTH))


def _start(plan: Plan) -> list[str]:
    """Return the words that start the first process, in namespaces that begin with a child."""
    session = [] if plan.terminal else ["setsid"]
    if not plan.children:
        return session
    fork = "--fork" if plan.cgroups else "--fork --kill-child"
    return [*namespaces.Unshare(plan.children).shell(), fork, *session]


def _go(plan: Plan) -> str:
    how = text.UNFORKED
    if plan.children:
        kinds = " and ".join(f"a {kind} namespace" for kind in plan.children)
        how = text.FORKED.format(kinds=kinds.replace("pid", "PID"))
    session = "" if plan.terminal else text.SESSION
    filled = _comment(how + session).removeprefix("# ").rstrip("\n")
    if plan.user_map is not None:
        return _with_ids(plan, script_users.go(plan, filled))
    noted = "" if plan.cgroups else "started=$!\n"
    return text.GO.format(how=filled, start=" ".join(_start(plan)), noted=noted)


def _with_ids(plan: Plan, lines: str) -> str:
    return "".join(_with_id(plan, line) for line in lines.splitlines(keepends=True))


def _execute(plan: Plan) -> process.Execute:
    return _only(plan.program, process.Execute)[0]


def _filter(plan: Plan) -> bytes:
    loads = _only(plan.program, process.LoadFilter)
    return loads[0].program if loads else b""


def _only(steps: Iterable[Step], kind: type[AnyStep]) -> list[AnyStep]:
    return [step for step in steps if isinstance(step, kind)]
