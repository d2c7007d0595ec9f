"""Hooks of all six kinds: when, where, with what they run, and what their failure means."""

import json
import os
from pathlib import Path

import pytest

from support.oci_runtimes import Json, OciRuntime
from support.requirements import requires

pytestmark = requires("root", "busybox")

BEFORE = ("prestart", "createRuntime", "createContainer", "startContainer")


def hook(file: Path, line: str = ":", **more: object) -> Json:
    """Return a hook of the host's that notes what it was given."""
    script = f"cat > {file}.$1; {line}"
    return {"path": "/bin/sh", "args": ["sh", "-c", script, "sh", "state"], **more}


def test_when_they_run(runtime: OciRuntime, root_dir: Path) -> None:
    name, order = runtime.identifier(), root_dir / "order"

    def change(config: Json) -> None:
        config["mounts"].append(
            {
                "destination": "/noted",
                "type": "bind",
                "source": str(root_dir),
                "options": ["bind"],
            }
        )
        config["hooks"] = {
            kind: [say(kind, "/noted/order" if kind == "startContainer" else str(order))]
            for kind in (*BEFORE, "poststop")
        }
        config["process"]["args"] = ["sh", "-c", "echo program >> /noted/order"]

    runtime.create(name, runtime.bundle(name, change=change))
    assert order.read_text().split() == ["prestart", "createRuntime", "createContainer"]
    runtime("start", name)
    runtime.wait_until(name, "stopped")
    runtime("delete", name)
    assert order.read_text().split() == [*BEFORE, "program", "poststop"]


def say(word: str, file: str) -> Json:
    return {"path": "/bin/sh", "args": ["sh", "-c", f"echo {word} >> {file}"]}


def test_what_they_are_told(runtime: OciRuntime, root_dir: Path) -> None:
    name = runtime.identifier()
    files = {kind: root_dir / kind for kind in ("createRuntime", "createContainer", "poststop")}
    bundle = runtime.bundle(
        name,
        "true",
        change=lambda config: config.update(
            hooks={kind: [hook(file)] for kind, file in files.items()},
            annotations={"a": "b"},
        ),
    )
    runtime.create(name, bundle)
    pid = runtime.state(name)["pid"]
    runtime("delete", "--force", name)
    states = {kind: json.loads(Path(f"{file}.state").read_text()) for kind, file in files.items()}
    for kind, status in (
        ("createRuntime", "creating"),
        ("createContainer", "creating"),
        ("poststop", "stopped"),
    ):
        state = states[kind]
        assert (state["id"], state["bundle"]) == (name, str(bundle))
        assert state["status"] == status
        assert state["annotations"] == {"a": "b"}
        assert state["ociVersion"]
    assert states["createRuntime"]["pid"] == pid
    assert states["createContainer"]["pid"] == 1


def test_where_they_run(runtime: OciRuntime, root_dir: Path) -> None:
    name, links = runtime.identifier(), root_dir / "links"
    line = "for kind in mnt net; do readlink /proc/self/ns/$kind; done"

    def noting(kind: str) -> Json:
        return {"path": "/bin/sh", "args": ["sh", "-c", f"({line}) > {links}.{kind}"]}

    kinds = ("createRuntime", "createContainer", "poststop")
    runtime.create(
        name,
        runtime.bundle(
            name,
            "true",
            change=lambda config: config.update(hooks={kind: [noting(kind)] for kind in kinds}),
        ),
    )
    inside = [
        os.readlink(f"/proc/{runtime.state(name)['pid']}/ns/{kind}") for kind in ("mnt", "net")
    ]
    here = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("mnt", "net")]
    runtime("delete", "--force", name)
    found = {kind: Path(f"{links}.{kind}").read_text().split() for kind in kinds}
    assert found == {"createRuntime": here, "createContainer": inside, "poststop": here}


def test_environment_and_words(runtime: OciRuntime, root_dir: Path) -> None:
    name, file = runtime.identifier(), root_dir / "env"
    script = f"env > {file}; echo $0 $1 >> {file}"
    own = {"path": "/bin/sh", "args": ["zero", "-c", script, "nought", "one"], "env": ["A=b c"]}
    bundle = runtime.bundle(
        name, "true", change=lambda config: config.update(hooks={"createRuntime": [own]})
    )
    runtime.create(name, bundle)
    said = [
        line
        for line in file.read_text().splitlines()
        if not line.startswith(("PWD=", "_=", "SHLVL="))
    ]
    assert said == ["A=b c", "nought one"]


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_a_failure_undoes_the_creation(runtime: OciRuntime, root_dir: Path, kind: str) -> None:
    name, last = runtime.identifier(), root_dir / "last"
    bad = {"path": "/bin/sh", "args": ["sh", "-c", "echo because >&2; exit 3"]}
    never = say("never", str(last))

    def change(config: Json) -> None:
        config["hooks"] = {kind: [bad, never]}

    done = runtime.attempt("create", "--bundle", runtime.bundle(name, "true", change=change), name)
    assert done.returncode == 1
    assert "exit status 3" in done.stderr
    assert "because" in done.stderr
    assert not last.exists()
    assert not runtime.remains(name)


def test_a_start_hook_that_fails_stops_the_container(ours: OciRuntime) -> None:
    name = ours.identifier()
    bad = {"path": "/bin/sh", "args": ["sh", "-c", "exit 3"]}
    bundle = ours.bundle(
        name, "sleep", "100", change=lambda config: config.update(hooks={"startContainer": [bad]})
    )
    ours.create(name, bundle)
    done = ours.attempt("start", name)
    assert (done.returncode, "exit status 3" in done.stderr) == (1, True)
    ours.wait_until(name, "stopped")


def test_poststart(ours: OciRuntime, root_dir: Path) -> None:
    # runc before 1.2 runs these when it creates the container: its issue 3380.
    name, file = ours.identifier(), root_dir / "told"
    bundle = ours.bundle(
        name,
        "sleep",
        "100",
        change=lambda config: config.update(hooks={"poststart": [hook(file)]}),
    )
    ours.create(name, bundle)
    assert not Path(f"{file}.state").exists()
    ours("start", name)
    told = json.loads(Path(f"{file}.state").read_text())
    assert (told["status"], told["pid"]) == ("running", ours.state(name)["pid"])


@pytest.mark.parametrize("detach", [(), ("--detach",)])
def test_a_poststart_hook_that_fails_stops_the_container(
    ours: OciRuntime, detach: tuple[str, ...]
) -> None:
    name = ours.identifier()
    bad = {"path": "/bin/false"}
    bundle = ours.bundle(
        name, "sleep", "100", change=lambda config: config.update(hooks={"poststart": [bad]})
    )
    done = ours.attempt("run", *detach, "--bundle", bundle, name)
    assert (done.returncode, "exit status 1" in done.stderr) == (1, True)
    assert not ours.remains(name)
    ours.create(name, bundle)
    assert ours.attempt("start", name).returncode == 1
    ours.wait_until(name, "stopped")


def test_poststop_hooks_run_whatever_they_do(runtime: OciRuntime, root_dir: Path) -> None:
    name, file = runtime.identifier(), root_dir / "last"
    bad = {"path": "/bin/false"}
    runtime.create(
        name,
        runtime.bundle(
            name,
            "true",
            change=lambda config: config.update(hooks={"poststop": [bad, say("ran", str(file))]}),
        ),
    )
    done = runtime("delete", "--force", name)
    assert not runtime.remains(name)
    if runtime.name == "onggi":
        assert "level=warning" in done.stderr
        assert file.read_text() == "ran\n"


def test_a_hook_that_takes_too_long(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    slow = {"path": "/bin/sleep", "args": ["sleep", "60"], "timeout": 1}
    bundle = runtime.bundle(
        name, "true", change=lambda config: config.update(hooks={"createRuntime": [slow]})
    )
    done = runtime.attempt("create", "--bundle", bundle, name)
    assert done.returncode == 1
    assert "timeout" in done.stderr
    assert not runtime.remains(name)


@pytest.mark.parametrize("path", ["/bin/nothing", "/etc"])
def test_a_hook_that_cannot_be_executed(runtime: OciRuntime, path: str) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(
        name,
        "true",
        change=lambda config: config.update(hooks={"createRuntime": [{"path": path}]}),
    )
    done = runtime.attempt("create", "--bundle", bundle, name)
    assert done.returncode == 1
    assert path in done.stderr
    assert not runtime.remains(name)


def test_a_hook_that_reads_nothing_and_says_much(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    line = "exec <&-; i=0; while [ $i -lt 3000 ]; do echo a line that fills it; i=$((i+1)); done"
    loud = {"path": "/bin/sh", "args": ["sh", "-c", line]}

    def change(config: Json) -> None:
        config["hooks"] = {"createRuntime": [loud]}
        config["annotations"] = {"big": "x" * 200_000}

    runtime.create(name, runtime.bundle(name, "true", change=change))
    assert runtime.state(name)["status"] == "created"
