"""How a start fails, told across processes.

The process that fails knows the stage, the system call, its argument and errno; whoever asked for
the start is somebody else. So a failure travels as one message with these fields, and becomes an
exception again at the other end.
"""

from __future__ import annotations

import errno
import os

from onggi.errors import Internal, OnggiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from onggi.runtime.steps.base import Context, Step

_MARK = b"failed"
_ERRNO_DIGITS = 4  # MAX_ERRNO is 4095
_MOST_CHARACTERS = 4096  # of one field, which is for people; all of them fit into one message
# Whatever the locale, and also for what is no character: bytes of file names, halves of pairs.
_ENCODING = ("utf-8", "surrogatepass")
# What Linux takes, the words and the environment together. Source: execve(2), "Limits on size".
_TOO_LONG = "one argument or variable has at most 131071 bytes, all together a quarter of the stack"


class StartFailed(OnggiError):
    """A container or a process in one could not be started; nothing of it is left.

    `stage` is "host", "container" or "program"; `number` the errno, or 0 if there was none.
    The exit code is Docker's: 127 for a program that is not there, 126 for one that can't be
    executed, 125 for everything before that.
    """

    def __init__(self, stage: str, number: int, call: str, argument: str, text: str) -> None:
        call, argument, text = _short(call), _short(argument), _short(text)
        is_too_long = stage == "program" and number == errno.E2BIG
        message = _sentence(stage, number, argument, text)
        super().__init__(message, hint=_TOO_LONG if is_too_long else "")
        self.stage = stage
        self.number = number
        self.call = call
        self.argument = argument
        self.text = text
        self.exit_code = _exit_code(stage, number)

    def encode(self) -> bytes:
        """Return the message that `decode` understands."""
        fields = (self.stage, str(self.number), self.call, self.argument, self.text)
        return b"\0".join([_MARK, *(field.encode(*_ENCODING) for field in fields)])


def decode(message: bytes) -> StartFailed | None:
    """Return the failure that `message` tells, or None if it tells something else."""
    parts = message.split(b"\0")
    if parts[0] != _MARK or len(parts) != 6:
        return None
    try:
        stage, number, call, argument, text = (part.decode(*_ENCODING) for part in parts[1:])
    except UnicodeDecodeError:
        return None  # nobody of ours wrote it: the container's processes may hold the other end
    if not (number.isascii() and number.isdigit() and len(number) <= _ERRNO_DIGITS):
        return None
    return StartFailed(stage, int(number), call, argument, text)


def _short(field: str, most: int = _MOST_CHARACTERS) -> str:
    """Return what fits into a message, where a zero byte ends a field."""
    field = field.replace("\0", "\\x00")
    return field if len(field) <= most else field[: most - 1] + "…"


def from_error(stage: str, step: Step | None, error: BaseException) -> StartFailed:
    """Return the failure that `error` means, raised while `step` was applied."""
    what = step.argument() if step is not None else ""
    doing = _short(step.describe(), 1024) if step is not None else ""
    if isinstance(error, OSError):
        notes = "; ".join(note.strip() for note in getattr(error, "__notes__", ()))
        text = ": ".join(part for part in (doing, error.strerror or "") if part)
        number = error.errno or 0
        call = str(getattr(error, "syscall", ""))
        return StartFailed(stage, number, call, what, text + (f" ({notes})" if notes else ""))
    # What has a class of ours was worded for people; anything else is a bug, and its name helps.
    said = str(error) if isinstance(error, OnggiError) else f"{type(error).__name__}: {error}"
    return StartFailed(stage, 0, "", what, ": ".join(part for part in (doing, said) if part))


def apply_steps(stage: str, steps: Iterable[Step], context: Context) -> None:
    """Apply `steps` in order; the first that fails ends it, as StartFailed."""
    for step in steps:
        try:
            step.apply(context)
        except (OSError, ValueError) as error:
            raise from_error(stage_of(stage, step), step, error) from error


def stage_of(stage: str, step: Step) -> str:
    """Return "program" for a step that is about the user's program itself, else `stage`."""
    return "program" if type(step).__name__ in ("Execute", "FindProgram") else stage


def died(status: int | None) -> OnggiError:
    """Return the failure of a process that ended without a word, by its wait status if known."""
    known = "" if status is None else f" (wait status {status})"
    return Internal(f"the container's first process ended early{known}")


def _sentence(stage: str, number: int, argument: str, text: str) -> str:
    if stage != "program":
        return f"cannot start the container: {text}"
    reason = os.strerror(number).lower() if number else text
    if number == errno.ENOENT and "$PATH" in text:
        reason = "executable file not found in $PATH"
    return f'exec: "{argument}": {reason}'


def _exit_code(stage: str, number: int) -> int:
    if stage != "program":
        return 125
    return 127 if number == errno.ENOENT else 126
