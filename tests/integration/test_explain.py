"""What `explain` prints makes the same container as `run`: the kernel is asked about both.

Each set of options is tried twice, by Onggi and by `sh` from the printed script alone, and what is
seen inside and outside is compared; see support/twins.py.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import Onggi, root_of_module
from support.requirements import requires
from support.twins import Seen, Twins, host_mounts

pytestmark = requires("root", "overlayfs", "cgroup-memory", "cgroup-cpu", "cgroup-pids", "busybox")

OPTIONS: dict[str, list[str]] = {
    "plain": [],
    "half a processor and 64 MiB": ["--cpus", "0.5", "--memory", "64m"],
    # Docker's least is 6m, in which the programs that a script calls do not always have room.
    "little memory": ["--memory", "8m", "--memory-swap", "8m"],
    "memory in every form": [
        *("--memory", "96m", "--memory-reservation", "32m", "--memory-swap", "128m"),
    ],
    "shares and processors": ["--cpu-shares", "512", "--cpuset-cpus", "0"],
    "quota and period": ["--cpu-period", "50000", "--cpu-quota", "20000"],
    "few processes": ["--pids-limit", "8"],
    "a user by number": ["--user", "1000:2000"],
    "a user by name": ["--user", "nobody"],
    "more groups": ["--user", "1000", "--group-add", "7", "--group-add", "8"],
    "read-only": ["--read-only", "--workdir", "/tmp"],
    "memory for files": [
        *("--tmpfs", "/scratch:size=1m,mode=700", "--tmpfs", "/run:noexec", "--tmpfs", "/srv:ro"),
    ],
    "directories of the host": [
        *("-v", "/sys/kernel:/kernel:ro", "-v", "/proc/tty:/tty:rslave"),
        *("-v", "/dev/zero:/srv/one/file:ro"),
    ],
    "a volume": ["-v", "kept:/data", "-v", "kept:/frozen:ro", "-v", "/anonymous"],
    "more capabilities": ["--cap-add", "SYS_PTRACE", "--cap-add", "NET_ADMIN"],
    "no capabilities": ["--cap-drop", "ALL"],
    "one capability": ["--cap-drop", "ALL", "--cap-add", "CHOWN"],
    "unfiltered": ["--security-opt", "seccomp=unconfined"],
    "may gain privileges": ["--security-opt", "no-new-privileges=false"],
    "may gain privileges, unfiltered": [
        *("--security-opt", "no-new-privileges=false", "--security-opt", "seccomp=unconfined"),
        *("--user", "1000"),
    ],
    "the host's network": ["--network", "host"],
    "names": ["--hostname", "jar.example", "--domainname", "kiln"],
    "a directory": ["--workdir", "/srv/deep"],
    "odd environment": [
        *("--env", 'A=it\'s "so" $HOME `x` \\n', "--env", "B=", "--env", "x.y-z=1"),
        *("--env", "LINES=one\nINSIDE\nFIRST\n", "--env", "jar=옹기", "--env", "-u=HOME"),
    ],
    "limits": ["--ulimit", "nofile=512:1024", "--ulimit", "core=0", "--ulimit", "fsize=100000"],
    "first to be killed": ["--oom-score-adj", "500"],
    "a larger shm": ["--shm-size", "8m"],
    "a device": ["--device", "/dev/null:/dev/deep/nothing:rw"],
    "privileged": ["--privileged"],
    "privileged, read-only": ["--privileged", "--read-only", "--network", "host"],
    "an init": ["--init"],
    "an init that may gain privileges": ["--init", "--security-opt", "no-new-privileges=false"],
    "an init of a user": ["--init", "--user", "1000", "--cap-drop", "ALL"],
    "an entry point": ["--entrypoint", "/bin/sh"],
}

# With users of its own: what the host's root must do beforehand, and what the container's may.
MAPPED: dict[str, list[str]] = {
    "plain": [],
    "a user and groups": ["--user", "1000:2000", "--group-add", "7"],
    "volumes": ["-v", "kept:/data", "-v", "kept:/frozen:ro", "-v", "/anonymous"],
    "directories of the host": ["-v", "/sys/kernel:/kernel:ro", "-v", "/proc/tty:/tty:rslave"],
    "read-only": ["--read-only", "--tmpfs", "/scratch:size=1m,mode=700"],
    "a device": ["--device", "/dev/null:/dev/deep/nothing:rw", "--device", "/dev/zero:/dev/full"],
    "volumes that are filled": ["-v", "/etc", "-v", "filled:/root:ro"],
    "limits of a process": [
        *("--ulimit", "nofile=64:128", "--ulimit", "fsize=100000", "--oom-score-adj", "500"),
    ],
    "limits": ["--memory", "64m", "--cpus", "0.5", "--pids-limit", "50"],
    "names": ["--hostname", "jar.example", "--domainname", "kiln"],
    "an init of a user": ["--init", "--user", "1000", "--cap-drop", "ALL"],
    "may gain privileges": ["--security-opt", "no-new-privileges=false"],
    "unfiltered": ["--security-opt", "seccomp=unconfined", "--cap-add", "SYS_ADMIN"],
    "odd environment": ["--env", 'A=it\'s "so" $HOME `x` \\n', "--workdir", "/srv/a b"],
}


def disk() -> list[str]:
    """Return limits on the first disk that the machine has."""
    for name in sorted(os.listdir("/sys/block")):
        if Path("/dev", name).is_block_device():
            return [f"--device-read-bps=/dev/{name}:1mb", f"--device-write-iops=/dev/{name}:100"]
    return []


def generated(seed: int) -> list[str]:
    """Return a few options with values, the same for the same seed."""
    draw = random.Random(seed)
    text = "".join(draw.choices("ab $`'\"\\\n;&|<>*?~#(){}[]!%=é\t", k=draw.randrange(1, 40)))
    choices = [
        [f"--memory={draw.randrange(16, 512)}m"],
        [f"--cpus={draw.randrange(1, 100) / 100}"],
        [f"--cpu-shares={draw.randrange(2, 5000)}"],
        [f"--pids-limit={draw.randrange(20, 5000)}"],
        [f"--oom-score-adj={draw.randrange(0, 1001)}"],
        [f"--shm-size={draw.randrange(1, 99)}m"],
        [f"--ulimit=nofile={draw.randrange(64, 100)}:{draw.randrange(100, 9999)}"],
        [f"--user={draw.randrange(0, 70000)}:{draw.randrange(0, 70000)}"],
        [f"--group-add={draw.randrange(0, 70000)}"],
        [f"--env=NAME={text}", f"--env={draw.choice('aB_.-9')}x={text[::-1]}"],
        [f"--workdir=/{draw.choice(('srv', 'a b', 'new/deep', 'tmp', 'jar'))}"],
        [f"--tmpfs=/{draw.choice(('run', 'new'))}:size={draw.randrange(1, 9)}m,mode=711"],
        [f"--volume=vol{draw.randrange(3)}:/{draw.choice(('v', 'a b/v'))}"],
        [f"--cap-add={draw.choice(('SYS_ADMIN', 'NET_ADMIN', 'SYS_TIME', 'ALL'))}"],
        [f"--cap-drop={draw.choice(('MKNOD', 'CHOWN', 'SETUID', 'NET_RAW'))}"],
        ["--security-opt=no-new-privileges=false"],
        ["--security-opt=seccomp=unconfined"],
        ["--read-only"],
        ["--init"],
        [f"--hostname={draw.choice(('a', 'jar.example', 'x' * 60))}"],
        ["--network=host"],
        disk(),
    ]
    return [word for words in draw.sample(choices, draw.randrange(3, 8)) for word in words]


@pytest.fixture(scope="module")
def store() -> Iterator[Onggi]:
    root = root_of_module("explain")
    root.mkdir()
    command = Onggi(root / "a store")
    command("bootstrap", "busybox")
    yield command
    command("system", "reset", "--force")
    root.rmdir()


@pytest.fixture
def twins(store: Onggi) -> Iterator[Twins]:
    before = host_mounts()
    pair = Twins(store)
    yield pair
    assert not pair.cgroups()
    pair.remove_parent()
    assert host_mounts() == before


def compare(twins: Twins, options: list[str]) -> Seen:
    mine, its = twins.by_onggi(options), twins.by_script(options)
    assert mine.differences(its) == {}
    assert mine.code == its.code == 0
    return its


@pytest.mark.parametrize("name", OPTIONS)
def test_the_script_makes_the_same_container(name: str, twins: Twins) -> None:
    compare(twins, OPTIONS[name])


@pytest.mark.parametrize("seed", range(12))
def test_so_it_does_with_whatever_options(seed: int, twins: Twins) -> None:
    compare(twins, generated(seed))


@requires("user-namespaces", "idmapped-mounts")
@pytest.mark.parametrize("name", MAPPED)
def test_so_it_does_with_users_of_its_own(name: str, twins: Twins) -> None:
    seen = compare(twins, ["--userns", "auto", *MAPPED[name]])
    assert "user new" in seen.inside["namespaces"]


@requires("user-namespaces", "idmapped-mounts")
@pytest.mark.parametrize("seed", range(100, 106))
def test_and_with_whatever_options_beside(seed: int, twins: Twins) -> None:
    options = [word for word in generated(seed) if word != "--network=host"]
    compare(twins, ["--userns", "auto", *options])


def test_the_limits_of_a_disk_are_the_same(twins: Twins) -> None:
    if not disk():
        pytest.skip("there is no disk to limit")
    compare(twins, disk())


def test_the_probe_sees_what_it_should(twins: Twins) -> None:
    seen = compare(twins, ["--memory", "64m", "--hostname", "jar"])
    assert seen.inside["names"].startswith("jar\n")
    assert "user shared" in seen.inside["namespaces"]
    assert seen.inside["namespaces"].count("shared") == 1
    assert seen.inside["descriptors"].split() == ["0", "1", "2"] * 2
    assert seen.inside["process"].split()[:3] == ["0", "own", "own"]
    assert str(64 << 20) in {value.strip() for value in seen.outside.values()}
    assert {value for name, value in seen.outside.items() if "processes" in name} == {"1"}


def test_both_are_alike_whoever_starts_them(twins: Twins) -> None:
    twins.umask = 0o077
    assert "Umask:\t0022" in compare(twins, ["--user", "1000", "-v", "new:/v"]).inside["status"]


def test_both_keep_to_themselves_where_mounts_are_shared(twins: Twins) -> None:
    shared = 'mount --make-rshared /; exec "$@"'
    twins.around = ("unshare", "--mount", "--propagation", "unchanged", "sh", "-c", shared, "sh")
    seen = compare(twins, ["-v", "kept:/data", "--network", "host"])
    assert "shared" not in seen.inside["mounts"]
    assert "master" not in seen.inside["mounts"]


@pytest.mark.parametrize("name", ["plain", "odd environment", "an init that may gain privileges"])
def test_bash_understands_it_too(name: str, twins: Twins, tmp_path: Path) -> None:
    with_bash(twins, tmp_path)
    compare(twins, OPTIONS[name])


@requires("user-namespaces", "idmapped-mounts")
@pytest.mark.parametrize("name", ["volumes", "limits of a process", "an init of a user"])
def test_and_that_with_users_of_its_own(name: str, twins: Twins, tmp_path: Path) -> None:
    with_bash(twins, tmp_path)
    compare(twins, ["--userns", "auto", *MAPPED[name]])


def with_bash(twins: Twins, place: Path) -> None:
    (place / "sh").symlink_to("/bin/bash")
    twins.shell = ("env", f"PATH={place}:{os.environ['PATH']}", "bash")


def test_explaining_makes_nothing(store: Onggi) -> None:
    before = sorted(path for path in store.root.rglob("*") if "tmp" not in path.parts)
    store("run", "--explain", "-v", "data:/data", "busybox", "true")
    assert sorted(path for path in store.root.rglob("*") if "tmp" not in path.parts) == before
