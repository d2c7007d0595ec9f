"""An engine that makes no containers: it remembers what the command line asked of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, BinaryIO

from onggi.engine.options import ContainerOptions, ExecOptions, Streams
from onggi.errors import Conflict, NotFound

ID = "4c01db0b339c" + "0" * 52
IMAGE = "sha256:" + "ab" * 32

Asked = list[Any]
Records = list[dict[str, object]]
Pairs = list[tuple[str, str]]
Names = list[str]


class Session:
    """A program that has ended already."""

    def __init__(self, container: Container, code: int = 0, *, oom_killed: bool = False) -> None:
        self.container = container
        self.ended = SimpleNamespace(code=code, signal=0, oom_killed=oom_killed, error="")

    def wait(self) -> SimpleNamespace:
        return self.ended

    def detach(self) -> None:
        pass


class Container:
    """One container, and what was asked of it."""

    def __init__(self, name: str, status: str = "running") -> None:
        self.id = ID
        self.name = name
        self.status = status
        self.asked: Asked = []
        self.record: dict[str, object] = {
            "warnings": [],
            "options": {"interactive": False, "tty": False},
        }
        self.created = time.time() - 200

    def summary(self, *, size: bool = False) -> dict[str, object]:
        record: dict[str, object] = {
            "Id": self.id,
            "Names": [f"/{self.name}"],
            "Image": "busybox",
            "Command": "sh -c 'echo \"hello\"; sleep 1000'",
            "Created": self.created,
            "State": self.status,
            "Status": "Up 3 minutes",
            "Labels": {"a": "b"},
            "Mounts": [{"Name": "data"}, {"Source": "/src"}],
            "HostConfig": {"NetworkMode": "none"},
        }
        return record | ({"SizeRw": 12_000, "SizeRootFs": 4_261_502} if size else {})

    def inspect(self, *, size: bool = False) -> dict[str, object]:
        sizes = {"SizeRw": 5, "SizeRootFs": 1005} if size else {}
        return {"Id": self.id, "Name": f"/{self.name}", "State": {"Pid": 42}, **sizes}

    def logs(self, **how: object) -> Iterator[SimpleNamespace]:
        self.asked.append(("logs", how))
        for stream, data in (("stdout", b"one\n"), ("stderr", b"tw"), ("stderr", b"o\xff\n")):
            yield SimpleNamespace(time_ns=1_769_848_200_000_000_007, stream=stream, data=data)

    def stats(self) -> SimpleNamespace:
        return SimpleNamespace(
            cpu_usec=0,
            memory_used_bytes=64 << 20,
            memory_limit_bytes=128 << 20,
            block_read_bytes=1_500_000,
            block_written_bytes=0,
            pids=3,
        )

    def start(self, streams: Streams | None = None) -> Session:
        self.asked.append(("start", streams))
        return Session(self, 7)

    def restart(self, timeout: float | None, signal: int | None) -> Session:
        self.asked.append(("restart", timeout, signal))
        return Session(self)

    def pause(self) -> None:
        self.asked.append("pause")

    def unpause(self) -> None:
        self.asked.append("unpause")

    def update(self, limits: dict[str, Any]) -> Names:
        self.asked.append(("update", limits))
        return ["no swap here"]

    def rename(self, name: str) -> None:
        self.asked.append(("rename", name))

    def top(self, *options: str) -> dict[str, object]:
        self.asked.append(("top", *options))
        return {"Titles": ["PID", "COMMAND"], "Processes": [["42", "sleep 1000"]]}

    def stop(self, **how: object) -> None:
        self.asked.append(("stop", how))

    def kill(self, number: int) -> None:
        if self.status != "running":
            raise Conflict(f"container {self.name} is not running")
        self.asked.append(("kill", number))

    def remove(self, **how: object) -> None:
        self.asked.append(("remove", how))

    def wait(self) -> SimpleNamespace:
        return SimpleNamespace(code=137)

    def changes(self) -> Pairs:
        return [("C", "/etc"), ("A", "/etc/n\udcffw"), ("D", "/bin/sh")]

    def explain(self) -> str:
        return "#!/bin/sh\n"

    def export(self, file: BinaryIO) -> None:
        file.write(b"a tar")

    def commit(self, **how: object) -> str:
        self.asked.append(("commit", how))
        return IMAGE

    def exec(self, options: ExecOptions, streams: Streams | None = None) -> Session:
        self.asked.append(("exec", options, streams))
        return Session(self, 7)


class Containers:
    def __init__(self) -> None:
        self.known = {name: Container(name) for name in ("web", "job")}
        self.known["job"].status = "exited"
        self.known["job"].created -= 3600
        self.asked: Asked = []
        self.code = 3
        self.oom_killed = False
        self.refusal: Exception | None = None

    def get(self, name: str) -> Container:
        if name not in self.known:
            raise NotFound(f"no such container: {name}")
        return self.known[name]

    def list(self, **how: object) -> list[Container]:
        self.asked.append(how)
        return [one for one in self.known.values() if how.get("all") or one.status == "running"]

    def create(self, options: ContainerOptions) -> Container:
        self.asked.append(options)
        return self.known["web"]

    def run(self, options: ContainerOptions, streams: Streams | None = None) -> Session:
        self.asked.append((options, streams))
        if self.refusal:
            raise self.refusal
        return Session(self.known["web"], self.code, oom_killed=self.oom_killed)


class Images:
    def __init__(self) -> None:
        self.asked: Asked = []
        self.got = b""

    def list(self, **how: object) -> Records:
        self.asked.append(("list", how))
        long_ago = time.time() - 50 * 86400
        return [
            {"Id": IMAGE, "RepoTags": ["a.b:5000/busybox:1", "busybox:latest"], "RepoDigests":
             ["busybox@sha256:" + "cd" * 32], "Created": long_ago, "Size": 4_261_502},
            {"Id": "sha256:" + "ef" * 32, "RepoTags": [], "Created": time.time() - 5, "Size": 0},
        ]  # fmt: skip

    def get(self, name: str) -> SimpleNamespace:
        if name != "busybox":
            raise NotFound(f"no such image: {name}")
        return SimpleNamespace(inspect=lambda: {"Id": IMAGE, "Size": 1})

    def history(self, _name: str) -> Records:
        return [
            {"Id": IMAGE, "Created": 1_769_848_200, "CreatedBy": 'CMD ["sh"]', "Size": 0},
            {"Id": "<missing>", "Created": 1_769_848_200, "CreatedBy": "COPY " + "x" * 60,
             "Size": 4_261_502, "Comment": "c"},
        ]  # fmt: skip

    def tag(self, source: str, target: str) -> None:
        self.asked.append(("tag", source, target))

    def remove(self, name: str, *, force: bool) -> Pairs:
        self.get(name)
        self.asked.append(("remove", name, force))
        return [("Untagged", "busybox:latest"), ("Deleted", IMAGE)]

    def save(self, names: Sequence[str], file: BinaryIO, **how: object) -> None:
        self.asked.append(("save", names, how))
        file.write(b"half")
        if "bad" in names:
            raise NotFound("no such image: bad")
        file.write(b" and half")

    def load(self, file: BinaryIO) -> Names:
        self.got = file.read()
        return ["busybox:latest", IMAGE]

    def import_(self, file: BinaryIO, **how: object) -> str:
        self.got = file.read()
        self.asked.append(("import", how))
        return IMAGE

    def bootstrap(
        self, source: str, *, reference: str, include: Names, progress: Callable[[str], None]
    ) -> str:
        self.asked.append(("bootstrap", source, reference, include))
        progress("unpacking")
        return "busybox:latest"


class Volumes:
    def __init__(self) -> None:
        self.removed: Names = []

    def create(self, name: str, *, labels: dict[str, str]) -> SimpleNamespace:
        return SimpleNamespace(name=name or "f" * 64, labels=labels)

    def get(self, name: str) -> SimpleNamespace:
        if name != "data":
            raise NotFound(f"no such volume: {name}")
        return SimpleNamespace(
            inspect=lambda: {"Name": "data", "Driver": "local", "Mountpoint": "/v/data/_data"}
        )

    def list(self, filters: dict[str, Names]) -> Sequence[SimpleNamespace]:
        return [] if filters else [self.get("data")]

    def prune(self, filters: dict[str, Names]) -> dict[str, int]:
        return {"f" * 64: 2_000_000} | ({"data": 1_000_000} if filters else {})

    def remove(self, name: str) -> None:
        self.get(name)
        self.removed.append(name)


class System:
    def __init__(self) -> None:
        self.was_reset = False

    def reset(self) -> None:
        self.was_reset = True

    def info(self) -> dict[str, object]:
        return {
            "Containers": 2,
            "ContainersRunning": 1,
            "MemTotal": 4 << 30,
            "SecurityOptions": ["name=seccomp", "name=cgroupns"],
            "Warnings": ["no swap limit support"],
        }

    def version(self) -> dict[str, object]:
        return {"Version": "0.1.0", "KernelVersion": "6.1.0"}


class Engine:
    """As much of `onggi.Engine` as the command line asks for."""

    def __init__(self) -> None:
        self.root: str | None = None
        self.containers = Containers()
        self.images = Images()
        self.volumes = Volumes()
        self.system = System()
        self.closed = False

    def explain(self, _options: object) -> str:
        return "#!/bin/sh\n# as asked\n"

    def close(self) -> None:
        self.closed = True
