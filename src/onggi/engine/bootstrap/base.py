"""Making a base image out of packages: a root directory is filled, and becomes one layer.

The directory is the upper one of a snapshot on nothing, so it need not be copied to become a layer,
and whatever kills us, it goes with the next collection.

The image depends on the packages alone. Each kind of root says of when it is, by its packages; no
file is younger, and the image is of that moment too.
"""

from __future__ import annotations

import os

from onggi.errors import InvalidInput
from onggi.image.assembly import assemble
from onggi.image.images import Layer, put_image
from onggi.image.moments import rfc3339
from onggi.oci.image import History, ImageConfig
from onggi.oci.platform import host
from onggi.oci.reference import parse_tag
from onggi.store.collect import collect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from onggi.image.images import Image
    from onggi.store.store import Store

    Say = Callable[[str], None]

    class Root(Protocol):
        """A kind of root file system."""

        name: str
        """What its image is called."""
        shell: str
        """What its containers run unless told otherwise."""
        origin: str
        """What the history says it came from."""

        def fill(self, directory: str, say: Say) -> int:
            """Fill an empty directory; return of when it is, in seconds since 1970.

            Raises: Unsupported: the host lacks what it takes; BootstrapFailed.
            """
            ...


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def bootstrap(
    store: Store, source: str, reference: str | None, include: Sequence[str], say: Say
) -> str:
    """Make a base image, give it a name and return that.

    Making it again of the same packages gives the same image, to the digest. A failure leaves
    nothing.

    Args: source: `debian:SUITE` or `busybox`; include: further packages, for Debian.
    Raises: InvalidInput: no such source; Unsupported: a program is missing; BootstrapFailed.
    """
    root = find_root(source, include)
    name = parse_tag(reference or root.name)
    try:
        with store.lease():
            image = _make(store, root, say)
            store.references.set(name, put_image(store, image))
    finally:
        collect(store)
    return name.familiar


def find_root(source: str, include: Sequence[str] = ()) -> Root:
    """Return the kind of root that `source` names. Raises: InvalidInput."""
    from onggi.engine.bootstrap.busybox import BusyboxRoot
    from onggi.engine.bootstrap.debian import DebianRoot

    kind, _, suite = source.partition(":")
    if kind == "debian":
        return DebianRoot(suite, include)
    if source not in ("busybox", "busybox:latest"):
        raise InvalidInput(
            f"nothing can be bootstrapped from {source!r}", hint="debian:SUITE or busybox"
        )
    if include:
        raise InvalidInput("busybox has no further packages to include")
    return BusyboxRoot()


def _make(store: Store, root: Root, say: Say) -> Image:
    key = f"bootstrap-{os.urandom(8).hex()}"
    store.snapshots.prepare(key, (), durable=False)
    try:
        epoch = root.fill(store.snapshots.upper(key), say)
        diff_id, descriptor = store.snapshots.commit(key, move=True, clamp_mtime=epoch)
    except BaseException:
        store.snapshots.remove(key)
        raise
    layer = Layer(descriptor, diff_id)
    return assemble(_config(root, epoch).with_layer(diff_id, _history(root, epoch)), [layer])


def _config(root: Root, epoch: int) -> ImageConfig:
    config = ImageConfig.of(host(), created=rfc3339(epoch))
    return config.with_settings({"Env": [f"PATH={_PATH}"], "Cmd": [root.shell]})


def _history(root: Root, epoch: int) -> History:
    return History(created=rfc3339(epoch), created_by=f"onggi bootstrap {root.origin}")
