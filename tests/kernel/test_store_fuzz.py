"""Any archive at all: nothing outside is touched, and what was unpacked can be written again."""

import os
import tarfile
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import settings as fuzzing
from hypothesis import strategies as st

from onggi.store.store import Store
from onggi.store.tar_limits import ArchiveRefused
from onggi.store.tar_write import layer_archive
from support.layers import archive, member, tree, unpack
from support.requirements import requires
from support.threats import withstands

pytestmark = requires("root", "openat2")

KINDS = [
    *(tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE),
    *(tarfile.FIFOTYPE, tarfile.CHRTYPE),
]
# Few names, so that entries meet, replace and lead through each other.
NAMES = ["a", "b", "..", ".wh.a", ".wh.b", ".wh..wh..opq", ".wh..wh.plnk", "OUTSIDE"]
parts = st.sampled_from(NAMES[:2] * 12 + NAMES)
paths = st.lists(parts, min_size=1, max_size=4).map("/".join)
roots = st.sampled_from([*[""] * 9, "/", "./", "../"])
entries = st.builds(
    lambda kind, root, path, target, mode, owner, number: member(
        root + path,
        kind,
        linkname=target,
        mode=mode,
        uid=owner,
        mtime=number,
        devmajor=1,
        devminor=number % 9,
    ),
    st.sampled_from(KINDS[:4] * 2 + KINDS),
    roots,
    paths,
    st.builds(str.__add__, roots, paths),
    st.integers(0, 0o7777),
    st.integers(0, 3),
    st.integers(1, 10**9),
)


@given(st.lists(entries, max_size=12))
@fuzzing(max_examples=300, deadline=None)
@withstands("names", "any bytes at all")
def test_any_archive(members: list[tarfile.TarInfo]) -> None:
    with tempfile.TemporaryDirectory(prefix="onggi-test-", dir="/dev/shm") as place:
        outside = Path(place) / "outside"
        outside.mkdir()
        (outside / "a").write_text("untouched")
        before = tree(outside)
        for each in members:
            each.name = each.name.replace("OUTSIDE", str(outside))
            each.linkname = each.linkname.replace("OUTSIDE", str(outside))
        with Store(f"{place}/store", durable=False) as store:
            top = sorted(os.listdir(store.root))
            try:
                fs = store.layers.path(unpack(store, archive(*members)))
            except ArchiveRefused:
                assert store.layers.list() == []
            else:
                require_round_trip(store, fs)
            assert sorted(os.listdir(store.root)) == top
        assert tree(outside) == before
        assert sorted(os.listdir(place)) == ["outside", "store"]


def require_round_trip(store: Store, fs: str) -> None:
    """Unpacking what is written from a layer gives the layer, and the same bytes once more."""
    written = b"".join(layer_archive(fs, root=True))
    again = store.layers.path(unpack(store, written))
    assert tree(fs) == tree(again)
    assert b"".join(layer_archive(again, root=True)) == written
