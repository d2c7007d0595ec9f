"""The build cache: what is taken from it, why not, and that the same inputs give the same image."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.build.cache import BuildCache
from onggi.build.tree import Entry
from onggi.oci.digest import Digest
from onggi.store.collect import collect
from support.builds import Yard, add_base, add_busybox
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "busybox")

TEXT = """
ARG BASE=busybox
FROM busybox AS tools
COPY tool /tool
RUN cat /tool > /made
FROM $BASE
ARG V=1
ENV E=1
COPY req.txt /app/
RUN echo $V$E > /app/v
COPY --from=tools /made /app/
COPY src /app/src
WORKDIR /app
CMD ["sh"]
"""


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    yard = Yard(tmp_path)
    add_busybox(yard.store)
    yard.write({"tool": "t", "req.txt": "r", "src/a.py": "a", "src/b.py": "b"})
    yield yard
    yard.close()


def test_the_same_build_is_the_same_image(yard: Yard) -> None:
    first = yard.build(TEXT, tags=["x"])
    assert set(yard.whys) == {"first build of this step"}
    second = yard.build(TEXT, tags=["x"])
    assert yard.whys == []
    assert second.image_id == first.image_id
    assert len(yard.executor.requests) == 2


@pytest.mark.parametrize(
    ("change", "whys"),
    [
        ({"src/a.py": "new"}, ["src/a.py changed"]),
        ({"src/c.py": "new"}, ["src/c.py is new"]),
        (
            {"req.txt": "new"},
            ["req.txt changed", *["an earlier step changed"] * 3],
        ),
        ({"tool": "new"}, ["tool changed", "an earlier step changed", "made changed"]),
    ],
)
def test_a_changed_file(yard: Yard, change: dict[str, str | bytes], whys: list[str]) -> None:
    yard.build(TEXT)
    yard.write(change)
    yard.build(TEXT)
    assert yard.whys[: len(whys)] == whys


def test_a_file_that_is_gone(yard: Yard) -> None:
    yard.build(TEXT)
    (yard.context / "src/b.py").unlink()
    yard.build(TEXT)
    assert yard.whys[0] == "src/b.py is gone"


def test_a_file_that_was_only_touched(yard: Yard) -> None:
    yard.build(TEXT)
    os.utime(yard.context / "src/a.py", (9, 9))
    yard.build(TEXT)
    assert yard.whys == []


def test_changed_permissions(yard: Yard) -> None:
    yard.build(TEXT)
    (yard.context / "src/a.py").chmod(0o755)
    yard.build(TEXT)
    assert yard.whys[0] == "src/a.py changed"


def test_a_changed_argument_and_variable(yard: Yard) -> None:
    yard.build(TEXT)
    yard.build(TEXT, args={"V": "2"})
    assert yard.whys[0] == "build arg V changed from 1 to 2"
    yard.build(TEXT.replace("E=1", "E=3"), args={"V": "2"})
    assert yard.whys[0] == "variable E changed from 1 to 3"


def test_an_older_state_is_still_known(yard: Yard) -> None:
    yard.build(TEXT)
    yard.build(TEXT, args={"V": "2"})
    yard.build(TEXT)
    assert yard.whys == []


def test_a_step_that_makes_the_same_layer_again_stops_the_change(yard: Yard) -> None:
    text = "FROM busybox\nRUN {}mkdir -p /x; true\nCOPY src /app\n"
    yard.build(text.format("rm -rf /none; "), args={"SOURCE_DATE_EPOCH": "5"})
    yard.build(text.format(""), args={"SOURCE_DATE_EPOCH": "5"})
    assert yard.whys == ["the instruction changed"]


def test_another_base_image(yard: Yard) -> None:
    add_base(yard.store, "other")
    yard.build("FROM busybox\nCOPY src /s\n")
    yard.build("FROM other\nCOPY src /s\n")
    assert yard.whys == ["an earlier step changed"]


def test_no_cache(yard: Yard) -> None:
    yard.build(TEXT)
    yard.build(TEXT, no_cache=True)
    assert set(yard.whys) == {"--no-cache"}
    assert yard.cached == 0


def test_a_linked_copy_does_not_depend_on_what_is_below(yard: Yard) -> None:
    yard.build("FROM busybox\nRUN echo 1 > /x\nCOPY --link src /s\n")
    yard.build("FROM busybox\nRUN echo 2 > /x\nCOPY --link src /s\n")
    assert yard.whys == ["the instruction changed"]


def test_a_layer_that_was_collected_is_made_again(yard: Yard) -> None:
    yard.build(TEXT)
    [layer] = yard.build("FROM busybox\nCOPY src /s\n").image.diff_ids[1:]
    yard.store.layers.delete(Digest(layer))
    yard.build("FROM busybox\nCOPY src /s\n")
    assert yard.whys == ["its layer is no longer in the store"]


def test_the_collector_keeps_what_is_cached(yard: Yard) -> None:
    yard.build(TEXT)
    yard.store.close()
    collect(yard.store)
    yard.build(TEXT)
    assert yard.whys == []


@pytest.mark.parametrize("kind", ["steps", "inputs", "builds", "contexts", "trees"])
def test_a_damaged_cache_costs_time_only(yard: Yard, kind: str) -> None:
    time.sleep(0.15)  # files younger than a tick of the clock are not remembered
    first = yard.build(TEXT)
    for path in Path(BuildCache(yard.store, "x").path(kind, "x")).parent.iterdir():
        path.write_text("{")
    assert yard.build(TEXT).image.diff_ids[0] == first.image.diff_ids[0]


def test_unchanged_files_are_not_read(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    time.sleep(0.15)
    yard.build(TEXT)

    def refuse(entry: Entry) -> str:
        raise AssertionError(f"{entry.full_path} is read again")

    monkeypatch.setattr("onggi.build.content.file_digest", refuse)
    yard.build(TEXT)
    assert yard.whys == []


EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}


def test_the_same_inputs_give_the_same_digest(tmp_path: Path) -> None:
    digests = set()
    for number in (1, 2):
        yard = Yard(tmp_path / str(number))
        add_busybox(yard.store)
        yard.write({"tool": "t", "req.txt": "r", "src/a.py": "a", "src/b.py": "b"})
        time.sleep(0.05)
        result = yard.build(TEXT, args=EPOCH)
        digests.add(result.image.descriptor.digest)
        created = {entry.created for entry in result.image.config.history[1:]}
        assert created == {"2023-11-14T22:13:20Z"}
        assert result.image.created == "2023-11-14T22:13:20Z"
        with yard.root(result) as root:
            for path in ("/app", "/app/v", "/app/src/a.py", "/app/src", "/app/made"):
                assert root.stat(path).st_mtime == 1700000000, path
        yard.close()
    assert len(digests) == 1


def test_the_epoch_may_come_from_the_environment(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    result = yard.build("FROM busybox\nCOPY tool /\n")
    assert result.image.created == "1970-01-02T00:00:00Z"


def test_an_image_without_new_layers_is_as_old_as_its_base(yard: Yard) -> None:
    result = yard.build('FROM busybox\nCMD ["x"]\n')
    assert result.image.created == "2024-01-01T00:00:00Z"
    assert yard.build('FROM busybox\nCMD ["x"]\n').image_id == result.image_id


def test_builds_at_the_same_moment_end_as_if_alone(yard: Yard) -> None:
    text = "FROM busybox\nCOPY src /s\nCOPY tool /t\nWORKDIR /w\n"
    children = []
    for _ in range(6):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                yard.build(text, tags=["same"], args=EPOCH)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 6
    result = yard.build(text, tags=["same"], args=EPOCH)
    assert yard.whys == []
    with yard.root(result) as root:
        assert root.read("/s/a.py") == "a"
