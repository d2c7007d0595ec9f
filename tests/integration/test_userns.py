"""`--userns auto`: root inside is nobody outside, and what it makes is its own on both sides."""

import itertools
import os
import stat
import struct
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onggi import Engine
from onggi.engine import ids
from onggi.engine.options import ContainerOptions
from onggi.errors import Unavailable
from support.command import Onggi, disk_of_module
from support.patience import SLOWER
from support.requirements import requires
from support.threats import INSIDE, withstands

pytestmark = requires(
    *("root", "overlayfs", "busybox", "compiler", "cgroup-pids"),
    *("user-namespaces", "idmapped-mounts"),
)

MAPPED = ("--userns", "auto")


@pytest.fixture(scope="module")
def jar() -> Iterator[Onggi]:
    command = Onggi(disk_of_module("userns"))
    command("bootstrap", "busybox")
    yield command
    command("system", "reset", "--force")


def sh(jar: Onggi, script: str, *options: str) -> str:
    """Run a script in a container of its own users; return all that it said."""
    done = jar.attempt("run", "--rm", *MAPPED, *options, "busybox", "sh", "-c", script)
    return done.stdout + done.stderr


def test_a_device_by_another_name(jar: Onggi) -> None:
    seen = sh(
        jar,
        "stat -c '%t %T' /dev/clay; head -c 3 /dev/clay | wc -c",
        "--device",
        "/dev/zero:/dev/clay",
    )
    assert seen == "1 5\n3\n"


class Kept:
    """A container that goes on until it is removed."""

    def __init__(self, jar: Onggi, name: str) -> None:
        self.jar = jar
        self.name = name
        self.pid = int(jar("inspect", "-f", "{{.State.Pid}}", name).stdout)
        identifier = jar("inspect", "-f", "{{.Id}}", name).stdout.strip()
        self.upper = jar.root / "containers" / identifier / "upper"
        _, first, count = Path(f"/proc/{self.pid}/uid_map").read_text().split()
        self.first, self.count = int(first), int(count)

    def sh(self, script: str, *options: str) -> str:
        return self.jar("exec", *options, self.name, "sh", "-c", script).stdout


Keep = Callable[..., Kept]


@pytest.fixture
def keep(jar: Onggi) -> Iterator[Keep]:
    names: list[str] = []

    def start(*options: str, image: str = "busybox") -> Kept:
        name = f"kept{len(names)}"
        names.append(name)
        jar("run", "-d", "--init", "--name", name, *MAPPED, *options, image, "sleep", "600")
        return Kept(jar, name)

    yield start
    for name in names:
        jar("rm", "-f", "-v", name)


class TestInside:
    def test_the_map_is_one_range(self, jar: Onggi) -> None:
        (uids, gids) = sh(jar, "cat /proc/self/uid_map /proc/self/gid_map").splitlines()
        inside, _, count = map(int, uids.split())
        assert (inside, count) == (0, 65536)
        assert gids.split()[0::2] == ["0", "65536"]

    def test_the_image_belongs_to_root(self, jar: Onggi) -> None:
        script = "stat -c '%u:%g %n' / /bin /bin/busybox /etc /etc/passwd /etc/hosts /tmp"
        assert {line.split()[0] for line in sh(jar, script).splitlines()} == {"0:0"}

    def test_root_may_change_owners_within_the_range(self, jar: Onggi) -> None:
        script = "touch /f; for i in 1 65535 65536; do chown $i:$i /f && stat -c %u:%g /f; done"
        first, second, refused = sh(jar, script).splitlines()
        assert (first, second) == ("1:1", "65535:65535")
        assert "nvalid argument" in refused

    def test_user_and_groups(self, jar: Onggi) -> None:
        options = ("--user", "1000:2000", "--group-add", "7", "--tmpfs", "/t:mode=1777")
        said = sh(jar, "id; touch /t/f; stat -c %u:%g /t/f; touch /f", *options)
        assert said.startswith("uid=1000 gid=2000 groups=")
        assert "1000:2000" in said
        assert "Permission denied" in said

    def test_exec_enters_as_the_users_inside(self, keep: Keep) -> None:
        kept = keep("--tmpfs", "/t:mode=1777")
        assert kept.sh("id -u; cat /proc/self/uid_map").split()[:2] == ["0", "0"]
        seen = kept.sh("id -u; id -g; touch /t/f; stat -c %u:%g /t/f", "-u", "33:44")
        assert seen.split() == ["33", "44", "33:44"]
        assert kept.sh("id -un", "-u", "nobody") == "nobody\n"

    def test_a_name_made_by_the_container_itself_is_found(self, keep: Keep) -> None:
        kept = keep()
        kept.sh("echo 'potter:x:1234:1234::/:/bin/sh' >> /etc/passwd")
        assert kept.sh("id -u", "-u", "potter") == "1234\n"

    def test_a_read_only_root(self, jar: Onggi) -> None:
        script = "touch /x; touch /run/x && echo written; grep ' / / ' /proc/self/mountinfo"
        said = sh(jar, script, "--read-only", "--tmpfs", "/run")
        assert "Read-only file system" in said
        assert "written" in said
        assert " / / ro," in said

    def test_memory_belongs_to_root(self, jar: Onggi) -> None:
        script = "stat -c '%u:%g %a' /t /dev/shm; df -h /t | tail -1 | awk '{print $2}'"
        said = sh(jar, script, "--tmpfs", "/t:size=3m,mode=750").split()
        assert said == ["0:0", "750", "0:0", "1777", "3.0M"]

    def test_terminals_belong_to_the_group_tty(self, jar: Onggi) -> None:
        said = sh(jar, "grep ' /dev/pts ' /proc/self/mountinfo")
        assert "gid=5" not in said  # the file system says the host's
        first = int(sh(jar, "cat /proc/self/gid_map").split()[1])
        assert f"gid={first + 5}," in sh(jar, "grep ' /dev/pts ' /proc/self/mountinfo")

    def test_a_terminal_of_its_own(self, jar: Onggi) -> None:
        words = ("run", "--rm", "-t", *MAPPED, "busybox", "sh", "-c")
        show = "stat -c '%u %g' $(tty); stat -c '%u %g' /dev/console; echo ok > /dev/tty"
        said = jar(*words, show).stdout.split()
        assert said == ["0", "5", "0", "5", "ok"]

    def test_message_queues_are_its_own(self, jar: Onggi) -> None:
        script = "touch /dev/mqueue/q && stat -c %u:%g /dev/mqueue/q; ls /dev/mqueue"
        assert sh(jar, script).split() == ["0:0", "q"]

    def test_devices_are_the_hosts_and_work(self, jar: Onggi) -> None:
        script = "echo x > /dev/null; head -c 4 /dev/zero | wc -c; head -c 1 /dev/urandom | wc -c"
        assert sh(jar, script).split() == ["4", "1"]

    @withstands("users", "a device made by root of a user namespace", by=INSIDE)
    def test_nobody_can_make_a_device(self, jar: Onggi) -> None:
        said = sh(jar, "mknod /n c 1 3; mknod /w c 0 0; mknod /b b 7 0; ls /")
        assert said.count("peration not permitted") == 3

    def test_its_control_groups_are_read_only(self, jar: Onggi) -> None:
        script = """
            find /sys/fs/cgroup -name cgroup.procs | while read -r f; do echo 1 > $f; done
            find /sys/fs/cgroup -name pids.max | while read -r f; do echo 9999 > $f; done
        """
        refusals = sh(jar, script).splitlines()
        assert refusals
        assert all("Read-only" in line or "Permission denied" in line for line in refusals)

    def test_a_set_user_id_program_gains_a_user_of_the_inside(
        self, jar: Onggi, tmp_path: Path
    ) -> None:
        source = "#include <stdio.h>\n#include <unistd.h>\n"
        source += 'int main(void) { printf("%d %d\\n", getuid(), geteuid()); }'
        subprocess.run(
            ["cc", "-static", "-x", "c", "-o", tmp_path / "whom", "-"],
            input=source,
            text=True,
            check=True,
        )
        script = "cp /given /whom; chmod 4755 /whom; exec su nobody -s /bin/sh -c /whom"
        options = ("-v", f"{tmp_path / 'whom'}:/given:ro")
        assert sh(jar, script, *options) == "65534 65534\n"  # gains are forbidden by default
        may = ("--security-opt", "no-new-privileges=false")
        assert sh(jar, script, *options, *may) == "65534 0\n"

    def test_privileged_is_refused(self, jar: Onggi) -> None:
        done = jar.attempt("run", "--rm", *MAPPED, "--privileged", "busybox", "true")
        assert done.returncode == 125
        assert "privileged mode is incompatible with user namespaces" in done.stderr


class TestOutside:
    @withstands(
        "users",
        "files and processes that count as another container's, or as a user's of the host",
        by=INSIDE,
    )
    def test_its_processes_are_nobody_of_the_host(self, keep: Keep) -> None:
        kept = keep()
        status = Path(f"/proc/{kept.pid}/status").read_text()
        lines = dict(line.split(":", 1) for line in status.splitlines())
        assert lines["Uid"].split() == [str(kept.first)] * 4
        assert kept.first >= 65536
        assert os.readlink(f"/proc/{kept.pid}/ns/user") != os.readlink("/proc/self/ns/user")

    @withstands(
        "users",
        "files and processes that count as another container's, or as a user's of the host",
        by=INSIDE,
    )
    def test_its_files_belong_to_its_range(self, keep: Keep) -> None:
        kept = keep()
        kept.sh("echo x > /f; mkdir -p /d/e; ln -s f /l; mkfifo /p; touch /n; chown 33:44 /n")
        kept.sh("echo y >> /etc/passwd; chmod 700 /root")
        for path in (kept.upper, *kept.upper.rglob("*")):
            status = path.lstat()
            assert kept.first <= status.st_uid < kept.first + kept.count, path
            assert kept.first <= status.st_gid < kept.first + kept.count, path
        status = (kept.upper / "n").stat()
        assert (status.st_uid, status.st_gid) == (kept.first + 33, kept.first + 44)

    @withstands("users", "a set-user-ID file left where the host's users could run it", by=INSIDE)
    def test_what_it_makes_set_user_id_is_out_of_reach(self, keep: Keep, tmp_path: Path) -> None:
        kept = keep()
        kept.sh("cp /bin/busybox /mine; chown 0:0 /mine; chmod 6755 /mine")
        made = kept.upper / "mine"
        assert made.stat().st_mode & stat.S_ISUID
        assert made.stat().st_uid == kept.first
        # Whoever is not root cannot even come near: every way leads through directories of root's.
        for directory in (kept.jar.root, kept.jar.root / "containers"):
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
            assert directory.stat().st_uid == 0
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c")
        done = subprocess.run([*nobody, f"exec {made} id"], capture_output=True, text=True)
        assert done.returncode != 0
        assert "Permission denied" in done.stderr

    @withstands(
        "users",
        "files and processes that count as another container's, or as a user's of the host",
        by=INSIDE,
    )
    def test_two_containers_share_no_user(self, keep: Keep) -> None:
        first, second = keep(), keep()
        assert abs(first.first - second.first) >= 65536


class TestMounts:
    def test_a_volume_belongs_to_the_users_inside_of_whoever_uses_it(self, jar: Onggi) -> None:
        write = "touch /v/f /v/g; chown 33:44 /v/g; chmod 4755 /v/f"
        sh(jar, write, "-v", "shared:/v")
        data = jar.root / "volumes/shared/_data"
        assert [(data / name).stat().st_uid for name in "fg"] == [0, 33]
        show = "stat -c %u:%g /v/f /v/g"
        assert sh(jar, show, "-v", "shared:/v").split() == ["0:0", "33:44"]
        plain = jar("run", "--rm", "-v", "shared:/v", "busybox", "sh", "-c", show)
        assert plain.stdout.split() == ["0:0", "33:44"]
        # A set-user-ID program of root's lies there, where only root can go.
        assert stat.S_IMODE((jar.root / "volumes").stat().st_mode) == 0o700
        jar("volume", "rm", "shared")

    def test_a_read_only_volume(self, jar: Onggi) -> None:
        assert "Read-only" in sh(jar, "touch /v/f", "-v", "frozen:/v:ro")
        jar("volume", "rm", "frozen")

    def test_one_directory_at_two_places(self, jar: Onggi, tmp_path: Path) -> None:
        tmp_path.chmod(0o777)
        words = ("-v", f"{tmp_path}:/one:ro", "-v", f"{tmp_path}:/two")
        said = sh(jar, "echo here >/two/f; cat /one/f; touch /one/f", *words)
        assert said.startswith("here\n")
        assert "Read-only file system" in said

    def test_a_device_by_another_name(self, jar: Onggi) -> None:
        script = "head -c 3 /dev/deep/nought | wc -c; echo x > /dev/deep/nought && echo written"
        said = sh(jar, script, "--device", "/dev/zero:/dev/deep/nought:rw")
        assert said.split() == ["3", "written"]
        twice = ("--device", "/dev/null:/dev/full", "--device", "/dev/zero:/dev/full")
        assert sh(jar, "head -c 2 /dev/full | wc -c; echo x > /dev/full", *twice) == "2\n"

    def test_a_directory_of_the_host_keeps_its_owners(self, jar: Onggi, tmp_path: Path) -> None:
        # As with Docker's userns-remap and Podman: whose it is decides, and nobody inside is that.
        place = tmp_path / "bound"
        place.mkdir(mode=0o755)
        (place / "secret").write_text("x")
        (place / "secret").chmod(0o600)
        said = sh(jar, "stat -c %u:%g /b; cat /b/secret; touch /b/new", "-v", f"{place}:/b")
        assert "65534:65534" in said
        assert said.count("Permission denied") == 2
        assert sorted(os.listdir(place)) == ["secret"]


class TestReadBack:
    SCRIPT = """
        echo new > /new; mkdir -m 750 /dir; chown 33:44 /dir; touch /dir/f; chown 65534:100 /dir/f
        ln /new /linked; ln -s new /sym; mkfifo /pipe; rm /etc/group; chown -h 5:6 /sym
        chmod 1777 /
    """

    @pytest.fixture
    def made(self, jar: Onggi) -> Iterator[str]:
        jar("run", "--name", "made", *MAPPED, "busybox", "sh", "-c", self.SCRIPT)
        yield "made"
        jar("rm", "made")

    def test_only_what_changed_is_told(self, jar: Onggi, made: str) -> None:
        lines = set(jar("diff", made).stdout.splitlines())
        assert {"A /new", "A /dir", "A /dir/f", "A /sym", "D /etc/group", "C /etc"} <= lines
        assert {line for line in lines if line.startswith("C ")} == {"C /etc"}

    def test_a_file_that_was_only_copied_up_is_no_change(self, jar: Onggi) -> None:
        jar("run", "--name", "same", *MAPPED, "busybox", "sh", "-c", "true 4>>/etc/passwd")
        assert (self.upper(jar, "same") / "etc/passwd").exists()
        assert jar("diff", "same").stdout == ""
        jar("rm", "same")

    @staticmethod
    def upper(jar: Onggi, name: str) -> Path:
        identifier = jar("inspect", "-f", "{{.Id}}", name).stdout.strip()
        return jar.root / "containers" / identifier / "upper"

    def test_an_export_names_the_users_inside(self, jar: Onggi, made: str, tmp_path: Path) -> None:
        jar("export", "-o", tmp_path / "x.tar", made)
        with tarfile.open(tmp_path / "x.tar") as archive:
            owners = {member.name: (member.uid, member.gid) for member in archive}
        assert max(max(pair) for pair in owners.values()) <= 65534
        assert owners["dir"] == (33, 44)
        assert owners["dir/f"] == (65534, 100)
        assert owners["sym"] == (5, 6)
        assert owners["new"] == owners["linked"] == owners["bin"] == (0, 0)

    def test_a_commit_does_so_too(self, jar: Onggi, made: str) -> None:
        jar("commit", made, "readback")
        show = "stat -c '%u:%g %a %n' / /new /dir /dir/f /sym /pipe /etc; ls /etc/group"
        expected = [
            *("0:0 1777 /", "0:0 644 /new", "33:44 750 /dir", "65534:100 644 /dir/f"),
            *("5:6 777 /sym", "0:0 644 /pipe", "0:0 755 /etc"),
        ]
        for options in ((), MAPPED):
            done = jar.attempt("run", "--rm", *options, "readback", "sh", "-c", show)
            assert done.stdout.splitlines() == expected
            assert "No such file" in done.stderr
        jar("rmi", "readback")

    def test_a_container_that_never_ran_reads_as_its_image(self, jar: Onggi) -> None:
        done = jar.attempt("run", "--name", "never", *MAPPED, "busybox", "/nosuch")
        assert done.returncode == 127
        assert jar("diff", "never").stdout == ""
        jar("commit", "never", "same")
        show = ("run", "--rm", "same", "stat", "-c", "%u:%g %a", "/")
        assert jar(*show).stdout == "0:0 755\n"
        jar("rm", "never")
        jar("rmi", "same")

    def test_capabilities_and_access_lists(self, jar: Onggi, tmp_path: Path) -> None:
        """The kernel writes capabilities of a user namespace in version 3, with the host's ID."""
        jar("run", "--name", "held", *MAPPED, "busybox", "sh", "-c", "cp /bin/busybox /ping")
        file = self.upper(jar, "held") / "ping"
        first = file.stat().st_uid
        effective_net_raw = struct.pack("<IIIII", 0x03000001, 1 << 13, 0, 0, 0)
        os.setxattr(file, "security.capability", effective_net_raw + struct.pack("<I", first))
        listed = ((1, 6, -1), (2, 4, first + 33), (4, 4, -1), (16, 7, -1), (32, 4, -1))
        rows = (struct.pack("<HHI", tag, mode, who & 0xFFFFFFFF) for tag, mode, who in listed)
        os.setxattr(file, "system.posix_acl_access", struct.pack("<I", 2) + b"".join(rows))
        jar("commit", "held", "holding")
        jar("run", "--name", "copy", "holding", "true")
        diff_ids = jar("inspect", "-f", "{{json .RootFS.Layers}}", "holding").stdout
        layer = diff_ids.strip().strip('[]"').split('"')[-1].partition(":")[2]
        (copied,) = (jar.root / "layers").glob(f"*{layer}*/fs/ping")
        version_2 = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
        assert os.getxattr(copied, "security.capability") == version_2
        access = os.getxattr(copied, "system.posix_acl_access")
        assert struct.unpack("<HHI", access[12:20]) == (2, 4, 33)
        for name in ("held", "copy"):
            jar("rm", name)
        jar("rmi", "holding")


class TestRanges:
    @staticmethod
    def ranges(jar: Onggi) -> list[int]:
        with Engine(str(jar.root)) as engine:
            configs = [record["config"]["linux"] for record in engine.store.containers.list()]
        return [one["uidMappings"][0]["hostID"] for one in configs if "uidMappings" in one]

    def test_many_at_once_on_two_stores_never_overlap(self, jar: Onggi) -> None:
        other = Onggi(disk_of_module("users"))
        other("bootstrap", "busybox")
        line = ("run", *MAPPED, "busybox", "true")
        started = [store.start(*line) for store in (jar, other) * 8]
        try:
            for process in started:
                assert process.wait(timeout=60) == 0, process.communicate()
            chosen = sorted([*self.ranges(jar), *self.ranges(other)])
            assert len(chosen) == 16
            assert all(b - a >= 65536 for a, b in itertools.pairwise(chosen))
        finally:
            for process in started:
                process.communicate(timeout=60)
            other("system", "reset", "--force")
            names = jar("ps", "-aq").stdout.split()
            jar("rm", *names)

    def test_a_range_is_kept_while_the_container_exists(self, jar: Onggi) -> None:
        options = ("run", *MAPPED, "--name")
        jar(*options, "first", "busybox", "true")
        (taken,) = self.ranges(jar)
        jar(*options, "second", "busybox", "true")
        assert len(set(self.ranges(jar))) == 2
        jar("rm", "first")
        jar(*options, "third", "busybox", "true")
        assert taken in self.ranges(jar)
        jar("rm", "second", "third")

    def test_what_a_stranger_uses_is_left_alone(self, jar: Onggi) -> None:
        stranger = subprocess.Popen(
            ["unshare", "--user", "sh", "-c", "echo ready; read -r _"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == "ready\n"
        with Engine(str(jar.root)) as engine:
            first = ids.free(engine.store)
            for kind, place in zip(("uid", "gid"), first, strict=True):
                Path(f"/proc/{stranger.pid}/{kind}_map").write_text(f"0 {place} 70000\n")
            second = ids.free(engine.store)
            stranger.communicate("end\n", timeout=10 * SLOWER)
            assert second == (first[0] + 70000, first[1] + 70000)
            assert ids.free(engine.store) == first

    def test_when_none_is_left_it_says_so(
        self, jar: Onggi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = []
        for name in ("subuid", "subgid"):
            (tmp_path / name).write_text("onggi:700000000:131071\n")
            files.append(str(tmp_path / name))
        real = ids.pools_of_host
        monkeypatch.setattr(ids, "pools_of_host", lambda: real((files[0], files[1])))
        options = ContainerOptions(image="busybox", userns="auto")
        with Engine(str(jar.root)) as engine:
            first = engine.containers.create(options)
            assert first.record["config"]["linux"]["uidMappings"][0]["hostID"] == 700000000
            with pytest.raises(Unavailable, match="no 65536 user and group IDs are left") as told:
                engine.containers.create(options)
            assert "onggi" in str(told.value)
            assert "widen the range" in told.value.hint
            assert [one.id for one in engine.containers.list(all=True)] == [first.id]
            first.remove()

    def test_a_store_that_is_removed_is_forgotten(self) -> None:
        place = disk_of_module("gone")
        store = Onggi(place)
        store("bootstrap", "busybox")
        store("run", "--rm", *MAPPED, "busybox", "true")
        assert str(place) in [os.readlink(link) for link in Path(ids.STORES).iterdir()]
        store("system", "reset", "--force")
        left = Path(ids.STORES)
        assert not left.exists() or str(place) not in map(os.readlink, left.iterdir())
