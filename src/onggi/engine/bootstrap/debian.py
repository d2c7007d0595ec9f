"""A root file system of Debian's packages, installed by mmdebstrap.

What would make it depend on this host, or on the day, is taken out again: logs, caches, locks and
backups, identities, device nodes (every container gets its own), and the way to the mirrors. The
image names Debian's own archive instead.

Source: mmdebstrap(1); https://reproducible-builds.org/specs/source-date-epoch/; debuerreotype,
which makes Docker's official images of Debian, for what is taken out.
"""

from __future__ import annotations

import glob
import os
import shutil
import subprocess

from onggi.engine.bootstrap import host_apt
from onggi.engine.bootstrap.changelogs import newest_change
from onggi.engine.bootstrap.failure import BootstrapFailed
from onggi.engine.bootstrap.root_files import write, write_identity
from onggi.errors import InvalidInput, Unsupported
from onggi.store import trees

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Say = Callable[[str], None]

# What packages' scripts take for the present, in seconds since 1970: 2000-01-01. The day on which a
# password was set, for one, gets into files.
_SCRIPTS_EPOCH = 946_684_800
_KEPT_VARIABLES = ("PATH", "TMPDIR", "http_proxy", "https_proxy", "no_proxy", "ftp_proxy")
# In namespaces of its own, so that whatever a package's script starts or mounts ends with it, and
# it with us.
_CONFINED = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
    *("--propagation", "private"),
)
_LAST_LINES = 20
_ROLLING = ("sid", "unstable", "experimental")  # without updates and security of their own
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

_REMOVED = (
    "etc/.pwd.lock",
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/apt/sources.list",
    "etc/apt/sources.list.d/*",
    "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    *(f"etc/{name}-" for name in ("group", "gshadow", "passwd", "shadow", "subgid", "subuid")),
    *("dev/*", "run/[!l]*", "tmp/*", "var/tmp/*"),
    *("var/cache/apt/*.bin", "var/cache/apt/archives/*", "var/lib/apt/lists/*"),
    *("var/cache/debconf/*-old", "var/cache/ldconfig/*"),
    *("var/lib/dpkg/*-old", "var/lib/dpkg/lock*", "var/lib/dpkg/triggers/Lock"),
)


class DebianRoot:
    """A minimal Debian with apt, and what is to be included."""

    shell = "bash"

    def __init__(self, suite: str, include: Sequence[str] = ()) -> None:
        if not suite or not all(map(_is_plain, [suite, *include])):
            raise InvalidInput(
                f"no Debian suite or package is called {' '.join([repr(suite), *include])}",
                hint="debian:SUITE, as in debian:bookworm",
            )
        self.suite = suite
        self.include = tuple(include)
        self.name = f"debian:{suite}"
        self.origin = " ".join((self.name, *(f"--include {package}" for package in include)))

    def fill(self, directory: str, say: Say) -> int:
        """Install into the directory; it is as old as its youngest package.

        Raises: Unsupported: mmdebstrap is missing; BootstrapFailed: it could not install.
        """
        if shutil.which("mmdebstrap") is None:
            raise Unsupported("mmdebstrap is not installed", hint="install Debian's package of it")
        way = f"{os.path.dirname(directory)}/apt.conf"
        with open(way, "x", encoding="utf-8") as file:
            file.write(host_apt.options())
        try:
            _install(self.name, self._command(directory, way), self._mirrors(), say)
        finally:
            os.unlink(way)
        clean(directory)
        write(directory, "etc/apt/sources.list.d/debian.sources", sources(self.suite))
        return newest_change(f"{directory}/usr/share/doc")

    def _mirrors(self) -> list[str]:
        return host_apt.mirrors(self.suite)

    def _command(self, directory: str, way: str) -> list[str]:
        words = [*_CONFINED, "mmdebstrap", "--mode=root", "--format=directory"]
        words += ["--variant=minbase", f"--aptopt={way}"]
        if self.include:
            words.append(f"--include={','.join(self.include)}")
        words += [self.suite, directory]
        return [*words, "-"] if self._mirrors() else words


def _is_plain(name: str) -> bool:
    return name[:1].isalnum() and all(one.isalnum() or one in "+-.:" for one in name)


def _install(source: str, command: list[str], mirrors: list[str], say: Say) -> None:
    """Run mmdebstrap, and tell what it says.

    The mirrors are given on standard input, since everybody may read a command's words.
    """
    last: list[str] = []
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_environment(),
        text=True,
        errors="replace",
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        with child.stdin as file:
            file.writelines(f"{line}\n" for line in mirrors)
        for line in child.stdout:
            last = [*last, line.strip()][-_LAST_LINES:]
            if line.startswith("I: "):
                say(line[3:].rstrip())
    except BaseException:
        child.kill()
        child.stdout.read()  # ends when the last of its processes has
        raise
    finally:
        child.stdout.close()
        child.wait()
    if child.returncode:
        raise BootstrapFailed(source, _reasons(last))


def _reasons(lines: list[str]) -> list[str]:
    """Return what was wrong according to mmdebstrap and apt, without their summaries of it."""
    errors = [line[3:] for line in lines if line.startswith("E: ")]
    return [line for line in errors if not _is_summary(line)] or errors or lines


def _is_summary(line: str) -> bool:
    """Tell whether a line says only that a program failed, and which."""
    called = line.startswith(("apt-get ", "env ")) and line.endswith(" failed")
    return called or "failed to run" in line or "exited" in line


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return {
        **kept,
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "SOURCE_DATE_EPOCH": str(_SCRIPTS_EPOCH),
    }


def clean(directory: str) -> None:
    """Take out what is of this host or of this day."""
    for pattern in _REMOVED:
        for path in glob.glob(pattern, root_dir=directory):
            trees.remove(f"{directory}/{path}")
    for place, _, names in os.walk(f"{directory}/var/log"):
        for name in names:
            os.unlink(f"{place}/{name}")
    if os.path.lexists(f"{directory}/etc/machine-id"):
        write(directory, "etc/machine-id")
    write_identity(directory)


def sources(suite: str) -> str:
    """Return the image's own sources: Debian's archive, with updates and security fixes."""
    suites = suite if suite in _ROLLING else f"{suite} {suite}-updates"
    stanzas = [_stanza("http://deb.debian.org/debian", suites)]
    if suite not in _ROLLING:
        stanzas.append(_stanza("http://deb.debian.org/debian-security", f"{suite}-security"))
    return "\n".join(stanzas)


def _stanza(uri: str, suites: str) -> str:
    return f"Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\nSigned-By: {_KEYRING}\n"
