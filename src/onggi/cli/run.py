"""`onggi run`."""

from __future__ import annotations

import sys

from onggi.cli import attached, mounts, pairs
from onggi.cli.careful import beneath
from onggi.cli.cidfile import CidFile
from onggi.cli.options import Command, Section, Switch, Text, Texts, UsageError, Whole, bad_value
from onggi.engine.options import ContainerOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.cli.options import Given
    from onggi.engine.containers import Container
    from onggi.engine.options import Session

PROCESS = Section(
    "What runs",
    Switch("detach", "d", "Run in the background and print the container's ID"),
    Switch("interactive", "i", "Pass our input on to the program"),
    Switch("tty", "t", "Give the program a terminal"),
    Texts("attach", "a", "STREAM", "Pass on only stdin, stdout or stderr; may be repeated"),
    Switch("rm", "", "Remove the container when it ends"),
    Text("name", "", "NAME", "Name the container; without, it gets a name of two words"),
    Text("cidfile", "", "FILE", "Write the container's ID to a new file"),
    Texts("env", "e", "NAME[=VALUE]", "Set an environment variable; a NAME alone is copied"),
    Texts("env-file", "", "FILE", "Set environment variables from a file, one a line"),
    Text("workdir", "w", "DIR", "Start in this directory of the container"),
    Text("user", "u", "USER[:GROUP]", "Be this user, by name or number"),
    Texts("group-add", "", "GROUP", "Be in this group too"),
    Text("entrypoint", "", "PROGRAM", "Run this instead of the image's entry point"),
    Switch("init", "", "Put a small init before the program, which reaps and forwards signals"),
    Text("stop-signal", "", "SIGNAL", "What `onggi stop` sends first"),
    Whole("stop-timeout", "", "SECONDS", "How long `onggi stop` waits before it kills"),
    attached.DETACH_KEYS,
    Switch("sig-proxy", "", "Pass the signals we get on to the program", on=True),
    Texts("label", "l", "NAME[=VALUE]", "Attach a label to the container"),
    Texts("label-file", "", "FILE", "Attach labels from a file, one a line"),
    Texts("annotation", "", "NAME=VALUE", "Tell the runtime and its hooks something of it"),
    Switch("explain", "", "Run nothing: print the shell script that would make the container"),
)
FILES = Section(
    "What it sees of the file system",
    Texts(
        "volume",
        "v",
        "SOURCE:DIR[:ro]",
        "Mount a host directory or a named volume at DIR; a new volume gets what the image has",
    ),
    Texts(
        "mount",
        "",
        "KEY=VALUE,...",
        "The same in words: type=bind|volume|tmpfs, source, target, readonly, bind-propagation, "
        "bind-recursive, volume-nocopy, tmpfs-size, tmpfs-mode",
    ),
    Texts(
        "volumes-from",
        "",
        "CONTAINER[:ro]",
        "Mount what another container mounts, where it does, or read-only",
    ),
    Texts("tmpfs", "", "DIR[:OPTIONS]", "Mount memory at DIR, as in /run:size=64m"),
    Switch("read-only", "", "Make the container's root read-only"),
    Text("shm-size", "", "BYTES", "Size of /dev/shm, 64m when not given"),
    Texts(
        "device",
        "",
        "DEVICE[:PATH[:rwm]]",
        "Let it use a device of the host, or a directory of them",
    ),
    Texts(
        "device-cgroup-rule",
        "",
        "RULE",
        "Let it use devices that it finds or makes itself, as in 'c 10:200 rwm'",
    ),
)
ISOLATION = Section(
    "How it is isolated",
    Text("network", "", "MODE", '"none": loopback only; "host": the host\'s own network'),
    Text("net", "", "MODE", "The same, as older Docker spells it"),
    Text("hostname", "h", "NAME", "The container's host name"),
    Text("domainname", "", "NAME", "The container's NIS domain name"),
    Texts("add-host", "", "NAME:ADDRESS", "Let it know one more host, in /etc/hosts"),
    Text("userns", "", "MODE", '"host": root is root; "auto": its users are nobody on the host'),
    Texts("cap-add", "", "CAPABILITY", "Let it keep a capability, or ALL"),
    Texts("cap-drop", "", "CAPABILITY", "Take a capability away, or ALL"),
    Texts(
        "security-opt",
        "",
        "OPTION",
        "no-new-privileges[=false], seccomp=unconfined, seccomp=PROFILE.json, apparmor=PROFILE or "
        "systempaths=unconfined",
    ),
    Texts("sysctl", "", "NAME=VALUE", "Set a kernel parameter of its own namespaces"),
    Switch("privileged", "", "All capabilities and devices, no filter: as good as the host's root"),
)
RESOURCES = Section(
    "What it may use",
    Text("cpus", "", "NUMBER", "Processors' worth of time, as in 0.5"),
    Text("cpu-shares", "c", "WEIGHT", "Its share when processors are short; 1024 is usual"),
    Text("cpu-period", "", "MICROSECONDS", "The period that --cpu-quota is for"),
    Text("cpu-quota", "", "MICROSECONDS", "Processor time in each period"),
    Text("cpuset-cpus", "", "LIST", "Run on these processors only, as in 0-3 or 0,2"),
    Text("cpuset-mems", "", "LIST", "Use memory of these NUMA nodes only"),
    Text("memory", "m", "BYTES", "Most memory; beyond it the kernel kills (128m, 2g)"),
    Text("memory-reservation", "", "BYTES", "Memory it keeps when the host runs short"),
    Text("memory-swap", "", "BYTES", "Most memory and swap together; -1: unlimited swap"),
    Text("memory-swappiness", "", "0-100", "How readily its memory is swapped out (cgroup v1)"),
    Switch("oom-kill-disable", "", "Let it wait for memory, not be killed (cgroup v1)"),
    Text("pids-limit", "", "NUMBER", "Most processes and threads; -1: unlimited"),
    Text("blkio-weight", "", "WEIGHT", "Its share of disk time, 10 to 1000"),
    Texts("blkio-weight-device", "", "DEVICE:WEIGHT", "Its share of one disk's time"),
    Texts("device-read-bps", "", "DEVICE:RATE", "Most bytes read a second, as in /dev/sda:1mb"),
    Texts("device-write-bps", "", "DEVICE:RATE", "Most bytes written a second"),
    Texts("device-read-iops", "", "DEVICE:RATE", "Most reads a second"),
    Texts("device-write-iops", "", "DEVICE:RATE", "Most writes a second"),
    Texts("ulimit", "", "NAME=SOFT[:HARD]", "Set a resource limit, as in nofile=1024:2048"),
    Text("oom-score-adj", "", "NUMBER", "Likelier (1000) or unlikelier (-1000) killed for memory"),
    Text("cgroup-parent", "", "CGROUP", "Make its control groups below this one"),
)
COMMAND = Command(
    arguments="IMAGE [COMMAND] [ARG...]",
    least=1,
    most=None,
    interspersed=False,
    failure=125,
    docker="run",
    description="Makes a container from IMAGE and runs COMMAND, or what the image says, in it. The "
    "image's layers are read-only and shared; what the program writes goes to a layer of its own. "
    "The host makes the container's control groups and sets their numbers before the program "
    "runs a single instruction.\n\n"
    "The exit code is the program's: 128+n when signal n ended it, 126 when it cannot be "
    "executed, 127 when it is not there, and 125 when no container could be made.\n\n"
    "Of Docker's options, those for networks and ports, registries, restarts and health checks are "
    "not there yet; each is refused with the reason, and with what may do instead.",
    sections=(PROCESS, FILES, ISOLATION, RESOURCES),
    examples=(
        ("onggi run --rm -it debian:bookworm bash", "a shell, gone without a trace afterwards"),
        (
            "onggi run -d --name web --cpus 0.5 -m 128m guestbook",
            "a service with half a processor and 128 MiB",
        ),
        ("onggi run --rm -v $PWD:/src:ro -w /src busybox ls", "look at the host's files, no more"),
        ("onggi run --explain --rm busybox true | less", "read what would be done, as a script"),
    ),
)

_STREAMS = ("stdin", "stdout", "stderr")

# Options whose values go to the engine as they were written, under the same names.
LIMITS = (
    "shm-size",
    *(option.name for option in RESOURCES.options if option.name != "cgroup-parent"),
)


class ConflictingOptions(UsageError):
    """Two options that cannot both be meant."""

    exit_code = 1


def execute(given: Given, invocation: Invocation) -> int:
    """Run a container and return its program's exit code, or 0 once it runs in the background."""
    options = container_options(given, detach=given.on("detach"))
    if given.on("explain"):
        beneath(sys.stdout).write(invocation.engine.explain(options))
        return 0
    wanted = _attached(given)
    with CidFile(given.text("cidfile")) as cidfile:
        session = _start(given, options, wanted, invocation)
        cidfile.write(session.container.id)
    warn(session.container)
    if options.detach or (wanted and not {"stdout", "stderr"} & wanted):
        print(session.container.id, flush=True)
    if options.detach:
        return 0
    return attached.follow(
        session,
        interactive=options.interactive and _is_wanted("stdin", wanted),
        tty=options.tty,
        forward=given.on("sig-proxy"),
    )


def _start(
    given: Given, options: ContainerOptions, wanted: set[str], invocation: Invocation
) -> Session:
    if options.detach:
        invocation.look_ahead()
        return invocation.engine.containers.run(options)
    interactive = given.on("interactive") and _is_wanted("stdin", wanted)
    invocation.look_ahead()
    keys = given.text("detach-keys")
    streams = attached.streams(interactive=interactive, tty=options.tty, detach_keys=keys)
    streams.stdout_fd = streams.stdout_fd if _is_wanted("stdout", wanted) else -1
    streams.stderr_fd = streams.stderr_fd if _is_wanted("stderr", wanted) else -1
    return invocation.engine.containers.run(options, streams=streams)


def _attached(given: Given) -> set[str]:
    """Return the streams that `--attach` names; none is all of them."""
    wanted = set()
    for raw in given.texts("attach"):
        if raw.lower() not in _STREAMS:
            raise bad_value("-a, --attach", raw, "valid streams are stdin, stdout and stderr")
        wanted.add(raw.lower())
    if wanted and given.on("detach"):
        raise ConflictingOptions("conflicting options: cannot specify both --attach and --detach")
    return wanted


def _is_wanted(stream: str, wanted: set[str]) -> bool:
    return not wanted or stream in wanted


def container_options(given: Given, *, detach: bool) -> ContainerOptions:
    """Return what was asked for as the engine takes it; only spelling is checked here."""
    image, *command = given.arguments
    entrypoint = given.text("entrypoint")
    long_mounts = given.texts("mount")
    return ContainerOptions(
        image=image,
        command=command,
        name=given.text("name") or "",
        # An empty one takes the image's away, and puts nothing in its place.
        entrypoint=None if entrypoint is None else [entrypoint] if entrypoint else [],
        env=pairs.environment(given),
        workdir=given.text("workdir") or "",
        user=given.text("user") or "",
        hostname=given.text("hostname") or "",
        domainname=given.text("domainname") or "",
        network=given.text("network") or given.text("net") or "none",
        volumes=given.texts("volume"),
        volumes_from=given.texts("volumes-from"),
        mounts=[mounts.mount(raw) for raw in long_mounts if not mounts.is_tmpfs(raw)],
        tmpfs=given.texts("tmpfs")
        + [mounts.tmpfs(raw) for raw in long_mounts if mounts.is_tmpfs(raw)],
        tty=given.on("tty"),
        interactive=given.on("interactive"),
        detach=detach,
        remove=given.on("rm"),
        init=given.on("init"),
        read_only=given.on("read-only"),
        privileged=given.on("privileged"),
        cap_add=given.texts("cap-add"),
        cap_drop=given.texts("cap-drop"),
        security_opt=_security(given.texts("security-opt")),
        userns=given.text("userns") or "host",
        labels=pairs.labels(pairs.label_lines(given) + given.texts("label")),
        annotations=pairs.container_annotations(given.texts("annotation")),
        extra_hosts=given.texts("add-host"),
        stop_signal=given.text("stop-signal") or "",
        stop_timeout=given.number("stop-timeout"),
        group_add=given.texts("group-add"),
        sysctls=pairs.sysctls(given.texts("sysctl")),
        devices=given.texts("device"),
        device_cgroup_rules=given.texts("device-cgroup-rule"),
        limits=_limits(given),
        cgroup_parent=given.text("cgroup-parent") or "",
    )


def _security(raws: list[str]) -> list[str]:
    if not raws:
        return []
    from onggi.cli.profiles import security_options

    return security_options(raws)


def _limits(given: Given) -> dict[str, object]:
    wanted = {name: given.words.get(name) or given.lists.get(name) for name in LIMITS}
    found: dict[str, object] = {name: value for name, value in wanted.items() if value}
    if given.on("oom-kill-disable"):
        found["oom-kill-disable"] = "true"
        if not given.text("memory"):
            print("WARNING: without -m, disabling the OOM killer is dangerous", file=sys.stderr)
    return found


def warn(container: Container) -> None:
    """Say what of the request this host cannot do."""
    for warning in container.record["warnings"]:
        print(f"WARNING: {warning}", file=sys.stderr)
