"""A container's life after it was made: created, started, held, renamed, started again."""

import json
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from onggi import Engine
from onggi.engine.options import ContainerOptions
from onggi.errors import Conflict, InvalidInput, OnggiError
from support.box import Box, until
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "cgroup-memory", "cgroup-cpu", "cgroup-pids", "busybox")

COUNT = "i=0; while :; do i=$((i+1)); echo $i > /n; sleep 0.01; done"


def counted(box: Box, name: str) -> str:
    """Return what the counting program of a container wrote last, looked at from the host."""
    (upper,) = (box.root / "containers").glob("*/upper/n")
    del name
    return upper.read_text()


def is_counting(box: Box, name: str) -> bool:
    before = counted(box, name)
    time.sleep(0.3)
    return counted(box, name) != before


def test_created_first_and_started_later(box: Box) -> None:
    made = box("create", "--name", "later", "busybox", "sh", "-c", "echo said; sleep 600")
    identity = made.stdout.strip()
    assert re.fullmatch("[0-9a-f]{64}", identity)
    assert box.see("later", ".State.Status") == "created"
    assert box.see("later", ".State.Pid") == "0"
    assert box("ps", "--format", "{{.Names}}").stdout == ""
    assert box("start", "later").stdout == "later\n"
    assert box("ps", "--format", "{{.Names}}").stdout == "later\n"
    until(lambda: box("logs", "later").stdout == "said\n")
    assert box("start", "later").stdout == "later\n"  # it runs, which is all that was asked for


def test_creating_checks_what_running_checks(box: Box, tmp_path: Path) -> None:
    for words in (["--memory", "lots", "busybox"], ["no-such-image"]):
        done = box.attempt("create", "--cidfile", tmp_path / "cid", *words)
        assert done.returncode in (1, 125)
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "cid").exists()
    identity = box("create", "--cidfile", tmp_path / "cid", "busybox").stdout.strip()
    assert (tmp_path / "cid").read_text() == identity
    taken = box.attempt("create", "--cidfile", tmp_path / "cid", "busybox")
    assert taken.returncode == 125
    assert (tmp_path / "cid").read_text() == identity


def test_staying_with_what_is_started(box: Box) -> None:
    script = "read line; echo got $line; echo aside >&2; exit 7"
    box("create", "-i", "--name", "asks", "busybox", "sh", "-c", script)
    done = box.attempt("start", "-ai", "asks", input="this\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, "got this\n", "aside\n")
    again = box.attempt("start", "-ai", "asks", input="")
    assert (again.returncode, again.stdout) == (7, "got\n")
    assert box("logs", "asks").stdout == "got this\ngot\n"
    many = box.attempt("start", "-a", "asks", "other")
    assert many.returncode == 1
    assert many.stderr == "onggi: you cannot start and attach multiple containers at once\n"


def test_starting_keeps_what_was_written(box: Box) -> None:
    script = "echo once >> /kept; cat /kept; ls /dev/shm; echo x > /dev/shm/gone"
    box("run", "--name", "twice", "busybox", "sh", "-c", script)
    box("start", "-a", "twice")
    assert box("logs", "twice").stdout == "once\nonce\nonce\n"


def test_restarting(box: Box) -> None:
    script = 'trap "echo asked; exit 0" TERM; echo began; while :; do sleep 0.05; done'
    box.up("--name", "again", command=("sh", "-c", script))
    until(lambda: "began" in box("logs", "again").stdout)
    first = box.pid("again")
    assert box("restart", "again").stdout == "again\n"
    assert box.pid("again") not in (0, first)
    until(lambda: box("logs", "again").stdout == "began\nasked\nbegan\n")
    box("stop", "-t", "0", "again")
    assert box("restart", "-t", "0", "again").stdout == "again\n"
    assert box.see("again", ".State.Running") == "true"


def test_what_is_removed_when_it_ends_is_not_restarted(box: Box) -> None:
    box.up("--rm", "--name", "brief")
    done = box.attempt("restart", "brief")
    assert done.returncode == 1
    assert "is removed when it ends" in done.stderr
    assert box.see("brief", ".State.Running") == "true"


def test_a_paused_container_rests_and_goes_on(box: Box) -> None:
    box.up("--name", "held", command=("sh", "-c", COUNT))
    until(lambda: any((box.root / "containers").glob("*/upper/n")))
    until(lambda: is_counting(box, "held"))
    assert box("pause", "held").stdout == "held\n"
    assert not is_counting(box, "held")
    assert box.see("held", ".State.Status") == "paused"
    assert box.see("held", ".State.Paused") == box.see("held", ".State.Running") == "true"
    listed = box("ps", "--filter", "status=paused", "--format", "{{.Names}} {{.Status}}").stdout
    assert re.fullmatch(r"held Up .* \(Paused\)\n", listed)
    assert json.loads(box("info", "--format", "json").stdout)["ContainersPaused"] == 1
    assert box("unpause", "held").stdout == "held\n"
    until(lambda: is_counting(box, "held"))
    assert box.see("held", ".State.Paused") == "false"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["pause", "held"], "is already paused"),
        (["exec", "held", "true"], "is paused (unpause it first)"),
        (["rm", "held"], "is paused"),
        (["start", "held"], "is paused (unpause it instead)"),
    ],
)
def test_what_a_paused_container_refuses(box: Box, words: list[str], text: str) -> None:
    box.up("--name", "held")
    box("pause", "held")
    done = box.attempt(*words)
    assert done.returncode == 1
    assert text in done.stderr
    assert box.see("held", ".State.Status") == "paused"


@pytest.mark.parametrize(
    ("words", "code"),
    [(["stop", "-t", "5"], 143), (["kill"], 137), (["rm", "-f"], 0), (["restart", "-t", "5"], 0)],
)
def test_a_paused_container_can_be_ended(box: Box, words: list[str], code: int) -> None:
    """What is frozen in cgroup v1 does not even die of SIGKILL."""
    box.up("--name", "held", "--init", "--stop-signal", "TERM")
    first = box.pid("held")
    box("pause", "held")
    begun = time.monotonic()
    box(*words, "held")
    until(lambda: not Path(f"/proc/{first}").exists())
    assert time.monotonic() - begun < 4  # the signal arrived, and no grace period ran out
    if code:
        box("wait", "held")
        assert box.see("held", ".State.ExitCode") == str(code)


def test_a_signal_that_does_not_end_it_waits(box: Box) -> None:
    box.up("--name", "held", command=("sh", "-c", "trap 'echo heard' USR1; " + COUNT))
    until(lambda: is_counting(box, "held"))
    box("pause", "held")
    box("kill", "-s", "USR1", "held")
    assert box.see("held", ".State.Paused") == "true"
    assert box("logs", "held").stdout == ""
    box("unpause", "held")
    until(lambda: box("logs", "held").stdout == "heard\n")


@pytest.mark.parametrize("verb", ["pause", "unpause"])
def test_only_what_runs_can_be_held(box: Box, verb: str) -> None:
    box("run", "--name", "ended", "busybox", "true")
    done = box.attempt(verb, "ended")
    assert done.returncode == 1
    assert done.stderr.endswith(("is not running\n", "is not paused\n"))


def test_a_pause_that_was_cut_short_is_none(box: Box) -> None:
    """The mark is there, and the kernel holds nobody: that is what counts."""
    identity = box.up("--name", "held")
    with box.engine() as engine:
        run = engine.store.run
    Path(run, identity, "paused").touch()
    assert box.see("held", ".State.Status") == "running"
    assert box("exec", "held", "echo", "fine").stdout == "fine\n"
    box("pause", "held")
    box("unpause", "held")


def test_a_commit_holds_the_container_meanwhile(box: Box) -> None:
    box.up("--name", "writes", command=("sh", "-c", COUNT))
    until(lambda: is_counting(box, "writes"))
    seen: list[str] = []
    over = threading.Event()

    def watch() -> None:
        with box.engine() as engine:
            while not over.is_set():
                seen.append(engine.containers.get("writes").status)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(5):
        box("commit", "writes", "held-image")
    held = list(seen)
    box("commit", "--pause=false", "writes", "loose-image")
    over.set()
    watcher.join()
    assert "paused" in held
    assert box.see("writes", ".State.Status") == "running"
    box("pause", "writes")
    box("commit", "writes", "held-image")
    assert box.see("writes", ".State.Status") == "paused"  # as it was


def test_another_name(box: Box) -> None:
    identity = box.up("--name", "before", "--hostname", "stays")
    box("rename", "before", "after")
    assert box.see("after", ".Id") == identity
    assert box.see("after", ".Name") == "/after"
    assert box.inside("after", "hostname") == "stays"
    gone = box.attempt("inspect", "before")
    assert gone.returncode == 1
    box.up("--name", "before")  # the name is free
    for name, text in (("before", "already in use"), ("after", "same name"), ("a/b", "invalid")):
        done = box.attempt("rename", "after", name)
        assert done.returncode == 1
        assert text in done.stderr
    assert box.see("after", ".Id") == identity


def test_a_name_raced_for_has_one_winner(box: Box) -> None:
    with box.engine() as engine:
        made = [engine.containers.create(ContainerOptions(image="busybox")) for _ in range(8)]
        results: list[bool] = []

        def rename(place: int) -> None:
            try:
                made[place].rename("wanted")
                results.append(True)
            except OnggiError:
                results.append(False)

        threads = [threading.Thread(target=rename, args=(place,)) for place in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == [False] * 7 + [True]
        assert len([one for one in engine.containers.list(all=True) if one.name == "wanted"]) == 1


def test_the_processes_of_a_container(box: Box) -> None:
    box.up("--name", "busy", command=("sh", "-c", "sleep 333 & exec sleep 444"))
    until(lambda: "sleep 333" in box("top", "busy").stdout)
    title, *lines = box("top", "busy").stdout.splitlines()
    assert title.split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert [line.split(None, 7)[7] for line in lines] == ["sleep 444", "sleep 333"]
    assert lines[0].split()[1] == str(box.pid("busy"))
    short = box("top", "busy", "-o", "pid,comm").stdout.splitlines()
    assert [line.split()[1] for line in short] == ["COMMAND", "sleep", "sleep"]
    for words, text in ((["-o", "comm"], "PID field"), (["--nonsense"], "exit status")):
        done = box.attempt("top", "busy", *words)
        assert done.returncode != 0
        assert text in done.stderr.splitlines()[-1]
    box("kill", "busy")
    box("wait", "busy")
    ended = box.attempt("top", "busy")
    assert ended.returncode == 1
    assert "is not running" in ended.stderr


def test_the_same_from_python(box: Box) -> None:
    with Engine(str(box.root)) as engine:
        made = engine.containers.create(ContainerOptions(image="busybox", command=["sleep", "60"]))
        made.start().detach()
        made.pause()
        assert made.status == "paused"
        with pytest.raises(Conflict, match="already paused"):
            made.pause()
        made.unpause()
        with pytest.raises(InvalidInput):
            made.rename("")
        made.rename("called")
        assert engine.containers.get("called").id == made.id
        assert made.top("-o", "pid,args")["Processes"][0][1] == "sleep 60"
        first = made.pid
        made.restart(timeout=0).detach()
        assert made.pid not in (0, first)
        assert made.stop(timeout=0).signal == signal.SIGKILL
