"""Where published specifications lie, for tests that compare with them.

They are not part of the project. ONGGI_SPECIFICATIONS names their folder; without it, they are
looked for in `shared/specs` beside the checkout. A test that finds none is skipped: then only the
project's own copy of the facts is checked, against nobody else's.
"""

import os
from pathlib import Path

import pytest

from support.repository import ROOT


def folder() -> Path:
    """Return where published files are looked for."""
    beside = ROOT.parent / "shared" / "specs"
    return Path(os.environ.get("ONGGI_SPECIFICATIONS", beside))


def find_specification(name: str) -> Path | None:
    """Return the path of a published file such as "seccomp/default.json", if it is at hand."""
    path = folder() / name
    return path if path.exists() else None


def specification(name: str) -> Path:
    """Return the path of a published file, or skip the test, or the module that asks for it."""
    path = find_specification(name)
    if path is None:
        reason = f"the published {name} is not at hand; set ONGGI_SPECIFICATIONS"
        pytest.skip(reason, allow_module_level=True)
    return path
