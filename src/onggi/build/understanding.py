"""From statements to instructions: each one's flags, and how many arguments it takes.

Source: buildkit, frontend/dockerfile/instructions/parse.go.
"""

from __future__ import annotations

from onggi.build.errors import DockerfileError, SyntaxProblem
from onggi.build.flags import REPEATED, SWITCH, TEXT, Flags, read_flags
from onggi.build.heredoc import Heredoc, heredoc_of
from onggi.build.instructions import (
    Arg,
    Cmd,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    StopSignal,
    Transfer,
    User,
    Volume,
    Workdir,
)
from onggi.build.source import is_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from onggi.build.source import Source
    from onggi.build.statement import Statement

_COPY_FLAGS = {
    "chmod": TEXT,
    "chown": TEXT,
    "exclude": REPEATED,
    "from": TEXT,
    "link": SWITCH,
    "parents": SWITCH,
}
_ADD_FLAGS = {
    "checksum": TEXT,
    "chmod": TEXT,
    "chown": TEXT,
    "exclude": REPEATED,
    "keep-git-dir": SWITCH,
    "link": SWITCH,
    "unpack": SWITCH,
}
_RUN_FLAGS = {"mount": REPEATED, "network": TEXT, "security": TEXT}
_NETWORKS = ("default", "host", "none")


def understand(statement: Statement, source: Source) -> Instruction:
    """Turn one statement into its instruction.

    Raises: DockerfileError: unknown instruction, wrong flags or arguments; with its place.
    """
    try:
        _require_text(statement)
        return _instruction(statement)
    except SyntaxProblem as problem:
        line = statement.range.start
        error = DockerfileError(f"dockerfile parse error on line {line}: {problem}")
        error.located(source, statement.range)
        raise error from None


def _instruction(statement: Statement) -> Instruction:
    read = _READERS.get(statement.keyword)
    if read is None:
        raise SyntaxProblem(
            f"unknown instruction: {statement.name}{_suggestion(statement.keyword)}"
        )
    return read(statement)


def _require_text(statement: Statement) -> None:
    """Hold to UTF-8 what becomes part of the image's config; documents of COPY do not."""
    kept = [statement.original]
    if statement.keyword in ("RUN", "ONBUILD"):
        kept += [heredoc.text for heredoc in statement.heredocs]
    for text in kept:
        if not is_text(text):
            raise SyntaxProblem("the instruction is not UTF-8 text")


def _suggestion(keyword: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(keyword, _READERS, 1)
    return f" (did you mean {close[0]}?)" if close else ""


def _flagless(statement: Statement) -> None:
    read_flags(statement.flags, {})


def _at_least_one(statement: Statement) -> tuple[str, ...]:
    if not statement.arguments:
        raise SyntaxProblem(f"{statement.keyword} requires at least one argument")
    return tuple(statement.arguments)


def _exactly_one(statement: Statement) -> str:
    _flagless(statement)
    if len(statement.arguments) != 1:
        raise SyntaxProblem(f"{statement.keyword} requires exactly one argument")
    return statement.arguments[0]


def _pairs(statement: Statement) -> tuple[tuple[str, str], ...]:
    _flagless(statement)
    words = _at_least_one(statement)
    pairs = tuple(zip(words[::2], words[1::2], strict=True))
    if not all(name for name, _ in pairs):
        raise SyntaxProblem(f"{statement.keyword} names can not be blank")
    return pairs


def _from(statement: Statement) -> From:
    flags = read_flags(statement.flags, {"platform": TEXT})
    words = statement.arguments
    if len(words) == 3 and words[1].lower() == "as":
        return From(statement, words[0], _stage_name(words[2]), flags.text("platform"))
    if len(words) != 1:
        raise SyntaxProblem("FROM requires either one or three arguments")
    return From(statement, words[0], "", flags.text("platform"))


def _stage_name(text: str) -> str:
    name = text.lower()
    good = name[:1].isalpha() and all(letter.isalnum() or letter in "-_." for letter in name)
    if not (name.isascii() and good):
        raise SyntaxProblem(
            f'invalid name for build stage: "{text}", '
            "name can't start with a number or contain symbols"
        )
    return name


def _arg(statement: Statement) -> Arg:
    _flagless(statement)
    arguments: list[tuple[str, str | None]] = []
    for word in _at_least_one(statement):
        name, equals, value = word.partition("=")
        if not name:
            raise SyntaxProblem("ARG names can not be blank")
        arguments.append((name, value if equals else None))
    return Arg(statement, tuple(arguments))


def _transfer(statement: Statement) -> Transfer:
    keyword = statement.keyword
    if len(statement.arguments) < 2:
        raise SyntaxProblem(
            f"{keyword} requires at least two arguments, but only one was provided. "
            "Destination could not be determined"
        )
    flags = read_flags(statement.flags, _ADD_FLAGS if keyword == "ADD" else _COPY_FLAGS)
    *sources, destination = statement.arguments
    if not statement.is_json and heredoc_of(destination):
        raise SyntaxProblem(f"{keyword} cannot accept a heredoc as a destination")
    documents = {heredoc.name: heredoc for heredoc in statement.heredocs}
    heredocs, paths = _split_sources(sources, documents)
    transfer = Transfer(statement, sources=paths, heredocs=heredocs, destination=destination)
    return _with_transfer_flags(transfer, flags)


def _split_sources(
    sources: list[str], documents: dict[str, Heredoc]
) -> tuple[tuple[Heredoc, ...], tuple[str, ...]]:
    heredocs, paths = [], []
    for word in sources:
        announced = heredoc_of(word) if documents else None
        if announced is None:
            paths.append(word)
        else:
            heredocs.append(documents[announced.name])
    return tuple(heredocs), tuple(paths)


def _with_transfer_flags(transfer: Transfer, flags: Flags) -> Transfer:
    transfer.chown = flags.text("chown")
    transfer.chmod = flags.text("chmod")
    transfer.checksum = flags.text("checksum")
    transfer.source_stage = flags.text("from")
    transfer.link = flags.switch("link")
    transfer.parents = flags.switch("parents")
    transfer.excludes = tuple(flags.repeated("exclude"))
    transfer.unpack = flags.choice("unpack")
    if "$" in transfer.source_stage:
        raise SyntaxProblem(
            "'--from' doesn't support variable expansion, define alias stage instead"
        )
    return transfer


def _run(statement: Statement) -> Run:
    flags = read_flags(statement.flags, _RUN_FLAGS)
    network = flags.text("network") or "default"
    if network not in _NETWORKS:
        raise SyntaxProblem(f'network mode "{network}" is unsupported; none, host, default are')
    if flags.text("security") not in ("", "sandbox"):
        raise SyntaxProblem("--security=insecure is not supported: RUN steps stay confined")
    if not statement.arguments:
        raise SyntaxProblem("RUN requires a command")
    return Run(
        statement,
        tuple(statement.arguments),
        statement.is_json,
        mounts=tuple(flags.repeated("mount")),
        network=network,
    )


def _onbuild(statement: Statement) -> Onbuild:
    _flagless(statement)
    if statement.inner is None:
        raise SyntaxProblem("ONBUILD requires at least one argument")
    keyword = statement.inner.keyword
    if keyword == "ONBUILD":
        raise SyntaxProblem("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if keyword in ("FROM", "MAINTAINER"):
        raise SyntaxProblem(f"{keyword} isn't allowed as an ONBUILD trigger")
    _instruction(statement.inner)  # refused here, and not in whoever's build comes to trigger it
    text = statement.original.strip()[len("ONBUILD") :].lstrip()
    for heredoc in statement.heredocs:
        text += f"\n{heredoc.text}{heredoc.name}"
    return Onbuild(statement, text)


def _volume(statement: Statement) -> Volume:
    _flagless(statement)
    words = tuple(word.strip() for word in _at_least_one(statement))
    if not all(words):
        raise SyntaxProblem("VOLUME specified can not be an empty string")
    return Volume(statement, words)


def _shell(statement: Statement) -> Shell:
    _flagless(statement)
    if not statement.is_json:
        raise SyntaxProblem("SHELL requires the arguments to be in JSON form")
    return Shell(statement, _at_least_one(statement))


def _expose(statement: Statement) -> Expose:
    _flagless(statement)
    return Expose(statement, tuple(sorted(_at_least_one(statement))))


def _command(kind: type[Cmd | Entrypoint]) -> Callable[[Statement], Cmd | Entrypoint]:
    def read(statement: Statement) -> Cmd | Entrypoint:
        _flagless(statement)
        return kind(statement, tuple(statement.arguments), statement.is_json)

    return read


def _healthcheck(statement: Statement) -> Healthcheck:
    from onggi.build.healthcheck import read_healthcheck

    return Healthcheck(statement, read_healthcheck(statement))


_READERS: dict[str, Callable[[Statement], Instruction]] = {
    "ADD": _transfer,
    "ARG": _arg,
    "CMD": _command(Cmd),
    "COPY": _transfer,
    "ENTRYPOINT": _command(Entrypoint),
    "ENV": lambda statement: Env(statement, _pairs(statement)),
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": _healthcheck,
    "LABEL": lambda statement: Label(statement, _pairs(statement)),
    "MAINTAINER": lambda statement: Maintainer(statement, _exactly_one(statement)),
    "ONBUILD": _onbuild,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": lambda statement: StopSignal(statement, _exactly_one(statement)),
    "USER": lambda statement: User(statement, _exactly_one(statement)),
    "VOLUME": _volume,
    "WORKDIR": lambda statement: Workdir(statement, _exactly_one(statement)),
}
