"""Two containers that should be one and the same, seen from inside and from outside.

One is made by Onggi, its twin by the shell script that `explain` prints. In both runs one probe,
which prints what the kernel says of it and then waits, so that the host can look as well.
"""

import os
import re
import secrets
import subprocess
import tempfile
from pathlib import Path

from onggi.linux import cgroup, mountinfo
from support.command import Onggi
from support.patience import SLOWER

# $$ is the program, process 1 its init where it has one. What a section says of descriptors and
# mounts is read by one process each, before anything could change it. Its own status the program
# reads itself: a child would see it while it is still blocking signals for having forked.
PROBE = r"""
exec 2>&1
section() { echo "== $1"; }
section mounts; cat /proc/self/mountinfo
section places; cut -d " " -f 5 /proc/self/mountinfo | while read -r at; do ls -ldn "$at"; done
section status; while read -r line; do case $line in
    Umask*|Uid*|Gid*|Groups*|Cap*|NoNewPrivs*|Seccomp*|Sig[BI]*) echo "$line" ;;
esac; done </proc/$$/status
section cgroup; cat /proc/$$/cgroup
section namespaces; for n in /proc/$$/ns/*; do readlink $n; done
section process
awk -v own=$$ '{ for (i = 4; i <= 6; i++) print ($i == own ? "own" : $i) }' /proc/$$/stat
cat /proc/self/uid_map /proc/self/gid_map
cat /proc/1/comm; for l in cwd root; do readlink /proc/1/$l; done
section limits; cat /proc/$$/limits /proc/$$/oom_score_adj
section descriptors; ls /proc/$$/fd; ls /proc/1/fd
section names; hostname; cat /proc/sys/kernel/domainname /etc/hostname /etc/hosts /etc/resolv.conf
section environment; tr '\0' '\n' < /proc/$$/environ
section directory; pwd; readlink /proc/$$/cwd
section devices; ls -ln /dev; for d in null zero random; do head -c 1 /dev/$d | wc -c; done
section network; for i in /sys/class/net/*; do echo $i $(cat $i/flags); done
section tree; ls -lan / /etc
section "cgroup files"
find /sys/fs/cgroup -type f -perm -200 ! -name '*usage*' ! -name '*stat*' ! -name '*procs' \
    ! -name tasks ! -name '*threads' ! -name '*failcnt*' ! -name '*peak' ! -name '*pressure*' |
    sort | while read -r f; do echo "$f $(cat "$f" 2>&1)"; done
cat /sys/fs/cgroup/devices/devices.list
section refusals
echo 0 > /sys/fs/cgroup/memory/cgroup.procs; echo x > /proc/sys/kernel/core_pattern
mknod /tmp/disk b 254 0; head -c 1 /tmp/disk | wc -c; mount -t tmpfs none /tmp; ls /proc/1/root
section ready; read -r _
"""

_COUNTERS = re.compile(
    "usage|stat|procs$|tasks|threads|failcnt|peak|pressure|force_empty|event_control|reclaim"
)


class Seen:
    """What a container is: `inside` by the probe's sections, `outside` by control file."""

    def __init__(self, inside: dict[str, str], outside: dict[str, str], code: int) -> None:
        self.inside = inside
        self.outside = outside
        self.code = code

    def differences(self, other: "Seen") -> dict[str, tuple[str, str]]:
        """Return what differs, by section or file: ours and the other's."""
        mine, its = {**self.inside, **self.outside}, {**other.inside, **other.outside}
        keys = [key for key in {**mine, **its} if mine.get(key) != its.get(key)]
        return {key: (mine.get(key, "absent"), its.get(key, "absent")) for key in keys}


class Twins:
    """Makes both, below a parent cgroup of their own, and looks at them."""

    def __init__(self, onggi: Onggi) -> None:
        self.onggi = onggi
        self.parent = f"/onggi-test-{secrets.token_hex(4)}"
        self.shell: tuple[str, ...] = ("sh",)
        self.around: tuple[str, ...] = ()
        self.umask = 0o022

    def words(self, options: list[str]) -> list[str]:
        """Return the words after `run` that start the probe with these options."""
        shell = ["busybox"] if "--entrypoint" in options else ["busybox", "sh"]
        return ["--rm", "-i", "--cgroup-parent", self.parent, *options, *shell, "-c", PROBE]

    def by_onggi(self, options: list[str]) -> Seen:
        """Make the container with `run`."""
        return self._look([*self.around, *self.onggi.line("run", *self.words(options))], {})

    def by_script(self, options: list[str]) -> Seen:
        """Make it with the script, and hold that this leaves nothing."""
        text = self.onggi("run", "--explain", *self.words(options)).stdout
        with tempfile.TemporaryDirectory(prefix="onggi-test-", dir="/dev/shm") as place:
            script = Path(place, "a script")
            script.write_text(text)
            temporary = Path(place, "tmp")
            temporary.mkdir()
            command = [*self.around, *self.shell, str(script)]
            seen = self._look(command, {"TMPDIR": str(temporary)})
            assert not list(temporary.iterdir())
        assert not (self.onggi.root / "explained").exists()
        assert not self.cgroups()
        return seen

    def cgroups(self) -> list[Path]:
        """Return the control groups of containers below our parent."""
        parents = [Path(each.mountpoint + self.parent) for each in cgroup.hierarchies()]
        return [path for parent in parents for path in parent.glob("*/")]

    def remove_parent(self) -> None:
        """Remove the parent cgroup, which Onggi leaves, as others could be in it."""
        for hierarchy in cgroup.hierarchies():
            path = Path(hierarchy.mountpoint + self.parent)
            if path.exists():
                path.rmdir()

    def _look(self, command: list[str], environment: dict[str, str]) -> Seen:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
            umask=self.umask,
            start_new_session=True,
        )
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if line == "== ready\n":
                break
        outside = self._outside() if lines and lines[-1] == "== ready\n" else {}
        _, errors = process.communicate("go\n", timeout=30 * SLOWER)
        assert outside, f"{errors}\n{''.join(lines[-5:])}"
        assert errors == "", errors
        return Seen(_sections("".join(lines), self.onggi.root), outside, process.returncode)

    def _outside(self) -> dict[str, str]:
        """Read the numbers in the host's view of the container's cgroups, and count processes."""
        found = {}
        for directory in self.cgroups():
            where = str(directory).split(self.parent)[0]
            members = (directory / "cgroup.procs").read_text().split()
            found[f"{where} processes"] = str(len(members))
            for file in directory.iterdir():
                if (
                    file.is_file()
                    and file.stat().st_mode & 0o200
                    and not _COUNTERS.search(file.name)
                ):
                    found[f"{where} {file.name}"] = _content(file)
        return found


def _content(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as error:
        return str(error.strerror)


def _sections(text: str, root: Path) -> dict[str, str]:
    parts = re.split(r"(?m)^== (.*)\n", text)[1:]
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    own = {os.readlink(path) for path in Path("/proc/self/ns").iterdir()}
    sections["namespaces"] = "\n".join(
        f"{link.partition(':')[0]} {'shared' if link in own else 'new'}"
        for link in sections["namespaces"].split()
    )
    if " idmapped " in sections["mounts"] or ",idmapped " in sections["mounts"]:
        # Mounts stand in the order of their numbers; of those that the host's side opened for a
        # user namespace the numbers say nothing.
        sections["mounts"] = _by_place(sections["mounts"])
        sections["places"] = _by_last_word(sections["places"])
    sections["mounts"] = _mounts(sections["mounts"])
    users = re.search(r"(?m)^ +0 +(\d+) +65536$", sections["process"])
    if users:  # each container's own: what counts is the distance from the first
        first = int(users[1])
        sections = {name: _from_first(section, first) for name, section in sections.items()}
    return {name: _normal(section, root) for name, section in sections.items()}


def _from_first(text: str, first: int) -> str:
    def told(match: re.Match[str]) -> str:
        beyond = int(match[0]) - first
        return f"FIRST+{beyond}" if 0 <= beyond < 65536 else match[0]

    return re.sub(r"\b\d{6,10}\b", told, text)


def _by_place(text: str) -> str:
    """Sort mounts by where they are; those at one place stay as they lie on each other."""
    return "\n".join(sorted(text.splitlines(), key=lambda line: line.split(" ")[4]))


def _by_last_word(text: str) -> str:
    return "\n".join(sorted(text.splitlines(), key=lambda line: line.split()[-1]))


def _mounts(text: str) -> str:
    """Number mounts, parents, anonymous devices and peer groups by their first appearance."""
    numbers: dict[str, str] = {}

    def number(kind: str, value: str) -> str:
        return numbers.setdefault(f"{kind} {value}", f"{kind}{len(numbers)}")

    lines = []
    for line in text.splitlines():
        identifier, parent, device, *rest = line.split(" ")
        if device.startswith("0:"):
            device = number("device", device)
        groups = re.sub(r"(shared|master):(\d+)", r"\1", " ".join(rest))
        lines.append(f"{number('mount', identifier)} {number('mount', parent)} {device} {groups}")
    return "\n".join(lines)


def _normal(text: str, root: Path) -> str:
    """Replace IDs, and where the writable layer lies; dates and the number of processes too."""
    shown = re.escape(str(root).replace(" ", r"\040"))
    below = re.escape(str(root).removeprefix("/dev/shm").replace(" ", r"\040"))
    text = re.sub(rf"({shown}|{below})/(containers|explained)/", "WRITABLE/", text)
    text = re.sub(r"WRITABLE/\w+/volumes/(\w+)", r"VOLUME \1", text)
    text = re.sub(rf"({shown}|{below})/volumes/(\w+)/_data", r"VOLUME \2", text)
    text = re.sub(r"[0-9a-f]{64}", "ID", text)
    text = re.sub(r"\b[0-9a-f]{12}\b", "ID12", text)
    text = re.sub(r"(?m)^(dr-xr-xr-x) +\d+(.* /?proc)$", r"\1 N\2", text)
    return re.sub(r"[A-Z][a-z]{2} +\d+ +[\d:]{4,5}", "DATE", text)


def host_mounts() -> list[str]:
    """Return the host's mount points, in order."""
    return [mount.mountpoint for mount in mountinfo.read()]
