"""When packages were last changed, as their changelogs say.

Source: deb-changelog(5): ` -- maintainer name <email>  date` ends each entry, the newest comes
first.
"""

from __future__ import annotations

import gzip
import os
from email.utils import parsedate_to_datetime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SIGNATURE = " -- "


def newest_change(documents: str) -> int:
    """Return when the youngest package was changed, in seconds since 1970; 0 if none says.

    Args: documents: a root's /usr/share/doc. Links are not followed: they lead to documents that
        are looked at anyway, or out of the root.
    """
    with os.scandir(documents) as packages:
        own = [package.path for package in packages if package.is_dir(follow_symlinks=False)]
    return max((_changed(path) for directory in own for path in _changelogs(directory)), default=0)


def _changelogs(directory: str) -> Iterator[str]:
    """Yield the packager's changelogs; the upstream author's has a name that others' have too."""
    names = os.listdir(directory)
    packagers = [name for name in names if name.startswith("changelog.Debian")]
    for name in packagers or [name for name in names if name == "changelog.gz"]:
        path = f"{directory}/{name}"
        if name.endswith(".gz") and not os.path.islink(path):
            yield path


def _changed(path: str) -> int:
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        return first_date(file)


def first_date(lines: Iterable[str]) -> int:
    """Return the date of a changelog's first entry, in seconds since 1970; 0 if it has none."""
    for line in lines:
        if line.startswith(_SIGNATURE):
            try:
                return int(parsedate_to_datetime(line.rpartition("  ")[2].strip()).timestamp())
            except ValueError:
                return 0
    return 0
