"""Docker's words that say nothing here, or that cannot be granted yet: known, so as to say why.

They are read only when a command line has an option that its command does not declare, or a command
that is not there. An option that asks for what is so anyway is taken; all others are refused by
what is missing, and what may do instead.
"""

from __future__ import annotations

from onggi.cli.options import Given, Option, UsageError

_NETWORK = (
    "containers have no network of their own but loopback yet; with --network host, the program's "
    "ports are the host's"
)
_NO_REGISTRY = "there is no registry to pull from yet; build, load, import or bootstrap the image"
_OWN = "a container always has its own"
_HEALTH = "health checks are kept in images and shown, but nobody runs them yet"
_WINDOWS = "it is for Windows"


class Absent(Option):
    """An option that is refused, unless its value is one that is so anyway."""

    __slots__ = ("fine",)

    def __init__(self, name: str, why: str, *, short: str = "", fine: tuple[str, ...] = ()) -> None:
        super().__init__(name, short, "VALUE", why)
        self.fine = fine

    def accept(self, given: Given, raw: str) -> None:
        if raw in self.fine:
            return
        other = " or ".join(filter(None, self.fine))
        value = f"{raw} " if other and self.takes_value else ""
        hint = f"only {other}" if value else ""
        raise UsageError(f"{self.spelled} {value}is not available: {self.meaning}", hint=hint)


class AbsentSwitch(Absent):
    """The same for an option that is on or off."""

    __slots__ = ()
    takes_value = False


_ANYWAY = ("true", "false")
_RUN: tuple[Absent, ...] = (
    Absent("publish", _NETWORK, short="p"),
    AbsentSwitch("publish-all", _NETWORK, short="P", fine=("false",)),
    *(
        Absent(name, _NETWORK)
        for name in (
            *("dns", "dns-opt", "dns-option", "dns-search", "expose", "ip", "ip6", "link"),
            *("link-local-ip", "mac-address", "net-alias", "network-alias"),
        )
    ),
    Absent(
        "restart",
        "nobody is there to start it again; let the host's service manager do it",
        fine=("no", ""),
    ),
    *(
        Absent(f"health-{name}", _HEALTH)
        for name in ("cmd", "interval", "retries", "start-interval", "start-period", "timeout")
    ),
    AbsentSwitch("no-healthcheck", "", fine=_ANYWAY),
    Absent("pull", _NO_REGISTRY, fine=("missing", "never")),
    AbsentSwitch("quiet", "", short="q", fine=_ANYWAY),
    AbsentSwitch("disable-content-trust", "", fine=_ANYWAY),
    Absent("runtime", "containers are run by onggi itself", fine=("", "onggi")),
    Absent(
        "log-driver",
        "what a container writes is kept in a file of its own, for `onggi logs`",
        fine=("", "local"),
    ),
    Absent("log-opt", "a log is bounded anyway, at five files of 16 MiB"),
    Absent("isolation", _WINDOWS, fine=("", "default")),
    Absent("pid", _OWN, fine=("", "private")),
    Absent("ipc", _OWN, fine=("", "private")),
    Absent("uts", _OWN, fine=("", "private")),
    Absent("cgroupns", _OWN, fine=("", "private")),
    Absent("gpus", "give it the devices with --device"),
    Absent("storage-opt", "what it writes is bounded by the disk"),
    Absent("volume-driver", "volumes are directories of the host", fine=("", "local")),
    Absent("kernel-memory", "the kernel counts it in --memory"),
    Absent("cpu-rt-period", "processor time is shared by --cpus and --cpu-shares"),
    Absent("cpu-rt-runtime", "processor time is shared by --cpus and --cpu-shares"),
    *(
        Absent(name, _WINDOWS)
        for name in ("cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops")
    ),
    AbsentSwitch("use-api-socket", "mount a socket with -v", fine=("false",)),
)

_CACHE = "the cache lies in the store, is used by itself and kept by itself"
_CONFINED = "RUN steps stay confined"
_ATTESTATIONS = "no attestations are made"
_CHECK = "there is no check without a build"
_BUILD: tuple[Absent, ...] = (
    AbsentSwitch("rm", "", fine=_ANYWAY),  # what a step leaves is always removed
    AbsentSwitch("force-rm", "", fine=_ANYWAY),
    AbsentSwitch("load", "", fine=_ANYWAY),  # what has no --output goes into the store anyway
    AbsentSwitch("compress", "", fine=_ANYWAY),  # a context is not sent anywhere
    AbsentSwitch("disable-content-trust", "", fine=_ANYWAY),
    AbsentSwitch(
        "push", "there is no registry client yet; build, then skopeo copy oci:STORE:NAME docker://"
    ),
    AbsentSwitch("pull", _NO_REGISTRY, fine=("false",)),
    Absent("ssh", "pass a key as --secret id=NAME,src=FILE"),
    Absent("cache-from", _CACHE),
    Absent("cache-to", _CACHE),
    AbsentSwitch("squash", "end with FROM scratch and COPY --from=STAGE / /", fine=("false",)),
    Absent("builder", "there is one builder, which needs no name", fine=("", "default")),
    Absent("provenance", _ATTESTATIONS, fine=("false",)),
    Absent("sbom", _ATTESTATIONS, fine=("false",)),
    Absent("attest", _ATTESTATIONS),
    Absent("allow", _CONFINED),
    Absent("security-opt", _CONFINED),
    AbsentSwitch("check", _CHECK, fine=("false",)),
    Absent("call", _CHECK, fine=("", "build")),
    Absent("cgroup-parent", "limit each step with --memory, --cpu-quota and the like"),
    Absent("isolation", _WINDOWS, fine=("", "default")),
)
_COMMANDS = {
    "run": _RUN,
    "exec": (Absent("detach-keys", "its terminal is left by ending its program"),),
    "update": tuple(
        one
        for one in _RUN
        if one.name in ("restart", "kernel-memory", "cpu-rt-period", "cpu-rt-runtime")
    ),
    "start": (Absent("checkpoint", "a container starts from its image and its files"),),
    "build": _BUILD,
}


_NO_NETWORKS = "networks come later; a container has its own loopback, or with --network host ours"
_ABSENT = {
    **dict.fromkeys(("pull", "search"), _NO_REGISTRY),
    "push": "there is no registry client yet; onggi save, then skopeo copy",
    **dict.fromkeys(("login", "logout"), "there is no registry client yet"),
    **dict.fromkeys(("network", "port"), _NO_NETWORKS),
    "events": "ask with onggi ps, or wait with onggi wait",
    "compose": "start each service with onggi run",
}


def instead_of(command: str) -> str:
    """Return what may do instead of Docker's command of that name; "" if it has none such."""
    return _ABSENT.get(command, "")


def find(command: str, name: str) -> Absent | None:
    """Return the option of Docker's `command` that is called `name`, at length or by its letter."""
    return next((one for one in _COMMANDS[command] if name in (one.name, one.short)), None)
