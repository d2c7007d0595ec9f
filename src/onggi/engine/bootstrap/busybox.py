"""A root file system of one program: the static busybox, with a link for each of its commands."""

from __future__ import annotations

import os
import shutil
import subprocess

from onggi.engine.bootstrap.elf import is_static
from onggi.engine.bootstrap.root_files import write, write_identity
from onggi.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_PROGRAM = "bin/busybox"
_HINT = "install Debian's package busybox-static"

# Name -> mode. Where the kernel's file systems and a container's own files come to lie, too.
_DIRECTORIES = {
    **dict.fromkeys(("bin", "dev", "etc", "home", "proc", "run", "sbin", "sys", "usr"), 0o755),
    **dict.fromkeys(("usr/bin", "usr/sbin", "var", "var/log", "var/spool"), 0o755),
    "root": 0o700,
    "tmp": 0o1777,
    "var/tmp": 0o1777,
}
# Those of Debian's base-passwd that the commands refer to.
_PASSWD = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
sys:x:3:3:sys:/dev:/bin/false
mail:x:8:8:mail:/var/mail:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
"""
_GROUP = """\
root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
disk:x:6:
mail:x:8:
www-data:x:33:
utmp:x:43:
staff:x:50:
users:x:100:
nogroup:x:65534:
"""
_SHADOW = "".join(f"{line.partition(':')[0]}:*:::::::\n" for line in _PASSWD.splitlines())


class BusyboxRoot:
    """The static busybox of this host, as Debian packaged it."""

    name = "busybox:latest"
    shell = "sh"
    origin = "busybox"

    def fill(self, directory: str, say: Callable[[str], None]) -> int:
        """Fill the directory; the program's own time is that of its package.

        Raises: Unsupported: there is no static busybox.
        """
        program = find_program()
        say(f"copying {program}")
        for name, mode in _DIRECTORIES.items():
            os.mkdir(f"{directory}/{name}")
            os.chmod(f"{directory}/{name}", mode)
        shutil.copyfile(program, f"{directory}/{_PROGRAM}")
        os.chmod(f"{directory}/{_PROGRAM}", 0o755)
        applets = _applets(program)
        say(f"linking {len(applets)} commands")
        for applet in applets:
            _link(directory, applet)
        _write_files(directory)
        return int(os.stat(program).st_mtime)


def find_program() -> str:
    """Return the path of the static busybox.

    Raises: Unsupported: there is none, or it needs libraries that the image would not have.
    """
    program = shutil.which("busybox")
    if program is None:
        raise Unsupported("busybox is not installed", hint=_HINT)
    with open(program, "rb") as file:
        if not is_static(file):
            raise Unsupported(f"{program} is not static", hint=_HINT)
    return program


def _applets(program: str) -> list[str]:
    """Return where each command belongs: `bin/sh`, `usr/bin/env`."""
    done = subprocess.run([program, "--list-full"], capture_output=True, check=True, text=True)
    return [path for path in done.stdout.split() if path != _PROGRAM]


def _link(directory: str, applet: str) -> None:
    depth = applet.count("/")
    if os.path.dirname(applet) == os.path.dirname(_PROGRAM):
        target = os.path.basename(_PROGRAM)
    else:
        target = "../" * depth + _PROGRAM
    if os.path.dirname(applet) not in _DIRECTORIES:  # `linuxrc`, for initial RAM disks
        return
    os.symlink(target, f"{directory}/{applet}")


def _write_files(directory: str) -> None:
    write(directory, "etc/passwd", _PASSWD)
    write(directory, "etc/group", _GROUP)
    write(directory, "etc/shadow", _SHADOW, 0o640)
    write(directory, "etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
    write_identity(directory)
    os.symlink("../proc/self/mounts", f"{directory}/etc/mtab")
