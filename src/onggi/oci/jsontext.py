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

__all__ = ["canonical", "dumps", "loads"]

_SPACE = " \t\n\r"


class _Rules:
    """What the C scanner reads its settings from: those of a plain ``json.loads``."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int

    @staticmethod
    def parse_constant(name: str) -> float:
        """Refuse NaN and the infinities, which are no JSON."""
        raise ValueError(f"{name} is not JSON")


def _make_loads() -> Callable[[str], Any]:
    try:
        from _json import make_scanner
    except ImportError:
        import json

        return json.loads
    scan = make_scanner(_Rules())  # type: ignore[arg-type]  # the stub wants the decoder's class

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


def _make_dumps(*, sort_keys: bool) -> Callable[[Any], str]:
    try:
        from _json import encode_basestring, make_encoder
    except ImportError:
        import json

        return json.JSONEncoder(
            ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys, allow_nan=False
        ).encode
    encode = make_encoder(
        {}, _refuse, encode_basestring, None, ":", ",", sort_keys, False, False
    )
    return lambda value: "".join(encode(value, 0))


def _refuse(value: object) -> None:
    raise TypeError(f"a {type(value).__name__} is not JSON")


_loads = _make_loads()
_dumps = _make_dumps(sort_keys=False)
_canonical = _make_dumps(sort_keys=True)


def loads(text: str | bytes) -> Any:
    """Return the value that `text`, as str or UTF-8, stands for.

    Raises: ValueError: it is no JSON; UnicodeDecodeError, a ValueError too, for bad UTF-8.
    """
    return _loads(text if isinstance(text, str) else text.decode("utf-8"))


def dumps(value: Any) -> str:
    """Return `value` as JSON on one line, keys in their order, non-ASCII characters as they are."""
    return _dumps(value)


def canonical(value: Any) -> bytes:
    """Return `value` as UTF-8 with sorted keys: equal values give equal bytes."""
    return _canonical(value).encode("utf-8")
