"""Variables, quotes and escapes, against the behaviour of BuildKit's shell lexer."""

import pytest

from onggi.build.errors import SyntaxProblem
from onggi.build.expansion import Expander

VARIABLES = {
    "x": "value",
    "empty": "",
    "path": "/usr/local/lib/libfoo.so.1",
    "한": "국",
    "n": "xxyy",
}

WORDS = [
    ("", ""),
    ("plain", "plain"),
    ("$x", "value"),
    ("${x}", "value"),
    ("a$x/b", "avalue/b"),
    ("$x_y", ""),
    ("${x}_y", "value_y"),
    ("$", "$"),
    ("a $ b", "a $ b"),
    ("$unset.", "."),
    ("$1x", "x"),
    ("$123", ""),
    ("$$x", "x"),
    ("$한", "국"),
    (r"\$x", "$x"),
    (r"\\$x", r"\value"),
    (r"a\bc", "abc"),
    ("a\\", "a"),
    ("'$x'", "$x"),
    ("'a b'", "a b"),
    ('"$x y"', "value y"),
    (r'"\$x \" \a \\"', r'$x " \a ' + "\\"),
    ("\"a'b'\"", "a'b'"),
    ("'a\"b'", 'a"b'),
    ("a'b'\"c\"d", "abcd"),
    ("${x:-d}", "value"),
    ("${empty:-d}", "d"),
    ("${empty-d}", ""),
    ("${unset:-d}", "d"),
    ("${unset-d}", "d"),
    ("${unset:-}", ""),
    ("${unset:-${x}}", "value"),
    ("${unset:-a$x-b}", "avalue-b"),
    ("${unset:-'a}b'}", "a}b"),
    (r"${unset:-a\}b}", "a}b"),
    ("${x:+a}", "a"),
    ("${empty:+a}", ""),
    ("${empty+a}", "a"),
    ("${unset+a}", ""),
    ("${x:+${unset:-b}}", "b"),
    ("${x:?e}", "value"),
    ("${empty?e}", ""),
    ("${path#*/}", "usr/local/lib/libfoo.so.1"),
    ("${path##*/}", "libfoo.so.1"),
    ("${path%.*}", "/usr/local/lib/libfoo.so"),
    ("${path%%.*}", "/usr/local/lib/libfoo"),
    ("${path%/*}", "/usr/local/lib"),
    ("${path#nothing}", "/usr/local/lib/libfoo.so.1"),
    ("${n#?}", "xyy"),
    ("${n##*x}", "yy"),
    ("${n#*}", "xxyy"),
    ("${n##*}", ""),
    ("${n%}", "xxyy"),
    ("${n%x}", "xxyy"),
    ("${path/lib/LIB}", "/usr/local/LIB/libfoo.so.1"),
    ("${path//lib/LIB}", "/usr/local/LIB/LIBfoo.so.1"),
    (r"${path//\//-}", "-usr-local-lib-libfoo.so.1"),
    ("${path/l*l/-}", "/usr/-ibfoo.so.1"),
    ("${path/nothing/-}", "/usr/local/lib/libfoo.so.1"),
    ("${n///}", "xxyy"),
    ("${unset///}", ""),
]


@pytest.mark.parametrize(("text", "expected"), WORDS)
def test_a_word(text: str, expected: str) -> None:
    assert Expander().word(text, VARIABLES) == expected


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        (r"${v#()[]{\}^$.\*\?|\\}", r"()[]{}^$.*?|\x", "x"),
        (r"${v%%\**}", "xx**", "xx"),
        (r"${v%%\**\*}", "a***yy*", "a"),
        (r"${v#?\?}", "???y", "?y"),
        ("${v#*x*y}", "xxyy", "y"),
    ],
)
def test_marks_that_are_escaped_in_a_pattern(pattern: str, value: str, expected: str) -> None:
    assert Expander().word(pattern, {"v": value}) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${x", "missing '}'"),
        ("${", "missing '}'"),
        ("${}", "bad substitution"),
        ("${:x}", "bad substitution"),
        ("${{x}", "bad substitution"),
        ("${x:-", "missing '}'"),
        ("${x:=y}", "unsupported modifier (:=)"),
        ("${x=y}", "unsupported modifier (=)"),
        ("${x:}", "unsupported modifier (:})"),
        ("${x y}", "unsupported modifier"),
        ("${x/a}", "missing '/' in ${}"),
        ("${x/a/b", "missing '}'"),
        (r"${x#\a}", r"invalid escape '\a'"),
        ("${unset:?}", "unset: is not allowed to be unset"),
        ("${empty:?}", "empty: is not allowed to be empty"),
        ("${unset?because $x}", "unset: because value"),
        ("'a", "matching single-quote"),
        ('"a', "matching double-quote"),
    ],
)
def test_what_makes_no_sense(text: str, message: str) -> None:
    with pytest.raises(SyntaxProblem) as caught:
        Expander().word(text, VARIABLES)
    assert message in str(caught.value)
    assert f'failed to process "{text}"' in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", ["a", "b"]),
        ("  a\t b ", ["a", "b"]),
        ("$ports", ["80", "443"]),
        ('"$ports"', ["80 443"]),
        ("a'b c'd e", ["ab cd", "e"]),
        (r"a\ b", ["a b"]),
        ("$unset", []),
        ("", []),
    ],
)
def test_words_are_split_after_expansion(text: str, expected: list[str]) -> None:
    assert Expander().words(text, {"ports": "80 443"}) == expected


def test_the_escape_character_can_be_a_backtick() -> None:
    assert Expander("`").word("C:\\$x`$x", VARIABLES) == "C:\\value$x"


def test_quotes_can_be_plain_characters() -> None:
    assert Expander(plain_quotes=True).word('it\'s "$x"', VARIABLES) == 'it\'s "value"'


@pytest.mark.parametrize("text", ["$u", "${u}", "${u:-d}", "${u#p}", "${u/a/b}"])
def test_unset_variables_can_be_kept(text: str) -> None:
    assert Expander(keep_unset=True).word(text, {}) == text


def test_quotes_and_escapes_can_be_kept() -> None:
    keeping = Expander(raw_quotes=True, raw_escapes=True)
    assert keeping.word(r"""'a' "b" \c""", {}) == r"""'a' "b" \c"""
