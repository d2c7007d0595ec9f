"""Seccomp filters of profiles that people bring, compiled once and then read from a file."""

from __future__ import annotations

import hashlib
import json
import os

from onggi.errors import InvalidInput
from onggi.runtime.seccomp import cache
from onggi.runtime.seccomp.compile import compile_filter
from onggi.runtime.seccomp.flags import filter_flags
from onggi.runtime.seccomp.profile import kernel_version, resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def filter_file(text: str, capabilities: Iterable[str], cache_directory: str) -> tuple[str, int]:
    """Return the path of the filter that a profile in Docker's format makes, and its flags.

    Args: text: the profile, as JSON. capabilities, cache_directory: as for `cache.filter_file`.
    Raises: InvalidInput: it is no profile, contradicts itself, or wants somebody to be asked;
        Unsupported: no filter for this machine.
    """
    host = os.uname()
    seccomp = _resolved(text, tuple(sorted(set(capabilities))), host.machine, host.release)
    meaning = json.dumps(seccomp, sort_keys=True).encode()
    key = f"{cache.VERSION}-{host.machine}-{hashlib.sha256(meaning).hexdigest()}"
    flags = filter_flags(seccomp)
    return cache.kept_file(key, cache_directory, lambda: _compiled(seccomp, host.machine)), flags


def _resolved(text: str, names: tuple[str, ...], machine: str, release: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the seccomp profile is not JSON: {error}") from error
    if not isinstance(document, dict) or "defaultAction" not in document:
        raise InvalidInput("the seccomp profile has no defaultAction")
    try:
        seccomp = resolve(document, names, machine, kernel_version(release))
        asks = any(rule["action"] == "SCMP_ACT_NOTIFY" for rule in seccomp["syscalls"])
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"the seccomp profile has an unexpected form: {error}") from error
    if asks:
        raise InvalidInput("the seccomp profile has SCMP_ACT_NOTIFY, and nobody could be asked")
    return seccomp


def _compiled(seccomp: dict[str, Any], machine: str) -> bytes:
    try:
        return compile_filter(seccomp, machine)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"the seccomp profile has an unexpected form: {error}") from error
