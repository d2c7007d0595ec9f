"""`--mount type=…,source=…,target=…`: Docker's long spelling of volumes.

Source: docs.docker.com/reference/cli/docker/container/run, "--mount".
"""

from __future__ import annotations

from onggi.cli.options import bad_value

_SPELLINGS = {
    "src": "source",
    "destination": "target",
    "dst": "target",
    "ro": "readonly",
}
_KEYS = ("type", "source", "target", "readonly", "tmpfs-size", "tmpfs-mode")
_TYPES = ("bind", "volume", "tmpfs")


def mount(raw: str) -> dict[str, object]:
    """Return one mount: type, source, target and readonly.

    Raises: UsageError: an unknown key or type, no target, a source where none can be.
    """
    fields = dict(_pair(raw, part) for part in raw.split(","))
    fields.setdefault("type", "volume")
    problem = _problem(fields)
    if problem:
        raise bad_value("--mount", raw, problem)
    return {
        "type": fields["type"],
        "source": fields.get("source", ""),
        "target": fields["target"],
        "readonly": _truth(raw, fields.get("readonly", "false")),
    }


def is_tmpfs(raw: str) -> bool:
    """Tell whether a mount is one of memory, which `tmpfs` reads."""
    return "type=tmpfs" in raw.split(",")


def tmpfs(raw: str) -> str:
    """Return a mount of type tmpfs as `--tmpfs` spells it: `/run:size=64m,mode=1777`."""
    fields = dict(_pair(raw, part) for part in raw.split(","))
    problem = _problem(fields)
    if problem:
        raise bad_value("--mount", raw, problem)
    options = [
        f"{key}={fields[f'tmpfs-{key}']}" for key in ("size", "mode") if f"tmpfs-{key}" in fields
    ]
    if _truth(raw, fields.get("readonly", "false")):
        options.append("ro")
    return f"{fields['target']}:{','.join(options)}" if options else fields["target"]


def _pair(raw: str, part: str) -> tuple[str, str]:
    key, equals, value = part.partition("=")
    key = _SPELLINGS.get(key.lower(), key.lower())
    if key not in _KEYS:
        raise bad_value("--mount", raw, f"unexpected key '{key}'; there are {', '.join(_KEYS)}")
    if not equals and key != "readonly":
        raise bad_value("--mount", raw, f"'{part}' must be a key=value pair")
    return key, value if equals else "true"


def _problem(fields: dict[str, str]) -> str:
    kind = fields["type"]
    if kind not in _TYPES:
        return f"unknown type '{kind}'; there are {', '.join(_TYPES)}"
    if not fields.get("target", "").startswith("/"):
        return "target must be an absolute path"
    if kind == "bind" and not fields.get("source", "").startswith("/"):
        return "source of a bind mount must be an absolute path"
    if kind == "tmpfs" and "source" in fields:
        return "a tmpfs has no source"
    if kind != "tmpfs" and ("tmpfs-size" in fields or "tmpfs-mode" in fields):
        return "tmpfs-size and tmpfs-mode go with type=tmpfs"
    return ""


def _truth(raw: str, text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise bad_value("--mount", raw, "readonly is true or false")
    return text.lower() in ("true", "1")
