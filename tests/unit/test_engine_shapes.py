"""What `ps` and `inspect` tell has the shapes that the Docker Engine API defines."""

import time
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest

from onggi.engine import host_facts, inspection, summaries
from onggi.engine.options import ContainerOptions
from onggi.engine.volumes import VolumeMount
from onggi.oci.digest import Digest
from onggi.oci.image import ImageConfig
from onggi.oci.platform import Platform
from onggi.runtime import spec
from onggi.runtime.state import EXITED, RUNNING, State
from support.docker_api import require_shape

NS = 1_000_000_000
ID = "4c01db0b339c" + "0" * 52
IMAGE = "sha256:" + "ab" * 32
MANIFEST = "sha256:" + "cd" * 32
CREATED_NS = 1_769_848_200 * NS + 7

PLAIN = ContainerOptions(image="busybox", command=["sh", "-c", "echo hello; sleep 9"])
FULL = ContainerOptions(
    image="busybox",
    command=["httpd"],
    name="web",
    entrypoint=["/bin/env"],
    env=["A=1", "B=from the caller"],
    workdir="/srv",
    user="nobody",
    hostname="jar",
    volumes=["data:/data:ro"],
    mounts=[{"type": "bind", "source": "/srv", "target": "/s", "readonly": True}],
    tmpfs=["/t:size=1m"],
    tty=True,
    interactive=True,
    remove=True,
    init=True,
    read_only=True,
    cap_add=["NET_ADMIN"],
    cap_drop=["ALL"],
    security_opt=["no-new-privileges"],
    userns="auto",
    labels={"a": "b"},
    stop_signal="SIGINT",
    stop_timeout=3,
    group_add=["77"],
    devices=["/dev/null:/dev/nothing:r", "/dev/full"],
    limits={
        "cpus": "0.5",
        "memory": "128m",
        "pids-limit": "9",
        "ulimit": ["nofile=100:200"],
        "oom-score-adj": "300",
        "shm-size": "1m",
        "device-read-bps": ["/dev/sda:1mb"],
    },
    cgroup_parent="/mine",
)


class Shown:
    """A container as far as it is shown."""

    def __init__(self, options: ContainerOptions, state: State) -> None:
        config = ImageConfig.of(Platform("linux", "amd64")).with_settings(
            {
                "Env": ["PATH=/bin", "B=from the image"],
                "Cmd": ["sh"],
                "ExposedPorts": {"80/tcp": {}},
                "Volumes": {"/data": {}},
                "StopSignal": "SIGTERM",
                "Healthcheck": {"Test": ["CMD", "true"], "Interval": NS},
            }
        )
        mount = VolumeMount(kind="volume", source="/v/_data", target="/data", name="data")
        self.id, self.name, self.image = ID, options.name or "calm_jar", options.image
        self.directory = f"/store/containers/{ID}"
        self.state, self.status = state, state.status
        self.record: dict[str, Any] = {
            "created_ns": CREATED_NS,
            "image": options.image,
            "image_id": IMAGE,
            "manifest": MANIFEST,
            "labels": options.labels,
            "options": options.to_json(),
            "mounts": [mount.to_json()],
            "config": {
                "process": {"args": [*(options.entrypoint or []), *options.command]},
                "linux": spec.linux(namespaces=("pid",), privileged=False),
            },
        }
        chain = SimpleNamespace(chain=(Digest(IMAGE), Digest(IMAGE)))
        place = "/store/layers"
        self.store: Any = SimpleNamespace(
            blobs=SimpleNamespace(read=lambda _digest: config.to_bytes()),
            references=SimpleNamespace(get=lambda _name: SimpleNamespace(digest=MANIFEST)),
            layers=SimpleNamespace(size=lambda _diff_id: 1000),
            snapshots=SimpleNamespace(
                stack=lambda _key: [f"{self.directory}/upper", f"{place}/2/fs", f"{place}/1/fs"],
                load=lambda _key: chain,
            ),
        )

    def size(self) -> int:
        return 23

    def is_paused(self, _current: State) -> bool:
        return False


def inspected(options: ContainerOptions, state: State | None = None) -> dict[str, Any]:
    shown: Any = Shown(options, state or State())
    return inspection.container(shown)


@pytest.mark.parametrize("options", [PLAIN, FULL], ids=["plain", "full"])
@pytest.mark.parametrize("status", ["created", RUNNING, EXITED])
def test_inspect_has_the_shape_of_the_api(options: ContainerOptions, status: str) -> None:
    state = State(status=status, pid=42, started_ns=CREATED_NS, finished_ns=CREATED_NS)
    require_shape("ContainerInspectResponse", inspected(options, state))


@pytest.mark.parametrize("options", [PLAIN, FULL], ids=["plain", "full"])
def test_ps_has_the_shape_of_the_api(options: ContainerOptions) -> None:
    shown: Any = Shown(options, State())
    require_shape("ContainerSummary", summaries.container(shown, size=True))


def test_the_shape_is_held_at_all() -> None:
    with pytest.raises(jsonschema.ValidationError):
        require_shape("ContainerSummary", {"Id": ID, "Nmaes": []})
    with pytest.raises(jsonschema.ValidationError):
        require_shape("HostConfig", {"Memoyr": 1})


def test_the_host_has_the_shape_of_the_api() -> None:
    require_shape("SystemInfo", host_facts.facts())
    versions = host_facts.versions()
    assert str(versions.pop("Implementation")).startswith("CPython 3.")
    require_shape("SystemVersion", versions)


def test_inspect_tells_what_was_asked_for() -> None:
    shown = inspected(FULL)
    host, config = shown["HostConfig"], shown["Config"]
    assert (shown["Name"], shown["Path"], shown["Args"]) == ("/web", "/bin/env", ["httpd"])
    assert config["Env"] == ["PATH=/bin", "B=from the caller", "A=1"]
    assert (config["Entrypoint"], config["Cmd"]) == (["/bin/env"], ["httpd"])
    assert (config["StopSignal"], config["StopTimeout"]) == ("SIGINT", 3)
    assert (host["NanoCpus"], host["Memory"], host["PidsLimit"]) == (5 * 10**8, 128 << 20, 9)
    assert host["MemorySwap"] == 256 << 20
    assert host["Tmpfs"] == {"/t": "size=1m"}
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 100, "Hard": 200}]
    assert [one["CgroupPermissions"] for one in host["Devices"]] == ["r", "rwm"]
    assert [one["PathInContainer"] for one in host["Devices"]] == ["/dev/nothing", "/dev/full"]


def test_inspect_falls_back_on_the_image() -> None:
    config = inspected(PLAIN)["Config"]
    assert config["Entrypoint"] == []
    assert config["StopSignal"] == "SIGTERM"
    assert config["Volumes"] == {"/data": {}}
    assert "StopTimeout" not in config


def test_inspect_tells_where_the_files_lie() -> None:
    data = inspected(PLAIN)["GraphDriver"]["Data"]
    assert data["LowerDir"] == "/store/layers/2/fs:/store/layers/1/fs"
    assert data["UpperDir"].endswith("/upper")
    assert data["WorkDir"].endswith("/work")


def test_inspect_tells_how_it_ended() -> None:
    ended = State(status=EXITED, exit_code=137, oom_killed=True, finished_ns=CREATED_NS)
    state = inspected(PLAIN, ended)["State"]
    assert (state["ExitCode"], state["OOMKilled"], state["Running"]) == (137, True, False)
    assert state["FinishedAt"] == "2026-01-31T08:30:00.000000007Z"
    assert state["StartedAt"] == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (State(), "Created"),
        (State(status=RUNNING, started_ns=CREATED_NS - 180 * NS), "Up 3 minutes"),
        (State(status=RUNNING, started_ns=CREATED_NS - 7000 * NS), "Up 2 hours"),
        (State(status=EXITED, finished_ns=CREATED_NS - 7200 * NS), "Exited (0) 2 hours ago"),
        (
            State(status=EXITED, exit_code=137, finished_ns=CREATED_NS),
            "Exited (137) Less than a second ago",
        ),
    ],
)
def test_status(state: State, text: str) -> None:
    assert summaries.status(state, CREATED_NS) == text


def test_a_command_is_written_on_one_line() -> None:
    assert summaries.command(["sh"]) == "sh"
    assert summaries.command(["sh", "-c", "echo a b"]) == "sh -c 'echo a b'"


def test_sizes_count_what_lies_below() -> None:
    shown: Any = Shown(PLAIN, State(status=RUNNING, started_ns=time.time_ns()))
    summary = summaries.container(shown, size=True)
    assert (summary["SizeRw"], summary["SizeRootFs"]) == (23, 2023)
    assert "SizeRw" not in summaries.container(shown)
