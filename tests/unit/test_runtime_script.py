"""The script of a plan, as text: whole, quoted, in order, and honest about what it leaves out."""

import re
import shlex
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from onggi.runtime import script
from onggi.runtime.steps.base import quote
from support.plans import HOSTS, IDENTIFIER, configuration, plan

HEADINGS = [
    "1  The host",
    "2  What the",
    "3  The first",
    "4  The file",
    "5  The only",
    "6  The pro",
]


def rendered(config: dict[str, Any] | None = None, *, kind: str = "v2", **given: Any) -> str:
    made = plan(config or configuration(), kind=kind, **given)
    files = {"hosts": "127.0.0.1\tlocalhost\n"}
    return script.render(made, directory=f"/store/explained/{IDENTIFIER}", files=files)


def without(text: str, heredocs: tuple[str, ...] = ("FIRST", "INSIDE")) -> str:
    """Return the script without the scripts that it writes down."""
    for end in heredocs:
        text = re.sub(rf"(?s)<< '{end}'\n.*?\n{end}\n", "\n", text)
    return text


@pytest.mark.parametrize("kind", HOSTS)
def test_a_shell_can_read_all_of_it(kind: str) -> None:
    text = rendered(kind=kind)
    written = re.findall(r"(?s)<< '(?:FIRST|INSIDE)'\n(.*?)\n(?:FIRST|INSIDE)\n", text)
    assert len(written) == 2
    for part in (text, *written):
        subprocess.run(["sh", "-n"], input=part, text=True, check=True, timeout=10)


def test_the_parts_come_in_the_order_of_their_numbers() -> None:
    text = rendered()
    found = [text.index(f"# ---- {heading}") for heading in HEADINGS]
    assert found == sorted(found)


def test_the_host_writes_values_before_anything_joins() -> None:
    config = configuration()
    config["linux"]["resources"]["memory"] = {"limit": 64 << 20}
    text = rendered(config)
    assert text.index("memory.max") < text.index("echo 0 > ") < text.index("--cgroup")
    assert text.index("--cgroup") < text.index("mount -t cgroup2")


def test_each_reason_is_told_once() -> None:
    lines = rendered(kind="mixed").splitlines()
    reasons = [line for line in lines if line.startswith("# m: make the file")]
    assert len(reasons) == 1


def test_the_identifier_is_told_once() -> None:
    assert rendered().count(IDENTIFIER) == 2  # of `id=`, and of the directory in the store


def test_what_it_cannot_do_is_said_at_its_head() -> None:
    assert "keyring" in rendered().split("\n{")[0]


def test_python_is_needed_only_where_a_device_program_is() -> None:
    assert "has iproute2 and python3." in rendered(kind="v2").split("\n{")[0]
    assert "python3 -IS -" in rendered(kind="v2")
    assert "python3" not in rendered(kind="v1")


def test_only_words_that_are_used_are_defined() -> None:
    config = configuration(privileged=True)
    assert "mask() {" not in rendered(config)
    assert "mask() {" in rendered()


def test_the_helper_is_there_only_if_it_is_needed() -> None:
    assert "tools/enter" not in rendered(program=b"")
    assert "tools/enter" in rendered(program=b"", init=True)
    assert "tools/filter" in rendered()


def test_without_no_new_privileges_the_filter_is_loaded_first() -> None:
    config = configuration()
    config["process"]["noNewPrivileges"] = False
    text = rendered(config)
    assert text.index("$here/enter --") < text.index("$run $here/setpriv")
    assert rendered().index("$run $here/setpriv") < rendered().index("$here/enter --")


@pytest.mark.parametrize("value", ["a\nINSIDE\nb", "INSIDE", "a\nINSIDE_\nINSIDE\n"])
def test_a_value_cannot_end_the_script_that_it_is_written_in(value: str) -> None:
    config = configuration()
    config["process"]["env"].append(f"X={value}")
    text = rendered(config)
    (end,) = re.findall(r'"\$tmp/inside" << \'(\w+)\'', text)
    body = text.split(f"<< '{end}'\n")[1].split(f"\n{end}\n")[0]
    assert "sh -c" in body.splitlines()[-1]


def test_a_command_cannot_leave_the_comment_that_tells_it() -> None:
    config = configuration()
    config["process"]["args"] = ["sh", "-c", "true\nrm -rf /\r\x1b[2J"]
    head = rendered(config).split("\n{")[0]
    assert all(line.startswith("#") or not line for line in head.splitlines())
    assert "\x1b" not in head


def test_the_same_plan_gives_the_same_script() -> None:
    assert rendered() == rendered()


@settings(max_examples=200, deadline=None)
@given(some.text(some.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_quoting_is_undone_by_reading(text: str) -> None:
    assert shlex.split(quote(text), posix=True) == [text]
