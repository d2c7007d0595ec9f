"""Platforms: what a program needs of the machine that runs it.

Source: image-spec image-index.md, "Platform Variants"; containerd/platforms, the order in which
a host accepts images of lesser platforms (compare.go).
"""

from __future__ import annotations

from os import uname

from onggi.errors import InvalidInput, Unsupported
from onggi.oci.document import Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.oci.document import Json

# uname(2) machine -> (architecture, variant) in the words of the Go compiler.
_MACHINES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i686": ("386", ""),
    "i386": ("386", ""),
    "ppc64le": ("ppc64le", ""),
    "riscv64": ("riscv64", ""),
    "s390x": ("s390x", ""),
}
_ARCHITECTURES = _MACHINES | {
    "x86-64": ("amd64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
# A variant that its architecture means anyway is written as none.
_IMPLIED_VARIANTS = {("arm64", "v8"), ("amd64", "v1")}
_ARM_VARIANTS = ("v8", "v7", "v6", "v5")
_KNOWN = frozenset(("os", "architecture", "variant"))
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.-")


class Platform:
    """An operating system, an architecture and its variant, normalized: `linux/arm/v7`."""

    __slots__ = ("architecture", "extra", "os", "variant")

    def __init__(
        self, os: str, architecture: str, variant: str = "", extra: dict[str, Json] | None = None
    ) -> None:
        architecture, implied = _ARCHITECTURES.get(architecture, (architecture, ""))
        variant = variant or implied
        self.os = os
        self.architecture = architecture
        self.variant = "" if (architecture, variant) in _IMPLIED_VARIANTS else variant
        self.extra = extra or {}

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Parse what `--platform` takes: `linux/arm64`, `linux/arm/v7`, or an architecture.

        Raises: InvalidInput
        """
        parts = text.lower().split("/")
        if not all(part and _LETTERS.issuperset(part) for part in parts) or len(parts) > 3:
            raise InvalidInput(
                f"invalid platform {text!r}", hint="expected os/architecture[/variant]"
            )
        os, architecture, *variant = parts if len(parts) > 1 else ["linux", *parts]
        return cls(os, architecture, variant[0] if variant else "")

    @classmethod
    def from_json(cls, value: Json, kind: str = "platform") -> Platform:
        """Read a descriptor's platform object; unknown fields are kept."""
        fields = Fields(value, kind)
        return cls(
            fields.text("os"),
            fields.text("architecture"),
            fields.text("variant"),
            fields.others(_KNOWN),
        )

    def to_json(self) -> dict[str, Json]:
        """Write the platform object of a descriptor."""
        value: dict[str, Json] = {**self.extra, "os": self.os, "architecture": self.architecture}
        if self.variant:
            value["variant"] = self.variant
        return value

    def accepted(self) -> list[Platform]:
        """Name the platforms whose programs this one runs, best first."""
        platforms = [Platform(self.os, self.architecture, name) for name in self._variants()]
        if self.architecture == "amd64":
            platforms.append(Platform(self.os, "386"))
        if self.architecture == "arm64":
            platforms += [Platform(self.os, "arm", name) for name in _ARM_VARIANTS]
        return platforms

    def runs(self, other: Platform) -> bool:
        """Tell whether this platform runs programs made for the other."""
        return other in self.accepted()

    def _variants(self) -> list[str]:
        if self.architecture == "arm":
            first = _ARM_VARIANTS.index(self.variant) if self.variant in _ARM_VARIANTS else 1
            return [*_ARM_VARIANTS[first:], ""]
        if self.architecture == "amd64" and self.variant in ("v2", "v3", "v4"):
            return [f"v{level}" for level in range(int(self.variant[1]), 1, -1)] + [""]
        return [self.variant]

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    def __repr__(self) -> str:
        return f"Platform({str(self)!r})"

    def _key(self) -> tuple[str, str, str]:
        return self.os, self.architecture, self.variant

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Platform) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


def host() -> Platform:
    """Name the platform of this machine.

    Raises: Unsupported: no image names this machine's architecture.
    """
    machine = uname().machine
    try:
        return Platform("linux", *_MACHINES[machine])
    except KeyError:
        raise Unsupported(f"no image platform is known for machine {machine!r}") from None
