"""What is mounted besides the root: Docker's three spellings, and what they become."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onggi.engine import volumes
from onggi.engine.options import ContainerOptions
from onggi.engine.volumes import VolumeMount, Volumes, parse, resolve
from onggi.errors import Conflict, InvalidInput
from onggi.store.store import Store
from onggi.store.volumes import VolumeNotFound

CONTAINER = "c" * 64


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(str(tmp_path / "store"), durable=False) as store:
        yield store


def options(**given: Any) -> ContainerOptions:
    return ContainerOptions(image="busybox", **given)


def resolved(store: Store, image: tuple[str, ...] = (), **given: Any) -> list[VolumeMount]:
    mounts = resolve(options(**given), image, store)
    volumes.make(mounts, [], store, CONTAINER)
    return mounts


def told(mount: VolumeMount) -> tuple[str, str, str, str, tuple[str, ...]]:
    return mount.kind, mount.name, mount.source, mount.target, mount.options


class TestShortSpelling:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("/data", ("volume", "", "", "/data", ())),
            ("/srv:/data", ("bind", "", "/srv", "/data", ())),
            ("/srv:/data:ro", ("bind", "", "/srv", "/data", ("ro",))),
            ("/srv:/data:rw,z", ("bind", "", "/srv", "/data", ("rw", "z"))),
            ("/srv/../etc/:/data/", ("bind", "", "/etc", "/data", ())),
            ("kept:/data", ("volume", "kept", "", "/data", ())),
            ("kept:/data:ro,nocopy", ("volume", "kept", "", "/data", ("ro", "nocopy"))),
            ("kept:/a/../b/./c//d", ("volume", "kept", "", "/b/c/d", ())),
            ("kept://data", ("volume", "kept", "", "/data", ())),
            ("/srv:/data:rslave", ("bind", "", "/srv", "/data", ("rslave",))),
        ],
    )
    def test_accepted(self, text: str, expected: tuple[object, ...]) -> None:
        assert told(parse(text)) == expected

    def test_relative_source_begins_with_a_dot(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert told(parse("./here:/data"))[:3] == ("bind", "", str(tmp_path / "here"))
        assert told(parse(".:/data"))[:3] == ("bind", "", str(tmp_path))

    def test_tilde_is_the_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/srv/someone")
        assert parse("~/files:/data").source == "/srv/someone/files"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "invalid volume specification: ''"),
            (":/data", "invalid volume specification: ':/data'"),
            ("/srv:", "invalid volume specification: '/srv:'"),
            ("/srv::ro", "invalid volume specification: '/srv::ro'"),
            ("/srv:/data:", "invalid volume specification: '/srv:/data:'"),
            ("/a:/b:ro:rw", "invalid volume specification: '/a:/b:ro:rw'"),
            ("data", "invalid mount path: 'data' must be absolute"),
            ("/srv:data", "invalid mount path: 'data' must be absolute"),
            ("/srv:/", "invalid mount path: '/' must not be the root"),
            ("/srv://", "invalid mount path: '//' must not be the root"),
            ("/srv:/a/..", "invalid mount path: '/a/..' must not be the root"),
            ("/", "invalid mount path: '/' must not be the root"),
            ("/srv:/data:never", "invalid mode: never"),
            ("/srv:/data:ro,never", "invalid mode: never"),
            ("/srv:/data:ro,", "invalid mode: "),
            ("/srv:/data:RO", "invalid mode: RO"),
            ("/srv:/data:ro,rw", "invalid mode: ro,rw"),
            ("/srv:/data:ro,ro", "invalid mode: ro,ro"),
            ("/srv:/data:shared,slave", "invalid mode: shared,slave"),
            ("/srv:/data:z,Z", "invalid mode: z,Z"),
            ("/srv:/data:cached,delegated", "invalid mode: cached,delegated"),
            ("kept:/data:rshared", "invalid mode: rshared"),
        ],
    )
    def test_refused(self, text: str, message: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            parse(text)
        assert caught.value.message == message

    @given(st.text(alphabet="/.:ab~,ro", max_size=24))
    def test_whatever_is_accepted_is_a_place_below_the_root(self, text: str) -> None:
        try:
            mount = parse(text)
        except InvalidInput:
            return
        assert mount.target == "/" + mount.target.strip("/") != "/"
        assert ".." not in mount.target.split("/")
        assert mount.kind == "volume" or mount.source.startswith("/")


class TestLongSpelling:
    def test_bind(self, store: Store, tmp_path: Path) -> None:
        words = {"type": "bind", "source": str(tmp_path), "target": "/data/", "readonly": True}
        (mount,) = resolved(store, mounts=[words])
        assert told(mount) == ("bind", "", str(tmp_path), "/data", ("ro",))

    def test_volume_is_what_it_is_without_a_type(self, store: Store) -> None:
        (mount,) = resolved(store, mounts=[{"source": "kept", "target": "/data"}])
        assert told(mount) == ("volume", "kept", store.volumes.path("kept"), "/data", ())

    def test_volume_without_a_name(self, store: Store) -> None:
        (mount,) = resolved(store, mounts=[{"type": "volume", "source": "", "target": "/data"}])
        assert len(mount.name) == 64
        assert mount.source == store.volumes.path(mount.name)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ({"type": "bind", "source": "srv", "target": "/d"}, "bind source 'srv' must be an abs"),
            ({"type": "bind", "target": "/d"}, "bind source '' must be an absolute path"),
            (
                {"type": "bind", "source": "/not/there", "target": "/d"},
                "bind source path does not exist: /not/there",
            ),
            ({"type": "bind", "source": "/", "target": "d"}, "invalid mount path: 'd' must be abs"),
            ({"type": "bind", "source": "/"}, "invalid mount path: '' must be absolute"),
            ({"source": "kept", "target": "/.."}, "'/..' must not be the root"),
            ({"type": "npipe", "source": "x", "target": "/d"}, "invalid mount type 'npipe'"),
            ({"type": "volume", "source": "/etc", "target": "/d"}, "invalid volume name '/etc'"),
            ({"type": "volume", "source": "..", "target": "/d"}, "invalid volume name '..'"),
        ],
    )
    def test_refused(self, store: Store, words: dict[str, object], message: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            resolved(store, mounts=[words])
        assert message in caught.value.message
        assert list(store.volumes.list()) == []


class TestResolving:
    def test_parents_come_before_what_lies_in_them(self, store: Store) -> None:
        asked = ["v1:/data/in/deep", "v2:/data-2", "v3:/data", "v4:/data/in"]
        targets = [mount.target for mount in resolved(store, volumes=asked)]
        assert targets.index("/data") < targets.index("/data/in") < targets.index("/data/in/deep")

    def test_v_makes_the_directory_of_the_host(self, store: Store, tmp_path: Path) -> None:
        resolved(store, volumes=[f"{tmp_path}/new/deep:/data"])
        assert (tmp_path / "new/deep").is_dir()

    def test_file_of_the_host_stays_one(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        resolved(store, volumes=[f"{tmp_path}/file:/data"])
        assert (tmp_path / "file").read_text() == "mine"

    def test_to_explain_makes_nothing(self, store: Store, tmp_path: Path) -> None:
        asked = options(volumes=[f"{tmp_path}/new:/data", "kept:/kept", "/unnamed"])
        mounts = resolve(asked, ("/image",), store, instead="/else")
        assert not (tmp_path / "new").exists()
        assert list(store.volumes.list()) == []
        assert {mount.target: mount.source.rpartition("/")[0] for mount in mounts} == {
            "/data": str(tmp_path),
            "/kept": "/else",
            "/unnamed": "/else",
            "/image": "/else",
        }

    def test_named_and_unnamed_volumes_are_told_apart(self, store: Store) -> None:
        resolved(store, ("/image",), volumes=["kept:/kept", "/unnamed"])
        records = list(store.volumes.list())
        assert sorted(record["anonymous"] for record in records) == [False, True, True]
        assert {one.get("container") for one in records if one["anonymous"]} == {CONTAINER}
        assert {record["name"] for record in records if not record["anonymous"]} == {"kept"}

    def test_volume_that_exists_is_kept_as_it_is(self, store: Store) -> None:
        Volumes(store).create("kept", labels={"mine": "yes"})
        resolved(store, volumes=["kept:/kept"])
        assert store.volumes.get("kept")["labels"] == {"mine": "yes"}

    @pytest.mark.parametrize(
        "given",
        [
            {"volumes": ["a:/data", "b:/data/"]},
            {"volumes": ["a:/data", "/srv:/x/../data"]},
            {"volumes": ["a:/data"], "mounts": [{"source": "b", "target": "//data"}]},
            {"volumes": ["a:/data"], "tmpfs": ["/data/:size=1m"]},
            {"tmpfs": ["/data", "/data"]},
        ],
    )
    def test_one_place_for_two_is_refused(self, store: Store, given: dict[str, Any]) -> None:
        with pytest.raises(InvalidInput, match=r"^duplicate mount point: /data$"):
            resolved(store, **given)
        assert list(store.volumes.list()) == []

    def test_image_declares_volumes(self, store: Store) -> None:
        mounts = resolved(store, ("/b", "/a/", "/a", "relative"))
        assert [mount.target for mount in mounts] == ["/a", "/b", "/relative"]
        assert len({mount.name for mount in mounts}) == 3

    @pytest.mark.parametrize(
        "given", [{"volumes": ["kept:/data"]}, {"tmpfs": ["/data:size=1m"]}, {"volumes": ["/data"]}]
    )
    def test_what_is_asked_for_replaces_what_the_image_declares(
        self, store: Store, given: dict[str, Any]
    ) -> None:
        targets = [mount.target for mount in resolved(store, ("/data/",), **given)]
        assert targets.count("/data") == len(given.get("volumes", []))

    @pytest.mark.parametrize("path", ["/", "//", "", "/a/..", "/proc", "/sys/fs", "/dev/", "//dev"])
    def test_image_may_not_hide_what_is_the_kernels(self, store: Store, path: str) -> None:
        with pytest.raises(InvalidInput, match="the image declares a volume at '/"):
            resolved(store, (path,))

    @pytest.mark.parametrize("path", ["/developer", "/system/dev", "/procs"])
    def test_image_may_use_names_that_begin_alike(self, store: Store, path: str) -> None:
        assert [mount.target for mount in resolved(store, (path,))] == [path]

    @pytest.mark.parametrize("name", ["a/b", "-a", "_a", "a b", "ä", "a" * 256, "a\nb"])
    def test_names_that_are_none(self, store: Store, name: str) -> None:
        with pytest.raises(InvalidInput, match="invalid volume name"):
            resolved(store, volumes=[f"{name}:/data"])


class TestSpecification:
    def test_private_unless_said(self) -> None:
        entry = parse("/srv:/data").to_oci()
        assert entry == {
            "destination": "/data",
            "type": "bind",
            "source": "/srv",
            "options": ["rbind", "rprivate"],
        }

    def test_words_that_count(self) -> None:
        assert parse("/srv:/data:ro,rshared,z").to_oci()["options"] == ["rbind", "rshared", "rro"]
        assert parse("/srv:/data:rw,cached").to_oci()["options"] == ["rbind", "rprivate"]

    def test_volumes_belong_to_the_users_inside_and_directories_of_the_host_do_not(self) -> None:
        owned = ["rbind", "rprivate", "idmap", "nosuid", "nodev"]
        assert parse("kept:/data").to_oci(mapped=True)["options"] == owned
        assert parse("kept:/data:ro").to_oci(mapped=True)["options"].count("rro") == 1
        assert parse("/srv:/data").to_oci(mapped=True)["options"] == owned[:2]

    def test_shown_as_docker_does(self) -> None:
        assert parse("/srv:/data:ro,slave").to_json() == {
            "Type": "bind",
            "Source": "/srv",
            "Destination": "/data",
            "Mode": "ro,slave",
            "RW": False,
            "Propagation": "slave",
        }
        assert parse("/srv:/data").to_json()["Propagation"] == "rprivate"
        assert parse("kept:/data").to_json() == {
            "Type": "volume",
            "Name": "kept",
            "Driver": "local",
            "Source": "",
            "Destination": "/data",
            "Mode": "",
            "RW": True,
            "Propagation": "",
        }


class TestTmpfs:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("/run", ["noexec", "nosuid", "nodev"]),
            ("/run:", ["noexec", "nosuid", "nodev"]),
            ("/run:size=64m,mode=1777", ["noexec", "nosuid", "nodev", "size=64m", "mode=1777"]),
            ("/run:exec", ["nosuid", "nodev", "exec"]),
            ("/run:suid,dev", ["noexec", "suid", "dev"]),
            ("/run:noexec,ro", ["noexec", "nosuid", "nodev", "ro"]),
        ],
    )
    def test_options(self, text: str, expected: list[str]) -> None:
        (entry,) = volumes.tmpfs(options(tmpfs=[text]))
        assert entry == {
            "destination": "/run",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": expected,
        }

    @pytest.mark.parametrize("text", ["run", "", ":size=1m", "/", "//:size=1m", "/run/.."])
    def test_refused(self, text: str) -> None:
        with pytest.raises(InvalidInput, match="invalid mount path"):
            list(volumes.tmpfs(options(tmpfs=[text])))

    def test_each_in_its_turn(self) -> None:
        entries = volumes.tmpfs(options(tmpfs=["/b//", "/a"]))
        assert [entry["destination"] for entry in entries] == ["/b", "/a"]


class TestVolumes:
    def test_create_get_list_remove(self, store: Store) -> None:
        known = Volumes(store)
        known.create("b", labels={"key": "value"})
        known.create("a")
        assert [volume.name for volume in known.list()] == ["a", "b"]
        shown = known.get("b").inspect()
        assert shown.pop("CreatedAt").endswith("Z")
        assert shown == {
            "Name": "b",
            "Driver": "local",
            "Mountpoint": store.volumes.path("b"),
            "Labels": {"key": "value"},
            "Scope": "local",
            "Options": {},
        }
        known.remove("b")
        assert [volume.name for volume in known.list()] == ["a"]

    def test_creating_again_finds_the_first(self, store: Store) -> None:
        known = Volumes(store)
        known.create("a", labels={"first": "1"})
        assert known.create("a", labels={"second": "2"}).inspect()["Labels"] == {"first": "1"}

    def test_without_a_name_it_gets_one(self, store: Store) -> None:
        names = {Volumes(store).create().name for _ in range(3)}
        assert len(names) == 3
        assert all(len(name) == 64 and int(name, 16) >= 0 for name in names)

    def test_removing_what_is_not_there(self, store: Store) -> None:
        with pytest.raises(VolumeNotFound, match="no such volume: never"):
            Volumes(store).remove("never")
        Volumes(store).remove("never", force=True)

    def test_volume_in_use_stays(self, store: Store) -> None:
        known = Volumes(store)
        known.create("used")
        record = {"mounts": [{"Name": "used"}, {"Source": "/srv"}]}
        store.snapshots.prepare(CONTAINER, (), durable=False)
        store.containers.create(CONTAINER, "keeper", record, durable=False)
        with pytest.raises(Conflict, match=f"volume used is in use by {CONTAINER[:12]}"):
            known.remove("used", force=True)
        assert known.get("used").name == "used"


class TestFilters:
    @pytest.fixture
    def known(self, store: Store) -> Volumes:
        volumes_of_store = Volumes(store)
        volumes_of_store.create("clay", labels={"kind": "raw", "trial": ""})
        volumes_of_store.create("glaze", labels={"kind": "fine"})
        return volumes_of_store

    @pytest.mark.parametrize(
        ("filters", "names"),
        [
            ({}, ["clay", "glaze"]),
            ({"name": ["la"]}, ["clay", "glaze"]),
            ({"name": ["lay"]}, ["clay"]),
            ({"name": ["lay", "laze"]}, ["clay", "glaze"]),
            ({"label": ["kind=fine"]}, ["glaze"]),
            ({"label": ["trial", "kind=fine"]}, []),
            ({"dangling": ["true"]}, ["clay", "glaze"]),
            ({"dangling": ["false"]}, []),
            ({"driver": ["local"], "label": ["trial"]}, ["clay"]),
            ({"driver": ["nfs"]}, []),
        ],
    )
    def test_list(self, known: Volumes, filters: dict[str, list[str]], names: list[str]) -> None:
        assert [one.name for one in known.list(filters)] == names

    @pytest.mark.parametrize("filters", [{"size": ["1"]}, {"dangling": ["perhaps"]}])
    def test_what_is_no_filter(self, known: Volumes, filters: dict[str, list[str]]) -> None:
        with pytest.raises(InvalidInput, match="invalid filter"):
            known.list(filters)

    def test_prune_spares_names_unless_told_otherwise(self, known: Volumes) -> None:
        nameless = known.create().name
        assert known.prune() == {nameless: 0}
        assert known.prune({"all": ["true"], "label!": ["trial"]}) == {"glaze": 0}
        assert known.prune({"all": ["1"], "label": ["kind=raw"]}) == {"clay": 0}
        assert known.list() == []
