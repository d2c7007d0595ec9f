"""Steps on the process itself: what it may use, who it is, and the program it becomes.

All of them act on the calling process alone and come last, after the file tree is final. By then
the host's files are out of reach, so nothing here may be imported at the last moment.
"""

from __future__ import annotations

import errno
import os
import stat

from onggi.linux import capability, process, procfs, seccomp, terminal
from onggi.runtime.steps.base import Context, Step, quote
from onggi.runtime.stub import stub

_MOST_PASSWD_BYTES = 1 << 20
# Where setgroups(2) is denied there are none to gain, nor can any be let go of.
CLEAR_GROUPS = (
    '"$(read -r said < /proc/self/setgroups; '
    '[ "$said" = deny ] && echo --keep-groups || echo --clear-groups)"'
)
_SETGID = 1 << capability.NUMBERS["CAP_SETGID"]


class WriteSysctl(Step):
    """Set a kernel parameter of the process's own namespaces."""

    __slots__ = ("name", "value")

    def __init__(self, name: str, value: str) -> None:
        self.name = name  # with dots, as in sysctl(8)
        self.value = value

    def apply(self, context: Context) -> None:
        proc_fd = procfs.open_proc()
        try:
            procfs.write(proc_fd, "sys/" + self.name.replace(".", "/"), self.value)
        finally:
            os.close(proc_fd)

    def describe(self) -> str:
        return f"set the kernel parameter {self.name} to {self.value}"

    def shell(self) -> list[str]:
        target = "/proc/sys/" + self.name.replace(".", "/")
        return [f"printf %s {quote(self.value)} > {quote(target)}"]


class SetOomScore(Step):
    """Tell the kernel how readily to choose this process when memory runs out."""

    __slots__ = ("value",)

    def __init__(self, value: int) -> None:
        self.value = value  # -1000 to 1000

    def apply(self, context: Context) -> None:
        proc_fd = procfs.open_proc()
        try:
            procfs.write(proc_fd, f"{context.pid or 'self'}/oom_score_adj", str(self.value))
        except PermissionError as error:
            error.add_note("lowering it takes CAP_SYS_RESOURCE on the host")
            raise
        finally:
            os.close(proc_fd)

    def describe(self) -> str:
        return f"set the out-of-memory score adjustment to {self.value}"

    def shell(self) -> list[str]:
        return self.shell_on("")

    def shell_on(self, process: str) -> list[str]:
        return [f"echo {self.value} > {_oom_score_file(process)}"]


class EndOomExemption(Step):
    """Let the kernel choose this process as readily as any other when memory runs out.

    Services are often started with a negative score, so that they survive; what a container
    inherits of it would have other programs of the host killed for the container's memory.
    """

    __slots__ = ()

    def apply(self, context: Context) -> None:
        proc_fd = procfs.open_proc()
        try:
            file = f"{context.pid or 'self'}/oom_score_adj"
            if procfs.read(proc_fd, file).startswith(b"-"):
                procfs.write(proc_fd, file, "0")
        finally:
            os.close(proc_fd)

    def describe(self) -> str:
        return "end an exemption from being chosen when memory runs out"

    def shell(self) -> list[str]:
        return self.shell_on("")

    def shell_on(self, process: str) -> list[str]:
        file = _oom_score_file(process)
        return [f'[ "$(cat {file})" -ge 0 ] || echo 0 > {file}']


class SetLimit(Step):
    """Set one resource limit (setrlimit(2))."""

    __slots__ = ("hard", "name", "soft")

    def __init__(self, name: str, soft: int, hard: int) -> None:
        self.name = name  # "RLIMIT_NOFILE"
        self.soft = soft  # in the limit's own unit; -1 is unlimited
        self.hard = hard

    def apply(self, context: Context) -> None:
        number = process.RLIMITS[self.name]
        try:
            process.setrlimit(number, self.soft, self.hard, context.pid)
        except PermissionError as error:
            most = process.getrlimit(number, context.pid)[1]
            error.add_note(f"this host allows us at most {_limit(most)}")
            raise

    def describe(self) -> str:
        return f"limit {self.name} to {_limit(self.soft)} (hard {_limit(self.hard)})"

    def shell(self) -> list[str]:
        return self.shell_on("")

    def shell_on(self, process: str) -> list[str]:
        option = self.name.removeprefix("RLIMIT_").lower()
        values = f"{_limit(self.soft)}:{_limit(self.hard)}"
        return [f"prlimit --pid {process or '$$'} --{option}={values}"]


def _oom_score_file(process: str) -> str:
    return f"/proc/{process or 'self'}/oom_score_adj"


class SetUmask(Step):
    """Set the mask of permission bits that new files never get."""

    __slots__ = ("mask",)

    def __init__(self, mask: int) -> None:
        self.mask = mask

    def apply(self, context: Context) -> None:
        os.umask(self.mask)

    def describe(self) -> str:
        return f"set the umask to {self.mask:04o}"

    def shell(self) -> list[str]:
        return [f"umask {self.mask:04o}"]


class NewKeyring(Step):
    """Join a new session keyring, so that the host's keys are out of reach (keyrings(7))."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def apply(self, context: Context) -> None:
        try:
            process.join_session_keyring(self.name)
        except OSError as error:
            # A kernel without CONFIG_KEYS has no keyring to leak.
            if error.errno != errno.ENOSYS:
                raise

    def describe(self) -> str:
        return "join a new session keyring"

    def shell(self) -> list[str]:
        return []  # no common program does it: the script's head says what is missing


class NewSession(Step):
    """Lead a new session, with the container's terminal as its own where it has one."""

    __slots__ = ("terminal",)

    def __init__(self, *, terminal: bool) -> None:
        self.terminal = terminal

    def apply(self, context: Context) -> None:
        if os.getsid(0) != os.getpid():
            os.setsid()
        if not self.terminal:
            return
        terminal.set_controlling(context.terminal_fd)
        for standard in (0, 1, 2):
            os.dup2(context.terminal_fd, standard, inheritable=True)

    def describe(self) -> str:
        return "lead a new session" + (" on the container's terminal" if self.terminal else "")

    def shell(self) -> list[str]:
        return []  # setsid(1), with which the script's frame starts the first process


class PrivilegeStep(Step):
    """A step that setpriv(1) takes as options, so that the script needs one command for them."""

    __slots__ = ()

    def options(self) -> list[str]:
        """Return the options of setpriv(1) that have this effect."""
        raise NotImplementedError(type(self).__name__)

    def shell(self) -> list[str]:
        return []


class NoNewPrivileges(PrivilegeStep):
    """Never gain privileges by executing a program (PR_SET_NO_NEW_PRIVS); there is no way back."""

    __slots__ = ()

    def apply(self, context: Context) -> None:
        process.set_no_new_privs()

    def describe(self) -> str:
        return "never gain privileges by executing a program (no_new_privs)"

    def options(self) -> list[str]:
        return ["--no-new-privs"]


class LimitBoundingSet(PrivilegeStep):
    """Drop every capability but these from the bounding set, for good."""

    __slots__ = ("names",)

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def apply(self, context: Context) -> None:
        capability.drop_bounding(capability.mask(self.names))

    def describe(self) -> str:
        return f"keep {_few(self.names)} in the bounding set, drop the rest"

    def options(self) -> list[str]:
        return [f"--bounding-set={_setpriv(self.names)}"]


class SwitchUser(PrivilegeStep):
    """Become another user, with its groups; the capabilities stay for the step that sets them.

    Where a user namespace denies setgroups(2), nobody can let go of the groups he came with, nor
    gains any: no groups are then asked for.
    """

    __slots__ = ("gid", "groups", "uid")

    def __init__(self, uid: int, gid: int, groups: tuple[int, ...]) -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups

    def apply(self, context: Context) -> None:
        process.set_keepcaps(True)
        self._set_groups()
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)
        process.set_keepcaps(False)
        # The kernel has just set this anew, to the host's fs.suid_dumpable (commit_creds), which
        # may be 1: the user's programs inside could trace us while we are still Python.
        process.set_dumpable(False)

    def _set_groups(self) -> None:
        try:
            os.setgroups(self.groups)
        except PermissionError as error:
            # With the capability it is the namespace that forbids it: kernel/groups.c.
            if self.groups or not capability.capget()[0] & _SETGID:
                error.add_note("in setgroups(2)")
                raise

    def describe(self) -> str:
        more = f" and groups {', '.join(map(str, self.groups))}" if self.groups else ""
        return f"become user {self.uid}, group {self.gid}{more}"

    def options(self) -> list[str]:
        listed = ",".join(map(str, self.groups))
        groups = f"--groups={listed}" if self.groups else CLEAR_GROUPS
        return [f"--reuid={self.uid}", f"--regid={self.gid}", groups]


class SetCapabilities(PrivilegeStep):
    """Set the four capability sets that a process can set; names as in capabilities(7)."""

    __slots__ = ("ambient", "effective", "inheritable", "permitted")

    def __init__(
        self,
        *,
        effective: tuple[str, ...],
        permitted: tuple[str, ...],
        inheritable: tuple[str, ...],
        ambient: tuple[str, ...],
    ) -> None:
        self.effective = effective
        self.permitted = permitted
        self.inheritable = inheritable
        self.ambient = ambient

    def apply(self, context: Context) -> None:
        capability.capset(
            capability.mask(self.effective),
            capability.mask(self.permitted),
            capability.mask(self.inheritable),
        )
        capability.ambient_clear()
        for name in self.ambient:
            capability.ambient_raise(capability.NUMBERS[name])

    def describe(self) -> str:
        return f"hold {_few(self.effective)}; pass on {_few(self.inheritable)}"

    def options(self) -> list[str]:
        return [
            f"--inh-caps={_setpriv(self.inheritable)}",
            f"--ambient-caps={_setpriv(self.ambient)}",
        ]


class FindHome(Step):
    """Look the user's home directory up in the container's own /etc/passwd, for $HOME.

    Source: runc libcontainer/init_linux.go, setupUser.
    """

    __slots__ = ("uid",)

    def __init__(self, uid: int) -> None:
        self.uid = uid

    def apply(self, context: Context) -> None:
        context.home = self._look_up()

    def _look_up(self) -> str:
        try:
            fd = os.open("/etc/passwd", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return "/"
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return "/"
            text = os.read(fd, _MOST_PASSWD_BYTES).decode("utf-8", "surrogateescape")
        finally:
            os.close(fd)
        for line in text.splitlines():
            fields = line.split(":")
            if len(fields) == 7 and fields[2] == str(self.uid) and "\0" not in fields[5]:
                return fields[5] or "/"
        return "/"

    def describe(self) -> str:
        return f"look the home directory of user {self.uid} up"

    def shell(self) -> list[str]:
        return []  # whoever writes a script's environment knows it


class ChangeDirectory(Step):
    """Enter the working directory and prove that it lies inside the root.

    A name like /proc/self/fd/7 could lead to a directory of the host that was left open; the
    kernel then has no path for it below our root and getcwd(2) says so (CVE-2024-21626).
    """

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def apply(self, context: Context) -> None:
        os.chdir(self.path)
        if not os.getcwd().startswith("/"):
            raise OSError(errno.EPERM, "the working directory lies outside the root", self.path)

    def describe(self) -> str:
        return f"enter {self.path}"

    def shell(self) -> list[str]:
        return []  # env(1) does it, last of the host's programs: see the script's frame


class LoadFilter(Step):
    """Load the seccomp filter; from here on the process makes only the calls it allows."""

    __slots__ = ("flags", "program")

    def __init__(self, program: bytes, flags: int = 0) -> None:
        self.program = program
        self.flags = flags

    def apply(self, context: Context) -> None:
        seccomp.load_filter(self.program, self.flags)

    def describe(self) -> str:
        return f"load the seccomp filter ({len(self.program) // 8} instructions)"

    def shell(self) -> list[str]:
        return []  # the script's frame runs its small helper for this

    def argument(self) -> str:
        return f"{len(self.program)} bytes"

    def __repr__(self) -> str:
        return f"LoadFilter(<{len(self.program) // 8} instructions>, flags={self.flags})"


class Execute(Step):
    """Become the user's program; with `init`, stay behind as its reaper.

    Between Python and the program runs a sealed program of a few hundred bytes, so that nothing
    inside can ever reach the interpreter through /proc/self/exe (CVE-2019-5736).
    """

    __slots__ = ("argv", "env", "init", "passed_fds")

    def __init__(
        self,
        argv: tuple[str, ...],
        env: tuple[str, ...],
        *,
        init: bool = False,
        passed_fds: int = 0,
    ) -> None:
        self.argv = argv
        self.env = env
        self.init = init
        self.passed_fds = passed_fds  # how many descriptors above standard error it gets

    def apply(self, context: Context) -> None:
        program = self.find()
        home = [f"HOME={context.home}"] if context.home else []
        close_all_but(context.report_fd, 3 + self.passed_fds)
        stub.exec_stub(
            program,
            [os.fsencode(word) for word in self.argv],
            [os.fsencode(entry) for entry in (*self.env, *home)],
            report_fd=context.report_fd,
            filter_fd=context.filter_fd,
            label_fd=context.label_fd,
            label=context.label,
            mode=context.mode or (stub.INIT if self.init else b""),
            listener_fd=context.listener_fd,
            stub_fd=context.stub_fd,
        )

    def find(self) -> str:
        """Return the program's path, searched for in the container's own PATH."""
        name = self.argv[0]
        if "/" in name:
            return name
        denied = False
        for directory in self._search_path():
            candidate = f"{directory or '.'}/{name}"
            if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
                return candidate
            denied = denied or os.path.isfile(candidate)
        if denied:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), name)
        raise OSError(errno.ENOENT, "executable file not found in $PATH", name)

    def _search_path(self) -> list[str]:
        for entry in self.env:
            if entry.startswith("PATH="):
                return entry[5:].split(":")
        return []

    def describe(self) -> str:
        how = "run, as a child of a small init," if self.init else "become"
        return f"{how} {' '.join(map(quote, self.argv))}"

    def shell(self) -> list[str]:
        return []  # the last line of the script, made by its frame

    def argument(self) -> str:
        return self.argv[0]


def close_all_but(kept_fd: int, first: int = 3) -> None:
    """Mark every descriptor from `first` on to be closed at exec, but for `kept_fd`.

    Nothing of ours may reach the program (CVE-2024-21626); the stub itself closes the one it
    reports through.
    """
    process.close_range(first, process.LAST_FD, process.CLOSE_RANGE_CLOEXEC)
    if kept_fd >= 0:
        os.set_inheritable(kept_fd, True)


def _few(names: tuple[str, ...]) -> str:
    if not names:
        return "no capabilities"
    if len(names) == len(capability.NUMBERS):
        return "all capabilities"
    return f"{len(names)} capabilit{'y' if len(names) == 1 else 'ies'}"


def _setpriv(names: tuple[str, ...]) -> str:
    """Return the list in setpriv(1)'s words: nothing, then each name without its prefix."""
    return ",".join(["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in names)])


def _limit(value: int) -> str:
    return "unlimited" if value in (-1, 2**64 - 1) else str(value)
