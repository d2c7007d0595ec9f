"""What ``$x`` means at each place of a Dockerfile.

Facts:
- ARG before the first FROM is global: FROM lines see it, a stage sees it only after ``ARG name``.
- The platform's names (TARGETPLATFORM, BUILDARCH, …) are global in the same way, unasked.
- A stage built on another stage begins with all that the other knew at its end.
- An ARG's value is, in this order: ``--build-arg``, its default, the global one of that name.
- ENV and ARG share one space; whichever came last counts, but only ENV stays in the image.
- The proxies' names need no ARG to reach RUN, and count neither for the cache nor for history.

Source: buildkit, frontend/dockerfile/dockerfile2llb/convert.go (dispatchArg, buildMetaArgs);
docs.docker.com "ARG", "Automatic platform ARGs in the global scope", "Predefined ARGs".
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from onggi.build.expansion import Expander
    from onggi.build.instructions import Arg
    from onggi.oci.platform import Platform

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
PROXY_NAMES = frozenset((*_PROXIES, *(name.upper() for name in _PROXIES)))
# Consumed by the builder itself, so never "not consumed".
OWN_NAMES = PROXY_NAMES | {"SOURCE_DATE_EPOCH", "BUILDKIT_SYNTAX", "BUILDKIT_INLINE_CACHE"}


def platform_arguments(platform: Platform, target: str) -> dict[str, str]:
    """The global arguments that nobody has to declare: building and target machine are one."""
    values = {"TARGETSTAGE": target or "default"}
    for side in ("BUILD", "TARGET"):
        values[f"{side}PLATFORM"] = str(platform)
        values[f"{side}OS"] = platform.os
        values[f"{side}ARCH"] = platform.architecture
        values[f"{side}VARIANT"] = platform.variant
    return values


def global_arguments(
    declared: list[Arg], build_args: Mapping[str, str], known: dict[str, str], expander: Expander
) -> dict[str, str]:
    """Return `known` with the ARGs that stand before the first FROM.

    Raises: SyntaxProblem: a default cannot be expanded.
    """
    values = dict(known)
    for instruction in declared:
        for name, default in instruction.arguments:
            if name in build_args:
                values[name] = build_args[name]
            elif default is not None:
                values[name] = expander.word(default, values)
    return values


class Variables:
    """The variables at one place of a stage.

    Attributes:
        values: what ``$x`` means here and what RUN finds in its environment.
        arguments: the declared ARGs with their values, None while unset, for the history.
    """

    __slots__ = ("arguments", "values")

    def __init__(
        self,
        values: Mapping[str, str] | None = None,
        arguments: Mapping[str, str | None] | None = None,
    ) -> None:
        self.values = dict(values or {})
        self.arguments = dict(arguments or {})

    def copy(self) -> Variables:
        """Return variables of one's own that begin as these."""
        return Variables(self.values, self.arguments)

    def set(self, name: str, value: str) -> None:
        """Apply one pair of an ENV."""
        self.values[name] = value

    def declare(
        self,
        instruction: Arg,
        build_args: Mapping[str, str],
        outer: Mapping[str, str],
        expander: Expander,
    ) -> list[str]:
        """Apply an ARG; `outer` are the global arguments.

        Returns: what the history says of each, ``name=value`` or ``name``.
        Raises: SyntaxProblem: a default cannot be expanded.
        """
        said = []
        for name, default in instruction.arguments:
            value = build_args.get(name)
            if value is None and default is not None:
                value = expander.word(default, self.values)
            if value is None:
                value = outer.get(name)
            if value is not None:
                self.values[name] = value
            self.arguments[name] = value
            said.append(name if value is None else f"{name}={value}")
        return said

    def said_by_arguments(self) -> list[str]:
        """What a RUN's history begins with: ``|2 a=1 b=2`` when ARGs are in force."""
        pairs = [f"{name}={self.values.get(name, '')}" for name in self.arguments]
        return [f"|{len(pairs)}", *pairs] if pairs else []
