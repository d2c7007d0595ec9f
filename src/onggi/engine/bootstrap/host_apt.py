"""How this host's apt gets packages: its sources of Debian, and how it reaches them.

mmdebstrap's apt reads nothing of the host's configuration, so that the chroot depends on nothing
but what it is told. What concerns the way, not the packages, it must be told: mirrors, proxies,
certificates, credentials.

Source: sources.list(5), "ONE-LINE-STYLE FORMAT", "DEB822-STYLE FORMAT"; apt.conf(5), "THE ACQUIRE
GROUP"; apt_auth.conf(5); mmdebstrap(1), "MIRROR".
"""

from __future__ import annotations

import glob
import os
import subprocess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ETC = "/etc/apt"
# Debian's own key: entries that name another one are other people's archives.
_KEYRING = "debian-archive-"
_DERIVED = ("", "-updates", "-security")
# Of the host's configuration what is about reaching the mirrors and nothing else.
_WAY = (
    *("Acquire::http::", "Acquire::https::", "Acquire::Retries"),
    *("Acquire::ForceIPv4", "Acquire::ForceIPv6"),
    *("Acquire::Check-Valid-Until", "Acquire::Check-Date"),
)


class Source:
    """One archive: where it is, and which of its suites and components are taken."""

    __slots__ = ("components", "signed_by", "suites", "uris")

    def __init__(
        self,
        *,
        uris: tuple[str, ...],
        suites: tuple[str, ...],
        components: tuple[str, ...],
        signed_by: str = "",
    ) -> None:
        self.uris = uris
        self.suites = suites
        self.components = components
        self.signed_by = signed_by

    def is_debian(self) -> bool:
        """Tell whether Debian vouches for it, as far as the entry says."""
        named = os.path.basename(self.signed_by)
        return "main" in self.components and (not named or named.startswith(_KEYRING))


def mirrors(suite: str, etc: str = _ETC) -> list[str]:
    """Return lines of sources.list(5) for `suite` as this host gets it; [] if it does not."""
    wanted = [suite + suffix for suffix in _DERIVED]
    lines = {
        name: f"deb {_options(source)}{source.uris[0]} {name} main"
        for source in _sources(etc)
        if source.is_debian()
        for name in source.suites
        if name in wanted
    }
    return [lines[name] for name in wanted if name in lines] if suite in lines else []


def _options(source: Source) -> str:
    return f"[signed-by={source.signed_by}] " if source.signed_by else ""


def _sources(etc: str) -> Iterator[Source]:
    for path in (f"{etc}/sources.list", *sorted(glob.glob(f"{etc}/sources.list.d/*.list"))):
        yield from parse_lines(_read(path))
    for path in sorted(glob.glob(f"{etc}/sources.list.d/*.sources")):
        yield from parse_stanzas(_read(path))


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def parse_lines(text: str) -> Iterator[Source]:
    """Read `deb [options] URI suite components…` lines; what makes no sense is passed over."""
    for line in text.splitlines():
        kind, _, rest = line.partition("#")[0].strip().partition(" ")
        options, rest = _bracketed(rest.strip())
        uri, *others = rest.split() or [""]
        if kind == "deb" and len(others) > 1:
            yield Source(
                uris=(uri,),
                suites=(others[0],),
                components=tuple(others[1:]),
                signed_by=options.get("signed-by", ""),
            )


def _bracketed(text: str) -> tuple[dict[str, str], str]:
    if not text.startswith("["):
        return {}, text
    inside, _, rest = text[1:].partition("]")
    return dict(word.partition("=")[::2] for word in inside.split()), rest


def parse_stanzas(text: str) -> Iterator[Source]:
    """Read deb822 stanzas; what makes no sense, or is disabled, is passed over."""
    for stanza in text.split("\n\n"):
        fields = _fields(stanza)
        words = {name: tuple(value.split()) for name, value in fields.items()}
        enabled = fields.get("enabled", "yes").strip().lower() in ("yes", "true", "1", "on")
        if enabled and "deb" in words.get("types", ()) and words.get("uris"):
            yield Source(
                uris=words["uris"],
                suites=words.get("suites", ()),
                components=words.get("components", ()),
                signed_by=fields.get("signed-by", "").strip(),
            )


def _fields(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1] in (" ", "\t"):
            fields[name] = f"{fields.get(name, '')}\n{line.strip()}"
        else:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def options() -> str:
    """Return an apt.conf(5) that goes the host's way, credentials by reference only."""
    done = subprocess.run(["apt-config", "dump"], capture_output=True, check=True, text=True)
    kept = [line for line in done.stdout.splitlines() if line.startswith(_WAY)]
    kept.append(f'Dir::Etc::netrc "{_ETC}/auth.conf";')
    kept.append(f'Dir::Etc::netrcparts "{_ETC}/auth.conf.d";')
    return "".join(f"{line}\n" for line in kept)
