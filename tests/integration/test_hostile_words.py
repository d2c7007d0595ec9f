"""What images and containers call things is shown, and never obeyed by who looks at it."""

import io
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onggi.build.errors import BuildError
from onggi.errors import InvalidInput
from onggi.image.archive_load import load_archive
from onggi.oci.descriptor import Descriptor
from onggi.oci.digest import Digest
from onggi.oci.image import ImageConfig, Manifest
from onggi.oci.platform import host
from onggi.oci.reference import Reference
from onggi.store.store import Store
from support.builds import Yard, add_busybox
from support.command import Onggi
from support.images import Made, docker_archive, tar_of
from support.ptys import Terminal
from support.requirements import requires
from support.threats import withstands

pytestmark = requires("root", "overlayfs", "busybox")

EVIL = "\x1b]0;mine\x07\x1b[2J\x9b31m\r\nfake  line\u202e"
# What a terminal would obey, other than new lines and tabs.
OBEYED = re.compile("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\r(?!\n)")


@pytest.fixture(scope="module")
def jar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Onggi]:
    place = tmp_path_factory.mktemp("onggi-test-words")
    command = Onggi(Path("/dev/shm") / place.name)
    command("bootstrap", "busybox")
    (place / "evil.tar").write_bytes(hostile_archive())
    command("load", "-i", place / "evil.tar")
    yield command
    command("system", "reset", "--force")


def hostile_archive() -> bytes:
    made = Made({"etc/x": b"1\n"}, platform=host())
    config = made.image.config.to_json()
    config["author"] = EVIL
    config["history"] = [{"created_by": f"RUN {EVIL}", "comment": EVIL, "author": EVIL}]
    config["config"] = {"Labels": {f"name{EVIL}": EVIL, "plain": f"a{EVIL}z"}, "Cmd": ["sh"]}
    return archive(made, json.dumps(config).encode(), "evil:latest")


def archive(made: Made, config: bytes, tag: str) -> bytes:
    """Write an image as `docker save` would, but with this configuration."""
    files = docker_archive(made, tags=[[tag]])
    (listed,) = json.loads(files["manifest.json"])
    del files[listed["Config"]]
    listed["Config"] = f"{Digest.of(config).hex}.json"
    named = {listed["Config"]: config, "manifest.json": json.dumps([listed]).encode()}
    return tar_of({**files, **named})


LOOKS = (
    ("history", "evil"),
    ("history", "--no-trunc", "evil"),
    ("history", "--no-trunc", "--format", "{{.CreatedBy}} {{.Comment}}", "evil"),
    ("history", "--no-trunc", "--format", "table {{.CreatedBy}}\t{{.Comment}}", "evil"),
    ("history", "--format", "json", "evil"),
    ("images",),
    ("images", "--format", "json"),
    ("inspect", "evil"),
    ("inspect", "-f", "{{.Config.Labels}}", "evil"),
    ("inspect", "-f", "{{json .Config.Labels}}", "evil"),
    ("inspect", "-f", '{{index .Config.Labels "plain"}}', "evil"),
    ("inspect", "-f", "json", "evil"),
    ("ps", "-a", "--no-trunc"),
    ("ps", "-a", "--format", "{{.Labels}} {{.Command}}"),
    ("ps", "-a", "--format", "table {{.Labels}}\t{{.Command}}"),
    ("ps", "-a", "--format", "json"),
    ("inspect", "worded"),
    ("diff", "worded"),
)


@pytest.fixture(scope="module")
def worded(jar: Onggi) -> Onggi:
    made = f"mkdir '/d{EVIL}' && touch '/d{EVIL}/f' /last"
    label = ("--label", f"l={EVIL}")
    jar("run", "--name", "worded", *label, "busybox", "sh", "-c", made, EVIL)
    return jar


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
@withstands("words", "escape sequences in names, labels, history, file names and error texts")
def test_nothing_is_obeyed_through_a_pipe(worded: Onggi, words: tuple[str, ...]) -> None:
    line = worded.line(*words)
    output = subprocess.run(line, capture_output=True, check=True, timeout=60).stdout.decode()
    assert not OBEYED.findall(output)
    if "json" in words or (words[0] == "inspect" and "-f" not in words):
        for text in output.splitlines() if words[0] != "inspect" else [output]:
            json.loads(text)


@withstands("words", "escape sequences in names, labels, history, file names and error texts")
def test_nothing_is_obeyed_by_a_terminal(worded: Onggi) -> None:
    with Terminal(worded.line("history", "--no-trunc", "evil"), columns=500) as terminal:
        shown = terminal.expect(r"\u202e")
    assert not OBEYED.findall(shown)


def test_json_says_what_was_meant(worded: Onggi) -> None:
    labels = json.loads(worded("inspect", "-f", "{{json .Config.Labels}}", "evil").stdout)
    assert labels == {f"name{EVIL}": EVIL, "plain": f"a{EVIL}z"}


def test_a_table_has_as_many_lines_as_objects(worded: Onggi) -> None:
    assert len(worded("history", "--no-trunc", "evil").stdout.splitlines()) == 2
    lines = worded("diff", "worded").stdout.splitlines()
    spelled = r"\x1b]0;mine\a\x1b[2J\x9b31m\r\nfake  line\u202e"
    assert lines == [f"A /d{spelled}", f"A /d{spelled}/f", "A /last"]


@pytest.mark.parametrize(
    "words",
    [
        ("run", f"no{EVIL}such", "true"),
        ("run", "busybox", f"/no{EVIL}such"),
        ("run", "-w", f"relative{EVIL}", "busybox", "true"),
        ("run", "--user", f"x{EVIL}", "busybox", "true"),
        ("run", f"--x{EVIL}", "busybox"),
        ("logs", f"x{EVIL}"),
        ("inspect", f"x{EVIL}"),
        ("load", "-i", f"/no{EVIL}such"),
        (f"x{EVIL}",),
    ],
    ids=lambda words: words[0].split("\x1b")[0] + str(len(words)),
)
@withstands("words", "escape sequences in names, labels, history, file names and error texts")
def test_errors_are_not_obeyed_either(worded: Onggi, words: tuple[str, ...]) -> None:
    line = worded.line(*words)
    done = subprocess.run(line, capture_output=True, check=False, timeout=60)
    assert done.returncode != 0
    assert done.stderr
    assert not OBEYED.findall((done.stdout + done.stderr).decode())


def test_a_programs_own_output_is_its_own(worded: Onggi) -> None:
    script = r"printf '\033[31m\r\233'; printf '\033[0m' >&2"
    line = worded.line("run", "--name", "own", "busybox", "sh", "-c", script)
    done = subprocess.run(line, capture_output=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == (b"\x1b[31m\r\x9b", b"\x1b[0m")
    kept = subprocess.run(worded.line("logs", "own"), capture_output=True, check=True, timeout=60)
    assert (kept.stdout, kept.stderr) == (done.stdout, done.stderr)
    worded("rm", "own")


def test_an_explained_script_says_what_was_asked_for(worded: Onggi) -> None:
    line = worded.line("run", "--explain", "-e", "COLOUR=\x1b[31m", "busybox", "true")
    done = subprocess.run(line, capture_output=True, check=True, timeout=60)
    assert b"'COLOUR=\x1b[31m'" in done.stdout


@pytest.mark.parametrize("progress", ["plain", "rawjson", "tty"])
def test_a_builds_steps_are_named_not_obeyed(worded: Onggi, tmp_path: Path, progress: str) -> None:
    name = "\x1b]0;mine\x07\x9b31m"
    (tmp_path / "Dockerfile").write_text(
        f"FROM busybox AS base\nRUN printf 'told %s' '\\033[35m' # {name}\nCOPY x{name} /\n"
    )
    line = worded.line("build", "--progress", progress, "--no-cache", str(tmp_path))
    done = subprocess.run(line, capture_output=True, check=False, timeout=60)
    assert done.returncode != 0
    output = done.stderr.decode()
    ours = re.sub(r"\x1b\[\d*[AJm]", "", output) if progress == "tty" else output
    assert not OBEYED.findall(ours)
    assert "\\x1b]0;mine" in output or "\\u001b]0;mine" in output


def test_what_a_builds_command_writes_is_its_own(worded: Onggi, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN printf '\\033[35mred\\n'\n")
    line = worded.line("build", "--progress", "plain", "--no-cache", str(tmp_path))
    done = subprocess.run(line, capture_output=True, check=True, timeout=60)
    assert b"\x1b[35mred" in done.stderr


REFUSED: dict[str, Any] = {
    "Env": ["PATH=/bin\0"],
    "Cmd": ["sh", "-c", "x\x1b[2J"],
    "Entrypoint": ["/x\x9b"],
    "Shell": ["sh\x7f"],
    "OnBuild": ["RUN x\0"],
    "User": "root\n",
    "WorkingDir": "/srv\0/x",
    "StopSignal": "TERM\t",
    "Volumes": {"/data\n": {}},
    "ExposedPorts": {"80/tcp\x1b": {}},
}


def config_with(member: str) -> tuple[Made, bytes]:
    made = Made({"etc/x": b"1\n"}, platform=host())
    value = made.image.config.to_json()
    value["config"] = {member: REFUSED[member]}
    return made, json.dumps(value).encode()


@pytest.mark.parametrize("member", REFUSED)
@withstands("words", "settings of an image with control characters")
def test_settings_that_nothing_could_run_with_are_refused_by_load(
    tmp_path: Path, member: str
) -> None:
    made, config = config_with(member)
    with Store(str(tmp_path / "store"), durable=False) as store:
        with pytest.raises(InvalidInput, match=f"'{member}' holds the control character") as told:
            load_archive(store, io.BytesIO(archive(made, config, "bad:latest")))
        assert not OBEYED.findall(str(told.value))
        assert store.references.list() == []
        assert os.listdir(f"{store.root}/layers") == []


@pytest.mark.parametrize("member", REFUSED)
def test_and_where_another_tool_put_them_by_build_and_run(tmp_path: Path, member: str) -> None:
    made, config = config_with(member)
    yard = Yard(tmp_path)
    add_busybox(yard.store)
    yard.store.blobs.put(config)
    descriptor = Descriptor.of(config, made.image.manifest.config.media_type)
    manifest = Manifest.of(descriptor, made.image.manifest.layers)
    yard.store.blobs.put(manifest.to_bytes())
    yard.store.references.set(Reference.parse("bad"), manifest.descriptor())
    with pytest.raises((BuildError, InvalidInput), match=f"'{member}' holds the control"):
        yard.build("FROM bad\nRUN true\n")
    yard.store.close()


def test_scripts_and_values_of_several_lines_are_fine() -> None:
    settings = {"Cmd": ["sh", "-c", "a\n\tb\r\n"], "Env": ["TEXT=one\ntwo\t옹기"]}
    config = ImageConfig.of(host()).with_settings(settings)
    assert config.cmd == ("sh", "-c", "a\n\tb\r\n")
    assert config.env == ("TEXT=one\ntwo\t옹기",)


def test_a_commit_that_would_make_such_an_image_is_refused(jar: Onggi) -> None:
    jar("run", "--name", "coloured", "-e", "PS1=\x1b[31m", "busybox", "true")
    done = jar.attempt("commit", "coloured", "coloured")
    assert done.returncode != 0
    assert "'Env' holds the control character '\\x1b'" in done.stderr
    jar("rm", "coloured")
