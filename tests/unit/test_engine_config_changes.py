"""`--change` of commit and import: Dockerfile instructions, one by one."""

import pytest

from onggi.build.errors import DockerfileError
from onggi.engine.config_changes import changed
from onggi.oci.image import ImageConfig
from onggi.oci.platform import Platform

BASE = ImageConfig.of(Platform("linux", "amd64")).with_settings(
    {"Env": ["PATH=/bin"], "Cmd": ["sh"], "WorkingDir": "/srv"}
)


def settings(*changes: str) -> dict[str, object]:
    return dict(changed(BASE, changes).settings)


def test_nothing_changes_nothing() -> None:
    assert changed(BASE, []) == BASE


@pytest.mark.parametrize(
    ("change", "name", "value"),
    [
        ('CMD ["httpd", "-f"]', "Cmd", ["httpd", "-f"]),
        ("CMD httpd -f", "Cmd", ["/bin/sh", "-c", "httpd -f"]),
        ('cmd ["sh"]', "Cmd", ["sh"]),
        ('ENTRYPOINT ["env"]', "Entrypoint", ["env"]),
        ("ENV A=1 B=$PATH", "Env", ["PATH=/bin", "A=1", "B=/bin"]),
        ("EXPOSE 80 53/udp", "ExposedPorts", {"53/udp": {}, "80/tcp": {}}),
        ("LABEL a=b", "Labels", {"a": "b"}),
        ("ONBUILD RUN true", "OnBuild", ["RUN true"]),
        ("USER nobody", "User", "nobody"),
        ("VOLUME /data", "Volumes", {"/data": {}}),
        ("WORKDIR sub", "WorkingDir", "/srv/sub"),
    ],
)  # fmt: skip
def test_each_instruction(change: str, name: str, value: object) -> None:
    assert settings(change)[name] == value


def test_later_ones_see_earlier_ones() -> None:
    found = settings("ENV DIR=/opt", "WORKDIR $DIR")
    assert found["WorkingDir"] == "/opt"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("RUN true", "RUN is not a valid change command"),
        ("FROM busybox", "FROM is not a valid change command"),
        ("COPY a b", "COPY is not a valid change command"),
        ("JUMP high", "JUMP is not a valid change command"),
        ("EXPOSE http", "invalid containerPort: http"),
        ("LABEL", "LABEL requires at least one argument"),
        ("", "file with no instructions"),
    ],
)
def test_refusals(change: str, said: str) -> None:
    with pytest.raises(DockerfileError, match=said):
        settings(change)
