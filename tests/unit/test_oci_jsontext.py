"""JSON that means the same to everybody, and one kind of complaint about the rest."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onggi.errors import Corrupt
from onggi.oci import document, jsontext
from support.repository import SOURCE
from support.threats import withstands

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
DEEP = 200_000

REFUSED = {
    "nothing": "",
    "blank": " \n",
    "a word": "nul",
    "two values": "1 2",
    "NaN": "[NaN]",
    "infinity": "[Infinity]",
    "minus infinity": "[-Infinity]",
    "a hidden infinity": '{"a": 1e999}',
    "a hidden minus infinity": '{"a": -1e999}',
    "too large a number": '{"size": 18446744073709551616}',
    "too small a number": '{"size": -9223372036854775809}',
    "a number of many digits": "9" * 10_000,
    "lists in lists": "[" * DEEP + "]" * DEEP,
    "objects in objects": '{"a":' * DEEP + "1" + "}" * DEEP,
    "a list never closed": "[" * DEEP,
    "a comma too many": "[1,]",
    "a line break in a string": '"a\nb"',
    "a byte order mark": "\ufeff{}",
    "single quotes": "{'a': 1}",
    "a leading zero": "01",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("read", [jsontext.loads, jsontext.loads_unique])
@withstands("bombs", "documents that are huge or nested without end")
def test_what_is_refused(text: str, read: object) -> None:
    assert callable(read)
    for form in (text, text.encode()):
        with pytest.raises(ValueError, match=r"^[^\n]{3,200}$"):
            read(form)
    with pytest.raises(Corrupt, match=r"^image config is not valid JSON: [^\n]*$"):
        document.parse(text.encode(), "image config")


@pytest.mark.parametrize("text", [b'"\xff"', b'{"\xc3": 1}', b'"\xed\xa0\x80"'])
def test_bytes_that_are_no_text(text: bytes) -> None:
    with pytest.raises(ValueError, match="utf-8"):
        jsontext.loads(text)


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 1}', '[{"b": {"a": 1, "a": 2}}]', r'{"a": 1, "\u0061": 2}']
)
@withstands("digests", "a document that is index and manifest at once, or has a key twice")
def test_keys_that_occur_twice(text: str) -> None:
    with pytest.raises(ValueError, match="key 'a' occurs twice"):
        jsontext.loads_unique(text)
    assert jsontext.loads(text)  # a document of our own


@pytest.mark.parametrize("text", [r'"\ud800"', r'"\uDC00x"', r'{"\ud83d": 1}', r'[["\uDE00"]]'])
def test_halves_of_surrogate_pairs(text: str) -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        jsontext.loads_unique(text)
    assert jsontext.dumps(jsontext.loads(text)) == text.lower().replace(" ", "")  # one of our own


def test_whole_surrogate_pairs_are_characters() -> None:
    assert jsontext.loads_unique(r'"\ud83d\ude00"') == "\U0001f600"


@pytest.mark.parametrize("text", ["18446744073709551615", "-9223372036854775808", "-0", "1e300"])
def test_numbers_that_fit(text: str) -> None:
    assert jsontext.loads_unique(text) == json.loads(text)


@given(VALUES)
def test_what_is_written_is_read_again(value: object) -> None:
    assert jsontext.loads(jsontext.dumps(value)) == value
    assert jsontext.loads_unique(jsontext.canonical(value)) == value
    assert jsontext.dumps(value) == json.dumps(value, separators=(",", ":"))


def test_a_name_of_any_bytes_is_written_and_read_again() -> None:
    name = b"caf\xe9".decode(errors="surrogateescape")
    assert jsontext.loads(jsontext.dumps([name]).encode()) == [name]


@pytest.mark.parametrize("write", [jsontext.dumps, jsontext.canonical])
def test_what_cannot_be_written(write: object) -> None:
    assert callable(write)
    deep: list[object] = []
    for _ in range(DEEP):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deep"):
        write(deep)
    while deep:  # an ordinary end would go down the stack as well
        (deep,) = deep  # type: ignore[assignment]
    for number in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON compliant"):
            write([number])
    with pytest.raises(TypeError, match="a set is not JSON"):
        write({1})


def test_an_interpreter_without_the_c_core_is_as_strict() -> None:
    script = (
        "import sys; sys.modules['_json'] = None; sys.path[:0] = sys.argv[1:]\n"
        "from onggi.oci import jsontext\n"
        "for text in sys.stdin.read().split('\\0'):\n"
        "    try:\n"
        "        jsontext.loads_unique(text)\n"
        "    except ValueError:\n"
        "        continue\n"
        "    print(text[:80])\n"
    )
    texts = [text for text in REFUSED.values() if "\0" not in text]
    done = subprocess.run(
        [sys.executable, "-c", script, str(SOURCE.parent)],
        input="\0".join([*texts, '{"a":1,"a":2}', r'"\ud800"']),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
