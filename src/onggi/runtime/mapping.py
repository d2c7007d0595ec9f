"""Write the mappings of a user namespace: by our own rights, or by the helpers who lend theirs.

Facts before policy:

- With CAP_SETUID and CAP_SETGID in the parent namespace, its IDs can be mapped as one pleases.
- Without, a user can map himself and his group alone, one ID each, and the group only once
  setgroups(2) is denied for good: else one could get rid of a group that keeps one out.
- `newuidmap` and `newgidmap` hold the right, and lend it for the IDs that /etc/subuid and
  /etc/subgid give to a user. They want the process to be the caller's, as /proc shows it.

Source: user_namespaces(7), "Defining user and group ID mappings"; newuidmap(1), subuid(5).
"""

from __future__ import annotations

import os

from onggi.errors import Denied, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.runtime.plan.users import UserMap

    Lines = tuple[tuple[int, int, int], ...]

_HELPERS = {"uid": "newuidmap", "gid": "newgidmap"}
_LISTS = {"uid": "/etc/subuid", "gid": "/etc/subgid"}


def write(pid: int, user_map: UserMap) -> None:
    """Map the user namespace that process `pid` is the first in, by all rights that we have.

    Raises: OSError.
    """
    uids, gids = user_map.texts()
    _put(pid, "uid_map", uids)
    _put(pid, "gid_map", gids)


def write_as_user(pid: int, user_map: UserMap) -> None:
    """Do the same as an ordinary user, with the helpers' help for more IDs than one's own.

    Raises: OSError. Unsupported: a helper is needed and missing. Denied: it refuses, with its words
        and the file that says what a user has.
    """
    uids, gids = user_map.texts()
    if _is_just(user_map.uids, os.geteuid()):
        _put(pid, "uid_map", uids)
    else:
        _ask(pid, "uid", user_map.uids)
    if _is_just(user_map.gids, os.getegid()):
        _put(pid, "setgroups", "deny")
        _put(pid, "gid_map", gids)
    else:
        _ask(pid, "gid", user_map.gids)


def _is_just(lines: Lines, own: int) -> bool:
    return len(lines) == 1 and lines[0][1:] == (own, 1)


def _put(pid: int, file: str, text: str) -> None:
    fd = os.open(f"/proc/{pid}/{file}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())  # in one write, as the kernel demands
    finally:
        os.close(fd)


def _ask(pid: int, kind: str, lines: Lines) -> None:
    helper = _HELPERS[kind]
    words = [helper, str(pid), *(str(number) for line in lines for number in line)]
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        with open(reader, "rb", buffering=0) as said:
            status = _run(words, writer)
            text = said.readall().decode(errors="replace")
    except FileNotFoundError:
        raise Unsupported(
            f"{helper} is not installed: without it a user maps nobody but himself",
            hint="Debian's package uidmap has it",
        ) from None
    if status:
        reason = " ".join(text.split()) or f"it ended with status {status}"
        raise Denied(
            f"{helper} refuses the user's IDs: {reason}",
            hint=f"{_LISTS[kind]} says which IDs a user may map",
        )


def _run(words: list[str], stderr: int) -> int:
    """Run a helper to its end; close `stderr`, to which it writes, and return its status."""
    try:
        actions = [(os.POSIX_SPAWN_DUP2, stderr, 2)]
        pid = os.posix_spawnp(words[0], words, os.environ, file_actions=actions)
    finally:
        os.close(stderr)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
