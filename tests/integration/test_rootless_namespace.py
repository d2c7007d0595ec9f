"""An ordinary user's namespace: who makes it, who joins it, and what it gives."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.box import until
from support.command import Onggi
from support.ordinary import FIRST_ID, IDS, UID, Ordinary, is_holder, ordinary_user
from support.parallel import in_parallel
from support.requirements import requires

pytestmark = requires("root", "shared-python", "overlayfs", "user-namespaces", "newuidmap")


@pytest.fixture
def user() -> Iterator[Ordinary]:
    """Give an ordinary user with ranges of IDs and an empty home."""
    with ordinary_user() as user:
        yield user


@pytest.fixture
def single() -> Iterator[Ordinary]:
    """Give an ordinary user with no ID but their own."""
    with ordinary_user(ranges=False) as user:
        yield user


def mappings(user: Ordinary) -> list[list[str]]:
    return [
        Path(f"/proc/{user.holder()}/{kind}_map").read_text().split() for kind in ("uid", "gid")
    ]


WHOLE = ["0", str(UID), "1", "1", str(FIRST_ID), str(IDS)]
SINGLE = ["0", str(UID), "1"]


def test_the_store_is_the_users_and_in_their_home(user: Ordinary) -> None:
    user("images")
    root = user.home / ".local/share/onggi"
    assert (root / "schema").exists()
    assert (root.stat().st_uid, root.stat().st_mode & 0o777) == (UID, 0o700)
    assert mappings(user) == [WHOLE, WHOLE]


def test_the_data_directory_of_the_environment_counts(user: Ordinary) -> None:
    user.env["XDG_DATA_HOME"] = str(user.home / "data")
    user.root = user.home / "data/onggi"
    user("images")
    assert (user.root / "schema").exists()
    assert not (user.home / ".local").exists()


def test_later_commands_join_the_same_namespace(user: Ordinary) -> None:
    user("images")
    first = user.holder()
    user("ps")
    assert user.holder() == first
    assert is_holder(first)


def test_commands_at_once_make_one_namespace(user: Ordinary) -> None:
    before = holders()
    in_parallel(6, lambda _: user("images"))
    assert holders() - before == {user.holder()}


def holders() -> set[int]:
    """List the holders of this user, of whichever store."""
    uid = f"Uid:\t{UID}\t"
    return {
        int(pid)
        for pid in filter(str.isdigit, os.listdir("/proc"))
        if is_holder(int(pid)) and uid in Path(f"/proc/{pid}/status").read_text()
    }


def test_a_killed_holder_is_replaced(user: Ordinary) -> None:
    user("images")
    first = user.holder()
    os.kill(first, signal.SIGKILL)
    until(lambda: not is_holder(first))
    user("images")
    assert user.holder() != first
    assert mappings(user) == [WHOLE, WHOLE]


def test_the_holder_of_an_earlier_boot_is_nobody(user: Ordinary) -> None:
    user("images")
    known = json.loads((user.root / "run/holder").read_text())
    os.kill(known["pid"], signal.SIGKILL)
    known |= {"boot": "another", "pid": os.getpid(), "start_ticks": 0}
    (user.root / "run/holder").write_text(json.dumps(known))
    user("images")
    assert is_holder(user.holder())


def test_the_holder_is_small_and_holds_nothing_of_its_maker(user: Ordinary) -> None:
    user("images")
    process = Path(f"/proc/{user.holder()}")
    resident = int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert resident <= 64 << 10
    links = sorted(os.readlink(one) for one in (process / "fd").iterdir())
    assert [one.partition(":")[0] for one in links] == ["/dev/null"] * 3 + ["pipe"] * 2
    assert (process / "environ").read_bytes().count(b"=") == 1  # its own orders
    assert os.readlink(process / "cwd") == "/"


def test_without_ranges_the_user_is_all_there_is(single: Ordinary) -> None:
    single("images")
    assert mappings(single) == [SINGLE, SINGLE]


def test_without_newuidmap_the_user_is_all_there_is(user: Ordinary) -> None:
    path = user.home / "programs"
    path.mkdir()
    for name in ("env", "sh"):
        (path / name).symlink_to(f"/usr/bin/{name}")
    user.env["PATH"] = f"{user.home}/bin:{path}"
    user("images")
    assert mappings(user) == [SINGLE, SINGLE]


def test_ranges_that_newuidmap_refuses_are_an_error(user: Ordinary) -> None:
    refuse = user.home / "bin/newuidmap"
    refuse.write_text("#!/bin/sh\necho no such luck >&2\nexit 1\n")
    refuse.chmod(0o755)
    done = user.attempt("images")
    assert done.returncode == 1
    assert "newuidmap refuses the user's IDs: no such luck" in done.stderr
    refuse.unlink()


def test_ids_that_were_taken_away_are_not_forgotten(user: Ordinary) -> None:
    user("images")
    os.kill(user.holder(), signal.SIGKILL)
    user.give_ranges(first=FIRST_ID + IDS)
    done = user.attempt("images")
    assert done.returncode == 1
    assert "IDs that are not the user's any more" in done.stderr
    user.give_ranges()
    user("images")


def test_more_ids_are_there_once_the_namespace_is_made_anew(single: Ordinary) -> None:
    single("images")
    os.kill(single.holder(), signal.SIGKILL)
    single.give_ranges()
    single("images")
    assert mappings(single) == [WHOLE, WHOLE]


def test_another_users_store_is_refused(user: Ordinary, root_dir: Path) -> None:
    for root in ("/var/lib/onggi-of-root", str(root_dir)):
        done = user.attempt("--root", root, "images")
        assert done.returncode == 1, done
        assert len(done.stderr.splitlines()) == 1
        assert "another user" in done.stderr or "cannot make a store" in done.stderr
    user("images")
    done = Onggi(user.root).attempt("images")
    assert done.returncode == 1
    assert "belongs to another user" in done.stderr


def test_a_program_with_threads_is_told(user: Ordinary) -> None:
    code = (
        "import sys, threading; sys.path.insert(0, '/mnt/src')\n"
        "from onggi import Engine\n"
        "stop = threading.Event(); other = threading.Thread(target=stop.wait); other.start()\n"
        "try: Engine()\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "finally: stop.set()\n"
    )
    done = user.run("python3", "-c", code)
    assert done.stdout.startswith("Conflict an ordinary user's process with threads"), done


def test_a_program_is_root_of_the_namespace_and_stays_where_it_was(user: Ordinary) -> None:
    code = (
        "import os, sys; sys.path.insert(0, '/mnt/src')\n"
        "from onggi import Engine\n"
        "with Engine() as engine: print(os.getuid(), os.getcwd(), engine.images.list())\n"
        "with Engine() as engine: print(engine.store.root)\n"
    )
    done = user.run("python3", "-c", code)
    assert done.stdout.splitlines() == [f"0 {user.home} []", str(user.root)], done


def test_the_working_directory_stays(user: Ordinary) -> None:
    (user.home / "here").mkdir()
    (user.home / "here/Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    os.chown(user.home / "here", UID, UID)
    done = user.run("sh", "-c", "cd here && onggi build -q -t one .")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("sha256:")
