"""Instructions that change an image's configuration only. Pure.

Source: buildkit, frontend/dockerfile/dockerfile2llb/convert.go (dispatch…), convert_expose.go;
image-spec config.md.
"""

from __future__ import annotations

import posixpath

from onggi.build.errors import SyntaxProblem
from onggi.build.instructions import (
    Cmd,
    Command,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Shell,
    StopSignal,
    User,
    Volume,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from onggi.build.state import StageState

_PROTOCOLS = ("tcp", "udp", "sctp")


def configure(
    state: StageState, instruction: Instruction, words: Callable[[str], list[str]]
) -> None:
    """Apply an instruction whose variables are expanded; `words` expands what may hold several.

    Raises: SyntaxProblem: a port or signal makes no sense.
    """
    if isinstance(instruction, Expose):
        _expose(state, instruction, words)
        return
    _APPLY[type(instruction)](state, instruction)


def shell_form(state: StageState, command: Command) -> list[str]:
    """Return what to execute: the words themselves, or the shell with the text."""
    if command.is_exec:
        return list(command.words)
    return [*state.shell, *command.words]


def working_dir(state: StageState, path: str) -> str:
    """Return the working directory that WORKDIR `path` leads to from the present one."""
    joined = posixpath.normpath(posixpath.join("/", state.working_dir, path))
    return f"/{joined.lstrip('/')}"


def _env(state: StageState, instruction: Env) -> None:
    pairs = dict(pair.partition("=")[::2] for pair in state.texts("Env"))
    for name, value in instruction.pairs:
        pairs[name] = value
        state.variables.set(name, value)
    state.settings["Env"] = [f"{name}={value}" for name, value in pairs.items()]
    state.note(f"ENV {_said(instruction.pairs)}")


def _label(state: StageState, instruction: Label) -> None:
    state.settings["Labels"] = {**state.mapping("Labels"), **dict(instruction.pairs)}
    state.note(f"LABEL {_said(instruction.pairs)}")


def _said(pairs: tuple[tuple[str, str], ...]) -> str:
    return " ".join(f"{name}={value}" for name, value in pairs)


def _cmd(state: StageState, instruction: Cmd) -> None:
    words = shell_form(state, instruction)
    state.settings["Cmd"] = list(words)
    state.cmd_given = True
    state.note(f"CMD {_quoted(words)}")


def _entrypoint(state: StageState, instruction: Entrypoint) -> None:
    words = shell_form(state, instruction)
    state.settings.pop("Entrypoint", None)
    if words:
        state.settings["Entrypoint"] = list(words)
    if not state.cmd_given:
        state.settings.pop("Cmd", None)
    state.note(f"ENTRYPOINT {_quoted(words)}")


def _quoted(words: list[str]) -> str:
    from onggi.oci.jsontext import dumps

    return f"[{' '.join(dumps(word) for word in words)}]"


def _shell(state: StageState, instruction: Shell) -> None:
    state.settings["Shell"] = list(instruction.words)
    state.note(f"SHELL [{' '.join(instruction.words)}]")


def _user(state: StageState, instruction: User) -> None:
    state.settings["User"] = instruction.text
    state.note(f"USER {instruction.text}")


def _volume(state: StageState, instruction: Volume) -> None:
    volumes = state.mapping("Volumes")
    for path in instruction.words:
        if not path:
            raise SyntaxProblem("VOLUME specified can not be an empty string")
        volumes[path] = {}
    state.settings["Volumes"] = volumes
    state.note(f"VOLUME [{' '.join(instruction.words)}]")


def _stop_signal(state: StageState, instruction: StopSignal) -> None:
    from onggi.linux import signals

    try:
        signals.parse(instruction.text)
    except ValueError:
        raise SyntaxProblem(f"invalid signal: {instruction.text}") from None
    state.settings["StopSignal"] = instruction.text
    state.note(f"STOPSIGNAL {instruction.text}")


def _healthcheck(state: StageState, instruction: Healthcheck) -> None:
    settings: dict[str, Any] = instruction.settings
    state.settings["Healthcheck"] = settings
    state.note(instruction.title)


def _onbuild(state: StageState, instruction: Onbuild) -> None:
    state.settings["OnBuild"] = [*state.texts("OnBuild"), instruction.text]


def _maintainer(state: StageState, instruction: Maintainer) -> None:
    state.author = instruction.text
    state.note(f"MAINTAINER {instruction.text}")


def _expose(state: StageState, instruction: Expose, words: Callable[[str], list[str]]) -> None:
    ports = [port for word in instruction.words for text in words(word) for port in _ports(text)]
    state.settings["ExposedPorts"] = {
        **state.mapping("ExposedPorts"),
        **{port: {} for port in ports},
    }
    state.note(f"EXPOSE [{' '.join(ports)}]")


def _ports(text: str) -> list[str]:
    """Read ``[[ip:]host:]port[-port][/protocol]``; what is before the last colon does not count."""
    ports, _, protocol = text.rpartition(":")[2].partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in _PROTOCOLS:
        raise SyntaxProblem(f"invalid proto: {protocol}")
    first, dash, last = ports.partition("-")
    start, end = _port(first, text), _port(last if dash else first, text)
    if end < start:
        raise SyntaxProblem(f"invalid range specified for port: {text}")
    return [f"{port}/{protocol}" for port in range(start, end + 1)]


def _port(text: str, whole: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise SyntaxProblem(f"invalid containerPort: {whole}")
    return int(text)


_APPLY: dict[type[Instruction], Callable[[StageState, Any], None]] = {
    Cmd: _cmd,
    Entrypoint: _entrypoint,
    Env: _env,
    Healthcheck: _healthcheck,
    Label: _label,
    Maintainer: _maintainer,
    Onbuild: _onbuild,
    Shell: _shell,
    StopSignal: _stop_signal,
    User: _user,
    Volume: _volume,
}
