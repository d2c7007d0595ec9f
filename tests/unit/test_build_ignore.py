"""Which paths .dockerignore patterns leave out, against moby's patternmatcher."""

import pytest

from onggi.build.errors import DockerfileError
from onggi.build.ignore import make_ignore, read_ignore
from onggi.build.wildcards import has_wildcards, matches, unescaped

ONE_PATTERN = [
    ("a", "a", True),
    ("a", "b", False),
    ("a", "a/b", True),
    ("/a", "a", True),
    ("a/", "a/b", True),
    ("./a", "a", True),
    ("a/b/../c", "a/c", True),
    ("*", "a", True),
    ("*", "a/b", True),
    ("*.md", "README.md", True),
    ("*.md", "docs/README.md", False),
    ("*/*.md", "docs/README.md", True),
    ("*/*.md", "docs/a/README.md", False),
    ("**", "a/b/c", True),
    ("**/*.md", "README.md", True),
    ("**/*.md", "a/b/README.md", True),
    ("**/a", "a", True),
    ("**/a", "x/y/a", True),
    ("**/a", "x/y/a/z", True),
    ("**/a", "xa", False),
    ("**a", "xa", True),
    ("**a", "x/ya", True),
    ("a/**", "a/b", True),
    ("a/**", "a", False),
    ("a/**/b", "a/b", True),
    ("a/**/b", "a/x/y/b", True),
    ("a/**/b", "a/xb", False),
    ("a**b", "ab", True),
    ("a**b", "a/x/b", True),
    ("a**b", "axb", False),
    ("?", "a", True),
    ("?", "/", False),
    ("a?c", "a/c", False),
    ("[a-c]", "b", True),
    ("[^a-c]", "b", False),
    ("[^a-c]", "d", True),
    (r"\*", "*", True),
    (r"\*", "a", False),
    ("a.b", "axb", False),
    ("(a|b)+", "(a|b)+", True),
    ("한*", "한국", True),
]


@pytest.mark.parametrize(("pattern", "path", "expected"), ONE_PATTERN)
def test_one_pattern(pattern: str, path: str, expected: bool) -> None:
    assert make_ignore([pattern], "test").ignores(path) is expected


MANY_PATTERNS = [
    (["*", "!a"], "a", False),
    (["*", "!a"], "a/b", False),
    (["*", "!a"], "b", True),
    (["!a", "*"], "a", True),
    (["a", "!a/b"], "a/b", False),
    (["a", "!a/b"], "a/c", True),
    (["a", "!a/b", "a/b/c"], "a/b/c", True),
    (["a", "!a/b", "a/b/c"], "a/b/d", False),
    (["**/*.md", "!README.md"], "README.md", False),
    (["**/*.md", "!README.md"], "docs/README.md", True),
    (["*.md", "!README*.md", "README-secret.md"], "README-secret.md", True),
    (["*.md", "!README*.md", "README-secret.md"], "README.md", False),
]


@pytest.mark.parametrize(("patterns", "path", "expected"), MANY_PATTERNS)
def test_the_last_pattern_that_matches_decides(
    patterns: list[str], path: str, expected: bool
) -> None:
    assert make_ignore(patterns, "test").ignores(path) is expected


def test_the_file_has_comments_blanks_and_a_byte_order_mark() -> None:
    ignore = read_ignore("\ufeff# comment\n\n  a  \n #b\n!  c \r\n", ".dockerignore")
    assert [(each.text, each.keeps) for each in ignore.patterns] == [
        ("a", False),
        ("#b", False),
        ("c", True),
    ]
    assert ignore.key() == "a\n#b\n!c"


@pytest.mark.parametrize("line", ["!", "[a", "a\\"])
def test_bad_patterns_are_refused(line: str) -> None:
    with pytest.raises(DockerfileError, match="dockerignore"):
        read_ignore(line, ".dockerignore")


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*", "", True),
        ("*.py", "a.py", True),
        ("*.py", "a.pyc", False),
        ("a?", "ab", True),
        ("[a-c]x", "bx", True),
        ("[^a]x", "ax", False),
        (r"\*x", "*x", True),
        ("a.b", "a-b", False),
    ],
)
def test_wildcards_of_sources(pattern: str, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected


def test_an_escaped_wildcard_is_a_plain_character() -> None:
    assert not has_wildcards(r"a\*b\[c\?")
    assert unescaped(r"a\*b\[c") == "a*b[c"
