"""What is said to criu, and what it answers. Pure.

`criu swrk FD` takes one request on the socket FD, and answers; meanwhile it tells by messages of
its own how far it is, and waits for the answer to each.

Source: criu images/rpc.proto; criu.org "RPC".
"""

from __future__ import annotations

from onggi.runtime.command import protobuf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Value = bool | int | str | bytes

DUMP = 1
RESTORE = 2
PRE_DUMP = 4
NOTIFY = 6
VERSION = 10

# Fields of criu_opts.
OPTIONS = {
    "images_dir_fd": 1,
    "pid": 2,
    "leave_running": 3,
    "ext_unix_sk": 4,
    "tcp_established": 5,
    "shell_job": 7,
    "file_locks": 8,
    "log_level": 9,
    "log_file": 10,
    "ps": 11,
    "notify_scripts": 12,
    "root": 13,
    "parent_img": 14,
    "track_mem": 15,
    "auto_dedup": 16,
    "work_dir_fd": 17,
    "ext_mnt": 23,
    "manage_cgroups": 24,
    "cg_root": 25,
    "rst_sibling": 26,
    "inherit_fd": 27,
    "ext_masters": 30,
    "manage_cgroups_mode": 34,
    "external": 37,
    "empty_ns": 38,
    "freeze_cgroup": 44,
    "orphan_pts_master": 50,
    "lsm_profile": 53,
}

# The enumeration criu_cg_mode, by the words of --manage-cgroups-mode.
CGROUP_MODES = {"ignore": 0, "soft": 3, "full": 4, "strict": 5}


def request(kind: int, options: Sequence[tuple[str, Value]]) -> bytes:
    """Return a request, a message criu_req."""
    body = b"".join(protobuf.field(OPTIONS[name], value) for name, value in options)
    return protobuf.field(1, kind) + protobuf.field(2, body)


def go_on() -> bytes:
    """Return the answer to a message that tells how far it is."""
    return protobuf.field(1, NOTIFY) + protobuf.field(3, value=True)


def pair(first: str, second: Value) -> bytes:
    """Return a message of two fields: ext_mount_map, cgroup_root, inherit_fd, a page server."""
    return protobuf.field(1, first) + protobuf.field(2, second)


class Answer:
    """What criu says.

    script: how far it is, with NOTIFY. pid: of the first process, restored. version: its own,
    (major, minor), with VERSION.
    """

    __slots__ = ("kind", "number", "pid", "reason", "script", "success", "version")

    def __init__(self, message: bytes) -> None:
        """Read it, a message criu_resp. Raises: ValueError."""
        found = protobuf.fields(message)
        restored = protobuf.fields(_bytes(found, 4))
        told = protobuf.fields(_bytes(found, 5))
        version = protobuf.fields(_bytes(found, 10))
        self.kind = _number(found, 1)
        self.success = bool(_number(found, 2))
        self.pid = _number(told, 2) or _number(restored, 1)
        self.version = (_number(version, 1), _number(version, 2))
        self.script = _bytes(told, 1).decode(errors="replace")
        self.number = _number(found, 7)
        self.reason = _bytes(found, 9).decode(errors="replace").strip()


def _number(found: dict[int, int | bytes], number: int) -> int:
    value = found.get(number, 0)
    if not isinstance(value, int):
        raise ValueError(f"field {number} is no number")  # noqa: TRY004  # of the message, not of ours
    return value


def _bytes(found: dict[int, int | bytes], number: int) -> bytes:
    value = found.get(number, b"")
    if not isinstance(value, bytes):
        raise ValueError(f"field {number} has no bytes")  # noqa: TRY004
    return value
