"""Build contexts whose own files are the attack; test_build_safety.py tries what they hold."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.build.builder import build
from onggi.build.errors import BuildError
from onggi.build.options import BuildOptions
from onggi.errors import OnggiError
from support.builds import Yard, add_busybox
from support.requirements import requires
from support.threats import withstands

pytestmark = requires("root", "overlayfs", "busybox")


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    yard = Yard(tmp_path)
    add_busybox(yard.store)
    yield yard
    yard.close()


def build_of_files(yard: Yard) -> object:
    options = BuildOptions(context=str(yard.context))
    return build(yard.store, options, yard.executor, yard.events.append)


@withstands("builds", "a Dockerfile or ignore file that is a fifo or a device")
@pytest.mark.parametrize("name", ["Dockerfile", ".dockerignore", "Dockerfile.dockerignore"])
@pytest.mark.parametrize("kind", ["fifo", "/dev/zero", "/dev/tty"])
@pytest.mark.time_limit(20)
def test_what_a_build_begins_with_is_a_file(yard: Yard, name: str, kind: str) -> None:
    yard.write({"Dockerfile": "FROM busybox\nCOPY . /all/\n"})
    (yard.context / name).unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(yard.context / name)
    else:
        (yard.context / name).symlink_to(kind)
    began = time.monotonic()
    with pytest.raises(OnggiError, match="failed to read"):
        build_of_files(yard)
    assert time.monotonic() - began < 10, "it waited"


@withstands("builds", "a # syntax line, git and other URLs")
@pytest.mark.parametrize(
    "line",
    [
        "ADD git@example.invalid:x/y.git#main /x",
        "ADD https://example.invalid/x.git /x",
        "ADD https://example.invalid/x.git#$(touch${IFS}/tmp/onggi-pwned) /x",
        "ADD ssh://-oProxyCommand=touch${IFS}/tmp/onggi-pwned/x /x",
        "ADD file:///etc/passwd /x",
        "ADD ftp://example.invalid/x /x",
        "COPY http://example.invalid/x /x",
    ],
)
def test_strange_sources_fetch_and_run_nothing(yard: Yard, line: str) -> None:
    with pytest.raises(BuildError):
        yard.build(f"FROM busybox\n{line}\n")
    assert yard.executor.requests == []
    assert not os.path.exists("/tmp/onggi-pwned")
