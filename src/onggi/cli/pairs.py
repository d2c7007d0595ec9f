"""`KEY=VALUE` in its several uses: environment, labels, filters, build arguments."""

from __future__ import annotations

import os

from onggi.cli.options import UsageError, bad_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from onggi.cli.options import Given


def environment(given: Given) -> list[str]:
    """Return what `--env-file` and `--env` set, files first, in order.

    A name alone takes its value from the caller's environment; when that lacks it too, the name
    is passed on alone, which unsets what the image set.
    """
    lines = [line for path in given.texts("env-file") for line in _file_lines(path)]
    return lines + [_variable(raw) for raw in given.texts("env")]


def _variable(raw: str) -> str:
    if not raw or raw.startswith("="):
        raise bad_value("-e, --env", raw, "expected NAME=VALUE or NAME")
    return _filled_in(raw)


def _filled_in(raw: str) -> str:
    if "=" in raw or raw not in os.environ:
        return raw
    return f"{raw}={os.environ[raw]}"


def _file_lines(path: str) -> list[str]:
    """Read an environment file: a variable a line.

    Source: docs.docker.com/reference/cli/docker/container/run, "--env-file".
    """
    return [_file_variable(path, line) for line in _lines(path, "environment")]


def _lines(path: str, kind: str) -> list[str]:
    """Read a file of a pair a line; `#` begins a comment's line, nothing is unquoted."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [line.rstrip("\r\n").lstrip() for line in file]
    except UnicodeDecodeError:
        raise UsageError(f"{kind} file {path} is not UTF-8 text") from None
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise UsageError(f"cannot read {kind} file {path}: {reason}") from error
    return [line for line in lines if line and not line.startswith("#")]


def _file_variable(path: str, line: str) -> str:
    name = line.partition("=")[0]
    if not name:
        raise UsageError(f"environment file {path}: no variable name on line '{line}'")
    if any(letter.isspace() for letter in name):
        raise UsageError(f"environment file {path}: variable '{name}' contains white space")
    return _filled_in(line)


def label_lines(given: Given) -> list[str]:
    """Return the labels that `--label-file` names, in order, as `labels` reads them."""
    return [line for path in given.texts("label-file") for line in _lines(path, "label")]


def labels(raws: Iterable[str]) -> dict[str, str]:
    """Return labels; a name alone has an empty value, and the last of equal names counts."""
    found = {}
    for raw in raws:
        name, _, value = raw.partition("=")
        if not name:
            raise bad_value("-l, --label", raw, "expected NAME=VALUE or NAME")
        found[name] = value
    return found


def container_annotations(raws: Iterable[str]) -> dict[str, str]:
    """Return annotations of a container; the last of equal names counts."""
    return _assigned(raws, "--annotation", "expected NAME=VALUE")


def manifest_annotations(raws: Iterable[str]) -> dict[str, str]:
    """Return annotations of a manifest; Docker's `manifest:` before a name is what is meant anyway.

    Source: docs.docker.com, buildx build, "--annotation".
    """
    found = {}
    for raw in raws:
        name, equals, value = raw.removeprefix("manifest:").partition("=")
        if not equals or not name or name.startswith(("index:", "manifest-descriptor:")):
            raise bad_value("--annotation", raw, "expected NAME=VALUE, for the manifest")
        found[name] = value
    return found


def sysctls(raws: Iterable[str]) -> dict[str, str]:
    """Return kernel parameters; the last of equal names counts."""
    return _assigned(raws, "--sysctl", "expected NAME=VALUE, as in net.core.somaxconn=1024")


def _assigned(raws: Iterable[str], option: str, expected: str) -> dict[str, str]:
    found = {}
    for raw in raws:
        name, equals, value = raw.partition("=")
        if not name or not equals:
            raise bad_value(option, raw, expected)
        found[name] = value
    return found


def filters(raws: Iterable[str]) -> dict[str, list[str]]:
    """Return `--filter` conditions: the values of a name are alternatives."""
    found: dict[str, list[str]] = {}
    for raw in raws:
        name, equals, value = raw.partition("=")
        if not name or not equals:
            raise bad_value("-f, --filter", raw, "expected NAME=VALUE, as in status=running")
        found.setdefault(name.strip().lower(), []).append(value.strip())
    return found


def build_arguments(raws: Iterable[str]) -> dict[str, str]:
    """Return `--build-arg` values; a name alone is looked up in the caller's environment.

    A name that is not there either is left out, so that the Dockerfile's default holds.
    """
    found = {}
    for raw in raws:
        name, equals, value = _filled_in(raw).partition("=")
        if not name:
            raise bad_value("--build-arg", raw, "expected NAME=VALUE or NAME")
        if equals:
            found[name] = value
    return found
