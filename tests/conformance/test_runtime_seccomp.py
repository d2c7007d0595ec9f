"""Filters that ask: a program of the host's answers for calls of the container's."""

import array
import fcntl
import json
import os
import shlex
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from support.oci_runtimes import Json, OciRuntime
from support.patience import SLOWER
from support.requirements import requires

pytestmark = requires("root", "busybox")

# <linux/seccomp.h>: struct seccomp_notif and seccomp_notif_resp, and the ioctls that take them.
NOTIF = struct.Struct("=QII iIQ6Q")
RESPONSE = struct.Struct("=QqiI")
RECEIVE = 0xC0502100
SEND = 0xC0182101
ENOMEDIUM = 123


def asking(path: Path, **more: object) -> Json:
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "listenerPath": str(path),
        "listenerMetadata": "who knows",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}],
        **more,
    }


def listen(path: Path) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(1)
    server.settimeout(20)
    return server


def receive(server: socket.socket) -> tuple[Json, int]:
    """Return the document and the descriptor that come to a socket."""
    connection, _ = server.accept()
    with connection:
        text, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(4 * 8))
        fds = array.array("i")
        for _, _, data in ancillary:
            fds.frombytes(data)
    document: Json = json.loads(text)
    return document, fds[document["fds"].index("seccompFd")]


def answer(listener: int, error: int) -> str:
    """Refuse the next call with an errno; return what the kernel told of who made it."""
    question = bytearray(NOTIF.size)
    fcntl.ioctl(listener, RECEIVE, question)
    number, pid, *_ = NOTIF.unpack(question)
    status = Path("/proc", str(pid), "status").read_text()
    fcntl.ioctl(listener, SEND, RESPONSE.pack(number, 0, -error, 0))
    return status


@pytest.mark.parametrize("restricted", [True, False])
def test_somebody_answers(runtime: OciRuntime, root_dir: Path, restricted: bool) -> None:
    name, path = runtime.identifier(), root_dir / "agent"

    def change(config: Json) -> None:
        config["linux"]["seccomp"] = asking(path)
        config["process"]["noNewPrivileges"] = restricted

    bundle = runtime.bundle(name, "sh", "-c", "busybox mkdir /x 2> /tmp/said", change=change)
    with listen(path) as server:
        runtime.create(name, bundle)
        pid = runtime.state(name)["pid"]
        runtime("start", name)
        document, listener = receive(server)
        try:
            answer(listener, ENOMEDIUM)
        finally:
            os.close(listener)
    runtime.wait_until(name, "stopped")
    assert "No medium found" in (bundle / "rootfs/tmp/said").read_text()
    assert document["metadata"] == "who knows"
    assert document["pid"] == document["state"]["pid"] == pid
    assert document["state"]["id"] == name


@pytest.mark.parametrize("tty", [False, True], ids=["plain", "tty"])
def test_somebody_answers_for_what_exec_runs(
    runtime: OciRuntime, root_dir: Path, tty: bool
) -> None:
    name, path = runtime.identifier(), root_dir / "agent"
    bundle = runtime.bundle(
        name, "true", change=lambda config: config["linux"].update(seccomp=asking(path))
    )
    script = "busybox mkdir /x 2> /tmp/said; exit 7"
    line = runtime.line("exec", *(["--tty"] if tty else []), name, "sh", "-c", script)
    if tty:
        line = ["script", "-qec", shlex.join(line), "/dev/null"]
    with listen(path) as server:
        runtime.create(name, bundle)  # of which runc tells now, and we when it starts
        with subprocess.Popen(line, stdin=subprocess.DEVNULL) as entered:
            document, listener = receive(server)
            if document["state"]["status"] != "running":
                os.close(listener)
                document, listener = receive(server)
            try:
                status = answer(listener, ENOMEDIUM)
            finally:
                os.close(listener)
            assert entered.wait(timeout=20 * SLOWER) == 7
    assert "No medium found" in (bundle / "rootfs/tmp/said").read_text()
    assert document["state"]["pid"] == runtime.state(name)["pid"]
    assert document["state"]["status"] == "running"
    assert f"\nPPid:\t{document['pid']}\n" in status


def test_nobody_answers_for_what_exec_runs(runtime: OciRuntime, root_dir: Path) -> None:
    name, path = runtime.identifier(), root_dir / "nobody"
    bundle = runtime.bundle(
        name, "true", change=lambda config: config["linux"].update(seccomp=asking(path))
    )
    with listen(path):
        runtime.create(name, bundle)
    path.unlink()
    done = runtime.attempt("exec", name, "sleep", "100")
    assert done.returncode == 255
    assert str(path) in done.stderr or "no such file" in done.stderr


def test_calls_on_the_way_are_asked_about_too(ours: OciRuntime, root_dir: Path) -> None:
    """Where a PID could come too late for whoever is to answer, that of the usher comes."""
    name, path = ours.identifier(), root_dir / "agent"
    rule = {"names": ["clone"], "action": "SCMP_ACT_NOTIFY"}
    seccomp = asking(path, syscalls=[rule])
    bundle = ours.bundle(
        name, "true", change=lambda config: config["linux"].update(seccomp=seccomp)
    )
    ours.create(name, bundle)
    line = ours.line("exec", name, "echo", "ran")
    with listen(path) as server, subprocess.Popen(line, stdout=subprocess.PIPE) as entered:
        assert entered.stdout is not None
        _, listener = receive(server)
        try:
            answer(listener, ENOMEDIUM)
        finally:
            os.close(listener)
        assert entered.wait(timeout=20 * SLOWER) == 255  # it could not be born, and nobody hangs


def test_nobody_answers(runtime: OciRuntime, root_dir: Path) -> None:
    done = runtime.run(
        "true",
        change=lambda config: config["linux"].update(seccomp=asking(root_dir / "nobody")),
    )
    assert done.returncode == 1
    assert str(root_dir / "nobody") in done.stderr or "no such file" in done.stderr
    assert not runtime.remains(runtime.made[-1])


@pytest.mark.parametrize(
    "change",
    [
        {"listenerPath": ""},
        {"defaultAction": "SCMP_ACT_NOTIFY"},
        {"syscalls": [{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}]},
    ],
    ids=str,
)
def test_questions_that_cannot_be_asked(runtime: OciRuntime, root_dir: Path, change: Json) -> None:
    seccomp = asking(root_dir / "nobody") | change
    done = runtime.run("true", change=lambda config: config["linux"].update(seccomp=seccomp))
    assert done.returncode == 1
    assert done.stderr.count("level=error") == 1
