"""What a container can use up, and whom it can reach beside itself."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from onggi.runtime import log
from onggi.runtime.monitor import Monitor
from support.attackers import CONNECT
from support.box import Box
from support.logs import files
from support.patience import SLOWER
from support.programs import compiled, said
from support.requirements import requires
from support.threats import INSIDE, withstands

pytestmark = requires("root", "overlayfs", "busybox", "compiler")


@withstands("exhaustion", "processes, by default", by=INSIDE)
def test_processes_are_bounded_by_default(box: Box) -> None:
    shown = box.sh("cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; true")
    assert shown == "2048"


@withstands("exhaustion", "/dev and /dev/shm", by=INSIDE)
@pytest.mark.parametrize("place", ["/dev", "/dev/shm"])
def test_memory_behind_device_files_is_bounded(box: Box, place: str) -> None:
    script = f"dd if=/dev/zero of={place}/x bs=1M count=70 2>&1; du -m {place}/x"
    shown = box.sh(script)
    assert "No space left" in shown
    assert int(shown.splitlines()[-1].split()[0]) <= 64


@withstands("exhaustion", "the log")
def test_a_log_never_takes_more_than_its_share(root_dir: Path) -> None:
    writer = log.LogWriter(str(root_dir))
    piece = b"x" * 65535 + b"\n"
    for _ in range(1800):  # 118 MB
        writer.write(b"stdout", piece)
    sizes = [os.path.getsize(path) for path in files(str(root_dir))]
    assert sum(sizes) <= (log.OLDER_FILES + 1) * (log.MOST_BYTES + len(piece))
    assert len(sizes) == log.OLDER_FILES + 1
    # An entry costs more than the byte that it carries; it is counted with its cost.
    before = sum(sizes)
    for _ in range(50_000):
        writer.write(b"stderr", b"x")
    os.close(writer._fd)
    after = sum(os.path.getsize(path) for path in files(str(root_dir)))
    assert after <= max(before, (log.OLDER_FILES + 1) * (log.MOST_BYTES + len(piece)))


@withstands("exhaustion", "an endless writer that stays when its container ends")
@pytest.mark.time_limit(20)
def test_the_last_reading_comes_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a real writer keeps up with the reader is a matter of luck; this one always does."""
    reads = []

    def read(_self: Monitor, fd: int) -> bool:
        reads.append(fd)
        return True

    monkeypatch.setattr(Monitor, "_read", read)
    monitor = Monitor.__new__(Monitor)
    with open("/dev/zero", "rb") as endless:
        monitor._outputs = {endless.fileno(): (b"stdout", b"")}
        monitor._drain()
    assert 0 < len(reads) < 1000


# Gives its standard output to another container, by a socket in a volume, and ends; the other
# writes to it for ever.
HANDED_ON = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(int argc, char **argv) {
    struct sockaddr_un address = {AF_UNIX, "/v/socket"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    char byte, control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec piece = {&byte, 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1,
        .msg_control = control, .msg_controllen = sizeof control};
    if (argc > 1) {
        while (connect(fd, (struct sockaddr *)&address, sizeof address)) usleep(1000);
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int));
        *(int *)CMSG_DATA(rights) = 1;
        sendmsg(fd, &message, 0);
        usleep(300000);
        return 0;
    }
    bind(fd, (struct sockaddr *)&address, sizeof address);
    listen(fd, 1);
    int peer = accept(fd, 0, 0);
    recvmsg(peer, &message, 0);
    int out = *(int *)CMSG_DATA(CMSG_FIRSTHDR(&message));
    static char noise[65536];
    fcntl(out, F_SETPIPE_SZ, 1 << 20);  /* so that it is never found empty */
    fork(); fork();
    while (write(out, noise, sizeof noise) > 0);
    return 0;
}
"""


@withstands("exhaustion", "an endless writer that stays when its container ends", by=INSIDE)
def test_an_endless_writer_does_not_keep_its_container_alive(box: Box, tmp_path: Path) -> None:
    program = compiled(HANDED_ON, tmp_path)
    options = ("-v", f"{program}:/hand:ro", "-v", "shared:/v")
    box.up(*options, command=("/hand",))
    container = box.up(*options, command=("/hand", "on"))
    box("wait", container, timeout=30)
    assert box.see(container, ".State.Status") == "exited"
    with box.engine() as engine:  # something did come through
        assert sum(map(os.path.getsize, files(f"{engine.store.root}/containers/{container}")))


@withstands("neighbours", "abstract sockets of the host's", by=INSIDE)
def test_abstract_sockets_of_the_host_are_not_there(box: Box, tmp_path: Path) -> None:
    program = compiled(CONNECT, tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        name = f"onggi-test-{os.getpid()}"
        listener.bind(f"\0{name}")
        listener.listen()
        here = subprocess.run([program, name], capture_output=True, text=True, check=True)
        assert said(here.stdout) == {"connect": "SUCCEEDED"}
        shown = box("run", "--rm", "-v", f"{program}:/c:ro", "busybox", "/c", name).stdout
    assert said(shown) == {"connect": "Connection refused"}


@withstands("neighbours", "the host's loopback", by=INSIDE)
def test_the_loopback_of_the_host_is_another(box: Box) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert "refused" in box.sh(f"nc -w 2 127.0.0.1 {port} </dev/null 2>&1 || echo refused")


@withstands("neighbours", "processes of the host's and of other containers signalled", by=INSIDE)
def test_only_processes_of_its_own_are_seen_and_signalled(box: Box) -> None:
    other = box.up()
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        pids = f"{bystander.pid} {box.pid(other)} {os.getpid()}"
        script = f"for p in {pids}; do [ $p -gt 60 ] && kill -9 $p && echo $p; done 2>/dev/null; "
        assert box.sh(f"{script} kill -9 -1; ls /proc | grep -c '^[0-9]'") in ("2", "3", "4")
        assert bystander.poll() is None
        assert box.see(other, ".State.Status") == "running"
    finally:
        bystander.send_signal(signal.SIGKILL)
        bystander.wait()


@withstands(
    "neighbours", "what is mounted below the host's /sys, with the host's network", by=INSIDE
)
@pytest.mark.parametrize("options", [(), ("--privileged",)])
def test_mounts_below_the_host_s_sys_stay_outside(box: Box, options: tuple[str, ...]) -> None:
    words = ["run", "--rm", "--network", "host", *options, "busybox"]
    script = "cat /sys/module/secret; cat /proc/self/mountinfo | grep -c ' /sys/module '"
    mounted = 'mount -t tmpfs secret /sys/module && echo SECRET > /sys/module/secret; exec "$@"'
    line = ["unshare", "-m", "sh", "-ec", mounted, "sh", *box.line(*words, "sh", "-c", script)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "0", done


@withstands(
    "neighbours", "the store and the run directory opened by other users of the host", by=INSIDE
)
def test_others_on_the_host_reach_neither_layers_nor_pipes(box: Box) -> None:
    """CVE-2021-41091: set-user-ID programs of an image must not be there for users of the host."""
    container = box.up()
    stack = {os.path.dirname(path) for path in _files_of(box, container)}
    assert stack
    os.chmod(box.root, 0o755)  # as an administrator may have made it
    reached = [path for path in stack if _reached_by_nobody(path)]
    assert reached == []


def _files_of(box: Box, container: str) -> list[str]:
    """List a few files of the store, and the run directory's, by their paths on the host."""
    found = [
        os.path.join(folder, name)
        for folder, _, names in os.walk(box.root)
        for name in names[:2]
        if "/fs/" in f"{folder}/" or container in folder
    ]
    with box.engine() as engine:
        run = f"{engine.store.run}/{container}"
    return [*found[:200], *(f"{run}/{name}" for name in os.listdir(run))]


def _reached_by_nobody(directory: str) -> bool:
    line = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "ls", directory]
    return (
        subprocess.run(line, capture_output=True, timeout=10 * SLOWER, check=False).returncode == 0
    )


KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "time", "uts")


@withstands("neighbours", "a namespace that is the host's, or another container's", by=INSIDE)
@pytest.mark.parametrize("verb", ["run", "exec"])
def test_every_namespace_is_its_own(box: Box, verb: str) -> None:
    script = (
        f"for k in {' '.join(KINDS)}; do readlink /proc/self/ns/$k; done; cat /proc/self/cgroup"
    )
    other = box.up()
    shown = box.inside(box.up(), script) if verb == "exec" else box.sh(script)
    own, groups = shown.split()[: len(KINDS)], shown.split()[len(KINDS) :]
    hosts = {os.readlink(f"/proc/self/ns/{kind}") for kind in KINDS}
    assert len(own) == len(KINDS)
    assert not hosts.intersection(own)
    assert not set(own).intersection(box.inside(other, script).split())
    assert {line.split(":")[2] for line in groups} == {"/"}
