"""`checkpoint`: freeze a container's processes to files, from which `restore` makes them anew.

    IMAGES/*.img              what criu keeps
    IMAGES/descriptors.json   what the first process's standard streams were
    WORK/dump.log             what criu did

Unless it is to go on, the container ends by that and is removed; a failure leaves it as it was.

Source: runc man/runc-checkpoint.8.md; libcontainer/container_linux.go, Checkpoint.
"""

from __future__ import annotations

import os

from onggi.errors import Conflict, InvalidInput, Unsupported
from onggi.linux import freezer
from onggi.oci import jsontext
from onggi.runtime import host
from onggi.runtime.command import (
    criu,
    criu_messages,
    delete,
    groups,
    launching,
    outside,
    record,
)
from onggi.runtime.command.words import Command, Option
from onggi.runtime.plan.users import user_map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.runtime.command.criu_messages import Value
    from onggi.runtime.command.record import Record
    from onggi.runtime.command.runtime import Runtime
    from onggi.runtime.command.words import Words

DESCRIPTORS = "descriptors.json"
_KEEPS_PRIVILEGES = (3, 18)
_NETWORK = 0x40000000  # CLONE_NEWNET

# What `checkpoint` and `restore` both take.
SHARED_OPTIONS = (
    Option("image-path", "DIR", "Keep the images in DIR (default: ./checkpoint)"),
    Option("work-path", "DIR", "Write criu's log to DIR (default: where the images are)"),
    Option("tcp-established", "", "Keep TCP connections that are established"),
    Option("ext-unix-sk", "", "Let UNIX sockets be connected to others outside"),
    Option("shell-job", "", "Let processes belong to a session of outside"),
    Option("file-locks", "", "Keep file locks"),
    Option("manage-cgroups-mode", "MODE", "soft (default), full, strict or ignore"),
    Option("empty-ns", "KIND", "Leave out what is in the namespace: network"),
    Option("auto-dedup", "", "Free from the parent's images what is kept again"),
    Option("lazy-pages", "", "Refused"),
)
COMMAND = Command(
    "CONTAINER",
    1,
    1,
    *SHARED_OPTIONS,
    Option("leave-running", "", "Let the container go on"),
    Option("pre-dump", "", "Keep memory alone, for a later checkpoint, and let it go on"),
    Option("parent-path", "DIR", "An earlier one's images, relative to this one's"),
    Option("page-server", "ADDRESS:PORT", "Send memory to criu page-server there"),
    Option("status-fd", "FD", "Refused: it is for --lazy-pages"),
)
_SWITCHES = {
    "tcp-established": "tcp_established",
    "ext-unix-sk": "ext_unix_sk",
    "shell-job": "shell_job",
    "file-locks": "file_locks",
    "auto-dedup": "auto_dedup",
}


def execute(words: Words, runtime: Runtime) -> int:
    """Make the checkpoint; return once it is made."""
    (identifier,) = words.arguments
    options = shared_options(words)
    images, work = directories(words)
    options += _own_options(words, images)
    goes_on = words.has("leave-running") or words.has("pre-dump")
    with record.hold(runtime.root, identifier) as folder:
        known = folder.read()
        _require_processes(known, record.status(runtime.root, known))
        program = criu.require(runtime.criu)
        call = criu.Call(images, work)
        config = folder.config()
        call.options = [*options, *_options_of(known, config, runtime)]
        os.makedirs(images, 0o700, exist_ok=True)
        os.makedirs(work, 0o700, exist_ok=True)
        if config["process"].get("noNewPrivileges"):
            _require_memory_of_privileges(program, call)
        if not words.has("pre-dump"):
            _keep_descriptors(known.pid, images)
        kind = criu_messages.PRE_DUMP if words.has("pre-dump") else criu_messages.DUMP
        _quietly(program, kind, call)
        _give(images, config["linux"])
        if not goes_on:
            delete.end(known)
            delete.remove(folder, known, runtime)
    return 0


def _require_memory_of_privileges(program: str, call: criu.Call) -> None:
    """Refuse a criu that forgets no_new_privs: set-user-ID programs would work once restored.

    Since criu 3.18. Raises: Unsupported.
    """
    asked = criu.Call(call.image_path, call.work_path)
    major, minor = _quietly(program, criu_messages.VERSION, asked).version
    if (major, minor) < _KEEPS_PRIVILEGES:
        raise Unsupported(
            f"criu {major}.{minor} forgets noNewPrivileges",
            hint="{}.{} keeps it".format(*_KEEPS_PRIVILEGES),
        )


def _quietly(program: str, kind: int, call: criu.Call) -> criu_messages.Answer:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        call.streams = (null, null, null)
        return criu.run(program, kind, call, lambda _answer, _fds: None)
    finally:
        os.close(null)


def directories(words: Words) -> tuple[str, str]:
    """Return where the images are, and where criu's log goes."""
    images = os.path.realpath(words.text("image-path", "checkpoint"))
    return images, os.path.realpath(words.text("work-path", images))


def shared_options(words: Words) -> list[tuple[str, Value]]:
    """Return what the options that both commands take mean to criu. Raises: as they say."""
    for name in ("lazy-pages", "status-fd"):
        if words.has(name):
            raise Unsupported(f"--{name}: memory is not left to be fetched later")
    mode = words.text("manage-cgroups-mode", "soft")
    if mode not in criu_messages.CGROUP_MODES:
        known = ", ".join(criu_messages.CGROUP_MODES)
        raise InvalidInput(f"invalid manage-cgroups-mode {mode!r}", hint=known)
    options: list[tuple[str, Value]] = [
        *((option, True) for word, option in _SWITCHES.items() if words.has(word)),
        ("manage_cgroups", True),
        ("manage_cgroups_mode", criu_messages.CGROUP_MODES[mode]),
        # Our mounts are slaves of the host's, as far as those are shared.
        ("ext_masters", True),
        ("orphan_pts_master", True),
    ]
    for kind in words.all("empty-ns"):
        if kind != "network":
            raise InvalidInput(f"namespace {kind!r} is not supported by --empty-ns", hint="network")
    if words.has("empty-ns"):
        options.append(("empty_ns", _NETWORK))
    return options


def _own_options(words: Words, images: str) -> list[tuple[str, Value]]:
    options: list[tuple[str, Value]] = []
    if words.has("leave-running"):
        options.append(("leave_running", True))
    if words.has("pre-dump"):
        options.append(("track_mem", True))
    if words.has("parent-path"):
        parent = words.text("parent-path")
        if os.path.isabs(parent) or not os.path.isdir(os.path.join(images, parent)):
            raise InvalidInput(f"invalid parent-path {parent!r}", hint="relative to --image-path")
        options += [("parent_img", parent), *((("track_mem", True),) * (not words.has("pre-dump")))]
    if words.has("page-server"):
        address, _, port = words.text("page-server").rpartition(":")
        if not (address and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise InvalidInput("use --page-server ADDRESS:PORT to specify the page server")
        options.append(("ps", criu_messages.pair(address, int(port))))
    return options


def _require_processes(known: Record, now: str) -> None:
    if now == record.CREATED:
        raise Conflict("container cannot be checkpointed in created state")
    if now not in (record.RUNNING, record.PAUSED):
        raise Conflict(f"container cannot be checkpointed: it is {now}")
    groups.require(known)


def _options_of(known: Record, config: dict[str, Any], runtime: Runtime) -> list[tuple[str, Value]]:
    """Return what criu must know of the container."""
    facts = host.gather()
    plan = launching.plan_on(config, known.id, facts, launching.filter_cache(runtime))
    lent = outside.mounts(plan.container, facts.hierarchies, tuple(known.cgroups))
    options: list[tuple[str, Value]] = [
        ("pid", known.pid),
        ("root", known.rootfs),
        ("freeze_cgroup", freezer.find(known.cgroups)),
    ]
    options += [
        ("ext_mnt", criu_messages.pair(_real(known.pid, target), target)) for target in lent
    ]
    for kind in outside.joined(config):
        file, name = outside.NAMESPACES[kind]
        inode = os.stat(f"/proc/{known.pid}/ns/{file}").st_ino
        options.append(("external", f"{file}[{inode}]:{name}"))
    return options


def _real(pid: int, target: str) -> str:
    """Return where `target` is, with every link in the container followed, as it sees it."""
    from onggi.linux.path import O_PATH, Inside

    root = os.open(f"/proc/{pid}/root", O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = Inside(root).open(target, O_PATH | os.O_CLOEXEC)
        try:
            return os.readlink(f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)
    finally:
        os.close(root)


def _give(images: str, linux: dict[str, Any]) -> None:
    """Give the images to the root of the container's user namespace, if it has one.

    criu opens some of them when it is that already, and some when it has lost its rights as the
    host's root and has only the group. Nobody else may read what was in memory.
    """
    if not linux.get("uidMappings"):
        return
    uid, _ = user_map(linux).outside(0, 0)
    for name in os.listdir(images):
        path = os.path.join(images, name)
        if not os.path.islink(path):  # to the images of a parent
            os.chown(path, uid, 0)
            os.chmod(path, 0o640)
    os.chown(images, uid, 0)
    os.chmod(images, 0o750)


def _keep_descriptors(pid: int, images: str) -> None:
    """Write down what the standard streams are, in runc's form and by its name."""
    streams = [_stream(pid, number) for number in (0, 1, 2)]
    with open(os.path.join(images, DESCRIPTORS), "w", encoding="utf-8") as file:
        file.write(jsontext.dumps(streams))


def _stream(pid: int, number: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/fd/{number}")
    except FileNotFoundError:
        return ""  # the program has closed it
