"""Containers that are named by a regular expression, as crun's --regex has it.

It is one of POSIX's extended kind, and matches an identifier that has it anywhere. Python's are
nearly a superset; the classes that it lacks are spelled out, for the characters of identifiers.

Source: crun src/kill.c and delete.c; regex(7); runtime-spec has no such thing.
"""

from __future__ import annotations

from onggi.errors import InvalidInput, OnggiError
from onggi.runtime.command import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from onggi.runtime.command.runtime import Runtime

_CLASSES = {
    "[:alnum:]": "A-Za-z0-9",
    "[:alpha:]": "A-Za-z",
    "[:digit:]": "0-9",
    "[:lower:]": "a-z",
    "[:punct:]": "_+.\\-",  # those that an identifier may have
    "[:upper:]": "A-Z",
    "[:xdigit:]": "0-9A-Fa-f",
}


def identifiers(root: str, pattern: str) -> list[str]:
    """List the containers below `root` whose identifier matches. Raises: InvalidInput."""
    import re  # 7 ms, for who asks for it

    for name, characters in _CLASSES.items():
        pattern = pattern.replace(name, characters)
    try:
        expression = re.compile(pattern, re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidInput(f"invalid regular expression: {error}") from None
    return [name for name in record.identifiers(root) if expression.search(name)]


def each(pattern: str, runtime: Runtime, act: Callable[[str], object]) -> int:
    """Do something to each container that matches; return 1 if it failed for one, else 0.

    What fails is warned of, and the others have their turn: none needs to match. crun returns 0
    even then, which would tell nobody.
    """
    code = 0
    for identifier in identifiers(runtime.root, pattern):
        try:
            act(identifier)
        except OnggiError as error:
            runtime.journal.warn(f"{identifier}: {error}")
            code = 1
    return code
