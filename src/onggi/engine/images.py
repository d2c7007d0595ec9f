"""The images of an engine, in the Docker Engine API's shapes.

Source: Docker Engine API v1.50, ImageSummary, ImageInspect, ImageHistoryResponseItem.
"""

from __future__ import annotations

from onggi.image.images import get_image, open_image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, BinaryIO

    from onggi.build.options import BuildOptions
    from onggi.build.progress import Event
    from onggi.engine.engine import Engine
    from onggi.image.history import HistoryRow
    from onggi.image.images import Image as Value
    from onggi.image.listing import ImageSummary
    from onggi.image.removal import ContainerUse, Removed
    from onggi.oci.digest import Digest
    from onggi.oci.reference import Reference
    from onggi.store.store import Store

    Json = dict[str, Any]
    # Named here, because `list` is a method of Images.
    Documents = list[Json]
    Names = list[str]
    Deeds = list[tuple[str, str]]
    Uses = list[ContainerUse]
    Show = Callable[[Event], None]
    Say = Callable[[str], None]

DRIVER = "overlayfs"
_MISSING = "<missing>"


class Image:
    """An image of an engine."""

    def __init__(self, store: Store, value: Value) -> None:
        self._store = store
        self._value = value

    @property
    def id(self) -> str:
        """Its ID: the digest of its configuration."""
        return str(self._value.id)

    def inspect(self) -> Json:
        """Return all that is known of it, in the Docker Engine API's shape."""
        value, config = self._value, self._value.config
        names = _names(self._store, value)
        return {
            "Id": self.id,
            "Descriptor": value.descriptor.to_json(),
            "RepoTags": _tags(names),
            "RepoDigests": _digests(names, [value.descriptor.digest]),
            "Parent": "",
            "Comment": config.history[-1].comment if config.history else "",
            "Created": value.created or None,
            "DockerVersion": "",
            "Author": config.author,
            "Config": config.settings,
            "Architecture": config.platform.architecture,
            "Variant": config.platform.variant or None,
            "Os": config.platform.os,
            "Size": value.size(self._store),
            "GraphDriver": {"Name": DRIVER, "Data": self._directories()},
            "RootFS": {"Type": "layers", "Layers": list(map(str, value.diff_ids))},
            "Metadata": {"LastTagTime": None},
        }

    def _directories(self) -> dict[str, str]:
        paths = [self._store.layers.path(one) for one in reversed(self._value.diff_ids)]
        return {"LowerDir": ":".join(paths)} if paths else {}


class Images:
    """Make, find, list and remove images. A name is Docker's: a reference, or an ID's beginning."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._store = engine.store

    def list(
        self,
        *,
        all: bool = False,  # noqa: A002
        filters: Mapping[str, Sequence[str]] | None = None,
    ) -> Documents:
        """Return the images that `filters` let pass, the newest first.

        `all` is what Docker's users know: there are no intermediate images to be hidden, so it
        changes nothing. Of an image's names those are listed that a `reference` filter matches.

        Raises: InvalidInput, ImageNotFound: a filter makes no sense; see filtering.image_filter.
        """
        from onggi.engine import filtering
        from onggi.image.listing import summaries

        wanted = {key: [*values] for key, values in (filters or {}).items()}
        passes = filtering.image_filter(wanted, self._engine)
        patterns = wanted.get("reference")
        users = [record["image_id"] for record in self._store.containers.list()]
        listed = []
        for one in filter(passes, summaries(self._store)):
            names = filtering.matching(one.references, patterns) if patterns else one.references
            listed.append(_summary(one, names, users))
        return listed

    def get(self, name: str) -> Image:
        """Return the image of this name. Raises: ImageNotFound; InvalidInput: several are meant."""
        return Image(self._store, get_image(self._store, name))

    def tag(self, source: str, target: str) -> None:
        """Give an image one more name, which is taken from the image that had it.

        Raises: ImageNotFound, InvalidReference
        """
        from onggi.image.images import tag
        from onggi.oci.reference import parse_tag

        tag(self._store, source, parse_tag(target))

    def remove(self, name: str, *, force: bool = False) -> Deeds:
        """Remove a name, and with the last of an image's names the image.

        Returns: what was done, in order: ("Untagged", name) or ("Deleted", digest).
        Raises: ImageNotFound; ImageInUse: containers use it, and `force` is not given or no help.
        """
        from onggi.image.removal import remove

        self._engine.recover()
        removed = remove(self._store, name, force=force, users=self._users())
        return [_deed(one) for one in removed]

    def prune(self, filters: Mapping[str, Sequence[str]] | None = None) -> tuple[Deeds, int]:
        """Remove the images that have no name and no container, and tell how many bytes that freed.

        Args: filters: `label`, `label!`, `until`; `dangling` with the value false, for those with a
            name too.
        Returns: what was done, as `remove` does, and the bytes.
        """
        from onggi.engine import filtering
        from onggi.image.removal import prune

        wanted = {key: [*values] for key, values in (filters or {}).items()}
        self._engine.recover()
        passes = filtering.prunable_image(wanted)
        removed, freed = prune(self._store, passes, users=self._users())
        return [_deed(one) for one in removed], freed

    def prune_cache(self) -> int:
        """Forget what builds have made; return how many bytes that freed.

        Layers of images stay, and caches of RUN steps that a build is using now.
        """
        from onggi.build.cache import prune

        return prune(self._store)

    def _users(self) -> Uses:
        from onggi.image.removal import ContainerUse
        from onggi.oci.digest import Digest

        return [
            ContainerUse(container=one.id, image=Digest(one.record["image_id"]), running=runs)
            for one in self._engine.containers.list(all=True)
            for runs in [one.state.status == "running"]
        ]

    def history(self, name: str) -> Documents:
        """Return the lines of an image's history, the newest first. Raises: ImageNotFound."""
        from onggi.image.history import rows

        image = get_image(self._store, name)
        lines = [_history_line(row) for row in rows(self._store, image)]
        if lines:
            lines[0]["Tags"] = _tags(_names(self._store, image))
        return lines

    def load(self, file: BinaryIO) -> Names:
        """Load the images of an archive, whole or not at all.

        Returns: each image's names, or its ID if the archive gives it none.
        Raises: Corrupt, InvalidInput, Unsupported: nothing was loaded.
        """
        from onggi.image.archive_load import load_archive

        loaded = load_archive(self._store, file)
        return [
            name
            for one in loaded
            for name in [*(each.familiar for each in one.references)] or [str(one.image.id)]
        ]

    def save(
        self,
        names: Sequence[str],
        file: BinaryIO,
        *,
        format: str = "docker",  # noqa: A002
    ) -> None:
        """Write images to an archive: `format` is "docker", which is an OCI layout too, or "oci".

        Raises: ImageNotFound, InvalidInput, Corrupt
        """
        from onggi.image.archive_save import save_archive

        save_archive(self._store, names, file, format)

    def import_(
        self,
        file: BinaryIO,
        *,
        reference: str | None = None,
        changes: Sequence[str] = (),
        message: str = "",
        platform: str = "",
    ) -> str:
        """Make an image of one layer from a tar archive of a root file system; return its ID.

        Args: changes: see config_changes. platform: as in `linux/arm64`; this machine's if empty.
        Raises: Corrupt, InvalidInput, Unsupported: nothing was imported.
        """
        from onggi.engine import importing

        return importing.import_rootfs(self._store, file, reference, changes, message, platform)

    def build(self, options: BuildOptions, progress: str | Show = "plain") -> str:
        """Build an image; return its ID.

        Args: progress: called with every event; or "auto", "plain", "tty", "quiet" or "rawjson",
            to have it shown on standard error.
        Raises: BuildError: with the place in the Dockerfile; InvalidInput.
        """
        import sys

        from onggi.build.builder import build
        from onggi.build.progress import Warned, make_renderer
        from onggi.engine.building import ContainerExecutor
        from onggi.engine.rootless import own_mounts

        self._require_writable()
        own_mounts.require()
        executor = ContainerExecutor(self._engine, hosts=options.hosts, limits=options.limits)
        renderer = make_renderer(progress, sys.stderr) if isinstance(progress, str) else None
        show = renderer or progress
        assert callable(show)
        try:
            for text in executor.warnings:
                show(Warned(text))
            return str(build(self._store, options, executor, show).image_id)
        finally:
            if renderer is not None:
                renderer.close()

    def _require_writable(self) -> None:
        """Refuse to build where an ordinary user's overlayfs cannot write to the store."""
        from onggi.engine.rootless import own_mounts
        from onggi.errors import Unsupported

        reason = own_mounts.refusal(self._store)
        if reason:
            raise Unsupported(
                f"overlayfs cannot write to the file system of {self._store.root}: {reason}",
                hint="keep the store on another one, with --root",
            )

    def bootstrap(
        self,
        source: str,
        *,
        reference: str | None = None,
        include: Sequence[str] = (),
        progress: Say | None = None,
    ) -> str:
        """Make a base image out of packages; return its name.

        Args: source: `debian:SUITE` or `busybox`. reference: another name than that. include:
            further packages, for Debian. progress: called with a line at every stage.
        Raises: InvalidInput: no such source; Unsupported: a program is missing; BootstrapFailed.
        """
        from onggi.engine.bootstrap import base
        from onggi.engine.rootless import own_mounts

        own_mounts.require()
        return base.bootstrap(self._store, source, reference, include, progress or _nobody)


def _deed(one: Removed) -> tuple[str, str]:
    return ("Untagged", one.untagged) if one.untagged else ("Deleted", str(one.deleted))


def _nobody(_line: str) -> None:
    """Say nothing to anybody."""


def _names(store: Store, image: Value) -> list[Reference]:
    named = ((name, entry) for name, entry in store.references.list() if name is not None)
    return [name for name, entry in named if open_image(store, entry).id == image.id]


def _tags(names: Iterable[Reference]) -> list[str]:
    return sorted(name.familiar for name in names if name.tag)


def _digests(names: Iterable[Reference], manifests: Iterable[Digest]) -> list[str]:
    repositories = sorted({name.familiar_name for name in names})
    return [f"{name}@{digest}" for digest in manifests for name in repositories]


def _summary(one: ImageSummary, names: Sequence[Reference], users: list[str]) -> Json:
    return {
        "Id": str(one.id),
        "ParentId": "",
        "RepoTags": _tags(names),
        "RepoDigests": _digests(names, one.digests),
        "Created": _seconds(one.created),
        "Size": one.size,
        "SharedSize": one.shared_size,
        "Labels": one.labels,
        "Containers": users.count(one.id),
    }


def _history_line(row: HistoryRow) -> Json:
    return {
        "Id": str(row.id) if row.id else _MISSING,
        "Created": _seconds(row.created),
        "CreatedBy": row.created_by,
        "Tags": [],
        "Size": row.size,
        "Comment": row.comment,
    }


def _seconds(created: str) -> int:
    from onggi.image.moments import seconds_since_1970

    return int(seconds_since_1970(created) or 0)
