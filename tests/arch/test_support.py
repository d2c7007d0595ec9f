"""The tables of where it works say what runs of the tests saw, no more."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from support import record
from support.repository import ROOT

RUN = """
import sys, pytest
from pathlib import Path
from support.record import Recorder
here = Path.cwd()
words = ["-q", "-c", "/dev/null", "-p", "no:cacheprovider", "--rootdir", str(here), *sys.argv[1:]]
pytest.main(words, plugins=[Recorder(here / "records", here)])
"""

MIXED = """
import pytest

def test_passes():
    pass

def test_fails():
    assert False

def test_is_skipped():
    pytest.skip("needs more")

@pytest.fixture
def leaving():
    yield
    raise RuntimeError

def test_passes_and_leaves_something(leaving):
    pass
"""


def recorded(place: Path, *words: str) -> dict[str, dict[str, object]]:
    """Run pytest on files of tests and return what was recorded, without times and commits."""
    source = [str(ROOT / "src"), str(ROOT / "tests")]
    environment = os.environ | {"PYTHONPATH": ":".join(source), record.COMMIT: "0123456789"}
    command = [sys.executable, "-c", RUN, *words]
    subprocess.run(command, cwd=place, env=environment, capture_output=True, timeout=60, check=True)
    files = list(place.glob("records/*.json"))
    tests = json.loads(files[0].read_text())["tests"] if files else {}
    keys = ("passed", "failed", "skipped")
    return {name: {key: entry[key] for key in keys} for name, entry in tests.items()}


def test_the_documents_say_what_the_records_say() -> None:
    script = ROOT / "scripts" / "support"
    done = subprocess.run([sys.executable, script, "--check"], check=False, timeout=60)
    assert done.returncode == 0, "README.md or docs/support.md is out of date: make support"


def test_places_stand_in_one_order_wherever_a_directory_lists_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "support"))
    expected = script["records"]()
    listed = sorted(Path.glob(ROOT / "docs" / "support", "*.json"))
    for names in (listed, listed[::-1]):
        monkeypatch.setattr(Path, "glob", lambda *_, names=names: iter(names))
        assert script["records"]() == expected


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("", "Linux 6.1, emulated, Debian 12"),
        ("cgroup_disable=pids", "Linux 6.1, emulated, Debian 12, with cgroup_disable=pids"),
        ("a=1 b=2", "Linux 6.1, emulated, Debian 12, with a=1 b=2"),
        ("a=1 overlay.ko", "Linux 6.1, emulated, Debian 12, with a=1, without overlay.ko"),
    ],
)
def test_a_module_that_was_taken_away_is_told_from_a_word_of_the_boot(
    without: str, said: str
) -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "support"))
    place = {"kernel": "6.1", "emulated": "emulated", "system": "Debian 12", "without": without}
    assert script["where"](place) == said


def test_each_way_to_end_is_counted(tmp_path: Path) -> None:
    (tmp_path / "test_mixed.py").write_text(MIXED)
    counted = {"passed": 1, "failed": 2, "skipped": {"needs more": 1}}
    assert recorded(tmp_path) == {"test_mixed.py": counted}


def test_a_file_of_which_a_part_ran_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "test_mixed.py").write_text(MIXED)
    assert recorded(tmp_path, "-k", "passes") == {}
    assert recorded(tmp_path, "-x") == {}


def test_a_test_that_was_asked_for_by_name_is_entered_by_it(tmp_path: Path) -> None:
    (tmp_path / "test_mixed.py").write_text(MIXED)
    name = "test_mixed.py::test_passes"
    assert recorded(tmp_path, name) == {name: {"passed": 1, "failed": 0, "skipped": {}}}


def test_a_later_run_replaces_what_it_repeats_and_what_is_gone(tmp_path: Path) -> None:
    """Entries are of this checkout's tests, so these are entered by names of such."""
    here = str(Path(__file__).relative_to(ROOT))
    other = "tests/arch/test_linters.py"
    where = record.place()
    record.merge(tmp_path, where, {here: {"failed": 1}, other: {"failed": 2}, "gone.py": {}})
    record.merge(tmp_path, where, {here: {"failed": 0}})
    (file,) = tmp_path.iterdir()
    assert json.loads(file.read_text()) == {
        "place": where,
        "tests": {other: {"failed": 2}, here: {"failed": 0}},
    }


def test_no_python_is_declared_that_was_not_tried() -> None:
    declared = re.findall(
        r"Programming Language :: Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text()
    )
    read = [json.loads(path.read_text()) for path in (ROOT / "docs" / "support").glob("*.json")]
    assert set(declared) == {one["place"]["python"] for one in read}
