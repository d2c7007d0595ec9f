"""JSON in and out at the price of its C core alone.

`import json` takes about ten milliseconds, nearly all of them for regular expressions that only
its pure-Python fallback and its indented printing use. The C scanner and encoder below it need
none of that, so commands that people wait for use them directly; their results are those of
``json.loads`` and ``json.dumps``. An interpreter without the C core gets the `json` module.

Source: CPython, Modules/_json.c and Lib/json/{decoder,encoder}.py.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["canonical", "dumps", "loads", "loads_unique"]

_SPACE = " \t\n\r"


class _Rules:
    """What the C scanner reads its settings from: those of a plain ``json.loads``."""

    strict = True
    object_hook = None
    parse_float = float
    parse_int = int

    def __init__(self, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None) -> None:
        self.object_pairs_hook = object_pairs_hook

    @staticmethod
    def parse_constant(name: str) -> float:
        """Refuse NaN and the infinities, which are no JSON."""
        raise ValueError(f"{name} is not JSON")


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

        hook = rules.object_pairs_hook
        return json.JSONDecoder(object_pairs_hook=hook, parse_constant=rules.parse_constant).decode
    scan = make_scanner(rules)  # type: ignore[arg-type]  # the stub wants the decoder's class

    def scan_all(text: str) -> Any:
        start = len(text) - len(text.lstrip(_SPACE))
        try:
            value, end = scan(text, start)
        except (StopIteration, SystemError):
            # Python 3.11's scanner looks for its error class in a module that nobody imported.
            return _explain(text)
        if text[end:].strip(_SPACE):
            raise ValueError(f"text after the JSON value, at character {end}")
        return value

    return scan_all


def _explain(text: str) -> Any:
    """Read `text`, which the C core refused, once more with the module that says why."""
    import json

    return json.loads(text)


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


def loads(text: str | bytes) -> Any:
    """Return the value that `text`, as str or UTF-8, stands for.

    Raises: ValueError: it is no JSON; UnicodeDecodeError, a ValueError too, for bad UTF-8.
    """
    return _loads(text if isinstance(text, str) else text.decode("utf-8"))


def loads_unique(text: str | bytes) -> Any:
    """Return the value that `text` stands for, as `loads` does, unless a key occurs twice.

    For documents of others: parsers differ on which of two equal keys counts, so what one tool
    verified another would run.

    Raises: ValueError: it is no JSON, or an object in it has a key twice.
    """
    return _loads_unique(text if isinstance(text, str) else text.decode("utf-8"))


def dumps(value: Any) -> str:
    """Return `value` as JSON on one line, keys in their order, in ASCII.

    So any str survives, also one with bytes of a file name that are no UTF-8 (PEP 383).
    """
    return _dumps(value)


def canonical(value: Any) -> bytes:
    """Return `value` as UTF-8 with sorted keys: equal values give equal bytes."""
    return _canonical(value).encode("utf-8")
