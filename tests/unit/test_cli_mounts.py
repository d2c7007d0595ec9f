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
        ("type=bind,source=/a", "target must be an absolute path"),
        ("type=bind,source=/a,target=b", "target must be an absolute path"),
        ("type=bind,source=a,target=/b", "source of a bind mount must be an absolute path"),
        ("type=bind,target=/b", "source of a bind mount must be an absolute path"),
        ("type=bind,source=/a,target=/b,tmpfs-size=1", "go with type=tmpfs"),
        ("type=bind,source=/a,target=/b,ro=maybe", "readonly is true or false"),
        ("", "unexpected key ''"),
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
