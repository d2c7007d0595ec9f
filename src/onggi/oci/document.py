"""JSON documents of the standards, read strictly.

The documents come from registries and archives, so every complaint is a `Corrupt` that names the
document and the field. JSON `null` counts as an absent field, as it does to every Go program
that wrote these documents.
"""

from __future__ import annotations

from onggi.errors import Corrupt, InvalidInput
from onggi.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Json = Mapping[str, "Json"] | Sequence["Json"] | str | int | float | bool | None

# What containers/image accepts of a manifest or a config (internal/iolimits), and more than any
# registry stores: a larger one is an attack on memory, not an image.
SIZE_LIMIT = 4 << 20
_SHOWN = 60  # characters of a text in a complaint


def parse(data: bytes, kind: str) -> dict[str, Json]:
    """Parse the bytes of a document that is one JSON object.

    Raises: Corrupt: as `parse_value`, or it is not an object.
    """
    value = parse_value(data, kind)
    if not isinstance(value, dict):
        raise Corrupt(f"{kind} is not a JSON object")
    return value


def parse_value(data: bytes, kind: str) -> Json:
    """Parse the bytes of a document; `kind` names it in complaints.

    Raises: Corrupt: too large, or what `jsontext.loads_unique` refuses.
    """
    if len(data) > SIZE_LIMIT:
        raise Corrupt(f"{kind} has {len(data)} bytes, more than the allowed {SIZE_LIMIT}")
    try:
        value: Json = jsontext.loads_unique(data)
    except ValueError as error:
        raise Corrupt(f"{kind} is not valid JSON: {error}") from error
    return value


def copied(value: Json) -> Json:
    """Copy a JSON value through and through."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [copied(item) for item in value]
    return value


def _is_control(character: str) -> bool:
    """Tell the characters of Unicode's category Cc: C0, DEL and C1."""
    return character < " " or "\x7f" <= character < "\xa0"


class Fields:
    """A JSON object read field by field, each as the type it must have.

    `kind` names the object in complaints: "image config", "image config: rootfs".
    """

    __slots__ = ("_object", "kind")

    def __init__(self, value: Json, kind: str) -> None:
        if not isinstance(value, dict):
            raise Corrupt(f"{kind} is not a JSON object")
        self._object: dict[str, Json] = value
        self.kind = kind

    def has(self, name: str) -> bool:
        """Tell whether the field is there and not null."""
        return self._object.get(name) is not None

    def text(self, name: str, default: str = "") -> str:
        """Read a string."""
        value = self._object.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self._wrong(name, "a string")
        return value

    def number(self, name: str, default: int = 0) -> int:
        """Read an integer."""
        value = self._object.get(name)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(name, "an integer")
        return value

    def truth(self, name: str) -> bool:
        """Read a boolean; absent is false."""
        value = self._object.get(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def items(self, name: str) -> tuple[Json, ...]:
        """Read a list; absent is empty."""
        value = self._object.get(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise self._wrong(name, "a list")
        return tuple(value)

    def texts(self, name: str) -> tuple[str, ...]:
        """Read a list of strings; absent is empty."""
        items = self.items(name)
        texts = tuple(item for item in items if isinstance(item, str))
        if len(texts) != len(items):
            raise self._wrong(name, "a list of strings")
        return texts

    def mapping(self, name: str) -> dict[str, Json]:
        """Read an object of any values; absent is empty. The result is the caller's own."""
        value = self._object.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._wrong(name, "an object")
        return dict(value)

    def text_mapping(self, name: str) -> dict[str, str]:
        """Read an object of strings; absent is empty."""
        values = self.mapping(name)
        texts = {key: value for key, value in values.items() if isinstance(value, str)}
        if len(texts) != len(values):
            raise self._wrong(name, "an object of strings")
        return texts

    def inner(self, name: str) -> Fields:
        """Read an object, field by field in turn; absent is empty."""
        return Fields(self.mapping(name), f"{self.kind}: {name}")

    def required(self, name: str) -> Json:
        """Read a field that must be there.

        Raises: Corrupt: it is not.
        """
        if not self.has(name):
            raise Corrupt(f"{self.kind} has no {name!r}")
        return self._object[name]

    def refuse(self, error: InvalidInput) -> Corrupt:
        """Say that a value inside this object is not what its type promises."""
        return Corrupt(f"{self.kind}: {error.message}")

    def others(self, known: frozenset[str]) -> dict[str, Json]:
        """The fields that are not among `known`, to be kept and written back."""
        return {name: value for name, value in self._object.items() if name not in known}

    def require_plain(self, name: str, text: str, *, lines: bool = False) -> None:
        """Refuse a text of field `name` that no program can be given, or that hides what it says.

        Args: lines: whether it may have several lines, and tabs, as a shell script has.
        Raises: InvalidInput: it holds a control character, a NUL for one.
        """
        if text.isprintable():
            return
        for character in text:
            if _is_control(character) and not (lines and character in "\t\n\r"):
                raise InvalidInput(
                    f"{self.kind}: {name!r} holds the control character {character!r}: "
                    f"{text[:_SHOWN]!r}"
                )

    def _wrong(self, name: str, expected: str) -> Corrupt:
        return Corrupt(f"{self.kind}: {name!r} is not {expected}")
