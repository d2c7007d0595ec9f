import os

import pytest

from onggi.errors import Corrupt, InvalidInput, Unsupported
from onggi.oci import platform
from onggi.oci.platform import Platform


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("LINUX/AMD64", "linux/amd64"),
        ("amd64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/arm64/v8", "linux/arm64"),
        ("aarch64", "linux/arm64"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("armhf", "linux/arm/v7"),
        ("armel", "linux/arm/v6"),
        ("windows/amd64", "windows/amd64"),
    ],
)
def test_normal_form(text: str, normal: str) -> None:
    assert str(Platform.parse(text)) == normal


@pytest.mark.parametrize("text", ["", "/", "linux/", "linux//v7", "a/b/c/d", "linux/am d64"])
def test_refuses(text: str) -> None:
    with pytest.raises(InvalidInput, match="invalid platform"):
        Platform.parse(text)


@pytest.mark.parametrize(
    ("machine", "accepted"),
    [
        ("linux/amd64", ["linux/amd64", "linux/386"]),
        ("linux/amd64/v3", ["linux/amd64/v3", "linux/amd64/v2", "linux/amd64", "linux/386"]),
        ("linux/arm/v7", ["linux/arm/v7", "linux/arm/v6", "linux/arm/v5", "linux/arm"]),
        ("linux/arm64", ["linux/arm64", *(f"linux/arm/v{v}" for v in (8, 7, 6, 5))]),
        ("linux/riscv64", ["linux/riscv64"]),
    ],
)
def test_what_a_machine_runs(machine: str, accepted: list[str]) -> None:
    assert list(map(str, Platform.parse(machine).accepted())) == accepted


def test_runs() -> None:
    assert Platform.parse("linux/arm64").runs(Platform("linux", "arm64", "v8"))
    assert not Platform.parse("linux/amd64").runs(Platform.parse("linux/arm64"))
    assert not Platform.parse("linux/amd64").runs(Platform.parse("linux/amd64/v2"))


def test_unknown_fields_are_kept() -> None:
    value = {"os": "windows", "architecture": "amd64", "os.version": "10.0.20348.1"}
    assert Platform.from_json(value).to_json() == value


def test_refuses_a_document_of_wrong_types() -> None:
    with pytest.raises(Corrupt, match="platform: 'os' is not a string"):
        Platform.from_json({"os": 7})


def test_host(monkeypatch: pytest.MonkeyPatch) -> None:
    assert platform.host().os == "linux"
    fields = ("Linux", "host", "6.1", "#1", "vax")
    monkeypatch.setattr(platform, "uname", lambda: os.uname_result(fields))
    with pytest.raises(Unsupported, match="vax"):
        platform.host()
