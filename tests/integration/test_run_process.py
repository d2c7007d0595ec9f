"""What a container runs: its words, environment, directory, user and name; and how it ended."""

import os
import subprocess
from pathlib import Path

import pytest

from onggi.engine.options import ContainerOptions, ExecOptions
from onggi.runtime.failure import StartFailed
from support.box import Box
from support.builds import add_image
from support.images import tar_of
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "busybox")


class TestWords:
    def test_command_replaces_the_image_s_own(self, box: Box) -> None:
        assert box("run", "--rm", "busybox", "echo", "a  b", "$HOME").stdout == "a  b $HOME\n"

    def test_options_after_the_image_belong_to_the_program(self, box: Box) -> None:
        assert box("run", "--rm", "busybox", "echo", "--rm", "-e").stdout == "--rm -e\n"

    def test_image_s_command_runs_without_another(self, box: Box) -> None:
        done = box("run", "--rm", "-i", "busybox", input="echo from $0\n")
        assert done.stdout == "from sh\n"

    def test_entrypoint_takes_the_command_s_place(self, box: Box) -> None:
        done = box("run", "--rm", "--entrypoint", "echo", "busybox", "one", "two")
        assert done.stdout == "one two\n"

    def test_bytes_that_are_no_text_arrive(self, box: Box) -> None:
        name = b"\xff\xfe".decode(errors="surrogateescape")
        done = box("run", "--rm", "busybox", "sh", "-c", 'printf %s "$0" | od -An -tx1', name)
        assert done.stdout.split() == ["ff", "fe"]


class TestEnvironment:
    def test_default(self, box: Box) -> None:
        lines = box.sh("env").splitlines()
        values = dict(line.split("=", 1) for line in lines)
        assert set(values) <= {"PATH", "HOSTNAME", "HOME", "SHLVL", "PWD"}
        assert values["HOME"] == "/root"
        assert values["PATH"].endswith("/sbin:/bin")
        assert values["HOSTNAME"] == box.sh("hostname", "-h", values["HOSTNAME"])

    def test_variables_and_files(self, box: Box, tmp_path: Path) -> None:
        file = tmp_path / "variables"
        file.write_text("# a comment\nFROM_FILE=a=b \nBOTH=file\n\n")
        options = ("--env-file", file, "-e", "BOTH=word", "--env", "EMPTY=", "-eSPACED=a b")
        shown = box.sh('echo "$FROM_FILE|$BOTH|${EMPTY-unset}|$SPACED"', *options)
        assert shown == "a=b |word||a b"

    def test_name_alone_copies_ours(self, box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COPIED", "from the host")
        assert box.sh("echo $COPIED", "-e", "COPIED") == "from the host"

    def test_name_alone_that_we_lack_unsets_the_image_s(self, box: Box) -> None:
        tar = _static_root(box)
        with box.engine() as engine:
            add_image(engine.store, "with-env", tar, {"Env": ["PATH=/bin", "UNSET_ME=image"]})
        assert box.sh("echo ${UNSET_ME-gone}", image="with-env") == "image"
        assert box.sh("echo ${UNSET_ME-gone}", "-e", "UNSET_ME", image="with-env") == "gone"

    def test_ours_does_not_leak(self, box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET_OF_THE_HOST", "1")
        assert "SECRET_OF_THE_HOST" not in box.sh("env")
        assert "ONGGI" not in box.sh("env")

    @pytest.mark.parametrize("content", ["=value\n", "A B=1\n"])
    def test_bad_file_is_refused(self, box: Box, tmp_path: Path, content: str) -> None:
        file = tmp_path / "variables"
        file.write_text(content)
        done = box.attempt("run", "--rm", "--env-file", file, "busybox", "true")
        assert done.returncode == 125
        assert str(file) in done.stderr


def _static_root(box: Box) -> bytes:
    """Return a layer of the busybox image, as a tar."""
    container = box("run", "-d", "busybox", "true").stdout.strip()
    target = box.root.with_suffix(".tar")
    box("export", "-o", target, container)
    data = target.read_bytes()
    target.unlink()
    return data


class TestDirectory:
    def test_is_the_root(self, box: Box) -> None:
        assert box.sh("pwd") == "/"

    def test_asked_for(self, box: Box) -> None:
        assert box.sh("pwd", "-w", "/etc") == "/etc"

    def test_is_made_when_it_is_not_there(self, box: Box) -> None:
        assert box.sh("pwd; stat -c %a:%u .", "-w", "/a/new/one") == "/a/new/one\n755:0"

    def test_relative_is_refused(self, box: Box) -> None:
        done = box.attempt("run", "--rm", "-w", "etc", "busybox", "true")
        assert done.returncode == 125
        assert "absolute" in done.stderr

    def test_file_is_refused(self, box: Box) -> None:
        done = box.attempt("run", "--rm", "-w", "/etc/passwd", "busybox", "true")
        assert done.returncode in (125, 126)
        assert "/etc/passwd" in done.stderr


class TestUser:
    IDS = "id -u; id -g; id -G; echo $HOME"

    @pytest.mark.parametrize(
        ("user", "shown"),
        [
            ("www-data", ["33", "33", "33", "/var/www"]),
            ("33", ["33", "33", "33", "/var/www"]),
            ("1234", ["1234", "0", "0", "/"]),
            ("1234:5678", ["1234", "5678", "5678", "/"]),
            ("www-data:staff", ["33", "50", "50", "/var/www"]),
            ("root", ["0", "0", "0", "/root"]),
        ],
    )
    def test_asked_for(self, box: Box, user: str, shown: list[str]) -> None:
        assert box.sh(self.IDS, "-u", user).splitlines() == shown

    def test_further_groups(self, box: Box) -> None:
        options = ("-u", "www-data", "--group-add", "staff", "--group-add", "777")
        assert box.sh("id -G", *options) == "33 50 777"

    def test_holds_no_capability_and_starts_as_itself(self, box: Box) -> None:
        shown = box.sh("grep -E '^(Uid|Gid|Cap(Inh|Prm|Eff|Amb))' /proc/self/status", "-u", "65534")
        assert "Uid:\t65534\t65534\t65534\t65534" in shown
        for line in shown.splitlines():
            if line.startswith("Cap"):
                assert int(line.split()[1], 16) == 0, line

    @pytest.mark.parametrize("user", ["nosuch", "root:nosuch", "-5", "99999999999"])
    def test_unknown_is_refused(self, box: Box, user: str) -> None:
        done = box.attempt("run", "--rm", f"--user={user}", "busybox", "true")
        assert done.returncode in (125, 126)
        assert len(done.stderr.strip().splitlines()) <= 2


class TestNames:
    def test_hostname(self, box: Box) -> None:
        shown = box.sh("hostname; cat /etc/hostname; cat /proc/sys/kernel/hostname", "-h", "jar")
        assert shown.split() == ["jar"] * 3

    def test_hostname_is_the_short_id(self, box: Box) -> None:
        container = box.up()
        assert box.inside(container, "hostname") == container[:12]

    def test_domainname(self, box: Box) -> None:
        assert box.sh("cat /proc/sys/kernel/domainname", "--domainname", "kiln") == "kiln"

    def test_name_is_taken_once(self, box: Box) -> None:
        first = box.up("--name", "pot")
        done = box.attempt("run", "--name", "pot", "busybox", "true")
        assert done.returncode == 125
        assert "pot" in done.stderr
        assert first[:12] in done.stderr
        assert box("ps", "-aq", "--no-trunc").stdout.split() == [first]

    @pytest.mark.parametrize("name", ["-a", "a b", "a/b", "x" * 300, "é"])
    def test_bad_name_is_refused(self, box: Box, name: str) -> None:
        done = box.attempt("run", f"--name={name}", "busybox", "true")
        assert done.returncode == 125
        assert box("ps", "-aq").stdout == ""

    def test_labels(self, box: Box) -> None:
        box.up("--name", "pot", "-l", "a=1", "--label", "b")
        assert box.see("pot", "json .Config.Labels") == '{"a":"1","b":""}'
        assert box("ps", "-q", "-f", "label=a=1").stdout
        assert not box("ps", "-q", "-f", "label=a=2").stdout

    def test_cidfile(self, box: Box, tmp_path: Path) -> None:
        file = tmp_path / "cid"
        container = box.up("--cidfile", file)
        assert file.read_text() == container
        done = box.attempt("run", "--cidfile", file, "busybox", "true")
        assert done.returncode == 125
        assert box("ps", "-aq", "--no-trunc").stdout.split() == [container]


class TestExitCodes:
    @pytest.mark.parametrize(
        ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", 137)]
    )
    def test_program_s_own(self, box: Box, script: str, code: int) -> None:
        options = () if "kill" not in script else ("--init",)
        done = box.attempt("run", "--rm", *options, "busybox", "sh", "-c", script)
        assert done.returncode == code
        assert done.stderr == ""

    def test_program_that_is_not_there(self, box: Box) -> None:
        for program in ("nosuch", "/bin/nosuch"):
            done = box.attempt("run", "--rm", "busybox", program)
            assert done.returncode == 127
            assert f'exec: "{program}"' in done.stderr
        assert box("ps", "-aq").stdout == ""

    def test_program_that_cannot_be_executed(self, box: Box) -> None:
        for program in ("/etc/passwd", "/etc", "/tmp"):
            done = box.attempt("run", "--rm", "busybox", program)
            assert done.returncode == 126
            assert f'exec: "{program}": permission denied' in done.stderr

    def test_script_without_an_interpreter_line(self, box: Box, tmp_path: Path) -> None:
        (tmp_path / "script").write_text("echo hello\n")
        (tmp_path / "script").chmod(0o755)
        done = box.attempt("run", "--rm", "-v", f"{tmp_path}:/mnt", "busybox", "/mnt/script")
        assert done.returncode == 126
        assert "exec format error" in done.stderr

    def test_script_whose_interpreter_is_missing(self, box: Box, tmp_path: Path) -> None:
        (tmp_path / "script").write_text("#!/no/such\n")
        (tmp_path / "script").chmod(0o755)
        done = box.attempt("run", "--rm", "-v", f"{tmp_path}:/mnt", "busybox", "/mnt/script")
        assert done.returncode == 127

    @pytest.mark.parametrize(
        "words",
        [
            ("--nosuch", "busybox"),
            ("nosuchimage", "true"),
            ("--memory", "lots", "busybox", "true"),
            ("--network", "nosuch", "busybox", "true"),
            ("--cap-add", "NOSUCH", "busybox", "true"),
            ("--security-opt", "nosuch", "busybox", "true"),
            ("--stop-signal", "NOSUCH", "busybox", "true"),
            ("--userns", "nosuch", "busybox", "true"),
            ("-v", "a:b:c:d", "busybox", "true"),
            ("--tmpfs", "relative", "busybox", "true"),
            ("--device", "/no/such", "busybox", "true"),
            ("--ulimit", "nofile", "busybox", "true"),
            ("--shm-size", "-1", "busybox", "true"),
            ("--cgroup-parent", "/../..", "busybox", "true"),
        ],
    )
    def test_container_that_cannot_be_made(self, box: Box, words: tuple[str, ...]) -> None:
        done = box.attempt("run", *words)
        assert done.returncode == 125
        assert done.stdout == ""
        assert done.stderr.startswith("onggi: ")
        assert "bug" not in done.stderr
        assert box("ps", "-aq").stdout == ""

    def test_detached_failure_is_told_at_once(self, box: Box) -> None:
        done = box.attempt("run", "-d", "busybox", "nosuch")
        assert done.returncode == 127
        assert box("ps", "-a", "--format", "{{.State}}").stdout.split() in (["created"], ["exited"])


class TestInit:
    def test_program_is_not_process_1(self, box: Box) -> None:
        assert box.sh("echo $$; cat /proc/1/comm", "--init").split() == ["2", "onggi-init"]

    def test_without_it_is(self, box: Box) -> None:
        assert box.sh("echo $$") == "1"

    def test_orphans_are_reaped(self, box: Box) -> None:
        container = box.up("--init")
        box.inside(container, "sh -c 'true & true & exec true'; (sleep 0.05 &)")
        states = "sleep 0.3; cat /proc/[0-9]*/stat | cut -d' ' -f3 | grep -c Z"
        done = box.attempt("exec", container, "sh", "-c", states)
        assert done.stdout.strip() == "0"

    def test_exit_code_and_signal_pass_through(self, box: Box) -> None:
        assert box.attempt("run", "--rm", "--init", "busybox", "sh", "-c", "exit 7").returncode == 7
        script = "trap 'exit 9' TERM; while :; do sleep 0.05; done"
        container = box.up("--init", command=("sh", "-c", script))
        box("stop", container)
        assert box("wait", container).stdout.strip() == "9"

    def test_missing_program_is_told(self, box: Box) -> None:
        assert box.attempt("run", "--rm", "--init", "busybox", "nosuch").returncode == 127


def test_image_with_nothing_to_run_is_refused(box: Box) -> None:
    with box.engine() as engine:
        add_image(engine.store, "empty", tar_of({"file": b""}), {"Env": ["PATH=/bin"]})
    done = box.attempt("run", "--rm", "empty")
    assert done.returncode == 125
    assert "no command specified" in done.stderr


TOO_LONG = ["echo", "x" * 200_000]


def test_a_first_command_line_too_long_is_told_as_that(box: Box) -> None:
    options = ContainerOptions(image="busybox", command=TOO_LONG, remove=True)
    with box.engine() as engine, pytest.raises(StartFailed) as caught:
        engine.containers.run(options)
    assert caught.value.message == 'exec: "echo": argument list too long'
    assert caught.value.exit_code == 126


@pytest.mark.parametrize("direct", [True, False])
def test_a_further_command_line_too_long_is_told_as_that(box: Box, direct: bool) -> None:
    options = ExecOptions(command=TOO_LONG)
    name = box.up()
    with box.engine(direct=direct) as engine:
        container = engine.containers.get(name)
        with pytest.raises(StartFailed, match='"echo": argument list too long'):
            container.exec(options)


@pytest.mark.parametrize("command", ["run", "exec"])
def test_a_name_that_is_no_text_is_told_as_it_is(box: Box, command: str) -> None:
    words = ["--rm", "busybox"] if command == "run" else [box.up()]
    line = [os.fsencode(word) for word in box.line(command, *words)]
    done = subprocess.run([*line, b"caf\xe9"], capture_output=True, timeout=60, check=False)
    assert done.returncode == 127
    assert done.stderr == b'onggi: exec: "caf\xe9": executable file not found in $PATH\n'
