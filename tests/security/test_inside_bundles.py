"""What root in a container of `onggi-runtime`'s tries, that a bundle gave root's usual rights."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from onggi.runtime.command import template
from onggi.runtime.seccomp import profile
from support.attackers import CONNECT, TRACE, TYPES
from support.looking import RACER, WATCHER
from support.oci_runtimes import Json, OciRuntime
from support.programs import compiled, said
from support.ptys import Terminal
from support.requirements import requires
from support.threats import BUNDLE, withstands

pytestmark = requires("root", "busybox", "compiler")

APPLETS = ("chmod", "dd", "find", "grep", "nc", "readlink", "rm", "wc")
RIGHTS = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_MKNOD", "CAP_SETUID", "CAP_SETGID"]


class Jar:
    """A container whose configuration is what `onggi-runtime spec` writes, with root's rights."""

    def __init__(self, runtime: OciRuntime) -> None:
        self.runtime = runtime
        self.name = runtime.identifier()
        self.bundle = runtime.bundle(self.name, "sleep", "100", change=self._change)
        for applet in APPLETS:
            (self.bundle / "rootfs/bin" / applet).symlink_to("busybox")

    def _change(self, config: Json) -> None:
        written = template.document(rootless=False)
        sets = dict.fromkeys(("bounding", "effective", "permitted"), RIGHTS)
        config["process"]["capabilities"] = sets
        config["mounts"] = written["mounts"]
        for member in ("maskedPaths", "readonlyPaths"):
            config["linux"][member] = written["linux"][member]
        config["linux"]["seccomp"] = profile.default_profile(RIGHTS, os.uname().machine)

    def add(self, program: Path) -> str:
        """Put a program into the root; return its path there."""
        shutil.copy(program, self.bundle / "rootfs/attack")
        return "/attack"

    def up(self) -> None:
        """Start it, to be entered."""
        self.runtime("run", "--detach", "--bundle", self.bundle, self.name)

    def enter(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a program in it, which may fail."""
        return self.runtime.attempt("exec", *words)

    def inside(self, *words: str) -> str:
        """Run a program in it, which must end well; return what it printed."""
        return self.runtime("exec", self.name, *words).stdout


@pytest.fixture
def jar(ours: OciRuntime) -> Jar:
    return Jar(ours)


@withstands("own program", "/proc/1/exe or its maps lead to a file of the host", by=BUNDLE)
def test_what_runs_shows_no_file_of_the_host(jar: Jar) -> None:
    jar.up()
    seen = jar.inside("sh", "-c", "for p in /proc/[0-9]*; do readlink $p/exe; cat $p/maps; done")
    assert "busybox" in seen
    assert "python" not in seen


@withstands(
    "own program",
    "opened or written through /proc/PID/exe while `exec` enters",
    "memory, descriptors or directory of what enters looked at through /proc",
    "rights of the host's root held by what `exec` makes inside, while it enters",
    by=BUNDLE,
)
@pytest.mark.time_limit(180)
@pytest.mark.parametrize("source", [RACER, WATCHER], ids=["files and memory", "rights"])
def test_what_enters_shows_nothing_of_the_host(jar: Jar, tmp_path: Path, source: str) -> None:
    def trace(config: Json) -> None:
        for names in config["process"]["capabilities"].values():
            names.append("CAP_SYS_PTRACE")

    jar.runtime.edit(jar.bundle, trace, args=[jar.add(compiled(source, tmp_path))])
    told = tmp_path / "told"
    with told.open("w") as output:
        jar.runtime("run", "--detach", "--bundle", jar.bundle, jar.name, stdout=output)
    for _ in range(25):
        jar.inside("true")
    jar.inside("touch", "/stop")
    jar.runtime.wait_until(jar.name, "stopped")
    *found, counts = told.read_text().strip().splitlines()
    assert not found, found[:3]
    assert int(counts.split()[1]) >= 5, "the race was never on"


@withstands(
    "devices",
    "a raw disk made by mknod and opened",
    "/dev/mem made by mknod and opened",
    "the host's console made by mknod and opened",
    "a terminal of the host's made by mknod and opened",
    by=BUNDLE,
)
@withstands(
    "cgroups",
    "a cgroup file system is mounted",
    "the mount is made writable again",
    "a user namespace is made, to be allowed to mount there",
    by=BUNDLE,
)
@withstands(
    "calls",
    "io_uring",
    "userfaultfd, bpf, perf",
    "keyctl, add_key",
    "new user namespaces, by unshare, clone and clone3",
    "mount, pivot_root, setns, open_by_handle_at",
    "reboot, kexec, swapon, modules, clock, host name",
    "the same through 32-bit calls",
    "the same through x32 calls",
    "sockets of families that reach the hypervisor or the kernel's crypto",
    by=BUNDLE,
)
@pytest.mark.parametrize("verb", ["run", "exec"])
def test_no_forbidden_call_succeeds(jar: Jar, calls_program: Path, verb: str) -> None:
    attack = jar.add(calls_program)
    if verb == "run":
        jar.runtime.edit(jar.bundle, args=[attack])
        shown = jar.runtime("run", "--bundle", jar.bundle, jar.name).stdout
    else:
        jar.up()
        shown = jar.inside(attack)
    results = said(shown)
    assert len(results) == (62 if os.uname().machine == "x86_64" else 46), shown
    assert not [name for name, result in results.items() if result == "SUCCEEDED"], shown


@withstands("calls", "ptrace of process 1 by another user", by=BUNDLE)
def test_another_user_cannot_trace_process_1(jar: Jar, tmp_path: Path) -> None:
    attack = jar.add(compiled(TRACE, tmp_path))
    jar.up()
    shown = jar.enter("--user", "1000", jar.name, attack).stdout
    assert said(shown) == {"ptrace": "Operation not permitted"}


WRITES = {
    "kernel settings in /proc/sys, core_pattern among them": "/proc/sys",
    "/proc/sysrq-trigger and /proc/irq": "/proc/irq /proc/bus /proc/fs /proc/sysrq-trigger",
    "/sys and its helpers": "/sys",
}


@withstands("devices", *WRITES, by=BUNDLE)
@withstands("devices", "/proc/kcore, /proc/keys, /sys/firmware and the like read", by=BUNDLE)
def test_the_kernel_s_files_are_read_only_or_hidden(jar: Jar) -> None:
    """Every one of them, whatever this kernel has."""
    jar.up()
    tries = "while read p; do (: >> $p) 2>/dev/null && echo $p; done"
    script = f"find {' '.join(WRITES.values())} -type f 2>/dev/null | {tries}; true"
    assert jar.inside("sh", "-c", script) == ""
    count = f"find {' '.join(WRITES.values())} -type f 2>/dev/null | wc -l"
    assert int(jar.inside("sh", "-c", count)) > 100, "there is nothing to be written"
    hidden = template.document(rootless=False)["linux"]["maskedPaths"]
    script = f"for p in {' '.join(hidden)}; do ls -A $p/; cat $p; done 2>/dev/null; true"
    assert jar.inside("sh", "-c", script) == ""


@withstands("exhaustion", "/dev and /dev/shm", by=BUNDLE)
@pytest.mark.parametrize("place", ["/dev", "/dev/shm"])
def test_memory_behind_device_files_is_bounded(jar: Jar, place: str) -> None:
    jar.up()
    shown = jar.inside("sh", "-c", f"dd if=/dev/zero of={place}/x bs=1M count=70 2>&1; true")
    assert "No space left" in shown


@withstands("descriptors", "the host's null device changed through standard streams", by=BUNDLE)
@pytest.mark.parametrize("verb", ["run", "exec"])
def test_the_host_s_null_device_is_out_of_reach(jar: Jar, verb: str) -> None:
    mode = os.stat("/dev/null").st_mode
    change = ["chmod", "600", "/proc/self/fd/0"]
    if verb == "run":
        jar.runtime.edit(jar.bundle, args=change)
        jar.runtime("run", "--bundle", jar.bundle, jar.name)
    else:
        jar.up()
        jar.inside(*change)
    assert os.stat("/dev/null").st_mode == mode


@withstands("masks", "/dev/null exchanged before `exec`", by=BUNDLE)
@pytest.mark.parametrize("planted", ["echo planted > /dev/null", "ln -s /bin/busybox /dev/null"])
def test_a_null_device_that_was_exchanged_is_not_handed_to_exec(jar: Jar, planted: str) -> None:
    jar.up()
    jar.inside("sh", "-c", f"rm /dev/null; busybox {planted}")
    done = jar.enter(jar.name, "cat")
    assert done.returncode != 0
    assert done.stdout == ""


@withstands("descriptors", "the caller's terminal opened as /dev/tty, or typed into", by=BUNDLE)
@pytest.mark.parametrize("verb", ["run", "exec"])
def test_the_caller_s_terminal_stays_the_caller_s(jar: Jar, tmp_path: Path, verb: str) -> None:
    attack = jar.add(compiled(TYPES, tmp_path))
    line = jar.runtime.line("exec", jar.name, attack)
    if verb == "exec":
        jar.up()
    else:
        jar.runtime.edit(jar.bundle, args=[attack])
        line = jar.runtime.line("run", "--bundle", jar.bundle, jar.name)
    with Terminal(line) as person:
        assert "TYPED" not in person.expect("terminal No such device or address")
        assert person.wait() == 0


@withstands("neighbours", "abstract sockets of the host's", "the host's loopback", by=BUNDLE)
def test_sockets_of_the_host_are_not_there(jar: Jar, tmp_path: Path) -> None:
    attack = jar.add(compiled(CONNECT, tmp_path))
    jar.up()
    name = f"onggi-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as unix, socket.socket() as internet:
        unix.bind(f"\0{name}")
        unix.listen()
        assert said(jar.inside(attack, name)) == {"connect": "Connection refused"}
        internet.bind(("127.0.0.1", 0))
        internet.listen()
        port = internet.getsockname()[1]
        script = f"nc -w 2 127.0.0.1 {port} </dev/null 2>&1 || echo refused"
        assert "refused" in jar.inside("sh", "-c", script)


# Opens the root of the host as every number that a program of ours might keep for itself.
MANY_OPEN = 'for n in 3 4 5 6 7 8 9; do eval "exec $n</"; done; exec "$@"'


@withstands("descriptors", "descriptors of the caller's passed on", by=BUNDLE)
@pytest.mark.parametrize("verb", ["run", "exec"])
def test_no_number_of_a_descriptor_is_passed_on(ours: OciRuntime, verb: str) -> None:
    name = ours.identifier()
    listing = ("ls", "/proc/self/fd")
    bundle = ours.bundle(name, *(("sleep", "100") if verb == "exec" else listing))
    words: list[str | Path] = ["run", "--bundle", bundle, name]
    if verb == "exec":
        ours("run", "--detach", "--bundle", bundle, name)
        words = ["exec", name, *listing]
    line = ["sh", "-c", MANY_OPEN, "sh", *ours.line(*words)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["0", "1", "2", "3"]  # 3 is the listing's own


@withstands("caller", "capabilities that the caller holds as inheritable or ambient", by=BUNDLE)
def test_no_ambient_capability_is_kept_by_an_inheritable_one(ours: OciRuntime) -> None:
    """The kernel takes from the ambient set what is not both permitted and inheritable."""
    name = ours.identifier()

    def change(config: Json) -> None:
        config["process"]["capabilities"]["inheritable"] = ["CAP_KILL"]

    bundle = ours.bundle(name, "cat", "/proc/self/status", change=change)
    line = ["setpriv", "--inh-caps=+kill", "--ambient-caps=+kill"]
    line += ours.line("run", "--bundle", bundle, name)
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    sets = dict(each.split(":\t") for each in done.stdout.splitlines() if each.startswith("Cap"))
    assert sets["CapInh"] == f"{1 << 5:016x}"
    assert sets["CapAmb"] == "0" * 16


def _waiting(jar: Jar) -> str:
    """Create it, and return what is read inside of the command line of what waits there."""
    jar.runtime.create(jar.name, jar.bundle)
    return jar.inside("cat", "/proc/1/cmdline")


@withstands(
    "own program",
    "the caller's command line read in the one of what waits to be started",
    by=BUNDLE,
)
def test_what_waits_tells_nothing_of_the_callers_command_line(jar: Jar) -> None:
    assert _waiting(jar).rstrip("\0") == "onggi-runtime init"
    jar.runtime("start", jar.name)
    assert jar.inside("cat", "/proc/1/cmdline") == "sleep\x00100\0"
