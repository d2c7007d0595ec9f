"""What documents say to type, and what they say is printed then."""

import re
from collections.abc import Iterator

from support.repository import ROOT

MARK = "-- what follows is of the next command --"

Told = list[tuple[str, list[str]]]


def pieces(document: str, prompt: str) -> Iterator[tuple[str, str]]:
    """Yield each console block of a document, and each piece of it that begins with a prompt."""
    text = (ROOT / document).read_text()
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for piece in re.split(rf"^{re.escape(prompt)}", block, flags=re.MULTILINE)[1:]:
            yield block, piece


def require_printed(told: Told, output: str) -> None:
    """Demand that each command has printed what is told, in `output`, cut by MARK before each."""
    outputs = output.split(f"{MARK}\n")[1:]
    assert len(outputs) == len(told), output
    for (command, lines), printed in zip(told, outputs, strict=True):
        assert set(lines) <= set(printed.splitlines()), f"{command}\nprinted\n{printed}"
        assert "bug of ours" not in printed
        assert "unknown command" not in printed
