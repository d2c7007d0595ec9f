"""Build secrets lie in memory, where only root comes, and are nowhere else, ever."""

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from onggi.build.options import Secret
from onggi.build.secret_files import SecretFiles, sweep
from onggi.errors import Unsupported
from onggi.linux.fd import Fd
from onggi.store.trees import remove
from support.builds import Yard, add_busybox
from support.command import Onggi
from support.requirements import requires
from support.threats import withstands

pytestmark = requires("root", "overlayfs", "busybox")

TEXT = "t0p-secret-words"


@pytest.fixture
def memory() -> Iterator[Path]:
    """Return a directory that everybody may write to, in memory, as /dev/shm is."""
    path = Path("/dev/shm") / f"onggi-test-{os.urandom(6).hex()}"
    path.mkdir()
    path.chmod(0o1777)
    yield path
    remove(str(path))


def swept(place: Path) -> list[str]:
    with Fd(os.open(place, os.O_RDONLY)) as fd:
        sweep(fd.fileno())
    return sorted(os.listdir(place))


class TestSecretFiles:
    def test_those_of_the_killed_are_swept(self, memory: Path) -> None:
        left = memory / "onggi-secrets-dead"
        left.mkdir(mode=0o700)
        (left / "x").write_text("secret")
        (memory / "somebody else's").mkdir(mode=0o700)
        with closing(SecretFiles([str(memory)])) as living:
            path = Path(living.write(b"mine", mode=0o400, uid=0, gid=0))
            assert swept(memory) == sorted([path.parent.name, "somebody else's"])
        assert os.listdir(memory) == ["somebody else's"]

    @withstands("secrets", "names that others prepared in /dev/shm")
    def test_no_name_that_others_made_is_believed(self, memory: Path, tmp_path: Path) -> None:
        victim = tmp_path / "victim"
        victim.mkdir(mode=0o700)
        (victim / "kept").write_text("x")
        (memory / "onggi-secrets-link").symlink_to(victim)
        for name, mode, uid in (("theirs", 0o700, 65534), ("open", 0o777, 0)):
            made = memory / f"onggi-secrets-{name}"
            made.mkdir()
            (made / "kept").write_text("x")
            made.chmod(mode)
            os.chown(made, uid, uid)
        (memory / "onggi-secrets-file").write_text("x")
        names = [f"onggi-secrets-{name}" for name in ("file", "link", "open", "theirs")]
        assert swept(memory) == names
        assert [len(list((memory / name).iterdir())) for name in names[2:]] == [1, 1]
        assert (victim / "kept").exists()

    @withstands("secrets", "names that others prepared in /dev/shm")
    def test_removing_follows_no_name_that_was_exchanged(
        self, memory: Path, tmp_path: Path
    ) -> None:
        victim = tmp_path / "victim"
        victim.mkdir()
        (victim / "kept").write_text("x")
        files = SecretFiles([str(memory)])
        path = Path(files.write(b"secret", mode=0o400, uid=0, gid=0))
        moved = memory / "moved"
        path.parent.rename(moved)
        path.parent.symlink_to(victim)
        with pytest.raises(NotADirectoryError):
            files.close()
        assert (victim / "kept").exists()
        assert list(moved.iterdir()) == []  # what it held is gone all the same

    def test_a_file_is_its_readers_alone(self, memory: Path) -> None:
        with closing(SecretFiles([str(memory)])) as files:
            path = Path(files.write(b"x" * 100_000, mode=0o440, uid=1000, gid=1001))
            status, above = path.stat(), path.parent.stat()
            assert path.read_bytes() == b"x" * 100_000
            assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (1000, 1001, 0o440)
            assert (above.st_uid, above.st_mode & 0o7777) == (0, 0o700)
        assert os.listdir(memory) == []

    @pytest.mark.parametrize(("mode", "uid"), [(0o777, 0), (0o755, 65534), (0o1777, 65534)])
    def test_a_place_that_others_rule_is_passed_over(
        self, memory: Path, mode: int, uid: int
    ) -> None:
        loose = memory / "loose"
        loose.mkdir()
        loose.chmod(mode)
        os.chown(loose, uid, uid)
        link = memory / "link"
        link.symlink_to(memory)
        with pytest.raises(Unsupported, match="no tmpfs of root's"):
            SecretFiles([str(loose), str(link), "/proc", "/nosuch"]).write(
                b"", mode=0o400, uid=0, gid=0
            )
        with closing(SecretFiles([str(loose), str(memory)])) as files:
            assert Path(files.write(b"", mode=0o400, uid=0, gid=0)).parent.parent == memory


class TestWhileACommandRuns:
    """The whole engine: the command line, a container, its monitor."""

    DOCKERFILE = (
        "FROM busybox\n"
        "RUN --mount=type=secret,id=file --mount=type=secret,id=variable,env=WORD "
        'test -s /run/secrets/file -a -n "$WORD" && echo ready && read -r _ < /go/go; {end}\n'
    )

    @pytest.fixture
    def jar(self, onggi: Onggi, tmp_path: Path) -> Onggi:
        onggi("bootstrap", "busybox")
        (tmp_path / "word").write_text(TEXT)
        return onggi

    @withstands("secrets", "a build's secrets left in layers, records, cache keys or messages")
    def test_it_is_in_no_file_of_the_store(
        self, jar: Onggi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WORD", TEXT)
        text = self.DOCKERFILE.format(end="true").replace(
            "RUN ", "RUN --mount=type=cache,id=gate,target=/go "
        )
        text = text.replace("echo ready", "mkfifo /go/go")
        (tmp_path / "Dockerfile").write_text(text)
        secrets = ("--secret", f"id=file,src={tmp_path}/word", "--secret", "id=variable,env=WORD")
        building = jar.start("build", *secrets, "-t", "made", str(tmp_path))
        try:
            fifo = wait_for_fifo(jar.root / "cache")
            assert holders(jar.root) == []
            assert holders(jar.root / "run") == []
            with fifo.open("w") as gate:
                gate.write("go\n")
        finally:
            _, errors = building.communicate(timeout=60)
        assert building.returncode == 0, errors
        assert TEXT not in errors
        assert holders(jar.root) == []
        for told in (jar("history", "--no-trunc", "made"), jar("inspect", "made")):
            assert TEXT not in told.stdout

    @pytest.mark.parametrize("end", ["exit 3", "/nosuch", "exec /etc/passwd"])
    @withstands("secrets", "a build's secrets left in layers, records, cache keys or messages")
    def test_it_is_in_no_message(
        self, jar: Onggi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
    ) -> None:
        monkeypatch.setenv("WORD", TEXT)
        text = self.DOCKERFILE.format(end=end).replace("&& read -r _ < /go/go", "")
        (tmp_path / "Dockerfile").write_text(text)
        secrets = ("--secret", f"id=file,src={tmp_path}/word", "--secret", "id=variable,env=WORD")
        for progress in ("plain", "auto"):
            done = jar.attempt("build", "--progress", progress, *secrets, str(tmp_path))
            assert done.returncode != 0
            assert "ready" in done.stdout + done.stderr
            assert TEXT not in done.stdout + done.stderr
        assert holders(jar.root) == []

    def test_one_that_no_variable_can_hold_is_not_shown(self, jar: Onggi, tmp_path: Path) -> None:
        (tmp_path / "word").write_bytes(TEXT.encode() + b"\0")
        long = tmp_path / "long"
        long.write_text(TEXT * 30_000)
        (tmp_path / "Dockerfile").write_text(
            "FROM busybox\nRUN --mount=type=secret,id=s,env=S true\n"
        )
        for source in (tmp_path / "word", long):
            done = jar.attempt("build", "--secret", f"id=s,src={source}", str(tmp_path))
            assert done.returncode != 0
            assert len(done.stderr) < 2000
            assert TEXT not in done.stdout + done.stderr


def wait_for_fifo(place: Path) -> Path:
    for _ in range(3000):
        found = [path for path in place.rglob("go") if path.is_fifo()]
        if found:
            return found[0]
        threading.Event().wait(0.01)
    raise AssertionError("the command did not begin")


def holders(place: Path) -> list[str]:
    """Return the files below a directory that hold the secret."""
    files = (Path(folder, name) for folder, _, names in os.walk(place) for name in names)
    plain = (path for path in files if path.is_file() and not path.is_symlink())
    return [str(path) for path in plain if TEXT.encode() in path.read_bytes()]


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    add_busybox(yard.store)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def feed() -> None:
        with fifo.open("wb") as out:
            for _ in range(40):
                out.write(b"0123456789" * 1000)
                out.flush()

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        text = "FROM busybox\nRUN --mount=type=secret,id=s ls -ln /run/secrets\n"
        yard.build(text, secrets=[Secret("s", file=str(fifo))])
        assert " 400000 " in yard.output
    finally:
        feeder.join(timeout=10)
        yard.store.close()
