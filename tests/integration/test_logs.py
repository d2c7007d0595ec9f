"""Logs of real containers: every byte, in order, while they grow, and afterwards."""

import re
import subprocess
import time
from datetime import UTC, datetime

import pytest

from support.box import Box, until
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "busybox")

LINE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (.*)")


def logs(box: Box, *words: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(box.line("logs", *words), capture_output=True, timeout=60, check=True)


def ended(box: Box, script: str) -> str:
    """Run a script in a container of its own to its end; return the container's ID."""
    container = box.up(command=("sh", "-c", script))
    box("wait", container)
    return container


def moment() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_bytes_that_are_no_text_survive_on_both_streams(box: Box) -> None:
    every = "".join(f"\\{number:03o}" for number in range(256))
    container = ended(box, f"printf 'a{every}b'; printf '{every}' >&2")
    shown = logs(box, container)
    assert shown.stdout == b"a" + bytes(range(256)) + b"b"
    assert shown.stderr == bytes(range(256))


def test_long_line_is_one_line(box: Box) -> None:
    container = ended(box, "echo short; head -c 300000 /dev/zero | tr '\\0' x; echo; echo end")
    assert logs(box, "--tail", "2", container).stdout == b"x" * 300000 + b"\nend\n"
    stamped = logs(box, "-t", container).stdout.splitlines()
    texts = [match[1] for line in stamped if (match := LINE.fullmatch(line))]
    assert texts == [b"short", b"x" * 300000, b"end"]


def test_prompt_without_an_end_is_kept_as_it_is(box: Box) -> None:
    container = ended(box, "echo one; printf '$ '")
    assert logs(box, container).stdout == b"one\n$ "
    assert logs(box, "--tail", "1", container).stdout == b"$ "


def test_spans_of_time(box: Box) -> None:
    script = "echo one; while [ ! -e /tmp/go ]; do sleep 0.02; done; echo two; sleep 600"
    container = box.up(command=("sh", "-c", script))
    until(lambda: logs(box, container).stdout == b"one\n")
    between = moment()
    box.inside(container, "touch /tmp/go")
    until(lambda: logs(box, container).stdout == b"one\ntwo\n")
    assert logs(box, "--since", between, container).stdout == b"two\n"
    assert logs(box, "--until", between, container).stdout == b"one\n"
    assert logs(box, "--until", between, "-f", container).stdout == b"one\n"
    assert logs(box, "--since", "1h", "--tail", "1", container).stdout == b"two\n"
    # Counted first, and looked at the clock then, as Docker does.
    assert logs(box, "--until", between, "--tail", "1", container).stdout == b""


def test_followed_before_the_first_byte(box: Box) -> None:
    script = "while [ ! -e /tmp/go ]; do sleep 0.02; done; echo hello; sleep 0.3; echo bye >&2"
    container = box.up(command=("sh", "-c", script))
    with subprocess.Popen(
        box.line("logs", "-f", container), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as following:
        time.sleep(0.5)
        assert following.poll() is None
        box.inside(container, "touch /tmp/go")
        assert following.communicate(timeout=20) == (b"hello\n", b"bye\n")
        assert following.returncode == 0


def test_followed_over_rotations(box: Box) -> None:
    count = 40_000
    script = f'BEGIN {{ for (i = 0; i < {count}; i++) printf "%d %0990d\\n", i, 0 }}'
    container = box.up("--init", command=("awk", script))
    shown = logs(box, "-f", container).stdout.splitlines()
    assert [int(line.split()[0]) for line in shown] == list(range(count))
    assert len(list(box.root.glob(f"containers/{container}/log*"))) > 2
    assert logs(box, "--tail", "3", container).stdout.splitlines() == shown[-3:]


@pytest.mark.parametrize("words", [("--tail", "-1"), ("--tail", "all"), ()])
def test_everything(box: Box, words: tuple[str, ...]) -> None:
    assert logs(box, *words, ended(box, "seq 100")).stdout.split()[-1] == b"100"


def test_of_a_terminal_as_it_was_written(box: Box) -> None:
    container = box.up("-t", command=("sh", "-c", "echo one; echo two >&2"))
    box("wait", container)
    shown = logs(box, container)
    assert (shown.stdout, shown.stderr) == (b"one\r\ntwo\r\n", b"")
