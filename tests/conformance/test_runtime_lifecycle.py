"""A container's life, by the runtime specification's operations and runc's words."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.oci_runtimes import (
    OciRuntime,
    processes_of,
    wait_for_end,
    wait_for_file,
    without,
)
from support.patience import SLOWER
from support.requirements import requires

pytestmark = requires("root", "busybox")


def test_create_start_delete(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(name, "sh", "-c", "echo begun; exec sleep 100")
    runtime("create", "--bundle", bundle, name)
    created = runtime.state(name)
    assert (created["status"], created["id"]) == ("created", name)
    assert created["bundle"] == str(bundle)
    assert processes_of(created["pid"]).exists()
    runtime("start", name)
    runtime.wait_until(name, "running")
    assert runtime.state(name)["pid"] == created["pid"]
    runtime("kill", name, "KILL")
    runtime.wait_until(name, "stopped")
    runtime("delete", name)
    assert not runtime.remains(name)
    assert runtime.attempt("state", name).returncode == 1


def test_nothing_runs_before_start(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(name, "touch", "/tmp/begun")
    runtime.create(name, bundle)
    assert not (bundle / "rootfs/tmp/begun").exists()
    runtime("start", name)
    runtime.wait_until(name, "stopped")
    assert (bundle / "rootfs/tmp/begun").exists()


def test_a_name_is_taken_once(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(name, "true")
    runtime.create(name, bundle)
    again = runtime.attempt("create", "--bundle", bundle, name)
    assert again.returncode == 1
    assert "already exists" in again.stderr or "exist" in again.stderr
    assert runtime.state(name)["status"] == "created"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "a b", "a\nb", "é", "a" * 300])
def test_what_is_no_name(runtime: OciRuntime, name: str) -> None:
    bundle = runtime.bundle("unnamed", "true")
    done = runtime.attempt("create", "--bundle", bundle, name)
    assert done.returncode == 1
    assert done.stderr.strip()


def test_start_is_for_created_ones(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    runtime.create(name, runtime.bundle(name, "sleep", "100"))
    runtime("start", name)
    again = runtime.attempt("start", name)
    assert (again.returncode, "running" in again.stderr) == (1, True)
    runtime("kill", name, "KILL")
    runtime.wait_until(name, "stopped")
    late = runtime.attempt("start", name)
    assert (late.returncode, "stopped" in late.stderr) == (1, True)
    assert runtime.attempt("start", "nobody").returncode == 1


def test_a_created_one_that_was_killed_cannot_start(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    runtime.create(name, runtime.bundle(name, "true"))
    runtime("kill", name, "KILL")
    runtime.wait_until(name, "stopped")
    done = runtime.attempt("start", name)
    assert done.returncode == 1
    assert "stopped" in done.stderr


def test_delete_is_for_stopped_ones(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    runtime.create(name, runtime.bundle(name, "sleep", "100"))
    runtime("start", name)
    refused = runtime.attempt("delete", name)
    assert refused.returncode == 1
    assert "is not stopped" in refused.stderr
    runtime("delete", "--force", name)
    assert not runtime.remains(name)


def test_delete_ends_a_created_one(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    runtime.create(name, runtime.bundle(name, "true"))
    pid = runtime.state(name)["pid"]
    runtime("delete", name)
    assert not runtime.remains(name)
    wait_for_end(pid)


def test_delete_of_nothing(runtime: OciRuntime) -> None:
    assert runtime.attempt("delete", "nobody").returncode == 1
    runtime("delete", "--force", "nobody")


@pytest.mark.parametrize("word", ["USR1", "SIGUSR1", str(int(signal.SIGUSR1)), "usr1"])
def test_signals_by_name_and_number(runtime: OciRuntime, word: str) -> None:
    name = runtime.identifier()
    script = "trap 'exit 0' USR1; : > /tmp/ready; while :; do sleep 0.05; done"
    bundle = runtime.bundle(name, "sh", "-c", script)
    runtime.create(name, bundle)
    runtime("start", name)
    wait_for_file(bundle / "rootfs/tmp/ready")
    runtime("kill", name, word)
    runtime.wait_until(name, "stopped")
    assert runtime.attempt("kill", name, "TERM").returncode == 1


def test_signal_0_asks_whether_it_lives(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    runtime.create(name, runtime.bundle(name, "true"))
    runtime("kill", name, "0")
    runtime("kill", "--all", name, "0")
    assert runtime.state(name)["status"] == "created"
    runtime("start", name)
    runtime.wait_until(name, "stopped")
    assert runtime.attempt("kill", name, "0").returncode == 1


def test_an_unknown_signal(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    runtime.create(name, runtime.bundle(name, "true"))
    assert runtime.attempt("kill", name, "NOPE").returncode == 1


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("/bin/nothing", "no such file or directory"),
        ("nothing", "executable file not found in $PATH"),
        ("/etc", "permission denied"),
        ("/plain", "permission denied"),
    ],
)
def test_a_program_that_cannot_be(runtime: OciRuntime, program: str, said: str) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(name, program)
    (bundle / "rootfs/plain").write_text("#!/bin/sh\n")
    done = runtime.attempt("create", "--bundle", bundle, name)
    assert done.returncode == 1
    assert said.lower() in done.stderr.lower() or "is a directory" in done.stderr
    assert program in done.stderr
    assert not runtime.remains(name)


def test_the_pid_file(runtime: OciRuntime, root_dir: Path) -> None:
    name = runtime.identifier()
    file = root_dir / "pid"
    runtime.create(name, runtime.bundle(name, "true"), "--pid-file", file)
    assert int(file.read_text()) == runtime.state(name)["pid"]


def test_a_pid_file_that_cannot_be_written(runtime: OciRuntime, root_dir: Path) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(name, "true")
    missing = root_dir / "missing" / "pid"
    done = runtime.attempt("create", "--bundle", bundle, "--pid-file", missing, name)
    assert done.returncode == 1
    assert not runtime.remains(name)


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 137), (":", 0)])
def test_run_ends_as_the_program(runtime: OciRuntime, script: str, code: int) -> None:
    # A process 1 cannot be killed from inside its PID namespace.
    done = runtime.run("sh", "-c", script, change=lambda config: without(config, "pid"))
    assert done.returncode == code
    assert not runtime.remains(runtime.made[-1])


def test_run_passes_streams(runtime: OciRuntime) -> None:
    done = runtime.run("sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_run_detached(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    runtime("run", "--detach", "--bundle", runtime.bundle(name, "sleep", "100"), name)
    assert runtime.state(name)["status"] == "running"


def test_run_of_what_another_deletes(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(name, "sleep", "100")
    line = runtime.line("run", "--bundle", bundle, name)
    with subprocess.Popen(line, stdin=subprocess.DEVNULL) as running:
        wait_for_file(runtime.root / name / "state.json")
        runtime.wait_until(name, "running")
        runtime("delete", "--force", name)
        assert running.wait(timeout=10 * SLOWER) == 137
    assert not runtime.remains(name)


def test_run_keep(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    runtime("run", "--keep", "--bundle", runtime.bundle(name, "true"), name)
    assert runtime.state(name)["status"] == "stopped"


def test_later_changes_to_the_bundle_do_not_count(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(name, "touch", "/tmp/first")
    runtime.create(name, bundle)
    config = json.loads((bundle / "config.json").read_text())
    config["process"]["args"] = ["touch", "/tmp/second"]
    (bundle / "config.json").write_text(json.dumps(config))
    runtime("start", name)
    runtime.wait_until(name, "stopped")
    assert sorted(os.listdir(bundle / "rootfs/tmp")) == ["first"]


def test_annotations_are_kept(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    said = {"org.example.key": "a value\nof two lines"}
    bundle = runtime.bundle(name, "true", change=lambda config: config.update(annotations=said))
    runtime.create(name, bundle)
    assert runtime.state(name)["annotations"] == said


def test_list(runtime: OciRuntime) -> None:
    names = sorted(runtime.identifier() for _ in range(2))
    for name in names:
        runtime.create(name, runtime.bundle(name, "true"))
    assert runtime("list", "--quiet").stdout.split() == names
    listed = json.loads(runtime("list", "--format", "json").stdout)
    assert [entry["id"] for entry in listed] == names
    assert {entry["status"] for entry in listed} == {"created"}
    assert {entry["owner"] for entry in listed} == {"root"}
    table = runtime("list").stdout.splitlines()
    assert table[0].split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert [line.split()[0] for line in table[1:]] == names


def test_the_log(runtime: OciRuntime, root_dir: Path) -> None:
    file = root_dir / "log"
    done = runtime.attempt("--log", file, "--log-format", "json", "state", "nobody")
    assert done.returncode == 1
    entry = json.loads(file.read_text().splitlines()[-1])
    assert entry["level"] == "error"
    assert entry["msg"] == "container does not exist"
    assert "container does not exist" in done.stderr
    plain = runtime.attempt("state", "nobody")
    assert 'level=error msg="container does not exist"' in plain.stderr


@pytest.mark.parametrize(
    "words", [["exec", "--help"], ["create", "x", "--help"], ["kill", "-a", "-h"]], ids=" ".join
)
def test_help_is_all_that_happens(ours: OciRuntime, words: list[str]) -> None:
    """Wherever an option may stand; runc takes the second for a container to be created."""
    told = ours(*words).stdout
    assert told.startswith(f"Usage: onggi-runtime {words[0]} ")
    assert ours("list", "--quiet").stdout == ""


def test_what_help_says_to_begin_with_works(ours: OciRuntime) -> None:
    said = ours("--help").stdout.splitlines()
    begin = [line.split()[1:] for line in said if line.startswith("  onggi-runtime ")]
    assert [words[0] for words in begin] == ["spec", "run"]
    bundle = ours.bundle(ours.identifier(), "true")
    (bundle / "config.json").unlink()
    ours("spec", cwd=bundle)
    config = json.loads((bundle / "config.json").read_text())
    config["process"] |= {"terminal": False, "args": ["echo", "it runs"]}
    (bundle / "config.json").write_text(json.dumps(config))
    assert ours("run", ours.identifier(), cwd=bundle).stdout == "it runs\n"


@pytest.mark.parametrize(
    "words",
    [
        ["frobnicate"],
        ["create", "--bogus", "x"],
        ["start"],
        ["start", "a", "b"],
        ["create", "--bundle"],
    ],
    ids=" ".join,
)
def test_words_that_no_command_line_has(runtime: OciRuntime, words: list[str]) -> None:
    done = runtime.attempt(*words)
    assert done.returncode != 0
    assert "level=error" in done.stderr


def test_a_checkpoint_takes_criu(ours: OciRuntime, root_dir: Path) -> None:
    name = ours.identifier()
    bundle = ours.bundle(name, "sleep", "100")
    ours("run", "--detach", "--bundle", bundle, name)
    images = ("--image-path", root_dir / "images")
    done = ours.attempt("--criu", "/nowhere/criu", "checkpoint", *images, name)
    assert done.returncode == 1
    assert "/nowhere/criu is not installed" in done.stderr
    assert ours.state(name)["status"] == "running"
    assert not (root_dir / "images").exists()


@pytest.mark.parametrize("words", [["--systemd-cgroup"], ["--cgroup-manager", "systemd"]])
def test_where_systemd_does_not_run(ours: OciRuntime, words: list[str]) -> None:
    if Path("/run/systemd/system").is_dir():
        pytest.skip("systemd runs here")
    name = ours.identifier()
    bundle = ours.bundle(
        name, "true", change=lambda config: config["linux"].update(cgroupsPath=":onggi:jar")
    )
    done = ours.attempt(*words, "create", "--bundle", bundle, name)
    assert done.returncode == 1
    said = "systemd not running on this host, cannot use systemd cgroups manager"
    assert done.stderr.count("level=error") == 1
    assert said in done.stderr
    assert not ours.remains(name)
    done = ours.attempt("create", "--bundle", bundle, name)
    assert "cgroupsPath ':onggi:jar' is systemd's (--systemd-cgroup takes it)" in done.stderr


def three(ours: OciRuntime) -> tuple[str, list[str]]:
    """Create two containers, and one that another name has; return what the two begin with."""
    names = [ours.identifier() for _ in range(3)]
    names[1] = f"{names[0]}-2nd"
    ours.made.append(names[1])
    for name in names:
        ours.create(name, ours.bundle(name, "sleep", "100"))
    return names[0], names


def listed(ours: OciRuntime) -> list[str]:
    return ours("list", "--quiet").stdout.split()


def test_delete_of_all_that_match(ours: OciRuntime) -> None:
    """crun's --regex, which runc lacks."""
    first, names = three(ours)
    ours("start", first)
    done = ours.attempt("delete", "--regex", f"^{first}(-[[:digit:]]nd)?$")
    assert done.returncode == 1
    assert f"{first}: cannot delete container" in done.stderr
    assert sorted(listed(ours)) == sorted([first, names[2]])
    ours("delete", "--force", "-r", first)
    assert listed(ours) == [names[2]]
    ours("delete", "--regex", "matches-none")
    assert listed(ours) == [names[2]]


def test_kill_of_all_that_match(ours: OciRuntime) -> None:
    first, names = three(ours)
    ours("kill", "--regex", first, "KILL")
    for name in names[:2]:
        ours.wait_until(name, "stopped")
    assert ours.state(names[2])["status"] == "created"
    late = ours.attempt("kill", "--all", "-r", first[:-1], "0")
    assert late.returncode == 0, "a signal to all of none is no failure"
    again = ours.attempt("kill", "-r", first, "KILL")
    assert (again.returncode, again.stderr.count("container not running")) == (1, 2)


@pytest.mark.parametrize("command", ["kill", "delete"])
def test_what_is_no_regular_expression(ours: OciRuntime, command: str) -> None:
    done = ours.attempt(command, "--regex", "(")
    assert done.returncode == 1
    assert "invalid regular expression" in done.stderr


def test_a_configuration_in_another_file(ours: OciRuntime, root_dir: Path) -> None:
    """crun's spec --file, seen from the bundle's directory."""
    ours("spec", "--bundle", root_dir, "--file", "other.json")
    assert json.loads((root_dir / "other.json").read_text())["process"]["args"] == ["sh"]
    assert not (root_dir / "config.json").exists()
    again = ours.attempt("spec", "-f", root_dir / "other.json")
    assert (again.returncode, "exists" in again.stderr) == (1, True)


@pytest.mark.parametrize("command", ["create", "run"])
def test_no_subreaper(ours: OciRuntime, command: str) -> None:  # crun's create has it, too
    name = ours.identifier()
    ours(command, "--no-subreaper", "--bundle", ours.bundle(name, "true"), name)
