"""What root inside a default container tries, and must fail at.

Each test names the advisory or the check-list that the attack is from.
"""

import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import Onggi, root_of_module
from support.requirements import requires
from support.threats import INSIDE, withstands

pytestmark = requires("root", "overlayfs", "busybox", "compiler")


@pytest.fixture(scope="module")
def jar() -> Iterator[Onggi]:
    root = root_of_module("inside")
    command = Onggi(root)
    command("bootstrap", "busybox")
    yield command
    command("system", "reset", "--force")


@withstands(
    "own program",
    "the program is /proc/self/exe",
    "a script's interpreter is /proc/self/exe",
    by=INSIDE,
)
def test_the_interpreter_cannot_be_executed_again(jar: Onggi, tmp_path: Path) -> None:
    # CVE-2019-5736: what /proc/self/exe leads to at that moment is no file of the host.
    script = tmp_path / "again"
    script.write_text("#!/proc/self/exe\nimport os\n")
    script.chmod(0o755)
    for words in (["/again"], ["/proc/self/exe"]):
        done = jar.attempt("run", "--rm", "-v", f"{script}:/again:ro", "busybox", *words)
        assert done.returncode != 0
        assert "python" not in (done.stdout + done.stderr).lower()


@withstands("own program", "/proc/1/exe or its maps lead to a file of the host", by=INSIDE)
def test_what_runs_shows_no_file_of_the_host(jar: Onggi) -> None:
    jar("run", "-d", "--init", "--name", "target", "busybox", "sleep", "600")
    try:
        script = "for p in /proc/[0-9]*; do readlink $p/exe; cat $p/maps; done"
        seen = jar("exec", "target", "sh", "-c", script).stdout
        assert "python" not in seen
        overwrite = jar.attempt("exec", "target", "sh", "-c", "echo x > /proc/1/exe")
        assert overwrite.returncode != 0
    finally:
        jar("rm", "-f", "target")


@pytest.mark.parametrize("number", range(3, 12))
@withstands(
    "descriptors", "a working directory of /proc/self/fd/N, by `run` and by `exec`", by=INSIDE
)
def test_no_descriptor_leads_out(jar: Onggi, number: int) -> None:
    # CVE-2024-21626
    done = jar.attempt("run", "--rm", "-w", f"/proc/self/fd/{number}", "busybox", "pwd")
    assert done.returncode != 0
    assert str(jar.root) not in done.stdout


TARGETS = {"/etc/hosts": "/../../../etc/shadow", "/dev": "/../../dev", "/proc": "/tmp/elsewhere"}


@pytest.mark.parametrize("target", TARGETS)
@withstands("targets", "a target that is a link in the image or a volume", by=INSIDE)
def test_targets_that_are_links_stay_inside(jar: Onggi, tmp_path: Path, target: str) -> None:
    # CVE-2021-30465, CVE-2023-27561, CVE-2025-31133
    before = Path("/etc/shadow").read_bytes(), sorted(os.listdir("/dev"))
    (tmp_path / "Dockerfile").write_text(
        f"FROM busybox\nRUN mv {target} /was 2>/dev/null; true\nCOPY link {target}\n"
    )
    (tmp_path / "link").symlink_to(TARGETS[target])
    built = jar.attempt("build", "-q", "-t", "hostile", str(tmp_path))
    if built.returncode == 0:
        jar.attempt("run", "--rm", "hostile", "sh", "-c", "echo x > /etc/hosts; touch /dev/x")
        jar("rmi", "-f", "hostile")
    assert (Path("/etc/shadow").read_bytes(), sorted(os.listdir("/dev"))) == before


LINKS = [
    {"proc": "dev/l", "dev/l": "/x"},
    {"proc": "sys/l", "sys/l": "/x"},
    {"proc": "/x"},
    {"sys": "dev/l", "dev/l": "/x"},
]


@pytest.mark.parametrize("links", LINKS)
@withstands("targets", "/proc or /sys is a link in the image", by=INSIDE)
def test_an_image_cannot_lead_procfs_away_from_its_masks(
    jar: Onggi, tmp_path: Path, links: dict[str, str]
) -> None:
    # A later mount would change where the link leads, and masks would find nothing to hide.
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        for name in ("bin", "dev", "sys", "x"):
            if name not in links:
                entry = tarfile.TarInfo(name)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
        for name, target in links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
        program = Path("/bin/busybox").read_bytes()
        entry = tarfile.TarInfo("bin/sh")
        entry.size, entry.mode = len(program), 0o755
        archive.addfile(entry, io.BytesIO(program))
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    jar("import", str(tmp_path / "evil.tar"), "evil")
    script = "echo pwned > /x/sys/kernel/core_pattern; echo pwned > /x/kernel/uevent_helper"
    done = jar.attempt("run", "--rm", "evil", "/bin/sh", "-c", script)
    assert done.returncode == 125
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before
    jar("rmi", "evil")


@withstands("descriptors", "the host's null device changed through standard streams", by=INSIDE)
def test_the_host_s_null_device_is_out_of_reach(jar: Onggi) -> None:
    mode = os.stat("/dev/null").st_mode
    jar.attempt("run", "--rm", "busybox", "chmod", "600", "/dev/stdin")
    jar("run", "-d", "--name", "nulls", "busybox", "sleep", "600")
    jar.attempt("exec", "nulls", "chmod", "600", "/dev/stdin")
    jar("rm", "-f", "nulls")
    assert os.stat("/dev/null").st_mode == mode


@withstands("descriptors", "files of the caller's written through standard streams", by=INSIDE)
def test_exec_hands_over_nothing_of_the_caller_s(jar: Onggi, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine\n")
    jar("run", "-d", "--name", "taker", "busybox", "sleep", "600")
    script = "echo theirs > /proc/self/fd/0; chmod 4777 /proc/self/fd/0; chmod 4777 /proc/self/fd/1"
    with mine.open("rb") as file, (tmp_path / "out").open("wb") as out:
        line = jar.line("exec", "-i", "taker", "sh", "-c", script)
        subprocess.run(line, stdin=file, stdout=out, timeout=60, check=False)
    jar("rm", "-f", "taker")
    assert mine.read_text() == "mine\n"
    assert not mine.stat().st_mode & stat.S_ISUID
    assert not (tmp_path / "out").stat().st_mode & stat.S_ISUID


@withstands("at once", "a store that others may write to")
def test_a_store_of_somebody_else_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    done = Onggi(tmp_path).attempt("ps")
    assert (done.returncode, "another user" in done.stderr) == (1, True)


@withstands(
    "procfs",
    "a file mounted over the one that is written",
    "a /proc that is no procfs, or a part of one",
    "a setting of the kernel's own, as a parameter of the container's",
    by=INSIDE,
)
def test_nothing_stands_in_for_procfs(jar: Onggi, tmp_path: Path) -> None:
    """CVE-2019-16884: an image that declares a volume there; CVE-2022-0811: a parameter of all."""
    (tmp_path / "Dockerfile").write_text("FROM busybox\nVOLUME /proc\n")
    jar("build", "-q", "-t", "fake", str(tmp_path))
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    parameter = f"kernel.core_pattern={before.strip()}"  # were it written, nothing would be worse
    for words in (
        ["fake"],
        ["--sysctl", parameter, "busybox"],
        ["-v", f"{tmp_path}:/proc", "busybox"],
    ):
        done = jar.attempt("run", "--rm", *words, "cat", "/proc/self/attr/exec")
        assert (done.returncode, done.stdout) in ((125, ""), (1, "")), done
    jar("rmi", "fake")
    script = (
        "mount -t tmpfs x /proc; mount -o bind /tmp /proc/self; ln -s /x /proc/y; stat -fc %t /proc"
    )
    assert jar.attempt("run", "--rm", "busybox", "sh", "-c", script).stdout == "9fa0\n"
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before
