"""Profiles of AppArmor on a kernel that enforces them: run by tests/vm in a machine that does."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.box import Box
from support.oci_runtimes import Json, OciRuntime
from support.requirements import requires

pytestmark = requires("root", "busybox", "apparmor", "runc")

SECURITY = Path("/sys/kernel/security")
# One that leaves much, and one under which nothing could be executed: not even the program itself,
# had it not been named when the profile was chosen.
PROFILES = """
profile onggi-test-open flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  signal,
  deny /tmp/forbidden rwklx,
}
profile onggi-test-strict flags=(attach_disconnected,mediate_deleted) {
  / r,
  /** rm,
  signal,
  deny /tmp/forbidden rwklx,
}
"""
SHOW = ("busybox", "cat", "/proc/self/attr/current")


@pytest.fixture(scope="module", autouse=True)
def profiles() -> Iterator[None]:
    assert (SECURITY / "apparmor").exists()
    parse("--replace")
    yield
    parse("--remove")


def parse(option: str) -> None:
    command = ["apparmor_parser", option, "--skip-cache"]
    done = subprocess.run(
        command, input=PROFILES, text=True, capture_output=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr


def confined(profile: str, **process: object) -> Callable[[Json], None]:
    def change(config: Json) -> None:
        config["process"] |= {"apparmorProfile": profile, **process}

    return change


@pytest.mark.parametrize("restricted", [True, False], ids=["no new privileges", "free"])
@pytest.mark.parametrize("profile", ["onggi-test-open", "onggi-test-strict"])
def test_a_container_is_confined(runtime: OciRuntime, profile: str, restricted: bool) -> None:
    change = confined(profile, noNewPrivileges=restricted)
    done = runtime.run(*SHOW, change=change)
    assert (done.returncode, done.stdout) == (0, f"{profile} (enforce)\n"), done.stderr


def test_what_the_profile_forbids_is_forbidden(runtime: OciRuntime) -> None:
    script = "touch /tmp/allowed && echo made; touch /tmp/forbidden || echo refused"
    change = confined("onggi-test-open")
    done = runtime.run("sh", "-c", script, change=change)
    assert done.stdout.split() == ["made", "refused"]


def test_with_a_filter(runtime: OciRuntime) -> None:
    def change(config: Json) -> None:
        confined("onggi-test-open")(config)
        refused = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}
        config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refused]}

    script = "cat /proc/self/attr/current; busybox mkdir /tmp/place || echo refused"
    done = runtime.run("sh", "-c", script, change=change)
    assert done.stdout == "onggi-test-open (enforce)\nrefused\n"


def test_created_and_entered(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(name, "sleep", "1000", change=confined("onggi-test-strict"))
    runtime.create(name, bundle)
    pid = runtime.state(name)["pid"]
    runtime("start", name)
    runtime.wait_until(name, "running", seconds=60)
    kept = Path("/proc", str(pid), "attr", "current")
    assert kept.read_text() == "onggi-test-strict (enforce)\n"
    inside = runtime("exec", name, *SHOW).stdout
    assert inside == "onggi-test-strict (enforce)\n"
    inside = runtime("exec", "--apparmor", "onggi-test-open", name, *SHOW).stdout
    assert inside == "onggi-test-open (enforce)\n"
    process = bundle / "process.json"
    config = json.loads((bundle / "config.json").read_text())
    described = {**config["process"], "args": list(SHOW), "apparmorProfile": ""}
    process.write_text(json.dumps(described))
    assert runtime("exec", "--process", process, name).stdout == "unconfined\n"


def test_on_a_terminal(ours: OciRuntime) -> None:
    name = ours.identifier()
    change = confined("onggi-test-strict")
    ours.create(name, ours.bundle(name, "sleep", "1000", change=change))
    line = ours.line("exec", "--tty", name, *SHOW)
    done = subprocess.run(
        ["script", "-qec", " ".join(line), "/dev/null"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "onggi-test-strict (enforce)" in done.stdout


def test_a_profile_that_is_not_loaded(runtime: OciRuntime) -> None:
    done = runtime.run(*SHOW, change=confined("onggi-test-none"))
    assert done.returncode == 1
    assert "No such file or directory" in done.stderr or "no such file" in done.stderr
    assert not runtime.remains(runtime.made[-1])


def test_our_own_containers(box: Box) -> None:
    chosen = ("--security-opt", "apparmor=onggi-test-strict")
    assert box.sh("read -r line </proc/self/attr/current; echo $line") == "unconfined"
    done = box("run", "--rm", *chosen, "busybox", "cat", "/proc/self/attr/current")
    assert done.stdout == "onggi-test-strict (enforce)\n"
    identity = box.up(*chosen)
    done = box("exec", identity, "cat", "/proc/self/attr/current")
    assert done.stdout == "onggi-test-strict (enforce)\n"
    assert box.see(identity, ".AppArmorProfile") == "onggi-test-strict"
    done = box("run", "--rm", "--init", *chosen, "busybox", "cat", "/proc/self/attr/current")
    assert done.stdout == "onggi-test-strict (enforce)\n"
    assert "apparmor" in box("info").stdout
    mapped = ("--userns", "auto", *chosen)
    done = box("run", "--rm", *mapped, "busybox", "cat", "/proc/self/attr/current")
    assert "onggi-test-strict" in done.stdout
