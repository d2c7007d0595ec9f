"""JSON in and out at the price of its C core alone.

`import json` takes about ten milliseconds, nearly all of them for regular expressions that only
its pure-Python fallback and its indented printing use. The C scanner and encoder below it need
none of that, so commands that people wait for use them directly; their results are those of
``json.loads`` and ``json.dumps``. An interpreter without the C core gets the `json` module.

What Python takes and other languages don't is refused, so that what is read here means the same
everywhere, and every refusal is a ValueError of one line: NaN and the infinities, also those that
are too large a number (1e999); whole numbers of more than 64 bits; nesting deeper than the
interpreter's stack; and, in documents of others, keys that occur twice and halves of surrogate
pairs.

Source: RFC 8259, sections 4, 6, 8.2 and 9; CPython, Modules/_json.c and
Lib/json/{decoder,encoder}.py.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["canonical", "canonical_ascii", "dumps", "loads", "loads_unique"]

_SPACE = " \t\n\r"
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1  # what a signed or an unsigned word holds
_MOST_DIGITS = 20


class _Rules:
    """What the C scanner reads its settings from."""

    strict = True
    object_hook = None

    def __init__(self, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None) -> None:
        self.object_pairs_hook = object_pairs_hook

    @staticmethod
    def parse_constant(name: str) -> float:
        """Refuse NaN and the infinities, which are no JSON."""
        raise ValueError(f"{name} is not JSON")

    @staticmethod
    def parse_float(text: str) -> float:
        """Read a number with a fraction or an exponent, unless it is too large."""
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise ValueError(f"{_short(text)} is too large a number")
        return value

    @staticmethod
    def parse_int(text: str) -> int:
        """Read a whole number of at most 64 bits."""
        if len(text) > _MOST_DIGITS or not _LEAST <= (value := int(text)) <= _MOST:
            raise ValueError(f"{_short(text)} is too large a number")
        return value


def _short(text: str) -> str:
    return text if len(text) <= 2 * _MOST_DIGITS else text[: 2 * _MOST_DIGITS] + "…"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its members, unless a key occurs twice."""
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {repeated[:80]!r} occurs twice")
    return members


def _make_loads(rules: _Rules) -> Callable[[str], Any]:
    try:
        from _json import make_scanner
    except ImportError:
        import json

        return json.JSONDecoder(
            object_pairs_hook=rules.object_pairs_hook,
            parse_constant=rules.parse_constant,
            parse_float=rules.parse_float,
            parse_int=rules.parse_int,
        ).decode
    scan = make_scanner(rules)  # type: ignore[arg-type]  # the stub wants the decoder's class

    def scan_all(text: str) -> Any:
        start = len(text) - len(text.lstrip(_SPACE))
        try:
            value, end = scan(text, start)
        except (StopIteration, SystemError):
            # Python 3.11's scanner looks for its error class in a module that nobody imported.
            raise _explained(text) from None
        if text[end:].strip(_SPACE):
            raise ValueError(f"text after the JSON value, at character {end}")
        return value

    return scan_all


def _explained(text: str) -> ValueError:
    """Return what the `json` module has to say of `text`, which the C core refused."""
    import json

    try:
        json.loads(text)
    except ValueError as error:
        return error
    return ValueError("it is not JSON")


def _flat(work: Callable[[Any], Any], value: Any) -> Any:
    """Call `work`, which goes down into `value`; where the stack ends it is a plain refusal."""
    try:
        return work(value)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _make_dumps(*, sort_keys: bool, ascii_only: bool) -> Callable[[Any], str]:
    try:
        from _json import encode_basestring, encode_basestring_ascii, make_encoder
    except ImportError:
        import json

        return json.JSONEncoder(
            ensure_ascii=ascii_only,
            separators=(",", ":"),
            sort_keys=sort_keys,
            allow_nan=False,
        ).encode
    quote = encode_basestring_ascii if ascii_only else encode_basestring
    encode = make_encoder({}, _refuse, quote, None, ":", ",", sort_keys, False, False)
    return lambda value: "".join(encode(value, 0))


def _refuse(value: object) -> None:
    raise TypeError(f"a {type(value).__name__} is not JSON")


_loads = _make_loads(_Rules(None))
_loads_unique = _make_loads(_Rules(_unique))
_dumps = _make_dumps(sort_keys=False, ascii_only=True)
_canonical = _make_dumps(sort_keys=True, ascii_only=False)
_canonical_ascii = _make_dumps(sort_keys=True, ascii_only=True)


def loads(text: str | bytes) -> Any:
    """Return the value that `text`, as str or UTF-8, stands for.

    Raises: ValueError: it is no JSON; UnicodeDecodeError, a ValueError too, for bad UTF-8.
    """
    return _flat(_loads, text if isinstance(text, str) else text.decode("utf-8"))


def loads_unique(text: str | bytes) -> Any:
    """Return the value that `text` stands for, as `loads` does, more strictly.

    For documents of others: parsers differ on which of two equal keys counts, so what one tool
    verified another would run; and half a surrogate pair cannot be written back as UTF-8.

    Raises: ValueError: it is no JSON, an object in it has a key twice, or a string has half a
        surrogate pair.
    """
    text = text if isinstance(text, str) else text.decode("utf-8")
    value = _flat(_loads_unique, text)
    if "\\ud" in text or "\\uD" in text:
        canonical(value)
    return value


def dumps(value: Any) -> str:
    """Return `value` as JSON on one line, keys in their order, in ASCII.

    So any str survives, also one with bytes of a file name that are no UTF-8 (PEP 383).

    Raises: ValueError: it is nested too deep, or holds a NaN or an infinity; TypeError: it holds
        what JSON has no form for.
    """
    text: str = _flat(_dumps, value)
    return text


def canonical(value: Any) -> bytes:
    """Return `value` as UTF-8 with sorted keys: equal values give equal bytes.

    Raises: as `dumps`; UnicodeEncodeError, a ValueError too: a string has half a surrogate pair.
    """
    text: str = _flat(_canonical, value)
    return text.encode("utf-8")


def canonical_ascii(value: Any) -> bytes:
    """Return `value` in ASCII with sorted keys: equal values give equal bytes, any str survives.

    Raises: as `dumps`.
    """
    text: str = _flat(_canonical_ascii, value)
    return text.encode("ascii")
