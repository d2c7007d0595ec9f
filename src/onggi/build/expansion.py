"""Words and variables of a Dockerfile: ``$x``, ``${x:-d}``, quotes and escapes.

Only these forms exist; there are no arrays, no command substitution and no arithmetic:

    $x ${x}                  the value, nothing when unset
    ${x:-d} ${x-d}           d when unset (with the colon: or empty)
    ${x:+a} ${x+a}           a when set (with the colon: and not empty)
    ${x:?e} ${x?e}           an error saying e when unset (with the colon: or empty)
    ${x#p} ${x##p}           without the shortest/longest match of p at the start
    ${x%p} ${x%%p}           without the shortest/longest match of p at the end
    ${x/p/r} ${x//p/r}       the first/every longest match of p replaced by r

Source: buildkit, frontend/dockerfile/shell/lex.go and docs.docker.com "Environment replacement".
"""

from __future__ import annotations

from onggi.build.errors import SyntaxProblem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_SPECIAL_PARAMETERS = frozenset("@*#?-$!0")


class Expander:
    r"""How text is expanded; one for each set of habits, used any number of times.

    Args:
        escape: the character that takes the next one literally, ``\\`` or `` ` ``.
        raw_quotes: keep quotes in the result. raw_escapes: keep escapes in it.
        keep_unset: leave variables that are not set as they were written.
        plain_quotes: quotes are characters like any other (the inside of a heredoc).
    """

    __slots__ = ("escape", "keep_unset", "plain_quotes", "raw_escapes", "raw_quotes")

    def __init__(
        self,
        escape: str = "\\",
        *,
        raw_quotes: bool = False,
        raw_escapes: bool = False,
        keep_unset: bool = False,
        plain_quotes: bool = False,
    ) -> None:
        self.escape = escape
        self.raw_quotes = raw_quotes
        self.raw_escapes = raw_escapes
        self.keep_unset = keep_unset
        self.plain_quotes = plain_quotes

    def word(self, text: str, variables: Mapping[str, str]) -> str:
        """Expand `text` to one word, blanks included.

        Raises: SyntaxProblem: a brace, quote or pattern is wrong, or ``${x:?e}`` says so.
        """
        return self._run(text, variables).text

    def words(self, text: str, variables: Mapping[str, str]) -> list[str]:
        """Expand `text` and split it at blanks that are not quoted."""
        return self._run(text, variables).split()

    def _run(self, text: str, variables: Mapping[str, str]) -> _Output:
        if "$" not in text and not any(mark in text for mark in ("'", '"', self.escape)):
            return _Output.plain(text)
        try:
            return _Scan(self, text, variables).until("", self.raw_escapes)
        except SyntaxProblem as problem:
            raise SyntaxProblem(f'failed to process "{text}": {problem}') from None


class _Output:
    """What has been expanded so far, as one text and as words."""

    __slots__ = ("_inside", "_pieces", "_word", "_words")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._words: list[str] = []
        self._word = ""
        self._inside = False

    @classmethod
    def plain(cls, text: str) -> _Output:
        output = cls()
        output.loose(text)
        return output

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def split(self) -> list[str]:
        return [*self._words, self._word] if self._word else self._words

    def loose(self, text: str) -> None:
        """Add text whose blanks separate words."""
        self._pieces.append(text)
        for character in text:
            if not character.isspace():
                self._word += character
                self._inside = True
            elif self._inside and self._word:
                self._words.append(self._word)
                self._word, self._inside = "", False

    def firm(self, text: str) -> None:
        """Add text that belongs to the present word, blanks and all."""
        self._pieces.append(text)
        self._word += text
        self._inside = True


class _Scan:
    """One pass over one text."""

    __slots__ = ("at", "raw_escapes", "rules", "text", "variables")

    def __init__(self, rules: Expander, text: str, variables: Mapping[str, str]) -> None:
        self.rules = rules
        self.text = text
        self.variables = variables
        self.at = 0
        self.raw_escapes = rules.raw_escapes

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def next(self) -> str:
        character = self.peek()
        self.at += 1
        return character

    def until(self, stop: str, raw_escapes: bool) -> _Output:
        """Expand up to the character `stop`, which is eaten; an empty one means the end."""
        output = _Output()
        before, self.raw_escapes = self.raw_escapes, raw_escapes
        while character := self.peek():
            if character == stop:
                self.next()
                self.raw_escapes = before
                return output
            self._one(character, output)
        if stop:
            raise SyntaxProblem(f"unexpected end of statement while looking for matching {stop}")
        return output

    def _one(self, character: str, output: _Output) -> None:
        quoting = not self.rules.plain_quotes
        if character == "$":
            output.loose(self.dollar())
        elif character == "'" and quoting:
            output.firm(self.single_quoted())
        elif character == '"' and quoting:
            output.firm(self.double_quoted())
        elif character == self.rules.escape:
            self._escaped(output)
        else:
            output.loose(self.next())

    def _escaped(self, output: _Output) -> None:
        mark = self.next()
        if self.raw_escapes:
            output.firm(mark)
        if self.peek():
            output.firm(self.next())

    def single_quoted(self) -> str:
        start = self.at
        end = self.text.find("'", start + 1)
        if end < 0:
            raise SyntaxProblem(
                "unexpected end of statement while looking for matching single-quote"
            )
        self.at = end + 1
        return self.text[start : self.at] if self.rules.raw_quotes else self.text[start + 1 : end]

    def double_quoted(self) -> str:
        self.next()
        quote = '"' if self.rules.raw_quotes else ""
        pieces = [quote]
        while (character := self.peek()) != '"':
            if not character:
                raise SyntaxProblem(
                    "unexpected end of statement while looking for matching double-quote"
                )
            if character == "$":
                pieces.append(self.dollar())
            elif character == self.rules.escape:
                pieces.append(self._escaped_in_quotes())
            else:
                pieces.append(self.next())
        self.next()
        return "".join([*pieces, quote])

    def _escaped_in_quotes(self) -> str:
        """Between double quotes an escape stands for itself, except before ``" $`` or itself."""
        mark = self.next()
        kept = mark if self.raw_escapes else ""
        if not self.peek():
            return kept
        if self.peek() in ('"', "$", self.rules.escape):
            return kept + self.next()
        return kept + mark

    def dollar(self) -> str:
        self.next()
        if self.peek() != "{":
            return self._bare(self._name())
        self.next()
        if not self.peek():
            raise SyntaxProblem("syntax error: missing '}'")
        if self.peek() in "{}:":
            raise SyntaxProblem("syntax error: bad substitution")
        return self._braced(self._name())

    def _bare(self, name: str) -> str:
        if not name:
            return "$"
        if name not in self.variables and self.rules.keep_unset:
            return f"${name}"
        return self.variables.get(name, "")

    def _braced(self, name: str) -> str:
        operator = self.next()
        if not operator:
            raise SyntaxProblem("syntax error: missing '}'")
        if operator == "}":
            if name not in self.variables and self.rules.keep_unset:
                return f"${{{name}}}"
            return self.variables.get(name, "")
        if operator == "/":
            return self._replaced(name)
        colon = operator == ":"
        if colon:
            operator = self.next()
        if not operator or operator not in "+-?#%":
            mark = (":" if colon else "") + operator
            raise SyntaxProblem(f"unsupported modifier ({mark}) in substitution")
        return self._modified(name, operator, colon)

    def _modified(self, name: str, operator: str, colon: bool) -> str:
        word = self._operand("}", operator in "#%", "syntax error: missing '}'")
        if name not in self.variables and self.rules.keep_unset:
            return f"${{{name}{':' if colon else ''}{operator}{word}}}"
        value = self.variables.get(name, "")
        given = bool(value) if colon else name in self.variables
        if operator == "-":
            return value if given else word
        if operator == "+":
            return word if given else ""
        if operator == "?":
            return self._required(name, value, given, word)
        return _trimmed(value, word, operator)

    def _required(self, name: str, value: str, given: bool, message: str) -> str:
        if given:
            return value
        state = "empty" if name in self.variables else "unset"
        raise SyntaxProblem(f"{name}: {message or f'is not allowed to be {state}'}")

    def _replaced(self, name: str) -> str:
        every = self.peek() == "/"
        if every:
            self.next()
        pattern = self._operand("/", True, "syntax error: missing '/' in ${}")
        replacement = self._operand("}", True, "syntax error: missing '}'")
        if name not in self.variables and self.rules.keep_unset:
            return f"${{{name}/{pattern}/{replacement}}}"
        from onggi.build.shell_pattern import replace

        return replace(self.variables.get(name, ""), pattern, replacement, every=every)

    def _operand(self, stop: str, raw_escapes: bool, missing: str) -> str:
        try:
            return self.until(stop, raw_escapes).text
        except SyntaxProblem:
            if not self.peek():
                raise SyntaxProblem(missing) from None
            raise

    def _name(self) -> str:
        """Read a name: letters, digits and ``_``; digits alone; or one special character."""
        start = self.at
        first = self.peek()
        if first.isdigit():
            while self.peek().isdigit():
                self.at += 1
        elif first and first in _SPECIAL_PARAMETERS:
            self.at += 1
        else:
            while (character := self.peek()) and (character.isalnum() or character == "_"):
                self.at += 1
        return self.text[start : self.at]


def _trimmed(value: str, word: str, operator: str) -> str:
    from onggi.build.shell_pattern import trim_end, trim_start

    longest = word.startswith(operator)
    pattern = word[1:] if longest else word
    trim = trim_start if operator == "#" else trim_end
    return trim(value, pattern, longest=longest)
