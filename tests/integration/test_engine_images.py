"""Images and containers through the library, from packages to archives and back."""

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onggi import Engine
from onggi.build.errors import DockerfileError
from onggi.engine.container import Container
from onggi.engine.options import ContainerOptions
from onggi.errors import Corrupt, InvalidInput, NotFound, Unsupported
from onggi.image.removal import ImageInUse
from onggi.oci.reference import InvalidReference
from support.docker_api import require_shape
from support.images import Made, layout, tar_of
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "cgroup-memory", "busybox")


@pytest.fixture
def engine(root_dir: Path) -> Iterator[Engine]:
    """Give an engine with a busybox image; all of it is reset afterwards."""
    made = Engine(str(root_dir))
    made.images.bootstrap("busybox")
    yield made
    made.system.reset()


def test_who_is_attached_to_nothing_still_hears_how_it_ended(engine: Engine) -> None:
    much = "yes | head -c 3000000; exit 3"  # more than would wait for a reader
    options = ContainerOptions(image="busybox", command=["sh", "-c", much], remove=True)
    assert engine.containers.run(options).wait().code == 3
    assert engine.containers.list(all=True) == []


def test_who_has_detached_can_wait_all_the_same(engine: Engine) -> None:
    options = ContainerOptions(image="busybox", command=["sh", "-c", "sleep 0.2; exit 4"])
    session = engine.containers.run(options)
    session.detach()
    session.detach()
    assert session.wait().code == 4


def test_a_program_that_reads_finds_the_end_of_what_nobody_says(engine: Engine) -> None:
    options = ContainerOptions(image="busybox", command=["cat"], interactive=True)
    assert engine.containers.run(options).wait().code == 0


def run(engine: Engine, script: str, **options: Any) -> Container:
    """Run a script in a container to its end."""
    command = ["sh", "-c", script]
    session = engine.containers.run(ContainerOptions(image="busybox", command=command, **options))
    assert session.container.wait().code == 0
    return session.container


def image_id(engine: Engine, name: str = "busybox") -> str:
    return engine.images.get(name).id


def identity(engine: Engine, name: str = "busybox") -> tuple[str, list[str]]:
    """Return an image's ID and its manifest's digest."""
    return image_id(engine, name), engine.images.get(name).inspect()["RepoDigests"]


def log(container: Container) -> bytes:
    return b"".join(line.data for line in container.logs())


def test_busybox_is_the_same_again(engine: Engine, tmp_path: Path) -> None:
    first = identity(engine)
    lines: list[str] = []
    assert engine.images.bootstrap("busybox", progress=lines.append) == "busybox:latest"
    assert identity(engine) == first
    assert len(engine.images.list()) == 1
    assert any("commands" in line for line in lines)
    with Engine(str(tmp_path / "other")) as other:
        other.images.bootstrap("busybox")
        assert identity(other) == first
        other.system.reset()


def test_busybox_is_a_small_system(engine: Engine) -> None:
    script = "id -un; stat -c %a /tmp /root; ls -l /usr/bin/env; ls /usr/bin/wget; ls /dev/null"
    shown = log(run(engine, script)).decode().splitlines()
    assert shown[:3] == ["root", "1777", "700"]
    assert shown[3].endswith("/usr/bin/env -> ../../bin/busybox")
    assert shown[4:] == ["/usr/bin/wget", "/dev/null"]


def test_an_image_can_have_another_name(engine: Engine) -> None:
    assert engine.images.bootstrap("busybox", reference="host.example/base:1") == (
        "host.example/base:1"
    )
    assert image_id(engine, "host.example/base:1") == image_id(engine)


def test_nothing_is_left_when_there_is_no_busybox(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    before = os.listdir(f"{engine.store.root}/containers")
    with pytest.raises(Unsupported, match="busybox-static"):
        engine.images.bootstrap("busybox", reference="again")
    assert os.listdir(f"{engine.store.root}/containers") == before
    with pytest.raises(NotFound):
        engine.images.get("again")


def test_a_busybox_with_libraries_is_refused(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: "/bin/sh")
    with pytest.raises(Unsupported, match="/bin/sh is not static"):
        engine.images.bootstrap("busybox", reference="again")


def test_listing_and_inspecting(engine: Engine) -> None:
    engine.images.tag("busybox", "a/b:1")
    (listed,) = engine.images.list()
    require_shape("ImageSummary", listed)
    assert listed["RepoTags"] == ["a/b:1", "busybox:latest"]
    assert 1_000_000 < listed["Size"] < 10_000_000
    shown = engine.images.get("busybox").inspect()
    require_shape("ImageInspect", shown)
    assert shown["Config"]["Cmd"] == ["sh"]
    assert (shown["Id"], shown["RepoTags"]) == (listed["Id"], listed["RepoTags"])


def test_listing_some(engine: Engine) -> None:
    engine.images.tag("busybox", "a/b:1")
    found = engine.images.list(filters={"reference": ["a/*"]})
    assert [one["RepoTags"] for one in found] == [["a/b:1"]]
    assert engine.images.list(filters={"reference": ["nothing"]}) == []
    assert engine.images.list(filters={"dangling": ["true"]}) == []
    with pytest.raises(InvalidInput, match="invalid filter 'colour'"):
        engine.images.list(filters={"colour": ["red"]})


def test_a_container_counts_as_a_user(engine: Engine) -> None:
    engine.containers.create(ContainerOptions(image="busybox"))
    assert engine.images.list()[0]["Containers"] == 1


def test_history(engine: Engine) -> None:
    (line,) = engine.images.history("busybox")
    require_shape("ImageHistoryResponseItem", line)
    assert line["CreatedBy"] == "onggi bootstrap busybox"
    assert (line["Id"], line["Tags"]) == (image_id(engine), ["busybox:latest"])


def test_names_come_and_go(engine: Engine) -> None:
    engine.images.tag("busybox", "other:1")
    assert engine.images.remove("other:1") == [("Untagged", "other:1")]
    with pytest.raises(InvalidInput, match="cannot be named by a digest"):
        engine.images.tag("busybox", f"x@{image_id(engine)}")
    with pytest.raises(NotFound):
        engine.images.tag("nothing", "x")


def test_an_image_goes_with_its_last_name(engine: Engine) -> None:
    gone = image_id(engine)
    done = engine.images.remove("busybox")
    assert done[:2] == [("Untagged", "busybox:latest"), ("Deleted", gone)]
    assert engine.images.list() == []
    assert engine.store.layers.list() == []
    assert engine.store.blobs.list() == []


def test_an_image_in_use_stays(engine: Engine) -> None:
    container = engine.containers.create(ContainerOptions(image="busybox"))
    with pytest.raises(ImageInUse, match="must force"):
        engine.images.remove("busybox")
    engine.images.remove("busybox", force=True)
    # What the container stands on stays as long as it does.
    assert container.inspect()["Config"]["Cmd"] == ["sh"]
    assert container.commit(reference="saved").startswith("sha256:")
    container.remove()
    assert engine.containers.list(all=True) == []


@pytest.mark.parametrize("archive_format", ["docker", "oci"])
def test_save_and_load(engine: Engine, tmp_path: Path, archive_format: str) -> None:
    archive = io.BytesIO()
    engine.images.save(["busybox"], archive, format=archive_format)
    archive.seek(0)
    with Engine(str(tmp_path / "other")) as other:
        assert other.images.load(archive) == ["busybox:latest"]
        assert identity(other) == identity(engine)
        other.system.reset()


def test_an_image_without_a_name_is_loaded_by_its_id(engine: Engine) -> None:
    made = Made({"etc/one": b"1\n"})
    loaded = engine.images.load(io.BytesIO(tar_of(layout(made))))
    assert loaded == [str(made.image.id)]


def test_export_and_import(engine: Engine) -> None:
    container = run(engine, "echo kept >/note; rm /etc/group; ln -s note /link")
    archive = io.BytesIO()
    container.export(archive)
    archive.seek(0)
    with tarfile.open(fileobj=archive) as tar:
        names = {name.removeprefix("./") for name in tar.getnames()}
    assert {"note", "link", "bin/busybox"} <= names
    assert "etc/group" not in names
    archive.seek(0)
    made = engine.images.import_(
        archive, reference="copy", changes=['CMD ["cat", "/link"]'], message="from a test"
    )
    assert made == image_id(engine, "copy")
    assert engine.images.history("copy")[0]["Comment"] == "from a test"
    session = engine.containers.run(ContainerOptions(image="copy"))
    session.container.wait()
    assert log(session.container) == b"kept\n"


def test_an_import_for_another_machine(engine: Engine) -> None:
    made = engine.images.import_(io.BytesIO(tar_of({"a": b""})), platform="linux/arm64/v8")
    assert engine.images.get(made).inspect()["Architecture"] == "arm64"
    with pytest.raises(InvalidInput, match="invalid platform"):
        engine.images.import_(io.BytesIO(tar_of({"a": b""})), platform="a/b/c/d")


def test_a_broken_archive_leaves_nothing(engine: Engine) -> None:
    before = engine.store.blobs.list()
    with pytest.raises((Corrupt, InvalidInput)):
        engine.images.import_(io.BytesIO(b"no tar at all" * 100), reference="broken")
    assert engine.store.blobs.list() == before
    with pytest.raises(NotFound):
        engine.images.get("broken")


def test_commit(engine: Engine) -> None:
    container = run(engine, "echo kept >/note; rm /etc/group", env=["A=1"], labels={"l": "m"})
    made = container.commit(
        reference="kept:1", message="why", author="Kim", changes=["ENV B=$A", "USER nobody"]
    )
    assert made == image_id(engine, "kept:1")
    shown = engine.images.get("kept:1").inspect()
    assert shown["Config"]["Env"][-2:] == ["A=1", "B=1"]
    assert shown["Config"]["User"] == "nobody"
    assert shown["Config"]["Labels"] == {"l": "m"}
    assert (shown["Comment"], shown["Author"]) == ("why", "Kim")
    assert len(shown["RootFS"]["Layers"]) == 2
    newest, oldest = engine.images.history("kept:1")
    assert (newest["Id"], oldest["Id"]) == (made, "<missing>")
    options = ContainerOptions(
        image="kept:1", command=["sh", "-c", "cat /note; ls /etc/group 2>&1; id -un"]
    )
    session = engine.containers.run(options)
    session.container.wait()
    assert log(session.container).splitlines()[::2] == [b"kept", b"nobody"]


def test_commit_of_a_container_that_runs(engine: Engine) -> None:
    options = ContainerOptions(image="busybox", command=["sh", "-c", "echo x >/x; sleep 600"])
    container = engine.containers.run(options).container
    while not list(container.logs()) and ("A", "/x") not in container.changes():
        assert container.status == "running"
    made = container.commit()
    assert engine.images.get(made[:19]).inspect()["RepoTags"] == []
    assert engine.images.list(filters={"dangling": ["true"]})[0]["Id"] == made
    assert container.status == "running"


def test_commit_refuses_what_makes_no_sense(engine: Engine) -> None:
    container = engine.containers.create(ContainerOptions(image="busybox"))
    before = engine.images.list()
    with pytest.raises(DockerfileError, match="RUN is not a valid change command"):
        container.commit(changes=["RUN true"])
    with pytest.raises(InvalidReference):
        container.commit(reference="UPPER")
    assert engine.images.list() == before


def test_logs(engine: Engine) -> None:
    container = run(engine, "echo one; echo two; printf thr; sleep 0.05; echo ee; echo err >&2")
    lines = list(container.logs())
    out = b"".join(line.data for line in lines if line.stream == "stdout")
    assert out == b"one\ntwo\nthree\n"
    assert [line.data for line in lines if line.stream == "stderr"] == [b"err\n"]
    assert b"".join(line.data for line in container.logs(tail=1)) in (b"err\n", b"three\n")
    assert list(container.logs(since=lines[-1].time_ns + 1)) == []
    assert next(container.logs(until=lines[0].time_ns)).data == b"one\n"


def test_logs_are_followed_to_the_end(engine: Engine) -> None:
    script = "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done"
    options = ContainerOptions(image="busybox", command=["sh", "-c", script])
    container = engine.containers.run(options).container
    assert b"".join(line.data for line in container.logs(follow=True)) == b"1\n2\n3\n4\n5\n"
    assert container.status == "exited"


def test_a_real_container_has_the_shapes_of_the_api(engine: Engine) -> None:
    options = ContainerOptions(
        image="busybox",
        command=["sleep", "600"],
        name="web",
        volumes=["data:/data", "/tmp:/host:ro"],
        limits={"memory": "64m", "cpus": "0.5"},
    )
    container = engine.containers.run(options).container
    require_shape("ContainerInspectResponse", container.inspect())
    require_shape("ContainerSummary", container.summary(size=True))
    assert container.summary()["Status"].startswith("Up ")
    require_shape("Volume", engine.volumes.get("data").inspect())
    require_shape("SystemInfo", engine.system.info())
    assert engine.system.info()["ContainersRunning"] == 1
    for data in container.inspect()["GraphDriver"]["Data"].values():
        assert all(os.path.isdir(path) for path in data.split(":"))


def test_filters_that_ask_the_store(engine: Engine) -> None:
    old = engine.containers.create(ContainerOptions(image="busybox", name="old"))
    made = old.commit(reference="child")
    new = engine.containers.create(ContainerOptions(image="child", name="new"))

    def listed(**filters: list[str]) -> list[str]:
        return [one.name for one in engine.containers.list(all=True, filters=filters)]

    assert listed(ancestor=["busybox"]) == ["new", "old"]
    assert listed(ancestor=["child"]) == listed(ancestor=[made]) == ["new"]
    assert (listed(since=["old"]), listed(before=[new.id[:12]])) == (["new"], ["old"])
    assert listed(status=["created"], name=["^o"]) == ["old"]
    with pytest.raises(NotFound):
        listed(ancestor=["nothing"])


def test_reset_leaves_what_is_not_the_stores(engine: Engine) -> None:
    root = Path(engine.store.root)
    (root / "precious").write_text("x")
    with pytest.raises(InvalidInput, match="precious"):
        engine.system.reset()
    assert image_id(engine)
    (root / "precious").unlink()


def test_somebodys_directory_does_not_become_a_store(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(InvalidInput, match="neither empty nor a store, it holds 'precious'"):
        Engine(str(tmp_path))
    assert os.listdir(tmp_path) == ["precious"]
