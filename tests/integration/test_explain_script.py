"""How the script that `explain` prints behaves as a script: its ends, its traces, its dangers."""

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import Onggi, root_of_module
from support.requirements import requires
from support.twins import Twins, host_mounts

pytestmark = requires("root", "overlayfs", "cgroup-memory", "cgroup-pids", "busybox")


@pytest.fixture(scope="module")
def store() -> Iterator[Onggi]:
    root = root_of_module("script")
    command = Onggi(root)
    command("bootstrap", "busybox")
    yield command
    command("system", "reset", "--force")


class Scripts:
    """Prints scripts and runs them, with a place for temporary files that must be empty after."""

    def __init__(self, store: Onggi, place: Path) -> None:
        self.store = store
        self.twins = Twins(store)
        self.environment = {**os.environ, "TMPDIR": str(place)}
        self.place = place

    def text(self, *words: str) -> str:
        given = ("--rm", "--cgroup-parent", self.twins.parent, *words)
        return self.store("run", "--explain", *given).stdout

    def run(self, text: str, *, input: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["sh", "-c", text],
            input=input,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=self.environment,
        )

    def left(self) -> list[object]:
        explained = self.store.root / "explained"
        return [*self.place.iterdir(), *self.twins.cgroups(), *explained.glob("*")]


@pytest.fixture
def scripts(store: Onggi, tmp_path: Path) -> Iterator[Scripts]:
    before = host_mounts()
    made = Scripts(store, tmp_path)
    yield made
    assert made.left() == []
    made.twins.remove_parent()
    assert host_mounts() == before


@pytest.mark.parametrize("init", [(), ("--init",)])
@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("true", 0, ""),
        ("sh -c 'exit 7'", 7, ""),
        ("nosuch", 127, "nosuch"),
        ("/nosuch", 127, "nosuch"),
        ("/etc/passwd", 126, ""),
        ("sh -c 'kill -TERM $$; sleep 1; exit 9'", None, ""),
    ],
)
def test_it_ends_as_its_program_does(
    scripts: Scripts, init: tuple[str, ...], command: str, code: int | None, words: str
) -> None:
    done = scripts.run(scripts.text(*init, "busybox", *shlex.split(command)))
    # Process 1 ignores a signal that it has no handler for; below an init it is not process 1.
    assert done.returncode == (code if code is not None else 143 if init else 9)
    assert words in done.stderr


def test_a_new_volume_gets_what_the_image_has(scripts: Scripts) -> None:
    volumes = ("-v", "fresh:/etc", "-v", "bare:/usr/bin:nocopy")
    look = ("busybox", "sh", "-c", "grep -c root: /etc/passwd; ls -A /usr/bin | wc -l")
    done = scripts.run(scripts.text(*volumes, *look))
    assert done.stdout == "1\n0\n", done.stderr
    assert scripts.store("volume", "ls", "-q").stdout == ""


def test_the_program_reads_what_the_script_is_given(scripts: Scripts) -> None:
    text = scripts.text("-i", "busybox", "cat")
    assert scripts.run(text, input="first\nsecond\n").stdout == "first\nsecond\n"


def test_a_script_that_is_piped_in_is_not_read_by_its_program(scripts: Scripts) -> None:
    text = scripts.text("-i", "busybox", "sh", "-c", "cat; echo end")
    done = subprocess.run(
        ["sh"], input=text, capture_output=True, text=True, timeout=60, env=scripts.environment
    )
    assert (done.stdout, done.stderr, done.returncode) == ("end\n", "", 0)


def test_what_the_caller_left_open_does_not_get_in(scripts: Scripts) -> None:
    text = scripts.text("busybox", "sh", "-c", "ls /proc/$$/fd; true")
    done = scripts.run(f"exec 3< / 5< /etc 9< /etc/passwd\nsh -c {shlex.quote(text)}")
    assert done.stdout.split() == ["0", "1", "2"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_script_that_is_ended_ends_its_container(scripts: Scripts, number: int) -> None:
    text = scripts.text("busybox", "sh", "-c", "echo ready; sleep 100")
    process = subprocess.Popen(
        ["sh", "-c", text],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env=scripts.environment,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(timeout=30) == (130 if number == signal.SIGINT else 143)


@pytest.mark.parametrize(
    "line", ["ip link set lo up", 'pivot_root "$root" "$root"', "exec 9< $here/filter"]
)
def test_a_script_that_fails_leaves_nothing(scripts: Scripts, line: str) -> None:
    text = scripts.text("busybox", "echo", "never")
    assert text.count(f"\n{line}\n") == 1
    done = scripts.run(text.replace(f"\n{line}\n", "\nfalse\n"))
    assert done.returncode == 1
    assert done.stdout == ""


def test_without_root_it_says_so_and_does_nothing(scripts: Scripts) -> None:
    text = scripts.text("busybox", "true")
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    done = subprocess.run(
        [*nobody, "sh", "-c", text], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stderr, done.returncode) == ("this needs root\n", 1)


def test_a_link_in_the_image_leads_nowhere_but_inside(scripts: Scripts) -> None:
    victim = Path("/dev/shm", f"onggi-test-victim-{os.getpid()}")
    victim.mkdir()
    link = f"ln -s {victim} /srv; ln -s ../../../../..{victim} /etc/up; ln -s round /round"
    try:
        scripts.store("run", "--name", "hostile", "busybox", "sh", "-c", link)
        scripts.store("commit", "hostile", "hostile")
        scripts.store("rm", "hostile")
        show = f"ls -d {victim}/in {victim}/up"
        words = ("-v", "one:/srv/in", "-v", "two:/etc/up/up", "hostile", "sh", "-c", show)
        made = scripts.store("run", "--rm", *words).stdout
        assert scripts.run(scripts.text(*words)).stdout == made
        assert list(victim.iterdir()) == []
        circle = scripts.run(scripts.text("-v", "one:/round/x", "hostile", "true"))
        assert (circle.stderr, circle.returncode) == ("/round/x: links in a circle\n", 1)
    finally:
        victim.rmdir()
        scripts.store("rmi", "hostile")


@requires("user-namespaces", "idmapped-mounts")
class TestWithUsersOfItsOwn:
    MAPPED = ("--userns", "auto")

    @pytest.fixture(autouse=True)
    def leaves_nothing_in_run(self) -> Iterator[None]:
        before = set(Path("/run").glob("onggi.*"))
        yield
        # Others on this machine may run scripts too: theirs are in use.
        left = set(Path("/run").glob("onggi.*")) - before
        assert not [place for place in left if not in_use(place)]

    @pytest.mark.parametrize("init", [(), ("--init",)])
    @pytest.mark.parametrize(
        ("command", "code"),
        [
            ("true", 0),
            ("sh -c 'exit 7'", 7),
            ("nosuch", 127),
            ("/etc/passwd", 126),
            ("sh -c 'kill -KILL $$'", None),
        ],
    )
    def test_it_ends_as_its_program_does(
        self, scripts: Scripts, init: tuple[str, ...], command: str, code: int | None
    ) -> None:
        done = scripts.run(scripts.text(*self.MAPPED, *init, "busybox", *shlex.split(command)))
        # Process 1 cannot be killed from inside: the shell goes on, and ends well.
        assert done.returncode == (code if code is not None else 137 if init else 0)

    @pytest.mark.parametrize(
        "line",
        [
            *('read -r _ < "$tmp/born"', "mkdir 0", 'flags exec "$tmp/tools"', "    echo >&7"),
            *("ip link set lo up", 'pivot_root "$root" "$root"', "exec 9< $here/filter"),
            *('mkfifo "$tmp/up" "$tmp/down"', '    rm "$tmp/holder"'),
        ],
    )
    def test_a_script_that_fails_leaves_nothing(self, scripts: Scripts, line: str) -> None:
        text = scripts.text(*self.MAPPED, "busybox", "echo", "never")
        assert f"\n{line}\n" in text
        done = scripts.run(text.replace(f"\n{line}\n", "\nfalse\n"))
        assert done.returncode == 1
        assert done.stdout == ""

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_script_that_is_ended_ends_its_container(self, scripts: Scripts, number: int) -> None:
        text = scripts.text(*self.MAPPED, "busybox", "sh", "-c", "echo ready; sleep 100")
        process = subprocess.Popen(
            ["sh", "-c", text],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env=scripts.environment,
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(number)
            assert process.wait(timeout=30) == (130 if number == signal.SIGINT else 143)

    def test_the_program_reads_what_the_script_is_given(self, scripts: Scripts) -> None:
        text = scripts.text(*self.MAPPED, "-i", "busybox", "cat")
        assert scripts.run(text, input="first\nsecond\n").stdout == "first\nsecond\n"

    def test_it_goes_on_with_what_a_container_wrote(self, scripts: Scripts) -> None:
        words = ("--name", "own", "--cgroup-parent", scripts.twins.parent, *self.MAPPED)
        write = "echo made >> /data; stat -c %u / /data; cat /data"
        first = scripts.store("run", *words, "busybox", "sh", "-c", write).stdout
        assert first == "0\n0\nmade\n"
        again = scripts.run(scripts.store("explain", "own").stdout)
        assert again.stdout == "0\n0\nmade\nmade\n", again.stderr
        assert scripts.store("diff", "own").stdout == "A /data\n"
        scripts.store("rm", "own")

    @requires("shellcheck")
    def test_shellcheck_finds_nothing_worse_than_style(
        self, scripts: Scripts, tmp_path: Path
    ) -> None:
        options = ("--init", "-v", "/sys:/x y:ro", "--ulimit", "nofile=99", "--oom-score-adj", "7")
        assert checked(scripts.text(*self.MAPPED, *options, "busybox", "echo"), tmp_path) == ""


def in_use(place: Path) -> bool:
    """Tell whether some process works in a directory of a script's, or waits for it."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(place) in (process / "environ").read_text(errors="replace"):
                return True
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return False


def test_the_same_image_gives_the_same_script_but_for_the_id(scripts: Scripts) -> None:
    def without_id(text: str) -> str:
        (line,) = [line for line in text.splitlines() if line.startswith("id=")]
        return text.replace(line[3:], "ID").replace(line[3:15], "ID12")

    first, second = (scripts.text("-m", "64m", "busybox", "true") for _ in range(2))
    assert without_id(first) == without_id(second)


@requires("shellcheck")
def test_shellcheck_finds_nothing_worse_than_style(scripts: Scripts, tmp_path: Path) -> None:
    words = ("--init", "-v", "/sys:/x y:ro", "-e", "A=it's", "busybox", "echo", "a b")
    assert checked(scripts.text(*words), tmp_path) == ""


def checked(text: str, place: Path) -> str:
    """Return what shellcheck says of a script."""
    script = place / "script"
    script.write_text(text)
    done = subprocess.run(
        ["shellcheck", "--shell=sh", "--severity=warning", str(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    script.unlink()
    return done.stdout


class TestOfAContainerThatExists:
    @pytest.fixture
    def jar(self, scripts: Scripts) -> Iterator[Onggi]:
        parent = ("--cgroup-parent", scripts.twins.parent)
        write = "echo made >> /data; cat /data; sleep 100"
        scripts.store("run", "-d", "--name", "jar", *parent, "busybox", "sh", "-c", write)
        yield scripts.store
        scripts.store("rm", "--force", "jar")

    def test_it_is_refused_while_the_container_runs(self, scripts: Scripts, jar: Onggi) -> None:
        done = scripts.run(jar("explain", "jar").stdout)
        assert done.returncode == 1
        assert done.stderr.endswith("is running\n")
        assert jar("exec", "jar", "cat", "/data").stdout == "made\n"

    def test_it_goes_on_with_what_the_container_wrote(self, scripts: Scripts, jar: Onggi) -> None:
        jar("kill", "jar")
        jar("wait", "jar")
        text = jar("explain", "jar").stdout.replace("sleep 100", "true")
        assert scripts.run(text).stdout == "made\nmade\n"
        assert scripts.left() == []
        assert jar("diff", "jar").stdout == "A /data\n"
