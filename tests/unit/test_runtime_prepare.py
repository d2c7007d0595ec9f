"""Preparing the host for a container: all of it or nothing, and again when it vanished."""

import errno

import pytest

from onggi.runtime.failure import StartFailed
from onggi.runtime.start import prepare
from onggi.runtime.steps.base import Context, Step


class Noted(Step):
    """A step that writes down what happens to it, and fails as often as it is told."""

    __slots__ = ("diary", "failures", "name")

    def __init__(self, name: str, diary: list[str], failures: list[int] | None = None) -> None:
        self.name = name
        self.diary = diary
        self.failures = failures or []

    def apply(self, context: Context) -> None:
        if self.failures:
            raise OSError(self.failures.pop(0), "no")
        self.diary.append(f"+{self.name}")

    def undo(self) -> None:
        self.diary.append(f"-{self.name}")

    def describe(self) -> str:
        return self.name


def test_what_vanished_in_between_is_made_again() -> None:
    diary: list[str] = []
    steps: list[Step] = [Noted("one", diary), Noted("two", diary, [errno.ENOENT, errno.ENODEV])]
    prepare(steps, Context())
    assert diary == ["+one", "-one", "+one", "-one", "+one", "+two"]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EBUSY])
def test_another_failure_is_final_and_leaves_nothing(code: int) -> None:
    diary: list[str] = []
    steps: list[Step] = [Noted("one", diary), Noted("two", diary, [code])]
    with pytest.raises(StartFailed) as failed:
        prepare(steps, Context())
    assert failed.value.number == code
    assert diary == ["+one", "-one"]


def test_it_is_not_tried_for_ever() -> None:
    diary: list[str] = []
    with pytest.raises(StartFailed):
        prepare([Noted("one", diary, [errno.ENOENT] * 100)], Context())
