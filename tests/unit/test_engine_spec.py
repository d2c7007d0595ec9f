"""What a container is made to be: Docker's rules for what was asked for and what the image says."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onggi.engine import limits, spec, volumes
from onggi.engine.options import ContainerOptions
from onggi.engine.users import Accounts
from onggi.errors import InvalidInput
from onggi.linux import capability
from onggi.oci.image import ImageConfig
from onggi.oci.platform import Platform
from onggi.resources.devices import ALLOW_ALL, DEFAULT_RULES
from onggi.runtime import spec as defaults
from onggi.runtime.capabilities import DEFAULT
from support.runtime_schema import validator

IDENTIFIER = "0123456789abcdef" * 4
FILES = {"/etc/hosts": "/files/hosts", "/etc/hostname": "/files/hostname"}
ACCOUNTS = Accounts(
    "root:x:0:0::/root:/bin/sh\napp:x:5:6::/srv/app:/bin/sh\n", "app:x:6:\nx:x:7:\n"
)
Json = dict[str, Any]


@pytest.fixture(autouse=True)
def _host_with_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process hold all capabilities, whoever runs the tests."""
    monkeypatch.setattr(capability, "bounding", lambda: capability.mask(capability.NUMBERS))


def image(**settings: Any) -> ImageConfig:
    return ImageConfig.of(Platform("linux", "amd64")).with_settings({"Cmd": ["sh"], **settings})


def asked(**given: Any) -> ContainerOptions:
    return ContainerOptions(image="busybox", **given)


def built(options: ContainerOptions, of: ImageConfig | None = None) -> Json:
    request = limits.request(options.limits)
    parts = spec.Parts(
        identifier=IDENTIFIER,
        image=of or image(),
        accounts=ACCOUNTS,
        mounts=[volumes.parse(text) for text in options.volumes],
        files=FILES,
        request=request,
        resources=request.to_oci(dict.fromkeys(request.device_paths(), (8, 0))),
        first_ids=(100000, 200000),
    )
    return spec.build(options, parts, root="/run/root")


def environment(options: ContainerOptions, of: ImageConfig | None = None) -> dict[str, str]:
    entries: list[str] = built(options, of)["process"]["env"]
    pairs = [(name, value) for name, _, value in (entry.partition("=") for entry in entries)]
    values = dict(pairs)
    assert len(values) == len(entries), "a name twice"
    return values


def kinds(config: Json) -> list[str]:
    return [entry["type"] for entry in config["linux"]["namespaces"]]


def mounts(config: Json) -> dict[str, Json]:
    entries = {entry["destination"]: entry for entry in config["mounts"]}
    assert len(entries) == len(config["mounts"]), "a place twice"
    return entries


class TestCommand:
    @pytest.mark.parametrize(
        ("entrypoint", "command", "settings", "words"),
        [
            # Without words of one's own, the image's.
            (None, [], {"Entrypoint": ["/e"], "Cmd": ["c"]}, ["/e", "c"]),
            (None, [], {"Entrypoint": ["/e", "-x"], "Cmd": None}, ["/e", "-x"]),
            (None, [], {"Entrypoint": None, "Cmd": ["c", "d"]}, ["c", "d"]),
            # A command takes the place of the image's command.
            (None, ["w", "v"], {"Entrypoint": ["/e"], "Cmd": ["c"]}, ["/e", "w", "v"]),
            (None, ["w"], {"Entrypoint": None, "Cmd": ["c"]}, ["w"]),
            (None, [""], {"Entrypoint": ["/e"], "Cmd": ["c"]}, ["/e", ""]),
            # An entry point leaves out the image's command as well.
            (["/mine"], [], {"Entrypoint": ["/e"], "Cmd": ["c"]}, ["/mine"]),
            (["/mine", "-y"], ["w"], {"Entrypoint": ["/e"], "Cmd": ["c"]}, ["/mine", "-y", "w"]),
            # An empty one takes the image's away.
            ([], ["w"], {"Entrypoint": ["/e"], "Cmd": ["c"]}, ["w"]),
        ],
    )
    def test_words(
        self, entrypoint: list[str] | None, command: list[str], settings: Json, words: list[str]
    ) -> None:
        config = built(asked(entrypoint=entrypoint, command=command), image(**settings))
        assert config["process"]["args"] == words

    @pytest.mark.parametrize(
        ("entrypoint", "settings"),
        [
            (None, {"Entrypoint": None, "Cmd": None}),
            (None, {"Entrypoint": [], "Cmd": []}),
            ([], {"Entrypoint": ["/e"], "Cmd": ["c"]}),
        ],
    )
    def test_no_words_at_all(self, entrypoint: list[str] | None, settings: Json) -> None:
        with pytest.raises(InvalidInput, match="no command specified"):
            built(asked(entrypoint=entrypoint), image(**settings))


class TestEnvironment:
    def test_by_default(self) -> None:
        assert environment(asked()) == {
            "PATH": defaults.PATH,
            "HOSTNAME": IDENTIFIER[:12],
            "HOME": "/root",
        }

    def test_the_image_overrules_defaults_and_the_caller_the_image(self) -> None:
        of = image(Env=["PATH=/image", "A=image", "B=image", "TERM=dumb", "HOSTNAME=image"])
        values = environment(asked(env=["B=mine", "C=a=b", "D="], tty=True), of)
        assert values == {
            "PATH": "/image",
            "HOSTNAME": "image",
            "TERM": "dumb",
            "A": "image",
            "B": "mine",
            "C": "a=b",
            "D": "",
            "HOME": "/root",
        }

    def test_a_name_alone_takes_a_variable_away(self) -> None:
        values = environment(asked(env=["PATH", "A", "NEVER", "HOME"]), image(Env=["A=image"]))
        assert values == {"HOSTNAME": IDENTIFIER[:12], "HOME": "/root"}

    @pytest.mark.parametrize(
        ("user", "home"), [("", "/root"), ("app", "/srv/app"), ("5", "/srv/app"), ("1234", "/")]
    )
    def test_home_is_the_users(self, user: str, home: str) -> None:
        assert environment(asked(user=user))["HOME"] == home
        assert environment(asked(), image(User=user))["HOME"] == home

    def test_home_is_what_was_said(self) -> None:
        assert environment(asked(), image(Env=["HOME=/image"]))["HOME"] == "/image"
        assert environment(asked(env=["HOME="]), image(Env=["HOME=/image"]))["HOME"] == ""

    def test_terminal_and_host_name(self) -> None:
        assert environment(asked(tty=True))["TERM"] == "xterm"
        assert environment(asked(hostname="box"))["HOSTNAME"] == "box"


class TestIdentity:
    def test_root_by_default(self) -> None:
        process = built(asked())["process"]
        assert process["user"] == {"uid": 0, "gid": 0, "additionalGids": [0]}
        assert process["cwd"] == "/"
        assert process["terminal"] is False
        assert process["noNewPrivileges"] is True
        assert process["capabilities"] == {
            "bounding": list(DEFAULT),
            "effective": list(DEFAULT),
            "permitted": list(DEFAULT),
        }
        assert "rlimits" not in process
        assert "oomScoreAdj" not in process

    def test_the_caller_overrules_the_image(self) -> None:
        of = image(User="app", WorkingDir="/srv")
        assert built(asked(), of)["process"]["user"]["uid"] == 5
        assert built(asked(user="0:x"), of)["process"]["user"]["gid"] == 7
        assert built(asked(), of)["process"]["cwd"] == "/srv"
        assert built(asked(workdir="/mine"), of)["process"]["cwd"] == "/mine"

    def test_further_groups(self) -> None:
        user = built(asked(user="app", group_add=["x", "99"]))["process"]["user"]
        assert user["additionalGids"] == [6, 7, 99]

    @pytest.mark.parametrize("path", ["relative", "./here", "~", " /x"])
    def test_working_directories_are_absolute(self, path: str) -> None:
        message = f"working directory '{path}' is invalid"
        with pytest.raises(InvalidInput, match=message):
            built(asked(workdir=path))
        with pytest.raises(InvalidInput, match=message):
            built(asked(), image(WorkingDir=path))

    def test_other_users_hold_nothing(self) -> None:
        held = built(asked(user="app", cap_add=["NET_ADMIN"]))["process"]["capabilities"]
        assert "CAP_NET_ADMIN" in held["bounding"]
        assert held["effective"] == held["permitted"] == []
        assert "inheritable" not in held
        assert "ambient" not in held

    def test_capabilities_added_and_dropped(self) -> None:
        options = asked(cap_add=["net_admin"], cap_drop=["ALL"])
        assert built(options)["process"]["capabilities"]["effective"] == ["CAP_NET_ADMIN"]

    def test_limits_of_the_process(self) -> None:
        given = {"ulimit": ["nofile=10:20"], "oom-score-adj": "-5"}
        process = built(asked(limits=given))["process"]
        assert process["rlimits"] == [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}]
        assert process["oomScoreAdj"] == -5
        assert built(asked(limits={"oom-score-adj": "0"}))["process"]["oomScoreAdj"] == 0

    def test_names(self) -> None:
        config = built(asked(hostname="box", domainname="example.org"))
        assert (config["hostname"], config["domainname"]) == ("box", "example.org")
        assert built(asked())["hostname"] == IDENTIFIER[:12]
        assert "domainname" not in built(asked())

    def test_labels_are_annotations(self) -> None:
        assert built(asked(labels={"a": "b"}))["annotations"] == {"a": "b"}


BOUND = {"no-new-privileges": "true", "seccomp": "default"}


class TestSecurityOptions:
    @pytest.mark.parametrize(
        ("words", "changes"),
        [
            ([], {}),
            (["no-new-privileges"], {}),
            (["no-new-privileges=true"], {}),
            (["no-new-privileges:true"], {}),
            (["no-new-privileges=false"], {"no-new-privileges": "false"}),
            (["no-new-privileges:false"], {"no-new-privileges": "false"}),
            (["seccomp=unconfined"], {"seccomp": "unconfined"}),
            (["seccomp:unconfined"], {"seccomp": "unconfined"}),
            (["seccomp=unconfined", "seccomp=default"], {}),
            (
                ["no-new-privileges=false", "seccomp=unconfined"],
                {"no-new-privileges": "false", "seccomp": "unconfined"},
            ),
        ],
    )
    def test_accepted(self, words: list[str], changes: dict[str, str]) -> None:
        assert spec.security(asked(security_opt=words)) == {**BOUND, **changes}

    @pytest.mark.parametrize(
        "word",
        [
            "",
            "=",
            "=true",
            "seccomp",
            "seccomp=",
            "seccomp=/profile.json",
            "seccomp=true",
            "no-new-privileges=",
            "no-new-privileges=yes",
            "no-new-privileges=unconfined",
            "no_new_privileges",
            "apparmor=",
            "apparmor=two\nlines",
            "label:type:container_t",
            "systempaths=confined",
        ],
    )
    def test_refused(self, word: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            spec.security(asked(security_opt=[word]))
        assert caught.value.message == f"invalid --security-opt {word!r}"

    def test_a_profile_of_apparmor(self) -> None:
        assert spec.security(asked(security_opt=["apparmor:mine"]))["apparmor"] == "mine"

    def test_privileged_is_free_unless_said(self) -> None:
        free = {"no-new-privileges": "false", "seccomp": "unconfined"}
        assert spec.security(asked(privileged=True)) == free
        said = spec.security(asked(privileged=True, security_opt=["no-new-privileges"]))
        assert said == {**free, "no-new-privileges": "true"}

    def test_what_holds_is_in_the_configuration(self) -> None:
        options = asked(security_opt=["no-new-privileges=false"])
        assert built(options)["process"]["noNewPrivileges"] is False
        with pytest.raises(InvalidInput, match="--security-opt 'never'"):
            built(asked(security_opt=["never"]))


class TestStopSignal:
    @pytest.mark.parametrize(
        ("mine", "images", "number"),
        [
            ("", None, 15),
            ("", "SIGINT", 2),
            ("", "3", 3),
            ("usr1", "SIGINT", 10),
            ("RTMIN+3", None, 37),
        ],
    )
    def test_chosen(self, mine: str, images: str | None, number: int) -> None:
        assert spec.stop_signal(asked(stop_signal=mine), image(StopSignal=images)) == number

    @pytest.mark.parametrize("word", ["NEVER", "0", "65", "-9", "SIG"])
    def test_refused(self, word: str) -> None:
        with pytest.raises(InvalidInput, match=f"^invalid signal: {word}"):
            spec.stop_signal(asked(stop_signal=word), image())
        with pytest.raises(InvalidInput, match=f"^invalid signal: {word}"):
            spec.stop_signal(asked(), image(StopSignal=word))


class TestIsolation:
    def test_everything_is_the_containers_own(self) -> None:
        assert kinds(built(asked())) == list(defaults.NAMESPACES)

    def test_host_network(self) -> None:
        config = built(asked(network="host"))
        assert kinds(config) == [kind for kind in defaults.NAMESPACES if kind != "network"]
        assert "hostname" not in config, "it is the host's"
        assert mounts(config)["/sys"]["type"] == "bind"
        assert {"bind", "ro"} <= set(mounts(config)["/sys"]["options"])
        assert built(asked(network="host", hostname="box"))["hostname"] == "box"

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"network": "bridge"}, "network 'bridge' not found"),
            ({"network": ""}, "network '' not found"),
            ({"userns": "keep-id"}, "invalid USER mode: keep-id"),
            ({"userns": "auto", "privileged": True}, "privileged mode is incompatible with user"),
            ({"cgroup_parent": "/a/../b"}, "invalid cgroup parent '/a/../b'"),
            ({"cgroup_parent": ".."}, "invalid cgroup parent '..'"),
        ],
    )
    def test_refused(self, given: Json, message: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            built(asked(**given))
        assert message in caught.value.message
        assert caught.value.exit_code == 125

    def test_hidden_and_read_only_parts_of_proc(self) -> None:
        linux = built(asked())["linux"]
        assert linux["maskedPaths"] == list(defaults.MASKED_PATHS)
        assert linux["readonlyPaths"] == list(defaults.READONLY_PATHS)
        assert linux["resources"]["devices"] == list(DEFAULT_RULES)

    def test_privileged(self) -> None:
        config = built(asked(privileged=True, cap_drop=["ALL"]))
        linux, process = config["linux"], config["process"]
        assert "maskedPaths" not in linux
        assert "readonlyPaths" not in linux
        assert linux["resources"]["devices"] == list(ALLOW_ALL)
        assert set(process["capabilities"]["effective"]) == set(capability.NUMBERS)
        assert process["noNewPrivileges"] is False
        for path in ("/sys", "/sys/fs/cgroup"):
            assert "ro" not in mounts(config)[path]["options"]
            assert "ro" in mounts(built(asked()))[path]["options"]
        assert kinds(config) == list(defaults.NAMESPACES)

    def test_nothing_that_is_changed_is_shared(self) -> None:
        before = copy.deepcopy(built(asked()))
        built(asked(devices=["/dev/null"], limits={"memory": "64m"}))["linux"][
            "maskedPaths"
        ].clear()
        assert built(asked()) == before

    def test_user_namespace(self) -> None:
        config = built(asked(userns="auto", volumes=["kept:/data", "/srv:/srv"]))
        assert kinds(config) == ["user", *defaults.NAMESPACES]
        linux = config["linux"]
        inside = {"containerID": 0, "size": 65536}
        assert linux["uidMappings"] == [{**inside, "hostID": 100000}]
        assert linux["gidMappings"] == [{**inside, "hostID": 200000}]
        assert "idmap" in mounts(config)["/data"]["options"]
        assert "idmap" in mounts(config)["/etc/hosts"]["options"]
        assert "idmap" not in mounts(config)["/srv"]["options"]

    def test_in_one_the_hosts_devices_are_bound(self) -> None:
        config = built(asked(userns="auto", devices=["/dev/null:/dev/deep/nothing:r"]))
        assert "devices" not in config["linux"]
        shown = mounts(config)["/dev/deep/nothing"]
        assert (shown["type"], shown["source"]) == ("bind", "/dev/null")
        assert config["linux"]["resources"]["devices"][-1]["access"] == "r"

    def test_without_one_there_are_no_mappings(self) -> None:
        linux = built(asked())["linux"]
        assert "uidMappings" not in linux
        assert "gidMappings" not in linux


class TestMounts:
    def test_by_default(self) -> None:
        config = built(asked())
        places = list(mounts(config))
        assert config["linux"]["rootfsPropagation"] == "private"
        assert places == [
            *(entry["destination"] for entry in defaults.mounts(own_network=True)),
            *sorted(FILES),
        ]
        assert config["root"] == {"path": "/run/root", "readonly": False}
        assert "size=67108864" in mounts(config)["/dev/shm"]["options"]
        hosts = mounts(config)["/etc/hosts"]
        assert hosts["source"] == "/files/hosts"
        assert {"bind", "nosuid", "nodev", "noexec"} <= set(hosts["options"])

    def test_read_only_root(self) -> None:
        assert built(asked(read_only=True))["root"]["readonly"] is True

    def test_size_of_shared_memory(self) -> None:
        config = built(asked(limits={"shm-size": "1m"}))
        assert "size=1048576" in mounts(config)["/dev/shm"]["options"]

    @pytest.mark.parametrize("place", ["/dev/shm", "/sys/fs/cgroup", "/etc/hosts", "/proc"])
    def test_what_is_asked_for_takes_the_place_of_a_default(self, place: str) -> None:
        bound = mounts(built(asked(volumes=[f"/srv:{place}"])))
        assert bound[place]["source"] == "/srv"
        assert mounts(built(asked(tmpfs=[place])))[place]["type"] == "tmpfs"
        assert set(bound) == set(mounts(built(asked())))

    def test_what_is_asked_for_hides_the_defaults_within_it(self) -> None:
        places = mounts(built(asked(volumes=["/dev:/dev", "/x:/dev/shm"])))
        assert [place for place in places if place.startswith("/dev")] == ["/dev", "/dev/shm"]
        assert places["/dev/shm"]["source"] == "/x"

    def test_names_that_begin_alike_are_not_within(self) -> None:
        places = mounts(built(asked(volumes=["/x:/dev/sh", "/x:/sys/fs/cgroups", "/x:/de"])))
        assert {"/dev", "/dev/shm", "/sys", "/sys/fs/cgroup"} <= set(places)

    def test_a_place_is_mounted_before_what_lies_in_it(self) -> None:
        options = asked(tmpfs=["/etc/in/side", "/data/tmp"], volumes=["/x:/etc", "v:/data"])
        places = list(mounts(built(options)))
        assert places.index("/etc") < places.index("/etc/hosts")
        assert places.index("/etc") < places.index("/etc/in/side")
        assert places.index("/data") < places.index("/data/tmp")


class TestResources:
    def test_processes_are_bounded_unless_said(self) -> None:
        def bound(**given: str) -> Json:
            pids: Json = built(asked(limits=given))["linux"]["resources"]["pids"]
            return pids

        assert bound() == {"limit": defaults.PIDS_LIMIT}
        assert bound(**{"pids-limit": "5"}) == {"limit": 5}
        assert bound(**{"pids-limit": "-1"}) == {"limit": -1}

    def test_numbers_arrive(self) -> None:
        given = {"memory": "64m", "cpus": "0.5"}
        resources = built(asked(limits=given))["linux"]["resources"]
        assert resources["memory"] == {"limit": 64 << 20, "swap": 128 << 20}
        assert resources["cpu"] == {"period": 100_000, "quota": 50_000}
        assert resources["devices"] == list(DEFAULT_RULES)

    @pytest.mark.parametrize(
        ("parent", "path"),
        [
            ("", f"/onggi/{IDENTIFIER}"),
            ("/mine", f"/mine/{IDENTIFIER}"),
            ("/mine/", f"/mine/{IDENTIFIER}"),
            ("a/..b", f"/a/..b/{IDENTIFIER}"),
            ("/", f"/{IDENTIFIER}"),
        ],
    )
    def test_place_of_the_cgroup(self, parent: str, path: str) -> None:
        assert built(asked(cgroup_parent=parent))["linux"]["cgroupsPath"] == path

    def test_devices(self) -> None:
        linux = built(asked(devices=["/dev/null:/dev/mine:r", "/dev/zero"]))["linux"]
        assert [node["path"] for node in linux["devices"]] == ["/dev/mine", "/dev/zero"]
        *first, mine, zero = linux["resources"]["devices"]
        assert first == list(DEFAULT_RULES)
        assert mine == {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"}
        assert zero["access"] == "rwm"
        assert "devices" not in built(asked())["linux"]


WORDS = st.text(alphabet="abc=/ é\udce4", min_size=1, max_size=6)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "command": st.lists(WORDS, max_size=3),
        "entrypoint": st.just(["/entry"]),
        "env": st.lists(WORDS, max_size=3),
        "workdir": st.just("/work"),
        "user": st.sampled_from(["root", "app:x", "12:34", ":7"]),
        "hostname": st.just("box"),
        "domainname": st.just("example.org"),
        "network": st.sampled_from(["none", "host"]),
        "volumes": st.lists(
            st.sampled_from(["v:/v", "/srv:/v/in:ro", "/etc/hosts:/etc/hosts", "/dev:/dev", "/u"]),
            unique=True,
        ),
        "tmpfs": st.lists(st.sampled_from(["/tmp", "/run:size=1m,exec", "/dev/shm"]), unique=True),
        "tty": st.booleans(),
        "read_only": st.booleans(),
        "privileged": st.booleans(),
        "cap_add": st.lists(st.sampled_from(["ALL", "NET_ADMIN", "cap_sys_time"])),
        "cap_drop": st.lists(st.sampled_from(["ALL", "CHOWN"])),
        "security_opt": st.lists(st.sampled_from(["no-new-privileges", "seccomp=unconfined"])),
        "labels": st.dictionaries(WORDS, WORDS, max_size=2),
        "group_add": st.lists(st.sampled_from(["x", "99"])),
        "devices": st.lists(st.sampled_from(["/dev/null", "/dev/zero:/dev/z:rw"])),
        "cgroup_parent": st.sampled_from(["/mine", "mine"]),
        "limits": st.fixed_dictionaries(
            {},
            optional={
                "memory": st.just("64m"),
                "cpus": st.just("0.5"),
                "cpuset-cpus": st.just("0-1"),
                "pids-limit": st.sampled_from(["-1", "50"]),
                "ulimit": st.just(["nofile=5:9", "core=-1"]),
                "shm-size": st.just("1m"),
                "oom-score-adj": st.just("100"),
                "device-read-bps": st.just(["/dev/sda:1mb"]),
                "blkio-weight": st.just("100"),
            },
        ),
    },
)


class TestWhole:
    @settings(deadline=None)  # validation takes its time on a busy machine
    @given(OPTIONS, st.booleans())
    def test_any_combination_meets_the_published_schema(self, given: Json, mapped: bool) -> None:
        userns = "auto" if mapped and not given.get("privileged") else "host"
        config = built(asked(userns=userns, **given))
        validator().validate(config)
        self.check(config)

    def check(self, config: Json) -> None:
        held = config["process"]["capabilities"]
        assert set(held["effective"]) == set(held["permitted"]) <= set(held["bounding"])
        assert len(set(kinds(config))) == len(kinds(config))
        asked_for = [entry["destination"] for entry in config["mounts"]]
        for place in mounts(config):
            parents = [other for other in mounts(config) if place.startswith(f"{other}/")]
            late = [
                parent for parent in parents if asked_for.index(parent) > asked_for.index(place)
            ]
            assert not late, f"{place} would be hidden by {late}"

    def test_the_schema_would_find_a_fault(self) -> None:
        config = built(asked())
        config["process"]["user"]["uid"] = "root"
        assert list(validator().iter_errors(config))
