"""A mount as data: the value in which storage and runtime meet.

Storage says how a root file system is put together without mounting it; the runtime mounts it
without knowing what storage is.

Source: runtime-spec config.md, "Mounts".
"""

from __future__ import annotations


class Mount:
    """One mount: what `mount -t type -o options source target` would do."""

    __slots__ = ("options", "source", "target", "type")

    def __init__(
        self,
        *,
        type: str,  # noqa: A002 (the specification's word)
        source: str,
        target: str = "",
        options: tuple[str, ...] = (),
    ) -> None:
        self.type = type
        self.source = source
        self.target = target
        self.options = options

    def _key(self) -> tuple[str, str, str, tuple[str, ...]]:
        return self.type, self.source, self.target, self.options

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mount) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return (
            f"Mount(type={self.type!r}, source={self.source!r}, "
            f"target={self.target!r}, options={self.options!r})"
        )
