"""`restore`: create a container whose processes are those of a checkpoint, and go on.

    this process                               criu
    ────────────                               ────
    makes ROOT/ID, the cgroups, their numbers
    forks ───────────────────────────────────▶ enters the cgroups, a mount namespace of its own,
                                               where the root is a mount, and makes the processes
    ◀────────────────── "setup-namespaces"      and waits
    runs the hooks ──────────────────────────▶
    ◀────────────────── "orphan-pts-master"     with the terminal, where there is one
    ◀────────────────── the first PID: a child of ours

Whatever fails before the end leaves nothing: no process, cgroup, directory or file.

Source: runc man/runc-restore.8.md; libcontainer/container_linux.go, Restore.
"""

from __future__ import annotations

import os

from onggi.errors import InvalidInput, Unsupported
from onggi.linux import cgroup
from onggi.oci import jsontext
from onggi.runtime import failure, start
from onggi.runtime.command import (
    bundle,
    checkpoint,
    criu,
    criu_messages,
    foreground,
    launching,
    outside,
    record,
    run,
)
from onggi.runtime.command.words import Command, Option
from onggi.runtime.start import Started
from onggi.runtime.steps import hooks, mounts, namespaces, roots
from onggi.runtime.steps.base import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.runtime.command.criu_messages import Answer, Value
    from onggi.runtime.command.record import Folder, Record
    from onggi.runtime.command.runtime import Runtime
    from onggi.runtime.command.words import Words
    from onggi.runtime.plan.container import Plan
    from onggi.runtime.steps.base import Step

COMMAND = Command(
    "CONTAINER",
    1,
    1,
    *checkpoint.SHARED_OPTIONS,
    Option("bundle", "DIR", "The bundle's directory (default: this one)", short="b"),
    Option("detach", "", "Leave the container running, and end", short="d"),
    Option("pid-file", "FILE", "Write the first process's PID to FILE"),
    Option("console-socket", "PATH", "Send the terminal's other end to the socket at PATH"),
    Option("no-pivot", "", "Accepted: criu finds its own way into the root"),
    Option("no-subreaper", "", "Accepted: what is orphaned inside goes to its process 1"),
    Option("lsm-profile", "TYPE:NAME", "Confine it by another profile than before"),
    Option("lsm-mount-context", "CONTEXT", "Refused: mounts keep the context that they had"),
)


def execute(words: Words, runtime: Runtime) -> int:
    """Restore the container; return as `run` does."""
    detach = words.has("detach")
    restoration = Restoration(words, runtime)
    started = launching.keep(
        restoration.made,
        restoration.config,
        words,
        runtime,
        console=detach,
        begin=restoration.begin,
    )
    if detach:
        return 0
    code = foreground.wait(started)
    run.remove(restoration.made, runtime)
    return code


def _require_possible(linux: dict[str, Any], identifier: str, runtime: Runtime) -> None:
    """Refuse what criu would make without: silence would be a lie."""
    if runtime.systemd:
        raise Unsupported("what is restored can't be a scope of systemd's", hint="cgroupfs")
    launching.choose_place(linux, identifier, systemd=False)
    for member in ("intelRdt", "netDevices"):
        if linux.get(member):
            raise Unsupported(f"{member}: what is restored can't have that")


class Restoration:
    """One container on its way back."""

    def __init__(self, words: Words, runtime: Runtime) -> None:
        (identifier,) = words.arguments
        record.require_identifier(identifier)
        self._runtime = runtime
        self._options = [*checkpoint.shared_options(words), *_own_options(words)]
        self._directories = checkpoint.directories(words)
        directory = os.path.realpath(words.text("bundle", "."))
        self.config = bundle.read(directory, "", runtime.journal.warn)
        _require_possible(self.config["linux"], identifier, runtime)
        launching.require_console(self.config["process"], words, console=words.has("detach"))
        self.made = record.new(identifier, self.config, directory)
        self._terminal_fd = -1
        self._pid = 0

    def begin(self, folder: Folder) -> Started:
        """Make the cgroups and have criu make the rest."""
        images, work = self._directories
        program = criu.require(self._runtime.criu)
        call = criu.Call(images, work)
        streams = _descriptors(images)
        os.makedirs(work, 0o700, exist_ok=True)
        plan = launching.settle(folder, self.made, self.config, self._runtime)
        call.options = [*self._options, *_options_of(plan, self.made, streams)]
        call.steps = steps(plan, self.made.rootfs)
        start.prepare(plan.host, Context())
        try:
            pid = self._restore(program, call)
        except BaseException:
            start.undo(plan.host)
            raise
        self.made.adopt(pid)
        folder.write(self.made)
        return Started(pid, self._terminal_fd)

    def _restore(self, program: str, call: criu.Call) -> int:
        joined = outside.joined(self.config)
        try:
            for kind, path in joined.items():
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                call.passed_fds.append(fd)
                name = outside.NAMESPACES[kind][1]
                call.options.append(("inherit_fd", criu_messages.pair(name, fd)))

            def meet(answer: Answer, fds: list[int]) -> None:
                self._meet(call, answer, fds)

            return criu.run(program, criu_messages.RESTORE, call, meet).pid
        except BaseException:
            if self._terminal_fd >= 0:
                os.close(self._terminal_fd)
            if self._pid:
                start.end(self._pid)
            raise
        finally:
            for fd in call.passed_fds[: len(joined)]:
                os.close(fd)

    def _meet(self, call: criu.Call, answer: Answer, fds: list[int]) -> None:
        """Do what is to be done when criu is as far as it says."""
        if answer.script == "orphan-pts-master" and len(fds) == 1 and self._terminal_fd < 0:
            (self._terminal_fd,) = fds
            return
        for fd in fds:
            os.close(fd)
        if answer.script == "setup-namespaces":
            self._run_hooks(answer.pid)
        elif answer.script == "post-restore":
            self._pid = answer.pid
        elif answer.script == "pre-resume":
            self._require_privileges(call)

    def _run_hooks(self, pid: int) -> None:
        context = Context()
        context.pid = pid
        state = record.document(self.made, record.CREATING)
        for kind in ("prestart", "createRuntime"):
            listed = hooks.plan_hooks(self.config.get("hooks", {}), kind, state)
            failure.apply_steps("hook", listed, context)

    def _require_privileges(self, call: criu.Call) -> None:
        """End what may do more than before, before it goes on: see checkpoint.py."""
        if not self.config["process"].get("noNewPrivileges"):
            return
        with open(f"/proc/{self._pid}/status", encoding="utf-8", errors="replace") as file:
            if "NoNewPrivs:\t0\n" not in file:
                return
        for path in self.made.cgroups:
            cgroup.kill(path)  # all of it first: what criu traces goes on when that ends
        os.kill(self._pid, start.SIGKILL)  # and waited for when criu no longer traces it
        call.end()
        raise Unsupported("this criu has not restored noNewPrivileges")


def _own_options(words: Words) -> list[tuple[str, Value]]:
    if words.has("lsm-mount-context"):
        raise InvalidInput("--lsm-mount-context: restored mounts keep the context they had")
    # Only so is the first process a child of ours, whom we can wait for.
    options: list[tuple[str, Value]] = [("rst_sibling", True)]
    if words.has("lsm-profile"):
        options.append(("lsm_profile", words.text("lsm-profile")))
    return options


def _descriptors(images: str) -> list[str]:
    """Return what the standard streams were. Raises: InvalidInput: there is no checkpoint."""
    path = os.path.join(images, checkpoint.DESCRIPTORS)
    try:
        with open(path, "rb") as file:
            streams = jsontext.loads(file.read())
    except (FileNotFoundError, NotADirectoryError):
        raise InvalidInput(f"there is no checkpoint in {images}") from None
    except ValueError as error:
        raise InvalidInput(f"{path}: not JSON: {error}") from error
    if not isinstance(streams, list) or not all(isinstance(one, str) for one in streams):
        raise InvalidInput(f"{path}: not a list of what the standard streams were")
    return streams[:3]


def _options_of(plan: Plan, made: Record, streams: list[str]) -> list[tuple[str, Value]]:
    """Return what criu must know of the container and of what the host lends it."""
    found = cgroup.hierarchies()
    options: list[tuple[str, Value]] = [("root", made.rootfs)]
    options += [
        ("ext_mnt", criu_messages.pair(target, source))
        for target, source in outside.mounts(plan.container, found, plan.cgroups).items()
    ]
    options += [
        ("cg_root", criu_messages.pair(controller, group))
        for controller, group in outside.groups(found, plan.cgroups)
    ]
    options += [
        ("inherit_fd", criu_messages.pair(stream, number))
        for number, stream in enumerate(streams)
        if stream.startswith("pipe:")
    ]
    return options


def steps(plan: Plan, rootfs: str) -> list[Step]:
    """Return what criu's process does first: it restores what it is in. Pure but for `isdir`."""
    targets: list[Step] = []
    below: list[str] = []
    for step in plan.container:
        if not isinstance(step, (mounts.BindMount, mounts.MountFilesystem)):
            continue
        target = step.target.rstrip("/")
        if not any(f"{target}/".startswith(f"{above}/") for above in below):
            is_file = isinstance(step, mounts.BindMount) and not os.path.isdir(step.source)
            targets.append(roots.MakeFile(target) if is_file else mounts.MakeDirectory(target))
        below.append(target)
    return [
        *plan.join,
        namespaces.Unshare(("mount",)),
        namespaces.SetPropagation("rslave"),
        mounts.BindRoot(rootfs),
        *targets,
    ]
