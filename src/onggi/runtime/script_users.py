"""What is different in the script of a container that has users of its own.

The host's root opens everything beforehand, as runtime/mapped.py does, but a shell cannot pass
mounts on: it makes them in a mount namespace from which the container's is copied. Two pipes take
the place of the channel between the host's side and the first process.
"""

from __future__ import annotations

from onggi.runtime import script_text as text
from onggi.runtime.steps import mounts
from onggi.runtime.steps import options as words
from onggi.runtime.steps.base import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from onggi.runtime.plan.container import Plan
    from onggi.runtime.plan.users import UserMap
    from onggi.runtime.steps.base import Step

    Line = tuple[int, int, int]

_READ_ONLY = ("ro", "rro")


def shell(plan: Plan, step: Step) -> list[str]:
    """Return a step of the container as its own root takes it."""
    if isinstance(step, mounts.MountOverlay):
        return ['mount --rbind "$root" "$root"']
    if isinstance(step, mounts.BindMount):
        return _bind(plan, step)
    return step.shell()


def place(plan: Plan, step: mounts.BindMount) -> str:
    """Return, as a word of shell, where the container's root finds what the step shows."""
    return f'"$tmp/trees/{_binds(plan).index(step)}"'


def _bind(plan: Plan, step: mounts.BindMount) -> list[str]:
    kind = "--rbind" if "rbind" in step.options else "--bind"
    tree = place(plan, step)
    lines = [f"place {tree} {quote(step.target)}", f'mount {kind} {tree} "$at"']
    lines += [f'mount --make-{word} "$at"' for word in step.options if word in words.PROPAGATION]
    # Only here: until it is mounted, an empty volume is filled through the tree.
    return [*lines, *_flags(step, [word for word in step.options if word in _READ_ONLY])]


def _flags(step: mounts.BindMount, options: Iterable[str]) -> list[str]:
    return mounts.BindMount(step.source, step.target, tuple(options)).flag_lines()


def outside(plan: Plan, users: UserMap, start: Iterable[str]) -> str:
    """Return the script of the host's side, up to where it becomes the container's.

    Args: start: the words that start a program in those namespaces that begin with a child.
    """
    overlay = _overlay(plan)
    return "".join(
        (
            "set -eu\n",
            text.HOLDER,
            *(_map(kind, lines) for kind, lines in (("uid", users.uids), ("gid", users.gids))),
            text.SHOW,
            text.OWN_UPPER,
            _own(overlay, users),
            text.LAYERS,
            *(_layer(layer, number) for number, layer in enumerate(overlay.layers())),
            _mount_root(overlay),
            text.STAGED,
            *(_staged(step, number) for number, step in enumerate(_binds(plan))),
            text.ENTER_USERS.format(start=" ".join(start)),
        )
    )


def go(plan: Plan, how: str) -> str:
    """Return the end of the script, which starts the container and serves it."""
    join = [line for step in plan.join for line in step.shell_on('"$process"')]
    bounds = [line for step in plan.bounds for line in step.shell_on('"$process"')]
    return text.GO_USERS.format(how=how, join=_indented(join, 4), bounds=_indented(bounds, 8))


def _indented(lines: list[str], depth: int) -> str:
    return "\n".join(" " * depth + line for line in lines or [":"])


def _binds(plan: Plan) -> list[mounts.BindMount]:
    return [step for step in plan.container if isinstance(step, mounts.BindMount)]


def _overlay(plan: Plan) -> mounts.MountOverlay:
    return next(step for step in plan.container if isinstance(step, mounts.MountOverlay))


def _map(kind: str, lines: tuple[Line, ...]) -> str:
    shown = "".join(f"{inside} {outside} {count}\\n" for inside, outside, count in lines)
    return f"printf '{shown}' > \"/proc/$holder/{kind}_map\"\n"


def _own(step: mounts.MountOverlay, users: UserMap) -> str:
    lines = ""
    for option in step.options:
        key, _, value = option.partition("=")
        if key == "upperdir":
            upper = quote(mounts.split_layers(value)[0])
            for letter, program, known in (("u", "chown", users.uids), ("g", "chgrp", users.gids)):
                given = " ".join(f"{number}" for line in known for number in line)
                lines += f'{program} "$(outside "$(stat -c %{letter} {upper})" {given})" {upper}\n'
    return lines


def _layer(layer: str, number: int) -> str:
    return f'mkdir {number}\npython3 "$tmp/idmapped" {quote(layer)} {number} "$users"\n'


def _mount_root(step: mounts.MountOverlay) -> str:
    names = ":".join(str(number) for number in range(len(step.layers())))
    kept = [word for word in step.options if word != "ro" and not word.startswith("lowerdir=")]
    options = ",\\\n".join([f"lowerdir={names}", *map(quote, kept)])
    return f'mount -t overlay overlay "$root" -o \\\n{options}\n'


def _staged(step: mounts.BindMount, number: int) -> str:
    source = quote(step.source)
    recursive = "rbind" in step.options
    lines = [f"show {source} {number}"]
    if "idmap" in step.options:
        depth = " recursive" if recursive else ""
        lines.append(f'python3 "$tmp/idmapped" {source} "$at" "$users"{depth}')
    else:
        lines.append(f'mount {"--rbind" if recursive else "--bind"} {source} "$at"')
    flags = _flags(step, [word for word in step.options if word not in _READ_ONLY])
    return "".join(f"{line}\n" for line in [*lines, *flags])
