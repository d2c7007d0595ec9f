"""What docs/rootless.md says to type is typed, by an ordinary user, and what it prints is seen."""

import re
import subprocess

from support.ordinary import ordinary_user
from support.repository import ROOT
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "user-namespaces", "newuidmap", "busybox")

MARK = "-- what follows is of the next command --"


def commands() -> list[tuple[str, list[str]]]:
    """Return each command of the document with the lines that it is said to print."""
    text = (ROOT / "docs/rootless.md").read_text()
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    pieces = [
        piece for block in blocks for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    ]
    return [(command, lines) for command, *lines in (piece.splitlines() for piece in pieces)]


def test_commands_print_what_the_document_says() -> None:
    told = commands()
    assert len(told) >= 10
    script = "".join(f"echo '{MARK}'\n{command}\n" for command, _ in told)
    with ordinary_user() as user:
        done = subprocess.run(
            user.as_user("sh", "-c", script),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
            check=False,
        )
    outputs = done.stdout.split(f"{MARK}\n")[1:]
    assert len(outputs) == len(told), done.stdout
    for (command, lines), output in zip(told, outputs, strict=True):
        assert set(lines) <= set(output.splitlines()), f"{command}\nprinted\n{output}"
        assert "bug of ours" not in output
