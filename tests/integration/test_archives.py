"""Images into a store and out of it: hostile archives, and archives of skopeo, podman, buildah."""

import gzip
import io
import json
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onggi.errors import AlreadyExists, Corrupt, InvalidInput, OnggiError, Unsupported
from onggi.image import listing
from onggi.image.archive_load import Loaded, load_archive, load_layout
from onggi.image.archive_save import save_archive, save_layout
from onggi.image.history import rows
from onggi.image.images import ImageNotFound, find, get_image, tag
from onggi.image.removal import ContainerUse, ImageInUse, Removed, prune, remove
from onggi.image.transfer import import_rootfs
from onggi.oci.digest import Digest, chain_ids
from onggi.oci.image import History, ImageConfig, Manifest
from onggi.oci.platform import Platform
from onggi.oci.reference import Reference
from onggi.store.store import Store
from support.images import CREATED, Files, Made, blob_name, docker_archive, layout, link, tar_of
from support.peers import Peer, run
from support.requirements import requires
from support.threats import withstands

pytestmark = requires("root")

ONE = Made({"etc/one": b"1\n"})
TWO = Made({"etc/one": b"1\n"}, {"two": b"2\n"}, compressed=True)


@pytest.fixture
def store(root_dir: Path) -> Iterator[Store]:
    with Store(str(root_dir / "store"), durable=False) as made:
        yield made


def load(store: Store, files: Files) -> list[Loaded]:
    return load_archive(store, io.BytesIO(tar_of(files)))


def saved(store: Store, *names: str, archive_format: str = "docker") -> bytes:
    out = io.BytesIO()
    save_archive(store, names, out, archive_format)
    return out.getvalue()


def contents(store: Store) -> tuple[list[Digest], list[Digest], list[str], list[str]]:
    """Say what a store holds, half-made things included."""
    halves = [
        name
        for token in os.listdir(f"{store.root}/tmp")
        for name in os.listdir(f"{store.root}/tmp/{token}")
        if not name.startswith("lease-")
    ]
    names = [str(reference) for reference, _ in store.references.list()]
    return store.blobs.list(), store.layers.list(), halves, names


# Loading


@pytest.mark.parametrize("form", ["docker", "oci"])
def test_load(store: Store, form: str) -> None:
    files = (
        docker_archive(TWO, ONE, tags=[["two", "other:2"], ["one"]])
        if form == "docker"
        else layout(TWO, TWO, ONE, names=["two:latest", "other:2", "one:latest"])
    )
    two, one = load(store, files)
    assert [name.familiar for name in two.references] == ["two:latest", "other:2"]
    assert (one.image.id, two.image.id) == (ONE.image.id, TWO.image.id)
    for name, made in (("one", ONE), ("two", TWO), ("other:2", TWO)):
        image = get_image(store, name)
        assert image.manifest.layers == made.image.manifest.layers
        for diff_id in image.diff_ids:
            assert store.layers.has(diff_id)
        for layer, blob in zip(image.layers, made.blobs, strict=True):
            assert store.blobs.read(layer.descriptor.digest) == blob
    assert Path(store.layers.path(ONE.image.diff_ids[0]), "etc/one").read_bytes() == b"1\n"


def test_load_keeps_the_manifest_of_an_oci_archive(store: Store) -> None:
    manifest = TWO.image.manifest.with_annotations({"made.by": "hand"})
    files = layout(TWO)
    index = {"schemaVersion": 2, "manifests": [manifest.descriptor().to_json()]}
    files |= {blob_name(manifest.digest): manifest.to_bytes()}
    (loaded,) = load(store, {**files, "index.json": json.dumps(index).encode()})
    assert loaded.image.manifest == manifest
    assert store.blobs.read(manifest.digest) == manifest.to_bytes()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_load_from_a_pipe(store: Store, pack: Callable[[bytes], bytes]) -> None:
    data = pack(tar_of(docker_archive(TWO, tags=[["two"]])))
    read_fd, write_fd = os.pipe()

    def feed() -> None:
        with open(write_fd, "wb") as pipe:
            pipe.write(data)

    feeder = threading.Thread(target=feed)
    feeder.start()
    with open(read_fd, "rb") as stream:
        (loaded,) = load_archive(store, stream)
    feeder.join()
    assert loaded.image.id == TWO.image.id


def test_load_layers_shared_through_links(store: Store) -> None:
    files = docker_archive(ONE, tags=[["one"]])
    name = f"{Digest.of(ONE.tars[0]).hex}/layer.tar"
    members = [(key, value) for key, value in files.items() if key != name]
    data = tar_of([("real.tar", ONE.blobs[0]), ("", link(name, "../real.tar")), *members])
    (loaded,) = load_archive(store, io.BytesIO(data))
    assert loaded.image.id == ONE.image.id


def test_load_tells_how_far_it_is(store: Store) -> None:
    told: list[tuple[Digest, int, int]] = []
    stream = io.BytesIO(tar_of(docker_archive(TWO)))
    load_archive(store, stream, progress=lambda *report: told.append(report))
    sizes = list(map(len, TWO.blobs))
    assert told == list(zip(TWO.image.diff_ids, sizes, sizes, strict=True))


def test_loading_twice_changes_nothing(store: Store) -> None:
    load(store, docker_archive(TWO, tags=[["two"]]))
    before = contents(store)
    load(store, docker_archive(TWO, tags=[["two"]]))
    assert contents(store) == before


def test_a_name_moves_and_its_old_image_stays(store: Store) -> None:
    load(store, docker_archive(ONE, tags=[["app"]]))
    load(store, docker_archive(TWO, tags=[["app"]]))
    assert get_image(store, "app").id == TWO.image.id
    assert get_image(store, ONE.image.id).id == ONE.image.id
    assert [each.dangling for each in listing.summaries(store) if each.id == ONE.image.id] == [True]


def replaced(files: Files, old: bytes, new: bytes) -> Files:
    """Give the member that has these contents others, under its old name."""
    assert old in files.values()
    return {name: new if data == old else data for name, data in files.items()}


def without(files: Files, old: bytes) -> Files:
    return {name: data for name, data in files.items() if data != old}


OTHER_TAR = tar_of({"evil": b"666"})
LIAR = Made({"a": b"a"})
LIAR_CONFIG = ImageConfig.from_json(
    {
        **LIAR.image.config.to_json(),
        "rootfs": {"type": "layers", "diff_ids": [Digest.of(OTHER_TAR)]},
    }
)


def with_wrong_diff_id() -> Files:
    """Write an OCI archive in which everything matches but the layer's diff ID."""
    manifest = Manifest.of(
        LIAR.image.manifest.config.of(
            LIAR_CONFIG.to_bytes(), LIAR.image.manifest.config.media_type
        ),
        LIAR.image.manifest.layers,
    )
    index = {"schemaVersion": 2, "manifests": [manifest.descriptor().to_json()]}
    return {
        **layout(LIAR),
        blob_name(manifest.digest): manifest.to_bytes(),
        blob_name(LIAR_CONFIG.digest): LIAR_CONFIG.to_bytes(),
        "index.json": json.dumps(index).encode(),
    }


def unsafe(name: str, contents: bytes | tarfile.TarInfo = b"x") -> Files:
    """Write an archive whose second layer is hostile, and everything else right."""
    return docker_archive(Made({"etc/one": b"1\n"}, tar_of([(name, contents)])), tags=[["evil"]])


@pytest.mark.parametrize(
    ("files", "kind", "complaint"),
    [
        (replaced(layout(TWO), TWO.blobs[1], TWO.blobs[1][:-1] + b"?"), Corrupt, "arrived with"),
        (replaced(layout(TWO), TWO.blobs[1], TWO.blobs[1][:-1]), Corrupt, "bytes instead of"),
        (replaced(layout(TWO), TWO.blobs[1], TWO.blobs[1] + b"?"), Corrupt, "bytes instead of"),
        (without(layout(TWO), TWO.blobs[1]), Corrupt, "archive has no 'blobs"),
        (replaced(docker_archive(TWO), TWO.blobs[1], OTHER_TAR), Corrupt, "arrived with"),
        (replaced(docker_archive(TWO), TWO.blobs[1], TWO.blobs[0]), Corrupt, "diff ID"),
        (without(docker_archive(TWO), TWO.blobs[1]), Corrupt, "archive has no"),
        (replaced(docker_archive(TWO), TWO.blobs[1], b"BZh91"), Unsupported, "bzip2"),
        (with_wrong_diff_id(), Corrupt, "diff ID"),
        (unsafe("../evil"), InvalidInput, "leads out of the archive's root"),
        (unsafe("x", link("x", "/etc/passwd", b"Z")), InvalidInput, "unknown type"),
        ({"etc/passwd": b"root"}, InvalidInput, "not an image archive"),
        ({**layout(TWO), "../evil": b""}, Corrupt, "unsafe name"),
    ],
)
@withstands("digests", "a load that fails half-way", "a layer with another diff ID")
def test_a_load_that_fails_leaves_nothing(
    store: Store, files: Files, kind: type[OnggiError], complaint: str
) -> None:
    with pytest.raises(kind, match=complaint):
        load(store, files)
    assert contents(store) == ([], [], [], [])


def test_a_load_that_fails_leaves_what_was_there(store: Store) -> None:
    load(store, docker_archive(ONE, tags=[["one"]]))
    before = contents(store)
    files = docker_archive(TWO, tags=[["one"]])
    with pytest.raises(Corrupt):
        load(store, replaced(files, TWO.blobs[1], OTHER_TAR))
    assert contents(store) == before
    assert get_image(store, "one").id == ONE.image.id


@withstands("digests", "a layer with another diff ID")
def test_a_blob_that_is_not_the_layer_that_is_here_is_refused(store: Store) -> None:
    load(store, docker_archive(ONE, tags=[["one"]]))
    files = replaced(docker_archive(ONE), ONE.blobs[0], gzip.compress(OTHER_TAR))
    with pytest.raises(Corrupt, match="is not the one that diff ID"):
        load(store, files)


# Saving


@pytest.mark.parametrize("archive_format", ["docker", "oci"])
def test_what_is_saved_loads_again(store: Store, root_dir: Path, archive_format: str) -> None:
    load(store, layout(TWO, ONE, names=["two:1", "one:1"]))
    data = saved(store, "two:1", "one:1", archive_format=archive_format)
    assert data == saved(store, "two:1", "one:1", archive_format=archive_format)
    with Store(str(root_dir / "other"), durable=False) as other:
        load_archive(other, io.BytesIO(data))
        assert other.references.list() == store.references.list()
        assert other.blobs.list() == store.blobs.list()


def test_what_a_docker_archive_has(store: Store) -> None:
    load(store, docker_archive(TWO, tags=[["two", "two:other"]]))
    with tarfile.open(fileobj=io.BytesIO(saved(store, "two"))) as archive:
        members = archive.getmembers()
        files = {
            member.name: archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in members
            if member.isfile()
        }
    assert {(each.uid, each.gid, each.mtime, each.uname) for each in members} == {(0, 0, 0, "")}
    (entry,) = json.loads(files["manifest.json"])
    assert entry["RepoTags"] == ["two:latest", "two:other"]
    assert Digest.of(files[entry["Config"]]) == TWO.image.id
    assert [files[name] for name in entry["Layers"]] == TWO.blobs
    top = Digest.of(TWO.blobs[-1]).hex
    assert json.loads(files["repositories"]) == {"two": {"latest": top, "other": top}}
    assert len(json.loads(files["index.json"])["manifests"]) == 2


def test_an_id_is_saved_without_a_name(store: Store, root_dir: Path) -> None:
    load(store, docker_archive(TWO, tags=[["two"]]))
    with Store(str(root_dir / "other"), durable=False) as other:
        (loaded,) = load_archive(other, io.BytesIO(saved(store, TWO.image.id.short)))
        assert (loaded.references, loaded.image.id) == ((), TWO.image.id)


def test_a_layout_directory(store: Store, root_dir: Path) -> None:
    load(store, docker_archive(TWO, tags=[["two"]]))
    directory = root_dir / "layout"
    save_layout(store, ["two"], str(directory))
    assert sorted(os.listdir(directory)) == ["blobs", "index.json", "oci-layout"]
    with Store(str(root_dir / "other"), durable=False) as other:
        (loaded,) = load_layout(other, str(directory))
        assert loaded.image == get_image(store, "two")
    with pytest.raises(AlreadyExists, match="not an empty directory"):
        save_layout(store, ["two"], str(directory))
    with pytest.raises(ImageNotFound):
        save_layout(store, ["missing"], str(root_dir / "missing"))
    assert sorted(os.listdir(root_dir)) == ["layout", "other", "store"]


def test_a_blob_damaged_on_disk_is_not_saved(store: Store, root_dir: Path) -> None:
    load(store, docker_archive(TWO, tags=[["two"]]))
    Path(store.blobs.path(Digest.of(TWO.blobs[0]))).write_bytes(bytes(len(TWO.blobs[0])))
    with pytest.raises(Corrupt, match="other contents on disk"):
        saved(store, "two")
    with pytest.raises(Corrupt, match="other contents on disk"):
        save_layout(store, ["two"], str(root_dir / "layout"))
    assert os.listdir(root_dir) == ["store"]


def test_refusals_of_save(store: Store) -> None:
    with pytest.raises(InvalidInput, match="unknown archive format 'zip'"):
        saved(store, "two", archive_format="zip")
    with pytest.raises(ImageNotFound, match="no such image: two"):
        saved(store, "two")


# Names, lists, history


def test_finding_images(store: Store) -> None:
    load(store, docker_archive(ONE, TWO, tags=[["one"], ["example.com/two:2"]]))
    for name in ("one", "docker.io/library/one:latest", ONE.image.id, ONE.image.id.hex[:6]):
        assert get_image(store, name).id == ONE.image.id
    manifest = TWO.image.descriptor.digest
    for name in (f"example.com/two@{manifest}", TWO.image.id.hex, f"sha256:{TWO.image.id.hex[:9]}"):
        assert get_image(store, name).id == TWO.image.id
    assert find(store, f"example.com/two@{manifest}")[0] == Reference.parse("example.com/two:2")
    for name in ("three", "one:2", "0" * 64, f"one@{manifest}"):
        with pytest.raises(ImageNotFound, match="no such image"):
            get_image(store, name)
    with pytest.raises(InvalidInput, match="invalid reference format"):
        get_image(store, "One")


def test_tags(store: Store) -> None:
    load(store, docker_archive(ONE, TWO, tags=[["one"], ["two"]]))
    tag(store, "one", Reference.parse("example.com/app:1"))
    tag(store, TWO.image.id.short, Reference.parse("one"))
    assert get_image(store, "example.com/app:1").id == ONE.image.id
    assert get_image(store, "one").id == TWO.image.id
    with pytest.raises(InvalidInput, match="refusing to create a tag with a digest reference"):
        tag(store, "one", Reference.parse(f"one@{TWO.image.id}"))


def test_listing(store: Store) -> None:
    load(store, docker_archive(ONE, TWO, tags=[["one", "uno"], ["two"]]))
    found = {summary.id: summary for summary in listing.summaries(store)}
    one, two = found[ONE.image.id], found[TWO.image.id]
    assert [name.familiar for name in one.references] == ["one:latest", "uno:latest"]
    assert (one.size, one.shared_size, one.created) == (2, 2, CREATED)
    assert (two.size, two.shared_size, two.dangling) == (4, 2, False)
    assert two.digests == (TWO.image.descriptor.digest,)


def test_history(store: Store) -> None:
    load(store, docker_archive(TWO, tags=[["two"]]))
    newest, oldest = rows(store, get_image(store, "two"))
    assert (newest.id, newest.created_by, newest.size) == (TWO.image.id, "COPY 1", 2)
    assert (oldest.id, oldest.created_by, oldest.created) == (None, "COPY 0", CREATED)


# Removing


def test_the_last_name_removes_the_image(store: Store) -> None:
    load(store, docker_archive(ONE, TWO, tags=[["one"], ["two", "dos"]]))
    assert remove(store, "two") == [Removed(untagged="two:latest")]
    removed = remove(store, "dos")
    assert removed == [
        Removed(untagged="dos:latest"),
        Removed(deleted=TWO.image.id),
        Removed(deleted=chain_ids(TWO.image.diff_ids)[1]),
    ]
    assert store.layers.list() == list(ONE.image.diff_ids)
    remove(store, "one")
    assert contents(store) == ([], [], [], [])
    with pytest.raises(ImageNotFound, match="no such image: one"):
        remove(store, "one")


def test_removing_by_id(store: Store) -> None:
    load(store, docker_archive(ONE, TWO, tags=[["one"], ["two", "dos"]]))
    assert remove(store, ONE.image.id.short)[:2] == [
        Removed(untagged="one:latest"),
        Removed(deleted=ONE.image.id),
    ]
    with pytest.raises(ImageInUse, match=r"\(must be forced\) - image is referenced in multiple"):
        remove(store, TWO.image.id)
    remove(store, TWO.image.id, force=True)
    assert contents(store) == ([], [], [], [])


def use(running: bool) -> list[ContainerUse]:
    return [ContainerUse(container="c" * 64, image=ONE.image.id, running=running)]


def test_an_image_with_a_stopped_container(store: Store) -> None:
    load(store, docker_archive(ONE, tags=[["one", "uno"]]))
    assert remove(store, "uno", users=use(False)) == [Removed(untagged="uno:latest")]
    with pytest.raises(
        ImageInUse, match=r'reference "one" \(must force\) - container c{12} is using'
    ):
        remove(store, "one", users=use(False))
    with pytest.raises(ImageInUse, match=r"being used by stopped container c{12}$"):
        remove(store, ONE.image.id, users=use(False))
    assert Removed(deleted=ONE.image.id) in remove(store, "one", users=use(False), force=True)


def test_an_image_with_a_running_container(store: Store) -> None:
    load(store, docker_archive(ONE, tags=[["one"]]))
    for force in (False, True):
        with pytest.raises(ImageInUse, match=r"\(cannot be forced\) .* running container c{12}$"):
            remove(store, ONE.image.id, users=use(True), force=force)
    with pytest.raises(ImageInUse, match="must force"):
        remove(store, "one", users=use(True))
    assert remove(store, "one", users=use(True), force=True) == [Removed(untagged="one:latest")]
    assert get_image(store, ONE.image.id).id == ONE.image.id
    assert prune(store, lambda _: True, users=use(True)) == ([], 0)
    removed, freed = prune(store, lambda _: True)
    assert Removed(deleted=ONE.image.id) in removed
    assert freed > 0
    assert contents(store) == ([], [], [], [])


# Importing


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_import(store: Store, pack: Callable[[bytes], bytes]) -> None:
    tar = tar_of({"bin/app": b"x" * 100})
    config = ImageConfig.of(Platform("linux", "amd64")).with_settings({"Cmd": ["/bin/app"]})
    line = History(created=CREATED, comment="Imported from -")
    name = Reference.parse("app")
    stream = io.BytesIO(pack(tar))
    image = import_rootfs(store, stream, config, history=line, reference=name)
    assert get_image(store, "app") == image
    assert image.diff_ids == (Digest.of(tar),)
    assert (image.config.cmd, image.created) == (("/bin/app",), CREATED)
    assert [row.comment for row in rows(store, image)] == ["Imported from -"]
    assert [row.size for row in rows(store, image)] == [100]


def test_an_import_that_fails_leaves_nothing(store: Store) -> None:
    config = ImageConfig.of(Platform("linux", "amd64"))
    for data in (b"not a tar", gzip.compress(b"x" * 1000)[:-9], tar_of({"../x": b""})):
        with pytest.raises(OnggiError):
            import_rootfs(store, io.BytesIO(data), config, history=History())
        assert contents(store) == ([], [], [], [])


# Other tools


def skopeo(*words: str | Path) -> str:
    return run("skopeo", "--insecure-policy", *words)


def image_id(inspected: str) -> Digest:
    """Compute an image's ID from what `skopeo inspect --config --raw` printed."""
    return Digest.of(inspected.encode())


@requires("skopeo")
@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive", "oci"])
def test_skopeo_reads_what_we_save(store: Store, root_dir: Path, transport: str) -> None:
    load(store, layout(TWO, names=["example.com/two:1"]))
    place = root_dir / "saved"
    if transport == "oci":
        save_layout(store, ["example.com/two:1"], str(place))
    else:
        place.write_bytes(saved(store, "example.com/two:1"))
    source = f"{transport}:{place}:example.com/two:1"
    assert image_id(skopeo("inspect", "--config", "--raw", source)) == TWO.image.id
    # To the same kind: between Docker's and OCI's, skopeo writes configs anew.
    kind = "docker-archive" if transport == "docker-archive" else "oci-archive"
    skopeo("copy", source, f"{kind}:{root_dir / 'copy'}:two:1")
    with (
        Store(str(root_dir / "other"), durable=False) as other,
        (root_dir / "copy").open("rb") as stream,
    ):
        (loaded,) = load_archive(other, stream)
        assert loaded.image.id == TWO.image.id
        assert [name.familiar for name in loaded.references] == ["two:1"]
        if kind == "oci-archive":
            assert loaded.image.manifest.layers == TWO.image.manifest.layers


@requires("skopeo")
def test_skopeo_reads_the_store_itself(store: Store) -> None:
    load(store, layout(TWO, names=["example.com/two:1"]))
    source = f"oci:{store.root}:example.com/two:1"
    assert image_id(skopeo("inspect", "--config", "--raw", source)) == TWO.image.id


@requires("skopeo")
@pytest.mark.parametrize(
    ("transport", "options"),
    [
        ("docker-archive", []),  # which has no compressed layers, says newer skopeo
        ("docker-archive", ["--dest-decompress"]),
        ("oci-archive", []),
        ("oci-archive", ["--dest-decompress"]),
        pytest.param("oci-archive", ["--dest-compress-format", "zstd"], marks=requires("zstd")),
    ],
)
def test_we_read_what_skopeo_writes(
    store: Store, root_dir: Path, transport: str, options: list[str]
) -> None:
    load(store, layout(TWO, names=["two:1"]))
    save_layout(store, ["two:1"], str(root_dir / "layout"))
    place = root_dir / "theirs"
    source = f"oci:{root_dir / 'layout'}:docker.io/library/two:1"
    skopeo("copy", *options, source, f"{transport}:{place}:two:1")
    with Store(str(root_dir / "other"), durable=False) as other, place.open("rb") as stream:
        (loaded,) = load_archive(other, stream)
        assert loaded.image.id == TWO.image.id
        assert [name.familiar for name in loaded.references] == ["two:1"]
        assert other.layers.list() == store.layers.list()


@requires("podman")
@pytest.mark.parametrize("archive_format", ["docker", "oci"])
def test_podman_loads_what_we_save(store: Store, root_dir: Path, archive_format: str) -> None:
    load(store, layout(TWO, names=["example.com/two:1"]))
    podman = Peer("podman", root_dir)
    place = root_dir / "saved"
    place.write_bytes(saved(store, "example.com/two:1", archive_format=archive_format))
    assert "Loaded image: example.com/two:1" in podman("load", "-i", place)
    found = podman("image", "inspect", "--format", "{{.Id}}", "example.com/two:1")
    assert found == TWO.image.id.hex


@requires("podman")
@pytest.mark.parametrize("archive_format", ["docker-archive", "oci-archive"])
def test_we_load_what_podman_saves(store: Store, root_dir: Path, archive_format: str) -> None:
    podman = Peer("podman", root_dir)
    # In the same form: between Docker's and OCI's, podman writes configs anew.
    files = (
        layout(TWO, names=["example.com/two:1"])
        if archive_format == "oci-archive"
        else docker_archive(TWO, tags=[["example.com/two:1"]])
    )
    ours = root_dir / "ours"
    ours.write_bytes(tar_of(files))
    podman("load", "-i", ours)
    theirs = root_dir / "theirs"
    podman("save", "--format", archive_format, "-o", theirs, "example.com/two:1")
    with theirs.open("rb") as stream:
        (loaded,) = load_archive(store, stream)
    assert loaded.image.id == TWO.image.id
    assert [name.familiar for name in loaded.references] == ["example.com/two:1"]


@requires("buildah")
@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive"])
def test_we_load_what_buildah_builds(store: Store, root_dir: Path, transport: str) -> None:
    buildah = Peer("buildah", root_dir)
    (root_dir / "file").write_text("contents")
    container = buildah("from", "scratch")
    buildah("copy", container, root_dir / "file", "/srv/file")
    buildah("config", "--cmd", "/srv/file", "--env", "A=b", container)
    built = buildah("commit", "--quiet", container)
    buildah("push", "--quiet", built, f"{transport}:{root_dir / 'theirs'}:example.com/built:1")
    with (root_dir / "theirs").open("rb") as stream:
        (loaded,) = load_archive(store, stream)
    assert loaded.image.id.hex == built
    assert "A=b" in loaded.image.config.env
    (layer,) = loaded.image.diff_ids
    assert Path(store.layers.path(layer), "srv/file").read_text() == "contents"
