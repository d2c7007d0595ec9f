"""Devices, terminals and the loopback interface."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.linux import device, interface, mount, terminal
from onggi.linux.fd import Fd
from support.child import run_in_child
from support.requirements import requires

pytestmark = requires("root")


def test_struct_sizes() -> None:
    assert interface.IFREQ.size == 40
    assert terminal.TERMIOS.size == 36
    assert terminal.WINSIZE.size == 8


def test_a_device_node_is_made_and_proven(root_dir: Path) -> None:
    with Fd(os.open(root_dir, os.O_PATH | os.O_CLOEXEC)) as directory:
        device.mknod(directory, "null", stat.S_IFCHR | 0o600, *device.NULL)
        with Fd(os.open(root_dir / "null", os.O_PATH | os.O_CLOEXEC)) as node:
            device.verify_device(node, *device.NULL)
            with pytest.raises(OSError, match="No such device") as caught:
                device.verify_device(node, *device.ZERO)
            assert caught.value.errno == errno.ENODEV
            assert "expected device 1:5" in caught.value.__notes__[-1]
        with pytest.raises(FileExistsError) as exists:
            device.mknod(directory, "null", stat.S_IFCHR | 0o600, *device.NULL)
        assert exists.value.filename == "null"
        assert vars(exists.value)["syscall"] == "mknodat"


@pytest.mark.parametrize("kind", ["file", "block device", "link"])
def test_what_only_looks_like_a_device_is_refused(root_dir: Path, kind: str) -> None:
    path = root_dir / "null"
    if kind == "file":
        path.touch()
    elif kind == "link":
        path.symlink_to("/dev/null")
    else:
        os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(*device.NULL))
    with (
        Fd(os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)) as found,
        pytest.raises(OSError, match="No such device"),
    ):
        device.verify_device(found, *device.NULL)


def in_own_devpts(root_dir: Path) -> Fd:
    mount.mount("devpts", str(root_dir), "devpts", 0, "newinstance,ptmxmode=0666,mode=620")
    return Fd(os.open(root_dir, os.O_PATH | os.O_CLOEXEC))


def test_a_terminal_of_ones_own(root_dir: Path) -> None:
    def body() -> None:
        with in_own_devpts(root_dir) as devpts:
            master, slave = map(Fd, terminal.open_pty(devpts))
        with master, slave:
            assert not os.get_inheritable(master.fileno())
            assert not os.get_inheritable(slave.fileno())
            assert terminal.pty_number(master) == 0
            assert os.isatty(slave.fileno())
            assert os.path.samestat(os.fstat(slave.fileno()), os.stat(root_dir / "0"))

    run_in_child(body, "mount")


@pytest.fixture
def device_dir() -> Iterator[Path]:
    """Give a directory where device files work: what is mounted elsewhere is often nodev."""
    with tempfile.TemporaryDirectory(prefix="onggi-test-", dir="/dev") as folder:
        yield Path(folder)


def test_a_fake_ptmx_is_refused(device_dir: Path) -> None:
    (device_dir / "ptmx").symlink_to("/dev/null")
    with Fd(os.open(device_dir, os.O_PATH | os.O_CLOEXEC)) as directory:
        with pytest.raises(OSError, match="symbolic links"):
            terminal.open_pty(directory)
        (device_dir / "ptmx").unlink()
        os.mknod(device_dir / "ptmx", stat.S_IFCHR | 0o666, os.makedev(*device.ZERO))
        with pytest.raises(OSError, match="No such device"):
            terminal.open_pty(directory)


def test_size_and_raw_mode() -> None:
    master, slave = map(Fd, terminal.open_pty())
    with master, slave:
        terminal.set_size(master, 24, 80)
        assert terminal.get_size(slave) == (24, 80)
        saved = terminal.make_raw(slave)
        os.write(master.fileno(), b"a\x03\r")
        assert os.read(slave.fileno(), 10) == b"a\x03\r"
        os.write(slave.fileno(), b"x\n")
        assert os.read(master.fileno(), 10) == b"x\n"
        terminal.restore(slave, saved)
        os.write(slave.fileno(), b"x\n")
        assert os.read(master.fileno(), 10) == b"x\r\n"


def test_raw_mode_is_what_the_standard_library_makes_of_it() -> None:
    import termios
    import tty

    master, slave = map(Fd, terminal.open_pty())
    with master, slave:
        saved = terminal.make_raw(slave)
        ours = termios.tcgetattr(slave.fileno())
        terminal.restore(slave, saved)
        theirs = termios.tcgetattr(slave.fileno())
        theirs[0] &= ~0o2753
        theirs[1] &= ~termios.OPOST
        theirs[2] = theirs[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        theirs[3] &= ~(
            termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN
        )
        assert ours[:6] == theirs[:6]
        assert ours[6][termios.VMIN] in (1, b"\x01")
        assert tty.LFLAG == 3


def test_a_controlling_terminal() -> None:
    def body() -> None:
        os.setsid()
        master, slave = map(Fd, terminal.open_pty())
        with pytest.raises(OSError, match="No such device"):
            os.open("/dev/tty", os.O_RDWR)
        terminal.set_controlling(slave)
        with Fd(os.open("/dev/tty", os.O_RDWR)) as tty:
            assert os.isatty(tty.fileno())
        assert os.tcgetpgrp(slave.fileno()) == os.getpgrp()
        slave.close()
        master.close()

    import signal

    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run_in_child(body)
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_what_is_no_terminal_is_an_error() -> None:
    with Fd(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)) as null:
        with pytest.raises(OSError, match="Inappropriate ioctl") as caught:
            terminal.get_size(null)
        assert caught.value.errno == errno.ENOTTY


def test_the_loopback_comes_up() -> None:
    def body() -> None:
        import socket

        assert not interface.flags() & interface.IFF_UP
        interface.loopback_up()
        interface.loopback_up()
        assert interface.flags() & interface.IFF_UP
        with socket.socket() as server, socket.socket() as client:
            server.bind(("127.0.0.1", 0))
            server.listen()
            client.connect(server.getsockname())
        with pytest.raises(OSError, match="No such device"):
            interface.flags(b"nothing0")

    run_in_child(body, "network")
