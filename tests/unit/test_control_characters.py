"""Characters that a terminal would obey: spelled, in text, in tables, in JSON."""

import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onggi.cli.careful import Careful, beneath
from onggi.linux.control_characters import in_json, one_line, shown

ANYTHING = st.text(
    st.characters() | st.sampled_from("\x1b\x9b\x7f\r\0\u202e\u2066\u2028\udc9b\udcff\t\n")
)


def commands(text: str) -> list[str]:
    """Return what a terminal could obey."""
    dangerous = [one for one in text if unicodedata.category(one) in ("Cc", "Zl", "Zp")]
    turning = ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI")
    dangerous += [one for one in text if unicodedata.bidirectional(one) in turning]
    return dangerous + [one for one in text if "\udc80" <= one < "\udca0"]


@given(ANYTHING)
def test_nothing_that_commands_is_left(text: str) -> None:
    assert commands(one_line(text)) == []
    assert set(commands(shown(text))) <= {"\n", "\t"}


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_what_people_write_stays(text: str) -> None:
    assert one_line(text) == shown(text) == text


def test_how_it_is_spelled() -> None:
    text = "a\x1b[31mb\x9bc\x7f\r\n\t\0d\u202ee\u2028\udc9bf\udcffé옹기"
    assert one_line(text) == r"a\x1b[31mb\x9bc\x7f\r\n\t\x00d\u202ee\u2028\x9bf" + "\udcffé옹기"
    assert shown("a\tb\n\x07") == "a\tb\n\\a"


@given(ANYTHING)
def test_json_says_the_same(text: str) -> None:
    written = in_json(json.dumps({"a": text}, ensure_ascii=False))
    assert json.loads(written) == {"a": text}
    assert [one for one in commands(written) if not "\udc80" <= one < "\udca0"] == []


@given(ANYTHING)
def test_a_stream_lets_nothing_through(text: str) -> None:
    below = io.StringIO()
    stream = Careful(below)
    print(text, file=stream)
    assert below.getvalue() == shown(text) + "\n"


def test_there_is_a_way_round_it() -> None:
    below = io.StringIO()
    stream: io.StringIO = Careful(below)  # type: ignore[assignment]
    beneath(stream).write("\x1b[H")
    assert below.getvalue() == "\x1b[H"
    assert beneath(below) is below
    assert stream.isatty() is False
    with pytest.raises(AttributeError):
        _ = stream.nosuch  # type: ignore[attr-defined]
