"""The standards' machine-readable files, where a machine has them.

They are published with their specifications and no part of the project: a folder with
oci-image/, oci-runtime/ and seccomp/, named by ONGGI_TEST_SPECIFICATIONS or lying beside the
checkout as shared/specs.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from support.repository import ROOT

FOLDER = Path(os.environ.get("ONGGI_TEST_SPECIFICATIONS", ROOT.parent / "shared" / "specs"))


def specification(name: str) -> Any:
    """Read one of the files, as JSON; without it the test is skipped."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"needs the published {name}")
    return json.loads(path.read_text())
