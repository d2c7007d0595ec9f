"""Enter a container through a small sealed program, so that nothing inside can reach ours.

The process that becomes the user's program is, until then, the host's Python interpreter. Were it
to execute the user's program itself, then ``/proc/self/exe`` as that program, or as a script's
``#!`` line, would execute the interpreter again, inside, where another process can hold it open
through /proc and overwrite it on the host (CVE-2019-5736). So the last thing Python does is to
execute `enter`, a static program of about a kilobyte in a sealed memory file. From then on
/proc/self/exe is that file: it belongs to this one container and can never change.

How `enter` is called, and why so::

    argv  NAME -- ARGV0 [ARGUMENT...]         what ps shows: `onggi-init -- sleep 100`
    env   ONGGI_ENTER=[R],[F],[A],[M],PATH ...    its orders; removed before PATH is executed

The orders are not in argv, because `enter` stays as process 1 with mode `i`, and a process can't
remove words from its own command line. The first entry of that name counts, and a later one is the
user's own.

- ``R``: the descriptor to report a failure through, as `failure` reads it. The program itself does
  not inherit it, so that end of file without a report means that the program runs. Without R, a
  line on standard error.
- ``F``: a descriptor to read a seccomp filter from, an array of struct sock_filter, which is loaded
  first, with the flag SPEC_ALLOW. The caller has set no_new_privs, or holds CAP_SYS_ADMIN. What the
  filter must allow then is `execve`, and with `i` what an init calls; nothing that Python calls.
- ``A``: a descriptor of a process's own directory of security attributes, in a procfs, in which it
  writes to `exec` what the next entry of env says: by which label PATH, and nothing before, is to
  be confined. That entry is removed, too. A filter that is loaded already must allow openat2(2).
- ``M``: a letter, or nothing. With ``i``, be an init. A child becomes PATH, as a process group of
  its own and in the foreground of the terminal, if there is one. `enter` passes signals on to it,
  reaps whatever becomes a zombie, and ends as that child ended, with 128 + n for signal n.
  With ``u`` or ``t``, be the usher of what is born elsewhere: a sibling, which is in another PID
  namespace if this process's children are. The usher ends at once. The sibling says "born" (in
  eight bytes) and waits for an answer, by which its parent, who hears with the word whose it is
  (unix(7), SCM_CREDENTIALS), says that it knows of it; without one it ends. So whoever is killed at
  whatever moment, nothing runs that nobody knows of. Then the sibling leads a session, with ``t``
  on the terminal that standard input is, and becomes PATH. So nothing is ever in a container but
  this program and PATH. After the letter may stand the number of a listening socket: then the
  sibling closes R and waits there to be started, with "go"; whoever connects hears "ready" and
  what follows, as at R.
  With ``p``, have a child open a procfs with fsopen(2), which is then that of the child's PID
  namespace, and tell the number of its descriptor in this process (or -errno) in eight bytes. This
  process ends when it is answered.
- ``PATH`` is executed as it is. On failure `enter` exits with 127 if there is no such file, with
  126 otherwise.

A shell script can call it the same way, which is how `onggi explain` loads filters.

The sources are beside this file, in assembly, and their bytes are in `programs`, for most hosts
have no assembler. ``tests/unit/test_stub_assembly.py`` compares the two; run as a program, it
writes `programs` anew.

Source: execve(2), execveat(2), memfd_create(2), F_ADD_SEALS in fcntl(2), seccomp(2) and
pid_namespaces(7); what an init does is what tini 0.19 does (src/tini.c).
"""

from __future__ import annotations

import errno
import os

from onggi.errors import Unsupported
from onggi.linux import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

ORDERS = b"ONGGI_ENTER"
REPORT_BYTES = 4
BIRTH = b"born\0\0\0\0"  # what is said before anything else by what was born elsewhere
KNOWN = b"go"  # what it waits for then
NUMBER_BYTES = 8
FILTER_FLAGS = 4  # SECCOMP_FILTER_FLAG_SPEC_ALLOW, with which F is loaded

INIT, BORN, BORN_ON_TERMINAL, PROCFS = b"i", b"u", b"t", b"p"  # modes

# STAGE_* in numbers.inc
_STAGES = (
    "execve",
    "fcntl",
    "seccomp",
    "clone",
    "rt_sigtimedwait",
    "setsid",
    "ioctl",
    "accept4",
    "write",
)

_ALL_SEALS = (
    process.F_SEAL_SEAL | process.F_SEAL_SHRINK | process.F_SEAL_GROW | process.F_SEAL_WRITE
)


def program(machine: str = "") -> bytes:
    """Return the program `enter` for `machine`, or for this one.

    Raises: Unsupported: there is none for that machine.
    """
    from onggi.runtime.stub import programs

    machine = machine or os.uname().machine
    try:
        return bytes.fromhex(programs.PROGRAMS[machine])
    except KeyError:
        known = ", ".join(programs.PROGRAMS)
        raise Unsupported(f"no entry program for machine {machine!r}", hint=known) from None


def sealed() -> int:
    """Make a sealed memory file of `enter`; the caller owns the descriptor (close-on-exec).

    One is made for each container: seals protect the content, but the file's mode could be changed
    by its owner, and root inside is often that owner.

    Raises: Unsupported: vm.memfd_noexec forbids executable memory files.
    """
    content = program()
    fd = _memory_file()
    try:
        os.write(fd, content)
        process.seal(fd, _ALL_SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _memory_file() -> int:
    """Ask for an executable file by name, which kernels before 6.3 don't understand."""
    flags = process.MFD_CLOEXEC | process.MFD_ALLOW_SEALING
    try:
        return process.memfd_create("onggi-enter", flags | process.MFD_EXEC)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return process.memfd_create("onggi-enter", flags)
        if error.errno == errno.EACCES:
            reason = "this kernel refuses executable memory files"
            raise Unsupported(reason, hint="set the sysctl vm.memfd_noexec to 0 or 1") from error
        raise


def arguments(argv: Sequence[bytes], *, init: bool = False) -> list[bytes]:
    """Return the argv of `enter` that makes `argv` the program's."""
    return [b"onggi-init" if init else b"onggi-enter", b"--", *argv]


def environment(
    path: str | bytes,
    env: Sequence[bytes],
    *,
    report_fd: int = -1,
    filter_fd: int = -1,
    label_fd: int = -1,
    label: bytes = b"",
    mode: bytes = b"",
    listener_fd: int = -1,
) -> list[bytes]:
    """Return the environment of `enter` that makes it execute `path` with `env`.

    A descriptor of -1 is none.
    """
    fds = [_number(fd) for fd in (report_fd, filter_fd, label_fd)]
    how = mode + _number(listener_fd)
    orders = ORDERS + b"=" + b",".join([*fds, how, os.fsencode(path)])
    return [orders, *([label] if label_fd >= 0 else []), *env]


def _number(fd: int) -> bytes:
    return b"%d" % fd if fd >= 0 else b""


def exec_stub(
    path: str | bytes,
    argv: Sequence[bytes],
    env: Sequence[bytes],
    *,
    report_fd: int = -1,
    filter_fd: int = -1,
    label_fd: int = -1,
    label: bytes = b"",
    mode: bytes = b"",
    listener_fd: int = -1,
    stub_fd: int = -1,
) -> NoReturn:
    """Become `enter`, and through it the program at `path`; return only by raising.

    Descriptors named here are passed on, whether or not they are close-on-exec now; the caller sees
    to all others. Signal dispositions and the mask are passed on as they are, too.

    Args:
        path: the program, as the container sees it.
        argv: its arguments, argv[0] first.
        env: its environment, entries of the form NAME=value.
        report_fd: where `enter` reports a failure.
        filter_fd: where `enter` reads a seccomp filter to load before anything else.
        label_fd: this process's directory of security attributes.
        label: what `enter` writes there.
        mode: INIT, BORN, BORN_ON_TERMINAL, PROCFS, or none.
        listener_fd: where what is born waits to be started, if it does.
        stub_fd: what `sealed` returned, for a caller that can't make it here and now.

    Raises: OSError, Unsupported: `enter` itself could not be made or executed.
    """
    program_fd = stub_fd if stub_fd >= 0 else sealed()
    for fd in (report_fd, filter_fd, label_fd, listener_fd):
        if fd >= 0:
            os.set_inheritable(fd, True)
    orders = environment(
        path,
        env,
        report_fd=report_fd,
        filter_fd=filter_fd,
        label_fd=label_fd,
        label=label,
        mode=mode,
        listener_fd=listener_fd,
    )
    words = arguments(argv, init=mode == INIT)
    process.execveat(program_fd, b"", words, orders, process.AT_EMPTY_PATH)
    raise AssertionError("execveat returned without an error")


def failure(report: bytes, path: str | bytes | None = None) -> OSError:
    """Say what a report of `enter` says: which call failed, with which errno.

    Only a failed execve is about `path`; the others name their call alone.
    """
    code = int.from_bytes(report[:2], "little")
    stage = int.from_bytes(report[2:REPORT_BYTES], "little")
    call = _STAGES[stage] if stage < len(_STAGES) else "execve"
    error = OSError(code, os.strerror(code), path if call == "execve" else None)
    error.syscall = call  # type: ignore[attr-defined]  # as onggi.linux does
    error.add_note(f"in {call}(2), on the way into the container")
    return error
