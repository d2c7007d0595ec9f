"""The configuration, member by member: what it asks for is what a program finds inside."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from support.oci_runtimes import Json, OciRuntime, inside, mapped, processes_of, without
from support.requirements import requires

pytestmark = requires("root", "busybox")


def status(said: str, name: str) -> str:
    """Return a line of /proc/PID/status."""
    found = re.search(rf"^{name}:\s*(.*)$", said, re.MULTILINE)
    assert found, said
    return found[1]


def test_users_and_groups(runtime: OciRuntime) -> None:
    user = {"uid": 7, "gid": 8, "umask": 0o027, "additionalGids": [9, 10]}
    said = inside(runtime, "sh", "-c", "umask; cat /proc/self/status", process={"user": user})
    assert said.splitlines()[0] == "0027"
    assert status(said, "Uid").split() == ["7"] * 4
    assert status(said, "Gid").split() == ["8"] * 4
    assert set(status(said, "Groups").split()) == {"9", "10"}


def test_capabilities_in_five_sets(runtime: OciRuntime) -> None:
    sets = {
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"],
        "effective": ["CAP_CHOWN", "CAP_KILL"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "inheritable": ["CAP_KILL"],
        "ambient": ["CAP_KILL"],
    }
    said = inside(
        runtime, "cat", "/proc/self/status", process={"capabilities": sets, "user": {"uid": 5}}
    )
    assert int(status(said, "CapBnd"), 16) == 1 | 1 << 5 | 1 << 7
    assert int(status(said, "CapInh"), 16) == 1 << 5
    assert int(status(said, "CapAmb"), 16) == 1 << 5
    # A user other than root keeps what is ambient when it executes a program.
    assert int(status(said, "CapEff"), 16) == 1 << 5


def test_unknown_capabilities_are_warned_of(runtime: OciRuntime) -> None:
    sets = {key: ["CAP_KILL", "CAP_NOPE"] for key in ("bounding", "effective", "permitted")}
    done = runtime.run("true", change=lambda config: config["process"].update(capabilities=sets))
    assert done.returncode == 0
    assert "CAP_NOPE" in done.stderr


@pytest.mark.parametrize("value", [True, False])
def test_no_new_privileges(runtime: OciRuntime, value: bool) -> None:
    said = inside(runtime, "cat", "/proc/self/status", process={"noNewPrivileges": value})
    assert status(said, "NoNewPrivs") == str(int(value))


def test_limits_of_the_process(runtime: OciRuntime) -> None:
    limits = [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 2**64 - 1},
    ]
    said = inside(runtime, "cat", "/proc/self/limits", process={"rlimits": limits})
    assert re.search(r"Max open files\s+100\s+200", said)
    assert re.search(r"Max core file size\s+0\s+unlimited", said)


def test_out_of_memory_score(runtime: OciRuntime) -> None:
    assert inside(runtime, "cat", "/proc/self/oom_score_adj", process={"oomScoreAdj": 77}) == "77\n"


def test_directory_and_environment(runtime: OciRuntime) -> None:
    process = {"cwd": "/made/for/it", "env": ["PATH=/bin", "A=b=c", "EMPTY="]}
    said = inside(runtime, "sh", "-c", "pwd; env", process=process)
    lines = said.splitlines()
    assert lines[0] == "/made/for/it"
    assert {"A=b=c", "EMPTY="} <= set(lines)


@pytest.mark.parametrize(
    ("passwd", "uid", "home"),
    [("some:x:5:5::/home/some:/bin/sh\n", 5, "/home/some"), ("", 5, "/"), ("", 0, "/root|/")],
)
def test_home_is_looked_up(runtime: OciRuntime, passwd: str, uid: int, home: str) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(
        name,
        "sh",
        "-c",
        "echo $HOME",
        change=lambda config: config["process"].update(user={"uid": uid, "gid": 0}),
    )
    (bundle / "rootfs/etc/passwd").write_text(passwd)
    done = runtime("run", "--bundle", bundle, name)
    assert done.stdout.strip() in home.split("|")


def test_names(runtime: OciRuntime) -> None:
    said = inside(runtime, "cat", "/proc/sys/kernel/hostname", config={"hostname": "pot"})
    assert said == "pot\n"


def test_domain_name(ours: OciRuntime) -> None:  # runc knows it since 1.2
    said = inside(ours, "cat", "/proc/sys/kernel/domainname", config={"domainname": "kiln"})
    assert said == "kiln\n"


def test_kernel_parameters(runtime: OciRuntime) -> None:
    sysctl = {"net.ipv4.ip_forward": "1", "kernel.shmmax": "12345"}
    files = ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/shmmax"]
    assert inside(runtime, "cat", *files, linux={"sysctl": sysctl}) == "1\n12345\n"


@pytest.mark.parametrize(
    ("name", "shared"),
    [("kernel.panic", ""), ("vm.swappiness", ""), ("net.ipv4.ip_forward", "network"), ("x", "")],
)
def test_parameters_of_the_host_are_refused(runtime: OciRuntime, name: str, shared: str) -> None:
    def change(config: Json) -> None:
        config["linux"]["sysctl"] = {name: "1"}
        if shared:
            without(config, shared)

    done = runtime.run("true", change=change)
    assert done.returncode == 1
    assert name in done.stderr


def test_devices(runtime: OciRuntime) -> None:
    def change(config: Json) -> None:
        config["linux"]["devices"] = [
            {"path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o620, "gid": 3},
            {"path": "/dev/pipe", "type": "p", "fileMode": 0o600},
            {"path": "/dev/disk", "type": "b", "major": 7, "minor": 99},
        ]

    done = runtime.run(
        "stat", "-c", "%n %F %t:%T %a %g", "/dev/mine", "/dev/pipe", "/dev/null", change=change
    )
    assert done.stdout.splitlines() == [
        "/dev/mine character special file 1:5 620 3",
        "/dev/pipe fifo 0:0 600 0",
        "/dev/null character special file 1:3 666 0",
    ]


def test_device_rules(runtime: OciRuntime) -> None:
    nodes = [
        {"path": f"/dev/d{minor}", "type": "c", "major": 1, "minor": minor} for minor in (2, 4)
    ]
    rules = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 1, "minor": 2, "access": "r"},
    ]
    linux = {"devices": nodes, "resources": {"devices": rules}}
    # 1:2 is /dev/kmem, which kernels lack: ENXIO says that the rule let it pass.
    script = (
        "for d in d2 d4; do busybox head -c1 /dev/$d 2>&1; done; head -c1 /dev/zero >/dev/null; :"
    )
    said = inside(runtime, "sh", "-c", script, linux=linux)
    assert re.search(r"d2.*No such device", said)
    assert re.search(r"d4.*Operation not permitted", said)


def test_the_links_in_dev(runtime: OciRuntime) -> None:
    said = inside(runtime, "sh", "-c", "for l in fd stdin ptmx; do busybox readlink /dev/$l; done")
    assert said.split() in (
        ["/proc/self/fd", "/proc/self/fd/0", "pts/ptmx"],
        ["/proc/self/fd", "/proc/self/fd/0", "/dev/pts/ptmx"],
    )


def test_seccomp(runtime: OciRuntime) -> None:
    seccomp = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95},
            {
                "names": ["kill"],
                "action": "SCMP_ACT_ERRNO",
                "errnoRet": 71,
                "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}],
            },
        ],
    }
    script = "busybox mkdir /x; kill -10 $$; kill -0 $$ && cat /proc/self/status"
    for new in (True, False):

        def change(config: Json, new: bool = new) -> None:
            config["linux"]["seccomp"] = seccomp
            config["process"]["noNewPrivileges"] = new

        done = runtime.run("sh", "-c", script, change=change)
        assert "Operation not supported" in done.stderr or "Not supported" in done.stderr
        assert "Protocol error" in done.stderr
        assert status(done.stdout, "Seccomp") == "2"


def test_a_filter_that_allows_little(ours: OciRuntime, root_dir: Path) -> None:
    """What waiting for `start` takes need not be allowed."""
    little = ["execve", "exit_group", "write", "brk", "mmap", "munmap", "arch_prctl", "prctl"]
    more = ["getuid", "set_tid_address", "mprotect", "readlink", "getrandom", "ioctl", "rseq"]
    ours_too = ["execveat", "fcntl", "close_range", "sendmsg", "close", "capset", "stat", "access"]
    seccomp = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [
            {
                "names": [*little, *more, *ours_too, "set_robust_list", "prlimit64", "newfstatat"],
                "action": "SCMP_ACT_ALLOW",
            }
        ],
    }
    name = ours.identifier()
    bundle = ours.bundle(
        name,
        "/bin/echo",
        "done",
        change=lambda config: config["linux"].update(seccomp=seccomp),
    )
    with (root_dir / "said").open("w+") as said:
        ours("create", "--bundle", bundle, name, stdout=said)
        ours("start", name)
        ours.wait_until(name, "stopped")
        said.seek(0)
        assert said.read() == "done\n"


def test_namespaces_by_path(runtime: OciRuntime) -> None:
    first = runtime.identifier()
    runtime.create(first, runtime.bundle(first, "sleep", "100"))
    pid = runtime.state(first)["pid"]
    files = {"network": "net", "ipc": "ipc", "uts": "uts", "pid": "pid"}

    def change(config: Json) -> None:
        config.pop("hostname")
        for entry in config["linux"]["namespaces"]:
            if entry["type"] in files:
                entry["path"] = f"/proc/{pid}/ns/{files[entry['type']]}"

    links = [f"/proc/self/ns/{file}" for file in files.values()]
    for link in links:
        done = runtime.run("busybox", "readlink", link, change=change)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == os.readlink(link.replace("self", str(pid)))
    # And the process itself is in the PID namespace, not only its children.
    shown = runtime.run("busybox", "ps", "-o", "pid,args", change=change).stdout
    assert re.search(r"^ *1 ", shown, re.MULTILINE)
    assert "sleep" not in shown or "busybox ps" in shown


@pytest.mark.parametrize(
    "namespaces",
    [
        [{"type": "mount"}, {"type": "mount"}],
        [{"type": "mount"}, {"type": "nope"}],
        [{"type": "mount"}, {"type": "network", "path": "/nowhere"}],
        [{"type": "mount"}, {"type": "network", "path": "/proc/self/ns/uts"}],
        [{"type": "pid"}],
    ],
    ids=str,
)
def test_namespaces_that_do_not_fit(runtime: OciRuntime, namespaces: list[Json]) -> None:
    def change(config: Json) -> None:
        config["linux"]["namespaces"] = namespaces
        config.pop("hostname")

    done = runtime.run("true", change=change)
    assert done.returncode == 1
    assert not runtime.remains(runtime.made[-1])


def test_a_user_namespace(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    script = "id -u; cat /proc/self/uid_map; touch /tmp/mine; stat -c %u /tmp/mine"
    bundle = runtime.bundle(name, "sh", "-c", script, change=mapped)
    subprocess.run(["chown", "-R", "100000:100000", bundle / "rootfs"], check=True)
    # Whoever is root inside must be able to walk to its root.
    for place in (bundle, bundle.parent):
        place.chmod(0o755)
    done = runtime("run", "--bundle", bundle, name)
    assert done.stdout.split() == ["0", "0", "100000", "65536", "0"]
    assert (bundle / "rootfs/tmp/mine").stat().st_uid == 100_000


def test_exec_in_a_user_namespace(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(name, "sleep", "100", change=mapped)
    subprocess.run(["chown", "-R", "100000:100000", bundle / "rootfs"], check=True)
    for place in (bundle, bundle.parent):
        place.chmod(0o755)
    runtime.create(name, bundle)
    runtime("start", name)
    assert runtime("exec", name, "sh", "-c", "id -u; cat /proc/self/uid_map").stdout.split()[
        :3
    ] == [
        "0",
        "0",
        "100000",
    ]


def test_a_user_namespace_by_path(ours: OciRuntime) -> None:  # runc wants mappings, too
    first = ours.identifier()
    bundle = ours.bundle(first, "sleep", "100", change=mapped)
    subprocess.run(["chown", "-R", "100000:100000", bundle / "rootfs"], check=True)
    for place in (bundle, bundle.parent):
        place.chmod(0o755)
    ours.create(first, bundle)
    pid = ours.state(first)["pid"]

    def change(config: Json) -> None:
        config["linux"]["namespaces"].append({"type": "user", "path": f"/proc/{pid}/ns/user"})
        config["linux"].pop("maskedPaths")
        config["root"]["path"] = str(bundle / "rootfs")

    done = ours.run("sh", "-c", "id -u; busybox readlink /proc/self/ns/user", change=change)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0", os.readlink(f"/proc/{pid}/ns/user")]


def test_a_user_namespace_that_is_none(ours: OciRuntime) -> None:
    def change(config: Json) -> None:
        config["linux"]["namespaces"].append({"type": "user", "path": "/proc/self/ns/uts"})

    done = ours.run("true", change=change)
    assert done.returncode == 1
    assert "join the user namespace /proc/self/ns/uts: Invalid argument" in done.stderr


def test_time_offsets(ours: OciRuntime) -> None:
    def change(config: Json) -> None:
        config["linux"]["namespaces"].append({"type": "time"})
        config["linux"]["timeOffsets"] = {"boottime": {"secs": 10_000_000}}

    done = ours.run("cat", "/proc/uptime", change=change)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[0]) > 10_000_000


def test_scheduling(ours: OciRuntime) -> None:
    process = {
        "scheduler": {"policy": "SCHED_BATCH", "nice": 7},
        "ioPriority": {"class": "IOPRIO_CLASS_IDLE"},
    }
    said = inside(ours, "sh", "-c", "busybox ionice -p $$; cat /proc/self/stat", process=process)
    assert said.splitlines()[0].startswith("idle")
    fields = said.splitlines()[1].rpartition(")")[2].split()
    assert (fields[16], fields[38]) == ("7", "3")  # nice, and policy SCHED_BATCH


@pytest.mark.parametrize(
    "scheduler",
    [
        {"policy": "SCHED_NOPE"},
        {"policy": "SCHED_BATCH", "priority": 5},
        {"policy": "SCHED_OTHER", "nice": 99},
        {"policy": "SCHED_OTHER", "runtime": 5},
        {"policy": "SCHED_OTHER", "flags": ["X"]},
    ],
    ids=str,
)
def test_scheduling_that_makes_no_sense(ours: OciRuntime, scheduler: Json) -> None:
    done = ours.run("true", change=lambda config: config["process"].update(scheduler=scheduler))
    assert done.returncode == 1
    assert "scheduler" in done.stderr


def test_personality(ours: OciRuntime) -> None:
    said = inside(ours, "busybox", "uname", "-m", linux={"personality": {"domain": "LINUX32"}})
    assert said.strip() in ("i686", "armv8l")


def test_flags_of_a_personality(ours: OciRuntime) -> None:
    """The specification names none, so those of the kernel's names are ours alone."""
    name = ours.identifier()
    part = {"personality": {"domain": "LINUX32", "flags": ["ADDR_NO_RANDOMIZE", "UNAME26"]}}
    bundle = ours.bundle(name, "sleep", "100", change=lambda config: config["linux"].update(part))
    ours.create(name, bundle)
    said = ours("exec", name, "cat", "/proc/self/personality").stdout
    assert int(said, 16) == 0x8 | 0x40000 | 0x20000
    pid = ours.state(name)["pid"]
    assert int((processes_of(pid) / "personality").read_text(), 16) == int(said, 16)


def test_a_flag_that_no_kernel_has(ours: OciRuntime) -> None:
    part = {"personality": {"domain": "LINUX", "flags": ["NO_SUCH_FLAG"]}}
    done = ours.run("true", change=lambda config: config["linux"].update(part))
    assert done.returncode == 1
    assert "invalid personality flag 'NO_SUCH_FLAG'" in done.stderr


def test_processors_of_further_programs(ours: OciRuntime) -> None:
    name = ours.identifier()
    bundle = ours.bundle(
        name,
        "sleep",
        "100",
        change=lambda config: config["process"].update(
            execCPUAffinity={"initial": "0", "final": "0"}
        ),
    )
    ours.create(name, bundle)
    said = ours("exec", name, "cat", "/proc/self/status").stdout
    assert status(said, "Cpus_allowed_list") == "0"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("intelRdt", {"closID": "some"}),
        ("mountLabel", "system_u:object_r:container_file_t:s0"),
    ],
)
def test_what_this_host_cannot_do_is_refused(ours: OciRuntime, member: str, value: object) -> None:
    done = ours.run("true", change=lambda config: config["linux"].update({member: value}))
    assert done.returncode == 1
    assert done.stderr.count("level=error") == 1
    assert "not supported" in done.stderr
    assert not ours.remains(ours.made[-1])


@pytest.mark.parametrize("member", ["apparmorProfile", "selinuxLabel"])
def test_labels_that_this_host_does_not_know(runtime: OciRuntime, member: str) -> None:
    done = runtime.run("true", change=lambda config: config["process"].update({member: "some"}))
    assert done.returncode == 1
