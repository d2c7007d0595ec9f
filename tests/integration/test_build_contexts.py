"""Contexts beside the context: `--build-context`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.build.errors import BuildError
from onggi.build.options import Context
from onggi.errors import InvalidInput
from support.builds import Yard, add_base, add_busybox
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "busybox")

FILES = {"a": "other a\n", "d/x": "x\n", "skip": "s", ".dockerignore": "skip\n"}


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    yard = Yard(tmp_path)
    add_base(yard.store)
    add_busybox(yard.store)
    for name, text in FILES.items():
        path = tmp_path / "other" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "other/out").symlink_to("../secret")
    yield yard
    yard.close()


def other(tmp_path: Path, name: str = "other") -> dict[str, Context]:
    return dict([Context.parse(f"{name}={tmp_path / 'other'}")])


def test_copy_and_mount_from_a_directory(yard: Yard, tmp_path: Path) -> None:
    lines = (
        "FROM busybox\nCOPY --from=OTHER . /all\n"
        "RUN --mount=from=other,target=/m cat /m/a; ls /m; echo no > /m/a || true\n"
        "RUN --mount=from=other,source=d,target=/m ls /m\n"
    )
    result = yard.build(lines, contexts=other(tmp_path))
    with yard.root(result) as root:
        assert root.list("/all") == [".dockerignore", "a", "d", "out"]
    assert "other a\n" in yard.output
    assert "skip" not in yard.output
    assert (tmp_path / "other/a").read_text() == "other a\n"
    yard.build(lines, contexts=other(tmp_path))
    assert yard.whys == []
    (tmp_path / "other/a").write_text("changed\n")
    yard.build(lines, contexts=other(tmp_path))
    assert yard.whys[0] == "a changed"


def test_nothing_leads_out_of_a_directory(yard: Yard, tmp_path: Path) -> None:
    for source in ("out", "../secret", "skip"):
        with pytest.raises(BuildError, match="not found"):
            yard.build(f"FROM base\nCOPY --from=other {source} /\n", contexts=other(tmp_path))


def test_an_image_under_another_name(yard: Yard, tmp_path: Path) -> None:
    contexts = dict([Context.parse("not-here:1=docker-image://base")])
    text = "FROM not-here:1\nFROM scratch\nCOPY --from=not-here:1 /etc/motd /\n"
    with yard.root(yard.build(text, contexts=contexts)) as root:
        assert root.read("/motd") == "hello\n"
    yard.build("FROM not-here:1\nCOPY <<E /x\nE\n", contexts=contexts)
    with pytest.raises(BuildError, match="other is a directory, so nothing can stand on it"):
        yard.build("FROM other\n", contexts=other(tmp_path))


def test_a_context_comes_before_a_stage(yard: Yard, tmp_path: Path) -> None:
    text = "FROM base AS stage\nFROM scratch\nCOPY --from=stage /a /\n"
    with yard.root(yard.build(text, contexts=other(tmp_path, "stage"))) as root:
        assert root.read("/a") == "other a\n"


@pytest.mark.parametrize("text", ["", "name", "=x", "name=", "n=/nonexistent", "n=https://x/y"])
def test_refusals(text: str) -> None:
    with pytest.raises(InvalidInput, match="build context"):
        Context.parse(text)
