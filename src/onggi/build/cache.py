"""The build cache: what each step's inputs made, and what the last build of a Dockerfile took.

    cache/build/steps/<key>.json     what a step made: layer, descriptor, time
    cache/build/inputs/<key>.json    what it was made of, only to explain the next miss
    cache/build/builds/<id>.json     the key of each step of the last build of one Dockerfile
    cache/build/contexts/<id>.json   digests of a context's files
    cache/build/trees/<key>.json     digests of what was taken from a stage or an image
    cache/build/mounts/<id>/<n>/     what RUN --mount=type=cache keeps

Files are replaced whole. All of it can be deleted at any time: the next build is slower, and that
is all. The collector keeps the layers that steps/ names.
"""

from __future__ import annotations

import os

from onggi.build.keys import StepInputs
from onggi.errors import OnggiError
from onggi.oci import jsontext
from onggi.oci.descriptor import Descriptor
from onggi.oci.digest import Digest
from onggi.store.atomic import read_file, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.store.store import Store


class StepResult:
    """What a step made: a layer, or nothing when it changed no file; and when (RFC 3339)."""

    __slots__ = ("created", "diff_id", "layer")

    def __init__(self, diff_id: Digest | None, layer: Descriptor | None, created: str) -> None:
        self.diff_id = diff_id
        self.layer = layer
        self.created = created

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "diffID": self.diff_id,
            "layer": self.layer.to_json() if self.layer else None,
            "created": self.created,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> StepResult:
        """Read what `to_json` returned."""
        diff_id = Digest(value["diffID"]) if value["diffID"] else None
        layer = Descriptor.from_json(value["layer"]) if value["layer"] else None
        return cls(diff_id, layer, value["created"])


class BuildCache:
    """The part of the store that remembers builds.

    Args:
        store: where it lies. identity: of this Dockerfile in this context, to compare a build
            with the last one of the same.
    """

    def __init__(self, store: Store, identity: str) -> None:
        self._store = store
        self._root = f"{store.root}/cache/build"
        self._identity = identity
        self._last: dict[str, str] = self._read("builds", identity) or {}
        self._now: dict[str, str] = {}

    def path(self, kind: str, name: str) -> str:
        """Return where something of a kind is kept."""
        return f"{self._root}/{kind}/{name}.json"

    def mounts(self) -> str:
        """Return the directory of what cache mounts keep."""
        return f"{self._root}/mounts"

    def find(self, key: str) -> StepResult | None:
        """Return what a step with these inputs made, if all of it is still here."""
        value = self._read("steps", key)
        if value is None:
            return None
        try:
            result = StepResult.from_json(value)
        except (OnggiError, KeyError, TypeError):
            return None
        return result if self._is_whole(result) else None

    def _is_whole(self, result: StepResult) -> bool:
        if result.diff_id is None or result.layer is None:
            return True
        return self._store.layers.has(result.diff_id) and self._store.blobs.has(result.layer.digest)

    def was_made(self, key: str) -> bool:
        """Tell whether these inputs ever became something, even if it is gone now."""
        return os.path.exists(self.path("steps", key))

    def begin(self, slot: str, inputs: StepInputs) -> None:
        """Note what is being made at a place of the Dockerfile, whether it ends well or not."""
        self._write("inputs", inputs.key(), inputs.to_json())
        self.took(slot, inputs.key())

    def keep(self, key: str, result: StepResult) -> None:
        """Remember what a step made."""
        self._write("steps", key, result.to_json())

    def before(self, slot: str) -> StepInputs | None:
        """Return what the step at this place was made of in the last build."""
        value = self._read("inputs", self._last.get(slot, "")) if slot in self._last else None
        try:
            return StepInputs.from_json(value) if value is not None else None
        except (KeyError, TypeError):
            return None

    def took(self, slot: str, key: str) -> None:
        """Note which step was taken at a place of the Dockerfile."""
        self._now[slot] = key

    def close(self) -> None:
        """Remember this build as the last one, as far as it came."""
        if any(self._last.get(slot) != key for slot, key in self._now.items()):
            self._write("builds", self._identity, {**self._last, **self._now})

    def tree_files(self, key: str) -> dict[str, str] | None:
        """Return the remembered digests of what was taken from a layer stack."""
        files: dict[str, str] | None = self._read("trees", key)
        return files

    def keep_tree_files(self, key: str, files: dict[str, str]) -> None:
        """Remember digests of what was taken from a layer stack, which never changes."""
        self._write("trees", key, files)

    def _read(self, kind: str, name: str) -> Any:
        try:
            return jsontext.loads(read_file(self.path(kind, name)))
        except FileNotFoundError:
            return None
        except ValueError:
            return None  # damaged, so as good as missing

    def _write(self, kind: str, name: str, value: object) -> None:
        path = self.path(kind, name)
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        # A lost entry costs time only, so nothing here waits for the disk.
        write_file(path, jsontext.dumps(value).encode(), durable=False)


def prune(store: Store) -> int:
    """Forget what steps made and what cache mounts keep, those in use now excepted.

    A build that runs meanwhile makes anew what it misses. Layers that images need stay.

    Returns: how many bytes that freed.
    """
    from onggi.build.cache_mounts import take_unused
    from onggi.store.collect import collect

    doomed = store.workshop.new_directory()
    try:
        freed = take_unused(f"{store.root}/cache/build/mounts", doomed)
        for kind in ("steps", "inputs", "builds", "contexts", "trees"):
            try:
                os.rename(f"{store.root}/cache/build/{kind}", f"{doomed}/{kind}")
            except FileNotFoundError:
                continue  # nothing of this kind was ever kept
    finally:
        store.workshop.remove(doomed)
    return freed + collect(store).size
