"""One number to be written into one control file."""

from __future__ import annotations

from onggi.resources.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.linux.cgroup import Hierarchy


class Setting(Value):
    """`value`, to be written with one write(2) into `file` of the container's cgroup.

    `reason` says for a reader what the number means. An `optional` setting states what holds
    anyway where the kernel has no such file, so its absence is no failure.
    """

    __slots__ = ("file", "hierarchy", "optional", "reason", "value")

    def __init__(
        self, *, hierarchy: Hierarchy, file: str, value: str, reason: str, optional: bool = False
    ) -> None:
        self.hierarchy = hierarchy
        self.file = file
        self.value = value
        self.reason = reason
        self.optional = optional


class Writer:
    """Collects the settings of one hierarchy, in order."""

    __slots__ = ("files", "hierarchy", "settings")

    def __init__(self, hierarchy: Hierarchy, files: frozenset[str]) -> None:
        self.hierarchy = hierarchy
        self.files = files
        self.settings: list[Setting] = []

    def write(self, file: str, value: object, reason: str, *, optional: bool = False) -> None:
        """Add one setting."""
        self.settings.append(
            Setting(
                hierarchy=self.hierarchy,
                file=file,
                value=str(value),
                reason=reason,
                optional=optional,
            )
        )

    def first_present(self, *files: str) -> str | None:
        """Return the first of these optional files that the kernel has."""
        return next((file for file in files if file in self.files), None)


def in_bytes(count: int) -> str:
    """Spell a number of bytes for a reader: `128 MiB`, or `no limit` for -1."""
    if count < 0:
        return "no limit"
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if count >= 1 << power and count % (1 << power) == 0:
            return f"{count >> power} {unit}"
    return f"{count} bytes"


def in_processors(quota_usec: int, period_usec: int) -> str:
    """Spell a quota for a reader: `0.5 processors: 50000 µs in every 100000 µs`."""
    share = f"{quota_usec / period_usec:.3f}".rstrip("0").rstrip(".")
    return f"{share} processors: {quota_usec} µs of time in every {period_usec} µs"
