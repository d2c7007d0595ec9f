"""Small C programs that attack from inside; they are compiled where the test runs."""

import subprocess
from pathlib import Path

from support.patience import SLOWER

# For how many seconds a program goes on that nobody stops: PATIENCE to the program.
PATIENCE = round(60 * SLOWER)


def compiled(source: str, place: Path, *words: str) -> Path:
    """Compile `source` to a static program in the directory `place`; return its path.

    It is no PIE, so that its addresses fit into the 32 bits of old calls.
    """
    program = place / "program"
    options = ["-static", "-no-pie", "-O1", f"-DPATIENCE={PATIENCE}"]
    subprocess.run(
        ["gcc", *options, "-x", "c", "-", "-o", program, *words],
        input=source,
        text=True,
        check=True,
        capture_output=True,
    )
    return program


def said(output: str) -> dict[str, str]:
    """Read the lines `name result` that such a program prints; a name may hold no space."""
    return dict(line.split(" ", 1) for line in output.splitlines() if " " in line)
