"""Base images from packages: the same packages give the same image, wherever and whenever."""

import os
from pathlib import Path

import pytest

from support.command import Onggi
from support.requirements import requires

pytestmark = [
    requires("root", "overlayfs", "mmdebstrap", "busybox"),
    pytest.mark.time_limit(400),
]


def digest(onggi: Onggi, image: str) -> str:
    return onggi("images", "--no-trunc", "--format", "{{.Digest}} {{.ID}}", image).stdout.strip()


def bootstrapped(onggi: Onggi, suite: str, monkeypatch: pytest.MonkeyPatch, **odd: str) -> str:
    """Make a base image as somebody with other habits would; return what it is."""
    for name, value in odd.items():
        monkeypatch.setenv(name, value)
    before = os.umask(int(odd.get("UMASK", "022"), 8))
    try:
        onggi("bootstrap", "--quiet", suite, timeout=180)
    finally:
        os.umask(before)
    return digest(onggi, suite)


FETCHED = pytest.param("debian:bookworm", marks=requires("network"))


@pytest.mark.parametrize("suite", ["busybox", FETCHED])
def test_the_same_packages_give_the_same_digest(
    suite: str, onggi: Onggi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = bootstrapped(onggi, suite, monkeypatch)
    other = Onggi(onggi.root / "other")
    assert first.startswith("sha256:")
    try:
        odd = {"TZ": "Asia/Seoul", "LC_ALL": "C", "HOME": str(tmp_path), "UMASK": "077"}
        assert bootstrapped(other, suite, monkeypatch, **odd) == first
    finally:
        other("system", "reset", "--force")


def test_what_cannot_be_installed_is_told_and_leaves_nothing(onggi: Onggi) -> None:
    done = onggi.attempt("bootstrap", "--quiet", "debian:nosuchsuite", timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("onggi: cannot make debian:nosuchsuite: ")
    assert done.stderr.count("\n") == 1
    assert "apt-get update --error-on" not in done.stderr
    assert onggi("images", "--quiet").stdout == ""
    assert list((onggi.root / "tmp").iterdir()) == []
