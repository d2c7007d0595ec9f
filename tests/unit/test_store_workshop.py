"""Workshops, locks and leases: what the living have is safe, what the dead left is swept."""

import os
import signal
import stat
import threading
from pathlib import Path

import pytest

from onggi.errors import Corrupt, Unsupported
from onggi.oci.digest import Digest
from onggi.store import leases, workshop
from onggi.store.atomic import write_file
from onggi.store.locks import DirectoryLock, Lock
from onggi.store.store import Store


def test_a_store_is_private_and_made_once(root_dir: Path) -> None:
    root = root_dir / "store"
    with Store(str(root)) as store, Store(str(root)) as again:
        assert store.root == again.root == str(root)
        assert store.run == f"{root}/run"
        assert stat.S_IMODE(root.stat().st_mode) == 0o700
        assert {"oci-layout", "index.json", "blobs"} <= set(os.listdir(root))


@pytest.mark.parametrize(("text", "error"), [("2\n", Unsupported), ("what\n", Corrupt)])
def test_another_layout_is_left_alone(root_dir: Path, text: str, error: type[Exception]) -> None:
    Store(str(root_dir))
    (root_dir / "schema").write_text(text)
    with pytest.raises(error):
        Store(str(root_dir))


def test_the_living_keep_their_workshop(root_dir: Path) -> None:
    with Store(str(root_dir)) as store:
        half_made = store.workshop.new_directory()
        with Store(str(root_dir)):
            assert os.path.isdir(half_made)
        assert workshop.is_live(str(root_dir / "tmp"), store.workshop.token)
    assert os.listdir(root_dir / "tmp") == []


def test_the_next_to_open_sweeps_what_the_dead_left(root_dir: Path) -> None:
    child = os.fork()
    if child == 0:
        half_made = Path(Store(str(root_dir)).workshop.new_directory())
        (half_made / "deep" / "er").mkdir(parents=True)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    token = os.listdir(root_dir / "tmp")[0]
    assert not workshop.is_live(str(root_dir / "tmp"), token)
    with Store(str(root_dir)):
        assert os.listdir(root_dir / "tmp") == []


def test_a_forked_child_has_a_workshop_of_its_own(root_dir: Path) -> None:
    store = Store(str(root_dir))
    ours = store.workshop.path
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, store.workshop.path.encode())
        store.close()
        os._exit(0)
    os.close(writer)
    with open(reader) as theirs:
        assert theirs.read() not in ("", ours)
    os.waitpid(child, 0)
    assert os.path.isdir(ours)
    store.close()


def test_threads_share_one_workshop(root_dir: Path) -> None:
    with Store(str(root_dir)) as store:
        paths: list[str] = []
        barrier = threading.Barrier(8)

        def look() -> None:
            barrier.wait()
            paths.append(store.workshop.path)

        threads = [threading.Thread(target=look) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(paths)) == 1
        assert os.listdir(root_dir / "tmp") == [os.path.basename(paths[0])]


def test_a_lock_is_waited_for(root_dir: Path) -> None:
    path = str(root_dir / "lock")
    order: list[str] = []

    def second() -> None:
        with Lock(path, vanishing=True):
            order.append("second")

    with Lock(path, vanishing=True):
        thread = threading.Thread(target=second)
        thread.start()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert os.listdir(root_dir) == []


def test_the_lock_of_a_directory_that_went_away(root_dir: Path) -> None:
    place = root_dir / "place"
    with pytest.raises(LookupError), DirectoryLock(str(place), LookupError()):
        pass
    place.mkdir()
    caught: list[BaseException] = []

    def second() -> None:
        try:
            with DirectoryLock(str(place), LookupError()):
                pass
        except LookupError as error:
            caught.append(error)

    with DirectoryLock(str(place), LookupError()):
        thread = threading.Thread(target=second)
        thread.start()
        place.rmdir()
    thread.join()
    assert len(caught) == 1


def test_leases_name_what_is_published_and_asked_for(root_dir: Path) -> None:
    tmp = str(root_dir / "tmp")
    asked, held = Digest.of(b"asked"), Digest.of(b"held")
    with Store(str(root_dir), durable=False) as store:
        with store.lease() as lease, store.lease():
            put = store.blobs.put(b"put")
            store.blobs.has(asked)
            lease.hold(held)
            assert leases.held(tmp) == {put, asked, held}
        assert leases.held(tmp) == set()
        store.blobs.has(asked)
        assert leases.held(tmp) == set(), "without a lease, looking holds nothing"
        outside = store.blobs.put(b"outside")
        assert leases.held(tmp) == {outside}
    assert leases.held(tmp) == set()


def test_a_failed_write_leaves_the_old_contents(root_dir: Path) -> None:
    path = root_dir / "file"
    path.write_text("old")
    with pytest.raises(TypeError):
        write_file(str(path), "not bytes")  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert os.listdir(root_dir) == ["file"]
