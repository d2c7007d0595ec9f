"""The compiled default filter is read back, and only what is whole and of this version is."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from onggi.errors import Unsupported
from onggi.linux.capability import NUMBERS
from onggi.runtime.capabilities import DEFAULT
from onggi.runtime.seccomp import cache
from onggi.runtime.seccomp.compile import compile_filter
from onggi.runtime.seccomp.flags import filter_flags
from onggi.runtime.seccomp.profile import MACHINES, default_profile
from support.classic_bpf import Filter
from support.repository import ROOT
from support.seccomp_reading import ARCHITECTURES


def test_version_changes_with_what_is_compiled() -> None:
    digest = hashlib.sha256()
    for machine in MACHINES:
        for capabilities in ((), DEFAULT, *((name,) for name in NUMBERS)):
            for kernel in ((4, 7), (6, 1)):
                profile = default_profile(capabilities, machine, kernel)
                digest.update(compile_filter(profile, machine))
    assert digest.hexdigest()[:16] == cache.VERSION, "write this into cache.py"


def test_flags_are_those_of_the_default_profile() -> None:
    assert filter_flags(default_profile(DEFAULT)) == cache.FLAGS


def test_file_is_the_program_and_can_be_loaded_as_it_is(tmp_path: Path) -> None:
    path = cache.filter_file(DEFAULT, str(tmp_path), machine="x86_64", release="6.1.0-13")
    content = Path(path).read_bytes()
    program = compile_filter(default_profile(DEFAULT, "x86_64", (6, 1)))
    assert content.startswith(program)
    judge = Filter(content)
    assert len(program) // 8 < len(judge) < len(program) // 8 + 20
    assert judge.answer(ARCHITECTURES["x86_64"], 0) == 0x7FFF0000


def test_what_the_filter_depends_on_is_in_the_key(tmp_path: Path) -> None:
    directory = str(tmp_path)
    paths = {
        cache.filter_file(DEFAULT, directory, machine="x86_64", release="6.1.0-13"),
        cache.filter_file(DEFAULT, directory, machine="x86_64", release="6.2.0"),
        cache.filter_file(DEFAULT, directory, machine="aarch64", release="6.1.0-13"),
        cache.filter_file((), directory, machine="x86_64", release="6.1.0-13"),
    }
    assert len(paths) == 4
    again = cache.filter_file(reversed(DEFAULT), directory, machine="x86_64", release="6.1.7")
    assert again in paths
    assert sorted(map(str, tmp_path.iterdir())) == sorted(paths)


def test_only_the_owner_can_read_and_write(tmp_path: Path) -> None:
    path = Path(cache.filter_file(DEFAULT, str(tmp_path / "new" / "cache")))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "damage",
    [b"", b"\x06\0\0\0", b"cut", b"\x06\0\0\0\0\0\xff\x7f"],
    ids=["empty", "half an instruction", "text", "another program"],
)
def test_damaged_files_are_written_anew(tmp_path: Path, damage: bytes) -> None:
    path = Path(cache.filter_file(DEFAULT, str(tmp_path)))
    whole = path.read_bytes()
    path.write_bytes(damage)
    assert Path(cache.filter_file(DEFAULT, str(tmp_path))).read_bytes() == whole
    path.write_bytes(whole[:-8])
    assert Path(cache.filter_file(DEFAULT, str(tmp_path))).read_bytes() == whole
    assert os.listdir(tmp_path) == [path.name]


def test_a_file_under_another_name_is_not_believed(tmp_path: Path) -> None:
    weak = Path(cache.filter_file(tuple(NUMBERS), str(tmp_path)))
    strict = Path(cache.filter_file((), str(tmp_path)))
    expected = strict.read_bytes()
    strict.write_bytes(weak.read_bytes())
    assert Path(cache.filter_file((), str(tmp_path))).read_bytes() == expected


def test_unknown_machines_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="'vax'"):
        cache.filter_file((), str(tmp_path), machine="vax")
    assert os.listdir(tmp_path) == []


LIST_MODULES = """
import sys
from onggi.runtime.seccomp import cache
before = set(sys.modules)
cache.filter_file(("CAP_CHOWN",), sys.argv[1])
print(*sorted(m for m in sys.modules if m.startswith("onggi.")))
"""


def test_a_hit_imports_neither_profile_nor_compiler(tmp_path: Path) -> None:
    cache.filter_file(("CAP_CHOWN",), str(tmp_path))
    ended = subprocess.run(
        [sys.executable, "-c", LIST_MODULES, str(tmp_path)],
        env={"PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(ended.stdout.split())
    assert "onggi.runtime.seccomp.cache" in loaded
    modules = ("compile", "profile", "default", "rules", "program")
    assert not loaded & {f"onggi.runtime.seccomp.{name}" for name in modules}
    assert "onggi.linux.syscall_table" not in loaded
