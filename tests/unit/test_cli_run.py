"""What `run` makes of its words: every option arrives at the engine, under its own name."""

import pytest

from onggi.cli.options import Switch, UsageError
from onggi.cli.parsing import parse
from onggi.cli.run import COMMAND, RESOURCES, container_options
from onggi.engine.options import ContainerOptions


def options(*words: str) -> ContainerOptions:
    given = parse(COMMAND, "onggi run", words)
    return container_options(given, detach=given.on("detach"))


def changed(*words: str) -> dict[str, object]:
    """What differs from a run without options."""
    plain = options("image").to_json()
    return {
        name: value
        for name, value in options(*words, "image").to_json().items()
        if value != plain[name]
    }


def test_a_plain_run() -> None:
    plain = options("image", "ls", "-l")
    assert plain.to_json() == ContainerOptions(image="image", command=["ls", "-l"]).to_json()


@pytest.mark.parametrize(
    ("words", "difference"),
    [
        ("-d", {"detach": True}),
        ("-it", {"interactive": True, "tty": True}),
        ("--rm", {"remove": True}),
        ("--rm=false", {}),
        ("--name web", {"name": "web"}),
        ("-e A=1 --env B=2", {"env": ["A=1", "B=2"]}),
        ("-w /tmp", {"workdir": "/tmp"}),
        ("-u 1:2", {"user": "1:2"}),
        ("--group-add 5 --group-add audio", {"group_add": ["5", "audio"]}),
        ("--entrypoint sh", {"entrypoint": ["sh"]}),
        ("--entrypoint=", {"entrypoint": []}),
        ("--init", {"init": True}),
        ("--stop-signal INT", {"stop_signal": "INT"}),
        ("--stop-timeout 0", {"stop_timeout": 0}),
        ("-l a=b --label c", {"labels": {"a": "b", "c": ""}}),
        ("-v /a:/b:ro -v data:/d", {"volumes": ["/a:/b:ro", "data:/d"]}),
        ("--tmpfs /run:size=1m", {"tmpfs": ["/run:size=1m"]}),
        ("--mount type=tmpfs,target=/x --tmpfs /y", {"tmpfs": ["/y", "/x"]}),
        (
            "--mount type=bind,source=/a,target=/b",
            {"mounts": [{"type": "bind", "source": "/a", "target": "/b", "readonly": False}]},
        ),
        ("--read-only", {"read_only": True}),
        ("--device /dev/null:/dev/x:r", {"devices": ["/dev/null:/dev/x:r"]}),
        ("--network host", {"network": "host"}),
        ("-h box --domainname example", {"hostname": "box", "domainname": "example"}),
        ("--userns auto", {"userns": "auto"}),
        ("--cap-add ALL --cap-drop=CHOWN", {"cap_add": ["ALL"], "cap_drop": ["CHOWN"]}),
        ("--security-opt seccomp=unconfined", {"security_opt": ["seccomp=unconfined"]}),
        ("--privileged", {"privileged": True}),
        ("--cgroup-parent /mine", {"cgroup_parent": "/mine"}),
        ("--shm-size 1g", {"limits": {"shm-size": "1g"}}),
        ("--ulimit nofile=1 --ulimit core=0", {"limits": {"ulimit": ["nofile=1", "core=0"]}}),
        ("-m 128m --cpus .5", {"limits": {"cpus": ".5", "memory": "128m"}}),
        ("-c 512", {"limits": {"cpu-shares": "512"}}),
        ("--oom-kill-disable", {"limits": {"oom-kill-disable": "true"}}),
        ("--net host", {"network": "host"}),
        ("--add-host a:1 --add-host b=2", {"extra_hosts": ["a:1", "b=2"]}),
        ("--volumes-from a --volumes-from b:ro", {"volumes_from": ["a", "b:ro"]}),
        ("--annotation a=1 --annotation a=2=3", {"annotations": {"a": "2=3"}}),
        ("--device-cgroup-rule=a", {"device_cgroup_rules": ["a"]}),
        ("--sysctl a.b=1 --sysctl a.b=2=3", {"sysctls": {"a.b": "2=3"}}),
    ],
)
def test_options(words: str, difference: dict[str, object]) -> None:
    assert changed(*words.split()) == difference


def test_every_limit_goes_on_as_it_was_written() -> None:
    for option in RESOURCES.options:
        if option.name != "cgroup-parent" and not isinstance(option, Switch):
            limits = changed(f"--{option.name}=x")["limits"]
            assert limits in ({option.name: "x"}, {option.name: ["x"]})


def test_every_option_changes_something() -> None:
    # What is not the container's but the command's own.
    own = {
        "attach",
        "help",
        "explain",
        "cidfile",
        "sig-proxy",
        "detach-keys",
        "env-file",
        "env",
        "mount",
        "label",
        "label-file",
        "annotation",
        "sysctl",
    }
    for option in COMMAND.options():
        if option.name not in own:
            value = "" if isinstance(option, Switch) else "=7"
            assert changed(f"--{option.name}{value}"), option.name


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["-e", "=x"], "expected NAME=VALUE or NAME"),
        (["-l", "=x"], "expected NAME=VALUE or NAME"),
        (["--mount", "x"], "unexpected key 'x'"),
        (["--env-file", "/none"], "cannot read environment file /none"),
    ],
)
def test_refusals(words: list[str], why: str) -> None:
    with pytest.raises(UsageError) as caught:
        options(*words, "image")
    assert why in caught.value.message
    assert caught.value.exit_code == 125
