"""What a process sets for itself: tried in children, seen in /proc."""

import errno
import os
import select
import signal
import struct
from pathlib import Path

import pytest

from onggi.linux import capability, identity, namespace, process, signals
from onggi.linux.fd import Fd
from support.child import run_in_child
from support.requirements import requires

pytestmark = requires("root")


def status(field: str, pid: int | str = "self") -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(field + ":"))


def test_struct_sizes() -> None:
    assert process.RLIMIT64.size == 16
    assert capability.HEADER.size == 8
    assert capability.DATA.size == 24  # two of struct __user_cap_data_struct


def test_no_new_privs_is_for_good() -> None:
    def body() -> None:
        assert not process.no_new_privs()
        process.set_no_new_privs()
        assert process.no_new_privs()
        assert status("NoNewPrivs") == "1"

    run_in_child(body)


def test_dumpable() -> None:
    def body() -> None:
        assert process.dumpable()
        process.set_dumpable(False)
        assert not process.dumpable()

    run_in_child(body)


def test_a_name_is_cut_to_fifteen_bytes() -> None:
    def body() -> None:
        process.set_name("onggi (1) 2 and more")
        assert Path("/proc/self/comm").read_text() == "onggi (1) 2 and\n"

    run_in_child(body)


def test_start_time_is_read_behind_any_name() -> None:
    def body() -> None:
        before = identity.start_time("self")
        process.set_name(") R 1 (2) ")
        assert identity.start_time(os.getpid()) == before
        assert identity.stat_fields("self")[0] == "R"
        assert identity.stat_fields("self")[1] == str(os.getppid())

    run_in_child(body)
    assert identity.start_time(1) <= identity.start_time("self")
    with pytest.raises(FileNotFoundError):
        identity.start_time(2**22 + 1)


def test_the_boot_has_a_name() -> None:
    assert len(identity.boot_id()) == 36
    assert identity.boot_id() == identity.boot_id()


def test_a_pidfd_names_one_process() -> None:
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(9)
    with Fd(process.pidfd_open(child)) as pidfd:
        assert not os.get_inheritable(pidfd.fileno())
        assert select.select([pidfd], [], [], 0)[0] == []
        process.pidfd_send_signal(pidfd, signals.SIGTERM)
        assert select.select([pidfd], [], [], 10)[0] == [pidfd]
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -15
        with pytest.raises(ProcessLookupError):
            process.pidfd_send_signal(pidfd, 0)


def test_the_parents_death_is_a_signal() -> None:
    def body() -> None:
        reader, writer = os.pipe()
        process.set_child_subreaper()
        middle = os.fork()
        if middle == 0:
            grandchild = os.fork()
            if grandchild == 0:
                process.set_pdeathsig(signals.SIGKILL)
                os.write(writer, struct.pack("=i", os.getpid()))
                signal.pause()
            os.read(reader, 4)
            os.write(writer, struct.pack("=i", grandchild))
            os._exit(0)
        os.waitpid(middle, 0)
        (orphan,) = struct.unpack("=i", os.read(reader, 4))
        assert os.waitstatus_to_exitcode(os.waitpid(orphan, 0)[1]) == -9

    run_in_child(body)


def test_a_file_in_memory_is_sealed_and_run() -> None:
    def body() -> None:
        flags = process.MFD_CLOEXEC | process.MFD_ALLOW_SEALING
        with Fd(process.memfd_create("true", flags)) as program:
            os.write(program.fileno(), Path("/bin/true").read_bytes())
            wanted = process.F_SEAL_WRITE | process.F_SEAL_SHRINK | process.F_SEAL_GROW
            process.seal(program, wanted | process.F_SEAL_SEAL)
            assert process.seals(program) == wanted | process.F_SEAL_SEAL
            with pytest.raises(PermissionError):
                os.write(program.fileno(), b"x")
            with pytest.raises(PermissionError):
                process.seal(program, process.F_SEAL_FUTURE_WRITE)
            process.execveat(program, "", ["true"], [], process.AT_EMPTY_PATH)

    run_in_child(body)


def test_a_program_gets_its_arguments_and_environment(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def body() -> None:
        script = f'printf "%s|%s|%s" "$1" "$2" "$NAME" > {out}'
        argv = ["sh", "-c", script, "sh", "a b", "é"]
        process.execveat(-100, "/bin/sh", argv, ["NAME=v=1"])

    run_in_child(body)
    assert out.read_text() == "a b|é|v=1"


def test_execveat_says_what_is_missing() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        process.execveat(-100, "/nowhere", ["x"], [])
    assert caught.value.filename == "/nowhere"


def test_descriptors_are_marked_and_closed() -> None:
    def body() -> None:
        low = os.dup(0)
        high = os.dup2(0, 500)
        os.set_inheritable(high, True)
        process.close_range(low, flags=process.CLOSE_RANGE_CLOEXEC)
        assert not os.get_inheritable(high)
        process.close_range(high, high)
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(high)
        os.fstat(low)

    run_in_child(body)


def test_a_new_session_keyring() -> None:
    def body() -> None:
        serials = {process.join_session_keyring(), process.join_session_keyring("onggi-test")}
        assert len(serials) == 2
        assert min(serials) > 0

    run_in_child(body)


def test_limits() -> None:
    def body() -> None:
        number = process.RLIMITS["RLIMIT_NOFILE"]
        process.setrlimit(number, 100, 200)
        assert process.getrlimit(number) == (100, 200)
        with pytest.raises(OSError, match="Invalid argument"):
            process.setrlimit(number, 201, 200)
        core = process.RLIMITS["RLIMIT_CORE"]
        if process.getrlimit(core)[1] == process.RLIM_INFINITY:
            process.setrlimit(core, 2**40 + 1, process.RLIM_INFINITY)
            assert process.getrlimit(core) == (2**40 + 1, process.RLIM_INFINITY)

    run_in_child(body)


def test_the_limits_are_named_as_python_names_them() -> None:
    import resource

    for name, number in process.RLIMITS.items():
        assert getattr(resource, name, number) == number


def test_host_and_domain_names() -> None:
    before = os.uname().nodename

    def body() -> None:
        process.sethostname("onggi-host")
        process.setdomainname("onggi.domain")
        assert os.uname().nodename == "onggi-host"
        assert Path("/proc/sys/kernel/domainname").read_text() == "onggi.domain\n"
        with pytest.raises(OSError, match="Invalid argument"):
            process.sethostname("x" * 65)

    run_in_child(body, "uts")
    assert os.uname().nodename == before


def test_a_personality() -> None:
    def body() -> None:
        before = process.personality(process.PERSONALITY_QUERY)
        assert process.personality(process.PER_LINUX32) == before
        assert process.personality(process.PERSONALITY_QUERY) == process.PER_LINUX32

    run_in_child(body)


def test_namespaces_are_left_and_entered() -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        namespace.unshare(namespace.CLONE_NEWUTS | namespace.CLONE_NEWIPC)
        process.sethostname("onggi-inside")
        os.write(writer, b"1")
        signal.pause()
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)

    def by_file() -> None:
        with Fd(os.open(f"/proc/{child}/ns/uts", os.O_RDONLY)) as uts:
            with pytest.raises(OSError, match="Invalid argument"):
                namespace.setns(uts, namespace.CLONE_NEWNET)
            namespace.setns(uts, namespace.CLONE_NEWUTS)
        assert os.uname().nodename == "onggi-inside"

    def by_pidfd() -> None:
        with Fd(process.pidfd_open(child)) as pidfd:
            namespace.setns(pidfd, namespace.CLONE_NEWUTS | namespace.CLONE_NEWIPC)
        for name in ("uts", "ipc"):
            assert os.readlink(f"/proc/self/ns/{name}") == os.readlink(f"/proc/{child}/ns/{name}")

    try:
        run_in_child(by_file)
        run_in_child(by_pidfd)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.parametrize("name", sorted(namespace.NAMESPACES))
def test_each_kind_of_namespace_can_be_made(name: str) -> None:
    _, file = namespace.NAMESPACES[name]
    before = os.readlink(f"/proc/self/ns/{file}")

    def body() -> None:
        namespace.unshare(namespace.NAMESPACES[name][0])
        if name in ("pid", "time"):  # only for children
            run_in_child(is_new)
        else:
            is_new()

    def is_new() -> None:
        assert os.readlink(f"/proc/self/ns/{file}") != before
        assert name != "pid" or os.getpid() == 1

    run_in_child(body)


def test_capabilities_are_read_and_lowered() -> None:
    def body() -> None:
        effective, permitted, _ = capability.capget()
        assert permitted == int(status("CapPrm"), 16)
        kept = capability.mask(["CAP_CHOWN", "CAP_CHECKPOINT_RESTORE"]) & permitted
        capability.capset(kept & effective, kept, 0)
        assert capability.capget() == (kept & effective, kept, 0)
        assert int(status("CapEff"), 16) == kept
        with pytest.raises(PermissionError):
            capability.capset(permitted, permitted, 0)

    run_in_child(body)


def test_the_last_capability_is_the_kernels() -> None:
    assert capability.last_cap() == int(Path("/proc/sys/kernel/cap_last_cap").read_text())


def test_the_bounding_set_shrinks_for_good() -> None:
    def body() -> None:
        kept = capability.mask(["CAP_NET_RAW", "CAP_SETPCAP"])
        assert capability.bounding() == int(status("CapBnd"), 16)
        capability.drop_bounding(kept)
        assert capability.bounding() == int(status("CapBnd"), 16) == kept
        capability.capset(0, 0, 0)
        capability.drop_bounding(kept)
        with pytest.raises(PermissionError):
            capability.drop_bounding(0)

    run_in_child(body)


def test_ambient_capabilities() -> None:
    def body() -> None:
        raw = capability.NUMBERS["CAP_NET_RAW"]
        with pytest.raises(PermissionError):
            capability.ambient_raise(raw)
        effective, permitted, _ = capability.capget()
        capability.capset(effective, permitted, 1 << raw)
        capability.ambient_raise(raw)
        assert capability.ambient() == int(status("CapAmb"), 16) == 1 << raw
        capability.ambient_clear()
        assert capability.ambient() == 0

    run_in_child(body)


def test_capabilities_are_kept_over_a_change_of_user() -> None:
    def body() -> None:
        process.set_keepcaps(True)
        permitted = capability.capget()[1]
        os.setresuid(65534, 65534, 65534)
        assert capability.capget()[:2] == (0, permitted)

    run_in_child(body)


def test_a_thread_that_is_not_there_has_no_capabilities() -> None:
    with pytest.raises(ProcessLookupError) as caught:
        capability.capget(2**22 + 1)
    assert caught.value.errno == errno.ESRCH
