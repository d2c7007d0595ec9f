"""What the runtime reads: a configuration that is no file, records that others may write."""

import os
from pathlib import Path

import pytest

from support.command import Onggi
from support.oci_runtimes import Json, OciRuntime
from support.requirements import requires
from support.threats import BUNDLE, withstands

pytestmark = requires("root", "busybox")


@withstands("names", "devices and fifos where a file is read, which to open is to use", by=BUNDLE)
@pytest.mark.parametrize("kind", ["fifo", "device", "directory"])
def test_a_configuration_is_a_file(ours: OciRuntime, kind: str) -> None:
    name = ours.identifier()
    config = ours.bundle(name, "true") / "config.json"
    config.unlink()
    if kind == "fifo":
        os.mkfifo(config)
    elif kind == "device":
        config.symlink_to("/dev/tty")
    else:
        config.mkdir()
    done = ours.attempt("create", "--bundle", config.parent, name, timeout=15)
    assert done.returncode == 1
    assert "config.json is not a file" in done.stderr


NOTIFY: Json = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
}


@withstands("names", "`..` and absolute names", by=BUNDLE)
@pytest.mark.parametrize("path", ["true", "../../../../../bin/true", ""])
@pytest.mark.parametrize("what", ["createRuntime", "createContainer", "poststop", "listenerPath"])
def test_nothing_depends_on_the_directory_of_the_caller(
    ours: OciRuntime, what: str, path: str
) -> None:
    def change(config: Json) -> None:
        if what == "listenerPath":
            config["linux"]["seccomp"] = {**NOTIFY, "listenerPath": path}
        else:
            config["hooks"] = {what: [{"path": path}]}

    done = ours.run("true", change=change)
    assert done.returncode == 1
    assert "must be absolute" in done.stderr or "must be set" in done.stderr


@withstands(
    "neighbours",
    "records of containers that another user of the host wrote, or may write to",
    by=BUNDLE,
)
@pytest.mark.parametrize("command", ["state", "delete", "create", "list", "kill"])
@pytest.mark.parametrize("how", ["another's", "everybody's"])
def test_records_that_others_write_are_not_read(ours: OciRuntime, command: str, how: str) -> None:
    """A record names processes to be killed, cgroups to be cleared, and hooks to be run."""
    name = ours.identifier()
    bundle = ours.bundle(name, "true")
    ours.create(name, bundle)
    status = ours.root.stat()
    if how == "another's":
        os.chown(ours.root, 61_184, -1)
    else:
        ours.root.chmod(0o1777)
    words = {"create": ["--bundle", str(bundle), f"{name}-2"], "list": []}.get(command, [name])
    done = ours.attempt(command, *words)
    os.chown(ours.root, status.st_uid, -1)
    ours.root.chmod(status.st_mode)
    assert done.returncode == 1
    assert "another user" in done.stderr or "can be written by others" in done.stderr


@withstands(
    "neighbours",
    "records of containers that another user of the host wrote, or may write to",
    by=BUNDLE,
)
def test_no_directory_on_the_way_to_records_is_made_for_all_to_write(ours: OciRuntime) -> None:
    ours.root = ours.root / "deep/down"
    name = ours.identifier()
    bundle = ours.bundle(name, "true")
    before = os.umask(0)
    try:
        ours.create(name, bundle)
    finally:
        os.umask(before)
    top = ours.root.parents[1]
    for place in (top, *top.rglob("*")):
        assert place.is_symlink() or not place.stat().st_mode & 0o022, place


@withstands("neighbours", "the store and the run directory opened by other users of the host")
def test_no_directory_on_the_way_to_a_store_or_a_volume_is_made_for_all_to_write(
    root_dir: Path,
) -> None:
    onggi = Onggi(root_dir / "deep/down/store")
    before = os.umask(0)
    try:
        onggi("bootstrap", "busybox")
        onggi("run", "--rm", "-v", f"{root_dir}/made/for/it:/it", "busybox", "true")
    finally:
        os.umask(before)
    made = [path for path in root_dir.rglob("*") if path.is_dir() and "layers" not in path.parts]
    assert len(made) > 20
    assert not [path for path in made if path.stat().st_mode & 0o022]
    onggi("system", "reset", "--force")
