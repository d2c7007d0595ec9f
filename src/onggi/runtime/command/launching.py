"""Make a container of a bundle, for `create` and `run`.

    this process                                  first process
    ────────────                                  ─────────────
    reads the bundle, refuses what it must
    makes ROOT/ID, binds ROOT/ID/start
    plans; applies the host's steps, forks ──────▶ applies its own (start.py)
    ◀────────────────────────────────── "created"  waits at ROOT/ID/start, or goes on
    passes the terminal on, writes the PID down

Whatever fails before the end leaves nothing: no process, cgroup, directory or file.
"""

from __future__ import annotations

import errno
import os

from onggi.errors import Conflict, InvalidInput
from onggi.linux import cgroup, channel, terminal
from onggi.oci import jsontext
from onggi.runtime import host, start
from onggi.runtime.command import afterwards, bundle, record, staging
from onggi.runtime.command.words import Option
from onggi.runtime.plan.container import plan_container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from onggi.runtime.command.record import Folder, Record
    from onggi.runtime.command.runtime import Runtime
    from onggi.runtime.command.words import Words
    from onggi.runtime.host import Host
    from onggi.runtime.plan.container import Plan
    from onggi.runtime.start import Started

OPTIONS = (
    Option("bundle", "DIR", "The bundle's directory (default: this one)", short="b"),
    Option("config", "FILE", "The configuration, if it is not DIR/config.json", short="f"),
    Option("console-socket", "PATH", "Send the terminal's other end to the socket at PATH"),
    Option("pid-file", "FILE", "Write the first process's PID to FILE"),
    Option("no-pivot", "", "Do not pivot into the root: for one on the initial RAM disk"),
    Option("no-new-keyring", "", "Keep the caller's session keyring"),
    Option("no-subreaper", "", "Accepted: what is orphaned inside goes to its process 1"),
    Option("preserve-fds", "N", "Pass N descriptors on, after standard error and $LISTEN_FDS"),
)
_PATIENCE_SECONDS = 10  # with whoever is to take the terminal
_PTY_NAME = b"/dev/ptmx"  # what comes with the descriptor; nobody reads it as a path


def launch(words: Words, runtime: Runtime, *, wait: bool, console: bool) -> tuple[Started, Record]:
    """Make the container that `words` name; return when it waits to be started, or runs.

    Args: wait: for `start`. console: a terminal is to be passed on through the console socket,
        not kept in Started.
    """
    (identifier,) = words.arguments
    record.require_identifier(identifier)
    passed, listening = passed_fds(words)
    directory = os.path.realpath(words.text("bundle", "."))
    config = bundle.read(directory, words.text("config"), runtime.journal.warn)
    unit = choose_place(config["linux"], identifier, systemd=runtime.systemd)
    require_console(config["process"], words, console=console)
    pass_listening(config["process"], listening)
    if config["process"].get("terminal") and not console:
        config["process"].setdefault("consoleSize", console_size())
    stage = staging.Stage(
        passed_fds=passed,
        keyring=not words.has("no-new-keyring"),
    )
    made = record.new(identifier, config, directory)
    made.keyring = stage.keyring
    stage.unit = unit
    stage.pivot = not words.has("no-pivot")
    stage.seccomp = config["linux"].get("seccomp", {})
    stage.hooks = config.get("hooks", {})
    stage.state = record.document(made, record.CREATING)
    started = keep(
        made,
        config,
        words,
        runtime,
        console=console,
        begin=lambda folder: _start(folder, made, config, stage, runtime, wait=wait),
    )
    return started, made


def keep(
    made: Record,
    config: dict[str, Any],
    words: Words,
    runtime: Runtime,
    *,
    console: bool,
    begin: Callable[[Folder], Started],
) -> Started:
    """Have `begin` make a container in a directory of its own; nothing is left if that fails."""
    with record.make(runtime.root, made) as folder:
        try:
            started = begin(folder)
            try:
                hand_over(started, words, console=console)
            except BaseException:
                record.remove_groups(made)
                raise
        except BaseException:
            afterwards.run_poststop(config, made, runtime)
            folder.remove()
            raise
    return started


def _start(
    folder: Folder,
    made: Record,
    config: dict[str, Any],
    stage: staging.Stage,
    runtime: Runtime,
    *,
    wait: bool,
) -> Started:
    """Start the first process; in a scope of systemd's, beside one that holds the place."""
    if not stage.unit:
        return _start_beside(0, folder, made, config, stage, runtime, wait=wait)
    from onggi.runtime.command import scopes

    with scopes.Placeholder() as held:
        return _start_beside(held.pid, folder, made, config, stage, runtime, wait=wait)


def _start_beside(
    placeholder: int,
    folder: Folder,
    made: Record,
    config: dict[str, Any],
    stage: staging.Stage,
    runtime: Runtime,
    *,
    wait: bool,
) -> Started:
    plan = settle(folder, made, config, runtime, unit=stage.unit, placeholder=placeholder)
    try:
        if wait:
            stage.listener_fd = channel.listen(folder.socket())
        staging.set_stage(plan, stage)
        started = start.start(plan, (0, 1, 2))
    finally:
        if stage.listener_fd != staging.NOBODY:
            os.close(stage.listener_fd)
    made.unit = stage.unit  # not sooner: until it was made, one of that name is somebody else's
    made.adopt(started.pid)
    folder.write(made)
    return started


def settle(
    folder: Folder,
    made: Record,
    config: dict[str, Any],
    runtime: Runtime,
    *,
    unit: str = "",
    placeholder: int = 0,
) -> Plan:
    """Return the plan of a container on this host, once it is written down what it will have.

    Args: unit, placeholder: the scope of systemd's that its cgroups are to be, and the process that
        holds the place in it, if they are to be one.
    """
    plan = plan_on(config, made.id, host.gather(groups=runtime.groups), filter_cache(runtime))
    for warning in plan.warnings:
        runtime.journal.warn(warning)
    _require_empty(plan)
    made.cgroups = list(plan.cgroups)
    if config["linux"].get("intelRdt"):
        _share(plan, config["linux"]["intelRdt"], made)
    if unit:
        from onggi.runtime.command import scopes

        scopes.add(plan, unit, config, placeholder)
    folder.write(made)
    folder.keep_config(config)
    return plan


def choose_place(linux: dict[str, Any], identifier: str, *, systemd: bool) -> str:
    """Return the systemd scope that a container's cgroups will be; "" if they are our own.

    Raises: InvalidInput, Unsupported: the path is none for whoever makes them.
    """
    path = linux.get("cgroupsPath", "")
    if systemd:
        from onggi.runtime.command import scopes

        return scopes.choose(linux, identifier)
    if path.count(":") == 2 and "/" not in path:
        raise InvalidInput(f"cgroupsPath {path!r} is systemd's", hint="--systemd-cgroup takes it")
    return ""


def _share(plan: Plan, asked: dict[str, Any], made: Record) -> None:
    """Add the container's share of caches and memory bandwidth to its plan."""
    from onggi.runtime.plan import resctrl
    from onggi.runtime.steps.resctrl import JoinResctrlGroup

    share = resctrl.plan_share(asked, made.id, resctrl.gather(asked, made.id))
    plan.host += share.host
    plan.join += [JoinResctrlGroup(path) for path in share.join]
    made.resctrl, made.resctrl_own = share.join, share.own


def plan_on(config: dict[str, Any], identifier: str, facts: Host, cache_directory: str) -> Plan:
    """Return the plan of the container that a bundle's configuration describes, on this host."""
    program, flags = compiled(config, facts.arch, cache_directory)
    plan = plan_container(
        config, (), facts, identifier=identifier, program=program, program_flags=flags
    )
    if config["linux"].get("netDevices"):
        from onggi.runtime.plan import network_devices

        network_devices.add_devices(plan, config["linux"])
    return plan


def compiled(config: dict[str, Any], machine: str, cache_directory: str) -> tuple[bytes, int]:
    """Return a configuration's seccomp filter and the flags to load it with.

    It is compiled at most once, for that takes longer than an interpreter to start.
    """
    seccomp = config["linux"].get("seccomp")
    if not seccomp:
        return b"", 0
    from onggi.oci.fingerprint import sha256_hex
    from onggi.runtime.seccomp import cache, flags

    key = f"{cache.VERSION}-{machine}-{sha256_hex(jsontext.canonical(seccomp))}"
    path = cache.kept_file(key, cache_directory, lambda: _compile(seccomp, machine))
    return start.read_filter(path), flags.filter_flags(seccomp)


def _compile(seccomp: dict[str, Any], machine: str) -> bytes:
    from onggi.runtime.seccomp import compile as compiler

    return compiler.compile_filter(seccomp, machine)


def filter_cache(runtime: Runtime) -> str:
    """Return where compiled filters are kept: beside the containers, by a name that none has."""
    return f"{runtime.root}/~filters"


def _require_empty(plan: Plan) -> None:
    """Refuse a cgroup that has processes: its limits would be theirs, and `delete` their end."""
    for path in plan.cgroups:
        inside = len(cgroup.tree_processes(path))
        if inside:
            raise Conflict(f"container's cgroup is not empty: {inside} process(es) found in {path}")


def passed_fds(words: Words) -> tuple[int, int]:
    """Return how many descriptors above standard error the program gets, and how many listen.

    Source: runc utils_linux.go, startContainer and runner.run; sd_listen_fds(3).
    """
    listening = 0
    if os.environ.get("LISTEN_PID") == str(os.getpid()):
        count = os.environ.get("LISTEN_FDS", "")
        listening = int(count) if count.isascii() and count.isdigit() and len(count) < 5 else 0
    preserved = words.number("preserve-fds")
    if preserved < 0:
        raise InvalidInput(f"invalid number of descriptors to preserve: {preserved}")
    for fd in range(3, 3 + listening + preserved):
        try:
            os.set_inheritable(fd, True)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            raise InvalidInput(f"there is no descriptor {fd} to pass on") from None
    return listening + preserved, listening


def pass_listening(process: dict[str, Any], count: int) -> None:
    """Tell the program of the sockets that it inherits; it will be process 1 of its namespace."""
    if count:
        process["env"] = [*process.get("env", []), f"LISTEN_FDS={count}", "LISTEN_PID=1"]


def require_console(process: dict[str, Any], words: Words, *, console: bool) -> None:
    """Refuse a terminal that nobody would hold, and a socket that nobody would use."""
    wanted = bool(process.get("terminal"))
    if wanted and console and not words.has("console-socket"):
        raise InvalidInput(
            "cannot allocate tty if the runtime will detach without setting console socket"
        )
    if words.has("console-socket") and not (wanted and console):
        raise InvalidInput(
            "cannot use console socket if the runtime will not detach or allocate tty"
        )


def hand_over(started: Started, words: Words, *, console: bool) -> None:
    """Pass on what the caller waits for: the terminal, the PID. On failure the process ends."""
    try:
        if console and started.terminal_fd >= 0:
            send_console(started.terminal_fd, words.text("console-socket"))
        if words.has("pid-file"):
            write_pid(words.text("pid-file"), started.pid)
    except BaseException:
        start.end(started.pid)
        raise


def console_size() -> dict[str, int]:
    """Return runtime-spec `consoleSize` of this process's terminal; no size if it has none."""
    rows, columns = terminal.get_size(0) if os.isatty(0) else (0, 0)
    return {"height": rows, "width": columns}


def send_console(terminal_fd: int, path: str) -> None:
    """Send the host's end of a terminal to the socket at `path`, and close ours."""
    try:
        fd = channel.connect(path, channel.STREAM, patience=_PATIENCE_SECONDS)
        try:
            channel.send(fd, _PTY_NAME, (terminal_fd,))
        finally:
            os.close(fd)
    finally:
        os.close(terminal_fd)


def write_pid(path: str, pid: int) -> None:
    """Write a PID to a file, whole, so that whoever waits for the file reads all of it."""
    folder, name = os.path.split(path)
    half_made = os.path.join(folder, f".{name}.{os.getpid()}")
    fd = os.open(half_made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with open(fd, "wb") as file:
            file.write(b"%d" % pid)
        os.rename(half_made, path)
    except BaseException:
        os.unlink(half_made)
        raise
