"""What the README and the tutorial say to type is typed, and what they print is seen."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import Onggi
from support.documents import MARK, pieces, require_printed
from support.repository import COMMAND, ROOT
from support.requirements import requires

pytestmark = [
    requires("root", "overlayfs", "cgroup-memory", "cgroup-cpu", "mmdebstrap", "busybox"),
    pytest.mark.time_limit(300),
]

# The set-up is this test's own; and a page that waits for keys would wait for ever.
SKIPPED = ("make ", "alias ", "export PATH=")


def commands(document: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a document with the lines that it is said to print."""
    for block, piece in pieces(document, "# "):
        if " -it " in block:
            continue
        command, _, printed = piece.partition("\n")
        if end := re.search(r"<<'(\w+)'", command):
            body, _, printed = printed.partition(f"{end[1]}\n")
            command += f"\n{body}{end[1]}"
        if not command.startswith(SKIPPED):
            yield command.replace("| less", "| cat"), printed.splitlines()


DOCUMENTS = [
    "README.md",
    pytest.param("docs/tutorial.md", marks=requires("network")),
    "docs/how-to/see-what-a-container-could-do.md",
]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_print_what_the_document_says(document: str, onggi: Onggi, tmp_path: Path) -> None:
    told = list(commands(document))
    assert len(told) >= 6
    root = shlex.quote(str(onggi.root))
    script = f'onggi() {{ {shlex.quote(str(COMMAND))} --root {root} "$@"; }}\n'
    script += "".join(f"echo {shlex.quote(MARK)}\n{command}\n" for command, _ in told)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=280,
        check=False,
    )
    require_printed(told, done.stdout)


def test_the_python_of_the_readme_does_what_its_comment_says(onggi: Onggi) -> None:
    onggi("bootstrap", "busybox")
    blocks = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
    (code,) = blocks.findall((ROOT / "README.md").read_text())
    own = code.replace("Engine()", f"Engine({str(onggi.root)!r})")
    assert own != code
    done = subprocess.run(
        [sys.executable, "-c", own],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = re.findall(r"print\(.*\)  # (.*)$", code, re.MULTILINE)
    assert (done.stdout.split(), done.stderr) == (said, "")
