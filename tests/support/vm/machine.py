"""A machine of our own, emulated, that boots some kernel and runs some of these tests as root.

It has this machine's files, read-only, and memory for what is written; an empty disk, /dev/vda; no
network but loopback; cgroup v2 alone, with nothing in it and no controller passed on. Temporary
files lie on a disk with ext4. It needs no hardware virtualization, so everything takes about ten
times as long as it does outside.
"""

import os
import shlex
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from support import record, specifications
from support.repository import ROOT
from support.vm.initramfs import initramfs
from support.vm.kernels import Kernel

MEMORY_MIB = 2048
EMPTY_BYTES = 16 << 20
FILES_BYTES = 1 << 30
EMULATOR = "qemu-system-x86_64"
# How often a machine that works says so, and for how long one that says nothing may still do so.
BEAT_SECONDS = 5
SILENT_SECONDS = 180
# Whatever this machine promises of itself, the other one promises this.
MUST_HAVE = "root,busybox,cgroup2"


class Hung(AssertionError):
    """A machine does nothing any more, not even what no test has to do with."""


def run_tests(
    kernel: Kernel,
    selection: list[str],
    *,
    seconds: float,
    must_have: str = MUST_HAVE,
    boot: tuple[str, ...] = (),
    without: tuple[str, ...] = (),
) -> None:
    """Boot a machine, run a selection of tests in it, and hold that all of them passed.

    One that hangs says nothing of what is tested, so another is booted then, once.

    Args:
        selection: words for pytest, from the top of the checkout.
        seconds: how long all of it may take.
        must_have: what a test inside may not be skipped for want of.
        boot: more words for the kernel's command line.
        without: modules that are not loaded.
    """
    lacking = " ".join([*boot, *(f"{name}.ko" for name in without)])
    script = _script(selection, must_have, lacking)
    image = initramfs(kernel, without)
    try:
        _attempt(kernel, script, image, boot, seconds)
    except Hung as error:
        sys.stderr.write(f"{error}\nAnother one is booted.\n")
        _attempt(kernel, script, image, boot, seconds)


def _attempt(
    kernel: Kernel, script: str, image: bytes, boot: tuple[str, ...], seconds: float
) -> None:
    with tempfile.TemporaryDirectory(prefix="job-") as work:
        job = Path(work)
        (job / "job").write_text(script)
        (job / "initramfs").write_bytes(image)
        _make_disks(job)
        try:
            run(kernel, job, boot, seconds)
        finally:
            if directory := os.environ.get(record.DIRECTORY):
                record.merge_all(job / "record", Path(directory).absolute())
        _judge(job)


def _make_disks(job: Path) -> None:
    for name, size in (("vda", EMPTY_BYTES), ("vdb", FILES_BYTES)):
        with (job / name).open("wb") as disk:
            disk.truncate(size)
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", job / "vdb"], timeout=60, check=True)


def run(kernel: Kernel, job: Path, boot: tuple[str, ...], seconds: float) -> None:
    """Boot a machine that does what `job` says and then turns itself off.

    Args: job: a directory with a script "job", an "initramfs" and two disks; the machine writes
        its "log" there and what else the script wants, the kernel what it says to "console".
    Raises: AssertionError: it has not turned itself off in time, and was ended; Hung: nor does it
        do anything else.
    """
    command = [EMULATOR, *_hardware(job), *_software(kernel, job, boot)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as machine:
        try:
            wait(machine, job, seconds)
        finally:
            machine.kill()
    assert machine.returncode == 0, f"{EMULATOR} ended with {machine.returncode}"


def wait(machine: subprocess.Popen[bytes], job: Path, seconds: float) -> None:
    """Wait for the end of a machine that says every now and then that it works, in "beat".

    Raises: AssertionError: it has not ended in time; Hung: it has not said so for too long.
    """
    deadline = time.monotonic() + seconds
    while machine.poll() is None:
        assert time.monotonic() < deadline, f"not done in {seconds} s:\n{_end_of(job)}"
        beat = job / "beat"
        if beat.exists() and time.time() - beat.stat().st_mtime > SILENT_SECONDS:
            raise Hung(f"the emulated machine hung:\n{_end_of(job)}")
        time.sleep(0.2)


def _script(selection: list[str], must_have: str, lacking: str) -> str:
    words = ["-p", "no:cacheprovider", "--junitxml=/run/job/report.xml", *selection]
    return f"""
(while :; do : > /run/job/beat; sleep {BEAT_SECONDS}; done) &
export PATH={os.environ["PATH"]} HOME=/tmp LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
export HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis  # the checkout is read-only
export ONGGI_TEST_ALONE=1 ONGGI_TEST_SLOWER=10 ONGGI_TEST_MUST_HAVE={shlex.quote(must_have)}
export {record.DIRECTORY}=/run/job/record {record.COMMIT}={record.commit()}
export ONGGI_SPECIFICATIONS={shlex.quote(str(specifications.folder()))}
export {record.EMULATED}=emulated {record.WITHOUT}={shlex.quote(lacking)}
cd {shlex.quote(str(ROOT))} && .venv/bin/python -m pytest {shlex.join(words)}
"""


def _hardware(job: Path) -> list[str]:
    shares = [("root", Path("/"), True), ("checkout", ROOT, True), ("job", job, False)]
    words = ["-machine", "q35", "-accel", "tcg,thread=multi", "-smp", "2", "-m", str(MEMORY_MIB)]
    words += ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-nic", "none"]
    for name, path, readonly in shares:
        options = f"path={path},security_model=none,multidevs=remap" + ",readonly=on" * readonly
        words += ["-fsdev", f"local,id={name},{options}"]
        words += ["-device", f"virtio-9p-pci,fsdev={name},mount_tag={name}"]
    for name in ("vda", "vdb"):
        words += ["-drive", f"if=none,id={name},format=raw,file={job / name}"]
        words += ["-device", f"virtio-blk-pci,drive={name}"]
    return words


def _software(kernel: Kernel, job: Path, boot: tuple[str, ...]) -> list[str]:
    words = ["console=ttyS0", "quiet", "panic=-1", f"job.checkout={ROOT}", *boot]
    # An emulated timer is late when this machine is busy, and Linux takes it for a broken one.
    words.append("no_timer_check")
    return [
        *("-kernel", str(kernel.image), "-initrd", str(job / "initramfs")),
        *("-append", " ".join(words), "-serial", f"file:{job / 'console'}"),
    ]


def _judge(job: Path) -> None:
    """Hold that tests ran, and that each passed, but for those that need what is not there."""
    report = job / "report.xml"
    assert report.exists(), f"no test ran:\n{_end_of(job)}"
    cases = list(ElementTree.parse(report).iter("testcase"))
    wrong = [said for case in cases for said in _wrong(case)]
    assert not wrong, "\n\n".join(wrong)
    assert [case for case in cases if case.find("skipped") is None], f"no test ran:\n{_end_of(job)}"


def _wrong(case: ElementTree.Element) -> list[str]:
    """Say what was wrong with a test."""
    name = f"{case.get('classname')}::{case.get('name')}"
    said = [part for part in case if part.tag in ("failure", "error")]
    return [f"{name}: {part.tag}: {part.text or part.get('message')}" for part in said]


def _end_of(job: Path) -> str:
    """Return the last words of the kernel and of the tests."""
    files = [path for path in (job / "console", job / "log") if path.exists()]
    return "\n".join(path.read_text(errors="replace")[-3000:] for path in files)
