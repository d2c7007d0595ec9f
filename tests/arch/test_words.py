"""Words that must not stand in the project: promises instead of work, and private places."""

import re
import subprocess

import pytest

from support.repository import ROOT

PROMISES = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
# Homes of people, and wherever this checkout happens to lie.
PLACES = re.compile(rf"(?<!\w)/(root|home)/(?!\.)\w+/|(?<!\w){re.escape(str(ROOT))}(?!\w)")
THIS_FILE = "tests/arch/test_words.py"


def tracked_files() -> list[str]:
    done = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    return [name for name in done.stdout.splitlines() if name != THIS_FILE]


@pytest.mark.parametrize("words", [PROMISES, PLACES], ids=["promises", "places"])
def test_words_that_must_not_be_there(words: re.Pattern[str]) -> None:
    found = [
        f"{name}:{number}: {line.strip()}"
        for name in tracked_files()
        if (ROOT / name).is_file()
        for number, line in enumerate(text_of(name).splitlines(), start=1)
        if words.search(line)
    ]
    assert not found, "\n".join(found)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(errors="replace")
