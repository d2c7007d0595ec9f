"""The entry: what is said where, and which code comes out."""

import os
import subprocess
import sys
from types import ModuleType

import pytest

from onggi.cli import main as entry
from onggi.cli.invocation import sentence
from onggi.cli.main import main
from onggi.cli.options import Command
from onggi.errors import Conflict, InvalidInput
from support.repository import ROOT

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_at_the_top(words: list[str], capsys: Captured) -> None:
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Usage:  onggi [OPTIONS] COMMAND [ARG...]\n")
    assert err == ""


@pytest.mark.parametrize(
    "words", [["ps", "--help"], ["ps", "-h"], ["help", "ps"], ["--help", "ps"]]
)
def test_help_of_a_command(words: list[str], capsys: Captured) -> None:
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("Usage:  onggi ps [OPTIONS]\n\nList containers\n")


@pytest.mark.parametrize("words", [["volume"], ["volume", "--help"], ["help", "volume"]])
def test_help_of_a_management_word(words: list[str], capsys: Captured) -> None:
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("Usage:  onggi volume COMMAND\n")


def test_the_spelling_stays_as_it_was_typed(capsys: Captured) -> None:
    assert main(["container", "ls", "x"]) == 1
    usage = "usage: onggi container ls [OPTIONS]"
    said = f"onggi: 'onggi container ls' accepts no arguments ({usage})\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("word", ["--version", "-v"])
def test_version(word: str, capsys: Captured) -> None:
    assert main([word]) == 0
    assert capsys.readouterr().out == "Onggi version 0.1.0\n"


WAIT = "onggi wait CONTAINER [CONTAINER...]"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--frob"], 125, "unknown flag: --frob (see 'onggi --help')"),
        (["--root"], 125, "flag needs an argument: --root (see 'onggi --help')"),
        (
            ["--root=", "ps"],
            125,
            'invalid argument "" for "--root" flag: it names no directory',
        ),
        (["frobnicate"], 1, "unknown command: onggi frobnicate (see 'onggi --help')"),
        (["help", "frobnicate"], 1, "unknown command: onggi frobnicate (see 'onggi --help')"),
        (
            ["wait"],
            1,
            f"'onggi wait' requires at least 1 argument (usage: {WAIT})",
        ),
    ],
)
def test_refusals_are_one_line(words: list[str], code: int, said: str, capsys: Captured) -> None:
    assert main(words) == code
    assert capsys.readouterr() == ("", f"onggi: {said}\n")


def command_that(raises: BaseException, failure: int = 1) -> ModuleType:
    """A command's module, which only fails."""

    def execute(_given: object, _invocation: object) -> int:
        print("said before")
        raise raises

    module = ModuleType("failing")
    vars(module).update(COMMAND=Command(description="", failure=failure), execute=execute)
    return module


class NotExecutable(Conflict):
    exit_code = 126


@pytest.mark.parametrize(
    ("error", "failure", "code", "said"),
    [
        (Conflict("it runs", hint="stop it"), 1, 1, "it runs (stop it)"),
        (InvalidInput("no such mode"), 1, 1, "no such mode"),
        (Conflict("it runs"), 125, 125, "it runs"),
        (NotExecutable("not executable"), 125, 126, "not executable"),
        (FileNotFoundError(2, "No such file", b"/x"), 1, 1, "no such file: /x"),
        (PermissionError(1, "Operation not permitted"), 1, 1, "operation not permitted"),
        (OSError("two\nlines"), 1, 1, "two lines"),
        (
            KeyError("x"),
            125,
            125,
            "this is a bug of ours: KeyError: 'x' (--debug before the command shows where)",
        ),
    ],
)
def test_failures(
    error: Exception,
    failure: int,
    code: int,
    said: str,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(entry, "load", lambda _name: command_that(error, failure))
    assert main(["version"]) == code
    assert capsys.readouterr() == ("said before\n", f"onggi: {said}\n")


def test_debug_shows_where(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "load", lambda _name: command_that(Conflict("it runs")))
    assert main(["--debug", "version"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):\n")
    assert err.endswith("onggi: it runs\n")


def test_an_interrupt_is_quiet(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "load", lambda _name: command_that(KeyboardInterrupt()))
    assert main(["version"]) == 130
    assert capsys.readouterr().err == ""


def test_an_error_without_words_has_its_name() -> None:
    assert sentence(ValueError()) == "ValueError"


def run_into(
    stdout: int, *words: str, stderr: int = subprocess.PIPE
) -> "subprocess.CompletedProcess[bytes]":
    program = "import sys; from onggi.cli.main import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=stdout,
        stderr=stderr,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("words", [["--version"], ["help", "run"]], ids=["little", "much"])
def test_a_reader_that_has_left_is_no_news(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run_into(writing, *words)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_broken_pipe_of_the_engine_is_news(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = BrokenPipeError(32, "Broken pipe")
    monkeypatch.setattr(entry, "load", lambda _name: command_that(error))
    assert main(["version"]) == 1
    assert capsys.readouterr().err == "onggi: broken pipe\n"


@pytest.mark.parametrize("words", [["--version"], ["help", "run"]], ids=["little", "much"])
def test_a_full_disk_is_said(words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = run_into(full.fileno(), *words)
    assert done.returncode == 1
    assert done.stderr.startswith(b"onggi: ")
    assert done.stderr.endswith(b"no space left on device\n")
    assert done.stderr.count(b"\n") == 1


def test_a_terminal_that_is_gone_is_not_spoken_to() -> None:
    with open("/dev/full", "wb") as full:
        done = run_into(subprocess.DEVNULL, "frobnicate", stderr=full.fileno())
    assert done.returncode == 1
