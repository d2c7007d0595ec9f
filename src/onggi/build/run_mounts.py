"""``RUN --mount=…``: what is shown to one command and never becomes part of the image.

Source: buildkit, frontend/dockerfile/instructions/commands_runmount.go; docs.docker.com
"RUN --mount".
"""

from __future__ import annotations

import posixpath

from onggi.build.errors import SyntaxProblem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARING = ("shared", "private", "locked")
_SYNONYMS = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "rw": "readwrite",
}
_ALLOWED = {
    "bind": {"from", "source", "target", "readonly", "readwrite"},
    "cache": {
        *("from", "source", "target", "readonly", "readwrite"),
        *("id", "sharing", "mode", "uid", "gid"),
    },
    "tmpfs": {"target", "size", "readonly", "readwrite"},
    "secret": {"id", "source", "target", "required", "env", "mode", "uid", "gid"},
}
_SWITCHES = ("readonly", "readwrite", "required")


class RunMount:
    """One mount of one RUN, checked.

    Attributes:
        source_stage: the stage or image that `from` named, empty for the context.
        target: an absolute path, or one relative to the working directory; empty for a secret
            that is only an environment variable.
        id: of a cache or a secret. mode, uid, gid: None where nothing was said.
    """

    __slots__ = (
        "env",
        "gid",
        "id",
        "mode",
        "read_only",
        "required",
        "sharing",
        "size",
        "source",
        "source_stage",
        "target",
        "type",
        "uid",
    )

    def __init__(self, kind: str, said: dict[str, str]) -> None:
        self.type = kind
        self.source_stage = said.get("from", "")
        self.source = said.get("source", "")
        self.target = said.get("target", "")
        self.read_only = _read_only(kind, said)
        self.required = _truth("required", said.get("required", "false"))
        self.id = said.get("id", "")
        self.env = said.get("env", "")
        self.sharing = said.get("sharing", "shared").lower()
        self.size = _size(said.get("size", "0"))
        self.mode = _number("mode", said, 8)
        self.uid = _number("uid", said, 10)
        self.gid = _number("gid", said, 10)

    def key(self) -> dict[str, object]:
        """What of the mount counts for the cache: never what a secret or a cache holds."""
        skipped = ("required",) if self.type == "secret" else ()
        return {name: getattr(self, name) for name in self.__slots__ if name not in skipped}


def stages_of_mounts(texts: tuple[str, ...]) -> list[str]:
    """Name the stages and images that mounts take files from, before anything is expanded.

    Raises: SyntaxProblem: a name holds a variable, so that it cannot be known now.
    """
    stages = []
    for text in texts:
        said = _fields(text, lambda value: value)
        stage = said.get("from", "")
        if "$" in stage:
            raise SyntaxProblem(
                "'from' doesn't support variable expansion, define alias stage instead"
            )
        if stage and said.get("type") != "tmpfs":
            stages.append(stage)
    return stages


def read_mount(text: str, expand: Callable[[str], str]) -> RunMount:
    """Read one ``--mount`` with its variables expanded.

    Raises: SyntaxProblem: unknown keys, values that make no sense, or ssh, which is not there.
    """
    said = _fields(text, expand)
    kind = said.pop("type", "bind").lower()
    if kind not in _TYPES:
        raise SyntaxProblem(f'unsupported mount type "{kind}"; {", ".join(_TYPES[:-1])} are')
    if kind == "ssh":
        raise SyntaxProblem("mounts of type ssh are not supported yet; pass a key as a secret")
    for key in said:
        if key not in _ALLOWED[kind]:
            raise SyntaxProblem(f"unexpected key '{key}' for mount type '{kind}'")
    mount = RunMount(kind, said)
    _check(mount)
    return mount


def _fields(text: str, expand: Callable[[str], str]) -> dict[str, str]:
    said = {}
    for field in _split(text):
        key, equals, value = field.partition("=")
        key = key.strip().lower()
        key = _SYNONYMS.get(key, key)
        if not equals and key not in _SWITCHES:
            raise SyntaxProblem(f"invalid field '{field}' must be a key=value pair")
        said[key] = expand(value) if equals else "true"
    return said


def _split(text: str) -> list[str]:
    """Split at commas; a field that holds one is quoted, as in a CSV file."""
    if '"' not in text:
        return text.split(",")
    import csv

    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise SyntaxProblem(f"failed to parse csv mounts: {error}") from None


def _check(mount: RunMount) -> None:
    if mount.sharing not in _SHARING:
        raise SyntaxProblem(f'unsupported sharing value "{mount.sharing}"; {", ".join(_SHARING)}')
    if mount.type == "secret":
        _check_secret(mount)
    elif not mount.target:
        raise SyntaxProblem(f"mount of type {mount.type} has no target")
    elif posixpath.normpath(f"/{mount.target}") in ("/", "//"):
        raise SyntaxProblem(f'invalid mount target "{mount.target}"')


def _check_secret(mount: RunMount) -> None:
    if mount.source and mount.id:
        raise SyntaxProblem("both source and id can't be set")
    mount.id = mount.id or mount.source or posixpath.basename(mount.target)
    mount.source = ""
    if not mount.id:
        raise SyntaxProblem("invalid secret mount. one of source, target required")
    if not mount.target and not mount.env:
        mount.target = f"/run/secrets/{posixpath.basename(mount.id)}"


def _read_only(kind: str, said: dict[str, str]) -> bool:
    """Caches and tmpfs are writable unless told otherwise; the rest is not."""
    if "readwrite" in said:
        return not _truth("readwrite", said["readwrite"])
    return _truth("readonly", said.get("readonly", str(kind in ("bind", "secret"))))


def _truth(key: str, value: str) -> bool:
    if value.lower() in ("1", "t", "true"):
        return True
    if value.lower() in ("0", "f", "false"):
        return False
    raise SyntaxProblem(f"invalid value for {key}: {value}")


def _number(key: str, said: dict[str, str], base: int) -> int | None:
    if key not in said:
        return None
    try:
        value = int(said[key], base)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 32:
        raise SyntaxProblem(f"invalid value {said[key]} for {key}")
    return value


def _size(text: str) -> int:
    from onggi.errors import InvalidInput
    from onggi.resources.spelling import parse_size

    try:
        return parse_size(text) if text != "0" else 0
    except InvalidInput as error:
        raise SyntaxProblem(f"invalid value for size: {error}") from None
