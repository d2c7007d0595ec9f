"""Builds in tests: a context, a base image, and a plain executor that needs no runtime."""

import os
import shutil
import traceback
from pathlib import Path
from typing import Self

from onggi.build.builder import BuildResult, build
from onggi.build.executor import RunRequest
from onggi.build.options import BuildOptions, Secret
from onggi.build.progress import Event, StepCached, StepNotCached, StepOutput, StepStarted, Warned
from onggi.image.assembly import assemble
from onggi.image.images import put_image
from onggi.linux import mount, namespace
from onggi.oci.digest import Digest
from onggi.oci.image import History, ImageConfig
from onggi.oci.mount import Mount
from onggi.oci.platform import host
from onggi.oci.reference import Reference
from onggi.store.store import Store
from support.images import Made, tar_of

PASSWD = b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\n"
GROUP = b"root:x:0:\napp:x:1001:\nstaff:x:50:\n"
APPLETS = (
    "sh",
    "cat",
    "chmod",
    "echo",
    "env",
    "false",
    "id",
    "ln",
    "ls",
    "mkdir",
    "rm",
    "touch",
    "true",
    "pwd",
    "sleep",
)


def add_base(
    store: Store, name: str = "base", settings: dict[str, list[str]] | None = None
) -> None:
    """Put an image with a few files, and no programs, into a store."""
    files = {"etc/passwd": PASSWD, "etc/group": GROUP, "etc/motd": b"hello\n"}
    add_image(store, name, tar_of(files), settings)


def add_busybox(
    store: Store, name: str = "busybox", settings: dict[str, list[str]] | None = None
) -> None:
    """Put an image of the host's static busybox into a store."""
    program = Path(shutil.which("busybox") or "").read_bytes()
    add_image(store, name, _busybox_tar(program), settings)


def _busybox_tar(program: bytes) -> bytes:
    import io
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for folder in ("bin", "etc", "tmp"):
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            archive.addfile(member)
        for path, data in (("etc/passwd", PASSWD), ("etc/group", GROUP), ("bin/busybox", program)):
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(data), 0o755 if path.startswith("bin") else 0o644
            archive.addfile(member, io.BytesIO(data))
        for applet in APPLETS:
            member = tarfile.TarInfo(f"bin/{applet}")
            member.type, member.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(member)
    return out.getvalue()


def add_image(
    store: Store, name: str, tar: bytes, settings: dict[str, list[str]] | None = None
) -> None:
    """Put an image of one layer into a store."""
    made = Made(tar, platform=host(), settings=settings)
    config = ImageConfig.of(host(), created="2024-01-01T00:00:00Z")
    config = config.with_settings(settings or {"Env": ["PATH=/bin"], "Cmd": ["sh"]})
    line = History(created="2024-01-01T00:00:00Z", created_by="base")
    config = config.with_layer(Digest.of(tar), line)
    image = assemble(config, made.image.layers)
    import io

    with store.lease():
        for layer, blob in zip(image.layers, made.blobs, strict=True):
            store.blobs.put(blob)
            media_type = layer.descriptor.media_type
            store.layers.unpack(io.BytesIO(blob), media_type, layer.diff_id)
        store.references.set(Reference.parse(name), put_image(store, image))


class Chroot:
    """Runs commands in a chroot, in a mount namespace of their own: no isolation to speak of."""

    def __init__(self) -> None:
        self.requests: list[RunRequest] = []

    def run(self, request: RunRequest) -> int:
        """Run a command to its end and pass on what it writes."""
        self.requests.append(request)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(reader)
                os.dup2(writer, 1)
                os.dup2(writer, 2)
                _enter(request)
            except BaseException:  # noqa: BLE001  # the parent shows it
                os.write(2, traceback.format_exc().encode())
            finally:
                os._exit(127)
        os.close(writer)
        with open(reader, "rb", buffering=0) as output:
            while data := output.read(65536):
                request.output(1, data)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Containers:
    """Runs commands as an engine does, each in a container."""

    def __init__(self, root: str) -> None:
        from onggi.engine.building import ContainerExecutor
        from onggi.engine.engine import Engine

        self.requests: list[RunRequest] = []
        self._engine = Engine(root)
        self._executor = ContainerExecutor(self._engine)

    def run(self, request: RunRequest) -> int:
        """Run a command to its end and pass on what it writes."""
        self.requests.append(request)
        return self._executor.run(request)

    def close(self) -> None:
        """End the engine's launcher."""
        self._engine.close()


def _enter(request: RunRequest) -> None:
    namespace.unshare(namespace.CLONE_NEWNS)
    mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
    root = "/mnt"
    for each in request.rootfs:
        mount.mount(each.source, root, each.type, 0, ",".join(each.options))
    _attach(Mount(type="tmpfs", source="tmpfs", target="/dev", options=()), root)
    for each in request.mounts:
        _attach(each, root)
    os.chroot(root)
    os.chdir(request.cwd)
    if request.user:
        user = request.user.partition(":")[0]
        os.setuid(int(user) if user.isdigit() else 1000)
    env = dict(pair.partition("=")[::2] for pair in request.env)
    os.execvpe(request.argv[0], request.argv, env)


def _attach(each: Mount, root: str) -> None:
    target = root + each.target
    is_file = each.type == "bind" and not os.path.isdir(each.source)
    os.makedirs(os.path.dirname(target) if is_file else target, exist_ok=True)
    if is_file and not os.path.exists(target):
        os.mknod(target)
    if each.type == "bind":
        mount.mount(each.source, target, None, mount.MS_BIND | mount.MS_REC)
        if "ro" in each.options:
            mount.mount(None, target, None, mount.MS_BIND | mount.MS_REMOUNT | mount.MS_RDONLY)
        return
    known = {"ro": mount.MS_RDONLY, "nosuid": mount.MS_NOSUID, "nodev": mount.MS_NODEV}
    flags = sum(known.get(option, 0) for option in each.options)
    data = ",".join(option for option in each.options if option not in (*known, "rw"))
    mount.mount(each.source, target, each.type, flags, data)


class Yard:
    """A store, a context, and builds of one in the other."""

    def __init__(self, place: Path) -> None:
        self.context = place / "context"
        self.context.mkdir(parents=True)
        self.store = Store(str(place / "store"), durable=False)
        self.executor: Chroot | Containers = Chroot()
        self.events: list[Event] = []

    def write(self, files: dict[str, str | bytes]) -> None:
        """Write files into the context."""
        for name, data in files.items():
            path = self.context / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.encode() if isinstance(data, str) else data)

    def build(
        self, dockerfile: str, *, args: dict[str, str] | None = None, **options: object
    ) -> BuildResult:
        """Build; what was told is in `events` afterwards."""
        return self.build_bytes(dockerfile.encode(), args=args, **options)

    def build_bytes(
        self, dockerfile: bytes, *, args: dict[str, str] | None = None, **options: object
    ) -> BuildResult:
        """Build a Dockerfile that may be no text."""
        self.events = []
        told = BuildOptions(
            context=str(self.context),
            dockerfile="-",
            stdin=dockerfile,
            build_args=args,
            **options,  # type: ignore[arg-type]
        )
        return build(self.store, told, self.executor, self.events.append)

    @property
    def whys(self) -> list[str]:
        """Why steps were not cached."""
        return [event.why for event in self.events if isinstance(event, StepNotCached)]

    @property
    def cached(self) -> int:
        """How many steps were cached."""
        return sum(isinstance(event, StepCached) for event in self.events)

    @property
    def warnings(self) -> list[str]:
        """What was warned of."""
        return [event.text for event in self.events if isinstance(event, Warned)]

    @property
    def titles(self) -> list[str]:
        """The titles of steps."""
        return [event.title for event in self.events if isinstance(event, StepStarted)]

    @property
    def output(self) -> str:
        """What commands wrote."""
        data = b"".join(event.data for event in self.events if isinstance(event, StepOutput))
        return data.decode()

    def root(self, result: BuildResult) -> "View":
        """Look at an image's files."""
        return View(self.store, result)

    def secret(self, id: str, data: str) -> Secret:
        """Make a secret of a file outside the context."""
        path = self.context.parent / f"secret-{id}"
        path.write_text(data)
        return Secret(id, file=str(path))

    def close(self) -> None:
        """Give back what the store holds."""
        if isinstance(self.executor, Containers):
            self.executor.close()
        self.store.close()

    def use_containers(self) -> None:
        """Run commands in real containers from now on."""
        self.executor = Containers(self.store.root)


class View:
    """An image's files, mounted for this process alone."""

    def __init__(self, store: Store, result: BuildResult) -> None:
        from onggi.build.rootfs import open_root
        from onggi.linux.path import Inside

        mounts = store.snapshots.view(result.image.diff_ids)
        self._fd = open_root(mounts, store.workshop)
        self._inside = Inside(self._fd.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._fd.close()

    def read(self, path: str, errors: str = "strict") -> str:
        """Read a file."""
        number = self._inside.open(path, os.O_RDONLY)
        with open(number, encoding="utf-8", errors=errors) as file:
            return file.read()

    def stat(self, path: str) -> os.stat_result:
        """Look at a file, not through a link."""
        fd = self._inside.open(path, os.O_PATH | os.O_NOFOLLOW)
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def exists(self, path: str) -> bool:
        """Tell whether something is there."""
        try:
            self.stat(path)
        except FileNotFoundError:
            return False
        return True

    def list(self, path: str = "/") -> list[str]:
        """List a directory."""
        fd = self._inside.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return sorted(os.listdir(fd))
        finally:
            os.close(fd)
