"""`--mount type=…,source=…,target=…`: Docker's long spelling of volumes.

The value is one line of comma-separated values, so that a path with a comma goes in quotes:
`"source=/a,b"`.

Source: docs.docker.com/reference/cli/docker/container/run, "--mount"; docker/cli opts/mount.go.
"""

from __future__ import annotations

import os

from onggi.cli.options import bad_value

_SPELLINGS = {
    "src": "source",
    "destination": "target",
    "dst": "target",
    "ro": "readonly",
}
_SWITCHES = ("readonly", "volume-nocopy", "bind-nonrecursive")
_KEYS = (
    *("type", "source", "target", "readonly", "bind-propagation", "bind-recursive"),
    *("bind-nonrecursive", "volume-nocopy", "tmpfs-size", "tmpfs-mode", "consistency"),
)
_TYPES = ("bind", "volume", "tmpfs")
_PROPAGATION = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
_RECURSION = ("enabled", "disabled", "writable", "readonly")


def mount(raw: str) -> dict[str, object]:
    """Return one mount: type, source, target, readonly, and what else was said of it.

    Raises: UsageError: an unknown key or type, no target, a source where none can be.
    """
    fields = _fields(raw)
    found: dict[str, object] = {
        "type": fields["type"],
        "source": _source(fields),
        "target": fields["target"],
        "readonly": _on(fields, "readonly"),
    }
    if "bind-propagation" in fields:
        found["propagation"] = fields["bind-propagation"]
    recursion = "disabled" if _on(fields, "bind-nonrecursive") else fields.get("bind-recursive")
    if recursion:
        found["recursive"] = recursion
    if _on(fields, "volume-nocopy"):
        found["nocopy"] = True
    return found


def is_tmpfs(raw: str) -> bool:
    """Tell whether a mount is one of memory, which `tmpfs` reads."""
    return any(word.strip().lower() == "type=tmpfs" for word in _words(raw))


def tmpfs(raw: str) -> str:
    """Return a mount of type tmpfs as `--tmpfs` spells it: `/run:size=64m,mode=1777`."""
    fields = _fields(raw)
    options = [
        f"{key}={fields[f'tmpfs-{key}']}" for key in ("size", "mode") if f"tmpfs-{key}" in fields
    ]
    if _on(fields, "readonly"):
        options.append("ro")
    return f"{fields['target']}:{','.join(options)}" if options else fields["target"]


def _fields(raw: str) -> dict[str, str]:
    fields = dict(_pair(raw, word) for word in _words(raw))
    fields["type"] = fields.get("type", "volume").lower()
    problem = _problem(fields) or _mismatch(fields)
    if problem:
        raise bad_value("--mount", raw, problem)
    return fields


def _words(raw: str) -> list[str]:
    if '"' not in raw:
        return raw.split(",") if raw else []
    import csv

    return next(csv.reader([raw]))


def _pair(raw: str, word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    key = _SPELLINGS.get(key.strip().lower(), key.strip().lower())
    if key not in _KEYS:
        raise bad_value("--mount", raw, f"unexpected key '{key}'; there are {', '.join(_KEYS)}")
    if not equals and key not in _SWITCHES:
        raise bad_value("--mount", raw, f"'{word}' must be a key=value pair")
    if key in _SWITCHES and equals and value.lower() not in ("true", "false", "1", "0"):
        raise bad_value("--mount", raw, f"{key} is true or false")
    return key, value if equals else "true"


def _problem(fields: dict[str, str]) -> str:
    """Say what is wrong with a mount as a whole, or ""."""
    kind = fields["type"]
    if kind not in _TYPES:
        return f"unknown type '{kind}'; there are {', '.join(_TYPES)}"
    if not fields.get("target"):
        return "target is required"
    if not fields["target"].startswith("/"):
        return "target must be an absolute path"
    if kind == "bind" and not _source(fields).startswith("/"):
        return "source of a bind mount must be an absolute path, or begin with ./"
    if kind == "tmpfs" and "source" in fields:
        return "a tmpfs has no source"
    for key, values in (("bind-propagation", _PROPAGATION), ("bind-recursive", _RECURSION)):
        if fields.get(key, values[0]) not in values:
            return f"{key} is one of {', '.join(values)}"
    if fields.get("bind-recursive") == "readonly" and not _on(fields, "readonly"):
        return "bind-recursive=readonly goes with readonly"
    return ""


def _mismatch(fields: dict[str, str]) -> str:
    """Say which key belongs to another type of mount, or ""."""
    for key in fields:
        kind = key.partition("-")[0]
        if "-" in key and kind != fields["type"]:
            return f"{key} goes with type={kind}"
    return ""


def _source(fields: dict[str, str]) -> str:
    """Return the source; a directory of the caller's may be told by where it is from here."""
    source = fields.get("source", "")
    is_near = source in (".", "..") or source.startswith(("./", "../"))
    return os.path.abspath(source) if fields["type"] == "bind" and is_near else source


def _on(fields: dict[str, str], key: str) -> bool:
    return fields.get(key, "false").lower() in ("true", "1")
