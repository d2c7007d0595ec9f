"""What docs/rootless.md says to type is typed, by an ordinary user, and what it prints is seen."""

import subprocess

from support.documents import MARK, pieces, require_printed
from support.ordinary import ordinary_user
from support.requirements import requires

pytestmark = requires(
    "root", "shared-python", "overlayfs", "user-namespaces", "newuidmap", "busybox"
)


def commands() -> list[tuple[str, list[str]]]:
    """Return each command of the document with the lines that it is said to print."""
    found = (piece.splitlines() for _, piece in pieces("docs/rootless.md", "$ "))
    return [(command, lines) for command, *lines in found]


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
    require_printed(told, done.stdout)
