"""Making a container's record and files: all of it, or nothing."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onggi.engine import creation, names, places
from onggi.engine.options import ContainerOptions
from onggi.errors import Conflict, InvalidInput, NotFound
from onggi.image.assembly import assemble
from onggi.image.images import put_image
from onggi.linux import capability
from onggi.oci.image import ImageConfig
from onggi.oci.platform import host
from onggi.oci.reference import Reference
from onggi.runtime import rundir
from onggi.store.records import NameTaken
from onggi.store.store import Store
from support.machines import machine
from support.requirements import requires

pytestmark = requires("root")


@pytest.fixture(autouse=True)
def _host_with_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process hold all capabilities, whoever runs the tests."""
    monkeypatch.setattr(capability, "bounding", lambda: capability.mask(capability.NUMBERS))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(str(tmp_path / "store"), durable=False) as one:
        settings: dict[str, Any] = {
            "Cmd": ["sh"],
            "Labels": {"of": "image", "kept": "yes"},
            "Volumes": {"/v": {}},
        }
        config = ImageConfig.of(host(), created="2024-01-01T00:00:00Z").with_settings(settings)
        with one.lease():
            one.references.set(Reference.parse("pot"), put_image(one, assemble(config, ())))
        yield one


def asked(**given: Any) -> ContainerOptions:
    return ContainerOptions(image="pot", **given)


def create(store: Store, options: ContainerOptions) -> str:
    """Make a container that nobody starts; return its ID."""
    identifier, lock_fd = creation.create(store, options, machine())
    assert rundir.is_held(places.run_directory(store, identifier))
    creation.release(store, identifier, lock_fd)
    assert not os.path.exists(places.run_directory(store, identifier))
    return identifier


def everything(store: Store) -> set[str]:
    """Return the names of all that lies in a store, but for what is made once for all."""
    found = set()
    for directory, folders, files in os.walk(store.root):
        found |= {os.path.join(directory, name) for name in (*folders, *files)}
    for_all = (f"{store.root}/places", f"{store.run}/root")
    return {path for path in found if not path.startswith(for_all)}


class TestRecord:
    def test_tells_what_was_asked_and_of_what_image(self, store: Store) -> None:
        options = asked(name="jar", command=["echo", "hi"], labels={"of": "user"}, stop_timeout=3)
        record = store.containers.load(create(store, options))
        assert record["image"] == "pot"
        assert record["image_id"].startswith("sha256:")
        assert record["labels"] == {"of": "user", "kept": "yes"}
        assert (record["stop_signal"], record["stop_seconds"]) == (15, 3)
        assert record["options"] == options.to_json()
        assert record["config"]["process"]["args"] == ["echo", "hi"]
        assert record["warnings"] == []

    def test_tells_what_this_host_cannot_grant(self, store: Store) -> None:
        options = asked(limits={"memory-swappiness": "5"})
        record = store.containers.load(create(store, options))
        assert len(record["warnings"]) == 1
        assert "swappiness" in record["warnings"][0]

    def test_the_image_s_volume_is_made(self, store: Store) -> None:
        record = store.containers.load(create(store, asked()))
        (mount,) = record["mounts"]
        assert mount["Destination"] == "/v"
        assert os.path.isdir(mount["Source"])


class TestFiles:
    def files(self, store: Store, options: ContainerOptions) -> dict[str, str]:
        directory = Path(store.containers.path(create(store, options)))
        names = ("hosts", "hostname", "resolv.conf")
        for name in names:
            assert (directory / name).stat().st_mode & 0o777 == 0o644
        return {name: (directory / name).read_text() for name in names}

    def test_say_who_it_is(self, store: Store) -> None:
        found = self.files(store, asked(hostname="jar"))
        assert found["hostname"] == "jar\n"
        assert "127.0.0.1\tlocalhost\n" in found["hosts"]

    def test_a_container_without_a_name_for_itself_has_its_id(self, store: Store) -> None:
        identifier = create(store, asked())
        path = Path(store.containers.path(identifier), "hostname")
        assert path.read_text() == f"{identifier[:12]}\n"

    def test_of_the_host_s_network_are_the_host_s(self, store: Store) -> None:
        found = self.files(store, asked(network="host"))
        assert found["hosts"] == Path("/etc/hosts").read_text(errors="replace")
        assert found["hostname"] == f"{os.uname().nodename}\n"

    def test_whatever_the_caller_s_umask_is(self, store: Store) -> None:
        before = os.umask(0o077)
        try:
            self.files(store, asked())
            place = Path(places.beneath(store), "etc/hosts")
        finally:
            os.umask(before)
        assert place.stat().st_mode & 0o777 == 0o644
        assert place.parent.stat().st_mode & 0o777 == 0o755


class TestNames:
    def test_one_that_is_taken_leaves_nothing(self, store: Store) -> None:
        create(store, asked(name="jar"))
        before = everything(store)
        with pytest.raises(NameTaken, match="jar"):
            create(store, asked(name="jar"))
        assert everything(store) == before

    def test_two_of_one_random_name_become_different(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        chosen = itertools.chain(["a_pot", "a_pot", "another_pot"])
        monkeypatch.setattr(names, "random_name", lambda _attempt: next(chosen))
        made = [create(store, asked()) for _ in range(2)]
        assert [store.containers.resolve(name) for name in ("a_pot", "another_pot")] == made

    def test_when_no_random_name_is_left_it_is_the_id(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(names, "random_name", lambda _attempt: "a_pot")
        create(store, asked())
        second = create(store, asked())
        assert store.containers.resolve(second[:12]) == second


@pytest.mark.parametrize(
    "given",
    [
        {"limits": {"memory": "lots"}},
        {"limits": {"cpus": "3"}},
        {"user": "nobody-of-that-name"},
        {"stop_signal": "SIGNONE"},
        {"volumes": ["relative"]},
        {"entrypoint": []},
        {"name": "not a name"},
    ],
    ids=str,
)
def test_a_refusal_leaves_nothing(store: Store, given: dict[str, Any]) -> None:
    before = everything(store)
    with pytest.raises((InvalidInput, NotFound)):
        create(store, asked(**given))
    assert everything(store) == before


def test_what_fails_on_the_way_leaves_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(store)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(creation, "_record", fail)
    with pytest.raises(OSError, match="No space left"):
        create(store, asked())
    assert everything(store) == before


def test_an_image_that_is_not_there(store: Store) -> None:
    before = everything(store)
    with pytest.raises(NotFound):
        create(store, ContainerOptions(image="nosuch"))
    assert everything(store) == before


def test_describing_makes_nothing(store: Store) -> None:
    before = everything(store)
    record, mounts = creation.describe(store, asked(hostname="jar"), machine())
    assert everything(store) == before
    assert record["files"]["hostname"] == "jar\n"
    assert record["directory"].startswith(f"{store.root}/explained/")
    assert any(mount.type == "overlay" for mount in mounts)
    assert [path for path in record["directories"] if not os.path.exists(path)]


def test_nobody_else_may_touch_it_while_it_is_made(store: Store) -> None:
    identifier, lock_fd = creation.create(store, asked(), machine())
    path = places.run_directory(store, identifier)
    with pytest.raises(Conflict):
        rundir.lock(path, patience=0)
    creation.release(store, identifier, lock_fd)
