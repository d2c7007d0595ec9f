"""Each command on an engine that only remembers: what is asked, what is printed, which code."""

import io
import json
import sys
from pathlib import Path

import pytest

import onggi
from onggi.cli.invocation import Invocation
from onggi.cli.main import main
from onggi.errors import InvalidInput, NotFound
from support.remembering_engine import ID, IMAGE, Engine


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    remembering = Engine()

    def opened(root: str | None, *, direct: bool, ahead_fd: int) -> Engine:
        assert direct
        assert ahead_fd == -1  # nobody looked ahead here
        remembering.root = root
        return remembering

    monkeypatch.setattr(onggi, "Engine", opened, raising=False)
    monkeypatch.setattr(Invocation, "look_ahead", lambda _self: None)
    return remembering


class Output:
    """Runs command lines and reads what they print."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *words: str, code: int = 0, err: str = "") -> str:
        assert main(list(words)) == code
        out, error = self._capture.readouterr()
        assert error == err
        return out


@pytest.fixture
def onggi_command(capsys: pytest.CaptureFixture[str], engine: Engine) -> Output:
    del engine
    return Output(capsys)


WEB = '4c01db0b339c   busybox   "sh -c \'echo \\"hello\\"…"'


def test_ps(onggi_command: Output) -> None:
    assert onggi_command("ps").splitlines() == [
        f"{'CONTAINER ID   IMAGE     COMMAND':<52}CREATED         STATUS         PORTS     NAMES",
        f"{WEB:<52}3 minutes ago   Up 3 minutes{'':13}web",
    ]


def test_ps_asks_for_what_it_shows(engine: Engine, onggi_command: Output) -> None:
    assert onggi_command("container", "ls", "-aq") == "4c01db0b339c\n" * 2
    assert onggi_command("ps", "-lq", "--no-trunc") == f"{ID}\n"
    onggi_command("ps", "-f", "status=exited", "-f", "name=we")
    onggi_command("ps", "-f", "name=we")
    assert engine.containers.asked == [
        {"all": True, "filters": {}},
        {"all": True, "filters": {}},
        {"all": True, "filters": {"status": ["exited"], "name": ["we"]}},
        {"all": False, "filters": {"name": ["we"]}},
    ]


def test_ps_lists_the_last_made_first(onggi_command: Output) -> None:
    assert onggi_command("ps", "-a", "--format", "{{.Names}}") == "web\njob\n"
    assert onggi_command("ps", "-n", "1", "--format", "{{.Names}}") == "web\n"


def test_ps_in_other_forms(onggi_command: Output) -> None:
    lines = "{{.Size}} {{.Mounts}} {{.Networks}} {{.Labels}} {{.State}}"
    assert onggi_command("ps", "-s", "--format", lines) == (
        "12kB (virtual 4.26MB) data,/src none a=b running\n"
    )
    assert onggi_command("ps", "--format", '{{.Label "a"}} {{.LocalVolumes}}') == "b 0\n"
    assert onggi_command("ps", "--format", "{{.Size}}") == "12kB (virtual 4.26MB)\n"
    assert json.loads(onggi_command("ps", "--format", "json"))["Names"] == "web"
    refused = "onggi: template: unclosed action: '{{' without '}}'\n"
    onggi_command("ps", "--format", "{{.ID", code=1, err=refused)


def test_run_in_the_foreground(engine: Engine, onggi_command: Output) -> None:
    assert onggi_command("run", "-i", "--rm", "--cpus", "0.5", "-m128m", "busybox", "sh", "-c", "x",
                         code=3) == ""  # fmt: skip
    ((options, streams),) = engine.containers.asked
    assert options.image == "busybox"
    assert options.command == ["sh", "-c", "x"]
    assert options.remove
    assert options.limits == {"cpus": "0.5", "memory": "128m"}
    assert (streams.stdin_fd, streams.stdout_fd, streams.stderr_fd) == (0, 1, 2)
    assert engine.closed


def test_run_in_the_background(engine: Engine, onggi_command: Output, tmp_path: Path) -> None:
    file = tmp_path / "id"
    words = ["run", "-d", "--name", "web", "--cidfile", str(file), "busybox"]
    assert onggi_command(*words) == f"{ID}\n"
    assert file.read_text() == ID
    ((options, streams),) = engine.containers.asked
    assert (options.name, options.detach, streams) == ("web", True, None)
    hint = "its container may be running; remove the file if it is not"
    said = f"onggi: container ID file {file} exists already ({hint})\n"
    onggi_command(*words, code=125, err=said)
    assert len(engine.containers.asked) == 1


def test_run_says_what_the_host_cannot_do(engine: Engine, onggi_command: Output) -> None:
    engine.containers.known["web"].record["warnings"] = ["your kernel does not do it"]
    said = "WARNING: your kernel does not do it\n"
    onggi_command("run", "-d", "busybox", err=said)


def test_run_explains(engine: Engine, onggi_command: Output) -> None:
    assert onggi_command("run", "--explain", "busybox") == "#!/bin/sh\n# as asked\n"
    assert engine.containers.asked == []


def test_run_tells_of_the_oom_killer(engine: Engine, onggi_command: Output) -> None:
    engine.containers.code = 137
    engine.containers.oom_killed = True
    said = "onggi: the kernel killed a process of it: the container had reached its memory limit\n"
    onggi_command("run", "busybox", code=137, err=said)


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (NotFound("no such image: b"), 125),
        (InvalidInput("minimum memory limit allowed is 6MB"), 125),
        (FileNotFoundError(2, "No such file or directory", "/x"), 125),
        (ValueError("oh"), 125),
    ],
)
def test_run_that_made_no_container(
    engine: Engine, capsys: pytest.CaptureFixture[str], refusal: Exception, code: int
) -> None:
    engine.containers.refusal = refusal
    assert main(["run", "b"]) == code
    assert capsys.readouterr().err.count("\n") == 1


def test_run_takes_exit_codes_of_the_program_from_the_error(
    engine: Engine, onggi_command: Output
) -> None:
    class Missing(NotFound):
        exit_code = 127

    engine.containers.refusal = Missing('exec: "x": executable file not found in $PATH')
    said = 'onggi: exec: "x": executable file not found in $PATH\n'
    onggi_command("run", "b", "x", code=127, err=said)


def test_exec(engine: Engine, onggi_command: Output) -> None:
    onggi_command("exec", "-e", "A=1", "-w", "/tmp", "-u", "1:2", "web", "ls", "-l", code=7)
    ((_, options, streams),) = engine.containers.known["web"].asked
    assert (options.command, options.env) == (["ls", "-l"], ["A=1"])
    assert (options.workdir, options.user) == ("/tmp", "1:2")
    assert (streams.stdin_fd, streams.terminal) == (-1, False)


def test_exec_in_the_background(engine: Engine, onggi_command: Output) -> None:
    assert onggi_command("exec", "-d", "web", "true") == ""
    ((_, _, streams),) = engine.containers.known["web"].asked
    assert streams is None


@pytest.mark.parametrize("command", ["run", "exec"])
def test_a_terminal_needs_one(
    command: str, engine: Engine, onggi_command: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.isatty", lambda _fd: False)
    said = "onggi: the input device is not a TTY (leave out -t to pipe input)\n"
    onggi_command(command, "-it", "web", "sh", code=1, err=said)
    assert engine.containers.asked == []


def test_logs(engine: Engine, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["logs", "--tail", "3", "web"]) == 0
    assert capsysbinary.readouterr() == (b"one\n", b"two\xff\n")
    asked = {"follow": False, "tail": 3, "since": None, "until": None}
    assert engine.containers.known["web"].asked == [("logs", asked)]


def test_logs_with_times(engine: Engine, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    del engine
    assert main(["logs", "-tf", "--since", "2026-01-31T08:30:00Z", "web"]) == 0
    stamp = b"2026-01-31T08:30:00.000000007Z "
    assert capsysbinary.readouterr() == (stamp + b"one\n", stamp + b"two\xff\n")


def test_logs_refuses_a_tail_that_is_no_number(onggi_command: Output) -> None:
    said = (
        'onggi: invalid argument "x" for "-n, --tail" flag: expected a number of lines, or "all"\n'
    )
    onggi_command("logs", "-n", "x", "web", code=125, err=said)


def test_stop_and_kill(engine: Engine, onggi_command: Output) -> None:
    assert onggi_command("stop", "-t", "3", "web", "job") == "web\njob\n"
    assert onggi_command("stop", "--time=0", "-s", "INT", "web") == "web\n"
    assert onggi_command("kill", "web") == "web\n"
    assert onggi_command("kill", "-s", "sighup", "web") == "web\n"
    assert engine.containers.known["web"].asked == [
        ("stop", {"timeout": 3, "signal": None}),
        ("stop", {"timeout": 0, "signal": 2}),
        ("kill", 9),
        ("kill", 1),
    ]


def test_each_is_done_whatever_happens_to_the_others(onggi_command: Output) -> None:
    said = "onggi: container job is not running\nonggi: no such container: x\n"
    assert onggi_command("kill", "job", "x", "web", code=1, err=said) == "web\n"


def test_an_unknown_signal(onggi_command: Output) -> None:
    said = "onggi: invalid signal: FOO (a name such as TERM, or a number from 1 to 64)\n"
    onggi_command("kill", "-s", "FOO", "web", code=1, err=said)


def test_several_stop_at_once(engine: Engine, onggi_command: Output) -> None:
    said = "onggi: no such container: x\n"
    assert onggi_command("stop", "web", "x", "job", "web", code=1, err=said) == "web\njob\n"
    asked = [("stop", {"timeout": None, "signal": None})]
    assert [engine.containers.known[name].asked for name in ("web", "job")] == [asked, asked]


def test_volume_prune(onggi_command: Output) -> None:
    assert onggi_command("volume", "prune", "-f").splitlines() == [
        *("Deleted Volumes:", "f" * 64, "", "Total reclaimed space: 2MB"),
    ]
    assert onggi_command("volume", "prune", "-af").splitlines()[-1] == "Total reclaimed space: 3MB"
    said = "onggi: this cannot be undone, and nobody is here to ask (add --force)\n"
    onggi_command("volume", "prune", code=125, err=said)


def test_rm(engine: Engine, onggi_command: Output) -> None:
    assert onggi_command("rm", "-fv", "web") == "web\n"
    asked = ("remove", {"force": True, "volumes": True})
    assert engine.containers.known["web"].asked == [asked]
    onggi_command("rm", "x", code=1, err="onggi: no such container: x\n")
    onggi_command("rm", "-f", "x", err="onggi: no such container: x\n")


def test_wait(onggi_command: Output) -> None:
    assert onggi_command("wait", "web", "job") == "137\n137\n"


def test_inspect(onggi_command: Output) -> None:
    assert json.loads(onggi_command("inspect", "web", "busybox", "data")) == [
        {"Id": ID, "Name": "/web", "State": {"Pid": 42}},
        {"Id": IMAGE, "Size": 1},
        {"Name": "data", "Driver": "local", "Mountpoint": "/v/data/_data"},
    ]
    assert onggi_command("inspect", "-f", "{{.State.Pid}}", "web") == "42\n"
    assert onggi_command("inspect", "-s", "-f", "{{.SizeRw}}", "web") == "5\n"
    assert onggi_command("image", "inspect", "-f", "json", "busybox").count("\n") == 1


def test_inspect_of_what_is_not_there(onggi_command: Output) -> None:
    said = "onggi: no such object: x (`onggi ps -a` and `onggi images` list them)\n"
    assert onggi_command("inspect", "x", code=1, err=said) == "[]\n"
    said = "onggi: no such image: web\n"
    assert onggi_command("image", "inspect", "web", code=1, err=said) == "[]\n"
    said = 'onggi: unknown type: "x" (there are container, image, volume)\n'
    onggi_command("inspect", "--type", "x", "web", code=1, err=said)


HEADS, CELLS = "CONTAINER ID   NAME      ", "4c01db0b339c   web       "


def test_stats(onggi_command: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onggi.cli.stats.SECOND", 0)
    assert onggi_command("stats", "--no-stream").splitlines() == [
        f"{HEADS}CPU %     MEM USAGE / LIMIT   MEM %     NET I/O   BLOCK I/O    PIDS",
        f"{CELLS}0.00%     64MiB / 128MiB      50.00%    0B / 0B   1.5MB / 0B   3",
    ]


def test_stats_of_one_that_does_not_run(
    onggi_command: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onggi.cli.stats.SECOND", 0)
    words = "{{.CPUPerc}} {{.MemUsage}} {{.MemPerc}} {{.NetIO}} {{.BlockIO}} {{.PIDs}}"
    line = "-- -- / -- -- -- / -- -- / -- --\n"
    assert onggi_command("stats", "--no-stream", "--format", words, "job") == line
    onggi_command("stats", "x", code=1, err="onggi: no such container: x\n")


def test_diff_prints_names_as_the_bytes_they_are(
    engine: Engine, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    del engine
    assert main(["diff", "web"]) == 0
    assert capfdbinary.readouterr().out == b"C /etc\nA /etc/n\xffw\nD /bin/sh\n"


def test_explain(onggi_command: Output) -> None:
    assert onggi_command("explain", "web") == "#!/bin/sh\n"


def test_commit(engine: Engine, onggi_command: Output) -> None:
    words = ["commit", "-a", "Kim", "-m", "why", "-c", "USER 1", "-c", "CMD x", "web", "web:2"]
    assert onggi_command(*words) == f"{IMAGE}\n"
    asked = {"reference": "web:2", "message": "why", "author": "Kim"}
    asked_in_all = asked | {"changes": ["USER 1", "CMD x"], "pause": True}
    assert engine.containers.known["web"].asked == [("commit", asked_in_all)]
    onggi_command("commit", "--pause=false", "web")
    assert engine.containers.known["web"].asked[-1][1]["pause"] is False


def test_create(engine: Engine, onggi_command: Output, tmp_path: Path) -> None:
    words = ["create", "--cidfile", str(tmp_path / "cid"), "-m", "64m", "busybox", "sleep", "1"]
    assert onggi_command(*words) == f"{ID}\n"
    (options,) = engine.containers.asked
    assert (options.command, options.limits) == (["sleep", "1"], {"memory": "64m"})
    assert not options.detach
    assert (tmp_path / "cid").read_text() == ID


@pytest.mark.parametrize("verb", ["pause", "unpause"])
def test_pause_and_unpause(engine: Engine, onggi_command: Output, verb: str) -> None:
    err = "onggi: no such container: ghost\n"
    assert onggi_command(verb, "ghost", "web", code=1, err=err) == "web\n"
    assert engine.containers.known["web"].asked == [verb]


def test_start(engine: Engine, onggi_command: Output) -> None:
    assert onggi_command("start", "web", "job") == "web\njob\n"
    assert engine.containers.known["web"].asked == []  # it runs already
    assert engine.containers.known["job"].asked == [("start", None)]
    onggi_command("start", "-a", "job", code=7)
    streams = engine.containers.known["job"].asked[-1][1]
    assert (streams.stdin_fd, streams.stdout_fd, streams.stderr_fd) == (-1, 1, 2)


def test_restart(engine: Engine, onggi_command: Output) -> None:
    assert onggi_command("restart", "-s", "INT", "-t", "3", "web") == "web\n"
    assert engine.containers.known["web"].asked == [("restart", 3, 2)]


def test_rename(engine: Engine, onggi_command: Output) -> None:
    assert onggi_command("rename", "web", "other") == ""
    assert engine.containers.known["web"].asked == [("rename", "other")]


def test_update(engine: Engine, onggi_command: Output) -> None:
    said = "WARNING: no swap here\n"
    assert onggi_command("update", "-m", "80m", "--cpus", "2", "web", err=said) == "web\n"
    assert engine.containers.known["web"].asked == [("update", {"cpus": "2", "memory": "80m"})]
    said = "onggi: you must provide one or more flags when using this command\n"
    onggi_command("update", "web", code=1, err=said)


def test_top(engine: Engine, onggi_command: Output) -> None:
    lines = onggi_command("top", "web", "-o", "pid,args").splitlines()
    assert lines == ["PID       COMMAND", "42        sleep 1000"]
    assert engine.containers.known["web"].asked == [("top", "-o", "pid,args")]


def test_images(onggi_command: Output) -> None:
    assert onggi_command("images").splitlines() == [
        "REPOSITORY         TAG       IMAGE ID       CREATED         SIZE",
        "<none>             <none>    efefefefefef   5 seconds ago   0B",
        "a.b:5000/busybox   1         abababababab   7 weeks ago     4.26MB",
        "busybox            latest    abababababab   7 weeks ago     4.26MB",
    ]
    assert onggi_command("image", "ls", "-q").splitlines()[1] == "abababababab"
    lines = onggi_command("images", "--format", "{{.Repository}} {{.Digest}}").splitlines()
    assert lines[1:] == ["a.b:5000/busybox <none>", "busybox sha256:" + "cd" * 32]
    sizes = "{{.Size}} {{.SharedSize}} {{.UniqueSize}} {{.Containers}}"
    assert onggi_command("images", "--format", sizes).splitlines()[1] == "4.26MB 0B 4.26MB 0"


def test_images_asks_for_what_it_shows(engine: Engine, onggi_command: Output) -> None:
    onggi_command("images", "-a", "-f", "dangling=true", "busybox")
    filters = {"dangling": ["true"], "reference": ["busybox"]}
    assert engine.images.asked == [("list", {"all": True, "filters": filters})]


def test_history(onggi_command: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onggi.cli.output.human.now", lambda: 1_769_848_200 + 120)
    assert onggi_command("history", "busybox").splitlines() == [
        "IMAGE          CREATED         CREATED BY" + " " * 38 + "SIZE      COMMENT",
        'abababababab   2 minutes ago   CMD ["sh"]' + " " * 38 + "0B        ",
        "<missing>      2 minutes ago   COPY " + "x" * 39 + "…   4.26MB    c",
    ]
    assert onggi_command("history", "-q", "--no-trunc", "busybox") == f"{IMAGE}\n<missing>\n"
    assert "4261502" in onggi_command("history", "--human=false", "busybox")


def test_tag_and_rmi(engine: Engine, onggi_command: Output) -> None:
    assert onggi_command("tag", "busybox", "b:1") == ""
    assert onggi_command("rmi", "-f", "busybox") == f"Untagged: busybox:latest\nDeleted: {IMAGE}\n"
    assert engine.images.asked == [("tag", "busybox", "b:1"), ("remove", "busybox", True)]
    onggi_command("rmi", "x", code=1, err="onggi: no such image: x\n")


def test_save_to_a_file_is_whole_or_not_there(onggi_command: Output, tmp_path: Path) -> None:
    file = tmp_path / "a.tar"
    onggi_command("save", "-o", str(file), "busybox")
    assert file.read_bytes() == b"half and half"
    onggi_command("save", "-o", str(file), "bad", code=1, err="onggi: no such image: bad\n")
    assert file.read_bytes() == b"half and half"
    assert list(tmp_path.iterdir()) == [file]
    nowhere = tmp_path / "none"
    said = f"onggi: invalid output path: directory '{nowhere}' does not exist\n"
    onggi_command("save", "-o", str(nowhere / "a.tar"), "busybox", code=1, err=said)
    said = 'onggi: invalid argument "zip" for "--format" flag: there are docker and oci\n'
    onggi_command("save", "--format", "zip", "busybox", code=125, err=said)


def test_archives_to_standard_output(
    engine: Engine, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    del engine
    assert main(["export", "web"]) == 0
    assert main(["save", "busybox"]) == 0
    assert capfdbinary.readouterr().out == b"a tarhalf and half"


def test_archives_and_terminals(onggi_command: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    said = "onggi: cowardly refusing to write an archive to a terminal (use -o, or redirect)\n"
    onggi_command("save", "busybox", code=1, err=said)
    onggi_command("export", "web", code=1, err=said)
    said = "onggi: no archive on standard input (use -i FILE, or redirect)\n"
    onggi_command("load", code=1, err=said)


def test_load(engine: Engine, onggi_command: Output, tmp_path: Path) -> None:
    file = tmp_path / "a.tar"
    file.write_bytes(b"a tar")
    said = f"Loaded image: busybox:latest\nLoaded image ID: {IMAGE}\n"
    assert onggi_command("load", "-i", str(file)) == said
    assert engine.images.got == b"a tar"
    missing = f"onggi: no such file or directory: {tmp_path}/none\n"
    onggi_command("load", "-i", f"{tmp_path}/none", code=1, err=missing)


def test_import(engine: Engine, onggi_command: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a tar")))
    assert onggi_command("import", "-c", "CMD x", "-m", "why", "-", "a:1") == f"{IMAGE}\n"
    asked = {"reference": "a:1", "changes": ["CMD x"], "message": "why", "platform": ""}
    assert (engine.images.asked, engine.images.got) == ([("import", asked)], b"a tar")


def test_what_docker_can_and_this_cannot(onggi_command: Output) -> None:
    said = "onggi: cannot fetch 'https://x/y.tar' (curl it into: onggi import - NAME)\n"
    onggi_command("import", "https://x/y.tar", code=1, err=said)
    said = "onggi: --checkpoint is not available: a container starts from its image and its files\n"
    onggi_command("start", "--checkpoint", "x", "web", code=125, err=said)


def test_bootstrap(engine: Engine, onggi_command: Output) -> None:
    assert onggi_command("bootstrap", "busybox", err="unpacking\n") == "busybox:latest\n"
    assert onggi_command("bootstrap", "-q", "-t", "b:1", "busybox") == "busybox:latest\n"
    assert engine.images.asked[-1] == ("bootstrap", "busybox", "b:1", [])
    onggi_command("bootstrap", "-q", "--include", "a,b", "--include", "c", "debian:sid")
    assert engine.images.asked[-1] == ("bootstrap", "debian:sid", None, ["a", "b", "c"])


def test_volumes(engine: Engine, onggi_command: Output) -> None:
    assert onggi_command("volume", "create") == "f" * 64 + "\n"
    assert onggi_command("volume", "create", "--label", "a=b", "data") == "data\n"
    assert onggi_command("volume", "ls") == "DRIVER    VOLUME NAME\nlocal     data\n"
    assert onggi_command("volume", "ls", "-q") == "data\n"
    assert onggi_command("volume", "ls", "-q", "-f", "dangling=true") == ""
    said = "onggi: no such volume driver: nfs (only local)\n"
    onggi_command("volume", "create", "-d", "nfs", "data", code=1, err=said)
    assert onggi_command("volume", "inspect", "-f", "{{.Mountpoint}}", "data") == "/v/data/_data\n"
    assert onggi_command("volume", "rm", "data") == "data\n"
    onggi_command("volume", "rm", "x", code=1, err="onggi: no such volume: x\n")
    assert onggi_command("volume", "rm", "-f", "x") == "x\n"
    assert engine.volumes.removed == ["data"]


def test_reset_asks_first(
    engine: Engine, onggi_command: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "onggi: this cannot be undone, and nobody is here to ask (add --force)\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    onggi_command("system", "reset", code=125, err=said)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    assert "Go on? [y/N]" in onggi_command("system", "reset")
    assert engine.system.was_reset
    engine.system.was_reset = False
    assert "nothing was removed" in onggi_command("system", "reset", code=1)
    assert not engine.system.was_reset
    onggi_command("system", "reset", "--force")
    assert engine.system.was_reset


def test_version(onggi_command: Output) -> None:
    assert "Version:       0.1.0\n" in onggi_command("version")
    assert onggi_command("version", "-f", "{{.Version}}") == "0.1.0\n"
    assert onggi_command("version", "-f", "{{.Client.Version}}") == "0.1.0\n"
    known = json.loads(onggi_command("version", "-f", "json"))
    assert (known["Client"]["Version"], known["Server"]["KernelVersion"]) == ("0.1.0", "6.1.0")


def test_info(onggi_command: Output) -> None:
    said = "WARNING: no swap limit support\n"
    assert onggi_command("info", err=said).splitlines() == [
        "Containers: 2",
        " Running: 1",
        "Security Options: name=seccomp, name=cgroupns",
        "Total Memory: 4GiB",
    ]
    assert onggi_command("info", "-f", "{{.MemTotal}}") == f"{4 << 30}\n"


def test_root_goes_to_the_engine(engine: Engine, onggi_command: Output) -> None:
    onggi_command("--root", "/else", "ps")
    assert engine.root == "/else"
    onggi_command("ps")
    assert engine.root is None
