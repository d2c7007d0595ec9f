"""What ARG and ENV mean for what comes after them, and what they leave in the image."""

import pytest

from onggi.build.configuring import configure, working_dir
from onggi.build.errors import SyntaxProblem
from onggi.build.expansion import Expander
from onggi.build.instructions import Arg, Instruction
from onggi.build.lexer import parse
from onggi.build.source import Source
from onggi.build.state import DEFAULT_PATH, StageState
from onggi.build.understanding import understand
from onggi.build.variables import Variables, platform_arguments
from onggi.oci.image import ImageConfig
from onggi.oci.platform import Platform

HERE = Platform("linux", "arm64")
EXPANDER = Expander()


def read(line: str) -> Instruction:
    source = Source("Dockerfile", line)
    return understand(parse(source).statements[0], source)


def declare(
    variables: Variables, line: str, given: dict[str, str], outer: dict[str, str]
) -> list[str]:
    instruction = read(line)
    assert isinstance(instruction, Arg)
    return variables.declare(instruction, given, outer, EXPANDER)


def test_an_argument_takes_what_is_given_then_its_default_then_the_global() -> None:
    variables = Variables()
    said = declare(variables, "ARG a=1 b=2 c d e=$b", {"b": "given"}, {"a": "outer", "c": "outer"})
    assert said == ["a=1", "b=given", "c=outer", "d", "e=given"]
    assert variables.values == {"a": "1", "b": "given", "c": "outer", "e": "given"}
    assert variables.said_by_arguments() == ["|5", "a=1", "b=given", "c=outer", "d=", "e=given"]


def test_whichever_came_last_counts() -> None:
    variables = Variables()
    variables.set("x", "env")
    declare(variables, "ARG x=arg", {}, {})
    assert variables.values["x"] == "arg"
    variables.set("x", "again")
    assert variables.values["x"] == "again"


def test_a_copy_goes_its_own_way() -> None:
    variables = Variables({"a": "1"}, {"a": "1"})
    variables.copy().set("a", "2")
    assert variables.values["a"] == "1"


def test_platform_arguments() -> None:
    values = platform_arguments(Platform("linux", "arm", "v7"), "")
    assert values["TARGETPLATFORM"] == values["BUILDPLATFORM"] == "linux/arm/v7"
    assert (values["TARGETOS"], values["TARGETARCH"]) == ("linux", "arm")
    assert values["TARGETVARIANT"] == "v7"
    assert values["TARGETSTAGE"] == "default"


class Stage:
    """A stage's state, and lines applied to it."""

    def __init__(self, settings: dict[str, list[str]] | None = None) -> None:
        config = ImageConfig.of(HERE).with_settings(settings or {})
        self.state = StageState(config, ())

    def apply(self, *lines: str) -> dict[str, object]:
        for line in lines:
            configure(self.state, read(line).expanded(self._word), self._words)
        return dict(self.state.settings)

    def _word(self, text: str) -> str:
        return EXPANDER.word(text, self.state.variables.values)

    def _words(self, text: str) -> list[str]:
        return EXPANDER.words(text, self.state.variables.values)

    @property
    def said(self) -> list[str]:
        return [entry.created_by for entry in self.state.history]


def test_env_within_one_instruction_sees_what_was_before_it() -> None:
    stage = Stage()
    settings = stage.apply("ENV abc=hello", "ENV abc=bye def=$abc", "ENV ghi=$abc")
    assert settings["Env"] == ["abc=bye", "def=hello", "ghi=bye"]
    assert stage.said == ["ENV abc=hello", "ENV abc=bye def=hello", "ENV ghi=bye"]


def test_an_entrypoint_resets_the_base_images_command_only() -> None:
    assert "Cmd" not in Stage({"Cmd": ["x"]}).apply('ENTRYPOINT ["a"]')
    assert Stage({"Cmd": ["x"]}).apply('CMD ["y"]', 'ENTRYPOINT ["a"]')["Cmd"] == ["y"]
    assert "Entrypoint" not in Stage({"Entrypoint": ["x"]}).apply("ENTRYPOINT []")


def test_commands_are_put_into_the_shell() -> None:
    stage = Stage()
    assert stage.apply("CMD echo hi")["Cmd"] == ["/bin/sh", "-c", "echo hi"]
    settings = stage.apply('SHELL ["/bin/bash", "-ec"]', "ENTRYPOINT x $y")
    assert settings["Entrypoint"] == ["/bin/bash", "-ec", "x $y"]
    assert stage.said[-1] == 'ENTRYPOINT ["/bin/bash" "-ec" "x $y"]'


def test_the_rest_of_the_configuration() -> None:
    settings = Stage().apply(
        "LABEL a=b",
        "LABEL c=d a=e",
        "EXPOSE 80 443/udp 8000-8002",
        'VOLUME ["/data", "/more"]',
        "USER me:us",
        "STOPSIGNAL SIGINT",
        "ONBUILD RUN x",
        "HEALTHCHECK CMD true",
    )
    assert settings == {
        "Labels": {"a": "e", "c": "d"},
        "ExposedPorts": {
            port: {} for port in ("443/udp", "80/tcp", "8000/tcp", "8001/tcp", "8002/tcp")
        },
        "Volumes": {"/data": {}, "/more": {}},
        "User": "me:us",
        "StopSignal": "SIGINT",
        "OnBuild": ["RUN x"],
        "Healthcheck": {"Test": ["CMD-SHELL", "true"]},
    }


def test_a_variable_may_hold_several_ports() -> None:
    assert Stage().apply("ENV ports='80 81'", "EXPOSE $ports")["ExposedPorts"] == {
        "80/tcp": {},
        "81/tcp": {},
    }


def test_maintainer_is_the_author() -> None:
    stage = Stage()
    stage.apply("MAINTAINER A <a@b>")
    assert stage.state.author == "A <a@b>"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("EXPOSE x", "invalid containerPort: x"),
        ("EXPOSE 70000", "invalid containerPort"),
        ("EXPOSE 80/icmp", "invalid proto: icmp"),
        ("EXPOSE 90-80", "invalid range"),
        ("STOPSIGNAL SIGNOTHING", "invalid signal: SIGNOTHING"),
        ("VOLUME $nothing", "VOLUME specified can not be an empty string"),
    ],
)
def test_refusals(line: str, message: str) -> None:
    with pytest.raises(SyntaxProblem, match=message):
        Stage().apply(line)


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ("", "a", "/a"),
        ("/a", "b", "/a/b"),
        ("/a", "/b", "/b"),
        ("/a", "../../b", "/b"),
        ("", "//a/", "/a"),
    ],
)
def test_working_directories_build_on_each_other(before: str, path: str, after: str) -> None:
    stage = Stage()
    stage.state.settings["WorkingDir"] = before
    assert working_dir(stage.state, path) == after


def test_scratch_has_a_path() -> None:
    state = StageState.of_nothing(HERE)
    assert state.texts("Env") == [f"PATH={DEFAULT_PATH}"]
    assert state.working_dir == "/"


def test_a_stage_on_a_stage_inherits_all_but_triggers() -> None:
    stage = Stage()
    stage.apply("ENV a=b", "ONBUILD RUN x", 'CMD ["c"]')
    twin = stage.state.copy()
    assert twin.settings == {"Env": ["a=b"], "Cmd": ["c"]}
    assert twin.variables.values == {"a": "b"}
    assert not twin.cmd_given
    assert len(twin.history) == 2
