"""The graph of stages: names, targets, what is needed, global arguments, ONBUILD."""

import pytest

from onggi.build.errors import DockerfileError
from onggi.build.instructions import Run
from onggi.build.source import Source
from onggi.build.stages import Graph, make_graph
from onggi.errors import NotFound
from onggi.oci.platform import Platform

HERE = Platform("linux", "amd64")


def graph_of(
    text: str,
    target: str = "",
    args: dict[str, str] | None = None,
    triggers: dict[str, tuple[str, ...]] | None = None,
) -> Graph:
    return make_graph(
        Source("Dockerfile", text),
        target=target,
        build_args=args or {},
        platform=HERE,
        triggers=lambda image: (triggers or {}).get(image, ()),
    )


def needed(graph: Graph) -> list[str]:
    return [stage.name for stage in graph.needed]


THREE = """
FROM a AS one
FROM b AS two
RUN --mount=type=bind,from=ONE,target=/x true
FROM c AS three
COPY --from=Two /x /y
FROM d AS unneeded
FROM three
"""


def test_only_what_the_target_needs() -> None:
    assert needed(graph_of(THREE)) == ["one", "two", "three", "stage-4"]
    assert needed(graph_of(THREE, "two")) == ["one", "two"]
    assert needed(graph_of(THREE, "UNNEEDED")) == ["unneeded"]
    assert needed(graph_of(THREE, "0")) == ["one"]


def test_a_stage_by_its_number() -> None:
    assert needed(graph_of("FROM a\nFROM b\nCOPY --from=0 /x /y\n")) == ["stage-0", "stage-1"]


def test_a_later_stage_takes_the_name() -> None:
    graph = graph_of("FROM a AS x\nFROM b AS x\nFROM x\n")
    assert graph.target.base is graph.stages[1]


def test_global_arguments_are_for_from_lines() -> None:
    text = "ARG V=1\nARG IMAGE=base:${V}\nFROM ${IMAGE}\n"
    assert graph_of(text).target.image == "base:1"
    assert graph_of(text, args={"V": "2"}).target.image == "base:2"
    assert graph_of(text, args={"IMAGE": "x"}).target.image == "x"


def test_the_platform_is_known_without_asking() -> None:
    graph = graph_of("FROM --platform=$BUILDPLATFORM base-$TARGETARCH\n")
    assert graph.target.image == "base-amd64"


def test_triggers_come_first_and_may_need_stages() -> None:
    text = "FROM a AS tools\nFROM base\nRUN own\n"
    graph = graph_of(text, triggers={"base": ("RUN trigger", "COPY --from=tools /a /b")})
    assert needed(graph) == ["tools", "stage-1"]
    first, second, third = graph.target.instructions
    assert isinstance(first, Run)
    assert first.words == ("trigger",)
    assert (first.trigger, second.trigger, third.trigger) == (True, True, False)
    assert first.range.start == 2
    assert first.title == "ONBUILD RUN trigger"


def test_a_stage_triggers_what_the_one_below_said_but_no_further() -> None:
    text = "FROM scratch AS one\nONBUILD RUN told\nFROM one AS two\nRUN own\nFROM two\nRUN last\n"
    graph = graph_of(text)
    titles = [[each.title for each in stage.instructions] for stage in graph.stages]
    assert titles == [["ONBUILD RUN told"], ["ONBUILD RUN told", "RUN own"], ["RUN last"]]
    assert [each.trigger for each in graph.stages[1].instructions] == [True, False]


def test_triggers_of_unneeded_images_are_not_asked_for() -> None:
    def triggers(image: str) -> tuple[str, ...]:
        raise NotFound(image)

    source = Source("Dockerfile", "FROM missing AS x\nFROM scratch\n")
    make_graph(source, target="", build_args={}, platform=HERE, triggers=triggers)


def test_arguments_that_are_used() -> None:
    graph = graph_of("ARG a\nARG b=1\nFROM scratch\nARG c\n", args={"a": "1"})
    assert {"a", "b", "c"} <= graph.used_arguments()


@pytest.mark.parametrize(
    ("text", "target", "message", "line"),
    [
        ("RUN a\n", "", "no build stage in current context", 1),
        ("ARG a\n", "", "no stages to build", 1),
        ("FROM a\n", "x", 'target stage "x" could not be found (one of stage-0)', 0),
        ("FROM $nothing\n", "", "base name ($nothing) should not be blank", 1),
        ("FROM ${x:?no}\n", "", "x: no", 1),
        ("FROM --platform=linux/s390x a\n", "", "cannot build for linux/s390x", 1),
        ("FROM --platform=a/b/c/d a\n", "", "invalid platform", 1),
        ("FROM a AS x\nCOPY --from=x a b\n", "", "needs to be defined before", 2),
        ("FROM a\nCOPY --from=y a b\nFROM b AS y\n", "0", "needs to be defined before", 2),
        ("FROM a\nRUN --mount=from=$x,target=/y z\n", "", "define alias stage", 2),
        ("ARG x=${y\nFROM a\n", "", "missing '}'", 1),
    ],
)
def test_refusals(text: str, target: str, message: str, line: int) -> None:
    with pytest.raises(DockerfileError) as caught:
        graph_of(text, target)
    assert message in str(caught.value)
    if line:
        assert caught.value.excerpt.startswith(f"Dockerfile:{line}\n")


def test_a_bad_trigger_is_blamed_on_its_from_line() -> None:
    with pytest.raises(DockerfileError) as caught:
        graph_of("\nFROM base\n", triggers={"base": ("NONSENSE x",)})
    assert "unknown instruction: NONSENSE" in str(caught.value)
