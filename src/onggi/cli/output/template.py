"""The part of Go's template language that `--format` is used for.

Text with actions between double braces; `{{-` and `-}}` trim the white space beside them.

    {{.State.Status}}                      a field, of a field
    {{json .Mounts}}   {{.Name | upper}}   functions, by call or by pipe
    {{index .Config.Labels "app"}}         an entry by key or number
    {{(index .Mounts 0).Source}}           a field of what a function gave
    {{.Label "app"}}                       a method, where the object has it
    {{if .X}} … {{else if .Y}} … {{else}} … {{end}}
    {{range .Mounts}} … {{end}}   {{with .X}} … {{end}}
    {{$name := .Name}}   {{range $key, $value := .Config.Labels}} … {{end}}   {{$.Id}}

`define`, `block` and giving a variable another value (`=`) are not there, and are refused.

Source: pkg.go.dev/text/template; docs.docker.com/engine/cli/formatting for the added functions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping

from onggi.errors import InvalidInput
from onggi.linux.control_characters import in_json

Value = object
Expression = Callable[["Scope"], Value]
Part = Callable[["Scope"], str]

_ACTION = re.compile(r"\{\{(- )?(.*?)( -)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:[^"\\]|\\.)*"|`[^`]*`)
    | (?P<number>-?\d+(?:\.\d+)?)
    | (?P<variable>\$\w*(?:\.[^\W\d]\w*)*)
    | (?P<field>\.(?:[^\W\d][\w]*(?:\.[^\W\d][\w]*)*)?)
    | (?P<word>[^\W\d]\w*)
    | (?P<close>\)(?:\.[^\W\d]\w*)*)
    | (?P<mark>[|(])
    | (?P<other>\S)
    )""",
    re.VERBOSE,
)


# `$name := …`, and for range also `$key, $name := …`.
_DECLARATION = re.compile(r"(\$\w+)(?:\s*,\s*(\$\w+))?\s*:=\s*(.*)", re.DOTALL)


class BadTemplate(InvalidInput):
    """A template that does not parse, or that asks for what is not there."""

    exit_code = 1

    def __init__(self, why: str) -> None:
        super().__init__(f"template: {why}")


class Template:
    """A template, parsed once and rendered for each object."""

    __slots__ = ("_parts",)

    def __init__(self, text: str) -> None:
        self._parts = _Parser(_split(text)).whole()

    def render(self, dot: Value) -> str:
        """Return the text for one object.

        Raises: BadTemplate: a field does not exist, a function got what it cannot use.
        """
        return _joined(self._parts, Scope(dot, {"$": dot}))


class Scope:
    """What a part of a template sees: the object it is about, and the variables so far."""

    __slots__ = ("dot", "variables")

    def __init__(self, dot: Value, variables: dict[str, Value]) -> None:
        self.dot = dot
        self.variables = variables

    def inner(self, dot: Value, names: Mapping[str, Value]) -> Scope:
        """Return the scope of a block: what it declares is forgotten at its end."""
        return Scope(dot, {**self.variables, **names})


def _joined(parts: list[Part], scope: Scope) -> str:
    return "".join(part(scope) for part in parts)


def _split(text: str) -> Iterator[tuple[str, str]]:
    """Yield ("text", …) and ("action", …) pieces."""
    at, trim = 0, False
    for match in _ACTION.finditer(text):
        plain = text[at : match.start()]
        plain = plain.lstrip() if trim else plain
        yield "text", plain.rstrip() if match[1] else plain
        yield "action", match[2].strip()
        at, trim = match.end(), bool(match[3])
    tail = text[at:]
    if "{{" in tail:
        raise BadTemplate("unclosed action: '{{' without '}}'")
    yield "text", tail.lstrip() if trim else tail


class _Parser:
    """Turns pieces into functions from the object to text."""

    def __init__(self, pieces: Iterator[tuple[str, str]]) -> None:
        self._pieces = pieces

    def whole(self) -> list[Part]:
        parts, ending = self._until()
        if ending:
            raise BadTemplate(f"unexpected {{{{{ending}}}}}")
        return parts

    def _until(self) -> tuple[list[Part], str]:
        """Parse up to an `end` or `else`, which is returned too; "" at the end of the text."""
        parts: list[Part] = []
        for kind, piece in self._pieces:
            word, _, rest = piece.partition(" ")
            if kind == "text":
                parts.append(_text(piece))
            elif word in ("end", "else"):
                return parts, piece
            elif word in _BLOCKS:
                parts.append(self._block(word, rest))
            elif not piece.startswith("/*"):
                parts.append(_action(piece))
        return parts, ""

    def _block(self, word: str, condition: str) -> Part:
        names, value = _declared(word, condition)
        body, ending = self._until()
        other: list[Part] = []
        if ending.startswith("else "):
            _, _, chained = ending.partition(" ")
            other = [self._block(*_first_word(chained))]
        elif ending == "else":
            other, ending = self._until()
        if not ending:
            raise BadTemplate(f"{{{{{word} …}}}} has no {{{{end}}}}")
        return _BLOCKS[word](value, names, body, other)


def _first_word(text: str) -> tuple[str, str]:
    word, _, rest = text.strip().partition(" ")
    if word not in ("if", "with"):
        raise BadTemplate(f"unexpected {{{{else {text}}}}}")
    return word, rest


def _declared(word: str, condition: str) -> tuple[list[str], Expression]:
    """Parse a block's condition: the variables that it declares, and the value."""
    match = _DECLARATION.fullmatch(condition.strip())
    if match is None:
        return [], expression(condition)
    names = [name for name in match.groups()[:2] if name]
    if len(names) > 1 and word != "range":
        raise BadTemplate(f"two variables in {{{{{word} {condition}}}}}")
    return names, expression(match[3])


def _action(piece: str) -> Part:
    """Parse what is printed, or kept in a variable."""
    match = _DECLARATION.fullmatch(piece)
    if match is None:
        value = expression(piece)
        return lambda scope: go_text(value(scope))
    if match[2]:
        raise BadTemplate(f"two variables in {{{{{piece}}}}}")
    name, kept = match[1], expression(match[3])

    def declare(scope: Scope) -> str:
        scope.variables[name] = kept(scope)
        return ""

    return declare


def _text(text: str) -> Part:
    return lambda _scope: text


def _if(value: Expression, names: list[str], body: list[Part], other: list[Part]) -> Part:
    def render(scope: Scope) -> str:
        found = value(scope)
        inner = scope.inner(scope.dot, dict.fromkeys(names, found))
        return _joined(body if found else other, inner)

    return render


def _with(value: Expression, names: list[str], body: list[Part], other: list[Part]) -> Part:
    def render(scope: Scope) -> str:
        found = value(scope)
        dot, parts = (found, body) if found else (scope.dot, other)
        return _joined(parts, scope.inner(dot, dict.fromkeys(names, found)))

    return render


def _range(value: Expression, names: list[str], body: list[Part], other: list[Part]) -> Part:
    def render(scope: Scope) -> str:
        found = value(scope)
        if not isinstance(found, list | tuple | dict | None):
            raise BadTemplate(f"range cannot go over {go_text(found)}")
        items = _items(found)
        if not items:
            return _joined(other, scope.inner(scope.dot, {}))
        return "".join(
            _joined(body, scope.inner(entry, _named(names, key, entry))) for key, entry in items
        )

    return render


def _named(names: list[str], key: Value, entry: Value) -> dict[str, Value]:
    """Give a range's variables their values: one is the entry, of two the first is its key."""
    return dict(zip(names, [key, entry][-len(names) :], strict=True)) if names else {}


def _items(value: Value) -> list[tuple[Value, Value]]:
    """Return (key, entry) of a map in the order of its keys, as Go does, or of a list."""
    if isinstance(value, dict):
        return [(key, value[key]) for key in sorted(value)]
    return list(enumerate(value)) if isinstance(value, list | tuple) else []


_BLOCKS = {"if": _if, "with": _with, "range": _range}


def expression(text: str) -> Expression:
    """Parse what stands between the braces."""
    tokens = _tokens(text)
    value = _pipeline(tokens)
    if tokens:
        raise BadTemplate(f"unexpected {tokens[0][1]!r} in {{{{{text}}}}}")
    return value


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens = [
        (str(match.lastgroup), match[match.lastgroup or 0]) for match in _TOKEN.finditer(text)
    ]
    if not tokens:
        raise BadTemplate("missing value for command: nothing between the braces")
    for kind, token in tokens:
        if kind == "other":
            raise BadTemplate(f"unexpected {token!r} in {{{{{text}}}}}")
    return tokens


def _pipeline(tokens: list[tuple[str, str]]) -> Expression:
    value = _call(tokens, None)
    while tokens and tokens[0][1] == "|":
        tokens.pop(0)
        value = _call(tokens, value)
    return value


def _call(tokens: list[tuple[str, str]], piped: Expression | None) -> Expression:
    """Parse one operand, or a function with its operands; a piped value comes last."""
    if not tokens:
        raise BadTemplate("missing value after '|'")
    kind, token = tokens[0]
    if kind != "word" or token in _CONSTANTS:
        if piped is not None:
            raise BadTemplate(f"{token!r} is not a function")
        value = _operand(tokens)
        return _method(token, value, _operands(tokens)) if kind == "field" else value
    tokens.pop(0)
    if token not in _FUNCTIONS:
        known = ", ".join(sorted(_FUNCTIONS))
        raise BadTemplate(f'function "{token}" not defined; there are {known}')
    operands = _operands(tokens)
    return _calling(token, [*operands, piped] if piped else operands)


def _operands(tokens: list[tuple[str, str]]) -> list[Expression]:
    """Parse what a function is given, up to the end of its call."""
    operands = []
    while tokens and tokens[0][1] != "|" and tokens[0][0] != "close":
        operands.append(_operand(tokens))
    return operands


def _method(token: str, value: Expression, operands: list[Expression]) -> Expression:
    """Return the call of a field with operands; without any, the field itself."""
    if not operands:
        return value

    def evaluate(scope: Scope) -> Value:
        method = value(scope)
        if not callable(method) or len(operands) != 1:
            raise BadTemplate(f"{token} has arguments but cannot be called with them")
        return str(method(operands[0](scope)))

    return evaluate


def _calling(name: str, operands: list[Expression]) -> Expression:
    def evaluate(scope: Scope) -> Value:
        values = [operand(scope) for operand in operands]
        try:
            return _FUNCTIONS[name](*values)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            given = " ".join(map(go_text, values))
            raise BadTemplate(f"{name} cannot work on {given or 'nothing'}: {error}") from error

    return evaluate


def _operand(tokens: list[tuple[str, str]]) -> Expression:
    kind, token = tokens.pop(0)
    if kind == "field":
        return _field(token)
    if kind == "variable":
        return _variable(token)
    if kind == "word" and token in _CONSTANTS:
        return lambda _scope: _CONSTANTS[token]
    if kind == "string":
        text = token[1:-1] if token.startswith("`") else str(json.loads(token))
        return lambda _scope: text
    if kind == "number":
        number = float(token) if "." in token else int(token)
        return lambda _scope: number
    if token == "(":
        return _parenthesised(tokens)
    raise BadTemplate(f"unexpected {token!r}")


def _parenthesised(tokens: list[tuple[str, str]]) -> Expression:
    """Parse what is in parentheses, and the fields taken of it: `(index .Mounts 0).Source`."""
    value = _pipeline(tokens)
    if not tokens or tokens[0][0] != "close":
        raise BadTemplate("'(' without ')'")
    fields = _field(tokens.pop(0)[1].removeprefix(")"))
    return lambda scope: fields(scope.inner(value(scope), {}))


def _field(token: str) -> Expression:
    path = [name for name in token.split(".") if name]

    def evaluate(scope: Scope) -> Value:
        value = scope.dot
        for name in path:
            value = _member(value, name, token)
        return value

    return evaluate


def _variable(token: str) -> Expression:
    """Return a variable's value, or a field of it; `$` alone is the whole object."""
    name, dot, path = token.partition(".")
    fields = _field(dot + path)

    def evaluate(scope: Scope) -> Value:
        if name not in scope.variables:
            raise BadTemplate(f'undefined variable "{name}"')
        return fields(scope.inner(scope.variables[name], {}))

    return evaluate


def _member(value: Value, name: str, token: str) -> Value:
    if value is None:
        return None
    if isinstance(value, Mapping) and name in value:
        found: Value = value[name]
        return found
    there = ", ".join(sorted(map(str, value))) if isinstance(value, Mapping) else ""
    raise BadTemplate(f'no "{name}" in {token}' + (f"; there are {there}" if there else ""))


def go_text(value: Value) -> str:
    """Return a value as Go's `%v` prints it."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{' '.join(map(go_text, value))}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{go_text(value[key])}' for key in sorted(value))}]"
    return str(value)


def to_json(value: Value) -> str:
    """Return a value as compact JSON."""
    return in_json(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _index(value: Value, *keys: Value) -> Value:
    for key in keys:
        if isinstance(value, dict):
            # As in Go: a key that a map lacks has the empty value.
            value = value.get(key, "")
        elif isinstance(value, list | str) and isinstance(key, int):
            value = value[key]
        elif value is not None:
            raise TypeError(f"{go_text(value)} has no entries")
    return value


def _and(*values: Value) -> Value:
    return next((value for value in values if not value), values[-1])


def _or(*values: Value) -> Value:
    return next((value for value in values if value), values[-1])


def _print(*values: Value) -> str:
    return "".join(map(go_text, values))


def _println(*values: Value) -> str:
    return " ".join(map(go_text, values)) + "\n"


def _printf(pattern: str, *values: Value) -> str:
    plain = re.sub(r"%[vq]", lambda match: '"%s"' if match[0] == "%q" else "%s", pattern)
    return plain % tuple(go_text(v) if not isinstance(v, int | float) else v for v in values)


def _truncate(text: str, length: int) -> str:
    return text[:length]


def _pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after


def _equal(first: Value, *others: Value) -> bool:
    return first in others


_CONSTANTS: dict[str, Value] = {"true": True, "false": False, "nil": None}
_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "and": _and,
    "eq": _equal,
    "ge": lambda a, b: a >= b,
    "gt": lambda a, b: a > b,
    "index": _index,
    "join": lambda texts, between: between.join(map(go_text, texts)),
    "json": to_json,
    "le": lambda a, b: a <= b,
    "len": len,
    "lower": str.lower,
    "lt": lambda a, b: a < b,
    "ne": lambda a, b: a != b,
    "not": lambda value: not value,
    "or": _or,
    "pad": _pad,
    "print": _print,
    "printf": _printf,
    "println": _println,
    "split": str.split,
    "title": str.title,
    "truncate": _truncate,
    "upper": str.upper,
}
