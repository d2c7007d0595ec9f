"""Which option brought something about, and which one closes it."""

from __future__ import annotations

from onggi.engine.security.findings import NOTHING, Remedy
from onggi.runtime.capabilities import DEFAULT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]

PRIVILEGED = ("--privileged",)


def capability(options: Json, name: str) -> Remedy:
    """Return what takes away a capability, such as "CAP_SYS_ADMIN".

    What is both dropped and added is held, so what added it must go, too.
    """
    short = name.removeprefix("CAP_")
    without: tuple[str, ...] = PRIVILEGED if options["privileged"] else ()
    added = [word for word in options["cap_add"] if _short(word) == short]
    for word in added:
        without += ("--cap-add", word)
    everything = any(_short(word) == "ALL" for word in options["cap_add"])
    by_default = name in DEFAULT or (everything and not options["privileged"])
    return Remedy(("--cap-drop", short) if by_default else (), without)


def _short(word: str) -> str:
    return word.upper().removeprefix("CAP_")


def kernel_files(options: Json) -> Remedy:
    """Return what hides the kernel's files again, and makes what is shown read-only."""
    said = [word for word in options["security_opt"] if word.startswith("systempaths")]
    without = (
        *(PRIVILEGED if options["privileged"] else ()),
        *(word for text in said for word in ("--security-opt", text)),
    )
    return Remedy((), without)


def mount(options: Json, destination: str) -> Remedy:
    """Return what leaves out the mount at `destination`, as it was asked for."""
    without = _mount_words(options, destination)
    return Remedy((), without) if without else NOTHING


def mount_with(options: Json, destination: str, mode: str) -> Remedy:
    """Return what mounts the same otherwise, such as with the mode "ro"."""
    without = _mount_words(options, destination)
    if without[:1] == ("--volume",):
        source, target, *modes = without[1].split(":")
        kept = [word for word in ",".join(modes).split(",") if word and word not in _replaced(mode)]
        return Remedy(("--volume", ":".join((source, target, ",".join((*kept, mode))))), without)
    if without:
        words = without[1].split(",")
        kept = [word for word in words if not word.startswith("bind-propagation=")]
        long = "readonly" if mode == "ro" else f"bind-propagation={mode}"
        return Remedy(("--mount", ",".join((*(words if mode == "ro" else kept), long))), without)
    return NOTHING


def _replaced(mode: str) -> tuple[str, ...]:
    if mode in ("ro", "rw"):
        return ("ro", "rw")
    return ("private", "rprivate", "shared", "rshared", "slave", "rslave")


def _mount_words(options: Json, destination: str) -> tuple[str, ...]:
    for text in options["volumes"]:
        parts = text.split(":")
        if len(parts) > 1 and _same(parts[1], destination):
            return "--volume", text
    for words in options["mounts"]:
        if _same(words.get("target", ""), destination):
            return "--mount", _long(words)
    return ()


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")


def _long(words: Json) -> str:
    """Write a mount as `--mount` takes it."""
    text = f"type={words.get('type', 'volume')},source={words.get('source') or ''}"
    text += f",target={words.get('target', '')}"
    text += ",readonly" if words.get("readonly") else ""
    for key, long in (("propagation", "bind-propagation"), ("recursive", "bind-recursive")):
        text += f",{long}={words[key]}" if words.get(key) else ""
    return text + (",volume-nocopy" if words.get("nocopy") else "")


def devices(options: Json, path: str) -> Remedy:
    """Return what takes away the device at `path`, or all that were given."""
    without: tuple[str, ...] = PRIVILEGED if options["privileged"] else ()
    for text in options["devices"]:
        target = [part for part in text.split(":") if part.startswith("/")][-1]
        if f"{path}/".startswith(f"{target.rstrip('/')}/"):
            without += ("--device", text)
    return Remedy((), without)
