"""--chmod and --chown: numbers, symbols, names looked up inside the image."""

import os
from pathlib import Path

import pytest

from onggi.build.errors import BuildError
from onggi.build.ownership import Permissions, resolve_owner
from onggi.linux.fd import Fd
from onggi.linux.path import Inside

CHMOD = [
    ("755", 0o644, False, 0o755),
    ("0", 0o644, False, 0o000),
    ("4755", 0o644, False, 0o4755),
    ("u+x", 0o644, False, 0o744),
    ("+x", 0o644, False, 0o755),
    ("a-w", 0o666, False, 0o444),
    ("go-rwx", 0o777, False, 0o700),
    ("u=rw,go=r", 0o777, False, 0o644),
    ("u=rwX,go=rX", 0o600, False, 0o644),
    ("u=rwX,go=rX", 0o700, False, 0o755),
    ("u=rwX,go=rX", 0o600, True, 0o755),
    ("g=u", 0o740, False, 0o770),
    ("o=", 0o777, False, 0o770),
    ("u+s", 0o755, False, 0o4755),
    ("g+s", 0o755, True, 0o2755),
    ("+t", 0o777, True, 0o1777),
    ("u+r-w", 0o200, False, 0o400),
]


@pytest.mark.parametrize(("text", "before", "is_directory", "after"), CHMOD)
def test_chmod(text: str, before: int, is_directory: bool, after: int) -> None:
    assert Permissions(text).apply(before, is_directory) == after


@pytest.mark.parametrize("text", ["888", "10000", "7x", "u", "u+z", "z+x", "u+x,", "+"])
def test_bad_chmod(text: str) -> None:
    if text == "+":
        assert Permissions(text).apply(0o644, False) == 0o644
        return
    with pytest.raises(BuildError, match="invalid chmod parameter"):
        Permissions(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:/\napp:x:1000:1001::/:/\nbad:x:y:z::/:/\n")
    (tmp_path / "etc/group").write_text("root:x:0:\nstaff:x:50:\n")
    return tmp_path


def owner(root: Path, text: str) -> tuple[int, int]:
    with Fd(os.open(root, os.O_RDONLY)) as directory:
        return resolve_owner(text, Inside(directory.fileno()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("app", (1000, 1001)),
        ("app:staff", (1000, 50)),
        ("app:7", (1000, 7)),
        ("5", (5, 5)),
        ("5:6", (5, 6)),
        ("5:staff", (5, 50)),
        (":staff", (0, 50)),
        ("app:", (1000, 1001)),
    ],
)
def test_owner(root: Path, text: str, expected: tuple[int, int]) -> None:
    assert owner(root, text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nobody", "unable to find user nobody"),
        ("app:nogroup", "unable to find group nogroup"),
        ("4294967295", "user and group numbers go from 0"),
        ("bad", "user and group numbers go from 0"),
    ],
)
def test_bad_owner(root: Path, text: str, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        owner(root, text)


def test_the_tables_are_read_inside_the_root(root: Path) -> None:
    (root / "etc/passwd").unlink()
    (root / "etc/passwd").symlink_to("/outside")
    with pytest.raises(BuildError):
        owner(root, "root-of-the-host")
