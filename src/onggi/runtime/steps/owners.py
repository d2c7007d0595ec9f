"""A bind mount that shows other owners than its files have, by mappings of its own."""

from __future__ import annotations

import os

from onggi.linux import empty_user_namespace, mount
from onggi.runtime.steps.mounts import BindMount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.runtime.plan.users import UserMap


class MappedBind(BindMount):
    """Show a file or directory of the host inside the root, with owners translated.

    Source: runtime-spec config.md, "uidMappings" of mounts.
    """

    __slots__ = ("mapping",)

    needs_host = True

    def __init__(
        self, source: str, target: str, options: tuple[str, ...], mapping: UserMap
    ) -> None:
        super().__init__(source, target, options)
        self.mapping = mapping

    def translate(self, tree: int, userns_fd: int) -> None:
        """Have the tree show the owners of the mapping, whatever the container's are."""
        own = empty_user_namespace.make(*self.mapping.texts())
        try:
            mount.idmap(tree, own, deep="ridmap" in self.options)
        finally:
            os.close(own)

    def describe(self) -> str:
        return f"{super().describe()}, with owners translated"

    def argument(self) -> str:
        return f"{self.source} at {self.target}"

    def _fields(self) -> list[object]:
        return [self.mapping, self.source, self.target, self.options]
