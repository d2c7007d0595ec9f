"""`--mount`."""

import pytest

from onggi.cli import mounts
from onggi.cli.options import UsageError


@pytest.mark.parametrize(
    ("raw", "mount"),
    [
        ("type=bind,source=/a,target=/b", ("bind", "/a", "/b", False)),
        ("type=bind,src=/a,dst=/b,readonly", ("bind", "/a", "/b", True)),
        ("type=bind,src=/a,destination=/b,ro=true", ("bind", "/a", "/b", True)),
        ("type=bind,src=/a=b,dst=/b,ro=0", ("bind", "/a=b", "/b", False)),
        ("source=data,target=/b", ("volume", "data", "/b", False)),
        ("type=volume,target=/b", ("volume", "", "/b", False)),
    ],
)
def test_mounts(raw: str, mount: tuple[str, str, str, bool]) -> None:
    kind, source, target, readonly = mount
    assert not mounts.is_tmpfs(raw)
    assert mounts.mount(raw) == {
        "type": kind,
        "source": source,
        "target": target,
        "readonly": readonly,
    }


def test_a_path_with_a_comma_stands_in_quotes() -> None:
    assert mounts.mount('type=bind,"source=/a,b",target=/b')["source"] == "/a,b"


def test_a_source_that_is_told_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/usr")
    assert mounts.mount("type=bind,source=./share,target=/b")["source"] == "/usr/share"
    assert mounts.mount("type=bind,source=..,target=/b")["source"] == "/"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("type=bind,source=/a,bind-propagation=rslave", {"propagation": "rslave"}),
        ("type=bind,source=/a,bind-nonrecursive", {"recursive": "disabled"}),
        ("type=bind,source=/a,bind-recursive=writable", {"recursive": "writable"}),
        ("source=data,volume-nocopy", {"nocopy": True}),
        ("source=data,volume-nocopy=false,consistency=cached", {}),
    ],
)
def test_what_else_can_be_said(words: str, said: dict[str, object]) -> None:
    found = mounts.mount(f"{words},target=/b")
    plain = ("type", "source", "target", "readonly")
    assert {name: value for name, value in found.items() if name not in plain} == said


@pytest.mark.parametrize(
    ("raw", "tmpfs"),
    [
        ("type=tmpfs,target=/run", "/run"),
        ("target=/run,type=tmpfs,tmpfs-size=64m,tmpfs-mode=1777", "/run:size=64m,mode=1777"),
        ("type=tmpfs,target=/run,readonly", "/run:ro"),
    ],
)
def test_tmpfs(raw: str, tmpfs: str) -> None:
    assert mounts.is_tmpfs(raw)
    assert mounts.tmpfs(raw) == tmpfs


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("type=bind,colour=red,target=/b", "unexpected key 'colour'"),
        ("type=bind,source,target=/b", "'source' must be a key=value pair"),
        ("type=nfs,target=/b", "unknown type 'nfs'; there are bind, volume, tmpfs"),
        ("type=bind,source=/a", "target is required"),
        ("type=bind,source=/a,target=/b,bind-propagation=far", "bind-propagation is one of"),
        ("type=bind,source=/a,target=/b,bind-recursive=readonly", "goes with readonly"),
        ("type=volume,target=/b,bind-propagation=shared", "bind-propagation goes with type=bind"),
        ("type=bind,source=/a,target=b", "target must be an absolute path"),
        ("type=bind,source=a,target=/b", "source of a bind mount must be an absolute path"),
        ("type=bind,target=/b", "source of a bind mount must be an absolute path"),
        ("type=bind,source=/a,target=/b,tmpfs-size=1", "tmpfs-size goes with type=tmpfs"),
        ("type=bind,source=/a,target=/b,ro=maybe", "readonly is true or false"),
        ("", "target is required"),
    ],
)
def test_refusals(raw: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        mounts.mount(raw)
    assert caught.value.message.startswith(f'invalid argument "{raw}" for "--mount" flag: ')
    assert why in caught.value.message


def test_a_tmpfs_has_no_source() -> None:
    with pytest.raises(UsageError, match="a tmpfs has no source"):
        mounts.tmpfs("type=tmpfs,source=/a,target=/b")
