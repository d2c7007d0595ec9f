"""What a hostile Dockerfile, context or image tries: nothing leads out of its root."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.build.errors import BuildError
from onggi.store.collect import collect
from onggi.store.store import Store
from support.builds import Yard, add_busybox
from support.patience import SLOWER
from support.requirements import requires
from support.threats import withstands

pytestmark = requires("root", "overlayfs", "busybox")


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    yard = Yard(tmp_path)
    add_busybox(yard.store)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("OUTSIDE\n")
    yard.write({"a": "a\n"})
    yield yard
    yard.close()


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    return tmp_path / "outside"


@pytest.mark.parametrize("source", ["../outside/secret", "link/secret", "abs/secret", "file"])
@withstands("builds", "COPY and RUN --mount from the context, through links")
def test_copy_does_not_leave_the_context(yard: Yard, outside: Path, source: str) -> None:
    (yard.context / "link").symlink_to("../outside")
    (yard.context / "abs").symlink_to(outside)
    (yard.context / "file").symlink_to(outside / "secret")
    with pytest.raises(BuildError, match="not found"):
        yard.build(f"FROM busybox\nCOPY {source} /x\n")
    with pytest.raises(BuildError, match="not found"):
        yard.build(f"FROM busybox\nRUN --mount=source={source},target=/x cat /x\n")


@pytest.mark.parametrize("source", ["/link", "/link/secret", "/../../../../../../etc/hostname"])
@withstands("builds", "COPY --from and RUN --mount from a stage, through links")
def test_copy_does_not_leave_a_stage(yard: Yard, outside: Path, source: str) -> None:
    (yard.context / "link").symlink_to(outside)
    stage = "FROM busybox AS s\nCOPY . /\n"
    with pytest.raises(BuildError, match="not found"):
        yard.build(f"{stage}FROM busybox\nCOPY --from=s {source} /x\n")
    with pytest.raises(BuildError, match="not found"):
        yard.build(f"{stage}FROM busybox\nRUN --mount=from=s,source={source},target=/x cat /x\n")


@pytest.mark.parametrize(
    "line",
    [
        "COPY a /link/new",
        "COPY a /link/",
        "COPY a /deep/link/new",
        "ADD a /../../../../link/new",
        "WORKDIR /link/new",
        "COPY <<E /link/new\nx\nE",
    ],
)
@withstands("builds", "destinations and mount targets that are links")
def test_destinations_stay_in_the_image(yard: Yard, outside: Path, line: str) -> None:
    before = sorted(outside.iterdir())
    yard.build(
        f"FROM busybox\nRUN ln -s {outside} /link && mkdir /deep && ln -s {outside} /deep/link\n"
        f"{line}\n"
    )
    assert sorted(outside.iterdir()) == before


@withstands("builds", "destinations and mount targets that are links")
def test_mount_targets_stay_in_the_image(yard: Yard, outside: Path) -> None:
    yard.build(
        f"FROM busybox\nRUN ln -s {outside} /link\n"
        "RUN --mount=type=secret,id=s,target=/etc/x/../y true\n",
        secrets=[yard.secret("s", "s")],
    )
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]


@withstands("builds", "clean-up of mount points through links")
def test_stubs_are_removed_without_following_links(yard: Yard, outside: Path) -> None:
    (outside / "s").write_text("")
    yard.build(
        "FROM busybox\nRUN --mount=type=secret,id=s,target=/d/s "
        f"rm -rf /bin/never; mkdir -p /e && ln -s {outside} /e/link\n",
        secrets=[yard.secret("s", "s")],
    )
    assert (outside / "s").exists()


@withstands("builds", "part of a cache that is a link")
def test_the_part_of_a_cache_stays_in_the_cache(yard: Yard, outside: Path) -> None:
    """CVE-2024-11218: one of two builds at once made what the other would mount a link."""
    yard.build(
        f"FROM busybox\nRUN --mount=type=cache,id=c,target=/c ln -s {outside} /c/link\n"
        "RUN --mount=type=cache,id=c,target=/p,source=link echo x > /p/new\n"
    )
    assert not (outside / "new").exists()


@withstands("builds", "a cache whose ID climbs, and options of a mount that are the kernel's")
@pytest.mark.parametrize("word", ["id", "source", "target"])
def test_no_word_of_a_cache_climbs_to_the_host(yard: Yard, outside: Path, word: str) -> None:
    """CVE-2024-9675: the ID was joined to the path of the caches."""
    words = {"id": "c", "target": "/c", word: f"{'../' * 20}{outside}"}
    listed = ",".join(f"{key}={value}" for key, value in words.items())
    mounted = f"{'/' * (word != 'target')}{words['target']}"
    yard.build(
        f"FROM busybox\nRUN --mount=type=cache,{listed} "
        f"ls {mounted} && touch {mounted}/new && ! ls {mounted}/secret\n"
    )
    assert [path.name for path in outside.iterdir()] == ["secret"]


@withstands("builds", "a cache whose ID climbs, and options of a mount that are the kernel's")
@pytest.mark.parametrize(
    "words",
    [
        "type=bind,source=.,target=/x,bind-propagation=rshared",
        "type=cache,target=/x,bind-propagation=bind,relabel=shared",
        "type=cache,target=/x,z",
        "type=tmpfs,target=/x,tmpfs-mode=777,upperdir=/",
        "type=tmpfs,target=/x,size=1m:mode",
        "type=overlay,target=/x",
        "type=devpts,target=/x",
    ],
)
def test_a_mount_takes_no_other_words(yard: Yard, words: str) -> None:
    """CVE-2024-9407: what stood behind bind-propagation went to mount(2)."""
    with pytest.raises(BuildError):
        yard.build(f"FROM busybox\nRUN --mount={words} true\n")
    assert yard.executor.requests == []


@withstands("builds", "COPY --from and RUN --mount from a stage, through links")
@pytest.mark.parametrize("target", ["/", "/proc/self/root", "/..", "/../../.."])
def test_a_source_that_leads_to_the_root_is_the_stage_s(yard: Yard, target: str) -> None:
    """CVE-2024-1753: a link to the root, in an image, had the host's root mounted, writable."""
    mark = f"onggi-breakout-{os.getpid()}"
    stage = f"FROM busybox AS s\nRUN ln -s {target} /rootdir && touch /of-the-stage\n"
    step = f"ls /exploit/of-the-stage && touch /exploit/{mark}"
    try:
        yard.build(
            f"{stage}FROM busybox\n"
            f"RUN --mount=type=bind,from=s,source=/rootdir,target=/exploit,rw {step}\n"
        )
    except BuildError:
        if target == "/":
            raise
    assert not os.path.exists(f"/{mark}")


@withstands("builds", "files left behind in the context or another stage through a mount")
@pytest.mark.parametrize("place", ["", "from=s,"])
@pytest.mark.parametrize("source", ["/", "/d"])
def test_what_is_written_to_a_mount_is_thrown_away(yard: Yard, place: str, source: str) -> None:
    """CVE-2025-4953: it lay in the context on the host, and in what was built of it after."""
    yard.write({"d/a": "a\n"})
    write = "echo x > /m/new && echo x > /m/a; rm -rf /m/bin /m/etc"
    yard.build(
        "FROM busybox AS s\nCOPY d /d\nCOPY d/a /a\nFROM busybox\n"
        f"RUN --mount=type=bind,{place}source={source},target=/m,rw {write}\n"
        f"RUN --mount=type=bind,{place}source={source},target=/m ! ls /m/new && "
        '[ "$(cat /m/a)" = a ]\n'
    )
    assert sorted(path.name for path in yard.context.iterdir()) == ["a", "d"]
    assert (yard.context / "d/a").read_text() == (yard.context / "a").read_text() == "a\n"


@withstands("builds", "a file exchanged while it is copied")
def test_a_file_that_is_exchanged_while_it_is_read(yard: Yard, outside: Path) -> None:
    from onggi.build.tree import Tree
    from onggi.linux.fd import Fd

    with Fd(os.open(yard.context, os.O_RDONLY)) as root:
        tree = Tree(root.fileno())
        for entry in tree.walk(tree.find("a")[0]):
            (yard.context / "a").unlink()
            (yard.context / "a").symlink_to(outside / "secret")
            with pytest.raises(OSError, match="symbolic links"):
                entry.open()


@withstands("builds", "a # syntax line, git and other URLs")
def test_a_syntax_line_fetches_nothing(yard: Yard) -> None:
    yard.build("# syntax=docker.io/evil/frontend:latest\nFROM busybox\nCOPY a /\n")
    assert yard.executor.requests == []


@withstands("builds", "contexts that are very deep, or hold fifos")
def test_a_very_deep_context_is_refused(yard: Yard) -> None:
    path = yard.context
    fd = os.open(path, os.O_RDONLY)
    for _ in range(500):
        os.mkdir("d", dir_fd=fd)
        child = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = child
    os.close(fd)
    with pytest.raises(BuildError, match="directories deep"):
        yard.build("FROM busybox\nCOPY . /\n")
    from onggi.store.trees import remove

    remove(f"{path}/d")


@withstands("builds", "contexts that are very deep, or hold fifos")
def test_a_fifo_does_not_make_the_build_wait(yard: Yard) -> None:
    os.mkfifo(yard.context / "fifo")
    yard.build("FROM busybox\nCOPY . /all\n")


KILLED = """
import os, sys, threading, time
sys.path[:0] = sys.argv[1].split(":")
from pathlib import Path
from support.builds import *
from onggi.build.options import Secret
store = Store(sys.argv[2], durable=False)
threading.Timer(float(sys.argv[4]), lambda: os.kill(os.getpid(), 9)).start()
text = b"FROM busybox\\nCOPY . /all\\n"
text += b"RUN --mount=type=secret,id=s --mount=source=.,target=/b echo hi > /x\\nRUN echo > /y\\n"
build(store, BuildOptions(context=sys.argv[3], dockerfile="-", stdin=text, no_cache=True,
    secrets=[Secret("s", file=sys.argv[3] + "/a")]), Chroot())
os.kill(os.getpid(), 9)
"""


@pytest.mark.time_limit(300)
@withstands("killed", "SIGKILL of a build")
def test_a_killed_build_leaves_nothing(yard: Yard) -> None:
    yard.write({f"many/{number}": "x" * 5000 for number in range(200)})
    yard.store.close()
    root = yard.store.root
    path = ":".join(sys.path)
    for moment in range(12):
        words = [sys.executable, "-c", KILLED, path, root, str(yard.context), f"{moment * 0.02}"]
        done = subprocess.run(words, capture_output=True, timeout=60, check=False)
        assert done.returncode == -9, done.stderr.decode()
    deadline = time.monotonic() + 5 * SLOWER
    while _busy(root) and time.monotonic() < deadline:
        time.sleep(0.05)
    with Store(root, durable=False) as store:
        collect(store)
        assert os.listdir(f"{root}/containers") == []
        assert os.listdir(f"{root}/tmp") in ([], [store.workshop.token])
    yard.store = Store(root, durable=False)
    yard.build("FROM busybox\nRUN --mount=type=secret,id=s true\n", secrets=[yard.secret("s", "x")])
    assert not [name for name in os.listdir("/dev/shm") if name.startswith("onggi-secrets-")]


def _busy(root: str) -> bool:
    """Tell whether a command of a killed build still holds its root."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if root in Path(f"/proc/{pid}/mountinfo").read_text():
                return True
        except OSError:
            continue
    return False
