"""What is left of containers that never came to be, and what only looks like it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.store import collect, records, workshop
from onggi.store.store import Store
from onggi.store.workshop import is_live

DEAD = "000000000000"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(str(tmp_path / "store"), durable=False) as store:
        yield store


def unmade(store: Store, key: str) -> None:
    """Make a snapshot and a volume for a container whose maker is dead."""
    store.snapshots.prepare(key, [])
    store.volumes.create(f"of-{key}", {"anonymous": True, "container": key})
    path = Path(store.containers.path(key), "snapshot")
    path.write_text(path.read_text().replace(store.workshop.token, DEAD))


def volumes(store: Store) -> list[str]:
    return [record["name"] for record in store.volumes.list()]


def test_volumes_go_with_the_container_that_never_was(store: Store) -> None:
    unmade(store, "one")
    store.volumes.create("named", {"anonymous": False, "container": "one"})
    store.volumes.create("another", {"anonymous": True, "container": "two"})
    assert collect.sweep_snapshots(store) == ["one"]
    assert volumes(store) == ["another", "named"]


def test_volumes_of_a_container_that_was_removed_without_them_stay(store: Store) -> None:
    unmade(store, "one")
    store.containers.create("one", "name", {})
    store.containers.delete("one")
    collect.sweep_snapshots(store)
    assert volumes(store) == ["of-one"]


def test_a_container_that_is_finished_while_one_looks_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its maker writes the record and ends between the look for a record and that for the maker."""
    unmade(store, "one")

    def finishing(tmp: str, token: str) -> bool:
        store.containers.create("one", "name", {})
        return is_live(tmp, token)

    monkeypatch.setattr(workshop, "is_live", finishing)
    assert collect.sweep_snapshots(store) == []
    assert store.containers.load("one")["name"] == "name"
    assert volumes(store) == ["of-one"]


def test_a_deletion_that_is_cut_short_leaves_a_name_of_nobody(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.containers.create("one", "name", {})

    def killed(path: str) -> bool:
        raise KeyboardInterrupt(path)

    with monkeypatch.context() as patched:
        patched.setattr(records, "unlink_if_exists", killed)
        with pytest.raises(KeyboardInterrupt):
            store.containers.delete("one")
    assert store.containers.ids() == ()
    store.containers.create("two", "name", {})  # the name is free
    assert store.containers.resolve("name") == "two"


def test_a_layout_that_a_reset_has_begun_to_remove_is_made_whole(tmp_path: Path) -> None:
    root = tmp_path / "store"
    Store(str(root), durable=False).close()
    (root / "containers").rmdir()
    (root / "index.json").unlink()
    with Store(str(root), durable=False) as store:
        assert store.containers.ids() == ()
        assert (root / "index.json").is_file()
