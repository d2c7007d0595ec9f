"""`--security-opt` as people write it: a seccomp profile by the name of its file."""

from __future__ import annotations

import json

from onggi.cli.options import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_WORDS = ("", "unconfined", "default", "builtin")


def security_options(raws: Iterable[str]) -> list[str]:
    """Return what was said, with the text of each profile that a file was named for.

    Raises: UsageError: there is no such file, or it is no JSON.
    """
    return [_filled_in(raw) for raw in raws]


def _filled_in(raw: str) -> str:
    key, value = raw[:7], raw[8:]
    if key != "seccomp" or raw[7:8] not in ("=", ":") or value in _WORDS:
        return raw
    try:
        with open(value, encoding="utf-8") as file:
            return f"seccomp={json.dumps(json.load(file), separators=(',', ':'))}"
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise UsageError(f"cannot read seccomp profile {value}: {reason}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"seccomp profile {value} is not JSON: {error}") from error
