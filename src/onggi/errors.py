"""Classes of failure, by what the caller can do about them.

    OnggiError
    ├── InvalidInput     what was asked for makes no sense: change the request
    ├── NotFound         the thing named does not exist: name another
    ├── AlreadyExists    the name is taken: choose another, or remove the old one
    ├── Conflict         the thing's state forbids it now: change that state first
    ├── Denied           the caller may not do this: become someone who may
    ├── Unsupported      this kernel or host lacks something: it is named
    ├── Unavailable      it may work later: try again
    ├── Corrupt          bytes do not match their digest or format: fetch them again
    └── Internal         a bug of ours: report it

Classes below these belong to the module that raises them. Test the class, never the text.
`http_status` is read by ``api`` and `exit_code` by ``cli``, by nobody else.
"""


class OnggiError(Exception):
    """What every failure that Onggi understands derives from.

    The message is one line, lower case, without a full stop; `hint` says what would be right.
    """

    http_status = 500
    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InvalidInput(OnggiError):
    """What was asked for makes no sense; asking again unchanged fails again."""

    http_status = 400
    exit_code = 125


class NotFound(OnggiError):
    """The thing that was named does not exist."""

    http_status = 404


class AlreadyExists(OnggiError):
    """The name is taken."""

    http_status = 409


class Conflict(OnggiError):
    """The thing exists, and its present state forbids what was asked."""

    http_status = 409


class Denied(OnggiError):
    """The caller may not do this."""

    http_status = 403


class Unsupported(OnggiError):
    """This kernel, machine or host lacks what it takes; the message names it."""

    http_status = 501


class Unavailable(OnggiError):
    """It failed for a reason that may pass."""

    http_status = 503


class Corrupt(OnggiError):
    """Bytes that differ from their digest, size or format."""


class Internal(OnggiError):
    """A bug of ours."""
