"""Debian's own kernels, fetched as packages and never installed.

The machine's apt fetches them, from the mirror that it has for its own release, with lists of its
own beside the machine's. What is kept of a package is the kernel and the few modules below.

Source: apt-get(8), "download"; sources.list(5); dpkg-deb(1), "--fsys-tarfile".
"""

import functools
import lzma
import os
import platform
import subprocess
import tarfile
import tempfile
import zlib
from pathlib import Path

from onggi.engine.bootstrap import host_apt
from support.repository import ROOT

KEPT = ROOT / ".venv" / "kernels"
PACKAGE = "linux-image-amd64"

# Each after those that it needs. What a kernel has built in, or not at all, is passed over.
MODULES = (
    *("virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci"),
    *("netfs", "fscache", "9pnet", "9pnet_virtio", "9p"),
    *("crc16", "crc32c_generic", "mbcache", "jbd2", "ext4"),
    *("overlay", "loop", "bfq", "virtio_blk"),
    # What criu asks about sockets, and of a network namespace.
    *("unix_diag", "inet_diag", "tcp_diag", "udp_diag", "raw_diag", "netlink_diag"),
    *("af_packet_diag", "veth", "tun", "libcrc32c", "nfnetlink", "nf_tables"),
    *("nf_defrag_ipv4", "nf_defrag_ipv6", "nf_conntrack", "nf_conntrack_netlink"),
)


class Kernel:
    """A kernel in a file, and the modules that go with it, in the order they are to be loaded."""

    def __init__(self, place: Path) -> None:
        self.image = place / "vmlinuz"
        self.modules = [place / f"{name}.ko" for name in MODULES if (place / f"{name}.ko").exists()]
        self.release = (place / "release").read_text()


def own_suite() -> str:
    """Name this machine's release of Debian, such as "bookworm"."""
    return platform.freedesktop_os_release()["VERSION_CODENAME"]


@functools.cache
def fetch(suite: str) -> Kernel:
    """Return the kernel of a release of Debian; the first time it is fetched.

    Raises: subprocess.CalledProcessError: apt has no such release or cannot reach it.
    """
    place = KEPT / f"{suite}-{zlib.crc32(repr(MODULES).encode()):08x}"
    if not place.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT) as work:
            made = Path(work, "kernel")
            made.mkdir()
            _unpack(_download(suite, Path(work)), made)
            os.rename(made, place)
    return Kernel(place)


def _download(suite: str, work: Path) -> Path:
    """Fetch the newest kernel package of a release into a directory."""
    (work / "sources").write_text(f"{_source(suite)}\n")
    for folder in ("lists/partial", "archives/partial"):
        (work / folder).mkdir(parents=True)
    options = {
        "APT::Sandbox::User": "root",  # the directory is nobody else's to write
        "Dir::Etc::SourceList": str(work / "sources"),
        "Dir::Etc::SourceParts": "-",
        "Dir::State::Lists": str(work / "lists"),
        "Dir::State::Status": "/dev/null",
        "Dir::Cache": str(work),
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    _run(["apt-get", *words, "-qq", "update"], work)
    listed = _run(["apt-cache", *words, "depends", "--important", PACKAGE], work)
    name = next(word for word in listed.split() if word.startswith("linux-image-") and "." in word)
    _run(["apt-get", *words, "-qq", "download", name], work)
    return next(work.glob("*.deb"))


def _source(suite: str) -> str:
    """Say where this machine would get a release, by where it gets its own."""
    own = own_suite()
    lines = host_apt.mirrors(suite) or host_apt.mirrors(own)
    assert lines, f"apt has no mirror of Debian's {own}"
    return lines[0].replace(f" {own} ", f" {suite} ")


def _run(words: list[str], work: Path) -> str:
    done = subprocess.run(words, cwd=work, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{words[0]} {words[-1]}: {done.stderr}"
    return done.stdout


def _unpack(package: Path, place: Path) -> None:
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for member in archive:
                _keep(archive, member, place)
    assert process.returncode == 0, f"{package} can't be unpacked"


def _keep(archive: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    """Keep a member of the package if it is one of those that are wanted, uncompressed."""
    name = os.path.basename(member.name)
    module, _, suffix = name.partition(".ko")
    file = archive.extractfile(member) if member.isfile() else None
    if file is None:
        return
    if name.startswith("vmlinuz-"):
        (place / "vmlinuz").write_bytes(file.read())
        (place / "release").write_text(name.removeprefix("vmlinuz-"))
    elif module in MODULES and suffix in ("", ".xz") and ".ko" in name:
        content = file.read()
        (place / f"{module}.ko").write_bytes(lzma.decompress(content) if suffix else content)
