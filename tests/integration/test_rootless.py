"""What an ordinary user does with containers and images, with ranges of IDs and without."""

import io
import json
import os
import pty
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.box import until
from support.ordinary import FIRST_ID, UID, Ordinary, ordinary_user
from support.requirements import requires

pytestmark = [
    requires("root", "shared-python", "overlayfs", "user-namespaces", "newuidmap", "busybox"),
    pytest.mark.time_limit(180),
]


@pytest.fixture(scope="module")
def _user() -> Iterator[Ordinary]:
    with ordinary_user() as user:
        user("bootstrap", "busybox")
        yield user


@pytest.fixture(scope="module")
def _single() -> Iterator[Ordinary]:
    with ordinary_user(ranges=False) as user:
        user("bootstrap", "busybox")
        yield user


def emptied(user: Ordinary) -> Iterator[Ordinary]:
    yield user
    ids = user("ps", "-aq").stdout.split()
    if ids:
        user("rm", "-f", "-v", *ids)


@pytest.fixture
def user(_user: Ordinary) -> Iterator[Ordinary]:
    """Give an ordinary user with ranges of IDs and a busybox image."""
    yield from emptied(_user)


@pytest.fixture
def single(_single: Ordinary) -> Iterator[Ordinary]:
    """Give an ordinary user with no ID but their own, and a busybox image."""
    yield from emptied(_single)


@pytest.fixture(params=["ranges", "single"])
def anyone(
    request: pytest.FixtureRequest, _user: Ordinary, _single: Ordinary
) -> Iterator[Ordinary]:
    """Give either."""
    yield from emptied(_user if request.param == "ranges" else _single)


def up(user: Ordinary, *options: str, script: str = "exec sleep 600") -> str:
    return user("run", "-d", *options, "busybox", "sh", "-c", script).stdout.strip()


class TestLife:
    def test_a_program_runs_as_root_of_nothing_else(self, anyone: Ordinary) -> None:
        assert anyone.sh("id -u; id -g; hostname").split()[:2] == ["0", "0"]
        up(anyone, "--name", "one")
        pid = int(anyone("inspect", "-f", "{{.State.Pid}}", "one").stdout)
        assert f"Uid:\t{UID}\t" in Path(f"/proc/{pid}/status").read_text()

    def test_the_exit_code_is_the_programs(self, anyone: Ordinary) -> None:
        assert anyone.attempt("run", "--rm", "busybox", "sh", "-c", "exit 7").returncode == 7
        assert anyone.attempt("run", "--rm", "busybox", "/nope").returncode == 127

    def test_input_and_output_pass(self, anyone: Ordinary) -> None:
        done = anyone("run", "-i", "--rm", "busybox", "sh", "-c", "cat; echo e >&2", input="in\n")
        assert (done.stdout, done.stderr) == ("in\n", "e\n")

    def test_commands_reach_a_container_of_another_command(self, anyone: Ordinary) -> None:
        up(anyone, "--name", "web", script="echo hello; exec sleep 600")
        assert "web" in anyone("ps").stdout
        assert anyone("exec", "web", "sh", "-c", "echo $$; id -u").stdout.split()[1] == "0"
        assert "sleep 600" in anyone("top", "web").stdout
        until(lambda: anyone("logs", "web").stdout == "hello\n")
        anyone("kill", "-s", "KILL", "web")
        assert anyone("wait", "web").stdout == "137\n"
        anyone("start", "web")
        anyone("stop", "-t", "0", "web")
        anyone("rm", "web")
        assert "web" not in anyone("ps", "-a").stdout

    def test_all_processes_end_with_the_first(self, user: Ordinary) -> None:
        up(user, "--name", "many", script="sleep 601 & sleep 602 & exec sleep 603")
        until(lambda: user("top", "many").stdout.count("sleep") == 3)
        pids = [line.split()[1] for line in user("top", "many").stdout.splitlines()[1:]]
        user("kill", "many")
        until(lambda: not any(Path("/proc", pid).exists() for pid in pids))

    def test_a_terminal(self, anyone: Ordinary) -> None:
        ours, theirs = pty.openpty()
        line = anyone.line("run", "-it", "--rm", "busybox", "sh", "-c", "tty; id -u")
        done = subprocess.run(line, stdin=theirs, stdout=subprocess.PIPE, timeout=60, check=False)
        os.close(theirs)
        os.close(ours)
        assert done.stdout.split() == [b"/dev/pts/0", b"0"]

    def test_a_killed_monitor_is_replaced(self, user: Ordinary) -> None:
        up(user, "--name", "left")
        pid = user("inspect", "-f", "{{.State.Pid}}", "left").stdout.strip()
        status = Path(f"/proc/{pid}/status").read_text()
        parent = int(status.partition("PPid:\t")[2].split()[0])
        os.kill(parent, signal.SIGKILL)
        assert "left" in user("ps").stdout
        assert user("exec", "left", "echo", "there").stdout == "there\n"

    def test_containers_outlive_the_holder(self, user: Ordinary) -> None:
        up(user, "--name", "left")
        first = user.holder()
        os.kill(first, signal.SIGKILL)
        assert user("exec", "left", "echo", "there").stdout == "there\n"
        assert user.holder() != first

    def test_a_shared_network_is_the_users(self, anyone: Ordinary) -> None:
        own = sorted(os.listdir("/sys/class/net"))
        seen = anyone.sh("ls /sys/class/net; ip link | grep -c .", "--network", "host")
        assert sorted(seen.split()[:-1]) == own
        assert anyone.sh("ls /sys/class/net") == "lo"

    def test_devices_are_the_hosts(self, anyone: Ordinary) -> None:
        seen = anyone.sh(
            "echo x > /dev/other; stat -c %t:%T /dev/other", "--device=/dev/null:/dev/other"
        )
        assert seen == "1:3"

    def test_nobody_else_is_seen_from_inside(self, user: Ordinary) -> None:
        seen = user.sh("for one in /proc/[0-9]*; do cat $one/cmdline | tr '\\0' ' '; echo; done")
        assert "onggi-holder" not in seen
        assert "monitor" not in seen


class TestFiles:
    def test_what_was_written_is_told_kept_and_carried(self, anyone: Ordinary) -> None:
        script = "rm /etc/group; rm -r /var; mkdir /var; echo new > /var/new; ln -s a /link"
        anyone("run", "--name", "one", "busybox", "sh", "-c", script)
        assert anyone("diff", "one").stdout.splitlines()[:2] == ["C /etc", "D /etc/group"]
        anyone("commit", "one", "changed")
        check = "ls -a /var; cat /var/new; readlink /link; ls /etc/group 2>&1 || true"
        expected = [".", "..", "new", "new", "a"]
        assert anyone.sh(check, image="changed").split()[:5] == expected
        archive = anyone.home / "saved.tar"
        anyone("save", "-o", archive, "changed")
        anyone("rmi", "changed")
        anyone("load", "-i", archive)
        seen = anyone.sh(check, image="changed").split()
        assert seen[:5] == expected
        assert "/etc/group:" in seen

    def test_the_archive_has_the_standards_whiteouts(self, user: Ordinary) -> None:
        user("run", "--name", "two", "busybox", "sh", "-c", "rm /etc/group; rm -r /var; mkdir /var")
        user("commit", "two", "whiteouts")
        user("save", "-o", user.home / "w.tar", "whiteouts")
        with tarfile.open(user.home / "w.tar") as outer:
            manifest = json.load(outer.extractfile("manifest.json") or io.BytesIO())
            member = outer.extractfile(manifest[0]["Layers"][-1])
            assert member is not None
            with tarfile.open(fileobj=io.BytesIO(member.read())) as layer:
                names = layer.getnames()
        assert {"etc/.wh.group", "var/.wh..wh..opq"} <= set(names)
        user("rmi", "-f", "whiteouts")

    def test_owners_are_the_ranges(self, user: Ordinary) -> None:
        user("run", "--name", "own", "busybox", "sh", "-c", "touch /f; chown 1000:8 /f")
        identifier = user("inspect", "-f", "{{.Id}}", "own").stdout.strip()
        status = (user.root / "containers" / identifier / "upper/f").stat()
        assert (status.st_uid, status.st_gid) == (FIRST_ID + 999, FIRST_ID + 7)
        exported = subprocess.run(user.line("export", "own"), capture_output=True, check=True)
        with tarfile.open(fileobj=io.BytesIO(exported.stdout)) as archive:
            member = archive.getmember("f")
        assert (member.uid, member.gid) == (1000, 8)

    def test_one_id_owns_all(self, single: Ordinary) -> None:
        with tarfile.open(single.home / "t.tar", "w") as archive:
            info = tarfile.TarInfo("file")
            info.uid, info.gid = 1000, 8
            archive.addfile(info)
        single("import", single.home / "t.tar", "theirs")
        layer = next(single.root.glob("layers/*/fs/file"))
        assert (layer.stat().st_uid, layer.stat().st_gid) == (UID, UID)
        done = single.attempt("run", "--rm", "-u", "1000", "busybox", "id")
        assert done.returncode == 125
        assert "uid 1000 is not among the IDs that this user may give" in done.stderr

    def test_an_owner_beyond_the_ranges_is_refused(self, user: Ordinary) -> None:
        with tarfile.open(user.home / "t.tar", "w") as archive:
            info = tarfile.TarInfo("far/file")
            info.uid = 70_000
            archive.addfile(info)
        done = user.attempt("import", user.home / "t.tar", "far")
        assert done.returncode == 1
        assert "'far/file': user 70000 or group 0 is not among the IDs" in done.stderr
        assert len(done.stderr.splitlines()) == 1

    def test_device_nodes_are_left_out_and_told(self, user: Ordinary) -> None:
        with tarfile.open(user.home / "t.tar", "w") as archive:
            for name in ("dev/null", "srv/null", "srv/pipe"):
                info = tarfile.TarInfo(name)
                info.type = tarfile.FIFOTYPE if name.endswith("pipe") else tarfile.CHRTYPE
                info.devmajor, info.devminor = 1, 3
                archive.addfile(info)
            binary = tarfile.TarInfo("bin/busybox")
            binary.mode = 0o755
            data = Path("/bin/busybox").read_bytes()
            binary.size = len(data)
            archive.addfile(binary, io.BytesIO(data))
        user("import", user.home / "t.tar", "nodes")
        done = user("run", "--rm", "nodes", "/bin/busybox", "ls", "/srv", "/dev/null")
        assert done.stdout.split() == ["/dev/null", "/srv:", "pipe"]
        assert done.stderr.strip().endswith(
            "the image's device node /srv/null is left out: only root may make one"
        )

    def test_set_user_id_and_capabilities_stay(self, user: Ordinary) -> None:
        user(
            "run", "--name", "s", "busybox", "sh", "-c", "cp -L /bin/busybox /own; chmod 4755 /own"
        )
        user("commit", "s", "suid")
        assert user.sh("stat -c %a /own", "-u", "1000", image="suid") == "4755"

    def test_volumes(self, anyone: Ordinary) -> None:
        (anyone.home / "data").mkdir(exist_ok=True)
        os.chown(anyone.home / "data", UID, UID)
        bind = f"{anyone.home}/data:/d"
        anyone.sh("echo one > /v/f; echo two > /d/f", "-v", "kept:/v", "-v", bind)
        assert anyone.sh("cat /v/f /d/f", "-v", "kept:/v:ro", "-v", bind).split() == ["one", "two"]
        assert (anyone.home / "data/f").stat().st_uid == UID
        anyone("volume", "rm", "kept")


class TestBuild:
    def test_steps_run_and_are_kept(self, anyone: Ordinary) -> None:
        context = anyone.home / "context"
        context.mkdir(exist_ok=True)
        (context / "file").write_text("text\n")
        (context / "Dockerfile").write_text(
            "FROM busybox AS one\n"
            "RUN --mount=type=cache,target=/c echo made > /c/x && cp /c/x /made\n"
            "FROM busybox\nCOPY --from=one /made /made\nCOPY file /\nRUN rm /etc/group\n"
            "RUN --mount=type=tmpfs,target=/t cat /made /file > /both\n"
        )
        anyone("build", "-q", "-t", "built", context)
        assert (
            anyone.sh("cat /both; ls /etc | grep -c group || true", image="built")
            == "made\ntext\n0"
        )
        again = anyone("build", "-t", "built", context)
        assert again.stderr.count("CACHED") + again.stdout.count("CACHED") >= 4

    def test_a_whole_stage_is_mounted(self, user: Ordinary) -> None:
        done = subprocess.run(
            user.line("build", "-q", "-"),
            input="FROM busybox\nRUN --mount=from=busybox,target=/b ls /b/bin/busybox\n",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


class TestMemory:
    """Where overlayfs cannot write, as on itself, what is written is kept in memory."""

    @pytest.fixture
    def nested(self) -> Iterator[Ordinary]:
        with ordinary_user() as user:
            user.nest()
            user("bootstrap", "busybox")
            yield user

    def test_a_container_runs_and_it_is_said_what_is_lost(self, nested: Ordinary) -> None:
        script = "echo kept > /f; rm /etc/group; ls /etc | grep -c group; stat -c %a /; cat /f"
        done = nested("run", "--name", "one", "busybox", "sh", "-c", script)
        assert done.stdout.split() == ["0", "755", "kept"]
        warned = "is kept in memory, and lost when it ends"
        assert warned in done.stderr
        assert len(done.stderr.splitlines()) == 1
        for words in (("diff", "one"), ("commit", "one", "x"), ("export", "one")):
            refused = nested.attempt(*words)
            assert refused.returncode == 1
            assert "writes is in its memory alone" in refused.stderr
        nested("rm", "one")

    def test_a_build_is_refused_in_a_line(self, nested: Ordinary) -> None:
        (nested.home / "Dockerfile").write_text("FROM busybox\nRUN true\n")
        done = nested.attempt("build", ".")
        assert done.returncode == 1
        assert "overlayfs cannot write to the file system of" in done.stderr
        assert len(done.stderr.splitlines()) == 1

    def test_the_script_of_explain_does_the_same(self, nested: Ordinary) -> None:
        nested("run", "--name", "one", "busybox", "sh", "-c", "echo x > /f; cat /f")
        script = nested("explain", "one").stdout
        done = subprocess.run(
            nested.line("unshare", "sh"), input=script, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (0, "x\n"), done.stderr


class TestNone:
    """What an ordinary user cannot have is refused in one line, never left out in silence."""

    @pytest.mark.parametrize(
        ("option", "controller"),
        [
            ("--memory=64m", "memory"),
            ("--cpus=0.5", "cpu"),
            ("--cpuset-cpus=0", "cpuset"),
            ("--pids-limit=10", "pids"),
            ("--device-read-bps=/dev/null:1mb", "io"),
            ("--blkio-weight=100", "io"),
        ],
    )
    def test_limits(self, user: Ordinary, option: str, controller: str) -> None:
        done = user.attempt("run", "--rm", option, "busybox", "true")
        assert done.returncode == 125
        assert f"takes the {controller} controller of cgroup v2" in done.stderr
        assert len(done.stderr.splitlines()) == 1

    def test_other_limits_hold(self, user: Ordinary) -> None:
        assert user.sh("ulimit -n", "--ulimit", "nofile=77") == "77"
        assert "1024" in user.sh("df -k /dev/shm", "--shm-size", "1m")

    def test_measuring_and_pausing(self, user: Ordinary) -> None:
        up(user, "--name", "one")
        for words in (("stats", "--no-stream", "one"), ("pause", "one"), ("commit", "one", "x")):
            done = user.attempt(*words)
            assert done.returncode == 1, words
            assert "no control group" in done.stderr or "no freezer" in done.stderr
        user("commit", "--pause=false", "one", "x")

    def test_users_of_its_own(self, user: Ordinary) -> None:
        done = user.attempt("run", "--rm", "--userns=auto", "busybox", "true")
        assert done.returncode == 125
        assert "--userns=auto takes IDs of the host" in done.stderr

    def test_info_says_so(self, user: Ordinary) -> None:
        done = user("info")
        assert "Rootless: true\n" in done.stdout
        assert f" IDs: users 0={UID}, 1-65536={FIRST_ID}-" in done.stdout
        (warning,) = done.stderr.splitlines()  # one reason, not one for each controller
        assert "no control groups: none were delegated to this user" in warning
        facts = json.loads(user("info", "-f", "json").stdout)
        assert "name=rootless" in facts["SecurityOptions"]
        assert (facts["CgroupDriver"], facts["MemoryLimit"]) == ("none", False)


def test_what_explain_prints_runs_in_the_users_namespace(anyone: Ordinary) -> None:
    script = anyone("run", "--explain", "--rm", "busybox", "sh", "-c", "id -u; exit 7").stdout
    done = subprocess.run(
        anyone.line("unshare", "sh"), input=script, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (7, "0\n"), done.stderr


def test_root_has_no_namespace_to_enter(tmp_path: Path) -> None:
    from support.command import Onggi

    done = Onggi(tmp_path).attempt("unshare", "true")
    assert done.returncode == 1
    assert "root needs no namespace" in done.stderr
