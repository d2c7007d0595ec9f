"""How a failed start is told: across processes, with every name as it was, in a few words."""

import errno
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onggi.errors import Internal
from onggi.linux import channel
from onggi.runtime import failure
from onggi.runtime.failure import StartFailed
from onggi.runtime.steps.base import Context, Step
from support.repository import SOURCE

ANY_TEXT = st.text(st.characters(exclude_characters="\0"), max_size=200)  # surrogates among them


class Say(Step):
    """A step that fails as it is told to."""

    __slots__ = ("error", "words")

    def __init__(self, error: Exception, words: str = "do it") -> None:
        self.error = error
        self.words = words

    def apply(self, context: Context) -> None:
        raise self.error

    def describe(self) -> str:
        return self.words

    def shell(self) -> list[str]:
        return []

    def argument(self) -> str:
        return self.words


class Execute(Say):
    """Named as the step that becomes the program."""


def told(failed: StartFailed) -> StartFailed:
    """Return a failure as it is at the other end."""
    message = failed.encode()
    assert len(message) <= channel.MOST_BYTES
    again = failure.decode(message)
    assert again is not None
    assert (str(again), again.exit_code, again.hint) == (
        str(failed),
        failed.exit_code,
        failed.hint,
    )
    return again


@given(call=ANY_TEXT, argument=ANY_TEXT, text=ANY_TEXT, number=st.integers(0, 133))
def test_every_field_arrives(call: str, argument: str, text: str, number: int) -> None:
    again = told(StartFailed("container", number, call, argument, text))
    assert (again.stage, again.number) == ("container", number)
    assert (again.call, again.argument, again.text) == (call, argument, text)


@pytest.mark.parametrize("name", [os.fsdecode(b"caf\xe9"), "half \ud83d", "caf\xe9", "옹기"])
def test_names_that_are_no_text(name: str) -> None:
    again = told(StartFailed("program", errno.ENOENT, "execve", name, ""))
    assert again.argument == name
    assert str(again) == f'exec: "{name}": no such file or directory'


def test_a_zero_byte_ends_no_field() -> None:
    again = told(StartFailed("program", 0, "", "a\0b", "embedded null byte"))
    assert (again.argument, again.text) == (r"a\x00b", "embedded null byte")


def test_the_locale_does_not_matter() -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(SOURCE.parent)!r})\n"
        "from onggi.runtime.failure import StartFailed\n"
        "failed = StartFailed('program', 2, '', '\\uc639\\uae30 \\udce9', '')\n"
        "sys.stdout.buffer.write(failed.encode())\n"
    )
    command = [sys.executable, "-X", "utf8=0", "-c", script]
    settings = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    again = failure.decode(subprocess.check_output(command, env=settings))
    assert again is not None
    assert again.argument == "옹기 \udce9"


def test_long_fields_are_cut_to_fit_into_a_message() -> None:
    failed = StartFailed("host", errno.EIO, "c" * 10**6, "옹" * 10**6, "\U0001f600" * 10**6)
    again = told(failed)
    assert len(again.text) == len(again.argument) == 4096
    assert again.text.endswith("\U0001f600…")


def test_a_search_that_failed_is_told_however_long_the_command() -> None:
    missing = OSError(errno.ENOENT, "executable file not found in $PATH", "x")
    failed = told(failure.from_error("program", Say(missing, "become " + "x" * 10**6), missing))
    assert str(failed).endswith('…": executable file not found in $PATH')
    assert failed.exit_code == 127


def test_too_long_a_command_line_tells_the_limit() -> None:
    failed = told(StartFailed("program", errno.E2BIG, "execve", "echo", ""))
    assert failed.message == 'exec: "echo": argument list too long'
    assert "131071 bytes" in failed.hint
    assert failed.exit_code == 126


@pytest.mark.parametrize(
    ("stage", "number", "code"),
    [
        ("program", errno.ENOENT, 127),
        ("program", errno.EACCES, 126),
        ("program", errno.ENOEXEC, 126),
        ("program", 0, 126),
        ("container", errno.ENOENT, 125),
        ("host", errno.ENOSPC, 125),
    ],
)
def test_exit_codes_are_docker_s(stage: str, number: int, code: int) -> None:
    assert StartFailed(stage, number, "", "", "text").exit_code == code


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"ready",
        b"failed",
        b"failed\0a\0b",
        b"x\0a\0001\0b\0c\0d",
        b"failed\0host\0001\0\xff\0b\0c",
        b"failed\0host\0-1\0a\0b\0c",
        b"failed\0host\0\xc2\xb2\0a\0b\0c",
        b"failed\0host\00011111\0a\0b\0c",
    ],
)
def test_something_else_is_no_failure(message: bytes) -> None:
    assert failure.decode(message) is None


def test_the_first_step_that_fails_ends_it() -> None:
    noted = OSError(errno.EPERM, os.strerror(errno.EPERM))
    noted.add_note("in mount(2)")
    with pytest.raises(StartFailed) as caught:
        failure.apply_steps("container", [Say(noted), Say(OSError(errno.EIO, "no"))], Context())
    failed = caught.value
    assert (failed.stage, failed.number, failed.argument) == ("container", errno.EPERM, "do it")
    assert str(failed) == (
        "cannot start the container: do it: Operation not permitted (in mount(2))"
    )


def test_the_last_step_s_failure_is_the_program_s() -> None:
    with pytest.raises(StartFailed, match="embedded null") as caught:
        failure.apply_steps("container", [Execute(ValueError("embedded null byte"))], Context())
    assert (caught.value.stage, caught.value.number) == ("program", 0)


def test_bugs_are_not_failures_of_a_step() -> None:
    with pytest.raises(TypeError):
        failure.apply_steps("host", [Say(TypeError("a bug"))], Context())


def test_a_death_without_a_word_is_internal() -> None:
    died = failure.died(9)
    assert isinstance(died, Internal)
    assert "wait status 9" in str(died)
