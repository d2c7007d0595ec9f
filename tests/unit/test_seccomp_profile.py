"""The default profile is Docker's, and conditions are read as Docker reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onggi.errors import InvalidInput, Unsupported
from onggi.runtime.seccomp import default
from onggi.runtime.seccomp.profile import default_profile, kernel_version, resolve
from support.specifications import specification


def canonical(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document without comments, empty lists and the order of its rules."""
    rules = [{k: v for k, v in rule.items() if k != "comment"} for rule in document["syscalls"]]
    machines = [
        (entry["architecture"], entry["subArchitectures"] or []) for entry in document["archMap"]
    ]
    return {
        **document,
        "archMap": machines,
        "syscalls": sorted(json.dumps(rule, sort_keys=True) for rule in rules),
    }


def test_default_profile_is_the_published_one() -> None:
    published = json.loads(specification("seccomp/default.json").read_text())
    assert canonical(default.document()) == canonical(published)


def names(profile: dict[str, Any]) -> set[str]:
    return {name for rule in profile["syscalls"] for name in rule["names"]}


def test_capabilities_open_their_calls() -> None:
    assert "reboot" not in names(default_profile([]))
    assert "reboot" in names(default_profile(["CAP_SYS_BOOT"]))


def test_who_may_make_namespaces_calls_clone_as_it_is() -> None:
    privileged = [
        r for r in default_profile(["CAP_SYS_ADMIN"])["syscalls"] if "clone" in r["names"]
    ]
    assert [rule.get("args") for rule in privileged] == [None]
    rules = [r for r in default_profile([])["syscalls"] if {"clone", "clone3"} & set(r["names"])]
    assert [rule["action"] for rule in rules] == ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"]
    assert rules[0]["args"][0]["index"] == 0


def test_machines_have_their_own_calls_and_abis() -> None:
    assert "arch_prctl" in names(default_profile([]))
    assert "arch_prctl" not in names(default_profile([], "aarch64"))
    assert default_profile([], "aarch64")["architectures"] == ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
    with pytest.raises(Unsupported, match="'vax'"):
        default_profile([], "vax")


def test_kernels_before_4_8_do_not_trace() -> None:
    assert "ptrace" not in names(default_profile([], kernel=(4, 7)))
    assert "ptrace" in names(default_profile([], kernel=(4, 10)))


@pytest.mark.parametrize(
    ("release", "version"),
    [("6.1.0-13-amd64", (6, 1)), ("4.8", (4, 8)), ("5.10-rc1", (5, 10)), ("10.04.2", (10, 4))],
)
def test_releases_have_two_numbers(release: str, version: tuple[int, int]) -> None:
    assert kernel_version(release) == version


@pytest.mark.parametrize("release", ["", "6", "six.one", "6.x"])
def test_other_releases_are_refused(release: str) -> None:
    with pytest.raises(InvalidInput, match="is no kernel release"):
        kernel_version(release)


ALLOW: dict[str, Any] = {"action": "SCMP_ACT_ALLOW"}


@pytest.mark.parametrize(
    ("conditions", "applies"),
    [
        ({}, True),
        ({"includes": {"caps": ["CAP_CHOWN", "CAP_KILL"]}}, False),
        ({"includes": {"caps": ["CAP_CHOWN"]}}, True),
        ({"excludes": {"caps": ["CAP_BPF", "CAP_CHOWN"]}}, False),
        ({"includes": {"arches": ["amd64"]}}, True),
        ({"excludes": {"arches": ["amd64"]}}, False),
        ({"includes": {"minKernel": "6.2"}}, False),
        ({"includes": {"minKernel": "6.1"}}, True),
        ({"excludes": {"minKernel": "6.1"}}, False),
        ({"excludes": {"minKernel": "6.2"}}, True),
    ],
)
def test_conditions(conditions: dict[str, Any], applies: bool) -> None:
    document = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [{"name": "x", **ALLOW, **conditions}],
    }
    resolved = resolve(document, ["CAP_CHOWN"], "x86_64", (6, 1))
    assert resolved["syscalls"] == [{"names": ["x"], **ALLOW}] * applies


def test_plain_architectures_and_the_rest_are_kept() -> None:
    document = {
        "defaultAction": "SCMP_ACT_LOG",
        "architectures": ["SCMP_ARCH_X86"],
        "flags": [],
        "listenerPath": "/run/agent",
    }
    assert resolve(document, []) == {**document, "syscalls": []}


@pytest.mark.parametrize(
    "document",
    [
        {"architectures": ["SCMP_ARCH_X86"], "archMap": [{"architecture": "SCMP_ARCH_X86_64"}]},
        {"syscalls": [{"name": "a", "names": ["b"], **ALLOW}]},
    ],
)
def test_contradictions_are_refused(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"has both '\w+' and '\w+'"):
        resolve({"defaultAction": "SCMP_ACT_ERRNO", **document}, [])
