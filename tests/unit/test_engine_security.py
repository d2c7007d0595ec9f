"""What the security report makes of what it is told: remedies, names, devices, secrets, lines."""

import os
import stat
from typing import Any

import pytest

from onggi.cli.output import findings as shown
from onggi.engine.options import ContainerOptions
from onggi.engine.security import access, device_files, identities, remedies
from onggi.engine.security.capabilities import MEANINGS
from onggi.engine.security.facts import Credentials, Node
from onggi.engine.security.findings import HIGH, LOW, OK, Finding, Remedy, Report, Section
from onggi.engine.security.observed import rules_of_line
from onggi.engine.security.secrets import looks_secret
from onggi.linux import capability
from onggi.linux.capability import NUMBERS
from onggi.linux.process_status import ProcessStatus
from onggi.resources.devices import DEFAULT_RULES, parse_rules
from onggi.runtime.plan.users import UserMap


def asked(**options: Any) -> dict[str, Any]:
    return ContainerOptions(image="x", **options).to_json()


@pytest.mark.parametrize(
    ("options", "name", "remedy"),
    [
        ({}, "NET_RAW", Remedy(("--cap-drop", "NET_RAW"))),
        ({"cap_add": ["sys_admin"]}, "SYS_ADMIN", Remedy((), ("--cap-add", "sys_admin"))),
        (
            {"cap_add": ["CAP_NET_RAW"]},
            "NET_RAW",
            Remedy(("--cap-drop", "NET_RAW"), ("--cap-add", "CAP_NET_RAW")),
        ),
        ({"cap_add": ["all"]}, "SYS_ADMIN", Remedy(("--cap-drop", "SYS_ADMIN"))),
        ({"privileged": True}, "SYS_ADMIN", Remedy((), ("--privileged",))),
        (
            {"privileged": True, "cap_add": ["SYS_ADMIN"]},
            "SYS_ADMIN",
            Remedy((), ("--privileged", "--cap-add", "SYS_ADMIN")),
        ),
    ],
)
def test_what_takes_a_capability_away(options: Any, name: str, remedy: Remedy) -> None:
    assert remedies.capability(asked(**options), f"CAP_{name}") == remedy


@pytest.mark.parametrize(
    ("volume", "mode", "closed"),
    [
        ("/a:/b", "ro", "/a:/b:ro"),
        ("/a:/b:rw,rshared", "ro", "/a:/b:rshared,ro"),
        ("/a:/b:ro,rshared", "rprivate", "/a:/b:ro,rprivate"),
    ],
)
def test_what_mounts_the_same_otherwise(volume: str, mode: str, closed: str) -> None:
    found = remedies.mount_with(asked(volumes=[volume]), "/b", mode)
    assert found == Remedy(("--volume", closed), ("--volume", volume))


def test_what_leaves_a_device_out() -> None:
    options = asked(devices=["/dev/fuse", "/dev/snd:/dev/sound:rw"])
    assert remedies.devices(options, "/dev/sound/pcm").without == (
        "--device",
        "/dev/snd:/dev/sound:rw",
    )
    assert remedies.devices(options, "/dev/other") == Remedy()


def test_every_capability_has_a_meaning() -> None:
    assert [f"CAP_{name}" for name in MEANINGS] == list(NUMBERS)


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ("010000020020000000000000", (1 << 13, False)),
        ("0100000200200000000000000000000000000000", (1 << 13, True)),
        ("0000000200200000000000000100000000000000", (1 << 32 | 1 << 13, False)),
        ("0100000320000000000000000000000000000000e8030000", (1 << 5, True)),
    ],
)
def test_capabilities_of_a_file(raw: str, found: tuple[int, bool]) -> None:
    data = bytes.fromhex(raw)
    if len(data) == 12:  # version 1 has one word each
        data = (0x01000000).to_bytes(4, "little") + data[4:]
    assert capability.of_file(data) == found


@pytest.mark.parametrize("raw", [b"", b"\x01\0\0\2", b"\x01\0\0\x09" + bytes(16), bytes(20)])
def test_no_capabilities_of_a_file(raw: bytes) -> None:
    with pytest.raises(ValueError, match="is no security"):
        capability.of_file(raw)


def test_the_names_of_a_set() -> None:
    assert capability.names(1 << 13 | 1 << 21 | 1 << 63) == ("CAP_NET_RAW", "CAP_SYS_ADMIN")


STATUS = """\
Name:\tsh
Uid:\t1\t2\t3\t4
Gid:\t5\t6\t7\t8
Groups:\t10 11
CapInh:\t0000000000000001
CapPrm:\t0000000000000002
CapEff:\t0000000000000004
CapBnd:\t000001ffffffffff
CapAmb:\t0000000000000000
NoNewPrivs:\t1
Seccomp:\t2
"""


def test_a_process_status() -> None:
    found = ProcessStatus(STATUS)
    assert (found.name, found.uid, found.gid, found.groups) == ("sh", 4, 8, (10, 11))
    assert found.capabilities == {
        "inheritable": 1,
        "permitted": 2,
        "effective": 4,
        "bounding": 2**41 - 1,
        "ambient": 0,
    }
    assert (found.no_new_privs, found.seccomp, found.filters) == (True, 2, -1)


def test_device_rules() -> None:
    rules = parse_rules(DEFAULT_RULES)
    assert device_files.allowed(rules, Node("/dev/null", "c", 1, 3)) == "rwm"
    assert device_files.allowed(rules, Node("/dev/sda", "b", 8, 0)) == "m"
    (one,) = rules_of_line("c 136:* rw")
    assert (one.kind, one.major, one.minor, one.access) == ("c", 136, None, "rw")
    assert [rule.line() for rule in rules_of_line("a *:* rwm")] == ["c *:* rwm", "b *:* rwm"]


@pytest.mark.parametrize(
    "name", ["DB_PASSWORD", "github_token", "API_KEY", "AWS_SECRET_ACCESS_KEY", "SSH_PRIVATE_KEY"]
)
def test_names_of_secrets(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name", ["PATH", "DB_PASSWORD_FILE", "KEYBOARD", "TOKENIZER", "MONKEY", "SECRETARY", "HOME"]
)
def test_names_of_what_is_no_secret(name: str) -> None:
    assert not looks_secret(name)


def who(uid: int = 0, caps: int = 0, users: UserMap | None = None) -> Credentials:
    sets = {"permitted": caps, "ambient": 0, "bounding": 0, "inheritable": 0}
    return Credentials(
        uid=uid,
        gid=uid,
        groups=(),
        capabilities=sets,
        no_new_privs=True,
        users=users,
        host_uid=uid,
    )


MAPPED = UserMap(((0, 100000, 65536),), ((0, 100000, 65536),))
OVERRIDE = 1 << NUMBERS["CAP_DAC_OVERRIDE"]
NET_ADMIN = 1 << NUMBERS["CAP_NET_ADMIN"]


@pytest.mark.parametrize(
    ("credentials", "fstype", "path", "mode", "may"),
    [
        (who(), "proc", "/sys/kernel/core_pattern", 0o644, True),
        (who(1000, OVERRIDE), "proc", "/sys/kernel/core_pattern", 0o644, False),
        (who(1000, OVERRIDE), "sysfs", "/power/state", 0o644, True),
        (who(1000), "sysfs", "/power/state", 0o644, False),
        (who(100000, OVERRIDE, MAPPED), "sysfs", "/power/state", 0o644, False),
        (who(), "sysfs", "/power/state", 0o444, False),
        (who(), "proc", "/sys/user/max_user_namespaces", 0o644, False),
        (who(1000, NET_ADMIN), "proc", "/sys/net/ipv4/ip_forward", 0o644, True),
        (who(100000, 0, MAPPED), "proc", "/sys/net/ipv4/ip_forward", 0o644, False),
        (who(100000, NET_ADMIN, MAPPED), "proc", "/sys/net/ipv4/ip_forward", 0o644, True),
        (who(), "proc", "/mtrr", 0o644, False),
        (who(), "proc", "/sysrq-trigger", 0o200, True),
    ],
)
def test_who_may_open_the_kernel_s_files(
    credentials: Credentials, fstype: str, path: str, mode: int, may: bool
) -> None:
    status = os.stat_result((stat.S_IFREG | mode, 1, 1, 1, 0, 0, 0, 0, 0, 0))
    own = frozenset(("network", "ipc"))
    assert access.may_write(credentials, fstype, path, status, own=own) is may


def test_an_overflow_id_is_nobody_s() -> None:
    assert identities._themselves(((0, 1000, 1), (1, 100000, 65536))) == (
        (0, 0, 1),
        (1, 1, 65533),
        (65535, 65535, 2),
    )


EVIL = "\x1b[2J\nfake\x9b"


def report(*findings: Finding) -> Report:
    section = Section(
        "mounts", "The host's files", findings=findings, lines=[(EVIL, EVIL)], facts=[]
    )
    return Report(
        kind="container",
        name=EVIL,
        id="1" * 64,
        image=EVIL,
        status="running",
        pid=7,
        sections=[section],
    )


def test_a_report_is_data_for_a_terminal() -> None:
    made = report(Finding(EVIL, HIGH, EVIL, Remedy((EVIL, EVIL), (EVIL,)), details=(EVIL, EVIL)))
    lines = list(shown.lines(made, colour=False))
    assert not any(character in "\x1b\x9b\n" for line in lines for character in line)
    coloured = list(shown.lines(made, colour=True))
    plain = [line.replace("\x1b[1;31m", "").replace("\x1b[0m", "") for line in coloured]
    assert not any("\x1b[2J" in line for line in plain)


def test_what_closes_several_is_said_once() -> None:
    away = Remedy((), ("--privileged",))
    made = report(
        Finding("a", HIGH, "one", away), Finding("b", HIGH, "two", away), Finding("c", OK, "fine")
    )
    text = "\n".join(shown.lines(made, colour=False))
    assert text.count("→ leave out --privileged") == 1
    assert "2 high   0 medium   0 low   1 ok" in text
    assert text.endswith("To close all of this\n  leave out  --privileged")


def test_a_mount_that_is_left_out_is_not_mounted_otherwise() -> None:
    made = report(
        Finding("a", LOW, "one", Remedy((), ("--volume", "/:/h"))),
        Finding("b", LOW, "two", Remedy(("--volume", "/:/h:ro"), ("--volume", "/:/h"))),
    )
    assert list(shown.lines(made, colour=False))[-1] == "  leave out  --volume /:/h"


def test_how_bad_it_is() -> None:
    made = report(Finding("a", LOW, "one"), Finding("b", OK, "two"))
    assert [made.is_at_least(word) for word in ("high", "medium", "low", "ok")] == [
        *(False, False),
        *(True, True),
    ]
    assert made.to_json()["Summary"] == {"high": 0, "medium": 0, "low": 1, "ok": 1}
