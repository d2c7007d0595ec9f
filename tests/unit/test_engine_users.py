"""Who `user[:group]` is, by what an image says in its files, and by nothing else."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onggi.engine.users import MOST_BYTES, Accounts, User, read_accounts
from onggi.errors import InvalidInput

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
app:x:1000:1001:An app,,,:/home/app:/bin/sh
twin:x:1000:1002::/home/twin:/bin/sh
homeless:x:1003:1003:::
42:x:0:0:root by another name:/:/bin/sh
4294967296:x:0:0:and by one that is no number:/:/bin/sh
007:x:7:7::/bond:/bin/sh
"""
GROUP = """\
root:x:0:
daemon:x:1:
audio:x:29:app,homeless
app:x:1001:app
video:x:44:daemon,app
prefix:x:50:application,myapp
9:x:0:root
2147483648:x:0:
empty:x:60:
"""


@pytest.fixture
def accounts() -> Accounts:
    return Accounts(PASSWD, GROUP)


def told(user: User) -> tuple[int, int, tuple[int, ...], str]:
    return user.uid, user.gid, user.groups, user.home


class TestFinding:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", (0, 0, (0,), "/root")),
            ("root", (0, 0, (0,), "/root")),
            ("0", (0, 0, (0,), "/root")),
            (":", (0, 0, (0,), "/root")),
            (":audio", (0, 29, (29,), "/root")),
            # Its groups come along only where none is named.
            ("app", (1000, 1001, (1001, 29, 44), "/home/app")),
            ("app:", (1000, 1001, (1001, 29, 44), "/home/app")),
            ("app:audio", (1000, 29, (29,), "/home/app")),
            ("app:29", (1000, 29, (29,), "/home/app")),
            ("app:12345", (1000, 12345, (12345,), "/home/app")),
            # A number that has a name is that user, the first of them.
            ("1000", (1000, 1001, (1001, 29, 44), "/home/app")),
            ("twin", (1000, 1002, (1002,), "/home/twin")),
            ("1", (1, 1, (1, 44), "/usr/sbin")),
            # A number without one is nobody in particular.
            ("4321", (4321, 0, (0,), "/")),
            ("4321:8765", (4321, 8765, (8765,), "/")),
            ("4321:app", (4321, 1001, (1001,), "/")),
            ("2147483647", (2147483647, 0, (0,), "/")),
            ("homeless", (1003, 1003, (1003, 29), "/")),
            # However an image names its users, digits are a number.
            ("42", (42, 0, (0,), "/")),
            ("7", (7, 7, (7,), "/bond")),
            ("007", (7, 7, (7,), "/bond")),
            ("root:9", (0, 9, (9,), "/root")),
        ],
    )
    def test_found(
        self, accounts: Accounts, text: str, expected: tuple[int, int, tuple[int, ...], str]
    ) -> None:
        assert told(accounts.find(text)) == expected

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("nobody", "unable to find user nobody"),
            ("App", "unable to find user App"),
            ("app:nogroup", "unable to find group nogroup"),
            ("app:audio:video", "unable to find group audio:video"),
            ("2147483648", "user 2147483648 is out of range"),
            ("app:2147483648", "group 2147483648 is out of range"),
            ("-1", "user -1 is out of range"),
            ("app:-1", "group -1 is out of range"),
            # An image may call somebody so, who is not therefore meant: CVE-2026-46680.
            ("4294967296", "user 4294967296 is out of range"),
            ("9" * 5000, "user " + "9" * 5000 + " is out of range"),
            ("+5", "unable to find user +5"),
            ("0x10", "unable to find user 0x10"),
            ("1_000", "unable to find user 1_000"),
            (" 5", "unable to find user  5"),
        ],
    )
    def test_refused(self, accounts: Accounts, text: str, message: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            accounts.find(text)
        assert caught.value.message == message
        assert caught.value.hint

    def test_further_groups(self, accounts: Accounts) -> None:
        assert accounts.find("app", ["60", "video", "777"]).groups == (1001, 29, 44, 60, 777)
        assert accounts.find("4321:8765", ["audio"]).groups == (8765, 29)
        assert accounts.find("app:audio", ["audio"]).groups == (29,)

    def test_further_group_that_is_none(self, accounts: Accounts) -> None:
        with pytest.raises(InvalidInput, match="unable to find group nogroup"):
            accounts.find("app", ["nogroup"])

    def test_in_the_specification(self, accounts: Accounts) -> None:
        assert accounts.find("app").to_oci() == {
            "uid": 1000,
            "gid": 1001,
            "additionalGids": [1001, 29, 44],
        }

    @pytest.mark.parametrize("text", ["root", "app", "0:root"])
    def test_an_image_without_accounts_has_no_names(self, text: str) -> None:
        with pytest.raises(InvalidInput, match="unable to find"):
            Accounts("", "").find(text)
        assert told(Accounts("", "").find("")) == (0, 0, (0,), "/")


class TestLines:
    @pytest.mark.parametrize(
        "line",
        [
            "",
            "# a comment",
            "evil:x:0",
            "evil:x:0:0:::"[:-2],
            "evil:x::0:::",
            "evil:x:-1:0:::",
            "evil:x:+1:0:::",
            "evil:x:0x0:0:::",
            "evil:x: 0:0:::",
            "evil:x:٣:0:::",
            "evil:x:2147483648:0:::",
            "evil:x:0:2147483648:::",
            "evil:x:" + "9" * 5000 + ":0:::",
        ],
    )
    def test_lines_that_make_no_sense_are_passed_over(self, line: str) -> None:
        accounts = Accounts(f"{line}\napp:x:5:6::/app:\n", "")
        with pytest.raises(InvalidInput, match="unable to find user evil"):
            accounts.find("evil")
        assert told(accounts.find("app")) == (5, 6, (6,), "/app")

    @pytest.mark.parametrize("line", ["evil:x:0", "evil:x::", "evil:x:2147483648:", "evil:x:a:b"])
    def test_groups_that_make_no_sense_are_passed_over(self, line: str) -> None:
        accounts = Accounts("", f"{line}\naudio:x:29:\n")
        with pytest.raises(InvalidInput, match="unable to find group evil"):
            accounts.group("evil")
        assert accounts.group("audio") == 29

    @pytest.mark.parametrize("control", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
    def test_only_a_newline_ends_a_line(self, control: str) -> None:
        accounts = Accounts(f"app:x:5:5:a{control}evil:x:0:0::/:/bin/sh\n", "")
        with pytest.raises(InvalidInput, match="unable to find user evil"):
            accounts.find("evil")

    @given(st.text(max_size=80), st.text(max_size=80))
    def test_no_file_breaks_it(self, passwd: str, group: str) -> None:
        user = Accounts(passwd, group).find("12345")
        assert user.uid == 12345
        assert 0 <= user.gid < 1 << 31
        assert user.home


class TestLayers:
    """The files of stacked directories; the topmost is named first."""

    @pytest.fixture
    def trees(self, tmp_path: Path) -> list[Path]:
        for name in ("upper", "middle", "lower"):
            (tmp_path / name).mkdir()
        return [tmp_path / name for name in ("upper", "middle", "lower")]

    def put(self, tree: Path, uid: int) -> None:
        (tree / "etc").mkdir(exist_ok=True)
        (tree / "etc/passwd").write_text(f"app:x:{uid}:{uid}::/:\n")
        (tree / "etc/group").write_text(f"app:x:{uid}:\n")

    def read(self, trees: list[Path]) -> Accounts:
        return read_accounts([str(tree) for tree in trees])

    def test_the_topmost_counts(self, trees: list[Path]) -> None:
        self.put(trees[2], 3)
        assert told(self.read(trees).find("app:app"))[:2] == (3, 3)
        self.put(trees[1], 2)
        assert told(self.read(trees).find("app:app"))[:2] == (2, 2)
        self.put(trees[0], 1)
        assert told(self.read(trees).find("app:app"))[:2] == (1, 1)

    def test_each_file_by_itself(self, trees: list[Path]) -> None:
        self.put(trees[0], 1)
        self.put(trees[2], 3)
        (trees[0] / "etc/group").unlink()
        assert told(self.read(trees).find("app:app"))[:2] == (1, 3)

    def test_image_without_any(self, trees: list[Path]) -> None:
        assert self.read(trees).users == []
        assert self.read([]).groups == []

    def test_a_link_is_not_followed(self, trees: list[Path], tmp_path: Path) -> None:
        self.put(trees[2], 3)
        (tmp_path / "passwd").write_text("app:x:0:0::/:\n")
        (trees[0] / "etc").mkdir()
        (trees[0] / "etc/passwd").symlink_to(tmp_path / "passwd")
        (trees[0] / "etc/group").symlink_to("passwd")
        assert self.read(trees).users == []
        assert self.read(trees).groups == []

    def test_a_linked_directory_is_not_followed(self, trees: list[Path], tmp_path: Path) -> None:
        self.put(trees[2], 3)
        self.put(tmp_path, 0)
        (trees[0] / "etc").symlink_to(tmp_path / "etc")
        assert self.read(trees).users == []

    def test_a_file_hides_the_directory_below_it(self, trees: list[Path]) -> None:
        self.put(trees[2], 3)
        (trees[1] / "etc").write_text("no directory")
        assert self.read(trees).users == []
        self.put(trees[0], 1)
        assert [line[2] for line in self.read(trees).users] == ["1"]

    @pytest.mark.parametrize("name", ["etc", "etc/passwd"])
    def test_what_was_removed_is_not_there(self, trees: list[Path], name: str) -> None:
        self.put(trees[2], 3)
        (trees[1] / name).parent.mkdir(exist_ok=True)
        os.mknod(trees[1] / name, stat.S_IFCHR)  # a whiteout, which anybody may make
        assert self.read(trees).users == []
        assert self.read(trees[2:]).find("app").uid == 3

    @pytest.mark.parametrize("kind", ["fifo", "directory"])
    def test_other_kinds_of_files_are_nothing(self, trees: list[Path], kind: str) -> None:
        (trees[0] / "etc").mkdir()
        path = trees[0] / "etc/passwd"
        path.mkdir() if kind == "directory" else os.mkfifo(path)
        assert self.read(trees).users == []

    def test_only_the_beginning_of_a_monster_is_read(self, trees: list[Path]) -> None:
        (trees[0] / "etc").mkdir()
        padding = "#" * MOST_BYTES
        (trees[0] / "etc/passwd").write_text(f"app:x:5:5::/:\n{padding}\nlate:x:6:6::/:\n")
        assert [line[0] for line in self.read(trees).users] == ["app"]

    def test_bytes_that_are_no_text(self, trees: list[Path]) -> None:
        (trees[0] / "etc").mkdir()
        (trees[0] / "etc/passwd").write_bytes(b"\xff\xfe:x:5:5::/:\napp:x:6:6:\xff:/:\n")
        assert self.read(trees).find("app").uid == 6

    def test_nothing_stays_open(self, trees: list[Path]) -> None:
        self.put(trees[1], 2)
        before = os.listdir("/proc/self/fd")
        self.read(trees)
        assert os.listdir("/proc/self/fd") == before
