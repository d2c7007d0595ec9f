"""Writing a directory tree as a tar archive that depends on the tree alone.

Twice the same tree gives twice the same bytes: entries are sorted, no time but the file's own is
written, nothing that the header could leave open is left to chance. And unpacking what was written
gives the tree again: owners, modes, times to the nanosecond, extended attributes, hard links.

The order in a directory: the directory, whether it hides what is below, what it hides, its files,
then its directories, so that each whiteout precedes its siblings.

Headers are POSIX ustar, with an extended header in front only where that cannot say it.

Source: pax(1); image-spec layer.md, "Representing Changes".
"""

from __future__ import annotations

import errno
import os
import stat

from onggi.errors import Conflict, InvalidInput
from onggi.linux.fd import Fd
from onggi.linux.path import O_PATH, is_regular, reopen
from onggi.store import tar_header as header
from onggi.store import tar_pax as pax
from onggi.store.attributes import carried_xattrs, overlay_xattrs
from onggi.store.merge import Stack
from onggi.store.tar_limits import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from onggi.store.merge import Found, View
    from onggi.store.owners import Owners

    Records = list[tuple[bytes, bytes]]

_WHITEOUT = b".wh."
_OPAQUE_MARK = b".wh..wh..opq"
_TOPMOST = 0  # the number of the tree that somebody may have written in a user namespace
_CHUNK = 1 << 20
_FLUSH_AT = 1 << 18
_ROOT = b"./"
_NAME_BYTES = 100
_PLACE = O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
# Exactly what an archive of this layer may not hold: names or data that are in another layer.
_ELSEWHERE = ("redirect", "metacopy")
_KINDS = {
    stat.S_IFDIR: header.DIRECTORY,
    stat.S_IFREG: header.REGULAR,
    stat.S_IFLNK: header.SYMBOLIC_LINK,
    stat.S_IFCHR: header.CHARACTER_DEVICE,
    stat.S_IFBLK: header.BLOCK_DEVICE,
    stat.S_IFIFO: header.FIFO,
}


def layer_archive(
    upper: str,
    *,
    clamp_mtime: int | None = None,
    root: bool = False,
    owners: Owners | None = None,
) -> Iterator[bytes]:
    """Yield the archive of a layer, given as an overlay upper directory.

    Whiteouts and opaque directories are written as image-spec wants them, sockets are left out.
    Somebody may write in the directory meanwhile: what vanishes is left out, a file that shrinks
    is filled up with zeros.

    Args:
        upper: the directory.
        clamp_mtime: no file shall be younger, in seconds since 1970.
        root: whether to state the attributes of the root directory too.
        owners: how to read the owners in it, if a user namespace wrote it.

    Raises: InvalidInput: something in it cannot be in a layer; it is named.
    """
    with Stack([upper]) as stack:
        yield from _Writer(stack, clamp_mtime, root=root, whiteouts=True, owners=owners).archive()


def tree_archive(
    paths: Sequence[str], *, clamp_mtime: int | None = None, owners: Owners | None = None
) -> Iterator[bytes]:
    """Yield an archive of the tree that these directories make as overlayfs would stack them.

    Args:
        paths: the directories, the topmost first.
        clamp_mtime: no file shall be younger, in seconds since 1970.
        owners: how to read the owners in the topmost, if a user namespace wrote it.
    """
    with Stack(paths) as stack:
        yield from _Writer(stack, clamp_mtime, root=True, whiteouts=False, owners=owners).archive()


def place_archive(
    place: Fd, name: bytes, *, owners: Owners | None, enters: Callable[[int], bool]
) -> Iterator[bytes]:
    """Yield an archive of what lies in one place, as an entry `name` and all that is below it.

    Whoever uses the place may go on doing so; what vanishes meanwhile is left out.

    Args:
        place: borrowed; an O_PATH descriptor of anything.
        name: what it is called; "" for a directory whose entries have no directory before them.
        owners: how to read the owners, if a user namespace wrote them.
        enters: of an open directory, whether what it holds is archived too.
    """
    if stat.S_ISDIR(os.fstat(place.fileno()).st_mode):
        with _Live(place, enters) as stack:
            yield from _Writer(stack, None, root=True, owners=owners, name=name).archive()
    else:
        with Stack(()) as stack:
            yield from _Writer(stack, None, root=True, owners=owners).only(place, name)


class _Live(Stack):
    """A single tree in which not every directory is entered."""

    __slots__ = ("_enters",)

    def __init__(self, place: Fd, enters: Callable[[int], bool]) -> None:
        # By descriptor, and with a component behind it: the links of /proc are not followed at a
        # path's end.
        super().__init__([f"/proc/self/fd/{place.fileno()}/."])
        self._enters = enters

    def open(self, path: bytes, trees: Sequence[int]) -> View:
        view = super().open(path, trees)
        if view.descriptors and not self._enters(view.fd):
            view.hide()
        return view


class _Writer:
    """One archive in the making; `name` is what its root is called in it."""

    __slots__ = ("_clamp_ns", "_links", "_name", "_owners", "_root", "_stack", "_whiteouts")

    def __init__(
        self,
        stack: Stack,
        clamp_mtime: int | None,
        *,
        root: bool,
        whiteouts: bool = False,
        owners: Owners | None,
        name: bytes = b"",
    ) -> None:
        self._stack = stack
        self._clamp_ns = None if clamp_mtime is None else clamp_mtime * 1_000_000_000
        self._root = root
        self._whiteouts = whiteouts
        self._owners = owners
        self._name = name
        self._links: dict[tuple[int, int], bytes] = {}

    def archive(self) -> Iterator[bytes]:
        """Yield the whole archive in chunks worth a system call."""
        return self._gathered(self._pieces())

    def only(self, place: Fd, name: bytes) -> Iterator[bytes]:
        """Yield the archive of one thing that is no directory."""
        return self._gathered(self._single(place, name))

    def _gathered(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        gathered: list[bytes] = []
        size = 0
        for piece in pieces:
            gathered.append(piece)
            size += len(piece)
            if size >= _FLUSH_AT:
                yield b"".join(gathered)
                gathered, size = [], 0
        yield b"".join((*gathered, header.ZERO_BLOCK, header.ZERO_BLOCK))

    def _pieces(self) -> Iterator[bytes]:
        for view in self._stack.walk():
            yield self._directory(view)
            others = [each for each in view.entries() if not each.is_directory]
            if self._whiteouts:
                hidden = [each.name for each in others if each.is_whiteout]
                yield self._hidings(view, hidden)
            for found in others:
                if not found.is_whiteout:
                    yield from self._entry(view, found)

    def _directory(self, view: View) -> bytes:
        if not view.path and not self._root:
            return b""
        status = os.fstat(view.fd)
        path = view.path + b"/" if view.path else _ROOT
        tree = next(iter(view.descriptors))
        xattrs = self._xattrs(view.fd, view.path, tree)
        return self._header(path, status, xattrs, tree=tree)

    def _hidings(self, view: View, hidden: list[bytes]) -> bytes:
        """Write what a directory hides: all that lower layers have in it, and single names."""
        names = [_OPAQUE_MARK] if view.opaque else []
        names += [_WHITEOUT + name for name in hidden]
        return b"".join(map(_whiteout, (_below(view, name) for name in names)))

    def _entry(self, view: View, found: Found) -> Iterator[bytes]:
        """Write something that is no directory."""
        path = _below(view, found.name)
        if self._whiteouts and found.name.startswith(_WHITEOUT):
            raise InvalidInput(
                f"{quoted(path)} cannot be in a layer, where its name means a whiteout"
            )
        first = self._first_link(path, found.status)
        if first is not None:
            kind = header.HARD_LINK
            yield self._header(path, found.status, [], tree=found.source, kind=kind, link=first)
        elif stat.S_ISREG(found.status.st_mode):
            yield from self._file(view, found, path)
        elif not stat.S_ISSOCK(found.status.st_mode):
            yield self._special(view, found, path)

    def _first_link(self, path: bytes, status: os.stat_result) -> bytes | None:
        """Return the path under which the same inode was written before, if it was."""
        if status.st_nlink < 2:
            return None
        first = self._links.setdefault((status.st_dev, status.st_ino), path)
        return None if first is path else first

    def _file(self, view: View, found: Found, path: bytes) -> Iterator[bytes]:
        directory = view.descriptors[found.source]
        try:
            place = Fd(os.open(found.name, _PLACE, dir_fd=directory))
        except FileNotFoundError:
            self._links.pop((found.status.st_dev, found.status.st_ino), None)
            return
        with place:
            yield from self._regular(place, path, found.source)

    def _regular(self, place: Fd, path: bytes, tree: int) -> Iterator[bytes]:
        if not is_regular(place):
            raise _changed(path)
        with Fd(reopen(place, os.O_RDONLY)) as file:
            fd = file.fileno()
            status = os.fstat(fd)
            yield self._header(path, status, self._xattrs(fd, path, tree), tree=tree)
            yield from _contents(fd, status.st_size)

    def _single(self, place: Fd, name: bytes) -> Iterator[bytes]:
        status = os.fstat(place.fileno())
        if stat.S_ISREG(status.st_mode):
            yield from self._regular(place, name, _TOPMOST)
        elif stat.S_ISSOCK(status.st_mode):
            raise InvalidInput(f"{quoted(name)} is a socket, which no archive holds")
        else:
            is_link = stat.S_ISLNK(status.st_mode)
            link = os.readlink(b"", dir_fd=place.fileno()) if is_link else b""
            yield self._header(name, status, [], tree=_TOPMOST, link=link)

    def _special(self, view: View, found: Found, path: bytes) -> bytes:
        directory = view.descriptors[found.source]
        place = os.path.join(b"/proc/self/fd/%d" % directory, found.name)
        try:
            xattrs = self._xattrs(place, path, found.source)
            link = b""
            if stat.S_ISLNK(found.status.st_mode):
                link = _read_link(directory, found.name, path)
        except FileNotFoundError:
            return b""
        return self._header(path, found.status, xattrs, tree=found.source, link=link)

    def _xattrs(self, place: int | bytes, path: bytes, tree: int) -> Records:
        if self._whiteouts and any(name.endswith(_ELSEWHERE) for name in overlay_xattrs(place)):
            raise InvalidInput(
                f"{quoted(path)} has its contents in another layer",
                hint="it was written on an overlay mounted with redirect_dir or metacopy",
            )
        carried = carried_xattrs(place)
        if self._owners is not None and tree == _TOPMOST:
            carried = self._owners.xattrs(carried)
        return [(pax.XATTR + os.fsencode(name), value) for name, value in carried.items()]

    def _owner(self, status: os.stat_result, tree: int) -> tuple[int, int]:
        if self._owners is None or tree != _TOPMOST:
            return status.st_uid, status.st_gid
        return self._owners.uid(status.st_uid), self._owners.gid(status.st_gid)

    def _header(
        self,
        path: bytes,
        status: os.stat_result,
        xattrs: Records,
        *,
        tree: int,
        kind: bytes = b"",
        link: bytes = b"",
    ) -> bytes:
        kind = kind or _KINDS[stat.S_IFMT(status.st_mode)]
        mtime_ns = status.st_mtime_ns
        if self._clamp_ns is not None:
            mtime_ns = min(mtime_ns, self._clamp_ns)
        return encode_header(
            self._named(path),
            kind,
            mode=stat.S_IMODE(status.st_mode),
            owner=self._owner(status, tree),
            size=status.st_size if kind == header.REGULAR else 0,
            mtime_ns=mtime_ns,
            link=self._named(link) if kind == header.HARD_LINK else link,
            device=status.st_rdev if kind in _DEVICES else 0,
            xattrs=xattrs,
        )

    def _named(self, path: bytes) -> bytes:
        """Return what a path is called in the archive."""
        if not self._name:
            return path
        return self._name + (b"/" if path == _ROOT else b"/" + path)


_DEVICES = (header.CHARACTER_DEVICE, header.BLOCK_DEVICE)


def encode_header(
    path: bytes,
    kind: bytes,
    *,
    mode: int,
    owner: tuple[int, int] = (0, 0),
    size: int = 0,
    mtime_ns: int = 0,
    link: bytes = b"",
    device: int = 0,
    xattrs: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """Write an entry's header, with an extended header before it if it needs one."""
    records = [*xattrs]
    fields = {
        b"path": (path, len(path) <= _NAME_BYTES and path.isascii()),
        b"linkpath": (link, len(link) <= _NAME_BYTES and link.isascii()),
        b"size": (b"%d" % size, size < 1 << 33),
        b"uid": (b"%d" % owner[0], owner[0] < 1 << 21),
        b"gid": (b"%d" % owner[1], owner[1] < 1 << 21),
        b"mtime": (
            pax.seconds(mtime_ns),
            not mtime_ns % 1_000_000_000 and 0 <= mtime_ns < 1_000_000_000 << 33,
        ),
    }
    records += [(key, value) for key, (value, fits) in fields.items() if not fits]
    block = header.encode(
        path[:_NAME_BYTES],
        kind,
        mode=mode,
        uid=owner[0],
        gid=owner[1],
        size=size,
        mtime=mtime_ns // 1_000_000_000,
        link=link[:_NAME_BYTES],
        device=device,
    )
    return _extended(sorted(records)) + block if records else block


def _extended(records: Records) -> bytes:
    data = pax.encode(records)
    block = header.encode(b"PaxHeader", header.PAX, mode=0o644, size=len(data))
    return block + data + bytes(-len(data) % header.BLOCK)


def _whiteout(path: bytes) -> bytes:
    return encode_header(path, header.REGULAR, mode=0)


def _below(view: View, name: bytes) -> bytes:
    return view.path + b"/" + name if view.path else name


def _contents(fd: int, size: int) -> Iterator[bytes]:
    """Yield `size` bytes of an open file and the padding, whatever happens to the file."""
    left = size
    while left and (chunk := os.read(fd, min(left, _CHUNK))):
        left -= len(chunk)
        yield chunk
    while left:
        zeros = bytes(min(left, _CHUNK))
        left -= len(zeros)
        yield zeros
    yield bytes(-size % header.BLOCK)


def _read_link(directory: int, name: bytes, path: bytes) -> bytes:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError as error:
        if error.errno == errno.EINVAL:  # it is no link any more
            raise _changed(path) from None
        raise


def _changed(path: bytes) -> Conflict:
    return Conflict(f"{quoted(path)} became something else while it was read", hint="try again")
