"""What is done with containers once they are made: each command's options, by their effect."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import Onggi, root_of_module
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "cgroup-memory", "cgroup-cpu", "cgroup-pids", "busybox")

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"


@pytest.fixture(scope="module")
def jar() -> Iterator[Onggi]:
    command = Onggi(root_of_module("commands"))
    command("bootstrap", "busybox")
    yield command
    command("system", "reset", "--force")


@pytest.fixture
def web(jar: Onggi) -> Iterator[str]:
    jar("run", "-d", "--name", "web", "-m", "64m", "-l", "app=shop", "busybox", "sleep", "600")
    yield "web"
    jar("rm", "-f", "web")


@pytest.fixture
def ended(jar: Onggi) -> Iterator[str]:
    jar("run", "--name", "ended", "busybox", "sh", "-c", "echo one; echo two; exit 0")
    yield "ended"
    jar("rm", "-f", "ended")


def test_exec_takes_variables_from_files_and_from_its_caller(
    jar: Onggi, web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "env").write_text("# of clay\nA=from the file\nB=two\n\nONGGI_TEST\n")
    monkeypatch.setenv("ONGGI_TEST", "mine")
    options = ("--env-file", tmp_path / "env", "-e", "B=three", "-eONGGI_TEST")
    seen = jar("exec", *options, web, "sh", "-c", 'echo "$A $B $ONGGI_TEST"').stdout
    assert seen == "from the file three mine\n"


def test_exec_with_all_privileges(jar: Onggi, web: str) -> None:
    script = "grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status | cut -f2"
    bound = jar("exec", web, "sh", "-c", script).stdout.split()
    free = jar("exec", "--privileged", web, "sh", "-c", script).stdout.split()
    assert bound[1:] == ["1", "2"]
    assert free[1:] == ["0", "0"]
    assert int(free[0], 16) & ~int(bound[0], 16)


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["-w", "/no/such"], 127, "cannot start the program: enter /no/such"),
        (["-w", "/etc/passwd"], 126, "cannot start the program: enter /etc/passwd"),
        (["-w", "here"], 1, "working directory 'here' is invalid (it must be absolute)"),
        (["-u", "ghost"], 1, "unable to find user ghost"),
        (["--detach-keys", "ctrl-x"], 125, "--detach-keys is not available"),
    ],
)
def test_what_exec_cannot_do(
    jar: Onggi, web: str, options: list[str], code: int, text: str
) -> None:
    done = jar.attempt("exec", *options, web, "true")
    assert (done.returncode, len(done.stderr.splitlines())) == (code, 1)
    assert text in done.stderr


def test_exec_leaves_the_directory_alone(jar: Onggi, web: str) -> None:
    jar.attempt("exec", "-w", "/never/made", web, "true")
    assert jar.attempt("exec", web, "ls", "/never").returncode == 1


def test_ps_shows_sizes_and_the_last_ones(jar: Onggi, ended: str) -> None:
    jar("run", "-d", "--name", "wide", "busybox", "sh", "-c", "head -c 300000 /dev/zero > /f")
    jar("wait", "wide")
    sizes = jar("ps", "-as", "--format", "{{.Names}} {{.Size}}").stdout.splitlines()
    assert re.fullmatch(r"wide 300kB \(virtual \d\.\d+MB\)", sizes[0])
    assert sizes[1].startswith(f"{ended} 0B (virtual")
    for option in ("-l", "-n1", "--last=1", "--latest"):
        assert jar("ps", option, "--format", "{{.Names}}").stdout == "wide\n"
    names = jar("ps", "-n", "2", "--no-trunc", "-q").stdout.split()
    assert [len(name) for name in names] == [64, 64]
    record = json.loads(jar("inspect", "--size", "wide").stdout)[0]
    assert record["SizeRw"] == 300000
    assert record["SizeRootFs"] > 1_000_000
    jar("rm", "wide")


@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        (["status=running"], {"web"}),
        (["status=exited", "status=running"], {"web", "ended"}),
        (["exited=0"], {"ended"}),
        (["exited=1"], set()),
        (["name=^we"], {"web"}),
        (["label=app=shop"], {"web"}),
        (["label=app", "status=exited"], set()),
        (["ancestor=busybox"], {"web", "ended"}),
        (["network=none"], {"web", "ended"}),
        (["before=web"], {"ended"}),
        (["since=ended"], {"web"}),
        (["health=none"], {"web", "ended"}),
        (["health=healthy"], set()),
    ],
)
def test_ps_filters(
    jar: Onggi, ended: str, web: str, conditions: list[str], names: set[str]
) -> None:
    filters = [word for condition in conditions for word in ("--filter", condition)]
    assert set(jar("ps", "-a", *filters, "--format", "{{.Names}}").stdout.split()) == names
    assert {ended, web} == {"ended", "web"}


def test_logs_by_time_and_number(jar: Onggi, ended: str) -> None:
    assert re.fullmatch(f"{STAMP} one\n{STAMP} two\n", jar("logs", "-t", ended).stdout)
    assert jar("logs", "--tail", "1", ended).stdout == "two\n"
    assert jar("logs", "-n0", ended).stdout == ""
    assert jar("logs", "--until", "1h", ended).stdout == ""
    assert jar("logs", "--since", "1h", "--until", "0s", ended).stdout == "one\ntwo\n"
    assert jar("logs", "-f", ended).stdout == "one\ntwo\n"


def test_stop_and_kill_with_a_signal_of_ones_choice(jar: Onggi) -> None:
    script = "trap 'echo usr1' USR1; trap 'echo int; exit 3' INT; echo ready; "
    for name in ("first", "second"):
        jar(
            "run",
            "-d",
            "--name",
            name,
            "busybox",
            "sh",
            "-c",
            script + "while :; do sleep .05; done",
        )
        _wait_for(jar, name, "ready")
    assert jar("kill", "-s", "SIGUSR1", "first", "second").stdout == "first\nsecond\n"
    for name in ("first", "second"):
        _wait_for(jar, name, "usr1")
    assert jar("stop", "-t", "20", "-s", "INT", "first", "second").stdout == "first\nsecond\n"
    assert jar("wait", "first", "second").stdout == "3\n3\n"
    assert jar("rm", "first", "second").stdout == "first\nsecond\n"


def test_several_have_their_time_to_end_together(jar: Onggi) -> None:
    names = ("a", "b", "c", "d")
    for name in names:
        jar("run", "-d", "--name", name, "busybox", "sh", "-c", "trap '' TERM; sleep 600")
    begun = time.monotonic()
    jar("stop", "--time", "3", *names)
    assert time.monotonic() - begun < 3 * (len(names) - 1)
    assert jar("rm", *names).stdout.split() == list(names)


def test_rm_takes_volumes_without_a_name(jar: Onggi) -> None:
    jar("run", "-d", "--name", "kept", "-v", "/unnamed", "-v", "named:/n", "busybox", "sleep", "60")
    assert len(jar("volume", "ls", "-q", "-f", "dangling=false").stdout.split()) == 2
    jar("rm", "--force", "--volumes", "kept")
    assert jar("volume", "ls", "-q").stdout == "named\n"
    assert jar("volume", "ls", "-q", "-f", "dangling=true").stdout == "named\n"
    assert jar("volume", "prune", "-f").stdout == "Total reclaimed space: 0B\n"
    assert jar("volume", "prune", "-af").stdout.splitlines()[:2] == ["Deleted Volumes:", "named"]


def test_a_volume_that_was_named_by_its_long_name_stays(jar: Onggi) -> None:
    name = jar("volume", "create").stdout.strip()
    jar("run", "--rm", "-v", f"{name}:/n", "busybox", "touch", "/n/file")
    assert jar("run", "--rm", "-v", f"{name}:/n", "busybox", "ls", "/n").stdout == "file\n"
    jar("volume", "rm", name)


def test_formats_with_labels_and_variables(jar: Onggi, web: str) -> None:
    assert jar("ps", "--format", '{{.Label "app"}}').stdout == "shop\n"
    form = "{{range $k, $v := .Config.Labels}}{{$k}}={{$v}} {{$.State.Status}}{{end}}"
    assert jar("inspect", "-f", form, web).stdout == "app=shop running\n"
    assert jar("version", "--format", "{{.Server.Version}}").stdout == "0.1.0\n"
    assert jar("info", "--format", "{{.ContainersRunning}}").stdout == "1\n"


def test_stats_of_what_does_not_run(jar: Onggi, ended: str, web: str) -> None:
    form = "{{.Name}} {{.MemUsage}}"
    lines = jar("stats", "--all", "--no-stream", "--format", form).stdout.splitlines()
    assert f"{ended} -- / --" in lines
    assert any(line.startswith(f"{web} ") and line.endswith("/ 64MiB") for line in lines)
    long = jar("stats", "--no-stream", "--no-trunc", "--format", "{{.ID}}", web).stdout
    assert re.fullmatch(r"[0-9a-f]{64}\n", long)


def _wait_for(jar: Onggi, name: str, text: str) -> None:
    deadline = time.monotonic() + 30
    while text not in jar("logs", name).stdout:
        assert time.monotonic() < deadline, f"{name} never said {text}"
        time.sleep(0.02)
