"""Volumes: made once, found by everybody."""

import os
from pathlib import Path

import pytest

from onggi.errors import Corrupt, InvalidInput
from onggi.store.store import Store
from onggi.store.volumes import VolumeNotFound


def test_a_volume_is_made_and_found(root_dir: Path) -> None:
    with Store(str(root_dir)) as store:
        made = store.volumes.create("data", {"labels": {"a": "b"}})
        assert made == {"labels": {"a": "b"}, "name": "data"}
        assert store.volumes.create("data", {"labels": {}}) == made
        assert list(store.volumes.list()) == [made]
        path = Path(store.volumes.path("data"))
        assert path == root_dir / "volumes" / "data" / "_data"
        assert path.stat().st_mode & 0o7777 == 0o755
        assert os.listdir(store.workshop.path) == []


def test_a_volume_is_removed_with_what_is_in_it(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        store.volumes.create("data")
        deep = Path(store.volumes.path("data")) / "a" / "b"
        deep.mkdir(parents=True)
        (deep / "link").symlink_to(root_dir)
        store.volumes.remove("data")
        assert list(store.volumes.list()) == []
        assert (root_dir / "schema").exists()
        for look in (store.volumes.get, store.volumes.path, store.volumes.remove):
            with pytest.raises(VolumeNotFound):
                look("data")


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "../data", "x\0y"])
def test_names_that_could_be_no_volumes(root_dir: Path, name: str) -> None:
    with Store(str(root_dir), durable=False) as store:
        with pytest.raises(InvalidInput):
            store.volumes.create(name)
        for look in (store.volumes.get, store.volumes.path, store.volumes.remove):
            with pytest.raises(VolumeNotFound):
                look(name)


def test_a_damaged_record_is_said_to_be(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        store.volumes.create("data")
        (root_dir / "volumes" / "data" / "volume.json").write_text("{")
        with pytest.raises(Corrupt):
            store.volumes.get("data")


def test_a_volume_is_filled_once(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        store.volumes.create("data")
        image = root_dir / "tmp" / "image"
        (image / "deep").mkdir(parents=True, mode=0o750)
        (image / "deep" / "file").write_text("of the image\n")
        (image / "link").symlink_to("/etc/passwd")
        image.chmod(0o1777)
        os.utime(image, (1000, 1000))
        store.volumes.fill("data", [str(image)])
        data = Path(store.volumes.path("data"))
        assert (data / "deep" / "file").read_text() == "of the image\n"
        assert (data / "link").readlink() == Path("/etc/passwd")
        assert (data.stat().st_mode & 0o7777, data.stat().st_mtime) == (0o1777, 1000)
        (data / "deep" / "file").write_text("mine\n")
        store.volumes.fill("data", [str(image)])
        assert (data / "deep" / "file").read_text() == "mine\n"
        assert os.listdir(store.workshop.path) == []


def test_a_copy_that_fails_leaves_the_volume_empty(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        store.volumes.create("data")
        with pytest.raises(FileNotFoundError):
            store.volumes.fill("data", [str(root_dir / "nowhere")])
        assert os.listdir(store.volumes.path("data")) == []
        assert os.listdir(store.workshop.path) == []
        with pytest.raises(VolumeNotFound):
            store.volumes.fill("other", [])
