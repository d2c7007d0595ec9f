"""Characters that a terminal obeys instead of showing them, and how to show them instead.

    C0, DEL      what ASCII has: escape sequences begin with one
    C1           the same once more at 128 to 159, where ESC [ is one character
    direction    of bidirectional text: they let words appear in another order than they stand
    separators   of lines and paragraphs, which some terminals take for a new line

Names and words of images and containers are data from elsewhere; printed as they are they could
move the cursor, rename the window, or forge lines of our own output. A byte that is no UTF-8 is a
surrogate here (PEP 383), and one of C1's is dangerous to a terminal of eight bits.

Source: console_codes(4); ECMA-48; Unicode Standard Annex 9, "Directional Formatting Characters".
"""

from __future__ import annotations

_C1_BYTES = range(0xDC80, 0xDCA0)  # as os.fsdecode gives them
_DIRECTION = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SEPARATORS = (0x2028, 0x2029)
_WIDE = (*_DIRECTION, *_SEPARATORS)
_NARROW = (*range(0x20), *range(0x7F, 0xA0))
_SHORT = {7: r"\a", 8: r"\b", 9: r"\t", 10: r"\n", 11: r"\v", 12: r"\f", 13: r"\r"}

_ONE_LINE = {
    **{code: rf"\x{code:02x}" for code in _NARROW},
    **{code: rf"\x{code - 0xDC00:02x}" for code in _C1_BYTES},
    **{code: rf"\u{code:04x}" for code in _WIDE},
    **_SHORT,
}
_LINES = {code: escape for code, escape in _ONE_LINE.items() if chr(code) not in "\n\t"}
_JSON = {code: rf"\u{code:04x}" for code in (*range(0x7F, 0xA0), *_WIDE)}


def shown(text: str) -> str:
    r"""Return text that may have lines and tabs, with everything else spelled: ESC is `\x1b`."""
    return text.translate(_LINES)


def one_line(text: str) -> str:
    r"""Return text that is to stay in one line, or in one cell: a new line is `\n` as well."""
    return text.translate(_ONE_LINE)


def in_json(text: str) -> str:
    """Return a JSON text that says the same; what is below 32 JSON has escaped already."""
    return text.translate(_JSON)
