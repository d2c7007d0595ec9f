"""References: the names people give to images.

A user writes a familiar name (`busybox`), the store keeps the canonical one
(`docker.io/library/busybox:latest`). Grammar and normalization are Docker's.

    reference := name [":" tag] ["@" digest]
    name      := [domain "/"] path
    domain    := host [":" digits]         host := dotted names, or an IPv6 address in brackets
    path      := component ("/" component)*
    component := [a-z0-9]+ (separator [a-z0-9]+)*      separator := "." | "_" | "__" | "-"+
    tag       := [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}

One deliberate difference: Docker's parser takes `a_b.c/d` for a path without any domain, which
nothing can then pull or list; here it is refused.

Source: distribution/reference, reference.go "Grammar", regexp.go, normalize.go.
"""

from __future__ import annotations

from onggi.errors import InvalidInput
from onggi.oci.digest import Digest

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"
_PATH_LIMIT = 255
_TAG_LIMIT = 128

_DIGITS = frozenset("0123456789")
_HEX = _DIGITS | frozenset("abcdef")
_LOWER = _DIGITS | frozenset("abcdefghijklmnopqrstuvwxyz")
_ALPHANUMERIC = _LOWER | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_WORD = _ALPHANUMERIC | {"_"}
_TAG = _WORD | {".", "-"}
_DOMAIN = _ALPHANUMERIC | {"-"}
_IPV6 = _HEX | frozenset("ABCDEF:")


class InvalidReference(InvalidInput):
    """Text that names no image, whatever images there are."""

    def __init__(self, text: str, hint: str = "") -> None:
        shown = text if len(text) <= 300 else text[:300] + "..."
        super().__init__(f"invalid reference format: {shown!r}", hint=hint)
        self.text = text


class Reference:
    """A valid image reference; compares and prints as its canonical form.

    `tag` and `digest` are "" when absent.
    """

    __slots__ = ("digest", "domain", "path", "tag")

    def __init__(
        self, *, domain: str, path: str, tag: str = "", digest: Digest | None = None
    ) -> None:
        self.domain = domain
        self.path = path
        self.tag = tag
        self.digest: Digest | None = digest

    @classmethod
    def parse(cls, text: str, *, default_tag: str = DEFAULT_TAG) -> Reference:
        """Parse a familiar or canonical reference.

        `default_tag` is given to a name that has neither tag nor digest; "" leaves it a bare name.

        Raises: InvalidReference
        """
        if len(text) == 64 and _HEX.issuperset(text):
            raise InvalidReference(text, "64 hex digits are an image ID, not a name")
        domain, remainder = _split_domain(text)
        name, at, digest_text = remainder.partition("@")
        path, colon, tag = name.partition(":")
        _require_path(text, path)
        if not _is_domain(domain):
            raise InvalidReference(text, f"{domain!r} is not a registry's host[:port]")
        if colon and not is_tag(tag):
            raise InvalidReference(text, f"{tag[:160]!r} is not a tag: {_TAG_RULE}")
        digest = _parse_digest(text, digest_text) if at else None
        return cls(domain=domain, path=path, tag=tag or ("" if at else default_tag), digest=digest)

    @property
    def name(self) -> str:
        """The repository in full: `docker.io/library/busybox`."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The repository as users write it: `busybox`."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        short = self.path.removeprefix(_OFFICIAL)
        return self.path if "/" in short else short

    @property
    def familiar(self) -> str:
        """The reference as users write it: `busybox:latest`."""
        return self.familiar_name + self._suffix()

    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{tag}@{self.digest}" if self.digest else tag

    def __str__(self) -> str:
        return self.name + self._suffix()

    def __repr__(self) -> str:
        return f"Reference({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


def parse_tag(text: str) -> Reference:
    """Parse a name that an image may be given.

    Raises: InvalidReference: it is none, or would be taken for a digest by whoever reads it.
    Source: moby, daemon/images/image_tag.go; docker/cli, "ambiguous tag".
    """
    reference = Reference.parse(text)
    if reference.digest is not None:
        raise InvalidReference(text, "an image cannot be named by a digest")
    if reference.familiar_name == "sha256":
        raise InvalidReference(text, "sha256: begins an image ID, not a name")
    return reference


_TAG_RULE = f"at most {_TAG_LIMIT} of [A-Za-z0-9_.-], not starting with . or -"


def is_tag(text: str) -> bool:
    """Tell whether the text is a valid tag."""
    return 0 < len(text) <= _TAG_LIMIT and text[0] in _WORD and _TAG.issuperset(text)


def _split_domain(text: str) -> tuple[str, str]:
    """Split off the domain, filling in Docker Hub's; nothing is validated yet."""
    first, slash, rest = text.partition("/")
    if first == _LEGACY_DOMAIN:
        first = DEFAULT_DOMAIN
    if not slash or not _looks_like_domain(first):
        first, rest = DEFAULT_DOMAIN, text
    if first == DEFAULT_DOMAIN and "/" not in rest:
        rest = _OFFICIAL + rest
    return first, rest


def _looks_like_domain(first: str) -> bool:
    """Tell a domain from a user name: user names have no dot, colon or capital."""
    return first == "localhost" or "." in first or ":" in first or first != first.lower()


def _is_domain(domain: str) -> bool:
    host, colon, port = domain.rpartition(":")
    if not colon or domain.endswith("]"):
        host, port = domain, "0"
    return bool(port) and _DIGITS.issuperset(port) and _is_host(host)


def _is_host(host: str) -> bool:
    if host.startswith("[") and host.endswith("]"):
        return len(host) > 2 and _IPV6.issuperset(host[1:-1])
    return all(
        label
        and _DOMAIN.issuperset(label)
        and not label.startswith("-")
        and not label.endswith("-")
        for label in host.split(".")
    )


def _require_path(text: str, path: str) -> None:
    if path != path.lower():
        raise InvalidReference(text, f"repository name ({path[:160]}) must be lowercase")
    if not all(map(_is_component, path.split("/"))):
        raise InvalidReference(text)
    if len(path) > _PATH_LIMIT:
        raise InvalidReference(
            text, f"repository name must not be more than {_PATH_LIMIT} characters"
        )


def _is_component(component: str) -> bool:
    """Match `component` of the grammar: words, and between two words one separator."""
    separator, after_word = "", False
    for character in component:
        if character in _LOWER:
            if separator and not (after_word and _is_separator(separator)):
                return False
            separator, after_word = "", True
        else:
            separator += character
    return after_word and not separator


def _is_separator(text: str) -> bool:
    return text in (".", "_", "__") or not text.strip("-")


def _parse_digest(text: str, digest_text: str) -> Digest:
    try:
        return Digest(digest_text)
    except InvalidInput as error:
        raise InvalidReference(text, error.message) from error
