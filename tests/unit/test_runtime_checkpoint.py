"""What criu is told, as bytes and as names; and what it answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onggi.errors import Unsupported
from onggi.linux.cgroup import Hierarchy
from onggi.runtime.command import criu_messages, outside, protobuf
from onggi.runtime.command.criu_messages import Answer
from onggi.runtime.plan.users import user_map
from onggi.runtime.steps.mounts import BindMount, MountFilesystem
from onggi.runtime.steps.owners import MappedBind

MEMORY = Hierarchy(
    version=1, controllers=("memory",), name="", mountpoint="/sys/fs/cgroup/memory", root="/"
)
CPU = Hierarchy(
    version=1,
    controllers=("cpu", "cpuacct"),
    name="",
    mountpoint="/sys/fs/cgroup/cpu,cpuacct",
    root="/",
)
NAMED = Hierarchy(
    version=1, controllers=(), name="systemd", mountpoint="/sys/fs/cgroup/systemd", root="/"
)
UNIFIED = Hierarchy(
    version=2, controllers=("pids",), name="", mountpoint="/sys/fs/cgroup/unified", root="/part"
)
ALL = [MEMORY, CPU, NAMED, UNIFIED]
OWN = tuple(f"{hierarchy.mountpoint}/onggi/one" for hierarchy in ALL)


class TestProtobuf:
    def test_the_examples_of_its_documentation(self) -> None:
        assert protobuf.field(1, 150) == b"\x08\x96\x01"
        assert protobuf.field(2, "testing") == b"\x12\x07testing"
        assert protobuf.field(3, protobuf.field(1, 150)) == b"\x1a\x03\x08\x96\x01"

    def test_negative_numbers_have_64_bits(self) -> None:
        assert protobuf.field(1, -1) == b"\x08" + b"\xff" * 9 + b"\x01"

    @given(
        st.dictionaries(
            st.integers(1, 1 << 28), st.one_of(st.integers(0, 2**64 - 1), st.binary(max_size=300))
        )
    )
    def test_what_is_written_can_be_read(self, values: dict[int, int | bytes]) -> None:
        message = b"".join(protobuf.field(number, value) for number, value in values.items())
        assert protobuf.fields(message) == values

    def test_fields_of_fixed_size_are_passed_over(self) -> None:
        assert protobuf.fields(b"\x09" + b"x" * 8 + b"\x15" + b"y" * 4 + b"\x18\x05") == {
            1: b"x" * 8,
            2: b"y" * 4,
            3: 5,
        }

    @given(st.binary(max_size=60))
    def test_whatever_comes_is_read_or_refused(self, message: bytes) -> None:
        try:
            protobuf.fields(message)
        except ValueError:
            pass

    @pytest.mark.parametrize("message", [b"\x08", b"\x12\x05abc", b"\x0b", b"\x08" + b"\xff" * 11])
    def test_what_is_cut_short(self, message: bytes) -> None:
        with pytest.raises(ValueError, match="that"):
            protobuf.fields(message)


class TestMessages:
    def test_a_request(self) -> None:
        said = criu_messages.request(criu_messages.DUMP, [("pid", 7), ("root", "/x")])
        assert protobuf.fields(said) == {1: 1, 2: b"\x10\x07\x6a\x02/x"}

    def test_an_option_may_stand_again(self) -> None:
        pairs = [("ext_mnt", criu_messages.pair("a", "b")), ("ext_mnt", b"")]
        said = criu_messages.request(criu_messages.RESTORE, pairs)
        assert said.endswith(b"\xba\x01\x06\x0a\x01a\x12\x01b\xba\x01\x00")

    def test_going_on(self) -> None:
        assert protobuf.fields(criu_messages.go_on()) == {1: criu_messages.NOTIFY, 3: 1}

    def test_how_far_it_is(self) -> None:
        told = criu_messages.pair("setup-namespaces", 99)
        answer = Answer(protobuf.field(1, criu_messages.NOTIFY) + protobuf.field(5, told))
        assert (answer.kind, answer.script, answer.pid) == (6, "setup-namespaces", 99)

    def test_the_end(self) -> None:
        message = protobuf.field(1, criu_messages.RESTORE) + protobuf.field(2, value=True)
        answer = Answer(message + protobuf.field(4, protobuf.field(1, 42)))
        assert (answer.success, answer.pid, answer.script) == (True, 42, "")

    def test_its_version(self) -> None:
        version = protobuf.field(1, 3) + protobuf.field(2, 17) + protobuf.field(4, 1)
        answer = Answer(protobuf.field(1, criu_messages.VERSION) + protobuf.field(10, version))
        assert answer.version == (3, 17)

    def test_a_failure(self) -> None:
        message = protobuf.field(1, 1) + protobuf.field(7, 17) + protobuf.field(9, "why\n")
        answer = Answer(message)
        assert (answer.success, answer.number, answer.reason) == (False, 17, "why")

    @pytest.mark.parametrize("message", [protobuf.field(1, "one"), protobuf.field(5, 1)])
    def test_what_is_of_another_kind(self, message: bytes) -> None:
        with pytest.raises(ValueError, match="field"):
            Answer(message)


class TestOutside:
    def test_bind_mounts(self) -> None:
        steps = [BindMount("/host", "/inside", ("bind",)), MountFilesystem("proc", "", "/proc", ())]
        assert outside.mounts(steps, ALL, OWN) == {"/inside": "/host"}

    def test_cgroup_files(self) -> None:
        steps = [
            MountFilesystem("cgroup", "cgroup", "/sys/fs/cgroup/cpu,cpuacct", ()),
            MountFilesystem("cgroup2", "cgroup", "/sys/fs/cgroup/unified", ()),
        ]
        assert outside.mounts(steps, ALL, OWN) == {
            "/sys/fs/cgroup/cpu,cpuacct": "/sys/fs/cgroup/cpu,cpuacct/onggi/one",
            "/sys/fs/cgroup/unified": "/sys/fs/cgroup/unified/onggi/one",
        }

    def test_a_mount_with_other_owners(self) -> None:
        line = [{"containerID": 0, "hostID": 9, "size": 1}]
        mapping = user_map({"uidMappings": line, "gidMappings": line})
        step = MappedBind("/host", "/inside", ("bind",), mapping)
        with pytest.raises(Unsupported, match="/inside"):
            outside.mounts([step], ALL, OWN)

    def test_cgroups(self) -> None:
        assert outside.groups(ALL, OWN) == [
            ("memory", "/onggi/one"),
            ("cpu", "/onggi/one"),
            ("cpuacct", "/onggi/one"),
            ("name=systemd", "/onggi/one"),
            ("", "/part/onggi/one"),
        ]

    def test_namespaces(self) -> None:
        entries = [{"type": "pid", "path": "/p"}, {"type": "network"}]
        assert outside.joined({"linux": {"namespaces": entries}}) == {"pid": "/p"}

    def test_namespaces_that_cannot_be_told_of(self) -> None:
        entries = [{"type": "ipc", "path": "/p"}]
        with pytest.raises(Unsupported, match="ipc"):
            outside.joined({"linux": {"namespaces": entries}})
