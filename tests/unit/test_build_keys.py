"""Cache keys: what changes them, and how a change is put into words."""

import pytest

from onggi.build.keys import StepInputs, explain


def inputs(**changes: object) -> StepInputs:
    values: dict[str, object] = {
        "arguments": {"V": "1"},
        "variables": {"PATH": "/bin"},
        "settings": {"user": "", "mounts": []},
        "files": {"a.py": "1", "b.py": "2", "c.py": "3"},
    }
    instruction = str(changes.pop("instruction", "COPY . /"))
    parent = ("sha256:1", *map(str, changes.pop("more", ())))  # type: ignore[call-overload]
    return StepInputs(instruction, parent, **{**values, **changes})  # type: ignore[arg-type]


def test_equal_inputs_have_equal_keys() -> None:
    assert inputs().key() == inputs().key()
    assert StepInputs.from_json(inputs().to_json()).key() == inputs().key()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"instruction": "COPY x /"}, "the instruction changed"),
        ({"arguments": {"V": "2"}}, "build arg V changed from 1 to 2"),
        ({"arguments": {"V": ""}}, "build arg V changed from 1 to nothing"),
        ({"arguments": {"V": "x" * 80}}, f"build arg V changed from 1 to {'x' * 57}..."),
        ({"arguments": {}}, "build arg V is gone"),
        ({"arguments": {"V": "1", "W": "2"}}, "build arg W is new"),
        ({"variables": {"PATH": "/usr/bin"}}, "variable PATH changed from /bin to /usr/bin"),
        ({"settings": {"user": "me", "mounts": []}}, "user changed from nothing to me"),
        ({"settings": {"user": "", "mounts": [1]}}, "mounts changed"),
        ({"files": {"a.py": "9", "b.py": "2", "c.py": "3"}}, "a.py changed"),
        ({"files": {"a.py": "1", "b.py": "2"}}, "c.py is gone"),
        ({"files": {"a.py": "1", "b.py": "2", "c.py": "3", "d.py": "4"}}, "d.py is new"),
        ({"files": {}}, "a.py is gone, b.py is gone and 1 more"),
        ({"more": ("sha256:2",)}, "an earlier step changed"),
        ({}, "its layer is no longer in the store"),
    ],
)
def test_a_change_is_explained(changes: dict[str, object], why: str) -> None:
    now = inputs(**changes)
    assert explain(inputs(), now) == why
    assert (now.key() == inputs().key()) is (not changes)


def test_the_first_time() -> None:
    assert explain(None, inputs()) == "first build of this step"


def test_the_same_again_after_a_failure() -> None:
    assert explain(inputs(), inputs(), was_made=False) == "it failed the last time"


def test_files_are_blamed_before_the_steps_above() -> None:
    now = inputs(files={"a.py": "9", "b.py": "2", "c.py": "3"}, more=("x",))
    assert explain(inputs(), now) == "a.py changed"
