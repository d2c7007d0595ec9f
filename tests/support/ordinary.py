"""An ordinary user, made for a test: no rights, a home of their own, perhaps ranges of IDs.

Each command runs in a mount namespace in which the machine's files say that there is such a user,
and in which the checkout is at a place that everybody may enter.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onggi.linux import cgroup
from support.command import Onggi, Words
from support.patience import SLOWER
from support.places import store_parent
from support.repository import COMMAND, ROOT

NAME = "onggi-ordinary"
UID = 61_184  # Debian gives it to nobody: of the range that is free for local use
FIRST_ID, IDS = 1_700_000_000, 65_536
# What whoever delegates gives away. Source: cgroup-v2.rst, "Delegation".
_DELEGATED = ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control")
CHECKOUT = "/mnt"  # where the user finds it

# $1: where the files are that take the place of those in /etc; $2: the cgroup to be in, if any; $3:
# whether the home is on overlayfs; the rest: what to run, as the user.
_SCRIPT = f"""
set -e
for file in passwd group subuid subgid; do
    [ -e /etc/$file ] || [ ! -e "$1/$file" ] || : > /etc/$file
    [ ! -e "$1/$file" ] || mount --bind "$1/$file" /etc/$file
done
mount --bind {ROOT} {CHECKOUT}
for group in "$2/onggi-session" "$2"; do  # once controllers are passed on, nobody is at the top
    [ ! -d "$group" ] || {{ echo 0 > "$group/cgroup.procs"; break; }}
done
home=$1/home
[ -z "$3" ] || mount -t overlay -o "lowerdir=$home,upperdir=$1/upper,workdir=$1/work" none "$home"
shift 3
cd "$home"
exec setpriv --reuid {UID} --regid {UID} --clear-groups "$@"
"""


class Ordinary(Onggi):
    """Runs the command as an ordinary user, on the store in the user's home."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.home = place / "home"
        self.env = {"HOME": str(self.home), "PATH": f"{self.home}/bin:/usr/bin:/bin"}
        self.cgroup: Path | None = None
        self.is_nested = False
        super().__init__(self.home / ".local/share/onggi")
        self._write()

    def _write(self) -> None:
        self.place.chmod(0o755)
        self.home.mkdir(mode=0o700)
        (self.home / "bin").mkdir()
        code = COMMAND.read_text().replace(str(ROOT), CHECKOUT)
        (self.home / "bin/onggi").write_text(code)
        (self.home / "bin/onggi").chmod(0o755)
        for path in (self.home, self.home / "bin", self.home / "bin/onggi"):
            os.chown(path, UID, UID)
        passwd = f"{NAME}:x:{UID}:{UID}::{self.home}:/bin/sh\n"
        self._replace("passwd", Path("/etc/passwd").read_text() + passwd)
        self._replace("group", Path("/etc/group").read_text() + f"{NAME}:x:{UID}:\n")

    def _replace(self, name: str, text: str) -> None:
        (self.place / name).write_text(text)

    def nest(self) -> None:
        """Have the home lie on overlayfs from now on, on which no other can write."""
        for name in ("upper", "work"):
            (self.place / name).mkdir()
            os.chown(self.place / name, UID, UID)
        self.is_nested = True

    def give_ranges(self, first: int = FIRST_ID, count: int = IDS) -> None:
        """Give the user IDs beside their own, or others; a count of 0 takes them away."""
        for name in ("subuid", "subgid"):
            self._replace(name, f"{NAME}:{first}:{count}\n" if count else "")

    def line(self, *words: Words) -> list[str]:
        """Spell out the command line of one command, up to becoming the user."""
        return self.as_user("onggi", *words)

    def as_user(self, *words: Words) -> list[str]:
        """Spell out the command line of any program, run by the user."""
        env = [f"{name}={value}" for name, value in self.env.items()]
        inside = ["env", "-i", *env, *map(str, words)]
        script = ["unshare", "--mount", "sh", "-c", _SCRIPT, "sh"]
        settings = [str(self.cgroup or ""), "nested" if self.is_nested else ""]
        return [*script, str(self.place), *settings, *inside]

    def run(self, *words: Words) -> "subprocess.CompletedProcess[str]":
        """Run any program as the user; its exit status is the caller's to judge."""
        return subprocess.run(
            self.as_user(*words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60 * SLOWER,
            check=False,
        )

    def sh(self, script: str, *options: Words, image: str = "busybox") -> str:
        """Run a script in a new container that must end well; return what it printed."""
        return self("run", "--rm", *options, image, "sh", "-c", script).stdout.strip()

    def holder(self) -> int:
        """Return the PID of the process that keeps the user's namespace."""
        import json

        file = self.run("/bin/cat", self.root / "run/holder")
        return int(json.loads(file.stdout)["pid"])


@contextmanager
def ordinary_user(*, ranges: bool = True) -> Iterator[Ordinary]:
    """Make the user; in the end the store is reset, and everything removed."""
    place = Path(tempfile.mkdtemp(prefix="onggi-test-", dir=store_parent()))
    user = Ordinary(place)
    user.give_ranges(count=IDS if ranges else 0)
    try:
        yield user
        if user.is_nested or (user.root / "run/holder").exists():
            pid = user.holder()
            user("system", "reset", "--force")
            assert user.is_nested or not user.root.exists()
            assert not is_holder(pid), "the holder outlived its store"
    finally:
        shutil.rmtree(place)


@contextmanager
def delegated(user: Ordinary, parent: Path) -> Iterator[Path]:
    """Give the user a part of the cgroup tree below `parent`, and be in it; removed in the end."""
    part = parent / f"onggi-test-{os.getpid()}-delegated"
    part.mkdir()
    for path in (part, *(part / name for name in _DELEGATED)):
        os.chown(path, UID, UID)
    user.cgroup = part
    try:
        yield part
    finally:
        user.cgroup = None
        cgroup.clear(str(part))


def is_holder(pid: int) -> bool:
    """Tell whether a process keeps a namespace."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"onggi-holder")
    except (FileNotFoundError, ProcessLookupError):
        return False
