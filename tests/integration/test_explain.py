"""What `explain` prints makes the same container as `run`: the kernel is asked about both.

For each set of options a container is made by Onggi and one by `sh`, from the printed script alone.
Inside both, the same probe reads what the kernel says of it; what may differ by nature (IDs, device
numbers of fresh mounts, where the writable layer lies) is replaced, nothing else.
"""

import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import Onggi
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "cgroup-memory", "cgroup-cpu", "cgroup-pids", "busybox")

# Reads everything before it prints anything, so that a probe's own pipe changes nothing.
PROBE = """
echo "== mounts"; cat /proc/self/mountinfo
echo "== identity"; grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp)' /proc/1/status
echo "== cgroup"; cat /proc/1/cgroup
echo "== namespaces"; for n in cgroup ipc mnt net pid time user uts; do readlink /proc/1/ns/$n; done
echo "== limits"; cat /proc/1/limits; cat /proc/1/oom_score_adj; umask
echo "== values"; for f in cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpu/cpu.shares \
  cpuset/cpuset.cpus cpuset/cpuset.mems memory/memory.limit_in_bytes \
  memory/memory.soft_limit_in_bytes memory/memory.memsw.limit_in_bytes pids/pids.max \
  devices/devices.list blkio/blkio.throttle.read_bps_device cpu.max cpu.weight memory.max \
  pids.max; do
  [ ! -e /sys/fs/cgroup/$f ] || { echo "$f"; cat /sys/fs/cgroup/$f; }; done
echo "== names"; hostname; cat /proc/sys/kernel/domainname; cat /etc/hostname
echo "== environment"; tr '\\0' '\\n' < /proc/1/environ | sort
echo "== directory"; readlink /proc/1/cwd
echo "== devices"; ls -ln /dev
echo "== files"; ls -ld /*; ls /proc/1/fd
"""

OPTIONS: dict[str, list[str]] = {
    "plain": [],
    "half a processor and 64 MiB": ["--cpus", "0.5", "--memory", "64m"],
    "memory in every form": [
        *("--memory", "96m", "--memory-reservation", "32m", "--memory-swap", "128m"),
    ],
    "shares and processors": ["--cpu-shares", "512", "--cpuset-cpus", "0"],
    "quota and period": ["--cpu-period", "50000", "--cpu-quota", "20000"],
    "few processes": ["--pids-limit", "64"],
    "a user by number": ["--user", "1000:2000"],
    "a user by name": ["--user", "nobody"],
    "more groups": ["--user", "1000", "--group-add", "7", "--group-add", "8"],
    "read-only": ["--read-only"],
    "memory for files": ["--tmpfs", "/scratch:size=1m,mode=700", "--tmpfs", "/run"],
    "more capabilities": ["--cap-add", "SYS_PTRACE", "--cap-add", "NET_ADMIN"],
    "no capabilities": ["--cap-drop", "ALL"],
    "one capability": ["--cap-drop", "ALL", "--cap-add", "CHOWN"],
    "unfiltered": ["--security-opt", "seccomp=unconfined"],
    "may gain privileges": ["--security-opt", "no-new-privileges=false"],
    "the host's network": ["--network", "host"],
    "names": ["--hostname", "jar.example", "--domainname", "kiln"],
    "a directory": ["--workdir", "/srv/deep"],
    "odd environment": ["--env", 'A=it\'s "so" $HOME `x`', "--env", "B=", "--env", "x.y-z=1"],
    "limits": ["--ulimit", "nofile=512:1024", "--ulimit", "core=0"],
    "first to be killed": ["--oom-score-adj", "500"],
    "a larger shm": ["--shm-size", "8m"],
    "a device": ["--device", "/dev/null:/dev/nothing:rw"],
    "privileged": ["--privileged"],
}
GENERATED = 6
_CHOICES = random.Random(20261123)
_SINGLE = sorted(OPTIONS)
for number in range(GENERATED):
    chosen = _CHOICES.sample(_SINGLE, 3)
    OPTIONS[f"generated {number}: {', '.join(chosen)}"] = [
        word for name in chosen for word in OPTIONS[name]
    ]
OPTIONS = {
    name: words
    for name, words in OPTIONS.items()
    # Two words on one thing are a refusal, not a container.
    if not ("one capability" in name and "no capabilities" in name)
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Onggi]:
    root = Path("/dev/shm") / tmp_path_factory.mktemp("explain").name
    command = Onggi(root / "a store")
    root.mkdir()
    command("bootstrap", "busybox")
    yield command
    command("system", "reset", "--force")
    root.rmdir()


def by_script(text: str) -> str:
    done = subprocess.run(
        ["sh", "-c", text],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def normal(text: str, root: Path) -> str:
    """Replace what differs between any two containers."""
    place = re.escape(str(root).replace(" ", r"\040"))
    inside = re.escape(str(root).removeprefix("/dev/shm").replace(" ", r"\040"))
    text = re.sub(rf"({place}|{inside})/(containers|explained)/", "WRITABLE/", text)
    text = re.sub(r"[0-9a-f]{64}", "ID", text)
    text = re.sub(r"\b[0-9a-f]{12}\b", "ID12", text)
    text = re.sub(r"(?m)^\d+ \d+ \d+:\d+ ", "MOUNT ", text)  # mount, parent, device
    text = re.sub(r"\[\d+\]", "[INODE]", text)
    text = re.sub(r"(?m)^(dr-xr-xr-x) +\d+", r"\1 N", text)  # /proc: the host's processes count
    return re.sub(r"[A-Z][a-z]{2} +\d+ +[\d:]{4,5}", "DATE", text)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_script_makes_the_same_container(name: str, store: Onggi) -> None:
    words = [*OPTIONS[name], "busybox", "sh", "-c", PROBE]
    made = store("run", "--rm", *words).stdout
    explained = by_script(store("run", "--explain", "--rm", *words).stdout)
    assert normal(explained, store.root) == normal(made, store.root)


def test_namespaces_are_new_in_both(store: Onggi) -> None:
    words = ["busybox", "sh", "-c", "for n in /proc/1/ns/*; do readlink $n; done"]
    own = {str(path.readlink()) for path in Path("/proc/self/ns").iterdir()}
    for output in (
        store("run", "--rm", *words).stdout,
        by_script(store("run", "--explain", *words).stdout),
    ):
        shared = own & set(output.split())
        assert {link.split(":")[0] for link in shared} == {"user"}


def test_explaining_makes_nothing(store: Onggi) -> None:
    before = sorted(path for path in store.root.rglob("*") if "tmp" not in path.parts)
    store("run", "--explain", "-v", "data:/data", "busybox", "true")
    assert sorted(path for path in store.root.rglob("*") if "tmp" not in path.parts) == before


def test_a_container_that_exists_is_explained_too(store: Onggi) -> None:
    store("run", "--detach", "--name", "jar", "--memory", "64m", "busybox", "sleep", "100")
    try:
        script = store("explain", "jar").stdout
        assert "memory.limit_in_bytes" in script or "memory.max" in script
        assert subprocess.run(["sh", "-n", "-c", script], check=False).returncode == 0
    finally:
        store("rm", "--force", "jar")
