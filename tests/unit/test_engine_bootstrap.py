"""Base images: which there are, where Debian's packages come from, and of when they are."""

import io
import struct
from pathlib import Path

import pytest

from onggi.engine.bootstrap import debian, host_apt
from onggi.engine.bootstrap.base import find_root
from onggi.engine.bootstrap.changelogs import first_date, newest_change
from onggi.engine.bootstrap.debian import DebianRoot
from onggi.engine.bootstrap.elf import is_static
from onggi.engine.bootstrap.failure import BootstrapFailed
from onggi.errors import InvalidInput


def test_sources_of_images() -> None:
    assert find_root("debian:bookworm").name == "debian:bookworm"
    assert find_root("debian:trixie", ["curl"]).origin == "debian:trixie --include curl"
    assert (find_root("busybox").name, find_root("busybox").shell) == ("busybox:latest", "sh")


@pytest.mark.parametrize("source", ["", "alpine", "ubuntu:noble", "busybox:1.36", "debian-x:a"])
def test_unknown_sources(source: str) -> None:
    with pytest.raises(InvalidInput, match="debian:SUITE or busybox"):
        find_root(source)


@pytest.mark.parametrize(
    ("suite", "include"),
    [("", []), ("-x", []), ("a b", []), ("../x", []), ("sid", ["--help"]), ("sid", [""])],
)
def test_suites_and_packages_are_no_options(suite: str, include: list[str]) -> None:
    with pytest.raises(InvalidInput, match="no Debian suite or package"):
        DebianRoot(suite, include)


SAID_OF_AN_UNKNOWN_SUITE = """\
I: running apt-get update...
Err:2 http://mirror.example/debian nosuch Release
E: The repository 'http://mirror.example/debian nosuch Release' does not have a Release file.
E: apt-get update --error-on=any -oAPT::Status-Fd=<$fd> -oDpkg::Use-Pty=false failed
I: main() received signal PIPE: waiting for setup...
E: mmdebstrap failed to run
"""


def test_a_failure_is_told_by_its_cause() -> None:
    script = f"cat <<'END'\n{SAID_OF_AN_UNKNOWN_SUITE}END\nexit 1"
    said: list[str] = []
    with pytest.raises(BootstrapFailed, match="nosuch Release' does not have a Release file"):
        debian._install("debian:nosuch", ["sh", "-c", script], [], said.append)
    assert said[0] == "running apt-get update..."


def test_busybox_includes_nothing() -> None:
    with pytest.raises(InvalidInput, match="no further packages"):
        find_root("busybox", ["curl"])


ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb http://mirror.example/debian bookworm main contrib # here
deb [arch=amd64 signed-by=/usr/share/keyrings/other.gpg] http://other.example bookworm main
deb-src http://mirror.example/debian bookworm main
deb http://flat.example ./
nonsense
"""
STANZAS = """\
Types: deb deb-src
# a comment
URIs: http://user:secret@near.example/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main non-free
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://near.example/security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://inline.example/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
"""


def test_lines_of_sources() -> None:
    found = list(host_apt.parse_lines(ONE_LINE))
    assert [one.uris for one in found] == [
        ("http://mirror.example/debian",),
        ("http://other.example",),
    ]
    assert [one.is_debian() for one in found] == [True, False]
    assert found[0].components == ("main", "contrib")


def test_stanzas_of_sources() -> None:
    found = list(host_apt.parse_stanzas(STANZAS))
    assert [one.suites[0] for one in found] == ["bookworm", "bookworm-security", "bookworm"]
    assert [one.is_debian() for one in found] == [True, True, False]


def test_mirrors_of_this_host(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(ONE_LINE)
    folder = tmp_path / "sources.list.d"
    folder.mkdir()
    (folder / "debian.sources").write_text(STANZAS)
    key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
    near = "http://user:secret@near.example/debian"
    assert host_apt.mirrors("bookworm", str(tmp_path)) == [
        f"deb {key}{near} bookworm main",
        f"deb {key}{near} bookworm-updates main",
        "deb http://near.example/security bookworm-security main",
    ]


def test_a_suite_that_the_host_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://m.example trixie-security main\n")
    assert host_apt.mirrors("trixie", str(tmp_path)) == []
    assert host_apt.mirrors("sid", str(tmp_path / "nowhere")) == []


def test_an_image_names_debians_own_archive() -> None:
    text = debian.sources("bookworm")
    assert "Suites: bookworm bookworm-updates\n" in text
    assert "URIs: http://deb.debian.org/debian-security\nSuites: bookworm-security\n" in text
    assert [one.suites for one in host_apt.parse_stanzas(debian.sources("sid"))] == [("sid",)]


CHANGELOG = """\
hello (2.10-3) unstable; urgency=medium

  * New.

 -- A Maintainer <a@example.org>  Mon, 26 Dec 2022 16:30:00 +0100

hello (2.10-2) unstable; urgency=medium

 -- A Maintainer <a@example.org>  Tue, 26 Dec 2032 16:30:00 +0100
"""
DATE = 1672068600


def test_the_date_of_a_changelog() -> None:
    assert first_date(CHANGELOG.splitlines()) == DATE
    assert first_date([" -- nobody  never"]) == 0
    assert first_date([]) == 0


def test_the_newest_change(tmp_path: Path) -> None:
    import gzip

    younger = CHANGELOG.replace("2022", "2024")
    upstream = CHANGELOG.replace("2022", "2030")
    files = {
        "old/changelog.Debian.gz": CHANGELOG,
        "old/changelog.gz": upstream,
        "young/changelog.Debian.amd64.gz": younger,
        "native/changelog.gz": CHANGELOG,
        "empty/copyright": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    (tmp_path / "linked").symlink_to("/nonexistent")
    assert newest_change(str(tmp_path)) == first_date(younger.splitlines())


def test_what_is_of_the_host_or_the_day_is_taken_out(tmp_path: Path) -> None:
    removed = [
        *("etc/passwd-", "etc/apt/apt.conf.d/99mmdebstrap", "etc/apt/sources.list.d/a.sources"),
        *("var/log/apt/history.log", "var/cache/ldconfig/aux-cache", "var/lib/apt/lists/x/Release"),
        *("var/lib/dpkg/status-old", "dev/null", "tmp/x", "run/x"),
    ]
    kept = ["etc/passwd", "etc/apt/apt.conf.d/70debconf", "var/lib/dpkg/status", "run/lock/x"]
    for name in [*removed, *kept, "etc/machine-id", "etc/hostname"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "etc/resolv.conf").symlink_to("/run/nowhere/resolv.conf")
    debian.clean(str(tmp_path))
    assert [name for name in removed if (tmp_path / name).exists()] == []
    assert [name for name in kept if not (tmp_path / name).exists()] == []
    for name in ("machine-id", "hostname", "hosts", "resolv.conf"):
        assert (tmp_path / "etc" / name).read_text() == ""
        assert not (tmp_path / "etc" / name).is_symlink()


def program(*kinds: int) -> bytes:
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    fields = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, len(kinds), 0, 0, 0)
    return header + fields + b"".join(struct.pack("<IIQQQQQQ", kind, *[0] * 7) for kind in kinds)


def test_static_programs() -> None:
    load, dynamic, interpreter = 1, 2, 3
    assert is_static(io.BytesIO(program(load, load)))
    assert is_static(io.BytesIO(program(load, dynamic)))  # position-independent, and static
    assert not is_static(io.BytesIO(program(load, interpreter, dynamic)))
    assert not is_static(io.BytesIO(program(load, load)[:-1]))
    assert not is_static(io.BytesIO(b"#!/bin/sh\n"))
    assert not is_static(io.BytesIO(b""))
