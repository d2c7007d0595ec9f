"""RUN --mount: what each kind takes, defaults, refusals, and what counts for the cache."""

import pytest

from onggi.build.errors import SyntaxProblem
from onggi.build.options import BuildOptions, Secret
from onggi.build.run_mounts import RunMount, read_mount, stages_of_mounts
from onggi.errors import InvalidInput


def read(text: str) -> RunMount:
    return read_mount(text, lambda value: value.replace("$x", "expanded"))


def test_bind_is_the_default_and_read_only() -> None:
    mount = read("source=a,target=/b")
    assert (mount.type, mount.source, mount.target, mount.read_only) == ("bind", "a", "/b", True)
    assert not read("type=bind,src=a,dst=/b,rw").read_only
    assert not read("type=bind,source=a,destination=/b,readwrite=true").read_only


def test_cache() -> None:
    mount = read("type=cache,id=$x,target=/c,sharing=locked,mode=0700,uid=1,gid=2,from=s,source=d")
    assert (mount.id, mount.sharing, mount.source_stage) == ("expanded", "locked", "s")
    assert (mount.mode, mount.uid, mount.gid) == (0o700, 1, 2)
    assert not mount.read_only
    assert read("type=cache,target=/c,ro").read_only
    assert read("type=cache,target=/c").sharing == "shared"


def test_tmpfs() -> None:
    assert read("type=tmpfs,target=/t,size=1m").size == 1 << 20
    assert read("type=tmpfs,target=/t").size == 0


@pytest.mark.parametrize(
    ("text", "name", "target", "env"),
    [
        ("type=secret,id=a", "a", "/run/secrets/a", ""),
        ("type=secret,id=a,target=/b", "a", "/b", ""),
        ("type=secret,target=/x/b", "b", "/x/b", ""),
        ("type=secret,source=a", "a", "/run/secrets/a", ""),
        ("type=secret,id=a,env=A", "a", "", "A"),
        ("type=secret,id=a,env=A,target=/b", "a", "/b", "A"),
    ],
)
def test_secret(text: str, name: str, target: str, env: str) -> None:
    mount = read(text)
    assert (mount.id, mount.target, mount.env) == (name, target, env)
    assert not mount.required


def test_a_field_with_a_comma_is_quoted() -> None:
    assert read('"source=a,b",target=/c').source == "a,b"


def test_whether_a_secret_is_required_does_not_count() -> None:
    assert read("type=secret,id=a,required").required
    assert read("type=secret,id=a,required").key() == read("type=secret,id=a").key()
    assert read("type=secret,id=a").key() != read("type=secret,id=b").key()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=nfs,target=/a", 'unsupported mount type "nfs"'),
        ("type=ssh", "ssh are not supported yet"),
        ("target", "must be a key=value pair"),
        ("type=bind,source=a", "has no target"),
        ("type=bind,target=/", 'invalid mount target "/"'),
        ("type=bind,target=/../", "invalid mount target"),
        ("type=bind,target=/a,size=1", "unexpected key 'size' for mount type 'bind'"),
        ("type=bind,target=/a,mode=1", "unexpected key 'mode'"),
        ("type=tmpfs,target=/a,from=b", "unexpected key 'from'"),
        ("type=tmpfs,target=/a,size=big", "invalid value for size"),
        ("type=cache,target=/a,sharing=some", 'unsupported sharing value "some"'),
        ("type=cache,target=/a,mode=9", "invalid value 9 for mode"),
        ("type=cache,target=/a,uid=-1", "invalid value -1 for uid"),
        ("type=cache,target=/a,ro=perhaps", "invalid value for readonly: perhaps"),
        ("type=secret", "one of source, target required"),
        ("type=secret,id=a,source=b", "both source and id"),
        ("type=secret,id=a,from=b", "unexpected key 'from'"),
        ('"a', "failed to parse csv"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(SyntaxProblem) as caught:
        read(text)
    assert message in str(caught.value)


def test_stages_are_known_before_anything_is_expanded() -> None:
    texts = ("from=a,target=/x", "type=cache,target=$y", "type=tmpfs,target=/z")
    assert stages_of_mounts(texts) == ["a"]
    with pytest.raises(SyntaxProblem, match="variable expansion"):
        stages_of_mounts(("from=$a,target=/x",))


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("id=a,src=/x", ("a", "/x", "")),
        ("id=a,source=/x,type=file", ("a", "/x", "")),
        ("id=a,env=B", ("a", "", "B")),
        ("type=env,id=a,src=B", ("a", "", "B")),
        ("id=a", ("a", "", "")),
    ],
)
def test_the_option_secret(text: str, secret: tuple[str, str, str]) -> None:
    parsed = Secret.parse(text)
    assert (parsed.id, parsed.file, parsed.env) == secret


@pytest.mark.parametrize("text", ["", "src=/x", "id=a,x=y", "id=a,src=/x,env=B", "id=a,type=x"])
def test_bad_options_secret(text: str) -> None:
    with pytest.raises(InvalidInput):
        Secret.parse(text)


def test_options_that_cannot_be_met() -> None:
    with pytest.raises(InvalidInput, match="build arg 'A' is not UTF-8 text"):
        BuildOptions(context=".", build_args={"A": "\udcff"})
    with pytest.raises(InvalidInput, match=r"label '\\udcff' is not UTF-8 text"):
        BuildOptions(context=".", labels={"\udcff": "b"})
    with pytest.raises(InvalidInput, match="network"):
        BuildOptions(context=".", network="bridge")
