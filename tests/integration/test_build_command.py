"""`onggi build` as people type it: where results go, what RUN steps get, what is refused."""

import io
import json
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.oci.digest import Digest
from support.command import Onggi
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "cgroup-memory", "cgroup-cpu", "cgroup-pids", "busybox")

DOCKERFILE = """\
FROM busybox AS work
RUN mkdir /d; echo one > /d/file; ln /d/file /d/hard; ln -s file /d/link; chown -R 5:6 /d; \\
    chmod 4711 /d/file
FROM scratch
COPY --from=work /d /d
COPY --from=work /d/file /top
"""


@pytest.fixture(scope="module")
def jar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Onggi]:
    root = Path("/dev/shm") / tmp_path_factory.mktemp("build").name
    command = Onggi(root)
    command("bootstrap", "busybox")
    yield command
    command("system", "reset", "--force")


@pytest.fixture
def context(tmp_path: Path) -> Path:
    path = tmp_path / "context"
    path.mkdir()
    (path / "Dockerfile").write_text(DOCKERFILE)
    return path


def names(jar: Onggi) -> set[str]:
    return set(jar("images", "--format", "{{.Repository}}").stdout.split())


def raw(jar: Onggi, *words: str | Path) -> bytes:
    """Return what a command writes to standard output, which is no text."""
    line = jar.line(*words)
    return subprocess.run(line, capture_output=True, check=True, timeout=60).stdout


def ran(jar: Onggi, script: str, *options: str) -> str:
    """Return what a RUN step writes, without the marks of --progress."""
    dockerfile = f"FROM busybox\nRUN {script}\n"
    done = jar("build", "--no-cache", "--progress=rawjson", *options, "-", input=dockerfile)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    return "".join(event["data"] for event in events if event["event"] == "StepOutput")


@pytest.mark.parametrize("spelled", ["{}", "type=local,dest={}"])
def test_files_into_a_directory(jar: Onggi, context: Path, tmp_path: Path, spelled: str) -> None:
    out = tmp_path / "new" / "out"
    (tmp_path / "new").mkdir()
    done = jar("build", "-t", "unheard", "-o", spelled.format(out), context)
    assert f"written to {out}" in done.stderr
    assert sorted(path.name for path in out.rglob("*")) == ["d", "file", "hard", "link", "top"]
    assert (out / "d/link").readlink() == Path("file")
    status = (out / "d/file").stat()
    assert (status.st_uid, status.st_nlink) == (0, 2), "files belong to the caller"
    assert stat.S_IMODE(status.st_mode) == 0o4711
    assert "unheard" not in names(jar)


def test_a_directory_keeps_what_else_is_in_it(jar: Onggi, context: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("mine")
    (tmp_path / "out/top").symlink_to(tmp_path / "elsewhere")
    jar("build", "-o", tmp_path / "out", context)
    assert (tmp_path / "out/mine").read_text() == "mine"
    assert (tmp_path / "out/top").read_text() == "one\n"
    assert not (tmp_path / "elsewhere").exists(), "a link is replaced, not followed"


@pytest.mark.parametrize("spelled", ["-", "type=tar,dest=-", "type=tar"])
def test_files_as_a_tar(jar: Onggi, context: Path, spelled: str) -> None:
    with tarfile.open(fileobj=io.BytesIO(raw(jar, "build", "-q", "-o", spelled, context))) as tar:
        assert {"d", "d/file", "d/hard", "d/link", "top"} <= set(tar.getnames())
        member = tar.getmember("d/file")
        assert (member.uid, member.gid, member.mode) == (5, 6, 0o4711)


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_an_archive_of_the_image(jar: Onggi, context: Path, tmp_path: Path, kind: str) -> None:
    archive = tmp_path / "image.tar"
    jar("build", "-t", f"fresh-{kind}:1", "-o", f"type={kind},dest={archive}", context)
    assert f"fresh-{kind}" not in names(jar)
    assert jar("load", "-i", archive).stdout == f"Loaded image: fresh-{kind}:1\n"
    assert jar("history", "-q", f"fresh-{kind}:1").stdout


def test_into_the_store_and_nowhere(jar: Onggi, context: Path) -> None:
    jar("build", "-o", "type=docker", "-t", "stored-a", context)
    jar("build", "-o", "type=image,name=stored-b:2", context)
    jar("build", "-o", "type=cacheonly", "-t", "never", context)
    assert {"stored-a", "stored-b"} <= names(jar)
    assert "never" not in names(jar)


def test_an_archive_that_fails_is_not_there(jar: Onggi, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN false\n")
    archive = tmp_path / "image.tar"
    assert jar.attempt("build", "-o", f"type=oci,dest={archive}", tmp_path).returncode == 1
    assert [path.name for path in tmp_path.iterdir()] == ["Dockerfile"]


def test_what_was_built_as_json(jar: Onggi, context: Path, tmp_path: Path) -> None:
    file = tmp_path / "metadata.json"
    identity = jar(
        "build", "-q", "-t", "known", "--annotation", "a=b", "--metadata-file", file, context
    ).stdout.strip()
    said = json.loads(file.read_text())
    assert said["containerimage.config.digest"] == identity
    assert said["image.name"] == "known"
    digest = Digest(said["containerimage.digest"])
    manifest = json.loads((jar.root / "blobs" / digest.algorithm / digest.hex).read_text())
    assert manifest["annotations"] == {"a": "b"}


def test_stages_without_cache(jar: Onggi, context: Path) -> None:
    jar("build", context)
    done = jar("build", "--progress=plain", "--no-cache-filter=work,typo", context)
    assert done.stderr.count("not cached: --no-cache-filter") == 1
    assert done.stderr.count("CACHED\n") == 2, "what the other stage takes is the same again"
    assert "warning: --no-cache-filter: there is no stage typo" in done.stderr


@pytest.mark.parametrize(
    ("options", "script", "seen"),
    [
        (["--add-host=far:192.0.2.7"], "grep far /etc/hosts", "192.0.2.7\tfar\n"),
        (["--add-host=six=[2001:db8::1]"], "grep six /etc/hosts", "2001:db8::1\tsix\n"),
        (["--add-host=me:host-gateway"], "grep me$ /etc/hosts", "127.0.0.1\tme\n"),
        (["--network=none"], "grep -c $(hostname) /etc/hosts", "1\n"),
        (["--shm-size=1m"], "df -k /dev/shm | awk 'END {print $2}'", "1024\n"),
        (["--ulimit", "nofile=70:80"], "ulimit -n; ulimit -Hn", "70\n80\n"),
        (["-m", "64m"], "cat /sys/fs/cgroup/memory*/memory.limit_in_bytes", "67108864\n"),
        (["--cpuset-cpus=0"], "grep Cpus_allowed_list /proc/self/status | cut -f2", "0\n"),
    ],
)
def test_what_each_step_gets(jar: Onggi, options: list[str], script: str, seen: str) -> None:
    if "memory.limit_in_bytes" in script:
        script = f"{script} 2>/dev/null || cat /sys/fs/cgroup/memory.max"
    assert ran(jar, script, *options) == seen


def test_one_more_host_is_another_step(jar: Onggi) -> None:
    dockerfile = "FROM busybox\nRUN cat /etc/hosts\n"
    jar("build", "-", input=dockerfile)
    known = jar("build", "--progress=plain", "-", input=dockerfile).stderr
    assert "CACHED" in known
    other = jar("build", "--progress=plain", "--add-host=a:192.0.2.1", "-", input=dockerfile).stderr
    assert "not cached: extra hosts changed" in other


def test_options_that_change_nothing(jar: Onggi, context: Path) -> None:
    plain = jar("build", "-q", context).stdout
    words = [
        "--rm",
        "--force-rm=true",
        "--load",
        "--compress",
        "--pull=false",
        "--provenance=false",
    ]
    assert jar("build", "-q", *words, context).stdout == plain


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--push"], 125, "--push is not available: there is no registry client yet"),
        (["--pull"], 125, "--pull is not available: there is no registry to pull from yet"),
        (["--ssh=default"], 125, "--ssh is not available: pass a key as --secret"),
        (["--cache-from", "x"], 125, "--cache-from is not available: the cache lies in the store"),
        (["--provenance=true"], 125, "--provenance true is not available: no attestations"),
        (["-o", "type=registry"], 1, "images cannot be pushed yet"),
        (["-o", "type=image,push=true"], 1, "images cannot be pushed yet"),
        (["-o", "type=zip,dest=x"], 1, "unknown --output type 'zip' (local, tar,"),
        (["-o", "type=local"], 1, "type=local needs a directory (dest=DIR)"),
        (["-o", "type=image,dest=x"], 1, "type=image has no dest"),
        (["-o", "type=tar,zip=1"], 1, "unknown key 'zip' in --output"),
        (["-o", "type=tar,zip"], 1, "'zip' in --output 'type=tar,zip' is no KEY=VALUE"),
        (["-o", "type=tar,dest=/none/x"], 1, "directory '/none' does not exist"),
        (["--add-host", "x"], 1, "bad format for add-host: 'x' (expected NAME:ADDRESS)"),
        (["--shm-size", "x"], 1, "--shm-size: invalid size: 'x'"),
        (["--annotation", "index:a=b"], 125, 'invalid argument "index:a=b" for "--annotation"'),
        (["-t", "sha256:abc"], 1, "begins an image ID"),
        (["--secret", "id=a,src=/none"], 1, "secret a: no such file: /none"),
    ],
)
def test_refusals(jar: Onggi, context: Path, options: list[str], code: int, message: str) -> None:
    done = jar.attempt("build", *options, context)
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.count("\n") == 1, "one line, before anything was built"
