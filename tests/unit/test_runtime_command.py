"""The OCI runtime's command line and its reading of configurations, without a kernel."""

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from onggi.errors import OnggiError
from onggi.runtime.command import bundle, output, schema
from onggi.runtime.command.words import Command, Option, UsageError, Words, parse
from support.oci_runtimes import configuration
from support.plans import HOSTS, host

COMMAND = Command(
    "CONTAINER [SIGNAL]",
    1,
    2,
    Option("all", "", short="a"),
    Option("detach", "", short="d"),
    Option("bundle", "DIR", short="b"),
    Option("fds", "N"),
)
TAIL = Command("CONTAINER COMMAND", 1, None, Option("tty", "", short="t"), interspersed=False)


@pytest.mark.parametrize(
    "line", ["--bundle B -d c", "-bundle=B c --detach", "-b B -d=true c", "-db B c", "--b B -d c"]
)
def test_spellings_of_options(line: str) -> None:
    words = parse(COMMAND, line.split(), "run")
    assert words.arguments == ["c"]
    assert words.text("bundle") == "B"
    assert words.has("detach")
    assert not words.has("all")


def test_a_switch_turned_off() -> None:
    assert not parse(COMMAND, ["--all", "--all=false", "c"], "kill").has("all")


def test_what_follows_belongs_to_the_program() -> None:
    words = parse(TAIL, ["-t", "c", "ls", "-t", "--", "-l"], "exec")
    assert words.arguments == ["c", "ls", "-t", "--", "-l"]


def test_two_hyphens_end_the_options() -> None:
    assert parse(COMMAND, ["--", "-d"], "kill").arguments == ["-d"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--nope c", "not defined: -nope"),
        ("c --bundle", "needs an argument: -bundle"),
        ("--all=perhaps c", "invalid boolean value 'perhaps'"),
        ("", "requires a minimum of 1"),
        ("a b c", "requires a maximum of 2"),
    ],
)
def test_words_that_are_refused(line: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse(COMMAND, line.split(), "kill")


@pytest.mark.parametrize("text", ["x", "", "1x", "--1", "9" * 30, "٣"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(UsageError):
        Words({"fds": [text]}, []).number("fds")


def test_json_in_lines() -> None:
    value = {"a": [1, {"b": []}], "c": {}, "d": "x\ny"}
    assert json.loads(output.indented(value)) == value
    assert output.indented(value) == json.dumps(value, indent=2)


def document(root: Path) -> dict[str, Any]:
    """Return a configuration with something in every part."""
    config = configuration("sh", "-c", "true", identifier="jar")
    config["root"]["path"] = str(root)
    config["annotations"] = {"key": "value"}
    config["process"] |= {
        "user": {"uid": 1, "gid": 1, "umask": 18, "additionalGids": [5]},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}],
        "oomScoreAdj": 100,
    }
    config["linux"] |= {
        "sysctl": {"net.ipv4.ip_forward": "1"},
        "resources": {
            "memory": {"limit": 1 << 27, "swap": 1 << 28},
            "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"},
            "pids": {"limit": 10},
            "devices": [{"allow": False, "access": "rwm"}],
        },
        "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}],
        "seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
        },
    }
    return config


ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1 << 63, 1 << 64, 1.5, "", "x", "\0", "../..", "a\nb", "/", "\udc80", [], {},
    [[]], {"": ""}, ["x"], "CAP_NOPE", "SCMP_ACT_NOPE", "99:99", "é" * 5000,
)  # fmt: skip


def mutated(config: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Return a configuration with a few of its members changed, added or gone."""
    config = copy.deepcopy(config)
    for _ in range(chance.randint(1, 4)):
        where: Any = config
        while isinstance(where, dict | list) and where:
            keys = list(where) if isinstance(where, dict) else list(range(len(where)))
            key = chance.choice(keys)
            if not isinstance(where[key], dict | list) or not where[key] or chance.random() < 0.2:
                if chance.random() < 0.2:
                    del where[key]
                else:
                    where[key] = copy.deepcopy(chance.choice(ODD))
                break
            where = where[key]
    return config


@pytest.mark.parametrize("seed", range(20))
def test_a_broken_configuration_is_refused_or_planned(seed: int, tmp_path: Path) -> None:
    from onggi.runtime.command.launching import plan_on

    chance = random.Random(seed)
    whole = document(tmp_path)
    file = tmp_path / "config.json"
    for _ in range(500):
        file.write_text(json.dumps(mutated(whole, chance)))
        try:
            config = bundle.read(str(tmp_path), "", lambda _warning: None)
            plan = plan_on(config, "jar", host(chance.choice(list(HOSTS))), f"{tmp_path}/cache")
        except OnggiError:
            continue
        assert [step.describe() for step in plan.steps()]


def test_the_whole_one_is_planned(tmp_path: Path) -> None:
    from onggi.runtime.command.launching import plan_on

    (tmp_path / "config.json").write_text(json.dumps(document(tmp_path)))
    config = bundle.read(str(tmp_path), "", lambda warning: pytest.fail(warning))
    for kind in HOSTS:
        assert plan_on(config, "jar", host(kind), f"{tmp_path}/cache").steps()


def test_null_is_absent() -> None:
    value = {"args": None, "cwd": "/", "user": {"uid": None}}
    assert schema.conform(value, schema.PROCESS, "process") == {"cwd": "/", "user": {}}


def test_a_refusal_names_the_member() -> None:
    with pytest.raises(OnggiError, match=r"^process\.env\[1\] is not text"):
        schema.conform({"cwd": "/", "env": ["A=b", 5]}, schema.PROCESS, "process")
