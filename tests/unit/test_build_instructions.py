"""From statements to instructions: flags, counts of arguments, and where variables are replaced."""

import pytest

from onggi.build.errors import DockerfileError
from onggi.build.instructions import (
    Arg,
    Cmd,
    From,
    Healthcheck,
    Instruction,
    Label,
    Onbuild,
    Run,
    Transfer,
    Workdir,
)
from onggi.build.lexer import parse
from onggi.build.source import Source
from onggi.build.understanding import understand


def read(line: str) -> Instruction:
    source = Source("Dockerfile", line)
    return understand(parse(source).statements[0], source)


def test_from() -> None:
    instruction = read("FROM --platform=linux/amd64 debian:12 As Build")
    assert isinstance(instruction, From)
    assert instruction.image == "debian:12"
    assert instruction.stage_name == "build"
    assert instruction.platform == "linux/amd64"


def test_arg() -> None:
    instruction = read("ARG a b= c=d")
    assert isinstance(instruction, Arg)
    assert instruction.arguments == (("a", None), ("b", ""), ("c", "d"))


def test_run_in_both_forms() -> None:
    shell, words = read("RUN echo  hi"), read('RUN ["echo", "hi"]')
    assert isinstance(shell, Run)
    assert isinstance(words, Run)
    assert (shell.words, shell.is_exec) == (("echo  hi",), False)
    assert (words.words, words.is_exec) == (("echo", "hi"), True)
    assert shell.network == "default"


def test_copy_with_everything() -> None:
    instruction = read(
        "COPY --from=x --chown=a:b --chmod=755 --link --parents --exclude=*.md --exclude=b a b /c/"
    )
    assert isinstance(instruction, Transfer)
    assert instruction.source_stage == "x"
    assert (instruction.chown, instruction.chmod) == ("a:b", "755")
    assert instruction.link
    assert instruction.parents
    assert instruction.excludes == ("*.md", "b")
    assert instruction.sources == ("a", "b")
    assert instruction.destination == "/c/"
    assert not instruction.is_add


def test_copy_of_documents() -> None:
    instruction = read("COPY a <<E /c/\nx\nE\n")
    assert isinstance(instruction, Transfer)
    assert instruction.sources == ("a",)
    assert [(each.name, each.content) for each in instruction.heredocs] == [("E", "x\n")]


def test_healthcheck() -> None:
    instruction = read("HEALTHCHECK --interval=1m30s --timeout=500ms --retries=3 CMD curl -f x")
    assert isinstance(instruction, Healthcheck)
    assert instruction.settings == {
        "Test": ["CMD-SHELL", "curl -f x"],
        "Interval": 90_000_000_000,
        "Timeout": 500_000_000,
        "Retries": 3,
    }
    none = read("HEALTHCHECK NONE")
    assert isinstance(none, Healthcheck)
    assert none.settings == {"Test": ["NONE"]}


def test_onbuild_keeps_documents() -> None:
    instruction = read("ONBUILD COPY <<E /f\nx\nE\n")
    assert isinstance(instruction, Onbuild)
    assert instruction.text == "COPY <<E /f\nx\nE"


def shout(text: str) -> str:
    return text.upper()


def test_variables_are_replaced_where_they_should_be() -> None:
    workdir = read("WORKDIR a").expanded(shout)
    assert isinstance(workdir, Workdir)
    assert workdir.text == "A"
    label = read("LABEL a=b").expanded(shout)
    assert isinstance(label, Label)
    assert label.pairs == (("A", "B"),)
    copy = read("COPY --chown=a --chmod=u=r --from=x b c").expanded(shout)
    assert isinstance(copy, Transfer)
    assert (copy.chown, copy.chmod, copy.sources, copy.destination) == ("A", "U=R", ("B",), "C")
    assert copy.source_stage == "x"


@pytest.mark.parametrize("line", ["RUN a", "CMD a", "ENTRYPOINT a", 'SHELL ["a"]', "ONBUILD RUN a"])
def test_commands_are_left_to_the_shell(line: str) -> None:
    instruction = read(line)
    assert instruction.expanded(shout) is instruction


def test_a_title_is_one_line_in_capitals() -> None:
    assert read("run  echo hi").title == "RUN  echo hi"
    assert isinstance(read("cmd a"), Cmd)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("FORM a", "unknown instruction: FORM (did you mean FROM?)"),
        ("XYZZY a", "unknown instruction: XYZZY"),
        ("FROM", "FROM requires either one or three arguments"),
        ("FROM a b", "FROM requires either one or three arguments"),
        ("FROM a AS 1x", 'invalid name for build stage: "1x"'),
        ("FROM a AS x/y", "invalid name for build stage"),
        ("FROM --foo=1 a", "unknown flag: --foo"),
        ("COPY a", "COPY requires at least two arguments"),
        ("COPY --chown a b", "missing a value on flag: --chown"),
        ("COPY --chwon=a b c", "unknown flag: --chwon (did you mean --chown?)"),
        ("COPY --chown=a --chown=b c d", "duplicate flag specified: chown"),
        ("COPY --link=maybe a b", "expecting boolean value for flag --link"),
        ("COPY --from=$x a b", "doesn't support variable expansion"),
        ("COPY --checksum=x a b", "unknown flag: --checksum"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV =b", "ENV names can not be blank"),
        ("ARG", "ARG requires at least one argument"),
        ("ARG =b", "ARG names can not be blank"),
        ("USER", "USER requires exactly one argument"),
        ("USER --x a", "unknown flag: --x"),
        ("RUN", "RUN requires a command"),
        ("RUN --network=bridge a", 'network mode "bridge" is unsupported'),
        ("RUN --security=insecure a", "--security=insecure is not supported"),
        ("SHELL bash -c", "SHELL requires the arguments to be in JSON form"),
        ("SHELL []", "SHELL requires at least one argument"),
        ("VOLUME", "VOLUME requires at least one argument"),
        ("ONBUILD", "ONBUILD requires at least one argument"),
        ("ONBUILD ONBUILD RUN a", "Chaining ONBUILD"),
        ("ONBUILD FROM a", "FROM isn't allowed as an ONBUILD trigger"),
        ("RUN a \udcff", "is not UTF-8 text"),
        ("LABEL a=\udcff", "is not UTF-8 text"),
        ("ONBUILD RUNN a", "unknown instruction: RUNN (did you mean RUN?)"),
        ("ONBUILD COPY a", "COPY requires at least two arguments"),
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument"),
        ("HEALTHCHECK NONE a", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK RUN a", 'Unknown type "RUN" in HEALTHCHECK'),
        ("HEALTHCHECK --interval=5 CMD a", "must be a duration like 30s"),
        ("HEALTHCHECK --interval=5us CMD a", "cannot be less than 1ms"),
        ("HEALTHCHECK --retries=-1 CMD a", "cannot be negative"),
        ("HEALTHCHECK --retries=x CMD a", "must be a number"),
    ],
)
def test_refusals(line: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        read(line)
    assert message in str(caught.value)
    assert "dockerfile parse error on line 1" in str(caught.value)
    assert caught.value.excerpt.startswith("Dockerfile:1\n")
