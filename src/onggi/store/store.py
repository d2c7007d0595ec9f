"""The store: one directory that holds everything Onggi keeps.

    schema              the number of this layout
    oci-layout          together with index.json and blobs/: an OCI image layout
    index.json          references -> descriptors
    blobs/sha256/<hex>
    layers/<hex>/       fs/, an overlay lower directory, with notes about it; named by diff ID
    empty/1, empty/2    for overlayfs, which wants more lower directories than some images have
    repairs/<hex>/      fs/, directories whose attributes a chain of layers states too low
    l/<short>           links to the above with short names, for long chains
    containers/<ID>/    record.json, snapshot, upper/, work/, and what the engine puts there
    names/<name>        a link whose text is the ID of the container of that name
    volumes/<name>/     volume.json, _data/
    places/             what lies beneath every container: where it is mounted on
    cache/              the build cache
    tmp/<token>/        half-made things and leases of one process
    locks/

Any number of processes may use a store at the same time, and any of them may be killed at any
instant: things are made in tmp/ and renamed into place, and the next to open the store removes what
the dead left.
"""

from __future__ import annotations

import os

from onggi.errors import Corrupt, InvalidInput, Unsupported
from onggi.linux import directories
from onggi.store import workshop as workshops
from onggi.store.atomic import is_unused_name, read_file, unlink_if_exists, write_file
from onggi.store.blobs import Blobs
from onggi.store.layers import Layers
from onggi.store.leases import Leases
from onggi.store.locks import Lock
from onggi.store.records import Records
from onggi.store.references import EMPTY_INDEX, References
from onggi.store.snapshots import Snapshots
from onggi.store.volumes import Volumes
from onggi.store.workshop import Workshop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from onggi.store.leases import Lease

DEFAULT_ROOT = "/var/lib/onggi"
_DEFAULT_RUN = "/run/onggi"
_SCHEMA = b"1\n"
_DIRECTORIES = (
    *("tmp", "locks", "blobs", "blobs/sha256", "layers", "repairs", "l", "empty/1", "empty/2"),
    *("containers", "names", "volumes", "cache"),
)
# Source: image-spec image-layout.md, "oci-layout file".
_OCI_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


class Store:
    """A store, made if it does not exist.

    `durable=False` leaves out every fsync, for throw-away stores. Close it, or use it in a `with`
    statement, to give back its workshop at once; a process that just ends does no harm.

    Raises: Unsupported: the directory has a layout that this version does not know. InvalidInput:
        it is neither a store nor empty.
    """

    __slots__ = (
        "blobs",
        "containers",
        "layers",
        "leases",
        "locks",
        "references",
        "root",
        "run",
        "snapshots",
        "volumes",
        "workshop",
    )

    def __init__(self, root: str = DEFAULT_ROOT, *, durable: bool = True) -> None:
        self.root = os.path.abspath(root)
        self.run = _DEFAULT_RUN if self.root == DEFAULT_ROOT else f"{self.root}/run"
        self.locks = f"{self.root}/locks"
        _require_layout(self.root)
        os.makedirs(self.run, 0o700, exist_ok=True)
        workshops.sweep(f"{self.root}/tmp")
        self.workshop = Workshop(f"{self.root}/tmp")
        self.leases = Leases(self.workshop, f"{self.locks}/collect")
        self.blobs = Blobs(self.root, self.workshop, self.leases, durable=durable)
        self.references = References(self.root, self.workshop, self.leases, durable=durable)
        self.layers = Layers(self.root, self.workshop, self.leases, durable=durable)
        self.snapshots = Snapshots(self, durable=durable)
        self.containers = Records(self.root, self.workshop, durable=durable)
        self.volumes = Volumes(self.root, self.workshop, durable=durable)

    def lease(self) -> Lease:
        """Return a lease: what is published or asked for while it is held is not collected."""
        return self.leases.take()

    def close(self) -> None:
        """Give back the workshop, and with it every lease; closing twice is fine."""
        self.workshop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _require_layout(root: str) -> None:
    """Check the layout's number; make the layout where there is none, or not all of it."""
    try:
        schema = read_file(f"{root}/schema")
    except FileNotFoundError:
        directories.make(root, 0o700)
        _require_no_others(root)
        _make_layout(root)
        return
    if schema != _SCHEMA:
        raise _unknown_schema(root, schema)
    if not all(os.path.exists(f"{root}/{name}") for name in (*_DIRECTORIES, "index.json")):
        _make_layout(root)  # a reset was cut short


def _make_layout(root: str) -> None:
    for name in _DIRECTORIES:
        directories.make(f"{root}/{name}", 0o700)
    with Lock(f"{root}/locks/index"):
        for name in filter(is_unused_name, os.listdir(root)):
            unlink_if_exists(f"{root}/{name}")  # of somebody who was killed here
        if not os.path.exists(f"{root}/index.json"):
            write_file(f"{root}/index.json", EMPTY_INDEX, mode=0o644)
        write_file(f"{root}/oci-layout", _OCI_LAYOUT, mode=0o644)
        # Last: its presence says that everything else is there.
        write_file(f"{root}/schema", _SCHEMA)


def _require_no_others(root: str) -> None:
    """Refuse somebody else's directory; what making a layout left when it was killed is ours."""
    names = (name for name in os.listdir(root) if not is_unused_name(name))
    made = {name.partition("/")[0] for name in _DIRECTORIES}
    # Also `schema`: another process may have finished just now.
    others = set(names) - made - {"oci-layout", "index.json", "schema", "run", "lost+found"}
    if others:
        raise InvalidInput(
            f"{root} is neither empty nor a store, it holds {min(others)!r}",
            hint="name a directory that is empty or does not exist yet",
        )


def _unknown_schema(root: str, schema: bytes) -> Exception:
    number = schema.strip()[:20].decode("ascii", "replace")
    if not number.isdigit():
        return Corrupt(f"{root}/schema holds {number!r}, not the number of a layout")
    return Unsupported(
        f"the store {root} has layout {number}, this version of onggi knows layout 1",
        hint="use the version that made it, or another --root",
    )
