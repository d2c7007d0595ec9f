"""Filters of listings: which containers, images and volumes `--filter` lets pass.

Several values of one key are alternatives, several keys all hold; of labels all values hold.

Source: moby daemon/list.go, daemon/images/images.go; api/types/filters (Match: a regular
expression, found anywhere); distribution/reference, FamiliarMatch.
"""

from __future__ import annotations

import re
from math import inf

from onggi.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from onggi.engine.container import Container
    from onggi.engine.engine import Engine
    from onggi.engine.volumes import Volume
    from onggi.image.listing import ImageSummary
    from onggi.oci.reference import Reference

    Filters = Mapping[str, list[str]]
    Passes = Callable[[Container], bool]
    ImagePasses = Callable[[ImageSummary], bool]
    VolumePasses = Callable[[Volume], bool]

_STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
_HEALTH = ("starting", "healthy", "unhealthy", "none")
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


class UnknownFilter(InvalidInput):
    """No listing of this kind has such a filter."""

    exit_code = 1

    def __init__(self, key: str, known: Iterable[str]) -> None:
        super().__init__(f"invalid filter '{key}'", hint=f"there are {', '.join(sorted(known))}")
        self.key = key


class InvalidFilter(InvalidInput):
    """A filter has a value that it can't have."""

    exit_code = 1

    def __init__(self, key: str, value: str, hint: str) -> None:
        super().__init__(f"invalid filter '{key}={value}'", hint=hint)
        self.key = key
        self.value = value


def container_filter(filters: Filters, engine: Engine) -> Passes:
    """Return what tells whether a container passes all filters.

    Keys: ancestor (an image that it stands on), before and since (a container), exited (code),
    health, id, name (regular expressions), label (name or name=value), network, status, volume.

    Raises: UnknownFilter, InvalidFilter; ContainerNotFound, ImageNotFound: one is named that does
        not exist.
    """
    _require_known(filters, _CONTAINER)
    tests = [_CONTAINER[key](values, engine) for key, values in filters.items()]
    return lambda one: all(test(one) for test in tests)


def image_filter(filters: Filters, engine: Engine) -> ImagePasses:
    """Return what tells whether an image passes all filters but `reference`.

    Keys: before and since (an image), dangling (whether it has no name), label, reference (see
    `matching`).

    Raises: UnknownFilter, InvalidFilter; ImageNotFound: one is named that does not exist.
    """
    _require_known(filters, _IMAGE)
    tests = [_IMAGE[key](values, engine) for key, values in filters.items()]
    return lambda one: all(test(one) for test in tests)


def volume_filter(filters: Filters, used: Collection[str]) -> VolumePasses:
    """Return what tells whether a volume passes all filters.

    Keys: dangling (whether no container has it), driver, label, name (found anywhere in it).

    Args: used: the names of those that containers have.
    Raises: UnknownFilter, InvalidFilter.
    """
    known: dict[str, VolumePasses] = {
        "dangling": lambda one: (one.name not in used) in _truths(filters, "dangling"),
        "driver": lambda _one: "local" in filters["driver"],
        "label": lambda one: has_labels(one.labels, filters["label"]),
        "name": lambda one: any(text in one.name for text in filters["name"]),
    }
    _require_known(filters, known)
    _truths(filters, "dangling")
    return lambda one: all(known[key](one) for key in filters)


def prunable(filters: Filters) -> VolumePasses:
    """Return what tells whether a volume that no container has may be removed unasked.

    Keys: all (true: named ones too), label, label! (not this label).

    Raises: UnknownFilter, InvalidFilter.
    """
    _require_known(filters, ("all", "label", "label!"))
    named_too = True in _truths(filters, "all")

    return lambda one: _is_wanted(one.labels, filters) and (named_too or one.is_anonymous)


def prunable_container(filters: Filters) -> Passes:
    """Return what tells whether a container that does not run may be removed unasked.

    Keys: label, label! (not this label), until (only those made before this moment, in seconds
    since 1970).

    Raises: UnknownFilter, InvalidFilter.
    """
    _require_known(filters, ("label", "label!", "until"))
    until = _until(filters)
    return lambda one: (
        _is_wanted(one.record["labels"], filters) and one.record["created_ns"] / 1e9 < until
    )


def prunable_image(filters: Filters) -> ImagePasses:
    """Return what tells whether an image that no container uses may be removed unasked.

    Keys: dangling (false: those with a name too), label, label! (not this label), until (only
    those made before this moment, in seconds since 1970).

    Raises: UnknownFilter, InvalidFilter.
    """
    _require_known(filters, ("dangling", "label", "label!", "until"))
    from onggi.image.moments import seconds_since_1970

    named_too = False in _truths(filters, "dangling")
    until = _until(filters)

    def passes(one: ImageSummary) -> bool:
        in_time = (seconds_since_1970(one.created) or 0) < until
        return _is_wanted(one.labels, filters) and in_time and (named_too or one.dangling)

    return passes


def _is_wanted(labels: Mapping[str, str], filters: Filters) -> bool:
    """Tell whether `label` lets something pass and no `label!` spares it."""
    spared = any(has_labels(labels, [text]) for text in filters.get("label!", ()))
    return has_labels(labels, filters.get("label", [])) and not spared


def _until(filters: Filters) -> float:
    """Return the moment before which things must be made, in seconds since 1970."""
    return min(map(_moment, filters.get("until", ())), default=inf)


def _moment(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidFilter("until", text, "seconds since 1970") from None


def _truths(filters: Filters, key: str) -> set[bool]:
    for value in filters.get(key, ()):
        if value.lower() not in _TRUTHS:
            raise InvalidFilter(key, value, "true or false")
    return {_TRUTHS[value.lower()] for value in filters.get(key, ())}


def matching(references: Iterable[Reference], patterns: list[str]) -> list[Reference]:
    """Return those names that one of the patterns matches: `busy*`, `*:latest`, `a/*`."""
    found = [_glob(pattern) for pattern in patterns]
    return [
        one
        for one in references
        if any(each.fullmatch(one.familiar) or each.fullmatch(one.familiar_name) for each in found)
    ]


def _require_known(filters: Filters, known: Iterable[str]) -> None:
    for key in filters:
        if key not in known:
            raise UnknownFilter(key, known)


def _expressions(key: str, values: list[str]) -> list[re.Pattern[str]]:
    found = []
    for value in values:
        try:
            found.append(re.compile(value))
        except re.error as error:
            raise InvalidFilter(key, value, f"no regular expression: {error}") from error
    return found


def _glob(pattern: str) -> re.Pattern[str]:
    """Read a pattern of Go's path.Match, whose `*` and `?` don't match a slash."""
    pieces = re.split(r"(\[[^\]]+\]|\\.|[*?])", pattern)
    try:
        return re.compile("".join(map(_expression, filter(None, pieces))))
    except re.error as error:
        raise InvalidFilter("reference", pattern, "no pattern") from error


def _expression(piece: str) -> str:
    if piece in ("*", "?"):
        return "[^/]" + piece.strip("?")
    return piece if piece[0] in "[\\" else re.escape(piece)


def _by_id(values: list[str], _engine: Engine) -> Passes:
    found = _expressions("id", values)
    return lambda one: any(each.search(one.id) for each in found)


def _by_name(values: list[str], _engine: Engine) -> Passes:
    found = _expressions("name", values)
    return lambda one: any(each.search(one.name) or each.search(f"/{one.name}") for each in found)


def _by_label(values: list[str], _engine: Engine) -> Passes:
    return lambda one: has_labels(one.record["labels"], values)


def has_labels(labels: Mapping[str, str], wanted: list[str]) -> bool:
    """Tell whether there is each wanted label: `name`, with any value, or `name=value`."""
    pairs = (text.partition("=") for text in wanted)
    return all(
        name in labels and (not equals or labels[name] == value) for name, equals, value in pairs
    )


def _by_status(values: list[str], _engine: Engine) -> Passes:
    for value in values:
        if value not in _STATES:
            raise InvalidFilter("status", value, f"one of {', '.join(_STATES)}")
    return lambda one: one.status in values


def _by_exit_code(values: list[str], _engine: Engine) -> Passes:
    for value in values:
        if not value.removeprefix("-").isdigit():
            raise InvalidFilter("exited", value, "an exit code")
    codes = {int(value) for value in values}
    return lambda one: one.status == "exited" and one.state.exit_code in codes


def _by_health(values: list[str], _engine: Engine) -> Passes:
    for value in values:
        if value not in _HEALTH:
            raise InvalidFilter("health", value, f"one of {', '.join(_HEALTH)}")
    return lambda _one: "none" in values  # nobody runs health checks


def _by_network(values: list[str], _engine: Engine) -> Passes:
    return lambda one: one.record["options"]["network"] in values


def _by_volume(values: list[str], _engine: Engine) -> Passes:
    wanted = set(values)
    return lambda one: any(
        wanted & {mount.get("Name"), mount["Source"], mount["Destination"]}
        for mount in one.record["mounts"]
    )


def _by_ancestor(values: list[str], engine: Engine) -> Passes:
    from onggi.image.images import get_image

    ancestors = [get_image(engine.store, value) for value in values]

    def passes(one: Container) -> bool:
        chain = engine.store.snapshots.load(one.id).chain
        return any(
            image.id == one.record["image_id"]
            or (image.diff_ids and chain[: len(image.diff_ids)] == image.diff_ids)
            for image in ancestors
        )

    return passes


def _created(values: list[str], engine: Engine) -> list[int]:
    containers = engine.store.containers
    return [containers.load(containers.resolve(value))["created_ns"] for value in values]


def _before(values: list[str], engine: Engine) -> Passes:
    moments = _created(values, engine)
    return lambda one: one.record["created_ns"] < max(moments)


def _since(values: list[str], engine: Engine) -> Passes:
    moments = _created(values, engine)
    return lambda one: one.record["created_ns"] > min(moments)


def _dangling(values: list[str], _engine: Engine) -> ImagePasses:
    wanted = _truths({"dangling": values}, "dangling")
    return lambda one: one.dangling in wanted


def _image_label(values: list[str], _engine: Engine) -> ImagePasses:
    return lambda one: has_labels(one.labels, values)


def _moments(values: list[str], engine: Engine) -> list[str]:
    from onggi.image.images import get_image

    return [get_image(engine.store, value).created for value in values]


def _image_before(values: list[str], engine: Engine) -> ImagePasses:
    moments = _moments(values, engine)
    return lambda one: one.created < max(moments)


def _image_since(values: list[str], engine: Engine) -> ImagePasses:
    moments = _moments(values, engine)
    return lambda one: one.created > min(moments)


def _image_reference(values: list[str], _engine: Engine) -> ImagePasses:
    return lambda one: bool(matching(one.references, values))


_CONTAINER: dict[str, Callable[[list[str], Engine], Passes]] = {
    "ancestor": _by_ancestor,
    "before": _before,
    "exited": _by_exit_code,
    "health": _by_health,
    "id": _by_id,
    "label": _by_label,
    "name": _by_name,
    "network": _by_network,
    "since": _since,
    "status": _by_status,
    "volume": _by_volume,
}
_IMAGE: dict[str, Callable[[list[str], Engine], ImagePasses]] = {
    "before": _image_before,
    "dangling": _dangling,
    "label": _image_label,
    "reference": _image_reference,
    "since": _image_since,
}
