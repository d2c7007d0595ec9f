"""What the configuration of an image asks for, when a container is made of it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.box import Box
from support.builds import add_busybox
from support.oci_runtimes import Json, OciRuntime
from support.requirements import requires
from support.threats import BUNDLE, INSIDE, withstands

pytestmark = requires("root", "overlayfs", "busybox")


@pytest.fixture
def image(box: Box) -> Iterator[str]:
    yield "hostile"
    box.attempt("rmi", "-f", "hostile")


def make(box: Box, tmp_path: Path, *lines: str) -> None:
    """Build the hostile image of the busybox one."""
    (tmp_path / "Dockerfile").write_text("\n".join(["FROM busybox", *lines, ""]))
    box("build", "-q", "-t", "hostile", str(tmp_path))


@withstands(
    "settings", "a user that is a number, and a name in its passwd that stands for root", by=INSIDE
)
@pytest.mark.parametrize("number", ["2147483648", "4294967295", "4294967296", "9" * 20])
def test_a_number_is_no_name(box: Box, tmp_path: Path, image: str, number: str) -> None:
    """CVE-2026-46680: a number that no user can have was looked up as a name."""
    entry = f"{number}:x:0:0::/:/bin/sh"
    make(box, tmp_path, f"RUN echo {entry} >> /etc/passwd; echo {number}:x:0: >> /etc/group")
    (tmp_path / "Dockerfile").write_text(f"FROM hostile\nUSER {number}\n")
    if box.attempt("build", "-q", "-t", "hostile", str(tmp_path)).returncode == 0:
        done = box.attempt("run", "--rm", image, "id")
        assert (done.returncode, done.stdout) == (125, ""), done
    for user in (number, f"0:{number}", f"1000:{number}"):
        done = box.attempt("run", "--rm", "-u", user, image, "id")
        assert (done.returncode, done.stdout) == (125, ""), done


@withstands("settings", "variables that name those of the caller", by=INSIDE)
@pytest.mark.parametrize("entry", ["OF_THE_CALLER", "OF_THE*", "*"])
def test_an_image_names_no_variable_of_the_caller(
    box: Box, image: str, entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CVE-2026-57231: an entry without a value, or with a star, took the caller's."""
    monkeypatch.setenv("OF_THE_CALLER", "SECRET")
    with box.engine() as engine:
        add_busybox(engine.store, image, {"Env": ["PATH=/bin", entry], "Cmd": ["env"]})
    done = box.attempt("run", "--rm", image)
    assert "SECRET" not in done.stdout
    assert done.returncode == 125 or "PATH=/bin" in done.stdout, done


@withstands("settings", "a working directory that leads out through a link", by=INSIDE)
@pytest.mark.parametrize("verb", ["WORKDIR", "run", "exec"])
def test_a_working_directory_is_made_inside(
    box: Box, tmp_path: Path, image: str, verb: str
) -> None:
    """CVE-2026-55686: what is missing of it was made where a link of the image's led."""
    outside = tmp_path / "outside"
    outside.mkdir()
    place = "/link/more/deep"
    make(box, tmp_path, f"RUN ln -s {outside} /link", *[f"WORKDIR {place}"] * (verb == "WORKDIR"))
    if verb == "exec":
        container = box("run", "-d", image, "sleep", "100").stdout.strip()
        box.attempt("exec", "-w", place, container, "true")
        box("rm", "-f", container)
    else:
        options = ("-w", place) if verb == "run" else ()
        shown = box("run", "--rm", *options, image, "pwd").stdout
        assert shown == f"{outside}/more/deep\n"
    assert os.listdir(outside) == []


@withstands("names", "a passwd file that is a link, a fifo or endless", by=BUNDLE)
@requires("cgroup-memory")
@pytest.mark.parametrize("kind", ["fifo", "endless", "directory", "disk"])
def test_a_home_is_looked_up_in_a_plain_file(ours: OciRuntime, kind: str) -> None:
    """By the first process, within the memory that the container has."""

    def change(config: Json) -> None:
        config["linux"]["resources"]["memory"] = {"limit": 96 << 20}

    name = ours.identifier()
    bundle = ours.bundle(name, "sh", "-c", "echo $HOME", change=change)
    passwd = bundle / "rootfs/etc/passwd"
    if kind == "fifo":
        os.mkfifo(passwd)
    elif kind == "directory":
        passwd.mkdir()
    elif kind == "disk":
        os.mknod(passwd, 0o600 | stat.S_IFBLK, os.makedev(8, 0))
    else:
        passwd.touch()
        os.truncate(passwd, 300 << 30)
    done = ours.attempt("run", "--bundle", bundle, name, timeout=60)
    assert (done.returncode, done.stdout) == (0, "/\n"), done
