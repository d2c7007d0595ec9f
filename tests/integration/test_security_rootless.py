"""`onggi security` as an ordinary user runs it: whose rights are at stake is said."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support.ordinary import UID, Ordinary, ordinary_user
from support.requirements import requires

pytestmark = requires("root", "shared-python", "overlayfs", "busybox", "user-namespaces")


@pytest.fixture
def user() -> Iterator[Ordinary]:
    with ordinary_user() as user:
        user("bootstrap", "busybox")
        yield user


def told(user: Ordinary, *words: str) -> Any:
    return json.loads(user("security", "--format", "json", *words).stdout)


def findings(report: Any) -> dict[str, tuple[str, str]]:
    return {one["Name"]: (one["Severity"], one["What"]) for one in report["Findings"]}


def test_root_inside_is_the_user(user: Ordinary) -> None:
    container = user("run", "-d", "busybox", "sleep", "600").stdout.strip()
    seen, planned = told(user, container), told(user, "busybox")
    assert (seen["Basis"], planned["Basis"]) == ("kernel", "plan")
    for report in (seen, planned):
        severity, what = findings(report)["rights:user"]
        assert (severity, what.split()[-2]) == ("ok", str(UID))
        assert report["Summary"]["high"] == 0
        assert report["Facts"]["rights"]["HostUid"] == UID
    assert seen["Facts"]["capabilities"] == planned["Facts"]["capabilities"]
    opened = user("exec", container, "sh", "-c", OPEN).stdout.split()
    assert sorted(seen["Facts"]["kernel-files"]["Writable"]) == sorted(opened)


# Prints each file of /proc/sys and /sys that opens for writing; nothing is written.
OPEN = """
find /proc/[!0-9]* /sys -type f \\( -perm -200 -o -perm -20 -o -perm -2 \\) 2>/dev/null |
grep -v '^/proc/self\\|^/proc/thread-self' |
while read -r path; do (: >> "$path") 2>/dev/null && echo "$path"; done
true
"""


@pytest.mark.parametrize(
    ("name", "controller"), [("pids", "pids"), ("memory", "memory"), ("cpus", "cpu")]
)
def test_no_limit_is_advised_that_would_be_refused(
    user: Ordinary, name: str, controller: str
) -> None:
    """Nothing was delegated to this user."""
    report = told(user, "busybox")
    assert f"takes the {controller} controller" in findings(report)[f"bounds:{name}"][1]
    text = user("security", "busybox").stdout
    assert not [word for word in ("--pids-limit", "--memory", "--cpus") if word in text]
    container = user("run", "-d", "busybox", "sleep", "600").stdout.strip()
    option = {"pids": "--pids-limit=99", "memory": "--memory=99m", "cpus": "--cpus=1"}[name]
    done = user.run("onggi", "update", option, container)
    assert done.returncode == 1
    assert "was not delegated to this user here" in done.stderr


def test_the_user_s_files_are_the_user_s(user: Ordinary) -> None:
    words = ("-v", f"{user.home}:/mine", "busybox")
    assert findings(told(user, *words))["mount:writable:/mine"][0] in ("low", "medium")
    closed = ("-v", f"{user.home}:/mine:ro", "busybox")
    assert findings(told(user, *closed))["mount:writable:/mine"][0] == "ok"
