"""RUN on a real store: mounts, secrets, caches, what stays behind.

Each test runs its commands twice: with a plain chroot, and in containers as an engine does.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.build.errors import BuildError, RunFailed
from onggi.build.options import Secret
from onggi.errors import InvalidInput
from support.builds import Yard, add_busybox
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "busybox")


@pytest.fixture(params=["chroot", "containers"])
def yard(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Yard]:
    yard = Yard(tmp_path)
    add_busybox(yard.store)
    if request.param == "containers":
        yard.use_containers()
    yard.write({"a.txt": "a\n", "d/x": "x\n", "d/hidden": "h\n"})
    yield yard
    yard.close()


def test_a_command_changes_the_image(yard: Yard) -> None:
    result = yard.build("FROM busybox\nRUN echo hi > /x && rm /etc/group\n")
    with yard.root(result) as root:
        assert root.read("/x") == "hi\n"
        assert not root.exists("/etc/group")
    [request] = yard.executor.requests
    assert request.argv == ["/bin/sh", "-c", "echo hi > /x && rm /etc/group"]
    assert (request.cwd, request.user, request.network) == ("/", "", "host")


def test_environment_user_and_directory(yard: Yard) -> None:
    yard.build(
        "FROM busybox\nARG A=1\nARG B\nENV C=$A\nUSER app\nWORKDIR /w\n"
        'RUN env; id -u; pwd\nRUN ["echo", "$C"]\n',
        args={"B": "2", "http_proxy": "http://p"},
    )
    assert "A=1\n" in yard.output
    assert "B=2\n" in yard.output
    assert "C=1\n" in yard.output
    assert "http_proxy=http://p\n" in yard.output
    assert "1000\n/w\n$C\n" in yard.output


def test_proxies_are_neither_in_history_nor_in_the_key(yard: Yard) -> None:
    text = "FROM busybox\nARG V=1\nRUN echo hi > /x\n"
    result = yard.build(text, args={"HTTPS_PROXY": "http://one"})
    assert "one" not in str(result.image.config.to_json())
    assert result.image.config.history[-1].created_by == "RUN |1 V=1 /bin/sh -c echo hi > /x"
    yard.build(text, args={"HTTPS_PROXY": "http://two"})
    assert yard.whys == []


def test_the_shell_can_be_chosen(yard: Yard) -> None:
    with pytest.raises(RunFailed) as caught:
        yard.build('FROM busybox\nSHELL ["/bin/sh", "-ec"]\nRUN false; echo not reached\n')
    assert caught.value.status == 1


def test_documents_as_scripts(yard: Yard) -> None:
    yard.build(
        "FROM busybox\nRUN <<EOF\necho one\necho two\nEOF\n"
        "RUN <<EOF\n#!/bin/sh\necho script $0\nEOF\n"
        "RUN <<EOF cat - && echo after\ndocument\nEOF\n"
    )
    assert yard.output == "one\ntwo\nscript /dev/pipes/EOF\ndocument\nafter\n"
    assert "[3/4] RUN <<EOF (#!/bin/sh...)" in yard.titles


def test_a_failure_carries_status_and_place(yard: Yard) -> None:
    with pytest.raises(RunFailed) as caught:
        yard.build("FROM busybox\nRUN true\nRUN echo oops && exit 7\n")
    assert caught.value.status == 7
    assert str(caught.value) == (
        'process "/bin/sh -c echo oops && exit 7" did not complete successfully: exit code: 7'
    )
    assert " 3 | >>> RUN echo oops && exit 7" in caught.value.excerpt
    assert yard.output == "oops\n"


def test_what_came_before_a_failure_is_cached(yard: Yard) -> None:
    with pytest.raises(RunFailed):
        yard.build("FROM busybox\nRUN echo slow > /x\nRUN exit 1\n")
    with pytest.raises(RunFailed):
        yard.build("FROM busybox\nRUN echo slow > /x\nRUN exit 1\n")
    assert yard.whys == ["it failed the last time"]
    yard.build("FROM busybox\nRUN echo slow > /x\nRUN exit 0\n")
    assert yard.cached == 1
    assert yard.whys == ["the instruction changed"]


SECRET = "RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt"


def test_a_secret_is_there_and_leaves_no_trace(yard: Yard) -> None:
    result = yard.build(
        f"FROM busybox\n{SECRET} cat /etc/ssl/certs/ca-certificates.crt; ls -l /etc/ssl/certs\n",
        secrets=[yard.secret("ca", "TOP SECRET\n")],
    )
    assert "TOP SECRET" in yard.output
    assert "-r--------" in yard.output
    assert len(result.image.layers) == 1  # nothing changed: not even a directory is left
    with yard.root(result) as root:
        assert not root.exists("/etc/ssl")
    assert not list(_files_with(yard, b"TOP SECRET"))
    assert not [name for name in os.listdir("/dev/shm") if name.startswith("onggi-secrets-")]


def _files_with(yard: Yard, text: bytes) -> Iterator[str]:
    for folder, _, names in os.walk(yard.store.root):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    if text in file.read():
                        yield path


def test_a_secret_beside_real_changes(yard: Yard) -> None:
    result = yard.build(
        f"FROM busybox\nRUN mkdir -p /etc/ssl/certs\n{SECRET} echo x > /etc/ssl/certs/own\n",
        secrets=[yard.secret("ca", "s")],
    )
    with yard.root(result) as root:
        assert root.list("/etc/ssl/certs") == ["own"]


def test_a_secret_over_an_existing_file(yard: Yard) -> None:
    result = yard.build(
        "FROM busybox\nRUN echo mine > /etc/conf\n"
        "RUN --mount=type=secret,id=s,target=/etc/conf cat /etc/conf > /seen\n",
        secrets=[yard.secret("s", "theirs\n")],
    )
    with yard.root(result) as root:
        assert root.read("/etc/conf") == "mine\n"
        assert root.read("/seen") == "theirs\n"


def test_secrets_are_not_in_the_key(yard: Yard) -> None:
    text = "FROM busybox\nRUN --mount=type=secret,id=s cat /run/secrets/s\n"
    yard.build(text, secrets=[yard.secret("s", "one")])
    assert yard.output == "one"
    yard.build(text, secrets=[yard.secret("s", "two")])
    assert yard.whys == []
    yard.build(text)
    assert yard.whys == []


def test_secrets_as_variables_and_with_owners(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "from env")
    result = yard.build(
        "FROM busybox\nUSER app\n"
        "RUN --mount=type=secret,id=t,env=T --mount=type=secret,id=f,uid=1000,gid=1001,mode=0440 "
        "echo $T && cat /run/secrets/f\n",
        secrets=[Secret("t", env="TOKEN"), yard.secret("f", "file\n")],
    )
    assert yard.output == "from env\nfile\n"
    assert "from env" not in str(result.image.config.to_json())


def test_secrets_that_are_missing(yard: Yard) -> None:
    yard.build("FROM busybox\nRUN --mount=type=secret,id=none true\n")
    with pytest.raises(BuildError, match="secret none: not found"):
        yard.build("FROM busybox\nRUN --mount=type=secret,id=none,required false\n")
    with pytest.raises(BuildError, match="cannot read"):
        yard.build(
            "FROM busybox\nRUN --mount=type=secret,id=x echo\n", secrets=[Secret("x", file="/")]
        )
    for given in (Secret("x", file="/none"), Secret("none")):
        with pytest.raises(InvalidInput, match="no such file"):
            yard.build("FROM busybox\nRUN echo whoever needs it\n", secrets=[given])
    assert yard.titles == [], "nothing was built before"


def test_caches_live_from_build_to_build(yard: Yard) -> None:
    mount = "--mount=type=cache,target=/c,mode=0700,uid=5"
    line = f"RUN {mount} echo {{}} >> /c/log; cat /c/log; ls -ldn /c"
    first = yard.build(f"FROM busybox\n{line.format('one')}\n")
    assert "drwx------" in yard.output
    assert " 5 " in yard.output
    yard.build(f"FROM busybox\n{line.format('two')}\n")
    assert yard.output.startswith("one\ntwo\n")
    assert len(first.image.layers) == 1
    yard.build("FROM busybox\nRUN --mount=type=cache,target=/c,id=other ls /c\n")
    assert yard.output == ""


def test_a_cache_can_begin_as_a_copy(yard: Yard) -> None:
    yard.build(
        "FROM busybox AS seed\nCOPY d /seed\nFROM busybox\n"
        "RUN --mount=type=cache,target=/c,from=seed,source=/seed ls /c && rm /c/x\n"
        "RUN --mount=type=cache,target=/c,from=seed,source=/seed ls /c\n"
    )
    assert yard.output == "hidden\nx\nhidden\n"


def test_a_source_makes_a_cache_of_its_own(yard: Yard) -> None:
    yard.build(
        "FROM busybox\nRUN --mount=type=cache,id=c,target=/c,source=sub echo hi > /c/f\n"
        "RUN --mount=type=cache,id=c,target=/c ls /c\n"
        "RUN --mount=type=cache,id=c,target=/d,source=sub cat /d/f\n"
    )
    assert yard.output == "hi\n"


def test_bind_from_the_context(yard: Yard) -> None:
    yard.write({".dockerignore": "d/hidden\n"})
    result = yard.build(
        "FROM busybox\nRUN --mount=target=/src cat /src/a.txt && ls /src/d && "
        "! touch /src/new 2>/dev/null && echo read-only\n"
        "RUN --mount=source=a.txt,target=/one,rw echo changed > /one && cat /one\n"
    )
    assert yard.output == "a\nx\nread-only\nchanged\n"
    assert (yard.context / "a.txt").read_text() == "a\n"
    assert len(result.image.layers) == 1


def test_a_change_behind_a_bind_is_noticed(yard: Yard) -> None:
    text = "FROM busybox\nRUN --mount=source=d,target=/d cat /d/x\n"
    yard.build(text)
    yard.build(text)
    assert yard.cached == 1
    yard.write({"d/x": "new\n"})
    yard.build(text)
    assert yard.whys == ["d/x changed"]


@pytest.mark.parametrize("by_layers", [True, False])
def test_bind_from_a_stage(yard: Yard, by_layers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not by_layers:
        monkeypatch.setattr("onggi.build.mounting.probe_overlay_lowerdir_append", lambda: False)
    yard.build(
        "FROM busybox AS one\nRUN mkdir /out && echo built > /out/f\nFROM busybox\n"
        "RUN --mount=from=one,target=/whole cat /whole/out/f\n"
        "RUN --mount=from=one,source=/out,target=/part cat /part/f\n"
        "RUN --mount=from=one,target=/whole,rw echo x > /whole/new && ls /whole/new\n"
        "RUN --mount=from=one,target=/whole ls /whole/new 2>/dev/null || echo thrown away\n"
    )
    assert "built\nbuilt\n/whole/new\n" in yard.output
    assert yard.output.endswith("thrown away\n")


def test_tmpfs(yard: Yard) -> None:
    result = yard.build("FROM busybox\nRUN --mount=type=tmpfs,target=/t,size=1m echo x > /t/f\n")
    with yard.root(result) as root:
        assert not root.exists("/t")


def test_a_relative_target_is_in_the_working_directory(yard: Yard) -> None:
    yard.build("FROM busybox\nWORKDIR /w\nRUN --mount=source=a.txt,target=in cat /w/in\n")
    assert yard.output == "a\n"


def test_the_network_is_passed_on(yard: Yard) -> None:
    yard.build("FROM busybox\nRUN --network=none true\nRUN true\nRUN --network=host id\n")
    assert [request.network for request in yard.executor.requests] == ["none", "host", "host"]
    yard.executor.requests.clear()
    yard.build("FROM busybox\nRUN echo\nRUN --network=host echo\n", network="none")
    assert [request.network for request in yard.executor.requests] == ["none", "host"]


def test_special_files_survive(yard: Yard) -> None:
    result = yard.build("FROM busybox\nRUN mkdir -m 1777 /t && touch /t/a && chmod 4711 /t/a\n")
    with yard.root(result) as root:
        assert stat.S_IMODE(root.stat("/t").st_mode) == 0o1777
        assert stat.S_IMODE(root.stat("/t/a").st_mode) == 0o4711
