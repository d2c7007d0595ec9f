"""`exec`: run a further program in a container."""

from __future__ import annotations

import os

from onggi.errors import Conflict, InvalidInput, OnggiError
from onggi.linux import cgroup
from onggi.runtime import enter
from onggi.runtime.command import bundle, foreground, launching, record, schema, staging
from onggi.runtime.command.words import Command, Option, UsageError
from onggi.runtime.enter import Entry
from onggi.runtime.failure import StartFailed
from onggi.runtime.plan.container import plan_machine
from onggi.runtime.steps import cgroups, devices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.runtime.command.record import Record
    from onggi.runtime.command.runtime import Runtime
    from onggi.runtime.command.words import Words
    from onggi.runtime.steps.notify import LateListener

COMMAND = Command(
    "CONTAINER [COMMAND [ARGUMENT...]]",
    1,
    None,
    Option("process", "FILE", "The process as the specification writes it, as JSON", short="p"),
    Option("tty", "", "Give it a terminal", short="t"),
    Option("detach", "", "Leave it running, and end", short="d"),
    Option("cwd", "DIR", "Its working directory"),
    Option("env", "NAME=VALUE", "One more variable; may be given again", short="e"),
    Option("user", "UID[:GID]", "Its user and group, as numbers", short="u"),
    Option("additional-gids", "GID", "One more group; may be given again", short="g"),
    Option("cap", "NAME", "One more capability; may be given again", short="c"),
    Option("no-new-privs", "", "It may never gain privileges by executing a program"),
    Option("process-label", "LABEL", "Its SELinux label"),
    Option("apparmor", "PROFILE", "Its AppArmor profile"),
    Option("cgroup", "[CONTROLLER:]PATH", "Run it in a cgroup below the container's"),
    Option("ignore-paused", "", "Also in a paused container, where it runs once that goes on"),
    Option("console-socket", "PATH", "Send the terminal's other end to the socket at PATH"),
    Option("pid-file", "FILE", "Write its PID to FILE"),
    Option("no-subreaper", "", "Accepted: what is orphaned goes to the container's process 1"),
    Option("preserve-fds", "N", "Pass N descriptors on, after standard error and $LISTEN_FDS"),
    interspersed=False,
)
FAILED = 255  # as runc since 1.1: no program's own status is likely to be that
_MOST_DIGITS = 10  # of a user's or group's number


def execute(words: Words, runtime: Runtime) -> int:
    """Run the program; return its exit status, or 0 when it is left running."""
    try:
        return _execute(words, runtime)
    except UsageError:
        raise
    except StartFailed as error:
        # The program was not started; of the container that would not be true.
        said = error if error.stage == "program" else error.text
        runtime.journal.error(f"exec failed: {said}")
    except OnggiError as error:
        runtime.journal.error(f"exec failed: {error}")
    return FAILED


def _execute(words: Words, runtime: Runtime) -> int:
    identifier, *command = words.arguments
    passed, listening = launching.passed_fds(words)
    known = record.read(runtime.root, identifier)
    _require_status(record.status(runtime.root, known), words)
    config = record.config(runtime.root, identifier)
    process = _process(config["process"], command, words, runtime)
    launching.pass_listening(process, listening)
    detach = words.has("detach")
    launching.require_console(process, words, console=detach)
    cache = launching.filter_cache(runtime)
    program, flags = launching.compiled(config, os.uname().machine, cache)
    entry = Entry(
        identifier=known.id,
        pid=known.pid,
        start_ticks=known.start_ticks,
        cgroups=_cgroups(known, words.text("cgroup")),
        kinds=tuple(known.kinds),
        process=process,
        filter_flags=flags,
    )
    plan = enter.plan_entry(entry, program)
    stage = staging.Stage(passed_fds=passed, keyring=known.keyring)
    _adapt(plan, known, config, stage, process)
    listener = _listener(plan, config["linux"].get("seccomp", {}), known)
    started = enter.enter_planned(plan, entry, (0, 1, 2), listener)
    launching.hand_over(started, words, console=detach)
    return 0 if detach else foreground.wait(started)


def _listener(plan: enter.EntryPlan, seccomp: dict[str, Any], known: Record) -> LateListener | None:
    """Have somebody listen to what the filter asks, if it asks."""
    if not seccomp.get("listenerPath"):
        return None
    from onggi.runtime.steps import notify

    plan.program = notify.watched(plan.program)
    return notify.LateListener(seccomp, record.document(known, record.RUNNING))


def _require_status(now: str, words: Words) -> None:
    if now in (record.STOPPED, record.CREATING):
        raise Conflict("cannot exec in a stopped container")
    if now == record.PAUSED and not words.has("ignore-paused"):
        raise Conflict("cannot exec in a paused container (use --ignore-paused to override)")


def _process(
    first: dict[str, Any], command: list[str], words: Words, runtime: Runtime
) -> dict[str, Any]:
    """Return the specification of the process: a file's, or the container's with changes."""
    if words.has("process"):
        process = bundle.load(words.text("process"), schema.PROCESS, "process")
    elif command:
        process = _changed(first, command, words)
    else:
        raise InvalidInput("process args cannot be empty")
    bundle.keep_capabilities(process, runtime.journal.warn)
    if words.has("tty"):
        process["terminal"] = True
    if process.get("terminal") and not words.has("console-socket"):
        process.setdefault("consoleSize", launching.console_size())
    bundle.require_process(process)
    return process


def _changed(first: dict[str, Any], command: list[str], words: Words) -> dict[str, Any]:
    process = {**first, "args": command, "terminal": False}
    process.pop("consoleSize", None)
    process["env"] = [*first.get("env", []), *words.all("env")]
    if words.has("cwd"):
        process["cwd"] = words.text("cwd")
    for option, member in (("process-label", "selinuxLabel"), ("apparmor", "apparmorProfile")):
        if words.has(option):
            process[member] = words.text(option)
    if words.has("no-new-privs"):
        process["noNewPrivileges"] = True
    process["user"] = _user(first.get("user", {}), words)
    if words.has("cap"):
        process["capabilities"] = _with_more(first.get("capabilities", {}), words.all("cap"))
    return process


def _user(first: dict[str, Any], words: Words) -> dict[str, Any]:
    user = dict(first)
    if words.has("user"):
        uid, colon, gid = words.text("user").partition(":")
        user["uid"] = _identifier(uid, "user")
        if colon:
            user["gid"] = _identifier(gid, "group")
    if words.has("additional-gids"):
        more = [_identifier(text, "group") for text in words.all("additional-gids")]
        user["additionalGids"] = [*user.get("additionalGids", []), *more]
    return user


def _identifier(text: str, what: str) -> int:
    digits = text if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else "-1"
    if not schema.OWNER.accepts(int(digits)):
        raise InvalidInput(f"{what} {text[:40]!r} is not a number", hint="such as 1000:1000")
    return int(digits)


def _with_more(sets: dict[str, list[str]], names: list[str]) -> dict[str, list[str]]:
    """Add capabilities to the sets that a program gets them from; never to the inheritable one.

    Source: CVE-2022-29162.
    """
    grown = {
        kind: list(dict.fromkeys([*sets.get(kind, []), *names]))
        for kind in ("bounding", "effective", "permitted")
    }
    return {**sets, **grown}


def _cgroups(known: Record, wanted: str) -> tuple[str, ...]:
    """Return the cgroups to join: the container's, or those below them that were named."""
    if not wanted:
        return tuple(known.cgroups)
    controller, colon, path = wanted.rpartition(":")
    below = os.path.normpath("/" + path.lstrip("/")).rstrip("/")
    named = _holding(controller) if colon else ""
    changed = [group + below if group.startswith(named) else group for group in known.cgroups]
    for group in changed:
        if not os.path.isdir(group):
            raise InvalidInput(f"there is no cgroup {group}")
    return tuple(changed)


def _holding(controller: str) -> str:
    """Return where the hierarchy with a controller is mounted; of v2 the controller is ""."""
    for hierarchy in cgroup.hierarchies():
        own = (*hierarchy.controllers, hierarchy.name) if hierarchy.version == 1 else ("",)
        if controller in own:
            return hierarchy.mountpoint + "/"
    raise InvalidInput(f"no cgroup hierarchy has the controller {controller!r}")


def _adapt(
    plan: enter.EntryPlan,
    known: Record,
    config: dict[str, Any],
    stage: staging.Stage,
    process: dict[str, Any],
) -> None:
    """Change what is planned for our own containers into what another's asks for."""
    if known.resctrl:
        from onggi.runtime.steps.resctrl import JoinResctrlGroup

        plan.before += [JoinResctrlGroup(path) for path in known.resctrl]
    own_dev = any(entry["destination"] == "/dev" for entry in config.get("mounts", []))
    if not own_dev:
        plan.child = [step for step in plan.child if not isinstance(step, devices.OwnNull)]
    affinity = process.get("execCPUAffinity", {})
    if affinity:
        from onggi.runtime.plan import scheduling

        # Its cgroup may allow it other processors than the caller has, and sets them as it joins.
        first = scheduling.plan_affinity(affinity.get("initial", ""))
        final = scheduling.plan_affinity(affinity.get("final", ""))
        joins = sum(isinstance(step, cgroups.JoinCgroup) for step in plan.before)
        plan.before[joins:joins] = final
        plan.before[:0] = first
    terminal = bool(process.get("terminal"))
    machine = plan_machine(config["linux"])
    plan.program = [*machine, *staging.program_steps(plan.program, stage, terminal=terminal)]
