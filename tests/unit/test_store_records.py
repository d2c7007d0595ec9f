"""Records: names with one winner, IDs by their beginnings, updates as one step."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from onggi.errors import Corrupt, InvalidInput
from onggi.store import records
from onggi.store.records import ContainerNotFound, NameTaken, Records
from onggi.store.store import Store
from support.parallel import in_parallel
from support.threats import withstands

ID = "0123456789abcdef" * 4


def test_a_record_is_kept(root_dir: Path) -> None:
    with Store(str(root_dir)) as store:
        store.containers.create(ID, "jar", {"status": "created"})
        assert store.containers.load(ID) == {"status": "created", "id": ID, "name": "jar"}
        assert store.containers.ids() == (ID,)
        assert list(store.containers.list()) == [store.containers.load(ID)]
        assert os.listdir(store.containers.path(ID)) == ["record.json"]
        assert os.listdir(store.workshop.path) == []


def test_names_and_ids_are_taken_once(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        store.containers.create(ID, "jar", {})
        with pytest.raises(NameTaken) as caught:
            store.containers.create("f" * 64, "jar", {})
        assert caught.value.container == ID
        with pytest.raises(NameTaken):
            store.containers.create(ID, "pot", {})
        assert store.containers.ids() == (ID,)
        assert os.listdir(root_dir / "names") == ["jar"]


def test_a_deleted_name_is_free(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        store.containers.create(ID, "jar", {})
        (root_dir / "containers" / ID / "log").write_text("words")
        store.containers.delete(ID)
        assert os.listdir(root_dir / "containers") == []
        store.containers.create("f" * 64, "jar", {})
        with pytest.raises(ContainerNotFound):
            store.containers.delete(ID)


@withstands("at once", "a short ID that fits two containers")
def test_resolving(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        store.containers.create(ID, "jar", {})
        other = "01" + "f" * 62
        store.containers.create(other, "012", {})
        assert store.containers.resolve(ID) == ID
        assert store.containers.resolve("jar") == ID
        assert store.containers.resolve("0123") == ID
        assert store.containers.resolve("012") == other, "a name goes before an ID's beginning"
        with pytest.raises(InvalidInput, match="ambiguous"):
            store.containers.resolve("01")


@pytest.mark.parametrize("text", ["", "nobody", "..", "../x", "a\0b", "x" * 300, "/"])
def test_what_resolves_to_nothing(root_dir: Path, text: str) -> None:
    with Store(str(root_dir), durable=False) as store:
        store.containers.create(ID, "jar", {})
        with pytest.raises(ContainerNotFound):
            store.containers.resolve(text)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-a", "a b", "a\n", "é", "x" * 256])
def test_names_that_could_be_no_files(root_dir: Path, name: str) -> None:
    with Store(str(root_dir), durable=False) as store:
        with pytest.raises(InvalidInput):
            store.containers.create(ID, name, {})
        with pytest.raises(InvalidInput):
            store.containers.create(name, "jar", {})
        assert os.listdir(root_dir / "containers") == []


def test_an_update_that_fails_changes_nothing(root_dir: Path) -> None:
    def fail(record: dict[str, Any]) -> dict[str, Any]:
        record["status"] = "half"
        raise ZeroDivisionError

    with Store(str(root_dir), durable=False) as store:
        store.containers.create(ID, "jar", {"status": "whole"})
        with pytest.raises(ZeroDivisionError):
            store.containers.update(ID, fail)
        assert store.containers.load(ID)["status"] == "whole"
        with pytest.raises(ContainerNotFound):
            store.containers.update("f" * 64, fail)


def test_updates_do_not_overtake_each_other(root_dir: Path) -> None:
    def count(store: Store) -> None:
        for _ in range(50):
            store.containers.update(ID, lambda record: {**record, "count": record["count"] + 1})

    with Store(str(root_dir), durable=False) as store:
        store.containers.create(ID, "jar", {"count": 0})
        threads = [threading.Thread(target=count, args=(store,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.containers.load(ID)["count"] == 200


def test_a_name_left_by_a_crash_is_nobodys(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        os.symlink("f" * 64, root_dir / "names" / "jar")
        with pytest.raises(ContainerNotFound):
            store.containers.resolve("jar")
        store.containers.create(ID, "jar", {})
        os.symlink("e" * 64, root_dir / "names" / "pot")
        store.containers.sweep_names()
        assert os.listdir(root_dir / "names") == ["jar"]


def test_another_name(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        store.containers.create(ID, "jar", {"kept": 1})
        store.containers.create("b" * 64, "pot", {})
        assert store.containers.rename(ID, "vase") == {"id": ID, "name": "vase", "kept": 1}
        assert store.containers.load(ID)["name"] == "vase"
        assert sorted(os.listdir(root_dir / "names")) == ["pot", "vase"]
        with pytest.raises(NameTaken):
            store.containers.rename(ID, "pot")
        for name in ("vase", "no/name", ""):
            with pytest.raises(InvalidInput):
                store.containers.rename(ID, name)
        with pytest.raises(ContainerNotFound):
            store.containers.rename("c" * 64, "free")
        assert sorted(os.listdir(root_dir / "names")) == ["pot", "vase"]
        assert store.containers.resolve("vase") == ID


@pytest.mark.parametrize("step", ["update", "unlink_if_exists"])
def test_a_renaming_cut_short(root_dir: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Killed between its steps, a container has one of the two names, and can be had by it."""
    with Store(str(root_dir), durable=False) as store:
        store.containers.create(ID, "jar", {})
        with monkeypatch.context() as patch:
            patch.setattr(Records if step == "update" else records, step, _die)
            with pytest.raises(Killed):
                store.containers.rename(ID, "vase")
        store.containers.sweep_names()
        (name,) = os.listdir(root_dir / "names")
        assert store.containers.load(ID)["name"] == name
        assert store.containers.resolve(name) == ID


class Killed(BaseException):
    """What nobody catches."""


def _die(*_: object, **__: object) -> None:
    raise Killed


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_damaged_record_is_said_to_be(root_dir: Path, text: str) -> None:
    with Store(str(root_dir), durable=False) as store:
        store.containers.create(ID, "jar", {})
        (root_dir / "containers" / ID / "record.json").write_text(text)
        with pytest.raises(Corrupt):
            store.containers.load(ID)


@withstands("at once", "many commands on one store at once")
def test_of_many_that_race_for_a_name_one_wins(root_dir: Path, tmp_path: Path) -> None:
    def race(worker: int) -> None:
        with Store(str(root_dir), durable=False) as store:
            try:
                store.containers.create(f"{worker:064x}", "jar", {})
            except NameTaken:
                return
            (tmp_path / f"winner-{worker}").touch()

    in_parallel(8, race)
    (winner,) = tmp_path.glob("winner-*")
    with Store(str(root_dir), durable=False) as store:
        assert store.containers.ids() == (f"{int(winner.name[7:]):064x}",)
